/* sim/model/family/gemma.h - what Gemma 2 and Gemma 3 share. */
#ifndef VS_MODEL_GEMMA_H
#define VS_MODEL_GEMMA_H

#include "sim/model/family/family.h"

/* The embedding and its scale, a buffer beside it. */
VS_MUST_CHECK bool vs_emit_gemma_embedding(vs_builder *b, const char *name, const char *scale);
/* One decoder layer: attention, MLP, four norms. */
VS_MUST_CHECK bool vs_emit_gemma_layer(vs_builder *b, bool has_qk_norm);

#endif /* VS_MODEL_GEMMA_H */
