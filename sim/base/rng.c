/* sim/base/rng.c - xoshiro256** 1.0 seeded by splitmix64.
 *
 * Source of both recurrences: David Blackman and Sebastiano Vigna, "Scrambled linear
 * pseudorandom number generators" (2018), reference code in the public domain,
 * prng.di.unimi.it/xoshiro256starstar.c and splitmix64.c. */
#include "vramscope/base.h"

static uint64_t rotate_left(uint64_t x, unsigned bits)
{
    return (x << bits) | (x >> (64 - bits));
}

static uint64_t splitmix_next(uint64_t *state)
{
    *state += UINT64_C(0x9e3779b97f4a7c15);
    uint64_t z = *state;
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

void vs_rng_seed(vs_rng *rng, uint64_t seed)
{
    for (size_t i = 0; i < 4; i++) {
        rng->s[i] = splitmix_next(&seed);
    }
}

uint64_t vs_rng_next(vs_rng *rng)
{
    uint64_t *s = rng->s;
    const uint64_t result = rotate_left(s[1] * 5, 7) * 9;
    const uint64_t t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate_left(s[3], 45);
    return result;
}

/* Numbers below 2^64 mod bound are drawn again: what is left is a whole number of
 * rounds of bound values, so every remainder is equally likely. */
uint64_t vs_rng_below(vs_rng *rng, uint64_t bound)
{
    vs_assert(bound > 0);
    const uint64_t threshold = (UINT64_MAX - bound + 1) % bound;
    uint64_t drawn = vs_rng_next(rng);
    while (drawn < threshold) {
        drawn = vs_rng_next(rng);
    }
    return drawn % bound;
}
