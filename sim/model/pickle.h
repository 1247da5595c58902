/* sim/model/pickle.h - a machine that reads the table of tensors out of a pickle and can do nothing else.
 *
 * A pickle is a program for a stack machine, and Python's runs whatever it names. This one knows the opcodes that a
 * state dict is made of and a fixed table of names (torch storages, dtypes, the functions that torch.save uses to describe a
 * tensor). A name stands for nothing but itself: "calling" _rebuild_tensor_v2 fills in a vs_pickle_tensor. Everything else is
 * an error with the byte where it stands.
 *
 * Memory and time are linear in the pickle's length: values are small and shared, never expanded or walked here, and
 * nothing recurses. Containers may hold themselves; whoever walks them counts on vs_pickle_container.is_visited. */
#ifndef VS_MODEL_PICKLE_H
#define VS_MODEL_PICKLE_H

#include "vramscope/model.h"

/* Named limits. A tensor takes about 250 bytes of pickle; state dicts nest four deep. */
#define VS_PICKLE_BYTES_MAX      (UINT64_C(256) << 20)
#define VS_PICKLE_DEPTH_MAX      1000u /* open marks; Python's own recursion limit */
/* Storage keys are decimal numbers: counters, in old files addresses. */
#define VS_STORAGE_KEY_MAX       23u
/* What one byte of pickle can make the machine take from its arena, with room to spare (tests/fault/fault_pickle.c). */
#define VS_PICKLE_SCRATCH_FACTOR ((size_t)128)

typedef enum {
    VS_PK_ABSENT, /* a memo slot that was never filled */
    VS_PK_NONE,
    VS_PK_BOOL,
    VS_PK_INT,   /* fits in 64 bits */
    VS_PK_LONG,  /* does not; the bytes are kept */
    VS_PK_FLOAT, /* value not kept */
    VS_PK_TEXT,
    VS_PK_BYTES,
    VS_PK_TUPLE,
    VS_PK_LIST,
    VS_PK_DICT,
    VS_PK_GLOBAL,
    VS_PK_STORAGE,
    VS_PK_TENSOR,
    VS_PK_OPAQUE /* plain data that a table of tensors does not need (torch.Size, torch.device) */
} vs_pickle_kind;

/* The names the machine knows, by what may be done with them. */
typedef enum {
    VS_PG_ORDERED_DICT,
    VS_PG_REBUILD,         /* torch._utils._rebuild_tensor */
    VS_PG_REBUILD_V2,      /* torch._utils._rebuild_tensor_v2 */
    VS_PG_REBUILD_V3,      /* torch._utils._rebuild_tensor_v3: dtype given, storage untyped */
    VS_PG_PARAMETER,       /* torch._utils._rebuild_parameter */
    VS_PG_PARAMETER_STATE, /* torch._utils._rebuild_parameter_with_state */
    VS_PG_FROM_TYPE,       /* torch._tensor._rebuild_from_type_v2 */
    VS_PG_TENSOR_TYPE,     /* torch.Tensor, torch.nn.parameter.Parameter: an argument only */
    VS_PG_DTYPE,           /* torch.float8_e4m3fn, ... */
    VS_PG_STORAGE,         /* torch.HalfStorage, ... */
    VS_PG_UNTYPED_STORAGE,
    VS_PG_PLAIN /* plain data, see VS_PK_OPAQUE */
} vs_pickle_role;

typedef struct {
    const char *module;
    const char *name;
    vs_pickle_role role;
    vs_dtype dtype; /* of storages and dtypes; VS_DT_COUNT: one this program has no name for */
} vs_pickle_global;

struct vs_pickle_value;

typedef struct vs_pickle_chunk {
    struct vs_pickle_chunk *next;
    const struct vs_pickle_value *items;
    uint32_t count;
} vs_pickle_chunk;

/* A list, or a dict as keys and values in turn. Grows after it was put somewhere: shared by pointer. */
typedef struct {
    vs_pickle_chunk *first;
    vs_pickle_chunk *last;
    uint32_t count; /* of values */
    bool is_visited;
} vs_pickle_container;

/* One mention of a storage: ("storage", type, key, location, elements, view). */
typedef struct {
    vs_str key;          /* borrowed from the pickle, at most VS_STORAGE_KEY_MAX bytes */
    vs_dtype dtype;      /* of its elements; VS_DT_COUNT: untyped, elements are bytes */
    uint64_t elements;   /* of the whole storage */
    uint64_t size_bytes; /* of the whole storage */
    uint64_t first_byte; /* of the view, 0: all of it */
    uint32_t mention;    /* counts up in the order of the pickle */
} vs_pickle_storage;

typedef struct {
    const vs_pickle_storage *storage;
    uint64_t first_byte; /* in the whole storage */
    uint64_t
        end_byte; /* behind the last element that it reaches; first_byte when it is empty */
    uint64_t elements;
    vs_bytes size_bytes; /* elements times their size; end_byte - first_byte when contiguous */
    uint64_t shape[VS_DIMS_MAX];
    uint64_t stride[VS_DIMS_MAX]; /* in elements */
    uint32_t dim_count;
    vs_dtype dtype;
    bool is_contiguous;
} vs_pickle_tensor;

typedef struct vs_pickle_value {
    vs_pickle_kind kind;
    uint32_t count; /* bytes of TEXT, BYTES and LONG, items of a TUPLE */

    union {
        int64_t integer; /* INT, BOOL */
        const uint8_t *bytes;
        const struct vs_pickle_value *items;
        vs_pickle_container *container;
        const vs_pickle_global *global;
        const vs_pickle_storage *storage;
        const vs_pickle_tensor *tensor;
    } as;
} vs_pickle_value;

typedef struct {
    vs_pickle_value
        value;           /* what STOP left; lives in scratch, text is borrowed from the input */
    uint64_t used_bytes; /* up to and with STOP */
    vs_pickle_storage **storages; /* every mention, in order */
    uint32_t storage_count;
    bool is_cut_short; /* on failure: the input ended before STOP */
} vs_pickle_result;

/* Runs one pickle, protocols 2 to 5. bytes may go on behind it. Errors are at file_offset + the opcode's place. */
VS_MUST_CHECK bool vs_pickle_run(vs_pickle_result *result, vs_arena *scratch, vs_str bytes,
                                 uint64_t file_offset, vs_err *err);

/* A walk over a container's values in order. */
typedef struct {
    const vs_pickle_chunk *chunk;
    uint32_t at;
} vs_pickle_walk;

vs_pickle_walk vs_pickle_walk_of(const vs_pickle_container *container);
/* NULL at the end. */
const vs_pickle_value *vs_pickle_walk_next(vs_pickle_walk *walk);

bool vs_pickle_is_text(const vs_pickle_value *value, const char *text);
/* The bytes of TEXT or BYTES. */
vs_str vs_pickle_text(const vs_pickle_value *value);
const char *vs_pickle_kind_name(vs_pickle_kind kind); /* "a tuple" */

/* ---- between the files pickle_*.c -------------------------------------------------------------------- */

typedef struct {
    vs_arena *arena;
    vs_err *err;
    const uint8_t *bytes;
    uint64_t size_bytes;
    uint64_t pos;    /* of the next byte */
    uint64_t op_pos; /* of the opcode at work */
    uint64_t file_offset;
    vs_pickle_value *stack;
    uint32_t stack_count;
    uint32_t stack_room;
    uint32_t *marks; /* stack heights, VS_PICKLE_DEPTH_MAX */
    uint32_t mark_count;
    vs_pickle_value *memo;
    uint32_t memo_room;
    uint32_t memo_count; /* MEMOIZE counts up from here */
    vs_pickle_storage **storages;
    uint32_t storage_count;
    uint32_t storage_room;
    bool is_stopped;
    bool is_cut_short;
} vs_pickle_machine;

/* Fails at the opcode at work. Always false. */
bool vs_pickle_fail(vs_pickle_machine *m, vs_errcode code, const char *format, ...)
    VS_PRINTF(3, 4);
bool vs_pickle_out_of_memory(vs_pickle_machine *m);

/* The next count bytes, borrowed; a little-endian number of 1, 2, 4 or 8 bytes; up to a line feed, which is left out. */
VS_MUST_CHECK bool vs_pickle_take(vs_pickle_machine *m, uint64_t count, const uint8_t **out);
VS_MUST_CHECK bool vs_pickle_take_number(vs_pickle_machine *m, uint32_t width, uint64_t *out);
VS_MUST_CHECK bool vs_pickle_take_line(vs_pickle_machine *m, vs_str *out);

/* Doubles an array until wanted items fit; what it leaves behind is less than what it becomes. */
VS_MUST_CHECK bool vs_pickle_grow(vs_pickle_machine *m, vs_pickle_value **items, uint32_t *room,
                                  uint64_t wanted);
VS_MUST_CHECK bool vs_pickle_push(vs_pickle_machine *m, vs_pickle_value v);
VS_MUST_CHECK bool vs_pickle_pop(vs_pickle_machine *m, vs_pickle_value *out);
/* The topmost count values, still on the stack. NULL and an error when there are fewer above the mark. */
vs_pickle_value *vs_pickle_top(vs_pickle_machine *m, uint32_t count);
/* Everything above the last mark, which is taken off. The values stay where they are until the next push. */
VS_MUST_CHECK bool vs_pickle_pop_mark(vs_pickle_machine *m, const vs_pickle_value **items,
                                      uint32_t *count);

/* NULL, with the error set, when the name is not in the table. */
const vs_pickle_global *vs_pickle_find_global(vs_pickle_machine *m, vs_str module, vs_str name);
/* Persistent id -> storage; function and arguments -> result; state into an object. In place. */
VS_MUST_CHECK bool vs_pickle_load_storage(vs_pickle_machine *m, vs_pickle_value *id);
VS_MUST_CHECK bool vs_pickle_reduce(vs_pickle_machine *m, vs_pickle_value *function,
                                    const vs_pickle_value *args);
VS_MUST_CHECK bool vs_pickle_new_container(vs_pickle_machine *m, vs_pickle_kind kind,
                                           vs_pickle_value *out);
VS_MUST_CHECK bool vs_pickle_append(vs_pickle_machine *m, vs_pickle_container *to,
                                    const vs_pickle_value *items, uint32_t count);

#endif /* VS_MODEL_PICKLE_H */
