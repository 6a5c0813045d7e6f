/* linear.h - matrix products: what nearly all of a forward pass's time goes into.
 *
 *   x (T, cols) -> linear_apply() -> out (T, rows)
 *
 * A `linear` (model_weights.h) is computed in f32 from its stored type, or, where the kernel set
 * has a faster way and the caller did not ask for f32, from a packed copy (packed.h).  A token's
 * result depends on its own row of x alone: not on T, on the number of threads, or on the tokens
 * beside it.
 *
 * Products write their intermediate numbers into scratch that belongs to the run state.
 */
#ifndef ASSAY_MODEL_LINEAR_H
#define ASSAY_MODEL_LINEAR_H

#include "engine/model/model.h"

struct run_state;

/* Multiplications below which waking other threads takes longer than doing the work alone. */
#define MIN_PARALLEL_WORK ((size_t)1 << 19)

/* out (T, W.rows) = x (T, W.cols) W^T + bias */
void linear_apply(const struct model *model, struct run_state *state, float *out, const float *x,
                  int T, const struct linear *w);

/* gate[i] = activation(gate[i]) * up[i] for n numbers. */
typedef void gated_activation(float *gate, const float *up, size_t n);

/* out (T, rows) = activation(x gate^T) * x up^T, of matrices of one shape: a few rows at a time, so
 * that their products go from one to the other without leaving the cache.  False, and nothing done,
 * where the matrices are not plain packed ones of one form. */
bool linear_apply_gated(const struct model *model, struct run_state *state, float *out,
                        const float *x, int T, const struct linear *gate, const struct linear *up,
                        gated_activation *activation);

/* Bytes of scratch for products of at most T tokens: what the threads share, and what each has of
 * its own.  Multiples of 64; SIZE_MAX when that is more than can be counted. */
size_t linear_shared_bytes(const struct model_config *config, size_t T);
size_t linear_thread_bytes(const struct model_config *config, size_t T);

#endif
