#include "engine/model/blocks.h"

#include <math.h>
#include <string.h>

#include "engine/base/mapped_file.h"
#include "engine/model/attention.h"

/* Numbers below which waking other threads takes longer than changing each alone. */
#define MIN_PARALLEL_NUMBERS ((size_t)1 << 16)

/* Bytes of an embedding that may be resident beside the packed output. */
#define SMALL_EMBEDDING ((size_t)64 << 20)

/* ---- embeddings ---- */

void embed_row(const struct linear *embedding, float scale, int row, float *out)
{
    size_t d_model = (size_t)embedding->cols;
    embedding->type->to_f32(out, embedding->data + (size_t)row * embedding->row_bytes, d_model);
    for (size_t i = 0; i < d_model; i++) out[i] *= scale;
}

/* Where the output has a copy of its own, what was looked up would stay resident beside it, and
 * with it its neighbours: over a long run the whole embedding a second time.  A small one may. */
void embed_tokens(const struct model *m, struct run_state *s, const int32_t *tokens, int T)
{
    const struct linear *embedding = &m->weights.embedding;
    size_t d_model = (size_t)m->config.d_model;
    size_t bytes = (size_t)embedding->rows * embedding->row_bytes;
    bool is_twice = m->weights.output.packed && bytes > SMALL_EMBEDDING;
    for (int t = 0; t < T; t++) {
        embed_row(embedding, m->config.embedding_scale, tokens[t], s->x + (size_t)t * d_model);
        if (is_twice)
            mapped_bytes_forget_near(embedding->data, bytes,
                                     (size_t)tokens[t] * embedding->row_bytes,
                                     embedding->row_bytes);
    }
}

/* ---- norms ---- */

/* Mean and variance in double: the mean of large, near-equal numbers loses nothing. */
static void layer_norm(float *out, const float *x, const struct norm *norm, size_t n, float eps)
{
    double sum = 0, squares = 0;
    for (size_t i = 0; i < n; i++) sum += (double)x[i];
    double mean = sum / (double)n;
    for (size_t i = 0; i < n; i++) squares += ((double)x[i] - mean) * ((double)x[i] - mean);
    double scale = 1 / sqrt(squares / (double)n + (double)eps);
    for (size_t i = 0; i < n; i++)
        out[i] = (float)(((double)x[i] - mean) * scale) * norm->weight[i] + norm->bias[i];
}

void norm_rows(const struct model *m, const struct run_state *s, float *out, const float *x,
               const struct norm *norm, int rows, int dim)
{
    size_t n = (size_t)dim;
    bool parallel = (size_t)rows * n >= MIN_PARALLEL_NUMBERS;
#pragma omp parallel for schedule(static) num_threads(s->n_threads) if (parallel)
    for (int r = 0; r < rows; r++) {
        size_t at = (size_t)r * n;
        if (norm->bias)
            layer_norm(out + at, x + at, norm, n, m->config.norm_eps);
        else
            m->kernels->rms_norm(out + at, x + at, norm->weight, n, m->config.norm_eps);
    }
}

void add_rows(const struct run_state *s, float *x, const float *block, int T, int d_model)
{
    size_t n = (size_t)d_model;
    bool parallel = (size_t)T * n >= MIN_PARALLEL_NUMBERS;
#pragma omp parallel for schedule(static) num_threads(s->n_threads) if (parallel)
    for (int t = 0; t < T; t++) {
        float *row = x + (size_t)t * n;
        const float *other = block + (size_t)t * n;
        for (size_t i = 0; i < n; i++) row[i] += other[i];
    }
}

/* state->x (T, d_model) += block (T, d_model), as the config scales it. */
static void add_block(const struct model *m, const struct run_state *s, int T)
{
    size_t n = (size_t)m->config.d_model;
    const float scale = m->config.residual_scale;
    bool parallel = (size_t)T * n >= MIN_PARALLEL_NUMBERS;
#pragma omp parallel for schedule(static) num_threads(s->n_threads) if (parallel)
    for (int t = 0; t < T; t++) {
        float *row = s->x + (size_t)t * n;
        const float *block = s->block + (size_t)t * n;
        for (size_t i = 0; i < n; i++) row[i] += scale * block[i];
    }
}

/* ---- attention ---- */

/* Turns each head of x (T, n_heads * head_dim) by its position. */
static void rope_apply(const struct model_config *c, const struct run_state *s,
                       const struct rope_table *table, float *x, int T, int n_heads)
{
    size_t head_dim = (size_t)c->head_dim, pairs = (size_t)c->rope_dim / 2;
    bool halves = c->rope_pairing == ROPE_HALVES;
    size_t step = halves ? 1 : 2, distance = halves ? pairs : 1;
    bool parallel = (size_t)(T * n_heads) * head_dim >= MIN_PARALLEL_NUMBERS;
#pragma omp parallel for schedule(static) num_threads(s->n_threads) if (parallel)
    for (int t = 0; t < T; t++) {
        const float *cosine = table->cos + (size_t)t * pairs;
        const float *sine = table->sin + (size_t)t * pairs;
        for (int h = 0; h < n_heads; h++) {
            float *head = x + (size_t)(t * n_heads + h) * head_dim;
            for (size_t i = 0; i < pairs; i++) {
                float *first = head + i * step, *second = first + distance;
                float a = *first, b = *second;
                *first = a * cosine[i] - b * sine[i];
                *second = b * cosine[i] + a * sine[i];
            }
        }
    }
}

void soft_cap(float *x, size_t n, float cap)
{
    for (size_t i = 0; i < n; i++) x[i] = cap * tanhf(x[i] / cap);
}

/* Puts the pass's keys and values where its sequences have their positions. */
static void store_rows(const struct run_state *s, int layer, const struct token_batch *batch)
{
    const struct kv_cache *cache = batch->cache;
    if (!cache) return;
    size_t kv_dim = cache->kv_dim;
    for (int t = 0; t < batch->n; t++) {
        int position = batch->positions[t], block = batch->blocks[t][position / KV_BLOCK];
        size_t from = (size_t)t * kv_dim, to = (size_t)(position % KV_BLOCK) * kv_dim;
        memcpy(kv_cache_keys(cache, layer, block) + to, s->keys + from, kv_dim * sizeof(float));
        memcpy(kv_cache_values(cache, layer, block) + to, s->values + from, kv_dim * sizeof(float));
    }
}

static const struct rope_table *rope_of(const struct model *m, const struct run_state *s, int layer)
{
    return m->config.windowed[layer] ? &s->local_rope : &s->rope;
}

void attention_keys(const struct model *m, struct run_state *s, int layer, const float *x,
                    const struct token_batch *batch)
{
    const struct model_config *c = &m->config;
    const struct layer_weights *w = &m->weights.layer[layer];
    int T = batch->n;
    linear_apply(m, s, s->keys, x, T, &w->k);
    linear_apply(m, s, s->values, x, T, &w->v);
    if (w->k_norm.weight)
        norm_rows(m, s, s->keys, s->keys, &w->k_norm, T * c->n_kv_heads, c->head_dim);
    rope_apply(c, s, rope_of(m, s, layer), s->keys, T, c->n_kv_heads);
    store_rows(s, layer, batch);
}

void attention_block(const struct model *m, struct run_state *s, int layer, float *out,
                     const float *x, const struct token_batch *batch)
{
    const struct model_config *c = &m->config;
    const struct layer_weights *w = &m->weights.layer[layer];
    int T = batch->n;
    linear_apply(m, s, s->q, x, T, &w->q);
    if (w->q_norm.weight) norm_rows(m, s, s->q, s->q, &w->q_norm, T * c->n_heads, c->head_dim);
    rope_apply(c, s, rope_of(m, s, layer), s->q, T, c->n_heads);
    attention_apply(m, s, layer, batch);
    linear_apply(m, s, out, s->heads, T, &w->o);
}

struct token_batch keep_read_rows(const struct model *m, struct run_state *s,
                                  const struct token_batch *batch)
{
    const struct read_rows *read = batch->read;
    size_t d_model = (size_t)m->config.d_model;
    if (!read) return *batch;
    for (int i = 0; i < read->n; i++) {
        size_t from = (size_t)read->rows[i] * d_model, to = (size_t)i * d_model;
        if (from == to) continue;
        memcpy(s->x + to, s->x + from, d_model * sizeof(float));
        memcpy(s->normed + to, s->normed + from, d_model * sizeof(float));
    }
    run_state_set_positions(s, read->positions, read->n);
    return (struct token_batch){
        .n = read->n, .positions = read->positions, .blocks = read->blocks, .cache = batch->cache};
}

/* ---- feed-forward blocks ---- */

void gelu_tanh(float *x, size_t n)
{
    const float sqrt_2_over_pi = 0.7978845608028654f;
    for (size_t i = 0; i < n; i++) {
        float inner = sqrt_2_over_pi * (x[i] + 0.044715f * x[i] * x[i] * x[i]);
        x[i] = 0.5f * x[i] * (1.0f + tanhf(inner));
    }
}

void gelu_erf(float *x, size_t n)
{
    const float sqrt_half = 0.7071067811865476f;
    for (size_t i = 0; i < n; i++) x[i] = 0.5f * x[i] * (1.0f + erff(x[i] * sqrt_half));
}

static void gate_apart(const struct model *m, struct run_state *s, const struct layer_weights *w,
                       const float *x, int T, gated_activation *activation)
{
    size_t d_ff = (size_t)m->config.d_ff;
    linear_apply(m, s, s->gate, x, T, &w->gate);
    linear_apply(m, s, s->up, x, T, &w->up);
    bool parallel = (size_t)T * d_ff >= MIN_PARALLEL_NUMBERS;
#pragma omp parallel for schedule(static) num_threads(s->n_threads) if (parallel)
    for (int t = 0; t < T; t++)
        activation(s->gate + (size_t)t * d_ff, s->up + (size_t)t * d_ff, d_ff);
}

void gated_feed_forward(const struct model *m, struct run_state *s, int layer, float *out,
                        const float *x, int T, gated_activation *activation)
{
    const struct layer_weights *w = &m->weights.layer[layer];
    if (!linear_apply_gated(m, s, s->gate, x, T, &w->gate, &w->up, activation))
        gate_apart(m, s, w, x, T, activation);
    linear_apply(m, s, out, s->gate, T, &w->down);
}

void plain_feed_forward(const struct model *m, struct run_state *s, int layer, float *out,
                        const float *x, int T, plain_activation *activation)
{
    const struct layer_weights *w = &m->weights.layer[layer];
    size_t d_ff = (size_t)m->config.d_ff;
    linear_apply(m, s, s->up, x, T, &w->up);
    bool parallel = (size_t)T * d_ff >= MIN_PARALLEL_NUMBERS;
#pragma omp parallel for schedule(static) num_threads(s->n_threads) if (parallel)
    for (int t = 0; t < T; t++) activation(s->up + (size_t)t * d_ff, d_ff);
    linear_apply(m, s, out, s->up, T, &w->down);
}

/* ---- whole passes ---- */

void sequential_forward(const struct model *m, struct run_state *s, const struct token_batch *batch,
                        gated_activation *activation)
{
    int d_model = m->config.d_model, T = batch->n;
    struct token_batch rows = *batch;
    embed_tokens(m, s, batch->tokens, T);
    for (int layer = 0; layer < m->config.n_layers; layer++) {
        const struct layer_weights *w = &m->weights.layer[layer];
        norm_rows(m, s, s->normed, s->x, &w->attn_norm, T, d_model);
        attention_keys(m, s, layer, s->normed, batch);
        if (layer == m->config.n_layers - 1) rows = keep_read_rows(m, s, batch);
        if ((T = rows.n) == 0) return;
        attention_block(m, s, layer, s->block, s->normed, &rows);
        if (w->attn_post_norm.weight)
            norm_rows(m, s, s->block, s->block, &w->attn_post_norm, T, d_model);
        add_block(m, s, T);
        norm_rows(m, s, s->normed, s->x, &w->ffn_norm, T, d_model);
        gated_feed_forward(m, s, layer, s->block, s->normed, T, activation);
        if (w->ffn_post_norm.weight)
            norm_rows(m, s, s->block, s->block, &w->ffn_post_norm, T, d_model);
        add_block(m, s, T);
    }
    norm_rows(m, s, s->x, s->x, &m->weights.output_norm, T, d_model);
}

void logits_apply(const struct model *m, struct run_state *s, const float *x, int T)
{
    size_t n_vocab = (size_t)m->config.n_vocab;
    linear_apply(m, s, s->logits, x, T, &m->weights.output);
    const float cap = m->config.logit_softcap, divisor = m->config.logit_divisor;
    bool is_divided = divisor < 1 || divisor > 1;
    if (!is_divided && !(cap > 0)) return;
    bool parallel = (size_t)T * n_vocab >= MIN_PARALLEL_NUMBERS;
#pragma omp parallel for schedule(static) num_threads(s->n_threads) if (parallel)
    for (int t = 0; t < T; t++) {
        float *row = s->logits + (size_t)t * n_vocab;
        for (size_t i = 0; is_divided && i < n_vocab; i++) row[i] /= divisor;
        if (cap > 0) soft_cap(row, n_vocab, cap);
    }
}
