#include "benchmarks/reply_tally.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/json.h"
#include "engine/base/limits.h"
#include "reports/statistics.h"

#define RESAMPLES           1000
#define RESAMPLING_SEED     1234
#define INTERVAL_CONFIDENCE 0.95

/* D documents, N replies, C columns: the metrics that have values of their own. */
struct reply_tally {
    const struct task_instance *instance;
    int64_t n_documents;                         /* D */
    int n_columns;                               /* C */
    struct task_metric columns[TASK_MAX_VALUES]; /* (C) */
    int *n_replies;                              /* (D) */
    size_t n, capacity;                          /* N */
    int64_t *doc_ids;                            /* (N) */
    double *values;                              /* (N, C); NAN: unknown */
    int64_t outcomes[TASK_MAX_VALUES][OUTCOMES]; /* (C) replies by how they ended */
    struct score *scores; /* (N), where the task looks at replies together; else NULL */
    struct arena texts;   /* extracted answers of `scores` */
    size_t *order;        /* (N) replies by document, once summarised */
    size_t *first;        /* (D + 1) into order */
};

static const struct task *task_of(const struct reply_tally *tally)
{
    return task_instance_info(tally->instance)->ref->task;
}

status_code reply_tally_create(struct reply_tally **out, const struct task_instance *instance,
                               struct status *st)
{
    struct task_metric metrics[TASK_MAX_VALUES];
    struct reply_tally *tally = calloc(1, sizeof *tally);
    if (!tally) return status_no_memory(st, "scores");
    tally->instance = instance;
    tally->n_documents = task_instance_info(instance)->n_documents;
    int n = task_list_metrics(task_of(tally), LIMIT_REPEATS, metrics);
    for (int i = 0; i < n; i++)
        if (!metrics[i].metric->source) tally->columns[tally->n_columns++] = metrics[i];
    arena_init(&tally->texts, LIMIT_REPORT_BYTES);
    tally->n_replies = calloc((size_t)tally->n_documents + 1, sizeof *tally->n_replies);
    if (!tally->n_replies) {
        reply_tally_free(tally);
        return status_no_memory(st, "scores");
    }
    *out = tally;
    return STATUS_OK;
}

void reply_tally_free(struct reply_tally *tally)
{
    if (!tally) return;
    arena_release(&tally->texts);
    free(tally->n_replies);
    free(tally->doc_ids);
    free(tally->values);
    free(tally->scores);
    free(tally->order);
    free(tally->first);
    free(tally);
}

const struct task_instance *reply_tally_task(const struct reply_tally *tally)
{
    return tally->instance;
}

/* ---- adding ---- */

static bool resize(void *array, size_t n, size_t item_size)
{
    size_t bytes;
    if (__builtin_mul_overflow(n, item_size, &bytes)) return false;
    void *grown = realloc(*(void **)array, bytes);
    if (grown) *(void **)array = grown;
    return grown != NULL;
}

static status_code make_room(struct reply_tally *tally, struct status *st)
{
    if (tally->n < tally->capacity) return STATUS_OK;
    size_t capacity = tally->capacity ? 2 * tally->capacity : 256;
    if (!resize(&tally->doc_ids, capacity, sizeof *tally->doc_ids) ||
        !resize(&tally->values, capacity * (size_t)tally->n_columns, sizeof *tally->values) ||
        (task_of(tally)->score_repeats && !resize(&tally->scores, capacity, sizeof *tally->scores)))
        return status_no_memory(st, "scores");
    tally->capacity = capacity;
    return STATUS_OK;
}

static int column_of(const struct reply_tally *tally, const char *metric, const char *extraction)
{
    int c = 0;
    while (c < tally->n_columns && (strcmp(tally->columns[c].metric->name, metric) != 0 ||
                                    strcmp(tally->columns[c].extraction, extraction) != 0))
        c++;
    return c;
}

static void set_values(struct reply_tally *tally, size_t reply, const struct score *score)
{
    double *row = tally->values + reply * (size_t)tally->n_columns;
    for (int c = 0; c < tally->n_columns; c++) row[c] = (double)NAN;
    for (int v = 0; v < score->n_values; v++) {
        int c = column_of(tally, score->values[v].metric, score->values[v].extraction);
        BUG_IF(c == tally->n_columns);
        row[c] = score->values[v].value;
    }
}

/* What the task looks at once all replies are known: the scores, with texts of our own. */
static status_code keep_score(struct reply_tally *tally, const struct score *score,
                              struct status *st)
{
    struct score *kept = &tally->scores[tally->n];
    *kept = *score;
    for (int v = 0; v < kept->n_values; v++) {
        struct text *text = &kept->values[v].extracted;
        if (!text->data) continue;
        text->data = arena_strndup(&tally->texts, text->data, text->length);
        if (!text->data) return status_no_memory(st, "an extracted answer");
    }
    return STATUS_OK;
}

status_code reply_tally_add(struct reply_tally *tally, int64_t doc_id, const struct score *score,
                            int *repeat, struct status *st)
{
    BUG_IF(doc_id < 0 || doc_id >= tally->n_documents);
    if (tally->n_replies[doc_id] == LIMIT_REPEATS)
        return status_set(st, STATUS_LIMIT, "more than %d replies to document %lld", LIMIT_REPEATS,
                          (long long)doc_id);
    status_code code = make_room(tally, st);
    if (code == STATUS_OK && tally->scores) code = keep_score(tally, score, st);
    if (code != STATUS_OK) return code;
    tally->doc_ids[tally->n] = doc_id;
    set_values(tally, tally->n++, score);
    for (int v = 0; v < score->n_values; v++) {
        const struct metric_value *value = &score->values[v];
        tally->outcomes[column_of(tally, value->metric, value->extraction)][value->outcome]++;
    }
    *repeat = tally->n_replies[doc_id]++;
    return STATUS_OK;
}

/* ---- by document ---- */

/* A counting sort: replies to a document stay in their order. */
static status_code sort_replies(struct reply_tally *tally, struct status *st)
{
    size_t documents = (size_t)tally->n_documents;
    if (!resize(&tally->order, tally->n + 1, sizeof *tally->order) ||
        !resize(&tally->first, documents + 1, sizeof *tally->first))
        return status_no_memory(st, "scores");
    size_t *next = calloc(documents + 1, sizeof *next);
    if (!next) return status_no_memory(st, "scores");
    tally->first[0] = 0;
    for (size_t d = 0; d < documents; d++)
        tally->first[d + 1] = tally->first[d] + (size_t)tally->n_replies[d];
    memcpy(next, tally->first, documents * sizeof *next);
    for (size_t i = 0; i < tally->n; i++) tally->order[next[tally->doc_ids[i]]++] = i;
    free(next);
    return STATUS_OK;
}

static status_code score_together(struct reply_tally *tally, struct status *st)
{
    status_code code = STATUS_OK;
    struct score *scores = calloc(LIMIT_REPEATS, sizeof *scores);
    if (!scores) return status_no_memory(st, "scores");
    for (int64_t d = 0; d < tally->n_documents && code == STATUS_OK; d++) {
        const size_t *replies = tally->order + tally->first[d];
        int n = tally->n_replies[d];
        if (!n) continue;
        for (int i = 0; i < n; i++) scores[i] = tally->scores[replies[i]];
        code = task_instance_score_repeats(tally->instance, d, scores, n, &tally->texts, st);
        for (int i = 0; i < n && code == STATUS_OK; i++) set_values(tally, replies[i], &scores[i]);
    }
    free(scores);
    return code;
}

static int most_replies(const struct reply_tally *tally)
{
    int most = 1;
    for (int64_t d = 0; d < tally->n_documents; d++)
        if (tally->n_replies[d] > most) most = tally->n_replies[d];
    return most;
}

/* ---- metrics ---- */

/* One line of the summary: a metric of some tasks, and how many replies it is the best of. */
struct summary_key {
    const struct task_metric *metric;
    int best_of;
    bool named_by_k; /* printed as metric@k */
};

/* What a metric is worth over the documents of one task. */
struct moments {
    int64_t n, n_missing;
    double sum, squares; /* squared distances from the task's own mean */
};

static bool in_stratum(const struct reply_tally *tally, int64_t doc, const char *stratum)
{
    const struct task *task = task_of(tally);
    if (!stratum) return true;
    if (!task->doc_to_stratum) return false;
    const char *own = task->doc_to_stratum(task, task_instance_document(tally->instance, doc));
    return own && strcmp(own, stratum) == 0;
}

/* NAN when none of the replies has a value, or when there are fewer than the metric's own k. */
static double document_value(const struct reply_tally *tally, int column,
                             const struct summary_key *key, int64_t doc)
{
    double values[LIMIT_REPEATS];
    size_t n = 0, k = key->best_of > 1 ? (size_t)key->best_of : 1;
    for (size_t i = tally->first[doc]; i < tally->first[doc + 1]; i++) {
        double value = tally->values[tally->order[i] * (size_t)tally->n_columns + (size_t)column];
        if (!isnan(value)) values[n++] = value;
    }
    bool all_of_them = key->metric->metric->best_of == TASK_BEST_OF_ALL;
    if (!n || (k > n && !all_of_them)) return (double)NAN;
    return k > 1 ? stat_expected_maximum(values, n, k < n ? k : n) : stat_mean(values, n);
}

/* Fills `values` with what the documents are worth; D must fit. */
static struct moments collect(const struct reply_tally *tally, const struct summary_key *key,
                              double *values)
{
    const struct metric *metric = key->metric->metric;
    struct moments m = {0};
    int column =
        column_of(tally, metric->source ? metric->source : metric->name, key->metric->extraction);
    if (column == tally->n_columns) return m;
    for (int64_t d = 0; d < tally->n_documents; d++) {
        if (!in_stratum(tally, d, metric->stratum)) continue;
        double value = document_value(tally, column, key, d);
        if (isnan(value))
            m.n_missing++;
        else
            values[m.n++] = value;
    }
    for (int64_t i = 0; i < m.n; i++) m.sum += values[i];
    double mean = m.sum / (double)m.n;
    for (int64_t i = 0; i < m.n; i++) m.squares += (values[i] - mean) * (values[i] - mean);
    return m;
}

static bool has_metric(const struct reply_tally *tally, const struct task_metric *wanted)
{
    struct task_metric metrics[TASK_MAX_VALUES];
    int n = task_list_metrics(task_of(tally), LIMIT_REPEATS, metrics);
    for (int i = 0; i < n; i++)
        if (!strcmp(metrics[i].metric->name, wanted->metric->name) &&
            !strcmp(metrics[i].extraction, wanted->extraction))
            return true;
    return false;
}

/* How the replies to all tasks ended under a metric that has values of its own; nothing where there
 * are none. */
static void append_outcomes(struct reply_tally *const *tallies, int n_tallies,
                            const struct task_metric *metric, struct strbuf *out)
{
    int64_t counts[OUTCOMES] = {0};
    for (int i = 0; i < n_tallies; i++) {
        int c = column_of(tallies[i], metric->metric->name, metric->extraction);
        for (int o = 0; o < OUTCOMES && c < tallies[i]->n_columns; o++)
            counts[o] += tallies[i]->outcomes[c][o];
    }
    bool first = true;
    for (int o = 0; o < OUTCOMES; o++) {
        if (!counts[o]) continue;
        strbuf_appendf(out, "%s\"%s\": %lld", first ? ", \"outcomes\": {" : ", ",
                       outcome_name((enum outcome)o), (long long)counts[o]);
        first = false;
    }
    if (!first) strbuf_append_char(out, '}');
}

/* Replies whose value under a column differs from that under another extraction of the metric; -1
 * where there is no other. */
static int64_t count_disputed(const struct reply_tally *tally, int column)
{
    int64_t disputed = -1;
    const char *name = tally->columns[column].metric->name;
    for (size_t r = 0; r < tally->n; r++) {
        const double *row = tally->values + r * (size_t)tally->n_columns;
        bool differs = false, has_other = false;
        for (int c = 0; c < tally->n_columns; c++) {
            if (c == column || strcmp(tally->columns[c].metric->name, name) != 0) continue;
            has_other = true;
            differs |= row[c] < row[column] || row[c] > row[column];
        }
        if (has_other) disputed = (disputed < 0 ? 0 : disputed) + differs;
    }
    return disputed;
}

static void append_disputed(struct reply_tally *const *tallies, int n_tallies,
                            const struct task_metric *metric, struct strbuf *out)
{
    int64_t disputed = -1;
    for (int i = 0; i < n_tallies; i++) {
        int c = column_of(tallies[i], metric->metric->name, metric->extraction);
        int64_t n = c < tallies[i]->n_columns ? count_disputed(tallies[i], c) : -1;
        if (n >= 0) disputed = (disputed < 0 ? 0 : disputed) + n;
    }
    if (disputed >= 0) strbuf_appendf(out, ", \"judged_otherwise\": %lld", (long long)disputed);
}

static void append_interval(struct strbuf *out, const double *values, int64_t n)
{
    double means[RESAMPLES];
    struct interval interval = stat_bootstrap_mean(values, (size_t)n, RESAMPLING_SEED,
                                                   INTERVAL_CONFIDENCE, means, RESAMPLES);
    strbuf_append_str(out, ", \"interval\": [");
    json_append_number(out, interval.low);
    strbuf_append_str(out, ", ");
    json_append_number(out, interval.high);
    strbuf_append_char(out, ']');
}

/* lm-eval's group standard error, sqrt(sum((n_i - 1) * se_i**2 * n_i) / (N - k) / N) over k tasks;
 * with one task it is the standard error of its mean. */
static status_code append_metric(struct reply_tally *const *tallies, int n_tallies,
                                 const struct summary_key *key, struct strbuf *out,
                                 struct status *st)
{
    struct moments all = {0};
    int64_t most = 1, n_tasks = 0;
    const struct task *task = NULL;
    for (int i = 0; i < n_tallies; i++)
        if (tallies[i]->n_documents > most) most = tallies[i]->n_documents;
    double *values = calloc((size_t)most, sizeof *values);
    if (!values) return status_no_memory(st, "scores");
    for (int i = 0; i < n_tallies; i++) {
        if (!has_metric(tallies[i], key->metric)) continue;
        task = task_of(tallies[i]);
        struct moments m = collect(tallies[i], key, values);
        all.n += m.n;
        all.n_missing += m.n_missing;
        all.sum += m.sum;
        if (m.n) all.squares += m.squares;
        n_tasks += m.n > 0;
    }
    char name[64];
    snprintf(name, sizeof name, "%s", key->metric->metric->name);
    if (key->named_by_k)
        snprintf(name, sizeof name, "%s@%d", key->metric->metric->name, key->best_of);
    task_append_metric_key(task, name, key->metric->extraction, out);
    strbuf_append_str(out, ": {\"value\": ");
    json_append_number(out, all.sum / (double)all.n);
    strbuf_append_str(out, ", \"stderr\": ");
    json_append_number(out, all.n > n_tasks
                                ? sqrt(all.squares / (double)(all.n - n_tasks) / (double)all.n)
                                : (double)NAN);
    strbuf_appendf(out, ", \"n\": %lld, \"n_missing\": %lld", (long long)all.n,
                   (long long)all.n_missing);
    if (!key->named_by_k) append_outcomes(tallies, n_tallies, key->metric, out);
    if (!key->named_by_k) append_disputed(tallies, n_tallies, key->metric, out);
    if (n_tallies == 1 && task_of(tallies[0])->judges_toxicity) append_interval(out, values, all.n);
    strbuf_append_char(out, '}');
    free(values);
    return STATUS_OK;
}

/* ---- the summary ---- */

static bool listed_before(struct reply_tally *const *tallies, int task, const struct task_metric *m)
{
    for (int i = 0; i < task; i++)
        if (has_metric(tallies[i], m)) return true;
    return false;
}

/* The metrics of a task that no task before it has. */
static status_code append_task(struct reply_tally *const *tallies, int n_tallies, int task,
                               bool *first, struct strbuf *out, struct status *st)
{
    struct task_metric metrics[TASK_MAX_VALUES];
    int most = most_replies(tallies[task]);
    int n = task_list_metrics(task_of(tallies[task]), most, metrics);
    status_code code = STATUS_OK;
    for (int i = 0; i < n && code == STATUS_OK; i++) {
        if (listed_before(tallies, task, &metrics[i])) continue;
        struct summary_key key = {&metrics[i], metrics[i].best_of, false};
        strbuf_append_str(out, *first ? "" : ", ");
        *first = false;
        code = append_metric(tallies, n_tallies, &key, out, st);
        if (metrics[i].metric->best_of != TASK_BEST_OF_ALL) continue;
        for (int k = 1; k <= most && code == STATUS_OK; k++) {
            key = (struct summary_key){&metrics[i], k, true};
            strbuf_append_str(out, ", ");
            code = append_metric(tallies, n_tallies, &key, out, st);
        }
    }
    return code;
}

status_code reply_tallies_summarise(struct reply_tally *const *tallies, int n, struct text scorers,
                                    struct strbuf *out, struct status *st)
{
    bool first = true;
    status_code code = STATUS_OK;
    for (int i = 0; i < n && code == STATUS_OK; i++) {
        code = sort_replies(tallies[i], st);
        if (code == STATUS_OK && tallies[i]->scores) code = score_together(tallies[i], st);
    }
    strbuf_append_str(out, "{\"metrics\": {");
    for (int i = 0; i < n && code == STATUS_OK; i++)
        code = append_task(tallies, n, i, &first, out, st);
    strbuf_append_char(out, '}');
    strbuf_append(out, scorers.data, scorers.length);
    strbuf_append_str(out, "}\n");
    return code == STATUS_OK ? strbuf_check(out, "summary", st) : code;
}
