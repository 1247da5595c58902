/* sim/model/json_scan.h - reads JSON text forward, without building a tree.
 *
 * For headers with a hundred thousand entries, where a tree would cost ten times the text. Strict: UTF-8,
 * escapes, no control characters in strings, whole numbers only where numbers are asked for. After the first
 * failure every call fails; the error carries the byte offset in the file. Borrows the text. */
#ifndef VS_MODEL_JSON_SCAN_H
#define VS_MODEL_JSON_SCAN_H

#include <string.h>

#include "vramscope/base.h"

#define VS_SCAN_DEPTH_MAX 64

typedef struct {
    const uint8_t *text;
    uint64_t text_bytes;
    uint64_t pos;
    uint64_t file_offset; /* of text[0], for messages */
    vs_arena *arena;      /* strings are decoded into it */
    vs_err *err;
    bool has_failed;
} vs_scan;

/* Always false; records the place. */
bool vs_scan_fail(vs_scan *s, uint64_t pos, vs_errcode code, const char *format, ...)
    VS_PRINTF(4, 5);
uint8_t vs_scan_peek_far(vs_scan *s); /* white space, the end or a failure comes first */
VS_MUST_CHECK bool vs_scan_fail_expected(vs_scan *s, const char *what);

/* The next byte after white space, 0 at the end. Does not move past it. */
static inline uint8_t vs_scan_peek(vs_scan *s)
{
    if (!s->has_failed && s->pos < s->text_bytes && s->text[s->pos] > ' ') {
        return s->text[s->pos];
    }
    return vs_scan_peek_far(s);
}

/* Takes `expected` after white space. */
VS_MUST_CHECK static inline bool vs_scan_take(vs_scan *s, char expected, const char *what)
{
    if (vs_scan_peek(s) != (uint8_t)expected) {
        return vs_scan_fail_expected(s, what);
    }
    s->pos++;
    return true;
}

/* After an item of a container closed by `close` (']' or '}'): ',' leaves *is_last false. */
VS_MUST_CHECK static inline bool vs_scan_separator(vs_scan *s, char close, bool *is_last)
{
    const uint8_t c = vs_scan_peek(s);
    if (c != ',' && c != (uint8_t)close) {
        return vs_scan_fail_expected(s, close == '}' ? "',' or '}'" : "',' or ']'");
    }
    s->pos++;
    *is_last = c == (uint8_t)close;
    return true;
}

/* Takes exactly these bytes, the usual spelling of what is to come. False, nothing taken: something else stands
 * here, perhaps only another spelling. */
static inline bool vs_scan_take_usual(vs_scan *s, const char *usual, size_t len)
{
    if (s->has_failed || s->text_bytes - s->pos < len ||
        memcmp(s->text + s->pos, usual, len) != 0) {
        return false;
    }
    s->pos += len;
    return true;
}

/* A string, decoded, terminated, without NUL inside; in the arena. */
VS_MUST_CHECK bool vs_scan_string(vs_scan *s, vs_str *out, const char *what);
/* A short string, decoded into buf (terminated); longer ones are an error naming what. */
VS_MUST_CHECK bool vs_scan_short_string(vs_scan *s, char *buf, size_t buf_bytes, vs_str *out,
                                        const char *what);
/* A whole number of at least 0, digits only, as safetensors wants its sizes. */
VS_MUST_CHECK bool vs_scan_u64(vs_scan *s, uint64_t *out, const char *what);
/* Any value, checked loosely and thrown away; nesting at most VS_SCAN_DEPTH_MAX. */
VS_MUST_CHECK bool vs_scan_skip(vs_scan *s);
/* How often a byte of ASCII stands in a text. */
uint64_t vs_scan_count(const void *text, uint64_t text_bytes, char byte);
/* Only white space may follow. */
VS_MUST_CHECK bool vs_scan_end(vs_scan *s);

#endif /* VS_MODEL_JSON_SCAN_H */
