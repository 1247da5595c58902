/* vramscope/base.h - what every other module stands on.
 *
 * Errors that know their place, bytes and nanoseconds with checked arithmetic,
 * memory by lifetime (arenas), strings, a bounds-checked byte cursor, a strict
 * JSON bridge over cJSON, whole-file input and all-or-nothing output, text
 * formatting, and random numbers for tests and jitter.
 *
 * Rules for everybody: the library never prints and never exits. A function that
 * can fail because of the outside world returns bool (or NULL), takes vs_err *err
 * last and writes its outputs on success only. First error wins: a vs_err that
 * already holds an error is not overwritten. Nothing here has global state; every
 * object belongs to one thread at a time. */
#ifndef VS_BASE_H
#define VS_BASE_H

#include <inttypes.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#    define VS_MUST_CHECK __attribute__((warn_unused_result))
#    define VS_PRINTF(fmt_index, args_index)                                                   \
        __attribute__((format(printf, fmt_index, args_index)))
#else
#    define VS_MUST_CHECK
#    define VS_PRINTF(fmt_index, args_index)
#endif

#define VS_VERSION "0.1.0"

/* ---- units ----------------------------------------------------------------- */

typedef uint64_t vs_bytes; /* sizes and addresses */
typedef uint64_t vs_ns;    /* nanoseconds from the start of a run */

#define VS_KIB      UINT64_C(1024)
#define VS_MIB      (VS_KIB * 1024)
#define VS_GIB      (VS_MIB * 1024)
#define VS_TIB      (VS_GIB * 1024)
#define VS_NS_NEVER UINT64_MAX

/* Checked arithmetic: false on overflow, *out then untouched. */
VS_MUST_CHECK bool vs_add_u64(uint64_t a, uint64_t b, uint64_t *out);
VS_MUST_CHECK bool vs_sub_u64(uint64_t a, uint64_t b, uint64_t *out);
VS_MUST_CHECK bool vs_mul_u64(uint64_t a, uint64_t b, uint64_t *out);
/* floor(a * b / c), 128 bits inside; false when c is 0 or the result overflows. */
VS_MUST_CHECK bool vs_muldiv_u64(uint64_t a, uint64_t b, uint64_t c, uint64_t *out);
/* ceil(a * b / c), same conditions. */
VS_MUST_CHECK bool vs_muldiv_ceil_u64(uint64_t a, uint64_t b, uint64_t c, uint64_t *out);
/* Rounds up to a multiple of step (> 0); false on overflow. */
VS_MUST_CHECK bool vs_round_up_u64(uint64_t a, uint64_t step, uint64_t *out);

/* ---- assertions: our mistakes, never judgements about input ------------------ */

/* Prints to stderr and aborts: the one place in the library that does. */
_Noreturn void vs_assert_failed(const char *expression, const char *file, int line);
/* NOLINTNEXTLINE(readability-identifier-naming): used like a function */
#define vs_assert(condition)                                                                   \
    ((condition) ? (void)0 : vs_assert_failed(#condition, __FILE__, __LINE__))
/* NOLINTBEGIN(readability-identifier-naming) */
#ifdef VS_DEBUG
#    define vs_check(condition) vs_assert(condition)
#else
#    define vs_check(condition) ((void)sizeof(!(condition)))
#endif
/* NOLINTEND(readability-identifier-naming) */

/* ---- errors ------------------------------------------------------------------ */

typedef enum {
    VS_OK = 0,
    VS_ERR_IO,        /* the system refused: open, read, write, map */
    VS_ERR_FORMAT,    /* bytes are not what the format says */
    VS_ERR_VALUE,     /* well-formed, but a value cannot be */
    VS_ERR_LIMIT,     /* a named limit was reached */
    VS_ERR_MEMORY,    /* out of our own memory (arena exhausted, malloc failed) */
    VS_ERR_NOT_FOUND, /* a name nobody knows; the message suggests the nearest */
    VS_ERR_USAGE,     /* the command line */
    VS_ERR_INTERNAL,  /* a state that should be impossible, found without harm */
    VS_ERR_CANCELLED, /* the caller asked to stop */
    VS_ERR_PLANNED    /* the command line asks for what a later version will have */
} vs_errcode;

#define VS_ERR_TEXT_BYTES  512
#define VS_ERR_INPUT_BYTES 256
#define VS_ERR_PATH_BYTES  128

/* Zero-initialise: vs_err err = {0}. Plain data, may be copied. */
typedef struct {
    vs_errcode code;
    char text[VS_ERR_TEXT_BYTES];   /* what was expected, what was found, what to do */
    char input[VS_ERR_INPUT_BYTES]; /* file or option the error is about, or "" */
    char path[VS_ERR_PATH_BYTES];   /* JSON path such as $.rope.factor, or "" */
    uint64_t offset;                /* byte offset, valid when has_offset */
    uint32_t line;                  /* 1-based text line, 0: none */
    bool has_offset;
} vs_err;

/* Sets the error unless one is set already; always returns false, so that
 * `return vs_fail(err, VS_ERR_VALUE, "...")` reads well. err may be NULL. */
bool vs_fail(vs_err *err, vs_errcode code, const char *format, ...) VS_PRINTF(3, 4);
/* Adds the place to an error that has none yet (first place wins). */
void vs_err_at_input(vs_err *err, const char *input);
void vs_err_at_offset(vs_err *err, uint64_t offset);
void vs_err_at_line(vs_err *err, uint32_t line);
void vs_err_at_path(vs_err *err, const char *path);
/* One line: `input+0x1f40: text`, `input:12: text`, `input: $.a.b: text`. Control
 * characters of hostile input are escaped. Returns buf, always terminated. */
const char *vs_err_line(const vs_err *err, char *buf, size_t buf_bytes);

/* ---- arenas ------------------------------------------------------------------- */

/* Memory by lifetime. Reserves address space once and commits as it is touched, so
 * nothing in it ever moves; there is no free for a single object. Exhaustion is
 * sticky until the next reset. Memory handed out is zeroed. */
typedef struct {
    uint8_t *base;
    size_t capacity_bytes;
    size_t used_bytes;
    size_t dirty_bytes;   /* high-water mark of what may not be zero any more */
    uint64_t alloc_count; /* since open or reset */
    uint64_t fail_at;     /* tests: the fail_at-th allocation fails; 0: none */
    bool is_exhausted;
    size_t poisoned_bytes; /* sanitizer builds: high-water mark of what was poisoned */
} vs_arena;

/* Reserves capacity_bytes (rounded up to pages). Close releases everything. */
VS_MUST_CHECK bool vs_arena_open(vs_arena *arena, size_t capacity_bytes, vs_err *err);
void vs_arena_close(vs_arena *arena);
/* NULL when exhausted. align is a power of two, at most 4096. size 0 gives a valid
 * pointer to nothing. O(1) plus zeroing of memory that was used before a reset. */
VS_MUST_CHECK void *vs_arena_alloc(vs_arena *arena, size_t size_bytes, size_t align);
/* count * elem_bytes with overflow check. */
VS_MUST_CHECK void *vs_arena_array(vs_arena *arena, size_t count, size_t elem_bytes,
                                   size_t align);
/* The same, but the bytes may be anything: for large memory that the caller writes in full before it reads any. */
VS_MUST_CHECK void *vs_arena_raw(vs_arena *arena, size_t count, size_t elem_bytes,
                                 size_t align);
/* Forgets everything / everything since mark (a former used_bytes). */
void vs_arena_reset(vs_arena *arena);
void vs_arena_rewind(vs_arena *arena, size_t mark);
#define VS_NEW(arena, type) ((type *)vs_arena_alloc((arena), sizeof(type), _Alignof(type)))
#define VS_ARRAY(arena, type, count)                                                           \
    ((type *)vs_arena_array((arena), (count), sizeof(type), _Alignof(type)))
#define VS_RAW_ARRAY(arena, type, count)                                                       \
    ((type *)vs_arena_raw((arena), (count), sizeof(type), _Alignof(type)))
/* The error every caller reports when a vs_arena function returned NULL. */
bool vs_fail_memory(vs_err *err, const vs_arena *arena, const char *what);

/* ---- strings -------------------------------------------------------------------- */

/* A borrowed run of bytes; not terminated unless it says so. */
typedef struct {
    const char *ptr;
    size_t len;
} vs_str;

vs_str vs_str_of(const char *text); /* text may be NULL: empty */
bool vs_str_equal(vs_str a, vs_str b);
bool vs_str_is(vs_str a, const char *text);
bool vs_str_is_nocase(vs_str a, const char *text); /* ASCII case */
bool vs_str_starts(vs_str a, const char *prefix);
bool vs_str_ends(vs_str a, const char *suffix);
int vs_str_compare(vs_str a, vs_str b); /* bytewise, shorter first */
/* Terminated copy in the arena; NULL when exhausted. */
VS_MUST_CHECK char *vs_str_copy(vs_arena *arena, vs_str text);
VS_MUST_CHECK char *vs_arena_printf(vs_arena *arena, const char *format, ...) VS_PRINTF(2, 3);

/* String table: each distinct string has one id, ids count up from 0, id 0 is "".
 * Open addressing over arena memory; grows by doubling. Ids depend only on the order of
 * insertion, never on hashes or addresses. */
typedef struct {
    vs_arena *arena;
    char *bytes;      /* all strings, each terminated, back to back */
    uint32_t *offset; /* per id: offset of its first byte */
    uint32_t *slots;  /* hash slots: id + 1, 0 empty */
    uint32_t count;
    uint32_t capacity;   /* ids */
    uint32_t slot_count; /* power of two */
    uint32_t bytes_used;
    uint32_t bytes_capacity;
} vs_strtab;

VS_MUST_CHECK bool vs_strtab_init(vs_strtab *table, vs_arena *arena, uint32_t expected_count);
/* UINT32_MAX when out of memory or beyond 2^32 - 2 bytes. O(length). */
VS_MUST_CHECK uint32_t vs_strtab_add(vs_strtab *table, vs_str text);
/* UINT32_MAX when absent. */
uint32_t vs_strtab_find(const vs_strtab *table, vs_str text);
const char *vs_strtab_get(const vs_strtab *table, uint32_t id);

/* ---- byte cursor ------------------------------------------------------------------ */

/* Walks bytes of a foreign file. After the first failure every call fails and changes
 * nothing, so a reader can be written straight through and checked once. */
typedef struct {
    const uint8_t *bytes;
    uint64_t size_bytes;
    uint64_t pos;
    vs_err *err;
    bool has_failed;
} vs_cursor;

vs_cursor vs_cursor_of(const void *bytes, uint64_t size_bytes, vs_err *err);
bool vs_cursor_u8(vs_cursor *c, uint8_t *out);
bool vs_cursor_u16le(vs_cursor *c, uint16_t *out);
bool vs_cursor_u32le(vs_cursor *c, uint32_t *out);
bool vs_cursor_u64le(vs_cursor *c, uint64_t *out);
bool vs_cursor_bytes(vs_cursor *c, uint64_t count, const uint8_t **out); /* borrowed */
bool vs_cursor_skip(vs_cursor *c, uint64_t count);
uint64_t vs_cursor_left(const vs_cursor *c);
bool vs_cursor_fail(vs_cursor *c, const char *format, ...) VS_PRINTF(2, 3);

/* ---- files --------------------------------------------------------------------------- */

/* A whole file, mapped read-only. Directories, devices and files that vanish are errors. */
typedef struct {
    const uint8_t *bytes; /* never NULL, even for an empty file */
    uint64_t size_bytes;
    void *map; /* NULL when nothing is mapped */
} vs_file;

VS_MUST_CHECK bool vs_file_open(vs_file *file, const char *path, vs_err *err);
/* Maps only the first max_bytes (headers of huge files); full_size_bytes is the file's. */
VS_MUST_CHECK bool vs_file_open_head(vs_file *file, const char *path, uint64_t max_bytes,
                                     uint64_t *full_size_bytes, vs_err *err);
void vs_file_close(vs_file *file);

/* All or nothing: bytes go to PATH.tmp-PID beside the target, commit renames it. "-" is
 * standard output (committed by flushing). Buffered; the first failure is kept and
 * reported by commit. Always end with commit or abandon. */
typedef struct vs_outfile vs_outfile;
VS_MUST_CHECK vs_outfile *vs_outfile_open(const char *path, vs_err *err);
void vs_outfile_write(vs_outfile *out, const void *bytes, size_t size_bytes);
void vs_outfile_printf(vs_outfile *out, const char *format, ...) VS_PRINTF(2, 3);
VS_MUST_CHECK bool vs_outfile_commit(vs_outfile *out, vs_err *err); /* frees out */
void vs_outfile_abandon(vs_outfile *out); /* frees out, removes the temporary */

/* ---- files built into the program ------------------------------------------------------ */

/* The catalogue: sim/catalogue/embed.c turns the files of sim/catalogue into this array at build time. */
typedef struct {
    const char *name; /* "gpus.json", "models/llama-2-7b.json" */
    const char *text;
    size_t text_bytes;
} vs_embedded;

extern const vs_embedded vs_embedded_files[];
extern const size_t vs_embedded_count;

/* ---- JSON (cJSON underneath) ----------------------------------------------------------- */

struct cJSON;

/* A parsed document. Parsing refuses: nesting beyond 64, duplicate keys, numbers that are
 * not finite, bytes after the value, NUL bytes; the error carries line and JSON path. */
typedef struct {
    struct cJSON *root;
    char input[VS_ERR_INPUT_BYTES];
} vs_json;

VS_MUST_CHECK bool vs_json_parse(vs_json *doc, const void *text, size_t size_bytes,
                                 const char *input_name, vs_err *err);
VS_MUST_CHECK bool vs_json_read(vs_json *doc, const char *path, vs_err *err); /* whole file */
void vs_json_close(vs_json *doc); /* also fine on a zeroed document */

/* A place in a document: the node and how one got there, for error messages. Members are
 * looked up case-sensitively. Getters: absent members leave *out alone and return true
 * when `required` is false; null counts as absent. Wrong types are errors with the path. */
typedef struct {
    const struct cJSON *node; /* NULL: absent */
    const vs_json *doc;
    char path[VS_ERR_PATH_BYTES];
    uint32_t index;             /* in its container; kept by vs_json_next */
    uint32_t parent_path_bytes; /* how much of path is the container's */
} vs_jnode;

vs_jnode vs_json_root(const vs_json *doc);
vs_jnode vs_json_member(const vs_jnode *object, const char *key); /* node NULL when absent */
bool vs_json_is_object(const vs_jnode *n);
bool vs_json_is_array(const vs_jnode *n);
bool vs_json_is_string(const vs_jnode *n);
bool vs_json_is_null(const vs_jnode *n);   /* the literal; not what is absent */
bool vs_json_is_absent(const vs_jnode *n); /* not there, or null */
/* true with *has false when absent, with *has true for a list; anything else is an error. */
VS_MUST_CHECK bool vs_json_get_list(const vs_jnode *object, const char *key, vs_jnode *out,
                                    bool *has, vs_err *err);
size_t vs_json_count(const vs_jnode *n); /* members or items, O(n) */
/* Iteration: for (vs_jnode i = vs_json_first(&a); i.node; i = vs_json_next(&i)) */
vs_jnode vs_json_first(const vs_jnode *container);
vs_jnode vs_json_next(const vs_jnode *item);
const char *vs_json_key(const vs_jnode *member); /* "" inside arrays */
/* Same type and contents, members in any order; false when one is absent. */
bool vs_json_equal(const vs_jnode *a, const vs_jnode *b);
/* The value as JSON text, indented, in the arena; NULL when it is absent or memory ran out. */
VS_MUST_CHECK char *vs_json_text(const vs_jnode *n, vs_arena *arena);

VS_MUST_CHECK bool vs_json_as_u64(const vs_jnode *n, uint64_t *out,
                                  vs_err *err); /* whole, 0 .. 2^53 */
VS_MUST_CHECK bool vs_json_as_str(const vs_jnode *n, vs_str *out,
                                  vs_err *err); /* borrowed from doc */
VS_MUST_CHECK bool vs_json_as_bool(const vs_jnode *n, bool *out, vs_err *err);
VS_MUST_CHECK bool vs_json_as_double(const vs_jnode *n, double *out, vs_err *err);
VS_MUST_CHECK bool vs_json_get_u64(const vs_jnode *object, const char *key, bool required,
                                   uint64_t *out, vs_err *err);
VS_MUST_CHECK bool vs_json_get_str(const vs_jnode *object, const char *key, bool required,
                                   vs_str *out, vs_err *err);
VS_MUST_CHECK bool vs_json_get_bool(const vs_jnode *object, const char *key, bool required,
                                    bool *out, vs_err *err);
VS_MUST_CHECK bool vs_json_get_double(const vs_jnode *object, const char *key, bool required,
                                      double *out, vs_err *err);
/* Fails naming the member: "expected ..., found ...". Always false. */
bool vs_json_fail(const vs_jnode *n, vs_err *err, const char *format, ...) VS_PRINTF(3, 4);

/* Writing: streams JSON text into an outfile, two-space indentation, keys in call order.
 * Commas, quoting and escaping are taken care of; nesting is asserted. NULL key inside arrays. */
typedef struct {
    vs_outfile *out;
    uint32_t depth;
    bool has_item[32];
    bool is_array[32];
    bool is_compact; /* one line */
} vs_jwriter;

vs_jwriter vs_jwriter_of(vs_outfile *out, bool is_compact);
void vs_jw_object(vs_jwriter *w, const char *key); /* key NULL: in an array or at the top */
void vs_jw_array(vs_jwriter *w, const char *key);
void vs_jw_end(vs_jwriter *w); /* closes the innermost */
void vs_jw_u64(vs_jwriter *w, const char *key, uint64_t value);
void vs_jw_i64(vs_jwriter *w, const char *key, int64_t value);
void vs_jw_str(vs_jwriter *w, const char *key, const char *value); /* NULL value: null */
void vs_jw_bool(vs_jwriter *w, const char *key, bool value);
void vs_jw_double(vs_jwriter *w, const char *key,
                  double value); /* shortest that reads back, never locale */
void vs_jw_null(vs_jwriter *w, const char *key);

/* ---- text --------------------------------------------------------------------------------- */

/* "24GiB", "1.5 gb", "4096": decimals exact, result floored to a byte. Binary KiB MiB GiB TiB,
 * decimal KB MB GB TB, case does not matter, bare = bytes. Negative, empty, 1e400, more than
 * 2^60: an error that says what is accepted. */
VS_MUST_CHECK bool vs_parse_size(vs_str text, vs_bytes *out, vs_err *err);
/* Decimal digits only, no sign, no overflow. */
VS_MUST_CHECK bool vs_parse_u64(vs_str text, uint64_t *out, vs_err *err);

#define VS_TEXT_BYTES 32
/* "12.55 GiB", "520.00 KiB", "17 B": two decimals from KiB up. Integer arithmetic, rounded half up. */
const char *vs_format_size(vs_bytes size, char buf[VS_TEXT_BYTES]);
/* Rates are decimal, as vendors and benchmarks give them: "7.00 GB/s", "667.57 MB/s", "17 B/s". */
const char *vs_format_rate(uint64_t bytes_per_s, char buf[VS_TEXT_BYTES]);
/* As PyTorch prints sizes in its OOM message: "20.00 MiB", "12.55 GiB", "512 bytes"
 * (specs: torch caching allocator, section 8.2). */
const char *vs_format_torch_size(vs_bytes size, char buf[VS_TEXT_BYTES]);
const char *vs_format_grouped(uint64_t value, char buf[VS_TEXT_BYTES]); /* 13,476,831,232 */
const char *vs_format_duration(vs_ns ns, char buf[VS_TEXT_BYTES]); /* 12.48 s, 3.1 ms, 820 ns */
/* The shortest candidate that name, of 3 bytes or more, is a part of; else the one with the smallest edit
 * distance to it, or NULL when none is near (distance above 1 + length / 3). ASCII case is ignored. Ties: the first. */
const char *vs_nearest(vs_str name, const char *const *candidates, size_t count);

/* ---- random numbers ---------------------------------------------------------------------------- */

/* xoshiro256** (Blackman and Vigna 2018), seeded by splitmix64: same seed, same numbers, everywhere. */
typedef struct {
    uint64_t s[4];
} vs_rng;

void vs_rng_seed(vs_rng *rng, uint64_t seed);
uint64_t vs_rng_next(vs_rng *rng);
uint64_t vs_rng_below(vs_rng *rng, uint64_t bound); /* 0 .. bound - 1, unbiased; bound > 0 */

#endif /* VS_BASE_H */
