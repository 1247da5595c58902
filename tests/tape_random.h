/* tests/tape_random.h - random but lawful tapes, for the property, fault and fuzz tests of sim/tape.
 *
 * Four memories (a GPU with segments, a GPU without, a host, a disk), lanes whose spans overlap and come
 * in any order, several events at one instant, every kind of event. */
#ifndef VS_TESTS_TAPE_RANDOM_H
#define VS_TESTS_TAPE_RANDOM_H

#include "vramscope/tape.h"

#define RANDOM_DEVICES 4u
#define RANDOM_LANES   3u
#define RANDOM_NAMES   8u

typedef struct {
    uint32_t block;
    uint8_t device;
    bool is_pending;
    vs_bytes size_bytes;
} random_block;

typedef struct {
    vs_tape *tape;
    vs_rng rng;
    vs_ns now;
    vs_bytes reserved;  /* of GPU 0 */
    vs_bytes allocated; /* of GPU 0 */
    random_block *live;
    uint32_t live_count;
    uint32_t live_capacity;
    uint32_t names[RANDOM_NAMES];
    vs_ns gap_ns; /* greatest step of time */
} random_tape;

static const uint8_t random_block_categories[] = {VS_CAT_W_FP32, VS_CAT_W_16, VS_CAT_Q_4BIT,
                                                  VS_CAT_ACT, VS_CAT_STAGING};

static inline uint64_t random_below(random_tape *r, uint64_t bound)
{
    return vs_rng_below(&r->rng, bound);
}

static inline uint8_t random_category(random_tape *r)
{
    return random_block_categories[random_below(r, sizeof random_block_categories)];
}

static inline void random_segment(random_tape *r)
{
    const bool is_map = random_below(r, 2) == 0;
    vs_event event = {.time_ns = r->now,
                      .kind = is_map ? VS_EV_SEGMENT_MAP : VS_EV_SEGMENT_ALLOC};
    event.size_bytes = (random_below(r, 40) + 1) * 2 * VS_MIB;
    const vs_bytes spare = r->reserved - r->allocated;
    if (spare > 0 && random_below(r, 3) == 0) {
        event.kind = is_map ? VS_EV_SEGMENT_UNMAP : VS_EV_SEGMENT_FREE;
        event.size_bytes = random_below(r, spare + 1);
        r->reserved -= event.size_bytes;
    } else {
        r->reserved += event.size_bytes;
    }
    vs_tape_event(r->tape, &event);
}

static inline void random_alloc(random_tape *r)
{
    vs_event event = {.time_ns = r->now, .kind = VS_EV_ALLOC};
    event.device = (uint8_t)random_below(r, RANDOM_DEVICES);
    event.asked_bytes =
        random_below(r, 4) == 0 ? random_below(r, 1200) : random_below(r, VS_MIB);
    event.size_bytes = (event.asked_bytes + 511) / 512 * 512 + random_below(r, 3) * 512;
    if (event.device == 0 && event.size_bytes > r->reserved - r->allocated) {
        random_segment(r);
        return;
    }
    r->allocated += event.device == 0 ? event.size_bytes : 0;
    event.block = vs_tape_new_block(r->tape);
    event.name = r->names[random_below(r, RANDOM_NAMES)];
    event.category = random_category(r);
    event.addr = random_below(r, UINT64_MAX);
    event.stream = (uint32_t)random_below(r, 3);
    vs_tape_event(r->tape, &event);
    if (r->live_count < r->live_capacity) {
        r->live[r->live_count++] = (random_block){
            .block = event.block, .device = event.device, .size_bytes = event.size_bytes};
    }
}

static inline void random_free_or_recat(random_tape *r)
{
    if (r->live_count == 0) {
        return;
    }
    const uint32_t i = (uint32_t)random_below(r, r->live_count);
    const random_block b = r->live[i];
    vs_event event = {
        .time_ns = r->now, .kind = VS_EV_FREE, .block = b.block, .device = b.device};
    const uint64_t dice = random_below(r, 6);
    if (dice < 3 && !b.is_pending) {
        event.kind = dice < 2 ? VS_EV_RECAT : VS_EV_FREE_REQUESTED;
        event.category = random_category(r);
        r->live[i].is_pending = dice == 2;
        vs_tape_event(r->tape, &event);
        return;
    }
    r->allocated -= b.device == 0 ? b.size_bytes : 0;
    r->live[i] = r->live[--r->live_count];
    vs_tape_event(r->tape, &event);
}

/* One draw a statement, here and below: the order in which arguments and initialisers are evaluated is the
 * compiler's, and a seed should mean the same tape everywhere. */
static inline void random_level(random_tape *r)
{
    static const uint8_t levels[] = {VS_CAT_CONTEXT, VS_CAT_OTHER, VS_CAT_PINNED,
                                     VS_CAT_PAGECACHE, VS_CAT_HOSTHEAP};
    vs_event event = {.time_ns = r->now, .kind = VS_EV_LEVEL};
    event.device = (uint8_t)random_below(r, RANDOM_DEVICES);
    event.category = levels[random_below(r, sizeof levels)];
    event.size_bytes = random_below(r, 4) * VS_GIB;
    event.size_bytes += event.size_bytes > 0 ? random_below(r, VS_GIB) : 0;
    vs_tape_event(r->tape, &event);
}

static inline void random_other(random_tape *r)
{
    static const uint8_t kinds[] = {VS_EV_OOM, VS_EV_PHASE, VS_EV_PROGRESS, VS_EV_SURFACE,
                                    VS_EV_MARK};
    vs_event event = {.time_ns = r->now, .block = VS_NO_BLOCK};
    event.kind = kinds[random_below(r, sizeof kinds)];
    event.size_bytes = random_below(r, 3) * VS_MIB;
    event.extra = random_below(r, 100);
    event.name = r->names[random_below(r, RANDOM_NAMES)];
    vs_tape_event(r->tape, &event);
}

static inline void random_span(random_tape *r)
{
    const vs_ns start = random_below(r, r->now + 2 * r->gap_ns + 1);
    const bool is_empty = random_below(r, 5) == 0;
    const vs_ns end = start + (is_empty ? 0 : random_below(r, 3 * r->gap_ns + 1));
    const uint16_t lane = (uint16_t)random_below(r, RANDOM_LANES);
    const vs_category category = (vs_category)random_category(r);
    const uint32_t name = r->names[random_below(r, RANDOM_NAMES)];
    vs_tape_span(r->tape, lane, start, end, category, name, random_below(r, VS_GIB));
}

static inline void random_step(random_tape *r)
{
    if (random_below(r, 3) != 0) { /* often several events at one instant */
        r->now += random_below(r, r->gap_ns + 1);
    }
    const uint64_t dice = random_below(r, 20);
    if (dice < 8) {
        random_alloc(r);
    } else if (dice < 14) {
        random_free_or_recat(r);
    } else if (dice < 16) {
        random_segment(r);
    } else if (dice < 18) {
        random_level(r);
    } else {
        random_other(r);
    }
    if (random_below(r, 3) == 0) {
        random_span(r);
    }
}

/* False when the arena ran out before the tape could be sealed. */
static inline bool random_tape_make(random_tape *r, vs_arena *arena, uint64_t seed,
                                    uint32_t step_count)
{
    static const char *const names[RANDOM_NAMES] = {"",     "embed", "q", "k",
                                                    "gate", "up",    "v", "down.weight"};
    *r = (random_tape){.gap_ns = 1 + seed % 50};
    vs_rng_seed(&r->rng, seed);
    r->live_capacity = step_count;
    r->live = VS_ARRAY(arena, random_block, step_count);
    r->tape = vs_tape_new(arena, &(vs_tape_desc){.expected_events = step_count});
    if (r->live == NULL || r->tape == NULL) {
        return false;
    }
    for (uint32_t i = 0; i < RANDOM_NAMES; i++) {
        r->names[i] = vs_tape_string(r->tape, vs_str_of(names[i]));
    }
    vs_tape_set_meta(r->tape, "model", "random");
    vs_tape_set_meta(r->tape, "verdict", "fits");
    (void)vs_tape_add_device(r->tape, VS_DEVICE_GPU, "gpu0", 24 * VS_GIB);
    (void)vs_tape_add_device(r->tape, VS_DEVICE_GPU, "gpu1", 24 * VS_GIB);
    (void)vs_tape_add_device(r->tape, VS_DEVICE_HOST, "host", 64 * VS_GIB);
    (void)vs_tape_add_device(r->tape, VS_DEVICE_DISK, "disk", VS_TIB);
    for (uint32_t i = 0; i < RANDOM_LANES; i++) {
        (void)vs_tape_add_lane(r->tape, names[i + 1]);
    }
    for (uint32_t i = 0; i < step_count && !vs_tape_has_failed(r->tape); i++) {
        random_step(r);
    }
    return true;
}

#endif /* VS_TESTS_TAPE_RANDOM_H */
