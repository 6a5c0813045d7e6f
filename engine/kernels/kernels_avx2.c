/* Kernels for x86-64 with AVX2, FMA and F16C (Haswell, Zen and later): the table and its f32
 * entries. */
#include "engine/kernels/kernels_avx2.h"

#if defined(__x86_64__)

#include <cpuid.h>
#include <immintrin.h>
#include <stdint.h>
#include <string.h>

#define LANES 8 /* floats in a register */

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

static inline float sum_lanes(__m256 v)
{
    __m128 s = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    s = _mm_add_ps(s, _mm_movehl_ps(s, s));
    s = _mm_add_ss(s, _mm_movehdup_ps(s));
    return _mm_cvtss_f32(s);
}

/* A mask that loads the first n < LANES floats. */
static inline __m256i tail_mask(size_t n)
{
    const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)n), lane);
}

static inline __m256 eight_int8(const int8_t *q)
{
    return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const void *)q)));
}

static void unpack_q8_0(float *dst, const unsigned char *src, size_t n)
{
    for (size_t i = 0; i < n; i += Q8_0_VALUES, src += sizeof(struct block_q8_0)) {
        struct block_q8_0 block;
        memcpy(&block, src, sizeof block);
        __m256 scale = _mm256_set1_ps(_cvtsh_ss(block.scale));
        for (size_t k = 0; k < Q8_0_VALUES; k += LANES)
            _mm256_storeu_ps(dst + i + k, _mm256_mul_ps(scale, eight_int8(block.q + k)));
    }
}

static void unpack_bf16(float *dst, const unsigned char *src, size_t n)
{
    size_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        __m128i bits = _mm_loadu_si128((const void *)(src + 2 * i));
        __m256i wide = _mm256_slli_epi32(_mm256_cvtepu16_epi32(bits), 16);
        _mm256_storeu_ps(dst + i, _mm256_castsi256_ps(wide));
    }
    tensor_type_find(TENSOR_BF16)->to_f32(dst + i, src + 2 * i, n - i);
}

static void unpack_f16(float *dst, const unsigned char *src, size_t n)
{
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        _mm256_storeu_ps(dst + i, _mm256_cvtph_ps(_mm_loadu_si128((const void *)(src + 2 * i))));
    tensor_type_find(TENSOR_F16)->to_f32(dst + i, src + 2 * i, n - i);
}

static void unpack(float *dst, const void *src, const struct tensor_type_info *type, size_t n)
{
    switch (type->type) {
    case TENSOR_Q8_0:
        unpack_q8_0(dst, src, n);
        break;
    case TENSOR_BF16:
        unpack_bf16(dst, src, n);
        break;
    case TENSOR_F16:
        unpack_f16(dst, src, n);
        break;
    default:
        type->to_f32(dst, src, n);
        break;
    }
}

struct tile {
    float *out;
    size_t out_stride;
    const float *x;
    size_t x_stride;
    const float *w;
    size_t w_stride;
    size_t K;
};

/* One register of partial sums per output, whatever the tile's shape, so that shapes agree to the
 * bit.  `tokens` and `rows` are constants at every call and the loops unroll into registers. */
static inline __attribute__((always_inline)) void run_tile(const struct tile *t, const int tokens,
                                                           const int rows)
{
    __m256 sum[4][3];
    for (int i = 0; i < tokens; i++)
        for (int j = 0; j < rows; j++) sum[i][j] = _mm256_setzero_ps();
    size_t k = 0;
    for (; k + LANES <= t->K; k += LANES)
        for (int j = 0; j < rows; j++) {
            __m256 w = _mm256_loadu_ps(t->w + (size_t)j * t->w_stride + k);
            for (int i = 0; i < tokens; i++) {
                __m256 x = _mm256_loadu_ps(t->x + (size_t)i * t->x_stride + k);
                sum[i][j] = _mm256_fmadd_ps(x, w, sum[i][j]);
            }
        }
    if (k < t->K) {
        __m256i mask = tail_mask(t->K - k);
        for (int j = 0; j < rows; j++) {
            __m256 w = _mm256_maskload_ps(t->w + (size_t)j * t->w_stride + k, mask);
            for (int i = 0; i < tokens; i++) {
                __m256 x = _mm256_maskload_ps(t->x + (size_t)i * t->x_stride + k, mask);
                sum[i][j] = _mm256_fmadd_ps(x, w, sum[i][j]);
            }
        }
    }
    for (int i = 0; i < tokens; i++)
        for (int j = 0; j < rows; j++)
            t->out[(size_t)i * t->out_stride + (size_t)j] = sum_lanes(sum[i][j]);
}

static inline __attribute__((always_inline)) void run_rows(struct tile t, size_t T, const int rows)
{
    size_t done = 0;
    for (; done + 4 <= T; done += 4, t.x += 4 * t.x_stride, t.out += 4 * t.out_stride)
        run_tile(&t, 4, rows);
    for (; done < T; done++, t.x += t.x_stride, t.out += t.out_stride) run_tile(&t, 1, rows);
}

static void dot_tile(float *out, size_t out_stride, const float *x, size_t x_stride, const float *w,
                     size_t w_stride, size_t T, size_t R, size_t K)
{
    struct tile t = {out, out_stride, x, x_stride, w, w_stride, K};
    size_t done = 0;
    for (; done + 3 <= R; done += 3, t.w += 3 * w_stride, t.out += 3) run_rows(t, T, 3);
    for (; done < R; done++, t.w += w_stride, t.out++) run_rows(t, T, 1);
}

/* Weighted rows of x, added to rows of out. */
struct mix {
    float *out;
    size_t out_stride;
    const float *a;
    size_t a_stride;
    const float *x;
    size_t x_stride, R;
};

/* tokens * width registers of outputs stay put while the rows go by. */
static inline __attribute__((always_inline)) void mix_tile(const struct mix *m, size_t k,
                                                           const int tokens, const int width)
{
    __m256 sum[4][8];
    for (int t = 0; t < tokens; t++)
        for (int i = 0; i < width; i++)
            sum[t][i] = _mm256_loadu_ps(m->out + (size_t)t * m->out_stride + k + (size_t)i * LANES);
    for (size_t r = 0; r < m->R; r++)
        for (int i = 0; i < width; i++) {
            __m256 row = _mm256_loadu_ps(m->x + r * m->x_stride + k + (size_t)i * LANES);
            for (int t = 0; t < tokens; t++)
                sum[t][i] = _mm256_fmadd_ps(_mm256_broadcast_ss(m->a + (size_t)t * m->a_stride + r),
                                            row, sum[t][i]);
        }
    for (int t = 0; t < tokens; t++)
        for (int i = 0; i < width; i++)
            _mm256_storeu_ps(m->out + (size_t)t * m->out_stride + k + (size_t)i * LANES, sum[t][i]);
}

/* The last columns, fewer than a register's. */
static void mix_tail(const struct mix *m, size_t k, size_t n, size_t tokens)
{
    __m256i mask = tail_mask(n);
    for (size_t t = 0; t < tokens; t++) {
        float *out = m->out + t * m->out_stride + k;
        __m256 sum = _mm256_maskload_ps(out, mask);
        for (size_t r = 0; r < m->R; r++)
            sum = _mm256_fmadd_ps(_mm256_broadcast_ss(m->a + t * m->a_stride + r),
                                  _mm256_maskload_ps(m->x + r * m->x_stride + k, mask), sum);
        _mm256_maskstore_ps(out, mask, sum);
    }
}

static void mix_rows(float *out, size_t out_stride, const float *a, size_t a_stride, const float *x,
                     size_t x_stride, size_t T, size_t R, size_t K)
{
    struct mix m = {out, out_stride, a, a_stride, x, x_stride, R};
    size_t t = 0;
    for (; t + 4 <= T; t += 4, m.out += 4 * out_stride, m.a += 4 * a_stride) {
        size_t k = 0;
        for (; k + 2 * LANES <= K; k += 2 * LANES) mix_tile(&m, k, 4, 2);
        for (; k + LANES <= K; k += LANES) mix_tile(&m, k, 4, 1);
        if (k < K) mix_tail(&m, k, K - k, 4);
    }
    for (; t < T; t++, m.out += out_stride, m.a += a_stride) {
        size_t k = 0;
        for (; k + 8 * LANES <= K; k += 8 * LANES) mix_tile(&m, k, 1, 8);
        for (; k + LANES <= K; k += LANES) mix_tile(&m, k, 1, 1);
        if (k < K) mix_tail(&m, k, K - k, 1);
    }
}

/* exp(x) to about 2 units in the last place: 2^n times a polynomial on [-ln 2 / 2, ln 2 / 2] (its
 * Taylor series, which is as good as a fitted one at this length).  0 below the smallest normal
 * result, infinity above the largest; NaN stays NaN, since max and min return their second
 * operand. */
static inline __m256 exp_lanes(__m256 x)
{
    const __m256 lowest = _mm256_set1_ps(-87.33654f), highest = _mm256_set1_ps(89);
    __m256 clamped = _mm256_max_ps(lowest, _mm256_min_ps(highest, x));
    __m256 n = _mm256_round_ps(_mm256_mul_ps(clamped, _mm256_set1_ps(1.44269504f)),
                               _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    /* ln 2 in two parts, so that n times the first is exact. */
    __m256 r = _mm256_fnmadd_ps(n, _mm256_set1_ps(0.693359375f), clamped);
    r = _mm256_fnmadd_ps(n, _mm256_set1_ps(-2.12194440e-4f), r);
    __m256 p = _mm256_set1_ps(1.0f / 5040);
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.0f / 720));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.0f / 120));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.0f / 24));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.0f / 6));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(0.5f));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1));
    /* 2^n in two factors: for the largest x one alone would overflow. */
    __m256i half = _mm256_srai_epi32(_mm256_cvtps_epi32(n), 1);
    __m256i rest = _mm256_sub_epi32(_mm256_cvtps_epi32(n), half);
    const __m256i bias = _mm256_set1_epi32(127);
    p = _mm256_mul_ps(p, _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(half, bias), 23)));
    p = _mm256_mul_ps(p, _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(rest, bias), 23)));
    return _mm256_andnot_ps(_mm256_cmp_ps(x, lowest, _CMP_LT_OQ), p);
}

static void rms_norm(float *out, const float *x, const float *weight, size_t n, float eps)
{
    kernels_generic.rms_norm(out, x, weight, n, eps);
}

/* 0.5 (1 + tanh u) = 1 / (1 + exp(-2 u)), which loses nothing where tanh is near -1. */
static inline __m256 gelu_lanes(__m256 g)
{
    const __m256 minus_two_sqrt_2_over_pi = _mm256_set1_ps(-2 * 0.7978845608028654f);
    __m256 cubed = _mm256_mul_ps(_mm256_mul_ps(g, g), g);
    __m256 inner = _mm256_fmadd_ps(_mm256_set1_ps(0.044715f), cubed, g);
    __m256 e = exp_lanes(_mm256_mul_ps(minus_two_sqrt_2_over_pi, inner));
    return _mm256_div_ps(g, _mm256_add_ps(_mm256_set1_ps(1), e));
}

static void gelu_tanh_mul(float *gate, const float *up, size_t n)
{
    size_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        __m256 y = _mm256_mul_ps(gelu_lanes(_mm256_loadu_ps(gate + i)), _mm256_loadu_ps(up + i));
        _mm256_storeu_ps(gate + i, y);
    }
    if (i == n) return;
    __m256i mask = tail_mask(n - i);
    __m256 y = _mm256_mul_ps(gelu_lanes(_mm256_maskload_ps(gate + i, mask)),
                             _mm256_maskload_ps(up + i, mask));
    _mm256_maskstore_ps(gate + i, mask, y);
}

static inline __m256 silu_lanes(__m256 g)
{
    __m256 e = exp_lanes(_mm256_sub_ps(_mm256_setzero_ps(), g));
    return _mm256_div_ps(g, _mm256_add_ps(_mm256_set1_ps(1), e));
}

static void silu_mul(float *gate, const float *up, size_t n)
{
    size_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        __m256 y = _mm256_mul_ps(silu_lanes(_mm256_loadu_ps(gate + i)), _mm256_loadu_ps(up + i));
        _mm256_storeu_ps(gate + i, y);
    }
    if (i == n) return;
    __m256i mask = tail_mask(n - i);
    __m256 y = _mm256_mul_ps(silu_lanes(_mm256_maskload_ps(gate + i, mask)),
                             _mm256_maskload_ps(up + i, mask));
    _mm256_maskstore_ps(gate + i, mask, y);
}

static float max_of(const float *x, size_t n)
{
    float max = x[0];
    for (size_t i = 1; i < n; i++) max = x[i] > max ? x[i] : max;
    return max;
}

static void softmax(float *x, size_t n)
{
    const __m256 max = _mm256_set1_ps(max_of(x, n));
    __m256 sums = _mm256_setzero_ps();
    size_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        __m256 e = exp_lanes(_mm256_sub_ps(_mm256_loadu_ps(x + i), max));
        _mm256_storeu_ps(x + i, e);
        sums = _mm256_add_ps(sums, e);
    }
    if (i < n) {
        __m256i mask = tail_mask(n - i);
        __m256 e = exp_lanes(_mm256_sub_ps(_mm256_maskload_ps(x + i, mask), max));
        e = _mm256_and_ps(e, _mm256_castsi256_ps(mask));
        _mm256_maskstore_ps(x + i, mask, e);
        sums = _mm256_add_ps(sums, e);
    }
    float scale = 1 / sum_lanes(sums);
    for (i = 0; i < n; i++) x[i] *= scale;
}

static double peak_f32(size_t rounds)
{
    __m256 sum[AVX2_PEAK_CHAINS];
    const __m256 w = _mm256_set1_ps((float)rounds), x = _mm256_set1_ps(0.5f);
    for (int i = 0; i < AVX2_PEAK_CHAINS; i++) sum[i] = _mm256_set1_ps((float)i);
    for (size_t round = 0; round < rounds; round++)
#pragma GCC unroll 12
        for (int i = 0; i < AVX2_PEAK_CHAINS; i++) sum[i] = _mm256_fmadd_ps(w, x, sum[i]);
    for (int i = 1; i < AVX2_PEAK_CHAINS; i++) sum[0] = _mm256_add_ps(sum[0], sum[i]);
    return (double)sum_lanes(sum[0]);
}

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
    .peaks = {{"f32", peak_f32, 2.0 * AVX2_PEAK_CHAINS * 8},
              {"int8", avx2_peak_int8, 2.0 * AVX2_PEAK_CHAINS * 32}},
};

#endif
