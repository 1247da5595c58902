/* vs_run as a whole: the same bytes every time, no allocation outside its arena, a clean error when that arena runs
 * out, answers that do not depend on the order of independent inputs. */
#include "tests/support/scenario.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

typedef struct {
    const char *model;
    const char *words;
} golden;

static const golden goldens[] = {
    {"llama-2-7b", "gpu=rtx-4090 dtype=bf16"},
    {"llama-2-7b", "gpu=rtx-4090 dtype=fp32"},
    {"llama-2-7b", "gpu=rtx-4090 quant=bnb-int8 async=on"},
    {"qwen3-0.6b", "gpu=8GiB quant=bnb-nf4 async=on cache=warm"},
    {"mixtral-8x7b", "gpu=48GiB quant=bnb-nf4-dq quant-experts=axolotl warmup=off async=on"},
    {"mixtral-8x7b", "gpu=48GiB quant=bnb-nf4-dq quant-experts=axolotl warmup=off async=off"},
};
#define GOLDEN_COUNT (sizeof goldens / sizeof goldens[0])

/* ---- counting calls of malloc ---------------------------------------------------------- */

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#    define COUNTS_MALLOC 0
#elif defined(__has_feature)
#    if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#        define COUNTS_MALLOC 0
#    endif
#endif
#ifndef COUNTS_MALLOC
#    define COUNTS_MALLOC 1
#endif

#if COUNTS_MALLOC
/* NOLINTBEGIN: glibc's own allocator under the names it exports for interposers, and a test's counter */
extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *old, size_t size);
static unsigned long malloc_calls;

void *malloc(size_t size)
{
    malloc_calls++;
    return __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
    malloc_calls++;
    return __libc_calloc(count, size);
}

void *realloc(void *old, size_t size)
{
    malloc_calls++;
    return __libc_realloc(old, size);
}

/* NOLINTEND */
#endif

static void a_run_allocates_nothing_outside_its_arena(void **state)
{
    (void)state;
#if COUNTS_MALLOC
    for (size_t i = 0; i < GOLDEN_COUNT; i++) {
        scenario_run s;
        scenario_open(&s);
        scenario_go(&s, goldens[i].model,
                    goldens[i].words); /* reads the inputs too: those may allocate */
        vs_arena_reset(&s.run);
        const vs_run_input input = {
            .model = &s.model, .machine = &s.machine, .scenario = &s.scenario};
        vs_err err = {0};
        const unsigned long before = malloc_calls;
        const bool is_fine = vs_run(&s.run, &input, &s.result, &s.timeline, &err);
        const unsigned long after = malloc_calls;
        assert_true(is_fine);
        assert_int_equal(after - before, 0);
        scenario_close(&s);
    }
#else
    skip();
#endif
}

/* ---- determinism -------------------------------------------------------------------------- */

static void check_same_tape(const golden *g, uint32_t shuffle_seed)
{
    scenario_run a;
    scenario_run b;
    scenario_open(&a);
    scenario_open(&b);
    b.shuffle_seed = shuffle_seed;
    scenario_go(&a, g->model, g->words);
    scenario_go(&b, g->model, g->words);
    assert_int_equal(a.timeline.image_bytes, b.timeline.image_bytes);
    assert_memory_equal(a.timeline.image, b.timeline.image, a.timeline.image_bytes);
    assert_int_equal(a.result.gpus[0].peak_used_bytes, b.result.gpus[0].peak_used_bytes);
    scenario_close(&a);
    scenario_close(&b);
}

static void two_runs_give_the_same_bytes(void **state)
{
    (void)state;
    for (size_t i = 0; i < GOLDEN_COUNT; i++) {
        check_same_tape(&goldens[i], 0);
    }
}

static void the_order_of_registration_does_not_matter(void **state)
{
    (void)state;
    for (size_t i = 0; i < GOLDEN_COUNT; i++) {
        for (uint32_t seed = 1; seed <= 7; seed++) {
            check_same_tape(&goldens[i], seed);
        }
    }
}

static void a_used_arena_gives_the_same_bytes_as_a_fresh_one(void **state)
{
    (void)state;
    scenario_run fresh;
    scenario_run used;
    scenario_open(&fresh);
    scenario_open(&used);
    scenario_go(&used, "mixtral-8x7b", goldens[4].words);
    scenario_go(&used, goldens[0].model, goldens[0].words);
    scenario_go(&fresh, goldens[0].model, goldens[0].words);
    assert_int_equal(fresh.timeline.image_bytes, used.timeline.image_bytes);
    assert_memory_equal(fresh.timeline.image, used.timeline.image, fresh.timeline.image_bytes);
    scenario_close(&fresh);
    scenario_close(&used);
}

static void the_tape_agrees_with_a_naive_recomputation(void **state)
{
    (void)state;
    for (size_t i = 0; i < GOLDEN_COUNT; i++) {
        scenario_run s;
        vs_err err = {0};
        scenario_open(&s);
        scenario_go(&s, goldens[i].model, goldens[i].words);
        scenario_must(vs_timeline_check(&s.timeline, &err), &err);
        scenario_close(&s);
    }
}

/* ---- running out of our own memory ------------------------------------------------------------ */

static void the_nth_allocation_may_fail(void **state)
{
    (void)state;
    bool has_passed = false;
    uint64_t failures = 0;
    scenario_run s;
    scenario_open(&s);
    for (uint64_t n = 1; !has_passed; n += n < 200 ? 1 : n / 50) {
        vs_err err = {0};
        s.fail_run_at = n;
        has_passed = scenario_try(&s, "qwen3-0.6b", "gpu=8GiB quant=bnb-nf4 async=on", &err);
        assert_true(has_passed || err.code == VS_ERR_MEMORY);
        failures += !has_passed;
    }
    assert_true(failures > 10);
    scenario_close(&s);
}

static void several_gpus_are_refused_in_words(void **state)
{
    (void)state;
    scenario_run s;
    vs_err err = {0};
    scenario_open(&s);
    assert_false(scenario_try(&s, "llama-2-7b", "gpu=rtx-4090,rtx-4090", &err));
    assert_non_null(strstr(err.text, "give one --gpu"));
    scenario_close(&s);
}

static bool stop_at_once(void *ctx)
{
    (void)ctx;
    return true;
}

static void a_run_can_be_stopped(void **state)
{
    (void)state;
    scenario_run s;
    vs_err err = {0};
    scenario_open(&s);
    scenario_go(&s, "qwen3-235b-a22b", "gpu=80GiB");
    vs_arena_reset(&s.run);
    const vs_run_input input = {.model = &s.model,
                                .machine = &s.machine,
                                .scenario = &s.scenario,
                                .should_stop = stop_at_once};
    assert_false(vs_run(&s.run, &input, &s.result, &s.timeline, &err));
    assert_int_equal(err.code, VS_ERR_CANCELLED);
    scenario_close(&s);
}

static void what_would_fit_is_simulated_not_guessed(void **state)
{
    (void)state;
    scenario_run s;
    vs_arena scratch;
    vs_err err = {0};
    vs_fix_list list = {0};
    scenario_open(&s);
    assert_true(vs_arena_open(&scratch, (size_t)4 << 30, &err));
    scenario_go(&s, "llama-2-7b", "gpu=rtx-4090 dtype=fp32");
    const vs_run_input input = {
        .model = &s.model, .machine = &s.machine, .scenario = &s.scenario};
    scenario_must(vs_run_fixes(&scratch, &s.inputs, &input, &s.result, &list, &err), &err);
    assert_true(list.count > 2);
    for (uint32_t i = 0; i < list.count; i++) {
        if (strcmp(list.fixes[i].change, "--dtype bf16") == 0) {
            scenario_go(&s, "llama-2-7b", "gpu=rtx-4090 dtype=bf16");
            assert_int_equal(list.fixes[i].verdict, s.result.verdict);
            assert_int_equal(list.fixes[i].peak_used_bytes, s.result.gpus[0].peak_used_bytes);
            assert_int_equal(list.fixes[i].load_ns, s.result.load_ns);
            vs_arena_close(&scratch);
            scenario_close(&s);
            return;
        }
    }
    fail_msg("--dtype bf16 is not among the fixes");
}

/* Another card hangs on another link: the fix has to be what `--gpu NAME` gives, to the nanosecond. */
static void a_card_among_the_fixes_is_simulated_on_its_own_link(void **state)
{
    (void)state;
    scenario_run s;
    vs_arena scratch;
    vs_err err = {0};
    vs_fix_list list = {0};
    uint32_t cards = 0;
    scenario_open(&s);
    assert_true(vs_arena_open(&scratch, (size_t)4 << 30, &err));
    /* a T4 is PCIe 3, what holds 24.24 GiB is not */
    scenario_go(&s, "llama-2-13b", "gpu=t4 cache=warm");
    const vs_run_input input = {
        .model = &s.model, .machine = &s.machine, .scenario = &s.scenario};
    scenario_must(vs_run_fixes(&scratch, &s.inputs, &input, &s.result, &list, &err), &err);
    for (uint32_t i = 0; i < list.count; i++) {
        if (strncmp(list.fixes[i].change, "--gpu ", 6) != 0) {
            continue;
        }
        char words[128];
        (void)snprintf(words, sizeof words, "gpu=%s cache=warm", list.fixes[i].change + 6);
        scenario_go(&s, "llama-2-13b", words);
        assert_int_equal(list.fixes[i].verdict, s.result.verdict);
        assert_int_equal(list.fixes[i].peak_used_bytes, s.result.gpus[0].peak_used_bytes);
        assert_int_equal(list.fixes[i].load_ns, s.result.load_ns);
        cards++;
    }
    assert_int_equal(cards, 1);
    vs_arena_close(&scratch);
    scenario_close(&s);
}

static void a_much_larger_card_is_found(void **state)
{
    (void)state;
    scenario_run s;
    vs_arena scratch;
    vs_err err = {0};
    vs_fix_list list = {0};
    scenario_open(&s);
    assert_true(vs_arena_open(&scratch, (size_t)4 << 30, &err));
    scenario_go(&s, "mixtral-8x7b", "gpu=rtx-4090");
    assert_true(s.result.needed_bytes > 87 * VS_GIB);
    const vs_run_input input = {
        .model = &s.model, .machine = &s.machine, .scenario = &s.scenario};
    scenario_must(vs_run_fixes(&scratch, &s.inputs, &input, &s.result, &list, &err), &err);
    assert_true(list.count > 0);
    assert_int_equal(list.fixes[0].verdict, VS_VERDICT_FITS);
    assert_memory_equal(list.fixes[0].change, "--gpu ", 6);
    vs_arena_close(&scratch);
    scenario_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_run_allocates_nothing_outside_its_arena),
        cmocka_unit_test(two_runs_give_the_same_bytes),
        cmocka_unit_test(the_order_of_registration_does_not_matter),
        cmocka_unit_test(a_used_arena_gives_the_same_bytes_as_a_fresh_one),
        cmocka_unit_test(the_tape_agrees_with_a_naive_recomputation),
        cmocka_unit_test(the_nth_allocation_may_fail),
        cmocka_unit_test(several_gpus_are_refused_in_words),
        cmocka_unit_test(a_run_can_be_stopped),
        cmocka_unit_test(what_would_fit_is_simulated_not_guessed),
        cmocka_unit_test(a_much_larger_card_is_found),
        cmocka_unit_test(a_card_among_the_fixes_is_simulated_on_its_own_link),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
