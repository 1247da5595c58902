/* sim/study/compare_live.c - what is alive in one run and not in the other.
 *
 * The blocks of each run are sorted by size and, where the runs share names, by name; both lists are then walked
 * together, and the surplus of either side is added up by size, the greatest few in the caller's struct. */
#include "sim/study/compare.h"

#include <stdlib.h>
#include <string.h>

typedef struct {
    const char *name; /* NULL in a list that goes by size alone */
    vs_bytes size_bytes;
    uint32_t block;
} entry;

typedef struct {
    entry *entries;
    uint32_t count;
} live_list;

static bool is_alive(const vs_timeline *tl, uint32_t block, uint8_t device, uint32_t event)
{
    const vs_block_info *b = &tl->blocks[block];
    return b->device == device && b->born_event <= event &&
           (b->dead_event == NEVER || b->dead_event > event);
}

static bool list_live(live_list *out, vs_arena *arena, const vs_timeline *tl, uint8_t device,
                      uint32_t event)
{
    uint32_t count = 0;
    *out = (live_list){0};
    if (event == VS_NO_MOMENT) {
        return true;
    }
    for (uint32_t b = 0; b < tl->block_count; b++) {
        count += is_alive(tl, b, device, event);
    }
    out->entries = VS_ARRAY(arena, entry, count);
    for (uint32_t b = 0; out->entries != NULL && b < tl->block_count; b++) {
        if (is_alive(tl, b, device, event)) {
            out->entries[out->count++] =
                (entry){.name = vs_timeline_string(tl, tl->blocks[b].name),
                        .size_bytes = tl->event_size[tl->blocks[b].born_event],
                        .block = b};
        }
    }
    return out->entries != NULL;
}

static bool share_names(bool *out, vs_arena *arena, const live_list lists[VS_SIDES])
{
    vs_strtab names = {0};
    *out = false;
    if (!vs_strtab_init(&names, arena, lists[0].count)) {
        return false;
    }
    for (uint32_t i = 0; i < lists[0].count; i++) {
        if (vs_strtab_add(&names, vs_str_of(lists[0].entries[i].name)) == UINT32_MAX) {
            return false;
        }
    }
    for (uint32_t i = 0; i < lists[1].count && !*out; i++) {
        const char *name = lists[1].entries[i].name;
        *out = name[0] != '\0' && vs_strtab_find(&names, vs_str_of(name)) != UINT32_MAX;
    }
    return true;
}

/* Largest first; then by name, in a list that has names. */
static int compare_kinds(const entry *x, const entry *y)
{
    if (x->size_bytes != y->size_bytes) {
        return x->size_bytes > y->size_bytes ? -1 : 1;
    }
    return x->name != NULL && y->name != NULL ? strcmp(x->name, y->name) : 0;
}

static int compare_entries(const void *a, const void *b)
{
    const entry *x = a;
    const entry *y = b;
    const int kinds = compare_kinds(x, y);
    return kinds != 0 ? kinds : (x->block > y->block) - (x->block < y->block);
}

static void sort(live_list *list, bool is_by_name)
{
    for (uint32_t i = 0; !is_by_name && i < list->count; i++) {
        list->entries[i].name = NULL;
    }
    if (list->count > 1) {
        qsort(list->entries, list->count, sizeof *list->entries, compare_entries);
    }
}

/* ---- the surplus ------------------------------------------------------------------------- */

static void keep(vs_live_difference *out, uint32_t side, vs_live_group group)
{
    vs_live_group *groups = out->groups[side];
    const vs_bytes bytes =
        group.size_bytes * group.count; /* part of what is alive: below 2^60 */
    out->only_count[side] += group.count;
    out->only_bytes[side] += bytes;
    uint32_t at = out->group_count[side];
    while (at > 0 && groups[at - 1].size_bytes * groups[at - 1].count < bytes) {
        at--;
    }
    if (at == VS_COMPARE_GROUPS) {
        return;
    }
    const uint32_t last = out->group_count[side] < VS_COMPARE_GROUPS ? out->group_count[side]++
                                                                     : VS_COMPARE_GROUPS - 1;
    for (uint32_t i = last; i > at; i--) {
        groups[i] = groups[i - 1];
    }
    groups[at] = group;
}

static uint32_t run_of(const live_list *list, uint32_t from)
{
    uint32_t to = from;
    while (to < list->count && compare_kinds(&list->entries[from], &list->entries[to]) == 0) {
        to++;
    }
    return to - from;
}

/* The group that is being added up: blocks of one size come one after the other. */
static void add(vs_live_difference *out, vs_live_group *open, uint32_t side, const entry *e,
                uint32_t count)
{
    if (open->count > 0 && open->size_bytes != e->size_bytes) {
        keep(out, side, *open);
        *open = (vs_live_group){0};
    }
    if (open->count == 0) {
        *open = (vs_live_group){.size_bytes = e->size_bytes, .block = e->block};
    }
    open->count += count;
}

static void walk(vs_live_difference *out, const live_list lists[VS_SIDES])
{
    uint32_t at[VS_SIDES] = {0, 0};
    vs_live_group open[VS_SIDES] = {{0}, {0}};
    while (at[0] < lists[0].count || at[1] < lists[1].count) {
        const bool has[VS_SIDES] = {at[0] < lists[0].count, at[1] < lists[1].count};
        const int order =
            has[0] && has[1] ? compare_kinds(&lists[0].entries[at[0]], &lists[1].entries[at[1]])
            : has[0]         ? -1
                             : 1;
        const uint32_t count[VS_SIDES] = {order <= 0 ? run_of(&lists[0], at[0]) : 0,
                                          order >= 0 ? run_of(&lists[1], at[1]) : 0};
        const uint32_t side = count[0] > count[1] ? 0 : 1;
        if (count[0] != count[1]) {
            add(out, &open[side], side, &lists[side].entries[at[side]],
                count[side] - count[VS_SIDES - 1 - side]);
        }
        at[0] += count[0];
        at[1] += count[1];
    }
    for (uint32_t side = 0; side < VS_SIDES; side++) {
        if (open[side].count > 0) {
            keep(out, side, open[side]);
        }
    }
}

static void describe(vs_live_difference *out, const vs_timeline *tl, uint32_t side,
                     uint32_t event)
{
    for (uint32_t i = 0; i < out->group_count[side]; i++) {
        vs_live_group *group = &out->groups[side][i];
        group->name = vs_timeline_string(tl, tl->blocks[group->block].name);
        group->category = (vs_category)tl->event_category[tl->blocks[group->block].born_event];
    }
    for (uint32_t e = 0; out->group_count[side] > 0 && e <= event; e++) {
        for (uint32_t i = 0; tl->event_kind[e] == VS_EV_RECAT && i < out->group_count[side];
             i++) {
            if (out->groups[side][i].block == tl->event_block[e]) {
                out->groups[side][i].category = (vs_category)tl->event_category[e];
            }
        }
    }
}

bool vs_compare_live(vs_live_difference *out, vs_arena *arena, const vs_compare_desc *desc,
                     const uint32_t event[VS_SIDES], vs_err *err)
{
    const size_t mark = arena->used_bytes;
    vs_live_difference result = {0};
    live_list lists[VS_SIDES] = {{0}};
    bool is_fine = true;
    for (uint32_t side = 0; side < VS_SIDES && is_fine; side++) {
        is_fine =
            list_live(&lists[side], arena, desc->tl[side], desc->device[side], event[side]);
    }
    if (!is_fine || !share_names(&result.is_by_name, arena, lists)) {
        return vs_fail_memory(err, arena, "what was alive");
    }
    for (uint32_t side = 0; side < VS_SIDES; side++) {
        sort(&lists[side], result.is_by_name);
    }
    walk(&result, lists);
    for (uint32_t side = 0; side < VS_SIDES; side++) {
        result.moment[side].event = event[side];
        if (event[side] != VS_NO_MOMENT) {
            describe(&result, desc->tl[side], side, event[side]);
            vs_study_at_event(desc->tl[side], desc->device[side], event[side],
                              &result.moment[side]);
        }
    }
    vs_arena_rewind(arena, mark);
    *out = result;
    return true;
}
