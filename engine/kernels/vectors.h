/* vectors.h - internal: vectors of LANES floats as both compilers know them.
 *
 * A set's file defines LANES and includes this, says in its own instructions what vectors cannot do
 * by themselves, and includes what is written in these terms: f32_entries.h, tiles.h.  What such a
 * file has to say is listed there.  + - * / work on vectors; nothing is contracted. */
#ifndef ASSAY_KERNELS_VECTORS_H
#define ASSAY_KERNELS_VECTORS_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "engine/kernels/unroll.h"

#define INT8_TOKENS 4 /* of the widest tile with int8 weights */

#define INLINE static inline __attribute__((always_inline))

typedef float vec __attribute__((vector_size(4 * LANES)));
typedef int32_t whole_vec __attribute__((vector_size(4 * LANES)));

INLINE vec load(const float *p)
{
    vec v;
    memcpy(&v, p, sizeof v);
    return v;
}

INLINE void store(float *p, vec v)
{
    memcpy(p, &v, sizeof v);
}

INLINE vec all_lanes(float x)
{
    return x - (vec){0}; /* and not +, for -0 */
}

#endif
