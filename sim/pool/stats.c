/* pool/stats.c - reading and resetting the statistics of specs/torch-caching-allocator.md [7], and
 * changing the options during a run. Counting itself is inline in pool_internal.h; it keeps as
 * little as possible, and here the rest is worked out. */
#include "sim/pool/pool_internal.h"

/* ---- counting, seldom ------------------------------------------------------------------ */

/* While frees are pending, active is more than allocated and has peaks of its own. */
void vsp_count_active_peaks(pool_counts *counts)
{
    const uint64_t blocks = counts->allocation.current + counts->pending;
    const uint64_t bytes = counts->allocated_bytes.current + counts->pending_bytes;
    counts->active_peak = blocks > counts->active_peak ? blocks : counts->active_peak;
    counts->active_bytes_peak =
        bytes > counts->active_bytes_peak ? bytes : counts->active_bytes_peak;
}

/* ---- reading ----------------------------------------------------------------------------- */

static uint64_t larger(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* A peak that is not noted yet is what is current. */
static uint64_t peak_of(const pool_gauge *gauge)
{
    return larger(gauge->peak, gauge->current);
}

static vs_stat stat_of(const pool_gauge *gauge, uint64_t added)
{
    return (vs_stat){.current = gauge->current,
                     .peak = peak_of(gauge),
                     .allocated = added,
                     .freed = gauge->base + added - gauge->current};
}

/* The three classes of one counter; the sum of increases of all is that of small and large. */
static void fill_stat(vs_stat out[VS_STAT_CLASSES], const pool_gauge *all,
                      const pool_gauge *small, const pool_gauge *large)
{
    out[VS_STAT_ALL] = stat_of(all, small->added + large->added);
    out[VS_STAT_SMALL] = stat_of(small, small->added);
    out[VS_STAT_LARGE] = stat_of(large, large->added);
}

/* Active is allocated plus pending: increases are the same, the rest follows. */
static void fill_active(const vs_pool *pool, vs_pool_stats *out)
{
    for (unsigned c = 0; c < VS_STAT_CLASSES; c++) {
        const pool_counts *counts = &pool->counts[c];
        vs_stat *blocks = &out->active[c];
        blocks->current = counts->allocation.current + counts->pending;
        blocks->peak = larger(counts->active_peak, peak_of(&counts->allocation));
        blocks->allocated = out->allocation[c].allocated;
        blocks->freed = counts->active_base + blocks->allocated - blocks->current;
        vs_stat *bytes = &out->active_bytes[c];
        bytes->current = counts->allocated_bytes.current + counts->pending_bytes;
        bytes->peak = larger(counts->active_bytes_peak, peak_of(&counts->allocated_bytes));
        bytes->allocated = out->allocated_bytes[c].allocated;
        bytes->freed = counts->active_bytes_base + bytes->allocated - bytes->current;
    }
}

const vs_pool_stats *vs_pool_get_stats(const vs_pool *pool)
{
    vs_pool_stats *out = pool->report;
    const pool_counts *all = &pool->counts[VS_STAT_ALL];
    const pool_counts *small = &pool->counts[VS_STAT_SMALL];
    const pool_counts *large = &pool->counts[VS_STAT_LARGE];
    fill_stat(out->allocation, &all->allocation, &small->allocation, &large->allocation);
    fill_stat(out->segment, &all->segment, &small->segment, &large->segment);
    fill_stat(out->inactive_split, &all->inactive_split, &small->inactive_split,
              &large->inactive_split);
    fill_stat(out->allocated_bytes, &all->allocated_bytes, &small->allocated_bytes,
              &large->allocated_bytes);
    fill_stat(out->reserved_bytes, &all->reserved_bytes, &small->reserved_bytes,
              &large->reserved_bytes);
    fill_stat(out->inactive_split_bytes, &all->inactive_split_bytes,
              &small->inactive_split_bytes, &large->inactive_split_bytes);
    fill_stat(out->requested_bytes, &all->requested_bytes, &small->requested_bytes,
              &large->requested_bytes);
    fill_active(pool, out);
    out->tensor_bytes = stat_of(&pool->tensor_bytes, pool->tensor_bytes.added);
    out->oversize_allocations =
        stat_of(&pool->oversize_allocations, pool->oversize_allocations.added);
    out->oversize_segments = stat_of(&pool->oversize_segments, pool->oversize_segments.added);
    out->num_alloc_retries = pool->num_alloc_retries;
    out->num_ooms = pool->num_ooms;
    out->num_sync_all_streams = pool->num_sync_all_streams;
    out->num_device_alloc = pool->num_device_alloc;
    out->num_device_free = pool->num_device_free;
    return out;
}

/* ---- resetting ------------------------------------------------------------------------------ */

/* Calls `reset` on every gauge. */
static void each_gauge(vs_pool *pool, void (*reset)(pool_gauge *gauge))
{
    for (unsigned c = 0; c < VS_STAT_CLASSES; c++) {
        pool_counts *counts = &pool->counts[c];
        reset(&counts->allocation);
        reset(&counts->allocated_bytes);
        reset(&counts->requested_bytes);
        reset(&counts->inactive_split);
        reset(&counts->inactive_split_bytes);
        reset(&counts->segment);
        reset(&counts->reserved_bytes);
    }
    reset(&pool->tensor_bytes);
    reset(&pool->oversize_allocations);
    reset(&pool->oversize_segments);
}

static void reset_peak(pool_gauge *gauge)
{
    gauge->peak = gauge->current;
}

static void reset_sums(pool_gauge *gauge)
{
    gauge->added = 0;
    gauge->base = gauge->current;
}

void vs_pool_reset_peak(vs_pool *pool)
{
    each_gauge(pool, reset_peak);
    for (unsigned c = 0; c < VS_STAT_CLASSES; c++) {
        pool_counts *counts = &pool->counts[c];
        counts->active_peak = counts->allocation.current + counts->pending;
        counts->active_bytes_peak = counts->allocated_bytes.current + counts->pending_bytes;
    }
}

void vs_pool_reset_accumulated(vs_pool *pool)
{
    each_gauge(pool, reset_sums);
    for (unsigned c = 0; c < VS_STAT_CLASSES; c++) {
        pool_counts *counts = &pool->counts[c];
        counts->active_base = counts->allocation.current + counts->pending;
        counts->active_bytes_base = counts->allocated_bytes.current + counts->pending_bytes;
    }
    pool->num_alloc_retries = 0;
    pool->num_ooms = 0;
    pool->num_sync_all_streams = 0;
    pool->num_device_alloc = 0;
    pool->num_device_free = 0;
}

/* ---- options during a run ---------------------------------------------------------------------- */

void vs_pool_set_conf(vs_pool *pool, const vs_alloc_conf *conf)
{
    pool->has_changed_conf = true;
    vsp_adopt_conf(pool, conf);
}
