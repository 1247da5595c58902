/* engine/process.c - processes and gates.
 *
 * A process has at most one resumption pending: its timer. A gate's line is threaded through
 * gate_next of the waiting processes by slot; the last one points at itself, so that 0 means
 * "waits nowhere" and a process can be in one line only. */
#include "sim/engine/engine_internal.h"

static void resume(vs_engine *engine, void *ctx, uint64_t arg)
{
    (void)arg;
    vs_process *process = ctx;
    process->timer = (vs_timer){0};
    engine->last_process = process;
    process->step(engine, process);
}

static bool register_process(vs_engine *engine, vs_process *process)
{
    if (engine->process_count + 1 >= engine->process_capacity) {
        const uint32_t old = engine->process_capacity;
        const uint32_t wider = old == 0 ? 16 : old * 2;
        vs_process **table =
            vs_engine_enlarge(engine, engine->processes, old, wider, sizeof(vs_process *));
        if (table == NULL) {
            return vs_engine_fail(engine, FAILURE_MEMORY, "process table");
        }
        engine->processes = table;
        engine->process_capacity = wider;
    }
    engine->process_count++;
    engine->processes[engine->process_count] = process;
    process->slot = engine->process_count;
    return true;
}

bool vs_process_start(vs_engine *engine, vs_process *process)
{
    vs_assert(process->step != NULL);
    const uint32_t slot = process->slot;
    const bool is_known =
        slot != 0 && slot <= engine->process_count && engine->processes[slot] == process;
    if (!is_known) {
        process->timer = (vs_timer){0};
        process->gate_next = 0;
        if (!register_process(engine, process)) {
            return false;
        }
    }
    vs_process_wake(engine, process);
    return engine->failure == FAILURE_NONE;
}

void vs_process_wake(vs_engine *engine, vs_process *process)
{
    if (slot_of(&engine->queue, process->timer) == 0) {
        process->timer = event_schedule(engine, engine->now, VS_RANK_STEP, resume, process, 0);
    }
}

void vs_process_wake_last(vs_engine *engine, vs_process *process)
{
    const uint32_t not_after_a_step =
        (UINT32_C(2) << VS_RANK_STEP) - 1; /* lanes RELEASE .. STEP */
    const bool is_next = (engine->queue.lane_mask & not_after_a_step) == 0 &&
                         slot_of(&engine->queue, process->timer) == 0;
    if (!is_next || engine->is_stopped || engine->failure != FAILURE_NONE) {
        vs_process_wake(engine, process);
        return;
    }
    engine->event_count++;
    resume(engine, process, 0);
}

void vs_process_sleep(vs_engine *engine, vs_process *process, vs_ns delay)
{
    const vs_ns time = time_after(engine, delay);
    if (process->timer.id != 0 && vs_engine_reschedule(engine, process->timer, time)) {
        return;
    }
    process->timer = event_schedule(engine, time, VS_RANK_STEP, resume, process, 0);
}

/* ---- gates --------------------------------------------------------------------------------------- */

void vs_gate_wait(vs_engine *engine, vs_gate *gate, vs_process *process)
{
    vs_assert(process->slot != 0 && process->gate_next == 0);
    process->gate_next = process->slot;
    if (gate->head == 0) {
        gate->head = process->slot;
    } else {
        engine->processes[gate->tail]->gate_next = process->slot;
    }
    gate->tail = process->slot;
}

uint32_t vs_gate_signal(vs_engine *engine, vs_gate *gate)
{
    if (gate->head == 0) {
        return 0;
    }
    vs_process *first = engine->processes[gate->head];
    const bool is_last = first->gate_next == first->slot;
    gate->head = is_last ? 0 : first->gate_next;
    gate->tail = is_last ? 0 : gate->tail;
    first->gate_next = 0;
    vs_process_wake(engine, first);
    return 1;
}

uint32_t vs_gate_broadcast(vs_engine *engine, vs_gate *gate)
{
    uint32_t woken = 0;
    while (vs_gate_signal(engine, gate) != 0) {
        woken++;
    }
    return woken;
}
