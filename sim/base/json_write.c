/* sim/base/json_write.c - streaming JSON output.
 *
 * Keys come out in call order, two spaces per level, or everything on one line when
 * is_compact. The value that closes the top level is followed by a line end. Text is
 * written as UTF-8: bytes that are not UTF-8 become U+FFFD, since a JSON text must be
 * valid Unicode (RFC 8259, section 8.1). A double that is not finite has no JSON form and
 * becomes null. */
#include "sim/base/internal.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_DEPTH 32

vs_jwriter vs_jwriter_of(vs_outfile *out, bool is_compact)
{
    return (vs_jwriter){.out = out, .is_compact = is_compact};
}

static void put(vs_jwriter *w, const char *text)
{
    vs_outfile_write(w->out, text, strlen(text));
}

static void put_line_start(vs_jwriter *w)
{
    static const char spaces[2 * MAX_DEPTH + 1] =
        "                                                                ";
    if (!w->is_compact) {
        put(w, "\n");
        vs_outfile_write(w->out, spaces, (size_t)w->depth * 2);
    }
}

/* ---- text ------------------------------------------------------------------------ */

static void put_escape(vs_jwriter *w, uint8_t byte)
{
    switch (byte) {
    case '"': put(w, "\\\""); return;
    case '\\': put(w, "\\\\"); return;
    case '\n': put(w, "\\n"); return;
    case '\r': put(w, "\\r"); return;
    case '\t': put(w, "\\t"); return;
    default: vs_outfile_printf(w->out, "\\u%04x", (unsigned)byte); return;
    }
}

static void put_quoted(vs_jwriter *w, const char *text)
{
    const uint8_t *bytes = (const uint8_t *)text;
    const size_t count = strlen(text);
    size_t plain_from = 0;
    size_t at = 0;
    put(w, "\"");
    while (at < count) {
        uint32_t point = 0;
        const size_t length = vs_utf8_decode(bytes + at, count - at, &point);
        const bool is_plain =
            length > 0 && point >= 0x20 && point != 0x7f && point != '"' && point != '\\';
        if (is_plain) {
            at += length;
            continue;
        }
        vs_outfile_write(w->out, text + plain_from, at - plain_from);
        if (length == 0) {
            put(w, "\xef\xbf\xbd"); /* U+FFFD */
        } else {
            put_escape(w, bytes[at]);
        }
        at++;
        plain_from = at;
    }
    vs_outfile_write(w->out, text + plain_from, at - plain_from);
    put(w, "\"");
}

/* ---- structure --------------------------------------------------------------------- */

/* Comma, line and key before any value. */
static void begin_value(vs_jwriter *w, const char *key)
{
    if (w->depth == 0) {
        vs_assert(key == NULL);
        return;
    }
    const uint32_t level = w->depth - 1;
    vs_assert((key == NULL) == w->is_array[level]);
    if (w->has_item[level]) {
        put(w, w->is_compact ? ", " : ",");
    }
    w->has_item[level] = true;
    put_line_start(w);
    if (key != NULL) {
        put_quoted(w, key);
        put(w, ": ");
    }
}

static void end_value(vs_jwriter *w)
{
    if (w->depth == 0) {
        put(w, "\n");
    }
}

static void open_container(vs_jwriter *w, const char *key, bool is_array)
{
    vs_assert(w->depth < MAX_DEPTH);
    begin_value(w, key);
    put(w, is_array ? "[" : "{");
    w->is_array[w->depth] = is_array;
    w->has_item[w->depth] = false;
    w->depth++;
}

void vs_jw_object(vs_jwriter *w, const char *key)
{
    open_container(w, key, false);
}

void vs_jw_array(vs_jwriter *w, const char *key)
{
    open_container(w, key, true);
}

void vs_jw_end(vs_jwriter *w)
{
    vs_assert(w->depth > 0);
    w->depth--;
    if (w->has_item[w->depth]) {
        put_line_start(w);
    }
    put(w, w->is_array[w->depth] ? "]" : "}");
    end_value(w);
}

/* ---- values -------------------------------------------------------------------------- */

static void put_value(vs_jwriter *w, const char *key, const char *text)
{
    begin_value(w, key);
    put(w, text);
    end_value(w);
}

void vs_jw_u64(vs_jwriter *w, const char *key, uint64_t value)
{
    char text[VS_TEXT_BYTES];
    (void)snprintf(text, sizeof text, "%" PRIu64, value);
    put_value(w, key, text);
}

void vs_jw_i64(vs_jwriter *w, const char *key, int64_t value)
{
    char text[VS_TEXT_BYTES];
    (void)snprintf(text, sizeof text, "%" PRId64, value);
    put_value(w, key, text);
}

void vs_jw_str(vs_jwriter *w, const char *key, const char *value)
{
    if (value == NULL) {
        vs_jw_null(w, key);
        return;
    }
    begin_value(w, key);
    put_quoted(w, value);
    end_value(w);
}

void vs_jw_bool(vs_jwriter *w, const char *key, bool value)
{
    put_value(w, key, value ? "true" : "false");
}

void vs_jw_null(vs_jwriter *w, const char *key)
{
    put_value(w, key, "null");
}

/* A normal double that is written with at most 15 digits comes back from "%.15g" as those
 * digits (DBL_DIG), and 17 always suffice; subnormals have fewer digits to keep. */
void vs_jw_double(vs_jwriter *w, const char *key, double value)
{
    if (!isfinite(value)) {
        vs_jw_null(w, key);
        return;
    }
    char text[VS_TEXT_BYTES];
    for (int digits = fabs(value) < DBL_MIN ? 1 : DBL_DIG; digits <= DBL_DIG + 2; digits++) {
        (void)snprintf(text, sizeof text, "%.*g", digits, value);
        if (strtod(text, NULL) == value) {
            break;
        }
    }
    put_value(w, key, text);
}
