/* run.c - one run: driver, pool, engine, tape and loader put together, run to the end, sealed.
 *
 * Device 0 of the tape is the GPU, device 1 the host's RAM. */
#include "run_internal.h"

const char *vs_verdict_name(vs_verdict verdict)
{
    static const char *const names[] = {
#define VS_X(id, name) name,
        VS_VERDICTS(VS_X)
#undef VS_X
    };
    return verdict < VS_VERDICT_COUNT ? names[verdict] : "?";
}

static vs_bytes used_by_others(const vs_scenario *scenario)
{
    return scenario->gpu_used_count > 0 ? scenario->gpu_used_bytes[0] : 0;
}

static void record_level(vs_tape *tape, uint8_t device, vs_category category, vs_bytes bytes)
{
    if (bytes == 0) {
        return;
    }
    const vs_event event = {.kind = VS_EV_LEVEL,
                            .device = device,
                            .category = (uint8_t)category,
                            .block = VS_NO_BLOCK,
                            .size_bytes = bytes};
    vs_tape_event(tape, &event);
}

static bool make_tape(loader *ld, vs_err *err)
{
    /* A tensor makes about six events: alloc, recat or free, quantised parts, page cache, progress. */
    const vs_tape_desc desc = {.expected_events = ld->model->tensor_count * 8 + 64,
                               .expected_spans = ld->model->tensor_count * 4 + 64,
                               .expected_strings =
                                   ld->model->tensor_count + ld->model->target_count + 64};
    const vs_gpu *gpu = &ld->machine->gpus[0];
    ld->tape = vs_tape_new(ld->arena, &desc);
    if (ld->tape == NULL) {
        return vs_fail_memory(err, ld->arena, "the tape");
    }
    ld->gpu_device = vs_tape_add_device(ld->tape, VS_DEVICE_GPU, gpu->name, gpu->total_bytes);
    ld->host_device = vs_tape_add_device(ld->tape, VS_DEVICE_HOST, ld->machine->host.name,
                                         ld->machine->host.ram_bytes);
    return true;
}

/* Others hold so much that not even a CUDA context can be made: the load dies before it begins. */
static bool lacks_room_for_context(const loader *ld)
{
    const vs_gpu *gpu = &ld->machine->gpus[0];
    return gpu->context_bytes > gpu->total_bytes - used_by_others(ld->scenario);
}

static bool make_pool(loader *ld, vs_err *err)
{
    const vs_gpu *gpu = &ld->machine->gpus[0];
    vs_alloc_conf conf = vs_alloc_conf_default(VS_TORCH_NEWEST);
    if (ld->scenario->alloc_conf != NULL &&
        !vs_alloc_conf_parse(&conf, vs_str_of(ld->scenario->alloc_conf), err)) {
        vs_err_at_input(err, "--alloc-conf");
        return false;
    }
    vs_bytes in_use = 0;
    if (!vs_add_u64(gpu->context_bytes, used_by_others(ld->scenario), &in_use)) {
        return vs_fail(err, VS_ERR_VALUE, "--gpu-used: larger than any card");
    }
    ld->driver = VS_NEW(ld->arena, vs_model_driver);
    if (ld->driver == NULL) {
        return vs_fail_memory(err, ld->arena, "the driver");
    }
    vs_model_driver_init(ld->driver, gpu->total_bytes,
                         in_use < gpu->total_bytes ? in_use : gpu->total_bytes);
    const vs_pool_desc desc = {.conf = &conf,
                               .driver = vs_model_driver_calls(ld->driver),
                               .tape = ld->tape,
                               .device = ld->gpu_device,
                               .expected_blocks = ld->model->tensor_count + 256};
    ld->pool = vs_pool_new(ld->arena, &desc);
    if (ld->pool == NULL) {
        return vs_fail_memory(err, ld->arena, "the allocator");
    }
    if (!lacks_room_for_context(ld)) {
        record_level(ld->tape, ld->gpu_device, VS_CAT_CONTEXT, gpu->context_bytes);
    }
    record_level(ld->tape, ld->gpu_device, VS_CAT_OTHER, used_by_others(ld->scenario));
    return true;
}

static bool make_engine(loader *ld, const vs_run_input *input, vs_err *err)
{
    const vs_engine_desc desc = {0};
    ld->engine = vs_engine_new(ld->arena, &desc);
    if (ld->engine == NULL) {
        return vs_fail_memory(err, ld->arena, "the engine");
    }
    if (input->should_stop != NULL) {
        vs_engine_set_poll(ld->engine, input->should_stop, input->stop_ctx);
    }
    return true;
}

static bool check_input(const vs_run_input *input, vs_err *err)
{
    const vs_gpu *gpu = &input->machine->gpus[0];
    if (input->machine->gpu_count != 1) {
        return vs_fail(
            err, VS_ERR_PLANNED,
            "%" PRIu32
            " GPUs were given; this version loads onto one (--device-map cuda): give one --gpu",
            input->machine->gpu_count);
    }
    if (used_by_others(input->scenario) > gpu->total_bytes) {
        char total[VS_TEXT_BYTES];
        return vs_fail(err, VS_ERR_VALUE, "--gpu-used: more than the %s that the card has",
                       vs_format_size(gpu->total_bytes, total));
    }
    return true;
}

static void put_meta(vs_tape *tape, const vs_run_input *input, const vs_run_result *result,
                     vs_arena *arena)
{
    const char *command = vs_scenario_command(input->scenario, arena);
    char total[VS_TEXT_BYTES];
    const vs_gpu *gpu = &input->machine->gpus[0];
    const char *title = vs_arena_printf(
        arena, "%s  %s%s%s  %s%s", input->model->name, vs_dtype_torch_name(result->load_dtype),
        input->scenario->quant == VS_QUANT_NONE ? "" : "  ",
        input->scenario->quant == VS_QUANT_NONE ? "" : vs_quant_name(input->scenario->quant),
        result->is_async ? "async" : "sequential",
        input->scenario->quant_experts == VS_QEXPERTS_NONE ? "" : "  experts: axolotl");
    const char *card =
        vs_arena_printf(arena, "%s, %s", gpu->name, vs_format_size(gpu->total_bytes, total));
    vs_tape_set_meta(tape, "version", VS_VERSION);
    vs_tape_set_meta(tape, "title", title);
    vs_tape_set_meta(tape, "model", input->model->name);
    vs_tape_set_meta(tape, "gpu", card);
    vs_tape_set_meta(tape, "verdict", vs_verdict_name(result->verdict));
    vs_tape_set_meta(tape, "headline", result->headline);
    vs_tape_set_meta(tape, "reason", result->reason);
    vs_tape_set_meta(tape, "command", command);
    if (input->scenario->alloc_conf != NULL && input->scenario->alloc_conf[0] != '\0') {
        vs_tape_set_meta(tape, "alloc_conf", input->scenario->alloc_conf);
    }
}

static vs_verdict verdict_of(const loader *ld)
{
    switch (ld->end) {
    case END_OOM: return VS_VERDICT_OOM;
    case END_HOST_OOM: return VS_VERDICT_HOST_OOM;
    case END_LOADED: return VS_VERDICT_FITS;
    case END_FAILED:
    case END_RUNNING: break;
    }
    return VS_VERDICT_FAILED;
}

static bool run_engine(loader *ld, bool can_stop, vs_err *err)
{
    if (lacks_room_for_context(ld)) {
        load_fail_context(ld, used_by_others(ld->scenario));
        return true;
    }
    if (!load_start(ld, err)) {
        return false;
    }
    if (ld->end == END_RUNNING && !vs_engine_run(ld->engine, VS_NS_NEVER, err)) {
        return false;
    }
    if (ld->is_exhausted) {
        return vs_fail_memory(err, ld->arena, "the run");
    }
    if (ld->end == END_RUNNING) {
        return can_stop ? vs_fail(err, VS_ERR_CANCELLED, "the run was stopped")
                        : vs_fail(err, VS_ERR_INTERNAL,
                                  "nothing is left to do, yet %" PRIu32 " of %" PRIu32
                                  " parameters are not loaded: please report this scenario",
                                  ld->mapping_count - ld->mappings_done, ld->mapping_count);
    }
    return true;
}

bool vs_run(vs_arena *arena, const vs_run_input *input, vs_run_result *result,
            vs_timeline *timeline, vs_err *err)
{
    if (!check_input(input, err)) {
        return false;
    }
    loader *ld = VS_NEW(arena, loader);
    if (ld == NULL) {
        return vs_fail_memory(err, arena, "the loader");
    }
    *ld = (loader){.arena = arena,
                   .model = input->model,
                   .machine = input->machine,
                   .scenario = input->scenario,
                   .shuffle_seed = input->shuffle_seed};
    if (!make_engine(ld, input, err) || !make_tape(ld, err) || !make_pool(ld, err) ||
        !load_setup(ld, err) || !run_engine(ld, input->should_stop != NULL, err)) {
        return false;
    }
    vs_run_result made = {.verdict = verdict_of(ld), .machine = *input->machine};
    made.load_dtype = ld->load_dtype;
    made.is_async = ld->is_async;
    made.load_ns = ld->end_ns;
    if (!run_explain(&made, ld, err) || !run_describe_format(&made, ld, err)) {
        return false;
    }
    put_meta(ld->tape, input, &made, arena);
    vs_timeline sealed = {0};
    if (!vs_tape_seal(ld->tape, &sealed, err)) {
        return false;
    }
    run_fill_result(&made, ld, &sealed);
    *result = made;
    *timeline = sealed;
    return true;
}
