/* traces/read/snapshot_rows.c - dicts of known shape become rows (see snapshot.h; keys: specs/torch-caching-allocator.md [15.3 - 15.5]).
 *
 * Keys come in any order and may come twice (the last one counts); those that are not known are skipped. A value of the wrong kind is an
 * error that names the key and counts the row from the beginning of the file; what is missing is found when the rows are used
 * (snapshot.c), since a dict may be filled in several steps. */
#include "traces/read/snapshot.h"

#include <string.h>

#define ENTRY_STEP 1024u
#define NS_PER_US  UINT64_C(1000)
#define PAIR_BITS  28u

#define BIT(key) (UINT32_C(1) << (key))

snap_kind snap_shape_of(uint32_t keys)
{
    if ((keys & BIT(K_ACTION)) != 0) {
        return W_ENTRY;
    }
    if ((keys & BIT(K_TOTAL_SIZE)) != 0 && (keys & BIT(K_BLOCKS)) != 0) {
        return W_SEGMENT;
    }
    if ((keys & BIT(K_SIZE)) != 0 && (keys & BIT(K_STATE)) != 0) {
        return W_BLOCK;
    }
    if ((keys & BIT(K_FILENAME)) != 0 && (keys & BIT(K_LINE)) != 0) {
        return W_FRAME;
    }
    return (keys & BIT(K_REAL_SIZE)) != 0 ? W_HISTORY : W_DICT;
}

/* ---- values --------------------------------------------------------------------------------- */

bool snap_as_bits(const snap_machine *m, snap_word word, uint64_t *out)
{
    if (snap_kind_of(word) == W_INT) {
        *out = (uint64_t)((int64_t)word >> SNAP_KIND_BITS);
        return true;
    }
    if (snap_kind_of(word) == W_BIG) {
        const snap_big *const big = rows_at(&m->bigs, snap_index(word));
        *out = big->bits;
        return true;
    }
    return false;
}

bool snap_as_u64(const snap_machine *m, snap_word word, uint64_t *out)
{
    if (snap_kind_of(word) == W_INT && (int64_t)word >= 0) {
        *out = snap_index(word);
        return true;
    }
    if (snap_kind_of(word) == W_BIG) {
        const snap_big *const big = rows_at(&m->bigs, snap_index(word));
        *out = big->bits;
        return !big->is_negative;
    }
    return false;
}

vs_str snap_text_of(const snap_machine *m, snap_word word)
{
    const uint32_t id = (uint32_t)snap_index(word);
    const uint32_t start = m->texts.offset[id];
    const uint32_t end =
        id + 1 < m->texts.count ? m->texts.offset[id + 1] : m->texts.bytes_used;
    return (vs_str){.ptr = m->texts.bytes + start, .len = end - start - 1};
}

uint32_t snap_kept_text(snap_machine *m, snap_word word)
{
    const uint64_t id = snap_index(word);
    while (m->text_ids.count <= id) {
        uint32_t *const row = snap_add_row(m, &m->text_ids);
        if (row == NULL) {
            return 0;
        }
        *row = 0;
    }
    uint32_t *const kept = rows_at(&m->text_ids, id);
    if (*kept == 0) {
        *kept = builder_string(m->builder, snap_text_of(m, word)) + 1;
    }
    return *kept - 1;
}

/* ---- where a value stands --------------------------------------------------------------------- */

/* One key and its value in a row of some kind: for messages. */
typedef struct {
    snap_machine *m;
    const char *row_name; /* "trace entry" */
    uint64_t row;
    snap_word key;
    snap_word value;
} place;

static bool fail_value(const place *p, const char *expected)
{
    const vs_str key = snap_text_of(p->m, p->key);
    const snap_kind kind = snap_kind_of(p->value);
    uint64_t bits = 0;
    const bool is_negative =
        !snap_as_u64(p->m, p->value, &bits) && snap_as_bits(p->m, p->value, &bits);
    return snap_fail(p->m, VS_ERR_VALUE,
                     "key \"%.*s\" of %s %" PRIu64 ": expected %s, found %s", (int)key.len,
                     key.ptr, p->row_name, p->row, expected,
                     is_negative ? "a negative number" : snap_kind_name(kind));
}

static bool set_u64(const place *p, uint64_t *out)
{
    return snap_as_u64(p->m, p->value, out) || fail_value(p, "a whole number");
}

static bool set_stream(const place *p, uint16_t *out)
{
    uint64_t handle = 0;
    if (!snap_as_bits(p->m, p->value, &handle)) {
        return fail_value(p, "a whole number");
    }
    *out = builder_stream(p->m->builder, handle);
    return !builder_has_failed(p->m->builder);
}

static bool set_stack(const place *p, uint32_t *out)
{
    switch ((unsigned)snap_kind_of(p->value)) {
    case W_STACK: *out = (uint32_t)snap_index(p->value); return true;
    case W_NONE:
    case W_EMPTY_LIST: *out = VS_REC_NO_STACK; return true;
    default: return fail_value(p, "a list of frames (filename, line, name)");
    }
}

/* (0, 0) is the default pool. */
static bool set_pool(const place *p, uint16_t *out)
{
    vs_rec_pool_id id = {0, 0};
    snap_machine *const m = p->m;
    const uint64_t index = snap_index(p->value);
    if (snap_kind_of(p->value) == W_PAIR) {
        id.hi = index >> PAIR_BITS;
        id.lo = index & ((UINT64_C(1) << PAIR_BITS) - 1);
    } else if (snap_kind_of(p->value) == W_TUPLE) {
        const snap_items items = snap_items_of(m, p->value);
        if (items.count != 2 ||
            !snap_as_bits(m, *snap_word_at(&m->items, items.first), &id.hi) ||
            !snap_as_bits(m, *snap_word_at(&m->items, items.first + 1), &id.lo)) {
            return fail_value(p, "two whole numbers");
        }
    } else if (snap_kind_of(p->value) != W_NONE) {
        return fail_value(p, "a tuple of two whole numbers");
    }
    *out = builder_pool(m->builder, id);
    return !builder_has_failed(m->builder);
}

static bool set_bool(const place *p, bool *out)
{
    const snap_kind kind = snap_kind_of(p->value);
    if (kind != W_TRUE && kind != W_FALSE) {
        return fail_value(p, "True or False");
    }
    *out = kind == W_TRUE;
    return true;
}

/* ---- trace entries ------------------------------------------------------------------------------- */

/* Entries lie at the end of keep, one array, so that the largest rows are never copied. Nobody else takes from keep while the pickle
 * is read. */
static bool new_entry(snap_machine *m, uint64_t *out)
{
    if (m->entry_count == m->entry_room) {
        if (m->entry_room > UINT32_MAX - ENTRY_STEP) {
            return snap_fail(m, VS_ERR_LIMIT, "more than 2^32 trace entries");
        }
        vs_rec_event *const more = VS_RAW_ARRAY(m->desc->keep, vs_rec_event, ENTRY_STEP);
        if (more == NULL) {
            return vs_fail_memory(m->err, m->desc->keep, "a memory snapshot");
        }
        if (m->entries == NULL) {
            m->entries = more;
        }
        vs_assert(more == m->entries + m->entry_room);
        m->entry_room += ENTRY_STEP;
    }
    m->entries[m->entry_count] =
        (vs_rec_event){.stack = VS_REC_NO_STACK, .category = (uint8_t)VS_CAT_TENSOR};
    *out = m->entry_count++;
    return true;
}

static bool set_action(const place *p, vs_rec_event *e)
{
    /* vs_rec_action has the same order as the texts from T_ALLOC on */
    _Static_assert(T_OOM - T_ALLOC == VS_REC_OOM - VS_REC_ALLOC, "the actions of a snapshot");
    const uint64_t text = snap_index(p->value);
    if (snap_kind_of(p->value) != W_TEXT) {
        return fail_value(p, "a text");
    }
    const bool is_known = text >= T_ALLOC && text <= T_OOM;
    e->action = is_known ? (uint8_t)(VS_REC_ALLOC + (text - T_ALLOC)) : 0;
    e->pad = (uint8_t)((e->pad & ~IS_OTHER) | HAS_ACTION | (is_known ? 0 : IS_OTHER));
    return true;
}

static bool set_time(const place *p, vs_rec_event *e)
{
    uint64_t us = 0;
    if (!set_u64(p, &us)) {
        return false;
    }
    if (!vs_mul_u64(us, NS_PER_US, &e->time_ns)) {
        return fail_value(p, "microseconds that fit in 64 bits as nanoseconds");
    }
    e->pad |= HAS_TIME;
    p->m->seen |= SEEN_TIME;
    return true;
}

/* Out of memory: what was free stands where others have an address. */
static bool set_addr(const place *p, vs_rec_event *e, uint8_t has)
{
    uint64_t value = 0;
    if (!set_u64(p, &value)) {
        return false;
    }
    if (has == HAS_DEVICE_FREE || (e->pad & HAS_DEVICE_FREE) == 0) {
        e->addr = value;
    }
    e->pad |= has;
    return true;
}

static bool set_label(const place *p, vs_rec_event *e)
{
    p->m->seen |= SEEN_USER_METADATA;
    if (snap_kind_of(p->value) == W_NONE) {
        e->label = 0;
        return true;
    }
    if (snap_kind_of(p->value) != W_TEXT) {
        return fail_value(p, "a text");
    }
    e->label = snap_kept_text(p->m, p->value);
    return !builder_has_failed(p->m->builder);
}

static bool apply_to_entry(const place *p)
{
    snap_machine *const m = p->m;
    vs_rec_event *const e = &m->entries[p->row];
    switch (snap_index(p->key)) {
    case K_ACTION: return set_action(p, e);
    case K_ADDR: return set_addr(p, e, HAS_ADDR);
    case K_DEVICE_FREE: return set_addr(p, e, HAS_DEVICE_FREE);
    case K_SIZE: e->pad |= HAS_SIZE; return set_u64(p, &e->size);
    case K_STREAM: return set_stream(p, &e->stream);
    case K_TIME_US: return set_time(p, e);
    case K_FRAMES: return set_stack(p, &e->stack);
    case K_POOL_ID: m->seen |= SEEN_POOL_ID; return set_pool(p, &e->pool);
    case K_USER_METADATA: return set_label(p, e);
    case K_COMPILE_CONTEXT: m->seen |= SEEN_COMPILE; return true;
    default: return true; /* skipped: forward_frames and what is not known */
    }
}

/* ---- segments and blocks ----------------------------------------------------------------------------- */

static bool set_device(const place *p, snap_segment *s)
{
    uint64_t device = 0;
    if (!set_u64(p, &device)) {
        return false;
    }
    if (device > UINT32_MAX) {
        return fail_value(p, "the number of a device");
    }
    s->device = (uint32_t)device;
    s->has |= HAS_DEVICE;
    return true;
}

static bool set_type(const place *p, snap_segment *s)
{
    const bool is_text = snap_kind_of(p->value) == W_TEXT;
    const uint64_t text = snap_index(p->value);
    if (!is_text || (text != T_SMALL && text != T_LARGE)) {
        return fail_value(p, "\"small\" or \"large\"");
    }
    s->row.is_small = text == T_SMALL;
    return true;
}

static bool apply_to_segment(const place *p)
{
    snap_segment *const s = rows_at(&p->m->segments, p->row);
    switch (snap_index(p->key)) {
    case K_ADDRESS: s->has |= HAS_ADDRESS; return set_u64(p, &s->row.addr);
    case K_TOTAL_SIZE: s->has |= HAS_TOTAL; return set_u64(p, &s->row.total);
    case K_ALLOCATED_SIZE: return set_u64(p, &s->row.allocated);
    case K_ACTIVE_SIZE: return set_u64(p, &s->row.active);
    case K_REQUESTED_SIZE: return set_u64(p, &s->row.requested);
    case K_DEVICE: return set_device(p, s);
    case K_STREAM: return set_stream(p, &s->row.stream);
    case K_SEGMENT_TYPE: return set_type(p, s);
    case K_IS_EXPANDABLE: return set_bool(p, &s->row.is_expandable);
    case K_SEGMENT_POOL_ID: p->m->seen |= SEEN_SEGMENT_POOL; return set_pool(p, &s->row.pool);
    case K_BLOCKS:
        s->has |= HAS_BLOCKS;
        s->blocks = p->value; /* looked at when the segment is used */
        return true;
    default: return true;
    }
}

static bool set_state(const place *p, vs_rec_block *b)
{
    const uint64_t text = snap_kind_of(p->value) == W_TEXT ? snap_index(p->value) : K_NOTHING;
    if (text == T_ACTIVE) {
        b->state = (uint8_t)VS_REC_BLOCK_ACTIVE;
    } else if (text == T_PENDING || text == T_AWAITING) {
        b->state = (uint8_t)VS_REC_BLOCK_PENDING;
    } else if (text == T_INACTIVE) {
        b->state = (uint8_t)VS_REC_BLOCK_INACTIVE;
    } else {
        return fail_value(
            p, "\"active_allocated\", \"active_pending_free\", \"active_awaiting_free\" or "
               "\"inactive\"");
    }
    b->pad[0] |= HAS_BLOCKS;
    return true;
}

/* PyTorch 2.0: a list of uses of the block, the current one first. */
static bool set_history(const place *p, vs_rec_block *b)
{
    snap_machine *const m = p->m;
    snap_word first = p->value;
    m->seen |= SEEN_HISTORY;
    if (snap_kind_of(first) == W_NONE || snap_kind_of(first) == W_EMPTY_LIST) {
        return true;
    }
    if (snap_kind_of(first) == W_RUN) {
        const snap_run *const run = rows_at(&m->runs, snap_index(first));
        first = snap_make((snap_kind)run->kind, run->first);
    } else if (snap_kind_of(first) == W_LIST) {
        first = *snap_word_at(&m->items, snap_items_of(m, first).first);
    }
    if (snap_kind_of(first) != W_HISTORY) {
        return fail_value(p, "a list of uses (addr, real_size, frames)");
    }
    const snap_history *const use = rows_at(&m->history, snap_index(first));
    if ((b->pad[0] & HAS_REQUESTED) == 0) {
        b->requested = use->real_size;
    }
    if (b->stack == VS_REC_NO_STACK) {
        b->stack = use->stack;
    }
    return true;
}

static bool apply_to_block(const place *p)
{
    vs_rec_block *const b = rows_at(&p->m->blocks, p->row);
    switch (snap_index(p->key)) {
    case K_ADDRESS: b->pad[0] |= HAS_ADDRESS; return set_u64(p, &b->addr);
    case K_SIZE: b->pad[0] |= HAS_TOTAL; return set_u64(p, &b->size);
    case K_REQUESTED_SIZE: b->pad[0] |= HAS_REQUESTED; return set_u64(p, &b->requested);
    case K_STATE: return set_state(p, b);
    case K_FRAMES: return set_stack(p, &b->stack);
    case K_HISTORY: return set_history(p, b);
    default: return true;
    }
}

/* ---- rows in general -------------------------------------------------------------------------------------- */

bool snap_new_row(snap_machine *m, snap_kind shape, uint64_t *out)
{
    if (shape == W_ENTRY) {
        return new_entry(m, out);
    }
    vs_rows *const rows = shape == W_BLOCK ? &m->blocks : &m->segments;
    void *const row = snap_add_row(m, rows);
    if (row == NULL) {
        return false;
    }
    if (shape == W_BLOCK) {
        *(vs_rec_block *)row = (vs_rec_block){.stack = VS_REC_NO_STACK};
    } else {
        *(snap_segment *)row = (snap_segment){
            .row = {.allocated = UINT64_MAX, .active = UINT64_MAX, .requested = UINT64_MAX}};
    }
    *out = rows->count - 1;
    return true;
}

bool snap_apply(snap_machine *m, snap_kind shape, uint64_t row, const snap_word *pairs,
                uint64_t pair_count)
{
    place p = {.m = m, .row = row};
    p.row_name = shape == W_ENTRY ? "trace entry" : shape == W_BLOCK ? "block" : "segment";
    for (uint64_t i = 0; i < pair_count; i += 2) {
        p.key = pairs[i];
        p.value = pairs[i + 1];
        if (snap_kind_of(p.key) != W_TEXT) {
            continue;
        }
        const bool is_fine = shape == W_ENTRY   ? apply_to_entry(&p)
                             : shape == W_BLOCK ? apply_to_block(&p)
                                                : apply_to_segment(&p);
        if (!is_fine) {
            return false;
        }
    }
    return true;
}

/* ---- frames and history ------------------------------------------------------------------------------------- */

/* -1 is what Python says when it does not know the line. */
static bool set_line(const place *p, uint32_t *out)
{
    uint64_t line = 0;
    if (snap_as_bits(p->m, p->value, &line) && line == UINT64_MAX) {
        *out = 0;
        return true;
    }
    if (!snap_as_u64(p->m, p->value, &line) || line > UINT32_MAX) {
        return fail_value(p, "the number of a line");
    }
    *out = (uint32_t)line;
    return true;
}

static bool set_text(const place *p, uint32_t *out)
{
    if (snap_kind_of(p->value) != W_TEXT) {
        return fail_value(p, "a text");
    }
    *out = snap_kept_text(p->m, p->value);
    return !builder_has_failed(p->m->builder);
}

bool snap_make_frame(snap_machine *m, const snap_word *pairs, uint64_t pair_count,
                     uint32_t *out)
{
    vs_rec_frame frame = {0, 0, 0};
    place p = {.m = m, .row_name = "a frame behind entry", .row = m->entry_count};
    for (uint64_t i = 0; i < pair_count; i += 2) {
        p.key = pairs[i];
        p.value = pairs[i + 1];
        const uint64_t key = snap_kind_of(p.key) == W_TEXT ? snap_index(p.key) : K_NOTHING;
        if ((key == K_FILENAME && !set_text(&p, &frame.file)) ||
            (key == K_NAME && !set_text(&p, &frame.function)) ||
            (key == K_LINE && !set_line(&p, &frame.line))) {
            return false;
        }
    }
    *out = builder_frame(m->builder, frame);
    return !builder_has_failed(m->builder);
}

bool snap_make_history(snap_machine *m, const snap_word *pairs, uint64_t pair_count,
                       uint64_t *out)
{
    snap_history *const use = snap_add_row(m, &m->history);
    if (use == NULL) {
        return false;
    }
    *use = (snap_history){.stack = VS_REC_NO_STACK};
    place p = {.m = m, .row_name = "use of a block", .row = m->history.count - 1};
    for (uint64_t i = 0; i < pair_count; i += 2) {
        p.key = pairs[i];
        p.value = pairs[i + 1];
        const uint64_t key = snap_kind_of(p.key) == W_TEXT ? snap_index(p.key) : K_NOTHING;
        if ((key == K_REAL_SIZE && !set_u64(&p, &use->real_size)) ||
            (key == K_FRAMES && !set_stack(&p, &use->stack))) {
            return false;
        }
    }
    *out = m->history.count - 1;
    return true;
}
