/* report.h - results as text: table, Markdown, JSON, HTML, JUnit, JSON lines.
 *
 *   score_table | comparison | gate_result -> report_...() -> strbuf
 *
 * Renderers append to the caller's strbuf, which should be bounded by LIMIT_REPORT_BYTES, and the
 * caller asks strbuf_check() at the end.  Outside text (names, prompts, replies) is escaped for the
 * format it goes into.  What is unknown is printed as such, never as a number.  The same rows give
 * the same bytes: nothing of the time or place of rendering gets in.
 */
#ifndef ASSAY_REPORT_H
#define ASSAY_REPORT_H

#include "engine/base/strbuf.h"
#include "reports/comparison.h"
#include "reports/gate.h"
#include "reports/guard_price.h"
#include "reports/scores.h"

/* ---- The benchmark table ---- */

void report_table_text(const struct score_table *table, struct strbuf *out);
void report_table_markdown(const struct score_table *table, struct strbuf *out);
void report_table_json(const struct score_table *table, struct strbuf *out);

/* ---- Two runs ---- */

void report_comparison_text(const struct comparison *comparison, struct strbuf *out);
void report_comparison_markdown(const struct comparison *comparison, struct strbuf *out);
void report_comparison_json(const struct comparison *comparison, struct strbuf *out);

/* ---- The gate ---- */

void report_gate_text(const struct gate_result *result, struct strbuf *out);
void report_gate_markdown(const struct gate_result *result, struct strbuf *out);
void report_gate_json(const struct gate_result *result, struct strbuf *out);

/* JUnit XML: one testsuite, one testcase per test.  A regression or an inconclusive test is a
 * failure, an incomplete one is an error; passing cases carry their numbers too. */
void report_gate_junit(const struct gate_result *result, struct strbuf *out);

/* ---- The price of a guard ---- */

void report_guard_price_text(const struct guard_price *price, struct strbuf *out);
void report_guard_price_markdown(const struct guard_price *price, struct strbuf *out);
void report_guard_price_json(const struct guard_price *price, struct strbuf *out);

/* ---- One page ---- */

struct html_options {
    double coverage_floor;
    int64_t max_samples; /* shown per task; negative is all; 0 is 500, fewer with many tasks */
};

/* A self-contained page: tables, provenance, and samples with prompt, reply, verdicts and guard
 * events.  It loads nothing and sends nothing. */
status_code report_html(struct store *store, const char *const *runs, size_t n_runs,
                        const struct html_options *options, struct strbuf *out,
                        struct status *st) MUST_CHECK;

/* ---- Rows for other tools ---- */

/* Receives one line with its newline; anything but STATUS_OK stops the export. */
typedef status_code report_line(void *user, struct text line, struct status *st);

/* One JSON object per reply of every finished sample, or per sample where there are choices
 * instead of replies, in table order. */
status_code report_jsonl(struct store *store, const char *run, report_line *write, void *user,
                         struct status *st) MUST_CHECK;

/* One row of CSV for each verdict, in the same order, behind a header that is written once. */
status_code report_csv_header(report_line *write, void *user, struct status *st) MUST_CHECK;
status_code report_csv(struct store *store, const char *run, report_line *write, void *user,
                       struct status *st) MUST_CHECK;

/* Receives files, one after the other: begin() with a path below a folder of the caller's choice,
 * then lines, then end(). */
struct report_files {
    status_code (*begin)(void *user, const char *path, struct status *st);
    report_line *write;
    status_code (*end)(void *user, struct status *st);
    void *user;
};

/* Where a document's row is known from, which the store has only the hash of.  Appends its JSON, or
 * nothing. */
struct report_documents {
    status_code (*find)(void *user, const char *task, int64_t doc_id, struct strbuf *json,
                        struct status *st);
    void *user;
};

/* A run as lm-evaluation-harness writes one with --log_samples: MODEL/samples_TASK_DATE.jsonl for
 * each task, then MODEL/results_DATE.json.  Scores that are not known are null there, and so are
 * documents without `documents` (NULL: there are none) or with another hash. */
status_code report_lm_eval(struct store *store, const char *run,
                           const struct report_documents *documents,
                           const struct report_files *files, struct status *st) MUST_CHECK;

/* Two runs side by side as LLM Comparator loads them, one JSON object over several lines: each
 * reply to a document that both runs have, the likeliest choice where there are choices.  Fails
 * with STATUS_NOT_FOUND where they have none in common. */
status_code report_llm_comparator(struct store *store_a, const char *run_a, struct store *store_b,
                                  const char *run_b, report_line *write, void *user,
                                  struct status *st) MUST_CHECK;

/* One JSON object per threshold of a shadow run: what guard_sweep_each() visits. */
status_code report_guard_sweep_jsonl(struct store *store, const char *run, report_line *write,
                                     void *user, struct status *st) MUST_CHECK;

#endif
