/* Recordings of real GPUs, replayed: every address, segment and total of a recording that began with an
 * empty allocator must come out again (specs/torch-caching-allocator.md [17.4]).
 *
 * The driver below answers from the recording: a segment when the recording has one next, else out of
 * memory; a segment that goes back must be the one that went back in the recording. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "tests/tools/recorded_stream.h"
#include "vramscope/pool.h"

#define TRACES     "../shared/traces/"
#define TEXT_BYTES ((size_t)4 * 1024 * 1024)

typedef struct {
    const char *name;
    const recorded_stream *stream;
    uint32_t at; /* the next line */
    uint32_t next_oom;
    uint32_t addresses;
    uint32_t segments;
    vs_pool *pool;
    vs_block *blocks;
} replay;

static const stream_line *line_at(const replay *r, uint32_t at)
{
    static const stream_line end = {.op = 'T'};
    return at < r->stream->count ? &r->stream->lines[at] : &end;
}

static void same(const replay *r, const char *what, uint64_t got, uint64_t want)
{
    if (got != want) {
        fail_msg("%s, line %u: %s is %" PRIu64 ", recorded %" PRIu64, r->name, r->at + 1, what,
                 got, want);
    }
}

static bool recorded_malloc(void *ctx, vs_bytes size, uint64_t *out)
{
    replay *r = ctx;
    const stream_line *line = line_at(r, r->at);
    if (line->op != 'S') {
        return false;
    }
    same(r, "segment size", size, line->field[1]);
    *out = line->field[0];
    r->at++;
    r->segments++;
    return true;
}

static void recorded_free(void *ctx, uint64_t addr, vs_bytes size)
{
    replay *r = ctx;
    const stream_line *line = line_at(r, r->at);
    same(r, "a segment goes back", 'F', (uint64_t)line->op);
    same(r, "its address", addr, line->field[0]);
    same(r, "its size", size, line->field[1]);
    r->at++;
}

/* NOLINTNEXTLINE(readability-non-const-parameter): the type is the driver's */
static bool no_range(void *ctx, vs_bytes size, uint64_t *out)
{
    (void)ctx;
    (void)size;
    (void)out;
    return false;
}

static bool no_page(void *ctx, uint64_t addr, vs_bytes size)
{
    (void)ctx;
    (void)addr;
    (void)size;
    return false;
}

static void nothing(void *ctx, uint64_t addr, vs_bytes size)
{
    (void)ctx;
    (void)addr;
    (void)size;
}

/* The total is not recorded; free memory is, at an out of memory. */
static void recorded_info(void *ctx, vs_bytes *out_free, vs_bytes *out_total)
{
    const replay *r = ctx;
    const stream_line *line = line_at(r, r->at);
    *out_free = line->op == 'O' ? line->field[1] : 0;
    *out_total = 24 * VS_GIB;
}

/* The next line that is neither S nor F. */
static const stream_line *after_segments(const replay *r)
{
    uint32_t at = r->at;
    while (line_at(r, at)->op == 'S' || line_at(r, at)->op == 'F') {
        at++;
    }
    return line_at(r, at);
}

static void replay_alloc(replay *r, const stream_line *alloc)
{
    const vs_pool_request request = {.size_bytes = alloc->field[1], .stream = alloc->field[2]};
    vs_block block = {0};
    same(r, "result", vs_pool_alloc(r->pool, r->at, &request, &block), VS_ALLOC_OK);
    same(r, "the segment events of this allocation are used up", line_at(r, r->at)->op == 'A',
         true);
    same(r, "address", vs_pool_block_addr(r->pool, block), alloc->field[3]);
    r->blocks[alloc->field[0]] = block;
    r->addresses++;
    r->at++;
}

static void replay_oom(replay *r, const stream_line *oom)
{
    const vs_pool_request request = {.size_bytes = oom->field[0]};
    vs_block block = {0};
    same(r, "result", vs_pool_alloc(r->pool, r->at, &request, &block), VS_ALLOC_OOM);
    const vs_oom_info info = vs_pool_oom_info(r->pool);
    same(r, "rounded request", info.rounded_bytes, oom->field[0]);
    same(r, "device free", info.free_bytes, oom->field[1]);
    r->at++;
}

/* Until the end state. Segments that go back without an allocation behind them are a call of
 * empty_cache. */
static void replay_events(replay *r)
{
    while (strchr("SFARO", line_at(r, r->at)->op) != NULL) {
        const stream_line *next = after_segments(r);
        if (line_at(r, r->at)->op == 'R') {
            vs_pool_free(r->pool, r->at, r->blocks[line_at(r, r->at)->field[0]]);
            r->at++;
        } else if (next->op == 'A') {
            replay_alloc(r, next);
        } else if (next->op == 'O') {
            replay_oom(r, next);
        } else {
            vs_pool_empty_cache(r->pool, r->at);
        }
    }
}

static void compare_block(void *ctx, const vs_block_view *view)
{
    replay *r = ctx;
    if (view->addr == view->segment_addr) {
        const stream_line *segment = line_at(r, r->at);
        same(r, "a segment", 'L', (uint64_t)segment->op);
        same(r, "segment address", view->segment_addr, segment->field[0]);
        same(r, "small pool", view->is_small_pool, segment->field[2]);
        same(r, "stream", view->stream, segment->field[3]);
        r->at++;
    }
    const stream_line *block = line_at(r, r->at);
    same(r, "a block", 'B', (uint64_t)block->op);
    same(r, "block address", view->addr, block->field[0]);
    same(r, "block size", view->size_bytes, block->field[1]);
    same(r, "allocated", view->state == VS_BLOCK_ALLOCATED, block->field[2]);
    r->at++;
}

static void compare_end(replay *r, vs_arena *scratch)
{
    assert_true(vs_pool_visit(r->pool, scratch, compare_block, r));
    const stream_line *totals = line_at(r, r->at);
    same(r, "totals follow", 'T', (uint64_t)totals->op);
    const vs_pool_stats *stats = vs_pool_get_stats(r->pool);
    same(r, "reserved", stats->reserved_bytes[VS_STAT_ALL].current, totals->field[0]);
    same(r, "allocated", stats->allocated_bytes[VS_STAT_ALL].current, totals->field[1]);
    vs_err err = {0};
    if (!vs_pool_check(r->pool, scratch, &err)) {
        fail_msg("%s: %s", r->name, err.text);
    }
}

/* What the tool prints for that file; NULL when python3, the tool or the file is not there. */
static const char *extract(const char *name, vs_arena *arena)
{
    const char *command = vs_arena_printf(
        arena, "python3 tests/tools/extract_stream.py " TRACES "%s 2>/dev/null", name);
    char *text = VS_ARRAY(arena, char, TEXT_BYTES);
    assert_true(command != NULL && text != NULL);
    FILE *pipe = popen(command, "r"); /* NOLINT(cert-env33-c): a fixed command */
    if (pipe == NULL) {
        return NULL;
    }
    const size_t got = fread(text, 1, TEXT_BYTES - 1, pipe);
    text[got] = '\0';
    return pclose(pipe) == 0 && got > 0 && got < TEXT_BYTES - 1 ? text : NULL;
}

static void replay_file(const char *name)
{
    vs_arena arena = {0};
    vs_err err = {0};
    assert_true(vs_arena_open(&arena, 64 * VS_MIB, &err));
    const char *text = extract(name, &arena);
    if (text == NULL) {
        vs_arena_close(&arena);
        print_message("skipped: %s or python3 is not there\n", name);
        skip();
        return;
    }
    recorded_stream stream = {0};
    assert_true(stream_parse(text, &arena, &stream));
    replay r = {.name = name, .stream = &stream};
    r.blocks = VS_ARRAY(&arena, vs_block, stream.allocs);
    const vs_driver driver = {.ctx = &r,
                              .malloc_segment = recorded_malloc,
                              .free_segment = recorded_free,
                              .reserve_range = no_range,
                              .map_page = no_page,
                              .unmap_page = nothing,
                              .free_range = nothing,
                              .mem_get_info = recorded_info};
    const vs_pool_desc desc = {.driver = driver};
    r.pool = vs_pool_new(&arena, &desc);
    if (r.pool == NULL || r.blocks == NULL) {
        fail_msg("the arena is too small");
        return;
    }
    replay_events(&r);
    compare_end(&r, &arena);
    print_message("%u addresses, %u segments, end state: all as recorded\n", r.addresses,
                  r.segments);
    assert_int_equal(r.addresses, stream.allocs);
    vs_arena_close(&arena);
}

/* Whole recordings of specs traces/MANIFEST.md: from an empty allocator to the snapshot. */
static void training_step_that_ends_out_of_memory(void **state)
{
    (void)state;
    replay_file("Nesta-gitU__discrete_diffusion__memory_snapshot.pickle.gz");
}

static void forward_and_backward(void **state)
{
    (void)state;
    replay_file("NiuHuangxiaozi__assignment2-systems__cs336_systems_profile_memory_"
                "forward_and_backward_memory_snapshot_100.pickle.gz");
}

static void forward(void **state)
{
    (void)state;
    replay_file("NiuHuangxiaozi__assignment2-systems__cs336_systems_profile_memory_"
                "forward_memory_snapshot_100.pickle.gz");
}

static void forward_in_mixed_precision(void **state)
{
    (void)state;
    replay_file("NiuHuangxiaozi__assignment2-systems__cs336_systems_profile_memory_"
                "forward_memory_snapshot_200_mixed_precision.pickle.gz");
}

static void linear_layers_with_gradient(void **state)
{
    (void)state;
    replay_file("shreyansh26__MLSys-Experiments__model_memory_usage_profile_grad.pkl.gz");
}

static void linear_layers_without_gradient(void **state)
{
    (void)state;
    replay_file("shreyansh26__MLSys-Experiments__model_memory_usage_profile_no_grad.pkl.gz");
}

static void small_program(void **state)
{
    (void)state;
    replay_file("silmont2000__assignment2-systems__mem_snapshot.pickle.gz");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(training_step_that_ends_out_of_memory),
        cmocka_unit_test(forward_and_backward),
        cmocka_unit_test(forward),
        cmocka_unit_test(forward_in_mixed_precision),
        cmocka_unit_test(linear_layers_with_gradient),
        cmocka_unit_test(linear_layers_without_gradient),
        cmocka_unit_test(small_program),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
