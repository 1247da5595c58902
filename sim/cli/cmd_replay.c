/* cmd_replay.c - `vramscope replay`: a recording run through our allocator, or what would have happened on another card or
 * under other options. */
#include "replay.h"
#include "words.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

typedef struct {
    const char *alloc_conf;
    const char *capacity;
    const char *used;
    const char *limit;
    const char *json;
    const char *tape;
    bool is_strict;
    bool wants_no_ranking;
} replay_args;

static bool parse(cli_words *spec, replay_args *args, int argc, char **argv, vs_err *err)
{
    const cli_word words[] = {
        {.name = "--alloc-conf",
         .values = "what PYTORCH_CUDA_ALLOC_CONF would hold",
         .place = &args->alloc_conf},
        {.name = "--capacity", .values = "SIZE", .place = &args->capacity},
        {.name = "--gpu-used", .values = "SIZE", .place = &args->used},
        {.name = "--limit", .values = "SIZE", .place = &args->limit},
        {.name = "--json", .values = "FILE, - for standard output", .place = &args->json},
        {.name = "--tape", .values = "FILE", .place = &args->tape},
        {.name = "--strict", .flag = &args->is_strict},
        {.name = "--no-ranking", .flag = &args->wants_no_ranking},
    };
    *spec = (cli_words){.command = "replay",
                        .words = words,
                        .word_count = sizeof words / sizeof words[0],
                        .file_max = 1,
                        .what = "TRACE"};
    const bool is_well = cli_read_words(spec, argc, argv, err);
    spec->words = NULL;
    return is_well;
}

/* ---- what it asks for --------------------------------------------------------------------------- */

static bool read_size(const char *option, const char *text, vs_bytes *out, vs_err *err)
{
    if (text == NULL) {
        return true;
    }
    vs_err why = {0};
    if (!vs_parse_size(vs_str_of(text), out, &why) || *out == 0) {
        return vs_fail(err, VS_ERR_USAGE, "%s %s: expected a size such as 24GiB", option, text);
    }
    return true;
}

/* What the card has for others and for the CUDA context: as told, else the context of the card of that size. */
static bool read_context(cli *c, const replay_args *args, replay_run *run, vs_err *err)
{
    if (args->capacity == NULL) {
        return args->used == NULL ||
               vs_fail(err, VS_ERR_USAGE, "--gpu-used goes with --capacity");
    }
    vs_scenario scenario = {0};
    scenario.machine.gpus[0] = vs_str_of(args->capacity);
    scenario.machine.gpu_count = 1;
    vs_machine machine = {0};
    if (!cli_resolve_machine(c, &machine, &scenario, err)) {
        if (strcmp(err->input, "--gpu") == 0) { /* the option whose values --capacity takes */
            (void)snprintf(err->input, sizeof err->input, "--capacity");
        }
        return false;
    }
    run->desc.capacity_bytes = machine.gpus[0].total_bytes;
    run->desc.context_bytes = machine.gpus[0].context_bytes;
    run->is_context_assumed = args->used == NULL;
    return read_size("--gpu-used", args->used, &run->desc.context_bytes, err);
}

static bool read_options(cli *c, const replay_args *args, replay_run *run, vs_err *err)
{
    if (!read_context(c, args, run, err) ||
        !read_size("--limit", args->limit, &run->desc.limit_bytes, err)) {
        return false;
    }
    run->alloc_conf = args->alloc_conf;
    if (args->alloc_conf == NULL) {
        return true;
    }
    run->conf = vs_alloc_conf_default(VS_TORCH_NEWEST);
    run->desc.conf = &run->conf;
    if (!vs_alloc_conf_parse(&run->conf, vs_str_of(args->alloc_conf), err)) {
        vs_err_at_input(err, "--alloc-conf");
        return false;
    }
    return true;
}

static void show_progress(void *ctx, uint64_t read_bytes, uint64_t total_bytes)
{
    const char *const path = ctx;
    fprintf(stderr, "\r%s: %u %%", path,
            (unsigned)(total_bytes == 0 ? 100 : read_bytes * 100 / total_bytes));
    (void)fflush(stderr);
}

static void clear_progress(void)
{
    if (isatty(STDERR_FILENO) != 0) {
        fprintf(stderr, "\r\033[K");
    }
}

static bool read_trace(cli *c, const char *path, vs_recording *rec, vs_err *err)
{
    char *const shown = vs_str_copy(&c->inputs, vs_str_of(path));
    vs_read_desc desc = {.keep = &c->inputs, .scratch = &c->scratch, .ctx = shown};
    if (isatty(STDERR_FILENO) != 0 && shown != NULL) {
        desc.progress = show_progress;
    }
    vs_trace_format format = VS_TRACE_TAPE;
    bool is_well = vs_trace_detect(path, &format, err);
    if (is_well && format == VS_TRACE_TAPE) {
        is_well =
            vs_fail(err, VS_ERR_VALUE,
                    "this is a tape, which replay has nothing to hold against: its blocks "
                    "are our allocator's own; `vramscope view` shows it");
    }
    is_well = is_well && vs_recording_read(rec, path, &desc, err);
    if (!is_well) {
        vs_err_at_input(err, path);
    }
    clear_progress();
    return is_well;
}

/* ---- settings, by peak ------------------------------------------------------------------------------- */

static int by_peak(const replay_setting *a, const replay_setting *b)
{
    if (a->peak_reserved != b->peak_reserved) {
        return a->peak_reserved < b->peak_reserved ? -1 : 1;
    }
    return (a->order > b->order) - (a->order < b->order);
}

static void sort_settings(replay_run *run)
{
    for (uint32_t i = 1; i < run->setting_count; i++) {
        const replay_setting setting = run->settings[i];
        uint32_t at = i;
        for (; at > 0 && by_peak(&setting, &run->settings[at - 1]) < 0; at--) {
            run->settings[at] = run->settings[at - 1];
        }
        run->settings[at] = setting;
    }
}

#define NO_LIMIT (UINT64_C(1) << 50)

/* On a card without limit, so that every setting runs to the end; then on the recorded one. */
static bool run_setting(cli *c, replay_run *run, const char *text, vs_err *err)
{
    vs_alloc_conf conf = vs_alloc_conf_default(VS_TORCH_NEWEST);
    vs_replay_result result = {0};
    if (!vs_alloc_conf_parse(&conf, vs_str_of(text), err)) {
        return false;
    }
    vs_replay_desc desc = {
        .keep = &c->run, .scratch = &c->scratch, .conf = &conf, .capacity_bytes = NO_LIMIT};
    if (!vs_replay_run(&result, run->rec, &desc, err)) {
        return false;
    }
    replay_setting *setting = &run->settings[run->setting_count];
    *setting = (replay_setting){.alloc_conf = text, .order = run->setting_count, .fits = true};
    for (uint32_t i = 0; i < result.device_count; i++) {
        const vs_replay_device *d = &result.devices[i];
        setting->peak_reserved += d->peak_reserved_bytes;
        setting->peak_allocated += d->peak_allocated_bytes;
        setting->peak_unused += d->peak_unused_bytes;
    }
    run->setting_count++;
    desc.capacity_bytes = 0;
    if (!vs_replay_run(&result, run->rec, &desc, err)) {
        return false;
    }
    for (uint32_t i = 0; i < result.device_count; i++) {
        const vs_replay_device *d = &result.devices[i];
        run->has_room = run->has_room || d->room_bytes != 0;
        setting->fits = setting->fits && (!d->is_comparable || d->fits);
    }
    return true;
}

static bool rank_settings(cli *c, replay_run *run, vs_err *err)
{
    /* Those that people set to fight fragmentation (specs/torch-caching-allocator.md [11]). */
    static const char *const texts[] = {
        "",
        "expandable_segments:True",
        "max_split_size_mb:32",
        "max_split_size_mb:128",
        "max_split_size_mb:512",
        "roundup_power2_divisions:4",
        "roundup_power2_divisions:16",
        "expandable_segments:True,roundup_power2_divisions:16",
        "large_segment_size_mb:40",
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        vs_arena_reset(&c->run);
        if (!run_setting(c, run, texts[i], err)) {
            return false;
        }
    }
    sort_settings(run);
    return true;
}

/* ---- everything --------------------------------------------------------------------------------------- */

static bool write_tape(cli *c, replay_run *run, const char *path, vs_err *err)
{
    vs_timeline timeline = {0};
    vs_tape *tape = vs_tape_new(&c->run, &(vs_tape_desc){0});
    if (tape == NULL) {
        return vs_fail_memory(err, &c->run, "the tape");
    }
    vs_replay_desc desc = run->desc;
    desc.keep = &c->inputs;
    desc.scratch = &c->scratch;
    desc.tape = tape;
    vs_tape_set_meta(tape, "source", run->path);
    vs_tape_set_meta(tape, "format", vs_trace_format_key(run->rec->format));
    return vs_replay_run(&run->result, run->rec, &desc, err) &&
           vs_tape_seal(tape, &timeline, err) && vs_timeline_write(&timeline, path, err);
}

static bool run_replay(cli *c, const replay_args *args, replay_run *run, vs_err *err)
{
    vs_recording rec = {0};
    if (!read_options(c, args, run, err) || !read_trace(c, run->path, &rec, err)) {
        return false;
    }
    vs_recording *kept = VS_NEW(&c->inputs, vs_recording);
    if (kept == NULL) {
        return vs_fail_memory(err, &c->inputs, "the recording");
    }
    *kept = rec;
    run->rec = kept;
    run->desc.keep = &c->inputs;
    run->desc.scratch = &c->scratch;
    const bool is_what_if = run->desc.conf != NULL || run->desc.capacity_bytes != 0;
    const bool is_done = args->tape != NULL
                             ? write_tape(c, run, args->tape, err)
                             : vs_replay_run(&run->result, kept, &run->desc, err);
    if (!is_done) {
        return false;
    }
    const bool can_rank =
        run->result.verdict == VS_REPLAY_IDENTICAL || run->result.verdict == VS_REPLAY_DIFFERS;
    return is_what_if || args->wants_no_ranking || !can_rank || rank_settings(c, run, err);
}

static bool write_results(const replay_args *args, const replay_run *run, vs_err *err)
{
    if (args->json != NULL) {
        vs_outfile *const out = vs_outfile_open(args->json, err);
        if (out == NULL) {
            return false;
        }
        vs_jwriter w = vs_jwriter_of(out, false);
        replay_json(&w, run);
        if (!vs_outfile_commit(out, err)) {
            return false;
        }
        if (strcmp(args->json, "-") == 0) {
            return true;
        }
    }
    vs_outfile *const out = vs_outfile_open("-", err);
    if (out == NULL) {
        return false;
    }
    replay_text(out, run);
    return vs_outfile_commit(out, err);
}

int cmd_replay(cli *c, int argc, char **argv)
{
    cli_words spec = {0};
    replay_args args = {0};
    vs_err err = {0};
    if (!parse(&spec, &args, argc, argv, &err)) {
        return cli_error(&err);
    }
    if (spec.wants_help) {
        return cmd_help(c, 1, (char *[]){(char[]){"replay"}});
    }
    replay_run *run = VS_NEW(&c->inputs, replay_run);
    if (run == NULL) {
        (void)vs_fail_memory(&err, &c->inputs, "the replay");
        return cli_error(&err);
    }
    run->path = spec.files[0];
    if (!run_replay(c, &args, run, &err) || !write_results(&args, run, &err)) {
        return cli_error(&err);
    }
    return args.is_strict && run->result.verdict == VS_REPLAY_DIFFERS ? EXIT_DIFFERS : EXIT_OK;
}
