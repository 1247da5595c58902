/* traces/read/chrome_order.c - the memory events of a Chrome trace in the order in which they happened.
 *
 * PyTorch writes [memory] events thread by thread, each thread by time, and the threads share the allocator: in the
 * order of the file, totals jump where one thread's part ends, and frees come before the allocations they belong to. In the
 * order of time every total follows from the one before. But a clock can also step back, and then the file's order is
 * the right one. So:
 *
 *   the totals decide, if there are any: the order in which fewer of them disagree;
 *   if they do not, time, unless a thread's own events go back in time;
 *   then the order of the file. */
#include "traces/read/chrome.h"
#include "traces/read/order.h"

typedef struct {
    uint64_t checked;  /* pairs of events whose totals can be compared */
    uint64_t disagree; /* where the second is not the first and its own bytes */
} agreement;

static const chrome_row *row_at(const chrome *c, uint64_t index)
{
    return rows_at(&c->rows, index);
}

/* order NULL: as in the file. */
static agreement compare_totals(const chrome *c, const uint32_t *order)
{
    agreement a = {0};
    vs_bytes last[CHROME_DEVICES_MAX];
    bool has_last[CHROME_DEVICES_MAX] = {0};
    for (uint64_t i = 0; i < c->rows.count; i++) {
        const chrome_row *const row = row_at(c, order != NULL ? order[i] : i);
        if (row->totals.allocated == UINT64_MAX) {
            continue;
        }
        const bool is_alloc = row->event.action == VS_REC_ALLOC;
        const bool is_free = row->event.action == VS_REC_FREE_COMPLETED;
        const uint64_t change = is_alloc ? row->event.size : is_free ? 0 - row->event.size : 0;
        if (has_last[row->device]) {
            a.checked++;
            a.disagree += last[row->device] + change != row->totals.allocated;
        }
        has_last[row->device] = true;
        last[row->device] = row->totals.allocated;
    }
    return a;
}

typedef struct {
    uint64_t all;       /* events earlier than the one before */
    uint64_t of_thread; /* of those, where both are of one thread */
} backward;

static backward count_backward(const chrome *c)
{
    backward b = {0};
    for (uint64_t i = 1; i < c->rows.count; i++) {
        const chrome_row *const row = row_at(c, i);
        const chrome_row *const before = row_at(c, i - 1);
        if (row->event.time_ns < before->event.time_ns) {
            b.all++;
            b.of_thread += row->thread == before->thread;
        }
    }
    return b;
}

static uint32_t *order_by_time(const chrome *c)
{
    const uint32_t count = (uint32_t)c->rows.count;
    uint64_t *const keys = VS_RAW_ARRAY(c->desc->scratch, uint64_t, count);
    if (keys == NULL) {
        return NULL;
    }
    for (uint32_t i = 0; i < count; i++) {
        keys[i] = row_at(c, i)->event.time_ns;
    }
    return order_by_key(keys, count, c->desc->scratch);
}

static void hand_over(const chrome *c, const uint32_t *order)
{
    for (uint64_t i = 0; i < c->rows.count; i++) {
        const chrome_row *const row = row_at(c, order != NULL ? order[i] : i);
        const bool has_totals =
            row->totals.allocated != UINT64_MAX || row->totals.reserved != UINT64_MAX;
        builder_event(c->b, row->device, &row->event, has_totals ? &row->totals : NULL);
    }
}

static void note_order(const chrome *c, const backward *back, bool is_by_time)
{
    if (back->all == 0) {
        return;
    }
    if (is_by_time) {
        builder_note(c->b,
                     "the file has its memory events thread by thread (going back in time: "
                     "%" PRIu64 "); they are taken in the order of time",
                     back->all);
    } else {
        builder_note(c->b,
                     "memory events where the clock goes backwards: %" PRIu64
                     "; they are taken in the order of the file",
                     back->all);
    }
}

bool chrome_order_rows(chrome *c, vs_err *err)
{
    const backward back = count_backward(c);
    agreement chosen = compare_totals(c, NULL);
    const uint32_t *order = NULL;
    if (back.all > 0) {
        const uint32_t *const by_time = order_by_time(c);
        if (by_time == NULL) {
            return vs_fail_memory(err, c->desc->scratch, "the memory events of a trace");
        }
        const agreement timed = compare_totals(c, by_time);
        const bool is_timed = timed.disagree != chosen.disagree
                                  ? timed.disagree < chosen.disagree
                                  : back.of_thread == 0;
        order = is_timed ? by_time : NULL;
        chosen = is_timed ? timed : chosen;
    }
    hand_over(c, order);
    note_order(c, &back, order != NULL);
    if (chosen.disagree > 0) {
        builder_note(c->b,
                     "memory events that disagree with the total before them and their own "
                     "bytes, because events between are missing: %" PRIu64 " of %" PRIu64,
                     chosen.disagree, chosen.checked);
    }
    return true;
}
