/* reference_shapes.h - small decoders of every family, at shapes that real models do not have: odd
 * numbers of heads, one key-value head, windows shorter than 70 tokens, every scaling of rotary
 * positions. */
#ifndef ASSAY_TESTS_REFERENCE_SHAPES_H
#define ASSAY_TESTS_REFERENCE_SHAPES_H

#include <stddef.h>

#include "tests/support/reference_decoder.h"

extern const struct reference_decoder reference_shapes[];
extern const size_t reference_shape_count;

/* The first of a model_type of config.json. */
const struct reference_decoder *reference_shape(const char *model_type);

/* Shape i of the list with its matrices in `type` and wide enough for it, as its GGUF file; false
 * where GGUF has no name for the family.  Mistral is a llama with a window there. */
bool reference_typed_shape(struct reference_decoder *out, size_t i, enum tensor_type type);

/* A shape drawn from a seed, of the families in turn.  `decoder` points into the struct. */
struct reference_random {
    struct reference_decoder decoder;
    char extra[1024];
};
void reference_random_shape(struct reference_random *out, uint64_t seed);

#endif
