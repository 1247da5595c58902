/* stored.c - checkpoints that are quantised already: whether the card takes them as they are, and what each of their tensors
 * is cast to on its way.
 *
 * Rules of Transformers 5.12.1 (core_model_loading.py, convert_and_load_state_dict_in_model; quantizers/). In short:
 *
 *   a tensor keeps its stored dtype when its name changes on the way or when it holds integers; else it is cast to
 *   float32 if the model keeps it so, else to what the module tree has on the meta device
 *
 * where the tree is that which the quantiser left: F8 for the weights of fp8, F16 for the scales of gptq and awq, the load
 * dtype for those of compressed-tensors. Documents cited: specs/transformers-loading.md. */
#include "load.h"

#include <string.h>

/* Compute capability in tenths from which on a format is loaded as it is stored; 0: on every card.
 * Transformers 5.12.1 quantizer_finegrained_fp8.py and quantizer_mxfp4.py, validate_environment. */
#define FP8_CAPABILITY   89u
#define MXFP4_CAPABILITY 75u

/* ---- native or not -------------------------------------------------------------------------------- */

static uint32_t needed_capability(vs_quant_format format)
{
    switch (format) {
    case VS_QF_FP8: return FP8_CAPABILITY;
    case VS_QF_MXFP4: return MXFP4_CAPABILITY;
    case VS_QF_NONE:
    case VS_QF_GPTQ:
    case VS_QF_AWQ:
    case VS_QF_BNB_4BIT:
    case VS_QF_BNB_8BIT:
    case VS_QF_COMPRESSED_TENSORS:
    case VS_QF_OTHER: break;
    }
    return 0;
}

/* "8.9" is 89, "12.0" is 120; 0 for anything else. */
static uint32_t capability_tenths(const char *text)
{
    uint32_t tenths = 0;
    uint32_t digits_after = 0;
    bool is_after = false;
    for (; *text != '\0'; text++) {
        if (*text == '.' && !is_after) {
            is_after = true;
            continue;
        }
        if (*text < '0' || *text > '9' || tenths > 999 || digits_after == 1) {
            return 0;
        }
        tenths = tenths * 10 + (uint32_t)(*text - '0');
        digits_after += is_after;
    }
    return is_after ? tenths : tenths * 10;
}

/* "942" of gfx942 is 9.4: torch.cuda.get_device_capability on ROCm gives major and minor of the architecture. The last two
 * digits, minor and stepping, are left out: nothing asked for here lies between two AMD architectures of one major. */
static uint32_t gfx_tenths(const char *text)
{
    const size_t len = strlen(text);
    uint64_t major = 0;
    const bool is_read =
        len >= 3 && len <= 4 && vs_parse_u64((vs_str){text, len - 2}, &major, NULL);
    return is_read ? (uint32_t)major * 10 : 0;
}

/* A card given by its size alone has the figures of one that was chosen to stand in: not its capability. */
static uint32_t found_capability(const vs_gpu *gpu)
{
    const char *const text = gpu->compute_capability;
    if (strcmp(gpu->id, "generic") == 0) {
        return 0;
    }
    return strncmp(text, "gfx", 3) == 0 ? gfx_tenths(text + 3) : capability_tenths(text);
}

static bool refuse_quantiser(const loader *ld, vs_err *err)
{
    const vs_quant quant = ld->scenario->quant;
    if (quant == VS_QUANT_NONE) {
        return true;
    }
    if (ld->stored.is_quantised) {
        return vs_fail(
            err, VS_ERR_VALUE,
            "--quant %s: the checkpoint is quantised already (%s); leave --quant out",
            vs_quant_name(quant), ld->model->quant.label);
    }
    /* modeling_utils.py from_pretrained: "You cannot combine Quantization and loading a model from a GGUF file" */
    return ld->model->container != VS_CONTAINER_GGUF ||
           vs_fail(err, VS_ERR_VALUE,
                   "--quant %s: Transformers does not quantise what it loads from a GGUF file; "
                   "leave --quant out",
                   vs_quant_name(quant));
}

bool load_resolve_stored(loader *ld, vs_err *err)
{
    const vs_model *model = ld->model;
    const bool has_two = model->modules != NULL && model->modules != model->targets;
    load_stored *stored = &ld->stored;
    *stored = (load_stored){.is_quantised = model->quant.format != VS_QF_NONE};
    /* An architecture that is not known has one list only: nothing says how it is dequantised. */
    if (stored->is_quantised && has_two) {
        stored->needed = needed_capability(model->quant.format);
        const vs_gpu *const gpu = &ld->machine->gpus[0];
        stored->found = found_capability(gpu);
        stored->has_no_cuda = strcmp(gpu->compute_capability, "mps") == 0;
        stored->is_assumed = stored->needed > 0 && stored->found == 0 && !stored->has_no_cuda;
        stored->is_dequantised = !stored->is_assumed && stored->found < stored->needed;
    }
    return refuse_quantiser(ld, err);
}

/* quantizer_awq.py, update_dtype: its kernels take no bfloat16. */
vs_dtype load_stored_dtype(const loader *ld, vs_dtype asked)
{
    return ld->model->quant.format == VS_QF_AWQ && asked == VS_DT_BF16 ? VS_DT_F16 : asked;
}

/* ---- dtypes ------------------------------------------------------------------------------------------- */

static bool is_wide_float(vs_dtype dtype)
{
    return vs_dtype_is_float(dtype) && vs_dtype_bits(dtype) >= 16;
}

static bool is_model_type(const loader *ld, const char *type)
{
    return strcmp(ld->model->model_type, type) == 0;
}

/* Biases of gpt-oss' experts: float32 in the module that holds MXFP4 (integrations/mxfp4.py, Mxfp4GptOssExperts), like all
 * others in the one that does not. */
static bool is_mxfp4_bias(const vs_target *target)
{
    const uint32_t all = VS_TF_EXPERTS | VS_TF_BIAS | VS_TF_KEEP_FP32;
    return (target->flags & all) == all;
}

/* _keep_in_fp32_modules_strict of the family, and the norms of gpt-oss, which are kept only where float16 was asked for
 * (_keep_in_fp32_modules, modeling_utils.py _get_dtype_plan). */
static bool is_kept_wide(const loader *ld, const vs_target *target)
{
    if ((target->flags & VS_TF_KEEP_FP32) != 0) {
        return !is_mxfp4_bias(target);
    }
    return (target->flags & VS_TF_NORM) != 0 && ld->load_dtype == VS_DT_F16 &&
           is_model_type(ld, "gpt_oss");
}

/* Scales of a quantised linear in the module tree. */
static vs_dtype scale_dtype(const loader *ld, const vs_target *target)
{
    switch (ld->model->quant.format) {
    case VS_QF_GPTQ:
    case VS_QF_AWQ: return VS_DT_F16; /* gptqmodel's modules register them so */
    case VS_QF_COMPRESSED_TENSORS:
        return vs_str_ends(vs_str_of(target->name), "_global_scale") ? VS_DT_F32
                                                                     : ld->load_dtype;
    case VS_QF_NONE:
    case VS_QF_FP8:
    case VS_QF_MXFP4:
    case VS_QF_BNB_4BIT:
    case VS_QF_BNB_8BIT:
    case VS_QF_OTHER: break;
    }
    return target->fixed_dtype;
}

/* The bias behind the pieces of a linear of gptq or awq: one of their modules' half-precision buffers. */
static bool is_half_bias(const loader *ld, const load_param *params, uint32_t index)
{
    const vs_quant_format format = ld->model->quant.format;
    return (format == VS_QF_GPTQ || format == VS_QF_AWQ) && index > 0 &&
           (params[index].target->flags & VS_TF_BIAS) != 0 &&
           (params[index - 1].target->flags & (VS_TF_QUANT_DATA | VS_TF_QUANT_META)) != 0;
}

/* Of the module tree on the meta device. */
static vs_dtype meta_dtype(const loader *ld, const load_param *params, uint32_t index)
{
    const vs_target *meta = params[index].meta;
    if (is_mxfp4_bias(meta)) {
        return ld->stored.is_dequantised ? ld->load_dtype : VS_DT_F32;
    }
    if (meta->fixed_dtype == VS_DT_COUNT) {
        return is_half_bias(ld, params, index) ? VS_DT_F16 : ld->load_dtype;
    }
    /* modeling_deepseek_v3.py makes the buffer in the default dtype; it is float32 once it is loaded */
    if ((meta->flags & VS_TF_KEEP_FP32) != 0 && is_model_type(ld, "deepseek_v3")) {
        return ld->load_dtype;
    }
    const bool is_scale =
        (meta->flags & VS_TF_QUANT_META) != 0 && is_wide_float(meta->fixed_dtype);
    return is_scale ? scale_dtype(ld, meta) : meta->fixed_dtype;
}

vs_dtype load_job_dtype(const loader *ld, const load_param *param, uint32_t tensor)
{
    if (!ld->stored.is_quantised) {
        return param->source_dtype;
    }
    const vs_dtype stored = ld->model->tensors[tensor].dtype;
    const bool is_renamed = !param->keeps_name || tensor != param->sources[0];
    return is_renamed || !vs_dtype_is_float(stored) ? stored : param->source_dtype;
}

/* ---- what is made of them --------------------------------------------------------------------------------- */

static load_decode decode_of(const loader *ld, const vs_target *target)
{
    if (target->companion_count == 0) {
        return DECODE_NONE;
    }
    switch (ld->model->quant.format) {
    case VS_QF_BNB_4BIT:
    case VS_QF_BNB_8BIT: return DECODE_ADOPT;
    case VS_QF_MXFP4: return ld->stored.is_dequantised ? DECODE_MXFP4 : DECODE_SWIZZLE;
    case VS_QF_FP8: return DECODE_FP8;
    case VS_QF_NONE:
    case VS_QF_GPTQ:
    case VS_QF_AWQ:
    case VS_QF_COMPRESSED_TENSORS:
    case VS_QF_OTHER: break;
    }
    return DECODE_NONE;
}

static vs_dtype finished_dtype(const loader *ld, const load_param *param)
{
    switch ((load_decode)param->decode) {
    case DECODE_FP8: return param->meta_dtype; /* Fp8Dequantize: the target parameter's */
    case DECODE_MXFP4:
        return VS_DT_BF16; /* dequantize_convertops takes the default, whatever was asked for */
    case DECODE_ADOPT:
    case DECODE_SWIZZLE: return ld->model->tensors[param->sources[0]].dtype;
    case DECODE_NONE: break;
    }
    return param->target->source_count > 0 ? load_job_dtype(ld, param, param->sources[0])
                                           : param->meta_dtype;
}

bool load_is_host_only(const load_param *param, const vs_tensor *tensor)
{
    return param->decode == DECODE_ADOPT &&
           (strstr(tensor->name, ".quant_state.") != NULL ||
            vs_str_ends(vs_str_of(tensor->name), ".weight_format"));
}

/* QuantState.from_dict makes a tensor of the mean that double quantisation took off the scales. */
static bool has_nested_scales(const loader *ld, const load_param *param)
{
    for (uint32_t i = 1; i < param->target->source_count; i++) {
        const char *name = ld->model->tensors[param->sources[i]].name;
        if (vs_str_ends(vs_str_of(name), ".nested_absmax")) {
            return true;
        }
    }
    return false;
}

/* ---- warm-up [3] ------------------------------------------------------------------------------------------- */

/* compressed-tensors keeps zero points packed in the file; its module has one int8 for each of them. */
static bool find_packed_zeros(const loader *ld, const load_param *params, uint32_t index,
                              uint64_t *elements)
{
    const vs_target *zeros = params[index].target;
    if (ld->model->quant.format != VS_QF_COMPRESSED_TENSORS ||
        zeros->fixed_dtype != VS_DT_I32 || (zeros->flags & VS_TF_QUANT_META) == 0 ||
        !vs_str_ends(vs_str_of(zeros->name), "_zero_point")) {
        return false;
    }
    for (uint32_t i = index; i > 0 && (params[i].target->flags & VS_TF_QUANT_META) != 0; i--) {
        const vs_target *data = params[i - 1].target;
        if ((data->flags & VS_TF_QUANT_DATA) != 0) {
            return vs_mul_u64(data->shape[0], zeros->shape[1], elements);
        }
    }
    return false;
}

/* Bits of one element as the quantiser tells the warm-up (param_element_size). */
static uint32_t meta_bits(const loader *ld, const load_param *param)
{
    const vs_quant_format format = ld->model->quant.format;
    if (param->decode == DECODE_ADOPT) {
        return format == VS_QF_BNB_4BIT ? 4 : 8;
    }
    if (!load_is_quantised(ld->scenario->quant, param->meta)) {
        return vs_dtype_bits(param->meta_dtype);
    }
    return ld->scenario->quant == VS_QUANT_BNB_INT8 ? 8 : 4;
}

static vs_bytes meta_bytes(const loader *ld, const load_param *params, uint32_t index)
{
    const load_param *param = &params[index];
    uint64_t bytes = 0;
    if (param->decode == DECODE_SWIZZLE) { /* the module has no parameter for the scales */
        return ld->model->tensors[param->sources[0]].size_bytes;
    }
    if (find_packed_zeros(ld, params, index, &bytes)) {
        return bytes;
    }
    return vs_muldiv_u64(param->meta->elements, meta_bits(ld, param), 8, &bytes) ? bytes
                                                                                 : UINT64_MAX;
}

void load_param_resolve(const loader *ld, load_param *params, uint32_t index)
{
    load_param *param = &params[index];
    const vs_target *target = param->target;
    param->decode = (uint8_t)decode_of(ld, target);
    param->meta_dtype = meta_dtype(ld, params, index);
    param->source_dtype = is_kept_wide(ld, target) ? VS_DT_F32 : param->meta_dtype;
    if (ld->stored.is_quantised && target->merge == VS_MERGE_NONE && target->source_count > 0) {
        const char *stored = ld->model->tensors[param->sources[0]].name;
        param->keeps_name = stored == target->name || strcmp(stored, target->name) == 0;
    }
    param->dtype = finished_dtype(ld, param);
    param->has_offset = param->decode == DECODE_ADOPT && has_nested_scales(ld, param);
    param->meta_bytes = meta_bytes(ld, params, index);
}

/* Packed weights lack their scales. */
vs_bytes load_missing_bytes(const load_param *param)
{
    vs_bytes bytes = 0;
    if (param->decode == DECODE_SWIZZLE) {
        return param->meta_bytes;
    }
    const vs_dtype dtype = param->decode == DECODE_ADOPT ? VS_DT_U8 : param->meta_dtype;
    return vs_dtype_bytes(dtype, param->meta->elements, &bytes)
               ? bytes
               : UINT64_MAX / 2; /* no card holds it */
}

/* ---- categories ---------------------------------------------------------------------------------------------- */

/* Packed values and their scales count with the bits of a weight, whatever they are stored as. */
vs_category load_param_category(const loader *ld, const load_param *param)
{
    const uint32_t flags = param->target->flags;
    const bool is_piece = (flags & (VS_TF_QUANT_DATA | VS_TF_QUANT_META)) != 0;
    if (!is_piece && param->decode != DECODE_ADOPT && param->decode != DECODE_SWIZZLE) {
        return load_weight_category(param->dtype);
    }
    if (ld->model->quant.format == VS_QF_FP8) {
        return VS_CAT_W_FP8;
    }
    const bool is_float = vs_dtype_is_float(param->dtype);
    return ld->model->quant.bits < 8 ? VS_CAT_Q_4BIT
           : is_float                ? load_weight_category(param->dtype)
                                     : VS_CAT_Q_INT8;
}

/* gptqmodel, which loads both formats for Transformers 5, chooses its Marlin kernel on such cards, where shapes and bits
 * allow. */
#define MARLIN_CAPABILITY 80u

void load_stored_assume(const loader *ld, vs_machine *machine)
{
    const vs_quant_format format = ld->model->quant.format;
    const bool is_mxfp4 = format == VS_QF_MXFP4;
    const uint32_t found = found_capability(&ld->machine->gpus[0]);
    if ((format == VS_QF_GPTQ || format == VS_QF_AWQ) &&
        (found == 0 || found >= MARLIN_CAPABILITY)) {
        vs_machine_assume(machine, "software.marlin_repacking", 0,
                          "not modelled: where the Marlin kernel is chosen (compute capability "
                          "8.0 and up), it packs every weight anew after the load, which takes "
                          "one packed weight more for a moment, and drops g_idx and the zero "
                          "points of symmetric weights");
    }
    if (ld->stored.is_assumed) {
        vs_machine_assume(machine, is_mxfp4 ? "gpu.takes_mxfp4" : "gpu.takes_fp8", 1,
                          "a card given by its size alone is taken for one that is new enough "
                          "for the format of the checkpoint");
    }
    if (is_mxfp4 && ld->stored.needed > 0 && !ld->stored.is_dequantised) {
        vs_machine_assume(machine, "software.mxfp4_kernels", 1,
                          "triton 3.4 or newer and the kernels package are installed; without "
                          "them Transformers dequantises (quantizer_mxfp4.py, 5.12.1)");
    }
}
