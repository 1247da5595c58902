/* traces/read/nsys_lookup.c - see nsys_lookup.h. */
#include "traces/read/nsys_lookup.h"

#include <string.h>

#define PROCESS_SHIFT 58u /* addresses have at most 57 bits */
#define ORDINAL_MAX   1023
#define PID_OF(id)    (((id) >> 24) & 0xffffff) /* "Serialized process and thread identifiers" */

/* The values that every version so far has; the file's own tables win. */
typedef struct {
    const char *name;
    uint8_t id;
    uint8_t is;
} code_name;

static const code_name mem_names[] = {
    {"CUDA_MEMOPR_MEMORY_KIND_PAGEABLE", 0, MEM_HOST},
    {"CUDA_MEMOPR_MEMORY_KIND_PINNED", 1, MEM_PINNED},
    {"CUDA_MEMOPR_MEMORY_KIND_DEVICE", 2, MEM_DEVICE},
    {"CUDA_MEMOPR_MEMORY_KIND_ARRAY", 3, MEM_DEVICE},
    {"CUDA_MEMOPR_MEMORY_KIND_MANAGED", 4, MEM_MANAGED},
    {"CUDA_MEMOPR_MEMORY_KIND_DEVICE_STATIC", 5, MEM_DEVICE},
    {"CUDA_MEMOPR_MEMORY_KIND_MANAGED_STATIC", 6, MEM_MANAGED},
    {"CUDA_MEMOPR_MEMORY_KIND_UNKNOWN", 7, MEM_UNKNOWN}};
static const code_name copy_names[] = {{"CUDA_MEMCPY_KIND_UNKNOWN", 0, COPY_OTHER},
                                       {"CUDA_MEMCPY_KIND_HTOD", 1, COPY_H2D},
                                       {"CUDA_MEMCPY_KIND_DTOH", 2, COPY_D2H},
                                       {"CUDA_MEMCPY_KIND_HTOA", 3, COPY_H2D},
                                       {"CUDA_MEMCPY_KIND_ATOH", 4, COPY_D2H},
                                       {"CUDA_MEMCPY_KIND_ATOA", 5, COPY_D2D},
                                       {"CUDA_MEMCPY_KIND_ATOD", 6, COPY_D2D},
                                       {"CUDA_MEMCPY_KIND_DTOA", 7, COPY_D2D},
                                       {"CUDA_MEMCPY_KIND_DTOD", 8, COPY_D2D},
                                       {"CUDA_MEMCPY_KIND_HTOH", 9, COPY_OTHER},
                                       {"CUDA_MEMCPY_KIND_PTOP", 10, COPY_PEER},
                                       {"CUDA_MEMCPY_KIND_UVM_HTOD", 11, COPY_MANAGED},
                                       {"CUDA_MEMCPY_KIND_UVM_DTOH", 12, COPY_MANAGED},
                                       {"CUDA_MEMCPY_KIND_UVM_DTOD", 13, COPY_MANAGED}};
static const code_name operation_names[] = {
    {"CUDA_DEV_MEM_EVENT_OPR_ALLOCATION", 0, MEM_ALLOCATION},
    {"CUDA_DEV_MEM_EVENT_OPR_DEALLOCATION", 1, MEM_DEALLOCATION}};
/* Calls whose time says something about the machine; an _v3020 at the end is cut off. Copies have spans of their own. */
static const char *const calls[] = {
    "cudaMalloc",         "cudaFree",         "cudaMallocAsync",     "cudaFreeAsync",
    "cudaMallocHost",     "cudaHostAlloc",    "cudaFreeHost",        "cudaHostRegister",
    "cudaHostUnregister", "cudaLaunchKernel", "cudaLaunchKernelExC", "cuMemAlloc",
    "cuMemFree",          "cuMemAllocAsync",  "cuMemFreeAsync",      "cuMemCreate",
    "cuMemRelease",       "cuMemMap",         "cuMemUnmap",          "cuMemHostAlloc",
    "cuMemFreeHost",      "cuLaunchKernel",   "cuLaunchKernelEx"};

/* ---- codes, strings -------------------------------------------------------------------------------------- */

bool nsys_has_table(nsys *n, const char *table)
{
    const sq_found found = sq_find_table(&n->base, table);
    if (found == SQ_NOT_A_TABLE) {
        builder_note(n->b, "%s is a view or a virtual table and was not read", table);
    }
    return found == SQ_TABLE;
}

/* The fixed values, and over them what the file's own table says. */
static bool read_codes(nsys *n, const char *table, const code_name *names, uint32_t count,
                       uint8_t *codes)
{
    static const sq_column columns[] = {{"id", true}, {"name", true}};
    sq_rows rows = {0};
    memset(codes, NO_CODE, CODES_MAX);
    for (uint32_t i = 0; i < count; i++) {
        codes[names[i].id] = names[i].is;
    }
    if (!nsys_has_table(n, table)) {
        return !n->base.has_failed;
    }
    if (!sq_scan(&n->base, table, columns, COUNT_OF(columns), &rows)) {
        return false;
    }
    while (sq_next(&n->base, &rows)) {
        int64_t id = 0;
        const vs_str name = sq_text(&rows, 1);
        for (uint32_t i = 0; i < count; i++) {
            if (sq_integer(&rows, 0, &id) == SQ_INTEGER && id >= 0 && id < CODES_MAX &&
                vs_str_is(name, names[i].name)) {
                codes[id] = names[i].is;
            }
        }
    }
    sq_end(&rows);
    return !n->base.has_failed;
}

uint8_t nsys_code(const uint8_t *codes, int64_t id)
{
    return id >= 0 && id < CODES_MAX ? codes[id] : (uint8_t)NO_CODE;
}

/* The text of a StringIds id; empty when there is none. Valid until the next call. */
static vs_str string_by_id(nsys *n, int64_t id)
{
    if (n->strings == NULL || n->base.has_failed) {
        return (vs_str){0};
    }
    (void)sqlite3_reset(n->strings);
    (void)sqlite3_bind_int64(n->strings, 1, id);
    const int status = sqlite3_step(n->strings);
    if (status != SQLITE_ROW && status != SQLITE_DONE) {
        (void)sq_fail(&n->base, "StringIds");
    }
    if (status != SQLITE_ROW || sqlite3_column_type(n->strings, 0) != SQLITE_TEXT) {
        return (vs_str){0};
    }
    const unsigned char *const text = sqlite3_column_text(n->strings, 0);
    const int bytes = sqlite3_column_bytes(n->strings, 0);
    return text == NULL ? (vs_str){0} : (vs_str){(const char *)text, (size_t)bytes};
}

/* The builder's id of a StringIds id, through a cache: kernels have few names. */
uint32_t nsys_label(nsys *n, int64_t id)
{
    nsys_string *const slot = &n->cache[(uint64_t)id % CACHE_SLOTS];
    if (!slot->is_known || slot->id != id) {
        *slot = (nsys_string){id, builder_string(n->b, string_by_id(n, id)), true};
    }
    return slot->string;
}

/* cudaMalloc_v3020 is cudaMalloc. */
static vs_str without_version(vs_str name)
{
    size_t len = name.len;
    while (len > 0 && name.ptr[len - 1] >= '0' && name.ptr[len - 1] <= '9') {
        len--;
    }
    const bool has_version =
        len < name.len && len > 2 && name.ptr[len - 1] == 'v' && name.ptr[len - 2] == '_';
    return has_version ? (vs_str){name.ptr, len - 2} : name;
}

/* The label of a call that is kept; 0 for all others. */
uint32_t nsys_call_label(nsys *n, int64_t id)
{
    nsys_string *const slot = &n->call_cache[(uint64_t)id % CACHE_SLOTS];
    if (slot->is_known && slot->id == id) {
        return slot->string;
    }
    const vs_str name = without_version(string_by_id(n, id));
    uint32_t label = 0;
    for (uint32_t i = 0; i < COUNT_OF(calls) && label == 0; i++) {
        label = vs_str_is(name, calls[i]) ? builder_string(n->b, name) : 0;
    }
    *slot = (nsys_string){id, label, true};
    return label;
}

/* A cell that has to be there: not negative, and an integer. */
bool nsys_cell(const sq_rows *rows, uint32_t column, int64_t *out)
{
    return sq_integer(rows, column, out) == SQ_INTEGER && *out >= 0;
}

/* ---- devices ------------------------------------------------------------------------------------------------ */

static bool read_gpus(nsys *n)
{
    static const sq_column columns[] = {
        {"id", true}, {"name", false}, {"totalMemory", false}, {"cuDevice", false}};
    sq_rows rows = {0};
    if (!nsys_has_table(n, "TARGET_INFO_GPU")) {
        return !n->base.has_failed;
    }
    if (!sq_scan(&n->base, "TARGET_INFO_GPU", columns, COUNT_OF(columns), &rows)) {
        return false;
    }
    while (n->gpu_count < GPUS_MAX && sq_next(&n->base, &rows)) {
        int64_t total = 0;
        nsys_gpu gpu = {.cuda = -1};
        if (sq_integer(&rows, 0, &gpu.id) != SQ_INTEGER) {
            continue;
        }
        (void)sq_integer(&rows, 2, &total);
        (void)sq_integer(&rows, 3, &gpu.cuda);
        n->gpus[n->gpu_count++] = gpu;
        if (gpu.id >= 0 &&
            gpu.id <= ORDINAL_MAX) { /* left out at the end when nothing happens on it */
            const uint8_t device = builder_device(n->b, (uint32_t)gpu.id, false);
            builder_name_device(n->b, device, sq_text(&rows, 1),
                                total > 0 ? (vs_bytes)total : 0);
        }
    }
    sq_end(&rows);
    return !n->base.has_failed;
}

static bool read_mappings(nsys *n)
{
    static const sq_column columns[] = {{"gpuId", true}, {"cudaId", true}, {"pid", false}};
    sq_rows rows = {0};
    if (!nsys_has_table(n, "TARGET_INFO_CUDA_DEVICE")) {
        return !n->base.has_failed;
    }
    if (!sq_scan(&n->base, "TARGET_INFO_CUDA_DEVICE", columns, COUNT_OF(columns), &rows)) {
        return false;
    }
    while (n->mapping_count < MAPPINGS_MAX && sq_next(&n->base, &rows)) {
        nsys_mapping m = {.pid = -1};
        if (sq_integer(&rows, 0, &m.gpu) == SQ_INTEGER &&
            sq_integer(&rows, 1, &m.cuda) == SQ_INTEGER) {
            (void)sq_integer(&rows, 2, &m.pid);
            n->mappings[n->mapping_count++] = m;
        }
    }
    sq_end(&rows);
    return !n->base.has_failed;
}

/* Which card a process means by its device number (CUDA_VISIBLE_DEVICES renumbers them for each process). */
static int64_t gpu_of(const nsys *n, int64_t pid, int64_t device)
{
    for (uint32_t i = 0; i < n->mapping_count; i++) {
        const nsys_mapping *const m = &n->mappings[i];
        if (m->cuda == device && (m->pid == pid || m->pid < 0 || pid < 0)) {
            return m->gpu;
        }
    }
    for (uint32_t i = 0; i < n->gpu_count; i++) {
        if (n->gpus[i].cuda == device) {
            return n->gpus[i].id;
        }
    }
    return device;
}

/* The builder's device; false: a number that cannot be. */
bool nsys_find_device(nsys *n, int64_t global_pid, int64_t device, uint8_t *out)
{
    const int64_t pid = global_pid < 0 ? -1 : PID_OF(global_pid);
    const int64_t ordinal = gpu_of(n, pid, device);
    if (ordinal < 0 || ordinal > ORDINAL_MAX) {
        return false;
    }
    *out = builder_device(n->b, (uint32_t)ordinal, false);
    return true;
}

/* Every process has addresses of its own: the second and later ones carry their number above the bits that addresses have.
 * False: more processes than are told apart. */
bool nsys_tag(nsys *n, int64_t global_pid, uint64_t *tag)
{
    for (uint32_t i = 0; i < n->pid_count; i++) {
        if (n->pids[i] == global_pid) {
            *tag = (uint64_t)i << PROCESS_SHIFT;
            return true;
        }
    }
    if (n->pid_count == PROCESSES_MAX) {
        return vs_fail(n->err, VS_ERR_LIMIT, "memory events of more than %u processes",
                       PROCESSES_MAX);
    }
    *tag = (uint64_t)n->pid_count << PROCESS_SHIFT;
    n->pids[n->pid_count++] = global_pid;
    return true;
}

bool nsys_read_lookups(nsys *n)
{
    if (!read_codes(n, "ENUM_CUDA_MEM_KIND", mem_names, COUNT_OF(mem_names), n->mem_code) ||
        !read_codes(n, "ENUM_CUDA_MEMCPY_OPER", copy_names, COUNT_OF(copy_names),
                    n->copy_code) ||
        !read_codes(n, "ENUM_CUDA_DEV_MEM_EVENT_OPER", operation_names,
                    COUNT_OF(operation_names), n->operation_code) ||
        !read_gpus(n) || !read_mappings(n)) {
        return false;
    }
    if (nsys_has_table(n, "StringIds")) {
        return sq_prepare_lookup(&n->base, "StringIds", "value", &n->strings);
    }
    return !n->base.has_failed;
}

/* ---- notes --------------------------------------------------------------------------------------------------- */

void nsys_note_left_out(nsys *n, const char *table, const nsys_left_out *left)
{
    if (left->broken > 0) {
        builder_note(
            n->b, "%s: %" PRIu64 " rows left out: a value is missing, negative or no integer",
            table, left->broken);
    }
    if (left->managed > 0) {
        builder_note(n->b,
                     "%" PRIu64
                     " allocations of managed memory left out: they take device memory "
                     "only where they are touched",
                     left->managed);
    }
    if (left->unknown > 0) {
        builder_note(n->b, "%s: %" PRIu64 " rows of an unknown kind left out", table,
                     left->unknown);
    }
    if (left->untold > 0) {
        builder_note(n->b,
                     "%" PRIu64
                     " copies left out: the file does not say whether their host memory "
                     "was pinned",
                     left->untold);
    }
    if (left->migrated > 0) {
        builder_note(n->b, "%" PRIu64 " migrations of managed memory left out", left->migrated);
    }
}
