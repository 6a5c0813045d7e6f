/* fit.h - the scale that represents a few numbers best.  Internal to quants.
 *
 * Rounding x to scale * q is not best at the scale that just covers the largest x: a slightly other
 * one clips or stretches a little and fits the rest better.  The search tries scales around that
 * one, rounds, solves for the scale that is best for those integers (weighted least squares), and
 * keeps the trial with the smallest weighted error.  This is the idea behind llama.cpp's k-quants
 * (github.com/ggml-org/llama.cpp/pull/1684).
 *
 * Integers are rounded to nearest, halves away from zero.  Inputs are finite, and n is a multiple
 * of 8.
 */
#ifndef ASSAY_QUANTS_FIT_H
#define ASSAY_QUANTS_FIT_H

#include <stdbool.h>
#include <stddef.h>

/* Whether every number is finite. */
bool fit_all_finite(const float *x, size_t n);

/* weight[i] = root mean square of x, plus |x[i]|: large numbers matter more. */
void fit_weights(float *weight, const float *x, size_t n);

/* The scale, of either sign, for x ~ scale * q with integers lowest <= q <= -lowest - 1; 0 where
 * all x are 0. */
float fit_symmetric(const float *x, const float *weight, size_t n, int lowest);

/* The scale >= 0 and min >= 0 for x ~ scale * q - min with integers 0 <= q <= highest. */
void fit_with_min(const float *x, const float *weight, size_t n, int highest, float *scale,
                  float *min);

/* sum of weight * (scale * q - min - x)^2 with the best integers 0 <= q <= highest. */
double fit_error(const float *x, const float *weight, size_t n, int highest, float scale,
                 float min);

/* 1 / scale, and 0 where that is no number. */
float fit_inverse(float scale);

/* The integer nearest to x, within bounds; the lowest one for NaN.  No branches and no call: it is
 * what the search spends its time on. */
static inline int fit_round(float x, int lowest, int highest)
{
    float least = (float)lowest, most = (float)highest;
    x = x > least ? x : least;
    x = x < most ? x : most;
    return (int)(x + (x < 0.0f ? -0.5f : 0.5f));
}

#endif
