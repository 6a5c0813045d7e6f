/* model_weights.h - where each weight lies in the mapped file.
 *
 * Matrices stay in the mapping in their stored type and are read through `linear`.  Vectors (norm
 * weights) are small and are copied to f32 once, ready to use.  Everything is const after loading.
 */
#ifndef ASSAY_MODEL_WEIGHTS_H
#define ASSAY_MODEL_WEIGHTS_H

#include "engine/base/arena.h"
#include "engine/model/architecture.h"
#include "engine/quants/tensor.h"

struct safetensors;

/* A matrix that multiplies: y (rows) = W x (cols). */
struct linear {
    const unsigned char *data; /* rows * row_bytes, in the mapping, maybe unaligned */
    const struct tensor_type_info *type;
    int rows, cols;
    size_t row_bytes;
};

struct layer_weights {
    const float *attn_norm; /* (d_model) */
    struct linear q;        /* (n_heads * head_dim, d_model) */
    struct linear k, v;     /* (n_kv_heads * head_dim, d_model) */
    struct linear o;        /* (d_model, n_heads * head_dim) */
    const float *ffn_norm;  /* (d_model) */
    struct linear gate, up; /* (d_ff, d_model) */
    struct linear down;     /* (d_model, d_ff) */
};

struct model_weights {
    struct linear embedding;     /* (n_vocab, d_model) */
    struct linear output;        /* (n_vocab, d_model); the embedding where it is tied */
    const float *output_norm;    /* (d_model) */
    struct layer_weights *layer; /* [n_layers] */
    uint64_t n_parameters;
};

/* The file that holds the tensors: exactly one of the two. */
struct tensor_source {
    const struct gguf *gguf;
    const struct safetensors *safetensors;
};

/* Finds every weight of the config's architecture and checks its shape and type.  Vectors are
 * allocated from `arena`.  Errors name the tensor. */
status_code model_weights_find(struct model_weights *out, const struct model_config *config,
                               const struct tensor_source *source, struct arena *arena,
                               struct status *st) MUST_CHECK;

#endif
