/* f32 to the k-quants that `assay convert` writes.  Layouts: block_layouts.h. */
#include <math.h>
#include <string.h>

#include "engine/quants/fit.h"
#include "engine/quants/quants.h"
#include "engine/quants/rows.h"

#define SUB_BLOCKS_32 (K_VALUES / 32)
#define SUB_BLOCKS_16 (K_VALUES / 16)

/* A block that holds a NaN or an infinity reads back as NaN throughout. */
static uint16_t nan_half(void)
{
    return float_to_half((float)NAN);
}

/* ---- Q4_K ---- */

static void pack_q4_k_scales(uint8_t packed[12], const uint8_t s[SUB_BLOCKS_32],
                             const uint8_t m[SUB_BLOCKS_32])
{
    for (int b = 0; b < 4; b++) {
        packed[b] = (uint8_t)(s[b] | (s[b + 4] >> 4) << 6);
        packed[b + 4] = (uint8_t)(m[b] | (m[b + 4] >> 4) << 6);
        packed[b + 8] = (uint8_t)((s[b + 4] & 15) | (m[b + 4] & 15) << 4);
    }
}

static float largest_of(const float *x, size_t n)
{
    float largest = 0;
    for (size_t i = 0; i < n; i++) largest = x[i] > largest ? x[i] : largest;
    return largest;
}

/* Sub-block scales as multiples of `step`, which is rounded to a half. */
static void quantise_scales(const float *scales, uint16_t *step_half, uint8_t *out)
{
    *step_half = float_to_half(largest_of(scales, SUB_BLOCKS_32) / 63.0f);
    float inverse = fit_inverse(half_to_float(*step_half));
    for (int b = 0; b < SUB_BLOCKS_32; b++) out[b] = (uint8_t)fit_round(scales[b] * inverse, 0, 63);
}

/* Rounding the two scales of a sub-block apart is not best together: tries their neighbours. */
static void refine_scales(const struct block_q4_k *block, const float *x, uint8_t *s, uint8_t *m)
{
    float weight[32], step = half_to_float(block->scale), min_step = half_to_float(block->min);
    fit_weights(weight, x, 32);
    const int s0 = *s, m0 = *m;
    double best = (double)INFINITY;
    for (int i = 0; i < 7; i++) {
        static const int offsets[7][2] = {{0, 0}, {-1, 0},  {1, 0}, {0, -1},
                                          {0, 1}, {-1, -1}, {1, 1}};
        int trial_s = s0 + offsets[i][0], trial_m = m0 + offsets[i][1];
        if (trial_s < 0 || trial_s > 63 || trial_m < 0 || trial_m > 63) continue;
        double error =
            fit_error(x, weight, 32, 15, step * (float)trial_s, min_step * (float)trial_m);
        if (error >= best) continue;
        best = error;
        *s = (uint8_t)trial_s;
        *m = (uint8_t)trial_m;
    }
}

static void store_q4_k(struct block_q4_k *block, const float *x, const uint8_t *s, const uint8_t *m)
{
    for (int b = 0; b < SUB_BLOCKS_32; b++) {
        float min = half_to_float(block->min) * (float)m[b];
        float inverse = fit_inverse(half_to_float(block->scale) * (float)s[b]);
        uint8_t *bytes = block->q + 32 * (b / 2);
        for (int i = 0; i < 32; i++) {
            int q = fit_round((x[32 * b + i] + min) * inverse, 0, 15);
            bytes[i] = (uint8_t)(bytes[i] | q << 4 * (b % 2));
        }
    }
}

static void fit_q4_k(struct block_q4_k *block, const float *x)
{
    float scales[SUB_BLOCKS_32], mins[SUB_BLOCKS_32], weight[32];
    uint8_t s[SUB_BLOCKS_32], m[SUB_BLOCKS_32];
    for (int b = 0; b < SUB_BLOCKS_32; b++) {
        fit_weights(weight, x + 32 * b, 32);
        fit_with_min(x + 32 * b, weight, 32, 15, &scales[b], &mins[b]);
    }
    quantise_scales(scales, &block->scale, s);
    quantise_scales(mins, &block->min, m);
    for (int b = 0; b < SUB_BLOCKS_32; b++) refine_scales(block, x + 32 * b, &s[b], &m[b]);
    pack_q4_k_scales(block->scales, s, m);
    store_q4_k(block, x, s, m);
}

void q4_k_from_f32(void *dst, const float *src, size_t n)
{
    unsigned char *bytes = dst;
    for (size_t at = 0; at < n; at += K_VALUES, bytes += sizeof(struct block_q4_k)) {
        struct block_q4_k block = {0};
        if (fit_all_finite(src + at, K_VALUES))
            fit_q4_k(&block, src + at);
        else
            block.scale = block.min = nan_half();
        memcpy(bytes, &block, sizeof block);
    }
}

/* ---- Q6_K ---- */

/* Value i of 256 into its nibble and its two upper bits; q is 0 to 63. */
static void store_q6_k(struct block_q6_k *block, int i, int q)
{
    int half = i / 128, within = i % 128;
    uint8_t *low = &block->q[64 * half + within % 64];
    uint8_t *high = &block->high[32 * half + within % 32];
    *low = (uint8_t)(*low | (q & 15) << 4 * (within / 64));
    *high = (uint8_t)(*high | (q >> 4) << 2 * (within / 32));
}

static void fit_q6_k(struct block_q6_k *block, const float *x)
{
    float scales[SUB_BLOCKS_16], weight[16], extreme = 0;
    for (int b = 0; b < SUB_BLOCKS_16; b++) {
        fit_weights(weight, x + 16 * b, 16);
        scales[b] = fit_symmetric(x + 16 * b, weight, 16, -32);
        if (fabsf(scales[b]) > fabsf(extreme)) extreme = scales[b];
    }
    /* The extreme scale gets -128, the one integer that has no positive twin. */
    block->scale = float_to_half(extreme / -128.0f);
    float step = half_to_float(block->scale), inverse = fit_inverse(step);
    for (int b = 0; b < SUB_BLOCKS_16; b++) {
        block->scales[b] = (int8_t)fit_round(scales[b] * inverse, -128, 127);
        float sub_inverse = fit_inverse(step * (float)block->scales[b]);
        for (int i = 16 * b; i < 16 * (b + 1); i++)
            store_q6_k(block, i, fit_round(x[i] * sub_inverse, -32, 31) + 32);
    }
}

void q6_k_from_f32(void *dst, const float *src, size_t n)
{
    unsigned char *bytes = dst;
    for (size_t at = 0; at < n; at += K_VALUES, bytes += sizeof(struct block_q6_k)) {
        struct block_q6_k block = {0};
        if (fit_all_finite(src + at, K_VALUES))
            fit_q6_k(&block, src + at);
        else
            block.scale = nan_half();
        memcpy(bytes, &block, sizeof block);
    }
}
