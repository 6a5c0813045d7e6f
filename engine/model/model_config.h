/* model_config.h - a model's hyperparameters, from config.json or GGUF metadata.
 *
 * A `model_config` is plain data, complete and checked: a config that loads has shapes that fit
 * limits.h and describe a model that the architecture's forward pass can run as it stands.  What a
 * family does not have is 0.
 */
#ifndef ASSAY_MODEL_CONFIG_H
#define ASSAY_MODEL_CONFIG_H

#include <stddef.h>
#include <stdint.h>

#include "engine/base/limits.h"
#include "engine/base/status.h"

struct gguf;
struct json_value;
struct architecture;

/* How far apart the two dimensions of a rotated pair lie.  Hugging Face's checkpoints pair i with
 * i + rope_dim / 2.  GGUF files of the llama family have their Q and K rows permuted so that pairs
 * are neighbours; other families in GGUF do not. */
enum rope_pairing { ROPE_HALVES, ROPE_NEIGHBOURS };

/* Where row `row` of a Q or K matrix lies in the same matrix of the other pairing, for heads of
 * `head_dim` rows. */
size_t rope_row_in_halves(size_t head_dim, size_t neighbours_row);
size_t rope_row_in_neighbours(size_t head_dim, size_t halves_row);

enum rope_scaling {
    ROPE_UNSCALED,
    ROPE_LINEAR, /* positions divided by `factor` (Chen et al., 2023) */
    ROPE_LLAMA3  /* long wavelengths divided by `factor`, short ones kept, a ramp between them */
};

/* Rotary positions: the angle per position of pair i is theta^(-2i / rope_dim), then scaled. */
struct rope_settings {
    double theta;
    enum rope_scaling scaling;
    double factor;
    /* ROPE_LLAMA3: wavelengths over original_context / low_freq_factor are long, those under
     * original_context / high_freq_factor are short. */
    double low_freq_factor, high_freq_factor, original_context;
};

struct model_config {
    const struct architecture *architecture;
    int n_layers;
    int d_model;    /* hidden size */
    int n_heads;    /* query heads */
    int n_kv_heads; /* divides n_heads */
    int head_dim;   /* n_heads * head_dim need not be d_model */
    int d_ff;       /* width of the feed-forward block */
    int n_vocab;
    int n_context;         /* positions the model was trained for */
    float norm_eps;        /* of RMSNorm or LayerNorm */
    float embedding_scale; /* embeddings are multiplied by this; 1 where they are not */
    bool tied_output;      /* the embedding is the output head */

    int rope_dim; /* even; the first dimensions of a head, which are rotated; 0 = no rotation */
    enum rope_pairing rope_pairing;
    struct rope_settings rope;
    struct rope_settings local_rope; /* of windowed layers; theta 0 = they use `rope` */

    float residual_scale;  /* what a block adds is multiplied by this; mostly 1 */
    float attention_scale; /* query times key is multiplied by this */
    float query_scale;     /* what the file's Q weights were multiplied by before; mostly 1 */
    float score_softcap;   /* c: scores become c * tanh(score / c); 0 = they stay */
    float logit_softcap;   /* the same for the logits */
    float logit_divisor;   /* logits are divided by this; mostly 1 */
    int window; /* in windowed layers, query i sees key j when i - j < window; 0 = none */
    bool windowed[LIMIT_LAYERS];

    /* Encoders with a classification head. */
    int n_labels;
    int n_token_types;   /* rows of the token type embedding, of which the first is used */
    int position_offset; /* the first position: RoBERTa's padding token + 1, otherwise 0 */
    bool is_multilabel;  /* labels are independent: sigmoid, not softmax */
};

/* GGUF has no key for query_pre_attn_scalar; a file whose Q weights make up for that says by how
 * much, for adapters to them.  Other programs ignore it. */
#define QUERY_SCALE_KEY "assay.query_scale"

/* From the root of a Hugging Face config.json.  Of a multimodal model, the text part is read.
 * Errors name the field. */
status_code model_config_from_json(struct model_config *out, const struct json_value *config,
                                   struct status *st) MUST_CHECK;

/* From GGUF metadata.  Errors name the file and the key. */
status_code model_config_from_gguf(struct model_config *out, const struct gguf *file,
                                   struct status *st) MUST_CHECK;

#endif
