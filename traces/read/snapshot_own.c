/* traces/read/snapshot_own.c - the tape that a snapshot of ours holds under the key "vramscope".
 *
 * Columns and their meaning: traces/write/snapshot_own.c. The tape is appended to and sealed as by whoever made it first, so
 * its image is the same byte for byte, and whatever cannot be is refused as everywhere. Numbers of kinds and
 * categories are translated by their names, so that a file of a program with others can be read.
 *
 * When the record cannot be used, the snapshot is taken as any other, and a note says why: what stands around it is
 * whole. */
#include "traces/read/snapshot.h"

#include <string.h>

#define FORMAT_PREFIX "vramscope.tape/"
/* A tape may have blocks that were never allocated; so many at most. */
#define SPARE_BLOCKS  65536u
#define KIND_COUNT    256u /* numbers of kinds and categories in a file */
#define METAS_MAX     4096u
#define NOT_KNOWN     UINT8_MAX

typedef struct {
    snap_machine *m;
    snap_items pairs; /* of the dict */
    const char *why;  /* it cannot be used; NULL so far */
    bool is_exhausted;
} own_record;

/* A list, or zeros where it is not there. */
typedef struct {
    uint64_t first;
    uint64_t count;
    bool is_there;
} own_column;

static bool unusable(own_record *r, const char *why)
{
    r->why = r->why == NULL ? why : r->why;
    return false;
}

static bool exhausted(own_record *r)
{
    r->is_exhausted = true;
    return unusable(r, "memory ran out");
}

/* ---- looking things up ---------------------------------------------------------------------- */

static snap_word word_at(const own_record *r, uint64_t index)
{
    return *snap_word_at(&r->m->items, index);
}

/* The last one of a key; W_ABSENT: there is none. */
static snap_word find(const own_record *r, const char *key)
{
    for (uint64_t i = r->pairs.count; i >= 2; i -= 2) {
        const snap_word word = word_at(r, r->pairs.first + i - 2);
        if (snap_kind_of(word) == W_TEXT && vs_str_is(snap_text_of(r->m, word), key)) {
            return word_at(r, r->pairs.first + i - 1);
        }
    }
    return W_ABSENT;
}

static bool get_u64(own_record *r, const char *key, uint64_t *out)
{
    return snap_as_u64(r->m, find(r, key), out) || unusable(r, "a count is missing");
}

static bool get_column(own_record *r, const char *key, uint64_t count, own_column *out)
{
    const snap_word word = find(r, key);
    *out = (own_column){.count = count};
    if (word == W_ABSENT || (count == 0 && snap_kind_of(word) == W_EMPTY_LIST)) {
        return true;
    }
    if (snap_kind_of(word) != W_LIST || snap_items_of(r->m, word).count != count) {
        return unusable(r, "a column has another length than the others");
    }
    out->first = snap_items_of(r->m, word).first;
    out->is_there = true;
    return true;
}

/* Zero where the column is not there. */
static bool get_value(own_record *r, const own_column *c, uint64_t row, uint64_t most,
                      uint64_t *out)
{
    *out = 0;
    if (!c->is_there) {
        return true;
    }
    return (snap_as_u64(r->m, word_at(r, c->first + row), out) && *out <= most) ||
           unusable(r, "a column holds something that is no number or too large a one");
}

/* A value as an index into numbers of ours. */
static bool get_translated(own_record *r, const own_column *c, uint64_t row,
                           const uint8_t *numbers, uint8_t *out)
{
    uint64_t value = 0;
    if (!get_value(r, c, row, KIND_COUNT - 1, &value)) {
        return false;
    }
    *out = numbers[value];
    return *out != NOT_KNOWN || unusable(r, "it names a kind that this program does not know");
}

/* ---- texts -------------------------------------------------------------------------------------- */

/* Bytes that are no UTF-8 were written as lone surrogates, U+DC80 to U+DCFF. */
static bool is_escaped(const uint8_t *at, const uint8_t *end)
{
    return end - at >= 3 && at[0] == 0xed && (at[1] == 0xb2 || at[1] == 0xb3) &&
           (at[2] & 0xc0u) == 0x80u;
}

static const char *unescaped(own_record *r, vs_str text)
{
    char *const copy = VS_RAW_ARRAY(r->m->desc->keep, char, text.len + 1);
    if (copy == NULL) {
        (void)exhausted(r);
        return NULL;
    }
    const uint8_t *at = (const uint8_t *)text.ptr;
    const uint8_t *const end = at + text.len;
    size_t used = 0;
    while (at < end) {
        if (is_escaped(at, end)) {
            copy[used++] = (char)((at[1] & 3u) << 6u | (at[2] & 0x3fu));
            at += 3;
        } else {
            copy[used++] = (char)*at++;
        }
    }
    copy[used] = '\0';
    return copy;
}

typedef struct {
    const char **texts;
    uint64_t count;
} own_strings;

static bool get_strings(own_record *r, own_strings *out)
{
    const snap_word word = find(r, "strings");
    if (snap_kind_of(word) != W_LIST) {
        return unusable(r, "it has no strings");
    }
    const snap_items items = snap_items_of(r->m, word);
    out->count = items.count;
    out->texts = VS_RAW_ARRAY(r->m->desc->scratch, const char *, (size_t)items.count);
    if (out->texts == NULL) {
        return exhausted(r);
    }
    uint64_t bytes = 0; /* a list may name one long text many times; we never write that */
    for (uint64_t i = 0; i < items.count; i++) {
        const snap_word text = word_at(r, items.first + i);
        if (snap_kind_of(text) != W_TEXT) {
            return unusable(r, "a string is no text");
        }
        bytes += snap_text_of(r->m, text).len;
        if (bytes > input_offset(r->m->in)) {
            return unusable(r, "its strings are longer than the file");
        }
        out->texts[i] = unescaped(r, snap_text_of(r->m, text));
        if (out->texts[i] == NULL) {
            return false;
        }
    }
    return out->texts[0][0] == '\0' ||
           unusable(r, "its strings do not begin with the empty one");
}

/* The number that we have for each number of the file, by name. */
static bool get_numbers(own_record *r, const char *key, const char *(*name_of)(uint32_t),
                        uint8_t *numbers)
{
    const snap_word word = find(r, key);
    if (snap_kind_of(word) != W_LIST || snap_items_of(r->m, word).count > KIND_COUNT) {
        return unusable(r, "it does not tell what its numbers mean");
    }
    const snap_items items = snap_items_of(r->m, word);
    memset(numbers, NOT_KNOWN, KIND_COUNT);
    for (uint64_t i = 0; i < items.count; i++) {
        const snap_word text = word_at(r, items.first + i);
        for (uint32_t ours = 0; snap_kind_of(text) == W_TEXT && name_of(ours) != NULL; ours++) {
            if (vs_str_is(snap_text_of(r->m, text), name_of(ours))) {
                numbers[i] = (uint8_t)ours;
            }
        }
    }
    return true;
}

static const char *kind_name(uint32_t kind)
{
    return kind < VS_EV_COUNT ? vs_event_kind_key((vs_event_kind)kind) : NULL;
}

static const char *category_name(uint32_t category)
{
    return category < VS_CAT_COUNT ? vs_category_key((vs_category)category) : NULL;
}

static const char *device_name(uint32_t kind)
{
    static const char *const names[] = {
        [VS_DEVICE_GPU] = "gpu", [VS_DEVICE_HOST] = "host", [VS_DEVICE_DISK] = "disk"};
    return kind < sizeof names / sizeof names[0] ? names[kind] : NULL;
}

/* ---- the tape ------------------------------------------------------------------------------------- */

static bool put_tables(own_record *r, vs_tape *tape, const own_strings *strings)
{
    uint8_t kinds[KIND_COUNT];
    uint64_t device_count = 0;
    uint64_t lane_count = 0;
    own_column name = {0};
    own_column kind = {0};
    own_column capacity = {0};
    own_column lane = {0};
    const uint64_t last = strings->count - 1;
    if (!get_numbers(r, "device_kinds", device_name, kinds) ||
        !get_u64(r, "device_count", &device_count) || !get_u64(r, "lane_count", &lane_count) ||
        !get_column(r, "device_name", device_count, &name) ||
        !get_column(r, "device_kind", device_count, &kind) ||
        !get_column(r, "device_capacity_bytes", device_count, &capacity) ||
        !get_column(r, "lane_name", lane_count, &lane)) {
        return false;
    }
    for (uint64_t i = 0; i < device_count && !vs_tape_has_failed(tape); i++) { /* at most 64 */
        uint64_t text = 0;
        uint64_t bytes = 0;
        uint8_t device_kind = 0;
        if (!get_value(r, &name, i, last, &text) ||
            !get_translated(r, &kind, i, kinds, &device_kind) ||
            !get_value(r, &capacity, i, UINT64_MAX, &bytes)) {
            return false;
        }
        (void)vs_tape_add_device(tape, (vs_device_kind)device_kind, strings->texts[text],
                                 bytes);
    }
    for (uint64_t i = 0; i < lane_count && !vs_tape_has_failed(tape); i++) {
        uint64_t text = 0;
        if (!get_value(r, &lane, i, last, &text)) {
            return false;
        }
        (void)vs_tape_add_lane(tape, strings->texts[text]);
    }
    return true;
}

static bool put_metas(own_record *r, vs_tape *tape, const own_strings *strings)
{
    const snap_word word = find(r, "metas");
    if (snap_kind_of(word) != W_LIST) {
        return word == W_ABSENT || snap_kind_of(word) == W_EMPTY_LIST ||
               unusable(r, "its facts are no list");
    }
    const snap_items items = snap_items_of(r->m, word);
    if (items.count > UINT64_C(2) * METAS_MAX) {
        return unusable(r, "it has more facts than a tape");
    }
    const own_column metas = {.first = items.first, .count = items.count, .is_there = true};
    for (uint64_t i = 0; i + 1 < items.count; i += 2) {
        uint64_t key = 0;
        uint64_t value = 0;
        if (!get_value(r, &metas, i, strings->count - 1, &key) ||
            !get_value(r, &metas, i + 1, strings->count - 1, &value)) {
            return false;
        }
        vs_tape_set_meta(tape, strings->texts[key], strings->texts[value]);
    }
    return true;
}

typedef struct {
    uint64_t count;
    own_column time, size, asked, addr, extra, block, name, stream, kind, device, category;
    uint8_t kinds[KIND_COUNT];
    uint8_t categories[KIND_COUNT];
} own_events;

static bool get_events(own_record *r, own_events *e)
{
    return get_u64(r, "event_count", &e->count) &&
           get_numbers(r, "event_kinds", kind_name, e->kinds) &&
           get_numbers(r, "categories", category_name, e->categories) &&
           get_column(r, "event_time_ns", e->count, &e->time) &&
           get_column(r, "event_size_bytes", e->count, &e->size) &&
           get_column(r, "event_asked_bytes", e->count, &e->asked) &&
           get_column(r, "event_addr", e->count, &e->addr) &&
           get_column(r, "event_extra", e->count, &e->extra) &&
           get_column(r, "event_block", e->count, &e->block) &&
           get_column(r, "event_name", e->count, &e->name) &&
           get_column(r, "event_stream", e->count, &e->stream) &&
           get_column(r, "event_kind", e->count, &e->kind) &&
           get_column(r, "event_device", e->count, &e->device) &&
           get_column(r, "event_category", e->count, &e->category) &&
           (e->count == 0 || e->block.is_there || unusable(r, "it does not tell its blocks"));
}

static bool put_event(own_record *r, vs_tape *tape, const own_events *e, uint64_t i)
{
    uint64_t block = 0;
    uint64_t name = 0;
    uint64_t stream = 0;
    uint64_t device = 0;
    vs_event event = {0};
    const bool has_block =
        e->block.is_there && snap_kind_of(word_at(r, e->block.first + i)) != W_NONE;
    if (!get_value(r, &e->time, i, UINT64_MAX, &event.time_ns) ||
        !get_value(r, &e->size, i, UINT64_MAX, &event.size_bytes) ||
        !get_value(r, &e->asked, i, UINT64_MAX, &event.asked_bytes) ||
        !get_value(r, &e->addr, i, UINT64_MAX, &event.addr) ||
        !get_value(r, &e->extra, i, UINT64_MAX, &event.extra) ||
        (has_block && !get_value(r, &e->block, i, UINT32_MAX, &block)) ||
        !get_value(r, &e->name, i, UINT32_MAX, &name) ||
        !get_value(r, &e->stream, i, UINT32_MAX, &stream) ||
        !get_value(r, &e->device, i, UINT8_MAX, &device) ||
        !get_translated(r, &e->kind, i, e->kinds, &event.kind) ||
        !get_translated(r, &e->category, i, e->categories, &event.category)) {
        return false;
    }
    event.block = has_block ? (uint32_t)block : VS_NO_BLOCK;
    event.name = (uint32_t)name;
    event.stream = (uint32_t)stream;
    event.device = (uint8_t)device;
    vs_tape_event(tape, &event);
    return true;
}

static bool put_spans(own_record *r, vs_tape *tape, const own_events *e)
{
    uint64_t count = 0;
    own_column lane = {0};
    own_column start = {0};
    own_column end = {0};
    own_column bytes = {0};
    own_column name = {0};
    own_column category = {0};
    if (!get_u64(r, "span_count", &count) || !get_column(r, "span_lane", count, &lane) ||
        !get_column(r, "span_start_ns", count, &start) ||
        !get_column(r, "span_end_ns", count, &end) ||
        !get_column(r, "span_bytes", count, &bytes) ||
        !get_column(r, "span_name", count, &name) ||
        !get_column(r, "span_category", count, &category)) {
        return false;
    }
    if (count > 0 && !lane.is_there) { /* always written: so no count is larger than the file */
        return unusable(r, "it does not tell its lanes");
    }
    for (uint64_t i = 0; i < count && !vs_tape_has_failed(tape); i++) {
        uint64_t values[5] = {0};
        uint8_t what = 0;
        if (!get_value(r, &lane, i, UINT16_MAX, &values[0]) ||
            !get_value(r, &start, i, UINT64_MAX, &values[1]) ||
            !get_value(r, &end, i, UINT64_MAX, &values[2]) ||
            !get_value(r, &bytes, i, UINT64_MAX, &values[3]) ||
            !get_value(r, &name, i, UINT32_MAX, &values[4]) ||
            !get_translated(r, &category, i, e->categories, &what)) {
            return false;
        }
        vs_tape_span(tape, (uint16_t)values[0], values[1], values[2], (vs_category)what,
                     (uint32_t)values[4], values[3]);
    }
    return true;
}

static bool put_blocks(own_record *r, vs_tape *tape, uint64_t event_count)
{
    uint64_t count = 0;
    if (!get_u64(r, "block_count", &count)) {
        return false;
    }
    if (count > event_count + SPARE_BLOCKS) {
        return unusable(r, "it has more blocks than events");
    }
    for (uint64_t i = 0; i < count; i++) {
        (void)vs_tape_new_block(tape);
    }
    return true;
}

static bool fill_tape(own_record *r, vs_tape *tape, const own_strings *strings)
{
    own_events *const e = VS_NEW(r->m->desc->scratch, own_events);
    if (e == NULL) {
        return exhausted(r);
    }
    for (uint64_t i = 1; i < strings->count; i++) {
        (void)vs_tape_new_name(tape, strings->texts[i]);
    }
    if (!put_tables(r, tape, strings) || !put_metas(r, tape, strings) || !get_events(r, e) ||
        !put_blocks(r, tape, e->count)) {
        return false;
    }
    for (uint64_t i = 0; i < e->count && !vs_tape_has_failed(tape); i++) {
        if (!put_event(r, tape, e, i)) {
            return false;
        }
    }
    return put_spans(r, tape, e);
}

/* ---- is it of this snapshot? ------------------------------------------------------------------------ */

static bool is_of_this_snapshot(own_record *r)
{
    const snap_machine *m = r->m;
    uint64_t entries = 0;
    uint64_t bytes = 0;
    uint64_t segments = 0;
    uint64_t seen_bytes = 0;
    if (!get_u64(r, "entry_count", &entries) || !get_u64(r, "entry_bytes", &bytes) ||
        !get_u64(r, "segment_count", &segments)) {
        return false;
    }
    for (uint32_t i = 0; i < m->entry_count; i++) {
        seen_bytes = (seen_bytes + m->entries[i].size) & UINT32_MAX;
    }
    return (entries == m->entry_count && bytes == seen_bytes &&
            segments == m->segments.count) ||
           unusable(r, "the snapshot was changed since");
}

static bool is_our_format(own_record *r)
{
    const snap_word format = find(r, "format");
    return (snap_kind_of(format) == W_TEXT &&
            vs_str_starts(snap_text_of(r->m, format), FORMAT_PREFIX)) ||
           unusable(r, "its format is not known");
}

static bool make_tape(own_record *r, vs_timeline *out, vs_err *err)
{
    own_strings strings = {0};
    if (!is_our_format(r) || !is_of_this_snapshot(r) || !get_strings(r, &strings)) {
        return false;
    }
    const uint32_t count =
        strings.count < UINT32_MAX ? (uint32_t)strings.count : UINT32_MAX - 1;
    vs_tape *const tape =
        vs_tape_new(r->m->desc->keep, &(vs_tape_desc){.expected_strings = count});
    if (tape == NULL) {
        return exhausted(r);
    }
    if (!fill_tape(r, tape, &strings)) {
        return false;
    }
    if (!vs_tape_seal(tape, out, err)) {
        r->is_exhausted = err->code == VS_ERR_MEMORY;
        return unusable(r, err->text);
    }
    return true;
}

bool snap_read_own(snap_machine *m, snap_word own)
{
    vs_err err = {0};
    own_record r = {.m = m};
    vs_timeline *const timeline = VS_NEW(m->desc->keep, vs_timeline);
    if (timeline == NULL) {
        return vs_fail_memory(m->err, m->desc->keep, "the tape in a snapshot");
    }
    if (snap_kind_of(own) != W_DICT) {
        (void)unusable(&r, "it is no dict");
    } else {
        r.pairs = snap_items_of(m, own);
        if (make_tape(&r, timeline, &err)) {
            builder_head(m->builder)->own = timeline;
            return true;
        }
    }
    if (r.is_exhausted) {
        return vs_fail_memory(m->err, m->desc->keep, "the tape in a snapshot");
    }
    builder_note(
        m->builder,
        "the tape that vramscope put into this snapshot is not used (%s): the snapshot "
        "itself is read",
        r.why);
    return true;
}
