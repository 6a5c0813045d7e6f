/* rng.h - two sources of random numbers, both owned by their caller.
 *
 * `mt19937` is CPython's random.Random: protocols that draw few-shot examples with it are
 * reproduced bit for bit.  `rng` is for our own sampling; its seed is derived from what is sampled
 * (run seed, task, document, repeat), so that order, threads and resuming cannot change a draw.
 */
#ifndef ASSAY_BASE_RNG_H
#define ASSAY_BASE_RNG_H

#include <stddef.h>
#include <stdint.h>

#include "engine/base/status.h"

struct mt19937 {
    uint32_t state[624];
    int index;
};

/* random.Random(seed) for 0 <= seed < 2**64 (Matsumoto and Nishimura's init_by_array). */
void mt19937_seed(struct mt19937 *mt, uint64_t seed);

uint32_t mt19937_next(struct mt19937 *mt);              /* getrandbits(32) */
double mt19937_random(struct mt19937 *mt);              /* random(), in [0, 1) */
uint32_t mt19937_below(struct mt19937 *mt, uint32_t n); /* _randbelow(n), n > 0 */

/* sample(range(n), k) into out[k].  Fails with STATUS_USAGE when k > n. */
status_code mt19937_sample(struct mt19937 *mt, uint32_t n, uint32_t k, uint32_t *out,
                           struct status *st) MUST_CHECK;
void mt19937_choices(struct mt19937 *mt, uint32_t n, uint32_t k, uint32_t *out);
void mt19937_shuffle(struct mt19937 *mt, uint32_t *values, uint32_t n);

/* xoshiro256** (Blackman and Vigna, 2018), seeded through splitmix64. */
struct rng {
    uint64_t state[4];
};

void rng_seed(struct rng *rng, uint64_t seed);
uint64_t rng_next(struct rng *rng);
double rng_uniform(struct rng *rng); /* in [0, 1), 53 bits */
void rng_shuffle(struct rng *rng, uint32_t *values, size_t n);

/* The seed of one draw: the first 8 bytes of SHA-256 over "seed/task/document/repeat". */
uint64_t rng_derive_seed(uint64_t run_seed, const char *task, int64_t document, int repeat);

#endif
