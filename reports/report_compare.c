/* report_compare.c - a comparison and a gate's result as text and as Markdown. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "engine/base/limits.h"
#include "reports/report.h"
#include "reports/report_escape.h"
#include "reports/report_grid.h"
#include "reports/report_table.h"

/* How the two formats differ. */
struct style {
    void (*print)(const struct report_grid *grid, struct strbuf *out);
    void (*escape)(struct strbuf *out, struct text text);
    const char *bullet; /* before a line of prose */
};
static const struct style text_style = {report_grid_text, escape_line, ""};
static const struct style markdown_style = {report_grid_markdown, escape_markdown, "- "};

static void append_line(struct strbuf *out, const struct style *style, const char *label,
                        const char *value)
{
    strbuf_appendf(out, "%s%-11s", style->bullet, label);
    style->escape(out, text_of(value ? value : "unknown"));
    strbuf_append_char(out, '\n');
}

static void metric_cell(struct report_grid *grid, const char *metric, const char *extraction)
{
    if (!metric)
        report_grid_cell(grid, "%s", "");
    else if (!extraction || strcmp(extraction, STORE_NO_EXTRACTION) == 0)
        report_grid_cell(grid, "%s", metric);
    else
        report_grid_cell(grid, "%s,%s", metric, extraction);
}

static void score_cell(struct report_grid *grid, double value)
{
    if (isnan(value))
        report_grid_cell(grid, "%s", "");
    else
        report_grid_cell(grid, "%.4f", value);
}

static void p_cell(struct report_grid *grid, double p)
{
    if (isnan(p))
        report_grid_cell(grid, "%s", "");
    else
        report_grid_cell(grid, "%.2g", p);
}

static void append_runs(struct strbuf *out, const struct style *style,
                        const struct comparison *comparison, const char *label_a,
                        const char *label_b)
{
    char value[512];
    const struct store_run *runs[] = {&comparison->a->run, &comparison->b->run};
    const char *labels[] = {label_a, label_b};
    for (int i = 0; i < 2; i++) {
        const char *adapter = runs[i]->adapter;
        snprintf(value, sizeof value, "%s, %s%s%s, guard %s", runs[i]->id,
                 runs[i]->model_path ? runs[i]->model_path : "unknown model",
                 adapter ? " with " : "", adapter ? adapter : "",
                 guard_mode_name(runs[i]->guard_mode));
        append_line(out, style, labels[i], value);
    }
    append_line(out, style, "column", score_choice_name(comparison->column));
    strbuf_append_char(out, '\n');
}

/* How the replies behind a row ended in both runs, where not all were right or wrong. */
static void append_row_endings(struct strbuf *out, const struct style *style,
                               const struct comparison *comparison, const char *name,
                               const char *metric, const char *extraction, const char *label_a,
                               const char *label_b)
{
    const struct score_table *tables[] = {comparison->a, comparison->b};
    const char *labels[] = {label_a, label_b};
    struct strbuf line;
    strbuf_init(&line, LIMIT_CONFIG_BYTES);
    strbuf_appendf(&line, "%s ", name);
    append_metric_key(&line, metric, extraction);
    size_t plain = line.length;
    for (int i = 0; i < 2; i++) {
        const struct score_row *row = table_find_row(tables[i], name, metric, extraction);
        size_t before = line.length;
        if (!row) continue;
        strbuf_appendf(&line, "%s %s: ", before > plain ? ";" : "", labels[i]);
        size_t empty = line.length;
        append_endings(&line, row);
        if (line.length == empty) strbuf_truncate(&line, before);
    }
    if (line.length > plain) append_line(out, style, "endings", line.data);
    strbuf_release(&line);
}

/* ---- Two runs ---- */

static void fill_comparison_row(struct report_grid *grid, const struct comparison_row *row)
{
    report_grid_cell(grid, "%*s%s", 2 * row->depth, "", row->name);
    metric_cell(grid, row->metric, row->extraction);
    report_grid_cell(grid, "%s", direction_mark(row->direction));
    report_grid_cell(grid, "%lld", (long long)row->n_pairs);
    score_cell(grid, row->mean_a);
    score_cell(grid, row->mean_b);
    if (isnan(row->difference.mean))
        report_grid_cell(grid, "%s", "");
    else
        report_grid_cell(grid, "%+.4f", row->difference.mean);
    if (isnan(row->difference.interval.low))
        report_grid_cell(grid, "%s", "");
    else
        report_grid_cell(grid, "%+.4f to %+.4f", row->difference.interval.low,
                         row->difference.interval.high);
    if (row->is_binary)
        report_grid_cell(grid, "%lld / %lld / %lld / %lld", (long long)row->both,
                         (long long)row->a_only, (long long)row->b_only, (long long)row->neither);
    else
        report_grid_cell(grid, "%s", "");
    p_cell(grid, row->p);
    report_grid_cell(grid, "%.0f%% / %.0f%%", 100 * row->coverage_a, 100 * row->coverage_b);
}

static void print_comparison(const struct comparison *comparison, const struct style *style,
                             struct strbuf *out)
{
    char interval[32];
    snprintf(interval, sizeof interval, ">%g%% interval", 100 * comparison->confidence);
    const char *const headings[] = {
        "Task", "Metric",      "", ">Pairs", ">A", ">B", ">B - A", interval, ">Both / A / B / none",
        ">p",   ">Cover A / B"};
    struct report_grid grid;
    append_runs(out, style, comparison, "A", "B");
    report_grid_init(&grid, headings, sizeof headings / sizeof headings[0]);
    for (size_t i = 0; i < comparison->n_rows; i++)
        if (!comparison->rows[i].refusal) fill_comparison_row(&grid, &comparison->rows[i]);
    style->print(&grid, out);
    report_grid_release(&grid);
    strbuf_append_char(out, '\n');
    for (size_t i = 0; i < comparison->n_rows; i++)
        append_row_endings(out, style, comparison, comparison->rows[i].name,
                           comparison->rows[i].metric, comparison->rows[i].extraction, "A", "B");
    for (size_t i = 0; i < comparison->n_rows; i++) {
        const struct comparison_row *row = &comparison->rows[i];
        char value[1024];
        if (!row->refusal) continue;
        snprintf(value, sizeof value, "%s %s: %s", row->name, row->metric, row->refusal);
        append_line(out, style, "refused", value);
    }
}

void report_comparison_text(const struct comparison *comparison, struct strbuf *out)
{
    print_comparison(comparison, &text_style, out);
}

void report_comparison_markdown(const struct comparison *comparison, struct strbuf *out)
{
    print_comparison(comparison, &markdown_style, out);
}

/* ---- The gate ---- */

static void fill_test(struct report_grid *grid, const struct gate_test *test)
{
    report_grid_cell(grid, "%s", gate_verdict_name(test->verdict));
    report_grid_cell(grid, "%s", test->name);
    metric_cell(grid, test->metric, test->extraction);
    score_cell(grid, test->row ? test->row->mean_a : (double)NAN);
    score_cell(grid, test->row ? test->row->mean_b : (double)NAN);
    report_grid_cell(grid, "%g", test->margin);
    p_cell(grid, test->p_adjusted);
    report_grid_cell(grid, "%s", test->reason);
}

static void print_alerts(const struct gate_result *result, const struct style *style,
                         struct strbuf *out)
{
    for (size_t i = 0; i < result->n_tests; i++) {
        const struct gate_test *test = &result->tests[i];
        char value[512];
        if (!test->alert) continue;
        snprintf(value, sizeof value,
                 "%s %s rose by %.4f: look for leaked data or changed settings before believing it",
                 test->name, test->metric, -test->drop);
        append_line(out, style, "alert", value);
    }
}

static void print_gate(const struct gate_result *result, const struct style *style,
                       struct strbuf *out)
{
    static const char *const headings[] = {"Verdict",    "Task",    "Metric", ">Baseline",
                                           ">Candidate", ">Margin", ">p",     "Why"};
    char value[128];
    struct report_grid grid;
    append_line(out, style, "gate", gate_verdict_name(result->verdict));
    snprintf(value, sizeof value, "%g, coverage floor %g", result->alpha, result->coverage_floor);
    append_line(out, style, "alpha", value);
    append_runs(out, style, result->comparison, "baseline", "candidate");
    report_grid_init(&grid, headings, sizeof headings / sizeof headings[0]);
    for (size_t i = 0; i < result->n_tests; i++) fill_test(&grid, &result->tests[i]);
    if (result->has_overall) fill_test(&grid, &result->overall);
    style->print(&grid, out);
    report_grid_release(&grid);
    strbuf_append_char(out, '\n');
    for (size_t i = 0; i < result->n_tests; i++)
        if (result->tests[i].metric)
            append_row_endings(out, style, result->comparison, result->tests[i].name,
                               result->tests[i].metric, result->tests[i].extraction, "baseline",
                               "candidate");
    print_alerts(result, style, out);
}

void report_gate_text(const struct gate_result *result, struct strbuf *out)
{
    print_gate(result, &text_style, out);
}

void report_gate_markdown(const struct gate_result *result, struct strbuf *out)
{
    print_gate(result, &markdown_style, out);
}
