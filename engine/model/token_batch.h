/* token_batch.h - what one forward pass computes: T tokens of any number of sequences.
 *
 * Row t of a pass is one token at one position of one sequence; rows of a sequence stand in the
 * order of their positions, and everything before them is in the cache or among the rows.  An
 * encoder's pass is one whole text and has no cache.
 */
#ifndef ASSAY_MODEL_TOKEN_BATCH_H
#define ASSAY_MODEL_TOKEN_BATCH_H

#include "engine/model/kv_cache.h"

struct token_batch {
    int n;                        /* T */
    const int32_t *tokens;        /* (T) */
    const int *positions;         /* (T) in the token's own sequence */
    const int *const *blocks;     /* (T) -> blocks of its sequence, in the order of positions */
    const struct kv_cache *cache; /* NULL for an encoder, which needs tokens alone */
};

#endif
