#include "engine/backend_native.h"

#include <stdlib.h>

#include "engine/backend_vtable.h"
#include "engine/base/clock.h"
#include "engine/base/limits.h"
#include "engine/prompt_tokens.h"
#include "engine/sampling/sampler.h"

struct native_backend {
    struct backend base;
    const struct engine *engine;
    const struct tokenizer *tokenizer;
    struct session *session;
    struct sampler *sampler;
    int n_vocab;
};

static struct native_backend *native(struct backend *backend)
{
    return (struct native_backend *)backend;
}

/* ---- log-likelihood ---- */

/* One continuation as the engine sees it. */
struct scored {
    struct token_list tokens; /* context and continuation without its last token */
    const int32_t *targets;   /* the continuation's tokens, at the end of `whole` */
    struct token_list whole;
    int n_targets;
    bool done;
};

/* What one evaluation's logits are read for. */
struct readers {
    const struct native_backend *backend;
    struct scored *scored;
    struct loglikelihood_result *result;
    bool wanted[MAX_CONTINUATIONS];
    int n;
};

static void read_logits(void *user, int position, const float *logits)
{
    struct readers *r = user;
    int n_vocab = r->backend->n_vocab;
    int32_t greedy = logits_argmax(logits, n_vocab);
    for (int i = 0; i < r->n; i++) {
        if (!r->wanted[i]) continue;
        const struct scored *s = &r->scored[i];
        int target = position - ((int)s->tokens.count - s->n_targets);
        if (target < 0) continue;
        r->result->logprob[i] += logits_logprob(logits, n_vocab, s->targets[target]);
        if (greedy != s->targets[target]) r->result->is_greedy[i] = false;
    }
}

/* Continuations with the same input (all one-token choices) are read from one evaluation. */
static bool same_input(const struct scored *a, const struct scored *b)
{
    return a->tokens.count == b->tokens.count &&
           memcmp(a->tokens.ids, b->tokens.ids, a->tokens.count * sizeof *a->tokens.ids) == 0;
}

static status_code score_all(struct native_backend *b, struct scored *scored, int n,
                             struct loglikelihood_result *result, struct status *st)
{
    for (int i = 0; i < n; i++) {
        if (scored[i].done) continue;
        struct readers readers = {.backend = b, .scored = scored, .result = result, .n = n};
        int longest = 0;
        for (int j = i; j < n; j++) {
            if (scored[j].done || !same_input(&scored[i], &scored[j])) continue;
            readers.wanted[j] = scored[j].done = true;
            if (scored[j].n_targets > longest) longest = scored[j].n_targets;
        }
        int count = (int)scored[i].tokens.count;
        status_code code = session_eval(b->session, scored[i].tokens.ids, count, count - longest,
                                        read_logits, &readers, st);
        if (code != STATUS_OK) return code;
    }
    return STATUS_OK;
}

/* The ids as the request brought them, or of its texts. */
static status_code encode(struct native_backend *b, const struct loglikelihood_request *request,
                          int i, struct scored *s, size_t *n_context, struct status *st)
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

static status_code prepare(struct native_backend *b, const struct loglikelihood_request *request,
                           int i, struct scored *s, struct loglikelihood_result *result,
                           struct status *st)
{
    size_t n_context = 0;
    status_code code = encode(b, request, i, s, &n_context, st);
    if (code != STATUS_OK) return code;
    s->n_targets = (int)(s->whole.count - n_context);
    s->targets = s->whole.ids + n_context;
    size_t keep = (size_t)session_context(b->session);
    size_t cut = s->whole.count - 1 > keep ? s->whole.count - 1 - keep : 0;
    if (cut >= n_context)
        return status_set(st, STATUS_LIMIT,
                          "a continuation of %d tokens does not fit a context of "
                          "%zu",
                          s->n_targets, keep);
    for (size_t k = cut; k + 1 < s->whole.count; k++)
        if ((code = token_list_append(&s->tokens, s->whole.ids[k], st)) != STATUS_OK) return code;
    result->n_context_tokens = (int)n_context;
    if ((int)cut > result->n_truncated) result->n_truncated = (int)cut;
    return STATUS_OK;
}

static status_code answer_loglikelihood(struct native_backend *b,
                                        const struct loglikelihood_request *request,
                                        struct loglikelihood_result *result, struct status *st)
{
    struct scored scored[MAX_CONTINUATIONS] = {0};
    int n = request->n_continuations;
    status_code code = STATUS_OK;
    for (int i = 0; i < n && code == STATUS_OK; i++) {
        code = prepare(b, request, i, &scored[i], result, st);
        result->n_tokens[i] = scored[i].n_targets;
        result->is_greedy[i] = true;
    }
    if (code == STATUS_OK) code = score_all(b, scored, n, result, st);
    for (int i = 0; i < n; i++) {
        token_list_release(&scored[i].tokens);
        token_list_release(&scored[i].whole);
    }
    return code;
}

static status_code native_loglikelihood(struct backend *backend,
                                        const struct loglikelihood_request *requests, int n,
                                        struct loglikelihood_result *results, struct status *st)
{
    (void)st; /* a request that fails says so in its own result */
    for (int i = 0; i < n; i++) {
        BUG_IF(requests[i].n_continuations > MAX_CONTINUATIONS);
        results[i] = (struct loglikelihood_result){0};
        struct status own = {0};
        if (answer_loglikelihood(native(backend), &requests[i], &results[i], &own) != STATUS_OK)
            results[i].status = own;
    }
    return STATUS_OK;
}

/* ---- generation ---- */

/* One reply being made. */
struct generation {
    const struct generate_request *request;
    struct generate_result *result;
    struct token_list tokens; /* prompt and reply */
    struct rng rng;
    const struct native_backend *backend;
    int32_t next; /* the token chosen from the last logits */
};

static void choose_token(void *user, int position, const float *logits)
{
    struct generation *g = user;
    (void)position;
    g->next = sampler_next(g->backend->sampler, &g->request->sampling, logits, &g->rng);
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

/* Adds the chosen token to the reply; true when the reply has ended. */
static bool take_token(struct generation *g)
{
    struct generate_result *result = g->result;
    if (tokenizer_is_end(g->backend->tokenizer, g->next)) {
        result->finish_reason = FINISH_EOS;
        return true;
    }
    struct text piece = tokenizer_piece(g->backend->tokenizer, g->next);
    strbuf_append(&result->reply, piece.data, piece.length);
    result->n_generated++;
    if (cut_at_stops(g->request, &result->reply)) {
        result->finish_reason = FINISH_STOP_STRING;
        return true;
    }
    struct text reply = {result->reply.data, result->reply.length};
    if (g->request->on_text && !g->request->on_text(g->request->user, reply)) {
        result->finish_reason = FINISH_GUARD;
        return true;
    }
    result->finish_reason = FINISH_LENGTH;
    return result->n_generated >= g->request->max_tokens;
}

static status_code decode(struct native_backend *b, struct generation *g, struct status *st)
{
    double start = clock_seconds();
    status_code code = STATUS_OK;
    for (;;) {
        int n = (int)g->tokens.count;
        code = session_eval(b->session, g->tokens.ids, n, n - 1, choose_token, g, st);
        double now = clock_seconds();
        if (g->result->n_generated == 0)
            g->result->prefill_seconds = now - start;
        else
            g->result->decode_seconds = now - start - g->result->prefill_seconds;
        if (code != STATUS_OK || take_token(g)) return code;
        if ((int)g->tokens.count >= session_context(b->session)) return STATUS_OK;
        if ((code = token_list_append(&g->tokens, g->next, st)) != STATUS_OK) return code;
    }
}

/* The prompt's tokens, without as many at its start as leave no room for the reply. */
static status_code encode_prompt(struct native_backend *b, struct generation *g, struct status *st)
{
    int context = session_context(b->session), max_tokens = g->request->max_tokens;
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

static status_code answer_generate(struct native_backend *b, const struct generate_request *request,
                                   struct generate_result *result, struct status *st)
{
    struct generation g = {.request = request, .result = result, .backend = b};
    status_code code = sampling_options_check(&request->sampling, st);
    rng_seed(&g.rng, request->seed);
    if (code == STATUS_OK) code = encode_prompt(b, &g, st);
    if (code == STATUS_OK) code = decode(b, &g, st);
    if (code == STATUS_OK) code = strbuf_check(&result->reply, "reply", st);
    token_list_release(&g.tokens);
    return code;
}

static status_code native_generate(struct backend *backend, const struct generate_request *requests,
                                   int n, struct generate_result *results, struct status *st)
{
    (void)st; /* a request that fails says so in its own result */
    for (int i = 0; i < n; i++) {
        results[i] = (struct generate_result){0};
        strbuf_init(&results[i].reply, LIMIT_REPLY_BYTES);
        struct status own = {0};
        if (answer_generate(native(backend), &requests[i], &results[i], &own) != STATUS_OK)
            results[i].status = own;
    }
    return STATUS_OK;
}

/* ---- opening ---- */

static void native_free(struct backend *backend)
{
    struct native_backend *b = native(backend);
    session_free(b->session);
    sampler_free(b->sampler);
    free(b);
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
        .n_vocab = info->n_vocab,
    };
    status_code code = session_create(&b->session, engine, options->n_context, st);
    if (code == STATUS_OK) code = sampler_create(&b->sampler, info->n_vocab, st);
    if (code != STATUS_OK) {
        native_free(&b->base);
        return code;
    }
    *out = &b->base;
    return STATUS_OK;
}

void backend_native_token_counts(const struct backend *backend, uint64_t *asked, uint64_t *computed)
{
    session_token_counts(((const struct native_backend *)backend)->session, asked, computed);
}
