/* The engine's speed, as lines `name value unit`; each figure is the best of 7 runs.
 *
 * engine_mm1_objects_per_s   an M/M/1 queue: arrivals 0.9 per time unit, services 1.0 per time unit, one
 *                            million objects through one core; the model of ambonvik/cimba
 *                            benchmark/MM1_single.c. Two processes, a queue of arrival times with a
 *                            gate, the time in system of every object summed.
 * engine_hold_ns_N           the hold model: N events pending, each schedules one more at a
 *                            random time (exponential) after its own; ns per event.
 *
 * Only public functions of the engine are used. Random times come from a ziggurat
 * (Marsaglia and Tsang, "The Ziggurat Method for Generating Random Variables", 2000) in integers,
 * a few nanoseconds each, and are part of what is measured. */
#include "vramscope/engine.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define RUNS        7
#define OBJECTS     UINT64_C(1000000)
#define HOLD_EVENTS UINT64_C(2000000)
#define SERVICE_NS  100000000.0 /* one time unit: 1e8 steps of the clock */
#define ARRIVAL_NS  (SERVICE_NS / 0.9)
#define QUEUE_SLOTS 65536u /* at load 0.9 longer than 400 has a chance below 1e-18 */

/* Of processor time: one thread, and what else runs on the machine should not count. */
static double seconds_now(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void must(bool is_fine, const char *what)
{
    if (!is_fine) {
        (void)fprintf(stderr, "bench_engine: %s\n", what);
        _Exit(1);
    }
}

/* ---- exponential variates ------------------------------------------------------------------- */

#define LAYERS 256
#define TAIL_X 7.69711747013104972      /* where the tail begins, and the area of a layer: */
#define AREA   0.0039496598225815571993 /* Marsaglia and Tsang 2000, section 3, for 256 layers */

typedef struct {
    uint32_t width[LAYERS];  /* of a layer, in steps of the clock */
    uint32_t inside[LAYERS]; /* below: certainly under the curve */
    double density[LAYERS];
    double mean;
} ziggurat;

static void ziggurat_init(ziggurat *z, double mean)
{
    double x[LAYERS + 1] = {0};
    x[0] = AREA / exp(-TAIL_X); /* the base layer with the tail folded in */
    x[1] = TAIL_X;
    for (int i = 2; i < LAYERS; i++) {
        x[i] = -log(AREA / x[i - 1] + exp(-x[i - 1]));
    }
    for (int i = 0; i < LAYERS; i++) {
        z->width[i] = (uint32_t)(x[i] * mean + 0.5);
        z->inside[i] = (uint32_t)(x[i + 1] / x[i] * 4294967296.0);
        z->density[i] = i == 0 ? exp(-TAIL_X) : exp(-x[i]);
    }
    z->mean = mean;
}

static double unit_random(vs_rng *rng)
{
    return (double)((vs_rng_next(rng) >> 11) + 1) * 0x1p-53;
}

/* The one in a hundred that is not decided at once. 0: draw again. */
static uint64_t ziggurat_rare(const ziggurat *z, vs_rng *rng, uint32_t layer, uint64_t ticks)
{
    if (layer == 0) {
        return (uint64_t)((TAIL_X - log(unit_random(rng))) * z->mean);
    }
    const double above = layer + 1 < LAYERS ? z->density[layer + 1] : 1.0;
    const double y = z->density[layer] + unit_random(rng) * (above - z->density[layer]);
    return y < exp(-(double)ticks / z->mean) ? ticks : 0;
}

/* At least 1. */
static inline uint64_t draw(const ziggurat *z, vs_rng *rng)
{
    for (;;) {
        const uint64_t bits = vs_rng_next(rng);
        const uint32_t layer = bits & (LAYERS - 1);
        const uint64_t across = bits >> 32;
        uint64_t ticks = across * z->width[layer] >> 32;
        if (across >= z->inside[layer]) {
            ticks = ziggurat_rare(z, rng, layer, ticks);
            if (ticks == 0) {
                continue;
            }
        }
        return ticks + (ticks == 0);
    }
}

/* ---- M/M/1 ----------------------------------------------------------------------------------- */

typedef struct station station;

typedef struct {
    vs_process process;
    station *at;
} actor;

struct station {
    actor arrival;
    actor service;
    vs_gate gate; /* the server waits here while the queue is empty */
    vs_rng rng;
    ziggurat between;
    ziggurat serving;
    uint32_t head;
    uint32_t tail;
    uint64_t arrived;
    uint64_t served;
    uint64_t time_in_system;  /* sum, in steps of the clock */
    vs_ns queue[QUEUE_SLOTS]; /* arrival times */
};

static void arrival_step(vs_engine *engine, vs_process *process)
{
    station *s = ((actor *)process)->at;
    if (process->state == 1) {
        must(s->tail - s->head < QUEUE_SLOTS, "the queue overflows");
        s->queue[s->tail++ % QUEUE_SLOTS] = vs_engine_now(engine);
        (void)vs_gate_signal(engine, &s->gate);
        s->arrived++;
    }
    process->state = 1;
    if (s->arrived < OBJECTS) {
        vs_process_sleep(engine, process, draw(&s->between, &s->rng));
    }
}

static void service_step(vs_engine *engine, vs_process *process)
{
    station *s = ((actor *)process)->at;
    if (process->state == 1) {
        s->time_in_system += vs_engine_now(engine) - s->queue[s->head++ % QUEUE_SLOTS];
        s->served++;
    }
    if (s->head == s->tail) {
        process->state = 0;
        vs_gate_wait(engine, &s->gate, process);
        return;
    }
    process->state = 1;
    vs_process_sleep(engine, process, draw(&s->serving, &s->rng));
}

/* Returns seconds. Checks the mean time in system against theory: 1 / (1.0 - 0.9) = 10. */
static double mm1_run(vs_arena *arena, uint64_t seed)
{
    vs_err err = {0};
    vs_arena_reset(arena);
    station *s = VS_NEW(arena, station);
    vs_engine *engine = vs_engine_new(arena, &(vs_engine_desc){0});
    must(s != NULL && engine != NULL, "arena");
    vs_rng_seed(&s->rng, seed);
    ziggurat_init(&s->between, ARRIVAL_NS);
    ziggurat_init(&s->serving, SERVICE_NS);
    s->arrival = (actor){.process = {.step = arrival_step, .name = "arrival"}, .at = s};
    s->service = (actor){.process = {.step = service_step, .name = "service"}, .at = s};
    must(vs_process_start(engine, &s->arrival.process), "start");
    must(vs_process_start(engine, &s->service.process), "start");
    const double begin = seconds_now();
    must(vs_engine_run(engine, VS_NS_NEVER, &err), err.text);
    const double taken = seconds_now() - begin;
    const double mean = (double)s->time_in_system / (double)s->served / SERVICE_NS;
    must(s->served == OBJECTS, "not every object was served");
    must(mean > 9.0 && mean < 11.0, "the mean time in system is not near 10");
    return taken;
}

/* ---- hold -------------------------------------------------------------------------------------- */

typedef struct {
    vs_rng rng;
    ziggurat ahead;
    uint64_t left;
} hold;

static void hold_event(vs_engine *engine, void *ctx, uint64_t arg)
{
    hold *h = ctx;
    if (h->left-- == 0) {
        vs_engine_stop(engine);
        return;
    }
    (void)vs_engine_after(engine, draw(&h->ahead, &h->rng), VS_RANK_STEP, hold_event, h, arg);
}

static double hold_run(vs_arena *arena, uint32_t pending, uint64_t seed)
{
    vs_err err = {0};
    vs_arena_reset(arena);
    hold *h = VS_NEW(arena, hold);
    vs_engine *engine = vs_engine_new(arena, &(vs_engine_desc){.expected_events = pending});
    must(h != NULL && engine != NULL, "arena");
    vs_rng_seed(&h->rng, seed);
    ziggurat_init(&h->ahead, SERVICE_NS);
    h->left = HOLD_EVENTS;
    for (uint32_t i = 0; i < pending; i++) {
        (void)vs_engine_after(engine, draw(&h->ahead, &h->rng), VS_RANK_STEP, hold_event, h, i);
    }
    const double begin = seconds_now();
    must(vs_engine_run(engine, VS_NS_NEVER, &err), err.text);
    return seconds_now() - begin;
}

/* ---- figures ----------------------------------------------------------------------------------- */

static void report_hold(vs_arena *arena, uint32_t pending)
{
    double best = 1e9;
    for (uint64_t run = 0; run < RUNS; run++) {
        best = fmin(best, hold_run(arena, pending, run + 1));
    }
    (void)printf("engine_hold_ns_%u %.1f ns\n", pending, best * 1e9 / (double)HOLD_EVENTS);
}

int main(void)
{
    vs_err err = {0};
    vs_arena arena = {0};
    must(vs_arena_open(&arena, 16 * VS_MIB, &err), err.text);
    double best = 1e9;
    for (uint64_t run = 0; run < RUNS; run++) {
        best = fmin(best, mm1_run(&arena, run + 1));
    }
    (void)printf("engine_mm1_objects_per_s %.0f 1/s\n", (double)OBJECTS / best);
    report_hold(&arena, 64);
    report_hold(&arena, 4096);
    vs_arena_close(&arena);
    return 0;
}
