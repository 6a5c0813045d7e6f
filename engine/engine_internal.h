/* engine_internal.h - an engine's model, for what computes with it: sessions and the scheduler. */
#ifndef ASSAY_ENGINE_INTERNAL_H
#define ASSAY_ENGINE_INTERNAL_H

#include "engine/engine.h"
#include "engine/model/model.h"

const struct model *engine_model(const struct engine *engine);

/* The context that `n_context` asks for: 0 = what the model was trained for.  Fails with
 * STATUS_LIMIT on one that is over the limit, or over what an encoder has positions for. */
status_code engine_context(const struct engine *engine, int n_context, int *out,
                           struct status *st) MUST_CHECK;

/* STATUS_BAD_INPUT on an id outside the vocabulary, STATUS_LIMIT on more tokens than n_context. */
status_code engine_check_tokens(const struct engine *engine, const int32_t *tokens, int n,
                                int n_context, struct status *st) MUST_CHECK;

#endif
