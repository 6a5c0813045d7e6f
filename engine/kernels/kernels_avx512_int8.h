/* kernels_avx512_int8.h - internal: what the set's products with packed int8 weights have in
 * common.
 *
 * Tiles: kernels_avx512_int8.c; a few tokens: kernels_avx512_stream.c.  `tokens` is a constant at
 * every call, and the loops unroll into registers: [token][left or right 16 rows of a panel].
 */
#ifndef ASSAY_KERNELS_AVX512_INT8_H
#define ASSAY_KERNELS_AVX512_INT8_H

#include <immintrin.h>
#include <stdint.h>

static inline void floats_of_halves(float *dst, const uint16_t *src)
{
    for (size_t i = 0; i < PACKED_ROWS; i += 16)
        _mm512_storeu_ps(dst + i, _mm512_cvtph_ps(_mm256_loadu_si256((const void *)(src + i))));
}

#include "engine/kernels/panels.h"
#include "engine/kernels/unroll.h"

static inline __m512i broadcast_four(const int8_t *q)
{
    int32_t four;
    memcpy(&four, q, 4);
    return _mm512_set1_epi32(four);
}

/* The integer sums over four columns, whose activations are at q. */
static inline __attribute__((always_inline)) void
sum_four(__m512i dot[][2], __m512i left, __m512i right, const int8_t *q, const int tokens)
{
    UNROLL(6)
    for (int t = 0; t < tokens; t++) {
        __m512i x = broadcast_four(q + (size_t)t * sizeof(struct int8_input));
        dot[t][0] = _mm512_dpbusd_epi32(dot[t][0], left, x);
        dot[t][1] = _mm512_dpbusd_epi32(dot[t][1], right, x);
    }
}

/* sum += scale * a sub-block's integer sums */
static inline __attribute__((always_inline)) void
add_sub_block(__m512 sum[][2], __m512i dot[][2], __m512 left, __m512 right, const int tokens)
{
    UNROLL(6)
    for (int t = 0; t < tokens; t++) {
        sum[t][0] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(dot[t][0]), left, sum[t][0]);
        sum[t][1] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(dot[t][1]), right, sum[t][1]);
    }
}

/* sums (tokens, 32) += the activations' scale * a group's sums */
static inline __attribute__((always_inline)) void
add_group(float *sums, __m512 sum[][2], const struct int8_input *x, const int tokens)
{
    UNROLL(6)
    for (int t = 0; t < tokens; t++) {
        __m512 scale = _mm512_set1_ps(x[t].scale);
        float *at = sums + (size_t)t * PACKED_ROWS;
        _mm512_store_ps(at, _mm512_fmadd_ps(sum[t][0], scale, _mm512_load_ps(at)));
        _mm512_store_ps(at + 16, _mm512_fmadd_ps(sum[t][1], scale, _mm512_load_ps(at + 16)));
    }
}

#endif
