/* Kernels for 64-bit Arm with NEON and its dot product (Armv8.2 and later: Graviton 2, Cortex-A76,
 * Apple M1): the table and what f32_entries.h wants to know. */
#include "engine/kernels/kernels_neon.h"

#if defined(__aarch64__) && defined(__linux__)

#include <arm_neon.h>
#include <asm/hwcap.h>
#include <sys/auxv.h>

#define LANES 4

#include "engine/kernels/vectors.h"

static bool supported(void)
{
    return (getauxval(AT_HWCAP) & HWCAP_ASIMDDP) != 0;
}

INLINE vec fused(vec a, vec b, vec c)
{
    return vfmaq_f32(c, a, b);
}

INLINE vec load_first(const float *p, size_t n)
{
    vec v = {0};
    memcpy(&v, p, n * sizeof *p);
    return v;
}

INLINE void store_first(float *p, vec v, size_t n)
{
    memcpy(p, &v, n * sizeof *p);
}

INLINE float sum_lanes(vec v)
{
    return (v[0] + v[2]) + (v[1] + v[3]);
}

INLINE vec max_lanes(vec a, vec b)
{
    return vmaxq_f32(a, b);
}

INLINE vec min_lanes(vec a, vec b)
{
    return vminq_f32(a, b);
}

INLINE vec nearest(vec v)
{
    return vrndnq_f32(v);
}

/* In two factors: for the largest n one alone would overflow. */
INLINE vec times_power(vec p, vec n)
{
    whole_vec whole = vcvtnq_s32_f32(n), half = whole >> 1;
    return p * (vec)((half + 127) << 23) * (vec)((whole - half + 127) << 23);
}

INLINE vec zero_where_less(vec p, vec a, vec b)
{
    return (vec)((whole_vec)p & ~(a < b));
}

INLINE vec lanes_of_int8(const int8_t *q)
{
    whole_vec whole = {q[0], q[1], q[2], q[3]};
    return vcvtq_f32_s32(whole);
}

INLINE vec lanes_of_halves(const unsigned char *p)
{
    return vcvt_f32_f16(vreinterpret_f16_u8(vld1_u8(p)));
}

INLINE vec lanes_of_bfloats(const unsigned char *p)
{
    return vreinterpretq_f32_u32(vshll_n_u16(vreinterpret_u16_u8(vld1_u8(p)), 16));
}

INLINE float float_of_half(uint16_t bits)
{
    return half_to_float(bits);
}

#include "engine/kernels/f32_entries.h"

const struct kernel_set kernels_neon = {
    .name = "neon",
    .supported = supported,
    .unpack = unpack,
    .dot_tile = dot_tile,
    .mix_rows = mix_rows,
    .rms_norm = rms_norm,
    .gelu_tanh_mul = gelu_tanh_mul,
    .silu_mul = silu_mul,
    .softmax = softmax,
    .multiplies = neon_multiplies,
    .prepare = neon_prepare,
    .multiply = neon_multiply,
    .peaks = {{"f32", peak_f32, 2.0 * PEAK_CHAINS *LANES},
              {"int8", neon_peak_int8, 2.0 * NEON_PEAK_CHAINS * 16}},
};

#endif
