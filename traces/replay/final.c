/* final.c - our segments and blocks at the end, beside the lists that the recording closes with [15.3, 15.4].
 *
 * Both are in address order. A maximal run of mapped pages is a segment [9.6]. */
#include "traces/replay/internal.h"

typedef struct {
    uint64_t addr;
    uint64_t end;
    vs_bytes allocated;
    vs_bytes active;
    uint32_t view_first;
    uint32_t view_count;
} our_segment;

typedef struct {
    vs_block_view *views;
    uint32_t view_count;
    our_segment *segments;
    uint32_t segment_count;
    bool is_counting;
} our_list;

static void note_view(void *ctx, const vs_block_view *view)
{
    our_list *list = ctx;
    if (view->state == VS_BLOCK_UNMAPPED) {
        return;
    }
    if (!list->is_counting) {
        list->views[list->view_count] = *view;
    }
    list->view_count++;
}

static bool goes_on(const our_list *list, uint32_t at)
{
    const our_segment *last = &list->segments[list->segment_count - 1u];
    return last->end == list->views[at].addr &&
           list->views[at - 1u].segment_addr == list->views[at].segment_addr;
}

static void add_view(our_list *list, uint32_t at)
{
    const vs_block_view *view = &list->views[at];
    if (at == 0 || !goes_on(list, at)) {
        list->segments[list->segment_count++] =
            (our_segment){.addr = view->addr, .end = view->addr, .view_first = at};
    }
    our_segment *last = &list->segments[list->segment_count - 1u];
    last->end += view->size_bytes;
    last->view_count++;
    last->allocated += view->state == VS_BLOCK_ALLOCATED ? view->size_bytes : 0;
    last->active += view->state != VS_BLOCK_FREE ? view->size_bytes : 0;
}

static bool list_ours(our_list *list, const vs_pool *pool, vs_arena *scratch)
{
    *list = (our_list){.is_counting = true};
    if (!vs_pool_visit(pool, scratch, note_view, list)) {
        return false;
    }
    list->views = VS_ARRAY(scratch, vs_block_view, list->view_count);
    list->segments = VS_ARRAY(scratch, our_segment, list->view_count);
    if (list->views == NULL || list->segments == NULL) {
        return false;
    }
    list->view_count = 0;
    list->is_counting = false;
    if (!vs_pool_visit(pool, scratch, note_view, list)) {
        return false;
    }
    for (uint32_t i = 0; i < list->view_count; i++) {
        add_view(list, i);
    }
    return true;
}

static vs_rec_block_state state_of(const vs_block_view *view)
{
    switch (view->state) {
    case VS_BLOCK_ALLOCATED: return VS_REC_BLOCK_ACTIVE;
    case VS_BLOCK_PENDING: return VS_REC_BLOCK_PENDING;
    case VS_BLOCK_FREE:
    case VS_BLOCK_UNMAPPED: return VS_REC_BLOCK_INACTIVE;
    }
    return VS_REC_BLOCK_INACTIVE;
}

/* One mismatch a block that is not the same; what one list has more of counts as well. */
static void compare_blocks(replay_device *d, const vs_rec_segment *recorded,
                           const our_list *list, const our_segment *ours)
{
    const vs_rec_block *blocks = &d->rec->blocks[recorded->block_first]; /* there are some */
    const vs_block_view *views = list->views + ours->view_first;
    const uint32_t most =
        recorded->block_count > ours->view_count ? recorded->block_count : ours->view_count;
    for (uint32_t i = 0; i < most; i++) {
        const bool has_both = i < recorded->block_count && i < ours->view_count;
        if (!has_both) {
            replay_mismatch(d, MISS_BLOCKS, d->event_count,
                            "blocks of a segment (their number)", recorded->block_count,
                            ours->view_count);
        } else if (blocks[i].addr != views[i].addr || blocks[i].size != views[i].size_bytes) {
            replay_mismatch(d, MISS_ALLOCATED, d->event_count, "a block (its size)",
                            blocks[i].size, views[i].size_bytes);
        } else if (blocks[i].state != (uint8_t)state_of(&views[i])) {
            replay_mismatch(d, MISS_BLOCKS, d->event_count,
                            "a block (its state: 0 active, 1 pending, 2 free)", blocks[i].state,
                            (uint64_t)state_of(&views[i]));
        }
    }
}

static void compare_segment(replay_device *d, const vs_rec_segment *recorded,
                            const our_list *list, const our_segment *ours)
{
    if (recorded->total != ours->end - ours->addr) {
        replay_mismatch(d, MISS_SEGMENT_SIZE, d->event_count, "a segment (its size)",
                        recorded->total, ours->end - ours->addr);
        return;
    }
    if (recorded->allocated != UINT64_MAX && recorded->allocated != ours->allocated) {
        replay_mismatch(d, MISS_ALLOCATED, d->event_count, "allocated in a segment",
                        recorded->allocated, ours->allocated);
    }
    if (recorded->active != UINT64_MAX && recorded->active != ours->active) {
        replay_mismatch(d, MISS_ALLOCATED, d->event_count, "active in a segment",
                        recorded->active, ours->active);
    }
    if (recorded->block_count != 0) {
        compare_blocks(d, recorded, list, ours);
    }
}

static void compare_lists(replay_device *d, const our_list *list)
{
    uint32_t i = 0;
    uint32_t k = 0;
    while (i < d->dev->segment_count || k < list->segment_count) {
        const uint64_t recorded =
            i < d->dev->segment_count ? d->dev->segments[i].addr : UINT64_MAX;
        const uint64_t ours = k < list->segment_count ? list->segments[k].addr : UINT64_MAX;
        if (recorded == ours && i < d->dev->segment_count && k < list->segment_count) {
            compare_segment(d, &d->dev->segments[i++], list, &list->segments[k++]);
        } else if (recorded < ours || k == list->segment_count) {
            replay_mismatch(d, MISS_SEGMENT, d->event_count, "a segment (its address)",
                            recorded, 0);
            i++;
        } else {
            replay_mismatch(d, MISS_SEGMENT, d->event_count, "a segment (its address)", 0,
                            ours);
            k++;
        }
    }
}

bool replay_compare_end(replay_device *d, vs_arena *scratch)
{
    const size_t mark = scratch->used_bytes;
    our_list list = {0};
    if (!list_ours(&list, d->pool, scratch)) {
        return vs_fail_memory(&d->err, scratch, "the final list of blocks");
    }
    compare_lists(d, &list);
    vs_arena_rewind(scratch, mark);
    if (d->result.recorded_final_reserved_bytes != d->result.final_reserved_bytes) {
        replay_mismatch(d, MISS_RESERVED, d->event_count, "reserved",
                        d->result.recorded_final_reserved_bytes,
                        d->result.final_reserved_bytes);
    }
    return true;
}
