/* Expected values come from exact integer arithmetic (fractions of binomials) and from CPython's
 * statistics module, or from BENCHMARKS' published vectors where a comment says so. */
#include "tests/unit/suite.h"

#include <math.h>
#include <stdint.h>

#include "reports/statistics.h"

static void check_near(double actual, double expected, double relative)
{
    double error = fabs(actual - expected) / fmax(fabs(expected), 1e-300);
    if (!(error <= relative)) fprintf(stderr, "  %.17g, expected %.17g\n", actual, expected);
    CU_ASSERT_TRUE(error <= relative);
}

static void test_means(void)
{
    const double values[] = {0.1, 0.4, 0.35, 0.8};
    check_near(stat_mean(values, 4), 0.4125, 1e-15);
    check_near(stat_stddev(values, 4), 0.28975564417856187, 1e-14);
    check_near(stat_stderr(values, 4), 0.14487782208928093, 1e-14);
    CU_ASSERT_TRUE(isnan(stat_mean(values, 0)));
    CU_ASSERT_TRUE(isnan(stat_stddev(values, 1)));
    const double large[] = {1e9 + 1, 1e9 + 2, 1e9 + 3};
    check_near(stat_stddev(large, 3), 1, 1e-12);
}

static double stderr_of(int ones, int n)
{
    double *values = calloc((size_t)n, sizeof *values);
    for (int i = 0; i < ones; i++) values[i] = 1;
    double result = stat_stderr(values, (size_t)n);
    free(values);
    return result;
}

/* lm-evaluation-harness's own results for 64 of 100 and 100 of 135. */
static void test_groups(void)
{
    check_near(stderr_of(64, 100), 0.04824181513244218, 1e-14);
    check_near(stderr_of(100, 135), 0.03785714465066654, 1e-14);
    check_near(stderr_of(612, 1319), 0.0137367, 1e-5);
    const struct stat_part parts[] = {{0.64, 0.04824181513244218, 100},
                                      {100.0 / 135, 0.03785714465066654, 135}};
    check_near(stat_pooled_stderr(parts, 2), 0.02990440005504686, 1e-14);
    check_near(stat_micro_mean(parts, 2), 0.6978723404, 1e-9);
    check_near(stat_macro_mean(parts, 2), 0.6903703704, 1e-9);
    const struct stat_part single[] = {{1, (double)NAN, 1}, {0, (double)NAN, 1}};
    CU_ASSERT_TRUE(isnan(stat_pooled_stderr(single, 2)));
    CU_ASSERT_TRUE(isnan(stat_micro_mean(single, 0)));
}

static void test_normal_quantile(void)
{
    static const double expected[][2] = {
        {0.9, 1.2815515655446008},   {0.95, 1.6448536269514715},  {0.975, 1.9599639845400536},
        {0.999, 3.090232306167813},  {0.001, -3.090232306167813}, {0.3, -0.5244005127080407},
        {1e-10, -6.361340902404056}, {1e-300, -37.0470962993612},
    };
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++)
        check_near(stat_normal_quantile(expected[i][0]), expected[i][1], 1e-11);
    CU_ASSERT_TRUE(fabs(stat_normal_quantile(0.5)) < 1e-12);
    CU_ASSERT_TRUE(isnan(stat_normal_quantile(0)));
    CU_ASSERT_TRUE(isnan(stat_normal_quantile(1)));
    for (double p = 0.001; p < 1; p += 0.001)
        CU_ASSERT_TRUE(fabs(stat_normal_cdf(stat_normal_quantile(p)) - p) < 1e-12);
}

static void test_wilson(void)
{
    struct interval i = stat_wilson(7, 10, 0.95);
    check_near(i.low, 0.39677814746114537, 1e-11);
    check_near(i.high, 0.8922087325936989, 1e-11);
    i = stat_wilson(612, 1319, 0.95);
    check_near(i.low, 0.43721808855692246, 1e-11);
    check_near(i.high, 0.49096680513041924, 1e-11);
    i = stat_wilson(0, 10, 0.95);
    CU_ASSERT_EQUAL(i.low, 0);
    check_near(i.high, 0.27753279986288915, 1e-11);
    i = stat_wilson(10, 10, 0.95);
    CU_ASSERT_EQUAL(i.high, 1);
    CU_ASSERT_TRUE(isnan(stat_wilson(1, 0, 0.95).low));
}

static void test_mcnemar(void)
{
    static const struct {
        int64_t a, b;
        double one, two;
    } expected[] = {
        {5, 0, 0.03125, 0.0625},
        {4, 0, 0.0625, 0.125},
        {0, 5, 1, 0.0625},
        {10, 3, 0.046142578125, 0.09228515625},
        {3, 10, 0.98876953125, 0.09228515625},
        {7, 7, 0.604736328125, 1},
        {60, 40, 0.028443966820490395, 0.056887933640980791},
        {120, 80, 0.0028425779983751527, 0.0056851559967503055},
        {1, 0, 0.5, 1},
        {1000, 900, 0.011554422554450536, 0.023108845108901072},
        {30, 1, 1.4901161193847656e-08, 2.9802322387695312e-08},
        {5000, 4800, 0.022202074399923145, 0.044404148799846291},
    };
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
        check_near(stat_mcnemar_one_sided(expected[i].a, expected[i].b), expected[i].one, 1e-10);
        check_near(stat_mcnemar_two_sided(expected[i].a, expected[i].b), expected[i].two, 1e-10);
    }
    CU_ASSERT_EQUAL(stat_mcnemar_one_sided(0, 0), 1);
    CU_ASSERT_EQUAL(stat_mcnemar_two_sided(0, 0), 1);
    check_near(stat_mcnemar_one_sided(501500, 498500), 0.00135432765302988, 1e-8);
    CU_ASSERT_TRUE(stat_mcnemar_one_sided(1000000, 0) >= 0);
    CU_ASSERT_TRUE(stat_mcnemar_one_sided(1000000, 0) < 1e-300);
}

static void test_paired(void)
{
    double differences[50] = {0};
    for (int i = 0; i < 5; i++) differences[i] = -1;
    struct paired_difference d = stat_paired(differences, 50, 0.95);
    check_near(d.mean, -0.1, 1e-14);
    check_near(d.stderror, 0.04285714285714286, 1e-14);
    check_near(d.interval.low, -0.1 - 1.9599639845400536 * 0.04285714285714286, 1e-11);
    struct paired_difference b = stat_paired_binary(5, 0, 50, 0.95);
    check_near(b.mean, d.mean, 1e-14);
    check_near(b.stderror, d.stderror, 1e-13);
    check_near(b.interval.low, -0.19239103415574388, 1e-11);
    b = stat_paired_binary(0, 0, 100, 0.95);
    CU_ASSERT_EQUAL(b.mean, 0);
    check_near(b.interval.high, 0.02717458479117015, 1e-11);
    b = stat_paired_binary(30, 20, 1000, 0.95);
    check_near(b.interval.low, -0.02407178841847636, 1e-11);
    check_near(b.interval.high, 0.004111708578157, 1e-9);
    CU_ASSERT_TRUE(isnan(stat_paired_binary(2, 2, 3, 0.95).mean));
}

static void test_one_sided_p(void)
{
    check_near(stat_paired_p(1.6448536269514715, 1), 0.05, 1e-12);
    CU_ASSERT_EQUAL(stat_paired_p(0, 0), 1);
    CU_ASSERT_EQUAL(stat_paired_p(0.1, 0), 0);
    CU_ASSERT_TRUE(isnan(stat_paired_p(0.1, (double)NAN)));
    /* No drop, margin two standard errors away: p of the normal's tail beyond 2. */
    check_near(stat_non_inferiority_p(0, 0.005, 0.01), 0.022750131948179195, 1e-12);
    CU_ASSERT_TRUE(stat_non_inferiority_p(0.02, 0.005, 0.01) > 0.97);
}

static void test_holm(void)
{
    double p[] = {0.01, 0.04, 0.03, 0.005};
    stat_holm(p, 4);
    check_near(p[3], 0.02, 1e-12);
    check_near(p[0], 0.03, 1e-12);
    check_near(p[2], 0.06, 1e-12);
    check_near(p[1], 0.06, 1e-12);
    double with_unknown[] = {0.03, (double)NAN, 0.6, 1e-20};
    stat_holm(with_unknown, 4);
    check_near(with_unknown[0], 0.06, 1e-12);
    CU_ASSERT_TRUE(isnan(with_unknown[1]));
    check_near(with_unknown[2], 0.6, 1e-12);
    check_near(with_unknown[3], 3e-20, 1e-12);
    double zeros[] = {0, 0, 1};
    stat_holm(zeros, 3);
    CU_ASSERT_EQUAL(zeros[0], 0);
    CU_ASSERT_EQUAL(zeros[2], 1);
}

/* By hand: means 0.25 and 1 of the second drawing's four documents; what is left to the drawings.
 */
static void test_drawings(void)
{
    const double plain[] = {0, 1, 0, 1, 0, 1, 1, 1};
    struct drawings d = stat_drawings(plain, 4, 2);
    check_near(d.mean, 0.625, 1e-15);
    check_near(d.stderror, 0.125, 1e-15);
    check_near(d.deviation, 0.5, 1e-15);
    const double graded[] = {0.10, 0.35, 0.20, 0.55, 0.85, 0.60, 0.05, 0.30,
                             0.25, 0.60, 0.90, 0.75, 0.40, 0.70, 0.45};
    d = stat_drawings(graded, 5, 3);
    check_near(d.mean, 0.47, 1e-14);
    check_near(d.stderror, 0.11321071798494464, 1e-14);
    check_near(d.deviation, 0.13964240043768933, 1e-14);
    /* Drawings that differ less than documents let them have no component of their own. */
    const double crossed[] = {0, 1, 1, 0};
    CU_ASSERT_EQUAL(stat_drawings(crossed, 2, 2).deviation, 0);
    CU_ASSERT_TRUE(isnan(stat_drawings(plain, 1, 2).stderror));
    CU_ASSERT_TRUE(isnan(stat_drawings(plain, 4, 1).deviation));
    CU_ASSERT_TRUE(isnan(stat_drawings(plain, 0, 2).mean));
}

static const struct test_case tests[] = {
    {"means and deviations", test_means},    {"group means and pooled errors", test_groups},
    {"drawings of examples", test_drawings}, {"the normal quantile", test_normal_quantile},
    {"Wilson's interval", test_wilson},      {"McNemar's exact test", test_mcnemar},
    {"paired differences", test_paired},     {"one-sided p and non-inferiority", test_one_sided_p},
    {"Holm's correction", test_holm},
};
SUITE("statistics", tests)
