/* sim/base/json_scan.c - the strict look at JSON text before cJSON gets it.
 *
 * cJSON 1.7.15 takes more than RFC 8259 allows (numbers such as 01, 1. and +1, bytes
 * below 0x20 in strings) and says of an error only where it gave up. This file walks the
 * text once with a stack of 64 levels, no recursion and no memory, checks the grammar
 * and our limits, and knows line and path of the first thing wrong. */
#include "sim/base/internal.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_DEPTH        64
#define MAX_NUMBER_BYTES 63 /* cJSON 1.7.15, parse_number: char number_c_string[64] */

typedef struct {
    const uint8_t *key; /* raw, between the quotes; NULL in arrays and before a key */
    size_t key_bytes;
    uint64_t index; /* of the current item */
    bool is_array;
} level;

typedef enum {
    WANT_VALUE,
    WANT_ITEM_OR_END, /* after [ */
    WANT_KEY,         /* after a comma in an object */
    WANT_KEY_OR_END,  /* after { */
    WANT_COLON,
    WANT_COMMA_OR_END,
    WANT_NOTHING /* the value is complete */
} expectation;

typedef struct {
    const uint8_t *begin;
    const uint8_t *at;
    const uint8_t *end;
    expectation want;
    uint32_t depth;
    uint64_t key_count;
    uint64_t stop_at_key; /* 0: never */
    vs_err *err;
    level levels[MAX_DEPTH];
} scanner;

/* ---- reporting --------------------------------------------------------------------- */

static uint32_t line_of(const scanner *s)
{
    uint32_t line = 1;
    for (const uint8_t *p = s->begin; p < s->at; p++) {
        line += *p == '\n' && line < UINT32_MAX;
    }
    return line;
}

static bool fail_here(scanner *s, vs_errcode code, const char *format, ...) VS_PRINTF(3, 4);

static bool fail_here(scanner *s, vs_errcode code, const char *format, ...)
{
    if (s->err == NULL || s->err->code != VS_OK) {
        return false;
    }
    char text[VS_ERR_TEXT_BYTES];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    char path[VS_ERR_PATH_BYTES] = "$";
    for (uint32_t i = 0; i < s->depth; i++) {
        const level *l = &s->levels[i];
        if (l->is_array || l->key != NULL) {
            (void)vs_json_path_add(path, (const char *)l->key, l->key_bytes, l->index);
        }
    }
    (void)vs_fail(s->err, code, "%s (byte %td)", text, s->at - s->begin);
    vs_err_at_line(s->err, line_of(s));
    vs_err_at_offset(s->err, (uint64_t)(s->at - s->begin));
    vs_err_at_path(s->err, path);
    return false;
}

/* "expected X, found Y" where Y is the byte we stand at. */
static bool fail_expected(scanner *s, const char *expected)
{
    if (s->at == s->end) {
        return fail_here(s, VS_ERR_FORMAT, "expected %s, found the end of the text", expected);
    }
    if (*s->at > 0x20 && *s->at < 0x7f) {
        return fail_here(s, VS_ERR_FORMAT, "expected %s, found '%c'", expected, *s->at);
    }
    return fail_here(s, VS_ERR_FORMAT, "expected %s, found byte 0x%02x", expected,
                     (unsigned)*s->at);
}

/* ---- tokens -------------------------------------------------------------------------- */

static void skip_blanks(scanner *s)
{
    while (s->at < s->end &&
           (*s->at == ' ' || *s->at == '\n' || *s->at == '\t' || *s->at == '\r')) {
        s->at++;
    }
}

static bool is_next(const scanner *s, char c)
{
    return s->at < s->end && *s->at == (uint8_t)c;
}

static bool scan_hex4(scanner *s, uint32_t *out)
{
    uint32_t value = 0;
    for (int i = 0; i < 4; i++, s->at++) {
        const uint8_t c = s->at < s->end ? *s->at : 0;
        if (c >= '0' && c <= '9') {
            value = value * 16 + (c - (uint32_t)'0');
        } else if ((c | 0x20u) >= 'a' && (c | 0x20u) <= 'f') {
            value = value * 16 + ((c | 0x20u) - 'a' + 10);
        } else {
            return fail_expected(s, "four hexadecimal digits after \\u");
        }
    }
    *out = value;
    return true;
}

/* at stands behind \u */
static bool scan_unicode_escape(scanner *s)
{
    uint32_t unit = 0;
    if (!scan_hex4(s, &unit)) {
        return false;
    }
    if (unit == 0) {
        return fail_here(s, VS_ERR_FORMAT, "a text holds \\u0000, which no name or path may");
    }
    if (unit < 0xd800 || unit > 0xdfff) {
        return true;
    }
    uint32_t second = 0;
    const bool has_second =
        unit <= 0xdbff && s->end - s->at >= 2 && s->at[0] == '\\' && s->at[1] == 'u';
    if (!has_second) {
        return fail_here(s, VS_ERR_FORMAT, "half of a surrogate pair \\u%04" PRIx32, unit);
    }
    s->at += 2;
    if (!scan_hex4(s, &second)) {
        return false;
    }
    if (second < 0xdc00 || second > 0xdfff) {
        return fail_here(s, VS_ERR_FORMAT, "half of a surrogate pair \\u%04" PRIx32, unit);
    }
    return true;
}

static bool scan_escape(scanner *s)
{
    s->at++;
    if (is_next(s, 'u')) {
        s->at++;
        return scan_unicode_escape(s);
    }
    if (s->at == s->end || *s->at == 0 || strchr("\"\\/bfnrt", *s->at) == NULL) {
        return fail_expected(s, "one of \" \\ / b f n r t u after a backslash");
    }
    s->at++;
    return true;
}

/* Most bytes of a JSON text are plain bytes of its strings: this loop is the fast path. */
static const uint8_t *skip_plain(const uint8_t *at, const uint8_t *end)
{
    while (at < end && *at >= 0x20 && *at != '"' && *at != '\\') {
        at++;
    }
    return at;
}

/* at stands on the opening quote; on success the raw text between the quotes goes out. */
static bool scan_string(scanner *s, const uint8_t **out_text, size_t *out_bytes)
{
    const uint8_t *quote = s->at;
    s->at = skip_plain(quote + 1, s->end);
    while (!is_next(s, '"')) {
        if (s->at == s->end) {
            s->at = quote;
            return fail_here(s, VS_ERR_FORMAT, "a text starts here and has no closing quote");
        }
        if (*s->at < 0x20) {
            return fail_here(s, VS_ERR_FORMAT,
                             "control byte 0x%02x inside a text: write it as \\u%04x",
                             (unsigned)*s->at, (unsigned)*s->at);
        }
        if (!scan_escape(s)) { /* what is neither plain nor control nor quote */
            return false;
        }
        s->at = skip_plain(s->at, s->end);
    }
    *out_text = quote + 1;
    *out_bytes = (size_t)(s->at - quote) - 1;
    s->at++;
    return true;
}

static size_t skip_digits(scanner *s)
{
    const uint8_t *from = s->at;
    while (s->at < s->end && *s->at >= '0' && *s->at <= '9') {
        s->at++;
    }
    return (size_t)(s->at - from);
}

/* number = [ "-" ] int [ frac ] [ exp ]   (RFC 8259, section 6) */
static bool scan_number_grammar(scanner *s)
{
    if (is_next(s, '-')) {
        s->at++;
    }
    const bool starts_with_zero = is_next(s, '0');
    const size_t digits = skip_digits(s);
    if (digits == 0) {
        return fail_expected(s, "a digit");
    }
    if (starts_with_zero && digits > 1) {
        return fail_here(s, VS_ERR_FORMAT, "a number starts with a needless 0");
    }
    if (is_next(s, '.')) {
        s->at++;
        if (skip_digits(s) == 0) {
            return fail_expected(s, "a digit after the decimal point");
        }
    }
    if (is_next(s, 'e') || is_next(s, 'E')) {
        s->at++;
        if (is_next(s, '+') || is_next(s, '-')) {
            s->at++;
        }
        if (skip_digits(s) == 0) {
            return fail_expected(s, "a digit in the exponent");
        }
    }
    return true;
}

static bool scan_number(scanner *s)
{
    const uint8_t *from = s->at;
    if (!scan_number_grammar(s)) {
        return false;
    }
    const size_t length = (size_t)(s->at - from);
    if (length > MAX_NUMBER_BYTES) {
        s->at = from;
        return fail_here(s, VS_ERR_LIMIT, "a number of %zu characters, the limit is %d", length,
                         MAX_NUMBER_BYTES);
    }
    char text[MAX_NUMBER_BYTES + 1];
    memcpy(text, from, length);
    text[length] = '\0';
    /* 63 digits are below 1e64: only an exponent can leave the range of a double */
    if (strpbrk(text, "eE") != NULL && !isfinite(strtod(text, NULL))) {
        s->at = from;
        return fail_here(s, VS_ERR_VALUE, "the number %s is too large for a double", text);
    }
    return true;
}

static bool scan_word(scanner *s, const char *word)
{
    for (const char *p = word; *p != '\0'; p++, s->at++) {
        if (!is_next(s, *p)) {
            return fail_expected(s, "true, false or null");
        }
    }
    return true;
}

/* ---- structure ------------------------------------------------------------------------- */

static void value_done(scanner *s)
{
    s->want = s->depth > 0 ? WANT_COMMA_OR_END : WANT_NOTHING;
}

static bool open_level(scanner *s, bool is_array)
{
    if (s->depth == MAX_DEPTH) {
        return fail_here(s, VS_ERR_LIMIT, "nested deeper than %d levels, the limit", MAX_DEPTH);
    }
    s->levels[s->depth] = (level){.is_array = is_array};
    s->depth++;
    s->at++;
    s->want = is_array ? WANT_ITEM_OR_END : WANT_KEY_OR_END;
    return true;
}

static void close_level(scanner *s)
{
    s->at++;
    s->depth--;
    value_done(s);
}

static bool scan_value(scanner *s)
{
    const uint8_t *text = NULL;
    size_t text_bytes = 0;
    const uint8_t c = s->at < s->end ? *s->at : 0;
    bool ok = false;
    if (c == '{' || c == '[') {
        return open_level(s, c == '[');
    }
    if (c == '"') {
        ok = scan_string(s, &text, &text_bytes);
    } else if (c == '-' || (c >= '0' && c <= '9')) {
        ok = scan_number(s);
    } else if (c == 't') {
        ok = scan_word(s, "true");
    } else if (c == 'f') {
        ok = scan_word(s, "false");
    } else if (c == 'n') {
        ok = scan_word(s, "null");
    } else {
        return fail_expected(s, "a value");
    }
    value_done(s);
    return ok;
}

static bool scan_key(scanner *s, const char *expected)
{
    level *l = &s->levels[s->depth - 1];
    if (!is_next(s, '"')) {
        return fail_expected(s, expected);
    }
    s->key_count++;
    if (s->key_count == s->stop_at_key) {
        return false;
    }
    s->want = WANT_COLON;
    return scan_string(s, &l->key, &l->key_bytes);
}

static bool scan_comma(scanner *s)
{
    level *l = &s->levels[s->depth - 1];
    const char close = l->is_array ? ']' : '}';
    if (is_next(s, close)) {
        close_level(s);
        return true;
    }
    if (!is_next(s, ',')) {
        return fail_expected(s, l->is_array ? "a comma or ]" : "a comma or }");
    }
    s->at++;
    l->index++;
    l->key = NULL;
    s->want = l->is_array ? WANT_VALUE : WANT_KEY;
    return true;
}

static bool scan_step(scanner *s)
{
    switch (s->want) {
    case WANT_VALUE: return scan_value(s);
    case WANT_ITEM_OR_END:
        if (is_next(s, ']')) {
            close_level(s);
            return true;
        }
        return scan_value(s);
    case WANT_KEY: return scan_key(s, "a name in double quotes");
    case WANT_KEY_OR_END:
        if (is_next(s, '}')) {
            close_level(s);
            return true;
        }
        return scan_key(s, "a name in double quotes or }");
    case WANT_COLON:
        if (!is_next(s, ':')) {
            return fail_expected(s, "a colon after the name");
        }
        s->at++;
        s->want = WANT_VALUE;
        return true;
    case WANT_COMMA_OR_END: return scan_comma(s);
    case WANT_NOTHING: return fail_expected(s, "nothing after the value");
    }
    return false;
}

/* A byte order mark is no JSON, but editors on Windows write it. */
size_t vs_json_mark_bytes(const uint8_t *text, size_t size_bytes)
{
    return size_bytes >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
}

static bool scan_all(scanner *s)
{
    s->at += vs_json_mark_bytes(s->at, (size_t)(s->end - s->at));
    for (;;) {
        skip_blanks(s);
        if (s->want == WANT_NOTHING && s->at == s->end) {
            return true;
        }
        if (!scan_step(s)) {
            return false;
        }
    }
}

bool vs_json_scan(const uint8_t *text, size_t size_bytes, vs_err *err)
{
    scanner s = {.begin = text, .at = text, .end = text + size_bytes, .err = err};
    return scan_all(&s);
}

uint32_t vs_json_line_of_key(const uint8_t *text, size_t size_bytes, uint64_t key_ordinal)
{
    scanner s = {.begin = text, .at = text, .end = text + size_bytes};
    s.stop_at_key = key_ordinal;
    (void)scan_all(&s);
    return line_of(&s);
}
