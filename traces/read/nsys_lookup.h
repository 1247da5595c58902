/* traces/read/nsys_lookup.h - what the readers of an Nsight Systems export share: its codes, names, devices and processes. */
#ifndef VS_TRACES_NSYS_LOOKUP_H
#define VS_TRACES_NSYS_LOOKUP_H

#include "traces/read/read.h"
#include "traces/read/sqlite_rows.h"

#define PROCESSES_MAX   64u
#define GPUS_MAX        64u
#define MAPPINGS_MAX    1024u
#define CODES_MAX       32u
#define CACHE_SLOTS     8192u
#define NO_CODE         255u
#define COUNT_OF(array) ((uint32_t)(sizeof(array) / sizeof(array)[0]))

/* What the numbers of ENUM_CUDA_MEM_KIND, ENUM_CUDA_MEMCPY_OPER and ENUM_CUDA_DEV_MEM_EVENT_OPER mean. */
typedef enum { MEM_HOST, MEM_PINNED, MEM_DEVICE, MEM_MANAGED, MEM_UNKNOWN } mem_kind;

typedef enum { COPY_H2D, COPY_D2H, COPY_D2D, COPY_PEER, COPY_MANAGED, COPY_OTHER } copy_kind;

typedef enum { MEM_ALLOCATION, MEM_DEALLOCATION } mem_operation;

typedef struct {
    int64_t id;
    uint32_t string; /* of the builder */
    bool is_known;
} nsys_string;

typedef struct {
    int64_t pid, cuda, gpu;
} nsys_mapping;

typedef struct {
    int64_t id, cuda; /* cuda -1: not told */
} nsys_gpu;

/* Rows that were left out, for the notes. */
typedef struct {
    uint64_t broken;   /* a value of another type, negative, or an end before the start */
    uint64_t managed;  /* allocations of managed memory */
    uint64_t unknown;  /* memory, operations or copies of a kind nobody knows */
    uint64_t untold;   /* copies that do not say what the host side was */
    uint64_t migrated; /* pages of managed memory */
} nsys_left_out;

typedef struct {
    const vs_read_desc *desc;
    vs_builder *b;
    vs_err *err;
    sq_base base;
    sqlite3_stmt *strings; /* StringIds by id, NULL: no such table */
    uint8_t mem_code[CODES_MAX];
    uint8_t copy_code[CODES_MAX];
    uint8_t operation_code[CODES_MAX];
    int64_t pids[PROCESSES_MAX];
    uint32_t pid_count;
    nsys_gpu gpus[GPUS_MAX];
    uint32_t gpu_count;
    nsys_mapping mappings[MAPPINGS_MAX];
    uint32_t mapping_count;
    uint32_t failed_calls;
    vs_bytes largest_pool_bytes;
    nsys_string cache[CACHE_SLOTS];
    nsys_string call_cache[CACHE_SLOTS];
} nsys;

/* All lookups; n->base is open and n->b is new. */
VS_MUST_CHECK bool nsys_read_lookups(nsys *n);
/* An ordinary table of that name; false also after a failure (n->base.has_failed). Views are noted. */
bool nsys_has_table(nsys *n, const char *table);
/* A cell that has to be there: not negative, and an integer. */
bool nsys_cell(const sq_rows *rows, uint32_t column, int64_t *out);
/* What a number means: mem_kind, copy_kind or mem_operation; NO_CODE: nobody knows. */
uint8_t nsys_code(const uint8_t *codes, int64_t id);
/* The builder's string of a StringIds id. */
uint32_t nsys_label(nsys *n, int64_t id);
/* The same of a call whose time says something about the machine, without its version; 0 for all others. */
uint32_t nsys_call_label(nsys *n, int64_t id);
/* The builder's device of what a process calls its device number; false: it cannot be. */
bool nsys_find_device(nsys *n, int64_t global_pid, int64_t device, uint8_t *out);
/* Every process has addresses of its own: the second and later ones carry their number above the bits that addresses have.
 * False: more processes than are told apart (n->err). */
bool nsys_tag(nsys *n, int64_t global_pid, uint64_t *tag);
void nsys_note_left_out(nsys *n, const char *table, const nsys_left_out *left);

/* nsys_work.c */
VS_MUST_CHECK bool nsys_read_copies(nsys *n);
VS_MUST_CHECK bool nsys_read_memsets(nsys *n);
VS_MUST_CHECK bool nsys_read_kernels(nsys *n);
VS_MUST_CHECK bool nsys_read_calls(nsys *n);
VS_MUST_CHECK bool nsys_read_ranges(nsys *n);

#define NSYS_MEMORY_TABLE "CUDA_GPU_MEMORY_USAGE_EVENTS"
#define NSYS_MEMCPY_TABLE "CUPTI_ACTIVITY_KIND_MEMCPY"
#define NSYS_MEMSET_TABLE "CUPTI_ACTIVITY_KIND_MEMSET"
#define NSYS_KERNEL_TABLE "CUPTI_ACTIVITY_KIND_KERNEL"
#define NSYS_CALL_TABLE   "CUPTI_ACTIVITY_KIND_RUNTIME"

#endif /* VS_TRACES_NSYS_LOOKUP_H */
