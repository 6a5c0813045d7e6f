#include "engine/model/linear.h"

#include <omp.h>
#include <stdatomic.h>
#include <string.h>

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

/* Floats of the room of a gate's products, and of as many beside it, which stay in the second-level
 * cache: those of the panels that kernels multiply side by side. */
static size_t room_floats(size_t T)
{
    return T * 4 * PACKED_ROWS;
}

size_t linear_thread_bytes(const struct model_config *c, size_t T)
{
    size_t tile = (TILE_ROWS * widest(c) * sizeof(float) + 63) / 64 * 64;
    return larger(tile, PACKED_SCRATCH_BYTES(T) + PACKED_INPUT_BYTES(FEW_TOKENS, widest(c)) +
                            2 * room_floats(T) * sizeof(float));
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

/* Thread i of n: its part of the activations x (T, cols) for a matrix.  Returns all of them. */
static const void *prepare_part(const struct kernel_set *kernels, const struct run_state *state,
                                const struct packed_matrix *w, const float *x, size_t T, size_t i,
                                size_t n)
{
    if (T <= FEW_TOKENS) {
        float *own = state->linear_own[i] + PACKED_SCRATCH_BYTES(T) / sizeof(float);
        kernels->prepare(own, x, T, w->cols, w->form, 0, T);
        return own;
    }
    size_t first = T * i / n, end = T * (i + 1) / n;
    kernels->prepare(state->linear_shared, x, T, w->cols, w->form, first, end - first);
#pragma omp barrier
    return state->linear_shared;
}

static void apply_packed(const struct model *model, struct run_state *state, float *out,
                         const float *x, int T, const struct linear *w, bool parallel)
{
    const struct kernel_set *kernels = model->kernels;
    const size_t panels = packed_panels((size_t)w->rows);
    atomic_size_t next = 0;
#pragma omp parallel num_threads(state->n_threads) if (parallel)
    {
        size_t i = (size_t)omp_get_thread_num(), n = (size_t)omp_get_num_threads();
        const struct packed_product product = {
            .w = w->packed,
            .x = prepare_part(kernels, state, w->packed, x, (size_t)T, i, n),
            .T = (size_t)T,
            .out = out,
            .out_stride = (size_t)w->rows,
            .bias = w->bias,
        };
        for (size_t first, count; (count = take_panels(&next, panels, n, &first)) != 0;)
            kernels->multiply(&product, first, count, state->linear_own[i]);
    }
}

/* ---- gated, from packed weights ---- */

static struct packed_matrix some_panels(const struct packed_matrix *w, size_t first, size_t n)
{
    struct packed_matrix part = *w;
    size_t rows = n * PACKED_ROWS, left = w->rows - first * PACKED_ROWS;
    part.rows = rows < left ? rows : left;
    part.data += first * w->panel_bytes;
    return part;
}

struct gated {
    const struct kernel_set *kernels;
    const struct packed_matrix *gate, *up;
    gated_activation *activation;
    float *out; /* (T, rows) */
    size_t T;
};

/* Columns of `out` that n panels from `first` on give. */
static void apply_gated_panels(const struct gated *g, const void *x, size_t first, size_t n,
                               float *room, float *up_room, void *scratch)
{
    const struct packed_matrix gate = some_panels(g->gate, first, n);
    const struct packed_matrix up = some_panels(g->up, first, n);
    const size_t rows = gate.rows;
    struct packed_product product = {
        .w = &gate, .x = x, .T = g->T, .out = room, .out_stride = rows};
    g->kernels->multiply(&product, 0, n, scratch);
    product.w = &up;
    product.out = up_room;
    g->kernels->multiply(&product, 0, n, scratch);
    for (size_t t = 0; t < g->T; t++) {
        g->activation(room + t * rows, up_room + t * rows, rows);
        memcpy(g->out + t * g->gate->rows + first * PACKED_ROWS, room + t * rows,
               rows * sizeof(float));
    }
}

static void apply_gated_part(const struct gated *g, const struct run_state *state, const float *x,
                             atomic_size_t *next, size_t i, size_t n)
{
    const void *prepared = prepare_part(g->kernels, state, g->gate, x, g->T, i, n);
    size_t max_tokens = (size_t)state->max_tokens, panels = packed_panels(g->gate->rows);
    size_t most = room_floats(max_tokens) / (g->T * PACKED_ROWS) / 4 * 4;
    float *scratch = state->linear_own[i];
    float *room =
        scratch +
        (PACKED_SCRATCH_BYTES(g->T) + PACKED_INPUT_BYTES(FEW_TOKENS, g->gate->cols)) / sizeof *room;
    for (size_t first, count; (count = take_panels(next, panels, n, &first)) != 0;)
        for (size_t done = 0, some; done < count; done += some) {
            some = count - done < most ? count - done : most;
            apply_gated_panels(g, prepared, first + done, some, room,
                               room + room_floats(max_tokens), scratch);
        }
}

bool linear_apply_gated(const struct model *model, struct run_state *state, float *out,
                        const float *x, int T, const struct linear *gate, const struct linear *up,
                        gated_activation *activation)
{
    if (!gate->packed || !up->packed || gate->packed->form != up->packed->form) return false;
    if (gate->bias || up->bias || gate->low_rank || up->low_rank) return false;
    const struct gated g = {.kernels = model->kernels,
                            .gate = gate->packed,
                            .up = up->packed,
                            .activation = activation,
                            .out = out,
                            .T = (size_t)T};
    bool parallel = 2 * g.T * g.gate->rows * g.gate->cols >= MIN_PARALLEL_WORK;
    atomic_size_t next = 0;
#pragma omp parallel num_threads(state->n_threads) if (parallel)
    apply_gated_part(&g, state, x, &next, (size_t)omp_get_thread_num(),
                     (size_t)omp_get_num_threads());
    return true;
}

/* ---- any ---- */

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
