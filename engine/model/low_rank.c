#include "engine/model/low_rank.h"

#include <omp.h>

#include "engine/model/linear.h"
#include "engine/model/run_state.h"

/* Columns row..row+n-1 of out (T, rows) += scale * delta (T, n). */
static void add_scaled(float *out, size_t rows, const float *delta, int T, int n, float scale)
{
    for (int t = 0; t < T; t++)
        for (int r = 0; r < n; r++) out[(size_t)t * rows + (size_t)r] += scale * delta[t * n + r];
}

void low_rank_apply(const struct kernel_set *kernels, struct run_state *s, float *out,
                    const float *x, int T, int rows, int cols, const struct low_rank *pair)
{
    size_t rank = (size_t)pair->rank, K = (size_t)cols;
    float *hidden = s->low_rank_hidden; /* (T, R) */
    bool parallel = (size_t)T * rank * K >= MIN_PARALLEL_WORK;
#pragma omp parallel for schedule(static) num_threads(s->n_threads) if (parallel)
    for (int row = 0; row < pair->rank; row += LOW_RANK_TILE) {
        int n = pair->rank - row < LOW_RANK_TILE ? pair->rank - row : LOW_RANK_TILE;
        kernels->dot_tile(hidden + row, rank, x, K, pair->a + (size_t)row * K, K, (size_t)T,
                          (size_t)n, K);
    }
    parallel = (size_t)T * rank * (size_t)rows >= MIN_PARALLEL_WORK;
#pragma omp parallel for schedule(static) num_threads(s->n_threads) if (parallel)
    for (int row = 0; row < rows; row += LOW_RANK_TILE) {
        int n = rows - row < LOW_RANK_TILE ? rows - row : LOW_RANK_TILE;
        float *delta = s->low_rank_delta[omp_get_thread_num()];
        kernels->dot_tile(delta, (size_t)n, hidden, rank, pair->b + (size_t)row * rank, rank,
                          (size_t)T, (size_t)n, rank);
        add_scaled(out + row, (size_t)rows, delta, T, n, pair->scale);
    }
}
