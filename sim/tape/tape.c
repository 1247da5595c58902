/* sim/tape/tape.c - the tape while it is being written.
 *
 * Appending an event copies 56 bytes into the current chunk. Everything that can be found wrong
 * later is looked at when sealing; only the order of time is checked here, because it costs one
 * comparison and the caller's stack still knows who did it.
 *
 * A failed tape has event_at == event_stop and span_at == span_stop, so that the fast paths
 * need no test of their own for the sticky error. */
#include "sim/tape/internal.h"

#include <string.h>

#define FIRST_ENTRIES 16u

static const char *const category_keys[VS_CAT_COUNT] = {
#define VS_X(id, key, label) key,
    VS_CATEGORIES(VS_X)
#undef VS_X
};

static const char *const category_labels[VS_CAT_COUNT] = {
#define VS_X(id, key, label) label,
    VS_CATEGORIES(VS_X)
#undef VS_X
};

static const char *const event_kind_keys[VS_EV_COUNT] = {
#define VS_X(id, key) key,
    VS_EVENT_KINDS(VS_X)
#undef VS_X
};

_Static_assert(sizeof(vs_event) == 56, "an event row has no padding");
_Static_assert(sizeof(span_row) == 32, "a span row has no padding");
_Static_assert(VS_EV_COUNT <= 16, "kinds_seen has a bit for every kind");

const char *vs_category_key(vs_category category)
{
    return (uint32_t)category < VS_CAT_COUNT ? category_keys[category] : "";
}

const char *vs_category_label(vs_category category)
{
    return (uint32_t)category < VS_CAT_COUNT ? category_labels[category] : "";
}

const char *vs_event_kind_key(vs_event_kind kind)
{
    return (uint32_t)kind < VS_EV_COUNT ? event_kind_keys[kind] : "";
}

/* ---- failing ------------------------------------------------------------------------- */

/* Call after the reason was put into tape->err. */
static void stop(vs_tape *tape)
{
    tape->event_stop = tape->event_at;
    tape->span_stop = tape->span_at;
}

static void fail_memory(vs_tape *tape, const char *what)
{
    (void)vs_fail_memory(&tape->err, tape->arena, what);
    stop(tape);
}

bool vs_tape_has_failed(const vs_tape *tape)
{
    return tape->err.code != VS_OK;
}

/* ---- making ---------------------------------------------------------------------------- */

vs_tape *vs_tape_new(vs_arena *arena, const vs_tape_desc *desc)
{
    vs_tape *tape = VS_NEW(arena, vs_tape);
    if (tape == NULL) {
        return NULL;
    }
    tape->arena = arena;
    const uint32_t strings = desc != NULL ? desc->expected_strings : 0;
    if (!strings_init(&tape->strings, arena, strings)) {
        return NULL;
    }
    return tape;
}

static uint32_t string_id(vs_tape *tape, uint32_t id)
{
    if (id == UINT32_MAX) {
        fail_memory(tape, "the strings of a tape");
        return VS_NO_NAME;
    }
    return id;
}

uint32_t vs_tape_string(vs_tape *tape, vs_str text)
{
    return vs_tape_has_failed(tape)
               ? VS_NO_NAME
               : string_id(tape, strings_add(&tape->strings, tape->arena, text, true));
}

uint32_t vs_tape_name(vs_tape *tape, const char *text)
{
    const vs_str name = vs_str_of(text);
    return vs_tape_has_failed(tape)
               ? VS_NO_NAME
               : string_id(tape, strings_add(&tape->strings, tape->arena, name, false));
}

uint32_t vs_tape_new_name(vs_tape *tape, const char *text)
{
    const vs_str name = vs_str_of(text);
    return vs_tape_has_failed(tape)
               ? VS_NO_NAME
               : string_id(tape, strings_append(&tape->strings, tape->arena, name));
}

/* Room for one more element: the old array, or a copy twice as long; NULL after a failure. */
static void *grown(vs_tape *tape, void *old, uint32_t count, uint32_t *capacity,
                   size_t elem_bytes)
{
    if (count < *capacity) {
        return old;
    }
    const uint32_t wanted = count > 0 ? count * 2 : FIRST_ENTRIES;
    void *bigger = vs_arena_array(tape->arena, wanted, elem_bytes, sizeof(uint64_t));
    if (bigger == NULL) {
        fail_memory(tape, "the lanes and facts of a tape");
        return NULL;
    }
    if (count > 0) {
        memcpy(bigger, old, count * elem_bytes);
    }
    *capacity = wanted;
    return bigger;
}

void vs_tape_set_meta(vs_tape *tape, const char *key, const char *value)
{
    const uint32_t key_id = vs_tape_string(tape, vs_str_of(key));
    const uint32_t value_id = vs_tape_string(tape, vs_str_of(value));
    if (vs_tape_has_failed(tape)) {
        return;
    }
    for (uint32_t i = 0; i < tape->meta_count; i++) {
        if (tape->metas[i].key == key_id) {
            tape->metas[i].value = value_id;
            return;
        }
    }
    vs_meta_info *metas =
        grown(tape, tape->metas, tape->meta_count, &tape->meta_capacity, sizeof *metas);
    if (metas == NULL) {
        return;
    }
    metas[tape->meta_count] = (vs_meta_info){.key = key_id, .value = value_id};
    tape->meta_count++;
    tape->metas = metas;
}

uint8_t vs_tape_add_device(vs_tape *tape, vs_device_kind kind, const char *name,
                           vs_bytes capacity_bytes)
{
    const uint32_t name_id = vs_tape_string(tape, vs_str_of(name));
    if (vs_tape_has_failed(tape)) {
        return UINT8_MAX;
    }
    if (tape->device_count == TAPE_MAX_DEVICES) {
        (void)vs_fail(&tape->err, VS_ERR_LIMIT,
                      "a tape holds at most %u memories; \"%s\" is one more", TAPE_MAX_DEVICES,
                      name);
        stop(tape);
        return UINT8_MAX;
    }
    tape->devices[tape->device_count] = (vs_device_info){
        .name = name_id, .kind = (uint32_t)kind, .capacity_bytes = capacity_bytes};
    tape->device_count++;
    return (uint8_t)(tape->device_count - 1);
}

uint16_t vs_tape_add_lane(vs_tape *tape, const char *name)
{
    const uint32_t name_id = vs_tape_string(tape, vs_str_of(name));
    if (vs_tape_has_failed(tape)) {
        return UINT16_MAX;
    }
    if (tape->lane_count == TAPE_MAX_LANES) {
        (void)vs_fail(&tape->err, VS_ERR_LIMIT,
                      "a tape holds at most %u lanes; \"%s\" is one more", TAPE_MAX_LANES,
                      name);
        stop(tape);
        return UINT16_MAX;
    }
    uint32_t *names =
        grown(tape, tape->lane_names, tape->lane_count, &tape->lane_capacity, sizeof *names);
    if (names == NULL) {
        return UINT16_MAX;
    }
    names[tape->lane_count] = name_id;
    tape->lane_count++;
    tape->lane_names = names;
    return (uint16_t)(tape->lane_count - 1);
}

uint32_t vs_tape_new_block(vs_tape *tape)
{
    if (vs_tape_has_failed(tape)) {
        return VS_NO_BLOCK;
    }
    if (tape->block_count == TAPE_MAX_ROWS) {
        (void)vs_fail(&tape->err, VS_ERR_LIMIT, "a tape holds at most %u blocks",
                      TAPE_MAX_ROWS);
        stop(tape);
        return VS_NO_BLOCK;
    }
    return tape->block_count++;
}

/* ---- events ------------------------------------------------------------------------------ */

uint64_t tape_event_count(const vs_tape *tape)
{
    if (tape->event_chunk_count == 0) {
        return 0;
    }
    const uint64_t last = (uint64_t)(tape->event_at - tape->last_events->rows);
    return (tape->event_chunk_count - 1) * TAPE_CHUNK_ROWS + last;
}

uint64_t tape_rows_in_chunk(const vs_tape *tape, const event_chunk *chunk)
{
    return chunk == tape->last_events ? (uint64_t)(tape->event_at - chunk->rows)
                                      : TAPE_CHUNK_ROWS;
}

/* The rare half of vs_tape_event: a new chunk, or a reason to refuse. */
static bool make_room_for_event(vs_tape *tape, const vs_event *event)
{
    if (vs_tape_has_failed(tape)) {
        return false;
    }
    if (event->time_ns < tape->last_ns) {
        (void)vs_fail(&tape->err, VS_ERR_VALUE,
                      "event %" PRIu64 " (%s) is at %" PRIu64 " ns, before %" PRIu64
                      " ns: events must be appended in the order of time",
                      tape_event_count(tape), vs_event_kind_key((vs_event_kind)event->kind),
                      event->time_ns, tape->last_ns);
        stop(tape);
        return false;
    }
    if (tape->event_at != tape->event_stop) {
        return true;
    }
    if (tape_event_count(tape) > TAPE_MAX_ROWS - TAPE_CHUNK_ROWS) {
        (void)vs_fail(&tape->err, VS_ERR_LIMIT, "a tape holds at most %u events",
                      TAPE_MAX_ROWS);
        stop(tape);
        return false;
    }
    event_chunk *chunk = VS_RAW_ARRAY(tape->arena, event_chunk, 1);
    if (chunk == NULL) {
        fail_memory(tape, "the events of a tape");
        return false;
    }
    chunk->next = NULL;
    if (tape->last_events == NULL) {
        tape->first_events = chunk;
    } else {
        tape->last_events->next = chunk;
    }
    tape->last_events = chunk;
    tape->event_chunk_count++;
    tape->event_at = chunk->rows;
    tape->event_stop = chunk->rows + TAPE_CHUNK_ROWS;
    return true;
}

void vs_tape_event(vs_tape *tape, const vs_event *event)
{
    if (tape->event_at == tape->event_stop || event->time_ns < tape->last_ns) {
        if (!make_room_for_event(tape, event)) {
            return;
        }
    }
    /* Member by member, as it was written a moment ago: wider reads would wait until those writes have gone
     * through to the cache. */
    vs_event *row = tape->event_at++;
    row->time_ns = event->time_ns;
    row->size_bytes = event->size_bytes;
    row->asked_bytes = event->asked_bytes;
    row->addr = event->addr;
    row->extra = event->extra;
    row->block = event->block;
    row->name = event->name;
    row->stream = event->stream;
    row->kind = event->kind;
    row->device = event->device;
    row->category = event->category;
    row->flags = event->flags;
    tape->last_ns = event->time_ns;
    tape->kinds_seen[event->device] |= (uint16_t)(1u << (event->kind & 15u));
}

/* ---- spans --------------------------------------------------------------------------------- */

uint64_t tape_span_count(const vs_tape *tape)
{
    if (tape->span_chunk_count == 0) {
        return 0;
    }
    const uint64_t last = (uint64_t)(tape->span_at - tape->last_spans->rows);
    return (tape->span_chunk_count - 1) * TAPE_CHUNK_ROWS + last;
}

static bool make_room_for_span(vs_tape *tape)
{
    if (vs_tape_has_failed(tape)) {
        return false;
    }
    span_chunk *chunk = VS_RAW_ARRAY(tape->arena, span_chunk, 1);
    if (chunk == NULL) {
        fail_memory(tape, "the spans of a tape");
        return false;
    }
    chunk->next = NULL;
    if (tape->last_spans == NULL) {
        tape->first_spans = chunk;
    } else {
        tape->last_spans->next = chunk;
    }
    tape->last_spans = chunk;
    tape->span_chunk_count++;
    tape->span_at = chunk->rows;
    tape->span_stop = chunk->rows + TAPE_CHUNK_ROWS;
    return true;
}

/* NOLINTNEXTLINE(readability-function-size): seven parameters, as tape.h has them */
void vs_tape_span(vs_tape *tape, uint16_t lane, vs_ns start_ns, vs_ns end_ns,
                  vs_category category, uint32_t name, vs_bytes size_bytes)
{
    if (tape->span_at == tape->span_stop && !make_room_for_span(tape)) {
        return;
    }
    if (end_ns < start_ns || lane >= tape->lane_count || (uint32_t)category >= VS_CAT_COUNT ||
        name >= tape->strings.count) {
        (void)vs_fail(&tape->err, VS_ERR_VALUE,
                      "span %" PRIu64 " [%" PRIu64 ", %" PRIu64
                      ") ns: it ends before it starts, or lane %u, category %u or name %" PRIu32
                      " is unknown",
                      tape_span_count(tape), start_ns, end_ns, (unsigned)lane,
                      (unsigned)category, name);
        stop(tape);
        return;
    }
    *tape->span_at = (span_row){.start_ns = start_ns,
                                .end_ns = end_ns,
                                .size_bytes = size_bytes,
                                .name = name,
                                .lane = lane,
                                .category = (uint8_t)category};
    tape->span_at++;
}
