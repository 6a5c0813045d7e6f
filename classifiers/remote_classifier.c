#include "classifiers/remote_classifier.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/base/clock.h"
#include "engine/base/json.h"
#include "engine/base/limits.h"

#define PERSPECTIVE_URL        "https://commentanalyzer.googleapis.com/v1alpha1/comments:analyze"
#define PERSPECTIVE_TEXT_BYTES 20480 /* its documented limit */
#define MAX_URL_BYTES          2048
#define REMOTE_PARALLEL        4    /* requests under way to an address that the user named */
#define MAX_LOGIT              30.0 /* of a probability of exactly 0 or 1 */

/* A name in the service's answers and what it is here; several names of one category: the highest
 * score counts. */
struct remote_name {
    const char *name;
    enum hazard_category category;
};

static const struct remote_name perspective_names[] = {
    {"TOXICITY", HAZARD_TOXICITY},
    {"SEVERE_TOXICITY", HAZARD_SEVERE_TOXICITY},
    {"PROFANITY", HAZARD_OBSCENE},
    {"THREAT", HAZARD_THREAT},
    {"INSULT", HAZARD_INSULT},
    {"IDENTITY_ATTACK", HAZARD_IDENTITY_ATTACK},
    {"SEXUALLY_EXPLICIT", HAZARD_SEXUAL_EXPLICIT},
};

static const struct remote_name moderation_names[] = {
    {"sexual", HAZARD_SEXUAL_EXPLICIT},
    {"hate", HAZARD_HATE},
    {"hate/threatening", HAZARD_THREAT},
    {"harassment", HAZARD_HARASSMENT},
    {"harassment/threatening", HAZARD_THREAT},
    {"self-harm", HAZARD_SELF_HARM},
    {"violence", HAZARD_VIOLENCE},
};

struct remote_classifier {
    struct classifier base;
    const struct service *service;
    struct http_client *client;
    char url[MAX_URL_BYTES]; /* with the key, where there is one */
    char model[128];         /* moderation: empty for the service's own choice */
    char authorization[512]; /* a whole header, or empty */
};

struct service {
    const char *kind;
    const struct remote_name *names;
    size_t n_names;
    size_t max_text_bytes;
    double queries_per_second; /* of the service's own address; 0: unbounded */
    void (*write_request)(const struct remote_classifier *c, struct text prompt, struct text text,
                          struct strbuf *out);
    /* The score of one name in an answer. */
    status_code (*read_score)(const struct json_value *answer, const char *name, double *out,
                              struct status *st);
};

/* ---- the two schemas ---- */

static void write_perspective(const struct remote_classifier *c, struct text prompt,
                              struct text text, struct strbuf *out)
{
    strbuf_append_str(out, "{\"comment\":{\"type\":\"PLAIN_TEXT\",\"text\":");
    json_append_text(out, text);
    strbuf_append_str(out, "},");
    if (prompt.length) {
        strbuf_append_str(out, "\"context\":{\"entries\":[{\"type\":\"PLAIN_TEXT\",\"text\":");
        json_append_text(out, prompt);
        strbuf_append_str(out, "}]},");
    }
    strbuf_append_str(out, "\"languages\":[\"en\"],\"doNotStore\":true,\"requestedAttributes\":{");
    for (size_t i = 0; i < c->service->n_names; i++)
        strbuf_appendf(out, "%s\"%s\":{}", i ? "," : "", c->service->names[i].name);
    strbuf_append_str(out, "}}");
}

static status_code read_perspective(const struct json_value *answer, const char *name, double *out,
                                    struct status *st)
{
    const struct json_value *scores, *attribute, *summary;
    status_code code;
    if ((code = json_get_object(answer, "attributeScores", &scores, st)) != STATUS_OK ||
        (code = json_get_object(scores, name, &attribute, st)) != STATUS_OK ||
        (code = json_get_object(attribute, "summaryScore", &summary, st)) != STATUS_OK)
        return code;
    return json_get_double(summary, "value", out, st);
}

static void write_moderation(const struct remote_classifier *c, struct text prompt,
                             struct text text, struct strbuf *out)
{
    (void)prompt; /* the schema has no place for it */
    strbuf_append_char(out, '{');
    if (c->model[0]) {
        strbuf_append_str(out, "\"model\":");
        json_append_str(out, c->model);
        strbuf_append_char(out, ',');
    }
    strbuf_append_str(out, "\"input\":");
    json_append_text(out, text);
    strbuf_append_char(out, '}');
}

static status_code read_moderation(const struct json_value *answer, const char *name, double *out,
                                   struct status *st)
{
    const struct json_value *results, *scores;
    status_code code = json_get_array(answer, "results", &results, st);
    if (code != STATUS_OK) return code;
    if (!json_first(results)) return status_set(st, STATUS_BAD_INPUT, "field \"results\" is empty");
    code = json_get_object(json_first(results), "category_scores", &scores, st);
    return code == STATUS_OK ? json_get_double(scores, name, out, st) : code;
}

#define N_NAMES(names) (sizeof(names) / sizeof(names)[0])

static const struct service services[] = {
    [REMOTE_PERSPECTIVE] = {"perspective", perspective_names, N_NAMES(perspective_names),
                            PERSPECTIVE_TEXT_BYTES, 1, write_perspective, read_perspective},
    [REMOTE_MODERATION] = {"moderation", moderation_names, N_NAMES(moderation_names),
                           LIMIT_PROMPT_BYTES, 0, write_moderation, read_moderation},
};

/* ---- scoring ---- */

static const struct remote_classifier *remote(const struct classifier *classifier)
{
    return (const struct remote_classifier *)classifier;
}

static double logit_of(double probability)
{
    double logit = log(probability) - log1p(-probability);
    return logit > MAX_LOGIT ? MAX_LOGIT : logit < -MAX_LOGIT ? -MAX_LOGIT : logit;
}

static status_code read_answer(const struct remote_classifier *c, const struct json_value *answer,
                               struct hazard_scores *out, struct status *st)
{
    struct hazard_scores scores = {0};
    for (size_t i = 0; i < c->service->n_names; i++) {
        const struct remote_name *name = &c->service->names[i];
        struct hazard_score *score = &scores.of[name->category];
        double probability;
        status_code code = c->service->read_score(answer, name->name, &probability, st);
        if (code != STATUS_OK) return code;
        if (!(probability >= 0 && probability <= 1))
            return status_set(st, STATUS_BAD_INPUT,
                              "the score of %s is %g, which is no probability", name->name,
                              probability);
        if (score->scored && score->probability >= probability) continue;
        *score = (struct hazard_score){true, logit_of(probability), probability};
    }
    *out = scores;
    return STATUS_OK;
}

static status_code read_reply(const struct remote_classifier *c, const struct http_reply *reply,
                              struct hazard_scores *out, struct status *st)
{
    struct json_value *answer;
    status_code code = json_parse(&answer, (struct text){reply->body.data, reply->body.length}, st);
    if (code == STATUS_OK) {
        code = read_answer(c, answer, out, st);
        json_free(answer);
    }
    return code == STATUS_OK ? code : status_prefix(st, "%s: the answer", c->base.id);
}

static status_code remote_score_within(const struct classifier *classifier, struct text prompt,
                                       struct text text, double seconds, struct hazard_scores *out,
                                       struct status *st)
{
    const struct remote_classifier *c = remote(classifier);
    if (text.length > c->service->max_text_bytes)
        return status_set(st, STATUS_LIMIT, "%s: the text is longer than %zu bytes", c->base.id,
                          c->service->max_text_bytes);
    struct strbuf body;
    strbuf_init(&body, 8 * LIMIT_PROMPT_BYTES);
    c->service->write_request(c, prompt, text, &body);
    status_code code = strbuf_check(&body, "a request", st);
    if (code == STATUS_OK) {
        const char *headers[] = {c->authorization[0] ? c->authorization : NULL, NULL};
        const struct http_request request = {.url = c->url,
                                             .headers = headers,
                                             .seconds = seconds,
                                             .body = {body.data, body.length}};
        struct http_reply reply;
        code = http_send(c->client, &request, &reply, st);
        if (code == STATUS_OK) code = read_reply(c, &reply, out, st);
        http_reply_release(&reply);
    }
    strbuf_release(&body);
    return code;
}

static status_code remote_score(const struct classifier *classifier, struct text prompt,
                                struct text text, struct hazard_scores *out, struct status *st)
{
    return remote_score_within(classifier, prompt, text, 0, out, st);
}

/* ---- many texts ---- */

/* What the threads of one call share. */
struct crew {
    const struct classifier *classifier;
    struct classifier_item *items;
    size_t n, next; /* `next` under the mutex */
    pthread_mutex_t mutex;
};

static void *work(void *user)
{
    struct crew *crew = user;
    for (;;) {
        pthread_mutex_lock(&crew->mutex);
        size_t i = crew->next++;
        pthread_mutex_unlock(&crew->mutex);
        if (i >= crew->n) return NULL;
        struct classifier_item *item = &crew->items[i];
        if (item->status.code != STATUS_OK) continue;
        double start = clock_seconds();
        item->status.code =
            remote_score(crew->classifier, item->prompt, item->text, &item->scores, &item->status);
        item->seconds = clock_seconds() - start;
    }
}

/* The caller works too, so that all texts are judged even where no thread can be had. */
static void remote_score_all(const struct classifier *classifier, struct classifier_item *items,
                             size_t n)
{
    struct crew crew = {.classifier = classifier, .items = items, .n = n};
    pthread_t threads[HTTP_MAX_PARALLEL];
    int wanted = classifier_parallel(classifier) - 1, n_threads = 0;
    pthread_mutex_init(&crew.mutex, NULL);
    while (n_threads < wanted && (size_t)n_threads + 1 < n &&
           pthread_create(&threads[n_threads], NULL, work, &crew) == 0)
        n_threads++;
    work(&crew);
    for (int i = 0; i < n_threads; i++) pthread_join(threads[i], NULL);
    pthread_mutex_destroy(&crew.mutex);
}

static void remote_free(struct classifier *classifier)
{
    struct remote_classifier *c = (struct remote_classifier *)classifier;
    http_client_free(c->client);
    free(c);
}

static const struct classifier_vtable table = {
    .score = remote_score,
    .score_within = remote_score_within,
    .score_all = remote_score_all,
    .free = remote_free,
};

/* ---- opening ---- */

/* "http://host:port/path": what stands between the slashes is the host. */
static status_code set_id(struct remote_classifier *c, const char *address, struct status *st)
{
    const char *host = strstr(address, "://");
    if (!host || (strncmp(address, "http://", 7) != 0 && strncmp(address, "https://", 8) != 0))
        return status_set(st, STATUS_USAGE,
                          "classifier %s: \"%.100s\" is not an http:// or https:// address",
                          c->service->kind, address);
    host += 3;
    snprintf(c->base.id, sizeof c->base.id, "%s/%.*s%s%s", c->service->kind,
             (int)strcspn(host, "/?#"), host, c->model[0] ? "-" : "", c->model);
    return STATUS_OK;
}

static status_code set_address(struct remote_classifier *c, const char *argument, struct status *st)
{
    bool perspective = c->service == &services[REMOTE_PERSPECTIVE];
    if (!argument && !perspective)
        return status_set(st, STATUS_USAGE,
                          "classifier moderation needs an address: moderation:http://host/v1/"
                          "moderations");
    const char *address = argument ? argument : PERSPECTIVE_URL;
    const char *hash = perspective ? NULL : strchr(address, '#');
    int length = hash ? (int)(hash - address) : (int)strlen(address);
    if (hash) snprintf(c->model, sizeof c->model, "%s", hash + 1);
    status_code code = set_id(c, address, st);
    if (code != STATUS_OK) return code;
    sha256_text(text_of(address), c->base.sha256);
    const char *key = getenv(perspective ? "PERSPECTIVE_API_KEY" : "OPENAI_API_KEY");
    int n;
    if (perspective && key && *key)
        n = snprintf(c->url, sizeof c->url, "%s%ckey=%s", address, strchr(address, '?') ? '&' : '?',
                     key);
    else
        n = snprintf(c->url, sizeof c->url, "%.*s", length, address);
    if (!perspective && key && *key)
        snprintf(c->authorization, sizeof c->authorization, "Authorization: Bearer %s", key);
    if (n < 0 || (size_t)n >= sizeof c->url)
        return status_set(st, STATUS_USAGE, "classifier %s: the address is too long", c->base.id);
    if (!argument && !(key && *key))
        return status_set(st, STATUS_USAGE,
                          "classifier perspective needs $PERSPECTIVE_API_KEY, or the address of a "
                          "service that needs no key: perspective:URL");
    return STATUS_OK;
}

/* A number over 0 from the environment; *out is left alone where the variable is not set. */
static status_code read_variable(const char *name, double *out, struct status *st)
{
    const char *text = getenv(name);
    char *end;
    if (!text || !*text) return STATUS_OK;
    *out = strtod(text, &end);
    if (*end || !(*out > 0) || !isfinite(*out))
        return status_set(st, STATUS_USAGE, "$%s is \"%.40s\", expected a number over 0", name,
                          text);
    return STATUS_OK;
}

status_code remote_classifier_open(struct classifier **out, enum remote_service service,
                                   const char *argument, const struct http_options *options,
                                   struct status *st)
{
    struct remote_classifier *c = calloc(1, sizeof *c);
    if (!c) return status_no_memory(st, "a classifier");
    c->base.vtable = &table;
    c->service = &services[service];
    for (size_t i = 0; i < c->service->n_names; i++)
        c->base.categories |= HAZARD_BIT(c->service->names[i].category);
    c->base.parallel = options->max_parallel > HTTP_MAX_PARALLEL ? HTTP_MAX_PARALLEL
                       : options->max_parallel > 0               ? options->max_parallel
                                                                 : 1;
    status_code code = set_address(c, argument, st);
    if (code == STATUS_OK) code = http_client_create(&c->client, options, st);
    if (code != STATUS_OK) {
        remote_free(&c->base);
        return code;
    }
    *out = &c->base;
    return STATUS_OK;
}

static status_code open_with_rate(struct classifier **out, enum remote_service service,
                                  const char *argument, struct status *st)
{
    struct http_options options = {0};
    double rate = argument ? 0 : services[service].queries_per_second, quota = 0;
    double parallel = argument ? REMOTE_PARALLEL : 1;
    status_code code = read_variable("ASSAY_REMOTE_QPS", &rate, st);
    if (code == STATUS_OK) code = read_variable("ASSAY_REMOTE_QUOTA", &quota, st);
    if (code == STATUS_OK) code = read_variable("ASSAY_REMOTE_PARALLEL", &parallel, st);
    if (quota > 0) parallel = 1; /* which texts are over it must not be chance */
    if (rate > 0) options.min_interval_seconds = 1 / rate;
    options.max_requests = quota < 1e15 ? (int64_t)ceil(quota) : 0;
    options.max_parallel = parallel < HTTP_MAX_PARALLEL ? (int)ceil(parallel) : HTTP_MAX_PARALLEL;
    return code == STATUS_OK ? remote_classifier_open(out, service, argument, &options, st) : code;
}

status_code perspective_classifier_open(struct classifier **out, const char *argument,
                                        struct status *st)
{
    return open_with_rate(out, REMOTE_PERSPECTIVE, argument, st);
}

status_code moderation_classifier_open(struct classifier **out, const char *argument,
                                       struct status *st)
{
    return open_with_rate(out, REMOTE_MODERATION, argument, st);
}
