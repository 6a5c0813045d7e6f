/* kv_cache.h - keys and values of every layer, in blocks of positions.
 *
 *   kv_cache_init() -> blocks 0..n_blocks-1, each KV_BLOCK positions of every layer
 *
 * A sequence is a list of blocks in the order of its positions; several sequences may list the same
 * block, and whoever owns the cache knows which (scheduler/prefix_tree.h).  Where layers have a
 * window that is shorter than the context, a block's part of those layers, its `near` part, is
 * memory of its own, so that it can be given to another block once no query can see it.  Where they
 * have not, a block is one piece and n_near is 0.
 *
 * All memory is there from the beginning; pages that no token fills stay untouched.
 */
#ifndef ASSAY_MODEL_KV_CACHE_H
#define ASSAY_MODEL_KV_CACHE_H

#include <stddef.h>

#include "engine/model/model_config.h"

#define KV_BLOCK 32 /* positions */

/* Blocks that n positions take. */
#define KV_BLOCKS(n) (((n) + KV_BLOCK - 1) / KV_BLOCK)

struct kv_sizes {
    int n_context;   /* positions of the longest sequence */
    int pass_tokens; /* tokens of one sequence that are computed together, at most */
    int n_blocks;
    int n_near; /* blocks that can have their near part at the same time */
};

struct kv_cache {
    struct kv_sizes sizes;
    int n_layers;
    size_t kv_dim; /* n_kv_heads * head_dim */
    int window;    /* of the near layers; 0 = there are none */
    int place[LIMIT_LAYERS];
    bool is_near[LIMIT_LAYERS];
    size_t far_floats, near_floats; /* of one block */
    float *far, *near;              /* (n_blocks, far_floats), (n_near, near_floats) */
    void *memory;                   /* both, as allocated */
    int *near_of;                   /* [n_blocks] -> index of the near part, or -1 */
    int *free_near;                 /* [n_near]; the first n_free_near are free */
    int n_free_near;
};

/* Whether the windowed layers of this model are worth keeping apart at this context. */
bool kv_cache_has_near(const struct model_config *config, int n_context);

/* The near parts that one sequence needs at a time. */
int kv_cache_near_blocks(const struct model_config *config, int n_context, int pass_tokens);

/* Bytes of one block's two parts, and of a whole cache; SIZE_MAX when that cannot be counted. */
size_t kv_cache_far_bytes(const struct model_config *config, int n_context);
size_t kv_cache_near_bytes(const struct model_config *config, int n_context);
size_t kv_cache_bytes(const struct model_config *config, const struct kv_sizes *sizes);

/* Fails with STATUS_NO_MEMORY. */
status_code kv_cache_init(struct kv_cache *cache, const struct model_config *config,
                          const struct kv_sizes *sizes, struct status *st) MUST_CHECK;
void kv_cache_release(struct kv_cache *cache);

/* Keys (KV_BLOCK, kv_dim) of a block in one layer, after RoPE; the values follow them. */
float *kv_cache_keys(const struct kv_cache *cache, int layer, int block);
float *kv_cache_values(const struct kv_cache *cache, int layer, int block);

/* Gives a block a near part; false when none is free.  Nothing to do without near layers. */
bool kv_cache_take_near(struct kv_cache *cache, int block) MUST_CHECK;
bool kv_cache_near_present(const struct kv_cache *cache, int block);
void kv_cache_drop_near(struct kv_cache *cache, int block);

/* The first n positions of a block become those of another, in every layer. */
void kv_cache_copy(struct kv_cache *cache, int to, int from, int n);

#endif
