#include "engine/model/config_fields.h"

#include <math.h>
#include <stdio.h>

#include "engine/model/architecture.h"

void config_window_pattern(struct model_config *c, int period)
{
    for (int i = 0; i < c->n_layers; i++) c->windowed[i] = period == 0 || (i + 1) % period != 0;
}

static void derive(struct model_config *c)
{
    c->embedding_scale = c->residual_scale = c->logit_divisor = 1;
    c->attention_scale = 1 / sqrtf((float)c->head_dim);
    c->rope_dim = c->head_dim;
}

/* ---- config.json ---- */

status_code config_json_int(const struct json_value *json, const char *key, int max, int missing,
                            int *out, struct status *st)
{
    int64_t value = missing;
    if (json_has(json, key) || !missing) {
        status_code code = json_get_int(json, key, 1, max, &value, st);
        if (code != STATUS_OK) return code;
    }
    *out = (int)value;
    return STATUS_OK;
}

status_code config_json_double(const struct json_value *json, const char *key, double missing,
                               double *out, struct status *st)
{
    *out = missing;
    return json_has(json, key) ? json_get_double(json, key, out, st) : STATUS_OK;
}

status_code config_json_bool(const struct json_value *json, const char *key, bool missing,
                             bool *out, struct status *st)
{
    *out = missing;
    return json_has(json, key) ? json_get_bool(json, key, out, st) : STATUS_OK;
}

status_code config_json_softcap(const struct json_value *json, const char *key, double missing,
                                float *out, struct status *st)
{
    double value = json_member(json, key) ? 0 : missing;
    status_code code = config_json_double(json, key, value, &value, st);
    if (code != STATUS_OK) return code;
    if (!(value >= 0) || !isfinite(value))
        return status_set(st, STATUS_BAD_INPUT, "field \"%s\" is %g, expected a positive number",
                          key, value);
    *out = (float)value;
    return STATUS_OK;
}

status_code config_json_word(const struct json_value *json, const char *key,
                             const char *const *words, struct status *st)
{
    struct text word;
    if (!json_has(json, key)) return STATUS_OK;
    status_code code = json_get_text(json, key, &word, st);
    if (code != STATUS_OK) return code;
    for (size_t i = 0; words[i]; i++)
        if (text_equal(word, text_of(words[i]))) return STATUS_OK;
    return status_set(st, STATUS_UNSUPPORTED,
                      "field \"%s\" is \"%.*s\"; this architecture runs with \"%s\"", key,
                      TEXT_ARGS(word), words[0]);
}

static bool says_no(const struct json_value *value)
{
    switch (json_kind(value)) {
    case JSON_NULL:
        return true;
    case JSON_BOOL:
        return !json_bool(value);
    case JSON_NUMBER:
        return json_number(value) == 0;
    default:
        return false;
    }
}

status_code config_json_reject(const struct json_value *json, const char *const *keys,
                               struct status *st)
{
    for (size_t i = 0; keys[i]; i++) {
        const struct json_value *value = json_member(json, keys[i]);
        if (value && !says_no(value))
            return status_set(st, STATUS_UNSUPPORTED,
                              "field \"%s\" asks for something that cannot run with this "
                              "architecture here",
                              keys[i]);
    }
    return STATUS_OK;
}

status_code config_json_decoder(struct model_config *c, const struct json_value *json,
                                const struct config_defaults *d, struct status *st)
{
    status_code code;
    double eps;
    if ((code = config_json_int(json, "hidden_size", LIMIT_HIDDEN, 0, &c->d_model, st)) ||
        (code = config_json_int(json, "num_hidden_layers", LIMIT_LAYERS, 0, &c->n_layers, st)) ||
        (code = config_json_int(json, "num_attention_heads", LIMIT_HEADS, d->n_heads, &c->n_heads,
                                st)) ||
        (code = config_json_int(json, "num_key_value_heads", LIMIT_HEADS,
                                d->n_kv_heads ? d->n_kv_heads : c->n_heads, &c->n_kv_heads, st)) ||
        (code = config_json_int(json, "head_dim", LIMIT_HIDDEN,
                                d->head_dim ? d->head_dim : c->d_model / c->n_heads, &c->head_dim,
                                st)) ||
        (code = config_json_int(json, "intermediate_size", CONFIG_MAX_D_FF, 0, &c->d_ff, st)) ||
        (code = config_json_int(json, "vocab_size", LIMIT_VOCAB, d->n_vocab, &c->n_vocab, st)) ||
        (code = config_json_int(json, "max_position_embeddings", LIMIT_CONTEXT, d->n_context,
                                &c->n_context, st)) ||
        (code = config_json_double(json, d->norm_key, d->norm_eps, &eps, st)) ||
        (code = config_json_bool(json, "tie_word_embeddings", d->tied_output, &c->tied_output, st)))
        return code;
    c->norm_eps = (float)eps;
    derive(c);
    return STATUS_OK;
}

static status_code read_llama3(const struct json_value *json, struct rope_settings *rope,
                               struct status *st)
{
    status_code code;
    if ((code = json_get_double(json, "low_freq_factor", &rope->low_freq_factor, st)) ||
        (code = json_get_double(json, "high_freq_factor", &rope->high_freq_factor, st)) ||
        (code = json_get_double(json, "original_max_position_embeddings", &rope->original_context,
                                st)))
        return code;
    bool good = rope->low_freq_factor > 0 && rope->high_freq_factor > rope->low_freq_factor &&
                isfinite(rope->high_freq_factor) && rope->original_context > 0 &&
                isfinite(rope->original_context);
    if (good) return STATUS_OK;
    return status_set(st, STATUS_BAD_INPUT,
                      "fields \"low_freq_factor\" and \"high_freq_factor\" or "
                      "\"original_max_position_embeddings\" are out of range");
}

/* An object of rope_scaling or rope_parameters.  "type" is the older spelling of "rope_type". */
static status_code read_rope(const struct json_value *json, double theta,
                             struct rope_settings *rope, struct status *st)
{
    struct text type = text_of("default");
    const char *key = json_has(json, "rope_type") ? "rope_type" : "type";
    status_code code = config_json_double(json, "rope_theta", theta, &rope->theta, st);
    if (code == STATUS_OK && json_has(json, key)) code = json_get_text(json, key, &type, st);
    if (code != STATUS_OK || text_equal(type, text_of("default"))) return code;
    bool linear = text_equal(type, text_of("linear"));
    if (!linear && !text_equal(type, text_of("llama3")))
        return status_set(st, STATUS_UNSUPPORTED,
                          "\"%s\" is \"%.*s\"; default, linear and llama3 can run", key,
                          TEXT_ARGS(type));
    rope->scaling = linear ? ROPE_LINEAR : ROPE_LLAMA3;
    if ((code = json_get_double(json, "factor", &rope->factor, st)) != STATUS_OK) return code;
    if (!(rope->factor > 0) || !isfinite(rope->factor))
        return status_set(st, STATUS_BAD_INPUT, "field \"factor\" is %g, not positive",
                          rope->factor);
    return linear ? STATUS_OK : read_llama3(json, rope, st);
}

status_code config_json_rope(struct model_config *c, const struct json_value *json,
                             double default_theta, struct status *st)
{
    const struct json_value *object = NULL;
    double theta;
    status_code code = config_json_double(json, "rope_theta", default_theta, &theta, st);
    if (code != STATUS_OK) return code;
    const char *key = json_has(json, "rope_parameters") ? "rope_parameters" : "rope_scaling";
    c->rope = (struct rope_settings){.theta = theta};
    if (!json_has(json, key)) return STATUS_OK;
    if ((code = json_get_object(json, key, &object, st)) != STATUS_OK) return code;
    const struct json_value *full = json_member(object, "full_attention");
    const struct json_value *sliding = json_member(object, "sliding_attention");
    code = read_rope(full ? full : object, theta, &c->rope, st);
    if (code == STATUS_OK && sliding) code = read_rope(sliding, theta, &c->local_rope, st);
    return code == STATUS_OK ? code : status_prefix(st, "field \"%s\"", key);
}

status_code config_json_window(struct model_config *c, const struct json_value *json, int missing,
                               struct status *st)
{
    c->window = json_member(json, "sliding_window") ? 0 : missing;
    if (!json_has(json, "sliding_window")) return STATUS_OK;
    return config_json_int(json, "sliding_window", CONFIG_MAX_WINDOW, 0, &c->window, st);
}

status_code config_json_layer_types(struct model_config *c, const struct json_value *json,
                                    struct status *st)
{
    const struct json_value *types;
    if (!json_has(json, "layer_types")) return STATUS_OK;
    status_code code = json_get_array(json, "layer_types", &types, st);
    if (code != STATUS_OK) return code;
    if (json_count(types) != (size_t)c->n_layers)
        return status_set(st, STATUS_BAD_INPUT,
                          "field \"layer_types\" has %zu entries for %d layers", json_count(types),
                          c->n_layers);
    int i = 0;
    for (const struct json_value *v = json_first(types); v; v = json_next(v), i++) {
        struct text type = json_kind(v) == JSON_STRING ? json_text(v) : text_of("not a string");
        c->windowed[i] = text_equal(type, text_of("sliding_attention"));
        if (!c->windowed[i] && !text_equal(type, text_of("full_attention")))
            return status_set(st, STATUS_UNSUPPORTED,
                              "field \"layer_types\" holds \"%.*s\"; sliding_attention and "
                              "full_attention can run",
                              TEXT_ARGS(type));
    }
    return STATUS_OK;
}

/* ---- GGUF ---- */

#define KEY_SIZE 128

static void full_key(const struct gguf_keys *keys, const char *key, char out[KEY_SIZE])
{
    snprintf(out, KEY_SIZE, "%s.%s", keys->prefix, key);
}

bool gguf_keys_has(const struct gguf_keys *keys, const char *key)
{
    char name[KEY_SIZE];
    full_key(keys, key, name);
    return gguf_has(keys->file, name);
}

status_code gguf_keys_int(const struct gguf_keys *keys, const char *key, int max, int missing,
                          int *out, struct status *st)
{
    char name[KEY_SIZE];
    int64_t value = missing;
    full_key(keys, key, name);
    if (gguf_has(keys->file, name) || !missing) {
        status_code code = gguf_get_int(keys->file, name, 1, max, &value, st);
        if (code != STATUS_OK) return code;
    }
    *out = (int)value;
    return STATUS_OK;
}

status_code gguf_keys_double(const struct gguf_keys *keys, const char *key, double missing,
                             double *out, struct status *st)
{
    char name[KEY_SIZE];
    full_key(keys, key, name);
    *out = missing;
    return gguf_has(keys->file, name) ? gguf_get_double(keys->file, name, out, st) : STATUS_OK;
}

/* The embedding's rows are the vocabulary; no key is sure to say it. */
static status_code read_vocabulary(struct model_config *c, const struct gguf *file,
                                   struct status *st)
{
    const char *name = c->architecture->weights[W_EMBEDDING].gguf;
    const struct tensor_view *embedding = gguf_tensor(file, name);
    if (!embedding || embedding->n_dims != 2)
        return status_set(st, STATUS_BAD_INPUT, "%s: tensor \"%s\" is missing or not a matrix",
                          gguf_path(file), name);
    if (embedding->shape[0] > LIMIT_VOCAB)
        return status_set(st, STATUS_LIMIT, "%s: tensor \"%s\" has more than %d rows",
                          gguf_path(file), name, LIMIT_VOCAB);
    c->n_vocab = (int)embedding->shape[0];
    c->tied_output = !gguf_tensor(file, c->architecture->weights[W_OUTPUT].gguf);
    return STATUS_OK;
}

/* As llama.cpp reads it: a factor without a type is linear, and "scale_linear" is the old name. */
static status_code read_gguf_rope(struct model_config *c, const struct gguf_keys *keys,
                                  struct status *st)
{
    char name[KEY_SIZE];
    struct text type = text_of("linear");
    full_key(keys, "rope.scaling.type", name);
    status_code code = gguf_keys_double(keys, "rope.freq_base", 10000, &c->rope.theta, st);
    if (code == STATUS_OK && gguf_has(keys->file, name))
        code = gguf_get_text(keys->file, name, &type, st);
    if (code != STATUS_OK || text_equal(type, text_of("none"))) return code;
    if (!text_equal(type, text_of("linear")))
        return status_set(st, STATUS_UNSUPPORTED, "%s: key \"%s\" is \"%.*s\"; linear can run",
                          gguf_path(keys->file), name, TEXT_ARGS(type));
    const char *key =
        gguf_keys_has(keys, "rope.scaling.factor") ? "rope.scaling.factor" : "rope.scale_linear";
    if ((code = gguf_keys_double(keys, key, 0, &c->rope.factor, st)) != STATUS_OK) return code;
    if (c->rope.factor < 0)
        return status_set(st, STATUS_BAD_INPUT, "%s: key \"%s.%s\" is %g, not positive",
                          gguf_path(keys->file), keys->prefix, key, c->rope.factor);
    if (c->rope.factor > 0) c->rope.scaling = ROPE_LINEAR;
    return STATUS_OK;
}

static status_code reject_experts(const struct gguf_keys *keys, struct status *st)
{
    char name[KEY_SIZE];
    int64_t n = 0;
    full_key(keys, "expert_count", name);
    if (!gguf_has(keys->file, name)) return STATUS_OK;
    status_code code = gguf_get_int(keys->file, name, 0, INT32_MAX, &n, st);
    if (code != STATUS_OK || n == 0) return code;
    return status_set(st, STATUS_UNSUPPORTED,
                      "%s: key \"%s\" says that this is a mixture of experts, which cannot run "
                      "here",
                      gguf_path(keys->file), name);
}

status_code config_gguf_decoder(struct model_config *c, const struct gguf_keys *keys,
                                const char *norm_key, struct status *st)
{
    status_code code;
    double eps;
    int value_dim;
    if ((code = gguf_keys_int(keys, "embedding_length", LIMIT_HIDDEN, 0, &c->d_model, st)) ||
        (code = gguf_keys_int(keys, "block_count", LIMIT_LAYERS, 0, &c->n_layers, st)) ||
        (code = gguf_keys_int(keys, "feed_forward_length", CONFIG_MAX_D_FF, 0, &c->d_ff, st)) ||
        (code = gguf_keys_int(keys, "attention.head_count", LIMIT_HEADS, 0, &c->n_heads, st)) ||
        (code = gguf_keys_int(keys, "attention.head_count_kv", LIMIT_HEADS, c->n_heads,
                              &c->n_kv_heads, st)) ||
        (code = gguf_keys_int(keys, "attention.key_length", LIMIT_HIDDEN, c->d_model / c->n_heads,
                              &c->head_dim, st)) ||
        (code = gguf_keys_int(keys, "attention.value_length", LIMIT_HIDDEN, c->head_dim, &value_dim,
                              st)) ||
        (code = gguf_keys_int(keys, "context_length", LIMIT_CONTEXT, 0, &c->n_context, st)) ||
        (code = gguf_keys_double(keys, norm_key, 0, &eps, st)) ||
        (code = read_vocabulary(c, keys->file, st)) || (code = reject_experts(keys, st)))
        return code;
    if (value_dim != c->head_dim)
        return status_set(st, STATUS_UNSUPPORTED,
                          "%s: key \"%s.attention.value_length\" is %d, but keys have %d",
                          gguf_path(keys->file), keys->prefix, value_dim, c->head_dim);
    c->norm_eps = (float)eps;
    derive(c);
    if ((code = read_gguf_rope(c, keys, st)) != STATUS_OK) return code;
    return gguf_keys_int(keys, "rope.dimension_count", LIMIT_HIDDEN, c->head_dim, &c->rope_dim, st);
}

status_code config_gguf_window(struct model_config *c, const struct gguf_keys *keys, int missing,
                               struct status *st)
{
    char name[KEY_SIZE];
    int64_t window = missing;
    full_key(keys, "attention.sliding_window", name);
    if (gguf_has(keys->file, name)) {
        status_code code = gguf_get_int(keys->file, name, 0, CONFIG_MAX_WINDOW, &window, st);
        if (code != STATUS_OK) return code;
    }
    c->window = (int)window;
    return STATUS_OK;
}

status_code config_gguf_layers(struct model_config *c, const struct gguf_keys *keys,
                               int default_period, struct status *st)
{
    static const char key[] = "attention.sliding_window_pattern";
    char name[KEY_SIZE];
    int period;
    struct status not_an_array = {0};
    struct gguf_array array;
    full_key(keys, key, name);
    if (gguf_has(keys->file, name) &&
        gguf_get_array(keys->file, name, GGUF_BOOL, &array, &not_an_array) == STATUS_OK) {
        if (array.count < (size_t)c->n_layers)
            return status_set(st, STATUS_BAD_INPUT, "%s: key \"%s\" has %zu entries for %d layers",
                              gguf_path(keys->file), name, array.count, c->n_layers);
        for (int i = 0; i < c->n_layers; i++) c->windowed[i] = array.data[i] != 0;
        return STATUS_OK;
    }
    status_code code = gguf_keys_int(keys, key, LIMIT_LAYERS, default_period, &period, st);
    if (code == STATUS_OK) config_window_pattern(c, period);
    return code;
}
