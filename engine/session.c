/* A session: one timeline, which for a decoder is one job of a scheduler of its own. */
#include <stdlib.h>
#include <string.h>

#include "engine/engine_internal.h"
#include "engine/model/run_state.h"
#include "engine/model/token_batch.h"
#include "engine/scheduler/scheduler.h"

struct session {
    const struct engine *engine;
    int n_context;
    struct scheduler *scheduler; /* of a decoder */
    struct run_state state;      /* of an encoder */
    uint64_t classified;         /* tokens */
};

static status_code open_parts(struct session *s, struct status *st)
{
    const struct engine_info *info = engine_get_info(s->engine);
    const struct run_sizes sizes = {.n_context = s->n_context,
                                    .n_sequences = 1,
                                    .n_threads = info->n_threads,
                                    .adapter_rank = engine_model(s->engine)->adapter_rank};
    if (info->is_encoder) return run_state_init(&s->state, engine_model(s->engine), &sizes, st);
    const struct scheduler_options options = {.n_context = s->n_context, .max_sequences = 1};
    return scheduler_create(&s->scheduler, s->engine, &options, st);
}

status_code session_create(struct session **out, const struct engine *engine, int n_context,
                           struct status *st)
{
    status_code code = engine_context(engine, n_context, &n_context, st);
    if (code != STATUS_OK) return code;
    struct session *s = calloc(1, sizeof *s);
    if (!s) return status_no_memory(st, "a session");
    s->engine = engine;
    s->n_context = n_context;
    code = open_parts(s, st);
    if (code != STATUS_OK) {
        session_free(s);
        return code;
    }
    *out = s;
    return STATUS_OK;
}

void session_free(struct session *s)
{
    if (!s) return;
    scheduler_free(s->scheduler);
    run_state_release(&s->state);
    free(s);
}

int session_context(const struct session *s)
{
    return s->n_context;
}

void session_token_counts(const struct session *s, uint64_t *asked, uint64_t *computed)
{
    *asked = *computed = s->classified;
    if (!s->scheduler) return;
    struct scheduler_counts counts = scheduler_get_counts(s->scheduler);
    *asked = counts.asked;
    *computed = counts.computed;
}

struct listener {
    session_logits_fn *on_logits;
    void *user;
};

static int32_t pass_on(void *user, int position, const float *logits)
{
    const struct listener *l = user;
    l->on_logits(l->user, position, logits);
    return SCHEDULER_CONTINUE;
}

static status_code run_job(struct session *s, struct scheduler_job *job, struct status *st)
{
    if (!s->scheduler)
        return status_set(st, STATUS_UNSUPPORTED,
                          "%s: an encoder with a classification head has no next token",
                          engine_get_info(s->engine)->path);
    status_code code = scheduler_run(s->scheduler, job, 1, st);
    if (code != STATUS_OK || job->status.code == STATUS_OK) return code;
    *st = job->status;
    return st->code;
}

status_code session_eval(struct session *s, const int32_t *tokens, int n, int first_logits,
                         session_logits_fn *on_logits, void *user, struct status *st)
{
    struct listener listener = {on_logits, user};
    struct scheduler_job job = {
        .tokens = tokens,
        .n_tokens = n,
        .first_logits = first_logits,
        .max_tokens = n,
        .on_logits = on_logits ? pass_on : NULL,
        .user = &listener,
    };
    return run_job(s, &job, st);
}

status_code session_hidden(struct session *s, const int32_t *tokens, int n, int first,
                           session_hidden_fn *on_hidden, void *user, struct status *st)
{
    struct scheduler_job job = {
        .tokens = tokens,
        .n_tokens = n,
        .first_logits = first,
        .max_tokens = n,
        .on_hidden = on_hidden,
        .user = user,
    };
    return run_job(s, &job, st);
}

status_code session_classify(struct session *s, const int32_t *tokens, int n, float *logits,
                             struct status *st)
{
    const struct model *m = engine_model(s->engine);
    const struct engine_info *info = engine_get_info(s->engine);
    if (!info->is_encoder)
        return status_set(st, STATUS_UNSUPPORTED, "%s: architecture %s has no classification head",
                          info->path, info->architecture);
    if (n < 1) return status_set(st, STATUS_BAD_INPUT, "there are no tokens to classify");
    status_code code = engine_check_tokens(s->engine, tokens, n, s->n_context, st);
    if (code != STATUS_OK) return code;
    const struct token_batch batch = {.n = n, .tokens = tokens};
    m->config.architecture->forward(m, &s->state, &batch);
    m->config.architecture->classify(m, &s->state);
    memcpy(logits, s->state.logits, (size_t)info->n_labels * sizeof *logits);
    s->classified += (uint64_t)n;
    return STATUS_OK;
}
