/* adapter_files.h - an open adapter, filled by the reader of its kind of files.  Internal to
 * adapter/. */
#ifndef ASSAY_ADAPTER_FILES_H
#define ASSAY_ADAPTER_FILES_H

#include "engine/adapter/adapter.h"
#include "engine/gguf/gguf.h"
#include "engine/model/model_config.h"
#include "engine/safetensors/safetensors.h"

/* The two halves for one matrix. */
struct adapter_pair {
    const char *module;          /* the matrix's name in the base, without ".weight" */
    const struct tensor_view *a; /* (rank, cols) */
    const struct tensor_view *b; /* (rows, rank) */
    float scale;
};

struct adapter {
    struct adapter_info info;
    bool gguf_names; /* modules are named as in GGUF, else as in Hugging Face's checkpoints */
    enum rope_pairing pairing; /* of the rows of Q and K */
    struct gguf *gguf;         /* one of these two is open */
    struct safetensors *safetensors;
    struct adapter_pair *pairs; /* [info.n_pairs], in the order of their names */
    struct arena arena;
};

/* Room for the pairs of so many tensors. */
status_code adapter_reserve(struct adapter *adapter, size_t n_tensors,
                            struct status *st) MUST_CHECK;

/* What a reader tells of each tensor it recognises as half of a pair. */
status_code adapter_add_half(struct adapter *adapter, const char *module, size_t length,
                             const struct tensor_view *view, bool is_a,
                             struct status *st) MUST_CHECK;

/* The rank of a pair whose halves fit each other. */
int adapter_pair_rank(const struct adapter_pair *pair);

status_code adapter_read_peft(struct adapter *adapter, struct status *st) MUST_CHECK;
status_code adapter_read_gguf(struct adapter *adapter, struct status *st) MUST_CHECK;

#endif
