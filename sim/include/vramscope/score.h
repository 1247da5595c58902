/* vramscope/score.h - published measurements, and how near a run comes to them.
 *
 * A sheet is a list of rows; a row is one published load: the command line that stands for it, what its source says about
 * the machine, and the figures that were measured. vs_score_read makes a sheet from a facts file (format
 * vramscope.facts/1: catalogue/scorecard.json and verdict-cases.json are the shipped ones), the caller simulates each
 * row, vs_score_judge puts the predicted figures beside the measured ones, vs_score_summarise takes medians.
 *
 * Two kinds of facts. An entry ("entries") has figures without a tolerance: the error is the statement. A case ("cases")
 * has a verdict and figures with the tolerance that its source allows: they hit or miss.
 *
 * Whole numbers throughout: bytes, nanoseconds, millionths. Rows and texts live in the arena of the reader; a sheet belongs
 * to one thread. */
#ifndef VS_SCORE_H
#define VS_SCORE_H

#include "vramscope/base.h"
#include "vramscope/run.h"

typedef enum { VS_SCORE_VERDICT, VS_SCORE_NS, VS_SCORE_BYTES } vs_score_unit;

/* X(enum, name in JSON, words in the table, unit). Sizes are torch's own counters where the sources print those. */
#define VS_SCORE_FIGURES(X)                                                                    \
    X(VS_SF_VERDICT, "verdict", "verdict", VS_SCORE_VERDICT)                                   \
    X(VS_SF_TRIED, "tried_to_allocate", "tried to allocate", VS_SCORE_BYTES)                   \
    X(VS_SF_OOM_ALLOCATED, "oom_allocated", "allocated when full", VS_SCORE_BYTES)             \
    X(VS_SF_LOAD, "load", "load time", VS_SCORE_NS)                                            \
    X(VS_SF_PER_TOKEN, "per_token", "time per token", VS_SCORE_NS)                             \
    X(VS_SF_PEAK_ALLOCATED, "peak_allocated", "peak allocated", VS_SCORE_BYTES)                \
    X(VS_SF_PEAK_RESERVED, "peak_reserved", "peak reserved", VS_SCORE_BYTES)                   \
    X(VS_SF_PEAK_ANY, "peak_unknown_counter", "peak, any counter", VS_SCORE_BYTES)             \
    X(VS_SF_FINAL_ALLOCATED, "final_allocated", "allocated at the end", VS_SCORE_BYTES)        \
    X(VS_SF_RESIDENT, "resident", "weights and buffers", VS_SCORE_BYTES)                       \
    X(VS_SF_HOST_WEIGHTS, "host_weights", "weights kept in RAM", VS_SCORE_BYTES)

/* What came of a figure. */
#define VS_SCORE_RESULTS(X)                                                                    \
    X(VS_SCORE_OPEN, "open")         /* not judged */                                          \
    X(VS_SCORE_COMPARED, "compared") /* no tolerance is given: the error says it */            \
    X(VS_SCORE_HIT, "hit")                                                                     \
    X(VS_SCORE_MISS, "miss")                                                                   \
    X(VS_SCORE_NO_FIGURE, "no_figure") /* this version computes no such figure */

#define VS_X(id, ...) id,

typedef enum { VS_SCORE_FIGURES(VS_X) VS_SF_COUNT } vs_score_what;

typedef enum { VS_SCORE_RESULTS(VS_X) VS_SCORE_RESULT_COUNT } vs_score_result;

#undef VS_X

const char *vs_score_what_name(vs_score_what what);  /* "peak_allocated" */
const char *vs_score_what_words(vs_score_what what); /* "peak allocated" */
vs_score_unit vs_score_what_unit(vs_score_what what);
const char *vs_score_result_name(vs_score_result result);

#define VS_SCORE_OTHERS_MAX 8

typedef struct {
    vs_score_what what;
    uint32_t gpu;
    bool is_one_of_many; /* the source has a figure for every card */
    uint64_t measured;   /* bytes, nanoseconds or a vs_verdict */
    /* sizes that would be as right: requests of the same load, any of which could be the one to fail */
    uint64_t others[VS_SCORE_OTHERS_MAX];
    uint32_t other_count;
    const char *fitted;   /* which constant of ours was chosen to reproduce it, NULL: none */
    vs_bytes extra_bytes; /* the part of measured that the scenario does not contain */
    bool has_tolerance;
    uint32_t tolerance_ppm; /* of measured; 0: equal, to the last digit printed */
    uint64_t digit;         /* what one unit of that digit is worth */

    vs_score_result result;
    bool
        has_predicted; /* false: the simulated run has no such thing, as a load time where it ran out of memory */
    uint64_t predicted;
    bool has_error;    /* false too where 0 was measured */
    int64_t error_ppm; /* from measured, or from the nearest of others */
} vs_score_figure;

typedef enum {
    VS_SCORE_MEMORY,
    VS_SCORE_TIME,
    VS_SCORE_CASE,
    VS_SCORE_KIND_COUNT
} vs_score_kind;

const char *vs_score_kind_name(vs_score_kind kind); /* "memory", "time", "verdict" */

typedef enum {
    VS_ROW_OPEN,
    VS_ROW_JUDGED,
    VS_ROW_OUT_OF_REACH, /* needs what this version does not have */
    VS_ROW_FAILED        /* could not be simulated: an error of ours or of the facts */
} vs_score_state;

const char *vs_score_state_name(vs_score_state state); /* "judged", ... */

typedef struct {
    const char *id, *source;
    const char *notes;      /* what the source leaves open, and why the row is as it is */
    const char *confidence; /* of an entry, "" of a case */
    vs_score_kind kind;
    const char *const *args; /* "sim", MODEL, options */
    uint32_t arg_count;
    const char *config_text; /* MODEL is CONFIG:name: that config.json; else NULL */
    const char *host_text;   /* figures of the machine as a HOST.json, or NULL */
    uint32_t weight_milli;   /* thousandths; 1000 for an independent source */
    vs_score_figure *figures;
    uint32_t figure_count;

    /* filled by whoever runs it */
    vs_score_state state;
    vs_verdict verdict;  /* of the simulated run, once judged */
    const char *missing; /* out of reach: "--loader classic, --context" */
    const char *reason;  /* what the program said, out of reach or failed; "" otherwise */
} vs_score_row;

typedef struct {
    vs_score_row *rows;
    uint32_t count;
} vs_score_sheet;

/* Adds the rows of a facts file to the sheet; on failure the sheet is as it was. */
VS_MUST_CHECK bool vs_score_read(vs_score_sheet *sheet, vs_arena *arena, const void *text,
                                 size_t text_bytes, const char *input_name, vs_err *err);
/* The shipped facts. */
VS_MUST_CHECK bool vs_score_read_shipped(vs_score_sheet *sheet, vs_arena *arena, vs_err *err);

/* Fills the figures of the row from its run; the row is then judged. */
void vs_score_judge(vs_score_row *row, const vs_run_result *result);

typedef struct {
    uint32_t figure_count; /* with an error; what is not in reach has none */
    uint32_t none_count;   /* of judged rows, without a prediction */
    uint32_t
        fitted_count; /* of judged rows, left out: reproducing what one was fitted to is no test */
    uint64_t median_ppm; /* of the absolute errors; even counts: the mean of the middle two */
} vs_score_median;

/* A case is right when its verdict is; whole when every other figure hits too. */
typedef struct {
    uint32_t right, wrong, out_of_reach, failed, whole;
    uint64_t right_milli, wrong_milli, out_of_reach_milli, failed_milli, whole_milli;
} vs_score_verdicts;

typedef struct {
    uint32_t row_count, source_count, judged, out_of_reach, failed;
    vs_score_median memory, time; /* of entries */
    vs_score_verdicts
        verdicts; /* of cases; weights of one source are scaled down to 5 at most */
} vs_score_summary;

VS_MUST_CHECK bool vs_score_summarise(const vs_score_sheet *sheet, vs_arena *scratch,
                                      vs_score_summary *out, vs_err *err);

#endif /* VS_SCORE_H */
