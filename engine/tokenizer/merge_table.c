#include "engine/tokenizer/merge_table.h"

#include <string.h>

#include "engine/tokenizer/vocabulary.h"

#define FREE_SLOT UINT64_MAX

status_code merge_table_create(struct merge_table *table, struct arena *arena, size_t n,
                               uint64_t seed, struct status *st)
{
    size_t slots = 16;
    while (slots < n + n / 2) slots *= 2;
    *table = (struct merge_table){
        .slots = arena_array(arena, slots, sizeof *table->slots),
        .mask = slots - 1,
        .seed = seed,
    };
    if (!table->slots) return status_no_memory(st, "the merge rules");
    for (size_t i = 0; i < slots; i++) table->slots[i].pair = FREE_SLOT;
    return STATUS_OK;
}

/* The slot of this pair, or the free one where it belongs. */
static size_t find_slot(const struct merge_table *table, uint64_t pair)
{
    size_t slot = (size_t)vocabulary_mix(pair ^ table->seed) & table->mask;
    while (table->slots[slot].pair != FREE_SLOT && table->slots[slot].pair != pair)
        slot = (slot + 1) & table->mask;
    return slot;
}

static uint64_t pair_of(int32_t left, int32_t right)
{
    return (uint64_t)(uint32_t)left << 32 | (uint32_t)right;
}

void merge_table_add(struct merge_table *table, int32_t left, int32_t right, uint32_t rank,
                     int32_t merged)
{
    uint64_t pair = pair_of(left, right);
    table->slots[find_slot(table, pair)] = (struct merge_rule){pair, rank, merged};
}

const struct merge_rule *merge_table_find(const struct merge_table *table, int32_t left,
                                          int32_t right)
{
    const struct merge_rule *rule = &table->slots[find_slot(table, pair_of(left, right))];
    return rule->pair == FREE_SLOT ? NULL : rule;
}
