/* write_layers.c - which tensors are written, under which names, and the config that goes with them.
 *
 * Fewer layers than the model has: the tensors of the other ones are left out by the number in their name. The prefix in
 * front of that number ("model.layers.") is learnt from tensors whose targets are decoder layers, so it is never
 * that of a vision tower. Numbers from the model's own count on belong to layers stored behind the decoder (DeepSeek's
 * multi-token prediction, "model.layers.61."): they move down with the last layer.
 *
 * The config is changed as text, so that what it says otherwise stays as its author wrote it. */
#include <stdio.h>
#include <string.h>

#include "sim/model/json_scan.h"
#include "sim/model/write.h"

/* save_pretrained closes a shard when the next tensor would exceed 5 GB, decimal (facts/models.md, "How the order is
 * used"). What is left of shards after a cut is joined up to that. */
#define SHARD_BYTES_MAX UINT64_C(5000000000)

/* ---- which tensors -------------------------------------------------------------------------------- */

/* The layer number behind prefix in a tensor's name; *number_bytes its digits. */
static bool layer_of(const char *name, vs_str prefix, uint64_t *layer, size_t *number_bytes)
{
    if (strncmp(name, prefix.ptr, prefix.len) != 0) {
        return false;
    }
    *number_bytes = strspn(name + prefix.len, "0123456789");
    return name[prefix.len + *number_bytes] == '.' &&
           vs_parse_u64((vs_str){name + prefix.len, *number_bytes}, layer, NULL);
}

/* What stands before ".5." in the name of a tensor of layer 5, dot included; len 0: no such part. */
static vs_str prefix_of(const char *name, int32_t layer)
{
    char number[VS_TEXT_BYTES];
    (void)snprintf(number, sizeof number, "%" PRId32 ".", layer);
    for (const char *at = name; *at != '\0'; at++) {
        if ((at == name || at[-1] == '.') && strncmp(at, number, strlen(number)) == 0) {
            return (vs_str){name, (size_t)(at - name)};
        }
    }
    return (vs_str){name, 0};
}

/* The prefix of the decoder's layers. The last layer has it and no smaller list does, so it is looked for there. */
static bool find_prefix(const vs_model *model, vs_str *out)
{
    const int64_t last = (int64_t)model->dims.layers - 1;
    for (uint32_t i = 0; i < model->tensor_count; i++) {
        const vs_tensor *const t = &model->tensors[i];
        if (t->target == VS_NO_TARGET || model->targets[t->target].layer != last) {
            continue;
        }
        const vs_str prefix = prefix_of(t->name, (int32_t)last);
        if (prefix.len > 0) {
            *out = prefix;
            return true;
        }
    }
    return false;
}

/* The name with the layer number replaced. */
static const char *renumbered(vs_arena *arena, const char *name, vs_str prefix,
                              size_t number_bytes, uint64_t layer)
{
    return vs_arena_printf(arena, "%.*s%" PRIu64 "%s", (int)prefix.len, prefix.ptr, layer,
                           name + prefix.len + number_bytes);
}

bool vs_write_check_layers(const vs_model *model, uint64_t layers, vs_err *err)
{
    vs_str prefix = {NULL, 0};
    if (layers == 0 || layers == model->dims.layers) {
        return true;
    }
    if (model->dims.layers == 0 || !find_prefix(model, &prefix)) {
        return vs_fail(
            err, VS_ERR_VALUE,
            "--layers: which tensors belong to which layer of %s is not known; leave "
            "it out to write all of them",
            model->name);
    }
    return layers < model->dims.layers ||
           vs_fail(err, VS_ERR_VALUE,
                   "--layers %" PRIu64 ": %s has %" PRIu64 " layers; expected 1 to %" PRIu64,
                   layers, model->name, model->dims.layers, model->dims.layers);
}

static bool keep_layers(vs_write_plan *plan, vs_arena *arena, uint64_t layers, vs_err *err)
{
    const uint64_t from = plan->model->dims.layers;
    vs_str prefix = {NULL, 0};
    uint32_t kept = 0;
    if (!vs_write_check_layers(plan->model, layers, err) ||
        !find_prefix(plan->model, &prefix)) {
        return false;
    }
    for (uint32_t i = 0; i < plan->count; i++) {
        vs_write_item item = plan->items[i];
        uint64_t layer = 0;
        size_t number_bytes = 0;
        const bool is_layer = layer_of(item.name, prefix, &layer, &number_bytes);
        if (is_layer && layer >= layers && layer < from) {
            continue;
        }
        if (is_layer && layer >= from) {
            item.name =
                renumbered(arena, item.name, prefix, number_bytes, layer - from + layers);
            if (item.name == NULL) {
                return vs_fail_memory(err, arena, "the names of tensors");
            }
        }
        plan->items[kept++] = item;
    }
    plan->count = kept;
    return true;
}

/* Parameters that the layers left out would have added. */
static uint64_t parameters_without(const vs_model *model, uint64_t layers)
{
    uint64_t left = model->loaded_parameters;
    for (uint32_t i = 0; i < model->target_count; i++) {
        const vs_target *const t = &model->targets[i];
        const bool is_gone = t->layer >= 0 && (uint64_t)t->layer >= layers &&
                             (t->flags & (VS_TF_BUFFER | VS_TF_TIED)) == 0;
        left -= is_gone ? t->elements : 0;
    }
    return left;
}

/* ---- shards ----------------------------------------------------------------------------------------- */

/* Gives the shards that still hold tensors new numbers without gaps; after a cut, neighbours that fit into one file
 * share it. */
static bool number_shards(vs_write_plan *plan, vs_arena *arena, bool is_cut, vs_err *err)
{
    uint32_t old_count = plan->model->shard_count;
    for (uint32_t i = 0; i < plan->count; i++) {
        old_count = plan->items[i].shard < old_count ? old_count : plan->items[i].shard + 1;
    }
    vs_bytes *const bytes = VS_ARRAY(arena, vs_bytes, old_count);
    uint32_t *const tensors = VS_ARRAY(arena, uint32_t, old_count);
    uint32_t *const number = VS_ARRAY(arena, uint32_t, old_count);
    if (bytes == NULL || tensors == NULL || number == NULL) {
        return vs_fail_memory(err, arena, "the shards of a checkpoint");
    }
    for (uint32_t i = 0; i < plan->count; i++) {
        bytes[plan->items[i].shard] += plan->items[i].tensor->size_bytes;
        tensors[plan->items[i].shard]++;
    }
    uint32_t count = 0;
    vs_bytes room = 0;
    for (uint32_t i = 0; i < old_count; i++) {
        if (tensors[i] == 0) {
            continue;
        }
        if (count == 0 || !is_cut || bytes[i] > room) {
            count++;
            room = SHARD_BYTES_MAX;
        }
        room = bytes[i] < room ? room - bytes[i] : 0;
        number[i] = count - 1;
    }
    for (uint32_t i = 0; i < plan->count; i++) {
        plan->items[i].shard = number[plan->items[i].shard];
    }
    plan->shard_count = count == 0 ? 1 : count;
    return true;
}

bool vs_write_plan_make(vs_write_plan *plan, vs_arena *arena, const vs_model *model,
                        uint64_t layers, vs_err *err)
{
    vs_write_plan p = {
        .model = model,
        .items = VS_ARRAY(arena, vs_write_item, model->tensor_count),
        .count = model->tensor_count,
        .parameters = model->loaded_parameters,
    };
    const bool is_cut = layers != 0 && layers != model->dims.layers;
    if (p.items == NULL) {
        return vs_fail_memory(err, arena, "the tensors of a checkpoint");
    }
    for (uint32_t i = 0; i < p.count; i++) {
        const vs_tensor *const t = &model->tensors[i];
        p.items[i] = (vs_write_item){t, t->name, t->shard};
    }
    if (is_cut) {
        if (!keep_layers(&p, arena, layers, err)) {
            return false;
        }
        p.parameters = parameters_without(model, layers);
    }
    if (!number_shards(&p, arena, is_cut, err)) {
        return false;
    }
    *plan = p;
    return true;
}

/* ---- config ----------------------------------------------------------------------------------------- */

/* Spellings of the number of layers (facts/models.md; transformers 5.12.1 models/bloom, gpt2, gptj:
 * attribute_map num_hidden_layers -> n_layer; mpt: n_layers; openelm: num_transformer_layers). */
static const char *const count_keys[] = {"num_hidden_layers", "n_layer", "n_layers",
                                         "num_layers", "num_transformer_layers"};

/* Lists with one item a layer (transformers 5.12.1 configuration_*.py: layer_types in most, mlp_layer_types in
 * glm4_moe_lite and others, no_rope_layers in llama4 and smollm3, attn_type_list in minimax,
 * layers_block_type in jamba and zamba2, attention_layers in gpt_neo). */
static const char *const layer_lists[] = {
    "layer_types",    "mlp_layer_types", "no_rope_layers",  "layers_block_type",
    "attn_type_list", "moe_layer_freq",  "attention_layers"};

/* Lists of layer numbers (qwen3_moe mlp_only_layers, llama4 moe_layers, bamba attn_layer_indices, mllama
 * cross_attention_layers). */
static const char *const number_lists[] = {"mlp_only_layers", "moe_layers",
                                           "attn_layer_indices", "cross_attention_layers"};

/* The object that describes the text model of a multimodal config. */
#define TEXT_KEY "text_config"

typedef struct {
    vs_scan scan;
    uint64_t from;
    uint64_t to;
    char *out; /* what has been decided, up to copied */
    size_t used;
    uint64_t copied;
    bool is_found; /* a number of layers */
} cutter;

static bool is_one_of(const char *key, const char *const *keys, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(keys[i], key) == 0) {
            return true;
        }
    }
    return false;
}

#define IS_ONE_OF(key, keys) is_one_of((key), (keys), sizeof(keys) / sizeof((keys)[0]))

/* The text up to begin, then replacement, then on from end. */
static void replace(cutter *c, uint64_t begin, uint64_t end, const char *replacement)
{
    const size_t plain = (size_t)(begin - c->copied);
    const size_t bytes = strlen(replacement);
    memcpy(c->out + c->used, c->scan.text + c->copied, plain);
    memcpy(c->out + c->used + plain, replacement, bytes);
    c->used += plain + bytes;
    c->copied = end;
}

/* Is the value at [begin, end) this number? */
static bool is_number(const cutter *c, uint64_t begin, uint64_t end, uint64_t number)
{
    const vs_str text = {(const char *)c->scan.text + begin, (size_t)(end - begin)};
    uint64_t value = 0;
    return vs_parse_u64(text, &value, NULL) && value == number;
}

/* One item a layer: those of the layers left out go. Lists of another length mean something else and stay. */
static bool cut_layer_list(cutter *c)
{
    vs_scan *const s = &c->scan;
    uint64_t count = 0;
    uint64_t cut_from = 0;
    uint64_t cut_to = 0;
    s->pos++; /* the bracket */
    bool is_last = vs_scan_peek(s) == ']';
    s->pos += is_last;
    while (!is_last) {
        if (!vs_scan_skip(s)) {
            return false;
        }
        cut_to = s->pos;
        cut_from = ++count == c->to ? s->pos : cut_from;
        if (!vs_scan_separator(s, ']', &is_last)) {
            return false;
        }
    }
    if (count == c->from) {
        replace(c, cut_from, cut_to, "");
    }
    return true;
}

/* Numbers of layers: those beyond the last go. What stands between the brackets is written anew when any goes. */
static bool cut_number_list(cutter *c)
{
    vs_scan *const s = &c->scan;
    const uint64_t begin = ++s->pos;
    char *const kept = vs_arena_alloc(s->arena, (size_t)(s->text_bytes - begin) + 1, 1);
    size_t kept_bytes = 0;
    bool is_any_gone = false;
    if (kept == NULL) {
        return vs_fail_memory(s->err, s->arena, "a config");
    }
    bool is_last = vs_scan_peek(s) == ']';
    s->pos += is_last;
    while (!is_last) {
        (void)vs_scan_peek(s);
        const uint64_t item = s->pos;
        uint64_t layer = 0;
        if (!vs_scan_skip(s)) {
            return false;
        }
        const vs_str text = {(const char *)s->text + item, (size_t)(s->pos - item)};
        if (vs_parse_u64(text, &layer, NULL) && layer >= c->to) {
            is_any_gone = true;
        } else {
            /* ", " is no longer than what stood between two items and the brackets together */
            kept[kept_bytes] = ',';
            kept_bytes += kept_bytes > 0;
            memcpy(kept + kept_bytes, text.ptr, text.len);
            kept_bytes += text.len;
        }
        if (!vs_scan_separator(s, ']', &is_last)) {
            return false;
        }
    }
    kept[kept_bytes] = '\0';
    if (is_any_gone) {
        replace(c, begin, s->pos - 1, kept);
    }
    return true;
}

/* "MEMEM*EM", one letter a layer (nemotron_h hybrid_override_pattern). */
static void cut_pattern(cutter *c, uint64_t begin, uint64_t end)
{
    if (end - begin == c->from + 2) {
        replace(c, begin + 1 + c->to, end - 1, "");
    }
}

static bool cut_member(cutter *c, const char *key)
{
    vs_scan *const s = &c->scan;
    const uint8_t first = vs_scan_peek(s);
    const uint64_t begin = s->pos;
    if (first == '[' && IS_ONE_OF(key, layer_lists)) {
        return cut_layer_list(c);
    }
    if (first == '[' && IS_ONE_OF(key, number_lists)) {
        return cut_number_list(c);
    }
    if (!vs_scan_skip(s)) {
        return false;
    }
    if (IS_ONE_OF(key, count_keys) && is_number(c, begin, s->pos, c->from)) {
        char number[VS_TEXT_BYTES];
        (void)snprintf(number, sizeof number, "%" PRIu64, c->to);
        replace(c, begin, s->pos, number);
        c->is_found = true;
    } else if (first == '"' && strcmp(key, "hybrid_override_pattern") == 0) {
        cut_pattern(c, begin, s->pos);
    }
    return true;
}

/* The members of the object at the scanner; of the outermost one, also those of its text_config. */
static bool cut_object(cutter *c, bool is_outermost)
{
    vs_scan *const s = &c->scan;
    if (!vs_scan_take(s, '{', "'{' (a config is an object)")) {
        return false;
    }
    bool is_last = vs_scan_peek(s) == '}';
    s->pos += is_last;
    while (!is_last) {
        vs_str key = {NULL, 0};
        if (!vs_scan_string(s, &key, "a member name") || !vs_scan_take(s, ':', "':'")) {
            return false;
        }
        const bool is_text = is_outermost && vs_str_is(key, TEXT_KEY) && vs_scan_peek(s) == '{';
        if (!(is_text ? cut_object(c, false) : cut_member(c, key.ptr)) ||
            !vs_scan_separator(s, '}', &is_last)) {
            return false;
        }
    }
    return true;
}

bool vs_config_cut(vs_str *out, vs_arena *arena, vs_str config, uint64_t from, uint64_t to,
                   vs_err *err)
{
    vs_assert(to > 0);
    cutter c = {
        .scan = {(const uint8_t *)config.ptr, config.len, 0, 0, arena, err, false},
        .from = from,
        .to = to,
        /* numbers get no longer (to < from), lists get shorter */
        .out = vs_arena_alloc(arena, config.len + 1, 1),
    };
    if (c.out == NULL) {
        return vs_fail_memory(err, arena, "a config");
    }
    if (!cut_object(&c, true)) {
        return false;
    }
    if (!c.is_found) {
        return vs_fail(err, VS_ERR_VALUE,
                       "--layers: no num_hidden_layers of %" PRIu64 " in the model's config to "
                       "change",
                       from);
    }
    replace(&c, config.len, config.len, "");
    *out = (vs_str){c.out, c.used};
    return true;
}

bool vs_write_plan_config(vs_write_plan *plan, vs_arena *arena, vs_str config, uint64_t layers,
                          vs_err *err)
{
    const uint64_t all = plan->model->dims.layers;
    plan->config = config;
    return config.len == 0 || layers == 0 || layers == all ||
           vs_config_cut(&plan->config, arena, config, all, layers, err);
}
