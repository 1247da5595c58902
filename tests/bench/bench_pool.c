/* bench_pool RECORDING: what the caching allocator and the replay do in a second on one core.
 *
 * RECORDING is a PyTorch memory snapshot with one device, began with an empty allocator. A round hands its allocations and
 * frees to a fresh pool over the modelled driver; opening the pool is not timed. Then the whole replay: the state
 * before the recording, every event, the lists at the end, verdict included. Prints the best of 7 runs:
 *   pool_caching_ops_per_s VALUE ops/s        one vs_pool_alloc or one vs_pool_free
 *   replay_events_per_s VALUE events/s        one entry of the recording */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "vramscope/replay.h"

#define RUNS   7
#define ROUNDS 100

static uint64_t now_ns(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * UINT64_C(1000000000) + (uint64_t)t.tv_nsec;
}

/* An op in eight bytes more than it needs: bytes 0 means free. */
typedef struct {
    uint64_t bytes;
    uint32_t id;
} bench_op;

typedef struct {
    bench_op *ops;
    uint32_t count;
    vs_block *blocks;
} bench_stream;

static bool read_recording(const char *path, vs_arena *keep, vs_arena *scratch,
                           vs_recording *out)
{
    vs_err err = {0};
    const vs_read_desc desc = {.keep = keep, .scratch = scratch};
    if (vs_recording_read(out, path, &desc, &err) && out->device_count == 1) {
        return true;
    }
    char line[VS_ERR_TEXT_BYTES];
    (void)fprintf(stderr, "bench_pool: %s: %s\n", path, vs_err_line(&err, line, sizeof line));
    return false;
}

/* The id of the block at an address: the number of its allocation. */
static uint32_t id_at(const vs_rec_device *dev, uint32_t event)
{
    const uint64_t addr = dev->events[event].addr;
    while (event > 0) {
        event--;
        if (dev->events[event].action == VS_REC_ALLOC && dev->events[event].addr == addr) {
            return event;
        }
    }
    return UINT32_MAX;
}

static bool load(const vs_recording *rec, vs_arena *arena, bench_stream *out)
{
    const vs_rec_device *dev = &rec->devices[0];
    out->ops = VS_ARRAY(arena, bench_op, dev->event_count);
    out->blocks = VS_ARRAY(arena, vs_block, dev->event_count);
    if (out->ops == NULL || out->blocks == NULL) {
        return false;
    }
    for (uint32_t i = 0; i < dev->event_count; i++) {
        const vs_rec_event *event = &dev->events[i];
        const uint32_t id = event->action == VS_REC_FREE_COMPLETED ? id_at(dev, i) : i;
        if (event->action == VS_REC_ALLOC ||
            (event->action == VS_REC_FREE_COMPLETED && id != UINT32_MAX)) {
            const bool is_alloc = event->action == VS_REC_ALLOC;
            out->ops[out->count++] = (bench_op){.bytes = is_alloc ? event->size : 0, .id = id};
        }
    }
    return out->count > 0;
}

static bool replay(vs_pool *pool, const bench_stream *stream)
{
    for (uint32_t i = 0; i < stream->count; i++) {
        const bench_op op = stream->ops[i];
        if (op.bytes == 0) {
            vs_pool_free(pool, i, stream->blocks[op.id]);
            continue;
        }
        const vs_pool_request request = {.size_bytes = op.bytes, .category = VS_CAT_ACT};
        if (vs_pool_alloc(pool, i, &request, &stream->blocks[op.id]) != VS_ALLOC_OK) {
            return false;
        }
    }
    return true;
}

/* Nanoseconds for ROUNDS rounds; 0 when something went wrong. */
static uint64_t run(vs_arena *arena, const bench_stream *stream)
{
    uint64_t total_ns = 0;
    for (uint32_t round = 0; round < ROUNDS; round++) {
        vs_arena_reset(arena);
        vs_model_driver driver;
        vs_model_driver_init(&driver, 80 * VS_GIB, 0);
        const vs_pool_desc desc = {.driver = vs_model_driver_calls(&driver),
                                   .expected_blocks = 1024};
        vs_pool *pool = vs_pool_new(arena, &desc);
        if (pool == NULL) {
            return 0;
        }
        const uint64_t start = now_ns();
        if (!replay(pool, stream)) {
            return 0;
        }
        total_ns += now_ns() - start;
    }
    return total_ns;
}

static uint64_t run_replay(const vs_recording *rec, vs_arena *keep, vs_arena *scratch)
{
    const uint64_t start = now_ns();
    for (uint32_t round = 0; round < ROUNDS; round++) {
        vs_err err = {0};
        vs_replay_result result = {0};
        vs_arena_reset(keep);
        vs_arena_reset(scratch);
        const vs_replay_desc desc = {.keep = keep, .scratch = scratch};
        if (!vs_replay_run(&result, rec, &desc, &err) ||
            result.verdict != VS_REPLAY_IDENTICAL) {
            return 0;
        }
    }
    return now_ns() - start;
}

/* A figure of ROUNDS rounds of count things; false when a round went wrong. */
static bool print_rate(const char *name, const char *unit, uint64_t count, uint64_t best_ns)
{
    if (best_ns == 0) {
        (void)fprintf(stderr, "bench_pool: %s: a round failed\n", name);
        return false;
    }
    (void)printf("%s %.0f %s\n", name, (double)(count * ROUNDS) * 1e9 / (double)best_ns, unit);
    return true;
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        (void)fprintf(stderr, "usage: bench_pool RECORDING (a PyTorch memory snapshot)\n");
        return 2;
    }
    vs_arena data = {0};
    vs_arena arena = {0};
    vs_arena scratch = {0};
    vs_err err = {0};
    vs_recording rec = {0};
    bench_stream stream = {0};
    if (!vs_arena_open(&data, 256 * VS_MIB, &err) ||
        !vs_arena_open(&arena, 64 * VS_MIB, &err) ||
        !vs_arena_open(&scratch, 256 * VS_MIB, &err) ||
        !read_recording(argv[1], &data, &scratch, &rec) || !load(&rec, &data, &stream)) {
        return 1;
    }
    uint64_t pool_ns = UINT64_MAX;
    uint64_t replay_ns = UINT64_MAX;
    for (uint32_t i = 0; i < RUNS; i++) {
        const uint64_t pool = run(&arena, &stream);
        const uint64_t whole = run_replay(&rec, &arena, &scratch);
        pool_ns = pool < pool_ns ? pool : pool_ns;
        replay_ns = whole < replay_ns ? whole : replay_ns;
    }
    const bool is_well =
        print_rate("pool_caching_ops_per_s", "ops/s", stream.count, pool_ns) &&
        print_rate("replay_events_per_s", "events/s", rec.devices[0].event_count, replay_ns);
    vs_arena_close(&arena);
    vs_arena_close(&scratch);
    vs_arena_close(&data);
    return is_well ? 0 : 1;
}
