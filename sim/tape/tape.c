/* sim/tape/tape.c - the tape while it is being written.
 *
 * Appending an event puts its 56 bytes into the columns of the current chunk (chunks.c). Everything that can be found
 * wrong later is looked at when sealing; only the order of time is checked here, because it costs one
 * comparison and the caller's stack still knows who did it. */
#include "sim/tape/internal.h"

#include <stdio.h>
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

_Static_assert(VS_NO_BLOCK == UINT32_MAX, "all bits");
_Static_assert(VS_EV_SEGMENT_UNMAP - VS_EV_SEGMENT_ALLOC == 3,
               "kinds of segments stand together");

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
        tape_fail_memory(tape, "the strings of a tape");
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
        tape_fail_memory(tape, "the lanes and facts of a tape");
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
        tape_stop(tape);
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
        tape_stop(tape);
        return UINT16_MAX;
    }
    tape_lane *lanes =
        grown(tape, tape->lanes, tape->lane_count, &tape->lane_capacity, sizeof *lanes);
    if (lanes == NULL) {
        return UINT16_MAX;
    }
    lanes[tape->lane_count] = (tape_lane){.name = name_id};
    tape->lane_count++;
    tape->lanes = lanes;
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
        tape_stop(tape);
        return VS_NO_BLOCK;
    }
    return tape->block_count++;
}

void vs_tape_recording_begins(vs_tape *tape)
{
    const uint64_t count = tape_event_count(tape);
    if (count > 0 && !vs_tape_has_failed(tape)) {
        char text[VS_TEXT_BYTES] = {0};
        (void)snprintf(text, sizeof text, "%" PRIu64, count);
        vs_tape_set_meta(tape, "events_before", text);
    }
}

/* ---- events and spans ------------------------------------------------------------------ */

void vs_tape_event(vs_tape *tape, const vs_event *event)
{
    const uint32_t i = tape->event_at;
    if (i == tape->event_stop || event->time_ns < tape->last_ns) {
        tape_event_rarely(tape, event);
        return;
    }
    /* Member by member, as it was written a moment ago: wider reads would wait until those writes have gone
     * through to the cache. */
    event_chunk *c = tape->last_events;
    const uint8_t kind = event->kind;
    c->time[i] = event->time_ns;
    c->size[i] = event->size_bytes;
    c->asked[i] = event->asked_bytes;
    c->addr[i] = event->addr;
    c->extra[i] = event->extra;
    c->block[i] = event->block | (tape_kind_has_block(kind) ? 0 : VS_NO_BLOCK);
    c->name[i] = event->name;
    c->stream[i] = event->stream;
    c->kind[i] = kind;
    c->device[i] = event->device;
    c->category[i] = event->category;
    c->flags[i] = event->flags;
    if (kind >= VS_EV_SEGMENT_ALLOC && kind <= VS_EV_SEGMENT_UNMAP) {
        tape->has_segments[event->device] = true;
    }
    tape->last_ns = event->time_ns;
    tape->event_at = i + 1;
}

/* NOLINTNEXTLINE(readability-function-size): seven parameters, as tape.h has them */
void vs_tape_span(vs_tape *tape, uint16_t lane, vs_ns start_ns, vs_ns end_ns,
                  vs_category category, uint32_t name, vs_bytes size_bytes)
{
    span_row *row = tape->span_at;
    if (row == tape->span_stop || end_ns < start_ns || lane >= tape->lane_count ||
        (uint32_t)category >= VS_CAT_COUNT || name >= tape->strings.count) {
        tape_span_rarely(tape, lane, start_ns, end_ns, category, name, size_bytes);
        return;
    }
    row->start_ns = start_ns;
    row->end_ns = end_ns;
    row->size_bytes = size_bytes;
    row->name = name;
    row->lane = lane;
    row->category = (uint8_t)category;
    tape->span_at = row + 1;
    tape->lanes[lane].span_count++;
}
