/* Random request sequences against the naive twin of twin_pool.h: every address, every statistic and
 * every block after every operation, for all options, and the pool's own check.
 *
 * prop_pool [SEED [SEQUENCES]] runs another seed or more of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "tests/prop/twin_pool.h"

#define SEED      UINT64_C(20261121)
#define SEQUENCES 600
#define OPS       120
#define LIVE      160

typedef struct {
    uint64_t seed;
    uint32_t sequences;
} plan;

typedef struct {
    vs_block block;
    int twin;
} pair;

typedef struct {
    uint64_t seed;
    vs_rng rng;
    uint32_t sequence;
    uint32_t op;
    twin *twin;
    vs_model_driver model;
    vs_pool *pool;
    vs_arena scratch;
    pair live[LIVE];
    uint32_t live_count;
    uint32_t allocs;
    uint32_t ooms;
    uint32_t seen; /* blocks visited */
} match;

static uint64_t below(match *m, uint64_t bound)
{
    return vs_rng_below(&m->rng, bound);
}

static void fail_match(const match *m, const char *what, uint64_t got, uint64_t want)
{
    fail_msg("seed %" PRIu64 ", sequence %u, operation %u: %s is %" PRIu64
             ", the twin says %" PRIu64,
             m->seed, m->sequence, m->op, what, got, want);
}

static void same(const match *m, const char *what, uint64_t got, uint64_t want)
{
    if (got != want) {
        fail_match(m, what, got, want);
    }
}

/* ---- what is tried ---------------------------------------------------------------------- */

static uint64_t random_size(match *m)
{
    switch (below(m, 8)) {
    case 0: return 1 + below(m, 2048);
    case 1: return 1 + below(m, VS_MIB);
    case 2: return VS_MIB - 600 + below(m, 1200); /* the border of the pools */
    case 3: return 512 * (1 + below(m, 64));      /* repeats itself: ties */
    case 4: return VS_MIB * (1 + below(m, 12));   /* likewise */
    case 5: return 1 + below(m, 10 * VS_MIB);
    case 6: return 10 * VS_MIB - 600 + below(m, 1200); /* own segment or not */
    default: return 1 + below(m, 80 * VS_MIB);
    }
}

static vs_alloc_conf random_conf(match *m, vs_torch_version torch)
{
    vs_alloc_conf conf = vs_alloc_conf_default(torch);
    if (torch >= 211 && below(m, 4) == 0) {
        conf.large_segment_bytes = (11 + below(m, 60)) * VS_MIB;
        conf.max_non_split_bytes = conf.large_segment_bytes;
    }
    if (below(m, 3) == 0) {
        conf.max_split_bytes = conf.large_segment_bytes + (1 + below(m, 40)) * VS_MIB;
    }
    if (below(m, 6) == 0) {
        conf.max_non_split_bytes = conf.large_segment_bytes + (1 + below(m, 40)) * VS_MIB;
    }
    if (below(m, 3) == 0) {
        static const uint32_t choices[] = {0, 1, 2, 4, 8, 16};
        for (unsigned i = 0; i < 16; i++) {
            conf.divisions[i] = choices[below(m, 6)];
        }
    }
    if (below(m, 3) == 0) {
        conf.memory_fraction = (double)(20 + below(m, 81)) / 100.0;
        if (below(m, 3) != 0) {
            conf.gc_threshold = (double)(1 + below(m, 99)) / 100.0;
        }
    }
    conf.expandable_segments = torch >= 201 && below(m, 5) < 2;
    return conf;
}

static vs_torch_version random_release(match *m)
{
    static const vs_torch_version releases[] = {200, 201, 203, 204, 205, 209, 210, 211, 214};
    return releases[below(m, sizeof releases / sizeof releases[0])];
}

/* ---- comparing ------------------------------------------------------------------------------ */

static void compare_stats(const match *m)
{
    const vs_pool_stats *ours = vs_pool_get_stats(m->pool);
    const vs_pool_stats *theirs = &m->twin->stats;
    const uint64_t *a = (const uint64_t *)(const void *)ours;
    const uint64_t *b = (const uint64_t *)(const void *)theirs;
    for (size_t i = 0; i < sizeof *ours / sizeof *a; i++) {
        if (a[i] != b[i]) {
            print_message("number %zu of vs_pool_stats\n", i);
            fail_match(m, "a statistic", a[i], b[i]);
        }
    }
    same(m, "bytes in use", m->model.in_use_bytes, m->twin->model.in_use_bytes);
    same(m, "driver calls", m->model.malloc_calls, m->twin->model.malloc_calls);
}

static void compare_view(void *ctx, const vs_block_view *view)
{
    match *m = ctx;
    m->seen++;
    for (int i = 0; i < TWIN_BLOCKS; i++) {
        const twin_block *b = &m->twin->blocks[i];
        if (b->is_used && b->addr == view->addr) {
            same(m, "block size", view->size_bytes, b->size);
            same(m, "block state", view->state, b->state);
            same(m, "block stream", view->stream, b->stream);
            same(m, "block pool", view->is_small_pool, b->is_small);
            same(m, "block segment", view->segment_addr, b->segment);
            same(m, "expandable", view->is_expandable, b->page != 0);
            return;
        }
    }
    fail_match(m, "a block at", view->addr, 0);
}

static void compare(match *m)
{
    compare_stats(m);
    vs_arena_reset(&m->scratch);
    m->seen = 0;
    assert_true(vs_pool_visit(m->pool, &m->scratch, compare_view, m));
    uint32_t used = 0;
    for (int i = 0; i < TWIN_BLOCKS; i++) {
        used += m->twin->blocks[i].is_used;
    }
    same(m, "number of blocks", m->seen, used);
    vs_err err = {0};
    if (!vs_pool_check(m->pool, &m->scratch, &err)) {
        print_message("%s\n", err.text);
        fail_match(m, "check", 0, 1);
    }
}

/* ---- operations --------------------------------------------------------------------------------- */

static void do_alloc(match *m)
{
    const uint64_t stream = below(m, 3) == 0 ? 1 + below(m, 3) : 0;
    const vs_pool_request request = {.size_bytes = random_size(m), .stream = stream};
    vs_block block = {0};
    const vs_alloc_result result = vs_pool_alloc(m->pool, m->op, &request, &block);
    const int found = twin_alloc(m->twin, request.size_bytes, stream);
    same(m, "result", result, found == TWIN_NONE ? VS_ALLOC_OOM : VS_ALLOC_OK);
    if (found == TWIN_NONE) {
        m->ooms++;
        const vs_oom_info info = vs_pool_oom_info(m->pool);
        const uint64_t rounded = twin_round(m->twin, request.size_bytes);
        same(m, "attempted", info.attempted_bytes, twin_segment_bytes(m->twin, rounded));
        same(m, "limit", info.limit_bytes,
             m->twin->has_limit ? m->twin->limit : VS_POOL_UNLIMITED);
        return;
    }
    same(m, "address", vs_pool_block_addr(m->pool, block), m->twin->blocks[found].addr);
    m->live[m->live_count++] = (pair){block, found};
    m->allocs++;
}

static void do_free(match *m)
{
    const uint32_t which = (uint32_t)below(m, m->live_count);
    vs_pool_free(m->pool, m->op, m->live[which].block);
    twin_free(m->twin, m->live[which].twin);
    m->live[which] = m->live[--m->live_count];
}

static void do_stream(match *m)
{
    const uint64_t stream = below(m, 5);
    switch (below(m, 4)) {
    case 0:
        vs_pool_stream_busy(m->pool, stream);
        twin_stream_busy(m->twin, stream);
        break;
    case 1:
        vs_pool_stream_done(m->pool, stream);
        twin_stream_done(m->twin, stream);
        break;
    default:
        if (m->live_count != 0) {
            const pair p = m->live[below(m, m->live_count)];
            assert_true(vs_pool_record_stream(m->pool, p.block, stream));
            twin_record(m->twin, p.twin, stream);
        }
        break;
    }
}

static void twin_each_reset(vs_pool_stats *s, bool is_peak)
{
    vs_stat *stats = (vs_stat *)(void *)s;
    const size_t count = offsetof(vs_pool_stats, num_alloc_retries) / sizeof(vs_stat);
    for (size_t i = 0; i < count; i++) {
        if (is_peak) {
            stats[i].peak = stats[i].current;
        } else {
            stats[i].allocated = 0;
            stats[i].freed = 0;
        }
    }
    if (!is_peak) {
        s->num_alloc_retries = s->num_ooms = s->num_sync_all_streams = 0;
        s->num_device_alloc = s->num_device_free = 0;
    }
}

static void do_rare(match *m)
{
    switch (below(m, 6)) {
    case 0:
        vs_pool_reset_peak(m->pool);
        twin_each_reset(&m->twin->stats, true);
        break;
    case 1:
        vs_pool_reset_accumulated(m->pool);
        twin_each_reset(&m->twin->stats, false);
        break;
    case 2: {
        vs_alloc_conf conf = m->twin->conf;
        conf.memory_fraction = (double)(30 + below(m, 71)) / 100.0;
        vs_pool_set_fraction(m->pool, conf.memory_fraction);
        twin_set_conf(m->twin, &conf);
        break;
    }
    case 3: {
        const vs_alloc_conf conf = random_conf(m, m->twin->conf.torch);
        vs_pool_set_conf(m->pool, &conf);
        twin_set_conf(m->twin, &conf);
        break;
    }
    default:
        vs_pool_empty_cache(m->pool, m->op);
        twin_release_all(m->twin);
        break;
    }
}

static void do_one(match *m, bool is_growing)
{
    const uint64_t dice = below(m, 100);
    if (dice < 4) {
        do_rare(m);
    } else if (dice < 16) {
        do_stream(m);
    } else if (m->live_count == 0 ||
               (m->live_count < LIVE && dice < (is_growing ? 75u : 45u))) {
        do_alloc(m);
    } else {
        do_free(m);
    }
    compare(m);
}

static void one_sequence(match *m, vs_arena *arena)
{
    vs_arena_reset(arena);
    const vs_torch_version torch = random_release(m);
    const vs_alloc_conf conf = random_conf(m, torch);
    const uint64_t total = (40 + below(m, 500)) * VS_MIB;
    const uint64_t in_use = below(m, 4) == 0 ? below(m, 40 * VS_MIB) : 0;
    twin_open(m->twin, &conf, total, in_use);
    vs_model_driver_init(&m->model, total, in_use);
    const vs_pool_desc desc = {.conf = &conf, .driver = vs_model_driver_calls(&m->model)};
    m->pool = vs_pool_new(arena, &desc);
    assert_non_null(m->pool);
    m->live_count = 0;
    for (m->op = 0; m->op < OPS; m->op++) {
        do_one(m, m->op % 40 < 25);
    }
}

static void random_sequences_agree_with_the_naive_twin(void **state)
{
    const plan *todo = *state;
    vs_arena own = {0};
    vs_arena arena = {0};
    vs_err err = {0};
    assert_true(vs_arena_open(&own, 8 * VS_MIB, &err));
    assert_true(vs_arena_open(&arena, 16 * VS_MIB, &err));
    match *m = VS_NEW(&own, match);
    assert_non_null(m);
    m->twin = VS_NEW(&own, twin);
    assert_non_null(m->twin);
    assert_true(vs_arena_open(&m->scratch, 4 * VS_MIB, &err));
    m->seed = todo->seed;
    vs_rng_seed(&m->rng, m->seed);
    for (m->sequence = 0; m->sequence < todo->sequences; m->sequence++) {
        one_sequence(m, &arena);
    }
    print_message("seed %" PRIu64 ": %u sequences, %u allocations, %u out of memory\n", m->seed,
                  m->sequence, m->allocs, m->ooms);
    vs_arena_close(&m->scratch);
    vs_arena_close(&arena);
    vs_arena_close(&own);
}

int main(int argc, char **argv)
{
    plan todo = {.seed = argc > 1 ? strtoull(argv[1], NULL, 10) : SEED,
                 .sequences = argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 10) : SEQUENCES};
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate(random_sequences_agree_with_the_naive_twin, &todo),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
