/* report.c - one run as a page a person enjoys reading: the verdict, what held the card, the curve, where the
 * figures are from. */
#include "cli.h"

#include <string.h>

#define BAR_COLUMNS   34u
#define CHART_COLUMNS 78u
#define CHART_ROWS    12u
#define LARGEST_ROWS  5u

static void row_bytes(vs_outfile *out, const char *label, vs_bytes bytes)
{
    char size[VS_TEXT_BYTES];
    char exact[VS_TEXT_BYTES];
    vs_outfile_printf(out, "    %-40s %11s  %17s B\n", label, vs_format_size(bytes, size),
                      vs_format_grouped(bytes, exact));
}

static void headline(vs_outfile *out, const cli_run *run)
{
    const vs_run_result *r = run->result;
    char load[VS_TEXT_BYTES];
    vs_outfile_printf(out, "%s\n", r->headline);
    vs_outfile_printf(
        out, "  %s as %s%s%s%s on %s, %s load, %s%s\n", run->model->name,
        vs_dtype_torch_name(r->load_dtype), run->scenario->quant == VS_QUANT_NONE ? "" : " + ",
        run->scenario->quant == VS_QUANT_NONE ? "" : vs_quant_name(run->scenario->quant),
        run->scenario->quant_experts == VS_QEXPERTS_NONE ? "" : " + experts by axolotl",
        r->machine.gpus[0].name, r->is_async ? "async" : "sequential",
        r->verdict == VS_VERDICT_FITS     ? "done in "
        : r->verdict == VS_VERDICT_FAILED ? "fails after "
                                          : "dies after ",
        vs_format_duration(r->load_ns, load));
    if (r->format[0] != '\0') {
        vs_outfile_printf(out, "  Format: ");
        cli_wrapped(out, r->format, 10, 10);
    }
    if (r->reason[0] != '\0') {
        vs_outfile_printf(out, "\n  ");
        cli_wrapped(out, r->reason, 2, 2);
    }
}

static void memory(vs_outfile *out, const cli_run *run)
{
    const vs_gpu_result *g = &run->result->gpus[0];
    vs_outfile_printf(out, "\n  GPU 0: %s\n", run->result->machine.gpus[0].name);
    row_bytes(out, "capacity (cudaMemGetInfo total)", g->capacity_bytes);
    row_bytes(out, "CUDA context", g->context_bytes);
    if (g->used_by_others_bytes > 0) {
        row_bytes(out, "other processes", g->used_by_others_bytes);
    }
    if (g->warmup_bytes > 0) {
        row_bytes(out, "warm-up segment", g->warmup_bytes);
    }
    row_bytes(out, "peak used (context + others + reserved)", g->peak_used_bytes);
    row_bytes(out, "peak reserved", g->peak_reserved_bytes);
    row_bytes(out, "peak allocated (tensors)", g->peak_allocated_bytes);
    row_bytes(out, "final reserved", g->final_reserved_bytes);
    row_bytes(out, "final allocated (tensors)", g->final_allocated_bytes);
    if (g->final_memory_allocated_bytes != g->final_allocated_bytes) {
        row_bytes(out, "  as torch.cuda.memory_allocated()", g->final_memory_allocated_bytes);
    }
}

static void bar(vs_outfile *out, vs_bytes part, vs_bytes whole, bool is_utf8)
{
    uint64_t filled = 0;
    if (whole == 0 || !vs_muldiv_u64(part, BAR_COLUMNS, whole, &filled)) {
        return;
    }
    if (filled == 0) {
        vs_outfile_printf(out, "%s",
                          is_utf8 ? "▏" : "|"); /* there, but thinner than a character */
    }
    for (uint64_t i = 0; i < filled; i++) {
        vs_outfile_printf(out, "%s", is_utf8 ? "█" : "#");
    }
}

static void composition(vs_outfile *out, const cli_run *run, bool is_utf8)
{
    const vs_run_result *r = run->result;
    char when[VS_TEXT_BYTES];
    char size[VS_TEXT_BYTES];
    vs_outfile_printf(out, "\n  What held the card at its fullest (at %s)\n",
                      vs_format_duration(r->peak.time_ns, when));
    for (uint32_t c = VS_CAT_COUNT; c-- > 0;) {
        const vs_bytes bytes = r->peak.categories[c];
        if (bytes == 0) {
            continue;
        }
        vs_outfile_printf(out, "    %-18s %11s  ", vs_category_label((vs_category)c),
                          vs_format_size(bytes, size));
        bar(out, bytes, r->gpus[0].capacity_bytes, is_utf8);
        vs_outfile_printf(out, "\n");
    }
    const vs_bytes used = r->gpus[0].peak_used_bytes;
    const vs_bytes capacity = r->gpus[0].capacity_bytes;
    vs_outfile_printf(out, "    %-18s %11s\n", "room left",
                      vs_format_size(capacity > used ? capacity - used : 0, size));
}

static void largest(vs_outfile *out, const cli_run *run)
{
    const vs_timeline *tl = run->timeline;
    vs_moment peak = {0};
    vs_live live[LARGEST_ROWS];
    char size[VS_TEXT_BYTES];
    if (!vs_study_peak(tl, 0, &peak)) {
        return;
    }
    const uint32_t count = vs_study_largest(tl, 0, peak.event, live, LARGEST_ROWS);
    if (count == 0) {
        return;
    }
    vs_outfile_printf(out, "\n  Largest blocks at that moment\n");
    for (uint32_t i = 0; i < count; i++) {
        vs_outfile_printf(out, "    %11s  %s (%s)\n", vs_format_size(live[i].size_bytes, size),
                          vs_timeline_string(tl, tl->blocks[live[i].block].name),
                          vs_category_label(live[i].category));
    }
}

static void host(vs_outfile *out, const cli_run *run)
{
    const vs_run_result *r = run->result;
    char a[VS_TEXT_BYTES];
    char b[VS_TEXT_BYTES];
    char c[VS_TEXT_BYTES];
    vs_outfile_printf(out, "\n  Host RAM: process %s, page cache %s, of %s\n",
                      vs_format_size(r->host_peak_anon_bytes, a),
                      vs_format_size(r->host_peak_file_bytes, b),
                      vs_format_size(r->host_capacity_bytes, c));
    vs_outfile_printf(out, "  Disk read: %s (%s)\n", vs_format_size(r->disk_read_bytes, a),
                      r->machine.disk.name);
    vs_outfile_printf(out, "  Time: %s", vs_format_duration(r->load_ns, a));
    if (r->bottleneck_ppm > 0) {
        vs_outfile_printf(out, "; busiest: %s, %" PRIu32 " %% of it", r->bottleneck_lane,
                          (r->bottleneck_ppm + 5000) / 10000);
    }
    vs_outfile_printf(out, "\n");
}

static void oom(vs_outfile *out, const cli_run *run)
{
    const vs_oom_result *o = &run->result->oom;
    char when[VS_TEXT_BYTES];
    char size[VS_TEXT_BYTES];
    if (!run->result->has_oom) {
        return;
    }
    vs_outfile_printf(out, "\n  First allocation to fail: %s for %s at %s (%s)\n",
                      vs_format_size(o->requested_bytes, size), o->tensor,
                      vs_format_duration(o->time_ns, when), o->stage);
    if (o->has_surfaced) {
        vs_outfile_printf(
            out, "  The program notices at %s, at %s%s\n",
            vs_format_duration(o->surface_time_ns, when), o->surface_tensor,
            o->is_reported
                ? " (caught there; raised after the load as a weight conversion error)"
            : o->is_swallowed
                ? ", which also fails (the first was caught by the loader, this one is not)"
                : "");
    }
    vs_outfile_printf(out, "\n  %s\n", o->message);
}

static void fixes(vs_outfile *out, const cli_run *run)
{
    char peak[VS_TEXT_BYTES];
    char time[VS_TEXT_BYTES];
    if (!run->result->has_oom) {
        return;
    }
    vs_outfile_printf(
        out, "\n  What would fit (each line was simulated)%*s peak used       time\n", 12, "");
    for (uint32_t i = 0; i < run->fix_count; i++) {
        const vs_fix *f = &run->fixes[i];
        const bool is_fit = f->verdict == VS_VERDICT_FITS;
        vs_outfile_printf(out, "    %-4s %-44s %11s  %9s\n", is_fit ? "yes" : "no", f->change,
                          vs_format_size(f->peak_used_bytes, peak),
                          is_fit ? vs_format_duration(f->load_ns, time) : "-");
    }
    /* Settings that fit stand first. */
    if (run->fix_count == 0 || run->fixes[0].verdict != VS_VERDICT_FITS) {
        vs_outfile_printf(out, "    Nothing tried fits: it needs a card with more than %s.\n",
                          vs_format_size(run->result->needed_bytes, peak));
    }
}

static void assumed(vs_outfile *out, const cli_run *run)
{
    const vs_machine *m = &run->result->machine;
    for (uint32_t i = 0; i < run->model->note_count; i++) {
        vs_outfile_printf(out, "\n  Note: %s\n", run->model->notes[i]);
    }
    for (uint32_t i = 0; i < run->result->note_count; i++) {
        vs_outfile_printf(out, "\n  Note: %s\n", run->result->notes[i]);
    }
    if (m->assumed_count == 0) {
        return;
    }
    vs_outfile_printf(out, "\n  Assumed, not measured on this machine (sources: --json -):");
    size_t column = 101; /* the first begins a line */
    for (uint32_t i = 0; i < m->assumed_count; i++) {
        char value[VS_TEXT_BYTES];
        const char *key = m->assumed[i].key;
        const size_t len = strlen(key);
        const bool is_bytes = len > 6 && strcmp(key + len - 6, "_bytes") == 0;
        const bool is_rate = len > 12 && strcmp(key + len - 12, "_bytes_per_s") == 0;
        const char *text = is_rate    ? vs_format_rate(m->assumed[i].value, value)
                           : is_bytes ? vs_format_size(m->assumed[i].value, value)
                                      : vs_format_grouped(m->assumed[i].value, value);
        const size_t width = len + strlen(text) + 3;
        const bool is_new_line = column + width > 100;
        vs_outfile_printf(out, "%s%s %s%s", is_new_line ? "\n    " : " ", key, text,
                          i + 1 < m->assumed_count ? "," : "\n");
        column = (is_new_line ? 4 : column) + width;
    }
}

void cli_report_text(vs_outfile *out, const cli_run *run, bool is_utf8)
{
    headline(out, run);
    oom(out, run);
    fixes(out, run);
    memory(out, run);
    composition(out, run, is_utf8);
    largest(out, run);
    vs_outfile_printf(out, "\n");
    vs_study_chart(run->timeline, 0, out, CHART_COLUMNS, CHART_ROWS, is_utf8);
    host(out, run);
    assumed(out, run);
}
