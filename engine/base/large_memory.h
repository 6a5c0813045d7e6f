/* large_memory.h - memory in large pages, for what is read from end to end again and again.
 *
 *   large_alloc() -> zeroed bytes -> large_free()
 *
 * Each miss of the address cache costs as much as reading a few hundred bytes; pages of 2 MB, where
 * the operating system has them, make those rare.  Pages that nothing touches take no memory.
 */
#ifndef ASSAY_BASE_LARGE_MEMORY_H
#define ASSAY_BASE_LARGE_MEMORY_H

#include <stddef.h>

/* `size` zeroed bytes, aligned to 2 MB, or NULL.  Rounded up to whole large pages. */
void *large_alloc(size_t size);

/* Legal on NULL.  `size` as it was asked for. */
void large_free(void *memory, size_t size);

#endif
