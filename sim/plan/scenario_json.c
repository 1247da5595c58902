/* sim/plan/scenario_json.c - scenario files.
 *
 * {"format": "vramscope.scenario/1", "model": "llama-2-7b", "gpu": ["rtx-4090"], "dtype": "bf16",
 *  "async": false, "ram": "64GiB"}
 *
 * Keys are those of the option table with '_' for '-'. A value may be what the command line would say
 * (text), a whole number, true or false; gpu and gpu_used may be arrays. null counts as left out. Values go
 * through vs_scenario_set, so a file can say exactly what the command line can. */
#include "sim/plan/options.h"

#include <string.h>

#define FORMAT   "vramscope.scenario/1"
#define KEYS_MAX (VS_OPTION_COUNT + 2)

/* ---- reading ------------------------------------------------------------------------------------ */

static const vs_option *find_key(const char *key)
{
    char buf[VS_TEXT_BYTES] = {0};
    const vs_option *option = vs_option_find(vs_str_of(key));
    const bool is_spelt_so =
        option != NULL && strcmp(vs_option_json_key(option, buf), key) == 0;
    return is_spelt_so ? option : NULL;
}

static bool fail_unknown_key(const vs_jnode *member, vs_err *err)
{
    char buf[KEYS_MAX][VS_TEXT_BYTES] = {{0}};
    const char *keys[KEYS_MAX] = {"format", "model"};
    size_t key_count = 2;
    size_t option_count = 0;
    const vs_option *options = vs_options(&option_count);
    for (size_t i = 0; i < option_count; i++) {
        if (options[i].is_setting) {
            keys[key_count] = vs_option_json_key(&options[i], buf[key_count]);
            key_count++;
        }
    }
    const char *nearest = vs_nearest(vs_str_of(vs_json_key(member)), keys, key_count);
    if (nearest != NULL) {
        return vs_json_fail(member, err, "unknown key; the nearest setting is \"%s\"", nearest);
    }
    return vs_json_fail(member, err, "unknown key; `vramscope help sim` lists the settings");
}

/* Text, whole number or boolean, as the command line would say it. */
static bool value_text(const vs_jnode *value, vs_arena *arena, vs_str *out, vs_err *err)
{
    bool is_on = false;
    uint64_t number = 0;
    if (vs_json_is_string(value)) {
        return vs_json_as_str(value, out, err);
    }
    if (vs_json_is_array(value) || vs_json_is_object(value)) {
        return vs_json_fail(value, err, "expected a text, a whole number, true or false");
    }
    if (vs_json_as_bool(value, &is_on, NULL)) {
        *out = vs_str_of(is_on ? "on" : "off");
        return true;
    }
    if (!vs_json_as_u64(value, &number, err)) {
        return false;
    }
    const char *digits = vs_arena_printf(arena, "%" PRIu64, number);
    if (digits == NULL) {
        return vs_fail_memory(err, arena, "a number of a scenario");
    }
    *out = vs_str_of(digits);
    return true;
}

static bool set_value(vs_scenario *scenario, vs_arena *arena, const vs_option *option,
                      const vs_jnode *value, bool is_first, vs_err *err)
{
    vs_str text = {0};
    if (!value_text(value, arena, &text, err)) {
        return false;
    }
    if (!vs_scenario_set(scenario, arena, option, text, is_first, err)) {
        vs_err_at_path(err, value->path);
        return false;
    }
    return true;
}

static bool set_member(vs_scenario *scenario, vs_arena *arena, const vs_jnode *member,
                       vs_err *err)
{
    const vs_option *option = find_key(vs_json_key(member));
    if (option == NULL) {
        return fail_unknown_key(member, err);
    }
    const bool takes_list = option->id == VS_OPTION_GPU || option->id == VS_OPTION_GPU_USED;
    if (!takes_list || !vs_json_is_array(member)) {
        return set_value(scenario, arena, option, member, true, err);
    }
    bool is_first = true;
    for (vs_jnode i = vs_json_first(member); i.node != NULL; i = vs_json_next(&i)) {
        if (!set_value(scenario, arena, option, &i, is_first, err)) {
            return false;
        }
        is_first = false;
    }
    return true;
}

static bool read_head(vs_scenario *scenario, vs_arena *arena, const vs_jnode *root, vs_err *err)
{
    vs_str format = {0};
    vs_str model = {0};
    if (!vs_json_is_object(root)) {
        return vs_json_fail(root, err, "expected an object, as --print-scenario writes it");
    }
    if (!vs_json_get_str(root, "format", false, &format, err) ||
        !vs_json_get_str(root, "model", false, &model, err)) {
        return false;
    }
    if (format.ptr != NULL && !vs_str_is(format, FORMAT)) {
        const vs_jnode node = vs_json_member(root, "format");
        return vs_json_fail(&node, err,
                            "\"%.*s\" is no scenario of this version, expected \"%s\"",
                            format.len > 80 ? 80 : (int)format.len, format.ptr, FORMAT);
    }
    if (model.ptr == NULL) {
        return true;
    }
    scenario->model = vs_str_copy(arena, model);
    return scenario->model != NULL || vs_fail_memory(err, arena, "the model of a scenario");
}

/* The getters treat null as absent, so a number that is not there is the test for null. */
static bool is_null(const vs_jnode *object, const char *key)
{
    uint64_t number = UINT64_MAX;
    return vs_json_get_u64(object, key, false, &number, NULL) && number == UINT64_MAX;
}

static bool read_root(vs_scenario *scenario, vs_arena *arena, const vs_jnode *root, vs_err *err)
{
    if (!read_head(scenario, arena, root, err)) {
        return false;
    }
    for (vs_jnode i = vs_json_first(root); i.node != NULL; i = vs_json_next(&i)) {
        const char *key = vs_json_key(&i);
        const bool is_head = strcmp(key, "format") == 0 || strcmp(key, "model") == 0;
        if (is_head || is_null(root, key)) {
            continue;
        }
        if (!set_member(scenario, arena, &i, err)) {
            return false;
        }
    }
    return true;
}

static bool read_document(vs_scenario *scenario, vs_arena *arena, const vs_json *doc,
                          vs_err *err)
{
    vs_scenario next = *scenario;
    const vs_jnode root = vs_json_root(doc);
    if (!read_root(&next, arena, &root, err)) {
        return false;
    }
    *scenario = next;
    return true;
}

bool vs_scenario_parse(vs_scenario *scenario, vs_arena *arena, const void *text,
                       size_t text_bytes, const char *input_name, vs_err *err)
{
    vs_json doc = {0};
    if (!vs_json_parse(&doc, text, text_bytes, input_name, err)) {
        return false;
    }
    const bool is_read = read_document(scenario, arena, &doc, err);
    vs_json_close(&doc);
    if (!is_read) {
        vs_err_at_input(err, input_name);
    }
    return is_read;
}

bool vs_scenario_read(vs_scenario *scenario, vs_arena *arena, const char *path, vs_err *err)
{
    vs_json doc = {0};
    if (!vs_json_read(&doc, path, err)) {
        return false;
    }
    const bool is_read = read_document(scenario, arena, &doc, err);
    vs_json_close(&doc);
    if (!is_read) {
        vs_err_at_input(err, path);
    }
    return is_read;
}

/* ---- writing -------------------------------------------------------------------------------------- */

static void write_tristate(vs_jwriter *w, const char *key, vs_tristate value)
{
    switch (value) {
    case VS_AUTO: vs_jw_str(w, key, "auto"); return;
    case VS_ON: vs_jw_bool(w, key, true); return;
    case VS_OFF: vs_jw_bool(w, key, false); return;
    }
}

/* 0 means that nobody said: null, which reads back as left out. */
static void write_number(vs_jwriter *w, const char *key, uint64_t value)
{
    if (value == 0) {
        vs_jw_null(w, key);
    } else {
        vs_jw_u64(w, key, value);
    }
}

static void write_gpus(vs_jwriter *w, const vs_scenario *scenario)
{
    if (scenario->machine.gpu_count == 0 && vs_scenario_has_host_file(scenario)) {
        vs_jw_null(w, "gpu"); /* the HOST.json may name the card */
    } else {
        vs_jw_array(w, "gpu");
        for (uint32_t i = 0; i < scenario->machine.gpu_count; i++) {
            vs_jw_str(w, NULL, scenario->machine.gpus[i].ptr);
        }
        if (scenario->machine.gpu_count == 0) {
            vs_jw_str(w, NULL, "rtx-4090");
        }
        vs_jw_end(w);
    }
    vs_jw_array(w, "gpu_used");
    for (uint32_t i = 0; i < scenario->gpu_used_count; i++) {
        vs_jw_u64(w, NULL, scenario->gpu_used_bytes[i]);
    }
    vs_jw_end(w);
}

void vs_scenario_write(const vs_scenario *scenario, vs_jwriter *w, const char *key)
{
    const vs_str disk = vs_scenario_disk(scenario);
    vs_jw_object(w, key);
    vs_jw_str(w, "format", FORMAT);
    vs_jw_str(w, "model", scenario->model);
    write_gpus(w, scenario);
    vs_jw_str(w, "host", vs_scenario_host(scenario).ptr);
    vs_jw_str(w, "disk", disk.len > 0 ? disk.ptr : NULL);
    write_number(w, "ram", scenario->machine.ram_bytes);
    vs_jw_str(w, "cache", vs_cache_name(scenario->cache));
    vs_jw_str(w, "dtype", vs_load_dtype_name(scenario->dtype));
    vs_jw_str(w, "loader", vs_loader_name(scenario->loader));
    write_tristate(w, "async", scenario->async);
    write_number(w, "workers", scenario->workers);
    vs_jw_str(w, "quant", vs_quant_name(scenario->quant));
    vs_jw_str(w, "quant_experts", vs_quant_experts_name(scenario->quant_experts));
    write_tristate(w, "warmup", scenario->warmup);
    vs_jw_str(w, "device_map", scenario->device_map != NULL ? scenario->device_map : "cuda");
    vs_jw_str(w, "alloc_conf", scenario->alloc_conf != NULL ? scenario->alloc_conf : "");
    vs_jw_bool(w, "fail_on_oom", scenario->fail_on_oom);
    vs_jw_end(w);
}
