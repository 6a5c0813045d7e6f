/* The k-quants to f32: blocks of 256 in sub-blocks with their own small scales.  Layouts:
 * block_layouts.h.  Products are formed in the order of ggml's reference functions, so that every
 * value has the same bits. */
#include <string.h>

#include "engine/quants/quants.h"
#include "engine/quants/rows.h"

/* ---- two and three bits: halves of 128, in each four runs of 32, cut into sub-blocks of 16 ----
 */

static void q2_k_block(float *dst, const struct block_q2_k *block)
{
    float scale = half_to_float(block->scale), min = half_to_float(block->min);
    for (int sub = 0; sub < 16; sub++) {
        int half = sub / 8, run = sub % 8 / 2;
        const uint8_t *q = block->q + 32 * half + 16 * (sub % 2);
        float s = scale * (float)(block->scales[sub] & 15);
        float m = min * (float)(block->scales[sub] >> 4);
        for (int i = 0; i < 16; i++) dst[16 * sub + i] = s * (float)(q[i] >> 2 * run & 3) - m;
    }
}

void q2_k_to_f32(float *dst, const void *src, size_t n)
{
    const unsigned char *bytes = src;
    for (size_t at = 0; at < n; at += K_VALUES, bytes += sizeof(struct block_q2_k)) {
        struct block_q2_k block;
        memcpy(&block, bytes, sizeof block);
        q2_k_block(dst + at, &block);
    }
}

static int q3_k_scale(const uint8_t packed[12], int sub)
{
    int low = packed[sub % 8] >> 4 * (sub / 8) & 15;
    int high = packed[8 + sub % 4] >> 2 * (sub / 4) & 3;
    return (low | high << 4) - 32;
}

static void q3_k_block(float *dst, const struct block_q3_k *block)
{
    float scale = half_to_float(block->scale);
    for (int sub = 0; sub < 16; sub++) {
        int half = sub / 8, run = sub % 8 / 2;
        const uint8_t *q = block->q + 32 * half + 16 * (sub % 2);
        const uint8_t *high = block->high + 16 * (sub % 2);
        float s = scale * (float)q3_k_scale(block->scales, sub);
        for (int i = 0; i < 16; i++) {
            int low = q[i] >> 2 * run & 3, top = high[i] >> (4 * half + run) & 1;
            dst[16 * sub + i] = s * (float)((low | top << 2) - 4);
        }
    }
}

void q3_k_to_f32(float *dst, const void *src, size_t n)
{
    const unsigned char *bytes = src;
    for (size_t at = 0; at < n; at += K_VALUES, bytes += sizeof(struct block_q3_k)) {
        struct block_q3_k block;
        memcpy(&block, bytes, sizeof block);
        q3_k_block(dst + at, &block);
    }
}

/* ---- four and five bits: sub-blocks of 32 ---- */

/* Sub-blocks 0..3 have their six bits in the low part of bytes 0..3 (scale) and 4..7 (min); 4..7
 * have four bits of each in bytes 8..11 and the upper two in the top of those same bytes. */
void q4_k_scale_min(const uint8_t packed[12], int sub, int *scale, int *min)
{
    if (sub < 4) {
        *scale = packed[sub] & 63;
        *min = packed[sub + 4] & 63;
    } else {
        *scale = (packed[sub + 4] & 15) | packed[sub - 4] >> 6 << 4;
        *min = packed[sub + 4] >> 4 | packed[sub] >> 6 << 4;
    }
}

void q4_k_to_f32(float *dst, const void *src, size_t n)
{
    const unsigned char *bytes = src;
    for (size_t at = 0; at < n; at += K_VALUES, bytes += sizeof(struct block_q4_k)) {
        struct block_q4_k block;
        memcpy(&block, bytes, sizeof block);
        for (int sub = 0; sub < 8; sub++) {
            int scale, min;
            q4_k_scale_min(block.scales, sub, &scale, &min);
            float s = half_to_float(block.scale) * (float)scale;
            float m = half_to_float(block.min) * (float)min;
            const uint8_t *q = block.q + 32 * (sub / 2);
            float *out = dst + at + 32 * sub;
            for (int i = 0; i < 32; i++) out[i] = s * (float)(q[i] >> 4 * (sub % 2) & 15) - m;
        }
    }
}

void q5_k_to_f32(float *dst, const void *src, size_t n)
{
    const unsigned char *bytes = src;
    for (size_t at = 0; at < n; at += K_VALUES, bytes += sizeof(struct block_q5_k)) {
        struct block_q5_k block;
        memcpy(&block, bytes, sizeof block);
        for (int sub = 0; sub < 8; sub++) {
            int scale, min;
            q4_k_scale_min(block.scales, sub, &scale, &min);
            float s = half_to_float(block.scale) * (float)scale;
            float m = half_to_float(block.min) * (float)min;
            const uint8_t *q = block.q + 32 * (sub / 2);
            float *out = dst + at + 32 * sub;
            for (int i = 0; i < 32; i++) {
                int low = q[i] >> 4 * (sub % 2) & 15, top = block.high[i] >> sub & 1;
                out[i] = s * (float)(low | top << 4) - m;
            }
        }
    }
}

/* ---- six bits: sub-blocks of 16 ---- */

static void q6_k_block(float *dst, const struct block_q6_k *block)
{
    float scale = half_to_float(block->scale);
    for (int sub = 0; sub < 16; sub++) {
        int half = sub / 8, run = sub % 8 / 2; /* runs of 32 */
        const uint8_t *q = block->q + 64 * half + 32 * (run % 2) + 16 * (sub % 2);
        const uint8_t *high = block->high + 32 * half + 16 * (sub % 2);
        float s = scale * (float)block->scales[sub];
        for (int i = 0; i < 16; i++) {
            int low = q[i] >> 4 * (run / 2) & 15, top = high[i] >> 2 * run & 3;
            dst[16 * sub + i] = s * (float)((low | top << 4) - 32);
        }
    }
}

void q6_k_to_f32(float *dst, const void *src, size_t n)
{
    const unsigned char *bytes = src;
    for (size_t at = 0; at < n; at += K_VALUES, bytes += sizeof(struct block_q6_k)) {
        struct block_q6_k block;
        memcpy(&block, bytes, sizeof block);
        q6_k_block(dst + at, &block);
    }
}
