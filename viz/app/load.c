#include "viz/app/load.h"
#include "vramscope/replay.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STDIN_MAX           ((size_t)1 << 30)  /* 1 GiB: name a file for more */
#define RUN_ARENA_BYTES     ((size_t)32 << 30) /* reserved, not committed */
#define SCRATCH_ARENA_BYTES ((size_t)16 << 30)

/* Standard input to its end, in one block. */
static uint8_t *read_stdin(size_t *out_bytes, vs_err *err)
{
    size_t capacity = (size_t)1 << 16;
    size_t used = 0;
    uint8_t *bytes = malloc(capacity);
    while (bytes != NULL) {
        used += fread(bytes + used, 1, capacity - used, stdin);
        if (used < capacity) {
            break;
        }
        uint8_t *more = capacity < STDIN_MAX ? realloc(bytes, capacity * 2) : NULL;
        if (more == NULL) {
            free(bytes);
        }
        bytes = more;
        capacity *= 2;
    }
    if (bytes == NULL) {
        vs_fail(err, VS_ERR_LIMIT,
                "standard input is larger than memory or 1 GiB; name a file instead");
        return NULL;
    }
    if (ferror(stdin) != 0) {
        vs_fail(err, VS_ERR_IO, "standard input cannot be read");
        free(bytes);
        return NULL;
    }
    *out_bytes = used;
    return bytes;
}

static bool open_stdin(vs_runs *runs, vs_timeline *timeline, vs_err *err)
{
    if (runs->stdin_image != NULL) {
        return vs_fail(err, VS_ERR_USAGE, "standard input (-) can be named once");
    }
    size_t bytes = 0;
    runs->stdin_image = read_stdin(&bytes, err);
    if (runs->stdin_image == NULL ||
        !vs_timeline_bind(timeline, runs->stdin_image, bytes, err)) {
        vs_err_at_input(err, "standard input");
        return false;
    }
    return true;
}

/* All that was said, with "; " between; NULL for nothing. */
static const char *join_notes(vs_arena *arena, const char *const *notes, uint32_t count)
{
    const char *text = count > 0 ? notes[0] : NULL;
    for (uint32_t i = 1; i < count && text != NULL; i++) {
        text = vs_arena_printf(arena, "%s; %s", text, notes[i]);
    }
    return text;
}

/* A tape, or any recording that is known, told by its content. */
static bool open_file(vs_runs *runs, const char *path, vs_timeline *timeline, vs_err *err)
{
    vs_opened_trace opened = {0};
    const vs_read_desc desc = {.keep = &runs->arena, .scratch = &runs->scratch};
    if (!vs_trace_open(&opened, path, &desc, err)) {
        return false;
    }
    *timeline = opened.timeline;
    runs->notes[runs->count] = join_notes(&runs->arena, opened.notes, opened.note_count);
    return true;
}

static bool open_run(vs_runs *runs, const char *path, vs_err *err)
{
    vs_timeline *timeline = &runs->timelines[runs->count];
    const bool is_open = strcmp(path, "-") == 0 ? open_stdin(runs, timeline, err)
                                                : open_file(runs, path, timeline, err);
    if (!is_open) {
        return false;
    }
    runs->count++;
    return vs_source_init(&runs->sources[runs->count - 1], &runs->arena, timeline) ||
           vs_fail_memory(err, &runs->arena, path);
}

bool vs_runs_open(vs_runs *runs, const vs_view_options *options, vs_err *err)
{
    *runs = (vs_runs){0};
    bool is_ok = vs_arena_open(&runs->arena, RUN_ARENA_BYTES, err) &&
                 vs_arena_open(&runs->scratch, SCRATCH_ARENA_BYTES, err);
    for (uint32_t i = 0; is_ok && i < options->tape_count; i++) {
        is_ok = open_run(runs, options->tapes[i], err);
    }
    if (is_ok && options->scenario != NULL) {
        vs_timeline *timeline = &runs->timelines[runs->count];
        is_ok = vs_scenario_simulate(options->scenario, &runs->arena, timeline, err) &&
                (vs_source_init(&runs->sources[runs->count], &runs->arena, timeline) ||
                 vs_fail_memory(err, &runs->arena, options->scenario));
        runs->count += is_ok;
    }
    if (!is_ok) {
        vs_runs_close(runs);
    }
    return is_ok;
}

void vs_runs_close(vs_runs *runs)
{
    for (uint32_t i = 0; i < runs->count; i++) {
        vs_timeline_close(&runs->timelines[i]);
    }
    if (runs->arena.base != NULL) {
        vs_arena_close(&runs->arena);
    }
    if (runs->scratch.base != NULL) {
        vs_arena_close(&runs->scratch);
    }
    free(runs->stdin_image);
    *runs = (vs_runs){0};
}
