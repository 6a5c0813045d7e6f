/* What a Hugging Face directory says beside its weights, as the keys that llama.cpp expects
 * (ggml/docs/gguf.md; llama.cpp/src/llama-arch.cpp). */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "engine/base/limits.h"
#include "engine/convert/convert_plan.h"
#include "engine/tokenizer/tokenizer_export.h"

#define MAX_PATH_BYTES 4096
#define KEY_SIZE       128

/* ---- hyperparameters ---- */

static const char *key_of(const struct convert_plan *plan, const char *key, char out[KEY_SIZE])
{
    snprintf(out, KEY_SIZE, "%s.%s", plan->target->gguf_name, key);
    return out;
}

static void put_number(struct convert_plan *plan, const char *key, double value)
{
    char name[KEY_SIZE];
    gguf_writer_f32(&plan->writer, key_of(plan, key, name), (float)value);
}

static void put_count(struct convert_plan *plan, const char *key, int value)
{
    char name[KEY_SIZE];
    gguf_writer_u32(&plan->writer, key_of(plan, key, name), (uint32_t)value);
}

/* The p for which layer i is windowed unless i + 1 is a multiple of p; 0 where there is none. */
static int window_period(const struct model_config *c)
{
    int period = 0;
    while (period < c->n_layers && c->windowed[period]) period++;
    period++;
    for (int i = 0; i < c->n_layers; i++)
        if (c->windowed[i] != ((i + 1) % period != 0)) return 0;
    return period;
}

static void put_rope(struct convert_plan *plan)
{
    const struct model_config *c = &plan->config;
    char name[KEY_SIZE];
    put_count(plan, "rope.dimension_count", c->rope_dim);
    put_number(plan, "rope.freq_base", c->rope.theta);
    if (c->local_rope.theta > 0) put_number(plan, "rope.freq_base_swa", c->local_rope.theta);
    if (c->rope.scaling != ROPE_LINEAR) return;
    gguf_writer_text(&plan->writer, key_of(plan, "rope.scaling.type", name), "linear");
    put_number(plan, "rope.scaling.factor", c->rope.factor);
}

/* Granite's four factors. */
static void put_scales(struct convert_plan *plan)
{
    const struct model_config *c = &plan->config;
    if (plan->target != &architecture_granite) return;
    put_number(plan, "embedding_scale", (double)c->embedding_scale);
    put_number(plan, "attention.scale", (double)c->attention_scale);
    put_number(plan, "residual_scale", (double)c->residual_scale);
    put_number(plan, "logit_scale", (double)c->logit_divisor);
}

/* Keys that some families have; where their absence means a default, 0 is written too. */
static void put_attention_variants(struct convert_plan *plan)
{
    const struct model_config *c = &plan->config;
    bool is_gemma2 = plan->target == &architecture_gemma2;
    bool is_gemma3 = plan->target == &architecture_gemma3;
    if (is_gemma2 || c->score_softcap > 0)
        put_number(plan, "attn_logit_softcapping", (double)c->score_softcap);
    if (is_gemma2 || c->logit_softcap > 0)
        put_number(plan, "final_logit_softcapping", (double)c->logit_softcap);
    if (is_gemma2 || c->window > 0) put_count(plan, "attention.sliding_window", c->window);
    bool scales_q = fabsf(plan->query_scale - 1) > 0 && !plan_has_q_norm(plan);
    if (scales_q) gguf_writer_f32(&plan->writer, QUERY_SCALE_KEY, plan->query_scale);
    if (is_gemma3 && window_period(c) > 0)
        put_count(plan, "attention.sliding_window_pattern", window_period(c));
}

static void put_config(struct convert_plan *plan)
{
    const struct model_config *c = &plan->config;
    bool layer_norm = c->architecture->weights[W_ATTN_NORM_BIAS].safetensors != NULL;
    put_count(plan, "context_length", c->n_context);
    put_count(plan, "embedding_length", c->d_model);
    put_count(plan, "block_count", c->n_layers);
    put_count(plan, "feed_forward_length", c->d_ff);
    put_count(plan, "attention.head_count", c->n_heads);
    put_count(plan, "attention.head_count_kv", c->n_kv_heads);
    put_count(plan, "attention.key_length", c->head_dim);
    put_count(plan, "attention.value_length", c->head_dim);
    put_count(plan, "vocab_size", c->n_vocab);
    put_number(plan,
               layer_norm ? "attention.layer_norm_epsilon" : "attention.layer_norm_rms_epsilon",
               (double)c->norm_eps);
    put_rope(plan);
    put_attention_variants(plan);
    put_scales(plan);
}

static bool near(double a, double b)
{
    return fabs(a - b) <= 1e-6 * fabs(a);
}

static bool same_windows(const struct model_config *a, const struct model_config *b)
{
    if (a->window != b->window) return false;
    for (int i = 0; a->window > 0 && i < a->n_layers; i++)
        if (a->windowed[i] != b->windowed[i]) return false;
    return true;
}

static bool same_rope(const struct model_config *a, const struct model_config *b)
{
    bool as_factors = a->rope.scaling == ROPE_LLAMA3; /* which are a tensor in the file */
    bool same_scaling =
        as_factors || (a->rope.scaling == b->rope.scaling && near(a->rope.factor, b->rope.factor));
    return same_scaling && a->rope_dim == b->rope_dim && near(a->rope.theta, b->rope.theta) &&
           (a->window == 0 || near(a->local_rope.theta, b->local_rope.theta)) &&
           a->local_rope.scaling == b->local_rope.scaling;
}

status_code plan_check_config(const struct convert_plan *plan, const struct model_config *back,
                              struct status *st)
{
    const struct model_config *c = &plan->config;
    const struct {
        const char *what;
        bool same;
    } checks[] = {
        {"number of layers", c->n_layers == back->n_layers},
        {"width", c->d_model == back->d_model && c->d_ff == back->d_ff},
        {"heads", c->n_heads == back->n_heads && c->n_kv_heads == back->n_kv_heads &&
                      c->head_dim == back->head_dim},
        {"vocabulary", c->n_vocab == back->n_vocab},
        {"context", c->n_context == back->n_context},
        {"output head", c->tied_output == back->tied_output},
        {"norm epsilon", near((double)c->norm_eps, (double)back->norm_eps)},
        {"embedding scale", near((double)c->embedding_scale, (double)back->embedding_scale)},
        {"attention scale",
         near((double)c->attention_scale, (double)(back->attention_scale * plan->query_scale))},
        {"residual scale", near((double)c->residual_scale, (double)back->residual_scale)},
        {"logit scale", near((double)c->logit_divisor, (double)back->logit_divisor)},
        {"soft caps", near((double)c->score_softcap, (double)back->score_softcap) &&
                          near((double)c->logit_softcap, (double)back->logit_softcap)},
        {"attention windows", same_windows(c, back)},
        {"rotary positions", same_rope(c, back)},
    };
    for (size_t i = 0; i < sizeof checks / sizeof checks[0]; i++)
        if (!checks[i].same)
            return status_set(st, STATUS_UNSUPPORTED,
                              "GGUF has no key for the %s of this %s model, which differs from "
                              "what a reader assumes",
                              checks[i].what, c->architecture->name);
    return STATUS_OK;
}

/* ---- name, vocabulary ---- */

/* "models/gemma-2b/" is called gemma-2b. */
static void put_name(struct convert_plan *plan, const char *path)
{
    char name[256];
    size_t end = strlen(path);
    while (end > 1 && path[end - 1] == '/') end--;
    size_t start = end;
    while (start > 0 && path[start - 1] != '/') start--;
    snprintf(name, sizeof name, "%.*s", (int)(end - start), path + start);
    gguf_writer_text(&plan->writer, "general.name", name);
}

static bool is_there(const char *path)
{
    return access(path, F_OK) == 0;
}

/* Loads directory/name where it is there. */
static status_code load_beside(struct tokenizer **out, const char *path, const char *name,
                               struct status *st)
{
    char file[MAX_PATH_BYTES];
    int n = snprintf(file, sizeof file, "%s/%s", path, name);
    if (n < 0 || (size_t)n >= sizeof file)
        return status_set(st, STATUS_LIMIT, "%s: the path is too long", path);
    return is_there(file) ? tokenizer_load(out, file, st) : STATUS_OK;
}

/* SentencePiece's own file has the scores; tokenizer.json knows what was added later. */
static status_code put_vocabulary(struct convert_plan *plan, const char *path, struct status *st)
{
    struct tokenizer *model = NULL, *json = NULL;
    status_code code = load_beside(&model, path, "tokenizer.model", st);
    if (code == STATUS_OK) code = load_beside(&json, path, "tokenizer.json", st);
    if (code == STATUS_OK && !model && !json) {
        struct status own = {0};
        code = tokenizer_load(&json, path, &own);
        if (code == STATUS_NOT_FOUND)
            code = STATUS_OK; /* ids can be evaluated */
        else if (code != STATUS_OK)
            *st = own;
    }
    if (code == STATUS_OK && (model || json)) {
        struct tokenizer_export export = {.tokenizer = model ? model : json,
                                          .added = model ? json : NULL,
                                          .n_vocab = plan->config.n_vocab};
        code = tokenizer_to_gguf(&export, &plan->writer, st);
        if (code != STATUS_OK) status_prefix(st, "%s", path);
    } else if (code == STATUS_OK) {
        gguf_writer_text(&plan->writer, "tokenizer.ggml.model", "no_vocab");
    }
    tokenizer_free(model);
    tokenizer_free(json);
    return code;
}

status_code plan_put_metadata(struct convert_plan *plan, const char *path, enum tensor_type type,
                              struct status *st)
{
    struct gguf_writer *w = &plan->writer;
    gguf_writer_text(w, "general.architecture", plan->target->gguf_name);
    gguf_writer_text(w, "general.type", "model");
    put_name(plan, path);
    gguf_writer_u32(w, "general.file_type", plan_file_type(type));
    gguf_writer_u32(w, "general.quantization_version", 2);
    put_config(plan);
    return put_vocabulary(plan, path, st);
}
