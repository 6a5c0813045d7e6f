#include "engine/model/model_config.h"

#include <math.h>

#include "engine/base/json.h"
#include "engine/model/architecture.h"
#include "engine/model/config_fields.h"

size_t rope_row_in_halves(size_t head_dim, size_t row)
{
    size_t within = row % head_dim;
    return row - within + within % 2 * (head_dim / 2) + within / 2;
}

size_t rope_row_in_neighbours(size_t head_dim, size_t row)
{
    size_t within = row % head_dim, half = head_dim / 2;
    return row - within + within % half * 2 + within / half;
}

static status_code check_rope(const struct rope_settings *rope, struct status *st)
{
    if (!(rope->theta >= 1) || !isfinite(rope->theta))
        return status_set(st, STATUS_BAD_INPUT, "RoPE base %g is not at least 1", rope->theta);
    return STATUS_OK;
}

/* Rules that hold for every family, whatever file the numbers came from. */
/* The scales of decoders; encoders have none. */
static status_code check_scales(const struct model_config *c, struct status *st)
{
    const struct {
        const char *name;
        float value;
    } scales[] = {{"embedding scale", c->embedding_scale},
                  {"residual scale", c->residual_scale},
                  {"logit scale", c->logit_divisor}};
    for (size_t i = 0; !c->architecture->is_encoder && i < sizeof scales / sizeof *scales; i++)
        if (!(scales[i].value > 0) || !isfinite(scales[i].value))
            return status_set(st, STATUS_BAD_INPUT, "%s %g is not a positive number",
                              scales[i].name, (double)scales[i].value);
    return STATUS_OK;
}

static status_code check_config(const struct model_config *c, struct status *st)
{
    if (c->head_dim < 1)
        return status_set(st, STATUS_BAD_INPUT, "%d heads in %d dimensions leave no head size",
                          c->n_heads, c->d_model);
    if (c->n_heads % c->n_kv_heads != 0)
        return status_set(st, STATUS_BAD_INPUT,
                          "%d attention heads cannot share %d key-value heads evenly", c->n_heads,
                          c->n_kv_heads);
    if (c->rope_dim % 2 != 0)
        return status_set(st, STATUS_BAD_INPUT,
                          "%d rotary dimensions are odd; rotary positions need pairs", c->rope_dim);
    if (c->rope_dim > c->head_dim)
        return status_set(st, STATUS_BAD_INPUT, "%d rotary dimensions do not fit heads of %d",
                          c->rope_dim, c->head_dim);
    if (!(c->norm_eps > 0) || !(c->norm_eps < 1))
        return status_set(st, STATUS_BAD_INPUT, "norm epsilon %g is not between 0 and 1",
                          (double)c->norm_eps);
    if (!(c->attention_scale > 0) || !isfinite(c->attention_scale))
        return status_set(st, STATUS_BAD_INPUT, "attention scale %g is not a positive number",
                          (double)c->attention_scale);
    if (!(c->score_softcap >= 0) || !(c->logit_softcap >= 0))
        return status_set(st, STATUS_BAD_INPUT, "a soft cap is negative or not a number");
    status_code code = check_scales(c, st);
    if (code != STATUS_OK || c->rope_dim == 0) return code;
    code = check_rope(&c->rope, st);
    if (code == STATUS_OK && c->local_rope.theta != 0) code = check_rope(&c->local_rope, st);
    return code;
}

static status_code find_architecture(struct model_config *c, const struct json_value *json,
                                     struct status *st)
{
    struct text model_type;
    status_code code = json_get_text(json, "model_type", &model_type, st);
    if (code != STATUS_OK) return code;
    c->architecture = architecture_for_model_type(model_type);
    if (c->architecture) return STATUS_OK;
    return status_set(st, STATUS_UNSUPPORTED, "field \"model_type\" is \"%.*s\"; can run: %s",
                      TEXT_ARGS(model_type), architecture_names());
}

status_code model_config_from_json(struct model_config *out, const struct json_value *json,
                                   struct status *st)
{
    static const char *const nowhere[] = {"quantization_config", NULL};
    struct model_config c = {.query_scale = 1};
    status_code code = find_architecture(&c, json, st);
    if (code == STATUS_OK) code = config_json_reject(json, nowhere, st);
    if (code == STATUS_OK && c.architecture->multimodal_type && json_has(json, "text_config"))
        code = json_get_object(json, "text_config", &json, st);
    if (code == STATUS_OK) code = c.architecture->config_from_json(&c, json, st);
    if (code == STATUS_OK) code = check_config(&c, st);
    if (code == STATUS_OK) *out = c;
    return code;
}

static status_code read_query_scale(struct model_config *c, const struct gguf *file,
                                    struct status *st)
{
    double scale = 1;
    if (gguf_has(file, QUERY_SCALE_KEY)) {
        status_code code = gguf_get_double(file, QUERY_SCALE_KEY, &scale, st);
        if (code != STATUS_OK) return code;
    }
    if (!(scale > 0) || !isfinite((float)scale))
        return status_set(st, STATUS_BAD_INPUT, "%s: key \"%s\" is %g, expected a positive number",
                          gguf_path(file), QUERY_SCALE_KEY, scale);
    c->query_scale = (float)scale;
    return STATUS_OK;
}

status_code model_config_from_gguf(struct model_config *out, const struct gguf *file,
                                   struct status *st)
{
    struct model_config c = {0};
    struct text name;
    status_code code = gguf_get_text(file, "general.architecture", &name, st);
    if (code != STATUS_OK) return code;
    c.architecture = architecture_for_gguf(name);
    if (!c.architecture)
        return status_set(st, STATUS_UNSUPPORTED,
                          "%s: architecture \"%.*s\" cannot run here; can: %s", gguf_path(file),
                          TEXT_ARGS(name), architecture_names());
    const struct gguf_keys keys = {file, c.architecture->gguf_name};
    code = c.architecture->config_from_gguf(&c, &keys, st);
    if (code == STATUS_OK) code = read_query_scale(&c, file, st);
    if (code != STATUS_OK) return code;
    if ((code = check_config(&c, st)) != STATUS_OK) return status_prefix(st, "%s", gguf_path(file));
    *out = c;
    return STATUS_OK;
}
