/* bench_pool STREAM: allocations and frees per second of the caching allocator on one core.
 *
 * STREAM comes from tests/tools/extract_stream.py. A round replays the whole recording on a fresh pool
 * over the modelled driver; opening the pool is not timed. Prints the best of 7 runs:
 *   pool_caching_ops_per_s VALUE ops/s
 * where an op is one vs_pool_alloc or one vs_pool_free. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "tests/tools/recorded_stream.h"
#include "vramscope/pool.h"

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

static bool load(const char *path, vs_arena *arena, bench_stream *out)
{
    vs_err err = {0};
    vs_file file = {0};
    if (!vs_file_open(&file, path, &err)) {
        char line[VS_ERR_TEXT_BYTES];
        (void)fprintf(stderr, "bench_pool: %s\n", vs_err_line(&err, line, sizeof line));
        return false;
    }
    const char *text =
        vs_str_copy(arena, (vs_str){(const char *)file.bytes, (size_t)file.size_bytes});
    recorded_stream stream = {0};
    const bool is_read = text != NULL && stream_parse(text, arena, &stream);
    vs_file_close(&file);
    if (!is_read) {
        (void)fprintf(stderr, "bench_pool: %s is not a stream of extract_stream.py\n", path);
        return false;
    }
    out->ops = VS_ARRAY(arena, bench_op, stream.count);
    out->blocks = VS_ARRAY(arena, vs_block, stream.allocs);
    for (uint32_t i = 0; i < stream.count && out->ops != NULL; i++) {
        const stream_line *line = &stream.lines[i];
        if (line->op == 'A' || line->op == 'R') {
            out->ops[out->count++] = (bench_op){.bytes = line->op == 'A' ? line->field[1] : 0,
                                                .id = (uint32_t)line->field[0]};
        }
    }
    return out->ops != NULL && out->blocks != NULL && out->count > 0;
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

int main(int argc, char **argv)
{
    if (argc != 2) {
        (void)fprintf(stderr, "usage: bench_pool STREAM (see tests/tools/extract_stream.py)\n");
        return 2;
    }
    vs_arena data = {0};
    vs_arena arena = {0};
    vs_err err = {0};
    bench_stream stream = {0};
    if (!vs_arena_open(&data, 64 * VS_MIB, &err) || !vs_arena_open(&arena, 16 * VS_MIB, &err) ||
        !load(argv[1], &data, &stream)) {
        return 1;
    }
    uint64_t best_ns = UINT64_MAX;
    for (uint32_t i = 0; i < RUNS; i++) {
        const uint64_t ns = run(&arena, &stream);
        if (ns == 0) {
            (void)fprintf(stderr, "bench_pool: an allocation failed\n");
            return 1;
        }
        best_ns = ns < best_ns ? ns : best_ns;
    }
    const uint64_t ops = (uint64_t)stream.count * ROUNDS;
    (void)printf("pool_caching_ops_per_s %.0f ops/s\n", (double)ops * 1e9 / (double)best_ns);
    vs_arena_close(&arena);
    vs_arena_close(&data);
    return 0;
}
