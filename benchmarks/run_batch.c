/* From pending documents to rows: render, guard and answer, score, write. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "benchmarks/runner_internal.h"
#include "engine/base/limits.h"
#include "engine/base/rng.h"

/* One batch in flight.  Every array has an entry for each document. */
struct batch {
    struct runner *runner;
    const struct task_instance *task;
    const char *task_name;
    const int64_t *doc_ids;
    int n;
    struct task_request requests[RUN_BATCH_DOCUMENTS];
    struct generate_outcome generated[RUN_BATCH_DOCUMENTS];
    struct loglikelihood_outcome scored[RUN_BATCH_DOCUMENTS];
    struct arena arena; /* rendered texts */
};

static bool generates(const struct batch *b)
{
    return task_instance_info(b->task)->ref->task->output_type == OUTPUT_GENERATE_UNTIL;
}

/* ---- answering ---- */

static uint64_t reply_seed(const struct batch *b, int i)
{
    return rng_derive_seed(b->runner->config.seed, b->task_name, b->doc_ids[i], 0);
}

static status_code generate(struct batch *b, struct status *st)
{
    const struct run_config *c = &b->runner->config;
    struct generate_item items[RUN_BATCH_DOCUMENTS];
    for (int i = 0; i < b->n; i++) {
        const struct task_request *request = &b->requests[i];
        items[i] = (struct generate_item){
            .request =
                {
                    .prompt = request->context,
                    .until = request->until,
                    .n_until = request->n_until,
                    .max_tokens =
                        c->max_gen_toks > 0 ? (int)c->max_gen_toks : request->max_gen_toks,
                    .sampling = {c->temperature, (int)c->top_k, c->top_p},
                    .seed = reply_seed(b, i),
                },
            .guard_text = request->guard_text,
        };
    }
    return pipeline_generate(b->runner->pipeline, b->runner->backend, items, b->n, b->generated,
                             st);
}

static status_code loglikelihood(struct batch *b, struct status *st)
{
    struct loglikelihood_item items[RUN_BATCH_DOCUMENTS];
    for (int i = 0; i < b->n; i++) {
        const struct task_request *request = &b->requests[i];
        items[i] = (struct loglikelihood_item){
            .request = {.context = request->context, .n_continuations = request->n_continuations},
            .guard_text = request->guard_text,
        };
        for (int c = 0; c < request->n_continuations; c++)
            items[i].request.continuation[c] = request->continuations[c];
    }
    return pipeline_loglikelihood(b->runner->pipeline, b->runner->backend, items, b->n, b->scored,
                                  st);
}

/* ---- rows ---- */

static struct store_key key_of(const struct batch *b, int i)
{
    return (struct store_key){b->runner->run_id, b->task_name, b->doc_ids[i], 0};
}

static bool guarded(const struct batch *b)
{
    return b->runner->policy != NULL;
}

/* What sample rows of both kinds have in common. */
struct ending {
    bool ran;
    const struct status *status;
    int64_t n_prompt_tokens, n_truncated;
};

static status_code put_sample(struct batch *b, int i, const struct ending *end, struct status *st)
{
    struct store *store = b->runner->store;
    const struct task_request *request = &b->requests[i];
    struct store_key key = key_of(b, i);
    bool failed = end->ran && end->status->code != STATUS_OK;
    char guard_hash[SHA256_HEX_SIZE];
    sha256_text(request->guard_text, guard_hash);
    char *target = arena_strndup(&b->arena, request->target.data, request->target.length);
    if (!target) return status_no_memory(st, "a target");
    const struct store_sample sample = {
        .state = failed     ? SAMPLE_FAILED
                 : end->ran ? SAMPLE_DONE
                            : SAMPLE_BLOCKED,
        .doc_hash = request->doc_hash,
        .prompt_hash = request->prompt_hash,
        .guard_text_hash = guarded(b) ? guard_hash : NULL,
        .target = target,
        .n_prompt_tokens = end->ran && !failed ? end->n_prompt_tokens : STORE_UNKNOWN,
        .n_truncated = end->ran && !failed ? end->n_truncated : STORE_UNKNOWN,
        .error_code = failed ? status_code_name(end->status->code) : NULL,
        .error_text = failed ? end->status->message : NULL,
    };
    status_code code = store_put_prompt(store, request->prompt_hash, request->context, st);
    if (code == STATUS_OK && guarded(b))
        code = store_put_prompt(store, guard_hash, request->guard_text, st);
    return code == STATUS_OK ? store_put_sample(store, &key, &sample, st) : code;
}

static status_code put_event(struct batch *b, int i, const struct guard_event *event,
                             struct status *st)
{
    char rule[512];
    struct store_key key = key_of(b, i);
    const char *category = NULL;
    rule[0] = '\0';
    if (event->verdict == GUARD_BLOCK) {
        const struct classifier *c = pipeline_classifier(b->runner->pipeline, event->classifier);
        category = hazard_get(event->category)->name;
        snprintf(rule, sizeof rule, "%s %s %.4f >= %.4f", classifier_id(c), category,
                 event->probability, event->threshold);
    } else if (event->verdict == GUARD_ERROR) {
        snprintf(rule, sizeof rule, "%s", event->error);
    }
    const struct store_guard_event row = {
        .stage = event->stage,
        .mode = event->mode,
        .verdict = event->verdict,
        .blocks = event->blocks,
        .category = category,
        .rule = rule[0] ? rule : NULL,
        .latency_seconds = event->seconds,
    };
    return store_put_guard_event(b->runner->store, &key, &row, st);
}

static status_code put_record(struct batch *b, int i, const struct guard_record *record,
                              struct status *st)
{
    struct store_key key = key_of(b, i);
    status_code code = STATUS_OK;
    for (int e = 0; e < record->n_events && code == STATUS_OK; e++)
        code = put_event(b, i, &record->events[e], st);
    for (int s = 0; s < record->n_scores && code == STATUS_OK; s++) {
        const struct guard_score *score = &record->scores[s];
        const struct store_hazard row = {
            .stage = score->stage,
            .classifier_sha256 =
                classifier_sha256(pipeline_classifier(b->runner->pipeline, score->classifier)),
            .category = hazard_get(score->category)->name,
            .logit = score->scored ? score->logit : (double)NAN,
            .probability = score->scored ? score->probability : (double)NAN,
            .error = score->scored ? NULL : score->error,
        };
        code = store_put_hazard(b->runner->store, &key, &row, st);
    }
    return code;
}

static status_code put_score(struct batch *b, int i, const struct score *score, struct status *st)
{
    struct store_key key = key_of(b, i);
    status_code code = STATUS_OK;
    for (int v = 0; v < score->n_values && code == STATUS_OK; v++) {
        const struct store_verdict row = {
            .metric = score->values[v].metric,
            .extraction = score->values[v].extraction,
            .extracted = score->values[v].extracted,
            .value = score->values[v].value,
            .outcome = score->values[v].outcome,
        };
        code = store_put_verdict(b->runner->store, &key, &row, st);
    }
    return code;
}

/* A reply that a guard cut while it grew: what the model would have scored is not known. */
static void forget_values(struct score *score)
{
    for (int v = 0; v < score->n_values; v++) {
        score->values[v].value = (double)NAN;
        score->values[v].outcome = OUTCOME_BLOCKED_OUTPUT;
        score->values[v].extracted = (struct text){0};
    }
}

static status_code put_reply(struct batch *b, int i, struct status *st)
{
    const struct generate_outcome *o = &b->generated[i];
    const struct generate_result *result = &o->result;
    struct store_key key = key_of(b, i);
    struct text text = {result->reply.data, result->reply.length};
    const struct store_reply row = {
        .text = text,
        .delivered = text_equal(text, o->delivered) ? (struct text){0} : o->delivered,
        .finish_reason = finish_reason_name(result->finish_reason),
        .n_tokens = result->n_generated,
        .seed = reply_seed(b, i),
        .prefill_seconds = result->prefill_seconds,
        .decode_seconds = result->decode_seconds,
    };
    status_code code = store_put_reply(b->runner->store, &key, &row, st);
    if (code != STATUS_OK) return code;
    struct score score;
    const struct reply reply = {text, result->finish_reason == FINISH_LENGTH};
    code = task_instance_score_reply(b->task, b->doc_ids[i], &reply, &b->arena, &score, st);
    if (code != STATUS_OK) return code;
    if (result->finish_reason == FINISH_GUARD) forget_values(&score);
    return put_score(b, i, &score, st);
}

static status_code put_generated(struct batch *b, int i, struct status *st)
{
    const struct generate_outcome *o = &b->generated[i];
    const struct ending end = {o->ran, &o->result.status, o->result.n_prompt_tokens,
                               o->result.n_truncated};
    status_code code = put_sample(b, i, &end, st);
    if (code == STATUS_OK) code = put_record(b, i, &o->record, st);
    if (code == STATUS_OK && o->ran && o->result.status.code == STATUS_OK)
        code = put_reply(b, i, st);
    return code;
}

static status_code put_choices(struct batch *b, int i, struct status *st)
{
    const struct loglikelihood_result *result = &b->scored[i].result;
    const struct task_request *request = &b->requests[i];
    struct store_key key = key_of(b, i);
    status_code code = STATUS_OK;
    for (int c = 0; c < request->n_continuations && code == STATUS_OK; c++) {
        const struct store_choice row = {
            .index = c,
            .text = request->continuations[c],
            .logprob = result->logprob[c],
            .n_tokens = result->n_tokens[c],
            .is_greedy = result->is_greedy[c],
        };
        code = store_put_choice(b->runner->store, &key, &row, st);
    }
    struct score score;
    if (code == STATUS_OK)
        code = task_instance_score_choices(b->task, b->doc_ids[i], result->logprob,
                                           request->n_continuations, &score, st);
    return code == STATUS_OK ? put_score(b, i, &score, st) : code;
}

static status_code put_scored(struct batch *b, int i, struct status *st)
{
    const struct loglikelihood_outcome *o = &b->scored[i];
    const struct ending end = {o->ran, &o->result.status, o->result.n_context_tokens,
                               o->result.n_truncated};
    status_code code = put_sample(b, i, &end, st);
    if (code == STATUS_OK) code = put_record(b, i, &o->record, st);
    if (code == STATUS_OK && o->ran && o->result.status.code == STATUS_OK)
        code = put_choices(b, i, st);
    return code;
}

static status_code write_rows(struct batch *b, struct status *st)
{
    struct store *store = b->runner->store;
    status_code code = store_begin(store, st);
    if (code != STATUS_OK) return code;
    for (int i = 0; i < b->n && code == STATUS_OK; i++)
        code = generates(b) ? put_generated(b, i, st) : put_scored(b, i, st);
    if (code == STATUS_OK) return store_commit(store, st);
    store_rollback(store);
    return code;
}

static status_code render(struct batch *b, struct status *st)
{
    status_code code = STATUS_OK;
    for (int i = 0; i < b->n && code == STATUS_OK; i++)
        code = task_instance_render(b->task, b->doc_ids[i], &b->arena, &b->requests[i], st);
    return code;
}

static status_code answer(struct batch *b, struct status *st)
{
    status_code code = generates(b) ? generate(b, st) : loglikelihood(b, st);
    if (code == STATUS_OK) code = write_rows(b, st);
    for (int i = 0; i < b->n; i++)
        if (generates(b))
            outcome_release(&b->generated[i]);
        else
            loglikelihood_outcome_release(&b->scored[i]);
    return code;
}

status_code run_batch(struct runner *r, int task, const int64_t *doc_ids, size_t n,
                      struct status *st)
{
    struct batch *b = calloc(1, sizeof *b);
    if (!b) return status_no_memory(st, "a batch");
    b->runner = r;
    b->task = r->tasks[task];
    b->task_name = r->selection.refs[task].name;
    b->doc_ids = doc_ids;
    b->n = (int)n;
    arena_init(&b->arena, (size_t)RUN_BATCH_DOCUMENTS * 4 * LIMIT_PROMPT_BYTES);
    status_code code = render(b, st);
    if (code == STATUS_OK) code = answer(b, st);
    arena_release(&b->arena);
    free(b);
    return code;
}
