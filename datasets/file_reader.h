/* file_reader.h - a data file, plain or gzip, to its bytes and its digest.
 *
 *   path -> file_read() -> content, SHA-256 of the file as stored, SHA-256 of the content
 *
 * Whether a file is gzip is seen from its first bytes, not from its name.  The content is bounded
 * by the strbuf it goes into, so that a small archive cannot unpack into all memory.
 */
#ifndef ASSAY_FILE_READER_H
#define ASSAY_FILE_READER_H

#include <stddef.h>

#include "engine/base/sha256.h"
#include "engine/base/strbuf.h"

struct file_digests {
    char stored[SHA256_HEX_SIZE];  /* of the bytes on disk */
    char content[SHA256_HEX_SIZE]; /* of the unpacked bytes; the same for a plain file */
};

/* Appends the content.  Errors name the path. */
status_code file_read(struct strbuf *content, struct file_digests *digests, const char *path,
                      struct status *st) MUST_CHECK;

/* The unpacked bytes of a file, piece by piece, at most LIMIT_ARCHIVE_BYTES: for archives, which
 * are larger than what is taken from them. */
struct file_stream; /* opaque */

status_code file_stream_open(struct file_stream **out, const char *path,
                             struct status *st) MUST_CHECK;
void file_stream_free(struct file_stream *stream);

/* *got is less than n only at the end of the file. */
status_code file_stream_read(struct file_stream *stream, char *out, size_t n, size_t *got,
                             struct status *st) MUST_CHECK;

#endif
