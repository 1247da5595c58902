/* sim/tape/seal.c - from a tape to a timeline.
 *
 *   1. run over the events, counting the samples of every possible track
 *   2. the counts fix the tracks, the layout and the size of the image; carve it
 *   3. run over the events again, writing event columns, samples and blocks in one go
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

typedef struct {
    uint64_t *time, *size, *asked, *addr, *extra;
    uint32_t *block, *name, *stream;
    uint8_t *kind, *device, *category, *flags;
} event_columns;

static void put_event(const event_columns *c, uint32_t i, const vs_event *e)
{
    c->time[i] = e->time_ns;
    c->size[i] = e->size_bytes;
    c->asked[i] = e->asked_bytes;
    c->addr[i] = e->addr;
    c->extra[i] = e->extra;
    c->block[i] = tape_kind_has_block(e->kind) ? e->block : VS_NO_BLOCK;
    c->name[i] = e->name;
    c->stream[i] = e->stream;
    c->kind[i] = e->kind;
    c->device[i] = e->device;
    c->category[i] = e->category;
    c->flags[i] = e->flags;
}

static bool put_events(sealing *s, vs_err *err)
{
    const event_columns c = {
        .time = section(s, SEC_EVENT_TIME),
        .size = section(s, SEC_EVENT_SIZE),
        .asked = section(s, SEC_EVENT_ASKED),
        .addr = section(s, SEC_EVENT_ADDR),
        .extra = section(s, SEC_EVENT_EXTRA),
        .block = section(s, SEC_EVENT_BLOCK),
        .name = section(s, SEC_EVENT_NAME),
        .stream = section(s, SEC_EVENT_STREAM),
        .kind = section(s, SEC_EVENT_KIND),
        .device = section(s, SEC_EVENT_DEVICE),
        .category = section(s, SEC_EVENT_CATEGORY),
        .flags = section(s, SEC_EVENT_FLAGS),
    };
    s->d.out_time = section(s, SEC_SAMPLE_TIME);
    s->d.out_value = section(s, SEC_SAMPLE_VALUE);
    s->d.out_event = section(s, SEC_SAMPLE_EVENT);
    s->d.blocks = section(s, SEC_BLOCKS);
    for (uint32_t i = 0; i < s->tape->block_count; i++) {
        s->d.blocks[i] = (vs_block_info){.born_event = UINT32_MAX, .dead_event = UINT32_MAX};
    }
    uint32_t index = 0;
    for (const event_chunk *chunk = s->tape->first_events; chunk != NULL; chunk = chunk->next) {
        const uint64_t n = tape_rows_in_chunk(s->tape, chunk);
        for (uint64_t i = 0; i < n; i++, index++) {
            put_event(&c, index, &chunk->rows[i]);
            if (!derive_step(&s->d, &chunk->rows[i], index, err)) {
                return false;
            }
        }
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
    for (uint32_t lane = 0; lane < s->tape->lane_count; lane++) {
        const uint64_t first = s->lanes.first[lane];
        const uint64_t past = s->lanes.first[lane + 1];
        lanes[lane] = (vs_lane_info){
            .name = s->tape->lane_names[lane], .first = first, .count = past - first};
        vs_ns busy = 0;
        vs_ns reach = 0; /* everything before it is merged into busy */
        for (uint64_t i = first; i < past; i++) {
            const span_row *row = &s->lanes.rows[i];
            const vs_ns from = row->start_ns > reach ? row->start_ns : reach;
            busy += row->end_ns > from ? row->end_ns - from : 0;
            reach = row->end_ns > reach ? row->end_ns : reach;
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
    if (!derive_init(&s.d, tape, tape->arena, err) || !derive_count(&s.d, tape->arena, err) ||
        !lanes_sort(&s.lanes, tape, tape->arena, err) || !name_tracks(&s, err) ||
        !carve(&s, err) || !fill(&s, &made, err)) {
        return false;
    }
    *out = made;
    return true;
}
