/* traces/read/nsys_work.c - copies, kernels, calls and ranges of an Nsight Systems export. */
#include "traces/read/nsys_lookup.h"

#define CUDA_NO_MEMORY 2 /* cudaErrorMemoryAllocation, CUDA_ERROR_OUT_OF_MEMORY */

/* ---- spans ---------------------------------------------------------------------------------------------------------- */

enum {
    S_START,
    S_END,
    S_DEVICE,
    S_STREAM,
    S_PID,
    S_BYTES,
    S_KIND,
    S_FROM,
    S_TO,
    S_NAME,
    S_NAME_2,
    S_COUNT
};

static const sq_column copy_columns[S_COUNT] = {
    {"start", true},     {"end", true},        {"deviceId", false},
    {"streamId", false}, {"globalPid", false}, {"bytes", true},
    {"copyKind", true},  {"srcKind", false},   {"dstKind", false}};
static const sq_column memset_columns[] = {{"start", true},      {"end", true},
                                           {"deviceId", false},  {"streamId", false},
                                           {"globalPid", false}, {"bytes", true}};
static const sq_column kernel_columns[S_COUNT] = {
    {"start", true},      {"end", true},        {"deviceId", false},     {"streamId", false},
    {"globalPid", false}, {"bytes", false},     {"copyKind", false},     {"srcKind", false},
    {"dstKind", false},   {"shortName", false}, {"demangledName", false}};

/* What all three tables of device work have. */
static bool read_span(nsys *n, const sq_rows *rows, vs_rec_span *out)
{
    int64_t start = 0;
    int64_t end = 0;
    int64_t device = 0;
    int64_t stream = 0;
    int64_t pid = -1;
    uint8_t index = 0;
    if (!nsys_cell(rows, S_START, &start) || !nsys_cell(rows, S_END, &end) || end < start ||
        sq_integer(rows, S_DEVICE, &device) == SQ_OTHER ||
        sq_integer(rows, S_STREAM, &stream) == SQ_OTHER ||
        sq_integer(rows, S_PID, &pid) == SQ_OTHER ||
        !nsys_find_device(n, pid, device, &index)) {
        return false;
    }
    *out = (vs_rec_span){.start_ns = (vs_ns)start,
                         .end_ns = (vs_ns)end,
                         .stream = builder_stream(n->b, (uint64_t)stream),
                         .device = index};
    return true;
}

/* VS_REC_WORK_COUNT: counted in left. */
static vs_rec_work work_of_copy(const nsys *n, const sq_rows *rows, nsys_left_out *left)
{
    int64_t kind = -1;
    int64_t from = -1;
    int64_t to = -1;
    (void)sq_integer(rows, S_KIND, &kind);
    (void)sq_integer(rows, S_FROM, &from);
    (void)sq_integer(rows, S_TO, &to);
    switch (nsys_code(n->copy_code, kind)) {
    case COPY_H2D:
        switch (nsys_code(n->mem_code, from)) {
        case MEM_PINNED: return VS_REC_H2D_PINNED;
        case MEM_HOST: return VS_REC_H2D_PAGEABLE;
        default: left->untold++; return VS_REC_WORK_COUNT;
        }
    case COPY_D2H:
        switch (nsys_code(n->mem_code, to)) {
        case MEM_PINNED: return VS_REC_D2H_PINNED;
        case MEM_HOST: return VS_REC_D2H_PAGEABLE;
        default: left->untold++; return VS_REC_WORK_COUNT;
        }
    case COPY_D2D: return VS_REC_D2D;
    case COPY_PEER: return VS_REC_PEER;
    case COPY_MANAGED: left->migrated++; return VS_REC_WORK_COUNT;
    default: left->unknown++; return VS_REC_WORK_COUNT;
    }
}

static void add_work(nsys *n, const sq_rows *rows, vs_rec_work work, nsys_left_out *left)
{
    vs_rec_span span = {0};
    int64_t bytes = 0;
    int64_t name = 0;
    if (!read_span(n, rows, &span) ||
        (work != VS_REC_KERNEL && !nsys_cell(rows, S_BYTES, &bytes))) {
        left->broken++;
        return;
    }
    if (work == VS_REC_KERNEL) {
        const bool has_name = sq_integer(rows, S_NAME, &name) == SQ_INTEGER ||
                              sq_integer(rows, S_NAME_2, &name) == SQ_INTEGER;
        span.label = has_name ? nsys_label(n, name) : 0;
    }
    /* VS_REC_WORK_COUNT: a copy, whose kind decides */
    const vs_rec_work kind = work == VS_REC_WORK_COUNT ? work_of_copy(n, rows, left) : work;
    if (kind != VS_REC_WORK_COUNT) {
        span.kind = (uint8_t)kind;
        span.bytes = (vs_bytes)bytes;
        builder_span(n->b, &span);
    }
}

static bool read_work(nsys *n, const char *table, const sq_column *columns, uint32_t count,
                      vs_rec_work work)
{
    nsys_left_out left = {0};
    sq_rows rows = {0};
    if (!nsys_has_table(n, table)) {
        return !n->base.has_failed;
    }
    if (!sq_scan(&n->base, table, columns, count, &rows)) {
        return false;
    }
    while (!builder_has_failed(n->b) && sq_next(&n->base, &rows)) {
        add_work(n, &rows, work, &left);
    }
    sq_end(&rows);
    nsys_note_left_out(n, table, &left);
    return !n->base.has_failed;
}

bool nsys_read_copies(nsys *n)
{
    return read_work(n, NSYS_MEMCPY_TABLE, copy_columns, S_TO + 1, VS_REC_WORK_COUNT);
}

bool nsys_read_memsets(nsys *n)
{
    return read_work(n, NSYS_MEMSET_TABLE, memset_columns, S_BYTES + 1, VS_REC_MEMSET);
}

bool nsys_read_kernels(nsys *n)
{
    return read_work(n, NSYS_KERNEL_TABLE, kernel_columns, S_COUNT, VS_REC_KERNEL);
}

/* Allocations, frees and launches; thousands of others are of no use here. */
bool nsys_read_calls(nsys *n)
{
    enum { C_START, C_END, C_NAME, C_RETURN, C_COUNT };

    static const sq_column columns[C_COUNT] = {
        {"start", true}, {"end", true}, {"nameId", true}, {"returnValue", false}};
    sq_rows rows = {0};
    nsys_left_out left = {0};
    if (!nsys_has_table(n, NSYS_CALL_TABLE)) {
        return !n->base.has_failed;
    }
    if (!sq_scan(&n->base, NSYS_CALL_TABLE, columns, C_COUNT, &rows)) {
        return false;
    }
    while (!builder_has_failed(n->b) && sq_next(&n->base, &rows)) {
        int64_t start = 0;
        int64_t end = 0;
        int64_t name = 0;
        int64_t result = 0;
        if (!nsys_cell(&rows, C_START, &start) || !nsys_cell(&rows, C_END, &end) ||
            end < start || !nsys_cell(&rows, C_NAME, &name)) {
            left.broken++;
            continue;
        }
        const uint32_t label = nsys_call_label(n, name);
        if (label == 0) {
            continue;
        }
        (void)sq_integer(&rows, C_RETURN, &result);
        if (result == CUDA_NO_MEMORY) {
            n->failed_calls++;
            builder_annotation(n->b,
                               &(vs_rec_annotation){
                                   .time_ns = (vs_ns)end,
                                   .name = label,
                                   .stage = builder_string(n->b, vs_str_of("OUT OF MEMORY"))});
        } else if (result == 0) {
            builder_span(n->b, &(vs_rec_span){.start_ns = (vs_ns)start,
                                              .end_ns = (vs_ns)end,
                                              .label = label,
                                              .kind = VS_REC_CALL,
                                              .device = builder_device(n->b, 0, true)});
        }
    }
    sq_end(&rows);
    nsys_note_left_out(n, NSYS_CALL_TABLE, &left);
    if (n->failed_calls > 0) {
        builder_note(
            n->b,
            "%u calls failed for want of memory; the file does not say what they asked for",
            n->failed_calls);
    }
    return !n->base.has_failed;
}

/* ---- ranges of the program ------------------------------------------------------------------------------------------ */

/* ENUM_NSYS_EVENT_TYPE: 34 mark, 59 push and pop, 60 start and end; the others name domains and the like. */
enum { NVTX_MARK = 34, NVTX_PUSH_POP = 59, NVTX_START_END = 60 };

bool nsys_read_ranges(nsys *n)
{
    enum { N_START, N_END, N_TYPE, N_TEXT, N_TEXT_ID, N_COUNT };

    static const sq_column columns[N_COUNT] = {{"start", true},
                                               {"end", false},
                                               {"eventType", false},
                                               {"text", false},
                                               {"textId", false}};
    sq_rows rows = {0};
    if (!nsys_has_table(n, "NVTX_EVENTS")) {
        return !n->base.has_failed;
    }
    if (!sq_scan(&n->base, "NVTX_EVENTS", columns, N_COUNT, &rows)) {
        return false;
    }
    const uint32_t begins = builder_string(n->b, vs_str_of("START"));
    const uint32_t ends = builder_string(n->b, vs_str_of("END"));
    while (!builder_has_failed(n->b) && sq_next(&n->base, &rows)) {
        int64_t start = 0;
        int64_t end = 0;
        int64_t type = NVTX_PUSH_POP;
        int64_t id = 0;
        (void)sq_integer(&rows, N_TYPE, &type);
        if (!nsys_cell(&rows, N_START, &start) ||
            (type != NVTX_MARK && type != NVTX_PUSH_POP && type != NVTX_START_END)) {
            continue;
        }
        const vs_str text = sq_text(&rows, N_TEXT);
        const uint32_t name = text.len > 0 ? builder_string(n->b, text)
                              : sq_integer(&rows, N_TEXT_ID, &id) == SQ_INTEGER
                                  ? nsys_label(n, id)
                                  : 0;
        vs_rec_annotation a = {.time_ns = (vs_ns)start, .name = name, .stage = begins};
        builder_annotation(n->b, &a);
        if (type != NVTX_MARK && nsys_cell(&rows, N_END, &end) && end >= start) {
            a.time_ns = (vs_ns)end;
            a.stage = ends;
            builder_annotation(n->b, &a);
        }
    }
    sq_end(&rows);
    return !n->base.has_failed;
}
