/* labels.c - names for the blocks of a recording.
 *
 * What the program said itself (user metadata) goes first. Else a stack gives "function file.py:123" of its innermost
 * frame that is not inside an installed package: that is the user's own line. Frames of C++ are passed over where
 * there are Python's; those that have no file ("??") say nothing. */
#include "traces/replay/internal.h"

#include <string.h>

/* The more the better. */
static unsigned worth_of(const char *file)
{
    static const char *const marks[] = {"/site-packages/", "/dist-packages/", "/torch/", "<"};
    const size_t length = strlen(file);
    if (length == 0 || strcmp(file, "??") == 0) {
        return 0;
    }
    if (length < 3 || strcmp(file + length - 3, ".py") != 0) {
        return 1;
    }
    for (size_t i = 0; i < sizeof marks / sizeof marks[0]; i++) {
        if (strstr(file, marks[i]) != NULL) {
            return 2;
        }
    }
    return 3;
}

/* The innermost of the best; NULL: none says anything. */
static const vs_rec_frame *frame_of(const vs_recording *rec, uint32_t stack)
{
    const uint32_t end = rec->stack_first[stack + 1u];
    const vs_rec_frame *best = NULL;
    unsigned best_worth = 0;
    for (uint32_t i = rec->stack_first[stack]; i < end && best_worth < 3; i++) {
        const vs_rec_frame *frame = &rec->frames[rec->stack_frames[i]];
        const unsigned worth = worth_of(vs_recording_string(rec, frame->file));
        if (worth > best_worth) {
            best = frame;
            best_worth = worth;
        }
    }
    return best;
}

static bool name_stack(replay_labels *labels, const vs_recording *rec, uint32_t stack,
                       vs_tape *tape, vs_arena *arena)
{
    const vs_rec_frame *frame = frame_of(rec, stack);
    if (frame == NULL) {
        return true;
    }
    const char *file = vs_recording_string(rec, frame->file);
    const char *slash = strrchr(file, '/');
    const size_t mark = arena->used_bytes;
    const char *text =
        vs_arena_printf(arena, "%s %s:%" PRIu32, vs_recording_string(rec, frame->function),
                        slash != NULL ? slash + 1 : file, frame->line);
    if (text == NULL) {
        return false;
    }
    labels->of_stack[stack] = vs_tape_string(tape, vs_str_of(text));
    vs_arena_rewind(arena, mark);
    return true;
}

static bool name_event(replay_labels *labels, const vs_recording *rec, uint32_t label,
                       uint32_t stack, vs_tape *tape, vs_arena *arena)
{
    if (label != 0 && labels->of_label[label] == VS_NO_NAME) {
        labels->of_label[label] =
            vs_tape_string(tape, vs_str_of(vs_recording_string(rec, label)));
    }
    if (stack != VS_REC_NO_STACK && labels->of_stack[stack] == VS_NO_NAME) {
        return name_stack(labels, rec, stack, tape, arena);
    }
    return true;
}

static bool name_all(replay_labels *labels, const vs_recording *rec, vs_tape *tape,
                     vs_arena *arena)
{
    for (uint32_t i = 0; i < rec->device_count; i++) {
        const vs_rec_device *dev = &rec->devices[i];
        for (uint32_t k = 0; k < dev->event_count; k++) {
            if (!name_event(labels, rec, dev->events[k].label, dev->events[k].stack, tape,
                            arena)) {
                return false;
            }
        }
    }
    for (uint32_t i = 0; i < rec->block_count; i++) {
        if (!name_event(labels, rec, 0, rec->blocks[i].stack, tape, arena)) {
            return false;
        }
    }
    return true;
}

bool labels_make(replay_labels *out, const vs_recording *rec, vs_tape *tape, vs_arena *arena,
                 vs_err *err)
{
    out->of_label = VS_ARRAY(arena, uint32_t, (size_t)rec->string_count + 1u);
    out->of_stack = VS_ARRAY(arena, uint32_t, (size_t)rec->stack_count + 1u);
    if (out->of_label == NULL || out->of_stack == NULL || !name_all(out, rec, tape, arena)) {
        return vs_fail_memory(err, arena, "the names of blocks");
    }
    return true;
}
