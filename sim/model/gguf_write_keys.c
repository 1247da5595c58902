/* gguf_write_keys.c - the metadata of a GGUF file that we write.
 *
 * First what only one architecture has, computed as llama.cpp's converter does; then the numbers of its table
 * (gguf_arch.c). What is there already is not written again. A vocabulary would cost megabytes and says nothing about
 * memory: "no_vocab" is how llama.cpp spells a model without one (src/llama-vocab.cpp), with its size in
 * "ARCH.vocab_size". */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "sim/model/gguf.h"

/* GGML_QUANT_VERSION of gguf-py 0.19.0 constants.py */
#define QUANTIZATION_VERSION 2u

/* ---- bytes -------------------------------------------------------------------------------- */

void vs_gguf_put(vs_gguf_out *out, uint64_t value, unsigned byte_count)
{
    vs_assert(byte_count <= 8 && byte_count <= out->capacity - out->used);
    for (unsigned i = 0; i < byte_count; i++) {
        out->bytes[out->used++] = (uint8_t)(value >> (8 * i) & 0xff);
    }
}

void vs_gguf_put_str(vs_gguf_out *out, const char *text)
{
    const size_t count = strlen(text);
    vs_gguf_put(out, count, 8);
    vs_assert(count <= out->capacity - out->used);
    memcpy(out->bytes + out->used, text, count);
    out->used += count;
}

static void put_key(vs_gguf_out *out, const char *key, vs_gguf_type type)
{
    vs_gguf_put_str(out, key);
    vs_gguf_put(out, type, 4);
    out->entry_count++;
}

static void put_text(vs_gguf_out *out, const char *key, const char *value)
{
    put_key(out, key, VS_GGUF_STRING);
    vs_gguf_put_str(out, value);
}

static void put_whole(vs_gguf_out *out, const char *key, uint64_t value)
{
    const bool is_narrow = value <= UINT32_MAX;
    put_key(out, key, is_narrow ? VS_GGUF_U32 : VS_GGUF_U64);
    vs_gguf_put(out, value, is_narrow ? 4 : 8);
}

static void put_real(vs_gguf_out *out, const char *key, double value)
{
    const float narrow = (float)value;
    uint32_t bits = 0;
    memcpy(&bits, &narrow, sizeof bits);
    put_key(out, key, VS_GGUF_F32);
    vs_gguf_put(out, bits, 4);
}

/* ---- numbers ------------------------------------------------------------------------------------ */

#define SEEN_MAX 64u

typedef struct {
    vs_gguf_out *out;
    const vs_gguf_arch *arch;
    const vs_model *model;
    uint64_t layers;
    vs_jnode config; /* node NULL: none */
    const char *seen[SEEN_MAX];
    uint32_t seen_count;
    vs_err *err;
} key_writer;

/* true the first time */
static bool is_new(key_writer *w, const char *key)
{
    for (uint32_t i = 0; i < w->seen_count; i++) {
        if (strcmp(w->seen[i], key) == 0) {
            return false;
        }
    }
    vs_assert(w->seen_count < SEEN_MAX);
    w->seen[w->seen_count++] = key;
    return true;
}

static const char *full_key(const key_writer *w, const char *key, char buf[128])
{
    (void)snprintf(buf, 128, "%s.%s", w->arch->name, key);
    return buf;
}

static void add_whole(key_writer *w, const char *key, uint64_t value)
{
    char full[128];
    if (is_new(w, key)) {
        put_whole(w->out, full_key(w, key, full), value);
    }
}

static uint64_t dim_of(const key_writer *w, vs_gguf_dim dim)
{
    const vs_model_dims *const d = &w->model->dims;
    switch (dim) {
    case VS_GD_NONE: break;
    case VS_GD_HIDDEN: return d->hidden;
    case VS_GD_LAYERS: return w->layers;
    case VS_GD_HEADS: return d->heads;
    case VS_GD_KV_HEADS: return d->kv_heads;
    case VS_GD_HEAD_DIM: return d->head_dim;
    case VS_GD_INTERMEDIATE: return d->intermediate;
    case VS_GD_VOCAB: return d->vocab;
    case VS_GD_EXPERTS: return d->experts;
    case VS_GD_EXPERTS_USED: return d->experts_per_token;
    case VS_GD_EXPERT_ROWS: return d->moe_intermediate;
    case VS_GD_POSITIONS: return d->max_positions;
    }
    return 0;
}

/* A whole number of the config; absent, null or something else: fallback. */
static uint64_t config_whole(const key_writer *w, const char *key, uint64_t fallback)
{
    uint64_t value = fallback;
    if (w->config.node == NULL || key[0] == '\0' ||
        !vs_json_get_u64(&w->config, key, false, &value, NULL)) {
        return fallback;
    }
    return value;
}

static double config_real(const key_writer *w, const char *key, double fallback)
{
    double value = fallback;
    if (w->config.node == NULL || key[0] == '\0' ||
        !vs_json_get_double(&w->config, key, false, &value, NULL)) {
        return fallback;
    }
    return value;
}

static void add_switch(key_writer *w, const vs_gguf_key *key)
{
    bool value = key->fallback != 0.0;
    char full[128];
    const bool is_there = w->config.node != NULL &&
                          vs_json_member(&w->config, key->config).node != NULL &&
                          vs_json_get_bool(&w->config, key->config, false, &value, NULL);
    if ((is_there || value) && is_new(w, key->gguf)) {
        put_key(w->out, full_key(w, key->gguf, full), VS_GGUF_BOOL);
        vs_gguf_put(w->out, value, 1);
    }
}

static void add_key(key_writer *w, const vs_gguf_key *key)
{
    char full[128];
    uint64_t whole = 0;
    double real = 0.0;
    switch (key->kind) {
    case VS_GK_WHOLE:
        whole = dim_of(w, key->dim);
        whole = whole != 0 ? whole : config_whole(w, key->config, (uint64_t)key->fallback);
        if (whole != 0) {
            add_whole(w, key->gguf, whole);
        }
        break;
    case VS_GK_REAL:
        real = config_real(w, key->config, key->fallback);
        if (real != 0.0 && isfinite(real) && is_new(w, key->gguf)) {
            put_real(w->out, full_key(w, key->gguf, full), real);
        }
        break;
    case VS_GK_SWITCH: add_switch(w, key); break;
    }
}

/* ---- what only some architectures have ------------------------------------------------------------- */

/* So much of a head is rotated. */
static void add_rope(key_writer *w, const char *share_key, double fallback)
{
    const double share = config_real(w, share_key, fallback);
    const uint64_t head = w->model->dims.head_dim;
    if (share > 0.0 && share <= 1.0 && head <= UINT32_MAX) {
        add_whole(w, "rope.dimension_count", (uint64_t)((double)head * share));
    }
}

/* DeepseekV2Model.set_gguf_parameters of the converter: multi-query attention over the latent, and the sizes of a
 * head in the _mla keys. Defaults: configuration_deepseek_v3.py of Transformers 5.12.1. */
static void add_deepseek(key_writer *w)
{
    const uint64_t q_lora = config_whole(w, "q_lora_rank", 0);
    const uint64_t kv_lora = config_whole(w, "kv_lora_rank", 512);
    const uint64_t rope = config_whole(w, "qk_rope_head_dim", 64);
    const uint64_t nope = config_whole(w, "qk_nope_head_dim", 128);
    const uint64_t value = config_whole(w, "v_head_dim", 128);
    if (q_lora != 0) {
        add_whole(w, "attention.q_lora_rank", q_lora);
    }
    add_whole(w, "attention.head_count_kv", 1);
    add_whole(w, "attention.kv_lora_rank", kv_lora);
    add_whole(w, "attention.key_length", kv_lora + rope);
    add_whole(w, "attention.value_length", kv_lora);
    add_whole(w, "attention.key_length_mla", nope + rope);
    add_whole(w, "attention.value_length_mla", value);
    add_whole(w, "rope.dimension_count", rope);
    /* ExpertGatingFuncType: SOFTMAX 1, SIGMOID 2 */
    add_whole(w, "expert_gating_func", strcmp(w->arch->model_type, "deepseek_v3") == 0 ? 2 : 1);
}

/* Without the layers that predict further tokens, which we do not write. */
static void add_glm4moe(key_writer *w)
{
    add_whole(w, "block_count", w->layers);
    add_whole(w, "expert_gating_func", 2);
    add_rope(w, "partial_rotary_factor", 0.5);
}

static void add_qwen3next(key_writer *w)
{
    add_whole(w, "ssm.inner_size",
              config_whole(w, "linear_value_head_dim", 128) *
                  config_whole(w, "linear_num_value_heads", 32));
    add_rope(w, "partial_rotary_factor", 0.25);
}

static void add_gptneox(key_writer *w)
{
    add_rope(w, "rotary_pct", 0.25);
}

static void add_own(key_writer *w)
{
    static const struct {
        const char *model_type;
        void (*add)(key_writer *w);
    } own[] = {
        {"deepseek_v2", add_deepseek}, {"deepseek_v3", add_deepseek}, {"glm4_moe", add_glm4moe},
        {"qwen3_next", add_qwen3next}, {"gpt_neox", add_gptneox},
    };

    for (size_t i = 0; i < sizeof own / sizeof own[0]; i++) {
        if (strcmp(w->arch->model_type, own[i].model_type) == 0) {
            own[i].add(w);
        }
    }
}

/* ---- the whole ------------------------------------------------------------------------------------------ */

vs_jnode vs_gguf_text_config(const vs_jnode *root)
{
    const vs_jnode text = vs_json_member(root, "text_config");
    return vs_json_is_object(&text) ? text : *root;
}

static void put_all(key_writer *w, uint32_t file_type)
{
    char name[64];
    (void)snprintf(name, sizeof name, "%.60s", w->model->name);
    put_text(w->out, "general.architecture", w->arch->name);
    put_text(w->out, "general.type", "model");
    put_text(w->out, "general.name", name);
    put_whole(w->out, "general.file_type", file_type);
    put_whole(w->out, "general.quantization_version", QUANTIZATION_VERSION);
    add_own(w);
    for (const vs_gguf_key *const *list = w->arch->keys; *list != NULL; list++) {
        for (const vs_gguf_key *key = *list; key->gguf != NULL; key++) {
            add_key(w, key);
        }
    }
    put_text(w->out, "tokenizer.ggml.model", "no_vocab");
}

bool vs_gguf_put_keys(vs_gguf_out *out, const vs_gguf_arch *arch, const vs_model *model,
                      const vs_gguf_write_desc *desc, uint32_t file_type, vs_err *err)
{
    const vs_str text = desc->config.len > 0 ? desc->config : vs_str_of(model->config_text);
    key_writer w = {.out = out, .arch = arch, .model = model, .err = err};
    vs_json doc = {0};
    w.layers = desc->layers != 0 ? desc->layers : model->dims.layers;
    if (text.len > 0) {
        if (!vs_json_parse(&doc, text.ptr, text.len, "the config of the model", err)) {
            return false;
        }
        const vs_jnode root = vs_json_root(&doc);
        w.config = vs_gguf_text_config(&root);
    }
    put_all(&w, file_type);
    vs_json_close(&doc);
    return true;
}
