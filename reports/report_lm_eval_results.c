/* report_lm_eval_results.c - the file of results: scores, what they are of, and where they are
 * from. */
#include <ctype.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "engine/base/json.h"
#include "engine/base/limits.h"
#include "reports/report_json.h"
#include "reports/report_lm_eval.h"
#include "reports/results_query.h"

#define MOST_EXACT (UINT64_C(1) << 53) /* larger integers are not read back by all as they are */

static void begin_object(struct strbuf *out, const char *key)
{
    json_member_key(out, key);
    strbuf_append_char(out, '{');
}

static void end_object(struct strbuf *out)
{
    strbuf_append_char(out, '}');
}

/* ---- scores ---- */

static void append_metric_key(struct strbuf *out, const struct score_row *row, const char *suffix)
{
    struct strbuf key;
    strbuf_init(&key, LIMIT_CONFIG_BYTES);
    strbuf_appendf(&key, "%s%s,%s", row->metric, suffix, row->extraction);
    json_member_key(out, key.data);
    strbuf_release(&key);
}

/* A score that is withheld is null; a standard error that is not known is "N/A", which is what
 * lm-evaluation-harness writes and reads there. */
static void append_column(struct strbuf *out, const struct score_row *row,
                          const struct score_column *column, bool enforce)
{
    append_metric_key(out, row, enforce ? "_enforce" : "");
    lm_eval_append_float(out, column->value);
    append_metric_key(out, row, enforce ? "_enforce_stderr" : "_stderr");
    if (isnan(column->stderror))
        strbuf_append_str(out, "\"N/A\"");
    else
        lm_eval_append_float(out, column->stderror);
}

static void append_sample_counts(struct strbuf *out, const struct score_table *table,
                                 const char *name)
{
    begin_object(out, "sample_count");
    for (size_t i = 0; i < table->n_rows; i++) {
        const struct score_row *row = &table->rows[i];
        if (!row->is_group || strcmp(row->name, name) != 0) continue;
        append_metric_key(out, row, "");
        strbuf_appendf(out, "%" PRId64, row->n_docs);
    }
    end_object(out);
}

/* The rows of one task or group stand together. */
static bool is_first(const struct score_table *table, size_t i)
{
    const struct score_row *row = &table->rows[i];
    return i == 0 || strcmp(row[-1].name, row->name) != 0 || row[-1].is_group != row->is_group;
}

static int64_t most_documents(const struct score_table *table, const struct score_row *like)
{
    int64_t most = 0;
    for (size_t i = 0; i < table->n_rows; i++)
        if (strcmp(table->rows[i].name, like->name) == 0 && table->rows[i].n_docs > most)
            most = table->rows[i].n_docs;
    return most;
}

static void append_scores(struct strbuf *out, const struct score_table *table, const char *key,
                          bool groups_only)
{
    begin_object(out, key);
    for (size_t i = 0; i < table->n_rows; i++) {
        const struct score_row *row = &table->rows[i];
        if (groups_only && !row->is_group) continue;
        if (is_first(table, i)) {
            begin_object(out, row->name);
            json_member_str(out, "name", row->name);
            json_member_str(out, "alias", row->name);
            json_member_int(out, "sample_len", most_documents(table, row));
            if (row->is_group) append_sample_counts(out, table, row->name);
        }
        append_column(out, row, &row->off, false);
        if (row->enforce.state != SCORE_NO_GUARD) append_column(out, row, &row->enforce, true);
        if (i + 1 == table->n_rows || is_first(table, i + 1)) end_object(out);
    }
    end_object(out);
}

/* Whether a row of the same task before row i has the same word. */
static bool is_repeated(const struct score_table *table, size_t i, bool by_metric)
{
    const struct score_row *row = &table->rows[i];
    for (size_t k = i; k > 0 && !is_first(table, k); k--) {
        const struct score_row *before = &table->rows[k - 1];
        if (by_metric ? strcmp(before->metric, row->metric) == 0
                      : strcmp(before->extraction, row->extraction) == 0)
            return true;
    }
    return false;
}

static void append_direction(struct strbuf *out, const struct score_row *row)
{
    struct strbuf enforced;
    strbuf_init(&enforced, LIMIT_CONFIG_BYTES);
    strbuf_appendf(&enforced, "%s_enforce", row->metric);
    json_member_direction(out, row->metric, row->direction);
    if (row->enforce.state != SCORE_NO_GUARD)
        json_member_direction(out, enforced.data, row->direction);
    strbuf_release(&enforced);
}

static void append_directions(struct strbuf *out, const struct score_table *table)
{
    begin_object(out, "higher_is_better");
    for (size_t i = 0; i < table->n_rows; i++) {
        const struct score_row *row = &table->rows[i];
        if (is_first(table, i)) begin_object(out, row->name);
        if (!is_repeated(table, i, true)) append_direction(out, row);
        if (i + 1 == table->n_rows || is_first(table, i + 1)) end_object(out);
    }
    end_object(out);
}

/* ---- tasks ---- */

/* A version as a number where it is one. */
static void append_version(struct strbuf *out, const char *name, const char *version)
{
    int n = 0;
    if (version) sscanf(version, "%*[0-9]%n.%*[0-9]%n", &n, &n);
    if (!version || n == 0 || version[n] ||
        (version[0] == '0' && isdigit((unsigned char)version[1])))
        json_member_str(out, name, version);
    else {
        json_member_key(out, name);
        strbuf_append_str(out, version);
    }
}

/* For rows of a task or group in turn, once each. */
static void append_per_name(struct strbuf *out, const struct score_table *table, const char *key,
                            void (*append)(struct strbuf *out, const struct score_row *row))
{
    begin_object(out, key);
    for (size_t i = 0; i < table->n_rows; i++)
        if (is_first(table, i)) append(out, &table->rows[i]);
    end_object(out);
}

static void append_row_version(struct strbuf *out, const struct score_row *row)
{
    append_version(out, row->name, row->version);
}

static void append_row_shots(struct strbuf *out, const struct score_row *row)
{
    if (row->num_fewshot != STORE_UNKNOWN) json_member_int(out, row->name, row->num_fewshot);
}

static void append_metric_list(struct strbuf *out, const struct score_table *table,
                               const char *task)
{
    json_member_key(out, "metric_list");
    strbuf_append_char(out, '[');
    for (size_t i = 0; i < table->n_rows; i++) {
        const struct score_row *row = &table->rows[i];
        if (row->is_group || strcmp(row->name, task) != 0 || is_repeated(table, i, true)) continue;
        json_next_item(out);
        strbuf_append_char(out, '{');
        json_member_str(out, "metric", row->metric);
        json_member_str(out, "aggregation", "mean");
        json_member_direction(out, "higher_is_better", row->direction);
        end_object(out);
    }
    strbuf_append_char(out, ']');
}

/* A task whose replies are taken whole has none. */
static void append_filter_list(struct strbuf *out, const struct score_table *table,
                               const char *task)
{
    bool any = false;
    for (size_t i = 0; i < table->n_rows; i++) {
        const struct score_row *row = &table->rows[i];
        if (row->is_group || strcmp(row->name, task) != 0 || is_repeated(table, i, false) ||
            strcmp(row->extraction, STORE_NO_EXTRACTION) == 0)
            continue;
        if (!any) json_member_key(out, "filter_list");
        strbuf_append_str(out, any ? ",{" : "[{");
        json_member_str(out, "name", row->extraction);
        end_object(out);
        any = true;
    }
    if (any) strbuf_append_char(out, ']');
}

static void append_config(struct strbuf *out, const struct lm_eval_run *run,
                          const struct store_task *task)
{
    begin_object(out, task->task);
    json_member_str(out, "task", task->task);
    json_member_str(out, "dataset_path", task->dataset_name);
    json_member_str(out, "output_type", task->output_type);
    json_member_int(out, "num_fewshot", task->num_fewshot);
    json_member_int(out, "repeats", task->repeats);
    append_metric_list(out, run->table, task->task);
    append_filter_list(out, run->table, task->task);
    begin_object(out, "metadata");
    append_version(out, "version", task->version);
    json_member_str(out, "profile", task->profile);
    json_member_str(out, "dataset_sha256", task->dataset_sha256);
    end_object(out);
    end_object(out);
}

/* Which tasks and groups a group is made of. */
static status_code append_group_members(struct strbuf *out, const struct lm_eval_run *run,
                                        struct status *st)
{
    static const char sql[] =
        "SELECT g.group_name, m.name FROM task_group g JOIN ("
        " SELECT run, parent AS owner, group_name AS name, position FROM task_group UNION ALL"
        " SELECT m.run, m.group_name, m.task, t.position FROM task_group_member m"
        " JOIN task_run t ON t.run = m.run AND t.task = m.task) m"
        " ON m.run = g.run AND m.owner = g.group_name "
        "WHERE g.run = ? ORDER BY g.position, g.group_name, m.position, m.name";
    struct query *query = query_cached(run->store, sql, st);
    if (!query) return st->code;
    query_bind_str(query, run->table->run.id);
    struct strbuf group;
    strbuf_init(&group, LIMIT_CONFIG_BYTES);
    begin_object(out, "group_subtasks");
    status_code code;
    bool row = false, any = false;
    while ((code = query_row(query, &row, st)) == STATUS_OK && row) {
        struct text owner = query_text(query, 0);
        if (!any || !text_equal(owner, (struct text){group.data, group.length})) {
            if (any) strbuf_append_char(out, ']');
            strbuf_clear(&group);
            strbuf_append(&group, owner.data, owner.length);
            json_member_key(out, group.data);
            strbuf_append_char(out, '[');
            any = true;
        }
        json_next_item(out);
        json_append_text(out, query_text(query, 1));
    }
    strbuf_append_str(out, any ? "]}" : "}");
    query_reset(query);
    strbuf_release(&group);
    return code;
}

static void append_tasks(struct strbuf *out, const struct lm_eval_run *run)
{
    const struct score_table *table = run->table;
    begin_object(out, "configs");
    for (size_t i = 0; i < run->n_tasks; i++) append_config(out, run, &run->tasks[i]);
    end_object(out);
    append_per_name(out, table, "versions", append_row_version);
    append_per_name(out, table, "n-shot", append_row_shots);
    append_directions(out, table);
    begin_object(out, "n-samples");
    for (size_t i = 0; i < run->n_tasks; i++) {
        const struct score_row like = {.name = run->tasks[i].task};
        begin_object(out, like.name);
        json_member_int(out, "original", run->tasks[i].n_docs_total);
        json_member_int(out, "effective", most_documents(table, &like));
        end_object(out);
    }
    end_object(out);
}

/* ---- provenance ---- */

/* Seconds since 1970 of "2026-04-12T09:30:15Z"; NAN where it is not one.  Days are counted in years
 * that begin in March, so that the leap day comes last. */
static double epoch_seconds(const char *when)
{
    int y, m, d, hour, minute, second;
    if (!when || sscanf(when, "%4d-%2d-%2dT%2d:%2d:%2dZ", &y, &m, &d, &hour, &minute, &second) != 6)
        return (double)NAN;
    if (m < 1 || m > 12) return (double)NAN;
    y -= m <= 2;
    int64_t year_day = (153 * (m > 2 ? m - 3 : m + 9) + 2) / 5 + d - 1;
    int64_t days = 365 * (int64_t)y + y / 4 - y / 100 + y / 400 + year_day - 719468;
    return (double)(((days * 24 + hour) * 60 + minute) * 60 + second);
}

static void append_model_config(struct strbuf *out, const struct lm_eval_run *run)
{
    const struct store_run *r = &run->table->run;
    struct strbuf args;
    strbuf_init(&args, LIMIT_CONFIG_BYTES);
    strbuf_appendf(&args, "pretrained=%s", r->model_path ? r->model_path : "");
    if (r->adapter) strbuf_appendf(&args, ",peft=%s", r->adapter);
    begin_object(out, "config");
    json_member_str(out, "model", r->backend);
    json_member_str(out, "model_args", args.data);
    json_member_str(out, "model_dtype", r->quantisation);
    json_member_str(out, "model_sha", r->weights_sha256);
    json_member_str(out, "batch_size", NULL);
    json_member_str(out, "device", "cpu");
    json_member_int(out, "limit", run->n_tasks ? run->tasks[0].limit : STORE_UNKNOWN);
    begin_object(out, "gen_kwargs");
    if (!isnan(r->temperature)) json_member_number(out, "temperature", r->temperature);
    if (!isnan(r->top_p)) json_member_number(out, "top_p", r->top_p);
    if (r->max_tokens != STORE_UNKNOWN) json_member_int(out, "max_gen_toks", r->max_tokens);
    end_object(out);
    json_member_key(out, "random_seed");
    strbuf_appendf(out, r->seed > MOST_EXACT ? "\"%" PRIu64 "\"" : "%" PRIu64, r->seed);
    json_member_int(out, "fewshot_seed", run->n_tasks ? run->tasks[0].fewshot_seed : STORE_UNKNOWN);
    end_object(out);
    strbuf_release(&args);
}

static void append_chat(struct strbuf *out, const struct store_run *r)
{
    char hash[SHA256_HEX_SIZE];
    const struct store_chat *chat = &r->chat;
    json_member_str(out, "system_instruction", chat->system);
    if (chat->system) sha256_text(text_of(chat->system), hash);
    json_member_str(out, "system_instruction_sha", chat->system ? hash : NULL);
    if (chat->format)
        json_member_bool(out, "fewshot_as_multiturn", strcmp(chat->fewshot_as, "turns") == 0);
    else
        json_member_str(out, "fewshot_as_multiturn", NULL);
    json_member_str(out, "chat_template", chat->format ? r->chat_template : NULL);
    json_member_str(out, "chat_template_sha", chat->format ? chat->template_sha256 : NULL);
}

/* What the other program has no place for: why a score is not there, and what made the rest. */
static void append_own(struct strbuf *out, const struct lm_eval_run *run)
{
    const struct score_table *table = run->table;
    begin_object(out, "assay");
    json_member_str(out, "run", table->run.id);
    json_member_str(out, "program_version", table->run.program_version);
    json_member_str(out, "guard_mode", guard_mode_name(table->run.guard_mode));
    json_member_number(out, "coverage_floor", table->coverage_floor);
    json_member_bool(out, "complete", score_table_complete(table));
    begin_object(out, "scores");
    for (size_t i = 0; i < table->n_rows; i++) {
        const struct score_row *row = &table->rows[i];
        if (is_first(table, i)) begin_object(out, row->name);
        append_metric_key(out, row, "");
        strbuf_append_char(out, '{');
        json_member_str(out, "state", score_state_name(row->off.state));
        json_member_number(out, "coverage", row->off.coverage);
        end_object(out);
        if (i + 1 == table->n_rows || is_first(table, i + 1)) end_object(out);
    }
    strbuf_append_str(out, "}}");
}

static void append_provenance(struct strbuf *out, const struct lm_eval_run *run)
{
    const struct store_run *r = &run->table->run;
    double began = epoch_seconds(r->started_at), ended = epoch_seconds(r->finished_at);
    char seconds[32];
    append_model_config(out, run);
    json_member_str(out, "git_hash", r->program_commit);
    json_member_number(out, "date", began);
    json_member_str(out, "model_source", r->backend);
    json_member_str(out, "model_name", run->model_name);
    json_member_str(out, "model_name_sanitized", run->folder);
    append_chat(out, r);
    begin_object(out, "task_hashes");
    for (size_t i = 0; i < run->n_tasks; i++)
        json_member_str(out, run->tasks[i].task, *run->hashes[i] ? run->hashes[i] : NULL);
    end_object(out);
    snprintf(seconds, sizeof seconds, "%.1f", ended - began);
    json_member_str(out, "total_evaluation_time_seconds", isnan(ended - began) ? NULL : seconds);
    append_own(out, run);
}

/* Laid out as Python's json.dumps(indent=2) does, for people who read and compare the files.
 * `flat` is JSON without spaces between its parts. */
static void append_indented(struct strbuf *out, const struct strbuf *flat)
{
    int depth = 0;
    bool in_string = false;
    for (size_t i = 0; i < flat->length; i++) {
        char c = flat->data[i], next = flat->data[i + 1];
        if (c == '"') in_string = !in_string;
        bool closes = !in_string && (c == '}' || c == ']'), empty = false;
        if (!in_string && (c == '{' || c == '[')) {
            empty = next == '}' || next == ']';
            depth += !empty;
        }
        if (closes && !strchr("{[", flat->data[i - 1])) {
            depth--;
            strbuf_appendf(out, "\n%*s", 2 * depth, "");
        }
        strbuf_append_char(out, c);
        if (in_string && c == '\\') strbuf_append_char(out, flat->data[++i]);
        if (in_string || c == '"') continue;
        if (c == ':') strbuf_append_char(out, ' ');
        if (c == ',' || ((c == '{' || c == '[') && !empty))
            strbuf_appendf(out, "\n%*s", 2 * depth, "");
    }
    strbuf_append_char(out, '\n');
}

status_code lm_eval_append_results(const struct lm_eval_run *run, struct strbuf *out,
                                   struct status *st)
{
    struct strbuf flat;
    bool any_group = false;
    strbuf_init(&flat, LIMIT_REPORT_BYTES);
    strbuf_append_char(&flat, '{');
    append_scores(&flat, run->table, "results", false);
    for (size_t i = 0; i < run->table->n_rows; i++) any_group |= run->table->rows[i].is_group;
    if (any_group) append_scores(&flat, run->table, "groups", true);
    status_code code = append_group_members(&flat, run, st);
    append_tasks(&flat, run);
    append_provenance(&flat, run);
    strbuf_append_char(&flat, '}');
    if (code == STATUS_OK) code = strbuf_check(&flat, "the results", st);
    if (code == STATUS_OK) append_indented(out, &flat);
    if (code == STATUS_OK) code = strbuf_check(out, "the results", st);
    strbuf_release(&flat);
    return code;
}
