#include "engine/base/http_download.h"

#include <curl/curl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "engine/base/http_internal.h"

#define MAX_REDIRECTS    5
#define SHOWN_BODY_BYTES 120 /* of an error answer, in the message */

/* A download under way. */
struct transfer {
    const struct http_download *download;
    const struct http_sink *sink;
    CURL *curl;
    int64_t have;        /* bytes that the sink has */
    int64_t range_start; /* of this answer, by its Content-Range; -1: it names none */
    int64_t range_total;
    bool begun;      /* this answer's first byte of the file came */
    bool any;        /* the server answered once */
    bool wrong_part; /* this answer began elsewhere than it was asked to */
    char body[SHOWN_BODY_BYTES + 1];
    size_t body_length;
    struct status failure; /* of the sink, or of what the server sent */
};

/* ---- an answer ---- */

static size_t take_header(char *bytes, size_t size, size_t n, void *user)
{
    struct transfer *t = user;
    char line[256];
    size_t length = size * n;
    if (length >= sizeof line) return length;
    memcpy(line, bytes, length);
    line[length] = '\0';
    int64_t start, end, total;
    if (strncmp(line, "HTTP/", 5) == 0) t->range_start = t->range_total = -1; /* a redirect's end */
    if (strncasecmp(line, "content-range:", 14) == 0 &&
        sscanf(line + 14, " bytes %19" SCNd64 "-%19" SCNd64 "/%19" SCNd64, &start, &end, &total) ==
            3) {
        t->range_start = start;
        t->range_total = total;
    }
    return length;
}

static status_code check_size(struct transfer *t, int64_t total)
{
    const struct http_download *d = t->download;
    if (total > d->max_bytes)
        return status_set(&t->failure, STATUS_LIMIT, "%s: has %" PRId64 " bytes, at most %" PRId64,
                          d->url, total, d->max_bytes);
    if (d->bytes && total != d->bytes)
        return status_set(&t->failure, STATUS_BAD_INPUT,
                          "%s: has %" PRId64 " bytes, expected %" PRId64, d->url, total, d->bytes);
    return STATUS_OK;
}

/* Before the first byte of the file: where in it the server begins, and how long it says it is. */
static status_code begin_answer(struct transfer *t, long status)
{
    curl_off_t length = -1;
    bool middle = status == 206 && t->range_start >= 0;
    t->begun = t->any = true;
    if (t->have && (!middle || t->range_start != t->have)) {
        t->have = 0;
        if (t->sink->start_over(t->sink->user, &t->failure) != STATUS_OK) return t->failure.code;
        t->wrong_part = middle && t->range_start != 0;
        if (t->wrong_part) /* the next try asks for the whole */
            return status_set(&t->failure, STATUS_IO, "%s: another part than was asked for",
                              t->download->url);
    }
    curl_easy_getinfo(t->curl, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
    int64_t total = middle ? t->range_total : length;
    return total >= 0 ? check_size(t, total) : STATUS_OK;
}

static size_t take_body(char *bytes, size_t size, size_t n, void *user)
{
    struct transfer *t = user;
    size_t length = size * n;
    long status = 0;
    curl_easy_getinfo(t->curl, CURLINFO_RESPONSE_CODE, &status);
    if (status != 200 && status != 206) {
        size_t room = SHOWN_BODY_BYTES - t->body_length;
        size_t taken = length < room ? length : room;
        memcpy(t->body + t->body_length, bytes, taken);
        t->body_length += taken;
        return length;
    }
    if (!t->begun && begin_answer(t, status) != STATUS_OK) return 0;
    if ((int64_t)length > t->download->max_bytes - t->have) {
        status_set(&t->failure, STATUS_LIMIT, "%s: has more than %" PRId64 " bytes",
                   t->download->url, t->download->max_bytes);
        return 0;
    }
    if (t->sink->write(t->sink->user, bytes, length, &t->failure) != STATUS_OK) return 0;
    t->have += (int64_t)length;
    return length;
}

static int ask_to_stop(void *user, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
    const struct transfer *t = user;
    (void)a, (void)b, (void)c, (void)d;
    return t->sink->stop && t->sink->stop(t->sink->user);
}

/* ---- a try ---- */

static void set_options(struct transfer *t, struct curl_slist *headers)
{
    const struct http_download *d = t->download;
    CURL *curl = t->curl;
    char range[32];
    bool secure = strncasecmp(d->url, "https:", 6) == 0;
    curl_easy_reset(curl); /* keeps the connection */
    curl_easy_setopt(curl, CURLOPT_URL, d->url);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_REDIR_PROTOCOLS_STR, secure ? "https" : "http,https");
    curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 1L);
    curl_easy_setopt(curl, CURLOPT_MAXREDIRS, (long)MAX_REDIRECTS);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "assay");
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    double stall = d->stall_seconds > 0 ? d->stall_seconds : 30;
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, (long)(stall * 1000) + 1);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, (long)(stall < 1 ? 1 : stall));
    curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, take_header);
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, t);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_body);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, t);
    curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, ask_to_stop);
    curl_easy_setopt(curl, CURLOPT_XFERINFODATA, t);
    if (!t->have) return;
    snprintf(range, sizeof range, "%" PRId64 "-", t->have);
    curl_easy_setopt(curl, CURLOPT_RANGE, range); /* curl copies it */
}

static CURLcode perform(struct transfer *t, struct curl_slist *headers, long *status,
                        curl_off_t *retry_after)
{
    t->begun = t->wrong_part = false;
    t->range_start = t->range_total = -1;
    t->body_length = 0;
    t->failure = (struct status){0};
    set_options(t, headers);
    *status = 0;
    *retry_after = 0;
    CURLcode code = curl_easy_perform(t->curl);
    t->body[t->body_length] = '\0';
    curl_easy_getinfo(t->curl, CURLINFO_RESPONSE_CODE, status);
    curl_easy_getinfo(t->curl, CURLINFO_RETRY_AFTER, retry_after);
    t->any = t->any || *status;
    return code;
}

/* ---- tries ---- */

enum next { DONE, TRY_AGAIN, GIVE_UP };

static bool may_pass(const struct transfer *t, CURLcode code)
{
    switch (code) {
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_TOO_MANY_REDIRECTS:
    case CURLE_OUT_OF_MEMORY:
        return false;
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_COULDNT_CONNECT:
    case CURLE_OPERATION_TIMEDOUT:
        return t->any; /* without a network there is no use in waiting */
    default:
        return true;
    }
}

static enum next fail_network(struct transfer *t, CURLcode code, struct status *st)
{
    const char *why = code == CURLE_OK ? "the connection was cut" : curl_easy_strerror(code);
    status_set(st, STATUS_IO, "%s: %s", t->download->url, why);
    return may_pass(t, code) ? TRY_AGAIN : GIVE_UP;
}

static enum next fail_status(struct transfer *t, long status, struct status *st)
{
    const char *url = t->download->url;
    if (status == 416 && t->have) { /* there is nothing behind what is there */
        t->have = 0;
        status_set(st, STATUS_IO, "%s: HTTP 416", url);
        return t->sink->start_over(t->sink->user, st) == STATUS_OK ? TRY_AGAIN : GIVE_UP;
    }
    status_set(st, status == 404 || status == 410 ? STATUS_NOT_FOUND : STATUS_IO,
               "%s: HTTP %ld%s%s", url, status, *t->body ? ": " : "", t->body);
    return status == 408 || status == 429 || status >= 500 ? TRY_AGAIN : GIVE_UP;
}

/* What one try came to; *st says why it was not all. */
static enum next judge(struct transfer *t, CURLcode code, long status, struct status *st)
{
    if (code == CURLE_ABORTED_BY_CALLBACK) {
        status_set(st, STATUS_INTERRUPTED, "%s: interrupted", t->download->url);
        return GIVE_UP;
    }
    if (t->failure.code != STATUS_OK) {
        *st = t->failure;
        return t->wrong_part ? TRY_AGAIN : GIVE_UP;
    }
    if (code != CURLE_OK) return fail_network(t, code, st);
    if (status != 200 && status != 206) return fail_status(t, status, st);
    if (!t->begun && begin_answer(t, status) != STATUS_OK) { /* a file without a byte */
        *st = t->failure;
        return GIVE_UP;
    }
    /* Without a length in the answer, a cut connection looks like its end. */
    return t->download->bytes && t->have < t->download->bytes ? fail_network(t, code, st) : DONE;
}

/* False when the sink does not want to wait so long. */
static bool wait_for(const struct transfer *t, double seconds)
{
    const double slice = 0.2;
    for (; seconds > 0; seconds -= slice) {
        if (t->sink->stop && t->sink->stop(t->sink->user)) return false;
        http_sleep(seconds < slice ? seconds : slice);
    }
    return true;
}

static status_code try_until_done(struct transfer *t, struct curl_slist *headers, struct status *st)
{
    const struct http_download *d = t->download;
    const struct http_options waits = {
        .first_delay_seconds = d->first_delay_seconds > 0 ? d->first_delay_seconds : 1,
        .max_delay_seconds = d->max_delay_seconds > 0 ? d->max_delay_seconds : 60};
    const int most = d->max_attempts > 0 ? d->max_attempts : 6;
    for (int in_vain = 0;;) {
        long status;
        curl_off_t retry_after;
        int64_t before = t->have;
        struct status why = {0};
        CURLcode code = perform(t, headers, &status, &retry_after);
        enum next next = judge(t, code, status, &why);
        if (next == DONE) return STATUS_OK;
        in_vain = t->have > before ? 1 : in_vain + 1;
        if (next == GIVE_UP || in_vain >= most)
            return status_set(st, why.code, next == GIVE_UP ? "%.480s" : "%.480s (%d tries)",
                              why.message, in_vain);
        if (!wait_for(t, http_delay(&waits, in_vain, (double)retry_after)))
            return status_set(st, STATUS_INTERRUPTED, "%s: interrupted", d->url);
    }
}

status_code http_download(const struct http_download *download, const struct http_sink *sink,
                          struct status *st)
{
    struct transfer t = {.download = download, .sink = sink, .have = download->have};
    struct curl_slist *headers = NULL;
    bool complete = true;
    for (size_t i = 0; download->headers && download->headers[i]; i++) {
        struct curl_slist *longer = curl_slist_append(headers, download->headers[i]);
        if (longer) headers = longer;
        complete = complete && longer;
    }
    t.curl = curl_easy_init();
    status_code code =
        t.curl && complete ? try_until_done(&t, headers, st) : status_no_memory(st, "a download");
    curl_slist_free_all(headers);
    curl_easy_cleanup(t.curl);
    return code;
}
