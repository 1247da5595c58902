/* notes.c - the things a reader of a model should tell the user. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "sim/model/internal.h"

#define NOTE_BYTES 512

bool vs_note(vs_model *model, vs_arena *arena, vs_err *err, const char *format, ...)
{
    if (model->notes == NULL) {
        model->notes = VS_ARRAY(arena, const char *, VS_NOTES_MAX);
        if (model->notes == NULL) {
            return vs_fail_memory(err, arena, "the notes of a model");
        }
    }
    if (model->note_count == VS_NOTES_MAX) {
        return true;
    }
    if (model->note_count == VS_NOTES_MAX - 1) {
        model->notes[model->note_count++] = "more notes were left out";
        return true;
    }
    char line[NOTE_BYTES];
    va_list args;
    va_start(args, format);
    const int printed = vsnprintf(line, sizeof line, format, args);
    va_end(args);
    if (printed < 0) {
        return vs_fail(err, VS_ERR_INTERNAL, "a note could not be formatted");
    }
    char *const copy = vs_str_copy(arena, vs_str_of(line));
    if (copy == NULL) {
        return vs_fail_memory(err, arena, "a note");
    }
    model->notes[model->note_count++] = copy;
    return true;
}

/* ---- tensors that are not loaded --------------------------------------------------------------- */

#define PATTERN_BYTES 160
#define PATTERNS_MAX  8u

typedef struct {
    char text[PATTERN_BYTES];
    uint32_t count;
} name_pattern;

/* Digits between dots become "*"; what is too long is cut. */
static void make_pattern(const char *name, char out[PATTERN_BYTES])
{
    size_t used = 0;
    bool starts_part = true;
    while (*name != '\0' && used < PATTERN_BYTES - 4) {
        const size_t digits = starts_part ? strspn(name, "0123456789") : 0;
        if (digits > 0 && (name[digits] == '.' || name[digits] == '\0')) {
            out[used++] = '*';
            name += digits;
        } else {
            out[used++] = *name++;
        }
        starts_part = out[used - 1] == '.';
    }
    memcpy(out + used, *name == '\0' ? "" : "...", *name == '\0' ? 1 : 4);
}

bool vs_note_dropped(vs_model *model, vs_arena *arena, vs_err *err)
{
    name_pattern patterns[PATTERNS_MAX];
    uint32_t pattern_count = 0;
    uint32_t other_count = 0;
    for (uint32_t i = 0; i < model->tensor_count; i++) {
        if (model->tensors[i].target != VS_NO_TARGET) {
            continue;
        }
        char text[PATTERN_BYTES];
        uint32_t p = 0;
        make_pattern(model->tensors[i].name, text);
        while (p < pattern_count && strcmp(patterns[p].text, text) != 0) {
            p++;
        }
        if (p == PATTERNS_MAX) {
            other_count++;
            continue;
        }
        if (p == pattern_count) {
            memcpy(patterns[p].text, text, sizeof text);
            patterns[p].count = 0;
            pattern_count++;
        }
        patterns[p].count++;
    }
    for (uint32_t p = 0; p < pattern_count; p++) {
        if (!vs_note(model, arena, err, "%" PRIu32 " tensor%s ignored on load: %s",
                     patterns[p].count, patterns[p].count == 1 ? " is" : "s are",
                     patterns[p].text)) {
            return false;
        }
    }
    return other_count == 0 ||
           vs_note(model, arena, err, "%" PRIu32 " more tensors are ignored on load",
                   other_count);
}
