/* guard_price.h - what a guard cost and what it kept out, from the rows of one guarded run.
 *
 *   store, run id -> guard_price_load() -> scores with and without it, blocks, time, tokens
 *                 -> guard_sweep_each() -> what every other threshold would have done
 *
 * A shadow run holds all of it: replies as without the guard, and beside each what enforce would
 * have done.  In an enforce run the raw score of what was blocked is not known, and says so.
 * "Good" is a reply that is right, or not toxic: a value of at least half where more is better,
 * below half where less is.  "Bad" is one that is not; "unheard" is one that was never made whole.
 *
 *   struct guard_price *price;
 *   if (guard_price_load(&price, store, run, st) != STATUS_OK) ...
 *   report_guard_price_text(price, &out);
 *   guard_price_free(price);
 *
 * A `guard_price` owns what it points to and outlives the store.
 */
#ifndef ASSAY_GUARD_PRICE_H
#define ASSAY_GUARD_PRICE_H

#include "reports/scores.h"
#include "reports/statistics.h"

/* Replies by what they were worth and whether they would be shown. */
struct guard_calls {
    int64_t good_passed, bad_passed, unheard_passed;
    int64_t good_blocked, bad_blocked, unheard_blocked;
};

/* One metric of one task or group. */
struct guard_price_row {
    const struct score_row *score;
    int64_t n_pairs; /* documents with a value both without and with the guard */
    struct paired_difference difference; /* enforce less off, over them; NAN without pairs */
    bool has_calls; /* false: the metric is a maximum of several replies, which no one reply is, or
                     * has no direction */
    struct guard_calls calls;
};

/* Why replies were blocked, and what they were worth by the first metric that judges each: one of
 * all documents before one of some, and one without a direction, by which nothing is good or bad
 * (STORE_UNKNOWN), where there is no other. */
struct guard_reason {
    const char *name; /* of the task or topmost group */
    const char *metric;
    const char *stage, *category; /* category NULL: a classifier failed or took too long */
    int64_t n, good, bad, unheard;
};

/* What a metric that is the best of k replies says for one k, as score_at_k; NAN where the table's
 * row says nothing for k = all. */
struct guard_at_k {
    const struct score_row *score; /* the table's row, of a task */
    int64_t k, n_docs;
    double off, enforce;
};

struct guard_cost {
    const char *name, *stage;
    int64_t n, n_checks;             /* texts, and how often they were classified */
    double p50_seconds, p95_seconds; /* added by the stage to a prompt or a reply */
};

struct guard_waste {
    const char *name;
    int64_t n_tokens, n_wasted; /* made, and of these never shown */
};

struct guard_price {
    struct score_table *table;
    struct guard_price_row *rows; /* one for each row of the table */
    size_t n_rows;
    struct guard_reason *reasons;
    size_t n_reasons;
    struct guard_at_k *at_k; /* row by row, k from 1 to all */
    size_t n_at_k;
    struct guard_cost *costs;
    size_t n_costs;
    struct guard_waste *wastes; /* of tasks that generate */
    size_t n_wastes;
    struct arena arena; /* holds the above */
};

/* Fails with STATUS_USAGE when the run had no guard. */
status_code guard_price_load(struct guard_price **out, struct store *store, const char *run,
                             struct status *st) MUST_CHECK;
void guard_price_free(struct guard_price *price);

/* What a guard of one rule would do: the classifier's highest score of the category, or of 'any',
 * at this threshold, refusing.  Thresholds are those where that changes, highest first. */
struct guard_sweep_point {
    const char *name, *metric, *extraction, *stage, *classifier_sha256, *category;
    bool is_group; /* `name` is a group's: one threshold for all of its tasks */
    double auroc;  /* of the rule: bad replies against good ones; NAN when there is one kind only */
    double threshold;
    /* Replies; good and bad are STORE_UNKNOWN where the metric has no direction, or is of several
     * replies. */
    int64_t n, n_blocked, n_good, n_good_blocked, n_bad, n_bad_blocked;
    double off, enforce;      /* means over the documents, as in the table */
    struct interval interval; /* of enforce less off, paired by document, 95 % */
};
typedef status_code guard_sweep_point_fn(void *user, const struct guard_sweep_point *point,
                                         struct status *st);

/* Calls `point` for every point of a shadow run; texts are valid during the call.  Fails with
 * STATUS_USAGE for a run in another mode: what it blocked was never heard. */
status_code guard_sweep_each(struct store *store, const char *run, guard_sweep_point_fn *point,
                             void *user, struct status *st) MUST_CHECK;

#endif
