/* Gemma 1 (Gemma Team, arXiv 2403.08295; google/gemma_pytorch): RMSNorm with weight 1 + w,
 * embeddings scaled by sqrt(d_model), rotary positions, one or several key-value heads, GeGLU with
 * the tanh form of GELU, and the embedding matrix used again as the output head. */
#include <math.h>

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
    /* Early Gemma 1 configs say hidden_act "gelu", were trained with the tanh form, and leave
     * hidden_activation out; both spellings mean the tanh form here, as in Hugging Face's code. */
    static const char *const activations[] = {"gelu_pytorch_tanh", "gelu", NULL};
    static const char *const absent[] = {"attention_bias", "partial_rotary_factor",
                                         "use_bidirectional_attention", NULL};
    const struct config_defaults defaults = {
        .norm_key = "rms_norm_eps", .norm_eps = 1e-6, .tied_output = true};
    status_code code;
    if ((code = config_json_decoder(c, json, &defaults, st)) ||
        (code = config_json_rope(c, json, 10000, st)) ||
        (code = config_json_word(json, "hidden_activation", activations, st)) ||
        (code = config_json_word(json, "hidden_act", activations, st)) ||
        (code = config_json_reject(json, absent, st)))
        return code;
    c->embedding_scale = sqrtf((float)c->d_model);
    return STATUS_OK;
}

static status_code config_from_gguf(struct model_config *c, const struct gguf_keys *keys,
                                    struct status *st)
{
    status_code code = config_gguf_decoder(c, keys, "attention.layer_norm_rms_epsilon", st);
    c->embedding_scale = sqrtf((float)c->d_model);
    return code;
}

static void forward(const struct model *m, struct run_state *s, const struct token_batch *batch)
{
    sequential_forward(m, s, batch, m->kernels->gelu_tanh_mul);
}

const struct architecture architecture_gemma = {
    .name = "gemma",
    .model_type = "gemma",
    .gguf_name = "gemma",
    .weights = names,
    .safetensors_norm_is_offset = true,
    .config_from_json = config_from_json,
    .config_from_gguf = config_from_gguf,
    .forward = forward,
};
