/* model_weights.h - where each weight lies in the mapped file.
 *
 * Matrices stay in the mapping in their stored type and are read through `linear`.  Vectors (norm
 * weights, biases) are small and are copied to f32 once, ready to use.  What a family or a file
 * does not have is NULL.  Everything is const after loading.
 */
#ifndef ASSAY_MODEL_WEIGHTS_H
#define ASSAY_MODEL_WEIGHTS_H

#include "engine/base/arena.h"
#include "engine/model/architecture.h"
#include "engine/quants/tensor.h"

struct safetensors;
struct low_rank;
struct packed_matrix;

/* A matrix that multiplies: y (rows) = W x (cols) + bias. */
struct linear {
    const unsigned char *data; /* rows * row_bytes, in the mapping, maybe unaligned */
    const struct tensor_type_info *type;
    int rows, cols;
    size_t row_bytes;
    const float *bias;                  /* (rows) or NULL */
    const struct packed_matrix *packed; /* the same weights for a fast product, or NULL */
    const struct low_rank *low_rank;    /* what an adapter adds to the product; NULL without one */
};

/* RMSNorm, or LayerNorm where there is a bias. */
struct norm {
    const float *weight, *bias;
};

struct layer_weights {
    struct norm attn_norm;      /* (d_model) */
    struct linear q;            /* (n_heads * head_dim, d_model) */
    struct linear k, v;         /* (n_kv_heads * head_dim, d_model) */
    struct norm q_norm, k_norm; /* (head_dim) */
    struct linear o;            /* (d_model, n_heads * head_dim) */
    struct norm attn_post_norm; /* (d_model) */
    struct norm ffn_norm;       /* (d_model) */
    struct linear gate, up;     /* (d_ff, d_model) */
    struct linear down;         /* (d_model, d_ff) */
    struct norm ffn_post_norm;  /* (d_model) */
};

struct model_weights {
    struct linear embedding;     /* (n_vocab, d_model) */
    struct linear positions;     /* (position_offset + n_context, d_model) */
    struct linear token_types;   /* (n_token_types, d_model) */
    struct norm embedding_norm;  /* (d_model) */
    struct norm output_norm;     /* (d_model) */
    struct linear output;        /* (n_vocab, d_model); the embedding where it is tied */
    const float *rope_factors;   /* (rope_dim / 2) */
    struct linear pooler;        /* (d_model, d_model) */
    struct linear classifier;    /* (n_labels, d_model) */
    struct layer_weights *layer; /* [n_layers] */
    uint64_t n_parameters;
};

/* The file that holds the tensors: exactly one of the two. */
struct tensor_source {
    const struct gguf *gguf;
    const struct safetensors *safetensors;
};

/* Finds every weight of the config's architecture and checks its shape and type.  A weight in the
 * layers that the architecture does not know would be left out of the computation and is an error.
 * Vectors are allocated from `arena`.  Errors name the tensor. */
status_code model_weights_find(struct model_weights *out, const struct model_config *config,
                               const struct tensor_source *source, struct arena *arena,
                               struct status *st) MUST_CHECK;

/* The tensor that holds one weight, or NULL where the file or the family does not have it. */
const struct tensor_view *model_weights_tensor(const struct model_config *config,
                                               const struct tensor_source *source,
                                               enum weight_id id, int layer);

/* The weight that a tensor of this name is, as the family's files of that kind name it; false where
 * it is none.  `layer` is 0 for weights outside the layers. */
bool model_weights_identify(const struct model_config *config, bool gguf_names, const char *name,
                            enum weight_id *id, int *layer);

/* The place of a matrix in the weights; NULL for a vector and for W_QKV, which is three. */
struct linear *model_weights_linear(struct model_weights *weights, enum weight_id id, int layer);

/* Whether a checkpoint in safetensors stores this weight of the config's family less 1. */
bool model_weights_is_offset(const struct model_config *config, enum weight_id id);

#endif
