/* traces/read/nsys.c - `nsys export --type sqlite`: what Nsight Systems saw of memory, copies, kernels and calls.
 *
 * Tables and columns: NVIDIA Nsight Systems User Guide 2024.6, "SQLite Schema Reference" (schema version 3.16.1), and
 * https://docs.nvidia.com/nsight-systems/2021.5/nsys-exporter/exported_data.html for the oldest one with memory events. Tables are
 * written only when there is something in them and columns come and go between versions, so both are looked up by name.
 *
 *   CUDA_GPU_MEMORY_USAGE_EVENTS       driver level: segments of a card, pinned memory on the host
 *   CUPTI_ACTIVITY_KIND_MEMCPY, _MEMSET, _KERNEL     spans
 *   CUPTI_ACTIVITY_KIND_RUNTIME        spans of the calls that allocate, free and launch
 *   NVTX_EVENTS                        annotations
 *   TARGET_INFO_GPU, TARGET_INFO_CUDA_DEVICE         names, sizes and which card a process calls its device N
 *   ENUM_*, StringIds, META_DATA_EXPORT, TARGET_INFO_SESSION_START_TIME
 *
 * Times are nanoseconds since the capture began. Blocks of PyTorch's allocator are not in here: its segments are. */
#include "traces/read/nsys.h"
#include "traces/read/nsys_lookup.h"
#include "traces/read/order.h"
#include "traces/read/rows.h"

/* ---- memory ----------------------------------------------------------------------------------------------------- */

enum {
    M_START,
    M_BYTES,
    M_ADDRESS,
    M_KIND,
    M_OPERATION,
    M_DEVICE,
    M_PID,
    M_STREAM,
    M_NAME,
    M_POOL_BYTES,
    M_COUNT
};

static const sq_column memory_columns[M_COUNT] = {
    [M_START] = {"start", true},
    [M_BYTES] = {"bytes", true},
    [M_ADDRESS] = {"address", true},
    [M_KIND] = {"memKind", true},
    [M_OPERATION] = {"memoryOperationType", true},
    [M_DEVICE] = {"deviceId", false},
    [M_PID] = {"globalPid", false},
    [M_STREAM] = {"streamId", false},
    [M_NAME] = {"name", false},
    [M_POOL_BYTES] = {"localMemoryPoolSize", false}};

typedef struct {
    vs_rec_event event;
    uint8_t device;
} memory_row;

/* True when the row became one; false: counted in left, or n->err is set. */
static bool read_memory_row(nsys *n, const sq_rows *rows, nsys_left_out *left, memory_row *out)
{
    int64_t start = 0;
    int64_t bytes = 0;
    int64_t address = 0;
    int64_t kind = -1;
    int64_t operation = -1;
    int64_t device = 0;
    int64_t pid = -1;
    int64_t stream = 0;
    int64_t pool = 0;
    uint64_t tag = 0;
    if (!nsys_cell(rows, M_START, &start) || !nsys_cell(rows, M_BYTES, &bytes) ||
        sq_integer(rows, M_ADDRESS, &address) != SQ_INTEGER ||
        !nsys_cell(rows, M_KIND, &kind) || !nsys_cell(rows, M_OPERATION, &operation) ||
        sq_integer(rows, M_DEVICE, &device) == SQ_OTHER ||
        sq_integer(rows, M_PID, &pid) == SQ_OTHER ||
        sq_integer(rows, M_STREAM, &stream) == SQ_OTHER) {
        left->broken++;
        return false;
    }
    const uint8_t memory = nsys_code(n->mem_code, kind);
    const uint8_t action = nsys_code(n->operation_code, operation);
    left->managed += memory == MEM_MANAGED && action == MEM_ALLOCATION ? 1 : 0;
    left->unknown += memory == NO_CODE || memory == MEM_UNKNOWN || action == NO_CODE ? 1 : 0;
    if (memory == MEM_MANAGED || memory == MEM_UNKNOWN || memory == NO_CODE ||
        action == NO_CODE) {
        return false;
    }
    if (!nsys_tag(n, pid, &tag)) {
        return false;
    }
    if (memory == MEM_DEVICE && !nsys_find_device(n, pid, device, &out->device)) {
        left->broken++;
        return false;
    }
    if (memory != MEM_DEVICE) {
        out->device = builder_device(n->b, 0, true);
    }
    if (sq_integer(rows, M_POOL_BYTES, &pool) == SQ_INTEGER && pool > 0 &&
        (vs_bytes)pool > n->largest_pool_bytes) {
        n->largest_pool_bytes = (vs_bytes)pool;
    }
    out->event = (vs_rec_event){
        .addr = (uint64_t)address ^ tag,
        .size = (vs_bytes)bytes,
        .time_ns = (vs_ns)start,
        .stack = VS_REC_NO_STACK,
        .label = builder_string(n->b, sq_text(rows, M_NAME)),
        .stream = builder_stream(n->b, (uint64_t)stream),
        .action =
            (uint8_t)(action == MEM_ALLOCATION ? VS_REC_SEGMENT_ALLOC : VS_REC_SEGMENT_FREE),
        .category = (uint8_t)(memory == MEM_DEVICE ? VS_CAT_TENSOR : VS_CAT_PINNED)};
    return true;
}

/* In the order of time, which the file does not promise. */
static bool add_in_order(nsys *n, const vs_rows *all)
{
    vs_arena *const scratch = n->desc->scratch;
    if (all->count >= UINT32_MAX) {
        return vs_fail(n->err, VS_ERR_LIMIT, "more than 2^32 memory events");
    }
    const uint32_t count = (uint32_t)all->count;
    uint64_t *const keys = VS_RAW_ARRAY(scratch, uint64_t, count);
    if (keys == NULL) {
        return vs_fail_memory(n->err, scratch, "memory events");
    }
    for (uint32_t i = 0; i < count; i++) {
        const memory_row *const row = rows_at(all, i);
        keys[i] = row->event.time_ns;
    }
    const uint32_t *const order = order_by_key(keys, count, scratch);
    if (order == NULL) {
        return vs_fail_memory(n->err, scratch, "memory events");
    }
    for (uint32_t i = 0; i < count; i++) {
        const memory_row *const row = rows_at(all, order[i]);
        builder_event(n->b, row->device, &row->event, NULL);
    }
    return true;
}

static bool read_memory(nsys *n)
{
    nsys_left_out left = {0};
    sq_rows rows = {0};
    uint32_t number = 0;
    vs_rows all = rows_of(n->desc->scratch, sizeof(memory_row), 10);
    if (!nsys_has_table(n, NSYS_MEMORY_TABLE)) {
        builder_note(n->b,
                     "no memory events: record with nsys profile --cuda-memory-usage=true");
        return !n->base.has_failed;
    }
    if (!sq_scan(&n->base, NSYS_MEMORY_TABLE, memory_columns, M_COUNT, &rows)) {
        return false;
    }
    while (n->err->code == VS_OK && sq_next(&n->base, &rows)) {
        memory_row row = {0};
        number++;
        if (!read_memory_row(n, &rows, &left, &row)) {
            continue;
        }
        row.event.origin = number - 1;
        memory_row *const to = rows_add(&all);
        if (to == NULL) {
            (void)vs_fail_memory(n->err, n->desc->scratch, "memory events");
            break;
        }
        *to = row;
    }
    sq_end(&rows);
    nsys_note_left_out(n, NSYS_MEMORY_TABLE, &left);
    if (n->pid_count > 1) {
        builder_note(
            n->b,
            "memory events of %u processes: addresses of the second and later ones carry "
            "the number of the process in their upper six bits",
            n->pid_count);
    }
    if (n->largest_pool_bytes > 0) {
        char size[VS_TEXT_BYTES];
        builder_note(
            n->b,
            "memory of cudaMallocAsync counts as what was handed out; its pool held up to %s",
            vs_format_size(n->largest_pool_bytes, size));
    }
    return n->err->code == VS_OK && add_in_order(n, &all);
}

/* ---- the file ------------------------------------------------------------------------------------------------------------ */

/* Who wrote it and when time 0 was. */
static bool read_head(nsys *n)
{
    static const sq_column export_columns[] = {{"name", true}, {"value", true}};
    static const sq_column start_columns[] = {{"utcEpochNs", false}};
    vs_recording *const head = builder_head(n->b);
    sq_rows rows = {0};
    head->has_time = true;
    head->epoch_ns = BUILDER_EPOCH_UNKNOWN;
    head->made_by = "Nsight Systems";
    if (nsys_has_table(n, "META_DATA_EXPORT") &&
        sq_scan(&n->base, "META_DATA_EXPORT", export_columns, 2, &rows)) {
        while (sq_next(&n->base, &rows)) {
            const vs_str value = sq_text(&rows, 1);
            if (vs_str_is(sq_text(&rows, 0), "EXPORT_PRODUCT_VERSION") && value.len > 0 &&
                value.len < 64) {
                const char *const made_by = vs_arena_printf(
                    n->desc->keep, "Nsight Systems %.*s", (int)value.len, value.ptr);
                head->made_by = made_by != NULL ? made_by : head->made_by;
            }
        }
        sq_end(&rows);
    }
    if (n->base.has_failed || !nsys_has_table(n, "TARGET_INFO_SESSION_START_TIME")) {
        return !n->base.has_failed;
    }
    if (!sq_scan(&n->base, "TARGET_INFO_SESSION_START_TIME", start_columns, 1, &rows)) {
        return false;
    }
    int64_t epoch = 0;
    if (sq_next(&n->base, &rows) && nsys_cell(&rows, 0, &epoch)) {
        head->epoch_ns = (uint64_t)epoch;
    }
    sq_end(&rows);
    return !n->base.has_failed;
}

/* A database of somebody else. */
static bool check_is_nsys(nsys *n)
{
    static const char *const tables[] = {NSYS_MEMORY_TABLE, NSYS_MEMCPY_TABLE,
                                         NSYS_MEMSET_TABLE, NSYS_KERNEL_TABLE, NSYS_CALL_TABLE};
    for (uint32_t i = 0; i < COUNT_OF(tables); i++) {
        if (sq_find_table(&n->base, tables[i]) == SQ_TABLE) {
            return true;
        }
    }
    if (n->base.has_failed) {
        return false;
    }
    if (sq_find_table(&n->base, "StringIds") == SQ_TABLE) {
        return vs_fail(
            n->err, VS_ERR_FORMAT,
            "an export of Nsight Systems without anything of CUDA in it: record with "
            "nsys profile --trace=cuda --cuda-memory-usage=true");
    }
    return vs_fail(n->err, VS_ERR_FORMAT,
                   "an SQLite database, but no export of Nsight Systems: it has no "
                   "table " NSYS_MEMORY_TABLE " or CUPTI_ACTIVITY_KIND_...; its tables: %s",
                   sq_some_tables(&n->base));
}

static void report(const nsys *n, uint32_t step)
{
    if (n->desc->progress != NULL) {
        n->desc->progress(n->desc->ctx, n->base.size_bytes / 8 * step, n->base.size_bytes);
    }
}

static bool read_tables(nsys *n)
{
    if (!check_is_nsys(n) || !read_head(n) || !nsys_read_lookups(n)) {
        return false;
    }
    report(n, 1);
    if (!read_memory(n) || !nsys_read_copies(n)) {
        return false;
    }
    report(n, 3);
    if (!nsys_read_memsets(n) || !nsys_read_kernels(n)) {
        return false;
    }
    report(n, 5);
    const bool is_read = nsys_read_calls(n) && nsys_read_ranges(n);
    report(n, 8);
    return is_read;
}

/* base is open in n. */
static bool read_open(nsys *n, vs_recording *out)
{
    n->b = builder_new(n->desc, VS_TRACE_NSYS);
    if (n->b == NULL) {
        (void)vs_fail_memory(n->err, n->desc->scratch, "a recording");
    }
    /* a builder that failed on the way says why in builder_finish */
    const bool is_read = n->b != NULL && (read_tables(n) || builder_has_failed(n->b)) &&
                         builder_finish(n->b, out, n->err);
    (void)sqlite3_finalize(n->strings);
    sq_close(&n->base);
    return is_read;
}

/* path NULL: the bytes. */
static bool read_any(vs_recording *out, const char *path, vs_str bytes,
                     const vs_read_desc *desc, vs_err *err)
{
    vs_err own = {0};
    const size_t mark = desc->scratch->used_bytes;
    nsys *const n = VS_NEW(desc->scratch, nsys);
    bool is_read = false;
    if (n == NULL) {
        (void)vs_fail_memory(&own, desc->scratch, "a recording");
    } else {
        *n = (nsys){.desc = desc, .err = &own};
        is_read = (path != NULL
                       ? sq_open(&n->base, path, desc->scratch, &own)
                       : sq_open_bytes(&n->base, bytes.ptr, bytes.len, desc->scratch, &own)) &&
                  read_open(n, out);
    }
    vs_arena_rewind(desc->scratch, mark);
    if (!is_read && path != NULL) {
        vs_err_at_input(&own, path);
    }
    if (!is_read && err != NULL && err->code == VS_OK) {
        *err = own;
    }
    return is_read;
}

bool read_nsys_bytes(vs_recording *out, const void *bytes, size_t size_bytes,
                     const vs_read_desc *desc, vs_err *err)
{
    return read_any(out, NULL, (vs_str){bytes, size_bytes}, desc, err);
}

bool read_nsys(vs_recording *out, const char *path, const vs_read_desc *desc, vs_err *err)
{
    return read_any(out, path, (vs_str){0}, desc, err);
}
