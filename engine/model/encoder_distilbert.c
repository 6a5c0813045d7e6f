/* DistilBERT with a classification head (Sanh et al., arXiv 1910.01108; transformers'
 * DistilBertForSequenceClassification): BERT without token types, and ReLU before the classifier.
 */
#include "engine/model/config_fields.h"
#include "engine/model/encoder_blocks.h"

#define IN_LAYER(name) "distilbert.transformer.layer.%d." name

static const struct weight_names names[WEIGHT_COUNT] = {
    [W_EMBEDDING] = {"distilbert.embeddings.word_embeddings.weight", NULL, false},
    [W_POSITIONS] = {"distilbert.embeddings.position_embeddings.weight", NULL, false},
    WEIGHT_AND_BIAS(W_EMBEDDING_NORM, "distilbert.embeddings.LayerNorm"),
    WEIGHT_AND_BIAS(W_Q, IN_LAYER("attention.q_lin")),
    WEIGHT_AND_BIAS(W_K, IN_LAYER("attention.k_lin")),
    WEIGHT_AND_BIAS(W_V, IN_LAYER("attention.v_lin")),
    WEIGHT_AND_BIAS(W_O, IN_LAYER("attention.out_lin")),
    WEIGHT_AND_BIAS(W_ATTN_POST_NORM, IN_LAYER("sa_layer_norm")),
    WEIGHT_AND_BIAS(W_UP, IN_LAYER("ffn.lin1")),
    WEIGHT_AND_BIAS(W_DOWN, IN_LAYER("ffn.lin2")),
    WEIGHT_AND_BIAS(W_FFN_POST_NORM, IN_LAYER("output_layer_norm")),
    WEIGHT_AND_BIAS(W_POOLER, "pre_classifier"),
    WEIGHT_AND_BIAS(W_CLASSIFIER, "classifier"),
};

static status_code config_from_json(struct model_config *c, const struct json_value *json,
                                    struct status *st)
{
    static const char *const activations[] = {"gelu", NULL};
    status_code code;
    if ((code = config_json_int(json, "dim", LIMIT_HIDDEN, 768, &c->d_model, st)) ||
        (code = config_json_int(json, "n_layers", LIMIT_LAYERS, 6, &c->n_layers, st)) ||
        (code = config_json_int(json, "n_heads", LIMIT_HEADS, 12, &c->n_heads, st)) ||
        (code = config_json_int(json, "hidden_dim", CONFIG_MAX_D_FF, 3072, &c->d_ff, st)) ||
        (code = config_json_int(json, "vocab_size", LIMIT_VOCAB, 30522, &c->n_vocab, st)) ||
        (code = config_json_int(json, "max_position_embeddings", LIMIT_CONTEXT, 512, &c->n_context,
                                st)) ||
        (code = config_json_word(json, "activation", activations, st)))
        return code;
    c->norm_eps = 1e-12f; /* not a field: transformers writes it in the code */
    return encoder_config_finish(c, json, st);
}

const struct architecture architecture_distilbert = {
    .name = "distilbert",
    .model_type = "distilbert",
    .weights = names,
    .is_encoder = true,
    .config_from_json = config_from_json,
    .forward = encoder_forward,
    .classify = encoder_classify_relu,
};
