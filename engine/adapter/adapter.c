#include "engine/adapter/adapter.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "engine/adapter/adapter_files.h"
#include "engine/base/limits.h"
#include "engine/base/strbuf.h"
#include "engine/model/low_rank.h"
#include "engine/model/model.h"
#include "engine/model/model_path.h"

#define ADAPTER_ARENA_BYTES ((size_t)1 << 30)
#define MAX_PATH_BYTES      4096
/* Two halves of each matrix of the most layers, and of the output. */
#define MAX_TENSORS         (2 * (8 * LIMIT_LAYERS + 1))

/* ---- opening ---- */

int adapter_pair_rank(const struct adapter_pair *pair)
{
    return (int)pair->a->shape[0];
}

static bool is_named(const struct adapter_pair *pair, const char *module, size_t length)
{
    return strlen(pair->module) == length && memcmp(pair->module, module, length) == 0;
}

status_code adapter_add_half(struct adapter *adapter, const char *module, size_t length,
                             const struct tensor_view *view, bool is_a, struct status *st)
{
    /* From the end: files keep the two halves together. */
    struct adapter_pair *end = adapter->pairs + adapter->info.n_pairs, *pair = end;
    while (pair > adapter->pairs)
        if (is_named(--pair, module, length)) {
            *(is_a ? &pair->a : &pair->b) = view;
            return STATUS_OK;
        }
    *end = (struct adapter_pair){.module = arena_strndup(&adapter->arena, module, length)};
    if (!end->module) return status_no_memory(st, "the adapter");
    *(is_a ? &end->a : &end->b) = view;
    adapter->info.n_pairs++;
    return STATUS_OK;
}

status_code adapter_reserve(struct adapter *adapter, size_t n_tensors, struct status *st)
{
    if (n_tensors > MAX_TENSORS)
        return status_set(st, STATUS_LIMIT, "%s: %zu tensors, more than the %d of an adapter",
                          adapter->info.path, n_tensors, MAX_TENSORS);
    adapter->pairs = arena_array(&adapter->arena, n_tensors + 1, sizeof *adapter->pairs);
    return adapter->pairs ? STATUS_OK : status_no_memory(st, adapter->info.path);
}

static status_code check_pair(const struct adapter_pair *pair, struct status *st)
{
    const struct tensor_view *a = pair->a, *b = pair->b;
    if (!a || !b)
        return status_set(st, STATUS_BAD_INPUT, "\"%s\" has only half %s of its LoRA pair",
                          pair->module, a ? "A" : "B");
    if (a->n_dims != 2 || b->n_dims != 2)
        return status_set(st, STATUS_BAD_INPUT, "tensor \"%s\" has %d dimensions, expected 2",
                          a->n_dims != 2 ? a->name : b->name,
                          a->n_dims != 2 ? a->n_dims : b->n_dims);
    if (a->shape[0] != b->shape[1] || a->shape[0] < 1)
        return status_set(st, STATUS_BAD_INPUT,
                          "tensors \"%s\" (%" PRIu64 ", %" PRIu64 ") and \"%s\" (%" PRIu64
                          ", %" PRIu64 ") do not have one rank",
                          a->name, a->shape[0], a->shape[1], b->name, b->shape[0], b->shape[1]);
    if (a->shape[0] > LIMIT_ADAPTER_RANK)
        return status_set(st, STATUS_LIMIT,
                          "tensor \"%s\" has rank %" PRIu64 ", over the limit of %d", a->name,
                          a->shape[0], LIMIT_ADAPTER_RANK);
    return STATUS_OK;
}

/* "q_proj" of "model.layers.0.self_attn.q_proj". */
static const char *last_word(const char *module)
{
    const char *dot = strrchr(module, '.');
    return dot ? dot + 1 : module;
}

static int compare_words(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static status_code list_modules(struct adapter *adapter, struct status *st)
{
    size_t n = adapter->info.n_pairs;
    const char **words = arena_array(&adapter->arena, n, sizeof *words);
    if (!words) return status_no_memory(st, "the adapter");
    for (size_t i = 0; i < n; i++) words[i] = last_word(adapter->pairs[i].module);
    qsort(words, n, sizeof *words, compare_words);
    struct strbuf list;
    strbuf_init(&list, LIMIT_CONFIG_BYTES);
    for (size_t i = 0; i < n; i++)
        if (!i || strcmp(words[i], words[i - 1]) != 0)
            strbuf_appendf(&list, "%s%s", i ? ", " : "", words[i]);
    status_code code = strbuf_check(&list, "the adapter's modules", st);
    adapter->info.modules = arena_strdup(&adapter->arena, list.data);
    strbuf_release(&list);
    if (code == STATUS_OK && !adapter->info.modules) return status_no_memory(st, "the adapter");
    return code;
}

static status_code check_pairs(struct adapter *adapter, struct status *st)
{
    struct adapter_info *info = &adapter->info;
    if (!info->n_pairs)
        return status_set(st, STATUS_BAD_INPUT, "there is no pair of LoRA matrices in it");
    for (size_t i = 0; i < info->n_pairs; i++) {
        const struct adapter_pair *pair = &adapter->pairs[i];
        status_code code = check_pair(pair, st);
        if (code != STATUS_OK) return code;
        int rank = adapter_pair_rank(pair);
        if (rank > info->rank) info->rank = rank;
        info->bytes += pair->a->bytes + pair->b->bytes;
        info->n_parameters += pair->a->shape[0] * pair->a->shape[1];
        info->n_parameters += pair->b->shape[0] * pair->b->shape[1];
    }
    return list_modules(adapter, st);
}

static bool is_directory(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

static status_code read_files(struct adapter *adapter, struct status *st)
{
    const char *path = adapter->info.path;
    struct stat info;
    if (stat(path, &info) != 0)
        return status_set(st, STATUS_NOT_FOUND, "%s: %s", path, strerror(errno));
    bool is_peft = S_ISDIR(info.st_mode);
    adapter->info.format = is_peft ? "peft" : "gguf";
    return is_peft ? adapter_read_peft(adapter, st) : adapter_read_gguf(adapter, st);
}

status_code adapter_open(struct adapter **out, const char *name, struct status *st)
{
    struct strbuf path;
    struct adapter *adapter = calloc(1, sizeof *adapter);
    if (!adapter) return status_no_memory(st, "the adapter");
    arena_init(&adapter->arena, ADAPTER_ARENA_BYTES);
    strbuf_init(&path, MAX_PATH_BYTES);
    status_code code = model_path_resolve(&path, name, st);
    if (code == STATUS_OK) {
        adapter->info.path = arena_strdup(&adapter->arena, path.data);
        if (!adapter->info.path) code = status_no_memory(st, "the adapter");
    }
    strbuf_release(&path);
    if (code == STATUS_OK) code = read_files(adapter, st);
    if (code == STATUS_OK && (code = check_pairs(adapter, st)) != STATUS_OK)
        status_prefix(st, "%s", adapter->info.path);
    if (code != STATUS_OK) {
        adapter_free(adapter);
        return code;
    }
    *out = adapter;
    return STATUS_OK;
}

void adapter_free(struct adapter *adapter)
{
    if (!adapter) return;
    gguf_free(adapter->gguf);
    safetensors_free(adapter->safetensors);
    arena_release(&adapter->arena);
    free(adapter);
}

const struct adapter_info *adapter_get_info(const struct adapter *adapter)
{
    return &adapter->info;
}

bool adapter_is_at(const char *path)
{
    char config[MAX_PATH_BYTES];
    struct gguf *file;
    struct text type;
    struct stat info;
    struct status ignored = {0};
    if (is_directory(path)) {
        int n = snprintf(config, sizeof config, "%s/adapter_config.json", path);
        return n > 0 && (size_t)n < sizeof config && stat(config, &info) == 0;
    }
    if (gguf_open_to_describe(&file, path, &ignored) != STATUS_OK) return false;
    bool is = gguf_has(file, "general.type") &&
              gguf_get_text(file, "general.type", &type, &ignored) == STATUS_OK &&
              text_equal(type, text_of("adapter"));
    gguf_free(file);
    return is;
}

status_code adapter_sha256(const struct adapter *adapter, char hex[SHA256_HEX_SIZE],
                           struct status *st)
{
    static const char *const files[] = {"adapter_config.json", "adapter_model.safetensors"};
    const char *path = adapter->info.path;
    struct strbuf lines;
    status_code code = STATUS_OK;
    if (adapter->gguf) return sha256_file(path, hex, st);
    strbuf_init(&lines, MAX_PATH_BYTES);
    for (size_t i = 0; i < 2 && code == STATUS_OK; i++) {
        char name[MAX_PATH_BYTES];
        snprintf(name, sizeof name, "%s/%s", path, files[i]);
        code = sha256_file(name, hex, st);
        strbuf_appendf(&lines, "%s  %s\n", hex, files[i]);
    }
    if (code == STATUS_OK) code = strbuf_check(&lines, "the list of files", st);
    if (code == STATUS_OK) sha256_text((struct text){lines.data, lines.length}, hex);
    strbuf_release(&lines);
    return code;
}

/* ---- attaching ---- */

struct attachment {
    const struct adapter *adapter;
    struct model *model; /* the copy that gets the adapter */
    struct arena *arena;
    struct status *st;
};

static float *read_matrix(struct attachment *at, const struct tensor_view *view)
{
    const struct tensor_type_info *type = tensor_type_find(view->type);
    size_t n = (size_t)view->shape[0] * (size_t)view->shape[1];
    float *values = arena_array(at->arena, n, sizeof *values);
    if (!values) {
        status_no_memory(at->st, view->name);
        return NULL;
    }
    type->to_f32(values, view->data, n);
    for (size_t i = 0; i < n; i++)
        if (!isfinite(values[i])) {
            status_set(at->st, STATUS_BAD_INPUT, "tensor \"%s\" holds a number that is not finite",
                       view->name);
            return NULL;
        }
    return values;
}

/* The rows of b in the base's order of rotated dimensions. */
static float *reorder_rows(struct attachment *at, const float *b, size_t rows, size_t rank)
{
    const struct model_config *c = &at->model->config;
    size_t head_dim = (size_t)c->head_dim;
    float *ordered = arena_array(at->arena, rows * rank, sizeof *ordered);
    if (!ordered) {
        status_no_memory(at->st, "the adapter");
        return NULL;
    }
    for (size_t r = 0; r < rows; r++) {
        size_t from = c->rope_pairing == ROPE_NEIGHBOURS ? rope_row_in_halves(head_dim, r)
                                                         : rope_row_in_neighbours(head_dim, r);
        memcpy(ordered + r * rank, b + from * rank, rank * sizeof *b);
    }
    return ordered;
}

/* Gives one matrix of the base its pair; `b` are the rows that belong to it.  The base's Q may be
 * multiplied by what the adapter was not. */
static status_code put_pair(struct attachment *at, const struct adapter_pair *pair,
                            struct linear *w, const float *a, const float *b, enum weight_id part)
{
    bool is_rotated = part == W_Q || part == W_K;
    float scale = part == W_Q ? pair->scale * at->model->config.query_scale : pair->scale;
    size_t rank = (size_t)adapter_pair_rank(pair);
    if (w->low_rank)
        return status_set(at->st, STATUS_BAD_INPUT, "\"%s\" is a matrix that another pair adapts",
                          pair->module);
    if (is_rotated && at->adapter->pairing != at->model->config.rope_pairing &&
        !(b = reorder_rows(at, b, (size_t)w->rows, rank)))
        return at->st->code;
    struct low_rank *low_rank = arena_alloc(at->arena, sizeof *low_rank);
    if (!low_rank) return status_no_memory(at->st, "the adapter");
    *low_rank = (struct low_rank){.a = a, .b = b, .rank = (int)rank, .scale = scale};
    w->low_rank = low_rank;
    return STATUS_OK;
}

static status_code check_shapes(struct attachment *at, const struct adapter_pair *pair, int rows,
                                int cols)
{
    bool a_fits = pair->a->shape[1] == (uint64_t)cols;
    const struct tensor_view *wrong = a_fits ? pair->b : pair->a;
    if (a_fits && pair->b->shape[0] == (uint64_t)rows) return STATUS_OK;
    return status_set(at->st, STATUS_BAD_INPUT,
                      "tensor \"%s\" is (%" PRIu64 ", %" PRIu64 ") and the base's matrix (%d, %d): "
                      "it was made for another base",
                      wrong->name, wrong->shape[0], wrong->shape[1], rows, cols);
}

/* The matrices of the base that one pair adapts: one, or the three of a fused Q, K and V. */
static int targets_of(struct attachment *at, enum weight_id id, int layer, struct linear *out[3])
{
    struct layer_weights *w = &at->model->weights.layer[layer];
    if (id == W_QKV) {
        out[0] = &w->q;
        out[1] = &w->k;
        out[2] = &w->v;
        return 3;
    }
    out[0] = model_weights_linear(&at->model->weights, id, layer);
    return out[0] && out[0]->rows && (id == W_OUTPUT || id >= W_FIRST_LAYER_WEIGHT) ? 1 : 0;
}

static status_code attach_pair(struct attachment *at, const struct adapter_pair *pair)
{
    char name[LIMIT_TENSOR_NAME + 8];
    enum weight_id id = WEIGHT_COUNT;
    int layer = 0, n = 0, rows = 0;
    struct linear *targets[3];
    static const enum weight_id fused[] = {W_Q, W_K, W_V};
    snprintf(name, sizeof name, "%s.weight", pair->module);
    if (model_weights_identify(&at->model->config, at->adapter->gguf_names, name, &id, &layer))
        n = targets_of(at, id, layer, targets);
    if (!n)
        return status_set(at->st, STATUS_BAD_INPUT,
                          "\"%s\" is no matrix of this %s model of %d layers that can be adapted",
                          pair->module, at->model->config.architecture->name,
                          at->model->config.n_layers);
    for (int i = 0; i < n; i++) rows += targets[i]->rows;
    status_code code = check_shapes(at, pair, rows, targets[0]->cols);
    if (code != STATUS_OK) return code;
    const float *a = read_matrix(at, pair->a);
    const float *b = a ? read_matrix(at, pair->b) : NULL;
    if (!b) return at->st->code;
    for (int i = 0; i < n && code == STATUS_OK; i++) {
        code = put_pair(at, pair, targets[i], a, b, id == W_QKV ? fused[i] : id);
        b += (size_t)targets[i]->rows * (size_t)adapter_pair_rank(pair);
    }
    return code;
}

/* A GGUF adapter says the family that it was made for. */
static status_code check_family(struct attachment *at)
{
    const struct adapter_info *info = &at->adapter->info;
    const char *base = architecture_in_gguf(at->model->config.architecture)->gguf_name;
    if (!info->architecture || (base && strcmp(base, info->architecture) == 0)) return STATUS_OK;
    return status_set(at->st, STATUS_BAD_INPUT,
                      "\"general.architecture\" is \"%s\", the base is %s: it was made for another "
                      "base",
                      info->architecture, at->model->config.architecture->name);
}

/* A copy of the base whose linears can be changed. */
static status_code copy_base(struct attachment *at, const struct model *base)
{
    size_t n = (size_t)base->config.n_layers;
    struct layer_weights *layers = arena_array(at->arena, n, sizeof *layers);
    if (!layers) return status_no_memory(at->st, "the adapter");
    memcpy(layers, base->weights.layer, n * sizeof *layers);
    *at->model = *base;
    at->model->weights.layer = layers;
    at->model->adapter_rank = at->adapter->info.rank;
    return STATUS_OK;
}

status_code adapter_attach(const struct adapter *adapter, const struct model *base,
                           struct arena *arena, struct model *out, struct status *st)
{
    struct model model;
    struct attachment at = {adapter, &model, arena, st};
    status_code code = copy_base(&at, base);
    if (code == STATUS_OK) code = check_family(&at);
    for (size_t i = 0; i < adapter->info.n_pairs && code == STATUS_OK; i++)
        code = attach_pair(&at, &adapter->pairs[i]);
    if (code != STATUS_OK) return status_prefix(st, "%s", adapter->info.path);
    *out = model;
    return STATUS_OK;
}
