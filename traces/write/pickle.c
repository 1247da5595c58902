/* traces/write/pickle.c - opcodes, frames and the memo. */
#include "traces/write/pickle.h"

#include <string.h>

/* Python's pickletools, by its names. */
enum {
    OP_MARK = '(',
    OP_STOP = '.',
    OP_BINFLOAT = 'G',
    OP_BININT = 'J',
    OP_BININT1 = 'K',
    OP_BININT2 = 'M',
    OP_NONE = 'N',
    OP_BINUNICODE = 'X',
    OP_EMPTY_LIST = ']',
    OP_APPENDS = 'e',
    OP_BINGET = 'h',
    OP_LONG_BINGET = 'j',
    OP_SETITEMS = 'u',
    OP_EMPTY_DICT = '}',
    OP_PROTO = 0x80,
    OP_TUPLE2 = 0x86,
    OP_NEWTRUE = 0x88,
    OP_NEWFALSE = 0x89,
    OP_LONG1 = 0x8a,
    OP_SHORT_BINUNICODE = 0x8c,
    OP_MEMOIZE = 0x94,
    OP_FRAME = 0x95
};

#define OP_BYTES_MAX 16u /* an opcode and its argument, but for texts */

/* ---- frames ------------------------------------------------------------------------------ */

static void put_little_endian(uint8_t *to, uint64_t value, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        to[i] = (uint8_t)(value >> 8 * i);
    }
}

static void put_frame_head(vs_pickle *p, uint64_t size_bytes)
{
    uint8_t head[9] = {OP_FRAME};
    put_little_endian(head + 1, size_bytes, 8);
    vs_outfile_write(p->out, head, sizeof head);
}

static void flush_frame(vs_pickle *p)
{
    if (p->used > 0) {
        put_frame_head(p, p->used);
        vs_outfile_write(p->out, p->frame, p->used);
        p->used = 0;
    }
}

/* Room for one more opcode with its argument: they may not stand in two frames. */
static uint8_t *room_for(vs_pickle *p, size_t size_bytes)
{
    if (p->used + size_bytes > PICKLE_FRAME_BYTES) {
        flush_frame(p);
    }
    return p->frame + p->used;
}

static void put_op(vs_pickle *p, uint8_t op)
{
    *room_for(p, 1) = op;
    p->used++;
}

/* An opcode and an argument of `count` bytes, least significant first. */
static void put_op_number(vs_pickle *p, uint8_t op, uint64_t value, uint32_t count)
{
    uint8_t *to = room_for(p, OP_BYTES_MAX);
    to[0] = op;
    put_little_endian(to + 1, value, count);
    p->used += 1 + (size_t)count;
}

bool pickle_begin(vs_pickle *p, vs_outfile *out, vs_arena *arena, vs_err *err)
{
    static const uint8_t protocol[] = {OP_PROTO, 4};
    *p = (vs_pickle){.out = out, .frame = VS_RAW_ARRAY(arena, uint8_t, PICKLE_FRAME_BYTES)};
    if (p->frame == NULL) {
        return vs_fail_memory(err, arena, "a frame of a pickle");
    }
    vs_outfile_write(out, protocol, sizeof protocol); /* before the first frame */
    return true;
}

bool pickle_end(vs_pickle *p, vs_err *err)
{
    vs_assert(p->depth == 0);
    put_op(p, OP_STOP);
    flush_frame(p);
    return !p->has_failed ||
           vs_fail(err, VS_ERR_LIMIT, "a text of more than 4 GiB does not fit into a pickle");
}

/* ---- lists and dicts ------------------------------------------------------------------------ */

static void open_container(vs_pickle *p, bool is_dict)
{
    vs_assert(p->depth < PICKLE_MAX_DEPTH);
    put_op(p, is_dict ? OP_EMPTY_DICT : OP_EMPTY_LIST);
    p->is_dict[p->depth] = is_dict;
    p->batch[p->depth] = 0;
    p->depth++;
}

void pickle_list(vs_pickle *p)
{
    open_container(p, false);
}

void pickle_dict(vs_pickle *p)
{
    open_container(p, true);
}

static void end_batch(vs_pickle *p)
{
    const uint32_t inner = p->depth - 1;
    if (p->batch[inner] > 0) {
        put_op(p, p->is_dict[inner] ? OP_SETITEMS : OP_APPENDS);
        p->batch[inner] = 0;
    }
}

void pickle_close(vs_pickle *p)
{
    vs_assert(p->depth > 0);
    end_batch(p);
    p->depth--;
}

void pickle_item(vs_pickle *p)
{
    const uint32_t inner = p->depth - 1;
    if (p->batch[inner] == PICKLE_BATCH) {
        end_batch(p);
    }
    if (p->batch[inner] == 0) {
        put_op(p, OP_MARK);
    }
    p->batch[inner]++;
}

void pickle_key(vs_pickle *p, const char *key, pickle_memo *memo)
{
    pickle_item(p);
    pickle_shared_text(p, key, memo);
}

/* ---- plain values --------------------------------------------------------------------------- */

void pickle_u64(vs_pickle *p, uint64_t value)
{
    if (value <= UINT8_MAX) {
        put_op_number(p, OP_BININT1, value, 1);
    } else if (value <= UINT16_MAX) {
        put_op_number(p, OP_BININT2, value, 2);
    } else if (value <= INT32_MAX) {
        put_op_number(p, OP_BININT, value, 4);
    } else {
        uint32_t count = 4; /* two's complement: the highest bit is the sign's */
        while (count < 8 && value >> (8 * count - 1) != 0) {
            count++;
        }
        count += count == 8 && value > INT64_MAX;
        uint8_t *to = room_for(p, OP_BYTES_MAX);
        to[0] = OP_LONG1;
        to[1] = (uint8_t)count;
        to[10] = 0; /* the ninth byte of the number, if it has one */
        put_little_endian(to + 2, value, count < 8 ? count : 8);
        p->used += 2 + (size_t)count;
    }
}

void pickle_minus_one(vs_pickle *p)
{
    put_op_number(p, OP_BININT, UINT32_MAX, 4);
}

void pickle_bool(vs_pickle *p, bool value)
{
    put_op(p, value ? OP_NEWTRUE : OP_NEWFALSE);
}

void pickle_float(vs_pickle *p, double value)
{
    uint64_t bits = 0;
    _Static_assert(sizeof bits == sizeof value, "a double has 64 bits");
    memcpy(&bits, &value, sizeof bits);
    uint64_t reversed = 0; /* the one number with the highest byte first */
    for (uint32_t i = 0; i < 8; i++) {
        reversed = reversed << 8 | (bits >> 8 * i & UINT8_MAX);
    }
    put_op_number(p, OP_BINFLOAT, reversed, 8);
}

void pickle_none(vs_pickle *p)
{
    put_op(p, OP_NONE);
}

void pickle_pair(vs_pickle *p, uint8_t a, uint8_t b)
{
    put_op_number(p, OP_BININT1, a, 1);
    put_op_number(p, OP_BININT1, b, 1);
    put_op(p, OP_TUPLE2);
}

/* ---- texts -------------------------------------------------------------------------------------- */

/* `count` bytes that continue a character follow, the first of them from lowest to highest. */
static bool is_continued(const uint8_t *at, const uint8_t *end, uint32_t count, uint8_t lowest,
                         uint8_t highest)
{
    if ((size_t)(end - at) <= count || at[1] < lowest || at[1] > highest) {
        return false;
    }
    for (uint32_t i = 2; i <= count; i++) {
        if ((at[i] & 0xc0u) != 0x80u) {
            return false;
        }
    }
    return true;
}

/* Bytes of the character of UTF-8 at `at`, 0 if there is none: RFC 3629, so no surrogates and nothing longer than
 * need be. */
static uint32_t character_bytes(const uint8_t *at, const uint8_t *end)
{
    static const struct {
        uint8_t from, to, count, lowest, highest;
    } leads[] = {{0xc2, 0xdf, 1, 0x80, 0xbf}, {0xe0, 0xe0, 2, 0xa0, 0xbf},
                 {0xe1, 0xec, 2, 0x80, 0xbf}, {0xed, 0xed, 2, 0x80, 0x9f},
                 {0xee, 0xef, 2, 0x80, 0xbf}, {0xf0, 0xf0, 3, 0x90, 0xbf},
                 {0xf1, 0xf3, 3, 0x80, 0xbf}, {0xf4, 0xf4, 3, 0x80, 0x8f}};

    if (at[0] < 0x80) {
        return 1;
    }
    for (size_t i = 0; i < sizeof leads / sizeof leads[0]; i++) {
        if (at[0] >= leads[i].from && at[0] <= leads[i].to) {
            const uint32_t count = leads[i].count;
            return is_continued(at, end, count, leads[i].lowest, leads[i].highest) ? count + 1
                                                                                   : 0;
        }
    }
    return 0;
}

/* Bytes of the text as it is written. */
static uint64_t written_bytes(const uint8_t *at, const uint8_t *end)
{
    uint64_t total = 0;
    while (at < end) {
        const uint32_t n = character_bytes(at, end);
        total += n > 0 ? n : 3;
        at += n > 0 ? n : 1;
    }
    return total;
}

/* As much of the text as the frame has room for, bytes that are no UTF-8 as surrogates. Returns where it stopped. */
static const uint8_t *put_escaped(vs_pickle *p, const uint8_t *at, const uint8_t *end)
{
    while (at < end && p->used + 4 <= PICKLE_FRAME_BYTES) {
        const uint32_t n = character_bytes(at, end);
        if (n == 0) {
            const uint8_t escaped[3] = {0xed, (uint8_t)(0xb0u | *at >> 6u),
                                        (uint8_t)(0x80u | (*at & 0x3fu))};
            memcpy(p->frame + p->used, escaped, sizeof escaped);
            p->used += sizeof escaped;
            at++;
        } else {
            memcpy(p->frame + p->used, at, n);
            p->used += n;
            at += n;
        }
    }
    return at;
}

/* Texts that would fill half a frame are frames of their own. */
static void put_long_text(vs_pickle *p, const uint8_t *at, const uint8_t *end, uint64_t written)
{
    uint8_t head[5] = {OP_BINUNICODE};
    put_little_endian(head + 1, written, 4);
    flush_frame(p);
    put_frame_head(p, sizeof head + written);
    vs_outfile_write(p->out, head, sizeof head);
    while (at < end) {
        at = put_escaped(p, at, end);
        vs_outfile_write(p->out, p->frame, p->used);
        p->used = 0;
    }
}

void pickle_text(vs_pickle *p, const char *text)
{
    const uint8_t *at = (const uint8_t *)text;
    const uint8_t *end = at + strlen(text);
    uint64_t written = written_bytes(at, end);
    if (written > UINT32_MAX) {
        p->has_failed = true;
        written = 0;
        end = at;
    }
    if (written > PICKLE_FRAME_BYTES / 2) {
        put_long_text(p, at, end, written);
        return;
    }
    (void)room_for(p, OP_BYTES_MAX + (size_t)written + 4);
    if (written <= UINT8_MAX) {
        put_op_number(p, OP_SHORT_BINUNICODE, written, 1);
    } else {
        put_op_number(p, OP_BINUNICODE, written, 4);
    }
    (void)put_escaped(p, at, end);
}

/* ---- the memo ------------------------------------------------------------------------------------- */

void pickle_remember(vs_pickle *p, pickle_memo *memo)
{
    put_op(p, OP_MEMOIZE);
    p->memo_count++;
    *memo = p->memo_count;
}

void pickle_again(vs_pickle *p, pickle_memo memo)
{
    const uint32_t index = memo - 1;
    if (index <= UINT8_MAX) {
        put_op_number(p, OP_BINGET, index, 1);
    } else {
        put_op_number(p, OP_LONG_BINGET, index, 4);
    }
}

void pickle_shared_text(vs_pickle *p, const char *text, pickle_memo *memo)
{
    if (*memo != 0) {
        pickle_again(p, *memo);
        return;
    }
    pickle_text(p, text);
    pickle_remember(p, memo);
}
