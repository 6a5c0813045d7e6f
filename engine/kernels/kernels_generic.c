/* Portable kernels: the reference that every other set is tested against. */
#include "engine/kernels/kernels_generic.h"

#include <math.h>

#define LANES 16 /* partial sums of one dot product; enough to fill any vector unit */

static bool supported(void)
{
    return true;
}

static void unpack(float *dst, const void *src, const struct tensor_type_info *type, size_t n)
{
    type->to_f32(dst, src, n);
}

static float dot(const float *a, const float *b, size_t n)
{
    float lane[LANES] = {0};
    size_t k = 0;
    for (; k + LANES <= n; k += LANES)
        for (size_t l = 0; l < LANES; l++) lane[l] += a[k + l] * b[k + l];
    for (size_t l = 0; k + l < n; l++) lane[l] += a[k + l] * b[k + l];
    for (size_t half = LANES / 2; half; half /= 2)
        for (size_t l = 0; l < half; l++) lane[l] += lane[l + half];
    return lane[0];
}

static void dot_tile(float *out, size_t out_stride, const float *x, size_t x_stride, const float *w,
                     size_t w_stride, size_t T, size_t R, size_t K)
{
    for (size_t r = 0; r < R; r++)
        for (size_t t = 0; t < T; t++)
            out[t * out_stride + r] = dot(x + t * x_stride, w + r * w_stride, K);
}

static void mix_rows(float *out, size_t out_stride, const float *a, size_t a_stride, const float *x,
                     size_t x_stride, size_t T, size_t R, size_t K)
{
    for (size_t t = 0; t < T; t++)
        for (size_t r = 0; r < R; r++)
            for (size_t k = 0; k < K; k++)
                out[t * out_stride + k] += a[t * a_stride + r] * x[r * x_stride + k];
}

static void rms_norm(float *out, const float *x, const float *weight, size_t n, float eps)
{
    float scale = 1.0f / sqrtf(dot(x, x, n) / (float)n + eps);
    for (size_t i = 0; i < n; i++) out[i] = x[i] * scale * weight[i];
}

static void gelu_tanh_mul(float *gate, const float *up, size_t n)
{
    const float sqrt_2_over_pi = 0.7978845608028654f;
    for (size_t i = 0; i < n; i++) {
        float g = gate[i];
        float inner = sqrt_2_over_pi * (g + 0.044715f * g * g * g);
        gate[i] = 0.5f * g * (1.0f + tanhf(inner)) * up[i];
    }
}

static void silu_mul(float *gate, const float *up, size_t n)
{
    for (size_t i = 0; i < n; i++) gate[i] = gate[i] / (1 + expf(-gate[i])) * up[i];
}

static void softmax(float *x, size_t n)
{
    float max = x[0], sum = 0;
    for (size_t i = 1; i < n; i++) max = x[i] > max ? x[i] : max;
    for (size_t i = 0; i < n; i++) sum += x[i] = expf(x[i] - max);
    for (size_t i = 0; i < n; i++) x[i] /= sum;
}

const struct kernel_set kernels_generic = {
    .name = "generic",
    .supported = supported,
    .unpack = unpack,
    .dot_tile = dot_tile,
    .mix_rows = mix_rows,
    .rms_norm = rms_norm,
    .gelu_tanh_mul = gelu_tanh_mul,
    .silu_mul = silu_mul,
    .softmax = softmax,
    .multiplies = generic_multiplies,
    .prepare = generic_prepare,
    .multiply = generic_multiply,
};
