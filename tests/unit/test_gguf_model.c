/* tests/unit/test_gguf_model.c - GGUF files as models: names, experts, splits, folders. */
#include "sim/model/gguf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/gguf_bytes.h"
#include "tests/scratch.h"

enum { F32 = 0, F16 = 1, Q4_0 = 2, Q8_0 = 8 }; /* ggml's ids */

/* The tiny models of these tests. */
#define H     UINT64_C(64)
#define F     UINT64_C(96)
#define HEADS UINT64_C(4)
#define KV    UINT64_C(2)
#define D     UINT64_C(16)
#define V     UINT64_C(128)
#define E     UINT64_C(3)

typedef struct {
    scratch *s;
    gguf_bytes g;
    vs_model model;
    vs_err err;
} fixture;

static int open_fixture(void **state)
{
    void *s = NULL;
    if (scratch_open(&s) != 0) {
        return 1;
    }
    fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    f->s = s;
    *state = f;
    return 0;
}

static int close_fixture(void **state)
{
    fixture *f = *state;
    void *s = f->s;
    const int status = scratch_close(&s);
    free(f);
    return status;
}

/* ---- building ------------------------------------------------------------------------------------ */

static void start(fixture *f, uint32_t layers)
{
    gguf_start(&f->g, 3);
    gguf_text(&f->g, "general.architecture", "llama");
    gguf_u32(&f->g, "llama.context_length", 512);
    gguf_u32(&f->g, "llama.embedding_length", H);
    gguf_u32(&f->g, "llama.block_count", layers);
    gguf_u32(&f->g, "llama.feed_forward_length", F);
    gguf_u32(&f->g, "llama.attention.head_count", HEADS);
    gguf_u32(&f->g, "llama.attention.head_count_kv", KV);
    gguf_u32(&f->g, "llama.vocab_size", V);
}

static void start_mixtral(fixture *f)
{
    start(f, 1);
    gguf_u32(&f->g, "llama.expert_count", E);
    gguf_u32(&f->g, "llama.expert_used_count", 2);
}

static void put(fixture *f, uint32_t layer, const char *tail, uint32_t type, uint64_t inner,
                uint64_t outer)
{
    char name[64];
    (void)snprintf(name, sizeof name, "blk.%u.%s", layer, tail);
    gguf_tensor(&f->g, name, (const uint64_t[]){inner, outer, 0}, type);
}

static void put_attention(fixture *f, uint32_t layer)
{
    put(f, layer, "attn_norm.weight", F32, H, 0);
    put(f, layer, "attn_q.weight", Q8_0, H, HEADS * D);
    put(f, layer, "attn_k.weight", Q8_0, H, KV * D);
    put(f, layer, "attn_v.weight", Q8_0, H, KV * D);
    put(f, layer, "attn_output.weight", Q8_0, HEADS * D, H);
    put(f, layer, "ffn_norm.weight", F32, H, 0);
}

static void put_layer(fixture *f, uint32_t layer)
{
    put_attention(f, layer);
    put(f, layer, "ffn_gate.weight", Q4_0, H, F);
    put(f, layer, "ffn_up.weight", Q4_0, H, F);
    put(f, layer, "ffn_down.weight", Q4_0, F, H);
}

static void put_ends(fixture *f)
{
    GGUF_TENSOR(&f->g, "token_embd.weight", Q8_0, H, V);
    GGUF_TENSOR(&f->g, "output_norm.weight", F32, H);
    GGUF_TENSOR(&f->g, "output.weight", F16, H, V);
}

/* Head and a hole for the data. */
static const char *write_file(fixture *f, const char *name)
{
    const char *const path = scratch_path(f->s, name);
    const uint64_t file_bytes = gguf_end(&f->g);
    FILE *const out = fopen(path, "wb");
    assert_non_null(out);
    assert_int_equal(fwrite(f->g.bytes, 1, f->g.count, out), f->g.count);
    assert_int_equal(fflush(out), 0);
    assert_int_equal(ftruncate(fileno(out), (off_t)file_bytes), 0);
    assert_int_equal(fclose(out), 0);
    return path;
}

static bool open_model(fixture *f, const char *path)
{
    f->err = (vs_err){0};
    return vs_model_open(&f->model, &f->s->arena, path, &f->err);
}

static void assert_opens(fixture *f, const char *path)
{
    if (!open_model(f, path)) {
        scratch_fail(&f->err);
    }
}

static void assert_refused(fixture *f, const char *says)
{
    assert_false(open_model(f, write_file(f, "m.gguf")));
    assert_error_says(&f->err, "m.gguf");
    assert_error_says(&f->err, says);
}

/* ---- looking -------------------------------------------------------------------------------------- */

static const vs_target *find_target(const fixture *f, const char *name)
{
    for (uint32_t i = 0; i < f->model.target_count; i++) {
        if (strcmp(f->model.targets[i].name, name) == 0) {
            return &f->model.targets[i];
        }
    }
    fail_msg("there is no parameter %s", name);
    return NULL;
}

static const vs_tensor *source(const fixture *f, const vs_target *t, uint32_t i)
{
    assert_true(i < t->source_count);
    return &f->model.tensors[f->model.sources[t->first_source + i]];
}

static void assert_note(const fixture *f, const char *says)
{
    for (uint32_t i = 0; i < f->model.note_count; i++) {
        if (strstr(f->model.notes[i], says) != NULL) {
            return;
        }
    }
    fail_msg("no note says \"%s\"", says);
}

/* ---- one file ------------------------------------------------------------------------------------- */

static void a_llama_is_read_under_the_names_of_transformers(void **state)
{
    fixture *f = *state;
    start(f, 2);
    put_ends(f);
    put_layer(f, 0);
    put_layer(f, 1);
    GGUF_TENSOR(&f->g, "rope_freqs.weight", F32, D / 2);
    assert_opens(f, write_file(f, "tiny.Q4_0.gguf"));
    const vs_model *const m = &f->model;
    assert_string_equal(m->name, "tiny.Q4_0");
    assert_string_equal(m->model_type, "llama");
    assert_string_equal(m->source, "gguf");
    assert_int_equal(m->container, VS_CONTAINER_GGUF);
    assert_int_equal(m->config_dtype, VS_DT_F32);
    assert_int_equal(m->tensor_count, 22);
    assert_int_equal(m->dims.layers, 2);
    assert_false(m->is_tied);
    const vs_target *const q = find_target(f, "model.layers.1.self_attn.q_proj.weight");
    assert_int_equal(q->merge, VS_MERGE_NONE);
    assert_int_equal(source(f, q, 0)->dtype, VS_DT_Q8_0);
    assert_int_equal(source(f, q, 0)->size_bytes, (vs_bytes)H * H / 32 * 34);
    const uint64_t layer = 2 * H * H + 2 * H * KV * D + 3 * H * F + 2 * H;
    assert_int_equal(m->loaded_parameters, 2 * H * V + H + 2 * layer);
    assert_int_equal(m->parameters, m->loaded_parameters + D / 2);
    assert_note(f, "1 tensor is ignored on load: rope_freqs.weight");
    assert_note(f, "15 of 22 tensors are quantised in ggml's blocks");
    assert_true(strstr(m->config_text, "\"hidden_size\": 64") != NULL);
}

static void a_head_that_is_not_stored_is_tied(void **state)
{
    fixture *f = *state;
    start(f, 1);
    GGUF_TENSOR(&f->g, "token_embd.weight", Q8_0, H, V);
    GGUF_TENSOR(&f->g, "output_norm.weight", F32, H);
    put_layer(f, 0);
    assert_opens(f, write_file(f, "tied.gguf"));
    assert_true(f->model.is_tied);
    assert_true((find_target(f, "lm_head.weight")->flags & VS_TF_TIED) != 0);
}

static void put_stacked(fixture *f, const char *name, uint64_t inner, uint64_t outer)
{
    GGUF_TENSOR(&f->g, name, Q4_0, inner, outer, E);
}

static void stacked_experts_are_two_tensors_of_one_parameter(void **state)
{
    fixture *f = *state;
    start_mixtral(f);
    put_ends(f);
    put_attention(f, 0);
    put(f, 0, "ffn_gate_inp.weight", F32, H, E);
    put_stacked(f, "blk.0.ffn_up_exps.weight", H, F);
    put_stacked(f, "blk.0.ffn_down_exps.weight", F, H);
    put_stacked(f, "blk.0.ffn_gate_exps.weight", H, F);
    assert_opens(f, write_file(f, "m.gguf"));
    assert_string_equal(f->model.model_type, "mixtral");
    const vs_target *const up = find_target(f, "model.layers.0.mlp.experts.gate_up_proj");
    assert_int_equal(up->merge, VS_MERGE_CAT);
    assert_int_equal(up->source_count, 2);
    assert_int_equal(up->part_count, 2);
    assert_string_equal(source(f, up, 0)->name, "model.layers.0.mlp.experts.gate_proj");
    assert_string_equal(source(f, up, 1)->name, "model.layers.0.mlp.experts.up_proj");
    assert_true(source(f, up, 0)->file_offset > source(f, up, 1)->file_offset);
    assert_int_equal(source(f, up, 0)->target, up - f->model.targets);
    assert_int_equal(up->shape[0], E);
    assert_int_equal(up->shape[1], 2 * F);
    assert_int_equal(up->elements, 2 * E * F * H);
    const vs_target *const down = find_target(f, "model.layers.0.mlp.experts.down_proj");
    assert_int_equal(down->merge, VS_MERGE_NONE);
    assert_int_equal(source(f, down, 0)->elements, E * F * H);
    const vs_target *const norm = find_target(f, "model.norm.weight");
    assert_string_equal(source(f, norm, 0)->name, "model.norm.weight");
    assert_ptr_equal(f->model.modules, f->model.targets);
    assert_ptr_equal(f->model.module_sources, f->model.sources);
    assert_int_equal(f->model.parameters, f->model.loaded_parameters);
    assert_note(f, "takes a GGUF file of Mixtral for a dense Llama");
}

static void experts_one_by_one_are_merged(void **state)
{
    fixture *f = *state;
    start_mixtral(f);
    put_ends(f);
    put_attention(f, 0);
    put(f, 0, "ffn_gate_inp.weight", F32, H, E);
    for (uint32_t e = 0; e < E; e++) {
        static const char *const kinds[] = {"ffn_gate", "ffn_down", "ffn_up"};
        for (size_t k = 0; k < 3; k++) {
            char tail[32];
            (void)snprintf(tail, sizeof tail, "%s.%u.weight", kinds[k], e);
            put(f, 0, tail, Q8_0, k == 1 ? F : H, k == 1 ? H : F);
        }
    }
    assert_opens(f, write_file(f, "m.gguf"));
    const vs_target *const up = find_target(f, "model.layers.0.mlp.experts.gate_up_proj");
    assert_int_equal(up->merge, VS_MERGE_STACK_CAT);
    assert_int_equal(up->source_count, 2 * E);
    assert_string_equal(source(f, up, E)->name,
                        "model.layers.0.block_sparse_moe.experts.0.w3.weight");
}

static void half_a_parameter_is_refused(void **state)
{
    fixture *f = *state;
    start_mixtral(f);
    put_ends(f);
    put_stacked(f, "blk.0.ffn_up_exps.weight", H, F);
    assert_refused(f, "tensor \"blk.0.ffn_up_exps.weight\" is half of "
                      "model.layers.0.mlp.experts.gate_up_proj");
}

static void halves_that_do_not_match_are_refused(void **state)
{
    fixture *f = *state;
    start_mixtral(f);
    put_ends(f);
    put_stacked(f, "blk.0.ffn_up_exps.weight", H, F);
    put_stacked(f, "blk.0.ffn_gate_exps.weight", 2 * H, F);
    assert_refused(f, "cannot be merged");
}

static void headers_win_over_the_metadata(void **state)
{
    fixture *f = *state;
    start_mixtral(f);
    put_ends(f);
    put_attention(f, 0);
    put(f, 0, "ffn_gate_inp.weight", F32, H, E);
    put_stacked(f, "blk.0.ffn_gate_exps.weight", H, 2 * F);
    put_stacked(f, "blk.0.ffn_up_exps.weight", H, 2 * F);
    put_stacked(f, "blk.0.ffn_down_exps.weight", F, H);
    assert_opens(f, write_file(f, "m.gguf"));
    assert_int_equal(find_target(f, "model.layers.0.mlp.experts.gate_up_proj")->shape[1],
                     4 * F);
    assert_note(f, "the headers say");
}

static void what_transformers_makes_of_it_instead_is_noted(void **state)
{
    fixture *f = *state;
    start(f, 1);
    gguf_text(&f->g, "general.name", "mistral");
    put_ends(f);
    put_layer(f, 0);
    assert_opens(f, write_file(f, "m.gguf"));
    assert_note(f,
                "refuses a GGUF file of the architecture llama with the general.name mistral");
    start(f, 1);
    gguf_text(&f->g, "general.name", "Mistral 7B v0.1");
    put_ends(f);
    put_layer(f, 0);
    f->model = (vs_model){0};
    assert_opens(f, write_file(f, "m.gguf"));
    for (uint32_t i = 0; i < f->model.note_count; i++) {
        assert_null(strstr(f->model.notes[i], "Transformers 5.12.1"));
    }
}

static void missing_parameters_are_noted(void **state)
{
    fixture *f = *state;
    start(f, 2);
    put_ends(f);
    put_layer(f, 0);
    assert_opens(f, write_file(f, "m.gguf"));
    assert_note(f, "9 parameters are in no shard and will be initialised");
}

static void a_file_without_tensors_is_refused(void **state)
{
    fixture *f = *state;
    start(f, 1);
    gguf_tokens(&f->g, 10);
    assert_refused(f, "there are no tensors in this file, only metadata");
}

static void contradictory_numbers_are_refused_by_their_config_key(void **state)
{
    fixture *f = *state;
    gguf_start(&f->g, 3);
    gguf_text(&f->g, "general.architecture", "llama");
    gguf_u32(&f->g, "llama.embedding_length", H);
    put_ends(f);
    assert_refused(f, "num_");
}

/* ---- unknown architectures -------------------------------------------------------------------------- */

static void an_unknown_architecture_is_read_by_names(void **state)
{
    fixture *f = *state;
    gguf_start(&f->g, 3);
    gguf_text(&f->g, "general.architecture", "stra\x01nge");
    put_ends(f);
    put_layer(f, 0);
    assert_opens(f, write_file(f, "m.gguf"));
    assert_string_equal(f->model.source, "gguf");
    assert_int_equal(f->model.container, VS_CONTAINER_GGUF);
    assert_int_equal(f->model.tensor_count, 12);
    (void)find_target(f, "blk.0.attn_q.weight");
    assert_note(f, "the architecture \"stra?nge\" is not known");
}

static void metadata_without_an_architecture_does_too(void **state)
{
    fixture *f = *state;
    gguf_start(&f->g, 3);
    put_ends(f);
    assert_opens(f, write_file(f, "m.gguf"));
    assert_note(f, "the metadata names no architecture");
    gguf_start(&f->g, 3);
    gguf_u32(&f->g, "general.architecture", 7);
    put_ends(f);
    assert_opens(f, write_file(f, "m.gguf"));
    assert_note(f, "the metadata names no architecture");
}

/* ---- splits --------------------------------------------------------------------------------------------- */

static void put_split(fixture *f, uint32_t number, uint32_t count, uint32_t tensors)
{
    gguf_key(&f->g, "split.no", VS_GGUF_U16);
    gguf_put_le(&f->g, number, 2);
    gguf_key(&f->g, "split.count", VS_GGUF_U16);
    gguf_put_le(&f->g, count, 2);
    gguf_key(&f->g, "split.tensors.count", VS_GGUF_I32);
    gguf_put_le(&f->g, tensors, 4);
}

/* Two files: the first with the metadata and the ends, the second with the layer. */
static void write_split(fixture *f, uint32_t second_number, uint32_t tensors)
{
    start(f, 1);
    put_split(f, 0, 2, tensors);
    put_ends(f);
    (void)write_file(f, "big-00001-of-00002.gguf");
    gguf_start(&f->g, 3);
    put_split(f, second_number, 2, tensors);
    put_layer(f, 0);
    (void)write_file(f, "big-00002-of-00002.gguf");
}

static void all_files_of_a_split_are_read_whichever_is_named(void **state)
{
    fixture *f = *state;
    write_split(f, 1, 12);
    for (unsigned i = 1; i <= 2; i++) {
        char name[32];
        (void)snprintf(name, sizeof name, "big-0000%u-of-00002.gguf", i);
        assert_opens(f, scratch_path(f->s, name));
        assert_int_equal(f->model.tensor_count, 12);
        assert_int_equal(f->model.shard_count, 2);
        assert_string_equal(f->model.shards[1].file, "big-00002-of-00002.gguf");
        const vs_target *const q = find_target(f, "model.layers.0.self_attn.q_proj.weight");
        assert_int_equal(source(f, q, 0)->shard, 1);
        assert_note(f, "loads one GGUF file, not the 2 of a split");
    }
    assert_opens(f, f->s->dir); /* one model, so the folder will do */
    assert_int_equal(f->model.tensor_count, 12);
}

static void a_missing_file_of_a_split_is_named(void **state)
{
    fixture *f = *state;
    write_split(f, 1, 12);
    assert_int_equal(unlink(scratch_path(f->s, "big-00001-of-00002.gguf")), 0);
    assert_false(open_model(f, scratch_path(f->s, "big-00002-of-00002.gguf")));
    assert_error_says(
        &f->err, "big-00001-of-00002.gguf: this file is missing; big-00002-of-00002.gguf is "
                 "one of the 2 files of a split");
}

static void files_that_do_not_belong_together_are_refused(void **state)
{
    fixture *f = *state;
    write_split(f, 0, 12);
    const char *const path = scratch_path(f->s, "big-00001-of-00002.gguf");
    assert_false(open_model(f, path));
    assert_error_says(&f->err, "big-00002-of-00002.gguf: split.no is 0, expected 1");
    write_split(f, 1, 13);
    assert_false(open_model(f, path));
    assert_error_says(&f->err, "split.tensors.count is 13, expected 12");
    start(f, 1);
    put_split(f, 0, 3, 3);
    put_ends(f);
    assert_false(open_model(f, write_file(f, "alone.gguf")));
    assert_error_says(&f->err, "alone.gguf: split.count is 3, expected 1");
}

static void a_tensor_in_two_files_is_refused(void **state)
{
    fixture *f = *state;
    start(f, 1);
    put_ends(f);
    const char *const path = write_file(f, "two-00001-of-00002.gguf");
    (void)write_file(f, "two-00002-of-00002.gguf");
    assert_false(open_model(f, path));
    assert_error_says(&f->err, "tensor \"token_embd.weight\" is in two files: "
                               "two-00001-of-00002.gguf and two-00002-of-00002.gguf");
}

/* ---- folders ---------------------------------------------------------------------------------------------- */

static void a_folder_with_one_model_will_do(void **state)
{
    fixture *f = *state;
    start(f, 1);
    put_ends(f);
    put_layer(f, 0);
    (void)write_file(f, "m.gguf");
    (void)scratch_write(f->s, "mmproj-m.gguf", "not looked at");
    assert_opens(f, f->s->dir);
    assert_string_equal(f->model.source, "gguf");
    (void)write_file(f, "other.gguf");
    assert_false(open_model(f, f->s->dir));
    assert_error_says(&f->err, "several GGUF models are in this folder (m.gguf, other.gguf)");
}

static void a_folder_with_a_file_that_is_no_good_is_refused(void **state)
{
    fixture *f = *state;
    (void)scratch_write(f->s, "m.gguf", "version https://git-lfs.github.com/spec/v1\n");
    assert_false(open_model(f, f->s->dir));
    assert_error_says(&f->err, "m.gguf");
    assert_error_says(&f->err, "a Git LFS pointer in place of the file");
    (void)scratch_write(f->s, "m.gguf", "<!DOCTYPE html><html>");
    assert_false(open_model(f, f->s->dir));
    assert_error_says(&f->err, "a web page in place of the file");
}

static void a_folder_with_one_part_of_a_split_is_refused(void **state)
{
    fixture *f = *state;
    start(f, 1);
    put_ends(f);
    put_layer(f, 0);
    (void)write_file(f, "m-00001-of-00002.gguf");
    assert_false(open_model(f, f->s->dir));
    assert_error_says(&f->err, "m-00002-of-00002.gguf: this file is missing");
}

#define T(test) cmocka_unit_test_setup_teardown(test, open_fixture, close_fixture)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_llama_is_read_under_the_names_of_transformers),
        T(a_head_that_is_not_stored_is_tied),
        T(stacked_experts_are_two_tensors_of_one_parameter),
        T(experts_one_by_one_are_merged),
        T(half_a_parameter_is_refused),
        T(halves_that_do_not_match_are_refused),
        T(headers_win_over_the_metadata),
        T(what_transformers_makes_of_it_instead_is_noted),
        T(missing_parameters_are_noted),
        T(a_file_without_tensors_is_refused),
        T(contradictory_numbers_are_refused_by_their_config_key),
        T(an_unknown_architecture_is_read_by_names),
        T(metadata_without_an_architecture_does_too),
        T(all_files_of_a_split_are_read_whichever_is_named),
        T(a_missing_file_of_a_split_is_named),
        T(files_that_do_not_belong_together_are_refused),
        T(a_tensor_in_two_files_is_refused),
        T(a_folder_with_one_model_will_do),
        T(a_folder_with_a_file_that_is_no_good_is_refused),
        T(a_folder_with_one_part_of_a_split_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
