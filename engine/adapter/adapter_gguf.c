/* An adapter in a GGUF file, as llama.cpp's convert_lora_to_gguf.py writes it and llama-adapter.cpp
 * reads it: general.type "adapter", adapter.type "lora", and for a matrix X of the base the tensors
 * X.lora_a (rank, cols) and X.lora_b (rows, rank), where X ends in ".weight".  The scale is
 * alpha / rank, or 1 where alpha is 0. */
#include <math.h>
#include <string.h>

#include "engine/adapter/adapter_files.h"
#include "engine/model/architecture.h"

static bool ends_with(const char *name, const char *suffix)
{
    size_t n = strlen(name), m = strlen(suffix);
    return n >= m && strcmp(name + n - m, suffix) == 0;
}

static status_code expect_text(const struct gguf *file, const char *key, const char *wanted,
                               struct status *st)
{
    struct text found;
    status_code code = gguf_get_text(file, key, &found, st);
    if (code != STATUS_OK || text_equal(found, text_of(wanted))) return code;
    return status_set(st, STATUS_UNSUPPORTED, "%s: \"%s\" is \"%.*s\", expected \"%s\"",
                      gguf_path(file), key, TEXT_ARGS(found), wanted);
}

static status_code read_metadata(struct adapter *adapter, struct status *st)
{
    const struct gguf *file = adapter->gguf;
    struct text name;
    status_code code;
    if ((code = expect_text(file, "general.type", "adapter", st)) ||
        (code = expect_text(file, "adapter.type", "lora", st)) ||
        (code = gguf_get_double(file, "adapter.lora.alpha", &adapter->info.alpha, st)) ||
        (code = gguf_get_text(file, "general.architecture", &name, st)))
        return code;
    if (gguf_has(file, "adapter.alora.invocation_tokens"))
        return status_set(st, STATUS_UNSUPPORTED,
                          "%s: adapters that begin at an invocation (aLoRA) cannot be applied here",
                          gguf_path(file));
    adapter->info.architecture = arena_strndup(&adapter->arena, name.data, name.length);
    if (!adapter->info.architecture) return status_no_memory(st, gguf_path(file));
    const struct architecture *family = architecture_for_gguf(name);
    bool permuted = family && family->gguf_permutes_heads;
    adapter->pairing = permuted ? ROPE_NEIGHBOURS : ROPE_HALVES;
    return STATUS_OK;
}

static status_code read_half(struct adapter *adapter, const struct tensor_view *view,
                             struct status *st)
{
    bool is_a = ends_with(view->name, ".weight.lora_a");
    if (!is_a && !ends_with(view->name, ".weight.lora_b"))
        return status_set(st, STATUS_UNSUPPORTED, "%s: tensor \"%s\" is not half of a LoRA pair",
                          gguf_path(adapter->gguf), view->name);
    size_t length = strlen(view->name) - strlen(".weight.lora_a");
    return adapter_add_half(adapter, view->name, length, view, is_a, st);
}

status_code adapter_read_gguf(struct adapter *adapter, struct status *st)
{
    struct adapter_info *info = &adapter->info;
    status_code code = gguf_open(&adapter->gguf, info->path, st);
    if (code != STATUS_OK) return code;
    adapter->gguf_names = true;
    if ((code = read_metadata(adapter, st)) != STATUS_OK) return code;
    size_t n = gguf_tensor_count(adapter->gguf);
    code = adapter_reserve(adapter, n, st);
    for (size_t i = 0; i < n && code == STATUS_OK; i++)
        code = read_half(adapter, gguf_tensor_at(adapter->gguf, i), st);
    for (size_t i = 0; i < info->n_pairs && code == STATUS_OK; i++) {
        struct adapter_pair *pair = &adapter->pairs[i];
        double rank = pair->a && pair->a->shape[0] ? (double)pair->a->shape[0] : 1;
        pair->scale = fabs(info->alpha) > 0 ? (float)(info->alpha / rank) : 1.0f;
    }
    return code;
}
