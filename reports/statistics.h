/* statistics.h - how sure a difference or a mean is.
 *
 *   values -> mean, standard error          pairs -> difference, interval, exact p
 *
 * Plain functions of numbers: nothing is allocated and nothing fails.  What is not defined (the
 * deviation of one value, the mean of none) is NAN, and NAN in is NAN out.  Each formula names its
 * source in statistics.c.
 */
#ifndef ASSAY_STATISTICS_H
#define ASSAY_STATISTICS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/base/status.h"

struct interval {
    double low, high;
};

double stat_mean(const double *values, size_t n);
double stat_stddev(const double *values, size_t n); /* with n - 1 */
double stat_stderr(const double *values, size_t n); /* of the mean */

/* One part of a group: its mean, the standard error of that mean, and how many values it has. */
struct stat_part {
    double mean, stderror;
    int64_t n;
};
double stat_micro_mean(const struct stat_part *parts, size_t k); /* weighs parts by n */
double stat_macro_mean(const struct stat_part *parts, size_t k); /* weighs parts alike */

/* Standard error of the micro mean, from the variance pooled within the parts. */
double stat_pooled_stderr(const struct stat_part *parts, size_t k);

/* The expected maximum of k values drawn without replacement, 1 <= k <= n: of toxicities, expected
 * maximum toxicity; of right and wrong, pass@k.  Sorts the values. */
double stat_expected_maximum(double *values, size_t n, size_t k);

/* The same of values that are sorted already, smallest first: for every k from one sort. */
double stat_expected_maximum_sorted(const double *values, size_t n, size_t k);
void stat_sort(double *values, size_t n);

/* Percentile intervals of the means of `n_columns` columns of n values each, rows one behind the
 * other, by resampling rows `n_means` times: with a row per prompt it resamples prompts, with all
 * that belongs to them.  Columns are resampled together, which changes no interval: each is what
 * its column would have alone.  False when there is no memory. */
bool stat_bootstrap_means(const double *rows, size_t n, size_t n_columns, uint64_t seed,
                          double confidence, size_t n_means, struct interval *out) MUST_CHECK;

/* The same documents under several drawings of examples: the mean over all, its standard error over
 * documents, and the standard deviation that is left between drawings when what documents alone
 * would make of it is taken out. */
struct drawings {
    double mean, stderror, deviation;
};
struct drawings stat_drawings(const double *values, size_t n_documents, size_t n_drawings);

double stat_normal_cdf(double z);
double stat_normal_quantile(double p); /* 0 < p < 1; the inverse of the above */

/* Wilson's score interval for a proportion of `successes` in n; `confidence` such as 0.95. */
struct interval stat_wilson(int64_t successes, int64_t n, double confidence);

/* McNemar's exact test on pairs of right and wrong answers.  `a_only` pairs are right only in A,
 * `b_only` only in B; pairs that agree carry no information. */
double stat_mcnemar_two_sided(int64_t a_only, int64_t b_only);

/* How likely a_only or more of the disagreements would favour A if neither were better. */
double stat_mcnemar_one_sided(int64_t a_only, int64_t b_only);

/* Differences within pairs: mean, standard error, normal interval. */
struct paired_difference {
    double mean, stderror;
    struct interval interval;
};
struct paired_difference stat_paired(const double *differences, size_t n, double confidence);

/* The same for pairs of right and wrong answers, n pairs in all: B's rate less A's.  The interval
 * is Bonett and Price's, which keeps its width when few pairs or none disagree. */
struct paired_difference stat_paired_binary(int64_t a_only, int64_t b_only, int64_t n,
                                            double confidence);

/* One-sided p of a mean difference against zero: how likely `mean` or more is by chance. */
double stat_paired_p(double mean, double stderror);

/* Non-inferiority: the p of "the true drop is at least the margin".  Small: the drop is smaller. */
double stat_non_inferiority_p(double drop, double stderror, double margin);

/* Replaces n p-values by Holm's adjusted ones, in place; NAN stays and is not counted. */
void stat_holm(double *p, size_t n);

#endif
