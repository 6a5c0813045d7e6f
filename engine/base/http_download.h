/* http_download.h - a large file from an address to a sink, going on where it stopped.
 *
 *   address + bytes that are there already -> http_download() -> the sink has the whole
 *
 * A connection that is cut, stalls, or is told to wait (408, 429, 5xx) is tried again from the byte
 * that it came to, as often as new bytes come and `max_attempts` times in a row without any.  A
 * server that cannot go on in the middle sends the whole again, and the sink is told so.  Redirects
 * are followed, from https to https only; headers that hold keys go to the named host alone.
 * Proxies are those of $http_proxy, $https_proxy and $no_proxy.
 *
 *   struct http_sink sink = {write_bytes, start_over, NULL, user};
 *   struct http_download d = {.url = url, .have = size_of_part, .max_bytes = 1 << 30};
 *   if (http_download(&d, &sink, st) != STATUS_OK) ...        what came is with the sink
 *
 * Whether the bytes are the right ones is the caller's to check: with their digest.
 */
#ifndef ASSAY_BASE_HTTP_DOWNLOAD_H
#define ASSAY_BASE_HTTP_DOWNLOAD_H

#include <stddef.h>
#include <stdint.h>

#include "engine/base/status.h"

struct http_sink {
    /* The next bytes; anything but STATUS_OK ends the download with it. */
    status_code (*write)(void *user, const char *bytes, size_t n, struct status *st);
    /* What was written is void: the whole comes again from its beginning. */
    status_code (*start_over)(void *user, struct status *st);
    /* Asked about once a second: true ends the download with STATUS_INTERRUPTED.  Or NULL. */
    bool (*stop)(void *user);
    void *user;
};

struct http_download {
    const char *url;
    const char *const *headers; /* "Name: value", NULL-terminated; NULL for none */
    int64_t have;               /* bytes that the sink has from an earlier time */
    int64_t bytes;              /* of the whole; 0: not known */
    int64_t max_bytes;          /* of the whole, whatever the server says */
    double stall_seconds;       /* without a byte until a try is given up; 0 is 30 */
    int max_attempts;           /* in a row without a new byte; 0 is 6 */
    double first_delay_seconds; /* 0 is 1; doubles up to max_delay_seconds, 0 is 60 */
    double max_delay_seconds;
};

/* STATUS_NOT_FOUND: there is no such file there (404, 410).  STATUS_BAD_INPUT: it has another size.
 * STATUS_LIMIT: it is too large.  STATUS_IO: it could not be had, and why. */
status_code http_download(const struct http_download *download, const struct http_sink *sink,
                          struct status *st) MUST_CHECK;

#endif
