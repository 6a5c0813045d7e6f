/* Kernels for x86-64 with AVX2, FMA and F16C (Haswell, Zen and later): the table and what
 * f32_entries.h wants to know. */
#include "engine/kernels/kernels_avx2.h"

#if defined(__x86_64__)

#include <cpuid.h>
#include <immintrin.h>

#define LANES 8

#include "engine/kernels/vectors.h"

/* __builtin_cpu_supports() knows this one in gcc only. */
static bool has_f16c(void)
{
    unsigned eax, ebx, ecx, edx;
    return __get_cpuid(1, &eax, &ebx, &ecx, &edx) != 0 && (ecx & bit_F16C) != 0;
}

static bool supported(void)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && has_f16c();
}

INLINE vec fused(vec a, vec b, vec c)
{
    return _mm256_fmadd_ps(a, b, c);
}

INLINE __m256i first_lanes(size_t n)
{
    const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)n), lane);
}

INLINE vec load_first(const float *p, size_t n)
{
    return _mm256_maskload_ps(p, first_lanes(n));
}

INLINE void store_first(float *p, vec v, size_t n)
{
    _mm256_maskstore_ps(p, first_lanes(n), v);
}

INLINE float sum_lanes(vec v)
{
    __m128 s = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    s = _mm_add_ps(s, _mm_movehl_ps(s, s));
    s = _mm_add_ss(s, _mm_movehdup_ps(s));
    return _mm_cvtss_f32(s);
}

/* Both return their second operand where one is NaN. */
INLINE vec max_lanes(vec a, vec b)
{
    return _mm256_max_ps(a, b);
}

INLINE vec min_lanes(vec a, vec b)
{
    return _mm256_min_ps(a, b);
}

INLINE vec nearest(vec v)
{
    return _mm256_round_ps(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}

/* In two factors: for the largest n one alone would overflow. */
INLINE vec times_power(vec p, vec n)
{
    whole_vec whole = (whole_vec)_mm256_cvtps_epi32(n), half = whole >> 1;
    return p * (vec)((half + 127) << 23) * (vec)((whole - half + 127) << 23);
}

INLINE vec zero_where_less(vec p, vec a, vec b)
{
    return _mm256_andnot_ps(_mm256_cmp_ps(a, b, _CMP_LT_OQ), p);
}

INLINE vec lanes_of_int8(const int8_t *q)
{
    return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const void *)q)));
}

INLINE vec lanes_of_halves(const unsigned char *p)
{
    return _mm256_cvtph_ps(_mm_loadu_si128((const void *)p));
}

INLINE vec lanes_of_bfloats(const unsigned char *p)
{
    __m256i bits = _mm256_cvtepu16_epi32(_mm_loadu_si128((const void *)p));
    return _mm256_castsi256_ps(_mm256_slli_epi32(bits, 16));
}

INLINE float float_of_half(uint16_t bits)
{
    return _cvtsh_ss(bits);
}

#include "engine/kernels/f32_entries.h"

const struct kernel_set kernels_avx2 = {
    .name = "avx2",
    .supported = supported,
    .unpack = unpack,
    .dot_tile = dot_tile,
    .mix_rows = mix_rows,
    .rms_norm = rms_norm,
    .gelu_tanh_mul = gelu_tanh_mul,
    .silu_mul = silu_mul,
    .softmax = softmax,
    .multiplies = avx2_multiplies,
    .prepare = avx2_prepare,
    .multiply = avx2_multiply,
    .peaks = {{"f32", peak_f32, 2.0 * PEAK_CHAINS *LANES},
              {"int8", avx2_peak_int8, 2.0 * AVX2_PEAK_CHAINS * 32}},
};

#endif
