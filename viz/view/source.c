/* A memory's totals are step functions. "At its greatest" is a set of stretches; a column shows
 * the first of them. A caching allocator reserves early and fills later, so within a stretch of
 * equal use the moment with the most allocated is the one worth showing. */
#include "viz/view/source.h"

#include <string.h>

/* ---- tracks ---------------------------------------------------------------------------- */

static vs_bytes at_event(const vs_timeline *tl, uint32_t track, uint32_t event)
{
    return track == VS_NO_TRACK || event == VS_NO_EVENT ? 0
                                                        : vs_track_at_event(tl, track, event);
}

void vs_memory_at_event(const vs_memory *memory, const vs_timeline *tl, uint32_t event,
                        vs_composition *out)
{
    *out = (vs_composition){.event = event};
    if (event == VS_NO_EVENT || !memory->exists) {
        return;
    }
    out->time_ns = tl->event_time[event];
    out->used_bytes = at_event(tl, memory->used, event);
    for (uint32_t i = 0; i < VS_CAT_COUNT; i++) {
        out->bytes[i] = at_event(tl, memory->tracks[i], event);
    }
}

uint32_t vs_event_before(const vs_timeline *tl, vs_ns t)
{
    uint32_t low = 0;
    uint32_t high = tl->event_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (tl->event_time[middle] < t) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low == 0 ? VS_NO_EVENT : low - 1;
}

void vs_memory_at_time(const vs_memory *memory, const vs_timeline *tl, vs_ns t,
                       vs_composition *out)
{
    const uint32_t event = vs_event_before(tl, t < UINT64_MAX ? t + 1 : t);
    vs_memory_at_event(memory, tl, event, out);
    out->time_ns = t;
}

/* Time of the first sample of a track that comes after event; VS_NS_NEVER when there is
 * none. */
static vs_ns next_sample_time(const vs_timeline *tl, uint32_t track, uint32_t event)
{
    const vs_track_info *info = &tl->tracks[track];
    uint64_t low = info->first;
    const uint64_t stop = info->first + info->count;
    uint64_t high = stop;
    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        if (tl->sample_event[middle] <= event) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < stop ? tl->sample_time[low] : VS_NS_NEVER;
}

/* The moment with the most allocated in the stretch that begins with event `first` and in [t0,
 * limit). */
static uint32_t fullest(const vs_memory *memory, const vs_timeline *tl, uint32_t first,
                        vs_ns t0, vs_ns limit)
{
    if (memory->allocated == VS_NO_TRACK || first == VS_NO_EVENT) {
        return first;
    }
    const vs_ns begin = tl->event_time[first] > t0 ? tl->event_time[first] : t0;
    const vs_ns change = next_sample_time(tl, memory->used, first);
    const vs_ns end = change < limit ? change : limit;
    if (end <= begin) {
        return first;
    }
    const vs_column most = vs_track_range(tl, memory->allocated, begin, end);
    const bool is_better =
        most.max_event != VS_NO_EVENT && most.max_event > first &&
        most.max > at_event(tl, memory->allocated, first) &&
        at_event(tl, memory->used, most.max_event) == at_event(tl, memory->used, first);
    return is_better ? most.max_event : first;
}

uint32_t vs_memory_column_event(const vs_memory *memory, const vs_timeline *tl, vs_ns t0,
                                vs_ns t1, const vs_column *max)
{
    const uint32_t first =
        max->max_event != VS_NO_EVENT ? max->max_event : vs_event_before(tl, t0);
    return fullest(memory, tl, first, t0, t1);
}

/* ---- the peak ---------------------------------------------------------------------------- */

/* Walks the samples of the allocated track, forward only, so that all stretches of equal use
 * together cost one pass. */
typedef struct {
    const vs_timeline *tl;
    uint64_t at, stop;
    vs_bytes bytes; /* allocated after the last sample walked */
} walker;

/* The first fullest moment of the events [first, stop) and what was allocated then. */
static uint32_t walk_stretch(walker *w, uint32_t first, uint32_t stop, vs_bytes *out_bytes)
{
    uint32_t best = first;
    vs_bytes most = w->bytes;
    for (; w->at < w->stop && w->tl->sample_event[w->at] < stop; w->at++) {
        const uint32_t event = w->tl->sample_event[w->at];
        w->bytes = w->tl->sample_value[w->at];
        if (event <= first || w->bytes > most) {
            most = w->bytes;
            best = event > first ? event : first;
        }
    }
    *out_bytes = most;
    return best;
}

static void find_peak(vs_memory *memory, const vs_timeline *tl)
{
    const vs_track_info *used = &tl->tracks[memory->used];
    walker w = {.tl = tl};
    if (memory->allocated != VS_NO_TRACK) {
        w.at = tl->tracks[memory->allocated].first;
        w.stop = w.at + tl->tracks[memory->allocated].count;
    }
    uint32_t best = VS_NO_EVENT;
    vs_bytes best_bytes = 0;
    const uint64_t stop = used->first + used->count;
    for (uint64_t i = used->first; i < stop; i++) {
        vs_bytes bytes = 0;
        const uint32_t next = i + 1 < stop ? tl->sample_event[i + 1] : tl->event_count;
        const uint32_t event = walk_stretch(&w, tl->sample_event[i], next, &bytes);
        if (tl->sample_value[i] == used->max && (best == VS_NO_EVENT || bytes > best_bytes)) {
            best = event;
            best_bytes = bytes;
        }
    }
    vs_memory_at_event(memory, tl, best, &memory->peak);
}

static void init_memory(vs_memory *memory, const vs_timeline *tl, vs_device_kind kind)
{
    *memory = (vs_memory){.used = VS_NO_TRACK, .allocated = VS_NO_TRACK};
    memory->peak.event = VS_NO_EVENT;
    for (uint32_t i = 0; i < VS_CAT_COUNT; i++) {
        memory->tracks[i] = VS_NO_TRACK;
    }
    for (uint32_t d = 0; d < tl->device_count && !memory->exists; d++) {
        if (tl->devices[d].kind == (uint32_t)kind) {
            memory->exists = true;
            memory->device = (uint8_t)d;
            memory->capacity_bytes = tl->devices[d].capacity_bytes;
        }
    }
    if (!memory->exists) {
        return;
    }
    memory->used = vs_timeline_find_track(tl, memory->device, VS_TRACK_USED, VS_CAT_CONTEXT);
    memory->allocated =
        vs_timeline_find_track(tl, memory->device, VS_TRACK_ALLOCATED, VS_CAT_CONTEXT);
    for (uint32_t i = 0; i < VS_CAT_COUNT; i++) {
        memory->tracks[i] =
            vs_timeline_find_track(tl, memory->device, VS_TRACK_CATEGORY, (vs_category)i);
    }
    if (memory->used != VS_NO_TRACK) {
        find_peak(memory, tl);
    }
}

static bool list_phases(vs_source *source, vs_arena *arena, uint32_t count)
{
    const vs_timeline *tl = source->tl;
    uint32_t *phases = VS_ARRAY(arena, uint32_t, count);
    if (phases == NULL) {
        return false;
    }
    for (uint32_t i = 0; source->phase_count < count; i++) {
        if (tl->event_kind[i] == VS_EV_PHASE) {
            phases[source->phase_count++] = i;
        }
    }
    source->phases = phases;
    return true;
}

bool vs_source_init(vs_source *source, vs_arena *arena, const vs_timeline *tl)
{
    *source = (vs_source){.tl = tl, .oom_event = VS_NO_EVENT, .surface_event = VS_NO_EVENT};
    init_memory(&source->gpu, tl, VS_DEVICE_GPU);
    init_memory(&source->host, tl, VS_DEVICE_HOST);
    uint32_t phase_count = 0;
    for (uint32_t i = 0; i < tl->event_count; i++) {
        if (tl->event_kind[i] == VS_EV_OOM && source->oom_event == VS_NO_EVENT) {
            source->oom_event = i;
            source->oom_device = tl->event_device[i];
        }
        if (tl->event_kind[i] == VS_EV_SURFACE && source->surface_event == VS_NO_EVENT) {
            source->surface_event = i;
        }
        phase_count += tl->event_kind[i] == VS_EV_PHASE;
    }
    for (uint32_t i = 0; i < tl->lane_count; i++) {
        source->busy_lanes += tl->lanes[i].count > 0;
    }
    return list_phases(source, arena, phase_count);
}

const char *vs_source_meta(const vs_source *source, const char *key)
{
    const char *value = vs_timeline_meta(source->tl, key);
    return value != NULL ? value : "";
}

const char *vs_source_verdict(const vs_source *source)
{
    const char *verdict = vs_source_meta(source, "verdict");
    if (verdict[0] != '\0') {
        return verdict;
    }
    if (source->oom_event != VS_NO_EVENT) {
        return source->gpu.exists && source->oom_device == source->gpu.device ? "oom"
                                                                              : "host_oom";
    }
    if (source->tl->event_count == 0) {
        return "empty";
    }
    /* That nothing failed in a recording says little: it may have ended before. */
    return vs_source_meta(source, "format")[0] != '\0' ? "recorded" : "fits";
}
