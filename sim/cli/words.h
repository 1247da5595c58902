/* cli/words.h - the command line of commands that take none of the settings of a run: a few options of their own. */
#ifndef VS_CLI_WORDS_H
#define VS_CLI_WORDS_H

#include "cli.h"

/* One option: exactly one of place and flag. `--name VALUE`, `--name=VALUE`, or for one letter `-o VALUE`. */
typedef struct {
    const char *name;   /* with its dashes */
    const char *values; /* what may follow, for the message */
    const char **place;
    bool *flag;
} cli_word;

#define CLI_FILES_MAX 64u

typedef struct {
    const char *command;
    const cli_word *words;
    size_t word_count;
    uint32_t file_max; /* positional words that are taken, at most CLI_FILES_MAX */
    const char *what;  /* what they are, for messages: "TRACE" */
    bool may_be_none;  /* no positional word is fine */
    /* filled in */
    const char *files[CLI_FILES_MAX];
    uint32_t file_count;
    bool wants_help; /* --help or -h */
} cli_words;

/* Unknown options, options given twice and words too many are errors that say what would be right. */
VS_MUST_CHECK bool cli_read_words(cli_words *spec, int argc, char **argv, vs_err *err);

#endif /* VS_CLI_WORDS_H */
