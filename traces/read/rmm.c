/* traces/read/rmm.c - logs of the RAPIDS memory manager.
 *
 *   Thread,Time,Action,Pointer,Size,Stream
 *   2342727,15:47:02.841961,allocate,0x10012400000,1048576,0
 *
 * Written by rmm::mr::logging_resource_adaptor (rapidsai/rmm, src/mr/detail/logging_resource_adaptor_impl.cpp): the pattern is
 * "%t,%H:%M:%S.%f,%v", actions are "allocate", "free" and "allocate failure", whose pointer is null. The time of day has no
 * date, so a day is added when it falls by more than half of one. Its manual shows seconds since 1970 and
 * "deallocate" instead; both are taken. One log is about one device, which it does not name. */
#include "traces/read/csv_rows.h"
#include "traces/read/json_stream.h"

#include <string.h>

#define NS_PER_DAY (UINT64_C(86400) * 1000000000)
#define DAYS_MAX                                                                               \
    UINT64_C(36500) /* a century: a log that passes midnight more often is no log */
#define BYTES_MAX ((uint64_t)1 << 60) /* as a tape */
#define NO_COLUMN UINT32_MAX

enum { TIME, ACTION, POINTER, SIZE, STREAM, COLUMN_COUNT };

typedef struct {
    csv_rows rows;
    vs_builder *b;
    uint8_t device;
    uint32_t column[COLUMN_COUNT]; /* NO_COLUMN: not there */
    vs_ns day_ns;
    vs_ns last_ns;
    bool has_time;
    bool has_date; /* times count from 1970 */
    uint64_t used;
    uint64_t odd;
    uint32_t first_odd_line;
    uint64_t empty;
    uint64_t unknown;
    uint64_t backwards;
    uint64_t no_time;
} rmm;

/* ---- columns -------------------------------------------------------------------------------- */

/* False: the line is no header. */
static bool take_header(rmm *r)
{
    static const char *const names[COLUMN_COUNT] = {"Time", "Action", "Pointer", "Size",
                                                    "Stream"};
    uint32_t column[COLUMN_COUNT];
    for (uint32_t c = 0; c < COLUMN_COUNT; c++) {
        column[c] = NO_COLUMN;
        for (uint32_t i = 0; i < r->rows.count; i++) {
            column[c] = vs_str_is(r->rows.fields[i], names[c]) ? i : column[c];
        }
    }
    if (column[ACTION] == NO_COLUMN || column[POINTER] == NO_COLUMN ||
        column[SIZE] == NO_COLUMN) {
        return false;
    }
    memcpy(r->column, column, sizeof column);
    return true;
}

static bool field_of(const rmm *r, uint32_t column, vs_str *out)
{
    const uint32_t i = r->column[column];
    if (i == NO_COLUMN || i >= r->rows.count) {
        return false;
    }
    *out = r->rows.fields[i];
    return true;
}

/* ---- rows ------------------------------------------------------------------------------------- */

static void take_time(rmm *r, vs_str text, vs_ns *out)
{
    vs_ns ns = 0;
    json_number seconds = {0};
    *out = r->last_ns;
    if (csv_time_of_day(text, &ns)) {
        const vs_ns last = r->last_ns - r->day_ns;
        if (ns < last && last - ns > NS_PER_DAY / 2 && r->day_ns < DAYS_MAX * NS_PER_DAY) {
            r->day_ns += NS_PER_DAY;
        }
        ns += r->day_ns;
    } else if (json_scaled(text, 9, &seconds) && !seconds.is_negative) {
        ns = seconds.value;
        r->has_date = true;
    } else {
        r->no_time++;
        return;
    }
    r->backwards += ns < r->last_ns;
    r->has_time = true;
    r->last_ns = ns > r->day_ns ? ns : r->day_ns;
    *out = ns;
}

/* VS_REC_ACTION_COUNT: none that is known. */
static vs_rec_action action_of(vs_str text)
{
    if (vs_str_is(text, "allocate")) {
        return VS_REC_ALLOC;
    }
    if (vs_str_is(text, "free") || vs_str_is(text, "deallocate")) {
        return VS_REC_FREE_COMPLETED;
    }
    return vs_str_is(text, "allocate failure") ? VS_REC_OOM : VS_REC_ACTION_COUNT;
}

static void count_odd(rmm *r)
{
    r->first_odd_line = r->odd == 0 ? r->rows.line : r->first_odd_line;
    r->odd++;
}

static void take_row(rmm *r)
{
    vs_str text[COLUMN_COUNT] = {{0}};
    uint64_t stream = 0;
    vs_rec_event event = {.stack = VS_REC_NO_STACK,
                          .flags = VS_REC_BLOCK_SIZE,
                          .category = VS_CAT_TENSOR,
                          .origin = r->rows.line};
    if (!field_of(r, ACTION, &text[ACTION]) || !field_of(r, POINTER, &text[POINTER]) ||
        !field_of(r, SIZE, &text[SIZE]) || !csv_address(text[POINTER], &event.addr) ||
        !vs_parse_u64(text[SIZE], &event.size, NULL) || event.size > BYTES_MAX) {
        count_odd(r);
        return;
    }
    const vs_rec_action action = action_of(text[ACTION]);
    if (action == VS_REC_ACTION_COUNT) {
        r->unknown++;
        return;
    }
    if (field_of(r, STREAM, &text[STREAM]) && !csv_address(text[STREAM], &stream)) {
        count_odd(r);
        return;
    }
    if (action == VS_REC_OOM) {
        event.addr = 0; /* what the device had free is not told */
        event.flags |= VS_REC_NO_ADDR;
    } else if (event.addr == 0 || event.size == 0) {
        r->empty++;
        return;
    }
    if (field_of(r, TIME, &text[TIME])) {
        take_time(r, text[TIME], &event.time_ns);
    }
    event.action = (uint8_t)action;
    event.stream = builder_stream(r->b, stream);
    builder_event(r->b, r->device, &event, NULL);
    r->used++;
}

static bool read_rows(rmm *r, vs_err *err)
{
    if (!csv_next(&r->rows)) {
        (void)csv_fail(&r->rows, err);
        return vs_fail(err, VS_ERR_FORMAT, "an RMM log without a whole line");
    }
    if (!take_header(r)) {
        for (uint32_t c = 0; c < COLUMN_COUNT; c++) {
            r->column[c] = c + 1;
        }
        const bool is_row = r->rows.count == COLUMN_COUNT + 1 &&
                            action_of(r->rows.fields[ACTION + 1]) != VS_REC_ACTION_COUNT;
        if (!is_row) {
            (void)vs_fail(err, VS_ERR_FORMAT,
                          "expected the header of an RMM log, "
                          "Thread,Time,Action,Pointer,Size,Stream");
            return csv_fail(&r->rows, err);
        }
        take_row(r);
    }
    while (csv_next(&r->rows)) {
        if (!take_header(r)) { /* logs that were put together have several */
            take_row(r);
        }
    }
    return r->rows.err.code == VS_OK || csv_fail(&r->rows, err);
}

/* ---- finishing ---------------------------------------------------------------------------------- */

static void note_if(rmm *r, uint64_t count, const char *what)
{
    if (count > 0) {
        builder_note(r->b, "%s: %" PRIu64, what, count);
    }
}

static bool finish(rmm *r, vs_recording *out, vs_err *err)
{
    if (r->used == 0) {
        return vs_fail(err, VS_ERR_VALUE, "an RMM log without any row that could be used");
    }
    if (r->rows.is_cut) {
        builder_note(r->b,
                     "the log is cut: its last line has no end and its %" PRIu64
                     " bytes are left out",
                     r->rows.cut_bytes);
    }
    if (r->odd > 0) {
        builder_note(r->b,
                     "lines left out because they are no rows of an RMM log: %" PRIu64
                     ", the first is line %" PRIu32,
                     r->odd, r->first_odd_line);
    }
    note_if(
        r, r->unknown,
        "rows left out because their action is neither allocate, free nor allocate failure");
    note_if(r, r->empty, "rows left out because their pointer is null or their size 0");
    note_if(r, r->no_time,
            "rows whose time cannot be read and that got that of the row before");
    note_if(r, r->backwards, "rows earlier than the row before, so the clock goes backwards");
    builder_note(r->b, "the log does not say which device it is about: taken as GPU 0");
    vs_recording *const head = builder_head(r->b);
    head->made_by = "RAPIDS memory manager";
    head->has_time = r->has_time;
    head->epoch_ns = r->has_date ? 0 : BUILDER_EPOCH_UNKNOWN;
    return builder_finish(r->b, out, err);
}

bool read_rmm(vs_recording *out, vs_input *in, const vs_read_desc *desc, vs_err *err)
{
    rmm *const r = VS_NEW(desc->scratch, rmm);
    vs_builder *const b = builder_new(desc, VS_TRACE_RMM);
    vs_err failed = {0};
    if (r == NULL || b == NULL) {
        return vs_fail_memory(err, desc->scratch, "an RMM log");
    }
    r->b = b;
    r->device = builder_device(b, 0, false);
    csv_open(&r->rows, in, desc);
    vs_recording made = {0};
    if (!read_rows(r, &failed) || !finish(r, &made, &failed)) {
        if (err != NULL && err->code == VS_OK) {
            *err = failed;
        }
        return false;
    }
    *out = made;
    return true;
}
