/* Phi-2 (Microsoft; transformers' modeling_phi.py): one LayerNorm before each layer, whose output
 * goes through attention and a plain feed-forward block side by side; biases everywhere, rotary
 * positions on part of each head, GELU in its tanh form.  Early GGUF files keep Q, K and V in one
 * matrix. */
#include "engine/model/blocks.h"
#include "engine/model/config_fields.h"

static const struct weight_names names[WEIGHT_COUNT] = {
    COMMON_DECODER_WEIGHTS,
    [W_OUTPUT_NORM] = {"model.final_layernorm.weight", "output_norm.weight", false},
    [W_OUTPUT_NORM_BIAS] = {"model.final_layernorm.bias", "output_norm.bias", false},
    [W_OUTPUT_BIAS] = {"lm_head.bias", "output.bias", false},
    [W_ATTN_NORM_BIAS] = {"model.layers.%d.input_layernorm.bias", "blk.%d.attn_norm.bias", false},
    [W_Q_BIAS] = {"model.layers.%d.self_attn.q_proj.bias", "blk.%d.attn_q.bias", false},
    [W_K_BIAS] = {"model.layers.%d.self_attn.k_proj.bias", "blk.%d.attn_k.bias", false},
    [W_V_BIAS] = {"model.layers.%d.self_attn.v_proj.bias", "blk.%d.attn_v.bias", false},
    [W_QKV] = {NULL, "blk.%d.attn_qkv.weight", true},
    [W_QKV_BIAS] = {NULL, "blk.%d.attn_qkv.bias", true},
    [W_O] = {"model.layers.%d.self_attn.dense.weight", "blk.%d.attn_output.weight", false},
    [W_O_BIAS] = {"model.layers.%d.self_attn.dense.bias", "blk.%d.attn_output.bias", false},
    [W_UP] = {"model.layers.%d.mlp.fc1.weight", "blk.%d.ffn_up.weight", false},
    [W_UP_BIAS] = {"model.layers.%d.mlp.fc1.bias", "blk.%d.ffn_up.bias", false},
    [W_DOWN] = {"model.layers.%d.mlp.fc2.weight", "blk.%d.ffn_down.weight", false},
    [W_DOWN_BIAS] = {"model.layers.%d.mlp.fc2.bias", "blk.%d.ffn_down.bias", false},
};

/* The fraction stands in rope_parameters in newer configs. */
static status_code read_rotated_part(struct model_config *c, const struct json_value *json,
                                     struct status *st)
{
    const struct json_value *inner = json_member(json, "rope_parameters");
    double part;
    if (inner && json_has(inner, "partial_rotary_factor")) json = inner;
    status_code code = config_json_double(json, "partial_rotary_factor", 0.5, &part, st);
    if (code != STATUS_OK) return code;
    if (!(part > 0) || part > 1)
        return status_set(st, STATUS_BAD_INPUT,
                          "field \"partial_rotary_factor\" is %g, not between 0 and 1", part);
    c->rope_dim = (int)(part * c->head_dim);
    return STATUS_OK;
}

static status_code config_from_json(struct model_config *c, const struct json_value *json,
                                    struct status *st)
{
    static const char *const activations[] = {"gelu_new", "gelu_pytorch_tanh", NULL};
    static const char *const absent[] = {"qk_layernorm", NULL};
    const struct config_defaults defaults = {
        .n_context = 2048, .norm_key = "layer_norm_eps", .norm_eps = 1e-5};
    status_code code;
    if ((code = config_json_decoder(c, json, &defaults, st)) ||
        (code = config_json_rope(c, json, 10000, st)) || (code = read_rotated_part(c, json, st)) ||
        (code = config_json_word(json, "hidden_act", activations, st)))
        return code;
    return config_json_reject(json, absent, st);
}

static status_code config_from_gguf(struct model_config *c, const struct gguf_keys *keys,
                                    struct status *st)
{
    return config_gguf_decoder(c, keys, "attention.layer_norm_epsilon", st);
}

static void forward(const struct model *m, struct run_state *s, const struct token_batch *batch)
{
    int d_model = m->config.d_model, T = batch->n;
    struct token_batch rows = *batch;
    embed_tokens(m, s, batch->tokens, T);
    for (int layer = 0; layer < m->config.n_layers; layer++) {
        norm_rows(m, s, s->normed, s->x, &m->weights.layer[layer].attn_norm, T, d_model);
        attention_keys(m, s, layer, s->normed, batch);
        if (layer == m->config.n_layers - 1) rows = keep_read_rows(m, s, batch);
        if ((T = rows.n) == 0) return;
        attention_block(m, s, layer, s->block, s->normed, &rows);
        plain_feed_forward(m, s, layer, s->normed, s->normed, T, gelu_tanh);
        add_rows(s, s->x, s->block, T, d_model);
        add_rows(s, s->x, s->normed, T, d_model);
    }
    norm_rows(m, s, s->x, s->x, &m->weights.output_norm, T, d_model);
}

const struct architecture architecture_phi2 = {
    .name = "phi2",
    .model_type = "phi",
    .gguf_name = "phi2",
    .weights = names,
    .config_from_json = config_from_json,
    .config_from_gguf = config_from_gguf,
    .forward = forward,
};
