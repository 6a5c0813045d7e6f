/* Types whose blocks hold 32 numbers with one scale.  Layouts: block_layouts.h. */
#include <math.h>
#include <string.h>

#include "engine/quants/fit.h"
#include "engine/quants/quants.h"
#include "engine/quants/rows.h"

/* ---- four and five bits ---- */

void q4_0_to_f32(float *dst, const void *src, size_t n)
{
    const unsigned char *bytes = src;
    for (size_t at = 0; at < n; at += Q4_0_VALUES, bytes += sizeof(struct block_q4_0)) {
        struct block_q4_0 block;
        memcpy(&block, bytes, sizeof block);
        float scale = half_to_float(block.scale);
        for (size_t i = 0; i < 16; i++) {
            dst[at + i] = (float)((block.q[i] & 15) - 8) * scale;
            dst[at + i + 16] = (float)((block.q[i] >> 4) - 8) * scale;
        }
    }
}

static void fit_q4_0(struct block_q4_0 *block, const float *x)
{
    float weight[Q4_0_VALUES];
    fit_weights(weight, x, Q4_0_VALUES);
    block->scale = float_to_half(fit_symmetric(x, weight, Q4_0_VALUES, -8));
    float scale = half_to_float(block->scale);
    float inverse = scale != 0.0f ? 1.0f / scale : 0.0f;
    for (size_t i = 0; i < 16; i++) {
        int low = fit_round(x[i] * inverse, -8, 7) + 8;
        int high = fit_round(x[i + 16] * inverse, -8, 7) + 8;
        block->q[i] = (uint8_t)(low | high << 4);
    }
}

void q4_0_from_f32(void *dst, const float *src, size_t n)
{
    unsigned char *bytes = dst;
    for (size_t at = 0; at < n; at += Q4_0_VALUES, bytes += sizeof(struct block_q4_0)) {
        struct block_q4_0 block = {0};
        if (fit_all_finite(src + at, Q4_0_VALUES))
            fit_q4_0(&block, src + at);
        else
            block.scale = float_to_half((float)NAN);
        memcpy(bytes, &block, sizeof block);
    }
}

void q4_1_to_f32(float *dst, const void *src, size_t n)
{
    const unsigned char *bytes = src;
    for (size_t at = 0; at < n; at += Q4_1_VALUES, bytes += sizeof(struct block_q4_1)) {
        struct block_q4_1 block;
        memcpy(&block, bytes, sizeof block);
        float scale = half_to_float(block.scale), min = half_to_float(block.min);
        for (size_t i = 0; i < 16; i++) {
            dst[at + i] = (float)(block.q[i] & 15) * scale + min;
            dst[at + i + 16] = (float)(block.q[i] >> 4) * scale + min;
        }
    }
}

/* The five bits of values i and i + 16. */
static void join_five_bits(const uint8_t high[4], const uint8_t *q, size_t i, int *first,
                           int *second)
{
    uint32_t bits;
    memcpy(&bits, high, sizeof bits);
    *first = (q[i] & 15) | (int)(bits >> i & 1) << 4;
    *second = q[i] >> 4 | (int)(bits >> (i + 16) & 1) << 4;
}

void q5_0_to_f32(float *dst, const void *src, size_t n)
{
    const unsigned char *bytes = src;
    for (size_t at = 0; at < n; at += Q5_0_VALUES, bytes += sizeof(struct block_q5_0)) {
        struct block_q5_0 block;
        memcpy(&block, bytes, sizeof block);
        float scale = half_to_float(block.scale);
        for (size_t i = 0; i < 16; i++) {
            int first, second;
            join_five_bits(block.high, block.q, i, &first, &second);
            dst[at + i] = (float)(first - 16) * scale;
            dst[at + i + 16] = (float)(second - 16) * scale;
        }
    }
}

void q5_1_to_f32(float *dst, const void *src, size_t n)
{
    const unsigned char *bytes = src;
    for (size_t at = 0; at < n; at += Q5_1_VALUES, bytes += sizeof(struct block_q5_1)) {
        struct block_q5_1 block;
        memcpy(&block, bytes, sizeof block);
        float scale = half_to_float(block.scale), min = half_to_float(block.min);
        for (size_t i = 0; i < 16; i++) {
            int first, second;
            join_five_bits(block.high, block.q, i, &first, &second);
            dst[at + i] = (float)first * scale + min;
            dst[at + i + 16] = (float)second * scale + min;
        }
    }
}

/* ---- eight bits ---- */

void q8_0_to_f32(float *dst, const void *src, size_t n)
{
    const unsigned char *bytes = src;
    for (size_t b = 0; b < n / Q8_0_VALUES; b++) {
        struct block_q8_0 block;
        memcpy(&block, bytes + b * sizeof block, sizeof block);
        float scale = half_to_float(block.scale);
        for (size_t i = 0; i < Q8_0_VALUES; i++)
            dst[b * Q8_0_VALUES + i] = scale * (float)block.q[i];
    }
}

/* The largest magnitude of a block; NaN when one of them is NaN or infinite. */
static float block_magnitude(const float *src)
{
    float largest = 0.0f;
    bool finite = true;
    for (size_t i = 0; i < Q8_0_VALUES; i++) {
        float magnitude = fabsf(src[i]);
        finite = finite && isfinite(magnitude);
        largest = magnitude > largest ? magnitude : largest;
    }
    return finite ? largest : (float)NAN;
}

/* The quotients use the f32 scale, not the stored half, and round halves away from zero: files made
 * by ggml's quantize_row_q8_0_ref() have the same bytes. */
void q8_0_from_f32(void *dst, const float *src, size_t n)
{
    unsigned char *bytes = dst;
    for (size_t b = 0; b < n / Q8_0_VALUES; b++) {
        const float *values = src + b * Q8_0_VALUES;
        float scale = block_magnitude(values) / 127.0f;
        float inverse = scale > 0.0f ? 1.0f / scale : 0.0f;
        struct block_q8_0 block = {.scale = float_to_half(scale)};
        for (size_t i = 0; i < Q8_0_VALUES; i++) {
            /* The bounds hold by construction except where `inverse` overflowed or is of a NaN. */
            float q = roundf(values[i] * inverse);
            q = q > -127.0f ? q : -127.0f;
            block.q[i] = (int8_t)(q < 127.0f ? q : 127.0f);
        }
        memcpy(bytes + b * sizeof block, &block, sizeof block);
    }
}
