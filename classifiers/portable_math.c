#include "classifiers/portable_math.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

#define LN_2      0.69314718055994530942
#define SQRT_HALF 0.70710678118654752440

#define TERMS 14

/* Of Taylor's series for e to the r. */
static const double terms[TERMS] = {1,
                                    1,
                                    1.0 / 2,
                                    1.0 / 6,
                                    1.0 / 24,
                                    1.0 / 120,
                                    1.0 / 720,
                                    1.0 / 5040,
                                    1.0 / 40320,
                                    1.0 / 362880,
                                    1.0 / 3628800,
                                    1.0 / 39916800,
                                    1.0 / 479001600,
                                    1.0 / 6227020800};

/* x = n ln 2 + r with |r| <= ln 2 / 2. */
double portable_exp(double x)
{
    if (x > 700) x = 700;
    if (x < -700) x = -700;
    int64_t n = lrint(x * (1 / LN_2));
    double r = x - (double)n * LN_2, sum = terms[TERMS - 1], power;
    for (int k = TERMS - 2; k >= 0; k--) sum = sum * r + terms[k];
    uint64_t bits = (uint64_t)(n + 1023) << 52; /* 2 to the n */
    memcpy(&power, &bits, sizeof power);
    return sum * power;
}

/* x = m 2^n with m near 1; log m = 2 artanh((m - 1) / (m + 1)). */
double portable_log(double x)
{
    int n;
    double m = frexp(x, &n);
    if (m < SQRT_HALF) {
        m *= 2;
        n--;
    }
    double z = (m - 1) / (m + 1), square = z * z, sum = 0;
    for (int k = 21; k >= 1; k -= 2) sum = sum * square + 1.0 / k;
    return 2 * z * sum + n * LN_2;
}

double portable_logistic(double x)
{
    return 1 / (1 + portable_exp(-x));
}
