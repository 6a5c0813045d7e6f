/* report_lm_eval.c - a run in the layout of lm-evaluation-harness: one file of samples for each
 * task, one line for each document and extraction, and then the file of results. */
#include "reports/report_lm_eval.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "engine/base/json.h"
#include "engine/base/limits.h"
#include "reports/report.h"
#include "reports/report_json.h"
#include "reports/results_query.h"
#include "reports/sample_reader.h"

#define FILE_NAME_BYTES 160 /* kept of a long name, from its end */

/* ---- one sample ---- */

/* The values of a task's documents under the metrics of one extraction, in order. */
struct value_walk {
    struct query *query;
    bool row; /* the query stands on a value that was not written yet */
};

static status_code start_walk(struct value_walk *walk, struct store *store, const char *run,
                              const char *task, const char *extraction, struct status *st)
{
    static const char sql[] =
        "SELECT d.doc_id, d.metric, d.off_value, d.enforce_value FROM doc_score d "
        "JOIN task_metric m ON m.run = d.run AND m.task = d.task AND m.metric = d.metric"
        " AND m.extraction = d.extraction "
        "WHERE d.run = ? AND d.task = ? AND d.extraction = ? ORDER BY d.doc_id, m.position";
    walk->query = query_create(store, sql, st);
    if (!walk->query) return st->code;
    query_bind_str(walk->query, run);
    query_bind_str(walk->query, task);
    query_bind_str(walk->query, extraction);
    return query_row(walk->query, &walk->row, st);
}

void lm_eval_append_float(struct strbuf *out, double number)
{
    size_t from = out->length;
    json_append_number(out, number);
    if (!strpbrk(out->data + from, ".en")) strbuf_append_str(out, ".0");
}

static void append_metric(struct strbuf *out, struct strbuf *names, const char *name, double value)
{
    json_member_key(out, name);
    lm_eval_append_float(out, value);
    json_next_item(names);
    json_append_str(names, name);
}

/* The members that are named after metrics, and then their names. */
static status_code append_metrics(struct strbuf *out, struct value_walk *walk, int64_t doc_id,
                                  bool guarded, struct status *st)
{
    struct strbuf names, key;
    status_code code = STATUS_OK;
    strbuf_init(&names, LIMIT_CONFIG_BYTES);
    strbuf_init(&key, LIMIT_CONFIG_BYTES);
    strbuf_append_char(&names, '[');
    while (code == STATUS_OK && walk->row && query_int(walk->query, 0) <= doc_id) {
        if (query_int(walk->query, 0) == doc_id) {
            struct text metric = query_text(walk->query, 1);
            strbuf_clear(&key);
            strbuf_append(&key, metric.data, metric.length);
            append_metric(out, &names, key.data, query_double(walk->query, 2));
            strbuf_append_str(&key, "_enforce");
            if (guarded) append_metric(out, &names, key.data, query_double(walk->query, 3));
        }
        code = query_row(walk->query, &walk->row, st);
    }
    strbuf_append_char(&names, ']');
    json_member_key(out, "metrics");
    strbuf_append(out, names.data, names.length);
    if (code == STATUS_OK) code = strbuf_check(&names, "names of metrics", st);
    strbuf_release(&names);
    strbuf_release(&key);
    return code;
}

/* A choice's log-probability and whether it is what the model would write itself, as the strings
 * that Python makes of them. */
static void append_choice(struct strbuf *out, const struct choice_record *c)
{
    json_next_item(out);
    strbuf_append_char(out, '[');
    if (isnan(c->logprob)) {
        strbuf_append_str(out, "null");
    } else {
        strbuf_append_char(out, '"');
        json_append_number(out, c->logprob);
        strbuf_append_char(out, '"');
    }
    strbuf_append_str(out, c->is_greedy == STORE_UNKNOWN ? ", null]"
                           : c->is_greedy                ? ", \"True\"]"
                                                         : ", \"False\"]");
}

/* The text that a metric read of a reply: null where nothing was extracted. */
static void append_filtered(struct strbuf *out, const struct sample_record *record,
                            const struct reply_record *reply, const char *extraction)
{
    struct text text = reply->text;
    if (strcmp(extraction, STORE_NO_EXTRACTION) != 0) {
        text = (struct text){0};
        for (const struct verdict_record *v = record->verdicts; v && !text.data; v = v->next)
            if (v->repeat == reply->repeat && text_equal(v->extraction, text_of(extraction)))
                text = v->extracted;
    }
    json_next_item(out);
    if (text.data)
        json_append_text(out, text);
    else
        strbuf_append_str(out, "null");
}

/* (requests, repeats) replies; what was extracted of them, a list only where there are several. */
static void append_responses(struct strbuf *out, const struct sample_record *record,
                             const char *extraction)
{
    json_member_key(out, "resps");
    strbuf_append_char(out, '[');
    for (const struct choice_record *c = record->choices; c; c = c->next) {
        json_next_item(out);
        strbuf_append_char(out, '[');
        append_choice(out, c);
        strbuf_append_char(out, ']');
    }
    if (record->replies) strbuf_append_char(out, '[');
    for (const struct reply_record *r = record->replies; r; r = r->next) {
        json_next_item(out);
        json_append_text(out, r->text);
    }
    strbuf_append_str(out, record->replies ? "]]" : "]");
    bool several = record->replies && record->replies->next;
    json_member_key(out, "filtered_resps");
    strbuf_append_str(out, several ? "[[" : "[");
    for (const struct choice_record *c = record->choices; c; c = c->next) append_choice(out, c);
    for (const struct reply_record *r = record->replies; r; r = r->next)
        append_filtered(out, record, r, extraction);
    strbuf_append_str(out, several ? "]]" : "]");
}

static void append_setting(struct strbuf *out, const char *key, double number)
{
    if (!isnan(number)) json_member_number(out, key, number);
}

/* What was asked: the context with each choice, or with how the reply was to be made as far as the
 * run says it for all tasks alike. */
static void append_arguments(struct strbuf *out, const struct sample_record *record,
                             const struct store_run *run)
{
    char name[32];
    json_member_key(out, "arguments");
    strbuf_append_char(out, '{');
    for (const struct choice_record *c = record->choices; c; c = c->next) {
        snprintf(name, sizeof name, "gen_args_%" PRId64, c->index);
        json_member_key(out, name);
        strbuf_append_char(out, '{');
        json_member_text(out, "arg_0", record->prompt);
        json_member_text(out, "arg_1", c->text);
        strbuf_append_char(out, '}');
    }
    if (!record->choices) {
        json_member_key(out, "gen_args_0");
        strbuf_append_char(out, '{');
        json_member_text(out, "arg_0", record->prompt);
        json_member_key(out, "arg_1");
        strbuf_append_char(out, '{');
        if (!isnan(run->temperature)) json_member_bool(out, "do_sample", run->temperature > 0);
        append_setting(out, "temperature", run->temperature);
        append_setting(out, "top_p", run->top_p);
        if (run->max_tokens != STORE_UNKNOWN) json_member_int(out, "max_gen_toks", run->max_tokens);
        strbuf_append_str(out, "}}");
    }
    strbuf_append_char(out, '}');
}

/* lm-evaluation-harness names the right choice by its number.  Choices begin with the delimiter
 * that stands before them. */
static void write_target(struct strbuf *out, const struct sample_record *record)
{
    int64_t found = -1, n_found = 0;
    for (const struct choice_record *c = record->choices; c && record->target.data; c = c->next) {
        struct text text = c->text;
        bool same = text_equal(text, record->target);
        if (!same && text.length && text.data[0] == ' ')
            same = text_equal((struct text){text.data + 1, text.length - 1}, record->target);
        if (same) found = c->index;
        n_found += same;
    }
    strbuf_clear(out);
    if (n_found == 1)
        strbuf_appendf(out, "%" PRId64, found);
    else
        strbuf_append(out, record->target.data, record->target.length);
}

static void append_outcomes(struct strbuf *out, const struct sample_record *record,
                            const char *extraction)
{
    int64_t last = -1;
    json_member_key(out, "outcomes");
    strbuf_append_char(out, '[');
    for (const struct verdict_record *v = record->verdicts; v; v = v->next) {
        if (v->repeat == last || !text_equal(v->extraction, text_of(extraction))) continue;
        json_next_item(out);
        json_append_text(out, v->outcome);
        last = v->repeat;
    }
    strbuf_append_char(out, ']');
}

/* ---- the samples of a task ---- */

struct sample_writer {
    const struct lm_eval_run *run;
    const struct report_files *files;
    const struct report_documents *documents; /* or NULL */
    const char *extraction;
    struct value_walk walk;
    struct sha256 *hash;
    bool hash_known; /* every sample had its three digests */
    struct strbuf line, target, document;
};

/* The document as it is hashed: what is not the row that the run saw is not shown. */
static status_code append_document(struct sample_writer *w, const struct sample_record *record,
                                   struct status *st)
{
    char hash[SHA256_HEX_SIZE];
    struct json_value *root = NULL;
    struct text json = {0};
    strbuf_clear(&w->document);
    if (w->documents) {
        status_code code =
            w->documents->find(w->documents->user, record->task, record->doc_id, &w->document, st);
        if (code != STATUS_OK) return code;
        json = (struct text){w->document.data, w->document.length};
        sha256_text(json, hash);
    }
    json_member_key(&w->line, "doc");
    if (!json.length || !text_equal(record->doc_hash, text_of(hash))) {
        strbuf_append_str(&w->line, "null");
        return STATUS_OK;
    }
    if (json_parse(&root, json, st) != STATUS_OK) return status_prefix(st, "a document");
    json_append_value(&w->line, root);
    json_free(root);
    return STATUS_OK;
}

static status_code write_sample(void *user, const struct sample_record *record, struct status *st)
{
    struct sample_writer *w = user;
    char target_hash[SHA256_HEX_SIZE];
    struct strbuf *out = &w->line;
    const struct store_run *run = &w->run->table->run;
    strbuf_clear(out);
    write_target(&w->target, record);
    struct text target = {w->target.data, w->target.length};
    if (!record->target.data) target.data = NULL;
    strbuf_append_char(out, '{');
    json_member_int(out, "doc_id", record->doc_id);
    status_code code = append_document(w, record, st);
    json_member_text(out, "target", target);
    append_arguments(out, record, run);
    append_responses(out, record, w->extraction);
    json_member_str(out, "filter", w->extraction);
    if (code == STATUS_OK)
        code = append_metrics(out, &w->walk, record->doc_id, run->guard_mode != GUARD_OFF, st);
    json_member_text(out, "doc_hash", record->doc_hash);
    json_member_text(out, "prompt_hash", record->prompt_hash);
    sha256_text(target, target_hash);
    json_member_str(out, "target_hash", target.data ? target_hash : NULL);
    json_member_text(out, "state", record->state);
    append_outcomes(out, record, w->extraction);
    json_member_text(out, "error", record->error_text);
    strbuf_append_str(out, "}\n");
    if (record->doc_hash.data && record->prompt_hash.data && target.data) {
        sha256_add(w->hash, record->doc_hash.data, record->doc_hash.length);
        sha256_add(w->hash, record->prompt_hash.data, record->prompt_hash.length);
        sha256_add(w->hash, target_hash, strlen(target_hash));
    } else {
        w->hash_known = false;
    }
    if (code == STATUS_OK) code = strbuf_check(out, "a line of the export", st);
    if (code == STATUS_OK) code = strbuf_check(&w->target, "a target", st);
    if (code != STATUS_OK) return code;
    return w->files->write(w->files->user, (struct text){out->data, out->length}, st);
}

/* All documents of a task under one extraction. */
static status_code write_extraction(struct sample_writer *w, const char *task, struct status *st)
{
    const char *run = w->run->table->run.id;
    status_code code = start_walk(&w->walk, w->run->store, run, task, w->extraction, st);
    if (code == STATUS_OK)
        code = sample_reader_each(w->run->store, run, task, true, write_sample, w, st);
    query_free(w->walk.query);
    w->walk = (struct value_walk){0};
    return code;
}

/* The extractions of a task in the order of its metrics, each once. */
static status_code list_extractions(const struct lm_eval_run *run, const char *task,
                                    struct arena *arena, const char ***out, size_t *n,
                                    struct status *st)
{
    static const char sql[] = "SELECT extraction FROM task_metric WHERE run = ? AND task = ? "
                              "GROUP BY extraction ORDER BY min(position)";
    struct query *query = query_cached(run->store, sql, st);
    if (!query) return st->code;
    query_bind_str(query, run->table->run.id);
    query_bind_str(query, task);
    const size_t most = 64;
    *n = 0;
    *out = arena_array(arena, most, sizeof **out);
    status_code code = *out ? STATUS_OK : status_no_memory(st, "extractions");
    for (bool row = true; code == STATUS_OK;) {
        code = query_row(query, &row, st);
        if (code != STATUS_OK || !row) break;
        if (*n == most)
            code = status_set(st, STATUS_LIMIT, "task %s: over %zu extractions", task, most);
        else
            code = query_copy_str(query, 0, arena, &(*out)[(*n)++], st);
    }
    query_reset(query);
    return code;
}

static status_code write_task(struct lm_eval_run *run, size_t index,
                              const struct report_documents *documents,
                              const struct report_files *files, struct status *st)
{
    const char *task = run->tasks[index].task, **extractions = NULL, *name;
    size_t n = 0;
    struct strbuf path;
    struct sample_writer w = {
        .run = run, .files = files, .documents = documents, .hash_known = true};
    status_code code = list_extractions(run, task, &run->arena, &extractions, &n, st);
    if (code == STATUS_OK) code = sha256_create(&w.hash, st);
    if (code != STATUS_OK) return code;
    strbuf_init(&w.line, LIMIT_JSON_BYTES);
    strbuf_init(&w.target, LIMIT_PROMPT_BYTES);
    strbuf_init(&w.document, LIMIT_LINE_BYTES);
    strbuf_init(&path, 4096);
    name = lm_eval_file_name(&run->arena, task);
    strbuf_appendf(&path, "%s/samples_%s_%s.jsonl", run->folder, name ? name : "", run->date);
    code = name ? strbuf_check(&path, "a file's name", st) : status_no_memory(st, "a file's name");
    if (code == STATUS_OK) code = files->begin(files->user, path.data, st);
    for (size_t i = 0; i < n && code == STATUS_OK; i++) {
        w.extraction = extractions[i];
        code = write_extraction(&w, task, st);
    }
    if (code == STATUS_OK) code = files->end(files->user, st);
    if (code == STATUS_OK) {
        sha256_finish(w.hash, run->hashes[index]);
        if (!w.hash_known) run->hashes[index][0] = '\0';
    }
    sha256_free(w.hash);
    strbuf_release(&w.line);
    strbuf_release(&w.target);
    strbuf_release(&w.document);
    strbuf_release(&path);
    return code;
}

/* ---- the run ---- */

const char *lm_eval_file_name(struct arena *arena, const char *name)
{
    struct strbuf out;
    strbuf_init(&out, 2 * strlen(name) + 1);
    for (bool after = false; *name; name++) {
        bool forbidden = strchr("\"<>:/|\\?*[]", *name) != NULL;
        if (!forbidden)
            strbuf_append_char(&out, *name);
        else if (!after)
            strbuf_append_str(&out, "__");
        after = forbidden;
    }
    size_t from = out.length > FILE_NAME_BYTES ? out.length - FILE_NAME_BYTES : 0;
    while (((unsigned char)out.data[from] & 0xc0) == 0x80) from++; /* inside a character */
    const char *kept = out.state == STATUS_OK ? arena_strdup(arena, out.data + from) : NULL;
    strbuf_release(&out);
    return kept;
}

/* The moment as Python's isoformat() writes it, with '-' for ':'.  A run's id ends in the
 * nanoseconds that started_at leaves out, so that runs of one second have files of their own. */
static void write_date(const struct store_run *run, char date[40])
{
    unsigned nanoseconds = 0;
    int n = 0;
    bool has = sscanf(run->id, "%*15[0-9T]Z-%8x%n", &nanoseconds, &n) == 1 && !run->id[n];
    snprintf(date, 40, "%.19s", run->started_at);
    for (char *p = date; *p; p++)
        if (*p == ':') *p = '-';
    if (has && nanoseconds < 1000000000 && strlen(date) == 19)
        snprintf(date + 19, 21, ".%06u", nanoseconds / 1000);
}

static status_code open_run(struct lm_eval_run *run, const char *id, struct status *st)
{
    status_code code = score_table_load(&run->table, run->store, id, SCORE_COVERAGE_FLOOR, st);
    if (code == STATUS_OK)
        code = store_load_tasks(run->store, id, &run->arena, &run->tasks, &run->n_tasks, st);
    if (code != STATUS_OK) return code;
    const struct store_run *r = &run->table->run;
    run->model_name = r->adapter ? r->adapter : r->model_path ? r->model_path : r->id;
    run->folder = lm_eval_file_name(&run->arena, run->model_name);
    run->hashes = arena_array(&run->arena, run->n_tasks + 1, sizeof *run->hashes);
    if (!run->folder || !run->hashes) return status_no_memory(st, "an export");
    if (strcmp(run->folder, ".") == 0 || strcmp(run->folder, "..") == 0 || !*run->folder)
        run->folder = r->id;
    write_date(r, run->date);
    return STATUS_OK;
}

static status_code write_results(const struct lm_eval_run *run, const struct report_files *files,
                                 struct status *st)
{
    struct strbuf path, out;
    strbuf_init(&path, 4096);
    strbuf_init(&out, LIMIT_REPORT_BYTES);
    strbuf_appendf(&path, "%s/results_%s.json", run->folder, run->date);
    status_code code = lm_eval_append_results(run, &out, st);
    if (code == STATUS_OK) code = strbuf_check(&path, "a file's name", st);
    if (code == STATUS_OK) code = files->begin(files->user, path.data, st);
    if (code == STATUS_OK)
        code = files->write(files->user, (struct text){out.data, out.length}, st);
    if (code == STATUS_OK) code = files->end(files->user, st);
    strbuf_release(&path);
    strbuf_release(&out);
    return code;
}

status_code report_lm_eval(struct store *store, const char *id,
                           const struct report_documents *documents,
                           const struct report_files *files, struct status *st)
{
    struct lm_eval_run run = {.store = store};
    arena_init(&run.arena, LIMIT_REPORT_BYTES);
    status_code code = open_run(&run, id, st);
    for (size_t i = 0; i < run.n_tasks && code == STATUS_OK; i++)
        code = write_task(&run, i, documents, files, st);
    if (code == STATUS_OK) code = write_results(&run, files, st);
    score_table_free(run.table);
    arena_release(&run.arena);
    return code;
}
