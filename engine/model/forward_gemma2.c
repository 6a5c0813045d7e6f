/* Gemma 2 (Gemma Team, arXiv 2408.00118; google/gemma_pytorch): Gemma 1 with a norm after each
 * block as well, soft caps on attention scores and logits, a sliding window in every other layer,
 * and queries scaled by query_pre_attn_scalar instead of the head size. */
#include <math.h>

#include "engine/model/blocks.h"
#include "engine/model/config_fields.h"

static const struct weight_names names[WEIGHT_COUNT] = {
    GATED_DECODER_WEIGHTS,
    [W_ATTN_POST_NORM] = {"model.layers.%d.post_attention_layernorm.weight",
                          "blk.%d.post_attention_norm.weight", false},
    [W_FFN_NORM] = {"model.layers.%d.pre_feedforward_layernorm.weight", "blk.%d.ffn_norm.weight",
                    false},
    [W_FFN_POST_NORM] = {"model.layers.%d.post_feedforward_layernorm.weight",
                         "blk.%d.post_ffw_norm.weight", false},
};

static status_code config_from_json(struct model_config *c, const struct json_value *json,
                                    struct status *st)
{
    static const char *const activations[] = {"gelu_pytorch_tanh", NULL};
    static const char *const absent[] = {"attention_bias", "partial_rotary_factor",
                                         "use_bidirectional_attention", NULL};
    /* transformers' Gemma2Config */
    const struct config_defaults defaults = {.n_kv_heads = 4,
                                             .head_dim = 256,
                                             .n_context = 8192,
                                             .norm_key = "rms_norm_eps",
                                             .norm_eps = 1e-6,
                                             .tied_output = true};
    status_code code;
    double scalar;
    if ((code = config_json_decoder(c, json, &defaults, st)) ||
        (code = config_json_rope(c, json, 10000, st)) ||
        (code = config_json_word(json, "hidden_activation", activations, st)) ||
        (code = config_json_word(json, "hidden_act", activations, st)) ||
        (code = config_json_reject(json, absent, st)) ||
        (code = config_json_double(json, "query_pre_attn_scalar", 256, &scalar, st)) ||
        (code = config_json_softcap(json, "attn_logit_softcapping", 50, &c->score_softcap, st)) ||
        (code = config_json_softcap(json, "final_logit_softcapping", 30, &c->logit_softcap, st)) ||
        (code = config_json_window(c, json, 4096, st)))
        return code;
    c->embedding_scale = sqrtf((float)c->d_model);
    c->attention_scale = (float)(1 / sqrt(scalar));
    config_window_pattern(c, 2);
    return config_json_layer_types(c, json, st);
}

static status_code config_from_gguf(struct model_config *c, const struct gguf_keys *keys,
                                    struct status *st)
{
    status_code code;
    double score_cap, logit_cap;
    if ((code = config_gguf_decoder(c, keys, "attention.layer_norm_rms_epsilon", st)) ||
        (code = gguf_keys_double(keys, "attn_logit_softcapping", 50, &score_cap, st)) ||
        (code = gguf_keys_double(keys, "final_logit_softcapping", 30, &logit_cap, st)) ||
        (code = config_gguf_window(c, keys, 4096, st)))
        return code;
    c->score_softcap = (float)score_cap;
    c->logit_softcap = (float)logit_cap;
    c->embedding_scale = sqrtf((float)c->d_model);
    /* No key holds query_pre_attn_scalar: it is the head size, but for the 27B model, which
     * llama.cpp recognises by its 46 layers. */
    if (c->n_layers == 46) c->attention_scale = 1 / sqrtf((float)c->d_model / (float)c->n_heads);
    config_window_pattern(c, 2);
    return STATUS_OK;
}

static void forward(const struct model *m, struct run_state *s, const struct token_batch *batch)
{
    sequential_forward(m, s, batch, m->kernels->gelu_tanh_mul);
}

const struct architecture architecture_gemma2 = {
    .name = "gemma2",
    .model_type = "gemma2",
    .gguf_name = "gemma2",
    .weights = names,
    .safetensors_norm_is_offset = true,
    .config_from_json = config_from_json,
    .config_from_gguf = config_from_gguf,
    .forward = forward,
};
