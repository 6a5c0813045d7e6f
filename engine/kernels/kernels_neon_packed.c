/* Products with packed weights for 64-bit Arm with NEON and its dot product. */
#include "engine/kernels/kernels_neon.h"

#if defined(__aarch64__) && defined(__linux__)

#include <arm_neon.h>

#define LANES 4

#include "engine/kernels/vectors.h"

static inline void floats_of_halves(float *dst, const uint16_t *src)
{
    for (size_t i = 0; i < PACKED_ROWS; i += 4)
        vst1q_f32(dst + i, vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(src + i))));
}

#include "engine/kernels/panels.h"

INLINE vec fused(vec a, vec b, vec c)
{
    return vfmaq_f32(c, a, b);
}

INLINE whole_vec pair_dots(whole_vec a, whole_vec b)
{
    int16x8_t x = vreinterpretq_s16_s32(a), y = vreinterpretq_s16_s32(b);
    return vpaddq_s32(vmull_s16(vget_low_s16(x), vget_low_s16(y)), vmull_high_s16(x, y));
}

INLINE size_t int8_tokens(enum packed_form form)
{
    (void)form;
    return INT8_TOKENS;
}

/* Activations are read where they lie. */
struct tile_input {
    int nothing;
};

INLINE void read_tile(struct tile_input *input, const struct int8_input *x, const int tokens,
                      const enum packed_form form)
{
    (void)input, (void)x, (void)tokens, (void)form;
}

/* 4 rows' numbers of a four; those of 8 bits are made signed again. */
INLINE int8x16_t load_four(const uint8_t *w, const enum packed_form form)
{
    uint8x16_t bytes = vld1q_u8(w);
    if (form == PACKED_Q8_0) bytes = veorq_u8(bytes, vdupq_n_u8(128));
    return vreinterpretq_s8_u8(bytes);
}

/* dot += the products of four `lane` of a token's 16 columns */
#define ADD_FOUR(lane)                                                                             \
    do {                                                                                           \
        int8x16_t weights[8];                                                                      \
        UNROLL(8)                                                                                  \
        for (int v = 0; v < vectors; v++)                                                          \
            weights[v] = load_four(w + (lane)*FOUR_BYTES + 16 * v, form);                          \
        UNROLL(4)                                                                                  \
        for (int t = 0; t < tokens; t++) {                                                         \
            UNROLL(8)                                                                              \
            for (int v = 0; v < vectors; v++)                                                      \
                dot[t][v] = vdotq_laneq_s32(dot[t][v], weights[v], q[t], lane);                    \
        }                                                                                          \
    } while (0)

/* dots (tokens, 32) = the integer sums of sub-block `sub` for the tile's rows, whose weights are
 * at w. */
INLINE void dot_sub_block(int32_t (*dots)[PACKED_ROWS], const uint8_t *w,
                          const struct int8_input *x, const struct tile_input *input, size_t sub,
                          const int tokens, const int vectors, const enum packed_form form)
{
    const size_t columns = form == PACKED_Q6_K ? 16 : 32;
    int32x4_t dot[INT8_TOKENS][8];
    (void)input;
    UNROLL(4)
    for (int t = 0; t < tokens; t++) {
        UNROLL(8)
        for (int v = 0; v < vectors; v++)
            dot[t][v] = vdupq_n_s32(form == PACKED_Q8_0 ? 0 : x[t].start[sub]);
    }
    for (size_t k = 0; k < columns; k += 16, w += 4 * FOUR_BYTES) {
        int8x16_t q[INT8_TOKENS];
        UNROLL(4)
        for (int t = 0; t < tokens; t++) q[t] = vld1q_s8(x[t].q + sub * columns + k);
        ADD_FOUR(0);
        ADD_FOUR(1);
        ADD_FOUR(2);
        ADD_FOUR(3);
    }
    UNROLL(4)
    for (int t = 0; t < tokens; t++) {
        UNROLL(8)
        for (int v = 0; v < vectors; v++) vst1q_s32(dots[t] + 4 * v, dot[t][v]);
    }
}

#include "engine/kernels/tiles.h"

double neon_peak_int8(size_t rounds)
{
    int32x4_t sum[NEON_PEAK_CHAINS];
    const int8x16_t w = vdupq_n_s8((int8_t)rounds), x = vdupq_n_s8(1);
    UNROLL(16)
    for (int i = 0; i < NEON_PEAK_CHAINS; i++) sum[i] = vdupq_n_s32(i);
    for (size_t round = 0; round < rounds; round++) {
        UNROLL(16)
        for (int i = 0; i < NEON_PEAK_CHAINS; i++) sum[i] = vdotq_s32(sum[i], w, x);
    }
    UNROLL(16)
    for (int i = 1; i < NEON_PEAK_CHAINS; i++) sum[0] = veorq_s32(sum[0], sum[i]);
    return (double)vaddvq_s32(sum[0]);
}

bool neon_multiplies(enum packed_form form)
{
    return form != PACKED_NONE;
}

void neon_prepare(void *prepared, const float *x, size_t T, size_t K, enum packed_form form,
                  size_t first, size_t n)
{
    tiles_prepare(prepared, x, T, K, form, first, n);
}

void neon_multiply(const struct packed_product *product, size_t first, size_t n, void *scratch)
{
    tiles_multiply(product, first, n, scratch);
}

#endif
