/* unroll.h - internal: UNROLL(n) before a loop of at most n rounds, known when compiled, whose
 * arrays are meant to live in registers; UNROLL(1) before one that is to stay a loop.
 *
 * gcc unrolls such loops when told.  clang does by itself, and when told does so too late to keep
 * the arrays in registers. */
#ifndef ASSAY_KERNELS_UNROLL_H
#define ASSAY_KERNELS_UNROLL_H

#ifdef __clang__
#define UNROLL(n)
#else
#define UNROLL_PRAGMA(text) _Pragma(#text)
#define UNROLL(n)           UNROLL_PRAGMA(GCC unroll n)
#endif

#endif
