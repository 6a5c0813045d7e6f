/* blocks.h - the parts that families share: matrix products, rotary positions, attention.
 *
 * Work is split over threads by output row or by (token, head): no sum is ever split, so results do
 * not depend on the number of threads.  Letters as in run_state.h.
 */
#ifndef ASSAY_MODEL_BLOCKS_H
#define ASSAY_MODEL_BLOCKS_H

#include <stdint.h>

#include "engine/model/model.h"
#include "engine/model/run_state.h"

/* out (T, W.rows) = x (T, W.cols) W^T */
void linear_apply(const struct model *model, struct run_state *state, float *out, const float *x,
                  int T, const struct linear *w);

/* out (T, d_model) = rows of the embedding matrix times `scale`.  Ids are in the vocabulary. */
void embed_tokens(const struct linear *embedding, float scale, const int32_t *tokens, int T,
                  float *out);

/* out (T, d_model) = RMSNorm of each row of x. */
void norm_rows(const struct model *model, float *out, const float *x, const float *weight, int T);

/* x (T, d_model) += block (T, d_model) */
void add_rows(float *x, const float *block, int T, int d_model);

/* Turns each head of x (T, n_heads * head_dim) by its position, pairing dimension i with
 * i + head_dim / 2 as Hugging Face's checkpoints expect. */
void rope_apply(const struct model_config *config, const struct run_state *state, float *x, int T,
                int n_heads, int start);

/* The cache's rows for a layer at position `start`: (C, n_kv_heads * head_dim). */
float *cache_rows(const struct model_config *config, float *cache, int n_context, int layer,
                  int start);

/* state->heads (T, n_heads * head_dim) = causal attention of state->q over positions
 * 0..start+T-1 of the layer's cache, scores scaled by `scale` (Vaswani et al., 2017, eq. 1;
 * grouped queries: Ainslie et al., 2023). */
void attention_apply(const struct model *model, struct run_state *state, int layer, int T,
                     int start, float scale);

#endif
