/* tests/unit/test_calibrate.c - what files tell about a machine, and what they do not. */
#include "vramscope/calibrate.h"
#include "vramscope/hardware.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <zlib.h>

#include "tests/scratch.h"
#include "tests/support/mtrfile.h"
#include "tests/support/nsysfile.h"

/* A results.json as capture.py writes it, with the parts that are read. */
#define KIT_HEAD                                                                               \
    "{\"format\": \"vramscope.capture/1\", \"kit_version\": 1, \"rehearsal\": false, "
#define KIT_ENV                                                                                \
    "\"env\": {\"takes\": {\"facts\": {\"status\": \"ok\", \"ram_total_bytes\": "              \
    "137438953472, "                                                                           \
    "\"cpus_usable\": 16, \"gpu_name\": \"NVIDIA H100 80GB HBM3\"}, "                          \
    "\"context\": {\"status\": \"ok\", \"device_name\": \"NVIDIA H100 80GB HBM3\", "           \
    "\"steps\": ["                                                                             \
    "{\"step\": \"before torch\", \"nvml_processes\": 0}, "                                    \
    "{\"step\": \"cuda init\", \"outside_allocator_bytes\": 400000000, "                       \
    "\"driver_total_bytes\": 84929347584}, "                                                   \
    "{\"step\": \"first kernel (fill)\", \"outside_allocator_bytes\": 500000000}, "            \
    "{\"step\": \"bf16 matmul\", \"outside_allocator_bytes\": 520000000}, "                    \
    "{\"step\": \"sdpa\", \"outside_allocator_bytes\": 540000000}, "                           \
    "{\"step\": \"all tensors dropped, cache emptied\", \"outside_allocator_bytes\": "         \
    "9000000000}]}}}"
#define ROW(bytes, seconds) "{\"bytes\": " #bytes ", \"median_s\": " #seconds "}"
#define KIT_RATES                                                                                                                                                                                \
    "\"rates\": {\"takes\": {\"h2d\": {\"status\": \"ok\", \"h2d_pageable\": [" ROW(1048576, 0.000110) ", " ROW(16777216, 0.00169) ", " ROW(268435456, 0.0269) "], \"pinned\": {\"h2d\": [" ROW( \
        1048576,                                                                                                                                                                                 \
        0.0000309715) ", " ROW(4194304,                                                                                                                                                          \
                               0.0000938861) ", " ROW(16777216,                                                                                                                                  \
                                                      0.000345544) ", " ROW(268435456,                                                                                                           \
                                                                            0.00537871) "], "                                                                                                    \
                                                                                        "\"d2"                                                                                                   \
                                                                                        "h\":"                                                                                                   \
                                                                                        " {"                                                                                                     \
                                                                                        "\"er"                                                                                                   \
                                                                                        "ror"                                                                                                    \
                                                                                        "\": "                                                                                                   \
                                                                                        "\"Ru"                                                                                                   \
                                                                                        "ntim"                                                                                                   \
                                                                                        "eErr"                                                                                                   \
                                                                                        "or: "                                                                                                   \
                                                                                        "no\""                                                                                                   \
                                                                                        "}}},"                                                                                                   \
                                                                                        " "                                                                                                      \
                                                                                        "\"fi"                                                                                                   \
                                                                                        "le\""                                                                                                   \
                                                                                        ": "                                                                                                     \
                                                                                        "{\"s"                                                                                                   \
                                                                                        "tatu"                                                                                                   \
                                                                                        "s\":"                                                                                                   \
                                                                                        " \"o"                                                                                                   \
                                                                                        "k\","                                                                                                   \
                                                                                        " \"f"                                                                                                   \
                                                                                        "ile_"                                                                                                   \
                                                                                        "byte"                                                                                                   \
                                                                                        "s\":"                                                                                                   \
                                                                                        " 216"                                                                                                   \
                                                                                        "4260"                                                                                                   \
                                                                                        "864,"                                                                                                   \
                                                                                        " \"r"                                                                                                   \
                                                                                        "ead_"                                                                                                   \
                                                                                        "4_"                                                                                                     \
                                                                                        "thre"                                                                                                   \
                                                                                        "ads_"                                                                                                   \
                                                                                        "cold"                                                                                                   \
                                                                                        "\": "                                                                                                   \
                                                                                        "{\"s"                                                                                                   \
                                                                                        "econ"                                                                                                   \
                                                                                        "ds\""                                                                                                   \
                                                                                        ": "                                                                                                     \
                                                                                        "0.5,"                                                                                                   \
                                                                                        " \"c"                                                                                                   \
                                                                                        "ache"                                                                                                   \
                                                                                        "d_"                                                                                                     \
                                                                                        "befo"                                                                                                   \
                                                                                        "re_"                                                                                                    \
                                                                                        "byte"                                                                                                   \
                                                                                        "s\":"                                                                                                   \
                                                                                        " 409"                                                                                                   \
                                                                                        "6}, "                                                                                                   \
                                                                                        "\"mm"                                                                                                   \
                                                                                        "ap_"                                                                                                    \
                                                                                        "touc"                                                                                                   \
                                                                                        "h_"                                                                                                     \
                                                                                        "cold"                                                                                                   \
                                                                                        "\": "                                                                                                   \
                                                                                        "{\"s"                                                                                                   \
                                                                                        "econ"                                                                                                   \
                                                                                        "ds\""                                                                                                   \
                                                                                        ": "                                                                                                     \
                                                                                        "1.0,"                                                                                                   \
                                                                                        " \"c"                                                                                                   \
                                                                                        "ache"                                                                                                   \
                                                                                        "d_"                                                                                                     \
                                                                                        "befo"                                                                                                   \
                                                                                        "re_"                                                                                                    \
                                                                                        "byte"                                                                                                   \
                                                                                        "s\":"                                                                                                   \
                                                                                        " 216"                                                                                                   \
                                                                                        "4260"                                                                                                   \
                                                                                        "864}"                                                                                                   \
                                                                                        ", "                                                                                                     \
                                                                                        "\"re"                                                                                                   \
                                                                                        "ad_"                                                                                                    \
                                                                                        "warm"                                                                                                   \
                                                                                        "\": "                                                                                                   \
                                                                                        "{\"s"                                                                                                   \
                                                                                        "econ"                                                                                                   \
                                                                                        "ds\""                                                                                                   \
                                                                                        ": "                                                                                                     \
                                                                                        "0.2}"                                                                                                   \
                                                                                        "}, "                                                                                                    \
                                                                                        "\"ma"                                                                                                   \
                                                                                        "lloc"                                                                                                   \
                                                                                        "\": "                                                                                                   \
                                                                                        "{\"s"                                                                                                   \
                                                                                        "tatu"                                                                                                   \
                                                                                        "s\":"                                                                                                   \
                                                                                        " \"o"                                                                                                   \
                                                                                        "k\","                                                                                                   \
                                                                                        " \"c"                                                                                                   \
                                                                                        "uda_"                                                                                                   \
                                                                                        "mall"                                                                                                   \
                                                                                        "oc_"                                                                                                    \
                                                                                        "free"                                                                                                   \
                                                                                        "\": "                                                                                                   \
                                                                                        "[{"                                                                                                     \
                                                                                        "\"by"                                                                                                   \
                                                                                        "tes"                                                                                                    \
                                                                                        "\": "                                                                                                   \
                                                                                        "2097"                                                                                                   \
                                                                                        "152,"                                                                                                   \
                                                                                        " "                                                                                                      \
                                                                                        "\"ma"                                                                                                   \
                                                                                        "lloc"                                                                                                   \
                                                                                        "_med"                                                                                                   \
                                                                                        "ian_"                                                                                                   \
                                                                                        "us\""                                                                                                   \
                                                                                        ": "                                                                                                     \
                                                                                        "90."                                                                                                    \
                                                                                        "5, "                                                                                                    \
                                                                                        "\"fr"                                                                                                   \
                                                                                        "ee_"                                                                                                    \
                                                                                        "medi"                                                                                                   \
                                                                                        "an_"                                                                                                    \
                                                                                        "us\""                                                                                                   \
                                                                                        ": "                                                                                                     \
                                                                                        "60},"                                                                                                   \
                                                                                        " {"                                                                                                     \
                                                                                        "\"by"                                                                                                   \
                                                                                        "tes"                                                                                                    \
                                                                                        "\": "                                                                                                   \
                                                                                        "2097"                                                                                                   \
                                                                                        "1520"                                                                                                   \
                                                                                        ", "                                                                                                     \
                                                                                        "\"ma"                                                                                                   \
                                                                                        "lloc"                                                                                                   \
                                                                                        "_med"                                                                                                   \
                                                                                        "ian_"                                                                                                   \
                                                                                        "us\""                                                                                                   \
                                                                                        ": "                                                                                                     \
                                                                                        "100."                                                                                                   \
                                                                                        "5, "                                                                                                    \
                                                                                        "\"fr"                                                                                                   \
                                                                                        "ee_"                                                                                                    \
                                                                                        "medi"                                                                                                   \
                                                                                        "an_"                                                                                                    \
                                                                                        "us\""                                                                                                   \
                                                                                        ": "                                                                                                     \
                                                                                        "80}]"                                                                                                   \
                                                                                        "}, "                                                                                                    \
                                                                                        "\"ca"                                                                                                   \
                                                                                        "st\""                                                                                                   \
                                                                                        ": "                                                                                                     \
                                                                                        "{\"s"                                                                                                   \
                                                                                        "tatu"                                                                                                   \
                                                                                        "s\":"                                                                                                   \
                                                                                        " \"o"                                                                                                   \
                                                                                        "k\","                                                                                                   \
                                                                                        " \"c"                                                                                                   \
                                                                                        "opy_"                                                                                                   \
                                                                                        "bf16"                                                                                                   \
                                                                                        "\": "                                                                                                   \
                                                                                        "{\"o"                                                                                                   \
                                                                                        "ne_"                                                                                                    \
                                                                                        "call"                                                                                                   \
                                                                                        "er_"                                                                                                    \
                                                                                        "one_"                                                                                                   \
                                                                                        "thre"                                                                                                   \
                                                                                        "ad\""                                                                                                   \
                                                                                        ":"                                                                                                      \
                                                                                        " " ROW(90177536, 0.0100) "}, \"fp16_to_bf16\": {\"one_caller_one_thread\": " ROW(                       \
                                                                                            90177536,                                                                                            \
                                                                                            0.0120) "}}, \"gpu_ops\": {\"status\": \"ok\", \"quantise_4bit_bnb\": {\"error\": \"ImportError\"}," \
                                                                                                    " \"quantise_4bit_torch\": " ROW(                                                            \
                                                                                                        939524096,                                                                               \
                                                                                                        0.05) ", \"launch\": {\"launch_us\": 4.25}}}}"
#define KIT_WHOLE KIT_HEAD "\"scenarios\": {" KIT_ENV ", " KIT_RATES "}}"

typedef struct {
    scratch *s;
    vs_arena arena;
    vs_calibration calibration;
    vs_err err;
    vs_bytes gpu_total_bytes;
} trial;

static trial begin(void **state)
{
    trial t = {.s = *state};
    assert_true(vs_arena_open(&t.arena, 256 * VS_MIB, NULL));
    return t;
}

static void end(trial *t)
{
    vs_arena_close(&t->arena);
}

static bool try_files(trial *t, const char *const *paths, uint32_t count)
{
    const vs_cal_desc desc = {
        .keep = &t->s->arena, .scratch = &t->arena, .gpu_total_bytes = t->gpu_total_bytes};
    return vs_calibrate(&t->calibration, paths, count, &desc, &t->err);
}

static void calibrate_files(trial *t, const char *const *paths, uint32_t count)
{
    if (!try_files(t, paths, count)) {
        scratch_fail(&t->err);
    }
}

static void calibrate_text(trial *t, const char *name, const char *text)
{
    const char *const path = scratch_write(t->s, name, text);
    calibrate_files(t, &path, 1);
}

static const char *write_bytes(trial *t, const char *name, const uint8_t *bytes, size_t size)
{
    const char *const path = scratch_path(t->s, name);
    FILE *const out = fopen(path, "wb");
    assert_non_null(out);
    assert_int_equal(fwrite(bytes, 1, size, out), size);
    assert_int_equal(fclose(out), 0);
    return path;
}

static const vs_cal_figure *figure(const trial *t, vs_cal_parameter parameter)
{
    return &t->calibration.figures[parameter];
}

/* Known, and as close to it as a tenth of a per cent. */
static void assert_about(const trial *t, vs_cal_parameter parameter, double value)
{
    const vs_cal_figure *const f = figure(t, parameter);
    if (!f->is_known || fabs((double)f->value - value) > value * 0.001) {
        fail_msg("%s: %s%" PRIu64 ", expected %.0f", vs_cal_key(parameter),
                 f->is_known ? "" : "not known, ", f->value, value);
    }
}

static void assert_unknown(const trial *t, vs_cal_parameter parameter, const char *reason)
{
    const vs_cal_figure *const f = figure(t, parameter);
    assert_false(f->is_known);
    if (reason != NULL && (f->reason == NULL || strstr(f->reason, reason) == NULL)) {
        fail_msg("%s: %s", vs_cal_key(parameter), f->reason == NULL ? "no reason" : f->reason);
    }
}

/* ---- the capture kit ------------------------------------------------------------------------------------- */

static void results_of_the_kit_tell_rates_and_the_machine(void **state)
{
    trial t = begin(state);
    calibrate_text(&t, "results.json", KIT_WHOLE);
    assert_about(&t, VS_CAL_RAM, 137438953472.0);
    assert_about(&t, VS_CAL_CORES, 16.0);
    assert_about(&t, VS_CAL_GPU_CAPACITY, 84929347584.0);
    assert_about(&t, VS_CAL_GPU_CONTEXT, 520000000.0); /* the median of three steps */
    assert_about(&t, VS_CAL_H2D_PINNED, 50e9);         /* 10 us and 50 GB/s */
    assert_about(&t, VS_CAL_LATENCY, 10000.0);
    assert_about(&t, VS_CAL_DISK, 2164260864.0 / 0.5);
    assert_about(&t, VS_CAL_PAGE_CACHE, 2164260864.0 / 0.2);
    assert_about(&t, VS_CAL_MEMCPY, 9017753600.0);
    assert_about(&t, VS_CAL_CAST, 90177536.0 / 0.012);
    assert_about(&t, VS_CAL_GPU_QUANTISE, 939524096.0 / 0.05);
    assert_about(&t, VS_CAL_GPU_MALLOC, 95500.0);
    assert_about(&t, VS_CAL_GPU_FREE, 70000.0);
    assert_about(&t, VS_CAL_GPU_LAUNCH, 4250.0);
    assert_string_equal(t.calibration.gpu_name, "NVIDIA H100 80GB HBM3");
    assert_int_equal(figure(&t, VS_CAL_H2D_PINNED)->method, VS_CAL_FIT);
    assert_int_equal(figure(&t, VS_CAL_H2D_PINNED)->observations, 4);
    assert_true(figure(&t, VS_CAL_H2D_PINNED)->uncertainty < 0.01);
    end(&t);
}

static void the_context_is_that_of_loads_where_there_are_any(void **state)
{
    trial t = begin(state);
    calibrate_text(
        &t, "results.json",
        KIT_HEAD "\"scenarios\": {" KIT_ENV
                 ", \"load\": {\"takes\": {\"a\": {\"status\": \"ok\", \"memory\": "
                 "{\"driver_total_bytes\": 84929347584, \"driver_free_bytes\": 70000000000, "
                 "\"final_reserved_bytes\": 14300000000}}, \"b\": {\"status\": \"oom\", "
                 "\"memory\": {\"driver_total_bytes\": 84929347584, \"driver_free_bytes\": 1, "
                 "\"final_reserved_bytes\": 1}}, \"c\": {\"status\": \"ok\"}}}}}");
    assert_about(&t, VS_CAL_GPU_CONTEXT, 629347584.0);
    assert_int_equal(figure(&t, VS_CAL_GPU_CONTEXT)->observations, 1);
    end(&t);
}

static void a_part_that_failed_and_a_read_that_was_cached_tell_nothing(void **state)
{
    trial t = begin(state);
    calibrate_text(&t, "results.json", KIT_WHOLE);
    assert_unknown(&t, VS_CAL_D2H, NULL);
    assert_unknown(&t, VS_CAL_DISK_MMAP, "stayed in the page cache");
    assert_unknown(&t, VS_CAL_GPU_BANDWIDTH, NULL);
    end(&t);
}

static void one_observation_has_no_uncertainty(void **state)
{
    trial t = begin(state);
    calibrate_text(&t, "results.json", KIT_WHOLE);
    assert_false(figure(&t, VS_CAL_DISK)->has_uncertainty);
    assert_true(figure(&t, VS_CAL_GPU_MALLOC)->has_uncertainty);
    assert_int_equal(figure(&t, VS_CAL_GPU_MALLOC)->method, VS_CAL_RANGE);
    end(&t);
}

static void a_rehearsal_is_said_to_be_one(void **state)
{
    trial t = begin(state);
    calibrate_text(
        &t, "results.json",
        "{\"format\": \"vramscope.capture/1\", \"rehearsal\": true, \"scenarios\": {" KIT_ENV
        "}}");
    assert_int_equal(t.calibration.note_count, 1);
    assert_non_null(strstr(t.calibration.notes[0], "a rehearsal on the CPU"));
    assert_non_null(strstr(figure(&t, VS_CAL_RAM)->source, "REHEARSAL"));
    end(&t);
}

static void a_take_that_did_not_end_well_is_passed_over(void **state)
{
    trial t = begin(state);
    calibrate_text(&t, "results.json",
                   KIT_HEAD "\"scenarios\": {\"env\": {\"takes\": {\"facts\": {\"status\": "
                            "\"timeout\", \"ram_total_bytes\": 5}}}, \"rates\": {\"takes\": "
                            "{\"h2d\": 7, \"file\": {\"status\": \"ok\"}}}}}");
    assert_unknown(&t, VS_CAL_RAM, NULL);
    end(&t);
}

static void loader_rows_of_the_quantiser_tell_its_rate_and_copies_do_not(void **state)
{
    trial t = begin(state);
    calibrate_text(&t, "a.loader.csv",
                   "kind,index,name,bytes,t0_us,t1_us,thread,ok\n"
                   "copy,0,a,2097152,100,200,pool-1,1\n"
                   "quantise,1,b,104857600,1000,11000,MainThread,1\n"
                   "quantise,1,c,104857600,21000,32000,MainThread,1\n"
                   "quantise,1,c,104857600,41000,42000,MainThread,0\n"
                   "quanti");
    assert_about(&t, VS_CAL_GPU_QUANTISE, (104857600.0 / 0.010 + 104857600.0 / 0.011) / 2.0);
    assert_unknown(&t, VS_CAL_H2D_PAGEABLE, "reading, casting and sending in one");
    assert_non_null(strstr(t.calibration.notes[0], "last row is cut off"));
    end(&t);
}

static void a_broken_row_in_the_middle_is_an_error_with_its_line(void **state)
{
    trial t = begin(state);
    const char *const path = scratch_write(
        t.s, "a.loader.csv", "kind,index,name,bytes,t0_us,t1_us,thread,ok\ncopy,0\ncopy,0\n");
    assert_false(try_files(&t, &path, 1));
    assert_error_says(&t.err, "a.loader.csv:2: expected a row of 8 values");
    end(&t);
}

static void packed_files_of_the_kit_are_unpacked(void **state)
{
    trial t = begin(state);
    const char *const path = scratch_path(t.s, "results.json.gz");
    gzFile out = gzopen(path, "wb");
    assert_non_null(out);
    assert_int_equal(gzwrite(out, KIT_WHOLE, sizeof KIT_WHOLE - 1), (int)sizeof KIT_WHOLE - 1);
    assert_int_equal(gzclose(out), Z_OK);
    calibrate_files(&t, &path, 1);
    assert_about(&t, VS_CAL_RAM, 137438953472.0);
    end(&t);
}

/* ---- recordings ----------------------------------------------------------------------------------------------- */

static const char *write_recorder(trial *t, const char *name, const mtr_row *rows, size_t count)
{
    mtr_file f = mtr_begin("device.0.total_bytes=16000000000\n");
    (void)mtr_string(&f, "cuMemAlloc");
    (void)mtr_string(&f, "cuLaunchKernel");
    for (size_t i = 0; i < count; i++) {
        (void)mtr_add(&f, &rows[i]);
    }
    mtr_index(&f);
    const char *const path = write_bytes(t, name, f.bytes, f.size_bytes);
    free(f.bytes);
    return path;
}

static void counters_tell_the_context_from_others_and_from_the_programs_memory(void **state)
{
    trial t = begin(state);
    const mtr_row rows[] = {
        {.t = 1, .a = 15000000000, .b = 16000000000, .type = MTR_COUNTER}, /* 1 GB of others */
        {.t = 2, .type = MTR_CTX},
        {.t = 3, .a = 14600000000, .b = 16000000000, .type = MTR_COUNTER}, /* 400 MB */
        {.t = 4, .a = 4096, .b = 2000000000, .type = MTR_SEG_ADD},
        {.t = 5, .a = 12500000000, .b = 16000000000, .type = MTR_COUNTER}, /* 500 MB */
        {.t = 6, .a = 4096, .b = 2000000000, .type = MTR_SEG_DEL},
        {.t = 7, .a = 14500000000, .b = 16000000000, .type = MTR_COUNTER}}; /* 500 MB */
    const char *const path = write_recorder(&t, "a.mtr", rows, sizeof rows / sizeof rows[0]);
    calibrate_files(&t, &path, 1);
    assert_about(&t, VS_CAL_GPU_CONTEXT, 500e6);
    assert_int_equal(figure(&t, VS_CAL_GPU_CONTEXT)->observations, 3);
    assert_about(&t, VS_CAL_GPU_CAPACITY, 16e9);
    end(&t);
}

static void out_of_memory_tells_the_context_when_the_cards_size_is_known(void **state)
{
    trial t = begin(state);
    const mtr_row rows[] = {
        {.t = 4, .a = 4096, .b = 15000000000, .type = MTR_SEG_ADD},
        {.t = 5, .b = 1000000000, .c = 600000000, .aux = 2, .str = 1, .type = MTR_FAIL}};
    const char *const path = write_recorder(&t, "a.mtr", rows, 2);
    calibrate_files(&t, &path, 1);
    assert_about(&t, VS_CAL_GPU_CONTEXT, 400e6);
    end(&t);
}

static void reads_and_calls_of_a_recorder_file_are_used(void **state)
{
    trial t = begin(state);
    const mtr_row rows[] = {
        {.t = 1000000, .a = 4000000000, .d = 1001000000, .type = MTR_IO, .dev = MTR_HOST},
        {.t = 2000000000, .b = 8000000000, .d = 3000000000, .type = MTR_IO, .dev = MTR_HOST},
        {.t = 10, .d = 50010, .str = 1, .type = MTR_CALL, .dev = MTR_HOST},
        {.t = 10, .d = 4010, .str = 2, .type = MTR_CALL, .dev = MTR_HOST}};
    const char *const path = write_recorder(&t, "a.mtr", rows, 4);
    calibrate_files(&t, &path, 1);
    assert_about(&t, VS_CAL_DISK, 4e9);
    assert_about(&t, VS_CAL_PAGE_CACHE, 8e9);
    assert_about(&t, VS_CAL_GPU_MALLOC, 50000.0);
    assert_about(&t, VS_CAL_GPU_LAUNCH, 4000.0);
    end(&t);
}

static void counters_of_reads_do_not_tell_how_fast_the_disk_is(void **state)
{
    trial t = begin(state);
    const mtr_row rows[] = {{.t = 1, .a = 1000, .type = MTR_IO, .dev = MTR_HOST},
                            {.t = 900, .a = 90000000, .type = MTR_IO, .dev = MTR_HOST}};
    const char *const path = write_recorder(&t, "a.mtr", rows, 2);
    calibrate_files(&t, &path, 1);
    assert_unknown(&t, VS_CAL_DISK, "counters of the process");
    end(&t);
}

static void copies_of_an_nsight_export_are_fitted(void **state)
{
    trial t = begin(state);
    size_t size = 0;
    /* 8 us and 12.5 GB/s from pinned memory, on the card's clock */
    uint8_t *const bytes =
        nsys_bytes(NSYS_MEMCPY NSYS_MEMCPY_ROW(1000, 92886, 1048576, 1, 1, 2)
                       NSYS_MEMCPY_ROW(200000, 878886, 8388608, 1, 1, 2)
                           NSYS_MEMCPY_ROW(2000000, 7376709, 67108864, 1, 1, 2)
                               NSYS_MEMCPY_ROW(9000000, 9001000, 4096, 2, 2, 1),
                   &size);
    assert_non_null(bytes);
    const char *const path = write_bytes(&t, "a.sqlite", bytes, size);
    free(bytes);
    calibrate_files(&t, &path, 1);
    assert_about(&t, VS_CAL_H2D_PINNED, 12.5e9);
    assert_unknown(&t, VS_CAL_LATENCY, "on the card's own clock");
    assert_unknown(&t, VS_CAL_D2H, "smaller than 1 MiB");
    end(&t);
}

static void files_of_two_machines_contradict_each_other(void **state)
{
    trial t = begin(state);
    const mtr_row row = {.t = 4, .a = 4096, .b = 512, .type = MTR_SEG_ADD};
    const char *const paths[] = {write_recorder(&t, "a.mtr", &row, 1),
                                 scratch_write(t.s, "results.json", KIT_WHOLE)};
    calibrate_files(&t, paths, 2);
    assert_unknown(&t, VS_CAL_GPU_CAPACITY, "contradict");
    end(&t);
}

/* ---- HOST.json, bad files -------------------------------------------------------------------------------------- */

static void the_host_file_is_taken_and_gives_the_figures_back(void **state)
{
    trial t = begin(state);
    vs_machine machine = {0};
    calibrate_text(&t, "results.json", KIT_WHOLE);
    const char *const host = scratch_path(t.s, "HOST.json");
    assert_true(vs_calibration_write_host(&t.calibration, host, NULL, &t.err));
    const vs_machine_spec spec = {.host = vs_str_of(host)};
    if (!vs_machine_resolve(&machine, &t.arena, &spec, NULL, &t.err)) {
        scratch_fail(&t.err);
    }
    assert_int_equal(machine.host.ram_bytes, UINT64_C(137438953472));
    assert_int_equal(machine.host.h2d_pinned_bps, figure(&t, VS_CAL_H2D_PINNED)->value);
    assert_int_equal(machine.host.copy_latency_ns, figure(&t, VS_CAL_LATENCY)->value);
    assert_int_equal(machine.disk.read_bps, figure(&t, VS_CAL_DISK)->value);
    assert_int_equal(machine.gpus[0].context_bytes, 520000000);
    assert_int_equal(machine.gpus[0].quantise_bps, figure(&t, VS_CAL_GPU_QUANTISE)->value);
    assert_int_equal(machine.gpus[0].total_bytes, UINT64_C(84929347584));
    for (uint32_t i = 0; i < machine.assumed_count;
         i++) { /* what was measured is not assumed */
        assert_string_not_equal(machine.assumed[i].key, "gpu.malloc_ns");
        assert_string_not_equal(machine.assumed[i].key, "host.cast_bytes_per_s");
    }
    end(&t);
}

static void a_card_of_the_catalogue_is_named_as_asked(void **state)
{
    trial t = begin(state);
    vs_machine machine = {0};
    calibrate_text(&t, "results.json", KIT_WHOLE);
    const char *const host = scratch_path(t.s, "HOST.json");
    assert_true(vs_calibration_write_host(&t.calibration, host, "h100-sxm", &t.err));
    const vs_machine_spec spec = {
        .host = vs_str_of(host), .gpus = {vs_str_of("h100-sxm")}, .gpu_count = 1};
    assert_true(vs_machine_resolve(&machine, &t.arena, &spec, NULL, &t.err));
    assert_string_equal(machine.gpus[0].id, "h100-sxm");
    assert_int_equal(machine.gpus[0].malloc_ns, 95500);
    end(&t);
}

static void what_is_no_recording_is_an_error_and_nothing_is_calibrated(void **state)
{
    trial t = begin(state);
    const char *const paths[] = {scratch_write(t.s, "results.json", KIT_WHOLE),
                                 scratch_write(t.s, "a.txt", "hello, this is nothing\n")};
    assert_false(try_files(&t, paths, 2));
    assert_error_says(&t.err, "a.txt");
    assert_int_equal(t.calibration.file_count, 0);
    t.err = (vs_err){0};
    const char *const broken = scratch_write(t.s, "b.json", KIT_HEAD "\"scenarios\": {");
    assert_false(try_files(&t, &broken, 1));
    assert_error_says(&t.err, "b.json");
    end(&t);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, scratch_open, scratch_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(results_of_the_kit_tell_rates_and_the_machine),
        TEST(the_context_is_that_of_loads_where_there_are_any),
        TEST(a_part_that_failed_and_a_read_that_was_cached_tell_nothing),
        TEST(one_observation_has_no_uncertainty),
        TEST(a_rehearsal_is_said_to_be_one),
        TEST(a_take_that_did_not_end_well_is_passed_over),
        TEST(loader_rows_of_the_quantiser_tell_its_rate_and_copies_do_not),
        TEST(a_broken_row_in_the_middle_is_an_error_with_its_line),
        TEST(packed_files_of_the_kit_are_unpacked),
        TEST(counters_tell_the_context_from_others_and_from_the_programs_memory),
        TEST(out_of_memory_tells_the_context_when_the_cards_size_is_known),
        TEST(reads_and_calls_of_a_recorder_file_are_used),
        TEST(counters_of_reads_do_not_tell_how_fast_the_disk_is),
        TEST(copies_of_an_nsight_export_are_fitted),
        TEST(files_of_two_machines_contradict_each_other),
        TEST(the_host_file_is_taken_and_gives_the_figures_back),
        TEST(a_card_of_the_catalogue_is_named_as_asked),
        TEST(what_is_no_recording_is_an_error_and_nothing_is_calibrated),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
