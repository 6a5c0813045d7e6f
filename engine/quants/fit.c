#include "engine/quants/fit.h"

#include <math.h>

/* Trials on each side of the scale that covers the largest number, and the step between them in
 * units of q. */
#define TRIALS     8
#define TRIAL_STEP 0.15f

bool fit_all_finite(const float *x, size_t n)
{
    bool finite = true;
    for (size_t i = 0; i < n; i++) finite = finite && isfinite(x[i]);
    return finite;
}

void fit_weights(float *weight, const float *x, size_t n)
{
    double squares = 0;
    for (size_t i = 0; i < n; i++) squares += (double)x[i] * (double)x[i];
    float rms = (float)sqrt(squares / (double)n);
    for (size_t i = 0; i < n; i++) weight[i] = rms + fabsf(x[i]);
}

float fit_inverse(float scale)
{
    float inverse = scale != 0.0f ? 1.0f / scale : 0.0f;
    return isfinite(inverse) ? inverse : 0.0f;
}

float fit_symmetric(const float *x, const float *weight, size_t n, int lowest)
{
    float extreme = 0;
    for (size_t i = 0; i < n; i++)
        if (fabsf(x[i]) > fabsf(extreme)) extreme = x[i];
    float best_scale = 0;
    double best = 0;
    /* The range has one more integer below zero: the extreme number gets it. */
    for (int trial = -TRIALS; trial <= TRIALS; trial++) {
        float inverse = fit_inverse(extreme / ((float)lowest + TRIAL_STEP * (float)trial));
        float xq = 0, qq = 0;
#pragma omp simd reduction(+ : xq, qq)
        for (size_t i = 0; i < n; i++) {
            float q = (float)fit_round(x[i] * inverse, lowest, -lowest - 1);
            xq += weight[i] * x[i] * q;
            qq += weight[i] * q * q;
        }
        /* With the best scale xq / qq, the weighted error is a constant less xq^2 / qq. */
        double gain = qq > 0 ? (double)xq * (double)xq / (double)qq : 0;
        if (gain > best) {
            best = gain;
            best_scale = xq / qq;
        }
    }
    return best_scale;
}

/* Sums of one trial: weighted moments of the integers and the numbers. */
struct moments {
    double w, q, qq, x, xq;
};

static struct moments trial_moments(const float *x, const float *weight, size_t n, int highest,
                                    float inverse, float min)
{
    float w = 0, wq = 0, wqq = 0, wx = 0, wxq = 0;
#pragma omp simd reduction(+ : w, wq, wqq, wx, wxq)
    for (size_t i = 0; i < n; i++) {
        float q = (float)fit_round((x[i] + min) * inverse, 0, highest);
        float weighted = weight[i] * q;
        w += weight[i];
        wq += weighted;
        wqq += weighted * q;
        wx += weight[i] * x[i];
        wxq += weighted * x[i];
    }
    return (struct moments){(double)w, (double)wq, (double)wqq, (double)wx, (double)wxq};
}

/* Minimises sum w (scale q - min - x)^2 over both, min not below 0.  False where the integers do
 * not determine a scale. */
static bool solve(const struct moments *m, double *scale, double *min)
{
    double determinant = m->w * m->qq - m->q * m->q;
    if (!(determinant > 0)) return false;
    *scale = (m->w * m->xq - m->x * m->q) / determinant;
    *min = (m->q * m->xq - m->qq * m->x) / determinant;
    if (*min < 0) {
        *min = 0;
        *scale = m->qq > 0 ? m->xq / m->qq : 0;
    }
    return *scale > 0;
}

/* That sum, less sum w x^2, which is the same for all trials. */
static double relative_error(const struct moments *m, double scale, double min)
{
    return scale * scale * m->qq + min * min * m->w -
           2 * (scale * min * m->q + scale * m->xq - min * m->x);
}

double fit_error(const float *x, const float *weight, size_t n, int highest, float scale, float min)
{
    float error = 0, inverse = fit_inverse(scale);
#pragma omp simd reduction(+ : error)
    for (size_t i = 0; i < n; i++) {
        float q = (float)fit_round((x[i] + min) * inverse, 0, highest);
        float d = scale * q - min - x[i];
        error += weight[i] * d * d;
    }
    return (double)error;
}

void fit_with_min(const float *x, const float *weight, size_t n, int highest, float *scale,
                  float *min)
{
    float low = 0, high = x[0];
    for (size_t i = 0; i < n; i++) {
        low = x[i] < low ? x[i] : low;
        high = x[i] > high ? x[i] : high;
    }
    *min = -low;
    *scale = high > low ? (high - low) / (float)highest : 0.0f;
    if (!(*scale > 0)) return;
    double best = (double)INFINITY;
    const float range = high - low, cover_min = *min;
    for (int trial = -TRIALS; trial <= TRIALS; trial++) {
        float inverse = ((float)highest + TRIAL_STEP * (float)trial) / range;
        struct moments m = trial_moments(x, weight, n, highest, inverse, cover_min);
        double trial_scale, trial_min;
        if (!solve(&m, &trial_scale, &trial_min)) continue;
        double error = relative_error(&m, trial_scale, trial_min);
        if (!(error < best)) continue;
        best = error;
        *scale = (float)trial_scale;
        *min = (float)trial_min;
    }
}
