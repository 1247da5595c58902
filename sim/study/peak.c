/* sim/study/peak.c - the moment of the greatest use.
 *
 * Used bytes are a step function: each sample holds from its event to the next sample. The peak is one or
 * several plateaus; within them the allocated bytes may still move (a block in memory that is reserved
 * already), and the moment wanted is the one where most is allocated. So both tracks are walked
 * once, side by side: O(samples of used + samples of allocated). */
#include "vramscope/study.h"

#define NEVER UINT32_MAX

/* The samples of one track. */
typedef struct {
    const uint64_t *value;
    const uint32_t *event;
    uint64_t count;
} samples;

static samples samples_of(const vs_timeline *tl, uint32_t track)
{
    if (track == VS_NO_TRACK) {
        return (samples){0};
    }
    const vs_track_info *info = &tl->tracks[track];
    return (samples){.value = tl->sample_value + info->first,
                     .event = tl->sample_event + info->first,
                     .count = info->count};
}

/* The greatest value of one track between two events, where the other is at its peak. */
typedef struct {
    samples allocated;
    uint64_t next; /* first sample of allocated that is not before the plateau at hand */
    uint64_t best;
    uint32_t event;
} search;

static void offer(search *s, uint64_t value, uint32_t event)
{
    if (s->event == NEVER || value > s->best) {
        s->best = value;
        s->event = event;
    }
}

/* One plateau: from the state just after event `from` to just before event `until`. */
static void search_plateau(search *s, uint32_t from, uint32_t until)
{
    while (s->next < s->allocated.count && s->allocated.event[s->next] <= from) {
        s->next++;
    }
    offer(s, s->next > 0 ? s->allocated.value[s->next - 1] : 0, from);
    while (s->next < s->allocated.count && s->allocated.event[s->next] < until) {
        offer(s, s->allocated.value[s->next], s->allocated.event[s->next]);
        s->next++;
    }
}

bool vs_study_peak(const vs_timeline *tl, uint8_t device, vs_moment *out)
{
    const uint32_t track = vs_timeline_find_track(tl, device, VS_TRACK_USED, VS_CAT_CONTEXT);
    const samples used = samples_of(tl, track);
    if (used.count == 0) {
        return false;
    }
    search s = {.event = NEVER};
    s.allocated =
        samples_of(tl, vs_timeline_find_track(tl, device, VS_TRACK_ALLOCATED, VS_CAT_CONTEXT));
    const vs_bytes max = tl->tracks[track].max;
    for (uint64_t i = 0; i < used.count; i++) {
        if (used.value[i] == max) {
            search_plateau(&s, used.event[i], i + 1 < used.count ? used.event[i + 1] : NEVER);
        }
    }
    vs_study_at_event(tl, device, s.event, out);
    return true;
}

void vs_study_at_event(const vs_timeline *tl, uint8_t device, uint32_t event, vs_moment *out)
{
    vs_assert(event < tl->event_count);
    vs_moment moment = {.event = event, .time_ns = tl->event_time[event]};
    for (uint32_t i = 0; i < tl->track_count; i++) {
        const vs_track_info *track = &tl->tracks[i];
        if (track->device != device) {
            continue;
        }
        if (track->role == VS_TRACK_USED) {
            moment.used_bytes = vs_track_at_event(tl, i, event);
        } else if (track->role == VS_TRACK_CATEGORY && track->category < VS_CAT_COUNT) {
            moment.categories[track->category] = vs_track_at_event(tl, i, event);
        }
    }
    *out = moment;
}
