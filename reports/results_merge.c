/* results_merge.c - the runs of shards as the one run that they are parts of.
 *
 * Columns are the tables' own, asked of SQLite, so that a later version's columns come along; they
 * and the names of tables are the only words that are printed into SQL. */
#include <stdlib.h>
#include <string.h>

#include "engine/base/limits.h"
#include "engine/base/strbuf.h"
#include "reports/results_query.h"

#define SQL_BYTES      16384
#define IDENTITY_BYTES (64u << 20) /* of what a run says about itself, task by task */

/* Rows of a run that all shards have alike, and what in them may differ from machine to machine. */
static const struct {
    const char *table, *but;
} common[] = {
    {"run",
     "'run', 'state', 'started_at', 'finished_at', 'cpu', 'threads', 'model_path', 'parent', "
     "'command_line', 'options_json'"},
    {"run_chat", "'run'"},
    {"run_artifact", "'run'"},
    {"task_run", "'run', 'dataset_path'"},
    {"task_metric", "'run'"},
    {"task_group", "'run'"},
    {"task_group_member", "'run'"},
};
#define N_COMMON (sizeof common / sizeof common[0])

/* Rows of documents, of which each shard has its own. */
static const char *const by_document[] = {"sample",      "reply",        "choice_logprob",
                                          "guard_event", "hazard_score", "verdict"};
#define N_BY_DOCUMENT (sizeof by_document / sizeof by_document[0])

/* A shard as it is found in its store. */
struct shard {
    const char *path;
    char run[STORE_RUN_ID_SIZE];
    int64_t number, n_shards;
    struct strbuf identity; /* lines of name, tab, value */
};

/* ---- what a shard is ---- */

/* Appends a query's only text; nothing where it is NULL. */
static status_code append_answer(struct store *store, const char *sql, const char *bound,
                                 struct strbuf *out, struct status *st)
{
    struct query *query = query_create(store, sql, st);
    if (!query) return st->code;
    bool row = false;
    query_bind_str(query, bound);
    status_code code = query_row(query, &row, st);
    if (code == STATUS_OK && row) {
        struct text text = query_text(query, 0);
        if (text.data) strbuf_append(out, text.data, text.length);
    }
    query_free(query);
    return code;
}

/* "quote(a) || '|' || quote(b)": a row as one text. */
static status_code append_row_text(struct store *store, const char *table, const char *but,
                                   struct strbuf *out, struct status *st)
{
    struct strbuf sql;
    strbuf_init(&sql, SQL_BYTES);
    strbuf_appendf(&sql,
                   "SELECT group_concat('quote(' || name || ')', ' || ''|'' || ') FROM "
                   "pragma_table_info(?) WHERE name NOT IN (%s)",
                   but);
    status_code code = strbuf_check(&sql, "a query", st);
    if (code == STATUS_OK) code = append_answer(store, sql.data, table, out, st);
    strbuf_release(&sql);
    return code;
}

static status_code append_table_identity(struct store *store, size_t table, struct shard *shard,
                                         struct status *st)
{
    struct strbuf row, sql;
    strbuf_init(&row, SQL_BYTES);
    strbuf_init(&sql, 2 * SQL_BYTES);
    status_code code = append_row_text(store, common[table].table, common[table].but, &row, st);
    strbuf_appendf(&sql,
                   "SELECT replace(group_concat(line, ';'), char(10), ' ') FROM (SELECT %s AS line "
                   "FROM %s WHERE run = ? ORDER BY line)",
                   row.data, common[table].table);
    if (code == STATUS_OK) code = strbuf_check(&sql, "a query", st);
    strbuf_appendf(&shard->identity, "%s\t", common[table].table);
    if (code == STATUS_OK) code = append_answer(store, sql.data, shard->run, &shard->identity, st);
    strbuf_append_char(&shard->identity, '\n');
    strbuf_release(&row);
    strbuf_release(&sql);
    return code;
}

static status_code append_identity(struct store *store, struct shard *shard, struct status *st)
{
    static const char options[] = "SELECT json_remove(options_json, '$.shard', '$.threads', "
                                  "'$.model', '$.data_dir') FROM run "
                                  "WHERE run = ?";
    strbuf_append_str(&shard->identity, "options\t");
    status_code code = append_answer(store, options, shard->run, &shard->identity, st);
    strbuf_append_char(&shard->identity, '\n');
    for (size_t t = 0; t < N_COMMON && code == STATUS_OK; t++)
        code = append_table_identity(store, t, shard, st);
    return code == STATUS_OK ? strbuf_check(&shard->identity, "a run's description", st) : code;
}

static status_code read_place(struct store *store, struct shard *shard, struct status *st)
{
    static const char sql[] = "SELECT state, json_extract(options_json, '$.shard'), "
                              "json_extract(options_json, '$.n_shards') FROM run WHERE run = ?";
    struct query *query = query_create(store, sql, st);
    if (!query) return st->code;
    query_bind_str(query, shard->run);
    status_code code = query_only_row(query, shard->run, st);
    if (code == STATUS_OK) {
        bool done = text_equal(query_text(query, 0), text_of(run_state_name(RUN_DONE)));
        shard->number = query_int(query, 1);
        shard->n_shards = query_int(query, 2);
        if (shard->n_shards < 2)
            code = status_set(st, STATUS_BAD_INPUT, "run %s is not a shard: --shard makes one",
                              shard->run);
        else if (!done)
            code = status_set(st, STATUS_BAD_INPUT, "run %s is not done: assay resume --store %s",
                              shard->run, shard->path);
    }
    query_free(query);
    return code;
}

static status_code read_shard(struct shard *shard, struct status *st)
{
    struct store *store;
    status_code code = store_open(&store, shard->path, STORE_READ, st);
    if (code != STATUS_OK) return code;
    code = store_find_run(store, NULL, shard->run, st);
    if (code == STATUS_OK) code = read_place(store, shard, st);
    if (code == STATUS_OK) code = append_identity(store, shard, st);
    store_free(store);
    return code == STATUS_OK ? code : status_prefix(st, "%s", shard->path);
}

/* ---- whether shards belong together ---- */

/* The name of the first line in which two descriptions differ. */
static struct text first_difference(const struct shard *a, const struct shard *b)
{
    const char *line_a = a->identity.data, *line_b = b->identity.data;
    for (;;) {
        size_t n_a = strcspn(line_a, "\n"), n_b = strcspn(line_b, "\n");
        if (n_a != n_b || memcmp(line_a, line_b, n_a) != 0 || !line_a[n_a])
            return (struct text){line_b, strcspn(line_b, "\t\n")};
        line_a += n_a + 1;
        line_b += n_b + 1;
    }
}

static status_code check_together(const struct shard *shards, size_t n, struct status *st)
{
    for (size_t i = 0; i < n; i++) {
        const struct shard *s = &shards[i];
        if ((size_t)s->n_shards != n)
            return status_set(st, STATUS_BAD_INPUT,
                              "%s: shard %lld of %lld, and %zu are to be merged", s->path,
                              (long long)s->number, (long long)s->n_shards, n);
        for (size_t j = 0; j < i; j++)
            if (shards[j].number == s->number)
                return status_set(st, STATUS_BAD_INPUT, "%s: shard %lld is in %s already", s->path,
                                  (long long)s->number, shards[j].path);
        if (strcmp(shards[0].identity.data, s->identity.data) == 0) continue;
        struct text what = first_difference(&shards[0], s);
        return status_set(st, STATUS_BAD_INPUT, "%s: differs from %s in its %.*s", s->path,
                          shards[0].path, TEXT_ARGS(what));
    }
    return STATUS_OK;
}

/* ---- joining ---- */

static status_code run_sql(struct store *store, const char *sql, const char *first,
                           const char *second, struct status *st)
{
    struct query *query = query_create(store, sql, st);
    if (!query) return st->code;
    if (first) query_bind_str(query, first);
    if (second) query_bind_str(query, second);
    status_code code = query_run(query, st);
    query_free(query);
    return code;
}

static status_code copy_table(struct store *out, const char *table, const char *from,
                              const char *to, struct status *st)
{
    static const char names[] = "SELECT group_concat(name, ', ') FROM pragma_table_info(?) WHERE "
                                "name <> 'run'";
    struct strbuf columns, sql;
    strbuf_init(&columns, SQL_BYTES);
    strbuf_init(&sql, 3 * SQL_BYTES);
    status_code code = append_answer(out, names, table, &columns, st);
    strbuf_appendf(&sql, "INSERT INTO main.%s (run, %s) SELECT ?1, %s FROM shard.%s WHERE run = ?2",
                   table, columns.data, columns.data, table);
    if (code == STATUS_OK) code = strbuf_check(&sql, "a query", st);
    if (code == STATUS_OK) code = run_sql(out, sql.data, to, from, st);
    strbuf_release(&columns);
    strbuf_release(&sql);
    return code;
}

/* What runs share within a store: files that took part, what services answered, and texts under
 * their digest. */
static status_code copy_shared(struct store *out, const struct shard *shard, struct status *st)
{
    static const char artifacts[] =
        "INSERT OR IGNORE INTO main.artifact (sha256, kind, name, bytes, "
        "meta) SELECT sha256, kind, name, bytes, meta FROM "
        "shard.artifact";
    static const char answers[] =
        "INSERT OR IGNORE INTO main.remote_score (key, classifier, scores, scored_at) SELECT key, "
        "classifier, scores, scored_at FROM shard.remote_score";
    static const char prompts[] =
        "INSERT OR IGNORE INTO main.prompt (sha256, text) SELECT sha256, text FROM shard.prompt "
        "WHERE sha256 IN (SELECT prompt_hash FROM shard.sample WHERE run = ?1 UNION SELECT "
        "guard_text_hash FROM shard.sample WHERE run = ?1)";
    status_code code = run_sql(out, artifacts, NULL, NULL, st);
    if (code == STATUS_OK) code = run_sql(out, answers, NULL, NULL, st);
    return code == STATUS_OK ? run_sql(out, prompts, shard->run, NULL, st) : code;
}

static status_code copy_shard(struct store *out, const struct shard *shard, const char *to,
                              bool first, struct status *st)
{
    static const char times[] =
        "UPDATE main.run SET started_at = min(started_at, (SELECT started_at FROM shard.run WHERE "
        "run = ?1)), finished_at = max(finished_at, (SELECT finished_at FROM shard.run WHERE run = "
        "?1)), options_json = json_set(options_json, '$.shard', 0, '$.n_shards', 0)";
    status_code code = store_begin(out, st);
    if (code == STATUS_OK) code = run_sql(out, "PRAGMA defer_foreign_keys = ON", NULL, NULL, st);
    if (code == STATUS_OK) code = copy_shared(out, shard, st);
    for (size_t t = 0; t < N_COMMON && first && code == STATUS_OK; t++)
        code = copy_table(out, common[t].table, shard->run, to, st);
    for (size_t t = 0; t < N_BY_DOCUMENT && code == STATUS_OK; t++)
        code = copy_table(out, by_document[t], shard->run, to, st);
    if (code == STATUS_OK) code = run_sql(out, times, shard->run, NULL, st);
    return code == STATUS_OK ? store_commit(out, st) : code;
}

static status_code join_shards(struct store *out, const struct shard *shards, size_t n,
                               struct status *st)
{
    status_code code = STATUS_OK;
    for (size_t i = 0; i < n && code == STATUS_OK; i++) {
        code = run_sql(out, "ATTACH DATABASE ? AS shard", shards[i].path, NULL, st);
        if (code == STATUS_OK) code = copy_shard(out, &shards[i], shards[0].run, i == 0, st);
        if (code == STATUS_OK) code = run_sql(out, "DETACH DATABASE shard", NULL, NULL, st);
        if (code != STATUS_OK) status_prefix(st, "%s", shards[i].path);
    }
    return code;
}

status_code store_merge_shards(struct store *out, const char *const *paths, size_t n,
                               char id[STORE_RUN_ID_SIZE], struct status *st)
{
    struct shard *shards = calloc(n ? n : 1, sizeof *shards);
    if (!shards) return status_no_memory(st, "shards");
    status_code code = STATUS_OK;
    for (size_t i = 0; i < n; i++) {
        shards[i].path = paths[i];
        strbuf_init(&shards[i].identity, IDENTITY_BYTES);
        if (code == STATUS_OK) code = read_shard(&shards[i], st);
    }
    if (code == STATUS_OK) code = check_together(shards, n, st);
    if (code == STATUS_OK) code = join_shards(out, shards, n, st);
    if (code == STATUS_OK) memcpy(id, shards[0].run, STORE_RUN_ID_SIZE);
    for (size_t i = 0; i < n; i++) strbuf_release(&shards[i].identity);
    free(shards);
    return code;
}
