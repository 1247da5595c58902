/* traces/read/snapshot_data.c - containers of the snapshot machine: filled, settled, kept (see snapshot.h).
 *
 * States of a container, in `objects`:
 *
 *   new list --rows that follow each other--> open run --settle--> run
 *       \-----anything else--> open list (words in pending) --settle--> stack | opaque | list
 *   new dict --keys that say what it is--> open row --settle--> row
 *       \-----anything else--> open dict (words in pending) --settle--> row | frame | history | dict
 *
 * Settling goes from the bottom of the stack to the top, so that rows are made in the order of the file. The words of an open container reach
 * to where those of the next one begin; they are given back when the container is taken off the stack. */
#include "traces/read/snapshot.h"

#include <string.h>

#define DEPTH_BITS 8u
#define PAIR_BITS  28u
#define FIRST_ROOM 256u

/* ---- names ----------------------------------------------------------------------------------- */

const char *snap_kind_name(snap_kind kind)
{
    switch (kind) {
    case W_NONE: return "None";
    case W_FALSE:
    case W_TRUE: return "a truth value";
    case W_INT:
    case W_BIG: return "a whole number";
    case W_FLOAT: return "a number with a fraction";
    case W_TEXT: return "a text";
    case W_EMPTY_TUPLE:
    case W_PAIR:
    case W_TUPLE: return "a tuple";
    case W_OPAQUE: return "a list of plain values";
    case W_EMPTY_LIST:
    case W_LIST: return "a list";
    case W_EMPTY_DICT:
    case W_DICT: return "a dict";
    case W_FRAME: return "a frame";
    case W_STACK: return "a list of frames";
    case W_ENTRY: return "a trace entry";
    case W_BLOCK: return "a block";
    case W_SEGMENT: return "a segment";
    case W_HISTORY: return "a block's history";
    case W_RUN: return "a list of entries, segments or blocks";
    case W_ABSENT:
    case W_OBJECT:
    case W_NEW_LIST:
    case W_NEW_DICT:
    case W_OPEN_LIST:
    case W_OPEN_DICT:
    case W_OPEN_ENTRY:
    case W_OPEN_BLOCK:
    case W_OPEN_SEGMENT:
    case W_OPEN_RUN: break;
    }
    return "a container that is not whole";
}

static bool is_plain(snap_word word)
{
    return snap_kind_of(word) <= W_OPAQUE;
}

static bool is_row(snap_word word)
{
    const snap_kind kind = snap_kind_of(word);
    return kind >= W_ENTRY && kind <= W_HISTORY;
}

/* ---- lists of words -------------------------------------------------------------------------- */

uint32_t snap_depth(snap_word word)
{
    const snap_kind kind = snap_kind_of(word);
    if (kind == W_LIST || kind == W_DICT || kind == W_TUPLE) {
        return (uint32_t)(snap_index(word) & ((1u << DEPTH_BITS) - 1));
    }
    return kind >= W_EMPTY_LIST || kind == W_OPAQUE ? 1 : 0;
}

snap_items snap_items_of(const snap_machine *m, snap_word container)
{
    const uint64_t at = snap_index(container) >> DEPTH_BITS;
    return (snap_items){.first = at + 1, .count = *snap_word_at(&m->items, at)};
}

static bool add_item(snap_machine *m, snap_word word)
{
    snap_word *const row = snap_add_row(m, &m->items);
    if (row == NULL) {
        return false;
    }
    *row = word;
    return true;
}

/* Keeps words that do not change any more, as a list, dict or tuple. */
static bool keep_items(snap_machine *m, snap_kind kind, const snap_word *words, uint64_t count,
                       snap_word *out)
{
    const uint64_t at = m->items.count;
    uint32_t depth = 0;
    if (!add_item(m, count)) {
        return false;
    }
    for (uint64_t i = 0; i < count; i++) {
        const uint32_t inner = snap_depth(words[i]);
        depth = inner > depth ? inner : depth;
        if (!add_item(m, words[i])) {
            return false;
        }
    }
    if (depth >= SNAP_MAX_DEPTH) {
        return snap_fail(m, VS_ERR_LIMIT,
                         "more than %u containers inside each other; snapshots have 6",
                         SNAP_MAX_DEPTH);
    }
    *out = snap_make(kind, at << DEPTH_BITS | (depth + 1));
    return true;
}

/* ---- open containers ----------------------------------------------------------------------------- */

bool snap_push_new(snap_machine *m, snap_kind state)
{
    snap_word *const object = snap_add_row(m, &m->objects);
    if (object == NULL) {
        return false;
    }
    *object = state;
    m->objects_below = m->stack_count + 1;
    return snap_push(m, snap_make(W_OBJECT, m->objects.count - 1));
}

/* Room for count words more; what is there moves to a block of twice the size. */
static bool grow_pending(snap_machine *m, uint64_t count)
{
    uint64_t room = m->pending_room > 0 ? m->pending_room : FIRST_ROOM;
    while (room < m->pending_count + count) {
        room *= 2;
    }
    if (!snap_check_budget(m)) {
        return false;
    }
    snap_word *const wider = VS_RAW_ARRAY(m->desc->scratch, snap_word, (size_t)room);
    if (wider == NULL) {
        return snap_fail_memory(m);
    }
    if (m->pending_count > 0) {
        memcpy(wider, m->pending, (size_t)m->pending_count * sizeof *wider);
    }
    m->pending = wider;
    m->pending_room = room;
    return true;
}

static bool grow_open(snap_machine *m)
{
    const uint64_t room = m->open_room > 0 ? 2 * m->open_room : FIRST_ROOM;
    if (!snap_check_budget(m)) {
        return false;
    }
    snap_open *const wider = VS_RAW_ARRAY(m->desc->scratch, snap_open, (size_t)room);
    if (wider == NULL) {
        return snap_fail_memory(m);
    }
    if (m->open_count > 0) {
        memcpy(wider, m->open, (size_t)m->open_count * sizeof *wider);
    }
    m->open = wider;
    m->open_room = room;
    return true;
}

static bool add_pending(snap_machine *m, const snap_word *words, uint64_t count)
{
    if (count > m->pending_room - m->pending_count && !grow_pending(m, count)) {
        return false;
    }
    if (count > 0) {
        memcpy(m->pending + m->pending_count, words, (size_t)count * sizeof *words);
    }
    m->pending_count += count;
    return true;
}

/* The container at a place of the stack gets words from now on. */
static bool begin_pending(snap_machine *m, snap_word *object, snap_kind state,
                          uint32_t stack_at)
{
    if (m->open_count == m->open_room && !grow_open(m)) {
        return false;
    }
    m->open[m->open_count] = (snap_open){.first = m->pending_count, .stack_at = stack_at};
    *object = snap_make(state, m->open_count);
    m->open_count++;
    return true;
}

/* The words of an open container: up to where the next one begins. */
static snap_word *pending_of(const snap_machine *m, uint64_t open, uint64_t *out_count)
{
    const uint64_t first = m->open[open].first;
    const uint64_t end = open + 1 < m->open_count ? m->open[open + 1].first : m->pending_count;
    *out_count = end - first;
    return m->pending + first;
}

/* ---- settling ---------------------------------------------------------------------------------------- */

static bool grow_ids(snap_machine *m, uint64_t count)
{
    if (count > UINT32_MAX) {
        return snap_fail(m, VS_ERR_LIMIT, "a stack of more than 2^32 frames");
    }
    if (!snap_check_budget(m)) {
        return false;
    }
    uint32_t *const ids = VS_RAW_ARRAY(m->desc->scratch, uint32_t, (size_t)(2 * count));
    if (ids == NULL) {
        return snap_fail_memory(m);
    }
    m->ids = ids;
    m->ids_room = 2 * count;
    return true;
}

/* Frames only, in m->ids? */
static bool are_frames(snap_machine *m, const snap_word *words, uint64_t count)
{
    uint32_t *const ids = m->ids;
    snap_word other = 0; /* gathered, since a branch for each frame costs more than the rest */
    for (uint64_t i = 0; i < count; i++) {
        other |= words[i] ^ (snap_word)W_FRAME;
        ids[i] = (uint32_t)snap_index(words[i]);
    }
    return snap_kind_of(other) == W_NONE;
}

static bool are_plain(const snap_word *words, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        if (!is_plain(words[i])) {
            return false;
        }
    }
    return true;
}

static bool settle_list(snap_machine *m, uint64_t open, snap_word *out)
{
    uint64_t count = 0;
    const snap_word *const words = pending_of(m, open, &count);
    if (count == 0) {
        *out = W_EMPTY_LIST;
        return true;
    }
    if (snap_kind_of(words[0]) == W_FRAME) {
        if (m->ids_room < count && !grow_ids(m, count)) {
            return false;
        }
        if (are_frames(m, words, count)) {
            const uint32_t id = builder_stack(m->builder, m->ids, (uint32_t)count);
            *out = snap_make(W_STACK, id);
            return !builder_has_failed(m->builder);
        }
    }
    if (!m->keeps_plain && are_plain(words, count)) {
        *out = W_OPAQUE;
        return true;
    }
    return keep_items(m, W_LIST, words, count, out);
}

static uint32_t keys_of(const snap_word *pairs, uint64_t count)
{
    uint32_t keys = 0;
    for (uint64_t i = 0; i < count; i += 2) {
        if (snap_kind_of(pairs[i]) == W_TEXT && snap_index(pairs[i]) < 32) {
            keys |= UINT32_C(1) << snap_index(pairs[i]);
        }
    }
    return keys;
}

static bool settle_dict(snap_machine *m, uint64_t open, snap_word *out)
{
    uint64_t count = 0;
    const snap_word *const pairs = pending_of(m, open, &count);
    const snap_kind shape = snap_shape_of(keys_of(pairs, count));
    uint64_t row = 0;
    uint32_t frame = 0;
    if (shape == W_DICT) {
        return keep_items(m, W_DICT, pairs, count, out);
    }
    if (shape == W_FRAME) {
        if (!snap_make_frame(m, pairs, count, &frame)) {
            return false;
        }
        row = frame;
    } else if (shape == W_HISTORY) {
        if (!snap_make_history(m, pairs, count, &row)) {
            return false;
        }
    } else if (!snap_new_row(m, shape, &row) || !snap_apply(m, shape, row, pairs, count)) {
        return false;
    }
    *out = snap_make(shape, row);
    return true;
}

/* What the object becomes; the words of an open one stay in pending for now. */
static bool settle_object(snap_machine *m, snap_word *object)
{
    const snap_word state = *object;
    const uint64_t index = snap_index(state);
    const snap_kind kind = snap_kind_of(state);
    if (kind == W_OPEN_LIST || kind == W_OPEN_DICT) {
        return kind == W_OPEN_LIST ? settle_list(m, index, object)
                                   : settle_dict(m, index, object);
    }
    switch (kind) {
    case W_NEW_LIST: *object = W_EMPTY_LIST; return true;
    case W_NEW_DICT: *object = W_EMPTY_DICT; return true;
    case W_OPEN_ENTRY: *object = snap_make(W_ENTRY, index); return true;
    case W_OPEN_BLOCK: *object = snap_make(W_BLOCK, index); return true;
    case W_OPEN_SEGMENT: *object = snap_make(W_SEGMENT, index); return true;
    case W_OPEN_RUN: *object = snap_make(W_RUN, index); return true;
    case W_OPEN_LIST:
    case W_OPEN_DICT:
    case W_NONE:
    case W_FALSE:
    case W_TRUE:
    case W_INT:
    case W_BIG:
    case W_FLOAT:
    case W_TEXT:
    case W_PAIR:
    case W_OPAQUE:
    case W_EMPTY_LIST:
    case W_EMPTY_TUPLE:
    case W_EMPTY_DICT:
    case W_TUPLE:
    case W_LIST:
    case W_DICT:
    case W_FRAME:
    case W_STACK:
    case W_ENTRY:
    case W_BLOCK:
    case W_SEGMENT:
    case W_HISTORY:
    case W_RUN:
    case W_ABSENT:
    case W_OBJECT: break;
    }
    return true; /* settled before */
}

/* Gives back the words of the containers at or above a place of the stack. */
static void truncate_pending(snap_machine *m, uint32_t from)
{
    while (m->open_count > 0 && m->open[m->open_count - 1].stack_at >= from) {
        m->open_count--;
        m->pending_count = m->open[m->open_count].first;
    }
}

bool snap_settle_object(snap_machine *m, snap_word word, snap_word *out)
{
    snap_word *const object = snap_word_at(&m->objects, snap_index(word));
    if (!settle_object(m, object)) {
        return false;
    }
    *out = *object;
    return true;
}

bool snap_settle(snap_machine *m, uint32_t from)
{
    if (m->objects_below <= from) {
        return true;
    }
    for (uint32_t i = from; i < m->stack_count; i++) {
        if (snap_kind_of(m->stack[i]) == W_OBJECT &&
            !snap_settle_object(m, m->stack[i], &m->stack[i])) {
            return false;
        }
    }
    truncate_pending(m, from);
    m->objects_below = from;
    return true;
}

void snap_drop(snap_machine *m, uint32_t from)
{
    truncate_pending(m, from);
    m->objects_below = from < m->objects_below ? from : m->objects_below;
    m->stack_count = from;
}

/* ---- lists ----------------------------------------------------------------------------------------------- */

/* Are these rows that follow each other, the first behind `last` of a run? */
static bool are_rows_in_order(const snap_word *words, uint64_t count, snap_kind kind,
                              uint64_t first)
{
    for (uint64_t i = 0; i < count; i++) {
        if (words[i] != snap_make(kind, first + i)) {
            return false;
        }
    }
    return true;
}

static bool begin_run(snap_machine *m, snap_word *object, const snap_word *words,
                      uint32_t count)
{
    snap_run *const run = snap_add_row(m, &m->runs);
    if (run == NULL) {
        return false;
    }
    *run = (snap_run){.kind = (uint32_t)snap_kind_of(words[0]),
                      .count = count,
                      .first = snap_index(words[0])};
    *object = snap_make(W_OPEN_RUN, m->runs.count - 1);
    return true;
}

/* A run that gets something else becomes an ordinary list. */
static bool spill_run(snap_machine *m, snap_word *object, uint32_t stack_at)
{
    const snap_run *const run = rows_at(&m->runs, snap_index(*object));
    if (!begin_pending(m, object, W_OPEN_LIST, stack_at)) {
        return false;
    }
    for (uint32_t i = 0; i < run->count; i++) {
        const snap_word word = snap_make((snap_kind)run->kind, run->first + i);
        if (!add_pending(m, &word, 1)) {
            return false;
        }
    }
    return true;
}

static bool append_to(snap_machine *m, snap_word *object, uint32_t from)
{
    const snap_word *const words = m->stack + from;
    const uint32_t count = m->stack_count - from;
    if (count == 0) {
        return true;
    }
    if (snap_kind_of(*object) == W_NEW_LIST) {
        if (is_row(words[0]) &&
            are_rows_in_order(words, count, snap_kind_of(words[0]), snap_index(words[0]))) {
            return begin_run(m, object, words, count);
        }
        return begin_pending(m, object, W_OPEN_LIST, from - 1) && add_pending(m, words, count);
    }
    if (snap_kind_of(*object) == W_OPEN_RUN) {
        snap_run *const run = rows_at(&m->runs, snap_index(*object));
        if (run->count <= UINT32_MAX - count &&
            are_rows_in_order(words, count, (snap_kind)run->kind, run->first + run->count)) {
            run->count += count;
            return true;
        }
        if (!spill_run(m, object, from - 1)) {
            return false;
        }
    }
    return add_pending(m, words, count);
}

/* The object below `from`, a list or dict that nothing refers to yet. */
static snap_word *target(snap_machine *m, uint32_t from, const char *what)
{
    const snap_word word = m->stack[from - 1];
    snap_word *const object =
        snap_kind_of(word) == W_OBJECT ? snap_word_at(&m->objects, snap_index(word)) : NULL;
    if (object != NULL && snap_kind_of(*object) > W_OBJECT) {
        return object;
    }
    if (object != NULL) {
        (void)snap_fail(
            m, VS_ERR_FORMAT,
            "a container is filled after something referred to it: a cycle, which no "
            "memory snapshot has");
    } else {
        (void)snap_fail(m, VS_ERR_FORMAT,
                        "something is put into %s; expected %s that is being filled",
                        snap_kind_name(snap_kind_of(word)), what);
    }
    return NULL;
}

bool snap_append(snap_machine *m, uint32_t from)
{
    snap_word *const object = target(m, from, "a list");
    if (object == NULL) {
        return false;
    }
    const snap_kind kind = snap_kind_of(*object);
    if (kind != W_NEW_LIST && kind != W_OPEN_LIST && kind != W_OPEN_RUN) {
        return snap_fail(m, VS_ERR_FORMAT, "values are appended to a dict");
    }
    if (!snap_settle(m, from) || !append_to(m, object, from)) {
        return false;
    }
    m->stack_count = from;
    return true;
}

/* ---- dicts -------------------------------------------------------------------------------------------------- */

static snap_kind open_kind_of(snap_kind shape)
{
    return shape == W_ENTRY ? W_OPEN_ENTRY : shape == W_BLOCK ? W_OPEN_BLOCK : W_OPEN_SEGMENT;
}

/* Keys and values for a new dict: a row at once if they say what it is. */
static bool fill_new(snap_machine *m, snap_word *object, uint32_t from)
{
    const snap_word *const pairs = m->stack + from;
    const uint64_t count = m->stack_count - from;
    const snap_kind shape = snap_shape_of(keys_of(pairs, count));
    if (shape != W_ENTRY && shape != W_BLOCK && shape != W_SEGMENT) {
        return begin_pending(m, object, W_OPEN_DICT, from - 1) && add_pending(m, pairs, count);
    }
    uint64_t row = 0;
    if (!snap_new_row(m, shape, &row)) {
        return false;
    }
    *object = snap_make(open_kind_of(shape), row);
    return snap_apply(m, shape, row, pairs, count);
}

static bool set_items_of(snap_machine *m, snap_word *object, uint32_t from)
{
    const snap_word *const pairs = m->stack + from;
    const uint64_t count = m->stack_count - from;
    const snap_kind kind = snap_kind_of(*object);
    const uint64_t index = snap_index(*object);
    if (kind == W_NEW_DICT) {
        return fill_new(m, object, from);
    }
    if (kind == W_OPEN_DICT) {
        return add_pending(m, pairs, count);
    }
    if (kind == W_OPEN_ENTRY || kind == W_OPEN_BLOCK || kind == W_OPEN_SEGMENT) {
        const snap_kind shape = kind == W_OPEN_ENTRY   ? W_ENTRY
                                : kind == W_OPEN_BLOCK ? W_BLOCK
                                                       : W_SEGMENT;
        return snap_apply(m, shape, index, pairs, count);
    }
    return snap_fail(m, VS_ERR_FORMAT, "keys and values are put into a list");
}

bool snap_set_items(snap_machine *m, uint32_t from)
{
    const uint32_t count = m->stack_count - from;
    snap_word *const object = target(m, from, "a dict");
    if (object == NULL) {
        return false;
    }
    if (count % 2 != 0) {
        return snap_fail(m, VS_ERR_FORMAT, "a dict gets a key without a value");
    }
    if (count > 0 && (!snap_settle(m, from) || !set_items_of(m, object, from))) {
        return false;
    }
    m->stack_count = from;
    return true;
}

/* ---- tuples --------------------------------------------------------------------------------------------------- */

static bool is_small(snap_word word)
{
    return snap_kind_of(word) == W_INT && snap_index(word) >> PAIR_BITS == 0;
}

bool snap_make_tuple(snap_machine *m, uint32_t from)
{
    if (!snap_settle(m, from)) {
        return false;
    }
    const snap_word *const words = m->stack + from;
    const uint32_t count = m->stack_count - from;
    snap_word made = W_EMPTY_TUPLE;
    uint32_t plain = 0;
    for (uint32_t i = 0; i < count; i++) {
        plain += is_plain(words[i]);
    }
    if (count == 2 && is_small(words[0]) && is_small(words[1])) {
        made = snap_make(W_PAIR, snap_index(words[0]) << PAIR_BITS | snap_index(words[1]));
    } else if (count > 2 && plain == count) {
        made = W_OPAQUE;
    } else if (count > 0 && !keep_items(m, W_TUPLE, words, count, &made)) {
        return false;
    }
    m->stack_count = from;
    return snap_push(m, made);
}
