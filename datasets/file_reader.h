/* file_reader.h - a data file, plain or gzip, to its bytes and its digest.
 *
 *   path -> file_read() -> content, SHA-256 of the file as stored, SHA-256 of the content
 *
 * Whether a file is gzip is seen from its first bytes, not from its name.  The content is bounded
 * by the strbuf it goes into, so that a small archive cannot unpack into all memory.
 */
#ifndef ASSAY_FILE_READER_H
#define ASSAY_FILE_READER_H

#include "engine/base/sha256.h"
#include "engine/base/strbuf.h"

struct file_digests {
    char stored[SHA256_HEX_SIZE];  /* of the bytes on disk */
    char content[SHA256_HEX_SIZE]; /* of the unpacked bytes; the same for a plain file */
};

/* Appends the content.  Errors name the path. */
status_code file_read(struct strbuf *content, struct file_digests *digests, const char *path,
                      struct status *st) MUST_CHECK;

#endif
