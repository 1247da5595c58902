/* traces/read/order.c - see order.h. */
#include "traces/read/order.h"

/* Merges from[first, middle) and from[middle, end) into to[first, end). */
static void merge(const uint64_t *keys, const uint32_t *from, uint32_t *to,
                  const size_t bounds[3])
{
    size_t left = bounds[0];
    size_t right = bounds[1];
    for (size_t i = bounds[0]; i < bounds[2]; i++) {
        const bool is_left =
            left < bounds[1] && (right >= bounds[2] || keys[from[left]] <= keys[from[right]]);
        to[i] = is_left ? from[left++] : from[right++];
    }
}

static bool is_in_order(const uint64_t *keys, uint32_t count)
{
    for (uint32_t i = 1; i < count; i++) {
        if (keys[i] < keys[i - 1]) {
            return false;
        }
    }
    return true;
}

uint32_t *order_by_key(const uint64_t *keys, uint32_t count, vs_arena *scratch)
{
    uint32_t *order = VS_RAW_ARRAY(scratch, uint32_t, count);
    if (order == NULL) {
        return NULL;
    }
    for (uint32_t i = 0; i < count; i++) {
        order[i] = i;
    }
    if (is_in_order(keys, count)) {
        return order;
    }
    uint32_t *spare = VS_RAW_ARRAY(scratch, uint32_t, count);
    if (spare == NULL) {
        return NULL;
    }
    for (size_t width = 1; width < count; width *= 2) {
        for (size_t first = 0; first < count; first += 2 * width) {
            const size_t middle = first + width < count ? first + width : count;
            const size_t end = first + 2 * width < count ? first + 2 * width : count;
            merge(keys, order, spare, (const size_t[]){first, middle, end});
        }
        uint32_t *const sorted = spare;
        spare = order;
        order = sorted;
    }
    return order;
}
