/* kernels.h - the loops where the time goes, one table per instruction set.
 *
 *   kernel_set_select("auto") -> a table of functions -> the model calls through it
 *
 * Model code never names an instruction set.  Every entry has a portable twin in
 * kernels_generic.c, which is always built and is the reference; a faster set overrides the entries
 * it improves and takes the others from there.  Tables are constant and shared.
 *
 * Each sum runs in an order that depends on its length alone, never on how many tokens or rows are
 * computed together: a token's result is the same in a batch of one and in a batch of hundreds.
 *
 * Letters: T = tokens, R = rows of the weight matrix, K = columns (numbers summed).
 */
#ifndef ASSAY_KERNELS_H
#define ASSAY_KERNELS_H

#include <stddef.h>

#include "engine/base/status.h"
#include "engine/quants/quants.h"

struct kernel_set {
    const char *name;
    bool (*supported)(void); /* may this machine run it? */

    /* dst[n] = the values of n stored numbers, exactly those of type->to_f32(). */
    void (*unpack)(float *dst, const void *src, const struct tensor_type_info *type, size_t n);

    /* out[t * out_stride + r] = sum over k of x[t * x_stride + k] * w[r * w_stride + k],
     * for t < T, r < R, k < K. */
    void (*dot_tile)(float *out, size_t out_stride, const float *x, size_t x_stride, const float *w,
                     size_t w_stride, size_t T, size_t R, size_t K);

    /* out[t * out_stride + k] += sum over r of a[t * a_stride + r] * x[r * x_stride + k], one r
     * after the other, for t < T, r < R, k < K: what attention makes of a block of values. */
    void (*mix_rows)(float *out, size_t out_stride, const float *a, size_t a_stride, const float *x,
                     size_t x_stride, size_t T, size_t R, size_t K);

    /* out[i] = x[i] / sqrt(mean(x^2) + eps) * weight[i]  (Zhang and Sennrich, 2019) */
    void (*rms_norm)(float *out, const float *x, const float *weight, size_t n, float eps);

    /* gate[i] = gelu(gate[i]) * up[i], gelu in its tanh form (Hendrycks and Gimpel, 2016) */
    void (*gelu_tanh_mul)(float *gate, const float *up, size_t n);

    /* x[i] = exp(x[i] - max x) / sum; n > 0 */
    void (*softmax)(float *x, size_t n);
};

/* By name, or the fastest that this machine supports for NULL and "auto".  Fails with STATUS_USAGE
 * on an unknown name and STATUS_UNSUPPORTED on a set that the machine cannot run. */
status_code kernel_set_select(const struct kernel_set **out, const char *name,
                              struct status *st) MUST_CHECK;

/* The sets that were built, fastest first; NULL past the last. */
const struct kernel_set *kernel_set_at(size_t i);

extern const struct kernel_set kernels_generic;
extern const struct kernel_set kernels_avx2;

#endif
