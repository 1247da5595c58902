/* traces/read/detect.c - what a file is, by its first bytes, and who reads it.
 *
 * Names and endings are never looked at: torch's pickles are called .json and .snapshot. The first bytes of the unpacked
 * stream decide; in JSON, the keys of its first piece. */
#include "traces/read/read.h"

#include <stdio.h>
#include <string.h>

#define LOOK_BYTES         ((uint64_t)256 << 10)
#define DETECT_ARENA_BYTES ((size_t)4 << 20)
#define LINE_BYTES         256

const char *vs_trace_format_key(vs_trace_format format)
{
    static const char *const keys[] = {
#define VS_X(id, key, label) key,
        VS_TRACE_FORMATS(VS_X)
#undef VS_X
    };
    vs_assert((unsigned)format < VS_TRACE_FORMAT_COUNT);
    return keys[format];
}

const char *vs_trace_format_label(vs_trace_format format)
{
    static const char *const labels[] = {
#define VS_X(id, key, label) label,
        VS_TRACE_FORMATS(VS_X)
#undef VS_X
    };
    vs_assert((unsigned)format < VS_TRACE_FORMAT_COUNT);
    return labels[format];
}

const char *vs_rec_action_key(vs_rec_action action)
{
    static const char *const keys[] = {
#define VS_X(id, key) key,
        VS_REC_ACTIONS(VS_X)
#undef VS_X
    };
    vs_assert((unsigned)action < VS_REC_ACTION_COUNT);
    return keys[action];
}

const char *vs_recording_string(const vs_recording *rec, uint32_t id)
{
    return id < rec->string_count ? rec->string_bytes + rec->string_offset[id] : "";
}

/* ---- looking -------------------------------------------------------------------------- */

static bool starts(vs_str head, const char *magic, size_t magic_bytes)
{
    return head.len >= magic_bytes && memcmp(head.ptr, magic, magic_bytes) == 0;
}

static bool contains(vs_str text, const char *word)
{
    const size_t word_bytes = strlen(word);
    const char *at = text.ptr;
    const char *const end = text.ptr + text.len;
    while ((size_t)(end - at) >= word_bytes) {
        at = memchr(at, word[0], (size_t)(end - at) - word_bytes + 1);
        if (at == NULL) {
            return false;
        }
        if (memcmp(at, word, word_bytes) == 0) {
            return true;
        }
        at++;
    }
    return false;
}

static vs_str without_space(vs_str text)
{
    while (text.len > 0 && strchr(" \t\r\n", text.ptr[0]) != NULL && text.ptr[0] != '\0') {
        text.ptr++;
        text.len--;
    }
    return text;
}

static vs_str first_line(vs_str text)
{
    const char *const end = memchr(text.ptr, '\n', text.len);
    text.len = end != NULL ? (size_t)(end - text.ptr) : text.len;
    while (text.len > 0 && text.ptr[text.len - 1] == '\r') {
        text.len--;
    }
    return text;
}

/* ---- texts ------------------------------------------------------------------------------- */

static bool detect_json(vs_str text, vs_trace_format *out, vs_err *err)
{
    if (contains(text, "\"traceEvents\"") || contains(text, "\"[memory]\"") ||
        contains(text, "\"schemaVersion\"") || contains(text, "\"ph\"")) {
        *out = VS_TRACE_CHROME;
        return true;
    }
    const vs_str inner = without_space((vs_str){text.ptr + 1, text.len - 1});
    if (text.ptr[0] == '[' && inner.len > 0 && (inner.ptr[0] == '[' || inner.ptr[0] == ']')) {
        *out = VS_TRACE_TIMELINE;
        return true;
    }
    return vs_fail(err, VS_ERR_FORMAT,
                   "a JSON text, but neither a Chrome trace (\"traceEvents\") nor a PyTorch "
                   "memory timeline (a list of lists)");
}

/* "2024/01/31 12:34:56.789, ...", the timestamp of nvidia-smi. */
static bool starts_with_date(vs_str line)
{
    static const char form[] = "dddd/dd/dd dd:dd:dd";
    for (size_t i = 0; i < sizeof form - 1; i++) {
        const bool is_digit = i < line.len && line.ptr[i] >= '0' && line.ptr[i] <= '9';
        const bool is_same = i < line.len && line.ptr[i] == form[i];
        if (form[i] == 'd' ? !is_digit : !is_same) {
            return false;
        }
    }
    return true;
}

/* A row as `nvidia-smi --query-gpu=... --format=csv,noheader` prints it: with a size in MiB, a timestamp, or as
 * "0, 1234" with nounits. */
static bool is_smi_row(vs_str line)
{
    size_t i = 0;
    size_t fields = 1;
    size_t digits = 0;
    if (contains(line, " MiB") || (starts_with_date(line) && contains(line, ","))) {
        return true;
    }
    while (i < line.len && strchr("0123456789, .:/", line.ptr[i]) != NULL &&
           line.ptr[i] != '\0') {
        digits += line.ptr[i] >= '0' && line.ptr[i] <= '9';
        fields += line.ptr[i] == ',';
        i++;
    }
    return i == line.len && fields >= 2 && digits >= 2 && line.ptr[0] >= '0' &&
           line.ptr[0] <= '9';
}

/* The header of an RMM log, or, where it was taken away, a row. */
static bool is_rmm_line(vs_str line)
{
    return (contains(line, "Action") && contains(line, "Pointer") && contains(line, "Size")) ||
           contains(line, ",allocate,") || contains(line, ",free,0x");
}

static bool detect_text(vs_str text, vs_trace_format *out)
{
    const vs_str line = first_line(text);
    if (is_rmm_line(line)) {
        *out = VS_TRACE_RMM;
        return true;
    }
    if (contains(line, "memory.used") || contains(line, "memory.free") || is_smi_row(line)) {
        *out = VS_TRACE_SMI;
        return true;
    }
    return false;
}

/* ---- what it is, and what it is not -------------------------------------------------------- */

/* A pickle of protocol 0 or 1 says no version: it begins with what it holds, a dict or a list. */
static bool is_old_pickle(vs_str head)
{
    return starts(head, "(dp", 3) || starts(head, "(lp", 3) || starts(head, "}q", 2) ||
           starts(head, "]q", 2) || starts(head, "}(", 2) || starts(head, "](", 2);
}

static bool fail_unknown(vs_str head, vs_err *err)
{
    char found[64] = "";
    size_t used = 0;
    for (size_t i = 0; i < head.len && i < 8; i++) {
        const int n = snprintf(found + used, sizeof found - used, "%s%02x", i == 0 ? "" : " ",
                               (unsigned)(uint8_t)head.ptr[i]);
        used += n > 0 ? (size_t)n : 0;
    }
    return vs_fail(err, VS_ERR_FORMAT,
                   "not a recording that is known: it begins with the bytes %s. Taken are "
                   "PyTorch memory snapshots (pickle), Chrome traces and memory timelines "
                   "(JSON), Nsight Systems SQLite exports, RMM logs and nvidia-smi samples "
                   "(CSV), recorder files and tapes, plain or gzip'ed",
                   found);
}

static bool detect_binary(vs_str head, vs_trace_format *out)
{
    static const struct {
        const char *magic;
        size_t magic_bytes;
        vs_trace_format format;
    } marks[] = {
        {"SQLite format 3\0", 16, VS_TRACE_NSYS}, /* sqlite.org/fileformat2.html, 1.2 */
        {"MTRACE1\n", 8, VS_TRACE_RECORDER},
        {"VSTAPE", 6, VS_TRACE_TAPE},
        {"\x80", 1, VS_TRACE_SNAPSHOT}, /* PROTO */
    };

    for (size_t i = 0; i < sizeof marks / sizeof marks[0]; i++) {
        if (starts(head, marks[i].magic, marks[i].magic_bytes)) {
            *out = marks[i].format;
            return true;
        }
    }
    if (is_old_pickle(head)) {
        *out = VS_TRACE_SNAPSHOT;
        return true;
    }
    return false;
}

static bool detect(vs_str head, vs_trace_format *out, vs_err *err)
{
    if (head.len == 0) {
        return vs_fail(err, VS_ERR_FORMAT, "the file is empty");
    }
    if (detect_binary(head, out)) {
        return true;
    }
    if (starts(head, "PK\x03\x04", 4)) {
        return vs_fail(
            err, VS_ERR_FORMAT,
            "a zip archive, as torch.save makes them (.pt, .bin), is a checkpoint and "
            "no recording; `inspect` reads those");
    }
    if (starts(head, "GGUF", 4)) {
        return vs_fail(err, VS_ERR_FORMAT,
                       "a GGUF file is a model and no recording; `inspect` reads those");
    }
    if (starts(head, "\xff\xfe", 2) || starts(head, "\xfe\xff", 2)) {
        return vs_fail(err, VS_ERR_FORMAT,
                       "a text in UTF-16, as PowerShell's > writes it: save it as UTF-8");
    }
    if (starts(head, "\xef\xbb\xbf", 3)) { /* a byte order mark */
        head.ptr += 3;
        head.len -= 3;
    }
    const vs_str text = without_space(head);
    if (text.len > 0 && (text.ptr[0] == '{' || text.ptr[0] == '[')) {
        return detect_json(text, out, err);
    }
    return detect_text(text, out) || fail_unknown(head, err);
}

static bool detect_input(vs_input *in, vs_trace_format *out, vs_err *err)
{
    vs_err failed = {0};
    if (!input_need(in, LOOK_BYTES, &failed) && failed.code != VS_OK) {
        if (err != NULL && err->code == VS_OK) {
            *err = failed;
        }
        return false;
    }
    const vs_str head = {.ptr = (const char *)in->at, .len = (size_t)(in->end - in->at)};
    if (head.len == 0 && in->was_cut) {
        return vs_fail(err, VS_ERR_FORMAT,
                       "a gzip file that is cut or damaged before its first byte");
    }
    return detect(head, out, err);
}

bool vs_trace_detect(const char *path, vs_trace_format *out, vs_err *err)
{
    vs_arena arena = {0};
    vs_input in = {0};
    if (!vs_arena_open(&arena, DETECT_ARENA_BYTES, err)) {
        return false;
    }
    bool is_known = false;
    if (input_open(&in, path, &arena, err)) {
        is_known = detect_input(&in, out, err);
        input_close(&in);
    }
    if (!is_known) {
        vs_err_at_input(err, path);
    }
    vs_arena_close(&arena);
    return is_known;
}

/* ---- reading ------------------------------------------------------------------------------------ */

static bool fail_not_here(vs_trace_format format, vs_err *err)
{
    return vs_fail(err, VS_ERR_FORMAT, "%s: this version has no reader for it",
                   vs_trace_format_label(format));
}

static bool read_input(vs_recording *out, vs_input *in, vs_trace_format format,
                       const char *path, const vs_read_desc *desc, vs_err *err)
{
    switch (format) {
    case VS_TRACE_TAPE:
        return vs_fail(err, VS_ERR_USAGE, "a tape is no recording: it is opened as it is");
    case VS_TRACE_SNAPSHOT: return read_snapshot(out, in, desc, err);
    case VS_TRACE_CHROME: return read_chrome(out, in, desc, err);
    case VS_TRACE_TIMELINE: return read_timeline(out, in, desc, err);
    case VS_TRACE_RMM: return read_rmm(out, in, desc, err);
    case VS_TRACE_SMI: return read_smi(out, in, desc, err);
    case VS_TRACE_NSYS:
        if (in->is_gzip) {
            return vs_fail(
                err, VS_ERR_FORMAT,
                "a gzip'ed SQLite database, which cannot be read in place: unpack it "
                "first (gunzip)");
        }
        return read_nsys(out, path, desc, err);
    case VS_TRACE_RECORDER: return read_recorder(out, in, desc, err);
    case VS_TRACE_FORMAT_COUNT: break;
    }
    return fail_not_here(format, err);
}

static bool open_and_read(vs_recording *out, const char *path, const vs_read_desc *desc,
                          vs_err *err)
{
    vs_input in = {0};
    vs_trace_format format = VS_TRACE_FORMAT_COUNT;
    if (!input_open(&in, path, desc->scratch, err)) {
        return false;
    }
    vs_recording read = {0};
    bool is_read =
        detect_input(&in, &format, err) && read_input(&read, &in, format, path, desc, err);
    input_close(&in);
    if (!is_read) {
        return false;
    }
    read.path = vs_str_copy(desc->keep, vs_str_of(path));
    if (read.path == NULL) {
        return vs_fail_memory(err, desc->keep, "a recording");
    }
    *out = read;
    return true;
}

bool vs_recording_read(vs_recording *out, const char *path, const vs_read_desc *desc,
                       vs_err *err)
{
    const size_t keep_mark = desc->keep->used_bytes;
    const size_t scratch_mark = desc->scratch->used_bytes;
    const bool is_read = open_and_read(out, path, desc, err);
    vs_arena_rewind(desc->scratch, scratch_mark);
    if (!is_read) {
        vs_err_at_input(err, path);
        vs_arena_rewind(desc->keep, keep_mark);
    }
    return is_read;
}
