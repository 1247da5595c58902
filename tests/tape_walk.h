/* tests/tape_walk.h - asks a timeline everything, so that sanitizers see every read it can cause. */
#ifndef VS_TESTS_TAPE_WALK_H
#define VS_TESTS_TAPE_WALK_H

#include "vramscope/tape.h"

#include <string.h>

static inline uint64_t walk_tracks(const vs_timeline *tl)
{
    vs_column columns[16];
    uint64_t seen = 0;
    for (uint32_t track = 0; track < tl->track_count; track++) {
        const vs_track_info *t = &tl->tracks[track];
        seen += strlen(vs_timeline_string(tl, t->name)) + tl->devices[t->device].capacity_bytes;
        vs_track_columns(tl, track, 0, tl->end_ns, columns, 16);
        vs_track_columns(tl, track, tl->end_ns / 3, UINT64_MAX, columns, 16);
        seen += columns[7].max + vs_track_range(tl, track, tl->end_ns / 2, UINT64_MAX).min;
        seen += vs_track_at_event(tl, track, tl->event_count / 2);
        seen += vs_track_at_time(tl, track, tl->end_ns / 2);
    }
    return seen;
}

static inline uint64_t walk_lanes(const vs_timeline *tl)
{
    uint64_t seen = 0;
    for (uint32_t lane = 0; lane < tl->lane_count; lane++) {
        const vs_lane_info *l = &tl->lanes[lane];
        seen += strlen(vs_timeline_string(tl, l->name));
        seen += vs_lane_busy(tl, lane, tl->end_ns / 4, tl->end_ns / 2);
        const uint64_t past = l->first + l->count;
        for (uint64_t i = vs_lane_lower(tl, lane, tl->end_ns / 3); i < past; i++) {
            seen += tl->span_start[i] + tl->span_end[i] + tl->span_bytes[i];
            seen += strlen(vs_timeline_string(tl, tl->span_name[i]));
            seen += strlen(vs_category_key((vs_category)tl->span_category[i]));
        }
    }
    return seen;
}

static inline uint64_t walk_timeline(const vs_timeline *tl)
{
    uint64_t seen = walk_tracks(tl) + walk_lanes(tl);
    for (uint32_t i = 0; i < tl->event_count; i++) {
        const vs_event e = vs_timeline_event(tl, i);
        seen += e.time_ns + tl->devices[e.device].kind + strlen(vs_timeline_string(tl, e.name));
        seen += strlen(vs_event_kind_key((vs_event_kind)e.kind));
        seen += e.block != VS_NO_BLOCK ? tl->blocks[e.block].born_event : 0;
    }
    for (uint32_t i = 0; i < tl->block_count; i++) {
        const vs_block_info *b = &tl->blocks[i];
        seen += b->born_event != UINT32_MAX ? tl->event_time[b->born_event] : 0;
        seen += b->dead_event != UINT32_MAX ? tl->event_time[b->dead_event] : 0;
        seen += tl->devices[b->device].capacity_bytes + strlen(vs_timeline_string(tl, b->name));
    }
    for (uint32_t i = 0; i < tl->meta_count; i++) {
        seen += vs_timeline_meta(tl, vs_timeline_string(tl, tl->metas[i].key)) != NULL;
    }
    return seen;
}

#endif /* VS_TESTS_TAPE_WALK_H */
