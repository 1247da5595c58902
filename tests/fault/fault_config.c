/* tests/fault/fault_config.c - hostile config files: truncated, changed, and without memory to read them. */
#include "tests/support/config.h"

static const char *const configs[] = {
    "{" MIXTRAL ",\"torch_dtype\":\"bfloat16\"}",
    "{" QWEN3_MOE ",\"num_hidden_layers\":3,\"decoder_sparse_step\":2,\"mlp_only_layers\":[1],"
    "\"tie_word_embeddings\":true,\"architectures\":[\"X\"]}",
};

/* The text in a block of its exact size. */
static bool try_config(bench *b, const char *text, size_t count)
{
    char *const exact = malloc(count > 0 ? count : 1);
    assert_non_null(exact);
    memcpy(exact, text, count);
    vs_model model = {.tensor_count = 99};
    vs_err err = {0};
    vs_arena_reset(&b->arena);
    const bool is_read = vs_model_from_config(&model, &b->arena, exact, count, "hostile", &err);
    free(exact);
    if (!is_read) {
        assert_int_equal(model.tensor_count, 99);
        assert_int_not_equal(err.code, VS_OK);
        assert_int_not_equal(err.code, VS_ERR_INTERNAL);
        assert_string_not_equal(err.text, "");
        assert_string_equal(err.input, "hostile");
    }
    return is_read;
}

static void every_truncation_is_an_error(void **state)
{
    bench *b = *state;
    for (size_t c = 0; c < sizeof configs / sizeof configs[0]; c++) {
        const size_t whole = strlen(configs[c]);
        for (size_t count = 0; count < whole; count++) {
            assert_false(try_config(b, configs[c], count));
        }
        assert_true(try_config(b, configs[c], whole));
    }
}

/* Each bit turned, and each byte replaced by one that means something. Digits may make a model of up to a
 * million tensors out of a small one, so the values stay few. */
static void every_byte_changed_is_survived(void **state)
{
    bench *b = *state;
    static const char meaningful[] = "\"\\{}[],:0-. \n\xff";
    size_t outcomes[2] = {0};
    for (size_t c = 0; c < sizeof configs / sizeof configs[0]; c++) {
        char broken[512];
        const size_t whole = strlen(configs[c]);
        assert_true(whole < sizeof broken);
        memcpy(broken, configs[c], whole + 1);
        for (size_t at = 0; at < whole; at++) {
            for (size_t k = 0; k < 8 + sizeof meaningful; k++) {
                const int value = k < 8 ? configs[c][at] ^ (1 << k) : meaningful[k - 8];
                broken[at] = (char)value;
                outcomes[try_config(b, broken, whole)]++;
            }
            broken[at] = configs[c][at];
        }
    }
    assert_true(outcomes[true] > 0 && outcomes[false] > outcomes[true]);
}

static void every_failing_allocation_is_reported(void **state)
{
    bench *b = *state;
    for (uint64_t n = 1; n < 10000; n++) {
        vs_model model = {0};
        vs_err err = {0};
        vs_arena_reset(&b->arena);
        b->arena.fail_at = n;
        if (vs_model_from_config(&model, &b->arena, configs[0], strlen(configs[0]), "hostile",
                                 &err)) {
            assert_true(n > 50);
            return;
        }
        assert_int_equal(err.code, VS_ERR_MEMORY);
    }
    fail();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_BENCH(every_truncation_is_an_error),
        WITH_BENCH(every_byte_changed_is_survived),
        WITH_BENCH(every_failing_allocation_is_reported),
    };
    return cmocka_run_group_tests_name("config faults", tests, NULL, NULL);
}
