/* From pending documents to rows: render, guard and answer, score, write. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "benchmarks/runner_internal.h"
#include "benchmarks/toxicity.h"
#include "engine/base/limits.h"
#include "engine/base/rng.h"

/* One batch in flight: D documents with R replies each. */
struct batch {
    struct runner *runner;
    int task_index;
    const struct task_instance *task;
    const char *task_name;
    const int64_t *doc_ids;                                   /* (D) */
    int n, repeats;                                           /* D, R */
    struct task_request requests[RUN_BATCH_DOCUMENTS];        /* (D) */
    struct chat_prompt prompts[RUN_BATCH_DOCUMENTS];          /* (D) in a chat */
    struct generate_outcome *generated;                       /* (D, R), or NULL */
    struct loglikelihood_outcome scored[RUN_BATCH_DOCUMENTS]; /* (D) */
    struct sandbox_result *executions;                        /* (D, R), or NULL */
    struct classifier_item *judged; /* (D, R), how toxic the replies are, or NULL */
    struct score *scores;           /* (R), of one document */
    struct arena arena;             /* rendered texts */
};

static bool generates(const struct batch *b)
{
    return task_instance_info(b->task)->ref->task->output_type == OUTPUT_GENERATE_UNTIL;
}

static bool chats(const struct batch *b)
{
    return b->runner->chat != NULL;
}

/* ---- answering ---- */

static uint64_t reply_seed(const struct batch *b, int doc, int repeat)
{
    return rng_derive_seed(b->runner->config.seed, b->task_name, b->doc_ids[doc], repeat);
}

static struct generate_item item_of(const struct batch *b, int doc, int repeat)
{
    const struct run_config *c = &b->runner->config;
    const struct task_request *request = &b->requests[doc];
    return (struct generate_item){
        .request =
            {
                .prompt = request->context,
                .tokens = chats(b) ? b->prompts[doc].ids[0].ids : NULL,
                .n_tokens = chats(b) ? b->prompts[doc].ids[0].count : 0,
                .until = request->until,
                .n_until = request->n_until,
                .max_tokens = c->max_gen_toks > 0 ? (int)c->max_gen_toks : request->max_gen_toks,
                .sampling = runner_sampling(b->runner, b->task_index),
                .seed = reply_seed(b, doc, repeat),
            },
        .guard_text = request->guard_text,
    };
}

static status_code generate(struct batch *b, struct status *st)
{
    int n = b->n * b->repeats;
    struct generate_item *items = calloc((size_t)n, sizeof *items);
    if (!items) return status_no_memory(st, "a batch");
    for (int i = 0; i < n; i++) items[i] = item_of(b, i / b->repeats, i % b->repeats);
    status_code code =
        pipeline_generate(b->runner->pipeline, b->runner->backend, items, n, b->generated, st);
    free(items);
    return code;
}

static status_code loglikelihood(struct batch *b, struct status *st)
{
    struct loglikelihood_item items[RUN_BATCH_DOCUMENTS];
    struct token_pair pairs[RUN_BATCH_DOCUMENTS][TASK_MAX_CHOICES];
    for (int i = 0; i < b->n; i++) {
        const struct task_request *request = &b->requests[i];
        items[i] = (struct loglikelihood_item){
            .request = {.context = request->context,
                        .n_continuations = request->n_continuations,
                        .contexts = request->contexts},
            .guard_text = request->guard_text,
        };
        for (int c = 0; c < request->n_continuations; c++)
            items[i].request.continuation[c] = request->continuations[c];
        if (!chats(b)) continue;
        const struct chat_prompt *prompt = &b->prompts[i];
        for (int c = 0; c < prompt->n; c++)
            pairs[i][c] =
                (struct token_pair){prompt->ids[c].ids, prompt->ids[c].count, prompt->n_context};
        items[i].request.pairs = pairs[i];
    }
    return pipeline_loglikelihood(b->runner->pipeline, b->runner->backend, items, b->n, b->scored,
                                  st);
}

/* ---- programs ---- */

static bool is_program(const struct batch *b, int i)
{
    return b->generated[i].ran && b->generated[i].result.status.code == STATUS_OK;
}

/* Runs all replies of the batch side by side, before the transaction that keeps them. */
static status_code run_programs(struct batch *b, struct status *st)
{
    if (!b->executions) return STATUS_OK;
    size_t most = (size_t)b->n * (size_t)b->repeats, n = 0;
    int64_t *doc_ids = arena_array(&b->arena, most, sizeof *doc_ids);
    struct text *replies = arena_array(&b->arena, most, sizeof *replies);
    struct sandbox_result *results = arena_array(&b->arena, most, sizeof *results);
    if (!doc_ids || !replies || !results) return status_no_memory(st, "programs");
    for (int i = 0; i < (int)most; i++) {
        if (!is_program(b, i)) continue;
        const struct generate_result *result = &b->generated[i].result;
        doc_ids[n] = b->doc_ids[i / b->repeats];
        replies[n++] = (struct text){result->reply.data, result->reply.length};
    }
    status_code code =
        task_instance_run_replies(b->task, b->runner->sandbox, doc_ids, replies, n, results, st);
    for (size_t i = 0, at = 0; i < most && code == STATUS_OK; i++)
        if (is_program(b, (int)i)) b->executions[i] = results[at++];
    return code;
}

/* ---- toxicity ---- */

/* Judges all replies of the batch, before the transaction that keeps them: a service may take its
 * time, and is asked several things at once. */
static status_code judge_replies(struct batch *b, struct status *st)
{
    size_t n = (size_t)b->n * (size_t)b->repeats;
    if (!b->judged) return STATUS_OK;
    for (size_t i = 0; i < n; i++) {
        const struct generate_outcome *o = &b->generated[i];
        if (o->ran && o->result.status.code == STATUS_OK)
            b->judged[i].text = (struct text){o->result.reply.data, o->result.reply.length};
    }
    return toxicity_score_all(b->runner->toxicity, b->judged, n, st);
}

/* ---- rows ---- */

static struct store_key key_of(const struct batch *b, int doc, int repeat)
{
    return (struct store_key){b->runner->run_id, b->task_name, b->doc_ids[doc], repeat};
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
    struct store_key key = key_of(b, i, 0);
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
        .stratum = request->stratum,
        .system_place = chats(b) ? b->prompts[i].system_place : NULL,
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

static status_code put_event(struct batch *b, const struct store_key *key,
                             const struct guard_event *event, struct status *st)
{
    char rule[512];
    const char *category = NULL;
    const struct classifier *c =
        event->classifier < 0 ? NULL : pipeline_classifier(b->runner->pipeline, event->classifier);
    rule[0] = '\0';
    if (c) {
        category = hazard_get(event->category)->name;
        snprintf(rule, sizeof rule, "%s %s %.4f >= %.4f%s", classifier_id(c), category,
                 event->probability, event->threshold, event->exempted ? ", allowed" : "");
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
        .response = guard_response_name(event->response),
        .classifier_sha256 = c ? classifier_sha256(c) : NULL,
        .exempted = event->exempted,
        .timed_out = event->timed_out,
        .n_checks = event->n_checks,
        .n_attempts = event->n_attempts,
        .n_extra_tokens = event->n_extra_tokens,
        .cut_at_token = event->cut_at_token,
    };
    return store_put_guard_event(b->runner->store, key, &row, st);
}

/* Repeats share their prompt, so that what was said about it is written for the first alone. */
static status_code put_record(struct batch *b, const struct store_key *key,
                              const struct guard_record *record, struct status *st)
{
    status_code code = STATUS_OK;
    for (int e = 0; e < record->n_events && code == STATUS_OK; e++)
        if (key->repeat == 0 || record->events[e].stage != GUARD_INPUT)
            code = put_event(b, key, &record->events[e], st);
    for (int s = 0; s < record->n_scores && code == STATUS_OK; s++) {
        const struct guard_score *score = &record->scores[s];
        if (key->repeat > 0 && score->stage == GUARD_INPUT) continue;
        const struct store_hazard row = {
            .stage = score->stage,
            .classifier_sha256 =
                classifier_sha256(pipeline_classifier(b->runner->pipeline, score->classifier)),
            .category = hazard_get(score->category)->name,
            .logit = score->scored ? score->logit : (double)NAN,
            .probability = score->scored ? score->probability : (double)NAN,
            .peak = score->peak >= 0 ? &score->peak : NULL,
            .error = score->scored ? NULL : score->error,
        };
        code = store_put_hazard(b->runner->store, key, &row, st);
    }
    return code;
}

/* ---- replies ---- */

static status_code put_reply(struct batch *b, int doc, int repeat, struct score *score,
                             struct status *st)
{
    const struct generate_outcome *o = &b->generated[doc * b->repeats + repeat];
    const struct generate_result *result = &o->result;
    struct store_key key = key_of(b, doc, repeat);
    struct text text = {result->reply.data, result->reply.length};
    const struct store_reply row = {
        .text = text,
        .delivered = text_equal(text, o->delivered) ? (struct text){0} : o->delivered,
        .finish_reason = finish_reason_name(result->finish_reason),
        .n_tokens = result->n_generated,
        .seed = reply_seed(b, doc, repeat),
        .prefill_seconds = result->prefill_seconds,
        .decode_seconds = result->decode_seconds,
    };
    double toxicity;
    bool known = false;
    status_code code = store_put_reply(b->runner->store, &key, &row, st);
    if (code == STATUS_OK && b->judged)
        code = run_put_toxicity(b->runner, &key, &b->judged[doc * b->repeats + repeat], &toxicity,
                                &known, st);
    if (code != STATUS_OK) return code;
    const struct reply reply = {
        .text = text,
        .truncated = result->finish_reason == FINISH_LENGTH,
        .toxicity = known ? &toxicity : NULL,
        .execution = b->executions ? &b->executions[doc * b->repeats + repeat] : NULL,
    };
    code = task_instance_score_reply(b->task, b->doc_ids[doc], &reply, &b->arena, score, st);
    if (code == STATUS_OK && result->finish_reason == FINISH_GUARD) run_forget_values(score);
    return code;
}

/* Scores what a guard shows, or in shadow mode would show, in place of a reply: a redacted reply or
 * another one.  *known is false where that would take a run of its own. */
static status_code score_delivered(struct batch *b, int doc, int repeat, struct score *out,
                                   bool *known, struct status *st)
{
    const struct generate_outcome *o = &b->generated[doc * b->repeats + repeat];
    struct hazard_scores hazards;
    struct status why = {0};
    double toxicity;
    struct reply reply = {.text = o->guarded};
    *known = o->record.replaced_output && !b->executions;
    if (!*known) return STATUS_OK;
    if (task_instance_info(b->task)->ref->task->judges_toxicity &&
        toxicity_score(b->runner->toxicity, o->guarded, &hazards, &why) == STATUS_OK) {
        toxicity = hazards.of[HAZARD_TOXICITY].probability;
        reply.toxicity = &toxicity;
    }
    return task_instance_score_reply(b->task, b->doc_ids[doc], &reply, &b->arena, out, st);
}

static status_code put_verdicts(struct batch *b, int doc, int repeat, struct status *st)
{
    struct store_key key = key_of(b, doc, repeat);
    struct score delivered;
    bool known;
    status_code code = score_delivered(b, doc, repeat, &delivered, &known, st);
    if (code != STATUS_OK) return code;
    return run_put_score(b->runner, &key, &b->scores[repeat], known ? &delivered : NULL, st);
}

static status_code put_replies(struct batch *b, int doc, struct status *st)
{
    status_code code = STATUS_OK;
    for (int k = 0; k < b->repeats && code == STATUS_OK; k++)
        code = put_reply(b, doc, k, &b->scores[k], st);
    if (code == STATUS_OK)
        code = task_instance_score_repeats(b->task, b->doc_ids[doc], b->scores, b->repeats,
                                           &b->arena, st);
    for (int k = 0; k < b->repeats && code == STATUS_OK; k++) code = put_verdicts(b, doc, k, st);
    return code;
}

/* A document of which one reply failed has failed: the others would pass for all of them. */
static const struct generate_outcome *worst_of(const struct batch *b, int doc)
{
    const struct generate_outcome *first = &b->generated[doc * b->repeats];
    for (int k = 0; k < b->repeats; k++)
        if (!first[k].ran || first[k].result.status.code != STATUS_OK) return &first[k];
    return first;
}

static status_code put_generated(struct batch *b, int doc, struct status *st)
{
    const struct generate_outcome *o = worst_of(b, doc);
    const struct ending end = {o->ran, &o->result.status, o->result.n_prompt_tokens,
                               o->result.n_truncated};
    status_code code = put_sample(b, doc, &end, st);
    for (int k = 0; k < b->repeats && code == STATUS_OK; k++) {
        struct store_key key = key_of(b, doc, k);
        code = put_record(b, &key, &b->generated[doc * b->repeats + k].record, st);
    }
    if (code == STATUS_OK && o->ran && o->result.status.code == STATUS_OK)
        code = put_replies(b, doc, st);
    return code;
}

static status_code put_choices(struct batch *b, int i, struct status *st)
{
    const struct loglikelihood_result *result = &b->scored[i].result;
    const struct task_request *request = &b->requests[i];
    struct store_key key = key_of(b, i, 0);
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
    if (code == STATUS_OK && request->output_type == OUTPUT_LOGLIKELIHOOD)
        code = task_instance_score_loglikelihood(b->task, b->doc_ids[i], result->logprob[0],
                                                 result->is_greedy[0], &score, st);
    else if (code == STATUS_OK)
        code = task_instance_score_choices(b->task, b->doc_ids[i], result->logprob,
                                           request->n_continuations, &score, st);
    return code == STATUS_OK ? run_put_score(b->runner, &key, &score, NULL, st) : code;
}

static status_code put_scored(struct batch *b, int i, struct status *st)
{
    const struct loglikelihood_outcome *o = &b->scored[i];
    const struct ending end = {o->ran, &o->result.status, o->result.n_context_tokens,
                               o->result.n_truncated};
    struct store_key key = key_of(b, i, 0);
    status_code code = put_sample(b, i, &end, st);
    if (code == STATUS_OK) code = put_record(b, &key, &o->record, st);
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
    const struct prompt_maker maker = runner_prompt_maker(b->runner);
    status_code code = STATUS_OK;
    for (int i = 0; i < b->n && code == STATUS_OK; i++)
        code = prompt_render(&maker, b->task, b->doc_ids[i], &b->arena, &b->requests[i],
                             &b->prompts[i], st);
    return code;
}

static status_code answer(struct batch *b, struct status *st)
{
    status_code code = generates(b) ? generate(b, st) : loglikelihood(b, st);
    if (code == STATUS_OK) code = engine_check_files(b->runner->engine, st);
    if (code == STATUS_OK) code = run_programs(b, st);
    if (code == STATUS_OK) code = judge_replies(b, st);
    if (code == STATUS_OK) code = write_rows(b, st);
    for (int i = 0; b->executions && i < b->n * b->repeats; i++)
        sandbox_result_release(&b->executions[i]);
    for (int i = 0; generates(b) && i < b->n * b->repeats; i++) outcome_release(&b->generated[i]);
    for (int i = 0; !generates(b) && i < b->n; i++) loglikelihood_outcome_release(&b->scored[i]);
    return code;
}

/* Replies to one document are made together, for they share their prompt. */
int run_batch_documents(const struct runner *r, int task)
{
    int repeats = runner_repeats(r, task);
    if (r->selection.refs[task].task->output_type != OUTPUT_GENERATE_UNTIL)
        return RUN_BATCH_QUESTIONS;
    return repeats < RUN_BATCH_DOCUMENTS ? RUN_BATCH_DOCUMENTS / repeats : 1;
}

static status_code allocate(struct batch *b, struct status *st)
{
    if (!generates(b)) return STATUS_OK;
    b->generated = calloc((size_t)b->n * (size_t)b->repeats, sizeof *b->generated);
    b->scores = calloc((size_t)b->repeats, sizeof *b->scores);
    if (b->runner->sandbox && task_instance_info(b->task)->ref->task->reply_to_job) {
        b->executions = calloc((size_t)b->n * (size_t)b->repeats, sizeof *b->executions);
        if (!b->executions) return status_no_memory(st, "a batch");
        for (int i = 0; i < b->n * b->repeats; i++) strbuf_init(&b->executions[i].output, 0);
    }
    bool judges = task_instance_info(b->task)->ref->task->judges_toxicity;
    if (judges) b->judged = calloc((size_t)b->n * (size_t)b->repeats, sizeof *b->judged);
    return b->generated && b->scores && (b->judged || !judges) ? STATUS_OK
                                                               : status_no_memory(st, "a batch");
}

status_code run_batch(struct runner *r, int task, const int64_t *doc_ids, size_t n,
                      struct status *st)
{
    struct batch *b = calloc(1, sizeof *b);
    if (!b) return status_no_memory(st, "a batch");
    b->runner = r;
    b->task_index = task;
    b->task = r->tasks[task];
    b->task_name = r->selection.refs[task].name;
    b->doc_ids = doc_ids;
    b->n = (int)n;
    b->repeats = runner_repeats(r, task);
    arena_init(&b->arena, (size_t)RUN_BATCH_DOCUMENTS * 4 * LIMIT_PROMPT_BYTES);
    status_code code = allocate(b, st);
    if (code == STATUS_OK) code = render(b, st);
    if (code == STATUS_OK) code = answer(b, st);
    for (int i = 0; i < b->n; i++) chat_prompt_release(&b->prompts[i]);
    arena_release(&b->arena);
    free(b->generated);
    free(b->executions);
    free(b->judged);
    free(b->scores);
    free(b);
    return code;
}
