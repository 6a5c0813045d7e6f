/* Granite 3 (IBM, 2024; transformers' modeling_granite.py): Llama with four factors, for the
 * embeddings, the scores of attention, what each block adds to the residual stream, and the logits,
 * which are divided by theirs.  Granite's mixtures of experts are another family.
 *
 * llama.cpp's converter permutes the rows of Q and K as it does Llama's. */
#include <math.h>

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
    /* transformers' GraniteConfig */
    const struct config_defaults defaults = {
        .n_context = 2048, .norm_key = "rms_norm_eps", .norm_eps = 1e-6};
    double embedding, attention, residual, logits;
    status_code code;
    if ((code = config_json_decoder(c, json, &defaults, st)) ||
        (code = config_json_rope(c, json, 10000, st)) ||
        (code = config_json_word(json, "hidden_act", activations, st)) ||
        (code = config_json_reject(json, absent, st)) ||
        (code = config_json_double(json, "embedding_multiplier", 1, &embedding, st)) ||
        (code = config_json_double(json, "attention_multiplier", 1, &attention, st)) ||
        (code = config_json_double(json, "residual_multiplier", 1, &residual, st)) ||
        (code = config_json_double(json, "logits_scaling", 1, &logits, st)))
        return code;
    c->embedding_scale = (float)embedding;
    c->attention_scale = (float)attention;
    c->residual_scale = (float)residual;
    c->logit_divisor = (float)logits;
    return STATUS_OK;
}

/* As llama.cpp reads them: 0 is as good as none. */
static status_code read_scale(float *out, const struct gguf_keys *keys, const char *key,
                              struct status *st)
{
    double value;
    status_code code = gguf_keys_double(keys, key, 0, &value, st);
    if (code == STATUS_OK && fabs(value) > 0) *out = (float)value;
    return code;
}

static status_code config_from_gguf(struct model_config *c, const struct gguf_keys *keys,
                                    struct status *st)
{
    status_code code;
    c->rope_pairing = ROPE_NEIGHBOURS;
    if ((code = config_gguf_decoder(c, keys, "attention.layer_norm_rms_epsilon", st)) ||
        (code = read_scale(&c->embedding_scale, keys, "embedding_scale", st)) ||
        (code = read_scale(&c->attention_scale, keys, "attention.scale", st)) ||
        (code = read_scale(&c->residual_scale, keys, "residual_scale", st)))
        return code;
    return read_scale(&c->logit_divisor, keys, "logit_scale", st);
}

static void forward(const struct model *m, struct run_state *s, const struct token_batch *batch)
{
    sequential_forward(m, s, batch, m->kernels->silu_mul);
}

const struct architecture architecture_granite = {
    .name = "granite",
    .model_type = "granite",
    .gguf_name = "granite",
    .weights = names,
    .gguf_permutes_heads = true,
    .config_from_json = config_from_json,
    .config_from_gguf = config_from_gguf,
    .forward = forward,
};
