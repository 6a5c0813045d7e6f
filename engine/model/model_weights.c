#include "engine/model/model_weights.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/gguf/gguf.h"
#include "engine/safetensors/safetensors.h"

/* ---- what weights look like ---- */

enum size {
    SIZE_NONE, /* columns of a vector */
    SIZE_MODEL,
    SIZE_QUERY,
    SIZE_KEY,
    SIZE_HEAD,
    SIZE_FF,
    SIZE_VOCAB,
    SIZE_POSITIONS,
    SIZE_TYPES,
    SIZE_LABELS,
    SIZE_ROPE_PAIRS
};

/* Where a weight goes, a `linear` or the pointer to a vector, and its shape. */
struct weight_spec {
    size_t offset; /* in model_weights, or in layer_weights from W_FIRST_LAYER_WEIGHT on */
    enum size rows, cols;
    bool is_norm; /* a norm's weight, to which 1 may have to be added */
};

#define WHOLE(member) offsetof(struct model_weights, member)
#define LAYER(member) offsetof(struct layer_weights, member)

static const struct weight_spec specs[WEIGHT_COUNT] = {
    [W_EMBEDDING] = {WHOLE(embedding), SIZE_VOCAB, SIZE_MODEL, false},
    [W_POSITIONS] = {WHOLE(positions), SIZE_POSITIONS, SIZE_MODEL, false},
    [W_TOKEN_TYPES] = {WHOLE(token_types), SIZE_TYPES, SIZE_MODEL, false},
    [W_EMBEDDING_NORM] = {WHOLE(embedding_norm.weight), SIZE_MODEL, SIZE_NONE, true},
    [W_EMBEDDING_NORM_BIAS] = {WHOLE(embedding_norm.bias), SIZE_MODEL, SIZE_NONE, false},
    [W_OUTPUT_NORM] = {WHOLE(output_norm.weight), SIZE_MODEL, SIZE_NONE, true},
    [W_OUTPUT_NORM_BIAS] = {WHOLE(output_norm.bias), SIZE_MODEL, SIZE_NONE, false},
    [W_OUTPUT] = {WHOLE(output), SIZE_VOCAB, SIZE_MODEL, false},
    [W_OUTPUT_BIAS] = {WHOLE(output.bias), SIZE_VOCAB, SIZE_NONE, false},
    [W_ROPE_FACTORS] = {WHOLE(rope_factors), SIZE_ROPE_PAIRS, SIZE_NONE, false},
    [W_POOLER] = {WHOLE(pooler), SIZE_MODEL, SIZE_MODEL, false},
    [W_POOLER_BIAS] = {WHOLE(pooler.bias), SIZE_MODEL, SIZE_NONE, false},
    [W_CLASSIFIER] = {WHOLE(classifier), SIZE_LABELS, SIZE_MODEL, false},
    [W_CLASSIFIER_BIAS] = {WHOLE(classifier.bias), SIZE_LABELS, SIZE_NONE, false},
    [W_ATTN_NORM] = {LAYER(attn_norm.weight), SIZE_MODEL, SIZE_NONE, true},
    [W_ATTN_NORM_BIAS] = {LAYER(attn_norm.bias), SIZE_MODEL, SIZE_NONE, false},
    [W_Q] = {LAYER(q), SIZE_QUERY, SIZE_MODEL, false},
    [W_Q_BIAS] = {LAYER(q.bias), SIZE_QUERY, SIZE_NONE, false},
    [W_K] = {LAYER(k), SIZE_KEY, SIZE_MODEL, false},
    [W_K_BIAS] = {LAYER(k.bias), SIZE_KEY, SIZE_NONE, false},
    [W_V] = {LAYER(v), SIZE_KEY, SIZE_MODEL, false},
    [W_V_BIAS] = {LAYER(v.bias), SIZE_KEY, SIZE_NONE, false},
    [W_Q_NORM] = {LAYER(q_norm.weight), SIZE_HEAD, SIZE_NONE, true},
    [W_K_NORM] = {LAYER(k_norm.weight), SIZE_HEAD, SIZE_NONE, true},
    [W_O] = {LAYER(o), SIZE_MODEL, SIZE_QUERY, false},
    [W_O_BIAS] = {LAYER(o.bias), SIZE_MODEL, SIZE_NONE, false},
    [W_ATTN_POST_NORM] = {LAYER(attn_post_norm.weight), SIZE_MODEL, SIZE_NONE, true},
    [W_ATTN_POST_NORM_BIAS] = {LAYER(attn_post_norm.bias), SIZE_MODEL, SIZE_NONE, false},
    [W_FFN_NORM] = {LAYER(ffn_norm.weight), SIZE_MODEL, SIZE_NONE, true},
    [W_GATE] = {LAYER(gate), SIZE_FF, SIZE_MODEL, false},
    [W_UP] = {LAYER(up), SIZE_FF, SIZE_MODEL, false},
    [W_UP_BIAS] = {LAYER(up.bias), SIZE_FF, SIZE_NONE, false},
    [W_DOWN] = {LAYER(down), SIZE_MODEL, SIZE_FF, false},
    [W_DOWN_BIAS] = {LAYER(down.bias), SIZE_MODEL, SIZE_NONE, false},
    [W_FFN_POST_NORM] = {LAYER(ffn_post_norm.weight), SIZE_MODEL, SIZE_NONE, true},
    [W_FFN_POST_NORM_BIAS] = {LAYER(ffn_post_norm.bias), SIZE_MODEL, SIZE_NONE, false},
};

static int resolve(const struct model_config *c, enum size size)
{
    switch (size) {
    case SIZE_MODEL:
        return c->d_model;
    case SIZE_QUERY:
        return c->n_heads * c->head_dim;
    case SIZE_KEY:
        return c->n_kv_heads * c->head_dim;
    case SIZE_HEAD:
        return c->head_dim;
    case SIZE_FF:
        return c->d_ff;
    case SIZE_VOCAB:
        return c->n_vocab;
    case SIZE_POSITIONS:
        return c->position_offset + c->n_context;
    case SIZE_TYPES:
        return c->n_token_types;
    case SIZE_LABELS:
        return c->n_labels;
    case SIZE_ROPE_PAIRS:
        return c->rope_dim / 2;
    case SIZE_NONE:
        break;
    }
    return 0;
}

/* ---- names ---- */

/* In a multimodal checkpoint the language model's names have a prefix, of which there are two
 * generations: names that begin with `old` begin with `new` instead. */
struct renaming {
    const char *old, *new;
};

static const struct renaming renamings[] = {
    {"", ""},
    {"", "language_model."},
    {"model.", "model.language_model."},
};
#define RENAMING_COUNT (sizeof renamings / sizeof renamings[0])

struct finder {
    const struct model_config *config;
    const struct tensor_source *source;
    const struct renaming *renaming;
    struct arena *arena;
    struct status *st;
    uint64_t n_parameters;
};

static const char *pattern_of(const struct finder *f, enum weight_id id)
{
    const struct weight_names *names = &f->config->architecture->weights[id];
    return f->source->gguf ? names->gguf : names->safetensors;
}

static void write_name(const struct finder *f, enum weight_id id, int layer,
                       char name[LIMIT_TENSOR_NAME])
{
    const char *pattern = pattern_of(f, id), *prefix = "";
    size_t skipped = strlen(f->renaming->old);
    if (strncmp(pattern, f->renaming->old, skipped) == 0) {
        prefix = f->renaming->new;
        pattern += skipped;
    }
    const char *slot = strstr(pattern, "%d");
    if (slot)
        snprintf(name, LIMIT_TENSOR_NAME, "%s%.*s%d%s", prefix, (int)(slot - pattern), pattern,
                 layer, slot + 2);
    else
        snprintf(name, LIMIT_TENSOR_NAME, "%s%s", prefix, pattern);
}

static const struct tensor_view *look_up(const struct finder *f, const char *name)
{
    return f->source->gguf ? gguf_tensor(f->source->gguf, name)
                           : safetensors_tensor(f->source->safetensors, name);
}

/* Under the first name when no renaming finds the embedding, so that the message shows it. */
static void find_renaming(struct finder *f)
{
    char name[LIMIT_TENSOR_NAME];
    for (size_t i = 0; i < RENAMING_COUNT; i++) {
        f->renaming = &renamings[i];
        write_name(f, W_EMBEDDING, 0, name);
        if (look_up(f, name)) return;
    }
    f->renaming = &renamings[0];
}

/* ---- finding ---- */

static status_code missing(const struct finder *f, const char *name)
{
    const char *reason =
        f->source->safetensors ? safetensors_unreadable(f->source->safetensors, name) : NULL;
    if (reason)
        return status_set(f->st, STATUS_UNSUPPORTED, "tensor \"%s\" has %s, which cannot be read",
                          name, reason);
    return status_set(f->st, STATUS_BAD_INPUT, "tensor \"%s\" is missing", name);
}

static status_code read_matrix(struct finder *f, const struct tensor_view *view, int rows, int cols,
                               struct linear *out)
{
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

static status_code read_vector(struct finder *f, const struct tensor_view *view, int size,
                               bool is_norm, const float **out)
{
    size_t n = (size_t)size;
    const struct tensor_type_info *type = tensor_type_find(view->type);
    if (view->n_dims != 1 || view->shape[0] != n)
        return status_set(f->st, STATUS_BAD_INPUT,
                          "tensor \"%s\" should be a vector of %zu numbers", view->name, n);
    if (!type || n % type->block_values != 0)
        return status_set(f->st, STATUS_UNSUPPORTED, "tensor \"%s\" has type %s, expected F32",
                          view->name, tensor_type_any_name(view->type));
    float *vector = arena_array(f->arena, n, sizeof *vector);
    if (!vector) return status_no_memory(f->st, view->name);
    type->to_f32(vector, view->data, n);
    if (is_norm && f->source->safetensors && f->config->architecture->safetensors_norm_is_offset)
        for (size_t i = 0; i < n; i++) vector[i] += 1.0f;
    f->n_parameters += n;
    *out = vector;
    return STATUS_OK;
}

/* `into` is the model_weights or the layer_weights that the table's offsets count from. */
static status_code find(struct finder *f, enum weight_id id, int layer, void *into)
{
    const struct weight_spec *spec = &specs[id];
    char name[LIMIT_TENSOR_NAME];
    if (!pattern_of(f, id)) return STATUS_OK;
    write_name(f, id, layer, name);
    const struct tensor_view *view = look_up(f, name);
    if (!view && f->config->architecture->weights[id].optional) return STATUS_OK;
    if (!view) return missing(f, name);
    int rows = resolve(f->config, spec->rows), cols = resolve(f->config, spec->cols);
    void *place = (char *)into + spec->offset;
    if (spec->cols == SIZE_NONE) return read_vector(f, view, rows, spec->is_norm, place);
    return read_matrix(f, view, rows, cols, place);
}

static struct linear rows_of(const struct linear *whole, int first, int n)
{
    struct linear part = *whole;
    part.data += (size_t)first * whole->row_bytes;
    part.rows = n;
    if (part.bias) part.bias += first;
    return part;
}

/* Q, K and V out of one matrix. */
static status_code find_fused(struct finder *f, int layer, struct layer_weights *w, bool *found)
{
    struct linear whole;
    char name[LIMIT_TENSOR_NAME];
    const struct tensor_view *matrix = NULL, *bias = NULL;
    int q_dim = resolve(f->config, SIZE_QUERY), kv_dim = resolve(f->config, SIZE_KEY);
    if (pattern_of(f, W_QKV)) {
        write_name(f, W_QKV, layer, name);
        matrix = look_up(f, name);
        write_name(f, W_QKV_BIAS, layer, name);
        bias = look_up(f, name);
    }
    *found = matrix != NULL;
    if (!matrix) return STATUS_OK;
    if (!bias) return missing(f, name);
    status_code code = read_matrix(f, matrix, q_dim + 2 * kv_dim, f->config->d_model, &whole);
    if (code == STATUS_OK) code = read_vector(f, bias, q_dim + 2 * kv_dim, false, &whole.bias);
    if (code != STATUS_OK) return code;
    w->q = rows_of(&whole, 0, q_dim);
    w->k = rows_of(&whole, q_dim, kv_dim);
    w->v = rows_of(&whole, q_dim + kv_dim, kv_dim);
    return STATUS_OK;
}

static status_code find_layer(struct finder *f, int layer, struct layer_weights *w)
{
    bool fused;
    status_code code = find_fused(f, layer, w, &fused);
    for (int id = W_FIRST_LAYER_WEIGHT; id < WEIGHT_COUNT && code == STATUS_OK; id++) {
        bool part_of_fused = id >= W_Q && id <= W_QKV_BIAS;
        if (!part_of_fused || (!fused && id < W_QKV)) code = find(f, (enum weight_id)id, layer, w);
    }
    return code;
}

/* ---- weights that nothing would read ---- */

/* Is `name` the pattern with some number in the place of "%d"? */
static bool matches(const char *name, const char *pattern)
{
    const char *slot = strstr(pattern, "%d");
    if (!slot) return strcmp(name, pattern) == 0;
    size_t before = (size_t)(slot - pattern);
    if (strncmp(name, pattern, before) != 0) return false;
    size_t digits = strspn(name + before, "0123456789");
    return digits > 0 && strcmp(name + before + digits, slot + 2) == 0;
}

static bool is_declared(const struct finder *f, const char *name)
{
    for (int id = 0; id < WEIGHT_COUNT; id++) {
        const char *pattern = pattern_of(f, (enum weight_id)id);
        if (pattern && matches(name, pattern)) return true;
    }
    return false;
}

static bool ends_with(const char *name, const char *suffix)
{
    size_t n = strlen(name), m = strlen(suffix);
    return n >= m && strcmp(name + n - m, suffix) == 0;
}

/* Hugging Face's checkpoints also hold what no forward pass reads: vision towers, buffers of rotary
 * frequencies.  A weight or bias inside the layers is not of that kind. */
static bool is_layer_weight(const struct finder *f, const char *name)
{
    const char *pattern = pattern_of(f, W_Q);
    size_t before = (size_t)(strstr(pattern, "%d") - pattern);
    return strncmp(name, pattern, before) == 0 &&
           (ends_with(name, ".weight") || ends_with(name, ".bias"));
}

static status_code check_leftovers(const struct finder *f)
{
    const struct tensor_source *s = f->source;
    size_t n = s->gguf ? gguf_tensor_count(s->gguf) : safetensors_tensor_count(s->safetensors);
    size_t skipped = strlen(f->renaming->new);
    for (size_t i = 0; i < n; i++) {
        const char *full = s->gguf ? gguf_tensor_at(s->gguf, i)->name
                                   : safetensors_tensor_at(s->safetensors, i)->name;
        char name[LIMIT_TENSOR_NAME + 8];
        bool renamed = skipped && strncmp(full, f->renaming->new, skipped) == 0;
        snprintf(name, sizeof name, "%s%s", renamed ? f->renaming->old : "",
                 full + (renamed ? skipped : 0));
        if ((s->gguf || is_layer_weight(f, name)) && !is_declared(f, name))
            return status_set(f->st, STATUS_UNSUPPORTED,
                              "tensor \"%s\" is no part of architecture %s as it runs here", full,
                              f->config->architecture->name);
    }
    return STATUS_OK;
}

/* Frequencies are divided by them. */
static status_code check_rope_factors(const struct finder *f, const struct model_weights *w)
{
    for (int i = 0; w->rope_factors && i < f->config->rope_dim / 2; i++)
        if (!(w->rope_factors[i] > 0) || !isfinite(w->rope_factors[i]))
            return status_set(f->st, STATUS_BAD_INPUT,
                              "tensor \"%s\" holds %g, expected positive numbers",
                              pattern_of(f, W_ROPE_FACTORS), (double)w->rope_factors[i]);
    return STATUS_OK;
}

status_code model_weights_find(struct model_weights *out, const struct model_config *config,
                               const struct tensor_source *source, struct arena *arena,
                               struct status *st)
{
    struct finder f = {.config = config, .source = source, .arena = arena, .st = st};
    struct model_weights w = {0};
    status_code code = STATUS_OK;
    w.layer = arena_array(arena, (size_t)config->n_layers, sizeof *w.layer);
    if (!w.layer) return status_no_memory(st, "the weights");
    find_renaming(&f);
    for (int id = 0; id < W_FIRST_LAYER_WEIGHT && code == STATUS_OK; id++)
        if (id != W_OUTPUT || !config->tied_output) code = find(&f, (enum weight_id)id, 0, &w);
    for (int i = 0; i < config->n_layers && code == STATUS_OK; i++)
        code = find_layer(&f, i, &w.layer[i]);
    if (code == STATUS_OK) code = check_leftovers(&f);
    if (code == STATUS_OK) code = check_rope_factors(&f, &w);
    if (code != STATUS_OK) return code;
    if (config->tied_output) {
        const float *bias = w.output.bias;
        w.output = w.embedding;
        w.output.bias = bias;
    }
    w.n_parameters = f.n_parameters;
    *out = w;
    return STATUS_OK;
}

const struct tensor_view *model_weights_tensor(const struct model_config *config,
                                               const struct tensor_source *source,
                                               enum weight_id id, int layer)
{
    struct finder f = {.config = config, .source = source};
    char name[LIMIT_TENSOR_NAME];
    if (!pattern_of(&f, id)) return NULL;
    find_renaming(&f);
    write_name(&f, id, layer, name);
    return look_up(&f, name);
}

/* The layer in a name that matches a pattern. */
static int layer_in(const char *name, const char *pattern)
{
    const char *slot = strstr(pattern, "%d");
    return slot ? (int)strtol(name + (slot - pattern), NULL, 10) : 0;
}

bool model_weights_identify(const struct model_config *config, bool gguf_names, const char *name,
                            enum weight_id *out, int *layer)
{
    for (size_t r = 0; r < RENAMING_COUNT; r++) {
        char plain[LIMIT_TENSOR_NAME + 8];
        const struct renaming *renaming = &renamings[r];
        size_t skipped = strlen(renaming->new);
        if (strncmp(name, renaming->new, skipped) != 0) continue;
        snprintf(plain, sizeof plain, "%s%s", renaming->old, name + skipped);
        for (int id = 0; id < WEIGHT_COUNT; id++) {
            const struct weight_names *names = &config->architecture->weights[id];
            const char *pattern = gguf_names ? names->gguf : names->safetensors;
            if (!pattern || !matches(plain, pattern)) continue;
            *out = (enum weight_id)id;
            *layer = layer_in(plain, pattern);
            return *layer < config->n_layers;
        }
    }
    return false;
}

struct linear *model_weights_linear(struct model_weights *w, enum weight_id id, int layer)
{
    if (specs[id].cols == SIZE_NONE) return NULL;
    void *into = id < W_FIRST_LAYER_WEIGHT ? (void *)w : (void *)&w->layer[layer];
    return (struct linear *)(void *)((char *)into + specs[id].offset);
}

bool model_weights_is_offset(const struct model_config *config, enum weight_id id)
{
    return specs[id].is_norm && config->architecture->safetensors_norm_is_offset;
}
