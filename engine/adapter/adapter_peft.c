/* An adapter as Hugging Face's peft saves it: adapter_config.json, and for a module X of the base
 * the tensors base_model.model.X.lora_A.weight (r, in) and .lora_B.weight (out, r).  The scale is
 * lora_alpha / r, or lora_alpha / sqrt(r) with use_rslora (Kalajdzievski, arXiv 2312.03732);
 * rank_pattern and alpha_pattern give modules another r and alpha: the first key that, as a regular
 * expression, matches the end of the module's name from the start of a word (peft's
 * get_pattern_key).  fan_in_fan_out says how the base is stored and changes nothing here. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/adapter/adapter_files.h"
#include "engine/base/json.h"
#include "engine/base/limits.h"
#include "engine/base/regex.h"

#define MAX_PATH_BYTES 4096

/* ---- the config ---- */

/* A field that has to be absent, null, false, or empty. */
static bool is_off(const struct json_value *config, const char *key)
{
    if (!json_has(config, key)) return true;
    const struct json_value *value = json_member(config, key);
    switch (json_kind(value)) {
    case JSON_BOOL:
        return !json_bool(value);
    case JSON_STRING:
        return json_text(value).length == 0;
    case JSON_ARRAY:
    case JSON_OBJECT:
        return json_count(value) == 0;
    case JSON_NUMBER:
    case JSON_NULL:
        break;
    }
    return false;
}

/* What changes more than two matrices beside a matrix product. */
static status_code reject_variants(const struct json_value *config, struct status *st)
{
    static const struct {
        const char *key, *meaning;
    } variants[] = {
        {"use_dora", "DoRA rescales the base's columns"},
        {"modules_to_save", "modules that were trained whole are saved beside the adapter"},
        {"lora_bias", "biases were trained with it"},
        {"trainable_token_indices", "embeddings were trained with it"},
        {"target_parameters", "it adapts parameters that are no modules"},
        {"layer_replication", "layers of the base are repeated"},
        {"use_qalora", "QA-LoRA pools its input"},
        {"alora_invocation_tokens", "it begins at an invocation (aLoRA)"},
    };
    for (size_t i = 0; i < sizeof variants / sizeof variants[0]; i++)
        if (!is_off(config, variants[i].key))
            return status_set(st, STATUS_UNSUPPORTED,
                              "field \"%s\" is set: %s; merge the adapter into its base and use "
                              "that",
                              variants[i].key, variants[i].meaning);
    return STATUS_OK;
}

/* Initialisations that take from the base what the adapter then adds. */
static status_code reject_changed_base(const struct json_value *config, struct status *st)
{
    static const char *const kinds[] = {"pissa", "olora", "corda", "loftq"};
    const struct json_value *value =
        json_has(config, "init_lora_weights") ? json_member(config, "init_lora_weights") : NULL;
    if (!value || json_kind(value) != JSON_STRING) return STATUS_OK;
    struct text name = json_text(value);
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (name.length >= strlen(kinds[i]) && !memcmp(name.data, kinds[i], strlen(kinds[i])))
            return status_set(st, STATUS_UNSUPPORTED,
                              "field \"init_lora_weights\" is \"%.*s\": the base was changed with "
                              "the adapter; convert it to plain LoRA when saving",
                              TEXT_ARGS(name));
    return STATUS_OK;
}

static status_code expect_word(const struct json_value *config, const char *key, const char *wanted,
                               struct status *st)
{
    struct text found;
    if (!json_has(config, key)) return STATUS_OK;
    status_code code = json_get_text(config, key, &found, st);
    if (code != STATUS_OK || text_equal(found, text_of(wanted))) return code;
    return status_set(st, STATUS_UNSUPPORTED,
                      "field \"%s\" is \"%.*s\", only \"%s\" can be applied here", key,
                      TEXT_ARGS(found), wanted);
}

struct peft_config {
    int64_t rank;
    double alpha;
    bool rank_stabilised;
    const struct json_value *ranks, *alphas; /* patterns; NULL = none */
};

static status_code read_config(struct peft_config *out, const struct json_value *config,
                               struct status *st)
{
    status_code code;
    *out = (struct peft_config){.alpha = 8}; /* peft's LoraConfig */
    if ((code = expect_word(config, "peft_type", "LORA", st)) ||
        (code = expect_word(config, "bias", "none", st)) || (code = reject_variants(config, st)) ||
        (code = reject_changed_base(config, st)) ||
        (code = json_get_int(config, "r", 1, LIMIT_ADAPTER_RANK, &out->rank, st)))
        return code;
    if (json_has(config, "lora_alpha") &&
        (code = json_get_double(config, "lora_alpha", &out->alpha, st)))
        return code;
    if (json_has(config, "use_rslora") &&
        (code = json_get_bool(config, "use_rslora", &out->rank_stabilised, st)))
        return code;
    if (json_has(config, "rank_pattern") &&
        (code = json_get_object(config, "rank_pattern", &out->ranks, st)))
        return code;
    if (json_has(config, "alpha_pattern"))
        return json_get_object(config, "alpha_pattern", &out->alphas, st);
    return STATUS_OK;
}

/* ---- patterns ---- */

static status_code key_matches(const char *key, const char *module, bool *matches,
                               struct status *st)
{
    char pattern[2 * LIMIT_TENSOR_NAME];
    struct regex *regex;
    struct regex_match match;
    int n = snprintf(pattern, sizeof pattern, "^(?:.*\\.)?(?:%s)$", key);
    if (n < 0 || (size_t)n >= sizeof pattern)
        return status_set(st, STATUS_LIMIT, "pattern \"%.40s...\" is too long", key);
    status_code code = regex_compile(&regex, pattern, st);
    if (code != STATUS_OK) return code;
    struct regex_scan scan = regex_scan_start(regex, text_of(module));
    code = regex_scan_next(&scan, &match, st);
    *matches = code == STATUS_OK && match.found;
    regex_free(regex);
    return code;
}

/* The number that a pattern object gives a module, or `otherwise`. */
static status_code pattern_number(const struct json_value *patterns, const char *module,
                                  double otherwise, double *out, struct status *st)
{
    *out = otherwise;
    if (!patterns) return STATUS_OK;
    for (const struct json_value *v = json_first(patterns); v; v = json_next(v)) {
        bool matches = false;
        status_code code = key_matches(json_key(v), module, &matches, st);
        if (code != STATUS_OK) return code;
        if (matches) return json_get_double(patterns, json_key(v), out, st);
    }
    return STATUS_OK;
}

static status_code set_scale(const struct peft_config *config, const char *path,
                             struct adapter_pair *pair, struct status *st)
{
    double rank, alpha;
    status_code code = pattern_number(config->ranks, pair->module, (double)config->rank, &rank, st);
    if (code == STATUS_OK)
        code = pattern_number(config->alphas, pair->module, config->alpha, &alpha, st);
    if (code != STATUS_OK) return status_prefix(st, "%s/adapter_config.json", path);
    if (pair->a && pair->a->n_dims == 2 && (double)pair->a->shape[0] != rank)
        return status_set(st, STATUS_BAD_INPUT,
                          "%s: tensor \"%s\" has rank %d, adapter_config.json says %g", path,
                          pair->a->name, adapter_pair_rank(pair), rank);
    pair->scale = (float)(alpha / (config->rank_stabilised ? sqrt(rank) : rank));
    return STATUS_OK;
}

/* ---- the tensors ---- */

static status_code read_half(struct adapter *adapter, const struct tensor_view *view,
                             struct status *st)
{
    static const char prefix[] = "base_model.model.", a_end[] = ".lora_A.weight",
                      b_end[] = ".lora_B.weight";
    const char *name = view->name;
    if (strncmp(name, prefix, sizeof prefix - 1) == 0) name += sizeof prefix - 1;
    size_t n = strlen(name), m = sizeof a_end - 1;
    bool is_a = n > m && strcmp(name + n - m, a_end) == 0;
    if (!is_a && !(n > m && strcmp(name + n - m, b_end) == 0))
        return status_set(st, STATUS_UNSUPPORTED,
                          "%s: tensor \"%s\" is not half of a LoRA pair of a matrix; merge the "
                          "adapter into its base and use that",
                          adapter->info.path, view->name);
    return adapter_add_half(adapter, name, n - m, view, is_a, st);
}

static status_code read_tensors(struct adapter *adapter, const struct peft_config *config,
                                struct status *st)
{
    size_t n = safetensors_tensor_count(adapter->safetensors);
    if (safetensors_unreadable_count(adapter->safetensors)) {
        const char *name = safetensors_unreadable_name(adapter->safetensors, 0);
        return status_set(st, STATUS_UNSUPPORTED, "%s: tensor \"%s\" has %s, which cannot be read",
                          adapter->info.path, name,
                          safetensors_unreadable(adapter->safetensors, name));
    }
    status_code code = adapter_reserve(adapter, n, st);
    for (size_t i = 0; i < n && code == STATUS_OK; i++)
        code = read_half(adapter, safetensors_tensor_at(adapter->safetensors, i), st);
    for (size_t i = 0; i < adapter->info.n_pairs && code == STATUS_OK; i++)
        code = set_scale(config, adapter->info.path, &adapter->pairs[i], st);
    return code;
}

/* ---- the folder ---- */

static status_code read_folder(struct adapter *adapter, const struct json_value *root,
                               const char *weights, struct status *st)
{
    struct peft_config config;
    struct text base;
    struct status ignored = {0};
    status_code code = read_config(&config, root, st);
    if (code != STATUS_OK) return status_prefix(st, "%s/adapter_config.json", adapter->info.path);
    adapter->info.alpha = config.alpha;
    adapter->info.rank_stabilised = config.rank_stabilised;
    if (json_get_text(root, "base_model_name_or_path", &base, &ignored) == STATUS_OK &&
        base.length &&
        !(adapter->info.base = arena_strndup(&adapter->arena, base.data, base.length)))
        return status_no_memory(st, "the adapter");
    code = safetensors_open(&adapter->safetensors, weights, st);
    if (code != STATUS_OK) return code;
    return read_tensors(adapter, &config, st);
}

status_code adapter_read_peft(struct adapter *adapter, struct status *st)
{
    char path[MAX_PATH_BYTES + 64];
    struct json_value *root;
    adapter->pairing = ROPE_HALVES;
    snprintf(path, sizeof path, "%s/adapter_config.json", adapter->info.path);
    status_code code = json_parse_file(&root, path, LIMIT_CONFIG_BYTES, st);
    if (code != STATUS_OK) return code;
    snprintf(path, sizeof path, "%s/adapter_model.safetensors", adapter->info.path);
    code = read_folder(adapter, root, path, st);
    json_free(root);
    return code;
}
