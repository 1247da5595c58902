/* seed.c - the state before the recording, into our allocator [17.3].
 *
 * Rules: 1. a block whose size nobody tells has its rounded request; 2. in the large pool, not expandable, what follows it
 * belongs to it when it is at most 1 MiB: nothing that small is split off; neither is anything from a block of the
 * max_split_size and more [4.1]; 3. everything else is free. A recorded address may have told better
 * (d->corrections). */
#include "traces/replay/internal.h"

#define TAIL_BYTES (REPLAY_MAX_SIZE) /* what a range has left: it never runs out here */

/* ---- what recorded addresses tell of sizes ------------------------------------------------ */

/* A block of the large pool whose end is not known: somewhere in [from, to]. */
typedef struct {
    uint64_t from;
    uint64_t to;
    vs_bytes by_rule;
    initial_block *block;
} open_end;

/* Rule 2. room: up to the next block or the end of the segment. */
static vs_bytes size_by_rule(const replay_device *d, vs_bytes rounded, vs_bytes room)
{
    const bool is_whole = room - rounded <= REPLAY_SLACK || rounded >= d->max_split_bytes;
    return rounded <= room && is_whole ? room : rounded;
}

static uint32_t open_ends_of(const replay_device *d, const initial_segment *segment,
                             open_end *ends)
{
    initial_block *blocks = d->initial->blocks + segment->block_first;
    const uint64_t segment_end = segment->addr + segment->size;
    uint32_t count = 0;
    for (uint32_t i = 0; i < segment->block_count; i++) {
        initial_block *block = &blocks[i];
        const bool is_last = i + 1u == segment->block_count;
        const uint64_t room = (is_last ? segment_end : blocks[i + 1u].addr) - block->addr;
        const uint64_t rounded = vs_pool_round(d->pool, block->asked);
        if (block->size != 0 || rounded > room) {
            continue;
        }
        const uint64_t limit = is_last ? room - 1u : room; /* nothing begins at the very end */
        const uint64_t most = rounded + REPLAY_SLACK < limit ? rounded + REPLAY_SLACK : limit;
        block->most = rounded + REPLAY_SLACK < room ? rounded + REPLAY_SLACK : room;
        ends[count++] = (open_end){.from = block->addr + rounded,
                                   .to = block->addr + most,
                                   .by_rule = size_by_rule(d, rounded, room),
                                   .block = block};
    }
    return count;
}

static uint32_t list_open_ends(const replay_device *d, open_end *ends)
{
    const initial_state *s = d->initial;
    uint32_t count = 0;
    for (uint32_t i = 0; i < s->segment_count; i++) {
        if (!s->segments[i].is_small && !s->segments[i].is_expandable) {
            count += open_ends_of(d, &s->segments[i], ends + count);
        }
    }
    return count;
}

/* The one that addr may be the end of: the last that begins there or before. They do not overlap but in hostile
 * recordings, where any will do. */
static open_end *find_open_end(open_end *ends, uint32_t count, uint64_t addr)
{
    uint32_t low = 0;
    for (uint32_t span = count; span > 0;) {
        const uint32_t half = span / 2;
        if (ends[low + half].from <= addr) {
            low += half + 1u;
            span -= half + 1u;
        } else {
            span = half;
        }
    }
    return low != 0 && ends[low - 1u].to >= addr ? &ends[low - 1u] : NULL;
}

/* A block is handed out from the front of a free one. So the first that comes to lie behind a block from before while that
 * lives, with nothing between them, begins where that ends. */
static bool learn_sizes(replay_device *d)
{
    const size_t mark = d->arena->used_bytes;
    open_end *ends = VS_ARRAY(d->arena, open_end, (size_t)d->initial->block_count + 1u);
    if (ends == NULL) {
        return false;
    }
    const uint32_t count = list_open_ends(d, ends);
    for (uint32_t i = 0; i < d->event_count && count != 0; i++) {
        const vs_rec_event *event = &d->events[i];
        open_end *end = event->action == VS_REC_ALLOC && event->size != 0
                            ? find_open_end(ends, count, event->addr)
                            : NULL;
        if (end != NULL && end->block->size == 0 && i < end->block->freed_at) {
            end->block->size = event->addr - end->block->addr;
            end->block->most = 0;
            d->learned_count += end->block->size != end->by_rule;
        }
    }
    vs_arena_rewind(d->arena, mark);
    return true;
}

/* ---- filling segments ------------------------------------------------------------------------ */

typedef struct {
    replay_device *d;
    vs_pool_piece *pieces;
    uint32_t *block_of; /* by piece: index of the initial block, UINT32_MAX none */
    uint32_t count;
    uint64_t at; /* address behind the last piece */
    const initial_segment *segment;
    uint32_t run; /* expandable: the next run */
} filler;

static void add_piece(filler *f, vs_pool_piece piece, uint32_t block)
{
    if (piece.size_bytes == 0) {
        return;
    }
    vs_pool_piece *last = f->count == 0 ? NULL : &f->pieces[f->count - 1u];
    const bool is_idle = piece.state == VS_BLOCK_FREE || piece.state == VS_BLOCK_UNMAPPED;
    f->at += piece.size_bytes;
    if (is_idle && last != NULL && last->state == piece.state) {
        last->size_bytes += piece.size_bytes;
        return;
    }
    f->block_of[f->count] = block;
    f->pieces[f->count++] = piece;
}

/* Nothing lives in [f->at, end): free, and in a range unmapped between its runs. */
static void add_gap(filler *f, uint64_t end)
{
    if (!f->segment->is_expandable) {
        add_piece(f, (vs_pool_piece){.size_bytes = end - f->at, .state = VS_BLOCK_FREE},
                  UINT32_MAX);
        return;
    }
    const initial_run *runs = f->d->initial->runs + f->segment->run_first;
    while (f->at < end) {
        const bool has_run = f->run < f->segment->run_count;
        const uint64_t from = has_run ? runs[f->run].addr : UINT64_MAX;
        const uint64_t to = has_run ? from + runs[f->run].size : UINT64_MAX;
        if (has_run && f->at >= to) {
            f->run++;
            continue;
        }
        const bool is_mapped = f->at >= from;
        const uint64_t stop = is_mapped ? to : from;
        const uint64_t until = stop < end ? stop : end;
        add_piece(f,
                  (vs_pool_piece){.size_bytes = until - f->at,
                                  .state = is_mapped ? VS_BLOCK_FREE : VS_BLOCK_UNMAPPED},
                  UINT32_MAX);
    }
}

/* Size of a block; room: up to the next one or the end of the segment. */
static uint64_t size_of(const filler *f, const initial_block *block, uint64_t room)
{
    if (block->size != 0) {
        return block->size;
    }
    for (uint32_t i = 0; i < f->d->correction_count; i++) {
        if (f->d->corrections[i].addr == block->addr) {
            return f->d->corrections[i].size;
        }
    }
    const uint64_t rounded = vs_pool_round(f->d->pool, block->asked);
    const bool can_be_slack = !f->segment->is_small && !f->segment->is_expandable;
    return can_be_slack ? size_by_rule(f->d, rounded, room) : rounded;
}

/* What is not mapped is whole pages of its pool; hostile recordings need not know. */
static bool is_paged(const filler *f)
{
    const uint64_t page = f->segment->is_small ? 2 * VS_MIB : f->d->large_page_bytes;
    uint64_t at = 0;
    for (uint32_t i = 0; i < f->count; i++) {
        const vs_pool_piece *piece = &f->pieces[i];
        if (piece->state == VS_BLOCK_UNMAPPED &&
            (at % page != 0 || piece->size_bytes % page != 0)) {
            return false;
        }
        at += piece->size_bytes;
    }
    return true;
}

static const char *fill(filler *f)
{
    const initial_state *initial = f->d->initial;
    const initial_block *blocks = initial->blocks + f->segment->block_first;
    const uint64_t segment_end = f->segment->addr + f->segment->size;
    f->at = f->segment->addr;
    for (uint32_t i = 0; i < f->segment->block_count; i++) {
        if (blocks[i].addr < f->at) {
            return "blocks from before the recording overlap";
        }
        add_gap(f, blocks[i].addr);
        const bool is_last = i + 1u == f->segment->block_count;
        const uint64_t room = (is_last ? segment_end : blocks[i + 1u].addr) - f->at;
        const uint64_t size = size_of(f, &blocks[i], room);
        if (size > room || size == 0) {
            return "a block from before the recording does not fit where it was";
        }
        const vs_rec_event like = {
            .size = blocks[i].asked, .stack = blocks[i].stack, .category = VS_CAT_TENSOR};
        const vs_pool_request request = replay_request(f->d, &like);
        add_piece(f,
                  (vs_pool_piece){.size_bytes = size,
                                  .asked_bytes = blocks[i].asked,
                                  .name = request.name,
                                  .category = VS_CAT_TENSOR,
                                  .state = blocks[i].is_pending ? VS_BLOCK_PENDING
                                                                : VS_BLOCK_ALLOCATED},
                  f->segment->block_first + i);
    }
    add_gap(f, segment_end);
    if (!f->segment->is_expandable) {
        return NULL;
    }
    const uint64_t page = f->segment->is_small ? 2 * VS_MIB : f->d->large_page_bytes;
    add_piece(
        f, (vs_pool_piece){.size_bytes = TAIL_BYTES / page * page, .state = VS_BLOCK_UNMAPPED},
        UINT32_MAX);
    return is_paged(f) ? NULL
                       : "expandable segments from before the recording that are no whole "
                         "pages of their pool";
}

static bool keep_handles(const filler *f, const vs_block *handles)
{
    const initial_state *initial = f->d->initial;
    for (uint32_t i = 0; i < f->count; i++) {
        if (f->block_of[i] == UINT32_MAX) {
            continue;
        }
        const initial_block *block = &initial->blocks[f->block_of[i]];
        const uint32_t birth = BIRTH_INITIAL | (block->is_pending ? BIRTH_PENDING : 0);
        if (!blockmap_put(&f->d->map, block->addr, handles[i].id, birth)) {
            return false;
        }
    }
    return true;
}

static bool out_of_memory(replay_device *d)
{
    d->is_lost = true;
    return vs_fail_memory(&d->err, d->arena, "the state before the recording");
}

static bool seed_segment(replay_device *d, const initial_segment *segment)
{
    const size_t most = (size_t)segment->block_count * 3 + (size_t)segment->run_count * 2 + 4;
    filler f = {.d = d, .segment = segment};
    f.pieces = VS_ARRAY(d->arena, vs_pool_piece, most);
    f.block_of = VS_ARRAY(d->arena, uint32_t, most);
    vs_block *handles = VS_ARRAY(d->arena, vs_block, most);
    if (f.pieces == NULL || f.block_of == NULL || handles == NULL) {
        return out_of_memory(d);
    }
    const char *reason = fill(&f);
    if (reason != NULL) {
        d->result.reason = reason;
        return false;
    }
    const vs_pool_seed seed = {.addr = segment->addr,
                               .stream = replay_stream(d, segment->stream, segment->pool),
                               .is_small = segment->is_small,
                               .is_expandable = segment->is_expandable,
                               .pieces = f.pieces,
                               .piece_count = f.count};
    return (vs_pool_add_seed(d->pool, d->now, &seed, handles) && keep_handles(&f, handles)) ||
           out_of_memory(d);
}

bool replay_seed(replay_device *d)
{
    if (!d->has_learned && !learn_sizes(d)) {
        return out_of_memory(d);
    }
    d->has_learned = true;
    for (uint32_t i = 0; i < d->initial->segment_count; i++) {
        if (!seed_segment(d, &d->initial->segments[i])) {
            return false;
        }
    }
    return true;
}
