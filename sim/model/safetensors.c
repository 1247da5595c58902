/* safetensors.c - headers of safetensors files.
 *
 * File: 8 bytes little-endian N, then N bytes of JSON, then the data. The JSON maps names to
 * {"dtype", "shape", "data_offsets": [begin, end]}, offsets relative to the data; "__metadata__" holds strings.
 * What is checked, and the 100 MB limit, are those of huggingface/safetensors safetensors/src/tensor.rs @
 * 24b0b285 (0.5): sorted by offset the ranges must begin at 0, follow one another without hole or overlap, have
 * the size that dtype and shape give, and end with the file. Names listed twice are refused here; the
 * library keeps the last. */
#include <stdio.h>
#include <string.h>

#include "sim/model/internal.h"
#include "sim/model/json_scan.h"

/* Bytes of the shortest entry, `"":{"dtype":"I8","shape":[],"data_offsets":[0,0]}`: bounds the number of
 * tensors that a header of a given length can hold. */
#define ENTRY_BYTES_MIN 46u

typedef struct {
    vs_scan scan;
    vs_bytes data_room; /* bytes of the file behind the header */
    vs_tensor *tensors;
    uint32_t count;
    uint32_t capacity;
} header_reader;

static bool fail_dtype(vs_scan *s, uint64_t pos, const char *tensor, vs_str dtype)
{
    char known[256] = "";
    size_t used = 0;
    for (uint32_t i = 0; i < VS_DT_SAFETENSORS_COUNT; i++) {
        const int n = snprintf(known + used, sizeof known - used, "%s%s", i == 0 ? "" : ", ",
                               vs_dtype_name((vs_dtype)i));
        used += n > 0 && (size_t)n < sizeof known - used ? (size_t)n : 0;
    }
    return vs_scan_fail(s, pos, VS_ERR_FORMAT,
                        "tensor \"%s\": unknown dtype \"%s\"; known are %s", tensor, dtype.ptr,
                        known);
}

/* The dtype of a string without escapes, with the quotes; VS_DT_COUNT when it is none of the usual ones. */
static vs_dtype usual_dtype(vs_scan *s)
{
    static const struct {
        const char *text;
        vs_dtype dtype;
    } usual[] = {{"\"BF16\"", VS_DT_BF16},
                 {"\"F8_E4M3\"", VS_DT_F8_E4M3},
                 {"\"F32\"", VS_DT_F32},
                 {"\"F16\"", VS_DT_F16}};

    for (size_t i = 0; i < sizeof usual / sizeof usual[0]; i++) {
        if (vs_scan_take_usual(s, usual[i].text, strlen(usual[i].text))) {
            return usual[i].dtype;
        }
    }
    return VS_DT_COUNT;
}

static bool read_dtype(vs_scan *s, vs_tensor *t)
{
    t->dtype = usual_dtype(s);
    if (t->dtype != VS_DT_COUNT) {
        return true;
    }
    char buf[24];
    vs_str name = {buf, 0};
    (void)vs_scan_peek(s);
    const uint64_t pos = s->pos;
    if (!vs_scan_short_string(s, buf, sizeof buf, &name, "a dtype")) {
        return false;
    }
    t->dtype = vs_dtype_find(name);
    return t->dtype != VS_DT_COUNT || fail_dtype(s, pos, t->name, name);
}

static bool read_shape(vs_scan *s, vs_tensor *t)
{
    t->elements = 1;
    t->dim_count = 0;
    if (!vs_scan_take(s, '[', "'[' (a shape)")) {
        return false;
    }
    bool is_last = vs_scan_peek(s) == ']';
    s->pos += is_last;
    bool has_zero = false;
    while (!is_last) {
        uint64_t dim = 0;
        (void)vs_scan_peek(s);
        const uint64_t pos = s->pos;
        if (!vs_scan_u64(s, &dim, "a dimension")) {
            return false;
        }
        if (t->dim_count == VS_DIMS_MAX) {
            return vs_scan_fail(s, pos, VS_ERR_LIMIT,
                                "tensor \"%s\" has more than %d dimensions", t->name,
                                VS_DIMS_MAX);
        }
        t->shape[t->dim_count++] = dim;
        has_zero = has_zero || dim == 0;
        if (!vs_mul_u64(t->elements, dim == 0 ? 1 : dim, &t->elements)) {
            return vs_scan_fail(s, pos, VS_ERR_VALUE,
                                "tensor \"%s\": its shape overflows 64 bits", t->name);
        }
        if (!vs_scan_separator(s, ']', &is_last)) {
            return false;
        }
    }
    t->elements = has_zero ? 0 : t->elements;
    return true;
}

static bool read_offsets(vs_scan *s, uint64_t range[2])
{
    bool is_last = false;
    return vs_scan_take(s, '[', "'[' (data_offsets)") &&
           vs_scan_u64(s, &range[0], "an offset") && vs_scan_take(s, ',', "','") &&
           vs_scan_u64(s, &range[1], "an offset") && vs_scan_separator(s, ']', &is_last) &&
           (is_last ||
            vs_scan_fail(s, s->pos, VS_ERR_FORMAT, "data_offsets wants two numbers"));
}

enum { HAS_DTYPE = 1, HAS_SHAPE = 2, HAS_OFFSETS = 4, HAS_ALL = 7 };

/* An entry as the safetensors library writes it, without white space or escapes. False, nothing read: it is none;
 * or an error. */
static bool read_usual_entry(vs_scan *s, vs_tensor *t, uint64_t range[2])
{
    static const char dtype[] = "\"dtype\":";
    static const char shape[] = ",\"shape\":";
    static const char offsets[] = ",\"data_offsets\":";
    const uint64_t start = s->pos;
    if (vs_scan_take_usual(s, dtype, sizeof dtype - 1) && read_dtype(s, t) &&
        vs_scan_take_usual(s, shape, sizeof shape - 1) && read_shape(s, t) &&
        vs_scan_take_usual(s, offsets, sizeof offsets - 1) && read_offsets(s, range) &&
        vs_scan_take_usual(s, "}", 1)) {
        return true;
    }
    s->pos = start;
    return false;
}

/* One member of a tensor entry. Other keys are skipped, as serde does. */
static bool read_member(vs_scan *s, vs_tensor *t, uint64_t range[2], unsigned *seen)
{
    char buf[32];
    vs_str key = {buf, 0};
    (void)vs_scan_peek(s);
    const uint64_t pos = s->pos;
    if (!vs_scan_short_string(s, buf, sizeof buf, &key, "a member of a tensor entry") ||
        !vs_scan_take(s, ':', "':'")) {
        return false;
    }
    unsigned flag = 0;
    bool is_read = false;
    if (vs_str_is(key, "dtype")) {
        flag = HAS_DTYPE;
        is_read = read_dtype(s, t);
    } else if (vs_str_is(key, "shape")) {
        flag = HAS_SHAPE;
        is_read = read_shape(s, t);
    } else if (vs_str_is(key, "data_offsets")) {
        flag = HAS_OFFSETS;
        is_read = read_offsets(s, range);
    } else {
        is_read = vs_scan_skip(s);
    }
    if (is_read && (*seen & flag) != 0) {
        return vs_scan_fail(s, pos, VS_ERR_FORMAT, "tensor \"%s\": \"%s\" stands twice",
                            t->name, buf);
    }
    *seen |= flag;
    return is_read;
}

/* size == end - begin, inside the file. The entry begins at pos. */
static bool check_range(header_reader *r, vs_tensor *t, const uint64_t range[2], uint64_t pos)
{
    vs_scan *const s = &r->scan;
    vs_bytes bytes = 0;
    if (range[1] < range[0]) {
        return vs_scan_fail(s, pos, VS_ERR_VALUE,
                            "tensor \"%s\": end %" PRIu64 " is before start %" PRIu64, t->name,
                            range[1], range[0]);
    }
    if (!vs_dtype_bytes(t->dtype, t->elements, &bytes) || bytes != range[1] - range[0]) {
        return vs_scan_fail(s, pos, VS_ERR_VALUE,
                            "tensor \"%s\": shape and dtype %s need %" PRIu64
                            " bytes, data_offsets hold %" PRIu64,
                            t->name, vs_dtype_name(t->dtype), bytes, range[1] - range[0]);
    }
    if (t->elements % 8 * vs_dtype_bits(t->dtype) % 8 != 0) {
        return vs_scan_fail(s, pos, VS_ERR_VALUE, "tensor \"%s\" does not fill whole bytes",
                            t->name);
    }
    if (range[1] > r->data_room) {
        return vs_scan_fail(s, pos, VS_ERR_VALUE,
                            "tensor \"%s\" ends at data byte %" PRIu64
                            ", but the file holds %" PRIu64 "; is the download complete?",
                            t->name, range[1], r->data_room);
    }
    t->file_offset = range[0];
    t->size_bytes = bytes;
    return true;
}

static bool read_entry(header_reader *r, vs_str name, uint64_t pos)
{
    vs_scan *const s = &r->scan;
    if (r->count == r->capacity) {
        return vs_scan_fail(s, pos, VS_ERR_FORMAT, "tensor \"%s\" is not a complete entry",
                            name.ptr);
    }
    vs_tensor *const t = &r->tensors[r->count];
    uint64_t range[2] = {0, 0};
    unsigned seen = 0;
    t->name = name.ptr;
    if (!vs_scan_take(s, '{', "'{' (a tensor entry)")) {
        return false;
    }
    const bool is_usual = read_usual_entry(s, t, range);
    bool is_last = is_usual || vs_scan_peek(s) == '}';
    seen = is_usual ? HAS_ALL : 0;
    s->pos += !is_usual && is_last;
    while (!is_last) {
        if (!read_member(s, t, range, &seen) || !vs_scan_separator(s, '}', &is_last)) {
            return false;
        }
    }
    if (seen != HAS_ALL) {
        return vs_scan_fail(s, pos, VS_ERR_FORMAT, "tensor \"%s\" lacks %s", name.ptr,
                            (seen & HAS_DTYPE) == 0   ? "\"dtype\""
                            : (seen & HAS_SHAPE) == 0 ? "\"shape\""
                                                      : "\"data_offsets\"");
    }
    t->target = (uint32_t)pos; /* until the header is checked: where its entry stands */
    r->count++;
    return check_range(r, t, range, pos);
}

/* "__metadata__": an object of strings. */
static bool skip_metadata(vs_scan *s)
{
    if (!vs_scan_take(s, '{', "'{' (__metadata__)")) {
        return false;
    }
    bool is_last = vs_scan_peek(s) == '}';
    s->pos += is_last;
    while (!is_last) {
        if (vs_scan_peek(s) != '"' || !vs_scan_skip(s)) {
            return vs_scan_fail(s, s->pos, VS_ERR_FORMAT,
                                "__metadata__: expected a member name");
        }
        if (!vs_scan_take(s, ':', "':'")) {
            return false;
        }
        if (vs_scan_peek(s) != '"') {
            return vs_scan_fail(s, s->pos, VS_ERR_FORMAT, "__metadata__ holds strings only");
        }
        if (!vs_scan_skip(s) || !vs_scan_separator(s, '}', &is_last)) {
            return false;
        }
    }
    return true;
}

static bool read_entries(header_reader *r)
{
    vs_scan *const s = &r->scan;
    if (!vs_scan_take(s, '{', "'{' (the header is a JSON object)")) {
        return false;
    }
    bool is_last = vs_scan_peek(s) == '}';
    s->pos += is_last;
    bool has_metadata = false;
    while (!is_last) {
        vs_str name = {NULL, 0};
        (void)vs_scan_peek(s);
        const uint64_t pos = s->pos;
        if (!vs_scan_string(s, &name, "a tensor name") || !vs_scan_take(s, ':', "':'")) {
            return false;
        }
        const bool is_metadata = vs_str_is(name, "__metadata__");
        if (is_metadata && has_metadata) {
            return vs_scan_fail(s, pos, VS_ERR_FORMAT, "__metadata__ stands twice");
        }
        has_metadata = has_metadata || is_metadata;
        if (!(is_metadata ? skip_metadata(s) : read_entry(r, name, pos)) ||
            !vs_scan_separator(s, '}', &is_last)) {
            return false;
        }
    }
    return vs_scan_end(s);
}

/* ---- checks over all entries ------------------------------------------------------------------- */

static bool check_names(header_reader *r)
{
    vs_arena *const arena = r->scan.arena;
    const size_t mark = arena->used_bytes;
    vs_name_index index = {0};
    uint32_t twice = UINT32_MAX;
    if (!vs_name_index_build(&index, arena, r->tensors, sizeof *r->tensors, r->count, &twice)) {
        return vs_fail_memory(r->scan.err, arena, "an index of tensor names");
    }
    vs_arena_rewind(arena, mark);
    return twice == UINT32_MAX ||
           vs_scan_fail(&r->scan, r->tensors[twice].target, VS_ERR_FORMAT,
                        "tensor \"%s\" is listed twice in this header", r->tensors[twice].name);
}

static bool sort_by_offset(header_reader *r)
{
    vs_arena *const arena = r->scan.arena;
    bool is_sorted = true;
    for (uint32_t i = 1; i < r->count; i++) {
        const vs_tensor *const a = &r->tensors[i - 1];
        const vs_tensor *const b = &r->tensors[i];
        is_sorted =
            is_sorted && (a->file_offset < b->file_offset ||
                          (a->file_offset == b->file_offset && a->size_bytes <= b->size_bytes));
    }
    if (is_sorted) {
        return true;
    }
    const size_t mark = arena->used_bytes;
    vs_sort_key *const keys = VS_ARRAY(arena, vs_sort_key, r->count);
    vs_tensor *const copy = VS_ARRAY(arena, vs_tensor, r->count);
    if (keys == NULL || copy == NULL) {
        return false;
    }
    for (uint32_t i = 0; i < r->count; i++) {
        keys[i] = (vs_sort_key){{r->tensors[i].file_offset, r->tensors[i].size_bytes, 0}, i};
    }
    if (!vs_sort_keys(keys, r->count, NULL, arena)) {
        return false;
    }
    memcpy(copy, r->tensors, r->count * sizeof *copy);
    for (uint32_t i = 0; i < r->count; i++) {
        r->tensors[i] = copy[keys[i].index];
    }
    vs_arena_rewind(arena, mark);
    return true;
}

/* The ranges follow one another from 0 to the end of the file. Makes offsets absolute. */
static bool check_layout(header_reader *r, vs_bytes data_start, uint64_t file_bytes)
{
    uint64_t next = 0;
    for (uint32_t i = 0; i < r->count; i++) {
        vs_tensor *const t = &r->tensors[i];
        if (t->file_offset != next) {
            const bool overlaps = t->file_offset < next;
            return vs_scan_fail(&r->scan, t->target, VS_ERR_VALUE,
                                "tensor \"%s\" starts at data byte %" PRIu64
                                ", %s \"%s\" ends at %" PRIu64,
                                t->name, t->file_offset, overlaps ? "but" : "leaving a hole:",
                                i == 0 ? "(start of the data)" : r->tensors[i - 1].name, next);
        }
        next += t->size_bytes; /* inside the file, checked by check_range */
        t->file_offset += data_start;
    }
    if (next != r->data_room) {
        return vs_fail(r->scan.err, VS_ERR_VALUE,
                       "the header describes a file of %" PRIu64
                       " bytes, the file has %" PRIu64,
                       data_start + next, file_bytes);
    }
    for (uint32_t i = 0; i < r->count; i++) {
        r->tensors[i].target = VS_NO_TARGET;
    }
    return true;
}

static uint32_t count_bound(const uint8_t *json, uint64_t json_bytes)
{
    const uint64_t by_length = json_bytes / ENTRY_BYTES_MIN + 1;
    const uint64_t braces = vs_scan_count(json, json_bytes, '{');
    return (uint32_t)(braces < by_length ? braces : by_length);
}

/* What else lies under the name, by the first bytes that would be the header's length; NULL: not told. */
static const char *other_format(vs_str head)
{
    static const struct {
        const char *start;
        const char *what;
    } known[] = {
        {"version ", "a Git LFS pointer in place of the file; fetch it with `git lfs pull`"},
        {"<!", "a web page in place of the file; download it again"},
        {"<html", "a web page in place of the file; download it again"},
        {"GGUF", "a GGUF file; rename it to .gguf"},
        {"PK\003\004", "a zip archive, as torch.save writes them; rename it to .bin"},
    };

    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (vs_str_starts(head, known[i].start)) {
            return known[i].what;
        }
    }
    return NULL;
}

static bool check_length(uint64_t json_bytes, vs_str head, uint64_t file_bytes, vs_err *err)
{
    if (json_bytes > VS_ST_HEADER_MAX) {
        const char *const what = other_format(head);
        if (what != NULL) {
            return vs_fail(err, VS_ERR_FORMAT, "%s", what);
        }
        return vs_fail(err, VS_ERR_LIMIT,
                       "header length %" PRIu64 " is more than the %" PRIu64
                       " bytes that safetensors allows; not a safetensors file?",
                       json_bytes, VS_ST_HEADER_MAX);
    }
    if (json_bytes > file_bytes - 8) {
        return vs_fail(err, VS_ERR_FORMAT,
                       "header length %" PRIu64 " reaches beyond the file of %" PRIu64
                       " bytes; is the download complete?",
                       json_bytes, file_bytes);
    }
    return true;
}

static bool parse(vs_st_header *header, vs_arena *arena, vs_str head, uint64_t file_bytes,
                  vs_err *err)
{
    vs_cursor cursor = vs_cursor_of(head.ptr, head.len, err);
    uint64_t json_bytes = 0;
    const uint8_t *json = NULL;
    if (file_bytes < 8) {
        return vs_fail(
            err, VS_ERR_FORMAT,
            "a safetensors file begins with an 8-byte header length, this one has %" PRIu64
            " bytes",
            file_bytes);
    }
    if (!vs_cursor_u64le(&cursor, &json_bytes) ||
        !check_length(json_bytes, head, file_bytes, err) ||
        !vs_cursor_bytes(&cursor, json_bytes, &json)) {
        return false;
    }
    header_reader r = {
        .scan = {json, json_bytes, 0, 8, arena, err, false},
        .data_room = file_bytes - 8 - json_bytes,
        .capacity = count_bound(json, json_bytes),
    };
    r.tensors = VS_ARRAY(arena, vs_tensor, r.capacity);
    if (r.tensors == NULL) {
        return vs_fail_memory(err, arena, "the tensors of a safetensors header");
    }
    if (!read_entries(&r) || !check_names(&r)) {
        return false;
    }
    if (!sort_by_offset(&r)) {
        return vs_fail_memory(err, arena, "sorting tensors by offset");
    }
    if (!check_layout(&r, 8 + json_bytes, file_bytes)) {
        return false;
    }
    *header = (vs_st_header){r.tensors, r.count, 8 + json_bytes, r.data_room};
    return true;
}

/* NOLINTNEXTLINE(readability-function-size): the public signature */
bool vs_safetensors_parse(vs_st_header *header, vs_arena *arena, const void *head,
                          uint64_t head_bytes, uint64_t file_bytes, const char *input_name,
                          vs_err *err)
{
    vs_assert(head_bytes <= file_bytes);
    vs_err local = {0};
    if (!parse(header, arena, (vs_str){head, (size_t)head_bytes}, file_bytes, &local)) {
        vs_err_at_input(&local, input_name);
        if (err != NULL && err->code == VS_OK) {
            *err = local;
        }
        return false;
    }
    return true;
}

/* ---- files --------------------------------------------------------------------------------------- */

/* Maps the eight bytes of the length first, so that a header of a huge file costs its own size only. */
bool vs_safetensors_read(vs_st_header *header, vs_arena *arena, const char *path,
                         vs_bytes *file_bytes, vs_err *err)
{
    vs_file file = {0};
    uint64_t full = 0;
    uint64_t json_bytes = 0;
    if (!vs_file_open_head(&file, path, 8, &full, err)) {
        return false;
    }
    for (uint64_t i = 0; i < 8 && i < file.size_bytes; i++) {
        json_bytes |= (uint64_t)file.bytes[i] << (8 * i);
    }
    vs_file_close(&file);
    const uint64_t want = 8 + (json_bytes <= VS_ST_HEADER_MAX ? json_bytes : 0);
    if (!vs_file_open_head(&file, path, want, &full, err)) {
        return false;
    }
    const bool is_read =
        vs_safetensors_parse(header, arena, file.bytes, file.size_bytes, full, path, err);
    vs_file_close(&file);
    *file_bytes = full;
    return is_read;
}
