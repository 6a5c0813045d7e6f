/* architecture.h - the model families that can run: one row each, one forward file each.
 *
 * A row says how a family is named in each kind of file, where its weights are, and which function
 * computes it.  A new family adds a row and a forward_*.c; it touches no other family.
 */
#ifndef ASSAY_MODEL_ARCHITECTURE_H
#define ASSAY_MODEL_ARCHITECTURE_H

#include "engine/base/text.h"
#include "engine/model/model_config.h"

struct model;
struct run_state;

/* Every weight that a family may have. */
enum weight_id {
    W_EMBEDDING,   /* (n_vocab, d_model) */
    W_OUTPUT_NORM, /* (d_model) */
    W_OUTPUT,      /* (n_vocab, d_model); absent where the embedding is used again */
    W_ATTN_NORM,   /* per layer from here: (d_model) */
    W_Q,           /* (n_heads * head_dim, d_model) */
    W_K,           /* (n_kv_heads * head_dim, d_model) */
    W_V,           /* (n_kv_heads * head_dim, d_model) */
    W_O,           /* (d_model, n_heads * head_dim) */
    W_FFN_NORM,    /* (d_model) */
    W_GATE,        /* (d_ff, d_model) */
    W_UP,          /* (d_ff, d_model) */
    W_DOWN,        /* (d_model, d_ff) */
    WEIGHT_COUNT
};
#define W_FIRST_LAYER_WEIGHT W_ATTN_NORM

/* What one weight is called; "%d" stands for the layer. */
struct weight_names {
    const char *safetensors;
    const char *gguf;
};

struct architecture {
    const char *name;                   /* as it is recorded with a run */
    const char *model_type;             /* config.json "model_type" */
    const char *gguf_name;              /* "general.architecture", and the prefix of its keys */
    const struct weight_names *weights; /* [WEIGHT_COUNT] */
    /* Norm weights are stored as w and used as 1 + w in safetensors; GGUF stores 1 + w. */
    bool safetensors_norm_is_offset;
    /* Reads what only this family has; the common fields are already filled in. */
    status_code (*config_from_json)(struct model_config *config, const struct json_value *json,
                                    struct status *st);
    /* Hidden states of T tokens at positions start..start+T-1, after the output norm, into
     * state->x (T, d_model); their keys and values into the cache. */
    void (*forward)(const struct model *model, struct run_state *state, const int32_t *tokens,
                    int T, int start);
};

/* The row for a "general.architecture", or NULL. */
const struct architecture *architecture_for_gguf(struct text name);

/* The row for a config.json's model_type, or NULL. */
const struct architecture *architecture_for_model_type(struct text model_type);

/* "gemma, ...": what can run, for messages. */
const char *architecture_names(void);

extern const struct architecture architecture_gemma;

#endif
