/* report_json.c - one run as the object that CONTRACT.md fixes: vramscope.run/1. Names there never change. */
#include "cli.h"

static double share(uint32_t ppm)
{
    return (double)ppm / 1e6;
}

static void write_assumed(vs_jwriter *w, const vs_machine *machine)
{
    vs_jw_array(w, "assumed");
    for (uint32_t i = 0; i < machine->assumed_count; i++) {
        vs_jw_object(w, NULL);
        vs_jw_str(w, "key", machine->assumed[i].key);
        vs_jw_u64(w, "value", machine->assumed[i].value);
        vs_jw_str(w, "source", machine->assumed[i].source);
        vs_jw_end(w);
    }
    vs_jw_end(w);
}

static void write_model(vs_jwriter *w, const cli_run *run)
{
    vs_jw_object(w, "model");
    vs_jw_str(w, "name", run->model->name);
    vs_jw_str(w, "model_type", run->model->model_type);
    vs_jw_u64(w, "parameters", run->model->parameters);
    vs_jw_u64(w, "tensors", run->model->tensor_count);
    vs_jw_u64(w, "checkpoint_bytes", run->model->checkpoint_bytes);
    vs_jw_u64(w, "loaded_bytes", run->result->loaded_bytes);
    vs_jw_str(w, "source", run->model->source);
    vs_jw_array(w, "notes");
    for (uint32_t i = 0; i < run->model->note_count; i++) {
        vs_jw_str(w, NULL, run->model->notes[i]);
    }
    for (uint32_t i = 0; i < run->result->note_count; i++) {
        vs_jw_str(w, NULL, run->result->notes[i]);
    }
    vs_jw_end(w);
    if (run->result->format[0] != '\0') { /* plain tensors need no words */
        vs_jw_str(w, "format", run->result->format);
        vs_jw_bool(w, "is_quantised", run->result->is_stored_quantised);
        vs_jw_bool(w, "is_dequantised", run->result->is_dequantised);
    }
    vs_jw_end(w);
}

static void write_gpus(vs_jwriter *w, const vs_run_result *r)
{
    vs_jw_array(w, "gpus");
    for (uint32_t i = 0; i < r->gpu_count; i++) {
        const vs_gpu_result *g = &r->gpus[i];
        vs_jw_object(w, NULL);
        vs_jw_u64(w, "index", i);
        vs_jw_str(w, "id", r->machine.gpus[i].id);
        vs_jw_str(w, "name", r->machine.gpus[i].name);
        vs_jw_u64(w, "capacity_bytes", g->capacity_bytes);
        vs_jw_u64(w, "used_by_others_bytes", g->used_by_others_bytes);
        vs_jw_u64(w, "context_bytes", g->context_bytes);
        vs_jw_u64(w, "warmup_bytes", g->warmup_bytes);
        vs_jw_u64(w, "peak_allocated_bytes", g->peak_allocated_bytes);
        vs_jw_u64(w, "peak_memory_allocated_bytes", g->peak_memory_allocated_bytes);
        vs_jw_u64(w, "peak_reserved_bytes", g->peak_reserved_bytes);
        vs_jw_u64(w, "peak_used_bytes", g->peak_used_bytes);
        vs_jw_u64(w, "final_allocated_bytes", g->final_allocated_bytes);
        vs_jw_u64(w, "final_memory_allocated_bytes", g->final_memory_allocated_bytes);
        vs_jw_u64(w, "final_reserved_bytes", g->final_reserved_bytes);
        vs_jw_end(w);
    }
    vs_jw_end(w);
}

static void write_host(vs_jwriter *w, const vs_run_result *r)
{
    vs_jw_object(w, "host");
    vs_jw_str(w, "name", r->machine.host.name);
    vs_jw_u64(w, "capacity_bytes", r->host_capacity_bytes);
    vs_jw_u64(w, "peak_anon_bytes", r->host_peak_anon_bytes);
    vs_jw_u64(w, "peak_pinned_bytes", r->host_peak_pinned_bytes);
    vs_jw_u64(w, "peak_file_bytes", r->host_peak_file_bytes);
    vs_jw_end(w);
    vs_jw_object(w, "disk");
    vs_jw_str(w, "name", r->machine.disk.name);
    vs_jw_u64(w, "read_bytes", r->disk_read_bytes);
    vs_jw_u64(w, "written_bytes", r->disk_written_bytes);
    vs_jw_end(w);
    vs_jw_object(w, "time");
    vs_jw_u64(w, "load_ns", r->load_ns);
    vs_jw_u64(w, "prefill_ns", 0); /* this version simulates the load only: none spent */
    vs_jw_u64(w, "per_token_ns", 0);
    vs_jw_u64(w, "total_ns", r->load_ns);
    vs_jw_end(w);
    vs_jw_object(w, "bottleneck");
    vs_jw_str(w, "lane", r->bottleneck_lane);
    vs_jw_double(w, "busy_share", share(r->bottleneck_ppm));
    vs_jw_end(w);
}

static void write_peak(vs_jwriter *w, const vs_run_result *r)
{
    const vs_bytes *c = r->peak.categories;
    vs_jw_object(w, "device_map");
    vs_jw_str(w, "", "0");
    vs_jw_end(w);
    vs_jw_object(w, "peak");
    vs_jw_u64(w, "gpu", r->peak.gpu);
    vs_jw_u64(w, "time_ns", r->peak.time_ns);
    vs_jw_object(w, "categories");
    vs_jw_u64(w, "context", c[VS_CAT_CONTEXT]);
    vs_jw_u64(w, "other", c[VS_CAT_OTHER]);
    vs_jw_u64(w, "weights", c[VS_CAT_W_FP32] + c[VS_CAT_W_16] + c[VS_CAT_W_FP8]);
    vs_jw_u64(w, "quantised", c[VS_CAT_Q_INT8] + c[VS_CAT_Q_4BIT]);
    vs_jw_u64(w, "staging", c[VS_CAT_STAGING]);
    vs_jw_u64(w, "kv_cache", c[VS_CAT_KV]);
    vs_jw_u64(w, "activations", c[VS_CAT_ACT]);
    vs_jw_u64(w, "slack", c[VS_CAT_SLACK]);
    vs_jw_u64(w, "reserved_free", c[VS_CAT_RESFREE]);
    vs_jw_end(w);
    vs_jw_end(w);
}

static void write_fixes(vs_jwriter *w, const cli_run *run)
{
    vs_jw_array(w, "fixes");
    for (uint32_t i = 0; i < run->fix_count; i++) {
        vs_jw_object(w, NULL);
        vs_jw_str(w, "change", run->fixes[i].change);
        vs_jw_str(w, "verdict", vs_verdict_name(run->fixes[i].verdict));
        vs_jw_u64(w, "peak_used_bytes", run->fixes[i].peak_used_bytes);
        vs_jw_u64(w, "load_ns", run->fixes[i].load_ns);
        vs_jw_end(w);
    }
    vs_jw_end(w);
}

static void write_oom(vs_jwriter *w, const cli_run *run)
{
    const vs_oom_result *o = &run->result->oom;
    if (!run->result->has_oom) {
        vs_jw_null(w, "oom");
        return;
    }
    vs_jw_object(w, "oom");
    vs_jw_u64(w, "gpu", o->gpu);
    vs_jw_u64(w, "time_ns", o->time_ns);
    vs_jw_u64(w, "requested_bytes", o->requested_bytes);
    vs_jw_u64(w, "attempted_bytes", o->attempted_bytes);
    vs_jw_str(w, "tensor", o->tensor);
    vs_jw_str(w, "stage", o->stage);
    vs_jw_double(w, "consumed_share", share(o->consumed_ppm));
    vs_jw_u64(w, "parameters_done", o->mappings_done);
    vs_jw_u64(w, "parameters", o->mappings);
    vs_jw_u64(w, "staging_bytes", o->staging_bytes);
    vs_jw_u64(w, "staging_tensors", o->staging_count);
    vs_jw_u64(w, "free_bytes", o->free_bytes);
    vs_jw_u64(w, "allocated_bytes", o->allocated_bytes);
    vs_jw_u64(w, "reserved_bytes", o->reserved_bytes);
    vs_jw_bool(w, "is_caught", o->is_swallowed);
    if (o->has_surfaced) {
        vs_jw_object(w, "surfaces");
        vs_jw_u64(w, "time_ns", o->surface_time_ns);
        vs_jw_str(w, "tensor", o->surface_tensor);
        vs_jw_double(w, "consumed_share", share(o->surface_consumed_ppm));
        vs_jw_end(w);
    } else {
        vs_jw_null(w, "surfaces");
    }
    vs_jw_str(w, "message", o->message);
    vs_jw_str(w, "reason", run->result->reason);
    vs_jw_u64(w, "needed_bytes", run->result->needed_bytes);
    write_fixes(w, run);
    vs_jw_end(w);
}

void cli_report_json(vs_jwriter *w, const char *key, const cli_run *run)
{
    vs_jw_object(w, key);
    vs_jw_str(w, "format", "vramscope.run/1");
    vs_jw_str(w, "version", VS_VERSION);
    vs_scenario_write(run->scenario, w, "scenario");
    write_assumed(w, &run->result->machine);
    write_model(w, run);
    vs_jw_str(w, "verdict", vs_verdict_name(run->result->verdict));
    vs_jw_str(w, "headline", run->result->headline);
    write_gpus(w, run->result);
    write_host(w, run->result);
    write_peak(w, run->result);
    write_oom(w, run);
    if (run->result->verdict == VS_VERDICT_FAILED) {
        vs_jw_str(w, "reason", run->result->reason);
    }
    vs_jw_null(w, "race");
    vs_jw_end(w);
}
