/* run/run_internal.h - pieces of the composition root: figures and sentences. */
#ifndef VS_RUN_INTERNAL_H
#define VS_RUN_INTERNAL_H

#include "sim/load/load.h"
#include "vramscope/run.h"
#include "vramscope/study.h"

/* result.c: reads the figures off loader, pool and sealed timeline. */
void run_fill_result(vs_run_result *result, const loader *ld, const vs_timeline *tl);
/* explain.c: message, headline and reason, before sealing (they go onto the tape as facts about the run).
 * False when the arena is exhausted. */
VS_MUST_CHECK bool run_explain(vs_run_result *result, const loader *ld, vs_err *err);
/* format.c: how the checkpoint is stored, what of it is left out. False when the arena is exhausted. */
VS_MUST_CHECK bool run_describe_format(vs_run_result *result, const loader *ld, vs_err *err);
/* Bytes the finished model will hold on the device, each block rounded to 512. */
vs_bytes run_planned_bytes(const loader *ld);

#endif /* VS_RUN_INTERNAL_H */
