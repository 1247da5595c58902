/* traces/read/snapshot.c - PyTorch memory snapshots (specs/torch-caching-allocator.md [15]): what the machine of snapshot.h left, as a
 * recording.
 *
 * Every entry, segment and block is used once: a list that turns up in two places is refused, so that a small file cannot
 * stand for a large one. Trace entries stay where they were made; what is left out is closed up in place. */
#include "traces/read/snapshot.h"

#include <stdarg.h>
#include <stdio.h>

#define PATH_BYTES     96
#define DIVISION_SLOTS 16u

typedef struct {
    snap_machine m;
    snap_word segments; /* of the top level; W_NONE: not there */
    snap_word traces;
    snap_word settings;
    snap_word annotations;
    snap_word own;
    bool is_list; /* PyTorch 1.12 and 1.13: no more than the segments */
    uint64_t entry_count;
    uint64_t other_count; /* entries of unknown actions */
    uint64_t timeless_count;
    uint64_t annotation_count;
    uint64_t odd_annotations;
} walk;

/* ---- failing, with a path ------------------------------------------------------------------------ */

static bool fail_at(walk *w, const char *path, const char *format, ...) VS_PRINTF(3, 4);

static bool fail_at(walk *w, const char *path, const char *format, ...)
{
    char text[VS_ERR_TEXT_BYTES];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (w->m.err != NULL && w->m.err->code == VS_OK) {
        (void)vs_fail(w->m.err, VS_ERR_VALUE, "%s", text);
        vs_err_at_path(w->m.err, path);
    }
    return false;
}

static bool fail_builder(walk *w)
{
    vs_recording nothing = {0};
    return builder_finish(w->m.builder, &nothing, w->m.err); /* it reports what happened */
}

/* ---- lists and dicts ----------------------------------------------------------------------------------- */

/* The values of a list, whatever it is kept as. */
typedef struct {
    snap_kind run_kind; /* W_NONE: an ordinary list */
    uint64_t first;
    uint64_t count;
} view;

static bool view_of(const snap_machine *m, snap_word word, view *out)
{
    const snap_kind kind = snap_kind_of(word);
    if (kind == W_EMPTY_LIST) {
        *out = (view){.run_kind = W_NONE};
        return true;
    }
    if (kind == W_RUN) {
        const snap_run *const run = rows_at(&m->runs, snap_index(word));
        *out =
            (view){.run_kind = (snap_kind)run->kind, .first = run->first, .count = run->count};
        return true;
    }
    if (kind == W_LIST) {
        const snap_items items = snap_items_of(m, word);
        *out = (view){.run_kind = W_NONE, .first = items.first, .count = items.count};
        return true;
    }
    return false;
}

static snap_word view_at(const snap_machine *m, const view *v, uint64_t index)
{
    return v->run_kind == W_NONE ? *snap_word_at(&m->items, v->first + index)
                                 : snap_make(v->run_kind, v->first + index);
}

/* The value of a key, the last one if there are several. W_NONE: not there, or None. */
static snap_word dict_get(const snap_machine *m, snap_word dict, snap_text key)
{
    if (snap_kind_of(dict) != W_DICT) {
        return W_NONE;
    }
    const snap_items items = snap_items_of(m, dict);
    const snap_word wanted = snap_make(W_TEXT, (uint64_t)key);
    for (uint64_t i = items.count; i > 0; i -= 2) {
        if (*snap_word_at(&m->items, items.first + i - 2) == wanted) {
            return *snap_word_at(&m->items, items.first + i - 1);
        }
    }
    return W_NONE;
}

static bool is_dict(snap_word word)
{
    return snap_kind_of(word) == W_DICT || snap_kind_of(word) == W_EMPTY_DICT;
}

static bool has_few_keys(const snap_machine *m, snap_word dict)
{
    return snap_kind_of(dict) != W_DICT ||
           snap_items_of(m, dict).count <= UINT64_C(2) * SNAP_MAX_PAIRS;
}

/* ---- trace entries ------------------------------------------------------------------------------------------ */

static bool fail_missing(walk *w, uint32_t device, uint64_t index, const char *key,
                         const vs_rec_event *e)
{
    char path[PATH_BYTES];
    (void)snprintf(path, sizeof path, "device_traces[%" PRIu32 "][%" PRIu64 "].%s", device,
                   index, key);
    return fail_at(w, path, "an entry with action \"%s\" has no %s",
                   vs_rec_action_key((vs_rec_action)e->action), key);
}

static bool check_entry(walk *w, uint32_t device, uint64_t index, const vs_rec_event *e)
{
    if ((e->pad & IS_TAKEN) != 0) {
        char path[PATH_BYTES];
        (void)snprintf(path, sizeof path, "device_traces[%" PRIu32 "][%" PRIu64 "]", device,
                       index);
        return fail_at(w, path, "the same entry was in a list before; each is used once");
    }
    if ((e->pad & IS_OTHER) != 0 || e->action == VS_REC_SNAPSHOT) {
        return true;
    }
    if ((e->pad & HAS_SIZE) == 0) {
        return fail_missing(w, device, index, "size", e);
    }
    if (e->action == VS_REC_OOM && (e->pad & (HAS_DEVICE_FREE | HAS_ADDR)) == 0) {
        return fail_missing(w, device, index, "device_free", e);
    }
    if (e->action != VS_REC_OOM && (e->pad & HAS_ADDR) == 0) {
        return fail_missing(w, device, index, "addr", e);
    }
    return true;
}

/* The entries of a list one behind the other: where they are, or copied there. */
static vs_rec_event *place_entries(walk *w, const view *v)
{
    if (v->run_kind == W_ENTRY) {
        return w->m.entries + v->first;
    }
    vs_rec_event *const events = VS_RAW_ARRAY(w->m.desc->keep, vs_rec_event, (size_t)v->count);
    if (events == NULL) {
        (void)vs_fail_memory(w->m.err, w->m.desc->keep, "a memory snapshot");
    }
    return events;
}

static bool take_entries(walk *w, uint32_t device, const view *v)
{
    const snap_machine *const m = &w->m;
    const bool has_time = (m->seen & SEEN_TIME) != 0;
    vs_rec_event *const out = place_entries(w, v);
    /* in place, what is written may be looked at again: walk_traces clears the marks */
    const uint8_t pad = v->run_kind == W_ENTRY ? IS_TAKEN : 0;
    uint32_t kept = 0;
    vs_ns last_time = 0;
    for (uint64_t i = 0; out != NULL && i < v->count; i++) {
        const snap_word word = view_at(m, v, i);
        if (snap_kind_of(word) != W_ENTRY) {
            char path[PATH_BYTES];
            (void)snprintf(path, sizeof path, "device_traces[%" PRIu32 "][%" PRIu64 "]", device,
                           i);
            return fail_at(w, path, "expected a trace entry (a dict with \"action\"), found %s",
                           snap_kind_name(snap_kind_of(word)));
        }
        vs_rec_event *const row = &m->entries[snap_index(word)];
        vs_rec_event e = *row;
        if (!check_entry(w, device, i, &e)) {
            return false;
        }
        row->pad |= IS_TAKEN;
        if ((e.pad & IS_OTHER) != 0) {
            w->other_count++;
            continue;
        }
        if (has_time && (e.pad & HAS_TIME) == 0) {
            w->timeless_count++;
            e.time_ns = last_time;
        }
        last_time = e.time_ns;
        e.origin = (uint32_t)i;
        e.pad = pad;
        out[kept++] = e;
    }
    if (out == NULL) {
        return false;
    }
    const uint8_t index = builder_device(m->builder, device, false);
    w->entry_count += kept;
    builder_take_events(m->builder, index, out, kept);
    return !builder_has_failed(m->builder) || fail_builder(w);
}

static bool walk_traces(walk *w)
{
    view lists = {0};
    const snap_machine *const m = &w->m;
    if (w->traces == W_NONE) {
        return true;
    }
    if (!view_of(m, w->traces, &lists)) {
        return fail_at(w, "device_traces",
                       "expected a list of lists of trace entries, found %s",
                       snap_kind_name(snap_kind_of(w->traces)));
    }
    for (uint64_t d = 0; d < lists.count; d++) {
        view entries = {0};
        const snap_word list = view_at(m, &lists, d);
        if (!view_of(m, list, &entries) || d > UINT32_MAX) {
            char path[PATH_BYTES];
            (void)snprintf(path, sizeof path, "device_traces[%" PRIu64 "]", d);
            return fail_at(w, path, "expected a list of trace entries, found %s",
                           snap_kind_name(snap_kind_of(list)));
        }
        if (entries.count > 0 && !take_entries(w, (uint32_t)d, &entries)) {
            return false;
        }
    }
    for (uint32_t i = 0; i < m->entry_count; i++) {
        m->entries[i].pad = 0;
    }
    return true;
}

/* ---- segments --------------------------------------------------------------------------------------------------- */

static bool fail_in_segment(walk *w, uint64_t segment, const char *key, const char *said)
{
    char path[PATH_BYTES];
    (void)snprintf(path, sizeof path, "segments[%" PRIu64 "]%s%s", segment,
                   key[0] != '\0' ? "." : "", key);
    return fail_at(w, path, "%s", said);
}

static bool fail_in_block(walk *w, uint64_t segment, uint64_t block, const char *said)
{
    char key[PATH_BYTES / 2];
    (void)snprintf(key, sizeof key, "blocks[%" PRIu64 "]", block);
    return fail_in_segment(w, segment, key, said);
}

static bool take_block(walk *w, uint64_t segment, uint64_t index, snap_word word,
                       uint64_t *address)
{
    snap_machine *const m = &w->m;
    if (snap_kind_of(word) != W_BLOCK) {
        return fail_in_block(w, segment, index,
                             "expected a block (a dict with \"size\" and \"state\")");
    }
    vs_rec_block *const row = rows_at(&m->blocks, snap_index(word));
    if ((row->pad[0] & IS_TAKEN) != 0) {
        return fail_in_block(w, segment, index,
                             "the same block was in a list before; each is used once");
    }
    vs_rec_block block = *row;
    row->pad[0] |= IS_TAKEN;
    block.pad[0] = 0;
    if ((row->pad[0] & HAS_ADDRESS) == 0) { /* before PyTorch 2.1 */
        block.addr = *address;
    }
    if (!vs_add_u64(block.addr, block.size, address)) {
        return fail_in_block(w, segment, index, "the block ends beyond 2^64");
    }
    builder_block(m->builder, &block);
    return !builder_has_failed(m->builder) || fail_builder(w);
}

static bool take_blocks(walk *w, uint64_t index, const snap_segment *s)
{
    view blocks = {0};
    uint64_t address = s->row.addr;
    if (!view_of(&w->m, s->blocks, &blocks)) {
        return fail_in_segment(w, index, "blocks", "expected a list of blocks");
    }
    for (uint64_t i = 0; i < blocks.count; i++) {
        if (!take_block(w, index, i, view_at(&w->m, &blocks, i), &address)) {
            return false;
        }
    }
    return true;
}

static bool take_segment(walk *w, uint64_t index, snap_word word)
{
    snap_machine *const m = &w->m;
    if (snap_kind_of(word) != W_SEGMENT) {
        return fail_in_segment(
            w, index, "", "expected a segment (a dict with \"total_size\" and \"blocks\")");
    }
    snap_segment *const s = rows_at(&m->segments, snap_index(word));
    if ((s->has & IS_TAKEN) != 0) {
        return fail_in_segment(w, index, "",
                               "the same segment was in the list before; each is used once");
    }
    if ((s->has & HAS_ADDRESS) == 0) {
        return fail_in_segment(w, index, "address", "a segment has no address");
    }
    if ((s->has & HAS_DEVICE) == 0) {
        return fail_in_segment(w, index, "device", "a segment has no device");
    }
    s->has |= IS_TAKEN;
    uint64_t end = 0;
    if (!vs_add_u64(s->row.addr, s->row.total, &end)) {
        return fail_in_segment(w, index, "total_size", "the segment ends beyond 2^64");
    }
    if (!take_blocks(w, index, s)) {
        return false;
    }
    const uint8_t device = builder_device(m->builder, s->device, false);
    builder_segment(m->builder, device, &s->row);
    return !builder_has_failed(m->builder) || fail_builder(w);
}

static bool walk_segments(walk *w)
{
    view segments = {0};
    if (w->segments == W_NONE) {
        return true;
    }
    if (!view_of(&w->m, w->segments, &segments)) {
        return fail_at(w, "segments", "expected a list of segments, found %s",
                       snap_kind_name(snap_kind_of(w->segments)));
    }
    builder_has_segments(w->m.builder);
    for (uint64_t i = 0; i < segments.count; i++) {
        if (!take_segment(w, i, view_at(&w->m, &segments, i))) {
            return false;
        }
    }
    return true;
}

/* ---- allocator_settings ---------------------------------------------------------------------------------------------- */

static bool fail_setting(walk *w, const char *key, const char *expected, snap_word found)
{
    char path[PATH_BYTES];
    (void)snprintf(path, sizeof path, "allocator_settings.%s", key);
    return fail_at(w, path, "expected %s, found %s", expected,
                   snap_kind_name(snap_kind_of(found)));
}

/* -1, and what it is as an unsigned number, mean: no limit. */
static bool take_max_split(walk *w)
{
    const snap_word word = dict_get(&w->m, w->settings, K_MAX_SPLIT_SIZE);
    uint64_t bits = 0;
    if (word == W_NONE) {
        return true;
    }
    if (!snap_as_bits(&w->m, word, &bits) ||
        (bits != UINT64_MAX && !snap_as_u64(&w->m, word, &bits))) {
        return fail_setting(w, "max_split_size", "bytes or -1", word);
    }
    builder_head(w->m.builder)->max_split_bytes = bits;
    return true;
}

static bool take_threshold(walk *w)
{
    const snap_word word = dict_get(&w->m, w->settings, K_GC_THRESHOLD);
    vs_recording *const head = builder_head(w->m.builder);
    uint64_t whole = 0;
    if (word == W_NONE) {
        return true;
    }
    if (snap_kind_of(word) == W_FLOAT) {
        const double *const value = rows_at(&w->m.floats, snap_index(word));
        head->gc_threshold = *value;
        return true;
    }
    if (!snap_as_u64(&w->m, word, &whole) || whole > 1) {
        return fail_setting(w, "garbage_collection_threshold", "a number from 0 to 1", word);
    }
    head->gc_threshold = whole != 0 ? 1.0 : 0.0;
    return true;
}

/* Slot i is for requests of 2^i MiB; its key says the MiB. */
static bool take_division(walk *w, snap_word key, snap_word value)
{
    const snap_machine *const m = &w->m;
    uint64_t mib = 0;
    uint64_t count = 0;
    if (snap_kind_of(key) != W_TEXT || !vs_parse_u64(snap_text_of(m, key), &mib, NULL)) {
        return true; /* not one of the slots */
    }
    if (!snap_as_u64(m, value, &count) || count > UINT32_MAX) {
        return fail_setting(w, "roundup_power2_divisions", "whole numbers", value);
    }
    for (uint32_t slot = 0; slot < DIVISION_SLOTS; slot++) {
        if (mib == UINT64_C(1) << slot) {
            builder_head(m->builder)->divisions[slot] = (uint32_t)count;
        }
    }
    return true;
}

static bool take_divisions(walk *w)
{
    const snap_machine *const m = &w->m;
    const snap_word word = dict_get(m, w->settings, K_DIVISIONS);
    if (word == W_NONE || snap_kind_of(word) == W_EMPTY_DICT) {
        return true;
    }
    if (!is_dict(word) || !has_few_keys(m, word)) {
        return fail_setting(w, "roundup_power2_divisions", "a dict with 16 keys", word);
    }
    const snap_items items = snap_items_of(m, word);
    for (uint64_t i = 0; i < items.count; i += 2) {
        if (!take_division(w, *snap_word_at(&m->items, items.first + i),
                           *snap_word_at(&m->items, items.first + i + 1))) {
            return false;
        }
    }
    return true;
}

static bool walk_settings(walk *w)
{
    snap_machine *const m = &w->m;
    vs_recording *const head = builder_head(m->builder);
    if (w->settings == W_NONE) {
        return true;
    }
    if (!is_dict(w->settings) || !has_few_keys(m, w->settings)) {
        return fail_at(w, "allocator_settings", "expected a dict of at most %u keys, found %s",
                       SNAP_MAX_PAIRS, snap_kind_name(snap_kind_of(w->settings)));
    }
    head->has_settings = true;
    const snap_word conf = dict_get(m, w->settings, K_ALLOC_CONF);
    if (snap_kind_of(conf) == W_TEXT) {
        head->alloc_conf = vs_str_copy(m->desc->keep, snap_text_of(m, conf));
        if (head->alloc_conf == NULL) {
            return vs_fail_memory(m->err, m->desc->keep, "a memory snapshot");
        }
    } else if (conf != W_NONE) {
        return fail_setting(w, "PYTORCH_CUDA_ALLOC_CONF", "a text", conf);
    }
    const snap_word expandable = dict_get(m, w->settings, K_EXPANDABLE_SEGMENTS);
    if (snap_kind_of(expandable) > W_TRUE) {
        return fail_setting(w, "expandable_segments", "True or False", expandable);
    }
    head->expandable_segments = expandable == W_TRUE;
    return take_max_split(w) && take_threshold(w) && take_divisions(w);
}

/* ---- external_annotations --------------------------------------------------------------------------------------------- */

static bool take_annotation(walk *w, snap_word dict)
{
    snap_machine *const m = &w->m;
    uint64_t us = 0;
    uint64_t device = 0;
    vs_rec_annotation row = {0};
    if (snap_kind_of(dict) != W_DICT || !has_few_keys(m, dict) ||
        !snap_as_u64(m, dict_get(m, dict, K_TIME_US), &us) ||
        !vs_mul_u64(us, 1000, &row.time_ns)) {
        w->odd_annotations++;
        return true;
    }
    const snap_word name = dict_get(m, dict, K_NAME);
    const snap_word stage = dict_get(m, dict, K_STAGE);
    const snap_word where = dict_get(m, dict, K_DEVICE);
    row.name = snap_kind_of(name) == W_TEXT ? snap_kept_text(m, name) : 0;
    row.stage = snap_kind_of(stage) == W_TEXT ? snap_kept_text(m, stage) : 0;
    row.device = snap_as_u64(m, where, &device) && device <= UINT32_MAX ? (uint32_t)device : 0;
    w->annotation_count++;
    builder_annotation(m->builder, &row);
    return !builder_has_failed(m->builder) || fail_builder(w);
}

static bool walk_annotations(walk *w)
{
    view list = {0};
    if (w->annotations == W_NONE) {
        return true;
    }
    if (!view_of(&w->m, w->annotations, &list)) {
        w->odd_annotations++;
        return true;
    }
    for (uint64_t i = 0; i < list.count; i++) {
        if (!take_annotation(w, view_at(&w->m, &list, i))) {
            return false;
        }
    }
    return true;
}

/* ---- which PyTorch [15.8] --------------------------------------------------------------------------------------------------- */

typedef struct {
    uint32_t since; /* 206: 2.6 */
    const char *text;
} release;

/* What a key says is not missing tells the oldest release; what is missing tells the newest, if there was an entry that
 * would have it. */
static release release_of(const walk *w)
{
    const uint32_t seen = w->m.seen;
    const bool has_entries = w->entry_count > 0;
    if (w->is_list) {
        return (release){112, "PyTorch 1.12 or 1.13"};
    }
    if ((seen & SEEN_POOL_ID) != 0) {
        return (release){212, "PyTorch 2.12 or later"};
    }
    if ((seen & SEEN_USER_METADATA) != 0) {
        return (release){209, "PyTorch 2.9 to 2.11"};
    }
    if ((seen & SEEN_COMPILE) != 0) {
        return (release){208, "PyTorch 2.8"};
    }
    if (w->annotations != W_NONE) {
        return has_entries ? (release){206, "PyTorch 2.6 or 2.7"}
                           : (release){206, "PyTorch 2.6 or later"};
    }
    if (w->settings != W_NONE) {
        return (release){203, "PyTorch 2.3 to 2.5"};
    }
    if ((seen & SEEN_HISTORY) != 0) {
        return (release){200, "PyTorch 2.0"};
    }
    if ((seen & SEEN_TIME) != 0) {
        return (release){201, "PyTorch 2.1 or 2.2"};
    }
    if ((seen & SEEN_SEGMENT_POOL) != 0) {
        return has_entries ? (release){201, "PyTorch 2.1"}
                           : (release){201, "PyTorch 2.1 or 2.2"};
    }
    return has_entries ? (release){200, "PyTorch 2.0"} : (release){0, ""};
}

/* ---- the whole ------------------------------------------------------------------------------------------------------------------ */

static bool find_top(walk *w)
{
    const snap_machine *const m = &w->m;
    const snap_word top = m->stack[0];
    view list = {0};
    if (view_of(m, top, &list) && list.count > 0 &&
        snap_kind_of(view_at(m, &list, 0)) == W_SEGMENT) {
        w->is_list = true;
        w->segments = top;
        return true;
    }
    if (has_few_keys(m, top)) {
        w->segments = dict_get(m, top, K_SEGMENTS);
        w->traces = dict_get(m, top, K_DEVICE_TRACES);
        w->settings = dict_get(m, top, K_ALLOCATOR_SETTINGS);
        w->annotations = dict_get(m, top, K_EXTERNAL_ANNOTATIONS);
        w->own = dict_get(m, top, K_OWN);
    }
    if (w->segments == W_NONE && w->traces == W_NONE) {
        return vs_fail(
            m->err, VS_ERR_FORMAT,
            "a pickle of plain data, but no PyTorch memory snapshot: expected a dict "
            "with \"segments\" and \"device_traces\", found %s",
            snap_kind_name(snap_kind_of(top)));
    }
    return true;
}

static bool note_rest(walk *w)
{
    snap_machine *const m = &w->m;
    vs_input *const in = m->in;
    vs_err failed = {0};
    const bool has_more = input_need(in, 1, &failed);
    if (has_more && !in->is_gzip) {
        builder_note(m->builder,
                     "%" PRIu64 " bytes behind the end of the pickle were not looked at",
                     in->packed_total - m->stopped_at);
    } else if (has_more) {
        builder_note(m->builder,
                     "what follows the end of the pickle, at byte %" PRIu64
                     " of the unpacked file, was not looked at",
                     m->stopped_at);
    } else if (in->was_cut) {
        builder_note(m->builder,
                     "the gzip file is cut or damaged behind the end of the pickle");
    }
    if (failed.code != VS_OK && m->err != NULL) {
        *m->err = failed;
        return false;
    }
    return true;
}

static void note_left_out(walk *w)
{
    vs_builder *const b = w->m.builder;
    if (w->other_count > 0) {
        builder_note(b,
                     "%" PRIu64
                     " trace entries with actions that are no part of the allocator's "
                     "work (user_defined, or not known) were left out",
                     w->other_count);
    }
    if (w->timeless_count > 0) {
        builder_note(b,
                     "%" PRIu64 " trace entries have no time and got that of the entry before",
                     w->timeless_count);
    }
    if (w->odd_annotations > 0) {
        builder_note(b,
                     "%" PRIu64
                     " external annotations have no time or are of another shape and "
                     "were left out",
                     w->odd_annotations);
    }
}

static bool read_whole(walk *w, vs_recording *out)
{
    snap_machine *const m = &w->m;
    /* traces first: their rows stand at the end of keep */
    if (!snap_run_pickle(m)) {
        return builder_has_failed(m->builder) ? fail_builder(w) : false;
    }
    if (!find_top(w) || !walk_traces(w) || !walk_segments(w) || !walk_settings(w) ||
        !walk_annotations(w) || (w->own != W_NONE && !snap_read_own(m, w->own))) {
        return false;
    }
    note_left_out(w);
    if (!note_rest(w)) {
        return false;
    }
    const release made_by = release_of(w);
    vs_recording *const head = builder_head(m->builder);
    head->made_by = w->own != W_NONE ? "vramscope" : made_by.text;
    head->torch_since = made_by.since;
    head->has_time = (m->seen & SEEN_TIME) != 0 || w->annotation_count > 0;
    return builder_finish(m->builder, out, m->err);
}

bool read_snapshot(vs_recording *out, vs_input *in, const vs_read_desc *desc, vs_err *err)
{
    walk *const w = VS_NEW(desc->scratch, walk);
    if (w == NULL) {
        return vs_fail_memory(err, desc->scratch, "a memory snapshot");
    }
    return snap_machine_init(&w->m, in, desc, err) && read_whole(w, out);
}
