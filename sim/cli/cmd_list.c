/* cmd_list.c - `vramscope list`: the catalogues. */
#include "cli.h"

#include <string.h>

static bool list_models(cli *c, vs_outfile *out, vs_err *err)
{
    vs_outfile_printf(out, "%-22s %-42s %16s %10s %8s\n", "MODEL", "HUB", "PARAMETERS", "SIZE",
                      "TENSORS");
    for (uint32_t i = 0; i < vs_catalogue_model_count(); i++) {
        const vs_catalogue_model *entry = vs_catalogue_model_at(i);
        vs_model model = {0};
        char parameters[VS_TEXT_BYTES];
        char size[VS_TEXT_BYTES];
        vs_arena_reset(&c->scratch);
        if (!vs_model_open(&model, &c->scratch, entry->name, err)) {
            return false;
        }
        vs_outfile_printf(out, "%-22s %-42s %16s %10s %8" PRIu32 "\n", entry->name, entry->hub,
                          vs_format_grouped(model.parameters, parameters),
                          vs_format_size(model.checkpoint_bytes, size), model.tensor_count);
    }
    return true;
}

static const char *rate_text(uint64_t bps, char buf[VS_TEXT_BYTES])
{
    return bps == 0 ? "-" : vs_format_rate(bps, buf);
}

static void list_gpus(vs_outfile *out, const vs_hardware_catalogue *catalogue)
{
    vs_outfile_printf(out, "%-22s %-40s %11s %11s %12s %6s\n", "GPU", "NAME", "TOTAL",
                      "CONTEXT", "BANDWIDTH", "PCIE");
    for (uint32_t i = 0; i < catalogue->gpu_count; i++) {
        const vs_gpu *g = &catalogue->gpus[i];
        char total[VS_TEXT_BYTES];
        char context[VS_TEXT_BYTES];
        char rate[VS_TEXT_BYTES];
        vs_outfile_printf(out, "%-22s %-40s %11s %11s %12s", g->id, g->name,
                          vs_format_size(g->total_bytes, total),
                          vs_format_size(g->context_bytes, context),
                          rate_text(g->mem_bandwidth_bps, rate));
        if (g->pcie_gen > 0) {
            vs_outfile_printf(out, "  %" PRIu32 " x%" PRIu32, g->pcie_gen, g->pcie_lanes);
        }
        vs_outfile_printf(out, "\n");
    }
}

static void list_hosts(vs_outfile *out, const vs_hardware_catalogue *catalogue)
{
    vs_outfile_printf(out, "%-16s %11s %6s %12s %12s  %s\n", "HOST", "RAM", "CORES",
                      "H2D PINNED", "H2D PAGEABLE", "");
    for (uint32_t i = 0; i < catalogue->host_count; i++) {
        const vs_host *h = &catalogue->hosts[i];
        char ram[VS_TEXT_BYTES];
        char pinned[VS_TEXT_BYTES];
        char pageable[VS_TEXT_BYTES];
        vs_outfile_printf(
            out, "%-16s %11s %6" PRIu32 " %12s %12s  %s\n", h->name,
            vs_format_size(h->ram_bytes, ram), h->cores, rate_text(h->h2d_pinned_bps, pinned),
            rate_text(h->h2d_pageable_bps, pageable), h->title == NULL ? "" : h->title);
    }
}

static void list_disks(vs_outfile *out, const vs_hardware_catalogue *catalogue)
{
    vs_outfile_printf(out, "%-16s %12s %14s  %s\n", "DISK", "READ", "ONE THREAD", "");
    for (uint32_t i = 0; i < catalogue->disk_count; i++) {
        const vs_disk *d = &catalogue->disks[i];
        char whole[VS_TEXT_BYTES];
        char mapped[VS_TEXT_BYTES];
        vs_outfile_printf(
            out, "%-16s %12s %14s  %s\n", d->name, vs_format_rate(d->read_bps, whole),
            rate_text(d->mmap_read_bps, mapped), d->title == NULL ? "" : d->title);
    }
}

static void list_loaders(vs_outfile *out)
{
    for (uint32_t i = 0; i < VS_LOADER_COUNT; i++) {
        vs_outfile_printf(
            out, "%-20s %s\n", vs_loader_name((vs_loader)i),
            i == VS_LOADER_V5
                ? "newest rules: whole checkpoint, prefetching threads, fused experts"
                : "not in this version yet");
    }
}

static void list_quants(vs_outfile *out)
{
    static const char *const words[] = {
        "weights stay in the load dtype",
        "bitsandbytes NF4, block 64, fp32 absmax: 4.5 bits a weight",
        "the same with double quantisation: 4.13 bits a weight",
        "bitsandbytes FP4, sizes as bnb-nf4",
        "bitsandbytes LLM.int8: 8 bits a weight and one fp32 a row"};
    _Static_assert(sizeof words / sizeof words[0] == VS_QUANT_COUNT,
                   "every quantiser has its words");
    for (uint32_t i = 0; i < VS_QUANT_COUNT; i++) {
        vs_outfile_printf(out, "%-14s %s\n", vs_quant_name((vs_quant)i), words[i]);
    }
}

static bool list_hardware(cli *c, vs_outfile *out, const char *what, vs_err *err)
{
    vs_hardware_catalogue catalogue = {0};
    if (!vs_hardware_load(&catalogue, &c->inputs, cli_overlay_dir(c), err)) {
        return false;
    }
    if (strcmp(what, "gpus") == 0) {
        list_gpus(out, &catalogue);
    } else if (strcmp(what, "hosts") == 0) {
        list_hosts(out, &catalogue);
    } else {
        list_disks(out, &catalogue);
    }
    return true;
}

static bool list(cli *c, vs_outfile *out, const char *what, vs_err *err)
{
    static const char *const topics[] = {"models", "gpus",    "hosts",
                                         "disks",  "loaders", "quants"};
    if (strcmp(what, "models") == 0) {
        return list_models(c, out, err);
    }
    if (strcmp(what, "gpus") == 0 || strcmp(what, "hosts") == 0 || strcmp(what, "disks") == 0) {
        return list_hardware(c, out, what, err);
    }
    if (strcmp(what, "loaders") == 0) {
        list_loaders(out);
        return true;
    }
    if (strcmp(what, "quants") == 0) {
        list_quants(out);
        return true;
    }
    const char *near = vs_nearest(vs_str_of(what), topics, sizeof topics / sizeof topics[0]);
    return vs_fail(
        err, VS_ERR_USAGE,
        "list %s: no such catalogue%s%s%s; there are models, gpus, hosts, disks, loaders, "
        "quants",
        what, near == NULL ? "" : " (did you mean ", near == NULL ? "" : near,
        near == NULL ? "" : "?)");
}

int cmd_list(cli *c, int argc, char **argv)
{
    vs_err err = {0};
    if (argc == 1 && (strcmp(argv[0], "--help") == 0 || strcmp(argv[0], "-h") == 0)) {
        return cmd_help(c, 1, (char *[]){(char[]){"list"}});
    }
    if (argc != 1) {
        (void)vs_fail(&err, VS_ERR_USAGE,
                      "list: which one? models, gpus, hosts, disks, loaders or quants");
        return cli_error(&err);
    }
    vs_outfile *out = vs_outfile_open("-", &err);
    if (out == NULL) {
        return cli_error(&err);
    }
    if (!list(c, out, argv[0], &err)) {
        vs_outfile_abandon(out);
        return cli_error(&err);
    }
    return vs_outfile_commit(out, &err) ? EXIT_OK : cli_error(&err);
}
