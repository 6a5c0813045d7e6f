/* low_rank.h - what an adapter adds to a matrix product (LoRA: Hu et al., arXiv 2106.09685).
 *
 *   y = W x + bias, then y += scale * B (A x)
 *
 * W stays as it is stored, so one base serves any number of adapters, and a quantised base is
 * adapted as it was trained (QLoRA).  Letters: T = tokens, R = rank.
 */
#ifndef ASSAY_MODEL_LOW_RANK_H
#define ASSAY_MODEL_LOW_RANK_H

#include <stddef.h>

/* Rows of a product that a thread computes together. */
#define LOW_RANK_TILE 6

struct kernel_set;
struct run_state;

struct low_rank {
    const float *a; /* (R, cols) */
    const float *b; /* (rows, R) */
    int rank;
    float scale;
};

/* out (T, rows) += scale * x (T, cols) A^T B^T; a token's result does not depend on T, nor on the
 * number of threads. */
void low_rank_apply(const struct kernel_set *kernels, struct run_state *state, float *out,
                    const float *x, int T, int rows, int cols, const struct low_rank *pair);

#endif
