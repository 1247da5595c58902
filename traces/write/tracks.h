/* traces/write/tracks.h - the value of a track, event after event, in one pass.
 *
 * Writers walk all events once; a cursor per track gives the value just after each without a search.
 * Internal to traces/write/. */
#ifndef VS_TRACES_WRITE_TRACKS_H
#define VS_TRACES_WRITE_TRACKS_H

#include "vramscope/tape.h"

typedef struct {
    const uint64_t *values; /* samples of the track; NULL when the device has no such track */
    const uint32_t *events;
    uint64_t count;
    uint64_t next;
    uint64_t value; /* after the last event advanced to */
} vs_tw_track;

vs_tw_track vs_tw_track_of(const vs_timeline *tl, uint8_t device, vs_track_role role,
                           vs_category category);
/* To the state just after event (not before any earlier call's); true when that event changed it. */
bool vs_tw_advance(vs_tw_track *track, uint32_t event);

#endif /* VS_TRACES_WRITE_TRACKS_H */
