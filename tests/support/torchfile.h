/* tests/support/torchfile.h - pickles, zip archives and torch checkpoints put together byte by byte.
 *
 * bytes is a growing buffer; pk_* append opcodes, zip_* entries and the records behind them. torch_zip and
 * torch_legacy make whole files of two tensors, "a" F16 [3, 4] in storage 0 and "b" F32 [2] in storage 1. */
#ifndef TESTS_SUPPORT_TORCHFILE_H
#define TESTS_SUPPORT_TORCHFILE_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vramscope/base.h"

typedef struct {
    uint8_t *at;
    size_t count;
    size_t room;
} bytes;

void put(bytes *b, const void *data, size_t count);

/* Little-endian, width bytes. */
void put_number(bytes *b, uint64_t value, unsigned width);
void put_byte(bytes *b, unsigned value);
void put_text(bytes *b, const char *text);
void put_zeros(bytes *b, size_t count);
void free_bytes(bytes *b);

/* ---- pickles ------------------------------------------------------------------------------- */

void pk_proto(bytes *b, unsigned version);
void pk_text(bytes *b, const char *text);
void pk_int(bytes *b, uint64_t value);

/* "module\nname\n" */
void pk_global(bytes *b, const char *module, const char *name);

/* ("storage", torch.TYPE, KEY, "cpu", elements) and BINPERSID; legacy ids have a sixth part. */
void pk_storage(bytes *b, const char *type, const char *key, uint64_t elements, bool is_legacy);
void pk_dims(bytes *b, const uint64_t *dims, size_t count);

/* What stands between _rebuild_tensor_v2's storage and its end: offset, size, stride, False, OrderedDict(). */
void pk_view(bytes *b, uint64_t offset, const uint64_t *shape, const uint64_t *stride,
             size_t dims);

/* A one-dimensional contiguous tensor. */
void pk_tensor(bytes *b, const char *type, const char *key, uint64_t elements, bool is_legacy);

/* {"a": F16 [3, 4], "b": F32 [2]} up to and with STOP. */
void pk_two_tensors(bytes *b, bool is_legacy);

/* ---- zip ---------------------------------------------------------------------------------------- */

#define ZIP_ENTRIES_MAX 64u

typedef struct {
    bytes file;
    bytes directory;
    size_t count;
    size_t header[ZIP_ENTRIES_MAX]; /* offsets of local headers */
    size_t entry[ZIP_ENTRIES_MAX];  /* offsets in the directory */
    size_t data[ZIP_ENTRIES_MAX];   /* offsets of the data */
    size_t directory_at;            /* after zip_finish */
} zipped;

/* One stored entry; data as torch aligns it when align is 64, 0: no padding. */
void zip_add(zipped *z, const char *name, const void *data, size_t count, size_t align);
void zip_end(zipped *z, size_t comment_bytes);

/* Directory and end records; torch writes the 64-bit ones always. */
void zip_finish(zipped *z, bool is_64);
void zip_free(zipped *z);

/* ---- whole files ------------------------------------------------------------------------------------ */

void torch_zip(zipped *z);

/* The three pickles before the object. */
void legacy_preamble(bytes *b, bool is_little);

/* The list of keys and the storages of pk_two_tensors. */
void legacy_storages(bytes *b);
void torch_legacy(bytes *b);

#endif /* TESTS_SUPPORT_TORCHFILE_H */
