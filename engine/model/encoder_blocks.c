#include "engine/model/encoder_blocks.h"

#include <math.h>

#include "engine/model/config_fields.h"

static status_code read_labels(struct model_config *c, const struct json_value *json,
                               struct status *st)
{
    const struct json_value *names;
    if (!json_has(json, "id2label"))
        return config_json_int(json, "num_labels", LIMIT_LABELS, 2, &c->n_labels, st);
    status_code code = json_get_object(json, "id2label", &names, st);
    if (code != STATUS_OK) return code;
    size_t n = json_count(names);
    if (n < 1 || n > LIMIT_LABELS)
        return status_set(st, STATUS_LIMIT, "field \"id2label\" has %zu labels, expected 1 to %d",
                          n, LIMIT_LABELS);
    c->n_labels = (int)n;
    return STATUS_OK;
}

status_code encoder_config_finish(struct model_config *c, const struct json_value *json,
                                  struct status *st)
{
    static const char *const types[] = {"single_label_classification", "multi_label_classification",
                                        NULL};
    status_code code = read_labels(c, json, st);
    if (code == STATUS_OK) code = config_json_word(json, "problem_type", types, st);
    if (code != STATUS_OK) return code;
    if (c->d_model % c->n_heads != 0)
        return status_set(st, STATUS_BAD_INPUT, "%d attention heads do not divide %d dimensions",
                          c->n_heads, c->d_model);
    /* One label alone has nothing to compete with, as in transformers' text classification. */
    c->is_multilabel = c->n_labels == 1;
    if (json_has(json, "problem_type"))
        c->is_multilabel |= text_equal(json_text(json_member(json, "problem_type")),
                                       text_of("multi_label_classification"));
    c->n_kv_heads = c->n_heads;
    c->head_dim = c->d_model / c->n_heads;
    c->attention_scale = 1 / sqrtf((float)c->head_dim);
    c->embedding_scale = 1;
    c->rope_dim = 0;
    c->tied_output = false;
    return STATUS_OK;
}

/* Padding has the position before the first, and the other tokens do not count it (transformers'
 * create_position_ids_from_input_ids).  Without an offset there is no such token. */
static int position_of(const struct model_config *c, int32_t token, int *n_before)
{
    if (c->position_offset && token == c->position_offset - 1) return c->position_offset - 1;
    return c->position_offset + (*n_before)++;
}

static void embed(const struct model *m, struct run_state *s, const int32_t *tokens, int T)
{
    const struct model_weights *w = &m->weights;
    int d_model = m->config.d_model, n_before = 0;
    embed_tokens(m, s, tokens, T);
    for (int t = 0; t < T; t++) {
        float *row = s->x + (size_t)t * (size_t)d_model;
        embed_row(&w->positions, 1, position_of(&m->config, tokens[t], &n_before), s->block);
        add_rows(s, row, s->block, 1, d_model);
        if (!w->token_types.data) continue;
        embed_row(&w->token_types, 1, 0, s->block);
        add_rows(s, row, s->block, 1, d_model);
    }
    norm_rows(m, s, s->x, s->x, &w->embedding_norm, T, d_model);
}

/* In pieces: the wide activations need no room for the whole text. */
static void feed_forward(const struct model *m, struct run_state *s, int layer, int T)
{
    for (int t = 0; t < T; t += RUN_MAX_TOKENS) {
        size_t at = (size_t)t * (size_t)m->config.d_model;
        int n = T - t < RUN_MAX_TOKENS ? T - t : RUN_MAX_TOKENS;
        plain_feed_forward(m, s, layer, s->block + at, s->x + at, n, gelu_erf);
    }
}

void encoder_forward(const struct model *m, struct run_state *s, const struct token_batch *batch)
{
    int d_model = m->config.d_model, T = batch->n;
    embed(m, s, batch->tokens, T);
    for (int layer = 0; layer < m->config.n_layers; layer++) {
        const struct layer_weights *w = &m->weights.layer[layer];
        attention_keys(m, s, layer, s->x, batch);
        attention_block(m, s, layer, s->block, s->x, batch);
        add_rows(s, s->x, s->block, T, d_model);
        norm_rows(m, s, s->x, s->x, &w->attn_post_norm, T, d_model);
        feed_forward(m, s, layer, T);
        add_rows(s, s->x, s->block, T, d_model);
        norm_rows(m, s, s->x, s->x, &w->ffn_post_norm, T, d_model);
    }
}

void encoder_classify_tanh(const struct model *m, struct run_state *s)
{
    linear_apply(m, s, s->block, s->x, 1, &m->weights.pooler);
    for (int i = 0; i < m->config.d_model; i++) s->block[i] = tanhf(s->block[i]);
    linear_apply(m, s, s->logits, s->block, 1, &m->weights.classifier);
}

void encoder_classify_relu(const struct model *m, struct run_state *s)
{
    linear_apply(m, s, s->block, s->x, 1, &m->weights.pooler);
    /* Written so that NaN stays NaN. */
    for (int i = 0; i < m->config.d_model; i++)
        if (s->block[i] < 0) s->block[i] = 0;
    linear_apply(m, s, s->logits, s->block, 1, &m->weights.classifier);
}
