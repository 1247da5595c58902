/* engine/engine.c - the clock and the run loop.
 *
 * An instant is served to its end before the clock moves: lowest rank first, within a rank in
 * order of seq. What a handler schedules for now joins its lane, so a RELEASE scheduled by a
 * STEP runs before the STEPs that are still waiting.
 *
 * The loop compares one number per event, check_at, and looks up only then: to poll, to see
 * whether the instant has gone on for too long, or because somebody asked it to stop (which
 * sets check_at to 0). */
#include "sim/engine/flow.h"

#define POLL_EVENTS           4096 /* what-if runs stop within 4,096 events: ARCHITECTURE.md section 5 */
#define DEFAULT_EVENTS        64
#define DEFAULT_FLOWS         16
#define DEFAULT_LINKS         8
#define DEFAULT_INSTANT_LIMIT UINT64_C(10000000)

vs_engine *vs_engine_new(vs_arena *arena, const vs_engine_desc *desc)
{
    vs_engine *engine = VS_NEW(arena, vs_engine);
    if (engine == NULL) {
        return NULL;
    }
    engine->arena = arena;
    engine->instant_limit =
        desc->instant_limit == 0 ? DEFAULT_INSTANT_LIMIT : desc->instant_limit;
    engine->poll_at = POLL_EVENTS;
    const uint32_t events = desc->expected_events == 0 ? DEFAULT_EVENTS : desc->expected_events;
    const uint32_t flows = desc->expected_flows == 0 ? DEFAULT_FLOWS : desc->expected_flows;
    const uint32_t links = desc->expected_links == 0 ? DEFAULT_LINKS : desc->expected_links;
    if (!vs_queue_init(engine, events) || !vs_links_init(engine, links, flows)) {
        return NULL;
    }
    return engine;
}

vs_ns vs_engine_now(const vs_engine *engine)
{
    return engine->now;
}

uint64_t vs_engine_event_count(const vs_engine *engine)
{
    return engine->event_count;
}

void vs_engine_stop(vs_engine *engine)
{
    engine->is_stopped = true;
    engine->check_at = 0;
}

void vs_engine_set_poll(vs_engine *engine, bool (*should_stop)(void *ctx), void *ctx)
{
    engine->should_stop = should_stop;
    engine->poll_ctx = ctx;
}

/* ---- failures --------------------------------------------------------------------------------- */

bool vs_engine_fail(vs_engine *engine, failure_kind kind, const char *text)
{
    if (engine->failure == FAILURE_NONE) {
        engine->failure = kind;
        engine->failure_text = text;
    }
    engine->check_at = 0;
    return false;
}

static bool report_failure(const vs_engine *engine, vs_err *err)
{
    const vs_process *last = engine->last_process;
    const char *name = last != NULL && last->name != NULL ? last->name : "(none)";
    switch (engine->failure) {
    case FAILURE_NONE: return true;
    case FAILURE_MEMORY: return vs_fail_memory(err, engine->arena, engine->failure_text);
    case FAILURE_LIMIT:
        return vs_fail(err, VS_ERR_LIMIT, "simulation at %" PRIu64 " ns: %s (last process: %s)",
                       engine->now, engine->failure_text, name);
    case FAILURE_STUCK:
        return vs_fail(err, VS_ERR_LIMIT,
                       "simulation stuck: the instant %" PRIu64
                       " ns did not end within %" PRIu64 " events (last process: %s)",
                       engine->now, engine->instant_limit, name);
    }
    return vs_fail(err, VS_ERR_INTERNAL, "unknown engine failure");
}

/* ---- the loop ----------------------------------------------------------------------------------- */

/* Sets the event count at which to look up next. */
static void arm_check(vs_engine *engine)
{
    uint64_t limit_at = UINT64_MAX;
    if (!vs_add_u64(engine->instant_first, engine->instant_limit, &limit_at)) {
        limit_at = UINT64_MAX;
    }
    if (limit_at <= engine->event_count) {
        limit_at =
            engine->event_count + 1; /* it ended at the limit: judge the next event anew */
    }
    engine->check_at = limit_at < engine->poll_at ? limit_at : engine->poll_at;
}

/* Whether the loop has to end here. */
static bool must_end(vs_engine *engine)
{
    if (engine->is_stopped || engine->failure != FAILURE_NONE) {
        return true;
    }
    const uint64_t in_instant = engine->event_count - engine->instant_first;
    if (in_instant >= engine->instant_limit && engine->queue.lane_mask != 0) {
        (void)vs_engine_fail(engine, FAILURE_STUCK, "instant_limit");
        return true;
    }
    if (engine->event_count >= engine->poll_at) {
        engine->poll_at = engine->event_count + POLL_EVENTS;
        if (engine->should_stop != NULL && engine->should_stop(engine->poll_ctx)) {
            return true;
        }
    }
    arm_check(engine);
    return false;
}

/* Frees the slot first: the handler usually schedules again and gets it back, still cached. */
static inline void execute(vs_engine *engine, uint32_t slot)
{
    const event_slot event = engine->queue.slots[slot];
    slot_release(&engine->queue, slot);
    engine->event_count++;
    event.handler(engine, event.ctx, event.arg);
}

/* The next event of this instant. */
static inline void serve_lane(vs_engine *engine)
{
    event_queue *q = &engine->queue;
    const uint32_t lane = lane_first(q);
    if (lane != LANE_SETTLING) {
        execute(engine, lane_take(q, lane));
        return;
    }
    q->lane_mask &= ~(UINT32_C(1) << LANE_SETTLING);
    engine->event_count++;
    if (engine->flows.is_touched && engine->links.marked_count == 0) {
        vs_links_settle_alike(engine);
    } else {
        vs_links_settle(engine);
    }
}

/* Moves what else is due now from the heap to the lanes, behind the root taken out before. */
static void gather(vs_engine *engine, uint32_t first_rank, uint32_t first_slot)
{
    event_queue *q = &engine->queue;
    lane_append(q, first_rank, first_slot);
    heap_close_hole(q);
    while (q->count > 0 && q->keys[0].time == engine->now) {
        const uint64_t low = q->keys[0].low;
        lane_append(q, (uint32_t)(low >> RANK_SHIFT), (uint32_t)(low & SLOT_MASK));
        heap_close_hole(q);
    }
}

/* The front's end comes before all that is queued. False when that is after until_ns. */
static bool front_instant(vs_engine *engine, vs_ns until_ns)
{
    const vs_ns end = engine->flows.front_ns;
    if (end > until_ns) {
        engine->now = until_ns;
        return false;
    }
    engine->now = end;
    engine->instant_first = engine->event_count;
    engine->event_count++;
    vs_flow_finish(engine, NULL, engine->flows.front);
    return true;
}

/* Moves the clock to the next event and starts its instant: a lone event is executed at once,
 * several go to their lanes. False when there is nothing up to until_ns. */
static inline bool next_instant(vs_engine *engine, vs_ns until_ns)
{
    event_queue *q = &engine->queue;
    if (q->has_hole) {
        heap_close_hole(q);
    }
    if (engine->flows.front_ns <= q->keys[0].time && engine->flows.front_ns != VS_NS_NEVER) {
        if (engine->flows.front_ns < q->keys[0].time) {
            return front_instant(engine, until_ns);
        }
        vs_links_queue_front(engine); /* one of several in its instant */
    }
    const queue_key first = q->keys[0];
    if (first.time > until_ns || q->count == 0) {
        if (q->count != 0) {
            engine->now = until_ns;
        }
        return false;
    }
    engine->now = first.time;
    engine->instant_first = engine->event_count;
    q->has_hole = true;
    const uint32_t slot = (uint32_t)(first.low & SLOT_MASK);
    const bool is_alone = (q->keys[1].time != first.time) & (q->keys[2].time != first.time) &
                          (q->keys[3].time != first.time) & (q->keys[4].time != first.time);
    if (is_alone) {
        execute(engine, slot);
    } else {
        gather(engine, (uint32_t)(first.low >> RANK_SHIFT), slot);
    }
    return true;
}

bool vs_engine_run(vs_engine *engine, vs_ns until_ns, vs_err *err)
{
    engine->is_stopped = false;
    if (engine->failure != FAILURE_NONE) {
        return report_failure(engine, err);
    }
    if (engine->now > until_ns) {
        return true;
    }
    arm_check(engine);
    for (;;) {
        if (engine->event_count >= engine->check_at && must_end(engine)) {
            break;
        }
        if (engine->queue.lane_mask != 0) {
            serve_lane(engine);
        } else if (!next_instant(engine, until_ns)) {
            break;
        }
    }
    return report_failure(engine, err);
}
