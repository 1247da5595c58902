/* sim/tape/seal.c - from a tape to a timeline.
 *
 *   1. run over the events: the lives of blocks, and the number of samples of every possible track (lives.c)
 *   2. the counts fix the tracks, the layout and the size of the image; carve it
 *   3. run over the events again, writing samples (derive.c) and event columns
 *   4. lanes, pyramids, strings, head
 *
 * Counting first costs a quick look at every event and saves every intermediate copy of the samples, of
 * which there are about five per event. */
#include "sim/tape/internal.h"

#include <string.h>

typedef struct {
    const vs_tape *tape;
    tape_strings *strings;
    derivation d;
    lane_order lanes;
    tape_layout layout;
    uint8_t *image;
    uint32_t track_count;
} sealing;

static void *section(const sealing *s, uint32_t id)
{
    vs_assert(s->image != NULL);
    return s->image + s->layout.offset[id];
}

/* ---- counting ------------------------------------------------------------------------ */

/* Totals are always there, so that a question about them has an answer; a category only if it
 * ever held something. */
static bool is_track(const sealing *s, uint32_t slot)
{
    if (s->d.cursor[slot] > 0 || slot == s->d.slot_count - 1) {
        return true;
    }
    const uint32_t what = slot % SLOTS_PER_DEVICE;
    const bool is_gpu = s->tape->devices[slot / SLOTS_PER_DEVICE].kind == VS_DEVICE_GPU;
    return what == SLOT_USED || (what > SLOT_USED && is_gpu);
}

static const char *slot_name(const sealing *s, uint32_t slot)
{
    static const char *const totals[] = {"used", "allocated", "tensors", "reserved"};
    if (slot == s->d.slot_count - 1) {
        return "progress";
    }
    const uint32_t what = slot % SLOTS_PER_DEVICE;
    return what < VS_CAT_COUNT ? vs_category_key((vs_category)what)
                               : totals[what - VS_CAT_COUNT];
}

/* Adds it the first time, finds it from then on. */
static uint32_t slot_name_id(const sealing *s, uint32_t slot)
{
    return strings_add(s->strings, s->tape->arena, vs_str_of(slot_name(s, slot)), false);
}

static bool name_tracks(sealing *s, vs_err *err)
{
    for (uint32_t slot = 0; slot < s->d.slot_count; slot++) {
        if (!is_track(s, slot)) {
            continue;
        }
        s->track_count++;
        if (slot_name_id(s, slot) == UINT32_MAX) {
            return vs_fail_memory(err, s->tape->arena, "the names of tracks");
        }
    }
    return true;
}

static void set_counts(sealing *s)
{
    uint64_t *count = s->layout.count;
    for (uint32_t i = SEC_EVENT_TIME; i <= SEC_EVENT_FLAGS; i++) {
        count[i] = s->d.event_count;
    }
    uint64_t sample_count = 0;
    uint64_t node_count = 0;
    for (uint32_t slot = 0; slot < s->d.slot_count; slot++) {
        sample_count += s->d.cursor[slot];
        node_count += pyramid_node_count(s->d.cursor[slot]);
    }
    for (uint32_t i = SEC_SAMPLE_TIME; i <= SEC_SAMPLE_EVENT; i++) {
        count[i] = sample_count;
    }
    for (uint32_t i = SEC_PYRAMID_MIN; i <= SEC_PYRAMID_WHERE; i++) {
        count[i] = node_count;
    }
    for (uint32_t i = SEC_SPAN_START; i <= SEC_SPAN_CATEGORY; i++) {
        count[i] = s->lanes.count;
    }
    count[SEC_TRACKS] = s->track_count;
    count[SEC_DEVICES] = s->tape->device_count;
    count[SEC_LANES] = s->tape->lane_count;
    count[SEC_BLOCKS] = s->tape->block_count;
    count[SEC_METAS] = s->tape->meta_count;
    count[SEC_STRING_OFFSET] = s->strings->count;
    count[SEC_STRING_BYTES] = s->strings->bytes;
}

static bool carve(sealing *s, vs_err *err)
{
    set_counts(s);
    if (!layout_place(&s->layout)) {
        return vs_fail(err, VS_ERR_LIMIT, "the tape is larger than a file can be");
    }
    s->image = vs_arena_raw(s->tape->arena, (size_t)s->layout.total_bytes, 1, TAPE_ALIGN);
    if (s->image == NULL) {
        return vs_fail_memory(err, s->tape->arena, "the image of a timeline");
    }
    image_clear_gaps(s->image, &s->layout);
    return true;
}

/* ---- filling ------------------------------------------------------------------------------ */

/* Turns the counts in the cursors into places. */
static void put_tracks(sealing *s)
{
    vs_track_info *track = section(s, SEC_TRACKS);
    uint64_t first = 0;
    uint64_t node = 0;
    for (uint32_t slot = 0; slot < s->d.slot_count; slot++) {
        if (!is_track(s, slot)) {
            continue;
        }
        const uint64_t count = s->d.cursor[slot];
        s->d.cursor[slot] = first;
        const uint32_t what = slot % SLOTS_PER_DEVICE;
        const bool is_progress = slot == s->d.slot_count - 1;
        const bool is_total = is_progress || what >= VS_CAT_COUNT;
        vs_track_role role =
            is_total ? (vs_track_role)(VS_TRACK_USED + what - SLOT_USED) : VS_TRACK_CATEGORY;
        role = is_progress ? VS_TRACK_PROGRESS : role;
        *track++ = (vs_track_info){
            .first = first,
            .count = count,
            .pyramid_first = node,
            .name = slot_name_id(s, slot),
            .device = is_progress ? 0 : (uint8_t)(slot / SLOTS_PER_DEVICE),
            .category = is_total ? VS_CAT_COUNT : (uint8_t)what,
            .role = (uint8_t)role,
        };
        first += count;
        node += pyramid_node_count(count);
    }
}

static void put_column(const sealing *s, uint32_t id, uint32_t first, const void *rows,
                       uint32_t count)
{
    const size_t elem_bytes = layout_element_bytes(id);
    memcpy((uint8_t *)section(s, id) + first * elem_bytes, rows, count * elem_bytes);
}

static void put_chunk(const sealing *s, const event_chunk *c, uint32_t first)
{
    const uint32_t n = tape_rows_in_chunk(s->tape, c);
    put_column(s, SEC_EVENT_TIME, first, c->time, n);
    put_column(s, SEC_EVENT_SIZE, first, c->size, n);
    put_column(s, SEC_EVENT_ASKED, first, c->asked, n);
    put_column(s, SEC_EVENT_ADDR, first, c->addr, n);
    put_column(s, SEC_EVENT_EXTRA, first, c->extra, n);
    put_column(s, SEC_EVENT_BLOCK, first, c->block, n);
    put_column(s, SEC_EVENT_NAME, first, c->name, n);
    put_column(s, SEC_EVENT_STREAM, first, c->stream, n);
    put_column(s, SEC_EVENT_KIND, first, c->kind, n);
    put_column(s, SEC_EVENT_DEVICE, first, c->device, n);
    put_column(s, SEC_EVENT_CATEGORY, first, c->category, n);
    put_column(s, SEC_EVENT_FLAGS, first, c->flags, n);
}

static bool put_events(sealing *s, vs_err *err)
{
    s->d.out_time = section(s, SEC_SAMPLE_TIME);
    s->d.out_value = section(s, SEC_SAMPLE_VALUE);
    s->d.out_event = section(s, SEC_SAMPLE_EVENT);
    uint32_t first = 0;
    for (const event_chunk *chunk = s->tape->first_events; chunk != NULL; chunk = chunk->next) {
        if (!derive_samples(&s->d, chunk, first, err)) {
            return false;
        }
        put_chunk(s, chunk, first); /* while its rows are in the cache */
        first += tape_rows_in_chunk(s->tape, chunk);
    }
    return true;
}

static void put_pyramids(sealing *s, const vs_timeline *tl)
{
    vs_track_info *tracks = section(s, SEC_TRACKS);
    uint64_t *min = section(s, SEC_PYRAMID_MIN);
    uint64_t *max = section(s, SEC_PYRAMID_MAX);
    uint32_t *where = section(s, SEC_PYRAMID_WHERE);
    for (uint32_t i = 0; i < s->track_count; i++) {
        vs_track_info *t = &tracks[i];
        pyramid_build(tl->sample_value + t->first, t->count, min + t->pyramid_first,
                      max + t->pyramid_first, where + t->pyramid_first);
        t->max = pyramid_top(tl, t);
    }
}

/* Returns the greatest end of all spans. */
static vs_ns put_lanes(sealing *s)
{
    vs_lane_info *lanes = section(s, SEC_LANES);
    uint64_t *start = section(s, SEC_SPAN_START);
    uint64_t *end = section(s, SEC_SPAN_END);
    uint64_t *bytes = section(s, SEC_SPAN_BYTES);
    uint64_t *busy_column = section(s, SEC_SPAN_BUSY);
    uint64_t *reach_column = section(s, SEC_SPAN_REACH);
    uint32_t *name = section(s, SEC_SPAN_NAME);
    uint8_t *category = section(s, SEC_SPAN_CATEGORY);
    vs_ns last_ns = 0;
    uint64_t i = 0;
    for (uint32_t lane = 0; lane < s->tape->lane_count; lane++) {
        const tape_lane *l = &s->tape->lanes[lane];
        const uint64_t past = i + l->span_count;
        lanes[lane] = (vs_lane_info){.name = l->name, .first = i, .count = l->span_count};
        vs_ns busy = 0;
        vs_ns reach = 0; /* everything before it is merged into busy */
        for (; i < past; i++) {
            const span_row *row = s->lanes.refs[i].row;
            const vs_ns from = row->start_ns > reach ? row->start_ns : reach;
            reach = row->end_ns > reach ? row->end_ns : reach;
            busy += row->end_ns > from ? row->end_ns - from : 0;
            start[i] = row->start_ns;
            end[i] = row->end_ns;
            bytes[i] = row->size_bytes;
            busy_column[i] = busy;
            reach_column[i] = reach;
            name[i] = row->name;
            category[i] = row->category;
        }
        last_ns = reach > last_ns ? reach : last_ns;
    }
    return last_ns;
}

static void copy_rows(const sealing *s, uint32_t id, const void *from)
{
    const uint64_t count = s->layout.count[id];
    if (count > 0) {
        memcpy(section(s, id), from, (size_t)(count * layout_element_bytes(id)));
    }
}

static bool fill(sealing *s, vs_timeline *out, vs_err *err)
{
    put_tracks(s);
    if (!put_events(s, err)) {
        return false;
    }
    vs_ns end_ns = put_lanes(s);
    if (s->d.event_count > 0 && s->tape->last_ns > end_ns) {
        end_ns = s->tape->last_ns;
    }
    image_view(s->image, &s->layout, end_ns, out);
    put_pyramids(s, out);
    copy_rows(s, SEC_DEVICES, s->tape->devices);
    copy_rows(s, SEC_BLOCKS, s->d.blocks);
    copy_rows(s, SEC_METAS, s->tape->metas);
    strings_put(s->strings, section(s, SEC_STRING_OFFSET), section(s, SEC_STRING_BYTES));
    image_put_head(s->image, &s->layout, end_ns);
    return true;
}

bool vs_tape_seal(vs_tape *tape, vs_timeline *out, vs_err *err)
{
    if (vs_tape_has_failed(tape)) {
        if (err != NULL && err->code == VS_OK) {
            *err = tape->err;
        }
        return false;
    }
    sealing s = {.tape = tape, .strings = &tape->strings};
    vs_timeline made = {0};
    if (!derive_init(&s.d, tape, tape->arena, err) || !derive_lives(&s.d, tape->arena, err) ||
        !lanes_sort(&s.lanes, tape, tape->arena, err) || !name_tracks(&s, err) ||
        !carve(&s, err) || !fill(&s, &made, err)) {
        return false;
    }
    *out = made;
    return true;
}
