/* worker.c - the prefetching threads: a FIFO of every copy job, taken by at most worker_count threads [2.4, 2.9].
 *
 * There is no back-pressure: a finished tensor stays on the device until its mapping is consumed. A job that
 * fails is remembered; the others go on, and the consumer meets the failure when it reaches that mapping [2.5]. */
#include "load.h"

static void job_done(loader *ld, uint32_t job_index, bool is_ready)
{
    load_job *job = &ld->jobs[job_index];
    load_mapping *mapping = &ld->mappings[job->mapping];
    job->state = (uint8_t)(is_ready ? JOB_READY : JOB_FAILED);
    if (!is_ready && mapping->failed_job == NO_JOB) {
        mapping->failed_job = job_index;
    }
    vs_assert(mapping->pending > 0);
    mapping->pending--;
    /* Beside a failed source each later one counts: the first of them in order raises, not the last to end. */
    if (mapping->pending == 0 || mapping->failed_job != NO_JOB) {
        (void)vs_gate_signal(ld->engine, &ld->ready);
    }
}

void worker_step(vs_engine *engine, vs_process *process)
{
    copy_worker *w = (copy_worker *)process;
    loader *ld = w->owner;
    if (w->phase != COPY_IDLE) {
        const uint32_t job = w->job;
        if (copy_step(w) == COPY_BUSY) {
            return;
        }
        job_done(ld, job, true);
    }
    w->is_idle = true;
    ld->idle_count++;
    ld->idle_worker = (uint32_t)(w - ld->workers);
    vs_process_wake_last(engine, &ld->dispatcher);
}

/* Begins the next job on an idle thread. */
static void hand_out(loader *ld, copy_worker *w)
{
    const uint32_t job = ld->next_job++;
    ld->jobs[job].state = JOB_RUNNING;
    w->is_idle = false;
    ld->idle_count--;
    switch (copy_begin(w, job)) {
    case COPY_BUSY:
    case COPY_OK: return;
    case COPY_HOST_OOM: load_finish(ld, END_HOST_OOM); return;
    case COPY_OOM: break;
    }
    load_note_failure(ld, load_job_name(ld, job), "copy", false);
    job_done(ld, job, false);
    /* The refused driver calls took time; then the thread takes the next job and probably fails again. */
    vs_process_sleep(ld->engine, &w->process, load_driver_time(ld));
}

/* One dispatcher, so that which thread gets which job depends on nothing but the threads' numbers. */
void dispatcher_step(vs_engine *engine, vs_process *process)
{
    (void)engine;
    loader *ld = (loader *)(void *)((char *)process - offsetof(loader, dispatcher));
    /* Threads end their copies one by one: as a rule the last to become idle is the only one. */
    uint32_t i = ld->idle_count == 1 ? ld->idle_worker : 0;
    for (; ld->idle_count > 0 && ld->next_job < ld->job_count; i++) {
        if (ld->end != END_RUNNING) {
            return;
        }
        if (ld->workers[i].is_idle) {
            hand_out(ld, &ld->workers[i]);
        }
    }
}
