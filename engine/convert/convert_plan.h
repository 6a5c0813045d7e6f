/* convert_plan.h - what goes into the file that is written.  Internal to convert.
 *
 *   plan_from_directory() or plan_from_gguf() -> items and a header -> written by convert.c
 *
 * A `convert_plan` owns the open source files and everything the items point to.
 */
#ifndef ASSAY_CONVERT_PLAN_H
#define ASSAY_CONVERT_PLAN_H

#include "engine/base/arena.h"
#include "engine/convert/convert.h"
#include "engine/gguf/gguf_writer.h"
#include "engine/model/architecture.h"
#include "engine/model/model_weights.h"
#include "engine/quants/tensor.h"
#include "engine/safetensors/safetensors.h"

struct convert_item {
    const struct tensor_view *from;
    const char *name; /* in the file that is written */
    enum tensor_type type;
    const struct low_rank *low_rank; /* added to the matrix first; NULL = nothing */
    float add;        /* to every value: norm weights that are stored as w and used as 1 + w */
    float scale;      /* of every value after that; 1 = they stay */
    int paired_heads; /* of rows that are reordered so that rotated pairs are neighbours; 0 = none
                       */
};

struct convert_plan {
    struct arena arena;
    struct gguf *gguf; /* one of these two is open */
    struct safetensors *safetensors;
    struct model_config config;        /* of a directory, and of a GGUF file with an adapter */
    struct model_weights weights;      /* the same; an adapter's pairs are in them */
    const struct architecture *target; /* the row that will read the file; NULL: none here can */
    /* GGUF has no key for query_pre_attn_scalar: what it makes of the scale that readers assume is
     * multiplied into the queries' weights. */
    float query_scale;
    size_t n_pairs; /* of an adapter */
    struct convert_item *items;
    size_t n_items;
    struct gguf_writer writer; /* metadata and tensors, ready for gguf_writer_header() */
};

/* `path` is a Hugging Face directory. */
status_code plan_from_directory(struct convert_plan *plan, const char *path,
                                const struct convert_options *options,
                                struct status *st) MUST_CHECK;

/* `path` is a GGUF file, of any architecture. */
status_code plan_from_gguf(struct convert_plan *plan, const char *path,
                           const struct convert_options *options, struct status *st) MUST_CHECK;

/* Legal on {0} and after a failure. */
void plan_release(struct convert_plan *plan);

/* Whether a model that was read back is the one that was written.  What GGUF has no key for, and
 * the reader would take for something else, is STATUS_UNSUPPORTED. */
status_code plan_check_config(const struct convert_plan *plan, const struct model_config *back,
                              struct status *st) MUST_CHECK;

/* The metadata that stands for a Hugging Face directory: hyperparameters, vocabulary, template. */
status_code plan_put_metadata(struct convert_plan *plan, const char *path, enum tensor_type type,
                              struct status *st) MUST_CHECK;

/* Whether queries are normed: then a factor on Q's rows would be lost. */
bool plan_has_q_norm(const struct convert_plan *plan);

/* llama.cpp's number for "mostly this type" (llama.h, llama_ftype). */
uint32_t plan_file_type(enum tensor_type type);

#endif
