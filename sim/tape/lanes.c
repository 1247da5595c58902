/* sim/tape/lanes.c - spans, grouped by lane and sorted.
 *
 * Rows are dealt to their lanes in the order they were appended, each going back past those that come after it: a
 * lane shared by a few threads has most spans within a few places of where they belong, and now and then one far
 * back, when a large tensor took as long as hundreds of small ones. When too many rows had to make way, dealing goes
 * on without looking, and the lanes are put in order by merging their ascending runs pairwise until one is left. So
 * this is one pass in practice and O(n log n) always. The order looks at every field, so equal keys are equal rows
 * and the result does not depend on the order of appending. */
#include "sim/tape/internal.h"

#include <string.h>

#define STEPS_BACK 8u  /* looked at one by one, then the place is searched for by halving */
#define MOVES_EACH 16u /* rows that may make way, for each row dealt */

static inline bool is_before(const span_row *a, const span_row *b)
{
    if (a->start_ns != b->start_ns) {
        return a->start_ns < b->start_ns;
    }
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

/* End of the ascending run that starts at `from` (< count). */
static uint64_t run_end(const span_row *rows, uint64_t from, uint64_t count)
{
    uint64_t end = from + 1;
    while (end < count && !is_before(&rows[end], &rows[end - 1])) {
        end++;
    }
    return end;
}

static void merge(const span_row *in, uint64_t middle, uint64_t end, span_row *out)
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
static uint64_t merge_round(const span_row *in, span_row *out, uint64_t count)
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

/* The rows are out of order somewhere. */
static void sort_rows(span_row *rows, span_row *scratch, uint64_t count)
{
    span_row *in = rows;
    span_row *out = scratch;
    uint64_t run_count = 0;
    do {
        run_count = merge_round(in, out, count);
        span_row *swap = in;
        in = out;
        out = swap;
    } while (run_count > 1);
    if (in != rows) {
        memcpy(rows, in, count * sizeof *rows);
    }
}

static uint64_t rows_in_chunk(const vs_tape *tape, const span_chunk *chunk)
{
    return chunk == tape->last_spans ? (uint64_t)(tape->span_at - chunk->rows)
                                     : TAPE_CHUNK_ROWS;
}

/* How far back the row belongs: the first place of rows[first, past), which is in order, that it may not stand
 * behind. */
static inline uint64_t place_of(const span_row *rows, uint64_t first, uint64_t past,
                                const span_row *row)
{
    const uint64_t stop = past - first > STEPS_BACK ? past - STEPS_BACK : first;
    uint64_t at = past;
    while (at > stop && is_before(row, &rows[at - 1])) {
        at--;
    }
    if (at > stop || at == first) {
        return at;
    }
    uint64_t low =
        first; /* everything before low stays before the row, nothing from at on does */
    while (low < at) {
        const uint64_t middle = low + (at - low) / 2;
        if (is_before(row, &rows[middle])) {
            at = middle;
        } else {
            low = middle + 1;
        }
    }
    return at;
}

/* Where each lane begins; after the rows were dealt out, first[lane + 1] is where the next one does. */
static void count_rows(const vs_tape *tape, uint64_t *first)
{
    for (const span_chunk *chunk = tape->first_spans; chunk != NULL; chunk = chunk->next) {
        const uint64_t n = rows_in_chunk(tape, chunk);
        for (uint64_t i = 0; i < n; i++) {
            first[chunk->rows[i].lane + 2]++;
        }
    }
    for (uint32_t lane = 0; lane < tape->lane_count; lane++) {
        first[lane + 2] += first[lane + 1];
    }
}

/* False when lanes may be out of order. */
static bool deal_rows(const vs_tape *tape, const uint64_t *begin, uint64_t *first,
                      span_row *rows)
{
    uint64_t moves_left = tape_span_count(tape) * MOVES_EACH;
    bool is_sorted = true;
    for (const span_chunk *chunk = tape->first_spans; chunk != NULL; chunk = chunk->next) {
        const uint64_t n = rows_in_chunk(tape, chunk);
        for (uint64_t i = 0; i < n; i++) {
            const span_row *row = &chunk->rows[i];
            const uint64_t past = first[row->lane + 1]++;
            const uint64_t at = is_sorted ? place_of(rows, begin[row->lane], past, row) : past;
            if (at < past) {
                memmove(rows + at + 1, rows + at, (past - at) * sizeof *rows);
                is_sorted = past - at <= moves_left;
                moves_left -= is_sorted ? past - at : 0;
            }
            rows[at] = *row;
        }
    }
    return is_sorted;
}

bool lanes_sort(lane_order *out, const vs_tape *tape, vs_arena *arena, vs_err *err)
{
    const uint64_t count = tape_span_count(tape);
    span_row *rows = VS_RAW_ARRAY(arena, span_row, count);
    uint64_t *first = VS_ARRAY(arena, uint64_t, (size_t)tape->lane_count + 2);
    uint64_t *begin = VS_RAW_ARRAY(arena, uint64_t, (size_t)tape->lane_count + 2);
    if (rows == NULL || first == NULL || begin == NULL) {
        return vs_fail_memory(err, arena, "the lanes of a timeline");
    }
    count_rows(tape, first);
    memcpy(begin, first + 1, (tape->lane_count + 1) * sizeof *begin);
    if (!deal_rows(tape, begin, first, rows)) {
        span_row *scratch = VS_RAW_ARRAY(arena, span_row, count);
        if (scratch == NULL) {
            return vs_fail_memory(err, arena, "the lanes of a timeline");
        }
        for (uint32_t lane = 0; lane < tape->lane_count; lane++) {
            const uint64_t n = first[lane + 1] - first[lane];
            if (n > 1 && run_end(rows + first[lane], 0, n) < n) {
                sort_rows(rows + first[lane], scratch, n);
            }
        }
    }
    *out = (lane_order){.rows = rows, .count = count, .first = first};
    return true;
}
