/* convert.h - a model's files to one GGUF file, in a type of choice.
 *
 *   Hugging Face folder or GGUF file -> model_convert() -> GGUF file
 *
 * Tensors pass through in pieces of a few megabytes, so that memory does not grow with the model;
 * pages of the source are given back as they are done with.  The file is written to a temporary
 * name beside its own, opened and checked as the engine would, and only then renamed: a conversion
 * that fails leaves what was there before.
 *
 * Which type a tensor gets, for a wanted type T:
 *   - vectors (norms, biases) are F32;
 *   - for Q4_0 and Q4_K the output matrix, or the embedding where it is also the output, is Q6_K:
 *     errors there go into the logits unaveraged;
 *   - rows that are no whole number of T's blocks are Q8_0, or F16 where 32 does not divide them;
 *   - every other matrix is T.
 *
 * With an adapter, W + scale * B A is what is converted.
 *
 *   struct convert_options options = {.from = "gemma-2b", .to = "gemma-2b.gguf",
 *                                     .type = TENSOR_Q4_K};
 *   struct convert_result result;
 *   if (model_convert(&options, &result, st) != STATUS_OK) ...
 */
#ifndef ASSAY_CONVERT_H
#define ASSAY_CONVERT_H

#include "engine/base/log.h"
#include "engine/quants/quants.h"

struct convert_options {
    const char *from;      /* a GGUF file, a Hugging Face directory, or a cached hub name */
    const char *to;        /* the GGUF file to write; replaced if it is there */
    const char *adapter;   /* a LoRA adapter that is merged into the weights; NULL = none */
    enum tensor_type type; /* one with a from_f32 */
    int n_threads;         /* 0 = one per processor; the bytes do not depend on it */
    const struct logger *log;
};

struct convert_result {
    const char *architecture; /* the row's name, or NULL for a GGUF file of a family unknown here */
    size_t n_tensors;
    uint64_t n_values;
    uint64_t bytes; /* of the file */
    double nmse;    /* squared error over squared value, of all tensors together */
};

status_code model_convert(const struct convert_options *options, struct convert_result *out,
                          struct status *st) MUST_CHECK;

#endif
