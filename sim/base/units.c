/* sim/base/units.c - checked arithmetic.
 *
 * The only file that uses the compiler's overflow builtins and 128-bit integers; both
 * gcc and clang have them. A product of two 64-bit numbers always fits 128 bits, so
 * muldiv has no other failure than the final result. */
#include "vramscope/base.h"

#if !defined(__SIZEOF_INT128__)
#    error "vramscope needs a compiler with 128-bit integers (gcc or clang, 64-bit target)"
#endif

__extension__ typedef unsigned __int128 u128;

#define ADD_OVERFLOWS(a, b, out) __builtin_add_overflow((a), (b), (out))
#define SUB_OVERFLOWS(a, b, out) __builtin_sub_overflow((a), (b), (out))
#define MUL_OVERFLOWS(a, b, out) __builtin_mul_overflow((a), (b), (out))

bool vs_add_u64(uint64_t a, uint64_t b, uint64_t *out)
{
    uint64_t sum = 0;
    if (ADD_OVERFLOWS(a, b, &sum)) {
        return false;
    }
    *out = sum;
    return true;
}

bool vs_sub_u64(uint64_t a, uint64_t b, uint64_t *out)
{
    uint64_t difference = 0;
    if (SUB_OVERFLOWS(a, b, &difference)) {
        return false;
    }
    *out = difference;
    return true;
}

bool vs_mul_u64(uint64_t a, uint64_t b, uint64_t *out)
{
    uint64_t product = 0;
    if (MUL_OVERFLOWS(a, b, &product)) {
        return false;
    }
    *out = product;
    return true;
}

bool vs_muldiv_u64(uint64_t a, uint64_t b, uint64_t c, uint64_t *out)
{
    if (c == 0) {
        return false;
    }
    /* Nearly all products fit 64 bits, where division is several times cheaper. */
    uint64_t small = 0;
    if (!MUL_OVERFLOWS(a, b, &small)) {
        *out = small / c;
        return true;
    }
    const u128 quotient = (u128)a * b / c;
    if (quotient > UINT64_MAX) {
        return false;
    }
    *out = (uint64_t)quotient;
    return true;
}

bool vs_muldiv_ceil_u64(uint64_t a, uint64_t b, uint64_t c, uint64_t *out)
{
    if (c == 0) {
        return false;
    }
    uint64_t small = 0;
    if (!MUL_OVERFLOWS(a, b, &small)) {
        *out = small / c + (small % c != 0);
        return true;
    }
    const u128 product = (u128)a * b;
    const u128 quotient = product / c + (product % c != 0);
    if (quotient > UINT64_MAX) {
        return false;
    }
    *out = (uint64_t)quotient;
    return true;
}

bool vs_round_up_u64(uint64_t a, uint64_t step, uint64_t *out)
{
    vs_assert(step > 0);
    const uint64_t over = a % step;
    if (over == 0) {
        *out = a;
        return true;
    }
    return vs_add_u64(a, step - over, out);
}
