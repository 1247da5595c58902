/* summary.c - what a model holds, layer by layer: the figures of `inspect` (vramscope/model.h, vs_model_summary).
 *
 * Targets are put into blocks by name (a layer, or a module outside of the layers); blocks of one stem with the same
 * sums become one row. No name is compared with another one: two hash tables, so the cost is linear even for a
 * checkpoint of a hundred thousand tensors that nobody knows. */
#include "sim/model/summary.h"

#include <stdlib.h>
#include <string.h>

/* Sums below take at most 16 bytes an element (float32 weights, gradients and two moments). */
#define ELEMENTS_MAX (UINT64_C(1) << 59)

/* ---- parts ------------------------------------------------------------------------------------ */

const char *vs_model_part_key(vs_model_part part)
{
    static const char *const keys[] = {
#define VS_X(id, key, words) key,
        VS_MODEL_PARTS(VS_X)
#undef VS_X
    };
    vs_assert((unsigned)part < VS_PART_COUNT);
    return keys[part];
}

const char *vs_model_part_words(vs_model_part part)
{
    static const char *const all_words[] = {
#define VS_X(id, key, words) words,
        VS_MODEL_PARTS(VS_X)
#undef VS_X
    };
    vs_assert((unsigned)part < VS_PART_COUNT);
    return all_words[part];
}

/* In this order: a shared expert's gate is no router, and a norm inside of the attention is a norm. */
static const struct {
    uint32_t flag;
    const char *word;
    vs_model_part part;
} rules[] = {
    {VS_TF_OUTPUT_HEAD, NULL, VS_PART_HEAD},
    {0, "shared_expert", VS_PART_SHARED},
    {VS_TF_EXPERTS, ".experts.", VS_PART_EXPERTS},
    {VS_TF_ROUTER, ".router.", VS_PART_ROUTER},
    {0, "e_score_correction_bias", VS_PART_ROUTER},
    {VS_TF_NORM, "norm", VS_PART_NORM},
    {0, ".ln_", VS_PART_NORM},
    {0, "attn", VS_PART_ATTENTION},
    {0, "attention", VS_PART_ATTENTION},
    {0, "mlp", VS_PART_MLP},
    {0, "feed_forward", VS_PART_MLP},
    {0, "ffn", VS_PART_MLP},
    {0, ".fc", VS_PART_MLP},
    {0, "moe", VS_PART_MLP},
    {VS_TF_EMBEDDING, "embed", VS_PART_EMBEDDING},
    {0, "wte.", VS_PART_EMBEDDING},
    {0, "wpe.", VS_PART_EMBEDDING},
};

/* Words are looked for behind the name of the block: "model.vision_embeddings.layers.3" embeds nothing. */
static vs_model_part part_of(const vs_target *t, const char *inner)
{
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++) {
        if ((t->flags & rules[i].flag) != 0 ||
            (rules[i].word != NULL && strstr(inner, rules[i].word) != NULL)) {
            return rules[i].part;
        }
    }
    return VS_PART_OTHER;
}

/* ---- blocks ------------------------------------------------------------------------------------- */

vs_block_place vs_block_find(const char *name)
{
    const char *part = name;
    for (const char *dot = strchr(part, '.'); dot != NULL; dot = strchr(part, '.')) {
        const size_t len = (size_t)(dot - part);
        uint64_t number = 0;
        const bool is_padded = len > 1 && part[0] == '0'; /* "00" is a name, no index */
        if (part != name && len <= 9 && !is_padded && strspn(part, "0123456789") == len &&
            vs_parse_u64((vs_str){part, len}, &number, NULL)) {
            return (vs_block_place){(size_t)(part - name) - 1, (size_t)(dot - name),
                                    (uint32_t)number};
        }
        part = dot + 1;
    }
    return (vs_block_place){0};
}

/* The name of the block: of a layer, else of the module that owns the parameter. */
static vs_str block_name(const char *name)
{
    const vs_block_place place = vs_block_find(name);
    const char *const dot = strrchr(name, '.');
    return (vs_str){name, place.block_bytes > 0 ? place.block_bytes
                          : dot != NULL         ? (size_t)(dot - name)
                                                : strlen(name)};
}

typedef struct {
    vs_block *items;
    uint32_t count;
} block_list;

typedef struct {
    const vs_target *targets;
    uint32_t count;
    vs_dtype dtype;
    vs_str head; /* module of the output head, empty: none */
} target_list;

static target_list list_of(const vs_target *targets, uint32_t count, vs_dtype dtype)
{
    target_list list = {.targets = targets, .count = count, .dtype = dtype};
    for (uint32_t i = 0; i < count; i++) {
        if ((targets[i].flags & VS_TF_OUTPUT_HEAD) != 0) {
            list.head = block_name(targets[i].name);
        }
    }
    return list;
}

static vs_bytes bytes_as(const vs_target *t, vs_dtype dtype)
{
    vs_bytes bytes = 0;
    const bool is_bounded = vs_dtype_bytes(
        t->fixed_dtype == VS_DT_COUNT ? dtype : t->fixed_dtype, t->elements, &bytes);
    vs_assert(is_bounded);
    return bytes;
}

/* accelerate builds the model in float32: what is no float keeps its size (utils/modeling.py
 * compute_module_sizes). */
static vs_bytes estimate_of(const vs_target *t)
{
    const bool is_float = t->fixed_dtype == VS_DT_COUNT || vs_dtype_is_float(t->fixed_dtype);
    return is_float ? t->elements * 4 : bytes_as(t, VS_DT_F32);
}

static void add_target(vs_block *block, const target_list *list, const vs_target *t,
                       vs_str name)
{
    const bool is_head = (t->flags & VS_TF_OUTPUT_HEAD) != 0 ||
                         (list->head.len > 0 && vs_str_equal(name, list->head));
    block->is_decoder = block->is_decoder || t->layer >= 0;
    if ((t->flags & VS_TF_TIED) != 0) {
        return;
    }
    block->estimate_bytes += is_head ? 0 : estimate_of(t);
    if ((t->flags & VS_TF_NON_PERSISTENT) != 0) {
        return;
    }
    const vs_bytes bytes = bytes_as(t, list->dtype);
    const char *const inner =
        vs_block_find(t->name).block_bytes > 0 ? t->name + name.len : t->name;
    const vs_model_part part = is_head ? VS_PART_HEAD : part_of(t, inner);
    block->one.tensors++;
    block->one.elements += t->elements;
    block->one.bytes += bytes;
    block->parts[part] += bytes;
    block->expert_elements += part == VS_PART_EXPERTS ? t->elements : 0;
}

static bool make_blocks(block_list *out, const target_list *list, vs_arena *arena, vs_err *err)
{
    vs_strtab names = {0};
    uint32_t *const ids = VS_ARRAY(arena, uint32_t, list->count);
    if (ids == NULL || !vs_strtab_init(&names, arena, 256)) {
        return vs_fail_memory(err, arena, "the blocks of a model");
    }
    for (uint32_t i = 0; i < list->count; i++) {
        ids[i] = vs_strtab_add(&names, block_name(list->targets[i].name));
        if (ids[i] == UINT32_MAX) {
            return vs_fail_memory(err, arena, "the blocks of a model");
        }
    }
    vs_block *const items = VS_ARRAY(arena, vs_block, names.count);
    if (items == NULL) {
        return vs_fail_memory(err, arena, "the blocks of a model");
    }
    for (uint32_t i = 0; i < list->count; i++) { /* id 0 is "" and holds nameless ones */
        const vs_target *const t = &list->targets[i];
        vs_block *const block = &items[ids[i]];
        const vs_block_place place = vs_block_find(t->name);
        block->name = vs_strtab_get(&names, ids[i]);
        block->stem_bytes = place.stem_bytes;
        block->number = place.number;
        add_target(block, list, t, block_name(t->name));
    }
    *out = (block_list){items, names.count};
    return true;
}

/* ---- rows ------------------------------------------------------------------------------------------ */

static bool are_alike(const vs_block *a, const vs_block *b)
{
    return a->stem_bytes == b->stem_bytes && a->stem_bytes > 0 &&
           a->one.tensors == b->one.tensors && a->one.elements == b->one.elements &&
           a->one.bytes == b->one.bytes && memcmp(a->parts, b->parts, sizeof a->parts) == 0 &&
           strncmp(a->name, b->name, a->stem_bytes) == 0;
}

static uint32_t hash_of(const vs_block *b)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325); /* FNV-1a */
    for (size_t i = 0; i < b->stem_bytes; i++) {
        hash = (hash ^ (uint8_t)b->name[i]) * UINT64_C(0x100000001b3);
    }
    hash = (hash ^ b->one.bytes) * UINT64_C(0x100000001b3);
    hash = (hash ^ b->one.tensors) * UINT64_C(0x100000001b3);
    return (uint32_t)(hash ^ hash >> 32);
}

typedef struct {
    const vs_block **first; /* per row: the block it is of */
    uint32_t *row_of;       /* per block */
    uint32_t *counts;       /* per row: layers */
    uint32_t count;
    uint32_t *slots; /* row + 1 */
    uint32_t mask;
} row_index;

/* Modules outside of the layers are alike with nothing: each has a slot of its own. */
static uint32_t row_for(row_index *rows, const vs_block *block)
{
    if (block->stem_bytes == 0) {
        rows->first[rows->count] = block;
        return rows->count++;
    }
    uint32_t slot = hash_of(block) & rows->mask;
    while (rows->slots[slot] != 0) {
        if (are_alike(rows->first[rows->slots[slot] - 1], block)) {
            return rows->slots[slot] - 1;
        }
        slot = (slot + 1) & rows->mask;
    }
    rows->first[rows->count] = block;
    rows->slots[slot] = rows->count + 1;
    return rows->count++;
}

static bool index_rows(row_index *rows, const block_list *blocks, vs_arena *arena)
{
    uint32_t slot_count = 16;
    while (slot_count < 2 * blocks->count) {
        slot_count *= 2;
    }
    *rows = (row_index){.first = VS_ARRAY(arena, const vs_block *, blocks->count),
                        .row_of = VS_ARRAY(arena, uint32_t, blocks->count),
                        .counts = VS_ARRAY(arena, uint32_t, blocks->count),
                        .slots = VS_ARRAY(arena, uint32_t, slot_count),
                        .mask = slot_count - 1};
    if (rows->first == NULL || rows->row_of == NULL || rows->counts == NULL ||
        rows->slots == NULL) {
        return false;
    }
    for (uint32_t i = 0; i < blocks->count; i++) {
        if (blocks->items[i].one.tensors > 0) {
            rows->row_of[i] = row_for(rows, &blocks->items[i]);
            rows->counts[rows->row_of[i]]++;
        }
    }
    return true;
}

static int compare_numbers(const void *a, const void *b)
{
    const uint32_t x = *(const uint32_t *)a;
    const uint32_t y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

static bool fill_row(vs_layer_row *row, const vs_block *block, vs_arena *arena)
{
    *row = (vs_layer_row){.name = block->name,
                          .stem = vs_str_copy(arena, (vs_str){block->name, block->stem_bytes}),
                          .is_decoder = block->is_decoder,
                          .one = block->one};
    memcpy(row->parts, block->parts, sizeof row->parts);
    return row->stem != NULL;
}

static bool make_rows(vs_model_summary *s, const block_list *blocks, vs_arena *arena)
{
    row_index index = {0};
    if (!index_rows(&index, blocks, arena)) {
        return false;
    }
    uint32_t **const numbers = VS_ARRAY(arena, uint32_t *, index.count);
    s->rows = VS_ARRAY(arena, vs_layer_row, index.count);
    s->row_count = index.count;
    for (uint32_t r = 0; r < index.count && numbers != NULL && s->rows != NULL; r++) {
        numbers[r] = VS_ARRAY(arena, uint32_t, index.counts[r]);
        if (numbers[r] == NULL || !fill_row(&s->rows[r], index.first[r], arena)) {
            return false;
        }
    }
    if (numbers == NULL || s->rows == NULL) {
        return false;
    }
    for (uint32_t i = 0; i < blocks->count; i++) {
        if (blocks->items[i].one.tensors > 0 && blocks->items[i].stem_bytes > 0) {
            vs_layer_row *const row = &s->rows[index.row_of[i]];
            numbers[index.row_of[i]][row->layer_count++] = blocks->items[i].number;
        }
    }
    for (uint32_t r = 0; r < index.count; r++) {
        if (s->rows[r].layer_count > 0) {
            qsort(numbers[r], s->rows[r].layer_count, sizeof(uint32_t), compare_numbers);
            s->rows[r].layers = numbers[r];
        }
    }
    return true;
}

/* ---- sums ---------------------------------------------------------------------------------------------- */

vs_dtype vs_model_load_dtype(const vs_model *model)
{
    if (model->config_dtype != VS_DT_COUNT) {
        return model->config_dtype;
    }
    for (uint32_t i = 0; i < model->tensor_count; i++) {
        const vs_dtype dtype = model->tensors[i].dtype;
        if (dtype < VS_DT_SAFETENSORS_COUNT && vs_dtype_is_float(dtype) &&
            vs_dtype_bits(dtype) >= 16) {
            return dtype;
        }
    }
    return VS_DT_F32;
}

static bool check_targets(const vs_target *targets, uint32_t count)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (targets[i].elements > ELEMENTS_MAX - sum) {
            return false;
        }
        sum += targets[i].elements;
    }
    return true;
}

static bool check_size(const vs_model *model, vs_err *err)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < model->tensor_count && sum <= ELEMENTS_MAX; i++) {
        const uint64_t elements = model->tensors[i].elements;
        sum = elements > ELEMENTS_MAX ? UINT64_MAX : sum + elements;
    }
    return (sum <= ELEMENTS_MAX && check_targets(model->targets, model->target_count) &&
            check_targets(model->modules, model->module_count)) ||
           vs_fail(err, VS_ERR_LIMIT,
                   "the model has more than 2^59 elements, more than can be summed up");
}

static void sum_checkpoint(vs_model_summary *s, const vs_model *model)
{
    for (uint32_t i = 0; i < model->tensor_count; i++) {
        const vs_tensor *const t = &model->tensors[i];
        vs_amount *const sums[] = {&s->stored[t->dtype], &s->not_loaded};
        for (size_t k = 0; k < (t->target == VS_NO_TARGET ? 2u : 1u); k++) {
            sums[k]->tensors++;
            sums[k]->elements += t->elements;
            sums[k]->bytes += t->size_bytes;
        }
    }
}

static vs_amount sum_blocks(const block_list *blocks)
{
    vs_amount sum = {0};
    for (uint32_t i = 0; i < blocks->count; i++) {
        sum.tensors += blocks->items[i].one.tensors;
        sum.elements += blocks->items[i].one.elements;
        sum.bytes += blocks->items[i].one.bytes;
    }
    return sum;
}

static void find_largest(vs_model_summary *s, const block_list *blocks)
{
    s->largest_name = "";
    for (uint32_t i = 0; i < blocks->count; i++) {
        if (blocks->items[i].one.bytes > s->largest_bytes) {
            s->largest_bytes = blocks->items[i].one.bytes;
            s->largest_name = blocks->items[i].name;
        }
    }
}

static void sum_architecture(vs_model_summary *s, const vs_model *model,
                             const block_list *blocks)
{
    s->dense = sum_blocks(blocks);
    for (uint32_t i = 0; i < blocks->count; i++) {
        const vs_block *const block = &blocks->items[i];
        s->expert_layers += block->expert_elements > 0;
        s->expert_parameters += block->expert_elements;
        s->estimate_bytes += block->estimate_bytes;
        if (block->estimate_bytes > s->estimate_largest_bytes) {
            s->estimate_largest_bytes = block->estimate_bytes;
        }
        s->has_head_left_out = s->has_head_left_out || block->parts[VS_PART_HEAD] > 0;
    }
    uint64_t visited = 0;
    s->active_parameters = s->dense.elements;
    if (model->dims.experts > 0 && model->dims.experts_per_token > 0 &&
        model->dims.experts_per_token <= model->dims.experts &&
        vs_muldiv_u64(s->expert_parameters, model->dims.experts_per_token, model->dims.experts,
                      &visited)) {
        s->active_parameters -= s->expert_parameters - visited;
    }
}

static bool list_ties(vs_model_summary *s, const vs_model *model, vs_arena *arena)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < model->target_count; i++) {
        count += (model->targets[i].flags & VS_TF_TIED) != 0;
    }
    s->ties = VS_ARRAY(arena, vs_tie, count);
    for (uint32_t i = 0; i < model->target_count && s->ties != NULL; i++) {
        const vs_target *const t = &model->targets[i];
        if ((t->flags & VS_TF_TIED) != 0) {
            const bool is_found = t->tied_to < model->target_count;
            s->ties[s->tie_count++] = (vs_tie){
                t->name, is_found ? model->targets[t->tied_to].name : "", t->source_count > 0};
        }
    }
    return s->ties != NULL;
}

bool vs_model_summarise(vs_model_summary *summary, const vs_model *model, vs_arena *arena,
                        vs_err *err)
{
    vs_model_summary s = {.load_dtype = vs_model_load_dtype(model)};
    block_list blocks = {0};
    if (!check_size(model, err)) {
        return false;
    }
    sum_checkpoint(&s, model);
    const target_list targets = list_of(model->targets, model->target_count, s.load_dtype);
    if (!make_blocks(&blocks, &targets, arena, err)) {
        return false;
    }
    s.loaded = sum_blocks(&blocks);
    find_largest(&s, &blocks);
    if (!make_rows(&s, &blocks, arena) || !list_ties(&s, model, arena)) {
        return vs_fail_memory(err, arena, "the summary of a model");
    }
    if (model->modules != model->targets) {
        const target_list modules = list_of(model->modules, model->module_count, s.load_dtype);
        if (!make_blocks(&blocks, &modules, arena, err)) {
            return false;
        }
    }
    sum_architecture(&s, model, &blocks);
    vs_summary_costs(&s, model);
    vs_summary_kv(&s, model);
    *summary = s;
    return true;
}
