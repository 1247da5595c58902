/* tests/unit/test_hardware.c - sim/hardware/catalogue.c, figures.c and the built-in catalogue itself. */
#include "sim/hardware/figures.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/scratch.h"

#define FACTS "../shared/facts/hardware.json"

static const char *const gpu_ids[] = {"gtx-1080-ti",
                                      "rtx-2060-12gb",
                                      "rtx-2080-ti",
                                      "titan-rtx",
                                      "rtx-3060-12gb",
                                      "rtx-3080-10gb",
                                      "rtx-3090",
                                      "rtx-4060-ti-16gb",
                                      "rtx-4070-ti-super",
                                      "rtx-4080",
                                      "rtx-4090",
                                      "rtx-5070-ti",
                                      "rtx-5080",
                                      "rtx-5090",
                                      "rtx-a4000",
                                      "rtx-a5000",
                                      "rtx-a6000",
                                      "rtx-6000-ada",
                                      "rtx-pro-6000",
                                      "t4",
                                      "v100-16gb",
                                      "v100-32gb",
                                      "p40",
                                      "a10",
                                      "a10g",
                                      "a16",
                                      "a30",
                                      "a40",
                                      "l4",
                                      "l40s",
                                      "a100-40gb-pcie",
                                      "a100-40gb-sxm",
                                      "a100-80gb-pcie",
                                      "a100-80gb-sxm",
                                      "h100-pcie",
                                      "h100-sxm",
                                      "h100-nvl",
                                      "h20-96gb",
                                      "h20-141gb",
                                      "h200",
                                      "b200",
                                      "gb200",
                                      "jetson-agx-orin-64gb",
                                      "dgx-spark",
                                      "rx-7900-xtx",
                                      "mi300x",
                                      "m2-ultra-192gb",
                                      "m4-max-128gb"};
#define GPU_COUNT (sizeof gpu_ids / sizeof gpu_ids[0])

static void all_48_cards_are_there(void **state)
{
    scratch *s = *state;
    vs_err err = {0};
    vs_hardware_catalogue all = {0};
    if (!vs_hardware_load(&all, &s->arena, NULL, &err)) {
        scratch_fail(&err);
    }
    assert_int_equal(all.gpu_count, 48);
    assert_int_equal(GPU_COUNT, 48);
    for (size_t i = 0; i < GPU_COUNT; i++) {
        assert_string_equal(all.gpus[i].id, gpu_ids[i]);
        assert_true(all.gpus[i].total_bytes >= 8 * VS_GIB);
        assert_true(all.gpus[i].context_bytes >= 300 * VS_MIB);
        assert_true(all.gpus[i].mem_bandwidth_bps > 100000000000);
        assert_int_equal(all.gpus[i].malloc_ns, 50000);
        assert_int_equal(all.gpus[i].free_ns, 19000);
        assert_int_equal(all.gpus[i].launch_ns, 4500);
    }
    assert_true(all.host_count >= 7);
    assert_true(all.disk_count >= 10);
    for (uint32_t i = 0; i < all.disk_count; i++) {
        assert_true(all.disks[i].mmap_read_bps <= all.disks[i].read_bps);
    }
}

/* How many figures the entry knows; each must have a source of its own. */
static uint32_t count_sourced(const vs_hw_entry *entry, const vs_hw_kind *kind)
{
    uint32_t known = 0;
    for (uint32_t f = 0; f < kind->count; f++) {
        const vs_hw_figure *figure = &entry->figures[f];
        if (figure->origin == VS_HW_UNKNOWN) {
            continue;
        }
        known++;
        if (strcmp(figure->source, "built-in catalogue") == 0 || strlen(figure->source) < 10) {
            fail_msg("%s: %s has no source", entry->id, kind->keys[f].key);
        }
    }
    return known;
}

/* The built-in texts are parsed as a whole here, so every entry is checked, found by the short cut or not. */
static void every_figure_has_a_source(scratch *s, const vs_hw_kind *kind,
                                      uint32_t least_per_entry)
{
    vs_err err = {0};
    vs_hw_entry *entries = NULL;
    uint32_t count = 0;
    if (!vs_hw_load_all(kind, &s->arena, NULL, &entries, &count, &err)) {
        scratch_fail(&err);
    }
    for (uint32_t i = 0; i < count; i++) {
        assert_true(count_sourced(&entries[i], kind) >= least_per_entry);
        assert_true(entries[i].name[0] != '\0');
    }
}

static void every_figure_of_the_catalogue_has_a_source(void **state)
{
    scratch *s = *state;
    every_figure_has_a_source(s, &vs_hw_gpus, 3);
    every_figure_has_a_source(s, &vs_hw_hosts, 7);
    every_figure_has_a_source(s, &vs_hw_links, 3);
    every_figure_has_a_source(s, &vs_hw_disks, 2);
    vs_hw_entry block = {0};
    vs_err err = {0};
    assert_true(vs_hw_find_block(&vs_hw_gpus, &s->arena, "common", &block, &err));
    assert_true(strlen(block.figures[VS_HW_GPU_MALLOC].source) > 20);
    assert_true(vs_hw_find_block(&vs_hw_gpus, &s->arena, "generic", &block, &err));
    assert_true(
        vs_str_starts(vs_str_of(block.figures[VS_HW_GPU_CONTEXT].source), "generic card"));
}

static void the_short_cut_finds_what_a_full_parse_finds(void **state)
{
    scratch *s = *state;
    const vs_hw_kind *const kinds[] = {&vs_hw_gpus, &vs_hw_hosts, &vs_hw_links, &vs_hw_disks};
    vs_err err = {0};
    for (size_t k = 0; k < 4; k++) {
        vs_hw_entry *entries = NULL;
        uint32_t count = 0;
        assert_true(vs_hw_load_all(kinds[k], &s->arena, NULL, &entries, &count, &err));
        for (uint32_t i = 0; i < count; i++) {
            const vs_hw_entry *found =
                vs_hw_find(kinds[k], &s->arena, vs_str_of(entries[i].id), NULL, &err);
            assert_non_null(found);
            assert_string_equal(found->id, entries[i].id);
            assert_string_equal(found->name, entries[i].name);
            assert_int_equal(found->is_sxm, entries[i].is_sxm);
            for (uint32_t f = 0; f < kinds[k]->count; f++) {
                assert_int_equal(found->figures[f].value, entries[i].figures[f].value);
                assert_int_equal(found->figures[f].origin, entries[i].figures[f].origin);
            }
        }
    }
}

static void names_are_found_in_any_case_and_by_what_the_driver_prints(void **state)
{
    scratch *s = *state;
    const char *const words[] = {"RTX-4090", "GeForce RTX 4090", "NVIDIA GeForce RTX 4090"};
    for (size_t i = 0; i < 3; i++) {
        vs_err err = {0};
        const vs_hw_entry *found =
            vs_hw_find(&vs_hw_gpus, &s->arena, vs_str_of(words[i]), NULL, &err);
        assert_non_null(found);
        assert_string_equal(found->id, "rtx-4090");
    }
}

static void an_unknown_name_suggests_the_nearest_and_the_list(void **state)
{
    scratch *s = *state;
    vs_err err = {0};
    assert_null(vs_hw_find(&vs_hw_gpus, &s->arena, vs_str_of("rtx-4900"), NULL, &err));
    assert_int_equal(err.code, VS_ERR_NOT_FOUND);
    assert_non_null(strstr(err.text, "\"rtx-4090\""));
    assert_non_null(strstr(err.text, "vramscope list gpus"));
    vs_err far = {0};
    assert_null(vs_hw_find(&vs_hw_disks, &s->arena, vs_str_of("punched cards"), NULL, &far));
    assert_null(strstr(far.text, "nearest"));
    assert_non_null(strstr(far.text, "vramscope list disks"));
}

static void cards_that_are_modules_or_share_memory_say_so(void **state)
{
    scratch *s = *state;
    vs_err err = {0};
    const vs_hw_entry *h100 =
        vs_hw_find(&vs_hw_gpus, &s->arena, vs_str_of("h100-sxm"), NULL, &err);
    assert_non_null(h100);
    assert_true(h100->is_sxm);
    assert_string_equal(h100->link, "sxm-pcie5");
    const vs_hw_entry *orin =
        vs_hw_find(&vs_hw_gpus, &s->arena, vs_str_of("jetson-agx-orin-64gb"), NULL, &err);
    assert_non_null(orin);
    assert_true(orin->is_unified);
    const vs_hw_entry *pcie =
        vs_hw_find(&vs_hw_gpus, &s->arena, vs_str_of("h100-pcie"), NULL, &err);
    assert_non_null(pcie);
    assert_false(pcie->is_sxm || pcie->is_unified);
    assert_null(pcie->link);
}

/* ---- against the facts ------------------------------------------------------------------------- */

static double number_of(const vs_jnode *gpu, const char *key)
{
    double value = -1.0;
    vs_err err = {0};
    if (!vs_json_get_double(gpu, key, false, &value, &err)) {
        scratch_fail(&err);
    }
    return value;
}

static void near(double ours, double fact, double unit, const char *id, const char *key)
{
    if (fact >= 0.0 && (ours / unit - fact > 0.0051 || fact - ours / unit > 0.0051)) {
        fail_msg("%s: %s is %f here and %f in the facts", id, key, ours / unit, fact);
    }
}

/* One of the exact MiB values seen, or the rounded GiB figure rounded down to a MiB. */
static void check_capacity(const vs_jnode *fact, const vs_gpu *gpu)
{
    const double gib = number_of(fact, "torch_total_gib");
    if (gib < 0.0) {
        return; /* derived, and the source says so */
    }
    const uint64_t mib = gpu->total_bytes / VS_MIB;
    assert_int_equal(gpu->total_bytes % VS_MIB, 0);
    bool is_seen = mib == (uint64_t)(gib * 1024.0 + 1e-6);
    const vs_jnode seen = vs_json_member(fact, "torch_total_mib_seen");
    for (vs_jnode i = vs_json_first(&seen); i.node != NULL; i = vs_json_next(&i)) {
        uint64_t value = 0;
        assert_true(vs_json_as_u64(&i, &value, NULL));
        is_seen = is_seen || value == mib;
    }
    if (!is_seen) {
        fail_msg("%s: %" PRIu64 " MiB is not among the facts", gpu->id, mib);
    }
    near((double)gpu->smi_total_bytes, number_of(fact, "nvidia_smi_total_mib"), (double)VS_MIB,
         gpu->id, "smi total");
}

static void check_gpu(const vs_jnode *fact, const vs_gpu *gpu)
{
    vs_str id = {0};
    assert_true(vs_json_get_str(fact, "id", true, &id, NULL));
    assert_true(vs_str_is(id, gpu->id));
    check_capacity(fact, gpu);
    near((double)gpu->mem_bandwidth_bps, number_of(fact, "mem_bandwidth_gbs"), 1e9, gpu->id,
         "bandwidth");
    near((double)gpu->fp32_flops, number_of(fact, "tflops_fp32"), 1e12, gpu->id, "fp32");
    near((double)gpu->fp16_flops, number_of(fact, "tflops_fp16_tensor_dense"), 1e12, gpu->id,
         "fp16");
    near((double)gpu->bf16_flops, number_of(fact, "tflops_bf16_tensor_dense"), 1e12, gpu->id,
         "bf16");
    near((double)gpu->pcie_gen, number_of(fact, "pcie_gen"), 1.0, gpu->id, "PCIe generation");
    near((double)gpu->pcie_lanes, number_of(fact, "pcie_lanes"), 1.0, gpu->id, "PCIe lanes");
}

static void the_catalogue_agrees_with_the_facts(void **state)
{
    scratch *s = *state;
    vs_err err = {0};
    vs_json doc = {0};
    if (access(FACTS, R_OK) != 0) {
        print_message("skipped: %s is not there\n", FACTS);
        skip();
    }
    assert_true(vs_json_read(&doc, FACTS, &err));
    vs_hardware_catalogue all = {0};
    assert_true(vs_hardware_load(&all, &s->arena, NULL, &err));
    const vs_jnode root = vs_json_root(&doc);
    const vs_jnode gpus = vs_json_member(&root, "gpus");
    uint32_t n = 0;
    for (vs_jnode i = vs_json_first(&gpus); i.node != NULL; i = vs_json_next(&i)) {
        assert_true(n < all.gpu_count);
        check_gpu(&i, &all.gpus[n]);
        n++;
    }
    assert_int_equal(n, all.gpu_count);
    vs_json_close(&doc);
}

/* ---- overlays ---------------------------------------------------------------------------------------- */

static void an_empty_overlay_changes_nothing(void **state)
{
    scratch *s = *state;
    vs_err err = {0};
    vs_hardware_catalogue all = {0};
    assert_true(vs_hardware_load(&all, &s->arena, s->dir, &err));
    assert_int_equal(all.gpu_count, 48);
}

static void an_overlay_overrides_by_id_and_adds(void **state)
{
    scratch *s = *state;
    (void)scratch_write(
        s, "gpus.json",
        "{\"format\":\"vramscope.gpus/1\",\"gpus\":["
        "{\"id\":\"RTX-4090\",\"capacity_bytes\":25757220864,"
        "\"sources\":{\"capacity_bytes\":\"my own card\"}},"
        "{\"id\":\"mine\",\"name\":\"My card\",\"capacity_bytes\":10737418240}]}");
    vs_err err = {0};
    vs_hardware_catalogue all = {0};
    if (!vs_hardware_load(&all, &s->arena, s->dir, &err)) {
        scratch_fail(&err);
    }
    assert_int_equal(all.gpu_count, 49);
    assert_string_equal(all.gpus[48].id, "mine");
    assert_int_equal(all.gpus[48].malloc_ns, 50000);
    const vs_hw_entry *found =
        vs_hw_find(&vs_hw_gpus, &s->arena, vs_str_of("rtx-4090"), s->dir, &err);
    assert_non_null(found);
    assert_int_equal(found->figures[VS_HW_GPU_CAPACITY].value, 25757220864);
    assert_string_equal(found->figures[VS_HW_GPU_CAPACITY].source, "my own card");
    assert_int_equal(found->figures[VS_HW_GPU_BANDWIDTH].value, 1008000000000);
    assert_non_null(vs_hw_find(&vs_hw_gpus, &s->arena, vs_str_of("mine"), s->dir, &err));
    vs_err near_mine = {0};
    assert_null(vs_hw_find(&vs_hw_gpus, &s->arena, vs_str_of("mime"), s->dir, &near_mine));
    assert_non_null(strstr(near_mine.text, "\"mine\""));
}

static void a_bad_overlay_is_an_error_with_its_place(void **state)
{
    scratch *s = *state;

    static const struct {
        const char *text;
        const char *says;
    } cases[] = {
        {"{\"format\":\"vramscope.gpus/1\",\"gpus\":[{\"id\":\"x\",\"capacity_byte\":1}]}",
         "nearest known one is \"capacity_bytes\""},
        {"{\"format\":\"vramscope.gpus/2\",\"gpus\":[]}", "expected \"vramscope.gpus/1\""},
        {"{\"gpus\":[]}", "format"},
        {"{\"format\":\"vramscope.gpus/1\",\"gpu\":[]}", "nearest known one is \"gpus\""},
        {"{\"format\":\"vramscope.gpus/1\",\"gpus\":{}}", "expected an array"},
        {"{\"format\":\"vramscope.gpus/1\",\"gpus\":[{\"name\":\"x\"}]}", "needs an \"id\""},
        {"{\"format\":\"vramscope.gpus/"
         "1\",\"gpus\":[{\"id\":\"x\",\"mem_bandwidth_bytes_per_s\":0}]}",
         "cannot be"},
        {"{\"format\":\"vramscope.gpus/1\",\"gpus\":[7]}", "expected an object"},
        {"[]", "expected an object"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        vs_err err = {0};
        vs_hardware_catalogue all = {0};
        (void)scratch_write(s, "gpus.json", cases[i].text);
        assert_false(vs_hardware_load(&all, &s->arena, s->dir, &err));
        assert_error_says(&err, cases[i].says);
        assert_error_says(&err, "gpus.json");
    }
}

static void every_failed_allocation_is_reported(void **state)
{
    scratch *s = *state;
    uint64_t n = 1;
    for (bool is_done = false; !is_done; n++) {
        vs_err err = {0};
        vs_hardware_catalogue all = {0};
        vs_arena_reset(&s->arena);
        s->arena.fail_at = n;
        is_done = vs_hardware_load(&all, &s->arena, NULL, &err);
        assert_true(is_done || err.code == VS_ERR_MEMORY);
        n += n > 20 ? 60 : 0; /* all of the first, then every sixtieth of some thousand */
    }
    s->arena.fail_at = 0;
    assert_true(n > 100);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, scratch_open, scratch_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(all_48_cards_are_there),
        TEST(every_figure_of_the_catalogue_has_a_source),
        TEST(the_short_cut_finds_what_a_full_parse_finds),
        TEST(names_are_found_in_any_case_and_by_what_the_driver_prints),
        TEST(an_unknown_name_suggests_the_nearest_and_the_list),
        TEST(cards_that_are_modules_or_share_memory_say_so),
        TEST(the_catalogue_agrees_with_the_facts),
        TEST(an_empty_overlay_changes_nothing),
        TEST(an_overlay_overrides_by_id_and_adds),
        TEST(a_bad_overlay_is_an_error_with_its_place),
        TEST(every_failed_allocation_is_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
