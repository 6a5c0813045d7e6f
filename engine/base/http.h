/* http.h - one request to one reply, over libcurl, for callers that the user sent to the network.
 *
 *   http_client_create() -> http_send() many times -> replies -> http_client_free()
 *
 * A `http_client` keeps its connections open between requests, spaces them as its options say, and
 * tries again what may pass: no connection, a cut one, a timeout, and the answers 408, 429 and 5xx.
 * The delay doubles from try to try up to a ceiling; a Retry-After is obeyed up to the same
 * ceiling. Redirects are not followed: what is sent goes only to the address that was named.
 *
 *   struct http_client *client;
 *   struct http_reply reply;
 *   if (http_client_create(&client, &(struct http_options){0}, st) != STATUS_OK) ...
 *   struct http_request request = {.url = url, .body = json};
 *   status_code code = http_send(client, &request, &reply, st);
 *   http_reply_release(&reply);     whatever the call returned
 *   http_client_free(client);
 *
 * A client may be shared by threads; it has so many requests under way at a time as its options
 * say, which is one if they say nothing, and the others wait.  Messages name the address without
 * its query, where keys are.
 */
#ifndef ASSAY_BASE_HTTP_H
#define ASSAY_BASE_HTTP_H

#include <stdint.h>

#include "engine/base/strbuf.h"
#include "engine/base/text.h"

#define HTTP_MAX_PARALLEL 16

struct http_client; /* opaque */

/* 0 is the default in every field. */
struct http_options {
    double timeout_seconds;      /* of one try (30) */
    int max_attempts;            /* tries of one request (6) */
    double first_delay_seconds;  /* after the first failed try (1) */
    double max_delay_seconds;    /* ceiling of every delay (60) */
    double min_interval_seconds; /* from the start of one try to the start of the next (0) */
    size_t max_reply_bytes;      /* (16 MiB) */
    int64_t max_requests;        /* the quota: tries over the client's life (no bound) */
    int max_parallel;            /* requests under way, at most HTTP_MAX_PARALLEL (1) */
};

struct http_request {
    const char *url;            /* http:// or https:// */
    const char *const *headers; /* "Name: value", NULL-terminated; NULL for none */
    double seconds;             /* for waiting, all tries and pauses; 0: as long as they take */
    struct text body;           /* sent by POST as application/json; without data: GET */
};

struct http_reply {
    long status; /* 200 to 299 after STATUS_OK; 0 when no answer came */
    struct strbuf body;
    int attempts;
};

status_code http_client_create(struct http_client **out, const struct http_options *options,
                               struct status *st) MUST_CHECK;
void http_client_free(struct http_client *client);

/* STATUS_IO says why there is no good answer, STATUS_LIMIT that it is too long or the quota is
 * spent, STATUS_TIMEOUT that the request's seconds are.  Initialises *reply
 * whatever it returns. */
status_code http_send(struct http_client *client, const struct http_request *request,
                      struct http_reply *reply, struct status *st) MUST_CHECK;
void http_reply_release(struct http_reply *reply);

#endif
