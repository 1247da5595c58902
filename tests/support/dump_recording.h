/* tests/support/dump_recording.h - a recording as lines of text, to be compared with what another program reads from the same
 * file (tests/tools/snapshot_oracle.py) and between files. */
#ifndef VS_TESTS_DUMP_RECORDING_H
#define VS_TESTS_DUMP_RECORDING_H

#include "vramscope/trace.h"

#include <stdio.h>

/* Everything but path, format, made_by and notes. Times since 1970; stacks as a hash of their frames' texts, so that the order
 * in which they were met does not count. */
void dump_recording(FILE *out, const vs_recording *rec);

#endif /* VS_TESTS_DUMP_RECORDING_H */
