/* results_read.c - runs, tasks and samples back out of the store. */
#include <string.h>

#include "engine/base/limits.h"
#include "reports/results_query.h"

/* ---- Runs ---- */

static status_code copy_id(struct query *query, char id[STORE_RUN_ID_SIZE], struct status *st)
{
    struct text text = query_text(query, 0);
    bool fits = text.data && text.length < STORE_RUN_ID_SIZE;
    if (fits) {
        memcpy(id, text.data, text.length);
        id[text.length] = '\0';
    }
    query_reset(query);
    return fits ? STATUS_OK : status_set(st, STATUS_BAD_INPUT, "the store has a run without id");
}

static status_code newest_run(struct store *store, const char *sql, const char *what,
                              char id[STORE_RUN_ID_SIZE], struct status *st)
{
    struct query *query = query_cached(store, sql, st);
    if (!query || query_only_row(query, what, st) != STATUS_OK) return st->code;
    return copy_id(query, id, st);
}

status_code store_newest_unfinished_run(struct store *store, char id[STORE_RUN_ID_SIZE],
                                        struct status *st)
{
    static const char sql[] = "SELECT run FROM run WHERE state <> 'done' "
                              "ORDER BY started_at DESC, run DESC LIMIT 1";
    return newest_run(store, sql, "an unfinished run", id, st);
}

static status_code find_by_prefix(struct store *store, const char *name, char id[STORE_RUN_ID_SIZE],
                                  struct status *st)
{
    static const char sql[] = "SELECT run FROM run WHERE substr(run, 1, length(?1)) = ?1 "
                              "ORDER BY run <> ?1, run LIMIT 2";
    bool row = false;
    struct query *query = query_cached(store, sql, st);
    if (!query) return st->code;
    query_bind_str(query, name);
    if (query_row(query, &row, st) != STATUS_OK) return st->code;
    if (!row)
        return status_set(st, STATUS_NOT_FOUND, "%s: there is no run %s", store_path(store), name);
    struct text first = query_text(query, 0);
    if (text_equal(first, text_of(name))) return copy_id(query, id, st);
    if (first.length < STORE_RUN_ID_SIZE) {
        memcpy(id, first.data, first.length);
        id[first.length] = '\0';
    }
    if (query_row(query, &row, st) != STATUS_OK) return st->code;
    if (!row) return STATUS_OK;
    query_reset(query);
    return status_set(st, STATUS_USAGE, "%s: more than one run starts with %s; give more of its id",
                      store_path(store), name);
}

status_code store_find_run(struct store *store, const char *name, char id[STORE_RUN_ID_SIZE],
                           struct status *st)
{
    static const char sql[] = "SELECT run FROM run ORDER BY started_at DESC, run DESC LIMIT 1";
    if (!name || strcmp(name, "latest") == 0) return newest_run(store, sql, "a run", id, st);
    if (!*name) return status_set(st, STATUS_USAGE, "a run's id is empty");
    return find_by_prefix(store, name, id, st);
}

static enum run_state run_state_of(const char *name)
{
    enum run_state state = RUN_RUNNING;
    while (state < RUN_FAILED && strcmp(run_state_name(state), name) != 0) state++;
    return state;
}

/* Text columns of a run in the order of load_run_sql. */
static status_code load_run_texts(struct query *query, struct arena *arena, struct store_run *out,
                                  struct status *st)
{
    const char *state = NULL, *mode = NULL;
    const char **const fields[] = {
        &out->id,
        &state,
        &out->started_at,
        &out->finished_at,
        &out->program_version,
        &out->program_commit,
        &out->compiler,
        &out->build_flags,
        &out->cpu,
        &out->kernel_set,
        &out->backend,
        &out->model_path,
        &out->architecture,
        &out->quantisation,
        &out->weights_sha256,
        &out->tokenizer_sha256,
        &out->tokenizer_kind,
        &out->chat_template,
        &out->bos_policy,
        &mode,
        &out->guard_policy_json,
        &out->guard_policy_sha256,
        &out->command_line,
        &out->options_json,
        &out->chat.format,
        &out->chat.template_sha256,
        &out->chat.system,
        &out->chat.system_as,
        &out->chat.fewshot_as,
    };
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++)
        if (query_copy_str(query, (int)i, arena, fields[i], st) != STATUS_OK) return st->code;
    out->state = run_state_of(state ? state : "");
    if (!mode || !guard_mode_find(mode, &out->guard_mode)) out->guard_mode = GUARD_OFF;
    return STATUS_OK;
}

status_code store_load_run(struct store *store, const char *id, struct arena *arena,
                           struct store_run *out, struct status *st)
{
    static const char sql[] =
        "SELECT run, state, started_at, finished_at, program_version, program_commit, compiler,"
        " build_flags, cpu, kernel_set, backend, model_path, architecture, quantisation,"
        " weights_sha256, tokenizer_sha256, tokenizer_kind, chat_template, bos_policy, guard_mode,"
        " guard_policy, guard_policy_sha256, command_line, options_json,"
        " (SELECT format FROM run_chat c WHERE c.run = run.run),"
        " (SELECT template_sha256 FROM run_chat c WHERE c.run = run.run),"
        " (SELECT system_text FROM run_chat c WHERE c.run = run.run),"
        " (SELECT system_as FROM run_chat c WHERE c.run = run.run),"
        " (SELECT fewshot_as FROM run_chat c WHERE c.run = run.run),"
        " threads, temperature, top_k, top_p, max_tokens, seed,"
        " (SELECT bytes FROM artifact WHERE sha256 = weights_sha256),"
        " (SELECT count(*) FROM sample s WHERE s.run = run.run AND s.system_place = 'dropped'),"
        " (SELECT count(*) FROM sample s WHERE s.run = run.run AND s.system_place = 'user'),"
        " (SELECT a.name FROM run_artifact r JOIN artifact a ON a.sha256 = r.sha256"
        "  WHERE r.run = run.run AND r.role = 'adapter'),"
        " (SELECT sha256 FROM run_artifact r WHERE r.run = run.run AND r.role = 'adapter'),"
        " parent "
        "FROM run WHERE run = ?";
    *out = (struct store_run){0};
    struct query *query = query_cached(store, sql, st);
    if (!query) return st->code;
    query_bind_str(query, id);
    if (query_only_row(query, id, st) != STATUS_OK) return st->code;
    status_code code = load_run_texts(query, arena, out, st);
    out->threads = query_int(query, 29);
    out->temperature = query_double(query, 30);
    out->top_k = query_int(query, 31);
    out->top_p = query_double(query, 32);
    out->max_tokens = query_int(query, 33);
    out->seed = query_bits(query, 34);
    out->weights_bytes = query_int(query, 35);
    out->chat.n_system_dropped = query_int(query, 36);
    out->chat.n_system_in_user = query_int(query, 37);
    if (code == STATUS_OK) code = query_copy_str(query, 38, arena, &out->adapter, st);
    if (code == STATUS_OK) code = query_copy_str(query, 39, arena, &out->adapter_sha256, st);
    if (code == STATUS_OK) code = query_copy_str(query, 40, arena, &out->parent, st);
    query_reset(query);
    return code;
}

/* Runs a `SELECT count(*)` and makes an array for that many. */
static status_code allocate_rows(struct query *query, struct arena *arena, size_t row_bytes,
                                 size_t max, void **rows, size_t *n, struct status *st)
{
    if (query_only_row(query, "a count", st) != STATUS_OK) return st->code;
    int64_t count = query_int(query, 0);
    query_reset(query);
    if (count < 0 || (uint64_t)count > max)
        return status_set(st, STATUS_LIMIT, "the store has %lld rows; the limit is %zu",
                          (long long)count, max);
    *n = (size_t)count;
    *rows = arena_array(arena, *n ? *n : 1, row_bytes);
    return *rows ? STATUS_OK : status_no_memory(st, "rows of the store");
}

status_code store_list_runs(struct store *store, struct arena *arena, const char *const **ids,
                            size_t *n, struct status *st)
{
    static const char count_sql[] = "SELECT count(*) FROM run";
    static const char sql[] = "SELECT run FROM run ORDER BY started_at, run";
    void *rows = NULL;
    size_t max = 0;
    struct query *query = query_cached(store, count_sql, st);
    if (!query ||
        allocate_rows(query, arena, sizeof(char *), LIMIT_RUNS, &rows, &max, st) != STATUS_OK)
        return st->code;
    const char **list = rows;
    bool row = true;
    status_code code = STATUS_OK;
    query = query_cached(store, sql, st);
    if (!query) return st->code;
    for (*n = 0; code == STATUS_OK && *n < max; ++*n) { /* more may have come since the count */
        code = query_row(query, &row, st);
        if (code != STATUS_OK || !row) break;
        code = query_copy_str(query, 0, arena, &list[*n], st);
    }
    query_reset(query);
    *ids = list;
    return code;
}

status_code store_has_artifact(struct store *store, const char *run, const char *role,
                               const char *sha256, bool *out, struct status *st)
{
    static const char sql[] =
        "SELECT 1 FROM run_artifact WHERE run = ? AND role = ? AND sha256 = ?";
    struct query *query = query_cached(store, sql, st);
    if (!query) return st->code;
    query_bind_str(query, run);
    query_bind_str(query, role);
    query_bind_str(query, sha256);
    status_code code = query_row(query, out, st);
    query_reset(query);
    return code;
}

/* ---- Tasks ---- */

static status_code read_task(struct query *query, struct arena *arena, struct store_task *task,
                             struct status *st)
{
    const char **const fields[] = {&task->task,          &task->version,      &task->profile,
                                   &task->output_type,   &task->dataset_name, &task->dataset_path,
                                   &task->dataset_sha256};
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++)
        if (query_copy_str(query, (int)i, arena, fields[i], st) != STATUS_OK) return st->code;
    task->position = (int)query_int(query, 7);
    task->num_fewshot = query_int(query, 8);
    task->fewshot_seed = query_int(query, 9);
    task->limit = query_int(query, 10);
    task->repeats = (int)query_int(query, 11);
    task->n_docs_total = query_int(query, 12);
    task->dataset_bytes = query_int(query, 13);
    return STATUS_OK;
}

status_code store_load_tasks(struct store *store, const char *run, struct arena *arena,
                             struct store_task **out, size_t *n, struct status *st)
{
    static const char count_sql[] = "SELECT count(*) FROM task_run WHERE run = ?";
    static const char sql[] =
        "SELECT t.task, t.version, t.profile, t.output_type, t.dataset_name, t.dataset_path,"
        " t.dataset_sha256, t.position, t.num_fewshot, t.fewshot_seed, t.doc_limit, t.repeats,"
        " t.n_docs_total, a.bytes "
        "FROM task_run t LEFT JOIN artifact a ON a.sha256 = t.dataset_sha256 "
        "WHERE t.run = ? ORDER BY t.position, t.task";
    void *rows = NULL;
    size_t max = 0;
    struct query *query = query_cached(store, count_sql, st);
    if (!query) return st->code;
    query_bind_str(query, run);
    if (allocate_rows(query, arena, sizeof **out, LIMIT_TASKS, &rows, &max, st) != STATUS_OK)
        return st->code;
    struct store_task *tasks = rows;
    query = query_cached(store, sql, st);
    if (!query) return st->code;
    query_bind_str(query, run);
    bool row = true;
    status_code code = STATUS_OK;
    for (*n = 0; code == STATUS_OK && *n < max; ++*n) {
        code = query_row(query, &row, st);
        if (code != STATUS_OK || !row) break;
        code = read_task(query, arena, &tasks[*n], st);
    }
    query_reset(query);
    *out = tasks;
    return code;
}

/* ---- Samples ---- */

status_code store_find_pending(struct store *store, const char *run, const char *task, int64_t from,
                               int64_t *doc_ids, size_t max, size_t *n, struct status *st)
{
    static const char sql[] = "SELECT doc_id FROM sample WHERE run = ? AND task = ? "
                              "AND doc_id >= ? AND state = 'pending' ORDER BY doc_id";
    struct query *query = query_cached(store, sql, st);
    if (!query) return st->code;
    query_bind_str(query, run);
    query_bind_str(query, task);
    query_bind_int(query, from);
    for (*n = 0; *n < max; ++*n) {
        bool row = false;
        if (query_row(query, &row, st) != STATUS_OK) return st->code;
        if (!row) return STATUS_OK;
        doc_ids[*n] = query_int(query, 0);
    }
    query_reset(query);
    return STATUS_OK;
}

status_code store_count_samples(struct store *store, const char *run, const char *task,
                                int64_t counts[SAMPLE_STATES], struct status *st)
{
    static const char sql[] = "SELECT state, count(*) FROM sample WHERE run = ?1 "
                              "AND task = coalesce(?2, task) GROUP BY state";
    for (int i = 0; i < SAMPLE_STATES; i++) counts[i] = 0;
    struct query *query = query_cached(store, sql, st);
    if (!query) return st->code;
    query_bind_str(query, run);
    query_bind_str(query, task);
    for (;;) {
        bool row = false;
        if (query_row(query, &row, st) != STATUS_OK) return st->code;
        if (!row) return STATUS_OK;
        struct text state = query_text(query, 0);
        for (int i = 0; i < SAMPLE_STATES; i++)
            if (text_equal(state, text_of(sample_state_name((enum sample_state)i))))
                counts[i] = query_int(query, 1);
    }
}
