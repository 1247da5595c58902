/* traces/read/snapshot_machine.c - the loop over a pickle's opcodes, its memory and its bytes (see snapshot.h).
 *
 * The table of opcodes is in snapshot_ops.c; what only pushes a value, most of a file, is done here without it. */
#include "traces/read/snapshot.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define ROW_SHIFT        10u
#define FIRST_STACK_ROOM 4096u
#define FAIL_BYTES       400
/* One slot of the stack for so many bytes that were read: a trace entry of a C++ program, whose lists are put on it
 * whole, takes 30 bytes and more. */
#define BYTES_PER_SLOT   2u

/* ---- failing ------------------------------------------------------------------------------- */

bool snap_fail(snap_machine *m, vs_errcode code, const char *format, ...)
{
    char text[FAIL_BYTES];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (m->err != NULL && m->err->code == VS_OK) {
        (void)vs_fail(m->err, code, "%s", text);
        vs_err_at_offset(m->err, m->in->offset_of_end - (uint64_t)(m->in->end - m->op_at));
    }
    return false;
}

bool snap_fail_memory(snap_machine *m)
{
    return vs_fail_memory(m->err, m->desc->scratch, "a memory snapshot");
}

bool snap_check_budget(snap_machine *m)
{
    const uint64_t taken = m->desc->scratch->used_bytes - m->scratch_start;
    const uint64_t allowed = SNAP_BASE_BYTES + SNAP_FACTOR * input_offset(m->in);
    if (taken <= allowed) {
        return true;
    }
    char size[VS_TEXT_BYTES];
    return snap_fail(
        m, VS_ERR_LIMIT,
        "reading this pickle takes more than %s, %u bytes for each byte so far and "
        "64 MiB; no memory snapshot does",
        vs_format_size(allowed, size), SNAP_FACTOR);
}

void *snap_add_row(snap_machine *m, vs_rows *rows)
{
    if (rows->count >> rows->shift == rows->chunk_count && !snap_check_budget(m)) {
        return NULL;
    }
    void *const row = rows_add(rows);
    if (row == NULL) {
        (void)snap_fail_memory(m);
    }
    return row;
}

bool snap_grow_stack(snap_machine *m)
{
    const uint64_t most = FIRST_STACK_ROOM + input_offset(m->in) / BYTES_PER_SLOT;
    const uint64_t room = UINT64_C(2) * m->stack_room;
    if (m->stack_count >= most || room > UINT32_MAX) {
        return snap_fail(m, VS_ERR_LIMIT,
                         "%" PRIu32 " values are on the pickle's stack; no memory snapshot "
                         "needs so many",
                         m->stack_count);
    }
    if (!snap_check_budget(m)) {
        return false;
    }
    snap_word *const stack = VS_RAW_ARRAY(m->desc->scratch, snap_word, (size_t)room);
    if (stack == NULL) {
        return snap_fail_memory(m);
    }
    memcpy(stack, m->stack, m->stack_count * sizeof *stack);
    m->stack = stack;
    m->stack_room = (uint32_t)room;
    return true;
}

/* ---- bytes behind an opcode -------------------------------------------------------------------- */

static bool fail_cut(snap_machine *m)
{
    char where[48] = "where the next opcode should be";
    if (m->op_at < m->in->end && snap_ops[*m->op_at].name != NULL) {
        (void)snprintf(where, sizeof where, "inside %s", snap_ops[*m->op_at].name);
    }
    if (m->in->was_cut) {
        return snap_fail(
            m, VS_ERR_FORMAT,
            "the gzip file is cut or damaged: the pickle in it ends %s. A snapshot "
            "is whole only at its last byte, so nothing of it can be used",
            where);
    }
    return snap_fail(m, VS_ERR_FORMAT,
                     "the file ends %s; is the copy complete? A snapshot is whole only at its "
                     "last byte, so nothing of it can be used",
                     where);
}

/* input_need may move the window; op_at moves with it. */
static bool need(snap_machine *m, uint64_t count)
{
    vs_input *const in = m->in;
    const uint64_t behind = (uint64_t)(in->at - m->op_at);
    in->at = m->op_at;
    vs_err failed = {0};
    const bool is_there = input_need(in, behind + count, &failed);
    m->op_at = in->at;
    if (is_there) {
        in->at += behind;
        return true;
    }
    if (failed.code != VS_OK) {
        return snap_fail(m, failed.code, "%s", failed.text);
    }
    return fail_cut(m);
}

const uint8_t *snap_take_bytes(snap_machine *m, uint64_t count)
{
    vs_input *const in = m->in;
    if ((uint64_t)(in->end - in->at) < count) {
        const uint64_t left = in->packed_total - input_offset(in);
        if (!in->is_gzip && count > left) {
            (void)snap_fail(m, VS_ERR_FORMAT,
                            "%s says that %" PRIu64 " bytes follow, but the file has only "
                            "%" PRIu64 " more; is the copy complete?",
                            snap_ops[*m->op_at].name, count, left);
            return NULL;
        }
        if (!need(m, count)) {
            return NULL;
        }
    }
    const uint8_t *const bytes = in->at;
    in->at += count;
    return bytes;
}

bool snap_take_line(snap_machine *m, vs_str *out)
{
    vs_input *const in = m->in;
    size_t looked = 0;
    for (;;) {
        const size_t there = (size_t)(in->end - in->at);
        const uint8_t *const end = memchr(in->at + looked, '\n', there - looked);
        if (end != NULL) {
            *out = (vs_str){.ptr = (const char *)in->at, .len = (size_t)(end - in->at)};
            in->at = end + 1;
            return true;
        }
        looked = there;
        if (!need(m, (uint64_t)there + 1)) {
            return false;
        }
    }
}

/* ---- one step --------------------------------------------------------------------------------------------------------------- */

static bool init_texts(snap_machine *m)
{
    static const char *const texts[] = {"",
#define VS_X(id, text) text,
                                        SNAP_TEXTS(VS_X)
#undef VS_X
    };
    if (!vs_strtab_init(&m->texts, m->desc->scratch, SNAP_TEXT_COUNT)) {
        return snap_fail_memory(m);
    }
    for (uint32_t i = 1; i < SNAP_TEXT_COUNT; i++) {
        const uint32_t id = vs_strtab_add(&m->texts, vs_str_of(texts[i]));
        if (id == UINT32_MAX) {
            return snap_fail_memory(m);
        }
        vs_assert(id == i);
    }
    return true;
}

bool snap_machine_init(snap_machine *m, vs_input *in, const vs_read_desc *desc, vs_err *err)
{
    vs_arena *const scratch = desc->scratch;
    *m = (snap_machine){.in = in, .desc = desc, .err = err, .op_at = in->at};
    m->scratch_start = scratch->used_bytes;
    m->memo = rows_of(scratch, sizeof(snap_word), SNAP_WORD_SHIFT);
    m->objects = rows_of(scratch, sizeof(snap_word), SNAP_WORD_SHIFT);
    m->items = rows_of(scratch, sizeof(snap_word), ROW_SHIFT);
    m->runs = rows_of(scratch, sizeof(snap_run), ROW_SHIFT);
    m->bigs = rows_of(scratch, sizeof(snap_big), ROW_SHIFT);
    m->floats = rows_of(scratch, sizeof(double), ROW_SHIFT);
    m->text_ids = rows_of(scratch, sizeof(uint32_t), ROW_SHIFT);
    m->blocks = rows_of(scratch, sizeof(vs_rec_block), ROW_SHIFT);
    m->segments = rows_of(scratch, sizeof(snap_segment), ROW_SHIFT);
    m->history = rows_of(scratch, sizeof(snap_history), ROW_SHIFT);
    m->stack = VS_RAW_ARRAY(scratch, snap_word, FIRST_STACK_ROOM);
    m->stack_room = FIRST_STACK_ROOM;
    m->builder = builder_new(desc, VS_TRACE_SNAPSHOT);
    if (m->stack == NULL || m->builder == NULL) {
        return snap_fail_memory(m);
    }
    return init_texts(m);
}

static void tell_progress(const snap_machine *m)
{
    if (m->desc->progress != NULL) {
        m->desc->progress(m->desc->ctx, m->in->packed_read, m->in->packed_total);
    }
}

/* The opcode at in->at and its fixed bytes are in the window. */
static bool step(snap_machine *m)
{
    vs_input *const in = m->in;
    const uint8_t op = *in->at;
    const snap_op *const row = &snap_ops[op];
    m->op_at = in->at;
    if (row->run == NULL) {
        return snap_fail_opcode(m, op);
    }
    const uint8_t *const args = in->at + 1;
    in->at = args + row->arg_bytes;
    return row->run(m, args);
}

/* ---- what only pushes --------------------------------------------------------------------------------------------------------- */

/* Most opcodes push a small integer or what the memo holds. They are taken here without the table, with everything in
 * registers: the machine's own fields would have to be read again after each push. What needs more than a push is left for
 * the table: negative and long integers, containers that are not settled, errors. */
typedef struct {
    const uint8_t *at;
    const uint8_t *last; /* an opcode up to here and its argument are in the window */
    snap_word *top;
    const snap_word *stack_end;
    uint8_t *const *memo;
    uint64_t memo_count;
} push_run;

#define PUSH_BYTES 10 /* the longest opcode taken: LONG1 with 8 bytes looked at */

static inline bool push_memo(push_run *r, uint64_t index, unsigned op_bytes)
{
    if (index >= r->memo_count) {
        return false;
    }
    const uint8_t *const chunk = r->memo[index >> SNAP_WORD_SHIFT];
    snap_word word = 0;
    memcpy(&word, chunk + (index & ((UINT64_C(1) << SNAP_WORD_SHIFT) - 1)) * sizeof word,
           sizeof word);
    if (snap_kind_of(word) >= W_ABSENT) {
        return false;
    }
    *r->top++ = word;
    r->at += op_bytes;
    return true;
}

static inline bool push_small(push_run *r, uint64_t value, unsigned op_bytes)
{
    *r->top++ = snap_make(W_INT, value);
    r->at += op_bytes;
    return true;
}

/* LONG1 of 1 to 7 bytes that is not negative. */
static inline bool push_address(push_run *r)
{
    const unsigned count = r->at[1];
    if (count - 1 > 6 || r->at[1 + count] >= 0x80) {
        return false;
    }
    return push_small(r, snap_little8(r->at + 2) & (UINT64_MAX >> (64 - 8 * count)), 2 + count);
}

static inline bool push_next(push_run *r)
{
    switch (*r->at) {
    case 'h': return push_memo(r, r->at[1], 2);
    case 'j': return push_memo(r, snap_little4(r->at + 1), 5);
    case 'K': return push_small(r, r->at[1], 2);
    case 'M': return push_small(r, r->at[1] | (unsigned)r->at[2] << 8, 3);
    case 'J': return r->at[4] < 0x80 && push_small(r, snap_little4(r->at + 1), 5);
    case 0x8a: return push_address(r);
    default: return false;
    }
}

/* Stacks are runs of LONG_BINGET: the place of the next one is known before this one is read. */
static inline void push_gets(push_run *r)
{
    while (r->at <= r->last && r->top < r->stack_end && *r->at == 'j' &&
           push_memo(r, snap_little4(r->at + 1), 5)) {}
}

/* The same opcodes, to be asked before anything is set up for them. */
static inline bool does_push(uint8_t op)
{
    return op == 'h' || op == 'j' || op == 'K' || op == 'J' || op == 0x8a || op == 'M';
}

static void push_many(snap_machine *m)
{
    vs_input *const in = m->in;
    push_run r = {.at = in->at,
                  .last = in->end - PUSH_BYTES,
                  .top = m->stack + m->stack_count,
                  .stack_end = m->stack + m->stack_room,
                  .memo = m->memo.chunks,
                  .memo_count = m->memo.count};
    while (r.at <= r.last && r.top < r.stack_end && push_next(&r)) {
        push_gets(&r);
    }
    in->at = r.at;
    m->stack_count = (uint32_t)(r.top - m->stack);
}

/* Reads more when the next opcode may not be whole. */
static bool fill(snap_machine *m)
{
    vs_input *const in = m->in;
    const uint64_t read_before = in->packed_read;
    m->op_at = in->at;
    if (in->at == in->end && !need(m, 1)) {
        return false;
    }
    const uint8_t arg_bytes = snap_ops[*in->at].arg_bytes;
    if ((uint64_t)(in->end - in->at) < UINT64_C(1) + arg_bytes &&
        !need(m, UINT64_C(1) + arg_bytes)) {
        return false;
    }
    if (in->packed_read != read_before) {
        tell_progress(m);
    }
    return true;
}

bool snap_run_pickle(snap_machine *m)
{
    const vs_input *const in = m->in;
    while (!m->is_stopped) {
        if (in->end - in->at >= PUSH_BYTES && does_push(*in->at)) {
            push_many(m);
        }
        if ((in->end - in->at < PUSH_BYTES && !fill(m)) || !step(m)) {
            return false;
        }
    }
    return true;
}
