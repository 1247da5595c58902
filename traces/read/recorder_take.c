/* traces/read/recorder_take.c - what the records of a recorder file say (mtr.h).
 *
 * Physical memory (cuMemCreate) counts once however often it is mapped, from its creation until the last release of its handle
 * and the last unmapping, so it is a segment of its own: its handle with the top bit set stands for the address it does
 * not have, and mappings become marks. */
#include "traces/read/recorder_take.h"

#define PHYSICAL_BIT (UINT64_C(1) << 63)

bool recorder_no_memory(recorder_reading *r)
{
    return vs_fail_memory(r->err, r->desc->scratch, "a recorder file");
}

vs_str recorder_text(const recorder_reading *r, uint32_t str)
{
    const uint64_t *const found = str == 0 ? NULL : map_get(&r->strings, str);
    return vs_str_of(found == NULL ? "" : vs_strtab_get(&r->texts, (uint32_t)*found));
}

/* ---- records -------------------------------------------------------------------------------------------------------- */

static uint32_t text_of(const recorder_reading *r, uint32_t str)
{
    return builder_string(r->b, recorder_text(r, str));
}

/* The builder's device; false: a number that cannot be, counted. */
static bool device_of(recorder_reading *r, const recorder_record *rec, uint8_t *out)
{
    if (rec->dev != MTR_HOST && rec->dev >= DEVICES_MAX - 1) {
        r->odd++;
        return false;
    }
    const bool is_host = rec->dev == MTR_HOST;
    *out = builder_device(r->b, is_host ? 0 : rec->dev, is_host);
    return true;
}

static void add_event(recorder_reading *r, const recorder_record *rec, uint32_t origin,
                      vs_rec_event event)
{
    uint8_t device = 0;
    if (!device_of(r, rec, &device)) {
        return;
    }
    event.time_ns = rec->t;
    event.stack = VS_REC_NO_STACK;
    event.stream = builder_stream(r->b, rec->stream);
    event.origin = origin;
    event.label = event.label != 0 ? event.label : text_of(r, rec->str);
    builder_event(r->b, device, &event, NULL);
}

/* Device memory at an address, or pinned memory. */
static void add_memory(recorder_reading *r, const recorder_record *rec, uint32_t origin,
                       bool is_alloc)
{
    const bool is_pinned = rec->type >= MTR_PIN_ADD && rec->type <= MTR_PINREG_DEL;
    recorder_record at = *rec;
    if ((rec->flags & MTR_MANAGED) != 0) {
        r->managed += is_alloc ? 1 : 0;
        return;
    }
    if ((rec->flags & MTR_IMPORTED) != 0) {
        r->imported += is_alloc ? 1 : 0;
        return;
    }
    at.dev = is_pinned ? MTR_HOST : rec->dev;
    if (!is_pinned && at.dev == MTR_HOST) {
        r->odd++;
        return;
    }
    add_event(r, &at, origin,
              (vs_rec_event){
                  .addr = rec->a,
                  .size = rec->b,
                  .action = (uint8_t)(is_alloc ? VS_REC_SEGMENT_ALLOC : VS_REC_SEGMENT_FREE),
                  .category = is_pinned ? VS_CAT_PINNED : VS_CAT_TENSOR});
}

static void add_mark(recorder_reading *r, const recorder_record *rec, uint32_t origin,
                     const char *what)
{
    const uint32_t label = text_of(r, rec->str);
    add_event(
        r, rec, origin,
        (vs_rec_event){.addr = rec->a,
                       .size = rec->b,
                       .action = VS_REC_MARK,
                       .category = VS_CAT_TENSOR,
                       .label = label != 0 ? label : builder_string(r->b, vs_str_of(what))});
}

/* ---- physical memory ---- */

static recorder_physical *find_physical(recorder_reading *r, const map64 *map, uint64_t key)
{
    const uint64_t *const index = map_get(map, key);
    return index == NULL || *index == 0 ? NULL : rows_at(&r->physicals, *index - 1);
}

/* cuMemCreate on the host is pinned by nature. */
static void add_physical_event(recorder_reading *r, const recorder_physical *p,
                               const recorder_record *rec, uint32_t origin)
{
    const bool is_alive = p->references > 0 || p->mappings > 0;
    recorder_record at = *rec;
    at.dev = p->dev;
    add_event(r, &at, origin,
              (vs_rec_event){
                  .addr = p->handle | PHYSICAL_BIT,
                  .size = p->bytes,
                  .action = (uint8_t)(is_alive ? VS_REC_SEGMENT_ALLOC : VS_REC_SEGMENT_FREE),
                  .category = p->dev == MTR_HOST ? VS_CAT_PINNED : VS_CAT_TENSOR});
}

static bool add_physical(recorder_reading *r, const recorder_record *rec, uint32_t origin)
{
    recorder_physical *const row = rows_add(&r->physicals);
    if (row == NULL || !map_set(&r->handles, rec->a, r->physicals.count)) {
        return recorder_no_memory(r);
    }
    *row = (recorder_physical){
        .handle = rec->a, .bytes = rec->b, .references = 1, .dev = rec->dev};
    add_physical_event(r, row, rec, origin);
    return true;
}

/* Gives the memory back when neither a handle nor a mapping holds it. */
static void drop_physical(recorder_reading *r, const recorder_physical *p,
                          const recorder_record *rec, uint32_t origin)
{
    if (p->references == 0 && p->mappings == 0) {
        add_physical_event(r, p, rec, origin);
    }
}

static void retain_handle(recorder_reading *r, const recorder_record *rec)
{
    recorder_physical *const p = find_physical(r, &r->handles, rec->a);
    r->unmapped_unknown += p == NULL ? 1 : 0;
    if (p != NULL) {
        p->references++;
    }
}

static bool release_handle(recorder_reading *r, const recorder_record *rec, uint32_t origin)
{
    recorder_physical *const p = find_physical(r, &r->handles, rec->a);
    if (p == NULL) {
        r->unmapped_unknown++;
        return true;
    }
    if (p->references > 0) {
        p->references--;
    }
    drop_physical(r, p, rec, origin);
    return p->references > 0 || map_set(&r->handles, rec->a, 0) || recorder_no_memory(r);
}

static bool map_memory(recorder_reading *r, const recorder_record *rec, uint32_t origin)
{
    recorder_physical *const p = find_physical(r, &r->handles, rec->c);
    const uint64_t *const index = map_get(&r->handles, rec->c);
    add_mark(r, rec, origin, "map");
    if (p == NULL || index == NULL) {
        r->unmapped_unknown++;
        return true;
    }
    p->mappings++;
    return map_set(&r->mapped, rec->a, *index) || recorder_no_memory(r);
}

static bool unmap_memory(recorder_reading *r, const recorder_record *rec, uint32_t origin)
{
    recorder_physical *const p = find_physical(r, &r->mapped, rec->a);
    add_mark(r, rec, origin, "unmap");
    if (p == NULL) {
        r->unmapped_unknown++;
        return true;
    }
    p->mappings -= p->mappings > 0 ? 1 : 0;
    drop_physical(r, p, rec, origin);
    return map_set(&r->mapped, rec->a, 0) || recorder_no_memory(r);
}

/* ---- work ---- */

/* VS_REC_WORK_COUNT: of no kind that is kept. */
static vs_rec_work work_of_copy(uint32_t aux)
{
    const uint32_t from = (aux >> 8) & 0xff;
    const uint32_t to = (aux >> 16) & 0xff;
    switch (aux & 0xff) {
    case MTR_HTOD:
        return from == MTR_PINNED     ? VS_REC_H2D_PINNED
               : from == MTR_PAGEABLE ? VS_REC_H2D_PAGEABLE
                                      : VS_REC_WORK_COUNT;
    case MTR_DTOH:
        return to == MTR_PINNED     ? VS_REC_D2H_PINNED
               : to == MTR_PAGEABLE ? VS_REC_D2H_PAGEABLE
                                    : VS_REC_WORK_COUNT;
    case MTR_DTOD: return VS_REC_D2D;
    case MTR_PTOP: return VS_REC_PEER;
    default: return VS_REC_WORK_COUNT;
    }
}

static void add_span(recorder_reading *r, const recorder_record *rec, vs_rec_work work,
                     const char *label)
{
    uint8_t device = 0;
    if ((rec->flags & MTR_UNTIMED) != 0) {
        r->untimed++;
    } else if (rec->d == 0) {
        r->still_open++;
    } else if (rec->d < rec->t) {
        r->odd++;
    } else if (device_of(r, rec, &device)) {
        builder_span(
            r->b,
            &(vs_rec_span){.start_ns = rec->t,
                           .end_ns = rec->d,
                           .bytes = work == VS_REC_KERNEL || work == VS_REC_CALL ? 0 : rec->b,
                           .label = label == NULL ? text_of(r, rec->str)
                                                  : builder_string(r->b, vs_str_of(label)),
                           .stream = builder_stream(r->b, rec->stream),
                           .kind = (uint8_t)work,
                           .device = device});
    }
}

static void add_copy(recorder_reading *r, const recorder_record *rec)
{
    const vs_rec_work work = work_of_copy(rec->aux);
    if (work == VS_REC_WORK_COUNT) {
        r->untold++;
    } else {
        add_span(r, rec, work, NULL);
    }
}

/* One read, or what was read between two looks at the counters. */
static void add_io(recorder_reading *r, const recorder_record *rec)
{
    recorder_record span = *rec;
    span.dev = MTR_HOST;
    if (rec->d == 0) {
        const recorder_record before = r->last_io;
        const bool has_before = r->has_io && rec->t > before.t && rec->a >= before.a;
        r->last_io = *rec;
        r->has_io = true;
        if (!has_before || rec->a == before.a) {
            return;
        }
        span.t = before.t;
        span.d = rec->t;
        span.b = rec->a - before.a;
        add_span(r, &span, VS_REC_READ, "sampled");
        return;
    }
    if (rec->a > 0 && rec->b > 0) {
        r->odd += rec->a > UINT64_MAX - rec->b ? 1 : 0;
        span.b = rec->a > UINT64_MAX - rec->b ? UINT64_MAX : rec->a + rec->b;
        add_span(r, &span, VS_REC_READ, "mixed");
    } else {
        span.b = rec->a > 0 ? rec->a : rec->b;
        add_span(r, &span, VS_REC_READ, rec->a > 0 ? "cold" : "warm");
    }
}

static void add_counter(recorder_reading *r, const recorder_record *rec, uint32_t origin)
{
    if (rec->dev == MTR_HOST || rec->b < rec->a || rec->b == 0) {
        r->odd += rec->dev == MTR_HOST ? 0 : 1;
        return;
    }
    if (rec->dev < DEVICES_MAX) {
        r->totals[rec->dev] = rec->b;
    }
    add_event(r, rec, origin,
              (vs_rec_event){.size = rec->b - rec->a,
                             .action = VS_REC_LEVEL,
                             .flags = VS_REC_NO_ADDR,
                             .category = VS_CAT_OTHER});
}

static void add_failure(recorder_reading *r, const recorder_record *rec, uint32_t origin)
{
    if (rec->aux != MTR_NO_MEMORY) {
        r->failed_calls++;
        return;
    }
    add_event(
        r, rec, origin,
        (vs_rec_event){
            .addr = rec->c, .size = rec->b, .action = VS_REC_OOM, .category = VS_CAT_TENSOR});
}

static void add_phase(recorder_reading *r, const recorder_record *rec)
{
    static const char *const stages[] = {"", "START", "END"};
    const char *const stage = rec->aux <= MTR_PHASE_END ? stages[rec->aux] : "";
    builder_annotation(r->b,
                       &(vs_rec_annotation){.time_ns = rec->t,
                                            .name = text_of(r, rec->str),
                                            .stage = builder_string(r->b, vs_str_of(stage)),
                                            .device = rec->dev == MTR_HOST ? 0 : rec->dev});
}

static void add_note(recorder_reading *r, const recorder_record *rec)
{
    if (r->notes++ < REMARKS_MAX) {
        const vs_str text = recorder_text(r, rec->str);
        builder_note(r->b, "the recorder says: %.*s", text.len > 300 ? 300 : (int)text.len,
                     text.ptr);
    }
}

static void count_unknown(recorder_reading *r, uint16_t type)
{
    for (uint32_t i = 0; i < UNKNOWN_TYPES; i++) {
        if (r->unknown_types[i] == type || r->unknown_counts[i] == 0) {
            r->unknown_types[i] = type;
            r->unknown_counts[i]++;
            return;
        }
    }
    r->unknown_more++;
}

/* Memory of devices and hosts. False: failed. */
static bool take_memory(recorder_reading *r, const recorder_record *rec, uint32_t origin)
{
    switch (rec->type) {
    case MTR_PHYS_ADD: return add_physical(r, rec, origin);
    case MTR_PHYS_DEL: return release_handle(r, rec, origin);
    case MTR_MAP: return map_memory(r, rec, origin);
    case MTR_UNMAP: return unmap_memory(r, rec, origin);
    case MTR_RETAIN: retain_handle(r, rec); return true;
    case MTR_SEG_ADD:
    case MTR_POOL_ADD:
    case MTR_PIN_ADD:
    case MTR_PINREG_ADD: add_memory(r, rec, origin, true); return true;
    case MTR_SEG_DEL:
    case MTR_POOL_DEL:
    case MTR_PIN_DEL:
    case MTR_PINREG_DEL: add_memory(r, rec, origin, false); return true;
    case MTR_POOL_CFG:
        r->largest_pool_bytes = rec->b > r->largest_pool_bytes ? rec->b : r->largest_pool_bytes;
        return true;
    case MTR_IMPORT: r->imported++; return true;
    default: return true;
    }
}

bool recorder_take(recorder_reading *r, const recorder_record *rec, uint32_t origin)
{
    switch (rec->type) {
    case MTR_CTX: add_mark(r, rec, origin, "context"); return true;
    case MTR_MODULE: add_mark(r, rec, origin, "module"); return true;
    case MTR_MC: add_mark(r, rec, origin, "multicast"); return true;
    case MTR_FAIL: add_failure(r, rec, origin); return true;
    case MTR_COPY: add_copy(r, rec); return true;
    case MTR_MEMSET: add_span(r, rec, VS_REC_MEMSET, NULL); return true;
    case MTR_KERNEL: add_span(r, rec, VS_REC_KERNEL, NULL); return true;
    case MTR_CALL: add_span(r, rec, VS_REC_CALL, NULL); return true;
    case MTR_COUNTER: add_counter(r, rec, origin); return true;
    case MTR_IO: add_io(r, rec); return true;
    case MTR_PHASE: add_phase(r, rec); return true;
    case MTR_LEVEL:
        if (rec->a == 0) {
            builder_note(r->b, "from 0x%" PRIx64 " ns on only counters were recorded", rec->t);
        }
        return true;
    case MTR_DROPPED: r->dropped += rec->a > UINT64_MAX - r->dropped ? 0 : rec->a; return true;
    case MTR_NOTE: add_note(r, rec); return true;
    case MTR_VA_ADD:
    case MTR_VA_DEL: return true; /* addresses cost no memory */
    default: break;
    }
    if (rec->type == 0 || rec->type >= MTR_TYPE_COUNT) {
        count_unknown(r, rec->type);
        return true;
    }
    return take_memory(r, rec, origin);
}
