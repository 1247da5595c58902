/* summary_cost.c - what a model costs in other dtypes, in training, and in its cache.
 *
 * Two columns stand side by side: what `accelerate estimate-memory` says, formula by formula, and what a load of
 * Transformers 5 keeps. They differ where the estimate is known to be wrong:
 *   - it builds AutoModel, so a model without its output head (commands/estimate.py create_empty_model);
 *   - int8 and int4 divide everything by 4 and 8, while bitsandbytes leaves embeddings, norms, head, routers and fused
 *     experts as they are and adds scales (specs/transformers-loading.md [6.1] [6.3]);
 *   - float16 training is twice the float32 size, the largest of its three terms instead of their sum.
 * Accelerate 1.14.0. */
#include <stdio.h>
#include <string.h>

#include "sim/model/summary.h"

/* ---- numbers of a config ------------------------------------------------------------------------- */

bool vs_config_find_u64(const vs_jnode *config, const char *key, uint64_t *out)
{
    /* text_config: Gemma 3, Llama 4, Mistral 3, Qwen-VL; the others: older multimodal configs. */
    static const char *const places[] = {"", "text_config", "llm_config", "language_config"};
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        const vs_jnode place = i == 0 ? *config : vs_json_member(config, places[i]);
        const vs_jnode node = vs_json_member(&place, key);
        uint64_t value = 0;
        if (node.node != NULL && vs_json_as_u64(&node, &value, NULL)) {
            *out = value;
            return true;
        }
    }
    return false;
}

/* ---- dtypes ---------------------------------------------------------------------------------------- */

/* What bitsandbytes replaces: exact linear layers, but not the output head and its partners, nor the module that owns
 * the last parameter [6.3]. */
static bool is_quantisable(const vs_target *t)
{
    const uint32_t skipped = VS_TF_OUTPUT_HEAD | VS_TF_TIED | VS_TF_LAST_MODULE |
                             VS_TF_KEEP_FP32 | VS_TF_BIAS | VS_TF_BUFFER;
    return (t->flags & VS_TF_LINEAR) != 0 && (t->flags & skipped) == 0 && t->elements > 0;
}

static uint64_t ceil_div(uint64_t a, uint64_t b)
{
    return a / b + (a % b != 0);
}

/* Bytes of one weight by row of the table [6.1]: 8 bit with a float32 a row; 4 bit in blocks of 64 with a float32
 * each and a table of 16 codes, no double quantisation (the default of Transformers). */
static vs_bytes quantised_bytes(const vs_target *t, uint32_t divisor)
{
    return divisor == 4 ? t->elements + 4 * t->shape[0]
                        : ceil_div(t->elements, 2) + 4 * ceil_div(t->elements, 64) + 64;
}

static void add_to_cost(vs_dtype_cost *cost, const vs_target *t)
{
    vs_bytes fixed = 0;
    if (t->fixed_dtype != VS_DT_COUNT) {
        if (vs_dtype_bytes(t->fixed_dtype, t->elements, &fixed)) {
            cost->exact_bytes += fixed;
            cost->exact_training_bytes += cost->divisor <= 2 ? fixed : 0;
        }
        return;
    }
    const uint64_t width = cost->divisor == 1 ? 4 : 2;
    if (cost->divisor > 2 && is_quantisable(t)) {
        cost->exact_bytes += quantised_bytes(t, cost->divisor);
        return;
    }
    cost->exact_bytes += t->elements * width;
    cost->wide_bytes += cost->divisor > 2 ? t->elements * width : 0;
    const uint64_t copies = (t->flags & VS_TF_BUFFER) != 0 ? 1 : 4;
    cost->exact_training_bytes += cost->divisor <= 2 ? t->elements * width * copies : 0;
}

/* AutoModel of this type has its head and its vision tower, which the text model leaves in the checkpoint
 * (models/auto/modeling_auto.py: llama4 -> Llama4ForConditionalGeneration; the tower's rotary table, 203,104 B for
 * Scout, is in no checkpoint and is left out here). */
static bool is_whole_in_auto_model(const vs_model *model)
{
    return strcmp(model->model_type, "llama4") == 0;
}

static void look_at_modules(vs_model_summary *s, const vs_model *model)
{
    vs_bytes head_bytes = 0;
    for (uint32_t i = 0; i < model->module_count; i++) {
        const vs_target *const t = &model->modules[i];
        head_bytes += (t->flags & VS_TF_OUTPUT_HEAD) != 0 ? t->elements * 4 : 0;
        s->has_fused_experts = s->has_fused_experts || (t->flags & VS_TF_EXPERTS) != 0;
    }
    if (is_whole_in_auto_model(model)) {
        s->estimate_bytes += head_bytes + s->not_loaded.elements * 4;
        s->has_head_left_out = false;
        s->has_all_counted = s->not_loaded.elements > 0;
    }
}

void vs_summary_costs(vs_model_summary *s, const vs_model *model)
{
    static const vs_dtype_cost rows[VS_DTYPE_COSTS] = {
        {.dtype = "float32", .divisor = 1},
        {.dtype = "float16", .divisor = 2},
        {.dtype = "int8", .divisor = 4},
        {.dtype = "int4", .divisor = 8},
    };
    look_at_modules(s, model);
    memcpy(s->costs, rows, sizeof rows);
    for (uint32_t r = 0; r < VS_DTYPE_COSTS; r++) {
        vs_dtype_cost *const cost = &s->costs[r];
        /* estimate_training_usage: max over the terms; only the first two dtypes have any. */
        cost->estimate_training_bytes = cost->divisor == 1   ? s->estimate_bytes * 4
                                        : cost->divisor == 2 ? s->estimate_bytes * 2
                                                             : 0;
        cost->is_exact_known = cost->divisor <= 2 || model->quant.format == VS_QF_NONE;
        for (uint32_t i = 0; i < model->module_count && cost->is_exact_known; i++) {
            if ((model->modules[i].flags & (VS_TF_TIED | VS_TF_NON_PERSISTENT)) == 0) {
                add_to_cost(cost, &model->modules[i]);
            }
        }
    }
}

const char *vs_format_accelerate_size(vs_bytes bytes, uint32_t divisor, char buf[VS_TEXT_BYTES])
{
    static const char *const units[] = {"bytes", "KB", "MB", "GB", "TB", "PB"};
    vs_assert(divisor > 0);
    /* Divisions by powers of two are exact, and printf rounds as Python's round() does: the nearest decimal of the
     * exact value, ties to even. */
    double value = (double)bytes / divisor;
    size_t unit = 0;
    while (value >= 1024.0 && unit + 1 < sizeof units / sizeof units[0]) {
        value /= 1024.0;
        unit++;
    }
    char digits[VS_TEXT_BYTES];
    const int len = snprintf(digits, sizeof digits, "%.2f", value);
    vs_assert(len > 0 && (size_t)len < sizeof digits);
    if (digits[len - 1] == '0') { /* 64.00 -> "64.0", as Python prints a float */
        digits[len - 1] = '\0';
    }
    if (unit == 0 && divisor == 1) { /* a whole number there */
        digits[strcspn(digits, ".")] = '\0';
    }
    (void)snprintf(buf, VS_TEXT_BYTES, "%.20s %s", digits, units[unit]);
    return buf;
}

/* ---- cache ------------------------------------------------------------------------------------------- */

static bool ends_with(const vs_target *t, const char *end)
{
    return vs_str_ends(vs_str_of(t->name), end);
}

/* Latent attention (DeepSeek): what Transformers caches are the keys and values after kv_b_proj, so as many elements
 * as the query has (nope and rope parts of every head) and as the output projection takes in (values of every head).
 * 0: this is no latent attention. */
static uint64_t expanded_elements(const vs_model *model)
{
    uint64_t keys = 0;
    uint64_t values = 0;
    bool is_latent = false;
    for (uint32_t i = 0; i < model->module_count; i++) {
        const vs_target *const t = &model->modules[i];
        if (t->dim_count != 2 || t->layer > 0) { /* the first layer has everything */
            continue;
        }
        is_latent = is_latent || ends_with(t, ".kv_b_proj.weight");
        if (ends_with(t, ".q_b_proj.weight") || ends_with(t, ".q_proj.weight")) {
            keys = t->shape[0];
        } else if (ends_with(t, ".o_proj.weight")) {
            values = t->shape[1];
        }
    }
    return is_latent && keys > 0 && values > 0 ? keys + values : 0;
}

/* Falcon with new_decoder_architecture (40b, 180b) copies each key and value to all the heads of its group before it
 * caches them (modeling_falcon.py, 5.12.1, _split_heads); the older form has one key head or all of them. */
static uint64_t cached_heads(const vs_model *model)
{
    const vs_model_dims *const d = &model->dims;
    return strcmp(model->model_type, "falcon") == 0 && d->kv_heads > 1 ? d->heads : d->kv_heads;
}

/* Gated delta rule (Qwen3-Next): the last inputs of the convolution and one matrix a value head, both in the load
 * dtype (cache_utils.py LinearAttentionLayer; modeling_qwen3_next.py, 5.12.1). 0: not known. */
static uint64_t linear_state_elements(const vs_model *model)
{
    vs_json doc = {0};
    const char *const text = model->config_text;
    if (text == NULL || text[0] == '\0' ||
        !vs_json_parse(&doc, text, strlen(text), "config.json", NULL)) {
        return 0;
    }
    const vs_jnode root = vs_json_root(&doc);
    uint64_t key_heads = 0;
    uint64_t value_heads = 0;
    uint64_t key_dim = 0;
    uint64_t value_dim = 0;
    uint64_t kernel = 0;
    const bool is_known = vs_config_find_u64(&root, "linear_num_key_heads", &key_heads) &&
                          vs_config_find_u64(&root, "linear_num_value_heads", &value_heads) &&
                          vs_config_find_u64(&root, "linear_key_head_dim", &key_dim) &&
                          vs_config_find_u64(&root, "linear_value_head_dim", &value_dim) &&
                          vs_config_find_u64(&root, "linear_conv_kernel_dim", &kernel);
    vs_json_close(&doc);
    uint64_t keys = 0;
    uint64_t values = 0;
    uint64_t channels = 0;
    uint64_t window = 0;
    uint64_t matrices = 0;
    const bool is_small =
        is_known && vs_mul_u64(key_heads, key_dim, &keys) &&
        vs_mul_u64(value_heads, value_dim, &values) && vs_add_u64(keys, keys, &channels) &&
        vs_add_u64(channels, values, &channels) && vs_mul_u64(channels, kernel, &window) &&
        vs_mul_u64(values, key_dim, &matrices) && vs_add_u64(window, matrices, &matrices);
    return is_small ? matrices : 0;
}

/* elements of one layer times layers, in bytes. */
static bool layer_bytes(uint64_t elements, uint64_t layers, vs_dtype dtype, vs_bytes *out)
{
    uint64_t all = 0;
    return vs_mul_u64(elements, layers, &all) && vs_dtype_bytes(dtype, all, out);
}

static void count_layers(vs_kv_cost *kv, const vs_model_dims *d)
{
    const bool is_plain = d->full_layers == 0 && d->window_layers == 0;
    kv->full_layers = is_plain ? d->layers : d->full_layers;
    kv->window_layers = is_plain ? 0 : d->window_layers;
    kv->window = kv->window_layers > 0 ? d->sliding_window : 0;
    const uint64_t counted = kv->full_layers + kv->window_layers;
    kv->linear_layers = d->layers > counted ? d->layers - counted : 0;
}

void vs_summary_kv(vs_model_summary *s, const vs_model *model)
{
    const vs_model_dims *const d = &model->dims;
    vs_kv_cost kv = {.is_state_known = true};
    const uint64_t expanded = expanded_elements(model);
    uint64_t elements = expanded > 0 ? expanded : d->kv_elements;
    count_layers(&kv, d);
    bool is_small = kv.full_layers <= VS_GIB && kv.window_layers <= VS_GIB;
    if (elements == 0) {
        is_small = is_small && vs_mul_u64(cached_heads(model), d->head_dim, &elements) &&
                   vs_mul_u64(elements, 2, &elements);
    }
    vs_bytes window_bytes = 0;
    is_small = is_small &&
               layer_bytes(elements, kv.full_layers, s->load_dtype, &kv.late_token_bytes) &&
               layer_bytes(elements, kv.window_layers, s->load_dtype, &window_bytes) &&
               vs_add_u64(kv.late_token_bytes, window_bytes, &kv.token_bytes);
    if (!is_small || kv.token_bytes == 0) {
        return;
    }
    if (expanded > 0 && !layer_bytes(d->kv_elements, kv.full_layers + kv.window_layers,
                                     s->load_dtype, &kv.latent_token_bytes)) {
        kv.latent_token_bytes = 0;
    }
    if (kv.linear_layers > 0) {
        const uint64_t state = linear_state_elements(model);
        kv.is_state_known =
            state > 0 && layer_bytes(state, kv.linear_layers, s->load_dtype, &kv.state_bytes);
    }
    kv.is_known = true;
    s->kv = kv;
}

static vs_bytes times(vs_bytes bytes, uint64_t tokens)
{
    vs_bytes product = 0;
    return vs_mul_u64(bytes, tokens, &product) ? product : UINT64_MAX;
}

vs_bytes vs_kv_bytes(const vs_kv_cost *kv, uint64_t tokens)
{
    const uint64_t in_window = kv->window > 0 && tokens > kv->window ? kv->window : tokens;
    const vs_bytes full = times(kv->late_token_bytes, tokens);
    const vs_bytes window = times(kv->token_bytes - kv->late_token_bytes, in_window);
    vs_bytes sum = 0;
    return vs_add_u64(full, window, &sum) && vs_add_u64(sum, kv->state_bytes, &sum)
               ? sum
               : UINT64_MAX;
}
