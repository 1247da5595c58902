/* traces/read/tape.c - a recording as a tape, without replaying it.
 *
 * What a recording tells is put on the tape as it is, device by device in its own order, the devices merged by time; where a
 * clock goes backwards time stands still. What it does not tell is not made up: no addresses for bytes that only totals
 * speak of, no segments where nothing says what was reserved (then the tape has no reserved memory at all). What had to be
 * put right is counted and said in the facts of the tape, "note.1" and so on, behind the recording's own notes.
 *
 *   device  ->  what was there before (tape_before.c), then event by event (tape_device.c)
 *   spans   ->  lanes: "pcie h2d", "pcie d2h", "gpu", "peer", "disk", "cuda calls"
 *   ranges  ->  phases (steps of a profiler, phases of a program) or marks (everything else) */
#include "traces/read/tape.h"
#include "traces/read/order.h"

#include <stdio.h>
#include <string.h>

#define NOTES_MAX 64u

/* ---- names, notes ------------------------------------------------------------------------------ */

uint32_t maker_name(maker *m, uint32_t label)
{
    if (label == 0 || label >= m->rec->string_count) {
        return VS_NO_NAME;
    }
    if (m->names[label] == 0) {
        m->names[label] =
            vs_tape_string(m->tape, vs_str_of(vs_recording_string(m->rec, label)));
    }
    return m->names[label];
}

static void put_note(maker *m, const char *text)
{
    char key[16] = {0};
    if (m->note_count < NOTES_MAX) {
        m->note_count++;
        (void)snprintf(key, sizeof key, "note.%" PRIu32, m->note_count);
        vs_tape_set_meta(m->tape, key, text);
    }
}

static void note_count(maker *m, const maker_device *d, uint64_t count, const char *what)
{
    char text[256] = {0};
    if (count == 0) {
        return;
    }
    (void)snprintf(text, sizeof text, "%s %" PRIu32 ", %s: %" PRIu64,
                   d->rec->is_host ? "host" : "GPU", d->rec->ordinal, what, count);
    put_note(m, text);
}

static void note_device(maker *m, const maker_device *d)
{
    const maker_counts *const n = &d->counts;
    note_count(m, d, n->unknown_frees, "frees passed over because their block is not there");
    note_count(
        m, d, n->missed_frees,
        "addresses given out again without a free in between, where the older block ends");
    note_count(m, d, n->other_sizes, "frees that tell another size than the allocation did");
    note_count(m, d, n->adjusted,
               "totals that differ from the blocks; the difference is the block \"before the "
               "recording\"");
    note_count(m, d, n->unexplained, "totals below what the live blocks hold");
    note_count(
        m, d, n->reserved_odd,
        "times that blocks held more than was reserved, which is shown as large as they are");
    note_count(m, d, n->hidden_levels,
               "samples left out because their category is known by blocks");
    note_count(m, d, n->folded_levels,
               "counters of rounding waste or reserved-free memory, shown as other");
    if (d->is_covered) {
        put_note(m,
                 "what the driver gave is shown as held: how much of it was in use is not in "
                 "the file");
    }
}

static bool has_blocks_without_address(const vs_recording *rec)
{
    for (uint32_t d = 0; d < rec->device_count; d++) {
        for (uint32_t i = 0; i < rec->devices[d].event_count; i++) {
            const vs_rec_event *const event = &rec->devices[d].events[i];
            const bool is_block =
                event->action == VS_REC_ALLOC || event->action == VS_REC_FREE_COMPLETED;
            if (is_block && (event->flags & VS_REC_NO_ADDR) != 0) {
                return true;
            }
        }
    }
    return false;
}

/* ---- devices ---------------------------------------------------------------------------------------- */

static bool open_devices(maker *m, vs_err *err)
{
    for (uint32_t i = 0; i < m->rec->device_count; i++) {
        const vs_rec_device *const rec = &m->rec->devices[i];
        char name[32] = {0};
        (void)snprintf(name, sizeof name, "%s %" PRIu32, rec->is_host ? "host" : "GPU",
                       rec->ordinal);
        const bool has_name = rec->name != NULL && rec->name[0] != '\0';
        maker_device *const d = &m->devices[i];
        d->rec = rec;
        d->index = vs_tape_add_device(m->tape, rec->is_host ? VS_DEVICE_HOST : VS_DEVICE_GPU,
                                      has_name ? rec->name : name, rec->capacity_bytes);
        if (!maker_look_before(m, d, err)) {
            return false;
        }
    }
    for (uint32_t i = 0; i < m->rec->device_count; i++) {
        if (!maker_put_before(m, &m->devices[i], err)) {
            return false;
        }
    }
    vs_tape_recording_begins(m->tape);
    return true;
}

/* ---- ranges -------------------------------------------------------------------------------------------- */

static bool is_phase(const vs_recording *rec, const char *name)
{
    /* the profiler's own steps are phases; other ranges of a traced program overlap and are many */
    return rec->format != VS_TRACE_CHROME || strcmp(rec->made_by, "PyTorch profiler") != 0 ||
           strncmp(name, "ProfilerStep#", strlen("ProfilerStep#")) == 0;
}

static void put_annotation(maker *m, const vs_rec_annotation *annotation)
{
    const char *const stage = vs_recording_string(m->rec, annotation->stage);
    const char *const name = vs_recording_string(m->rec, annotation->name);
    if (strcmp(stage, "END") == 0) {
        return;
    }
    const vs_event event = {.time_ns = m->now,
                            .kind = is_phase(m->rec, name) ? VS_EV_PHASE : VS_EV_MARK,
                            .name = maker_name(m, annotation->name),
                            .block = VS_NO_BLOCK};
    vs_tape_event(m->tape, &event);
}

static uint32_t *order_annotations(const maker *m)
{
    const uint32_t count = m->rec->annotation_count;
    uint64_t *const keys = VS_RAW_ARRAY(m->scratch, uint64_t, count);
    if (keys == NULL) {
        return NULL;
    }
    for (uint32_t i = 0; i < count; i++) {
        keys[i] = m->rec->annotations[i].time_ns;
    }
    return order_by_key(keys, count, m->scratch);
}

/* ---- the merge --------------------------------------------------------------------------------------------- */

static vs_ns next_time(const maker_device *d)
{
    const vs_ns time_ns = d->rec->events[d->next].time_ns;
    return time_ns > d->last_ns ? time_ns : d->last_ns;
}

/* The device whose next event is earliest, or NULL. */
static maker_device *next_device(const maker *m)
{
    maker_device *best = NULL;
    for (uint32_t i = 0; i < m->rec->device_count; i++) {
        maker_device *const d = &m->devices[i];
        if (d->next < d->rec->event_count && (best == NULL || next_time(d) < next_time(best))) {
            best = d;
        }
    }
    return best;
}

static bool put_next(maker *m, maker_device *d, vs_err *err)
{
    const uint32_t i = d->next++;
    const vs_rec_totals *const totals = d->rec->totals != NULL ? &d->rec->totals[i] : NULL;
    return maker_put_event(m, d, &d->rec->events[i], totals, err);
}

static bool put_events(maker *m, vs_err *err)
{
    const uint32_t *const order = order_annotations(m);
    uint32_t annotation = 0;
    if (order == NULL) {
        return vs_fail_memory(err, m->scratch, "the annotations of a recording");
    }
    for (;;) {
        maker_device *const d = next_device(m);
        const vs_rec_annotation *const next = annotation < m->rec->annotation_count
                                                  ? &m->rec->annotations[order[annotation]]
                                                  : NULL;
        if (next != NULL && (d == NULL || next->time_ns <= next_time(d))) {
            m->now = next->time_ns > m->now ? next->time_ns : m->now;
            put_annotation(m, next);
            annotation++;
            continue;
        }
        if (d == NULL) {
            return true;
        }
        d->last_ns = next_time(d);
        m->now = d->last_ns > m->now ? d->last_ns : m->now;
        if (!put_next(m, d, err)) {
            return false;
        }
    }
}

/* ---- lanes -------------------------------------------------------------------------------------------------------- */

enum { LANE_H2D, LANE_D2H, LANE_GPU, LANE_PEER, LANE_DISK, LANE_CALLS, LANE_COUNT };

static const struct {
    uint8_t lane;
    uint8_t category; /* its colour */
} work_lanes[VS_REC_WORK_COUNT] = {
    [VS_REC_H2D_PINNED] = {LANE_H2D, VS_CAT_STAGING},
    [VS_REC_H2D_PAGEABLE] = {LANE_H2D, VS_CAT_STAGING},
    [VS_REC_D2H_PINNED] = {LANE_D2H, VS_CAT_STAGING},
    [VS_REC_D2H_PAGEABLE] = {LANE_D2H, VS_CAT_STAGING},
    [VS_REC_D2D] = {LANE_GPU, VS_CAT_TENSOR},
    [VS_REC_PEER] = {LANE_PEER, VS_CAT_STAGING},
    [VS_REC_MEMSET] = {LANE_GPU, VS_CAT_TENSOR},
    [VS_REC_KERNEL] = {LANE_GPU, VS_CAT_ACT},
    [VS_REC_READ] = {LANE_DISK, VS_CAT_PAGECACHE},
    [VS_REC_CALL] = {LANE_CALLS, VS_CAT_CONTEXT},
};

static const char *const lane_names[LANE_COUNT] = {"pcie h2d", "pcie d2h", "gpu",
                                                   "peer",     "disk",     "cuda calls"};

typedef struct {
    bool is_there[MAKER_DEVICES_MAX][LANE_COUNT];
    uint16_t lane[MAKER_DEVICES_MAX][LANE_COUNT];
} lane_table;

/* Lanes of the first device that has work have plain names, those of others its number behind it. */
static uint16_t lane_of(maker *m, lane_table *t, const vs_rec_span *span, uint8_t first_device)
{
    const uint8_t lane = work_lanes[span->kind].lane;
    if (!t->is_there[span->device][lane]) {
        char name[48] = {0};
        if (span->device == first_device) {
            (void)snprintf(name, sizeof name, "%s", lane_names[lane]);
        } else {
            (void)snprintf(name, sizeof name, "%s %" PRIu32, lane_names[lane],
                           m->rec->devices[span->device].ordinal);
        }
        t->is_there[span->device][lane] = true;
        t->lane[span->device][lane] = vs_tape_add_lane(m->tape, name);
    }
    return t->lane[span->device][lane];
}

static bool is_usable(const maker *m, const vs_rec_span *span)
{
    return span->kind < VS_REC_WORK_COUNT && span->device < m->rec->device_count &&
           span->end_ns >= span->start_ns;
}

static bool put_spans(maker *m, vs_err *err)
{
    lane_table *const table = VS_NEW(m->scratch, lane_table);
    uint8_t first_device = UINT8_MAX;
    if (table == NULL) {
        return vs_fail_memory(err, m->scratch, "the lanes of a recording");
    }
    for (uint32_t i = 0; i < m->rec->span_count; i++) {
        const vs_rec_span *const span = &m->rec->spans[i];
        if (is_usable(m, span) && span->device < first_device) {
            first_device = span->device;
        }
    }
    for (uint32_t i = 0; i < m->rec->span_count; i++) {
        const vs_rec_span *const span = &m->rec->spans[i];
        if (is_usable(m, span)) {
            const uint16_t lane = lane_of(m, table, span, first_device);
            vs_tape_span(m->tape, lane, span->start_ns, span->end_ns,
                         (vs_category)work_lanes[span->kind].category,
                         maker_name(m, span->label), span->bytes);
        }
    }
    return true;
}

/* ---- all of it ------------------------------------------------------------------------------------------------------- */

static bool make(maker *m, vs_err *err)
{
    m->devices = VS_ARRAY(m->scratch, maker_device, m->rec->device_count);
    m->names = VS_ARRAY(m->scratch, uint32_t, m->rec->string_count);
    if (m->devices == NULL || m->names == NULL) {
        return vs_fail_memory(err, m->scratch, "a tape of a recording");
    }
    m->before_name = vs_tape_string(m->tape, vs_str_of("before the recording"));
    if (!open_devices(m, err) || !put_events(m, err) || !put_spans(m, err)) {
        return false;
    }
    for (uint32_t i = 0; i < m->rec->note_count; i++) {
        put_note(m, m->rec->notes[i]);
    }
    for (uint32_t i = 0; i < m->rec->device_count; i++) {
        note_device(m, &m->devices[i]);
    }
    if (has_blocks_without_address(m->rec)) {
        put_note(m,
                 "blocks have no address: of several of one size, the youngest is taken to go "
                 "first");
    }
    return true;
}

bool vs_recording_to_tape(const vs_recording *rec, vs_tape *tape, vs_arena *scratch,
                          vs_err *err)
{
    if (rec->device_count == 0 || rec->device_count > MAKER_DEVICES_MAX) {
        return vs_fail(err, VS_ERR_VALUE, "a recording of %" PRIu32 " devices cannot be shown",
                       rec->device_count);
    }
    const size_t mark = scratch->used_bytes;
    maker m = {.rec = rec, .tape = tape, .scratch = scratch};
    const bool is_made = make(&m, err);
    vs_arena_rewind(scratch, mark);
    return is_made;
}
