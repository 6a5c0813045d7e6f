#include "reports/scores.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/limits.h"
#include "reports/results_query.h"

const char *score_state_name(enum score_state state)
{
    static const char *const names[] = {"known", "withheld", "unheard", "no_guard"};
    return names[state];
}

/* Where the columns of one half of a table_row start in table_sql. */
enum { OFF_MEAN = 13, ENFORCE_MEAN = 18 };

static struct score_column read_column(struct query *query, int first, int64_t n_total,
                                       double floor)
{
    struct score_column column = {.value = query_double(query, first),
                                  .macro = query_double(query, first + 1),
                                  .scored = query_int(query, first + 4)};
    double variance = query_double(query, first + 2);
    int64_t n = query_int(query, first + 3);
    column.coverage = n_total > 0 ? (double)column.scored / (double)n_total : 0;
    column.stderror = n > 0 ? sqrt(variance / (double)n) : (double)NAN;
    if (column.coverage < floor || column.scored == 0)
        column.state = SCORE_WITHHELD;
    else if (isnan(column.value))
        column.state = SCORE_UNHEARD;
    if (column.state != SCORE_KNOWN) column.value = column.macro = column.stderror = (double)NAN;
    return column;
}

static status_code read_row(struct query *query, struct score_table *table, struct score_row *row,
                            struct status *st)
{
    const char **const fields[] = {&row->name, &row->version, &row->profile, &row->metric,
                                   &row->extraction};
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++)
        if (query_copy_str(query, (int)i, &table->arena, fields[i], st) != STATUS_OK)
            return st->code;
    row->is_group = query_int(query, 5) == 1;
    row->disputed = row->cut_prompts = row->is_group ? STORE_UNKNOWN : 0;
    row->depth = (int)query_int(query, 6);
    row->num_fewshot = query_int(query, 7);
    row->is_headline = query_int(query, 8) == 0;
    int64_t higher = query_int(query, 9);
    row->direction = higher == STORE_UNKNOWN ? NO_DIRECTION
                     : higher == 1           ? HIGHER_IS_BETTER
                                             : LOWER_IS_BETTER;
    row->n_tasks = query_int(query, 10);
    row->n_docs = query_int(query, 11);
    row->n_total = query_int(query, 12);
    row->off = read_column(query, OFF_MEAN, row->n_total, table->coverage_floor);
    row->enforce = read_column(query, ENFORCE_MEAN, row->n_total, table->coverage_floor);
    row->blocked_input = query_int(query, 23);
    row->blocked_output = query_int(query, 24);
    if (table->run.guard_mode == GUARD_OFF) {
        row->enforce.state = SCORE_NO_GUARD;
        /* A group with a task that has no score at all. */
        if (row->off.state == SCORE_UNHEARD) row->off.state = SCORE_WITHHELD;
    }
    /* Blocking is why the raw score is thin: coverage is the lesser half of the truth. */
    bool guarded_away = row->off.state == SCORE_WITHHELD && row->enforce.state == SCORE_KNOWN;
    if (guarded_away && table->run.guard_mode == GUARD_ENFORCE) row->off.state = SCORE_UNHEARD;
    return STATUS_OK;
}

static status_code load_rows(struct score_table *table, struct store *store, struct status *st)
{
    static const char sql[] =
        "SELECT s.name, s.version, s.profile, s.metric, s.extraction, s.is_group, t.depth,"
        " s.num_fewshot, s.position, s.higher_is_better, s.n_tasks, s.n_docs, s.n_total,"
        " s.off_mean, s.off_macro, s.off_variance, s.off_n, s.off_scored,"
        " s.enforce_mean, s.enforce_macro, s.enforce_variance, s.enforce_n, s.enforce_scored,"
        " s.blocked_input, s.blocked_output "
        "FROM task_tree t JOIN table_row s ON s.name = t.name AND s.is_group = t.is_group "
        "WHERE t.run = ?1 AND s.run = ?1 ORDER BY t.path, s.position, s.metric, s.extraction";
    struct query *query = query_cached(store, sql, st);
    if (!query) return st->code;
    query_bind_str(query, table->run.id);
    size_t capacity = 0;
    status_code code = STATUS_OK;
    for (;;) {
        bool row = false;
        code = query_row(query, &row, st);
        if (code != STATUS_OK || !row) break;
        if (table->n_rows == capacity) {
            capacity = capacity ? 2 * capacity : 64;
            struct score_row *more = arena_array(&table->arena, capacity, sizeof *more);
            if (!more) {
                code = status_no_memory(st, "the table");
                break;
            }
            if (table->rows) memcpy(more, table->rows, table->n_rows * sizeof *more);
            table->rows = more;
        }
        code = read_row(query, table, &table->rows[table->n_rows], st);
        if (code != STATUS_OK) break;
        table->n_rows++;
    }
    query_reset(query);
    return code;
}

static bool row_is(const struct score_row *row, struct text name, bool is_group, struct text metric,
                   struct text extraction)
{
    return row->is_group == is_group && text_equal(text_of(row->name), name) &&
           text_equal(text_of(row->metric), metric) &&
           text_equal(text_of(row->extraction), extraction);
}

static status_code load_outcomes(struct score_table *table, struct store *store, struct status *st)
{
    static const char sql[] =
        "WITH counted AS (SELECT * FROM outcome_count WHERE run = ?1) "
        "SELECT 0, task, metric, extraction, outcome, n FROM counted "
        "UNION ALL "
        "SELECT 1, l.group_name, c.metric, c.extraction, c.outcome, sum(c.n) "
        "FROM group_leaf l JOIN counted c ON c.task = l.task WHERE l.run = ?1 "
        "GROUP BY l.group_name, c.metric, c.extraction, c.outcome";
    struct score_row *rows = table->rows;
    struct query *query = query_cached(store, sql, st);
    if (!query) return st->code;
    query_bind_str(query, table->run.id);
    for (;;) {
        bool found = false;
        if (query_row(query, &found, st) != STATUS_OK) return st->code;
        if (!found) return STATUS_OK;
        struct text outcome = query_text(query, 4);
        for (size_t i = 0; i < table->n_rows; i++) {
            if (!row_is(&rows[i], query_text(query, 1), query_int(query, 0) == 1,
                        query_text(query, 2), query_text(query, 3)))
                continue;
            for (int o = 0; o < OUTCOMES; o++)
                if (text_equal(outcome, text_of(outcome_name((enum outcome)o))))
                    rows[i].outcomes[o] = query_int(query, 5);
        }
    }
}

static status_code load_disputed(struct score_table *table, struct store *store, struct status *st)
{
    static const char sql[] =
        "WITH d AS (SELECT * FROM extraction_disagreement WHERE run = ?1), "
        "each (task, metric, extraction, doc_id, repeat) AS ("
        "  SELECT task, metric, one, doc_id, repeat FROM d UNION "
        "  SELECT task, metric, other, doc_id, repeat FROM d) "
        "SELECT task, metric, extraction, count(*) FROM each GROUP BY task, metric, extraction";
    struct query *query = query_cached(store, sql, st);
    if (!query) return st->code;
    query_bind_str(query, table->run.id);
    for (;;) {
        bool found = false;
        if (query_row(query, &found, st) != STATUS_OK) return st->code;
        if (!found) return STATUS_OK;
        for (size_t i = 0; i < table->n_rows; i++)
            if (row_is(&table->rows[i], query_text(query, 0), false, query_text(query, 1),
                       query_text(query, 2)))
                table->rows[i].disputed = query_int(query, 3);
    }
}

static status_code load_cut_prompts(struct score_table *table, struct store *store,
                                    struct status *st)
{
    static const char sql[] =
        "SELECT task, count(*) FROM sample WHERE run = ? AND n_truncated > 0 GROUP BY task";
    struct query *query = query_cached(store, sql, st);
    if (!query) return st->code;
    query_bind_str(query, table->run.id);
    for (;;) {
        bool found = false;
        if (query_row(query, &found, st) != STATUS_OK) return st->code;
        if (!found) return STATUS_OK;
        for (size_t i = 0; i < table->n_rows; i++)
            if (!table->rows[i].is_group &&
                text_equal(text_of(table->rows[i].name), query_text(query, 0)))
                table->rows[i].cut_prompts = query_int(query, 1);
    }
}

status_code score_table_load(struct score_table **out, struct store *store, const char *run,
                             double coverage_floor, struct status *st)
{
    *out = NULL;
    if (!(coverage_floor >= 0 && coverage_floor <= 1))
        return status_set(st, STATUS_USAGE, "the coverage floor is %g; it must be from 0 to 1",
                          coverage_floor);
    struct score_table *table = calloc(1, sizeof *table);
    if (!table) return status_no_memory(st, "the table");
    arena_init(&table->arena, LIMIT_REPORT_BYTES);
    table->coverage_floor = coverage_floor;
    if (store_load_run(store, run, &table->arena, &table->run, st) != STATUS_OK ||
        store_count_samples(store, run, NULL, table->samples, st) != STATUS_OK ||
        load_rows(table, store, st) != STATUS_OK || load_outcomes(table, store, st) != STATUS_OK ||
        load_disputed(table, store, st) != STATUS_OK ||
        load_cut_prompts(table, store, st) != STATUS_OK ||
        shot_seeds_load(store, run, &table->arena, &table->seeds, &table->n_seeds, st) !=
            STATUS_OK) {
        score_table_free(table);
        return st->code;
    }
    *out = table;
    return STATUS_OK;
}

void score_table_free(struct score_table *table)
{
    if (!table) return;
    arena_release(&table->arena);
    free(table);
}

bool score_table_complete(const struct score_table *table)
{
    if (table->samples[SAMPLE_PENDING] || table->samples[SAMPLE_FAILED]) return false;
    for (size_t i = 0; i < table->n_rows; i++) {
        const struct score_row *row = &table->rows[i];
        /* A group lacks what its tasks lack, and a shard may have no document of a task. */
        if (row->is_group || !row->n_docs) continue;
        if (row->off.state == SCORE_WITHHELD || row->enforce.state == SCORE_WITHHELD) return false;
    }
    return true;
}
