/* token_batch.h - what one forward pass computes: T tokens of any number of sequences.
 *
 * Row t of a pass is one token at one position of one sequence; rows of a sequence stand in the
 * order of their positions, and everything before them is in the cache or among the rows.  An
 * encoder's pass is one whole text and has no cache.
 *
 * Of most rows only the keys and values are wanted, for what comes after them.  Their hidden states
 * behind the last layer are read by nobody, and that layer is not computed for them.
 */
#ifndef ASSAY_MODEL_TOKEN_BATCH_H
#define ASSAY_MODEL_TOKEN_BATCH_H

#include "engine/model/kv_cache.h"

/* Rows whose hidden states are read after the pass. */
struct read_rows {
    int n;                    /* may be 0 */
    const int *rows;          /* (n) ascending */
    const int *positions;     /* (n) of those rows, as in the batch */
    const int *const *blocks; /* (n) */
};

struct token_batch {
    int n;                        /* T */
    const int32_t *tokens;        /* (T) */
    const int *positions;         /* (T) in the token's own sequence */
    const int *const *blocks;     /* (T) -> blocks of its sequence, in the order of positions */
    const struct kv_cache *cache; /* NULL for an encoder, which needs tokens alone */
    const struct read_rows *read; /* NULL: all rows; else state->x holds these after the pass */
};

#endif
