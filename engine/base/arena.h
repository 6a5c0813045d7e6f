/* arena.h - memory that is given back all at once.
 *
 *   arena_init() -> arena_alloc() many times -> arena_reset() or arena_release()
 *
 * An `arena` lives in its owner's struct.  What it hands out is valid until the next
 * arena_reset() or arena_release(); nothing is freed piece by piece.  It holds at most `max_bytes`,
 * so that text from outside cannot grow it without bound.
 *
 *   struct arena a;
 *   arena_init(&a, 1 << 20);
 *   char *name = arena_strndup(&a, p, n);      NULL when the bound or the memory is spent
 *   arena_release(&a);
 *
 * One arena belongs to one thread at a time.
 */
#ifndef ASSAY_BASE_ARENA_H
#define ASSAY_BASE_ARENA_H

#include <stdbool.h>
#include <stddef.h>

#include "engine/base/status.h"

/* What an allocation starts at, and takes, a multiple of. */
#define ARENA_ALIGN ((size_t)64)

struct arena_block;

struct arena {
    struct arena_block *head; /* newest block first; NULL before the first allocation */
    size_t used;              /* bytes asked for since the last reset */
    size_t max_bytes;         /* an allocation that would pass this returns NULL */
};

void arena_init(struct arena *arena, size_t max_bytes);

/* Frees every block.  The arena is empty afterwards and may be used again. */
void arena_release(struct arena *arena);

/* Forgets what was handed out and keeps the newest block for reuse. */
void arena_reset(struct arena *arena);

/* Makes room for allocations of `size` bytes together, counting each as a multiple of ARENA_ALIGN,
 * in one block and no larger than asked for.  False when there is no memory.  For an owner that
 * knows beforehand what it needs. */
bool arena_reserve(struct arena *arena, size_t size) MUST_CHECK;

/* `size` zeroed bytes aligned for any type and for 64-byte vector loads, or NULL. */
void *arena_alloc(struct arena *arena, size_t size);

/* `count` zeroed objects of `size` bytes, or NULL; the product may not overflow. */
void *arena_array(struct arena *arena, size_t count, size_t size);

/* A NUL-terminated copy of n bytes (which may hold NULs themselves), or NULL. */
char *arena_strndup(struct arena *arena, const char *text, size_t n);

/* arena_strndup() of a NUL-terminated string. */
char *arena_strdup(struct arena *arena, const char *text);

#endif
