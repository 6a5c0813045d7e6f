/* results_write.c - rows into the store: runs, tasks, and the facts of each sample. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "reports/results_query.h"

/* ---- Words ---- */

const char *run_state_name(enum run_state state)
{
    static const char *const names[] = {"running", "done", "interrupted", "failed"};
    return names[state];
}

const char *sample_state_name(enum sample_state state)
{
    static const char *const names[SAMPLE_STATES] = {"pending", "done", "failed", "blocked"};
    return names[state];
}

/* ---- Helpers ---- */

/* The cached statement, once a batch is known to be open; NULL after a failure. */
static struct query *write_query(struct store *store, const char *sql, struct status *st)
{
    return store_need_batch(store, st) == STATUS_OK ? query_cached(store, sql, st) : NULL;
}

static void bind_key(struct query *query, const struct store_key *key)
{
    query_bind_str(query, key->run);
    query_bind_str(query, key->task);
    query_bind_int(query, key->doc_id);
    query_bind_int(query, key->repeat);
}

void store_now(char out[32])
{
    time_t now = time(NULL);
    struct tm utc;
    if (!gmtime_r(&now, &utc) || strftime(out, 32, "%Y-%m-%dT%H:%M:%SZ", &utc) == 0) out[0] = '\0';
}

/* The date, and the nanoseconds in hexadecimal: ids sort by time, also within a second. */
void store_make_id(char id[STORE_RUN_ID_SIZE])
{
    char stamp[32] = "";
    struct timespec now;
    struct tm utc;
    clock_gettime(CLOCK_REALTIME, &now);
    if (gmtime_r(&now.tv_sec, &utc)) strftime(stamp, sizeof stamp, "%Y%m%dT%H%M%SZ", &utc);
    snprintf(id, STORE_RUN_ID_SIZE, "%s-%08lx", stamp, (unsigned long)now.tv_nsec);
}

static bool is_run_id(const char *id)
{
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                  "0123456789._-";
    size_t n = strlen(id);
    return n > 0 && n < STORE_RUN_ID_SIZE && strspn(id, allowed) == n && strcmp(id, "latest") != 0;
}

/* ---- Runs ---- */

static status_code put_artifact(struct store *store, const struct store_artifact *artifact,
                                struct status *st)
{
    static const char sql[] = "INSERT INTO artifact (sha256, kind, name, bytes, meta) "
                              "VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING";
    struct query *query = write_query(store, sql, st);
    if (!query) return st->code;
    query_bind_str(query, artifact->sha256);
    query_bind_str(query, artifact->kind);
    query_bind_str(query, artifact->name);
    query_bind_int(query, artifact->bytes);
    query_bind_str(query, artifact->meta_json);
    return query_run(query, st);
}

static status_code put_known_artifact(struct store *store, const char *sha256, const char *kind,
                                      const char *name, int64_t bytes, struct status *st)
{
    if (!sha256) return STATUS_OK;
    struct store_artifact artifact = {.sha256 = sha256, .kind = kind, .name = name, .bytes = bytes};
    return put_artifact(store, &artifact, st);
}

static void bind_run(struct query *query, const struct store_run *run, const char *id,
                     const char *started_at)
{
    query_bind_str(query, id);
    query_bind_str(query, started_at);
    query_bind_str(query, run->program_version);
    query_bind_str(query, run->program_commit);
    query_bind_str(query, run->compiler);
    query_bind_str(query, run->build_flags);
    query_bind_str(query, run->cpu);
    query_bind_str(query, run->kernel_set);
    query_bind_int(query, run->threads);
    query_bind_str(query, run->backend);
    query_bind_str(query, run->model_path);
    query_bind_str(query, run->architecture);
    query_bind_str(query, run->quantisation);
    query_bind_str(query, run->weights_sha256);
    query_bind_str(query, run->tokenizer_sha256);
    query_bind_str(query, run->tokenizer_kind);
    query_bind_str(query, run->chat_template);
    query_bind_str(query, run->bos_policy);
    query_bind_double(query, run->temperature);
    query_bind_int(query, run->top_k);
    query_bind_double(query, run->top_p);
    query_bind_int(query, run->max_tokens);
    query_bind_bits(query, run->seed);
    query_bind_str(query, guard_mode_name(run->guard_mode));
    query_bind_str(query, run->guard_policy_json);
    query_bind_str(query, run->guard_policy_sha256);
    query_bind_str(query, run->command_line);
    query_bind_str(query, run->options_json);
}

static status_code put_chat(struct store *store, const struct store_chat *chat, const char *id,
                            struct status *st)
{
    static const char sql[] = "INSERT INTO run_chat (run, format, template_sha256, system_text,"
                              " system_as, fewshot_as) VALUES (?, ?, ?, ?, ?, ?)";
    if (!chat->format) return STATUS_OK;
    struct query *query = write_query(store, sql, st);
    if (!query) return st->code;
    query_bind_str(query, id);
    query_bind_str(query, chat->format);
    query_bind_str(query, chat->template_sha256);
    query_bind_str(query, chat->system);
    query_bind_str(query, chat->system_as);
    query_bind_str(query, chat->fewshot_as);
    return query_run(query, st);
}

status_code store_create_run(struct store *store, const struct store_run *run,
                             char id[STORE_RUN_ID_SIZE], struct status *st)
{
    static const char sql[] =
        "INSERT INTO run (run, state, started_at, program_version, program_commit, compiler,"
        " build_flags, cpu, kernel_set, threads, backend, model_path, architecture, quantisation,"
        " weights_sha256, tokenizer_sha256, tokenizer_kind, chat_template, bos_policy, temperature,"
        " top_k, top_p, max_tokens, seed, guard_mode, guard_policy, guard_policy_sha256,"
        " command_line, options_json) "
        "VALUES (?, 'running', ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?,"
        " ?, ?, ?, ?) ON CONFLICT DO NOTHING";
    char now[32];
    if (run->id && !is_run_id(run->id))
        return status_set(st, STATUS_USAGE,
                          "run id \"%s\": use 1 to %d letters, digits, '.', '_' or '-', and not "
                          "\"latest\"",
                          run->id, STORE_RUN_ID_SIZE - 1);
    if (run->id)
        snprintf(id, STORE_RUN_ID_SIZE, "%s", run->id);
    else
        store_make_id(id);
    if (put_known_artifact(store, run->weights_sha256, "weights", run->model_path,
                           run->weights_bytes, st) != STATUS_OK ||
        put_known_artifact(store, run->tokenizer_sha256, "tokenizer", run->model_path,
                           STORE_UNKNOWN, st) != STATUS_OK)
        return st->code;
    struct query *query = write_query(store, sql, st);
    if (!query) return st->code;
    store_now(now);
    bind_run(query, run, id, now);
    if (query_run(query, st) != STATUS_OK) return st->code;
    if (query_changes(store) == 1) return put_chat(store, &run->chat, id, st);
    store_rollback(store);
    return status_set(st, STATUS_USAGE, "%s: run %s is already in the store", store_path(store),
                      id);
}

status_code store_add_artifact(struct store *store, const char *run, const char *role,
                               const struct store_artifact *artifact, struct status *st)
{
    static const char sql[] = "INSERT OR REPLACE INTO run_artifact (run, role, sha256) "
                              "VALUES (?, ?, ?)";
    if (put_artifact(store, artifact, st) != STATUS_OK) return st->code;
    struct query *query = write_query(store, sql, st);
    if (!query) return st->code;
    query_bind_str(query, run);
    query_bind_str(query, role);
    query_bind_str(query, artifact->sha256);
    return query_run(query, st);
}

status_code store_set_run_state(struct store *store, const char *run, enum run_state state,
                                struct status *st)
{
    static const char sql[] = "UPDATE run SET state = ?, finished_at = ? WHERE run = ?";
    char now[32];
    struct query *query = query_cached(store, sql, st);
    if (!query) return st->code;
    store_now(now);
    query_bind_str(query, run_state_name(state));
    query_bind_str(query, state == RUN_RUNNING ? NULL : now);
    query_bind_str(query, run);
    if (query_run(query, st) != STATUS_OK) return st->code;
    if (query_changes(store) == 1) return STATUS_OK;
    return status_set(st, STATUS_NOT_FOUND, "%s: there is no run %s", store_path(store), run);
}

/* ---- What remote classifiers said ---- */

status_code store_find_remote_score(struct store *store, const char *key, struct strbuf *value,
                                    bool *found, struct status *st)
{
    struct query *query = query_cached(store, "SELECT scores FROM remote_score WHERE key = ?", st);
    *found = false;
    if (!query) return st->code;
    query_bind_str(query, key);
    if (query_row(query, found, st) != STATUS_OK || !*found) return st->code;
    struct text text = query_text(query, 0);
    strbuf_append(value, text.data, text.length);
    query_reset(query);
    return strbuf_check(value, "kept scores", st);
}

status_code store_keep_remote_score(struct store *store, const char *key, const char *classifier,
                                    struct text value, struct status *st)
{
    static const char sql[] = "INSERT OR REPLACE INTO remote_score (key, classifier, scores,"
                              " scored_at) VALUES (?, ?, ?, ?)";
    char now[32];
    struct query *query = query_cached(store, sql, st);
    if (!query) return st->code;
    store_now(now);
    query_bind_str(query, key);
    query_bind_str(query, classifier);
    query_bind_text(query, value);
    query_bind_str(query, now);
    return query_run(query, st);
}

/* ---- Tasks ---- */

static status_code add_metric(struct store *store, const char *run, const char *task,
                              const struct store_metric *metric, int64_t position,
                              struct status *st)
{
    static const char sql[] =
        "INSERT INTO task_metric (run, task, metric, extraction, position, higher_is_better,"
        " blocked_value, source, best_of, stratum) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
    struct query *query = write_query(store, sql, st);
    if (!query) return st->code;
    query_bind_str(query, run);
    query_bind_str(query, task);
    query_bind_str(query, metric->metric);
    query_bind_str(query, metric->extraction ? metric->extraction : STORE_NO_EXTRACTION);
    query_bind_int(query, position);
    query_bind_int(query, metric->no_direction ? STORE_UNKNOWN : metric->higher_is_better);
    query_bind_double(query, metric->blocked_value);
    query_bind_str(query, metric->source);
    query_bind_int(query, metric->best_of > 1 ? metric->best_of : 1);
    query_bind_str(query, metric->stratum);
    return query_run(query, st);
}

status_code store_add_task(struct store *store, const char *run, const struct store_task *task,
                           struct status *st)
{
    static const char sql[] =
        "INSERT INTO task_run (run, task, position, version, profile, output_type, num_fewshot,"
        " fewshot_seed, doc_limit, repeats, dataset_name, dataset_path, dataset_sha256,"
        " n_docs_total, base) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
    if (put_known_artifact(store, task->dataset_sha256, "dataset", task->dataset_path,
                           task->dataset_bytes, st) != STATUS_OK)
        return st->code;
    struct query *query = write_query(store, sql, st);
    if (!query) return st->code;
    query_bind_str(query, run);
    query_bind_str(query, task->task);
    query_bind_int(query, task->position);
    query_bind_str(query, task->version);
    query_bind_str(query, task->profile);
    query_bind_str(query, task->output_type);
    query_bind_int(query, task->num_fewshot);
    query_bind_int(query, task->fewshot_seed);
    query_bind_int(query, task->limit);
    query_bind_int(query, task->repeats);
    query_bind_str(query, task->dataset_name);
    query_bind_str(query, task->dataset_path);
    query_bind_str(query, task->dataset_sha256);
    query_bind_int(query, task->n_docs_total);
    query_bind_str(query, task->base);
    if (query_run(query, st) != STATUS_OK) return st->code;
    return store_add_metrics(store, run, task->task, task->metrics, task->n_metrics, st);
}

status_code store_add_metrics(struct store *store, const char *run, const char *task,
                              const struct store_metric *metrics, size_t n, struct status *st)
{
    status_code code = STATUS_OK;
    for (size_t i = 0; i < n && code == STATUS_OK; i++)
        code = add_metric(store, run, task, &metrics[i], (int64_t)i, st);
    return code;
}

status_code store_add_group(struct store *store, const char *run, const char *group,
                            const char *parent, const char *version, int position,
                            struct status *st)
{
    static const char sql[] = "INSERT INTO task_group (run, group_name, parent, version, position) "
                              "VALUES (?, ?, ?, ?, ?)";
    struct query *query = write_query(store, sql, st);
    if (!query) return st->code;
    query_bind_str(query, run);
    query_bind_str(query, group);
    query_bind_str(query, parent);
    query_bind_str(query, version);
    query_bind_int(query, position);
    return query_run(query, st);
}

status_code store_add_group_member(struct store *store, const char *run, const char *group,
                                   const char *task, struct status *st)
{
    static const char sql[] =
        "INSERT INTO task_group_member (run, task, group_name) VALUES (?, ?, ?)";
    struct query *query = write_query(store, sql, st);
    if (!query) return st->code;
    query_bind_str(query, run);
    query_bind_str(query, task);
    query_bind_str(query, group);
    return query_run(query, st);
}

/* ---- Samples ---- */

/* Runs one (run, task, doc_id) statement for every document. */
static status_code for_each_doc(struct store *store, const char *sql, const char *run,
                                const char *task, const int64_t *doc_ids, size_t n,
                                struct status *st)
{
    for (size_t i = 0; i < n; i++) {
        struct query *query = write_query(store, sql, st);
        if (!query) return st->code;
        query_bind_str(query, run);
        query_bind_str(query, task);
        query_bind_int(query, doc_ids[i]);
        if (query_run(query, st) != STATUS_OK) return st->code;
    }
    return STATUS_OK;
}

status_code store_add_samples(struct store *store, const char *run, const char *task,
                              const int64_t *doc_ids, size_t n, struct status *st)
{
    static const char sql[] = "INSERT INTO sample (run, task, doc_id, state) "
                              "VALUES (?, ?, ?, 'pending') ON CONFLICT DO NOTHING";
    return for_each_doc(store, sql, run, task, doc_ids, n, st);
}

status_code store_retry_failed(struct store *store, const char *run, int64_t *n, struct status *st)
{
    static const char sql[] =
        "UPDATE sample SET state = 'pending' WHERE run = ? AND state = 'failed'";
    struct query *query = write_query(store, sql, st);
    if (!query) return st->code;
    query_bind_str(query, run);
    if (query_run(query, st) != STATUS_OK) return st->code;
    *n = query_changes(store);
    return STATUS_OK;
}

/* ---- Facts of a sample ---- */

status_code store_put_prompt(struct store *store, const char *sha256, struct text text,
                             struct status *st)
{
    static const char sql[] =
        "INSERT INTO prompt (sha256, text) VALUES (?, ?) ON CONFLICT DO NOTHING";
    struct query *query = write_query(store, sql, st);
    if (!query) return st->code;
    query_bind_str(query, sha256);
    query_bind_text(query, text);
    return query_run(query, st);
}

/* A document that nothing was kept of yet, which nearly all are, has nothing to forget. */
static status_code was_attempted(struct store *store, const struct store_key *key, bool *attempted,
                                 struct status *st)
{
    static const char sql[] = "SELECT 1 FROM sample WHERE run = ? AND task = ? AND doc_id = ?"
                              " AND state = 'pending' AND doc_hash IS NULL"
                              " AND error_code IS NULL";
    bool untouched;
    struct query *query = write_query(store, sql, st);
    if (!query) return st->code;
    query_bind_str(query, key->run);
    query_bind_str(query, key->task);
    query_bind_int(query, key->doc_id);
    if (query_row(query, &untouched, st) != STATUS_OK) return st->code;
    query_reset(query);
    *attempted = !untouched;
    return STATUS_OK;
}

static status_code forget_attempt(struct store *store, const struct store_key *key,
                                  struct status *st)
{
    static const char *const sql[] = {
        "DELETE FROM verdict WHERE run = ? AND task = ? AND doc_id = ?",
        "DELETE FROM guard_event WHERE run = ? AND task = ? AND doc_id = ?",
        "DELETE FROM hazard_score WHERE run = ? AND task = ? AND doc_id = ?",
        "DELETE FROM choice_logprob WHERE run = ? AND task = ? AND doc_id = ?",
        "DELETE FROM reply WHERE run = ? AND task = ? AND doc_id = ?",
    };
    for (size_t i = 0; i < sizeof sql / sizeof sql[0]; i++)
        if (for_each_doc(store, sql[i], key->run, key->task, &key->doc_id, 1, st) != STATUS_OK)
            return st->code;
    return STATUS_OK;
}

/* One verdict of unknown value per repeat and metric. */
static status_code put_unknown_verdicts(struct store *store, const struct store_key *key,
                                        enum outcome outcome, struct status *st)
{
    static const char sql[] =
        "WITH RECURSIVE "
        "  task (run, task, doc_id, outcome) AS (VALUES (?, ?, ?, ?)), "
        "  repeat (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM repeat WHERE n + 1 < "
        "    (SELECT repeats FROM task_run JOIN task USING (run, task))) "
        "INSERT INTO verdict (run, task, doc_id, repeat, metric, extraction, outcome) "
        "SELECT t.run, t.task, t.doc_id, repeat.n, m.metric, m.extraction, t.outcome "
        "FROM task t JOIN task_metric m USING (run, task) CROSS JOIN repeat "
        "WHERE m.source IS NULL";
    struct query *query = write_query(store, sql, st);
    if (!query) return st->code;
    query_bind_str(query, key->run);
    query_bind_str(query, key->task);
    query_bind_int(query, key->doc_id);
    query_bind_str(query, outcome_name(outcome));
    return query_run(query, st);
}

status_code store_put_sample(struct store *store, const struct store_key *key,
                             const struct store_sample *sample, struct status *st)
{
    static const char sql[] =
        "UPDATE sample SET state = ?, doc_hash = ?, prompt_hash = ?, guard_text_hash = ?,"
        " target = ?, stratum = ?, system_place = ?, n_prompt_tokens = ?, n_truncated = ?,"
        " error_code = ?, error_text = ? "
        "WHERE run = ? AND task = ? AND doc_id = ?";
    bool attempted = true;
    if (was_attempted(store, key, &attempted, st) != STATUS_OK) return st->code;
    if (attempted && forget_attempt(store, key, st) != STATUS_OK) return st->code;
    struct query *query = write_query(store, sql, st);
    if (!query) return st->code;
    query_bind_str(query, sample_state_name(sample->state));
    query_bind_str(query, sample->doc_hash);
    query_bind_str(query, sample->prompt_hash);
    query_bind_str(query, sample->guard_text_hash);
    query_bind_str(query, sample->target);
    query_bind_str(query, sample->stratum);
    query_bind_str(query, sample->system_place);
    query_bind_int(query, sample->n_prompt_tokens);
    query_bind_int(query, sample->n_truncated);
    query_bind_str(query, sample->error_code);
    query_bind_str(query, sample->error_text);
    query_bind_str(query, key->run);
    query_bind_str(query, key->task);
    query_bind_int(query, key->doc_id);
    if (query_run(query, st) != STATUS_OK) return st->code;
    if (query_changes(store) != 1) {
        store_rollback(store);
        return status_set(st, STATUS_NOT_FOUND, "%s: run %s has no document %lld of task %s",
                          store_path(store), key->run, (long long)key->doc_id, key->task);
    }
    if (sample->state == SAMPLE_FAILED)
        return put_unknown_verdicts(store, key, OUTCOME_INFRASTRUCTURE_ERROR, st);
    if (sample->state == SAMPLE_BLOCKED)
        return put_unknown_verdicts(store, key, OUTCOME_BLOCKED_INPUT, st);
    return STATUS_OK;
}

status_code store_put_reply(struct store *store, const struct store_key *key,
                            const struct store_reply *reply, struct status *st)
{
    static const char sql[] =
        "INSERT OR REPLACE INTO reply (run, task, doc_id, repeat, text, delivered, finish_reason,"
        " n_tokens, seed, prefill_seconds, decode_seconds) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, "
        "?)";
    struct query *query = write_query(store, sql, st);
    if (!query) return st->code;
    bind_key(query, key);
    query_bind_text(query, reply->text.data ? reply->text : text_of(""));
    query_bind_text(query, reply->delivered);
    query_bind_str(query, reply->finish_reason);
    query_bind_int(query, reply->n_tokens);
    query_bind_bits(query, reply->seed);
    query_bind_double(query, reply->prefill_seconds);
    query_bind_double(query, reply->decode_seconds);
    return query_run(query, st);
}

status_code store_put_choice(struct store *store, const struct store_key *key,
                             const struct store_choice *choice, struct status *st)
{
    static const char sql[] =
        "INSERT OR REPLACE INTO choice_logprob (run, task, doc_id, choice,"
        " text, logprob, n_tokens, is_greedy) VALUES (?, ?, ?, ?, ?, ?, ?, ?)";
    struct query *query = write_query(store, sql, st);
    if (!query) return st->code;
    query_bind_str(query, key->run);
    query_bind_str(query, key->task);
    query_bind_int(query, key->doc_id);
    query_bind_int(query, choice->index);
    query_bind_text(query, choice->text.data ? choice->text : text_of(""));
    query_bind_double(query, choice->logprob);
    query_bind_int(query, choice->n_tokens);
    query_bind_int(query, choice->is_greedy);
    return query_run(query, st);
}

status_code store_put_hazard(struct store *store, const struct store_key *key,
                             const struct store_hazard *hazard, struct status *st)
{
    static const char sql[] =
        "INSERT INTO hazard_score (run, task, doc_id, repeat, stage, classifier_sha256,"
        " category, logit, probability, peak, error) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) "
        "ON CONFLICT DO UPDATE SET logit = excluded.logit, probability = excluded.probability,"
        " peak = coalesce(excluded.peak, peak), error = excluded.error";
    struct query *query = write_query(store, sql, st);
    if (!query) return st->code;
    bind_key(query, key);
    query_bind_str(query, guard_stage_name(hazard->stage));
    query_bind_str(query, hazard->classifier_sha256);
    query_bind_str(query, hazard->category);
    query_bind_double(query, hazard->logit);
    query_bind_double(query, hazard->probability);
    query_bind_double(query, hazard->peak ? *hazard->peak : (double)NAN);
    query_bind_str(query, hazard->error);
    return query_run(query, st);
}

status_code store_put_guard_event(struct store *store, const struct store_key *key,
                                  const struct store_guard_event *event, struct status *st)
{
    static const char sql[] =
        "INSERT OR REPLACE INTO guard_event (run, task, doc_id, repeat, stage, mode, verdict,"
        " action, category, policy_rule, latency_seconds, response, classifier_sha256, exempted,"
        " timed_out, n_checks, n_attempts, n_extra_tokens, cut_at_token)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
    struct query *query = write_query(store, sql, st);
    if (!query) return st->code;
    bind_key(query, key);
    query_bind_str(query, guard_stage_name(event->stage));
    query_bind_str(query, guard_mode_name(event->mode));
    query_bind_str(query, guard_verdict_name(event->verdict));
    query_bind_str(query, event->blocks ? "block" : "allow");
    query_bind_str(query, event->category);
    query_bind_str(query, event->rule);
    query_bind_double(query, event->latency_seconds);
    query_bind_str(query, event->response);
    query_bind_str(query, event->classifier_sha256);
    query_bind_int(query, event->exempted);
    query_bind_int(query, event->timed_out);
    query_bind_int(query, event->n_checks);
    query_bind_int(query, event->n_attempts);
    query_bind_int(query, event->n_extra_tokens);
    query_bind_int(query, event->cut_at_token > 0 ? event->cut_at_token : STORE_UNKNOWN);
    return query_run(query, st);
}

status_code store_put_verdict(struct store *store, const struct store_key *key,
                              const struct store_verdict *verdict, struct status *st)
{
    static const char sql[] =
        "INSERT OR REPLACE INTO verdict (run, task, doc_id, repeat, metric, extraction, extracted,"
        " value, outcome, delivered_value, delivered_outcome) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, "
        "?, ?)";
    struct query *query = write_query(store, sql, st);
    if (!query) return st->code;
    bind_key(query, key);
    query_bind_str(query, verdict->metric);
    query_bind_str(query, verdict->extraction ? verdict->extraction : STORE_NO_EXTRACTION);
    query_bind_text(query, verdict->extracted);
    query_bind_double(query, verdict->value);
    query_bind_str(query, outcome_name(verdict->outcome));
    query_bind_double(query, verdict->delivered ? verdict->delivered->value : (double)NAN);
    query_bind_str(query, verdict->delivered ? outcome_name(verdict->delivered->outcome) : NULL);
    return query_run(query, st);
}
