/* f32_entries.h - internal: a set's f32 entries, over vectors.h.
 *
 * Before it a set's file says:
 *
 *   fused(a, b, c)           a * b + c, rounded once
 *   load_first(p, n)         the first n < LANES floats, then zeros
 *   store_first(p, v, n)
 *   sum_lanes(v)
 *   max_lanes(a, b), min_lanes(a, b)      in each lane; NaN where b is NaN
 *   nearest(v)               the nearest integer, ties to even
 *   times_power(p, n)        p * 2^n for whole n of -127 to 128
 *   zero_where_less(p, a, b) 0 where a < b, else p
 *   lanes_of_int8(q), lanes_of_halves(p), lanes_of_bfloats(p), float_of_half(bits)
 */
#ifndef ASSAY_KERNELS_F32_ENTRIES_H
#define ASSAY_KERNELS_F32_ENTRIES_H

#include "engine/kernels/kernels.h"
#include "engine/kernels/vectors.h"

/* ---- unpacking ---- */

static void unpack_q8_0(float *dst, const unsigned char *src, size_t n)
{
    for (size_t i = 0; i < n; i += Q8_0_VALUES, src += sizeof(struct block_q8_0)) {
        uint16_t half;
        memcpy(&half, src + offsetof(struct block_q8_0, scale), sizeof half);
        const int8_t *q = (const int8_t *)src + offsetof(struct block_q8_0, q);
        vec scale = all_lanes(float_of_half(half));
        for (size_t k = 0; k < Q8_0_VALUES; k += LANES)
            store(dst + i + k, scale * lanes_of_int8(q + k));
    }
}

static void unpack_bf16(float *dst, const unsigned char *src, size_t n)
{
    size_t i = 0;
    for (; i + LANES <= n; i += LANES) store(dst + i, lanes_of_bfloats(src + 2 * i));
    tensor_type_find(TENSOR_BF16)->to_f32(dst + i, src + 2 * i, n - i);
}

static void unpack_f16(float *dst, const unsigned char *src, size_t n)
{
    size_t i = 0;
    for (; i + LANES <= n; i += LANES) store(dst + i, lanes_of_halves(src + 2 * i));
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

/* ---- products ---- */

struct dot {
    float *out;
    size_t out_stride;
    const float *x;
    size_t x_stride;
    const float *w;
    size_t w_stride;
    size_t K;
};

/* One vector of partial sums per output, whatever the tile's shape, so that shapes agree to the
 * bit.  `tokens` and `rows` are constants at every call and the loops unroll into registers. */
INLINE void dot_rows(const struct dot *t, const int tokens, const int rows)
{
    vec sum[4][3], w[3];
    for (int i = 0; i < tokens; i++)
        for (int j = 0; j < rows; j++) sum[i][j] = all_lanes(0);
    size_t k = 0;
    for (; k + LANES <= t->K; k += LANES) {
        for (int j = 0; j < rows; j++) w[j] = load(t->w + (size_t)j * t->w_stride + k);
        for (int i = 0; i < tokens; i++) {
            vec x = load(t->x + (size_t)i * t->x_stride + k);
            for (int j = 0; j < rows; j++) sum[i][j] = fused(x, w[j], sum[i][j]);
        }
    }
    size_t left = t->K - k;
    if (left) {
        for (int j = 0; j < rows; j++) w[j] = load_first(t->w + (size_t)j * t->w_stride + k, left);
        for (int i = 0; i < tokens; i++) {
            vec x = load_first(t->x + (size_t)i * t->x_stride + k, left);
            for (int j = 0; j < rows; j++) sum[i][j] = fused(x, w[j], sum[i][j]);
        }
    }
    for (int i = 0; i < tokens; i++)
        for (int j = 0; j < rows; j++)
            t->out[(size_t)i * t->out_stride + (size_t)j] = sum_lanes(sum[i][j]);
}

INLINE void dot_tokens(struct dot t, size_t T, const int rows)
{
    size_t done = 0;
    for (; done + 4 <= T; done += 4, t.x += 4 * t.x_stride, t.out += 4 * t.out_stride)
        dot_rows(&t, 4, rows);
    for (; done < T; done++, t.x += t.x_stride, t.out += t.out_stride) dot_rows(&t, 1, rows);
}

static void dot_tile(float *out, size_t out_stride, const float *x, size_t x_stride, const float *w,
                     size_t w_stride, size_t T, size_t R, size_t K)
{
    struct dot t = {out, out_stride, x, x_stride, w, w_stride, K};
    size_t done = 0;
    for (; done + 3 <= R; done += 3, t.w += 3 * w_stride, t.out += 3) dot_tokens(t, T, 3);
    for (; done < R; done++, t.w += w_stride, t.out++) dot_tokens(t, T, 1);
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

/* tokens * width vectors of outputs stay put while the rows go by. */
INLINE void mix_tile(const struct mix *m, size_t k, const int tokens, const int width)
{
    vec sum[4][8];
    for (int t = 0; t < tokens; t++)
        for (int i = 0; i < width; i++)
            sum[t][i] = load(m->out + (size_t)t * m->out_stride + k + (size_t)i * LANES);
    for (size_t r = 0; r < m->R; r++)
        for (int i = 0; i < width; i++) {
            vec row = load(m->x + r * m->x_stride + k + (size_t)i * LANES);
            for (int t = 0; t < tokens; t++)
                sum[t][i] = fused(all_lanes(m->a[(size_t)t * m->a_stride + r]), row, sum[t][i]);
        }
    for (int t = 0; t < tokens; t++)
        for (int i = 0; i < width; i++)
            store(m->out + (size_t)t * m->out_stride + k + (size_t)i * LANES, sum[t][i]);
}

/* The last columns, fewer than a vector's. */
static void mix_tail(const struct mix *m, size_t k, size_t n, size_t tokens)
{
    for (size_t t = 0; t < tokens; t++) {
        float *out = m->out + t * m->out_stride + k;
        vec sum = load_first(out, n);
        for (size_t r = 0; r < m->R; r++)
            sum = fused(all_lanes(m->a[t * m->a_stride + r]),
                        load_first(m->x + r * m->x_stride + k, n), sum);
        store_first(out, sum, n);
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

/* ---- element by element ---- */

/* exp(x) to about 2 units in the last place: 2^n times a polynomial on [-ln 2 / 2, ln 2 / 2] (its
 * Taylor series, which is as good as a fitted one at this length).  0 below the smallest normal
 * result, infinity above the largest; NaN stays NaN. */
INLINE vec exp_lanes(vec x)
{
    const vec lowest = all_lanes(-87.33654f), highest = all_lanes(89);
    vec clamped = max_lanes(lowest, min_lanes(highest, x));
    vec n = nearest(clamped * all_lanes(1.44269504f));
    /* ln 2 in two parts, so that n times the first is exact. */
    vec r = fused(n, all_lanes(-0.693359375f), clamped);
    r = fused(n, all_lanes(2.12194440e-4f), r);
    vec p = all_lanes(1.0f / 5040);
    p = fused(p, r, all_lanes(1.0f / 720));
    p = fused(p, r, all_lanes(1.0f / 120));
    p = fused(p, r, all_lanes(1.0f / 24));
    p = fused(p, r, all_lanes(1.0f / 6));
    p = fused(p, r, all_lanes(0.5f));
    p = fused(p, r, all_lanes(1));
    p = fused(p, r, all_lanes(1));
    return zero_where_less(times_power(p, n), x, lowest);
}

static void rms_norm(float *out, const float *x, const float *weight, size_t n, float eps)
{
    kernels_generic.rms_norm(out, x, weight, n, eps);
}

/* 0.5 (1 + tanh u) = 1 / (1 + exp(-2 u)), which loses nothing where tanh is near -1. */
INLINE vec gelu_lanes(vec g)
{
    vec inner = fused(all_lanes(0.044715f), g * g * g, g);
    return g / (all_lanes(1) + exp_lanes(all_lanes(-2 * 0.7978845608028654f) * inner));
}

static void gelu_tanh_mul(float *gate, const float *up, size_t n)
{
    size_t i = 0;
    for (; i + LANES <= n; i += LANES) store(gate + i, gelu_lanes(load(gate + i)) * load(up + i));
    if (i == n) return;
    vec y = gelu_lanes(load_first(gate + i, n - i)) * load_first(up + i, n - i);
    store_first(gate + i, y, n - i);
}

INLINE vec silu_lanes(vec g)
{
    return g / (all_lanes(1) + exp_lanes(all_lanes(0) - g));
}

static void silu_mul(float *gate, const float *up, size_t n)
{
    size_t i = 0;
    for (; i + LANES <= n; i += LANES) store(gate + i, silu_lanes(load(gate + i)) * load(up + i));
    if (i == n) return;
    vec y = silu_lanes(load_first(gate + i, n - i)) * load_first(up + i, n - i);
    store_first(gate + i, y, n - i);
}

static float max_of(const float *x, size_t n)
{
    float max = x[0];
    for (size_t i = 1; i < n; i++) max = x[i] > max ? x[i] : max;
    return max;
}

static void softmax(float *x, size_t n)
{
    const vec max = all_lanes(max_of(x, n));
    vec sums = all_lanes(0);
    size_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        vec e = exp_lanes(load(x + i) - max);
        store(x + i, e);
        sums += e;
    }
    if (i < n) {
        store_first(x + i, exp_lanes(load_first(x + i, n - i) - max), n - i);
        sums += load_first(x + i, n - i);
    }
    float scale = 1 / sum_lanes(sums);
    for (i = 0; i < n; i++) x[i] *= scale;
}

#define PEAK_CHAINS 12

static double peak_f32(size_t rounds)
{
    vec sum[PEAK_CHAINS];
    const vec w = all_lanes((float)rounds), x = all_lanes(0.5f);
    UNROLL(12)
    for (int i = 0; i < PEAK_CHAINS; i++) sum[i] = all_lanes((float)i);
    for (size_t round = 0; round < rounds; round++) {
        UNROLL(12)
        for (int i = 0; i < PEAK_CHAINS; i++) sum[i] = fused(w, x, sum[i]);
    }
    UNROLL(12)
    for (int i = 1; i < PEAK_CHAINS; i++) sum[0] += sum[i];
    return (double)sum_lanes(sum[0]);
}

#endif
