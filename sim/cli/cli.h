/* cli/cli.h - the command line: the only code of sim/ that prints and that chooses an exit status.
 *
 * Exit status (CONTRACT.md): 0 the command did its work, 1 error, 2 usage, 3 out of memory and --fail-on-oom, 4 a
 * difference and --strict. */
#ifndef VS_CLI_CLI_H
#define VS_CLI_CLI_H

#include "vramscope/vramscope.h"

enum { EXIT_OK = 0, EXIT_ERROR = 1, EXIT_USAGE = 2, EXIT_OOM = 3, EXIT_DIFFERS = 4 };

#define CLI_VARY_MAX   8
#define CLI_VALUES_MAX 64

/* One --vary: the option and the values it takes. */
typedef struct {
    const vs_option *option;
    vs_str values[CLI_VALUES_MAX];
    uint32_t count;
} cli_vary;

/* A parsed command line of sim, compare and inspect. */
typedef struct {
    vs_scenario scenario;
    const char *json, *tape, *trace, *csv, *snapshot, *png, *svg; /* NULL: not asked for */
    bool print_scenario;
    bool is_quiet; /* an output goes to stdout: nothing else does */
    bool tensors;  /* inspect --tensors */
    bool fail_on_oom;
    bool wants_help;
    const char *setting; /* the first setting of the command line, NULL: none */
    cli_vary varies[CLI_VARY_MAX];
    uint32_t vary_count;
} cli_args;

/* What every command gets. Arenas: inputs live as long as the process; a run's is reset before each run. */
typedef struct {
    vs_arena inputs;
    vs_arena run;
    vs_arena scratch;
    const char *program; /* argv[0] */
    const char *command;
} cli;

typedef int (*cli_command)(cli *c, int argc, char **argv);

/* args.c */
VS_MUST_CHECK bool cli_parse(cli *c, cli_args *args, int argc, char **argv, vs_err *err);
/* Prints `vramscope: ...` in one line to stderr and returns the exit status that fits the error. */
int cli_error(const vs_err *err);

/* commands */
int cmd_sim(cli *c, int argc, char **argv);
int cmd_compare(cli *c, int argc, char **argv);
int cmd_inspect(cli *c, int argc, char **argv);
int cmd_mkmodel(cli *c, int argc, char **argv);
int cmd_scorecard(cli *c, int argc, char **argv);
int cmd_convert(cli *c, int argc, char **argv);
int cmd_list(cli *c, int argc, char **argv);
int cmd_help(cli *c, int argc, char **argv);
int cmd_view(cli *c, int argc, char **argv);
int cmd_check(cli *c, int argc, char **argv);
int cmd_replay(cli *c, int argc, char **argv);
int cmd_calibrate(cli *c, int argc, char **argv);

/* help.c */
void cli_help_command(vs_outfile *out, const char *command); /* one command, with examples */
void cli_help_overview(vs_outfile *out);
/* Words of text in lines of at most 100 columns, the first beginning at column, the others indented. */
void cli_wrapped(vs_outfile *out, const char *text, size_t indent, size_t column);
const char *const *cli_command_names(size_t *out_count); /* those of this version */
bool cli_is_planned(const char *command);

/* simulate.c: reading the inputs and running one scenario */
typedef struct {
    vs_model model;
    vs_machine machine;
} cli_inputs;

VS_MUST_CHECK bool cli_read_model(cli *c, vs_model *model, const char *spec, vs_err *err);
VS_MUST_CHECK bool cli_resolve_machine(cli *c, vs_machine *machine, const vs_scenario *scenario,
                                       vs_err *err);
const char *cli_overlay_dir(cli *c);
/* A copy of the scenario with every "auto" replaced by what the run decided. */
vs_scenario cli_resolved(const vs_scenario *scenario, const vs_run_result *result);

/* report.c, report_json.c */
typedef struct {
    const vs_model *model;
    const vs_scenario *scenario; /* resolved */
    const vs_run_result *result;
    const vs_timeline *timeline;
    const vs_fix *fixes;
    uint32_t fix_count;
} cli_run;

void cli_report_text(vs_outfile *out, const cli_run *run, bool is_utf8);
void cli_report_json(vs_jwriter *w, const char *key, const cli_run *run);

/* outputs.c */
VS_MUST_CHECK bool cli_write_files(cli *c, const cli_args *args, const vs_timeline *timeline,
                                   vs_err *err);

/* A picture of tapes, made by running vramscope-view --shot. */
typedef struct {
    const char *path;
    const char *const *options; /* words before the tapes, each an option or its value */
    uint32_t option_count;
    const char *const *tapes;
    uint32_t tape_count;
} cli_picture;

VS_MUST_CHECK bool cli_draw(cli *c, const cli_picture *picture, vs_err *err);
/* Path of vramscope-view: beside this program, else the bare name. */
VS_MUST_CHECK bool cli_viewer_path(char *buf, size_t buf_bytes);
bool cli_is_utf8(void);
/* A name for a tape that lives as long as a picture takes to draw, in TMPDIR or /tmp. NULL: arena exhausted. */
VS_MUST_CHECK const char *cli_temporary_tape(cli *c, uint32_t number);

#endif /* VS_CLI_CLI_H */
