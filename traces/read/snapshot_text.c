/* traces/read/snapshot_text.c - opcodes of pickle protocols 0 and 1 whose argument is a line of text (see snapshot.h).
 *
 * Nobody writes them by default since Python 3.0; they come from files that were pickled again. */
#include "traces/read/snapshot.h"

#include <stdlib.h>
#include <string.h>

#define NUMBER_BYTES 64

/* "-12", "12L", "00" and "01" (False and True of protocol 0). */
bool snap_op_int(snap_machine *m, const uint8_t *args)
{
    (void)args;
    vs_str line = {.ptr = "", .len = 0};
    uint64_t value = 0;
    if (!snap_take_line(m, &line)) {
        return false;
    }
    if (vs_str_is(line, "00") || vs_str_is(line, "01")) {
        return snap_push(m, line.ptr[1] == '1' ? W_TRUE : W_FALSE);
    }
    if (vs_str_ends(line, "L")) {
        line.len--;
    }
    const bool is_negative = vs_str_starts(line, "-");
    if (is_negative) {
        line.ptr++;
        line.len--;
    }
    if (!vs_parse_u64(line, &value, NULL) || (is_negative && value > UINT64_C(1) << 63)) {
        return snap_fail(
            m, VS_ERR_VALUE,
            "a line that is no whole number of at most 64 bits where one should be");
    }
    return snap_push_int(m, is_negative ? -value : value, is_negative && value != 0);
}

bool snap_op_float(snap_machine *m, const uint8_t *args)
{
    (void)args;
    char text[NUMBER_BYTES] = "";
    vs_str line = {.ptr = "", .len = 0};
    if (!snap_take_line(m, &line)) {
        return false;
    }
    if (line.len == 0 || line.len >= sizeof text) {
        return snap_fail(m, VS_ERR_VALUE, "a line of %zu bytes where a number should be",
                         line.len);
    }
    memcpy(text, line.ptr, line.len);
    char *end = NULL;
    const double value = strtod(text, &end);
    if (end != text + line.len) {
        return snap_fail(m, VS_ERR_VALUE, "a line that is no number where one should be");
    }
    return snap_push_float(m, value);
}

static bool take_index(snap_machine *m, uint64_t *out)
{
    vs_str line = {.ptr = "", .len = 0};
    if (!snap_take_line(m, &line)) {
        return false;
    }
    if (!vs_parse_u64(line, out, NULL)) {
        return snap_fail(m, VS_ERR_VALUE, "a line that is no memo index where one should be");
    }
    return true;
}

bool snap_op_get(snap_machine *m, const uint8_t *args)
{
    (void)args;
    uint64_t index = 0;
    return take_index(m, &index) && snap_get(m, index);
}

bool snap_op_put(snap_machine *m, const uint8_t *args)
{
    (void)args;
    uint64_t index = 0;
    return take_index(m, &index) && snap_put(m, index);
}

/* ---- raw-unicode-escape ------------------------------------------------------------------- */

static uint32_t hex_digit(char c)
{
    if (c >= '0' && c <= '9') {
        return (uint32_t)(c - '0');
    }
    if (c >= 'a' && c <= 'f') {
        return (uint32_t)(c - 'a') + 10;
    }
    return c >= 'A' && c <= 'F' ? (uint32_t)(c - 'A') + 10 : 16;
}

/* The code point of \uXXXX or \UXXXXXXXX at text; how many bytes it takes, 0: none. */
static size_t read_escape(vs_str text, uint32_t *out)
{
    if (text.len < 6 || text.ptr[0] != '\\' || (text.ptr[1] != 'u' && text.ptr[1] != 'U')) {
        return 0;
    }
    const size_t bytes = text.ptr[1] == 'u' ? 6 : 10;
    uint32_t point = 0;
    for (size_t i = 2; i < bytes; i++) {
        const uint32_t digit = i < text.len ? hex_digit(text.ptr[i]) : 16;
        if (digit > 15) {
            return 0;
        }
        point = point << 4 | digit;
    }
    *out = point;
    return point <= 0x10ffff ? bytes : 0;
}

/* Surrogates too, as Python's surrogatepass does. */
static size_t put_utf8(char *out, uint32_t point)
{
    if (point < 0x80) {
        out[0] = (char)point;
        return 1;
    }
    const size_t more = point < 0x800 ? 1 : point < 0x10000 ? 2 : 3;
    const uint32_t lead = more == 1 ? 0xc0 : more == 2 ? 0xe0 : 0xf0;
    out[0] = (char)(uint8_t)(lead | point >> (6 * more));
    for (size_t i = 1; i <= more; i++) {
        out[i] = (char)(uint8_t)(0x80 | (point >> (6 * (more - i)) & 0x3f));
    }
    return more + 1;
}

/* A byte is a code point (Latin-1), but for escapes. Never more than twice as long. */
bool snap_op_unicode(snap_machine *m, const uint8_t *args)
{
    (void)args;
    vs_str line = {.ptr = "", .len = 0};
    if (!snap_take_line(m, &line)) {
        return false;
    }
    vs_arena *const scratch = m->desc->scratch;
    char *const text = VS_RAW_ARRAY(scratch, char, 2 * line.len + 1);
    if (text == NULL) {
        return snap_fail_memory(m);
    }
    const size_t mark = scratch->used_bytes - (2 * line.len + 1);
    size_t used = 0;
    for (size_t i = 0; i < line.len;) {
        uint32_t point = (uint8_t)line.ptr[i];
        const size_t escape =
            read_escape((vs_str){.ptr = line.ptr + i, .len = line.len - i}, &point);
        used += put_utf8(text + used, escape > 0 ? point : (uint8_t)line.ptr[i]);
        i += escape > 0 ? escape : 1;
    }
    /* the table of texts may take memory behind it, so it goes only if that did not happen */
    const size_t behind = scratch->used_bytes;
    const bool is_pushed = snap_push_text(m, (vs_str){.ptr = text, .len = used});
    if (scratch->used_bytes == behind) {
        vs_arena_rewind(scratch, mark);
    }
    return is_pushed;
}
