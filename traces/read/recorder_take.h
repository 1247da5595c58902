/* traces/read/recorder_take.h - a recorder file while it is read: recorder.c walks the file, recorder_take.c makes events of its records. */
#ifndef VS_TRACES_RECORDER_TAKE_H
#define VS_TRACES_RECORDER_TAKE_H

#include "traces/read/map64.h"
#include "traces/read/mtr.h"
#include "traces/read/read.h"
#include "traces/read/rows.h"

#define DEVICES_MAX   64u
#define PLACES_TOLD   4u /* offsets named in notes */
#define UNKNOWN_TYPES 16u
#define REMARKS_MAX   32u

/* A record with where it comes from. */
typedef struct {
    uint64_t t, a, b, c, d;
    uint64_t seq; /* of its slab */
    uint32_t stream, str, aux;
    uint16_t type;
    uint8_t dev, flags;
} recorder_record;

/* A piece of physical memory. */
typedef struct {
    uint64_t handle;
    vs_bytes bytes;
    uint64_t references; /* creation and RETAIN */
    uint64_t mappings;
    uint8_t dev;
} recorder_physical;

/* Something that happens now and then: how often, and where the first times. */
typedef struct {
    uint64_t count;
    uint64_t bytes;
    uint64_t places[PLACES_TOLD];
} recorder_happening;

typedef struct {
    const vs_read_desc *desc;
    vs_builder *b;
    vs_err *err;
    uint32_t header_bytes, slab_bytes;
    vs_rows records;
    vs_strtab texts;
    map64 strings; /* id -> id in texts */
    map64 handles; /* handle -> index into physicals + 1, 0: gone */
    map64 mapped;  /* address -> index into physicals + 1, 0: unmapped */
    vs_rows physicals;
    vs_bytes totals[DEVICES_MAX]; /* from COUNTER or the header */
    uint32_t names[DEVICES_MAX];  /* ids in texts */
    bool has_index;
    recorder_happening broken, bad_crc, uncommitted;
    uint64_t unknown_types[UNKNOWN_TYPES]; /* type, or 0 */
    uint64_t unknown_counts[UNKNOWN_TYPES];
    uint64_t unknown_more, managed, imported, untimed, still_open, odd, dropped, failed_calls;
    uint64_t untold, notes, unmapped_unknown;
    vs_bytes largest_pool_bytes;
    recorder_record last_io;
    bool has_io;
} recorder_reading;

bool recorder_no_memory(recorder_reading *r);
/* The text of a string id, "" when there is none. */
vs_str recorder_text(const recorder_reading *r, uint32_t str);
/* One record, in order. False: failed. */
VS_MUST_CHECK bool recorder_take(recorder_reading *r, const recorder_record *rec,
                                 uint32_t origin);

#endif /* VS_TRACES_RECORDER_TAKE_H */
