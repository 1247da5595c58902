/* tests/fault/fault_replay.c - a replay without memory: whichever allocation fails, one clear error, or the same answer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/support/recorded.h"

#include <string.h>

typedef struct {
    vs_arena make;
    vs_arena keep;
    vs_arena scratch;
    recorded late;       /* several streams, retries, blocks from before */
    recorded expandable; /* the same in ranges */
    recorded collected;  /* garbage collection under a limit that is looked for */
} arenas;

static recorded_desc described(const char *conf, uint32_t skip)
{
    return (recorded_desc){.seed = 8,
                           .operations = 300,
                           .alloc_conf = conf,
                           .capacity_bytes = 800 * VS_MIB,
                           .target_bytes = 750 * VS_MIB,
                           .stream_count = 2,
                           .has_foreign_uses = true,
                           .empties_cache = true,
                           .marker_every = 20,
                           .skip = skip};
}

static int setup(void **state)
{
    arenas *a = test_calloc(1, sizeof *a);
    vs_err err = {0};
    assert_true(vs_arena_open(&a->make, 256 * VS_MIB, &err));
    assert_true(vs_arena_open(&a->keep, 64 * VS_MIB, &err));
    assert_true(vs_arena_open(&a->scratch, 256 * VS_MIB, &err));
    const recorded_desc late = described("max_split_size_mb:64", 101);
    const recorded_desc expandable = described("expandable_segments:True", 101);
    recorded_desc collected = described("garbage_collection_threshold:0.6", 0);
    collected.capacity_bytes = 4 * VS_GIB;
    collected.limit_bytes = 800 * VS_MIB;
    recorded_make(&a->late, &late, &a->make);
    recorded_make(&a->expandable, &expandable, &a->make);
    recorded_make(&a->collected, &collected, &a->make);
    *state = a;
    return 0;
}

static int teardown(void **state)
{
    arenas *a = *state;
    vs_arena_close(&a->make);
    vs_arena_close(&a->keep);
    vs_arena_close(&a->scratch);
    test_free(a);
    return 0;
}

static bool run(arenas *a, const recorded *r, vs_replay_desc desc, vs_replay_verdict expected)
{
    vs_err err = {0};
    vs_replay_result result = {.device_count = 99};
    desc.keep = &a->keep;
    desc.scratch = &a->scratch;
    if (vs_replay_run(&result, &r->recording, &desc, &err)) {
        assert_int_equal(err.code, VS_OK);
        assert_int_equal(result.verdict, expected);
        return true;
    }
    assert_int_equal(err.code, VS_ERR_MEMORY);
    assert_true(err.text[0] != '\0');
    assert_int_equal(result.device_count, 99); /* nothing was written */
    return false;
}

/* Allocation after allocation of one arena, later ones in growing steps, until none is left to fail. */
static void starve(arenas *a, vs_arena *arena, const recorded *r, const vs_replay_desc *desc,
                   vs_replay_verdict expected)
{
    bool is_done = false;
    uint64_t n = 0;
    while (!is_done) {
        vs_arena_reset(&a->keep);
        vs_arena_reset(&a->scratch);
        n += 1 + n / 32;
        arena->fail_at = arena->alloc_count + n;
        is_done = run(a, r, *desc, expected);
        arena->fail_at = 0;
        assert_true(n < 200000);
    }
    assert_true(n > 1);
}

static void starve_both(arenas *a, const recorded *r, const vs_replay_desc *desc,
                        vs_replay_verdict expected)
{
    starve(a, &a->keep, r, desc, expected);
    starve(a, &a->scratch, r, desc, expected);
}

static void without_memory_a_replay_says_so(void **state)
{
    arenas *a = *state;
    const vs_replay_desc desc = {0};
    starve_both(a, &a->late, &desc, VS_REPLAY_IDENTICAL);
    starve_both(a, &a->expandable, &desc, VS_REPLAY_IDENTICAL);
    starve_both(a, &a->collected, &desc, VS_REPLAY_IDENTICAL);
}

static void so_does_a_what_if(void **state)
{
    arenas *a = *state;
    const vs_alloc_conf conf = vs_alloc_conf_default(VS_TORCH_NEWEST);
    vs_alloc_conf expandable = conf;
    expandable.expandable_segments = true;
    const vs_replay_desc desc = {.conf = &conf, .capacity_bytes = 400 * VS_MIB};
    const vs_replay_desc other = {.conf = &expandable};
    starve_both(a, &a->late, &desc, VS_REPLAY_WHAT_IF);
    starve_both(a, &a->late, &other, VS_REPLAY_WHAT_IF);
    starve_both(a, &a->expandable, &desc, VS_REPLAY_WHAT_IF);
}

/* The tape has an arena of its own: it may run out at any event. */
static void a_tape_that_runs_out_is_an_error_when_it_is_sealed(void **state)
{
    arenas *a = *state;
    vs_arena tapes = {0};
    vs_err err = {0};
    bool is_done = false;
    assert_true(vs_arena_open(&tapes, 64 * VS_MIB, &err));
    for (uint64_t n = 1; !is_done; n += 1 + n / 32) {
        vs_arena_reset(&tapes);
        vs_arena_reset(&a->keep);
        vs_arena_reset(&a->scratch);
        tapes.fail_at = tapes.alloc_count + n;
        vs_tape *tape = vs_tape_new(&tapes, &(vs_tape_desc){0});
        if (tape != NULL) {
            vs_replay_result result = {0};
            vs_timeline timeline = {0};
            const vs_replay_desc desc = {
                .keep = &a->keep, .scratch = &a->scratch, .tape = tape};
            err = (vs_err){0};
            is_done = vs_replay_run(&result, &a->late.recording, &desc, &err) &&
                      vs_tape_seal(tape, &timeline, &err);
            assert_true(is_done || err.code == VS_ERR_MEMORY);
        }
        assert_true(n < 10000);
    }
    vs_arena_close(&tapes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_memory_a_replay_says_so),
        cmocka_unit_test(so_does_a_what_if),
        cmocka_unit_test(a_tape_that_runs_out_is_an_error_when_it_is_sealed),
    };
    return cmocka_run_group_tests_name("fault_replay", tests, setup, teardown);
}
