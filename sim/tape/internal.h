/* sim/tape/internal.h - what the files of the tape share and nobody else sees.
 *
 *   tape.c      the tape being written
 *   chunks.c    the chunks it is written to, and what it refuses
 *   strings.c   its strings, each once
 *   lives.c     first time over the events: block lives, and how many samples there will be
 *   derive.c    second time: the counters, whose every change is a sample
 *   lanes.c     spans grouped by lane, sorted, with busy time
 *   seal.c      counts first, carves the image, fills it
 *   image.c     sections of the image, their places; checksums, once they are a file
 *   index.c     pyramids and every question asked of a timeline
 *   validate.c  everything a reader relies on, checked once per open
 *   tapefile.c  files
 *   check.c     the naive twin, for tests */
#ifndef VS_TAPE_INTERNAL_H
#define VS_TAPE_INTERNAL_H

#include "vramscope/tape.h"

/* ---- limits ------------------------------------------------------------------------ */

#define TAPE_MAX_DEVICES 64u
#define TAPE_MAX_LANES   65535u
#define TAPE_MAX_ROWS    (UINT32_MAX - 1u) /* events, blocks: UINT32_MAX means "none" */
/* No counter of one memory may exceed this, so sums of two never overflow. */
#define TAPE_MAX_BYTES   (UINT64_C(1) << 60)

/* ---- the tape being written ----------------------------------------------------------- */

/* Columns already, as in the image: sealing copies them in blocks. Chunks, because nothing in an arena moves. Long ones:
 * where a column goes on elsewhere the processor has to notice first, twelve times (bench_tape, 400,000 events: 19 ns
 * an event with 1016 rows, 16 with 4088). Not a power of two, so that the columns of one row do not all fall into the
 * same set of the cache. */
#define EVENT_CHUNK_ROWS 4088u
#define SPAN_CHUNK_ROWS  1024u

typedef struct event_chunk {
    struct event_chunk *next;
    uint64_t time[EVENT_CHUNK_ROWS];
    uint64_t size[EVENT_CHUNK_ROWS];
    uint64_t asked[EVENT_CHUNK_ROWS];
    uint64_t addr[EVENT_CHUNK_ROWS];
    uint64_t extra[EVENT_CHUNK_ROWS];
    uint32_t block[EVENT_CHUNK_ROWS]; /* VS_NO_BLOCK where the kind has none */
    uint32_t name[EVENT_CHUNK_ROWS];
    uint32_t stream[EVENT_CHUNK_ROWS];
    uint8_t kind[EVENT_CHUNK_ROWS];
    uint8_t device[EVENT_CHUNK_ROWS];
    uint8_t category[EVENT_CHUNK_ROWS];
    uint8_t flags[EVENT_CHUNK_ROWS];
} event_chunk;

typedef struct {
    vs_ns start_ns;
    vs_ns end_ns;
    vs_bytes size_bytes;
    uint32_t name;
    uint16_t lane;
    uint8_t category;
    uint8_t pad;
} span_row;

typedef struct span_chunk {
    struct span_chunk *next;
    span_row rows[SPAN_CHUNK_ROWS];
} span_chunk;

typedef struct {
    uint32_t name; /* string id */
    uint32_t pad;
    uint64_t span_count;
} tape_lane;

typedef struct {
    const char *text; /* len bytes; lasts until the tape is sealed */
    uint32_t len;
    uint32_t hash;
} tape_string;

#define STRING_ENDING_BITS 12u

/* Each distinct string has one id, counting up from 0, which is "". */
typedef struct {
    tape_string *refs; /* by id */
    uint32_t *slots;   /* id + 1, 0 empty */
    uint32_t count;
    uint32_t capacity;    /* ids */
    uint32_t slot_count;  /* power of two */
    uint32_t bytes;       /* of all strings, terminators included */
    uint32_t loose_first; /* ids that are in no slot yet */
    uint32_t loose_count;
    uint64_t endings[(1u << STRING_ENDING_BITS) / 64]; /* of the loose ones */
} tape_strings;

VS_MUST_CHECK bool strings_init(tape_strings *s, vs_arena *arena, uint32_t expected_count);
/* UINT32_MAX when out of memory or beyond 2^32 - 2 bytes. must_copy: the text is not there for long. */
uint32_t strings_add(tape_strings *s, vs_arena *arena, vs_str text, bool must_copy);
/* One that is not there yet, as the caller knows; it is not looked up. */
uint32_t strings_append(tape_strings *s, vs_arena *arena, vs_str text);
/* All of them, terminated, back to back. */
void strings_put(const tape_strings *s, uint32_t *offset, char *bytes);

struct vs_tape {
    event_chunk *last_events;
    uint32_t event_at; /* the row of the next event */
    uint32_t event_stop;
    vs_ns last_ns;
    span_row *span_at;
    span_row *span_stop;
    vs_arena *arena;
    event_chunk *first_events;
    span_chunk *first_spans;
    span_chunk *last_spans;
    uint64_t event_chunk_count;
    uint64_t span_chunk_count;
    uint32_t block_count;
    uint32_t device_count;
    uint32_t lane_count;
    uint32_t lane_capacity;
    uint32_t meta_count;
    uint32_t meta_capacity;
    tape_lane *lanes;
    vs_meta_info *metas;
    tape_strings strings;
    vs_device_info devices[TAPE_MAX_DEVICES];
    bool has_segments[UINT8_MAX + 1]; /* per device number: some event was about a segment */
    vs_err err;
};

uint64_t tape_event_count(const vs_tape *tape);
uint32_t tape_rows_in_chunk(const vs_tape *tape, const event_chunk *chunk);
uint64_t tape_span_count(const vs_tape *tape);
/* Nothing is appended any more. Call after the reason was put into tape->err. */
void tape_stop(vs_tape *tape);
void tape_fail_memory(vs_tape *tape, const char *what);
/* What vs_tape_event and vs_tape_span do when the last chunk is full, or something is wrong. They stand in another
 * file, and nothing is done after them: so the usual way has no registers to save for a call. */
void tape_event_rarely(vs_tape *tape, const vs_event *event);
void tape_span_rarely(vs_tape *tape, uint16_t lane, vs_ns start_ns, vs_ns end_ns,
                      vs_category category, uint32_t name, vs_bytes size_bytes);

/* ---- deriving ------------------------------------------------------------------------------ */

/* Slots: what could become a track, per device its categories, then four totals; the last slot
 * of all is progress. */
enum {
    SLOT_USED = VS_CAT_COUNT,
    SLOT_ALLOCATED,
    SLOT_TENSORS,
    SLOT_RESERVED,
    SLOTS_PER_DEVICE
};

/* One memory at one moment. Its categories always add up to what is in use. */
typedef struct {
    vs_bytes category[VS_CAT_COUNT]; /* reserved-free is worked out where it is wanted */
    vs_bytes levels;                 /* sum of the categories set by LEVEL */
    vs_bytes held;                   /* sum of the live blocks, slack included */
    vs_bytes allocated;              /* of those, the ones whose free was not requested yet */
    vs_bytes tensors;                /* the same without slack */
    vs_bytes reserved;
    vs_bytes room; /* the most that held may be */
    uint32_t
        closed; /* bit c: category c holds no blocks: it is derived, or set by LEVEL and not zero */
    uint64_t *cursor; /* per slot of this memory, see below */
    bool is_gpu;
    bool has_segments; /* now or later on this tape */
} memory_state;

/* What the two passes share of a block; when it was born and died is in its vs_block_info. */
typedef struct {
    vs_bytes size_bytes;
    vs_bytes rounded_bytes; /* of those, what the category is charged; the rest is slack */
    uint8_t category;       /* at this moment */
    bool is_pending;        /* its free was requested */
    uint8_t pad[6];
} block_life;

typedef struct {
    const vs_tape *tape;
    uint64_t event_count;
    memory_state *memories;
    block_life *lives;
    vs_block_info *blocks;
    uint64_t refused; /* the first event that derive_lives refuses, or UINT64_MAX */
    vs_bytes progress;
    uint32_t slot_count;
    uint64_t *cursor; /* per slot: how many samples, then where the next one goes */
    uint64_t *out_time;
    uint64_t *out_value;
    uint32_t *out_event;
} derivation;

VS_MUST_CHECK bool derive_init(derivation *d, const vs_tape *tape, vs_arena *arena,
                               vs_err *err);
/* The lives of blocks, and the number of samples of every slot, into cursor. An event whose fields or block are wrong
 * ends the pass; what comes before it may be wrong in other ways, so its turn is in derive_samples. */
VS_MUST_CHECK bool derive_lives(derivation *d, vs_arena *arena, vs_err *err);
/* Says what derive_lives found wrong. Returns false. */
bool derive_refuse(const derivation *d, const event_chunk *chunk, uint32_t row, vs_err *err);
/* The samples of the events of a chunk, the next one after the one before. Cursors and outputs are set by the caller;
 * first: the event in row 0. */
VS_MUST_CHECK bool derive_samples(derivation *d, const event_chunk *chunk, uint32_t first,
                                  vs_err *err);
/* The error of one event of the tape. Returns false. */
bool derive_fail(const event_chunk *chunk, uint32_t row, uint64_t index, vs_errcode code,
                 const char *why, vs_err *err);
/* What a request of asked bytes is charged to its category inside a block of size bytes. */
vs_bytes tape_rounded_request(vs_bytes asked_bytes, vs_bytes size_bytes, bool is_gpu);

/* ALLOC, FREE, RECAT, FREE_REQUESTED: the kinds whose block field means something. */
static inline bool tape_kind_has_block(uint8_t kind)
{
    _Static_assert(VS_EV_ALLOC == 0 && VS_EV_FREE == 1 && VS_EV_RECAT == 2, "kinds of blocks");
    return kind <= VS_EV_RECAT || kind == VS_EV_FREE_REQUESTED;
}

/* ---- lanes ------------------------------------------------------------------------------------ */

/* One span among those of its lane: what decides its place nearly always, and the rest. */
typedef struct {
    vs_ns start_ns;
    const span_row *row;
} span_ref;

/* Spans grouped by lane and sorted. */
typedef struct {
    const span_ref *refs;
    uint64_t count;
} lane_order;

VS_MUST_CHECK bool lanes_sort(lane_order *out, const vs_tape *tape, vs_arena *arena,
                              vs_err *err);

/* ---- the image ------------------------------------------------------------------------------------ */

#define TAPE_MAGIC              "VSTAPE\x1a\x01"
#define TAPE_MAGIC_BYTES        8u
#define TAPE_VERSION            2u
#define TAPE_ENDIAN_TAG         UINT32_C(0x01020304)
#define TAPE_ENDIAN_TAG_SWAPPED UINT32_C(0x04030201)
#define TAPE_ALIGN              64u

/* 64 bytes, then section_count entries of 32 bytes, then the sections, each on a multiple of 64,
 * in the order of the enum below, gaps zero. Native byte order, told by the tag. */
typedef struct {
    uint8_t magic[TAPE_MAGIC_BYTES];
    uint32_t version;
    uint32_t endian_tag;
    uint64_t total_bytes;
    uint64_t end_ns;
    uint32_t section_count;
    uint32_t pad;
    uint64_t header_sum; /* of header and table, this field taken as zero */
    uint64_t reserved[2];
} tape_header;

typedef struct {
    uint32_t id; /* section number + 1 */
    uint32_t element_bytes;
    uint64_t count;
    uint64_t offset;
    uint64_t sum; /* of count * element_bytes bytes */
} tape_section;

enum {
    SEC_EVENT_TIME,
    SEC_EVENT_SIZE,
    SEC_EVENT_ASKED,
    SEC_EVENT_ADDR,
    SEC_EVENT_EXTRA,
    SEC_EVENT_BLOCK,
    SEC_EVENT_NAME,
    SEC_EVENT_STREAM,
    SEC_EVENT_KIND,
    SEC_EVENT_DEVICE,
    SEC_EVENT_CATEGORY,
    SEC_EVENT_FLAGS,
    SEC_TRACKS,
    SEC_SAMPLE_TIME,
    SEC_SAMPLE_VALUE,
    SEC_SAMPLE_EVENT,
    SEC_PYRAMID_MIN,
    SEC_PYRAMID_MAX,
    SEC_PYRAMID_WHERE,
    SEC_DEVICES,
    SEC_LANES,
    SEC_SPAN_START,
    SEC_SPAN_END,
    SEC_SPAN_BYTES,
    SEC_SPAN_BUSY,
    SEC_SPAN_REACH,
    SEC_SPAN_NAME,
    SEC_SPAN_CATEGORY,
    SEC_BLOCKS,
    SEC_METAS,
    SEC_STRING_OFFSET,
    SEC_STRING_BYTES,
    SEC_COUNT
};

typedef struct {
    uint64_t count[SEC_COUNT];
    uint64_t offset[SEC_COUNT];
    uint64_t total_bytes;
} tape_layout;

#define TAPE_HEAD_BYTES (sizeof(tape_header) + SEC_COUNT * sizeof(tape_section))

/* Offsets and total from the counts; false when that does not fit 63 bits. */
VS_MUST_CHECK bool layout_place(tape_layout *layout);
uint32_t layout_element_bytes(uint32_t section);
const char *layout_section_name(uint32_t section);
/* Zeroes what lies between the sections; they, header and table are the caller's to fill. */
void image_clear_gaps(uint8_t *image, const tape_layout *layout);
/* Writes header and section table, all checksums zero. */
void image_put_head(uint8_t *image, const tape_layout *layout, vs_ns end_ns);
/* The TAPE_HEAD_BYTES that a file of this image begins with: its head, with the checksums. Reads all of an image that
 * was sealed or bound. */
void image_file_head(const uint8_t *image, uint8_t *head);
/* Sums of an image whose header and table are sound otherwise: tests of the validator use
 * it to get past the checksums. */
void image_resum(uint8_t *image, const tape_layout *layout);
uint64_t image_header_sum(const uint8_t *head);
/* Points every column of the timeline into the image. */
void image_view(const uint8_t *image, const tape_layout *layout, vs_ns end_ns,
                vs_timeline *out);
/* Reads and judges header, table, gaps and sums. Memory beyond image_bytes is never touched. */
VS_MUST_CHECK bool image_read(const uint8_t *image, uint64_t image_bytes,
                              tape_layout *out_layout, vs_ns *out_end_ns, vs_err *err);
/* XXH64 with seed 0 (Cyan4973/xxHash doc/xxhash_spec.md, "XXH64 algorithm description"). */
uint64_t tape_sum(const void *bytes, size_t size_bytes);

/* Judges the contents of a view whose sections are in bounds. */
VS_MUST_CHECK bool timeline_validate(const vs_timeline *tl, vs_err *err);

/* ---- the pyramid --------------------------------------------------------------------------------------- */

#define PYRAMID_FANOUT 16u

uint64_t pyramid_node_count(uint64_t sample_count);
/* Writes the nodes of one track; min, max, where have pyramid_node_count(count) elements. */
void pyramid_build(const uint64_t *value, uint64_t count, uint64_t *min, uint64_t *max,
                   uint32_t *where);
/* The greatest value of a track, from its pyramid. */
vs_bytes pyramid_top(const vs_timeline *tl, const vs_track_info *track);
bool pyramid_matches(const vs_timeline *tl, const vs_track_info *track);

#endif /* VS_TAPE_INTERNAL_H */
