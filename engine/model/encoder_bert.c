/* BERT with a classification head (Devlin et al., arXiv 1810.04805; transformers'
 * BertForSequenceClassification). */
#include "engine/model/config_fields.h"
#include "engine/model/encoder_blocks.h"

#define IN_LAYER(name) "bert.encoder.layer.%d." name

static const struct weight_names names[WEIGHT_COUNT] = {
    [W_EMBEDDING] = {"bert.embeddings.word_embeddings.weight", NULL, false},
    [W_POSITIONS] = {"bert.embeddings.position_embeddings.weight", NULL, false},
    [W_TOKEN_TYPES] = {"bert.embeddings.token_type_embeddings.weight", NULL, false},
    WEIGHT_AND_BIAS(W_EMBEDDING_NORM, "bert.embeddings.LayerNorm"),
    WEIGHT_AND_BIAS(W_Q, IN_LAYER("attention.self.query")),
    WEIGHT_AND_BIAS(W_K, IN_LAYER("attention.self.key")),
    WEIGHT_AND_BIAS(W_V, IN_LAYER("attention.self.value")),
    WEIGHT_AND_BIAS(W_O, IN_LAYER("attention.output.dense")),
    WEIGHT_AND_BIAS(W_ATTN_POST_NORM, IN_LAYER("attention.output.LayerNorm")),
    WEIGHT_AND_BIAS(W_UP, IN_LAYER("intermediate.dense")),
    WEIGHT_AND_BIAS(W_DOWN, IN_LAYER("output.dense")),
    WEIGHT_AND_BIAS(W_FFN_POST_NORM, IN_LAYER("output.LayerNorm")),
    WEIGHT_AND_BIAS(W_POOLER, "bert.pooler.dense"),
    WEIGHT_AND_BIAS(W_CLASSIFIER, "classifier"),
};

static status_code config_from_json(struct model_config *c, const struct json_value *json,
                                    struct status *st)
{
    static const char *const activations[] = {"gelu", NULL};
    static const char *const positions[] = {"absolute", NULL};
    static const char *const absent[] = {"is_decoder", "add_cross_attention", NULL};
    const struct config_defaults defaults = {
        .n_context = 512, .norm_key = "layer_norm_eps", .norm_eps = 1e-12};
    status_code code;
    if ((code = config_json_decoder(c, json, &defaults, st)) ||
        (code = config_json_word(json, "hidden_act", activations, st)) ||
        (code = config_json_word(json, "position_embedding_type", positions, st)) ||
        (code = config_json_reject(json, absent, st)) ||
        (code = config_json_int(json, "type_vocab_size", LIMIT_VOCAB, 2, &c->n_token_types, st)))
        return code;
    return encoder_config_finish(c, json, st);
}

const struct architecture architecture_bert = {
    .name = "bert",
    .model_type = "bert",
    .weights = names,
    .is_encoder = true,
    .config_from_json = config_from_json,
    .forward = encoder_forward,
    .classify = encoder_classify_tanh,
};
