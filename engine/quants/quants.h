/* quants.h - how numbers are stored in a tensor, and back to f32.
 *
 *   bytes of a row -> tensor_type_find(type)->to_f32() -> f32
 *
 * Types carry ggml's names and numbers (ggml.h), since GGUF files store them.  A row is a whole
 * number of blocks.  Bytes may be unaligned: safetensors headers have any length.  Everything here
 * is a pure function of its arguments and may be called by any thread.
 *
 *   const struct tensor_type_info *type = tensor_type_find(view->type);
 *   size_t row_bytes = tensor_type_bytes(view->type, n_columns);
 *   type->to_f32(row, (const char *)view->data + i * row_bytes, n_columns);
 */
#ifndef ASSAY_QUANTS_H
#define ASSAY_QUANTS_H

#include <stddef.h>
#include <stdint.h>

#include "engine/base/status.h"
#include "engine/quants/block_layouts.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "model files are read in place");

enum tensor_type {
    TENSOR_F32 = 0,
    TENSOR_F16 = 1,
    TENSOR_Q4_0 = 2,
    TENSOR_Q4_1 = 3,
    TENSOR_Q5_0 = 6,
    TENSOR_Q5_1 = 7,
    TENSOR_Q8_0 = 8,
    TENSOR_Q2_K = 10,
    TENSOR_Q3_K = 11,
    TENSOR_Q4_K = 12,
    TENSOR_Q5_K = 13,
    TENSOR_Q6_K = 14,
    TENSOR_IQ4_NL = 20,
    TENSOR_IQ4_XS = 23,
    TENSOR_BF16 = 30
};

struct tensor_type_info {
    enum tensor_type type;
    const char *name;
    size_t block_values; /* numbers in a block */
    size_t block_bytes;
    /* dst[n] from the bytes of n values; n is a multiple of block_values. */
    void (*to_f32)(float *dst, const void *src, size_t n);
    /* The bytes of n values from src[n], as near as the type allows; a block that holds a NaN or an
     * infinity reads back as NaN throughout.  NULL for types that are read and not written. */
    void (*from_f32)(void *dst, const float *src, size_t n);
};

/* The row of the table for a ggml type number, or NULL when it is not one we can read. */
const struct tensor_type_info *tensor_type_find(uint32_t type);

/* The rows in turn; NULL past the last. */
const struct tensor_type_info *tensor_type_at(size_t i);

/* ggml's name of any type number it ever gave, for messages; "unknown" otherwise. */
const char *tensor_type_any_name(uint32_t type);

/* Bytes of n values; n must be a multiple of the block. */
size_t tensor_type_bytes(enum tensor_type type, size_t n);

/* IEEE half and bfloat16, exact to f32; from f32 to nearest, ties to even.  NaNs stay NaN. */
float half_to_float(uint16_t half);
uint16_t float_to_half(float value);
float bfloat16_to_float(uint16_t bits);
uint16_t float_to_bfloat16(float value);

#endif
