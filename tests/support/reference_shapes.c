#include "tests/support/reference_shapes.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "engine/base/rng.h"

const struct reference_decoder reference_shapes[] = {
    {.model_type = "gemma",
     .architecture = "gemma",
     .extra = "\"head_dim\": 6, ",
     .layers = 2,
     .d_model = 15,
     .heads = 3,
     .kv_heads = 1,
     .head_dim = 6,
     .d_ff = 21,
     .vocab = 37,
     .norm_adds_one = true,
     .embedding_scale = 3.872983346207417,
     .attention_scale = 0.4082482904638631,
     .rope_dim = 6,
     .theta = 10000},
    {.model_type = "gemma2",
     .architecture = "gemma2",
     .extra = "\"head_dim\": 8, \"query_pre_attn_scalar\": 8, \"sliding_window\": 5, "
              "\"attn_logit_softcapping\": 1.5, \"final_logit_softcapping\": 2, ",
     .layers = 3,
     .d_model = 16,
     .heads = 6,
     .kv_heads = 2,
     .head_dim = 8,
     .d_ff = 20,
     .vocab = 40,
     .norm_adds_one = true,
     .post_norms = true,
     .embedding_scale = 4,
     .attention_scale = 0.3535533905932738,
     .score_cap = 1.5,
     .logit_cap = 2,
     .rope_dim = 8,
     .theta = 10000,
     .window = 5,
     .period = 2},
    {.model_type = "gemma3_text",
     .architecture = "gemma3",
     .extra = "\"head_dim\": 10, \"query_pre_attn_scalar\": 10, \"sliding_window\": 7, "
              "\"rope_theta\": 50000, \"rope_local_base_freq\": 500, "
              "\"rope_scaling\": {\"rope_type\": \"linear\", \"factor\": 4}, ",
     .layers = 7,
     .d_model = 16,
     .heads = 5,
     .kv_heads = 5,
     .head_dim = 10,
     .d_ff = 24,
     .vocab = 33,
     .norm_adds_one = true,
     .post_norms = true,
     .qk_norms = true,
     .embedding_scale = 4,
     .attention_scale = 0.31622776601683794,
     .rope_dim = 10,
     .theta = 50000,
     .local_theta = 500,
     .linear = 4,
     .window = 7,
     .period = 6},
    {.model_type = "llama",
     .architecture = "llama",
     .extra = "\"rope_theta\": 500, \"rope_scaling\": {\"rope_type\": \"llama3\", \"factor\": 8, "
              "\"low_freq_factor\": 1, \"high_freq_factor\": 4, "
              "\"original_max_position_embeddings\": 64}, ",
     .layers = 2,
     .d_model = 36,
     .heads = 3,
     .kv_heads = 3,
     .head_dim = 12,
     .d_ff = 50,
     .vocab = 41,
     .silu = true,
     .embedding_scale = 1,
     .attention_scale = 0.28867513459481287,
     .rope_dim = 12,
     .theta = 500,
     .llama3 = {8, 1, 4, 64}},
    {.model_type = "llama",
     .architecture = "llama",
     .extra = "\"head_dim\": 14, \"rope_scaling\": {\"type\": \"linear\", \"factor\": 2}, ",
     .layers = 3,
     .d_model = 20,
     .heads = 7,
     .kv_heads = 1,
     .head_dim = 14,
     .d_ff = 33,
     .vocab = 50,
     .untied = true,
     .silu = true,
     .embedding_scale = 1,
     .attention_scale = 0.2672612419124244,
     .rope_dim = 14,
     .theta = 10000,
     .linear = 2},
    {.model_type = "mistral",
     .extra = "\"sliding_window\": 9, ",
     .layers = 2,
     .d_model = 30,
     .heads = 5,
     .kv_heads = 5,
     .head_dim = 6,
     .d_ff = 31,
     .vocab = 45,
     .untied = true,
     .silu = true,
     .embedding_scale = 1,
     .attention_scale = 0.4082482904638631,
     .rope_dim = 6,
     .theta = 10000,
     .window = 9},
    {.model_type = "phi",
     .architecture = "phi2",
     .extra = "\"partial_rotary_factor\": 0.4, ",
     .layers = 3,
     .d_model = 30,
     .heads = 3,
     .kv_heads = 1,
     .head_dim = 10,
     .d_ff = 44,
     .vocab = 39,
     .untied = true,
     .is_phi = true,
     .embedding_scale = 1,
     .attention_scale = 0.31622776601683794,
     .rope_dim = 4,
     .theta = 10000},
    {.model_type = "qwen3",
     .architecture = "qwen3",
     .extra = "\"head_dim\": 8, \"rope_theta\": 1000000, \"attention_bias\": false, ",
     .layers = 2,
     .d_model = 24,
     .heads = 6,
     .kv_heads = 3,
     .head_dim = 8,
     .d_ff = 40,
     .vocab = 44,
     .silu = true,
     .qk_norms = true,
     .embedding_scale = 1,
     .attention_scale = 0.3535533905932738,
     .rope_dim = 8,
     .theta = 1000000},
    {.model_type = "qwen3",
     .extra = "\"head_dim\": 4, \"use_sliding_window\": true, \"sliding_window\": 6, "
              "\"max_window_layers\": 0, ",
     .layers = 2,
     .d_model = 12,
     .heads = 2,
     .kv_heads = 1,
     .head_dim = 4,
     .d_ff = 40,
     .vocab = 44,
     .untied = true,
     .silu = true,
     .qk_norms = true,
     .embedding_scale = 1,
     .attention_scale = 0.5,
     .rope_dim = 4,
     .theta = 10000,
     .window = 6},
    {.model_type = "granite",
     .architecture = "granite",
     .extra = "\"embedding_multiplier\": 12, \"attention_multiplier\": 0.11, "
              "\"residual_multiplier\": 0.22, \"logits_scaling\": 8, \"rope_theta\": 500, ",
     .layers = 3,
     .d_model = 28,
     .heads = 7,
     .kv_heads = 1,
     .head_dim = 4,
     .d_ff = 34,
     .vocab = 43,
     .silu = true,
     .embedding_scale = 12,
     .attention_scale = 0.11,
     .residual_scale = 0.22,
     .logit_divisor = 8,
     .rope_dim = 4,
     .theta = 500},
    /* Config fields as newer versions of transformers write them. */
    {.model_type = "gemma3_text",
     .extra = "\"head_dim\": 4, \"query_pre_attn_scalar\": 4, \"sliding_window\": 8, "
              "\"layer_types\": [\"sliding_attention\", \"full_attention\", "
              "\"sliding_attention\", \"full_attention\"], \"rope_parameters\": "
              "{\"full_attention\": {\"rope_theta\": 9000, \"rope_type\": \"linear\", "
              "\"factor\": 2}, \"sliding_attention\": {\"rope_theta\": 300}}, ",
     .layers = 4,
     .d_model = 16,
     .heads = 4,
     .kv_heads = 2,
     .head_dim = 4,
     .d_ff = 24,
     .vocab = 33,
     .norm_adds_one = true,
     .post_norms = true,
     .qk_norms = true,
     .embedding_scale = 4,
     .attention_scale = 0.5,
     .rope_dim = 4,
     .theta = 9000,
     .local_theta = 300,
     .linear = 2,
     .window = 8,
     .period = 2},
};
const size_t reference_shape_count = sizeof reference_shapes / sizeof *reference_shapes;

const struct reference_decoder *reference_shape(const char *model_type)
{
    size_t i = 0;
    while (strcmp(reference_shapes[i].model_type, model_type) != 0) i++;
    return &reference_shapes[i];
}

bool reference_typed_shape(struct reference_decoder *out, size_t i, enum tensor_type type)
{
    const int block = (int)tensor_type_find(type)->block_values;
    *out = reference_shapes[i];
    out->type = type;
    if (strcmp(out->model_type, "mistral") == 0) out->architecture = "llama";
    if (!out->architecture) return false;
    out->d_model = (out->d_model + block - 1) / block * block;
    out->d_ff = (out->d_ff + block - 1) / block * block;
    if (out->norm_adds_one) out->embedding_scale = sqrt(out->d_model);
    return true;
}

/* ---- drawn ---- */

static int pick(struct rng *rng, const int *from, size_t n)
{
    return from[rng_next(rng) % n];
}
#define PICK(rng, ...)                                                                             \
    pick(rng, (const int[]){__VA_ARGS__}, sizeof((const int[]){__VA_ARGS__}) / sizeof(int))

static bool coin(struct rng *rng)
{
    return rng_next(rng) % 2 != 0;
}

/* One more member of config.json. */
static void say(struct reference_random *out, const char *key, double value)
{
    size_t n = strlen(out->extra);
    snprintf(out->extra + n, sizeof out->extra - n, "\"%s\": %.17g, ", key, value);
}

static void draw_gemma2(struct reference_random *out, struct rng *rng)
{
    struct reference_decoder *r = &out->decoder;
    r->architecture = "gemma2";
    r->post_norms = true;
    r->period = 2;
    r->window = PICK(rng, 1, 2, 5, 16, 33, 100);
    r->score_cap = PICK(rng, 2, 50);
    r->logit_cap = PICK(rng, 3, 30);
    say(out, "sliding_window", r->window);
    say(out, "query_pre_attn_scalar", r->head_dim);
    say(out, "attn_logit_softcapping", r->score_cap);
    say(out, "final_logit_softcapping", r->logit_cap);
}

static void draw_gemma3(struct reference_random *out, struct rng *rng)
{
    struct reference_decoder *r = &out->decoder;
    r->architecture = "gemma3";
    r->post_norms = r->qk_norms = true;
    r->period = 6;
    r->window = PICK(rng, 1, 3, 8, 31, 64);
    r->local_theta = PICK(rng, 50, 10000);
    r->linear = coin(rng) ? PICK(rng, 2, 8) : 0;
    say(out, "sliding_window", r->window);
    say(out, "query_pre_attn_scalar", r->head_dim);
    say(out, "rope_local_base_freq", r->local_theta);
    size_t n = strlen(out->extra);
    if (r->linear > 0)
        snprintf(out->extra + n, sizeof out->extra - n,
                 "\"rope_scaling\": {\"rope_type\": \"linear\", \"factor\": %g}, ", r->linear);
}

static void draw_llama(struct reference_random *out, struct rng *rng)
{
    struct reference_decoder *r = &out->decoder;
    r->architecture = "llama";
    size_t n = strlen(out->extra);
    if (!coin(rng)) return;
    const double scaling[4] = {8, 1, 4, PICK(rng, 16, 64, 256)};
    memcpy(r->llama3, scaling, sizeof scaling);
    snprintf(out->extra + n, sizeof out->extra - n,
             "\"rope_scaling\": {\"rope_type\": \"llama3\", \"factor\": 8, "
             "\"low_freq_factor\": 1, \"high_freq_factor\": 4, "
             "\"original_max_position_embeddings\": %g}, ",
             scaling[3]);
}

static void draw_phi(struct reference_random *out, struct rng *rng)
{
    struct reference_decoder *r = &out->decoder;
    r->architecture = "phi2";
    r->is_phi = r->untied = true;
    r->head_dim = PICK(rng, 8, 10, 20);
    r->d_model = r->heads * r->head_dim;
    r->rope_dim = r->head_dim == 8 ? 2 : r->head_dim / 5 * 2;
    say(out, "partial_rotary_factor", ((double)r->rope_dim + 0.5) / r->head_dim);
}

static void draw_granite(struct reference_random *out, struct rng *rng)
{
    struct reference_decoder *r = &out->decoder;
    r->architecture = "granite";
    r->embedding_scale = PICK(rng, 1, 6, 12);
    r->attention_scale = PICK(rng, 1, 2, 5) / 16.0;
    r->residual_scale = PICK(rng, 1, 7, 16) / 32.0;
    r->logit_divisor = PICK(rng, 1, 4, 16);
    say(out, "embedding_multiplier", r->embedding_scale);
    say(out, "attention_multiplier", r->attention_scale);
    say(out, "residual_multiplier", r->residual_scale);
    say(out, "logits_scaling", r->logit_divisor);
}

static const char *const families[] = {"gemma",   "gemma2", "gemma3_text", "llama",
                                       "mistral", "phi",    "qwen3",       "granite"};
#define N_FAMILIES (sizeof families / sizeof *families)

void reference_random_shape(struct reference_random *out, uint64_t seed)
{
    const char *family = families[seed % N_FAMILIES];
    struct rng rng;
    struct reference_decoder *r = &out->decoder;
    rng_seed(&rng, rng_derive_seed(seed, family, 0, 0));
    *out = (struct reference_random){0};
    *r = (struct reference_decoder){.model_type = family, .extra = out->extra, .seed = seed};
    r->kv_heads = PICK(&rng, 1, 1, 2, 3, 5);
    r->heads = r->kv_heads * PICK(&rng, 1, 2, 3, 7);
    r->head_dim = r->rope_dim = PICK(&rng, 2, 4, 6, 10, 16, 18);
    r->d_model = PICK(&rng, 8, 12, 20, 27, 40);
    r->d_ff = PICK(&rng, 8, 21, 33, 48);
    r->layers = PICK(&rng, 1, 2, 3, 7);
    r->vocab = PICK(&rng, 20, 33, 64);
    r->theta = PICK(&rng, 100, 10000, 500000);
    r->attention_scale = 1 / sqrt(r->head_dim);
    r->norm_adds_one = strncmp(family, "gemma", 5) == 0;
    r->embedding_scale = r->norm_adds_one ? sqrt(r->d_model) : 1;
    r->silu = !r->norm_adds_one && strcmp(family, "phi") != 0;
    r->untied = !r->norm_adds_one && coin(&rng);
    if (strcmp(family, "gemma") == 0) r->architecture = "gemma";
    if (strcmp(family, "gemma2") == 0) draw_gemma2(out, &rng);
    if (strcmp(family, "gemma3_text") == 0) draw_gemma3(out, &rng);
    if (strcmp(family, "llama") == 0) draw_llama(out, &rng);
    if (strcmp(family, "phi") == 0) draw_phi(out, &rng);
    if (strcmp(family, "mistral") == 0) {
        r->window = PICK(&rng, 1, 4, 9, 32, 65);
        say(out, "sliding_window", r->window);
    }
    if (strcmp(family, "granite") == 0) draw_granite(out, &rng);
    if (strcmp(family, "qwen3") == 0) {
        r->architecture = "qwen3";
        r->qk_norms = true;
    }
    if (r->residual_scale <= 0) r->attention_scale = 1 / sqrt(r->head_dim);
    say(out, "head_dim", r->head_dim);
    say(out, "rope_theta", r->theta);
}
