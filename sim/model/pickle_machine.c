/* pickle_machine.c - what opcodes work with: the input, the stack and its marks, containers.
 *
 * Invariants: marks are stack heights in increasing order, and nothing below the last one can be popped;
 * every container is reached by pointer, so copying a value costs the same whatever hangs on it. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "sim/model/pickle.h"

typedef vs_pickle_machine machine;
typedef vs_pickle_value value;

/* ---- errors -------------------------------------------------------------------------------------------- */

bool vs_pickle_fail(machine *m, vs_errcode code, const char *format, ...)
{
    char text[VS_ERR_TEXT_BYTES];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    const bool is_first = m->err != NULL && m->err->code == VS_OK;
    (void)vs_fail(m->err, code, "%s", text);
    if (is_first) {
        vs_err_at_offset(m->err, m->file_offset + m->op_pos);
    }
    return false;
}

bool vs_pickle_out_of_memory(machine *m)
{
    return vs_fail_memory(m->err, m->arena, "reading a pickle");
}

const char *vs_pickle_kind_name(vs_pickle_kind kind)
{
    switch (kind) {
    case VS_PK_ABSENT: return "nothing";
    case VS_PK_NONE: return "None";
    case VS_PK_BOOL: return "a bool";
    case VS_PK_INT: return "an int";
    case VS_PK_LONG: return "an int beyond 64 bits";
    case VS_PK_FLOAT: return "a float";
    case VS_PK_TEXT: return "a string";
    case VS_PK_BYTES: return "bytes";
    case VS_PK_TUPLE: return "a tuple";
    case VS_PK_LIST: return "a list";
    case VS_PK_DICT: return "a dict";
    case VS_PK_GLOBAL: return "a name";
    case VS_PK_STORAGE: return "a storage";
    case VS_PK_TENSOR: return "a tensor";
    case VS_PK_OPAQUE: return "a plain object";
    }
    return "";
}

/* ---- input ------------------------------------------------------------------------------------------------ */

bool vs_pickle_take(machine *m, uint64_t count, const uint8_t **out)
{
    if (count > m->size_bytes - m->pos) {
        m->is_cut_short = true;
        return vs_pickle_fail(
            m, VS_ERR_FORMAT,
            "the pickle ends in the middle of this opcode, which wants %" PRIu64
            " more bytes; is the download complete?",
            count);
    }
    *out = m->bytes + m->pos;
    m->pos += count;
    return true;
}

/* A little-endian number of 1, 2, 4 or 8 bytes. */
bool vs_pickle_take_number(machine *m, uint32_t width, uint64_t *out)
{
    const uint8_t *p = m->bytes;
    if (!vs_pickle_take(m, width, &p)) {
        return false;
    }
    *out = 0;
    for (uint32_t i = 0; i < width; i++) {
        *out |= (uint64_t)p[i] << (8 * i);
    }
    return true;
}

/* Up to a line feed, which is taken and left out. */
bool vs_pickle_take_line(machine *m, vs_str *out)
{
    const uint8_t *const start = m->bytes + m->pos;
    const uint64_t left = m->size_bytes - m->pos;
    const uint8_t *const end = left == 0 ? NULL : memchr(start, '\n', (size_t)left);
    if (end == NULL) {
        m->is_cut_short = true;
        return vs_pickle_fail(m, VS_ERR_FORMAT,
                              "the pickle ends in the middle of a name; is the download "
                              "complete?");
    }
    *out = (vs_str){(const char *)start, (size_t)(end - start)};
    m->pos += out->len + 1;
    return true;
}

/* ---- stack -------------------------------------------------------------------------------------------------- */

/* Doubles an array in the arena; what it leaves behind is less than what it becomes. */
bool vs_pickle_grow(machine *m, value **items, uint32_t *room, uint64_t wanted)
{
    uint64_t bigger = *room < 64 ? 64 : *room;
    while (bigger < wanted) {
        bigger *= 2;
    }
    if (bigger > UINT32_MAX) {
        return vs_pickle_out_of_memory(m);
    }
    value *const to = VS_ARRAY(m->arena, value, (size_t)bigger);
    if (to == NULL) {
        return vs_pickle_out_of_memory(m);
    }
    if (*room > 0) {
        memcpy(to, *items, *room * sizeof *to);
    }
    *items = to;
    *room = (uint32_t)bigger;
    return true;
}

bool vs_pickle_push(machine *m, value v)
{
    if (m->stack_count == m->stack_room &&
        !vs_pickle_grow(m, &m->stack, &m->stack_room, (uint64_t)m->stack_count + 1)) {
        return false;
    }
    m->stack[m->stack_count++] = v;
    return true;
}

static uint32_t floor_of(const machine *m)
{
    return m->mark_count == 0 ? 0 : m->marks[m->mark_count - 1];
}

/* The topmost count values, still on the stack. NULL and an error when there are fewer above the mark. */
value *vs_pickle_top(machine *m, uint32_t count)
{
    if (m->stack_count - floor_of(m) < count) {
        (void)vs_pickle_fail(m, VS_ERR_FORMAT,
                             "this opcode wants %" PRIu32
                             " values on the stack, found %" PRIu32,
                             count, m->stack_count - floor_of(m));
        return NULL;
    }
    return m->stack + m->stack_count - count;
}

bool vs_pickle_pop(machine *m, value *out)
{
    const value *const v = vs_pickle_top(m, 1);
    if (v == NULL) {
        return false;
    }
    *out = *v;
    m->stack_count--;
    return true;
}

/* Everything above the last mark, which is taken off. The values stay where they are until the next push. */
bool vs_pickle_pop_mark(machine *m, const value **items, uint32_t *count)
{
    if (m->mark_count == 0) {
        return vs_pickle_fail(m, VS_ERR_FORMAT, "this opcode wants a mark on the stack");
    }
    const uint32_t height = m->marks[--m->mark_count];
    *items = m->stack + height;
    *count = m->stack_count - height;
    m->stack_count = height;
    return true;
}

/* ---- containers ------------------------------------------------------------------------------------------------ */

bool vs_pickle_new_container(machine *m, vs_pickle_kind kind, value *out)
{
    vs_pickle_container *const c = VS_NEW(m->arena, vs_pickle_container);
    if (c == NULL) {
        return vs_pickle_out_of_memory(m);
    }
    *out = (value){.kind = kind, .as.container = c};
    return true;
}

bool vs_pickle_append(machine *m, vs_pickle_container *to, const value *items, uint32_t count)
{
    vs_pickle_chunk *const chunk = VS_NEW(m->arena, vs_pickle_chunk);
    value *const copy = VS_ARRAY(m->arena, value, count);
    if (chunk == NULL || copy == NULL) {
        return vs_pickle_out_of_memory(m);
    }
    if (count > 0) {
        memcpy(copy, items, count * sizeof *copy);
    }
    *chunk = (vs_pickle_chunk){.items = copy, .count = count};
    if (to->last == NULL) {
        to->first = chunk;
    } else {
        to->last->next = chunk;
    }
    to->last = chunk;
    to->count += count;
    return true;
}

vs_pickle_walk vs_pickle_walk_of(const vs_pickle_container *container)
{
    return (vs_pickle_walk){container->first, 0};
}

const value *vs_pickle_walk_next(vs_pickle_walk *walk)
{
    while (walk->chunk != NULL && walk->at == walk->chunk->count) {
        walk->chunk = walk->chunk->next;
        walk->at = 0;
    }
    return walk->chunk == NULL ? NULL : &walk->chunk->items[walk->at++];
}

vs_str vs_pickle_text(const value *v)
{
    return (vs_str){(const char *)v->as.bytes, v->count};
}

bool vs_pickle_is_text(const value *v, const char *text)
{
    return (v->kind == VS_PK_TEXT || v->kind == VS_PK_BYTES) &&
           vs_str_is(vs_pickle_text(v), text);
}
