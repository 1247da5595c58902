/* traces/read/snapshot_ops.c - the opcodes of a pickle, one row each (see snapshot.h).
 *
 * Names and encodings: Python's Lib/pickletools.py (3.11). What can name, call or build something of another program, or
 * stands for bytes or sets, has a row with a name and no function: it is refused. */
#include "traces/read/snapshot.h"

#include <string.h>

#define NAME_BYTES    100
#define MAX_PROTOCOL  5u
#define MAX_INT_BYTES 9u

/* torch.save before 1.6 begins with this number (torch/serialization.py, MAGIC_NUMBER 0x1950a86a20f9469cfc6c). */
static const uint8_t legacy_magic[10] = {0x6c, 0xfc, 0x9c, 0x46, 0xf9,
                                         0x20, 0x6a, 0xa8, 0x50, 0x19};

static uint64_t little(const uint8_t *bytes, unsigned count)
{
    uint64_t value = 0;
    for (unsigned i = count; i > 0; i--) {
        value = value << 8 | bytes[i - 1];
    }
    return value;
}

/* ---- frame, marks, memo ---------------------------------------------------------------------------- */

static bool op_proto(snap_machine *m, const uint8_t *args)
{
    if (args[0] > MAX_PROTOCOL) {
        return snap_fail(m, VS_ERR_FORMAT, "pickle protocol %u; up to %u are known",
                         (unsigned)args[0], MAX_PROTOCOL);
    }
    m->protocol = args[0];
    return true;
}

static bool op_frame(snap_machine *m, const uint8_t *args)
{
    const uint64_t length = snap_little8(args);
    const vs_input *const in = m->in;
    const uint64_t left = in->packed_total - input_offset(in);
    if (!in->is_gzip && length > left) {
        return snap_fail(m, VS_ERR_FORMAT,
                         "FRAME says that %" PRIu64 " bytes follow, but the file has only "
                         "%" PRIu64 " more; is the copy complete?",
                         length, left);
    }
    return true;
}

static bool op_mark(snap_machine *m, const uint8_t *args)
{
    (void)args;
    if (m->mark_count == SNAP_MAX_DEPTH) {
        return snap_fail(m, VS_ERR_LIMIT,
                         "more than %u containers inside each other; snapshots have 6",
                         SNAP_MAX_DEPTH);
    }
    m->marks[m->mark_count++] = m->stack_count;
    return true;
}

bool snap_pop_mark(snap_machine *m, uint32_t *out)
{
    if (m->mark_count == 0) {
        return snap_fail(m, VS_ERR_FORMAT, "%s without a MARK before it",
                         snap_ops[*m->op_at].name);
    }
    *out = m->marks[--m->mark_count];
    return true;
}

static bool fail_empty(snap_machine *m)
{
    return snap_fail(m, VS_ERR_FORMAT, "%s needs more values than there are",
                     snap_ops[*m->op_at].name);
}

/* Are there count values above the innermost mark? */
static bool has_values(const snap_machine *m, uint32_t count)
{
    const uint32_t floor = m->mark_count > 0 ? m->marks[m->mark_count - 1] : 0;
    return m->stack_count - floor >= count;
}

bool snap_put(snap_machine *m, uint64_t index)
{
    if (!has_values(m, 1)) {
        return fail_empty(m);
    }
    m->put_count++;
    if (index > 2 * m->put_count + SNAP_MEMO_SLACK) {
        return snap_fail(m, VS_ERR_LIMIT,
                         "memo entry %" PRIu64 ", but only %" PRIu64 " values were remembered "
                         "so far: no pickle is written like that",
                         index, m->put_count);
    }
    while (m->memo.count <= index) {
        snap_word *const entry = snap_add_row(m, &m->memo);
        if (entry == NULL) {
            return false;
        }
        *entry = W_ABSENT;
    }
    *snap_word_at(&m->memo, index) = m->stack[m->stack_count - 1];
    return true;
}

static bool op_memoize(snap_machine *m, const uint8_t *args)
{
    (void)args;
    if (!has_values(m, 1)) {
        return fail_empty(m);
    }
    snap_word *const entry = snap_add_row(m, &m->memo);
    if (entry == NULL) {
        return false;
    }
    m->put_count++;
    *entry = m->stack[m->stack_count - 1];
    return true;
}

static bool op_binput(snap_machine *m, const uint8_t *args)
{
    return snap_put(m, args[0]);
}

static bool op_long_binput(snap_machine *m, const uint8_t *args)
{
    return snap_put(m, snap_little4(args));
}

bool snap_get(snap_machine *m, uint64_t index)
{
    snap_word *const entry = index < m->memo.count ? snap_word_at(&m->memo, index) : NULL;
    if (entry == NULL || *entry == W_ABSENT) {
        return snap_fail(m, VS_ERR_FORMAT, "memo entry %" PRIu64 " was never filled", index);
    }
    /* the first read of a container puts what it became in its place */
    if (snap_kind_of(*entry) == W_OBJECT && !snap_settle_object(m, *entry, entry)) {
        return false;
    }
    return snap_push(m, *entry);
}

static bool op_binget(snap_machine *m, const uint8_t *args)
{
    return snap_get(m, args[0]);
}

static bool op_long_binget(snap_machine *m, const uint8_t *args)
{
    return snap_get(m, snap_little4(args));
}

/* ---- values ---------------------------------------------------------------------------------------------- */

static bool op_none(snap_machine *m, const uint8_t *args)
{
    (void)args;
    return snap_push(m, W_NONE);
}

static bool op_true(snap_machine *m, const uint8_t *args)
{
    (void)args;
    return snap_push(m, W_TRUE);
}

static bool op_false(snap_machine *m, const uint8_t *args)
{
    (void)args;
    return snap_push(m, W_FALSE);
}

bool snap_push_int(snap_machine *m, uint64_t bits, bool is_negative)
{
    const uint64_t limit = UINT64_C(1) << (63 - SNAP_KIND_BITS);
    if (is_negative ? bits >= -limit : bits < limit) {
        return snap_push(m, snap_make(W_INT, bits));
    }
    snap_big *const big = snap_add_row(m, &m->bigs);
    if (big == NULL) {
        return false;
    }
    *big = (snap_big){.bits = bits, .is_negative = is_negative};
    return snap_push(m, snap_make(W_BIG, m->bigs.count - 1));
}

static bool op_binint(snap_machine *m, const uint8_t *args)
{
    const uint64_t bits = snap_little4(args);
    const bool is_negative = bits >> 31 != 0;
    return snap_push_int(m, is_negative ? bits | ~(uint64_t)UINT32_MAX : bits, is_negative);
}

static bool op_binint1(snap_machine *m, const uint8_t *args)
{
    return snap_push(m, snap_make(W_INT, args[0]));
}

static bool op_binint2(snap_machine *m, const uint8_t *args)
{
    return snap_push(m, snap_make(W_INT, little(args, 2)));
}

static bool fail_long(snap_machine *m, uint64_t count)
{
    const uint8_t *const bytes =
        count == sizeof legacy_magic ? snap_take_bytes(m, count) : NULL;
    if (bytes != NULL && memcmp(bytes, legacy_magic, sizeof legacy_magic) == 0) {
        return snap_fail(m, VS_ERR_FORMAT,
                         "a checkpoint made by torch.save before PyTorch 1.6, not a memory "
                         "snapshot; `inspect` reads those");
    }
    return snap_fail(m, VS_ERR_VALUE,
                     "an integer of %" PRIu64 " bytes; up to 64 bits and a sign are taken",
                     count);
}

/* Two's complement, little endian, of any length; up to 64 bits and a sign are taken. */
static bool push_long(snap_machine *m, uint64_t count)
{
    if (count > MAX_INT_BYTES) {
        return fail_long(m, count);
    }
    const uint8_t *const bytes = snap_take_bytes(m, count);
    if (bytes == NULL) {
        return false;
    }
    const bool is_negative = count > 0 && bytes[count - 1] >= 0x80;
    const unsigned used = count < 8 ? (unsigned)count : 8;
    uint64_t bits = used == 8 ? snap_little8(bytes) : little(bytes, used);
    if (is_negative && used < 8) {
        bits |= UINT64_MAX << (8 * used);
    }
    const uint8_t above = is_negative ? 0xff : 0;
    if (count == MAX_INT_BYTES && (bytes[8] != above || (is_negative && bits >> 63 == 0))) {
        return snap_fail(m, VS_ERR_VALUE, "an integer of more than 64 bits");
    }
    return snap_push_int(m, bits, is_negative);
}

static bool op_long1(snap_machine *m, const uint8_t *args)
{
    return push_long(m, args[0]);
}

static bool op_long4(snap_machine *m, const uint8_t *args)
{
    return push_long(m, snap_little4(args));
}

bool snap_push_float(snap_machine *m, double value)
{
    double *const row = snap_add_row(m, &m->floats);
    if (row == NULL) {
        return false;
    }
    *row = value;
    return snap_push(m, snap_make(W_FLOAT, m->floats.count - 1));
}

static bool op_binfloat(snap_machine *m, const uint8_t *args)
{
    uint64_t bits = 0;
    for (unsigned i = 0; i < 8; i++) {
        bits = bits << 8 | args[i]; /* big endian, alone of all */
    }
    double value = 0;
    memcpy(&value, &bits, sizeof value);
    return snap_push_float(m, value);
}

bool snap_push_text(snap_machine *m, vs_str text)
{
    const bool may_grow = m->texts.count == m->texts.capacity ||
                          text.len >= m->texts.bytes_capacity - m->texts.bytes_used;
    if (may_grow && !snap_check_budget(m)) {
        return false;
    }
    const uint32_t id = vs_strtab_add(&m->texts, text);
    if (id == UINT32_MAX) {
        return snap_fail_memory(m);
    }
    m->keeps_plain = m->keeps_plain || id == K_OWN;
    return snap_push(m, snap_make(W_TEXT, id));
}

static bool push_bytes(snap_machine *m, uint64_t count)
{
    const uint8_t *const bytes = snap_take_bytes(m, count);
    return bytes != NULL &&
           snap_push_text(m, (vs_str){.ptr = (const char *)bytes, .len = (size_t)count});
}

static bool op_text1(snap_machine *m, const uint8_t *args)
{
    return push_bytes(m, args[0]);
}

static bool op_text4(snap_machine *m, const uint8_t *args)
{
    return push_bytes(m, snap_little4(args));
}

static bool op_text8(snap_machine *m, const uint8_t *args)
{
    return push_bytes(m, snap_little8(args));
}

/* ---- containers ------------------------------------------------------------------------------------------------ */

static bool op_empty_list(snap_machine *m, const uint8_t *args)
{
    (void)args;
    return snap_push_new(m, W_NEW_LIST);
}

static bool op_empty_dict(snap_machine *m, const uint8_t *args)
{
    (void)args;
    return snap_push_new(m, W_NEW_DICT);
}

static bool op_empty_tuple(snap_machine *m, const uint8_t *args)
{
    (void)args;
    return snap_push(m, W_EMPTY_TUPLE);
}

static bool make_tuple(snap_machine *m, uint32_t count)
{
    return has_values(m, count) ? snap_make_tuple(m, m->stack_count - count) : fail_empty(m);
}

static bool op_tuple1(snap_machine *m, const uint8_t *args)
{
    (void)args;
    return make_tuple(m, 1);
}

static bool op_tuple2(snap_machine *m, const uint8_t *args)
{
    (void)args;
    return make_tuple(m, 2);
}

static bool op_tuple3(snap_machine *m, const uint8_t *args)
{
    (void)args;
    return make_tuple(m, 3);
}

static bool op_tuple(snap_machine *m, const uint8_t *args)
{
    (void)args;
    uint32_t from = 0;
    return snap_pop_mark(m, &from) && snap_make_tuple(m, from);
}

static bool op_append(snap_machine *m, const uint8_t *args)
{
    (void)args;
    return has_values(m, 2) ? snap_append(m, m->stack_count - 1) : fail_empty(m);
}

/* Pops the mark; the container lies below it. */
static bool pop_mark_over_container(snap_machine *m, uint32_t *out)
{
    if (!snap_pop_mark(m, out)) {
        return false;
    }
    const uint32_t floor = m->mark_count > 0 ? m->marks[m->mark_count - 1] : 0;
    return *out > floor || fail_empty(m);
}

static bool op_appends(snap_machine *m, const uint8_t *args)
{
    (void)args;
    uint32_t from = 0;
    return pop_mark_over_container(m, &from) && snap_append(m, from);
}

static bool op_setitem(snap_machine *m, const uint8_t *args)
{
    (void)args;
    return has_values(m, 3) ? snap_set_items(m, m->stack_count - 2) : fail_empty(m);
}

static bool op_setitems(snap_machine *m, const uint8_t *args)
{
    (void)args;
    uint32_t from = 0;
    return pop_mark_over_container(m, &from) && snap_set_items(m, from);
}

/* Moves the values above the mark up by one and puts a new container below them. */
static bool make_container(snap_machine *m, snap_kind state, uint32_t *out_from)
{
    uint32_t from = 0;
    if (!snap_pop_mark(m, &from) || !snap_settle(m, from) || !snap_push_new(m, state)) {
        return false;
    }
    const snap_word made = m->stack[m->stack_count - 1];
    memmove(m->stack + from + 1, m->stack + from,
            (size_t)(m->stack_count - 1 - from) * sizeof *m->stack);
    m->stack[from] = made;
    *out_from = from + 1;
    return true;
}

static bool op_list(snap_machine *m, const uint8_t *args)
{
    (void)args;
    uint32_t from = 0;
    return make_container(m, W_NEW_LIST, &from) && snap_append(m, from);
}

static bool op_dict(snap_machine *m, const uint8_t *args)
{
    (void)args;
    uint32_t from = 0;
    return make_container(m, W_NEW_DICT, &from) && snap_set_items(m, from);
}

/* ---- the stack ------------------------------------------------------------------------------------------------------- */

static bool op_pop(snap_machine *m, const uint8_t *args)
{
    (void)args;
    if (!has_values(m, 1)) {
        uint32_t ignored = 0;
        return snap_pop_mark(m, &ignored); /* as Python does it */
    }
    snap_drop(m, m->stack_count - 1);
    return true;
}

static bool op_pop_mark(snap_machine *m, const uint8_t *args)
{
    (void)args;
    uint32_t from = 0;
    if (!snap_pop_mark(m, &from)) {
        return false;
    }
    snap_drop(m, from);
    return true;
}

static bool op_dup(snap_machine *m, const uint8_t *args)
{
    (void)args;
    if (!has_values(m, 1)) {
        return fail_empty(m);
    }
    snap_word top = m->stack[m->stack_count - 1];
    if (snap_kind_of(top) == W_OBJECT && !snap_settle_object(m, top, &top)) {
        return false;
    }
    return snap_push(m, top);
}

static bool op_stop(snap_machine *m, const uint8_t *args)
{
    (void)args;
    if (m->mark_count > 0 || m->stack_count != 1) {
        return snap_fail(m, VS_ERR_FORMAT,
                         "STOP with %" PRIu32 " values and %" PRIu32 " marks on the stack; a "
                         "pickle leaves one value",
                         m->stack_count, m->mark_count);
    }
    m->is_stopped = true;
    m->stopped_at = input_offset(m->in);
    return snap_settle(m, 0);
}

/* ---- what is refused --------------------------------------------------------------------------------------------------- */

static bool is_of_checkpoint(vs_str module)
{
    return vs_str_starts(module, "torch") || vs_str_is(module, "collections") ||
           vs_str_starts(module, "numpy");
}

static bool fail_global(snap_machine *m, const char *op, vs_str module, vs_str name)
{
    const int module_bytes = module.len < NAME_BYTES ? (int)module.len : NAME_BYTES;
    const int name_bytes = name.len < NAME_BYTES ? (int)name.len : NAME_BYTES;
    return snap_fail(
        m, VS_ERR_FORMAT,
        "%s asks for %.*s.%.*s: a memory snapshot holds plain data only, and nothing "
        "in it is ever run%s",
        op, module_bytes, module.ptr, name_bytes, name.ptr,
        is_of_checkpoint(module) ? ". If this is a checkpoint (torch.save), `inspect` reads it"
                                 : "");
}

/* GLOBAL and INST: two lines, module and name. */
static bool op_global(snap_machine *m, const uint8_t *args)
{
    (void)args;
    vs_str module = {.ptr = "", .len = 0};
    vs_str name = {.ptr = "", .len = 0};
    char kept[NAME_BYTES] = "";
    const char *const op = snap_ops[*m->op_at].name;
    if (!snap_take_line(m, &module)) {
        return false;
    }
    const size_t module_bytes = module.len < sizeof kept ? module.len : sizeof kept;
    memcpy(kept, module.ptr, module_bytes);
    return snap_take_line(m, &name) &&
           fail_global(m, op, (vs_str){.ptr = kept, .len = module_bytes}, name);
}

static bool op_stack_global(snap_machine *m, const uint8_t *args)
{
    (void)args;
    const char *const op = snap_ops[*m->op_at].name;
    if (!has_values(m, 2) || snap_kind_of(m->stack[m->stack_count - 1]) != W_TEXT ||
        snap_kind_of(m->stack[m->stack_count - 2]) != W_TEXT) {
        return snap_fail(m, VS_ERR_FORMAT, "%s: a memory snapshot holds plain data only", op);
    }
    return fail_global(m, op, snap_text_of(m, m->stack[m->stack_count - 2]),
                       snap_text_of(m, m->stack[m->stack_count - 1]));
}

bool snap_fail_opcode(snap_machine *m, uint8_t op)
{
    const bool is_text = op > 0x20 && op < 0x7f;
    if (snap_ops[op].name == NULL) {
        return snap_fail(
            m, VS_ERR_FORMAT,
            is_text ? "'%c' is no opcode of a pickle" : "0x%02x is no opcode of a pickle", op);
    }
    return snap_fail(m, VS_ERR_FORMAT,
                     "opcode %s: a memory snapshot holds dicts, lists, tuples, texts and "
                     "numbers only, and nothing in it is ever run",
                     snap_ops[op].name);
}

/* ---- the table ----------------------------------------------------------------------------------------------------------- */

const snap_op snap_ops[256] = {
    ['('] = {"MARK", op_mark, 0},
    ['.'] = {"STOP", op_stop, 0},
    ['0'] = {"POP", op_pop, 0},
    ['1'] = {"POP_MARK", op_pop_mark, 0},
    ['2'] = {"DUP", op_dup, 0},
    ['F'] = {"FLOAT", snap_op_float, 0},
    ['I'] = {"INT", snap_op_int, 0},
    ['J'] = {"BININT", op_binint, 4},
    ['K'] = {"BININT1", op_binint1, 1},
    ['L'] = {"LONG", snap_op_int, 0},
    ['M'] = {"BININT2", op_binint2, 2},
    ['N'] = {"NONE", op_none, 0},
    ['P'] = {"PERSID", NULL, 0},
    ['Q'] = {"BINPERSID", NULL, 0},
    ['R'] = {"REDUCE", NULL, 0},
    ['S'] = {"STRING", NULL, 0},
    ['T'] = {"BINSTRING", op_text4, 4},
    ['U'] = {"SHORT_BINSTRING", op_text1, 1},
    ['V'] = {"UNICODE", snap_op_unicode, 0},
    ['X'] = {"BINUNICODE", op_text4, 4},
    ['a'] = {"APPEND", op_append, 0},
    ['b'] = {"BUILD", NULL, 0},
    ['c'] = {"GLOBAL", op_global, 0},
    ['d'] = {"DICT", op_dict, 0},
    ['}'] = {"EMPTY_DICT", op_empty_dict, 0},
    ['e'] = {"APPENDS", op_appends, 0},
    ['g'] = {"GET", snap_op_get, 0},
    ['h'] = {"BINGET", op_binget, 1},
    ['i'] = {"INST", op_global, 0},
    ['j'] = {"LONG_BINGET", op_long_binget, 4},
    ['l'] = {"LIST", op_list, 0},
    [']'] = {"EMPTY_LIST", op_empty_list, 0},
    ['o'] = {"OBJ", NULL, 0},
    ['p'] = {"PUT", snap_op_put, 0},
    ['q'] = {"BINPUT", op_binput, 1},
    ['r'] = {"LONG_BINPUT", op_long_binput, 4},
    ['s'] = {"SETITEM", op_setitem, 0},
    ['t'] = {"TUPLE", op_tuple, 0},
    [')'] = {"EMPTY_TUPLE", op_empty_tuple, 0},
    ['u'] = {"SETITEMS", op_setitems, 0},
    ['G'] = {"BINFLOAT", op_binfloat, 8},
    ['B'] = {"BINBYTES", NULL, 0},
    ['C'] = {"SHORT_BINBYTES", NULL, 0},
    [0x80] = {"PROTO", op_proto, 1},
    [0x81] = {"NEWOBJ", NULL, 0},
    [0x82] = {"EXT1", NULL, 0},
    [0x83] = {"EXT2", NULL, 0},
    [0x84] = {"EXT4", NULL, 0},
    [0x85] = {"TUPLE1", op_tuple1, 0},
    [0x86] = {"TUPLE2", op_tuple2, 0},
    [0x87] = {"TUPLE3", op_tuple3, 0},
    [0x88] = {"NEWTRUE", op_true, 0},
    [0x89] = {"NEWFALSE", op_false, 0},
    [0x8a] = {"LONG1", op_long1, 1},
    [0x8b] = {"LONG4", op_long4, 4},
    [0x8c] = {"SHORT_BINUNICODE", op_text1, 1},
    [0x8d] = {"BINUNICODE8", op_text8, 8},
    [0x8e] = {"BINBYTES8", NULL, 0},
    [0x8f] = {"EMPTY_SET", NULL, 0},
    [0x90] = {"ADDITEMS", NULL, 0},
    [0x91] = {"FROZENSET", NULL, 0},
    [0x92] = {"NEWOBJ_EX", NULL, 0},
    [0x93] = {"STACK_GLOBAL", op_stack_global, 0},
    [0x94] = {"MEMOIZE", op_memoize, 0},
    [0x95] = {"FRAME", op_frame, 8},
    [0x96] = {"BYTEARRAY8", NULL, 0},
    [0x97] = {"NEXT_BUFFER", NULL, 0},
    [0x98] = {"READONLY_BUFFER", NULL, 0},
};
