/* traces/calibrate/calibrate.c - files in, figures out.
 *
 * Each file adds observations to the parameters it can say something about (recording.c, kit.c); when all are read, each
 * parameter gets its figure: what was stated, a fit over sizes, or a median. */
#include "traces/calibrate/observe.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <zlib.h>

#define HEAD_BYTES ((uint64_t)4096)
#define KIT_MAX_BYTES                                                                          \
    ((size_t)64 << 20) /* results.json of the kit is below 1 MiB, a loader.csv below 10 */
#define ERROR_STEPS      10000.0 /* uncertainties are rounded up to a hundredth of a per cent */
#define LEAST_ERROR      0.001   /* no clock of these files is better */
#define FIT_LEAST_POINTS 3u
#define STATED_APART     0.02
#define VALUE_MAX        1125899906842624.0 /* 2^50: what HOST.json takes for any figure */
#define RATE_MAX         1e15               /* the same for rates */
#define TIME_MAX_NS      1e9                /* the same for one call */

/* ---- the table of parameters ----------------------------------------------------------------------------- */

const char *vs_cal_key(vs_cal_parameter parameter)
{
    static const char *const keys[] = {
#define VS_X(id, key, unit, needs) key,
        VS_CAL_PARAMETERS(VS_X)
#undef VS_X
    };
    vs_assert((unsigned)parameter < VS_CAL_COUNT);
    return keys[parameter];
}

vs_cal_unit vs_cal_unit_of(vs_cal_parameter parameter)
{
    static const vs_cal_unit units[] = {
#define VS_X(id, key, unit, needs) unit,
        VS_CAL_PARAMETERS(VS_X)
#undef VS_X
    };
    return (unsigned)parameter < VS_CAL_COUNT ? units[parameter] : VS_CAL_NUMBER;
}

const char *vs_cal_needs(vs_cal_parameter parameter)
{
    static const char *const needs[] = {
#define VS_X(id, key, unit, what) what,
        VS_CAL_PARAMETERS(VS_X)
#undef VS_X
    };
    vs_assert((unsigned)parameter < VS_CAL_COUNT);
    return needs[parameter];
}

bool vs_cal_is_in_host(vs_cal_parameter parameter)
{
    return parameter != VS_CAL_PAGE_CACHE && parameter != VS_CAL_D2D;
}

const char *vs_cal_method_words(vs_cal_method method)
{
    switch (method) {
    case VS_CAL_STATED: return "stated";
    case VS_CAL_MEDIAN: return "95 % of the median";
    case VS_CAL_FIT: return "95 % of the fit";
    case VS_CAL_RANGE: return "half the range";
    }
    return "";
}

/* ---- observations ------------------------------------------------------------------------------------------ */

static bool fail_memory(calibrating *c)
{
    c->has_failed = true;
    return vs_fail_memory(c->err, c->keep, "observations");
}

void cal_add(calibrating *c, vs_cal_parameter parameter, cal_observation observation)
{
    cal_list *const list = &c->lists[parameter];
    if (c->has_failed || !isfinite(observation.value) || !(observation.value > 0.0) ||
        !isfinite(observation.bytes) || observation.bytes < 0.0) {
        return;
    }
    if (list->count == list->capacity) {
        const uint32_t capacity = list->capacity == 0 ? 16 : list->capacity * 2;
        cal_observation *const grown = VS_ARRAY(c->keep, cal_observation, capacity);
        if (grown == NULL) {
            (void)fail_memory(c);
            return;
        }
        if (list->count > 0) {
            memcpy(grown, list->list, list->count * sizeof *grown);
        }
        list->list = grown;
        list->capacity = capacity;
    }
    observation.file = c->file;
    list->list[list->count++] = observation;
    c->files[c->file].observations++;
}

void cal_add_stated(calibrating *c, vs_cal_parameter parameter, double value)
{
    cal_add(c, parameter, (cal_observation){.value = value, .is_exact = true});
}

void cal_add_oom(calibrating *c, double bytes)
{
    if (c->oom_count < CAL_OOMS_MAX) {
        c->ooms[c->oom_count] = bytes;
        c->oom_files[c->oom_count++] = c->file;
    }
}

/* The last part of a path: what is said to people and written to HOST.json. */
static const char *file_name(const char *path)
{
    const char *const slash = strrchr(path, '/');
    return slash == NULL || slash[1] == '\0' ? path : slash + 1;
}

void cal_note(calibrating *c, const char *format, ...)
{
    char text[400];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (c->note_count == CAL_NOTES_MAX) {
        return;
    }
    const char *const note = vs_arena_printf(c->keep, "%s: %s", file_name(c->path), text);
    if (note == NULL) {
        (void)fail_memory(c);
        return;
    }
    for (uint32_t i = 0; i < c->note_count; i++) {
        if (strcmp(c->notes[i], note) == 0) {
            return;
        }
    }
    c->notes[c->note_count++] = note;
}

void cal_name_gpu(calibrating *c, vs_str name)
{
    if (name.len == 0) {
        return;
    }
    if (c->gpu_name == NULL) {
        c->gpu_name = vs_str_copy(c->keep, name);
        c->has_failed = c->has_failed || (c->gpu_name == NULL && !fail_memory(c));
    } else if (!vs_str_is(name, c->gpu_name)) {
        cal_note(c,
                 "made on another card (%.*s) than the first file (%s): what is fitted is a "
                 "mixture",
                 name.len > 60 ? 60 : (int)name.len, name.ptr, c->gpu_name);
    }
}

/* ---- files -------------------------------------------------------------------------------------------------------- */

/* All of a gzip'ed file into scratch, up to a limit. */
static bool unpack(calibrating *c, const vs_file *file, vs_str *out)
{
    char *const room = vs_arena_raw(c->scratch, KIT_MAX_BYTES, 1, 16);
    z_stream z = {0};
    if (room == NULL) {
        return vs_fail_memory(c->err, c->scratch, "a file of the capture kit");
    }
    if (inflateInit2(&z, 15 + 16) != Z_OK) { /* zlib.h: 16 more for a gzip header */
        return vs_fail(c->err, VS_ERR_MEMORY, "zlib has no memory");
    }
    /* zlib does not write to its input; its header lacks the const */
    z.next_in = (Bytef *)(uintptr_t)file->bytes;
    z.avail_in = file->size_bytes < UINT32_MAX ? (uInt)file->size_bytes : UINT32_MAX;
    z.next_out = (Bytef *)room;
    z.avail_out = (uInt)KIT_MAX_BYTES;
    const int status = inflate(&z, Z_FINISH);
    *out = (vs_str){room, KIT_MAX_BYTES - z.avail_out};
    (void)inflateEnd(&z);
    if (status == Z_STREAM_END) {
        return true;
    }
    return vs_fail(c->err, z.avail_out == 0 ? VS_ERR_LIMIT : VS_ERR_FORMAT,
                   z.avail_out == 0 ? "a file of the capture kit of more than 64 MiB"
                                    : "the gzip'ed file is cut or damaged");
}

/* The first bytes, unpacked. */
static vs_str look(const vs_file *file, char room[HEAD_BYTES])
{
    const vs_str plain = {(const char *)file->bytes, file->size_bytes < HEAD_BYTES
                                                         ? (size_t)file->size_bytes
                                                         : HEAD_BYTES};
    z_stream z = {0};
    if (plain.len < 18 || file->bytes[0] != 0x1f || file->bytes[1] != 0x8b ||
        inflateInit2(&z, 15 + 16) != Z_OK) {
        return plain;
    }
    z.next_in = (Bytef *)(uintptr_t)file->bytes;
    z.avail_in = file->size_bytes < UINT32_MAX ? (uInt)file->size_bytes : UINT32_MAX;
    z.next_out = (Bytef *)room;
    z.avail_out = (uInt)HEAD_BYTES;
    (void)inflate(&z, Z_SYNC_FLUSH);
    const vs_str head = {room, (size_t)HEAD_BYTES - z.avail_out};
    (void)inflateEnd(&z);
    return head;
}

static bool observe_kit(calibrating *c, const vs_file *file, cal_kit kit)
{
    vs_str bytes = {(const char *)file->bytes, (size_t)file->size_bytes};
    const bool is_packed = bytes.len > 2 && file->bytes[0] == 0x1f && file->bytes[1] == 0x8b;
    c->files[c->file].kind =
        kit == CAL_KIT_RESULTS ? "results of the capture kit" : "loader.csv of the capture kit";
    if (is_packed && !unpack(c, file, &bytes)) {
        return false;
    }
    if (!is_packed && bytes.len > KIT_MAX_BYTES) {
        return vs_fail(c->err, VS_ERR_LIMIT, "a file of the capture kit of more than 64 MiB");
    }
    return kit == CAL_KIT_RESULTS ? cal_observe_results(c, bytes)
                                  : cal_observe_loader(c, bytes);
}

static bool observe_trace(calibrating *c)
{
    vs_recording rec = {0};
    vs_trace_format format = VS_TRACE_FORMAT_COUNT;
    /* what is kept of it are numbers: the recording itself is gone with the next file */
    vs_arena own = {0};
    if (!vs_trace_detect(c->path, &format, c->err)) {
        return false;
    }
    if (format == VS_TRACE_TAPE) {
        return vs_fail(
            c->err, VS_ERR_VALUE,
            "a tape: what vramscope simulated says nothing about a machine; expected a "
            "recording of a real run");
    }
    if (!vs_arena_open(&own, c->scratch->capacity_bytes, c->err)) {
        return false;
    }
    const vs_read_desc desc = {.keep = &own, .scratch = c->scratch};
    const bool is_read = vs_recording_read(&rec, c->path, &desc, c->err);
    if (is_read) {
        c->files[c->file].kind = vs_trace_format_label(rec.format);
        cal_observe_recording(c, &rec);
    }
    vs_arena_close(&own);
    return is_read && !c->has_failed;
}

static bool observe_file(calibrating *c)
{
    vs_file file = {0};
    char room[HEAD_BYTES];
    if (!vs_file_open(&file, c->path, c->err)) {
        return false;
    }
    const cal_kit kit = cal_is_kit(look(&file, room));
    const size_t mark = c->scratch->used_bytes;
    bool is_read = true;
    if (kit != CAL_NO_KIT) {
        is_read = observe_kit(c, &file, kit);
    }
    vs_file_close(&file);
    if (kit == CAL_NO_KIT) {
        is_read = observe_trace(c);
    }
    vs_arena_rewind(c->scratch, mark);
    if (!is_read) {
        vs_err_at_input(c->err, c->path);
    }
    return is_read;
}

/* ---- figures ---------------------------------------------------------------------------------------------------------- */

/* "a.json, b.sqlite and 3 more": the files that say something about it. */
static const char *sources_of(calibrating *c, const cal_list *list)
{
    char text[160] = "";
    size_t used = 0;
    uint32_t named = 0;
    uint32_t more = 0;
    uint32_t last = UINT32_MAX;
    for (uint32_t i = 0; i < list->count; i++) {
        if (list->list[i].file == last) {
            continue;
        }
        last = list->list[i].file;
        if (named == 3) {
            more++;
            continue;
        }
        const int n = snprintf(text + used, sizeof text - used, "%s%.40s",
                               named == 0 ? "" : ", ", file_name(c->files[last].path));
        used += n > 0 && (size_t)n < sizeof text - used ? (size_t)n : 0;
        named++;
    }
    const char *const made =
        more == 0 ? vs_arena_printf(c->keep, "%s", text)
                  : vs_arena_printf(c->keep, "%s and %" PRIu32 " more", text, more);
    return made == NULL ? "" : made;
}

static double limit_of(vs_cal_parameter parameter)
{
    switch (vs_cal_unit_of(parameter)) {
    case VS_CAL_RATE: return RATE_MAX;
    case VS_CAL_TIME: return TIME_MAX_NS;
    case VS_CAL_NUMBER: return 4096.0; /* cores */
    case VS_CAL_BYTES: break;
    }
    return VALUE_MAX;
}

/* value and uncertainty into the figure; a value that HOST.json would not take is none. */
static void set_value(vs_cal_figure *f, vs_cal_parameter parameter, double value, double error)
{
    if (!isfinite(value) || value < 1.0 || value > limit_of(parameter)) {
        f->reason = "what was observed cannot be (HOST.json would refuse it)";
        return;
    }
    f->is_known = true;
    f->value = (uint64_t)(value + 0.5);
    if (f->has_uncertainty) {
        const double share =
            fmax(error / value, f->method == VS_CAL_STATED ? 0.0 : LEAST_ERROR);
        f->uncertainty = ceil(share * ERROR_STEPS) / ERROR_STEPS;
    }
}

/* The median of values, which are sorted. */
static void set_median(vs_cal_figure *f, vs_cal_parameter parameter, double *values,
                       uint32_t count)
{
    double error = 0.0;
    bool is_interval = false;
    const double median = vs_cal_median(values, count, &error, &is_interval);
    f->method = is_interval ? VS_CAL_MEDIAN : VS_CAL_RANGE;
    f->has_uncertainty = count > 1;
    set_value(f, parameter, median, error);
}

/* Rates of copies: a line through times when there are several sizes of the same kind of thing; else the median rate. */
static bool set_rate(calibrating *c, vs_cal_parameter parameter, vs_cal_figure *f,
                     vs_cal_line *line)
{
    const cal_list *const list = &c->lists[parameter];
    vs_cal_point *const points = VS_ARRAY(c->scratch, vs_cal_point, list->count);
    double *const rates = VS_ARRAY(c->scratch, double, list->count);
    if (points == NULL || rates == NULL) {
        return vs_fail_memory(c->err, c->scratch, "observations");
    }
    f->smallest_bytes = UINT64_MAX;
    for (uint32_t i = 0; i < list->count; i++) {
        points[i] = (vs_cal_point){list->list[i].bytes, list->list[i].value};
        rates[i] = list->list[i].bytes / list->list[i].value * 1e9;
        const vs_bytes bytes = (vs_bytes)list->list[i].bytes;
        f->smallest_bytes = bytes < f->smallest_bytes ? bytes : f->smallest_bytes;
        f->largest_bytes = bytes > f->largest_bytes ? bytes : f->largest_bytes;
    }
    /* casts, quantisers and reads have no size in common: three different things, or one after the other */
    const bool is_copy = parameter == VS_CAL_H2D_PINNED || parameter == VS_CAL_H2D_PAGEABLE ||
                         parameter == VS_CAL_D2H || parameter == VS_CAL_D2D;
    if (!is_copy || list->count < FIT_LEAST_POINTS) {
        set_median(f, parameter, rates, list->count);
        return true;
    }
    if (!vs_cal_fit_line(points, list->count, c->scratch, line)) {
        return vs_fail_memory(c->err, c->scratch, "observations");
    }
    const double rate = 1e9 / line->ns_per_byte;
    f->method = VS_CAL_FIT;
    f->has_uncertainty = true;
    set_value(f, parameter, rate, rate * line->ns_per_byte_error / line->ns_per_byte);
    return true;
}

/* Figures that files state: one, or none when they contradict each other. Two ways of counting the same card's memory differ by
 * less than STATED_APART; then the smaller one is what there is to use. */
static void set_stated(vs_cal_figure *f, vs_cal_parameter parameter, const double *values,
                       uint32_t count)
{
    double least = values[0];
    double most = values[0];
    for (uint32_t i = 1; i < count; i++) {
        least = fmin(least, values[i]);
        most = fmax(most, values[i]);
    }
    f->method = VS_CAL_STATED;
    f->has_uncertainty = true;
    if (most - least > STATED_APART * least) {
        f->reason = "the files contradict each other: they are of different machines";
        return;
    }
    set_value(f, parameter, least, most - least);
}

static bool set_plain(calibrating *c, vs_cal_parameter parameter, vs_cal_figure *f)
{
    const cal_list *const list = &c->lists[parameter];
    double *const values = VS_ARRAY(c->scratch, double, list->count);
    bool is_stated = true;
    if (values == NULL) {
        return vs_fail_memory(c->err, c->scratch, "observations");
    }
    for (uint32_t i = 0; i < list->count; i++) {
        values[i] = list->list[i].value;
        is_stated = is_stated && list->list[i].is_exact;
    }
    if (is_stated) {
        set_stated(f, parameter, values, list->count);
    } else {
        set_median(f, parameter, values, list->count);
    }
    return true;
}

/* How it was found, in a sentence for people and for HOST.json. */
static const char *describe(calibrating *c, vs_cal_parameter parameter, const vs_cal_figure *f)
{
    const cal_list *const list = &c->lists[parameter];
    const char *const files = sources_of(c, list);
    const char *const rehearsal = c->is_rehearsal ? "REHEARSAL on the CPU, of no card: " : "";
    const char *const kind =
        parameter == VS_CAL_D2H && c->d2h_is_pageable ? ", to pageable memory" : "";
    char smallest[VS_TEXT_BYTES];
    char largest[VS_TEXT_BYTES];
    const char *made = NULL;
    if (f->method == VS_CAL_STATED) {
        made = vs_arena_printf(c->keep, "%sas stated in %s", rehearsal, files);
    } else if (f->method == VS_CAL_FIT) {
        made =
            vs_arena_printf(c->keep, "%sfitted to %" PRIu32 " copies of %s to %s%s in %s",
                            rehearsal, list->count, vs_format_size(f->smallest_bytes, smallest),
                            vs_format_size(f->largest_bytes, largest), kind, files);
    } else if (list->count == 1) {
        made = vs_arena_printf(c->keep, "%sone observation%s in %s", rehearsal, kind, files);
    } else {
        made = vs_arena_printf(c->keep, "%smedian of %" PRIu32 " observations%s in %s",
                               rehearsal, list->count, kind, files);
    }
    return made == NULL ? "" : made;
}

/* Why a parameter with observations, or nearly, is not known. */
static const char *reason_of(const calibrating *c, vs_cal_parameter parameter)
{
    const cal_list *const list = &c->lists[parameter];
    if (list->count == 0 && list->small > 0) {
        return "all copies were smaller than 1 MiB";
    }
    return list->count == 0 ? list->why : NULL;
}

/* The latency of a copy: that of pinned ones where it was timed on the host, else of pageable ones. */
static void set_latency(calibrating *c, vs_calibration *out, vs_cal_parameter from,
                        const vs_cal_line *line)
{
    vs_cal_figure *const f = &out->figures[VS_CAL_LATENCY];
    const cal_list *const list = &c->lists[from];
    for (uint32_t i = 0; i < list->count; i++) {
        if (!list->list[i].is_host_timed) {
            f->reason = "times of copies on the card's own clock do not hold the call";
            return;
        }
    }
    if (list->count < FIT_LEAST_POINTS || f->is_known) {
        return;
    }
    if (!line->has_latency || !(line->latency_error < line->latency_ns)) {
        f->reason = "the times of copies do not tell it from none";
        return;
    }
    f->method = VS_CAL_FIT;
    f->has_uncertainty = true;
    f->observations = list->count;
    set_value(f, VS_CAL_LATENCY, line->latency_ns, line->latency_error);
    f->reason = NULL;
    f->source = vs_arena_printf(c->keep, "the same fit as %s", vs_cal_key(from));
}

static bool find_figure(calibrating *c, vs_calibration *out, vs_cal_parameter parameter)
{
    const size_t mark = c->scratch->used_bytes;
    vs_cal_figure *const f = &out->figures[parameter];
    vs_cal_line line = {0};
    if (parameter == VS_CAL_LATENCY) {
        return true; /* with the copies */
    }
    f->observations = c->lists[parameter].count;
    f->reason = reason_of(c, parameter);
    if (f->observations > 0) {
        const bool is_found = vs_cal_unit_of(parameter) == VS_CAL_RATE
                                  ? set_rate(c, parameter, f, &line)
                                  : set_plain(c, parameter, f);
        vs_arena_rewind(c->scratch, mark);
        if (!is_found) {
            return false;
        }
        f->source = describe(c, parameter, f);
        if (parameter == VS_CAL_H2D_PINNED || parameter == VS_CAL_H2D_PAGEABLE) {
            set_latency(c, out, parameter, &line);
        }
    }
    return true;
}

/* Once the size of the card is known: what was neither free nor the program's when memory ran out. */
static void use_ooms(calibrating *c, const vs_calibration *out, vs_bytes total_bytes)
{
    const vs_cal_figure *const capacity = &out->figures[VS_CAL_GPU_CAPACITY];
    const double total = capacity->is_known ? (double)capacity->value : (double)total_bytes;
    for (uint32_t i = 0; i < c->oom_count && total > 0.0; i++) {
        c->file = c->oom_files[i];
        cal_add(c, VS_CAL_GPU_CONTEXT, (cal_observation){.value = total - c->ooms[i]});
    }
    if (c->oom_count > 0) {
        c->lists[VS_CAL_GPU_CONTEXT].why =
            total > 0.0 ? "memory ran out with more of it free or in use than the card has"
                        : "memory ran out, but no file tells the size of the card; --gpu does";
    }
}

/* ---- all of it ------------------------------------------------------------------------------------------------------------ */

static bool calibrate(calibrating *c, vs_calibration *out, const char *const *paths,
                      uint32_t count, vs_bytes total_bytes)
{
    for (uint32_t i = 0; i < count; i++) {
        c->file = (uint16_t)i;
        c->path = vs_str_copy(c->keep, vs_str_of(paths[i]));
        if (c->path == NULL) {
            return vs_fail_memory(c->err, c->keep, "a path");
        }
        c->files[i].path = c->path;
        if (!observe_file(c)) {
            return false;
        }
    }
    if (!find_figure(c, out, VS_CAL_GPU_CAPACITY)) {
        return false;
    }
    use_ooms(c, out, total_bytes);
    for (uint32_t p = 0; p < VS_CAL_COUNT; p++) {
        if (p != VS_CAL_GPU_CAPACITY && !find_figure(c, out, (vs_cal_parameter)p)) {
            return false;
        }
    }
    const char **const notes = VS_ARRAY(c->keep, const char *, c->note_count);
    if (notes == NULL) {
        return vs_fail_memory(c->err, c->keep, "notes");
    }
    for (uint32_t i = 0; i < c->note_count; i++) {
        notes[i] = c->notes[i];
    }
    out->notes = notes;
    out->note_count = c->note_count;
    out->files = c->files;
    out->file_count = count;
    out->gpu_name = c->gpu_name == NULL ? "" : c->gpu_name;
    return true;
}

bool vs_calibrate(vs_calibration *out, const char *const *paths, uint32_t count,
                  const vs_cal_desc *desc, vs_err *err)
{
    vs_err own = {0};
    vs_calibration made = {0};
    if (count == 0 || count > VS_CAL_FILES_MAX) {
        return vs_fail(err, VS_ERR_USAGE, "expected 1 to %d recordings, found %" PRIu32,
                       VS_CAL_FILES_MAX, count);
    }
    calibrating *const c = VS_NEW(desc->keep, calibrating);
    vs_cal_file *const files = VS_ARRAY(desc->keep, vs_cal_file, count);
    if (c == NULL || files == NULL) {
        return vs_fail_memory(err, desc->keep, "a calibration");
    }
    c->keep = desc->keep;
    c->scratch = desc->scratch;
    c->err = &own;
    c->files = files;
    if (!calibrate(c, &made, paths, count, desc->gpu_total_bytes)) {
        if (err != NULL && err->code == VS_OK) {
            *err = own;
        }
        return false;
    }
    *out = made;
    return true;
}
