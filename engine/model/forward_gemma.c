/* Gemma 1 (Gemma Team, arXiv 2403.08295; google/gemma_pytorch): RMSNorm with weight 1 + w,
 * embeddings scaled by sqrt(d_model), rotary positions, one or several key-value heads, GeGLU with
 * the tanh form of GELU, and the embedding matrix used again as the output head. */
#include <math.h>

#include "engine/base/json.h"
#include "engine/model/blocks.h"

static const struct weight_names names[WEIGHT_COUNT] = {
    [W_EMBEDDING] = {"model.embed_tokens.weight", "token_embd.weight"},
    [W_OUTPUT_NORM] = {"model.norm.weight", "output_norm.weight"},
    [W_OUTPUT] = {"lm_head.weight", "output.weight"},
    [W_ATTN_NORM] = {"model.layers.%d.input_layernorm.weight", "blk.%d.attn_norm.weight"},
    [W_Q] = {"model.layers.%d.self_attn.q_proj.weight", "blk.%d.attn_q.weight"},
    [W_K] = {"model.layers.%d.self_attn.k_proj.weight", "blk.%d.attn_k.weight"},
    [W_V] = {"model.layers.%d.self_attn.v_proj.weight", "blk.%d.attn_v.weight"},
    [W_O] = {"model.layers.%d.self_attn.o_proj.weight", "blk.%d.attn_output.weight"},
    [W_FFN_NORM] = {"model.layers.%d.post_attention_layernorm.weight", "blk.%d.ffn_norm.weight"},
    [W_GATE] = {"model.layers.%d.mlp.gate_proj.weight", "blk.%d.ffn_gate.weight"},
    [W_UP] = {"model.layers.%d.mlp.up_proj.weight", "blk.%d.ffn_up.weight"},
    [W_DOWN] = {"model.layers.%d.mlp.down_proj.weight", "blk.%d.ffn_down.weight"},
};

/* Early Gemma 1 configs say hidden_act "gelu", were trained with the tanh form, and leave
 * hidden_activation out; both spellings mean the tanh form here, as in Hugging Face's own code. */
static status_code check_activation(const struct json_value *json, struct status *st)
{
    static const char *const keys[] = {"hidden_activation", "hidden_act"};
    for (int i = 0; i < 2; i++) {
        struct text name;
        if (!json_has(json, keys[i])) continue;
        status_code code = json_get_text(json, keys[i], &name, st);
        if (code != STATUS_OK) return code;
        if (!text_equal(name, text_of("gelu_pytorch_tanh")) && !text_equal(name, text_of("gelu")))
            return status_set(st, STATUS_UNSUPPORTED,
                              "field \"%s\" is \"%.*s\"; gemma needs gelu_pytorch_tanh", keys[i],
                              TEXT_ARGS(name));
    }
    return STATUS_OK;
}

static status_code config_from_json(struct model_config *config, const struct json_value *json,
                                    struct status *st)
{
    status_code code = check_activation(json, st);
    if (code != STATUS_OK) return code;
    if (json_has(json, "rope_scaling"))
        return status_set(st, STATUS_UNSUPPORTED, "field \"rope_scaling\" cannot run with gemma");
    bool bias = false;
    if (json_has(json, "attention_bias") &&
        (code = json_get_bool(json, "attention_bias", &bias, st)) != STATUS_OK)
        return code;
    if (bias)
        return status_set(st, STATUS_UNSUPPORTED, "field \"attention_bias\" cannot run with gemma");
    config->embedding_scale = sqrtf((float)config->d_model);
    return STATUS_OK;
}

static void attention_block(const struct model *m, struct run_state *s, int layer, int T, int start)
{
    const struct model_config *c = &m->config;
    const struct layer_weights *w = &m->weights.layer[layer];
    float *keys = cache_rows(c, s->keys, s->n_context, layer, start);
    float *values = cache_rows(c, s->values, s->n_context, layer, start);
    norm_rows(m, s->normed, s->x, w->attn_norm, T);
    linear_apply(m, s, s->q, s->normed, T, &w->q);
    linear_apply(m, s, keys, s->normed, T, &w->k);
    linear_apply(m, s, values, s->normed, T, &w->v);
    rope_apply(c, s, s->q, T, c->n_heads, start);
    rope_apply(c, s, keys, T, c->n_kv_heads, start);
    attention_apply(m, s, layer, T, start, 1.0f / sqrtf((float)c->head_dim));
    linear_apply(m, s, s->block, s->heads, T, &w->o);
    add_rows(s->x, s->block, T, c->d_model);
}

static void feed_forward_block(const struct model *m, struct run_state *s, int layer, int T)
{
    const struct model_config *c = &m->config;
    const struct layer_weights *w = &m->weights.layer[layer];
    norm_rows(m, s->normed, s->x, w->ffn_norm, T);
    linear_apply(m, s, s->gate, s->normed, T, &w->gate);
    linear_apply(m, s, s->up, s->normed, T, &w->up);
    size_t d_ff = (size_t)c->d_ff;
#pragma omp parallel for schedule(static) num_threads(s->n_threads) if (T > 1)
    for (int t = 0; t < T; t++)
        m->kernels->gelu_tanh_mul(s->gate + (size_t)t * d_ff, s->up + (size_t)t * d_ff, d_ff);
    linear_apply(m, s, s->block, s->gate, T, &w->down);
    add_rows(s->x, s->block, T, c->d_model);
}

static void forward(const struct model *m, struct run_state *s, const int32_t *tokens, int T,
                    int start)
{
    embed_tokens(&m->weights.embedding, m->config.embedding_scale, tokens, T, s->x);
    for (int layer = 0; layer < m->config.n_layers; layer++) {
        attention_block(m, s, layer, T, start);
        feed_forward_block(m, s, layer, T);
    }
    norm_rows(m, s->x, s->x, m->weights.output_norm, T);
}

const struct architecture architecture_gemma = {
    .name = "gemma",
    .model_type = "gemma",
    .gguf_name = "gemma",
    .weights = names,
    .safetensors_norm_is_offset = true,
    .config_from_json = config_from_json,
    .forward = forward,
};
