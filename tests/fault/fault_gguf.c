/* tests/fault/fault_gguf.c - hostile GGUF files, from the bytes to the model.
 *
 * Every truncation, every byte changed, every failing allocation: a model or one clean error. */
#include "sim/model/gguf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/gguf_bytes.h"
#include "tests/gguf_try.h"

typedef struct {
    vs_arena arena;
    gguf_bytes g;
    uint64_t file_bytes;
    uint8_t copy[GGUF_BYTES_MAX];
    vs_err err;
} bench;

static void put_entries(gguf_bytes *g)
{
    gguf_text(g, "general.architecture", "llama");
    gguf_u32(g, "llama.context_length", 64);
    gguf_u32(g, "llama.embedding_length", 32);
    gguf_u32(g, "llama.block_count", 1);
    gguf_u32(g, "llama.feed_forward_length", 64);
    gguf_u32(g, "llama.attention.head_count", 2);
    gguf_u32(g, "llama.expert_count", 2);
    gguf_u32(g, "llama.expert_used_count", 1);
    gguf_f32(g, "llama.rope.freq_base", 10000.0F);
    gguf_key(g, "nested", VS_GGUF_ARRAY);
    gguf_put_le(g, VS_GGUF_ARRAY, 4);
    gguf_put_le(g, 1, 8);
    gguf_put_le(g, VS_GGUF_U8, 4);
    gguf_put_le(g, 3, 8);
    gguf_put_le(g, 0, 3);
    gguf_tokens(g, 8);
}

static int open_bench(void **state)
{
    bench *const b = calloc(1, sizeof *b);
    assert_non_null(b);
    *state = b;
    gguf_start(&b->g, 3);
    put_entries(&b->g);
    GGUF_TENSOR(&b->g, "token_embd.weight", 8, 32, 8);
    GGUF_TENSOR(&b->g, "output_norm.weight", 0, 32);
    GGUF_TENSOR(&b->g, "blk.0.attn_norm.weight", 0, 32);
    GGUF_TENSOR(&b->g, "blk.0.attn_q.weight", 1, 32, 32);
    GGUF_TENSOR(&b->g, "blk.0.ffn_gate_inp.weight", 0, 32, 2);
    GGUF_TENSOR(&b->g, "blk.0.ffn_gate_exps.weight", 2, 32, 64, 2);
    GGUF_TENSOR(&b->g, "blk.0.ffn_up_exps.weight", 2, 32, 64, 2);
    GGUF_TENSOR(&b->g, "blk.0.ffn_down_exps.weight", 2, 64, 32, 2);
    GGUF_TENSOR(&b->g, "rope_freqs.weight", 0, 8);
    b->file_bytes = gguf_end(&b->g);
    return vs_arena_open(&b->arena, 16 * VS_MIB, NULL) ? 0 : 1;
}

static int close_bench(void **state)
{
    bench *const b = *state;
    vs_arena_close(&b->arena);
    free(b);
    return 0;
}

/* Bytes in a block of their exact size: the address sanitizer sees a read past the end. */
static bool try_bytes(bench *b, const uint8_t *bytes, size_t count, uint64_t file_bytes)
{
    uint8_t *const exact = malloc(count > 0 ? count : 1);
    assert_non_null(exact);
    memcpy(exact, bytes, count);
    vs_arena_reset(&b->arena);
    const bool is_model = gguf_try(&b->arena, exact, count, file_bytes, &b->err);
    free(exact);
    return is_model;
}

static void the_file_itself_is_a_model(void **state)
{
    bench *const b = *state;
    char line[1024];
    if (!try_bytes(b, b->g.bytes, b->g.count, b->file_bytes)) {
        fail_msg("%s", vs_err_line(&b->err, line, sizeof line));
    }
}

static void every_truncation_is_refused(void **state)
{
    bench *const b = *state;
    for (size_t count = 0; count < b->g.count; count++) {
        assert_false(try_bytes(b, b->g.bytes, count, count));
        const bool is_head = count >= b->g.count - 31; /* only padding is lacking */
        assert_true(is_head || !try_bytes(b, b->g.bytes, count, b->file_bytes));
    }
    /* the last tensor ends 32 bytes before the file does */
    assert_false(try_bytes(b, b->g.bytes, b->g.count, b->file_bytes - 1));
}

static void every_changed_byte_is_survived(void **state)
{
    bench *const b = *state;
    static const uint8_t masks[] = {0x01, 0x02, 0x10, 0x80, 0xff};
    uint32_t models = 0;
    memcpy(b->copy, b->g.bytes, b->g.count);
    for (size_t i = 0; i < b->g.count; i++) {
        for (size_t k = 0; k < sizeof masks; k++) {
            b->copy[i] ^= masks[k];
            models += try_bytes(b, b->copy, b->g.count, b->file_bytes);
            b->copy[i] ^= masks[k];
        }
    }
    assert_true(models > 0); /* names and some numbers may change */
}

static void every_allocation_may_fail(void **state)
{
    bench *const b = *state;
    vs_arena_reset(&b->arena);
    assert_true(gguf_try(&b->arena, b->g.bytes, b->g.count, b->file_bytes, &b->err));
    const uint64_t count = b->arena.alloc_count;
    assert_true(count > 50);
    for (uint64_t i = 1; i <= count; i++) {
        vs_arena_reset(&b->arena);
        b->arena.fail_at = i;
        assert_false(gguf_try(&b->arena, b->g.bytes, b->g.count, b->file_bytes, &b->err));
        assert_int_equal(b->err.code, VS_ERR_MEMORY);
    }
    b->arena.fail_at = 0;
}

static void writing_survives_every_failing_allocation(void **state)
{
    bench *const b = *state;
    vs_model model = {0};
    vs_gguf_image image = {0};
    vs_arena_reset(&b->arena);
    b->err = (vs_err){0};
    vs_arena own = {0};
    assert_true(vs_arena_open(&own, 16 * VS_MIB, NULL));
    assert_true(vs_model_open(&model, &own, "llama-2-7b", &b->err));
    assert_true(vs_gguf_make_image(&image, &b->arena, &model, NULL, &b->err));
    const uint64_t count = b->arena.alloc_count;
    for (uint64_t i = 1; i <= count; i++) {
        vs_arena_reset(&b->arena);
        b->arena.fail_at = i;
        b->err = (vs_err){0};
        assert_false(vs_gguf_make_image(&image, &b->arena, &model, NULL, &b->err));
        assert_int_equal(b->err.code, VS_ERR_MEMORY);
    }
    b->arena.fail_at = 0;
    vs_arena_close(&own);
}

#define T(test) cmocka_unit_test_setup_teardown(test, open_bench, close_bench)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(the_file_itself_is_a_model),
        T(every_truncation_is_refused),
        T(every_changed_byte_is_survived),
        T(every_allocation_may_fail),
        T(writing_survives_every_failing_allocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
