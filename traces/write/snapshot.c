/* traces/write/snapshot.c - a tape as a PyTorch memory snapshot: specs/torch-caching-allocator.md [15, 16].
 *
 *   device_traces         per card (the GPUs of the tape, in their order) what its allocator would have recorded
 *   segments              what was there at the end
 *   allocator_settings    as far as the tape tells
 *   external_annotations  phases
 *   vramscope             the tape (snapshot_own.c); others skip it
 *
 * Entries are those that PyTorch 2.9 and later write. A FREE without a FREE_REQUESTED before is both at once [15.5]. A
 * card whose tape has no segments, or does not tell where they are, gets one around each block: viewers need to know
 * where a block lies.
 *
 * What was there before a recording began has no entries, as in a snapshot of PyTorch: it is in the segments, or its free tells.
 *
 * A block is shown as what it is for in the end: staging that became a weight is a weight. An entry also has "category",
 * which the official viewer takes colours from. That viewer
 * (pytorch/pytorch torch/utils/viz/MemoryViz.js, annotate_snapshot) fails when there are categories and none of them is
 * "unknown": that is what segments have, and it is true of them. */
#include "traces/write/snapshot.h"

#include "vramscope/trace.h"

#include <stdlib.h>
#include <string.h>

/* Time 0 of a tape that does not tell when it was: 2023-11-14 22:13:20 UTC. */
#define EPOCH_NS UINT64_C(1700000000000000000)

#define GRANULE UINT64_C(512) /* kMinBlockSize [1.1] */

/* Where blocks lie whose tape has no addresses: beyond what a device has, and each elsewhere. */
#define NO_ADDRESS_BASE UINT64_C(0x400000000000)

static const char *const words[WORD_COUNT] = {
#define VS_X(id, text) text,
    SNAPSHOT_WORDS(VS_X)
#undef VS_X
};

/* ---- words and names ---------------------------------------------------------------------- */

void snapshot_put_key(snapshot_writer *w, snapshot_word key)
{
    pickle_key(&w->p, words[key], &w->words[key]);
}

void snapshot_put_word(snapshot_writer *w, snapshot_word word)
{
    pickle_shared_text(&w->p, words[word], &w->words[word]);
}

void snapshot_put_u64(snapshot_writer *w, snapshot_word key, uint64_t value)
{
    snapshot_put_key(w, key);
    pickle_u64(&w->p, value);
}

static void put_category(snapshot_writer *w, uint8_t category)
{
    if (category == VS_CAT_TENSOR) {
        snapshot_put_word(w, WORD_UNKNOWN);
    } else {
        pickle_shared_text(&w->p, vs_category_key((vs_category)category),
                           &w->categories[category]);
    }
}

static void put_name(snapshot_writer *w, uint32_t name)
{
    pickle_shared_text(&w->p, vs_timeline_string(w->tl, name), &w->names[name].text);
}

/* The list is written once for each name and category that follow each other. */
void snapshot_put_frames(snapshot_writer *w, uint32_t name, uint8_t category)
{
    snapshot_name *known = &w->names[name];
    snapshot_put_key(w, WORD_FRAMES);
    if (known->frames != 0 && known->category == category) {
        pickle_again(&w->p, known->frames);
        return;
    }
    pickle_list(&w->p);
    pickle_item(&w->p);
    pickle_dict(&w->p);
    snapshot_put_key(w, WORD_NAME);
    put_name(w, name);
    snapshot_put_key(w, WORD_FILENAME);
    put_category(w, category);
    snapshot_put_u64(w, WORD_LINE, 0);
    pickle_close(&w->p);
    pickle_close(&w->p);
    pickle_remember(&w->p, &known->frames);
    known->category = category;
}

/* ---- blocks --------------------------------------------------------------------------------- */

vs_bytes snapshot_request(const vs_timeline *tl, uint32_t block)
{
    const uint32_t born = tl->blocks[block].born_event;
    const vs_bytes size = tl->event_size[born];
    const vs_bytes asked = tl->event_asked[born];
    return asked > 0 && asked < size ? asked : size;
}

uint64_t snapshot_address(const vs_timeline *tl, uint32_t block)
{
    const uint64_t addr = tl->event_addr[tl->blocks[block].born_event];
    return addr != 0 ? addr : NO_ADDRESS_BASE + GRANULE * block;
}

/* ---- entries of a trace ------------------------------------------------------------------------ */

static uint64_t time_us(const snapshot_writer *w, vs_ns time_ns)
{
    uint64_t sum = 0;
    return (vs_add_u64(w->epoch_ns, time_ns, &sum) ? sum : UINT64_MAX) / 1000;
}

/* What every entry has; the caller adds the rest and closes it. */
static void begin_entry(snapshot_writer *w, snapshot_word action, uint32_t event, vs_bytes size)
{
    w->entry_count++;
    w->entry_bytes = (w->entry_bytes + size) & UINT32_MAX;
    pickle_item(&w->p);
    pickle_dict(&w->p);
    snapshot_put_key(w, WORD_ACTION);
    snapshot_put_word(w, action);
    snapshot_put_u64(w, WORD_SIZE, size);
    snapshot_put_u64(w, WORD_STREAM, w->tl->event_stream[event]);
    snapshot_put_u64(w, WORD_TIME_US, time_us(w, w->tl->event_time[event]));
    snapshot_put_key(w, WORD_COMPILE_CONTEXT);
    snapshot_put_word(w, WORD_NOT_AVAILABLE);
}

static void put_block_entry(snapshot_writer *w, snapshot_word action, uint32_t event)
{
    const uint32_t block = w->tl->event_block[event];
    const vs_block_info *b = &w->tl->blocks[block];
    const uint8_t category = snapshot_category(w, block);
    begin_entry(w, action, event, snapshot_request(w->tl, block));
    snapshot_put_u64(w, WORD_ADDR, snapshot_address(w->tl, block));
    snapshot_put_key(w, WORD_USER_METADATA);
    put_name(w, b->name);
    if (action == WORD_ALLOC) {
        snapshot_put_key(w, WORD_CATEGORY);
        put_category(w, category);
    }
    snapshot_put_frames(w, b->name, category);
    pickle_close(&w->p);
}

static void put_segment_entry(snapshot_writer *w, snapshot_word action, uint32_t event,
                              uint64_t addr, vs_bytes size)
{
    begin_entry(w, action, event, size);
    snapshot_put_u64(w, WORD_ADDR, addr);
    snapshot_put_key(w, WORD_USER_METADATA);
    put_name(w, VS_NO_NAME);
    snapshot_put_key(w, WORD_CATEGORY);
    snapshot_put_word(w, WORD_UNKNOWN);
    snapshot_put_key(w, WORD_FRAMES);
    pickle_list(&w->p);
    pickle_close(&w->p);
    pickle_close(&w->p);
}

/* The segment of a block that has no other. */
static void put_own_segment(snapshot_writer *w, snapshot_word action, uint32_t event)
{
    const uint32_t block = w->tl->event_block[event];
    put_segment_entry(w, action, event, snapshot_address(w->tl, block),
                      w->tl->event_size[w->tl->blocks[block].born_event]);
}

static void put_oom(snapshot_writer *w, uint32_t event)
{
    vs_bytes rounded = 0;
    const vs_bytes asked = w->tl->event_asked[event];
    if (!vs_round_up_u64(asked > 0 ? asked : 1, GRANULE, &rounded)) {
        rounded = asked;
    }
    begin_entry(w, WORD_OOM, event, rounded);
    snapshot_put_u64(w, WORD_DEVICE_FREE, w->tl->event_extra[event]);
    snapshot_put_key(w, WORD_USER_METADATA);
    put_name(w, w->tl->event_name[event]);
    snapshot_put_frames(w, w->tl->event_name[event], w->tl->event_category[event]);
    pickle_close(&w->p);
}

static void put_alloc(snapshot_writer *w, uint32_t event, bool has_segments)
{
    if (w->tl->event_size[event] == 0) {
        return; /* no address of its own, so no allocation for PyTorch */
    }
    if (!has_segments) {
        put_own_segment(w, WORD_SEGMENT_ALLOC, event);
    }
    put_block_entry(w, WORD_ALLOC, event);
}

static void put_free(snapshot_writer *w, uint32_t event, bool has_segments)
{
    const uint32_t block = w->tl->event_block[event];
    const bool is_pending = (w->block_states[block] & BLOCK_IS_PENDING) != 0;
    if (w->tl->event_size[w->tl->blocks[block].born_event] == 0) {
        return;
    }
    if (!is_pending) {
        put_block_entry(w, WORD_FREE_REQUESTED, event);
    }
    put_block_entry(w, WORD_FREE_COMPLETED, event);
    if (!has_segments) {
        put_own_segment(w, WORD_SEGMENT_FREE, event);
    }
}

static void put_free_requested(snapshot_writer *w, uint32_t event)
{
    const uint32_t block = w->tl->event_block[event];
    w->block_states[block] |= BLOCK_IS_PENDING;
    if (w->tl->event_size[w->tl->blocks[block].born_event] > 0) {
        put_block_entry(w, WORD_FREE_REQUESTED, event);
    }
}

static void put_event(snapshot_writer *w, uint32_t event, bool has_segments)
{
    static const snapshot_word segments[] = {WORD_SEGMENT_ALLOC, WORD_SEGMENT_FREE,
                                             WORD_SEGMENT_MAP, WORD_SEGMENT_UNMAP};
    const vs_event_kind kind = (vs_event_kind)w->tl->event_kind[event];
    switch (kind) {
    case VS_EV_ALLOC: put_alloc(w, event, has_segments); return;
    case VS_EV_FREE: put_free(w, event, has_segments); return;
    case VS_EV_FREE_REQUESTED: put_free_requested(w, event); return;
    case VS_EV_SEGMENT_ALLOC:
    case VS_EV_SEGMENT_FREE:
    case VS_EV_SEGMENT_MAP:
    case VS_EV_SEGMENT_UNMAP:
        if (w->tl->event_addr[event] != 0) {
            put_segment_entry(w, segments[kind - VS_EV_SEGMENT_ALLOC], event,
                              w->tl->event_addr[event], w->tl->event_size[event]);
        }
        return;
    case VS_EV_OOM: put_oom(w, event); return;
    case VS_EV_RECAT:
    case VS_EV_LEVEL:
    case VS_EV_PHASE:
    case VS_EV_PROGRESS:
    case VS_EV_SURFACE:
    case VS_EV_MARK:
    case VS_EV_COUNT: return;
    }
}

static void put_traces(snapshot_writer *w)
{
    snapshot_put_key(w, WORD_DEVICE_TRACES);
    pickle_list(&w->p);
    for (uint32_t card = 0; card < w->card_count; card++) {
        pickle_item(&w->p);
        pickle_list(&w->p);
        for (uint32_t i = 0; i < w->tl->event_count; i++) {
            if (w->tl->event_device[i] != w->cards[card]) {
                continue;
            }
            if (i >= w->events_before) {
                put_event(w, i, w->has_segments[card]);
            } else if (w->tl->event_kind[i] == VS_EV_FREE_REQUESTED) {
                w->block_states[w->tl->event_block[i]] |= BLOCK_IS_PENDING;
            }
        }
        pickle_close(&w->p);
    }
    pickle_close(&w->p);
}

/* ---- settings and annotations ---------------------------------------------------------------------- */

/* The text behind "key:" in a list of options [11], up to the next comma; NULL: it is not there. */
static const char *option_of(const char *conf, const char *key)
{
    const size_t len = strlen(key);
    for (const char *at = conf; at != NULL && at[0] != '\0';) {
        while (*at == ' ' || *at == ',') {
            at++;
        }
        if (strncmp(at, key, len) == 0 && at[len] == ':') {
            return at + len + 1;
        }
        at = strchr(at, ',');
    }
    return NULL;
}

static void put_setting(snapshot_writer *w, const char *key)
{
    pickle_memo memo = 0;
    pickle_key(&w->p, key, &memo);
}

/* A number for every slot; a list of slots is left to the text of all options. */
static void put_divisions(snapshot_writer *w, const char *conf)
{
    const char *text = option_of(conf, "roundup_power2_divisions");
    if (text != NULL && strchr("0123456789", text[0]) == NULL) {
        return;
    }
    const uint64_t divisions = text == NULL ? 0 : strtoull(text, NULL, 10);
    put_setting(w, "roundup_power2_divisions");
    pickle_dict(&w->p);
    for (uint32_t slot = 0; slot < 16; slot++) { /* "1", "2", "4" to "32768" [15.6] */
        char key[8] = {0};
        uint32_t at = sizeof key - 1;
        for (uint32_t mib = 1u << slot; mib > 0; mib /= 10) {
            key[--at] = (char)('0' + mib % 10);
        }
        put_setting(w, key + at);
        pickle_u64(&w->p, divisions);
    }
    pickle_close(&w->p);
}

static void put_settings(snapshot_writer *w)
{
    const char *conf = vs_timeline_meta(w->tl, "alloc_conf");
    conf = conf == NULL ? "" : conf;
    const char *split = option_of(conf, "max_split_size_mb");
    const char *collect = option_of(conf, "garbage_collection_threshold");
    bool is_expandable = false;
    for (uint32_t i = 0; i < w->tl->event_count && !is_expandable; i++) {
        is_expandable = w->tl->event_kind[i] == VS_EV_SEGMENT_MAP;
    }
    snapshot_put_key(w, WORD_ALLOCATOR_SETTINGS);
    pickle_dict(&w->p);
    put_setting(w, "PYTORCH_CUDA_ALLOC_CONF");
    pickle_text(&w->p, conf);
    put_setting(w, "max_split_size");
    if (split == NULL) {
        pickle_minus_one(&w->p); /* unlimited */
    } else {
        pickle_u64(&w->p, strtoull(split, NULL, 10) * VS_MIB);
    }
    put_setting(w, "garbage_collection_threshold");
    pickle_float(&w->p, collect == NULL ? 0.0 : strtod(collect, NULL));
    put_setting(w, "expandable_segments");
    pickle_bool(&w->p, is_expandable);
    put_setting(w, "pinned_num_register_threads");
    pickle_u64(&w->p, 1);
    put_setting(w, "release_lock_on_cudamalloc");
    pickle_bool(&w->p, false);
    put_setting(w, "pinned_use_cuda_host_register");
    pickle_bool(&w->p, false);
    put_divisions(w, conf);
    pickle_close(&w->p);
}

static uint32_t ordinal_of(const snapshot_writer *w, uint8_t device)
{
    for (uint32_t card = 0; card < w->card_count; card++) {
        if (w->cards[card] == device) {
            return card;
        }
    }
    return 0;
}

static void put_annotation(snapshot_writer *w, uint32_t event, vs_ns time_ns,
                           snapshot_word stage)
{
    pickle_item(&w->p);
    pickle_dict(&w->p);
    snapshot_put_u64(w, WORD_DEVICE, ordinal_of(w, w->tl->event_device[event]));
    snapshot_put_u64(w, WORD_TIME_US, time_us(w, time_ns));
    snapshot_put_key(w, WORD_NAME);
    put_name(w, w->tl->event_name[event]);
    snapshot_put_key(w, WORD_STAGE);
    snapshot_put_word(w, stage);
    pickle_close(&w->p);
}

/* A phase lasts until the next one. */
static void put_annotations(snapshot_writer *w)
{
    uint32_t open = UINT32_MAX;
    snapshot_put_key(w, WORD_EXTERNAL_ANNOTATIONS);
    pickle_list(&w->p);
    for (uint32_t i = 0; i < w->tl->event_count; i++) {
        if (w->tl->event_kind[i] != VS_EV_PHASE) {
            continue;
        }
        if (open != UINT32_MAX) {
            put_annotation(w, open, w->tl->event_time[i], WORD_END);
        }
        put_annotation(w, i, w->tl->event_time[i], WORD_START);
        open = i;
    }
    if (open != UINT32_MAX) {
        put_annotation(w, open, w->tl->end_ns, WORD_END);
    }
    pickle_close(&w->p);
}

/* ---- the whole --------------------------------------------------------------------------------------- */

/* The cards, which of them have segments, and what every block is for. */
static void look_ahead(snapshot_writer *w)
{
    uint32_t ordinals[SNAPSHOT_CARDS_MAX] = {0};
    for (uint32_t d = 0; d < w->tl->device_count; d++) {
        if (w->tl->devices[d].kind == VS_DEVICE_GPU) {
            ordinals[d] = w->card_count;
            w->cards[w->card_count++] = (uint8_t)d;
        }
    }
    for (uint32_t i = 0; i < w->tl->event_count; i++) {
        const uint8_t kind = w->tl->event_kind[i];
        if (snapshot_is_segment_event(w->tl, i)) { /* of cards only: derive.c */
            w->has_segments[ordinals[w->tl->event_device[i]]] = true;
        }
        if (kind == VS_EV_ALLOC || kind == VS_EV_RECAT) {
            w->block_states[w->tl->event_block[i]] = w->tl->event_category[i];
        }
    }
}

/* A fact that is a number; 0: it is not there. */
static uint64_t number_of(const vs_timeline *tl, const char *key)
{
    const char *text = vs_timeline_meta(tl, key);
    return text == NULL ? 0 : strtoull(text, NULL, 10);
}

static bool write_all(snapshot_writer *w, vs_err *err)
{
    pickle_dict(&w->p);
    put_traces(w);
    if (!snapshot_put_segments(w, err)) {
        return false;
    }
    put_settings(w);
    put_annotations(w);
    snapshot_put_own(w);
    pickle_close(&w->p);
    return pickle_end(&w->p, err);
}

static bool write_to(vs_outfile *out, const vs_timeline *tl, vs_arena *scratch, vs_err *err)
{
    snapshot_writer *w = VS_NEW(scratch, snapshot_writer);
    if (w == NULL) {
        return vs_fail_memory(err, scratch, "writing a snapshot");
    }
    w->tl = tl;
    w->scratch = scratch;
    w->epoch_ns = number_of(tl, "epoch_ns");
    w->epoch_ns = w->epoch_ns > 0 ? w->epoch_ns : EPOCH_NS;
    w->events_before = number_of(tl, "events_before"); /* vs_tape_recording_begins */
    w->names = VS_ARRAY(scratch, snapshot_name, tl->string_count);
    w->block_states = VS_ARRAY(scratch, uint8_t, tl->block_count);
    if (w->names == NULL || w->block_states == NULL) {
        return vs_fail_memory(err, scratch, "writing a snapshot");
    }
    look_ahead(w);
    return pickle_begin(&w->p, out, scratch, err) && write_all(w, err);
}

bool vs_trace_write_snapshot(const vs_timeline *tl, const char *path, vs_arena *scratch,
                             vs_err *err)
{
    vs_assert(tl->device_count <= SNAPSHOT_CARDS_MAX);
    vs_outfile *out = vs_outfile_open(path, err);
    if (out == NULL) {
        return false;
    }
    const size_t mark = scratch->used_bytes;
    const bool is_written = write_to(out, tl, scratch, err);
    vs_arena_rewind(scratch, mark);
    if (!is_written) {
        vs_outfile_abandon(out);
        return false;
    }
    return vs_outfile_commit(out, err);
}
