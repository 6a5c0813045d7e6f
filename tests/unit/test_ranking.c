#include "suite.h"

#include <math.h>

#include "reports/ranking.h"

/* Expected numbers are worked out by hand in the comments. */

static void test_auroc(void)
{
    const double s[] = {0.1, 0.4, 0.35, 0.8};
    const bool y[] = {false, false, true, true};
    /* pairs (0.35,0.1) (0.35,0.4)x (0.8,0.1) (0.8,0.4): 3 of 4 */
    CU_ASSERT_DOUBLE_EQUAL(rank_auroc(s, y, 4), 0.75, 1e-12);
    const double ties[] = {1, 1, 1, 1};
    CU_ASSERT_DOUBLE_EQUAL(rank_auroc(ties, y, 4), 0.5, 1e-12);
    const bool one[] = {true, true, true, true};
    CU_ASSERT_TRUE(isnan(rank_auroc(s, one, 4)));
    CU_ASSERT_TRUE(isnan(rank_auroc(s, y, 0)));
    const double bad[] = {0.1, (double)NAN, 0.2, 0.3};
    CU_ASSERT_TRUE(isnan(rank_auroc(bad, y, 4)));
}

static void test_auprc(void)
{
    const double s[] = {0.1, 0.4, 0.35, 0.8};
    const bool y[] = {false, false, true, true};
    /* 0.8: P 1, R 1/2; 0.4: no step; 0.35: P 2/3, R 1: 1/2 + 1/2 * 2/3 */
    CU_ASSERT_DOUBLE_EQUAL(rank_auprc(s, y, 4), 5.0 / 6, 1e-12);
    const double ties[] = {1, 1, 1, 1};
    CU_ASSERT_DOUBLE_EQUAL(rank_auprc(ties, y, 4), 0.5, 1e-12);
}

static void test_rates(void)
{
    const double s[] = {0.9, 0.8, 0.6, 0.5, 0.2};
    const bool y[] = {true, false, true, false, false};
    struct rank_rates at = rank_at(s, y, 5, 0.6); /* 3 called, 2 hits */
    CU_ASSERT_DOUBLE_EQUAL(at.precision, 2.0 / 3, 1e-12);
    CU_ASSERT_DOUBLE_EQUAL(at.recall, 1, 1e-12);
    CU_ASSERT_DOUBLE_EQUAL(at.f1, 0.8, 1e-12);
    CU_ASSERT_DOUBLE_EQUAL(at.false_positive_rate, 1.0 / 3, 1e-12);
    struct rank_best best = rank_best_f1(s, y, 5);
    CU_ASSERT_DOUBLE_EQUAL(best.threshold, 0.6, 0);
    CU_ASSERT_DOUBLE_EQUAL(best.f1, 0.8, 1e-12);
    CU_ASSERT_DOUBLE_EQUAL(rank_fpr_at_tpr(s, y, 5, 0.5), 0, 1e-12);
    CU_ASSERT_DOUBLE_EQUAL(rank_fpr_at_tpr(s, y, 5, 0.95), 1.0 / 3, 1e-12);
    CU_ASSERT_TRUE(isnan(rank_at(s, y, 5, 2).precision));
}

static void test_calibration(void)
{
    const double p[] = {0.05, 0.15, 0.95, 1.0};
    const double y[] = {0, 0.5, 1, 0.8};
    struct rank_bin bins[RANK_BINS];
    /* bins 0, 1, 9: (0.05 + 0.35) / 4 + 2/4 * |0.975 - 0.9| */
    CU_ASSERT_DOUBLE_EQUAL(rank_ece(p, y, 4, bins), 0.1 + 0.0375, 1e-12);
    CU_ASSERT_EQUAL(bins[9].n, 2);
    CU_ASSERT_EQUAL(bins[5].n, 0);
    CU_ASSERT_TRUE(isnan(bins[5].mean_score));
}

static void test_correlation(void)
{
    const double x[] = {1, 2, 3, 4}, y[] = {1, 4, 9, 16}, z[] = {2, 2, 2, 2};
    CU_ASSERT_DOUBLE_EQUAL(rank_spearman(x, y, 4), 1, 1e-12);
    /* cov 12.5/4... : sum dx dy = 25, sum dx2 = 5, sum dy2 = 129 */
    CU_ASSERT_DOUBLE_EQUAL(rank_pearson(x, y, 4), 25 / sqrt(5 * 129.0), 1e-12);
    CU_ASSERT_TRUE(isnan(rank_pearson(x, z, 4)));
    /* 0.05 ten times does not sum to half: the deviations from that mean are no deviations. */
    double constant[10], rising[10];
    for (int i = 0; i < 10; i++) constant[i] = 0.05, rising[i] = i;
    CU_ASSERT_TRUE(isnan(rank_pearson(constant, rising, 10)));
    CU_ASSERT_TRUE(isnan(rank_spearman(rising, constant, 10)));
    CU_ASSERT_TRUE(isnan(rank_pearson(x, y, 1)) && isnan(rank_pearson(x, y, 0)));
    const double ties[] = {1, 1, 2, 3};
    /* ranks 1.5 1.5 3 4 against 1 2 3 4: sum dx dy = 4.5, 4.5 and 5 */
    CU_ASSERT_DOUBLE_EQUAL(rank_spearman(ties, x, 4), 4.5 / sqrt(4.5 * 5), 1e-12);
    CU_ASSERT_DOUBLE_EQUAL(rank_quantile(y, 4, 0.5), 6.5, 1e-12);
    CU_ASSERT_DOUBLE_EQUAL(rank_quantile(y, 4, 1), 16, 1e-12);
}

static const struct test_case tests[] = {
    {"AUROC counts pairs, ties half", test_auroc},
    {"average precision goes in steps", test_auprc},
    {"rates at thresholds", test_rates},
    {"calibration error by bins", test_calibration},
    {"correlations and quantiles", test_correlation},
};
SUITE("ranking", tests)
