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
#define LINES_AT_A_TIME     32 /* of a summary: as many values of every document are in memory */

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
struct summary_line {
    const struct task_metric *metric;
    int best_of;
    bool named_by_k; /* printed as metric@k */
    int64_t n, n_missing, n_tasks;
    double sum, squares;      /* squared distances from each task's own mean */
    struct interval interval; /* where the task judges toxicity */
};

/* The tallies that are summarised together, and room for values: (LINES_AT_A_TIME, D). */
struct summary {
    struct reply_tally *const *tallies;
    int n_tallies;
    size_t most_documents;
    double *values;
    double *rows; /* the same by document, where intervals are printed */
};

/* What the replies to a document are worth in one column, kept while lines ask for the same. */
struct document_replies {
    int column; /* -1 before the first */
    size_t n;
    bool is_sorted;
    double values[LIMIT_REPEATS], sorted[LIMIT_REPEATS];
};

static bool in_stratum(const struct reply_tally *tally, int64_t doc, const char *stratum)
{
    const struct task *task = task_of(tally);
    if (!stratum) return true;
    if (!task->doc_to_stratum) return false;
    const char *own = task->doc_to_stratum(task, task_instance_document(tally->instance, doc));
    return own && strcmp(own, stratum) == 0;
}

static void take_replies(const struct reply_tally *tally, int64_t doc, int column,
                         struct document_replies *out)
{
    if (out->column == column) return;
    out->column = column;
    out->n = 0;
    out->is_sorted = false;
    for (size_t i = tally->first[doc]; i < tally->first[doc + 1]; i++) {
        double value = tally->values[tally->order[i] * (size_t)tally->n_columns + (size_t)column];
        if (!isnan(value)) out->values[out->n++] = value;
    }
}

/* NAN when none of the replies has a value, or when there are fewer than the metric's own k. */
static double document_value(const struct summary_line *line, struct document_replies *replies)
{
    size_t n = replies->n, k = line->best_of > 1 ? (size_t)line->best_of : 1;
    bool all_of_them = line->metric->metric->best_of == TASK_BEST_OF_ALL;
    if (!n || (k > n && !all_of_them)) return (double)NAN;
    if (k == 1) return stat_mean(replies->values, n);
    if (!replies->is_sorted) {
        memcpy(replies->sorted, replies->values, n * sizeof *replies->sorted);
        stat_sort(replies->sorted, n);
        replies->is_sorted = true;
    }
    return stat_expected_maximum_sorted(replies->sorted, n, k < n ? k : n);
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

/* The column of a task that a line reads; n_columns where the task has none for it. */
static int source_column(const struct reply_tally *tally, const struct summary_line *line)
{
    const struct metric *metric = line->metric->metric;
    if (!has_metric(tally, line->metric)) return tally->n_columns;
    return column_of(tally, metric->source ? metric->source : metric->name,
                     line->metric->extraction);
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

/* Adds a task's documents to the lines, document by document: what lines share is looked up once.
 */
static void collect(const struct summary *summary, const struct reply_tally *tally,
                    struct summary_line *lines, size_t n_lines)
{
    int64_t n[LINES_AT_A_TIME] = {0};
    int columns[LINES_AT_A_TIME];
    for (size_t l = 0; l < n_lines; l++) columns[l] = source_column(tally, &lines[l]);
    for (int64_t d = 0; d < tally->n_documents; d++) {
        struct document_replies replies;
        replies.column = -1;
        for (size_t l = 0; l < n_lines; l++) {
            if (columns[l] == tally->n_columns ||
                !in_stratum(tally, d, lines[l].metric->metric->stratum))
                continue;
            take_replies(tally, d, columns[l], &replies);
            double value = document_value(&lines[l], &replies);
            if (isnan(value))
                lines[l].n_missing++;
            else
                summary->values[l * summary->most_documents + (size_t)n[l]++] = value;
        }
    }
    for (size_t l = 0; l < n_lines; l++) {
        const double *values = summary->values + l * summary->most_documents;
        double sum = 0, squares = 0;
        for (int64_t i = 0; i < n[l]; i++) sum += values[i];
        double mean = sum / (double)n[l];
        for (int64_t i = 0; i < n[l]; i++) squares += (values[i] - mean) * (values[i] - mean);
        lines[l].sum += sum;
        lines[l].squares += squares;
        lines[l].n += n[l];
        lines[l].n_tasks += n[l] > 0;
    }
}

/* Intervals of lines of one task.  Those over equally many documents draw the same rows, and so are
 * drawn together. */
static status_code find_intervals(const struct summary *summary, struct summary_line *lines,
                                  size_t n_lines, struct status *st)
{
    bool done[LINES_AT_A_TIME] = {false};
    for (size_t first = 0; first < n_lines; first++) {
        struct interval intervals[LINES_AT_A_TIME];
        size_t members[LINES_AT_A_TIME], n_members = 0, n = (size_t)lines[first].n;
        for (size_t l = first; l < n_lines; l++)
            if (!done[l] && lines[l].n == lines[first].n) members[n_members++] = l;
        for (size_t i = 0; i < n; i++)
            for (size_t m = 0; m < n_members; m++)
                summary->rows[i * n_members + m] =
                    summary->values[members[m] * summary->most_documents + i];
        if (!stat_bootstrap_means(summary->rows, n, n_members, RESAMPLING_SEED, INTERVAL_CONFIDENCE,
                                  RESAMPLES, intervals))
            return status_no_memory(st, "intervals");
        for (size_t m = 0; m < n_members; m++) {
            done[members[m]] = true;
            lines[members[m]].interval = intervals[m];
        }
    }
    return STATUS_OK;
}

static void append_interval(struct strbuf *out, struct interval interval)
{
    strbuf_append_str(out, ", \"interval\": [");
    json_append_number(out, interval.low);
    strbuf_append_str(out, ", ");
    json_append_number(out, interval.high);
    strbuf_append_char(out, ']');
}

static bool has_intervals(const struct summary *summary)
{
    return summary->n_tallies == 1 && task_of(summary->tallies[0])->judges_toxicity;
}

/* lm-eval's group standard error, sqrt(sum((n_i - 1) * se_i**2 * n_i) / (N - k) / N) over k tasks;
 * with one task it is the standard error of its mean. */
static void append_line(const struct summary *summary, const struct summary_line *line,
                        struct strbuf *out)
{
    char name[64];
    const struct task *task = NULL;
    for (int i = 0; i < summary->n_tallies; i++)
        if (has_metric(summary->tallies[i], line->metric)) task = task_of(summary->tallies[i]);
    snprintf(name, sizeof name, "%s", line->metric->metric->name);
    if (line->named_by_k)
        snprintf(name, sizeof name, "%s@%d", line->metric->metric->name, line->best_of);
    task_append_metric_key(task, name, line->metric->extraction, out);
    strbuf_append_str(out, ": {\"value\": ");
    json_append_number(out, line->sum / (double)line->n);
    strbuf_append_str(out, ", \"stderr\": ");
    json_append_number(
        out, line->n > line->n_tasks
                 ? sqrt(line->squares / (double)(line->n - line->n_tasks) / (double)line->n)
                 : (double)NAN);
    strbuf_appendf(out, ", \"n\": %lld, \"n_missing\": %lld", (long long)line->n,
                   (long long)line->n_missing);
    if (!line->named_by_k) {
        append_outcomes(summary->tallies, summary->n_tallies, line->metric, out);
        append_disputed(summary->tallies, summary->n_tallies, line->metric, out);
    }
    if (has_intervals(summary)) append_interval(out, line->interval);
    strbuf_append_char(out, '}');
}

/* ---- the summary ---- */

static status_code append_lines(const struct summary *summary, struct summary_line *lines,
                                size_t n_lines, bool *first, struct strbuf *out, struct status *st)
{
    for (int i = 0; i < summary->n_tallies; i++)
        collect(summary, summary->tallies[i], lines, n_lines);
    status_code code =
        has_intervals(summary) ? find_intervals(summary, lines, n_lines, st) : STATUS_OK;
    for (size_t l = 0; l < n_lines && code == STATUS_OK; l++) {
        strbuf_append_str(out, *first ? "" : ", ");
        *first = false;
        append_line(summary, &lines[l], out);
    }
    return code;
}

static bool listed_before(struct reply_tally *const *tallies, int task, const struct task_metric *m)
{
    for (int i = 0; i < task; i++)
        if (has_metric(tallies[i], m)) return true;
    return false;
}

/* The metrics of a task that no task before it has, each followed by itself at every k. */
static status_code append_task(const struct summary *summary, int task, bool *first,
                               struct strbuf *out, struct status *st)
{
    struct task_metric metrics[TASK_MAX_VALUES];
    struct summary_line lines[LINES_AT_A_TIME];
    int most = most_replies(summary->tallies[task]);
    int n = task_list_metrics(task_of(summary->tallies[task]), most, metrics);
    size_t n_lines = 0;
    status_code code = STATUS_OK;
    for (int i = 0; i < n && code == STATUS_OK; i++) {
        if (listed_before(summary->tallies, task, &metrics[i])) continue;
        int last = metrics[i].metric->best_of == TASK_BEST_OF_ALL ? most : 0;
        for (int k = 0; k <= last && code == STATUS_OK; k++) {
            lines[n_lines++] = (struct summary_line){
                .metric = &metrics[i], .best_of = k ? k : metrics[i].best_of, .named_by_k = k > 0};
            if (n_lines < LINES_AT_A_TIME) continue;
            code = append_lines(summary, lines, n_lines, first, out, st);
            n_lines = 0;
        }
    }
    return code == STATUS_OK ? append_lines(summary, lines, n_lines, first, out, st) : code;
}

static status_code make_summary_room(struct summary *summary, struct status *st)
{
    size_t n = 1;
    for (int i = 0; i < summary->n_tallies; i++)
        if ((size_t)summary->tallies[i]->n_documents > n)
            n = (size_t)summary->tallies[i]->n_documents;
    summary->most_documents = n;
    summary->values = calloc(n, LINES_AT_A_TIME * sizeof *summary->values);
    if (has_intervals(summary)) summary->rows = calloc(n, LINES_AT_A_TIME * sizeof *summary->rows);
    bool good = summary->values && (summary->rows || !has_intervals(summary));
    return good ? STATUS_OK : status_no_memory(st, "scores");
}

status_code reply_tallies_summarise(struct reply_tally *const *tallies, int n, struct text scorers,
                                    struct strbuf *out, struct status *st)
{
    bool first = true;
    struct summary summary = {.tallies = tallies, .n_tallies = n};
    status_code code = make_summary_room(&summary, st);
    for (int i = 0; i < n && code == STATUS_OK; i++) {
        code = sort_replies(tallies[i], st);
        if (code == STATUS_OK && tallies[i]->scores) code = score_together(tallies[i], st);
    }
    strbuf_append_str(out, "{\"metrics\": {");
    for (int i = 0; i < n && code == STATUS_OK; i++)
        code = append_task(&summary, i, &first, out, st);
    strbuf_append_char(out, '}');
    strbuf_append(out, scorers.data, scorers.length);
    strbuf_append_str(out, "}\n");
    free(summary.values);
    free(summary.rows);
    return code == STATUS_OK ? strbuf_check(out, "summary", st) : code;
}
