/* make_model.c - writes a Gemma 1 or Llama model of random weights, at any shape.
 *
 *   make build/release/tests/make_model
 *   make_model --format gguf --type q8_0 --shape gemma-2b --seed 1 model.gguf
 *   make_model --format safetensors --type bf16 --shape tiny --shards 2 --seed 1 folder
 *   make_model --family llama --type q8_0 --shape llama-3-8b model.gguf
 *
 * One seed gives one model: the values depend on the tensor, the row and the seed alone, so the two
 * formats hold the same numbers in the same type.  In GGUF norms are f32, Gemma's have 1 added, and
 * the rows of Llama's Q and K are permuted, as llama.cpp's converter does.  Memory does not grow
 * with the model: rows are written as they are drawn.
 */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "engine/base/json.h"
#include "engine/base/rng.h"
#include "tests/support/model_writer.h"

#define CONTEXT           8192
#define NORM_EPSILON      1e-6
#define ROPE_BASE         10000.0
#define TENSORS_PER_LAYER 9
#define CHUNK_VALUES      (1 << 20)
#define HEADER_BYTES      ((size_t)1 << 30)

struct shape {
    int64_t layers, hidden, heads, kv_heads, head_dim, ffn, vocab;
};

static const struct {
    const char *name;
    struct shape shape;
} shapes[] = {
    {"tiny", {2, 64, 4, 1, 32, 128, 512}},
    {"gemma-2b", {18, 2048, 8, 1, 256, 16384, 256000}},
    {"gemma-7b", {28, 3072, 16, 16, 256, 24576, 256000}},
    {"llama-2-7b", {32, 4096, 32, 32, 128, 11008, 32000}},
    {"llama-3-8b", {32, 4096, 32, 8, 128, 14336, 128256}},
};

static const struct {
    const char *name, *dtype, *torch_dtype; /* dtype NULL: safetensors cannot hold it */
    enum tensor_type type;
    uint32_t file_type; /* llama.cpp's llama_ftype */
} types[] = {
    {"f32", "F32", "float32", TENSOR_F32, 0},
    {"f16", "F16", "float16", TENSOR_F16, 1},
    {"bf16", "BF16", "bfloat16", TENSOR_BF16, 32},
    {"q8_0", NULL, NULL, TENSOR_Q8_0, 7},
};

struct options {
    bool is_gguf, is_llama;
    size_t type; /* row of `types` */
    struct shape shape;
    int64_t shards, seed;
    const char *out;
};

/* A matrix (rows, columns), or a norm of `columns` values where is_norm. */
struct plan {
    char hf_name[80], gguf_name[64];
    int64_t rows, columns;
    bool is_norm;
    int64_t
        pair_span; /* rows of a head that GGUF reorders, first half and second in turn; 0 = none */
};

_Noreturn static void stop(const char *reason, const char *detail)
{
    fprintf(stderr, "make_model: %s%s%s\n", reason, *detail ? ": " : "", detail);
    exit(2);
}

static void *allocate(size_t count, size_t size)
{
    void *p = calloc(count, size);
    if (!p) stop("out of memory", "");
    return p;
}

/* ---- options ---- */

static const char usage[] =
    "usage: make_model [--format gguf|safetensors] [--family gemma|llama]\n"
    "                  [--type f32|f16|bf16|q8_0]\n"
    "                  [--shape tiny|gemma-2b|gemma-7b|llama-2-7b|llama-3-8b] [--layers N] "
    "[--hidden N] [--heads N]\n"
    "                  [--kv-heads N] [--head-dim N] [--ffn N] [--vocab N] [--shards N]\n"
    "                  [--seed N] OUT\n"
    "OUT is a file (gguf) or a folder (safetensors).  Without options: gguf, gemma, f32, tiny,\n"
    "seed 0.\n";

static bool set_word(struct options *o, const char *option, const char *value)
{
    if (strcmp(option, "--format") == 0) {
        o->is_gguf = strcmp(value, "gguf") == 0;
        return o->is_gguf || strcmp(value, "safetensors") == 0;
    }
    if (strcmp(option, "--family") == 0) {
        o->is_llama = strcmp(value, "llama") == 0;
        return o->is_llama || strcmp(value, "gemma") == 0;
    }
    for (size_t i = 0; strcmp(option, "--type") == 0 && i < sizeof types / sizeof types[0]; i++) {
        o->type = i;
        if (strcmp(value, types[i].name) == 0) return true;
    }
    for (size_t i = 0; strcmp(option, "--shape") == 0 && i < sizeof shapes / sizeof shapes[0];
         i++) {
        o->shape = shapes[i].shape;
        if (strcmp(value, shapes[i].name) == 0) return true;
    }
    return false;
}

static bool set_number(struct options *o, const char *option, const char *value)
{
    const struct {
        const char *name;
        int64_t *number, min, max;
    } numbers[] = {
        {"--layers", &o->shape.layers, 1, LIMIT_LAYERS},
        {"--hidden", &o->shape.hidden, 1, LIMIT_HIDDEN},
        {"--heads", &o->shape.heads, 1, LIMIT_HEADS},
        {"--kv-heads", &o->shape.kv_heads, 1, LIMIT_HEADS},
        {"--head-dim", &o->shape.head_dim, 2, LIMIT_HIDDEN},
        {"--ffn", &o->shape.ffn, 1, LIMIT_HIDDEN},
        {"--vocab", &o->shape.vocab, 1, LIMIT_VOCAB},
        {"--shards", &o->shards, 1, LIMIT_SHARDS},
        {"--seed", &o->seed, 0, INT64_MAX},
    };
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        if (strcmp(option, numbers[i].name) != 0) continue;
        char *end;
        errno = 0;
        long long n = strtoll(value, &end, 10);
        *numbers[i].number = n;
        return *value && !*end && !errno && n >= numbers[i].min && n <= numbers[i].max;
    }
    return false;
}

/* --shape comes first, so that the options of single sizes change it wherever they stand. */
static void read_options(struct options *o, int argc, char **argv)
{
    *o = (struct options){.is_gguf = true, .shape = shapes[0].shape, .shards = 1};
    for (int pass = 0; pass < 2; pass++) {
        for (int i = 1; i < argc; i++) {
            if (strncmp(argv[i], "--", 2) != 0) {
                o->out = argv[i];
                continue;
            }
            bool is_word = strcmp(argv[i], "--format") == 0 || strcmp(argv[i], "--type") == 0 ||
                           strcmp(argv[i], "--shape") == 0 || strcmp(argv[i], "--family") == 0;
            if (i + 1 == argc) stop("an option needs a value", argv[i]);
            if (is_word == (pass == 0) && !(is_word ? set_word(o, argv[i], argv[i + 1])
                                                    : set_number(o, argv[i], argv[i + 1])))
                stop("wrong option or value", argv[i]);
            i++;
        }
    }
    if (!o->out) {
        fputs(usage, stderr);
        exit(2);
    }
}

static void check_options(const struct options *o)
{
    const struct shape *s = &o->shape;
    if (s->heads % s->kv_heads != 0) stop("--heads must be a multiple of --kv-heads", "");
    if (s->head_dim % 2 != 0) stop("--head-dim must be even", "");
    if (s->vocab < 355) stop("--vocab must be at least 355: control, byte and ASCII pieces", "");
    if (o->is_gguf && o->shards > 1) stop("--shards is for safetensors", "");
    if (!o->is_gguf && !types[o->type].dtype) stop("safetensors cannot hold", types[o->type].name);
    if (o->shards > 2 + TENSORS_PER_LAYER * s->layers) stop("more shards than tensors", "");
    if (types[o->type].type == TENSOR_Q8_0 &&
        (s->hidden % Q8_0_VALUES || s->ffn % Q8_0_VALUES || s->heads * s->head_dim % Q8_0_VALUES))
        stop("q8_0 needs rows that are multiples of 32", "");
}

/* ---- tensors ---- */

/* Llama has an output matrix of its own. */
static struct plan *make_plan(const struct options *o, size_t *n)
{
    const struct shape *s = &o->shape;
    const int64_t q = s->heads * s->head_dim, kv = s->kv_heads * s->head_dim;
    const struct {
        const char *hf, *gguf;
        int64_t rows, columns;
        bool is_norm;
    } layer[TENSORS_PER_LAYER] = {
        {"input_layernorm", "attn_norm", 1, s->hidden, true},
        {"self_attn.q_proj", "attn_q", q, s->hidden, false},
        {"self_attn.k_proj", "attn_k", kv, s->hidden, false},
        {"self_attn.v_proj", "attn_v", kv, s->hidden, false},
        {"self_attn.o_proj", "attn_output", s->hidden, q, false},
        {"post_attention_layernorm", "ffn_norm", 1, s->hidden, true},
        {"mlp.gate_proj", "ffn_gate", s->ffn, s->hidden, false},
        {"mlp.up_proj", "ffn_up", s->ffn, s->hidden, false},
        {"mlp.down_proj", "ffn_down", s->hidden, s->ffn, false},
    };
    *n = (size_t)(2 + o->is_llama + s->layers * TENSORS_PER_LAYER);
    struct plan *plans = allocate(*n, sizeof *plans), *p = plans;
    *p++ = (struct plan){
        "model.embed_tokens.weight", "token_embd.weight", s->vocab, s->hidden, false, 0};
    for (int64_t i = 0; i < s->layers; i++) {
        for (size_t k = 0; k < TENSORS_PER_LAYER; k++, p++) {
            *p = (struct plan){
                .rows = layer[k].rows, .columns = layer[k].columns, .is_norm = layer[k].is_norm};
            bool is_rotated = strstr(layer[k].hf, "q_proj") || strstr(layer[k].hf, "k_proj");
            if (o->is_llama && o->is_gguf && is_rotated) p->pair_span = s->head_dim;
            snprintf(p->hf_name, sizeof p->hf_name, "model.layers.%lld.%s.weight", (long long)i,
                     layer[k].hf);
            snprintf(p->gguf_name, sizeof p->gguf_name, "blk.%lld.%s.weight", (long long)i,
                     layer[k].gguf);
        }
    }
    *p++ = (struct plan){"model.norm.weight", "output_norm.weight", 1, s->hidden, true, 0};
    if (o->is_llama)
        *p = (struct plan){"lm_head.weight", "output.weight", s->vocab, s->hidden, false, 0};
    return plans;
}

static enum tensor_type type_of(const struct options *o, const struct plan *p)
{
    return p->is_norm && o->is_gguf ? TENSOR_F32 : types[o->type].type;
}

static uint64_t bytes_of(const struct options *o, const struct plan *p)
{
    return tensor_type_bytes(type_of(o, p), (size_t)(p->rows * p->columns));
}

/* The sum of four uniforms is close enough to a normal, and has the same bits everywhere.  With
 * variance 1/columns, what a matrix gives is as large as what it gets. */
static void draw_matrix_row(float *row, int64_t columns, uint64_t seed)
{
    const float scale = (float)(sqrt(3.0 / (double)columns) / 65536.0);
    struct rng rng;
    rng_seed(&rng, seed);
    for (int64_t i = 0; i < columns; i++) {
        uint64_t bits = rng_next(&rng);
        uint64_t sum =
            (bits & 0xffff) + (bits >> 16 & 0xffff) + (bits >> 32 & 0xffff) + (bits >> 48);
        row[i] = (float)((int)sum - 131070) * scale;
    }
}

/* Multiples of 1/256 are exact in every type, also after adding 1. */
static void draw_norm(float *row, int64_t columns, uint64_t seed, bool adds_one)
{
    struct rng rng;
    rng_seed(&rng, seed);
    for (int64_t i = 0; i < columns; i++)
        row[i] = (float)((int)(rng_next(&rng) >> 57) - 64) / 256.0f + (adds_one ? 1.0f : 0.0f);
}

/* Which row of Hugging Face's order stands at `row`. */
static int64_t source_row(const struct plan *p, int64_t row)
{
    if (!p->pair_span) return row;
    int64_t at = row % p->pair_span;
    return row - at + at % 2 * (p->pair_span / 2) + at / 2;
}

static void write_tensor(FILE *file, const struct options *o, const struct plan *p)
{
    const struct tensor_type_info *type = tensor_type_find(type_of(o, p));
    const size_t row_bytes = tensor_type_bytes(type->type, (size_t)p->columns);
    const uint64_t seed = rng_derive_seed((uint64_t)o->seed, p->hf_name, 0, 0);
    const int64_t n_chunk = p->columns < CHUNK_VALUES ? CHUNK_VALUES / p->columns : 1;
    float *values = allocate((size_t)(n_chunk * p->columns), sizeof *values);
    unsigned char *bytes = allocate((size_t)n_chunk, row_bytes);
    for (int64_t first = 0; first < p->rows; first += n_chunk) {
        int64_t n = p->rows - first < n_chunk ? p->rows - first : n_chunk;
#pragma omp parallel for schedule(static)
        for (int64_t i = 0; i < n; i++) {
            float *row = values + i * p->columns;
            if (p->is_norm)
                draw_norm(row, p->columns, seed, o->is_gguf || o->is_llama);
            else
                draw_matrix_row(row, p->columns, seed + (uint64_t)source_row(p, first + i));
            type->from_f32(bytes + (size_t)i * row_bytes, row, (size_t)p->columns);
        }
        fwrite(bytes, row_bytes, (size_t)n, file);
    }
    free(values);
    free(bytes);
}

static FILE *create(const char *path)
{
    FILE *file = fopen(path, "wb");
    if (!file) stop(path, strerror(errno));
    return file;
}

static void finish(FILE *file, const char *path)
{
    bool failed = ferror(file) != 0;
    if (fclose(file) != 0 || failed) stop(path, strerror(errno));
}

static void write_text(FILE *file, const struct strbuf *sb)
{
    if (sb->state != STATUS_OK) stop("out of memory", "");
    fwrite(sb->data, 1, sb->length, file);
}

/* ---- GGUF ---- */

enum { PIECE_NORMAL = 1, PIECE_UNKNOWN = 2, PIECE_CONTROL = 3, PIECE_BYTE = 6 };

/* Piece i of the vocabulary: 4 special ones, 256 bytes, "▁", printable ASCII, then words of two and
 * more letters, all different. */
static int vocabulary_piece(int64_t i, char out[16])
{
    static const char *const special[] = {"<pad>", "<eos>", "<bos>", "<unk>"};
    if (i < 4) {
        snprintf(out, 16, "%s", special[i]);
        return i == 3 ? PIECE_UNKNOWN : PIECE_CONTROL;
    }
    if (i < 260) {
        snprintf(out, 16, "<0x%02X>", (unsigned)(i - 4));
        return PIECE_BYTE;
    }
    if (i == 260) {
        snprintf(out, 16, "\xe2\x96\x81");
    } else if (i < 355) {
        snprintf(out, 16, "%c", (char)('!' + (i - 261)));
    } else {
        int64_t word = i - 355 + 26;
        int n = 0;
        for (; word >= 0; word = word / 26 - 1) out[n++] = (char)('a' + word % 26);
        out[n] = '\0';
    }
    return PIECE_NORMAL;
}

static void put_vocabulary(struct gguf_writer *w, int64_t n)
{
    char piece[16];
    gguf_writer_text(w, "tokenizer.ggml.model", "llama");
    gguf_writer_text(w, "tokenizer.ggml.pre", "default");
    gguf_writer_array(w, "tokenizer.ggml.tokens", GGUF_STRING, (uint64_t)n);
    for (int64_t i = 0; i < n; i++) {
        vocabulary_piece(i, piece);
        gguf_writer_put_text(w, text_of(piece));
    }
    gguf_writer_array(w, "tokenizer.ggml.scores", GGUF_F32, (uint64_t)n);
    for (int64_t i = 0; i < n; i++) {
        float score = i < 260 ? 0.0f : (float)(260 - i);
        gguf_writer_put(w, &score, sizeof score);
    }
    gguf_writer_array(w, "tokenizer.ggml.token_type", GGUF_I32, (uint64_t)n);
    for (int64_t i = 0; i < n; i++) {
        int32_t type = vocabulary_piece(i, piece);
        gguf_writer_put(w, &type, sizeof type);
    }
    gguf_writer_u32(w, "tokenizer.ggml.padding_token_id", 0);
    gguf_writer_u32(w, "tokenizer.ggml.eos_token_id", 1);
    gguf_writer_u32(w, "tokenizer.ggml.bos_token_id", 2);
    gguf_writer_u32(w, "tokenizer.ggml.unknown_token_id", 3);
    gguf_writer_bool(w, "tokenizer.ggml.add_bos_token", true);
    gguf_writer_bool(w, "tokenizer.ggml.add_eos_token", false);
    gguf_writer_bool(w, "tokenizer.ggml.add_space_prefix", false);
}

static void put_metadata(struct gguf_writer *w, const struct options *o)
{
    const struct shape *s = &o->shape;
    const char *family = o->is_llama ? "llama" : "gemma";
    const struct {
        const char *name;
        int64_t value;
    } numbers[] = {
        {"context_length", CONTEXT},
        {"embedding_length", s->hidden},
        {"block_count", s->layers},
        {"feed_forward_length", s->ffn},
        {"attention.head_count", s->heads},
        {"attention.head_count_kv", s->kv_heads},
        {"attention.key_length", s->head_dim},
        {"attention.value_length", s->head_dim},
    };
    char key[128];
    gguf_writer_text(w, "general.architecture", family);
    gguf_writer_text(w, "general.name", o->is_llama ? "random-llama" : "random-gemma");
    gguf_writer_u32(w, "general.file_type", types[o->type].file_type);
    gguf_writer_u32(w, "general.quantization_version", 2);
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        snprintf(key, sizeof key, "%s.%s", family, numbers[i].name);
        gguf_writer_u32(w, key, (uint32_t)numbers[i].value);
    }
    snprintf(key, sizeof key, "%s.attention.layer_norm_rms_epsilon", family);
    gguf_writer_f32(w, key, (float)NORM_EPSILON);
    snprintf(key, sizeof key, "%s.rope.freq_base", family);
    gguf_writer_f32(w, key, (float)ROPE_BASE);
    put_vocabulary(w, s->vocab);
}

static void write_gguf_model(const struct options *o, const struct plan *plans, size_t n)
{
    struct gguf_writer w;
    struct strbuf header;
    gguf_writer_init(&w);
    strbuf_init(&header, HEADER_BYTES);
    put_metadata(&w, o);
    for (size_t i = 0; i < n; i++) {
        const uint64_t shape[2] = {(uint64_t)plans[i].rows, (uint64_t)plans[i].columns};
        bool is_norm = plans[i].is_norm;
        gguf_writer_tensor(&w, plans[i].gguf_name, type_of(o, &plans[i]), is_norm ? 1 : 2,
                           is_norm ? shape + 1 : shape);
    }
    gguf_writer_header(&w, &header);
    FILE *file = create(o->out);
    write_text(file, &header);
    for (size_t i = 0; i < n; i++) {
        static const char zeros[64];
        write_tensor(file, o, &plans[i]);
        fwrite(zeros, 1, gguf_writer_padding(bytes_of(o, &plans[i])), file);
    }
    finish(file, o->out);
    strbuf_release(&header);
    gguf_writer_release(&w);
}

/* ---- safetensors ---- */

static void shard_name(const struct options *o, int64_t shard, char out[64])
{
    if (o->shards == 1)
        snprintf(out, 64, "model.safetensors");
    else
        snprintf(out, 64, "model-%05lld-of-%05lld.safetensors", (long long)shard + 1,
                 (long long)o->shards);
}

static void write_shard(const struct options *o, const struct plan *plans, size_t n, int64_t shard)
{
    char name[64], path[4200];
    shard_name(o, shard, name);
    snprintf(path, sizeof path, "%s/%s", o->out, name);
    struct safetensors_writer w;
    struct strbuf header;
    safetensors_writer_init(&w);
    strbuf_init(&header, HEADER_BYTES);
    for (size_t i = 0; i < n; i++) {
        const uint64_t shape[2] = {(uint64_t)plans[i].rows, (uint64_t)plans[i].columns};
        bool is_norm = plans[i].is_norm;
        safetensors_writer_tensor(&w, plans[i].hf_name, types[o->type].dtype,
                                  bytes_of(o, &plans[i]), is_norm ? 1 : 2,
                                  is_norm ? shape + 1 : shape);
    }
    safetensors_writer_header(&w, &header);
    FILE *file = create(path);
    write_text(file, &header);
    for (size_t i = 0; i < n; i++) write_tensor(file, o, &plans[i]);
    finish(file, path);
    strbuf_release(&header);
    safetensors_writer_release(&w);
}

static void write_json(const struct options *o, const char *name, struct strbuf *json)
{
    char path[4200];
    snprintf(path, sizeof path, "%s/%s", o->out, name);
    FILE *file = create(path);
    write_text(file, json);
    finish(file, path);
    strbuf_release(json);
}

static void write_config(const struct options *o)
{
    const struct shape *s = &o->shape;
    struct strbuf json;
    strbuf_init(&json, HEADER_BYTES);
    strbuf_appendf(&json, "{\n  \"architectures\": [\"%s\"],\n  \"model_type\": \"%s\",\n",
                   o->is_llama ? "LlamaForCausalLM" : "GemmaForCausalLM",
                   o->is_llama ? "llama" : "gemma");
    const struct {
        const char *name;
        int64_t value;
    } numbers[] = {
        {"vocab_size", s->vocab},
        {"hidden_size", s->hidden},
        {"num_hidden_layers", s->layers},
        {"num_attention_heads", s->heads},
        {"num_key_value_heads", s->kv_heads},
        {"head_dim", s->head_dim},
        {"intermediate_size", s->ffn},
        {"max_position_embeddings", CONTEXT},
        {"bos_token_id", 2},
        {"eos_token_id", 1},
        {"pad_token_id", 0},
    };
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        strbuf_appendf(&json, "  \"%s\": %lld,\n", numbers[i].name, (long long)numbers[i].value);
    strbuf_appendf(&json, "  \"rms_norm_eps\": %g,\n  \"rope_theta\": %.1f,\n", NORM_EPSILON,
                   ROPE_BASE);
    const char *activation = o->is_llama ? "silu" : "gelu_pytorch_tanh";
    strbuf_appendf(&json,
                   "  \"hidden_act\": \"%s\",\n  \"hidden_activation\": \"%s\",\n"
                   "  \"tie_word_embeddings\": %s,\n  \"torch_dtype\": \"%s\"\n}\n",
                   activation, activation, o->is_llama ? "false" : "true",
                   types[o->type].torch_dtype);
    write_json(o, "config.json", &json);
}

static void write_index(const struct options *o, const struct plan *plans, size_t n)
{
    struct strbuf json;
    uint64_t total = 0;
    for (size_t i = 0; i < n; i++) total += bytes_of(o, &plans[i]);
    strbuf_init(&json, HEADER_BYTES);
    strbuf_appendf(&json, "{\n  \"metadata\": {\"total_size\": %llu},\n  \"weight_map\": {\n",
                   (unsigned long long)total);
    for (size_t i = 0; i < n; i++) {
        char name[64];
        shard_name(o, (int64_t)i * o->shards / (int64_t)n, name);
        strbuf_appendf(&json, "    \"%s\": \"%s\"%s\n", plans[i].hf_name, name,
                       i + 1 < n ? "," : "");
    }
    strbuf_append_str(&json, "  }\n}\n");
    write_json(o, "model.safetensors.index.json", &json);
}

static void write_safetensors_model(const struct options *o, const struct plan *plans, size_t n)
{
    if (strlen(o->out) > 4096) stop("the folder's name is too long", "");
    if (mkdir(o->out, 0777) != 0 && errno != EEXIST) stop(o->out, strerror(errno));
    size_t first = 0;
    for (int64_t shard = 0; shard < o->shards; shard++) {
        size_t end = first;
        while (end < n && (int64_t)end * o->shards / (int64_t)n == shard) end++;
        write_shard(o, plans + first, end - first, shard);
        first = end;
    }
    if (o->shards > 1) write_index(o, plans, n);
    write_config(o);
}

int main(int argc, char **argv)
{
    struct options options;
    read_options(&options, argc, argv);
    check_options(&options);
    size_t n;
    struct plan *plans = make_plan(&options, &n);
    if (options.is_gguf)
        write_gguf_model(&options, plans, n);
    else
        write_safetensors_model(&options, plans, n);
    free(plans);
    return 0;
}
