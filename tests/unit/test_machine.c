/* tests/unit/test_machine.c - sim/hardware/machine.c and topology.c */
#include "sim/hardware/figures.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/scratch.h"

static vs_machine_spec spec_of(const char *gpu)
{
    vs_machine_spec spec = {0};
    if (gpu != NULL) {
        spec.gpus[0] = vs_str_of(gpu);
        spec.gpu_count = 1;
    }
    return spec;
}

static vs_machine resolve(scratch *s, const vs_machine_spec *spec, const char *overlay_dir)
{
    vs_err err = {0};
    vs_machine machine = {0};
    if (!vs_machine_resolve(&machine, &s->arena, spec, overlay_dir, &err)) {
        scratch_fail(&err);
    }
    return machine;
}

static void expect_error(scratch *s, const vs_machine_spec *spec, const char *says)
{
    vs_err err = {0};
    vs_machine untouched = {.gpu_count = 77};
    assert_false(vs_machine_resolve(&untouched, &s->arena, spec, NULL, &err));
    assert_error_says(&err, says);
    assert_int_equal(untouched.gpu_count, 77);
}

static const vs_assumed *assumed(const vs_machine *machine, const char *key)
{
    for (uint32_t i = 0; i < machine->assumed_count; i++) {
        if (strcmp(machine->assumed[i].key, key) == 0) {
            return &machine->assumed[i];
        }
    }
    return NULL;
}

static void assert_assumed(const vs_machine *machine, const char *key, uint64_t value)
{
    const vs_assumed *entry = assumed(machine, key);
    if (entry == NULL) {
        fail_msg("%s is not listed", key);
        return;
    }
    assert_int_equal(entry->value, value);
    assert_true(strlen(entry->source) > 5);
}

/* ---- defaults ------------------------------------------------------------------------------- */

static void by_default_a_4090_in_a_desktop_and_every_figure_is_assumed(void **state)
{
    const vs_machine_spec spec = {0};
    const vs_machine machine = resolve(*state, &spec, NULL);
    assert_int_equal(machine.gpu_count, 1);
    assert_string_equal(machine.gpus[0].id, "rtx-4090");
    assert_int_equal(machine.gpus[0].total_bytes, 24207 * VS_MIB);
    assert_int_equal(machine.gpus[0].context_bytes, 350 * VS_MIB);
    assert_string_equal(machine.gpus[0].link, "pcie4-x16");
    assert_string_equal(machine.host.name, "desktop");
    assert_int_equal(machine.host.ram_bytes, 64 * VS_GIB);
    assert_int_equal(machine.host.base_rss_bytes, 439000000);
    assert_int_equal(machine.host.h2d_pinned_bps, 25200000000);
    assert_int_equal(machine.host.h2d_pageable_bps, 8000000000);
    assert_string_equal(machine.disk.name, "nvme-pcie4");
    assert_int_equal(machine.disk.read_bps, 7000000000);
    assert_assumed(&machine, "gpu.capacity_bytes", machine.gpus[0].total_bytes);
    assert_assumed(&machine, "gpu.context_bytes", machine.gpus[0].context_bytes);
    assert_assumed(&machine, "gpu.mem_bandwidth_bytes_per_s",
                   machine.gpus[0].mem_bandwidth_bps);
    assert_assumed(&machine, "gpu.malloc_ns", 50000);
    assert_assumed(&machine, "gpu.free_ns", 19000);
    assert_assumed(&machine, "gpu.launch_ns", 4500);
    assert_assumed(&machine, "host.ram_bytes", 64 * VS_GIB);
    assert_assumed(&machine, "host.cores", machine.host.cores);
    assert_assumed(&machine, "host.base_rss_bytes", 439000000);
    assert_assumed(&machine, "host.memcpy_bytes_per_s", 10000000000);
    assert_assumed(&machine, "host.cast_bytes_per_s", 8700000000);
    assert_assumed(&machine, "host.copy_latency_ns", 7000);
    assert_assumed(&machine, "host.h2d_pinned_bytes_per_s", 25200000000);
    assert_assumed(&machine, "host.h2d_pageable_bytes_per_s", 8000000000);
    assert_assumed(&machine, "host.d2h_bytes_per_s", 24600000000);
    assert_assumed(&machine, "disk.read_bytes_per_s", 7000000000);
    assert_assumed(&machine, "disk.mmap_read_bytes_per_s", 2610000000);
}

static void no_figure_is_listed_twice(void **state)
{
    vs_machine_spec spec = spec_of("rtx-4090");
    spec.gpus[1] = vs_str_of("a16");
    spec.gpu_count = 2;
    const vs_machine machine = resolve(*state, &spec, NULL);
    for (uint32_t i = 0; i < machine.assumed_count; i++) {
        assert_ptr_equal(assumed(&machine, machine.assumed[i].key), &machine.assumed[i]);
    }
}

/* ---- cards ------------------------------------------------------------------------------------ */

static void a_bare_size_is_a_generic_card_with_that_total(void **state)
{
    const vs_machine_spec spec = spec_of("24GiB");
    const vs_machine machine = resolve(*state, &spec, NULL);
    assert_string_equal(machine.gpus[0].id, "generic");
    assert_int_equal(machine.gpus[0].total_bytes, 24 * VS_GIB);
    assert_int_equal(machine.gpus[0].context_bytes, 350 * VS_MIB);
    assert_int_equal(machine.gpus[0].mem_bandwidth_bps, 936000000000);
    assert_null(assumed(&machine, "gpu.capacity_bytes"));
    assert_assumed(&machine, "gpu.context_bytes", 350 * VS_MIB);
    assert_assumed(&machine, "gpu.fp16_flops", machine.gpus[0].fp16_flops);
}

static void a_name_with_a_size_is_that_card_with_another_total(void **state)
{
    const vs_machine_spec spec = spec_of("t4:14909MiB");
    const vs_machine machine = resolve(*state, &spec, NULL);
    assert_string_equal(machine.gpus[0].id, "t4");
    assert_int_equal(machine.gpus[0].total_bytes, 14909 * VS_MIB);
    assert_int_equal(machine.gpus[0].smi_total_bytes, 0);
    assert_null(assumed(&machine, "gpu.capacity_bytes"));
    assert_null(assumed(&machine, "gpu.smi_total_bytes"));
    assert_assumed(&machine, "gpu.mem_bandwidth_bytes_per_s", 320000000000);
}

static void several_cards_keep_their_order_and_equal_ones_are_listed_once(void **state)
{
    vs_machine_spec spec = {.gpu_count = 4};
    spec.gpus[0] = vs_str_of("rtx-3090");
    spec.gpus[1] = vs_str_of("a16");
    spec.gpus[2] = vs_str_of("rtx-3090");
    spec.gpus[3] = vs_str_of("16GiB");
    const vs_machine machine = resolve(*state, &spec, NULL);
    assert_int_equal(machine.gpu_count, 4);
    assert_string_equal(machine.gpus[0].id, "rtx-3090");
    assert_string_equal(machine.gpus[1].id, "a16");
    assert_string_equal(machine.gpus[2].id, "rtx-3090");
    assert_int_equal(machine.gpus[2].h2d_pinned_bps, machine.gpus[0].h2d_pinned_bps);
    assert_int_equal(machine.gpus[3].total_bytes, 16 * VS_GIB);
    assert_non_null(assumed(&machine, "gpu1.capacity_bytes"));
    assert_null(assumed(&machine, "gpu2.capacity_bytes"));
    assert_null(assumed(&machine, "gpu3.capacity_bytes"));
    assert_non_null(assumed(&machine, "gpu3.context_bytes"));
    /* the a16 has four lanes, the last card hangs on the same link as the first */
    assert_assumed(&machine, "gpu1.h2d_pinned_bytes_per_s", 6500000000);
    assert_null(assumed(&machine, "gpu3.h2d_pinned_bytes_per_s"));
}

static void sixteen_different_cards_fit_the_list(void **state)
{
    static const char *const ids[VS_GPUS_MAX] = {
        "rtx-3090",      "a16",      "t4",    "l4",       "a10",
        "a100-40gb-sxm", "h100-sxm", "gb200", "a30",      "a40",
        "l40s",          "h200",     "b200",  "rtx-5090", "rtx-4060-ti-16gb",
        "dgx-spark"};
    vs_machine_spec spec = {.gpu_count = VS_GPUS_MAX};
    for (uint32_t i = 0; i < VS_GPUS_MAX; i++) {
        spec.gpus[i] = vs_str_of(ids[i]);
    }
    const vs_machine machine = resolve(*state, &spec, NULL);
    assert_int_equal(machine.gpu_count, VS_GPUS_MAX);
    assert_true(machine.assumed_count > 150);
    assert_true(machine.assumed_count + 32 <= VS_ASSUMED_MAX); /* room for the loader's own */
}

static void a_card_that_cannot_be_is_an_error_that_helps(void **state)
{
    static const struct {
        const char *gpu;
        const char *says;
    } cases[] = {{"rtx-4900", "\"rtx-4090\""},
                 {"24", "24GiB"},
                 {"4090", "rtx-4090"},
                 {"0GiB", "24GiB"},
                 {"4xx", "expected a size"},
                 {"t4:", "expected a size"},
                 {"t4:-3GiB", "expected a size"},
                 {"t4:1e400", "expected a size"},
                 {"t5:16GiB", "\"t4\""},
                 {"", "--gpu is empty"}};

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const vs_machine_spec spec = spec_of(cases[i].gpu);
        expect_error(*state, &spec, cases[i].says);
    }
}

/* ---- links ---------------------------------------------------------------------------------------- */

static void the_slower_generation_and_the_lanes_of_the_card_make_the_link(void **state)
{
    static const struct {
        const char *gpu;
        const char *host;
        const char *link;
        uint64_t pinned;
        uint64_t pageable;
    } cases[] = {{"rtx-5090", "desktop", "pcie4-x16", 25200000000, 8000000000},
                 {"rtx-5090", "server-pcie5", "pcie5-x16", 55400000000, 10000000000},
                 {"rtx-2080-ti", "server-pcie5", "pcie3-x16", 12300000000, 10000000000},
                 {"rtx-2080-ti", "desktop", "pcie3-x16", 12300000000, 3700000000},
                 {"rtx-4060-ti-16gb", "desktop", "pcie4-x8", 13000000000, 8000000000},
                 {"a16", "server-pcie4", "pcie4-x4", 6500000000, 6500000000},
                 {"a100-80gb-sxm", "server-pcie4", "sxm-pcie4", 25700000000, 10000000000},
                 {"h100-sxm", "desktop", "sxm-pcie5", 55400000000, 10000000000},
                 {"a100-80gb-pcie", "server-pcie4-numa", "pcie4-x16", 17300000000, 3300000000},
                 {"t4", "cloud-t4", "pcie3-x16", 9700000000, 3700000000},
                 {"gb200", "desktop", "c2c-gb200", 359000000000, 10000000000},
                 {"m4-max-128gb", "desktop", "unified", 10000000000, 10000000000}};

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        vs_machine_spec spec = spec_of(cases[i].gpu);
        spec.host = vs_str_of(cases[i].host);
        const vs_machine machine = resolve(*state, &spec, NULL);
        assert_string_equal(machine.gpus[0].link, cases[i].link);
        assert_int_equal(machine.gpus[0].h2d_pinned_bps, cases[i].pinned);
        assert_int_equal(machine.gpus[0].h2d_pageable_bps, cases[i].pageable);
        assert_int_equal(machine.host.h2d_pinned_bps, cases[i].pinned);
        assert_int_equal(machine.host.h2d_pageable_bps, cases[i].pageable);
    }
}

static void no_host_and_no_card_copies_pageable_faster_than_pinned(void **state)
{
    scratch *s = *state;
    vs_hardware_catalogue all = {0};
    assert_true(vs_hardware_load(&all, &s->arena, NULL, NULL));
    const size_t mark = s->arena.used_bytes;
    for (uint32_t h = 0; h < all.host_count; h++) {
        for (uint32_t g = 0; g < all.gpu_count; g++) {
            vs_machine_spec spec = spec_of(all.gpus[g].id);
            spec.host = vs_str_of(all.hosts[h].name);
            const vs_machine machine = resolve(s, &spec, NULL);
            assert_true(machine.host.h2d_pageable_bps <= machine.host.h2d_pinned_bps);
            assert_true(machine.host.h2d_pageable_bps > 0 && machine.host.d2h_bps > 0);
            vs_arena_rewind(&s->arena, mark);
        }
    }
}

/* ---- hosts, disks, memory ----------------------------------------------------------------------------- */

static void ram_on_the_command_line_is_not_assumed(void **state)
{
    vs_machine_spec spec = spec_of(NULL);
    spec.ram_bytes = 32 * VS_GIB;
    const vs_machine machine = resolve(*state, &spec, NULL);
    assert_int_equal(machine.host.ram_bytes, 32 * VS_GIB);
    assert_null(assumed(&machine, "host.ram_bytes"));
}

static void unknown_hosts_and_disks_suggest_the_nearest(void **state)
{
    vs_machine_spec spec = spec_of(NULL);
    spec.host = vs_str_of("desktp");
    expect_error(*state, &spec, "\"desktop\"");
    spec.host = vs_str_of("");
    spec.disk = vs_str_of("nvme-pcie6");
    expect_error(*state, &spec, "vramscope list disks");
    spec.disk = vs_str_of("absent/host.json");
    expect_error(*state, &spec, "absent/host.json");
}

/* ---- HOST.json -------------------------------------------------------------------------------------------- */

static void what_a_host_file_states_is_not_assumed(void **state)
{
    scratch *s = *state;
    vs_machine_spec spec = spec_of(NULL);
    spec.host = vs_str_of(scratch_write(
        s, "host.json",
        "{\"format\":\"vramscope.host/"
        "1\",\"name\":\"lab\",\"ram_bytes\":34359738368,\"cores\":null,"
        "\"disk_read_bytes_per_s\":13000000000,\"disk_mmap_read_bytes_per_s\":2600000000,"
        "\"h2d_pageable_bytes_per_s\":9000000000,"
        "\"gpu\":{\"name\":\"rtx-3090\",\"context_bytes\":262144000}}"));
    const vs_machine machine = resolve(s, &spec, NULL);
    assert_string_equal(machine.host.name, "lab");
    assert_string_equal(machine.gpus[0].id, "rtx-3090");
    assert_int_equal(machine.gpus[0].context_bytes, 262144000);
    assert_int_equal(machine.host.ram_bytes, 32 * VS_GIB);
    assert_int_equal(machine.disk.read_bps, 13000000000);
    assert_int_equal(machine.disk.mmap_read_bps, 2600000000);
    assert_int_equal(machine.host.h2d_pageable_bps, 9000000000);
    static const char *const measured[] = {
        "host.ram_bytes", "gpu.context_bytes", "disk.read_bytes_per_s",
        "disk.mmap_read_bytes_per_s", "host.h2d_pageable_bytes_per_s"};
    for (size_t i = 0; i < sizeof measured / sizeof measured[0]; i++) {
        assert_null(assumed(&machine, measured[i]));
    }
    assert_assumed(&machine, "host.cores", 8); /* null: not stated, the desktop's */
    assert_assumed(&machine, "gpu.mem_bandwidth_bytes_per_s", 936000000000);
    assert_assumed(&machine, "host.h2d_pinned_bytes_per_s", 25200000000);
}

static void stated_figures_are_a_host_file_without_a_file(void **state)
{
    vs_machine_spec spec = spec_of("24218MiB");
    spec.ram_bytes = 32 * VS_GIB;
    spec.stated =
        vs_str_of("{\"ram_bytes\": 1073741824, \"disk_read_bytes_per_s\": 29400000000,"
                  " \"cores\": null, \"gpu\": {\"name\": \"Titan RTX\","
                  " \"mem_bandwidth_bytes_per_s\": 672000000000}}");
    const vs_machine machine = resolve(*state, &spec, NULL);
    assert_int_equal(machine.host.ram_bytes, 32 * VS_GIB); /* the command line wins */
    assert_int_equal(machine.disk.read_bps, UINT64_C(29400000000));
    assert_int_equal(machine.gpus[0].mem_bandwidth_bps, UINT64_C(672000000000));
    assert_int_equal(machine.gpus[0].total_bytes, 24218 * VS_MIB);
    assert_null(assumed(&machine, "disk.read_bytes_per_s"));
    assert_null(assumed(&machine, "gpu.mem_bandwidth_bytes_per_s"));
    assert_non_null(assumed(&machine, "host.cores"));
}

static void stated_figures_lie_over_the_named_host_and_exclude_a_file(void **state)
{
    vs_machine_spec spec = spec_of(NULL);
    spec.host = vs_str_of("desktop");
    spec.stated = vs_str_of("{\"cores\": 3}");
    assert_int_equal(resolve(*state, &spec, NULL).host.cores, 3);
    spec.host = vs_str_of("other.json");
    expect_error(*state, &spec, "stated already");
    spec.host = vs_str_of("");
    spec.stated = vs_str_of("{\"colour\": 3}");
    expect_error(*state, &spec, "unknown key");
}

static void a_measured_link_may_be_faster_than_the_table(void **state)
{
    scratch *s = *state;
    vs_machine_spec spec = spec_of("rtx-3090");
    spec.host = vs_str_of(scratch_write(s, "host.json",
                                        "{\"h2d_pinned_bytes_per_s\":26700000000,"
                                        "\"h2d_pageable_bytes_per_s\":26600000000}"));
    const vs_machine machine = resolve(s, &spec, NULL);
    assert_int_equal(machine.host.h2d_pinned_bps, 26700000000);
    assert_int_equal(machine.host.h2d_pageable_bps, 26600000000);
}

static void figures_of_the_files_card_go_to_that_card_or_a_bare_size_only(void **state)
{
    scratch *s = *state;
    const char *path = scratch_write(s, "host.json",
                                     "{\"gpu\":{\"name\":\"Titan RTX\","
                                     "\"mem_bandwidth_bytes_per_s\":600000000000}}");
    vs_machine_spec spec = spec_of("24218MiB");
    spec.host = vs_str_of(path);
    vs_machine machine = resolve(s, &spec, NULL);
    assert_int_equal(machine.gpus[0].total_bytes, 24218 * VS_MIB);
    assert_int_equal(machine.gpus[0].mem_bandwidth_bps, 600000000000);
    assert_string_equal(machine.gpus[0].name, "Titan RTX");

    spec.gpus[0] = vs_str_of("titan-rtx");
    machine = resolve(s, &spec, NULL);
    assert_int_equal(machine.gpus[0].mem_bandwidth_bps, 600000000000);

    spec.gpus[0] = vs_str_of("rtx-4090");
    machine = resolve(s, &spec, NULL);
    assert_int_equal(machine.gpus[0].mem_bandwidth_bps, 1008000000000);

    spec.gpu_count = 0; /* no --gpu: the card of the file, found by its name */
    machine = resolve(s, &spec, NULL);
    assert_string_equal(machine.gpus[0].id, "titan-rtx");
    assert_int_equal(machine.gpus[0].mem_bandwidth_bps, 600000000000);
}

static void a_card_that_only_the_file_knows_needs_a_capacity(void **state)
{
    scratch *s = *state;
    vs_machine_spec spec = spec_of(NULL);
    spec.host = vs_str_of(scratch_write(
        s, "host.json", "{\"gpu\":{\"name\":\"RTX 6090\",\"capacity_bytes\":51539607552}}"));
    const vs_machine machine = resolve(s, &spec, NULL);
    assert_string_equal(machine.gpus[0].name, "RTX 6090");
    assert_int_equal(machine.gpus[0].total_bytes, 48 * VS_GIB);
    assert_null(assumed(&machine, "gpu.capacity_bytes"));
    spec.host = vs_str_of(scratch_write(s, "host.json", "{\"gpu\":{\"name\":\"RTX 6090\"}}"));
    expect_error(s, &spec, "no capacity_bytes");
}

static void one_disk_rate_bounds_the_other(void **state)
{
    scratch *s = *state;
    vs_machine_spec spec = spec_of(NULL);
    spec.host =
        vs_str_of(scratch_write(s, "host.json", "{\"disk_read_bytes_per_s\":500000000}"));
    vs_machine machine = resolve(s, &spec, NULL);
    assert_int_equal(machine.disk.read_bps, 500000000);
    assert_int_equal(machine.disk.mmap_read_bps, 500000000);
    assert_null(assumed(&machine, "disk.read_bytes_per_s"));
    assert_assumed(&machine, "disk.mmap_read_bytes_per_s", 500000000);

    spec.host =
        vs_str_of(scratch_write(s, "host.json", "{\"disk_mmap_read_bytes_per_s\":9000000000}"));
    machine = resolve(s, &spec, NULL);
    assert_int_equal(machine.disk.read_bps, 9000000000);
    assert_int_equal(machine.disk.mmap_read_bps, 9000000000);
}

static void a_disk_asked_for_wins_over_the_hosts(void **state)
{
    scratch *s = *state;
    vs_machine_spec spec = spec_of(NULL);
    spec.host =
        vs_str_of(scratch_write(s, "host.json", "{\"disk_read_bytes_per_s\":500000000}"));
    spec.disk = vs_str_of("gp3-1000");
    vs_machine machine = resolve(s, &spec, NULL);
    assert_string_equal(machine.disk.name, "gp3-1000");
    assert_int_equal(machine.disk.read_bps, 1000 * VS_MIB);
    assert_int_equal(machine.disk.mmap_read_bps, 335000000);
    spec.host = vs_str_of("");
    spec.disk = vs_str_of(scratch_path(s, "host.json"));
    machine = resolve(s, &spec, NULL);
    assert_int_equal(machine.disk.read_bps, 500000000);
    spec.disk = vs_str_of(scratch_write(s, "host.json", "{\"cores\":4}"));
    expect_error(s, &spec, "disk_read_bytes_per_s");
}

/* ---- overlays and memory -------------------------------------------------------------------------------------- */

static void an_overlay_card_is_completed_from_the_generic_one(void **state)
{
    scratch *s = *state;
    (void)scratch_write(s, "gpus.json",
                        "{\"format\":\"vramscope.gpus/1\",\"gpus\":[{\"id\":\"mine\","
                        "\"capacity_bytes\":10737418240},{\"id\":\"bare\"}]}");
    vs_machine_spec spec = spec_of("mine");
    const vs_machine machine = resolve(s, &spec, s->dir);
    assert_int_equal(machine.gpus[0].total_bytes, 10 * VS_GIB);
    assert_int_equal(machine.gpus[0].mem_bandwidth_bps, 936000000000);
    assert_string_equal(machine.gpus[0].link, "pcie4-x16");
    const vs_assumed *capacity = assumed(&machine, "gpu.capacity_bytes");
    if (capacity == NULL || strstr(capacity->source, "gpus.json") == NULL) {
        fail_msg("the capacity is not listed with the overlay as its source");
    }
    spec.gpus[0] = vs_str_of("bare");
    vs_err err = {0};
    vs_machine none = {0};
    assert_false(vs_machine_resolve(&none, &s->arena, &spec, s->dir, &err));
    assert_error_says(&err, "has no capacity_bytes");
}

static void every_failed_allocation_is_reported(void **state)
{
    scratch *s = *state;
    const vs_machine_spec spec = spec_of("t4:14GiB");
    uint64_t n = 0;
    for (bool is_done = false; !is_done;) {
        vs_err err = {0};
        vs_machine machine = {0};
        vs_arena_reset(&s->arena);
        s->arena.fail_at = ++n;
        is_done = vs_machine_resolve(&machine, &s->arena, &spec, NULL, &err);
        assert_true(is_done || err.code == VS_ERR_MEMORY);
    }
    assert_true(n > 50);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, scratch_open, scratch_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(by_default_a_4090_in_a_desktop_and_every_figure_is_assumed),
        TEST(no_figure_is_listed_twice),
        TEST(a_bare_size_is_a_generic_card_with_that_total),
        TEST(a_name_with_a_size_is_that_card_with_another_total),
        TEST(several_cards_keep_their_order_and_equal_ones_are_listed_once),
        TEST(sixteen_different_cards_fit_the_list),
        TEST(a_card_that_cannot_be_is_an_error_that_helps),
        TEST(the_slower_generation_and_the_lanes_of_the_card_make_the_link),
        TEST(no_host_and_no_card_copies_pageable_faster_than_pinned),
        TEST(ram_on_the_command_line_is_not_assumed),
        TEST(unknown_hosts_and_disks_suggest_the_nearest),
        TEST(what_a_host_file_states_is_not_assumed),
        TEST(stated_figures_are_a_host_file_without_a_file),
        TEST(stated_figures_lie_over_the_named_host_and_exclude_a_file),
        TEST(a_measured_link_may_be_faster_than_the_table),
        TEST(figures_of_the_files_card_go_to_that_card_or_a_bare_size_only),
        TEST(a_card_that_only_the_file_knows_needs_a_capacity),
        TEST(one_disk_rate_bounds_the_other),
        TEST(a_disk_asked_for_wins_over_the_hosts),
        TEST(an_overlay_card_is_completed_from_the_generic_one),
        TEST(every_failed_allocation_is_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
