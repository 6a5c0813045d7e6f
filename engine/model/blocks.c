#include "engine/model/blocks.h"

#include <math.h>
#include <omp.h>

/* ---- embeddings ---- */

void embed_row(const struct linear *embedding, float scale, int row, float *out)
{
    size_t d_model = (size_t)embedding->cols;
    embedding->type->to_f32(out, embedding->data + (size_t)row * embedding->row_bytes, d_model);
    for (size_t i = 0; i < d_model; i++) out[i] *= scale;
}

void embed_tokens(const struct model *m, struct run_state *s, const int32_t *tokens, int T)
{
    size_t d_model = (size_t)m->config.d_model;
    for (int t = 0; t < T; t++)
        embed_row(&m->weights.embedding, m->config.embedding_scale, tokens[t],
                  s->x + (size_t)t * d_model);
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

void norm_rows(const struct model *m, float *out, const float *x, const struct norm *norm, int rows,
               int dim)
{
    size_t n = (size_t)dim;
    for (size_t r = 0; r < (size_t)rows; r++)
        if (norm->bias)
            layer_norm(out + r * n, x + r * n, norm, n, m->config.norm_eps);
        else
            m->kernels->rms_norm(out + r * n, x + r * n, norm->weight, n, m->config.norm_eps);
}

void add_rows(float *x, const float *block, int T, int d_model)
{
    size_t n = (size_t)T * (size_t)d_model;
    for (size_t i = 0; i < n; i++) x[i] += block[i];
}

/* ---- attention ---- */

/* Turns each head of x (T, n_heads * head_dim) by its position. */
static void rope_apply(const struct model_config *c, const struct rope_table *table, float *x,
                       int T, int n_heads)
{
    size_t head_dim = (size_t)c->head_dim, pairs = (size_t)c->rope_dim / 2;
    bool halves = c->rope_pairing == ROPE_HALVES;
    size_t step = halves ? 1 : 2, distance = halves ? pairs : 1;
    for (size_t t = 0; t < (size_t)T; t++) {
        const float *cosine = table->cos + t * pairs;
        const float *sine = table->sin + t * pairs;
        for (size_t h = 0; h < (size_t)n_heads; h++) {
            float *head = x + (t * (size_t)n_heads + h) * head_dim;
            for (size_t i = 0; i < pairs; i++) {
                float *first = head + i * step, *second = first + distance;
                float a = *first, b = *second;
                *first = a * cosine[i] - b * sine[i];
                *second = b * cosine[i] + a * sine[i];
            }
        }
    }
}

/* The cache's rows for a layer at position `start`: (C, n_kv_heads * head_dim). */
static float *cache_rows(const struct model *m, const struct run_state *s, float *cache, int layer,
                         int start)
{
    size_t kv_dim = (size_t)m->config.n_kv_heads * (size_t)m->config.head_dim;
    size_t slot = m->config.architecture->is_encoder ? 0 : (size_t)layer;
    return cache + (slot * (size_t)s->n_context + (size_t)start) * kv_dim;
}

/* x becomes cap * tanh(x / cap) (Gemma 2, arXiv 2408.00118, section 2). */
static void soft_cap(float *x, size_t n, float cap)
{
    for (size_t i = 0; i < n; i++) x[i] = cap * tanhf(x[i] / cap);
}

/* What one token's heads look at: n positions of the cache, columns of one key-value head. */
struct seen {
    const float *keys, *values;
    size_t stride, n;
};

/* `heads` query heads that share keys and values, and so read each key once.  A head's scores do
 * not depend on how many come together. */
static void attend(const struct model *m, float *out, const float *queries, int heads,
                   const struct seen *seen, float *scores)
{
    size_t head_dim = (size_t)m->config.head_dim, n = seen->n;
    m->kernels->dot_tile(scores, n, queries, head_dim, seen->keys, seen->stride, (size_t)heads, n,
                         head_dim);
    for (int h = 0; h < heads; h++, scores += n, out += head_dim) {
        for (size_t i = 0; i < n; i++) scores[i] *= m->config.attention_scale;
        if (m->config.score_softcap > 0) soft_cap(scores, n, m->config.score_softcap);
        m->kernels->softmax(scores, n);
        m->kernels->mix_rows(out, scores, seen->values, seen->stride, n, head_dim);
    }
}

/* state->heads (T, n_heads * head_dim) = attention of state->q over the layer's cache (Vaswani et
 * al., 2017, eq. 1; grouped queries: Ainslie et al., 2023).  A decoder's query at position p sees
 * positions 0..p, of which a window keeps the last.  One piece of work is a token's group of heads,
 * or one head where there would be too few pieces for the threads. */
static void attention_apply(const struct model *m, struct run_state *s, int layer, int T, int start)
{
    const struct model_config *c = &m->config;
    size_t head_dim = (size_t)c->head_dim, stride = (size_t)c->n_kv_heads * head_dim;
    int group = c->n_heads / c->n_kv_heads; /* query heads that share keys and values */
    int heads = T * c->n_kv_heads >= 2 * s->n_threads ? group : 1;
    int window = c->windowed[layer] ? c->window : 0;
    const float *keys = cache_rows(m, s, s->keys, layer, 0);
    const float *values = cache_rows(m, s, s->values, layer, 0);
    size_t work = 2 * (size_t)T * (size_t)c->n_heads * (size_t)(start + T) * head_dim;
    bool parallel = work >= MIN_PARALLEL_WORK;
#pragma omp parallel for collapse(2) schedule(static) num_threads(s->n_threads) if (parallel)
    for (int t = 0; t < T; t++)
        for (int h = 0; h < c->n_heads; h += heads) {
            int end = c->architecture->is_encoder ? T : start + t + 1;
            int first = window && end > window ? end - window : 0;
            size_t at = ((size_t)t * (size_t)c->n_heads + (size_t)h) * head_dim;
            size_t from = (size_t)first * stride + (size_t)(h / group) * head_dim;
            const struct seen seen = {keys + from, values + from, stride, (size_t)(end - first)};
            attend(m, s->heads + at, s->q + at, heads, &seen, s->scores[omp_get_thread_num()]);
        }
}

void attention_block(const struct model *m, struct run_state *s, int layer, float *out,
                     const float *x, int T, int start)
{
    const struct model_config *c = &m->config;
    const struct layer_weights *w = &m->weights.layer[layer];
    float *keys = cache_rows(m, s, s->keys, layer, start);
    float *values = cache_rows(m, s, s->values, layer, start);
    linear_apply(m, s, s->q, x, T, &w->q);
    linear_apply(m, s, keys, x, T, &w->k);
    linear_apply(m, s, values, x, T, &w->v);
    if (w->q_norm.weight) norm_rows(m, s->q, s->q, &w->q_norm, T * c->n_heads, c->head_dim);
    if (w->k_norm.weight) norm_rows(m, keys, keys, &w->k_norm, T * c->n_kv_heads, c->head_dim);
    const struct rope_table *rope = c->windowed[layer] ? &s->local_rope : &s->rope;
    rope_apply(c, rope, s->q, T, c->n_heads);
    rope_apply(c, rope, keys, T, c->n_kv_heads);
    attention_apply(m, s, layer, T, start);
    linear_apply(m, s, out, s->heads, T, &w->o);
}

/* ---- feed-forward blocks ---- */

void silu_mul(float *gate, const float *up, size_t n)
{
    for (size_t i = 0; i < n; i++) gate[i] = gate[i] / (1 + expf(-gate[i])) * up[i];
}

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

void gated_feed_forward(const struct model *m, struct run_state *s, int layer, float *out,
                        const float *x, int T, gated_activation *activation)
{
    const struct layer_weights *w = &m->weights.layer[layer];
    size_t d_ff = (size_t)m->config.d_ff;
    linear_apply(m, s, s->gate, x, T, &w->gate);
    linear_apply(m, s, s->up, x, T, &w->up);
#pragma omp parallel for schedule(static) num_threads(s->n_threads) if (T > 1)
    for (int t = 0; t < T; t++)
        activation(s->gate + (size_t)t * d_ff, s->up + (size_t)t * d_ff, d_ff);
    linear_apply(m, s, out, s->gate, T, &w->down);
}

void plain_feed_forward(const struct model *m, struct run_state *s, int layer, float *out,
                        const float *x, int T, plain_activation *activation)
{
    const struct layer_weights *w = &m->weights.layer[layer];
    size_t d_ff = (size_t)m->config.d_ff;
    linear_apply(m, s, s->up, x, T, &w->up);
#pragma omp parallel for schedule(static) num_threads(s->n_threads) if (T > 1)
    for (int t = 0; t < T; t++) activation(s->up + (size_t)t * d_ff, d_ff);
    linear_apply(m, s, out, s->up, T, &w->down);
}

/* ---- whole passes ---- */

void sequential_forward(const struct model *m, struct run_state *s, const int32_t *tokens, int T,
                        int start, gated_activation *activation)
{
    int d_model = m->config.d_model;
    embed_tokens(m, s, tokens, T);
    for (int layer = 0; layer < m->config.n_layers; layer++) {
        const struct layer_weights *w = &m->weights.layer[layer];
        norm_rows(m, s->normed, s->x, &w->attn_norm, T, d_model);
        attention_block(m, s, layer, s->block, s->normed, T, start);
        if (w->attn_post_norm.weight)
            norm_rows(m, s->block, s->block, &w->attn_post_norm, T, d_model);
        add_rows(s->x, s->block, T, d_model);
        norm_rows(m, s->normed, s->x, &w->ffn_norm, T, d_model);
        gated_feed_forward(m, s, layer, s->block, s->normed, T, activation);
        if (w->ffn_post_norm.weight)
            norm_rows(m, s->block, s->block, &w->ffn_post_norm, T, d_model);
        add_rows(s->x, s->block, T, d_model);
    }
    norm_rows(m, s->x, s->x, &m->weights.output_norm, T, d_model);
}

void logits_apply(const struct model *m, struct run_state *s, const float *x, int T)
{
    linear_apply(m, s, s->logits, x, T, &m->weights.output);
    if (m->config.logit_softcap > 0)
        soft_cap(s->logits, (size_t)T * (size_t)m->config.n_vocab, m->config.logit_softcap);
}
