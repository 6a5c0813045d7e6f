/* tiles.h - internal: products with packed weights over vectors.h, in tiles.
 *
 * A tile is some rows of a panel by some tokens.  Its `tokens`, `vectors` (of rows) and `form` are
 * constants at every call, and the loops unroll into registers.  After panels.h and before this a
 * set's file says:
 *
 *   fused(a, b, c)         a * b + c, rounded once
 *   pair_dots(a, b)        in each lane the sum of the products of two pairs of 16-bit numbers
 *   int8_tokens(form)      the widest tile, at most INT8_TOKENS
 *   struct tile_input, read_tile()   what the set wants to have of a tile's activations
 *   dot_sub_block()        a sub-block's integer sums; see kernels_neon_packed.c
 */
#ifndef ASSAY_KERNELS_TILES_H
#define ASSAY_KERNELS_TILES_H

#include "engine/kernels/panels.h"
#include "engine/kernels/vectors.h"

#define PANEL_VECTORS (32 / LANES) /* of a panel's rows */
#define HALF_VECTORS  (16 / LANES)

/* ---- BF16 ----
 *
 * 16 rows by 3 to 5 tokens, or 32 by 1 or 2.  Products of two such numbers are exact in f32, so
 * that fused multiply-adds in the order of columns give what the portable twin does. */

#define BF16_TOKENS 5

INLINE whole_vec load_pairs(const uint8_t *w)
{
    whole_vec pairs;
    memcpy(&pairs, w, sizeof pairs);
    return pairs;
}

/* One column of a tile, its weights as bits. */
INLINE void bf16_column(vec sum[][PANEL_VECTORS], const whole_vec *w, const float *x,
                        const int tokens, const int vectors)
{
    UNROLL(5)
    for (int t = 0; t < tokens; t++) {
        vec value = all_lanes(x[(size_t)t * BF16_COLUMNS]);
        UNROLL(8)
        for (int v = 0; v < vectors; v++) sum[t][v] = fused((vec)w[v], value, sum[t][v]);
    }
}

INLINE void bf16_tile(float *sums, const uint8_t *w, const float *x, size_t pairs, const int tokens,
                      const int vectors)
{
    vec sum[BF16_TOKENS][PANEL_VECTORS];
    UNROLL(5)
    for (int t = 0; t < tokens; t++) {
        UNROLL(8)
        for (int v = 0; v < vectors; v++)
            sum[t][v] = load(sums + (size_t)t * PACKED_ROWS + v * LANES);
    }
    for (size_t pair = 0; pair < pairs; pair++, w += FOUR_BYTES, x += 2) {
        whole_vec column[PANEL_VECTORS];
        UNROLL(8)
        for (int v = 0; v < vectors; v++) column[v] = load_pairs(w + 4 * v * LANES) << 16;
        bf16_column(sum, column, x, tokens, vectors);
        UNROLL(8)
        for (int v = 0; v < vectors; v++)
            column[v] = load_pairs(w + 4 * v * LANES) & (int32_t)0xffff0000;
        bf16_column(sum, column, x + 1, tokens, vectors);
    }
    UNROLL(5)
    for (int t = 0; t < tokens; t++) {
        UNROLL(8)
        for (int v = 0; v < vectors; v++)
            store(sums + (size_t)t * PACKED_ROWS + v * LANES, sum[t][v]);
    }
}

#define BF16_WHOLE(n)                                                                              \
    case n:                                                                                        \
        bf16_tile(sums, w, x, pairs, n, PANEL_VECTORS);                                            \
        break
#define BF16_HALVES(n)                                                                             \
    case n:                                                                                        \
        for (int half = 0; half < 2; half++)                                                       \
            bf16_tile(sums + 16 * half, w + 64 * half, x, pairs, n, HALF_VECTORS);                 \
        break

static void run_bf16(float *sums, const uint8_t *w, const float *x, size_t pairs, size_t tokens)
{
    switch (tokens) {
        BF16_WHOLE(1);
        BF16_WHOLE(2);
        BF16_HALVES(3);
        BF16_HALVES(4);
        BF16_HALVES(5);
    }
}

/* ---- int8 ----
 *
 * 16 rows by 2 to 4 tokens, or 32 by 1.  Integer sums wait in memory for their scales: registers
 * hold the one or the other. */

/* sum over sub-blocks of min * sum of q, for the vector of rows from `row` on. */
INLINE whole_vec sum_of_mins(const struct int8_group *g, size_t row, const int16_t *sums)
{
    whole_vec dot = {0};
    UNROLL(4)
    for (int pair = 0; pair < 4; pair++) {
        whole_vec mins;
        int32_t two;
        memcpy(&mins, g->min[pair][row], sizeof mins);
        memcpy(&two, sums + 2 * pair, sizeof two);
        dot += pair_dots(mins, two - (whole_vec){0});
    }
    return dot;
}

/* sums (tokens, 32) += dots [sub-blocks][INT8_TOKENS][32] times scales, for the vector of rows from
 * `row` on. */
INLINE void scale_dots(float *sums, const struct int8_group *g, size_t row,
                       const struct int8_input *x, const int32_t *dots, const int tokens,
                       const enum packed_form form)
{
    vec sum[INT8_TOKENS];
    UNROLL(4)
    for (int t = 0; t < tokens; t++) sum[t] = all_lanes(0);
    for (size_t sub = 0; sub < g->n_sub; sub++) {
        vec scale = load(g->scale[sub] + row);
        UNROLL(4)
        for (int t = 0; t < tokens; t++) {
            whole_vec dot;
            memcpy(&dot, dots + (sub * INT8_TOKENS + (size_t)t) * PACKED_ROWS, sizeof dot);
            sum[t] = fused(__builtin_convertvector(dot, vec), scale, sum[t]);
        }
    }
    UNROLL(4)
    for (int t = 0; t < tokens; t++) {
        float *at = sums + (size_t)t * PACKED_ROWS + row;
        if (form == PACKED_Q4_K) {
            vec mins = __builtin_convertvector(sum_of_mins(g, row, x[t].sums), vec);
            sum[t] = fused(-load(g->min_scale + row), mins, sum[t]);
        }
        store(at, fused(sum[t], all_lanes(x[t].scale), load(at)));
    }
}

/* sums (tokens, 32) += the group's products, for the rows from `row` on. */
INLINE void int8_tile(float *sums, const struct int8_group *g, size_t row,
                      const struct int8_input *x, const struct tile_input *input, const int tokens,
                      const int vectors, const enum packed_form form)
{
    _Alignas(64) int32_t dots[16][INT8_TOKENS][PACKED_ROWS];
    const uint8_t *w = g->numbers + 4 * row;
    for (size_t sub = 0; sub < g->n_sub; sub++, w += g->number_stride)
        dot_sub_block(dots[sub], w, x, input, sub, tokens, vectors, form);
    for (int v = 0; v < vectors; v++)
        scale_dots(sums, g, row + (size_t)v * LANES, x, dots[0][0] + v * LANES, tokens, form);
}

#define INT8_WHOLE(n)                                                                              \
    case n:                                                                                        \
        read_tile(&input, x, n, form);                                                             \
        int8_tile(sums, g, 0, x, &input, n, PANEL_VECTORS, form);                                  \
        break
#define INT8_HALVES(n)                                                                             \
    case n:                                                                                        \
        read_tile(&input, x, n, form);                                                             \
        for (size_t row = 0; row < PACKED_ROWS; row += 16)                                         \
            int8_tile(sums, g, row, x, &input, n, HALF_VECTORS, form);                             \
        break

/* In tiles of about equal width. */
INLINE void run_int8(float *sums, const struct int8_group *g, const struct int8_input *x, size_t T,
                     const enum packed_form form)
{
    struct tile_input input;
    const size_t widest = int8_tokens(form), n_tiles = (T + widest - 1) / widest;
    for (size_t tile = 0; tile < n_tiles; tile++) {
        size_t tokens = T * (tile + 1) / n_tiles - T * tile / n_tiles;
        switch (tokens) {
            INT8_WHOLE(1);
            INT8_HALVES(2);
            INT8_HALVES(3);
            INT8_HALVES(4);
        }
        x += tokens, sums += tokens * PACKED_ROWS;
    }
}

static void run_q8_0(float *sums, const struct int8_group *g, const struct int8_input *x, size_t T)
{
    run_int8(sums, g, x, T, PACKED_Q8_0);
}

static void run_q4_0(float *sums, const struct int8_group *g, const struct int8_input *x, size_t T)
{
    run_int8(sums, g, x, T, PACKED_Q4_0);
}

static void run_q4_k(float *sums, const struct int8_group *g, const struct int8_input *x, size_t T)
{
    run_int8(sums, g, x, T, PACKED_Q4_K);
}

static void run_q6_k(float *sums, const struct int8_group *g, const struct int8_input *x, size_t T)
{
    run_int8(sums, g, x, T, PACKED_Q6_K);
}

/* ---- a set's entries ---- */

static inline void tiles_prepare(void *prepared, const float *x, size_t T, size_t K,
                                 enum packed_form form, size_t first, size_t n)
{
    if (form == PACKED_BF16)
        bf16_prepare(prepared, x, T, K, first, n);
    else
        int8_prepare(prepared, x, T, K, form, first, n);
}

static inline void tiles_multiply(const struct packed_product *p, size_t first, size_t n,
                                  void *scratch)
{
    switch (p->w->form) {
    case PACKED_BF16:
        bf16_multiply(p, first, n, scratch, BF16_TOKENS, run_bf16);
        break;
    case PACKED_Q8_0:
        int8_multiply(p, first, n, scratch, run_q8_0);
        break;
    case PACKED_Q4_0:
        int8_multiply(p, first, n, scratch, run_q4_0);
        break;
    case PACKED_Q4_K:
        int8_multiply(p, first, n, scratch, run_q4_k);
        break;
    case PACKED_Q6_K:
        int8_multiply(p, first, n, scratch, run_q6_k);
        break;
    case PACKED_NONE:
        break;
    }
}

#endif
