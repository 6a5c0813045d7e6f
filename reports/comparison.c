#include "reports/comparison.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/limits.h"
#include "reports/results_query.h"

const char *score_choice_name(enum score_choice choice)
{
    return choice == COMPARE_OFF ? "off" : "enforce";
}

/* One of the two runs. */
struct side {
    struct store *store;
    const struct score_table *table;
    bool delivered; /* read the enforce column */
    struct store_task *tasks;
    size_t n_tasks;
};

struct document {
    int64_t id;
    double value;
    const char *doc_hash, *prompt_hash; /* NULL: not known */
};

/* Values of the pairs of one row, kept until groups have pooled them. */
struct pairs {
    double *a, *b;
    size_t n;
};

struct builder {
    struct comparison *c;
    struct side a, b;
    struct pairs *pairs; /* (n_rows) */
    struct arena scratch;
};

/* ---- What may be compared ---- */

static const struct store_task *find_task(const struct side *side, const char *name)
{
    for (size_t i = 0; i < side->n_tasks; i++)
        if (strcmp(side->tasks[i].task, name) == 0) return &side->tasks[i];
    return NULL;
}

static const struct score_row *find_row(const struct side *side, const struct score_row *like)
{
    for (size_t i = 0; i < side->table->n_rows; i++) {
        const struct score_row *row = &side->table->rows[i];
        if (row->is_group == like->is_group && strcmp(row->name, like->name) == 0 &&
            strcmp(row->metric, like->metric) == 0 &&
            strcmp(row->extraction, like->extraction) == 0)
            return row;
    }
    return NULL;
}

static const struct score_column *column_of(const struct side *side, const struct score_row *row)
{
    return side->delivered ? &row->enforce : &row->off;
}

static status_code refuse(struct builder *b, struct comparison_row *row, struct status *st,
                          const char *format, ...) PRINTF_LIKE(4, 5);
static status_code refuse(struct builder *b, struct comparison_row *row, struct status *st,
                          const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    row->refusal = arena_strdup(&b->c->arena, text);
    return row->refusal ? STATUS_OK : status_no_memory(st, "a comparison");
}

static bool differ(const char *a, const char *b)
{
    return a && b && strcmp(a, b) != 0;
}

/* Sets row->refusal where the two runs did not ask the same. */
static status_code check_task(struct builder *b, struct comparison_row *row, struct status *st)
{
    const struct store_task *x = find_task(&b->a, row->name), *y = find_task(&b->b, row->name);
    if (!x || !y) return refuse(b, row, st, "run %s has no such task", x ? "B" : "A");
    if (differ(x->version, y->version))
        return refuse(b, row, st, "task version %s in A, %s in B", x->version, y->version);
    if (differ(x->profile, y->profile))
        return refuse(b, row, st, "profile %s in A, %s in B", x->profile, y->profile);
    if (x->num_fewshot != y->num_fewshot)
        return refuse(b, row, st, "%lld shots in A, %lld in B", (long long)x->num_fewshot,
                      (long long)y->num_fewshot);
    if (x->repeats != y->repeats)
        return refuse(b, row, st, "%d replies per document in A, %d in B", x->repeats, y->repeats);
    if (differ(x->dataset_sha256, y->dataset_sha256))
        return refuse(b, row, st, "dataset %.12s in A, %.12s in B", x->dataset_sha256,
                      y->dataset_sha256);
    return STATUS_OK;
}

/* ---- Pairs ---- */

static status_code load_documents(struct builder *b, const struct side *side,
                                  const struct comparison_row *row, struct document **out,
                                  size_t *n, struct status *st)
{
    static const char sql[] =
        "SELECT s.doc_id, s.doc_hash, s.prompt_hash, d.off_value, d.off_scored, d.enforce_value,"
        " d.enforce_scored FROM doc_score d "
        "JOIN sample s ON s.run = d.run AND s.task = d.task AND s.doc_id = d.doc_id "
        "WHERE d.run = ?1 AND d.task = ?2 AND d.metric = ?3 AND d.extraction = ?4 "
        "AND s.run = ?1 AND s.task = ?2 ORDER BY s.doc_id";
    const struct store_task *task = find_task(side, row->name);
    struct query *query = query_cached(side->store, sql, st);
    if (!query) return st->code;
    query_bind_str(query, side->table->run.id);
    query_bind_str(query, row->name);
    query_bind_str(query, row->metric);
    query_bind_str(query, row->extraction);
    size_t capacity = 0;
    status_code code = STATUS_OK;
    int value = side->delivered ? 5 : 3;
    for (*n = 0;;) {
        bool found = false;
        code = query_row(query, &found, st);
        if (code != STATUS_OK || !found) break;
        if (query_int(query, value + 1) != task->repeats) continue;
        if (*n == capacity) {
            capacity = capacity ? 2 * capacity : 256;
            struct document *more = arena_array(&b->scratch, capacity, sizeof *more);
            if (!more) {
                code = status_no_memory(st, "a comparison");
                break;
            }
            if (*n) memcpy(more, *out, *n * sizeof *more);
            *out = more;
        }
        struct document *document = &(*out)[*n];
        document->id = query_int(query, 0);
        document->value = query_double(query, value);
        if ((code = query_copy_str(query, 1, &b->scratch, &document->doc_hash, st)) != STATUS_OK ||
            (code = query_copy_str(query, 2, &b->scratch, &document->prompt_hash, st)) != STATUS_OK)
            break;
        ++*n;
    }
    query_reset(query);
    return code;
}

static status_code make_pairs(struct pairs *pairs, size_t max, struct status *st)
{
    size_t bytes = (max ? max : 1) * sizeof(double);
    pairs->a = malloc(bytes);
    pairs->b = malloc(bytes);
    return pairs->a && pairs->b ? STATUS_OK : status_no_memory(st, "a comparison");
}

static status_code pair_documents(struct builder *b, struct comparison_row *row,
                                  struct pairs *pairs, struct status *st)
{
    struct document *x = NULL, *y = NULL;
    size_t n_x = 0, n_y = 0;
    if (load_documents(b, &b->a, row, &x, &n_x, st) != STATUS_OK ||
        load_documents(b, &b->b, row, &y, &n_y, st) != STATUS_OK ||
        make_pairs(pairs, n_x < n_y ? n_x : n_y, st) != STATUS_OK)
        return st->code;
    for (size_t i = 0, j = 0; i < n_x && j < n_y;) {
        if (x[i].id != y[j].id) {
            if (x[i].id < y[j].id)
                i++;
            else
                j++;
            continue;
        }
        if (differ(x[i].doc_hash, y[j].doc_hash))
            return refuse(b, row, st, "document %lld is not the same in both", (long long)x[i].id);
        if (differ(x[i].prompt_hash, y[j].prompt_hash))
            return refuse(b, row, st, "the prompts differ, first at document %lld",
                          (long long)x[i].id);
        pairs->a[pairs->n] = x[i++].value;
        pairs->b[pairs->n++] = y[j++].value;
    }
    return STATUS_OK;
}

static bool is_zero_or_one(double value)
{
    return fabs(value) < 1e-12 || fabs(value - 1) < 1e-12;
}

static void count_answers(struct comparison_row *row, const struct pairs *pairs)
{
    row->is_binary = pairs->n > 0;
    for (size_t i = 0; i < pairs->n; i++) {
        double a = pairs->a[i], b = pairs->b[i];
        if (fabs(a - b) > 1e-12) row->n_changed++;
        row->is_binary = row->is_binary && is_zero_or_one(a) && is_zero_or_one(b);
        if (a > 0.5)
            *(b > 0.5 ? &row->both : &row->a_only) += 1;
        else
            *(b > 0.5 ? &row->b_only : &row->neither) += 1;
    }
}

static status_code summarise(struct builder *b, struct comparison_row *row,
                             const struct pairs *pairs, struct status *st)
{
    double *differences = arena_array(&b->scratch, pairs->n ? pairs->n : 1, sizeof *differences);
    if (!differences) return status_no_memory(st, "a comparison");
    for (size_t i = 0; i < pairs->n; i++) differences[i] = pairs->b[i] - pairs->a[i];
    row->n_pairs = (int64_t)pairs->n;
    row->mean_a = stat_mean(pairs->a, pairs->n);
    row->mean_b = stat_mean(pairs->b, pairs->n);
    count_answers(row, pairs);
    if (row->is_binary) {
        row->p = stat_mcnemar_two_sided(row->a_only, row->b_only);
        row->difference =
            stat_paired_binary(row->a_only, row->b_only, row->n_pairs, b->c->confidence);
    } else {
        row->difference = stat_paired(differences, pairs->n, b->c->confidence);
    }
    return STATUS_OK;
}

static status_code compare_task(struct builder *b, struct comparison_row *row, struct pairs *pairs,
                                struct status *st)
{
    if (row->refusal || check_task(b, row, st) != STATUS_OK || row->refusal)
        return row->refusal ? STATUS_OK : st->code;
    status_code code = pair_documents(b, row, pairs, st);
    if (code == STATUS_OK && !row->refusal) code = summarise(b, row, pairs, st);
    arena_reset(&b->scratch);
    return code;
}

/* ---- Groups ---- */

static status_code same_members(struct builder *b, const char *group, bool *same, struct status *st)
{
    static const char sql[] = "SELECT group_concat(task, ' ') FROM (SELECT task FROM group_leaf "
                              "WHERE run = ? AND group_name = ? ORDER BY task)";
    const struct side *sides[] = {&b->a, &b->b};
    const char *members[2] = {NULL, NULL};
    for (int i = 0; i < 2; i++) {
        struct query *query = query_cached(sides[i]->store, sql, st);
        if (!query) return st->code;
        query_bind_str(query, sides[i]->table->run.id);
        query_bind_str(query, group);
        if (query_only_row(query, group, st) != STATUS_OK) return st->code;
        status_code code = query_copy_str(query, 0, &b->scratch, &members[i], st);
        query_reset(query);
        if (code != STATUS_OK) return code;
    }
    *same = members[0] && members[1] && strcmp(members[0], members[1]) == 0;
    return STATUS_OK;
}

/* Appends the pairs of a task's row to the group's; refuses the group where the task is refused. */
static status_code pool_member(struct builder *b, struct comparison_row *group,
                               struct pairs *pooled, const char *task, struct status *st)
{
    for (size_t i = 0; i < b->c->n_rows; i++) {
        const struct comparison_row *row = &b->c->rows[i];
        const struct pairs *pairs = &b->pairs[i];
        if (row->is_group || strcmp(row->name, task) != 0 ||
            strcmp(row->metric, group->metric) != 0 ||
            strcmp(row->extraction, group->extraction) != 0)
            continue;
        if (row->refusal) return refuse(b, group, st, "%s: %s", task, row->refusal);
        if (!pairs->n) return STATUS_OK;
        double *a = realloc(pooled->a, (pooled->n + pairs->n) * sizeof *a);
        if (a) pooled->a = a;
        double *other = realloc(pooled->b, (pooled->n + pairs->n) * sizeof *other);
        if (other) pooled->b = other;
        if (!a || !other) return status_no_memory(st, "a comparison");
        memcpy(pooled->a + pooled->n, pairs->a, pairs->n * sizeof *a);
        memcpy(pooled->b + pooled->n, pairs->b, pairs->n * sizeof *a);
        pooled->n += pairs->n;
        return STATUS_OK;
    }
    return STATUS_OK;
}

static status_code compare_group(struct builder *b, struct comparison_row *row, struct pairs *pairs,
                                 struct status *st)
{
    static const char sql[] =
        "SELECT task FROM group_leaf WHERE run = ? AND group_name = ? ORDER BY task";
    bool same = false, found = true;
    if (row->refusal) return STATUS_OK;
    if (same_members(b, row->name, &same, st) != STATUS_OK) return st->code;
    if (!same) return refuse(b, row, st, "the group has other tasks in A than in B");
    struct query *query = query_cached(b->b.store, sql, st);
    if (!query) return st->code;
    query_bind_str(query, b->b.table->run.id);
    query_bind_str(query, row->name);
    status_code code = STATUS_OK;
    while (code == STATUS_OK && !row->refusal) {
        const char *task = NULL;
        code = query_row(query, &found, st);
        if (code != STATUS_OK || !found) break;
        code = query_copy_str(query, 0, &b->scratch, &task, st);
        if (code == STATUS_OK && task) code = pool_member(b, row, pairs, task, st);
    }
    query_reset(query);
    if (code == STATUS_OK && !row->refusal) code = summarise(b, row, pairs, st);
    arena_reset(&b->scratch);
    return code;
}

/* ---- All rows ---- */

static status_code start_row(struct builder *b, const struct score_row *from, bool from_b,
                             struct status *st)
{
    struct comparison_row *row = &b->c->rows[b->c->n_rows++];
    const struct score_row *x = from_b ? find_row(&b->a, from) : from;
    const struct score_row *y = from_b ? from : NULL;
    double nan = (double)NAN;
    *row = (struct comparison_row){
        .name = from->name,
        .is_group = from->is_group,
        .depth = from->depth,
        .metric = from->metric,
        .extraction = from->extraction,
        .is_headline = from->is_headline,
        .direction = from->direction,
        .in_a = x != NULL,
        .in_b = y != NULL,
        .mean_a = nan,
        .mean_b = nan,
        .coverage_a = x ? column_of(&b->a, x)->coverage : 0,
        .coverage_b = y ? column_of(&b->b, y)->coverage : 0,
        .p = nan,
        .difference = {nan, nan, {nan, nan}},
    };
    if (!x || !y) return refuse(b, row, st, "run %s has no such task or metric", x ? "B" : "A");
    if (x->direction != y->direction)
        return refuse(b, row, st, "the runs disagree on whether higher is better");
    return STATUS_OK;
}

static status_code start_rows(struct builder *b, struct status *st)
{
    const struct score_table *a = b->a.table, *t = b->b.table;
    size_t max = a->n_rows + t->n_rows;
    b->c->rows = arena_array(&b->c->arena, max ? max : 1, sizeof *b->c->rows);
    b->pairs = calloc(max ? max : 1, sizeof *b->pairs);
    if (!b->c->rows || !b->pairs) return status_no_memory(st, "a comparison");
    for (size_t i = 0; i < t->n_rows; i++)
        if (start_row(b, &t->rows[i], true, st) != STATUS_OK) return st->code;
    for (size_t i = 0; i < a->n_rows; i++)
        if (!find_row(&b->b, &a->rows[i]) && start_row(b, &a->rows[i], false, st) != STATUS_OK)
            return st->code;
    return STATUS_OK;
}

static status_code compare_all(struct builder *b, struct status *st)
{
    struct comparison *c = b->c;
    struct side *sides[] = {&b->a, &b->b};
    for (int i = 0; i < 2; i++) {
        struct side *side = sides[i];
        side->table = i == 0 ? c->a : c->b;
        side->delivered = c->column == COMPARE_ENFORCE && side->table->run.guard_mode != GUARD_OFF;
        if (store_load_tasks(side->store, side->table->run.id, &c->arena, &side->tasks,
                             &side->n_tasks, st) != STATUS_OK)
            return st->code;
    }
    if (start_rows(b, st) != STATUS_OK) return st->code;
    for (size_t i = 0; i < c->n_rows; i++)
        if (!c->rows[i].is_group && compare_task(b, &c->rows[i], &b->pairs[i], st) != STATUS_OK)
            return st->code;
    for (size_t i = 0; i < c->n_rows; i++)
        if (c->rows[i].is_group && compare_group(b, &c->rows[i], &b->pairs[i], st) != STATUS_OK)
            return st->code;
    return STATUS_OK;
}

status_code comparison_create(struct comparison **out, struct store *store_a, const char *run_a,
                              struct store *store_b, const char *run_b,
                              const struct comparison_options *options, struct status *st)
{
    *out = NULL;
    double confidence = options->confidence > 0 ? options->confidence : 0.95;
    if (!(confidence < 1)) return status_set(st, STATUS_USAGE, "confidence must be below 1");
    struct comparison *c = calloc(1, sizeof *c);
    if (!c) return status_no_memory(st, "a comparison");
    arena_init(&c->arena, LIMIT_REPORT_BYTES);
    c->column = options->column;
    c->confidence = confidence;
    struct builder b = {.c = c, .a = {.store = store_a}, .b = {.store = store_b}};
    arena_init(&b.scratch, LIMIT_REPORT_BYTES);
    status_code code = score_table_load(&c->a, store_a, run_a, 0, st);
    if (code == STATUS_OK) code = score_table_load(&c->b, store_b, run_b, 0, st);
    if (code == STATUS_OK) code = compare_all(&b, st);
    for (size_t i = 0; b.pairs && i < c->n_rows; i++) {
        free(b.pairs[i].a);
        free(b.pairs[i].b);
    }
    free(b.pairs);
    arena_release(&b.scratch);
    if (code != STATUS_OK)
        comparison_free(c);
    else
        *out = c;
    return code;
}

void comparison_free(struct comparison *comparison)
{
    if (!comparison) return;
    score_table_free(comparison->a);
    score_table_free(comparison->b);
    arena_release(&comparison->arena);
    free(comparison);
}
