#include "tests/support/reference_decoder.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/rng.h"
#include "engine/gguf/gguf_writer.h"
#include "tests/support/model_writer.h"

#define NORM_EPSILON 1e-5
#define PI           3.14159265358979323846

static void *allocate(size_t count, size_t size)
{
    void *p = calloc(count, size);
    if (!p) abort();
    return p;
}

/* ---- the weights ---- */

enum kind { MATRIX, QUERY, KEY, NORM, BIAS };

struct weight {
    char hf[128], gguf[64];
    int rows, cols; /* cols 0: a vector */
    enum kind kind;
};

typedef void weight_fn(void *user, const struct weight *w);

static float *values_of(const struct reference_decoder *r, const struct weight *w)
{
    size_t n = (size_t)w->rows * (size_t)(w->cols ? w->cols : 1);
    float *values = allocate(n, sizeof *values);
    struct rng rng;
    rng_seed(&rng, rng_derive_seed(r->seed, w->hf, 0, 0));
    double width = w->cols ? sqrt(3.0 / w->cols) : 0.25;
    double middle = w->kind == NORM && !r->norm_adds_one ? 1 : 0;
    for (size_t i = 0; i < n; i++)
        values[i] = (float)(middle + width * (2 * rng_uniform(&rng) - 1));
    return values;
}

/* How a weight is stored. */
static enum tensor_type type_of(const struct reference_decoder *r, const struct weight *w)
{
    bool fits = w->cols && (size_t)w->cols % tensor_type_find(r->type)->block_values == 0;
    return fits ? r->type : TENSOR_F32;
}

static size_t bytes_of(const struct reference_decoder *r, const struct weight *w)
{
    size_t cols = w->cols ? (size_t)w->cols : 1;
    return (size_t)w->rows * tensor_type_bytes(type_of(r, w), cols);
}

/* The bytes of a weight from its values. */
static unsigned char *stored(const struct reference_decoder *r, const struct weight *w,
                             const float *values)
{
    size_t n = (size_t)w->rows * (size_t)(w->cols ? w->cols : 1);
    unsigned char *bytes = allocate(bytes_of(r, w), 1);
    tensor_type_find(type_of(r, w))->from_f32(bytes, values, n);
    return bytes;
}

/* What a reader finds: the values as their type rounds them. */
static float *rounded_values_of(const struct reference_decoder *r, const struct weight *w)
{
    size_t n = (size_t)w->rows * (size_t)(w->cols ? w->cols : 1);
    float *values = values_of(r, w);
    unsigned char *bytes = stored(r, w, values);
    tensor_type_find(type_of(r, w))->to_f32(values, bytes, n);
    free(bytes);
    return values;
}

static void visit(weight_fn *fn, void *user, int layer, const char *hf, const char *gguf, int rows,
                  int cols, enum kind kind)
{
    struct weight w = {.rows = rows, .cols = cols, .kind = kind};
    if (layer < 0) {
        snprintf(w.hf, sizeof w.hf, "%s", hf);
        snprintf(w.gguf, sizeof w.gguf, "%s", gguf);
    } else {
        snprintf(w.hf, sizeof w.hf, "model.layers.%d.%s", layer, hf);
        snprintf(w.gguf, sizeof w.gguf, "blk.%d.%s", layer, gguf);
    }
    fn(user, &w);
}

static void each_phi_weight(const struct reference_decoder *r, int i, weight_fn *fn, void *user)
{
    int d = r->d_model, q = r->heads * r->head_dim, kv = r->kv_heads * r->head_dim;
    visit(fn, user, i, "input_layernorm.weight", "attn_norm.weight", d, 0, NORM);
    visit(fn, user, i, "input_layernorm.bias", "attn_norm.bias", d, 0, BIAS);
    visit(fn, user, i, "self_attn.q_proj.bias", "attn_q.bias", q, 0, BIAS);
    visit(fn, user, i, "self_attn.k_proj.bias", "attn_k.bias", kv, 0, BIAS);
    visit(fn, user, i, "self_attn.v_proj.bias", "attn_v.bias", kv, 0, BIAS);
    visit(fn, user, i, "self_attn.dense.weight", "attn_output.weight", d, q, MATRIX);
    visit(fn, user, i, "self_attn.dense.bias", "attn_output.bias", d, 0, BIAS);
    visit(fn, user, i, "mlp.fc1.weight", "ffn_up.weight", r->d_ff, d, MATRIX);
    visit(fn, user, i, "mlp.fc1.bias", "ffn_up.bias", r->d_ff, 0, BIAS);
    visit(fn, user, i, "mlp.fc2.weight", "ffn_down.weight", d, r->d_ff, MATRIX);
    visit(fn, user, i, "mlp.fc2.bias", "ffn_down.bias", d, 0, BIAS);
}

static void each_gated_weight(const struct reference_decoder *r, int i, weight_fn *fn, void *user)
{
    int d = r->d_model, q = r->heads * r->head_dim;
    visit(fn, user, i, "input_layernorm.weight", "attn_norm.weight", d, 0, NORM);
    visit(fn, user, i, "self_attn.o_proj.weight", "attn_output.weight", d, q, MATRIX);
    visit(fn, user, i, "post_attention_layernorm.weight",
          r->post_norms ? "post_attention_norm.weight" : "ffn_norm.weight", d, 0, NORM);
    if (r->post_norms) {
        visit(fn, user, i, "pre_feedforward_layernorm.weight", "ffn_norm.weight", d, 0, NORM);
        visit(fn, user, i, "post_feedforward_layernorm.weight", "post_ffw_norm.weight", d, 0, NORM);
    }
    if (r->qk_norms) {
        visit(fn, user, i, "self_attn.q_norm.weight", "attn_q_norm.weight", r->head_dim, 0, NORM);
        visit(fn, user, i, "self_attn.k_norm.weight", "attn_k_norm.weight", r->head_dim, 0, NORM);
    }
    visit(fn, user, i, "mlp.gate_proj.weight", "ffn_gate.weight", r->d_ff, d, MATRIX);
    visit(fn, user, i, "mlp.up_proj.weight", "ffn_up.weight", r->d_ff, d, MATRIX);
    visit(fn, user, i, "mlp.down_proj.weight", "ffn_down.weight", d, r->d_ff, MATRIX);
}

static void each_weight(const struct reference_decoder *r, weight_fn *fn, void *user)
{
    int d = r->d_model, q = r->heads * r->head_dim, kv = r->kv_heads * r->head_dim;
    visit(fn, user, -1, "model.embed_tokens.weight", "token_embd.weight", r->vocab, d, MATRIX);
    for (int i = 0; i < r->layers; i++) {
        visit(fn, user, i, "self_attn.q_proj.weight", "attn_q.weight", q, d, QUERY);
        visit(fn, user, i, "self_attn.k_proj.weight", "attn_k.weight", kv, d, KEY);
        visit(fn, user, i, "self_attn.v_proj.weight", "attn_v.weight", kv, d, MATRIX);
        if (r->is_phi)
            each_phi_weight(r, i, fn, user);
        else
            each_gated_weight(r, i, fn, user);
    }
    const char *norm = r->is_phi ? "model.final_layernorm.weight" : "model.norm.weight";
    visit(fn, user, -1, norm, "output_norm.weight", d, 0, NORM);
    if (r->untied) visit(fn, user, -1, "lm_head.weight", "output.weight", r->vocab, d, MATRIX);
    if (!r->is_phi) return;
    visit(fn, user, -1, "model.final_layernorm.bias", "output_norm.bias", d, 0, BIAS);
    visit(fn, user, -1, "lm_head.bias", "output.bias", r->vocab, 0, BIAS);
}

/* ---- files ---- */

struct file {
    const struct reference_decoder *r;
    struct safetensors_writer st;
    struct gguf_writer gguf;
    struct strbuf data;
};

static void put_values(struct file *f, const float *values, size_t n)
{
    strbuf_append(&f->data, (const char *)values, n * sizeof *values);
}

static void put_stored(struct file *f, const struct weight *w, const float *values)
{
    unsigned char *bytes = stored(f->r, w, values);
    strbuf_append(&f->data, (const char *)bytes, bytes_of(f->r, w));
    free(bytes);
}

/* After a tensor of a GGUF file. */
static void put_padding(struct file *f, size_t bytes)
{
    static const char zeros[64];
    strbuf_append(&f->data, zeros, gguf_writer_padding(bytes));
}

/* NULL where safetensors has no name for the type. */
static const char *dtype_of(enum tensor_type type)
{
    switch (type) {
    case TENSOR_F32:
        return "F32";
    case TENSOR_F16:
        return "F16";
    case TENSOR_BF16:
        return "BF16";
    default:
        return NULL;
    }
}

static void add_to_safetensors(void *user, const struct weight *w)
{
    struct file *f = user;
    char name[160];
    const uint64_t shape[2] = {(uint64_t)w->rows, (uint64_t)w->cols};
    bool replaced = f->r->prefix && strncmp(w->hf, "model.", 6) == 0;
    snprintf(name, sizeof name, "%s%s", replaced ? f->r->prefix : "", w->hf + (replaced ? 6 : 0));
    safetensors_writer_tensor(&f->st, name, dtype_of(type_of(f->r, w)), bytes_of(f->r, w),
                              w->cols ? 2 : 1, shape);
    float *values = values_of(f->r, w);
    put_stored(f, w, values);
    free(values);
}

/* Row j of half s of a head goes to 2 j + s (llama.cpp's convert_hf_to_gguf.py, permute). */
static float *permuted(const float *values, const struct weight *w, int head_dim)
{
    size_t cols = (size_t)w->cols;
    float *out = allocate((size_t)w->rows * cols, sizeof *out);
    for (int row = 0; row < w->rows; row++) {
        int head = row / head_dim, at = row % head_dim, pairs = head_dim / 2;
        int to = head * head_dim + 2 * (at % pairs) + at / pairs;
        memcpy(out + (size_t)to * cols, values + (size_t)row * cols, cols * sizeof *out);
    }
    return out;
}

/* Which of Q, K, V the weight is part of in a fused matrix; 0 = none. */
static char fused_part(const struct reference_decoder *r, const struct weight *w)
{
    const char *part = strstr(w->gguf, ".attn_");
    bool is_part = r->fused_in_gguf && part && strchr("qkv", part[6]) && part[7] == '.';
    return is_part ? part[6] : 0;
}

static void name_in_gguf(struct file *f, const struct weight *w)
{
    char name[64];
    uint64_t shape[2] = {(uint64_t)w->rows, (uint64_t)w->cols};
    char part = fused_part(f->r, w);
    if (part == 'k' || part == 'v') return; /* they follow Q's rows */
    snprintf(name, sizeof name, "%s", w->gguf);
    if (part == 'q') {
        const char *rest = strstr(w->gguf, ".attn_q") + strlen(".attn_q");
        snprintf(name, sizeof name, "%.*skv%s", (int)(rest - w->gguf), w->gguf, rest);
        shape[0] = (uint64_t)((f->r->heads + 2 * f->r->kv_heads) * f->r->head_dim);
    }
    gguf_writer_tensor(&f->gguf, name, type_of(f->r, w), w->cols ? 2 : 1, shape);
}

/* Whether GGUF has the rows of Q and K permuted. */
static bool is_permuted(const struct reference_decoder *r)
{
    return strcmp(r->architecture, "llama") == 0 || strcmp(r->architecture, "granite") == 0;
}

static void add_to_gguf(void *user, const struct weight *w)
{
    struct file *f = user;
    size_t n = (size_t)w->rows * (size_t)(w->cols ? w->cols : 1);
    name_in_gguf(f, w);
    float *values = values_of(f->r, w);
    if (w->kind == NORM && f->r->norm_adds_one)
        for (size_t i = 0; i < n; i++) values[i] += 1;
    if ((w->kind == QUERY || w->kind == KEY) && is_permuted(f->r)) {
        float *moved = permuted(values, w, f->r->head_dim);
        free(values);
        values = moved;
    }
    put_stored(f, w, values);
    char part = fused_part(f->r, w);
    size_t bytes = bytes_of(f->r, w);
    if (part == 'v')
        bytes = bytes / (size_t)f->r->kv_heads * (size_t)(f->r->heads + 2 * f->r->kv_heads);
    if (part == 0 || part == 'v') put_padding(f, bytes);
    free(values);
}

static void write_config(const struct reference_decoder *r, const char *directory)
{
    char json[4096];
    int n = snprintf(json, sizeof json,
                     "{\"model_type\": \"%s\", %s\"hidden_size\": %d, \"num_hidden_layers\": %d, "
                     "\"num_attention_heads\": %d, \"num_key_value_heads\": %d, "
                     "\"intermediate_size\": %d, \"vocab_size\": %d, "
                     "\"max_position_embeddings\": 256, \"%s\": %g, "
                     "\"tie_word_embeddings\": %s}",
                     r->model_type, r->extra, r->d_model, r->layers, r->heads, r->kv_heads, r->d_ff,
                     r->vocab, r->is_phi ? "layer_norm_eps" : "rms_norm_eps", NORM_EPSILON,
                     r->untied ? "false" : "true");
    if (!write_file(directory, "config.json", json, (size_t)n)) abort();
}

static void finish(struct file *f, struct strbuf *header, const char *directory, const char *name)
{
    strbuf_append(header, f->data.data, f->data.length);
    if (!write_file(directory, name, header->data, header->length)) abort();
    strbuf_release(header);
    strbuf_release(&f->data);
}

void reference_write_safetensors(const struct reference_decoder *r, const char *directory)
{
    struct reference_decoder written = *r;
    if (!dtype_of(r->type)) written.type = TENSOR_F32;
    struct file f = {.r = &written};
    struct strbuf header;
    strbuf_init(&header, 1 << 28);
    strbuf_init(&f.data, 1 << 28);
    safetensors_writer_init(&f.st);
    each_weight(r, add_to_safetensors, &f);
    safetensors_writer_header(&f.st, &header);
    safetensors_writer_release(&f.st);
    finish(&f, &header, directory, "model.safetensors");
    write_config(r, directory);
}

static double llama3_factor(const struct reference_decoder *r, int i);

static void put_key(struct gguf_writer *w, const struct reference_decoder *r, const char *key,
                    double value, bool is_float)
{
    char name[128];
    snprintf(name, sizeof name, "%s.%s", r->architecture, key);
    if (is_float)
        gguf_writer_f32(w, name, (float)value);
    else
        gguf_writer_u32(w, name, (uint32_t)value);
}

static void put_metadata(struct gguf_writer *w, const struct reference_decoder *r)
{
    gguf_writer_text(w, "general.architecture", r->architecture);
    put_key(w, r, "context_length", 256, false);
    put_key(w, r, "embedding_length", r->d_model, false);
    put_key(w, r, "block_count", r->layers, false);
    put_key(w, r, "feed_forward_length", r->d_ff, false);
    put_key(w, r, "attention.head_count", r->heads, false);
    put_key(w, r, "attention.head_count_kv", r->kv_heads, false);
    put_key(w, r, "attention.key_length", r->head_dim, false);
    put_key(w, r, "attention.value_length", r->head_dim, false);
    put_key(w, r, "rope.dimension_count", r->rope_dim, false);
    put_key(w, r, "rope.freq_base", r->theta, true);
    put_key(w, r, r->is_phi ? "attention.layer_norm_epsilon" : "attention.layer_norm_rms_epsilon",
            NORM_EPSILON, true);
    if (r->window) put_key(w, r, "attention.sliding_window", r->window, false);
    if (r->score_cap > 0) put_key(w, r, "attn_logit_softcapping", r->score_cap, true);
    if (r->logit_cap > 0) put_key(w, r, "final_logit_softcapping", r->logit_cap, true);
    if (r->residual_scale > 0) {
        put_key(w, r, "embedding_scale", r->embedding_scale, true);
        put_key(w, r, "attention.scale", r->attention_scale, true);
        put_key(w, r, "residual_scale", r->residual_scale, true);
        put_key(w, r, "logit_scale", r->logit_divisor, true);
    }
    if (r->local_theta > 0) put_key(w, r, "rope.freq_base_swa", r->local_theta, true);
    if (r->linear > 0) put_key(w, r, "rope.scaling.factor", r->linear, true);
}

void reference_write_gguf(const struct reference_decoder *r, const char *directory,
                          const char *name)
{
    struct file f = {.r = r};
    struct strbuf header;
    strbuf_init(&header, 1 << 28);
    strbuf_init(&f.data, 1 << 28);
    gguf_writer_init(&f.gguf);
    put_metadata(&f.gguf, r);
    each_weight(r, add_to_gguf, &f);
    if (r->llama3[0] > 0) {
        const uint64_t pairs = (uint64_t)r->rope_dim / 2;
        float factors[256];
        for (int i = 0; i < r->rope_dim / 2; i++) factors[i] = (float)llama3_factor(r, i);
        gguf_writer_tensor(&f.gguf, "rope_freqs.weight", TENSOR_F32, 1, &pairs);
        put_values(&f, factors, (size_t)pairs);
        put_padding(&f, (size_t)pairs * sizeof *factors);
    }
    gguf_writer_header(&f.gguf, &header);
    gguf_writer_release(&f.gguf);
    finish(&f, &header, directory, name);
}

/* ---- the adapter ---- */

/* Half A (rank, cols) or B (rows, rank) of a matrix. */
static float *half_of(const struct reference_decoder *r, const struct weight *w, bool is_a)
{
    struct weight half = {.rows = is_a ? r->lora_rank : w->rows,
                          .cols = is_a ? w->cols : r->lora_rank,
                          .kind = MATRIX};
    struct reference_decoder own = *r;
    own.seed = r->lora_seed;
    snprintf(half.hf, sizeof half.hf, "%.100s.%c", w->hf, is_a ? 'A' : 'B');
    return values_of(&own, &half);
}

static bool is_adapted(const struct reference_decoder *r, const struct weight *w)
{
    return r->lora_rank && w->cols && strcmp(w->hf, "model.embed_tokens.weight") != 0;
}

static void add_half(struct file *f, const struct weight *w, bool is_a)
{
    const uint64_t shape[2] = {(uint64_t)(is_a ? f->r->lora_rank : w->rows),
                               (uint64_t)(is_a ? w->cols : f->r->lora_rank)};
    size_t n = (size_t)(shape[0] * shape[1]);
    char name[192];
    snprintf(name, sizeof name, "base_model.model.%.*s.lora_%c.weight",
             (int)(strlen(w->hf) - strlen(".weight")), w->hf, is_a ? 'A' : 'B');
    safetensors_writer_tensor(&f->st, name, "F32", n * sizeof(float), 2, shape);
    float *values = half_of(f->r, w, is_a);
    put_values(f, values, n);
    free(values);
}

static void add_to_peft(void *user, const struct weight *w)
{
    struct file *f = user;
    if (!is_adapted(f->r, w)) return;
    add_half(f, w, true);
    add_half(f, w, false);
}

void reference_write_peft(const struct reference_decoder *r, const char *directory)
{
    struct file f = {.r = r};
    struct strbuf header;
    char json[512];
    strbuf_init(&header, 1 << 28);
    strbuf_init(&f.data, 1 << 28);
    safetensors_writer_init(&f.st);
    each_weight(r, add_to_peft, &f);
    safetensors_writer_header(&f.st, &header);
    safetensors_writer_release(&f.st);
    finish(&f, &header, directory, "adapter_model.safetensors");
    int n = snprintf(json, sizeof json,
                     "{\"peft_type\": \"LORA\", \"base_model_name_or_path\": \"some/base\", "
                     "\"r\": %d, \"lora_alpha\": %.17g, \"bias\": \"none\"}",
                     r->lora_rank, r->lora_scale * r->lora_rank);
    if (!write_file(directory, "adapter_config.json", json, (size_t)n)) abort();
}

static void add_to_gguf_adapter(void *user, const struct weight *w)
{
    struct file *f = user;
    int rank = f->r->lora_rank;
    if (!is_adapted(f->r, w)) return;
    for (int half = 0; half < 2; half++) {
        char name[96];
        const uint64_t shape[2] = {(uint64_t)(half ? w->rows : rank),
                                   (uint64_t)(half ? rank : w->cols)};
        size_t n = (size_t)(shape[0] * shape[1]);
        float *values = half_of(f->r, w, half == 0);
        bool is_moved = half && (w->kind == QUERY || w->kind == KEY) && is_permuted(f->r);
        if (is_moved) {
            struct weight b = {.rows = w->rows, .cols = rank};
            float *moved = permuted(values, &b, f->r->head_dim);
            free(values);
            values = moved;
        }
        snprintf(name, sizeof name, "%s.lora_%c", w->gguf, half ? 'b' : 'a');
        gguf_writer_tensor(&f->gguf, name, TENSOR_F32, 2, shape);
        put_values(f, values, n);
        put_padding(f, n * sizeof *values);
        free(values);
    }
}

void reference_write_gguf_adapter(const struct reference_decoder *r, const char *directory,
                                  const char *name)
{
    struct file f = {.r = r};
    struct strbuf header;
    strbuf_init(&header, 1 << 28);
    strbuf_init(&f.data, 1 << 28);
    gguf_writer_init(&f.gguf);
    gguf_writer_text(&f.gguf, "general.architecture", r->architecture);
    gguf_writer_text(&f.gguf, "general.type", "adapter");
    gguf_writer_text(&f.gguf, "adapter.type", "lora");
    gguf_writer_f32(&f.gguf, "adapter.lora.alpha", (float)(r->lora_scale * r->lora_rank));
    each_weight(r, add_to_gguf_adapter, &f);
    gguf_writer_header(&f.gguf, &header);
    gguf_writer_release(&f.gguf);
    finish(&f, &header, directory, name);
}

/* ---- the computation ---- */

static double frequency(const struct reference_decoder *r, double theta, int i)
{
    return 1 / pow(theta, (double)(2 * i) / r->rope_dim);
}

/* By what Llama 3 divides a frequency, in the terms of Meta's apply_scaling. */
static double llama3_factor(const struct reference_decoder *r, int i)
{
    double factor = r->llama3[0], low = r->llama3[1], high = r->llama3[2], context = r->llama3[3];
    double plain = frequency(r, r->theta, i), wavelength = 2 * PI / plain;
    if (wavelength < context / high) return 1;
    if (wavelength > context / low) return factor;
    double smooth = (context / wavelength - low) / (high - low);
    return plain / ((1 - smooth) * plain / factor + smooth * plain);
}

struct computation {
    const struct reference_decoder *r;
    int n, layer;
    double *x;          /* (n, d_model) */
    const char *wanted; /* a weight's name, and what was found under it */
    float *found;
};

/* W + scale * B A, summed in double. */
static void merge(const struct reference_decoder *r, const struct weight *w, float *values)
{
    float *a = half_of(r, w, true), *b = half_of(r, w, false);
    int rank = r->lora_rank;
    for (int row = 0; row < w->rows; row++)
        for (int col = 0; col < w->cols; col++) {
            double sum = 0;
            for (int k = 0; k < rank; k++)
                sum += (double)b[row * rank + k] * (double)a[k * w->cols + col];
            values[row * w->cols + col] += (float)(r->lora_scale * sum);
        }
    free(a), free(b);
}

static void take_wanted(void *user, const struct weight *w)
{
    struct computation *c = user;
    if (strcmp(w->hf, c->wanted) != 0) return;
    c->found = rounded_values_of(c->r, w);
    if (is_adapted(c->r, w)) merge(c->r, w, c->found);
}

/* NULL where the model has no such weight. */
static float *find_weight(struct computation *c, int layer, const char *name)
{
    char full[256];
    if (layer < 0)
        snprintf(full, sizeof full, "%s", name);
    else
        snprintf(full, sizeof full, "model.layers.%d.%s", layer, name);
    c->wanted = full;
    c->found = NULL;
    each_weight(c->r, take_wanted, c);
    return c->found;
}

static void linear(const float *w, const float *bias, const double *x, int n, int rows, int cols,
                   double *out)
{
    for (int t = 0; t < n; t++)
        for (int row = 0; row < rows; row++) {
            double sum = bias ? (double)bias[row] : 0;
            for (int k = 0; k < cols; k++) sum += (double)w[row * cols + k] * x[t * cols + k];
            out[t * rows + row] = sum;
        }
}

static double *project(struct computation *c, const char *name, const double *x, int rows, int cols)
{
    char bias_name[128];
    snprintf(bias_name, sizeof bias_name, "%.*s.bias", (int)(strlen(name) - strlen(".weight")),
             name);
    int layer = strncmp(name, "lm_head", 7) == 0 ? -1 : c->layer;
    if (layer < 0 && !c->r->untied) name = "model.embed_tokens.weight";
    float *w = find_weight(c, layer, name), *bias = find_weight(c, layer, bias_name);
    double *out = allocate((size_t)c->n * (size_t)rows, sizeof *out);
    linear(w, bias, x, c->n, rows, cols, out);
    free(w);
    free(bias);
    return out;
}

static void normalize(const struct reference_decoder *r, double *x, const float *w,
                      const float *bias, int rows, int n)
{
    for (int row = 0; row < rows; row++, x += n) {
        double mean = 0, square = 0;
        for (int i = 0; bias && i < n; i++) mean += x[i] / n;
        for (int i = 0; i < n; i++) square += (x[i] - mean) * (x[i] - mean) / n;
        for (int i = 0; i < n; i++)
            x[i] = (x[i] - mean) / sqrt(square + NORM_EPSILON) *
                       ((double)w[i] + (r->norm_adds_one ? 1 : 0)) +
                   (bias ? (double)bias[i] : 0);
    }
}

static void norm_of(struct computation *c, int layer, const char *name, double *x, int rows, int n)
{
    char bias_name[128];
    snprintf(bias_name, sizeof bias_name, "%.*s.bias", (int)(strlen(name) - strlen(".weight")),
             name);
    float *w = find_weight(c, layer, name), *bias = find_weight(c, layer, bias_name);
    normalize(c->r, x, w, bias, rows, n);
    free(w);
    free(bias);
}

static double *copy_of(const double *x, int n)
{
    double *copy = allocate((size_t)n, sizeof *copy);
    memcpy(copy, x, (size_t)n * sizeof *copy);
    return copy;
}

static bool is_windowed(const struct reference_decoder *r, int layer)
{
    return r->window && (r->period == 0 || (layer + 1) % r->period != 0);
}

static void rotate(const struct computation *c, double *x, int heads)
{
    const struct reference_decoder *r = c->r;
    bool local = r->local_theta > 0 && is_windowed(r, c->layer);
    for (int t = 0; t < c->n; t++)
        for (int h = 0; h < heads; h++)
            for (int i = 0; i < r->rope_dim / 2; i++) {
                double angle = t * frequency(r, local ? r->local_theta : r->theta, i);
                if (!local && r->linear > 0) angle /= r->linear;
                if (!local && r->llama3[0] > 0) angle /= llama3_factor(r, i);
                double *a = x + (t * heads + h) * r->head_dim + i, *b = a + r->rope_dim / 2;
                double old = *a;
                *a = old * cos(angle) - *b * sin(angle);
                *b = *b * cos(angle) + old * sin(angle);
            }
}

/* Row t of head h: scores of every key, most of them masked. */
static void attend(const struct computation *c, int t, int h, const double *q, const double *k,
                   const double *v, double *out)
{
    const struct reference_decoder *r = c->r;
    double total = 0, *p = allocate((size_t)c->n, sizeof *p);
    int kv = h / (r->heads / r->kv_heads);
    for (int j = 0; j < c->n; j++) {
        bool seen = j <= t && !(is_windowed(r, c->layer) && t - j >= r->window);
        for (int i = 0; i < r->head_dim; i++)
            p[j] += q[(t * r->heads + h) * r->head_dim + i] *
                    k[(j * r->kv_heads + kv) * r->head_dim + i];
        p[j] *= r->attention_scale;
        if (r->score_cap > 0) p[j] = r->score_cap * tanh(p[j] / r->score_cap);
        p[j] = seen ? exp(p[j]) : 0;
        total += p[j];
    }
    for (int j = 0; j < c->n; j++)
        for (int i = 0; i < r->head_dim; i++)
            out[(t * r->heads + h) * r->head_dim + i] +=
                p[j] / total * v[(j * r->kv_heads + kv) * r->head_dim + i];
    free(p);
}

static double *attention(struct computation *c, const double *x)
{
    const struct reference_decoder *r = c->r;
    int d = r->d_model, q_dim = r->heads * r->head_dim, kv_dim = r->kv_heads * r->head_dim;
    double *q = project(c, "self_attn.q_proj.weight", x, q_dim, d);
    double *k = project(c, "self_attn.k_proj.weight", x, kv_dim, d);
    double *v = project(c, "self_attn.v_proj.weight", x, kv_dim, d);
    if (r->qk_norms) {
        norm_of(c, c->layer, "self_attn.q_norm.weight", q, c->n * r->heads, r->head_dim);
        norm_of(c, c->layer, "self_attn.k_norm.weight", k, c->n * r->kv_heads, r->head_dim);
    }
    rotate(c, q, r->heads);
    rotate(c, k, r->kv_heads);
    double *heads = allocate((size_t)(c->n * q_dim), sizeof *heads);
    for (int t = 0; t < c->n; t++)
        for (int h = 0; h < r->heads; h++) attend(c, t, h, q, k, v, heads);
    double *out = project(c, r->is_phi ? "self_attn.dense.weight" : "self_attn.o_proj.weight",
                          heads, d, q_dim);
    free(q), free(k), free(v), free(heads);
    return out;
}

static double activate(const struct reference_decoder *r, double x)
{
    if (r->silu) return x / (1 + exp(-x));
    return 0.5 * x * (1 + tanh(sqrt(2 / PI) * (x + 0.044715 * x * x * x)));
}

static double *feed_forward(struct computation *c, const double *x)
{
    const struct reference_decoder *r = c->r;
    int d = r->d_model, wide = c->n * r->d_ff;
    double *up = project(c, r->is_phi ? "mlp.fc1.weight" : "mlp.up_proj.weight", x, r->d_ff, d);
    double *gate = r->is_phi ? NULL : project(c, "mlp.gate_proj.weight", x, r->d_ff, d);
    for (int i = 0; i < wide; i++) up[i] = gate ? activate(r, gate[i]) * up[i] : activate(r, up[i]);
    double *out = project(c, r->is_phi ? "mlp.fc2.weight" : "mlp.down_proj.weight", up, d, r->d_ff);
    free(up), free(gate);
    return out;
}

static void one_layer(struct computation *c)
{
    const struct reference_decoder *r = c->r;
    int n = c->n, d = r->d_model;
    double *normed = copy_of(c->x, n * d);
    norm_of(c, c->layer, "input_layernorm.weight", normed, n, d);
    double *block = attention(c, normed);
    if (r->post_norms) norm_of(c, c->layer, "post_attention_layernorm.weight", block, n, d);
    double scale = r->residual_scale > 0 ? r->residual_scale : 1;
    for (int i = 0; i < n * d; i++) c->x[i] += scale * block[i];
    if (!r->is_phi) {
        free(normed);
        normed = copy_of(c->x, n * d);
        norm_of(c, c->layer,
                r->post_norms ? "pre_feedforward_layernorm.weight"
                              : "post_attention_layernorm.weight",
                normed, n, d);
    }
    free(block);
    block = feed_forward(c, normed);
    if (r->post_norms) norm_of(c, c->layer, "post_feedforward_layernorm.weight", block, n, d);
    for (int i = 0; i < n * d; i++) c->x[i] += scale * block[i];
    free(block), free(normed);
}

double *reference_logits(const struct reference_decoder *r, const int32_t *tokens, int n)
{
    int d = r->d_model;
    struct computation c = {.r = r, .n = n, .x = allocate((size_t)(n * d), sizeof(double))};
    float *embedding = find_weight(&c, -1, "model.embed_tokens.weight");
    for (int t = 0; t < n; t++)
        for (int i = 0; i < d; i++)
            c.x[t * d + i] = (double)embedding[tokens[t] * d + i] * r->embedding_scale;
    free(embedding);
    for (c.layer = 0; c.layer < r->layers; c.layer++) one_layer(&c);
    norm_of(&c, -1, r->is_phi ? "model.final_layernorm.weight" : "model.norm.weight", c.x, n, d);
    double *logits = project(&c, "lm_head.weight", c.x, r->vocab, d);
    for (int i = 0; i < n * r->vocab && r->logit_divisor > 0; i++) logits[i] /= r->logit_divisor;
    for (int i = 0; i < n * r->vocab; i++)
        if (r->logit_cap > 0) logits[i] = r->logit_cap * tanh(logits[i] / r->logit_cap);
    free(c.x);
    return logits;
}
