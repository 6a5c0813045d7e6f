/* gate.h - may this candidate replace this baseline?
 *
 *   policy file -> gate_policy_load() -> gate_run() -> pass, regression, inconclusive, incomplete
 *
 * The gate compares a candidate with a baseline on the same documents and gives each test (a task
 * or group, one metric) a verdict; reports/README.md explains the rule and the policy file. Without
 * a policy every top-level group and task is tested on its headline metric.
 *
 *   struct gate_policy *policy;
 *   struct gate_result *result;
 *   if (gate_policy_load(&policy, "gate.json", st) != STATUS_OK) ...
 *   if (gate_run(&result, policy, store_a, "A", store_b, "B", st) != STATUS_OK) ...
 *   result->verdict
 *   gate_result_free(result);
 *   gate_policy_free(policy);
 */
#ifndef ASSAY_GATE_H
#define ASSAY_GATE_H

#include "reports/comparison.h"

struct gate_policy; /* opaque */

/* NULL `path` is the policy `{}`.  Errors name the file and the field. */
status_code gate_policy_load(struct gate_policy **out, const char *path,
                             struct status *st) MUST_CHECK;
status_code gate_policy_parse(struct gate_policy **out, struct text json,
                              struct status *st) MUST_CHECK;
void gate_policy_free(struct gate_policy *policy);

enum gate_verdict {
    GATE_PASS,
    GATE_INCONCLUSIVE, /* too few documents to tell: neither a regression nor its absence */
    GATE_INCOMPLETE,   /* too few scores, or the two cannot be compared */
    GATE_REGRESSION
};
const char *gate_verdict_name(enum gate_verdict verdict);

struct gate_test {
    const struct comparison_row *row;       /* NULL where the policy names what neither run has */
    const char *name, *metric, *extraction; /* metric and extraction NULL where there is no row */
    double margin;
    enum gate_verdict verdict;
    const char *reason; /* one sentence with the numbers */
    double drop;        /* how much worse the candidate is; negative: better */
    double drop_bound;  /* with confidence 1 - alpha the true drop is below this */
    double p;           /* one-sided, of the drop */
    double p_adjusted;  /* Holm's, over all tests; NAN where no drop could have been significant */
    bool alert;         /* better than is believable: leaked data, changed settings */
};

struct gate_result {
    enum gate_verdict verdict; /* the worst: regression, incomplete, inconclusive, pass */
    double alpha, coverage_floor;
    struct comparison *comparison;
    struct gate_test *tests;
    size_t n_tests;
    /* All tests of right and wrong answers together, set where at least two have changed pairs. */
    bool has_overall;
    struct gate_test overall;
    struct arena arena; /* holds the above */
};

status_code gate_run(struct gate_result **out, const struct gate_policy *policy,
                     struct store *baseline_store, const char *baseline,
                     struct store *candidate_store, const char *candidate,
                     struct status *st) MUST_CHECK;
void gate_result_free(struct gate_result *result);

#endif
