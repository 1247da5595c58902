/* tests/viz/small_tape.h - small tapes with known contents, for the viewer's tests. */
#ifndef VS_TESTS_VIZ_SMALL_TAPE_H
#define VS_TESTS_VIZ_SMALL_TAPE_H

#include "viz/view/source.h"
#include "vramscope/tape.h"

#define MS UINT64_C(1000000)

static inline void small_level(vs_tape *tape, vs_ns t, uint8_t device, vs_category category,
                               vs_bytes bytes)
{
    vs_tape_event(tape, &(vs_event){.time_ns = t,
                                    .kind = VS_EV_LEVEL,
                                    .device = device,
                                    .category = (uint8_t)category,
                                    .size_bytes = bytes,
                                    .block = VS_NO_BLOCK});
}

static inline uint32_t small_alloc(vs_tape *tape, vs_ns t, vs_category category, vs_bytes bytes)
{
    const uint32_t block = vs_tape_new_block(tape);
    vs_tape_event(tape, &(vs_event){.time_ns = t,
                                    .kind = VS_EV_ALLOC,
                                    .category = (uint8_t)category,
                                    .size_bytes = bytes,
                                    .asked_bytes = bytes,
                                    .block = block});
    return block;
}

static inline void small_event(vs_tape *tape, vs_ns t, vs_event_kind kind, vs_bytes bytes,
                               const char *name)
{
    vs_tape_event(tape, &(vs_event){.time_ns = t,
                                    .kind = (uint8_t)kind,
                                    .size_bytes = bytes,
                                    .asked_bytes = bytes,
                                    .extra = 512 * VS_MIB,
                                    .block = VS_NO_BLOCK,
                                    .name = vs_tape_string(tape, vs_str_of(name))});
}

/* 8 GiB card, 16 GiB host; 7 GiB reserved at once, filled bit by bit; a request for 2 GiB fails
 * at 8 ms; the program notices at 9 ms. */
static inline bool small_tape(vs_arena *arena, vs_timeline *out, vs_err *err)
{
    vs_tape *tape = vs_tape_new(arena, &(vs_tape_desc){0});
    if (tape == NULL) {
        return false;
    }
    vs_tape_add_device(tape, VS_DEVICE_GPU, "gpu0", 8 * VS_GIB);
    vs_tape_add_device(tape, VS_DEVICE_HOST, "host", 16 * VS_GIB);
    const uint16_t disk = vs_tape_add_lane(tape, "disk");
    const uint16_t gpu = vs_tape_add_lane(tape, "gpu");
    vs_tape_add_lane(tape, "idle");
    small_event(tape, 0, VS_EV_PHASE, 0, "load");
    small_level(tape, 0, 0, VS_CAT_CONTEXT, VS_GIB / 2);
    small_event(tape, 1 * MS, VS_EV_SEGMENT_ALLOC, 7 * VS_GIB, "");
    const uint32_t first = small_alloc(tape, 2 * MS, VS_CAT_STAGING, 2 * VS_GIB);
    small_level(tape, 3 * MS, 1, VS_CAT_PAGECACHE, 4 * VS_GIB);
    vs_tape_event(tape, &(vs_event){.time_ns = 4 * MS,
                                    .kind = VS_EV_RECAT,
                                    .category = VS_CAT_W_16,
                                    .block = first});
    const uint32_t spike = small_alloc(tape, 5 * MS, VS_CAT_STAGING, 4 * VS_GIB);
    vs_tape_event(tape, &(vs_event){.time_ns = 5 * MS + 1, .kind = VS_EV_FREE, .block = spike});
    small_alloc(tape, 6 * MS, VS_CAT_Q_4BIT, 3 * VS_GIB);
    small_event(tape, 8 * MS, VS_EV_OOM, 2 * VS_GIB, "model.layers.1.w");
    small_event(tape, 9 * MS, VS_EV_SURFACE, 0, "model.layers.1.w");
    const uint32_t name = vs_tape_string(tape, vs_str_of("model.layers.0.w"));
    vs_tape_span(tape, disk, 0, 4 * MS, VS_CAT_PAGECACHE, name, 4 * VS_GIB);
    vs_tape_span(tape, gpu, 4 * MS, 6 * MS, VS_CAT_Q_4BIT, name, 3 * VS_GIB);
    for (uint32_t i = 0; i < 100; i++) {
        const vs_ns start = 6 * MS + UINT64_C(10000) * i;
        vs_tape_span(tape, gpu, start, start + 5000, VS_CAT_STAGING, name, 1);
    }
    vs_tape_set_meta(tape, "title", "toy  bf16");
    vs_tape_set_meta(tape, "gpu", "Toy, 8.00 GiB");
    vs_tape_set_meta(tape, "verdict", "oom");
    vs_tape_set_meta(tape, "reason", "Two more GiB were needed & there were none.");
    vs_tape_set_meta(tape, "command", "vramscope sim toy");
    return vs_tape_seal(tape, out, err);
}

/* A tape with nothing on it. */
static inline bool empty_tape(vs_arena *arena, vs_timeline *out, vs_err *err)
{
    vs_tape *tape = vs_tape_new(arena, &(vs_tape_desc){0});
    return tape != NULL && vs_tape_seal(tape, out, err);
}

#endif /* VS_TESTS_VIZ_SMALL_TAPE_H */
