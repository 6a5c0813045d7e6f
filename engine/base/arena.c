#include "engine/base/arena.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define ARENA_MIN_BLOCK ((size_t)64 * 1024)

struct arena_block {
    struct arena_block *older;
    size_t capacity; /* bytes of data */
    size_t used;
    unsigned char *data; /* aligned to ARENA_ALIGN, inside the same allocation */
};

void arena_init(struct arena *arena, size_t max_bytes)
{
    *arena = (struct arena){.max_bytes = max_bytes};
}

static void free_chain(struct arena_block *block)
{
    while (block) {
        struct arena_block *older = block->older;
        free(block);
        block = older;
    }
}

void arena_release(struct arena *arena)
{
    free_chain(arena->head);
    arena->head = NULL;
    arena->used = 0;
}

void arena_reset(struct arena *arena)
{
    if (arena->head) {
        free_chain(arena->head->older);
        arena->head->older = NULL;
        arena->head->used = 0;
    }
    arena->used = 0;
}

static struct arena_block *add_block(struct arena *arena, size_t capacity)
{
    if (capacity > SIZE_MAX - sizeof(struct arena_block) - ARENA_ALIGN) return NULL;
    struct arena_block *block = malloc(sizeof *block + ARENA_ALIGN + capacity);
    if (!block) return NULL;
    uintptr_t start = (uintptr_t)(block + 1);
    size_t padding = (size_t)((ARENA_ALIGN - start % ARENA_ALIGN) % ARENA_ALIGN);
    *block = (struct arena_block){
        .older = arena->head,
        .capacity = capacity,
        .data = (unsigned char *)(block + 1) + padding,
    };
    arena->head = block;
    return block;
}

/* Each block doubles the last, so a long-lived arena makes few calls to malloc. */
static struct arena_block *add_doubled_block(struct arena *arena, size_t size)
{
    size_t capacity = arena->head ? arena->head->capacity : ARENA_MIN_BLOCK / 2;
    capacity = capacity > SIZE_MAX / 4 ? size : capacity * 2;
    return add_block(arena, capacity < size ? size : capacity);
}

bool arena_reserve(struct arena *arena, size_t size)
{
    const struct arena_block *block = arena->head;
    return (block && block->capacity - block->used >= size) || add_block(arena, size) != NULL;
}

void *arena_alloc(struct arena *arena, size_t size)
{
    if (size > SIZE_MAX - ARENA_ALIGN) return NULL;
    size = size ? (size + ARENA_ALIGN - 1) / ARENA_ALIGN * ARENA_ALIGN : ARENA_ALIGN;
    if (size > arena->max_bytes || arena->used > arena->max_bytes - size) return NULL;
    struct arena_block *block = arena->head;
    if (!block || block->capacity - block->used < size) block = add_doubled_block(arena, size);
    if (!block) return NULL;
    void *p = block->data + block->used;
    block->used += size;
    arena->used += size;
    return memset(p, 0, size);
}

void *arena_array(struct arena *arena, size_t count, size_t size)
{
    if (size && count > SIZE_MAX / size) return NULL;
    return arena_alloc(arena, count * size);
}

char *arena_strndup(struct arena *arena, const char *text, size_t n)
{
    char *copy = n < SIZE_MAX ? arena_alloc(arena, n + 1) : NULL;
    if (copy && n) memcpy(copy, text, n);
    return copy;
}

char *arena_strdup(struct arena *arena, const char *text)
{
    return arena_strndup(arena, text, strlen(text));
}
