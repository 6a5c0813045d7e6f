#include "engine/base/http_internal.h"

#include <curl/curl.h>
#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "engine/base/clock.h"
#include "engine/base/limits.h"

#define SHOWN_BODY_BYTES 120 /* of an error answer, in the message */

struct http_client {
    struct http_options options;
    CURL *idle[HTTP_MAX_PARALLEL]; /* handles that no request has, each with its connection */
    int n_idle;
    pthread_mutex_t mutex; /* of all that follows the options */
    pthread_cond_t freed;  /* a handle became idle */
    double last_start;     /* of a try, begun or promised; -INFINITY before the first */
    int64_t n_requests;    /* tries */
};

/* ---- making ---- */

static struct http_options with_defaults(struct http_options o)
{
    if (o.timeout_seconds <= 0) o.timeout_seconds = 30;
    if (o.max_attempts <= 0) o.max_attempts = 6;
    if (o.first_delay_seconds <= 0) o.first_delay_seconds = 1;
    if (o.max_delay_seconds <= 0) o.max_delay_seconds = 60;
    if (!o.max_reply_bytes) o.max_reply_bytes = LIMIT_REPLY_BYTES;
    if (o.max_parallel <= 0) o.max_parallel = 1;
    if (o.max_parallel > HTTP_MAX_PARALLEL) o.max_parallel = HTTP_MAX_PARALLEL;
    return o;
}

status_code http_client_create(struct http_client **out, const struct http_options *options,
                               struct status *st)
{
    struct http_client *client = calloc(1, sizeof *client);
    if (!client) return status_no_memory(st, "an HTTP client");
    client->options = with_defaults(*options);
    client->last_start = (double)-INFINITY;
    pthread_mutex_init(&client->mutex, NULL);
    pthread_condattr_t by_clock; /* clock_seconds() is what deadlines are in */
    pthread_condattr_init(&by_clock);
    pthread_condattr_setclock(&by_clock, CLOCK_MONOTONIC);
    pthread_cond_init(&client->freed, &by_clock);
    pthread_condattr_destroy(&by_clock);
    while (client->n_idle < client->options.max_parallel) {
        CURL *curl = curl_easy_init();
        if (!curl) {
            http_client_free(client);
            return status_no_memory(st, "an HTTP client");
        }
        client->idle[client->n_idle++] = curl;
    }
    *out = client;
    return STATUS_OK;
}

void http_client_free(struct http_client *client)
{
    if (!client) return;
    for (int i = 0; i < client->n_idle; i++) curl_easy_cleanup(client->idle[i]);
    pthread_cond_destroy(&client->freed);
    pthread_mutex_destroy(&client->mutex);
    free(client);
}

/* NULL where the deadline passes before one is idle. */
static CURL *take_handle(struct http_client *client, double deadline)
{
    CURL *curl = NULL;
    int error = 0;
    struct timespec until = {0};
    if (isfinite(deadline)) {
        until.tv_sec = (time_t)deadline;
        until.tv_nsec = (long)((deadline - floor(deadline)) * 1e9);
    }
    pthread_mutex_lock(&client->mutex);
    while (!client->n_idle && error != ETIMEDOUT)
        error = isfinite(deadline) ? pthread_cond_timedwait(&client->freed, &client->mutex, &until)
                                   : pthread_cond_wait(&client->freed, &client->mutex);
    if (client->n_idle) curl = client->idle[--client->n_idle];
    pthread_mutex_unlock(&client->mutex);
    return curl;
}

static void give_back(struct http_client *client, CURL *curl)
{
    pthread_mutex_lock(&client->mutex);
    client->idle[client->n_idle++] = curl;
    pthread_cond_signal(&client->freed);
    pthread_mutex_unlock(&client->mutex);
}

void http_reply_release(struct http_reply *reply)
{
    strbuf_release(&reply->body);
}

/* ---- one try ---- */

static size_t take_bytes(char *bytes, size_t size, size_t n, void *user)
{
    struct strbuf *body = user;
    strbuf_append(body, bytes, size * n);
    return body->state == STATUS_OK ? size * n : 0; /* 0 makes curl give up */
}

static struct curl_slist *header_list(const struct http_request *request, bool *complete)
{
    struct curl_slist *list = NULL;
    *complete = true;
    for (size_t i = 0; request->headers && request->headers[i]; i++) {
        struct curl_slist *longer = curl_slist_append(list, request->headers[i]);
        if (!longer) *complete = false;
        if (longer) list = longer;
    }
    struct curl_slist *longer = curl_slist_append(list, "Content-Type: application/json");
    if (!longer) *complete = false;
    return longer ? longer : list;
}

static void set_options(CURL *curl, const struct http_request *request, struct curl_slist *headers,
                        double seconds, struct strbuf *body)
{
    curl_easy_reset(curl); /* keeps the connection */
    curl_easy_setopt(curl, CURLOPT_URL, request->url);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "assay");
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)(seconds * 1000) + 1);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_bytes);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, body);
    if (!request->body.data) return;
    curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body.length);
    curl_easy_setopt(curl, CURLOPT_POSTFIELDS, request->body.data);
}

void http_sleep(double seconds)
{
    if (!(seconds > 0)) return;
    struct timespec left = {(time_t)seconds, (long)((seconds - floor(seconds)) * 1e9)};
    while (nanosleep(&left, &left) != 0) continue; /* a signal came: sleep the rest */
}

/* How one try ended. */
struct attempt {
    CURLcode code;
    bool no_memory, no_quota, no_time;
    double retry_after; /* seconds; 0 where the answer names none */
};

/* When the next try may begin: *start, after what the interval asks for, which is then taken. */
static struct attempt reserve(struct http_client *client, double deadline, double *start)
{
    struct attempt attempt = {0};
    pthread_mutex_lock(&client->mutex);
    *start = fmax(clock_seconds(), client->last_start + client->options.min_interval_seconds);
    attempt.no_time = *start >= deadline;
    attempt.no_quota = !attempt.no_time && client->options.max_requests &&
                       client->n_requests >= client->options.max_requests;
    if (!attempt.no_time && !attempt.no_quota) {
        client->last_start = *start;
        client->n_requests++;
    }
    pthread_mutex_unlock(&client->mutex);
    return attempt;
}

/* `deadline` is when the whole request has to be over; INFINITY without one. */
static struct attempt try_once(struct http_client *client, CURL *curl,
                               const struct http_request *request, double deadline,
                               struct http_reply *reply)
{
    bool complete;
    double start = 0;
    struct curl_slist *headers = header_list(request, &complete);
    struct attempt attempt = {.no_memory = !complete};
    if (complete) attempt = reserve(client, deadline, &start);
    if (attempt.no_memory || attempt.no_time || attempt.no_quota) {
        curl_slist_free_all(headers);
        return attempt;
    }
    strbuf_clear(&reply->body);
    reply->status = 0;
    set_options(curl, request, headers, fmin(client->options.timeout_seconds, deadline - start),
                &reply->body);
    http_sleep(start - clock_seconds());
    attempt.code = curl_easy_perform(curl);
    curl_off_t retry_after = 0;
    if (attempt.code == CURLE_OK) {
        curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &reply->status);
        curl_easy_getinfo(curl, CURLINFO_RETRY_AFTER, &retry_after);
    }
    attempt.retry_after = (double)retry_after;
    curl_slist_free_all(headers);
    return attempt;
}

/* ---- tries ---- */

static bool is_good(const struct attempt *attempt, const struct http_reply *reply)
{
    return !attempt->no_memory && !attempt->no_quota && !attempt->no_time &&
           attempt->code == CURLE_OK && reply->status >= 200 && reply->status < 300;
}

static bool may_pass(const struct attempt *attempt, const struct http_reply *reply)
{
    if (attempt->no_memory || attempt->no_quota || attempt->no_time ||
        reply->body.state != STATUS_OK)
        return false;
    if (attempt->code == CURLE_OK)
        return reply->status == 408 || reply->status == 429 || reply->status >= 500;
    return attempt->code != CURLE_URL_MALFORMAT && attempt->code != CURLE_UNSUPPORTED_PROTOCOL &&
           attempt->code != CURLE_PEER_FAILED_VERIFICATION;
}

double http_delay(const struct http_options *options, int attempts, double retry_after)
{
    double delay = options->first_delay_seconds * pow(2, attempts - 1);
    if (retry_after > delay) delay = retry_after;
    return delay < options->max_delay_seconds ? delay : options->max_delay_seconds;
}

static status_code failure(const struct http_request *request, const struct attempt *attempt,
                           const struct http_reply *reply, struct status *st)
{
    int url_bytes = (int)strcspn(request->url, "?#");
    if (attempt->no_memory) return status_no_memory(st, "an HTTP request");
    if (attempt->no_quota)
        return status_set(st, STATUS_LIMIT, "%.*s: the quota of requests is spent", url_bytes,
                          request->url);
    if (attempt->no_time)
        return status_set(st, STATUS_TIMEOUT, "%.*s: no answer in %g s (%d tries)", url_bytes,
                          request->url, request->seconds, reply->attempts);
    if (reply->body.state == STATUS_LIMIT)
        return status_set(st, STATUS_LIMIT, "%.*s: the answer is longer than %zu bytes", url_bytes,
                          request->url, reply->body.max_bytes);
    if (attempt->code != CURLE_OK)
        return status_set(st, STATUS_IO, "%.*s: %s (%d tries)", url_bytes, request->url,
                          curl_easy_strerror(attempt->code), reply->attempts);
    return status_set(st, STATUS_IO, "%.*s: HTTP %ld (%d tries): %.*s", url_bytes, request->url,
                      reply->status, reply->attempts, SHOWN_BODY_BYTES, reply->body.data);
}

status_code http_send(struct http_client *client, const struct http_request *request,
                      struct http_reply *reply, struct status *st)
{
    struct attempt attempt = {.no_time = true};
    double deadline = request->seconds > 0 ? clock_seconds() + request->seconds : (double)INFINITY;
    *reply = (struct http_reply){0};
    strbuf_init(&reply->body, client->options.max_reply_bytes);
    CURL *curl = take_handle(client, deadline);
    while (curl) {
        attempt = try_once(client, curl, request, deadline, reply);
        reply->attempts += !attempt.no_time && !attempt.no_quota;
        if (!may_pass(&attempt, reply) || reply->attempts >= client->options.max_attempts) break;
        double delay = http_delay(&client->options, reply->attempts, attempt.retry_after);
        attempt.no_time = clock_seconds() + delay >= deadline; /* the next try would be too late */
        if (attempt.no_time) break;
        http_sleep(delay);
    }
    if (curl) give_back(client, curl);
    return is_good(&attempt, reply) ? STATUS_OK : failure(request, &attempt, reply, st);
}
