/* sim/tape/lanes.c - spans, grouped by lane and sorted.
 *
 * What is sorted are references; the rows stay where they were appended, and are read once, when the columns are
 * written. References are dealt to their lanes in the order their rows were appended, each going back past those
 * that come after it: a lane shared by a few threads has most spans within a few places of where they belong, and now
 * and then one far back, when a large tensor took as long as hundreds of small ones. When too many had to make way,
 * dealing goes on without looking, and the lanes are put in order by merging their ascending runs pairwise until one
 * is left. So this is one pass in practice and O(n log n) always. The order looks at every field, so equal keys are
 * equal rows and the result does not depend on the order of appending. */
#include "sim/tape/internal.h"

#include <string.h>

#define STEPS_BACK 8u  /* looked at one by one, then the place is searched for by halving */
#define MOVES_EACH 16u /* references that may make way, for each one dealt */

/* Of two that start together. */
static bool is_row_before(const span_row *a, const span_row *b)
{
    if (a->end_ns != b->end_ns) {
        return a->end_ns < b->end_ns;
    }
    if (a->name != b->name) {
        return a->name < b->name;
    }
    if (a->category != b->category) {
        return a->category < b->category;
    }
    return a->size_bytes < b->size_bytes;
}

static inline bool is_before(const span_ref *a, const span_ref *b)
{
    return a->start_ns != b->start_ns ? a->start_ns < b->start_ns
                                      : is_row_before(a->row, b->row);
}

/* ---- merging --------------------------------------------------------------------------- */

/* End of the ascending run that starts at `from` (< count). */
static uint64_t run_end(const span_ref *refs, uint64_t from, uint64_t count)
{
    uint64_t end = from + 1;
    while (end < count && !is_before(&refs[end], &refs[end - 1])) {
        end++;
    }
    return end;
}

static void merge(const span_ref *in, uint64_t middle, uint64_t end, span_ref *out)
{
    uint64_t left = 0;
    uint64_t right = middle;
    for (uint64_t i = 0; i < end; i++) {
        const bool takes_right =
            right < end && (left == middle || is_before(&in[right], &in[left]));
        out[i] = takes_right ? in[right++] : in[left++];
    }
}

/* One round: merges neighbouring runs of `in` into `out`. Returns how many runs are left. */
static uint64_t merge_round(const span_ref *in, span_ref *out, uint64_t count)
{
    uint64_t run_count = 0;
    for (uint64_t from = 0; from < count; run_count++) {
        const uint64_t middle = run_end(in, from, count);
        const uint64_t end = middle < count ? run_end(in, middle, count) : middle;
        merge(in + from, middle - from, end - from, out + from);
        from = end;
    }
    return run_count;
}

/* The references are out of order somewhere. */
static void sort_refs(span_ref *refs, span_ref *scratch, uint64_t count)
{
    span_ref *in = refs;
    span_ref *out = scratch;
    uint64_t run_count = 0;
    do {
        run_count = merge_round(in, out, count);
        span_ref *swap = in;
        in = out;
        out = swap;
    } while (run_count > 1);
    if (in != refs) {
        memcpy(refs, in, count * sizeof *refs);
    }
}

static void sort_lanes(const vs_tape *tape, span_ref *refs, span_ref *scratch)
{
    for (uint32_t lane = 0; lane < tape->lane_count; lane++) {
        const uint64_t n = tape->lanes[lane].span_count;
        if (n > 1 && run_end(refs, 0, n) < n) {
            sort_refs(refs, scratch, n);
        }
        refs += n;
    }
}

/* ---- dealing --------------------------------------------------------------------------- */

/* The references of one lane so far: [begin, past). */
typedef struct {
    span_ref *begin;
    span_ref *past;
} lane_hand;

/* The first of [begin, at), which is in order, that the reference may not stand behind, or at. */
static span_ref *upper(span_ref *begin, span_ref *at, const span_ref *ref)
{
    while (begin < at) {
        span_ref *middle = begin + (at - begin) / 2;
        if (is_before(ref, middle)) {
            at = middle;
        } else {
            begin = middle + 1;
        }
    }
    return at;
}

/* Puts the reference where it belongs in [begin, past), which is in order, with room for it behind. Returns how many
 * made way. */
static uint64_t insert(span_ref *begin, span_ref *past, const span_ref *ref)
{
    span_ref *at = past;
    span_ref *stop = past - begin > STEPS_BACK ? past - STEPS_BACK : begin;
    while (at > stop && is_before(ref, at - 1)) {
        *at = at[-1];
        at--;
    }
    if (at == stop && at > begin) {
        span_ref *place = upper(begin, at, ref);
        memmove(place + 1, place, (size_t)(at - place) * sizeof *place);
        at = place;
    }
    *at = *ref;
    return (uint64_t)(past - at);
}

static uint64_t rows_in_chunk(const vs_tape *tape, const span_chunk *chunk)
{
    return chunk == tape->last_spans ? (uint64_t)(tape->span_at - chunk->rows)
                                     : SPAN_CHUNK_ROWS;
}

/* False when lanes may be out of order. */
static bool deal(const vs_tape *tape, lane_hand *hands)
{
    uint64_t moves_left = tape_span_count(tape) * MOVES_EACH;
    bool is_sorted = true;
    for (const span_chunk *chunk = tape->first_spans; chunk != NULL; chunk = chunk->next) {
        const uint64_t n = rows_in_chunk(tape, chunk);
        for (uint64_t i = 0; i < n; i++) {
            const span_row *row = &chunk->rows[i];
            lane_hand *hand = &hands[row->lane];
            span_ref *past = hand->past++;
            const span_ref ref = {.start_ns = row->start_ns, .row = row};
            if (past == hand->begin || past[-1].start_ns < ref.start_ns || !is_sorted) {
                *past = ref;
                continue;
            }
            const uint64_t moves = insert(hand->begin, past, &ref);
            is_sorted = moves <= moves_left;
            moves_left -= is_sorted ? moves : 0;
        }
    }
    return is_sorted;
}

bool lanes_sort(lane_order *out, const vs_tape *tape, vs_arena *arena, vs_err *err)
{
    const uint64_t count = tape_span_count(tape);
    span_ref *refs = VS_RAW_ARRAY(arena, span_ref, count);
    lane_hand *hands = VS_RAW_ARRAY(arena, lane_hand, tape->lane_count);
    if (refs == NULL || hands == NULL) {
        return vs_fail_memory(err, arena, "the lanes of a timeline");
    }
    span_ref *begin = refs;
    for (uint32_t lane = 0; lane < tape->lane_count; lane++) {
        hands[lane] = (lane_hand){.begin = begin, .past = begin};
        begin += tape->lanes[lane].span_count;
    }
    if (!deal(tape, hands)) {
        span_ref *scratch = VS_RAW_ARRAY(arena, span_ref, count);
        if (scratch == NULL) {
            return vs_fail_memory(err, arena, "the lanes of a timeline");
        }
        sort_lanes(tape, refs, scratch);
    }
    *out = (lane_order){.refs = refs, .count = count};
    return true;
}
