/* Mistral (Jiang et al., arXiv 2310.06825): Llama with a sliding window in every layer, which
 * version 0.1 has and later ones do not.  In GGUF it is called llama and has no window. */
#include "engine/model/blocks.h"
#include "engine/model/config_fields.h"

static const struct weight_names names[WEIGHT_COUNT] = {
    GATED_DECODER_WEIGHTS,
    [W_FFN_NORM] = {"model.layers.%d.post_attention_layernorm.weight", "blk.%d.ffn_norm.weight",
                    false},
};

static status_code config_from_json(struct model_config *c, const struct json_value *json,
                                    struct status *st)
{
    static const char *const activations[] = {"silu", "swish", NULL};
    static const char *const absent[] = {"attention_bias", "mlp_bias", "partial_rotary_factor",
                                         "num_local_experts", NULL};
    /* transformers' MistralConfig */
    const struct config_defaults defaults = {
        .n_kv_heads = 8, .n_context = 131072, .norm_key = "rms_norm_eps", .norm_eps = 1e-6};
    status_code code;
    if ((code = config_json_decoder(c, json, &defaults, st)) ||
        (code = config_json_rope(c, json, 10000, st)) ||
        (code = config_json_word(json, "hidden_act", activations, st)) ||
        (code = config_json_reject(json, absent, st)) ||
        (code = config_json_window(c, json, 4096, st)))
        return code;
    config_window_pattern(c, 0);
    return config_json_layer_types(c, json, st);
}

static void forward(const struct model *m, struct run_state *s, const struct token_batch *batch)
{
    sequential_forward(m, s, batch, m->kernels->silu_mul);
}

const struct architecture architecture_mistral = {
    .name = "mistral",
    .model_type = "mistral",
    .weights = names,
    .config_from_json = config_from_json,
    .forward = forward,
};
