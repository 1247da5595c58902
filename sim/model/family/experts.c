/* experts.c - the routed experts of one layer.
 *
 * Stored as three matrices an expert, loaded as two fused parameters [2.6]:
 *
 *   gate_up_proj [E, 2M, H]   stack of the gates and stack of the ups, concatenated
 *   down_proj    [E, H, M]    stack of the downs
 *
 * With fp8 each of them has a scale that is merged in the same way. Other formats have no way to merge (fused_pieces).
 *
 * All tensors of a layer's experts are one group in key order: experts by number, then the names in key order.
 * Documents cited: specs/transformers-loading.md. */
#include <stdio.h>
#include <string.h>

#include "sim/model/family/builder.h"
#include "sim/model/internal.h"

/* Three matrices in up to VS_PIECES_MAX pieces each. */
#define SLOTS_MAX (3u * VS_PIECES_MAX)

typedef struct {
    vs_builder *b;
    const vs_emit_experts_desc *x;
    const vs_scheme *scheme; /* NULL: stored plainly */
    vs_piece pieces[3][VS_PIECES_MAX];
    uint32_t piece_count;     /* the same for all three */
    uint32_t slot_count;      /* tensors of one expert */
    uint32_t rank[SLOTS_MAX]; /* of slot k * piece_count + piece, in key order */
    uint32_t first;           /* tensor of the group */
} expert_work;

/* The tensors of a layer's experts are alike but for the expert's number: each slot is worked out once. */
typedef struct {
    vs_tensor like;
    char tail[64]; /* name behind the expert's number: "w1.weight" */
    size_t tail_bytes;
} expert_slot;

static void matrix_size(const vs_emit_experts_desc *x, uint32_t k, uint64_t size[2])
{
    size[0] = k == x->down ? x->hidden : x->rows;
    size[1] = k == x->down ? x->rows : x->hidden;
}

static uint32_t slot_of(const expert_work *w, uint32_t k, uint32_t piece)
{
    return k * w->piece_count + piece;
}

/* Name of a slot behind "experts.7.": "w1.weight". */
static void slot_name(const expert_work *w, uint32_t slot, char out[64])
{
    const char *const name = w->x->names[slot / w->piece_count];
    const char *const suffix = w->pieces[slot / w->piece_count][slot % w->piece_count].suffix;
    const size_t name_bytes = strlen(name);
    const size_t suffix_bytes = strlen(suffix) + 1;
    vs_assert(name_bytes + 1 + suffix_bytes <= 64);
    memcpy(out, name, name_bytes + 1);
    out[name_bytes] = '.';
    memcpy(out + name_bytes + 1, suffix, suffix_bytes);
}

static void rank_slots(expert_work *w)
{
    char names[SLOTS_MAX][64];
    for (uint32_t i = 0; i < w->slot_count; i++) {
        slot_name(w, i, names[i]);
    }
    for (uint32_t i = 0; i < w->slot_count; i++) {
        w->rank[i] = 0;
        for (uint32_t k = 0; k < w->slot_count; k++) {
            w->rank[i] += vs_key_compare(names[k], names[i]) < 0;
        }
    }
}

static expert_work begin(vs_builder *b, const vs_emit_experts_desc *x)
{
    expert_work w = {
        .b = b, .x = x, .scheme = vs_builder_scheme(b, x->target, 0), .piece_count = 1};
    if (w.scheme != NULL &&
        (w.scheme->format == VS_QF_MXFP4 || b->config->layout.keeps_experts)) {
        w.scheme = NULL; /* mxfp4 is for the experts of gpt-oss only */
    }
    for (uint32_t k = 0; k < 3; k++) {
        uint64_t size[2];
        matrix_size(x, k, size);
        if (w.scheme != NULL) {
            w.piece_count = vs_scheme_pieces(&b->config->layout, w.scheme, size, w.pieces[k]);
        } else {
            w.pieces[k][0] = (vs_piece){
                .suffix = "weight", .shape = {{size[0], size[1]}, 2}, .dtype = b->dtype};
        }
    }
    w.slot_count = 3 * w.piece_count;
    rank_slots(&w);
    return w;
}

static uint32_t tensor_of(const expert_work *w, uint64_t expert, uint32_t slot)
{
    return w->first + (uint32_t)expert * w->slot_count + w->rank[slot];
}

/* ---- stored ----------------------------------------------------------------------------------------- */

static bool fill_slots(const expert_work *w, expert_slot *slots)
{
    for (uint32_t slot = 0; slot < w->slot_count; slot++) {
        const vs_piece *const piece = &w->pieces[slot / w->piece_count][slot % w->piece_count];
        expert_slot *const s = &slots[slot];
        char first[256];
        slot_name(w, slot, s->tail);
        s->tail_bytes = strlen(s->tail) + 1;
        (void)snprintf(first, sizeof first, "%s%s0.%s", w->b->stored.text, w->x->stored,
                       s->tail);
        if (!vs_builder_tensor_like(w->b, &s->like, first, &piece->shape, piece->dtype)) {
            return false;
        }
    }
    return true;
}

/* names: room for all names of the expert. */
static void add_expert(const expert_work *w, const expert_slot *slots, uint64_t expert,
                       vs_str stem, char *names)
{
    for (uint32_t slot = 0; slot < w->slot_count; slot++) {
        const expert_slot *const s = &slots[slot];
        memcpy(names, stem.ptr, stem.len);
        memcpy(names + stem.len, s->tail, s->tail_bytes);
        vs_builder_put_tensor(w->b, tensor_of(w, expert, slot), names, &s->like);
        names += stem.len + s->tail_bytes;
    }
}

static bool add_tensors(const expert_work *w)
{
    const vs_builder *const b = w->b;
    expert_slot slots[SLOTS_MAX];
    char stem[256];
    const size_t stored_bytes = strlen(w->x->stored);
    const size_t number_at = b->stored.len + stored_bytes;
    vs_assert(number_at + 24 <= sizeof stem);
    memcpy(stem, b->stored.text, b->stored.len);
    memcpy(stem + b->stored.len, w->x->stored, stored_bytes);
    if (!fill_slots(w, slots)) {
        return false;
    }
    size_t tails_bytes = 0;
    for (uint32_t slot = 0; slot < w->slot_count; slot++) {
        tails_bytes += slots[slot].tail_bytes;
    }
    for (uint64_t e = 0; e < w->x->experts; e++) {
        const size_t stem_bytes = number_at + vs_put_number(stem + number_at, e);
        char *const names =
            vs_arena_alloc(b->arena, w->slot_count * stem_bytes + tails_bytes, 1);
        if (names == NULL) {
            return vs_fail_memory(b->err, b->arena, "the names of a model");
        }
        add_expert(w, slots, e, (vs_str){stem, stem_bytes}, names);
    }
    return true;
}

/* ---- fused targets ------------------------------------------------------------------------------------ */

/* What stays of a piece's shape when the experts are stacked and `parts` of them concatenated. */
static vs_shape stacked(const expert_work *w, const vs_shape *one, uint64_t parts)
{
    if (one->count <
        2) { /* a scale for the whole weight: Transformers stacks [E, parts, 1] or [E] */
        return parts == 1 ? (vs_shape){{w->x->experts}, 1}
                          : (vs_shape){{w->x->experts, parts, 1}, 3};
    }
    return (vs_shape){{w->x->experts, parts * one->dim[0], one->dim[1]}, 3};
}

static void add_sources(const expert_work *w, vs_target_list *list, uint32_t k, uint32_t piece)
{
    vs_builder_sources(w->b, list, tensor_of(w, 0, slot_of(w, k, piece)), w->x->experts,
                       w->slot_count);
}

/* "mlp.experts.gate_up_proj" or "mlp.experts.gate_up_proj_scale_inv" */
static const char *fused_name(const expert_work *w, const char *name, const vs_piece *piece)
{
    char text[160];
    const size_t target_bytes = strlen(w->x->target);
    const size_t name_bytes = strlen(name);
    const char *const tail = strcmp(piece->suffix, "weight") == 0
                                 ? ""
                                 : piece->suffix + strlen("weight"); /* "_scale_inv" */
    vs_assert(target_bytes + name_bytes + strlen(tail) + 2 <= sizeof text);
    memcpy(text, w->x->target, target_bytes + 1);
    text[target_bytes] = '.';
    memcpy(text + target_bytes + 1, name, name_bytes + 1);
    memcpy(text + target_bytes + 1 + name_bytes, tail, strlen(tail) + 1);
    return vs_builder_name(w->b, &w->b->module, text);
}

/* gate_up_proj (is_up) or down_proj of one piece, native list. */
static bool add_fused(const expert_work *w, bool is_up, uint32_t piece)
{
    const vs_emit_experts_desc *const x = w->x;
    const vs_piece *const p = &w->pieces[is_up ? x->gate : x->down][piece];
    const vs_emit_desc desc = {.shape = stacked(w, &p->shape, is_up ? 2 : 1),
                               .flags = VS_TF_EXPERTS | p->flags,
                               .dtype = p->dtype};
    const char *const name = fused_name(w, is_up ? "gate_up_proj" : "down_proj", p);
    vs_target_list *const list = &w->b->native;
    vs_target *const t = name == NULL ? NULL : vs_builder_target(w->b, list, name, &desc);
    if (t == NULL) {
        return false;
    }
    t->merge = is_up ? VS_MERGE_STACK_CAT : VS_MERGE_STACK;
    t->part_count = is_up ? 2 : 1;
    add_sources(w, list, is_up ? x->gate : x->down, piece);
    if (is_up) {
        add_sources(w, list, x->up, piece);
    }
    return true;
}

/* The fused parameter as the architecture has it, from all pieces of its matrices. */
static bool add_plain(const expert_work *w, bool is_up)
{
    const vs_emit_experts_desc *const x = w->x;
    const uint64_t rows = is_up ? 2 * x->rows : x->hidden;
    const vs_emit_desc desc = {
        .shape = {{x->experts, rows, is_up ? x->hidden : x->rows}, 3},
        .flags = VS_TF_EXPERTS,
    };
    const vs_piece weight = {.suffix = "weight"};
    const char *const name = fused_name(w, is_up ? "gate_up_proj" : "down_proj", &weight);
    vs_target_list *const list = &w->b->plain;
    vs_target *const t = name == NULL ? NULL : vs_builder_target(w->b, list, name, &desc);
    if (t == NULL) {
        return false;
    }
    t->merge = is_up ? VS_MERGE_STACK_CAT : VS_MERGE_STACK;
    t->part_count = is_up ? 2 : 1;
    for (uint32_t piece = 0; piece < w->piece_count; piece++) {
        add_sources(w, list, is_up ? x->gate : x->down, piece);
        if (is_up) {
            add_sources(w, list, x->up, piece);
        }
    }
    t->companion_count = t->source_count - (uint32_t)(t->part_count * x->experts);
    return true;
}

/* ---- formats that Transformers 5 cannot merge ------------------------------------------------------------ */

/* How much of the stored experts reaches the fused parameters. fp8 has converters for weights and scales; of the other
 * formats only a tensor called "weight" matches the model's own converters, and its scales are dropped; packed ones
 * are not found at all, and the parameters are made without values (Transformers 5.12.1 core_model_loading.py). */
static uint32_t fused_pieces(const expert_work *w)
{
    if (w->scheme == NULL || w->scheme->format == VS_QF_FP8) {
        return w->piece_count;
    }
    return strcmp(w->pieces[w->x->gate][0].suffix, "weight") == 0 ? 1 : 0;
}

/* gate_up_proj and down_proj without anything to load: allocated at full size at the end [2.5]. */
static bool add_missing(const expert_work *w)
{
    const vs_emit_experts_desc *const x = w->x;
    const vs_piece weight = {.suffix = "weight"};
    for (uint32_t i = 0; i < 2; i++) {
        const uint64_t rows = i == 0 ? 2 * x->rows : x->hidden;
        const vs_emit_desc desc = {
            .shape = {{x->experts, rows, i == 0 ? x->hidden : x->rows}, 3},
            .flags = VS_TF_EXPERTS,
        };
        const char *const name = fused_name(w, i == 0 ? "gate_up_proj" : "down_proj", &weight);
        if (name == NULL || vs_builder_target(w->b, &w->b->native, name, &desc) == NULL) {
            return false;
        }
    }
    return true;
}

/* ---- all of it -------------------------------------------------------------------------------------------- */

static void count(const expert_work *w)
{
    vs_builder *const b = w->b;
    const uint64_t tensors = w->x->experts * w->slot_count;
    const uint32_t fused = fused_pieces(w);
    if (b->is_unloaded || b->pass != VS_PASS_COUNT) {
        return;
    }
    b->native.count += fused == 0 ? 2u : 2u * fused;
    b->native.source_count += (uint32_t)(3 * w->x->experts * fused);
    if (b->has_plain) {
        b->plain.count += 2;
        b->plain.source_count += (uint32_t)tensors;
    }
}

static bool add_targets(const expert_work *w)
{
    const uint32_t fused = fused_pieces(w);
    for (uint32_t piece = 0; piece < fused; piece++) {
        if (!add_fused(w, true, piece)) {
            return false;
        }
    }
    for (uint32_t piece = 0; piece < fused; piece++) {
        if (!add_fused(w, false, piece)) {
            return false;
        }
    }
    if (fused == 0 && !add_missing(w)) {
        return false;
    }
    return !w->b->has_plain || (add_plain(w, true) && add_plain(w, false));
}

bool vs_emit_experts(vs_builder *b, const vs_emit_experts_desc *x)
{
    expert_work w = begin(b, x);
    const uint64_t tensors = x->experts * w.slot_count; /* both bounded: no overflow */
    if (!vs_builder_group(b, x->stored, tensors, &w.first)) {
        return false;
    }
    count(&w);
    if (b->pass != VS_PASS_FILL) {
        return true;
    }
    return add_tensors(&w) && (b->is_unloaded || add_targets(&w));
}
