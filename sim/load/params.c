/* params.c - the list of what is made: every parameter and buffer of the module tree, with its sources.
 *
 * A checkpoint that is not quantised has one list. One that is has two (vramscope/model.h): what is stored, tensor by
 * tensor, and the plain architecture, whose weights come of several stored tensors. The second is taken where several
 * tensors become one parameter: when they are dequantised, and for bitsandbytes and mxfp4, whose loaders collect the pieces
 * of a weight before they do anything with them (Transformers 5.12.1 quantizer_bnb_4bit.py, quantizer_bnb_8bit.py,
 * quantizer_mxfp4.py, get_weight_conversions). In the others every stored tensor is a parameter of its own. */
#include "load.h"

#include <string.h>

static bool collects_pieces(const loader *ld)
{
    switch (ld->model->quant.format) {
    case VS_QF_BNB_4BIT:
    case VS_QF_BNB_8BIT:
    case VS_QF_MXFP4: return true;
    case VS_QF_NONE:
    case VS_QF_FP8:
    case VS_QF_GPTQ:
    case VS_QF_AWQ:
    case VS_QF_COMPRESSED_TENSORS:
    case VS_QF_OTHER: break;
    }
    return ld->stored.is_dequantised;
}

static void take_list(loader *ld, const vs_target *targets, const uint32_t *sources)
{
    for (uint32_t i = 0; i < ld->param_count; i++) {
        ld->params[i] = (load_param){.target = &targets[i],
                                     .meta = &targets[i],
                                     .sources = sources + targets[i].first_source,
                                     .merge = (uint8_t)targets[i].merge};
    }
}

/* Fused experts whose narrow weights are merged although the format has no way to load them: the scales are dropped
 * (Transformers 5.12.1: the model's own converters match first, core_model_loading.py). */
static bool is_merged_anyway(const vs_target *target)
{
    return (target->flags & VS_TF_EXPERTS) != 0 && (target->flags & VS_TF_QUANT_DATA) != 0;
}

/* Where they are: what is stored comes from the one list, what the module tree has from the other. Both name the
 * parameter alike and have the same order. */
static void pair_experts(loader *ld)
{
    const vs_model *model = ld->model;
    const bool has_modules = collects_pieces(ld);
    const vs_target *others = has_modules ? model->targets : model->modules;
    const uint32_t other_count = has_modules ? model->target_count : model->module_count;
    uint32_t at = 0;
    for (uint32_t i = 0; i < ld->param_count; i++) {
        load_param *param = &ld->params[i];
        const vs_target *target = param->target;
        const bool is_paired =
            has_modules ? (target->flags & VS_TF_EXPERTS) != 0 && target->companion_count > 0
                        : is_merged_anyway(target);
        if (!is_paired) {
            continue;
        }
        while (at < other_count && ((others[at].flags & VS_TF_EXPERTS) == 0 ||
                                    strcmp(others[at].name, target->name) != 0)) {
            at++;
        }
        if (at == other_count) {
            return;
        }
        param->meta = has_modules ? target : &others[at];
        if (has_modules) {
            param->target = &others[at];
            param->sources = model->sources + others[at].first_source;
            param->merge = (uint8_t)others[at].merge;
        }
    }
}

/* fp8 has converters for experts, mxfp4 is about nothing else. */
static bool has_paired_experts(const loader *ld)
{
    switch (ld->model->quant.format) {
    case VS_QF_BNB_4BIT:
    case VS_QF_BNB_8BIT:
    case VS_QF_GPTQ:
    case VS_QF_AWQ:
    case VS_QF_COMPRESSED_TENSORS: return true;
    case VS_QF_NONE:
    case VS_QF_FP8:
    case VS_QF_MXFP4:
    case VS_QF_OTHER: break;
    }
    return false;
}

bool load_build_params(loader *ld, vs_err *err)
{
    const vs_model *model = ld->model;
    const bool has_two = model->modules != NULL && model->modules != model->targets;
    const bool takes_modules = has_two && collects_pieces(ld);
    ld->param_count = takes_modules ? model->module_count : model->target_count;
    ld->params = VS_ARRAY(ld->arena, load_param, ld->param_count);
    if (ld->params == NULL) {
        return vs_fail_memory(err, ld->arena, "parameters");
    }
    take_list(ld, takes_modules ? model->modules : model->targets,
              takes_modules ? model->module_sources : model->sources);
    if (has_two && has_paired_experts(ld)) {
        pair_experts(ld);
    }
    for (uint32_t i = 0; i < ld->param_count; i++) {
        load_param_resolve(ld, ld->params, i);
    }
    return true;
}
