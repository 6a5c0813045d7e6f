#include "classifiers/classifier_host.h"

#include <stdlib.h>
#include <string.h>

#include "engine/base/limits.h"
#include "engine/base/worker_process.h"

struct classifier_host {
    struct classifier base;
    struct classifier *inner;
    struct worker_process *worker;
};

/* What goes over, between two copies of one program: the prompt's length before the two texts; the
 * answer. */
struct host_answer {
    struct hazard_scores scores;
    struct status status;
};

static void serve(void *user, struct text request, struct strbuf *answer)
{
    const struct classifier *inner = user;
    struct host_answer result;
    uint64_t prompt_length;
    memset(&result, 0, sizeof result); /* padding goes over too */
    memcpy(&prompt_length, request.data, sizeof prompt_length);
    const char *texts = request.data + sizeof prompt_length;
    struct text prompt = {texts, (size_t)prompt_length};
    struct text text = {texts + prompt.length,
                        request.length - sizeof prompt_length - prompt.length};
    result.status.code = inner->vtable->score(inner, prompt, text, &result.scores, &result.status);
    strbuf_append(answer, (const char *)&result, sizeof result);
}

static status_code read_answer(const struct strbuf *bytes, struct hazard_scores *out,
                               struct status *st)
{
    struct host_answer result;
    if (bytes->length != sizeof result)
        return status_set(st, STATUS_IO, "its process answered %zu bytes", bytes->length);
    memcpy(&result, bytes->data, sizeof result);
    if (result.status.code != STATUS_OK)
        return status_set(st, result.status.code, "%s", result.status.message);
    *out = result.scores;
    return STATUS_OK;
}

static status_code host_score_within(const struct classifier *classifier, struct text prompt,
                                     struct text text, double seconds, struct hazard_scores *out,
                                     struct status *st)
{
    const struct classifier_host *host = (const struct classifier_host *)classifier;
    struct strbuf request, answer;
    uint64_t prompt_length = prompt.length;
    strbuf_init(&request, 2 * (size_t)LIMIT_PROMPT_BYTES + sizeof prompt_length);
    strbuf_init(&answer, sizeof(struct host_answer));
    strbuf_append(&request, (const char *)&prompt_length, sizeof prompt_length);
    strbuf_append(&request, prompt.data, prompt.length);
    strbuf_append(&request, text.data, text.length);
    status_code code = strbuf_check(&request, "a text to classify", st);
    if (code == STATUS_OK) {
        code = worker_process_ask(host->worker, (struct text){request.data, request.length},
                                  seconds, &answer, st);
        if (code != STATUS_OK) status_prefix(st, "%s", host->base.id);
    }
    if (code == STATUS_OK) code = read_answer(&answer, out, st);
    strbuf_release(&request);
    strbuf_release(&answer);
    return code;
}

static status_code host_score(const struct classifier *classifier, struct text prompt,
                              struct text text, struct hazard_scores *out, struct status *st)
{
    return host_score_within(classifier, prompt, text, LIMIT_CLASSIFIER_SECONDS, out, st);
}

static void host_free(struct classifier *classifier)
{
    struct classifier_host *host = (struct classifier_host *)classifier;
    worker_process_free(host->worker);
    classifier_free(host->inner);
    free(host);
}

static const struct classifier_vtable table = {
    .score = host_score, .score_within = host_score_within, .free = host_free};

status_code classifier_host_create(struct classifier **out, struct classifier *inner,
                                   struct status *st)
{
    struct classifier_host *host = calloc(1, sizeof *host);
    if (!host) {
        classifier_free(inner);
        return status_no_memory(st, "a classifier's process");
    }
    host->base = *inner;
    host->base.vtable = &table;
    host->inner = inner;
    status_code code = worker_process_create(&host->worker, serve, inner, st);
    if (code != STATUS_OK) {
        host_free(&host->base);
        return code;
    }
    *out = &host->base;
    return STATUS_OK;
}
