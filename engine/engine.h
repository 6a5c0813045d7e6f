/* engine.h - a model file to the log-probabilities of tokens, or to the labels of a text.
 *
 *   engine_open() -> session_create() -> session_eval()     -> logits of a decoder
 *                                     -> session_classify() -> logits of an encoder's labels
 *
 * An `engine` is a loaded model: immutable, shared by any number of sessions.  A `session` is one
 * timeline of tokens with its key-value cache; it belongs to one thread at a time and must be freed
 * before its engine.  The caller always passes the whole timeline; the session computes only what
 * differs from the one it holds, and the result is the same to the bit as computing all of it.
 *
 *   struct engine *engine;
 *   struct session *session;
 *   struct engine_options options = {.model_path = "gemma-2b.gguf"};
 *   if (engine_open(&engine, &options, st) != STATUS_OK) ...
 *   if (session_create(&session, engine, 0, st) != STATUS_OK) ...
 *   if (session_eval(session, tokens, n, n - 1, on_logits, user, st) != STATUS_OK) ...
 */
#ifndef ASSAY_ENGINE_H
#define ASSAY_ENGINE_H

#include <stdint.h>

#include "engine/adapter/adapter.h"
#include "engine/base/sha256.h"
#include "engine/tokenizer/tokenizer.h"

struct engine;  /* opaque; a loaded model */
struct session; /* opaque; one timeline */

/* How matrix products are computed.  Numbers stored as F32 are always computed in f32. */
enum compute_type {
    COMPUTE_AUTO, /* the fastest that the kernel set has for the weights' type */
    COMPUTE_F32   /* weights unpacked exactly, products and sums in f32 */
};

struct engine_options {
    const char *model_path;   /* a GGUF file, a Hugging Face directory, or a cached hub name */
    const char *adapter_path; /* a LoRA adapter for it, as by engine_adapt(); NULL = none */
    const char *kernels;      /* a kernel set's name; NULL = the fastest this machine runs */
    enum compute_type compute;
    int n_threads; /* 0 = one per processor */
    /* Hugging Face rounds Gemma's embedding scale to the weights' type (sqrt(3072) is 55.5 in
     * BF16); gemma_pytorch in f32 and llama.cpp do not, and neither does 0 = false. */
    bool round_embedding_scale;
};

/* What a run records about its model.  Strings live as long as the engine. */
struct engine_info {
    const char *path;         /* the file or directory that was opened */
    const char *format;       /* "gguf" or "safetensors" */
    const char *architecture; /* "gemma" */
    const char *quantisation; /* type of the largest share of the weights: "Q8_0" */
    const char *kernels;      /* name of the kernel set */
    const char *compute;      /* what most products are computed in: "f32", "bf16" or "int8" */
    int n_threads;
    uint64_t n_parameters;
    uint64_t layer_parameters; /* in the layers' matrices: one multiply-add each per token */
    uint64_t matrix_bytes;     /* of the layers' matrices and the output head: read per token */
    int n_layers, d_model, n_vocab;
    int n_context; /* positions the model was trained for */
    float embedding_scale;
    /* An encoder with a classification head; it has no next token. */
    bool is_encoder;
    int n_labels;
    bool is_multilabel; /* each label by itself (sigmoid), not one of them (softmax) */
    const struct adapter_info *adapter; /* what engine_adapt() added; NULL = the base alone */
};

/* "auto" or "f32", or NULL for "auto"; false for any other name. */
bool compute_type_find(const char *name, enum compute_type *out);

/* Maps the files and checks everything that can be checked without computing.  Errors name the
 * file and the field or tensor. */
status_code engine_open(struct engine **out, const struct engine_options *options,
                        struct status *st) MUST_CHECK;
void engine_free(struct engine *engine);

/* An engine of its own that is `base` with a LoRA adapter (engine/adapter/adapter.h).  It shares
 * the base's weights and tokenizer and must be freed before it; one base may have many. */
status_code engine_adapt(struct engine **out, const struct engine *base, const char *adapter_path,
                         struct status *st) MUST_CHECK;

const struct engine_info *engine_get_info(const struct engine *engine);

/* NULL when the model's files hold no tokenizer: token ids can still be evaluated. */
const struct tokenizer *engine_get_tokenizer(const struct engine *engine);

/* Whether the model's files are still what was opened: asked after computing and before the result
 * counts, since weights stay mapped.  STATUS_IO names the file that was written to or cut short. */
status_code engine_check_files(const struct engine *engine, struct status *st) MUST_CHECK;

/* The SHA-256 of the weights: of the file, or for shards of "digest  name\n" lines in the order of
 * their names.  Reads every byte of the files. */
status_code engine_weights_sha256(const struct engine *engine, char hex[SHA256_HEX_SIZE],
                                  struct status *st) MUST_CHECK;

/* The SHA-256 of the adapter's files.  Only of an engine that has one. */
status_code engine_adapter_sha256(const struct engine *engine, char hex[SHA256_HEX_SIZE],
                                  struct status *st) MUST_CHECK;

/* The packed matrices, one after the other, for measuring how fast they can be read; NULL and 0
 * bytes when nothing is packed. */
const void *engine_packed_weights(const struct engine *engine, size_t *bytes);

/* An encoder's label i < n_labels as its config names it ("LABEL_0" where it does not). */
const char *engine_label(const struct engine *engine, int i);

/* n_context 0 = what the model was trained for, which for an encoder is also the most. */
status_code session_create(struct session **out, const struct engine *engine, int n_context,
                           struct status *st) MUST_CHECK;
void session_free(struct session *session);

/* The most tokens a timeline may have. */
int session_context(const struct session *session);

/* Receives logits[n_vocab] after the token at `position`; they are valid during the call. */
typedef void session_logits_fn(void *user, int position, const float *logits);

/* Makes the session hold exactly tokens[n] and calls on_logits for positions first_logits..n-1 in
 * order (none when first_logits >= n).  Fails with STATUS_LIMIT when n is over the context, with
 * STATUS_BAD_INPUT on an id outside the vocabulary, with STATUS_UNSUPPORTED on an encoder. */
status_code session_eval(struct session *session, const int32_t *tokens, int n, int first_logits,
                         session_logits_fn *on_logits, void *user, struct status *st) MUST_CHECK;

/* Receives the hidden state [d_model] of the token at `position`, after the last norm and before
 * the output head; it is valid during the call. */
typedef void session_hidden_fn(void *user, int position, const float *hidden);

/* Like session_eval(), with hidden states in place of logits. */
status_code session_hidden(struct session *session, const int32_t *tokens, int n, int first,
                           session_hidden_fn *on_hidden, void *user, struct status *st) MUST_CHECK;

/* Logits [n_labels] of an encoder for the n > 0 tokens of a text, special tokens included.  Fails
 * like session_eval(); a text that does not fit is not cut. */
status_code session_classify(struct session *session, const int32_t *tokens, int n, float *logits,
                             struct status *st) MUST_CHECK;

/* Tokens that evaluations asked for and tokens that were computed, since the session began. */
void session_token_counts(const struct session *session, uint64_t *asked, uint64_t *computed);

#endif
