#include "reports/ranking.h"

#include <math.h>
#include <stdlib.h>

struct ranked {
    double score;
    size_t index;
};

static int by_score(const void *a, const void *b)
{
    const struct ranked *x = a, *y = b;
    if (x->score != y->score) return x->score < y->score ? -1 : 1;
    return (x->index > y->index) - (x->index < y->index);
}

/* The scores in ascending order, or NULL; a score that is no number has no place in an order. */
static struct ranked *sorted(const double *scores, size_t n)
{
    struct ranked *order = n ? malloc(n * sizeof *order) : NULL;
    for (size_t i = 0; order && i < n; i++) {
        if (isnan(scores[i])) {
            free(order);
            return NULL;
        }
        order[i] = (struct ranked){scores[i], i};
    }
    if (order) qsort(order, n, sizeof *order, by_score);
    return order;
}

static size_t count_positive(const bool *labels, size_t n)
{
    size_t positive = 0;
    for (size_t i = 0; i < n; i++) positive += labels[i];
    return positive;
}

/* The end of the run of equal scores that starts at i. */
static size_t run_end(const struct ranked *order, size_t n, size_t i)
{
    size_t stop = i;
    while (stop < n && order[stop].score == order[i].score) stop++;
    return stop;
}

/* Mann and Whitney's U over n1 n0, from mean ranks. */
double rank_auroc(const double *scores, const bool *labels, size_t n)
{
    size_t positive = count_positive(labels, n), negative = n - positive;
    if (!positive || !negative) return (double)NAN;
    struct ranked *order = sorted(scores, n);
    if (!order) return (double)NAN;
    double rank_sum = 0;
    for (size_t i = 0, stop; i < n; i = stop) {
        stop = run_end(order, n, i);
        double mean_rank = ((double)i + 1 + (double)stop) / 2;
        for (size_t k = i; k < stop; k++)
            if (labels[order[k].index]) rank_sum += mean_rank;
    }
    free(order);
    double p = (double)positive;
    return (rank_sum - p * (p + 1) / 2) / (p * (double)negative);
}

/* Sum over thresholds of (recall step) times precision, as scikit-learn's
 * average_precision_score. */
double rank_auprc(const double *scores, const bool *labels, size_t n)
{
    size_t positive = count_positive(labels, n), hits = 0;
    if (!positive) return (double)NAN;
    struct ranked *order = sorted(scores, n);
    if (!order) return (double)NAN;
    double area = 0;
    for (size_t stop = n; stop > 0;) {
        size_t start = stop, before = hits;
        while (start > 0 && order[start - 1].score == order[stop - 1].score)
            hits += labels[order[--start].index];
        area += (double)(hits - before) * ((double)hits / (double)(n - start));
        stop = start;
    }
    free(order);
    return area / (double)positive;
}

static struct rank_rates rates(size_t hits, size_t called, size_t positive, size_t n)
{
    double tp = (double)hits, fp = (double)(called - hits);
    size_t negative = n - positive;
    struct rank_rates r = {(double)NAN, (double)NAN, (double)NAN, (double)NAN};
    if (called) r.precision = tp / (double)called;
    if (positive) r.recall = tp / (double)positive;
    if (called + positive) r.f1 = 2 * tp / (double)(called + positive);
    if (negative) r.false_positive_rate = fp / (double)negative;
    return r;
}

struct rank_rates rank_at(const double *scores, const bool *labels, size_t n, double threshold)
{
    size_t called = 0, hits = 0;
    for (size_t i = 0; i < n; i++) {
        if (!(scores[i] >= threshold)) continue;
        called++;
        hits += labels[i];
    }
    return rates(hits, called, count_positive(labels, n), n);
}

struct rank_best rank_best_f1(const double *scores, const bool *labels, size_t n)
{
    struct rank_best best = {(double)NAN, (double)NAN};
    size_t positive = count_positive(labels, n), hits = 0;
    struct ranked *order = positive ? sorted(scores, n) : NULL;
    if (!order) return best;
    for (size_t stop = n; stop > 0;) {
        size_t start = stop;
        while (start > 0 && order[start - 1].score == order[stop - 1].score)
            hits += labels[order[--start].index];
        double f1 = rates(hits, n - start, positive, n).f1;
        if (!(best.f1 >= f1)) best = (struct rank_best){order[start].score, f1};
        stop = start;
    }
    free(order);
    return best;
}

double rank_fpr_at_tpr(const double *scores, const bool *labels, size_t n, double tpr)
{
    size_t positive = count_positive(labels, n), hits = 0;
    struct ranked *order = positive && positive < n ? sorted(scores, n) : NULL;
    double result = (double)NAN;
    if (!order) return result;
    for (size_t stop = n; stop > 0 && isnan(result);) {
        size_t start = stop;
        while (start > 0 && order[start - 1].score == order[stop - 1].score)
            hits += labels[order[--start].index];
        if ((double)hits >= tpr * (double)positive)
            result = (double)(n - start - hits) / (double)(n - positive);
        stop = start;
    }
    free(order);
    return result;
}

/* Guo et al. 2017, "On Calibration of Modern Neural Networks", equation 3, for probabilities. */
double rank_ece(const double *probabilities, const double *targets, size_t n,
                struct rank_bin bins[RANK_BINS])
{
    struct rank_bin local[RANK_BINS];
    double sums[RANK_BINS] = {0}, target_sums[RANK_BINS] = {0}, error = 0;
    size_t counts[RANK_BINS] = {0};
    if (!bins) bins = local;
    for (size_t i = 0; i < n; i++) {
        int bin = (int)(probabilities[i] * RANK_BINS);
        bin = bin < 0 ? 0 : bin >= RANK_BINS ? RANK_BINS - 1 : bin;
        counts[bin]++;
        sums[bin] += probabilities[i];
        target_sums[bin] += targets[i];
    }
    for (int b = 0; b < RANK_BINS; b++) {
        double size = (double)counts[b];
        bins[b] = (struct rank_bin){counts[b], (double)NAN, (double)NAN};
        if (!counts[b]) continue;
        bins[b].mean_score = sums[b] / size;
        bins[b].mean_target = target_sums[b] / size;
        error += size / (double)n * fabs(bins[b].mean_score - bins[b].mean_target);
    }
    return n ? error : (double)NAN;
}

static bool is_constant(const double *values, size_t n)
{
    size_t i = 1;
    while (i < n && values[i] == values[0]) i++;
    return i >= n;
}

/* A constant has no correlation, though rounding may leave its deviations a little off 0. */
double rank_pearson(const double *x, const double *y, size_t n)
{
    double mean_x = 0, mean_y = 0, xx = 0, yy = 0, xy = 0;
    if (is_constant(x, n) || is_constant(y, n)) return (double)NAN;
    for (size_t i = 0; i < n; i++) {
        mean_x += x[i] / (double)n;
        mean_y += y[i] / (double)n;
    }
    for (size_t i = 0; i < n; i++) {
        double dx = x[i] - mean_x, dy = y[i] - mean_y;
        xx += dx * dx;
        yy += dy * dy;
        xy += dx * dy;
    }
    return xx > 0 && yy > 0 ? xy / sqrt(xx * yy) : (double)NAN;
}

/* Mean ranks of the values, or NULL. */
static double *mean_ranks(const double *values, size_t n)
{
    struct ranked *order = sorted(values, n);
    double *ranks = order ? malloc(n * sizeof *ranks) : NULL;
    for (size_t i = 0, stop; ranks && i < n; i = stop) {
        stop = run_end(order, n, i);
        for (size_t k = i; k < stop; k++)
            ranks[order[k].index] = ((double)i + 1 + (double)stop) / 2;
    }
    free(order);
    return ranks;
}

double rank_spearman(const double *x, const double *y, size_t n)
{
    double *a = mean_ranks(x, n), *b = mean_ranks(y, n);
    double rho = a && b ? rank_pearson(a, b, n) : (double)NAN;
    free(a);
    free(b);
    return rho;
}

double rank_quantile(const double *values, size_t n, double p)
{
    struct ranked *order = sorted(values, n);
    if (!order) return (double)NAN;
    double place = p * (double)(n - 1);
    size_t below = (size_t)place;
    size_t above = below + 1 < n ? below + 1 : below;
    double share = place - (double)below;
    double value = order[below].score * (1 - share) + order[above].score * share;
    free(order);
    return value;
}
