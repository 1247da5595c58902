/* pool/conf.c - PYTORCH_CUDA_ALLOC_CONF.
 *
 * Grammar and options: specs/torch-caching-allocator.md [1.3] and [11]. Comma-separated key:value;
 * blanks are ignored, even inside words; `,` `:` `[` `]` separate. One comma at the very end is let
 * through, as PyTorch does. Options without effect on placement are checked and dropped.
 *
 * Limits between options (max_split_size_mb against large_segment_size_mb) are checked when the
 * whole string is known, so their order does not matter. */
#include "sim/pool/pool_internal.h"

#include <stdlib.h>
#include <string.h>

#define WORD_BYTES 64                   /* the longest option name has 37 letters */
#define INT_LIMIT  UINT64_C(2147483647) /* PyTorch reads these numbers into an int */

typedef enum {
    OPT_BACKEND,
    OPT_MAX_SPLIT,
    OPT_DIVISIONS,
    OPT_GC,
    OPT_EXPANDABLE,
    OPT_NON_SPLIT,
    OPT_FRACTION,
    OPT_LARGE_SEGMENT,
    OPT_RESERVE,
    OPT_BOOL,        /* no effect on placement */
    OPT_NUMBER,      /* likewise */
    OPT_THREADS,     /* likewise: a power of two up to 128 */
    OPT_NOT_MODELLED /* has an effect that is not established well enough to follow */
} option_kind;

typedef struct {
    const char *name;
    option_kind kind;
    vs_torch_version since;
} option;

/* [11]; releases marked ~ there are taken as written. pinned_max_round_threshold_mb and
 * pinned_max_cached_size_mb: "by 2.13 at the latest"; their change (PR 171662) is older than that of
 * large_segment_size_mb (PR 172056, 2.11), hence 2.11. */
static const option OPTIONS[] = {
    {"backend", OPT_BACKEND, 200},
    {"max_split_size_mb", OPT_MAX_SPLIT, 200},
    {"roundup_power2_divisions", OPT_DIVISIONS, 200},
    {"garbage_collection_threshold", OPT_GC, 200},
    {"expandable_segments", OPT_EXPANDABLE, 201},
    {"release_lock_on_cudamalloc", OPT_BOOL, 201},
    {"pinned_use_cuda_host_register", OPT_BOOL, 201},
    {"pinned_num_register_threads", OPT_THREADS, 201},
    {"max_non_split_rounding_mb", OPT_NON_SPLIT, 206},
    {"pinned_use_background_threads", OPT_BOOL, 206},
    {"pinned_reserve_segment_size_mb", OPT_NUMBER, 209},
    {"graph_capture_record_stream_reuse", OPT_BOOL, 209},
    {"per_process_memory_fraction", OPT_FRACTION, 210},
    {"large_segment_size_mb", OPT_LARGE_SEGMENT, 211},
    {"pinned_max_round_threshold_mb", OPT_NUMBER, 211},
    {"pinned_max_cached_size_mb", OPT_NUMBER, 211},
    {"pinned_free_catch_all", OPT_BOOL, 212},
    {"throw_on_cudamalloc_oom", OPT_NOT_MODELLED, 212},
    {"expandable_segments_reserve", OPT_RESERVE, 214},
    {"expandable_segments_reserve_by_class", OPT_NOT_MODELLED, 214},
};
#define OPTION_COUNT (sizeof OPTIONS / sizeof OPTIONS[0])

typedef struct {
    const char *at;
    const char *end;
    const char *begin;
    vs_err *err;
    char word[WORD_BYTES]; /* the current word or separator, terminated; "" at the end */
    size_t word_at;        /* its offset */
    vs_alloc_conf conf;
    bool has_max_split;
    bool has_non_split;
} parser;

vs_alloc_conf vs_alloc_conf_default(vs_torch_version torch)
{
    return (vs_alloc_conf){.torch = torch == 0 ? VS_TORCH_NEWEST : torch,
                           .max_split_bytes = VS_POOL_UNLIMITED,
                           .max_non_split_bytes = DEFAULT_LARGE_SEGMENT_BYTES,
                           .large_segment_bytes = DEFAULT_LARGE_SEGMENT_BYTES,
                           .memory_fraction = -1.0};
}

/* ---- words ------------------------------------------------------------------------------ */

static bool is_separator(char c)
{
    return c == ',' || c == ':' || c == '[' || c == ']';
}

static bool fail_at_word(const parser *p, const char *expected)
{
    vs_fail(p->err, VS_ERR_VALUE, "allocator options: expected %s, found %s%s%s", expected,
            p->word[0] != '\0' ? "'" : "", p->word[0] != '\0' ? p->word : "the end",
            p->word[0] != '\0' ? "'" : "");
    vs_err_at_offset(p->err, p->word_at);
    return false;
}

/* The next word or separator into p->word. */
static bool advance(parser *p)
{
    size_t length = 0;
    while (p->at < p->end && *p->at == ' ') {
        p->at++;
    }
    p->word_at = (size_t)(p->at - p->begin);
    while (p->at < p->end && (length == 0 || !is_separator(*p->at))) {
        const char c = *p->at++;
        if (c == ' ') {
            continue;
        }
        if (length + 1 >= WORD_BYTES || c == '\0') {
            p->word[length] = '\0';
            return fail_at_word(p, c == '\0' ? "text without NUL bytes"
                                             : "words of at most 63 characters");
        }
        p->word[length++] = c;
        if (is_separator(c)) {
            break;
        }
    }
    p->word[length] = '\0';
    return true;
}

static bool word_is(const parser *p, const char *text)
{
    return strcmp(p->word, text) == 0;
}

static bool expect(parser *p, const char *separator, const char *expected)
{
    if (!word_is(p, separator)) {
        return fail_at_word(p, expected);
    }
    return advance(p);
}

/* ---- values -------------------------------------------------------------------------------- */

static bool fail_value(const parser *p, const char *key, const char *allowed)
{
    vs_fail(p->err, VS_ERR_VALUE, "%s: '%s' is not possible, allowed: %s", key, p->word,
            allowed);
    vs_err_at_offset(p->err, p->word_at);
    return false;
}

static bool read_whole(parser *p, const char *key, const char *allowed, uint64_t *out)
{
    vs_err ignored = {0};
    uint64_t value = 0;
    if (!vs_parse_u64(vs_str_of(p->word), &value, &ignored) || value > INT_LIMIT) {
        return fail_value(p, key, allowed);
    }
    *out = value;
    return true;
}

/* digits [. digits] [e [+-] digits], nothing else: strtod alone would also take "inf" and hex. */
static bool is_decimal(const char *text)
{
    const size_t whole = strspn(text, "0123456789");
    text += whole;
    size_t part = 0;
    if (*text == '.') {
        part = strspn(text + 1, "0123456789");
        text += 1 + part;
    }
    if (whole + part == 0) {
        return false;
    }
    if (*text == 'e' || *text == 'E') {
        text += 1;
        text += (*text == '+' || *text == '-') ? 1 : 0;
        const size_t exponent = strspn(text, "0123456789");
        if (exponent == 0) {
            return false;
        }
        text += exponent;
    }
    return *text == '\0';
}

/* The double that PyTorch gets from the same text (std::stod). */
static bool read_decimal(parser *p, const char *key, const char *allowed, double *out)
{
    if (!is_decimal(p->word)) {
        return fail_value(p, key, allowed);
    }
    *out = strtod(p->word, NULL);
    return true;
}

static bool read_bool(parser *p, const char *key, bool *out)
{
    if (!word_is(p, "True") && !word_is(p, "False")) {
        return fail_value(p, key, "True, False");
    }
    *out = word_is(p, "True");
    return true;
}

static bool is_power_of_two(uint64_t value)
{
    return value != 0 && (value & (value - 1u)) == 0;
}

/* ---- roundup_power2_divisions [1.3] ----------------------------------------------------------- */

static void fill_divisions(parser *p, uint32_t from, uint32_t divisions)
{
    for (uint32_t i = from; i < 16; i++) {
        p->conf.divisions[i] = divisions;
    }
}

/* The slot that a key in MiB governs. */
static uint32_t slot_of_key(uint64_t key_mib)
{
    uint32_t slot = 0;
    while (slot < 15 && key_mib > 1) {
        key_mib /= 2;
        slot++;
    }
    return slot;
}

/* Where filling for `>` starts, and whether a numeric key was seen. */
typedef struct {
    uint32_t rest_from;
    bool has_key;
} division_list;

static bool read_division_entry(parser *p, division_list *list)
{
    static const char *const key = "roundup_power2_divisions";
    const bool is_rest = word_is(p, ">");
    uint64_t key_mib = 0;
    if (!is_rest &&
        (!read_whole(p, key, "keys that are a power of two (MiB), or >", &key_mib) ||
         !is_power_of_two(key_mib))) {
        return fail_value(p, key, "keys that are a power of two (MiB), or >");
    }
    const char *const values =
        p->conf.torch < TORCH_2_4 ? "a power of two" : "a power of two, or 0";
    uint64_t divisions = 0;
    if (!advance(p) || !expect(p, ":", "':' after the size") ||
        !read_whole(p, key, values, &divisions)) {
        return false;
    }
    if (!is_power_of_two(divisions) && (divisions != 0 || p->conf.torch < TORCH_2_4)) {
        return fail_value(p, key, values);
    }
    if (is_rest) {
        fill_divisions(p, list->rest_from, (uint32_t)divisions);
        return advance(p);
    }
    const uint32_t slot = slot_of_key(key_mib);
    if (!list->has_key) {
        list->has_key = true;
        for (uint32_t i = 0; i < slot; i++) {
            p->conf.divisions[i] = (uint32_t)divisions;
        }
    }
    p->conf.divisions[slot] = (uint32_t)divisions;
    /* Up to 2.9 `>` overwrites the last named slot as well (PR 165304, vectors V24 and V25). */
    list->rest_from = p->conf.torch < TORCH_2_10 ? slot : slot + 1;
    return advance(p);
}

static bool read_divisions(parser *p)
{
    if (!word_is(p, "[")) {
        uint64_t divisions = 0;
        if (!read_whole(p, "roundup_power2_divisions", "a power of two", &divisions)) {
            return false;
        }
        if (!is_power_of_two(divisions)) {
            return fail_value(p, "roundup_power2_divisions", "a power of two");
        }
        fill_divisions(p, 0, (uint32_t)divisions);
        return advance(p);
    }
    if (!advance(p)) {
        return false;
    }
    division_list list = {0, false};
    while (!word_is(p, "]")) {
        if (!read_division_entry(p, &list)) {
            return false;
        }
        if (!word_is(p, "]") && !expect(p, ",", "',' or ']'")) {
            return false;
        }
    }
    return advance(p);
}

/* ---- the other options ---------------------------------------------------------------------------- */

/* "0.5": a part of the device; "40G": GiB ([9.2], PR 192269). */
static bool read_reserve(parser *p)
{
    static const char *const key = "expandable_segments_reserve";
    static const char *const allowed = "a part of the device such as 0.5, or GiB such as 40G";
    const size_t length = strlen(p->word);
    const bool is_absolute = length > 1 && p->word[length - 1] == 'G';
    if (is_absolute) {
        p->word[length - 1] = '\0';
    }
    double value = 0.0;
    if (!read_decimal(p, key, allowed, &value)) {
        return false;
    }
    if (value <= 0.0 || value > 1e6) {
        return fail_value(p, key, allowed);
    }
    p->conf.reserve_bytes = is_absolute ? (uint64_t)(value * (double)VS_GIB) : 0;
    /* Anything from 9/8 up is clamped to 9/8. */
    const double part = value < 1.125 ? value : 1.125;
    p->conf.reserve_ppm = is_absolute ? 0 : (uint32_t)(part * 1e6);
    return advance(p);
}

static bool read_gc(parser *p)
{
    static const char *const key = "garbage_collection_threshold";
    static const char *const allowed = "more than 0 and less than 1";
    double value = 0.0;
    if (!read_decimal(p, key, allowed, &value)) {
        return false;
    }
    if (value <= 0.0 || value >= 1.0) {
        return fail_value(p, key, allowed);
    }
    p->conf.gc_threshold = value;
    p->conf.gc_threshold_ppm = (uint32_t)(value * 1e6 + 0.5);
    return advance(p);
}

static bool read_fraction(parser *p)
{
    static const char *const key = "per_process_memory_fraction";
    double value = 0.0;
    if (!read_decimal(p, key, "0 to 1", &value)) {
        return false;
    }
    if (value > 1.0) {
        return fail_value(p, key, "0 to 1");
    }
    p->conf.memory_fraction = value;
    return advance(p);
}

static bool read_megabytes(parser *p, const option *opt)
{
    uint64_t mib = 0;
    if (!read_whole(p, opt->name, "whole MiB", &mib)) {
        return false;
    }
    const vs_bytes bytes = mib * VS_MIB;
    if (opt->kind == OPT_LARGE_SEGMENT) {
        if (mib <= 10) {
            return fail_value(p, opt->name, "more than 10");
        }
        p->conf.large_segment_bytes = bytes;
    } else if (opt->kind == OPT_MAX_SPLIT) {
        p->conf.max_split_bytes = bytes;
        p->has_max_split = true;
    } else {
        p->conf.max_non_split_bytes = bytes;
        p->has_non_split = true;
    }
    return advance(p);
}

static bool read_backend(parser *p)
{
    if (!word_is(p, "native")) {
        vs_fail(p->err, VS_ERR_VALUE,
                "backend: '%s' is not modelled, only the native allocator is%s", p->word,
                word_is(p, "cudaMallocAsync")
                    ? " (the driver's own pool decides there and its figures cannot be derived)"
                    : "");
        vs_err_at_offset(p->err, p->word_at);
        return false;
    }
    return advance(p);
}

/* Checked, no effect on placement. */
static bool read_ignored(parser *p, const option *opt)
{
    bool flag = false;
    uint64_t number = 0;
    if (opt->kind == OPT_BOOL) {
        return read_bool(p, opt->name, &flag) && advance(p);
    }
    if (opt->kind == OPT_NUMBER) {
        return read_whole(p, opt->name, "a whole number", &number) && advance(p);
    }
    static const char *const allowed = "a power of two up to 128";
    if (!read_whole(p, opt->name, allowed, &number)) {
        return false;
    }
    if (!is_power_of_two(number) || number > 128) {
        return fail_value(p, opt->name, allowed);
    }
    return advance(p);
}

static bool read_value(parser *p, const option *opt)
{
    switch (opt->kind) {
    case OPT_BACKEND: return read_backend(p);
    case OPT_DIVISIONS: return read_divisions(p);
    case OPT_GC: return read_gc(p);
    case OPT_FRACTION: return read_fraction(p);
    case OPT_RESERVE: return read_reserve(p);
    case OPT_EXPANDABLE:
        return read_bool(p, opt->name, &p->conf.expandable_segments) && advance(p);
    case OPT_MAX_SPLIT:
    case OPT_NON_SPLIT:
    case OPT_LARGE_SEGMENT: return read_megabytes(p, opt);
    case OPT_BOOL:
    case OPT_NUMBER:
    case OPT_THREADS: return read_ignored(p, opt);
    case OPT_NOT_MODELLED:
        vs_fail(p->err, VS_ERR_VALUE,
                "%s: not modelled (what PyTorch does with it is not established)", opt->name);
        vs_err_at_offset(p->err, p->word_at);
        return false;
    }
    return false;
}

/* ---- the whole string ---------------------------------------------------------------------------------- */

static const option *find_option(const parser *p)
{
    const char *names[OPTION_COUNT];
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        names[i] = OPTIONS[i].name;
        if (!word_is(p, OPTIONS[i].name)) {
            continue;
        }
        if (OPTIONS[i].since <= p->conf.torch) {
            return &OPTIONS[i];
        }
        vs_fail(p->err, VS_ERR_VALUE, "%s: exists from PyTorch %u.%u on, not in %u.%u", p->word,
                OPTIONS[i].since / 100, OPTIONS[i].since % 100, p->conf.torch / 100,
                p->conf.torch % 100);
        vs_err_at_offset(p->err, p->word_at);
        return NULL;
    }
    const char *nearest = vs_nearest(vs_str_of(p->word), names, OPTION_COUNT);
    vs_fail(p->err, VS_ERR_VALUE, "allocator options: unknown option '%s'%s%s%s", p->word,
            nearest != NULL ? ", did you mean '" : "", nearest != NULL ? nearest : "",
            nearest != NULL ? "'?" : "");
    vs_err_at_offset(p->err, p->word_at);
    return NULL;
}

/* Bounds of max_split_size_mb and max_non_split_rounding_mb: above 20 MiB up to 2.9, from 20 MiB in
 * 2.10, from large_segment_size_mb later (which is 20 MiB by default). */
static bool check_split_size(const parser *p, const char *key, vs_bytes bytes)
{
    const vs_bytes bound = p->conf.large_segment_bytes;
    const bool is_allowed = p->conf.torch < TORCH_2_10 ? bytes > bound : bytes >= bound;
    if (is_allowed) {
        return true;
    }
    return vs_fail(p->err, VS_ERR_VALUE,
                   "%s: %" PRIu64 " is not possible, allowed: %s %" PRIu64, key, bytes / VS_MIB,
                   p->conf.torch < TORCH_2_10 ? "more than" : "at least", bound / VS_MIB);
}

static bool parse_all(parser *p)
{
    if (!advance(p)) {
        return false;
    }
    while (p->word[0] != '\0') {
        const option *opt = find_option(p);
        if (opt == NULL || !advance(p) || !expect(p, ":", "':' after the option's name") ||
            !read_value(p, opt)) {
            return false;
        }
        if (p->word[0] != '\0' && !expect(p, ",", "',' between options")) {
            return false;
        }
    }
    if (!p->has_non_split && p->conf.torch >= 211) {
        p->conf.max_non_split_bytes = p->conf.large_segment_bytes;
    }
    return (!p->has_max_split ||
            check_split_size(p, "max_split_size_mb", p->conf.max_split_bytes)) &&
           (!p->has_non_split ||
            check_split_size(p, "max_non_split_rounding_mb", p->conf.max_non_split_bytes));
}

bool vs_alloc_conf_parse(vs_alloc_conf *conf, vs_str text, vs_err *err)
{
    vs_err own = {0}; /* offsets are set after failures: never on somebody else's error */
    parser p = {.at = text.ptr,
                .begin = text.ptr,
                .end = text.len != 0 ? text.ptr + text.len : text.ptr,
                .err = &own,
                .conf = *conf};
    /* What a new string resets [11]; other options keep their last value. */
    const vs_alloc_conf fresh = vs_alloc_conf_default(conf->torch);
    p.conf.torch = fresh.torch;
    p.conf.max_split_bytes = fresh.max_split_bytes;
    p.conf.gc_threshold = fresh.gc_threshold;
    p.conf.gc_threshold_ppm = fresh.gc_threshold_ppm;
    memcpy(p.conf.divisions, fresh.divisions, sizeof p.conf.divisions);
    if (p.conf.torch >= 211) {
        p.conf.large_segment_bytes = fresh.large_segment_bytes;
    }
    if (!parse_all(&p)) {
        if (err != NULL && err->code == VS_OK) {
            *err = own;
        }
        return false;
    }
    *conf = p.conf;
    return true;
}
