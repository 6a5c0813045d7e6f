#include "classifiers/safety_pipeline.h"

#include <stdio.h>
#include <stdlib.h>

#include "classifiers/guard_internal.h"
#include "engine/base/limits.h"
#include "engine/base/rng.h"

/* ---- making ---- */

/* A step of a cascade is its author's word that this classifier judges these categories, and an
 * action that needs spans needs them from whoever may call for it. */
static status_code check_steps(const struct pipeline *pipeline, enum guard_stage which,
                               struct status *st)
{
    const struct policy_stage *stage = &pipeline->rules->stage[which];
    for (int s = 0; s < stage->n_steps; s++) {
        const struct policy_step *step = &stage->steps[s];
        const struct classifier *classifier = pipeline->classifiers[step->classifier];
        hazard_set unknown = step->categories & ~classifier_categories(classifier);
        for (int c = 0; c < HAZARD_COUNT; c++)
            if (stage->is_cascade && unknown & HAZARD_BIT(c))
                return status_set(st, STATUS_BAD_INPUT,
                                  "guard policy %s: field \"%s\": field \"cascade\"[%d]: %s does "
                                  "not judge the category \"%s\"",
                                  pipeline->rules->name, guard_stage_name(which), s,
                                  classifier_id(classifier),
                                  hazard_get((enum hazard_category)c)->name);
        if (stage->action == GUARD_ACTION_REDACT && !classifier_can_explain(classifier) &&
            step->categories & ~unknown)
            return status_set(st, STATUS_BAD_INPUT,
                              "guard policy %s: field \"%s\": field \"action\" is \"redact\", but "
                              "%s cannot say which words it means",
                              pipeline->rules->name, guard_stage_name(which),
                              classifier_id(classifier));
    }
    return STATUS_OK;
}

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
        if (check_steps(pipeline, (enum guard_stage)s, st) != STATUS_OK) return st->code;
    }
    return STATUS_OK;
}

static status_code fill(struct pipeline *pipeline, struct classifier *const *classifiers,
                        const struct score_cache *cache, struct status *st)
{
    for (int i = 0; i < pipeline->rules->n_classifiers; i++) {
        if (classifiers) {
            pipeline->classifiers[i] = classifiers[i];
        } else {
            const char *spec = pipeline->rules->classifiers[i];
            status_code code = classifier_open_cached(&pipeline->classifiers[i], spec, cache, st);
            if (code != STATUS_OK)
                return status_prefix(st, "guard policy %s: field \"classifiers\"[%d]",
                                     pipeline->rules->name, i);
        }
        pipeline->n_classifiers++;
    }
    return check_coverage(pipeline, st);
}

static status_code create(struct pipeline **out, const struct policy *policy, enum guard_mode mode,
                          struct classifier *const *classifiers, const struct score_cache *cache,
                          struct status *st)
{
    BUG_IF(mode != GUARD_OFF && !policy);
    struct pipeline *pipeline = calloc(1, sizeof *pipeline);
    if (!pipeline) return status_no_memory(st, "a safety pipeline");
    pipeline->mode = mode;
    if (mode != GUARD_OFF) {
        pipeline->policy = policy;
        pipeline->rules = policy_get_info(policy);
        pipeline->owns_classifiers = !classifiers;
        if (fill(pipeline, classifiers, cache, st) != STATUS_OK) {
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
    return create(out, policy, mode, NULL, NULL, st);
}

status_code pipeline_create_cached(struct pipeline **out, const struct policy *policy,
                                   enum guard_mode mode, const struct score_cache *cache,
                                   struct status *st)
{
    return create(out, policy, mode, NULL, cache, st);
}

status_code pipeline_create_with(struct pipeline **out, const struct policy *policy,
                                 enum guard_mode mode, struct classifier *const *classifiers, int n,
                                 struct status *st)
{
    BUG_IF(mode != GUARD_OFF && n != policy_get_info(policy)->n_classifiers);
    return create(out, policy, mode, classifiers, NULL, st);
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

/* ---- records ---- */

static void add_scores(const struct pipeline *pipeline, const struct guard_check *check, int i,
                       const struct stream_guard *stream, struct guard_record *record)
{
    const struct status *failure = &check->status[i];
    for (int c = 0; c < HAZARD_COUNT; c++) {
        const struct hazard_score *score = &check->scores[i].of[c];
        if (!(classifier_categories(pipeline->classifiers[i]) & HAZARD_BIT(c))) continue;
        struct guard_score *row = &record->scores[record->n_scores++];
        *row = (struct guard_score){.stage = check->event.stage,
                                    .classifier = i,
                                    .category = (enum hazard_category)c,
                                    .scored = score->scored,
                                    .logit = score->logit,
                                    .probability = score->probability,
                                    .peak = score->scored ? score->probability : -1};
        if (stream) row->peak = stream->peak[i][c];
        if (!score->scored)
            snprintf(row->error, sizeof row->error, "%.120s",
                     failure->code != STATUS_OK ? failure->message : "not scored");
    }
}

/* Appends a check to the record: the event, and a score for each category that is judged.  `stream`
 * is that of a reply, else NULL. */
static status_code add_check(const struct pipeline *pipeline, const struct guard_check *check,
                             const struct stream_guard *stream, struct guard_record *record,
                             struct status *st)
{
    int room = record->n_scores + pipeline->n_classifiers * HAZARD_COUNT;
    struct guard_score *scores = realloc(record->scores, (size_t)room * sizeof *scores);
    if (!scores) return status_no_memory(st, "hazard scores");
    record->scores = scores;
    for (int i = 0; i < pipeline->n_classifiers; i++)
        if (check->asked[i]) add_scores(pipeline, check, i, stream, record);
    record->events[record->n_events++] = check->event;
    if (check->event.stage == GUARD_INPUT) {
        record->blocked_input = check->event.blocks;
    } else {
        record->blocked_output = check->event.blocks;
        record->replaced_output = check->event.response == GUARD_RESPONSE_REDACT;
    }
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

/* What the input stage does about a verdict. */
static void respond_to_prompt(struct guard_event *event)
{
    event->blocks = event->fires && event->action != GUARD_ACTION_LOG;
    if (event->fires) event->response = event->blocks ? GUARD_RESPONSE_REFUSE : GUARD_RESPONSE_LOG;
}

static status_code check_all(const struct pipeline *pipeline, enum guard_stage stage,
                             struct guard_item *items, int n, struct guard_subject *subjects,
                             struct guard_check *checks, struct status *st)
{
    for (int i = 0; i < n; i++)
        subjects[i] = stage == GUARD_INPUT
                          ? (struct guard_subject){.text = items[i].guard_text, .check = &checks[i]}
                          : (struct guard_subject){.prompt = items[i].guard_text,
                                                   .text = items[i].reply,
                                                   .check = &checks[i]};
    status_code code = guard_check_run_all(pipeline, stage, subjects, n, st);
    for (int i = 0; i < n && code == STATUS_OK; i++) {
        if (stage == GUARD_INPUT) respond_to_prompt(&checks[i].event);
        code = add_check(pipeline, &checks[i], NULL, &items[i].record, st);
    }
    return code;
}

status_code pipeline_check_all(const struct pipeline *pipeline, enum guard_stage stage,
                               struct guard_item *items, int n, struct status *st)
{
    for (int i = 0; i < n; i++) items[i].record = (struct guard_record){0};
    if (!guards(pipeline, stage) || n <= 0) return STATUS_OK;
    struct guard_subject *subjects = calloc((size_t)n, sizeof *subjects);
    struct guard_check *checks = calloc((size_t)n, sizeof *checks);
    status_code code = subjects && checks
                           ? check_all(pipeline, stage, items, n, subjects, checks, st)
                           : status_no_memory(st, "the texts to check");
    free(subjects);
    free(checks);
    return code;
}

status_code pipeline_check_input(const struct pipeline *pipeline, struct text guard_text,
                                 struct guard_record *record, struct status *st)
{
    struct guard_item item = {.guard_text = guard_text};
    status_code code = pipeline_check_all(pipeline, GUARD_INPUT, &item, 1, st);
    *record = item.record;
    return code;
}

status_code pipeline_check_reply(const struct pipeline *pipeline, struct text guard_text,
                                 struct text reply, struct guard_record *record, struct status *st)
{
    struct guard_item item = {.guard_text = guard_text, .reply = reply};
    status_code code = pipeline_check_all(pipeline, GUARD_OUTPUT, &item, 1, st);
    *record = item.record;
    return code;
}

static status_code respond_to_whole(const struct pipeline *pipeline, struct text guard_text,
                                    struct text reply, struct guard_record *record,
                                    struct strbuf *shown, struct status *st)
{
    const struct generate_item item = {.guard_text = guard_text};
    struct stream_guard stream;
    struct guard_check check;
    struct strbuf altered;
    strbuf_init(&altered, 2 * LIMIT_REPLY_BYTES);
    guard_stream_init(&stream, pipeline, &item);
    guard_check_run(pipeline, GUARD_OUTPUT, guard_text, reply, &check);
    status_code code = guard_respond(&stream, reply, &check, &altered, st);
    if (code == STATUS_OK) code = add_check(pipeline, &check, NULL, record, st);
    struct text seen = record->blocked_output ? pipeline->rules->refusal : reply;
    if (record->replaced_output) seen = (struct text){altered.data, altered.length};
    strbuf_append(shown, seen.data, seen.length);
    guard_stream_release(&stream);
    strbuf_release(&altered);
    return code;
}

status_code pipeline_screen(const struct pipeline *pipeline, enum guard_stage stage,
                            struct text guard_text, struct text reply, struct guard_record *record,
                            struct strbuf *shown, struct status *st)
{
    BUG_IF(!guards(pipeline, stage));
    *record = (struct guard_record){0};
    if (stage == GUARD_OUTPUT)
        return respond_to_whole(pipeline, guard_text, reply, record, shown, st);
    status_code code = pipeline_check_input(pipeline, guard_text, record, st);
    struct text seen = record->blocked_input ? pipeline->rules->refusal : guard_text;
    strbuf_append(shown, seen.data, seen.length);
    return code;
}

static bool stops_input(const struct pipeline *pipeline, const struct guard_record *record)
{
    return pipeline->mode == GUARD_ENFORCE && record->blocked_input;
}

/* ---- generation ---- */

/* The items that reach the model, side by side; (n) each, of which n_kept are used. */
struct generate_batch {
    struct generate_request *requests;
    struct generate_result *results;
    struct stream_guard *streams; /* NULL unless replies are guarded */
    struct guard_check *checks;   /* of the replies, where they are */
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
        .checks = guarded ? calloc(n, sizeof *batch->checks) : NULL,
        .items = calloc(n, sizeof *batch->items),
    };
    bool good = batch->requests && batch->results && batch->items &&
                ((batch->streams && batch->checks) || !guarded);
    return good ? STATUS_OK : status_no_memory(st, "a batch of requests");
}

/* Results that were handed to an outcome are empty by now. */
static void batch_release(struct generate_batch *batch)
{
    for (int k = 0; batch->results && k < batch->n_kept; k++)
        generate_result_release(&batch->results[k]);
    for (int k = 0; batch->streams && k < batch->n_kept; k++)
        guard_stream_release(&batch->streams[k]);
    free(batch->requests);
    free(batch->results);
    free(batch->streams);
    free(batch->checks);
    free(batch->items);
}

static void batch_add(const struct pipeline *pipeline, const struct generate_item *items, int i,
                      struct generate_batch *batch)
{
    int k = batch->n_kept++;
    batch->items[k] = i;
    batch->requests[k] = items[i].request;
    if (!batch->streams) return;
    guard_stream_init(&batch->streams[k], pipeline, &items[i]);
    batch->requests[k].on_text = guard_stream_on_text;
    batch->requests[k].user = &batch->streams[k];
}

static struct text reply_text(const struct generate_result *result)
{
    return (struct text){result->reply.data, result->reply.length};
}

/* Classifies the batch's finished replies; those that failed have none. */
static status_code judge_replies(const struct pipeline *pipeline, struct generate_batch *batch,
                                 struct status *st)
{
    int n = 0;
    if (!batch->streams || !batch->n_kept) return STATUS_OK;
    struct guard_subject *subjects = calloc((size_t)batch->n_kept, sizeof *subjects);
    if (!subjects) return status_no_memory(st, "the replies to check");
    for (int k = 0; k < batch->n_kept; k++)
        if (batch->results[k].status.code == STATUS_OK)
            subjects[n++] = guard_stream_subject(&batch->streams[k], reply_text(&batch->results[k]),
                                                 &batch->checks[k]);
    status_code code = guard_check_run_all(pipeline, GUARD_OUTPUT, subjects, n, st);
    for (int k = 0; k < batch->n_kept && code == STATUS_OK; k++)
        if (batch->results[k].status.code == STATUS_OK)
            guard_stream_finish(&batch->streams[k], &batch->checks[k]);
    free(subjects);
    return code;
}

/* Decides what is shown instead of a reply that was classified. */
static status_code respond_to_reply(const struct pipeline *pipeline, struct stream_guard *stream,
                                    struct guard_check *check, struct generate_outcome *outcome,
                                    struct status *st)
{
    if (outcome->result.status.code != STATUS_OK) return STATUS_OK;
    status_code code =
        guard_respond(stream, reply_text(&outcome->result), check, &outcome->altered, st);
    return code == STATUS_OK ? add_check(pipeline, check, stream, &outcome->record, st) : code;
}

/* Chooses what a user would see.  A reply that failed was not classified and is not shown. */
static void deliver(const struct pipeline *pipeline, struct generate_outcome *outcome)
{
    const struct guard_record *record = &outcome->record;
    bool is_known = outcome->ran && outcome->result.status.code == STATUS_OK;
    struct text raw = is_known ? reply_text(&outcome->result) : text_of("");
    if (record->blocked_input)
        outcome->guarded = pipeline->rules->refusal;
    else if (outcome->altered.length || record->replaced_output)
        outcome->guarded = (struct text){outcome->altered.data, outcome->altered.length};
    else
        outcome->guarded = record->blocked_output ? pipeline->rules->refusal : raw;
    outcome->delivered = pipeline->mode == GUARD_ENFORCE ? outcome->guarded : raw;
}

static status_code generate_kept(const struct pipeline *pipeline, struct backend *backend,
                                 struct generate_batch *batch, struct generate_outcome *outcomes,
                                 struct status *st)
{
    status_code code =
        backend_generate(backend, batch->requests, batch->n_kept, batch->results, st);
    if (code == STATUS_OK) code = judge_replies(pipeline, batch, st);
    if (code != STATUS_OK) return code;
    for (int k = 0; k < batch->n_kept; k++) {
        struct generate_outcome *outcome = &outcomes[batch->items[k]];
        outcome->result = batch->results[k];
        outcome->ran = true;
        strbuf_init(&batch->results[k].reply, 0);
    }
    for (int k = 0; k < batch->n_kept && batch->streams && code == STATUS_OK; k++)
        code = respond_to_reply(pipeline, &batch->streams[k], &batch->checks[k],
                                &outcomes[batch->items[k]], st);
    return code;
}

/* ---- once more ---- */

/* The output event of a reply that is to be made again, or NULL. */
static struct guard_event *awaits_another(struct generate_outcome *outcome)
{
    struct guard_record *record = &outcome->record;
    struct guard_event *last = record->n_events ? &record->events[record->n_events - 1] : NULL;
    bool awaits = last && last->stage == GUARD_OUTPUT && last->blocks &&
                  last->response == GUARD_RESPONSE_REGENERATE;
    return awaits ? last : NULL;
}

/* Takes one more reply into account: it is shown when no check of it fires. */
static status_code take_attempt(const struct guard_check *check,
                                const struct generate_result *result,
                                struct generate_outcome *outcome, struct status *st)
{
    struct guard_event *event = awaits_another(outcome);
    event->n_attempts++;
    event->n_extra_tokens += result->n_generated;
    if (result->status.code != STATUS_OK) return STATUS_OK;
    event->n_checks += check->event.n_checks;
    event->seconds += check->event.seconds;
    if (check->event.fires) return STATUS_OK;
    strbuf_append(&outcome->altered, result->reply.data, result->reply.length);
    event->blocks = outcome->record.blocked_output = false;
    outcome->record.replaced_output = true;
    return strbuf_check(&outcome->altered, "a reply", st);
}

/* One more round for every reply that awaits it.  What is drawn depends on the request's own seed
 * and on which attempt this is; nobody listens, since a reply that was begun was heard already. */
static status_code attempt(const struct pipeline *pipeline, struct backend *backend,
                           const struct generate_item *items, int n, int number,
                           struct generate_outcome *outcomes, struct status *st)
{
    struct generate_batch batch = {0};
    struct generate_item *again = calloc((size_t)n, sizeof *again);
    status_code code = again ? batch_create(pipeline, (size_t)n, &batch, st)
                             : status_no_memory(st, "a batch of requests");
    for (int i = 0; i < n && code == STATUS_OK; i++) {
        if (!awaits_another(&outcomes[i])) continue;
        again[i] = items[i];
        again[i].request.seed = rng_derive_seed(items[i].request.seed, "regenerate", 0, number);
        again[i].request.on_text = NULL;
        batch_add(pipeline, again, i, &batch);
    }
    if (code == STATUS_OK && batch.n_kept)
        code = backend_generate(backend, batch.requests, batch.n_kept, batch.results, st);
    if (code == STATUS_OK) code = judge_replies(pipeline, &batch, st);
    for (int k = 0; k < batch.n_kept && code == STATUS_OK; k++)
        code = take_attempt(&batch.checks[k], &batch.results[k], &outcomes[batch.items[k]], st);
    batch_release(&batch);
    free(again);
    return code;
}

/* Makes replies again until they pass or the attempts are used up; then the refusal is shown. */
static status_code regenerate(const struct pipeline *pipeline, struct backend *backend,
                              const struct generate_item *items, int n,
                              struct generate_outcome *outcomes, struct status *st)
{
    status_code code = STATUS_OK;
    int attempts = pipeline->rules->stage[GUARD_OUTPUT].attempts;
    for (int a = 1; a <= attempts && code == STATUS_OK; a++)
        code = attempt(pipeline, backend, items, n, a, outcomes, st);
    for (int i = 0; i < n && code == STATUS_OK; i++) {
        struct guard_event *event = awaits_another(&outcomes[i]);
        if (event) event->response = GUARD_RESPONSE_REFUSE;
    }
    return code;
}

/* ---- prompts ---- */

/* What all items have in common: the text that the input stage sees, and the record of it. */
struct prompt_place {
    struct text guard_text;
    struct guard_record *record;
};

static struct prompt_place generate_place(const void *items, void *outcomes, int i)
{
    const struct generate_item *item = items;
    struct generate_outcome *outcome = outcomes;
    return (struct prompt_place){item[i].guard_text, &outcome[i].record};
}

static struct prompt_place loglikelihood_place(const void *items, void *outcomes, int i)
{
    const struct loglikelihood_item *item = items;
    struct loglikelihood_outcome *outcome = outcomes;
    return (struct prompt_place){item[i].guard_text, &outcome[i].record};
}

/* Classifies the prompts of n items, wherever `place` finds them. */
static status_code check_prompts(const struct pipeline *pipeline,
                                 struct prompt_place (*place)(const void *items, void *outcomes,
                                                              int i),
                                 const void *items, int n, void *outcomes, struct status *st)
{
    struct guard_item *prompts = calloc((size_t)n, sizeof *prompts);
    if (!prompts) return status_no_memory(st, "the prompts to check");
    for (int i = 0; i < n; i++) prompts[i].guard_text = place(items, outcomes, i).guard_text;
    status_code code = pipeline_check_all(pipeline, GUARD_INPUT, prompts, n, st);
    for (int i = 0; i < n; i++) *place(items, outcomes, i).record = prompts[i].record;
    free(prompts);
    return code;
}

/* ---- generation, all of it ---- */

status_code pipeline_generate(const struct pipeline *pipeline, struct backend *backend,
                              const struct generate_item *items, int n,
                              struct generate_outcome *outcomes, struct status *st)
{
    struct generate_batch batch;
    BUG_IF(n < 0);
    for (int i = 0; i < n; i++) {
        outcomes[i] = (struct generate_outcome){.result.finish_reason = FINISH_GUARD};
        strbuf_init(&outcomes[i].result.reply, 0);
        strbuf_init(&outcomes[i].altered, 2 * LIMIT_REPLY_BYTES);
        outcomes[i].delivered = outcomes[i].guarded = text_of("");
    }
    if (!n) return STATUS_OK;
    status_code code = batch_create(pipeline, (size_t)n, &batch, st);
    if (code == STATUS_OK) code = check_prompts(pipeline, generate_place, items, n, outcomes, st);
    for (int i = 0; i < n && code == STATUS_OK; i++)
        if (!stops_input(pipeline, &outcomes[i].record)) batch_add(pipeline, items, i, &batch);
    if (code == STATUS_OK) code = generate_kept(pipeline, backend, &batch, outcomes, st);
    if (code == STATUS_OK && pipeline->mode == GUARD_ENFORCE)
        code = regenerate(pipeline, backend, items, n, outcomes, st);
    for (int i = 0; i < n && code == STATUS_OK; i++) deliver(pipeline, &outcomes[i]);
    batch_release(&batch);
    return code;
}

void outcome_release(struct generate_outcome *outcome)
{
    generate_result_release(&outcome->result);
    guard_record_release(&outcome->record);
    strbuf_release(&outcome->altered);
    outcome->delivered = outcome->guarded = text_of("");
}

/* ---- multiple choice ---- */

static status_code score_kept(const struct pipeline *pipeline, struct backend *backend,
                              const struct loglikelihood_item *items, int n,
                              struct loglikelihood_outcome *outcomes, struct status *st)
{
    struct loglikelihood_request *requests = calloc((size_t)n, sizeof *requests);
    struct loglikelihood_result *results = calloc((size_t)n, sizeof *results);
    status_code code =
        requests && results ? STATUS_OK : status_no_memory(st, "a batch of requests");
    int n_kept = 0;
    for (int i = 0; i < n && code == STATUS_OK; i++)
        if (!stops_input(pipeline, &outcomes[i].record)) requests[n_kept++] = items[i].request;
    if (code == STATUS_OK) code = backend_loglikelihood(backend, requests, n_kept, results, st);
    for (int i = 0, k = 0; i < n && code == STATUS_OK; i++) {
        outcomes[i].ran = !stops_input(pipeline, &outcomes[i].record);
        if (outcomes[i].ran) outcomes[i].result = results[k++];
    }
    free(requests);
    free(results);
    return code;
}

status_code pipeline_loglikelihood(const struct pipeline *pipeline, struct backend *backend,
                                   const struct loglikelihood_item *items, int n,
                                   struct loglikelihood_outcome *outcomes, struct status *st)
{
    BUG_IF(n < 0);
    for (int i = 0; i < n; i++) outcomes[i] = (struct loglikelihood_outcome){0};
    if (!n) return STATUS_OK;
    status_code code = check_prompts(pipeline, loglikelihood_place, items, n, outcomes, st);
    return code == STATUS_OK ? score_kept(pipeline, backend, items, n, outcomes, st) : code;
}

void loglikelihood_outcome_release(struct loglikelihood_outcome *outcome)
{
    guard_record_release(&outcome->record);
}
