/* model.h - config, weights and the way to compute them, put together. */
#ifndef ASSAY_MODEL_H
#define ASSAY_MODEL_H

#include "engine/kernels/kernels.h"
#include "engine/model/model_config.h"
#include "engine/model/model_weights.h"

struct model {
    struct model_config config;
    struct model_weights weights;
    const struct kernel_set *kernels;
    int adapter_rank; /* the largest of the weights' low_rank; 0 without an adapter */
};

#endif
