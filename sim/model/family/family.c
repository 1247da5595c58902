/* family.c - the known families, and the numbers of a config.json.
 *
 * Keys that are absent take the defaults of the class (configuration_*.py of Transformers 5.12.1) where those are
 * harmless; sizes that make the model what it is must be there. */
#include "sim/model/family/family.h"

#include <stdio.h>
#include <string.h>

#include "sim/model/internal.h"

static const vs_family *const families[] = {
    &vs_family_llama, &vs_family_mistral, &vs_family_qwen2,
    &vs_family_qwen3, &vs_family_mixtral, &vs_family_qwen3_moe,
};
#define FAMILY_COUNT (sizeof families / sizeof families[0])

const vs_family *vs_family_find(vs_str model_type)
{
    for (size_t i = 0; i < FAMILY_COUNT; i++) {
        if (vs_str_is(model_type, families[i]->model_type)) {
            return families[i];
        }
    }
    return NULL;
}

const char *vs_family_advice(vs_str model_type, char *buf, size_t buf_bytes)
{
    const char *names[FAMILY_COUNT];
    size_t used = 0;
    buf[0] = '\0';
    for (size_t i = 0; i < FAMILY_COUNT; i++) {
        names[i] = families[i]->model_type;
        const int n =
            snprintf(buf + used, buf_bytes - used, "%s%s", i == 0 ? "" : ", ", names[i]);
        used += n > 0 && (size_t)n < buf_bytes - used ? (size_t)n : 0;
    }
    const char *const near = vs_nearest(model_type, names, FAMILY_COUNT);
    if (near != NULL) {
        (void)snprintf(buf + used, buf_bytes - used, "; nearest is %s", near);
    }
    return buf;
}

/* ---- numbers ---------------------------------------------------------------------------------- */

/* Larger than any size of a published config; keeps products of two inside 64 bits. */
#define NUMBER_MAX UINT64_C(2147483647)

typedef struct {
    const char *key;
    uint64_t fallback; /* 0 with is_required */
    bool is_required;
    bool may_be_zero;
} number_rule;

static bool read_number(const vs_jnode *root, const number_rule *rule, uint64_t *out,
                        vs_err *err)
{
    uint64_t value = rule->fallback;
    if (!vs_json_get_u64(root, rule->key, rule->is_required, &value, err)) {
        return false;
    }
    if (value > NUMBER_MAX || (value == 0 && !rule->may_be_zero)) {
        const vs_jnode node = vs_json_member(root, rule->key);
        return vs_json_fail(&node, err,
                            "expected a whole number %d .. %" PRIu64 ", found %" PRIu64,
                            rule->may_be_zero ? 0 : 1, NUMBER_MAX, value);
    }
    *out = value;
    return true;
}

static bool read_required(const vs_jnode *root, const char *key, uint64_t *out, vs_err *err)
{
    const number_rule rule = {key, 0, true, false};
    return read_number(root, &rule, out, err);
}

/* Present, but null: the class then computes the value instead of taking its default. */
static bool is_null(const vs_jnode *root, const char *key)
{
    const vs_jnode node = vs_json_member(root, key);
    uint64_t value = 0;
    return node.node != NULL && !vs_json_as_u64(&node, &value, NULL);
}

static bool read_heads(vs_config *c, vs_err *err)
{
    vs_model_dims *const d = &c->dims;
    const vs_jnode *const root = &c->root;
    vs_assert(d->heads > 0); /* read before, 0 refused */
    const bool kv_null = is_null(root, "num_key_value_heads");
    const uint64_t kv_default = kv_null ? 0 : c->family->default_kv_heads;
    const number_rule kv = {"num_key_value_heads", kv_default == 0 ? d->heads : kv_default,
                            false, false};
    if (!read_number(root, &kv, &d->kv_heads, err)) {
        return false;
    }
    vs_assert(d->kv_heads > 0);
    if (d->heads % d->kv_heads != 0) {
        const vs_jnode node = vs_json_member(root, "num_key_value_heads");
        return vs_json_fail(&node, err,
                            "num_attention_heads %" PRIu64
                            " is not a multiple of num_key_value_heads %" PRIu64,
                            d->heads, d->kv_heads);
    }
    const uint64_t head_default = c->family->default_head_dim;
    const number_rule dim = {
        "head_dim", head_default == 0 ? d->hidden / d->heads : head_default, false, true};
    if (!read_number(root, &dim, &d->head_dim, err)) {
        return false;
    }
    const vs_jnode node = vs_json_member(root, "head_dim");
    const bool is_given = node.node != NULL && !is_null(root, "head_dim");
    if (!is_given && head_default == 0 && d->hidden % d->heads != 0) {
        const vs_jnode heads = vs_json_member(root, "num_attention_heads");
        return vs_json_fail(&heads, err,
                            "hidden_size %" PRIu64
                            " is not a multiple of num_attention_heads %" PRIu64
                            " and there is no head_dim",
                            d->hidden, d->heads);
    }
    return (d->head_dim > 0 && d->head_dim % 2 == 0) ||
           vs_json_fail(&node, err,
                        "head_dim is %" PRIu64 "; rotary embeddings need an even number",
                        d->head_dim);
}

static bool read_experts(vs_config *c, vs_err *err)
{
    vs_model_dims *const d = &c->dims;
    if (c->family->experts_key == NULL) {
        return true;
    }
    const number_rule per_token = {"num_experts_per_tok", 1, false, false};
    if (!read_required(&c->root, c->family->experts_key, &d->experts, err) ||
        !read_number(&c->root, &per_token, &d->experts_per_token, err)) {
        return false;
    }
    d->moe_intermediate = d->intermediate;
    if (c->family->expert_size_key != NULL &&
        !read_required(&c->root, c->family->expert_size_key, &d->moe_intermediate, err)) {
        return false;
    }
    const vs_jnode node = vs_json_member(&c->root, "num_experts_per_tok");
    return d->experts_per_token <= d->experts ||
           vs_json_fail(&node, err, "%" PRIu64 " experts per token, but %s is %" PRIu64,
                        d->experts_per_token, c->family->experts_key, d->experts);
}

static bool read_window(vs_config *c, vs_err *err)
{
    bool is_used = !c->family->has_window_switch;
    const uint64_t fallback =
        is_null(&c->root, "sliding_window") ? 0 : c->family->default_window;
    const number_rule window = {"sliding_window", fallback, false, true};
    if (!read_number(&c->root, &window, &c->dims.sliding_window, err) ||
        !vs_json_get_bool(&c->root, "use_sliding_window", false, &is_used, err)) {
        return false;
    }
    if (c->family->has_window_switch && !is_used) {
        c->dims.sliding_window = 0;
    }
    return true;
}

static bool read_switches(vs_config *c, vs_err *err)
{
    if (!vs_json_get_bool(&c->root, "tie_word_embeddings", false, &c->is_tied, err)) {
        return false;
    }
    if (c->family->reads_attention_bias &&
        !vs_json_get_bool(&c->root, "attention_bias", false, &c->has_attention_bias, err)) {
        return false;
    }
    return !c->family->reads_mlp_bias ||
           vs_json_get_bool(&c->root, "mlp_bias", false, &c->has_mlp_bias, err);
}

bool vs_config_read(vs_config *config, const vs_family *family, const vs_jnode *root,
                    vs_err *err)
{
    vs_config c = {.family = family, .root = *root};
    vs_model_dims *const d = &c.dims;
    const number_rule positions = {"max_position_embeddings", 0, false, true};
    const bool is_read = read_required(root, "hidden_size", &d->hidden, err) &&
                         read_required(root, "num_hidden_layers", &d->layers, err) &&
                         read_required(root, "num_attention_heads", &d->heads, err) &&
                         read_required(root, "intermediate_size", &d->intermediate, err) &&
                         read_required(root, "vocab_size", &d->vocab, err) &&
                         read_number(root, &positions, &d->max_positions, err) &&
                         read_heads(&c, err) && read_experts(&c, err) && read_window(&c, err) &&
                         read_switches(&c, err);
    if (!is_read) {
        return false;
    }
    if (d->layers > VS_LAYERS_MAX) {
        const vs_jnode node = vs_json_member(root, "num_hidden_layers");
        return vs_json_fail(&node, err, "%" PRIu64 " layers; more than %d are not supported",
                            d->layers, VS_LAYERS_MAX);
    }
    *config = c;
    return true;
}
