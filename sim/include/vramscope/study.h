/* vramscope/study.h - what a tape says: peaks, causes, reports, comparison rows.
 *
 * Pure functions of timelines and results. Nothing here simulates; nothing prints: text goes to
 * a vs_outfile the caller owns. */
#ifndef VS_STUDY_H
#define VS_STUDY_H

#include "vramscope/base.h"
#include "vramscope/tape.h"

/* The moment of the greatest use of a device: the largest VS_TRACK_USED; among equals the one with the most
 * allocated; among equals the first. */
typedef struct {
    vs_ns time_ns;
    uint32_t event;
    vs_bytes used_bytes;
    vs_bytes categories[VS_CAT_COUNT];
} vs_moment;

VS_MUST_CHECK bool vs_study_peak(const vs_timeline *tl, uint8_t device, vs_moment *out);
/* Composition just after event. */
void vs_study_at_event(const vs_timeline *tl, uint8_t device, uint32_t event, vs_moment *out);

/* A block alive at a moment. */
typedef struct {
    uint32_t block;
    vs_bytes size_bytes;
    vs_category category;
} vs_live;

/* The n largest blocks alive just after event, largest first (ties: lower block id). Returns how many. */
uint32_t vs_study_largest(const vs_timeline *tl, uint8_t device, uint32_t event, vs_live *out,
                          uint32_t n);

/* A small chart of one device for a terminal: the memory's content stacked by category over time, the
 * capacity as the top line, a cross where memory ran out, a time axis and a legend of what is drawn. A column
 * is one real instant, the fullest of its share of the time, so no peak is lost. columns (40 .. 240) is the
 * width of every line, rows (4 .. 64) the height above the axis, capacity line included; other values
 * are taken as the nearest allowed. is_utf8 false: ASCII only. Nothing for a tape without that device. */
void vs_study_chart(const vs_timeline *tl, uint8_t device, vs_outfile *out, uint32_t columns,
                    uint32_t rows, bool is_utf8);

#endif /* VS_STUDY_H */
