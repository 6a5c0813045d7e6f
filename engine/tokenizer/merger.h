/* merger.h - one stretch of text to the pieces that merging makes of it.  Internal to the
 * tokenizer.
 *
 *   merger_init() -> merger_run() for each stretch -> the list of symbols -> merger_release()
 *
 * A stretch starts as one symbol for each character (or byte); neighbours merge by the rule that
 * comes first, leftmost where rules are equal, until none is left.  Few symbols are looked through
 * for the best pair each time; many (a whole prompt can be one stretch) are kept in a heap of
 * candidates over a linked list: O(n log n) where looking through all would be quadratic.
 */
#ifndef ASSAY_MERGER_H
#define ASSAY_MERGER_H

#include "engine/tokenizer/tokenizer_core.h"

struct symbol {
    uint32_t start, length; /* bytes of the stretch; length 0 once it merged into its left */
    int32_t prev, next;     /* -1 at the ends */
    int32_t id;             /* -1 where no piece spells it */
    bool frozen;
};

/* Two neighbours that may merge. */
struct candidate {
    uint64_t key; /* order << 32 | left symbol: the best first, leftmost on ties */
    int32_t right;
    int32_t merged; /* the piece they become */
    uint32_t length;
};

struct merger {
    const struct tokenizer *tokenizer;
    unsigned hidden; /* of match_flags: what the text may not become */
    struct text text;
    struct symbol *symbols; /* (n_symbols) the first one starts the list */
    size_t n_symbols, symbol_capacity;
    struct candidate *heap;
    size_t n_heap, heap_capacity;
    uint32_t *split_at; /* (n_unused) where an unused piece's last candidate was put together */
    bool met_unused;    /* since merger_init(): a candidate was an unused piece */
};

status_code merger_init(struct merger *merger, const struct tokenizer *tokenizer, unsigned hidden,
                        struct status *st) MUST_CHECK;
void merger_release(struct merger *merger);

status_code merger_run(struct merger *merger, struct text text, struct status *st) MUST_CHECK;

/* The piece that spells these bytes and that the text may become, or -1. */
int32_t merger_find(const struct merger *merger, struct text bytes);

/* Where an unused piece was put together last, or 0. */
uint32_t merger_split_of(const struct merger *merger, int32_t id);

#endif
