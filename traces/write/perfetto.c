/* traces/write/perfetto.c - Chrome trace event JSON, which ui.perfetto.dev and chrome://tracing open.
 *
 * Format: "Trace Event Format" (Google, document 1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU):
 * {"traceEvents": [...]}, each event an object with "ph":
 *
 *   M  names: a process per memory and one for the lanes, a thread per lane
 *   C  counters: "memory" of each device with one argument per category, after every event that
 *      moves one of them; "torch" with allocated and reserved bytes; "checkpoint" with the bytes in place
 *   X  slices: the spans of a lane. The format has no overlapping slices on one thread, so a span
 *      that begins before the one before it ends moves to a further thread of the same lane
 *   i  instants: phases, out of memory, surfaces, marks
 *
 * "ts" and "dur" are microseconds; three decimals carry whole nanoseconds, written as digits and never as
 * a rounded double. Within one track times do not decrease. */
#include "traces/write/tracks.h"
#include "vramscope/trace.h"

#include <stdio.h>
#include <string.h>

#define DEVICES_MAX 64  /* of a tape: vs_tape_add_device */
#define ROWS_MAX    64u /* threads of one lane: as many spans at once; more share the last */

/* One memory while its events are written. */
typedef struct {
    vs_tw_track categories[VS_CAT_COUNT];
    vs_tw_track allocated;
    vs_tw_track reserved;
} memory;

typedef struct {
    const vs_timeline *tl;
    vs_outfile *out;
    bool has_event; /* a comma is due */
    uint32_t lanes_pid;
    vs_tw_track progress;
    memory memories[DEVICES_MAX];
    bool has_oom;
} writer;

/* ---- one event --------------------------------------------------------------------------------- */

/* Opens the object of one event; members follow, then end_event. */
static vs_jwriter begin_event(writer *w, const char *phase, const char *name, uint32_t pid,
                              uint64_t tid)
{
    vs_outfile_printf(w->out, w->has_event ? ",\n" : "\n");
    w->has_event = true;
    /* inside the array that the file is: no line end after the closing brace */
    vs_jwriter j = vs_jwriter_of(w->out, true);
    j.is_array[0] = true;
    j.depth = 1;
    vs_jw_object(&j, NULL);
    vs_jw_str(&j, "ph", phase);
    vs_jw_str(&j, "name", name);
    vs_jw_u64(&j, "pid", pid);
    vs_jw_u64(&j, "tid", tid);
    return j;
}

static void end_event(vs_jwriter *j)
{
    vs_jw_end(j);
}

/* Nanoseconds as microseconds with three decimals: the whole ones as a number, the rest behind it. */
static void put_us(vs_jwriter *j, const char *key, vs_ns ns)
{
    vs_jw_u64(j, key, ns / 1000);
    vs_outfile_printf(j->out, ".%03u", (unsigned)(ns % 1000));
}

static void put_name(writer *w, const char *what, uint32_t pid, uint64_t tid, const char *name)
{
    vs_jwriter j = begin_event(w, "M", what, pid, tid);
    vs_jw_object(&j, "args");
    vs_jw_str(&j, "name", name);
    vs_jw_end(&j);
    end_event(&j);
}

static void put_sort_index(writer *w, const char *what, uint32_t pid, uint64_t tid,
                           uint64_t index)
{
    vs_jwriter j = begin_event(w, "M", what, pid, tid);
    vs_jw_object(&j, "args");
    vs_jw_u64(&j, "sort_index", index);
    vs_jw_end(&j);
    end_event(&j);
}

/* ---- counters and instants --------------------------------------------------------------------------- */

static uint32_t pid_of(uint32_t device)
{
    return device + 1;
}

static void put_memory(writer *w, uint32_t device, vs_ns time_ns)
{
    const memory *m = &w->memories[device];
    vs_jwriter j = begin_event(w, "C", "memory", pid_of(device), 0);
    put_us(&j, "ts", time_ns);
    vs_jw_object(&j, "args");
    for (uint32_t c = 0; c < VS_CAT_COUNT; c++) {
        if (m->categories[c].values != NULL) {
            vs_jw_u64(&j, vs_category_key((vs_category)c), m->categories[c].value);
        }
    }
    vs_jw_end(&j);
    end_event(&j);
}

static void put_torch(writer *w, uint32_t device, vs_ns time_ns)
{
    const memory *m = &w->memories[device];
    vs_jwriter j = begin_event(w, "C", "torch", pid_of(device), 0);
    put_us(&j, "ts", time_ns);
    vs_jw_object(&j, "args");
    vs_jw_u64(&j, "allocated", m->allocated.value);
    vs_jw_u64(&j, "reserved", m->reserved.value);
    vs_jw_end(&j);
    end_event(&j);
}

static void put_progress(writer *w, vs_ns time_ns)
{
    vs_jwriter j = begin_event(w, "C", "checkpoint", w->lanes_pid, 0);
    put_us(&j, "ts", time_ns);
    vs_jw_object(&j, "args");
    vs_jw_u64(&j, "in_place", w->progress.value);
    vs_jw_end(&j);
    end_event(&j);
}

/* "g": a line through all tracks; "p": within the process of the device. */
static void put_instant(writer *w, const vs_event *event, const char *name, const char *scope)
{
    vs_jwriter j = begin_event(w, "i", name, pid_of(event->device), 0);
    put_us(&j, "ts", event->time_ns);
    vs_jw_str(&j, "s", scope);
    vs_jw_object(&j, "args");
    vs_jw_str(&j, "kind", vs_event_kind_key((vs_event_kind)event->kind));
    if (event->kind == VS_EV_OOM) {
        vs_jw_str(&j, "tensor", vs_timeline_string(w->tl, event->name));
        vs_jw_u64(&j, "requested_bytes", event->asked_bytes);
        vs_jw_u64(&j, "attempted_bytes", event->size_bytes);
        vs_jw_u64(&j, "free_bytes", event->extra);
    }
    vs_jw_end(&j);
    end_event(&j);
}

static const char *name_or(const writer *w, uint32_t name, const char *otherwise)
{
    const char *text = vs_timeline_string(w->tl, name);
    return text[0] != '\0' ? text : otherwise;
}

static void put_if_instant(writer *w, const vs_event *event)
{
    switch ((vs_event_kind)event->kind) {
    case VS_EV_OOM:
        /* The first crosses every track; those that follow it would drown it. */
        put_instant(w, event, "out of memory", w->has_oom ? "t" : "g");
        w->has_oom = true;
        return;
    case VS_EV_PHASE: put_instant(w, event, name_or(w, event->name, "phase"), "g"); return;
    case VS_EV_SURFACE: put_instant(w, event, "failure surfaces", "g"); return;
    case VS_EV_MARK: put_instant(w, event, name_or(w, event->name, "mark"), "p"); return;
    case VS_EV_ALLOC:
    case VS_EV_FREE:
    case VS_EV_RECAT:
    case VS_EV_SEGMENT_ALLOC:
    case VS_EV_SEGMENT_FREE:
    case VS_EV_SEGMENT_MAP:
    case VS_EV_SEGMENT_UNMAP:
    case VS_EV_LEVEL:
    case VS_EV_PROGRESS:
    case VS_EV_FREE_REQUESTED:
    case VS_EV_COUNT: return;
    }
}

static void write_event(writer *w, uint32_t index)
{
    const vs_event event = vs_timeline_event(w->tl, index);
    if (vs_tw_advance(&w->progress, index)) {
        put_progress(w, event.time_ns);
    }
    if (event.device >= w->tl->device_count) {
        return;
    }
    memory *m = &w->memories[event.device];
    bool is_moved = false;
    for (uint32_t c = 0; c < VS_CAT_COUNT; c++) {
        is_moved = vs_tw_advance(&m->categories[c], index) || is_moved;
    }
    if (is_moved) {
        put_memory(w, event.device, event.time_ns);
    }
    bool is_torch_moved = vs_tw_advance(&m->allocated, index);
    is_torch_moved = vs_tw_advance(&m->reserved, index) || is_torch_moved;
    if (is_torch_moved) {
        put_torch(w, event.device, event.time_ns);
    }
    put_if_instant(w, &event);
}

static void write_memories(writer *w)
{
    for (uint32_t d = 0; d < w->tl->device_count; d++) {
        memory *m = &w->memories[d];
        for (uint32_t c = 0; c < VS_CAT_COUNT; c++) {
            m->categories[c] =
                vs_tw_track_of(w->tl, (uint8_t)d, VS_TRACK_CATEGORY, (vs_category)c);
        }
        m->allocated = vs_tw_track_of(w->tl, (uint8_t)d, VS_TRACK_ALLOCATED, VS_CAT_CONTEXT);
        m->reserved = vs_tw_track_of(w->tl, (uint8_t)d, VS_TRACK_RESERVED, VS_CAT_CONTEXT);
        put_name(w, "process_name", pid_of(d), 0,
                 vs_timeline_string(w->tl, w->tl->devices[d].name));
        put_sort_index(w, "process_sort_index", pid_of(d), 0, d);
    }
    for (uint32_t t = 0; t < w->tl->track_count; t++) {
        if (w->tl->tracks[t].role == VS_TRACK_PROGRESS) {
            w->progress = vs_tw_track_of(w->tl, w->tl->tracks[t].device, VS_TRACK_PROGRESS,
                                         VS_CAT_CONTEXT);
        }
    }
    for (uint32_t i = 0; i < w->tl->event_count; i++) {
        write_event(w, i);
    }
}

/* ---- lanes ----------------------------------------------------------------------------------------- */

/* The threads of one lane: when each becomes free. */
typedef struct {
    uint32_t lane;
    uint32_t count;
    vs_ns free_ns[ROWS_MAX];
} lane_rows;

static uint64_t tid_of(const lane_rows *rows, uint32_t row)
{
    return (uint64_t)rows->lane * ROWS_MAX + row + 1;
}

/* The first thread that is free at start_ns; a new one gets its name. */
static uint32_t take_row(writer *w, lane_rows *rows, vs_ns start_ns)
{
    uint32_t row = 0;
    while (row < rows->count && rows->free_ns[row] > start_ns) {
        row++;
    }
    if (row == ROWS_MAX) {
        return ROWS_MAX - 1;
    }
    if (row == rows->count) {
        char name[128] = {0};
        const char *lane = vs_timeline_string(w->tl, w->tl->lanes[rows->lane].name);
        if (row == 0) {
            (void)snprintf(name, sizeof name, "%.100s", lane);
        } else {
            (void)snprintf(name, sizeof name, "%.100s (%u)", lane, row + 1);
        }
        put_name(w, "thread_name", w->lanes_pid, tid_of(rows, row), name);
        put_sort_index(w, "thread_sort_index", w->lanes_pid, tid_of(rows, row),
                       tid_of(rows, row));
        rows->count++;
    }
    return row;
}

static void write_lane(writer *w, uint32_t lane)
{
    const vs_timeline *tl = w->tl;
    lane_rows rows = {.lane = lane};
    for (uint64_t i = 0; i < tl->lanes[lane].count; i++) {
        const uint64_t span = tl->lanes[lane].first + i;
        const vs_category category = (vs_category)tl->span_category[span];
        const uint32_t row = take_row(w, &rows, tl->span_start[span]);
        rows.free_ns[row] = tl->span_end[span];
        vs_jwriter j =
            begin_event(w, "X", name_or(w, tl->span_name[span], vs_category_label(category)),
                        w->lanes_pid, tid_of(&rows, row));
        put_us(&j, "ts", tl->span_start[span]);
        put_us(&j, "dur", tl->span_end[span] - tl->span_start[span]);
        vs_jw_object(&j, "args");
        vs_jw_u64(&j, "bytes", tl->span_bytes[span]);
        vs_jw_str(&j, "category", vs_category_key(category));
        vs_jw_end(&j);
        end_event(&j);
    }
}

static void write_lanes(writer *w)
{
    if (w->tl->lane_count == 0 && w->progress.values == NULL) {
        return;
    }
    put_name(w, "process_name", w->lanes_pid, 0, "lanes");
    put_sort_index(w, "process_sort_index", w->lanes_pid, 0, w->tl->device_count);
    for (uint32_t lane = 0; lane < w->tl->lane_count; lane++) {
        write_lane(w, lane);
    }
}

/* ---- the file ----------------------------------------------------------------------------------------- */

static void write_meta(writer *w)
{
    vs_jwriter j = vs_jwriter_of(w->out, true);
    j.depth = 1; /* inside the object that the file is */
    j.has_item[0] = true;
    vs_jw_str(&j, "displayTimeUnit", "ns");
    vs_jw_str(&j, "vramscopeVersion", VS_VERSION);
    vs_jw_object(&j, "otherData");
    for (uint32_t i = 0; i < w->tl->meta_count; i++) {
        vs_jw_str(&j, vs_timeline_string(w->tl, w->tl->metas[i].key),
                  vs_timeline_string(w->tl, w->tl->metas[i].value));
    }
    vs_jw_end(&j);
}

bool vs_trace_write_perfetto(const vs_timeline *tl, const char *path, vs_err *err)
{
    vs_assert(tl->device_count <= DEVICES_MAX);
    vs_outfile *out = vs_outfile_open(path, err);
    if (out == NULL) {
        return false;
    }
    writer w = {.tl = tl, .out = out, .lanes_pid = tl->device_count + 1};
    vs_outfile_printf(out, "{\"traceEvents\": [");
    write_memories(&w);
    write_lanes(&w);
    vs_outfile_printf(out, "\n]");
    write_meta(&w);
    vs_outfile_printf(out, "}\n");
    return vs_outfile_commit(out, err);
}
