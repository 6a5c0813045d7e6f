/* panels.h - internal: what the sets' products with packed int8 weights share.
 *
 * Portable code that each set's file compiles for its own instructions, before which it says how a
 * row of halves becomes floats: `static void floats_of_halves(float *dst, const uint16_t *src)`,
 * PACKED_ROWS of them.
 *
 * Letters: T = tokens; a group = at most 256 columns, a sub-block = the columns that share a scale
 * (32, or 16 in Q6_K), a four = 4 columns.
 */
#ifndef ASSAY_KERNELS_PANELS_H
#define ASSAY_KERNELS_PANELS_H

#include <math.h>
#include <string.h>

#include "engine/kernels/kernels.h"

#define FOUR_BYTES  (4 * PACKED_ROWS)
#define GROUP_FOURS (PACKED_GROUP / 4)

/* ---- activations ---- */

/* One token's numbers of a group: x = scale * q.  Weights are stored as unsigned numbers, so that a
 * sub-block's sum starts at what that adds: -offset times the sum of its q. */
struct int8_input {
    _Alignas(64) int8_t q[PACKED_GROUP];
    int32_t start[16]; /* per sub-block */
    int16_t sums[8];   /* of q, per 32 columns, for forms with mins */
    float scale;
};

/* What is added to a form's numbers to make them unsigned. */
static inline int int8_offset(enum packed_form form)
{
    switch (form) {
    case PACKED_Q8_0:
        return 128;
    case PACKED_Q6_K:
        return 32;
    case PACKED_Q4_0:
        return 8;
    default:
        return 0;
    }
}

static inline size_t int8_sub_columns(enum packed_form form)
{
    return form == PACKED_Q6_K ? 16 : 32;
}

/* The largest magnitude as bits, which order like the numbers, with infinity and NaN at the top. */
static inline uint32_t magnitude_bits(const float *x, size_t n)
{
    uint32_t most = 0;
    for (size_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, &x[i], 4);
        bits &= 0x7fffffff;
        most = bits > most ? bits : most;
    }
    return most;
}

/* To the nearest integer, ties to even, of |x| < 2^22: adding 1.5 * 2^23 leaves it in the low bits.
 */
static inline int32_t nearest_int(float x)
{
    float sum = x + 12582912.0f;
    int32_t bits;
    memcpy(&bits, &sum, 4);
    return bits - 0x4b400000;
}

/* The n <= 256 numbers of a group.  Below 2^-100 they count as 0, which keeps the quotient finite;
 * with a NaN or an infinity among them the scale is NaN, and so is every product. */
static inline void int8_quantise(struct int8_input *out, const float *x, size_t n,
                                 enum packed_form form)
{
    uint32_t bits = magnitude_bits(x, n);
    float most;
    memcpy(&most, &bits, 4);
    bool finite = bits < 0x7f800000, zero = most < 0x1p-100f;
    float inverse = finite && !zero ? 127.0f / most : 0.0f;
    out->scale = finite ? (zero ? 0.0f : most / 127.0f) : (float)NAN;
    if (finite)
        for (size_t i = 0; i < n; i++) out->q[i] = (int8_t)nearest_int(x[i] * inverse);
    else
        memset(out->q, 0, n);
    memset(out->q + n, 0, PACKED_GROUP - n);
    int offset = int8_offset(form);
    size_t columns = int8_sub_columns(form);
    for (size_t sub = 0; sub < PACKED_GROUP / columns; sub++) {
        int32_t sum = 0;
        for (size_t i = 0; i < columns; i++) sum += out->q[sub * columns + i];
        out->start[sub] = -offset * sum;
        if (columns == 32) out->sums[sub] = (int16_t)sum;
    }
}

static inline void int8_prepare(struct int8_input *out, const float *x, size_t T, size_t K,
                                enum packed_form form, size_t first, size_t n)
{
    for (size_t t = first; t < first + n; t++)
        for (size_t g = 0; g * PACKED_GROUP < K; g++) {
            size_t at = g * PACKED_GROUP, left = K - at;
            int8_quantise(out + g * T + t, x + t * K + at,
                          left < PACKED_GROUP ? left : PACKED_GROUP, form);
        }
}

/* ---- weights ---- */

/* One group of a panel, ready to multiply. */
struct int8_group {
    _Alignas(64) uint8_t room[GROUP_FOURS * FOUR_BYTES];
    float scale[16][PACKED_ROWS];   /* per sub-block */
    int16_t min[4][PACKED_ROWS][2]; /* per sub-block, two by two */
    float min_scale[PACKED_ROWS];
    const uint8_t *numbers; /* [sub-blocks][its fours][PACKED_ROWS][4], unsigned */
    size_t number_stride;   /* bytes from sub-block to sub-block */
    size_t n_sub;
};

/* Bytes of a whole group as it is packed. */
static inline size_t int8_group_bytes(enum packed_form form)
{
    return packed_panel_bytes(form, PACKED_GROUP);
}

static inline void halves_at(float *dst, const uint8_t *src)
{
    uint16_t halves[PACKED_ROWS];
    memcpy(halves, src, sizeof halves);
    floats_of_halves(dst, halves);
}

static inline void split_nibbles(uint8_t *low, uint8_t *high, const uint8_t *src, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        low[i] = src[i] & 15;
        high[i] = src[i] >> 4;
    }
}

static inline void open_q8_0(struct int8_group *g, const uint8_t *src)
{
    g->numbers = src;
    g->number_stride = 8 * FOUR_BYTES + 2 * PACKED_ROWS;
    for (size_t b = 0; b < g->n_sub; b++)
        halves_at(g->scale[b], src + b * g->number_stride + 8 * FOUR_BYTES);
}

static inline void open_q4_0(struct int8_group *g, const uint8_t *src)
{
    for (size_t b = 0; b < g->n_sub; b++, src += 4 * FOUR_BYTES + 2 * PACKED_ROWS) {
        uint8_t *numbers = g->room + b * 8 * FOUR_BYTES;
        split_nibbles(numbers, numbers + 4 * FOUR_BYTES, src, 4 * FOUR_BYTES);
        halves_at(g->scale[b], src + 4 * FOUR_BYTES);
    }
}

static inline void open_q4_k(struct int8_group *g, const uint8_t *src)
{
    for (size_t pair = 0; pair < 4; pair++, src += 8 * FOUR_BYTES) {
        uint8_t *numbers = g->room + pair * 16 * FOUR_BYTES;
        split_nibbles(numbers, numbers + 8 * FOUR_BYTES, src, 8 * FOUR_BYTES);
    }
    float d[PACKED_ROWS];
    const uint8_t *mins = src + 8 * PACKED_ROWS;
    halves_at(d, mins + 8 * PACKED_ROWS);
    halves_at(g->min_scale, mins + 10 * PACKED_ROWS);
    for (size_t sub = 0; sub < 8; sub++)
        for (size_t r = 0; r < PACKED_ROWS; r++)
            g->scale[sub][r] = d[r] * (float)src[sub * PACKED_ROWS + r];
    for (size_t pair = 0; pair < 4; pair++, mins += 2 * PACKED_ROWS)
        for (size_t r = 0; r < PACKED_ROWS; r++) {
            g->min[pair][r][0] = mins[r];
            g->min[pair][r][1] = mins[PACKED_ROWS + r];
        }
}

static inline void open_q6_k(struct int8_group *g, const uint8_t *src)
{
    for (size_t half = 0; half < 2; half++, src += 24 * FOUR_BYTES) {
        uint8_t *out = g->room + half * 32 * FOUR_BYTES;
        const uint8_t *two = src + 16 * FOUR_BYTES;
        for (size_t i = 0; i < 8 * FOUR_BYTES; i++) {
            uint8_t a = src[i], b = src[i + 8 * FOUR_BYTES], high = two[i];
            out[i] = (uint8_t)((a & 15) | (high & 3) << 4);
            out[i + 8 * FOUR_BYTES] = (uint8_t)((b & 15) | (high & 12) << 2);
            out[i + 16 * FOUR_BYTES] = (uint8_t)(a >> 4 | (high & 48));
            out[i + 24 * FOUR_BYTES] = (uint8_t)(b >> 4 | (high & 192) >> 2);
        }
    }
    float d[PACKED_ROWS];
    halves_at(d, src + 16 * PACKED_ROWS);
    for (size_t sub = 0; sub < 16; sub++)
        for (size_t r = 0; r < PACKED_ROWS; r++)
            g->scale[sub][r] = d[r] * (float)(int8_t)src[sub * PACKED_ROWS + r];
}

/* The group of n columns that starts at src. */
static inline void int8_open(struct int8_group *g, enum packed_form form, const uint8_t *src,
                             size_t n)
{
    g->n_sub = n / int8_sub_columns(form);
    g->numbers = g->room;
    g->number_stride = int8_sub_columns(form) / 4 * FOUR_BYTES;
    switch (form) {
    case PACKED_Q8_0:
        open_q8_0(g, src);
        break;
    case PACKED_Q4_0:
        open_q4_0(g, src);
        break;
    case PACKED_Q4_K:
        open_q4_k(g, src);
        break;
    case PACKED_Q6_K:
        open_q6_k(g, src);
        break;
    default:
        break;
    }
}

/* ---- scratch of a thread ---- */

/* What int8 products keep between groups: sums (T, 32) follow. */
static inline float *int8_sums(void *scratch)
{
    return (float *)(void *)((unsigned char *)scratch + sizeof(struct int8_group));
}

#endif
