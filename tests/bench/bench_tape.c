/* Speed of the tape: appending, sealing, opening, drawing. Minimum of 7 runs; prints `name value unit`.
 * Run: build/tests/bench/bench_tape */
#include "sim/tape/internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define RUNS 7

static double now_ns(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void print(const char *name, double value, const char *unit)
{
    (void)printf("%s %.4g %s\n", name, value, unit);
}

static void die(const vs_err *err)
{
    char line[1024];
    (void)fprintf(stderr, "bench_tape: %s\n", vs_err_line(err, line, sizeof line));
    abort();
}

static double smaller(double a, double b)
{
    return a < b ? a : b;
}

/* A load: a segment, a block out of it, a copy on a lane, the block changes category, staging of
 * two tensors ago is freed. `count` events. */
static vs_tape *append_load(vs_arena *arena, uint32_t count)
{
    const vs_tape_desc desc = {.expected_events = count, .expected_strings = 64};
    vs_tape *tape = vs_tape_new(arena, &desc);
    if (tape == NULL) {
        abort();
    }
    const uint8_t gpu = vs_tape_add_device(tape, VS_DEVICE_GPU, "gpu0", 80 * VS_GIB);
    const uint8_t host = vs_tape_add_device(tape, VS_DEVICE_HOST, "host", 80 * VS_GIB);
    const uint16_t lane = vs_tape_add_lane(tape, "pcie");
    const uint32_t name = vs_tape_string(tape, vs_str_of("model.layers.0.mlp.up_proj.weight"));
    vs_ns now = 0;
    for (uint32_t i = 0; i < count; i += 8, now += 1000) {
        const vs_bytes size = 2 * VS_MIB + UINT64_C(512) * (i % 7);
        const uint32_t staging = vs_tape_new_block(tape);
        const uint32_t block = vs_tape_new_block(tape);
        vs_event e = {.time_ns = now, .device = gpu, .name = name, .size_bytes = 4 * VS_MIB};
        e.kind = VS_EV_SEGMENT_ALLOC;
        vs_tape_event(tape, &e);
        e.kind = VS_EV_ALLOC;
        e.size_bytes = size;
        e.asked_bytes = size - UINT64_C(512) * (i % 3);
        e.block = block;
        e.category = VS_CAT_STAGING;
        vs_tape_event(tape, &e);
        e.kind = VS_EV_RECAT;
        e.category = VS_CAT_W_16;
        vs_tape_event(tape, &e);
        e.kind = VS_EV_PROGRESS;
        e.size_bytes = i;
        vs_tape_event(tape, &e);
        e.device = host;
        e.kind = VS_EV_ALLOC;
        e.block = staging;
        e.category = VS_CAT_PINNED;
        e.size_bytes = size;
        vs_tape_event(tape, &e);
        e.kind = VS_EV_FREE;
        vs_tape_event(tape, &e);
        e.kind = VS_EV_LEVEL;
        e.category = VS_CAT_PAGECACHE;
        e.size_bytes = (i + 1) * VS_MIB;
        vs_tape_event(tape, &e);
        e.kind = VS_EV_MARK;
        vs_tape_event(tape, &e);
        vs_tape_span(tape, lane, now, now + 900, VS_CAT_W_16, name, size);
    }
    return tape;
}

static const uint8_t *file_image(vs_arena *arena, const vs_timeline *tl)
{
    uint8_t *file = vs_arena_raw(arena, tl->image_bytes, 1, TAPE_ALIGN);
    if (file == NULL) {
        abort();
    }
    memcpy(file, tl->image, tl->image_bytes);
    image_file_head(tl->image, file);
    return file;
}

static void bench_seal(vs_arena *arena, uint32_t count, const char *label)
{
    double append = 1e30;
    double seal = 1e30;
    double bind = 1e30;
    double sum = 1e30;
    vs_timeline tl = {0};
    for (int run = 0; run < RUNS; run++) {
        vs_err err = {0};
        vs_arena_reset(arena);
        const double start = now_ns();
        vs_tape *tape = append_load(arena, count);
        const double appended = now_ns();
        if (!vs_tape_seal(tape, &tl, &err)) {
            die(&err);
        }
        const double sealed_at = now_ns();
        const uint8_t *file = file_image(arena, &tl);
        const double done = now_ns();
        vs_timeline bound = {0};
        if (!vs_timeline_bind(&bound, file, tl.image_bytes, &err)) {
            die(&err);
        }
        const double bound_at = now_ns();
        volatile uint64_t keep = tape_sum(tl.image, tl.image_bytes);
        (void)keep;
        sum = smaller(sum, now_ns() - bound_at);
        append = smaller(append, appended - start);
        seal = smaller(seal, sealed_at - appended);
        bind = smaller(bind, bound_at - done);
    }
    char name[64];
    (void)snprintf(name, sizeof name, "tape_append_%s", label);
    print(name, append / tl.event_count, "ns/event");
    (void)snprintf(name, sizeof name, "tape_seal_%s", label);
    print(name, seal / tl.event_count, "ns/event");
    (void)snprintf(name, sizeof name, "tape_seal_%s_total", label);
    print(name, seal / 1e6, "ms");
    (void)snprintf(name, sizeof name, "tape_bind_%s", label);
    print(name, (double)tl.image_bytes / bind * 1e3, "MB/s");
    (void)snprintf(name, sizeof name, "tape_sum_%s", label);
    print(name, (double)tl.image_bytes / sum * 1e3, "MB/s");
    (void)snprintf(name, sizeof name, "tape_image_%s", label);
    print(name, (double)tl.image_bytes / (double)tl.event_count, "B/event");
}

/* One track of a million samples at uneven times. */
static vs_timeline million(vs_arena *arena)
{
    vs_arena_reset(arena);
    vs_tape *tape = vs_tape_new(arena, NULL);
    vs_rng rng;
    vs_rng_seed(&rng, 1);
    if (tape == NULL) {
        abort();
    }
    (void)vs_tape_add_device(tape, VS_DEVICE_HOST, "host", VS_TIB);
    vs_ns now = 0;
    for (uint32_t i = 0; i < 1000000; i++) {
        now += vs_rng_below(&rng, 2000);
        const vs_event e = {.time_ns = now,
                            .kind = VS_EV_LEVEL,
                            .category = VS_CAT_OTHER,
                            .size_bytes = i % 2 * VS_GIB + vs_rng_below(&rng, VS_GIB)};
        vs_tape_event(tape, &e);
    }
    vs_timeline tl = {0};
    vs_err err = {0};
    if (!vs_tape_seal(tape, &tl, &err)) {
        die(&err);
    }
    return tl;
}

static void bench_columns(vs_arena *arena)
{
    static vs_column columns[1920];
    const vs_timeline tl = million(arena);
    const uint32_t track = vs_timeline_find_track(&tl, 0, VS_TRACK_USED, VS_CAT_COUNT);
    double sum = 0;
    double worst = 0;
    const int zooms = 40; /* from all of it down to a millionth, about the middle */
    for (int zoom = 0; zoom < zooms; zoom++) {
        vs_ns width = tl.end_ns;
        for (int i = 0; i < zoom; i++) {
            width = width * 7 / 10;
        }
        const vs_ns t0 = (tl.end_ns - width) / 3;
        double best = 1e30;
        for (int run = 0; run < RUNS; run++) {
            const double start = now_ns();
            vs_track_columns(&tl, track, t0, t0 + width, columns, 1920);
            best = smaller(best, now_ns() - start);
        }
        sum += best;
        worst = best > worst ? best : worst;
        if (zoom == 0) {
            print("tape_columns_1920_of_1m_all", best / 1e6, "ms");
        }
    }
    print("tape_columns_1920_of_1m_mean", sum / zooms / 1e6, "ms");
    print("tape_columns_1920_of_1m_worst", worst / 1e6, "ms");
}

int main(void)
{
    vs_arena arena = {0};
    vs_err err = {0};
    if (!vs_arena_open(&arena, 2 * VS_GIB, &err)) {
        die(&err);
    }
    bench_seal(&arena, 3000, "3k");
    bench_seal(&arena, 400000, "400k");
    bench_columns(&arena);
    vs_arena_close(&arena);
    return 0;
}
