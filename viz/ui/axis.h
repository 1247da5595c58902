/* viz/ui/axis.h - round numbers along an axis.
 *
 * Times climb a 1-2-5 ladder (from a minute on: 1, 2, 5, 10, 20, 30 minutes, hours), bytes a
 * ladder of powers of two, because a card of 24 GiB is divided at 4, 8, 12. Integers only. */
#ifndef VS_VIZ_UI_AXIS_H
#define VS_VIZ_UI_AXIS_H

#include "vramscope/base.h"

#define VS_TICKS_MAX 64

typedef struct {
    uint64_t value;
    char label[VS_TEXT_BYTES];
} vs_tick;

typedef struct {
    vs_tick ticks[VS_TICKS_MAX];
    uint32_t count;
    uint64_t step;
    const char *unit; /* what bytes labels count: "GiB"; times carry their unit in the label */
} vs_axis;

/* Ticks in [t0, t0 + span]: as many as fit with at least span * gap_px / width_px between two.
 * When the span is below a thousandth of t0 only the first label is absolute, the others say
 * how much later. */
void vs_axis_time(vs_axis *axis, vs_ns t0, vs_ns span, int32_t width_px, int32_t gap_px);
/* Ticks in [0, max]. The unit is the largest in which max is at least 1. */
void vs_axis_bytes(vs_axis *axis, vs_bytes max, int32_t height_px, int32_t gap_px);

#endif /* VS_VIZ_UI_AXIS_H */
