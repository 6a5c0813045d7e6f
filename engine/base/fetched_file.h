/* fetched_file.h - a file from an address to a path, whole and with the right digest or not at all.
 *
 *   address, path, digest -> fetch_file() -> path holds the file
 *
 * What comes is written to PATH.part; the next attempt goes on behind what is there, also after
 * this process died.  The file gets its name when it is whole and its SHA-256 is the expected one;
 * where it is not, nothing is kept.  A file that has its name already is checked and not asked for
 * again. Two processes that fetch the same file are told apart by a lock on PATH.part.
 */
#ifndef ASSAY_BASE_FETCHED_FILE_H
#define ASSAY_BASE_FETCHED_FILE_H

#include <stdint.h>

#include "engine/base/sha256.h"
#include "engine/base/status.h"

struct fetched_file {
    const char *url;
    const char *const *headers; /* or NULL */
    const char *path;           /* folders above it are made */
    const char *sha256;         /* NULL: not known beforehand */
    int64_t bytes;              /* 0: not known beforehand */
    int64_t max_bytes;
    double stall_seconds, first_delay_seconds; /* 0: http_download()'s own */
};

/* What the caller hears.  Every function may be NULL. */
struct fetch_listener {
    void (*progress)(void *user, const char *path, int64_t have, int64_t bytes);
    bool (*stop)(void *user); /* true: stop, and keep what came for the next time */
    void *user;
};

struct fetch_outcome {
    char sha256[SHA256_HEX_SIZE];
    int64_t bytes;
    bool was_there; /* nothing was asked for */
};

/* STATUS_BAD_INPUT: what is there, or came, is another file.  Else as http_download() says. */
status_code fetch_file(const struct fetched_file *file, const struct fetch_listener *listener,
                       struct fetch_outcome *out, struct status *st) MUST_CHECK;

/* Makes the folders above a path. */
status_code fetch_make_folders(const char *path, struct status *st) MUST_CHECK;

#endif
