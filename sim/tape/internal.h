/* sim/tape/internal.h - what the files of the tape share and nobody else sees.
 *
 *   tape.c      the tape being written: chunks of rows
 *   strings.c   its strings, each once
 *   derive.c    the state machine that turns events into samples and block lives
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

/* Rows, not columns: an event is one run of 56 bytes, so appending touches one or two cache
 * lines; sealing transposes. Chunks, because nothing in an arena moves. */
#define TAPE_CHUNK_ROWS 1024u

typedef struct event_chunk {
    struct event_chunk *next;
    vs_event rows[TAPE_CHUNK_ROWS];
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
    span_row rows[TAPE_CHUNK_ROWS];
} span_chunk;

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
    vs_event *event_at; /* where the next event goes */
    vs_event *event_stop;
    vs_ns last_ns;
    span_row *span_at;
    span_row *span_stop;
    vs_arena *arena;
    event_chunk *first_events;
    event_chunk *last_events;
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
    uint32_t *lane_names;
    vs_meta_info *metas;
    tape_strings strings;
    vs_device_info devices[TAPE_MAX_DEVICES];
    uint16_t kinds_seen[UINT8_MAX + 1]; /* per device number: bit k, an event of kind k */
    vs_err err;
};

uint64_t tape_event_count(const vs_tape *tape);
uint64_t tape_rows_in_chunk(const vs_tape *tape, const event_chunk *chunk);
uint64_t tape_span_count(const vs_tape *tape);

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
    vs_bytes category[VS_CAT_COUNT];
    vs_bytes levels;    /* sum of the categories set by LEVEL */
    vs_bytes allocated; /* sum of the live blocks, slack included */
    vs_bytes tensors;   /* the same without slack */
    vs_bytes reserved;
    uint32_t levelled; /* bit c: category c is not zero and was set by LEVEL */
    uint32_t first_slot;
    bool is_gpu;
    bool has_segments; /* now or later on this tape */
} memory_state;

typedef enum { LIFE_UNBORN, LIFE_ALIVE, LIFE_DEAD } life_state;

typedef struct {
    vs_bytes size_bytes;
    vs_bytes rounded_bytes; /* of those, what the category is charged; the rest is slack */
    uint8_t device;
    uint8_t category; /* at this moment */
    uint8_t state;    /* life_state */
    uint8_t pad[5];
} block_life;

/* Twice over the events: count_samples first, which says how long each track is, then a step for each event, which
 * judges it and writes its samples. */
typedef struct {
    const vs_tape *tape;
    uint64_t event_count;
    memory_state *memories;
    block_life *lives;
    vs_bytes progress;
    uint32_t slot_count;
    uint64_t *cursor;      /* per slot: how many samples, then where the next one goes */
    vs_block_info *blocks; /* out: when they were born and died */
    uint64_t *out_time;
    uint64_t *out_value;
    uint32_t *out_event;
} derivation;

VS_MUST_CHECK bool derive_init(derivation *d, const vs_tape *tape, vs_arena *arena,
                               vs_err *err);
/* The number of samples of every slot, into cursor. From the first event on that derive_step will refuse, the
 * numbers mean nothing. */
VS_MUST_CHECK bool derive_count(derivation *d, vs_arena *arena, vs_err *err);
/* Cursors and outputs are set by the caller; every block is born and dead at UINT32_MAX. */
VS_MUST_CHECK bool derive_step(derivation *d, const vs_event *event, uint32_t index,
                               vs_err *err);
/* What a request of asked bytes is charged to its category inside a block of size bytes. */
vs_bytes tape_rounded_request(vs_bytes asked_bytes, vs_bytes size_bytes, bool is_gpu);
/* ALLOC, FREE, RECAT: the kinds whose block field means something. */
bool tape_kind_has_block(uint8_t kind);

/* ---- lanes ------------------------------------------------------------------------------------ */

/* Spans grouped by lane and sorted; first[lane] .. first[lane + 1]. */
typedef struct {
    const span_row *rows;
    uint64_t count;
    const uint64_t *first; /* lane_count + 1 */
} lane_order;

VS_MUST_CHECK bool lanes_sort(lane_order *out, const vs_tape *tape, vs_arena *arena,
                              vs_err *err);

/* ---- the image ------------------------------------------------------------------------------------ */

#define TAPE_MAGIC              "VSTAPE\x1a\x01"
#define TAPE_MAGIC_BYTES        8u
#define TAPE_VERSION            1u
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
