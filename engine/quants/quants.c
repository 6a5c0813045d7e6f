#include "engine/quants/quants.h"

#include <string.h>

#include "engine/quants/rows.h"

static uint32_t float_bits(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static float bits_float(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* ---- half and bfloat16 ----
 * Decoding has no branches, so that the loops over rows become vector code. */

/* f32 exponents are biased by 127, half's by 15. */
#define HALF_REBIAS ((uint32_t)(127 - 15) << 23)

static inline float half_value(uint16_t half)
{
    uint32_t magnitude = (uint32_t)(half & 0x7fff) << 13;
    uint32_t sign = (uint32_t)(half & 0x8000) << 16;
    uint32_t normal = magnitude + HALF_REBIAS;
    /* 2^-24 is both half's smallest step and the spacing of f32 numbers from 0.5 on. */
    uint32_t subnormal = float_bits(bits_float(0x3f000000u + (magnitude >> 13)) - 0.5f);
    /* Masks, since compilers turn a choice between integers and a float sum into a branch. */
    uint32_t is_subnormal = 0u - (uint32_t)(magnitude < (1u << 23));
    uint32_t is_infinite_or_nan = 0u - (uint32_t)(magnitude >= (31u << 23));
    uint32_t bits = (subnormal & is_subnormal) | (normal & ~is_subnormal);
    return bits_float((bits + (HALF_REBIAS & is_infinite_or_nan)) | sign);
}

static inline uint16_t half_bits(float value)
{
    uint32_t bits = float_bits(value);
    uint32_t sign = (bits >> 16) & 0x8000u;
    bits &= 0x7fffffffu;
    uint32_t half;
    if (bits > 0x7f800000u)
        half = 0x7e00u | ((bits >> 13) & 0x3ffu); /* quiet, with the top of the payload */
    else if (bits >= 0x47800000u)                 /* 65536 */
        half = 0x7c00u;
    else if (bits >= 0x38800000u) /* 2^-14, the smallest normal half */
        half = (bits - HALF_REBIAS + 0xfffu + ((bits >> 13) & 1u)) >> 13;
    else /* the addition rounds to a multiple of 2^-24 */
        half = float_bits(bits_float(bits) + 0.5f) - 0x3f000000u;
    return (uint16_t)(sign | half);
}

static inline float bfloat16_value(uint16_t bits)
{
    return bits_float((uint32_t)bits << 16);
}

static inline uint16_t bfloat16_bits(float value)
{
    uint32_t bits = float_bits(value);
    uint32_t rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
    uint32_t quiet = (bits >> 16) | 0x40u;
    return (uint16_t)((bits & 0x7fffffffu) > 0x7f800000u ? quiet : rounded);
}

float half_to_float(uint16_t half)
{
    return half_value(half);
}

uint16_t float_to_half(float value)
{
    return half_bits(value);
}

float bfloat16_to_float(uint16_t bits)
{
    return bfloat16_value(bits);
}

uint16_t float_to_bfloat16(float value)
{
    return bfloat16_bits(value);
}

/* ---- rows ---- */

static void f32_to_f32(float *dst, const void *src, size_t n)
{
    memcpy(dst, src, n * sizeof *dst);
}

static void f32_from_f32(void *dst, const float *src, size_t n)
{
    memcpy(dst, src, n * sizeof *src);
}

static void f16_to_f32(float *dst, const void *src, size_t n)
{
    const unsigned char *bytes = src;
    for (size_t i = 0; i < n; i++) {
        uint16_t half;
        memcpy(&half, bytes + 2 * i, sizeof half);
        dst[i] = half_value(half);
    }
}

static void f16_from_f32(void *dst, const float *src, size_t n)
{
    unsigned char *bytes = dst;
    for (size_t i = 0; i < n; i++) {
        uint16_t half = half_bits(src[i]);
        memcpy(bytes + 2 * i, &half, sizeof half);
    }
}

static void bf16_to_f32(float *dst, const void *src, size_t n)
{
    const unsigned char *bytes = src;
    for (size_t i = 0; i < n; i++) {
        uint16_t bits;
        memcpy(&bits, bytes + 2 * i, sizeof bits);
        dst[i] = bfloat16_value(bits);
    }
}

static void bf16_from_f32(void *dst, const float *src, size_t n)
{
    unsigned char *bytes = dst;
    for (size_t i = 0; i < n; i++) {
        uint16_t bits = bfloat16_bits(src[i]);
        memcpy(bytes + 2 * i, &bits, sizeof bits);
    }
}

/* ---- types ---- */

static const struct tensor_type_info table[] = {
    {TENSOR_F32, "F32", 1, sizeof(float), f32_to_f32, f32_from_f32},
    {TENSOR_F16, "F16", 1, sizeof(uint16_t), f16_to_f32, f16_from_f32},
    {TENSOR_BF16, "BF16", 1, sizeof(uint16_t), bf16_to_f32, bf16_from_f32},
    {TENSOR_Q8_0, "Q8_0", Q8_0_VALUES, sizeof(struct block_q8_0), q8_0_to_f32, q8_0_from_f32},
    {TENSOR_Q4_0, "Q4_0", Q4_0_VALUES, sizeof(struct block_q4_0), q4_0_to_f32, q4_0_from_f32},
    {TENSOR_Q4_1, "Q4_1", Q4_1_VALUES, sizeof(struct block_q4_1), q4_1_to_f32, NULL},
    {TENSOR_Q5_0, "Q5_0", Q5_0_VALUES, sizeof(struct block_q5_0), q5_0_to_f32, NULL},
    {TENSOR_Q5_1, "Q5_1", Q5_1_VALUES, sizeof(struct block_q5_1), q5_1_to_f32, NULL},
    {TENSOR_Q2_K, "Q2_K", K_VALUES, sizeof(struct block_q2_k), q2_k_to_f32, NULL},
    {TENSOR_Q3_K, "Q3_K", K_VALUES, sizeof(struct block_q3_k), q3_k_to_f32, NULL},
    {TENSOR_Q4_K, "Q4_K", K_VALUES, sizeof(struct block_q4_k), q4_k_to_f32, q4_k_from_f32},
    {TENSOR_Q5_K, "Q5_K", K_VALUES, sizeof(struct block_q5_k), q5_k_to_f32, NULL},
    {TENSOR_Q6_K, "Q6_K", K_VALUES, sizeof(struct block_q6_k), q6_k_to_f32, q6_k_from_f32},
    {TENSOR_IQ4_NL, "IQ4_NL", IQ4_NL_VALUES, sizeof(struct block_iq4_nl), iq4_nl_to_f32, NULL},
    {TENSOR_IQ4_XS, "IQ4_XS", K_VALUES, sizeof(struct block_iq4_xs), iq4_xs_to_f32, NULL},
};

#define TABLE_SIZE (sizeof table / sizeof table[0])

const struct tensor_type_info *tensor_type_at(size_t i)
{
    return i < TABLE_SIZE ? &table[i] : NULL;
}

const struct tensor_type_info *tensor_type_find(uint32_t type)
{
    for (size_t i = 0; i < TABLE_SIZE; i++)
        if (table[i].type == type) return &table[i];
    return NULL;
}

const char *tensor_type_any_name(uint32_t type)
{
    /* In ggml's order; numbers 4, 5, 31 to 33 and 36 to 38 were given and later withdrawn. */
    static const char *const names[] = {
        "F32",   "F16",        "Q4_0",       "Q4_1",       "Q4_2",     "Q4_3",     "Q5_0",
        "Q5_1",  "Q8_0",       "Q8_1",       "Q2_K",       "Q3_K",     "Q4_K",     "Q5_K",
        "Q6_K",  "Q8_K",       "IQ2_XXS",    "IQ2_XS",     "IQ3_XXS",  "IQ1_S",    "IQ4_NL",
        "IQ3_S", "IQ2_S",      "IQ4_XS",     "I8",         "I16",      "I32",      "I64",
        "F64",   "IQ1_M",      "BF16",       "Q4_0_4_4",   "Q4_0_4_8", "Q4_0_8_8", "TQ1_0",
        "TQ2_0", "IQ4_NL_4_4", "IQ4_NL_4_8", "IQ4_NL_8_8", "MXFP4",    "NVFP4",    "Q1_0",
        "Q2_0",
    };
    return type < sizeof names / sizeof names[0] ? names[type] : "unknown";
}

size_t tensor_type_bytes(enum tensor_type type, size_t n)
{
    const struct tensor_type_info *info = tensor_type_find(type);
    BUG_IF(!info || n % info->block_values != 0);
    BUG_IF(n / info->block_values > SIZE_MAX / info->block_bytes);
    return n / info->block_values * info->block_bytes;
}
