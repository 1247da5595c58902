/* linear.c - linear modules: plain, or in the pieces that a quantised checkpoint stores.
 *
 * A quantised weight gives one target a piece in the native list, and one target [out, in] in the plain list, whose
 * sources are all pieces: how it is dequantised.
 *
 * The bias comes last in both. Transformers has it second (fp8) or first (compressed-tensors) among the parameters of such a
 * module; the order inside a module decides nothing, since no placement splits a decoder layer. */
#include <string.h>

#include "sim/model/family/builder.h"

#define NAME_BYTES 160u

typedef struct {
    char text[NAME_BYTES];
    size_t len;
} name_buffer;

/* "self_attn.q_proj" + "." + "weight" */
static const char *put_suffix(name_buffer *name, const char *module, const char *suffix)
{
    const size_t module_bytes = strlen(module);
    const size_t suffix_bytes = strlen(suffix);
    vs_assert(module_bytes + suffix_bytes + 2 <= sizeof name->text);
    memcpy(name->text, module, module_bytes);
    name->text[module_bytes] = '.';
    memcpy(name->text + module_bytes + 1, suffix, suffix_bytes + 1);
    name->len = module_bytes + 1 + suffix_bytes;
    return name->text;
}

const vs_scheme *vs_builder_scheme(vs_builder *b, const char *name, uint32_t flags)
{
    const vs_layout *const layout = &b->config->layout;
    char path[sizeof b->module.text + NAME_BYTES];
    const size_t name_bytes = strlen(name);
    if (!b->has_plain) {
        return NULL;
    }
    /* thousands of names for thousands of modules: run_pass tells the user */
    b->rule_work += layout->question_cost;
    if (b->rule_work > VS_RULE_WORK_MAX) {
        return NULL;
    }
    vs_assert(b->module.len + name_bytes + 1 <= sizeof path);
    memcpy(path, b->module.text, b->module.len);
    memcpy(path + b->module.len, name, name_bytes + 1);
    const vs_module_ref module = {
        .path = path,
        .is_head = (flags & (VS_TF_OUTPUT_HEAD | VS_TF_TIED)) != 0,
        .is_in_layer = b->layer >= 0,
    };
    return vs_layout_scheme(layout, &module);
}

/* ---- quantised ----------------------------------------------------------------------------------- */

static uint32_t count_loaded(const vs_piece *pieces, uint32_t count)
{
    uint32_t loaded = 0;
    for (uint32_t i = 0; i < count; i++) {
        loaded += !pieces[i].is_host_only;
    }
    return loaded;
}

static bool fill_piece(vs_builder *b, const vs_emit_linear_desc *linear, const vs_piece *piece,
                       uint32_t tensor)
{
    const char *const stored = b->groups[b->group_count - 1].name;
    if (!vs_builder_tensor(b, tensor, stored, &piece->shape, piece->dtype)) {
        return false;
    }
    if (b->is_unloaded || piece->is_host_only) {
        return true;
    }
    name_buffer name;
    const vs_emit_desc desc = {
        .shape = piece->shape, .flags = piece->flags | linear->flags, .dtype = piece->dtype};
    const char *const target =
        linear->stored_as == NULL && strcmp(b->module.text, b->stored.text) == 0
            ? stored
            : vs_builder_name(b, &b->module, put_suffix(&name, linear->name, piece->suffix));
    if (target == NULL || vs_builder_target(b, &b->native, target, &desc) == NULL) {
        return false;
    }
    vs_builder_source(b, &b->native, tensor);
    return true;
}

/* The weight as the architecture has it: computed from the pieces. */
static bool fill_plain(vs_builder *b, const vs_emit_linear_desc *linear,
                       const uint32_t *tensors, uint32_t count)
{
    name_buffer name;
    const vs_emit_desc desc = {.shape = {{linear->out, linear->in}, 2},
                               .flags = VS_TF_LINEAR | linear->flags};
    const char *const text =
        vs_builder_name(b, &b->module, put_suffix(&name, linear->name, "weight"));
    vs_target *const target =
        text == NULL ? NULL : vs_builder_target(b, &b->plain, text, &desc);
    if (target == NULL) {
        return false;
    }
    for (uint32_t i = 0; i < count; i++) {
        vs_builder_source(b, &b->plain, tensors[i]);
    }
    target->companion_count = count - 1;
    return true;
}

static bool emit_pieces(vs_builder *b, const vs_emit_linear_desc *linear,
                        const vs_scheme *scheme)
{
    vs_piece pieces[VS_PIECES_MAX];
    uint32_t tensors[VS_PIECES_MAX] = {0};
    const uint32_t count = vs_scheme_pieces(&b->config->layout, scheme,
                                            (uint64_t[]){linear->out, linear->in}, pieces);
    name_buffer name;
    for (uint32_t i = 0; i < count; i++) {
        const char *const module = linear->stored_as == NULL ? linear->name : linear->stored_as;
        if (!vs_builder_group(b, put_suffix(&name, module, pieces[i].suffix), 1, &tensors[i]) ||
            (b->pass == VS_PASS_FILL && !fill_piece(b, linear, &pieces[i], tensors[i]))) {
            return false;
        }
    }
    if (b->is_unloaded) {
        return true;
    }
    if (b->pass == VS_PASS_COUNT) {
        b->native.count += count_loaded(pieces, count);
        b->native.source_count += count_loaded(pieces, count);
        b->plain.count++;
        b->plain.source_count += count;
    }
    return b->pass != VS_PASS_FILL || fill_plain(b, linear, tensors, count);
}

/* ---- both ---------------------------------------------------------------------------------------------- */

static bool emit_part(vs_builder *b, const vs_emit_linear_desc *linear, const char *suffix,
                      const vs_emit_desc *part)
{
    name_buffer name;
    name_buffer stored;
    vs_emit_desc desc = *part;
    desc.name = put_suffix(&name, linear->name, suffix);
    if (linear->stored_as != NULL) {
        desc.stored_as = put_suffix(&stored, linear->stored_as, suffix);
    }
    return vs_emit(b, &desc);
}

bool vs_emit_linear_as(vs_builder *b, const vs_emit_linear_desc *linear)
{
    const vs_scheme *const found = vs_builder_scheme(b, linear->name, linear->flags);
    /* mxfp4 is for the experts of gpt-oss only */
    const vs_scheme *const scheme =
        found != NULL && found->format == VS_QF_MXFP4 ? NULL : found;
    const vs_emit_desc weight = {.shape = {{linear->out, linear->in}, 2},
                                 .flags = VS_TF_LINEAR | linear->flags};
    if (!(scheme != NULL ? emit_pieces(b, linear, scheme)
                         : emit_part(b, linear, "weight", &weight))) {
        return false;
    }
    /* gptq and awq keep the bias in F16 with the scales, whatever is asked for */
    const bool is_f16 =
        scheme != NULL && (scheme->format == VS_QF_GPTQ || scheme->format == VS_QF_AWQ);
    const vs_emit_desc bias = {.shape = {{linear->out}, 1},
                               .flags = VS_TF_BIAS | (linear->flags & VS_TF_OUTPUT_HEAD) |
                                        (is_f16 ? (uint32_t)VS_TF_QUANT_META : 0u),
                               .dtype = VS_DT_F16,
                               .stored_dtype = VS_DT_F16,
                               .has_stored_dtype = is_f16};
    return !linear->has_bias || emit_part(b, linear, "bias", &bias);
}

bool vs_emit_linear(vs_builder *b, const char *name, uint64_t out, uint64_t in, bool has_bias)
{
    const vs_emit_linear_desc linear = {
        .name = name, .out = out, .in = in, .has_bias = has_bias};
    return vs_emit_linear_as(b, &linear);
}
