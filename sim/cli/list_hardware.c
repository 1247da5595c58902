/* list_hardware.c - the catalogues of cards, hosts and disks, and the names of loaders and quantisers. */
#include "list.h"

#include <string.h>

static const char *rate_text(uint64_t bps, char buf[VS_TEXT_BYTES])
{
    return bps == 0 ? "-" : vs_format_rate(bps, buf);
}

/* 0 is "not known" in the catalogues. */
static void u64_or_null(vs_jwriter *w, const char *key, uint64_t value)
{
    if (value == 0) {
        vs_jw_null(w, key);
    } else {
        vs_jw_u64(w, key, value);
    }
}

/* ---- cards -------------------------------------------------------------------------------------- */

static void gpu_text(vs_outfile *out, const vs_gpu *g)
{
    char total[VS_TEXT_BYTES];
    char context[VS_TEXT_BYTES];
    char rate[VS_TEXT_BYTES];
    vs_outfile_printf(out, "%-22s %-36s %10s %10s %11s", g->id, g->name,
                      vs_format_size(g->total_bytes, total),
                      vs_format_size(g->context_bytes, context),
                      rate_text(g->mem_bandwidth_bps, rate));
    if (g->pcie_gen > 0) {
        vs_outfile_printf(out, "  %" PRIu32 " x%" PRIu32, g->pcie_gen, g->pcie_lanes);
    }
    vs_outfile_printf(out, "\n");
}

static void gpu_json(vs_jwriter *w, const vs_gpu *g)
{
    vs_jw_object(w, NULL);
    vs_jw_str(w, "id", g->id);
    vs_jw_str(w, "name", g->name);
    vs_jw_str(w, "compute_capability",
              g->compute_capability[0] == '\0' ? NULL : g->compute_capability);
    vs_jw_u64(w, "total_bytes", g->total_bytes);
    vs_jw_u64(w, "context_bytes", g->context_bytes);
    u64_or_null(w, "mem_bandwidth_bytes_per_s", g->mem_bandwidth_bps);
    u64_or_null(w, "pcie_gen", g->pcie_gen);
    u64_or_null(w, "pcie_lanes", g->pcie_lanes);
    vs_jw_end(w);
}

static void list_gpus(vs_outfile *out, vs_jwriter *w, const vs_hardware_catalogue *catalogue)
{
    if (w == NULL) {
        vs_outfile_printf(out, "%-22s %-36s %10s %10s %11s %6s\n", "GPU", "NAME", "TOTAL",
                          "CONTEXT", "BANDWIDTH", "PCIE");
    }
    for (uint32_t i = 0; i < catalogue->gpu_count; i++) {
        if (w != NULL) {
            gpu_json(w, &catalogue->gpus[i]);
        } else {
            gpu_text(out, &catalogue->gpus[i]);
        }
    }
}

/* ---- hosts and disks -------------------------------------------------------------------------------- */

static void host_text(vs_outfile *out, const vs_host *h)
{
    char ram[VS_TEXT_BYTES];
    char pinned[VS_TEXT_BYTES];
    char pageable[VS_TEXT_BYTES];
    vs_outfile_printf(out, "%-17s %10s %5" PRIu32 " %10s %12s  ", h->name,
                      vs_format_size(h->ram_bytes, ram), h->cores,
                      rate_text(h->h2d_pinned_bps, pinned),
                      rate_text(h->h2d_pageable_bps, pageable));
    cli_wrapped(out, h->title == NULL ? "" : h->title, 60, 60);
}

static void host_json(vs_jwriter *w, const vs_host *h)
{
    vs_jw_object(w, NULL);
    vs_jw_str(w, "name", h->name);
    vs_jw_str(w, "title", h->title);
    vs_jw_u64(w, "ram_bytes", h->ram_bytes);
    vs_jw_u64(w, "cores", h->cores);
    u64_or_null(w, "h2d_pinned_bytes_per_s", h->h2d_pinned_bps);
    u64_or_null(w, "h2d_pageable_bytes_per_s", h->h2d_pageable_bps);
    vs_jw_end(w);
}

static void list_hosts(vs_outfile *out, vs_jwriter *w, const vs_hardware_catalogue *catalogue)
{
    if (w == NULL) {
        vs_outfile_printf(out, "%-17s %10s %5s %10s %12s\n", "HOST", "RAM", "CORES",
                          "H2D PINNED", "H2D PAGEABLE");
    }
    for (uint32_t i = 0; i < catalogue->host_count; i++) {
        if (w != NULL) {
            host_json(w, &catalogue->hosts[i]);
        } else {
            host_text(out, &catalogue->hosts[i]);
        }
    }
}

static void disk_text(vs_outfile *out, const vs_disk *d)
{
    char whole[VS_TEXT_BYTES];
    char mapped[VS_TEXT_BYTES];
    vs_outfile_printf(out, "%-16s %12s %14s  %s\n", d->name, vs_format_rate(d->read_bps, whole),
                      rate_text(d->mmap_read_bps, mapped), d->title == NULL ? "" : d->title);
}

static void disk_json(vs_jwriter *w, const vs_disk *d)
{
    vs_jw_object(w, NULL);
    vs_jw_str(w, "name", d->name);
    vs_jw_str(w, "title", d->title);
    vs_jw_u64(w, "read_bytes_per_s", d->read_bps);
    u64_or_null(w, "mmap_read_bytes_per_s", d->mmap_read_bps);
    vs_jw_end(w);
}

static void list_disks(vs_outfile *out, vs_jwriter *w, const vs_hardware_catalogue *catalogue)
{
    if (w == NULL) {
        vs_outfile_printf(out, "%-16s %12s %14s\n", "DISK", "READ", "ONE THREAD");
    }
    for (uint32_t i = 0; i < catalogue->disk_count; i++) {
        if (w != NULL) {
            disk_json(w, &catalogue->disks[i]);
        } else {
            disk_text(out, &catalogue->disks[i]);
        }
    }
}

bool list_hardware(cli *c, vs_outfile *out, vs_jwriter *w, const char *what, vs_err *err)
{
    vs_hardware_catalogue catalogue = {0};
    if (!vs_hardware_load(&catalogue, &c->inputs, cli_overlay_dir(c), err)) {
        return false;
    }
    if (strcmp(what, "gpus") == 0) {
        list_gpus(out, w, &catalogue);
    } else if (strcmp(what, "hosts") == 0) {
        list_hosts(out, w, &catalogue);
    } else {
        list_disks(out, w, &catalogue);
    }
    return true;
}

/* ---- names -------------------------------------------------------------------------------------------- */

static void name_row(vs_outfile *out, vs_jwriter *w, int width, const char *const pair[2])
{
    if (w == NULL) {
        vs_outfile_printf(out, "%-*s %s\n", width, pair[0], pair[1]);
        return;
    }
    vs_jw_object(w, NULL);
    vs_jw_str(w, "name", pair[0]);
    vs_jw_str(w, "words", pair[1]);
    vs_jw_end(w);
}

void list_loaders(vs_outfile *out, vs_jwriter *w)
{
    static const char *const words[VS_LOADER_COUNT] = {
        [VS_LOADER_V5] = "newest rules: whole checkpoint, prefetching threads, fused experts",
        [VS_LOADER_V5_0] = "5.0: prefetches while it quantises too, warm-up of what is free"};
    for (uint32_t i = 0; i < VS_LOADER_COUNT; i++) {
        const char *const pair[2] = {vs_loader_name((vs_loader)i),
                                     words[i] != NULL ? words[i] : "not in this version yet"};
        name_row(out, w, 20, pair);
    }
}

void list_quants(vs_outfile *out, vs_jwriter *w)
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
        const char *const pair[2] = {vs_quant_name((vs_quant)i), words[i]};
        name_row(out, w, 14, pair);
    }
}
