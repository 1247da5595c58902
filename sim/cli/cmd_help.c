/* cmd_help.c - `vramscope help` and --help, made from the table of options, and the man page (help --man). */
#include "cli.h"

#include <stdio.h>
#include <string.h>

typedef struct {
    const char *name;
    const char *usage;
    const char *what;
    const char *examples; /* one a line */
    bool has_settings;    /* takes the options of the table */
} command_help;

static const command_help helps[] = {
    {"sim", "vramscope sim MODEL [options]",
     "Simulates one load: does it fit, how high does it go, when, why and on which tensor it "
     "runs out of memory, and "
     "what would fit instead.",
     "vramscope sim llama-2-7b --gpu rtx-4090 --dtype bf16\n"
     "vramscope sim ~/models/my-mixtral --gpu 24GiB --quant bnb-nf4 --png load.png\n"
     "vramscope sim config.json --gpu t4:14909MiB --gpu-used 1.5GiB --json -\n",
     true},
    {"compare", "vramscope compare MODEL [options] --vary KEY=V1,V2[,...] [--vary ...]",
     "Simulates every combination of the varied settings, one row each.",
     "vramscope compare llama-2-7b --vary dtype=fp32,bf16 --vary gpu=rtx-4090,a100-40gb-sxm\n"
     "vramscope compare mixtral-8x7b --quant bnb-nf4-dq --quant-experts axolotl --no-warmup "
     "--gpu 48GiB --vary "
     "async=on,off --png both.png\n",
     true},
    {"inspect", "vramscope inspect MODEL [--tensors] [--json FILE]",
     "Parameters, tensors, bytes by dtype, largest layer, tied weights, memory to train with "
     "Adam. Headers only: no "
     "weight is read.",
     "vramscope inspect mixtral-8x7b\n"
     "vramscope inspect ~/models/my-model --tensors --json -\n",
     false},
    {"mkmodel",
     "vramscope mkmodel MODEL -o DIR [--format safetensors|gguf] [--layers N] [--force] "
     "[--json FILE]",
     "Writes a model of any size in a few KB: a checkpoint folder with true headers, holes for "
     "data, and config.json. --layers N keeps the first N layers; --force replaces files that "
     "hold no data.",
     "vramscope mkmodel llama-3.1-405b -o big\n"
     "vramscope mkmodel mixtral-8x7b -o small --layers 2\n"
     "vramscope mkmodel path/to/config.json -o d && vramscope sim d --gpu 24GiB\n",
     false},
    {"scorecard",
     "vramscope scorecard [FACTS.json ...] [--filter TEXT] [--sources] [--json FILE]",
     "Predictions beside published measurements: every figure shipped with the program, misses "
     "included, what is not in reach yet listed as such, medians last. With FACTS.json, "
     "measurements "
     "of your own instead. Exit status 1 when a row could not be simulated.",
     "vramscope scorecard\n"
     "vramscope scorecard --filter serverless --sources\n"
     "vramscope scorecard my-measurements.json --json -\n",
     false},
    {"replay",
     "vramscope replay TRACE [--alloc-conf STR] [--capacity SIZE|GPU] [--gpu-used SIZE] "
     "[--limit SIZE] "
     "[--strict] [--tape FILE] [--json FILE] [--no-ranking]",
     "Runs the recorded requests of a PyTorch memory snapshot through our allocator and "
     "compares every address, every "
     "segment and every total with the recording; then ranks allocator settings by the peak "
     "they would have had. With "
     "--alloc-conf or --capacity: what would have happened under these options, or on a card "
     "of that size. --limit tells "
     "what set_per_process_memory_fraction allowed, which no recording holds; --gpu-used what "
     "of --capacity is not "
     "PyTorch's. --strict: exit status 4 when anything differs.",
     "vramscope replay snapshot.pickle\n"
     "vramscope replay snapshot.pickle --alloc-conf expandable_segments:True\n"
     "vramscope replay oom.pickle.gz --capacity 32GiB --json -\n",
     false},
    {"convert", "vramscope convert IN -o OUT [--to tape|perfetto|csv|snapshot]",
     "Writes a tape or any recording (PyTorch snapshot, profiler trace, Nsight export, RMM "
     "log, "
     "nvidia-smi samples) as a tape, a Chrome trace for Perfetto, CSV, or a PyTorch memory "
     "snapshot, which torch.cuda._memory_viz and pytorch.org/memory_viz open. The ending of "
     "OUT "
     "says which (.tape .json .csv .pickle), or --to; OUT - is standard output. What the "
     "format "
     "has no place for is said; a snapshot holds the whole tape and gives it back byte for "
     "byte.",
     "vramscope convert run.tape -o run.json\n"
     "vramscope convert oom.pickle.gz -o oom.tape && vramscope view oom.tape\n"
     "vramscope convert run.tape -o - --to csv | head\n",
     false},
    {"calibrate", "vramscope calibrate TRACE... [-o HOST.json] [--gpu NAME] [--json FILE]",
     "What recordings tell about a machine: rates of link, disk, casts and quantiser, times of "
     "allocations, size of the CUDA context, each with its uncertainty, from how many "
     "observations and from which file; and what they do not tell, with the recording that "
     "would. TRACE: Nsight Systems exports, recorder files, snapshots, and of the capture kit "
     "results.json and loader.csv. HOST.json is for --host of every command; --gpu writes the "
     "card under the catalogue's name.",
     "vramscope calibrate report.sqlite -o HOST.json\n"
     "vramscope calibrate results.json moe.loader.csv.gz --gpu h100-sxm -o HOST.json\n"
     "vramscope sim llama-2-7b --host HOST.json\n",
     false},
    {"check",
     "vramscope check TRACE --against SCENARIO.json [--axis time|stretched|event|share] "
     "[--align first|start|oom] [--metric reserved|allocated|used] [--gpu-index N] "
     "[--tolerance P%] [--strict] [--json FILE] [--png FILE] [--svg FILE]",
     "Holds a prediction against a recording: peak, final, load time, verdict, and the two "
     "curves "
     "by time, by stretched time (each load's own), by allocation and by bytes loaded; names "
     "the "
     "largest disagreement and what was alive in each. SCENARIO.json is what `sim MODEL ... "
     "--print-scenario` writes; another recording or tape will do too. Zero of the time axis "
     "is "
     "the first allocation; --align start takes the start of each file, oom the moment of "
     "running "
     "out of memory. --strict: exit status 4 when the peaks of the compared figure are further "
     "apart than --tolerance (a share of the recorded peak; none allowed unless given), when "
     "the "
     "verdicts differ, or when nothing can be compared.",
     "vramscope sim mixtral-8x7b --gpu 48GiB --print-scenario > plan.json\n"
     "vramscope check snapshot.pickle --against plan.json --png check.png\n"
     "vramscope check snapshot.pickle --against plan.json --strict --tolerance 2% --json -\n",
     false},
    {"list", "vramscope list models|families|gpus|hosts|disks|loaders|quants [--json FILE]",
     "The catalogues.",
     "vramscope list models\n"
     "vramscope list gpus --json -\n",
     false},
    {"view", "vramscope view [FILE ...] [--scenario FILE.json] [--compare] [--shot OUT.png]",
     "Opens the window on recorded or simulated runs (? in the window lists its keys), or "
     "draws a picture without a display. FILE is a tape or any recording, told by its content. "
     "--compare draws two of them in one frame.",
     "vramscope view run.tape\n"
     "vramscope view snapshot.pickle\n"
     "vramscope view async.tape sequential.tape --shot both.png\n",
     false},
    {"help", "vramscope help [COMMAND]", "This text, or a command's.",
     "vramscope help compare\n", false},
};

static const command_help *find_help(const char *command)
{
    for (size_t i = 0; i < sizeof helps / sizeof helps[0]; i++) {
        if (strcmp(helps[i].name, command) == 0) {
            return &helps[i];
        }
    }
    return NULL;
}

void cli_wrapped(vs_outfile *out, const char *text, size_t indent, size_t column)
{
    bool is_first = true;
    while (*text != '\0') {
        const size_t len = strcspn(text, " ");
        if (!is_first && column + 1 + len > 100) {
            vs_outfile_printf(out, "\n%*s", (int)indent, "");
            column = indent;
            is_first = true;
        }
        vs_outfile_printf(out, "%s%.*s", is_first ? "" : " ", (int)len, text);
        column += len + (is_first ? 0 : 1);
        is_first = false;
        text += len;
        text += strspn(text, " ");
    }
    vs_outfile_printf(out, "\n");
}

static void option_row(vs_outfile *out, const vs_option *option)
{
    char left[96];
    int n = 0;
    if (option->kind == VS_OPT_VALUE) {
        n = snprintf(left, sizeof left, "  --%s %s", option->key, option->values);
    } else {
        n = snprintf(left, sizeof left, "  --%s%s%s", option->key,
                     option->has_negation ? ", --no-" : "",
                     option->has_negation ? option->key : "");
    }
    vs_outfile_printf(out, "%s", left);
    if (n < 0 || n > 28) {
        vs_outfile_printf(out, "\n%*s", 30, "");
    } else {
        vs_outfile_printf(out, "%*s", 30 - n, "");
    }
    cli_wrapped(out, option->help, 30, 30);
}

static void option_rows(vs_outfile *out)
{
    size_t count = 0;
    const vs_option *options = vs_options(&count);
    for (size_t i = 0; i < count; i++) {
        if (!options[i].is_planned) {
            option_row(out, &options[i]);
        }
    }
    vs_outfile_printf(out, "\nNot in this version yet:");
    for (size_t i = 0; i < count; i++) {
        if (options[i].is_planned) {
            vs_outfile_printf(out, " --%s", options[i].key);
        }
    }
    vs_outfile_printf(out, "\n");
}

void cli_help_command(vs_outfile *out, const char *command)
{
    const command_help *help = find_help(command);
    if (help == NULL) {
        return;
    }
    vs_outfile_printf(out, "usage: %s\n\n", help->usage);
    cli_wrapped(out, help->what, 0, 0);
    if (help->has_settings) {
        vs_outfile_printf(out,
                          "\nMODEL: a catalogue name, a folder (config.json and/or "
                          "safetensors, .bin or GGUF files;\nhub cache), a config.json, a "
                          ".safetensors, .bin or .gguf file, or the .index.json of shards.\n"
                          "Sizes: 24GiB, 1.5GB, 512MiB; a bare number is bytes.\n\nOptions:\n");
        option_rows(out);
        vs_outfile_printf(
            out,
            "\nExit status: 0 done, 1 error, 2 usage, 3 out of memory with --fail-on-oom.\n");
    }
    vs_outfile_printf(out, "\nExamples:\n");
    for (const char *line = help->examples; *line != '\0';) {
        const size_t len = strcspn(line, "\n");
        vs_outfile_printf(out, "  %.*s\n", (int)len, line);
        line += len + (line[len] == '\n');
    }
}

void cli_help_overview(vs_outfile *out)
{
    vs_outfile_printf(
        out, "vramscope %s: what loading a large model does to a GPU's memory, simulated.\n\n",
        VS_VERSION);
    for (size_t i = 0; i < sizeof helps / sizeof helps[0]; i++) {
        vs_outfile_printf(out, "  %-10s ", helps[i].name);
        cli_wrapped(out, helps[i].what, 13, 13);
    }
    vs_outfile_printf(
        out, "\n`vramscope help COMMAND` shows its options. First steps:\n"
             "  vramscope sim llama-2-7b --gpu rtx-4090\n"
             "  vramscope compare mixtral-8x7b --gpu h100-sxm --vary quant=none,bnb-nf4-dq\n");
}

/* The man page, in man(7) macros, from the same tables. */
static void man_page(vs_outfile *out)
{
    size_t count = 0;
    const vs_option *options = vs_options(&count);
    vs_outfile_printf(out,
                      ".TH VRAMSCOPE 1 \"\" \"vramscope %s\"\n.SH NAME\nvramscope \\- simulate "
                      "what loading a large "
                      "model does to GPU memory\n.SH SYNOPSIS\n",
                      VS_VERSION);
    for (size_t i = 0; i < sizeof helps / sizeof helps[0]; i++) {
        vs_outfile_printf(out, ".B %s\n.br\n", helps[i].usage);
    }
    vs_outfile_printf(out, ".SH COMMANDS\n");
    for (size_t i = 0; i < sizeof helps / sizeof helps[0]; i++) {
        vs_outfile_printf(out, ".TP\n.B %s\n%s\n", helps[i].name, helps[i].what);
    }
    vs_outfile_printf(out, ".SH OPTIONS\n");
    for (size_t i = 0; i < count; i++) {
        if (!options[i].is_planned) {
            vs_outfile_printf(out, ".TP\n.BR \\-\\-%s \" %s\"\n%s\n", options[i].key,
                              options[i].kind == VS_OPT_VALUE ? options[i].values : "",
                              options[i].help);
        }
    }
    vs_outfile_printf(
        out,
        ".SH EXIT STATUS\n0 done, 1 error, 2 usage, 3 out of memory with \\-\\-fail-on-oom.\n"
        ".SH EXAMPLES\n.nf\n");
    for (size_t i = 0; i < sizeof helps / sizeof helps[0]; i++) {
        vs_outfile_printf(out, "%s", helps[i].examples);
    }
    vs_outfile_printf(out, ".fi\n");
}

int cmd_help(cli *c, int argc, char **argv)
{
    (void)c;
    vs_err err = {0};
    if (argc > 0 && strcmp(argv[0], "--man") != 0 && find_help(argv[0]) == NULL) {
        (void)vs_fail(&err, VS_ERR_USAGE, "help %s: %s", argv[0],
                      cli_is_planned(argv[0]) ? "not in this version yet"
                                              : "no such command; `vramscope help` lists them");
        return cli_error(&err);
    }
    vs_outfile *out = vs_outfile_open("-", &err);
    if (out == NULL) {
        return cli_error(&err);
    }
    if (argc == 0) {
        cli_help_overview(out);
    } else if (strcmp(argv[0], "--man") == 0) {
        man_page(out);
    } else {
        cli_help_command(out, argv[0]);
    }
    return vs_outfile_commit(out, &err) ? EXIT_OK : cli_error(&err);
}
