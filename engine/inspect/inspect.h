/* inspect.h - what a model's files are, before anything is loaded.
 *
 *   GGUF file, Hugging Face directory, *.safetensors, tokenizer, adapter
 *     -> inspect_path() -> a description
 *
 * Headers are read whole and checked as the engine checks them; weights are not touched.  What this
 * program cannot run is described all the same, with the reason: a family that it does not know,
 * tensors of types that it does not read, a tokenizer that it does not follow.  Only files that
 * break their own format, or that are not there, are an error.
 *
 * An `inspection` lives in the caller's storage and owns what it points to until its release.
 */
#ifndef ASSAY_INSPECT_H
#define ASSAY_INSPECT_H

#include "engine/adapter/adapter.h"
#include "engine/base/arena.h"
#include "engine/model/model_config.h"
#include "engine/tokenizer/tokenizer.h"

#define INSPECT_MAX_ROWS 64

/* Tensors of one kind that are stored in one type. */
struct inspect_row {
    const char *kind; /* "embedding", "attention", "feed-forward", "output", "vector", "other" */
    uint32_t type;    /* ggml's number */
    uint64_t n_tensors, n_values, bytes;
};

/* What running it will take.  Weights stay in their files, mapped; the rest is allocated. */
struct inspect_memory {
    int n_context, n_threads;
    uint64_t weights;     /* bytes of the tensors */
    uint64_t vectors;     /* norms and biases, copied to f32 */
    uint64_t cache;       /* keys and values of n_context positions */
    uint64_t activations; /* everything else that a session allocates */
    uint64_t tokenizer;
    uint64_t total;
};

struct inspection {
    const char *path;
    const char *format;       /* "gguf", "safetensors", "tokenizer", or "peft" of an adapter */
    const char *architecture; /* as the files say it; NULL where they do not */
    bool can_run;
    const char *problem; /* why not, one line; NULL where it can */

    bool has_config;
    struct model_config config;
    struct inspect_memory memory; /* all 0 without a config */

    uint64_t n_tensors, n_parameters, weight_bytes;
    struct inspect_row rows[INSPECT_MAX_ROWS];
    int n_rows;
    uint64_t n_unreadable;        /* tensors of types that nothing here reads */
    const char *first_unreadable; /* one of them with its type; NULL where there is none */

    bool
        is_adapter; /* LoRA matrices for another model; `adapter` says which where it can be used */
    bool has_adapter;
    struct adapter_info adapter;

    bool has_tokenizer;
    struct tokenizer_info tokenizer;
    const char *tokenizer_problem; /* NULL where it loads or is not there */

    size_t template_bytes; /* of the chat template; 0 = none */
    char template_sha256[SHA256_HEX_SIZE];
    const char *template_name; /* of the format that it is recognised as; NULL where it is not */

    struct arena arena;
};

struct inspect_options {
    const char *path; /* or a cached hub name */
    int n_context;    /* to predict memory for; 0 = what the model was trained for */
    int n_threads;    /* the same; 0 = one per processor */
};

status_code inspect_path(struct inspection *out, const struct inspect_options *options,
                         struct status *st) MUST_CHECK;
void inspection_release(struct inspection *inspection);

#endif
