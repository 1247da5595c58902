/* traces/read/timeline.c - what torch.profiler's export_memory_timeline writes, in its two forms that hold data.
 *
 *   .raw.json   [[t, action, bytes, category], ...]     t in ns since 1970, or -1: existed before
 *   .json       [[t, ...], [[0, b0 .. b7], ...]]        t in us; bytes of each category from then on
 *
 * (specs/torch-caching-allocator.md [18.2]; torch/profiler/_memory_profiler.py.) The first becomes blocks without
 * addresses: an allocation and a free of the same size and category belong together, but which of several is not told. The
 * second becomes levels. A file that ends too early is used as far as it goes. Neither says which device it is about. */
#include "traces/read/json_stream.h"
#include "traces/read/rows.h"

#define CATEGORY_COUNT    8u
#define RAW_NUMBERS       4u
#define BYTES_MAX         ((uint64_t)1 << 60)           /* as a tape */
#define FIRST_ABSOLUTE_NS UINT64_C(1000000000000000000) /* September 2001 */

/* _CATEGORY_TO_COLORS of _memory_profiler.py, in its order; None is written as "unknown". */
static const struct {
    const char *name;
    vs_category category;
} categories[CATEGORY_COUNT] = {
    {"PARAMETER", VS_CAT_TENSOR},    {"OPTIMIZER_STATE", VS_CAT_TENSOR},
    {"INPUT", VS_CAT_ACT},           {"TEMPORARY", VS_CAT_ACT},
    {"ACTIVATION", VS_CAT_ACT},      {"GRADIENT", VS_CAT_TENSOR},
    {"AUTOGRAD_DETAIL", VS_CAT_ACT}, {"unknown", VS_CAT_TENSOR},
};

/* Action of _memory_profiler.py */
enum { PREEXISTING = 1, CREATE, INCREMENT_VERSION, DESTROY };

typedef struct {
    json_number t;
    json_number action;
    json_number bytes;
    json_number category;
} raw_row;

typedef struct {
    json_stream s;
    const vs_read_desc *desc;
    vs_builder *b;
    uint8_t device;
    uint32_t labels[CATEGORY_COUNT];
    vs_rows
        first_list; /* uint64_t: the numbers of the first list; the times of the .json form */
    vs_rows early;  /* vs_rec_event: before the first time is known */
    vs_ns last_ns;
    bool has_time;
    bool is_cut;
    uint64_t rows;
    uint64_t used;
    uint64_t odd;
    uint64_t empty;
    uint64_t backwards;
    vs_bytes levels[CATEGORY_COUNT];
} timeline;

/* ---- tokens --------------------------------------------------------------------------------- */

/* Each function below that returns false has set err or is_cut. */
static bool stop_at(timeline *t, json_token token, const char *expected, vs_err *err)
{
    if (token == JSON_CUT && t->s.err.code == VS_OK) {
        t->is_cut = true;
        return false;
    }
    if (token != JSON_BAD) {
        t->s.walk.why = expected;
    }
    return json_fail(&t->s, err);
}

/* The next number of a list. False with *is_over: the list is over. */
static bool next_number(timeline *t, uint32_t decimals, json_number *out, bool *is_over,
                        vs_err *err)
{
    const json_token token = json_next(&t->s);
    *is_over = token == JSON_ARRAY_END;
    if (*is_over) {
        return false;
    }
    if (token != JSON_NUMBER) {
        return stop_at(t, token, "expected a number", err);
    }
    if (!json_scaled(t->s.walk.text, decimals, out)) {
        (void)vs_fail(err, VS_ERR_VALUE, "a number beyond 2^64");
        vs_err_at_offset(err, json_offset(&t->s));
        return false;
    }
    return true;
}

/* Exactly count numbers and the end of their list, whose beginning is behind us. */
static bool take_numbers(timeline *t, json_number *out, uint32_t count, vs_err *err)
{
    bool is_over = false;
    for (uint32_t i = 0; i < count; i++) {
        if (!next_number(t, 0, &out[i], &is_over, err)) {
            return is_over && stop_at(t, JSON_ARRAY_END, "a row has too few numbers", err);
        }
    }
    const json_token token = json_next(&t->s);
    return token == JSON_ARRAY_END || stop_at(t, token, "a row has too many numbers", err);
}

/* ---- the raw form ---------------------------------------------------------------------------- */

static void put_event(timeline *t, const vs_rec_event *event)
{
    t->used++;
    builder_event(t->b, t->device, event, NULL);
}

/* Those that existed before have the time of the first event that has one. */
static void flush_early(timeline *t, vs_ns time_ns)
{
    for (uint64_t i = 0; i < t->early.count; i++) {
        vs_rec_event *const event = rows_at(&t->early, i);
        event->time_ns = time_ns;
        put_event(t, event);
    }
    t->early.count = 0;
    t->has_time = true;
    t->last_ns = time_ns;
}

static bool is_right_sign(const raw_row *row)
{
    switch (row->action.value) {
    case PREEXISTING:
    case CREATE: return !row->bytes.is_negative;
    case INCREMENT_VERSION: return true;
    case DESTROY: return row->bytes.is_negative;
    default: return false;
    }
}

static bool put_raw(timeline *t, const raw_row *row, vs_err *err)
{
    const uint32_t origin = t->rows < UINT32_MAX ? (uint32_t)t->rows : UINT32_MAX;
    t->rows++;
    if (row->bytes.value == 0) {
        t->empty++;
        return true;
    }
    if (row->category.value >= CATEGORY_COUNT || row->category.is_negative ||
        row->action.is_negative || !is_right_sign(row) || row->bytes.value > BYTES_MAX) {
        t->odd++;
        return true;
    }
    const uint64_t c = row->category.value;
    vs_rec_event event = {.size = row->bytes.value,
                          .stack = VS_REC_NO_STACK,
                          .label = t->labels[c],
                          .action =
                              row->bytes.is_negative ? VS_REC_FREE_COMPLETED : VS_REC_ALLOC,
                          .flags = VS_REC_NO_ADDR,
                          .category = (uint8_t)categories[c].category,
                          .origin = origin};
    if (!row->t.is_negative) {
        if (!t->has_time) {
            flush_early(t, row->t.value);
        }
        t->backwards += row->t.value < t->last_ns;
        t->last_ns = row->t.value;
    } else if (!t->has_time) {
        vs_rec_event *const early = rows_add(&t->early);
        if (early == NULL) {
            return vs_fail_memory(err, t->desc->scratch, "a memory timeline");
        }
        *early = event;
        return true;
    }
    event.time_ns = t->last_ns;
    put_event(t, &event);
    return true;
}

/* Behind the first number of the second list. */
static bool read_raw(timeline *t, raw_row *row, uint32_t count, vs_err *err)
{
    json_number *const numbers[RAW_NUMBERS] = {&row->t, &row->action, &row->bytes,
                                               &row->category};
    for (;;) {
        json_number rest[RAW_NUMBERS] = {0};
        if (!take_numbers(t, rest, RAW_NUMBERS - count, err)) {
            return false;
        }
        for (uint32_t i = count; i < RAW_NUMBERS; i++) {
            *numbers[i] = rest[i - count];
        }
        if (!put_raw(t, row, err)) {
            return false;
        }
        count = 0;
        const json_token token = json_next(&t->s);
        if (token != JSON_ARRAY) {
            return token == JSON_ARRAY_END ||
                   stop_at(t, token, "expected a row, which is a list", err);
        }
    }
}

/* ---- the form of rows of levels ----------------------------------------------------------------- */

static bool put_levels(timeline *t, const json_number *numbers, vs_err *err)
{
    if (t->rows >= t->first_list.count) {
        return vs_fail(err, VS_ERR_VALUE, "more rows than times: %" PRIu64,
                       t->first_list.count);
    }
    const json_number *const time = rows_at(&t->first_list, t->rows);
    if (!vs_mul_u64(time->value, 1000, &t->last_ns) || time->is_negative) {
        return vs_fail(err, VS_ERR_VALUE, "time %" PRIu64 " is below 0 or beyond 2^64 ns",
                       t->rows);
    }
    vs_rec_event event = {.time_ns = t->last_ns,
                          .stack = VS_REC_NO_STACK,
                          .action = VS_REC_LEVEL,
                          .flags = VS_REC_NO_ADDR,
                          .origin = (uint32_t)t->rows};
    /* what shrinks first: the sum must not pass through a height that never was */
    for (uint32_t k = 0; k < 2 * CATEGORY_COUNT; k++) {
        const uint32_t c = k % CATEGORY_COUNT;
        const json_number *const n = &numbers[c + 1];
        if ((n->is_negative && n->value > 0) || n->value > BYTES_MAX) {
            t->odd += k < CATEGORY_COUNT;
        } else if (k < CATEGORY_COUNT ? n->value < t->levels[c] : n->value > t->levels[c]) {
            t->levels[c] = n->value;
            event.size = n->value;
            event.label = t->labels[c];
            event.category = (uint8_t)categories[c].category;
            put_event(t, &event);
        }
    }
    t->rows++;
    return true;
}

/* Behind the beginning of the first row. */
static bool read_levels(timeline *t, vs_err *err)
{
    for (;;) {
        json_number numbers[CATEGORY_COUNT + 1] = {0};
        if (!take_numbers(t, numbers, CATEGORY_COUNT + 1, err) ||
            !put_levels(t, numbers, err)) {
            return false;
        }
        json_token token = json_next(&t->s);
        if (token == JSON_ARRAY) {
            continue;
        }
        if (token == JSON_ARRAY_END) {
            token = json_next(&t->s);
        }
        return token == JSON_ARRAY_END ||
               stop_at(t, token, "expected the end of the list of rows", err);
    }
}

/* ---- which form ------------------------------------------------------------------------------------ */

static bool take_first_list(timeline *t, vs_err *err)
{
    for (;;) {
        bool is_over = false;
        json_number n = {0};
        if (!next_number(t, 0, &n, &is_over, err)) {
            return is_over;
        }
        json_number *const row =
            t->first_list.count < UINT32_MAX ? rows_add(&t->first_list) : NULL;
        if (row == NULL) {
            return vs_fail_memory(err, t->desc->scratch, "the times of a memory timeline");
        }
        *row = n;
    }
}

static bool put_first_raw(timeline *t, vs_err *err)
{
    if (t->first_list.count != RAW_NUMBERS) {
        return vs_fail(err, VS_ERR_FORMAT,
                       "a memory timeline has rows of 4 numbers, found %" PRIu64,
                       t->first_list.count);
    }
    const raw_row row = {.t = *(const json_number *)rows_at(&t->first_list, 0),
                         .action = *(const json_number *)rows_at(&t->first_list, 1),
                         .bytes = *(const json_number *)rows_at(&t->first_list, 2),
                         .category = *(const json_number *)rows_at(&t->first_list, 3)};
    return put_raw(t, &row, err);
}

/* Behind the first list: the second one shows which form it is. */
static bool read_second(timeline *t, vs_err *err)
{
    json_token token = json_next(&t->s);
    if (token == JSON_ARRAY_END) {
        return put_first_raw(t, err);
    }
    if (token != JSON_ARRAY) {
        return stop_at(t, token, "expected a second list", err);
    }
    token = json_next(&t->s);
    if (token == JSON_ARRAY) {
        return read_levels(t, err);
    }
    raw_row row = {.t = {0}};
    if (token != JSON_NUMBER) {
        return stop_at(t, token, "expected a row of numbers or a list of rows", err);
    }
    if (!json_scaled(t->s.walk.text, 0, &row.t)) {
        return vs_fail(err, VS_ERR_VALUE, "a time beyond 2^64");
    }
    return put_first_raw(t, err) && read_raw(t, &row, 1, err);
}

static bool read_file(timeline *t, vs_err *err)
{
    json_token token = json_next(&t->s);
    if (token == JSON_ARRAY) {
        token = json_next(&t->s);
    }
    if (token != JSON_ARRAY) {
        return stop_at(t, token, "expected a list of lists", err);
    }
    if (!take_first_list(t, err) || !read_second(t, err)) {
        return false;
    }
    token = json_next(&t->s);
    return token == JSON_DONE || stop_at(t, token, "expected the end of the file", err);
}

/* ---- finishing ---------------------------------------------------------------------------------------- */

static void note_if(timeline *t, uint64_t count, const char *what)
{
    if (count > 0) {
        builder_note(t->b, "%s: %" PRIu64, what, count);
    }
}

static bool finish(timeline *t, vs_recording *out, vs_err *err)
{
    const uint64_t end = t->s.in->offset_of_end;
    if (t->early.count > 0) {
        flush_early(t, 0);
    }
    if (t->used == 0) {
        (void)vs_fail(err, VS_ERR_FORMAT,
                      t->is_cut ? "a memory timeline that is cut before its first row"
                                : "a memory timeline without any row that could be used");
        vs_err_at_offset(err, end);
        return false;
    }
    if (t->is_cut) {
        builder_note(t->b,
                     "the file is cut: it ends at byte %" PRIu64 "; the %" PRIu64
                     " rows before it are used",
                     end, t->rows);
    }
    note_if(
        t, t->odd,
        "entries left out because their action or category is unknown or their size cannot be");
    note_if(t, t->empty, "rows left out because their tensor has 0 bytes");
    note_if(t, t->backwards, "rows earlier than the row before, so the clock goes backwards");
    builder_note(t->b, "the file does not say which device it is about: taken as GPU 0");
    vs_recording *const head = builder_head(t->b);
    head->has_time = t->last_ns > 0;
    head->made_by = "PyTorch profiler";
    if (!builder_finish(t->b, out, err)) {
        return false;
    }
    if (out->epoch_ns < FIRST_ABSOLUTE_NS) {
        out->epoch_ns = 0; /* counted from something else */
    }
    return true;
}

bool read_timeline(vs_recording *out, vs_input *in, const vs_read_desc *desc, vs_err *err)
{
    timeline *const t = VS_NEW(desc->scratch, timeline);
    vs_builder *const b = builder_new(desc, VS_TRACE_TIMELINE);
    vs_err failed = {0};
    if (t == NULL || b == NULL) {
        return vs_fail_memory(err, desc->scratch, "a memory timeline");
    }
    t->desc = desc;
    t->b = b;
    t->device = builder_device(b, 0, false);
    t->first_list = rows_of(desc->scratch, sizeof(json_number), 8);
    t->early = rows_of(desc->scratch, sizeof(vs_rec_event), 8);
    for (uint32_t i = 0; i < CATEGORY_COUNT; i++) {
        t->labels[i] = builder_string(b, vs_str_of(categories[i].name));
    }
    json_open(&t->s, in, desc);
    vs_recording made = {0};
    if (!((read_file(t, &failed) || t->is_cut) && finish(t, &made, &failed))) {
        if (err != NULL && err->code == VS_OK) {
            *err = failed;
        }
        return false;
    }
    *out = made;
    return true;
}
