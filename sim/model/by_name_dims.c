/* by_name_dims.c - the numbers of a model that nobody knows: from its config, read leniently, and from shapes.
 *
 * A config of an unknown model_type still uses the names that most of them share; a key that is absent or of another
 * type is no error here. The config wins over shapes, except for what is stored: more layers than it says are told by
 * the headers. */
#include <string.h>

#include "sim/model/by_name.h"

/* Names of one number over the years: Llama and most since, GPT-2 and its kin, MPT and OLMo, GLM and others. */
#define NAMES_MAX 6

typedef struct {
    size_t offset; /* in vs_model_dims */
    const char *names[NAMES_MAX];
} number_names;

#define DIM(field) offsetof(vs_model_dims, field)

/* clang-format off */
static const number_names numbers[] = {
    {DIM(hidden), {"hidden_size", "n_embd", "d_model", "n_embed", "dim"}},
    {DIM(layers), {"num_hidden_layers", "n_layer", "n_layers", "num_layers"}},
    {DIM(heads), {"num_attention_heads", "n_head", "n_heads", "num_heads"}},
    {DIM(kv_heads), {"num_key_value_heads", "n_kv_heads", "num_kv_heads", "multi_query_group_num"}},
    {DIM(head_dim), {"head_dim", "kv_channels", "attention_head_dim"}},
    {DIM(intermediate), {"intermediate_size", "ffn_dim", "n_inner", "ffn_hidden_size"}},
    {DIM(vocab), {"vocab_size", "padded_vocab_size"}},
    {DIM(experts), {"num_experts", "n_routed_experts", "num_local_experts", "moe_num_experts"}},
    {DIM(experts_per_token), {"num_experts_per_tok", "num_experts_per_token", "moe_topk", "moe_k", "top_k_experts"}},
    {DIM(moe_intermediate), {"moe_intermediate_size", "expert_ffn_hidden_size"}},
    {DIM(max_positions), {"max_position_embeddings", "n_positions", "max_seq_len", "seq_length"}},
    {DIM(sliding_window), {"sliding_window"}},
};

/* clang-format on */

static uint64_t *dim_at(vs_model_dims *dims, size_t offset)
{
    return (uint64_t *)(void *)((char *)dims + offset);
}

/* Larger than any size of a published config; keeps products of two inside 64 bits. */
#define NUMBER_MAX UINT64_C(2147483647)

static uint64_t find_number(const vs_jnode *root, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count && names[i] != NULL; i++) {
        uint64_t value = 0;
        if (vs_config_find_u64(root, names[i], &value) && value <= NUMBER_MAX) {
            return value;
        }
    }
    return 0;
}

static void read_config(vs_model_dims *d, const char *text)
{
    vs_json doc = {0};
    if (text == NULL || text[0] == '\0' ||
        !vs_json_parse(&doc, text, strlen(text), "config.json", NULL)) {
        return;
    }
    const vs_jnode root = vs_json_root(&doc);
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        *dim_at(d, numbers[i].offset) = find_number(&root, numbers[i].names, NAMES_MAX);
    }
    static const char *const latent[] = {"kv_lora_rank"};
    static const char *const rope[] = {"qk_rope_head_dim"};
    const uint64_t lora = find_number(&root, latent, 1);
    d->kv_elements = lora > 0 ? lora + find_number(&root, rope, 1) : 0;
    vs_json_close(&doc);
    d->kv_heads = d->kv_heads == 0 ? d->heads : d->kv_heads;
    if (d->head_dim == 0 && d->heads > 0 && d->hidden % d->heads == 0) {
        d->head_dim = d->hidden / d->heads;
    }
}

/* ---- shapes -------------------------------------------------------------------------------------------- */

static bool is_token_embedding(const vs_target *t)
{
    static const char *const ends[] = {"embed_tokens.weight",    "wte.weight",
                                       "word_embeddings.weight", "tok_embeddings.weight",
                                       "embed_in.weight",        "token_embd.weight"};
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        if (t->dim_count == 2 && t->layer < 0 && vs_str_ends(vs_str_of(t->name), ends[i])) {
            return true;
        }
    }
    return false;
}

/* The number behind ".experts." plus one; 0: none. Of fused experts the first dimension. */
static uint64_t expert_count(const vs_target *t)
{
    const char *const at = strstr(t->name, ".experts.");
    if (at == NULL) {
        return (t->flags & VS_TF_EXPERTS) != 0 ? t->shape[0] : 0;
    }
    const char *const digits = at + strlen(".experts.");
    const size_t len = strspn(digits, "0123456789");
    uint64_t number = 0;
    if (len == 0) {
        return (t->flags & VS_TF_EXPERTS) != 0 ? t->shape[0] : 0;
    }
    return len <= 6 && vs_parse_u64((vs_str){digits, len}, &number, NULL) ? number + 1 : 0;
}

/* More layers than any published model has (126). */
#define LAYERS_COUNTED 4096

typedef struct {
    uint64_t layers, experts;
    uint64_t keys, values; /* rows of the first decoder layer's projections */
    uint64_t key_layers;   /* decoder layers with a key projection of that many rows */
    uint64_t present;      /* decoder layers with any tensor, below LAYERS_COUNTED */
    uint64_t bits[LAYERS_COUNTED / 64];
    const vs_target *embedding;
} seen_shapes;

static void see(seen_shapes *seen, const vs_target *t)
{
    const vs_str name = vs_str_of(t->name);
    const uint64_t experts = expert_count(t);
    seen->experts = experts > seen->experts ? experts : seen->experts;
    if (seen->embedding == NULL && is_token_embedding(t)) {
        seen->embedding = t;
    }
    if (t->layer < 0) {
        return;
    }
    seen->layers = (uint64_t)t->layer >= seen->layers ? (uint64_t)t->layer + 1 : seen->layers;
    if (t->layer < LAYERS_COUNTED) {
        uint64_t *const bits = &seen->bits[t->layer / 64];
        const uint64_t bit = UINT64_C(1) << (t->layer % 64);
        seen->present += (*bits & bit) == 0;
        *bits |= bit;
    }
    if (t->dim_count != 2 || (t->flags & VS_TF_LINEAR) == 0) {
        return;
    }
    if (vs_str_ends(name, ".k_proj.weight")) {
        seen->keys = seen->keys == 0 ? t->shape[0] : seen->keys;
        seen->key_layers += t->shape[0] == seen->keys;
    } else if (vs_str_ends(name, ".v_proj.weight")) {
        seen->values = seen->values == 0 ? t->shape[0] : seen->values;
    }
}

void vs_by_name_dims(vs_model *model)
{
    vs_model_dims *const d = &model->dims;
    seen_shapes seen = {0};
    read_config(d, model->config_text);
    for (uint32_t i = 0; i < model->target_count; i++) {
        see(&seen, &model->targets[i]);
    }
    /* Layers behind those of the config are stored, but predict tokens further ahead (MTP): no model runs them. */
    d->layers = d->layers == 0 || d->layers > seen.layers ? seen.layers : d->layers;
    d->experts = seen.experts > 0 || d->experts > NUMBER_MAX ? seen.experts : d->experts;
    if (seen.embedding != NULL) {
        d->vocab = d->vocab == 0 ? seen.embedding->shape[0] : d->vocab;
        d->hidden = d->hidden == 0 ? seen.embedding->shape[1] : d->hidden;
    }
    const bool has_heads = d->kv_heads > 0 && d->head_dim > 0;
    if (!has_heads && d->kv_elements == 0 && seen.keys > 0 && seen.keys <= NUMBER_MAX &&
        seen.values <= NUMBER_MAX && model->quant.format == VS_QF_NONE) {
        d->kv_elements = seen.keys + seen.values;
        /* Layers without keys keep a state instead (linear attention). */
        d->full_layers = seen.key_layers < seen.present ? seen.key_layers : 0;
    }
}
