/* Qwen3, dense (Qwen Team, arXiv 2505.09388): Llama with RMSNorm on each head's queries and keys.
 * GGUF does not permute its Q and K rows. */
#include "engine/model/blocks.h"
#include "engine/model/config_fields.h"

static const struct weight_names names[WEIGHT_COUNT] = {
    GATED_DECODER_WEIGHTS,
    [W_FFN_NORM] = {"model.layers.%d.post_attention_layernorm.weight", "blk.%d.ffn_norm.weight",
                    false},
    [W_Q_NORM] = {"model.layers.%d.self_attn.q_norm.weight", "blk.%d.attn_q_norm.weight", false},
    [W_K_NORM] = {"model.layers.%d.self_attn.k_norm.weight", "blk.%d.attn_k_norm.weight", false},
};

/* The window is off unless use_sliding_window says otherwise, and then spares the first layers. */
static status_code read_window(struct model_config *c, const struct json_value *json,
                               struct status *st)
{
    bool used;
    int64_t first = 28;
    status_code code = config_json_bool(json, "use_sliding_window", false, &used, st);
    if (code != STATUS_OK || !used) return code;
    if ((code = config_json_window(c, json, 4096, st)) != STATUS_OK) return code;
    if (json_has(json, "max_window_layers"))
        code = json_get_int(json, "max_window_layers", 0, LIMIT_LAYERS, &first, st);
    if (code != STATUS_OK) return code;
    for (int i = 0; i < c->n_layers; i++) c->windowed[i] = i >= first;
    return config_json_layer_types(c, json, st);
}

static status_code config_from_json(struct model_config *c, const struct json_value *json,
                                    struct status *st)
{
    static const char *const activations[] = {"silu", "swish", NULL};
    static const char *const absent[] = {"attention_bias", "partial_rotary_factor", "num_experts",
                                         NULL};
    /* transformers' Qwen3Config; its head size does not follow from the hidden size. */
    const struct config_defaults defaults = {
        .head_dim = 128, .n_context = 32768, .norm_key = "rms_norm_eps", .norm_eps = 1e-6};
    status_code code;
    if ((code = config_json_decoder(c, json, &defaults, st)) ||
        (code = config_json_rope(c, json, 10000, st)) ||
        (code = config_json_word(json, "hidden_act", activations, st)) ||
        (code = config_json_reject(json, absent, st)))
        return code;
    return read_window(c, json, st);
}

static status_code config_from_gguf(struct model_config *c, const struct gguf_keys *keys,
                                    struct status *st)
{
    return config_gguf_decoder(c, keys, "attention.layer_norm_rms_epsilon", st);
}

static void forward(const struct model *m, struct run_state *s, const struct token_batch *batch)
{
    sequential_forward(m, s, batch, m->kernels->silu_mul);
}

const struct architecture architecture_qwen3 = {
    .name = "qwen3",
    .model_type = "qwen3",
    .gguf_name = "qwen3",
    .weights = names,
    .config_from_json = config_from_json,
    .config_from_gguf = config_from_gguf,
    .forward = forward,
};
