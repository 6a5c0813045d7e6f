/* rows.h - the functions behind the table of types.  Internal to quants.
 *
 * Each X_to_f32 and X_from_f32 is a row of the table in quants.c; quants.h says what they do.
 */
#ifndef ASSAY_QUANTS_ROWS_H
#define ASSAY_QUANTS_ROWS_H

#include <stddef.h>
#include <stdint.h>

#include "engine/quants/block_layouts.h"

/* blocks_of_32.c */
void q4_0_to_f32(float *dst, const void *src, size_t n);
void q4_0_from_f32(void *dst, const float *src, size_t n);
void q4_1_to_f32(float *dst, const void *src, size_t n);
void q5_0_to_f32(float *dst, const void *src, size_t n);
void q5_1_to_f32(float *dst, const void *src, size_t n);
void q8_0_to_f32(float *dst, const void *src, size_t n);
void q8_0_from_f32(void *dst, const float *src, size_t n);

/* k_rows.c */
void q2_k_to_f32(float *dst, const void *src, size_t n);
void q3_k_to_f32(float *dst, const void *src, size_t n);
void q4_k_to_f32(float *dst, const void *src, size_t n);
void q5_k_to_f32(float *dst, const void *src, size_t n);
void q6_k_to_f32(float *dst, const void *src, size_t n);

/* The six-bit scale and min of a sub-block of Q4_K or Q5_K. */
void q4_k_scale_min(const uint8_t packed[12], int sub, int *scale, int *min);

/* k_fit.c */
void q4_k_from_f32(void *dst, const float *src, size_t n);
void q6_k_from_f32(void *dst, const float *src, size_t n);

/* iq4_rows.c */
void iq4_nl_to_f32(float *dst, const void *src, size_t n);
void iq4_xs_to_f32(float *dst, const void *src, size_t n);

#endif
