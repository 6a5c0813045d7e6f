#include "engine/model/linear.h"

#include <omp.h>
#include <stdatomic.h>

#include "engine/model/low_rank.h"
#include "engine/model/run_state.h"

/* Rows of a weight matrix that a thread unpacks to f32 at a time. */
#define TILE_ROWS 6

/* Tokens for which each thread prepares the activations by itself, sooner than it could wait for
 * the others. */
#define FEW_TOKENS 4

/* ---- scratch ---- */

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

/* Columns of the widest matrix of the layers and the heads on them. */
static size_t widest(const struct model_config *c)
{
    size_t d_model = (size_t)c->d_model, d_ff = (size_t)c->d_ff;
    size_t q_dim = (size_t)c->n_heads * (size_t)c->head_dim;
    return larger(larger(d_model, d_ff), q_dim);
}

size_t linear_shared_bytes(const struct model_config *c, size_t T)
{
    return PACKED_INPUT_BYTES(T, widest(c));
}

size_t linear_thread_bytes(const struct model_config *c, size_t T)
{
    size_t tile = (TILE_ROWS * widest(c) * sizeof(float) + 63) / 64 * 64;
    return larger(tile, PACKED_SCRATCH_BYTES(T) + PACKED_INPUT_BYTES(FEW_TOKENS, widest(c)));
}

/* ---- in f32 ---- */

/* f32 weights that are aligned can be used where they lie. */
static const float *rows_in_place(const struct linear *w, int row)
{
    const unsigned char *p = w->data + (size_t)row * w->row_bytes;
    bool usable = w->type->type == TENSOR_F32 && (uintptr_t)p % _Alignof(float) == 0;
    return usable ? (const float *)(const void *)p : NULL;
}

static const float *unpack_rows(const struct kernel_set *kernels, const struct linear *w, int row,
                                int n, float *tile)
{
    const float *in_place = rows_in_place(w, row);
    if (in_place) return in_place;
    size_t cols = (size_t)w->cols;
    for (int r = 0; r < n; r++)
        kernels->unpack(tile + (size_t)r * cols, w->data + (size_t)(row + r) * w->row_bytes,
                        w->type, cols);
    return tile;
}

/* Columns row..row+n-1 of out (T, stride). */
static void add_bias(float *out, size_t stride, const float *bias, int T, int n)
{
    for (int t = 0; t < T; t++)
        for (int r = 0; r < n; r++) out[(size_t)t * stride + (size_t)r] += bias[r];
}

static void apply_f32(const struct model *model, struct run_state *state, float *out,
                      const float *x, int T, const struct linear *w, bool parallel)
{
    size_t rows = (size_t)w->rows, cols = (size_t)w->cols;
#pragma omp parallel for schedule(static) num_threads(state->n_threads) if (parallel)
    for (int row = 0; row < w->rows; row += TILE_ROWS) {
        int n = w->rows - row < TILE_ROWS ? w->rows - row : TILE_ROWS;
        const float *tile =
            unpack_rows(model->kernels, w, row, n, state->linear_own[omp_get_thread_num()]);
        model->kernels->dot_tile(out + row, rows, x, cols, tile, cols, (size_t)T, (size_t)n, cols);
        if (w->bias) add_bias(out + row, rows, w->bias + row, T, n);
    }
}

/* ---- from packed weights ---- */

/* The next panels of `panels` that nobody has taken, from *first on; 0 when there are none.  A part
 * of what is left for each: a thread that the system interrupts does not make the others wait, and
 * all end at about the same time.  Fours, which some kernels multiply side by side. */
static size_t take_panels(atomic_size_t *next, size_t panels, size_t n_threads, size_t *first)
{
    size_t n;
    *first = atomic_load(next);
    do {
        size_t left = panels - *first, part = left / (4 * n_threads) / 4 * 4;
        if (left == 0) return 0;
        n = part ? part : left < 4 ? left : 4;
    } while (!atomic_compare_exchange_weak(next, first, *first + n));
    return n;
}

/* Thread i of n: its part of the activations, and parts of the matrix once all are prepared. */
static void multiply_part(const struct kernel_set *kernels, struct run_state *state,
                          struct packed_product product, const float *x, atomic_size_t *next,
                          size_t i, size_t n)
{
    const struct packed_matrix *w = product.w;
    size_t T = product.T, panels = packed_panels(w->rows);
    float *scratch = state->linear_own[i];
    if (T <= FEW_TOKENS) {
        float *own = scratch + PACKED_SCRATCH_BYTES(T) / sizeof *scratch;
        kernels->prepare(own, x, T, w->cols, w->form, 0, T);
        product.x = own;
    } else {
        size_t first = T * i / n, end = T * (i + 1) / n;
        kernels->prepare(state->linear_shared, x, T, w->cols, w->form, first, end - first);
#pragma omp barrier
    }
    for (size_t first, count; (count = take_panels(next, panels, n, &first)) != 0;)
        kernels->multiply(&product, first, count, scratch);
}

static void apply_packed(const struct model *model, struct run_state *state, float *out,
                         const float *x, int T, const struct linear *w, bool parallel)
{
    const struct packed_product product = {
        .w = w->packed,
        .x = state->linear_shared,
        .T = (size_t)T,
        .out = out,
        .out_stride = (size_t)w->rows,
        .bias = w->bias,
    };
    atomic_size_t next = 0;
#pragma omp parallel num_threads(state->n_threads) if (parallel)
    multiply_part(model->kernels, state, product, x, &next, (size_t)omp_get_thread_num(),
                  (size_t)omp_get_num_threads());
}

void linear_apply(const struct model *model, struct run_state *state, float *out, const float *x,
                  int T, const struct linear *w)
{
    bool parallel = (size_t)T * (size_t)w->rows * (size_t)w->cols >= MIN_PARALLEL_WORK;
    if (w->packed)
        apply_packed(model, state, out, x, T, w, parallel);
    else
        apply_f32(model, state, out, x, T, w, parallel);
    if (w->low_rank)
        low_rank_apply(model->kernels, state, out, x, T, w->rows, w->cols, w->low_rank);
}
