/* cmd_inspect.c - `vramscope inspect`: what a checkpoint holds and what Transformers makes of it, from headers or a
 * config alone. A superset of `accelerate estimate-memory`. */
#include "inspect.h"

#include <string.h>

quant_needs inspect_quant_needs(vs_quant_format format)
{
    switch (format) {
    case VS_QF_FP8: /* quantizer_finegrained_fp8.py validate_environment */
        return (quant_needs){"8.9", "older cards dequantise to bfloat16 while loading"};
    case VS_QF_MXFP4: /* quantizer_mxfp4.py validate_environment */
        return (quant_needs){"7.5", "older cards, and any card without triton 3.4 and the "
                                    "kernels package, dequantise to bfloat16 while loading"};
    case VS_QF_GPTQ:
    case VS_QF_AWQ:
    case VS_QF_BNB_4BIT:
    case VS_QF_BNB_8BIT:
    case VS_QF_COMPRESSED_TENSORS: /* these quantizers ask no card for anything */
        return (quant_needs){"",
                             "Transformers keeps it as stored on every card; the kernels of "
                             "its package decide what runs"};
    case VS_QF_NONE:
    case VS_QF_OTHER: break;
    }
    return (quant_needs){"", ""};
}

const char *inspect_cost_reason(const inspection *in, const vs_dtype_cost *cost)
{
    const vs_model_summary *const s = in->summary;
    if (!cost->is_exact_known) {
        return "the checkpoint is quantised already and is not quantised again";
    }
    if (cost->divisor <= 2) {
        return in->model->no_split_class[0] == '\0' ? "accelerate cannot build a model it does "
                                                      "not know; counted from what is stored"
               : s->has_all_counted
                   ? "accelerate builds the whole model, also the part that is not loaded"
               : s->has_head_left_out
                   ? "accelerate builds the model without its output head (AutoModel)"
                   : "";
    }
    return s->has_fused_experts ? "bitsandbytes quantises linear layers only: fused experts, "
                                  "embeddings, head and "
                                  "norms stay 16 bit, and scales come on top"
                                : "bitsandbytes quantises linear layers only: embeddings, head "
                                  "and norms stay 16 "
                                  "bit, and scales come on top";
}

static bool write_result(const cli_args *args, const inspection *in, vs_err *err)
{
    if (args->json != NULL) {
        vs_outfile *json = vs_outfile_open(args->json, err);
        if (json == NULL) {
            return false;
        }
        vs_jwriter w = vs_jwriter_of(json, false);
        inspect_json(&w, in);
        if (!vs_outfile_commit(json, err)) {
            return false;
        }
    }
    if (args->is_quiet) {
        return true;
    }
    vs_outfile *out = vs_outfile_open("-", err);
    if (out == NULL) {
        return false;
    }
    inspect_text(out, in);
    return vs_outfile_commit(out, err);
}

/* What would be ignored is refused: an answer that leaves out part of the question misleads. */
static bool check_args(const cli_args *args, vs_err *err)
{
    if (args->setting != NULL) {
        return vs_fail(err, VS_ERR_USAGE,
                       "--%s: inspect reads the model only; `vramscope sim` takes settings",
                       args->setting);
    }
    if (args->tape != NULL || args->trace != NULL || args->csv != NULL ||
        args->snapshot != NULL || args->png != NULL || args->svg != NULL ||
        args->print_scenario || args->vary_count > 0) {
        return vs_fail(err, VS_ERR_USAGE,
                       "inspect writes --json only and runs nothing; the other outputs and "
                       "--vary belong to `vramscope sim` and `compare`");
    }
    return true;
}

/* Only where version 5 fuses what version 4 keeps apart. */
static bool list_modules_4(cli *c, inspection *in, vs_err *err)
{
    vs_module_4 *modules = NULL;
    if (!vs_model_has_fused_experts(in->model)) {
        return true;
    }
    if (!vs_model_modules_4(in->model, &c->inputs, &modules, &in->module_4_count, err)) {
        return false;
    }
    in->modules_4 = modules;
    return true;
}

int cmd_inspect(cli *c, int argc, char **argv)
{
    cli_args args = {0};
    vs_model model = {0};
    vs_model_summary summary = {0};
    vs_err err = {0};
    if (!cli_parse(c, &args, argc, argv, &err)) {
        return cli_error(&err);
    }
    if (args.wants_help) {
        return cmd_help(c, 1, (char *[]){(char[]){"inspect"}});
    }
    inspection in = {.model = &model, .summary = &summary, .with_tensors = args.tensors};
    if (!check_args(&args, &err) || !cli_read_model(c, &model, args.scenario.model, &err) ||
        !vs_model_summarise(&summary, &model, &c->inputs, &err) ||
        !list_modules_4(c, &in, &err) || !write_result(&args, &in, &err)) {
        return cli_error(&err);
    }
    return EXIT_OK;
}
