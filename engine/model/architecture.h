/* architecture.h - the model families that can run: one row each, one forward file each.
 *
 * A row says how a family is named in each kind of file, which weights it has and what they are
 * called, how its config is read, and which function computes it.  A new family adds a row and a
 * forward_*.c (or an encoder_*.c); it touches no other family.
 */
#ifndef ASSAY_MODEL_ARCHITECTURE_H
#define ASSAY_MODEL_ARCHITECTURE_H

#include "engine/base/text.h"
#include "engine/model/model_config.h"

struct gguf_keys;
struct model;
struct run_state;
struct token_batch;

/* Every weight that a family may have.  Shapes and the place of each in memory are in one table in
 * model_weights.c. */
enum weight_id {
    W_EMBEDDING,
    W_POSITIONS,   /* learned positions */
    W_TOKEN_TYPES, /* segment embeddings */
    W_EMBEDDING_NORM,
    W_EMBEDDING_NORM_BIAS,
    W_OUTPUT_NORM,
    W_OUTPUT_NORM_BIAS,
    W_OUTPUT, /* not looked for where the config ties it to the embedding */
    W_OUTPUT_BIAS,
    W_ROPE_FACTORS, /* each rotary frequency is divided by its factor */
    W_POOLER,       /* the dense layer before a classifier */
    W_POOLER_BIAS,
    W_CLASSIFIER,
    W_CLASSIFIER_BIAS,
    W_ATTN_NORM, /* per layer from here */
    W_ATTN_NORM_BIAS,
    W_Q,
    W_Q_BIAS,
    W_K,
    W_K_BIAS,
    W_V,
    W_V_BIAS,
    W_QKV, /* Q, K and V below each other, where a file has them so; instead of the six above */
    W_QKV_BIAS,
    W_Q_NORM, /* of each query head */
    W_K_NORM, /* of each key head */
    W_O,
    W_O_BIAS,
    W_ATTN_POST_NORM, /* after attention; Gemma: before it joins the residual stream */
    W_ATTN_POST_NORM_BIAS,
    W_FFN_NORM,
    W_GATE,
    W_UP,
    W_UP_BIAS,
    W_DOWN,
    W_DOWN_BIAS,
    W_FFN_POST_NORM, /* after the feed-forward block */
    W_FFN_POST_NORM_BIAS,
    WEIGHT_COUNT
};
#define W_FIRST_LAYER_WEIGHT W_ATTN_NORM

/* What one weight is called; "%d" stands for the layer.  NULL: the family does not have it in that
 * kind of file. */
struct weight_names {
    const char *safetensors;
    const char *gguf;
    bool optional; /* some files of the family have it, and it is used where it is */
};

/* The names that most decoders share, to begin a family's table with. */
#define COMMON_DECODER_WEIGHTS                                                                     \
    [W_EMBEDDING] = {"model.embed_tokens.weight", "token_embd.weight", false},                     \
    [W_OUTPUT] = {"lm_head.weight", "output.weight", false},                                       \
    [W_ATTN_NORM] = {"model.layers.%d.input_layernorm.weight", "blk.%d.attn_norm.weight", false},  \
    [W_Q] = {"model.layers.%d.self_attn.q_proj.weight", "blk.%d.attn_q.weight", false},            \
    [W_K] = {"model.layers.%d.self_attn.k_proj.weight", "blk.%d.attn_k.weight", false},            \
    [W_V] = {"model.layers.%d.self_attn.v_proj.weight", "blk.%d.attn_v.weight", false}

/* Those that share RMSNorm and a gated feed-forward block as well. */
#define GATED_DECODER_WEIGHTS                                                                      \
    COMMON_DECODER_WEIGHTS, [W_OUTPUT_NORM] = {"model.norm.weight", "output_norm.weight", false},  \
                            [W_O] = {"model.layers.%d.self_attn.o_proj.weight",                    \
                                     "blk.%d.attn_output.weight", false},                          \
                            [W_GATE] = {"model.layers.%d.mlp.gate_proj.weight",                    \
                                        "blk.%d.ffn_gate.weight", false},                          \
                            [W_UP] = {"model.layers.%d.mlp.up_proj.weight",                        \
                                      "blk.%d.ffn_up.weight", false},                              \
                            [W_DOWN] = {"model.layers.%d.mlp.down_proj.weight",                    \
                                        "blk.%d.ffn_down.weight", false}

struct architecture {
    const char *name;                   /* as it is recorded with a run */
    const char *model_type;             /* config.json "model_type" */
    const char *multimodal_type;        /* "model_type" whose "text_config" is this; or NULL */
    const char *gguf_name;              /* "general.architecture", prefix of keys; or NULL */
    const struct weight_names *weights; /* [WEIGHT_COUNT] */
    /* Norm weights are stored as w and used as 1 + w in safetensors; GGUF stores 1 + w. */
    bool safetensors_norm_is_offset;
    /* GGUF has the rows of Q and K permuted, see rope_pairing. */
    bool gguf_permutes_heads;
    bool is_encoder; /* all tokens see each other, and the model ends in a classifier */
    /* Reads a config of this family into a zeroed struct whose `architecture` is set.  What holds
     * for every family is checked afterwards. */
    status_code (*config_from_json)(struct model_config *config, const struct json_value *json,
                                    struct status *st);
    status_code (*config_from_gguf)(struct model_config *config, const struct gguf_keys *keys,
                                    struct status *st); /* NULL where gguf_name is */
    /* Hidden states of the batch's tokens into state->x (T, d_model): of a decoder after the output
     * norm, and their keys and values into the cache; of an encoder, of the last layer. */
    void (*forward)(const struct model *model, struct run_state *state,
                    const struct token_batch *batch);
    /* Encoders: logits (n_labels) of the hidden states in state->x, into state->logits. */
    void (*classify)(const struct model *model, struct run_state *state);
};

/* The row for a "general.architecture", or NULL. */
const struct architecture *architecture_for_gguf(struct text name);

/* The row that reads a GGUF file of this family: Mistral is kept under Llama's name. */
const struct architecture *architecture_in_gguf(const struct architecture *architecture);

/* The row for a config.json's model_type, also of a multimodal model; or NULL. */
const struct architecture *architecture_for_model_type(struct text model_type);

/* "gemma, ...": what can run, for messages. */
const char *architecture_names(void);

extern const struct architecture architecture_gemma;
extern const struct architecture architecture_gemma2;
extern const struct architecture architecture_gemma3;
extern const struct architecture architecture_llama;
extern const struct architecture architecture_mistral;
extern const struct architecture architecture_phi2;
extern const struct architecture architecture_qwen3;
extern const struct architecture architecture_granite;
extern const struct architecture architecture_bert;
extern const struct architecture architecture_roberta;
extern const struct architecture architecture_xlm_roberta;
extern const struct architecture architecture_distilbert;

#endif
