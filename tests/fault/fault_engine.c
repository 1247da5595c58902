/* The engine when memory runs out: the n-th allocation of the arena fails, n = 1, 2, 3 ... until
 * the run passes. Each time the run must end with a clean error. */
#include "vramscope/engine.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define ACTORS 40

typedef struct {
    vs_process process;
    vs_link link;
    vs_gate *gate;
    uint64_t *done;
} actor;

static void count_done(vs_engine *engine, void *ctx, uint64_t arg)
{
    (void)arg;
    actor *a = ctx;
    ++*a->done;
    (void)vs_gate_signal(engine, a->gate);
    vs_process_wake(engine, &a->process);
}

/* Starts three flows, waits at the gate, then rests. */
static void step(vs_engine *engine, vs_process *process)
{
    actor *a = (actor *)process;
    if (process->state++ > 0) {
        return;
    }
    for (uint64_t i = 0; i < 3; i++) {
        const vs_flow_desc desc = {.links = {a->link},
                                   .link_count = 1,
                                   .size_bytes = i * 1000,
                                   .latency_ns = i,
                                   .on_done = count_done,
                                   .ctx = a};
        (void)vs_flow_start(engine, &desc);
    }
    vs_gate_wait(engine, a->gate, process);
}

/* Everything grows: links, processes, flows and events from 1 upwards. */
static bool run_all(vs_arena *arena, vs_err *err)
{
    vs_engine *engine = vs_engine_new(
        arena,
        &(vs_engine_desc){.expected_events = 1, .expected_flows = 1, .expected_links = 1});
    if (engine == NULL) {
        return vs_fail_memory(err, arena, "engine");
    }
    uint64_t done = 0;
    vs_gate gate = {0};
    actor actors[ACTORS];
    memset(actors, 0, sizeof actors);
    for (uint32_t i = 0; i < ACTORS; i++) {
        actors[i].process = (vs_process){.step = step, .name = "actor"};
        actors[i].link = vs_link_new(engine, &(vs_link_desc){.name = "l", .rate_bps = 77});
        actors[i].gate = &gate;
        actors[i].done = &done;
        if (actors[i].link.id == 0 || !vs_process_start(engine, &actors[i].process)) {
            assert_true(arena->is_exhausted);
            assert_false(vs_engine_run(engine, VS_NS_NEVER, err));
            return false;
        }
    }
    if (!vs_engine_run(engine, VS_NS_NEVER, err)) {
        vs_err again = {0};
        assert_false(vs_engine_run(engine, VS_NS_NEVER, &again));
        assert_int_equal(again.code, VS_ERR_MEMORY);
        return false;
    }
    assert_int_equal(done, 3 * ACTORS);
    return vs_engine_check(engine, err);
}

static void a_run_that_cannot_get_memory_ends_with_a_clean_error(void **state)
{
    (void)state;
    vs_err err = {0};
    vs_arena arena = {0};
    assert_true(vs_arena_open(&arena, 4 * VS_MIB, &err));
    uint64_t n = 1;
    for (;; n++) {
        vs_arena_reset(&arena);
        arena.fail_at = n;
        vs_err failure = {0};
        if (run_all(&arena, &failure)) {
            break;
        }
        assert_int_equal(failure.code, VS_ERR_MEMORY);
        assert_true(strlen(failure.text) > 0);
        assert_true(n < 1000);
    }
    (void)printf("passes without the first %" PRIu64 " failures\n", n - 1);
    assert_true(n > 20);
    vs_arena_close(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_run_that_cannot_get_memory_ends_with_a_clean_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
