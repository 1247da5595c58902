/* traces/read/read.h - what the readers of foreign traces share and nobody else sees.
 *
 *   detect.c      what a file is; the table of readers; vs_recording_read
 *   input.c       bytes of a file, gzip'ed or not, through a window
 *   rows.h        rows that grow in chunks
 *   builder.c     rows, strings, streams and the rest, collected and finished into a vs_recording
 *   snapshot*.c   PyTorch snapshots (pickle)
 *   json_stream.c tokens of a JSON text of any length through a window
 *   chrome*.c     Chrome traces with [memory] events
 *   timeline.c    export_memory_timeline
 *   nsys*.c       Nsight Systems SQLite, through sqlite_rows.c
 *   rmm.c smi.c   CSV, through csv_rows.c
 *   recorder*.c   our own recorder's files (mtr.h)
 *   order.c       events that come unordered, put in order
 *   tape*.c       any of it as a tape, without a replay
 *
 * Memory: a reader takes from desc->keep and desc->scratch only; both are opened by the caller. Whoever opens them bounds them:
 * what a reader keeps is at most a small multiple of the unpacked bytes. */
#ifndef VS_TRACES_READ_H
#define VS_TRACES_READ_H

#include "vramscope/trace.h"

/* ---- bytes ---------------------------------------------------------------------------- */

/* A window over a file that is read from front to back; gzip (all members) is unpacked on the way. Bytes at
 * [at, end) are valid; input_need moves what is left to the front and reads more, so pointers into the window
 * do not outlive it. */
typedef struct vs_input vs_input;

struct vs_input {
    const uint8_t *at;
    const uint8_t *end;
    uint64_t offset_of_end; /* of the unpacked stream */
    uint64_t packed_read;   /* for progress */
    uint64_t packed_total;
    bool is_gzip;
    bool is_at_end; /* nothing comes after `end` */
    bool was_cut;   /* gzip ended early or broke: what came before is there */
    void *priv;
};

VS_MUST_CHECK bool input_open(vs_input *in, const char *path, vs_arena *scratch, vs_err *err);
/* The bytes of a file in memory: fuzz targets and tests. */
VS_MUST_CHECK bool input_of_bytes(vs_input *in, const void *bytes, size_t size_bytes,
                                  vs_arena *scratch, vs_err *err);
void input_close(vs_input *in);
/* At least count bytes at in->at, growing the window up to INPUT_MAX_WINDOW. False: the stream ends before (no error is
 * set), or reading failed (err is set), or the window would be too large (err is set). */
VS_MUST_CHECK bool input_need(vs_input *in, uint64_t count, vs_err *err);
#define INPUT_WINDOW_BYTES     ((size_t)1 << 20)
#define INPUT_MAX_WINDOW_BYTES ((size_t)64 << 20)

static inline uint64_t input_offset(const vs_input *in)
{
    return in->offset_of_end - (uint64_t)(in->end - in->at);
}

/* ---- collecting --------------------------------------------------------------------------- */

typedef struct vs_builder vs_builder;

/* Lives in desc->scratch; the result is copied to desc->keep by builder_finish. NULL when the arena is exhausted. Calls after a failure do
 * nothing; builder_finish reports it. */
VS_MUST_CHECK vs_builder *builder_new(const vs_read_desc *desc, vs_trace_format format);
uint32_t builder_string(vs_builder *b, vs_str text); /* interned, 0 for "" */
uint16_t builder_stream(vs_builder *b,
                        uint64_t handle); /* index; more than 65535 is an error */
uint16_t builder_pool(vs_builder *b, vs_rec_pool_id id);
uint32_t builder_frame(vs_builder *b, vs_rec_frame frame);                     /* interned */
uint32_t builder_stack(vs_builder *b, const uint32_t *frames, uint32_t count); /* interned */
/* Index of a device, by ordinal; at most 64. */
uint8_t builder_device(vs_builder *b, uint32_t ordinal, bool is_host);
void builder_name_device(vs_builder *b, uint8_t device, vs_str name, vs_bytes capacity_bytes);
/* Totals NULL: not told. Events of one device in file order; devices may alternate. */
void builder_event(vs_builder *b, uint8_t device, const vs_rec_event *event,
                   const vs_rec_totals *totals);
/* All events of a device at once, made by the reader in desc->keep; builder_finish shifts their times in place. Not together with
 * builder_event for the same device. */
void builder_take_events(vs_builder *b, uint8_t device, vs_rec_event *events, uint32_t count);
/* Blocks of a segment are those added since the last segment. */
void builder_block(vs_builder *b, const vs_rec_block *block);
void builder_segment(vs_builder *b, uint8_t device, const vs_rec_segment *segment);
void builder_has_segments(vs_builder *b); /* the file lists final segments, be it none */
void builder_span(vs_builder *b, const vs_rec_span *span);
void builder_annotation(vs_builder *b, const vs_rec_annotation *annotation);
void builder_note(vs_builder *b, const char *format, ...) VS_PRINTF(2, 3);
bool builder_has_failed(const vs_builder *b);
/* What is not a row is set here before finishing: made_by, alloc_conf and the like (pointers into desc->keep), has_time, and
 * epoch_ns: what the file's times count from, in ns since 1970 (0 when they count from 1970 themselves), or
 * BUILDER_EPOCH_UNKNOWN. */
#define BUILDER_EPOCH_UNKNOWN UINT64_MAX
vs_recording *builder_head(vs_builder *b);
/* Times, when has_time: the smallest becomes 0, and epoch_ns grows by it. Devices: cards by ordinal, then hosts. */
VS_MUST_CHECK bool builder_finish(vs_builder *b, vs_recording *out, vs_err *err);

/* ---- readers ------------------------------------------------------------------------------------ */

/* One a format. Reads from in->at; sets out on success only. */
typedef bool (*vs_reader)(vs_recording *out, vs_input *in, const vs_read_desc *desc,
                          vs_err *err);

VS_MUST_CHECK bool read_snapshot(vs_recording *out, vs_input *in, const vs_read_desc *desc,
                                 vs_err *err);
VS_MUST_CHECK bool read_chrome(vs_recording *out, vs_input *in, const vs_read_desc *desc,
                               vs_err *err);
VS_MUST_CHECK bool read_timeline(vs_recording *out, vs_input *in, const vs_read_desc *desc,
                                 vs_err *err);
VS_MUST_CHECK bool read_rmm(vs_recording *out, vs_input *in, const vs_read_desc *desc,
                            vs_err *err);
VS_MUST_CHECK bool read_smi(vs_recording *out, vs_input *in, const vs_read_desc *desc,
                            vs_err *err);
VS_MUST_CHECK bool read_recorder(vs_recording *out, vs_input *in, const vs_read_desc *desc,
                                 vs_err *err);
/* SQLite opens files by name and never through gzip. */
VS_MUST_CHECK bool read_nsys(vs_recording *out, const char *path, const vs_read_desc *desc,
                             vs_err *err);

#endif /* VS_TRACES_READ_H */
