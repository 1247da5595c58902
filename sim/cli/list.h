/* cli/list.h - what the files of `list` share. A list is written as text or as JSON: w is NULL for text. */
#ifndef VS_CLI_LIST_H
#define VS_CLI_LIST_H

#include "cli.h"

/* "gpus", "hosts", "disks" */
VS_MUST_CHECK bool list_hardware(cli *c, vs_outfile *out, vs_jwriter *w, const char *what,
                                 vs_err *err);
void list_loaders(vs_outfile *out, vs_jwriter *w);
void list_quants(vs_outfile *out, vs_jwriter *w);

#endif /* VS_CLI_LIST_H */
