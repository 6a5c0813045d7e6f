#include "benchmarks/rescore.h"

#include <stdio.h>
#include <stdlib.h>

#include "benchmarks/runner_internal.h"
#include "benchmarks/toxicity.h"
#include "benchmarks/version.h"
#include "engine/base/limits.h"
#include "reports/sample_reader.h"

#define BATCH_DOCUMENTS 64

/* A reply as it is stored. */
struct old_reply {
    int repeat;
    struct text text;
    struct text shown; /* what a guard put in its place; data NULL: nothing, or not known */
    bool truncated, cut_by_guard;
    struct sandbox_result *execution;     /* NULL unless replies are programs */
    const struct classifier_item *judged; /* NULL unless the task is about toxicity */
};

/* A document's replies, or its log-probabilities. */
struct old_document {
    int64_t doc_id;
    struct old_reply *replies; /* (n_replies) */
    int n_replies;
    double logprobs[TASK_MAX_CHOICES];
    bool is_greedy;
    int n_choices;
};

/* Documents of one task that are scored together, so that programs run side by side. */
struct batch {
    struct runner *runner;
    int task;
    struct old_document documents[BATCH_DOCUMENTS];
    int n;
    struct arena arena; /* texts of the documents */
};

static const struct task *task_row(const struct batch *b)
{
    return b->runner->selection.refs[b->task].task;
}

/* ---- reading ---- */

static status_code keep(struct batch *b, struct text text, struct text *out, struct status *st)
{
    *out = (struct text){arena_strndup(&b->arena, text.data ? text.data : "", text.length),
                         text.length};
    return out->data ? STATUS_OK : status_no_memory(st, "replies");
}

/* What a guard showed instead of the reply: a redacted form, or another reply. */
static bool is_replaced(const struct sample_record *record, int64_t repeat)
{
    for (const struct event_record *e = record->events; e; e = e->next)
        if (e->repeat == repeat && text_equal(e->stage, text_of("output")) &&
            (text_equal(e->response, text_of("redact")) ||
             text_equal(e->response, text_of("regenerate"))))
            return true;
    return false;
}

static status_code take_replies(struct batch *b, const struct sample_record *record,
                                struct old_document *doc, struct status *st)
{
    size_t n = 0;
    for (const struct reply_record *r = record->replies; r; r = r->next) n++;
    doc->replies = arena_array(&b->arena, n + 1, sizeof *doc->replies);
    if (!doc->replies) return status_no_memory(st, "replies");
    status_code code = STATUS_OK;
    for (const struct reply_record *r = record->replies; r && code == STATUS_OK; r = r->next) {
        struct old_reply *reply = &doc->replies[doc->n_replies++];
        reply->repeat = (int)r->repeat;
        reply->truncated = text_equal(r->finish_reason, text_of("length"));
        reply->cut_by_guard = text_equal(r->finish_reason, text_of("guard"));
        code = keep(b, r->text, &reply->text, st);
        if (code == STATUS_OK && r->delivered.data && is_replaced(record, r->repeat))
            code = keep(b, r->delivered, &reply->shown, st);
    }
    return code;
}

static status_code take_document(struct batch *b, const struct sample_record *record,
                                 struct status *st)
{
    struct old_document *doc = &b->documents[b->n++];
    *doc = (struct old_document){.doc_id = record->doc_id};
    for (const struct choice_record *c = record->choices; c; c = c->next) {
        if (doc->n_choices == TASK_MAX_CHOICES)
            return status_set(st, STATUS_BAD_INPUT, "document %lld has more than %d choices",
                              (long long)record->doc_id, TASK_MAX_CHOICES);
        doc->is_greedy = c->is_greedy == 1;
        doc->logprobs[doc->n_choices++] = c->logprob;
    }
    return take_replies(b, record, doc, st);
}

/* ---- scoring ---- */

static struct store_key key_of(const struct batch *b, int64_t doc_id, int repeat)
{
    return (struct store_key){b->runner->run_id, b->runner->selection.refs[b->task].name, doc_id,
                              repeat};
}

static int count_replies(const struct batch *b)
{
    int n = 0;
    for (int i = 0; i < b->n; i++) n += b->documents[i].n_replies;
    return n;
}

static status_code run_programs(struct batch *b, struct sandbox_result *results, struct status *st)
{
    size_t n = (size_t)count_replies(b), at = 0;
    int64_t *doc_ids = arena_array(&b->arena, n + 1, sizeof *doc_ids);
    struct text *replies = arena_array(&b->arena, n + 1, sizeof *replies);
    if (!doc_ids || !replies) return status_no_memory(st, "programs");
    for (int i = 0; i < b->n; i++)
        for (int k = 0; k < b->documents[i].n_replies; k++) {
            doc_ids[at] = b->documents[i].doc_id;
            b->documents[i].replies[k].execution = &results[at];
            replies[at++] = b->documents[i].replies[k].text;
        }
    return task_instance_run_replies(b->runner->tasks[b->task], b->runner->sandbox, doc_ids,
                                     replies, n, results, st);
}

/* How toxic the replies are; `judged` (n) is the caller's. */
static status_code judge_replies(struct batch *b, struct classifier_item *judged, struct status *st)
{
    size_t at = 0;
    for (int i = 0; i < b->n; i++)
        for (int k = 0; k < b->documents[i].n_replies; k++) {
            judged[at].text = b->documents[i].replies[k].text;
            b->documents[i].replies[k].judged = &judged[at++];
        }
    return toxicity_score_all(b->runner->toxicity, judged, at, st);
}

static status_code score_one(struct batch *b, const struct old_document *doc,
                             const struct old_reply *old, struct score *score, struct status *st)
{
    struct store_key key = key_of(b, doc->doc_id, old->repeat);
    struct reply reply = {
        .text = old->text, .truncated = old->truncated, .execution = old->execution};
    double toxicity;
    bool known = false;
    status_code code = STATUS_OK;
    if (old->judged) code = run_put_toxicity(b->runner, &key, old->judged, &toxicity, &known, st);
    if (code != STATUS_OK) return code;
    reply.toxicity = known ? &toxicity : NULL;
    code = task_instance_score_reply(b->runner->tasks[b->task], doc->doc_id, &reply, &b->arena,
                                     score, st);
    if (code == STATUS_OK && old->cut_by_guard) run_forget_values(score);
    return code;
}

/* What a guard showed in place of the reply. */
static status_code score_shown(struct batch *b, const struct old_document *doc,
                               const struct old_reply *old, struct score *score, struct status *st)
{
    struct reply reply = {.text = old->shown};
    struct hazard_scores hazards;
    struct status why = {0};
    double toxicity;
    if (task_row(b)->judges_toxicity &&
        toxicity_score(b->runner->toxicity, old->shown, &hazards, &why) == STATUS_OK) {
        toxicity = hazards.of[HAZARD_TOXICITY].probability;
        reply.toxicity = &toxicity;
    }
    return task_instance_score_reply(b->runner->tasks[b->task], doc->doc_id, &reply, &b->arena,
                                     score, st);
}

static status_code score_replies(struct batch *b, const struct old_document *doc, struct status *st)
{
    struct score *scores = arena_array(&b->arena, (size_t)doc->n_replies + 1, sizeof *scores);
    if (!scores) return status_no_memory(st, "scores");
    status_code code = STATUS_OK;
    for (int k = 0; k < doc->n_replies && code == STATUS_OK; k++)
        code = score_one(b, doc, &doc->replies[k], &scores[k], st);
    if (code == STATUS_OK && doc->n_replies)
        code = task_instance_score_repeats(b->runner->tasks[b->task], doc->doc_id, scores,
                                           doc->n_replies, &b->arena, st);
    for (int k = 0; k < doc->n_replies && code == STATUS_OK; k++) {
        struct score shown;
        struct store_key key = key_of(b, doc->doc_id, doc->replies[k].repeat);
        bool known = doc->replies[k].shown.data && !doc->replies[k].execution;
        if (known) code = score_shown(b, doc, &doc->replies[k], &shown, st);
        if (code == STATUS_OK)
            code = run_put_score(b->runner, &key, &scores[k], known ? &shown : NULL, st);
    }
    return code;
}

static status_code score_document(struct batch *b, const struct old_document *doc,
                                  struct status *st)
{
    struct score score;
    const struct task_instance *task = b->runner->tasks[b->task];
    struct store_key key = key_of(b, doc->doc_id, 0);
    if (task_row(b)->output_type == OUTPUT_GENERATE_UNTIL) return score_replies(b, doc, st);
    status_code code = task_row(b)->output_type == OUTPUT_LOGLIKELIHOOD
                           ? task_instance_score_loglikelihood(task, doc->doc_id, doc->logprobs[0],
                                                               doc->is_greedy, &score, st)
                           : task_instance_score_choices(task, doc->doc_id, doc->logprobs,
                                                         doc->n_choices, &score, st);
    return code == STATUS_OK ? run_put_score(b->runner, &key, &score, NULL, st) : code;
}

static status_code score_batch(struct batch *b, struct status *st)
{
    int n = count_replies(b);
    struct sandbox_result *results = NULL;
    struct classifier_item *judged = NULL;
    status_code code = STATUS_OK;
    if (task_row(b)->judges_toxicity && n) {
        judged = calloc((size_t)n, sizeof *judged);
        code = judged ? judge_replies(b, judged, st) : status_no_memory(st, "replies");
    }
    if (code == STATUS_OK && task_row(b)->reply_to_job && n) {
        results = calloc((size_t)n, sizeof *results);
        code = results ? run_programs(b, results, st) : status_no_memory(st, "programs");
    }
    if (code != STATUS_OK) {
        free(results);
        free(judged);
        return code;
    }
    for (int i = 0; i < b->n && code == STATUS_OK; i++)
        code = score_document(b, &b->documents[i], st);
    for (int i = 0; results && i < n; i++) sandbox_result_release(&results[i]);
    free(results);
    free(judged);
    arena_reset(&b->arena);
    b->n = 0;
    return code;
}

static int find_task(const struct runner *r, const char *name)
{
    int i = 0;
    while (i < r->selection.count && strcmp(r->selection.refs[i].name, name) != 0) i++;
    return i;
}

/* Every sample of the parent that has replies or log-probabilities, in batches of one task. */
static status_code score_all(struct batch *b, struct sample_reader *reader, struct status *st)
{
    struct sample_record record;
    status_code code;
    while ((code = sample_reader_next(reader, &record, st)) == STATUS_OK && record.task) {
        if (!text_equal(record.state, text_of("done"))) continue;
        int task = find_task(b->runner, record.task);
        if (b->n && (task != b->task || b->n == BATCH_DOCUMENTS)) code = score_batch(b, st);
        b->task = task;
        if (code == STATUS_OK) code = take_document(b, &record, st);
        if (code != STATUS_OK) return status_prefix(st, "%s", record.task);
    }
    return code == STATUS_OK && b->n ? score_batch(b, st) : code;
}

/* ---- the child ---- */

static status_code check_task(const struct runner *r, const struct store_task *then,
                              struct status *st)
{
    int i = find_task(r, then->task);
    if (i == r->selection.count)
        return status_set(st, STATUS_BAD_INPUT, "the data no longer has task %s", then->task);
    const struct task_info *info = task_instance_info(r->tasks[i]);
    const struct task *row = r->selection.refs[i].task;
    if (strcmp(then->profile, row->profile) != 0 || strcmp(then->version, row->version) != 0)
        return status_set(st, STATUS_BAD_INPUT,
                          "%s: the replies are of %s %s, and the task is now %s %s", then->task,
                          then->profile, then->version, row->profile, row->version);
    if (then->dataset_sha256 && strcmp(then->dataset_sha256, info->dataset_sha256) != 0)
        return status_set(st, STATUS_BAD_INPUT, "%s: the data are not those of the run",
                          then->task);
    return STATUS_OK;
}

static status_code add_metrics(struct runner *r, const struct store_task *then, struct status *st)
{
    struct store_metric metrics[TASK_MAX_VALUES];
    size_t n = run_record_metrics(r->selection.refs[find_task(r, then->task)].task, then->repeats,
                                  metrics);
    return store_add_metrics(r->store, r->run_id, then->task, metrics, n, st);
}

/* The child's row: how replies were made is the parent's, what scores them is this program's. */
static status_code create_child(struct runner *r, const char *parent, struct store_run *run,
                                const struct rescore_options *options, struct status *st)
{
    struct strbuf config;
    strbuf_init(&config, LIMIT_POLICY_BYTES);
    run_config_to_json(&r->config, &config);
    status_code code = strbuf_check(&config, "the run's options", st);
    run->id = NULL;
    run->program_version = ASSAY_VERSION;
    run->program_commit = version_commit();
    run->compiler = version_compiler();
    run->build_flags = version_build_flags();
    run->command_line = options->command_line;
    run->options_json = config.data;
    if (code == STATUS_OK) code = store_create_run(r->store, run, r->run_id, st);
    if (code == STATUS_OK) code = store_copy_facts(r->store, parent, r->run_id, st);
    strbuf_release(&config);
    return code;
}

static status_code write_child(struct runner *r, const char *parent, struct store_run *run,
                               const struct rescore_options *options, struct arena *arena,
                               struct status *st)
{
    struct store_task *tasks;
    struct sample_reader *reader = NULL;
    size_t n = 0;
    status_code code = store_load_tasks(r->store, parent, arena, &tasks, &n, st);
    for (size_t i = 0; i < n && code == STATUS_OK; i++) code = check_task(r, &tasks[i], st);
    if (code == STATUS_OK) code = create_child(r, parent, run, options, st);
    for (size_t i = 0; i < n && code == STATUS_OK; i++) code = add_metrics(r, &tasks[i], st);
    if (code == STATUS_OK) code = run_record_scorers(r, st);
    if (code == STATUS_OK) code = store_copy_failures(r->store, parent, r->run_id, st);
    if (code == STATUS_OK) code = sample_reader_create(&reader, r->store, parent, -1, false, st);
    if (code != STATUS_OK) return code;
    struct batch *b = calloc(1, sizeof *b);
    if (b) {
        b->runner = r;
        arena_init(&b->arena, LIMIT_DATASET_BYTES);
        code = score_all(b, reader, st);
        arena_release(&b->arena);
        free(b);
    } else {
        code = status_no_memory(st, "a batch");
    }
    sample_reader_free(reader);
    return code == STATUS_OK ? store_set_run_state(r->store, r->run_id, RUN_DONE, st) : code;
}

/* The task files of the child are those of the parent, byte for byte. */
static status_code check_files(struct runner *r, const char *parent, struct status *st)
{
    snprintf(r->run_id, sizeof r->run_id, "%s", parent);
    return run_record_check_files(r, st);
}

/* Everything that can be wrong is found before the transaction begins. */
static status_code load(struct runner *r, const char *parent, const struct store_run *run,
                        const struct rescore_options *options, struct arena *arena,
                        struct status *st)
{
    if (run->state != RUN_DONE)
        return status_set(st, STATUS_USAGE, "it is not done: `assay resume %s` first", parent);
    if (!run->options_json)
        return status_set(st, STATUS_UNSUPPORTED, "it was not made by `assay run`");
    status_code code = run_config_from_json(&r->config, text_of(run->options_json), arena, st);
    if (code != STATUS_OK) return status_prefix(st, "options");
    if (options->data_dir) r->config.data_dir = options->data_dir;
    if (options->classifier) r->config.toxicity_classifier = options->classifier;
    r->environment.demo_dir = options->demo_dir;
    code = runner_load_scoring(r, st);
    if (code == STATUS_OK && options->classifier && !r->toxicity)
        code = status_set(st, STATUS_USAGE, "--classifier: none of its tasks is about toxicity");
    return code == STATUS_OK ? check_files(r, parent, st) : code;
}

static status_code rescore(struct runner *r, const char *parent,
                           const struct rescore_options *options, struct arena *arena,
                           struct status *st)
{
    struct store_run run;
    status_code code = store_load_run(r->store, parent, arena, &run, st);
    if (code == STATUS_OK) code = load(r, parent, &run, options, arena, st);
    if (code == STATUS_OK) code = store_begin(r->store, st);
    if (code != STATUS_OK) return code;
    code = write_child(r, parent, &run, options, arena, st);
    if (code == STATUS_OK) return store_commit(r->store, st);
    store_rollback(r->store);
    return code;
}

status_code rescore_run(struct store *store, const char *run, const struct rescore_options *options,
                        char id[STORE_RUN_ID_SIZE], struct status *st)
{
    struct arena arena;
    char parent[STORE_RUN_ID_SIZE];
    status_code code = store_find_run(store, run, parent, st);
    if (code != STATUS_OK) return code;
    struct runner *r = calloc(1, sizeof *r);
    if (!r) return status_no_memory(st, "a run");
    r->store = store;
    arena_init(&arena, 4 * LIMIT_POLICY_BYTES);
    code = rescore(r, parent, options, &arena, st);
    snprintf(id, STORE_RUN_ID_SIZE, "%s", r->run_id);
    runner_free(r);
    arena_release(&arena);
    return code == STATUS_OK ? code : status_prefix(st, "run %s", parent);
}
