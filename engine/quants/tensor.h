/* tensor.h - one named array inside a model file.
 *
 * A `tensor_view` points into the file's read-only mapping and lives as long as the file is open.
 * The shape is row-major with the outermost dimension first, whatever order the file uses.
 */
#ifndef ASSAY_QUANTS_TENSOR_H
#define ASSAY_QUANTS_TENSOR_H

#include "engine/base/limits.h"
#include "engine/quants/quants.h"

struct tensor_view {
    const char *name;
    enum tensor_type type;
    int n_dims;                        /* 1 to LIMIT_TENSOR_DIMS */
    uint64_t shape[LIMIT_TENSOR_DIMS]; /* outermost first */
    const void *data;                  /* may be unaligned */
    size_t bytes;
};

#endif
