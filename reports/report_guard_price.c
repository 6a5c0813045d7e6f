/* report_guard_price.c - what a guard cost, as text, as Markdown, as JSON, and a sweep as lines. */
#include <math.h>
#include <string.h>

#include "engine/base/limits.h"
#include "reports/report.h"
#include "reports/report_escape.h"
#include "reports/report_grid.h"
#include "reports/report_json.h"
#include "reports/report_table.h"

typedef void print_grid(const struct report_grid *grid, struct strbuf *out);

/* ---- tables ---- */

static void metric_cell(struct report_grid *grid, const struct score_row *row)
{
    bool whole = strcmp(row->extraction, STORE_NO_EXTRACTION) == 0;
    report_grid_cell(grid, "%s%s%s", row->metric, whole ? "" : ",", whole ? "" : row->extraction);
}

static void column_cell(struct report_grid *grid, const struct score_column *column)
{
    if (column->state == SCORE_KNOWN)
        report_grid_cell(grid, "%.4f", column->value);
    else
        report_grid_cell(grid, "%s", column->state == SCORE_WITHHELD ? "withheld" : "unknown");
}

static void count_cell(struct report_grid *grid, bool known, int64_t count, int64_t unheard)
{
    if (!known)
        report_grid_cell(grid, "%s", "");
    else if (unheard)
        report_grid_cell(grid, "%lld (+%lld unheard)", (long long)count, (long long)unheard);
    else
        report_grid_cell(grid, "%lld", (long long)count);
}

static void fill_row(struct report_grid *grid, const struct guard_price_row *row)
{
    const struct guard_calls *calls = &row->calls;
    report_grid_cell(grid, "%*s%s", 2 * row->score->depth, "", row->score->name);
    metric_cell(grid, row->score);
    report_grid_cell(grid, "%s", direction_mark(row->score->direction));
    report_grid_cell(grid, "%lld", (long long)row->n_pairs);
    column_cell(grid, &row->score->off);
    column_cell(grid, &row->score->enforce);
    if (isnan(row->difference.mean))
        report_grid_cell(grid, "%s", "");
    else
        report_grid_cell(grid, "%+.4f", row->difference.mean);
    if (isnan(row->difference.interval.low))
        report_grid_cell(grid, "%s", "");
    else
        report_grid_cell(grid, "%+.4f to %+.4f", row->difference.interval.low,
                         row->difference.interval.high);
    count_cell(grid, row->has_calls, calls->good_blocked, calls->unheard_blocked);
    count_cell(grid, row->has_calls, calls->bad_blocked, 0);
    count_cell(grid, row->has_calls, calls->good_passed, calls->unheard_passed);
    count_cell(grid, row->has_calls, calls->bad_passed, 0);
}

static void print_rows(const struct guard_price *price, print_grid *print, struct strbuf *out)
{
    static const char *const headings[] = {"Task",         "Metric",        "",
                                           ">Pairs",       ">Off",          ">Enforce",
                                           ">Change",      ">95% interval", ">Blocked good",
                                           ">Blocked bad", ">Passed good",  ">Passed bad"};
    struct report_grid grid;
    report_grid_init(&grid, headings, sizeof headings / sizeof headings[0]);
    for (size_t i = 0; i < price->n_rows; i++) fill_row(&grid, &price->rows[i]);
    print(&grid, out);
    report_grid_release(&grid);
}

/* The ks that the text shows: small ones, tens, and all. */
static bool is_shown(const struct guard_price *price, size_t i)
{
    const struct guard_at_k *at = &price->at_k[i];
    bool is_last = i + 1 == price->n_at_k || price->at_k[i + 1].score != at->score;
    return is_last || at->k == 1 || at->k == 2 || at->k == 5 || at->k % 10 == 0;
}

static void mean_cell(struct report_grid *grid, double value)
{
    if (isnan(value))
        report_grid_cell(grid, "%s", "unknown");
    else
        report_grid_cell(grid, "%.4f", value);
}

static void print_at_k(const struct guard_price *price, print_grid *print, struct strbuf *out)
{
    static const char *const headings[] = {"Best of k", "Metric",   ">k",     ">Documents",
                                           ">Off",      ">Enforce", ">Change"};
    struct report_grid grid;
    if (!price->n_at_k) return;
    report_grid_init(&grid, headings, sizeof headings / sizeof headings[0]);
    for (size_t i = 0; i < price->n_at_k; i++) {
        const struct guard_at_k *at = &price->at_k[i];
        if (!is_shown(price, i)) continue;
        report_grid_cell(&grid, "%s", at->score->name);
        metric_cell(&grid, at->score);
        report_grid_cell(&grid, "%lld", (long long)at->k);
        report_grid_cell(&grid, "%lld", (long long)at->n_docs);
        mean_cell(&grid, at->off);
        mean_cell(&grid, at->enforce);
        if (isnan(at->enforce - at->off))
            report_grid_cell(&grid, "%s", "");
        else
            report_grid_cell(&grid, "%+.4f", at->enforce - at->off);
    }
    strbuf_append_char(out, '\n');
    print(&grid, out);
    report_grid_release(&grid);
}

static void print_reasons(const struct guard_price *price, print_grid *print, struct strbuf *out)
{
    static const char *const headings[] = {"Blocked",  "Stage", "Category", "Metric",
                                           ">Replies", ">Good", ">Bad",     ">Unheard"};
    struct report_grid grid;
    if (!price->n_reasons) return;
    report_grid_init(&grid, headings, sizeof headings / sizeof headings[0]);
    for (size_t i = 0; i < price->n_reasons; i++) {
        const struct guard_reason *reason = &price->reasons[i];
        report_grid_cell(&grid, "%s", reason->name);
        report_grid_cell(&grid, "%s", reason->stage);
        report_grid_cell(&grid, "%s", reason->category ? reason->category : "(failure)");
        report_grid_cell(&grid, "%s", reason->metric);
        report_grid_cell(&grid, "%lld", (long long)reason->n);
        bool is_judged = reason->good != STORE_UNKNOWN;
        count_cell(&grid, is_judged, reason->good, 0);
        count_cell(&grid, is_judged, reason->bad, 0);
        count_cell(&grid, is_judged, reason->unheard, 0);
    }
    strbuf_append_char(out, '\n');
    print(&grid, out);
    report_grid_release(&grid);
}

static void print_costs(const struct guard_price *price, print_grid *print, struct strbuf *out)
{
    static const char *const headings[] = {"Time",    "Stage",   ">Texts",
                                           ">Checks", ">p50 ms", ">p95 ms"};
    struct report_grid grid;
    report_grid_init(&grid, headings, sizeof headings / sizeof headings[0]);
    for (size_t i = 0; i < price->n_costs; i++) {
        const struct guard_cost *cost = &price->costs[i];
        report_grid_cell(&grid, "%s", cost->name);
        report_grid_cell(&grid, "%s", cost->stage);
        report_grid_cell(&grid, "%lld", (long long)cost->n);
        if (cost->n_checks == STORE_UNKNOWN)
            report_grid_cell(&grid, "%s", "");
        else
            report_grid_cell(&grid, "%lld", (long long)cost->n_checks);
        report_grid_cell(&grid, "%.3f", 1000 * cost->p50_seconds);
        report_grid_cell(&grid, "%.3f", 1000 * cost->p95_seconds);
    }
    strbuf_append_char(out, '\n');
    print(&grid, out);
    report_grid_release(&grid);
}

static void print_wastes(const struct guard_price *price, print_grid *print, struct strbuf *out)
{
    static const char *const headings[] = {"Tokens", ">Made", ">Wasted", ">Share"};
    struct report_grid grid;
    if (!price->n_wastes) return;
    report_grid_init(&grid, headings, sizeof headings / sizeof headings[0]);
    for (size_t i = 0; i < price->n_wastes; i++) {
        const struct guard_waste *waste = &price->wastes[i];
        report_grid_cell(&grid, "%s", waste->name);
        report_grid_cell(&grid, "%lld", (long long)waste->n_tokens);
        report_grid_cell(&grid, "%lld", (long long)waste->n_wasted);
        if (waste->n_tokens > 0)
            report_grid_cell(&grid, "%.1f%%",
                             100 * (double)waste->n_wasted / (double)waste->n_tokens);
        else
            report_grid_cell(&grid, "%s", "");
    }
    strbuf_append_char(out, '\n');
    print(&grid, out);
    report_grid_release(&grid);
}

static void print_price(const struct guard_price *price, print_grid *print,
                        void (*escape)(struct strbuf *out, struct text text), struct strbuf *out)
{
    const struct store_run *run = &price->table->run;
    strbuf_append_str(out, "run ");
    escape(out, text_of(run->id));
    strbuf_appendf(out, ", guard %s, policy %.12s\n\n", guard_mode_name(run->guard_mode),
                   run->guard_policy_sha256 ? run->guard_policy_sha256 : "unknown");
    print_rows(price, print, out);
    print_at_k(price, print, out);
    print_reasons(price, print, out);
    print_costs(price, print, out);
    print_wastes(price, print, out);
}

void report_guard_price_text(const struct guard_price *price, struct strbuf *out)
{
    print_price(price, report_grid_text, escape_line, out);
}

void report_guard_price_markdown(const struct guard_price *price, struct strbuf *out)
{
    print_price(price, report_grid_markdown, escape_markdown, out);
}

/* ---- JSON ---- */

static void begin_item(struct strbuf *out)
{
    json_next_item(out);
    strbuf_append_str(out, "\n{");
}

static void append_row(struct strbuf *out, const struct guard_price_row *row)
{
    const struct score_row *score = row->score;
    const struct guard_calls *calls = &row->calls;
    begin_item(out);
    json_member_str(out, "task", score->name);
    json_member_bool(out, "is_group", score->is_group);
    json_member_str(out, "metric", score->metric);
    json_member_str(out, "extraction", score->extraction);
    json_member_direction(out, "higher_is_better", score->direction);
    json_member_number(out, "off", score->off.value);
    json_member_number(out, "enforce", score->enforce.value);
    json_member_int(out, "n_pairs", row->n_pairs);
    json_member_number(out, "change", row->difference.mean);
    json_member_number(out, "low", row->difference.interval.low);
    json_member_number(out, "high", row->difference.interval.high);
    if (row->has_calls) {
        json_member_int(out, "good_blocked", calls->good_blocked);
        json_member_int(out, "bad_blocked", calls->bad_blocked);
        json_member_int(out, "unheard_blocked", calls->unheard_blocked);
        json_member_int(out, "good_passed", calls->good_passed);
        json_member_int(out, "bad_passed", calls->bad_passed);
        json_member_int(out, "unheard_passed", calls->unheard_passed);
    }
    strbuf_append_char(out, '}');
}

static void append_at_k(struct strbuf *out, const struct guard_price *price)
{
    json_member_key(out, "best_of_k");
    strbuf_append_char(out, '[');
    for (size_t i = 0; i < price->n_at_k; i++) {
        const struct guard_at_k *at = &price->at_k[i];
        begin_item(out);
        json_member_str(out, "task", at->score->name);
        json_member_str(out, "metric", at->score->metric);
        json_member_str(out, "extraction", at->score->extraction);
        json_member_int(out, "k", at->k);
        json_member_int(out, "n_docs", at->n_docs);
        json_member_number(out, "off", at->off);
        json_member_number(out, "enforce", at->enforce);
        strbuf_append_char(out, '}');
    }
    strbuf_append_char(out, ']');
}

static void append_lists(struct strbuf *out, const struct guard_price *price)
{
    json_member_key(out, "blocked");
    strbuf_append_char(out, '[');
    for (size_t i = 0; i < price->n_reasons; i++) {
        const struct guard_reason *reason = &price->reasons[i];
        begin_item(out);
        json_member_str(out, "task", reason->name);
        json_member_str(out, "stage", reason->stage);
        json_member_str(out, "category", reason->category);
        json_member_str(out, "metric", reason->metric);
        json_member_int(out, "n", reason->n);
        json_member_int(out, "good", reason->good);
        json_member_int(out, "bad", reason->bad);
        json_member_int(out, "unheard", reason->unheard);
        strbuf_append_char(out, '}');
    }
    strbuf_append_char(out, ']');
    json_member_key(out, "time");
    strbuf_append_char(out, '[');
    for (size_t i = 0; i < price->n_costs; i++) {
        const struct guard_cost *cost = &price->costs[i];
        begin_item(out);
        json_member_str(out, "task", cost->name);
        json_member_str(out, "stage", cost->stage);
        json_member_int(out, "n", cost->n);
        json_member_int(out, "n_checks", cost->n_checks);
        json_member_number(out, "p50_seconds", cost->p50_seconds);
        json_member_number(out, "p95_seconds", cost->p95_seconds);
        strbuf_append_char(out, '}');
    }
    strbuf_append_char(out, ']');
    json_member_key(out, "tokens");
    strbuf_append_char(out, '[');
    for (size_t i = 0; i < price->n_wastes; i++) {
        begin_item(out);
        json_member_str(out, "task", price->wastes[i].name);
        json_member_int(out, "made", price->wastes[i].n_tokens);
        json_member_int(out, "wasted", price->wastes[i].n_wasted);
        strbuf_append_char(out, '}');
    }
    strbuf_append_char(out, ']');
}

void report_guard_price_json(const struct guard_price *price, struct strbuf *out)
{
    const struct store_run *run = &price->table->run;
    strbuf_append_char(out, '{');
    json_member_str(out, "run", run->id);
    json_member_str(out, "guard_mode", guard_mode_name(run->guard_mode));
    json_member_str(out, "guard_policy_sha256", run->guard_policy_sha256);
    json_member_key(out, "rows");
    strbuf_append_char(out, '[');
    for (size_t i = 0; i < price->n_rows; i++) append_row(out, &price->rows[i]);
    strbuf_append_char(out, ']');
    append_at_k(out, price);
    append_lists(out, price);
    strbuf_append_str(out, "}\n");
}

/* ---- sweeps ---- */

struct sweep_writer {
    report_line *write;
    void *user;
    struct strbuf line;
};

static status_code write_point(void *user, const struct guard_sweep_point *p, struct status *st)
{
    struct sweep_writer *writer = user;
    struct strbuf *out = &writer->line;
    strbuf_clear(out);
    strbuf_append_char(out, '{');
    json_member_str(out, "task", p->name);
    json_member_bool(out, "is_group", p->is_group);
    json_member_str(out, "metric", p->metric);
    json_member_str(out, "extraction", p->extraction);
    json_member_str(out, "stage", p->stage);
    json_member_str(out, "classifier_sha256", p->classifier_sha256);
    json_member_str(out, "category", p->category);
    json_member_number(out, "auroc", p->auroc);
    json_member_number(out, "threshold", p->threshold);
    json_member_int(out, "n", p->n);
    json_member_int(out, "blocked", p->n_blocked);
    json_member_int(out, "good", p->n_good);
    json_member_int(out, "good_blocked", p->n_good_blocked);
    json_member_int(out, "bad", p->n_bad);
    json_member_int(out, "bad_blocked", p->n_bad_blocked);
    json_member_number(out, "off", p->off);
    json_member_number(out, "enforce", p->enforce);
    json_member_number(out, "low", p->interval.low);
    json_member_number(out, "high", p->interval.high);
    strbuf_append_str(out, "}\n");
    status_code code = strbuf_check(out, "a line", st);
    return code == STATUS_OK
               ? writer->write(writer->user, (struct text){out->data, out->length}, st)
               : code;
}

status_code report_guard_sweep_jsonl(struct store *store, const char *run, report_line *write,
                                     void *user, struct status *st)
{
    struct sweep_writer writer = {write, user, {0}};
    strbuf_init(&writer.line, LIMIT_LINE_BYTES);
    status_code code = guard_sweep_each(store, run, write_point, &writer, st);
    strbuf_release(&writer.line);
    return code;
}
