/* main.c - picks the command. */
#include "cli.h"

#include <stdio.h>
#include <string.h>

/* Address space, not memory: pages are committed as they are touched. */
#define INPUT_ARENA_BYTES   ((size_t)16 << 30)
#define RUN_ARENA_BYTES     ((size_t)32 << 30)
#define SCRATCH_ARENA_BYTES ((size_t)16 << 30)

typedef struct {
    const char *name;
    cli_command run;
} command_entry;

static const command_entry commands[] = {
    {"sim", cmd_sim},         {"compare", cmd_compare},     {"inspect", cmd_inspect},
    {"mkmodel", cmd_mkmodel}, {"scorecard", cmd_scorecard}, {"replay", cmd_replay},
    {"check", cmd_check},     {"convert", cmd_convert},     {"calibrate", cmd_calibrate},
    {"list", cmd_list},       {"view", cmd_view},           {"help", cmd_help}};

/* In the contract, in later versions. */
static const char *const planned[] = {"plan", "record", "probe"};

const char *const *cli_command_names(size_t *out_count)
{
    static const char *const names[] = {"sim",       "compare", "inspect", "mkmodel",
                                        "replay",    "check",   "convert", "calibrate",
                                        "scorecard", "list",    "view",    "help"};
    *out_count = sizeof names / sizeof names[0];
    return names;
}

bool cli_is_planned(const char *command)
{
    for (size_t i = 0; i < sizeof planned / sizeof planned[0]; i++) {
        if (strcmp(planned[i], command) == 0) {
            return true;
        }
    }
    return false;
}

static int unknown_command(const char *name)
{
    vs_err err = {0};
    size_t count = 0;
    const char *const *names = cli_command_names(&count);
    const char *near = vs_nearest(vs_str_of(name), names, count);
    if (cli_is_planned(name)) {
        (void)vs_fail(&err, VS_ERR_USAGE,
                      "%s: not in this version yet; `vramscope help` lists what is", name);
    } else if (near != NULL) {
        (void)vs_fail(&err, VS_ERR_USAGE, "%s: no such command; did you mean `%s`?", name,
                      near);
    } else {
        (void)vs_fail(&err, VS_ERR_USAGE, "%s: no such command; `vramscope help` lists them",
                      name);
    }
    return cli_error(&err);
}

static bool open_arenas(cli *c, vs_err *err)
{
    return vs_arena_open(&c->inputs, INPUT_ARENA_BYTES, err) &&
           vs_arena_open(&c->run, RUN_ARENA_BYTES, err) &&
           vs_arena_open(&c->scratch, SCRATCH_ARENA_BYTES, err);
}

static int run_command(const command_entry *entry, int argc, char **argv)
{
    cli c = {.program = argv[0], .command = entry->name};
    vs_err err = {0};
    int status = EXIT_ERROR;
    if (open_arenas(&c, &err)) {
        status = entry->run(&c, argc - 2, argv + 2);
    } else {
        status = cli_error(&err);
    }
    vs_arena_close(&c.inputs);
    vs_arena_close(&c.run);
    vs_arena_close(&c.scratch);
    return status;
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        fprintf(stderr, "usage: vramscope COMMAND ... (try: vramscope sim llama-2-7b --gpu "
                        "rtx-4090, or vramscope help)\n");
        return EXIT_USAGE;
    }
    const char *name = argv[1];
    if (strcmp(name, "--version") == 0) {
        printf("vramscope %s\n", VS_VERSION);
        return EXIT_OK;
    }
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0) {
        name = "help";
    }
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        if (strcmp(commands[i].name, name) == 0) {
            return run_command(&commands[i], argc, argv);
        }
    }
    return unknown_command(name);
}
