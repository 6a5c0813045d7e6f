/* encoder_blocks.h - what BERT and its descendants share.
 *
 * An encoder computes a whole text at once, every token seeing every other; its classifier reads
 * the first token.  Letters as in run_state.h.
 */
#ifndef ASSAY_MODEL_ENCODER_BLOCKS_H
#define ASSAY_MODEL_ENCODER_BLOCKS_H

#include "engine/base/json.h"
#include "engine/model/blocks.h"

/* The weights of one linear map or norm and its bias, to fill a family's table with. */
#define WEIGHT_AND_BIAS(id, name)                                                                  \
    [id] = {name ".weight", NULL, false}, [id##_BIAS] = {name ".bias", NULL, false}

/* Labels and how they are read ("id2label", "num_labels", "problem_type"), and what follows from
 * shapes that are already there.  Checks that heads divide d_model. */
status_code encoder_config_finish(struct model_config *config, const struct json_value *json,
                                  struct status *st) MUST_CHECK;

/* Embeddings of words, positions and token type 0, normed, then layers with a norm after each block
 * (Devlin et al., arXiv 1810.04805). */
void encoder_forward(const struct model *model, struct run_state *state,
                     const struct token_batch *batch);

/* state->logits = classifier(activation(pooler(first token))), with tanh and with max(0, x). */
void encoder_classify_tanh(const struct model *model, struct run_state *state);
void encoder_classify_relu(const struct model *model, struct run_state *state);

#endif
