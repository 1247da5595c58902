/* pool/bits.h - position of the lowest and the highest set bit; the argument is never 0. */
#ifndef VS_POOL_BITS_H
#define VS_POOL_BITS_H

#include <stdint.h>

static inline uint32_t vsp_low_bit(uint64_t bits)
{
#if defined(__GNUC__)
    return (uint32_t)__builtin_ctzll(bits);
#else
    uint32_t at = 0;
    while ((bits & 1u) == 0) {
        bits >>= 1;
        at++;
    }
    return at;
#endif
}

static inline uint32_t vsp_high_bit(uint64_t bits)
{
#if defined(__GNUC__)
    return 63u - (uint32_t)__builtin_clzll(bits);
#else
    uint32_t at = 0;
    while ((bits >>= 1) != 0) {
        at++;
    }
    return at;
#endif
}

#endif /* VS_POOL_BITS_H */
