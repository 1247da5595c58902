/* The host's memory: the heap counts, the page cache gives way (specs/transformers-loading.md [2.2, 2.7]). */
#include "sim/load/load.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

typedef struct {
    vs_arena arena;
    vs_machine machine;
    loader ld;
} host_bench;

static host_bench
    bench; /* NOLINT(cppcoreguidelines-avoid-non-const-global-variables): a fixture of large structs */

static int open_bench(void **state)
{
    static const host_bench zero = {0};
    static const vs_engine_desc engine = {0};
    static const vs_tape_desc tape = {0};
    bench = zero;
    if (!vs_arena_open(&bench.arena, 64 * VS_MIB, NULL)) {
        return 1;
    }
    bench.machine.host.ram_bytes = 1000;
    bench.ld = (loader){.arena = &bench.arena,
                        .machine = &bench.machine,
                        .engine = vs_engine_new(&bench.arena, &engine),
                        .tape = vs_tape_new(&bench.arena, &tape)};
    if (bench.ld.engine == NULL || bench.ld.tape == NULL) {
        return 1;
    }
    bench.ld.host_device = vs_tape_add_device(bench.ld.tape, VS_DEVICE_HOST, "host", 1000);
    *state = &bench.ld;
    return 0;
}

static int close_bench(void **state)
{
    (void)state;
    vs_arena_close(&bench.arena);
    return 0;
}

static void the_heap_may_fill_the_ram_and_no_more(void **state)
{
    loader *ld = *state;
    assert_true(host_take_anon(ld, 1000));
    assert_false(host_take_anon(ld, 1));
    host_give_anon(ld, 400);
    assert_false(host_take_anon(ld, 401));
    assert_false(host_take_anon(ld, UINT64_MAX));
    assert_true(host_take_anon(ld, 400));
    assert_int_equal(ld->anon_peak_bytes, 1000);
}

static void the_page_cache_takes_what_the_heap_leaves(void **state)
{
    loader *ld = *state;
    assert_true(host_take_anon(ld, 300));
    host_file_read(ld, 500);
    assert_int_equal(ld->file_bytes, 500);
    host_file_read(ld, 500);
    assert_int_equal(ld->file_bytes, 700);
    assert_int_equal(ld->file_peak_bytes, 700);
}

static void the_heap_evicts_the_page_cache(void **state)
{
    loader *ld = *state;
    host_file_read(ld, 900);
    assert_true(host_take_anon(ld, 400));
    assert_int_equal(ld->file_bytes, 600);
}

static void evicted_pages_do_not_come_back_by_themselves(void **state)
{
    loader *ld = *state;
    host_file_read(ld, 900);
    assert_true(host_take_anon(ld, 400));
    host_give_anon(ld, 400);
    assert_int_equal(ld->file_bytes, 600);
    host_file_read(ld, 100);
    assert_int_equal(ld->file_bytes, 700);
    assert_int_equal(ld->file_peak_bytes, 900);
}

static void pages_evicted_before_they_are_used_are_cold_again(void **state)
{
    loader *ld = *state;
    ld->warm_bytes = 900;
    host_file_read(ld, 900);
    assert_true(host_take_anon(ld, 400));
    assert_int_equal(ld->warm_bytes, 600);
}

static void used_pages_go_before_those_still_wanted(void **state)
{
    loader *ld = *state;
    ld->warm_bytes = 900;
    host_file_read(ld, 900);
    ld->warm_bytes = 500; /* 400 of them have been copied */
    assert_true(host_take_anon(ld, 400));
    assert_int_equal(ld->warm_bytes, 500);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, open_bench, close_bench)
    const struct CMUnitTest tests[] = {
        CASE(the_heap_may_fill_the_ram_and_no_more),
        CASE(the_page_cache_takes_what_the_heap_leaves),
        CASE(the_heap_evicts_the_page_cache),
        CASE(evicted_pages_do_not_come_back_by_themselves),
        CASE(pages_evicted_before_they_are_used_are_cold_again),
        CASE(used_pages_go_before_those_still_wanted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
