/* tests/support/trace_text.h - recordings written as text in a test, read by the reader of their format. */
#ifndef TESTS_SUPPORT_TRACE_TEXT_H
#define TESTS_SUPPORT_TRACE_TEXT_H

#include "traces/read/read.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    vs_arena keep;
    vs_arena scratch;
    vs_recording rec;
    vs_timeline tl;
} trace_text;

static inline int trace_text_open(void **state)
{
    trace_text *t = calloc(1, sizeof *t);
    *state = t;
    return t != NULL && vs_arena_open(&t->keep, 512 * VS_MIB, NULL) &&
                   vs_arena_open(&t->scratch, 512 * VS_MIB, NULL)
               ? 0
               : 1;
}

static inline int trace_text_close(void **state)
{
    trace_text *t = *state;
    vs_arena_close(&t->keep);
    vs_arena_close(&t->scratch);
    free(t);
    return 0;
}

#define WITH_TEXT(test) cmocka_unit_test_setup_teardown(test, trace_text_open, trace_text_close)

/* The bytes in a block of their exact size, so that a read past them is seen. */
static inline bool trace_text_try(trace_text *t, vs_reader reader, const void *bytes,
                                  size_t size_bytes, vs_err *err)
{
    vs_input in = {0};
    const vs_read_desc desc = {.keep = &t->keep, .scratch = &t->scratch};
    char *const exact = malloc(size_bytes > 0 ? size_bytes : 1);
    assert_non_null(exact);
    memcpy(exact, bytes, size_bytes);
    vs_arena_reset(&t->keep);
    vs_arena_reset(&t->scratch);
    const bool is_read = input_of_bytes(&in, exact, size_bytes, &t->scratch, err) &&
                         reader(&t->rec, &in, &desc, err);
    input_close(&in);
    free(exact);
    return is_read;
}

static inline const vs_recording *trace_text_read(trace_text *t, vs_reader reader,
                                                  const char *text)
{
    vs_err err = {0};
    if (!trace_text_try(t, reader, text, strlen(text), &err)) {
        char line[1024] = {0};
        fail_msg("%s", vs_err_line(&err, line, sizeof line));
    }
    return &t->rec;
}

/* Refused with one line that holds `says`. */
static inline void trace_text_refuse(trace_text *t, vs_reader reader, const char *text,
                                     const char *says)
{
    vs_err err = {0};
    char line[1024] = {0};
    assert_false(trace_text_try(t, reader, text, strlen(text), &err));
    (void)vs_err_line(&err, line, sizeof line);
    if (strstr(line, says) == NULL || strchr(line, '\n') != NULL) {
        fail_msg("\"%s\" is not in: %s", says, line);
    }
}

static inline bool trace_text_has_note(const vs_recording *rec, const char *says)
{
    for (uint32_t i = 0; i < rec->note_count; i++) {
        if (strstr(rec->notes[i], says) != NULL) {
            return true;
        }
    }
    return false;
}

static inline void trace_text_notes(const vs_recording *rec, const char *says)
{
    if (!trace_text_has_note(rec, says)) {
        fail_msg("no note says \"%s\"; the first of %" PRIu32 " is: %s", says, rec->note_count,
                 rec->note_count > 0 ? rec->notes[0] : "");
    }
}

/* The recording as a sealed tape, everything derived checked. */
static inline const vs_timeline *trace_text_tape(trace_text *t)
{
    vs_err err = {0};
    char line[1024] = {0};
    vs_tape *const tape = vs_tape_new(&t->keep, NULL);
    assert_non_null(tape);
    if (!vs_recording_to_tape(&t->rec, tape, &t->scratch, &err) ||
        !vs_tape_seal(tape, &t->tl, &err) || !vs_timeline_check(&t->tl, &err)) {
        fail_msg("%s", vs_err_line(&err, line, sizeof line));
    }
    return &t->tl;
}

/* ---- figures of a tape --------------------------------------------------------------------- */

static inline vs_bytes trace_text_at(const vs_timeline *tl, uint8_t device, vs_track_role role,
                                     vs_ns time_ns)
{
    const uint32_t track = vs_timeline_find_track(tl, device, role, VS_CAT_CONTEXT);
    return track == VS_NO_TRACK ? 0 : vs_track_at_time(tl, track, time_ns);
}

static inline vs_bytes trace_text_peak(const vs_timeline *tl, uint8_t device,
                                       vs_track_role role)
{
    const uint32_t track = vs_timeline_find_track(tl, device, role, VS_CAT_CONTEXT);
    return track == VS_NO_TRACK ? 0 : tl->tracks[track].max;
}

static inline uint32_t trace_text_count(const vs_timeline *tl, vs_event_kind kind)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < tl->event_count; i++) {
        count += tl->event_kind[i] == kind;
    }
    return count;
}

/* Some fact "note.N" of the tape says it. */
static inline bool trace_text_tape_notes(const vs_timeline *tl, const char *says)
{
    for (uint32_t i = 0; i < tl->meta_count; i++) {
        if (strncmp(vs_timeline_string(tl, tl->metas[i].key), "note.", 5) == 0 &&
            strstr(vs_timeline_string(tl, tl->metas[i].value), says) != NULL) {
            return true;
        }
    }
    return false;
}

#endif /* TESTS_SUPPORT_TRACE_TEXT_H */
