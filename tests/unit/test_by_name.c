/* Checkpoints of an architecture that nobody knows: layers, experts, head, dtypes and numbers, from names, shapes and a
 * config of whatever model_type. */
#include "tests/support/stored.h"

static void open_model(stored *s)
{
    tree *const t = s->tree;
    vs_arena_reset(&t->arena);
    t->err = (vs_err){0};
    if (!vs_model_open(&t->model, &t->arena, t->root, &t->err)) {
        fail_msg("%s", vs_err_line(&t->err, t->line, sizeof t->line));
    }
}

static bool has_note(const vs_model *model, const char *text)
{
    for (uint32_t i = 0; i < model->note_count; i++) {
        if (strstr(model->notes[i], text) != NULL) {
            return true;
        }
    }
    return false;
}

static const vs_target *target_named(const vs_model *model, const char *name)
{
    for (uint32_t i = 0; i < model->target_count; i++) {
        if (strcmp(model->targets[i].name, name) == 0) {
            return &model->targets[i];
        }
    }
    fail_msg("no target %s", name);
    return NULL;
}

/* A decoder of two layers with three experts in the second, and a smaller vision tower with more layers. */
static const char *const mixed[] = {
    "lm_head.weight BF16 100,16",
    "model.embed_tokens.weight BF16 100,16",
    "model.layers.0.mlp.up_proj.weight BF16 32,16",
    "model.layers.0.self_attn.k_proj.weight BF16 8,16",
    "model.layers.0.self_attn.v_proj.weight BF16 6,16",
    "model.layers.1.moe.experts.0.w1.weight BF16 32,16",
    "model.layers.1.moe.experts.1.w1.weight BF16 32,16",
    "model.layers.1.moe.experts.2.w1.weight BF16 32,16",
    "model.layers.1.moe.router.weight F32 3,16",
    "model.layers.1.self_attn.k_proj.weight BF16 8,16",
    "model.layers.1.self_attn.v_proj.weight BF16 6,16",
    "vision.blocks.0.mlp.weight BF16 4,4",
    "vision.blocks.1.mlp.weight BF16 4,4",
    "vision.blocks.2.mlp.weight BF16 4,4",
};

static void the_stem_that_holds_most_is_the_decoder(void **state)
{
    stored *s = *state;
    STORED_TENSORS(s, mixed);
    open_model(s);
    const vs_model *const m = &s->tree->model;
    assert_int_equal(m->dims.layers, 2);
    assert_int_equal(target_named(m, "model.layers.1.moe.router.weight")->layer, 1);
    assert_int_equal(target_named(m, "vision.blocks.1.mlp.weight")->layer, -1);
    assert_int_equal(target_named(m, "lm_head.weight")->layer, -1);
}

static void experts_embedding_and_head_are_told_from_names(void **state)
{
    stored *s = *state;
    STORED_TENSORS(s, mixed);
    open_model(s);
    const vs_model *const m = &s->tree->model;
    assert_int_equal(m->dims.experts, 3);
    assert_int_equal(m->dims.experts_per_token, 0);
    assert_int_equal(m->dims.vocab, 100);
    assert_int_equal(m->dims.hidden, 16);
    assert_true((target_named(m, "lm_head.weight")->flags & VS_TF_OUTPUT_HEAD) != 0);
    assert_string_equal(m->no_split_class, "");
    assert_true(has_note(m, "read from headers; architecture unknown: no config.json"));
    assert_true(has_note(m, "placed in the order of the file"));
    assert_false(has_note(m, "no output head"));
}

static void fused_experts_are_counted_by_their_first_dimension(void **state)
{
    static const char *const lines[] = {
        "model.layers.0.ffn.experts.gate_up_proj BF16 5,8,16",
        "model.layers.0.ffn.experts.down_proj BF16 5,16,4",
    };
    stored *s = *state;
    STORED_TENSORS(s, lines);
    open_model(s);
    assert_int_equal(s->tree->model.dims.experts, 5);
    assert_true(has_note(&s->tree->model, "no output head is stored"));
}

static void without_a_config_the_cache_is_told_from_the_projections(void **state)
{
    stored *s = *state;
    STORED_TENSORS(s, mixed);
    open_model(s);
    assert_int_equal(s->tree->model.dims.kv_elements, 8 + 6);
    assert_int_equal(s->tree->model.dims.full_layers, 0); /* all of them */
    vs_model_summary summary = {0};
    assert_true(vs_model_summarise(&summary, &s->tree->model, &s->tree->arena, NULL));
    assert_int_equal(summary.kv.token_bytes, 2 * (8 + 6) * 2);
}

static void layers_without_keys_keep_a_state(void **state)
{
    static const char *const lines[] = {
        "model.layers.0.mixer.conv.weight BF16 4,4",
        "model.layers.1.self_attn.k_proj.weight BF16 8,16",
        "model.layers.1.self_attn.v_proj.weight BF16 8,16",
        "model.layers.2.mixer.conv.weight BF16 4,4",
    };
    stored *s = *state;
    STORED_TENSORS(s, lines);
    open_model(s);
    assert_int_equal(s->tree->model.dims.full_layers, 1);
    vs_model_summary summary = {0};
    assert_true(vs_model_summarise(&summary, &s->tree->model, &s->tree->arena, NULL));
    assert_int_equal(summary.kv.linear_layers, 2);
    assert_false(summary.kv.is_state_known);
}

static void a_config_of_any_type_gives_its_numbers(void **state)
{
    stored *s = *state;
    STORED_TENSORS(s, mixed);
    tree_text(s->tree, "config.json",
              "{\"model_type\":\"brandnew\",\"hidden_size\":16,\"num_hidden_layers\":1,"
              "\"num_attention_heads\":4,\"num_key_value_heads\":2,\"num_experts_per_tok\":2,"
              "\"vocab_size\":\"many\",\"max_position_embeddings\":512}");
    open_model(s);
    const vs_model_dims *const d = &s->tree->model.dims;
    assert_int_equal(d->heads, 4);
    assert_int_equal(d->kv_heads, 2);
    assert_int_equal(d->head_dim, 4);
    assert_int_equal(d->kv_elements, 0);
    assert_int_equal(d->layers, 1); /* the second predicts tokens further ahead */
    assert_int_equal(d->experts, 3);
    assert_int_equal(d->experts_per_token, 2);
    assert_int_equal(d->max_positions, 512);
    assert_int_equal(d->vocab, 100); /* of another type in the config: from the embedding */
    assert_true(has_note(&s->tree->model, "model_type \"brandnew\" is not known"));
}

static void numbers_may_be_under_text_config_and_older_names(void **state)
{
    stored *s = *state;
    STORED_TENSORS(s, mixed);
    tree_text(s->tree, "config.json",
              "{\"model_type\":\"brandnew\",\"text_config\":{\"n_head\":4,\"n_embd\":16,"
              "\"kv_lora_rank\":6,\"qk_rope_head_dim\":2}}");
    open_model(s);
    assert_int_equal(s->tree->model.dims.heads, 4);
    assert_int_equal(s->tree->model.dims.kv_heads, 4);
    assert_int_equal(s->tree->model.dims.hidden, 16);
    assert_int_equal(s->tree->model.dims.kv_elements, 8);
}

static void packed_weights_and_their_scales_keep_their_type(void **state)
{
    static const char *const lines[] = {
        "model.layers.0.mlp.up_proj.qweight I32 4,16",
        "model.layers.0.mlp.up_proj.scales F16 2,16",
        "model.layers.0.input_layernorm.weight F16 16",
        "model.layers.0.position_ids I64 1,512",
    };
    stored *s = *state;
    STORED_TENSORS(s, lines);
    open_model(s);
    const vs_model *const m = &s->tree->model;
    assert_int_equal(target_named(m, "model.layers.0.mlp.up_proj.qweight")->fixed_dtype,
                     VS_DT_I32);
    assert_int_equal(target_named(m, "model.layers.0.mlp.up_proj.scales")->fixed_dtype,
                     VS_DT_F16);
    assert_int_equal(target_named(m, "model.layers.0.input_layernorm.weight")->fixed_dtype,
                     VS_DT_COUNT);
    assert_int_equal(target_named(m, "model.layers.0.position_ids")->fixed_dtype, VS_DT_I64);
    assert_int_equal(m->quant.format, VS_QF_OTHER);
}

static void floats_follow_the_load_dtype(void **state)
{
    stored *s = *state;
    STORED_TENSORS(s, mixed);
    open_model(s);
    assert_int_equal(s->tree->model.quant.format, VS_QF_NONE);
    for (uint32_t i = 0; i < s->tree->model.target_count; i++) {
        assert_int_equal(s->tree->model.targets[i].fixed_dtype, VS_DT_COUNT);
    }
}

static void absurd_numbers_in_names_are_no_layers(void **state)
{
    static const char *const lines[] = {
        "model.layers.99999999999999999999.w.weight BF16 2,2",
        "model.layers.999999999.experts.99999999.w.weight BF16 2,2",
        "7.weight BF16 2,2",
        "a.7 BF16 2,2",
    };
    stored *s = *state;
    STORED_TENSORS(s, lines);
    open_model(s);
    const vs_model *const m = &s->tree->model;
    assert_int_equal(target_named(m, "7.weight")->layer, -1);
    assert_int_equal(target_named(m, "a.7")->layer, -1);
    assert_int_equal(m->dims.layers, UINT64_C(1000000000));
    assert_int_equal(m->dims.experts, 0);
    vs_model_summary summary = {0};
    assert_true(vs_model_summarise(&summary, m, &s->tree->arena, NULL));
    assert_int_equal(summary.loaded.tensors, 4);
}

static void every_failed_allocation_is_a_clean_error(void **state)
{
    stored *s = *state;
    tree *const t = s->tree;
    STORED_TENSORS(s, mixed);
    bool has_passed = false;
    for (uint64_t n = 1; !has_passed; n++) {
        vs_arena_reset(&t->arena);
        t->err = (vs_err){0};
        t->arena.fail_at = n;
        has_passed = vs_model_open(&t->model, &t->arena, t->root, &t->err);
        assert_int_equal(t->err.code, has_passed ? VS_OK : VS_ERR_MEMORY);
        assert_true(n < 1000);
    }
    t->arena.fail_at = 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_STORED(the_stem_that_holds_most_is_the_decoder),
        WITH_STORED(experts_embedding_and_head_are_told_from_names),
        WITH_STORED(fused_experts_are_counted_by_their_first_dimension),
        WITH_STORED(without_a_config_the_cache_is_told_from_the_projections),
        WITH_STORED(layers_without_keys_keep_a_state),
        WITH_STORED(a_config_of_any_type_gives_its_numbers),
        WITH_STORED(numbers_may_be_under_text_config_and_older_names),
        WITH_STORED(packed_weights_and_their_scales_keep_their_type),
        WITH_STORED(floats_follow_the_load_dtype),
        WITH_STORED(absurd_numbers_in_names_are_no_layers),
        WITH_STORED(every_failed_allocation_is_a_clean_error),
    };
    return cmocka_run_group_tests_name("by_name", tests, NULL, NULL);
}
