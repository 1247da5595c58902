/* traces/read/recorder.c - files of our own recorder (mtr.h), whole or as a crash left them.
 *
 * Slabs are read front to back; committed records are collected, put in order (time, then the slab's number, then their
 * place) and handed to the builder. Whatever cannot be read - a broken slab header, a record whose commit byte is missing,
 * the end of a cut file - is skipped and told with its offset; the rest counts. */
#include "traces/read/order.h"
#include "traces/read/recorder_take.h"

#include <stdio.h>
#include <string.h>
#include <zlib.h>

#define HEADER_MAX   ((uint32_t)VS_MIB)
#define SLAB_MAX     ((uint32_t)(16 * VS_MIB))
#define RECORD_SHIFT 10u

static uint32_t u32_at(const uint8_t *p)
{
    return (uint32_t)p[0] | ((uint32_t)p[1] << 8) | ((uint32_t)p[2] << 16) |
           ((uint32_t)p[3] << 24);
}

static uint64_t u64_at(const uint8_t *p)
{
    return (uint64_t)u32_at(p) | ((uint64_t)u32_at(p + 4) << 32);
}

static void count_at(recorder_happening *h, uint64_t offset, uint64_t bytes)
{
    if (h->count < PLACES_TOLD) {
        h->places[h->count] = offset;
    }
    h->count++;
    h->bytes += bytes;
}

/* ---- the header ---------------------------------------------------------------------------------------------- */

/* "device.3.name=NVIDIA L4": the number behind "device.", and what follows it; false for other lines. */
static bool device_key(vs_str line, uint32_t *out_device, vs_str *out_rest)
{
    static const char prefix[] = "device.";
    if (!vs_str_starts(line, prefix)) {
        return false;
    }
    size_t at = sizeof prefix - 1;
    uint32_t number = 0;
    while (at < line.len && line.ptr[at] >= '0' && line.ptr[at] <= '9' &&
           number < DEVICES_MAX) {
        number = number * 10 + (uint32_t)(line.ptr[at++] - '0');
    }
    *out_device = number;
    *out_rest = (vs_str){line.ptr + at, line.len - at};
    return number < DEVICES_MAX && at > sizeof prefix - 1;
}

static vs_str after(vs_str text, const char *prefix)
{
    const size_t len = strlen(prefix);
    return (vs_str){text.ptr + len, text.len - len};
}

static void read_line(recorder_reading *r, vs_str line)
{
    uint32_t device = 0;
    vs_str rest = {0};
    if (vs_str_starts(line, "program=")) {
        const vs_str program = after(line, "program=");
        const char *const made_by =
            vs_arena_printf(r->desc->keep, "vramscope record of %.*s",
                            program.len > 200 ? 200 : (int)program.len, program.ptr);
        builder_head(r->b)->made_by = made_by != NULL ? made_by : "vramscope record";
    } else if (vs_str_is(line, "late=1")) {
        builder_note(r->b, "the recorder was attached late: what the program held before is "
                           "not in the file");
    } else if (device_key(line, &device, &rest)) {
        uint64_t bytes = 0;
        if (vs_str_starts(rest, ".name=")) {
            const uint32_t name = vs_strtab_add(&r->texts, after(rest, ".name="));
            r->names[device] = name == UINT32_MAX ? 0 : name;
        } else if (vs_str_starts(rest, ".total_bytes=") &&
                   vs_parse_u64(after(rest, ".total_bytes="), &bytes, NULL)) {
            r->totals[device] = bytes;
        }
    }
}

static void read_lines(recorder_reading *r, vs_str text)
{
    while (text.len > 0 && text.ptr[0] != '\0') {
        const char *const stop = memchr(text.ptr, '\n', text.len);
        const size_t len = stop == NULL ? text.len : (size_t)(stop - text.ptr);
        read_line(r, (vs_str){text.ptr, len});
        const size_t used = stop == NULL ? len : len + 1;
        text = (vs_str){text.ptr + used, text.len - used};
    }
}

static bool fail_header(recorder_reading *r, const char *what, uint64_t found)
{
    return vs_fail(r->err, VS_ERR_FORMAT,
                   "a recorder file whose header says %s %" PRIu64
                   ", which cannot be; it is damaged",
                   what, found);
}

static bool read_header(recorder_reading *r, vs_input *in)
{
    if (!input_need(in, MTR_FIELD_BYTES, r->err)) {
        return vs_fail(r->err, VS_ERR_FORMAT,
                       "a recorder file that ends inside its header: nothing was recorded");
    }
    const uint32_t version = u32_at(in->at + 8);
    r->header_bytes = u32_at(in->at + 12);
    const uint32_t record_bytes = u32_at(in->at + 16);
    r->slab_bytes = u32_at(in->at + 20);
    if (memcmp(in->at, MTR_MAGIC, 8) != 0) {
        return vs_fail(r->err, VS_ERR_FORMAT, "expected a recorder file (MTRACE1)");
    }
    if (version != MTR_VERSION) {
        return vs_fail(r->err, VS_ERR_FORMAT,
                       "a recorder file of version %" PRIu32 "; this program reads version %u",
                       version, MTR_VERSION);
    }
    if (r->header_bytes < MTR_FIELD_BYTES || r->header_bytes > HEADER_MAX) {
        return fail_header(r, "header bytes", r->header_bytes);
    }
    if (record_bytes != MTR_RECORD_BYTES) {
        return fail_header(r, "record bytes", record_bytes);
    }
    if (r->slab_bytes < 2 * MTR_SLAB_HEADER || r->slab_bytes > SLAB_MAX ||
        r->slab_bytes % MTR_RECORD_BYTES != 0) {
        return fail_header(r, "slab bytes", r->slab_bytes);
    }
    const uint64_t mono = u64_at(in->at + 28);
    const uint64_t real = u64_at(in->at + 36);
    vs_recording *const head = builder_head(r->b);
    head->has_time = true;
    head->made_by = "vramscope record";
    head->epoch_ns = real > mono ? real - mono : BUILDER_EPOCH_UNKNOWN;
    if (!input_need(in, r->header_bytes, r->err)) {
        return vs_fail(r->err, VS_ERR_FORMAT,
                       "a recorder file that ends inside its header: nothing was recorded");
    }
    read_lines(
        r, (vs_str){(const char *)in->at + MTR_FIELD_BYTES, r->header_bytes - MTR_FIELD_BYTES});
    in->at += r->header_bytes;
    return true;
}

/* ---- slabs ------------------------------------------------------------------------------------------------------ */

static bool is_zero(const uint8_t *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (bytes[i] != 0) {
            return false;
        }
    }
    return true;
}

static bool read_records(recorder_reading *r, const uint8_t *bytes, size_t count, uint64_t seq,
                         uint64_t offset)
{
    for (size_t at = 0; at + MTR_RECORD_BYTES <= count; at += MTR_RECORD_BYTES) {
        const uint8_t *const p = bytes + at;
        if (p[63] != MTR_COMMIT) {
            if (!is_zero(p, MTR_RECORD_BYTES)) {
                count_at(&r->uncommitted, offset + at, MTR_RECORD_BYTES);
            }
            continue;
        }
        recorder_record *const row = rows_add(&r->records);
        if (row == NULL) {
            return recorder_no_memory(r);
        }
        *row = (recorder_record){.t = u64_at(p),
                                 .a = u64_at(p + 8),
                                 .b = u64_at(p + 16),
                                 .c = u64_at(p + 24),
                                 .d = u64_at(p + 32),
                                 .seq = seq,
                                 .stream = u32_at(p + 40),
                                 .str = u32_at(p + 48),
                                 .aux = u32_at(p + 52),
                                 .type = (uint16_t)(p[56] | (p[57] << 8)),
                                 .dev = p[58],
                                 .flags = p[59]};
    }
    return true;
}

static bool read_strings(recorder_reading *r, const uint8_t *bytes, size_t count,
                         uint64_t offset)
{
    size_t at = 0;
    while (count - at >= 8) {
        const uint32_t len = u32_at(bytes + at);
        const uint32_t id = u32_at(bytes + at + 4);
        if (len == 0) {
            return true;
        }
        if (len > count - at - 8 || id == 0) {
            count_at(&r->broken, offset + at, count - at);
            return true;
        }
        const uint32_t text =
            vs_strtab_add(&r->texts, (vs_str){(const char *)bytes + at + 8, len});
        if (text == UINT32_MAX || !map_set(&r->strings, id, text)) {
            return recorder_no_memory(r);
        }
        const size_t padded = ((size_t)len + 3) & ~(size_t)3;
        at += 8 + (padded < count - at - 8 ? padded : count - at - 8);
    }
    return true;
}

/* count bytes of a slab: less than a whole one at the end of a cut file. */
static bool read_slab(recorder_reading *r, const uint8_t *p, size_t count, uint64_t offset)
{
    if (count < MTR_SLAB_HEADER || memcmp(p, MTR_SLAB_MAGIC, 4) != 0) {
        if (!is_zero(p, count)) {
            count_at(&r->broken, offset, count);
        }
        return true;
    }
    const uint32_t kind = u32_at(p + 4);
    const uint64_t seq = u64_at(p + 16);
    const uint32_t crc = u32_at(p + 32);
    const uint32_t used = u32_at(p + 36);
    const uint8_t *const body = p + MTR_SLAB_HEADER;
    const size_t body_bytes = count - MTR_SLAB_HEADER;
    if (crc != 0 && (used > body_bytes || crc32(0, body, used) != crc)) {
        count_at(&r->bad_crc, offset, count);
        return true;
    }
    switch (kind) {
    case MTR_SLAB_RECORDS:
        return read_records(r, body, body_bytes, seq, offset + MTR_SLAB_HEADER);
    case MTR_SLAB_STRINGS: return read_strings(r, body, body_bytes, offset + MTR_SLAB_HEADER);
    case MTR_SLAB_INDEX: r->has_index = true; return true;
    default: count_at(&r->broken, offset, count); return true;
    }
}

static bool read_slabs(recorder_reading *r, vs_input *in)
{
    uint64_t slabs = 0;
    while (true) {
        const bool is_whole = input_need(in, r->slab_bytes, r->err);
        if (r->err->code != VS_OK) {
            return false;
        }
        const size_t there = (size_t)(in->end - in->at);
        const size_t count = is_whole ? r->slab_bytes : there;
        if (count == 0) {
            break;
        }
        if (!is_whole) {
            builder_note(r->b,
                         "the file ends inside a slab: %zu of its %" PRIu32
                         " bytes are there, from offset 0x%" PRIx64,
                         count, r->slab_bytes, input_offset(in));
        }
        if (!read_slab(r, in->at, count, input_offset(in))) {
            return false;
        }
        in->at += count;
        if (r->desc->progress != NULL && slabs++ % 64 == 0) {
            r->desc->progress(r->desc->ctx, in->packed_read, in->packed_total);
        }
    }
    if (in->was_cut) {
        builder_note(r->b,
                     "the gzip'ed file is cut or damaged at offset 0x%" PRIx64
                     " of what it unpacks to",
                     in->offset_of_end);
    }
    return true;
}

/* By time, then slab, then place. NULL: out of memory. */
static uint32_t *final_order(recorder_reading *r)
{
    vs_arena *const scratch = r->desc->scratch;
    const uint32_t count = (uint32_t)r->records.count;
    uint64_t *const keys = VS_RAW_ARRAY(scratch, uint64_t, count);
    if (keys == NULL) {
        return NULL;
    }
    for (uint32_t i = 0; i < count; i++) {
        keys[i] = ((const recorder_record *)rows_at(&r->records, i))->seq;
    }
    uint32_t *const by_slab = order_by_key(keys, count, scratch);
    if (by_slab == NULL) {
        return NULL;
    }
    for (uint32_t i = 0; i < count; i++) {
        keys[i] = ((const recorder_record *)rows_at(&r->records, by_slab[i]))->t;
    }
    uint32_t *const order = order_by_key(keys, count, scratch);
    for (uint32_t i = 0; order != NULL && i < count; i++) {
        order[i] = by_slab[order[i]];
    }
    return order;
}

static bool take_all(recorder_reading *r)
{
    if (r->records.count >= UINT32_MAX) {
        return vs_fail(r->err, VS_ERR_LIMIT, "more than 2^32 records");
    }
    const uint32_t *const order = final_order(r);
    if (order == NULL) {
        return recorder_no_memory(r);
    }
    for (uint32_t i = 0; i < r->records.count; i++) {
        if (!recorder_take(r, rows_at(&r->records, order[i]), order[i])) {
            return false;
        }
    }
    return true;
}

/* ---- notes ------------------------------------------------------------------------------------------------------------ */

static void note_happening(recorder_reading *r, const recorder_happening *h, const char *what)
{
    char places[PLACES_TOLD * 20] = "";
    size_t used = 0;
    for (uint64_t i = 0; i < h->count && i < PLACES_TOLD; i++) {
        const int n = snprintf(places + used, sizeof places - used, "%s0x%" PRIx64,
                               i == 0 ? "" : ", ", h->places[i]);
        used += n > 0 ? (size_t)n : 0;
    }
    if (h->count > 0) {
        builder_note(r->b, "%" PRIu64 " %s: %" PRIu64 " bytes, at offset %s%s", h->count, what,
                     h->bytes, places, h->count > PLACES_TOLD ? " and later" : "");
    }
}

static void note_count(recorder_reading *r, uint64_t count, const char *what)
{
    if (count > 0) {
        builder_note(r->b, "%" PRIu64 " %s", count, what);
    }
}

static void note_all(recorder_reading *r)
{
    note_happening(r, &r->broken, "unreadable parts left out");
    note_happening(r, &r->bad_crc, "slabs with a wrong checksum left out");
    note_happening(r, &r->uncommitted, "records that were never finished left out");
    for (uint32_t i = 0; i < UNKNOWN_TYPES && r->unknown_counts[i] > 0; i++) {
        builder_note(r->b, "%" PRIu64 " records of the unknown type %" PRIu64 " left out",
                     r->unknown_counts[i], r->unknown_types[i]);
    }
    note_count(r, r->unknown_more, "records of further unknown types left out");
    note_count(r, r->dropped, "records were lost while recording");
    note_count(r, r->managed,
               "allocations of managed memory left out: they take device memory "
               "only where they are touched");
    note_count(r, r->imported, "pieces of memory of other processes left out");
    note_count(r, r->untimed, "copies and kernels without times left out");
    note_count(r, r->still_open, "copies and kernels were under way at the end and left out");
    note_count(r, r->failed_calls, "calls failed for another reason than want of memory");
    note_count(r, r->untold,
               "copies left out: they do not say whether their host memory was "
               "pinned");
    note_count(r, r->notes > REMARKS_MAX ? r->notes - REMARKS_MAX : 0,
               "further remarks of the recorder left out");
    note_count(r, r->unmapped_unknown,
               "releases and mappings of memory from before the recording");
    note_count(r, r->odd, "records left out: their values cannot be");
    if (r->largest_pool_bytes > 0) {
        char size[VS_TEXT_BYTES];
        builder_note(
            r->b,
            "memory of cuMemAllocAsync counts as what was handed out; its pool held up "
            "to %s",
            vs_format_size(r->largest_pool_bytes, size));
    }
    if (!r->has_index) {
        builder_note(r->b,
                     "the program did not end cleanly, or the end of the file is missing");
    }
}

/* ---- the file ------------------------------------------------------------------------------------------------------------ */

static void name_devices(recorder_reading *r)
{
    for (uint32_t i = 0; i + 1 < DEVICES_MAX; i++) {
        if (r->totals[i] > 0 || r->names[i] != 0) {
            const uint8_t device = builder_device(r->b, i, false);
            builder_name_device(r->b, device, vs_str_of(vs_strtab_get(&r->texts, r->names[i])),
                                r->totals[i]);
        }
    }
}

bool read_recorder(vs_recording *out, vs_input *in, const vs_read_desc *desc, vs_err *err)
{
    vs_err own = {0};
    recorder_reading *const r = VS_NEW(desc->scratch, recorder_reading);
    vs_builder *const b = builder_new(desc, VS_TRACE_RECORDER);
    if (r == NULL || b == NULL || !vs_strtab_init(&r->texts, desc->scratch, 0)) {
        return vs_fail_memory(err, desc->scratch, "a recorder file");
    }
    r->desc = desc;
    r->b = b;
    r->err = &own;
    r->records = rows_of(desc->scratch, sizeof(recorder_record), RECORD_SHIFT);
    r->physicals = rows_of(desc->scratch, sizeof(recorder_physical), RECORD_SHIFT);
    r->strings = (map64){.arena = desc->scratch};
    r->handles = r->strings;
    r->mapped = r->strings;
    bool is_read = read_header(r, in) && read_slabs(r, in) && take_all(r);
    if (is_read) {
        name_devices(r);
        note_all(r);
        is_read = builder_finish(b, out, &own);
    }
    if (!is_read && err != NULL && err->code == VS_OK) {
        *err = own;
    }
    return is_read;
}
