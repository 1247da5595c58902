/* write_safetensors.c - headers as the safetensors library and save_pretrained write them.
 *
 * huggingface/safetensors safetensors/src/tensor.rs @ 24b0b285 (0.8): prepare() sorts by dtype, the last of the enum
 * first, then by name, bytewise; the JSON is serde_json's shortest; blanks fill it up to 8 bytes; offsets follow one
 * another from 0. transformers 5.12.1 modeling_utils.py save_pretrained: metadata {"format": "pt"}, and for
 * more than one file an index, json.dumps(indent=2, sort_keys=True) and a line end. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/model/write.h"

/* safetensors/src/tensor.rs enum Dtype, first to last. */
static const char *const dtype_order[] = {
    "BOOL",    "F4",          "F6_E2M3",     "F6_E3M2", "U8",  "I8",  "F8_E5M2", "F8_E4M3",
    "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ", "I16",     "U16", "F16", "BF16",    "I32",
    "U32",     "F32",         "C64",         "F64",     "I64", "U64"};

#define DTYPE_COUNT (sizeof dtype_order / sizeof dtype_order[0])

/* Place of a dtype in that order; DTYPE_COUNT: safetensors cannot store it. */
static size_t rank_of(vs_dtype dtype)
{
    size_t rank = 0;
    while (rank < DTYPE_COUNT && strcmp(dtype_order[rank], vs_dtype_name(dtype)) != 0) {
        rank++;
    }
    return rank;
}

const char *vs_safetensors_file_name(vs_arena *arena, uint32_t shard, uint32_t shard_count)
{
    return shard_count == 1
               ? "model.safetensors"
               : vs_arena_printf(arena, "model-%05" PRIu32 "-of-%05" PRIu32 ".safetensors",
                                 shard + 1, shard_count);
}

/* ---- text ------------------------------------------------------------------------------------------- */

/* A buffer with room for everything that will be put into it: bounds are computed first, and asserted. */
typedef struct {
    char *bytes;
    size_t used;
    size_t room;
} text;

static void put_bytes(text *t, const char *bytes, size_t count)
{
    vs_assert(count <= t->room - t->used);
    memcpy(t->bytes + t->used, bytes, count);
    t->used += count;
}

static void put(text *t, const char *bytes)
{
    put_bytes(t, bytes, strlen(bytes));
}

/* By hand: a large checkpoint has half a million numbers. */
static void put_u64(text *t, uint64_t value)
{
    char digits[20];
    size_t at = sizeof digits;
    do {
        digits[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    put_bytes(t, digits + at, sizeof digits - at);
}

static void put_unicode_escape(text *t, uint32_t unit)
{
    static const char hex[] = "0123456789abcdef";
    const char digits[4] = {hex[unit >> 12 & 15], hex[unit >> 8 & 15], hex[unit >> 4 & 15],
                            hex[unit & 15]};
    put(t, "\\u");
    put_bytes(t, digits, sizeof digits);
}

/* Bytes of the code point at p, which readers have checked to be UTF-8. */
static size_t decode(const uint8_t *p, uint32_t *point)
{
    const size_t count = p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
    *point = p[0] & (0xffu >> (count + 1));
    for (size_t i = 1; i < count && p[i] != 0; i++) {
        *point = *point << 6 | (p[i] & 0x3fu);
    }
    return count;
}

/* What both writers escape with a letter; 0: nothing. */
static char short_escape(char c)
{
    static const char from[] = "\"\\\b\f\n\r\t";
    static const char to[] = "\"\\bfnrt";
    const char *const at = memchr(from, c, sizeof from - 1);
    if (at == NULL) {
        return '\0';
    }
    return to[at - from];
}

/* A JSON string. is_ascii: code points from 127 up as \u escapes, as Python's json.dumps does; else only control
 * characters below 32, as serde_json does. */
static void put_string(text *t, const char *string, bool is_ascii)
{
    put(t, "\"");
    for (const char *c = string; *c != '\0'; c++) {
        const char letter = short_escape(*c);
        const uint8_t byte = (uint8_t)*c;
        if (letter != '\0') {
            put(t, "\\");
            put_bytes(t, &letter, 1);
        } else if (byte < 0x20 || (byte == 0x7f && is_ascii)) {
            put_unicode_escape(t, byte);
        } else if (byte < 0x80 || !is_ascii) {
            put_bytes(t, c, 1);
        } else {
            uint32_t point = 0;
            c += decode((const uint8_t *)c, &point) - 1;
            if (point >= 0x10000) {
                put_unicode_escape(t, 0xd800 + ((point - 0x10000) >> 10));
                point = 0xdc00 + ((point - 0x10000) & 0x3ff);
            }
            put_unicode_escape(t, point);
        }
    }
    put(t, "\"");
}

/* At most this many bytes for the string. */
static size_t string_room(const char *string)
{
    return 6 * strlen(string) + 2;
}

static bool open_text(text *t, vs_arena *arena, size_t room, vs_err *err)
{
    *t = (text){.bytes = vs_arena_alloc(arena, room, 1), .room = room};
    return t->bytes != NULL || vs_fail_memory(err, arena, "the header of a safetensors file");
}

/* ---- one file ------------------------------------------------------------------------------------------ */

typedef struct {
    const vs_write_item *item;
    size_t rank;
} entry;

static int compare_entries(const void *a, const void *b)
{
    const entry *const x = a;
    const entry *const y = b;
    if (x->item->shard != y->item->shard) {
        return x->item->shard < y->item->shard ? -1 : 1;
    }
    if (x->rank != y->rank) {
        return x->rank > y->rank ? -1 : 1;
    }
    return strcmp(x->item->name, y->item->name);
}

static void put_entry(text *t, const vs_write_item *item, uint64_t begin)
{
    const vs_tensor *const tensor = item->tensor;
    put(t, ",");
    put_string(t, item->name, false);
    put(t, ":{\"dtype\":\"");
    put(t, vs_dtype_name(tensor->dtype));
    put(t, "\",\"shape\":[");
    for (uint32_t d = 0; d < tensor->dim_count; d++) {
        put(t, d == 0 ? "" : ",");
        put_u64(t, tensor->shape[d]);
    }
    put(t, "],\"data_offsets\":[");
    put_u64(t, begin);
    put(t, ",");
    put_u64(t, begin + tensor->size_bytes);
    put(t, "]}");
}

static const char header_begin[] = "{\"__metadata__\":{\"format\":\"pt\"}";

/* At most so many bytes for the length and header of the file of these entries. */
static size_t header_room(const entry *entries, uint32_t count)
{
    size_t room = 8 + sizeof header_begin + 8;
    for (uint32_t i = 0; i < count; i++) {
        /* keys, dtype and brackets take fewer than 64 bytes; a number and its comma at most 21 */
        room += string_room(entries[i].item->name) + 64 +
                (size_t)21 * (entries[i].item->tensor->dim_count + 2);
    }
    return room;
}

/* Length and header of the file of these entries; *data_bytes what follows it. */
static bool make_header(text *t, const entry *entries, uint32_t count, uint64_t *data_bytes,
                        vs_err *err)
{
    uint64_t at = 0;
    t->used = 8;
    put(t, header_begin);
    for (uint32_t i = 0; i < count; i++) {
        put_entry(t, entries[i].item, at);
        if (!vs_add_u64(at, entries[i].item->tensor->size_bytes, &at)) {
            return vs_fail(err, VS_ERR_VALUE, "the tensors add up to more than 2^64 bytes");
        }
    }
    put(t, "}");
    while (t->used % 8 != 0) {
        put(t, " ");
    }
    const uint64_t header_bytes = t->used - 8;
    for (unsigned i = 0; i < 8; i++) {
        t->bytes[i] = (char)(header_bytes >> (8 * i) & 0xff);
    }
    *data_bytes = at;
    return header_bytes <= VS_ST_HEADER_MAX ||
           vs_fail(err, VS_ERR_LIMIT,
                   "a header of %" PRIu64 " bytes for %" PRIu32
                   " tensors in one file is more than the %" PRIu64
                   " bytes that safetensors allows",
                   header_bytes, count, VS_ST_HEADER_MAX);
}

/* The entries of one file, entries[begin, end), and its name. */
typedef struct {
    const char *name;
    uint32_t begin;
    uint32_t end;
} file_part;

static bool stage_shard(vs_staging *staging, text *header, const entry *entries,
                        const file_part *part, vs_bytes *data_bytes, vs_err *err)
{
    uint64_t own_bytes = 0;
    uint64_t file_bytes = 0;
    if (!make_header(header, entries + part->begin, part->end - part->begin, &own_bytes, err)) {
        return false;
    }
    if (!vs_add_u64(own_bytes, header->used, &file_bytes) ||
        !vs_add_u64(*data_bytes, own_bytes, data_bytes)) {
        return vs_fail(err, VS_ERR_VALUE, "the tensors add up to more than 2^64 bytes");
    }
    return vs_staging_add(staging, part->name, (vs_str){header->bytes, header->used},
                          file_bytes, err);
}

/* ---- the index --------------------------------------------------------------------------------------------- */

static int compare_names(const void *a, const void *b)
{
    return strcmp(((const entry *)a)->item->name, ((const entry *)b)->item->name);
}

static bool stage_index(vs_staging *staging, const vs_write_plan *plan, entry *entries,
                        const file_part *parts, vs_bytes data_bytes, vs_err *err)
{
    text t = {0};
    size_t room = 256;
    for (uint32_t i = 0; i < plan->count; i++) {
        room += string_room(plan->items[i].name) + string_room(parts[0].name) + 16;
    }
    if (!open_text(&t, staging->arena, room, err)) {
        return false;
    }
    qsort(entries, plan->count, sizeof *entries, compare_names);
    put(&t, "{\n  \"metadata\": {\n    \"total_parameters\": ");
    put_u64(&t, plan->parameters);
    put(&t, ",\n    \"total_size\": ");
    put_u64(&t, data_bytes);
    put(&t, "\n  },\n  \"weight_map\": {");
    for (uint32_t i = 0; i < plan->count; i++) {
        put(&t, i == 0 ? "\n    " : ",\n    ");
        put_string(&t, entries[i].item->name, true);
        put(&t, ": ");
        put_string(&t, parts[entries[i].item->shard].name, true);
    }
    put(&t, "\n  }\n}\n");
    return vs_staging_add(staging, VS_SAFETENSORS_INDEX_NAME, (vs_str){t.bytes, t.used}, t.used,
                          err);
}

/* ---- all files ------------------------------------------------------------------------------------------------ */

/* Entries in the order of files and of their headers. */
static bool sort_entries(const vs_write_plan *plan, entry *entries, vs_err *err)
{
    size_t ranks[VS_DT_COUNT];
    for (uint32_t d = 0; d < VS_DT_COUNT; d++) {
        ranks[d] = rank_of((vs_dtype)d);
    }
    for (uint32_t i = 0; i < plan->count; i++) {
        const vs_tensor *const tensor = plan->items[i].tensor;
        entries[i] = (entry){&plan->items[i], ranks[tensor->dtype]};
        if (entries[i].rank == DTYPE_COUNT) {
            return vs_fail(err, VS_ERR_VALUE,
                           "tensor \"%s\" is %s, which safetensors cannot hold",
                           plan->items[i].name, vs_dtype_name(tensor->dtype));
        }
    }
    qsort(entries, plan->count, sizeof *entries, compare_entries);
    return true;
}

/* Which entries go into which file. */
static bool find_parts(const vs_write_plan *plan, const entry *entries, vs_arena *arena,
                       file_part *parts, vs_err *err)
{
    uint32_t at = 0;
    for (uint32_t shard = 0; shard < plan->shard_count; shard++) {
        parts[shard].begin = at;
        while (at < plan->count && entries[at].item->shard == shard) {
            at++;
        }
        parts[shard].end = at;
        parts[shard].name = vs_safetensors_file_name(arena, shard, plan->shard_count);
        if (parts[shard].name == NULL) {
            return vs_fail_memory(err, arena, "the names of files");
        }
    }
    return true;
}

bool vs_safetensors_stage(vs_staging *staging, const vs_write_plan *plan,
                          const vs_write_desc *desc, vs_bytes *data_bytes, vs_err *err)
{
    entry *const entries = VS_ARRAY(staging->arena, entry, plan->count);
    file_part *const parts = VS_ARRAY(staging->arena, file_part, plan->shard_count);
    if (entries == NULL || parts == NULL) {
        return vs_fail_memory(err, staging->arena, "the tensors of a checkpoint");
    }
    if (!sort_entries(plan, entries, err) ||
        !find_parts(plan, entries, staging->arena, parts, err)) {
        return false;
    }
    size_t room = 0;
    for (uint32_t i = 0; i < plan->shard_count; i++) {
        const size_t own = header_room(entries + parts[i].begin, parts[i].end - parts[i].begin);
        room = own > room ? own : room;
    }
    text header = {0};
    vs_bytes total = 0;
    if (!open_text(&header, staging->arena, room, err)) {
        return false;
    }
    for (uint32_t i = 0; i < plan->shard_count; i++) {
        if (!stage_shard(staging, &header, entries, &parts[i], &total, err)) {
            return false;
        }
        if (desc->progress != NULL) {
            desc->progress(desc->progress_context, i + 1, plan->shard_count);
        }
    }
    if (plan->shard_count > 1 && !stage_index(staging, plan, entries, parts, total, err)) {
        return false;
    }
    *data_bytes = total;
    return true;
}
