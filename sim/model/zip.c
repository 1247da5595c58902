/* zip.c - the central directory of a zip archive.
 *
 * Layouts: PKWARE APPNOTE.TXT 6.3.10, sections 4.3.7 (local header), 4.3.12 (directory), 4.3.14 to 4.3.16 (its ends), 4.5.3
 * (64-bit sizes). Where files deviate - comments, bytes after the end, bytes before the archive - this does what Python's
 * Lib/zipfile.py (3.11, _EndRecData and _RealGetContents) does, since that is what decides how Transformers 5.12.1 loads
 * a .bin file (modeling_utils.py, load_state_dict). Disagreeing sizes, overlaps and names listed in two ways are refused. */
#include <string.h>

#include "sim/model/internal.h"
#include "sim/model/zip.h"

#define END_BYTES       22u
#define END64_BYTES     56u
#define LOCATOR_BYTES   20u
#define ENTRY_BYTES     46u
#define LOCAL_BYTES     30u
#define COMMENT_MAX     65535u
#define END_SIGNATURE   UINT32_C(0x06054b50)
#define END64_SIGNATURE UINT32_C(0x06064b50)
#define LOCATOR_SIGN    UINT32_C(0x07064b50)
#define ENTRY_SIGNATURE UINT32_C(0x02014b50)
#define LOCAL_SIGNATURE UINT32_C(0x04034b50)
#define EXTRA_64        1u /* 4.5.3 */
#define IN_64_BITS      UINT32_MAX

/* General purpose bits (4.4.4): encrypted, patch data, strongly encrypted, local header masked. */
#define FLAGS_REFUSED ((1u << 0) | (1u << 5) | (1u << 6) | (1u << 13))

/* Where the directory stands, according to the records at the end. */
typedef struct {
    uint64_t record_offset; /* of the first of the end records */
    uint64_t size_bytes;
    uint64_t offset; /* before prefix_bytes is added */
} directory_place;

static uint32_t u16_at(const uint8_t *p)
{
    return (uint32_t)p[0] | ((uint32_t)p[1] << 8);
}

static uint32_t u32_at(const uint8_t *p)
{
    return u16_at(p) | (u16_at(p + 2) << 16);
}

static uint64_t u64_at(const uint8_t *p)
{
    return (uint64_t)u32_at(p) | ((uint64_t)u32_at(p + 4) << 32);
}

static bool fail_at(vs_err *err, uint64_t offset, const char *what)
{
    (void)vs_fail(err, VS_ERR_FORMAT, "%s", what);
    vs_err_at_offset(err, offset);
    return false;
}

/* ---- the end records ------------------------------------------------------------------------------- */

/* Finds the last end record: at the very end without a comment, or else its last signature in the last 64 KiB.
 * *at is UINT64_MAX when there is none. */
static bool find_end(const vs_byte_source *source, vs_arena *scratch, uint8_t end[END_BYTES],
                     uint64_t *at, vs_err *err)
{
    *at = UINT64_MAX;
    const uint64_t size = source->size_bytes;
    if (size < END_BYTES) {
        return true;
    }
    if (!vs_byte_source_read(source, size - END_BYTES, END_BYTES, end, err)) {
        return false;
    }
    if (u32_at(end) == END_SIGNATURE && u16_at(end + 20) == 0) {
        *at = size - END_BYTES;
        return true;
    }
    const uint64_t tail_bytes =
        size < END_BYTES + COMMENT_MAX ? size : (uint64_t)END_BYTES + COMMENT_MAX;
    const size_t mark = scratch->used_bytes;
    uint8_t *const tail = vs_arena_alloc(scratch, (size_t)tail_bytes, 1);
    if (tail == NULL) {
        return vs_fail_memory(err, scratch, "the end of a zip archive");
    }
    if (!vs_byte_source_read(source, size - tail_bytes, (size_t)tail_bytes, tail, err)) {
        return false;
    }
    for (uint64_t i = tail_bytes - END_BYTES + 1; i-- > 0;) {
        if (u32_at(tail + i) == END_SIGNATURE) {
            memcpy(end, tail + i, END_BYTES);
            *at = size - tail_bytes + i;
            break;
        }
    }
    vs_arena_rewind(scratch, mark);
    return true;
}

/* The 64-bit end record, when its locator stands right before the end record. */
static bool read_end64(const vs_byte_source *source, uint64_t end_offset,
                       directory_place *place, vs_err *err)
{
    uint8_t locator[LOCATOR_BYTES];
    uint8_t record[END64_BYTES];
    if (end_offset < LOCATOR_BYTES) {
        return true;
    }
    const uint64_t locator_offset = end_offset - LOCATOR_BYTES;
    if (!vs_byte_source_read(source, locator_offset, LOCATOR_BYTES, locator, err)) {
        return false;
    }
    if (u32_at(locator) != LOCATOR_SIGN) {
        return true;
    }
    if (u32_at(locator + 4) != 0 || u32_at(locator + 16) > 1) {
        return fail_at(err, locator_offset, "a zip archive in several parts cannot be read");
    }
    if (locator_offset < END64_BYTES) {
        return fail_at(err, locator_offset, "expected a 64-bit end record before this locator");
    }
    const uint64_t record_offset = locator_offset - END64_BYTES;
    if (!vs_byte_source_read(source, record_offset, END64_BYTES, record, err)) {
        return false;
    }
    if (u32_at(record) != END64_SIGNATURE) {
        return fail_at(err, record_offset, "expected the 64-bit end record of a zip archive");
    }
    place->record_offset = record_offset;
    place->size_bytes = u64_at(record + 40);
    place->offset = u64_at(record + 48);
    return true;
}

static bool find_directory(const vs_byte_source *source, vs_arena *scratch,
                           directory_place *place, vs_err *err)
{
    uint8_t end[END_BYTES];
    uint64_t at = UINT64_MAX;
    if (!find_end(source, scratch, end, &at, err)) {
        return false;
    }
    if (at == UINT64_MAX) {
        return vs_fail(err, VS_ERR_FORMAT,
                       "the end of the zip archive is not there; is the download complete?");
    }
    *place = (directory_place){at, u32_at(end + 12), u32_at(end + 16)};
    if (!read_end64(source, at, place, err)) {
        return false;
    }
    if (place->size_bytes > place->record_offset ||
        place->offset > place->record_offset - place->size_bytes) {
        (void)vs_fail(err, VS_ERR_FORMAT,
                      "the end record gives a directory of %" PRIu64 " bytes at %" PRIu64
                      ", which is not before it",
                      place->size_bytes, place->offset);
        vs_err_at_offset(err, place->record_offset);
        return false;
    }
    if (place->size_bytes > VS_ZIP_DIRECTORY_MAX) {
        return vs_fail(err, VS_ERR_LIMIT,
                       "a zip directory of %" PRIu64 " bytes; the limit is %" PRIu64,
                       place->size_bytes, VS_ZIP_DIRECTORY_MAX);
    }
    return true;
}

bool vs_zip_detect(const vs_byte_source *source, vs_arena *scratch, bool *is_zip, vs_err *err)
{
    uint8_t end[END_BYTES];
    uint64_t at = UINT64_MAX;
    if (!find_end(source, scratch, end, &at, err)) {
        return false;
    }
    *is_zip = at != UINT64_MAX;
    return true;
}

/* ---- entries ------------------------------------------------------------------------------------------ */

/* One 64-bit value of the extra field for a 32-bit one that says so. */
static bool take_64(uint64_t *value, const uint8_t **extra, uint32_t *left)
{
    if (*value != IN_64_BITS) {
        return true;
    }
    if (*left < 8) {
        return false;
    }
    *value = u64_at(*extra);
    *extra += 8;
    *left -= 8;
    return true;
}

static bool read_extra(vs_zip_entry *entry, const uint8_t *extra, uint32_t extra_bytes)
{
    while (extra_bytes >= 4) {
        const uint32_t id = u16_at(extra);
        uint32_t left = u16_at(extra + 2);
        if (left > extra_bytes - 4) {
            return false;
        }
        const uint8_t *value = extra + 4;
        extra += 4 + left;
        extra_bytes -= 4 + left;
        if (id == EXTRA_64 && !(take_64(&entry->size_bytes, &value, &left) &&
                                take_64(&entry->packed_bytes, &value, &left) &&
                                take_64(&entry->header_offset, &value, &left))) {
            return false;
        }
    }
    return true;
}

/* The entry at bytes; *used receives its length. offset: of bytes, for messages. */
static bool read_entry(vs_zip_entry *entry, const uint8_t *bytes, uint64_t left,
                       uint64_t offset, uint64_t *used, vs_err *err)
{
    if (left < ENTRY_BYTES || u32_at(bytes) != ENTRY_SIGNATURE) {
        return fail_at(err, offset, "expected an entry of the zip directory");
    }
    const uint32_t name_bytes = u16_at(bytes + 28);
    const uint32_t extra_bytes = u16_at(bytes + 30);
    const uint64_t total =
        (uint64_t)ENTRY_BYTES + name_bytes + extra_bytes + u16_at(bytes + 32);
    if (total > left) {
        return fail_at(err, offset, "an entry of the zip directory reaches beyond its end");
    }
    if (name_bytes > VS_ZIP_NAME_MAX) {
        (void)vs_fail(err, VS_ERR_LIMIT,
                      "a name of %" PRIu32 " bytes in the zip directory; the limit is %u",
                      name_bytes, VS_ZIP_NAME_MAX);
        vs_err_at_offset(err, offset);
        return false;
    }
    *entry = (vs_zip_entry){
        .name = {(const char *)bytes + ENTRY_BYTES, name_bytes},
        .header_offset = u32_at(bytes + 42),
        .size_bytes = u32_at(bytes + 24),
        .packed_bytes = u32_at(bytes + 20),
        .method = (uint16_t)u16_at(bytes + 10),
        .flags = (uint16_t)u16_at(bytes + 8),
    };
    if (name_bytes == 0 || memchr(entry->name.ptr, '\0', name_bytes) != NULL) {
        return fail_at(err, offset, "a name in the zip directory is empty or holds a NUL");
    }
    if (!read_extra(entry, bytes + ENTRY_BYTES + name_bytes, extra_bytes)) {
        return fail_at(err, offset, "the extra field of a zip entry is corrupt");
    }
    *used = total;
    return true;
}

static bool read_entries(vs_zip *zip, const uint8_t *bytes, uint64_t count, vs_arena *scratch,
                         vs_err *err)
{
    zip->entries = VS_ARRAY(scratch, vs_zip_entry, (size_t)(count / ENTRY_BYTES));
    if (zip->entries == NULL) {
        return vs_fail_memory(err, scratch, "a zip directory");
    }
    uint64_t pos = 0;
    while (pos < count) {
        vs_zip_entry *const entry = &zip->entries[zip->entry_count];
        vs_zip_entry read = {0};
        uint64_t used = 0;
        if (!read_entry(&read, bytes + pos, count - pos, zip->directory_offset + pos, &used,
                        err)) {
            return false;
        }
        if (!vs_add_u64(read.header_offset, zip->prefix_bytes, &read.header_offset)) {
            return fail_at(err, zip->directory_offset + pos, "an offset beyond 2^64");
        }
        *entry = read;
        zip->entry_count++;
        pos += used;
    }
    return true;
}

/* The least that an entry takes of the file. */
static bool entry_end(const vs_zip_entry *entry, uint64_t *out)
{
    return vs_add_u64(entry->header_offset, LOCAL_BYTES + entry->name.len, out) &&
           vs_add_u64(*out, entry->packed_bytes, out);
}

static bool fail_overlap(const vs_zip_entry *a, const vs_zip_entry *b, uint64_t limit,
                         vs_err *err)
{
    (void)vs_fail(err, VS_ERR_VALUE,
                  "zip entry \"%.*s\" of %" PRIu64 " bytes reaches into %s%.*s%s at %" PRIu64,
                  (int)a->name.len, a->name.ptr, a->packed_bytes, b == NULL ? "" : "\"",
                  b == NULL ? 13 : (int)b->name.len, b == NULL ? "the directory" : b->name.ptr,
                  b == NULL ? "" : "\"", limit);
    vs_err_at_offset(err, a->header_offset);
    return false;
}

static bool check_overlaps(const vs_zip *zip, vs_arena *scratch, vs_err *err)
{
    const size_t mark = scratch->used_bytes;
    vs_sort_key *const keys = VS_ARRAY(scratch, vs_sort_key, zip->entry_count);
    if (keys == NULL) {
        return vs_fail_memory(err, scratch, "the order of a zip archive");
    }
    for (uint32_t i = 0; i < zip->entry_count; i++) {
        keys[i] = (vs_sort_key){{zip->entries[i].header_offset, 0, 0}, i};
    }
    if (!vs_sort_keys(keys, zip->entry_count, NULL, scratch)) {
        return vs_fail_memory(err, scratch, "the order of a zip archive");
    }
    for (uint32_t i = 0; i < zip->entry_count; i++) {
        vs_zip_entry *const a = &zip->entries[keys[i].index];
        const vs_zip_entry *const b =
            i + 1 < zip->entry_count ? &zip->entries[keys[i + 1].index] : NULL;
        const uint64_t limit = b == NULL ? zip->directory_offset : b->header_offset;
        uint64_t end = 0;
        if (!entry_end(a, &end) || end > limit) {
            return fail_overlap(a, b, limit, err);
        }
        a->limit_offset = limit;
    }
    vs_arena_rewind(scratch, mark);
    return true;
}

bool vs_zip_read(vs_zip *zip, const vs_byte_source *source, vs_arena *scratch, vs_err *err)
{
    directory_place place = {0};
    if (!find_directory(source, scratch, &place, err)) {
        return false;
    }
    vs_zip read = {.directory_offset = place.record_offset - place.size_bytes};
    read.prefix_bytes = read.directory_offset - place.offset;
    uint8_t *const bytes = vs_arena_alloc(scratch, (size_t)place.size_bytes, 1);
    if (bytes == NULL) {
        return vs_fail_memory(err, scratch, "a zip directory");
    }
    if (!vs_byte_source_read(source, read.directory_offset, (size_t)place.size_bytes, bytes,
                             err) ||
        !read_entries(&read, bytes, place.size_bytes, scratch, err) ||
        !check_overlaps(&read, scratch, err)) {
        return false;
    }
    *zip = read;
    return true;
}

/* ---- what an entry holds ---------------------------------------------------------------------------------- */

static const char *method_name(uint32_t method)
{
    switch (method) { /* 4.4.5 */
    case 8: return "deflate";
    case 9: return "deflate64";
    case 12: return "bzip2";
    case 14: return "lzma";
    case 93: return "zstandard";
    case 95: return "xz";
    default: return "an unusual method";
    }
}

bool vs_zip_check_stored(const vs_zip_entry *entry, vs_err *err)
{
    const int len = (int)entry->name.len;
    bool is_good = true;
    if ((entry->flags & FLAGS_REFUSED) != 0) {
        is_good = vs_fail(err, VS_ERR_VALUE, "zip entry \"%.*s\" is encrypted or patched", len,
                          entry->name.ptr);
    } else if (entry->method != 0) {
        is_good =
            vs_fail(err, VS_ERR_VALUE,
                    "zip entry \"%.*s\" is compressed (%s, %u); torch.save never compresses: "
                    "unpack it and save it with torch again",
                    len, entry->name.ptr, method_name(entry->method), (unsigned)entry->method);
    } else if (entry->packed_bytes != entry->size_bytes) {
        is_good = vs_fail(err, VS_ERR_VALUE,
                          "zip entry \"%.*s\" is stored as it is, but has two sizes, %" PRIu64
                          " and %" PRIu64,
                          len, entry->name.ptr, entry->packed_bytes, entry->size_bytes);
    }
    if (!is_good) {
        vs_err_at_offset(err, entry->header_offset);
    }
    return is_good;
}

bool vs_zip_data_offset(const vs_byte_source *source, const vs_zip_entry *entry, uint64_t *out,
                        vs_err *err)
{
    uint8_t local[LOCAL_BYTES];
    char name[VS_ZIP_NAME_MAX];
    const uint64_t at = entry->header_offset;
    if (!vs_byte_source_read(source, at, LOCAL_BYTES, local, err)) {
        return false;
    }
    if (u32_at(local) != LOCAL_SIGNATURE) {
        return fail_at(err, at, "expected the local header of a zip entry");
    }
    /* at + LOCAL_BYTES + name + data fits before the directory: checked for all entries */
    if (!vs_byte_source_read(source, at + LOCAL_BYTES, entry->name.len, name, err)) {
        return false;
    }
    if (u16_at(local + 26) != entry->name.len ||
        memcmp(name, entry->name.ptr, entry->name.len) != 0) {
        (void)vs_fail(err, VS_ERR_FORMAT,
                      "the zip directory calls this entry \"%.*s\", its local header does not",
                      (int)entry->name.len, entry->name.ptr);
        vs_err_at_offset(err, at);
        return false;
    }
    const uint64_t start = at + LOCAL_BYTES + entry->name.len + u16_at(local + 28);
    if (start > entry->limit_offset || entry->packed_bytes > entry->limit_offset - start) {
        (void)vs_fail(err, VS_ERR_VALUE,
                      "zip entry \"%.*s\" of %" PRIu64 " bytes at %" PRIu64
                      " reaches into what begins at %" PRIu64,
                      (int)entry->name.len, entry->name.ptr, entry->packed_bytes, start,
                      entry->limit_offset);
        vs_err_at_offset(err, at);
        return false;
    }
    *out = start;
    return true;
}
