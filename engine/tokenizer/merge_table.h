/* merge_table.h - two neighbouring pieces to the piece they become.  Internal to the tokenizer.
 *
 *   merge_table_create() -> merge_table_add() for each rule -> merge_table_find()
 *
 * The rules of a byte-pair encoding, in the tokenizer's arena.  The lowest rank merges first.
 */
#ifndef ASSAY_MERGE_TABLE_H
#define ASSAY_MERGE_TABLE_H

#include <stdint.h>

#include "engine/base/arena.h"
#include "engine/base/status.h"

struct merge_rule {
    uint64_t pair; /* left id << 32 | right id; all ones in a free slot */
    uint32_t rank;
    int32_t merged;
};

struct merge_table {
    struct merge_rule *slots; /* (mask + 1) open addressing */
    size_t mask;
    uint64_t seed;
};

/* Room for n rules. */
status_code merge_table_create(struct merge_table *table, struct arena *arena, size_t n,
                               uint64_t seed, struct status *st) MUST_CHECK;

/* A pair that is added again gets the new rank. */
void merge_table_add(struct merge_table *table, int32_t left, int32_t right, uint32_t rank,
                     int32_t merged);

/* The rule for two neighbours, or NULL. */
const struct merge_rule *merge_table_find(const struct merge_table *table, int32_t left,
                                          int32_t right);

#endif
