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

/* ---- the walk over panels ----
 *
 * For sets whose processor foresees by itself what comes next; kernels_avx512_*.c have walks of
 * their own, which fetch. */

static inline size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Panels of n that are multiplied side by side: they share what is read of the activations, and
 * scratch has room for the sums of 4.  With few tokens the weights are most of what is read, and
 * one panel after the other is memory from end to end. */
static inline size_t panels_at_once(size_t n, size_t T)
{
    return T > 8 ? smaller(4, n) : 1;
}

/* Rows of n panels of out (T, rows) = sums (n, T, PACKED_ROWS) + bias, token by token: neighbouring
 * panels are neighbours in memory. */
static inline void write_panels(const struct packed_product *p, size_t first, size_t n,
                                const float *sums)
{
    for (size_t t = 0; t < p->T; t++)
        for (size_t i = 0; i < n; i++) {
            size_t row = (first + i) * PACKED_ROWS, rows = smaller(PACKED_ROWS, p->w->rows - row);
            const float *from = sums + (i * p->T + t) * PACKED_ROWS;
            float *out = p->out + t * p->out_stride + row;
            if (p->bias)
                for (size_t r = 0; r < rows; r++) out[r] = from[r] + p->bias[row + r];
            else
                memcpy(out, from, rows * sizeof *out);
        }
}

/* sums (T, 32) += a group's products */
typedef void int8_run(float *sums, const struct int8_group *g, const struct int8_input *x,
                      size_t T);

static inline void int8_multiply(const struct packed_product *p, size_t first, size_t n,
                                 void *scratch, int8_run *run)
{
    const struct packed_matrix *w = p->w;
    struct int8_group *g = scratch;
    float *sums = int8_sums(scratch);
    size_t panel_sums = p->T * PACKED_ROWS, group_bytes = int8_group_bytes(w->form);
    for (size_t panel = first, end = first + n, panels; panel < end; panel += panels) {
        panels = panels_at_once(end - panel, p->T);
        const struct int8_input *x = p->x;
        const uint8_t *src = w->data + panel * w->panel_bytes;
        memset(sums, 0, panels * panel_sums * sizeof *sums);
        for (size_t k = 0; k < w->cols; k += PACKED_GROUP, src += group_bytes, x += p->T)
            for (size_t i = 0; i < panels; i++) {
                int8_open(g, w->form, src + i * w->panel_bytes, smaller(PACKED_GROUP, w->cols - k));
                run(sums + i * panel_sums, g, x, p->T);
            }
        write_panels(p, panel, panels, sums);
    }
}

/* Columns whose weights (4 KB of a panel) stay in the first-level cache. */
#define BF16_COLUMNS ((size_t)64)

/* Groups of so many columns, in each all tokens; what is behind the last column is zero. */
static inline void bf16_prepare(uint16_t *out, const float *x, size_t T, size_t K, size_t first,
                                size_t n)
{
    const struct tensor_type_info *bf16 = tensor_type_find(TENSOR_BF16);
    for (size_t t = first; t < first + n; t++)
        for (size_t k = 0; k < K; k += BF16_COLUMNS) {
            uint16_t *group = out + k * T + t * BF16_COLUMNS;
            size_t left = smaller(BF16_COLUMNS, K - k);
            bf16->from_f32(group, x + t * K + k, left);
            memset(group + left, 0, (BF16_COLUMNS - left) * sizeof *group);
        }
}

static inline void bf16_floats(float *dst, const uint16_t *src, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint32_t bits = (uint32_t)src[i] << 16;
        memcpy(&dst[i], &bits, sizeof bits);
    }
}

/* sums (tokens, 32) += the products of w [pairs][32][2] and x (tokens, BF16_COLUMNS), in order. */
typedef void bf16_run(float *sums, const uint8_t *w, const float *x, size_t pairs, size_t tokens);

/* In tiles of about equal width, at most `widest` tokens. */
static inline void bf16_multiply(const struct packed_product *p, size_t first, size_t n,
                                 void *scratch, size_t widest, bf16_run *run)
{
    const struct packed_matrix *w = p->w;
    float *tile = scratch, *sums = int8_sums(scratch);
    size_t T = p->T, n_tiles = (T + widest - 1) / widest;
    for (size_t panel = first, end = first + n, panels; panel < end; panel += panels) {
        panels = panels_at_once(end - panel, p->T);
        memset(sums, 0, panels * T * PACKED_ROWS * sizeof *sums);
        for (size_t k = 0; k < w->cols; k += BF16_COLUMNS) {
            size_t pairs = (smaller(BF16_COLUMNS, w->cols - k) + 1) / 2;
            const uint16_t *x = (const uint16_t *)p->x + k * T;
            const uint8_t *src = w->data + panel * w->panel_bytes + k / 2 * FOUR_BYTES;
            for (size_t i = 0; i < n_tiles; i++) {
                size_t t = T * i / n_tiles, tokens = T * (i + 1) / n_tiles - t;
                bf16_floats(tile, x + t * BF16_COLUMNS, tokens * BF16_COLUMNS);
                for (size_t j = 0; j < panels; j++)
                    run(sums + (j * T + t) * PACKED_ROWS, src + j * w->panel_bytes, tile, pairs,
                        tokens);
            }
        }
        write_panels(p, panel, panels, sums);
    }
}

#endif
