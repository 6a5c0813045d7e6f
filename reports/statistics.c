#include "reports/statistics.h"

#include <math.h>
#include <stdlib.h>

#include "engine/base/rng.h"

static const double not_known = (double)NAN;

/* Two passes: the sum of squares alone cancels when the mean is large. */
static double sum_of_squares(const double *values, size_t n, double mean)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += (values[i] - mean) * (values[i] - mean);
    return sum;
}

double stat_mean(const double *values, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += values[i];
    return n ? sum / (double)n : not_known;
}

double stat_stddev(const double *values, size_t n)
{
    if (n < 2) return not_known;
    return sqrt(sum_of_squares(values, n, stat_mean(values, n)) / (double)(n - 1));
}

double stat_stderr(const double *values, size_t n)
{
    return stat_stddev(values, n) / sqrt((double)n);
}

/* Two crossed random factors without replication, values[d * S + s] of D documents and S drawings:
 * the drawings' component is max(0, (MS_drawings - MS_residual) / D) (Searle, Casella and
 * McCulloch, Variance Components, 1992, chapter 4). */
struct drawings stat_drawings(const double *values, size_t n_documents, size_t n_drawings)
{
    size_t n = n_documents, k = n_drawings;
    struct drawings out = {not_known, not_known, not_known};
    if (!n || !k) return out;
    out.mean = stat_mean(values, n * k);
    double documents = 0, drawings = 0, total = sum_of_squares(values, n * k, out.mean);
    for (size_t d = 0; d < n; d++) {
        double deviation = stat_mean(values + d * k, k) - out.mean;
        documents += deviation * deviation;
    }
    for (size_t s = 0; s < k; s++) {
        double sum = 0;
        for (size_t d = 0; d < n; d++) sum += values[d * k + s];
        drawings += (sum / (double)n - out.mean) * (sum / (double)n - out.mean);
    }
    if (n < 2) return out;
    out.stderror = sqrt(documents / (double)(n - 1) / (double)n);
    if (k < 2) return out;
    double residual = total - (double)k * documents - (double)n * drawings;
    double component =
        ((double)n * drawings / (double)(k - 1) - residual / (double)(n - 1) / (double)(k - 1)) /
        (double)n;
    out.deviation = component > 0 ? sqrt(component) : 0;
    return out;
}

/* ---- Groups (lm-evaluation-harness, api/metrics.py: aggregate_subtask_metrics and
 * pooled_sample_stderr) ---- */

double stat_micro_mean(const struct stat_part *parts, size_t k)
{
    double sum = 0, n = 0;
    for (size_t i = 0; i < k; i++) {
        sum += parts[i].mean * (double)parts[i].n;
        n += (double)parts[i].n;
    }
    return n > 0 ? sum / n : not_known;
}

double stat_macro_mean(const struct stat_part *parts, size_t k)
{
    double sum = 0;
    for (size_t i = 0; i < k; i++) sum += parts[i].mean;
    return k ? sum / (double)k : not_known;
}

/* sqrt( [ sum (n_i - 1) se_i^2 n_i / (N - k) ] / N ) */
double stat_pooled_stderr(const struct stat_part *parts, size_t k)
{
    double squares = 0, n = 0;
    for (size_t i = 0; i < k; i++) {
        double n_i = (double)parts[i].n;
        /* One value has no deviation and adds none. */
        if (parts[i].n > 1) squares += (n_i - 1) * parts[i].stderror * parts[i].stderror * n_i;
        n += n_i;
    }
    return n > (double)k ? sqrt(squares / (n - (double)k) / n) : not_known;
}

/* ---- The normal distribution ---- */

/* ---- Several replies to one document ---- */

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* With x_1 <= ... <= x_n: sum of x_i C(i-1, k-1) / C(n, k), the chance that x_i is the largest of
 * the k drawn.  That chance is k/n for x_n, and (i-k)/(i-1) of it from x_i to x_(i-1). */
double stat_expected_maximum_sorted(const double *values, size_t n, size_t k)
{
    if (!n || !k || k > n) return not_known;
    double sum = 0, chance = (double)k / (double)n;
    for (size_t i = n; i >= k; i--) {
        sum += values[i - 1] * chance;
        if (i == 1) break;
        chance *= (double)(i - k) / (double)(i - 1);
    }
    return sum;
}

void stat_sort(double *values, size_t n)
{
    qsort(values, n, sizeof *values, by_value);
}

double stat_expected_maximum(double *values, size_t n, size_t k)
{
    for (size_t i = 0; i < n; i++)
        if (isnan(values[i])) return not_known;
    stat_sort(values, n);
    return stat_expected_maximum_sorted(values, n, k);
}

/* One resample: the sums of all columns over n rows drawn with replacement.  `drawn` has room for n
 * numbers: knowing them first lets the rows be fetched ahead. */
static void resample(const double *rows, size_t n, size_t n_columns, struct rng *rng,
                     uint32_t *drawn, double *sums)
{
    const size_t ahead = 8;
    for (size_t i = 0; i < n; i++) drawn[i] = (uint32_t)(rng_uniform(rng) * (double)n);
    for (size_t c = 0; c < n_columns; c++) sums[c] = 0;
    for (size_t i = 0; i < n; i++) {
        const double *row = rows + drawn[i] * n_columns;
        const double *next = rows + drawn[i + ahead < n ? i + ahead : i] * n_columns;
        for (size_t c = 0; c < n_columns; c += 8) __builtin_prefetch(next + c);
        for (size_t c = 0; c < n_columns; c++) sums[c] += row[c];
    }
}

/* Efron and Tibshirani (1993), chapter 13. */
static struct interval percentiles(double *means, size_t n_means, double confidence)
{
    for (size_t m = 0; m < n_means; m++)
        if (isnan(means[m])) return (struct interval){not_known, not_known};
    stat_sort(means, n_means);
    double tail = (1 - confidence) / 2 * (double)(n_means - 1);
    return (struct interval){means[(size_t)floor(tail)], means[n_means - 1 - (size_t)floor(tail)]};
}

bool stat_bootstrap_means(const double *rows, size_t n, size_t n_columns, uint64_t seed,
                          double confidence, size_t n_means, struct interval *out)
{
    struct rng rng;
    for (size_t c = 0; c < n_columns; c++) out[c] = (struct interval){not_known, not_known};
    if (n < 2 || n > UINT32_MAX || !n_means || !n_columns) return true;
    uint32_t *drawn = calloc(n, sizeof *drawn);
    double *sums = calloc(n_columns, sizeof *sums);
    double *means = calloc(n_columns * n_means, sizeof *means); /* (n_columns, n_means) */
    bool good = drawn && sums && means;
    rng_seed(&rng, seed);
    for (size_t m = 0; good && m < n_means; m++) {
        resample(rows, n, n_columns, &rng, drawn, sums);
        for (size_t c = 0; c < n_columns; c++) means[c * n_means + m] = sums[c] / (double)n;
    }
    for (size_t c = 0; good && c < n_columns; c++)
        out[c] = percentiles(means + c * n_means, n_means, confidence);
    free(drawn);
    free(sums);
    free(means);
    return good;
}

double stat_normal_cdf(double z)
{
    return 0.5 * erfc(-z / sqrt(2.0));
}

static double normal_density(double z)
{
    return exp(-0.5 * z * z) / sqrt(2.0 * acos(-1.0));
}

/* Abramowitz and Stegun 26.2.23 is good to 4.5e-4 in the lower tail; Halley's steps on erfc() then
 * triple the digits each time. */
double stat_normal_quantile(double p)
{
    if (!(p > 0 && p < 1)) return not_known;
    double tail = p < 0.5 ? p : 1 - p;
    double t = sqrt(-2 * log(tail));
    double z = -(t - (2.515517 + t * (0.802853 + t * 0.010328)) /
                         (1 + t * (1.432788 + t * (0.189269 + t * 0.001308))));
    for (int i = 0; i < 3; i++) {
        double u = (stat_normal_cdf(z) - tail) / normal_density(z);
        z -= u / (1 + 0.5 * z * u);
    }
    return p < 0.5 ? z : -z;
}

/* The z of a two-sided interval. */
static double two_sided_z(double confidence)
{
    return stat_normal_quantile(0.5 + 0.5 * confidence);
}

/* E. B. Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22
 * (1927) 209-212. */
struct interval stat_wilson(int64_t successes, int64_t n, double confidence)
{
    if (n <= 0 || successes < 0 || successes > n) return (struct interval){not_known, not_known};
    double z = two_sided_z(confidence), total = (double)n, p = (double)successes / total;
    double scale = 1 + z * z / total;
    double centre = (p + z * z / (2 * total)) / scale;
    double half = z / scale * sqrt(p * (1 - p) / total + z * z / (4 * total * total));
    struct interval interval = {centre - half, centre + half};
    if (successes == 0) interval.low = 0; /* exact, where rounding leaves a trace */
    if (successes == n) interval.high = 1;
    return interval;
}

/* ---- Paired answers (Q. McNemar, Psychometrika 12 (1947) 153-157; exact form: the disagreements
 * are Binomial(a + b, 1/2)) ---- */

/* ln n!, with no shared state (lgamma() writes signgam): Stirling's series from 16 up, whose first
 * term left out is below 1e-13 there. */
static double log_factorial(int64_t n)
{
    double x = (double)n + 1; /* ln Gamma(x) */
    double shift = 0;
    for (; x < 16; x++) shift += log(x);
    double inverse = 1 / x, square = inverse * inverse;
    double series =
        inverse * (1.0 / 12 - square * (1.0 / 360 - square * (1.0 / 1260 - square / 1680)));
    return (x - 0.5) * log(x) - x + 0.5 * log(2 * acos(-1.0)) + series - shift;
}

/* P(X >= k) for X ~ Binomial(n, 1/2), 2k > n: the terms fall from the first one on, so they are
 * summed as multiples of it. */
static double upper_tail(int64_t k, int64_t n)
{
    double first =
        log_factorial(n) - log_factorial(k) - log_factorial(n - k) - (double)n * log(2.0);
    double sum = 1, term = 1;
    for (int64_t i = k; i < n && term > 1e-18 * sum; i++) {
        term *= (double)(n - i) / (double)(i + 1);
        sum += term;
    }
    return exp(first) * sum;
}

double stat_mcnemar_one_sided(int64_t a_only, int64_t b_only)
{
    if (a_only < 0 || b_only < 0) return not_known;
    if (a_only == 0) return 1;
    int64_t n = a_only + b_only;
    double p = a_only > b_only ? upper_tail(a_only, n) : 1 - upper_tail(b_only + 1, n);
    return p > 1 ? 1 : p;
}

double stat_mcnemar_two_sided(int64_t a_only, int64_t b_only)
{
    if (a_only < 0 || b_only < 0) return not_known;
    if (a_only == b_only) return 1;
    double p = 2 * (a_only > b_only ? stat_mcnemar_one_sided(a_only, b_only)
                                    : stat_mcnemar_one_sided(b_only, a_only));
    return p > 1 ? 1 : p;
}

struct paired_difference stat_paired(const double *differences, size_t n, double confidence)
{
    double mean = stat_mean(differences, n), stderror = stat_stderr(differences, n);
    double half = two_sided_z(confidence) * stderror;
    return (struct paired_difference){mean, stderror, {mean - half, mean + half}};
}

/* D. G. Bonett and R. M. Price, "Adjusted Wald confidence interval for a difference of binomial
 * proportions based on paired data", J. Educ. Behav. Stat. 37 (2012) 479-488: one pair is added to
 * each kind of disagreement. */
struct paired_difference stat_paired_binary(int64_t a_only, int64_t b_only, int64_t n,
                                            double confidence)
{
    if (n <= 0 || a_only < 0 || b_only < 0 || a_only + b_only > n)
        return (struct paired_difference){not_known, not_known, {not_known, not_known}};
    double total = (double)n, a = (double)a_only, b = (double)b_only;
    double mean = (b - a) / total;
    double variance = n > 1 ? (a + b - (b - a) * mean) / (total - 1) : not_known;
    double pa = (a + 1) / (total + 2), pb = (b + 1) / (total + 2);
    double half = two_sided_z(confidence) * sqrt((pa + pb - (pb - pa) * (pb - pa)) / (total + 2));
    double low = pb - pa - half, high = pb - pa + half;
    return (struct paired_difference){
        mean, sqrt(variance / total), {low < -1 ? -1 : low, high > 1 ? 1 : high}};
}

double stat_paired_p(double mean, double stderror)
{
    if (stderror > 0) return stat_normal_cdf(-mean / stderror);
    if (isnan(mean) || isnan(stderror)) return not_known;
    return mean > 0 ? 0 : 1; /* all differences are the same number */
}

double stat_non_inferiority_p(double drop, double stderror, double margin)
{
    return stat_paired_p(margin - drop, stderror);
}

/* S. Holm, "A simple sequentially rejective multiple test procedure", Scand. J. Statist. 6 (1979)
 * 65-70.  p_(i) becomes max over j <= i of (m - j + 1) p_(j), at most 1. */
void stat_holm(double *p, size_t n)
{
    size_t m = 0;
    double floor = 0;
    for (size_t i = 0; i < n; i++)
        if (!isnan(p[i])) m++;
    /* What is done is kept with its sign bit set until all are. */
    for (size_t rank = 0; rank < m; rank++) {
        size_t smallest = n;
        for (size_t i = 0; i < n; i++)
            if (!isnan(p[i]) && !signbit(p[i]) && (smallest == n || p[i] < p[smallest]))
                smallest = i;
        double adjusted = p[smallest] * (double)(m - rank);
        if (adjusted > floor) floor = adjusted > 1 ? 1 : adjusted;
        p[smallest] = -floor;
    }
    for (size_t i = 0; i < n; i++) p[i] = fabs(p[i]);
}
