/* tests/prop/twin_pool.h - a second, naive model of the caching allocator.
 *
 * Written from specs/torch-caching-allocator.md alone, as dumb as possible: one unordered array of
 * blocks, everything by linear scan, neighbours found by address, statistics counted one by
 * one. It shares no code with sim/pool but the modelled driver and the public types. */
#ifndef VS_TESTS_TWIN_POOL_H
#define VS_TESTS_TWIN_POOL_H

#include <stdlib.h>
#include <string.h>

#include "vramscope/pool.h"

#define TWIN_BLOCKS 2048
#define TWIN_EVENTS 1024
#define TWIN_NOTES  8
#define TWIN_NONE   (-1)

typedef enum { TWIN_ALLOCATED, TWIN_PENDING, TWIN_FREE, TWIN_UNMAPPED } twin_state;

typedef struct {
    bool is_used;
    uint64_t segment; /* start address of its segment or range */
    uint64_t page;    /* of a range; 0: a segment */
    uint64_t addr, size, asked, rounded, stream, mark;
    bool is_small;
    twin_state state;
    uint64_t notes[TWIN_NOTES];
    int note_count;
    int events;
} twin_block;

typedef struct {
    uint64_t stream;
    int block;
    bool is_done;
} twin_event;

typedef struct {
    vs_alloc_conf conf;
    vs_model_driver model;
    vs_driver driver;
    twin_block blocks[TWIN_BLOCKS];
    twin_event events[TWIN_EVENTS]; /* oldest first */
    int event_count;
    uint64_t busy[16];
    int busy_count;
    uint64_t searches[2];
    uint64_t total; /* driver_total */
    bool has_limit;
    uint64_t limit;
    vs_pool_stats stats;
} twin;

/* ---- statistics [7] ------------------------------------------------------------------- */

static inline void twin_up1(vs_stat *s, uint64_t by)
{
    s->current += by;
    s->allocated += by;
    if (s->current > s->peak) {
        s->peak = s->current;
    }
}

static inline void twin_down1(vs_stat *s, uint64_t by)
{
    s->current -= by;
    s->freed += by;
}

static inline void twin_up(vs_stat *s, bool is_small, uint64_t by)
{
    twin_up1(&s[VS_STAT_ALL], by);
    twin_up1(&s[is_small ? VS_STAT_SMALL : VS_STAT_LARGE], by);
}

static inline void twin_down(vs_stat *s, bool is_small, uint64_t by)
{
    twin_down1(&s[VS_STAT_ALL], by);
    twin_down1(&s[is_small ? VS_STAT_SMALL : VS_STAT_LARGE], by);
}

/* A net change: up, down or nothing. */
static inline void twin_net(vs_stat *s, bool is_small, int64_t by)
{
    if (by > 0) {
        twin_up(s, is_small, (uint64_t)by);
    } else if (by < 0) {
        twin_down(s, is_small, (uint64_t)-by);
    }
}

/* ---- blocks ------------------------------------------------------------------------------- */

static inline int twin_new_block(twin *t)
{
    for (int i = 0; i < TWIN_BLOCKS; i++) {
        if (!t->blocks[i].is_used) {
            t->blocks[i] = (twin_block){.is_used = true};
            return i;
        }
    }
    abort(); /* the test asks for too much */
}

static inline int twin_neighbour(const twin *t, int of, bool is_next)
{
    const twin_block *b = &t->blocks[of];
    for (int i = 0; i < TWIN_BLOCKS; i++) {
        const twin_block *c = &t->blocks[i];
        if (!c->is_used || c->segment != b->segment || i == of) {
            continue;
        }
        if (is_next ? c->addr == b->addr + b->size : c->addr + c->size == b->addr) {
            return i;
        }
    }
    return TWIN_NONE;
}

static inline bool twin_is_split(const twin *t, int i)
{
    return twin_neighbour(t, i, false) != TWIN_NONE || twin_neighbour(t, i, true) != TWIN_NONE;
}

/* Set order: stream, size, address. */
static inline int twin_compare(const twin_block *a, const twin_block *b)
{
    if (a->stream != b->stream) {
        return a->stream < b->stream ? -1 : 1;
    }
    if (a->size != b->size) {
        return a->size < b->size ? -1 : 1;
    }
    return a->addr < b->addr ? -1 : a->addr > b->addr;
}

/* First free block of the pool that is not below the key, or is above it; or the last below. */
typedef enum { TWIN_AT_LEAST, TWIN_ABOVE, TWIN_BELOW } twin_where;

static inline int twin_find(const twin *t, bool is_small, const twin_block *key,
                            twin_where where)
{
    int best = TWIN_NONE;
    for (int i = 0; i < TWIN_BLOCKS; i++) {
        const twin_block *b = &t->blocks[i];
        if (!b->is_used || b->state != TWIN_FREE || b->is_small != is_small) {
            continue;
        }
        const int c = twin_compare(b, key);
        if (where == TWIN_BELOW ? c >= 0 : (where == TWIN_ABOVE ? c <= 0 : c < 0)) {
            continue;
        }
        if (best == TWIN_NONE ||
            (where == TWIN_BELOW) == (twin_compare(b, &t->blocks[best]) > 0)) {
            best = i;
        }
    }
    return best;
}

static inline int twin_after(const twin *t, int i)
{
    const twin_block key = t->blocks[i];
    return twin_find(t, key.is_small, &key, TWIN_ABOVE);
}

/* Eats the neighbour if it is free in the same way; its bytes. */
static inline uint64_t twin_merge(twin *t, int i, bool is_next)
{
    const int n = twin_neighbour(t, i, is_next);
    if (n == TWIN_NONE || t->blocks[n].state != t->blocks[i].state) {
        return 0;
    }
    t->blocks[n].is_used = false;
    t->blocks[i].size += t->blocks[n].size;
    if (!is_next) {
        t->blocks[i].addr = t->blocks[n].addr;
    }
    return t->blocks[n].size;
}

static inline void twin_put_free(twin *t, int i)
{
    t->blocks[i].state = TWIN_FREE;
    t->blocks[i].mark = t->searches[t->blocks[i].is_small];
}

/* ---- freeing [10.2] -------------------------------------------------------------------------- */

static inline void twin_complete(twin *t, int i)
{
    twin_block *b = &t->blocks[i];
    const uint64_t size = b->size;
    const uint64_t asked = b->asked;
    b->state = TWIN_FREE;
    int64_t bytes = 0;
    int64_t count = 0;
    for (int k = 0; k < 2; k++) {
        const uint64_t eaten = twin_merge(t, i, k == 1);
        bytes -= (int64_t)eaten;
        count -= eaten > 0;
    }
    twin_put_free(t, i);
    if (twin_is_split(t, i)) {
        bytes += (int64_t)b->size;
        count++;
    }
    if (b->page == 0) {
        twin_net(t->stats.inactive_split_bytes, b->is_small, bytes);
        twin_net(t->stats.inactive_split, b->is_small, count);
    }
    twin_down(t->stats.active, b->is_small, 1);
    twin_down(t->stats.active_bytes, b->is_small, size);
    twin_down(t->stats.requested_bytes, b->is_small, asked);
}

static inline bool twin_is_busy(const twin *t, uint64_t stream)
{
    for (int i = 0; i < t->busy_count; i++) {
        if (t->busy[i] == stream) {
            return true;
        }
    }
    return false;
}

static inline void twin_free(twin *t, int i)
{
    twin_block *b = &t->blocks[i];
    twin_down(t->stats.allocation, b->is_small, 1);
    twin_down(t->stats.allocated_bytes, b->is_small, b->size);
    twin_down1(&t->stats.tensor_bytes, b->rounded);
    if (b->size >= t->conf.max_split_bytes && t->stats.oversize_allocations.current > 0) {
        twin_down1(&t->stats.oversize_allocations, 1);
    }
    b->state = TWIN_PENDING;
    b->events = b->note_count;
    for (int k = 0; k < b->note_count; k++) {
        if (t->event_count == TWIN_EVENTS) {
            abort();
        }
        t->events[t->event_count++] = (twin_event){
            .stream = b->notes[k], .block = i, .is_done = !twin_is_busy(t, b->notes[k])};
    }
    b->note_count = 0;
    if (b->events == 0) {
        twin_complete(t, i);
    }
}

/* Takes done events (or all) off the front of each stream's queue; streams ascending. */
static inline void twin_process(twin *t, bool is_all)
{
    for (uint64_t stream = 0; stream < 16; stream++) {
        for (int i = 0; i < t->event_count;) {
            const twin_event e = t->events[i];
            if (e.stream != stream) {
                i++;
                continue;
            }
            if (!e.is_done && !is_all) {
                break;
            }
            memmove(&t->events[i], &t->events[i + 1],
                    sizeof t->events[0] * (size_t)(t->event_count - i - 1));
            t->event_count--;
            if (--t->blocks[e.block].events == 0) {
                twin_complete(t, e.block);
            }
        }
    }
}

static inline void twin_record(twin *t, int i, uint64_t stream)
{
    twin_block *b = &t->blocks[i];
    if (b->stream == stream) {
        return;
    }
    for (int k = 0; k < b->note_count; k++) {
        if (b->notes[k] == stream) {
            return;
        }
    }
    if (b->note_count == TWIN_NOTES) {
        abort();
    }
    b->notes[b->note_count++] = stream;
}

static inline void twin_stream_busy(twin *t, uint64_t stream)
{
    if (!twin_is_busy(t, stream)) {
        t->busy[t->busy_count++] = stream;
    }
}

static inline void twin_stream_done(twin *t, uint64_t stream)
{
    for (int i = 0; i < t->busy_count; i++) {
        if (t->busy[i] == stream) {
            t->busy[i] = t->busy[--t->busy_count];
        }
    }
    for (int i = 0; i < t->event_count; i++) {
        if (t->events[i].stream == stream) {
            t->events[i].is_done = true;
        }
    }
}

/* ---- returning memory [6.2 - 6.4, 9.5] ------------------------------------------------------------ */

static inline void twin_release(twin *t, int i)
{
    twin_block *b = &t->blocks[i];
    t->stats.num_device_free++;
    t->driver.free_segment(t->driver.ctx, b->addr, b->size);
    t->total -= b->size;
    twin_down(t->stats.segment, b->is_small, 1);
    twin_down(t->stats.reserved_bytes, b->is_small, b->size);
    if (b->size >= t->conf.max_split_bytes && t->stats.oversize_segments.current > 0) {
        twin_down1(&t->stats.oversize_segments, 1);
    }
    b->is_used = false;
}

static inline void twin_unmap(twin *t, int i)
{
    const twin_block b = t->blocks[i];
    const uint64_t first = b.segment + (b.addr - b.segment + b.page - 1) / b.page * b.page;
    const uint64_t last = b.segment + (b.addr + b.size - b.segment) / b.page * b.page;
    if (first >= last) {
        return;
    }
    for (uint64_t at = first; at < last; at += b.page) {
        t->driver.unmap_page(t->driver.ctx, at, b.page);
    }
    const uint64_t pieces[2][2] = {{b.addr, first - b.addr}, {last, b.addr + b.size - last}};
    t->blocks[i].addr = first;
    t->blocks[i].size = last - first;
    for (int k = 0; k < 2; k++) {
        if (pieces[k][1] != 0) {
            const int p = twin_new_block(t);
            t->blocks[p] = b;
            t->blocks[p].addr = pieces[k][0];
            t->blocks[p].size = pieces[k][1];
            twin_put_free(t, p);
        }
    }
    t->blocks[i].state = TWIN_UNMAPPED;
    (void)twin_merge(t, i, false);
    (void)twin_merge(t, i, true);
    t->total -= last - first;
    twin_down(t->stats.reserved_bytes, b.is_small, last - first);
    t->stats.num_device_free++;
    if (!twin_is_split(t, i)) {
        t->driver.free_range(t->driver.ctx, t->blocks[i].addr, t->blocks[i].size);
        t->blocks[i].is_used = false;
    }
}

static inline void twin_release_all(twin *t)
{
    static const twin_block lowest = {.size = 0};
    twin_process(t, true);
    t->stats.num_sync_all_streams++;
    for (int k = 0; k < 2; k++) {
        int noted[TWIN_BLOCKS];
        int noted_count = 0;
        int next = TWIN_NONE;
        for (int i = twin_find(t, k == 1, &lowest, TWIN_AT_LEAST); i != TWIN_NONE; i = next) {
            next = twin_after(t, i);
            if (t->blocks[i].page != 0) {
                noted[noted_count++] = i;
            } else if (!twin_is_split(t, i)) {
                twin_release(t, i);
            }
        }
        for (int n = 0; n < noted_count; n++) {
            twin_unmap(t, noted[n]);
        }
    }
}

static inline bool twin_release_oversize(twin *t, bool is_small, uint64_t stream,
                                         uint64_t rounded)
{
    const uint64_t m = t->conf.max_split_bytes;
    if (m == VS_POOL_UNLIMITED) {
        return false;
    }
    const uint64_t k = rounded > m ? rounded : m;
    const twin_block key = {.stream = stream, .size = k};
    int i = twin_find(t, is_small, &key, TWIN_AT_LEAST);
    if (i != TWIN_NONE && t->blocks[i].stream == stream && t->blocks[i].page == 0 &&
        !twin_is_split(t, i)) {
        twin_release(t, i);
        return true;
    }
    uint64_t sum = 0;
    i = twin_find(t, is_small, &key, TWIN_BELOW);
    while (i != TWIN_NONE && sum < k && t->blocks[i].stream == stream &&
           t->blocks[i].size >= m) {
        const twin_block here = t->blocks[i];
        if (here.page == 0 && !twin_is_split(t, i)) {
            sum += here.size;
            twin_release(t, i);
        }
        i = twin_find(t, is_small, &here, TWIN_BELOW);
    }
    return sum >= k;
}

static inline void twin_gc(twin *t)
{
    static const twin_block lowest = {.size = 0};
    const uint64_t threshold = (uint64_t)(t->conf.gc_threshold * (double)t->limit);
    if (t->total <= threshold) {
        return;
    }
    const uint64_t wanted = t->total - threshold;
    double sum = 0.0;
    int count = 0;
    for (int i = twin_find(t, false, &lowest, TWIN_AT_LEAST); i != TWIN_NONE;
         i = twin_after(t, i)) {
        if (!twin_is_split(t, i)) {
            sum += (double)(t->searches[0] - t->blocks[i].mark);
            count++;
        }
    }
    uint64_t freed = 0;
    bool is_freeing = true;
    while (freed < wanted && is_freeing && count > 0) {
        const double average = sum / count;
        int next = TWIN_NONE;
        is_freeing = false;
        for (int i = twin_find(t, false, &lowest, TWIN_AT_LEAST); i != TWIN_NONE; i = next) {
            next = twin_after(t, i);
            const double age = (double)(t->searches[0] - t->blocks[i].mark);
            if (twin_is_split(t, i) || t->blocks[i].page != 0 || age < average) {
                continue;
            }
            freed += t->blocks[i].size;
            sum -= age;
            count--;
            is_freeing = true;
            twin_release(t, i);
        }
    }
}

/* ---- getting memory [6.1, 9.3, 9.4] ---------------------------------------------------------------- */

static inline bool twin_map(twin *t, int i, uint64_t want)
{
    twin_block *u = &t->blocks[i];
    const uint64_t addr = u->addr;
    const uint64_t bytes = (want + u->page - 1) / u->page * u->page;
    for (uint64_t at = 0; at < bytes; at += u->page) {
        if (!t->driver.map_page(t->driver.ctx, addr + at, u->page)) {
            for (uint64_t back = 0; back < at; back += u->page) {
                t->driver.unmap_page(t->driver.ctx, addr + back, u->page);
            }
            return false;
        }
    }
    if (bytes < u->size) {
        const int rest = twin_new_block(t);
        t->blocks[rest] = *u;
        t->blocks[rest].addr += bytes;
        t->blocks[rest].size -= bytes;
        u->size = bytes;
    }
    u->state = TWIN_FREE;
    (void)twin_merge(t, i, false);
    (void)twin_merge(t, i, true);
    twin_put_free(t, i);
    t->total += bytes;
    twin_up(t->stats.reserved_bytes, u->is_small, bytes);
    t->stats.num_device_alloc++;
    return true;
}

static inline bool twin_is_available(const twin *t, int i)
{
    return i != TWIN_NONE &&
           (t->blocks[i].state == TWIN_FREE || t->blocks[i].state == TWIN_UNMAPPED);
}

static inline int twin_place(twin *t, bool is_small, uint64_t stream, uint64_t rounded)
{
    uint64_t above = 0; /* unmapped blocks from here on were not looked at */
    for (;;) {
        int u = TWIN_NONE;
        for (int i = 0; i < TWIN_BLOCKS; i++) {
            const twin_block *b = &t->blocks[i];
            if (b->is_used && b->state == TWIN_UNMAPPED && b->is_small == is_small &&
                b->stream == stream && b->addr >= above &&
                (u == TWIN_NONE || b->addr < t->blocks[u].addr)) {
                u = i;
            }
        }
        if (u == TWIN_NONE) {
            return TWIN_NONE;
        }
        above = t->blocks[u].addr + 1;
        const int before = twin_neighbour(t, u, false);
        const int start = twin_is_available(t, before) ? before : u;
        uint64_t sum = 0;
        for (int i = start; sum < rounded && twin_is_available(t, i);
             i = twin_neighbour(t, i, true)) {
            sum += t->blocks[i].size;
        }
        if (sum >= rounded) {
            return start;
        }
    }
}

static inline int twin_expand(twin *t, bool is_small, uint64_t stream, uint64_t rounded)
{
    int c = twin_place(t, is_small, stream, rounded);
    if (c == TWIN_NONE) {
        const uint64_t page = is_small ? 2 * VS_MIB : t->conf.large_segment_bytes;
        const uint64_t t98 = t->model.total_bytes + t->model.total_bytes / 8;
        const uint64_t size = (t98 + page - 1) / page * page;
        uint64_t addr = 0;
        if (!t->driver.reserve_range(t->driver.ctx, size, &addr)) {
            return TWIN_NONE;
        }
        c = twin_new_block(t);
        t->blocks[c].segment = t->blocks[c].addr = addr;
        t->blocks[c].page = page;
        t->blocks[c].size = size;
        t->blocks[c].stream = stream;
        t->blocks[c].is_small = is_small;
        t->blocks[c].state = TWIN_UNMAPPED;
    }
    if (t->blocks[c].state == TWIN_UNMAPPED &&
        !twin_map(t, c, t->blocks[c].size < rounded ? t->blocks[c].size : rounded)) {
        return TWIN_NONE;
    }
    while (t->blocks[c].size < rounded) {
        const int n = twin_neighbour(t, c, true);
        const uint64_t rest = rounded - t->blocks[c].size;
        if (n == TWIN_NONE ||
            !twin_map(t, n, t->blocks[n].size < rest ? t->blocks[n].size : rest)) {
            return TWIN_NONE;
        }
        c = n;
    }
    return c;
}

static inline uint64_t twin_segment_bytes(const twin *t, uint64_t rounded)
{
    if (rounded <= VS_MIB) {
        return 2 * VS_MIB;
    }
    if (rounded < 10 * VS_MIB) {
        return t->conf.large_segment_bytes;
    }
    return (rounded + 2 * VS_MIB - 1) / (2 * VS_MIB) * (2 * VS_MIB);
}

static inline int twin_new_segment(twin *t, uint64_t stream, uint64_t rounded, bool is_retry)
{
    const uint64_t a = twin_segment_bytes(t, rounded);
    const bool is_small = rounded <= VS_MIB;
    if (is_retry) {
        t->stats.num_alloc_retries++;
    }
    if (t->has_limit && t->total + a > t->limit) {
        return TWIN_NONE;
    }
    if (t->conf.expandable_segments) {
        return twin_expand(t, is_small, stream, rounded);
    }
    uint64_t addr = 0;
    if (!t->driver.malloc_segment(t->driver.ctx, a, &addr)) {
        return TWIN_NONE;
    }
    const int i = twin_new_block(t);
    t->blocks[i].segment = t->blocks[i].addr = addr;
    t->blocks[i].size = a;
    t->blocks[i].stream = stream;
    t->blocks[i].is_small = is_small;
    t->blocks[i].state = TWIN_FREE;
    t->total += a;
    twin_up(t->stats.segment, is_small, 1);
    twin_up(t->stats.reserved_bytes, is_small, a);
    if (a >= t->conf.max_split_bytes) {
        twin_up1(&t->stats.oversize_segments, 1);
    }
    t->stats.num_device_alloc++;
    return i;
}

/* ---- allocating [1.2, 3 - 5] ------------------------------------------------------------------------- */

static inline uint64_t twin_round(const twin *t, uint64_t n)
{
    if (n < 512) {
        return 512;
    }
    int log2 = 0;
    while (log2 < 63 && (UINT64_C(2) << log2) <= n) {
        log2++;
    }
    const int slot = log2 < 20 ? 0 : (log2 > 35 ? 15 : log2 - 20);
    const uint64_t d = t->conf.divisions[slot];
    const bool is_old = t->conf.torch < 204;
    if ((is_old ? d > 0 : d > 1) && n > 512 * d) {
        const uint64_t floor_power = UINT64_C(1) << log2;
        if (floor_power == n || (is_old && d == 1)) {
            return n;
        }
        const uint64_t s = floor_power / d;
        uint64_t r = floor_power;
        while (r < n) {
            r += s;
        }
        return r;
    }
    return n % 512 == 0 ? n : n + 512 - n % 512;
}

static inline uint64_t twin_reach(const twin *t, int i)
{
    const int n = twin_neighbour(t, i, true);
    const bool has = n != TWIN_NONE && t->blocks[n].state == TWIN_UNMAPPED;
    return t->blocks[i].size + (has ? t->blocks[n].size : 0);
}

static inline int twin_search(twin *t, uint64_t stream, uint64_t rounded)
{
    const bool is_small = rounded <= VS_MIB;
    if (t->has_limit && t->conf.gc_threshold > 0.0) {
        t->searches[is_small]++;
    }
    const twin_block key = {.stream = stream, .size = rounded};
    int i = twin_find(t, is_small, &key, TWIN_AT_LEAST);
    if (i == TWIN_NONE || t->blocks[i].stream != stream) {
        return TWIN_NONE;
    }
    if (t->conf.expandable_segments) {
        int n = twin_after(t, i);
        while (t->blocks[i].page != 0 && n != TWIN_NONE && t->blocks[n].stream == stream &&
               twin_reach(t, n) < twin_reach(t, i)) {
            i = n;
            n = twin_after(t, i);
        }
    } else {
        while (i != TWIN_NONE && t->blocks[i].stream == stream && t->blocks[i].page != 0) {
            i = twin_after(t, i);
        }
        if (i == TWIN_NONE || t->blocks[i].stream != stream) {
            return TWIN_NONE;
        }
    }
    const uint64_t m = t->conf.max_split_bytes;
    const uint64_t size = t->blocks[i].size;
    if ((rounded < m && size >= m) ||
        (rounded >= m && size >= rounded + t->conf.max_non_split_bytes)) {
        return TWIN_NONE;
    }
    return i;
}

static inline bool twin_splits(const twin *t, uint64_t rounded, uint64_t rest)
{
    if (rounded <= VS_MIB || t->conf.expandable_segments) {
        return rest >= 512;
    }
    return rounded < t->conf.max_split_bytes && rest > VS_MIB;
}

/* The block, or TWIN_NONE: out of memory. */
static inline int twin_alloc(twin *t, uint64_t asked, uint64_t stream)
{
    twin_process(t, false);
    const uint64_t rounded = twin_round(t, asked);
    const bool is_small = rounded <= VS_MIB;
    int i = twin_search(t, stream, rounded);
    if (i == TWIN_NONE && t->has_limit && t->conf.gc_threshold > 0.0) {
        twin_gc(t);
    }
    if (i == TWIN_NONE) {
        i = twin_new_segment(t, stream, rounded, false);
    }
    if (i == TWIN_NONE && twin_release_oversize(t, is_small, stream, rounded)) {
        i = twin_new_segment(t, stream, rounded, false);
    }
    if (i == TWIN_NONE) {
        twin_release_all(t);
        i = twin_new_segment(t, stream, rounded, true);
    }
    if (i == TWIN_NONE) {
        t->stats.num_ooms++;
        return TWIN_NONE;
    }
    const bool was_split = twin_is_split(t, i);
    const uint64_t rest = t->blocks[i].size - rounded;
    const bool is_counted = t->blocks[i].page == 0;
    vs_pool_stats *s = &t->stats;
    if (twin_splits(t, rounded, rest)) {
        const int front = twin_new_block(t);
        t->blocks[front] = t->blocks[i];
        t->blocks[front].size = rounded;
        t->blocks[i].addr += rounded;
        t->blocks[i].size = rest;
        twin_put_free(t, i);
        if (is_counted) {
            twin_net(s->inactive_split_bytes, is_small,
                     was_split ? -(int64_t)rounded : (int64_t)rest);
            twin_net(s->inactive_split, is_small, was_split ? 0 : 1);
        }
        i = front;
    } else if (was_split && is_counted) {
        twin_down(s->inactive_split_bytes, is_small, t->blocks[i].size);
        twin_down(s->inactive_split, is_small, 1);
    }
    twin_block *b = &t->blocks[i];
    b->state = TWIN_ALLOCATED;
    b->asked = asked;
    b->rounded = rounded;
    b->note_count = 0;
    b->events = 0;
    twin_up(s->allocation, is_small, 1);
    twin_up(s->allocated_bytes, is_small, b->size);
    twin_up(s->active, is_small, 1);
    twin_up(s->active_bytes, is_small, b->size);
    twin_up(s->requested_bytes, is_small, asked);
    twin_up1(&s->tensor_bytes, rounded);
    if (b->size >= t->conf.max_split_bytes) {
        twin_up1(&s->oversize_allocations, 1);
    }
    return i;
}

/* ---- options and resets --------------------------------------------------------------------------------- */

static inline void twin_set_conf(twin *t, const vs_alloc_conf *conf)
{
    t->conf = *conf;
    const double f = conf->memory_fraction;
    t->has_limit = conf->torch < 210 ? f >= 0.0 : f >= 0.0 && f < 1.0;
    t->limit = t->has_limit ? (uint64_t)(f * (double)t->model.total_bytes) : 0;
}

static inline void twin_open(twin *t, const vs_alloc_conf *conf, uint64_t total,
                             uint64_t in_use)
{
    memset(t, 0, sizeof *t);
    vs_model_driver_init(&t->model, total, in_use);
    t->driver = vs_model_driver_calls(&t->model);
    twin_set_conf(t, conf);
}

#endif /* VS_TESTS_TWIN_POOL_H */
