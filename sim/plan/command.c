/* sim/plan/command.c - the command line that means a scenario: only what differs from the defaults. */
#include "sim/plan/options.h"

#include <string.h>

/* The line so far; NULL once the arena is exhausted, and then nothing is added any more. */
typedef struct {
    vs_arena *arena;
    const char *text;
} line;

static bool is_plain(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c != '\0' && strchr("_@%+=:,./-", c) != NULL);
}

/* Between single quotes when the shell would read more than the text; a quote itself as '\''. */
static const char *quoted(vs_arena *arena, const char *text)
{
    const size_t len = strlen(text);
    size_t plain = 0;
    size_t quotes = 0;
    for (size_t i = 0; i < len; i++) {
        plain += is_plain(text[i]) ? 1 : 0;
        quotes += text[i] == '\'' ? 1 : 0;
    }
    if (len > 0 && plain == len) {
        return text;
    }
    char *out = VS_ARRAY(arena, char, len + 3 * quotes + 3);
    if (out == NULL) {
        return NULL;
    }
    size_t n = 0;
    out[n++] = '\'';
    for (size_t i = 0; i < len; i++) {
        out[n++] = text[i];
        if (text[i] == '\'') {
            memcpy(out + n, "\\''", 3);
            n += 3;
        }
    }
    out[n++] = '\'';
    out[n] = '\0';
    return out;
}

static void add_word(line *l, const char *word)
{
    const char *safe = l->text == NULL ? NULL : quoted(l->arena, word);
    l->text = safe == NULL ? NULL : vs_arena_printf(l->arena, "%s %s", l->text, safe);
}

static void add_option(line *l, vs_option_id id, const char *value)
{
    size_t count = 0;
    const vs_option *options = vs_options(&count);
    if (l->text != NULL) {
        l->text = vs_arena_printf(l->arena, "%s --%s", l->text, options[id].key);
    }
    if (value != NULL) {
        add_word(l, value);
    }
}

static void add_tristate(line *l, vs_option_id id, vs_tristate value)
{
    size_t count = 0;
    const vs_option *options = vs_options(&count);
    if (value == VS_ON) {
        add_option(l, id, NULL);
    } else if (value == VS_OFF && l->text != NULL) {
        l->text = vs_arena_printf(l->arena, "%s --no-%s", l->text, options[id].key);
    }
}

/* Exact, in the greatest unit that divides it. NULL when the arena is exhausted. */
static const char *size_text(vs_arena *arena, vs_bytes size)
{
    static const struct {
        vs_bytes unit;
        const char *name;
    } units[] = {{VS_GIB, "GiB"}, {VS_MIB, "MiB"}, {VS_KIB, "KiB"}, {1, ""}};

    size_t i = 0;
    while (size % units[i].unit != 0 || (size == 0 && units[i].unit != 1)) {
        i++;
    }
    return vs_arena_printf(arena, "%" PRIu64 "%s", size / units[i].unit, units[i].name);
}

static void add_sizes(line *l, vs_option_id id, const vs_bytes *sizes, uint32_t count)
{
    const char *all = "";
    for (uint32_t i = 0; i < count && all != NULL; i++) {
        const char *one = size_text(l->arena, sizes[i]);
        all = one == NULL ? NULL
                          : vs_arena_printf(l->arena, "%s%s%s", all, i > 0 ? "," : "", one);
    }
    if (all == NULL) {
        l->text = NULL;
    } else if (count > 0) {
        add_option(l, id, all);
    }
}

static void add_machine(line *l, const vs_scenario *scenario)
{
    const vs_machine_spec *machine = &scenario->machine;
    for (uint32_t i = 0; i < machine->gpu_count; i++) {
        add_option(l, VS_OPTION_GPU, machine->gpus[i].ptr);
    }
    add_sizes(l, VS_OPTION_GPU_USED, scenario->gpu_used_bytes, scenario->gpu_used_count);
    if (machine->host.len > 0) {
        add_option(l, VS_OPTION_HOST, machine->host.ptr);
    }
    if (machine->disk.len > 0) {
        add_option(l, VS_OPTION_DISK, machine->disk.ptr);
    }
    add_sizes(l, VS_OPTION_RAM, &machine->ram_bytes, machine->ram_bytes > 0 ? 1 : 0);
}

const char *vs_scenario_command(const vs_scenario *scenario, vs_arena *arena)
{
    line l = {.arena = arena, .text = "vramscope sim"};
    add_word(&l, scenario->model != NULL ? scenario->model : "MODEL");
    if (scenario->dtype != VS_LOAD_AUTO) {
        add_option(&l, VS_OPTION_DTYPE, vs_load_dtype_name(scenario->dtype));
    }
    if (scenario->quant != VS_QUANT_NONE) {
        add_option(&l, VS_OPTION_QUANT, vs_quant_name(scenario->quant));
    }
    if (scenario->quant_experts != VS_QEXPERTS_NONE) {
        add_option(&l, VS_OPTION_QUANT_EXPERTS, vs_quant_experts_name(scenario->quant_experts));
    }
    if (scenario->loader != VS_LOADER_V5) {
        add_option(&l, VS_OPTION_LOADER, vs_loader_name(scenario->loader));
    }
    add_tristate(&l, VS_OPTION_ASYNC, scenario->async);
    add_tristate(&l, VS_OPTION_WARMUP, scenario->warmup);
    if (scenario->workers > 0 && l.text != NULL) {
        l.text = vs_arena_printf(arena, "%s --workers %" PRIu32, l.text, scenario->workers);
    }
    if (scenario->cache != VS_CACHE_COLD) {
        add_option(&l, VS_OPTION_CACHE, vs_cache_name(scenario->cache));
    }
    add_machine(&l, scenario);
    if (scenario->alloc_conf != NULL && scenario->alloc_conf[0] != '\0') {
        add_option(&l, VS_OPTION_ALLOC_CONF, scenario->alloc_conf);
    }
    if (scenario->fail_on_oom) {
        add_option(&l, VS_OPTION_FAIL_ON_OOM, NULL);
    }
    return l.text;
}
