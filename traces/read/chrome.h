/* traces/read/chrome.h - what the files of the reader of Chrome traces share.
 *
 *   chrome.c         the file around the events; what is said about it at the end
 *   chrome_event.c   one event: which kind it is, and what of it is kept
 *   chrome_order.c   memory events put in the order they happened in */
#ifndef VS_TRACES_CHROME_H
#define VS_TRACES_CHROME_H

#include "traces/read/json_stream.h"
#include "traces/read/rows.h"

#define CHROME_DEVICES_MAX 64u /* as builder_device */
#define CHROME_NO_DEVICE   UINT8_MAX
#define CHROME_BYTES_MAX   ((uint64_t)1 << 60) /* as a tape */

/* One event as slices of the window, good until it is refilled. */
typedef struct {
    vs_str ph;
    vs_str name;
    vs_str cat;
    vs_str ts;
    vs_str dur;
    vs_str pid;
    vs_str tid;
    json_walk args; /* in front of the value */
    bool has_args;
    bool is_name_escaped;
} chrome_event;

typedef struct {
    vs_rec_event event;
    vs_rec_totals totals;
    uint32_t thread; /* a hash of tid */
    uint8_t device;
} chrome_row;

/* An entry of deviceProperties. */
typedef struct {
    uint32_t ordinal;
    vs_str name; /* in scratch */
    vs_bytes capacity_bytes;
} chrome_props;

/* What was left out or is odd: each becomes a note. */
typedef struct {
    uint64_t events;
    uint64_t memory; /* [memory] events used */
    uint64_t oom;
    uint64_t counters;   /* of our own trace files */
    uint64_t slices;     /* copies, kernels, calls used */
    uint64_t incomplete; /* [memory] without Bytes or with what cannot be */
    uint64_t foreign;    /* [memory] of devices that are neither CPU nor CUDA */
    uint64_t bad_times;  /* no ts, or before 0 */
    uint64_t odd_copies; /* copies that are none of ours */
} chrome_counts;

typedef struct {
    json_stream s;
    const vs_read_desc *desc;
    vs_builder *b;
    vs_rows rows;  /* chrome_row, as in the file */
    vs_rows spans; /* vs_rec_span; CHROME_NO_DEVICE where the device is not told */
    chrome_counts counts;
    uint64_t base_ns;
    bool has_base;
    bool has_events; /* the list was there */
    bool is_kineto;
    bool is_own; /* written by our --trace */
    bool is_cut;
    bool is_cut_in_event;
    uint64_t cut_event_bytes;
    uint32_t props_count;
    chrome_props props[CHROME_DEVICES_MAX];
    char *text; /* decoded names */
    size_t text_bytes;
    vs_bytes levels[CHROME_DEVICES_MAX][VS_CAT_COUNT]; /* our own counters: the last of each */
    vs_str own_names[CHROME_DEVICES_MAX];              /* in scratch */
    bool has_own[CHROME_DEVICES_MAX];
    bool is_own_host[CHROME_DEVICES_MAX];
} chrome;

/* JSON_OBJECT: out is a whole event; JSON_ARRAY_END: there are no more; JSON_CUT; JSON_BAD. */
json_token chrome_event_parse(json_walk *w, chrome_event *out);
/* Keeps what is of interest. False: memory ran out. */
VS_MUST_CHECK bool chrome_event_take(chrome *c, const chrome_event *e, vs_err *err);
/* Hands all rows to the builder, in the order of time if that is how they happened, with notes. */
VS_MUST_CHECK bool chrome_order_rows(chrome *c, vs_err *err);

#endif /* VS_TRACES_CHROME_H */
