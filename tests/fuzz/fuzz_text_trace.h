/* tests/fuzz/fuzz_text_trace.h - any bytes through one reader of text, and what it accepts onto a tape. */
#ifndef TESTS_FUZZ_TEXT_TRACE_H
#define TESTS_FUZZ_TEXT_TRACE_H

#include "tests/fuzz/fuzz_arena.h"
#include "tests/fuzz/fuzz_recording.h"
#include "traces/read/read.h"

/* Sums beyond 2^60 are refused while the tape is made or sealed. */
static inline void fuzz_tape_of(const vs_recording *rec, vs_arena *keep, vs_arena *scratch)
{
    vs_err err = {0};
    vs_timeline tl = {0};
    vs_tape *const tape = vs_tape_new(keep, NULL);
    fuzz_require(tape != NULL);
    if (!vs_recording_to_tape(rec, tape, scratch, &err) || !vs_tape_seal(tape, &tl, &err)) {
        fuzz_check_refusal(&err);
        fuzz_require(err.code == VS_ERR_LIMIT);
        return;
    }
    fuzz_require(vs_timeline_check(&tl, &err));
}

static inline void fuzz_text_trace(vs_reader reader, const uint8_t *data, size_t size)
{
    vs_err err = {0};
    vs_input in = {0};
    vs_recording rec = {0};
    vs_arena keep = {0};
    if (size > 1u << 18) {
        return;
    }
    vs_arena *const scratch = fuzz_arena((size_t)1 << 30);
    fuzz_require(vs_arena_open(&keep, (size_t)256 << 20, NULL));
    const vs_read_desc desc = {.keep = &keep, .scratch = scratch};
    const bool is_read =
        input_of_bytes(&in, data, size, scratch, &err) && reader(&rec, &in, &desc, &err);
    input_close(&in);
    if (is_read) {
        fuzz_check_recording(&rec);
        fuzz_tape_of(&rec, &keep, scratch);
    } else {
        fuzz_check_refusal(&err);
    }
    vs_arena_close(&keep);
}

#endif /* TESTS_FUZZ_TEXT_TRACE_H */
