/* pool/stats.c - reading and resetting the statistics of specs/torch-caching-allocator.md [7], and
 * changing the options during a run. Counting itself is inline in pool_internal.h. */
#include "sim/pool/pool_internal.h"

const vs_pool_stats *vs_pool_get_stats(const vs_pool *pool)
{
    return &pool->stats;
}

/* Calls `reset` on every counter with current, peak and sums. */
static void each_stat(vs_pool_stats *stats, void (*reset)(vs_stat *stat))
{
    vs_stat *const by_class[] = {
        stats->allocation,      stats->segment,
        stats->active,          stats->inactive_split,
        stats->allocated_bytes, stats->reserved_bytes,
        stats->active_bytes,    stats->inactive_split_bytes,
        stats->requested_bytes,
    };
    for (size_t i = 0; i < sizeof by_class / sizeof by_class[0]; i++) {
        for (unsigned c = 0; c < VS_STAT_CLASSES; c++) {
            reset(&by_class[i][c]);
        }
    }
    reset(&stats->tensor_bytes);
    reset(&stats->oversize_allocations);
    reset(&stats->oversize_segments);
}

static void reset_peak(vs_stat *stat)
{
    stat->peak = stat->current;
}

static void reset_sums(vs_stat *stat)
{
    stat->allocated = 0;
    stat->freed = 0;
}

void vs_pool_reset_peak(vs_pool *pool)
{
    each_stat(&pool->stats, reset_peak);
}

void vs_pool_reset_accumulated(vs_pool *pool)
{
    each_stat(&pool->stats, reset_sums);
    pool->stats.num_alloc_retries = 0;
    pool->stats.num_ooms = 0;
    pool->stats.num_sync_all_streams = 0;
    pool->stats.num_device_alloc = 0;
    pool->stats.num_device_free = 0;
}

void vs_pool_set_conf(vs_pool *pool, const vs_alloc_conf *conf)
{
    pool->has_changed_conf = true;
    vsp_adopt_conf(pool, conf);
}
