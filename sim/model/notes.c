/* notes.c - the things a reader of a model should tell the user. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "sim/model/internal.h"

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
    va_list args;
    va_start(args, format);
    const int length = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (length < 0) {
        return vs_fail(err, VS_ERR_INTERNAL, "a note could not be formatted");
    }
    char *const line = vs_arena_raw(arena, (size_t)length + 1, 1, 1);
    if (line == NULL) {
        return vs_fail_memory(err, arena, "a note");
    }
    va_start(args, format);
    (void)vsnprintf(line, (size_t)length + 1, format, args);
    va_end(args);
    model->notes[model->note_count++] = line;
    return true;
}

/* ---- tensors that are not loaded --------------------------------------------------------------- */

#define PATTERN_BYTES 160
#define PATTERNS_MAX  8u

typedef struct {
    char text[PATTERN_BYTES];
    const char *first; /* the name that made it: what is said where there is no other */
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

/* What is dropped from one part of the checkpoint that is known not to be loaded. */
typedef struct {
    uint64_t count;
    vs_bytes bytes;
} dropped_part;

/* The known part a name belongs to, or unloaded_count. */
static uint32_t part_of(const vs_model *model, const char *name)
{
    uint32_t i = 0;
    while (i < model->unloaded_count &&
           strncmp(name, model->unloaded[i].prefix, strlen(model->unloaded[i].prefix)) != 0) {
        i++;
    }
    return i;
}

/* Read by the host, never put on the device: nothing a user would miss. */
static bool is_for_the_host(const char *name)
{
    return strstr(name, ".quant_state.bitsandbytes__") != NULL ||
           vs_str_ends(vs_str_of(name), ".weight_format");
}

typedef struct {
    dropped_part parts[VS_UNLOADED_MAX];
    name_pattern patterns[PATTERNS_MAX];
    uint32_t pattern_count;
    uint32_t other_count;
} dropped_sum;

static void add_pattern(dropped_sum *sum, const char *name)
{
    char text[PATTERN_BYTES];
    uint32_t p = 0;
    make_pattern(name, text);
    while (p < sum->pattern_count && strcmp(sum->patterns[p].text, text) != 0) {
        p++;
    }
    if (p == PATTERNS_MAX) {
        sum->other_count++;
        return;
    }
    if (p == sum->pattern_count) {
        memcpy(sum->patterns[p].text, text, sizeof text);
        sum->patterns[p].first = name;
        sum->patterns[p].count = 0;
        sum->pattern_count++;
    }
    sum->patterns[p].count++;
}

static bool note_parts(vs_model *model, vs_arena *arena, const dropped_sum *sum, vs_err *err)
{
    for (uint32_t i = 0; i < model->unloaded_count; i++) {
        const dropped_part *const part = &sum->parts[i];
        char size[VS_TEXT_BYTES];
        if (part->count > 0 &&
            !vs_note(model, arena, err,
                     "%s is stored and not loaded: %s*, %" PRIu64 " tensor%s, %s",
                     model->unloaded[i].what, model->unloaded[i].prefix, part->count,
                     part->count == 1 ? "" : "s", vs_format_size(part->bytes, size))) {
            return false;
        }
    }
    return true;
}

bool vs_note_dropped(vs_model *model, vs_arena *arena, vs_err *err)
{
    dropped_sum sum = {0};
    for (uint32_t i = 0; i < model->tensor_count; i++) {
        const vs_tensor *const t = &model->tensors[i];
        if (t->target != VS_NO_TARGET || is_for_the_host(t->name)) {
            continue;
        }
        const uint32_t part = part_of(model, t->name);
        if (part == model->unloaded_count) {
            add_pattern(&sum, t->name);
        } else {
            sum.parts[part].count++;
            sum.parts[part].bytes += t->size_bytes;
        }
    }
    if (!note_parts(model, arena, &sum, err)) {
        return false;
    }
    for (uint32_t p = 0; p < sum.pattern_count; p++) {
        const name_pattern *const pattern = &sum.patterns[p];
        if (!vs_note(model, arena, err, "%" PRIu32 " tensor%s ignored on load: %s",
                     pattern->count, pattern->count == 1 ? " is" : "s are",
                     pattern->count == 1 ? pattern->first : pattern->text)) {
            return false;
        }
    }
    return sum.other_count == 0 ||
           vs_note(model, arena, err, "%" PRIu32 " more tensor%s ignored on load",
                   sum.other_count, sum.other_count == 1 ? " is" : "s are");
}

bool vs_note_empty_experts(vs_model *model, vs_arena *arena, vs_err *err)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < model->target_count; i++) {
        const vs_target *const t = &model->targets[i];
        count += (t->flags & VS_TF_EXPERTS) != 0 && t->source_count == 0;
    }
    return count == 0 || model->quant.format == VS_QF_NONE ||
           vs_note(
               model, arena, err,
               "Transformers 5 has no way to fuse experts that are stored as %s: the %" PRIu32
               " fused parameters are made without values, at full size",
               model->quant.method, count);
}
