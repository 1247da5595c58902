/* traces/write/snapshot_state.c - the segments and blocks that a snapshot lists: those at the end [15.3, 15.4].
 *
 * Which addresses a card has at the end follows from its segment events: for each address, the last event that covers it. So a
 * line is swept over the addresses, with the events that cover the present one in a heap, latest on top:
 *
 *      alloc 1  |==========|                      ends of events, by address
 *      free 5   |==========|                      |   |      |
 *      map 2              |======|
 *      map 3                     |======|         top: 5, 2, 3 -> one run of mapped pages
 *
 * What an allocation covers is one segment; mapped pages that follow each other are one [9.6]. Blocks that are alive are
 * then laid into the runs by address; what is between them is free. O(n log n). */
#include "traces/write/snapshot.h"

#include <stdlib.h>

#define SMALL_SEGMENT_BYTES                                                                    \
    (2 * VS_MIB) /* kSmallBuffer [1.1]: the segments of the small pool */

/* One of the two ends of what a segment event covers. */
typedef struct {
    uint64_t addr;
    uint32_t row; /* of the sweep's events */
    bool is_start;
} edge;

typedef struct {
    uint64_t addr;
    uint64_t end;
    uint32_t event; /* the first that gave it */
    bool is_mapped;
} run;

typedef struct {
    uint64_t addr;
    uint32_t block;
} live_block;

typedef struct {
    const vs_timeline *tl;
    uint32_t *events; /* per row: about a segment, with bytes, in their order */
    uint32_t event_count;
    edge *edges;
    uint32_t *heap; /* rows, the greatest first */
    uint32_t heap_count;
    bool *is_over; /* per row: the line has passed its end */
    run *runs;
    uint32_t run_count;
    live_block *live;
    uint32_t live_count;
} sweep;

/* ---- the heap ------------------------------------------------------------------------------- */

static void swap_rows(uint32_t *a, uint32_t *b)
{
    const uint32_t kept = *a;
    *a = *b;
    *b = kept;
}

static void push_row(sweep *s, uint32_t row)
{
    uint32_t at = s->heap_count++;
    s->heap[at] = row;
    while (at > 0 && s->heap[(at - 1) / 2] < s->heap[at]) {
        swap_rows(&s->heap[(at - 1) / 2], &s->heap[at]);
        at = (at - 1) / 2;
    }
}

static void pop_row(sweep *s)
{
    uint32_t at = 0;
    s->heap[0] = s->heap[--s->heap_count];
    for (;;) {
        const uint64_t left = 2 * (uint64_t)at + 1;
        uint64_t greatest = at;
        if (left < s->heap_count && s->heap[left] > s->heap[greatest]) {
            greatest = left;
        }
        if (left + 1 < s->heap_count && s->heap[left + 1] > s->heap[greatest]) {
            greatest = left + 1;
        }
        if (greatest == at) {
            return;
        }
        swap_rows(&s->heap[greatest], &s->heap[at]);
        at = (uint32_t)greatest;
    }
}

/* ---- the sweep --------------------------------------------------------------------------------- */

static int compare_edges(const void *a, const void *b)
{
    const edge *x = a;
    const edge *y = b;
    if (x->addr != y->addr) {
        return x->addr < y->addr ? -1 : 1;
    }
    if (x->row != y->row) {
        return x->row < y->row ? -1 : 1;
    }
    return (x->is_start ? 1 : 0) - (y->is_start ? 1 : 0);
}

/* [from, to) belongs to the run of an event, or begins one. */
static void cover(sweep *s, uint64_t from, uint64_t to, uint32_t event)
{
    const vs_timeline *tl = s->tl;
    const bool is_mapped = tl->event_kind[event] == VS_EV_SEGMENT_MAP;
    run *last = &s->runs[s->run_count > 0 ? s->run_count - 1 : 0];
    const bool is_same =
        s->run_count > 0 && last->end == from &&
        (last->event == event || (last->is_mapped && is_mapped &&
                                  tl->event_stream[last->event] == tl->event_stream[event]));
    if (is_same) {
        last->end = to;
        return;
    }
    s->runs[s->run_count++] =
        (run){.addr = from, .end = to, .event = event, .is_mapped = is_mapped};
}

static void sweep_over(sweep *s)
{
    uint64_t from = 0;
    for (uint64_t i = 0; i < 2 * (uint64_t)s->event_count; i++) {
        const edge *e = &s->edges[i];
        if (s->heap_count > 0 && e->addr > from) {
            const uint32_t event = s->events[s->heap[0]];
            const uint8_t kind = s->tl->event_kind[event];
            if (kind == VS_EV_SEGMENT_ALLOC || kind == VS_EV_SEGMENT_MAP) {
                cover(s, from, e->addr, event);
            }
        }
        from = e->addr;
        if (e->is_start) {
            push_row(s, e->row);
        } else {
            s->is_over[e->row] = true;
        }
        while (s->heap_count > 0 && s->is_over[s->heap[0]]) {
            pop_row(s);
        }
    }
}

static bool find_runs(sweep *s, uint8_t device, vs_arena *scratch, vs_err *err)
{
    const vs_timeline *tl = s->tl;
    uint32_t count = 0;
    for (uint32_t i = 0; i < tl->event_count; i++) {
        count += tl->event_device[i] == device && snapshot_is_segment_event(tl, i);
    }
    s->events = VS_RAW_ARRAY(scratch, uint32_t, count);
    s->edges = VS_RAW_ARRAY(scratch, edge, (size_t)count * 2);
    s->heap = VS_RAW_ARRAY(scratch, uint32_t, count);
    s->is_over = VS_ARRAY(scratch, bool, count);
    s->runs = VS_RAW_ARRAY(scratch, run, (size_t)count * 2);
    if (s->events == NULL || s->edges == NULL || s->heap == NULL || s->is_over == NULL ||
        s->runs == NULL) {
        return vs_fail_memory(err, scratch, "the segments of a snapshot");
    }
    for (uint32_t i = 0; i < tl->event_count; i++) {
        if (tl->event_device[i] != device || !snapshot_is_segment_event(tl, i) ||
            tl->event_size[i] == 0) {
            continue;
        }
        const uint64_t addr = tl->event_addr[i];
        const uint64_t room = UINT64_MAX - addr;
        const vs_bytes size = tl->event_size[i] < room ? tl->event_size[i] : room;
        const uint32_t row = s->event_count++;
        s->events[row] = i;
        s->edges[2 * (size_t)row] = (edge){.addr = addr, .row = row, .is_start = true};
        s->edges[2 * (size_t)row + 1] = (edge){.addr = addr + size, .row = row};
    }
    qsort(s->edges, 2 * (size_t)s->event_count, sizeof *s->edges, compare_edges);
    sweep_over(s);
    return true;
}

/* ---- blocks --------------------------------------------------------------------------------------- */

static int compare_blocks(const void *a, const void *b)
{
    const live_block *x = a;
    const live_block *y = b;
    if (x->addr != y->addr) {
        return x->addr < y->addr ? -1 : 1;
    }
    return x->block < y->block ? -1 : x->block > y->block;
}

static bool find_blocks(sweep *s, uint8_t device, vs_arena *scratch, vs_err *err)
{
    const vs_timeline *tl = s->tl;
    uint32_t count = 0;
    for (int pass = 0; pass < 2; pass++) {
        for (uint32_t i = 0; i < tl->block_count; i++) {
            const vs_block_info *b = &tl->blocks[i];
            if (b->device != device || b->born_event == UINT32_MAX ||
                b->dead_event != UINT32_MAX || tl->event_size[b->born_event] == 0) {
                continue;
            }
            if (pass == 0) {
                count++;
            } else {
                s->live[s->live_count++] =
                    (live_block){.addr = snapshot_address(tl, i), .block = i};
            }
        }
        if (pass == 0) {
            s->live = VS_RAW_ARRAY(scratch, live_block, count);
            if (s->live == NULL) {
                return vs_fail_memory(err, scratch, "the blocks of a snapshot");
            }
        }
    }
    qsort(s->live, s->live_count, sizeof *s->live, compare_blocks);
    return true;
}

/* ---- writing ----------------------------------------------------------------------------------------- */

/* The sums of a segment, while its blocks are written. */
typedef struct {
    vs_bytes allocated;
    vs_bytes active;
    vs_bytes requested;
} segment_sums;

static vs_bytes size_of(const sweep *s, const live_block *b)
{
    return s->tl->event_size[s->tl->blocks[b->block].born_event];
}

static void begin_block(snapshot_writer *w, uint64_t addr, vs_bytes size, vs_bytes requested)
{
    pickle_item(&w->p);
    pickle_dict(&w->p);
    snapshot_put_u64(w, WORD_ADDRESS, addr);
    snapshot_put_u64(w, WORD_SIZE, size);
    snapshot_put_u64(w, WORD_REQUESTED_SIZE, requested);
}

static void put_free_block(snapshot_writer *w, uint64_t addr, uint64_t end)
{
    if (end > addr) {
        begin_block(w, addr, end - addr, 0);
        snapshot_put_key(w, WORD_STATE);
        snapshot_put_word(w, WORD_INACTIVE);
        snapshot_put_key(w, WORD_FRAMES);
        pickle_list(&w->p);
        pickle_close(&w->p);
        pickle_close(&w->p);
    }
}

static void put_live_block(snapshot_writer *w, const sweep *s, const live_block *b,
                           segment_sums *sums)
{
    const bool is_pending = (w->block_states[b->block] & BLOCK_IS_PENDING) != 0;
    const vs_bytes size = size_of(s, b);
    const vs_bytes requested = snapshot_request(s->tl, b->block);
    begin_block(w, b->addr, size, requested);
    snapshot_put_key(w, WORD_STATE);
    snapshot_put_word(w, is_pending ? WORD_PENDING : WORD_ACTIVE);
    snapshot_put_frames(w, s->tl->blocks[b->block].name, snapshot_category(w, b->block));
    pickle_close(&w->p);
    sums->active += size;
    sums->allocated += is_pending ? 0 : size;
    sums->requested += requested;
}

static void put_segment(snapshot_writer *w, uint32_t card, const run *r, const sweep *s,
                        uint32_t *next)
{
    segment_sums sums = {0};
    uint64_t at = r->addr;
    w->segment_count++;
    pickle_item(&w->p);
    pickle_dict(&w->p);
    snapshot_put_key(w, WORD_BLOCKS);
    pickle_list(&w->p);
    while (*next < s->live_count) {
        const live_block *b = &s->live[*next];
        if (b->addr < at || b->addr >= r->end || size_of(s, b) > r->end - b->addr) {
            break;
        }
        put_free_block(w, at, b->addr);
        put_live_block(w, s, b, &sums);
        at = b->addr + size_of(s, b);
        (*next)++;
    }
    put_free_block(w, at, r->end);
    pickle_close(&w->p);
    snapshot_put_u64(w, WORD_DEVICE, card);
    snapshot_put_u64(w, WORD_ADDRESS, r->addr);
    snapshot_put_u64(w, WORD_TOTAL_SIZE, r->end - r->addr);
    snapshot_put_u64(w, WORD_ALLOCATED_SIZE, sums.allocated);
    snapshot_put_u64(w, WORD_ACTIVE_SIZE, sums.active);
    snapshot_put_u64(w, WORD_REQUESTED_SIZE, sums.requested);
    snapshot_put_u64(w, WORD_STREAM, s->tl->event_stream[r->event]);
    snapshot_put_key(w, WORD_SEGMENT_TYPE);
    snapshot_put_word(w, s->tl->event_size[r->event] == SMALL_SEGMENT_BYTES ? WORD_SMALL
                                                                            : WORD_LARGE);
    snapshot_put_key(w, WORD_SEGMENT_POOL_ID);
    pickle_pair(&w->p, 0, 0);
    snapshot_put_key(w, WORD_IS_EXPANDABLE);
    pickle_bool(&w->p, r->is_mapped);
    snapshot_put_key(w, WORD_FRAMES);
    pickle_list(&w->p);
    pickle_close(&w->p);
    pickle_close(&w->p);
}

/* A block that lies in no run is its own. */
static void put_stray(snapshot_writer *w, uint32_t card, const sweep *s, uint32_t *next)
{
    const live_block *b = &s->live[*next];
    const run own = {.addr = b->addr,
                     .end = b->addr + size_of(s, b),
                     .event = s->tl->blocks[b->block].born_event};
    put_segment(w, card, &own, s, next);
}

static void put_card(snapshot_writer *w, uint32_t card, const sweep *s)
{
    uint32_t next = 0;
    for (uint32_t i = 0; i < s->run_count; i++) {
        while (next < s->live_count && s->live[next].addr < s->runs[i].addr) {
            put_stray(w, card, s, &next);
        }
        put_segment(w, card, &s->runs[i], s, &next);
    }
    while (next < s->live_count) {
        put_stray(w, card, s, &next);
    }
}

bool snapshot_put_segments(snapshot_writer *w, vs_err *err)
{
    snapshot_put_key(w, WORD_SEGMENTS);
    pickle_list(&w->p);
    for (uint32_t card = 0; card < w->card_count; card++) {
        const size_t mark = w->scratch->used_bytes;
        sweep s = {.tl = w->tl};
        if (!find_runs(&s, w->cards[card], w->scratch, err) ||
            !find_blocks(&s, w->cards[card], w->scratch, err)) {
            return false;
        }
        put_card(w, card, &s);
        vs_arena_rewind(w->scratch, mark);
    }
    pickle_close(&w->p);
    return true;
}
