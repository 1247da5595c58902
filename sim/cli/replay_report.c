/* replay_report.c - the text of `vramscope replay`. */
#include "replay.h"

#include <string.h>

static const char *size(vs_bytes bytes, char buf[VS_TEXT_BYTES])
{
    return vs_format_size(bytes, buf);
}

static uint64_t differences(const vs_replay_device *d)
{
    return d->address_mismatches + d->allocated_mismatches + d->reserved_mismatches +
           d->segment_mismatches;
}

static const char *plural(uint64_t count)
{
    return count == 1 ? "" : "s";
}

/* ---- what is there --------------------------------------------------------------------------- */

static const vs_rec_device *recorded_device(const replay_run *run, uint32_t ordinal)
{
    for (uint32_t i = 0; i < run->rec->device_count; i++) {
        if (run->rec->devices[i].ordinal == ordinal && !run->rec->devices[i].is_host) {
            return &run->rec->devices[i];
        }
    }
    return NULL;
}

static vs_ns time_of(const replay_run *run, const vs_replay_device *d, uint32_t event)
{
    const vs_rec_device *dev = recorded_device(run, d->ordinal);
    return dev != NULL && event < dev->event_count ? dev->events[event].time_ns : 0;
}

static void put_time(vs_outfile *out, const replay_run *run, const vs_replay_device *d,
                     uint32_t event)
{
    char text[VS_TEXT_BYTES];
    if (run->rec->has_time) {
        vs_outfile_printf(out, ", at %s", vs_format_duration(time_of(run, d, event), text));
    }
}

static void head(vs_outfile *out, const replay_run *run)
{
    const vs_recording *rec = run->rec;
    vs_outfile_printf(out, "%s: %s%s%s\n", run->path, vs_trace_format_label(rec->format),
                      rec->made_by[0] != '\0' ? ", " : "", rec->made_by);
    if (rec->alloc_conf != NULL && rec->alloc_conf[0] != '\0') {
        vs_outfile_printf(out, "  recorded with  %s\n", rec->alloc_conf);
    }
    for (uint32_t i = 0; i < rec->note_count; i++) {
        vs_outfile_printf(out, "  note: %s\n", rec->notes[i]);
    }
    for (uint32_t i = 0; i < run->result.note_count; i++) {
        vs_outfile_printf(out, "  note: %s\n", run->result.notes[i]);
    }
}

static void beginning(vs_outfile *out, const vs_replay_device *d)
{
    char reserved[VS_TEXT_BYTES];
    char allocated[VS_TEXT_BYTES];
    if (d->initial_reserved_bytes == 0 && d->initial_blocks == 0) {
        vs_outfile_printf(out, "  began with an empty allocator\n");
        return;
    }
    vs_outfile_printf(out,
                      "  began with %s reserved and %s allocated in %" PRIu64
                      " block%s, worked out from what was freed later and from the end\n",
                      size(d->initial_reserved_bytes, reserved),
                      size(d->initial_allocated_bytes, allocated), d->initial_blocks,
                      plural(d->initial_blocks));
    if (d->corrections != 0) {
        vs_outfile_printf(out,
                          "  %" PRIu64 " correction%s to that beginning, from what the "
                          "recording shows later\n",
                          d->corrections, plural(d->corrections));
    }
}

/* ---- held against the recording -------------------------------------------------------------------- */

static void put_value(vs_outfile *out, vs_replay_unit unit, uint64_t value)
{
    char text[VS_TEXT_BYTES];
    if (unit == VS_REPLAY_BYTES && value < VS_KIB) {
        vs_outfile_printf(out, "%" PRIu64 " B", value);
    } else if (unit == VS_REPLAY_BYTES) {
        vs_outfile_printf(out, "%s (%" PRIu64 " B)", size(value, text), value);
    } else if (unit == VS_REPLAY_NUMBER) {
        vs_outfile_printf(out, "%" PRIu64, value);
    } else if (value == 0) {
        vs_outfile_printf(out, "none");
    } else {
        vs_outfile_printf(out, "at 0x%" PRIx64, value);
    }
}

static void first_difference(vs_outfile *out, const replay_run *run, const vs_replay_device *d)
{
    const vs_replay_difference *m = &d->first_mismatch;
    vs_outfile_printf(out, "  first difference: ");
    if (m->event >= d->events) {
        vs_outfile_printf(out, "in the lists at the end");
    } else {
        vs_outfile_printf(out, "event %" PRIu32 " of %" PRIu64, m->event, d->events);
        put_time(out, run, d, m->event);
    }
    vs_outfile_printf(out, ", %s: recorded ", m->what);
    put_value(out, m->unit, m->recorded);
    vs_outfile_printf(out, ", ours ");
    put_value(out, m->unit, m->ours);
    vs_outfile_printf(out, "\n");
}

static void row(vs_outfile *out, const char *what, vs_bytes recorded, vs_bytes ours)
{
    char a[VS_TEXT_BYTES];
    char b[VS_TEXT_BYTES];
    vs_outfile_printf(out, "  %-22s %14s %14s\n", what, size(recorded, a), size(ours, b));
}

static void put_oom(vs_outfile *out, const replay_run *run, const vs_replay_device *d)
{
    const vs_oom_info *oom = &d->oom;
    char tried[VS_TEXT_BYTES];
    char left[VS_TEXT_BYTES];
    char reserved[VS_TEXT_BYTES];
    char allocated[VS_TEXT_BYTES];
    if (d->is_oom_before) {
        vs_outfile_printf(out, "  out of memory: what was there before the recording began "
                               "does not fit");
    } else {
        vs_outfile_printf(out, "  out of memory at event %" PRIu32 " of %" PRIu64, d->oom_event,
                          d->events);
        put_time(out, run, d, d->oom_event);
    }
    vs_outfile_printf(
        out, "\n    tried to allocate %s, %s free; %s reserved, of which %s allocated\n",
        size(oom->attempted_bytes, tried), size(oom->free_bytes, left),
        size(oom->reserved_bytes, reserved), size(oom->allocated_bytes, allocated));
}

static void held(vs_outfile *out, const replay_run *run, const vs_replay_device *d)
{
    beginning(out, d);
    vs_outfile_printf(out, "  %-22s %14s %14s\n", "", "recorded", "ours");
    row(out, "peak reserved", d->recorded_peak_reserved_bytes, d->peak_reserved_bytes);
    row(out, "reserved at the end", d->recorded_final_reserved_bytes, d->final_reserved_bytes);
    if (d->recorded_ooms != 0 || d->ooms != 0) {
        vs_outfile_printf(out, "  %-22s %14" PRIu64 " %14" PRIu64 "\n", "out of memory",
                          d->recorded_ooms, d->ooms);
    }
    vs_outfile_printf(out,
                      "  differences            %" PRIu64 " in addresses of %" PRIu64
                      " allocation%s, %" PRIu64 " in segments, %" PRIu64
                      " in allocated and %" PRIu64 " in reserved bytes\n",
                      d->address_mismatches, d->allocations, plural(d->allocations),
                      d->segment_mismatches, d->allocated_mismatches, d->reserved_mismatches);
    if (d->has_mismatch) {
        first_difference(out, run, d);
    }
    if (d->reason[0] != '\0') {
        vs_outfile_printf(out, "  %s\n", d->reason);
    }
    if (d->oom_event != UINT32_MAX) {
        put_oom(out, run, d);
    }
}

/* ---- what if ------------------------------------------------------------------------------------------ */

static void saved(vs_outfile *out, const vs_replay_device *d)
{
    char text[VS_TEXT_BYTES];
    if (d->peak_reserved_bytes <= d->recorded_peak_reserved_bytes) {
        vs_outfile_printf(out, "  saved                  %14s of reserved memory\n",
                          size(d->recorded_peak_reserved_bytes - d->peak_reserved_bytes, text));
    } else {
        vs_outfile_printf(out, "  costs                  %14s of reserved memory more\n",
                          size(d->peak_reserved_bytes - d->recorded_peak_reserved_bytes, text));
    }
}

/* On which card, when none was given. */
static void put_room(vs_outfile *out, const replay_run *run, const vs_replay_device *d)
{
    char text[VS_TEXT_BYTES];
    if (run->desc.capacity_bytes != 0 || run->desc.limit_bytes != 0) {
        return;
    }
    if (d->room_bytes != 0) {
        vs_outfile_printf(out,
                          "  on the same card: %s for the allocator, as the recorded out of "
                          "memory shows\n",
                          size(d->room_bytes, text));
    } else {
        vs_outfile_printf(out, "  on a card without limit: the recording does not show where "
                               "its card ends (--capacity)\n");
    }
}

static void what_if(vs_outfile *out, const replay_run *run, const vs_replay_device *d)
{
    char text[VS_TEXT_BYTES];
    put_room(out, run, d);
    if (d->fits) {
        vs_outfile_printf(out, "  fits: every recorded request is served%s\n",
                          d->recorded_ooms != 0
                              ? ", what failed then too; what the program would have asked for "
                                "after it is not recorded"
                              : "");
    } else {
        put_oom(out, run, d);
    }
    vs_outfile_printf(out, "  %-22s %14s %14s\n", "", "recorded", "then");
    if (d->fits) {
        row(out, "peak reserved", d->recorded_peak_reserved_bytes, d->peak_reserved_bytes);
    } else {
        row(out, "peak reserved up to it", d->recorded_peak_so_far_bytes,
            d->peak_reserved_bytes);
    }
    if (d->fits) {
        saved(out, d);
    }
    vs_outfile_printf(out, "  %-22s %14s %14s\n", "most unused at a time", "",
                      size(d->peak_unused_bytes, text));
}

static void conditions(vs_outfile *out, const replay_run *run)
{
    char capacity[VS_TEXT_BYTES];
    char used[VS_TEXT_BYTES];
    if (run->alloc_conf != NULL) {
        vs_outfile_printf(out, "  what if        %s\n", run->alloc_conf);
    }
    if (run->desc.capacity_bytes != 0) {
        vs_outfile_printf(
            out, "  what if        a card of %s, of which %s is not PyTorch's%s\n",
            size(run->desc.capacity_bytes, capacity), size(run->desc.context_bytes, used),
            run->is_context_assumed ? " (assumed: CUDA context; --gpu-used says otherwise)"
                                    : "");
    }
}

/* ---- the whole ------------------------------------------------------------------------------------------ */

static void put_device(vs_outfile *out, const replay_run *run, const vs_replay_device *d)
{
    char events[VS_TEXT_BYTES];
    char text[VS_TEXT_BYTES];
    vs_outfile_printf(out, "\ncuda:%" PRIu32 "  %s event%s", d->ordinal,
                      vs_format_grouped(d->events, events), plural(d->events));
    if (run->rec->has_time && d->events > 0) {
        vs_outfile_printf(
            out, " in %s",
            vs_format_duration(time_of(run, d, (uint32_t)d->events - 1u) - time_of(run, d, 0),
                               text));
    }
    vs_outfile_printf(out, "\n");
    if (!d->is_comparable) {
        if (run->result.device_count > 1) {
            vs_outfile_printf(out, "  not comparable: %s\n", d->reason);
        }
        vs_outfile_printf(out, "  %-22s %14s\n", "reserved at the end",
                          size(d->recorded_final_reserved_bytes, text));
    } else if (run->result.verdict == VS_REPLAY_WHAT_IF) {
        what_if(out, run, d);
    } else {
        held(out, run, d);
    }
}

static void verdict(vs_outfile *out, const replay_run *run)
{
    uint64_t count = 0;
    for (uint32_t i = 0; i < run->result.device_count; i++) {
        count += differences(&run->result.devices[i]);
    }
    char limit[VS_TEXT_BYTES];
    switch (run->result.verdict) {
    case VS_REPLAY_IDENTICAL:
        vs_outfile_printf(out, "\nidentical: our allocator made every decision of the "
                               "recording\n");
        break;
    case VS_REPLAY_DIFFERS:
        vs_outfile_printf(
            out,
            "\ndiffers: %" PRIu64 " difference%s. Not in a recording, and so possible "
            "reasons: a memory limit (--limit SIZE tells it), options that were changed "
            "during the run, entries that were left out (skip_actions, recording "
            "switched off and on)\n",
            count, plural(count));
        break;
    case VS_REPLAY_NOT_COMPARABLE:
        vs_outfile_printf(out, "\nnot comparable: %s\n", run->result.reason);
        break;
    case VS_REPLAY_WHAT_IF: break;
    }
    if (run->result.inferred_limit_bytes != 0) {
        vs_outfile_printf(out,
                          "garbage collection depends on the memory limit, which is not "
                          "recorded: %s fits what was recorded (--limit tells it)\n",
                          size(run->result.inferred_limit_bytes, limit));
    }
}

static void put_settings(vs_outfile *out, const replay_run *run)
{
    char reserved[VS_TEXT_BYTES];
    char unused[VS_TEXT_BYTES];
    const bool has_room = run->has_room;
    if (run->setting_count == 0) {
        return;
    }
    vs_outfile_printf(out,
                      "\nthe same requests under other allocator settings, by peak, on a card "
                      "without limit\n  %-54s %14s %14s%s\n",
                      "", "peak reserved", "most unused", has_room ? "  on the same card" : "");
    for (uint32_t i = 0; i < run->setting_count; i++) {
        const replay_setting *s = &run->settings[i];
        vs_outfile_printf(out, "  %-54s %14s %14s%s\n",
                          s->alloc_conf[0] == '\0' ? "(defaults)" : s->alloc_conf,
                          size(s->peak_reserved, reserved), size(s->peak_unused, unused),
                          !has_room ? ""
                          : s->fits ? "  fits"
                                    : "  out of memory");
    }
}

void replay_text(vs_outfile *out, const replay_run *run)
{
    head(out, run);
    conditions(out, run);
    for (uint32_t i = 0; i < run->result.device_count; i++) {
        put_device(out, run, &run->result.devices[i]);
    }
    verdict(out, run);
    put_settings(out, run);
}
