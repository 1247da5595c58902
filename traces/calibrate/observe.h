/* traces/calibrate/observe.h - what files say about a parameter, before anything is fitted.
 *
 *   calibrate.c   the files, one after the other; from observations to figures
 *   recording.c   observations of a vs_recording
 *   kit.c         of the capture kit: results.json, loader.csv
 *   fit.c         lines and medians
 *   host.c        HOST.json
 *
 * Internal to calibrate/. */
#ifndef VS_CALIBRATE_OBSERVE_H
#define VS_CALIBRATE_OBSERVE_H

#include "vramscope/calibrate.h"

/* One of them: a time for so many bytes, or (bytes 0) a figure as it is. */
typedef struct {
    double bytes;
    double value; /* ns, or the figure in the unit of its parameter */
    uint16_t file;
    bool is_exact;      /* the file states it: nothing was measured */
    bool is_host_timed; /* from call to return, so that a latency can be told */
} cal_observation;

/* Those of one parameter; grows by doubling, in the arena. */
typedef struct {
    cal_observation *list;
    uint32_t count;
    uint32_t capacity;
    uint32_t small;  /* copies below CAL_LEAST_BYTES, not taken */
    const char *why; /* there were some, but of no use: a reason, or NULL */
} cal_list;

#define CAL_LEAST_BYTES VS_MIB
#define CAL_LIST_MAX    4096u /* of one parameter and file; beyond, every second, third ... */
#define CAL_NOTES_MAX   64u
#define CAL_OOMS_MAX    64u

typedef struct {
    vs_arena *keep;
    vs_arena *scratch;
    vs_err *err;
    const char *path; /* of the file under way */
    uint16_t file;
    cal_list lists[VS_CAL_COUNT];
    const char *gpu_name;
    vs_cal_file *files;
    const char *notes[CAL_NOTES_MAX];
    uint32_t note_count;
    /* where memory ran out: what was free and what the program's segments held; the rest of the card was the context's and that of
     * others */
    double ooms[CAL_OOMS_MAX];
    uint16_t oom_files[CAL_OOMS_MAX];
    uint32_t oom_count;
    bool is_rehearsal; /* a file of the kit that measured no card */
    bool d2h_is_pageable;
    bool has_failed; /* err is set */
} calibrating;

/* False: memory ran out (c->has_failed). Values that are not finite or not positive are dropped. */
void cal_add(calibrating *c, vs_cal_parameter parameter, cal_observation observation);
/* Bytes of the card that were free or the program's own when memory ran out. */
void cal_add_oom(calibrating *c, double bytes);
/* A figure that the file states. */
void cal_add_stated(calibrating *c, vs_cal_parameter parameter, double value);
/* A note, said once, with the file's name before it. */
void cal_note(calibrating *c, const char *format, ...) VS_PRINTF(2, 3);
void cal_name_gpu(calibrating *c, vs_str name);

/* recording.c */
void cal_observe_recording(calibrating *c, const vs_recording *rec);

/* kit.c: by content. */
typedef enum { CAL_NO_KIT, CAL_KIT_RESULTS, CAL_KIT_LOADER } cal_kit;

/* bytes: of the file, unpacked. */
cal_kit cal_is_kit(vs_str bytes);
VS_MUST_CHECK bool cal_observe_results(calibrating *c, vs_str bytes);
VS_MUST_CHECK bool cal_observe_loader(calibrating *c, vs_str bytes);

#endif /* VS_CALIBRATE_OBSERVE_H */
