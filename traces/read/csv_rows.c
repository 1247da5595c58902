/* traces/read/csv_rows.c - see csv_rows.h. */
#include "traces/read/csv_rows.h"

#include <string.h>

#define NS_PER_S UINT64_C(1000000000)

void csv_open(csv_rows *rows, vs_input *in, const vs_read_desc *desc)
{
    *rows = (csv_rows){.in = in, .desc = desc};
    if (input_need(in, 3, &rows->err) && memcmp(in->at, "\xef\xbb\xbf", 3) == 0) {
        in->at += 3; /* a byte order mark */
    }
}

bool csv_fail(const csv_rows *rows, vs_err *err)
{
    if (rows->err.code != VS_OK && err != NULL && err->code == VS_OK) {
        *err = rows->err;
    }
    if (rows->err.code == VS_OK) {
        vs_err_at_line(err, rows->line);
    }
    return false;
}

/* The line at in->at, without its end; false: there is no whole one. */
static bool take_line(csv_rows *rows, vs_str *out)
{
    vs_input *const in = rows->in;
    uint64_t seen = 0;
    for (;;) {
        const size_t have = (size_t)(in->end - in->at);
        const uint8_t *const end =
            have > seen ? memchr(in->at + seen, '\n', have - seen) : NULL;
        if (end != NULL) {
            *out = (vs_str){(const char *)in->at, (size_t)(end - in->at)};
            in->at = end + 1;
            return true;
        }
        seen = have;
        if (!input_need(in, seen + 1, &rows->err)) {
            rows->cut_bytes = (uint64_t)(in->end - in->at);
            rows->is_cut = rows->err.code == VS_OK && (rows->cut_bytes > 0 || in->was_cut);
            in->at = in->end;
            return false;
        }
        if (rows->desc->progress != NULL) {
            rows->desc->progress(rows->desc->ctx, in->packed_read, in->packed_total);
        }
    }
}

static vs_str trimmed(vs_str text)
{
    while (text.len > 0 && (*text.ptr == ' ' || *text.ptr == '\t')) {
        text.ptr++;
        text.len--;
    }
    while (text.len > 0 && strchr(" \t\r", text.ptr[text.len - 1]) != NULL &&
           text.ptr[text.len - 1] != '\0') {
        text.len--;
    }
    if (text.len >= 2 && text.ptr[0] == '"' && text.ptr[text.len - 1] == '"') {
        text.ptr++;
        text.len -= 2;
    }
    return text;
}

/* False: more fields than there is room for. */
static bool split(csv_rows *rows, vs_str line)
{
    rows->count = 0;
    for (;;) {
        const char *const comma = line.len > 0 ? memchr(line.ptr, ',', line.len) : NULL;
        const size_t len = comma != NULL ? (size_t)(comma - line.ptr) : line.len;
        if (rows->count == CSV_FIELDS_MAX) {
            (void)vs_fail(&rows->err, VS_ERR_LIMIT, "a row of more than %u fields",
                          CSV_FIELDS_MAX);
            vs_err_at_line(&rows->err, rows->line);
            return false;
        }
        rows->fields[rows->count++] = trimmed((vs_str){line.ptr, len});
        if (comma == NULL) {
            return true;
        }
        line = (vs_str){comma + 1, line.len - len - 1};
    }
}

bool csv_next(csv_rows *rows)
{
    vs_str line = {0};
    while (rows->err.code == VS_OK && take_line(rows, &line)) {
        rows->line += rows->line < UINT32_MAX;
        if (trimmed(line).len > 0) {
            return split(rows, line);
        }
    }
    return false;
}

/* ---- fields ------------------------------------------------------------------------------ */

static bool hex_digit(char c, uint32_t *out)
{
    const uint8_t low = (uint8_t)((uint8_t)c | 0x20);
    if (c >= '0' && c <= '9') {
        *out = (uint32_t)(c - '0');
        return true;
    }
    *out = (uint32_t)(low - 'a' + 10);
    return low >= 'a' && low <= 'f';
}

bool csv_address(vs_str text, uint64_t *out)
{
    if (vs_str_is(text, "(nil)") || vs_str_is(text, "nullptr")) {
        *out = 0;
        return true;
    }
    if (!vs_str_starts(text, "0x")) {
        return vs_parse_u64(text, out, NULL);
    }
    if (text.len < 3 || text.len > 18) {
        return false;
    }
    uint64_t value = 0;
    for (size_t i = 2; i < text.len; i++) {
        uint32_t digit = 0;
        if (!hex_digit(text.ptr[i], &digit)) {
            return false;
        }
        value = value << 4 | digit;
    }
    *out = value;
    return true;
}

/* Digits up to one of the ending bytes, or to the end; false: none, or too large. */
static bool take_part(vs_str *text, const char *endings, uint64_t limit, uint64_t *out)
{
    size_t len = 0;
    while (len < text->len && text->ptr[len] >= '0' && text->ptr[len] <= '9') {
        len++;
    }
    const bool is_ended =
        len == text->len || (text->ptr[len] != '\0' && strchr(endings, text->ptr[len]) != NULL);
    if (!is_ended || !vs_parse_u64((vs_str){text->ptr, len}, out, NULL) || *out >= limit) {
        return false;
    }
    const size_t used = len < text->len ? len + 1 : len;
    text->ptr += used;
    text->len -= used;
    return true;
}

/* The digits behind a decimal point, as nanoseconds; more than nine are cut. */
static bool take_fraction(vs_str text, uint64_t *out)
{
    uint64_t ns = 0;
    uint64_t place = NS_PER_S;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9') {
            return false;
        }
        place /= 10;
        ns += (uint64_t)(text.ptr[i] - '0') * place;
    }
    *out = ns;
    return true;
}

bool csv_time_of_day(vs_str text, vs_ns *out)
{
    uint64_t hours = 0;
    uint64_t minutes = 0;
    uint64_t seconds = 0;
    uint64_t ns = 0;
    /* 60: a leap second */
    if (!take_part(&text, ":", 24, &hours) || !take_part(&text, ":", 60, &minutes) ||
        !take_part(&text, ".:,", 61, &seconds) || !take_fraction(text, &ns)) {
        return false;
    }
    *out = ((hours * 60 + minutes) * 60 + seconds) * NS_PER_S + ns;
    return true;
}
