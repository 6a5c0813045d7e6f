/* packed_weights.h - a model's matrices, laid out for the kernels that multiply them.
 *
 *   model_weights_find() -> packed_weights_init() -> linear_apply() multiplies from the packed copy
 *
 * Every matrix whose type the model's kernel set has a fast product for is copied once, by several
 * threads, into one piece of memory, and the pages of the file behind it are given back: about one
 * copy of the weights is resident.  Embeddings are looked up in the file.
 */
#ifndef ASSAY_MODEL_PACKED_WEIGHTS_H
#define ASSAY_MODEL_PACKED_WEIGHTS_H

#include "engine/model/model.h"

struct packed_weights {
    unsigned char *memory; /* NULL when nothing is packed */
    size_t bytes;
};

/* The bytes that packed_weights_init() will take for these weights; 0 when there is nothing to
 * pack. */
size_t packed_weights_bytes(const struct model *model);

/* By how much the packed copies are larger than what they are made from: rows are rounded up, and
 * some types keep their scales wider. */
size_t packed_weights_growth(const struct model *model);

/* Packs, and lets each `linear` of the model point to its copy.  What describes the copies is
 * allocated from `arena`.  STATUS_NO_MEMORY names the bytes. */
status_code packed_weights_init(struct packed_weights *out, struct model *model,
                                struct arena *arena, int n_threads, struct status *st) MUST_CHECK;

/* Legal on {0}. */
void packed_weights_release(struct packed_weights *packed);

/* What most products of the model are computed in: "f32", "bf16" or "int8". */
const char *packed_weights_compute(const struct model *model);

#endif
