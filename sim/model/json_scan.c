/* json_scan.c - a forward reader of JSON (RFC 8259). See json_scan.h. */
#include "sim/model/json_scan.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

bool vs_scan_fail(vs_scan *s, uint64_t pos, vs_errcode code, const char *format, ...)
{
    if (s->has_failed) {
        return false;
    }
    s->has_failed = true;
    char text[VS_ERR_TEXT_BYTES];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    (void)vs_fail(s->err, code, "%s", text);
    if (s->err != NULL) {
        vs_err_at_offset(s->err, s->file_offset + pos);
    }
    return false;
}

static void skip_space(vs_scan *s)
{
    while (s->pos < s->text_bytes) {
        const uint8_t c = s->text[s->pos];
        if (c != ' ' && c != '\n' && c != '\t' && c != '\r') {
            return;
        }
        s->pos++;
    }
}

uint8_t vs_scan_peek_far(vs_scan *s)
{
    skip_space(s);
    return s->has_failed || s->pos >= s->text_bytes ? 0 : s->text[s->pos];
}

/* What stands at pos, for messages. */
static const char *found(const vs_scan *s, char buf[24])
{
    if (s->pos >= s->text_bytes) {
        return "the end of the text";
    }
    const uint8_t c = s->text[s->pos];
    if (c >= 0x20 && c < 0x7f) {
        (void)snprintf(buf, 24, "'%c'", c);
    } else {
        (void)snprintf(buf, 24, "byte 0x%02x", c);
    }
    return buf;
}

bool vs_scan_fail_expected(vs_scan *s, const char *what)
{
    char buf[24];
    return vs_scan_fail(s, s->pos, VS_ERR_FORMAT, "expected %s, found %s", what, found(s, buf));
}

/* ---- strings ---------------------------------------------------------------------------------- */

/* Bytes of the UTF-8 sequence at p (at most left bytes), 0 when it is not well-formed (RFC 3629). */
static unsigned utf8_length(const uint8_t *p, uint64_t left)
{
    static const struct {
        uint8_t first_low, first_high, second_low, second_high;
        unsigned length;
    } rows[] = {
        {0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3}, {0xe1, 0xec, 0x80, 0xbf, 3},
        {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3}, {0xf0, 0xf0, 0x90, 0xbf, 4},
        {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (p[0] < rows[i].first_low || p[0] > rows[i].first_high) {
            continue;
        }
        if (left < rows[i].length || p[1] < rows[i].second_low || p[1] > rows[i].second_high) {
            return 0;
        }
        for (unsigned k = 2; k < rows[i].length; k++) {
            if ((p[k] & 0xc0) != 0x80) {
                return 0;
            }
        }
        return rows[i].length;
    }
    return 0;
}

/* Whether one of eight bytes is a quote, a backslash, a control byte or no ASCII. Whether, not which: then the order
 * of bytes in a word does not matter, nor that a borrow may hit the byte beside a true one. */
static inline bool has_special(const uint8_t *eight)
{
    const uint64_t ones = UINT64_C(0x0101010101010101);
    uint64_t w = 0;
    memcpy(&w, eight, sizeof w);
    const uint64_t quote = w ^ ones * '"';
    const uint64_t backslash = w ^ ones * '\\';
    const uint64_t hits = (w - ones * 0x20) | (quote - ones) | (backslash - ones) | w;
    return (hits & ones * 0x80) != 0;
}

/* Finds the closing quote of a string whose first byte is at s->pos; true when it holds no escapes. */
static bool find_end(vs_scan *s, uint64_t *end, bool *has_escapes)
{
    uint64_t at = s->pos;
    *has_escapes = false;
    while (s->text_bytes - at >= 8 && !has_special(s->text + at)) {
        at += 8;
    }
    while (at < s->text_bytes && s->text[at] != '"') {
        const uint8_t c = s->text[at];
        if (c < 0x20) {
            return vs_scan_fail(s, at, VS_ERR_FORMAT, "control byte 0x%02x inside a string", c);
        }
        if (c == '\\') {
            *has_escapes = true;
            at += 2;
        } else if (c < 0x80) {
            at++;
        } else {
            const unsigned length = utf8_length(s->text + at, s->text_bytes - at);
            if (length == 0) {
                return vs_scan_fail(s, at, VS_ERR_FORMAT, "a string is not UTF-8");
            }
            at += length;
        }
    }
    if (at >= s->text_bytes) {
        return vs_scan_fail(s, s->pos, VS_ERR_FORMAT, "a string that begins here does not end");
    }
    *end = at;
    return true;
}

static bool read_hex4(vs_scan *s, uint64_t at, uint64_t end, uint32_t *out)
{
    uint32_t value = 0;
    for (uint64_t i = at; i < at + 4; i++) {
        const uint8_t c = i < end ? s->text[i] : 0;
        uint32_t digit = 0;
        if (c >= '0' && c <= '9') {
            digit = c - (uint32_t)'0';
        } else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f') {
            digit = (c | 0x20u) - (uint32_t)'a' + 10;
        } else {
            return vs_scan_fail(s, i, VS_ERR_FORMAT, "\\u wants four hexadecimal digits");
        }
        value = value << 4 | digit;
    }
    *out = value;
    return true;
}

static size_t put_utf8(uint32_t code, char *out)
{
    if (code < 0x80) {
        out[0] = (char)code;
        return 1;
    }
    if (code < 0x800) {
        out[0] = (char)(0xc0 | code >> 6);
        out[1] = (char)(0x80 | (code & 0x3f));
        return 2;
    }
    if (code < 0x10000) {
        out[0] = (char)(0xe0 | code >> 12);
        out[1] = (char)(0x80 | (code >> 6 & 0x3f));
        out[2] = (char)(0x80 | (code & 0x3f));
        return 3;
    }
    out[0] = (char)(0xf0 | code >> 18);
    out[1] = (char)(0x80 | (code >> 12 & 0x3f));
    out[2] = (char)(0x80 | (code >> 6 & 0x3f));
    out[3] = (char)(0x80 | (code & 0x3f));
    return 4;
}

/* The code point of the \u escape whose digits start at *at; moves *at behind it. */
static bool read_unicode(vs_scan *s, uint64_t *at, uint64_t end, uint32_t *code)
{
    const uint64_t start = *at;
    if (!read_hex4(s, *at, end, code)) {
        return false;
    }
    *at += 4;
    if (*code >= 0xd800 && *code < 0xdc00) {
        uint32_t low = 0;
        if (*at + 6 > end || s->text[*at] != '\\' || s->text[*at + 1] != 'u') {
            return vs_scan_fail(s, start, VS_ERR_FORMAT, "half of a surrogate pair");
        }
        if (!read_hex4(s, *at + 2, end, &low)) {
            return false;
        }
        if (low < 0xdc00 || low > 0xdfff) {
            return vs_scan_fail(s, start, VS_ERR_FORMAT, "half of a surrogate pair");
        }
        *at += 6;
        *code = 0x10000 + ((*code - 0xd800) << 10) + (low - 0xdc00);
    } else if (*code >= 0xdc00 && *code < 0xe000) {
        return vs_scan_fail(s, start, VS_ERR_FORMAT, "half of a surrogate pair");
    }
    if (*code == 0) {
        return vs_scan_fail(s, start, VS_ERR_FORMAT, "a NUL character in a string");
    }
    return true;
}

static bool decode(vs_scan *s, uint64_t end, char *out, size_t *out_len)
{
    static const char plain[] = "\"\\/bfnrt";
    static const char meant[] = "\"\\/\b\f\n\r\t";
    size_t len = 0;
    uint64_t at = s->pos;
    while (at < end) {
        if (s->text[at] != '\\') {
            memcpy(out + len++, s->text + at++, 1);
            continue;
        }
        const char kind = (char)(at + 1 < end ? s->text[at + 1] : 0);
        const char *const simple = kind == '\0' ? NULL : strchr(plain, kind);
        if (simple != NULL) {
            out[len++] = meant[simple - plain];
            at += 2;
        } else if (kind == 'u') {
            uint32_t code = 0;
            at += 2;
            if (!read_unicode(s, &at, end, &code)) {
                return false;
            }
            len += put_utf8(code, out + len);
        } else {
            return vs_scan_fail(s, at, VS_ERR_FORMAT, "an escape JSON does not know");
        }
    }
    *out_len = len;
    return true;
}

/* Positions s behind the opening quote and finds the closing one. */
static bool open_string(vs_scan *s, uint64_t *end, bool *has_escapes, const char *what)
{
    if (vs_scan_peek(s) != '"') {
        return vs_scan_fail_expected(s, what);
    }
    s->pos++;
    return find_end(s, end, has_escapes);
}

static bool close_string(vs_scan *s, uint64_t end, bool has_escapes, char *out, vs_str *result)
{
    size_t len = (size_t)(end - s->pos);
    if (!has_escapes) {
        memcpy(out, s->text + s->pos, len);
    } else if (!decode(s, end, out, &len)) {
        return false;
    }
    out[len] = '\0';
    s->pos = end + 1;
    *result = (vs_str){out, len};
    return true;
}

bool vs_scan_string(vs_scan *s, vs_str *out, const char *what)
{
    uint64_t end = 0;
    bool has_escapes = false;
    if (!open_string(s, &end, &has_escapes, what)) {
        return false;
    }
    char *const copy = vs_arena_alloc(s->arena, (size_t)(end - s->pos) + 1, 1);
    if (copy == NULL) {
        s->has_failed = true;
        return vs_fail_memory(s->err, s->arena, what);
    }
    return close_string(s, end, has_escapes, copy, out);
}

bool vs_scan_short_string(vs_scan *s, char *buf, size_t buf_bytes, vs_str *out,
                          const char *what)
{
    uint64_t end = 0;
    bool has_escapes = false;
    if (!open_string(s, &end, &has_escapes, what)) {
        return false;
    }
    if (end - s->pos >= buf_bytes) {
        return vs_scan_fail(s, s->pos, VS_ERR_FORMAT,
                            "expected %s, found a string of %" PRIu64 " bytes", what,
                            end - s->pos);
    }
    return close_string(s, end, has_escapes, buf, out);
}

/* ---- numbers and everything else ------------------------------------------------------------- */

static bool is_number_byte(uint8_t c)
{
    return (c >= '0' && c <= '9') || c == '-' || c == '+' || c == '.' || c == 'e' || c == 'E';
}

/* What is no whole number of 64 bits, or has more than 19 digits: one by one. */
static bool read_long_u64(vs_scan *s, uint64_t *out, const char *what)
{
    const uint64_t start = s->pos;
    uint64_t end = start;
    while (end < s->text_bytes && is_number_byte(s->text[end])) {
        end++;
    }
    uint64_t value = 0;
    bool is_whole = end > start && (s->text[start] != '0' || end == start + 1);
    for (uint64_t i = start; i < end && is_whole; i++) {
        const uint8_t c = s->text[i];
        is_whole = c >= '0' && c <= '9' && vs_mul_u64(value, 10, &value) &&
                   vs_add_u64(value, c - (uint64_t)'0', &value);
    }
    if (s->has_failed || end == start) {
        return s->has_failed ? false : vs_scan_fail_expected(s, what);
    }
    if (!is_whole) {
        return vs_scan_fail(
            s, start, VS_ERR_FORMAT, "expected %s (a whole number, 0 .. 2^64 - 1), found %.*s",
            what, (int)(end - start < 40 ? end - start : 40), (const char *)s->text + start);
    }
    s->pos = end;
    *out = value;
    return true;
}

bool vs_scan_u64(vs_scan *s, uint64_t *out, const char *what)
{
    const uint8_t first = vs_scan_peek(s);
    uint64_t value = 0;
    uint64_t at = s->pos;
    while (at < s->text_bytes && s->text[at] >= '0' && s->text[at] <= '9') {
        value =
            value * 10 + (s->text[at] - (uint64_t)'0'); /* used up to 19 digits: no overflow */
        at++;
    }
    const uint64_t digits = at - s->pos;
    const bool is_plain = digits > 0 && digits < 20 && (first != '0' || digits == 1);
    if (s->has_failed || !is_plain || (at < s->text_bytes && is_number_byte(s->text[at]))) {
        return read_long_u64(s, out, what);
    }
    s->pos = at;
    *out = value;
    return true;
}

/* A value that is neither string nor container. */
static bool skip_scalar(vs_scan *s)
{
    static const char *const words[] = {"true", "false", "null"};
    for (size_t i = 0; i < 3; i++) {
        const size_t len = strlen(words[i]);
        if (s->text_bytes - s->pos >= len && memcmp(s->text + s->pos, words[i], len) == 0) {
            s->pos += len;
            return true;
        }
    }
    const uint64_t start = s->pos;
    while (s->pos < s->text_bytes && is_number_byte(s->text[s->pos])) {
        s->pos++;
    }
    return s->pos > start || vs_scan_fail_expected(s, "a JSON value");
}

static bool skip_string(vs_scan *s, const char *what)
{
    uint64_t end = 0;
    bool has_escapes = false;
    if (!open_string(s, &end, &has_escapes, what)) {
        return false;
    }
    s->pos = end + 1;
    return true;
}

/* The containers around the value at hand. */
typedef struct {
    char close[VS_SCAN_DEPTH_MAX];
    uint32_t depth;
} skip_stack;

/* One value, or the beginning of a container that is not empty: *is_whole false. */
static bool skip_one(vs_scan *s, skip_stack *stack, bool *is_whole)
{
    const uint8_t c = vs_scan_peek(s);
    *is_whole = true;
    if (c == '"') {
        return skip_string(s, "a string");
    }
    if (c != '{' && c != '[') {
        return skip_scalar(s);
    }
    if (stack->depth == VS_SCAN_DEPTH_MAX) {
        return vs_scan_fail(s, s->pos, VS_ERR_LIMIT, "nested deeper than %d levels",
                            VS_SCAN_DEPTH_MAX);
    }
    const char close = c == '{' ? '}' : ']';
    s->pos++;
    if (vs_scan_peek(s) == (uint8_t)close) {
        s->pos++;
        return true;
    }
    stack->close[stack->depth++] = close;
    *is_whole = false;
    return true;
}

/* After a whole value: closes the containers that end with it. */
static bool close_ended(vs_scan *s, skip_stack *stack)
{
    bool is_last = true;
    while (stack->depth > 0 && is_last) {
        if (!vs_scan_separator(s, stack->close[stack->depth - 1], &is_last)) {
            return false;
        }
        stack->depth -= is_last;
    }
    return true;
}

bool vs_scan_skip(vs_scan *s)
{
    skip_stack stack = {.depth = 0};
    bool is_whole = false;
    do {
        const bool is_member = stack.depth > 0 && stack.close[stack.depth - 1] == '}';
        if (is_member && (!skip_string(s, "a member name") || !vs_scan_take(s, ':', "':'"))) {
            return false;
        }
        if (!skip_one(s, &stack, &is_whole) || (is_whole && !close_ended(s, &stack))) {
            return false;
        }
    } while (stack.depth > 0);
    return !s->has_failed;
}

bool vs_scan_end(vs_scan *s)
{
    if (vs_scan_peek(s) != 0 || s->pos < s->text_bytes) {
        return vs_scan_fail_expected(s, "nothing after the JSON value");
    }
    return !s->has_failed;
}

uint64_t vs_scan_count(const void *text, uint64_t text_bytes, char byte)
{
    const uint8_t *p = text;
    const uint64_t ones = UINT64_C(0x0101010101010101);
    const uint64_t low_bits = ones * 0x7f;
    uint64_t count = 0;
    for (; text_bytes >= 8; text_bytes -= 8, p += 8) {
        uint64_t w = 0;
        memcpy(&w, p, sizeof w);
        w ^= ones * (uint8_t)byte;
        /* bit 7 of each byte: it is zero, that is, what is looked for; then their sum in the top byte */
        const uint64_t hits = ~(((w & low_bits) + low_bits) | w | low_bits);
        count += (hits >> 7) * ones >> 56;
    }
    for (; text_bytes > 0; text_bytes--, p++) {
        count += *p == (uint8_t)byte;
    }
    return count;
}
