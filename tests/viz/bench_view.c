/* One frame of the viewer at 1280 x 800, fully zoomed out: prepare, draw and raster, on synthetic tapes of one and ten
 * million events (blocks of changing categories, two lanes). Prints view_frame_1m_events_ms and view_frame_10m_events_ms
 * (CONTRACT.md), the minimum of 7 frames. */
#include "viz/draw/font.h"
#include "viz/draw/raster.h"
#include "viz/view/source.h"
#include "viz/view/view.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define WIDTH    1280
#define HEIGHT   800
#define LIVE_MAX 512u

static double now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static void must(bool is_fine, const char *what)
{
    if (!is_fine) {
        fprintf(stderr, "bench_view: %s\n", what);
        exit(1);
    }
}

/* Blocks come and go; a few hundred live at any moment. */
static void fill(vs_tape *tape, uint32_t event_count)
{
    static const vs_category categories[] = {VS_CAT_W_16, VS_CAT_Q_4BIT, VS_CAT_STAGING,
                                             VS_CAT_ACT};
    uint32_t live[LIVE_MAX];
    vs_bytes sizes[LIVE_MAX];
    uint32_t count = 0;
    vs_rng rng;
    vs_rng_seed(&rng, 7);
    const uint16_t lane = vs_tape_add_lane(tape, "gpu");
    const uint32_t name = vs_tape_string(tape, vs_str_of("layer.weight"));
    for (uint32_t i = 0; i < event_count; i++) {
        const vs_ns now = (vs_ns)i * 1000;
        const bool is_alloc = count == 0 || (count < LIVE_MAX && vs_rng_below(&rng, 2) == 0);
        vs_event event = {.time_ns = now, .device = 0, .name = name};
        if (is_alloc) {
            sizes[count] = (vs_rng_below(&rng, 64) + 1) * VS_MIB;
            live[count] = vs_tape_new_block(tape);
            event.kind = VS_EV_ALLOC;
            event.category = (uint8_t)categories[vs_rng_below(&rng, 4)];
            event.block = live[count];
            event.size_bytes = sizes[count];
            event.asked_bytes = sizes[count];
            count++;
        } else {
            const uint32_t pick = (uint32_t)vs_rng_below(&rng, count);
            event.kind = VS_EV_FREE;
            event.block = live[pick];
            event.size_bytes = sizes[pick];
            count--;
            live[pick] = live[count];
            sizes[pick] = sizes[count];
        }
        vs_tape_event(tape, &event);
        if (i % 8 == 0) {
            vs_tape_span(tape, lane, now, now + 4000, VS_CAT_Q_4BIT, name, VS_MIB);
        }
    }
}

static double frame_ms(const vs_timeline *tl, vs_font *font)
{
    vs_arena arena = {0};
    vs_source source = {0};
    vs_err err = {0};
    double best = 1e30;
    must(vs_arena_open(&arena, (size_t)4 << 30, &err), "no arena");
    must(vs_source_init(&source, &arena, tl), "no source");
    vs_surface surface = {calloc((size_t)WIDTH * HEIGHT, sizeof(uint32_t)), WIDTH, HEIGHT};
    must(surface.pixels != NULL, "no pixels");
    const size_t mark = arena.used_bytes;
    for (int i = 0; i < 7; i++) {
        vs_arena_rewind(&arena, mark);
        vs_view view = {.sources = &source,
                        .source_count = 1,
                        .scale_pct = 100,
                        .width = WIDTH,
                        .height = HEIGHT,
                        .metrics = vs_font_metrics(font)};
        const double start = now_ms();
        vs_frame *frame = VS_NEW(&arena, vs_frame);
        vs_draw_list list = {0};
        must(frame != NULL && vs_view_prepare(frame, &view, &arena),
             "prepare ran out of memory");
        vs_draw_init(&list, &arena, view.width, view.height);
        vs_view_draw(frame, &view, &list);
        vs_raster_list(&surface, &list, font);
        const double took = now_ms() - start;
        best = took < best ? took : best;
    }
    free(surface.pixels);
    vs_arena_close(&arena);
    return best;
}

static void measure(const char *name, uint32_t event_count, vs_font *font)
{
    vs_arena arena = {0};
    vs_err err = {0};
    vs_timeline tl = {0};
    const vs_tape_desc desc = {.expected_events = event_count,
                               .expected_spans = event_count / 8};
    must(vs_arena_open(&arena, (size_t)64 << 30, &err), "no arena");
    vs_tape *tape = vs_tape_new(&arena, &desc);
    must(tape != NULL, "no tape");
    (void)vs_tape_add_device(tape, VS_DEVICE_GPU, "bench", 64 * VS_GIB);
    fill(tape, event_count);
    must(vs_tape_seal(tape, &tl, &err), err.text);
    printf("%s %.2f ms\n", name, frame_ms(&tl, font));
    vs_arena_close(&arena);
}

int main(void)
{
    vs_err err = {0};
    vs_font *font = vs_font_open(NULL, &err);
    must(font != NULL, err.text);
    measure("view_frame_1m_events_ms", 1000000, font);
    measure("view_frame_10m_events_ms", 10000000, font);
    vs_font_close(font);
    return 0;
}
