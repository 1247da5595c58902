/* tests/unit/test_write_layers.c - a model with fewer layers: its config and its tensors. */
#include "sim/model/write.h"
#include "tests/support/written.h"

/* ---- configs ---------------------------------------------------------------------------------- */

static void cuts(written *w, const char *config, uint64_t from, uint64_t to,
                 const char *expected)
{
    vs_str out = {NULL, 0};
    if (!vs_config_cut(&out, &w->arena, vs_str_of(config), from, to, &w->err)) {
        written_fail(w);
    }
    assert_string_equal(vs_str_copy(&w->arena, out), expected);
}

static void refuses(written *w, const char *config, const char *says)
{
    vs_str out = {NULL, 0};
    w->err = (vs_err){0};
    assert_false(vs_config_cut(&out, &w->arena, vs_str_of(config), 4, 2, &w->err));
    written_says(w, says);
}

static void every_spelling_of_the_number_of_layers_is_known(void **state)
{
    written *w = *state;
    cuts(w, "{\"num_hidden_layers\": 32}", 32, 2, "{\"num_hidden_layers\": 2}");
    cuts(w, "{\"n_layer\":70}", 70, 10, "{\"n_layer\":10}");
    cuts(w, "{\"n_layers\":7}", 7, 6, "{\"n_layers\":6}");
    cuts(w, "{\"num_layers\":7}", 7, 6, "{\"num_layers\":6}");
}

static void everything_else_keeps_its_bytes(void **state)
{
    cuts(*state,
         " {\n\t\"a\" : 1e-05, \"num_hidden_layers\":4 ,\n \"u\":\"\\u00e9\", \"n\":null,"
         "\"o\":{\"num_hidden_layers\":4}, \"rope_theta\":1000000.0}\n",
         4, 1,
         " {\n\t\"a\" : 1e-05, \"num_hidden_layers\":1 ,\n \"u\":\"\\u00e9\", \"n\":null,"
         "\"o\":{\"num_hidden_layers\":4}, \"rope_theta\":1000000.0}\n");
}

static void the_text_part_of_a_multimodal_config_is_cut_and_its_vision_part_is_not(void **state)
{
    cuts(*state,
         "{\"vision_config\":{\"num_hidden_layers\":4},"
         "\"text_config\":{\"num_hidden_layers\":4,\"layer_types\":[\"a\",\"b\",\"a\",\"b\"]}}",
         4, 3,
         "{\"vision_config\":{\"num_hidden_layers\":4},"
         "\"text_config\":{\"num_hidden_layers\":3,\"layer_types\":[\"a\",\"b\",\"a\"]}}");
}

static void lists_with_an_item_a_layer_are_cut(void **state)
{
    written *w = *state;
    cuts(w, "{\"layer_types\": [\n \"x\",\n \"y\",\n \"z\"\n], \"num_hidden_layers\": 3}", 3, 1,
         "{\"layer_types\": [\n \"x\"\n], \"num_hidden_layers\": 1}");
    cuts(w, "{\"num_hidden_layers\":3,\"no_rope_layers\":[1,1,0]}", 3, 2,
         "{\"num_hidden_layers\":2,\"no_rope_layers\":[1,1]}");
}

static void lists_of_another_length_and_other_kinds_of_values_stay(void **state)
{
    written *w = *state;
    cuts(
        w,
        "{\"num_hidden_layers\":3,\"layer_types\":[1,2],\"no_rope_layers\":[],\"eos\":[1,2,3]}",
        3, 1,
        "{\"num_hidden_layers\":1,\"layer_types\":[1,2],\"no_rope_layers\":[],\"eos\":[1,2,3]"
        "}");
    cuts(w, "{\"num_hidden_layers\":3,\"layer_types\":null,\"moe_layer_freq\":3,\"n_layer\":7}",
         3, 1,
         "{\"num_hidden_layers\":1,\"layer_types\":null,\"moe_layer_freq\":3,\"n_layer\":7}");
}

static void lists_of_layer_numbers_lose_those_that_are_gone(void **state)
{
    written *w = *state;
    cuts(w, "{\"num_hidden_layers\":5,\"mlp_only_layers\":[4, 0, 2 ,1,3]}", 5, 2,
         "{\"num_hidden_layers\":2,\"mlp_only_layers\":[0,1]}");
    cuts(w, "{\"num_hidden_layers\":5,\"mlp_only_layers\":[3 , 4]}", 5, 2,
         "{\"num_hidden_layers\":2,\"mlp_only_layers\":[]}");
    cuts(w, "{\"num_hidden_layers\":5,\"mlp_only_layers\":[ 0 ]}", 5, 2,
         "{\"num_hidden_layers\":2,\"mlp_only_layers\":[ 0 ]}");
}

static void a_pattern_with_a_letter_a_layer_is_cut(void **state)
{
    cuts(*state, "{\"num_hidden_layers\":5,\"hybrid_override_pattern\":\"MEM*M\"}", 5, 3,
         "{\"num_hidden_layers\":3,\"hybrid_override_pattern\":\"MEM\"}");
}

static void a_config_that_does_not_say_how_many_layers_is_refused(void **state)
{
    written *w = *state;
    refuses(w, "{}", "no num_hidden_layers of 4 in the model's config");
    refuses(w, "{\"num_hidden_layers\":5}", "no num_hidden_layers of 4");
    refuses(w, "[]", "a config is an object");
    refuses(w, "{\"num_hidden_layers\":4", "expected ',' or '}'");
}

/* ---- tensors ---------------------------------------------------------------------------------- */

/* Gives the tensors whose names begin with prefix and a number a target in that decoder layer. */
static void add_layers(written *w, vs_model *model, const char *prefix, uint64_t layers)
{
    model->targets = VS_ARRAY(&w->arena, vs_target, model->tensor_count);
    assert_non_null(model->targets);
    model->target_count = model->tensor_count;
    model->dims.layers = layers;
    for (uint32_t i = 0; i < model->tensor_count; i++) {
        vs_tensor *const t = &model->tensors[i];
        const bool is_layer = strncmp(t->name, prefix, strlen(prefix)) == 0;
        const uint64_t layer = is_layer ? strtoull(t->name + strlen(prefix), NULL, 10) : 0;
        model->targets[i] = (vs_target){.name = t->name,
                                        .elements = t->elements,
                                        .layer = is_layer ? (int32_t)layer : -1,
                                        .tied_to = VS_NO_TARGET};
        t->target = is_layer && layer >= layers ? VS_NO_TARGET : i;
        model->loaded_parameters += t->elements;
    }
}

/* "name shard, name shard, ..." of what is written. */
static const char *planned(written *w, const vs_model *model, uint64_t layers)
{
    vs_write_plan plan = {0};
    char *const text = vs_arena_alloc(&w->arena, 4096, 1);
    size_t used = 0;
    if (!vs_write_plan_make(&plan, &w->arena, model, layers, &w->err)) {
        written_fail(w);
    }
    for (uint32_t i = 0; i < plan.count; i++) {
        used += (size_t)snprintf(text + used, 4096 - used, "%s%s %u", i == 0 ? "" : ", ",
                                 plan.items[i].name, (unsigned)plan.items[i].shard);
    }
    return text;
}

static void layers_are_left_out_by_the_number_in_the_name(void **state)
{
    static const char *const lines[] = {"emb I8 9 0",          "m.layers.0.a I8 1 0",
                                        "m.layers.1.a I8 1 0", "m.layers.2.a I8 1 0",
                                        "m.layers.2.x I8 1 0", "head I8 1 0"};
    written *w = *state;
    vs_model model = WRITTEN_MODEL(w, lines);
    add_layers(w, &model, "m.layers.", 3);
    model.tensors[4].target = VS_NO_TARGET; /* as rotary_emb.inv_freq: no target wants it */
    assert_string_equal(planned(w, &model, 2), "emb 0, m.layers.0.a 0, m.layers.1.a 0, head 0");
}

static void all_layers_are_the_model_itself(void **state)
{
    static const char *const lines[] = {"m.layers.0.a I8 1 0", "m.layers.1.a I8 1 1"};
    written *w = *state;
    vs_model model = WRITTEN_MODEL(w, lines);
    add_layers(w, &model, "m.layers.", 2);
    model.config_text = "not looked at";
    assert_string_equal(planned(w, &model, 0), "m.layers.0.a 0, m.layers.1.a 1");
    assert_string_equal(planned(w, &model, 2), "m.layers.0.a 0, m.layers.1.a 1");
}

static void the_layers_of_a_vision_tower_and_of_other_blocks_stay(void **state)
{
    static const char *const lines[] = {"v.layers.0.a I8 1 0",   "v.layers.1.a I8 1 0",
                                        "t.layers.0.a I8 1 0",   "t.layers.1.a I8 1 0",
                                        "mtp.layers.1.a I8 1 0", "t.layersx I8 1 0"};
    written *w = *state;
    vs_model model = WRITTEN_MODEL(w, lines);
    add_layers(w, &model, "t.layers.", 2);
    model.targets[5].layer = -1;
    assert_string_equal(
        planned(w, &model, 1),
        "v.layers.0.a 0, v.layers.1.a 0, t.layers.0.a 0, mtp.layers.1.a 0, t.layersx 0");
}

static void layers_stored_behind_the_last_move_down_with_it(void **state)
{
    static const char *const lines[] = {"m.layers.0.a I8 1 0", "m.layers.1.a I8 1 0",
                                        "m.layers.2.a I8 1 0", "m.layers.3.a I8 1 0",
                                        "m.layers.4.e.1.a I8 1 0"};
    written *w = *state;
    vs_model model = WRITTEN_MODEL(w, lines);
    add_layers(w, &model, "m.layers.", 3);
    assert_string_equal(planned(w, &model, 1),
                        "m.layers.0.a 0, m.layers.1.a 0, m.layers.2.e.1.a 0");
}

static void what_is_left_of_shards_shares_files_of_up_to_5_gb(void **state)
{
    static const char *const lines[] = {"a I8 3000000000 0", "m.0.a I8 2000000000 1",
                                        "m.1.a I8 9 2", "b I8 1 3", "c I8 5000000001 4"};
    written *w = *state;
    vs_model model = WRITTEN_MODEL(w, lines);
    add_layers(w, &model, "m.", 2);
    assert_string_equal(planned(w, &model, 1), "a 0, m.0.a 0, b 1, c 2");
}

static void parameters_count_the_layers_that_are_left(void **state)
{
    static const char *const lines[] = {"emb I8 9 0", "m.0.a I8 4 0", "m.1.a I8 16 0"};
    written *w = *state;
    vs_model model = WRITTEN_MODEL(w, lines);
    vs_write_plan plan = {0};
    add_layers(w, &model, "m.", 2);
    assert_true(vs_write_plan_make(&plan, &w->arena, &model, 1, &w->err));
    assert_int_equal(plan.parameters, 13);
}

static void more_layers_than_there_are_is_an_error_with_both_numbers(void **state)
{
    static const char *const lines[] = {"m.0.a I8 4 0", "m.1.a I8 16 0"};
    written *w = *state;
    vs_model model = WRITTEN_MODEL(w, lines);
    vs_write_plan plan = {0};
    add_layers(w, &model, "m.", 2);
    assert_false(vs_write_plan_make(&plan, &w->arena, &model, 3, &w->err));
    written_says(w, "--layers 3: made has 2 layers; expected 1 to 2");
}

static void a_model_whose_layers_are_not_known_cannot_be_cut(void **state)
{
    static const char *const lines[] = {"a I8 4 0"};
    written *w = *state;
    vs_model model = WRITTEN_MODEL(w, lines);
    vs_write_plan plan = {0};
    assert_false(vs_write_plan_make(&plan, &w->arena, &model, 1, &w->err));
    written_says(w, "which tensors belong to which layer of made is not known");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_WRITTEN(every_spelling_of_the_number_of_layers_is_known),
        WITH_WRITTEN(everything_else_keeps_its_bytes),
        WITH_WRITTEN(the_text_part_of_a_multimodal_config_is_cut_and_its_vision_part_is_not),
        WITH_WRITTEN(lists_with_an_item_a_layer_are_cut),
        WITH_WRITTEN(lists_of_another_length_and_other_kinds_of_values_stay),
        WITH_WRITTEN(lists_of_layer_numbers_lose_those_that_are_gone),
        WITH_WRITTEN(a_pattern_with_a_letter_a_layer_is_cut),
        WITH_WRITTEN(a_config_that_does_not_say_how_many_layers_is_refused),
        WITH_WRITTEN(layers_are_left_out_by_the_number_in_the_name),
        WITH_WRITTEN(all_layers_are_the_model_itself),
        WITH_WRITTEN(the_layers_of_a_vision_tower_and_of_other_blocks_stay),
        WITH_WRITTEN(layers_stored_behind_the_last_move_down_with_it),
        WITH_WRITTEN(what_is_left_of_shards_shares_files_of_up_to_5_gb),
        WITH_WRITTEN(parameters_count_the_layers_that_are_left),
        WITH_WRITTEN(more_layers_than_there_are_is_an_error_with_both_numbers),
        WITH_WRITTEN(a_model_whose_layers_are_not_known_cannot_be_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
