/* reference_decoder.h - decoders of random weights, computed the plain way in double.
 *
 *   struct reference_decoder -> reference_write_safetensors() / reference_write_gguf() -> a model
 *                            -> reference_logits()                                    -> its logits
 *
 * It shares no code with engine/model: whole score matrices with a mask, no cache, no batches.  The
 * weights depend on their Hugging Face name and the seed alone.
 */
#ifndef ASSAY_TESTS_REFERENCE_DECODER_H
#define ASSAY_TESTS_REFERENCE_DECODER_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/quants/quants.h"

struct reference_decoder {
    const char *model_type;   /* of config.json */
    const char *architecture; /* of GGUF; "llama" has its Q and K rows permuted there */
    const char *extra;  /* members of config.json that are not below, each ending in a comma */
    const char *prefix; /* of tensor names in safetensors that replaces "model."; or NULL */
    int layers, d_model, heads, kv_heads, head_dim, d_ff, vocab;
    bool fused_in_gguf; /* Q, K and V in one matrix there */
    bool untied, silu, norm_adds_one, post_norms, qk_norms, is_phi;
    double embedding_scale, attention_scale, score_cap, logit_cap;
    double residual_scale, logit_divisor; /* 0 = not; in GGUF with the other two scales */
    int rope_dim;
    double theta, local_theta; /* local_theta 0: windowed layers use theta */
    double linear;             /* positions are divided by it where theta is used; 0 = not */
    double llama3[4];          /* factor, low, high, original context; factor 0 = not */
    int window, period;        /* layer i is windowed unless period divides i + 1 */
    uint64_t seed;
    /* Of matrices whose rows are whole blocks of it, rounded to nearest; F32 otherwise, and in
     * safetensors where that has no name for it. */
    enum tensor_type type;
    /* A LoRA adapter on every matrix but the embedding, merged: W + lora_scale * B A. */
    int lora_rank; /* 0 = none */
    double lora_scale;
    uint64_t lora_seed;
};

/* Write config.json and model.safetensors into a folder, or one file. */
void reference_write_safetensors(const struct reference_decoder *r, const char *directory);
void reference_write_gguf(const struct reference_decoder *r, const char *directory,
                          const char *name);

/* Write the adapter alone: adapter_config.json and adapter_model.safetensors into a folder, or one
 * GGUF file. */
void reference_write_peft(const struct reference_decoder *r, const char *directory);
void reference_write_gguf_adapter(const struct reference_decoder *r, const char *directory,
                                  const char *name);

/* Logits (n, vocab), which the caller frees. */
double *reference_logits(const struct reference_decoder *r, const int32_t *tokens, int n);

#endif
