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
#include "engine/quants/packed.h"

/* A product with packed weights: out (T, rows) = x W^T + bias. */
struct packed_product {
    const struct packed_matrix *w;
    const void *x; /* what prepare() wrote for T tokens */
    size_t T;
    float *out;
    size_t out_stride;
    const float *bias; /* (rows) or NULL */
};

/* Bytes that prepare() writes for T tokens of K numbers, and that multiply() needs for itself. */
#define PACKED_INPUT_BYTES(T, K) (((K) + PACKED_GROUP - 1) / PACKED_GROUP * (T)*512)
#define PACKED_SCRATCH_BYTES(T)  (4 * (T)*PACKED_ROWS * sizeof(float) + 12288)

/* How fast one thread can be at most: a loop of multiply-adds that stays in registers. */
struct kernel_peak {
    const char *name;             /* what it multiplies: "f32", "bf16" or "int8" */
    double (*run)(size_t rounds); /* the result means nothing and must be used */
    double operations;            /* of a round; a multiply-add is two */
};

#define KERNEL_MAX_PEAKS 3

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

    /* gate[i] = silu(gate[i]) * up[i], silu(x) = x / (1 + exp(-x)): SwiGLU's (Shazeer, 2020) */
    void (*silu_mul)(float *gate, const float *up, size_t n);

    /* x[i] = exp(x[i] - max x) / sum; n > 0 */
    void (*softmax)(float *x, size_t n);

    /* ---- products with packed weights ----
     *
     * BF16: activations are rounded to BF16, products of two such numbers are exact in f32, and
     * each output is summed in f32 over the columns in order (a set may add two columns at a time).
     *
     * int8: a token's 256 columns share one scale, by which its numbers are integers of -127 to
     * 127. A sub-block's sum of products is an integer and exact.  Its product with the sub-block's
     * weight scale is added to the group's sum; then, in forms with mins, the integer sum of min
     * times sum of the sub-block's activations, times the min scale, is subtracted; then the
     * group's sum times the token's scale is added to the output.  Each step is one fma, from 0 on,
     * in the order of columns: all sets give the same bits. */

    /* Is there a multiply() for this form? */
    bool (*multiplies)(enum packed_form form);

    /* Writes tokens first..first+n-1 of T, rows of x (T, K), as multiply() of the form takes them.
     */
    void (*prepare)(void *prepared, const float *x, size_t T, size_t K, enum packed_form form,
                    size_t first, size_t n);

    /* Rows of n panels from `first` on.  Scratch is aligned to 64 bytes. */
    void (*multiply)(const struct packed_product *product, size_t first, size_t n, void *scratch);

    /* What the set's products are limited by; a name of NULL ends the list. */
    struct kernel_peak peaks[KERNEL_MAX_PEAKS];
};

/* By name, or the fastest that this machine supports for NULL and "auto".  Fails with STATUS_USAGE
 * on an unknown name and STATUS_UNSUPPORTED on a set that the machine cannot run. */
status_code kernel_set_select(const struct kernel_set **out, const char *name,
                              struct status *st) MUST_CHECK;

/* The sets that were built, fastest first; NULL past the last. */
const struct kernel_set *kernel_set_at(size_t i);

extern const struct kernel_set kernels_generic;
extern const struct kernel_set kernels_avx2;
extern const struct kernel_set kernels_avx512;
extern const struct kernel_set kernels_neon;

#endif
