/* model_config.h - a model's hyperparameters, from config.json or GGUF metadata.
 *
 * A `model_config` is plain data, complete and checked: a config that loads has shapes that fit
 * limits.h and describe a model that the architecture's forward pass can run as it stands.
 */
#ifndef ASSAY_MODEL_CONFIG_H
#define ASSAY_MODEL_CONFIG_H

#include <stdint.h>

#include "engine/base/status.h"

struct gguf;
struct json_value;
struct architecture;

struct model_config {
    const struct architecture *architecture;
    int n_layers;
    int d_model;    /* hidden size */
    int n_heads;    /* query heads */
    int n_kv_heads; /* divides n_heads */
    int head_dim;   /* even; n_heads * head_dim need not be d_model */
    int d_ff;       /* width of the feed-forward block */
    int n_vocab;
    int n_context; /* positions the model was trained for */
    float rms_eps;
    double rope_theta;
    float embedding_scale; /* embeddings are multiplied by this */
};

/* From the root of a Hugging Face config.json.  Errors name the field. */
status_code model_config_from_json(struct model_config *out, const struct json_value *config,
                                   struct status *st) MUST_CHECK;

/* From GGUF metadata.  Errors name the file and the key. */
status_code model_config_from_gguf(struct model_config *out, const struct gguf *file,
                                   struct status *st) MUST_CHECK;

#endif
