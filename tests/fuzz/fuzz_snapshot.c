/* tests/fuzz/fuzz_snapshot.c - any bytes as a memory snapshot.
 *
 * Besides not crashing: memory stays within what snapshot.h promises, errors say something, and every index of an accepted
 * recording leads somewhere. */
#include "traces/read/snapshot.h"

#include <stdlib.h>

#define ARENA_BYTES ((size_t)192 << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
    if (!condition) {
        abort();
    }
}

static void check_stack(const vs_recording *rec, uint32_t stack)
{
    require(stack == VS_REC_NO_STACK || stack < rec->stack_count);
}

static void check_device(const vs_recording *rec, const vs_rec_device *d)
{
    for (uint32_t i = 0; i < d->event_count; i++) {
        const vs_rec_event *const e = &d->events[i];
        require(e->action < VS_REC_ACTION_COUNT && e->stream < rec->stream_count);
        require(e->pool < rec->pool_count && e->label < rec->string_count);
        require(e->pad == 0 && e->flags == 0);
        check_stack(rec, e->stack);
    }
    for (uint32_t i = 0; i < d->segment_count; i++) {
        const vs_rec_segment *const s = &d->segments[i];
        require(s->block_first <= rec->block_count &&
                s->block_count <= rec->block_count - s->block_first);
        require(s->stream < rec->stream_count && s->pool < rec->pool_count);
        require(i == 0 || d->segments[i - 1].addr <= s->addr);
    }
}

static void check_recording(const vs_recording *rec)
{
    for (uint32_t i = 0; i < rec->device_count; i++) {
        check_device(rec, &rec->devices[i]);
    }
    for (uint32_t i = 0; i < rec->block_count; i++) {
        check_stack(rec, rec->blocks[i].stack);
        require(rec->blocks[i].state <= VS_REC_BLOCK_INACTIVE);
    }
    for (uint32_t i = 0; i < rec->stack_count; i++) {
        require(rec->stack_first[i] <= rec->stack_first[i + 1]);
    }
    for (uint32_t i = 0; i < rec->stack_first[rec->stack_count]; i++) {
        require(rec->stack_frames[i] < rec->frame_count);
    }
    for (uint32_t i = 0; i < rec->frame_count; i++) {
        require(rec->frames[i].file < rec->string_count);
        require(rec->frames[i].function < rec->string_count);
    }
    for (uint32_t i = 0; i < rec->annotation_count; i++) {
        require(rec->annotations[i].name < rec->string_count);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    vs_err err = {0};
    vs_input in = {0};
    vs_recording rec = {0};
    vs_arena keep = {0};
    vs_arena scratch = {0};
    if (size > 1u << 20) {
        return 0;
    }
    require(vs_arena_open(&keep, ARENA_BYTES, &err));
    require(vs_arena_open(&scratch, ARENA_BYTES, &err));
    const vs_read_desc desc = {.keep = &keep, .scratch = &scratch};
    require(input_of_bytes(&in, data, size, &scratch, &err));
    if (read_snapshot(&rec, &in, &desc, &err)) {
        check_recording(&rec);
    } else {
        require(err.code != VS_OK && err.code != VS_ERR_MEMORY && err.code != VS_ERR_INTERNAL);
        require(err.text[0] != '\0');
    }
    input_close(&in);
    vs_arena_close(&scratch);
    vs_arena_close(&keep);
    return 0;
}
