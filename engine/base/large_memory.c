#define _DEFAULT_SOURCE /* madvise(), MAP_ANONYMOUS */
#include "engine/base/large_memory.h"

#include <stdint.h>
#include <sys/mman.h>

#define LARGE_PAGE ((size_t)2 << 20)

static size_t whole_pages(size_t size)
{
    return (size + LARGE_PAGE - 1) / LARGE_PAGE * LARGE_PAGE;
}

void *large_alloc(size_t size)
{
    if (size == 0 || size > SIZE_MAX - 2 * LARGE_PAGE) return NULL;
    size_t bytes = whole_pages(size);
    unsigned char *memory =
        mmap(NULL, bytes + LARGE_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) return NULL;
    size_t before = (LARGE_PAGE - (uintptr_t)memory % LARGE_PAGE) % LARGE_PAGE;
    if (before) munmap(memory, before);
    munmap(memory + before + bytes, LARGE_PAGE - before);
#ifdef MADV_HUGEPAGE
    madvise(memory + before, bytes, MADV_HUGEPAGE); /* slower without, and as right */
#endif
    return memory + before;
}

void large_free(void *memory, size_t size)
{
    if (memory) munmap(memory, whole_pages(size));
}
