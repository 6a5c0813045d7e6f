/* Products with packed BF16 weights for x86-64 with AVX-512 BF16.
 *
 * A tile is a panel's 32 rows by up to 12 tokens: 24 registers of sums, two of weights, one of
 * activations.  128 columns of weights (8 KB) stay in the first-level cache while all tokens go by;
 * the sums wait in memory meanwhile, which rounds nothing. */
#include "engine/kernels/kernels_avx512.h"

#if defined(__x86_64__)

#include <immintrin.h>
#include <string.h>

#include "engine/kernels/unroll.h"

#define TILE_TOKENS   12
#define GROUP_COLUMNS ((size_t)128)
#define PAIR_BYTES    (4 * PACKED_ROWS)

/* Groups of 128 columns, in each all tokens; what is behind the last column is zero. */
void avx512_prepare_bf16(void *prepared, const float *x, size_t T, size_t K, size_t first, size_t n)
{
    for (size_t t = first; t < first + n; t++)
        for (size_t k = 0; k < K; k += GROUP_COLUMNS) {
            unsigned char *out = (unsigned char *)prepared + 2 * (k * T + t * GROUP_COLUMNS);
            for (size_t i = 0; i < GROUP_COLUMNS; i += 32) {
                size_t left = K - k > i ? K - k - i : 0;
                __mmask32 mask = left >= 32 ? 0xffffffff : (__mmask32)((1u << left) - 1);
                const float *src = x + t * K + k + i;
                __m512 a = _mm512_maskz_loadu_ps((__mmask16)mask, left ? src : x);
                __m512 b = _mm512_maskz_loadu_ps((__mmask16)(mask >> 16), left > 16 ? src + 16 : x);
                __m512bh both = _mm512_cvtne2ps_pbh(b, a);
                memcpy(out + 2 * i, &both, sizeof both);
            }
        }
}

static inline __attribute__((always_inline)) __m512bh load_pairs(const unsigned char *p)
{
    __m512bh pairs;
    memcpy(&pairs, p, sizeof pairs);
    return pairs;
}

static inline __attribute__((always_inline)) __m512bh broadcast_pair(const unsigned char *p)
{
    int32_t pair;
    memcpy(&pair, p, 4);
    return (__m512bh)_mm512_set1_epi32(pair);
}

/* One group of one panel: n steps of weights, then what a thread reads next. */
struct group {
    const unsigned char *w, *x, *next;
    size_t n;
};

/* One step of a tile. */
static inline __attribute__((always_inline)) void run_step(__m512 sum[][2], const unsigned char *w,
                                                           const unsigned char *x, const int tokens)
{
    __m512bh left = load_pairs(w), right = load_pairs(w + 64);
    UNROLL(12)
    for (int t = 0; t < tokens; t++) {
        __m512bh pair = broadcast_pair(x + (size_t)t * 2 * GROUP_COLUMNS);
        sum[t][0] = _mm512_dpbf16_ps(sum[t][0], left, pair);
        sum[t][1] = _mm512_dpbf16_ps(sum[t][1], right, pair);
    }
}

/* sums (tokens, 32) += the group's products, while lines first_line..end_line-1 of `next` are
 * fetched, `per_step` at a step.  `tokens` and `per_step` are constants at every call and the loops
 * unroll into registers. */
static inline __attribute__((always_inline)) void run_tile(float *sums, const struct group *g,
                                                           const unsigned char *x,
                                                           const unsigned char *next, size_t lines,
                                                           const int tokens, const int per_step)
{
    __m512 sum[TILE_TOKENS][2];
    UNROLL(12)
    for (int t = 0; t < tokens; t++) {
        sum[t][0] = _mm512_load_ps(sums + (size_t)t * PACKED_ROWS);
        sum[t][1] = _mm512_load_ps(sums + (size_t)t * PACKED_ROWS + 16);
    }
    const unsigned char *w = g->w, *end = w + g->n * PAIR_BYTES;
    const unsigned char *x_ahead = x + (size_t)tokens * 2 * GROUP_COLUMNS;
    for (; lines && w < end; lines--, w += PAIR_BYTES, x += 4, next += 64 * per_step) {
        _mm_prefetch((const char *)x_ahead, _MM_HINT_T0);
        x_ahead += 64;
        if (per_step == 1) _mm_prefetch((const char *)next, _MM_HINT_T1);
        for (int line = 0; per_step > 1 && line < per_step; line++)
            _mm_prefetch((const char *)next + 64 * line, _MM_HINT_T1);
        run_step(sum, w, x, tokens);
    }
#pragma GCC unroll 2
    for (; w < end; w += PAIR_BYTES, x += 4, x_ahead += 64) {
        _mm_prefetch((const char *)x_ahead, _MM_HINT_T0);
        run_step(sum, w, x, tokens);
    }
    UNROLL(12)
    for (int t = 0; t < tokens; t++) {
        _mm512_store_ps(sums + (size_t)t * PACKED_ROWS, sum[t][0]);
        _mm512_store_ps(sums + (size_t)t * PACKED_ROWS + 16, sum[t][1]);
    }
}

#define TILE(n, per_step)                                                                          \
    case n:                                                                                        \
        run_tile(sums, g, x, next, lines, n, per_step);                                            \
        break

static void run_tokens(float *sums, const struct group *g, const unsigned char *x,
                       const unsigned char *next, size_t lines, size_t tokens)
{
    switch (tokens) {
        TILE(6, 1);
        TILE(7, 1);
        TILE(8, 1);
        TILE(9, 1);
        TILE(10, 1);
        TILE(11, 1);
        TILE(12, 1);
    }
}

/* Of a single tile, for which the weights come from memory: what is asked for lies ahead; more than
 * this, and requests queue. */
#define FEW_AHEAD_BYTES 2048

static void run_few_tokens(float *sums, const struct group *g, size_t tokens)
{
    const unsigned char *x = g->x, *next = g->w + FEW_AHEAD_BYTES;
    size_t lines = g->n;
    switch (tokens) {
        TILE(1, 2);
        TILE(2, 2);
        TILE(3, 2);
        TILE(4, 2);
        TILE(5, 2);
        TILE(6, 2);
        TILE(7, 2);
        TILE(8, 2);
        TILE(9, 2);
        TILE(10, 2);
        TILE(11, 2);
        TILE(12, 2);
    }
}

/* In tiles of about equal width, each of which fetches its part of what comes next. */
static void run_group(float *sums, const struct group *g, size_t T)
{
    size_t n_tiles = (T + TILE_TOKENS - 1) / TILE_TOKENS, first = 0;
    if (n_tiles == 1) {
        run_few_tokens(sums, g, T);
        return;
    }
    size_t lines = (2 * g->n + n_tiles - 1) / n_tiles;
    for (size_t tile = 0; tile < n_tiles; tile++) {
        size_t end = T * (tile + 1) / n_tiles;
        run_tokens(sums + first * PACKED_ROWS, g, g->x + first * 2 * GROUP_COLUMNS,
                   g->next + tile * lines * 64, lines, end - first);
        first = end;
    }
}

/* Panels that are multiplied side by side: they share what is read of the activations, which are
 * more than the second-level cache holds. */
#define SIDE_BY_SIDE 4

static void multiply_panels(const struct packed_product *p, size_t first, size_t n, float *sums)
{
    const struct packed_matrix *w = p->w;
    const unsigned char *data = w->data + first * w->panel_bytes;
    size_t panel_sums = p->T * PACKED_ROWS;
    memset(sums, 0, n * panel_sums * sizeof *sums);
    for (size_t k = 0; k < w->cols; k += GROUP_COLUMNS) {
        size_t left = w->cols - k < GROUP_COLUMNS ? w->cols - k : GROUP_COLUMNS;
        struct group g = {.n = (left + 1) / 2};
        for (size_t i = 0; i < n; i++) {
            g.x = (const unsigned char *)p->x + 2 * k * p->T;
            g.w = data + i * w->panel_bytes + k / 2 * PAIR_BYTES;
            g.next = i + 1 < n ? g.w + w->panel_bytes : data + (k / 2 + g.n) * PAIR_BYTES;
            run_group(sums + i * panel_sums, &g, p->T);
        }
    }
    avx512_write_panels(p, first, n, sums);
}

double avx512_peak_bf16(size_t rounds)
{
    __m512 sum[AVX512_PEAK_CHAINS];
    const __m512bh w = (__m512bh)_mm512_set1_epi16((short)rounds), x = w;
    UNROLL(16)
    for (int i = 0; i < AVX512_PEAK_CHAINS; i++) sum[i] = _mm512_set1_ps((float)i);
    for (size_t round = 0; round < rounds; round++) {
        UNROLL(16)
        for (int i = 0; i < AVX512_PEAK_CHAINS; i++) sum[i] = _mm512_dpbf16_ps(sum[i], w, x);
    }
    for (int i = 1; i < AVX512_PEAK_CHAINS; i++) sum[0] = _mm512_add_ps(sum[0], sum[i]);
    return (double)_mm512_reduce_add_ps(sum[0]);
}

void avx512_multiply_bf16(const struct packed_product *p, size_t first, size_t n, void *scratch)
{
    size_t step = p->T > TILE_TOKENS ? SIDE_BY_SIDE : 1;
    for (size_t done = 0; done < n; done += step)
        multiply_panels(p, first + done, n - done < step ? n - done : step, scratch);
}

#endif
