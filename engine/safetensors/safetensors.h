/* safetensors.h - one or several *.safetensors files to tensor views.
 *
 *   safetensors_open() -> safetensors_tensor() -> a view -> safetensors_free()
 *
 * Layout (huggingface/safetensors README): u64 little-endian header length n, n bytes of JSON
 * {"name": {"dtype", "shape", "data_offsets": [from, to]}, "__metadata__": {...}}, then the data,
 * which the offsets count from.
 *
 * A `safetensors` owns the read-only mappings of all shards; views live until safetensors_free().
 * Everything in the headers is checked on opening: names are unique, shapes match byte counts,
 * tensors fill their file without overlap or hole.
 *
 * Checkpoints hold tensors that no forward pass reads, such as I64 position ids.  They are checked
 * like the others and have no view; safetensors_unreadable() says what they are.
 */
#ifndef ASSAY_SAFETENSORS_H
#define ASSAY_SAFETENSORS_H

#include "engine/quants/tensor.h"

struct safetensors; /* opaque */

/* From a file, or from a directory: model.safetensors where there is one, else the shards that
 * model.safetensors.index.json names.  A shard that is missing, and a tensor that the index names
 * and no shard holds, are errors that name both. */
status_code safetensors_open(struct safetensors **out, const char *path,
                             struct status *st) MUST_CHECK;
void safetensors_free(struct safetensors *files);

/* Fails with STATUS_IO when one of the files was written to or shortened since it was opened. */
status_code safetensors_check(const struct safetensors *files, struct status *st) MUST_CHECK;

/* Views in the order of their names.  A scalar is shown with shape {1}; a size may be 0. */
size_t safetensors_tensor_count(const struct safetensors *files);
const struct tensor_view *safetensors_tensor_at(const struct safetensors *files, size_t i);
const struct tensor_view *safetensors_tensor(const struct safetensors *files, const char *name);

/* For the message about a name that safetensors_tensor() does not find: "dtype I64" or
 * "5 dimensions" when the tensor is there but cannot be read, NULL when it is not there. */
const char *safetensors_unreadable(const struct safetensors *files, const char *name);

/* How many such tensors there are, and one of them. */
size_t safetensors_unreadable_count(const struct safetensors *files);
const char *safetensors_unreadable_name(const struct safetensors *files, size_t i);

/* The files in the order they were opened, for hashing. */
size_t safetensors_file_count(const struct safetensors *files);
const char *safetensors_file_path(const struct safetensors *files, size_t i);

#endif
