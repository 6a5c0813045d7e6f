#include "reports/shot_seeds.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/limits.h"
#include "reports/results_query.h"

/* One row's values while they are read: D documents under S seeds. */
struct gathering {
    double *values; /* (D, S) */
    size_t capacity, n;
};

static status_code add_value(struct gathering *g, double value, struct status *st)
{
    if (g->n == g->capacity) {
        size_t capacity = g->capacity ? 2 * g->capacity : 1024;
        double *more = realloc(g->values, capacity * sizeof *more);
        if (!more) return status_no_memory(st, "scores");
        g->values = more;
        g->capacity = capacity;
    }
    g->values[g->n++] = value;
    return STATUS_OK;
}

/* The next value of a row: documents in order, the seeds of a document together.  NAN is unknown.
 */
static const char values_sql[] =
    "SELECT d.off_value FROM doc_score d JOIN task_run t ON t.run = d.run AND t.task = d.task "
    "WHERE d.run = ? AND t.base = ? AND d.metric = ? AND d.extraction = ? "
    "ORDER BY substr(t.task, 1, length(t.task) - length(t.fewshot_seed) - 1), d.doc_id,"
    " t.fewshot_seed";

/* Drops the documents that lack a value, and sums up the others. */
static void summarise(struct gathering *g, struct shot_seeds_row *row)
{
    size_t seeds = (size_t)row->n_seeds, kept = 0;
    for (size_t d = 0; seeds && (d + 1) * seeds <= g->n; d++) {
        bool known = true;
        for (size_t s = 0; s < seeds; s++) known &= !isnan(g->values[d * seeds + s]);
        if (!known) continue;
        memmove(g->values + kept * seeds, g->values + d * seeds, seeds * sizeof *g->values);
        kept++;
    }
    row->n_docs = (int64_t)kept;
    row->score = stat_drawings(g->values, kept, seeds);
}

static status_code fill(struct store *store, const char *run, struct shot_seeds_row *row,
                        struct gathering *g, struct status *st)
{
    struct query *query = query_cached(store, values_sql, st);
    if (!query) return st->code;
    query_bind_str(query, run);
    query_bind_str(query, row->name);
    query_bind_str(query, row->metric);
    query_bind_str(query, row->extraction);
    bool found = false;
    status_code code;
    g->n = 0;
    while ((code = query_row(query, &found, st)) == STATUS_OK && found)
        if ((code = add_value(g, query_double(query, 0), st)) != STATUS_OK) break;
    if (code != STATUS_OK) query_reset(query);
    if (code == STATUS_OK) summarise(g, row);
    return code;
}

static status_code read_rows(struct store *store, const char *run, struct arena *arena,
                             struct shot_seeds_row *rows, size_t most, size_t *n, struct status *st)
{
    static const char sql[] =
        "SELECT t.base, m.metric, m.extraction, count(DISTINCT t.fewshot_seed) "
        "FROM task_run t JOIN task_metric m ON m.run = t.run AND m.task = t.task "
        "WHERE t.run = ? AND t.base IS NOT NULL GROUP BY t.base, m.metric, m.extraction "
        "ORDER BY min(t.position), min(m.position)";
    struct query *query = query_cached(store, sql, st);
    if (!query) return st->code;
    query_bind_str(query, run);
    bool found = false;
    status_code code;
    for (*n = 0; (code = query_row(query, &found, st)) == STATUS_OK && found; ++*n) {
        if (*n == most) code = status_set(st, STATUS_LIMIT, "more than %zu metrics", most);
        struct shot_seeds_row *row = &rows[*n < most ? *n : 0];
        const char **const fields[] = {&row->name, &row->metric, &row->extraction};
        for (size_t i = 0; i < 3 && code == STATUS_OK; i++)
            code = query_copy_str(query, (int)i, arena, fields[i], st);
        row->n_seeds = query_int(query, 3);
        if (code == STATUS_OK) continue;
        query_reset(query);
        return code;
    }
    return code;
}

status_code shot_seeds_load(struct store *store, const char *run, struct arena *arena,
                            struct shot_seeds_row **out, size_t *n, struct status *st)
{
    enum { MOST = 1024 };
    struct gathering g = {0};
    *n = 0;
    *out = arena_array(arena, MOST, sizeof **out);
    if (!*out) return status_no_memory(st, "scores");
    status_code code = read_rows(store, run, arena, *out, MOST, n, st);
    for (size_t i = 0; i < *n && code == STATUS_OK; i++)
        code = fill(store, run, &(*out)[i], &g, st);
    free(g.values);
    return code;
}
