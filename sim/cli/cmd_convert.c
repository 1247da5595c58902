/* cmd_convert.c - `vramscope convert`: a run or a recording in another format.
 *
 * IN is anything that vs_trace_open knows, told by its content. What a format has no place for is said on standard
 * error, in one line; a snapshot loses nothing, as the tape stands in it. */
#include "words.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

typedef struct {
    const char *key;
    const char *label;
    const char *endings[3];
    const char *lost; /* of a tape, NULL: nothing */
} target;

enum { TO_TAPE, TO_PERFETTO, TO_CSV, TO_SNAPSHOT, TARGET_COUNT };

static const target targets[TARGET_COUNT] = {
    [TO_TAPE] = {"tape", "a vramscope tape", {".tape"}, NULL},
    [TO_PERFETTO] = {"perfetto",
                     "a Chrome trace",
                     {".json"},
                     "single blocks (their addresses, requests, streams and lives) and the "
                     "segments they lay in"},
    [TO_CSV] =
        {"csv",
         "a CSV table of events",
         {".csv"},
         "work on lanes (copies, kernels), streams, capacities of memories and facts about "
         "the run"},
    [TO_SNAPSHOT] = {"snapshot", "a PyTorch memory snapshot", {".pickle", ".pkl"}, NULL},
};

typedef struct {
    const char *in;
    const char *out;
    const char *to;
    uint32_t target;
} convert_args;

/* ---- the command line -------------------------------------------------------------------- */

static bool target_by_key(const char *key, uint32_t *out, vs_err *err)
{
    const char *keys[TARGET_COUNT];
    for (uint32_t i = 0; i < TARGET_COUNT; i++) {
        keys[i] = targets[i].key;
        if (strcmp(key, keys[i]) == 0) {
            *out = i;
            return true;
        }
    }
    const char *near = vs_nearest(vs_str_of(key), keys, TARGET_COUNT);
    if (near != NULL) {
        return vs_fail(err, VS_ERR_USAGE, "--to %s: no such format; did you mean %s?", key,
                       near);
    }
    return vs_fail(err, VS_ERR_USAGE, "--to %s: expected tape, perfetto, csv or snapshot", key);
}

static bool target_by_ending(const char *path, uint32_t *out, vs_err *err)
{
    for (uint32_t i = 0; i < TARGET_COUNT; i++) {
        for (size_t j = 0; j < sizeof targets[i].endings / sizeof *targets[i].endings; j++) {
            if (targets[i].endings[j] != NULL &&
                vs_str_ends(vs_str_of(path), targets[i].endings[j])) {
                *out = i;
                return true;
            }
        }
    }
    if (vs_str_ends(vs_str_of(path), ".gz")) {
        return vs_fail(err, VS_ERR_USAGE,
                       "%s: convert does not compress; leave .gz out and pack the file "
                       "afterwards (every reader takes it packed too)",
                       path);
    }
    return vs_fail(
        err, VS_ERR_USAGE,
        "%s: which format? Give --to tape, perfetto, csv or snapshot, or a name that "
        "ends in .tape, .json, .csv or .pickle",
        path);
}

static bool parse(cli_words *spec, convert_args *args, int argc, char **argv, vs_err *err)
{
    const cli_word words[] = {
        {.name = "-o", .values = "FILE or -", .place = &args->out},
        {.name = "--to", .values = "tape, perfetto, csv or snapshot", .place = &args->to},
    };
    *spec = (cli_words){.command = "convert",
                        .words = words,
                        .word_count = sizeof words / sizeof words[0],
                        .file_max = 1,
                        .what = "IN"};
    const bool is_read = cli_read_words(spec, argc, argv, err);
    spec->words = NULL; /* they end here */
    if (!is_read || spec->wants_help) {
        return is_read;
    }
    args->in = spec->files[0];
    if (args->out == NULL) {
        return vs_fail(err, VS_ERR_USAGE,
                       "convert: where to? -o FILE, as in `vramscope convert %s -o out.json`",
                       args->in);
    }
    return args->to != NULL ? target_by_key(args->to, &args->target, err)
                            : target_by_ending(args->out, &args->target, err);
}

/* By what they are, not by their names. */
static bool is_same_file(const char *a, const char *b)
{
    struct stat one;
    struct stat other;
    return stat(a, &one) == 0 && stat(b, &other) == 0 && one.st_dev == other.st_dev &&
           one.st_ino == other.st_ino;
}

/* ---- converting ----------------------------------------------------------------------------- */

static bool write_target(cli *c, const convert_args *args, const vs_timeline *timeline,
                         vs_err *err)
{
    switch (args->target) {
    case TO_TAPE: return vs_timeline_write(timeline, args->out, err);
    case TO_PERFETTO: return vs_trace_write_perfetto(timeline, args->out, err);
    case TO_CSV: return vs_trace_write_csv(timeline, args->out, err);
    default: return vs_trace_write_snapshot(timeline, args->out, &c->scratch, err);
    }
}

static void tell_lost(const convert_args *args, const vs_opened_trace *opened)
{
    const char *lost = targets[args->target].lost;
    /* a tape that was made from a recording just now says so */
    const char *source = vs_timeline_meta(&opened->timeline, "source");
    const bool is_new =
        opened->format == VS_TRACE_SNAPSHOT && source != NULL && strcmp(source, args->in) == 0;
    const char *stacks =
        is_new ? "the frames of stacks but the one that names a block, nor for annotations"
               : NULL;
    if (lost != NULL || stacks != NULL) {
        fprintf(stderr, "vramscope: %s has no place for %s%s%s\n", targets[args->target].label,
                lost != NULL ? lost : "", lost != NULL && stacks != NULL ? ", nor for " : "",
                stacks != NULL ? stacks : "");
    }
}

/* PyTorch's viewers know allocations on cards only. */
static void tell_empty(const convert_args *args, const vs_timeline *tl)
{
    for (uint32_t i = 0; i < tl->event_count; i++) {
        if (tl->event_kind[i] == VS_EV_ALLOC &&
            tl->devices[tl->event_device[i]].kind == VS_DEVICE_GPU) {
            return;
        }
    }
    if (args->target == TO_SNAPSHOT) {
        fprintf(
            stderr,
            "vramscope: nothing was allocated on a card, so PyTorch's viewers have nothing to "
            "show; vramscope reads the whole run back\n");
    }
}

static bool tell_done(const convert_args *args, const vs_timeline *timeline, vs_err *err)
{
    if (strcmp(args->out, "-") == 0) {
        return true;
    }
    vs_outfile *out = vs_outfile_open("-", err);
    if (out == NULL) {
        return false;
    }
    vs_outfile_printf(out,
                      "%s: %s, made from %" PRIu32 " event%s and %" PRIu64 " span%s of %" PRIu32
                      " memor%s\n",
                      args->out, targets[args->target].label, timeline->event_count,
                      timeline->event_count == 1 ? "" : "s", timeline->span_count,
                      timeline->span_count == 1 ? "" : "s", timeline->device_count,
                      timeline->device_count == 1 ? "y" : "ies");
    return vs_outfile_commit(out, err);
}

static bool convert(cli *c, const convert_args *args, vs_err *err)
{
    vs_opened_trace opened = {0};
    const vs_read_desc desc = {.keep = &c->inputs, .scratch = &c->scratch};
    if (is_same_file(args->in, args->out)) {
        return vs_fail(err, VS_ERR_USAGE,
                       "%s: that is the file to read; give the result another name", args->out);
    }
    if (!vs_trace_open(&opened, args->in, &desc, err)) {
        return false;
    }
    for (uint32_t i = 0; i < opened.note_count; i++) {
        fprintf(stderr, "vramscope: note: %s\n", opened.notes[i]);
    }
    const bool is_written = write_target(c, args, &opened.timeline, err);
    if (is_written) {
        tell_lost(args, &opened);
        tell_empty(args, &opened.timeline);
    }
    const bool is_done = is_written && tell_done(args, &opened.timeline, err);
    vs_timeline_close(&opened.timeline);
    return is_done;
}

int cmd_convert(cli *c, int argc, char **argv)
{
    cli_words spec = {0};
    convert_args args = {0};
    vs_err err = {0};
    if (!parse(&spec, &args, argc, argv, &err)) {
        return cli_error(&err);
    }
    if (spec.wants_help) {
        return cmd_help(c, 1, (char *[]){(char[]){"convert"}});
    }
    return convert(c, &args, &err) ? EXIT_OK : cli_error(&err);
}
