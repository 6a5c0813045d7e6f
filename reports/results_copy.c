/* results_copy.c - a run's facts under another run's id, for scoring them again.
 *
 * Columns are the table's own, asked of SQLite, so that a later version's columns come along; they
 * are the only words that are printed into SQL. */
#include "engine/base/strbuf.h"
#include "reports/results_query.h"

#define SQL_BYTES 16384

/* Appends the table's columns but `run`, each with a comma in front. */
static status_code append_columns(struct strbuf *out, struct store *store, const char *table,
                                  struct status *st)
{
    static const char sql[] =
        "SELECT name FROM pragma_table_info(?) WHERE name <> 'run' ORDER BY cid";
    struct query *query = query_cached(store, sql, st);
    if (!query) return st->code;
    query_bind_str(query, table);
    bool row = false;
    status_code code;
    while ((code = query_row(query, &row, st)) == STATUS_OK && row)
        strbuf_appendf(out, ", %.*s", TEXT_ARGS(query_text(query, 0)));
    return code;
}

/* The rows of a table; `condition` limits them and may be "". */
static status_code copy_rows(struct store *store, const char *table, const char *condition,
                             const char *from, const char *to, struct status *st)
{
    struct strbuf columns, sql;
    struct query *query = NULL;
    strbuf_init(&columns, SQL_BYTES);
    strbuf_init(&sql, SQL_BYTES);
    status_code code = append_columns(&columns, store, table, st);
    strbuf_appendf(&sql, "INSERT INTO %s (run%s) SELECT ?1%s FROM %s WHERE run = ?2 %s", table,
                   columns.data, columns.data, table, condition);
    if (code == STATUS_OK) code = strbuf_check(&sql, "a query", st);
    if (code == STATUS_OK) query = query_create(store, sql.data, st);
    if (query) {
        query_bind_str(query, to);
        query_bind_str(query, from);
        code = query_run(query, st);
        query_free(query);
    } else if (code == STATUS_OK) {
        code = st->code;
    }
    strbuf_release(&columns);
    strbuf_release(&sql);
    return code;
}

static status_code set_parent(struct store *store, const char *from, const char *to,
                              struct status *st)
{
    static const char sql[] = "UPDATE run SET parent = ? WHERE run = ?";
    struct query *query = query_cached(store, sql, st);
    if (!query) return st->code;
    query_bind_str(query, from);
    query_bind_str(query, to);
    return query_run(query, st);
}

status_code store_copy_facts(struct store *store, const char *from, const char *to,
                             struct status *st)
{
    static const struct {
        const char *table, *condition;
    } parts[] = {
        {"run_chat", ""},
        {"run_artifact", "AND role NOT IN ('toxicity', 'interpreter', 'task')"},
        {"task_run", ""},
        {"task_group", "ORDER BY position"}, /* parents come first */
        {"task_group_member", ""},
        {"sample", ""},
        {"reply", ""},
        {"choice_logprob", ""},
        {"guard_event", ""},
        {"hazard_score",
         "AND NOT (stage = 'output' AND classifier_sha256 IN"
         " (SELECT sha256 FROM run_artifact WHERE run = ?2 AND role = 'toxicity' EXCEPT"
         " SELECT sha256 FROM run_artifact WHERE run = ?2 AND role = 'guard'))"},
    };
    status_code code = store_need_batch(store, st);
    if (code == STATUS_OK) code = set_parent(store, from, to, st);
    for (size_t i = 0; i < sizeof parts / sizeof parts[0] && code == STATUS_OK; i++)
        code = copy_rows(store, parts[i].table, parts[i].condition, from, to, st);
    return code;
}

status_code store_copy_failures(struct store *store, const char *from, const char *to,
                                struct status *st)
{
    static const char condition[] =
        "AND EXISTS (SELECT 1 FROM sample s WHERE s.run = ?2 AND s.task = verdict.task"
        " AND s.doc_id = verdict.doc_id AND s.state IN ('failed', 'blocked'))"
        " AND EXISTS (SELECT 1 FROM task_metric m WHERE m.run = ?1 AND m.task = verdict.task"
        " AND m.metric = verdict.metric AND m.extraction = verdict.extraction)";
    return copy_rows(store, "verdict", condition, from, to, st);
}
