/* ranking.h - how well scores order and fit labels.
 *
 *   scores and labels -> AUROC, average precision, F1, rates at a threshold, calibration,
 * correlation
 *
 * Plain functions of arrays of n; a weight of 1 each.  Labels are 0 or 1 unless it says otherwise.
 * What is not defined (one class only, no variance, no memory for a sorted copy) is NAN.  Each
 * formula names its source in ranking.c.
 */
#ifndef ASSAY_RANKING_H
#define ASSAY_RANKING_H

#include <stdbool.h>
#include <stddef.h>

/* The chance that a positive has a higher score than a negative; ties count half. */
double rank_auroc(const double *scores, const bool *labels, size_t n);

/* Average precision: the area under the precision-recall curve, in steps. */
double rank_auprc(const double *scores, const bool *labels, size_t n);

/* What calling every score of at least `threshold` positive gives. */
struct rank_rates {
    double precision, recall, f1, false_positive_rate; /* NAN where the denominator is 0 */
};
struct rank_rates rank_at(const double *scores, const bool *labels, size_t n, double threshold);

/* The threshold, one of the scores, with the best F1 (the highest such), and that F1. */
struct rank_best {
    double threshold, f1;
};
struct rank_best rank_best_f1(const double *scores, const bool *labels, size_t n);

/* The false positive rate at the highest threshold whose true positive rate is at least `tpr`. */
double rank_fpr_at_tpr(const double *scores, const bool *labels, size_t n, double tpr);

/* Expected calibration error in `RANK_BINS` bins of equal width over [0, 1]; targets may be any
 * numbers in [0, 1].  `bins` may be NULL. */
#define RANK_BINS 10
struct rank_bin {
    size_t n;
    double mean_score, mean_target; /* NAN in an empty bin */
};
double rank_ece(const double *probabilities, const double *targets, size_t n,
                struct rank_bin bins[RANK_BINS]);

double rank_pearson(const double *x, const double *y, size_t n);
double rank_spearman(const double *x, const double *y, size_t n); /* ties get their mean rank */

/* The value below which a share p of n values lies, by linear interpolation. */
double rank_quantile(const double *values, size_t n, double p);

#endif
