/* cli/inspect.h - what the files of `inspect` share. */
#ifndef VS_CLI_INSPECT_H
#define VS_CLI_INSPECT_H

#include "cli.h"

typedef struct {
    const vs_model *model;
    const vs_model_summary *summary;
    const vs_module_4
        *modules_4; /* what Transformers 4 keeps apart; NULL: the same as version 5 */
    uint32_t module_4_count;
    bool with_tensors;
} inspection;

/* How a quantised checkpoint runs: what Transformers 5.12.1 asks of the card. */
typedef struct {
    const char *
        capability; /* compute capability from which it runs as stored: "8.9"; "" none is asked for */
    const char *below; /* what happens on older cards; "" when none is asked for */
} quant_needs;

quant_needs inspect_quant_needs(vs_quant_format format);
/* The estimate of accelerate names float32 and so on; true when some other figure of the row differs, and why. */
const char *inspect_cost_reason(const inspection *in, const vs_dtype_cost *cost);

void inspect_text(vs_outfile *out, const inspection *in);
void inspect_json(vs_jwriter *w, const inspection *in);

#endif /* VS_CLI_INSPECT_H */
