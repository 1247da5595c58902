/* sim/base/text.c - sizes and durations, in and out, and the nearest name.
 *
 * Sizes are parsed and printed with integers only, so that what is printed is the exact
 * value rounded once. The one exception is vs_format_torch_size, which repeats what
 * another program does. */
#include "sim/base/internal.h"

#include <stdio.h>
#include <string.h>

/* ---- parsing --------------------------------------------------------------------------- */

#define MAX_SIZE_BYTES (UINT64_C(1) << 60)

typedef struct {
    const char *name;
    uint64_t bytes;
} size_unit;

static const size_unit size_units[] = {
    {"", 1},
    {"b", 1},
    {"kib", VS_KIB},
    {"mib", VS_MIB},
    {"gib", VS_GIB},
    {"tib", VS_TIB},
    {"kb", UINT64_C(1000)},
    {"mb", UINT64_C(1000000)},
    {"gb", UINT64_C(1000000000)},
    {"tb", UINT64_C(1000000000000)},
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static vs_str trim(vs_str text)
{
    while (text.len > 0 && is_blank(text.ptr[0])) {
        text.ptr++;
        text.len--;
    }
    while (text.len > 0 && is_blank(text.ptr[text.len - 1])) {
        text.len--;
    }
    return text;
}

static size_t count_digits(vs_str text, size_t from)
{
    size_t at = from;
    while (at < text.len && is_digit(text.ptr[at])) {
        at++;
    }
    return at - from;
}

/* Quotes at most 40 bytes of what was found. */
static int shown_length(vs_str text)
{
    return text.len < 40 ? (int)text.len : 40;
}

static bool fail_size(vs_err *err, vs_str text)
{
    return vs_fail(
        err, VS_ERR_VALUE,
        "expected a size such as 24GiB, 1.5 GB or 4096 (units KiB MiB GiB TiB, KB MB "
        "GB TB, none: bytes), found \"%.*s\"",
        shown_length(text), text.len > 0 ? text.ptr : "");
}

static bool fail_size_large(vs_err *err, vs_str text)
{
    return vs_fail(err, VS_ERR_VALUE,
                   "expected a size of at most 2^60 bytes (1 EiB), found \"%.*s\"",
                   shown_length(text), text.ptr);
}

static bool fold_digits(vs_str digits, uint64_t *out)
{
    uint64_t value = 0;
    for (size_t i = 0; i < digits.len; i++) {
        const uint64_t digit = (uint64_t)(digits.ptr[i] - '0');
        if (!vs_mul_u64(value, 10, &value) || !vs_add_u64(value, digit, &value)) {
            return false;
        }
    }
    *out = value;
    return true;
}

/* floor(0.digits * unit), exact for any number of digits: Horner's rule from the last
 * digit, where floor((d * unit + x) / 10) = floor((d * unit + floor(x)) / 10). */
static uint64_t fraction_of(vs_str digits, uint64_t unit)
{
    uint64_t value = 0;
    for (size_t i = digits.len; i > 0; i--) {
        value = ((uint64_t)(digits.ptr[i - 1] - '0') * unit + value) / 10;
    }
    return value;
}

static const size_unit *find_unit(vs_str name)
{
    for (size_t i = 0; i < sizeof size_units / sizeof size_units[0]; i++) {
        if (vs_str_is_nocase(name, size_units[i].name)) {
            return &size_units[i];
        }
    }
    return NULL;
}

bool vs_parse_size(vs_str text, vs_bytes *out, vs_err *err)
{
    const vs_str all = trim(text);
    const vs_str whole = {.ptr = all.ptr, .len = count_digits(all, 0)};
    if (whole.len == 0) {
        return fail_size(err, text);
    }
    size_t at = whole.len;
    vs_str fraction = {.ptr = all.ptr, .len = 0};
    if (at < all.len && all.ptr[at] == '.') {
        fraction = (vs_str){.ptr = all.ptr + at + 1, .len = count_digits(all, at + 1)};
        if (fraction.len == 0) {
            return fail_size(err, text);
        }
        at += 1 + fraction.len;
    }
    const vs_str unit_name = {.ptr = all.ptr + at, .len = all.len - at};
    const size_unit *unit = find_unit(trim(unit_name));
    if (unit == NULL) {
        return fail_size(err, text);
    }
    uint64_t size = 0;
    if (!fold_digits(whole, &size) || !vs_mul_u64(size, unit->bytes, &size) ||
        !vs_add_u64(size, fraction_of(fraction, unit->bytes), &size) || size > MAX_SIZE_BYTES) {
        return fail_size_large(err, text);
    }
    *out = size;
    return true;
}

bool vs_parse_u64(vs_str text, uint64_t *out, vs_err *err)
{
    if (text.len == 0 || count_digits(text, 0) != text.len) {
        return vs_fail(err, VS_ERR_VALUE,
                       "expected a whole number (digits only), found \"%.*s\"",
                       shown_length(text), text.len > 0 ? text.ptr : "");
    }
    if (!fold_digits(text, out)) {
        return vs_fail(err, VS_ERR_VALUE,
                       "expected a whole number of at most %" PRIu64 ", found \"%.*s\"",
                       UINT64_MAX, shown_length(text), text.ptr);
    }
    return true;
}

/* ---- formatting -------------------------------------------------------------------------- */

const char *vs_format_size(vs_bytes size, char buf[VS_TEXT_BYTES])
{
    static const char *const names[] = {"KiB", "MiB", "GiB", "TiB"};
    if (size < VS_KIB) {
        (void)snprintf(buf, VS_TEXT_BYTES, "%" PRIu64 " B", size);
        return buf;
    }
    uint64_t unit = VS_KIB;
    for (size_t i = 0;; i++, unit *= 1024) {
        /* the remainder is below 2^40, so this does not overflow */
        const uint64_t rest = (size % unit * 100 + unit / 2) / unit; /* hundredths, 0 .. 100 */
        const uint64_t whole = size / unit + rest / 100;
        if (whole < 1024 || unit == VS_TIB) { /* 1023.996 KiB is 1.00 MiB, not 1024.00 KiB */
            (void)snprintf(buf, VS_TEXT_BYTES, "%" PRIu64 ".%02" PRIu64 " %s", whole,
                           rest % 100, names[i]);
            return buf;
        }
    }
}

const char *vs_format_rate(uint64_t bytes_per_s, char buf[VS_TEXT_BYTES])
{
    static const char *const names[] = {"kB/s", "MB/s", "GB/s", "TB/s"};
    if (bytes_per_s < 1000) {
        (void)snprintf(buf, VS_TEXT_BYTES, "%" PRIu64 " B/s", bytes_per_s);
        return buf;
    }
    uint64_t unit = 1000;
    for (size_t i = 0;; i++, unit *= 1000) {
        /* the remainder is below 10^12, so this does not overflow */
        const uint64_t rest = (bytes_per_s % unit * 100 + unit / 2) / unit;
        const uint64_t whole = bytes_per_s / unit + rest / 100;
        if (whole < 1000 || i == 3) {
            (void)snprintf(buf, VS_TEXT_BYTES, "%" PRIu64 ".%02" PRIu64 " %s", whole,
                           rest % 100, names[i]);
            return buf;
        }
    }
}

/* specs/torch-caching-allocator.md [8.2]: thresholds are inclusive, so exactly 1 GiB prints
 * as 1024.00 MiB. Doubles as there: conversion and division by a power of two round to
 * even once (above 2^53), and "%.2f" rounds the exact value of the double. */
const char *vs_format_torch_size(vs_bytes size, char buf[VS_TEXT_BYTES])
{
    const double exact = (double)size;
    if (size <= VS_KIB) {
        (void)snprintf(buf, VS_TEXT_BYTES, "%" PRIu64 " bytes", size);
    } else if (size <= VS_MIB) {
        (void)snprintf(buf, VS_TEXT_BYTES, "%.2f KiB", exact / (double)VS_KIB);
    } else if (size <= VS_GIB) {
        (void)snprintf(buf, VS_TEXT_BYTES, "%.2f MiB", exact / (double)VS_MIB);
    } else {
        (void)snprintf(buf, VS_TEXT_BYTES, "%.2f GiB", exact / (double)VS_GIB);
    }
    return buf;
}

const char *vs_format_grouped(uint64_t value, char buf[VS_TEXT_BYTES])
{
    char digits[VS_TEXT_BYTES];
    const int count = snprintf(digits, sizeof digits, "%" PRIu64, value);
    size_t used = 0;
    for (int i = 0; i < count; i++) {
        if (i > 0 && (count - i) % 3 == 0) {
            buf[used++] = ',';
        }
        buf[used++] = digits[i];
    }
    buf[used] = '\0';
    return buf;
}

/* value / unit with one decimal, rounded half up, in tenths. */
static uint64_t tenths(vs_ns ns, uint64_t unit)
{
    return ns / (unit / 10) + (ns % (unit / 10) >= unit / 20);
}

const char *vs_format_duration(vs_ns ns, char buf[VS_TEXT_BYTES])
{
    const uint64_t us = 1000;
    const uint64_t ms = 1000 * us;
    const uint64_t second = 1000 * ms;
    const uint64_t hundredths = ns / (second / 100) + (ns % (second / 100) >= second / 200);
    if (ns == VS_NS_NEVER) {
        (void)snprintf(buf, VS_TEXT_BYTES, "never");
    } else if (ns < us) {
        (void)snprintf(buf, VS_TEXT_BYTES, "%" PRIu64 " ns", ns);
    } else if (tenths(ns, us) < 10000) {
        (void)snprintf(buf, VS_TEXT_BYTES, "%" PRIu64 ".%" PRIu64 " us", tenths(ns, us) / 10,
                       tenths(ns, us) % 10);
    } else if (tenths(ns, ms) < 10000) {
        (void)snprintf(buf, VS_TEXT_BYTES, "%" PRIu64 ".%" PRIu64 " ms", tenths(ns, ms) / 10,
                       tenths(ns, ms) % 10);
    } else {
        (void)snprintf(buf, VS_TEXT_BYTES, "%" PRIu64 ".%02" PRIu64 " s", hundredths / 100,
                       hundredths % 100);
    }
    return buf;
}

/* ---- nearest name ---------------------------------------------------------------------------- */

#define MAX_NAME_BYTES 64

static size_t min_size(size_t a, size_t b)
{
    return a < b ? a : b;
}

static bool is_swap(vs_str a, vs_str b, size_t i, size_t j)
{
    return i > 1 && j > 1 && vs_lower_ascii(a.ptr[i - 1]) == vs_lower_ascii(b.ptr[j - 2]) &&
           vs_lower_ascii(a.ptr[i - 2]) == vs_lower_ascii(b.ptr[j - 1]);
}

/* Edits (insert, delete, replace, swap of neighbours) from a to b: the optimal string
 * alignment distance. rows[i % 3][j] is the distance of the first i and j bytes. */
static size_t edit_distance(vs_str a, vs_str b)
{
    size_t rows[3][MAX_NAME_BYTES + 1];
    for (size_t j = 0; j <= b.len; j++) {
        rows[0][j] = j;
    }
    for (size_t i = 1; i <= a.len; i++) {
        size_t *row = rows[i % 3];
        const size_t *above = rows[(i + 2) % 3];
        const size_t *two_above = rows[(i + 1) % 3];
        row[0] = i;
        for (size_t j = 1; j <= b.len; j++) {
            const size_t replaced =
                vs_lower_ascii(a.ptr[i - 1]) != vs_lower_ascii(b.ptr[j - 1]);
            row[j] = min_size(min_size(above[j], row[j - 1]) + 1, above[j - 1] + replaced);
            if (is_swap(a, b, i, j)) {
                row[j] = min_size(row[j], two_above[j - 2] + 1);
            }
        }
    }
    return rows[a.len % 3][b.len];
}

/* Shorter ones are in too many names by chance. */
#define MIN_PART_BYTES 3

static bool is_part_of(vs_str name, vs_str whole)
{
    for (size_t at = 0; at + name.len <= whole.len; at++) {
        size_t same = 0;
        while (same < name.len &&
               vs_lower_ascii(name.ptr[same]) == vs_lower_ascii(whole.ptr[at + same])) {
            same++;
        }
        if (same == name.len) {
            return true;
        }
    }
    return false;
}

/* The shortest candidate that the name is a part of: whoever types "h100" means an h100-pcie, not an h200. */
static const char *nearest_whole(vs_str name, const char *const *candidates, size_t count)
{
    const char *best = NULL;
    for (size_t i = 0; i < count && name.len >= MIN_PART_BYTES; i++) {
        if (is_part_of(name, vs_str_of(candidates[i])) &&
            (best == NULL || strlen(candidates[i]) < strlen(best))) {
            best = candidates[i];
        }
    }
    return best;
}

const char *vs_nearest(vs_str name, const char *const *candidates, size_t count)
{
    if (name.len == 0 || name.len > MAX_NAME_BYTES) {
        return NULL;
    }
    const char *const whole = nearest_whole(name, candidates, count);
    if (whole != NULL) {
        return whole;
    }
    const char *best = NULL;
    size_t best_distance = 1 + name.len / 3 + 1; /* the first that is too far */
    for (size_t i = 0; i < count; i++) {
        const vs_str candidate = vs_str_of(candidates[i]);
        if (candidate.len == 0 || candidate.len > MAX_NAME_BYTES) {
            continue;
        }
        const size_t distance = edit_distance(name, candidate);
        if (distance < best_distance) {
            best = candidates[i];
            best_distance = distance;
        }
    }
    return best;
}
