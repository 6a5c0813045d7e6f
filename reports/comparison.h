/* comparison.h - two runs, pair by pair.
 *
 *   run A, run B -> comparison_create() -> per task and metric: who was right where, and how sure
 *
 * Documents are paired by task and id and compared by value (the mean over repeats); a pair needs a
 * value in both runs.  Two runs are compared only on the same question: where a task's version,
 * profile, shots, dataset, documents or prompts differ the row is refused and says why.  A group's
 * row pools the pairs of its tasks.  Differences are B less A.
 *
 *   struct comparison *c;
 *   if (comparison_create(&c, store_a, "A", store_b, "B", &options, st) != STATUS_OK) ...
 *   comparison_free(c);
 *
 * A comparison owns what it points to and outlives the stores, which may be one and the same.
 */
#ifndef ASSAY_COMPARISON_H
#define ASSAY_COMPARISON_H

#include "reports/scores.h"
#include "reports/statistics.h"

enum score_choice {
    COMPARE_OFF,    /* raw replies */
    COMPARE_ENFORCE /* what is delivered: blocked samples count as the task says; raw replies in a
                     * run without a guard, so that a guard can be compared with none */
};
const char *score_choice_name(enum score_choice choice); /* "off", "enforce" */

struct comparison_options {
    enum score_choice column;
    double confidence; /* of the interval; 0 is 0.95 */
};

struct comparison_row {
    const char *name; /* task or group */
    bool is_group;
    int depth;
    const char *metric, *extraction;
    bool is_headline;
    enum metric_direction direction;
    bool in_a, in_b;     /* which runs have this row */
    const char *refusal; /* why the two cannot be compared, or NULL; then nothing below is set */
    int64_t n_pairs;
    double mean_a, mean_b;         /* over the pairs; NAN without pairs */
    double coverage_a, coverage_b; /* share of the replies of each run that have a value */
    bool is_binary;                /* every value is 0 or 1: the four counts and p are set */
    int64_t both, a_only, b_only, neither; /* pairs with value 1 */
    int64_t n_changed;                     /* pairs with different values */
    double p;                              /* McNemar's exact test, two-sided; NAN if not binary */
    struct paired_difference difference;   /* B less A */
};

struct comparison {
    struct score_table *a, *b; /* the whole tables, with coverage floor 0 */
    enum score_choice column;
    double confidence;
    struct comparison_row *rows; /* in the order of B's table, then what only A has */
    size_t n_rows;
    struct arena arena; /* holds the above */
};

status_code comparison_create(struct comparison **out, struct store *store_a, const char *run_a,
                              struct store *store_b, const char *run_b,
                              const struct comparison_options *options,
                              struct status *st) MUST_CHECK;
void comparison_free(struct comparison *comparison);

#endif
