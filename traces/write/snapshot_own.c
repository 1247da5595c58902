/* traces/write/snapshot_own.c - "vramscope": the tape itself, as plain data.
 *
 * A dict of texts, integers and lists; every list is one column, a column that would hold nothing but zeros is left out:
 *
 *   format            "vramscope.tape/2": of the tape whose columns these are
 *   version           of the program
 *   entry_count, entry_bytes, segment_count
 *                     of the snapshot around it: how many entries its traces have, their sizes added up modulo 2^32, and how
 *                     many segments there are. Where they differ, somebody has changed the snapshot since, and the tape is not
 *                     its own any more
 *   event_kinds, categories, device_kinds
 *                     what the numbers in event_kind, *_category and device_kind mean
 *   strings           what every *_name is an index into; 0 is ""
 *   metas             key, value, key, value: indices of strings
 *   device_name, device_kind, device_capacity_bytes
 *   lane_name
 *   block_count
 *   event_*           time_ns, size_bytes, asked_bytes, addr, extra, block (None: about no block), name, stream, kind, device,
 *                     category, as in vs_event
 *   span_*            lane, start_ns, end_ns, bytes, name, category
 *
 * What is derived (tracks, lives, pyramids) is not there: sealing makes it again, byte for byte. */
#include "traces/write/snapshot.h"

static void put_own_key(snapshot_writer *w, const char *key)
{
    pickle_item(&w->p);
    pickle_text(&w->p, key);
}

static void put_own_text(snapshot_writer *w, const char *key, const char *text)
{
    put_own_key(w, key);
    pickle_text(&w->p, text);
}

static void put_own_u64(snapshot_writer *w, const char *key, uint64_t value)
{
    put_own_key(w, key);
    pickle_u64(&w->p, value);
}

/* ---- columns ------------------------------------------------------------------------------ */

typedef struct {
    const void *rows;
    uint64_t count;
    size_t stride;
    size_t elem_bytes; /* 1, 2, 4 or 8 */
} column;

#define COLUMN(rows, count)                                                                    \
    (column)                                                                                   \
    {                                                                                          \
        (rows), (count), sizeof *(rows), sizeof *(rows)                                        \
    }
/* One member of an array of structs. */
#define MEMBER(rows, count, member)                                                            \
    (column)                                                                                   \
    {                                                                                          \
        (count) > 0 ? &(rows)->member : NULL, (count), sizeof *(rows), sizeof(rows)->member    \
    }

static uint64_t value_at(const column *c, uint64_t row)
{
    const uint8_t *at = (const uint8_t *)c->rows + row * c->stride;
    switch (c->elem_bytes) {
    case 1: return *at;
    case 4: return *(const uint32_t *)(const void *)at;
    case 8: return *(const uint64_t *)(const void *)at;
    default: break;
    }
    vs_assert(false);
    return 0;
}

static bool is_all_zero(const column *c)
{
    for (uint64_t i = 0; i < c->count; i++) {
        if (value_at(c, i) != 0) {
            return false;
        }
    }
    return true;
}

static void put_column(snapshot_writer *w, const char *key, column c)
{
    if (is_all_zero(&c)) {
        return;
    }
    put_own_key(w, key);
    pickle_list(&w->p);
    for (uint64_t i = 0; i < c.count; i++) {
        pickle_item(&w->p);
        pickle_u64(&w->p, value_at(&c, i));
    }
    pickle_close(&w->p);
}

static void put_event_blocks(snapshot_writer *w)
{
    put_own_key(w, "event_block");
    pickle_list(&w->p);
    for (uint32_t i = 0; i < w->tl->event_count; i++) {
        pickle_item(&w->p);
        if (w->tl->event_block[i] == VS_NO_BLOCK) {
            pickle_none(&w->p);
        } else {
            pickle_u64(&w->p, w->tl->event_block[i]);
        }
    }
    pickle_close(&w->p);
}

static void put_events(snapshot_writer *w)
{
    const vs_timeline *tl = w->tl;
    const uint32_t n = tl->event_count;
    put_own_u64(w, "event_count", n);
    put_column(w, "event_time_ns", COLUMN(tl->event_time, n));
    put_column(w, "event_size_bytes", COLUMN(tl->event_size, n));
    put_column(w, "event_asked_bytes", COLUMN(tl->event_asked, n));
    put_column(w, "event_addr", COLUMN(tl->event_addr, n));
    put_column(w, "event_extra", COLUMN(tl->event_extra, n));
    put_event_blocks(w);
    put_column(w, "event_name", COLUMN(tl->event_name, n));
    put_column(w, "event_stream", COLUMN(tl->event_stream, n));
    put_column(w, "event_kind", COLUMN(tl->event_kind, n));
    put_column(w, "event_device", COLUMN(tl->event_device, n));
    put_column(w, "event_category", COLUMN(tl->event_category, n));
}

/* The lane of each span: they are grouped by lane. */
static void put_span_lanes(snapshot_writer *w)
{
    put_own_key(w, "span_lane");
    pickle_list(&w->p);
    for (uint32_t lane = 0; lane < w->tl->lane_count; lane++) {
        for (uint64_t i = 0; i < w->tl->lanes[lane].count; i++) {
            pickle_item(&w->p);
            pickle_u64(&w->p, lane);
        }
    }
    pickle_close(&w->p);
}

static void put_spans(snapshot_writer *w)
{
    const vs_timeline *tl = w->tl;
    const uint64_t n = tl->span_count;
    put_own_u64(w, "span_count", n);
    put_span_lanes(w);
    put_column(w, "span_start_ns", COLUMN(tl->span_start, n));
    put_column(w, "span_end_ns", COLUMN(tl->span_end, n));
    put_column(w, "span_bytes", COLUMN(tl->span_bytes, n));
    put_column(w, "span_name", COLUMN(tl->span_name, n));
    put_column(w, "span_category", COLUMN(tl->span_category, n));
}

/* ---- tables ------------------------------------------------------------------------------------ */

static void put_own_list(snapshot_writer *w, const char *key, const char *const *texts,
                         uint32_t count)
{
    put_own_key(w, key);
    pickle_list(&w->p);
    for (uint32_t i = 0; i < count; i++) {
        pickle_item(&w->p);
        pickle_text(&w->p, texts[i]);
    }
    pickle_close(&w->p);
}

static void put_meanings(snapshot_writer *w)
{
    static const char *const devices[] = {"gpu", "host", "disk"};
    _Static_assert(VS_DEVICE_GPU == 0 && VS_DEVICE_HOST == 1 && VS_DEVICE_DISK == 2, "kinds");
    const char *kinds[VS_EV_COUNT];
    const char *categories[VS_CAT_COUNT];
    for (uint32_t i = 0; i < VS_EV_COUNT; i++) {
        kinds[i] = vs_event_kind_key((vs_event_kind)i);
    }
    for (uint32_t i = 0; i < VS_CAT_COUNT; i++) {
        categories[i] = vs_category_key((vs_category)i);
    }
    put_own_list(w, "event_kinds", kinds, VS_EV_COUNT);
    put_own_list(w, "categories", categories, VS_CAT_COUNT);
    put_own_list(w, "device_kinds", devices, 3);
}

static void put_tables(snapshot_writer *w)
{
    const vs_timeline *tl = w->tl;
    put_own_key(w, "strings");
    pickle_list(&w->p);
    for (uint32_t i = 0; i < tl->string_count; i++) {
        pickle_item(&w->p);
        pickle_shared_text(&w->p, vs_timeline_string(tl, i), &w->names[i].text);
    }
    pickle_close(&w->p);
    put_own_key(w, "metas");
    pickle_list(&w->p);
    for (uint32_t i = 0; i < tl->meta_count; i++) {
        pickle_item(&w->p);
        pickle_u64(&w->p, tl->metas[i].key);
        pickle_item(&w->p);
        pickle_u64(&w->p, tl->metas[i].value);
    }
    pickle_close(&w->p);
    put_own_u64(w, "device_count", tl->device_count);
    put_column(w, "device_name", MEMBER(tl->devices, tl->device_count, name));
    put_column(w, "device_kind", MEMBER(tl->devices, tl->device_count, kind));
    put_column(w, "device_capacity_bytes",
               MEMBER(tl->devices, tl->device_count, capacity_bytes));
    put_own_u64(w, "lane_count", tl->lane_count);
    put_column(w, "lane_name", MEMBER(tl->lanes, tl->lane_count, name));
    put_own_u64(w, "block_count", tl->block_count);
}

void snapshot_put_own(snapshot_writer *w)
{
    snapshot_put_key(w, WORD_VRAMSCOPE);
    pickle_dict(&w->p);
    put_own_text(w, "format", "vramscope.tape/2");
    put_own_text(w, "version", VS_VERSION);
    put_own_u64(w, "entry_count", w->entry_count);
    put_own_u64(w, "entry_bytes", w->entry_bytes);
    put_own_u64(w, "segment_count", w->segment_count);
    put_meanings(w);
    put_tables(w);
    put_events(w);
    put_spans(w);
    pickle_close(&w->p);
}
