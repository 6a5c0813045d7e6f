#include "engine/quants/fit.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

/* Trials on each side of the scale that covers the largest number, and the step between them in
 * units of q. */
#define TRIALS     8
#define TRIAL_STEP 0.15f

/* The search is where `assay convert` spends its time.  Its sums run in LANES partial sums that are
 * added up in one order, so that a compiler may use vectors of any length that divides LANES and
 * the result is the same to the bit: with AVX2 where the machine has it, else with the baseline's.
 * clang names the clones so that other files do not find them. */
#define LANES 8
#if defined __x86_64__ && defined __linux__ && !defined __clang__
#define ANY_VECTORS __attribute__((target_clones("avx2", "default")))
#else
#define ANY_VECTORS
#endif

typedef float lanes __attribute__((vector_size(LANES * sizeof(float))));
typedef int32_t whole_lanes __attribute__((vector_size(LANES * sizeof(int32_t))));

/* mask ? a : b in each lane. */
#define SELECT(mask, a, b) ((lanes)(((mask) & (whole_lanes)(a)) | (~(mask) & (whole_lanes)(b))))

/* Next LANES numbers from p, which need not be aligned. */
#define LOAD(into, p) memcpy(&(into), (p), sizeof(into))

/* fit_round() of each lane, as floats again. */
#define ROUND(into, value, lowest, highest)                                                        \
    do {                                                                                           \
        lanes v_ = (value);                                                                        \
        v_ = SELECT(v_ > (float)(lowest), v_, (lanes){0} + (float)(lowest));                       \
        v_ = SELECT(v_ < (float)(highest), v_, (lanes){0} + (float)(highest));                     \
        v_ += SELECT(v_ < 0.0f, (lanes){0} - 0.5f, (lanes){0} + 0.5f);                             \
        (into) = __builtin_convertvector(__builtin_convertvector(v_, whole_lanes), lanes);         \
    } while (0)

static inline float add_lanes(const lanes *sum)
{
    const lanes lane = *sum;
    return ((lane[0] + lane[4]) + (lane[2] + lane[6])) +
           ((lane[1] + lane[5]) + (lane[3] + lane[7]));
}

bool fit_all_finite(const float *x, size_t n)
{
    bool finite = true;
    for (size_t i = 0; i < n; i++) finite = finite && isfinite(x[i]);
    return finite;
}

ANY_VECTORS
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

/* Weighted moments of the integers of one trial: sum w x q, sum w q^2. */
static inline void symmetric_moments(const float *x, const float *weight, size_t n, int lowest,
                                     float inverse, float *xq_out, float *qq_out)
{
    lanes xq = {0}, qq = {0};
    for (size_t i = 0; i < n; i += LANES) {
        lanes v, w, q;
        LOAD(v, x + i);
        LOAD(w, weight + i);
        ROUND(q, v * inverse, lowest, -lowest - 1);
        xq += w * q * v;
        qq += w * q * q;
    }
    *xq_out = add_lanes(&xq);
    *qq_out = add_lanes(&qq);
}

ANY_VECTORS
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
        float xq, qq;
        symmetric_moments(x, weight, n, lowest, inverse, &xq, &qq);
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

static inline void trial_moments(const float *x, const float *weight, size_t n, int highest,
                                 float inverse, float min, struct moments *out)
{
    lanes sum_w = {0}, wq = {0}, wqq = {0}, wx = {0}, wxq = {0};
    for (size_t i = 0; i < n; i += LANES) {
        lanes v, w, q;
        LOAD(v, x + i);
        LOAD(w, weight + i);
        ROUND(q, (v + min) * inverse, 0, highest);
        sum_w += w;
        wq += w * q;
        wqq += w * q * q;
        wx += w * v;
        wxq += w * q * v;
    }
    *out =
        (struct moments){(double)add_lanes(&sum_w), (double)add_lanes(&wq), (double)add_lanes(&wqq),
                         (double)add_lanes(&wx), (double)add_lanes(&wxq)};
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

ANY_VECTORS
double fit_error(const float *x, const float *weight, size_t n, int highest, float scale, float min)
{
    float inverse = fit_inverse(scale);
    lanes error = {0};
    for (size_t i = 0; i < n; i += LANES) {
        lanes v, w, q;
        LOAD(v, x + i);
        LOAD(w, weight + i);
        ROUND(q, (v + min) * inverse, 0, highest);
        v = scale * q - min - v;
        error += w * v * v;
    }
    return (double)add_lanes(&error);
}

ANY_VECTORS
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
        struct moments m;
        trial_moments(x, weight, n, highest, inverse, cover_min, &m);
        double trial_scale, trial_min;
        if (!solve(&m, &trial_scale, &trial_min)) continue;
        double error = relative_error(&m, trial_scale, trial_min);
        if (!(error < best)) continue;
        best = error;
        *scale = (float)trial_scale;
        *min = (float)trial_min;
    }
}
