/* simulate.c - from a scenario to inputs: the model, the machine, the scenario as resolved. */
#include "cli.h"

#include <stdlib.h>

bool cli_read_model(cli *c, vs_model *model, const char *spec, vs_err *err)
{
    return vs_model_open(model, &c->inputs, spec, err);
}

/* $XDG_CONFIG_HOME/vramscope or ~/.config/vramscope: the user's own gpus.json, hosts.json, disks.json. */
const char *cli_overlay_dir(cli *c)
{
    const char *config =
        getenv("XDG_CONFIG_HOME");     /* NOLINT(concurrency-mt-unsafe): one thread */
    const char *home = getenv("HOME"); /* NOLINT(concurrency-mt-unsafe) */
    if (config != NULL && config[0] == '/') {
        return vs_arena_printf(&c->inputs, "%s/vramscope", config);
    }
    return home != NULL && home[0] == '/'
               ? vs_arena_printf(&c->inputs, "%s/.config/vramscope", home)
               : NULL;
}

bool cli_resolve_machine(cli *c, vs_machine *machine, const vs_scenario *scenario, vs_err *err)
{
    return vs_machine_resolve(machine, &c->inputs, &scenario->machine, cli_overlay_dir(c), err);
}

static vs_load_dtype resolved_dtype(vs_dtype dtype, vs_load_dtype asked)
{
    return dtype == VS_DT_F32    ? VS_LOAD_FP32
           : dtype == VS_DT_F16  ? VS_LOAD_FP16
           : dtype == VS_DT_BF16 ? VS_LOAD_BF16
                                 : asked;
}

vs_scenario cli_resolved(const vs_scenario *scenario, const vs_run_result *result)
{
    vs_scenario resolved = *scenario;
    resolved.dtype = resolved_dtype(result->load_dtype, scenario->dtype);
    resolved.async = result->is_async ? VS_ON : VS_OFF;
    resolved.warmup = result->has_warmup ? VS_ON : VS_OFF;
    resolved.workers = result->workers > 0 ? result->workers : scenario->workers;
    resolved.device_map = scenario->device_map == NULL ? "cuda" : scenario->device_map;
    resolved.machine.ram_bytes = result->machine.host.ram_bytes;
    if (scenario->machine.host.len == 0) {
        resolved.machine.host = vs_str_of(result->machine.host.name);
    }
    if (scenario->machine.disk.len == 0) {
        resolved.machine.disk = vs_str_of(result->machine.disk.name);
    }
    /* A card described in HOST.json has no catalogue name: the host brings it again. */
    if (scenario->machine.gpu_count == 0 &&
        !vs_str_is(vs_str_of(result->machine.gpus[0].id), "generic")) {
        resolved.machine.gpus[0] = vs_str_of(result->machine.gpus[0].id);
        resolved.machine.gpu_count = 1;
    }
    return resolved;
}
