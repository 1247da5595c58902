/* tests/fuzz/fuzz_recording.h - what holds for everything that a reader of traces accepts, and for what it refuses. */
#ifndef TESTS_FUZZ_RECORDING_H
#define TESTS_FUZZ_RECORDING_H

#include "vramscope/trace.h"

#include <stdlib.h>
#include <string.h>

static inline void fuzz_require(bool condition)
{
    if (!condition) {
        abort();
    }
}

static inline void fuzz_check_device(const vs_recording *rec, const vs_rec_device *d)
{
    for (uint32_t i = 0; i < d->event_count; i++) {
        const vs_rec_event *const e = &d->events[i];
        fuzz_require(e->action < VS_REC_ACTION_COUNT && e->stream < rec->stream_count);
        fuzz_require(e->pool < rec->pool_count && e->label < rec->string_count);
        fuzz_require(e->stack == VS_REC_NO_STACK || e->stack < rec->stack_count);
    }
}

static inline void fuzz_check_recording(const vs_recording *rec)
{
    fuzz_require(rec->device_count <= 64 && rec->stream_count >= 1 && rec->pool_count >= 1);
    for (uint32_t i = 0; i < rec->device_count; i++) {
        fuzz_check_device(rec, &rec->devices[i]);
    }
    for (uint32_t i = 0; i < rec->span_count; i++) {
        const vs_rec_span *const s = &rec->spans[i];
        fuzz_require(s->end_ns >= s->start_ns && s->kind < VS_REC_WORK_COUNT);
        fuzz_require(s->device < rec->device_count && s->label < rec->string_count);
        fuzz_require(s->stream < rec->stream_count);
    }
    for (uint32_t i = 0; i < rec->annotation_count; i++) {
        fuzz_require(rec->annotations[i].name < rec->string_count);
        fuzz_require(rec->annotations[i].stage < rec->string_count);
    }
    for (uint32_t i = 0; i < rec->note_count; i++) {
        fuzz_require(strlen(rec->notes[i]) > 0);
    }
}

static inline void fuzz_check_refusal(const vs_err *err)
{
    fuzz_require(err->code != VS_OK && err->code != VS_ERR_INTERNAL);
    fuzz_require(err->text[0] != '\0');
}

#endif /* TESTS_FUZZ_RECORDING_H */
