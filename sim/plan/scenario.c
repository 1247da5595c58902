/* sim/plan/scenario.c - one setting at a time into a scenario.
 *
 * The text of a value is the same wherever it comes from (command line, scenario file, --vary), so there
 * is one reader per option and one kind of error message: the option, what was found, what is allowed, and
 * the nearest allowed word. */
#include "sim/plan/options.h"

#include <string.h>

#define WORKERS_MAX                                                                            \
    256 /* more threads than any loader starts; keeps lanes within the tape's limits */
#define SHOWN(text) ((text).len > 100 ? 100 : (int)(text).len), (text).ptr

#define VS_X(id, name) name,
static const char *const loaders[] = {VS_LOADERS(VS_X)};
static const char *const quants[] = {VS_QUANTS(VS_X)};
static const char *const quant_experts[] = {VS_QUANT_EXPERTS(VS_X)};
static const char *const dtypes[] = {VS_DTYPE_OPTIONS(VS_X)};
static const char *const caches[] = {VS_CACHES(VS_X)};
#undef VS_X

/* The contract's device maps; this version knows the first. */
static const char *const device_maps[] = {"cuda",           "auto",       "balanced",
                                          "balanced_low_0", "sequential", "cpu"};
#define COUNT_OF(array) (sizeof(array) / sizeof(array)[0])

/* What one call works on. */
typedef struct {
    vs_scenario *scenario;
    vs_arena *arena;
    const vs_option *option;
    vs_str value;
    bool is_first;
    vs_err *err;
} setting;

/* ---- values ---------------------------------------------------------------------------------- */

static bool fail_word(const setting *s, const char *const *words, size_t count)
{
    const char *nearest = vs_nearest(s->value, words, count);
    if (nearest != NULL) {
        return vs_fail(s->err, VS_ERR_USAGE, "--%s %.*s: expected one of %s; did you mean %s?",
                       s->option->key, SHOWN(s->value), s->option->values, nearest);
    }
    return vs_fail(s->err, VS_ERR_USAGE, "--%s %.*s: expected one of %s", s->option->key,
                   SHOWN(s->value), s->option->values);
}

static bool fail_planned(const setting *s)
{
    return vs_fail(s->err, VS_ERR_PLANNED, "--%s %.*s is not in this version yet; it has: %s",
                   s->option->key, SHOWN(s->value), s->option->values);
}

/* Index of the value among words, ASCII case ignored; an error that suggests the nearest. */
static bool read_word(const setting *s, const char *const *words, size_t count, uint32_t *out)
{
    for (uint32_t i = 0; i < count; i++) {
        if (vs_str_is_nocase(s->value, words[i])) {
            *out = i;
            return true;
        }
    }
    return fail_word(s, words, count);
}

static bool read_tristate(const setting *s, vs_tristate *out)
{
    static const char *const words[] = {"auto", "on", "off", "true", "false", "yes", "no"};
    static const vs_tristate meanings[] = {VS_AUTO, VS_ON, VS_OFF, VS_ON,
                                           VS_OFF,  VS_ON, VS_OFF};
    uint32_t index = 0;
    if (!read_word(s, words, COUNT_OF(words), &index)) {
        return false;
    }
    *out = meanings[index];
    return true;
}

static bool read_size(const setting *s, vs_str text, vs_bytes *out)
{
    vs_err err = {0};
    if (vs_parse_size(text, out, &err)) {
        return true;
    }
    return vs_fail(s->err, VS_ERR_USAGE, "--%s %.*s: %s", s->option->key, SHOWN(text),
                   err.text);
}

static bool read_count(const setting *s, uint64_t max, uint32_t *out)
{
    uint64_t number = 0;
    if (!vs_parse_u64(s->value, &number, NULL) || number == 0 || number > max) {
        return vs_fail(s->err, VS_ERR_USAGE,
                       "--%s %.*s: expected a whole number from 1 to %" PRIu64, s->option->key,
                       SHOWN(s->value), max);
    }
    *out = (uint32_t)number;
    return true;
}

static bool copy_text(const setting *s, vs_str text, const char **out)
{
    if (memchr(text.ptr, '\0', text.len) != NULL) {
        return vs_fail(s->err, VS_ERR_USAGE, "--%s: the value holds a NUL byte",
                       s->option->key);
    }
    const char *copy = vs_str_copy(s->arena, text);
    if (copy == NULL) {
        return vs_fail_memory(s->err, s->arena, "the value of an option");
    }
    *out = copy;
    return true;
}

static bool copy_str(const setting *s, vs_str text, vs_str *out)
{
    const char *copy = NULL;
    if (text.len == 0) {
        return vs_fail(s->err, VS_ERR_USAGE, "--%s: expected %s, found nothing", s->option->key,
                       s->option->values);
    }
    if (!copy_text(s, text, &copy)) {
        return false;
    }
    *out = vs_str_of(copy);
    return true;
}

/* ---- options with rules of their own ------------------------------------------------------------ */

static bool fail_too_many(const setting *s)
{
    return vs_fail(s->err, VS_ERR_LIMIT, "--%s: more than %d cards", s->option->key,
                   VS_GPUS_MAX);
}

static bool set_gpu(const setting *s)
{
    vs_machine_spec next = s->scenario->machine;
    next.gpu_count = s->is_first ? 0 : next.gpu_count;
    vs_str piece = {0};
    for (size_t pos = 0; vs_option_next_piece(s->value, &pos, &piece);) {
        if (next.gpu_count == VS_GPUS_MAX) {
            return fail_too_many(s);
        }
        if (!copy_str(s, piece, &next.gpus[next.gpu_count])) {
            return false;
        }
        next.gpu_count++;
    }
    s->scenario->machine = next;
    return true;
}

static bool set_gpu_used(const setting *s)
{
    vs_bytes used[VS_GPUS_MAX] = {0};
    uint32_t count = s->is_first ? 0 : s->scenario->gpu_used_count;
    memcpy(used, s->scenario->gpu_used_bytes, count * sizeof used[0]);
    vs_str piece = {0};
    for (size_t pos = 0; vs_option_next_piece(s->value, &pos, &piece);) {
        if (count == VS_GPUS_MAX) {
            return fail_too_many(s);
        }
        if (!read_size(s, piece, &used[count])) {
            return false;
        }
        count++;
    }
    memcpy(s->scenario->gpu_used_bytes, used, sizeof used);
    s->scenario->gpu_used_count = count;
    return true;
}

static bool set_ram(const setting *s)
{
    vs_bytes ram = 0;
    if (!read_size(s, s->value, &ram)) {
        return false;
    }
    if (ram < VS_MIB) {
        return vs_fail(s->err, VS_ERR_USAGE,
                       "--ram %.*s: that is %" PRIu64 " bytes; write the unit, as in"
                       " 64GiB",
                       SHOWN(s->value), ram);
    }
    s->scenario->machine.ram_bytes = ram;
    return true;
}

static bool set_dtype(const setting *s)
{
    /* what PyTorch calls them */
    static const struct {
        const char *word;
        vs_load_dtype dtype;
    } others[] = {
        {"float32", VS_LOAD_FP32}, {"float16", VS_LOAD_FP16}, {"bfloat16", VS_LOAD_BF16}};

    for (size_t i = 0; i < COUNT_OF(others); i++) {
        if (vs_str_is_nocase(s->value, others[i].word)) {
            s->scenario->dtype = others[i].dtype;
            return true;
        }
    }
    uint32_t index = 0;
    if (!read_word(s, dtypes, COUNT_OF(dtypes), &index)) {
        return false;
    }
    s->scenario->dtype = (vs_load_dtype)index;
    return true;
}

static bool set_loader(const setting *s)
{
    uint32_t index = 0;
    if (!read_word(s, loaders, COUNT_OF(loaders), &index)) {
        return false;
    }
    if (index != VS_LOADER_V5 && index != VS_LOADER_V5_0) {
        return fail_planned(s);
    }
    s->scenario->loader = (vs_loader)index;
    return true;
}

static bool set_device_map(const setting *s)
{
    uint32_t index = 0;
    if (vs_str_ends(s->value, ".json")) {
        return fail_planned(s);
    }
    if (!read_word(s, device_maps, COUNT_OF(device_maps), &index)) {
        return false;
    }
    if (index != 0) {
        return fail_planned(s);
    }
    s->scenario->device_map = NULL;
    return true;
}

static bool set_fail_on_oom(const setting *s)
{
    vs_tristate wanted = VS_AUTO;
    if (!read_tristate(s, &wanted)) {
        return false;
    }
    s->scenario->fail_on_oom = wanted == VS_ON;
    return true;
}

/* ---- the rest ----------------------------------------------------------------------------------------- */

static bool set_quant(const setting *s)
{
    uint32_t index = 0;
    if (!read_word(s, quants, COUNT_OF(quants), &index)) {
        return false;
    }
    s->scenario->quant = (vs_quant)index;
    return true;
}

static bool set_quant_experts(const setting *s)
{
    uint32_t index = 0;
    if (!read_word(s, quant_experts, COUNT_OF(quant_experts), &index)) {
        return false;
    }
    s->scenario->quant_experts = (vs_quant_experts)index;
    return true;
}

static bool set_cache(const setting *s)
{
    uint32_t index = 0;
    if (!read_word(s, caches, COUNT_OF(caches), &index)) {
        return false;
    }
    s->scenario->cache = (vs_cache)index;
    return true;
}

static bool apply(const setting *s)
{
    vs_scenario *scenario = s->scenario;
    switch ((vs_option_id)s->option->id) {
    case VS_OPTION_GPU: return set_gpu(s);
    case VS_OPTION_GPU_USED: return set_gpu_used(s);
    case VS_OPTION_HOST: return copy_str(s, s->value, &scenario->machine.host);
    case VS_OPTION_DISK: return copy_str(s, s->value, &scenario->machine.disk);
    case VS_OPTION_RAM: return set_ram(s);
    case VS_OPTION_CACHE: return set_cache(s);
    case VS_OPTION_DTYPE: return set_dtype(s);
    case VS_OPTION_LOADER: return set_loader(s);
    case VS_OPTION_ASYNC: return read_tristate(s, &scenario->async);
    case VS_OPTION_WORKERS: return read_count(s, WORKERS_MAX, &scenario->workers);
    case VS_OPTION_QUANT: return set_quant(s);
    case VS_OPTION_QUANT_EXPERTS: return set_quant_experts(s);
    case VS_OPTION_WARMUP: return read_tristate(s, &scenario->warmup);
    case VS_OPTION_DEVICE_MAP: return set_device_map(s);
    case VS_OPTION_ALLOC_CONF: return copy_text(s, s->value, &scenario->alloc_conf);
    case VS_OPTION_FAIL_ON_OOM: return set_fail_on_oom(s);
    case VS_OPTION_MAX_MEMORY:
    case VS_OPTION_CONTEXT:
    case VS_OPTION_NEW_TOKENS:
    case VS_OPTION_BATCH:
    case VS_OPTION_ATTENTION:
    case VS_OPTION_RUNS:
    case VS_OPTION_SEED:
    case VS_OPTION_SCENARIO:
    case VS_OPTION_PRINT_SCENARIO:
    case VS_OPTION_JSON:
    case VS_OPTION_TAPE:
    case VS_OPTION_TRACE:
    case VS_OPTION_CSV:
    case VS_OPTION_SNAPSHOT:
    case VS_OPTION_PNG:
    case VS_OPTION_SVG:
    case VS_OPTION_HTML:
    case VS_OPTION_COUNT: break;
    }
    return vs_fail(s->err, VS_ERR_USAGE,
                   "--%s is not a setting of a scenario; give it on the command line",
                   s->option->key);
}

bool vs_scenario_set(vs_scenario *scenario, vs_arena *arena, const vs_option *option,
                     vs_str value, bool is_first, vs_err *err)
{
    if (option->is_planned) {
        return vs_fail(err, VS_ERR_PLANNED, "--%s is not in this version yet; leave it out",
                       option->key);
    }
    if (value.ptr == NULL) {
        value = vs_str_of("");
    }
    const setting s = {.scenario = scenario,
                       .arena = arena,
                       .option = option,
                       .value = value,
                       .is_first = is_first,
                       .err = err};
    return apply(&s);
}

/* ---- defaults, for writing ------------------------------------------------------------------------------ */

bool vs_scenario_has_host_file(const vs_scenario *scenario)
{
    const vs_str host = scenario->machine.host;
    return host.len > 0 &&
           (memchr(host.ptr, '/', host.len) != NULL || vs_str_ends(host, ".json"));
}

vs_str vs_scenario_host(const vs_scenario *scenario)
{
    const vs_str host = scenario->machine.host;
    return host.len > 0 ? host : vs_str_of("desktop");
}

vs_str vs_scenario_disk(const vs_scenario *scenario)
{
    const vs_str disk = scenario->machine.disk;
    if (disk.len > 0 || vs_scenario_has_host_file(scenario)) {
        return disk;
    }
    return vs_str_of("nvme-pcie4");
}
