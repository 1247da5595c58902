/* sim/tape/chunks.c - where events and spans go while the tape is written, and what it refuses.
 *
 *   first_events --> chunk --> chunk --> last_events      each full but the last one
 *   first_spans  --> chunk --> chunk --> last_spans
 *
 * A failed tape has event_at == event_stop and span_at == span_stop, so that vs_tape_event and vs_tape_span
 * need no test of their own for the sticky error: they end here and nothing happens. */
#include "sim/tape/internal.h"

_Static_assert(sizeof(span_row) == 32, "a span row has no padding");

/* ---- failing ------------------------------------------------------------------------- */

void tape_stop(vs_tape *tape)
{
    tape->event_stop = tape->event_at;
    tape->span_stop = tape->span_at;
}

void tape_fail_memory(vs_tape *tape, const char *what)
{
    (void)vs_fail_memory(&tape->err, tape->arena, what);
    tape_stop(tape);
}

/* ---- events ------------------------------------------------------------------------------ */

uint64_t tape_event_count(const vs_tape *tape)
{
    return tape->event_chunk_count == 0
               ? 0
               : (tape->event_chunk_count - 1) * EVENT_CHUNK_ROWS + tape->event_at;
}

uint32_t tape_rows_in_chunk(const vs_tape *tape, const event_chunk *chunk)
{
    return chunk == tape->last_events ? tape->event_at : EVENT_CHUNK_ROWS;
}

static bool make_room_for_event(vs_tape *tape)
{
    if (tape_event_count(tape) > TAPE_MAX_ROWS - EVENT_CHUNK_ROWS) {
        (void)vs_fail(&tape->err, VS_ERR_LIMIT, "a tape holds at most %u events",
                      TAPE_MAX_ROWS);
        tape_stop(tape);
        return false;
    }
    event_chunk *chunk = VS_RAW_ARRAY(tape->arena, event_chunk, 1);
    if (chunk == NULL) {
        tape_fail_memory(tape, "the events of a tape");
        return false;
    }
    chunk->next = NULL;
    if (tape->last_events == NULL) {
        tape->first_events = chunk;
    } else {
        tape->last_events->next = chunk;
    }
    tape->last_events = chunk;
    tape->event_chunk_count++;
    tape->event_at = 0;
    tape->event_stop = EVENT_CHUNK_ROWS;
    return true;
}

void tape_event_rarely(vs_tape *tape, const vs_event *event)
{
    if (vs_tape_has_failed(tape)) {
        return;
    }
    if (event->time_ns < tape->last_ns) {
        (void)vs_fail(&tape->err, VS_ERR_VALUE,
                      "event %" PRIu64 " (%s) is at %" PRIu64 " ns, before %" PRIu64
                      " ns: events must be appended in the order of time",
                      tape_event_count(tape), vs_event_kind_key((vs_event_kind)event->kind),
                      event->time_ns, tape->last_ns);
        tape_stop(tape);
        return;
    }
    if (make_room_for_event(tape)) {
        vs_tape_event(tape, event);
    }
}

/* ---- spans --------------------------------------------------------------------------------- */

uint64_t tape_span_count(const vs_tape *tape)
{
    if (tape->span_chunk_count == 0) {
        return 0;
    }
    const uint64_t last = (uint64_t)(tape->span_at - tape->last_spans->rows);
    return (tape->span_chunk_count - 1) * SPAN_CHUNK_ROWS + last;
}

static bool make_room_for_span(vs_tape *tape)
{
    span_chunk *chunk = VS_RAW_ARRAY(tape->arena, span_chunk, 1);
    if (chunk == NULL) {
        tape_fail_memory(tape, "the spans of a tape");
        return false;
    }
    chunk->next = NULL;
    if (tape->last_spans == NULL) {
        tape->first_spans = chunk;
    } else {
        tape->last_spans->next = chunk;
    }
    tape->last_spans = chunk;
    tape->span_chunk_count++;
    tape->span_at = chunk->rows;
    tape->span_stop = chunk->rows + SPAN_CHUNK_ROWS;
    return true;
}

/* NOLINTNEXTLINE(readability-function-size): seven parameters, as tape.h has them */
void tape_span_rarely(vs_tape *tape, uint16_t lane, vs_ns start_ns, vs_ns end_ns,
                      vs_category category, uint32_t name, vs_bytes size_bytes)
{
    if (vs_tape_has_failed(tape) ||
        (tape->span_at == tape->span_stop && !make_room_for_span(tape))) {
        return;
    }
    if (end_ns < start_ns || lane >= tape->lane_count || (uint32_t)category >= VS_CAT_COUNT ||
        name >= tape->strings.count) {
        (void)vs_fail(&tape->err, VS_ERR_VALUE,
                      "span %" PRIu64 " [%" PRIu64 ", %" PRIu64
                      ") ns: it ends before it starts, or lane %u, category %u or name %" PRIu32
                      " is unknown",
                      tape_span_count(tape), start_ns, end_ns, (unsigned)lane,
                      (unsigned)category, name);
        tape_stop(tape);
        return;
    }
    vs_tape_span(tape, lane, start_ns, end_ns, category, name, size_bytes);
}
