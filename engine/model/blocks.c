#include "engine/model/blocks.h"

#include <omp.h>

/* Multiplications below which waking other threads takes longer than doing the work alone. */
#define MIN_PARALLEL_WORK ((size_t)1 << 19)

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

void linear_apply(const struct model *model, struct run_state *state, float *out, const float *x,
                  int T, const struct linear *w)
{
    size_t rows = (size_t)w->rows, cols = (size_t)w->cols;
    bool parallel = (size_t)T * rows * cols >= MIN_PARALLEL_WORK;
#pragma omp parallel for schedule(static) num_threads(state->n_threads) if (parallel)
    for (int row = 0; row < w->rows; row += RUN_TILE_ROWS) {
        int n = w->rows - row < RUN_TILE_ROWS ? w->rows - row : RUN_TILE_ROWS;
        const float *tile =
            unpack_rows(model->kernels, w, row, n, state->tile[omp_get_thread_num()]);
        model->kernels->dot_tile(out + row, rows, x, cols, tile, cols, (size_t)T, (size_t)n, cols);
    }
}

void embed_tokens(const struct linear *embedding, float scale, const int32_t *tokens, int T,
                  float *out)
{
    size_t d_model = (size_t)embedding->cols;
    for (int t = 0; t < T; t++) {
        float *row = out + (size_t)t * d_model;
        const unsigned char *packed = embedding->data + (size_t)tokens[t] * embedding->row_bytes;
        embedding->type->to_f32(row, packed, d_model);
        for (size_t i = 0; i < d_model; i++) row[i] *= scale;
    }
}

void norm_rows(const struct model *model, float *out, const float *x, const float *weight, int T)
{
    size_t d_model = (size_t)model->config.d_model;
    for (size_t t = 0; t < (size_t)T; t++)
        model->kernels->rms_norm(out + t * d_model, x + t * d_model, weight, d_model,
                                 model->config.rms_eps);
}

void add_rows(float *x, const float *block, int T, int d_model)
{
    size_t n = (size_t)T * (size_t)d_model;
    for (size_t i = 0; i < n; i++) x[i] += block[i];
}

void rope_apply(const struct model_config *config, const struct run_state *state, float *x, int T,
                int n_heads, int start)
{
    size_t head_dim = (size_t)config->head_dim, pairs = head_dim / 2;
    for (size_t t = 0; t < (size_t)T; t++) {
        const float *c = state->rope_cos + ((size_t)start + t) * pairs;
        const float *s = state->rope_sin + ((size_t)start + t) * pairs;
        for (size_t h = 0; h < (size_t)n_heads; h++) {
            float *head = x + (t * (size_t)n_heads + h) * head_dim;
            for (size_t i = 0; i < pairs; i++) {
                float a = head[i], b = head[i + pairs];
                head[i] = a * c[i] - b * s[i];
                head[i + pairs] = b * c[i] + a * s[i];
            }
        }
    }
}

float *cache_rows(const struct model_config *config, float *cache, int n_context, int layer,
                  int start)
{
    size_t kv_dim = (size_t)config->n_kv_heads * (size_t)config->head_dim;
    return cache + ((size_t)layer * (size_t)n_context + (size_t)start) * kv_dim;
}

/* One query head over n positions; keys and values are the head's columns of the cache. */
static void attend(const struct kernel_set *kernels, float *out, const float *query,
                   const float *keys, const float *values, size_t stride, size_t n, size_t head_dim,
                   float scale, float *scores)
{
    kernels->dot_tile(scores, n, query, head_dim, keys, stride, 1, n, head_dim);
    for (size_t i = 0; i < n; i++) scores[i] *= scale;
    kernels->softmax(scores, n);
    kernels->mix_rows(out, scores, values, stride, n, head_dim);
}

void attention_apply(const struct model *model, struct run_state *state, int layer, int T,
                     int start, float scale)
{
    const struct model_config *c = &model->config;
    size_t head_dim = (size_t)c->head_dim, stride = (size_t)c->n_kv_heads * head_dim;
    int group = c->n_heads / c->n_kv_heads; /* query heads that share keys and values */
    const float *keys = cache_rows(c, state->keys, state->n_context, layer, 0);
    const float *values = cache_rows(c, state->values, state->n_context, layer, 0);
    size_t work = 2 * (size_t)T * (size_t)c->n_heads * (size_t)(start + T) * head_dim;
    bool parallel = work >= MIN_PARALLEL_WORK;
#pragma omp parallel for collapse(2) schedule(static) num_threads(state->n_threads) if (parallel)
    for (int t = 0; t < T; t++)
        for (int h = 0; h < c->n_heads; h++) {
            size_t at = ((size_t)t * (size_t)c->n_heads + (size_t)h) * head_dim;
            size_t column = (size_t)(h / group) * head_dim;
            attend(model->kernels, state->heads + at, state->q + at, keys + column, values + column,
                   stride, (size_t)(start + t + 1), head_dim, scale,
                   state->scores[omp_get_thread_num()]);
        }
}
