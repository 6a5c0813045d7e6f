/* kernels_avx512.h - internal: what the files of the set "avx512" have of each other. */
#ifndef ASSAY_KERNELS_AVX512_H
#define ASSAY_KERNELS_AVX512_H

#include "engine/kernels/kernels.h"

/* kernels_avx512.c: rows of n panels of out (T, rows) = sums (n, T, PACKED_ROWS) + bias */
void avx512_write_panels(const struct packed_product *product, size_t first, size_t n,
                         const float *sums);

/* Registers that a peak's loop adds up in: more than the instruction takes cycles. */
#define AVX512_PEAK_CHAINS 16

/* kernels_avx512_bf16.c */
double avx512_peak_bf16(size_t rounds);
void avx512_prepare_bf16(void *prepared, const float *x, size_t T, size_t K, size_t first,
                         size_t n);
void avx512_multiply_bf16(const struct packed_product *product, size_t first, size_t n,
                          void *scratch);

/* kernels_avx512_int8.c */
double avx512_peak_int8(size_t rounds);
void avx512_prepare_int8(void *prepared, const float *x, size_t T, size_t K, enum packed_form form,
                         size_t first, size_t n);
void avx512_multiply_int8(const struct packed_product *product, size_t first, size_t n,
                          void *scratch);

/* kernels_avx512_stream.c: the same for up to so many tokens of some forms; sums (T, PACKED_ROWS)
 * is room. */
#define AVX512_STREAM_TOKENS 6
bool avx512_streams(enum packed_form form, size_t T);
void avx512_stream_int8(const struct packed_product *product, size_t first, size_t n, float *sums);

#endif
