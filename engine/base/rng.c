#include "engine/base/rng.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/sha256.h"

#define MT_N 624
#define MT_M 397

static void mt_init_genrand(struct mt19937 *mt, uint32_t seed)
{
    mt->state[0] = seed;
    for (uint32_t i = 1; i < MT_N; i++)
        mt->state[i] = 1812433253u * (mt->state[i - 1] ^ (mt->state[i - 1] >> 30)) + i;
    mt->index = MT_N;
}

void mt19937_seed(struct mt19937 *mt, uint64_t seed)
{
    const uint32_t key[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)};
    const uint32_t key_length = key[1] ? 2 : 1;
    uint32_t *s = mt->state;
    mt_init_genrand(mt, 19650218u);
    uint32_t i = 1, j = 0;
    for (int k = MT_N; k; k--) {
        s[i] = (s[i] ^ ((s[i - 1] ^ (s[i - 1] >> 30)) * 1664525u)) + key[j] + j;
        if (++i >= MT_N) s[0] = s[MT_N - 1], i = 1;
        if (++j >= key_length) j = 0;
    }
    for (int k = MT_N - 1; k; k--) {
        s[i] = (s[i] ^ ((s[i - 1] ^ (s[i - 1] >> 30)) * 1566083941u)) - i;
        if (++i >= MT_N) s[0] = s[MT_N - 1], i = 1;
    }
    s[0] = 0x80000000u;
}

static void mt_refill(struct mt19937 *mt)
{
    uint32_t *s = mt->state;
    for (int i = 0; i < MT_N; i++) {
        uint32_t y = (s[i] & 0x80000000u) | (s[(i + 1) % MT_N] & 0x7fffffffu);
        s[i] = s[(i + MT_M) % MT_N] ^ (y >> 1) ^ ((y & 1) ? 0x9908b0dfu : 0);
    }
    mt->index = 0;
}

uint32_t mt19937_next(struct mt19937 *mt)
{
    if (mt->index >= MT_N) mt_refill(mt);
    uint32_t y = mt->state[mt->index++];
    y ^= y >> 11;
    y ^= (y << 7) & 0x9d2c5680u;
    y ^= (y << 15) & 0xefc60000u;
    return y ^ (y >> 18);
}

double mt19937_random(struct mt19937 *mt)
{
    uint32_t a = mt19937_next(mt) >> 5, b = mt19937_next(mt) >> 6;
    return (a * 67108864.0 + b) / 9007199254740992.0;
}

uint32_t mt19937_below(struct mt19937 *mt, uint32_t n)
{
    int bits = 0;
    while (bits < 32 && (n >> bits) != 0) bits++;
    uint32_t r;
    do r = mt19937_next(mt) >> (32 - bits);
    while (r >= n);
    return r;
}

/* CPython keeps a list for small populations and a set of what was drawn for large ones; the two
 * consume different draws, so the choice between them is part of the protocol (random.py). */
static bool sample_uses_pool(uint32_t n, uint32_t k)
{
    double set_size = 21;
    if (k > 5) set_size += pow(4, ceil(log(k * 3.0) / log(4.0)));
    return n <= set_size;
}

static bool was_drawn(const uint32_t *drawn, uint32_t count, uint32_t value)
{
    for (uint32_t i = 0; i < count; i++)
        if (drawn[i] == value) return true;
    return false;
}

status_code mt19937_sample(struct mt19937 *mt, uint32_t n, uint32_t k, uint32_t *out,
                           struct status *st)
{
    if (k > n)
        return status_set(st, STATUS_USAGE, "cannot draw %" PRIu32 " examples from %" PRIu32, k, n);
    if (!sample_uses_pool(n, k)) {
        for (uint32_t i = 0; i < k; i++) {
            do out[i] = mt19937_below(mt, n);
            while (was_drawn(out, i, out[i]));
        }
        return STATUS_OK;
    }
    uint32_t *pool = malloc(n ? n * sizeof *pool : 1);
    if (!pool) return status_no_memory(st, "a sample");
    for (uint32_t i = 0; i < n; i++) pool[i] = i;
    for (uint32_t i = 0; i < k; i++) {
        uint32_t j = mt19937_below(mt, n - i);
        out[i] = pool[j];
        pool[j] = pool[n - i - 1];
    }
    free(pool);
    return STATUS_OK;
}

void mt19937_choices(struct mt19937 *mt, uint32_t n, uint32_t k, uint32_t *out)
{
    for (uint32_t i = 0; i < k; i++) out[i] = (uint32_t)(mt19937_random(mt) * n);
}

void mt19937_shuffle(struct mt19937 *mt, uint32_t *values, uint32_t n)
{
    for (uint32_t i = n; i-- > 1;) {
        uint32_t j = mt19937_below(mt, i + 1), t = values[i];
        values[i] = values[j];
        values[j] = t;
    }
}

static uint64_t splitmix64(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

void rng_seed(struct rng *rng, uint64_t seed)
{
    for (int i = 0; i < 4; i++) rng->state[i] = splitmix64(&seed);
}

static uint64_t rotate_left(uint64_t x, int k)
{
    return (x << k) | (x >> (64 - k));
}

uint64_t rng_next(struct rng *rng)
{
    uint64_t *s = rng->state;
    uint64_t result = rotate_left(s[1] * 5, 7) * 9, t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate_left(s[3], 45);
    return result;
}

double rng_uniform(struct rng *rng)
{
    return (double)(rng_next(rng) >> 11) * 0x1p-53;
}

void rng_shuffle(struct rng *rng, uint32_t *values, size_t n)
{
    for (size_t i = n; i > 1; i--) {
        size_t k = (size_t)(rng_uniform(rng) * (double)i);
        uint32_t kept = values[i - 1];
        values[i - 1] = values[k];
        values[k] = kept;
    }
}

uint64_t rng_derive_seed(uint64_t run_seed, const char *task, int64_t document, int repeat)
{
    char name[512], hex[SHA256_HEX_SIZE];
    int n = snprintf(name, sizeof name, "%" PRIu64 "/%s/%" PRId64 "/%d", run_seed, task, document,
                     repeat);
    BUG_IF(n < 0 || (size_t)n >= sizeof name);
    sha256_text((struct text){name, (size_t)n}, hex);
    hex[16] = '\0';
    return strtoull(hex, NULL, 16);
}
