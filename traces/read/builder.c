/* traces/read/builder.c - rows collected while a file is read, and what they become.
 *
 * Rows grow in chunks in desc->scratch (rows.h) and are copied to desc->keep once, at the end. Strings, frames and stacks are interned:
 *
 *   strings  vs_strtab
 *   frames   rows + a table of slots by hash (id + 1, 0 empty)
 *   stacks   {where its frames are, count, hash} + slots; the frames lie in blocks, each stack in one piece
 *
 * A reader that makes its events in desc->keep, one array a device, hands them over as they are (builder_take_events), so that
 * the largest rows of a large file exist once. After a failure every call does nothing; builder_finish reports it. */
#include "traces/read/read.h"
#include "traces/read/rows.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define MAX_DEVICES       64u
#define MAX_STREAMS       65535u
#define MAX_POOLS         65535u
#define MAX_ROWS          (UINT32_MAX - 1)
#define EVENT_SHIFT       10u
#define SMALL_SHIFT       8u
#define FIRST_SLOTS       256u
#define FRAME_BLOCK_COUNT ((size_t)16 << 10)
#define NOTE_BYTES        1024
#define HASH_MULTIPLIER   UINT64_C(0x9e3779b97f4a7c15) /* 2^64 / golden ratio, odd */

typedef struct {
    uint32_t ordinal;
    bool is_host;
    bool has_segments;
    bool has_span;
    vs_rows events;
    vs_rows totals; /* as many as events, or none */
    vs_rows segments;
    vs_rec_event *placed; /* builder_events */
    uint32_t placed_count;
    uint32_t name;
    vs_bytes capacity_bytes;
} device_rows;

typedef struct {
    uint32_t *slots; /* id + 1, 0 empty; at most half of them used */
    uint32_t slot_count;
} hash_slots;

typedef struct {
    const uint32_t *frames;
    uint32_t count;
    uint32_t hash;
} stack_row;

struct vs_builder {
    const vs_read_desc *desc;
    vs_err failure;
    vs_recording head;
    vs_strtab strings;
    uint32_t device_count;
    device_rows devices[MAX_DEVICES];
    bool has_segments;
    vs_rows blocks;
    uint64_t segment_first_block; /* of the segment that comes next */
    vs_rows spans;
    vs_rows annotations;
    vs_rows notes; /* const char * in keep */
    vs_rows streams;
    hash_slots stream_slots;
    vs_rows pools;
    vs_rows frames;
    hash_slots frame_slots;
    vs_rows stacks;
    hash_slots stack_slots;
    uint64_t stack_frame_count;
    uint32_t *frame_block; /* where the frames of the next stack go */
    size_t frame_block_left;
};

/* ---- failures -------------------------------------------------------------------------- */

static bool fail_scratch(vs_builder *b)
{
    return vs_fail_memory(&b->failure, b->desc->scratch, "a recording");
}

static bool fail_keep(vs_builder *b)
{
    return vs_fail_memory(&b->failure, b->desc->keep, "a recording");
}

bool builder_has_failed(const vs_builder *b)
{
    return b->failure.code != VS_OK;
}

/* Room for one more row; NULL: failed now or before. */
static void *add_row(vs_builder *b, vs_rows *rows, const char *what)
{
    if (builder_has_failed(b)) {
        return NULL;
    }
    if (rows->count >= MAX_ROWS) {
        (void)vs_fail(&b->failure, VS_ERR_LIMIT, "more than %" PRIu32 " %s", MAX_ROWS, what);
        return NULL;
    }
    void *const row = rows_add(rows);
    if (row == NULL) {
        (void)fail_scratch(b);
    }
    return row;
}

/* ---- a builder ----------------------------------------------------------------------------- */

vs_builder *builder_new(const vs_read_desc *desc, vs_trace_format format)
{
    vs_arena *const scratch = desc->scratch;
    vs_builder *const b = VS_NEW(scratch, vs_builder);
    if (b == NULL || !vs_strtab_init(&b->strings, scratch, 0)) {
        return NULL;
    }
    b->desc = desc;
    b->head.format = format;
    b->head.path = "";
    b->head.made_by = "";
    b->head.max_split_bytes = UINT64_MAX;
    b->blocks = rows_of(scratch, sizeof(vs_rec_block), EVENT_SHIFT);
    b->spans = rows_of(scratch, sizeof(vs_rec_span), SMALL_SHIFT);
    b->annotations = rows_of(scratch, sizeof(vs_rec_annotation), SMALL_SHIFT);
    b->notes = rows_of(scratch, sizeof(const char *), 4);
    b->streams = rows_of(scratch, sizeof(uint64_t), 4);
    b->pools = rows_of(scratch, sizeof(vs_rec_pool_id), 4);
    b->frames = rows_of(scratch, sizeof(vs_rec_frame), SMALL_SHIFT);
    b->stacks = rows_of(scratch, sizeof(stack_row), SMALL_SHIFT);
    (void)builder_stream(b, 0);
    (void)builder_pool(b, (vs_rec_pool_id){0, 0});
    return builder_has_failed(b) ? NULL : b;
}

vs_recording *builder_head(vs_builder *b)
{
    return &b->head;
}

void builder_note(vs_builder *b, const char *format, ...)
{
    char text[NOTE_BYTES];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    const char **const row = add_row(b, &b->notes, "notes");
    if (row == NULL) {
        return;
    }
    *row = vs_str_copy(b->desc->keep, vs_str_of(text));
    if (*row == NULL) {
        (void)fail_keep(b);
    }
}

/* ---- tables of slots ----------------------------------------------------------------------------- */

/* Makes room for one more of count ids. The caller's hash of an id decides where it goes. */
static bool slots_make_room(vs_builder *b, hash_slots *table, uint64_t count,
                            uint64_t (*hash_of)(const vs_builder *b, uint32_t id))
{
    if (2 * (count + 1) <= table->slot_count) {
        return true;
    }
    const uint64_t wanted =
        table->slot_count > 0 ? UINT64_C(2) * table->slot_count : FIRST_SLOTS;
    uint32_t *const slots =
        wanted <= UINT32_MAX ? VS_ARRAY(b->desc->scratch, uint32_t, (size_t)wanted) : NULL;
    if (slots == NULL) {
        return fail_scratch(b);
    }
    table->slots = slots;
    table->slot_count = (uint32_t)wanted;
    for (uint32_t id = 0; id < count; id++) {
        uint64_t slot = hash_of(b, id) & (wanted - 1);
        while (slots[slot] != 0) {
            slot = (slot + 1) & (wanted - 1);
        }
        slots[slot] = id + 1;
    }
    return true;
}

static uint64_t mix(uint64_t hash, uint64_t word)
{
    hash = (hash ^ word) * HASH_MULTIPLIER;
    return hash ^ (hash >> 32);
}

/* ---- strings, streams, pools ------------------------------------------------------------------------ */

uint32_t builder_string(vs_builder *b, vs_str text)
{
    if (builder_has_failed(b)) {
        return 0;
    }
    const uint32_t id = vs_strtab_add(&b->strings, text);
    if (id == UINT32_MAX) {
        (void)fail_scratch(b);
        return 0;
    }
    return id;
}

static uint64_t stream_hash(const vs_builder *b, uint32_t id)
{
    const uint64_t *const handle = rows_at(&b->streams, id);
    return mix(1, *handle);
}

uint16_t builder_stream(vs_builder *b, uint64_t handle)
{
    if (builder_has_failed(b) ||
        !slots_make_room(b, &b->stream_slots, b->streams.count, stream_hash)) {
        return 0;
    }
    const uint32_t mask = b->stream_slots.slot_count - 1;
    uint32_t *const slots = b->stream_slots.slots;
    uint32_t slot = (uint32_t)(mix(1, handle) & mask);
    while (slots[slot] != 0) {
        const uint64_t *const known = rows_at(&b->streams, slots[slot] - 1);
        if (*known == handle) {
            return (uint16_t)(slots[slot] - 1);
        }
        slot = (slot + 1) & mask;
    }
    if (b->streams.count == MAX_STREAMS) {
        (void)vs_fail(&b->failure, VS_ERR_LIMIT, "more than %u streams", MAX_STREAMS);
        return 0;
    }
    uint64_t *const row = add_row(b, &b->streams, "streams");
    if (row == NULL) {
        return 0;
    }
    *row = handle;
    slots[slot] = (uint32_t)b->streams.count;
    return (uint16_t)(b->streams.count - 1);
}

/* Few: a program has one for each CUDA graph or MemPool. The newest is looked at first. */
uint16_t builder_pool(vs_builder *b, vs_rec_pool_id id)
{
    for (uint64_t i = b->pools.count; i > 0; i--) {
        const vs_rec_pool_id *const known = rows_at(&b->pools, i - 1);
        if (known->hi == id.hi && known->lo == id.lo) {
            return (uint16_t)(i - 1);
        }
    }
    if (b->pools.count == MAX_POOLS) {
        (void)vs_fail(&b->failure, VS_ERR_LIMIT, "more than %u memory pools", MAX_POOLS);
        return 0;
    }
    vs_rec_pool_id *const row = add_row(b, &b->pools, "memory pools");
    if (row == NULL) {
        return 0;
    }
    *row = id;
    return (uint16_t)(b->pools.count - 1);
}

/* ---- frames and stacks --------------------------------------------------------------------------------- */

static uint64_t hash_frame(const vs_rec_frame *frame)
{
    return mix(mix(1, (uint64_t)frame->file << 32 | frame->function), frame->line);
}

static uint64_t frame_hash(const vs_builder *b, uint32_t id)
{
    return hash_frame(rows_at(&b->frames, id));
}

uint32_t builder_frame(vs_builder *b, vs_rec_frame frame)
{
    if (builder_has_failed(b) ||
        !slots_make_room(b, &b->frame_slots, b->frames.count, frame_hash)) {
        return 0;
    }
    const uint32_t mask = b->frame_slots.slot_count - 1;
    uint32_t *const slots = b->frame_slots.slots;
    uint32_t slot = (uint32_t)(hash_frame(&frame) & mask);
    while (slots[slot] != 0) {
        const vs_rec_frame *const known = rows_at(&b->frames, slots[slot] - 1);
        if (known->file == frame.file && known->function == frame.function &&
            known->line == frame.line) {
            return slots[slot] - 1;
        }
        slot = (slot + 1) & mask;
    }
    vs_rec_frame *const row = add_row(b, &b->frames, "frames");
    if (row == NULL) {
        return 0;
    }
    *row = frame;
    slots[slot] = (uint32_t)b->frames.count;
    return (uint32_t)b->frames.count - 1;
}

static uint64_t stack_hash(const vs_builder *b, uint32_t id)
{
    const stack_row *const row = rows_at(&b->stacks, id);
    return row->hash;
}

/* Two frames a step: the multiplications follow each other and are most of the time. */
static uint32_t hash_stack(const uint32_t *frames, uint32_t count)
{
    uint64_t hash = count;
    uint32_t i = 0;
    for (; i + 1 < count; i += 2) {
        hash = (hash ^ ((uint64_t)frames[i + 1] << 32 | frames[i])) * HASH_MULTIPLIER;
        hash ^= hash >> 29;
    }
    if (i < count) {
        hash = (hash ^ frames[i]) * HASH_MULTIPLIER;
        hash ^= hash >> 29;
    }
    return (uint32_t)(hash ^ (hash >> 32));
}

/* The frames of a new stack, in one piece. */
static const uint32_t *keep_frames(vs_builder *b, const uint32_t *frames, uint32_t count)
{
    if (b->stack_frame_count > MAX_ROWS - count) {
        (void)vs_fail(&b->failure, VS_ERR_LIMIT,
                      "the stacks have more than %" PRIu32 " frames in all", MAX_ROWS);
        return NULL;
    }
    if (count > b->frame_block_left || b->frame_block == NULL) {
        const size_t room = count < FRAME_BLOCK_COUNT ? FRAME_BLOCK_COUNT : count;
        uint32_t *const block = VS_RAW_ARRAY(b->desc->scratch, uint32_t, room);
        if (block == NULL) {
            (void)fail_scratch(b);
            return NULL;
        }
        b->frame_block = block;
        b->frame_block_left = room;
    }
    uint32_t *const to = b->frame_block;
    if (count > 0) {
        memcpy(to, frames, count * sizeof *to);
    }
    b->frame_block += count;
    b->frame_block_left -= count;
    b->stack_frame_count += count;
    return to;
}

uint32_t builder_stack(vs_builder *b, const uint32_t *frames, uint32_t count)
{
    if (builder_has_failed(b) ||
        !slots_make_room(b, &b->stack_slots, b->stacks.count, stack_hash)) {
        return VS_REC_NO_STACK;
    }
    const uint32_t hash = hash_stack(frames, count);
    const uint32_t mask = b->stack_slots.slot_count - 1;
    uint32_t *const slots = b->stack_slots.slots;
    uint32_t slot = hash & mask;
    while (slots[slot] != 0) {
        const stack_row *const known = rows_at(&b->stacks, slots[slot] - 1);
        if (known->hash == hash && known->count == count &&
            (count == 0 || memcmp(known->frames, frames, count * sizeof *frames) == 0)) {
            return slots[slot] - 1;
        }
        slot = (slot + 1) & mask;
    }
    const uint32_t *const kept = keep_frames(b, frames, count);
    stack_row *const row = kept != NULL ? add_row(b, &b->stacks, "stacks") : NULL;
    if (row == NULL) {
        return VS_REC_NO_STACK;
    }
    *row = (stack_row){.frames = kept, .count = count, .hash = hash};
    slots[slot] = (uint32_t)b->stacks.count;
    return (uint32_t)b->stacks.count - 1;
}

/* ---- devices ----------------------------------------------------------------------------------------------- */

uint8_t builder_device(vs_builder *b, uint32_t ordinal, bool is_host)
{
    for (uint32_t i = 0; i < b->device_count; i++) {
        if (b->devices[i].ordinal == ordinal && b->devices[i].is_host == is_host) {
            return (uint8_t)i;
        }
    }
    if (b->device_count == MAX_DEVICES) {
        (void)vs_fail(&b->failure, VS_ERR_LIMIT, "more than %u devices", MAX_DEVICES);
        return 0;
    }
    vs_arena *const scratch = b->desc->scratch;
    b->devices[b->device_count] =
        (device_rows){.ordinal = ordinal,
                      .is_host = is_host,
                      .events = rows_of(scratch, sizeof(vs_rec_event), EVENT_SHIFT),
                      .totals = rows_of(scratch, sizeof(vs_rec_totals), EVENT_SHIFT),
                      .segments = rows_of(scratch, sizeof(vs_rec_segment), SMALL_SHIFT)};
    return (uint8_t)b->device_count++;
}

void builder_name_device(vs_builder *b, uint8_t device, vs_str name, vs_bytes capacity_bytes)
{
    b->devices[device].name = builder_string(b, name);
    b->devices[device].capacity_bytes = capacity_bytes;
}

/* One row of totals for the event that comes next; those before it, if they had none, are "not told". */
static void add_totals(vs_builder *b, device_rows *d, const vs_rec_totals *totals)
{
    if (totals == NULL && d->totals.count == 0) {
        return;
    }
    const vs_rec_totals not_told = {.allocated = UINT64_MAX, .reserved = UINT64_MAX};
    while (d->totals.count <= d->events.count) {
        const bool is_this = d->totals.count == d->events.count;
        vs_rec_totals *const row = add_row(b, &d->totals, "events");
        if (row == NULL) {
            return;
        }
        *row = is_this && totals != NULL ? *totals : not_told;
    }
}

void builder_event(vs_builder *b, uint8_t device, const vs_rec_event *event,
                   const vs_rec_totals *totals)
{
    device_rows *const d = &b->devices[device];
    vs_assert(d->placed == NULL);
    add_totals(b, d, totals);
    vs_rec_event *const row = add_row(b, &d->events, "events");
    if (row != NULL) {
        *row = *event;
    }
}

void builder_take_events(vs_builder *b, uint8_t device, vs_rec_event *events, uint32_t count)
{
    device_rows *const d = &b->devices[device];
    vs_assert(d->placed == NULL && d->events.count == 0);
    d->placed = events;
    d->placed_count = count;
}

void builder_block(vs_builder *b, const vs_rec_block *block)
{
    vs_rec_block *const row = add_row(b, &b->blocks, "blocks");
    if (row != NULL) {
        *row = *block;
    }
}

void builder_segment(vs_builder *b, uint8_t device, const vs_rec_segment *segment)
{
    vs_rec_segment *const row = add_row(b, &b->devices[device].segments, "segments");
    if (row == NULL) {
        return;
    }
    *row = *segment;
    row->block_first = (uint32_t)b->segment_first_block;
    row->block_count = (uint32_t)(b->blocks.count - b->segment_first_block);
    b->segment_first_block = b->blocks.count;
}

void builder_has_segments(vs_builder *b)
{
    b->has_segments = true;
}

void builder_span(vs_builder *b, const vs_rec_span *span)
{
    vs_rec_span *const row = add_row(b, &b->spans, "spans");
    if (row != NULL) {
        *row = *span;
        b->devices[span->device].has_span = true;
    }
}

void builder_annotation(vs_builder *b, const vs_rec_annotation *annotation)
{
    vs_rec_annotation *const row = add_row(b, &b->annotations, "annotations");
    if (row != NULL) {
        *row = *annotation;
    }
}

/* ---- finishing: times ------------------------------------------------------------------------------------------ */

static uint64_t smaller(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t first_time_of(const device_rows *d)
{
    uint64_t first = UINT64_MAX;
    for (uint64_t i = 0; i < d->events.count; i++) {
        const vs_rec_event *const event = rows_at(&d->events, i);
        first = smaller(first, event->time_ns);
    }
    for (uint32_t i = 0; i < d->placed_count; i++) {
        first = smaller(first, d->placed[i].time_ns);
    }
    return first;
}

static uint64_t first_time(const vs_builder *b)
{
    uint64_t first = UINT64_MAX;
    for (uint32_t i = 0; i < b->device_count; i++) {
        first = smaller(first, first_time_of(&b->devices[i]));
    }
    for (uint64_t i = 0; i < b->spans.count; i++) {
        const vs_rec_span *const span = rows_at(&b->spans, i);
        first = smaller(first, smaller(span->start_ns, span->end_ns));
    }
    for (uint64_t i = 0; i < b->annotations.count; i++) {
        const vs_rec_annotation *const annotation = rows_at(&b->annotations, i);
        first = smaller(first, annotation->time_ns);
    }
    return first;
}

static void shift_times(vs_builder *b, uint64_t first)
{
    for (uint32_t d = 0; d < b->device_count; d++) {
        device_rows *const rows = &b->devices[d];
        for (uint64_t i = 0; i < rows->events.count; i++) {
            vs_rec_event *const event = rows_at(&rows->events, i);
            event->time_ns -= first;
        }
        for (uint32_t i = 0; i < rows->placed_count; i++) {
            rows->placed[i].time_ns -= first;
        }
    }
    for (uint64_t i = 0; i < b->spans.count; i++) {
        vs_rec_span *const span = rows_at(&b->spans, i);
        span->start_ns -= first;
        span->end_ns -= first;
    }
    for (uint64_t i = 0; i < b->annotations.count; i++) {
        vs_rec_annotation *const annotation = rows_at(&b->annotations, i);
        annotation->time_ns -= first;
    }
}

static bool set_times(vs_builder *b)
{
    const uint64_t first = b->head.has_time ? first_time(b) : UINT64_MAX;
    if (first == UINT64_MAX) {
        if (b->head.epoch_ns == BUILDER_EPOCH_UNKNOWN) {
            b->head.epoch_ns = 0;
        }
        return true;
    }
    shift_times(b, first);
    if (b->head.epoch_ns == BUILDER_EPOCH_UNKNOWN) {
        b->head.epoch_ns = 0;
        return true;
    }
    if (!vs_add_u64(b->head.epoch_ns, first, &b->head.epoch_ns)) {
        return vs_fail(&b->failure, VS_ERR_VALUE,
                       "the first time of the file is beyond 2^64 nanoseconds since 1970");
    }
    return true;
}

/* ---- finishing: devices -------------------------------------------------------------------------------------------- */

/* Merges the sorted runs [0, half) and [half, count) of from into to. */
static void merge_runs(vs_rec_segment *to, const vs_rec_segment *from, size_t half,
                       size_t count)
{
    size_t a = 0;
    size_t z = half;
    for (size_t i = 0; i < count; i++) {
        const bool takes_a = a < half && (z >= count || from[a].addr <= from[z].addr);
        to[i] = takes_a ? from[a++] : from[z++];
    }
}

static bool are_sorted(const vs_rec_segment *segments, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        if (segments[i - 1].addr > segments[i].addr) {
            return false;
        }
    }
    return true;
}

/* By address; equal ones stay in the file's order. Files have them sorted already. */
static bool sort_segments(vs_builder *b, vs_rec_segment *segments, size_t count)
{
    if (are_sorted(segments, count)) {
        return true;
    }
    vs_rec_segment *const other = VS_RAW_ARRAY(b->desc->scratch, vs_rec_segment, count);
    if (other == NULL) {
        return fail_scratch(b);
    }
    for (size_t half = 1; half < count; half *= 2) {
        for (size_t at = 0; at < count; at += 2 * half) {
            const size_t left = count - at;
            merge_runs(other + at, segments + at, half < left ? half : left,
                       2 * half < left ? 2 * half : left);
        }
        memcpy(segments, other, count * sizeof *segments);
    }
    return true;
}

static bool is_used(const device_rows *d)
{
    return d->events.count > 0 || d->placed_count > 0 || d->segments.count > 0 || d->has_span;
}

static bool comes_before(const device_rows *a, const device_rows *b)
{
    return a->is_host != b->is_host ? b->is_host : a->ordinal < b->ordinal;
}

static bool finish_device(vs_builder *b, const device_rows *d, vs_rec_device *out)
{
    vs_arena *const keep = b->desc->keep;
    vs_rec_segment *const segments = rows_copy(&d->segments, keep);
    const vs_rec_event *const events =
        d->placed != NULL ? d->placed : rows_copy(&d->events, keep);
    const vs_rec_totals *const totals =
        d->totals.count > 0 ? rows_copy(&d->totals, keep) : NULL;
    const char *const name = vs_str_copy(keep, vs_str_of(vs_strtab_get(&b->strings, d->name)));
    if (segments == NULL || events == NULL || name == NULL ||
        (d->totals.count > 0 && totals == NULL)) {
        return fail_keep(b);
    }
    *out = (vs_rec_device){.ordinal = d->ordinal,
                           .event_count =
                               d->placed != NULL ? d->placed_count : (uint32_t)d->events.count,
                           .events = events,
                           .totals = totals,
                           .segments = segments,
                           .segment_count = (uint32_t)d->segments.count,
                           .has_segments = b->has_segments,
                           .is_host = d->is_host,
                           .name = name,
                           .capacity_bytes = d->capacity_bytes};
    return sort_segments(b, segments, (size_t)d->segments.count);
}

/* Cards by ordinal, then hosts; spans say the new numbers. */
static bool finish_devices(vs_builder *b)
{
    uint8_t order[MAX_DEVICES] = {0};
    uint8_t new_of[MAX_DEVICES] = {0};
    uint32_t count = 0;
    for (uint32_t i = 0; i < b->device_count; i++) {
        if (!is_used(&b->devices[i])) {
            continue;
        }
        uint32_t at = count++;
        for (; at > 0 && comes_before(&b->devices[i], &b->devices[order[at - 1]]); at--) {
            order[at] = order[at - 1];
        }
        order[at] = (uint8_t)i;
    }
    vs_rec_device *const devices = VS_ARRAY(b->desc->keep, vs_rec_device, count);
    if (devices == NULL) {
        return fail_keep(b);
    }
    for (uint32_t i = 0; i < count; i++) {
        new_of[order[i]] = (uint8_t)i;
        if (!finish_device(b, &b->devices[order[i]], &devices[i])) {
            return false;
        }
    }
    for (uint64_t i = 0; i < b->spans.count; i++) {
        vs_rec_span *const span = rows_at(&b->spans, i);
        span->device = new_of[span->device];
    }
    b->head.device_count = count;
    b->head.devices = devices;
    return true;
}

/* ---- finishing: the rest ----------------------------------------------------------------------------------------------- */

static bool finish_stacks(vs_builder *b)
{
    vs_arena *const keep = b->desc->keep;
    uint32_t *const first = VS_RAW_ARRAY(keep, uint32_t, (size_t)b->stacks.count + 1);
    uint32_t *const frames = VS_RAW_ARRAY(keep, uint32_t, (size_t)b->stack_frame_count);
    if (first == NULL || frames == NULL) {
        return fail_keep(b);
    }
    uint32_t at = 0;
    for (uint64_t i = 0; i < b->stacks.count; i++) {
        const stack_row *const row = rows_at(&b->stacks, i);
        first[i] = at;
        if (row->count > 0) {
            memcpy(frames + at, row->frames, row->count * sizeof *frames);
        }
        at += row->count;
    }
    first[b->stacks.count] = at;
    b->head.stack_count = (uint32_t)b->stacks.count;
    b->head.stack_first = first;
    b->head.stack_frames = frames;
    return true;
}

static bool finish_strings(vs_builder *b)
{
    vs_arena *const keep = b->desc->keep;
    uint32_t *const offset = VS_RAW_ARRAY(keep, uint32_t, b->strings.count);
    char *const bytes = VS_RAW_ARRAY(keep, char, b->strings.bytes_used);
    if (offset == NULL || bytes == NULL) {
        return fail_keep(b);
    }
    memcpy(offset, b->strings.offset, b->strings.count * sizeof *offset);
    memcpy(bytes, b->strings.bytes, b->strings.bytes_used);
    b->head.string_count = b->strings.count;
    b->head.string_offset = offset;
    b->head.string_bytes = bytes;
    return true;
}

static bool finish_rows(vs_builder *b)
{
    vs_arena *const keep = b->desc->keep;
    vs_recording *const head = &b->head;
    head->block_count = (uint32_t)b->blocks.count;
    head->blocks = rows_copy(&b->blocks, keep);
    head->stream_count = (uint32_t)b->streams.count;
    head->streams = rows_copy(&b->streams, keep);
    head->pool_count = (uint32_t)b->pools.count;
    head->pools = rows_copy(&b->pools, keep);
    head->frame_count = (uint32_t)b->frames.count;
    head->frames = rows_copy(&b->frames, keep);
    head->span_count = (uint32_t)b->spans.count;
    head->spans = rows_copy(&b->spans, keep);
    head->annotation_count = (uint32_t)b->annotations.count;
    head->annotations = rows_copy(&b->annotations, keep);
    head->note_count = (uint32_t)b->notes.count;
    head->notes = rows_copy(&b->notes, keep);
    if (head->blocks == NULL || head->streams == NULL || head->pools == NULL ||
        head->frames == NULL || head->spans == NULL || head->annotations == NULL ||
        head->notes == NULL) {
        return fail_keep(b);
    }
    return true;
}

bool builder_finish(vs_builder *b, vs_recording *out, vs_err *err)
{
    const bool is_finished = !builder_has_failed(b) && set_times(b) && finish_devices(b) &&
                             finish_stacks(b) && finish_strings(b) && finish_rows(b);
    if (!is_finished) {
        if (err != NULL && err->code == VS_OK) {
            *err = b->failure;
        }
        return false;
    }
    *out = b->head;
    return true;
}
