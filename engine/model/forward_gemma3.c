/* Gemma 3, its text part (Gemma Team, arXiv 2503.19786; google/gemma_pytorch): Gemma 2 without soft
 * caps, with RMSNorm on each head's queries and keys, five windowed layers to one that sees
 * everything, and a RoPE base of its own for each kind; long contexts scale the second kind only.
 */
#include <math.h>

#include "engine/model/blocks.h"
#include "engine/model/config_fields.h"

#define DEFAULT_PERIOD 6

static const struct weight_names names[WEIGHT_COUNT] = {
    GATED_DECODER_WEIGHTS,
    [W_Q_NORM] = {"model.layers.%d.self_attn.q_norm.weight", "blk.%d.attn_q_norm.weight", false},
    [W_K_NORM] = {"model.layers.%d.self_attn.k_norm.weight", "blk.%d.attn_k_norm.weight", false},
    [W_ATTN_POST_NORM] = {"model.layers.%d.post_attention_layernorm.weight",
                          "blk.%d.post_attention_norm.weight", false},
    [W_FFN_NORM] = {"model.layers.%d.pre_feedforward_layernorm.weight", "blk.%d.ffn_norm.weight",
                    false},
    [W_FFN_POST_NORM] = {"model.layers.%d.post_feedforward_layernorm.weight",
                         "blk.%d.post_ffw_norm.weight", false},
};

/* The pattern's key lost its place to "layer_types" and kept an underscore. */
static status_code read_layers(struct model_config *c, const struct json_value *json,
                               struct status *st)
{
    int period;
    const char *key = json_has(json, "sliding_window_pattern") ? "sliding_window_pattern"
                                                               : "_sliding_window_pattern";
    status_code code = config_json_int(json, key, LIMIT_LAYERS, DEFAULT_PERIOD, &period, st);
    if (code != STATUS_OK) return code;
    config_window_pattern(c, period);
    return config_json_layer_types(c, json, st);
}

static status_code read_rope(struct model_config *c, const struct json_value *json,
                             struct status *st)
{
    double local;
    status_code code = config_json_rope(c, json, 1000000, st);
    if (code == STATUS_OK)
        code = config_json_double(json, "rope_local_base_freq", 10000, &local, st);
    if (code == STATUS_OK && c->local_rope.theta == 0)
        c->local_rope = (struct rope_settings){.theta = local};
    return code;
}

static status_code config_from_json(struct model_config *c, const struct json_value *json,
                                    struct status *st)
{
    static const char *const activations[] = {"gelu_pytorch_tanh", NULL};
    static const char *const absent[] = {"attention_bias", "partial_rotary_factor",
                                         "use_bidirectional_attention", NULL};
    /* transformers' Gemma3TextConfig, on which the published multimodal configs rely. */
    const struct config_defaults defaults = {.n_heads = 8,
                                             .n_kv_heads = 4,
                                             .head_dim = 256,
                                             .n_vocab = 262208,
                                             .n_context = 131072,
                                             .norm_key = "rms_norm_eps",
                                             .norm_eps = 1e-6,
                                             .tied_output = true};
    status_code code;
    double scalar;
    if ((code = config_json_decoder(c, json, &defaults, st)) || (code = read_rope(c, json, st)) ||
        (code = config_json_word(json, "hidden_activation", activations, st)) ||
        (code = config_json_word(json, "hidden_act", activations, st)) ||
        (code = config_json_reject(json, absent, st)) ||
        (code = config_json_double(json, "query_pre_attn_scalar", 256, &scalar, st)) ||
        (code = config_json_softcap(json, "attn_logit_softcapping", 0, &c->score_softcap, st)) ||
        (code = config_json_softcap(json, "final_logit_softcapping", 0, &c->logit_softcap, st)) ||
        (code = config_json_window(c, json, 4096, st)))
        return code;
    c->embedding_scale = sqrtf((float)c->d_model);
    c->attention_scale = (float)(1 / sqrt(scalar));
    return read_layers(c, json, st);
}

static status_code config_from_gguf(struct model_config *c, const struct gguf_keys *keys,
                                    struct status *st)
{
    status_code code;
    double local, logit_cap;
    if ((code = config_gguf_decoder(c, keys, "attention.layer_norm_rms_epsilon", st)) ||
        (code = gguf_keys_double(keys, "rope.freq_base_swa", 10000, &local, st)) ||
        (code = gguf_keys_double(keys, "final_logit_softcapping", 0, &logit_cap, st)) ||
        (code = config_gguf_window(c, keys, 0, st)))
        return code;
    c->logit_softcap = (float)logit_cap;
    c->embedding_scale = sqrtf((float)c->d_model);
    /* As in Gemma 2, the 27B model has another scalar and is known by its 62 layers. */
    if (c->n_layers == 62) c->attention_scale = 1 / sqrtf((float)c->d_model / (float)c->n_heads);
    if (c->window == 0) return STATUS_OK; /* every layer sees everything */
    c->local_rope = (struct rope_settings){.theta = local};
    return config_gguf_layers(c, keys, DEFAULT_PERIOD, st);
}

static void forward(const struct model *m, struct run_state *s, const struct token_batch *batch)
{
    sequential_forward(m, s, batch, m->kernels->gelu_tanh_mul);
}

const struct architecture architecture_gemma3 = {
    .name = "gemma3",
    .model_type = "gemma3_text",
    .multimodal_type = "gemma3",
    .gguf_name = "gemma3",
    .weights = names,
    .safetensors_norm_is_offset = true,
    .config_from_json = config_from_json,
    .config_from_gguf = config_from_gguf,
    .forward = forward,
};
