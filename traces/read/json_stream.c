/* traces/read/json_stream.c - how a walk goes over JSON.
 *
 * Between tokens a walk is in one of five states:
 *
 *   VALUE         a value must come (behind a key, at the top)
 *   FIRST_ITEM    a value or the end of the array ([ or a comma is behind us)
 *   FIRST_KEY     a key or the end of the object ({ is behind us)
 *   NEXT_KEY      a key (a comma is behind us)
 *   AFTER_VALUE   a comma or the end of the container; at depth 0 nothing
 *
 * Whatever is answered, state and place agree: after JSON_CUT the same call can be made again with more bytes. A token is consumed
 * whole or not at all, but for what json_skip throws away.
 *
 * Speed: strings and skipped values are byte loops over one table or two comparisons, which compilers turn into a few
 * instructions a byte; profiles of Chrome traces show two thirds of the time there. */
#include "traces/read/json_stream.h"

#include <stdio.h>
#include <string.h>

enum { VALUE, FIRST_ITEM, FIRST_KEY, NEXT_KEY, AFTER_VALUE };

/* What a byte means outside of strings while a value is skipped. */
enum { PLAIN, QUOTE, OPEN, CLOSE, NEVER };

/* clang-format off */
static const uint8_t byte_class[256] = {
#define N8 NEVER, NEVER, NEVER, NEVER, NEVER, NEVER, NEVER, NEVER
#define P8 PLAIN, PLAIN, PLAIN, PLAIN, PLAIN, PLAIN, PLAIN, PLAIN
#define N64 N8, N8, N8, N8, N8, N8, N8, N8
    N8, NEVER, PLAIN, PLAIN, NEVER, NEVER, PLAIN, NEVER, NEVER, N8, N8, /* tab, line feed, return */
    PLAIN, NEVER, QUOTE, NEVER, NEVER, NEVER, NEVER, NEVER,             /* space "            */
    NEVER, NEVER, NEVER, PLAIN, PLAIN, PLAIN, PLAIN, NEVER,             /* + , - .            */
    P8, PLAIN, PLAIN, PLAIN, NEVER, NEVER, NEVER, NEVER, NEVER,         /* 0-9 :              */
    NEVER, PLAIN, PLAIN, PLAIN, PLAIN, PLAIN, PLAIN, PLAIN, P8, P8, PLAIN, PLAIN, PLAIN, OPEN, NEVER, CLOSE, NEVER, NEVER,
    NEVER, PLAIN, PLAIN, PLAIN, PLAIN, PLAIN, PLAIN, PLAIN, P8, P8, PLAIN, PLAIN, PLAIN, OPEN, NEVER, CLOSE, NEVER, NEVER,
    N64, N64,
#undef N64
#undef P8
#undef N8
};

/* clang-format on */

static inline bool is_space(uint8_t c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

static inline bool is_digit(uint8_t c)
{
    return (uint8_t)(c - '0') < 10;
}

static inline bool is_letter(uint8_t c)
{
    return (uint8_t)((c | 0x20) - 'a') < 26;
}

static json_token bad(json_walk *w, const char *why)
{
    w->why = why;
    return JSON_BAD;
}

json_walk json_walk_of(const void *bytes, size_t size_bytes, bool is_last)
{
    const uint8_t *const at = bytes;
    return (json_walk){.at = at, .end = at + size_bytes, .expects = VALUE, .is_last = is_last};
}

static inline bool is_in_array(const json_walk *w)
{
    return w->depth > 0 && (w->arrays >> (w->depth - 1) & 1) != 0;
}

static inline void skip_space(json_walk *w)
{
    const uint8_t *at = w->at;
    while (at < w->end && is_space(*at)) {
        at++;
    }
    w->at = at;
}

/* ---- single tokens ----------------------------------------------------------------------- */

#define ALL_BYTES(c) (UINT64_C(0x0101010101010101) * (c))

/* Eight bytes, the first in the lowest place; compilers make one load of it. */
static inline uint64_t load8(const uint8_t *p)
{
    return (uint64_t)p[0] | (uint64_t)p[1] << 8 | (uint64_t)p[2] << 16 | (uint64_t)p[3] << 24 |
           (uint64_t)p[4] << 32 | (uint64_t)p[5] << 40 | (uint64_t)p[6] << 48 |
           (uint64_t)p[7] << 56;
}

/* The highest bit of each byte that is 0; bytes above the first such byte may be marked wrongly (Mycroft's test). */
static inline uint64_t zero_bytes(uint64_t v)
{
    return (v - ALL_BYTES(0x01)) & ~v & ALL_BYTES(0x80);
}

/* How many bytes are below the lowest mark: all bits below it, one of each byte, summed up in the highest byte. */
static inline size_t bytes_below(uint64_t marks)
{
    const uint64_t below = (marks & (0 - marks)) - 1;
    return (size_t)(((below & ALL_BYTES(0x01)) * ALL_BYTES(0x01)) >> 56) - 1;
}

/* Past bytes of a string that are neither quote nor backslash. */
static inline const uint8_t *skip_plain(const uint8_t *p, const uint8_t *end)
{
    while (end - p >= 8) {
        const uint64_t v = load8(p);
        const uint64_t marks = zero_bytes(v ^ ALL_BYTES('"')) | zero_bytes(v ^ ALL_BYTES('\\'));
        if (marks != 0) {
            return p + bytes_below(marks);
        }
        p += 8;
    }
    while (p < end && *p != '"' && *p != '\\') {
        p++;
    }
    return p;
}

/* The closing quote of a string whose first byte is at p, or NULL. */
static inline const uint8_t *end_of_string(const uint8_t *p, const uint8_t *end,
                                           bool *has_escape)
{
    for (;;) {
        p = skip_plain(p, end);
        if (p == end || *p == '"') {
            return p == end ? NULL : p;
        }
        *has_escape = true;
        if (end - p < 2) {
            return NULL;
        }
        p += 2;
    }
}

/* At the opening quote. False: cut. */
static inline bool take_string(json_walk *w, const uint8_t **out_end)
{
    w->has_escape = false;
    const uint8_t *const first = w->at + 1;
    const uint8_t *const last = end_of_string(first, w->end, &w->has_escape);
    if (last == NULL) {
        return false;
    }
    w->text = (vs_str){(const char *)first, (size_t)(last - first)};
    *out_end = last + 1;
    return true;
}

static inline json_token take_key(json_walk *w)
{
    const uint8_t *p = NULL;
    if (*w->at != '"') {
        return bad(w, "expected a key in quotes");
    }
    if (!take_string(w, &p)) {
        return JSON_CUT;
    }
    while (p < w->end && is_space(*p)) {
        p++;
    }
    if (p == w->end) {
        return JSON_CUT;
    }
    if (*p != ':') {
        w->at = p;
        return bad(w, "expected a colon behind a key");
    }
    w->at = p + 1;
    w->expects = VALUE;
    return JSON_KEY;
}

static inline const uint8_t *skip_digits(const uint8_t *p, const uint8_t *end)
{
    while (p < end && is_digit(*p)) {
        p++;
    }
    return p;
}

/* The grammar of RFC 8259 section 6; NULL: it is none. */
static inline const uint8_t *end_of_number(const uint8_t *p, const uint8_t *end)
{
    p += p < end && *p == '-';
    const uint8_t *const whole = p;
    p = skip_digits(p, end);
    if (p == whole || (*whole == '0' && p - whole > 1)) {
        return NULL;
    }
    if (p < end && *p == '.') {
        const uint8_t *const fraction = p + 1;
        p = skip_digits(fraction, end);
        if (p == fraction) {
            return NULL;
        }
    }
    if (p < end && (*p == 'e' || *p == 'E')) {
        p++;
        p += p < end && (*p == '+' || *p == '-');
        const uint8_t *const exponent = p;
        p = skip_digits(p, end);
        if (p == exponent) {
            return NULL;
        }
    }
    return p;
}

static json_token word_of(vs_str text)
{
    static const struct {
        const char *text;
        json_token token;
    } words[] = {
        {"true", JSON_TRUE},     {"false", JSON_FALSE}, {"null", JSON_NULL},
        {"NaN", JSON_NAN},       {"nan", JSON_NAN},     {"-nan", JSON_NAN},
        {"inf", JSON_NAN},       {"-inf", JSON_NAN},    {"Infinity", JSON_NAN},
        {"-Infinity", JSON_NAN},
    };

    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (vs_str_is(text, words[i].text)) {
            return words[i].token;
        }
    }
    return JSON_BAD;
}

static inline bool is_wordy(uint8_t c)
{
    return is_digit(c) || is_letter(c) || c == '-' || c == '+' || c == '.';
}

/* More of a number or word may come behind p: inside a container, the last byte of a file cannot be its end. */
static inline bool is_open_at(const json_walk *w, const uint8_t *p)
{
    return p == w->end && (!w->is_last || w->depth > 0);
}

/* A word, or something that begins like a number and is none. */
static json_token take_word(json_walk *w)
{
    const uint8_t *p = w->at;
    while (p < w->end && is_wordy(*p)) {
        p++;
    }
    if (p == w->at) {
        return bad(w, "expected a value");
    }
    if (is_open_at(w, p)) {
        return JSON_CUT;
    }
    w->text = (vs_str){(const char *)w->at, (size_t)(p - w->at)};
    const json_token token = word_of(w->text);
    if (token == JSON_BAD) {
        return bad(w, "neither a number nor a word of JSON");
    }
    w->at = p;
    w->expects = AFTER_VALUE;
    return token;
}

static inline json_token take_scalar(json_walk *w)
{
    const uint8_t *const p = end_of_number(w->at, w->end);
    if (p == NULL || (p < w->end && is_wordy(*p)) || is_open_at(w, p)) {
        return take_word(w);
    }
    w->text = (vs_str){(const char *)w->at, (size_t)(p - w->at)};
    w->at = p;
    w->expects = AFTER_VALUE;
    return JSON_NUMBER;
}

static inline json_token open_container(json_walk *w, bool is_array)
{
    if (w->depth == JSON_DEPTH_MAX) {
        return bad(w, "nested deeper than 64 levels");
    }
    const uint64_t bit = UINT64_C(1) << w->depth;
    w->arrays = is_array ? w->arrays | bit : w->arrays & ~bit;
    w->depth++;
    w->at++;
    w->expects = is_array ? FIRST_ITEM : FIRST_KEY;
    return is_array ? JSON_ARRAY : JSON_OBJECT;
}

static inline json_token close_container(json_walk *w)
{
    const bool is_array = is_in_array(w);
    w->depth--;
    w->at++;
    w->expects = AFTER_VALUE;
    return is_array ? JSON_ARRAY_END : JSON_OBJECT_END;
}

static inline json_token take_value(json_walk *w)
{
    const uint8_t *p = NULL;
    switch (*w->at) {
    case '{': return open_container(w, false);
    case '[': return open_container(w, true);
    case '"':
        if (!take_string(w, &p)) {
            return JSON_CUT;
        }
        w->at = p;
        w->expects = AFTER_VALUE;
        return JSON_STRING;
    default: return take_scalar(w);
    }
}

/* Space and a comma, up to the first byte of a token. JSON_NULL: there is one. */
static inline json_token seek(json_walk *w)
{
    skip_space(w);
    if (w->at == w->end) {
        return w->is_last && w->depth == 0 && w->expects == AFTER_VALUE ? JSON_DONE : JSON_CUT;
    }
    if (w->expects != AFTER_VALUE) {
        return JSON_NULL;
    }
    if (w->depth == 0) {
        return bad(w, "more behind the end of the value");
    }
    if (*w->at != ',') {
        return JSON_NULL;
    }
    w->at++;
    w->expects = is_in_array(w) ? FIRST_ITEM : NEXT_KEY;
    skip_space(w);
    return w->at == w->end ? JSON_CUT : JSON_NULL;
}

json_token json_walk_next(json_walk *w)
{
    const json_token found = seek(w);
    if (found != JSON_NULL) {
        return found;
    }
    const uint8_t c = *w->at;
    switch (w->expects) {
    case FIRST_ITEM: return c == ']' ? close_container(w) : take_value(w);
    case FIRST_KEY: return c == '}' ? close_container(w) : take_key(w);
    case NEXT_KEY: return take_key(w);
    case AFTER_VALUE:
        if (c == (is_in_array(w) ? ']' : '}')) {
            return close_container(w);
        }
        return bad(w, is_in_array(w) ? "expected a comma or ] behind an item"
                                     : "expected a comma or } behind a member");
    default: return take_value(w);
    }
}

/* ---- skipping ------------------------------------------------------------------------------ */

/* A closing bracket inside what is skipped. */
static inline bool close_skipped(json_walk *w)
{
    if (*w->at != (is_in_array(w) ? ']' : '}')) {
        return false;
    }
    (void)close_container(w);
    return true;
}

/* Out of a string, or to the end of the bytes. */
static inline void skip_string_rest(json_walk *w)
{
    bool has_escape = false;
    const uint8_t *p = end_of_string(w->at, w->end, &has_escape);
    if (p != NULL) {
        w->at = p + 1;
        w->is_in_string = false;
        return;
    }
    /* A backslash at the end waits for what it escapes: after an even number of them, none does. */
    p = w->end;
    while (p > w->at && p[-1] == '\\') {
        p--;
    }
    w->at = w->end - ((w->end - p) & 1);
}

/* A byte outside of strings that means something. JSON_NULL: on it goes. */
static inline json_token skip_mark(json_walk *w)
{
    switch (byte_class[*w->at]) {
    case QUOTE:
        w->at++;
        w->is_in_string = true;
        return JSON_NULL;
    case OPEN: return open_container(w, *w->at == '[') == JSON_BAD ? JSON_BAD : JSON_NULL;
    case CLOSE:
        return close_skipped(w) ? JSON_NULL
                                : bad(w, "a bracket that closes what was not opened");
    default: return bad(w, "a byte that JSON does not have outside of strings");
    }
}

/* Up to where depth is floor again. JSON_NULL: there. JSON_CUT: all bytes are consumed. */
static json_token skip_to(json_walk *w, uint32_t floor)
{
    while (w->is_in_string || w->depth > floor) {
        if (w->is_in_string) {
            skip_string_rest(w);
            if (w->is_in_string) {
                return JSON_CUT;
            }
            continue;
        }
        const uint8_t *p = w->at;
        while (p < w->end && byte_class[*p] == PLAIN) {
            p++;
        }
        w->at = p;
        if (p == w->end) {
            return JSON_CUT;
        }
        if (skip_mark(w) == JSON_BAD) {
            return JSON_BAD;
        }
    }
    w->expects = AFTER_VALUE;
    return JSON_NULL;
}

/* The first token of a value that is skipped; strings are only entered. */
static json_token begin_skip(json_walk *w)
{
    const json_token found = seek(w);
    if (found != JSON_NULL) {
        return found;
    }
    if (*w->at == '"' && (w->expects == VALUE || w->expects == FIRST_ITEM)) {
        w->at++;
        w->is_in_string = true;
        return JSON_STRING;
    }
    return json_walk_next(w);
}

static inline bool has_inside(json_token token)
{
    return token == JSON_OBJECT || token == JSON_ARRAY || token == JSON_STRING;
}

json_token json_walk_skip(json_walk *w)
{
    const uint32_t floor = w->depth;
    const json_token first = begin_skip(w);
    if (!has_inside(first)) {
        return first;
    }
    const json_token end = skip_to(w, floor);
    return end == JSON_NULL ? first : end;
}

json_token json_walk_leave(json_walk *w)
{
    vs_assert(w->depth > 0);
    return skip_to(w, w->depth - 1);
}

/* ---- the stream ------------------------------------------------------------------------------ */

void json_open(json_stream *s, vs_input *in, const vs_read_desc *desc)
{
    *s = (json_stream){.in = in, .desc = desc};
    if (input_need(in, 3, &s->err) && memcmp(in->at, "\xef\xbb\xbf", 3) == 0) {
        in->at += 3; /* a byte order mark */
    }
    s->walk = json_walk_of(in->at, (size_t)(in->end - in->at), false);
}

bool json_refill(json_stream *s)
{
    json_walk *const w = &s->walk;
    const uint64_t have = (uint64_t)(w->end - w->at);
    if (w->is_last || s->err.code != VS_OK) {
        return false;
    }
    /* half as much again, so that a long event is not read over and over */
    uint64_t want = have + have / 2 + 1;
    if (want > INPUT_MAX_WINDOW_BYTES && have < INPUT_MAX_WINDOW_BYTES) {
        want = INPUT_MAX_WINDOW_BYTES;
    }
    s->in->at = w->at;
    const bool has_more = input_need(s->in, want, &s->err);
    w->at = s->in->at;
    w->end = s->in->end;
    if (!has_more) {
        w->is_last = true;
    }
    if (s->desc != NULL && s->desc->progress != NULL) {
        s->desc->progress(s->desc->ctx, s->in->packed_read, s->in->packed_total);
    }
    return s->err.code == VS_OK;
}

/* At the end of all bytes. */
static json_token cut_or_bad(json_stream *s)
{
    if (s->err.code == VS_OK) {
        return JSON_CUT;
    }
    return bad(&s->walk, "the input could not be read");
}

json_token json_next(json_stream *s)
{
    for (;;) {
        const json_token token = json_walk_next(&s->walk);
        if (token != JSON_CUT) {
            return token;
        }
        if (!json_refill(s)) {
            return cut_or_bad(s);
        }
    }
}

json_token json_skip(json_stream *s)
{
    const uint32_t floor = s->walk.depth;
    json_token first = begin_skip(&s->walk);
    while (first == JSON_CUT && json_refill(s)) {
        first = begin_skip(&s->walk);
    }
    if (first == JSON_CUT) {
        return cut_or_bad(s);
    }
    if (!has_inside(first)) {
        return first;
    }
    json_token end = skip_to(&s->walk, floor);
    while (end == JSON_CUT && json_refill(s)) {
        end = skip_to(&s->walk, floor);
    }
    if (end == JSON_CUT) {
        return cut_or_bad(s);
    }
    return end == JSON_NULL ? first : end;
}

uint64_t json_offset(const json_stream *s)
{
    return s->in->offset_of_end - (uint64_t)(s->walk.end - s->walk.at);
}

bool json_walk_fail(const json_stream *s, const json_walk *w, vs_err *err)
{
    if (s->err.code != VS_OK) {
        if (err != NULL && err->code == VS_OK) {
            *err = s->err;
        }
        return false;
    }
    char found[16] = "the end";
    if (w->at < w->end) {
        const bool is_plain = *w->at > ' ' && *w->at < 0x7f;
        (void)snprintf(found, sizeof found, is_plain ? "%c" : "byte 0x%02x", (unsigned)*w->at);
    }
    (void)vs_fail(err, VS_ERR_FORMAT, "JSON: %s, found %s",
                  w->why != NULL ? w->why : "expected another kind of value", found);
    vs_err_at_offset(err, s->in->offset_of_end - (uint64_t)(w->end - w->at));
    return false;
}

bool json_fail(const json_stream *s, vs_err *err)
{
    return json_walk_fail(s, &s->walk, err);
}

/* ---- values ---------------------------------------------------------------------------------- */

static inline bool times_ten_plus(uint64_t *value, uint32_t digit)
{
    if (*value > (UINT64_MAX - 9) / 10) {
        uint64_t ten = 0;
        return vs_mul_u64(*value, 10, &ten) && vs_add_u64(ten, digit, value);
    }
    *value = *value * 10 + digit;
    return true;
}

/* Digits of a number without its sign; *shift: the power of ten that is still to be applied. */
static bool take_digits(const uint8_t *p, const uint8_t *end, json_number *n, int64_t *shift)
{
    bool is_fraction = false;
    for (; p < end && *p != 'e' && *p != 'E'; p++) {
        if (*p == '.') {
            is_fraction = true;
            continue;
        }
        const uint32_t digit = (uint32_t)(*p - '0');
        if (n->is_rounded || !times_ten_plus(&n->value, digit)) {
            if (!is_fraction) {
                return false;
            }
            n->is_rounded =
                true; /* beyond 19 digits: what comes cannot change a rounded result */
        } else {
            *shift -= is_fraction;
        }
    }
    if (p == end) {
        return true;
    }
    p++;
    const bool is_negative = *p == '-';
    p += *p == '-' || *p == '+';
    int64_t exponent = 0;
    for (; p < end; p++) {
        exponent = exponent < 10000 ? exponent * 10 + (*p - '0') : exponent;
    }
    *shift += is_negative ? -exponent : exponent;
    return true;
}

/* The numbers that traces are full of: up to 16 digits, 19 with decimals, so nothing can overflow; no sign, point or exponent. */
static inline bool scale_plain(vs_str text, uint32_t decimals, uint64_t *out)
{
    static const uint64_t power[] = {1, 10, 100, 1000};
    uint64_t value = 0;
    if (text.len > 16 || decimals > 3 || text.len == 0 || (*text.ptr == '0' && text.len > 1)) {
        return false;
    }
    for (size_t i = 0; i < text.len; i++) {
        const uint32_t digit = (uint32_t)(uint8_t)text.ptr[i] - '0';
        if (digit > 9) {
            return false;
        }
        value = value * 10 + digit;
    }
    *out = value * power[decimals];
    return true;
}

bool json_scaled(vs_str text, uint32_t decimals, json_number *out)
{
    json_number n = {0};
    int64_t shift = decimals;
    if (text.len == 0) {
        return false;
    }
    if (scale_plain(text, decimals, &n.value)) {
        *out = n;
        return true;
    }
    const uint8_t *const first = (const uint8_t *)text.ptr;
    const uint8_t *const end = first + text.len;
    if (end_of_number(first, end) != end) {
        return false;
    }
    n.is_negative = *first == '-';
    if (!take_digits(first + n.is_negative, end, &n, &shift)) {
        return false;
    }
    for (; shift > 0 && n.value > 0; shift--) {
        if (!vs_mul_u64(n.value, 10, &n.value)) {
            return false;
        }
    }
    bool is_half = false;
    for (; shift < 0 && (n.value > 0 || is_half); shift++) {
        n.is_rounded = n.is_rounded || n.value % 10 != 0;
        is_half = n.value % 10 >= 5;
        n.value /= 10;
    }
    n.value += is_half; /* it was divided by ten: no overflow */
    *out = n;
    return true;
}

bool json_whole(vs_str text, uint64_t *out)
{
    json_number n = {0};
    if (!json_scaled(text, 0, &n) || n.is_rounded || (n.is_negative && n.value > 0)) {
        return false;
    }
    *out = n.value;
    return true;
}

/* Four hexadecimal digits; false: they are not there. */
static bool take_hex4(const char *p, const char *end, uint32_t *out)
{
    uint32_t value = 0;
    if (end - p < 4) {
        return false;
    }
    for (int i = 0; i < 4; i++) {
        const uint8_t c = (uint8_t)p[i];
        const uint8_t low = (uint8_t)(c | 0x20);
        if (is_digit(c)) {
            value = value << 4 | (uint32_t)(c - '0');
        } else if (low >= 'a' && low <= 'f') {
            value = value << 4 | (uint32_t)(low - 'a' + 10);
        } else {
            return false;
        }
    }
    *out = value;
    return true;
}

static size_t put_utf8(uint32_t c, char *out)
{
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    if (c < 0x800) {
        out[0] = (char)(0xc0 | c >> 6);
        out[1] = (char)(0x80 | (c & 0x3f));
        return 2;
    }
    if (c < 0x10000) {
        out[0] = (char)(0xe0 | c >> 12);
        out[1] = (char)(0x80 | (c >> 6 & 0x3f));
        out[2] = (char)(0x80 | (c & 0x3f));
        return 3;
    }
    out[0] = (char)(0xf0 | c >> 18);
    out[1] = (char)(0x80 | (c >> 12 & 0x3f));
    out[2] = (char)(0x80 | (c >> 6 & 0x3f));
    out[3] = (char)(0x80 | (c & 0x3f));
    return 4;
}

/* Behind "\u"; *p moves behind what was used, or stays where there are no digits. */
static size_t decode_u(const char **p, const char *end, char *out)
{
    uint32_t c = 0;
    uint32_t low = 0;
    if (!take_hex4(*p, end, &c)) {
        out[0] = '\\';
        out[1] = 'u';
        return 2;
    }
    *p += 4;
    if (c >= 0xd800 && c < 0xdc00 && end - *p >= 6 && (*p)[0] == '\\' && (*p)[1] == 'u' &&
        take_hex4(*p + 2, end, &low) && low >= 0xdc00 && low < 0xe000) {
        *p += 6;
        return put_utf8(0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00), out);
    }
    const bool is_text = c != 0 && (c < 0xd800 || c >= 0xe000);
    return put_utf8(is_text ? c : 0xfffd, out);
}

size_t json_decode(vs_str text, char *out)
{
    static const char from[] = "\"\\/bfnrt";
    static const char to[] = "\"\\/\b\f\n\r\t";
    const char *p = text.ptr;
    const char *const end = text.len > 0 ? text.ptr + text.len : text.ptr;
    size_t n = 0;
    while (p < end) {
        if (*p != '\\' || end - p < 2) {
            out[n++] = *p++;
            continue;
        }
        const char c = p[1];
        p += 2;
        const char *const known = c != '\0' ? strchr(from, c) : NULL;
        if (known != NULL) {
            out[n++] = to[known - from];
        } else if (c == 'u') {
            n += decode_u(&p, end, out + n);
        } else {
            out[n++] = '\\';
            out[n++] = c;
        }
    }
    return n;
}
