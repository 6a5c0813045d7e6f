/* RoBERTa and XLM-RoBERTa with a classification head (Liu et al., arXiv 1907.11692; transformers'
 * RobertaForSequenceClassification): BERT with positions that are counted from the padding token's
 * id + 1, and a classifier in the place of the pooler. */
#include "engine/model/config_fields.h"
#include "engine/model/encoder_blocks.h"

#define IN_LAYER(name) "roberta.encoder.layer.%d." name

static const struct weight_names names[WEIGHT_COUNT] = {
    [W_EMBEDDING] = {"roberta.embeddings.word_embeddings.weight", NULL, false},
    [W_POSITIONS] = {"roberta.embeddings.position_embeddings.weight", NULL, false},
    [W_TOKEN_TYPES] = {"roberta.embeddings.token_type_embeddings.weight", NULL, false},
    WEIGHT_AND_BIAS(W_EMBEDDING_NORM, "roberta.embeddings.LayerNorm"),
    WEIGHT_AND_BIAS(W_Q, IN_LAYER("attention.self.query")),
    WEIGHT_AND_BIAS(W_K, IN_LAYER("attention.self.key")),
    WEIGHT_AND_BIAS(W_V, IN_LAYER("attention.self.value")),
    WEIGHT_AND_BIAS(W_O, IN_LAYER("attention.output.dense")),
    WEIGHT_AND_BIAS(W_ATTN_POST_NORM, IN_LAYER("attention.output.LayerNorm")),
    WEIGHT_AND_BIAS(W_UP, IN_LAYER("intermediate.dense")),
    WEIGHT_AND_BIAS(W_DOWN, IN_LAYER("output.dense")),
    WEIGHT_AND_BIAS(W_FFN_POST_NORM, IN_LAYER("output.LayerNorm")),
    WEIGHT_AND_BIAS(W_POOLER, "classifier.dense"),
    WEIGHT_AND_BIAS(W_CLASSIFIER, "classifier.out_proj"),
};

static status_code read_positions(struct model_config *c, const struct json_value *json,
                                  struct status *st)
{
    int64_t pad = 1;
    status_code code = STATUS_OK;
    if (json_has(json, "pad_token_id"))
        code = json_get_int(json, "pad_token_id", 0, LIMIT_VOCAB, &pad, st);
    if (code != STATUS_OK) return code;
    c->position_offset = (int)pad + 1;
    c->n_context -= c->position_offset;
    if (c->n_context >= 1) return STATUS_OK;
    return status_set(st, STATUS_BAD_INPUT,
                      "field \"max_position_embeddings\" leaves no position after "
                      "\"pad_token_id\" %d",
                      (int)pad);
}

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
        (code = config_json_int(json, "type_vocab_size", LIMIT_VOCAB, 2, &c->n_token_types, st)) ||
        (code = read_positions(c, json, st)))
        return code;
    return encoder_config_finish(c, json, st);
}

const struct architecture architecture_roberta = {
    .name = "roberta",
    .model_type = "roberta",
    .weights = names,
    .is_encoder = true,
    .config_from_json = config_from_json,
    .forward = encoder_forward,
    .classify = encoder_classify_tanh,
};

const struct architecture architecture_xlm_roberta = {
    .name = "xlm-roberta",
    .model_type = "xlm-roberta",
    .weights = names,
    .is_encoder = true,
    .config_from_json = config_from_json,
    .forward = encoder_forward,
    .classify = encoder_classify_tanh,
};
