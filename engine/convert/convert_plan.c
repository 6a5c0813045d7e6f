#include "engine/convert/convert_plan.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "engine/adapter/adapter.h"
#include "engine/base/json.h"
#include "engine/base/limits.h"
#include "engine/model/model.h"
#include "engine/model/run_state.h"

/* Names and items; a model with the most tensors allowed needs a few hundred bytes for each. */
#define PLAN_ARENA_BYTES ((size_t)1 << 30)
#define MAX_PATH_BYTES   4096

static void plan_init(struct convert_plan *plan)
{
    *plan = (struct convert_plan){.query_scale = 1.0f};
    arena_init(&plan->arena, PLAN_ARENA_BYTES);
    gguf_writer_init(&plan->writer);
}

void plan_release(struct convert_plan *plan)
{
    gguf_free(plan->gguf);
    safetensors_free(plan->safetensors);
    arena_release(&plan->arena);
    gguf_writer_release(&plan->writer);
    *plan = (struct convert_plan){0};
    gguf_writer_init(&plan->writer);
}

bool plan_has_q_norm(const struct convert_plan *plan)
{
    return plan->config.architecture->weights[W_Q_NORM].safetensors != NULL;
}

uint32_t plan_file_type(enum tensor_type type)
{
    switch (type) {
    case TENSOR_F16:
        return 1;
    case TENSOR_Q4_0:
        return 2;
    case TENSOR_Q8_0:
        return 7;
    case TENSOR_Q4_K:
        return 14;
    case TENSOR_Q6_K:
        return 18;
    case TENSOR_BF16:
        return 32;
    default:
        return 0; /* F32 */
    }
}

/* ---- types ---- */

static bool fits(uint64_t columns, enum tensor_type type)
{
    return columns % tensor_type_find(type)->block_values == 0;
}

/* The rules that convert.h states. */
static enum tensor_type choose_type(const struct tensor_view *view, enum tensor_type wanted,
                                    bool is_output)
{
    if (view->n_dims < 2) return TENSOR_F32;
    uint64_t columns = view->shape[view->n_dims - 1];
    if (is_output && (wanted == TENSOR_Q4_0 || wanted == TENSOR_Q4_K)) wanted = TENSOR_Q6_K;
    if (fits(columns, wanted)) return wanted;
    return fits(columns, TENSOR_Q8_0) ? TENSOR_Q8_0 : TENSOR_F16;
}

static void add_item(struct convert_plan *plan, struct convert_item item)
{
    plan->items[plan->n_items++] = item;
    gguf_writer_tensor(&plan->writer, item.name, item.type, item.from->n_dims, item.from->shape);
}

/* ---- an adapter ---- */

/* Into plan->weights, whose model the files of `path` are. */
static status_code attach_adapter(struct convert_plan *plan, const struct convert_options *options,
                                  struct status *st)
{
    struct adapter *adapter = NULL;
    struct model base = {.config = plan->config, .weights = plan->weights}, merged;
    if (!options->adapter) return STATUS_OK;
    status_code code = adapter_open(&adapter, options->adapter, st);
    if (code == STATUS_OK) code = adapter_attach(adapter, &base, &plan->arena, &merged, st);
    if (code == STATUS_OK) {
        plan->weights = merged.weights;
        plan->n_pairs = adapter_get_info(adapter)->n_pairs;
    }
    adapter_free(adapter);
    return code;
}

/* What an adapter adds to a weight; NULL where there is none. */
static const struct low_rank *pair_of(struct convert_plan *plan, enum weight_id id, int layer)
{
    struct linear *w = plan->n_pairs ? model_weights_linear(&plan->weights, id, layer) : NULL;
    return w ? w->low_rank : NULL;
}

/* A tied output head, and Q, K and V in one matrix, are no tensors that a pair could go into. */
static status_code check_merged(const struct convert_plan *plan,
                                const struct convert_options *options, struct status *st)
{
    size_t n = 0;
    for (size_t i = 0; i < plan->n_items; i++) n += plan->items[i].low_rank != NULL;
    if (n == plan->n_pairs) return STATUS_OK;
    return status_set(
        st, STATUS_UNSUPPORTED,
        "%s: adapts %zu matrices that are no tensors of their own in %s, so it cannot "
        "be merged",
        options->adapter, plan->n_pairs - n, options->from);
}

/* ---- from a Hugging Face directory ---- */

static const char *weight_name(struct arena *arena, const char *pattern, int layer)
{
    char name[LIMIT_TENSOR_NAME];
    const char *slot = strstr(pattern, "%d");
    if (!slot) return pattern;
    snprintf(name, sizeof name, "%.*s%d%s", (int)(slot - pattern), pattern, layer, slot + 2);
    return arena_strdup(arena, name);
}

/* Adds a weight where the checkpoint has it; those that it must have were checked before. */
static status_code add_weight(struct convert_plan *plan, enum weight_id id, int layer,
                              const struct convert_options *options, struct status *st)
{
    const struct model_config *c = &plan->config;
    const struct tensor_source source = {.safetensors = plan->safetensors};
    const struct tensor_view *view = model_weights_tensor(c, &source, id, layer);
    if (!view || (id == W_OUTPUT && c->tied_output)) return STATUS_OK;
    const char *pattern = plan->target->weights[id].gguf;
    if (!pattern)
        return status_set(st, STATUS_UNSUPPORTED, "%s: GGUF has no name for tensor \"%s\"",
                          options->from, view->name);
    struct convert_item item = {
        .from = view, .name = weight_name(&plan->arena, pattern, layer), .scale = 1.0f};
    if (!item.name) return status_no_memory(st, options->from);
    bool is_output = id == W_OUTPUT || (id == W_EMBEDDING && c->tied_output);
    item.type = choose_type(view, options->type, is_output);
    item.low_rank = pair_of(plan, id, layer);
    item.add = model_weights_is_offset(c, id) ? 1.0f : 0.0f;
    bool makes_queries = plan_has_q_norm(plan) ? id == W_Q_NORM : id == W_Q || id == W_Q_BIAS;
    if (makes_queries) item.scale = plan->query_scale;
    if (plan->target->gguf_permutes_heads && (id == W_Q || id == W_K))
        item.paired_heads = id == W_Q ? c->n_heads : c->n_kv_heads;
    add_item(plan, item);
    return STATUS_OK;
}

/* Llama 3's scaled frequencies are a tensor in GGUF: what each is divided by. */
static status_code add_rope_factors(struct convert_plan *plan, struct status *st)
{
    const struct model_config *c = &plan->config;
    if (c->rope.scaling != ROPE_LLAMA3) return STATUS_OK;
    const char *name = plan->target->weights[W_ROPE_FACTORS].gguf;
    if (!name)
        return status_set(st, STATUS_UNSUPPORTED, "GGUF cannot hold rope_scaling \"llama3\" of %s",
                          c->architecture->name);
    size_t n = (size_t)c->rope_dim / 2;
    float *factors = arena_array(&plan->arena, n, sizeof *factors);
    struct tensor_view *view = arena_alloc(&plan->arena, sizeof *view);
    if (!factors || !view) return status_no_memory(st, name);
    for (size_t i = 0; i < n; i++) {
        double plain = pow(c->rope.theta, -2.0 * (double)i / c->rope_dim);
        factors[i] = (float)(plain / rope_scaled_frequency(&c->rope, plain));
    }
    *view = (struct tensor_view){.name = name,
                                 .type = TENSOR_F32,
                                 .n_dims = 1,
                                 .shape = {n},
                                 .data = factors,
                                 .bytes = n * sizeof *factors};
    add_item(plan,
             (struct convert_item){.from = view, .name = name, .type = TENSOR_F32, .scale = 1.0f});
    return STATUS_OK;
}

static status_code add_weights(struct convert_plan *plan, const struct convert_options *options,
                               struct status *st)
{
    size_t most = safetensors_tensor_count(plan->safetensors);
    plan->items = arena_array(&plan->arena, most + 1, sizeof *plan->items);
    if (!plan->items) return status_no_memory(st, options->from);
    status_code code = STATUS_OK;
    for (int id = 0; id < W_FIRST_LAYER_WEIGHT && code == STATUS_OK; id++)
        code = add_weight(plan, (enum weight_id)id, 0, options, st);
    for (int layer = 0; layer < plan->config.n_layers; layer++)
        for (int id = W_FIRST_LAYER_WEIGHT; id < WEIGHT_COUNT && code == STATUS_OK; id++)
            code = add_weight(plan, (enum weight_id)id, layer, options, st);
    if (code == STATUS_OK && plan->n_items < most)
        log_warning(options->log,
                    "%s: %zu tensors are no part of a %s model as it runs here and "
                    "are left out",
                    options->from, most - plan->n_items, plan->config.architecture->name);
    return code == STATUS_OK ? add_rope_factors(plan, st) : code;
}

static status_code read_config(struct convert_plan *plan, const char *path, struct status *st)
{
    char name[MAX_PATH_BYTES];
    struct json_value *config = NULL;
    int n = snprintf(name, sizeof name, "%s/config.json", path);
    if (n < 0 || (size_t)n >= sizeof name)
        return status_set(st, STATUS_LIMIT, "%s: the path is too long", path);
    status_code code = json_parse_file(&config, name, LIMIT_CONFIG_BYTES, st);
    if (code != STATUS_OK) return code;
    code = model_config_from_json(&plan->config, config, st);
    if (code != STATUS_OK) status_prefix(st, "%s", name);
    json_free(config);
    return code;
}

/* What the file can say of the model. */
static status_code choose_target(struct convert_plan *plan, const struct convert_options *options,
                                 struct status *st)
{
    const struct model_config *c = &plan->config;
    plan->target = architecture_in_gguf(c->architecture);
    if (!plan->target->gguf_name)
        return status_set(st, STATUS_UNSUPPORTED, "%s: %s models cannot be written to GGUF here",
                          options->from, c->architecture->name);
    /* llama.cpp takes the head size for the scalar, but for the 27B models, which it knows by their
     * layers. */
    bool is_27b = (plan->target == &architecture_gemma2 && c->n_layers == 46) ||
                  (plan->target == &architecture_gemma3 && c->n_layers == 62);
    float scalar = is_27b ? (float)c->d_model / (float)c->n_heads : (float)c->head_dim;
    /* Granite has a key for the scale itself. */
    bool has_key = plan->target == &architecture_granite;
    plan->query_scale = has_key ? 1.0f : c->attention_scale * sqrtf(scalar);
    if (fabsf(plan->query_scale - 1.0f) < 1e-6f) plan->query_scale = 1.0f;
    return STATUS_OK;
}

/* A checkpoint that the engine would refuse is refused before a byte is written. */
static status_code check_weights(struct convert_plan *plan, const char *path, struct status *st)
{
    const struct tensor_source source = {.safetensors = plan->safetensors, .gguf = plan->gguf};
    status_code code = model_weights_find(&plan->weights, &plan->config, &source, &plan->arena, st);
    return code == STATUS_OK ? code : status_prefix(st, "%s", path);
}

status_code plan_from_directory(struct convert_plan *plan, const char *path,
                                const struct convert_options *options, struct status *st)
{
    plan_init(plan);
    status_code code = read_config(plan, path, st);
    if (code == STATUS_OK) code = safetensors_open(&plan->safetensors, path, st);
    if (code == STATUS_OK) code = check_weights(plan, path, st);
    if (code == STATUS_OK) code = attach_adapter(plan, options, st);
    if (code == STATUS_OK) code = choose_target(plan, options, st);
    if (code == STATUS_OK) code = plan_put_metadata(plan, path, options->type, st);
    if (code == STATUS_OK) code = add_weights(plan, options, st);
    if (code == STATUS_OK) code = check_merged(plan, options, st);
    if (code != STATUS_OK) plan_release(plan);
    return code;
}

/* ---- from a GGUF file ---- */

/* Everything but what the new types change and where the old file was cut. */
static void copy_pairs(struct convert_plan *plan, enum tensor_type type)
{
    static const char *const dropped[] = {"general.file_type", "general.quantization_version",
                                          "general.alignment", "split.no",
                                          "split.count",       "split.tensors.count"};
    for (size_t i = 0; i < gguf_pair_count(plan->gguf); i++) {
        struct gguf_pair pair = gguf_pair_at(plan->gguf, i);
        bool is_dropped = false;
        for (size_t k = 0; k < sizeof dropped / sizeof dropped[0]; k++)
            is_dropped |= text_equal(pair.key, text_of(dropped[k]));
        if (!is_dropped) gguf_writer_pair(&plan->writer, &pair);
    }
    gguf_writer_u32(&plan->writer, "general.file_type", plan_file_type(type));
    gguf_writer_u32(&plan->writer, "general.quantization_version", 2);
}

/* Merging needs to know what each tensor is, so the family has to be one that runs here. */
static status_code prepare_merge(struct convert_plan *plan, const char *path,
                                 const struct convert_options *options, struct status *st)
{
    if (!options->adapter) return STATUS_OK;
    status_code code = model_config_from_gguf(&plan->config, plan->gguf, st);
    if (code == STATUS_OK) code = check_weights(plan, path, st);
    return code == STATUS_OK ? attach_adapter(plan, options, st) : code;
}

static void add_tensors(struct convert_plan *plan, const struct convert_options *options)
{
    bool is_tied = !gguf_tensor(plan->gguf, "output.weight");
    const char *output = is_tied ? "token_embd.weight" : "output.weight";
    for (size_t i = 0; i < gguf_tensor_count(plan->gguf); i++) {
        const struct tensor_view *view = gguf_tensor_at(plan->gguf, i);
        struct convert_item item = {.from = view, .name = view->name, .scale = 1.0f};
        enum weight_id id;
        int layer;
        item.type = choose_type(view, options->type, strcmp(view->name, output) == 0);
        if (plan->n_pairs && model_weights_identify(&plan->config, true, view->name, &id, &layer))
            item.low_rank = pair_of(plan, id, layer);
        add_item(plan, item);
    }
}

status_code plan_from_gguf(struct convert_plan *plan, const char *path,
                           const struct convert_options *options, struct status *st)
{
    plan_init(plan);
    status_code code = gguf_open(&plan->gguf, path, st);
    if (code == STATUS_OK) code = gguf_check_whole(plan->gguf, st);
    if (code == STATUS_OK) code = prepare_merge(plan, path, options, st);
    if (code == STATUS_OK) {
        size_t n = gguf_tensor_count(plan->gguf);
        plan->items = arena_array(&plan->arena, n, sizeof *plan->items);
        if (!plan->items) code = status_no_memory(st, path);
    }
    if (code == STATUS_OK) {
        struct text name;
        struct status ignored = {0}; /* a family that cannot run here converts all the same */
        copy_pairs(plan, options->type);
        if (gguf_get_text(plan->gguf, "general.architecture", &name, &ignored) == STATUS_OK)
            plan->target = architecture_for_gguf(name);
        add_tensors(plan, options);
        code = check_merged(plan, options, st);
    }
    if (code != STATUS_OK) plan_release(plan);
    return code;
}
