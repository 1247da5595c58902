/* family.c - the known families, and the numbers of a config.json.
 *
 * Keys that are absent take the defaults of the class (configuration_*.py of Transformers 5.12.1) where those are
 * harmless; sizes that make the model what it is must be there. */
#include "sim/model/family/family.h"

#include <stdio.h>
#include <string.h>

#include "sim/model/internal.h"

static const vs_family *const families[] = {
    &vs_family_llama,       &vs_family_mistral,     &vs_family_qwen2,
    &vs_family_qwen3,       &vs_family_granite,     &vs_family_phi3,
    &vs_family_gemma2,      &vs_family_gemma3,      &vs_family_gemma3_text,
    &vs_family_starcoder2,  &vs_family_falcon,      &vs_family_bloom,
    &vs_family_opt,         &vs_family_gptj,        &vs_family_gpt_neox,
    &vs_family_mixtral,     &vs_family_qwen3_moe,   &vs_family_olmoe,
    &vs_family_deepseek_v2, &vs_family_deepseek_v3, &vs_family_glm4_moe,
    &vs_family_qwen3_next,  &vs_family_llama4,      &vs_family_llama4_text,
    &vs_family_gpt_oss,
};
#define FAMILY_COUNT (sizeof families / sizeof families[0])

const vs_family *vs_family_find(vs_str model_type)
{
    for (size_t i = 0; i < FAMILY_COUNT; i++) {
        if (vs_str_is(model_type, families[i]->model_type) ||
            (families[i]->other_type != NULL &&
             vs_str_is(model_type, families[i]->other_type))) {
            return families[i];
        }
    }
    return NULL;
}

uint32_t vs_family_count(void)
{
    return FAMILY_COUNT;
}

vs_family_name vs_family_name_at(uint32_t index)
{
    vs_assert(index < FAMILY_COUNT);
    return (vs_family_name){families[index]->model_type, families[index]->architecture};
}

/* Letters that two names begin with together, ASCII case ignored. */
static size_t common_start(vs_str a, const char *b)
{
    size_t n = 0;
    while (n < a.len && b[n] != '\0' && (a.ptr[n] | 0x20) == (b[n] | 0x20)) {
        n++;
    }
    return n;
}

#define ADVICE_NAMES 3u

/* The nearest by spelling first, then those that begin alike (three letters at least), the longest first. */
static size_t find_near(vs_str model_type, const char *near[ADVICE_NAMES])
{
    const char *names[FAMILY_COUNT];
    size_t count = 0;
    for (size_t i = 0; i < FAMILY_COUNT; i++) {
        names[i] = families[i]->model_type;
    }
    near[0] = vs_nearest(model_type, names, FAMILY_COUNT);
    count += near[0] != NULL;
    for (size_t len = model_type.len; len >= 3 && count < ADVICE_NAMES; len--) {
        for (size_t i = 0; i < FAMILY_COUNT && count < ADVICE_NAMES; i++) {
            if (names[i] != near[0] && common_start(model_type, names[i]) == len) {
                near[count++] = names[i];
            }
        }
    }
    return count;
}

const char *vs_family_advice(vs_str model_type, char *buf, size_t buf_bytes)
{
    const char *near[ADVICE_NAMES] = {NULL};
    const size_t count = find_near(model_type, near);
    size_t used = (size_t)snprintf(buf, buf_bytes, "%zu are known", FAMILY_COUNT);
    for (size_t i = 0; i < count && used < buf_bytes; i++) {
        used += (size_t)snprintf(buf + used, buf_bytes - used, "%s%s",
                                 i > 0        ? ", "
                                 : count == 1 ? ", nearest is "
                                              : ", nearest are ",
                                 near[i]);
    }
    if (used < buf_bytes) {
        (void)snprintf(buf + used, buf_bytes - used,
                       "; `vramscope list families` shows all; any other is "
                       "read from its .safetensors headers");
    }
    return buf;
}

/* ---- numbers ---------------------------------------------------------------------------------- */

/* Larger than any size of a published config; keeps products of two inside 64 bits. */
#define NUMBER_MAX UINT64_C(2147483647)

bool vs_read_number(const vs_jnode *object, const vs_number_rule *rule, uint64_t *out,
                    vs_err *err)
{
    const char *key = rule->key;
    const vs_jnode usual = vs_json_member(object, rule->key);
    if (usual.node == NULL && rule->alias != NULL) {
        const vs_jnode other = vs_json_member(object, rule->alias);
        key = other.node != NULL ? rule->alias : key;
    }
    uint64_t value = rule->fallback;
    if (!vs_json_get_u64(object, key, rule->is_required, &value, err)) {
        return false;
    }
    if (value > NUMBER_MAX || (value == 0 && !rule->may_be_zero)) {
        const vs_jnode node = vs_json_member(object, key);
        return vs_json_fail(&node, err,
                            "expected a whole number %d .. %" PRIu64 ", found %" PRIu64,
                            rule->may_be_zero ? 0 : 1, NUMBER_MAX, value);
    }
    *out = value;
    return true;
}

bool vs_read_required(const vs_jnode *object, const char *key, uint64_t *out, vs_err *err)
{
    const vs_number_rule rule = {.key = key, .is_required = true};
    return vs_read_number(object, &rule, out, err);
}

bool vs_read_default(const vs_jnode *object, const char *key, uint64_t fallback, uint64_t *out,
                     vs_err *err)
{
    const vs_number_rule rule = {.key = key, .fallback = fallback};
    return vs_read_number(object, &rule, out, err);
}

bool vs_read_count(const vs_jnode *object, const char *key, uint64_t fallback, uint64_t *out,
                   vs_err *err)
{
    const vs_number_rule rule = {.key = key, .fallback = fallback, .may_be_zero = true};
    return vs_read_number(object, &rule, out, err);
}

bool vs_read_switch(const vs_jnode *object, const char *key, bool fallback, bool *out,
                    vs_err *err)
{
    *out = fallback;
    return vs_json_get_bool(object, key, false, out, err);
}

/* A size that the class has no harmless default for, unless the family gives one. */
static bool read_size(const vs_config *c, const char *key, const char *alias, uint64_t fallback,
                      uint64_t *out, vs_err *err)
{
    const vs_number_rule rule = {
        .key = key, .alias = alias, .fallback = fallback, .is_required = fallback == 0};
    return vs_read_number(&c->root, &rule, out, err);
}

/* Present, but null: the class then computes the value instead of taking its default. */
static bool is_null(const vs_jnode *root, const char *key)
{
    const vs_jnode node = vs_json_member(root, key);
    return vs_json_is_null(&node);
}

static bool read_kv_heads(vs_config *c, vs_err *err)
{
    vs_model_dims *const d = &c->dims;
    const char *const alias = c->family->aliases.kv_heads;
    const uint64_t class_default = c->family->defaults.kv_heads;
    const bool takes_heads = class_default == 0 || is_null(&c->root, "num_key_value_heads");
    const vs_number_rule rule = {.key = "num_key_value_heads",
                                 .alias = alias,
                                 .fallback = takes_heads ? d->heads : class_default};
    if (!vs_read_number(&c->root, &rule, &d->kv_heads, err)) {
        return false;
    }
    vs_assert(d->kv_heads > 0);
    if (d->heads % d->kv_heads == 0) {
        return true;
    }
    const vs_jnode node = vs_json_member(&c->root, "num_key_value_heads");
    return vs_json_fail(&node, err,
                        "num_attention_heads %" PRIu64
                        " is not a multiple of num_key_value_heads %" PRIu64,
                        d->heads, d->kv_heads);
}

static bool read_head_dim(vs_config *c, vs_err *err)
{
    vs_model_dims *const d = &c->dims;
    const bool computes = c->family->defaults.head_dim == 0 || is_null(&c->root, "head_dim");
    const uint64_t fallback = computes ? d->hidden / d->heads : c->family->defaults.head_dim;
    if (!vs_read_count(&c->root, "head_dim", fallback, &d->head_dim, err)) {
        return false;
    }
    const vs_jnode node = vs_json_member(&c->root, "head_dim");
    const bool is_given = node.node != NULL && !is_null(&c->root, "head_dim");
    if (!is_given && computes && d->hidden % d->heads != 0) {
        const vs_jnode heads = vs_json_member(&c->root, "num_attention_heads");
        return vs_json_fail(&heads, err,
                            "hidden_size %" PRIu64
                            " is not a multiple of num_attention_heads %" PRIu64
                            " and there is no head_dim",
                            d->hidden, d->heads);
    }
    if (d->head_dim == 0) {
        return vs_json_fail(&node, err, "head_dim is 0; a head needs at least one element");
    }
    return c->family->has_no_rotary || d->head_dim % 2 == 0 ||
           vs_json_fail(&node, err,
                        "head_dim is %" PRIu64 "; rotary embeddings need an even number",
                        d->head_dim);
}

static bool read_experts(vs_config *c, vs_err *err)
{
    vs_model_dims *const d = &c->dims;
    const vs_family *const f = c->family;
    if (f->experts_key == NULL) {
        return true;
    }
    const vs_number_rule experts = {.key = f->experts_key,
                                    .alias = f->other_experts_key,
                                    .fallback = f->defaults.experts,
                                    .is_required = f->defaults.experts == 0};
    if (!vs_read_number(&c->root, &experts, &d->experts, err)) {
        return false;
    }
    const uint64_t class_default = f->defaults.experts_per_token;
    if (!vs_read_default(&c->root, "num_experts_per_tok",
                         class_default == 0 ? 1 : class_default, &d->experts_per_token, err)) {
        return false;
    }
    d->moe_intermediate = d->intermediate;
    if (f->expert_size_key != NULL &&
        !vs_read_required(&c->root, f->expert_size_key, &d->moe_intermediate, err)) {
        return false;
    }
    const vs_jnode node = vs_json_member(&c->root, "num_experts_per_tok");
    return d->experts_per_token <= d->experts ||
           vs_json_fail(&node, err, "%" PRIu64 " experts per token, but %s is %" PRIu64,
                        d->experts_per_token, f->experts_key, d->experts);
}

static bool read_window(vs_config *c, vs_err *err)
{
    bool is_used = !c->family->has_window_switch;
    const uint64_t fallback =
        is_null(&c->root, "sliding_window") ? 0 : c->family->defaults.sliding_window;
    if (!vs_read_count(&c->root, "sliding_window", fallback, &c->dims.sliding_window, err) ||
        !vs_json_get_bool(&c->root, "use_sliding_window", false, &is_used, err)) {
        return false;
    }
    if (c->family->has_window_switch && !is_used) {
        c->dims.sliding_window = 0;
    }
    return true;
}

/* A composite config has its own tie_word_embeddings beside the text model's; the class reads the outer one. */
static bool read_switches(vs_config *c, vs_err *err)
{
    const vs_family *const f = c->family;
    if (!vs_read_switch(f->reads_tie_in_text ? &c->root : &c->top, "tie_word_embeddings",
                        f->is_tied_default, &c->is_tied, err)) {
        return false;
    }
    if (f->reads_attention_bias &&
        !vs_read_switch(&c->root, "attention_bias", f->is_attention_bias_default,
                        &c->has_attention_bias, err)) {
        return false;
    }
    return !f->reads_mlp_bias ||
           vs_read_switch(&c->root, "mlp_bias", false, &c->has_mlp_bias, err);
}

/* partial_rotary_factor, at the top or among the rope parameters: the share of a head that is rotated. */
static bool read_rotary(vs_config *c, vs_err *err)
{
    const uint64_t quarters = c->family->rotary_quarters == 0 ? 4 : c->family->rotary_quarters;
    double factor = (double)quarters / 4;
    const vs_jnode parameters = vs_json_member(&c->root, "rope_parameters");
    const bool is_nested = vs_json_is_object(&parameters);
    if (!vs_json_get_double(&c->root, "partial_rotary_factor", false, &factor, err) ||
        (is_nested &&
         !vs_json_get_double(&parameters, "partial_rotary_factor", false, &factor, err))) {
        return false;
    }
    if (!(factor > 0 && factor <= 1)) {
        const vs_jnode node = vs_json_member(&c->root, "partial_rotary_factor");
        return vs_json_fail(&node, err, "expected a share of the head above 0 and up to 1");
    }
    /* int(head_dim * factor), then every second element: as the class computes it */
    const uint64_t rotated = (uint64_t)((double)c->dims.head_dim * factor);
    c->rotary = rotated / 2 + rotated % 2;
    return true;
}

/* ---- layer types ---------------------------------------------------------------------------------- */

static bool parse_layer_type(vs_str text, uint8_t *out)
{
    if (vs_str_is(text, "full_attention")) {
        *out = VS_LAYER_FULL;
    } else if (vs_str_is(text, "sliding_attention") || vs_str_is(text, "chunked_attention")) {
        *out = VS_LAYER_WINDOW;
    } else if (vs_str_is(text, "linear_attention")) {
        *out = VS_LAYER_LINEAR;
    } else {
        return false;
    }
    return true;
}

static bool read_layer_types(vs_config *c, vs_err *err)
{
    vs_jnode list = {0};
    bool has_list = false;
    if (!vs_json_get_list(&c->root, "layer_types", &list, &has_list, err)) {
        return false;
    }
    if (!has_list) {
        return true;
    }
    const size_t count = vs_json_count(&list);
    if (count != c->dims.layers) {
        return vs_json_fail(&list, err,
                            "%zu entries, but there are %" PRIu64
                            " layers: expected one entry a layer",
                            count, c->dims.layers);
    }
    size_t layer = 0;
    for (vs_jnode item = vs_json_first(&list); item.node != NULL; item = vs_json_next(&item)) {
        vs_str text = {NULL, 0};
        if (!vs_json_as_str(&item, &text, err)) {
            return false;
        }
        if (!parse_layer_type(text, &c->layer_types[layer])) {
            return vs_json_fail(&item, err,
                                "expected full_attention, sliding_attention, chunked_attention "
                                "or linear_attention, found \"%.40s\"",
                                text.ptr);
        }
        layer++;
    }
    c->has_layer_types = true;
    return true;
}

/* Far above what is published: 14 to 32 pixels a side, 3 channels. */
#define PATCH_MAX 4096u

bool vs_check_vision(const vs_vision_dims *d, const vs_jnode *object, vs_err *err)
{
    if (d->layers > VS_LAYERS_MAX) {
        const vs_jnode node = vs_json_member(object, "num_hidden_layers");
        return vs_json_fail(&node, err, "%" PRIu64 " layers; more than %d are not supported",
                            d->layers, VS_LAYERS_MAX);
    }
    if (d->patch > PATCH_MAX || d->channels > PATCH_MAX) {
        return vs_json_fail(object, err,
                            "patch_size %" PRIu64 ", num_channels %" PRIu64
                            "; more than %u are not supported",
                            d->patch, d->channels, PATCH_MAX);
    }
    return d->patch <= d->image ||
           vs_json_fail(object, err,
                        "patch_size %" PRIu64 " is larger than image_size %" PRIu64, d->patch,
                        d->image);
}

void vs_set_layer_period(vs_config *c, uint64_t period, vs_layer_type others)
{
    for (uint64_t i = 0; !c->has_layer_types && i < c->dims.layers; i++) {
        c->layer_types[i] =
            (uint8_t)(period > 0 && (i + 1) % period == 0 ? VS_LAYER_FULL : others);
    }
}

static void count_layer_types(vs_config *c)
{
    c->dims.full_layers = 0;
    c->dims.window_layers = 0;
    for (uint64_t i = 0; i < c->dims.layers; i++) {
        c->dims.full_layers += c->layer_types[i] == VS_LAYER_FULL;
        c->dims.window_layers += c->layer_types[i] == VS_LAYER_WINDOW;
    }
}

/* mlp_only_layers: layers with a plain MLP among the sparse ones. */
static bool read_dense_layers(vs_config *c, vs_err *err)
{
    vs_jnode list = {0};
    bool has_list = false;
    if (!vs_json_get_list(&c->root, "mlp_only_layers", &list, &has_list, err)) {
        return false;
    }
    for (vs_jnode item = vs_json_first(&list); item.node != NULL; item = vs_json_next(&item)) {
        uint64_t layer = 0;
        if (!vs_json_as_u64(&item, &layer, err)) {
            return false;
        }
        if (layer < VS_LAYERS_MAX) {
            c->dense_set[layer / 64] |= UINT64_C(1) << (layer % 64);
        }
    }
    return true;
}

/* ---- all of it ---------------------------------------------------------------------------------------- */

static bool find_root(vs_config *c, const vs_jnode *top, vs_err *err)
{
    c->top = *top;
    c->root = *top;
    const char *const key = c->family->text_key;
    if (key == NULL) {
        return true;
    }
    const vs_jnode text = vs_json_member(top, key);
    if (vs_json_is_object(&text)) {
        c->root = text;
        return true;
    }
    return vs_json_fail(top, err,
                        "expected an object \"%s\" with the numbers of the text model", key);
}

static bool read_sizes(vs_config *c, vs_err *err)
{
    vs_model_dims *const d = &c->dims;
    const vs_family *const f = c->family;
    const vs_model_dims *const def = &f->defaults;
    const vs_number_rule positions = {.key = "max_position_embeddings",
                                      .alias = f->aliases.positions,
                                      .fallback = def->max_positions,
                                      .may_be_zero = true};
    if (!read_size(c, "hidden_size", f->aliases.hidden, def->hidden, &d->hidden, err) ||
        !read_size(c, "num_hidden_layers", f->aliases.layers, def->layers, &d->layers, err) ||
        !read_size(c, "num_attention_heads", f->aliases.heads, def->heads, &d->heads, err) ||
        !read_size(c, "vocab_size", NULL, def->vocab, &d->vocab, err) ||
        !vs_read_number(&c->root, &positions, &d->max_positions, err)) {
        return false;
    }
    if (d->layers > VS_LAYERS_MAX) {
        const vs_jnode node = vs_json_member(&c->root, "num_hidden_layers");
        return vs_json_fail(&node, err, "%" PRIu64 " layers; more than %d are not supported",
                            d->layers, VS_LAYERS_MAX);
    }
    return f->has_no_intermediate || read_size(c, "intermediate_size", f->aliases.intermediate,
                                               def->intermediate, &d->intermediate, err);
}

bool vs_config_read(vs_config *config, const vs_family *family, vs_arena *arena,
                    const vs_jnode *top, vs_dtype dtype, vs_err *err)
{
    vs_config *const c = config;
    memset(c, 0, sizeof *c);
    c->family = family;
    c->moe.sparse_step = 1;
    c->stored_dtype = dtype;
    if (!find_root(c, top, err) || !read_sizes(c, err) || !read_kv_heads(c, err) ||
        !read_head_dim(c, err) || !read_experts(c, err) || !read_window(c, err) ||
        !read_switches(c, err) || !read_rotary(c, err) || !read_layer_types(c, err) ||
        !read_dense_layers(c, err)) {
        return false;
    }
    if (family->read != NULL && !family->read(c, err)) {
        return false;
    }
    count_layer_types(c);
    return vs_layout_read(&c->layout, arena, top, dtype, err);
}
