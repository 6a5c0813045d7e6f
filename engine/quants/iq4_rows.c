/* Four-bit types whose integers stand for unevenly spaced levels. */
#include <string.h>

#include "engine/quants/quants.h"
#include "engine/quants/rows.h"

/* Denser near zero, where weights are (ggml-common.h, kvalues_iq4nl). */
static const float levels[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                 1,    13,   25,  38,  53,  69,  89,  113};

static void spread_levels(float *dst, const uint8_t *q, float scale)
{
    for (size_t i = 0; i < 16; i++) {
        dst[i] = scale * levels[q[i] & 15];
        dst[i + 16] = scale * levels[q[i] >> 4];
    }
}

void iq4_nl_to_f32(float *dst, const void *src, size_t n)
{
    const unsigned char *bytes = src;
    for (size_t at = 0; at < n; at += IQ4_NL_VALUES, bytes += sizeof(struct block_iq4_nl)) {
        struct block_iq4_nl block;
        memcpy(&block, bytes, sizeof block);
        spread_levels(dst + at, block.q, half_to_float(block.scale));
    }
}

void iq4_xs_to_f32(float *dst, const void *src, size_t n)
{
    const unsigned char *bytes = src;
    for (size_t at = 0; at < n; at += K_VALUES, bytes += sizeof(struct block_iq4_xs)) {
        struct block_iq4_xs block;
        memcpy(&block, bytes, sizeof block);
        float scale = half_to_float(block.scale);
        for (int b = 0; b < K_VALUES / 32; b++) {
            int low = block.scales_low[b / 2] >> 4 * (b % 2) & 15;
            int high = block.scales_high >> 2 * b & 3;
            spread_levels(dst + at + 32 * b, block.q + 16 * b,
                          scale * (float)((low | high << 4) - 32));
        }
    }
}
