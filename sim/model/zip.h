/* sim/model/zip.h - reading a file in pieces, and the table of contents of a zip archive.
 *
 * A checkpoint may have 50 GB, of which a few kilobytes are of interest: nothing is mapped, pieces are read where they
 * are needed. A zip archive has its table of contents (the central directory) at its end. */
#ifndef VS_MODEL_ZIP_H
#define VS_MODEL_ZIP_H

#include "vramscope/base.h"

/* ---- bytes of a file or of memory ------------------------------------------------------------- */

typedef struct {
    const uint8_t *bytes; /* borrowed; NULL: read from fd */
    int fd;
    uint64_t size_bytes;
} vs_byte_source;

VS_MUST_CHECK bool vs_byte_source_open(vs_byte_source *source, const char *path, vs_err *err);
/* Of memory; closing it is not needed. */
vs_byte_source vs_byte_source_of(const void *bytes, uint64_t size_bytes);
void vs_byte_source_close(vs_byte_source *source);
/* Copies count bytes at offset to out. Fewer are a format error at that offset. */
VS_MUST_CHECK bool vs_byte_source_read(const vs_byte_source *source, uint64_t offset,
                                       size_t count, void *out, vs_err *err);

/* ---- the directory of a zip archive ------------------------------------------------------------ */

/* Named limits: a million tensors need about 80 MB of directory; names of records are "archive/data/123". */
#define VS_ZIP_DIRECTORY_MAX (UINT64_C(256) << 20)
#define VS_ZIP_NAME_MAX      1024u

typedef struct {
    vs_str name;            /* borrowed from the directory, not terminated, no NUL in it */
    uint64_t header_offset; /* of the local header; absolute */
    uint64_t size_bytes;    /* as it would be unpacked */
    uint64_t packed_bytes;  /* in the file */
    uint64_t limit_offset;  /* where the next entry or the directory begins; absolute */
    uint16_t method;        /* 0: stored as it is */
    uint16_t flags;
} vs_zip_entry;

typedef struct {
    vs_zip_entry *entries; /* in directory order */
    uint32_t entry_count;
    uint64_t directory_offset; /* absolute */
    uint64_t prefix_bytes;     /* before the archive, as in a self-extracting file */
} vs_zip;

/* Does an end-of-directory record stand where Python's zipfile looks for it? Reads the last 64 KiB at most. */
VS_MUST_CHECK bool vs_zip_detect(const vs_byte_source *source, vs_arena *scratch, bool *is_zip,
                                 vs_err *err);
/* Reads the directory into scratch: what Python's zipfile accepts, and in addition entries must neither overlap nor reach
 * into the directory. O(n log n). */
VS_MUST_CHECK bool vs_zip_read(vs_zip *zip, const vs_byte_source *source, vs_arena *scratch,
                               vs_err *err);
/* Fails, naming the entry, unless it is stored as it is: not compressed, not encrypted. */
VS_MUST_CHECK bool vs_zip_check_stored(const vs_zip_entry *entry, vs_err *err);
/* Where the data of a stored entry begin: reads its local header, which must agree with the directory. */
VS_MUST_CHECK bool vs_zip_data_offset(const vs_byte_source *source, const vs_zip_entry *entry,
                                      uint64_t *out, vs_err *err);

#endif /* VS_MODEL_ZIP_H */
