/* safetensors.h - one or several *.safetensors files to tensor views.
 *
 * Layout (huggingface/safetensors README): u64 little-endian header length n, n bytes of JSON
 * {"name": {"dtype", "shape", "data_offsets": [from, to]}, "__metadata__": {...}}, then the data,
 * which the offsets count from.
 *
 * A `safetensors` owns the read-only mappings of all shards; views live until safetensors_free().
 * Everything in the headers is checked on opening: names are unique, shapes match byte counts,
 * tensors do not overlap and lie inside their file.
 */
#ifndef ASSAY_SAFETENSORS_H
#define ASSAY_SAFETENSORS_H

#include "engine/quants/tensor.h"

struct safetensors; /* opaque */

/* From a file, or from a directory: model.safetensors.index.json with its shards where there is
 * one, else model.safetensors.  A shard that is missing, and a tensor that the index names and no
 * shard holds, are errors that name both. */
status_code safetensors_open(struct safetensors **out, const char *path,
                             struct status *st) MUST_CHECK;
void safetensors_free(struct safetensors *files);

size_t safetensors_tensor_count(const struct safetensors *files);
const struct tensor_view *safetensors_tensor_at(const struct safetensors *files, size_t i);
const struct tensor_view *safetensors_tensor(const struct safetensors *files, const char *name);

/* The files in the order they were opened, for hashing. */
size_t safetensors_file_count(const struct safetensors *files);
const char *safetensors_file_path(const struct safetensors *files, size_t i);

#endif
