/* sim/base/err.c - errors that know their place.
 *
 * A message that does not fit its field ends in "..." so that nobody takes the cut for
 * the whole. Escaping happens when a line is printed, not when it is stored, so that a
 * program can still compare the raw text. */
#include "sim/base/internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

_Noreturn void vs_assert_failed(const char *expression, const char *file, int line)
{
    (void)fprintf(stderr, "%s:%d: assertion failed: %s\n", file, line, expression);
    abort();
}

/* ---- setting ----------------------------------------------------------------- */

/* Overwrites the end of a full buffer with "...". */
static void mark_cut(char *buf, size_t buf_bytes)
{
    memcpy(buf + buf_bytes - 4, "...", 4);
}

static void copy_marked(char *to, size_t to_bytes, const char *from)
{
    const size_t length = strlen(from);
    if (length < to_bytes) {
        memcpy(to, from, length + 1);
        return;
    }
    memcpy(to, from, to_bytes);
    mark_cut(to, to_bytes);
}

bool vs_vfail(vs_err *err, vs_errcode code, const char *format, va_list args)
{
    if (err == NULL || err->code != VS_OK) {
        return false;
    }
    err->code = code;
    const int length = vsnprintf(err->text, sizeof err->text, format, args);
    if (length < 0) {
        copy_marked(err->text, sizeof err->text, "(the message could not be formatted)");
    } else if ((size_t)length >= sizeof err->text) {
        mark_cut(err->text, sizeof err->text);
    }
    return false;
}

bool vs_fail(vs_err *err, vs_errcode code, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)vs_vfail(err, code, format, args);
    va_end(args);
    return false;
}

void vs_err_at_input(vs_err *err, const char *input)
{
    if (err != NULL && err->code != VS_OK && err->input[0] == '\0' && input != NULL) {
        copy_marked(err->input, sizeof err->input, input);
    }
}

void vs_err_at_offset(vs_err *err, uint64_t offset)
{
    if (err != NULL && err->code != VS_OK && !err->has_offset) {
        err->offset = offset;
        err->has_offset = true;
    }
}

void vs_err_at_line(vs_err *err, uint32_t line)
{
    if (err != NULL && err->code != VS_OK && err->line == 0) {
        err->line = line;
    }
}

void vs_err_at_path(vs_err *err, const char *path)
{
    if (err != NULL && err->code != VS_OK && err->path[0] == '\0' && path != NULL) {
        copy_marked(err->path, sizeof err->path, path);
    }
}

const char *vs_errno_text(int code, char *buf, size_t buf_bytes)
{
    if (strerror_r(code, buf, buf_bytes) != 0) {
        (void)snprintf(buf, buf_bytes, "system error %d", code);
    }
    return buf;
}

/* ---- printing ------------------------------------------------------------------ */

static bool is_continuation(const uint8_t *text, size_t left, size_t index)
{
    return index < left && (text[index] & 0xc0u) == 0x80u;
}

size_t vs_utf8_decode(const uint8_t *text, size_t left, uint32_t *out_point)
{
    /* Smallest code point that needs this many bytes: less is an overlong form. */
    static const uint32_t smallest[5] = {0, 0, 0x80, 0x800, 0x10000};
    static const uint32_t start_mask[5] = {0, 0x7f, 0x1f, 0x0f, 0x07};
    const uint8_t first = text[0];
    size_t length = 0;
    if (first < 0x80) {
        length = 1;
    } else if (first >= 0xc2 && first <= 0xdf) {
        length = 2;
    } else if (first >= 0xe0 && first <= 0xef) {
        length = 3;
    } else if (first >= 0xf0 && first <= 0xf4) {
        length = 4;
    } else {
        return 0;
    }
    uint32_t point = first & start_mask[length];
    for (size_t i = 1; i < length; i++) {
        if (!is_continuation(text, left, i)) {
            return 0;
        }
        point = (point << 6) | (text[i] & 0x3fu);
    }
    const bool is_surrogate = point >= 0xd800 && point <= 0xdfff;
    if (point < smallest[length] || point > 0x10ffff || is_surrogate) {
        return 0;
    }
    *out_point = point;
    return length;
}

/* Code points that move a terminal's cursor or reorder what is read: C0 and C1 controls,
 * and the invisible directional marks of Unicode (UAX #9, section 2). */
static bool is_unprintable(uint32_t point)
{
    return point < 0x20 || (point >= 0x7f && point <= 0x9f) ||
           (point >= 0x200b && point <= 0x200f) || (point >= 0x2028 && point <= 0x202e) ||
           (point >= 0x2066 && point <= 0x2069) || point == 0xfeff;
}

typedef struct {
    char *buf;
    size_t capacity; /* > 0, the terminator included */
    size_t used;
    bool is_cut;
} line_writer;

static void put(line_writer *w, const char *bytes, size_t count)
{
    if (w->is_cut || count > w->capacity - 1 - w->used) {
        w->is_cut = true;
        return;
    }
    memcpy(w->buf + w->used, bytes, count);
    w->used += count;
}

static void put_text(line_writer *w, const char *text)
{
    put(w, text, strlen(text));
}

static void put_escaped_byte(line_writer *w, uint8_t byte)
{
    if (byte == '\n') {
        put_text(w, "\\n");
    } else if (byte == '\t') {
        put_text(w, "\\t");
    } else if (byte == '\r') {
        put_text(w, "\\r");
    } else {
        char hex[8];
        (void)snprintf(hex, sizeof hex, "\\x%02x", (unsigned)byte);
        put_text(w, hex);
    }
}

static void put_escaped(line_writer *w, const char *text)
{
    const uint8_t *bytes = (const uint8_t *)text;
    const size_t count = strlen(text);
    size_t i = 0;
    while (i < count && !w->is_cut) {
        uint32_t point = 0;
        const size_t length = vs_utf8_decode(bytes + i, count - i, &point);
        if (length == 0) {
            put_escaped_byte(w, bytes[i]);
            i++;
            continue;
        }
        if (!is_unprintable(point)) {
            put(w, text + i, length);
        } else {
            for (size_t k = 0; k < length; k++) {
                put_escaped_byte(w, bytes[i + k]);
            }
        }
        i += length;
    }
}

static void put_place(line_writer *w, const vs_err *err)
{
    const bool has_input = err->input[0] != '\0';
    char number[40] = "";
    put_escaped(w, err->input);
    if (err->line != 0) {
        (void)snprintf(number, sizeof number, has_input ? ":%" PRIu32 : "line %" PRIu32,
                       err->line);
    } else if (err->has_offset) {
        (void)snprintf(number, sizeof number, has_input ? "+0x%" PRIx64 : "offset 0x%" PRIx64,
                       err->offset);
    }
    put_text(w, number);
    if (has_input || number[0] != '\0') {
        put_text(w, ": ");
    }
    if (err->path[0] != '\0') {
        put_escaped(w, err->path);
        put_text(w, ": ");
    }
}

const char *vs_err_line(const vs_err *err, char *buf, size_t buf_bytes)
{
    if (buf_bytes == 0) {
        return "";
    }
    line_writer w = {.buf = buf, .capacity = buf_bytes};
    if (err == NULL || err->code == VS_OK) {
        put_text(&w, "no error");
    } else {
        put_place(&w, err);
        put_escaped(&w, err->text);
    }
    buf[w.used] = '\0';
    if (w.is_cut && buf_bytes >= 4) {
        const size_t at = w.used < buf_bytes - 4 ? w.used : buf_bytes - 4;
        memcpy(buf + at, "...", 4);
    }
    return buf;
}
