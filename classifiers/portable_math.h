/* portable_math.h - exp and log whose bits do not depend on the machine's C library.
 *
 * Both use only +, -, *, / and powers of two, in a fixed order, and are good to about 1e-15 of
 * their value.  Scores and training go through them, so that a model file and a score have the same
 * bits wherever they are made.
 */
#ifndef ASSAY_PORTABLE_MATH_H
#define ASSAY_PORTABLE_MATH_H

/* e to the x; x is taken as -700 to 700. */
double portable_exp(double x);

/* The natural logarithm of a positive finite x. */
double portable_log(double x);

/* 1 / (1 + e to the -x). */
double portable_logistic(double x);

#endif
