/* kernels_generic.h - internal: what the files of the set "generic" have of each other. */
#ifndef ASSAY_KERNELS_GENERIC_H
#define ASSAY_KERNELS_GENERIC_H

#include "engine/kernels/kernels.h"

/* kernels_generic_packed.c */
bool generic_multiplies(enum packed_form form);
void generic_prepare(void *prepared, const float *x, size_t T, size_t K, enum packed_form form,
                     size_t first, size_t n);
void generic_multiply(const struct packed_product *product, size_t first, size_t n, void *scratch);

#endif
