/* report_junit.c - the gate's result for a CI server. */
#include <math.h>
#include <string.h>

#include "reports/report.h"
#include "reports/report_escape.h"
#include "reports/report_table.h"

static void attribute(struct strbuf *out, const char *name, const char *value)
{
    strbuf_appendf(out, " %s=\"", name);
    escape_xml(out, text_of(value));
    strbuf_append_char(out, '"');
}

static void append_run_endings(struct strbuf *out, const struct score_table *table,
                               const struct gate_test *test, const char *label)
{
    const struct score_row *row =
        test->metric ? table_find_row(table, test->name, test->metric, test->extraction) : NULL;
    struct strbuf line;
    if (!row) return;
    strbuf_init(&line, 4096);
    append_endings(&line, row);
    if (line.length) strbuf_appendf(out, "&#10;%s: %s", label, line.data);
    strbuf_release(&line);
}

static void append_numbers(struct strbuf *out, const struct gate_result *result,
                           const struct gate_test *test)
{
    escape_xml(out, text_of(test->reason));
    if (!isnan(test->drop))
        strbuf_appendf(out, "&#10;drop %.6f, bound %.6f, margin %g, p %.4g", test->drop + 0.0,
                       test->drop_bound, test->margin, test->p);
    if (!isnan(test->p_adjusted)) strbuf_appendf(out, ", adjusted p %.4g", test->p_adjusted);
    if (test->row && !test->row->refusal)
        strbuf_appendf(out, "&#10;baseline %.6f, candidate %.6f, %lld pairs", test->row->mean_a,
                       test->row->mean_b, (long long)test->row->n_pairs);
    append_run_endings(out, result->comparison->a, test, "baseline");
    append_run_endings(out, result->comparison->b, test, "candidate");
    if (test->alert) strbuf_append_str(out, "&#10;alert: better than is believable");
}

static void append_case(struct strbuf *out, const struct gate_result *result,
                        const struct gate_test *test)
{
    struct strbuf name;
    strbuf_init(&name, 65536);
    strbuf_append_str(&name, test->name);
    if (test->metric) {
        strbuf_append_char(&name, ' ');
        append_metric_key(&name, test->metric, test->extraction);
    }
    strbuf_append_str(out, "  <testcase");
    attribute(out, "classname", "assay.gate");
    attribute(out, "name", name.data);
    strbuf_append_str(out, " time=\"0\">\n");
    if (test->verdict == GATE_PASS) {
        strbuf_append_str(out, "    <system-out>");
        append_numbers(out, result, test);
        strbuf_append_str(out, "</system-out>\n");
    } else if (test == &result->overall && test->verdict != GATE_REGRESSION) {
        strbuf_append_str(out, "    <skipped message=\"the parts decide\"/>\n");
    } else {
        const char *element = test->verdict == GATE_INCOMPLETE ? "error" : "failure";
        strbuf_appendf(out, "    <%s", element);
        attribute(out, "type", gate_verdict_name(test->verdict));
        attribute(out, "message", test->reason);
        strbuf_append_char(out, '>');
        append_numbers(out, result, test);
        strbuf_appendf(out, "</%s>\n", element);
    }
    strbuf_append_str(out, "  </testcase>\n");
    strbuf_release(&name);
}

static void append_property(struct strbuf *out, const char *name, const char *value)
{
    if (!value) return;
    strbuf_append_str(out, "    <property");
    attribute(out, "name", name);
    attribute(out, "value", value);
    strbuf_append_str(out, "/>\n");
}

void report_gate_junit(const struct gate_result *result, struct strbuf *out)
{
    size_t failures = 0, errors = 0, skipped = 0, n = result->n_tests;
    const struct store_run *a = &result->comparison->a->run, *b = &result->comparison->b->run;
    for (size_t i = 0; i < result->n_tests; i++) {
        failures += result->tests[i].verdict == GATE_REGRESSION ||
                    result->tests[i].verdict == GATE_INCONCLUSIVE;
        errors += result->tests[i].verdict == GATE_INCOMPLETE;
    }
    if (result->has_overall) {
        n++;
        if (result->overall.verdict == GATE_REGRESSION) failures++;
        if (result->overall.verdict == GATE_INCONCLUSIVE) skipped++;
    }
    strbuf_append_str(out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n"
                           "<testsuite name=\"assay gate\"");
    strbuf_appendf(out, " tests=\"%zu\" failures=\"%zu\" errors=\"%zu\" skipped=\"%zu\">\n", n,
                   failures, errors, skipped);
    strbuf_append_str(out, "  <properties>\n");
    append_property(out, "verdict", gate_verdict_name(result->verdict));
    append_property(out, "baseline", a->id);
    append_property(out, "candidate", b->id);
    append_property(out, "baseline_model", a->model_path);
    append_property(out, "candidate_model", b->model_path);
    append_property(out, "baseline_weights_sha256", a->weights_sha256);
    append_property(out, "candidate_weights_sha256", b->weights_sha256);
    append_property(out, "baseline_adapter", a->adapter);
    append_property(out, "candidate_adapter", b->adapter);
    strbuf_append_str(out, "  </properties>\n");
    for (size_t i = 0; i < result->n_tests; i++) append_case(out, result, &result->tests[i]);
    if (result->has_overall) append_case(out, result, &result->overall);
    strbuf_append_str(out, "</testsuite>\n</testsuites>\n");
}
