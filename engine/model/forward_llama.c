/* Llama 2 and 3 (Touvron et al., arXiv 2307.09288; arXiv 2407.21783): RMSNorm, rotary positions,
 * grouped queries, SwiGLU, an output head of its own except in the small models.
 *
 * GGUF's "llama" also holds Mistral; where its window is a key (llama.cpp writes none and ignores
 * it), all layers have it.  The converter permutes the rows of Q and K so that rotated pairs are
 * neighbours, and stores Llama 3's scaling of frequencies as factors. */
#include "engine/model/blocks.h"
#include "engine/model/config_fields.h"

static const struct weight_names names[WEIGHT_COUNT] = {
    GATED_DECODER_WEIGHTS,
    [W_FFN_NORM] = {"model.layers.%d.post_attention_layernorm.weight", "blk.%d.ffn_norm.weight",
                    false},
    [W_ROPE_FACTORS] = {NULL, "rope_freqs.weight", true},
};

static status_code config_from_json(struct model_config *c, const struct json_value *json,
                                    struct status *st)
{
    static const char *const activations[] = {"silu", "swish", NULL};
    static const char *const absent[] = {"attention_bias", "mlp_bias", "partial_rotary_factor",
                                         "num_local_experts", NULL};
    const struct config_defaults defaults = {
        .n_context = 2048, .norm_key = "rms_norm_eps", .norm_eps = 1e-6};
    status_code code;
    if ((code = config_json_decoder(c, json, &defaults, st)) ||
        (code = config_json_rope(c, json, 10000, st)) ||
        (code = config_json_word(json, "hidden_act", activations, st)))
        return code;
    return config_json_reject(json, absent, st);
}

static status_code config_from_gguf(struct model_config *c, const struct gguf_keys *keys,
                                    struct status *st)
{
    c->rope_pairing = ROPE_NEIGHBOURS;
    status_code code = config_gguf_decoder(c, keys, "attention.layer_norm_rms_epsilon", st);
    if (code == STATUS_OK) code = config_gguf_window(c, keys, 0, st);
    if (c->window > 0) config_window_pattern(c, 0);
    return code;
}

static void forward(const struct model *m, struct run_state *s, const struct token_batch *batch)
{
    sequential_forward(m, s, batch, m->kernels->silu_mul);
}

const struct architecture architecture_llama = {
    .name = "llama",
    .model_type = "llama",
    .gguf_name = "llama",
    .weights = names,
    .gguf_permutes_heads = true,
    .config_from_json = config_from_json,
    .config_from_gguf = config_from_gguf,
    .forward = forward,
};
