/* layout.c - the stored tensors of quantised weights.
 *
 * Layouts, for a linear weight [out, in] of n elements:
 *
 *   fp8          weight F8 [out, in], weight_scale_inv F32 [ceil(out/128), ceil(in/128)], with static activations
 *                activation_scale F32 [] (Transformers 5.12.1 integrations/finegrained_fp8.py, FP8Linear)
 *   gptq         qweight I32 [in*bits/32, out], qzeros I32 [groups, out*bits/32], scales F16 [groups, out],
 *                g_idx I32 [in] (GPTQModel nn_modules/qlinear/__init__.py @ 00f3d5ef)
 *   awq          qweight I32 [in, out*bits/32], qzeros I32 [groups, out*bits/32], scales F16 [groups, out]
 *                (AutoAWQ awq/modules/linear/gemm.py @ 030fe2a1)
 *   bnb 4 bit    weight U8 [ceil(n/2), 1], weight.absmax, weight.quant_map F32 [16]; with double quantisation absmax is U8 and
 *                nested_absmax, nested_quant_map F32 [256] follow; last a JSON text as bytes, read by the host only
 *                (bitsandbytes functional.py QuantState.as_dict @ 95f9af30)
 *   bnb 8 bit    weight I8 [out, in], SCB F32 [out], weight_format U8 [] (bitsandbytes nn/modules.py Linear8bitLt)
 *   compressed-tensors 0.15: pack-quantized weight_packed I32 [out, ceil(in*bits/32)], weight_scale, weight_zero_point,
 *                weight_g_idx, weight_shape I64 [2]; int- and float-quantized weight I8 or F8, weight_scale, input_scale;
 *                nvfp4 weight_packed U8 [out, in/2], weight_scale F8 [out, in/16], weight_global_scale F32 [1];
 *                mxfp4 weight_packed U8 [out, in/2], weight_scale U8 [out, in/32]
 *
 * mxfp4 is no layout of a linear: it is in mxfp4.c. */
#include "sim/model/family/layout.h"

#include <string.h>

static uint64_t ceil_div(uint64_t a, uint64_t b)
{
    return a / b + (a % b != 0);
}

/* 32-bit words that hold count values; bits is at most 8, and count may be near 2^63. */
static uint64_t packed_words(uint64_t count, uint32_t bits)
{
    return count / 32 * bits + ceil_div(count % 32 * bits, 32);
}

/* ---- pieces ------------------------------------------------------------------------------------ */

typedef struct {
    vs_piece *pieces;
    uint32_t count;
} piece_list;

static vs_piece *add(piece_list *list, const char *suffix, vs_dtype dtype,
                     const vs_shape *shape)
{
    vs_assert(list->count < VS_PIECES_MAX);
    vs_piece *const p = &list->pieces[list->count];
    *p = (vs_piece){
        .suffix = suffix,
        .shape = *shape,
        .dtype = dtype,
        .flags = list->count == 0 ? VS_TF_QUANT_DATA : VS_TF_QUANT_META,
    };
    list->count++;
    return p;
}

static vs_shape scalar(void)
{
    return (vs_shape){.count = 0};
}

static vs_shape vector(uint64_t length)
{
    return (vs_shape){{length}, 1};
}

static vs_shape matrix(uint64_t rows, uint64_t columns)
{
    return (vs_shape){{rows, columns}, 2};
}

static void pieces_fp8(piece_list *list, const vs_scheme *s, const uint64_t size[2])
{
    add(list, "weight", VS_DT_F8_E4M3, &(vs_shape){{size[0], size[1]}, 2});
    const vs_shape scale = s->block[0] == 0 ? scalar()
                                            : matrix(ceil_div(size[0], s->block[0]),
                                                     ceil_div(size[1], s->block[1]));
    add(list, "weight_scale_inv", VS_DT_F32, &scale);
    if (s->has_input_scale) {
        const vs_shape one = scalar();
        add(list, "activation_scale", VS_DT_F32, &one);
    }
}

static uint64_t group_count(const vs_scheme *s, uint64_t in)
{
    return s->group_size == 0 ? 1 : ceil_div(in, s->group_size);
}

static void pieces_gptq(piece_list *list, const vs_scheme *s, const uint64_t size[2])
{
    const uint64_t groups = group_count(s, size[1]);
    const vs_shape data = matrix(packed_words(size[1], s->bits), size[0]);
    const vs_shape zeros = matrix(groups, packed_words(size[0], s->bits));
    const vs_shape scales = matrix(groups, size[0]);
    const vs_shape index = vector(size[1]);
    add(list, "qweight", VS_DT_I32, &data);
    add(list, "qzeros", VS_DT_I32, &zeros);
    add(list, "scales", VS_DT_F16, &scales);
    add(list, "g_idx", VS_DT_I32, &index);
}

static void pieces_awq(piece_list *list, const vs_scheme *s, const uint64_t size[2])
{
    const uint64_t groups = group_count(s, size[1]);
    const uint64_t packed = packed_words(size[0], s->bits);
    const vs_shape data = matrix(size[1], packed);
    const vs_shape zeros = matrix(groups, packed);
    const vs_shape scales = matrix(groups, size[0]);
    add(list, "qweight", VS_DT_I32, &data);
    add(list, "qzeros", VS_DT_I32, &zeros);
    add(list, "scales", VS_DT_F16, &scales);
}

/* The length of the JSON text depends on how long its numbers are written; what a config tells gives the usual one.
 * bitsandbytes functional.py as_dict: quant_type, blocksize, dtype, shape; nested: blocksize, dtype, offset. */
#define QUANT_STATE_BYTES        80u
#define QUANT_STATE_BYTES_NESTED 163u

static void pieces_bnb4(piece_list *list, const vs_scheme *s, const uint64_t size[2])
{
    const uint64_t blocks = ceil_div(size[0] * size[1], 64);
    const vs_shape data = matrix(ceil_div(size[0] * size[1], 2), 1);
    const vs_shape absmax = vector(blocks);
    const vs_shape code = vector(16);
    add(list, "weight", VS_DT_U8, &data);
    add(list, "weight.absmax", s->is_double_quantised ? VS_DT_U8 : VS_DT_F32, &absmax);
    if (s->is_double_quantised) {
        const vs_shape nested = vector(ceil_div(blocks, 256));
        const vs_shape nested_code = vector(256);
        add(list, "weight.nested_absmax", VS_DT_F32, &nested);
        add(list, "weight.nested_quant_map", VS_DT_F32, &nested_code);
    }
    add(list, "weight.quant_map", VS_DT_F32, &code);
    const vs_shape text =
        vector(s->is_double_quantised ? QUANT_STATE_BYTES_NESTED : QUANT_STATE_BYTES);
    add(list, s->quant_state_name, VS_DT_U8, &text)->is_host_only = true;
}

static void pieces_bnb8(piece_list *list, const uint64_t size[2])
{
    const vs_shape data = matrix(size[0], size[1]);
    const vs_shape scales = vector(size[0]);
    const vs_shape one = scalar();
    add(list, "weight", VS_DT_I8, &data);
    add(list, "SCB", VS_DT_F32, &scales);
    add(list, "weight_format", VS_DT_U8, &one)->is_host_only = true;
}

/* Scale of one weight: groups, rows, blocks or the whole tensor. */
static vs_shape scale_shape(const vs_scheme *s, const uint64_t size[2])
{
    if (s->block[0] != 0) {
        return matrix(ceil_div(size[0], s->block[0]), ceil_div(size[1], s->block[1]));
    }
    if (s->group_size != 0) {
        return matrix(size[0], ceil_div(size[1], s->group_size));
    }
    return s->has_row_scales ? matrix(size[0], 1) : vector(1);
}

static void pieces_packed(piece_list *list, const vs_layout *layout, const vs_scheme *s,
                          const uint64_t size[2])
{
    const vs_shape data = matrix(size[0], packed_words(size[1], s->bits));
    const vs_shape scale = scale_shape(s, size);
    const vs_shape pair = vector(2);
    add(list, "weight_packed", VS_DT_I32, &data);
    add(list, "weight_scale", layout->scale_dtype, &scale);
    if (s->has_zero_points) {
        const vs_shape zeros =
            matrix(packed_words(size[0], s->bits), scale.count == 2 ? scale.dim[1] : 1);
        add(list, "weight_zero_point", VS_DT_I32, &zeros);
    }
    if (s->has_group_index) {
        const vs_shape index = vector(size[1]);
        add(list, "weight_g_idx", VS_DT_I32, &index);
    }
    add(list, "weight_shape", VS_DT_I64, &pair);
}

static void pieces_fp4(piece_list *list, const vs_scheme *s, const uint64_t size[2])
{
    const vs_shape data = matrix(size[0], ceil_div(size[1], 2));
    const vs_shape scale = matrix(size[0], ceil_div(size[1], s->is_micro ? 32 : 16));
    const vs_shape one = vector(1);
    add(list, "weight_packed", VS_DT_U8, &data);
    add(list, "weight_scale", s->is_micro ? VS_DT_U8 : VS_DT_F8_E4M3, &scale);
    if (s->is_micro) {
        return;
    }
    add(list, "weight_global_scale", VS_DT_F32, &one);
    if (s->has_input_scale) {
        add(list, "input_global_scale", VS_DT_F32, &one);
    }
}

static void pieces_compressed(piece_list *list, const vs_layout *layout, const vs_scheme *s,
                              const uint64_t size[2])
{
    if (s->bits == 4 && s->is_float) {
        pieces_fp4(list, s, size);
        return;
    }
    if (s->bits < 8 || s->is_packed) {
        pieces_packed(list, layout, s, size);
        return;
    }
    const vs_shape data = matrix(size[0], size[1]);
    const vs_shape scale = scale_shape(s, size);
    const vs_shape one = vector(1);
    add(list, "weight", s->is_float ? VS_DT_F8_E4M3 : VS_DT_I8, &data);
    add(list, "weight_scale", layout->scale_dtype, &scale);
    if (s->has_zero_points) {
        add(list, "weight_zero_point", VS_DT_I8, &scale);
    }
    if (s->has_input_scale) {
        add(list, "input_scale", layout->scale_dtype, &one);
    }
}

uint32_t vs_scheme_pieces(const vs_layout *layout, const vs_scheme *scheme,
                          const uint64_t size[2], vs_piece pieces[VS_PIECES_MAX])
{
    piece_list list = {pieces, 0};
    switch (scheme->format) {
    case VS_QF_FP8: pieces_fp8(&list, scheme, size); break;
    case VS_QF_GPTQ: pieces_gptq(&list, scheme, size); break;
    case VS_QF_AWQ: pieces_awq(&list, scheme, size); break;
    case VS_QF_BNB_4BIT: pieces_bnb4(&list, scheme, size); break;
    case VS_QF_BNB_8BIT: pieces_bnb8(&list, size); break;
    case VS_QF_COMPRESSED_TENSORS: pieces_compressed(&list, layout, scheme, size); break;
    case VS_QF_NONE:
    case VS_QF_MXFP4:
    case VS_QF_OTHER: break; /* formats without linear pieces: the callers know */
    }
    return list.count;
}
