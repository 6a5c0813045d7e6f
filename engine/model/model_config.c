#include "engine/model/model_config.h"

#include <math.h>
#include <stdio.h>

#include "engine/base/json.h"
#include "engine/base/limits.h"
#include "engine/gguf/gguf.h"
#include "engine/model/architecture.h"

#define MAX_D_FF (8 * LIMIT_HIDDEN)

/* Rules that hold whatever file the numbers came from. */
static status_code check_shapes(const struct model_config *c, struct status *st)
{
    if (c->n_heads % c->n_kv_heads != 0)
        return status_set(st, STATUS_BAD_INPUT,
                          "%d attention heads cannot share %d key-value heads evenly", c->n_heads,
                          c->n_kv_heads);
    if (c->head_dim % 2 != 0)
        return status_set(st, STATUS_BAD_INPUT, "head size %d is odd; rotary positions need pairs",
                          c->head_dim);
    if (!(c->rms_eps > 0) || !(c->rms_eps < 1))
        return status_set(st, STATUS_BAD_INPUT, "RMSNorm epsilon %g is not between 0 and 1",
                          (double)c->rms_eps);
    if (!(c->rope_theta >= 1) || !isfinite(c->rope_theta))
        return status_set(st, STATUS_BAD_INPUT, "RoPE base %g is not at least 1", c->rope_theta);
    return STATUS_OK;
}

/* ---- config.json ---- */

struct int_field {
    const char *key;
    int max;
    int *out;
    int missing; /* the value when the field is absent; 0 = it is required */
};

static status_code read_json_ints(const struct json_value *json, const struct int_field *fields,
                                  size_t n, struct status *st)
{
    for (size_t i = 0; i < n; i++) {
        int64_t value = fields[i].missing;
        if (json_has(json, fields[i].key) || !fields[i].missing) {
            status_code code = json_get_int(json, fields[i].key, 1, fields[i].max, &value, st);
            if (code != STATUS_OK) return code;
        }
        *fields[i].out = (int)value;
    }
    return STATUS_OK;
}

static status_code read_json_double(const struct json_value *json, const char *key, double missing,
                                    double *out, struct status *st)
{
    *out = missing;
    return json_has(json, key) ? json_get_double(json, key, out, st) : STATUS_OK;
}

static status_code find_architecture(struct model_config *c, const struct json_value *json,
                                     struct status *st)
{
    struct text model_type;
    status_code code = json_get_text(json, "model_type", &model_type, st);
    if (code != STATUS_OK) return code;
    c->architecture = architecture_for_model_type(model_type);
    if (c->architecture) return STATUS_OK;
    return status_set(st, STATUS_UNSUPPORTED, "model_type \"%.*s\" cannot run here; can: %s",
                      TEXT_ARGS(model_type), architecture_names());
}

status_code model_config_from_json(struct model_config *out, const struct json_value *json,
                                   struct status *st)
{
    struct model_config c = {0};
    status_code code = find_architecture(&c, json, st);
    if (code != STATUS_OK) return code;
    const struct int_field first[] = {
        {"hidden_size", LIMIT_HIDDEN, &c.d_model, 0},
        {"num_hidden_layers", LIMIT_LAYERS, &c.n_layers, 0},
        {"num_attention_heads", LIMIT_HEADS, &c.n_heads, 0},
        {"intermediate_size", MAX_D_FF, &c.d_ff, 0},
        {"vocab_size", LIMIT_VOCAB, &c.n_vocab, 0},
        {"max_position_embeddings", LIMIT_CONTEXT, &c.n_context, 0},
    };
    code = read_json_ints(json, first, sizeof first / sizeof first[0], st);
    if (code != STATUS_OK) return code;
    const struct int_field second[] = {
        {"num_key_value_heads", LIMIT_HEADS, &c.n_kv_heads, c.n_heads},
        {"head_dim", LIMIT_HIDDEN, &c.head_dim, c.d_model / c.n_heads},
    };
    double eps;
    if ((code = read_json_ints(json, second, sizeof second / sizeof second[0], st)) != STATUS_OK ||
        (code = read_json_double(json, "rms_norm_eps", 1e-6, &eps, st)) != STATUS_OK ||
        (code = read_json_double(json, "rope_theta", 10000, &c.rope_theta, st)) != STATUS_OK)
        return code;
    c.rms_eps = (float)eps;
    if ((code = c.architecture->config_from_json(&c, json, st)) != STATUS_OK ||
        (code = check_shapes(&c, st)) != STATUS_OK)
        return code;
    *out = c;
    return STATUS_OK;
}

/* ---- GGUF ---- */

#define KEY_SIZE 128

struct key_reader {
    const struct gguf *file;
    const char *prefix; /* the architecture's name */
};

static void full_key(const struct key_reader *r, const char *key, char out[KEY_SIZE])
{
    snprintf(out, KEY_SIZE, "%s.%s", r->prefix, key);
}

/* `missing` is the value of an absent key; 0 = it is required. */
static status_code read_int(const struct key_reader *r, const char *key, int max, int missing,
                            int *out, struct status *st)
{
    char name[KEY_SIZE];
    int64_t value = missing;
    full_key(r, key, name);
    if (gguf_has(r->file, name) || !missing) {
        status_code code = gguf_get_int(r->file, name, 1, max, &value, st);
        if (code != STATUS_OK) return code;
    }
    *out = (int)value;
    return STATUS_OK;
}

static status_code read_double(const struct key_reader *r, const char *key, double missing,
                               double *out, struct status *st)
{
    char name[KEY_SIZE];
    full_key(r, key, name);
    *out = missing;
    return gguf_has(r->file, name) ? gguf_get_double(r->file, name, out, st) : STATUS_OK;
}

/* The embedding's rows are the vocabulary; no key is sure to say it. */
static status_code vocabulary_from_embedding(struct model_config *c, const struct gguf *file,
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
    return STATUS_OK;
}

static status_code reject_rope_scaling(const struct key_reader *r, struct status *st)
{
    char name[KEY_SIZE];
    struct text kind;
    full_key(r, "rope.scaling.type", name);
    if (!gguf_has(r->file, name)) return STATUS_OK;
    status_code code = gguf_get_text(r->file, name, &kind, st);
    if (code != STATUS_OK || text_equal(kind, text_of("none"))) return code;
    return status_set(st, STATUS_UNSUPPORTED, "%s: key \"%s\" is \"%.*s\", which cannot run here",
                      gguf_path(r->file), name, TEXT_ARGS(kind));
}

status_code model_config_from_gguf(struct model_config *out, const struct gguf *file,
                                   struct status *st)
{
    struct model_config c = {0};
    struct text name;
    double eps;
    status_code code = gguf_get_text(file, "general.architecture", &name, st);
    if (code != STATUS_OK) return code;
    c.architecture = architecture_for_gguf(name);
    if (!c.architecture)
        return status_set(st, STATUS_UNSUPPORTED,
                          "%s: architecture \"%.*s\" cannot run here; can: %s", gguf_path(file),
                          TEXT_ARGS(name), architecture_names());
    struct key_reader r = {file, c.architecture->gguf_name};
    if ((code = read_int(&r, "embedding_length", LIMIT_HIDDEN, 0, &c.d_model, st)) ||
        (code = read_int(&r, "block_count", LIMIT_LAYERS, 0, &c.n_layers, st)) ||
        (code = read_int(&r, "feed_forward_length", MAX_D_FF, 0, &c.d_ff, st)) ||
        (code = read_int(&r, "attention.head_count", LIMIT_HEADS, 0, &c.n_heads, st)) ||
        (code =
             read_int(&r, "attention.head_count_kv", LIMIT_HEADS, c.n_heads, &c.n_kv_heads, st)) ||
        (code = read_int(&r, "attention.key_length", LIMIT_HIDDEN, c.d_model / c.n_heads,
                         &c.head_dim, st)) ||
        (code = read_int(&r, "context_length", LIMIT_CONTEXT, 0, &c.n_context, st)) ||
        (code = read_double(&r, "attention.layer_norm_rms_epsilon", 1e-6, &eps, st)) ||
        (code = read_double(&r, "rope.freq_base", 10000, &c.rope_theta, st)) ||
        (code = reject_rope_scaling(&r, st)) || (code = vocabulary_from_embedding(&c, file, st)))
        return code;
    c.rms_eps = (float)eps;
    c.embedding_scale = sqrtf((float)c.d_model);
    if ((code = check_shapes(&c, st)) != STATUS_OK) return status_prefix(st, "%s", gguf_path(file));
    *out = c;
    return STATUS_OK;
}
