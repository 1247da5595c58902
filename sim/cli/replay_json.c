/* replay_json.c - "vramscope.replay/1" (CONTRACT.md). */
#include "replay.h"

static void put_difference(vs_jwriter *w, const vs_replay_device *d)
{
    if (!d->has_mismatch) {
        vs_jw_null(w, "first_mismatch");
        return;
    }
    vs_jw_object(w, "first_mismatch");
    vs_jw_u64(w, "event", d->first_mismatch.event);
    vs_jw_str(w, "what", d->first_mismatch.what);
    vs_jw_u64(w, "recorded", d->first_mismatch.recorded);
    vs_jw_u64(w, "ours", d->first_mismatch.ours);
    vs_jw_end(w);
}

static void put_oom(vs_jwriter *w, const vs_replay_device *d)
{
    if (d->oom_event == UINT32_MAX) {
        vs_jw_null(w, "oom");
        return;
    }
    vs_jw_object(w, "oom");
    vs_jw_u64(w, "event", d->oom_event);
    vs_jw_u64(w, "requested_bytes", d->oom.requested_bytes);
    vs_jw_u64(w, "attempted_bytes", d->oom.attempted_bytes);
    vs_jw_u64(w, "free_bytes", d->oom.free_bytes);
    vs_jw_u64(w, "allocated_bytes", d->oom.allocated_bytes);
    vs_jw_u64(w, "reserved_bytes", d->oom.reserved_bytes);
    vs_jw_end(w);
}

static void put_samples(vs_jwriter *w, const vs_replay_device *d)
{
    vs_jw_array(w, "fragmentation");
    for (uint32_t i = 0; i < d->sample_count; i++) {
        const vs_replay_sample *s = &d->samples[i];
        vs_jw_object(w, NULL);
        vs_jw_u64(w, "event", s->event);
        vs_jw_u64(w, "time_ns", s->time_ns);
        vs_jw_u64(w, "allocated_bytes", s->allocated);
        vs_jw_u64(w, "reserved_bytes", s->reserved);
        vs_jw_end(w);
    }
    vs_jw_end(w);
}

static void put_what_if(vs_jwriter *w, const vs_replay_device *d)
{
    vs_jw_bool(w, "fits", d->fits);
    if (d->room_bytes != 0) {
        vs_jw_u64(w, "room_bytes", d->room_bytes);
    } else {
        vs_jw_null(w, "room_bytes");
    }
    /* Where it ran out, of the events up to there. */
    vs_jw_i64(
        w, "saved_reserved_bytes",
        (int64_t)(d->fits ? d->recorded_peak_reserved_bytes : d->recorded_peak_so_far_bytes) -
            (int64_t)d->peak_reserved_bytes);
}

static void put_device(vs_jwriter *w, const vs_replay_device *d, bool is_what_if)
{
    vs_jw_object(w, NULL);
    vs_jw_u64(w, "index", d->ordinal);
    vs_jw_u64(w, "events", d->events);
    vs_jw_u64(w, "allocations", d->allocations);
    vs_jw_u64(w, "address_mismatches", d->address_mismatches);
    vs_jw_u64(w, "allocated_mismatches", d->allocated_mismatches);
    vs_jw_u64(w, "reserved_mismatches", d->reserved_mismatches);
    vs_jw_u64(w, "segment_mismatches", d->segment_mismatches);
    vs_jw_u64(w, "corrections", d->corrections);
    put_difference(w, d);
    vs_jw_u64(w, "peak_allocated_bytes", d->peak_allocated_bytes);
    vs_jw_u64(w, "peak_reserved_bytes", d->peak_reserved_bytes);
    vs_jw_u64(w, "final_allocated_bytes", d->final_allocated_bytes);
    vs_jw_u64(w, "final_reserved_bytes", d->final_reserved_bytes);
    vs_jw_u64(w, "recorded_final_reserved_bytes", d->recorded_final_reserved_bytes);
    vs_jw_u64(w, "recorded_peak_reserved_bytes", d->recorded_peak_reserved_bytes);
    vs_jw_u64(w, "ooms", d->ooms);
    vs_jw_u64(w, "recorded_ooms", d->recorded_ooms);
    vs_jw_u64(w, "retries", d->retries);
    vs_jw_bool(w, "comparable", d->is_comparable);
    vs_jw_str(w, "reason", d->reason[0] != '\0' ? d->reason : NULL);
    vs_jw_u64(w, "initial_reserved_bytes", d->initial_reserved_bytes);
    vs_jw_u64(w, "initial_allocated_bytes", d->initial_allocated_bytes);
    vs_jw_u64(w, "initial_blocks", d->initial_blocks);
    vs_jw_u64(w, "peak_unused_bytes", d->peak_unused_bytes);
    if (is_what_if) {
        put_what_if(w, d);
    }
    put_oom(w, d);
    put_samples(w, d);
    vs_jw_end(w);
}

static void put_notes(vs_jwriter *w, const replay_run *run)
{
    vs_jw_array(w, "notes");
    for (uint32_t i = 0; i < run->rec->note_count; i++) {
        vs_jw_str(w, NULL, run->rec->notes[i]);
    }
    for (uint32_t i = 0; i < run->result.note_count; i++) {
        vs_jw_str(w, NULL, run->result.notes[i]);
    }
    vs_jw_end(w);
}

/* What the answer rests on and was not recorded. */
static void put_assumed(vs_jwriter *w, const replay_run *run)
{
    vs_jw_array(w, "assumed");
    if (run->desc.capacity_bytes != 0 && run->is_context_assumed) {
        vs_jw_object(w, NULL);
        vs_jw_str(w, "key", "gpu_used_bytes");
        vs_jw_u64(w, "value", run->desc.context_bytes);
        vs_jw_str(w, "source", "CUDA context of the catalogue's card of that size");
        vs_jw_end(w);
    }
    if (run->result.inferred_limit_bytes != 0) {
        vs_jw_object(w, NULL);
        vs_jw_str(w, "key", "limit_bytes");
        vs_jw_u64(w, "value", run->result.inferred_limit_bytes);
        vs_jw_str(w, "source", "the limit under which garbage collection did what is recorded");
        vs_jw_end(w);
    }
    vs_jw_end(w);
}

static void put_settings(vs_jwriter *w, const replay_run *run)
{
    vs_jw_array(w, "settings");
    for (uint32_t i = 0; i < run->setting_count; i++) {
        const replay_setting *s = &run->settings[i];
        vs_jw_object(w, NULL);
        vs_jw_str(w, "alloc_conf", s->alloc_conf);
        vs_jw_u64(w, "peak_reserved_bytes", s->peak_reserved);
        vs_jw_u64(w, "peak_allocated_bytes", s->peak_allocated);
        vs_jw_u64(w, "peak_unused_bytes", s->peak_unused);
        if (run->has_room) {
            vs_jw_bool(w, "fits", s->fits);
        } else {
            vs_jw_null(w, "fits");
        }
        vs_jw_end(w);
    }
    vs_jw_end(w);
}

static bool all_fit(const vs_replay_result *result)
{
    for (uint32_t i = 0; i < result->device_count; i++) {
        if (result->devices[i].is_comparable && !result->devices[i].fits) {
            return false;
        }
    }
    return true;
}

void replay_json(vs_jwriter *w, const replay_run *run)
{
    const vs_replay_result *result = &run->result;
    const bool is_what_if = result->verdict == VS_REPLAY_WHAT_IF;
    vs_jw_object(w, NULL);
    vs_jw_str(w, "format", "vramscope.replay/1");
    vs_jw_str(w, "version", VS_VERSION);
    vs_jw_str(w, "trace", run->path);
    vs_jw_str(w, "trace_format", vs_trace_format_key(run->rec->format));
    vs_jw_str(w, "made_by", run->rec->made_by);
    vs_jw_str(w, "verdict", vs_replay_verdict_key(result->verdict));
    vs_jw_str(w, "reason", result->reason);
    if (is_what_if) {
        vs_jw_bool(w, "fits", all_fit(result));
        vs_jw_str(w, "alloc_conf", run->alloc_conf);
        vs_jw_u64(w, "capacity_bytes", run->desc.capacity_bytes);
        vs_jw_u64(w, "gpu_used_bytes", run->desc.context_bytes);
    }
    vs_jw_array(w, "devices");
    for (uint32_t i = 0; i < result->device_count; i++) {
        put_device(w, &result->devices[i], is_what_if);
    }
    vs_jw_end(w);
    put_settings(w, run);
    put_assumed(w, run);
    put_notes(w, run);
    vs_jw_end(w);
}
