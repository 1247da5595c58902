/* tests/unit/test_model_open.c - folders, hub caches and files that hold a model. */
#include "tests/support/config.h"
#include "tests/support/tree.h"

#define TINY_LLAMA   "{\"model_type\":\"llama\",\"torch_dtype\":\"bfloat16\"," NUMBERS "}"
#define TINY_MIXTRAL "{" MIXTRAL ",\"torch_dtype\":\"bfloat16\"}"

/* What a config describes, read into t->arena. */
static vs_model model_of(tree *t, const char *config)
{
    vs_model model = {0};
    vs_err err = {0};
    assert_true(
        vs_model_from_config(&model, &t->arena, config, strlen(config), "config", &err));
    return model;
}

/* Tensors [from, to) of a model as one file. */
static void put_shard(tree *t, const char *name, const vs_model *m, uint32_t from, uint32_t to)
{
    uint64_t bytes = 0;
    const char *const header = tree_header(t, m, from, to, &bytes);
    tree_safetensors(t, name, header, bytes);
}

/* An index that puts tensors below `split` into a.safetensors and the others into b.safetensors. */
static void put_index(tree *t, const vs_model *m, uint32_t split, const char *more)
{
    char *const text = vs_arena_alloc(&t->arena, 100000, 1);
    assert_non_null(text);
    size_t used = (size_t)snprintf(
        text, 100000, "{\"metadata\":{\"total_size\":%" PRIu64 "},\"weight_map\":{",
        m->checkpoint_bytes);
    for (uint32_t i = 0; i < m->tensor_count; i++) {
        used +=
            (size_t)snprintf(text + used, 100000 - used, "%s\"%s\":\"%s\"", i == 0 ? "" : ",",
                             m->tensors[i].name, i < split ? "a.safetensors" : "b.safetensors");
    }
    (void)snprintf(text + used, 100000 - used, "%s}}", more);
    tree_text(t, "model.safetensors.index.json", text);
}

static bool has_note(const vs_model *m, const char *what)
{
    for (uint32_t i = 0; i < m->note_count; i++) {
        if (strstr(m->notes[i], what) != NULL) {
            return true;
        }
    }
    return false;
}

/* ---- config and weights ----------------------------------------------------------------------------- */

static void a_folder_with_a_config_only_is_read_from_it(void **state)
{
    tree *t = *state;
    tree_text(t, "config.json", TINY_LLAMA);
    opens(t, "");
    assert_string_equal(t->model.source, "config");
    assert_int_equal(t->model.tensor_count, 21);
    assert_string_equal(t->model.name, strrchr(t->root, '/') + 1);
    opens(t, "config.json");
    assert_string_equal(t->model.name, strrchr(t->root, '/') + 1);
    opens(t, "/");
}

static void headers_win_over_the_config(void **state)
{
    tree *t = *state;
    vs_model m = model_of(t, TINY_LLAMA);
    m.tensors[0].shape[0] = 40; /* lm_head: 8 rows were added */
    m.tensors[0].size_bytes = UINT64_C(40) * 8 * 2;
    m.tensors[1].dtype = VS_DT_F32;
    m.tensors[1].size_bytes *= 2;
    tree_text(t, "config.json", TINY_LLAMA);
    put_shard(t, "model.safetensors", &m, 0, m.tensor_count);
    opens(t, "");
    assert_string_equal(t->model.source, "safetensors");
    assert_string_equal(t->model.model_type, "llama");
    const vs_target *const head = &t->model.targets[t->model.target_count - 1];
    assert_int_equal(head->shape[0], 40);
    assert_int_equal(head->elements, 320);
    assert_int_equal(t->model.tensors[1].dtype, VS_DT_F32);
    assert_true(has_note(&t->model,
                         "lm_head.weight: the config means [32, 8], the headers say [40, 8]"));
    assert_true(
        has_note(&t->model, "the config says bfloat16, 1 of 21 tensors are stored as F32"));
}

static void header_and_config_give_the_same_model(void **state)
{
    tree *t = *state;
    const vs_model m = model_of(t, TINY_MIXTRAL);
    tree_text(t, "config.json", TINY_MIXTRAL);
    put_shard(t, "model.safetensors", &m, 0, m.tensor_count);
    opens(t, "");
    assert_int_equal(t->model.tensor_count, m.tensor_count);
    assert_int_equal(t->model.target_count, m.target_count);
    assert_int_equal(t->model.source_count, m.source_count);
    assert_int_equal(t->model.checkpoint_bytes, m.checkpoint_bytes);
    assert_int_equal(t->model.note_count, 0);
    for (uint32_t i = 0; i < m.tensor_count; i++) {
        assert_string_equal(t->model.tensors[i].name, m.tensors[i].name);
        assert_int_equal(t->model.tensors[i].target, m.tensors[i].target);
        assert_true(t->model.tensors[i].file_offset > 0);
    }
    assert_memory_equal(t->model.sources, m.sources, m.source_count * sizeof *m.sources);
    for (uint32_t i = 0; i < m.target_count; i++) {
        assert_memory_equal(t->model.targets[i].shape, m.targets[i].shape,
                            sizeof m.targets[i].shape);
        assert_int_equal(t->model.targets[i].flags, m.targets[i].flags);
    }
}

static void extra_and_missing_tensors_become_notes(void **state)
{
    tree *t = *state;
    vs_model m = model_of(t, TINY_LLAMA);
    m.tensors[2].name = "model.layers.0.self_attn.rotary_emb.inv_freq";
    tree_text(t, "config.json", TINY_LLAMA);
    put_shard(t, "model.safetensors", &m, 0, m.tensor_count);
    opens(t, "");
    assert_true(
        has_note(&t->model,
                 "1 tensor is ignored on load: model.layers.0.self_attn.rotary_emb.inv_freq"));
    assert_true(has_note(&t->model,
                         "1 parameter is in no shard and will be initialised on load: "
                         "model.layers.0.input_layernorm.weight"));
}

static void names_without_the_model_prefix_are_understood(void **state)
{
    tree *t = *state;
    vs_model m = model_of(t, TINY_LLAMA);
    for (uint32_t i = 0; i < m.tensor_count; i++) {
        m.tensors[i].name += strncmp(m.tensors[i].name, "model.", 6) == 0 ? 6 : 0;
    }
    tree_text(t, "config.json", TINY_LLAMA);
    put_shard(t, "model.safetensors", &m, 0, m.tensor_count);
    opens(t, "");
    assert_int_equal(t->model.note_count, 0);
    assert_int_equal(t->model.source_count, m.tensor_count);
}

static void experts_that_are_already_fused_need_no_merge(void **state)
{
    tree *t = *state;
    vs_model m = model_of(t, TINY_MIXTRAL);
    vs_tensor fused[64];
    uint32_t count = 0;
    for (uint32_t i = 0; i < m.target_count; i++) {
        const vs_target *const g = &m.targets[i];
        if ((g->flags & VS_TF_BUFFER) == 0) {
            fused[count] = (vs_tensor){.name = g->name,
                                       .dim_count = g->dim_count,
                                       .dtype = VS_DT_BF16,
                                       .elements = g->elements,
                                       .size_bytes = 2 * g->elements};
            memcpy(fused[count++].shape, g->shape, sizeof g->shape);
        }
    }
    m.tensors = fused;
    m.tensor_count = count;
    tree_text(t, "config.json", TINY_MIXTRAL);
    put_shard(t, "model.safetensors", &m, 0, count);
    opens(t, "");
    for (uint32_t i = 0; i < t->model.target_count; i++) {
        assert_int_equal(t->model.targets[i].merge, VS_MERGE_NONE);
    }
    assert_int_equal(t->model.note_count, 0);
}

static void an_expert_that_is_missing_is_named_with_its_target(void **state)
{
    tree *t = *state;
    vs_model m = model_of(t, TINY_MIXTRAL);
    tree_text(t, "config.json", TINY_MIXTRAL);
    for (uint32_t i = 0; i < m.tensor_count; i++) {
        if (strcmp(m.tensors[i].name, "model.layers.1.block_sparse_moe.experts.2.w3.weight") ==
            0) {
            m.tensors[i].name = "elsewhere";
        }
    }
    put_shard(t, "model.safetensors", &m, 0, m.tensor_count);
    refused(t, "", "model.layers.1.block_sparse_moe.experts.2.w3.weight\" is in no shard");
    refused(t, "", "model.layers.1.mlp.experts.gate_up_proj");
}

static void experts_of_different_shape_are_both_named(void **state)
{
    tree *t = *state;
    vs_model m = model_of(t, TINY_MIXTRAL);
    tree_text(t, "config.json", TINY_MIXTRAL);
    for (uint32_t i = 0; i < m.tensor_count; i++) {
        if (strcmp(m.tensors[i].name, "model.layers.1.block_sparse_moe.experts.2.w3.weight") ==
            0) {
            m.tensors[i].shape[0] = 8;
            m.tensors[i].shape[1] = 16;
        }
    }
    put_shard(t, "model.safetensors", &m, 0, m.tensor_count);
    refused(t, "", "experts.2.w3.weight\" cannot be merged with");
}

/* ---- without a known architecture --------------------------------------------------------------------- */

static void headers_alone_are_enough(void **state)
{
    tree *t = *state;
    const vs_model m = model_of(t, TINY_MIXTRAL);
    put_shard(t, "weights.safetensors", &m, 0, m.tensor_count);
    opens(t, "");
    opens(t, "weights.safetensors");
    assert_true(has_note(&t->model, "read from headers; architecture unknown"));
    assert_string_equal(t->model.model_type, "");
    assert_int_equal(t->model.target_count, m.tensor_count);
    assert_int_equal(t->model.loaded_parameters, m.parameters);
    assert_int_equal(t->model.dims.layers, 2);
    for (uint32_t i = 0; i < t->model.target_count; i++) {
        const vs_target *const g = &t->model.targets[i];
        assert_string_equal(t->model.tensors[t->model.sources[i]].name, g->name);
        assert_int_equal(t->model.tensors[t->model.sources[i]].target, i);
        assert_int_equal(g->layer >= 0, strstr(g->name, ".layers.") != NULL);
    }
}

static void kinds_are_guessed_from_names(void **state)
{
    tree *t = *state;
    tree_safetensors(
        t, "model.safetensors",
        "{\"h.3.attn.w.weight\":{\"dtype\":\"F32\",\"shape\":[2,2],\"data_offsets\":[0,16]},"
        "\"wte.weight\":{\"dtype\":\"F32\",\"shape\":[2,2],\"data_offsets\":[16,32]},"
        "\"lm_head.weight\":{\"dtype\":\"F32\",\"shape\":[2,2],\"data_offsets\":[32,48]},"
        "\"h.3.ln_1.weight\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[48,56]},"
        "\"h.3.mlp.gate.weight\":{\"dtype\":\"F32\",\"shape\":[2,2],\"data_offsets\":[56,72]},"
        "\"h.3.attn.w.bias\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[72,80]}}",
        80);
    opens(t, "");
    const vs_target *const g = t->model.targets;
    static const uint32_t flags[] = {VS_TF_LINEAR, VS_TF_EMBEDDING, VS_TF_OUTPUT_HEAD,
                                     VS_TF_NORM,   VS_TF_ROUTER,    VS_TF_BIAS};
    for (uint32_t i = 0; i < 6; i++) {
        assert_int_equal(g[i].flags & ~(uint32_t)VS_TF_LAST_MODULE, flags[i]);
    }
    assert_int_equal(g[0].layer, 3);
    assert_int_equal(g[1].layer, -1);
    assert_true((g[0].flags & VS_TF_LAST_MODULE) != 0); /* same module as the last bias */
}

static void an_unknown_family_with_headers_is_read_by_name(void **state)
{
    tree *t = *state;
    const vs_model m = model_of(t, TINY_LLAMA);
    tree_text(t, "config.json", "{\"model_type\":\"brandnew\",\"torch_dtype\":\"bfloat16\"}");
    put_shard(t, "model.safetensors", &m, 0, m.tensor_count);
    opens(t, "");
    assert_true(has_note(&t->model, "model_type \"brandnew\" is not known"));
    assert_string_equal(t->model.model_type, "brandnew");
    assert_int_equal(t->model.config_dtype, VS_DT_BF16);
}

static void a_method_that_is_not_known_is_read_by_name(void **state)
{
    tree *t = *state;
    const vs_model m = model_of(t, TINY_LLAMA);
    tree_text(
        t, "config.json",
        "{\"model_type\":\"llama\",\"quantization_config\":{\"quant_method\":\"aqlm\"}," NUMBERS
        "}");
    put_shard(t, "model.safetensors", &m, 0, m.tensor_count);
    opens(t, "");
    assert_true(has_note(&t->model, "quant_method is not known"));
}

/* ---- shards ------------------------------------------------------------------------------------------------ */

static void shards_are_read_through_the_index(void **state)
{
    tree *t = *state;
    const vs_model m = model_of(t, TINY_LLAMA);
    tree_text(t, "config.json", TINY_LLAMA);
    put_index(t, &m, 10, "");
    put_shard(t, "b.safetensors", &m, 10, m.tensor_count);
    put_shard(t, "a.safetensors", &m, 0, 10);
    opens(t, "");
    assert_int_equal(t->model.shard_count, 2);
    assert_string_equal(t->model.shards[0].file, "a.safetensors");
    assert_true(t->model.shards[1].file_bytes > t->model.shards[1].size_bytes);
    assert_int_equal(t->model.tensors[9].shard, 0);
    assert_int_equal(t->model.tensors[10].shard, 1);
    assert_int_equal(t->model.checkpoint_bytes, m.checkpoint_bytes);
    assert_int_equal(t->model.note_count, 0);
    opens(t, "model.safetensors.index.json");
    assert_int_equal(t->model.shard_count, 2);
    opens(t, "a.safetensors");
    assert_int_equal(t->model.shard_count, 1);
}

static void a_shard_that_is_not_there_is_named_with_the_index(void **state)
{
    tree *t = *state;
    const vs_model m = model_of(t, TINY_LLAMA);
    put_index(t, &m, 10, "");
    put_shard(t, "a.safetensors", &m, 0, 10);
    refused(t, "", "shard b.safetensors is missing");
    refused(t, "", "model.safetensors.index.json");
}

static void a_tensor_in_another_shard_names_both(void **state)
{
    tree *t = *state;
    const vs_model m = model_of(t, TINY_LLAMA);
    put_index(t, &m, 10, "");
    put_shard(t, "a.safetensors", &m, 0, 11);
    put_shard(t, "b.safetensors", &m, 11, m.tensor_count);
    refused(t, "", "should be in b.safetensors, but is in a.safetensors");
}

static void a_tensor_in_no_shard_is_named(void **state)
{
    tree *t = *state;
    const vs_model m = model_of(t, TINY_LLAMA);
    put_index(t, &m, 10, "");
    put_shard(t, "a.safetensors", &m, 0, 10);
    put_shard(t, "b.safetensors", &m, 11, m.tensor_count);
    refused(t, "", "should be in b.safetensors, but neither");
    refused(t, "", m.tensors[10].name);
}

static void a_tensor_in_two_shards_names_both(void **state)
{
    tree *t = *state;
    const vs_model m = model_of(t, TINY_LLAMA);
    put_index(t, &m, 10, "");
    put_shard(t, "a.safetensors", &m, 0, 10);
    put_shard(t, "b.safetensors", &m, 9, m.tensor_count);
    refused(t, "", "is in two shards: a.safetensors and b.safetensors");
}

static void a_tensor_listed_twice_in_the_index_names_both_shards(void **state)
{
    tree *t = *state;
    const vs_model m = model_of(t, TINY_LLAMA);
    put_index(t, &m, 10, ",\"lm_head.weight\":\"b.safetensors\"");
    refused(t, "", "\"lm_head.weight\" is listed twice: in a.safetensors and in b.safetensors");
}

static void tensors_the_index_does_not_know_become_a_note(void **state)
{
    tree *t = *state;
    vs_model m = model_of(t, TINY_LLAMA);
    m.tensor_count--;
    put_index(t, &m, 10, "");
    m.tensor_count++;
    put_shard(t, "a.safetensors", &m, 0, 10);
    put_shard(t, "b.safetensors", &m, 10, m.tensor_count);
    m.tensors[0].dtype = VS_DT_BF16;
    opens(t, "");
    assert_true(has_note(&t->model, "the index lists 20 tensors, the headers hold 21"));
}

static void a_wrong_total_size_becomes_a_note(void **state)
{
    tree *t = *state;
    vs_model m = model_of(t, TINY_LLAMA);
    m.checkpoint_bytes++;
    put_index(t, &m, 21, "");
    put_shard(t, "a.safetensors", &m, 0, 21);
    opens(t, "");
    assert_true(has_note(&t->model, "the index gives total_size"));
}

static void an_index_cannot_lead_out_of_its_folder(void **state)
{
    tree *t = *state;
    tree_text(t, "model.safetensors.index.json",
              "{\"weight_map\":{\"a\":\"../x.safetensors\"}}");
    refused(t, "", "not a plain file name");
}

static void an_index_without_a_map_or_with_two_is_refused(void **state)
{
    tree *t = *state;
    tree_text(t, "a.safetensors.index.json", "{\"metadata\":{}}");
    tree_text(t, "b.safetensors.index.json", "{\"weight_map\":{},\"weight_map\":{}}");
    tree_text(t, "c.safetensors.index.json", "{\"weight_map\":{\"a\":7}}");
    refused(t, "a.safetensors.index.json", "no \"weight_map\"");
    refused(t, "b.safetensors.index.json", "stands twice");
    refused(t, "c.safetensors.index.json", "the name of a shard file");
}

static void shards_without_an_index_must_be_complete(void **state)
{
    tree *t = *state;
    const vs_model m = model_of(t, TINY_LLAMA);
    tree_text(t, "config.json", TINY_LLAMA);
    put_shard(t, "model-00001-of-00002.safetensors", &m, 0, 10);
    refused(t, "", "2 shards belong to this checkpoint, 1 are here");
    put_shard(t, "model-00002-of-00002.safetensors", &m, 10, m.tensor_count);
    opens(t, "");
    assert_int_equal(t->model.shard_count, 2);
    assert_int_equal(t->model.note_count, 0);
    opens(t, "model-00001-of-00002.safetensors");
    assert_true(has_note(&t->model, "one shard of several"));
}

static void several_files_that_do_not_belong_together_are_not_guessed_at(void **state)
{
    tree *t = *state;
    const vs_model m = model_of(t, TINY_LLAMA);
    put_shard(t, "one.safetensors", &m, 0, 10);
    put_shard(t, "two.safetensors", &m, 0, 10);
    refused(t, "", "give one of them");
    opens(t, "two.safetensors");
}

/* ---- hub cache ------------------------------------------------------------------------------------------------ */

static void make_hub(tree *t, const char *config)
{
    tree_folder(t, "models--org--tiny-llama");
    tree_folder(t, "models--org--tiny-llama/blobs");
    tree_folder(t, "models--org--tiny-llama/refs");
    tree_folder(t, "models--org--tiny-llama/snapshots");
    tree_folder(t, "models--org--tiny-llama/snapshots/abc123");
    tree_text(t, "models--org--tiny-llama/blobs/1f", config);
    tree_link(t, "models--org--tiny-llama/snapshots/abc123/config.json", "../../blobs/1f");
}

static void a_hub_cache_is_followed_through_refs_and_links(void **state)
{
    tree *t = *state;
    const vs_model m = model_of(t, TINY_LLAMA);
    make_hub(t, TINY_LLAMA);
    tree_folder(t, "models--org--tiny-llama/snapshots/000older");
    tree_text(t, "models--org--tiny-llama/refs/main", "abc123\n");
    put_shard(t, "models--org--tiny-llama/blobs/2e", &m, 0, m.tensor_count);
    tree_link(t, "models--org--tiny-llama/snapshots/abc123/model.safetensors",
              "../../blobs/2e");
    opens(t, "models--org--tiny-llama");
    assert_string_equal(t->model.name, "org/tiny-llama");
    assert_string_equal(t->model.source, "safetensors");
    opens(t, "models--org--tiny-llama/snapshots/abc123/");
    assert_string_equal(t->model.name, "org/tiny-llama");
}

static void without_refs_the_only_snapshot_is_taken(void **state)
{
    tree *t = *state;
    make_hub(t, TINY_LLAMA);
    opens(t, "models--org--tiny-llama");
    tree_folder(t, "models--org--tiny-llama/snapshots/other");
    refused(t, "models--org--tiny-llama", "2 snapshots");
}

static void a_hub_cache_that_leads_nowhere_says_where(void **state)
{
    tree *t = *state;
    make_hub(t, TINY_LLAMA);
    tree_text(t, "models--org--tiny-llama/refs/main", "feed");
    refused(t, "models--org--tiny-llama", "snapshots/feed");
    (void)unlink(t->paths[t->count - 1]);
    tree_text(t, "models--org--tiny-llama/refs/main", "../../..");
    refused(t, "models--org--tiny-llama", "expected the hash");
}

static void the_cache_itself_is_no_model(void **state)
{
    tree *t = *state;
    make_hub(t, TINY_LLAMA);
    tree_folder(t, "models--org--other");
    tree_folder(t, "version");
    refused(t, ".", "the cache of the Hub with 2 models; give one of them: ");
    refused(t, ".", "/models--org--other");
}

static void a_download_that_was_cut_short_is_seen(void **state)
{
    tree *t = *state;
    make_hub(t, TINY_LLAMA);
    tree_link(t, "models--org--tiny-llama/snapshots/abc123/model.safetensors",
              "../../blobs/none");
    refused(t, "models--org--tiny-llama", "a link to a file that is not there");
}

/* ---- hub cache, as huggingface_hub leaves it ------------------------------------------------------------------ */

#define HUB      "models--org--tiny-llama"
#define SNAPSHOT HUB "/snapshots/abc123"

/* A snapshot whose index names a.safetensors and b.safetensors, of which those with a blob are here. */
static void make_sharded_hub(tree *t, const vs_model *m, bool has_first, bool has_second)
{
    make_hub(t, TINY_LLAMA);
    tree_text(t, HUB "/refs/main", "abc123");
    put_index(t, m, 10, "");
    char from[TREE_PATH_BYTES + 64];
    char to[TREE_PATH_BYTES + 64];
    (void)snprintf(from, sizeof from, "%s/model.safetensors.index.json", t->root);
    (void)snprintf(to, sizeof to, "%s", tree_add(t, HUB "/blobs/3a", false));
    assert_int_equal(rename(from, to), 0);
    tree_link(t, SNAPSHOT "/model.safetensors.index.json", "../../blobs/3a");
    if (has_first) {
        put_shard(t, HUB "/blobs/4b", m, 0, 10);
        tree_link(t, SNAPSHOT "/a.safetensors", "../../blobs/4b");
    }
    if (has_second) {
        put_shard(t, HUB "/blobs/5c", m, 10, m->tensor_count);
        tree_link(t, SNAPSHOT "/b.safetensors", "../../blobs/5c");
    }
}

static void a_sharded_snapshot_is_read_through_its_links(void **state)
{
    tree *t = *state;
    const vs_model m = model_of(t, TINY_LLAMA);
    make_sharded_hub(t, &m, true, true);
    opens(t, HUB);
    assert_string_equal(t->model.name, "org/tiny-llama");
    assert_int_equal(t->model.shard_count, 2);
    assert_int_equal(t->model.tensor_count, m.tensor_count);
    assert_int_equal(t->model.note_count, 0);
    opens(t, SNAPSHOT "/model.safetensors.index.json");
    assert_string_equal(t->model.name, "org/tiny-llama");
}

static void a_download_that_lacks_a_shard_names_it(void **state)
{
    tree *t = *state;
    const vs_model m = model_of(t, TINY_LLAMA);
    make_sharded_hub(t, &m, true, false);
    tree_text(t, HUB "/blobs/5c.incomplete", "half of it");
    refused(t, HUB, "shard b.safetensors is missing");
    refused(t, HUB, "the download is incomplete");
    refused(t, HUB, SNAPSHOT "/b.safetensors");
    tree_link(t, SNAPSHOT "/b.safetensors",
              "../../blobs/5c"); /* and one whose blob went away */
    refused(t, HUB, SNAPSHOT "/b.safetensors");
    refused(t, HUB, "a link to a file that is not there; is the download complete?");
}

static void a_download_without_any_shard_is_told_from_its_config(void **state)
{
    tree *t = *state;
    const vs_model m = model_of(t, TINY_LLAMA);
    make_sharded_hub(t, &m, false, false);
    opens(t, HUB);
    assert_string_equal(t->model.source, "config");
    assert_int_equal(t->model.tensor_count, m.tensor_count);
    assert_true(has_note(&t->model, "none of the 2 shards that the index names is here"));
}

static void a_shard_that_is_still_being_written_is_no_safetensors_file(void **state)
{
    tree *t = *state;
    const vs_model m = model_of(t, TINY_LLAMA);
    make_sharded_hub(t, &m, true, false);
    tree_text(t, HUB "/blobs/5c", "half");
    tree_link(t, SNAPSHOT "/b.safetensors", "../../blobs/5c");
    refused(t, HUB, SNAPSHOT "/b.safetensors");
}

static void each_revision_is_its_own_model(void **state)
{
    tree *t = *state;
    make_hub(t, TINY_LLAMA);
    tree_folder(t, HUB "/snapshots/def456");
    tree_text(t, HUB "/blobs/6d", TINY_MIXTRAL);
    tree_link(t, HUB "/snapshots/def456/config.json", "../../blobs/6d");
    tree_text(t, HUB "/refs/main", "def456");
    tree_text(t, HUB "/refs/v1.0", "abc123");
    opens(t, HUB);
    assert_string_equal(t->model.model_type, "mixtral");
    opens(t, SNAPSHOT);
    assert_string_equal(t->model.model_type, "llama");
    opens(t, SNAPSHOT "/config.json");
    assert_string_equal(t->model.name, "org/tiny-llama");
}

static void a_snapshot_of_copies_instead_of_links_is_the_same(void **state)
{
    tree *t = *state;
    tree_folder(t, HUB);
    tree_folder(t, HUB "/snapshots");
    tree_folder(t, SNAPSHOT);
    tree_text(t, SNAPSHOT "/config.json",
              TINY_LLAMA); /* Windows, or a cache on a disk without links */
    opens(t, HUB);
    assert_string_equal(t->model.name, "org/tiny-llama");
}

static void names_of_repositories_come_from_the_folder(void **state)
{
    static const char *const cases[][2] = {{"models--gpt2", "gpt2"},
                                           {"models--a--b--c", "a/b--c"},
                                           {"models--Org-1--x.y_z", "Org-1/x.y_z"}};
    tree *t = *state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char path[128];
        tree_folder(t, cases[i][0]);
        (void)snprintf(path, sizeof path, "%s/snapshots", cases[i][0]);
        tree_folder(t, path);
        (void)snprintf(path, sizeof path, "%s/snapshots/abc", cases[i][0]);
        tree_folder(t, path);
        (void)snprintf(path, sizeof path, "%s/snapshots/abc/config.json", cases[i][0]);
        tree_text(t, path, TINY_LLAMA);
        opens(t, cases[i][0]);
        assert_string_equal(t->model.name, cases[i][1]);
    }
}

static void a_download_that_has_only_begun_says_so(void **state)
{
    tree *t = *state;
    tree_folder(t, HUB);
    tree_folder(t, HUB "/blobs");
    tree_text(t, HUB "/blobs/1f.incomplete", "{");
    refused(t, HUB, "neither config.json nor");
    tree_folder(t, HUB "/snapshots");
    refused(t, HUB, "no snapshot");
    refused(t, HUB, "is the download complete?");
    tree_folder(t, SNAPSHOT);
    refused(t, HUB, "neither config.json nor");
}

static void a_ref_that_is_empty_or_strange_is_refused(void **state)
{
    static const char *const refs[] = {"", "\n", "../abc123", "abc123\ndef456", "abc 123"};
    tree *t = *state;
    make_hub(t, TINY_LLAMA);
    for (size_t i = 0; i < sizeof refs / sizeof refs[0]; i++) {
        tree_text(t, HUB "/refs/main", refs[i]);
        refused(t, HUB, "expected the hash of a snapshot");
    }
    tree_text(t, HUB "/refs/main", "abc123\r\n");
    opens(t, HUB);
}

/* ---- what is not a model ------------------------------------------------------------------------------------------- */

static void folders_and_loops_in_place_of_files_are_refused(void **state)
{
    tree *t = *state;
    tree_folder(t, "model.safetensors");
    refused(t, "", "model.safetensors");
    tree_folder(t, "x");
    tree_folder(t, "x/config.json");
    refused(t, "x", "config.json");
    tree_folder(t, "y");
    tree_link(t, "y/config.json", "config.json");
    refused(t, "y", "a loop of links");
    tree_link(t, "loop", "loop");
    refused(t, "loop", "a loop of links");
}

static void other_things_are_refused_with_what_was_expected(void **state)
{
    tree *t = *state;
    tree_text(t, "notes.txt", "hello");
    refused(t, "notes.txt", "expected a folder");
    refused(t, "", "neither config.json nor .safetensors");
    refused(t, "nowhere", "no such file");
    tree_text(t, "empty.safetensors", "");
    refused(t, "empty.safetensors", "8-byte");
    tree_text(t, "gigabyte.safetensors", "0123456@{}");
    refused(t, "gigabyte.safetensors", "100000000");
    refused(t, "notes.txt/config.json", "no such file");
}

static void a_model_of_hundreds_of_gigabytes_costs_its_header_only(void **state)
{
    tree *t = *state;
    tree_safetensors(t, "big.safetensors",
                     "{\"x\":{\"dtype\":\"F32\",\"shape\":[107374182400],\"data_offsets\":[0,"
                     "429496729600]}}",
                     UINT64_C(429496729600));
    opens(t, "big.safetensors");
    assert_int_equal(t->model.checkpoint_bytes, UINT64_C(429496729600));
    assert_true(t->arena.used_bytes < 65536);
}

static void the_nth_allocation_may_fail(void **state)
{
    tree *t = *state;
    const vs_model m = model_of(t, TINY_MIXTRAL);
    tree_text(t, "config.json", TINY_MIXTRAL);
    put_index(t, &m, 10, "");
    put_shard(t, "a.safetensors", &m, 0, 10);
    put_shard(t, "b.safetensors", &m, 10, m.tensor_count);
    vs_arena_reset(&t->arena);
    for (uint64_t n = 1; n < 10000; n++) {
        vs_arena_reset(&t->arena);
        t->arena.fail_at = n;
        if (tree_try(t, "")) {
            assert_true(n > 100);
            return;
        }
        assert_int_equal(t->err.code, VS_ERR_MEMORY);
    }
    fail();
}

#define T(test) cmocka_unit_test_setup_teardown(test, tree_open, tree_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_folder_with_a_config_only_is_read_from_it),
        T(headers_win_over_the_config),
        T(header_and_config_give_the_same_model),
        T(extra_and_missing_tensors_become_notes),
        T(names_without_the_model_prefix_are_understood),
        T(experts_that_are_already_fused_need_no_merge),
        T(an_expert_that_is_missing_is_named_with_its_target),
        T(experts_of_different_shape_are_both_named),
        T(headers_alone_are_enough),
        T(kinds_are_guessed_from_names),
        T(an_unknown_family_with_headers_is_read_by_name),
        T(a_method_that_is_not_known_is_read_by_name),
        T(shards_are_read_through_the_index),
        T(a_shard_that_is_not_there_is_named_with_the_index),
        T(a_tensor_in_another_shard_names_both),
        T(a_tensor_in_no_shard_is_named),
        T(a_tensor_in_two_shards_names_both),
        T(a_tensor_listed_twice_in_the_index_names_both_shards),
        T(tensors_the_index_does_not_know_become_a_note),
        T(a_wrong_total_size_becomes_a_note),
        T(an_index_cannot_lead_out_of_its_folder),
        T(an_index_without_a_map_or_with_two_is_refused),
        T(shards_without_an_index_must_be_complete),
        T(several_files_that_do_not_belong_together_are_not_guessed_at),
        T(a_hub_cache_is_followed_through_refs_and_links),
        T(without_refs_the_only_snapshot_is_taken),
        T(a_hub_cache_that_leads_nowhere_says_where),
        T(a_download_that_was_cut_short_is_seen),
        T(the_cache_itself_is_no_model),
        T(a_sharded_snapshot_is_read_through_its_links),
        T(a_download_that_lacks_a_shard_names_it),
        T(a_download_without_any_shard_is_told_from_its_config),
        T(a_shard_that_is_still_being_written_is_no_safetensors_file),
        T(each_revision_is_its_own_model),
        T(a_snapshot_of_copies_instead_of_links_is_the_same),
        T(names_of_repositories_come_from_the_folder),
        T(a_download_that_has_only_begun_says_so),
        T(a_ref_that_is_empty_or_strange_is_refused),
        T(folders_and_loops_in_place_of_files_are_refused),
        T(other_things_are_refused_with_what_was_expected),
        T(a_model_of_hundreds_of_gigabytes_costs_its_header_only),
        T(the_nth_allocation_may_fail),
    };
    return cmocka_run_group_tests_name("model open", tests, NULL, NULL);
}
