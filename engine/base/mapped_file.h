/* mapped_file.h - a file's bytes, read-only and without copying them.
 *
 *   mapped_file_init() -> data, size -> mapped_file_check() -> mapped_file_release()
 *
 * A `mapped_file` lives in its owner's struct and owns the mapping.  Only regular files are
 * accepted: a directory, pipe or device fails with a message instead of blocking.
 *
 * Whoever writes into the file while it is mapped changes the bytes under the reader, and whoever
 * shortens it makes the operating system end a reader behind the new end with SIGBUS (which
 * benchmarks/cli/ turns into a message).  So whoever computes from the bytes asks
 * mapped_file_check() before a result counts.  A file that another one is renamed over, or that is
 * removed, stays as it was for those who have it mapped.
 */
#ifndef ASSAY_BASE_MAPPED_FILE_H
#define ASSAY_BASE_MAPPED_FILE_H

#include <stddef.h>
#include <stdint.h>

#include "engine/base/status.h"

struct mapped_file {
    const unsigned char *data; /* not NULL while mapped, also for an empty file */
    size_t size;
    /* Of the file as it was opened, to see whether it changes; without a descriptor, which a worker
     * process would not have. */
    uint64_t device, inode;
    int64_t modified; /* in nanoseconds */
};

/* Errors start with the path: STATUS_NOT_FOUND when there is no such file, STATUS_BAD_INPUT when it
 * is not a regular one, STATUS_IO when the operating system refuses. */
status_code mapped_file_init(struct mapped_file *file, const char *path,
                             struct status *st) MUST_CHECK;

/* Fails with STATUS_IO when the file that is mapped was written to or shortened since. */
status_code mapped_file_check(const struct mapped_file *file, const char *path,
                              struct status *st) MUST_CHECK;

/* Gives back the memory that holds these mapped bytes; they are read from the file again when they
 * are next looked at.  For a walk through more than fits. */
void mapped_bytes_forget(const void *data, size_t bytes);

/* The same of n bytes from `at` on in these, which were looked at alone, and of the neighbours that
 * the system mapped along with them: up to 2 MiB on either side. */
void mapped_bytes_forget_near(const void *data, size_t bytes, size_t at, size_t n);

/* Legal on {0} and twice. */
void mapped_file_release(struct mapped_file *file);

#endif
