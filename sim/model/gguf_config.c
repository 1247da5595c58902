/* gguf_config.c - from the metadata of a GGUF file to the text of a config.json.
 *
 * As load_gguf_checkpoint of Transformers 5.12.1 does it (modeling_gguf_pytorch_utils.py), for the architectures that
 * it knows; for the others, the converters of llama.cpp read backwards. What the metadata does not say is told from
 * which tensors there are. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "sim/model/gguf.h"

/* All keys with 20 digits each, three times over. */
#define TEXT_BYTES ((size_t)8192)

typedef struct {
    const vs_gguf_set *set;
    const vs_gguf *file; /* the first */
    const vs_gguf_arch *arch;
    char *text;
    size_t used;
    const char *why;
    vs_arena *arena;
    vs_err *err;
} config_text;

static void add(config_text *c, const char *format, ...) VS_PRINTF(2, 3);

static void add(config_text *c, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    const int count = vsnprintf(c->text + c->used, TEXT_BYTES - c->used, format, args);
    va_end(args);
    vs_assert(count >= 0 && (size_t)count < TEXT_BYTES - c->used); /* our keys, our numbers */
    c->used += (size_t)count;
}

static bool has_member(const config_text *c, const char *key)
{
    char quoted[96];
    (void)snprintf(quoted, sizeof quoted, "\"%s\":", key);
    return strstr(c->text, quoted) != NULL;
}

static void add_u64(config_text *c, const char *key, uint64_t value)
{
    if (!has_member(c, key)) {
        add(c, ", \"%s\": %" PRIu64, key, value);
    }
}

static void add_bool(config_text *c, const char *key, bool value)
{
    if (!has_member(c, key)) {
        add(c, ", \"%s\": %s", key, value ? "true" : "false");
    }
}

/* ---- numbers ------------------------------------------------------------------------------------ */

/* A whole number, or a list of equal ones (one for each layer). */
static bool read_whole(config_text *c, const vs_gguf_entry *entry, uint64_t *out)
{
    uint64_t first = 0;
    if (!vs_gguf_u64(c->file, entry, 0, &first)) {
        return vs_gguf_fail(c->file, entry, c->err,
                            "expected a whole number, not negative and at most 2^53");
    }
    const uint64_t count = entry->type == VS_GGUF_ARRAY ? entry->count : 1;
    for (uint64_t i = 1; i < count; i++) {
        uint64_t next = 0;
        if (!vs_gguf_u64(c->file, entry, i, &next)) {
            return vs_gguf_fail(c->file, entry, c->err,
                                "expected whole numbers, not negative and at most 2^53");
        }
        if (next != first && c->why == NULL) {
            c->why = vs_arena_printf(c->arena, "%s differs from layer to layer", entry->name);
            if (c->why == NULL) {
                return vs_fail_memory(c->err, c->arena, "the reason of a note");
            }
        }
    }
    *out = first;
    return true;
}

/* The number behind an arch's key: *is_there tells whether there is one. */
static bool find_whole(config_text *c, const char *key, bool *is_there, uint64_t *out)
{
    const vs_gguf_entry *const entry = vs_gguf_find_arch(c->file, c->arch, key);
    *is_there = entry != NULL;
    return entry == NULL || read_whole(c, entry, out);
}

static bool add_key(config_text *c, const vs_gguf_key *key)
{
    const vs_gguf_entry *const entry = vs_gguf_find_arch(c->file, c->arch, key->gguf);
    uint64_t whole = 0;
    double real = 0.0;
    if (entry == NULL || key->config[0] == '\0' || has_member(c, key->config)) {
        return true;
    }
    switch (key->kind) {
    case VS_GK_WHOLE:
        if (!read_whole(c, entry, &whole)) {
            return false;
        }
        add_u64(c, key->config, whole);
        return true;
    case VS_GK_REAL:
        if (!vs_gguf_double(c->file, entry, &real)) {
            return vs_gguf_fail(c->file, entry, c->err, "expected a finite number");
        }
        add(c, ", \"%s\": %.9g", key->config, real);
        return true;
    case VS_GK_SWITCH:
        if (entry->type != VS_GGUF_BOOL || !vs_gguf_u64(c->file, entry, 0, &whole)) {
            return vs_gguf_fail(c->file, entry, c->err, "expected true or false");
        }
        add_bool(c, key->config, whole != 0);
        return true;
    }
    return true;
}

static bool add_keys(config_text *c)
{
    for (const vs_gguf_key *const *list = c->arch->keys; *list != NULL; list++) {
        for (const vs_gguf_key *key = *list; key->gguf != NULL; key++) {
            if (!add_key(c, key)) {
                return false;
            }
        }
    }
    return true;
}

/* `{arch}.vocab_size`, else the length of the vocabulary, else the rows of the embedding. */
static bool add_vocab(config_text *c)
{
    const vs_gguf_entry *const tokens = vs_gguf_find(c->file, "tokenizer.ggml.tokens");
    const uint32_t embedding =
        vs_name_index_find(&c->set->names, vs_str_of("token_embd.weight"));
    if (tokens != NULL && tokens->type == VS_GGUF_ARRAY) {
        add_u64(c, "vocab_size", tokens->count);
    } else if (embedding != UINT32_MAX) {
        add_u64(c, "vocab_size", c->set->stored.tensors[embedding].shape[0]);
    }
    return true;
}

/* Without head_count_kv there are as many as heads (llama.cpp, src/llama-model.cpp), whatever the default of the
 * class: a loader of Transformers' own would take that one. */
static bool add_kv_heads(config_text *c)
{
    bool has_heads = false;
    uint64_t heads = 0;
    if (c->arch->is_loadable || !find_whole(c, "attention.head_count", &has_heads, &heads)) {
        return c->arch->is_loadable;
    }
    if (has_heads) {
        add_u64(c, "num_key_value_heads", heads);
    }
    return true;
}

/* ---- what only some architectures have ----------------------------------------------------------------- */

static bool has_tensor(const config_text *c, const char *name)
{
    return vs_gguf_has(c->set, name);
}

/* The share of a head that is rotated. */
static bool add_rotary_share(config_text *c, const char *key)
{
    bool has_rope = false;
    bool has_head = false;
    bool has_heads = false;
    bool has_hidden = false;
    uint64_t rope = 0;
    uint64_t head = 0;
    uint64_t heads = 0;
    uint64_t hidden = 0;
    if (!find_whole(c, "rope.dimension_count", &has_rope, &rope) ||
        !find_whole(c, "attention.key_length", &has_head, &head) ||
        !find_whole(c, "attention.head_count", &has_heads, &heads) ||
        !find_whole(c, "embedding_length", &has_hidden, &hidden)) {
        return false;
    }
    if (!has_head && has_heads && heads > 0) {
        head = hidden / heads;
    }
    if (has_rope && head > 0 && rope <= head) {
        add(c, ", \"%s\": %.9g", key, (double)rope / (double)head);
    }
    return true;
}

static bool add_falcon(config_text *c)
{
    bool has_kv = false;
    uint64_t kv_heads = 0;
    if (!find_whole(c, "attention.head_count_kv", &has_kv, &kv_heads)) {
        return false;
    }
    add_bool(c, "new_decoder_architecture", has_tensor(c, "blk.0.attn_norm_2.weight"));
    add_bool(c, "multi_query", has_kv && kv_heads == 1);
    add_bool(c, "parallel_attn", !has_tensor(c, "blk.0.ffn_norm.weight"));
    add_bool(c, "bias", has_tensor(c, "blk.0.attn_qkv.bias"));
    return true;
}

static bool add_starcoder2(config_text *c)
{
    add_bool(c, "use_bias", has_tensor(c, "blk.0.attn_q.bias"));
    return true;
}

static bool add_gptneox(config_text *c)
{
    add_bool(c, "attention_bias", has_tensor(c, "blk.0.attn_qkv.bias"));
    return add_rotary_share(c, "rotary_pct");
}

/* The layers that predict further tokens are counted among the blocks, and come last. */
static bool add_glm4moe(config_text *c)
{
    bool has_blocks = false;
    bool has_extra = false;
    uint64_t blocks = 0;
    uint64_t extra = 0;
    if (!find_whole(c, "block_count", &has_blocks, &blocks) ||
        !find_whole(c, "nextn_predict_layers", &has_extra, &extra)) {
        return false;
    }
    if (has_blocks && extra <= blocks) {
        add_u64(c, "num_hidden_layers", blocks - extra);
    }
    if (has_extra) {
        add_u64(c, "num_nextn_predict_layers", extra);
    }
    add_bool(c, "attention_bias", has_tensor(c, "blk.0.attn_q.bias"));
    add_bool(c, "use_qk_norm", has_tensor(c, "blk.0.attn_q_norm.weight"));
    return add_rotary_share(c, "partial_rotary_factor");
}

static bool add_qwen3next(config_text *c)
{
    bool has_inner = false;
    bool has_heads = false;
    uint64_t inner = 0;
    uint64_t heads = 0;
    if (!find_whole(c, "ssm.inner_size", &has_inner, &inner) ||
        !find_whole(c, "ssm.time_step_rank", &has_heads, &heads)) {
        return false;
    }
    if (has_inner && heads > 0) {
        add_u64(c, "linear_value_head_dim", inner / heads);
    }
    return add_rotary_share(c, "partial_rotary_factor");
}

/* Queries without a low rank have none to name: the class would take its default for an absent key. */
static bool add_deepseek(config_text *c)
{
    bool has_rank = false;
    bool has_key = false;
    bool has_rope = false;
    uint64_t rank = 0;
    uint64_t key = 0;
    uint64_t rope = 0;
    if (!find_whole(c, "attention.q_lora_rank", &has_rank, &rank) ||
        !find_whole(c, "rope.dimension_count", &has_rope, &rope) ||
        !find_whole(c, "attention.key_length_mla", &has_key, &key) ||
        (!has_key && !find_whole(c, "attention.key_length", &has_key, &key))) {
        return false;
    }
    if (has_rank && rank > 0) {
        add_u64(c, "q_lora_rank", rank);
    } else {
        add(c, ", \"q_lora_rank\": null");
    }
    if (has_key && has_rope && key > rope) {
        add_u64(c, "qk_nope_head_dim", key - rope);
    }
    return true;
}

static bool add_own(config_text *c)
{
    static const struct {
        const char *model_type;
        bool (*add)(config_text *c);
    } own[] = {
        {"falcon", add_falcon},        {"starcoder2", add_starcoder2},
        {"gpt_neox", add_gptneox},     {"glm4_moe", add_glm4moe},
        {"qwen3_next", add_qwen3next}, {"deepseek_v2", add_deepseek},
        {"deepseek_v3", add_deepseek},
    };

    for (size_t i = 0; i < sizeof own / sizeof own[0]; i++) {
        if (strcmp(c->arch->model_type, own[i].model_type) == 0) {
            return own[i].add(c);
        }
    }
    return true;
}

/* ---- the whole -------------------------------------------------------------------------------------------- */

bool vs_gguf_config(const char **text, const char **why, const vs_gguf_set *set,
                    const vs_gguf_arch *arch, vs_arena *arena, vs_err *err)
{
    config_text c = {
        .set = set, .file = &set->files[0], .arch = arch, .arena = arena, .err = err};
    c.text = VS_ARRAY(arena, char, TEXT_BYTES);
    if (c.text == NULL) {
        return vs_fail_memory(err, arena, "the config of a GGUF file");
    }
    add(&c, "{\"model_type\": \"%s\", \"architectures\": [\"%s\"]", arch->model_type,
        arch->architecture);
    if (!add_keys(&c) || !add_own(&c) || !add_kv_heads(&c) || !add_vocab(&c)) {
        return false;
    }
    add_bool(&c, "tie_word_embeddings", arch->is_tied || !has_tensor(&c, "output.weight"));
    add(&c, "}");
    *text = c.why == NULL ? c.text : NULL;
    *why = c.why;
    return true;
}
