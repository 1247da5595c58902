/* sim/tape/lives.c - the first time over the events: which blocks live when, and how many samples there will be.
 *
 * How many samples an event makes follows from its kind, its category and whether the block has bytes and slack,
 * without any sum: so this pass looks at fields and blocks, and derive.c at sums, and neither repeats the other.
 * What is found wrong here ends the pass; it is reported when derive.c gets that far, unless a sum was wrong before.
 * The tracks that an event writes to are those of derive.c, rule by rule. */
#include "sim/tape/internal.h"

#define REQUEST_GRANULE                                                                        \
    UINT64_C(512) /* kMinBlockSize [1.1] of specs/torch-caching-allocator.md */
#define NEVER UINT32_MAX

_Static_assert(VS_CAT_COUNT <= 32, "memory_state.closed has a bit for every category");

#define DERIVED_CATEGORIES (1u << VS_CAT_SLACK | 1u << VS_CAT_RESFREE)

bool derive_init(derivation *d, const vs_tape *tape, vs_arena *arena, vs_err *err)
{
    if (tape->block_count > 0 && tape->device_count == 0) {
        return vs_fail(err, VS_ERR_VALUE, "the tape has blocks but no memory to hold them");
    }
    *d = (derivation){
        .tape = tape, .event_count = tape_event_count(tape), .refused = UINT64_MAX};
    d->slot_count = tape->device_count > 0 ? tape->device_count * SLOTS_PER_DEVICE + 1 : 0;
    d->memories = VS_ARRAY(arena, memory_state, tape->device_count);
    d->lives = VS_RAW_ARRAY(arena, block_life, tape->block_count);
    d->blocks = VS_RAW_ARRAY(arena, vs_block_info, tape->block_count);
    d->cursor = VS_ARRAY(arena, uint64_t, d->slot_count);
    if (d->memories == NULL || d->lives == NULL || d->blocks == NULL || d->cursor == NULL) {
        return vs_fail_memory(err, arena, "the counters of a tape");
    }
    for (uint32_t i = 0; i < tape->device_count; i++) {
        const bool has_segments = tape->has_segments[i];
        d->memories[i] = (memory_state){
            .room = has_segments ? 0 : TAPE_MAX_BYTES,
            .closed = DERIVED_CATEGORIES,
            .cursor = d->cursor + (size_t)i * SLOTS_PER_DEVICE,
            .is_gpu = tape->devices[i].kind == VS_DEVICE_GPU,
            .has_segments = has_segments,
        };
    }
    for (uint32_t i = 0; i < tape->block_count; i++) {
        d->blocks[i] = (vs_block_info){.born_event = NEVER, .dead_event = NEVER};
    }
    return true;
}

vs_bytes tape_rounded_request(vs_bytes asked_bytes, vs_bytes size_bytes, bool is_gpu)
{
    if (!is_gpu || asked_bytes >= size_bytes) {
        return size_bytes;
    }
    /* asked < size <= 2^60 here, so the sum does not overflow */
    vs_bytes rounded = (asked_bytes + REQUEST_GRANULE - 1) / REQUEST_GRANULE * REQUEST_GRANULE;
    rounded = rounded > 0 ? rounded : REQUEST_GRANULE;
    return rounded < size_bytes ? rounded : size_bytes;
}

/* ---- refusing ---------------------------------------------------------------------------- */

bool derive_fail(const event_chunk *chunk, uint32_t row, uint64_t index, vs_errcode code,
                 const char *why, vs_err *err)
{
    const char *kind = vs_event_kind_key((vs_event_kind)chunk->kind[row]);
    if (tape_kind_has_block(chunk->kind[row])) {
        return vs_fail(err, code,
                       "event %" PRIu64 " (%s of block %" PRIu32 " on memory %u at %" PRIu64
                       " ns, %" PRIu64 " bytes): %s",
                       index, kind, chunk->block[row], (unsigned)chunk->device[row],
                       chunk->time[row], chunk->size[row], why);
    }
    return vs_fail(err, code,
                   "event %" PRIu64 " (%s on memory %u at %" PRIu64 " ns, %" PRIu64
                   " bytes): %s",
                   index, kind[0] != '\0' ? kind : "of unknown kind",
                   (unsigned)chunk->device[row], chunk->time[row], chunk->size[row], why);
}

static const char *why_fields_are_wrong(const vs_tape *tape, const event_chunk *c, uint32_t row)
{
    if (c->kind[row] >= VS_EV_COUNT) {
        return "the kind is unknown";
    }
    if (c->device[row] >= tape->device_count) {
        return "there is no such memory";
    }
    if (c->category[row] >= VS_CAT_COUNT) {
        return "there is no such category";
    }
    if (c->name[row] >= tape->strings.count) {
        return "the name is no string of this tape";
    }
    if (c->flags[row] != 0) {
        return "flags are reserved and must be 0";
    }
    if (tape_kind_has_block(c->kind[row]) && c->block[row] >= tape->block_count) {
        return "there is no such block";
    }
    return NULL;
}

static const char *why_block_is_wrong(const vs_block_info *block, uint8_t kind, uint8_t device)
{
    if (kind == VS_EV_ALLOC) {
        return block->dead_event == NEVER ? "the block is alive already"
                                          : "the block has lived and died already";
    }
    if (block->born_event == NEVER) {
        return "the block was never allocated";
    }
    if (block->dead_event != NEVER) {
        return "the block was freed already";
    }
    if (block->device != device) {
        return "the block lives on another memory";
    }
    return kind == VS_EV_RECAT
               ? "the block's free was requested before, so its category is final"
               : "the block's free was requested already";
}

bool derive_refuse(const derivation *d, const event_chunk *chunk, uint32_t row, vs_err *err)
{
    const char *why = why_fields_are_wrong(d->tape, chunk, row);
    if (why == NULL && chunk->size[row] > TAPE_MAX_BYTES) {
        return derive_fail(chunk, row, d->refused, VS_ERR_LIMIT, "a size above 2^60 bytes",
                           err);
    }
    if (why == NULL) {
        why = why_block_is_wrong(&d->blocks[chunk->block[row]], chunk->kind[row],
                                 chunk->device[row]);
    }
    return derive_fail(chunk, row, d->refused, VS_ERR_VALUE, why, err);
}

/* ---- one event ------------------------------------------------------------------------- */

/* Of one memory. */
typedef struct {
    uint64_t blocks;  /* blocks with bytes that come or go */
    uint64_t counted; /* the same for those that torch counts: until their free is requested */
    uint64_t slack;   /* of the blocks, those with slack */
    uint64_t segments;
    uint64_t levels;
    uint64_t category[VS_CAT_COUNT]; /* samples */
    vs_bytes level[VS_CAT_COUNT];    /* at this moment */
} memory_count;

typedef struct {
    const vs_tape *tape;
    const memory_state *states;
    block_life *lives;
    vs_block_info *blocks;
    memory_count *memories;
    vs_bytes progress;
    uint64_t progress_samples;
} lives_pass;

static inline bool is_plain(const vs_tape *tape, const event_chunk *c, uint32_t i)
{
    return c->kind[i] < VS_EV_COUNT && c->device[i] < tape->device_count &&
           c->category[i] < VS_CAT_COUNT && c->name[i] < tape->strings.count &&
           c->flags[i] == 0 && c->size[i] <= TAPE_MAX_BYTES &&
           (c->block[i] < tape->block_count || !tape_kind_has_block(c->kind[i]));
}

static inline void count_block(memory_count *m, const block_life *life)
{
    if (life->size_bytes > 0) {
        m->blocks++;
        m->counted += !life->is_pending;
        m->category[life->category]++;
        m->slack += life->size_bytes > life->rounded_bytes;
    }
}

static inline bool is_alive(const vs_block_info *block, uint8_t device)
{
    return block->dead_event == NEVER && block->born_event != NEVER && block->device == device;
}

static inline bool see_alloc(const lives_pass *p, const event_chunk *c, uint32_t i,
                             uint32_t index)
{
    const uint8_t device = c->device[i];
    vs_block_info *block = &p->blocks[c->block[i]];
    block_life *life = &p->lives[c->block[i]];
    if (block->born_event != NEVER) {
        return false;
    }
    block->born_event = index;
    block->name = c->name[i];
    block->device = device;
    life->size_bytes = c->size[i];
    life->rounded_bytes =
        tape_rounded_request(c->asked[i], c->size[i], p->states[device].is_gpu);
    life->category = c->category[i];
    life->is_pending = false;
    count_block(&p->memories[device], life);
    return true;
}

static inline bool see_free(const lives_pass *p, const event_chunk *c, uint32_t i,
                            uint32_t index)
{
    vs_block_info *block = &p->blocks[c->block[i]];
    if (!is_alive(block, c->device[i])) {
        return false;
    }
    block->dead_event = index;
    count_block(&p->memories[c->device[i]], &p->lives[c->block[i]]);
    return true;
}

static inline bool see_free_requested(const lives_pass *p, const event_chunk *c, uint32_t i)
{
    block_life *life = &p->lives[c->block[i]];
    if (!is_alive(&p->blocks[c->block[i]], c->device[i]) || life->is_pending) {
        return false;
    }
    life->is_pending = true;
    p->memories[c->device[i]].counted += life->size_bytes > 0;
    return true;
}

static inline bool see_recat(const lives_pass *p, const event_chunk *c, uint32_t i)
{
    const uint8_t category = c->category[i];
    memory_count *m = &p->memories[c->device[i]];
    block_life *life = &p->lives[c->block[i]];
    if (!is_alive(&p->blocks[c->block[i]], c->device[i]) || life->is_pending) {
        return false;
    }
    if (life->size_bytes > 0 && life->category != category) {
        m->category[life->category]++;
        m->category[category]++;
    }
    life->category = category;
    return true;
}

static inline void see_level(memory_count *m, uint8_t category, vs_bytes size_bytes)
{
    if (m->level[category] != size_bytes) {
        m->category[category]++;
        m->levels++;
        m->level[category] = size_bytes;
    }
}

/* False: it is refused. */
static inline bool see_event(lives_pass *p, const event_chunk *c, uint32_t i, uint32_t index)
{
    if (!is_plain(p->tape, c, i)) {
        return false;
    }
    switch ((vs_event_kind)c->kind[i]) {
    case VS_EV_ALLOC: return see_alloc(p, c, i, index);
    case VS_EV_FREE: return see_free(p, c, i, index);
    case VS_EV_RECAT: return see_recat(p, c, i);
    case VS_EV_FREE_REQUESTED: return see_free_requested(p, c, i);
    case VS_EV_SEGMENT_ALLOC:
    case VS_EV_SEGMENT_FREE:
    case VS_EV_SEGMENT_MAP:
    case VS_EV_SEGMENT_UNMAP: p->memories[c->device[i]].segments += c->size[i] > 0; return true;
    case VS_EV_LEVEL:
        see_level(&p->memories[c->device[i]], c->category[i], c->size[i]);
        return true;
    case VS_EV_PROGRESS:
        p->progress_samples += c->size[i] != p->progress;
        p->progress = c->size[i];
        return true;
    case VS_EV_OOM:
    case VS_EV_PHASE:
    case VS_EV_SURFACE:
    case VS_EV_MARK:
    case VS_EV_COUNT: return true;
    }
    return true;
}

/* ---- all events -------------------------------------------------------------------------- */

/* Returns the event that is refused, or UINT64_MAX. */
static uint64_t see_events(lives_pass *p)
{
    uint32_t index = 0;
    for (const event_chunk *chunk = p->tape->first_events; chunk != NULL; chunk = chunk->next) {
        const uint32_t n = tape_rows_in_chunk(p->tape, chunk);
        for (uint32_t i = 0; i < n; i++, index++) {
            if (!see_event(p, chunk, i, index)) {
                return index;
            }
        }
    }
    return UINT64_MAX;
}

static void put_counts(const memory_count *m, const memory_state *memory)
{
    uint64_t *slots = memory->cursor;
    for (uint32_t i = 0; i < VS_CAT_COUNT; i++) {
        slots[i] = m->category[i];
    }
    slots[VS_CAT_SLACK] += m->slack;
    slots[SLOT_ALLOCATED] = memory->is_gpu ? m->counted : 0;
    slots[SLOT_TENSORS] = memory->is_gpu ? m->counted : 0;
    slots[SLOT_RESERVED] = m->segments;
    slots[VS_CAT_RESFREE] += m->segments + (memory->has_segments ? m->blocks : 0);
    slots[SLOT_USED] = m->segments + m->levels + (memory->has_segments ? 0 : m->blocks);
}

bool derive_lives(derivation *d, vs_arena *arena, vs_err *err)
{
    const uint32_t device_count = d->tape->device_count;
    lives_pass p = {.tape = d->tape,
                    .states = d->memories,
                    .lives = d->lives,
                    .blocks = d->blocks,
                    .memories = VS_ARRAY(arena, memory_count, device_count)};
    if (p.memories == NULL) {
        return vs_fail_memory(err, arena, "the counters of a tape");
    }
    d->refused = see_events(&p);
    for (uint32_t i = 0; i < device_count; i++) {
        put_counts(&p.memories[i], &d->memories[i]);
    }
    if (d->slot_count > 0) {
        d->cursor[d->slot_count - 1] = p.progress_samples;
    }
    return true;
}
