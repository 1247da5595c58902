/* traces/read/json_stream.h - tokens out of a JSON text of any length.
 *
 * Two layers. A json_walk goes over bytes in memory and never looks past them: where they end too early it answers
 * JSON_CUT and can go on once there are more. A json_stream feeds a walk from a vs_input. A copy of a walk is a place to come
 * back to, as long as nothing was refilled: a reader walks over a whole event, and if that was cut, refills and
 * starts the event again.
 *
 *     json_walk w = s->walk;
 *     while ((got = my_event(&w, &event)) == JSON_CUT && json_refill(s)) { w = s->walk; }
 *     s->walk = w;                       (pointers in event are good until the next refill)
 *
 * No tree, no recursion, no memory but the window. Numbers stay text: 64-bit addresses and microseconds with decimals are
 * exact. More lenient than RFC 8259 where writers of traces are known to be: NaN and infinities (JSON_NAN), control characters
 * in strings, and a comma before the end of an array, which the Chrome trace format allows. Values that are skipped are
 * looked at for strings, brackets and bytes that cannot be JSON, not more. */
#ifndef VS_TRACES_JSON_STREAM_H
#define VS_TRACES_JSON_STREAM_H

#include "traces/read/read.h"

typedef enum {
    JSON_OBJECT, /* { */
    JSON_OBJECT_END,
    JSON_ARRAY, /* [ */
    JSON_ARRAY_END,
    JSON_KEY,    /* text: between the quotes; the colon is behind us */
    JSON_STRING, /* text: between the quotes */
    JSON_NUMBER, /* text: as written */
    JSON_TRUE,
    JSON_FALSE,
    JSON_NULL,
    JSON_NAN,  /* what JSON has no word for: NaN, inf, -Infinity */
    JSON_DONE, /* the value is over and nothing follows it */
    JSON_CUT,  /* the bytes end here */
    JSON_BAD   /* walk.why says what is wrong at walk.at */
} json_token;

#define JSON_DEPTH_MAX 64u /* as vs_json_parse */

typedef struct {
    const uint8_t *at;
    const uint8_t *end;
    uint64_t arrays; /* bit d: the container at depth d + 1 is an array */
    uint32_t depth;
    uint8_t expects; /* see json_stream.c */
    bool is_last;    /* nothing comes behind end */
    bool is_in_string;
    bool has_escape; /* text needs json_decode */
    vs_str text;
    const char *why;
} json_walk;

json_walk json_walk_of(const void *bytes, size_t size_bytes, bool is_last);
json_token json_walk_next(json_walk *w);

/* The first byte of the value that comes next, behind a key; 0 where the bytes end. */
static inline uint8_t json_walk_peek(json_walk *w)
{
    while (w->at < w->end &&
           (*w->at == ' ' || *w->at == '\n' || *w->at == '\r' || *w->at == '\t')) {
        w->at++;
    }
    return w->at < w->end ? *w->at : 0;
}

static inline bool json_walk_at_container(json_walk *w)
{
    const uint8_t first = json_walk_peek(w);
    return first == '{' || first == '[';
}

/* A whole value: behind a key, in an array, or the top. Answers with its first token, JSON_CUT or JSON_BAD; where an array
 * is over, JSON_ARRAY_END, and that is consumed. */
json_token json_walk_skip(json_walk *w);

/* Passes over the rest of the innermost container. JSON_NULL: it is behind us; or JSON_CUT, JSON_BAD. */
json_token json_walk_leave(json_walk *w);

typedef struct {
    json_walk walk;
    vs_input *in;
    const vs_read_desc *desc;
    vs_err err; /* why the input could not be read */
} json_stream;

void json_open(json_stream *s, vs_input *in, const vs_read_desc *desc);
/* More bytes behind walk.at; what is before it is gone. False: there are none, or reading failed (s->err). */
VS_MUST_CHECK bool json_refill(json_stream *s);
/* text is good until the next call. JSON_CUT: the whole input ends here. */
json_token json_next(json_stream *s);
json_token json_skip(json_stream *s); /* however long the value is */
uint64_t json_offset(const json_stream *s);
/* Why the last token was JSON_BAD (or why the input could not be read), with its offset. Always false. */
bool json_fail(const json_stream *s, vs_err *err);
/* The same for a walk over bytes of the window of s. */
bool json_walk_fail(const json_stream *s, const json_walk *w, vs_err *err);

/* ---- values ---------------------------------------------------------------------------- */

typedef struct {
    uint64_t value; /* without the sign */
    bool is_negative;
    bool is_rounded; /* digits were left over; half is rounded up */
} json_number;

/* Text of a number times 10^decimals, exactly: "1727.123" with 3 is 1727123. False: no number, or 2^64 and beyond. */
VS_MUST_CHECK bool json_scaled(vs_str text, uint32_t decimals, json_number *out);
/* A whole number from 0; false for anything else. */
VS_MUST_CHECK bool json_whole(vs_str text, uint64_t *out);
/* Escapes of a string undone, into out, which has room for text.len bytes (no escape makes text longer). An escape that JSON
 * does not have stays as it is written; a lone half of a surrogate pair, and NUL, become U+FFFD. Returns the bytes written. */
size_t json_decode(vs_str text, char *out);

#endif /* VS_TRACES_JSON_STREAM_H */
