/* traces/read/order.h - the order of rows that a file does not keep in order. */
#ifndef VS_TRACES_ORDER_H
#define VS_TRACES_ORDER_H

#include "vramscope/base.h"

/* Indices 0 .. count - 1 by increasing key, equal keys in their old order (a merge sort: O(n log n), no recursion). NULL:
 * scratch is exhausted. When the keys are in order already this is one pass. */
VS_MUST_CHECK uint32_t *order_by_key(const uint64_t *keys, uint32_t count, vs_arena *scratch);

#endif /* VS_TRACES_ORDER_H */
