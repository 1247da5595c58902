/* gguf.c - the head of a GGUF file: metadata entries and tensor infos.
 *
 * Layout (gguf.md, "File Structure"; version 3, and 2, which differs in its number only): magic, version u32, tensor
 * count u64, entry count u64; entries: key string, type u32, value; infos: name string, dimensions u32, that many
 * u64 (innermost first), ggml type u32, offset u64; padding up to general.alignment; data. Strings are a length u64
 * and bytes, arrays a type u32, a count u64 and items. Everything is little endian.
 *
 * Hostile files: a count is believed only as far as the bytes that are left could hold it, every loop consumes bytes,
 * nothing recurses, and values are skipped, not copied. What is accepted has: names that are unique and free of NUL
 * bytes; shapes and sizes that fit into 64 bits; rows of whole blocks; data that is aligned, inside the file and
 * without overlaps. llama.cpp (ggml/src/gguf.cpp) wants the data of a file without gaps as well; gguf-py does not,
 * and neither do we. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "sim/model/gguf.h"

/* Bytes of the shortest entry (key of one byte, u8) and info (name of one byte, no dimensions). */
#define ENTRY_BYTES_MIN  14u
#define INFO_BYTES_MIN   25u
#define ALIGNMENT_NORMAL 32u /* gguf.md, general.alignment */

typedef struct {
    const uint8_t *bytes;
    uint64_t size_bytes; /* of the head at hand */
    uint64_t file_bytes;
    uint64_t pos; /* <= size_bytes */
    vs_arena *arena;
    vs_err *err; /* never NULL */
    vs_gguf gguf;
    uint64_t *info_pos; /* per tensor: where its info stands */
} reader;

/* ---- errors ----------------------------------------------------------------------------- */

static bool fail_at(reader *r, uint64_t pos, vs_errcode code, const char *format, ...)
    VS_PRINTF(4, 5);

static bool fail_at(reader *r, uint64_t pos, vs_errcode code, const char *format, ...)
{
    char text[VS_ERR_TEXT_BYTES];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    (void)vs_fail(r->err, code, "%s", text);
    vs_err_at_offset(r->err, pos);
    return false;
}

bool vs_gguf_fail(const vs_gguf *gguf, const vs_gguf_entry *entry, vs_err *err,
                  const char *format, ...)
{
    char text[VS_ERR_TEXT_BYTES];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (err != NULL && err->code == VS_OK) {
        (void)vs_fail(err, VS_ERR_VALUE, "%.120s: %s", entry->name, text);
        vs_err_at_offset(err, entry->offset);
        vs_err_at_input(err, gguf->input_name);
    }
    return false;
}

/* ---- bytes -------------------------------------------------------------------------------- */

static uint64_t left(const reader *r)
{
    return r->size_bytes - r->pos;
}

static bool fail_short(reader *r, uint64_t count, const char *what)
{
    if (r->size_bytes < r->file_bytes) {
        return fail_at(r, r->pos, VS_ERR_LIMIT,
                       "%s reaches beyond the first %" PRIu64
                       " bytes, more than the metadata of a model has",
                       what, r->size_bytes);
    }
    return fail_at(r, r->pos, VS_ERR_FORMAT,
                   "%s takes %" PRIu64 " bytes, the file has %" PRIu64
                   " more; is the download complete?",
                   what, count, left(r));
}

static bool take(reader *r, uint64_t count, const char *what, const uint8_t **out)
{
    if (count > left(r)) {
        return fail_short(r, count, what);
    }
    *out = r->bytes + r->pos;
    r->pos += count;
    return true;
}

static uint64_t load(const uint8_t *p, unsigned count)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < count; i++) {
        value |= (uint64_t)p[i] << (8 * i);
    }
    return value;
}

static bool read_u64(reader *r, const char *what, uint64_t *out)
{
    const uint8_t *p = NULL;
    if (!take(r, 8, what, &p)) {
        return false;
    }
    *out = load(p, 8);
    return true;
}

static bool read_u32(reader *r, const char *what, uint32_t *out)
{
    const uint8_t *p = NULL;
    if (!take(r, 4, what, &p)) {
        return false;
    }
    *out = (uint32_t)load(p, 4);
    return true;
}

/* A key or a name: not empty, no NUL, at most max bytes. Terminated copy. */
static bool read_name(reader *r, const char *what, uint64_t max, const char **out)
{
    const uint64_t start = r->pos;
    uint64_t count = 0;
    const uint8_t *p = r->bytes;
    if (!read_u64(r, what, &count)) {
        return false;
    }
    if (count == 0 || count > max) {
        return fail_at(r, start, VS_ERR_LIMIT,
                       "%s has %" PRIu64 " bytes, expected 1 to %" PRIu64, what, count, max);
    }
    if (!take(r, count, what, &p)) {
        return false;
    }
    if (memchr(p, 0, (size_t)count) != NULL) {
        return fail_at(r, start, VS_ERR_FORMAT, "%s holds a NUL byte", what);
    }
    *out = vs_str_copy(r->arena, (vs_str){(const char *)p, (size_t)count});
    return *out != NULL || vs_fail_memory(r->err, r->arena, "the names of a GGUF file");
}

/* ---- values --------------------------------------------------------------------------------- */

/* 0: strings and arrays. */
static unsigned type_bytes(vs_gguf_type type)
{
    switch (type) {
    case VS_GGUF_U8:
    case VS_GGUF_I8:
    case VS_GGUF_BOOL: return 1;
    case VS_GGUF_U16:
    case VS_GGUF_I16: return 2;
    case VS_GGUF_U32:
    case VS_GGUF_I32:
    case VS_GGUF_F32: return 4;
    case VS_GGUF_U64:
    case VS_GGUF_I64:
    case VS_GGUF_F64: return 8;
    case VS_GGUF_STRING:
    case VS_GGUF_ARRAY:
    case VS_GGUF_TYPE_COUNT: break;
    }
    return 0;
}

static bool read_type(reader *r, const char *key, vs_gguf_type *out)
{
    const uint64_t start = r->pos;
    uint32_t type = 0;
    if (!read_u32(r, "the type of a value", &type)) {
        return false;
    }
    if (type >= VS_GGUF_TYPE_COUNT) {
        return fail_at(r, start, VS_ERR_FORMAT,
                       "%.120s: unknown value type %" PRIu32 ", known are 0 to %d", key, type,
                       VS_GGUF_TYPE_COUNT - 1);
    }
    *out = (vs_gguf_type)type;
    return true;
}

/* Items that are still to be walked at one depth. */
typedef struct {
    vs_gguf_type type;
    uint64_t count;
} pending;

/* Type and count of an array; the count has to fit into what is left. */
static bool read_array_head(reader *r, const char *key, pending *out)
{
    const uint64_t start = r->pos;
    if (!read_type(r, key, &out->type) || !read_u64(r, "the length of an array", &out->count)) {
        return false;
    }
    const unsigned bytes = type_bytes(out->type);
    const unsigned least = bytes != 0 ? bytes : out->type == VS_GGUF_STRING ? 8 : 12;
    if (out->count > left(r) / least) {
        return r->size_bytes < r->file_bytes ? fail_short(r, 0, "an array")
                                             : fail_at(r, start, VS_ERR_FORMAT,
                                                       "%.120s: an array of %" PRIu64
                                                       " items, but the file has only %" PRIu64
                                                       " more bytes; is the download complete?",
                                                       key, out->count, left(r));
    }
    return true;
}

static bool skip_strings(reader *r, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        uint64_t bytes = 0;
        const uint8_t *ignored = NULL;
        if (!read_u64(r, "a string", &bytes) || !take(r, bytes, "a string", &ignored)) {
            return false;
        }
    }
    return true;
}

/* The items of an array, and of the arrays in it. */
static bool skip_items(reader *r, const char *key, pending array)
{
    pending stack[VS_GGUF_DEPTH_MAX] = {array};
    unsigned depth = 1;
    while (depth > 0) {
        pending *const top = &stack[depth - 1];
        const unsigned bytes = type_bytes(top->type);
        if (top->type == VS_GGUF_ARRAY && top->count > 0) {
            top->count--;
            if (depth == VS_GGUF_DEPTH_MAX) {
                return fail_at(r, r->pos, VS_ERR_LIMIT,
                               "%.120s: arrays are nested deeper than %u", key,
                               VS_GGUF_DEPTH_MAX);
            }
            if (!read_array_head(r, key, &stack[depth])) {
                return false;
            }
            depth++;
            continue;
        }
        if (top->type == VS_GGUF_STRING && !skip_strings(r, top->count)) {
            return false;
        }
        r->pos += top->count * bytes; /* bounded by read_array_head */
        depth--;
    }
    return true;
}

static bool read_value(reader *r, vs_gguf_entry *entry)
{
    const uint8_t *ignored = NULL;
    pending array = {VS_GGUF_U8, 0};
    entry->count = 1;
    switch (entry->type) {
    case VS_GGUF_STRING:
        if (!read_u64(r, "a string", &entry->count)) {
            return false;
        }
        entry->offset = r->pos;
        return take(r, entry->count, "a string", &ignored);
    case VS_GGUF_ARRAY:
        if (!read_array_head(r, entry->name, &array)) {
            return false;
        }
        entry->item_type = array.type;
        entry->count = array.count;
        entry->offset = r->pos;
        return skip_items(r, entry->name, array);
    case VS_GGUF_U8:
    case VS_GGUF_I8:
    case VS_GGUF_BOOL:
    case VS_GGUF_U16:
    case VS_GGUF_I16:
    case VS_GGUF_U32:
    case VS_GGUF_I32:
    case VS_GGUF_F32:
    case VS_GGUF_U64:
    case VS_GGUF_I64:
    case VS_GGUF_F64:
    case VS_GGUF_TYPE_COUNT: break;
    }
    entry->offset = r->pos;
    return take(r, type_bytes(entry->type), "a value", &ignored);
}

static bool read_entries(reader *r)
{
    for (uint32_t i = 0; i < r->gguf.entry_count; i++) {
        vs_gguf_entry *const entry = &r->gguf.entries[i];
        if (!read_name(r, "a metadata key", VS_GGUF_KEY_MAX, &entry->name) ||
            !read_type(r, entry->name, &entry->type) || !read_value(r, entry)) {
            return false;
        }
    }
    uint32_t twice = UINT32_MAX;
    if (!vs_name_index_build(&r->gguf.keys, r->arena, r->gguf.entries, sizeof *r->gguf.entries,
                             r->gguf.entry_count, &twice)) {
        return vs_fail_memory(r->err, r->arena, "an index of metadata keys");
    }
    return twice == UINT32_MAX || fail_at(r, r->gguf.entries[twice].offset, VS_ERR_FORMAT,
                                          "the key \"%.120s\" stands twice in the metadata",
                                          r->gguf.entries[twice].name);
}

/* ---- tensors ---------------------------------------------------------------------------------- */

static bool read_shape(reader *r, vs_tensor *t)
{
    const uint64_t start = r->pos;
    if (!read_u32(r, "the number of dimensions", &t->dim_count)) {
        return false;
    }
    if (t->dim_count > VS_GGUF_DIMS_MAX) {
        return fail_at(r, start, VS_ERR_LIMIT,
                       "tensor \"%s\" has %" PRIu32 " dimensions, ggml has at most %u", t->name,
                       t->dim_count, VS_GGUF_DIMS_MAX);
    }
    bool has_zero = false;
    t->elements = 1;
    for (uint32_t i = 0; i < t->dim_count; i++) {
        uint64_t dim = 0;
        if (!read_u64(r, "a dimension", &dim)) {
            return false;
        }
        t->shape[t->dim_count - 1 - i] = dim;
        has_zero = has_zero || dim == 0;
        if (!vs_mul_u64(t->elements, dim == 0 ? 1 : dim, &t->elements)) {
            return fail_at(r, start, VS_ERR_VALUE, "tensor \"%s\": its shape overflows 64 bits",
                           t->name);
        }
    }
    t->elements = has_zero ? 0 : t->elements;
    return true;
}

static bool read_dtype(reader *r, vs_tensor *t)
{
    const uint64_t start = r->pos;
    uint32_t type = 0;
    if (!read_u32(r, "the type of a tensor", &type)) {
        return false;
    }
    t->dtype = vs_dtype_find_ggml(type);
    if (t->dtype == VS_DT_COUNT) {
        const bool is_gone =
            type == 4 || type == 5 || (type >= 31 && type <= 33) || (type >= 36 && type <= 38);
        return fail_at(r, start, VS_ERR_FORMAT, "tensor \"%s\" has ggml type %" PRIu32 ", %s",
                       t->name, type,
                       is_gone ? "which ggml has dropped; quantise the model again"
                               : "which is not known; known are 0 to 41");
    }
    const uint64_t row = t->dim_count == 0 ? 1 : t->shape[t->dim_count - 1];
    const uint32_t block = vs_dtype_block_elements(t->dtype);
    if (row % block != 0) {
        return fail_at(r, start, VS_ERR_VALUE,
                       "tensor \"%s\": rows of %" PRIu64
                       " elements, but %s has blocks of %" PRIu32,
                       t->name, row, vs_dtype_name(t->dtype), block);
    }
    return vs_dtype_bytes(t->dtype, t->elements, &t->size_bytes) ||
           fail_at(r, start, VS_ERR_VALUE, "tensor \"%s\" would take more than 2^64 bytes",
                   t->name);
}

static bool read_infos(reader *r)
{
    for (uint32_t i = 0; i < r->gguf.tensor_count; i++) {
        vs_tensor *const t = &r->gguf.tensors[i];
        r->info_pos[i] = r->pos;
        t->target = VS_NO_TARGET;
        if (!read_name(r, "the name of a tensor", VS_GGUF_NAME_MAX, &t->name) ||
            !read_shape(r, t) || !read_dtype(r, t) ||
            !read_u64(r, "the offset of a tensor", &t->file_offset)) {
            return false;
        }
    }
    const size_t mark = r->arena->used_bytes;
    vs_name_index index = {0};
    uint32_t twice = UINT32_MAX;
    if (!vs_name_index_build(&index, r->arena, r->gguf.tensors, sizeof *r->gguf.tensors,
                             r->gguf.tensor_count, &twice)) {
        return vs_fail_memory(r->err, r->arena, "an index of tensor names");
    }
    vs_arena_rewind(r->arena, mark);
    return twice == UINT32_MAX ||
           fail_at(r, r->info_pos[twice], VS_ERR_FORMAT, "tensor \"%s\" is listed twice",
                   r->gguf.tensors[twice].name);
}

/* ---- where the data is -------------------------------------------------------------------------- */

static bool read_alignment(reader *r)
{
    const vs_gguf_entry *const entry = vs_gguf_find(&r->gguf, "general.alignment");
    r->gguf.alignment = ALIGNMENT_NORMAL;
    if (entry == NULL) {
        return true;
    }
    uint64_t value = 0;
    if (entry->type != VS_GGUF_U32 || !vs_gguf_u64(&r->gguf, entry, 0, &value) || value == 0 ||
        (value & (value - 1)) != 0) {
        return fail_at(r, entry->offset, VS_ERR_VALUE,
                       "general.alignment has to be a uint32 and a power of two");
    }
    r->gguf.alignment = value;
    return true;
}

/* Aligned and inside the file; makes the offset absolute. */
static bool place_tensor(reader *r, uint32_t i)
{
    vs_tensor *const t = &r->gguf.tensors[i];
    uint64_t start = 0;
    uint64_t end = 0;
    if (t->file_offset % r->gguf.alignment != 0) {
        return fail_at(r, r->info_pos[i], VS_ERR_VALUE,
                       "tensor \"%s\" starts at data byte %" PRIu64
                       ", which is no multiple of the alignment %" PRIu64,
                       t->name, t->file_offset, r->gguf.alignment);
    }
    if (!vs_add_u64(r->gguf.data_start, t->file_offset, &start) ||
        !vs_add_u64(start, t->size_bytes, &end) || end > r->file_bytes) {
        return fail_at(r, r->info_pos[i], VS_ERR_VALUE,
                       "tensor \"%s\" (%" PRIu64 " bytes at data byte %" PRIu64
                       ") ends behind the file of %" PRIu64 " bytes; is the download complete?",
                       t->name, t->size_bytes, t->file_offset, r->file_bytes);
    }
    t->file_offset = start;
    return vs_add_u64(r->gguf.data_bytes, t->size_bytes, &r->gguf.data_bytes) ||
           fail_at(r, r->info_pos[i], VS_ERR_VALUE,
                   "the tensors add up to more than 2^64 bytes");
}

static bool fail_overlap(reader *r, uint32_t a, uint32_t b)
{
    return fail_at(r, r->info_pos[b], VS_ERR_VALUE,
                   "the data of tensor \"%s\" overlaps that of \"%s\"", r->gguf.tensors[b].name,
                   r->gguf.tensors[a].name);
}

static bool check_overlaps(reader *r)
{
    const vs_tensor *const tensors = r->gguf.tensors;
    const size_t mark = r->arena->used_bytes;
    vs_sort_key *const keys = VS_ARRAY(r->arena, vs_sort_key, r->gguf.tensor_count);
    uint32_t count = 0;
    if (keys == NULL) {
        return vs_fail_memory(r->err, r->arena, "sorting tensors by offset");
    }
    for (uint32_t i = 0; i < r->gguf.tensor_count; i++) {
        if (tensors[i].size_bytes > 0) {
            keys[count++] = (vs_sort_key){{tensors[i].file_offset, 0, 0}, i};
        }
    }
    if (!vs_sort_keys(keys, count, NULL, r->arena)) {
        return vs_fail_memory(r->err, r->arena, "sorting tensors by offset");
    }
    for (uint32_t i = 1; i < count; i++) {
        const vs_tensor *const a = &tensors[keys[i - 1].index];
        if (tensors[keys[i].index].file_offset < a->file_offset + a->size_bytes) {
            return fail_overlap(r, keys[i - 1].index, keys[i].index);
        }
    }
    vs_arena_rewind(r->arena, mark);
    return true;
}

static bool place_tensors(reader *r)
{
    if (!read_alignment(r)) {
        return false;
    }
    r->gguf.data_start = r->pos;
    if (r->gguf.tensor_count == 0) {
        return true; /* metadata only: a vocabulary, the first file of a split */
    }
    if (!vs_round_up_u64(r->pos, r->gguf.alignment, &r->gguf.data_start)) {
        return fail_at(r, r->pos, VS_ERR_VALUE, "the data would start beyond 2^64");
    }
    for (uint32_t i = 0; i < r->gguf.tensor_count; i++) {
        if (!place_tensor(r, i)) {
            return false;
        }
    }
    return check_overlaps(r);
}

/* ---- the whole ------------------------------------------------------------------------------------ */

/* "GGUF"; the formats before it, written by llama.cpp until August 2023, are told apart. */
static bool check_magic(reader *r)
{
    static const char *const older[] = {"lmgg", "fmgg", "tjgg", "algg"};
    const uint8_t *magic = r->bytes;
    if (!take(r, 4, "the magic of a GGUF file", &magic)) {
        return false;
    }
    if (memcmp(magic, "GGUF", 4) == 0) {
        return true;
    }
    for (size_t i = 0; i < sizeof older / sizeof older[0]; i++) {
        if (memcmp(magic, older[i], 4) == 0) {
            return fail_at(r, 0, VS_ERR_FORMAT,
                           "a GGML file from before August 2023; convert the model to GGUF "
                           "with llama.cpp");
        }
    }
    if (memcmp(magic, "vers", 4) == 0) { /* "version https://git-lfs.github.com/spec/v1" */
        return fail_at(r, 0, VS_ERR_FORMAT,
                       "a Git LFS pointer in place of the file; fetch it with `git lfs pull`");
    }
    if (memcmp(magic, "<!DO", 4) == 0 || memcmp(magic, "<htm", 4) == 0) {
        return fail_at(r, 0, VS_ERR_FORMAT,
                       "a web page in place of the file; download it again");
    }
    return fail_at(r, 0, VS_ERR_FORMAT,
                   "not a GGUF file: it has to begin with \"GGUF\", found bytes %02x %02x %02x "
                   "%02x",
                   magic[0], magic[1], magic[2], magic[3]);
}

static bool check_version(reader *r)
{
    uint32_t version = 0;
    if (!read_u32(r, "the version of a GGUF file", &version)) {
        return false;
    }
    r->gguf.version = version;
    if (version == 2 || version == 3) {
        return true;
    }
    if ((version & 0xffffu) == 0 && version != 0) {
        return fail_at(r, 4, VS_ERR_FORMAT,
                       "a big-endian GGUF file (version %" PRIu32
                       "); turn it round with gguf-convert-endian of the gguf Python package",
                       version >> 24);
    }
    if (version == 1) {
        return fail_at(r, 4, VS_ERR_FORMAT,
                       "GGUF version 1 (August 2023) is read no longer, by llama.cpp neither; "
                       "convert the model again");
    }
    return fail_at(r, 4, VS_ERR_FORMAT,
                   "GGUF version %" PRIu32 " is not known; known are 2 and 3", version);
}

/* So many things, of at least bytes_min bytes each, can be in what is left; and they are not more than max. */
static bool check_count(reader *r, uint64_t pos, const char *what, uint64_t count, uint64_t max)
{
    return count <= max ||
           fail_at(r, pos, VS_ERR_LIMIT,
                   "%" PRIu64 " %s, more than the %" PRIu64 " that are accepted", count, what,
                   max);
}

static bool check_room(reader *r, uint64_t pos, const char *what, uint64_t count,
                       uint64_t bytes_min)
{
    if (count <= left(r) / bytes_min) {
        return true;
    }
    return r->size_bytes < r->file_bytes
               ? fail_short(r, count * bytes_min, "the head of a GGUF file")
               : fail_at(r, pos, VS_ERR_FORMAT,
                         "%" PRIu64 " %s do not fit into the %" PRIu64
                         " bytes that are left; is the download complete?",
                         count, what, left(r));
}

static bool read_counts(reader *r)
{
    uint64_t tensors = 0;
    uint64_t entries = 0;
    if (!read_u64(r, "the number of tensors", &tensors) ||
        !read_u64(r, "the number of metadata entries", &entries) ||
        !check_count(r, 8, "tensors", tensors, VS_GGUF_TENSORS_MAX) ||
        !check_count(r, 16, "metadata entries", entries, VS_GGUF_ENTRIES_MAX) ||
        !check_room(r, 8, "tensors", tensors, INFO_BYTES_MIN) ||
        !check_room(r, 16, "metadata entries", entries, ENTRY_BYTES_MIN)) {
        return false;
    }
    r->gguf.tensor_count = (uint32_t)tensors;
    r->gguf.entry_count = (uint32_t)entries;
    r->gguf.entries = VS_ARRAY(r->arena, vs_gguf_entry, r->gguf.entry_count);
    r->gguf.tensors = VS_ARRAY(r->arena, vs_tensor, r->gguf.tensor_count);
    r->info_pos = VS_ARRAY(r->arena, uint64_t, r->gguf.tensor_count);
    return (r->gguf.entries != NULL && r->gguf.tensors != NULL && r->info_pos != NULL) ||
           vs_fail_memory(r->err, r->arena, "the tensors of a GGUF file");
}

/* NOLINTNEXTLINE(readability-function-size): as vs_safetensors_parse */
bool vs_gguf_parse(vs_gguf *gguf, vs_arena *arena, const void *head, uint64_t head_bytes,
                   uint64_t file_bytes, const char *input_name, vs_err *err)
{
    vs_assert(head_bytes <= file_bytes);
    vs_err local = {0};
    reader r = {
        .bytes = head,
        .size_bytes = head_bytes,
        .file_bytes = file_bytes,
        .arena = arena,
        .err = &local,
        .gguf = {.bytes = head, .byte_count = head_bytes, .input_name = input_name},
    };
    if (!(check_magic(&r) && check_version(&r) && read_counts(&r) && read_entries(&r) &&
          read_infos(&r) && place_tensors(&r))) {
        vs_err_at_input(&local, input_name);
        if (err != NULL && err->code == VS_OK) {
            *err = local;
        }
        return false;
    }
    *gguf = r.gguf;
    return true;
}

/* ---- values of entries ------------------------------------------------------------------------------- */

const vs_gguf_entry *vs_gguf_find(const vs_gguf *gguf, const char *key)
{
    const uint32_t found = vs_name_index_find(&gguf->keys, vs_str_of(key));
    return found == UINT32_MAX ? NULL : &gguf->entries[found];
}

bool vs_gguf_u64(const vs_gguf *gguf, const vs_gguf_entry *entry, uint64_t index, uint64_t *out)
{
    const vs_gguf_type type = entry->type == VS_GGUF_ARRAY ? entry->item_type : entry->type;
    const unsigned bytes = type_bytes(type);
    if (bytes == 0 || type == VS_GGUF_F32 || type == VS_GGUF_F64 || index >= entry->count) {
        return false;
    }
    const bool is_signed =
        type == VS_GGUF_I8 || type == VS_GGUF_I16 || type == VS_GGUF_I32 || type == VS_GGUF_I64;
    const uint64_t value = load(gguf->bytes + entry->offset + index * bytes, bytes);
    const bool is_negative = is_signed && (value >> (8 * bytes - 1)) != 0;
    if (is_negative || value > UINT64_C(1) << 53) { /* what JSON numbers hold exactly */
        return false;
    }
    *out = type == VS_GGUF_BOOL ? value != 0 : value;
    return true;
}

bool vs_gguf_double(const vs_gguf *gguf, const vs_gguf_entry *entry, double *out)
{
    double value = 0.0;
    if (entry->type == VS_GGUF_F32) {
        const uint32_t bits = (uint32_t)load(gguf->bytes + entry->offset, 4);
        float narrow = 0.0F;
        memcpy(&narrow, &bits, sizeof narrow);
        value = (double)narrow;
    } else if (entry->type == VS_GGUF_F64) {
        const uint64_t bits = load(gguf->bytes + entry->offset, 8);
        memcpy(&value, &bits, sizeof value);
    } else {
        return false;
    }
    if (!isfinite(value)) {
        return false;
    }
    *out = value;
    return true;
}

bool vs_gguf_str(const vs_gguf *gguf, const vs_gguf_entry *entry, vs_str *out)
{
    if (entry->type != VS_GGUF_STRING) {
        return false;
    }
    *out = (vs_str){(const char *)gguf->bytes + entry->offset, (size_t)entry->count};
    return true;
}
