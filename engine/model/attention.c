#include "engine/model/attention.h"

#include <math.h>
#include <omp.h>
#include <string.h>

#include "engine/model/blocks.h"
#include "engine/model/linear.h"

#define TILE_HEADS   64 /* enough that a block stays in the cache for many products */
#define SCORE_FLOATS ((size_t)1 << 19) /* of one thread, where contexts are long */

size_t attention_score_stride(int n_context)
{
    /* Not a multiple of a page: rows would compete for the same places of the cache. */
    return (size_t)KV_BLOCKS(n_context) * KV_BLOCK + 16;
}

size_t attention_tile_heads(int n_context)
{
    size_t heads = SCORE_FLOATS / attention_score_stride(n_context);
    if (heads < 1) return 1;
    return heads < TILE_HEADS ? heads : TILE_HEADS;
}

size_t attention_thread_floats(const struct model_config *c, int n_context)
{
    return attention_tile_heads(n_context) *
           (attention_score_stride(n_context) + 2 * (size_t)c->head_dim);
}

/* What all tiles of one layer have in common. */
struct layer_view {
    const struct model *model;
    const struct run_state *state;
    const struct token_batch *batch;
    int layer, window;
    size_t head_dim, kv_dim, stride; /* of scores */
};

/* Some heads, all of one key-value head, of some rows of the batch. */
struct tile {
    const struct layer_view *view;
    int row, n_rows, head, n_heads, kv_head;
    int first_block, end_block; /* that any row sees */
    float *queries, *mixed;     /* (n_rows * n_heads, head_dim) */
    float *scores;              /* (n_rows * n_heads, stride) from the first block's position on */
};

/* Positions that a row of the batch sees: from `first` up to, not including, `end`. */
struct seen {
    int first, end;
};

static struct seen seen_by(const struct layer_view *v, int row)
{
    if (!v->batch->cache) return (struct seen){0, v->batch->n};
    int end = v->batch->positions[row] + 1;
    return (struct seen){v->window && end > v->window ? end - v->window : 0, end};
}

/* The keys of the tile's head in a block of a row's sequence; the values lie as far from them in
 * every block. */
static const float *keys_of(const struct tile *t, int row, int block)
{
    const struct layer_view *v = t->view;
    const struct token_batch *batch = v->batch;
    size_t head = (size_t)t->kv_head * v->head_dim;
    if (!batch->cache) return v->state->keys + (size_t)block * KV_BLOCK * v->kv_dim + head;
    return kv_cache_keys(batch->cache, v->layer, batch->blocks[row][block]) + head;
}

static const float *values_of(const struct tile *t, int row, int block)
{
    const struct layer_view *v = t->view;
    const float *keys = keys_of(t, row, block);
    if (!v->batch->cache) return v->state->values + (keys - v->state->keys);
    return keys + KV_BLOCK * v->kv_dim;
}

/* The positions of a block that a row sees, counted from the block's own first; false if none. */
static bool part_seen(const struct tile *t, int row, int block, struct seen *part)
{
    struct seen all = seen_by(t->view, row);
    int start = block * KV_BLOCK;
    part->first = all.first > start ? all.first - start : 0;
    part->end = all.end - start < KV_BLOCK ? all.end - start : KV_BLOCK;
    return part->first < part->end;
}

/* Rows from `row` on that have the same block and see some of it; `part` is what they see between
 * them.  0 when the first of them sees nothing of it. */
static int rows_together(const struct tile *t, int row, int block, struct seen *part, bool *whole)
{
    struct seen own;
    int last = t->row + t->n_rows, n = 1;
    if (!part_seen(t, row, block, part)) return 0;
    const float *keys = keys_of(t, row, block);
    *whole = part->first == 0 && part->end == KV_BLOCK;
    for (; row + n < last && part_seen(t, row + n, block, &own); n++) {
        if (keys_of(t, row + n, block) != keys) break;
        *whole &= own.first == 0 && own.end == KV_BLOCK;
        if (own.end > part->end) part->end = own.end;
    }
    return n;
}

static void score_blocks(const struct tile *t)
{
    const struct layer_view *v = t->view;
    size_t heads = (size_t)t->n_heads;
    for (int block = t->first_block; block < t->end_block; block++) {
        size_t at = (size_t)(block - t->first_block) * KV_BLOCK;
        for (int row = t->row, n; row < t->row + t->n_rows; row += n ? n : 1) {
            struct seen part;
            bool whole;
            n = rows_together(t, row, block, &part, &whole);
            if (!n) continue;
            size_t from = (size_t)(row - t->row) * heads;
            v->model->kernels->dot_tile(t->scores + from * v->stride + at, v->stride,
                                        t->queries + from * v->head_dim, v->head_dim,
                                        keys_of(t, row, block), v->kv_dim, (size_t)n * heads,
                                        (size_t)part.end, v->head_dim);
        }
    }
}

static void weigh(const struct tile *t)
{
    const struct model *m = t->view->model;
    for (int i = 0; i < t->n_rows * t->n_heads; i++) {
        struct seen seen = seen_by(t->view, t->row + i / t->n_heads);
        float *scores = t->scores + (size_t)i * t->view->stride +
                        (size_t)(seen.first - t->first_block * KV_BLOCK);
        size_t n = (size_t)(seen.end - seen.first);
        for (size_t k = 0; k < n; k++) scores[k] *= m->config.attention_scale;
        if (m->config.score_softcap > 0) soft_cap(scores, n, m->config.score_softcap);
        m->kernels->softmax(scores, n);
    }
}

/* Adds one block's values to the rows' heads; a row that sees part of it, by itself. */
static void mix_block(const struct tile *t, int row, int n, int block, struct seen part)
{
    const struct layer_view *v = t->view;
    size_t heads = (size_t)t->n_heads, from = (size_t)(row - t->row) * heads;
    size_t at = (size_t)(block - t->first_block) * KV_BLOCK + (size_t)part.first;
    v->model->kernels->mix_rows(
        t->mixed + from * v->head_dim, v->head_dim, t->scores + from * v->stride + at, v->stride,
        values_of(t, row, block) + (size_t)part.first * v->kv_dim, v->kv_dim, (size_t)n * heads,
        (size_t)(part.end - part.first), v->head_dim);
}

static void mix_blocks(const struct tile *t)
{
    for (int block = t->first_block; block < t->end_block; block++)
        for (int row = t->row, n; row < t->row + t->n_rows; row += n ? n : 1) {
            struct seen part;
            bool whole;
            n = rows_together(t, row, block, &part, &whole);
            if (n && whole) mix_block(t, row, n, block, part);
            for (int i = 0; i < n && !whole; i++)
                if (part_seen(t, row + i, block, &part)) mix_block(t, row + i, 1, block, part);
        }
}

/* Queries and results of a tile lie together while it is computed. */
static void attend(struct tile *t)
{
    const struct layer_view *v = t->view;
    size_t row_floats = (size_t)v->model->config.n_heads * v->head_dim;
    size_t own = (size_t)t->n_heads * v->head_dim, at = (size_t)t->head * v->head_dim;
    struct seen seen = seen_by(v, t->row);
    t->first_block = seen.first / KV_BLOCK;
    t->end_block = KV_BLOCKS(seen.end);
    for (int r = 0; r < t->n_rows; r++) {
        seen = seen_by(v, t->row + r);
        if (seen.first / KV_BLOCK < t->first_block) t->first_block = seen.first / KV_BLOCK;
        if (KV_BLOCKS(seen.end) > t->end_block) t->end_block = KV_BLOCKS(seen.end);
        memcpy(t->queries + (size_t)r * own, v->state->q + (size_t)(t->row + r) * row_floats + at,
               own * sizeof(float));
    }
    score_blocks(t);
    weigh(t);
    memset(t->mixed, 0, (size_t)t->n_rows * own * sizeof(float));
    mix_blocks(t);
    for (int r = 0; r < t->n_rows; r++)
        memcpy(v->state->heads + (size_t)(t->row + r) * row_floats + at, t->mixed + (size_t)r * own,
               own * sizeof(float));
}

/* Rows and heads of a tile: as many as its scratch holds, fewer where there would be too few tiles
 * for the threads. */
static void choose_tile(const struct model_config *c, const struct run_state *s, int T, int *n_rows,
                        int *n_heads)
{
    int most = (int)attention_tile_heads(s->n_context), group = c->n_heads / c->n_kv_heads;
    *n_heads = group < most ? group : most;
    *n_rows = most / *n_heads;
    while (*n_rows > 1 && (T + *n_rows - 1) / *n_rows * c->n_kv_heads < 2 * s->n_threads)
        *n_rows = (*n_rows + 1) / 2;
    if (*n_rows == 1 && T * c->n_kv_heads < s->n_threads)
        *n_heads = (*n_heads + s->n_threads - 1) / s->n_threads;
}

/* The positions that all rows see together: what the work is measured by. */
static size_t count_seen(const struct layer_view *v)
{
    size_t n = 0;
    for (int t = 0; t < v->batch->n; t++) {
        struct seen seen = seen_by(v, t);
        n += (size_t)(seen.end - seen.first);
    }
    return n;
}

void attention_apply(const struct model *m, struct run_state *s, int layer,
                     const struct token_batch *batch)
{
    const struct model_config *c = &m->config;
    const struct layer_view view = {
        .model = m,
        .state = s,
        .batch = batch,
        .layer = layer,
        .window = c->windowed[layer] ? c->window : 0,
        .head_dim = (size_t)c->head_dim,
        .kv_dim = (size_t)c->n_kv_heads * (size_t)c->head_dim,
        .stride = attention_score_stride(s->n_context),
    };
    int group = c->n_heads / c->n_kv_heads, rows, heads;
    choose_tile(c, s, batch->n, &rows, &heads);
    int per_group = (group + heads - 1) / heads, pieces = c->n_kv_heads * per_group;
    bool parallel = 2 * count_seen(&view) * (size_t)c->n_heads * view.head_dim >= MIN_PARALLEL_WORK;
    size_t tile_floats = attention_tile_heads(s->n_context) * view.head_dim;
#pragma omp parallel for collapse(2) schedule(dynamic) num_threads(s->n_threads) if (parallel)
    for (int row = 0; row < batch->n; row += rows)
        for (int piece = 0; piece < pieces; piece++) {
            int kv_head = piece / per_group, from = piece % per_group * heads;
            float *own = s->attention_own[omp_get_thread_num()];
            struct tile tile = {
                .view = &view,
                .row = row,
                .n_rows = batch->n - row < rows ? batch->n - row : rows,
                .head = kv_head * group + from,
                .n_heads = group - from < heads ? group - from : heads,
                .kv_head = kv_head,
                .queries = own,
                .mixed = own + tile_floats,
                .scores = own + 2 * tile_floats,
            };
            attend(&tile);
        }
}
