/* Products with packed weights for x86-64 with AVX2, FMA and F16C. */
#include "engine/kernels/kernels_avx2.h"

#if defined(__x86_64__)

#include <immintrin.h>

#include "engine/kernels/unroll.h"

static inline void floats_of_halves(float *dst, const uint16_t *src)
{
    for (size_t i = 0; i < PACKED_ROWS; i += 8)
        _mm256_storeu_ps(dst + i, _mm256_cvtph_ps(_mm_loadu_si128((const void *)(src + i))));
}

#include "engine/kernels/panels.h"

#define INLINE static inline __attribute__((always_inline))

INLINE __m256i load_weights(const uint8_t *w)
{
    return _mm256_load_si256((const void *)w);
}

/* Of one token: 4 numbers in each lane. */
INLINE __m256i broadcast_four(const void *q)
{
    int32_t four;
    memcpy(&four, q, 4);
    return _mm256_set1_epi32(four);
}

/* ---- BF16 ----
 *
 * A tile is 16 rows by 3 to 5 tokens, or 32 by 1 or 2: up to 10 registers of sums.  Products of two
 * such numbers are exact in f32, so that fused multiply-adds in the order of columns give what the
 * portable twin does. */

#define BF16_TOKENS 5

/* One column of a tile, its weights in the upper halves of lanes. */
INLINE void add_column(__m256 sum[][4], const __m256i *w, const float *x, const int tokens,
                       const int vectors)
{
    UNROLL(5)
    for (int t = 0; t < tokens; t++) {
        __m256 value = _mm256_broadcast_ss(x + (size_t)t * BF16_COLUMNS);
        UNROLL(4)
        for (int v = 0; v < vectors; v++)
            sum[t][v] = _mm256_fmadd_ps(_mm256_castsi256_ps(w[v]), value, sum[t][v]);
    }
}

/* `tokens` and `vectors` (of 8 rows) are constants at every call and the loops unroll into
 * registers. */
INLINE void bf16_tile(float *sums, const uint8_t *w, const float *x, size_t pairs, const int tokens,
                      const int vectors)
{
    const __m256i second = _mm256_set1_epi32((int)0xffff0000);
    __m256 sum[BF16_TOKENS][4];
    UNROLL(5)
    for (int t = 0; t < tokens; t++) {
        UNROLL(4)
        for (int v = 0; v < vectors; v++)
            sum[t][v] = _mm256_load_ps(sums + (size_t)t * PACKED_ROWS + 8 * v);
    }
    for (size_t pair = 0; pair < pairs; pair++, w += FOUR_BYTES, x += 2) {
        __m256i column[4];
        UNROLL(4)
        for (int v = 0; v < vectors; v++)
            column[v] = _mm256_slli_epi32(load_weights(w + 32 * v), 16);
        add_column(sum, column, x, tokens, vectors);
        UNROLL(4)
        for (int v = 0; v < vectors; v++)
            column[v] = _mm256_and_si256(load_weights(w + 32 * v), second);
        add_column(sum, column, x + 1, tokens, vectors);
    }
    UNROLL(5)
    for (int t = 0; t < tokens; t++) {
        UNROLL(4)
        for (int v = 0; v < vectors; v++)
            _mm256_store_ps(sums + (size_t)t * PACKED_ROWS + 8 * v, sum[t][v]);
    }
}

#define WHOLE(n)                                                                                   \
    case n:                                                                                        \
        bf16_tile(sums, w, x, pairs, n, 4);                                                        \
        break
#define HALVES(n)                                                                                  \
    case n:                                                                                        \
        for (int half = 0; half < 2; half++)                                                       \
            bf16_tile(sums + 16 * half, w + 64 * half, x, pairs, n, 2);                            \
        break

static void run_bf16(float *sums, const uint8_t *w, const float *x, size_t pairs, size_t tokens)
{
    switch (tokens) {
        WHOLE(1);
        WHOLE(2);
        HALVES(3);
        HALVES(4);
        HALVES(5);
    }
}

#undef WHOLE
#undef HALVES

/* ---- int8 ----
 *
 * A tile is 16 rows by 2 to 4 tokens, or 32 by 1: up to 8 registers of integers, which wait for
 * their scales in memory.  vpmaddubsw adds two products of unsigned and signed bytes in 16 bits and
 * saturates there.  So numbers below 16 are summed in 16 bits over 32 columns (8 * 2 * 15 * 127
 * fits), those below 64 over 8 columns, and those below 256 are multiplied as 16-bit numbers,
 * columns 0 and 2 of a four in one instruction, 1 and 3 in another. */

#define INT8_TOKENS 4

/* What a tile has of its tokens and makes of them. */
struct tile {
    int32_t even[INT8_TOKENS][GROUP_FOURS]; /* per four: columns 0 and 2 as 16-bit numbers */
    int32_t odd[INT8_TOKENS][GROUP_FOURS];
    int32_t dot[16][INT8_TOKENS][PACKED_ROWS]; /* per sub-block: integer sums */
};

INLINE void widen(struct tile *out, const struct int8_input *x, const int tokens)
{
    for (int t = 0; t < tokens; t++)
        for (size_t i = 0; i < GROUP_FOURS; i += 8) {
            __m256i q = _mm256_load_si256((const void *)(x[t].q + 4 * i));
            _mm256_store_si256((void *)&out->even[t][i],
                               _mm256_srai_epi16(_mm256_slli_epi16(q, 8), 8));
            _mm256_store_si256((void *)&out->odd[t][i], _mm256_srai_epi16(q, 8));
        }
}

/* Integers that loops add up in, of a type of their own: compilers keep those in registers. */
typedef int32_t sums_32 __attribute__((vector_size(32)));
typedef int16_t sums_16 __attribute__((vector_size(32)));

INLINE sums_32 multiply_16(__m256i a, __m256i b)
{
    return (sums_32)_mm256_madd_epi16(a, b);
}

/* dot += a four's products, of bytes */
INLINE void dot_wide(sums_32 dot[][4], const uint8_t *w, const struct tile *x, size_t four,
                     const int tokens, const int vectors)
{
    const __m256i low = _mm256_set1_epi16(255);
    __m256i even[4], odd[4];
    UNROLL(4)
    for (int v = 0; v < vectors; v++) {
        __m256i bytes = load_weights(w + 32 * v);
        even[v] = _mm256_and_si256(bytes, low);
        odd[v] = _mm256_srli_epi16(bytes, 8);
    }
    UNROLL(4)
    for (int t = 0; t < tokens; t++) {
        __m256i x_even = _mm256_set1_epi32(x->even[t][four]);
        __m256i x_odd = _mm256_set1_epi32(x->odd[t][four]);
        UNROLL(4)
        for (int v = 0; v < vectors; v++) {
            dot[t][v] += multiply_16(even[v], x_even);
            dot[t][v] += multiply_16(odd[v], x_odd);
        }
    }
}

/* sum += a four's products, whose sums fit into 16 bits */
INLINE void add_narrow(sums_16 sum[][4], const uint8_t *w, const int8_t *q, const int tokens,
                       const int vectors)
{
    __m256i weights[4];
    UNROLL(4)
    for (int v = 0; v < vectors; v++) weights[v] = load_weights(w + 32 * v);
    UNROLL(4)
    for (int t = 0; t < tokens; t++) {
        __m256i x = broadcast_four(q + (size_t)t * sizeof(struct int8_input));
        UNROLL(4)
        for (int v = 0; v < vectors; v++) sum[t][v] += (sums_16)_mm256_maddubs_epi16(weights[v], x);
    }
}

/* dot += the products of `fours` fours, of which all fit into 16 bits */
INLINE void dot_narrow(sums_32 dot[][4], const uint8_t *w, const int8_t *q, const int fours,
                       const int tokens, const int vectors)
{
    sums_16 sum[INT8_TOKENS][4];
    UNROLL(4)
    for (int t = 0; t < tokens; t++) {
        UNROLL(4)
        for (int v = 0; v < vectors; v++) sum[t][v] = (sums_16)_mm256_setzero_si256();
    }
    UNROLL(1)
    for (int four = 0; four < fours; four++, w += FOUR_BYTES, q += 4)
        add_narrow(sum, w, q, tokens, vectors);
    UNROLL(4)
    for (int t = 0; t < tokens; t++) {
        UNROLL(4)
        for (int v = 0; v < vectors; v++)
            dot[t][v] += multiply_16((__m256i)sum[t][v], _mm256_set1_epi16(1));
    }
}

/* A sub-block's integer sums. */
INLINE void dot_sub_block(struct tile *tile, const uint8_t *w, const struct int8_input *x,
                          size_t sub, const int tokens, const int vectors,
                          const enum packed_form form)
{
    const int fours = form == PACKED_Q6_K ? 4 : 8, narrow = form == PACKED_Q6_K ? 2 : 8;
    size_t first = sub * (size_t)fours;
    sums_32 dot[INT8_TOKENS][4];
    UNROLL(4)
    for (int t = 0; t < tokens; t++) {
        UNROLL(4)
        for (int v = 0; v < vectors; v++) dot[t][v] = (sums_32)_mm256_set1_epi32(x[t].start[sub]);
    }
    if (form == PACKED_Q8_0) {
        UNROLL(1)
        for (size_t four = 0; four < 8; four++)
            dot_wide(dot, w + four * FOUR_BYTES, tile, first + four, tokens, vectors);
    } else {
        UNROLL(2)
        for (int four = 0; four < fours; four += narrow)
            dot_narrow(dot, w + (size_t)four * FOUR_BYTES, x->q + 4 * (first + (size_t)four),
                       narrow, tokens, vectors);
    }
    UNROLL(4)
    for (int t = 0; t < tokens; t++) {
        UNROLL(4)
        for (int v = 0; v < vectors; v++)
            memcpy(tile->dot[sub][t] + 8 * v, &dot[t][v], sizeof dot[t][v]);
    }
}

/* sum - min scale * (integer sum over sub-blocks of min * sum of q) */
INLINE __m256 subtract_mins(__m256 sum, const struct int8_group *g, size_t row, const int16_t *sums)
{
    __m256i dot = _mm256_setzero_si256();
    UNROLL(4)
    for (int pair = 0; pair < 4; pair++) {
        __m256i mins = _mm256_load_si256((const void *)g->min[pair][row]);
        dot = _mm256_add_epi32(dot, _mm256_madd_epi16(mins, broadcast_four(sums + 2 * pair)));
    }
    return _mm256_fnmadd_ps(_mm256_load_ps(g->min_scale + row), _mm256_cvtepi32_ps(dot), sum);
}

/* sums (tokens, 32) += the products of the tile's integers with scales, for 8 rows. */
INLINE void scale_dots(float *sums, const struct int8_group *g, size_t row,
                       const struct int8_input *x, const struct tile *tile, int v, const int tokens,
                       const enum packed_form form)
{
    __m256 sum[INT8_TOKENS];
    UNROLL(4)
    for (int t = 0; t < tokens; t++) sum[t] = _mm256_setzero_ps();
    for (size_t sub = 0; sub < g->n_sub; sub++) {
        __m256 scale = _mm256_load_ps(g->scale[sub] + row);
        UNROLL(4)
        for (int t = 0; t < tokens; t++) {
            const int32_t *dot = tile->dot[sub][t] + 8 * v;
            __m256 value = _mm256_cvtepi32_ps(_mm256_load_si256((const void *)dot));
            sum[t] = _mm256_fmadd_ps(value, scale, sum[t]);
        }
    }
    UNROLL(4)
    for (int t = 0; t < tokens; t++) {
        float *at = sums + (size_t)t * PACKED_ROWS + row;
        if (form == PACKED_Q4_K) sum[t] = subtract_mins(sum[t], g, row, x[t].sums);
        __m256 scale = _mm256_set1_ps(x[t].scale);
        _mm256_store_ps(at, _mm256_fmadd_ps(sum[t], scale, _mm256_load_ps(at)));
    }
}

/* sums (tokens, 32) += the group's products, for the rows from `row` on.  `tokens` and what follows
 * are constants at every call and the loops unroll into registers. */
INLINE void int8_tile(float *sums, const struct int8_group *g, size_t row,
                      const struct int8_input *x, struct tile *tile, const int tokens,
                      const int vectors, const enum packed_form form)
{
    const uint8_t *w = g->numbers + 4 * row;
    for (size_t sub = 0; sub < g->n_sub; sub++, w += g->number_stride)
        dot_sub_block(tile, w, x, sub, tokens, vectors, form);
    for (int v = 0; v < vectors; v++)
        scale_dots(sums, g, row + 8 * (size_t)v, x, tile, v, tokens, form);
}

#define WHOLE(n)                                                                                   \
    case n:                                                                                        \
        if (form == PACKED_Q8_0) widen(&own, x, n);                                                \
        int8_tile(sums, g, 0, x, &own, n, 4, form);                                                \
        break
#define HALVES(n)                                                                                  \
    case n:                                                                                        \
        if (form == PACKED_Q8_0) widen(&own, x, n);                                                \
        for (size_t row = 0; row < PACKED_ROWS; row += 16)                                         \
            int8_tile(sums, g, row, x, &own, n, 2, form);                                          \
        break

/* In tiles of about equal width. */
INLINE void run_int8(float *sums, const struct int8_group *g, const struct int8_input *x, size_t T,
                     const enum packed_form form)
{
    _Alignas(32) struct tile own;
    const size_t widest = form == PACKED_Q6_K ? 3 : INT8_TOKENS; /* sums of two widths */
    size_t n_tiles = (T + widest - 1) / widest;
    for (size_t tile = 0; tile < n_tiles; tile++) {
        size_t tokens = T * (tile + 1) / n_tiles - T * tile / n_tiles;
        switch (tokens) {
            WHOLE(1);
            HALVES(2);
            HALVES(3);
            HALVES(4);
        }
        x += tokens, sums += tokens * PACKED_ROWS;
    }
}

static void run_q8_0(float *sums, const struct int8_group *g, const struct int8_input *x, size_t T)
{
    run_int8(sums, g, x, T, PACKED_Q8_0);
}

static void run_q4_0(float *sums, const struct int8_group *g, const struct int8_input *x, size_t T)
{
    run_int8(sums, g, x, T, PACKED_Q4_0);
}

static void run_q4_k(float *sums, const struct int8_group *g, const struct int8_input *x, size_t T)
{
    run_int8(sums, g, x, T, PACKED_Q4_K);
}

static void run_q6_k(float *sums, const struct int8_group *g, const struct int8_input *x, size_t T)
{
    run_int8(sums, g, x, T, PACKED_Q6_K);
}

/* ---- the set's entries ---- */

double avx2_peak_int8(size_t rounds)
{
    sums_16 sum[AVX2_PEAK_CHAINS];
    const sums_16 w = (sums_16)_mm256_set1_epi16((short)rounds);
    const __m256i x = _mm256_set1_epi8(1);
    UNROLL(12)
    for (int i = 0; i < AVX2_PEAK_CHAINS; i++) sum[i] = (sums_16)_mm256_set1_epi16((short)i);
    for (size_t round = 0; round < rounds; round++) UNROLL(12)
    for (int i = 0; i < AVX2_PEAK_CHAINS; i++)
        sum[i] = w + (sums_16)_mm256_maddubs_epi16((__m256i)sum[i], x);
    UNROLL(12)
    for (int i = 1; i < AVX2_PEAK_CHAINS; i++) sum[0] ^= sum[i];
    return (double)sum[0][0];
}

bool avx2_multiplies(enum packed_form form)
{
    return form != PACKED_NONE;
}

void avx2_prepare(void *prepared, const float *x, size_t T, size_t K, enum packed_form form,
                  size_t first, size_t n)
{
    if (form == PACKED_BF16)
        bf16_prepare(prepared, x, T, K, first, n);
    else
        int8_prepare(prepared, x, T, K, form, first, n);
}

void avx2_multiply(const struct packed_product *p, size_t first, size_t n, void *scratch)
{
    switch (p->w->form) {
    case PACKED_BF16:
        bf16_multiply(p, first, n, scratch, BF16_TOKENS, run_bf16);
        break;
    case PACKED_Q8_0:
        int8_multiply(p, first, n, scratch, run_q8_0);
        break;
    case PACKED_Q4_0:
        int8_multiply(p, first, n, scratch, run_q4_0);
        break;
    case PACKED_Q4_K:
        int8_multiply(p, first, n, scratch, run_q4_k);
        break;
    case PACKED_Q6_K:
        int8_multiply(p, first, n, scratch, run_q6_k);
        break;
    case PACKED_NONE:
        break;
    }
}

#endif
