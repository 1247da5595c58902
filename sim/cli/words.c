/* words.c - see words.h. */
#include "words.h"

#include <string.h>

static bool unknown_word(const cli_words *spec, const char *word, vs_err *err)
{
    const char *names[32];
    size_t count = 0;
    for (; count < spec->word_count && count < sizeof names / sizeof names[0]; count++) {
        names[count] = spec->words[count].name;
    }
    const char *const near = vs_nearest(vs_str_of(word), names, count);
    if (near != NULL) {
        return vs_fail(err, VS_ERR_USAGE, "%s: %s has no such option; did you mean %s?", word,
                       spec->command, near);
    }
    return vs_fail(err, VS_ERR_USAGE,
                   "%s: %s has no such option; `vramscope help %s` lists them", word,
                   spec->command, spec->command);
}

/* Is it this option? *value: what follows its `=`, else NULL. */
static bool is_option(const char *word, const char *name, const char **value)
{
    const size_t len = strlen(name);
    if (strncmp(word, name, len) != 0 || (word[len] != '\0' && word[len] != '=')) {
        return false;
    }
    *value = word[len] == '=' ? word + len + 1 : NULL;
    return word[len] == '\0' || name[1] == '-';
}

static bool take_option(const cli_word *option, const char *inline_value, int argc, char **argv,
                        int *pos, vs_err *err)
{
    if (option->flag != NULL) {
        *option->flag = true;
        return inline_value == NULL ||
               vs_fail(err, VS_ERR_USAGE, "%s takes no value", option->name);
    }
    if (*option->place != NULL) {
        return vs_fail(err, VS_ERR_USAGE, "%s: given twice", option->name);
    }
    if (inline_value == NULL && *pos + 1 >= argc) {
        return vs_fail(err, VS_ERR_USAGE, "%s: a value is missing: %s", option->name,
                       option->values);
    }
    *option->place = inline_value != NULL ? inline_value : argv[++*pos];
    return true;
}

static bool take_file(cli_words *spec, const char *word, vs_err *err)
{
    if (spec->file_count == spec->file_max || spec->file_count == CLI_FILES_MAX) {
        return spec->file_max == 1
                   ? vs_fail(err, VS_ERR_USAGE, "%s: one %s at a time (%s was given already)",
                             word, spec->what, spec->files[0])
                   : vs_fail(err, VS_ERR_USAGE, "%s: at most %u %s at a time", word,
                             spec->file_max, spec->what);
    }
    spec->files[spec->file_count++] = word;
    return true;
}

bool cli_read_words(cli_words *spec, int argc, char **argv, vs_err *err)
{
    bool only_files = false;
    for (int pos = 0; pos < argc; pos++) {
        const char *const word = argv[pos];
        const char *value = NULL;
        const cli_word *found = NULL;
        for (size_t i = 0; i < spec->word_count && found == NULL && !only_files; i++) {
            found = is_option(word, spec->words[i].name, &value) ? &spec->words[i] : NULL;
        }
        bool is_well = true;
        if (found != NULL) {
            is_well = take_option(found, value, argc, argv, &pos, err);
        } else if (!only_files && strcmp(word, "--") == 0) {
            only_files = true;
        } else if (!only_files && (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0)) {
            spec->wants_help = true;
        } else if (!only_files && word[0] == '-' && word[1] != '\0') {
            is_well = unknown_word(spec, word, err);
        } else {
            is_well = take_file(spec, word, err);
        }
        if (!is_well) {
            return false;
        }
    }
    return spec->wants_help || spec->file_count > 0 || spec->may_be_none ||
           vs_fail(err, VS_ERR_USAGE, "%s: which %s? `vramscope help %s` has examples",
                   spec->command, spec->what, spec->command);
}
