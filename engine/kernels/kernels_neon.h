/* kernels_neon.h - internal: what the files of the set "neon" have of each other. */
#ifndef ASSAY_KERNELS_NEON_H
#define ASSAY_KERNELS_NEON_H

#include "engine/kernels/kernels.h"

/* Registers that the peak's loop adds up in: more than the instruction takes cycles. */
#define NEON_PEAK_CHAINS 16

/* kernels_neon_packed.c */
bool neon_multiplies(enum packed_form form);
void neon_prepare(void *prepared, const float *x, size_t T, size_t K, enum packed_form form,
                  size_t first, size_t n);
void neon_multiply(const struct packed_product *product, size_t first, size_t n, void *scratch);
double neon_peak_int8(size_t rounds);

#endif
