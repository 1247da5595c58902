/* traces/calibrate/kit.c - the capture kit's own measurements: results.json (scenarios env and rates) and the loader.csv of a take.
 *
 * Keys as capture.py (kit version 1) writes them. A part that failed holds {"error": ...} and is passed over; so is a take whose
 * status is not "ok". Times are seconds from call to the end of a synchronisation: medians of up to 30 runs. */
#include "traces/calibrate/observe.h"

#include <math.h>
#include <string.h>

#define NS             1e9
#define US             1e3
#define LOADER_COLUMNS 8u
#define LOADER_HEAD    "kind,index,name,bytes,t0_us,t1_us,thread,ok"
#define CACHED_SHARE   0.02 /* of a file that may still be cached for a read to count as cold */

cal_kit cal_is_kit(vs_str bytes)
{
    if (vs_str_starts(bytes, LOADER_HEAD)) {
        return CAL_KIT_LOADER;
    }
    size_t at = 0;
    while (at < bytes.len && strchr(" \t\r\n", bytes.ptr[at]) != NULL &&
           bytes.ptr[at] != '\0') {
        at++;
    }
    static const char key[] = "\"vramscope.capture/1\"";
    if (at == bytes.len || bytes.ptr[at] != '{') {
        return CAL_NO_KIT;
    }
    const size_t look = bytes.len - at < 200 ? bytes.len - at : 200;
    for (size_t i = at; i + sizeof key - 1 <= at + look; i++) {
        if (memcmp(bytes.ptr + i, key, sizeof key - 1) == 0) {
            return CAL_KIT_RESULTS;
        }
    }
    return CAL_NO_KIT;
}

/* ---- reading JSON that may lack anything ---------------------------------------------------------------- */

static vs_jnode member(const vs_jnode *object, const char *key)
{
    return object->node != NULL && vs_json_is_object(object) ? vs_json_member(object, key)
                                                             : (vs_jnode){0};
}

/* 0 when it is not there, no number or not positive. */
static double number(const vs_jnode *object, const char *key)
{
    double value = 0.0;
    const vs_jnode node = member(object, key);
    if (node.node == NULL || !vs_json_as_double(&node, &value, NULL) || !isfinite(value)) {
        return 0.0;
    }
    return value > 0.0 ? value : 0.0;
}

/* The take of a scenario when it went well, else absent. */
static vs_jnode take_of(const vs_jnode *root, const char *scenario, const char *take)
{
    vs_str status = {0};
    const vs_jnode scenarios = member(root, "scenarios");
    const vs_jnode body = member(&scenarios, scenario);
    const vs_jnode takes = member(&body, "takes");
    const vs_jnode found = member(&takes, take);
    const vs_jnode word = member(&found, "status");
    if (word.node == NULL || !vs_json_as_str(&word, &status, NULL) ||
        !vs_str_is(status, "ok")) {
        return (vs_jnode){0};
    }
    return found;
}

/* {"bytes", "median_s"}: a time for so many bytes, times scale. */
static void add_bench(calibrating *c, vs_cal_parameter parameter, const vs_jnode *row,
                      double scale)
{
    const double bytes = number(row, "bytes") * scale;
    const double seconds = number(row, "median_s");
    if (bytes >= (double)CAL_LEAST_BYTES && seconds > 0.0) {
        cal_add(
            c, parameter,
            (cal_observation){.bytes = bytes, .value = seconds * NS, .is_host_timed = true});
    } else if (bytes > 0.0) {
        c->lists[parameter].small++;
    }
}

static void add_series(calibrating *c, vs_cal_parameter parameter, const vs_jnode *rows)
{
    if (rows->node == NULL || !vs_json_is_array(rows)) {
        return;
    }
    for (vs_jnode row = vs_json_first(rows); row.node != NULL; row = vs_json_next(&row)) {
        add_bench(c, parameter, &row, 1.0);
    }
}

static void add_time(calibrating *c, vs_cal_parameter parameter, const vs_jnode *row,
                     const char *key)
{
    const double microseconds = number(row, key);
    if (microseconds > 0.0) {
        cal_add(c, parameter, (cal_observation){.value = microseconds * US});
    }
}

/* ---- scenario rates ------------------------------------------------------------------------------------------ */

static void observe_copies(calibrating *c, const vs_jnode *root)
{
    const vs_jnode take = take_of(root, "rates", "h2d");
    const vs_jnode pinned = member(&take, "pinned");
    const vs_jnode pinned_up = member(&pinned, "h2d");
    const vs_jnode pinned_down = member(&pinned, "d2h");
    const vs_jnode up = member(&take, "h2d_pageable");
    const vs_jnode within = member(&take, "d2d_bytes_copied");
    add_series(c, VS_CAL_H2D_PINNED, &pinned_up);
    add_series(c, VS_CAL_H2D_PAGEABLE, &up);
    add_series(c, VS_CAL_D2H, &pinned_down);
    add_series(c, VS_CAL_D2D, &within);
}

/* One read of the file of rates/file: cold ones only when nearly nothing of it was cached. */
static bool add_file_read(calibrating *c, vs_cal_parameter parameter, const vs_jnode *take,
                          const char *key)
{
    double cached = 0.0;
    const vs_jnode row = member(take, key);
    const double bytes = number(take, "file_bytes");
    const double seconds = number(&row, "seconds");
    const vs_jnode stayed = member(&row, "cached_before_bytes");
    if (bytes < (double)CAL_LEAST_BYTES || seconds == 0.0) {
        return false;
    }
    if (stayed.node != NULL && vs_json_as_double(&stayed, &cached, NULL) &&
        (cached < 0.0 || cached > CACHED_SHARE * bytes)) {
        c->lists[parameter].why =
            "the file that was read stayed in the page cache, or it could not be told";
        return false;
    }
    cal_add(c, parameter,
            (cal_observation){.bytes = bytes, .value = seconds * NS, .is_host_timed = true});
    return true;
}

static void observe_file(calibrating *c, const vs_jnode *root)
{
    const vs_jnode take = take_of(root, "rates", "file");
    /* the whole device: four threads, or one where that failed */
    if (!add_file_read(c, VS_CAL_DISK, &take, "read_4_threads_cold")) {
        (void)add_file_read(c, VS_CAL_DISK, &take, "read_cold");
    }
    (void)add_file_read(c, VS_CAL_DISK_MMAP, &take, "mmap_touch_cold");
    (void)add_file_read(c, VS_CAL_PAGE_CACHE, &take, "read_warm");
    (void)add_file_read(c, VS_CAL_PAGE_CACHE, &take, "read_warm_again");
}

static void observe_malloc(calibrating *c, const vs_jnode *root)
{
    const vs_jnode take = take_of(root, "rates", "malloc");
    const vs_jnode rows = member(&take, "cuda_malloc_free");
    if (rows.node == NULL || !vs_json_is_array(&rows)) {
        return;
    }
    for (vs_jnode row = vs_json_first(&rows); row.node != NULL; row = vs_json_next(&row)) {
        add_time(c, VS_CAL_GPU_MALLOC, &row, "malloc_median_us");
        add_time(c, VS_CAL_GPU_FREE, &row, "free_median_us");
    }
}

/* One thread, as vs_host has it. */
static void observe_casts(calibrating *c, const vs_jnode *root)
{
    static const char *const casts[] = {"fp16_to_bf16", "fp32_to_bf16", "bf16_to_fp32"};
    const vs_jnode take = take_of(root, "rates", "cast");
    for (size_t i = 0; i < sizeof casts / sizeof casts[0]; i++) {
        const vs_jnode cast = member(&take, casts[i]);
        const vs_jnode row = member(&cast, "one_caller_one_thread");
        add_bench(c, VS_CAL_CAST, &row, 1.0);
    }
    const vs_jnode copy = member(&take, "copy_bf16");
    const vs_jnode row = member(&copy, "one_caller_one_thread");
    add_bench(c, VS_CAL_MEMCPY, &row, 1.0);
}

static void observe_gpu_ops(calibrating *c, const vs_jnode *root)
{
    const vs_jnode take = take_of(root, "rates", "gpu_ops");
    const vs_jnode bnb = member(&take, "quantise_4bit_bnb");
    const vs_jnode own = member(&take, "quantise_4bit_torch");
    const vs_jnode launch = member(&take, "launch");
    const bool has_bnb = number(&bnb, "median_s") > 0.0;
    add_bench(c, VS_CAL_GPU_QUANTISE, has_bnb ? &bnb : &own, 1.0);
    if (!has_bnb && number(&own, "median_s") > 0.0) {
        cal_note(
            c,
            "the quantiser is the kit's own in torch operations; bitsandbytes was not there");
    }
    add_time(c, VS_CAL_GPU_LAUNCH, &launch, "launch_us");
}

/* ---- scenario env ------------------------------------------------------------------------------------------------ */

/* What the driver and the allocator disagree by when a model was loaded; false: no load tells. */
static bool observe_loads(calibrating *c, const vs_jnode *root)
{
    const vs_jnode scenarios = member(root, "scenarios");
    const vs_jnode body = member(&scenarios, "load");
    const vs_jnode takes = member(&body, "takes");
    bool has_any = false;
    if (takes.node == NULL || !vs_json_is_object(&takes)) {
        return false;
    }
    for (vs_jnode take = vs_json_first(&takes); take.node != NULL; take = vs_json_next(&take)) {
        vs_str status = {0};
        const vs_jnode word = member(&take, "status");
        const vs_jnode memory = member(&take, "memory");
        const double total = number(&memory, "driver_total_bytes");
        const double taken =
            number(&memory, "driver_free_bytes") + number(&memory, "final_reserved_bytes");
        if (word.node == NULL || !vs_json_as_str(&word, &status, NULL) ||
            !vs_str_is(status, "ok") || number(&memory, "driver_free_bytes") == 0.0 ||
            total <= taken) {
            continue;
        }
        cal_add(c, VS_CAL_GPU_CONTEXT, (cal_observation){.value = total - taken});
        has_any = true;
    }
    return has_any;
}

/* The same step by step, from the first kernel on until everything was dropped; has_loads: for the card's size only, since what a
 * load needs is in its own figures. */
static void observe_steps(calibrating *c, const vs_jnode *take, bool has_loads)
{
    const vs_jnode steps = member(take, "steps");
    bool has_kernel = false;
    double total = 0.0;
    if (steps.node == NULL || !vs_json_is_array(&steps)) {
        return;
    }
    for (vs_jnode step = vs_json_first(&steps); step.node != NULL; step = vs_json_next(&step)) {
        vs_str name = {0};
        const vs_jnode word = member(&step, "step");
        const double outside = number(&step, "outside_allocator_bytes");
        if (word.node == NULL || !vs_json_as_str(&word, &name, NULL)) {
            continue;
        }
        has_kernel = has_kernel || vs_str_starts(name, "first kernel");
        if (vs_str_starts(name, "all tensors dropped")) {
            break;
        }
        if (vs_str_starts(name, "before torch") && number(&step, "nvml_processes") > 0.0) {
            cal_note(c,
                     "other programs used the card: gpu.context_bytes has their memory in it");
        }
        total = fmax(total, number(&step, "driver_total_bytes"));
        if (has_kernel && outside > 0.0 && !has_loads) {
            cal_add(c, VS_CAL_GPU_CONTEXT, (cal_observation){.value = outside});
        }
    }
    if (total > 0.0) {
        cal_add_stated(c, VS_CAL_GPU_CAPACITY, total);
    }
}

static void observe_machine(calibrating *c, const vs_jnode *root)
{
    vs_str name = {0};
    const vs_jnode facts = take_of(root, "env", "facts");
    const vs_jnode context = take_of(root, "env", "context");
    const double ram = number(&facts, "ram_total_bytes");
    const double cores = number(&facts, "cpus_usable");
    vs_jnode word = member(&context, "device_name");
    if (word.node == NULL) {
        word = member(&facts, "gpu_name");
    }
    if (word.node != NULL && vs_json_as_str(&word, &name, NULL)) {
        cal_name_gpu(c, name);
    }
    if (ram > 0.0) {
        cal_add_stated(c, VS_CAL_RAM, ram);
    }
    if (cores > 0.0) {
        cal_add_stated(c, VS_CAL_CORES, cores);
    }
    observe_steps(c, &context, observe_loads(c, root));
}

bool cal_observe_results(calibrating *c, vs_str bytes)
{
    vs_json doc = {0};
    bool is_rehearsal = false;
    if (!vs_json_parse(&doc, bytes.ptr, bytes.len, c->path, c->err)) {
        return false;
    }
    const vs_jnode root = vs_json_root(&doc);
    if (vs_json_get_bool(&root, "rehearsal", false, &is_rehearsal, NULL) && is_rehearsal) {
        c->is_rehearsal = true;
        cal_note(c, "a rehearsal on the CPU: its figures are of no card and of no use for one");
    }
    observe_machine(c, &root);
    observe_copies(c, &root);
    observe_file(c, &root);
    observe_malloc(c, &root);
    observe_casts(c, &root);
    observe_gpu_ops(c, &root);
    vs_json_close(&doc);
    return !c->has_failed;
}

/* ---- loader.csv ------------------------------------------------------------------------------------------------------ */

/* Cuts a row at its commas; false: another number of them. */
static bool cut_row(vs_str line, vs_str cells[LOADER_COLUMNS])
{
    uint32_t count = 0;
    const char *at = line.ptr;
    const char *const end = line.ptr + line.len;
    while (count < LOADER_COLUMNS) {
        const char *const comma = memchr(at, ',', (size_t)(end - at));
        const char *const stop = comma == NULL ? end : comma;
        cells[count++] = (vs_str){at, (size_t)(stop - at)};
        if (comma == NULL) {
            return count == LOADER_COLUMNS;
        }
        at = comma + 1;
    }
    return false;
}

/* A `quantise` row ends when the card is done (capture.py); a `merge` row when its kernels are launched; a `copy` row is reading,
 * casting and sending in one. So only the first says how fast something is. */
static bool observe_row(calibrating *c, vs_str line)
{
    vs_str cells[LOADER_COLUMNS];
    uint64_t bytes = 0;
    uint64_t from = 0;
    uint64_t to = 0;
    if (!cut_row(line, cells) || !vs_parse_u64(cells[3], &bytes, NULL) ||
        !vs_parse_u64(cells[4], &from, NULL) || !vs_parse_u64(cells[5], &to, NULL)) {
        return false;
    }
    if (vs_str_is(cells[0], "copy") && c->lists[VS_CAL_H2D_PAGEABLE].why == NULL) {
        c->lists[VS_CAL_H2D_PAGEABLE].why =
            "a copy row of loader.csv is reading, casting and sending in one";
    }
    if (!vs_str_is(cells[0], "quantise") || !vs_str_is(cells[7], "1") || to <= from ||
        bytes < CAL_LEAST_BYTES) {
        return true;
    }
    cal_add(c, VS_CAL_GPU_QUANTISE,
            (cal_observation){.bytes = (double)bytes, .value = (double)(to - from) * US});
    return true;
}

bool cal_observe_loader(calibrating *c, vs_str bytes)
{
    uint32_t line_number = 0;
    while (bytes.len > 0 && !c->has_failed) {
        const char *const stop = memchr(bytes.ptr, '\n', bytes.len);
        size_t len = stop == NULL ? bytes.len : (size_t)(stop - bytes.ptr);
        const size_t used = stop == NULL ? len : len + 1;
        len -= len > 0 && bytes.ptr[len - 1] == '\r' ? 1 : 0;
        line_number++;
        if (line_number > 1 && len > 0 && !observe_row(c, (vs_str){bytes.ptr, len})) {
            if (stop == NULL) {
                cal_note(c, "the last row is cut off and was left out");
                return true;
            }
            (void)vs_fail(c->err, VS_ERR_FORMAT,
                          "expected a row of 8 values, " LOADER_HEAD ", found another");
            vs_err_at_line(c->err, line_number);
            return false;
        }
        bytes = (vs_str){bytes.ptr + used, bytes.len - used};
    }
    return !c->has_failed;
}
