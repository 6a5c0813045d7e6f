/* Kernels for x86-64 with AVX2, FMA and F16C (Haswell, Zen and later). */
#include "engine/kernels/kernels.h"

#if defined(__x86_64__)

#include <immintrin.h>
#include <stdint.h>
#include <string.h>

#define LANES 8 /* floats in a register */

static bool supported(void)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
           __builtin_cpu_supports("f16c");
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

static void add_scaled(float *y, float a, const float *x, size_t n)
{
    __m256 factor = _mm256_set1_ps(a);
    size_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        __m256 sum = _mm256_fmadd_ps(factor, _mm256_loadu_ps(x + i), _mm256_loadu_ps(y + i));
        _mm256_storeu_ps(y + i, sum);
    }
    if (i < n) {
        __m256i mask = tail_mask(n - i);
        __m256 sum = _mm256_fmadd_ps(factor, _mm256_maskload_ps(x + i, mask),
                                     _mm256_maskload_ps(y + i, mask));
        _mm256_maskstore_ps(y + i, mask, sum);
    }
}

/* The entries that this set does not improve come from the portable one. */
static void rms_norm(float *out, const float *x, const float *weight, size_t n, float eps)
{
    kernels_generic.rms_norm(out, x, weight, n, eps);
}

static void gelu_tanh_mul(float *gate, const float *up, size_t n)
{
    kernels_generic.gelu_tanh_mul(gate, up, n);
}

static void softmax(float *x, size_t n)
{
    kernels_generic.softmax(x, n);
}

const struct kernel_set kernels_avx2 = {
    .name = "avx2",
    .supported = supported,
    .unpack = unpack,
    .dot_tile = dot_tile,
    .add_scaled = add_scaled,
    .rms_norm = rms_norm,
    .gelu_tanh_mul = gelu_tanh_mul,
    .softmax = softmax,
};

#endif
