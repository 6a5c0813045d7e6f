#define _GNU_SOURCE /* memfd_create(), madvise() */
#include "benchmarks/synthetic_model.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <omp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/mman.h>
#include <unistd.h>

#include "engine/base/limits.h"
#include "engine/base/rng.h"
#include "engine/gguf/gguf_writer.h"
#include "engine/quants/quants.h"

#define GROUP_VALUES       256 /* what weights are made of; every row is a whole number of groups */
#define POOL_GROUPS        1024 /* different ones in a matrix */
#define TENSORS_PER_LAYER  15
#define TENSORS_OF_A_MODEL 5
#define HEADER_BYTES       ((size_t)16 << 20)

enum family { GEMMA, LLAMA, PHI2 };

/* From the models' config.json files. */
static const struct shape {
    const char *name;
    enum family family;
    uint32_t layers, hidden, heads, kv_heads, head_dim, rotary, ffn, vocab, context;
} shapes[] = {
    {"gemma-2b", GEMMA, 18, 2048, 8, 1, 256, 256, 16384, 256000, 8192},
    {"gemma-7b", GEMMA, 28, 3072, 16, 16, 256, 256, 24576, 256000, 8192},
    {"llama2-7b", LLAMA, 32, 4096, 32, 32, 128, 128, 11008, 32000, 4096},
    {"llama3-8b", LLAMA, 32, 4096, 32, 8, 128, 128, 14336, 128256, 8192},
    {"mistral-7b", LLAMA, 32, 4096, 32, 8, 128, 128, 14336, 32000, 32768},
    {"phi-2", PHI2, 32, 2560, 32, 32, 80, 32, 10240, 51200, 2048},
    {"tiny", GEMMA, 2, 256, 4, 1, 64, 64, 512, 1024, 8192},
};

struct tensor {
    char name[64];
    enum tensor_type type;
    uint64_t rows, columns; /* rows 0: a vector */
    bool is_bias;
    size_t offset; /* in the file */
};

struct synthetic_model {
    int fd;
    char path[64], title[96];
};

struct plan {
    const struct shape *shape;
    const struct tensor_type_info *type;
    uint32_t n_layers;
    int n_threads;
    struct tensor *tensors;
    size_t n_tensors;
};

const char *synthetic_shape_names(void)
{
    return "gemma-2b, gemma-7b, llama2-7b, llama3-8b, mistral-7b, phi-2, tiny";
}

/* ---- what there is to make ---- */

static void add(struct plan *plan, const char *format, uint32_t layer, uint64_t rows,
                uint64_t columns, bool is_bias)
{
    struct tensor *tensor = &plan->tensors[plan->n_tensors++];
    *tensor = (struct tensor){.type = rows ? plan->type->type : TENSOR_F32,
                              .rows = rows,
                              .columns = columns,
                              .is_bias = is_bias};
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral" /* the formats are those below */
    snprintf(tensor->name, sizeof tensor->name, format, layer);
#pragma GCC diagnostic pop
}

static void plan_layer(struct plan *plan, uint32_t layer)
{
    const struct shape *s = plan->shape;
    const uint64_t q = (uint64_t)s->heads * s->head_dim, kv = (uint64_t)s->kv_heads * s->head_dim;
    const bool phi = s->family == PHI2;
    const struct {
        const char *weight, *bias; /* NULL: the family has none */
        uint64_t rows, columns;
    } parts[] = {
        {"blk.%u.attn_norm.weight", "blk.%u.attn_norm.bias", 0, s->hidden},
        {"blk.%u.attn_q.weight", "blk.%u.attn_q.bias", q, s->hidden},
        {"blk.%u.attn_k.weight", "blk.%u.attn_k.bias", kv, s->hidden},
        {"blk.%u.attn_v.weight", "blk.%u.attn_v.bias", kv, s->hidden},
        {"blk.%u.attn_output.weight", "blk.%u.attn_output.bias", s->hidden, q},
        {phi ? NULL : "blk.%u.ffn_norm.weight", NULL, 0, s->hidden},
        {phi ? NULL : "blk.%u.ffn_gate.weight", NULL, s->ffn, s->hidden},
        {"blk.%u.ffn_up.weight", "blk.%u.ffn_up.bias", s->ffn, s->hidden},
        {"blk.%u.ffn_down.weight", "blk.%u.ffn_down.bias", s->hidden, s->ffn},
    };
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        uint64_t outputs = parts[i].rows ? parts[i].rows : parts[i].columns;
        if (parts[i].weight)
            add(plan, parts[i].weight, layer, parts[i].rows, parts[i].columns, false);
        if (phi && parts[i].bias) add(plan, parts[i].bias, layer, 0, outputs, true);
    }
}

static void plan_tensors(struct plan *plan)
{
    const struct shape *s = plan->shape;
    add(plan, "token_embd.weight", 0, s->vocab, s->hidden, false);
    for (uint32_t layer = 0; layer < plan->n_layers; layer++) plan_layer(plan, layer);
    add(plan, "output_norm.weight", 0, 0, s->hidden, false);
    if (s->family == PHI2) add(plan, "output_norm.bias", 0, 0, s->hidden, true);
    if (s->family != GEMMA) add(plan, "output.weight", 0, s->vocab, s->hidden, false);
    if (s->family == PHI2) add(plan, "output.bias", 0, 0, s->vocab, true);
}

static size_t row_bytes(const struct tensor *tensor)
{
    return tensor_type_bytes(tensor->type, tensor->columns);
}

static size_t tensor_bytes(const struct tensor *tensor)
{
    return row_bytes(tensor) * (tensor->rows ? tensor->rows : 1);
}

static void put_metadata(struct gguf_writer *w, const struct plan *plan)
{
    static const char *const names[] = {[GEMMA] = "gemma", [LLAMA] = "llama", [PHI2] = "phi2"};
    const struct shape *s = plan->shape;
    const char *family = names[s->family];
    const struct {
        const char *name;
        uint32_t value;
    } numbers[] = {
        {"context_length", s->context},        {"embedding_length", s->hidden},
        {"block_count", plan->n_layers},       {"feed_forward_length", s->ffn},
        {"attention.head_count", s->heads},    {"attention.head_count_kv", s->kv_heads},
        {"attention.key_length", s->head_dim}, {"attention.value_length", s->head_dim},
        {"rope.dimension_count", s->rotary},
    };
    char key[96];
    gguf_writer_text(w, "general.architecture", family);
    gguf_writer_text(w, "general.name", s->name);
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        snprintf(key, sizeof key, "%s.%s", family, numbers[i].name);
        gguf_writer_u32(w, key, numbers[i].value);
    }
    snprintf(key, sizeof key, "%s.attention.layer_norm_%sepsilon", family,
             s->family == PHI2 ? "" : "rms_");
    gguf_writer_f32(w, key, 1e-5f);
    snprintf(key, sizeof key, "%s.rope.freq_base", family);
    gguf_writer_f32(w, key, 10000.0f);
}

/* The header, and where each tensor's bytes go. */
static status_code write_header(struct plan *plan, struct strbuf *header, size_t *total,
                                struct status *st)
{
    struct gguf_writer w;
    gguf_writer_init(&w);
    put_metadata(&w, plan);
    for (size_t i = 0; i < plan->n_tensors; i++) {
        const struct tensor *tensor = &plan->tensors[i];
        const uint64_t shape[2] = {tensor->rows, tensor->columns};
        gguf_writer_tensor(&w, tensor->name, tensor->type, tensor->rows ? 2 : 1,
                           tensor->rows ? shape : shape + 1);
    }
    gguf_writer_header(&w, header);
    gguf_writer_release(&w);
    *total = header->length;
    for (size_t i = 0; i < plan->n_tensors; i++) {
        plan->tensors[i].offset = *total;
        *total += tensor_bytes(&plan->tensors[i]);
        *total += gguf_writer_padding(tensor_bytes(&plan->tensors[i]));
    }
    return strbuf_check(header, "a model's header", st);
}

/* ---- weights ---- */

/* Groups of values whose variance is 1/columns: what a matrix gives is as large as what it gets. */
static void fill_pool(unsigned char *pool, const struct tensor_type_info *type, uint64_t columns)
{
    const size_t group_bytes = tensor_type_bytes(type->type, GROUP_VALUES);
    const float scale = sqrtf(12.0f / (float)columns);
    struct rng rng;
    rng_seed(&rng, columns);
    for (size_t g = 0; g < POOL_GROUPS; g++) {
        float values[GROUP_VALUES];
        for (size_t i = 0; i < GROUP_VALUES; i++)
            values[i] = scale * ((float)(rng_next(&rng) >> 40) / 16777216.0f - 0.5f);
        type->from_f32(pool + g * group_bytes, values, GROUP_VALUES);
    }
}

static void fill_matrix(unsigned char *to, const struct tensor *tensor, const unsigned char *pool,
                        uint64_t seed, int n_threads)
{
    const size_t bytes = row_bytes(tensor);
    const size_t group_bytes = tensor_type_bytes(tensor->type, GROUP_VALUES);
#pragma omp parallel for schedule(static) num_threads(n_threads)
    for (uint64_t row = 0; row < tensor->rows; row++) {
        struct rng rng;
        rng_seed(&rng, seed + row);
        unsigned char *at = to + row * bytes;
        for (size_t i = 0; i < bytes; i += group_bytes)
            memcpy(at + i, pool + (rng_next(&rng) >> 32) % POOL_GROUPS * group_bytes, group_bytes);
    }
}

static void fill_vector(float *to, const struct tensor *tensor, uint64_t seed)
{
    struct rng rng;
    rng_seed(&rng, seed);
    for (uint64_t i = 0; i < tensor->columns; i++) {
        float small = (float)(rng_next(&rng) >> 57) / 1024.0f;
        to[i] = tensor->is_bias ? small : 1.0f + small;
    }
}

/* A pool serves all matrices of one width. */
static status_code fill_tensors(const struct plan *plan, unsigned char *file, struct status *st)
{
    unsigned char *pool = malloc(POOL_GROUPS * tensor_type_bytes(plan->type->type, GROUP_VALUES));
    uint64_t columns = 0;
    if (!pool) return status_no_memory(st, "made-up weights");
    for (int pass = 0; pass < 2; pass++) { /* matrices in order of their widths: few pools */
        for (size_t i = 0; i < plan->n_tensors; i++) {
            const struct tensor *tensor = &plan->tensors[i];
            unsigned char *to = file + tensor->offset;
            if (!tensor->rows && pass == 0) fill_vector((float *)(void *)to, tensor, i);
            if (!tensor->rows || (tensor->columns == plan->shape->hidden) != (pass == 0)) continue;
            if (tensor->columns != columns) fill_pool(pool, plan->type, tensor->columns);
            columns = tensor->columns;
            fill_matrix(to, tensor, pool, (uint64_t)i << 32, plan->n_threads);
        }
    }
    free(pool);
    return STATUS_OK;
}

/* ---- the file ---- */

static status_code write_file(struct synthetic_model *model, const struct plan *plan,
                              const struct strbuf *header, size_t total, struct status *st)
{
    model->fd = memfd_create("assay-synthetic", MFD_CLOEXEC);
    if (model->fd < 0) return status_set(st, STATUS_IO, "made-up weights: %s", strerror(errno));
    int failed = posix_fallocate(model->fd, 0, (off_t)total);
    if (failed)
        return status_set(st, STATUS_IO, "made-up weights of %zu MB: %s; --layers makes them fewer",
                          total >> 20, strerror(failed));
    unsigned char *file = mmap(NULL, total, PROT_READ | PROT_WRITE, MAP_SHARED, model->fd, 0);
    if (file == MAP_FAILED)
        return status_set(st, STATUS_IO, "made-up weights: %s", strerror(errno));
    memcpy(file, header->data, header->length);
    status_code code = fill_tensors(plan, file, st);
    munmap(file, total);
    return code;
}

static status_code find_shape(const char *name, const struct shape **out, struct status *st)
{
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++)
        if (strcmp(name, shapes[i].name) == 0) {
            *out = &shapes[i];
            return STATUS_OK;
        }
    return status_set(st, STATUS_USAGE, "there is no shape \"%s\"; there are: %s", name,
                      synthetic_shape_names());
}

static status_code find_weights(const char *name, const struct tensor_type_info **out,
                                struct status *st)
{
    const struct tensor_type_info *type;
    for (size_t i = 0; (type = tensor_type_at(i)) != NULL; i++) {
        if (strcasecmp(name, type->name) != 0) continue;
        *out = type;
        if (type->from_f32) return STATUS_OK;
        return status_set(st, STATUS_USAGE, "weights of type %s can be read and not made here",
                          type->name);
    }
    return status_set(st, STATUS_USAGE, "there is no type \"%s\" of weights: bf16, q8_0, q4_0, ...",
                      name);
}

static status_code make(struct synthetic_model *model, struct plan *plan, struct status *st)
{
    struct strbuf header;
    size_t total;
    plan->tensors = calloc(TENSORS_OF_A_MODEL + (size_t)plan->n_layers * TENSORS_PER_LAYER,
                           sizeof(struct tensor));
    if (!plan->tensors) return status_no_memory(st, "made-up weights");
    plan_tensors(plan);
    strbuf_init(&header, HEADER_BYTES);
    status_code code = write_header(plan, &header, &total, st);
    if (code == STATUS_OK) code = write_file(model, plan, &header, total, st);
    strbuf_release(&header);
    free(plan->tensors);
    return code;
}

status_code synthetic_model_create(struct synthetic_model **out,
                                   const struct synthetic_options *options, struct status *st)
{
    struct plan plan = {.n_threads = options->n_threads ? options->n_threads : omp_get_num_procs()};
    status_code code = find_shape(options->shape, &plan.shape, st);
    if (code == STATUS_OK)
        code = find_weights(options->weights ? options->weights : "BF16", &plan.type, st);
    if (code != STATUS_OK) return code;
    plan.n_layers = options->n_layers ? (uint32_t)options->n_layers : plan.shape->layers;
    if (plan.n_layers > LIMIT_LAYERS)
        return status_set(st, STATUS_USAGE, "%u layers are more than %d", plan.n_layers,
                          LIMIT_LAYERS);
    struct synthetic_model *model = calloc(1, sizeof *model);
    if (!model) return status_no_memory(st, "made-up weights");
    model->fd = -1;
    code = make(model, &plan, st);
    if (code != STATUS_OK) {
        synthetic_model_free(model);
        return code;
    }
    snprintf(model->path, sizeof model->path, "/proc/self/fd/%d", model->fd);
    snprintf(model->title, sizeof model->title, "%s, made-up weights, %u layers", plan.shape->name,
             plan.n_layers);
    *out = model;
    return STATUS_OK;
}

void synthetic_model_free(struct synthetic_model *model)
{
    if (!model) return;
    if (model->fd >= 0) close(model->fd);
    free(model);
}

const char *synthetic_model_path(const struct synthetic_model *model)
{
    return model->path;
}

const char *synthetic_model_title(const struct synthetic_model *model)
{
    return model->title;
}
