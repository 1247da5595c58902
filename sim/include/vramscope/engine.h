/* vramscope/engine.h - clock, event queue, processes and links that share bandwidth.
 *
 * Simulated time is a uint64_t of nanoseconds. Events run in increasing
 * (time, rank, seq): rank says what kind of thing happens first within one instant, seq is
 * the number of the call that scheduled it. A handler runs to completion; what
 * it schedules for the present instant keeps its rank and gets a later seq. So the lowest
 * rank that has something now always goes next: a RELEASE scheduled by a STEP runs before
 * the STEPs that still wait. The clock never goes back. Nothing depends on addresses, hashes, threads or the wall clock.
 *
 * No floating point. Link rates are bytes per second; a flow keeps bytes left and a
 * remainder below one byte, so bytes are conserved exactly.
 *
 * Ownership: everything lives in the arena given to vs_engine_new. One engine
 * belongs to one run and one thread. */
#ifndef VS_ENGINE_H
#define VS_ENGINE_H

#include "vramscope/base.h"

typedef struct vs_engine vs_engine;

typedef enum {
    VS_RANK_RELEASE, /* memory given back, lifetimes that end */
    VS_RANK_ARRIVE,  /* a transfer or a computation completes */
    VS_RANK_STEP,    /* a process runs */
    VS_RANK_SETTLE,  /* links touched in this instant share their bandwidth anew */
    VS_RANK_SAMPLE,  /* probes that only read */
    VS_RANK_COUNT
} vs_rank;

typedef struct {
    uint32_t expected_events; /* pending at once; a hint, grows; 0: 64 */
    uint32_t expected_flows;  /* 0: 16 */
    uint32_t expected_links;  /* 0: 8 */
    /* events within one instant before the run is declared stuck; 0: 10 million */
    uint64_t instant_limit;
} vs_engine_desc;

/* NULL only when the arena is exhausted. */
VS_MUST_CHECK vs_engine *vs_engine_new(vs_arena *arena, const vs_engine_desc *desc);
vs_ns vs_engine_now(const vs_engine *engine);
uint64_t vs_engine_event_count(const vs_engine *engine); /* executed so far */

/* ---- events --------------------------------------------------------------------- */

/* ctx and arg are the caller's; the engine only carries them. */
typedef void (*vs_handler)(vs_engine *engine, void *ctx, uint64_t arg);

/* The number of the call that scheduled it, and its place in the table: a handle is never
 * reused within a run, so a stale one is always recognised. */
typedef struct {
    uint64_t id; /* 0: none */
} vs_timer;

/* Schedules at time >= now (an earlier time is our bug: asserted). {0} when the arena is
 * exhausted (sticky, reported by vs_engine_run). O(log n), O(1) for the present instant. */
vs_timer vs_engine_at(vs_engine *engine, vs_ns time, vs_rank rank, vs_handler handler,
                      void *ctx, uint64_t arg);
/* now + delay, saturating at VS_NS_NEVER - 1. */
vs_timer vs_engine_after(vs_engine *engine, vs_ns delay, vs_rank rank, vs_handler handler,
                         void *ctx, uint64_t arg);
/* False when it already ran or was cancelled (stale handles are fine). */
bool vs_engine_cancel(vs_engine *engine, vs_timer timer);
/* Moves a pending event; it gets a new seq, as if scheduled now. False when stale. */
bool vs_engine_reschedule(vs_engine *engine, vs_timer timer, vs_ns time);
bool vs_engine_is_pending(const vs_engine *engine, vs_timer timer);

/* Runs until nothing is pending, vs_engine_stop was called, or the clock would pass until_ns; in
 * the last case the clock is left at until_ns. True when it ended regularly, and may be called again
 * to go on; errors: arena exhausted, instant_limit reached (names the time and the last process), a
 * limit of the engine reached (2^24 - 2 events at once, 2^37 - 1 in a run, amounts of 2^62).
 * An error is final. should_stop, when set, is polled every 4,096 events; true ends the run as
 * vs_engine_stop does. */
VS_MUST_CHECK bool vs_engine_run(vs_engine *engine, vs_ns until_ns, vs_err *err);
void vs_engine_stop(vs_engine *engine);
void vs_engine_set_poll(vs_engine *engine, bool (*should_stop)(void *ctx), void *ctx);

/* ---- processes --------------------------------------------------------------------- */

/* A process is a struct of the caller whose first member is vs_process, and a step function with
 * a state number of its own: `switch (p->state)`. It is resumed by vs_process_wake, after a
 * delay, or by a gate. A step must return quickly; it says how to go on by calling one of
 * the functions below, or returns without: then it sleeps until somebody wakes it. */
typedef struct vs_process vs_process;
typedef void (*vs_step)(vs_engine *engine, vs_process *process);

struct vs_process {
    vs_step step;
    const char *name;   /* for errors; outlives the engine */
    uint32_t state;     /* the step function's own */
    uint32_t gate_next; /* engine's: next waiter */
    uint32_t slot;      /* engine's: index in the process table, 0: not registered */
    vs_timer timer;     /* engine's: pending resumption */
};

/* Registers the process and schedules its first step now (rank STEP). One that is registered
 * already is woken. The process must stay where it is. */
VS_MUST_CHECK bool vs_process_start(vs_engine *engine, vs_process *process);
/* Schedules a step now unless one is pending already: a sleeping process is not hurried. */
void vs_process_wake(vs_engine *engine, vs_process *process);
/* The same as the last thing that a handler or a step does: when the step woken is what comes next at this
 * instant, it is taken at once, without a way through the queue. The order of everything is that of vs_process_wake. */
void vs_process_wake_last(vs_engine *engine, vs_process *process);
/* Steps again after delay; moves a step that is pending. */
void vs_process_sleep(vs_engine *engine, vs_process *process, vs_ns delay);

/* A gate: processes wait in line until it is signalled; a signal nobody waits for is lost. A process
 * stands in one line at most, and keeps its place when something else wakes it. */
typedef struct {
    uint32_t head; /* process slots, 0: empty */
    uint32_t tail;
} vs_gate;

void vs_gate_wait(vs_engine *engine, vs_gate *gate, vs_process *process); /* FIFO */
/* Wakes the first / all. Returns how many. */
uint32_t vs_gate_signal(vs_engine *engine, vs_gate *gate);
uint32_t vs_gate_broadcast(vs_engine *engine, vs_gate *gate);

/* ---- links and flows --------------------------------------------------------------------- */

/* A link carries bytes at a rate shared by its flows, max-min fair. */
typedef struct {
    uint32_t id; /* 0: none */
} vs_link;

typedef struct {
    uint64_t id; /* number of the flow and its place in the table, never reused; 0: none */
} vs_flow;

#define VS_FLOW_LINKS_MAX 4

typedef struct {
    const char *name;
    uint64_t rate_bps; /* bytes per second, > 0 */
} vs_link_desc;

typedef struct {
    /* crossed at once, all different; the slowest share decides */
    vs_link links[VS_FLOW_LINKS_MAX];
    uint32_t link_count; /* 0: only the cap limits (cap_bps > 0 then) */
    uint64_t cap_bps;    /* this flow's own limit, 0: none */
    vs_bytes size_bytes; /* 0 completes after the latency */
    vs_ns latency_ns;    /* before the first byte, without bandwidth */
    vs_handler on_done;  /* rank ARRIVE, at the end rounded up to a nanosecond */
    void *ctx;
    uint64_t arg;
} vs_flow_desc;

/* {0} when the arena is exhausted or a rate, cap or size is beyond 2^62 (sticky, reported by
 * vs_engine_run). A flow has its rate from the SETTLE rank of the instant in which its latency ends,
 * 0 before. Each flow gets its max-min fair share in whole bytes per second, bytes left over go to
 * the flows started first; at least 1 byte per second, so that every flow ends. */
vs_link vs_link_new(vs_engine *engine, const vs_link_desc *desc);
vs_flow vs_flow_start(vs_engine *engine, const vs_flow_desc *desc);
/* Bytes delivered so far; stale handles give UINT64_MAX. */
vs_bytes vs_flow_delivered(const vs_engine *engine, vs_flow flow);
/* Ends it without calling on_done. False when stale. */
bool vs_flow_cancel(vs_engine *engine, vs_flow flow);
uint64_t vs_flow_rate(const vs_engine *engine, vs_flow flow); /* bytes per second now */
/* Bytes that crossed the link so far (flows in progress included), and ns with at least one flow. */
vs_bytes vs_link_carried(const vs_engine *engine, vs_link link);
vs_ns vs_link_busy(const vs_engine *engine, vs_link link);

/* Invariants of queue, flows and links (listed in engine/queue.c and engine/link.c). Tests. */
VS_MUST_CHECK bool vs_engine_check(const vs_engine *engine, vs_err *err);

#endif /* VS_ENGINE_H */
