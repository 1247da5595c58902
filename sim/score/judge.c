/* sim/score/judge.c - one row's figures beside those of its simulated run.
 *
 * Sources print torch.cuda.memory_allocated(), so that counter is taken and not the bytes the tensors asked for. A figure
 * whose counter the source does not tell is right anywhere from peak allocated to peak used; its error is the distance to the
 * nearer end, 0 inside. */
#include "vramscope/score.h"

#define MILLION UINT64_C(1000000)

static const struct {
    const char *name;
    const char *words;
    vs_score_unit unit;
} figures[] = {

#define VS_X(id, name, words, unit) {name, words, unit},
    VS_SCORE_FIGURES(VS_X)
#undef VS_X
};

const char *vs_score_what_name(vs_score_what what)
{
    vs_assert((unsigned)what < VS_SF_COUNT);
    return figures[what].name;
}

const char *vs_score_what_words(vs_score_what what)
{
    vs_assert((unsigned)what < VS_SF_COUNT);
    return figures[what].words;
}

vs_score_unit vs_score_what_unit(vs_score_what what)
{
    vs_assert((unsigned)what < VS_SF_COUNT);
    return figures[what].unit;
}

const char *vs_score_result_name(vs_score_result result)
{
    static const char *const names[] = {
#define VS_X(id, name) name,
        VS_SCORE_RESULTS(VS_X)
#undef VS_X
    };
    vs_assert((unsigned)result < VS_SCORE_RESULT_COUNT);
    return names[result];
}

const char *vs_score_kind_name(vs_score_kind kind)
{
    static const char *const names[] = {"memory", "time", "verdict"};
    vs_assert((unsigned)kind < VS_SCORE_KIND_COUNT);
    return names[kind];
}

const char *vs_score_state_name(vs_score_state state)
{
    static const char *const names[] = {"open", "judged", "out_of_reach", "failed"};
    vs_assert((unsigned)state <= VS_ROW_FAILED);
    return names[state];
}

/* What the run has to say about a figure: from low to high, the same unless the counter is not told. */
typedef struct {
    bool is_computed; /* by this version */
    bool is_there;    /* in this run */
    uint64_t low, high;
} answer;

static answer exactly(uint64_t value, bool is_there)
{
    return (answer){.is_computed = true, .is_there = is_there, .low = value, .high = value};
}

static answer of_card(const vs_score_figure *f, const vs_run_result *r)
{
    const vs_gpu_result *gpu = &r->gpus[f->gpu];
    const bool fits = r->verdict == VS_VERDICT_FITS;
    switch (f->what) {
    case VS_SF_PEAK_ALLOCATED: return exactly(gpu->peak_memory_allocated_bytes, fits);
    case VS_SF_PEAK_RESERVED: return exactly(gpu->peak_reserved_bytes, fits);
    case VS_SF_FINAL_ALLOCATED:
    case VS_SF_RESIDENT: return exactly(gpu->final_memory_allocated_bytes, fits);
    case VS_SF_PEAK_ANY:
        return (answer){.is_computed = true,
                        .is_there = fits,
                        .low = gpu->peak_memory_allocated_bytes,
                        .high = gpu->peak_used_bytes};
    case VS_SF_VERDICT:
    case VS_SF_TRIED:
    case VS_SF_OOM_ALLOCATED:
    case VS_SF_LOAD:
    case VS_SF_PER_TOKEN:
    case VS_SF_HOST_WEIGHTS:
    case VS_SF_COUNT: break;
    }
    return (answer){0};
}

static answer ask(const vs_score_figure *f, const vs_run_result *r)
{
    switch (f->what) {
    case VS_SF_VERDICT: return exactly(r->verdict, true);
    case VS_SF_TRIED: return exactly(r->oom.attempted_bytes, r->has_oom);
    case VS_SF_OOM_ALLOCATED: return exactly(r->oom.allocated_bytes, r->has_oom);
    case VS_SF_LOAD: return exactly(r->load_ns, r->verdict == VS_VERDICT_FITS);
    case VS_SF_PEAK_ALLOCATED:
    case VS_SF_PEAK_RESERVED:
    case VS_SF_PEAK_ANY:
    case VS_SF_FINAL_ALLOCATED:
    case VS_SF_RESIDENT: return f->gpu < r->gpu_count ? of_card(f, r) : (answer){0};
    case VS_SF_PER_TOKEN:    /* no generation yet */
    case VS_SF_HOST_WEIGHTS: /* no offload yet */
    case VS_SF_COUNT: break;
    }
    return (answer){0};
}

static uint64_t distance(uint64_t a, uint64_t b)
{
    return a > b ? a - b : b - a;
}

static int64_t error_ppm(uint64_t predicted, uint64_t measured)
{
    uint64_t ppm = 0;
    if (!vs_muldiv_u64(distance(predicted, measured), MILLION, measured, &ppm) ||
        ppm > INT64_MAX) {
        ppm = INT64_MAX;
    }
    return predicted < measured ? -(int64_t)ppm : (int64_t)ppm;
}

/* Of the sizes that are right, the one nearest to what was predicted. */
static uint64_t nearest_right(const vs_score_figure *f)
{
    uint64_t nearest = f->measured;
    for (uint32_t i = 0; i < f->other_count; i++) {
        if (distance(f->predicted, f->others[i]) < distance(f->predicted, nearest)) {
            nearest = f->others[i];
        }
    }
    return nearest;
}

static vs_score_result judged(const vs_score_figure *f, uint64_t right)
{
    uint64_t allowed = 0;
    if (!f->has_tolerance) {
        return VS_SCORE_COMPARED;
    }
    if (!vs_muldiv_u64(right, f->tolerance_ppm, MILLION, &allowed)) {
        return VS_SCORE_MISS;
    }
    /* a figure printed to a digit stands for anything within half of it */
    allowed = allowed > f->digit / 2 ? allowed : f->digit / 2;
    return distance(f->predicted, right) <= allowed ? VS_SCORE_HIT : VS_SCORE_MISS;
}

static void judge_figure(vs_score_figure *f, const vs_run_result *r)
{
    const answer a = ask(f, r);
    f->has_predicted = a.is_computed && a.is_there;
    f->has_error = false;
    if (!a.is_computed) {
        f->result = VS_SCORE_NO_FIGURE;
        return;
    }
    if (!a.is_there) {
        f->result = VS_SCORE_MISS;
        return;
    }
    uint64_t low = a.low;
    uint64_t high = a.high;
    if (!vs_add_u64(low, f->extra_bytes, &low) || !vs_add_u64(high, f->extra_bytes, &high)) {
        low = UINT64_MAX;
        high = UINT64_MAX;
    }
    f->predicted = f->measured < low ? low : f->measured > high ? high : f->measured;
    const uint64_t right = nearest_right(f);
    if (vs_score_what_unit(f->what) != VS_SCORE_VERDICT && right > 0) {
        f->has_error = true;
        f->error_ppm = error_ppm(f->predicted, right);
    }
    f->result = judged(f, right);
}

void vs_score_judge(vs_score_row *row, const vs_run_result *result)
{
    for (uint32_t i = 0; i < row->figure_count; i++) {
        judge_figure(&row->figures[i], result);
    }
    row->verdict = result->verdict;
    row->state = VS_ROW_JUDGED;
}
