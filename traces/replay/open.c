/* open.c - any file that can be looked at as a timeline.
 *
 * A tape is one. A recording whose requests can be replayed becomes one by replaying them, which gives what no
 * recording tells: the true sizes of blocks. Any other is put on the tape as it is. */
#include "traces/replay/internal.h"

#define MAX_NOTES 48u

typedef struct {
    vs_opened_trace *out;
    const char **notes;
} collector;

static void add_notes(collector *c, const char *const *notes, uint32_t count)
{
    for (uint32_t i = 0; i < count && c->out->note_count < MAX_NOTES; i++) {
        c->notes[c->out->note_count++] = notes[i];
    }
}

static const char *verdict_note(const vs_replay_result *result, vs_arena *keep)
{
    uint64_t different = 0;
    uint64_t corrections = 0;
    for (uint32_t i = 0; i < result->device_count; i++) {
        const vs_replay_device *d = &result->devices[i];
        different += d->address_mismatches + d->allocated_mismatches + d->reserved_mismatches +
                     d->segment_mismatches;
        corrections += d->corrections;
    }
    return vs_arena_printf(keep,
                           "replayed through our allocator: %s, %" PRIu64
                           " differences, %" PRIu64 " corrections",
                           vs_replay_verdict_key(result->verdict), different, corrections);
}

/* *is_done false: it cannot be replayed, the tape is as new. */
static bool replay_onto(collector *c, const vs_recording *rec, const vs_read_desc *desc,
                        vs_tape *tape, bool *is_done, vs_err *err)
{
    vs_replay_desc replay = {.keep = desc->keep, .scratch = desc->scratch};
    vs_replay_result result = {0};
    *is_done = false;
    if (rec->format != VS_TRACE_SNAPSHOT) {
        return true;
    }
    replay.tape = tape;
    replay.is_tape_conditional = true;
    if (!vs_replay_run(&result, rec, &replay, err)) {
        return false;
    }
    if (!result.has_tape) {
        return true;
    }
    const char *note = verdict_note(&result, desc->keep);
    add_notes(c, &note, note != NULL ? 1 : 0);
    add_notes(c, result.notes, result.note_count);
    *is_done = true;
    return true;
}

static void put_meta(vs_tape *tape, const vs_recording *rec, vs_arena *arena)
{
    vs_tape_set_meta(tape, "format", vs_trace_format_key(rec->format));
    vs_tape_set_meta(tape, "source", rec->path != NULL ? rec->path : "");
    vs_tape_set_meta(tape, "made_by", rec->made_by != NULL ? rec->made_by : "");
    if (rec->alloc_conf != NULL) {
        vs_tape_set_meta(tape, "alloc_conf", rec->alloc_conf);
    }
    const char *epoch_ns = vs_arena_printf(arena, "%" PRIu64, rec->epoch_ns);
    if (rec->epoch_ns > 0 && epoch_ns != NULL) { /* of time 0: writers add it again */
        vs_tape_set_meta(tape, "epoch_ns", epoch_ns);
    }
    for (uint32_t i = 1; i < rec->stream_count && i <= MAX_NOTES; i++) {
        const char *key = vs_arena_printf(arena, "stream.%" PRIu32, i);
        const char *value = vs_arena_printf(arena, "0x%" PRIx64, rec->streams[i]);
        if (key != NULL && value != NULL) {
            vs_tape_set_meta(tape, key, value);
        }
    }
}

/* What putting a recording on a tape brought to light stands there as facts "note.N" behind those of the reader. */
static void add_tape_notes(collector *c, uint32_t known)
{
    const vs_timeline *tl = &c->out->timeline;
    for (uint32_t i = 0; i < tl->meta_count && c->out->note_count < MAX_NOTES; i++) {
        const vs_str key = vs_str_of(vs_timeline_string(tl, tl->metas[i].key));
        uint64_t number = 0;
        if (vs_str_starts(key, "note.") &&
            vs_parse_u64((vs_str){key.ptr + 5, key.len - 5}, &number, NULL) && number > known) {
            c->notes[c->out->note_count++] = vs_timeline_string(tl, tl->metas[i].value);
        }
    }
}

static bool open_recording(collector *c, const char *path, const vs_read_desc *desc,
                           vs_err *err)
{
    vs_recording rec = {0};
    if (!vs_recording_read(&rec, path, desc, err)) {
        return false;
    }
    add_notes(c, rec.notes, rec.note_count);
    if (rec.own != NULL) {
        c->out->timeline = *rec.own;
        return true;
    }
    uint64_t events = 0;
    for (uint32_t i = 0; i < rec.device_count; i++) {
        events += rec.devices[i].event_count;
    }
    const uint32_t expected = events < UINT32_MAX ? (uint32_t)events : UINT32_MAX;
    vs_tape *tape = vs_tape_new(desc->keep, &(vs_tape_desc){.expected_events = expected});
    if (tape == NULL) {
        return vs_fail_memory(err, desc->keep, "the tape");
    }
    put_meta(tape, &rec, desc->keep);
    bool is_done = false;
    if (!replay_onto(c, &rec, desc, tape, &is_done, err)) {
        return false;
    }
    if (!is_done && !vs_recording_to_tape(&rec, tape, desc->scratch, err)) {
        return false;
    }
    if (!vs_tape_seal(tape, &c->out->timeline, err)) {
        return false;
    }
    add_tape_notes(c, rec.note_count);
    return true;
}

bool vs_trace_open(vs_opened_trace *out, const char *path, const vs_read_desc *desc,
                   vs_err *err)
{
    vs_opened_trace opened = {0};
    if (!vs_trace_detect(path, &opened.format, err)) {
        return false;
    }
    collector c = {.out = &opened, .notes = VS_ARRAY(desc->keep, const char *, MAX_NOTES)};
    if (c.notes == NULL) {
        return vs_fail_memory(err, desc->keep, "notes");
    }
    opened.notes = c.notes;
    const bool is_well = opened.format == VS_TRACE_TAPE
                             ? vs_timeline_open(&opened.timeline, path, err)
                             : open_recording(&c, path, desc, err);
    if (is_well) {
        *out = opened;
    } else {
        vs_err_at_input(err, path);
    }
    return is_well;
}
