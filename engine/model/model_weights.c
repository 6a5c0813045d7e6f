#include "engine/model/model_weights.h"

#include <inttypes.h>
#include <stdio.h>

#include "engine/gguf/gguf.h"
#include "engine/safetensors/safetensors.h"

struct finder {
    const struct model_config *config;
    const struct tensor_source *source;
    struct arena *arena;
    struct status *st;
    uint64_t n_parameters;
};

static const struct tensor_view *look_up(const struct finder *f, enum weight_id id, int layer,
                                         char name[LIMIT_TENSOR_NAME])
{
    const struct weight_names *names = &f->config->architecture->weights[id];
    const char *pattern = f->source->gguf ? names->gguf : names->safetensors;
    const char *slot = strstr(pattern, "%d");
    if (slot)
        snprintf(name, LIMIT_TENSOR_NAME, "%.*s%d%s", (int)(slot - pattern), pattern, layer,
                 slot + 2);
    else
        snprintf(name, LIMIT_TENSOR_NAME, "%s", pattern);
    return f->source->gguf ? gguf_tensor(f->source->gguf, name)
                           : safetensors_tensor(f->source->safetensors, name);
}

static status_code find(struct finder *f, enum weight_id id, int layer,
                        const struct tensor_view **out)
{
    char name[LIMIT_TENSOR_NAME];
    *out = look_up(f, id, layer, name);
    if (*out) return STATUS_OK;
    return status_set(f->st, STATUS_BAD_INPUT, "tensor \"%s\" is missing", name);
}

static status_code find_linear(struct finder *f, enum weight_id id, int layer, int rows, int cols,
                               struct linear *out)
{
    const struct tensor_view *view;
    status_code code = find(f, id, layer, &view);
    if (code != STATUS_OK) return code;
    if (view->n_dims != 2 || view->shape[0] != (uint64_t)rows || view->shape[1] != (uint64_t)cols)
        return status_set(f->st, STATUS_BAD_INPUT,
                          "tensor \"%s\" has %d dimensions (%" PRIu64 ", %" PRIu64
                          "), the config asks for (%d, %d)",
                          view->name, view->n_dims, view->shape[0],
                          view->n_dims > 1 ? view->shape[1] : 1, rows, cols);
    *out = (struct linear){
        .data = view->data,
        .type = tensor_type_find(view->type),
        .rows = rows,
        .cols = cols,
        .row_bytes = view->bytes / (size_t)rows,
    };
    if (!out->type || (size_t)cols % out->type->block_values != 0)
        return status_set(f->st, STATUS_UNSUPPORTED,
                          "tensor \"%s\" has type %s, which cannot hold rows of %d here",
                          view->name, tensor_type_any_name(view->type), cols);
    f->n_parameters += (uint64_t)rows * (uint64_t)cols;
    return STATUS_OK;
}

static status_code find_norm(struct finder *f, enum weight_id id, int layer, const float **out)
{
    const struct tensor_view *view;
    status_code code = find(f, id, layer, &view);
    if (code != STATUS_OK) return code;
    size_t n = (size_t)f->config->d_model;
    const struct tensor_type_info *type = tensor_type_find(view->type);
    if (view->n_dims != 1 || view->shape[0] != n)
        return status_set(f->st, STATUS_BAD_INPUT,
                          "tensor \"%s\" should be a vector of %zu numbers", view->name, n);
    if (!type || n % type->block_values != 0)
        return status_set(f->st, STATUS_UNSUPPORTED, "tensor \"%s\" has type %s, expected F32",
                          view->name, tensor_type_any_name(view->type));
    float *weight = arena_array(f->arena, n, sizeof *weight);
    if (!weight) return status_no_memory(f->st, view->name);
    type->to_f32(weight, view->data, n);
    if (f->source->safetensors && f->config->architecture->safetensors_norm_is_offset)
        for (size_t i = 0; i < n; i++) weight[i] += 1.0f;
    f->n_parameters += n;
    *out = weight;
    return STATUS_OK;
}

static status_code find_layer(struct finder *f, int i, struct layer_weights *w)
{
    const struct model_config *c = f->config;
    int q_dim = c->n_heads * c->head_dim, kv_dim = c->n_kv_heads * c->head_dim;
    status_code code;
    if ((code = find_norm(f, W_ATTN_NORM, i, &w->attn_norm)) ||
        (code = find_linear(f, W_Q, i, q_dim, c->d_model, &w->q)) ||
        (code = find_linear(f, W_K, i, kv_dim, c->d_model, &w->k)) ||
        (code = find_linear(f, W_V, i, kv_dim, c->d_model, &w->v)) ||
        (code = find_linear(f, W_O, i, c->d_model, q_dim, &w->o)) ||
        (code = find_norm(f, W_FFN_NORM, i, &w->ffn_norm)) ||
        (code = find_linear(f, W_GATE, i, c->d_ff, c->d_model, &w->gate)) ||
        (code = find_linear(f, W_UP, i, c->d_ff, c->d_model, &w->up)) ||
        (code = find_linear(f, W_DOWN, i, c->d_model, c->d_ff, &w->down)))
        return code;
    return STATUS_OK;
}

static status_code find_output(struct finder *f, struct model_weights *w)
{
    char name[LIMIT_TENSOR_NAME];
    const struct model_config *c = f->config;
    if (!look_up(f, W_OUTPUT, 0, name)) {
        w->output = w->embedding;
        return STATUS_OK;
    }
    return find_linear(f, W_OUTPUT, 0, c->n_vocab, c->d_model, &w->output);
}

status_code model_weights_find(struct model_weights *out, const struct model_config *config,
                               const struct tensor_source *source, struct arena *arena,
                               struct status *st)
{
    struct finder f = {.config = config, .source = source, .arena = arena, .st = st};
    struct model_weights w = {0};
    status_code code;
    w.layer = arena_array(arena, (size_t)config->n_layers, sizeof *w.layer);
    if (!w.layer) return status_no_memory(st, "the weights");
    if ((code = find_linear(&f, W_EMBEDDING, 0, config->n_vocab, config->d_model, &w.embedding)) ||
        (code = find_norm(&f, W_OUTPUT_NORM, 0, &w.output_norm)) || (code = find_output(&f, &w)))
        return code;
    for (int i = 0; i < config->n_layers; i++)
        if ((code = find_layer(&f, i, &w.layer[i])) != STATUS_OK) return code;
    w.n_parameters = f.n_parameters;
    *out = w;
    return STATUS_OK;
}
