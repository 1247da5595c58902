/* The order in which independent inputs are written does not reach the tape: keys of config.json, entries of a
 * safetensors header, lines of an index, keys of HOST.json, registration of processes and links. */
#include "tests/support/scenario.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define LAYERS      3u
#define TENSORS_MAX 64u

typedef struct {
    char name[96];
    uint32_t rows, columns; /* columns 0: a vector */
    uint64_t begin, end;
} stored;

static void add(stored *list, uint32_t *count, const char *name, uint32_t rows,
                uint32_t columns)
{
    stored *t = &list[(*count)++];
    (void)snprintf(t->name, sizeof t->name, "%s", name);
    t->rows = rows;
    t->columns = columns;
    t->begin = *count > 1 ? list[*count - 2].end : 0;
    t->end = t->begin + UINT64_C(2) * rows * (columns == 0 ? 1 : columns);
}

/* A small llama, in the order of its data. */
static uint32_t small_llama(stored *list)
{
    static const struct {
        const char *name;
        uint32_t rows, columns;
    } parts[] = {{"self_attn.q_proj", 64, 64},       {"self_attn.k_proj", 64, 64},
                 {"self_attn.v_proj", 64, 64},       {"self_attn.o_proj", 64, 64},
                 {"mlp.gate_proj", 128, 64},         {"mlp.up_proj", 128, 64},
                 {"mlp.down_proj", 64, 128},         {"input_layernorm", 64, 0},
                 {"post_attention_layernorm", 64, 0}};

    uint32_t count = 0;
    add(list, &count, "model.embed_tokens.weight", 320, 64);
    for (uint32_t layer = 0; layer < LAYERS; layer++) {
        for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
            char name[96];
            (void)snprintf(name, sizeof name, "model.layers.%" PRIu32 ".%s.weight", layer,
                           parts[i].name);
            add(list, &count, name, parts[i].rows, parts[i].columns);
        }
    }
    add(list, &count, "model.norm.weight", 64, 0);
    add(list, &count, "lm_head.weight", 320, 64);
    return count;
}

static void shuffle(uint32_t *order, uint32_t count, vs_rng *rng)
{
    for (uint32_t i = 0; i < count; i++) {
        order[i] = i;
    }
    for (uint32_t i = count; i > 1; i--) {
        const uint32_t j = (uint32_t)vs_rng_below(rng, i);
        const uint32_t kept = order[i - 1];
        order[i - 1] = order[j];
        order[j] = kept;
    }
}

static FILE *create(const char *folder, const char *name)
{
    char path[256];
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    return f;
}

static void write_checkpoint(const char *folder, const stored *list, uint32_t count,
                             vs_rng *rng)
{
    static char header[32768];
    uint32_t order[TENSORS_MAX];
    size_t used = 0;
    shuffle(order, count, rng);
    for (uint32_t i = 0; i < count; i++) {
        const stored *t = &list[order[i]];
        char shape[32];
        (void)snprintf(shape, sizeof shape,
                       t->columns == 0 ? "%" PRIu32 : "%" PRIu32 ",%" PRIu32, t->rows,
                       t->columns);
        used += (size_t)snprintf(
            header + used, sizeof header - used,
            "%s\"%s\":{\"dtype\":\"F16\",\"shape\":[%s],\"data_offsets\":[%" PRIu64 ",%" PRIu64
            "]}",
            i == 0 ? "{" : ",", t->name, shape, t->begin, t->end);
    }
    used += (size_t)snprintf(header + used, sizeof header - used, "}");
    FILE *f = create(folder, "model.safetensors");
    uint8_t length[8];
    for (uint32_t i = 0; i < 8; i++) {
        length[i] = (uint8_t)((uint64_t)used >> (8 * i));
    }
    assert_int_equal(fwrite(length, 1, 8, f), 8);
    assert_int_equal(fwrite(header, 1, used, f), used);
    assert_int_equal(fflush(f), 0);
    assert_int_equal(ftruncate(fileno(f), (off_t)(8 + used + list[count - 1].end)), 0);
    assert_int_equal(fclose(f), 0);
}

static void write_members(FILE *f, const char *const *members, uint32_t count, vs_rng *rng)
{
    uint32_t order[TENSORS_MAX];
    shuffle(order, count, rng);
    for (uint32_t i = 0; i < count; i++) {
        fprintf(f, "%s%s", i == 0 ? "{" : ",", members[order[i]]);
    }
    fprintf(f, "}");
    assert_int_equal(fclose(f), 0);
}

static void write_folder(const char *folder, vs_rng *rng)
{
    static const char *const config[] = {"\"model_type\":\"llama\"",
                                         "\"hidden_size\":64",
                                         "\"intermediate_size\":128",
                                         "\"num_hidden_layers\":3",
                                         "\"num_attention_heads\":4",
                                         "\"num_key_value_heads\":4",
                                         "\"vocab_size\":320",
                                         "\"torch_dtype\":\"float16\"",
                                         "\"tie_word_embeddings\":false",
                                         "\"an_extra_key\":[1,2,{}]",
                                         "\"architectures\":[\"LlamaForCausalLM\"]"};
    static const char *const host[] = {
        "\"format\":\"vramscope.host/1\"",
        "\"ram_bytes\":68719476736",
        "\"disk_read_bytes_per_s\":3000000000",
        "\"h2d_pageable_bytes_per_s\":9000000000",
        "\"cores\":8",
        "\"gpu\":{\"capacity_bytes\":2147483648,\"context_bytes\":1048576}"};
    stored list[TENSORS_MAX];
    const uint32_t count = small_llama(list);
    (void)mkdir(folder, 0700);
    write_checkpoint(folder, list, count, rng);
    write_members(create(folder, "config.json"), config, sizeof config / sizeof config[0], rng);
    write_members(create(folder, "host.json"), host, sizeof host / sizeof host[0], rng);
}

static void remove_folder(const char *folder)
{
    static const char *const names[] = {"model.safetensors", "config.json", "host.json"};
    for (size_t i = 0; i < 3; i++) {
        char path[256];
        (void)snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        (void)unlink(path);
    }
    (void)rmdir(folder);
}

static void the_order_of_independent_inputs_does_not_reach_the_tape(void **state)
{
    (void)state;
    static const char *const settings[] = {"async=on", "async=off quant=bnb-nf4",
                                           "async=on quant=bnb-int8 dtype=fp32"};
    char folder[64];
    char words[256];
    (void)snprintf(folder, sizeof folder, "/tmp/vramscope-shuffle-%ld", (long)getpid());
    for (size_t k = 0; k < sizeof settings / sizeof settings[0]; k++) {
        scenario_run first;
        scenario_open(&first);
        (void)snprintf(words, sizeof words, "gpu=2GiB host=%s/host.json %s", folder,
                       settings[k]);
        for (uint32_t seed = 1; seed <= 12; seed++) {
            vs_rng rng;
            scenario_run s;
            scenario_open(&s);
            vs_rng_seed(&rng, seed);
            write_folder(folder, &rng);
            s.shuffle_seed = seed - 1;
            scenario_go(seed == 1 ? &first : &s, folder, words);
            if (seed > 1) {
                assert_int_equal(s.timeline.image_bytes, first.timeline.image_bytes);
                assert_memory_equal(s.timeline.image, first.timeline.image,
                                    first.timeline.image_bytes);
            }
            scenario_close(&s);
        }
        assert_int_equal(first.result.verdict, VS_VERDICT_FITS);
        assert_true(first.timeline.event_count > 60);
        scenario_close(&first);
    }
    remove_folder(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_order_of_independent_inputs_does_not_reach_the_tape)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
