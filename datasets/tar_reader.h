/* tar_reader.h - the files of a tar archive, plain or packed with gzip, one after the other.
 *
 *   tar_open() -> tar_next() -> name, size -> tar_read() -> ... until the name is NULL ->
 * tar_free()
 *
 * It knows the headers of POSIX ustar and of the tar programs that wrote before it.  Names are what
 * the archive says: whoever writes files makes the paths himself.  What is no regular file (links,
 * folders, devices) is passed over, and so is a file whose name stands in an extended header.
 *
 *   struct tar *tar;
 *   struct tar_file file;
 *   if (tar_open(&tar, path, st) != STATUS_OK) ...
 *   while (tar_next(tar, &file, st) == STATUS_OK && file.name) tar_read(tar, &bytes, st);
 *   tar_free(tar);
 */
#ifndef ASSAY_TAR_READER_H
#define ASSAY_TAR_READER_H

#include <stdint.h>

#include "engine/base/strbuf.h"

struct tar; /* opaque */

struct tar_file {
    const char *name; /* until the next tar_next(); NULL after the last file */
    int64_t size;
};

status_code tar_open(struct tar **out, const char *path, struct status *st) MUST_CHECK;
void tar_free(struct tar *tar);

/* The next regular file, passing over what is left of the one before. */
status_code tar_next(struct tar *tar, struct tar_file *file, struct status *st) MUST_CHECK;

/* Appends the bytes of the file at hand, once; the strbuf bounds them. */
status_code tar_read(struct tar *tar, struct strbuf *out, struct status *st) MUST_CHECK;

#endif
