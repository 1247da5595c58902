/* traces/read/nsys.h - Nsight Systems exports that are in memory, for tests and the fuzzer. read_nsys (read.h) takes files. */
#ifndef VS_TRACES_NSYS_H
#define VS_TRACES_NSYS_H

#include "traces/read/read.h"

VS_MUST_CHECK bool read_nsys_bytes(vs_recording *out, const void *bytes, size_t size_bytes,
                                   const vs_read_desc *desc, vs_err *err);

#endif /* VS_TRACES_NSYS_H */
