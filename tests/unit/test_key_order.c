/* tests/unit/test_key_order.c - the order of keys, specs/transformers-loading.md [2.3]. */
#include "vramscope/model.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

/* Each list is in order; checks every pair both ways. */
static void check_ascending(const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(vs_key_compare(names[i], names[i]), 0);
        for (size_t k = i + 1; k < count; k++) {
            assert_true(vs_key_compare(names[i], names[k]) < 0);
            assert_true(vs_key_compare(names[k], names[i]) > 0);
        }
    }
}

#define CHECK_ASCENDING(...)                                                                   \
    do {                                                                                       \
        static const char *const list[] = {__VA_ARGS__};                                       \
        check_ascending(list, sizeof list / sizeof list[0]);                                   \
    } while (0)

static void numbers_come_by_value(void **state)
{
    (void)state;
    CHECK_ASCENDING("layers.0.a", "layers.2.a", "layers.10.a", "layers.100.a");
    CHECK_ASCENDING("a.18446744073709551615", "a.18446744073709551616",
                    "a.99999999999999999999999");
}

static void numbers_come_before_text(void **state)
{
    (void)state;
    CHECK_ASCENDING("a.9", "a.A", "a.b", "a.b9");
    CHECK_ASCENDING("7", "", "a");
}

static void text_compares_bytewise(void **state)
{
    (void)state;
    CHECK_ASCENDING("A", "Z", "_", "a", "z", "\xc3\xa9");
}

static void a_text_with_a_number_behind_comes_by_text_then_number(void **state)
{
    (void)state;
    CHECK_ASCENDING("w", "w1", "w2", "w3", "w11", "wa");
    CHECK_ASCENDING("shard_2.x", "shard_11.x", "shard_a.x");
    /* "1a" and "01b" end in no digit: plain text. */
    CHECK_ASCENDING("x_", "x_0", "x_01b", "x_1a");
}

static void a_key_that_another_one_continues_comes_first(void **state)
{
    (void)state;
    CHECK_ASCENDING("a", "a.0", "a.b", "a.b.c");
}

static void a_llama_loads_head_embedding_layers_norm(void **state)
{
    (void)state;
    CHECK_ASCENDING(
        "lm_head.weight", "model.embed_tokens.weight", "model.layers.0.input_layernorm.weight",
        "model.layers.0.mlp.down_proj.weight", "model.layers.0.mlp.gate_proj.weight",
        "model.layers.0.mlp.up_proj.weight", "model.layers.0.post_attention_layernorm.weight",
        "model.layers.0.self_attn.k_proj.weight", "model.layers.0.self_attn.o_proj.weight",
        "model.layers.0.self_attn.q_proj.weight", "model.layers.0.self_attn.v_proj.weight",
        "model.layers.1.input_layernorm.weight", "model.norm.weight");
}

static void a_mixtral_layer_loads_expert_by_expert(void **state)
{
    (void)state;
    CHECK_ASCENDING(
        "m.block_sparse_moe.experts.0.w1.weight", "m.block_sparse_moe.experts.0.w2.weight",
        "m.block_sparse_moe.experts.0.w3.weight", "m.block_sparse_moe.experts.1.w1.weight",
        "m.block_sparse_moe.experts.10.w1.weight", "m.block_sparse_moe.gate.weight",
        "m.input_layernorm.weight");
}

static void names_that_python_calls_equal_still_have_an_order(void **state)
{
    (void)state;
    CHECK_ASCENDING("a.01", "a.1");
    CHECK_ASCENDING("a.b01.c", "a.b1.c");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_come_by_value),
        cmocka_unit_test(numbers_come_before_text),
        cmocka_unit_test(text_compares_bytewise),
        cmocka_unit_test(a_text_with_a_number_behind_comes_by_text_then_number),
        cmocka_unit_test(a_key_that_another_one_continues_comes_first),
        cmocka_unit_test(a_llama_loads_head_embedding_layers_norm),
        cmocka_unit_test(a_mixtral_layer_loads_expert_by_expert),
        cmocka_unit_test(names_that_python_calls_equal_still_have_an_order),
    };
    return cmocka_run_group_tests_name("key order", tests, NULL, NULL);
}
