/* report_html.c - runs and their samples as one page.
 *
 * The page has no script and its policy forbids any: outcomes are chosen with radio buttons and
 * CSS.  Samples are folded, and limited per task, so that browsers open the page at once. */
#include <math.h>
#include <string.h>

#include "engine/base/limits.h"
#include "reports/report.h"
#include "reports/report_escape.h"
#include "reports/report_table.h"
#include "reports/sample_reader.h"

#define SAMPLES_PER_TASK 500
#define SAMPLES_PER_RUN  2000 /* shared by its tasks, */
#define SAMPLES_AT_LEAST 20   /* of which each gets these */

static const char head[] =
    "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
    "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; "
    "style-src 'unsafe-inline'\">\n"
    "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
    "<title>assay report</title>\n<style>\n"
    ":root{color-scheme:light dark;--line:#8884;--soft:#8882}\n"
    "body{font:15px/1.45 system-ui,sans-serif;margin:1.5em auto;max-width:76em;padding:0 1em}\n"
    "h1{font-size:1.4em}h2{font-size:1.15em;margin-top:2em;overflow-wrap:anywhere}h3{font-size:1em}"
    "\n"
    "table{border-collapse:collapse}td,th{padding:.2em .7em;border-bottom:1px solid var(--line);"
    "text-align:left;white-space:nowrap}\n.n{text-align:right;font-variant-numeric:tabular-nums}\n"
    ".wide{overflow-x:auto}dl{display:grid;grid-template-columns:max-content 1fr;gap:.1em 1em}"
    "dt{opacity:.7}dd{margin:0;overflow-wrap:anywhere}\n"
    "pre{background:var(--soft);padding:.6em;white-space:pre-wrap;overflow-wrap:anywhere;"
    "max-height:24em;overflow-y:auto;unicode-bidi:isolate;margin:.2em 0 .6em}\n"
    "details.s{border-top:1px solid var(--line);padding:.15em 0;content-visibility:auto;"
    "contain-intrinsic-size:auto 1.8em}\nsummary{cursor:pointer;overflow-wrap:anywhere}\n"
    "b.o{font-weight:600}.correct b.o{color:#2a8a3e}.wrong b.o{color:#c0392b}\n"
    ".note{opacity:.75}label{margin-right:.8em}\n";

static void text_in(struct strbuf *out, const char *before, struct text text, const char *after)
{
    strbuf_append_str(out, before);
    escape_html(out, text);
    strbuf_append_str(out, after);
}

/* ---- The outcome chooser ---- */

static void append_chooser_style(struct strbuf *out)
{
    for (int o = 0; o < OUTCOMES; o++)
        strbuf_appendf(out, "#o%d:checked~main details.s:not(.%s){display:none}\n", o,
                       outcome_name((enum outcome)o));
    strbuf_append_str(out, "</style>\n</head>\n<body>\n<h1>assay report</h1>\n");
}

static void append_chooser(struct strbuf *out)
{
    strbuf_append_str(out, "<input type=\"radio\" name=\"o\" id=\"all\" checked>"
                           "<label for=\"all\">all samples</label>\n");
    for (int o = 0; o < OUTCOMES; o++)
        strbuf_appendf(
            out, "<input type=\"radio\" name=\"o\" id=\"o%d\"><label for=\"o%d\">%s</label>\n", o,
            o, outcome_name((enum outcome)o));
}

/* ---- A run ---- */

static void append_fact(void *user, const char *label, struct text value)
{
    struct strbuf *out = user;
    text_in(out, "<dt>", text_of(label), "</dt>");
    text_in(out, "<dd>", value, "</dd>\n");
}

static void append_long_fact(struct strbuf *out, const char *label, const char *value)
{
    if (value) append_fact(out, label, text_of(value));
}

static void append_run(const struct score_table *table, struct strbuf *out)
{
    const struct store_run *run = &table->run;
    struct report_grid grid;
    text_in(out, "<h2>", text_of(run->model_path ? run->model_path : run->id),
            run->adapter ? "" : "</h2>\n");
    if (run->adapter) text_in(out, " with ", text_of(run->adapter), "</h2>\n");
    table_fill_grid(table, &grid);
    report_grid_html(&grid, out);
    report_grid_release(&grid);
    strbuf_append_str(out, "<dl class=\"note\">\n");
    table_each_note(table, append_fact, out);
    strbuf_append_str(out, "</dl>\n<details><summary>Where these numbers come from</summary>\n"
                           "<dl>\n");
    table_each_fact(table, append_fact, out);
    append_long_fact(out, "command", run->command_line);
    append_long_fact(out, "weights sha256", run->weights_sha256);
    append_long_fact(out, "tokenizer sha256", run->tokenizer_sha256);
    append_long_fact(out, "build flags", run->build_flags);
    append_long_fact(out, "finished", run->finished_at);
    append_long_fact(out, "guard policy", run->guard_policy_json);
    append_long_fact(out, "guard policy sha256", run->guard_policy_sha256);
    append_long_fact(out, "chat template", run->chat_template);
    append_long_fact(out, "chat template sha256", run->chat.template_sha256);
    append_long_fact(out, "system message", run->chat.system);
    strbuf_append_str(out, "</dl>\n</details>\n");
}

/* ---- A sample ---- */

static void append_pre(struct strbuf *out, const char *label, struct text text)
{
    if (!text.data) return;
    strbuf_appendf(out, "<div class=\"note\">%s</div>", label);
    text_in(out, "<pre>\n", text, "</pre>\n"); /* HTML drops the first newline of a pre */
}

static void append_verdicts(struct strbuf *out, const struct sample_record *record)
{
    if (!record->verdicts) return;
    strbuf_append_str(out, "<div class=\"wide\"><table>\n<tr><th class=\"n\">repeat</th>"
                           "<th>metric</th><th>extraction</th><th>extracted</th>"
                           "<th class=\"n\">value</th><th>outcome</th></tr>\n");
    for (const struct verdict_record *v = record->verdicts; v; v = v->next) {
        strbuf_appendf(out, "<tr><td class=\"n\">%lld</td>", (long long)v->repeat);
        text_in(out, "<td>", v->metric, "</td>");
        text_in(out, "<td>", v->extraction, "</td>");
        text_in(out, "<td>", v->extracted.data ? v->extracted : text_of("-"), "</td>");
        if (isnan(v->value))
            strbuf_append_str(out, "<td class=\"n\">unknown</td>");
        else
            strbuf_appendf(out, "<td class=\"n\">%g</td>", v->value);
        text_in(out, "<td>", v->outcome, "</td></tr>\n");
    }
    strbuf_append_str(out, "</table></div>\n");
}

static void append_events(struct strbuf *out, const struct sample_record *record)
{
    for (const struct event_record *e = record->events; e; e = e->next) {
        strbuf_appendf(out, "<div>guard, repeat %lld, ", (long long)e->repeat);
        text_in(out, "", e->stage, ": ");
        text_in(out, "verdict ", e->verdict, "");
        text_in(out, ", action ", e->action, "");
        text_in(out, " (", e->mode, ")");
        if (e->response.data) text_in(out, ", response ", e->response, "");
        if (e->category.data) text_in(out, ", category ", e->category, "");
        if (e->rule.data) text_in(out, ", rule ", e->rule, "");
        strbuf_append_str(out, "</div>\n");
    }
}

static void append_replies(struct strbuf *out, const struct sample_record *record)
{
    for (const struct reply_record *r = record->replies; r; r = r->next) {
        strbuf_appendf(out, "<div class=\"note\">reply %lld", (long long)r->repeat);
        if (r->finish_reason.data) text_in(out, ", ended by ", r->finish_reason, "");
        if (r->n_tokens != STORE_UNKNOWN)
            strbuf_appendf(out, ", %lld tokens", (long long)r->n_tokens);
        text_in(out, "</div><pre>\n", r->text, "</pre>\n");
        append_pre(out, "delivered instead", r->delivered);
    }
    for (const struct choice_record *c = record->choices; c; c = c->next) {
        strbuf_appendf(out, "<div>choice %lld, log-probability ", (long long)c->index);
        if (isnan(c->logprob))
            strbuf_append_str(out, "unknown");
        else
            strbuf_appendf(out, "%.6f", c->logprob);
        text_in(out, ": <code>", c->text, "</code></div>\n");
    }
}

static void append_sample(struct strbuf *out, const struct sample_record *record)
{
    struct text outcome = record->verdicts ? record->verdicts->outcome : record->state;
    text_in(out, "<details class=\"s ", outcome, "\">");
    strbuf_appendf(out, "<summary>%lld ", (long long)record->doc_id);
    text_in(out, "<b class=\"o\">", outcome, "</b>");
    for (const struct verdict_record *v = record->verdicts; v; v = v->next) {
        if (v->repeat || !v->extracted.data) continue;
        bool whole = text_equal(v->extraction, text_of(STORE_NO_EXTRACTION));
        text_in(out, " ", whole ? v->metric : v->extraction, "=");
        struct text shown = v->extracted;
        if (shown.length > 80) shown.length = 80;
        text_in(out, "", shown, "");
    }
    strbuf_append_str(out, "</summary>\n");
    append_pre(out, "prompt", record->prompt);
    append_pre(out, "target", record->target);
    append_replies(out, record);
    append_verdicts(out, record);
    append_events(out, record);
    append_pre(out, "error", record->error_text);
    strbuf_append_str(out, "</details>\n");
}

/* ---- All samples of a run ---- */

static int64_t samples_per_task(const struct score_table *table, int64_t asked)
{
    int64_t tasks = 0;
    if (asked != 0) return asked;
    for (size_t i = 0; i < table->n_rows; i++)
        tasks += !table->rows[i].is_group && table->rows[i].is_headline;
    int64_t share = SAMPLES_PER_RUN / (tasks ? tasks : 1);
    return share > SAMPLES_PER_TASK   ? SAMPLES_PER_TASK
           : share < SAMPLES_AT_LEAST ? SAMPLES_AT_LEAST
                                      : share;
}

static status_code append_task_heading(struct store *store, const char *run, const char *task,
                                       int64_t max, struct strbuf *out, struct status *st)
{
    int64_t counts[SAMPLE_STATES];
    if (store_count_samples(store, run, task, counts, st) != STATUS_OK) return st->code;
    int64_t n = counts[SAMPLE_DONE] + counts[SAMPLE_FAILED] + counts[SAMPLE_BLOCKED];
    text_in(out, "<h3>", text_of(task), "</h3>\n");
    if (max >= 0 && n > max)
        strbuf_appendf(out,
                       "<p class=\"note\">The first %lld of %lld samples; the store has "
                       "the others.</p>\n",
                       (long long)max, (long long)n);
    return STATUS_OK;
}

static status_code append_samples(struct store *store, const struct score_table *table, int64_t max,
                                  struct strbuf *out, struct status *st)
{
    struct sample_reader *reader;
    struct sample_record record;
    const char *task = NULL;
    if (sample_reader_create(&reader, store, table->run.id, max, true, st) != STATUS_OK)
        return st->code;
    status_code code = sample_reader_next(reader, &record, st);
    while (code == STATUS_OK && record.task) {
        if (task != record.task)
            code = append_task_heading(store, table->run.id, record.task, max, out, st);
        task = record.task;
        append_sample(out, &record);
        if (code == STATUS_OK) code = strbuf_check(out, "the page", st);
        if (code == STATUS_OK) code = sample_reader_next(reader, &record, st);
    }
    sample_reader_free(reader);
    return code;
}

status_code report_html(struct store *store, const char *const *runs, size_t n_runs,
                        const struct html_options *options, struct strbuf *out, struct status *st)
{
    strbuf_append_str(out, head);
    append_chooser_style(out);
    append_chooser(out);
    strbuf_append_str(out, "<main>\n");
    for (size_t i = 0; i < n_runs; i++) {
        struct score_table *table;
        if (score_table_load(&table, store, runs[i], options->coverage_floor, st) != STATUS_OK)
            return st->code;
        append_run(table, out);
        status_code code =
            append_samples(store, table, samples_per_task(table, options->max_samples), out, st);
        score_table_free(table);
        if (code != STATUS_OK) return code;
    }
    strbuf_append_str(out, "</main>\n</body>\n</html>\n");
    return strbuf_check(out, "the page", st);
}
