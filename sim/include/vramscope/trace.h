/* vramscope/trace.h - tapes in the formats of other tools.
 *
 * Writers stream; they need no memory beyond a buffer. Each goes to a temporary file that is renamed
 * when whole. Path "-" is standard output. */
#ifndef VS_TRACE_H
#define VS_TRACE_H

#include "vramscope/tape.h"

/* Chrome trace event JSON, opens in Perfetto and chrome://tracing: counters per device with one argument per
 * category, slices per lane, instants for OOM and phases, flows from copy to consumption are left out.
 * ts and dur in microseconds with three decimals (exact). */
VS_MUST_CHECK bool vs_trace_write_perfetto(const vs_timeline *tl, const char *path,
                                           vs_err *err);
/* One row per event: time_ns,event,device,category,size_bytes,asked_bytes,addr,block,name,
 * allocated_bytes,reserved_bytes,used_bytes (RFC 4180). */
VS_MUST_CHECK bool vs_trace_write_csv(const vs_timeline *tl, const char *path, vs_err *err);

#endif /* VS_TRACE_H */
