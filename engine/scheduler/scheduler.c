#include "engine/scheduler/scheduler.h"

#include <stdlib.h>
#include <string.h>

#include "engine/base/clock.h"

struct scheduler {
    struct session *session;
    int32_t *tokens; /* [n_context] of the job that runs */
    struct scheduler_counts counts;
};

/* A job's last answer. */
struct answer {
    const struct scheduler_job *job;
    int32_t token;
};

status_code scheduler_create(struct scheduler **out, const struct engine *engine,
                             const struct scheduler_options *options, struct status *st)
{
    struct scheduler *s = calloc(1, sizeof *s);
    if (!s) return status_no_memory(st, "a scheduler");
    status_code code = session_create(&s->session, engine, options->n_context, st);
    if (code == STATUS_OK) {
        s->tokens = calloc((size_t)session_context(s->session), sizeof *s->tokens);
        if (!s->tokens) code = status_no_memory(st, "a scheduler");
    }
    if (code != STATUS_OK) {
        scheduler_free(s);
        return code;
    }
    *out = s;
    return STATUS_OK;
}

void scheduler_free(struct scheduler *s)
{
    if (!s) return;
    session_free(s->session);
    free(s->tokens);
    free(s);
}

static void take_logits(void *user, int position, const float *logits)
{
    struct answer *a = user;
    if (a->token != SCHEDULER_END) a->token = a->job->on_logits(a->job->user, position, logits);
}

/* One evaluation of the job's n tokens; true when there is a token to append. */
static status_code step(struct scheduler *s, struct scheduler_job *job, int n, int first,
                        int32_t *token, struct status *st)
{
    struct answer answer = {job, SCHEDULER_CONTINUE};
    uint64_t asked, before, computed;
    session_token_counts(s->session, &asked, &before);
    double start = clock_seconds();
    status_code code = session_eval(s->session, s->tokens, n, first,
                                    job->on_logits ? take_logits : NULL, &answer, st);
    double seconds = clock_seconds() - start;
    if (n == job->n_tokens)
        job->prefill_seconds += seconds;
    else
        job->decode_seconds += seconds;
    session_token_counts(s->session, &asked, &computed);
    s->counts.computed += computed - before;
    s->counts.unique += computed - before;
    s->counts.passes++;
    *token = answer.token;
    return code;
}

static status_code run_job(struct scheduler *s, struct scheduler_job *job, struct status *st)
{
    int n = job->n_tokens, first = job->first_logits;
    if (n > session_context(s->session))
        return status_set(st, STATUS_LIMIT, "%d tokens do not fit a context of %d", n,
                          session_context(s->session));
    memcpy(s->tokens, job->tokens, (size_t)n * sizeof *s->tokens);
    s->counts.asked += (uint64_t)n;
    for (;;) {
        int32_t token;
        status_code code = step(s, job, n, first, &token, st);
        if (code != STATUS_OK || token < 0) return code;
        if (n >= job->max_tokens || n >= session_context(s->session)) return STATUS_OK;
        if (job->on_token && !job->on_token(job->user, token)) return STATUS_OK;
        s->tokens[n++] = token;
        first = n - 1;
        s->counts.asked++;
    }
}

status_code scheduler_run(struct scheduler *s, struct scheduler_job *jobs, int n, struct status *st)
{
    (void)st; /* a job that fails says so in its own status */
    for (int i = 0; i < n; i++) {
        jobs[i].status = (struct status){0};
        jobs[i].prefill_seconds = jobs[i].decode_seconds = 0;
        struct status own = {0};
        if (run_job(s, &jobs[i], &own) != STATUS_OK) jobs[i].status = own;
    }
    return STATUS_OK;
}

int scheduler_context(const struct scheduler *s)
{
    return session_context(s->session);
}

struct scheduler_counts scheduler_get_counts(const struct scheduler *s)
{
    return s->counts;
}
