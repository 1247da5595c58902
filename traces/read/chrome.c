/* traces/read/chrome.c - Chrome traces: what the PyTorch profiler (Kineto) exports, and our own --trace.
 *
 *   {"schemaVersion": 1, "deviceProperties": [{"id", "name", "totalGlobalMem", ...}], ...,
 *    "traceEvents": [ event, ... ], "baseTimeNanoseconds": n, ...}          or only [ event, ... ]
 *
 * "ts" counts microseconds with decimals from baseTimeNanoseconds, or from 1970 in files that have none; that key stands before or
 * behind the events, depending on the release of Kineto (libkineto/src/output_json.cpp). Unknown keys are skipped
 * whatever they hold. What is kept is in scratch until the file is over, because memory events have to be put in order first
 * (chrome_order.c).
 *
 * A file that ends too early is used as far as it goes; a byte that cannot be JSON is an error. */
#include "traces/read/chrome.h"

#define FIRST_ABSOLUTE_NS                                                                      \
    UINT64_C(1000000000000000000) /* September 2001: before it, times do not count from 1970 */

/* ---- around the events --------------------------------------------------------------------- */

/* Behind a key of such an entry. */
static json_token parse_prop(json_walk *w, chrome_props *out, uint64_t *id)
{
    const vs_str key = w->text;
    if (json_walk_at_container(w)) {
        return json_walk_skip(w);
    }
    const json_token token = json_walk_next(w);
    if (token == JSON_NUMBER && vs_str_is(key, "id")) {
        *id = json_whole(w->text, id) ? *id : UINT64_MAX;
    } else if (token == JSON_NUMBER && vs_str_is(key, "totalGlobalMem")) {
        const bool is_whole = json_whole(w->text, &out->capacity_bytes);
        out->capacity_bytes = is_whole ? out->capacity_bytes : 0;
    } else if (token == JSON_STRING && vs_str_is(key, "name")) {
        out->name = w->has_escape ? (vs_str){0} : w->text;
    }
    return token;
}

/* One entry of deviceProperties. */
static json_token parse_props(json_walk *w, chrome_props *out, bool *is_good)
{
    json_token token = json_walk_next(w);
    uint64_t id = UINT64_MAX;
    *out = (chrome_props){0};
    *is_good = false;
    if (token != JSON_OBJECT) {
        return token;
    }
    while ((token = json_walk_next(w)) == JSON_KEY) {
        token = parse_prop(w, out, &id);
        if (token == JSON_CUT || token == JSON_BAD) {
            return token;
        }
    }
    *is_good = id <= UINT32_MAX && out->capacity_bytes <= CHROME_BYTES_MAX;
    out->ordinal = (uint32_t)id;
    return token == JSON_OBJECT_END ? JSON_OBJECT : token;
}

static bool keep_props(chrome *c, const chrome_props *props, vs_err *err)
{
    if (c->props_count == CHROME_DEVICES_MAX) {
        return true;
    }
    const char *const name = vs_str_copy(c->desc->scratch, props->name);
    if (name == NULL) {
        return vs_fail_memory(err, c->desc->scratch, "names of devices");
    }
    c->props[c->props_count] = *props;
    c->props[c->props_count++].name = (vs_str){name, props->name.len};
    return true;
}

/* Each function below returns false when reading is over: err is set, or c->is_cut. */

/* The end of the bytes, or of what can be understood. */
static bool stop_at(chrome *c, json_token token, const json_walk *w, vs_err *err)
{
    if (token == JSON_CUT && c->s.err.code == VS_OK) {
        c->is_cut = true;
        return false;
    }
    return json_walk_fail(&c->s, w, err);
}

static bool read_props(chrome *c, vs_err *err)
{
    json_token token = json_next(&c->s);
    if (token == JSON_CUT || token == JSON_BAD) {
        return stop_at(c, token, &c->s.walk, err);
    }
    if (token != JSON_ARRAY) {
        return json_walk_fail(&c->s, &c->s.walk, err);
    }
    for (;;) {
        chrome_props props = {0};
        bool is_good = false;
        json_walk w = c->s.walk;
        token = parse_props(&w, &props, &is_good);
        while (token == JSON_CUT && json_refill(&c->s)) {
            w = c->s.walk;
            token = parse_props(&w, &props, &is_good);
        }
        if (token == JSON_CUT || token == JSON_BAD) {
            return stop_at(c, token, &w, err);
        }
        c->s.walk = w;
        if (token == JSON_ARRAY_END) {
            return true;
        }
        if (token != JSON_OBJECT) {
            c->s.walk.why = "expected the properties of a device, which are an object";
            return json_fail(&c->s, err);
        }
        if (is_good && !keep_props(c, &props, err)) {
            return false;
        }
    }
}

static bool read_events(chrome *c, vs_err *err)
{
    c->has_events = true;
    for (;;) {
        chrome_event event = {0};
        json_walk w = c->s.walk;
        json_token token = chrome_event_parse(&w, &event);
        while (token == JSON_CUT && json_refill(&c->s)) {
            w = c->s.walk;
            token = chrome_event_parse(&w, &event);
        }
        if (token == JSON_CUT || token == JSON_BAD) {
            c->is_cut_in_event = token == JSON_CUT;
            c->cut_event_bytes = (uint64_t)(c->s.walk.end - c->s.walk.at);
            return stop_at(c, token, &w, err);
        }
        c->s.walk = w;
        if (token == JSON_ARRAY_END) {
            return true;
        }
        if (!chrome_event_take(c, &event, err)) {
            return false;
        }
    }
}

static bool skip_value(chrome *c, vs_err *err)
{
    const json_token token = json_skip(&c->s);
    return (token != JSON_CUT && token != JSON_BAD) || stop_at(c, token, &c->s.walk, err);
}

static bool read_base_time(chrome *c, vs_err *err)
{
    const json_token token = json_next(&c->s);
    if (token == JSON_NUMBER) {
        c->has_base = json_whole(c->s.walk.text, &c->base_ns);
        return true;
    }
    return token == JSON_NULL || stop_at(c, token, &c->s.walk, err);
}

/* Behind a key of the file's object. */
static bool read_member(chrome *c, vs_err *err)
{
    const vs_str key = c->s.walk.text;
    if (vs_str_is(key, "traceEvents") && !c->has_events) {
        const json_token token = json_next(&c->s);
        if (token != JSON_ARRAY) {
            c->s.walk.why = "expected a list of events behind \"traceEvents\"";
            return stop_at(c, token, &c->s.walk, err);
        }
        return read_events(c, err);
    }
    if (vs_str_is(key, "deviceProperties")) {
        c->is_kineto = true;
        return read_props(c, err);
    }
    if (vs_str_is(key, "baseTimeNanoseconds")) {
        return read_base_time(c, err);
    }
    c->is_own = c->is_own || vs_str_is(key, "vramscopeVersion");
    return skip_value(c, err);
}

/* True: the file is whole. False: it is cut, or err says what is wrong. */
static bool read_file(chrome *c, vs_err *err)
{
    json_token token = json_next(&c->s);
    if (token == JSON_ARRAY) {
        if (!read_events(c, err)) {
            return false;
        }
    } else if (token == JSON_OBJECT) {
        while ((token = json_next(&c->s)) == JSON_KEY) {
            if (!read_member(c, err)) {
                return false;
            }
        }
        if (token != JSON_OBJECT_END) {
            return stop_at(c, token, &c->s.walk, err);
        }
    } else {
        return stop_at(c, token, &c->s.walk, err);
    }
    token = json_next(&c->s);
    return token == JSON_DONE || stop_at(c, token, &c->s.walk, err);
}

/* ---- finishing ------------------------------------------------------------------------------- */

static void note_if(chrome *c, uint64_t count, const char *what)
{
    if (count > 0) {
        builder_note(c->b, "%s: %" PRIu64, what, count);
    }
}

static void note_cut(chrome *c)
{
    const uint64_t at = c->s.in->offset_of_end;
    if (!c->is_cut) {
        return;
    }
    if (c->is_cut_in_event && c->cut_event_bytes > 0) {
        builder_note(c->b,
                     "the file is cut: it ends at byte %" PRIu64 ", %" PRIu64
                     " bytes behind the last whole event; they are left out and the %" PRIu64
                     " events before are used",
                     at, c->cut_event_bytes, c->counts.events);
    } else {
        builder_note(c->b,
                     "the file is cut: it ends at byte %" PRIu64
                     " before its closing bracket; the %" PRIu64 " events in it are used",
                     at, c->counts.events);
    }
    if (c->s.in->was_cut) {
        builder_note(c->b, "the gzip stream itself ends early or is damaged");
    }
}

static void note_all(chrome *c)
{
    const chrome_counts *const n = &c->counts;
    note_cut(c);
    note_if(
        c, n->incomplete,
        "memory events left out because Bytes, Device Type, Device Id or totals are missing or "
        "cannot be");
    note_if(c, n->foreign,
            "memory events left out because their device is neither CPU nor CUDA");
    note_if(c, n->bad_times,
            "events left out because they have no time, or one before 0 or beyond 2^64 ns");
    note_if(c, n->odd_copies,
            "copies left out because it is not told between which memories they are");
    if (n->memory == 0 && n->counters == 0) {
        builder_note(c->b, "there are no [memory] events: the profiler writes them with "
                           "profile_memory=True");
    }
    if (c->is_own) {
        builder_note(c->b, "written by vramscope --trace: its counters, phases and marks are "
                           "read; blocks, reserved bytes and slices are only on a tape "
                           "(--tape)");
    }
}

/* Names and sizes of those devices that something is known of. */
static void name_devices(chrome *c)
{
    bool has_host = false;
    for (uint64_t i = 0; i < c->rows.count && !has_host; i++) {
        const chrome_row *const row = rows_at(&c->rows, i);
        has_host = row->event.category == VS_CAT_HOSTHEAP && row->event.action != VS_REC_LEVEL;
    }
    for (uint32_t i = 0; i < c->props_count; i++) {
        const uint8_t device = builder_device(c->b, c->props[i].ordinal, false);
        builder_name_device(c->b, device, c->props[i].name, c->props[i].capacity_bytes);
    }
    if (has_host) {
        builder_name_device(c->b, builder_device(c->b, 0, true),
                            vs_str_of("CPU memory as the profiler saw it"), 0);
    }
    for (uint32_t i = 0; i < CHROME_DEVICES_MAX && c->counts.counters > 0; i++) {
        if (c->own_names[i].len > 0 && c->has_own[i]) {
            builder_name_device(c->b, builder_device(c->b, i, c->is_own_host[i]),
                                c->own_names[i], 0);
        }
    }
}

/* Calls of CUDA go with the first card that memory events or work are told of. */
static void hand_over_spans(chrome *c)
{
    uint8_t main_device = CHROME_NO_DEVICE;
    for (uint64_t i = 0; i < c->rows.count && main_device == CHROME_NO_DEVICE; i++) {
        const chrome_row *const row = rows_at(&c->rows, i);
        main_device = row->event.category != VS_CAT_HOSTHEAP ? row->device : main_device;
    }
    for (uint64_t i = 0; i < c->spans.count && main_device == CHROME_NO_DEVICE; i++) {
        const vs_rec_span *const span = rows_at(&c->spans, i);
        main_device = span->device;
    }
    if (main_device == CHROME_NO_DEVICE) {
        main_device = builder_device(c->b, 0, false);
    }
    for (uint64_t i = 0; i < c->spans.count; i++) {
        vs_rec_span span = *(const vs_rec_span *)rows_at(&c->spans, i);
        span.device = span.device == CHROME_NO_DEVICE ? main_device : span.device;
        builder_span(c->b, &span);
    }
}

static bool finish(chrome *c, vs_recording *out, vs_err *err)
{
    if (c->rows.count == 0 && c->counts.slices == 0) {
        if (c->is_cut) {
            (void)vs_fail(err, VS_ERR_FORMAT,
                          "the file is cut before the first event that could be used");
            vs_err_at_offset(err, c->s.in->offset_of_end);
            return false;
        }
        return vs_fail(err, VS_ERR_VALUE,
                       c->has_events
                           ? "a Chrome trace with neither [memory] events nor copies or "
                             "kernels; the profiler writes the former with profile_memory=True"
                           : "a JSON object without \"traceEvents\" is no Chrome trace");
    }
    name_devices(c);
    if (c->spans.count > 0) {
        hand_over_spans(c);
    }
    if (!chrome_order_rows(c, err)) {
        return false;
    }
    note_all(c);
    vs_recording *const head = builder_head(c->b);
    head->has_time = true;
    head->made_by = c->is_own ? "vramscope" : c->is_kineto ? "PyTorch profiler" : "";
    head->epoch_ns = c->has_base ? c->base_ns : 0;
    if (!builder_finish(c->b, out, err)) {
        return false;
    }
    if (out->epoch_ns < FIRST_ABSOLUTE_NS) {
        out->epoch_ns = 0; /* counted from something else */
    }
    return true;
}

bool read_chrome(vs_recording *out, vs_input *in, const vs_read_desc *desc, vs_err *err)
{
    chrome *const c = VS_NEW(desc->scratch, chrome);
    vs_builder *const b = builder_new(desc, VS_TRACE_CHROME);
    vs_err failed = {0};
    if (c == NULL || b == NULL) {
        return vs_fail_memory(err, desc->scratch, "a Chrome trace");
    }
    c->desc = desc;
    c->b = b;
    c->rows = rows_of(desc->scratch, sizeof(chrome_row), 10);
    c->spans = rows_of(desc->scratch, sizeof(vs_rec_span), 10);
    json_open(&c->s, in, desc);
    vs_recording made = {0};
    const bool is_read = (read_file(c, &failed) || c->is_cut) && finish(c, &made, &failed);
    if (!is_read) {
        if (err != NULL && err->code == VS_OK) {
            *err = failed;
        }
        return false;
    }
    *out = made;
    return true;
}
