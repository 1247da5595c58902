/* A scenario file simulated for the viewer: the only place in viz that knows the simulator. */
#include "viz/app/load.h"
#include "vramscope/run.h"

/* Catalogue overlays are looked for where the command line tool looks (none given: built-in
 * figures). */
bool vs_scenario_simulate(const char *path, vs_arena *arena, vs_timeline *timeline, vs_err *err)
{
    vs_scenario scenario = {0};
    vs_model *model = VS_NEW(arena, vs_model);
    vs_machine *machine = VS_NEW(arena, vs_machine);
    vs_run_result *result = VS_NEW(arena, vs_run_result);
    if (model == NULL || machine == NULL || result == NULL) {
        return vs_fail_memory(err, arena, "the scenario");
    }
    if (!vs_scenario_read(&scenario, arena, path, err)) {
        return false;
    }
    if (scenario.model == NULL || scenario.model[0] == '\0') {
        vs_fail(err, VS_ERR_VALUE, "the scenario names no model; add \"model\": NAME or PATH");
        vs_err_at_input(err, path);
        return false;
    }
    if (!vs_model_open(model, arena, scenario.model, err) ||
        !vs_machine_resolve(machine, arena, &scenario.machine, NULL, err)) {
        return false;
    }
    const vs_run_input input = {.model = model, .machine = machine, .scenario = &scenario};
    return vs_run(arena, &input, result, timeline, err);
}
