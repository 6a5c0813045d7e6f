/* attention.h - what the heads of each token gather from the tokens before it.
 *
 * Work is cut into tiles: query heads that share keys and values, of several tokens.  Within a tile
 * a block of the cache is read once for all tokens next to each other that have it, be they of one
 * sequence or of several that share it.  Every sum runs over positions in their order, so a token's
 * result depends on its own sequence alone.
 */
#ifndef ASSAY_MODEL_ATTENTION_H
#define ASSAY_MODEL_ATTENTION_H

#include "engine/model/model.h"
#include "engine/model/run_state.h"
#include "engine/model/token_batch.h"

/* The most query heads of a tile, and floats between the scores of two, for a context of n. */
size_t attention_tile_heads(int n_context);
size_t attention_score_stride(int n_context);

/* Floats of scratch that each thread needs. */
size_t attention_thread_floats(const struct model_config *config, int n_context);

/* state->heads (T, n_heads * head_dim) = attention of state->q over the keys and values of a layer
 * (Vaswani et al., 2017, eq. 1; grouped queries: Ainslie et al., 2023).  A decoder's query at
 * position p sees positions 0..p, of which a window keeps the last; an encoder's sees all. */
void attention_apply(const struct model *model, struct run_state *state, int layer,
                     const struct token_batch *batch);

#endif
