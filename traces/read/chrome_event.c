/* traces/read/chrome_event.c - one event of a Chrome trace.
 *
 * An event is walked over once, its members noted as slices; args are skipped, and walked over again for the few kinds that
 * are kept:
 *
 *   "[memory]"       i   a block came or went (specs/torch-caching-allocator.md [18.1]); the old form has neither
 *                        address nor totals
 *   "[OutOfMemory]"  i   Bytes is the request, rounded
 *   slices           X   copies, memsets, kernels, CUDA calls become spans, ranges of the program annotations
 *   "memory"         C   a counter of our own --trace, one argument a category: levels
 *   instants of our own --trace: phases, marks, OOM
 *
 * Category names are Kineto's: libkineto/include/ActivityType.cpp of pytorch/kineto ("gpu_memcpy", "kernel", "cuda_runtime"), and
 * those it wrote until 2021 ("Memcpy", "Kernel", "Runtime"), which the sample of its tb_plugin shows. */
#include "traces/read/chrome.h"

#include <string.h>

/* vs_str_is, where the text is a constant: its length is then one too. */
static inline bool is_text(vs_str text, const char *constant)
{
    return text.len == strlen(constant) && memcmp(text.ptr, constant, text.len) == 0;
}

/* ---- parsing ------------------------------------------------------------------------------- */

/* Where a member of that key goes; NULL: it is of no interest. */
static inline vs_str *slot_of(chrome_event *e, vs_str key)
{
    if (key.len > 4 || key.len < 2) {
        return NULL;
    }
    if (key.len == 2) {
        return is_text(key, "ph") ? &e->ph : is_text(key, "ts") ? &e->ts : NULL;
    }
    if (key.len == 4) {
        return is_text(key, "name") ? &e->name : NULL;
    }
    if (is_text(key, "pid")) {
        return &e->pid;
    }
    if (is_text(key, "tid")) {
        return &e->tid;
    }
    return is_text(key, "cat") ? &e->cat : is_text(key, "dur") ? &e->dur : NULL;
}

/* What kinds of slices there are, by their category. */
typedef enum {
    SLICE_NONE,
    SLICE_COPY,
    SLICE_MEMSET,
    SLICE_KERNEL,
    SLICE_CALL,
    SLICE_RANGE
} slice_kind;

static slice_kind slice_kind_of(vs_str cat)
{
    if (is_text(cat, "kernel") || is_text(cat, "Kernel")) {
        return SLICE_KERNEL;
    }
    if (is_text(cat, "cuda_runtime") || is_text(cat, "cuda_driver") ||
        is_text(cat, "Runtime")) {
        return SLICE_CALL;
    }
    if (is_text(cat, "gpu_memcpy") || is_text(cat, "Memcpy")) {
        return SLICE_COPY;
    }
    if (is_text(cat, "gpu_memset") || is_text(cat, "Memset")) {
        return SLICE_MEMSET;
    }
    return is_text(cat, "user_annotation") ? SLICE_RANGE : SLICE_NONE;
}

/* Nothing of it will be kept, as far as is known: phase and category usually come first. */
static inline bool is_dull(const chrome_event *e)
{
    if (e->ph.len != 1) {
        return false;
    }
    switch (e->ph.ptr[0]) {
    case 'X': return e->cat.len > 0 && slice_kind_of(e->cat) == SLICE_NONE;
    case 'i':
    case 'I':
    case 'C':
    case 'M': return false;
    default: return true;
    }
}

/* Behind the key. */
static inline json_token parse_member(json_walk *w, chrome_event *e)
{
    vs_str *const slot = slot_of(e, w->text);
    if (slot == NULL && is_text(w->text, "args")) {
        e->args = *w;
        e->has_args = true;
    }
    if (slot == NULL || json_walk_at_container(w)) {
        return json_walk_skip(w);
    }
    const json_token token = json_walk_next(w);
    if (token == JSON_STRING || token == JSON_NUMBER) {
        *slot = w->text;
        e->is_name_escaped = slot == &e->name ? w->has_escape : e->is_name_escaped;
    }
    if ((slot == &e->ph || slot == &e->cat) && is_dull(e)) {
        const json_token left = json_walk_leave(w);
        return left == JSON_NULL ? JSON_OBJECT_END : left;
    }
    return token;
}

json_token chrome_event_parse(json_walk *w, chrome_event *out)
{
    *out = (chrome_event){0};
    json_token token = json_walk_next(w);
    if (token == JSON_ARRAY_END || token == JSON_CUT || token == JSON_BAD) {
        return token;
    }
    if (token != JSON_OBJECT) {
        w->why = "expected an event, which is an object";
        return JSON_BAD;
    }
    for (;;) {
        token = json_walk_next(w);
        if (token == JSON_KEY) {
            token = parse_member(w, out);
        }
        if (token == JSON_OBJECT_END) {
            return JSON_OBJECT;
        }
        if (token == JSON_CUT || token == JSON_BAD) {
            return token;
        }
    }
}

/* The members of args, one after the other. The whole event is in the window, so there is nothing to wait for. */
static bool next_arg(json_walk *w, vs_str *key, json_token *token)
{
    if (json_walk_next(w) != JSON_KEY) {
        return false;
    }
    *key = w->text;
    *token = json_walk_at_container(w) ? json_walk_skip(w) : json_walk_next(w);
    return *token != JSON_BAD && *token != JSON_CUT;
}

static bool open_args(const chrome_event *e, json_walk *w)
{
    *w = e->args;
    return e->has_args && json_walk_next(w) == JSON_OBJECT;
}

/* ---- helpers ------------------------------------------------------------------------------- */

/* Microseconds with decimals as nanoseconds. */
static bool take_time(chrome *c, vs_str text, vs_ns *out)
{
    json_number n = {0};
    if (!json_scaled(text, 3, &n) || (n.is_negative && n.value > 0)) {
        c->counts.bad_times++;
        return false;
    }
    *out = n.value;
    return true;
}

/* A name without escapes; "" when memory ran out (the builder will say so too). */
static vs_str decoded_name(chrome *c, const chrome_event *e)
{
    if (!e->is_name_escaped) {
        return e->name;
    }
    if (e->name.len > c->text_bytes) {
        char *const wider = vs_arena_raw(c->desc->scratch, e->name.len, 2, 1);
        if (wider == NULL) {
            return (vs_str){"", 0};
        }
        c->text = wider;
        c->text_bytes = e->name.len * 2;
    }
    return (vs_str){c->text, json_decode(e->name, c->text)};
}

static uint32_t hash_of(vs_str text)
{
    uint32_t hash = UINT32_C(2166136261); /* FNV-1a */
    for (size_t i = 0; i < text.len; i++) {
        hash = (hash ^ (uint8_t)text.ptr[i]) * UINT32_C(16777619);
    }
    return hash;
}

static bool add_row(chrome *c, const chrome_event *e, const chrome_row *row, vs_err *err)
{
    if (c->rows.count >= UINT32_MAX - 1) {
        return vs_fail(err, VS_ERR_LIMIT, "more than 2^32 - 2 memory events in one trace");
    }
    chrome_row *const added = rows_add(&c->rows);
    if (added == NULL) {
        return vs_fail_memory(err, c->desc->scratch, "the memory events of a trace");
    }
    *added = *row;
    added->thread = hash_of(e->tid);
    added->event.stack = VS_REC_NO_STACK;
    added->event.origin =
        c->counts.events < UINT32_MAX ? (uint32_t)c->counts.events : UINT32_MAX;
    return true;
}

/* ---- [memory] and [OutOfMemory] ----------------------------------------------------------------- */

typedef struct {
    json_number bytes;
    uint64_t addr;
    uint64_t type;
    uint64_t id;
    vs_rec_totals totals;
    bool has_bytes;
    bool has_type;
    bool has_addr;
    bool is_odd; /* a number that cannot be */
} memory_args;

static bool take_total(vs_str text, vs_bytes *out)
{
    return json_whole(text, out) && *out <= CHROME_BYTES_MAX;
}

static void take_memory_arg(memory_args *m, vs_str key, vs_str text)
{
    json_number n = {0};
    if (is_text(key, "Bytes")) {
        m->has_bytes = json_scaled(text, 0, &m->bytes) && !m->bytes.is_rounded;
    } else if (is_text(key, "Device Type")) {
        m->has_type = json_whole(text, &m->type);
    } else if (is_text(key, "Device Id")) {
        m->is_odd = m->is_odd || !json_scaled(text, 0, &n) || n.value > UINT32_MAX;
        m->id = n.is_negative ? 0 : n.value; /* -1: the CPU's */
    } else if (is_text(key, "Addr")) {
        /* written as a signed number: the upper half of the address space is negative */
        m->has_addr = json_scaled(text, 0, &n) && n.value != 0;
        m->addr = n.is_negative ? 0 - n.value : n.value;
    } else if (is_text(key, "Total Allocated")) {
        m->is_odd = m->is_odd || !take_total(text, &m->totals.allocated);
    } else if (is_text(key, "Total Reserved")) {
        m->is_odd = m->is_odd || !take_total(text, &m->totals.reserved);
    }
}

/* False: it is left out, and counted. */
static bool take_memory_args(chrome *c, const chrome_event *e, memory_args *out)
{
    memory_args m = {.totals = {UINT64_MAX, UINT64_MAX}};
    json_walk w = {0};
    vs_str key = {0};
    json_token token = JSON_BAD;
    if (open_args(e, &w)) {
        while (next_arg(&w, &key, &token)) {
            if (token == JSON_NUMBER || token == JSON_STRING) {
                take_memory_arg(&m, key, w.text);
            }
        }
    }
    if (!m.has_bytes || !m.has_type || m.is_odd || m.bytes.value == 0 ||
        m.bytes.value > CHROME_BYTES_MAX) {
        c->counts.incomplete++;
        return false;
    }
    if (m.type > 1) { /* c10::DeviceType: 0 CPU, 1 CUDA (and HIP, which calls itself that) */
        c->counts.foreign++;
        return false;
    }
    *out = m;
    return true;
}

static bool take_memory(chrome *c, const chrome_event *e, bool is_oom, vs_err *err)
{
    memory_args m = {0};
    vs_ns time_ns = 0;
    c->is_kineto = true;
    if (!take_memory_args(c, e, &m) || !take_time(c, e->ts, &time_ns)) {
        return true;
    }
    const bool is_host = m.type == 0;
    const bool is_free = m.bytes.is_negative && !is_oom;
    chrome_row row = {.totals = m.totals};
    row.event.time_ns = time_ns;
    row.event.size = m.bytes.value;
    row.event.action = is_oom ? VS_REC_OOM : is_free ? VS_REC_FREE_COMPLETED : VS_REC_ALLOC;
    row.event.flags = (uint8_t)(is_host ? 0u : VS_REC_BLOCK_SIZE);
    row.event.category = is_host ? VS_CAT_HOSTHEAP : VS_CAT_TENSOR;
    if (m.has_addr && !is_oom) {
        row.event.addr = m.addr;
    } else {
        row.event.flags |= VS_REC_NO_ADDR;
    }
    row.device = builder_device(c->b, is_host ? 0 : (uint32_t)m.id, is_host);
    c->counts.memory += !is_oom;
    c->counts.oom += is_oom;
    return add_row(c, e, &row, err);
}

/* ---- slices ------------------------------------------------------------------------------------- */

static bool has_text(vs_str text, const char *part)
{
    const size_t len = strlen(part);
    for (size_t i = 0; i + len <= text.len; i++) {
        if (memcmp(text.ptr + i, part, len) == 0) {
            return true;
        }
    }
    return false;
}

/* "Memcpy HtoD (Pageable -> Device)". False: a kind of copy that we have no use for. */
static bool copy_kind_of(vs_str name, uint8_t *out)
{
    const bool is_pinned = has_text(name, "Pinned");
    const bool is_pageable = has_text(name, "Pageable");
    if (vs_str_starts(name, "Memcpy HtoD") && is_pinned != is_pageable) {
        *out = is_pinned ? VS_REC_H2D_PINNED : VS_REC_H2D_PAGEABLE;
    } else if (vs_str_starts(name, "Memcpy DtoH") && is_pinned != is_pageable) {
        *out = is_pinned ? VS_REC_D2H_PINNED : VS_REC_D2H_PAGEABLE;
    } else if (vs_str_starts(name, "Memcpy DtoD")) {
        *out = VS_REC_D2D;
    } else if (vs_str_starts(name, "Memcpy PtoP")) {
        *out = VS_REC_PEER;
    } else {
        return false;
    }
    return true;
}

/* bytes, device, stream; what is not there stays 0. */
static void take_slice_args(const chrome_event *e, uint64_t *bytes, uint64_t *device,
                            uint64_t *stream)
{
    json_walk w = {0};
    vs_str key = {0};
    json_token token = JSON_BAD;
    if (!open_args(e, &w)) {
        return;
    }
    while (next_arg(&w, &key, &token)) {
        uint64_t *const out = is_text(key, "bytes")    ? bytes
                              : is_text(key, "device") ? device
                              : is_text(key, "stream") ? stream
                                                       : NULL;
        uint64_t value = 0;
        if (out != NULL && token == JSON_NUMBER && json_whole(w.text, &value)) {
            *out = value;
        }
    }
}

static void take_range(chrome *c, const chrome_event *e, vs_ns start_ns, vs_ns end_ns)
{
    vs_rec_annotation annotation = {.time_ns = start_ns,
                                    .name = builder_string(c->b, decoded_name(c, e)),
                                    .stage = builder_string(c->b, vs_str_of("START"))};
    builder_annotation(c->b, &annotation);
    annotation.time_ns = end_ns;
    annotation.stage = builder_string(c->b, vs_str_of("END"));
    builder_annotation(c->b, &annotation);
}

/* Spans wait until it is known which device a call of CUDA is about: the trace does not tell. */
static bool add_span(chrome *c, const vs_rec_span *span, vs_err *err)
{
    vs_rec_span *const added = rows_add(&c->spans);
    if (added == NULL) {
        return vs_fail_memory(err, c->desc->scratch, "the slices of a trace");
    }
    *added = *span;
    c->counts.slices++;
    return true;
}

static bool take_slice(chrome *c, const chrome_event *e, vs_err *err)
{
    const slice_kind kind = slice_kind_of(e->cat);
    vs_ns dur_ns = 0;
    vs_rec_span span = {0};
    if (kind == SLICE_NONE) {
        return true;
    }
    c->is_kineto = true;
    if (!take_time(c, e->ts, &span.start_ns) || !take_time(c, e->dur, &dur_ns) ||
        !vs_add_u64(span.start_ns, dur_ns, &span.end_ns)) {
        return true;
    }
    if (kind == SLICE_RANGE) {
        take_range(c, e, span.start_ns, span.end_ns);
        return true;
    }
    span.kind = kind == SLICE_CALL     ? VS_REC_CALL
                : kind == SLICE_KERNEL ? VS_REC_KERNEL
                                       : VS_REC_MEMSET;
    if (kind == SLICE_COPY && !copy_kind_of(e->name, &span.kind)) {
        c->counts.odd_copies++;
        return true;
    }
    uint64_t device = 0;
    uint64_t stream = 0;
    take_slice_args(e, &span.bytes, &device, &stream);
    if (span.bytes > CHROME_BYTES_MAX || device > UINT32_MAX) {
        c->counts.odd_copies++;
        return true;
    }
    span.label = builder_string(c->b, decoded_name(c, e));
    span.stream = builder_stream(c->b, stream);
    span.device =
        kind == SLICE_CALL ? CHROME_NO_DEVICE : builder_device(c->b, (uint32_t)device, false);
    return add_span(c, &span, err);
}

/* ---- our own trace files (traces/write/perfetto.c) -------------------------------------------------- */

/* Devices are processes there, numbered from 1. */
static bool own_device(const chrome_event *e, uint32_t *out)
{
    uint64_t pid = 0;
    if (!json_whole(e->pid, &pid) || pid == 0 || pid > CHROME_DEVICES_MAX) {
        return false;
    }
    *out = (uint32_t)pid - 1;
    return true;
}

static vs_category category_of(vs_str key)
{
    for (uint32_t i = 0; i < VS_CAT_COUNT; i++) {
        if (is_text(key, vs_category_key((vs_category)i))) {
            return (vs_category)i;
        }
    }
    return VS_CAT_COUNT;
}

static bool is_host_category(uint32_t category)
{
    return category == VS_CAT_PINNED || category == VS_CAT_PAGECACHE ||
           category == VS_CAT_HOSTHEAP;
}

/* Every argument is a category of ours with a number, else it is somebody else's counter. */
static bool take_levels(const chrome_event *e, vs_bytes levels[VS_CAT_COUNT], bool *is_host)
{
    json_walk w = {0};
    vs_str key = {0};
    json_token token = JSON_BAD;
    uint32_t count = 0;
    if (!open_args(e, &w)) {
        return false;
    }
    while (next_arg(&w, &key, &token)) {
        const vs_category category = category_of(key);
        vs_bytes level = 0;
        if (category == VS_CAT_COUNT || token != JSON_NUMBER || !json_whole(w.text, &level) ||
            level > CHROME_BYTES_MAX) {
            return false;
        }
        levels[category] = level;
        *is_host = *is_host || is_host_category(category);
        count++;
    }
    return count > 0;
}

static bool take_own_counter(chrome *c, const chrome_event *e, vs_err *err)
{
    uint32_t device = 0;
    bool is_host = false;
    chrome_row row = {.totals = {UINT64_MAX, UINT64_MAX}};
    if (!is_text(e->name, "memory") || e->cat.len > 0 || !own_device(e, &device)) {
        return true;
    }
    vs_bytes levels[VS_CAT_COUNT];
    vs_bytes before[VS_CAT_COUNT];
    memcpy(levels, c->levels[device], sizeof levels);
    if (!take_levels(e, levels, &is_host) || !take_time(c, e->ts, &row.event.time_ns)) {
        return true;
    }
    c->counts.counters++;
    c->has_own[device] = true;
    c->is_own_host[device] = c->is_own_host[device] || is_host;
    row.device = builder_device(c->b, device, c->is_own_host[device]);
    row.event.action = VS_REC_LEVEL;
    row.event.flags = VS_REC_NO_ADDR;
    memcpy(before, c->levels[device], sizeof before);
    memcpy(c->levels[device], levels, sizeof levels);
    /* what shrinks first: the sum must not pass through a height that never was */
    for (uint32_t k = 0; k < 2 * VS_CAT_COUNT; k++) {
        const uint32_t i = k % VS_CAT_COUNT;
        const bool is_now = k < VS_CAT_COUNT ? levels[i] < before[i] : levels[i] > before[i];
        row.event.category = (uint8_t)i;
        row.event.size = levels[i];
        if (is_now && !add_row(c, e, &row, err)) {
            return false;
        }
    }
    return true;
}

typedef struct {
    vs_str kind;
    vs_bytes requested;
} instant_args;

static instant_args take_instant_args(const chrome_event *e)
{
    instant_args a = {0};
    json_walk w = {0};
    vs_str key = {0};
    json_token token = JSON_BAD;
    if (!open_args(e, &w)) {
        return a;
    }
    while (next_arg(&w, &key, &token)) {
        if (token == JSON_STRING && is_text(key, "kind")) {
            a.kind = w.text;
        } else if (token == JSON_NUMBER && is_text(key, "requested_bytes")) {
            a.requested = take_total(w.text, &a.requested) ? a.requested : 0;
        }
    }
    return a;
}

/* Phases become annotations, the others events of their device. */
static bool take_own_instant(chrome *c, const chrome_event *e, vs_err *err)
{
    const instant_args args = take_instant_args(e);
    chrome_row row = {.totals = {UINT64_MAX, UINT64_MAX}};
    uint32_t device = 0;
    const bool is_oom = is_text(args.kind, "oom");
    const bool is_mark = is_text(args.kind, "mark") || is_text(args.kind, "surface");
    const bool is_phase = is_text(args.kind, "phase");
    if (!(is_oom || is_mark || is_phase) || !own_device(e, &device) ||
        !take_time(c, e->ts, &row.event.time_ns)) {
        return true;
    }
    const uint32_t label = builder_string(c->b, decoded_name(c, e));
    if (is_phase) {
        const vs_rec_annotation annotation = {.time_ns = row.event.time_ns,
                                              .name = label,
                                              .stage =
                                                  builder_string(c->b, vs_str_of("START"))};
        builder_annotation(c->b, &annotation);
        return true;
    }
    row.device = builder_device(c->b, device, c->is_own_host[device]);
    row.event.action = is_oom ? VS_REC_OOM : VS_REC_MARK;
    row.event.flags = VS_REC_NO_ADDR;
    row.event.size = args.requested;
    row.event.label = label;
    c->counts.oom += is_oom;
    return add_row(c, e, &row, err);
}

/* The name of a process, if that is what the event is about. */
static bool take_own_name(chrome *c, const chrome_event *e, vs_err *err)
{
    json_walk w = {0};
    vs_str key = {0};
    json_token token = JSON_BAD;
    uint32_t device = 0;
    if (!is_text(e->name, "process_name") || !own_device(e, &device) || !open_args(e, &w)) {
        return true;
    }
    while (next_arg(&w, &key, &token)) {
        if (token == JSON_STRING && is_text(key, "name") && !w.has_escape) {
            const char *const copy = vs_str_copy(c->desc->scratch, w.text);
            if (copy == NULL) {
                return vs_fail_memory(err, c->desc->scratch, "names of a trace");
            }
            c->own_names[device] = vs_str_of(copy);
        }
    }
    return true;
}

/* ---- one event ----------------------------------------------------------------------------------------- */

static bool take_instant(chrome *c, const chrome_event *e, vs_err *err)
{
    if (is_text(e->name, "[memory]")) {
        return take_memory(c, e, false, err);
    }
    if (is_text(e->name, "[OutOfMemory]")) {
        return take_memory(c, e, true, err);
    }
    return e->cat.len > 0 || take_own_instant(c, e, err);
}

bool chrome_event_take(chrome *c, const chrome_event *e, vs_err *err)
{
    c->counts.events++;
    if (e->ph.len != 1) {
        return true;
    }
    switch (e->ph.ptr[0]) {
    case 'i':
    case 'I': return take_instant(c, e, err);
    case 'X': return take_slice(c, e, err);
    case 'C': return take_own_counter(c, e, err);
    case 'M': return take_own_name(c, e, err);
    default: return true;
    }
}
