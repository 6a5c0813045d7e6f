#include "reports/guard_price.h"

#include <math.h>
#include <stdlib.h>

#include "engine/base/limits.h"
#include "reports/results_query.h"

#define CONFIDENCE 0.95

void guard_price_free(struct guard_price *price)
{
    if (!price) return;
    score_table_free(price->table);
    arena_release(&price->arena);
    free(price);
}

/* ---- growing arrays ---- */

/* Room for one more item of `size` bytes behind the `n` of *items, in the arena. */
static void *one_more(struct arena *arena, void *items, size_t n, size_t size)
{
    if (n && n & (n - 1)) return items; /* room doubles at powers of two */
    void *more = arena_array(arena, n ? 2 * n : 1, size);
    if (more && n) memcpy(more, items, n * size);
    return more;
}

/* ---- scores ---- */

/* The values of a row's documents, and what they sum up to. */
struct pairs {
    double *differences;
    size_t n, room;
    int64_t off_only, enforce_only; /* of pairs of 0 and 1 */
    bool is_binary;
};

static bool is_bit(double value)
{
    return !(value > 0 && value < 1) && value >= 0 && value <= 1;
}

static status_code add_pair(struct pairs *pairs, double off, double enforce, struct status *st)
{
    if (isnan(off) || isnan(enforce)) return STATUS_OK;
    if (pairs->n == pairs->room) {
        size_t room = pairs->room ? 2 * pairs->room : 1024;
        double *more = realloc(pairs->differences, room * sizeof *more);
        if (!more) return status_no_memory(st, "a guard's price");
        pairs->differences = more;
        pairs->room = room;
    }
    pairs->differences[pairs->n++] = enforce - off;
    pairs->is_binary = pairs->is_binary && is_bit(off) && is_bit(enforce);
    pairs->off_only += off > enforce;
    pairs->enforce_only += enforce > off;
    return STATUS_OK;
}

/* Task by task, so that the store's views see one task at a time. */
static status_code read_pairs(struct store *store, const char *run, const char *task,
                              const struct score_row *row, struct pairs *pairs, struct status *st)
{
    static const char sql[] = "SELECT off_value, enforce_value FROM doc_score WHERE run = ?1 "
                              "AND task = ?2 AND metric = ?3 AND extraction = ?4";
    struct query *query = query_cached(store, sql, st);
    if (!query) return st->code;
    query_bind_str(query, run);
    query_bind_str(query, task);
    query_bind_str(query, row->metric);
    query_bind_str(query, row->extraction);
    for (;;) {
        bool found = false;
        if (query_row(query, &found, st) != STATUS_OK) return st->code;
        if (!found) return STATUS_OK;
        status_code code = add_pair(pairs, query_double(query, 0), query_double(query, 1), st);
        if (code != STATUS_OK) {
            query_reset(query);
            return code;
        }
    }
}

static int64_t *count_of(struct guard_calls *calls, bool blocked, int worth)
{
    int64_t *const at[2][3] = {
        {&calls->bad_passed, &calls->good_passed, &calls->unheard_passed},
        {&calls->bad_blocked, &calls->good_blocked, &calls->unheard_blocked}};
    return at[blocked][worth];
}

static status_code read_calls(struct store *store, const char *run, const char *task,
                              struct guard_price_row *row, struct status *st)
{
    static const char sql[] =
        "SELECT stage IS NOT NULL, sum(bad), sum(good), sum(unheard) FROM guard_call_count "
        "WHERE run = ?1 AND task = ?2 AND metric = ?3 AND extraction = ?4 GROUP BY 1";
    struct query *query = query_cached(store, sql, st);
    if (!query) return st->code;
    query_bind_str(query, run);
    query_bind_str(query, task);
    query_bind_str(query, row->score->metric);
    query_bind_str(query, row->score->extraction);
    for (;;) {
        bool found = false;
        if (query_row(query, &found, st) != STATUS_OK) return st->code;
        if (!found) return STATUS_OK;
        if (query_int(query, 1) == STORE_UNKNOWN) continue;
        row->has_calls = true;
        for (int worth = 0; worth < 3; worth++)
            *count_of(&row->calls, query_int(query, 0) == 1, worth) += query_int(query, worth + 1);
    }
}

/* The tasks that a row is about: itself, or those of its group. */
static status_code list_tasks(struct guard_price *price, struct store *store,
                              const struct score_row *row, const char ***tasks, size_t *n,
                              struct status *st)
{
    static const char sql[] = "SELECT task FROM group_leaf WHERE run = ?1 AND group_name = ?2 "
                              "UNION ALL SELECT ?2 WHERE NOT ?3";
    struct query *query = query_create(store, sql, st);
    status_code code = query ? STATUS_OK : st->code;
    *n = 0;
    *tasks = NULL;
    if (query) {
        query_bind_str(query, price->table->run.id);
        query_bind_str(query, row->name);
        query_bind_int(query, row->is_group);
    }
    for (bool found = true; code == STATUS_OK && found;) {
        code = query_row(query, &found, st);
        if (code != STATUS_OK || !found) break;
        *tasks = one_more(&price->arena, (void *)*tasks, *n, sizeof **tasks);
        code = *tasks ? query_copy_str(query, 0, &price->arena, &(*tasks)[*n], st)
                      : status_no_memory(st, "a guard's price");
        ++*n;
    }
    query_free(query);
    return code;
}

static status_code fill_row(struct guard_price *price, struct store *store,
                            struct guard_price_row *row, struct status *st)
{
    const char *run = price->table->run.id;
    const char **tasks;
    size_t n;
    struct pairs pairs = {.is_binary = true};
    status_code code = list_tasks(price, store, row->score, &tasks, &n, st);
    for (size_t i = 0; i < n && code == STATUS_OK; i++) {
        code = read_pairs(store, run, tasks[i], row->score, &pairs, st);
        if (code == STATUS_OK) code = read_calls(store, run, tasks[i], row, st);
    }
    row->n_pairs = (int64_t)pairs.n;
    if (pairs.n && pairs.is_binary)
        row->difference =
            stat_paired_binary(pairs.off_only, pairs.enforce_only, row->n_pairs, CONFIDENCE);
    else
        row->difference = stat_paired(pairs.differences, pairs.n, CONFIDENCE);
    free(pairs.differences);
    return code;
}

static status_code load_rows(struct guard_price *price, struct store *store, struct status *st)
{
    status_code code = STATUS_OK;
    price->n_rows = price->table->n_rows;
    price->rows =
        arena_array(&price->arena, price->n_rows ? price->n_rows : 1, sizeof *price->rows);
    if (!price->rows) return status_no_memory(st, "a guard's price");
    for (size_t i = 0; i < price->n_rows && code == STATUS_OK; i++) {
        price->rows[i].score = &price->table->rows[i];
        code = fill_row(price, store, &price->rows[i], st);
    }
    return code;
}

/* ---- reasons, time and tokens ---- */

/* Reads one row of a list; `query` stands on it. */
typedef status_code read_item(struct guard_price *price, struct query *query, struct status *st);

static status_code each_item(struct guard_price *price, struct store *store, const char *sql,
                             read_item *read, struct status *st)
{
    struct query *query = query_create(store, sql, st);
    if (!query) return st->code;
    query_bind_str(query, price->table->run.id);
    status_code code = STATUS_OK;
    for (bool found = true; code == STATUS_OK && found;) {
        code = query_row(query, &found, st);
        if (code == STATUS_OK && found) code = read(price, query, st);
    }
    query_free(query);
    return code;
}

static status_code read_reason(struct guard_price *price, struct query *query, struct status *st)
{
    price->reasons =
        one_more(&price->arena, price->reasons, price->n_reasons, sizeof *price->reasons);
    if (!price->reasons) return status_no_memory(st, "a guard's price");
    struct guard_reason *reason = &price->reasons[price->n_reasons++];
    *reason = (struct guard_reason){.n = query_int(query, 4),
                                    .good = query_int(query, 5),
                                    .bad = query_int(query, 6),
                                    .unheard = query_int(query, 7)};
    status_code code = query_copy_str(query, 0, &price->arena, &reason->name, st);
    if (code == STATUS_OK) code = query_copy_str(query, 1, &price->arena, &reason->stage, st);
    if (code == STATUS_OK) code = query_copy_str(query, 2, &price->arena, &reason->category, st);
    if (code == STATUS_OK) code = query_copy_str(query, 3, &price->arena, &reason->metric, st);
    return code;
}

static status_code read_cost(struct guard_price *price, struct query *query, struct status *st)
{
    price->costs = one_more(&price->arena, price->costs, price->n_costs, sizeof *price->costs);
    if (!price->costs) return status_no_memory(st, "a guard's price");
    struct guard_cost *cost = &price->costs[price->n_costs++];
    *cost = (struct guard_cost){.n = query_int(query, 2),
                                .n_checks = query_int(query, 3),
                                .p50_seconds = query_double(query, 4),
                                .p95_seconds = query_double(query, 5)};
    status_code code = query_copy_str(query, 0, &price->arena, &cost->name, st);
    return code == STATUS_OK ? query_copy_str(query, 1, &price->arena, &cost->stage, st) : code;
}

static status_code read_waste(struct guard_price *price, struct query *query, struct status *st)
{
    price->wastes = one_more(&price->arena, price->wastes, price->n_wastes, sizeof *price->wastes);
    if (!price->wastes) return status_no_memory(st, "a guard's price");
    struct guard_waste *waste = &price->wastes[price->n_wastes++];
    *waste = (struct guard_waste){.n_tokens = query_int(query, 1), .n_wasted = query_int(query, 2)};
    return query_copy_str(query, 0, &price->arena, &waste->name, st);
}

/* The table's row of a task that the query stands on, or NULL. */
static const struct score_row *find_score(const struct guard_price *price, struct query *query)
{
    for (size_t i = 0; i < price->n_rows; i++) {
        const struct score_row *score = price->rows[i].score;
        if (!score->is_group && text_equal(text_of(score->name), query_text(query, 0)) &&
            text_equal(text_of(score->metric), query_text(query, 1)) &&
            text_equal(text_of(score->extraction), query_text(query, 2)))
            return score;
    }
    return NULL;
}

static status_code read_at_k(struct guard_price *price, struct query *query, struct status *st)
{
    const struct score_row *score = find_score(price, query);
    if (!score) return STATUS_OK;
    price->at_k = one_more(&price->arena, price->at_k, price->n_at_k, sizeof *price->at_k);
    if (!price->at_k) return status_no_memory(st, "a guard's price");
    price->at_k[price->n_at_k++] = (struct guard_at_k){
        .score = score,
        .k = query_int(query, 3),
        .n_docs = query_int(query, 4),
        .off = score->off.state == SCORE_KNOWN ? query_double(query, 5) : (double)NAN,
        .enforce = score->enforce.state == SCORE_KNOWN ? query_double(query, 6) : (double)NAN,
    };
    return STATUS_OK;
}

static status_code load_at_k(struct guard_price *price, struct store *store, struct status *st)
{
    static const char sql[] =
        "SELECT a.task, a.metric, a.extraction, a.k, max(a.n_docs),"
        " max(CASE WHEN a.enforced = 0 THEN a.mean END),"
        " max(CASE WHEN a.enforced = 1 THEN a.mean END) "
        "FROM score_at_k a JOIN task_run t ON t.run = a.run AND t.task = a.task "
        "JOIN task_metric m ON m.run = a.run AND m.task = a.task AND m.metric = a.metric "
        " AND m.extraction = a.extraction "
        "WHERE a.run = ?1 GROUP BY a.task, a.metric, a.extraction, a.k "
        "ORDER BY min(t.position), min(m.position), a.metric, a.extraction, a.k";
    return each_item(price, store, sql, read_at_k, st);
}

static status_code load_lists(struct guard_price *price, struct store *store, struct status *st)
{
    static const char reasons[] =
        "WITH ranked AS (SELECT c.*, row_number() OVER (PARTITION BY c.task, c.doc_id, c.repeat "
        "  ORDER BY c.higher_is_better IS NULL, m.stratum IS NOT NULL, m.position) AS place "
        " FROM guard_call c "
        " JOIN task_metric m ON m.run = c.run AND m.task = c.task AND m.metric = c.metric "
        "  AND m.extraction = c.extraction "
        " WHERE c.run = ?1 AND m.run = ?1 AND c.stage IS NOT NULL) "
        "SELECT t.root, r.stage, r.category, r.metric, count(*),"
        " CASE WHEN count(r.higher_is_better) > 0 THEN sum(r.is_good IS 1) END,"
        " CASE WHEN count(r.higher_is_better) > 0 THEN sum(r.is_good IS 0) END,"
        " CASE WHEN count(r.higher_is_better) > 0 THEN sum(r.is_good IS NULL) END "
        "FROM ranked r JOIN task_root t ON t.run = ?1 AND t.task = r.task WHERE r.place = 1 "
        "GROUP BY t.root, r.stage, r.category, r.metric "
        "ORDER BY min(t.position), r.stage, count(*) DESC, r.category, r.metric";
    static const char costs[] =
        "SELECT root, stage, n, n_checks, p50_seconds, p95_seconds FROM guard_latency l "
        "WHERE run = ?1 ORDER BY (SELECT min(position) FROM task_root t WHERE t.run = l.run AND "
        "t.root = l.root), stage";
    static const char wastes[] =
        "SELECT root, n_tokens, n_wasted FROM guard_tokens g WHERE run = ?1 ORDER BY "
        "(SELECT min(position) FROM task_root t WHERE t.run = g.run AND t.root = g.root)";
    status_code code = load_at_k(price, store, st);
    if (code == STATUS_OK) code = each_item(price, store, reasons, read_reason, st);
    if (code == STATUS_OK) code = each_item(price, store, costs, read_cost, st);
    if (code == STATUS_OK) code = each_item(price, store, wastes, read_waste, st);
    return code;
}

status_code guard_price_load(struct guard_price **out, struct store *store, const char *run,
                             struct status *st)
{
    struct guard_price *price = calloc(1, sizeof *price);
    if (!price) return status_no_memory(st, "a guard's price");
    arena_init(&price->arena, LIMIT_REPORT_BYTES);
    status_code code = score_table_load(&price->table, store, run, SCORE_COVERAGE_FLOOR, st);
    if (code == STATUS_OK && price->table->run.guard_mode == GUARD_OFF)
        code = status_set(st, STATUS_USAGE,
                          "%s: run %s had no guard; run it again with --guard POLICY --guard-mode "
                          "shadow",
                          store_path(store), run);
    if (code == STATUS_OK) code = load_rows(price, store, st);
    if (code == STATUS_OK) code = load_lists(price, store, st);
    if (code == STATUS_OK)
        *out = price;
    else
        guard_price_free(price);
    return code;
}

/* ---- sweeps ---- */

static struct interval no_interval(void)
{
    return (struct interval){(double)NAN, (double)NAN};
}

/* The normal interval of the mean of n differences, from their sum and the sum of their squares (as
 * stat_paired()). */
static struct interval change_interval(double sum, double squares, double n)
{
    if (n < 2) return no_interval();
    double mean = sum / n;
    double variance = fmax(0, (squares - n * mean * mean) / (n - 1));
    double half = stat_normal_quantile((1 + CONFIDENCE) / 2) * sqrt(variance / n);
    return (struct interval){mean - half, mean + half};
}

static status_code visit_points(struct query *query, bool is_group, struct arena *arena,
                                guard_sweep_point_fn *point, void *user, struct status *st)
{
    for (;;) {
        bool found = false;
        status_code code = query_row(query, &found, st);
        if (code != STATUS_OK || !found) return code;
        struct guard_sweep_point p = {
            .is_group = is_group,
            .threshold = query_double(query, 6),
            .n = query_int(query, 7),
            .n_blocked = query_int(query, 8),
            .n_good = query_int(query, 9),
            .n_good_blocked = query_int(query, 10),
            .n_bad = query_int(query, 11),
            .n_bad_blocked = query_int(query, 12),
            .off = query_double(query, 13),
            .enforce = query_double(query, 14),
            .auroc = query_double(query, 18),
            .interval = change_interval(query_double(query, 15), query_double(query, 16),
                                        query_double(query, 17)),
        };
        const char **const texts[] = {
            &p.name, &p.metric, &p.extraction, &p.stage, &p.classifier_sha256, &p.category};
        arena_reset(arena);
        for (int i = 0; i < 6 && code == STATUS_OK; i++)
            code = query_copy_str(query, i, arena, texts[i], st);
        if (code == STATUS_OK) code = point(user, &p, st);
        if (code != STATUS_OK) return code;
    }
}

status_code guard_sweep_each(struct store *store, const char *run, guard_sweep_point_fn *point,
                             void *user, struct status *st)
{
#define SWEEP_POINTS                                                                               \
    " s.metric, s.extraction, s.stage, s.classifier_sha256, s.category, s.threshold, s.n,"         \
    " s.n_blocked, s.n_good, s.n_good_blocked, s.n_bad, s.n_bad_blocked, s.off_mean,"              \
    " s.enforce_mean, s.change, s.change_squares, s.n_docs,"                                       \
    " CASE WHEN s.n_good > 0 AND s.n_bad > 0 THEN"                                                 \
    "  sum(s.bad_here * (s.n_good - s.n_good_blocked + s.good_here * 0.5)) OVER rule"              \
    "  / (s.n_good * s.n_bad) END "
#define SWEEP_ORDER                                                                                \
    " s.metric, s.extraction, s.stage, s.classifier_sha256, s.category, s.threshold DESC"
    static const char tasks[] =
        "SELECT s.task," SWEEP_POINTS
        "FROM guard_sweep s JOIN task_run t ON t.run = s.run AND t.task = s.task WHERE s.run = ?1 "
        "WINDOW rule AS (PARTITION BY s.task, s.metric, s.extraction, s.stage,"
        " s.classifier_sha256, s.category) ORDER BY t.position, s.task," SWEEP_ORDER;
    static const char groups[] =
        "SELECT s.group_name," SWEEP_POINTS
        "FROM group_sweep s JOIN task_group g ON g.run = s.run AND g.group_name = s.group_name "
        "WHERE s.run = ?1 "
        "WINDOW rule AS (PARTITION BY s.group_name, s.metric, s.extraction, s.stage,"
        " s.classifier_sha256, s.category) ORDER BY g.position, s.group_name," SWEEP_ORDER;
#undef SWEEP_POINTS
#undef SWEEP_ORDER
    struct arena arena;
    arena_init(&arena, LIMIT_REPORT_BYTES);
    struct store_run info;
    status_code code = store_load_run(store, run, &arena, &info, st);
    if (code == STATUS_OK && info.guard_mode != GUARD_SHADOW)
        code = status_set(st, STATUS_USAGE,
                          "%s: run %s has guard mode %s; thresholds can be swept in a shadow run",
                          store_path(store), run, guard_mode_name(info.guard_mode));
    for (int g = 0; g < 2 && code == STATUS_OK; g++) {
        struct query *query = query_create(store, g ? groups : tasks, st);
        if (query) query_bind_str(query, run);
        code = query ? visit_points(query, g, &arena, point, user, st) : st->code;
        query_free(query);
    }
    arena_release(&arena);
    return code;
}
