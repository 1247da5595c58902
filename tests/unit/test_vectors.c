/* The conformance vectors of specs/allocator-vectors.json, from the file itself (section 21 of
 * specs/torch-caching-allocator.md): each at its `since` and at the newest release it allows, every
 * state field after every step and the final layout. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vramscope/pool.h"

#define VECTORS_PATH "../shared/specs/allocator-vectors.json"
#define MAX_IDS      256
#define MAX_BASES    256

/* The model driver, with ordinals: the n-th successful cudaMalloc, the n-th reservation. */
typedef struct {
    vs_model_driver model;
    vs_driver calls;
    uint64_t segment_addr[MAX_BASES];
    uint32_t segment_count;
    uint64_t range_addr[MAX_BASES];
    uint32_t range_count;
} counting_driver;

static bool count_malloc(void *ctx, vs_bytes size, uint64_t *out)
{
    counting_driver *d = ctx;
    if (!d->calls.malloc_segment(d->calls.ctx, size, out)) {
        return false;
    }
    assert_true(d->segment_count < MAX_BASES);
    d->segment_addr[d->segment_count++] = *out;
    return true;
}

static bool count_reserve(void *ctx, vs_bytes size, uint64_t *out)
{
    counting_driver *d = ctx;
    if (!d->calls.reserve_range(d->calls.ctx, size, out)) {
        return false;
    }
    assert_true(d->range_count < MAX_BASES);
    d->range_addr[d->range_count++] = *out;
    return true;
}

static void pass_free(void *ctx, uint64_t addr, vs_bytes size)
{
    counting_driver *d = ctx;
    d->calls.free_segment(d->calls.ctx, addr, size);
}

static bool pass_map(void *ctx, uint64_t addr, vs_bytes size)
{
    counting_driver *d = ctx;
    return d->calls.map_page(d->calls.ctx, addr, size);
}

static void pass_unmap(void *ctx, uint64_t addr, vs_bytes size)
{
    counting_driver *d = ctx;
    d->calls.unmap_page(d->calls.ctx, addr, size);
}

static void pass_free_range(void *ctx, uint64_t addr, vs_bytes size)
{
    counting_driver *d = ctx;
    d->calls.free_range(d->calls.ctx, addr, size);
}

static void pass_mem_get_info(void *ctx, vs_bytes *free_bytes, vs_bytes *total)
{
    counting_driver *d = ctx;
    d->calls.mem_get_info(d->calls.ctx, free_bytes, total);
}

typedef struct {
    const char *vector; /* for messages */
    vs_torch_version torch;
    uint32_t step;
    counting_driver driver;
    vs_pool *pool;
    char id[MAX_IDS][16];
    vs_block block[MAX_IDS];
    uint32_t id_count;
    vs_arena scratch;
} vector_run;

static void fail_run(const vector_run *run, const char *what, uint64_t got, uint64_t want)
{
    fail_msg("%s on %u, step %u: %s is %" PRIu64 ", the vector says %" PRIu64, run->vector,
             run->torch, run->step, what, got, want);
}

static void same(const vector_run *run, const char *what, uint64_t got, uint64_t want)
{
    if (got != want) {
        fail_run(run, what, got, want);
    }
}

static uint64_t get_u64(const vs_jnode *object, const char *key)
{
    vs_err err = {0};
    uint64_t value = 0;
    if (!vs_json_get_u64(object, key, true, &value, &err)) {
        fail_msg("%s", err.text);
    }
    return value;
}

static void get_text(const vs_jnode *object, const char *key, char *out, size_t out_bytes)
{
    vs_err err = {0};
    vs_str text = {"", 0};
    if (!vs_json_get_str(object, key, false, &text, &err)) {
        fail_msg("%s", err.text);
    }
    assert_true(text.len < out_bytes);
    memcpy(out, text.ptr, text.len);
    out[text.len] = '\0';
}

static uint32_t find_id(const vector_run *run, const char *id)
{
    for (uint32_t i = run->id_count; i > 0; i--) {
        if (strcmp(run->id[i - 1], id) == 0) {
            return i - 1;
        }
    }
    fail_msg("%s: unknown id %s", run->vector, id);
    return 0;
}

static void check_state(const vector_run *run, const vs_jnode *state)
{
    const vs_pool_stats *s = vs_pool_get_stats(run->pool);

    const struct {
        const char *key;
        uint64_t value;
    } fields[] = {
        {"allocated", s->allocated_bytes[VS_STAT_ALL].current},
        {"reserved", s->reserved_bytes[VS_STAT_ALL].current},
        {"active", s->active_bytes[VS_STAT_ALL].current},
        {"requested", s->requested_bytes[VS_STAT_ALL].current},
        {"inactive_split_bytes", s->inactive_split_bytes[VS_STAT_ALL].current},
        {"inactive_split", s->inactive_split[VS_STAT_ALL].current},
        {"segments", s->segment[VS_STAT_ALL].current},
        {"allocations", s->allocation[VS_STAT_ALL].current},
        {"active_blocks", s->active[VS_STAT_ALL].current},
        {"num_alloc_retries", s->num_alloc_retries},
        {"num_ooms", s->num_ooms},
        {"oversize_allocations", s->oversize_allocations.current},
        {"oversize_segments", s->oversize_segments.current},
        {"num_device_alloc", s->num_device_alloc},
        {"num_device_free", s->num_device_free},
    };

    const size_t count = sizeof fields / sizeof fields[0];
    same(run, "number of state fields", count, vs_json_count(state));
    for (size_t i = 0; i < count; i++) {
        same(run, fields[i].key, fields[i].value, get_u64(state, fields[i].key));
    }
}

static void step_alloc(vector_run *run, const vs_jnode *step)
{
    const vs_jnode expect = vs_json_member(step, "expect");
    vs_err err = {0};
    uint64_t stream = 0;
    assert_true(vs_json_get_u64(step, "stream", false, &stream, &err));
    const vs_pool_request request = {
        .size_bytes = get_u64(step, "bytes"), .stream = stream, .category = VS_CAT_W_16};
    vs_block block = {0};
    const vs_alloc_result result = vs_pool_alloc(run->pool, run->step, &request, &block);
    char text[16];
    get_text(&expect, "result", text, sizeof text);
    if (strcmp(text, "oom") == 0) {
        same(run, "result", result, VS_ALLOC_OOM);
        const vs_oom_info oom = vs_pool_oom_info(run->pool);
        same(run, "tried", oom.attempted_bytes, get_u64(&expect, "tried"));
        same(run, "device_free", oom.free_bytes, get_u64(&expect, "device_free"));
        return;
    }
    same(run, "result", result, VS_ALLOC_OK);
    const vs_jnode range = vs_json_member(&expect, "range");
    const uint64_t ordinal = get_u64(&expect, range.node != NULL ? "range" : "segment");
    assert_true(ordinal < MAX_BASES);
    const uint64_t base = range.node != NULL ? run->driver.range_addr[ordinal]
                                             : run->driver.segment_addr[ordinal];
    same(run, "block size", vs_pool_block_size(run->pool, block), get_u64(&expect, "block"));
    same(run, "address", vs_pool_block_addr(run->pool, block),
         base + get_u64(&expect, "offset"));
    assert_true(run->id_count < MAX_IDS);
    get_text(step, "id", run->id[run->id_count], sizeof run->id[0]);
    run->block[run->id_count++] = block;
}

static void run_step(vector_run *run, const vs_jnode *step)
{
    char op[24];
    char id[16];
    get_text(step, "op", op, sizeof op);
    get_text(step, "id", id, sizeof id);
    if (strcmp(op, "alloc") == 0) {
        step_alloc(run, step);
    } else if (strcmp(op, "free") == 0) {
        vs_pool_free(run->pool, run->step, run->block[find_id(run, id)]);
    } else if (strcmp(op, "record_stream") == 0) {
        assert_true(vs_pool_record_stream(run->pool, run->block[find_id(run, id)],
                                          get_u64(step, "stream")));
    } else if (strcmp(op, "stream_busy") == 0) {
        vs_pool_stream_busy(run->pool, get_u64(step, "stream"));
    } else if (strcmp(op, "stream_done") == 0) {
        vs_pool_stream_done(run->pool, get_u64(step, "stream"));
    } else if (strcmp(op, "empty_cache") == 0) {
        vs_pool_empty_cache(run->pool, run->step);
    } else {
        fail_msg("%s: unknown op %s", run->vector, op);
    }
    const vs_jnode state = vs_json_member(step, "state");
    check_state(run, &state);
    vs_err err = {0};
    vs_arena_reset(&run->scratch);
    if (!vs_pool_check(run->pool, &run->scratch, &err)) {
        fail_msg("%s step %u: %s", run->vector, run->step, err.text);
    }
    run->step++;
}

/* ---- final layout ------------------------------------------------------------------------ */

typedef struct {
    vector_run *run;
    vs_jnode segment; /* the one expected now */
    vs_jnode block;   /* of it */
    uint64_t segment_addr;
    uint32_t segments;
} layout_walk;

static void expect_segment(layout_walk *walk, const vs_block_view *view)
{
    vector_run *run = walk->run;
    walk->segment = walk->segments == 0 ? walk->segment : vs_json_next(&walk->segment);
    same(run, "a segment is expected", walk->segment.node != NULL, true);
    walk->segments++;
    walk->segment_addr = view->segment_addr;
    const char *key = view->is_expandable ? "range" : "segment";
    const uint64_t ordinal = get_u64(&walk->segment, key);
    assert_true(ordinal < MAX_BASES);
    same(run, "segment address", view->segment_addr,
         view->is_expandable ? run->driver.range_addr[ordinal]
                             : run->driver.segment_addr[ordinal]);
    char text[16];
    get_text(&walk->segment, "pool", text, sizeof text);
    assert_string_equal(text, view->is_small_pool ? "small" : "large");
    same(run, "stream", view->stream, get_u64(&walk->segment, "stream"));
    const vs_jnode blocks = vs_json_member(&walk->segment, "blocks");
    walk->block = vs_json_first(&blocks);
}

static void visit_block(void *ctx, const vs_block_view *view)
{
    static const char *const states[] = {"allocated", "pending", "free", "unmapped"};
    layout_walk *walk = ctx;
    if (view->segment_addr != walk->segment_addr) {
        assert_null(walk->block.node); /* the segment before is finished */
        expect_segment(walk, view);
    }
    assert_non_null(walk->block.node);
    same(walk->run, "layout: size", view->size_bytes, get_u64(&walk->block, "size"));
    char text[16];
    get_text(&walk->block, "state", text, sizeof text);
    assert_string_equal(text, states[view->state]);
    if (view->state == VS_BLOCK_ALLOCATED || view->state == VS_BLOCK_PENDING) {
        get_text(&walk->block, "id", text, sizeof text);
        same(walk->run, "layout: handle", view->block.id,
             walk->run->block[find_id(walk->run, text)].id);
    }
    walk->block = vs_json_next(&walk->block);
}

static void check_layout(vector_run *run, const vs_jnode *vector)
{
    const vs_jnode layout = vs_json_member(vector, "final_layout");
    layout_walk walk = {.run = run, .segment = vs_json_first(&layout)};
    vs_arena_reset(&run->scratch);
    assert_true(vs_pool_visit(run->pool, &run->scratch, visit_block, &walk));
    assert_null(walk.block.node);
    same(run, "segments in the layout", walk.segments, vs_json_count(&layout));
}

/* ---- one vector ------------------------------------------------------------------------------ */

/* "2.10" is 210; an open end is the newest. */
static vs_torch_version release_of(const vs_jnode *vector, const char *key)
{
    char text[16];
    get_text(vector, key, text, sizeof text);
    if (text[0] == '\0') {
        return VS_TORCH_NEWEST;
    }
    assert_true(text[0] == '2' && text[1] == '.');
    return 200u + (vs_torch_version)strtoul(text + 2, NULL, 10);
}

static void run_vector(const vs_jnode *vector, const char *id, vs_torch_version torch)
{
    vs_arena arena = {0};
    vs_err err = {0};
    assert_true(vs_arena_open(&arena, 64 * VS_MIB, &err));
    vector_run *run = VS_NEW(&arena, vector_run);
    assert_non_null(run);
    assert_true(vs_arena_open(&run->scratch, 4 * VS_MIB, &err));
    run->vector = id;
    run->torch = torch;

    char config[128];
    get_text(vector, "config", config, sizeof config);
    vs_alloc_conf conf = vs_alloc_conf_default(torch);
    if (!vs_alloc_conf_parse(&conf, vs_str_of(config), &err)) {
        fail_msg("%s on %u: %s", id, torch, err.text);
    }
    vs_model_driver_init(&run->driver.model, get_u64(vector, "device_total"), 0);
    run->driver.calls = vs_model_driver_calls(&run->driver.model);
    const vs_driver driver = {.ctx = &run->driver,
                              .malloc_segment = count_malloc,
                              .free_segment = pass_free,
                              .reserve_range = count_reserve,
                              .map_page = pass_map,
                              .unmap_page = pass_unmap,
                              .free_range = pass_free_range,
                              .mem_get_info = pass_mem_get_info};
    const vs_pool_desc desc = {.conf = &conf, .driver = driver};
    run->pool = vs_pool_new(&arena, &desc);
    assert_non_null(run->pool);
    double fraction = -1.0;
    assert_true(vs_json_get_double(vector, "memory_fraction", false, &fraction, &err));
    if (fraction >= 0.0) {
        vs_pool_set_fraction(run->pool, fraction);
    }
    const vs_jnode steps = vs_json_member(vector, "steps");
    for (vs_jnode step = vs_json_first(&steps); step.node != NULL; step = vs_json_next(&step)) {
        run_step(run, &step);
    }
    check_layout(run, vector);
    vs_arena_close(&run->scratch);
    vs_arena_close(&arena);
}

static void all_vectors_hold_at_their_first_and_newest_release(void **state)
{
    (void)state;
    FILE *file = fopen(VECTORS_PATH, "rb");
    if (file == NULL) {
        print_message("skipped: %s is not there\n", VECTORS_PATH);
        skip();
    }
    (void)fclose(file);
    vs_json doc = {0};
    vs_err err = {0};
    if (!vs_json_read(&doc, VECTORS_PATH, &err)) {
        fail_msg("%s", err.text);
    }
    const vs_jnode root = vs_json_root(&doc);
    const vs_jnode vectors = vs_json_member(&root, "vectors");
    uint32_t count = 0;
    for (vs_jnode v = vs_json_first(&vectors); v.node != NULL; v = vs_json_next(&v)) {
        char id[16];
        get_text(&v, "id", id, sizeof id);
        const vs_torch_version since = release_of(&v, "since");
        const vs_torch_version until = release_of(&v, "until");
        run_vector(&v, id, since);
        run_vector(&v, id, until);
        count++;
    }
    assert_int_equal(count, 40);
    vs_json_close(&doc);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_vectors_hold_at_their_first_and_newest_release),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
