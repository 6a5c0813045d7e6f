#include "engine/engine_internal.h"

#include <math.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "engine/base/json.h"
#include "engine/base/limits.h"
#include "engine/gguf/gguf.h"
#include "engine/model/model_path.h"
#include "engine/model/packed_weights.h"
#include "engine/safetensors/safetensors.h"

#define MAX_THREADS 1024

struct engine {
    struct engine_info info;
    struct model model;
    struct tensor_source source;
    struct gguf *gguf; /* one of these two is open */
    struct safetensors *safetensors;
    struct tokenizer *tokenizer;
    const char **labels; /* [n_labels] of an encoder */
    struct packed_weights packed;
    struct strbuf path;
    struct arena arena;
    /* Of an engine that engine_adapt() made: the files above belong to its base. */
    const struct engine *base;
    struct engine *own_base; /* the same, where it is nobody else's */
    struct adapter *adapter;
};

bool compute_type_find(const char *name, enum compute_type *out)
{
    bool automatic = !name || strcmp(name, "auto") == 0;
    *out = automatic ? COMPUTE_AUTO : COMPUTE_F32;
    return automatic || strcmp(name, "f32") == 0;
}

/* ---- opening ---- */

/* llama.cpp calls the vocabulary of a model that has none "no_vocab" or "none". */
static bool has_vocabulary(const struct gguf *file)
{
    struct text model;
    struct status ignored = {0};
    if (!gguf_has(file, "tokenizer.ggml.model")) return false;
    if (gguf_get_text(file, "tokenizer.ggml.model", &model, &ignored) != STATUS_OK) return true;
    return !text_equal(model, text_of("no_vocab")) && !text_equal(model, text_of("none"));
}

static status_code open_gguf(struct engine *e, struct status *st)
{
    status_code code = gguf_open(&e->gguf, e->path.data, st);
    if (code == STATUS_OK) code = gguf_check_whole(e->gguf, st);
    if (code != STATUS_OK) return code;
    e->source.gguf = e->gguf;
    e->info.format = "gguf";
    code = model_config_from_gguf(&e->model.config, e->gguf, st);
    if (code == STATUS_OK && has_vocabulary(e->gguf))
        code = tokenizer_load_gguf(&e->tokenizer, e->gguf, st);
    return code;
}

/* "id2label" maps "0", "1", ... to names. */
static status_code read_labels(struct engine *e, const struct json_value *config, struct status *st)
{
    int n = e->model.config.n_labels;
    const struct json_value *names =
        json_has(config, "id2label") ? json_member(config, "id2label") : NULL;
    e->labels = arena_array(&e->arena, (size_t)n, sizeof *e->labels);
    if (!e->labels) return status_no_memory(st, "the labels");
    for (int i = 0; i < n; i++) {
        char id[32];
        struct text name;
        snprintf(id, sizeof id, "%d", i);
        if (names) {
            status_code code = json_get_text(names, id, &name, st);
            if (code != STATUS_OK) return status_prefix(st, "field \"id2label\"");
            e->labels[i] = arena_strndup(&e->arena, name.data, name.length);
        } else {
            snprintf(id, sizeof id, "LABEL_%d", i);
            e->labels[i] = arena_strdup(&e->arena, id);
        }
        if (!e->labels[i]) return status_no_memory(st, "the labels");
    }
    return STATUS_OK;
}

static status_code read_config(struct engine *e, struct status *st)
{
    char path[4096];
    struct json_value *config;
    int n = snprintf(path, sizeof path, "%s/config.json", e->path.data);
    if (n < 0 || (size_t)n >= sizeof path)
        return status_set(st, STATUS_LIMIT, "%s: the path is too long", e->path.data);
    status_code code = json_parse_file(&config, path, LIMIT_CONFIG_BYTES, st);
    if (code == STATUS_NOT_FOUND)
        return status_set(
            st, code,
            "%s: is no model: it has no config.json (a GGUF file is named itself, not "
            "its folder)",
            e->path.data);
    if (code != STATUS_OK) return code;
    code = model_config_from_json(&e->model.config, config, st);
    if (code == STATUS_OK) code = read_labels(e, config, st);
    if (code != STATUS_OK) status_prefix(st, "%s", path);
    json_free(config);
    return code;
}

static status_code open_directory(struct engine *e, struct status *st)
{
    status_code code = read_config(e, st);
    if (code == STATUS_OK) code = safetensors_open(&e->safetensors, e->path.data, st);
    if (code != STATUS_OK) return code;
    e->source.safetensors = e->safetensors;
    e->info.format = "safetensors";
    struct status own = {0};
    code = tokenizer_load(&e->tokenizer, e->path.data, &own);
    if (code == STATUS_OK || code == STATUS_NOT_FOUND) return STATUS_OK; /* ids can be evaluated */
    *st = own;
    return code;
}

static status_code open_files(struct engine *e, const char *name, struct status *st)
{
    struct stat info;
    status_code code = model_path_resolve(&e->path, name, st);
    if (code != STATUS_OK) return code;
    if (stat(e->path.data, &info) != 0)
        return status_set(st, STATUS_NOT_FOUND, "%s: cannot be read", e->path.data);
    code = S_ISDIR(info.st_mode) ? open_directory(e, st) : open_gguf(e, st);
    if (code != STATUS_OK && adapter_is_at(e->path.data))
        return status_set(st, STATUS_UNSUPPORTED,
                          "%s: is an adapter: name its base with --model and it with --adapter",
                          e->path.data);
    return code;
}

/* ---- what was opened ---- */

/* The type that holds most of the weights names the model's quantisation. */
static const char *main_type(const struct model *m)
{
    return m->weights.layer[0].up.type->name;
}

/* What one token costs: the figures that a speed is held against. */
static void count_matrices(const struct model *m, struct engine_info *info)
{
    for (int i = 0; i < m->config.n_layers; i++) {
        const struct layer_weights *w = &m->weights.layer[i];
        const struct linear *const matrices[] = {&w->q,    &w->k,  &w->v,   &w->o,
                                                 &w->gate, &w->up, &w->down};
        for (size_t k = 0; k < sizeof matrices / sizeof matrices[0]; k++) {
            info->layer_parameters += (uint64_t)matrices[k]->rows * (uint64_t)matrices[k]->cols;
            info->matrix_bytes += (uint64_t)matrices[k]->rows * matrices[k]->row_bytes;
        }
    }
    info->matrix_bytes += (uint64_t)m->weights.output.rows * m->weights.output.row_bytes;
}

static void fill_info(struct engine *e, int n_threads)
{
    const struct model_config *c = &e->model.config;
    e->info.path = e->path.data;
    e->info.architecture = c->architecture->name;
    e->info.quantisation = main_type(&e->model);
    e->info.kernels = e->model.kernels->name;
    e->info.compute = packed_weights_compute(&e->model);
    e->info.n_threads = n_threads;
    e->info.n_parameters = e->model.weights.n_parameters;
    count_matrices(&e->model, &e->info);
    e->info.n_layers = c->n_layers;
    e->info.d_model = c->d_model;
    e->info.n_vocab = c->n_vocab;
    e->info.n_context = c->n_context;
    e->info.embedding_scale = c->embedding_scale;
    e->info.is_encoder = c->architecture->is_encoder;
    e->info.n_labels = c->n_labels;
    e->info.is_multilabel = c->is_multilabel;
}

static void round_embedding_scale(struct model *m)
{
    float scale = m->config.embedding_scale;
    if (m->weights.embedding.type->type == TENSOR_BF16)
        scale = bfloat16_to_float(float_to_bfloat16(scale));
    else if (m->weights.embedding.type->type == TENSOR_F16)
        scale = half_to_float(float_to_half(scale));
    m->config.embedding_scale = scale;
}

/* A vocabulary larger than the embedding would index past its end.  No text becomes a control
 * piece, such as a padding token that was added and never trained: those may lie behind it. */
static status_code check_vocabulary(const struct engine *e, struct status *st)
{
    int pieces = e->tokenizer ? tokenizer_get_info(e->tokenizer)->n_vocab : 0;
    int id = e->model.config.n_vocab;
    while (id < pieces && tokenizer_is_control(e->tokenizer, id)) id++;
    if (id >= pieces) return STATUS_OK;
    return status_set(st, STATUS_BAD_INPUT,
                      "%s: the tokenizer has %d pieces, the embedding only %d rows", e->path.data,
                      pieces, e->model.config.n_vocab);
}

static status_code load(struct engine *e, const struct engine_options *options, struct status *st)
{
    status_code code = kernel_set_select(&e->model.kernels, options->kernels, st);
    if (code == STATUS_OK) code = open_files(e, options->model_path, st);
    if (code != STATUS_OK) return code;
    code = model_weights_find(&e->model.weights, &e->model.config, &e->source, &e->arena, st);
    if (code != STATUS_OK) return status_prefix(st, "%s", e->path.data);
    if (options->round_embedding_scale) round_embedding_scale(&e->model);
    int n_threads = options->n_threads > 0 ? options->n_threads : omp_get_num_procs();
    if (n_threads > MAX_THREADS) n_threads = MAX_THREADS;
    if ((code = check_vocabulary(e, st)) != STATUS_OK) return code;
    if (options->compute == COMPUTE_AUTO)
        code = packed_weights_init(&e->packed, &e->model, &e->arena, n_threads, st);
    if (code == STATUS_OK) fill_info(e, n_threads);
    return code;
}

static status_code open_base(struct engine **out, const struct engine_options *options,
                             struct status *st)
{
    struct engine *e = calloc(1, sizeof *e);
    if (!e) return status_no_memory(st, "the engine");
    strbuf_init(&e->path, 4096);
    arena_init(&e->arena, SIZE_MAX);
    status_code code = load(e, options, st);
    if (code != STATUS_OK) {
        engine_free(e);
        return code;
    }
    *out = e;
    return STATUS_OK;
}

status_code engine_adapt(struct engine **out, const struct engine *base, const char *adapter_path,
                         struct status *st)
{
    if (base->adapter)
        return status_set(st, STATUS_USAGE, "%s: has an adapter; a model takes one at a time",
                          base->info.path);
    struct engine *e = malloc(sizeof *e);
    if (!e) return status_no_memory(st, "the engine");
    *e = *base;
    e->base = base;
    arena_init(&e->arena, SIZE_MAX);
    status_code code = adapter_open(&e->adapter, adapter_path, st);
    if (code == STATUS_OK)
        code = adapter_attach(e->adapter, &base->model, &e->arena, &e->model, st);
    if (code != STATUS_OK) {
        engine_free(e);
        return code;
    }
    e->info.adapter = adapter_get_info(e->adapter);
    *out = e;
    return STATUS_OK;
}

status_code engine_open(struct engine **out, const struct engine_options *options,
                        struct status *st)
{
    struct engine *base = NULL, *adapted;
    status_code code = open_base(&base, options, st);
    if (code != STATUS_OK || !options->adapter_path) {
        *out = base;
        return code;
    }
    code = engine_adapt(&adapted, base, options->adapter_path, st);
    if (code != STATUS_OK) {
        engine_free(base);
        return code;
    }
    adapted->own_base = base;
    *out = adapted;
    return STATUS_OK;
}

static void free_adapted(struct engine *e)
{
    adapter_free(e->adapter);
    arena_release(&e->arena);
    engine_free(e->own_base);
    free(e);
}

void engine_free(struct engine *e)
{
    if (!e) return;
    if (e->base) {
        free_adapted(e);
        return;
    }
    tokenizer_free(e->tokenizer);
    gguf_free(e->gguf);
    safetensors_free(e->safetensors);
    packed_weights_release(&e->packed);
    strbuf_release(&e->path);
    arena_release(&e->arena);
    free(e);
}

const struct engine_info *engine_get_info(const struct engine *e)
{
    return &e->info;
}

const struct tokenizer *engine_get_tokenizer(const struct engine *e)
{
    return e->tokenizer;
}

const void *engine_packed_weights(const struct engine *e, size_t *bytes)
{
    *bytes = e->packed.bytes;
    return e->packed.memory;
}

const char *engine_label(const struct engine *e, int i)
{
    return e->labels[i];
}

status_code engine_check_files(const struct engine *e, struct status *st)
{
    if (e->gguf) return gguf_check(e->gguf, st);
    return e->safetensors ? safetensors_check(e->safetensors, st) : STATUS_OK;
}

status_code engine_weights_sha256(const struct engine *e, char hex[SHA256_HEX_SIZE],
                                  struct status *st)
{
    if (e->gguf) return sha256_file(e->path.data, hex, st);
    size_t n = safetensors_file_count(e->safetensors);
    if (n == 1) return sha256_file(safetensors_file_path(e->safetensors, 0), hex, st);
    struct strbuf lines;
    strbuf_init(&lines, LIMIT_SHARDS * 4096);
    status_code code = STATUS_OK;
    for (size_t i = 0; i < n && code == STATUS_OK; i++) {
        const char *path = safetensors_file_path(e->safetensors, i);
        const char *slash = strrchr(path, '/');
        code = sha256_file(path, hex, st);
        strbuf_appendf(&lines, "%s  %s\n", hex, slash ? slash + 1 : path);
    }
    if (code == STATUS_OK) code = strbuf_check(&lines, "the list of shards", st);
    if (code == STATUS_OK) sha256_text((struct text){lines.data, lines.length}, hex);
    strbuf_release(&lines);
    return code;
}

status_code engine_adapter_sha256(const struct engine *e, char hex[SHA256_HEX_SIZE],
                                  struct status *st)
{
    return adapter_sha256(e->adapter, hex, st);
}

/* ---- for what computes with it ---- */

const struct model *engine_model(const struct engine *e)
{
    return &e->model;
}

status_code engine_context(const struct engine *e, int n_context, int *out, struct status *st)
{
    int trained = e->info.n_context;
    if (n_context > LIMIT_CONTEXT)
        return status_set(st, STATUS_LIMIT, "a context of %d is over the limit of %d", n_context,
                          LIMIT_CONTEXT);
    if (e->info.is_encoder && n_context > trained)
        return status_set(st, STATUS_LIMIT, "a context of %d is over the encoder's %d positions",
                          n_context, trained);
    *out = n_context > 0 ? n_context : trained;
    return STATUS_OK;
}

status_code engine_check_tokens(const struct engine *e, const int32_t *tokens, int n, int n_context,
                                struct status *st)
{
    if (n > n_context)
        return status_set(st, STATUS_LIMIT, "%d tokens do not fit a context of %d", n, n_context);
    for (int i = 0; i < n; i++)
        if (tokens[i] < 0 || tokens[i] >= e->info.n_vocab)
            return status_set(st, STATUS_BAD_INPUT,
                              "token %d is id %d, outside the vocabulary of %d", i, (int)tokens[i],
                              e->info.n_vocab);
    return STATUS_OK;
}
