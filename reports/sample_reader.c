#include "reports/sample_reader.h"

#include <stdlib.h>
#include <string.h>

#include "engine/base/limits.h"
#include "reports/results_query.h"

struct sample_reader {
    struct store *store;
    const char *run;
    int64_t max_per_task;
    bool with_prompts;
    struct store_task *tasks;
    size_t n_tasks, task; /* the task being read */
    int64_t n_of_task;
    struct query *samples; /* walks the current task; NULL between tasks */
    struct arena run_arena, sample_arena;
};

status_code sample_reader_create(struct sample_reader **out, struct store *store, const char *run,
                                 int64_t max_per_task, bool with_prompts, struct status *st)
{
    *out = NULL;
    struct sample_reader *reader = calloc(1, sizeof *reader);
    if (!reader) return status_no_memory(st, "samples");
    *reader = (struct sample_reader){
        .store = store, .max_per_task = max_per_task, .with_prompts = with_prompts};
    arena_init(&reader->run_arena, LIMIT_REPORT_BYTES);
    arena_init(&reader->sample_arena, LIMIT_REPORT_BYTES);
    reader->run = arena_strdup(&reader->run_arena, run);
    status_code code = reader->run ? store_load_tasks(store, run, &reader->run_arena,
                                                      &reader->tasks, &reader->n_tasks, st)
                                   : status_no_memory(st, "samples");
    if (code != STATUS_OK)
        sample_reader_free(reader);
    else
        *out = reader;
    return code;
}

void sample_reader_free(struct sample_reader *reader)
{
    if (!reader) return;
    query_free(reader->samples);
    arena_release(&reader->sample_arena);
    arena_release(&reader->run_arena);
    free(reader);
}

void sample_reader_only(struct sample_reader *reader, const char *task)
{
    size_t i = 0;
    while (i < reader->n_tasks && strcmp(reader->tasks[i].task, task) != 0) i++;
    reader->task = i;
    if (i < reader->n_tasks) reader->n_tasks = i + 1;
}

/* A column's text, kept as long as the record. */
static struct text keep(struct sample_reader *reader, struct query *query, int column,
                        status_code *code, struct status *st)
{
    struct text text = query_text(query, column);
    if (!text.data) return text;
    char *copy = arena_strndup(&reader->sample_arena, text.data, text.length);
    if (!copy) *code = status_no_memory(st, "a sample");
    return copy ? (struct text){copy, text.length} : (struct text){0};
}

/* Starts a query about one sample; NULL after a failure. */
static struct query *about(struct sample_reader *reader, const char *sql,
                           const struct sample_record *record, struct status *st)
{
    struct query *query = query_cached(reader->store, sql, st);
    if (!query) return NULL;
    query_bind_str(query, reader->run);
    query_bind_str(query, record->task);
    query_bind_int(query, record->doc_id);
    return query;
}

/* Steps to the next row and makes room for it: NULL after the last, or when *code says why. */
static void *next_node(struct sample_reader *reader, struct query *query, size_t size,
                       status_code *code, struct status *st)
{
    bool row = false;
    if (*code == STATUS_OK) *code = query_row(query, &row, st);
    if (*code != STATUS_OK || !row) return NULL;
    void *node = arena_alloc(&reader->sample_arena, size);
    if (!node) *code = status_no_memory(st, "a sample");
    return node;
}

static status_code read_verdicts(struct sample_reader *reader, struct sample_record *record,
                                 struct status *st)
{
    static const char sql[] =
        "SELECT v.repeat, v.metric, v.extraction, v.extracted, v.off_value, v.enforce_value,"
        " v.outcome FROM guarded_verdict v JOIN task_metric m ON m.run = v.run AND m.task = v.task"
        " AND m.metric = v.metric AND m.extraction = v.extraction "
        "WHERE v.run = ? AND v.task = ? AND v.doc_id = ? ORDER BY v.repeat, m.position";
    struct verdict_record **tail = &record->verdicts, *node;
    struct query *query = about(reader, sql, record, st);
    if (!query) return st->code;
    status_code code = STATUS_OK;
    while ((node = next_node(reader, query, sizeof *node, &code, st)) != NULL) {
        node->repeat = query_int(query, 0);
        node->metric = keep(reader, query, 1, &code, st);
        node->extraction = keep(reader, query, 2, &code, st);
        node->extracted = keep(reader, query, 3, &code, st);
        node->value = query_double(query, 4);
        node->enforce_value = query_double(query, 5);
        node->outcome = keep(reader, query, 6, &code, st);
        *tail = node;
        tail = &node->next;
    }
    query_reset(query);
    return code;
}

static status_code read_replies(struct sample_reader *reader, struct sample_record *record,
                                struct status *st)
{
    static const char sql[] = "SELECT repeat, text, delivered, finish_reason, n_tokens FROM reply "
                              "WHERE run = ? AND task = ? AND doc_id = ? ORDER BY repeat";
    struct reply_record **tail = &record->replies, *node;
    struct query *query = about(reader, sql, record, st);
    if (!query) return st->code;
    status_code code = STATUS_OK;
    while ((node = next_node(reader, query, sizeof *node, &code, st)) != NULL) {
        node->repeat = query_int(query, 0);
        node->text = keep(reader, query, 1, &code, st);
        node->delivered = keep(reader, query, 2, &code, st);
        node->finish_reason = keep(reader, query, 3, &code, st);
        node->n_tokens = query_int(query, 4);
        *tail = node;
        tail = &node->next;
    }
    query_reset(query);
    return code;
}

static status_code read_choices(struct sample_reader *reader, struct sample_record *record,
                                struct status *st)
{
    static const char sql[] =
        "SELECT choice, text, logprob, n_tokens, is_greedy FROM choice_logprob"
        " WHERE run = ? AND task = ? AND doc_id = ? ORDER BY choice";
    struct choice_record **tail = &record->choices, *node;
    struct query *query = about(reader, sql, record, st);
    if (!query) return st->code;
    status_code code = STATUS_OK;
    while ((node = next_node(reader, query, sizeof *node, &code, st)) != NULL) {
        node->index = query_int(query, 0);
        node->text = keep(reader, query, 1, &code, st);
        node->logprob = query_double(query, 2);
        node->n_tokens = query_int(query, 3);
        node->is_greedy = query_int(query, 4);
        *tail = node;
        tail = &node->next;
    }
    query_reset(query);
    return code;
}

static status_code read_events(struct sample_reader *reader, struct sample_record *record,
                               struct status *st)
{
    static const char sql[] =
        "SELECT repeat, stage, mode, verdict, action, category, policy_rule, response "
        "FROM guard_event "
        "WHERE run = ? AND task = ? AND doc_id = ? ORDER BY repeat, stage";
    struct event_record **tail = &record->events, *node;
    struct query *query = about(reader, sql, record, st);
    if (!query) return st->code;
    status_code code = STATUS_OK;
    while ((node = next_node(reader, query, sizeof *node, &code, st)) != NULL) {
        struct text *const fields[] = {&node->stage,    &node->mode, &node->verdict, &node->action,
                                       &node->category, &node->rule, &node->response};
        node->repeat = query_int(query, 0);
        for (int i = 0; i < 7; i++) *fields[i] = keep(reader, query, i + 1, &code, st);
        *tail = node;
        tail = &node->next;
    }
    query_reset(query);
    return code;
}

/* Puts the walk on the next finished sample; *row is false after the last one. */
static status_code step(struct sample_reader *reader, bool *row, struct status *st)
{
    static const char sql[] =
        "SELECT s.doc_id, s.state, s.doc_hash, s.prompt_hash, s.target, s.error_code,"
        " s.error_text, p.text, s.n_prompt_tokens, s.n_truncated "
        "FROM sample s LEFT JOIN prompt p ON ?3 AND p.sha256 = s.prompt_hash "
        "WHERE s.run = ?1 AND s.task = ?2 AND s.state IN ('done', 'failed', 'blocked') "
        "ORDER BY s.doc_id";
    for (*row = false; reader->task < reader->n_tasks; reader->task++) {
        if (!reader->samples) {
            reader->samples = query_create(reader->store, sql, st);
            if (!reader->samples) return st->code;
            query_bind_str(reader->samples, reader->run);
            query_bind_str(reader->samples, reader->tasks[reader->task].task);
            query_bind_int(reader->samples, reader->with_prompts);
            reader->n_of_task = 0;
        }
        if (reader->max_per_task < 0 || reader->n_of_task < reader->max_per_task) {
            if (query_row(reader->samples, row, st) != STATUS_OK) return st->code;
            if (*row) break;
        }
        query_free(reader->samples);
        reader->samples = NULL;
    }
    reader->n_of_task++;
    return STATUS_OK;
}

status_code sample_reader_next(struct sample_reader *reader, struct sample_record *record,
                               struct status *st)
{
    bool row = false;
    status_code code = STATUS_OK;
    *record = (struct sample_record){0};
    arena_reset(&reader->sample_arena);
    if (step(reader, &row, st) != STATUS_OK) return st->code;
    if (!row) return STATUS_OK;
    struct text *const fields[] = {&record->state,  &record->doc_hash,   &record->prompt_hash,
                                   &record->target, &record->error_code, &record->error_text,
                                   &record->prompt};
    record->task = reader->tasks[reader->task].task;
    record->doc_id = query_int(reader->samples, 0);
    for (int i = 0; i < 7; i++) *fields[i] = keep(reader, reader->samples, i + 1, &code, st);
    record->n_prompt_tokens = query_int(reader->samples, 8);
    record->n_truncated = query_int(reader->samples, 9);
    if (code == STATUS_OK) code = read_verdicts(reader, record, st);
    if (code == STATUS_OK) code = read_replies(reader, record, st);
    if (code == STATUS_OK) code = read_choices(reader, record, st);
    if (code == STATUS_OK) code = read_events(reader, record, st);
    return code;
}

status_code sample_reader_each(struct store *store, const char *run, const char *task,
                               bool with_prompts, sample_visit *visit, void *user,
                               struct status *st)
{
    struct sample_reader *reader;
    struct sample_record record;
    status_code code = sample_reader_create(&reader, store, run, -1, with_prompts, st);
    if (code != STATUS_OK) return code;
    if (task) sample_reader_only(reader, task);
    code = sample_reader_next(reader, &record, st);
    while (code == STATUS_OK && record.task) {
        code = visit(user, &record, st);
        if (code == STATUS_OK) code = sample_reader_next(reader, &record, st);
    }
    sample_reader_free(reader);
    return code;
}
