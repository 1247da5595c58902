/* pickle.c - the opcodes.
 *
 * Their meaning is that of CPython 3.11 Lib/pickletools.py and Lib/pickle.py (_Unpickler); which of them a file made by
 * torch.save needs, of torch/_weights_only_unpickler.py (PyTorch 2.15) plus what protocols 3 to 5 put in their place. */
#include <string.h>

#include "sim/model/pickle.h"

typedef vs_pickle_machine machine;
typedef vs_pickle_value value;

/* ---- containers -------------------------------------------------------------------------------------------- */

static bool add_to(machine *m, vs_pickle_kind wanted, const value *items, uint32_t count)
{
    const value *const target = vs_pickle_top(m, 1);
    if (target == NULL) {
        return false;
    }
    if (target->kind != wanted) {
        return vs_pickle_fail(m, VS_ERR_FORMAT, "this opcode adds to %s, found %s",
                              vs_pickle_kind_name(wanted), vs_pickle_kind_name(target->kind));
    }
    if (wanted == VS_PK_DICT && count % 2 != 0) {
        return vs_pickle_fail(
            m, VS_ERR_FORMAT,
            "a dict takes keys and values in turn, found %" PRIu32 " of them together", count);
    }
    return count == 0 || vs_pickle_append(m, target->as.container, items, count);
}

static bool op_empty_list(machine *m)
{
    value v = {0};
    return vs_pickle_new_container(m, VS_PK_LIST, &v) && vs_pickle_push(m, v);
}

static bool op_empty_dict(machine *m)
{
    value v = {0};
    return vs_pickle_new_container(m, VS_PK_DICT, &v) && vs_pickle_push(m, v);
}

/* Takes count values off the stack and adds them to what is below. */
static bool add_top(machine *m, vs_pickle_kind kind, uint32_t count)
{
    const value *const items = vs_pickle_top(m, count);
    if (items == NULL) {
        return false;
    }
    m->stack_count -= count;
    return add_to(m, kind, items, count);
}

static bool op_append(machine *m)
{
    return add_top(m, VS_PK_LIST, 1);
}

static bool op_setitem(machine *m)
{
    return add_top(m, VS_PK_DICT, 2);
}

static bool op_appends(machine *m)
{
    const value *items = NULL;
    uint32_t count = 0;
    return vs_pickle_pop_mark(m, &items, &count) && add_to(m, VS_PK_LIST, items, count);
}

static bool op_setitems(machine *m)
{
    const value *items = NULL;
    uint32_t count = 0;
    return vs_pickle_pop_mark(m, &items, &count) && add_to(m, VS_PK_DICT, items, count);
}

/* items may be on the stack just above its top. */
static bool push_tuple(machine *m, const value *items, uint32_t count)
{
    value *const copy = VS_ARRAY(m->arena, value, count);
    if (copy == NULL) {
        return vs_pickle_out_of_memory(m);
    }
    if (count > 0) {
        memcpy(copy, items, count * sizeof *copy);
    }
    return vs_pickle_push(m, (value){.kind = VS_PK_TUPLE, .count = count, .as.items = copy});
}

static bool tuple_of(machine *m, uint32_t count)
{
    const value *const items = vs_pickle_top(m, count);
    if (items == NULL) {
        return false;
    }
    m->stack_count -= count;
    return push_tuple(m, items, count);
}

static bool op_empty_tuple(machine *m)
{
    return push_tuple(m, NULL, 0);
}

static bool op_tuple1(machine *m)
{
    return tuple_of(m, 1);
}

static bool op_tuple2(machine *m)
{
    return tuple_of(m, 2);
}

static bool op_tuple3(machine *m)
{
    return tuple_of(m, 3);
}

static bool op_tuple(machine *m)
{
    const value *items = NULL;
    uint32_t count = 0;
    return vs_pickle_pop_mark(m, &items, &count) && push_tuple(m, items, count);
}

static bool op_mark(machine *m)
{
    if (m->mark_count == VS_PICKLE_DEPTH_MAX) {
        return vs_pickle_fail(m, VS_ERR_LIMIT, "nested deeper than %u", VS_PICKLE_DEPTH_MAX);
    }
    m->marks[m->mark_count++] = m->stack_count;
    return true;
}

/* ---- plain values ------------------------------------------------------------------------------------------------- */

static bool op_none(machine *m)
{
    return vs_pickle_push(m, (value){.kind = VS_PK_NONE});
}

static bool op_true(machine *m)
{
    return vs_pickle_push(m, (value){.kind = VS_PK_BOOL, .as.integer = 1});
}

static bool op_false(machine *m)
{
    return vs_pickle_push(m, (value){.kind = VS_PK_BOOL});
}

static bool push_unsigned(machine *m, uint32_t width)
{
    uint64_t n = 0;
    return vs_pickle_take_number(m, width, &n) &&
           vs_pickle_push(m, (value){.kind = VS_PK_INT, .as.integer = (int64_t)n});
}

static bool op_binint1(machine *m)
{
    return push_unsigned(m, 1);
}

static bool op_binint2(machine *m)
{
    return push_unsigned(m, 2);
}

/* Two's complement of width * 8 bits, width 1 to 8. */
static int64_t sign_extend(uint64_t n, uint32_t width)
{
    const uint64_t sign = UINT64_C(1) << (8 * width - 1);
    const uint64_t extended = (n & sign) != 0 ? n | ~(sign | (sign - 1)) : n;
    int64_t out = 0;
    memcpy(&out, &extended, sizeof out);
    return out;
}

static bool op_binint(machine *m)
{
    uint64_t n = 0;
    return vs_pickle_take_number(m, 4, &n) &&
           vs_pickle_push(m, (value){.kind = VS_PK_INT, .as.integer = sign_extend(n, 4)});
}

static bool push_long(machine *m, uint64_t count)
{
    const uint8_t *p = m->bytes;
    if (count > INT32_MAX) {
        return vs_pickle_fail(m, VS_ERR_FORMAT, "an int of %" PRIu64 " bytes", count);
    }
    if (!vs_pickle_take(m, count, &p)) {
        return false;
    }
    if (count > 8) {
        return vs_pickle_push(
            m, (value){.kind = VS_PK_LONG, .count = (uint32_t)count, .as.bytes = p});
    }
    uint64_t n = 0;
    for (uint64_t i = 0; i < count; i++) {
        n |= (uint64_t)p[i] << (8 * i);
    }
    const int64_t integer = count == 0 ? 0 : sign_extend(n, (uint32_t)count);
    return vs_pickle_push(m, (value){.kind = VS_PK_INT, .as.integer = integer});
}

static bool op_long1(machine *m)
{
    uint64_t count = 0;
    return vs_pickle_take_number(m, 1, &count) && push_long(m, count);
}

static bool op_long4(machine *m)
{
    uint64_t count = 0;
    return vs_pickle_take_number(m, 4, &count) && push_long(m, count);
}

static bool op_binfloat(machine *m)
{
    const uint8_t *p = m->bytes;
    return vs_pickle_take(m, 8, &p) && vs_pickle_push(m, (value){.kind = VS_PK_FLOAT});
}

/* Text or bytes behind a length of width bytes. */
static bool push_bytes(machine *m, vs_pickle_kind kind, uint32_t width)
{
    uint64_t count = 0;
    const uint8_t *p = m->bytes;
    if (!vs_pickle_take_number(m, width, &count) || !vs_pickle_take(m, count, &p)) {
        return false;
    }
    vs_assert(count <= UINT32_MAX); /* inputs are limited to VS_PICKLE_BYTES_MAX */
    return vs_pickle_push(m, (value){.kind = kind, .count = (uint32_t)count, .as.bytes = p});
}

static bool op_text1(machine *m)
{
    return push_bytes(m, VS_PK_TEXT, 1);
}

static bool op_text4(machine *m)
{
    return push_bytes(m, VS_PK_TEXT, 4);
}

static bool op_text8(machine *m)
{
    return push_bytes(m, VS_PK_TEXT, 8);
}

static bool op_bytes1(machine *m)
{
    return push_bytes(m, VS_PK_BYTES, 1);
}

static bool op_bytes4(machine *m)
{
    return push_bytes(m, VS_PK_BYTES, 4);
}

static bool op_bytes8(machine *m)
{
    return push_bytes(m, VS_PK_BYTES, 8);
}

/* ---- memo ------------------------------------------------------------------------------------------------------------ */

static bool put(machine *m, uint64_t slot)
{
    const value *const v = vs_pickle_top(m, 1);
    if (v == NULL) {
        return false;
    }
    /* Python numbers slots from 0 without gaps, so a pickle cannot have more of them than bytes. */
    if (slot > m->size_bytes) {
        return vs_pickle_fail(m, VS_ERR_LIMIT,
                              "memo slot %" PRIu64 " in a pickle of %" PRIu64 " bytes", slot,
                              m->size_bytes);
    }
    if (slot >= m->memo_room && !vs_pickle_grow(m, &m->memo, &m->memo_room, slot + 1)) {
        return false;
    }
    m->memo_count += m->memo[slot].kind == VS_PK_ABSENT;
    m->memo[slot] = *v;
    return true;
}

static bool get(machine *m, uint64_t slot)
{
    if (slot >= m->memo_room || m->memo[slot].kind == VS_PK_ABSENT) {
        return vs_pickle_fail(m, VS_ERR_FORMAT, "memo slot %" PRIu64 " was never filled", slot);
    }
    return vs_pickle_push(m, m->memo[slot]);
}

static bool op_binput(machine *m)
{
    uint64_t slot = 0;
    return vs_pickle_take_number(m, 1, &slot) && put(m, slot);
}

static bool op_long_binput(machine *m)
{
    uint64_t slot = 0;
    return vs_pickle_take_number(m, 4, &slot) && put(m, slot);
}

static bool op_memoize(machine *m)
{
    return put(m, m->memo_count);
}

static bool op_binget(machine *m)
{
    uint64_t slot = 0;
    return vs_pickle_take_number(m, 1, &slot) && get(m, slot);
}

static bool op_long_binget(machine *m)
{
    uint64_t slot = 0;
    return vs_pickle_take_number(m, 4, &slot) && get(m, slot);
}

/* ---- names and what is made of them ------------------------------------------------------------------------------------ */

static bool push_global(machine *m, vs_str module, vs_str name)
{
    const vs_pickle_global *const global = vs_pickle_find_global(m, module, name);
    return global != NULL &&
           vs_pickle_push(m, (value){.kind = VS_PK_GLOBAL, .as.global = global});
}

static bool op_global(machine *m)
{
    vs_str module = {NULL, 0};
    vs_str name = {NULL, 0};
    return vs_pickle_take_line(m, &module) && vs_pickle_take_line(m, &name) &&
           push_global(m, module, name);
}

static bool op_stack_global(machine *m)
{
    const value *const parts = vs_pickle_top(m, 2);
    if (parts == NULL) {
        return false;
    }
    if (parts[0].kind != VS_PK_TEXT || parts[1].kind != VS_PK_TEXT) {
        return vs_pickle_fail(m, VS_ERR_FORMAT, "a name is two strings, found %s and %s",
                              vs_pickle_kind_name(parts[0].kind),
                              vs_pickle_kind_name(parts[1].kind));
    }
    const vs_str module = vs_pickle_text(&parts[0]);
    const vs_str name = vs_pickle_text(&parts[1]);
    m->stack_count -= 2;
    return push_global(m, module, name);
}

static bool op_binpersid(machine *m)
{
    value *const id = vs_pickle_top(m, 1);
    return id != NULL && vs_pickle_load_storage(m, id);
}

static bool op_reduce(machine *m)
{
    value args = {0};
    if (!vs_pickle_pop(m, &args)) {
        return false;
    }
    value *const function = vs_pickle_top(m, 1);
    return function != NULL && vs_pickle_reduce(m, function, &args);
}

/* Attributes of a dict (state_dict()._metadata) are read over; nothing else has any. */
static bool op_build(machine *m)
{
    value state = {0};
    if (!vs_pickle_pop(m, &state)) {
        return false;
    }
    const value *const object = vs_pickle_top(m, 1);
    if (object == NULL) {
        return false;
    }
    if (object->kind == VS_PK_DICT && state.kind == VS_PK_DICT) {
        return true;
    }
    return vs_pickle_fail(m, VS_ERR_VALUE,
                          "BUILD gives a state to %s, which only a dict of tensors may have; "
                          "nothing was run",
                          vs_pickle_kind_name(object->kind));
}

/* ---- first and last ------------------------------------------------------------------------------------------------------- */

static bool op_proto(machine *m)
{
    uint64_t version = 0;
    if (!vs_pickle_take_number(m, 1, &version)) {
        return false;
    }
    return (version >= 2 && version <= 5) ||
           vs_pickle_fail(m, VS_ERR_VALUE,
                          "pickle protocol %" PRIu64 "; torch writes 2, and 2 to 5 are read",
                          version);
}

static bool op_frame(machine *m)
{
    uint64_t count = 0;
    if (!vs_pickle_take_number(m, 8, &count)) {
        return false;
    }
    if (count > m->size_bytes - m->pos) {
        m->is_cut_short = true;
        return vs_pickle_fail(m, VS_ERR_FORMAT,
                              "a frame of %" PRIu64 " bytes reaches beyond the pickle; is the "
                              "download complete?",
                              count);
    }
    return true;
}

static bool op_stop(machine *m)
{
    if (vs_pickle_top(m, 1) == NULL) {
        return false;
    }
    if (m->mark_count != 0 || m->stack_count != 1) {
        return vs_pickle_fail(m, VS_ERR_FORMAT, "the pickle stops with values left over");
    }
    m->is_stopped = true;
    return true;
}

/* ---- the table --------------------------------------------------------------------------------------------------------------- */

typedef struct {
    const char *name;
    bool (*run)(machine *m); /* NULL: refused */
} opcode;

/* All of pickletools.opcodes; those of protocols 0 and 1 that later protocols replace, and those that only
 * objects of classes need, are known by name only. */
static const opcode opcodes[256] = {
    ['('] = {"MARK", op_mark},
    [')'] = {"EMPTY_TUPLE", op_empty_tuple},
    ['.'] = {"STOP", op_stop},
    ['0'] = {"POP", NULL},
    ['1'] = {"POP_MARK", NULL},
    ['2'] = {"DUP", NULL},
    ['B'] = {"BINBYTES", op_bytes4},
    ['C'] = {"SHORT_BINBYTES", op_bytes1},
    ['F'] = {"FLOAT", NULL},
    ['G'] = {"BINFLOAT", op_binfloat},
    ['I'] = {"INT", NULL},
    ['J'] = {"BININT", op_binint},
    ['K'] = {"BININT1", op_binint1},
    ['L'] = {"LONG", NULL},
    ['M'] = {"BININT2", op_binint2},
    ['N'] = {"NONE", op_none},
    ['P'] = {"PERSID", NULL},
    ['Q'] = {"BINPERSID", op_binpersid},
    ['R'] = {"REDUCE", op_reduce},
    ['S'] = {"STRING", NULL},
    ['T'] = {"BINSTRING", op_text4},
    ['U'] = {"SHORT_BINSTRING", op_text1},
    ['V'] = {"UNICODE", NULL},
    ['X'] = {"BINUNICODE", op_text4},
    [']'] = {"EMPTY_LIST", op_empty_list},
    ['a'] = {"APPEND", op_append},
    ['b'] = {"BUILD", op_build},
    ['c'] = {"GLOBAL", op_global},
    ['d'] = {"DICT", NULL},
    ['e'] = {"APPENDS", op_appends},
    ['g'] = {"GET", NULL},
    ['h'] = {"BINGET", op_binget},
    ['i'] = {"INST", NULL},
    ['j'] = {"LONG_BINGET", op_long_binget},
    ['l'] = {"LIST", NULL},
    ['o'] = {"OBJ", NULL},
    ['p'] = {"PUT", NULL},
    ['q'] = {"BINPUT", op_binput},
    ['r'] = {"LONG_BINPUT", op_long_binput},
    ['s'] = {"SETITEM", op_setitem},
    ['t'] = {"TUPLE", op_tuple},
    ['u'] = {"SETITEMS", op_setitems},
    ['}'] = {"EMPTY_DICT", op_empty_dict},
    [0x80] = {"PROTO", op_proto},
    [0x81] = {"NEWOBJ",
              op_reduce}, /* class and arguments: for the names known here the same as REDUCE */
    [0x82] = {"EXT1", NULL},
    [0x83] = {"EXT2", NULL},
    [0x84] = {"EXT4", NULL},
    [0x85] = {"TUPLE1", op_tuple1},
    [0x86] = {"TUPLE2", op_tuple2},
    [0x87] = {"TUPLE3", op_tuple3},
    [0x88] = {"NEWTRUE", op_true},
    [0x89] = {"NEWFALSE", op_false},
    [0x8a] = {"LONG1", op_long1},
    [0x8b] = {"LONG4", op_long4},
    [0x8c] = {"SHORT_BINUNICODE", op_text1},
    [0x8d] = {"BINUNICODE8", op_text8},
    [0x8e] = {"BINBYTES8", op_bytes8},
    [0x8f] = {"EMPTY_SET", NULL},
    [0x90] = {"ADDITEMS", NULL},
    [0x91] = {"FROZENSET", NULL},
    [0x92] = {"NEWOBJ_EX", NULL},
    [0x93] = {"STACK_GLOBAL", op_stack_global},
    [0x94] = {"MEMOIZE", op_memoize},
    [0x95] = {"FRAME", op_frame},
    [0x96] = {"BYTEARRAY8", op_bytes8},
    [0x97] = {"NEXT_BUFFER", NULL},
    [0x98] = {"READONLY_BUFFER", NULL},
};

static bool step(machine *m)
{
    const uint8_t *p = m->bytes;
    m->op_pos = m->pos;
    if (!vs_pickle_take(m, 1, &p)) {
        return false;
    }
    const opcode *const op = &opcodes[p[0]];
    if (op->run != NULL) {
        return op->run(m);
    }
    return op->name == NULL
               ? vs_pickle_fail(m, VS_ERR_FORMAT, "0x%02x is no pickle opcode", (unsigned)p[0])
               : vs_pickle_fail(m, VS_ERR_VALUE,
                                "opcode %s is refused: a table of tensors does not need it, "
                                "and nothing was run",
                                op->name);
}

bool vs_pickle_run(vs_pickle_result *result, vs_arena *scratch, vs_str bytes,
                   uint64_t file_offset, vs_err *err)
{
    machine m = {
        .arena = scratch,
        .err = err,
        .bytes = (const uint8_t *)bytes.ptr,
        .size_bytes = bytes.len,
        .file_offset = file_offset,
    };
    result->is_cut_short = false;
    if (bytes.len > VS_PICKLE_BYTES_MAX) {
        return vs_pickle_fail(&m, VS_ERR_LIMIT, "a pickle of %zu bytes; the limit is %" PRIu64,
                              bytes.len, VS_PICKLE_BYTES_MAX);
    }
    if (bytes.len > 0 && m.bytes[0] != 0x80) {
        return vs_pickle_fail(&m, VS_ERR_FORMAT,
                              "expected a pickle of protocol 2 to 5, which begins with byte "
                              "0x80, found 0x%02x",
                              (unsigned)m.bytes[0]);
    }
    m.marks = VS_ARRAY(scratch, uint32_t, VS_PICKLE_DEPTH_MAX);
    if (m.marks == NULL) {
        return vs_pickle_out_of_memory(&m);
    }
    if (!vs_pickle_grow(&m, &m.stack, &m.stack_room,
                        0)) { /* never NULL: opcodes point into it before the first push */
        return false;
    }
    while (!m.is_stopped) {
        if (!step(&m)) {
            result->is_cut_short = m.is_cut_short;
            return false;
        }
    }
    *result = (vs_pickle_result){.value = m.stack[0],
                                 .used_bytes = m.pos,
                                 .storages = m.storages,
                                 .storage_count = m.storage_count};
    return true;
}
