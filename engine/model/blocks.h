/* blocks.h - the parts that families share: norms, rotary positions, attention,
 * feed-forward blocks.
 *
 * Work is split over threads by output row or by (token, head): no sum is ever split, so results do
 * not depend on the number of threads.  Letters as in run_state.h.
 */
#ifndef ASSAY_MODEL_BLOCKS_H
#define ASSAY_MODEL_BLOCKS_H

#include <stdint.h>

#include "engine/model/model.h"
#include "engine/model/linear.h"
#include "engine/model/run_state.h"
#include "engine/model/token_batch.h"

/* out (d_model) = one row of an embedding matrix times `scale`.  `row` is in the matrix. */
void embed_row(const struct linear *embedding, float scale, int row, float *out);

/* state->x (T, d_model) = rows of the embedding matrix times the config's scale. */
void embed_tokens(const struct model *model, struct run_state *state, const int32_t *tokens, int T);

/* out (rows, dim) = RMSNorm of each row of x, or LayerNorm (Ba et al., 2016) where the norm has a
 * bias.  `out` may be `x`. */
void norm_rows(const struct model *model, const struct run_state *state, float *out, const float *x,
               const struct norm *norm, int rows, int dim);

/* x (T, d_model) += block (T, d_model) */
void add_rows(const struct run_state *state, float *x, const float *block, int T, int d_model);

/* Attention, with everything that a family's config and weights say: biases, norms of queries and
 * keys, rotary positions, window, soft cap.  attention_keys() puts the keys and values of x (T,
 * d_model), the batch's rows, where attention_block() finds them: out (T, d_model) = attention of x
 * over them and what was there before.  `out` may be `x`. */
void attention_keys(const struct model *model, struct run_state *state, int layer, const float *x,
                    const struct token_batch *batch);
void attention_block(const struct model *model, struct run_state *state, int layer, float *out,
                     const float *x, const struct token_batch *batch);

/* In the last layer, once the keys are stored: state->x and state->normed keep the rows that are
 * read, side by side.  Returns the batch of these, which may have none. */
struct token_batch keep_read_rows(const struct model *model, struct run_state *state,
                                  const struct token_batch *batch);

/* x becomes cap * tanh(x / cap) (Gemma 2, arXiv 2408.00118, section 2). */
void soft_cap(float *x, size_t n, float cap);

/* out (T, d_model) = W_down (activation(W_gate x) * W_up x).  `out` may be `x`. */
void gated_feed_forward(const struct model *model, struct run_state *state, int layer, float *out,
                        const float *x, int T, gated_activation *activation);

/* x[i] = activation(x[i]) for n numbers. */
typedef void plain_activation(float *x, size_t n);

/* GELU in its tanh form ("gelu_new") and with the error function ("gelu") (Hendrycks and Gimpel,
 * 2016). */
void gelu_tanh(float *x, size_t n);
void gelu_erf(float *x, size_t n);

/* out (T, d_model) = W_down activation(W_up x).  `out` may be `x`. */
void plain_feed_forward(const struct model *model, struct run_state *state, int layer, float *out,
                        const float *x, int T, plain_activation *activation);

/* The forward pass of a decoder whose blocks follow each other, with RMSNorm before each block and,
 * where the family has them, after each: Gemma, Llama, Mistral, Qwen3, Granite. */
void sequential_forward(const struct model *model, struct run_state *state,
                        const struct token_batch *batch, gated_activation *activation);

/* state->logits (T, n_vocab) of hidden states x (T, d_model), scale and soft cap applied;
 * T <= state->logit_rows. */
void logits_apply(const struct model *model, struct run_state *state, const float *x, int T);

#endif
