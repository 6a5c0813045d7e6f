/* Logistic regression on hidden states.
 *
 *   loss(w, b) = mean over texts of -y log p - (1 - y) log(1 - p)  +  l2 / 2 * |w|^2
 *
 * over features with mean 0 and variance 1.  It is minimised by Nesterov's gradient method with
 * restarts (O'Donoghue and Candes 2015) and a step of 1 / L, where L bounds the curvature: a
 * quarter of the largest eigenvalue of X'X / n, plus l2.  Sums are in a fixed order. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "classifiers/probe.h"

#define POWER_ROUNDS   20  /* to find the largest eigenvalue */
#define CURVATURE_ROOM 1.1 /* the power method comes from below */
#define MAX_ROUNDS     1000
#define FOLD_ROUNDS    150
#define FOLDS          4
#define MAX_FOLD_ROWS  2000 /* cross-validation looks at so many texts at most */
#define TOLERANCE      1e-6 /* of the gradient's largest entry */

static const double strengths[] = {0.003, 0.03, 0.3, 3};
#define N_STRENGTHS (sizeof strengths / sizeof strengths[0])

/* The rows that one fit learns from. */
struct rows {
    const float *x;    /* (all, d), standardised */
    const size_t *row; /* (n) */
    const double *y;   /* (n) */
    size_t n, d;
};

struct fit {
    double *w, *previous, *point, *gradient; /* (d) */
    double b, previous_b, point_b, gradient_b;
    double *p; /* (n) */
};

static status_code fit_init(struct fit *fit, size_t n, size_t d, struct status *st)
{
    *fit = (struct fit){.w = calloc(d, sizeof(double)),
                        .previous = calloc(d, sizeof(double)),
                        .point = calloc(d, sizeof(double)),
                        .gradient = calloc(d, sizeof(double)),
                        .p = calloc(n, sizeof(double))};
    if (fit->w && fit->previous && fit->point && fit->gradient && fit->p) return STATUS_OK;
    return status_no_memory(st, "a probe's training");
}

static void fit_release(struct fit *fit)
{
    free(fit->w);
    free(fit->previous);
    free(fit->point);
    free(fit->gradient);
    free(fit->p);
}

static double dot_row(const float *x, const double *w, size_t d)
{
    double sum = 0;
    for (size_t i = 0; i < d; i++) sum += (double)x[i] * w[i];
    return sum;
}

/* gradient = X'(values) / n */
static void transpose_apply(const struct rows *rows, const double *values, double *gradient)
{
    memset(gradient, 0, rows->d * sizeof *gradient);
    for (size_t r = 0; r < rows->n; r++) {
        const float *x = rows->x + rows->row[r] * rows->d;
        double v = values[r] / (double)rows->n;
        for (size_t i = 0; i < rows->d; i++) gradient[i] += v * (double)x[i];
    }
}

/* The largest eigenvalue of X'X / n. */
static double largest_eigenvalue(const struct rows *rows, struct fit *fit)
{
    double norm = 0, *v = fit->point;
    for (size_t i = 0; i < rows->d; i++) v[i] = 1 / sqrt((double)rows->d);
    for (int round = 0; round < POWER_ROUNDS; round++) {
        for (size_t r = 0; r < rows->n; r++)
            fit->p[r] = dot_row(rows->x + rows->row[r] * rows->d, v, rows->d);
        transpose_apply(rows, fit->p, fit->gradient);
        norm = 0;
        for (size_t i = 0; i < rows->d; i++) norm += fit->gradient[i] * fit->gradient[i];
        norm = sqrt(norm);
        if (!(norm > 0)) return 0;
        for (size_t i = 0; i < rows->d; i++) v[i] = fit->gradient[i] / norm;
    }
    return norm;
}

/* The gradient at `point`; returns its largest entry. */
static double find_gradient(const struct rows *rows, struct fit *fit, double l2)
{
    double largest = 0;
    fit->gradient_b = 0;
    for (size_t r = 0; r < rows->n; r++) {
        double z = dot_row(rows->x + rows->row[r] * rows->d, fit->point, rows->d) + fit->point_b;
        fit->p[r] = 1 / (1 + exp(-z)) - rows->y[r];
        fit->gradient_b += fit->p[r] / (double)rows->n;
    }
    transpose_apply(rows, fit->p, fit->gradient);
    for (size_t i = 0; i < rows->d; i++) {
        fit->gradient[i] += l2 * fit->point[i];
        largest = fmax(largest, fabs(fit->gradient[i]));
    }
    return fmax(largest, fabs(fit->gradient_b));
}

/* Leaves the minimum in w and b. */
static void minimise(const struct rows *rows, struct fit *fit, double l2, int max_rounds)
{
    double step = 1 / (CURVATURE_ROOM * (largest_eigenvalue(rows, fit) + 1) / 4 + l2), t = 1;
    memset(fit->w, 0, rows->d * sizeof *fit->w);
    memset(fit->point, 0, rows->d * sizeof *fit->point);
    fit->b = fit->point_b = 0;
    for (int round = 0; round < max_rounds; round++) {
        if (find_gradient(rows, fit, l2) < TOLERANCE) break;
        double uphill = 0, next_t = (1 + sqrt(1 + 4 * t * t)) / 2;
        memcpy(fit->previous, fit->w, rows->d * sizeof *fit->w);
        fit->previous_b = fit->b;
        for (size_t i = 0; i < rows->d; i++) {
            fit->w[i] = fit->point[i] - step * fit->gradient[i];
            uphill += fit->gradient[i] * (fit->w[i] - fit->previous[i]);
        }
        fit->b = fit->point_b - step * fit->gradient_b;
        uphill += fit->gradient_b * (fit->b - fit->previous_b);
        double momentum = uphill > 0 ? 0 : (t - 1) / next_t;
        t = uphill > 0 ? 1 : next_t;
        for (size_t i = 0; i < rows->d; i++)
            fit->point[i] = fit->w[i] + momentum * (fit->w[i] - fit->previous[i]);
        fit->point_b = fit->b + momentum * (fit->b - fit->previous_b);
    }
}

/* ---- the strength of the L2 term ---- */

static double cross_entropy(const struct fit *fit, const struct rows *rows)
{
    double sum = 0;
    for (size_t r = 0; r < rows->n; r++) {
        double z = dot_row(rows->x + rows->row[r] * rows->d, fit->w, rows->d) + fit->b;
        /* log(1 + exp(z)) - y z, without overflow */
        sum += fmax(z, 0) + log1p(exp(-fabs(z))) - rows->y[r] * z;
    }
    return sum;
}

/* Row r of the first `n` is in fold r % FOLDS; the others are learned from. */
static void split(const struct rows *rows, size_t n, int fold, bool inside, size_t *row, double *y,
                  struct rows *out)
{
    *out = (struct rows){.x = rows->x, .row = row, .y = y, .d = rows->d};
    for (size_t r = 0; r < n; r++) {
        if ((r % FOLDS == (size_t)fold) != inside) continue;
        row[out->n] = rows->row[r];
        y[out->n++] = rows->y[r];
    }
}

static status_code choose_strength(const struct rows *rows, struct fit *fit, double *l2,
                                   struct status *st)
{
    size_t n = rows->n < MAX_FOLD_ROWS ? rows->n : MAX_FOLD_ROWS;
    size_t *row = calloc(n, sizeof *row);
    double *y = calloc(n, sizeof *y), best = (double)INFINITY;
    bool good = row && y;
    for (size_t s = 0; s < N_STRENGTHS && good; s++) {
        double loss = 0;
        struct rows part;
        for (int fold = 0; fold < FOLDS; fold++) {
            split(rows, n, fold, false, row, y, &part);
            minimise(&part, fit, strengths[s], FOLD_ROUNDS);
            split(rows, n, fold, true, row, y, &part);
            loss += cross_entropy(fit, &part);
        }
        if (loss >= best) continue;
        best = loss;
        *l2 = strengths[s];
    }
    free(row);
    free(y);
    return good ? STATUS_OK : status_no_memory(st, "a probe's training");
}

/* ---- one head ---- */

static status_code find_rows(const struct probe_data *data, int head, size_t *row, double *y,
                             struct rows *out, struct status *st)
{
    bool low = false, high = false;
    for (size_t i = 0; i < data->n; i++) {
        float label = data->labels[i * (size_t)data->n_heads + (size_t)head];
        if (data->held_out[i] || isnan(label)) continue;
        row[out->n] = i;
        y[out->n++] = (double)label;
        low = low || label < 0.5f;
        high = high || label >= 0.5f;
    }
    if (low && high && out->n >= FOLDS) return STATUS_OK;
    return status_set(st, STATUS_BAD_INPUT, "%s: no text to learn from is %s",
                      hazard_get(data->category[head])->name, low ? "positive" : "negative");
}

static status_code train_head(struct probe *probe, const struct probe_data *data, const float *x,
                              int head, struct status *st)
{
    size_t d = (size_t)data->d_model, *row = calloc(data->n, sizeof *row);
    double *y = calloc(data->n, sizeof *y);
    struct rows rows = {.x = x, .row = row, .y = y, .d = d};
    struct fit fit = {0};
    status_code code = row && y ? STATUS_OK : status_no_memory(st, "a probe's training");
    if (code == STATUS_OK) code = find_rows(data, head, row, y, &rows, st);
    if (code == STATUS_OK) code = fit_init(&fit, rows.n, d, st);
    if (code == STATUS_OK) code = choose_strength(&rows, &fit, &probe->l2[head], st);
    if (code == STATUS_OK) {
        minimise(&rows, &fit, probe->l2[head], MAX_ROUNDS);
        probe->bias[head] = fit.b;
        for (size_t i = 0; i < d; i++) probe->weights[(size_t)head * d + i] = (float)fit.w[i];
    }
    fit_release(&fit);
    free(row);
    free(y);
    return code;
}

/* ---- the whole ---- */

/* Means and deviations over the rows that are learned from; a constant feature becomes 0. */
static void standardise(const struct probe_data *data, float *x, double *mean, double *deviation)
{
    size_t d = (size_t)data->d_model, n = 0;
    for (size_t r = 0; r < data->n; r++) {
        if (data->held_out[r]) continue;
        n++;
        for (size_t i = 0; i < d; i++) mean[i] += (double)data->hidden[r * d + i];
    }
    for (size_t i = 0; i < d; i++) mean[i] /= (double)(n ? n : 1);
    for (size_t r = 0; r < data->n; r++)
        for (size_t i = 0; i < d && !data->held_out[r]; i++) {
            double gap = (double)data->hidden[r * d + i] - mean[i];
            deviation[i] += gap * gap;
        }
    for (size_t i = 0; i < d; i++) {
        deviation[i] = sqrt(deviation[i] / (double)(n ? n : 1));
        if (!(deviation[i] > 1e-9)) deviation[i] = (double)INFINITY;
    }
    for (size_t r = 0; r < data->n; r++)
        for (size_t i = 0; i < d; i++)
            x[r * d + i] = (float)(((double)data->hidden[r * d + i] - mean[i]) / deviation[i]);
}

/* Puts the standardisation into the weights, so that the file needs no more than them. */
static void unstandardise(struct probe *probe, const double *mean, const double *deviation)
{
    size_t d = (size_t)probe->d_model;
    for (int h = 0; h < probe->n_heads; h++)
        for (size_t i = 0; i < d; i++) {
            float *w = &probe->weights[(size_t)h * d + i];
            *w = (float)((double)*w / deviation[i]);
            probe->bias[h] -= (double)*w * mean[i];
        }
}

static status_code train_heads(struct probe *probe, const struct probe_data *data,
                               struct status *st)
{
    size_t d = (size_t)data->d_model;
    float *x = calloc(data->n * d, sizeof *x);
    double *mean = calloc(d, sizeof *mean), *deviation = calloc(d, sizeof *deviation);
    probe->weights = calloc((size_t)data->n_heads * d, sizeof(float));
    bool good = x && mean && deviation && probe->weights;
    status_code code = good ? STATUS_OK : status_no_memory(st, "a probe's training");
    if (good) standardise(data, x, mean, deviation);
    for (int h = 0; h < data->n_heads && code == STATUS_OK; h++)
        code = train_head(probe, data, x, h, st);
    if (code == STATUS_OK) unstandardise(probe, mean, deviation);
    free(x);
    free(mean);
    free(deviation);
    return code;
}

status_code probe_train(struct probe **out, const struct probe_data *data, struct status *st)
{
    BUG_IF(strlen(data->name) >= LINEAR_NAME_SIZE || data->n_heads > LINEAR_MAX_HEADS);
    struct probe *probe = calloc(1, sizeof *probe);
    if (!probe) return status_no_memory(st, "a probe");
    memcpy(probe->name, data->name, strlen(data->name));
    memcpy(probe->weights_sha256, data->weights_sha256, SHA256_HEX_SIZE);
    probe->pool = data->pool;
    probe->d_model = data->d_model;
    probe->n_heads = data->n_heads;
    for (int h = 0; h < data->n_heads; h++) probe->category[h] = data->category[h];
    status_code code = train_heads(probe, data, st);
    if (code != STATUS_OK) {
        probe_free(probe);
        return code;
    }
    *out = probe;
    return STATUS_OK;
}
