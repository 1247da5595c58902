/* tests/unit/test_checkpoint.c - which files of a folder are the weights, and whether an index agrees with them. */
#include "tests/support/config.h"
#include "tests/support/torchfile.h"
#include "tests/support/tree.h"

#define TINY_LLAMA "{\"model_type\":\"llama\",\"torch_dtype\":\"float16\"," NUMBERS "}"
#define TIED_LLAMA                                                                             \
    "{\"model_type\":\"llama\",\"torch_dtype\":\"float16\",\"tie_word_embeddings\":"           \
    "true," NUMBERS "}"
#define BIN_INDEX "pytorch_model.bin.index.json"
#define ST_INDEX  "model.safetensors.index.json"

/* What a config describes, read into t->arena. */
static vs_model model_of(tree *t, const char *config)
{
    vs_model model = {0};
    vs_err err = {0};
    assert_true(
        vs_model_from_config(&model, &t->arena, config, strlen(config), "config", &err));
    return model;
}

static void put_file(tree *t, const char *name, const bytes *file)
{
    FILE *const out = fopen(tree_add(t, name, false), "wb");
    assert_non_null(out);
    assert_int_equal(fwrite(file->at, 1, file->count, out), file->count);
    assert_int_equal(fclose(out), 0);
}

/* A tensor of F16 in a storage of its own. */
static void put_tensor(bytes *p, const vs_tensor *tensor, const char *key)
{
    uint64_t stride[VS_DIMS_MAX] = {0};
    uint64_t step = 1;
    for (uint32_t d = tensor->dim_count; d-- > 0;) {
        stride[d] = step;
        step *= tensor->shape[d];
    }
    pk_text(p, tensor->name);
    pk_global(p, "torch._utils", "_rebuild_tensor_v2");
    put_text(p, "(");
    pk_storage(p, "HalfStorage", key, tensor->elements, false);
    pk_view(p, 0, tensor->shape, stride, tensor->dim_count);
    put_text(p, "tR");
}

/* Tensors [from, to) of a model as a file of torch.save; with tied, one more, which is the first under another name. */
static void put_bin(tree *t, const char *name, const vs_model *m, const uint32_t range[2],
                    const char *tied)
{
    static const uint8_t zeros[8192] = {0};
    zipped z = {0};
    bytes p = {0};
    char key[32];
    pk_proto(&p, 2);
    put_text(&p, "}(");
    for (uint32_t i = range[0]; i < range[1]; i++) {
        (void)snprintf(key, sizeof key, "%u", i);
        put_tensor(&p, &m->tensors[i], key);
    }
    if (tied != NULL) {
        vs_tensor again = m->tensors[range[0]];
        again.name = tied;
        (void)snprintf(key, sizeof key, "%u", range[0]);
        put_tensor(&p, &again, key);
    }
    put_text(&p, "u.");
    zip_add(&z, "m/data.pkl", p.at, p.count, 64);
    for (uint32_t i = range[0]; i < range[1]; i++) {
        (void)snprintf(key, sizeof key, "m/data/%u", i);
        assert_true(m->tensors[i].size_bytes <= sizeof zeros);
        zip_add(&z, key, zeros, (size_t)m->tensors[i].size_bytes, 64);
    }
    zip_finish(&z, true);
    put_file(t, name, &z.file);
    zip_free(&z);
    free_bytes(&p);
}

static void put_shard(tree *t, const char *name, const vs_model *m, uint32_t from, uint32_t to)
{
    uint64_t bytes_of_data = 0;
    const char *const header = tree_header(t, m, from, to, &bytes_of_data);
    tree_safetensors(t, name, header, bytes_of_data);
}

typedef struct {
    const char *files[2];
    uint32_t split; /* tensors below are in the first file */
    uint32_t count;
    uint64_t total_size;
    const char *more; /* entries that begin with a comma */
} index_of;

static void put_index(tree *t, const char *name, const vs_model *m, const index_of *x)
{
    char *const text = vs_arena_alloc(&t->arena, 100000, 1);
    assert_non_null(text);
    size_t used = (size_t)snprintf(
        text, 100000, "{\"metadata\":{\"total_size\":%" PRIu64 "},\"weight_map\":{",
        x->total_size);
    for (uint32_t i = 0; i < x->count; i++) {
        used +=
            (size_t)snprintf(text + used, 100000 - used, "%s\"%s\":\"%s\"", i == 0 ? "" : ",",
                             m->tensors[i].name, x->files[i >= x->split]);
    }
    (void)snprintf(text + used, 100000 - used, "%s}}", x->more == NULL ? "" : x->more);
    tree_text(t, name, text);
}

/* What torch's sharding would write for a model of 21 tensors. */
static index_of bin_index(const vs_model *m)
{
    return (index_of){{"pytorch_model-00001-of-00002.bin", "pytorch_model-00002-of-00002.bin"},
                      10,
                      m->tensor_count,
                      m->checkpoint_bytes,
                      NULL};
}

static void put_two_bins(tree *t, const vs_model *m, uint32_t split)
{
    put_bin(t, "pytorch_model-00001-of-00002.bin", m, (uint32_t[2]){0, split}, NULL);
    put_bin(t, "pytorch_model-00002-of-00002.bin", m, (uint32_t[2]){split, m->tensor_count},
            NULL);
}

static void removes(tree *t, const char *name)
{
    char path[TREE_PATH_BYTES + 64];
    (void)snprintf(path, sizeof path, "%s/%s", t->root, name);
    assert_int_equal(unlink(path), 0);
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

static void notes(const vs_model *m, const char *what)
{
    if (!has_note(m, what)) {
        for (uint32_t i = 0; i < m->note_count; i++) {
            print_error("note: %s\n", m->notes[i]);
        }
        print_error("no note names \"%s\"\n", what);
        fail();
    }
}

/* ---- one file ----------------------------------------------------------------------------------------- */

static void a_bin_beside_its_config_is_the_configs_model(void **state)
{
    tree *t = *state;
    const vs_model m = model_of(t, TINY_LLAMA);
    tree_text(t, "config.json", TINY_LLAMA);
    put_bin(t, "pytorch_model.bin", &m, (uint32_t[2]){0, m.tensor_count}, NULL);
    opens(t, "");
    assert_string_equal(t->model.source, "pytorch bin");
    assert_int_equal(t->model.container, VS_CONTAINER_TORCH_BIN);
    assert_int_equal(t->model.tensor_count, m.tensor_count);
    assert_int_equal(t->model.target_count, m.target_count);
    assert_int_equal(t->model.checkpoint_bytes, m.checkpoint_bytes);
    assert_int_equal(t->model.parameters, m.parameters);
    assert_int_equal(t->model.note_count, 0);
    for (uint32_t i = 0; i < m.tensor_count; i++) {
        assert_string_equal(t->model.tensors[i].name, m.tensors[i].name);
        assert_int_equal(t->model.tensors[i].target, m.tensors[i].target);
        assert_true(t->model.tensors[i].file_offset > 0);
    }
    assert_int_equal(t->model.shard_count, 1);
    assert_true(t->model.shards[0].file_bytes > t->model.shards[0].size_bytes);
    opens(t, "pytorch_model.bin");
    assert_string_equal(t->model.model_type, "llama");
}

static void a_file_of_before_1_6_is_told_apart(void **state)
{
    tree *t = *state;
    const vs_model m = model_of(t, TINY_LLAMA);
    bytes file = {0};
    torch_legacy(&file);
    put_file(t, "old.bin", &file);
    put_bin(t, "new.bin", &m, (uint32_t[2]){0, 2}, NULL);
    opens(t, "old.bin");
    assert_true(t->model.shards[0].is_legacy);
    assert_int_equal(t->model.shards[0].file_bytes, file.count);
    opens(t, "new.bin");
    assert_false(t->model.shards[0].is_legacy);
    free_bytes(&file);
}

static void a_tied_head_in_a_bin_counts_once(void **state)
{
    tree *t = *state;
    vs_model m = model_of(t, TIED_LLAMA);
    uint32_t embedding = 0;
    while (strstr(m.tensors[embedding].name, "embed_tokens") == NULL) {
        embedding++;
    }
    const vs_tensor first = m.tensors[0];
    m.tensors[0] = m.tensors[embedding];
    m.tensors[embedding] = first;
    tree_text(t, "config.json", TIED_LLAMA);
    put_bin(t, "pytorch_model.bin", &m, (uint32_t[2]){0, m.tensor_count}, "lm_head.weight");
    opens(t, "");
    assert_int_equal(t->model.tensor_count, m.tensor_count + 1);
    assert_int_equal(t->model.parameters, m.parameters);
    assert_int_equal(t->model.checkpoint_bytes, m.checkpoint_bytes);
    notes(&t->model, "lm_head.weight shares 512 bytes with model.embed_tokens.weight");
}

static void without_a_config_the_headers_are_enough(void **state)
{
    tree *t = *state;
    const vs_model m = model_of(t, TINY_LLAMA);
    put_bin(t, "pytorch_model.bin", &m, (uint32_t[2]){0, 5}, NULL);
    opens(t, "");
    assert_int_equal(t->model.tensor_count, 5);
    notes(&t->model, "no config.json");
}

/* ---- which file ------------------------------------------------------------------------------------------- */

static void files_are_preferred_as_transformers_does(void **state)
{
    tree *t = *state;
    const vs_model m = model_of(t, TINY_LLAMA);
    index_of x = bin_index(&m);
    x.count = 20;
    put_bin(t, "other.bin", &m, (uint32_t[2]){0, 2}, NULL);
    opens(t, "");
    assert_int_equal(t->model.tensor_count, 2);
    notes(&t->model, "Transformers would look for model.safetensors or pytorch_model.bin");

    put_two_bins(t, &m, 10);
    put_index(t, BIN_INDEX, &m, &x);
    opens(t, "");
    assert_int_equal(t->model.tensor_count, 21);
    assert_int_equal(t->model.shard_count, 2);

    put_bin(t, "pytorch_model.bin", &m, (uint32_t[2]){0, 3}, NULL);
    opens(t, "");
    assert_int_equal(t->model.tensor_count, 3);

    x = (index_of){{"a.safetensors", "a.safetensors"}, 4, 4, 0, NULL};
    put_shard(t, "a.safetensors", &m, 0, 4);
    put_index(t, ST_INDEX, &m, &x);
    opens(t, "");
    assert_int_equal(t->model.tensor_count, 4);
    assert_string_equal(t->model.source, "safetensors");

    put_shard(t, "model.safetensors", &m, 0, 1);
    opens(t, "");
    assert_int_equal(t->model.tensor_count, 1);
}

static void what_a_trainer_leaves_is_no_weights(void **state)
{
    static const char *const names[] = {"training_args.bin", "optimizer.pt",   "optimizer.bin",
                                        "scheduler.pt",      "rng_state.pth",  "scaler.pt",
                                        "rng_state_0.pth",   "optimizer_1.bin"};
    tree *t = *state;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        tree_text(t, names[i], "not read");
    }
    refused(t, "", "neither config.json nor .safetensors");
    tree_text(t, "config.json", TINY_LLAMA);
    opens(t, "");
    assert_string_equal(t->model.source, "config");
    refused(t, "training_args.bin", "training_args.bin does not hold the weights of a model");
    refused(t, "optimizer.pt", "does not hold the weights");
}

static void several_files_of_unknown_names_are_not_guessed(void **state)
{
    tree *t = *state;
    const vs_model m = model_of(t, TINY_LLAMA);
    put_bin(t, "one.pt", &m, (uint32_t[2]){0, 2}, NULL);
    put_bin(t, "two.bin", &m, (uint32_t[2]){0, 3}, NULL);
    refused(t, "", "2 .bin, .pt or .pth files and no index (one.pt, two.bin, ...)");
    opens(t, "two.bin");
    assert_int_equal(t->model.tensor_count, 3);
}

static void metas_own_files_are_read_when_there_is_one(void **state)
{
    tree *t = *state;
    const vs_model m = model_of(t, TINY_LLAMA);
    put_bin(t, "consolidated.00.pth", &m, (uint32_t[2]){0, 2}, NULL);
    opens(t, "");
    notes(&t->model, "Meta's own format");
    put_bin(t, "consolidated.01.pth", &m, (uint32_t[2]){0, 2}, NULL);
    refused(t, "", "2 consolidated.*.pth files are slices of one model");
}

static void bin_shards_without_an_index_must_be_complete(void **state)
{
    tree *t = *state;
    const vs_model m = model_of(t, TINY_LLAMA);
    put_two_bins(t, &m, 10);
    opens(t, "");
    assert_int_equal(t->model.shard_count, 2);
    assert_int_equal(t->model.tensor_count, 21);
    removes(t, "pytorch_model-00001-of-00002.bin");
    refused(t, "", "shard 1 of 2 is missing");
    opens(t, "pytorch_model-00002-of-00002.bin");
    notes(&t->model, "no config.json");
}

/* ---- the index ------------------------------------------------------------------------------------------------ */

static void bin_shards_are_read_through_the_index(void **state)
{
    tree *t = *state;
    const vs_model m = model_of(t, TINY_LLAMA);
    const index_of x = bin_index(&m);
    tree_text(t, "config.json", TINY_LLAMA);
    put_two_bins(t, &m, 10);
    put_index(t, BIN_INDEX, &m, &x);
    opens(t, "");
    assert_int_equal(t->model.note_count, 0);
    assert_int_equal(t->model.shard_count, 2);
    assert_int_equal(t->model.tensors[9].shard, 0);
    assert_int_equal(t->model.tensors[10].shard, 1);
    opens(t, BIN_INDEX);
    assert_string_equal(t->model.source, "pytorch bin");
}

static void an_index_that_disagrees_is_named_with_both_places(void **state)
{
    tree *t = *state;
    const vs_model m = model_of(t, TINY_LLAMA);
    index_of x = bin_index(&m);
    put_two_bins(t, &m, 11);
    put_index(t, BIN_INDEX, &m, &x);
    refused(t, "",
            "should be in pytorch_model-00002-of-00002.bin, but is in "
            "pytorch_model-00001-of-00002.bin");
    x.more = ",\"ghost\":\"pytorch_model-00002-of-00002.bin\"";
    x.split = 11;
    put_index(t, BIN_INDEX, &m, &x);
    refused(
        t, "",
        "tensor \"ghost\" should be in pytorch_model-00002-of-00002.bin, but neither it nor "
        "another shard holds it");
}

static void what_an_index_leaves_out_is_noted_with_its_shard(void **state)
{
    tree *t = *state;
    const vs_model m = model_of(t, TINY_LLAMA);
    index_of x = bin_index(&m);
    x.count = 20;
    x.total_size += 1;
    put_two_bins(t, &m, 10);
    put_index(t, BIN_INDEX, &m, &x);
    opens(t, "");
    char text[200];
    (void)snprintf(text, sizeof text,
                   "the index lists 20 tensors, the headers hold 21: %s in "
                   "pytorch_model-00002-of-00002.bin is not in the index",
                   m.tensors[20].name);
    notes(&t->model, text);
    notes(&t->model, "the index gives total_size");
}

static void the_same_goes_for_safetensors(void **state)
{
    tree *t = *state;
    const vs_model m = model_of(t, TINY_LLAMA);
    const index_of x = {{"a.safetensors", "b.safetensors"}, 10, 20, 5, NULL};
    put_shard(t, "a.safetensors", &m, 0, 10);
    put_shard(t, "b.safetensors", &m, 10, 21);
    put_index(t, ST_INDEX, &m, &x);
    opens(t, "");
    notes(&t->model, "in b.safetensors is not in the index");
    notes(&t->model, "the index gives total_size 5");
}

static void a_shard_that_is_missing_means_an_incomplete_download(void **state)
{
    tree *t = *state;
    const vs_model m = model_of(t, TINY_LLAMA);
    const index_of x = bin_index(&m);
    tree_text(t, "config.json", TINY_LLAMA);
    put_two_bins(t, &m, 10);
    put_index(t, BIN_INDEX, &m, &x);
    removes(t, "pytorch_model-00002-of-00002.bin");
    refused(t, "", "shard pytorch_model-00002-of-00002.bin is missing; it is named by ");
    assert_non_null(strstr(tree_error(t), BIN_INDEX ": the download is incomplete"));
}

/* ---- an index without its files ---------------------------------------------------------------------------------- */

static void an_index_and_a_config_are_enough(void **state)
{
    tree *t = *state;
    const vs_model m = model_of(t, TINY_LLAMA);
    const index_of x = bin_index(&m);
    tree_text(t, "config.json", TINY_LLAMA);
    put_index(t, BIN_INDEX, &m, &x);
    opens(t, "");
    assert_int_equal(t->model.tensor_count, 21);
    assert_int_equal(t->model.container, VS_CONTAINER_TORCH_BIN);
    assert_int_equal(t->model.checkpoint_bytes, m.checkpoint_bytes);
    assert_int_equal(t->model.shard_count, 2);
    assert_string_equal(t->model.shards[1].file, "pytorch_model-00002-of-00002.bin");
    assert_int_equal(t->model.shards[0].size_bytes + t->model.shards[1].size_bytes,
                     m.checkpoint_bytes);
    assert_int_equal(t->model.tensors[9].shard, 0);
    assert_int_equal(t->model.tensors[10].shard, 1);
    assert_int_equal(t->model.note_count, 1);
    notes(&t->model,
          "none of the 2 shards that the index names is here: shapes are the config's");
}

static void every_difference_between_index_and_config_is_noted(void **state)
{
    tree *t = *state;
    const vs_model m = model_of(t, TINY_LLAMA);
    index_of x = bin_index(&m);
    x.count = 19;
    x.total_size = 77;
    x.more = ",\"model.layers.0.self_attn.rotary_emb.inv_freq\":"
             "\"pytorch_model-00001-of-00002.bin\"";
    tree_text(t, "config.json", TINY_LLAMA);
    put_index(t, BIN_INDEX, &m, &x);
    opens(t, "");
    notes(&t->model, "the index lists 1 tensor that the config does not lead to: "
                     "model.layers.0.self_attn.rotary_emb.inv_freq");
    notes(&t->model, "the config leads to 2 tensors that the index does not list: ");
    char text[100];
    (void)snprintf(text, sizeof text,
                   "the index gives total_size 77, the config leads to %" PRIu64 " bytes",
                   m.checkpoint_bytes);
    notes(&t->model, text);
}

static void a_safetensors_index_and_a_config_are_enough_too(void **state)
{
    tree *t = *state;
    const vs_model m = model_of(t, TINY_LLAMA);
    const index_of x = {
        {"a.safetensors", "b.safetensors"}, 10, m.tensor_count, m.checkpoint_bytes, NULL};
    tree_text(t, "config.json", TINY_LLAMA);
    put_index(t, ST_INDEX, &m, &x);
    opens(t, "");
    assert_int_equal(t->model.container, VS_CONTAINER_SAFETENSORS);
    assert_int_equal(t->model.shard_count, 2);
    notes(&t->model, "none of the 2 shards");
}

static void an_index_alone_tells_no_shapes(void **state)
{
    tree *t = *state;
    const vs_model m = model_of(t, TINY_LLAMA);
    const index_of x = bin_index(&m);
    put_index(t, BIN_INDEX, &m, &x);
    refused(t, "", "none of the 2 shards that the index names is here");
    assert_non_null(strstr(tree_error(t), "no config.json to tell shapes from"));
}

/* ---- adapters ---------------------------------------------------------------------------------------------------------- */

#define ADAPTER(base)                                                                          \
    "{\"peft_type\":\"LORA\",\"base_model_name_or_path\":\"" base "\",\"r\":16}"

static void an_adapter_names_its_base_model(void **state)
{
    tree *t = *state;
    const vs_model m = model_of(t, TINY_LLAMA);
    tree_text(t, "adapter_config.json", ADAPTER("meta-llama/Llama-2-7b-hf"));
    put_shard(t, "adapter_model.safetensors", &m, 0, 2);
    refused(t, "", "an adapter (LORA), not a model");
    assert_non_null(strstr(tree_error(t), "meta-llama/Llama-2-7b-hf; give that one, in the "
                                          "catalogue as llama-2-7b"));
    refused(t, "adapter_model.safetensors", "an adapter (LORA)");
    removes(t, "adapter_config.json");
    tree_text(t, "adapter_config.json", ADAPTER("someone/something"));
    refused(t, "", "someone/something; give that one");
    removes(t, "adapter_config.json");
    tree_text(t, "adapter_config.json", "{}");
    refused(t, "", "which adapter_config.json does not name");
}

static void an_adapter_beside_the_weights_is_noted(void **state)
{
    tree *t = *state;
    const vs_model m = model_of(t, TINY_LLAMA);
    tree_text(t, "adapter_config.json", ADAPTER("someone/something"));
    tree_text(t, "config.json", TINY_LLAMA);
    put_bin(t, "adapter_model.bin", &m, (uint32_t[2]){0, 2}, NULL);
    put_bin(t, "pytorch_model.bin", &m, (uint32_t[2]){0, m.tensor_count}, NULL);
    opens(t, "");
    assert_int_equal(t->model.tensor_count, m.tensor_count);
    notes(&t->model, "an adapter lies beside the weights");
}

/* ---- limits ----------------------------------------------------------------------------------------------------------------- */

static void the_nth_allocation_may_fail(void **state)
{
    tree *t = *state;
    const vs_model m = model_of(t, TINY_LLAMA);
    const index_of x = bin_index(&m);
    tree_text(t, "config.json", TINY_LLAMA);
    put_two_bins(t, &m, 10);
    put_index(t, BIN_INDEX, &m, &x);
    for (uint64_t n = 1; n < 10000; n++) {
        vs_arena_reset(&t->arena);
        t->arena.fail_at = n;
        if (tree_try(t, "")) {
            assert_true(n > 60);
            t->arena.fail_at = 0;
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
        T(a_bin_beside_its_config_is_the_configs_model),
        T(a_file_of_before_1_6_is_told_apart),
        T(a_tied_head_in_a_bin_counts_once),
        T(without_a_config_the_headers_are_enough),
        T(files_are_preferred_as_transformers_does),
        T(what_a_trainer_leaves_is_no_weights),
        T(several_files_of_unknown_names_are_not_guessed),
        T(metas_own_files_are_read_when_there_is_one),
        T(bin_shards_without_an_index_must_be_complete),
        T(bin_shards_are_read_through_the_index),
        T(an_index_that_disagrees_is_named_with_both_places),
        T(what_an_index_leaves_out_is_noted_with_its_shard),
        T(the_same_goes_for_safetensors),
        T(a_shard_that_is_missing_means_an_incomplete_download),
        T(an_index_and_a_config_are_enough),
        T(every_difference_between_index_and_config_is_noted),
        T(a_safetensors_index_and_a_config_are_enough_too),
        T(an_index_alone_tells_no_shapes),
        T(an_adapter_names_its_base_model),
        T(an_adapter_beside_the_weights_is_noted),
        T(the_nth_allocation_may_fail),
    };
    return cmocka_run_group_tests_name("checkpoint", tests, NULL, NULL);
}
