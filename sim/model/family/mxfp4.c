/* mxfp4.c - one projection of all experts in MXFP4 blocks (gpt-oss).
 *
 *   NAME_blocks U8 [experts, rows, columns/32, 16]     two four-bit floats a byte
 *   NAME_scales U8 [experts, rows, columns/32]         one exponent for 32 of them
 *
 * On a card that knows the format both stay (Transformers 5.12.1 integrations/mxfp4.py, swizzle_mxfp4); the warm-up counts the
 * blocks only. Facts: facts/models.md, gpt_oss layer. */
#include <string.h>

#include "sim/model/family/builder.h"

static bool fill(vs_builder *b, const char *name, const vs_emit_desc parts[2],
                 const uint32_t tensors[2], const uint64_t plain[3])
{
    const vs_emit_desc whole = {.shape = {{plain[0], plain[1], plain[2]}, 3},
                                .flags = VS_TF_EXPERTS};
    for (uint32_t i = 0; i < 2; i++) {
        const char *const stored = b->groups[b->group_count - 2 + i].name;
        if (!vs_builder_tensor(b, tensors[i], stored, &parts[i].shape, VS_DT_U8) ||
            vs_builder_target(b, &b->native, stored, &parts[i]) == NULL) {
            return false;
        }
        vs_builder_source(b, &b->native, tensors[i]);
    }
    const char *const text = vs_builder_name(b, &b->module, name);
    vs_target *const target =
        text == NULL ? NULL : vs_builder_target(b, &b->plain, text, &whole);
    if (target == NULL) {
        return false;
    }
    vs_builder_source(b, &b->plain, tensors[0]);
    vs_builder_source(b, &b->plain, tensors[1]);
    target->companion_count = 1;
    return true;
}

bool vs_emit_mxfp4(vs_builder *b, const char *name, const uint64_t plain[3],
                   const uint64_t packed[4])
{
    static const char *const tails[2] = {"_blocks", "_scales"};
    const vs_emit_desc parts[2] = {
        {.shape = {{packed[0], packed[1], packed[2], packed[3]}, 4},
         .flags = VS_TF_EXPERTS | VS_TF_QUANT_DATA,
         .dtype = VS_DT_U8},
        {.shape = {{packed[0], packed[1], packed[2]}, 3},
         .flags = VS_TF_EXPERTS | VS_TF_QUANT_META,
         .dtype = VS_DT_U8},
    };
    uint32_t tensors[2] = {0};
    char full[96];
    const size_t len = strlen(name);
    vs_assert(len + sizeof "_blocks" <= sizeof full);
    memcpy(full, name, len + 1);
    for (uint32_t i = 0; i < 2; i++) {
        memcpy(full + len, tails[i], sizeof "_blocks");
        if (!vs_builder_group(b, full, 1, &tensors[i])) {
            return false;
        }
    }
    if (b->pass == VS_PASS_COUNT) {
        b->native.count += 2;
        b->native.source_count += 2;
        b->plain.count += 1;
        b->plain.source_count += 2;
    }
    return b->pass != VS_PASS_FILL || fill(b, name, parts, tensors, plain);
}
