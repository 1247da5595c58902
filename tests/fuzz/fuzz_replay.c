/* tests/fuzz/fuzz_replay.c - any events and any final lists as a recording.
 *
 * Readers check the form of a file; whether its events make sense is the replay's business. Six bytes are an event, so a
 * fuzzer finds sequences: frees of what never was, segments over each other, pages that are none, blocks in no segment.
 * Besides not crashing: a recording is never called identical while a counter of differences is not zero, the tape of a
 * replay seals, and a what-if ends. */
#include "tests/fuzz/fuzz_arena.h"
#include "vramscope/replay.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define HEAD_BYTES  2u
#define EVENT_BYTES 6u
#define MOST        512u

static void require(bool condition)
{
    if (!condition) {
        abort();
    }
}

static uint64_t size_of(uint8_t code, uint8_t more)
{
    static const uint64_t sizes[] = {
        512,        4096,        1 << 20,           (1 << 20) + 1,     2 * VS_MIB,
        9 * VS_MIB, 10 * VS_MIB, 20 * VS_MIB,       40 * VS_MIB,       64 * VS_MIB,
        0,          1,           UINT64_C(1) << 40, UINT64_C(1) << 61, UINT64_MAX,
        3 * VS_GIB};
    return sizes[code & 15u] + (uint64_t)more * 512u * ((code >> 4) & 3u);
}

static uint64_t addr_of(uint8_t page, uint8_t offset)
{
    const uint64_t base = page == 255 ? UINT64_MAX - 4 * VS_MIB : UINT64_C(0x7f0000000000);
    return base + (uint64_t)page * 2 * VS_MIB + (uint64_t)offset * 512u;
}

typedef struct {
    vs_rec_event events[MOST];
    vs_rec_segment segments[MOST];
    vs_rec_block blocks[MOST];
    uint32_t event_count;
    uint32_t segment_count;
    uint32_t block_count;
} made;

static void add_event(made *m, const uint8_t *b)
{
    m->events[m->event_count] =
        (vs_rec_event){.addr = addr_of(b[1], b[2]),
                       .size = size_of(b[3], b[4]),
                       .time_ns = b[5],
                       .stack = VS_REC_NO_STACK,
                       .stream = (uint16_t)((b[0] >> 4) & 3u),
                       .pool = (uint16_t)(b[0] >> 7),
                       .action = (uint8_t)(b[0] & 15u) % VS_REC_ACTION_COUNT,
                       .category = VS_CAT_TENSOR};
    m->event_count++;
}

static void add_final(made *m, const uint8_t *b)
{
    if ((b[0] & 16u) != 0 || m->segment_count == 0) {
        m->segments[m->segment_count++] = (vs_rec_segment){.addr = addr_of(b[1], b[2]),
                                                           .total = size_of(b[3], b[4]),
                                                           .allocated = UINT64_MAX,
                                                           .active = UINT64_MAX,
                                                           .block_first = m->block_count,
                                                           .stream = (uint16_t)(b[5] & 3u),
                                                           .is_small = (b[0] & 32u) != 0,
                                                           .is_expandable = (b[0] & 64u) != 0};
        return;
    }
    m->segments[m->segment_count - 1].block_count++;
    m->blocks[m->block_count++] = (vs_rec_block){.addr = addr_of(b[1], b[2]),
                                                 .size = size_of(b[3], b[4]),
                                                 .requested = size_of(b[3], 0),
                                                 .stack = VS_REC_NO_STACK,
                                                 .state = b[5] % 3u};
}

static void make(made *m, const uint8_t *data, size_t size)
{
    for (size_t at = HEAD_BYTES; at + EVENT_BYTES <= size; at += EVENT_BYTES) {
        if ((data[at] & 15u) == 15u) {
            if (m->segment_count < MOST && m->block_count < MOST) {
                add_final(m, data + at);
            }
        } else if (m->event_count < MOST) {
            add_event(m, data + at);
        }
    }
}

static void replay(const vs_recording *rec, const vs_replay_desc *desc)
{
    vs_replay_result result = {0};
    vs_err err = {0};
    if (!vs_replay_run(&result, rec, desc, &err)) {
        require(err.code == VS_ERR_MEMORY && err.text[0] != '\0');
        return;
    }
    for (uint32_t i = 0; i < result.device_count; i++) {
        const vs_replay_device *d = &result.devices[i];
        const uint64_t differences = d->address_mismatches + d->allocated_mismatches +
                                     d->reserved_mismatches + d->segment_mismatches;
        require(d->has_mismatch == (differences != 0));
        require(result.verdict != VS_REPLAY_IDENTICAL || differences == 0);
        require(d->reason != NULL);
    }
    require(result.verdict != VS_REPLAY_NOT_COMPARABLE || result.reason[0] != '\0');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint64_t handles[] = {0, 0x5555, 3, UINT64_MAX};
    static const vs_rec_pool_id pools[] = {{0, 0}, {0, 1}};
    static const uint32_t offset = 0;
    if (size < HEAD_BYTES || size > HEAD_BYTES + (size_t)MOST * EVENT_BYTES) {
        return 0;
    }
    vs_arena *const arena = fuzz_arena(64 * VS_MIB);
    vs_arena scratch = {0};
    made *const m = VS_NEW(arena, made);
    require(m != NULL);
    make(m, data, size);
    const vs_rec_device dev = {.event_count = m->event_count,
                               .events = m->events,
                               .segments = m->segments,
                               .segment_count = m->segment_count,
                               .has_segments = true,
                               .name = ""};
    const vs_recording rec = {.format = VS_TRACE_SNAPSHOT,
                              .path = "",
                              .made_by = "",
                              .device_count = 1,
                              .devices = &dev,
                              .block_count = m->block_count,
                              .blocks = m->blocks,
                              .stream_count = 4,
                              .streams = handles,
                              .pool_count = 2,
                              .pools = pools,
                              .has_settings = true,
                              .expandable_segments = (data[0] & 1u) != 0,
                              .max_split_bytes = (data[0] & 2u) != 0 ? 32 * VS_MIB : UINT64_MAX,
                              .gc_threshold = (data[0] & 4u) != 0 ? 0.5 : 0.0,
                              .string_count = 1,
                              .string_offset = &offset,
                              .string_bytes = ""};
    require(vs_arena_open(&scratch, 64 * VS_MIB, NULL));
    vs_replay_desc desc = {.keep = arena, .scratch = &scratch};
    replay(&rec, &desc);
    desc.tape = vs_tape_new(arena, &(vs_tape_desc){0});
    require(desc.tape != NULL);
    replay(&rec, &desc);
    vs_timeline timeline = {0};
    vs_err err = {0};
    if (!vs_tape_seal(desc.tape, &timeline, &err)) {
        require(err.text[0] != '\0');
    }
    const vs_alloc_conf conf = vs_alloc_conf_default(VS_TORCH_NEWEST);
    desc.tape = NULL;
    desc.conf = &conf;
    desc.capacity_bytes = (data[1] & 1u) != 0 ? 2 * VS_GIB : 0;
    replay(&rec, &desc);
    vs_arena_close(&scratch);
    return 0;
}
