/* sort.c - stable bottom-up merge sort of 192-bit keys.
 *
 * Runs of INSERTION keys are sorted in place, then merged back and forth between the array and a
 * scratch copy. Sorted input is seen in one pass, which is the usual case for file offsets. */
#include <string.h>

#include "sim/model/internal.h"

#define INSERTION 12u

static bool is_after(const vs_sort_key *a, const vs_sort_key *b, const char *const *names)
{
    for (int w = 0; w < 3; w++) {
        if (a->word[w] != b->word[w]) {
            return a->word[w] > b->word[w];
        }
    }
    return names != NULL && vs_key_compare(names[a->index], names[b->index]) > 0;
}

static bool is_sorted(const vs_sort_key *keys, uint32_t count, const char *const *names)
{
    for (uint32_t i = 1; i < count; i++) {
        if (is_after(&keys[i - 1], &keys[i], names)) {
            return false;
        }
    }
    return true;
}

static void sort_run(vs_sort_key *keys, uint32_t count, const char *const *names)
{
    for (uint32_t i = 1; i < count; i++) {
        const vs_sort_key moved = keys[i];
        uint32_t at = i;
        while (at > 0 && is_after(&keys[at - 1], &moved, names)) {
            keys[at] = keys[at - 1];
            at--;
        }
        keys[at] = moved;
    }
}

/* from[low, mid) and from[mid, high) are sorted; merges them into to[low, high). */
static void merge(const vs_sort_key *from, vs_sort_key *to, const uint32_t bounds[3],
                  const char *const *names)
{
    uint32_t left = bounds[0];
    uint32_t right = bounds[1];
    for (uint32_t i = bounds[0]; i < bounds[2]; i++) {
        const bool take_right =
            left == bounds[1] ||
            (right < bounds[2] && is_after(&from[left], &from[right], names));
        to[i] = take_right ? from[right++] : from[left++];
    }
}

bool vs_sort_keys(vs_sort_key *keys, uint32_t count, const char *const *names, vs_arena *arena)
{
    if (is_sorted(keys, count, names)) {
        return true;
    }
    for (uint32_t low = 0; low < count; low += INSERTION) {
        sort_run(keys + low, count - low < INSERTION ? count - low : INSERTION, names);
    }
    if (count <= INSERTION) {
        return true;
    }
    const size_t mark = arena->used_bytes;
    vs_sort_key *to = VS_ARRAY(arena, vs_sort_key, count);
    if (to == NULL) {
        return false;
    }
    vs_sort_key *from = keys;
    for (uint64_t width = INSERTION; width < count; width *= 2) {
        for (uint64_t low = 0; low < count; low += 2 * width) {
            const uint64_t mid = low + width < count ? low + width : count;
            const uint64_t high = low + 2 * width < count ? low + 2 * width : count;
            const uint32_t bounds[3] = {(uint32_t)low, (uint32_t)mid, (uint32_t)high};
            merge(from, to, bounds, names);
        }
        vs_sort_key *const swap = from;
        from = to;
        to = swap;
    }
    if (from != keys) {
        memcpy(keys, from, (size_t)count * sizeof *keys);
    }
    vs_arena_rewind(arena, mark);
    return true;
}
