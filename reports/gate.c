#include "reports/gate.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/limits.h"
#include "reports/gate_policy.h"

const char *gate_verdict_name(enum gate_verdict verdict)
{
    static const char *const names[] = {"pass", "inconclusive", "incomplete", "regression"};
    return names[verdict];
}

static void explain(struct gate_result *result, struct gate_test *test, const char *format, ...)
    PRINTF_LIKE(3, 4);
static void explain(struct gate_result *result, struct gate_test *test, const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    test->reason = arena_strdup(&result->arena, text);
    if (!test->reason) test->reason = "out of memory for the reason";
}

/* ---- What is tested ---- */

static bool is_asked_for(const struct comparison_row *row, const struct gate_rule *rule)
{
    if (strcmp(row->name, rule->name) != 0) return false;
    if (rule->extraction && strcmp(row->extraction, rule->extraction) != 0) return false;
    if (rule->metric) return strcmp(row->metric, rule->metric) == 0;
    return rule->extraction || row->is_headline;
}

static struct gate_test *add_test(struct gate_result *result, const struct comparison_row *row,
                                  double margin)
{
    struct gate_test *test = &result->tests[result->n_tests++];
    double nan = (double)NAN;
    *test = (struct gate_test){
        .row = row, .margin = margin, .drop = nan, .drop_bound = nan, .p = nan, .p_adjusted = nan};
    if (!row) return test;
    test->name = row->name;
    test->metric = row->metric;
    test->extraction = row->extraction;
    return test;
}

static const struct gate_rule *rule_of(const struct gate_policy *policy, const char *name)
{
    for (size_t i = 0; i < policy->n_rules; i++)
        if (strcmp(policy->rules[i].name, name) == 0) return &policy->rules[i];
    return NULL;
}

static status_code choose_tests(struct gate_result *result, const struct gate_policy *policy,
                                struct status *st)
{
    const struct comparison *c = result->comparison;
    size_t max = c->n_rows + policy->n_rules;
    result->tests = arena_array(&result->arena, max ? max : 1, sizeof *result->tests);
    if (!result->tests) return status_no_memory(st, "the gate");
    /* What only the candidate has cannot have become worse. */
    for (size_t i = 0; i < c->n_rows; i++)
        if (c->rows[i].depth == 0 && c->rows[i].is_headline && c->rows[i].in_a &&
            !rule_of(policy, c->rows[i].name))
            add_test(result, &c->rows[i], policy->margin);
    for (size_t i = 0; i < policy->n_rules; i++) {
        const struct gate_rule *rule = &policy->rules[i];
        const struct comparison_row *row = NULL;
        for (size_t j = 0; !row && j < c->n_rows; j++)
            if (is_asked_for(&c->rows[j], rule)) row = &c->rows[j];
        struct gate_test *test = add_test(result, row, rule->margin);
        if (row) continue;
        test->name = arena_strdup(&result->arena, rule->name);
        if (!test->name) return status_no_memory(st, "the gate");
    }
    return STATUS_OK;
}

/* ---- The numbers of a test ---- */

static int64_t got_worse(const struct comparison_row *row)
{
    return row->direction == HIGHER_IS_BETTER ? row->a_only : row->b_only;
}

static int64_t got_better(const struct comparison_row *row)
{
    return row->direction == HIGHER_IS_BETTER ? row->b_only : row->a_only;
}

static void measure_binary(struct gate_test *test, int64_t worse, int64_t better, int64_t n,
                           double alpha)
{
    struct paired_difference gain = stat_paired_binary(worse, better, n, 1 - 2 * alpha);
    test->drop = -gain.mean;
    test->drop_bound = -gain.interval.low;
    test->p = stat_mcnemar_one_sided(worse, better);
    /* The least p these pairs could have given.  Where even that is not significant, the test had
     * nothing to say and costs the others nothing (R. E. Tarone, Biometrics 46 (1990) 515-522). */
    if (pow(0.5, (double)(worse + better)) <= alpha) test->p_adjusted = test->p;
}

static void measure_mean(struct gate_test *test, const struct comparison_row *row, double alpha)
{
    double sign = row->direction == HIGHER_IS_BETTER ? -1 : 1;
    test->drop = sign * row->difference.mean;
    test->drop_bound = test->drop + stat_normal_quantile(1 - alpha) * row->difference.stderror;
    test->p = row->n_changed ? stat_paired_p(test->drop, row->difference.stderror) : 1;
    if (row->n_changed) test->p_adjusted = test->p;
}

/* Fills in the numbers; false, with the reason, where there are too few. */
static bool measure(struct gate_result *result, struct gate_test *test)
{
    const struct comparison_row *row = test->row;
    test->verdict = GATE_INCOMPLETE;
    if (!row)
        explain(result, test, "the policy asks for it, and neither run has it");
    else if (row->refusal)
        explain(result, test, "%s", row->refusal);
    else if (row->direction == NO_DIRECTION)
        explain(result, test,
                "neither more nor less of it is better; name another of the task's metrics");
    else if (row->coverage_a < result->coverage_floor || row->coverage_b < result->coverage_floor)
        explain(result, test,
                "coverage %.1f%% in the baseline and %.1f%% in the candidate; the "
                "floor is %.1f%%",
                100 * row->coverage_a, 100 * row->coverage_b, 100 * result->coverage_floor);
    else if (row->n_pairs == 0)
        explain(result, test, "no document has a score in both runs");
    else if (row->is_binary)
        measure_binary(test, got_worse(row), got_better(row), row->n_pairs, result->alpha);
    else
        measure_mean(test, row, result->alpha);
    return test->reason == NULL;
}

/* All tests of answers at the top level together: many small drops are one large one. */
static void measure_overall(struct gate_result *result, double margin)
{
    int64_t worse = 0, better = 0, n = 0;
    int changed = 0;
    for (size_t i = 0; i < result->n_tests; i++) {
        const struct comparison_row *row = result->tests[i].row;
        if (result->tests[i].reason || !row->is_binary || row->depth > 0) continue;
        worse += got_worse(row);
        better += got_better(row);
        n += row->n_pairs;
        changed += row->n_changed > 0;
    }
    result->has_overall = changed >= 2;
    if (!result->has_overall) return;
    struct gate_test *test = &result->overall;
    *test = (struct gate_test){.name = "all together", .margin = margin, .p_adjusted = (double)NAN};
    measure_binary(test, worse, better, n, result->alpha);
}

static status_code adjust(struct gate_result *result, struct status *st)
{
    size_t n = result->n_tests + 1;
    double *p = arena_array(&result->arena, n, sizeof *p);
    if (!p) return status_no_memory(st, "the gate");
    for (size_t i = 0; i < result->n_tests; i++) p[i] = result->tests[i].p_adjusted;
    p[n - 1] = result->has_overall ? result->overall.p_adjusted : (double)NAN;
    stat_holm(p, n);
    for (size_t i = 0; i < result->n_tests; i++) result->tests[i].p_adjusted = p[i];
    result->overall.p_adjusted = p[n - 1];
    return STATUS_OK;
}

/* ---- Verdicts ---- */

static void append_counts(const struct comparison_row *row, char *out, size_t size)
{
    if (!row)
        snprintf(out, size, "all documents");
    else if (row->is_binary)
        snprintf(out, size, "%lld worse, %lld better of %lld", (long long)got_worse(row),
                 (long long)got_better(row), (long long)row->n_pairs);
    else
        snprintf(out, size, "%lld of %lld changed", (long long)row->n_changed,
                 (long long)row->n_pairs);
}

static void judge(struct gate_result *result, struct gate_test *test)
{
    char counts[96];
    const struct comparison_row *row = test->row;
    append_counts(row, counts, sizeof counts);
    if (test->p_adjusted <= result->alpha && test->drop > test->margin) {
        test->verdict = GATE_REGRESSION;
        explain(result, test, "dropped by %.4f (%s), more than the margin %g; adjusted p = %.2g",
                test->drop, counts, test->margin, test->p_adjusted);
    } else if (row && row->n_changed == 0) {
        test->verdict = GATE_PASS;
        explain(result, test, "the same on all %lld documents", (long long)row->n_pairs);
    } else if (row && row->is_binary && got_worse(row) == 0) {
        test->verdict = GATE_PASS;
        explain(result, test, "nothing got worse (%s)", counts);
    } else if (test->drop_bound < test->margin) {
        test->verdict = GATE_PASS;
        explain(result, test, "any drop is below %.4f (%s), within the margin %g",
                test->drop_bound > 0 ? test->drop_bound : 0, counts, test->margin);
    } else {
        test->verdict = GATE_INCONCLUSIVE;
        explain(result, test,
                "dropped by %.4f (%s) and the true drop may be %.4f, margin %g: too few documents "
                "to tell",
                test->drop, counts, test->drop_bound, test->margin);
    }
}

static void check_gain(struct gate_result *result, struct gate_test *test, double alert)
{
    const struct comparison_row *row = test->row;
    double p = row->is_binary ? stat_mcnemar_one_sided(got_better(row), got_worse(row))
                              : stat_paired_p(-test->drop, row->difference.stderror);
    test->alert = -test->drop >= alert && p <= result->alpha;
}

static status_code decide(struct gate_result *result, const struct gate_policy *policy,
                          struct status *st)
{
    if (choose_tests(result, policy, st) != STATUS_OK) return st->code;
    result->verdict = result->n_tests ? GATE_PASS : GATE_INCOMPLETE;
    for (size_t i = 0; i < result->n_tests; i++)
        if (!measure(result, &result->tests[i])) result->verdict = GATE_INCOMPLETE;
    measure_overall(result, policy->margin);
    if (adjust(result, st) != STATUS_OK) return st->code;
    for (size_t i = 0; i < result->n_tests; i++) {
        struct gate_test *test = &result->tests[i];
        if (test->reason) continue;
        judge(result, test);
        check_gain(result, test, policy->alert_improvement);
        if (test->verdict > result->verdict) result->verdict = test->verdict;
    }
    if (!result->has_overall) return STATUS_OK;
    judge(result, &result->overall);
    if (result->overall.verdict == GATE_REGRESSION) result->verdict = GATE_REGRESSION;
    return STATUS_OK;
}

status_code gate_run(struct gate_result **out, const struct gate_policy *policy,
                     struct store *baseline_store, const char *baseline,
                     struct store *candidate_store, const char *candidate, struct status *st)
{
    *out = NULL;
    struct gate_result *result = calloc(1, sizeof *result);
    if (!result) return status_no_memory(st, "the gate");
    arena_init(&result->arena, LIMIT_REPORT_BYTES);
    result->alpha = policy->alpha;
    result->coverage_floor = policy->coverage_floor;
    struct comparison_options options = {.column = policy->column};
    status_code code = comparison_create(&result->comparison, baseline_store, baseline,
                                         candidate_store, candidate, &options, st);
    if (code == STATUS_OK) code = decide(result, policy, st);
    if (code != STATUS_OK)
        gate_result_free(result);
    else
        *out = result;
    return code;
}

void gate_result_free(struct gate_result *result)
{
    if (!result) return;
    comparison_free(result->comparison);
    arena_release(&result->arena);
    free(result);
}
