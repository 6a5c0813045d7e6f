/* kernels_avx2.h - internal: what the files of the set "avx2" have of each other. */
#ifndef ASSAY_KERNELS_AVX2_H
#define ASSAY_KERNELS_AVX2_H

#include "engine/kernels/kernels.h"

/* Registers that a peak's loop adds up in: more than the instruction takes cycles. */
#define AVX2_PEAK_CHAINS 12

/* kernels_avx2_packed.c */
bool avx2_multiplies(enum packed_form form);
void avx2_prepare(void *prepared, const float *x, size_t T, size_t K, enum packed_form form,
                  size_t first, size_t n);
void avx2_multiply(const struct packed_product *product, size_t first, size_t n, void *scratch);

/* Of numbers below 16; those of 8 bits take twice as many instructions. */
double avx2_peak_int8(size_t rounds);

#endif
