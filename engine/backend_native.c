#include "engine/backend_native.h"

#include <omp.h>
#include <stdlib.h>
#include <string.h>

#include "engine/backend_vtable.h"
#include "engine/base/limits.h"
#include "engine/prompt_tokens.h"
#include "engine/sampling/sampler.h"
#include "engine/scheduler/scheduler.h"

struct native_backend {
    struct backend base;
    const struct engine *engine;
    const struct tokenizer *tokenizer;
    struct scheduler *scheduler;
    struct sampler **samplers; /* [n_threads] */
    int n_threads;
    int n_vocab;
};

static struct native_backend *native(struct backend *backend)
{
    return (struct native_backend *)backend;
}

/* ---- log-likelihood ---- */

/* One continuation as the engine sees it. */
struct scored {
    struct token_list whole; /* context and continuation */
    size_t cut;              /* tokens left out at the start */
    const int32_t *targets;  /* the continuation's tokens, at the end of `whole` */
    int n_targets;
    bool listed; /* with a job */
};

/* What has to be computed: all tokens but the last. */
static const int32_t *input_of(const struct scored *s)
{
    return s->whole.ids + s->cut;
}

static int n_input(const struct scored *s)
{
    return (int)(s->whole.count - 1 - s->cut);
}

/* One request in flight. */
struct question {
    const struct native_backend *backend;
    const struct loglikelihood_request *request;
    struct loglikelihood_result *result;
    struct scored scored[MAX_CONTINUATIONS];
};

/* What one job's logits are read for. */
struct reader {
    struct question *question;
    bool wanted[MAX_CONTINUATIONS];
};

static int32_t read_logits(void *user, int position, const float *logits)
{
    struct reader *r = user;
    const struct question *q = r->question;
    struct logits_summary summary = logits_summarize(logits, q->backend->n_vocab);
    for (int i = 0; i < q->request->n_continuations; i++) {
        if (!r->wanted[i]) continue;
        const struct scored *s = &q->scored[i];
        int target = position - (n_input(s) - s->n_targets);
        if (target < 0) continue;
        q->result->logprob[i] += logits_logprob(&summary, logits, s->targets[target]);
        if (summary.best != s->targets[target]) q->result->is_greedy[i] = false;
    }
    return SCHEDULER_CONTINUE;
}

/* Continuations with the same input (all one-token choices) are read from one job. */
static bool same_input(const struct scored *a, const struct scored *b)
{
    return n_input(a) == n_input(b) &&
           memcmp(input_of(a), input_of(b), (size_t)n_input(a) * sizeof *a->whole.ids) == 0;
}

/* Appends a question's jobs, and a reader for each; returns how many. */
static int list_questions_jobs(struct question *q, struct scheduler_job *jobs,
                               struct reader *readers)
{
    int n = 0;
    for (int i = 0; i < q->request->n_continuations; i++) {
        if (q->scored[i].listed) continue;
        struct reader *reader = &readers[n];
        int longest = 0;
        *reader = (struct reader){.question = q};
        for (int j = i; j < q->request->n_continuations; j++) {
            struct scored *s = &q->scored[j];
            if (s->listed || !same_input(&q->scored[i], s)) continue;
            reader->wanted[j] = s->listed = true;
            if (s->n_targets > longest) longest = s->n_targets;
        }
        int count = n_input(&q->scored[i]);
        jobs[n++] = (struct scheduler_job){.tokens = input_of(&q->scored[i]),
                                           .n_tokens = count,
                                           .first_logits = count - longest,
                                           .max_tokens = count,
                                           .on_logits = read_logits,
                                           .user = reader};
    }
    return n;
}

/* The ids as the request brought them, or of its texts. */
static status_code encode(const struct native_backend *b,
                          const struct loglikelihood_request *request, int i, struct scored *s,
                          size_t *n_context, struct status *st)
{
    status_code code = STATUS_OK;
    if (!request->pairs) {
        struct prompt_tokens pair = {0};
        struct text context = request->contexts ? request->contexts[i] : request->context;
        code = prompt_tokens_pair(b->tokenizer, context, request->continuation[i], &pair, st);
        s->whole = pair.ids;
        *n_context = pair.n_context;
        return code;
    }
    const struct token_pair *pair = &request->pairs[i];
    for (size_t k = 0; k < pair->n && code == STATUS_OK; k++)
        code = token_list_append(&s->whole, pair->ids[k], st);
    *n_context = pair->n_context;
    if (code == STATUS_OK && pair->n <= pair->n_context)
        code = status_set(st, STATUS_BAD_INPUT, "a continuation adds no token to its context");
    return code;
}

static status_code prepare(const struct native_backend *b, struct question *q, int i,
                           struct status *st)
{
    size_t n_context = 0;
    struct scored *s = &q->scored[i];
    status_code code = encode(b, q->request, i, s, &n_context, st);
    if (code != STATUS_OK) return code;
    s->n_targets = (int)(s->whole.count - n_context);
    s->targets = s->whole.ids + n_context;
    size_t keep = (size_t)scheduler_context(b->scheduler);
    s->cut = s->whole.count - 1 > keep ? s->whole.count - 1 - keep : 0;
    if (s->cut >= n_context)
        return status_set(st, STATUS_LIMIT,
                          "a continuation of %d tokens does not fit a context of "
                          "%zu",
                          s->n_targets, keep);
    q->result->n_context_tokens = (int)n_context;
    q->result->n_tokens[i] = s->n_targets;
    q->result->is_greedy[i] = true;
    if ((int)s->cut > q->result->n_truncated) q->result->n_truncated = (int)s->cut;
    return STATUS_OK;
}

/* A question that cannot be asked has no jobs and says why. */
static int prepare_question(const struct native_backend *b, struct question *q,
                            struct scheduler_job *jobs, struct reader *readers)
{
    struct status own = {0};
    status_code code = STATUS_OK;
    BUG_IF(q->request->n_continuations > MAX_CONTINUATIONS);
    for (int i = 0; i < q->request->n_continuations && code == STATUS_OK; i++)
        code = prepare(b, q, i, &own);
    if (code == STATUS_OK) return list_questions_jobs(q, jobs, readers);
    q->result->status = own;
    return 0;
}

static status_code run_questions(struct native_backend *b, struct question *questions, int n,
                                 struct scheduler_job *jobs, struct reader *readers,
                                 struct status *st)
{
    int n_jobs = 0;
    for (int i = 0; i < n; i++)
        n_jobs += prepare_question(b, &questions[i], jobs + n_jobs, readers + n_jobs);
    status_code code = scheduler_run(b->scheduler, jobs, n_jobs, st);
    for (int i = 0; i < n_jobs && code == STATUS_OK; i++) {
        struct loglikelihood_result *result = readers[i].question->result;
        if (jobs[i].status.code != STATUS_OK && result->status.code == STATUS_OK)
            result->status = jobs[i].status;
    }
    return code;
}

static status_code native_loglikelihood(struct backend *backend,
                                        const struct loglikelihood_request *requests, int n,
                                        struct loglikelihood_result *results, struct status *st)
{
    size_t most = 0;
    BUG_IF(n < 1);
    for (int i = 0; i < n; i++) most += (size_t)requests[i].n_continuations;
    struct question *questions = calloc((size_t)n, sizeof *questions);
    struct scheduler_job *jobs = calloc(most + 1, sizeof *jobs);
    struct reader *readers = calloc(most + 1, sizeof *readers);
    for (int i = 0; i < n; i++) {
        results[i] = (struct loglikelihood_result){0};
        if (questions)
            questions[i] = (struct question){
                .backend = native(backend), .request = &requests[i], .result = &results[i]};
    }
    status_code code = questions && jobs && readers
                           ? run_questions(native(backend), questions, n, jobs, readers, st)
                           : status_no_memory(st, "requests");
    for (int i = 0; i < n && questions; i++)
        for (int k = 0; k < requests[i].n_continuations; k++)
            token_list_release(&questions[i].scored[k].whole);
    free(questions);
    free(jobs);
    free(readers);
    return code;
}

/* ---- generation ---- */

/* One reply being made. */
struct generation {
    const struct native_backend *backend;
    const struct generate_request *request;
    struct generate_result *result;
    struct token_list tokens; /* of the prompt */
    struct rng rng;
};

/* Called by several threads at a time, for replies that are each other's neighbours in a pass. */
static int32_t choose_token(void *user, int position, const float *logits)
{
    struct generation *g = user;
    const struct native_backend *b = g->backend;
    (void)position;
    int32_t token =
        sampler_next(b->samplers[omp_get_thread_num()], &g->request->sampling, logits, &g->rng);
    if (!tokenizer_is_end(b->tokenizer, token)) return token;
    g->result->finish_reason = FINISH_EOS;
    return SCHEDULER_END;
}

static bool contains(struct text text, struct text part, size_t *at)
{
    if (!part.length) return false;
    for (size_t i = 0; i + part.length <= text.length; i++)
        if (memcmp(text.data + i, part.data, part.length) == 0) {
            *at = i;
            return true;
        }
    return false;
}

/* lm-eval cuts at the first occurrence of each stop string in list order. */
static bool cut_at_stops(const struct generate_request *request, struct strbuf *reply)
{
    bool found = false;
    for (int i = 0; i < request->n_until; i++) {
        size_t at;
        if (!contains((struct text){reply->data, reply->length}, request->until[i], &at)) continue;
        strbuf_truncate(reply, at);
        found = true;
    }
    return found;
}

/* Adds a token to the reply; false when the reply has ended. */
static bool take_token(void *user, int32_t token)
{
    struct generation *g = user;
    struct generate_result *result = g->result;
    struct text piece = tokenizer_piece(g->backend->tokenizer, token);
    strbuf_append(&result->reply, piece.data, piece.length);
    result->n_generated++;
    if (cut_at_stops(g->request, &result->reply)) {
        result->finish_reason = FINISH_STOP_STRING;
        return false;
    }
    struct text reply = {result->reply.data, result->reply.length};
    if (g->request->on_text && !g->request->on_text(g->request->user, reply)) {
        result->finish_reason = FINISH_GUARD;
        return false;
    }
    result->finish_reason = FINISH_LENGTH;
    return result->n_generated < g->request->max_tokens;
}

/* The prompt's tokens, without as many at its start as leave no room for the reply. */
static status_code encode_prompt(struct generation *g, struct status *st)
{
    const struct native_backend *b = g->backend;
    int context = scheduler_context(b->scheduler), max_tokens = g->request->max_tokens;
    if (max_tokens < 1 || max_tokens >= context)
        return status_set(st, STATUS_LIMIT, "a reply of %d tokens does not fit a context of %d",
                          max_tokens, context);
    struct prompt_tokens all = {0};
    const int32_t *ids = g->request->tokens;
    size_t n = g->request->n_tokens, keep = (size_t)(context - max_tokens);
    status_code code = STATUS_OK;
    if (!ids) {
        code = prompt_tokens_prompt(b->tokenizer, g->request->prompt, &all, st);
        ids = all.ids.ids;
        n = all.ids.count;
    }
    int cut = n > keep ? (int)(n - keep) : 0;
    for (size_t i = (size_t)cut; i < n && code == STATUS_OK; i++)
        code = token_list_append(&g->tokens, ids[i], st);
    g->result->n_prompt_tokens = (int)n;
    g->result->n_truncated = cut;
    token_list_release(&all.ids);
    return code;
}

static status_code prepare_reply(struct generation *g, struct scheduler_job *job, struct status *st)
{
    status_code code = sampling_options_check(&g->request->sampling, st);
    rng_seed(&g->rng, g->request->seed);
    if (code == STATUS_OK) code = encode_prompt(g, st);
    if (code != STATUS_OK) return code;
    int n = (int)g->tokens.count;
    *job = (struct scheduler_job){.tokens = g->tokens.ids,
                                  .n_tokens = n,
                                  .first_logits = n - 1,
                                  .max_tokens = n + g->request->max_tokens - 1,
                                  .on_logits = choose_token,
                                  .on_token = take_token,
                                  .user = g};
    return STATUS_OK;
}

static void finish_reply(const struct scheduler_job *job)
{
    const struct generation *g = job->user;
    struct status own = job->status;
    g->result->prefill_seconds = job->prefill_seconds;
    g->result->decode_seconds = job->decode_seconds;
    if (own.code != STATUS_OK || strbuf_check(&g->result->reply, "reply", &own) != STATUS_OK)
        g->result->status = own;
}

/* A reply that cannot be made has no job and says why. */
static status_code run_replies(struct native_backend *b, struct generation *replies, int n,
                               struct scheduler_job *jobs, struct status *st)
{
    int n_jobs = 0;
    for (int i = 0; i < n; i++) {
        struct status own = {0};
        if (prepare_reply(&replies[i], &jobs[n_jobs], &own) == STATUS_OK)
            n_jobs++;
        else
            replies[i].result->status = own;
    }
    status_code code = scheduler_run(b->scheduler, jobs, n_jobs, st);
    for (int i = 0; i < n_jobs && code == STATUS_OK; i++) finish_reply(&jobs[i]);
    return code;
}

static status_code native_generate(struct backend *backend, const struct generate_request *requests,
                                   int n, struct generate_result *results, struct status *st)
{
    BUG_IF(n < 1);
    struct generation *replies = calloc((size_t)n, sizeof *replies);
    struct scheduler_job *jobs = calloc((size_t)n, sizeof *jobs);
    for (int i = 0; i < n; i++) {
        results[i] = (struct generate_result){0};
        strbuf_init(&results[i].reply, LIMIT_REPLY_BYTES);
        if (replies)
            replies[i] = (struct generation){
                .backend = native(backend), .request = &requests[i], .result = &results[i]};
    }
    status_code code = replies && jobs ? run_replies(native(backend), replies, n, jobs, st)
                                       : status_no_memory(st, "requests");
    for (int i = 0; i < n && replies; i++) token_list_release(&replies[i].tokens);
    free(replies);
    free(jobs);
    return code;
}

/* ---- opening ---- */

static void native_free(struct backend *backend)
{
    struct native_backend *b = native(backend);
    scheduler_free(b->scheduler);
    for (int i = 0; b->samplers && i < b->n_threads; i++) sampler_free(b->samplers[i]);
    free(b->samplers);
    free(b);
}

static status_code create_parts(struct native_backend *b,
                                const struct backend_native_options *options, struct status *st)
{
    const struct scheduler_options scheduler = {.n_context = options->n_context,
                                                .cache_bytes = options->cache_bytes,
                                                .max_sequences = options->max_sequences};
    status_code code = scheduler_create(&b->scheduler, b->engine, &scheduler, st);
    if (code != STATUS_OK) return code;
    b->samplers = calloc((size_t)b->n_threads, sizeof *b->samplers);
    if (!b->samplers) return status_no_memory(st, "the samplers");
    for (int i = 0; i < b->n_threads && code == STATUS_OK; i++)
        code = sampler_create(&b->samplers[i], b->n_vocab, st);
    return code;
}

static const struct backend_vtable table = {native_loglikelihood, native_generate, native_free};

status_code backend_native_open(struct backend **out, const struct engine *engine,
                                const struct backend_native_options *options, struct status *st)
{
    const struct tokenizer *tokenizer = engine_get_tokenizer(engine);
    const struct engine_info *info = engine_get_info(engine);
    if (info->is_encoder)
        return status_set(st, STATUS_UNSUPPORTED,
                          "%s: %s is an encoder with a classification head and writes no replies",
                          info->path, info->architecture);
    if (!tokenizer)
        return status_set(st, STATUS_NOT_FOUND,
                          "%s: no tokenizer.json, tokenizer.model or GGUF vocabulary", info->path);
    struct native_backend *b = calloc(1, sizeof *b);
    if (!b) return status_no_memory(st, "the backend");
    *b = (struct native_backend){
        .base.vtable = &table,
        .engine = engine,
        .tokenizer = tokenizer,
        .n_threads = info->n_threads,
        .n_vocab = info->n_vocab,
    };
    status_code code = create_parts(b, options, st);
    if (code != STATUS_OK) {
        native_free(&b->base);
        return code;
    }
    *out = &b->base;
    return STATUS_OK;
}

struct scheduler_counts backend_native_counts(const struct backend *backend)
{
    return scheduler_get_counts(((const struct native_backend *)backend)->scheduler);
}
