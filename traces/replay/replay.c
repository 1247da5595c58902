/* replay.c - the devices of a recording, run and judged.
 *
 * A device runs once to the end, or, where a recorded address showed the size of a block from before the recording to be another,
 * again from the beginning with that size. With a garbage collection threshold and no limit told, the limit is looked for: the
 * collection depends on it, and nothing else that is recorded does. Only then does it run a last time onto the tape, all
 * devices side by side in the order of their times. */
#include "traces/replay/internal.h"

#include <stdlib.h>
#include <string.h>

#define MAX_LIMITS  512u /* candidates looked at */
#define MAX_DEVICES 64u

typedef struct {
    const vs_recording *rec;
    const vs_replay_desc *desc;
    vs_alloc_conf conf;
    replay_device *devices;
    uint32_t device_count;
    replay_labels labels;
    vs_bytes limit;
    bool is_limit_inferred;
    bool has_tape;
    const char **notes;
    uint32_t note_count;
    vs_ns now;
} replayer;

#define MAX_NOTES 16u

const char *vs_replay_verdict_key(vs_replay_verdict verdict)
{
    static const char *const keys[] = {"identical", "differs", "not_comparable", "what_if"};
    return keys[verdict];
}

static void note(replayer *r, const char *text)
{
    if (text != NULL && r->note_count < MAX_NOTES) {
        r->notes[r->note_count++] = text;
    }
}

/* ---- options of the recording ------------------------------------------------------------------ */

/* What the settings say as numbers wins over the text: the text is what was asked for. */
static void take_settings(vs_alloc_conf *conf, const vs_recording *rec)
{
    conf->expandable_segments = rec->expandable_segments;
    conf->max_split_bytes =
        rec->max_split_bytes == UINT64_MAX ? VS_POOL_UNLIMITED : rec->max_split_bytes;
    conf->gc_threshold = rec->gc_threshold;
    memcpy(conf->divisions, rec->divisions, sizeof conf->divisions);
}

static void recorded_conf(replayer *r)
{
    const vs_recording *rec = r->rec;
    r->conf = vs_alloc_conf_default(
        rec->torch_since >= 200 && rec->torch_since <= VS_TORCH_NEWEST ? rec->torch_since
                                                                       : VS_TORCH_NEWEST);
    /* The release is a lower bound: options are parsed as the newest would, so that none is unknown. */
    if (rec->alloc_conf != NULL && rec->alloc_conf[0] != '\0') {
        vs_err err = {0};
        vs_alloc_conf parsed = vs_alloc_conf_default(VS_TORCH_NEWEST);
        if (vs_alloc_conf_parse(&parsed, vs_str_of(rec->alloc_conf), &err)) {
            parsed.torch = r->conf.torch;
            r->conf = parsed;
        } else {
            note(r, vs_arena_printf(r->desc->keep,
                                    "the recording's own allocator options (%s) are not "
                                    "understood: %s",
                                    rec->alloc_conf, err.text));
        }
    }
    if (rec->has_settings) {
        take_settings(&r->conf, rec);
    }
    r->conf.memory_fraction = -1.0;
}

/* ---- one device ---------------------------------------------------------------------------------- */

typedef struct {
    uint64_t handle;
    uint32_t index;
} stream_handle;

static int compare_handles(const void *left, const void *right)
{
    const stream_handle *a = left;
    const stream_handle *b = right;
    return (a->handle > b->handle) - (a->handle < b->handle);
}

/* Streams are numbered by handle, since that is the order in which the allocator goes through them. */
static uint64_t *rank_streams(const vs_recording *rec, vs_arena *arena)
{
    uint64_t *ranks = VS_ARRAY(arena, uint64_t, rec->stream_count);
    stream_handle *sorted = VS_ARRAY(arena, stream_handle, rec->stream_count);
    if (ranks == NULL || sorted == NULL) {
        return NULL;
    }
    for (uint32_t i = 0; i < rec->stream_count; i++) {
        sorted[i] = (stream_handle){rec->streams[i], i};
    }
    qsort(sorted, rec->stream_count, sizeof *sorted, compare_handles);
    for (uint32_t i = 0; i < rec->stream_count; i++) {
        ranks[sorted[i].index] = i;
    }
    return ranks;
}

static vs_bytes final_reserved(const vs_rec_device *dev)
{
    vs_bytes sum = 0;
    for (uint32_t i = 0; i < dev->segment_count; i++) {
        sum += dev->segments[i].total;
    }
    return sum;
}

/* Counts of the recording; false: nothing to replay, and why. */
static bool survey(replay_device *d)
{
    uint64_t requests = 0;
    uint64_t frees = 0;
    uint64_t asked = 0;
    for (uint32_t i = 0; i < d->event_count; i++) {
        requests += d->events[i].action == VS_REC_ALLOC;
        frees += d->events[i].action == VS_REC_FREE_COMPLETED;
        asked += d->events[i].action == VS_REC_FREE_REQUESTED;
        d->result.recorded_ooms += d->events[i].action == VS_REC_OOM;
        if ((d->events[i].flags & VS_REC_NO_ADDR) != 0) {
            d->result.reason = "its events have no addresses";
            return false;
        }
    }
    d->tells_completion = frees != 0;
    d->tells_request = asked != 0;
    if (requests == 0) {
        d->result.reason =
            "no history: it shows what was there at the end, not how it came "
            "(torch.cuda.memory._record_memory_history() before the run records that)";
    } else if (d->event_count >= BIRTH_INITIAL) {
        d->result.reason = "more than 2^31 events";
    }
    return requests != 0 && d->event_count < BIRTH_INITIAL;
}

static void recorded_peaks(replay_device *d)
{
    uint64_t reserved = d->result.initial_reserved_bytes;
    uint64_t peak = reserved;
    for (uint32_t i = 0; i < d->event_count; i++) {
        reserved += replay_gain(&d->events[i]) - replay_loss(&d->events[i]);
        peak = reserved > peak ? reserved : peak;
        const bool is_told = d->dev->totals != NULL && d->dev->totals[i].reserved != UINT64_MAX;
        if (is_told && d->dev->totals[i].reserved > peak) {
            peak = d->dev->totals[i].reserved;
        }
    }
    d->result.recorded_peak_reserved_bytes = peak;
}

static void initial_figures(replay_device *d)
{
    const initial_state *s = d->initial;
    for (uint32_t i = 0; i < s->segment_count; i++) {
        if (!s->segments[i].is_expandable) {
            d->result.initial_reserved_bytes += s->segments[i].size;
        }
    }
    for (uint32_t i = 0; i < s->run_count; i++) {
        d->result.initial_reserved_bytes += s->runs[i].size;
    }
    d->result.initial_blocks = s->block_count;
}

static bool has_history(const vs_recording *rec)
{
    return rec->format == VS_TRACE_SNAPSHOT;
}

static bool prepare(replayer *r, replay_device *d, const vs_rec_device *dev, vs_err *err)
{
    *d = (replay_device){.rec = r->rec,
                         .dev = dev,
                         .events = dev->events,
                         .event_count = dev->event_count,
                         .arena = r->desc->scratch,
                         .is_what_if = r->desc->conf != NULL || r->desc->capacity_bytes != 0};
    d->result.ordinal = dev->ordinal;
    d->result.events = dev->event_count;
    d->result.reason = "";
    d->result.oom_event = REPLAY_NO_EVENT;
    d->result.recorded_final_reserved_bytes = final_reserved(dev);
    d->large_page_bytes = r->conf.large_segment_bytes;
    d->max_split_bytes = r->conf.max_split_bytes;
    if (!survey(d)) {
        return true;
    }
    if (!d->is_what_if && (!has_history(r->rec) || !dev->has_segments)) {
        d->result.reason =
            "its format does not tell segments and what was there before, so there "
            "is no allocator to hold against it; a what-if (--alloc-conf, "
            "--capacity) is possible";
        return true;
    }
    d->initial = VS_NEW(r->desc->scratch, initial_state);
    if (d->initial == NULL) {
        return vs_fail_memory(err, r->desc->scratch, "the replay");
    }
    d->initial->large_page_bytes = d->large_page_bytes;
    if (!initial_find(d->initial, r->rec, dev, r->desc->scratch, &d->result.reason, err)) {
        return err->code == VS_OK;
    }
    initial_figures(d);
    recorded_peaks(d);
    d->result.is_comparable = true;
    return true;
}

/* A fresh pool in the state before the recording. What was counted before is forgotten. */
static bool start(const replayer *r, replay_device *d, vs_tape *tape)
{
    const vs_replay_device before = d->result;
    vs_alloc_conf conf = r->desc->conf != NULL ? *r->desc->conf : r->conf;
    d->result = (vs_replay_device){
        .ordinal = before.ordinal,
        .events = before.events,
        .recorded_ooms = before.recorded_ooms,
        .recorded_final_reserved_bytes = before.recorded_final_reserved_bytes,
        .recorded_peak_reserved_bytes = before.recorded_peak_reserved_bytes,
        .initial_reserved_bytes = before.initial_reserved_bytes,
        .initial_blocks = before.initial_blocks,
        .is_comparable = true,
        .reason = "",
        .oom_event = REPLAY_NO_EVENT};
    d->at = 0;
    d->page_done = 0;
    d->now = r->now;
    d->wants_restart = false;
    d->doubts = 0;
    d->last_doubt = 0;
    d->is_lost = false;
    d->has_complained = false;
    d->recorded_reserved = before.initial_reserved_bytes;
    vs_pool_desc desc = {.conf = &conf, .tape = tape};
    if (d->is_what_if) {
        what_if_start(d, r->desc, &conf);
        desc.driver = vs_model_driver_calls(&d->driver);
    } else {
        desc.driver = replay_driver(d);
        conf.memory_fraction = r->limit != 0 ? 0.5 : -1.0; /* of twice the limit: exact */
        d->limit_total = r->limit * 2;
    }
    desc.device = d->tape_device;
    d->pool = vs_pool_new(d->arena, &desc);
    if (d->pool == NULL || !blockmap_init(&d->map, d->arena, 1024)) {
        return vs_fail_memory(&d->err, d->arena, "the replayed allocator");
    }
    if (!(d->is_what_if ? what_if_seed(d) : replay_seed(d))) {
        d->result.is_comparable = false;
        return d->err.code == VS_OK;
    }
    d->result.initial_allocated_bytes = vs_pool_allocated(d->pool);
    d->result.corrections = d->correction_count + d->learned_count;
    d->result.peak_event = 0;
    return true;
}

static void watch(replay_device *d)
{
    const vs_bytes allocated = vs_pool_allocated(d->pool);
    const vs_bytes reserved = vs_pool_reserved(d->pool);
    if (reserved > d->seen_reserved) {
        d->seen_reserved = reserved;
        d->result.peak_event = d->at - 1u;
    }
    const vs_bytes unused = reserved - allocated;
    d->result.peak_unused_bytes =
        unused > d->result.peak_unused_bytes ? unused : d->result.peak_unused_bytes;
    if (d->at >= d->next_sample && d->result.sample_count <= VS_REPLAY_SAMPLES) {
        d->result.samples[d->result.sample_count++] = (vs_replay_sample){.event = d->at - 1u,
                                                                         .time_ns = d->now,
                                                                         .allocated = allocated,
                                                                         .reserved = reserved};
        d->next_sample = d->at + d->event_count / VS_REPLAY_SAMPLES + 1u;
    }
}

static void one_step(replayer *r, replay_device *d)
{
    const vs_ns time = d->events[d->at].time_ns;
    r->now = time > r->now ? time : r->now;
    d->now = r->now;
    if (d->is_what_if) {
        what_if_step(d);
    } else {
        replay_step(d);
    }
    r->now = d->now;
    watch(d);
}

static bool goes_on(const replay_device *d)
{
    return d->result.is_comparable && d->at < d->event_count && !d->is_lost &&
           !d->wants_restart && !(d->stop_at_mismatch && d->result.has_mismatch);
}

static bool finish(const replayer *r, replay_device *d)
{
    if (!d->result.is_comparable || d->err.code != VS_OK) {
        return d->err.code == VS_OK;
    }
    const vs_pool_stats *stats = vs_pool_get_stats(d->pool);
    d->result.peak_allocated_bytes = stats->allocated_bytes[VS_STAT_ALL].peak;
    d->result.peak_reserved_bytes = stats->reserved_bytes[VS_STAT_ALL].peak;
    d->result.final_allocated_bytes = stats->allocated_bytes[VS_STAT_ALL].current;
    d->result.final_reserved_bytes = stats->reserved_bytes[VS_STAT_ALL].current;
    d->result.retries = stats->num_alloc_retries;
    if (d->is_lost) {
        d->result.reason = "our allocator cannot be led back to the recording after the first "
                           "difference";
        return true;
    }
    return d->is_what_if || replay_compare_end(d, r->desc->scratch);
}

/* One device alone, to its end; again while sizes are put right. */
static bool run_device(replayer *r, replay_device *d)
{
    const size_t mark = d->arena->used_bytes;
    bool is_well = true;
    do {
        vs_arena_rewind(d->arena, mark);
        r->now = 0;
        d->seen_reserved = 0;
        d->next_sample = 0;
        is_well = start(r, d, NULL);
        while (is_well && goes_on(d)) {
            one_step(r, d);
        }
    } while (is_well && d->wants_restart);
    is_well = is_well && d->err.code == VS_OK && finish(r, d);
    vs_arena_rewind(d->arena, mark);
    return is_well;
}

/* ---- the limit that nobody tells ---------------------------------------------------------------------- */

/* Between what was reserved once and what was refused while the device had room. */
static void limit_bounds(const replay_device *d, vs_bytes *low, vs_bytes *high)
{
    uint64_t reserved = d->result.initial_reserved_bytes;
    *low = reserved;
    *high = UINT64_MAX;
    for (uint32_t i = 0; i < d->event_count; i++) {
        const vs_rec_event *event = &d->events[i];
        reserved += replay_gain(event) - replay_loss(event);
        *low = reserved > *low ? reserved : *low;
        const vs_bytes most = reserved + event->size + 20 * VS_MIB;
        if (event->action == VS_REC_OOM && event->addr > event->size + 20 * VS_MIB &&
            most < *high) {
            *high = most;
        }
    }
}

static uint32_t reached(const replay_device *d)
{
    return d->result.has_mismatch ? d->result.first_mismatch.event : UINT32_MAX;
}

/* The collection only compares multiples of 2 MiB with a share of the limit, so a limit in steps of 2 MiB will do. */
static bool infer_limit(replayer *r, replay_device *d)
{
    vs_bytes low = 0;
    vs_bytes high = 0;
    limit_bounds(d, &low, &high);
    uint32_t best = 0;
    vs_bytes best_limit = 0;
    d->stop_at_mismatch = true;
    for (uint32_t i = 0; i < MAX_LIMITS; i++) {
        r->limit = low + (vs_bytes)i * 2 * VS_MIB;
        if (r->limit > high) {
            break;
        }
        if (!run_device(r, d)) {
            return false;
        }
        if (reached(d) > best) {
            best = reached(d);
            best_limit = r->limit;
        }
        if (best == UINT32_MAX) {
            break;
        }
    }
    d->stop_at_mismatch = false;
    r->limit = best_limit;
    r->is_limit_inferred = best_limit != 0;
    return true;
}

/* ---- all devices ---------------------------------------------------------------------------------------- */

static bool run_all(replayer *r, vs_err *err)
{
    for (uint32_t i = 0; i < r->device_count; i++) {
        replay_device *d = &r->devices[i];
        if (!d->result.is_comparable) {
            continue;
        }
        const bool needs_limit = !d->is_what_if && r->conf.gc_threshold > 0.0 && r->limit == 0;
        if ((needs_limit && !infer_limit(r, d)) || !run_device(r, d)) {
            *err = d->err;
            return false;
        }
    }
    return true;
}

static bool start_on_tape(replayer *r, vs_tape *tape)
{
    r->now = 0;
    for (uint32_t i = 0; i < r->device_count; i++) {
        replay_device *d = &r->devices[i];
        const vs_rec_device *dev = d->dev;
        char name[32] = "cuda:";
        char digits[VS_TEXT_BYTES];
        (void)strncat(name, vs_format_grouped(dev->ordinal, digits), 20);
        const vs_bytes capacity =
            r->desc->capacity_bytes != 0 ? r->desc->capacity_bytes : dev->capacity_bytes;
        d->tape_device = vs_tape_add_device(tape, VS_DEVICE_GPU,
                                            dev->name[0] != '\0' ? dev->name : name, capacity);
        d->labels = &r->labels;
        d->seen_reserved = 0;
        d->next_sample = 0;
        if (d->result.is_comparable && !start(r, d, tape)) {
            return false;
        }
    }
    return true;
}

/* The device whose next event comes first. */
static replay_device *next_device(const replayer *r)
{
    replay_device *first = NULL;
    for (uint32_t i = 0; i < r->device_count; i++) {
        replay_device *d = &r->devices[i];
        if (goes_on(d) &&
            (first == NULL || d->events[d->at].time_ns < first->events[first->at].time_ns)) {
            first = d;
        }
    }
    return first;
}

static bool run_on_tape(replayer *r, vs_err *err)
{
    vs_tape *tape = r->desc->tape;
    if (!labels_make(&r->labels, r->rec, tape, r->desc->scratch, err)) {
        return false;
    }
    bool is_well = start_on_tape(r, tape);
    vs_tape_recording_begins(tape);
    replay_device *d = is_well ? next_device(r) : NULL;
    while (d != NULL) {
        one_step(r, d);
        d = next_device(r);
    }
    for (uint32_t i = 0; i < r->device_count; i++) {
        is_well = is_well && finish(r, &r->devices[i]);
        if (r->devices[i].err.code != VS_OK && err->code == VS_OK) {
            *err = r->devices[i].err;
        }
    }
    return is_well && err->code == VS_OK;
}

/* ---- verdicts --------------------------------------------------------------------------------------------- */

static bool differs(const vs_replay_device *d)
{
    return d->has_mismatch || d->reason[0] != '\0';
}

static void judge(const replayer *r, vs_replay_result *out)
{
    uint32_t compared = 0;
    uint32_t different = 0;
    const char *reason = "the recording holds no device";
    for (uint32_t i = 0; i < r->device_count; i++) {
        const vs_replay_device *d = &r->devices[i].result;
        if (d->is_comparable) {
            compared++;
            different += differs(d);
        } else if (compared == 0) {
            reason = d->reason;
        }
    }
    if (compared == 0) {
        out->verdict = VS_REPLAY_NOT_COMPARABLE;
        out->reason = reason;
    } else if (r->desc->conf != NULL || r->desc->capacity_bytes != 0) {
        out->verdict = VS_REPLAY_WHAT_IF;
    } else {
        out->verdict = different == 0 ? VS_REPLAY_IDENTICAL : VS_REPLAY_DIFFERS;
    }
}

static bool wants_tape(const replayer *r)
{
    for (uint32_t i = 0; i < r->device_count && r->desc->is_tape_conditional; i++) {
        const vs_replay_device *d = &r->devices[i].result;
        if (!d->is_comparable || d->reason[0] != '\0') {
            return false;
        }
    }
    return r->desc->tape != NULL;
}

static bool deliver(replayer *r, vs_replay_result *out, vs_err *err)
{
    vs_replay_device *devices = VS_ARRAY(r->desc->keep, vs_replay_device, r->device_count);
    if (devices == NULL) {
        return vs_fail_memory(err, r->desc->keep, "the result of the replay");
    }
    for (uint32_t i = 0; i < r->device_count; i++) {
        devices[i] = r->devices[i].result;
    }
    vs_replay_result result = {.has_tape = r->has_tape,
                               .device_count = r->device_count,
                               .devices = devices,
                               .inferred_limit_bytes = r->is_limit_inferred ? r->limit : 0,
                               .note_count = r->note_count,
                               .notes = r->notes};
    judge(r, &result);
    *out = result;
    return true;
}

bool vs_replay_run(vs_replay_result *out, const vs_recording *rec, const vs_replay_desc *desc,
                   vs_err *err)
{
    const size_t mark = desc->scratch->used_bytes;
    replayer r = {.rec = rec, .desc = desc, .limit = desc->limit_bytes};
    r.notes = VS_ARRAY(desc->keep, const char *, MAX_NOTES);
    r.devices = VS_ARRAY(desc->scratch, replay_device, rec->device_count);
    const uint64_t *ranks = rank_streams(rec, desc->scratch);
    if (r.notes == NULL || r.devices == NULL || ranks == NULL) {
        return vs_fail_memory(err, desc->scratch, "the replay");
    }
    recorded_conf(&r);
    bool is_well = true;
    for (uint32_t i = 0; is_well && i < rec->device_count && i < MAX_DEVICES; i++) {
        if (!rec->devices[i].is_host) {
            replay_device *d = &r.devices[r.device_count++];
            is_well = prepare(&r, d, &rec->devices[i], err);
            d->stream_of = ranks;
        }
    }
    is_well = is_well && run_all(&r, err);
    r.has_tape = is_well && wants_tape(&r);
    is_well = is_well && (!r.has_tape || run_on_tape(&r, err)) && deliver(&r, out, err);
    vs_arena_rewind(desc->scratch, mark);
    return is_well;
}
