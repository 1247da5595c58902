/* sim/tape/lanes.c - spans, grouped by lane and sorted.
 *
 * A counting sort groups the rows by lane in the order they were appended; each group is then
 * put in order by merging its ascending runs pairwise until one is left. Lanes are nearly sorted
 * as they come (a lane does one thing at a time), so this is one pass in practice and
 * O(n log runs) always. The order looks at every field, so equal keys are equal rows and the
 * result does not depend on the order of appending. */
#include "sim/tape/internal.h"

#include <string.h>

static bool is_before(const span_row *a, const span_row *b)
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

static void sort_rows(span_row *rows, span_row *scratch, uint64_t count)
{
    if (count < 2 || run_end(rows, 0, count) == count) {
        return;
    }
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

bool lanes_sort(lane_order *out, const vs_tape *tape, vs_arena *arena, vs_err *err)
{
    const uint64_t count = tape_span_count(tape);
    span_row *rows = VS_ARRAY(arena, span_row, count);
    span_row *scratch = VS_ARRAY(arena, span_row, count);
    /* first[lane + 1] counts the lane's rows, then says where the lane begins, and after the rows
     * were dealt out, where the next one does. */
    uint64_t *first = VS_ARRAY(arena, uint64_t, (size_t)tape->lane_count + 2);
    if (rows == NULL || scratch == NULL || first == NULL) {
        return vs_fail_memory(err, arena, "the lanes of a timeline");
    }
    for (const span_chunk *chunk = tape->first_spans; chunk != NULL; chunk = chunk->next) {
        const uint64_t n = rows_in_chunk(tape, chunk);
        for (uint64_t i = 0; i < n; i++) {
            first[chunk->rows[i].lane + 2]++;
        }
    }
    for (uint32_t lane = 0; lane < tape->lane_count; lane++) {
        first[lane + 2] += first[lane + 1];
    }
    for (const span_chunk *chunk = tape->first_spans; chunk != NULL; chunk = chunk->next) {
        const uint64_t n = rows_in_chunk(tape, chunk);
        for (uint64_t i = 0; i < n; i++) {
            const span_row *row = &chunk->rows[i];
            rows[first[row->lane + 1]++] = *row;
        }
    }
    for (uint32_t lane = 0; lane < tape->lane_count; lane++) {
        sort_rows(rows + first[lane], scratch, first[lane + 1] - first[lane]);
    }
    *out = (lane_order){.rows = rows, .count = count, .first = first};
    return true;
}
