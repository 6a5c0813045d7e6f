/* synthetic_model.h - a model of made-up weights at a published model's shape, in memory.
 *
 *   shape and type -> synthetic_model_create() -> a path that engine_open() takes
 *
 * For measuring speed where no weights are at hand: what a forward pass costs depends on shapes and
 * types, hardly on values.  The file is a GGUF in memory (memfd), without a vocabulary; it is gone
 * when the synthetic_model is freed, which must come after its engine.  Weights are random blocks
 * of a pool, of a size that keeps activations sane, and the same for the same shape and type.
 *
 *   struct synthetic_options options = {.shape = "gemma-2b", .weights = "q8_0"};
 *   if (synthetic_model_create(&model, &options, st) != STATUS_OK) ...
 *   engine_options.model_path = synthetic_model_path(model);
 */
#ifndef ASSAY_SYNTHETIC_MODEL_H
#define ASSAY_SYNTHETIC_MODEL_H

#include <stddef.h>

#include "engine/base/status.h"

struct synthetic_model; /* opaque */

struct synthetic_options {
    const char *shape;   /* "gemma-2b"; synthetic_shape_names() has them all */
    const char *weights; /* a type of quants.h in any case, "q4_0"; NULL = BF16 */
    int n_layers;        /* 0 = all that the model has */
    int n_threads;       /* to make it with; 0 = one per processor */
};

/* STATUS_USAGE on a name that is not known or a type that nothing here writes, STATUS_IO where the
 * system has no room. */
status_code synthetic_model_create(struct synthetic_model **out,
                                   const struct synthetic_options *options,
                                   struct status *st) MUST_CHECK;
void synthetic_model_free(struct synthetic_model *model);

/* What engine_open() takes, and what people may read: "gemma-2b, made-up weights". */
const char *synthetic_model_path(const struct synthetic_model *model);
const char *synthetic_model_title(const struct synthetic_model *model);

/* All shapes, with commas between. */
const char *synthetic_shape_names(void);

#endif
