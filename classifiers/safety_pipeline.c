#include "classifiers/safety_pipeline.h"

#include <stdio.h>
#include <stdlib.h>

#include "engine/base/clock.h"
#include "engine/base/utf8.h"

#define LAST_WORD_BYTES 64

struct pipeline {
    const struct policy_info *rules; /* NULL when off */
    const struct policy *policy;
    enum guard_mode mode;
    struct classifier *classifiers[POLICY_MAX_CLASSIFIERS];
    int n_classifiers;
    bool owns_classifiers;
};

/* ---- making ---- */

/* A threshold that nothing is compared with would be a rule that silently does nothing. */
static status_code check_coverage(const struct pipeline *pipeline, struct status *st)
{
    hazard_set judged = 0;
    for (int i = 0; i < pipeline->n_classifiers; i++)
        judged |= classifier_categories(pipeline->classifiers[i]);
    for (int s = 0; s < GUARD_STAGES; s++) {
        hazard_set missing = pipeline->rules->stage[s].categories & ~judged;
        for (int c = 0; c < HAZARD_COUNT; c++)
            if (missing & HAZARD_BIT(c))
                return status_set(st, STATUS_BAD_INPUT,
                                  "guard policy %s: field \"%s\": none of its classifiers judges "
                                  "the category \"%s\"",
                                  pipeline->rules->name, guard_stage_name((enum guard_stage)s),
                                  hazard_get((enum hazard_category)c)->name);
    }
    return STATUS_OK;
}

static status_code fill(struct pipeline *pipeline, struct classifier *const *classifiers,
                        struct status *st)
{
    for (int i = 0; i < pipeline->rules->n_classifiers; i++) {
        if (classifiers) {
            pipeline->classifiers[i] = classifiers[i];
        } else {
            const char *spec = pipeline->rules->classifiers[i];
            status_code code = classifier_open(&pipeline->classifiers[i], spec, st);
            if (code != STATUS_OK)
                return status_prefix(st, "guard policy %s: field \"classifiers\"[%d]",
                                     pipeline->rules->name, i);
        }
        pipeline->n_classifiers++;
    }
    return check_coverage(pipeline, st);
}

static status_code create(struct pipeline **out, const struct policy *policy, enum guard_mode mode,
                          struct classifier *const *classifiers, struct status *st)
{
    BUG_IF(mode != GUARD_OFF && !policy);
    struct pipeline *pipeline = calloc(1, sizeof *pipeline);
    if (!pipeline) return status_no_memory(st, "a safety pipeline");
    pipeline->mode = mode;
    if (mode != GUARD_OFF) {
        pipeline->policy = policy;
        pipeline->rules = policy_get_info(policy);
        pipeline->owns_classifiers = !classifiers;
        if (fill(pipeline, classifiers, st) != STATUS_OK) {
            pipeline_free(pipeline);
            return st->code;
        }
    }
    *out = pipeline;
    return STATUS_OK;
}

status_code pipeline_create(struct pipeline **out, const struct policy *policy,
                            enum guard_mode mode, struct status *st)
{
    return create(out, policy, mode, NULL, st);
}

status_code pipeline_create_with(struct pipeline **out, const struct policy *policy,
                                 enum guard_mode mode, struct classifier *const *classifiers, int n,
                                 struct status *st)
{
    BUG_IF(mode != GUARD_OFF && n != policy_get_info(policy)->n_classifiers);
    return create(out, policy, mode, classifiers, st);
}

void pipeline_free(struct pipeline *pipeline)
{
    if (!pipeline) return;
    for (int i = 0; pipeline->owns_classifiers && i < pipeline->n_classifiers; i++)
        classifier_free(pipeline->classifiers[i]);
    free(pipeline);
}

enum guard_mode pipeline_mode(const struct pipeline *pipeline)
{
    return pipeline->mode;
}

const struct policy *pipeline_policy(const struct pipeline *pipeline)
{
    return pipeline->policy;
}

int pipeline_n_classifiers(const struct pipeline *pipeline)
{
    return pipeline->n_classifiers;
}

const struct classifier *pipeline_classifier(const struct pipeline *pipeline, int index)
{
    BUG_IF(index < 0 || index >= pipeline->n_classifiers);
    return pipeline->classifiers[index];
}

/* ---- one check of one text ---- */

/* What a check found: the event, and each classifier's scores or why it has none. */
struct check {
    struct guard_event event;
    struct hazard_scores scores[POLICY_MAX_CLASSIFIERS];
    struct status status[POLICY_MAX_CLASSIFIERS];
};

/* Takes one score into account.  The highest above its threshold decides. */
static void weigh(struct guard_event *event, int classifier, enum hazard_category category,
                  const struct hazard_score *score, double threshold)
{
    if (score->probability < threshold) return;
    double margin = score->probability - threshold;
    if (event->verdict == GUARD_BLOCK && margin <= event->probability - event->threshold) return;
    event->verdict = GUARD_BLOCK;
    event->classifier = classifier;
    event->category = category;
    event->probability = score->probability;
    event->threshold = threshold;
}

/* A score that is above a threshold blocks whatever else failed; without one, any failure, and any
 * category that ought to have been scored and was not, is an error. */
static void decide(const struct pipeline *pipeline, struct check *check)
{
    struct guard_event *event = &check->event;
    const struct policy_stage *stage = &pipeline->rules->stage[event->stage];
    for (int i = 0; i < pipeline->n_classifiers; i++) {
        const struct classifier *classifier = pipeline->classifiers[i];
        hazard_set wanted = stage->categories & classifier_categories(classifier);
        if (check->status[i].code != STATUS_OK && !event->error[0])
            snprintf(event->error, sizeof event->error, "%s: %.150s", classifier_id(classifier),
                     check->status[i].message);
        for (int c = 0; c < HAZARD_COUNT && check->status[i].code == STATUS_OK; c++) {
            const struct hazard_score *score = &check->scores[i].of[c];
            if (!(wanted & HAZARD_BIT(c))) continue;
            if (score->scored)
                weigh(event, i, (enum hazard_category)c, score, stage->threshold[c]);
            else if (!event->error[0])
                snprintf(event->error, sizeof event->error, "%s: %s was not scored",
                         classifier_id(classifier), hazard_get((enum hazard_category)c)->name);
        }
    }
    if (event->verdict == GUARD_BLOCK)
        event->error[0] = '\0';
    else if (event->error[0])
        event->verdict = GUARD_ERROR;
    event->blocks = event->verdict == GUARD_BLOCK ||
                    (event->verdict == GUARD_ERROR && pipeline->rules->blocks_on_error);
}

static void run_check(const struct pipeline *pipeline, enum guard_stage stage, struct text prompt,
                      struct text text, struct check *check)
{
    double start = clock_seconds();
    *check = (struct check){.event = {.stage = stage,
                                      .mode = pipeline->mode,
                                      .verdict = GUARD_ALLOW,
                                      .action = pipeline->rules->stage[stage].action,
                                      .classifier = -1,
                                      .n_checks = 1}};
    for (int i = 0; i < pipeline->n_classifiers; i++) {
        struct status *st = &check->status[i];
        status_code code =
            classifier_score(pipeline->classifiers[i], prompt, text, &check->scores[i], st);
        st->code = code;
    }
    decide(pipeline, check);
    check->event.seconds = clock_seconds() - start;
}

/* Appends a check to the record: the event, and a score for each category that is judged. */
static status_code add_check(const struct pipeline *pipeline, const struct check *check,
                             struct guard_record *record, struct status *st)
{
    int room = record->n_scores + pipeline->n_classifiers * HAZARD_COUNT;
    struct guard_score *scores = realloc(record->scores, (size_t)room * sizeof *scores);
    if (!scores) return status_no_memory(st, "hazard scores");
    record->scores = scores;
    for (int i = 0; i < pipeline->n_classifiers; i++) {
        const struct status *failure = &check->status[i];
        for (int c = 0; c < HAZARD_COUNT; c++) {
            const struct hazard_score *score = &check->scores[i].of[c];
            if (!(classifier_categories(pipeline->classifiers[i]) & HAZARD_BIT(c))) continue;
            struct guard_score *row = &scores[record->n_scores++];
            *row = (struct guard_score){.stage = check->event.stage,
                                        .classifier = i,
                                        .category = (enum hazard_category)c,
                                        .scored = score->scored,
                                        .logit = score->logit,
                                        .probability = score->probability};
            if (!score->scored)
                snprintf(row->error, sizeof row->error, "%.120s",
                         failure->code != STATUS_OK ? failure->message : "not scored");
        }
    }
    record->events[record->n_events++] = check->event;
    if (check->event.stage == GUARD_INPUT)
        record->blocked_input = check->event.blocks;
    else
        record->blocked_output = check->event.blocks;
    return STATUS_OK;
}

void guard_record_release(struct guard_record *record)
{
    free(record->scores);
    *record = (struct guard_record){0};
}

static bool guards(const struct pipeline *pipeline, enum guard_stage stage)
{
    return pipeline->mode != GUARD_OFF && pipeline->rules->stage[stage].present;
}

status_code pipeline_check_input(const struct pipeline *pipeline, struct text guard_text,
                                 struct guard_record *record, struct status *st)
{
    struct check check;
    *record = (struct guard_record){0};
    if (!guards(pipeline, GUARD_INPUT)) return STATUS_OK;
    run_check(pipeline, GUARD_INPUT, (struct text){0}, guard_text, &check);
    return add_check(pipeline, &check, record, st);
}

static bool stops_input(const struct pipeline *pipeline, const struct guard_record *record)
{
    return pipeline->mode == GUARD_ENFORCE && record->blocked_input;
}

/* ---- a reply while it grows ---- */

/* What stands between the backend and one item's on_text where replies are guarded.  It counts that
 * item's tokens alone, so that where a reply is cut does not depend on what else is in the batch.
 */
struct stream_guard {
    const struct pipeline *pipeline;
    const struct generate_item *item;
    int n_tokens, n_checks;
    double seconds;
    bool is_cut;            /* in shadow mode: it would have been */
    struct guard_event cut; /* of the check that did it */
};

/* The part of a growing reply that can be judged: up to its last white space, since the word after
 * it may go on ("ass", "assume").  Without white space near the end, all whole characters. */
static struct text settled_part(struct text reply)
{
    size_t nearest = reply.length > LAST_WORD_BYTES ? reply.length - LAST_WORD_BYTES : 0;
    for (size_t i = reply.length; i > nearest; i--) {
        char c = reply.data[i - 1];
        if (c == ' ' || c == '\n' || c == '\t') return (struct text){reply.data, i};
    }
    reply.length = utf8_complete_length(reply);
    return reply;
}

static bool call_on_text(const struct generate_request *request, struct text reply)
{
    return !request->on_text || request->on_text(request->user, reply);
}

static bool guard_stream(void *user, struct text reply)
{
    struct stream_guard *stream = user;
    const struct pipeline *pipeline = stream->pipeline;
    const struct generate_item *item = stream->item;
    struct check check;
    int every = pipeline->rules->stage[GUARD_OUTPUT].check_every_tokens;
    bool is_due = ++stream->n_tokens % every == 0 && !stream->is_cut;
    struct text settled = is_due ? settled_part(reply) : reply;
    if (is_due) {
        run_check(pipeline, GUARD_OUTPUT, item->guard_text, settled, &check);
        stream->n_checks++;
        stream->seconds += check.event.seconds;
        stream->is_cut = check.event.blocks;
        stream->cut = check.event;
        stream->cut.cut_at_token = stream->n_tokens;
    }
    if (pipeline->mode == GUARD_SHADOW) return call_on_text(&item->request, reply);
    if (stream->is_cut) return false;
    return !is_due || call_on_text(&item->request, settled);
}

/* Classifies a finished reply.  The first check that blocked it as it grew keeps its verdict. */
static status_code check_output(const struct pipeline *pipeline, const struct stream_guard *stream,
                                struct generate_outcome *outcome, struct status *st)
{
    struct check check;
    struct text reply = {outcome->result.reply.data, outcome->result.reply.length};
    if (outcome->result.status.code != STATUS_OK) return STATUS_OK;
    run_check(pipeline, GUARD_OUTPUT, stream->item->guard_text, reply, &check);
    int n_checks = stream->n_checks + 1;
    double seconds = stream->seconds + check.event.seconds;
    if (stream->is_cut) check.event = stream->cut;
    check.event.n_checks = n_checks;
    check.event.seconds = seconds;
    return add_check(pipeline, &check, &outcome->record, st);
}

/* ---- generation ---- */

/* The items that reach the model, side by side; (n) each, of which n_kept are used. */
struct generate_batch {
    struct generate_request *requests;
    struct generate_result *results;
    struct stream_guard *streams; /* NULL unless replies are guarded */
    int *items;                   /* which item each request is */
    int n_kept;
};

static status_code batch_create(const struct pipeline *pipeline, size_t n,
                                struct generate_batch *batch, struct status *st)
{
    bool guarded = guards(pipeline, GUARD_OUTPUT);
    *batch = (struct generate_batch){
        .requests = calloc(n, sizeof *batch->requests),
        .results = calloc(n, sizeof *batch->results),
        .streams = guarded ? calloc(n, sizeof *batch->streams) : NULL,
        .items = calloc(n, sizeof *batch->items),
    };
    bool good = batch->requests && batch->results && batch->items && (batch->streams || !guarded);
    return good ? STATUS_OK : status_no_memory(st, "a batch of requests");
}

/* Results that were handed to an outcome are empty by now. */
static void batch_release(struct generate_batch *batch)
{
    for (int k = 0; batch->results && k < batch->n_kept; k++)
        generate_result_release(&batch->results[k]);
    free(batch->requests);
    free(batch->results);
    free(batch->streams);
    free(batch->items);
}

static void batch_add(const struct pipeline *pipeline, const struct generate_item *items, int i,
                      struct generate_batch *batch)
{
    int k = batch->n_kept++;
    batch->items[k] = i;
    batch->requests[k] = items[i].request;
    if (!batch->streams) return;
    batch->streams[k] = (struct stream_guard){.pipeline = pipeline, .item = &items[i]};
    batch->requests[k].on_text = guard_stream;
    batch->requests[k].user = &batch->streams[k];
}

/* Chooses what a user would see.  A reply that failed was not classified and is not shown. */
static void deliver(const struct pipeline *pipeline, struct generate_outcome *outcome)
{
    const struct generate_result *result = &outcome->result;
    bool blocked = outcome->record.blocked_input || outcome->record.blocked_output;
    if (pipeline->mode == GUARD_ENFORCE && blocked)
        outcome->delivered = pipeline->rules->refusal;
    else if (outcome->ran && result->status.code == STATUS_OK)
        outcome->delivered = (struct text){result->reply.data, result->reply.length};
}

static status_code generate_kept(const struct pipeline *pipeline, struct backend *backend,
                                 struct generate_batch *batch, struct generate_outcome *outcomes,
                                 struct status *st)
{
    status_code code =
        backend_generate(backend, batch->requests, batch->n_kept, batch->results, st);
    if (code != STATUS_OK) return code;
    for (int k = 0; k < batch->n_kept; k++) {
        struct generate_outcome *outcome = &outcomes[batch->items[k]];
        outcome->result = batch->results[k];
        outcome->ran = true;
        strbuf_init(&batch->results[k].reply, 0);
    }
    for (int k = 0; k < batch->n_kept && batch->streams && code == STATUS_OK; k++)
        code = check_output(pipeline, &batch->streams[k], &outcomes[batch->items[k]], st);
    return code;
}

status_code pipeline_generate(const struct pipeline *pipeline, struct backend *backend,
                              const struct generate_item *items, int n,
                              struct generate_outcome *outcomes, struct status *st)
{
    struct generate_batch batch;
    BUG_IF(n < 0);
    for (int i = 0; i < n; i++) {
        outcomes[i] = (struct generate_outcome){.result.finish_reason = FINISH_GUARD};
        strbuf_init(&outcomes[i].result.reply, 0);
        outcomes[i].delivered = text_of("");
    }
    if (!n) return STATUS_OK;
    status_code code = batch_create(pipeline, (size_t)n, &batch, st);
    for (int i = 0; i < n && code == STATUS_OK; i++) {
        code = pipeline_check_input(pipeline, items[i].guard_text, &outcomes[i].record, st);
        if (!stops_input(pipeline, &outcomes[i].record)) batch_add(pipeline, items, i, &batch);
    }
    if (code == STATUS_OK) code = generate_kept(pipeline, backend, &batch, outcomes, st);
    for (int i = 0; i < n && code == STATUS_OK; i++) deliver(pipeline, &outcomes[i]);
    batch_release(&batch);
    return code;
}

void outcome_release(struct generate_outcome *outcome)
{
    generate_result_release(&outcome->result);
    guard_record_release(&outcome->record);
    outcome->delivered = text_of("");
}

/* ---- multiple choice ---- */

static status_code score_kept(const struct pipeline *pipeline, struct backend *backend,
                              const struct loglikelihood_item *items, int n,
                              struct loglikelihood_request *requests,
                              struct loglikelihood_result *results,
                              struct loglikelihood_outcome *outcomes, struct status *st)
{
    int n_kept = 0;
    for (int i = 0; i < n; i++) {
        struct guard_record *record = &outcomes[i].record;
        status_code code = pipeline_check_input(pipeline, items[i].guard_text, record, st);
        if (code != STATUS_OK) return code;
        if (!stops_input(pipeline, record)) requests[n_kept++] = items[i].request;
    }
    status_code code = backend_loglikelihood(backend, requests, n_kept, results, st);
    for (int i = 0, k = 0; i < n && code == STATUS_OK; i++) {
        outcomes[i].ran = !stops_input(pipeline, &outcomes[i].record);
        if (outcomes[i].ran) outcomes[i].result = results[k++];
    }
    return code;
}

status_code pipeline_loglikelihood(const struct pipeline *pipeline, struct backend *backend,
                                   const struct loglikelihood_item *items, int n,
                                   struct loglikelihood_outcome *outcomes, struct status *st)
{
    BUG_IF(n < 0);
    for (int i = 0; i < n; i++) outcomes[i] = (struct loglikelihood_outcome){0};
    if (!n) return STATUS_OK;
    struct loglikelihood_request *requests = calloc((size_t)n, sizeof *requests);
    struct loglikelihood_result *results = calloc((size_t)n, sizeof *results);
    status_code code = requests && results ? score_kept(pipeline, backend, items, n, requests,
                                                        results, outcomes, st)
                                           : status_no_memory(st, "a batch of requests");
    free(requests);
    free(results);
    return code;
}

void loglikelihood_outcome_release(struct loglikelihood_outcome *outcome)
{
    guard_record_release(&outcome->record);
}
