/* Products with packed weights for x86-64 with AVX2, FMA and F16C. */
#include "engine/kernels/kernels_avx2.h"

#if defined(__x86_64__)

#include <immintrin.h>

#define LANES 8

#include "engine/kernels/vectors.h"

static inline void floats_of_halves(float *dst, const uint16_t *src)
{
    for (size_t i = 0; i < PACKED_ROWS; i += 8)
        _mm256_storeu_ps(dst + i, _mm256_cvtph_ps(_mm_loadu_si128((const void *)(src + i))));
}

#include "engine/kernels/panels.h"

INLINE vec fused(vec a, vec b, vec c)
{
    return _mm256_fmadd_ps(a, b, c);
}

INLINE whole_vec pair_dots(whole_vec a, whole_vec b)
{
    return (whole_vec)_mm256_madd_epi16((__m256i)a, (__m256i)b);
}

/* vpmaddubsw adds two products of unsigned and signed bytes in 16 bits and saturates there.  So
 * numbers below 16 are summed in 16 bits over 32 columns (8 * 2 * 15 * 127 fits), those below 64
 * over 8 columns, and those below 256 are multiplied as 16-bit numbers, columns 0 and 2 of a four
 * in one instruction, 1 and 3 in another. */

/* For numbers below 64 registers hold sums of both widths at once. */
INLINE size_t int8_tokens(enum packed_form form)
{
    return form == PACKED_Q6_K ? 3 : INT8_TOKENS;
}

/* As 16-bit numbers, two to a four, where the form's weights need that. */
struct tile_input {
    _Alignas(32) int32_t even[INT8_TOKENS][GROUP_FOURS]; /* columns 0 and 2 */
    _Alignas(32) int32_t odd[INT8_TOKENS][GROUP_FOURS];
};

INLINE void read_tile(struct tile_input *out, const struct int8_input *x, const int tokens,
                      const enum packed_form form)
{
    for (int t = 0; t < tokens && form == PACKED_Q8_0; t++)
        for (size_t i = 0; i < GROUP_FOURS; i += 8) {
            __m256i q = _mm256_load_si256((const void *)(x[t].q + 4 * i));
            _mm256_store_si256((void *)&out->even[t][i],
                               _mm256_srai_epi16(_mm256_slli_epi16(q, 8), 8));
            _mm256_store_si256((void *)&out->odd[t][i], _mm256_srai_epi16(q, 8));
        }
}

/* Integers that loops add up in, of a type of their own: gcc keeps those in registers. */
typedef int16_t sums_16 __attribute__((vector_size(32)));

INLINE __m256i load_weights(const uint8_t *w)
{
    return _mm256_load_si256((const void *)w);
}

/* dot += a four's products, of bytes */
INLINE void dot_wide(whole_vec dot[][4], const uint8_t *w, const struct tile_input *x, size_t four,
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
            dot[t][v] += (whole_vec)_mm256_madd_epi16(even[v], x_even);
            dot[t][v] += (whole_vec)_mm256_madd_epi16(odd[v], x_odd);
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
        int32_t four;
        memcpy(&four, q + (size_t)t * sizeof(struct int8_input), sizeof four);
        __m256i x = _mm256_set1_epi32(four);
        UNROLL(4)
        for (int v = 0; v < vectors; v++) sum[t][v] += (sums_16)_mm256_maddubs_epi16(weights[v], x);
    }
}

/* dot += the products of `fours` fours, of which all fit into 16 bits */
INLINE void dot_narrow(whole_vec dot[][4], const uint8_t *w, const int8_t *q, const int fours,
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
            dot[t][v] += pair_dots((whole_vec)sum[t][v], (whole_vec)_mm256_set1_epi16(1));
    }
}

/* dots (tokens, 32) = the integer sums of sub-block `sub` for the tile's rows, whose weights are
 * at w. */
INLINE void dot_sub_block(int32_t (*dots)[PACKED_ROWS], const uint8_t *w,
                          const struct int8_input *x, const struct tile_input *input, size_t sub,
                          const int tokens, const int vectors, const enum packed_form form)
{
    const int fours = form == PACKED_Q6_K ? 4 : 8, narrow = form == PACKED_Q6_K ? 2 : 8;
    size_t first = sub * (size_t)fours;
    whole_vec dot[INT8_TOKENS][4];
    UNROLL(4)
    for (int t = 0; t < tokens; t++) {
        UNROLL(4)
        for (int v = 0; v < vectors; v++) dot[t][v] = x[t].start[sub] - (whole_vec){0};
    }
    if (form == PACKED_Q8_0) {
        UNROLL(1)
        for (size_t four = 0; four < 8; four++)
            dot_wide(dot, w + four * FOUR_BYTES, input, first + four, tokens, vectors);
    } else {
        UNROLL(2)
        for (int four = 0; four < fours; four += narrow)
            dot_narrow(dot, w + (size_t)four * FOUR_BYTES, x->q + 4 * (first + (size_t)four),
                       narrow, tokens, vectors);
    }
    UNROLL(4)
    for (int t = 0; t < tokens; t++) {
        UNROLL(4)
        for (int v = 0; v < vectors; v++) memcpy(dots[t] + 8 * v, &dot[t][v], sizeof dot[t][v]);
    }
}

#include "engine/kernels/tiles.h"

double avx2_peak_int8(size_t rounds)
{
    sums_16 sum[AVX2_PEAK_CHAINS];
    const sums_16 w = (sums_16)_mm256_set1_epi16((short)rounds);
    const __m256i x = _mm256_set1_epi8(1);
    UNROLL(12)
    for (int i = 0; i < AVX2_PEAK_CHAINS; i++) sum[i] = (sums_16)_mm256_set1_epi16((short)i);
    for (size_t round = 0; round < rounds; round++) {
        UNROLL(12)
        for (int i = 0; i < AVX2_PEAK_CHAINS; i++)
            sum[i] = w + (sums_16)_mm256_maddubs_epi16((__m256i)sum[i], x);
    }
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
    tiles_prepare(prepared, x, T, K, form, first, n);
}

void avx2_multiply(const struct packed_product *product, size_t first, size_t n, void *scratch)
{
    tiles_multiply(product, first, n, scratch);
}

#endif
