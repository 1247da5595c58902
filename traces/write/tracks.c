/* traces/write/tracks.c - cursors over the samples of tracks. */
#include "traces/write/tracks.h"

vs_tw_track vs_tw_track_of(const vs_timeline *tl, uint8_t device, vs_track_role role,
                           vs_category category)
{
    const uint32_t index = vs_timeline_find_track(tl, device, role, category);
    if (index == VS_NO_TRACK) {
        return (vs_tw_track){0};
    }
    const vs_track_info *info = &tl->tracks[index];
    return (vs_tw_track){.values = tl->sample_value + info->first,
                         .events = tl->sample_event + info->first,
                         .count = info->count};
}

bool vs_tw_advance(vs_tw_track *track, uint32_t event)
{
    const uint64_t before = track->next;
    while (track->next < track->count && track->events[track->next] <= event) {
        track->value = track->values[track->next];
        track->next++;
    }
    return track->next != before && track->events[track->next - 1] == event;
}
