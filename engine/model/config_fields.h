/* config_fields.h - what the families' config readers share.
 *
 *   config.json  -> config_json_decoder(), config_json_rope(), ... -> a model_config
 *   GGUF         -> config_gguf_decoder(), gguf_keys_int(), ...    -> a model_config
 *
 * A family's reader calls these in turn and fills in what is its own.  A field that is missing
 * takes the value that Hugging Face's config class or llama.cpp assumes; a field that is there and
 * cannot be honoured is STATUS_UNSUPPORTED, naming the field.
 */
#ifndef ASSAY_MODEL_CONFIG_FIELDS_H
#define ASSAY_MODEL_CONFIG_FIELDS_H

#include "engine/base/json.h"
#include "engine/gguf/gguf.h"
#include "engine/model/model_config.h"

#define CONFIG_MAX_D_FF   (8 * LIMIT_HIDDEN)
#define CONFIG_MAX_WINDOW INT32_MAX

/* ---- config.json ---- */

/* What a missing field means; 0 = the field is required. */
struct config_defaults {
    int n_heads;
    int n_kv_heads; /* 0 = n_heads */
    int head_dim;   /* 0 = d_model / n_heads */
    int n_vocab, n_context;
    const char *norm_key; /* "rms_norm_eps" or "layer_norm_eps" */
    double norm_eps;
    bool tied_output;
};

/* Shapes, norm epsilon and output head.  Sets attention_scale to 1 /
 * sqrt(head_dim), the other scales to 1 and rope_dim to head_dim. */
status_code config_json_decoder(struct model_config *config, const struct json_value *json,
                                const struct config_defaults *defaults,
                                struct status *st) MUST_CHECK;

/* One integer from 1 to max; one number; one boolean. `missing` 0 in the first: it is required. */
status_code config_json_int(const struct json_value *json, const char *key, int max, int missing,
                            int *out, struct status *st) MUST_CHECK;
status_code config_json_double(const struct json_value *json, const char *key, double missing,
                               double *out, struct status *st) MUST_CHECK;
status_code config_json_bool(const struct json_value *json, const char *key, bool missing,
                             bool *out, struct status *st) MUST_CHECK;

/* A number of which null means none: 0. */
status_code config_json_softcap(const struct json_value *json, const char *key, double missing,
                                float *out, struct status *st) MUST_CHECK;

/* The field is missing, null, or one of the NULL-terminated words. */
status_code config_json_word(const struct json_value *json, const char *key,
                             const char *const *words, struct status *st) MUST_CHECK;

/* None of the NULL-terminated fields is there with a value other than null, false or 0. */
status_code config_json_reject(const struct json_value *json, const char *const *keys,
                               struct status *st) MUST_CHECK;

/* rope_theta with rope_scaling, or rope_parameters, which replaces both, also by layer type. */
status_code config_json_rope(struct model_config *config, const struct json_value *json,
                             double default_theta, struct status *st) MUST_CHECK;

/* "sliding_window", of which null means none; `missing` 0 = none as well. */
status_code config_json_window(struct model_config *config, const struct json_value *json,
                               int missing, struct status *st) MUST_CHECK;

/* Which layers have the window: as "layer_types" says, or where that is missing as the caller set
 * config->windowed before. */
status_code config_json_layer_types(struct model_config *config, const struct json_value *json,
                                    struct status *st) MUST_CHECK;

/* ---- GGUF ---- */

/* Keys that begin with the architecture's name. */
struct gguf_keys {
    const struct gguf *file;
    const char *prefix;
};

bool gguf_keys_has(const struct gguf_keys *keys, const char *key);

/* An integer from 1 to max; `missing` 0 = the key is required. */
status_code gguf_keys_int(const struct gguf_keys *keys, const char *key, int max, int missing,
                          int *out, struct status *st) MUST_CHECK;
status_code gguf_keys_double(const struct gguf_keys *keys, const char *key, double missing,
                             double *out, struct status *st) MUST_CHECK;

/* As config_json_decoder(), and RoPE with its scaling.  `norm_key` is the epsilon's key. */
status_code config_gguf_decoder(struct model_config *config, const struct gguf_keys *keys,
                                const char *norm_key, struct status *st) MUST_CHECK;

/* "attention.sliding_window", of which 0 means none. */
status_code config_gguf_window(struct model_config *config, const struct gguf_keys *keys,
                               int missing, struct status *st) MUST_CHECK;

/* "attention.sliding_window_pattern", a period or one boolean per layer, into config->windowed. */
status_code config_gguf_layers(struct model_config *config, const struct gguf_keys *keys,
                               int default_period, struct status *st) MUST_CHECK;

/* ---- both ---- */

/* Layer i is windowed unless i + 1 is a multiple of `period`; 0 = all are. */
void config_window_pattern(struct model_config *config, int period);

#endif
