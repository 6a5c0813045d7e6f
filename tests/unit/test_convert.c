/* A converted file gives the logits of its source, and a conversion that fails leaves nothing. */
#include <math.h>

#include "engine/base/json.h"
#include "engine/base/limits.h"
#include "engine/convert/convert.h"
#include "engine/engine.h"
#include "engine/gguf/gguf.h"
#include "tests/support/model_writer.h"
#include "tests/support/reference_shapes.h"
#include "tests/unit/scratch.h"

#define DEMO_MODEL "datasets/demo/model.gguf"
#define REFERENCE  "../shared/reference/logits/"
#define MAX_TOKENS 24

/* ---- helpers ---- */

static const char *scratch_path(const char *name)
{
    static char paths[4][160];
    static int next;
    char *path = paths[next++ % 4];
    make_scratch();
    snprintf(path, sizeof paths[0], "%s/%s", scratch, name);
    remember(path);
    return path;
}

static double convert(const char *from, const char *to, enum tensor_type type, int n_threads)
{
    struct status st = {0};
    struct convert_result result;
    struct convert_options options = {.from = from, .to = to, .type = type, .n_threads = n_threads};
    ASSERT_OK(model_convert(&options, &result, &st));
    CU_ASSERT_TRUE(result.n_tensors > 0 && result.n_values > 0 && result.bytes > 0);
    return result.nmse;
}

struct captured {
    float *logits;
    int n_vocab;
};

static void capture(void *user, int position, const float *logits)
{
    struct captured *c = user;
    memcpy(c->logits + (size_t)position * (size_t)c->n_vocab, logits,
           (size_t)c->n_vocab * sizeof *logits);
}

/* Logits (n, n_vocab) of the ids 5, 12, 19, ... */
static float *logits_of(const char *path, int n, int *n_vocab)
{
    struct status st = {0};
    struct engine *engine = NULL;
    struct session *session = NULL;
    struct engine_options options = {.model_path = path, .compute = COMPUTE_F32, .n_threads = 2};
    int32_t tokens[MAX_TOKENS];
    ASSERT_OK(engine_open(&engine, &options, &st));
    *n_vocab = engine_get_info(engine)->n_vocab;
    for (int i = 0; i < n; i++) tokens[i] = (5 + 7 * i) % *n_vocab;
    struct captured c = {calloc((size_t)n * (size_t)*n_vocab, sizeof(float)), *n_vocab};
    CU_ASSERT_PTR_NOT_NULL_FATAL(c.logits);
    ASSERT_OK(session_create(&session, engine, n, &st));
    ASSERT_OK(session_eval(session, tokens, n, 0, capture, &c, &st));
    session_free(session);
    engine_free(engine);
    return c.logits;
}

struct difference {
    double worst, nmse;
    bool same_bits;
};

static struct difference compare_models(const char *a, const char *b)
{
    int n_vocab, other;
    float *x = logits_of(a, MAX_TOKENS, &n_vocab), *y = logits_of(b, MAX_TOKENS, &other);
    CU_ASSERT_EQUAL_FATAL(n_vocab, other);
    size_t n = (size_t)MAX_TOKENS * (size_t)n_vocab;
    struct difference d = {.same_bits = !memcmp(x, y, n * sizeof *x)};
    double error = 0, power = 0;
    for (size_t i = 0; i < n; i++) {
        double e = (double)x[i] - (double)y[i];
        d.worst = fmax(d.worst, fabs(e));
        error += e * e;
        power += (double)x[i] * (double)x[i];
    }
    d.nmse = error / power;
    free(x);
    free(y);
    return d;
}

/* ---- what is written ---- */

/* Bounds of the weights' squared error over their square: twice those of engine/quants/README.md,
 * since trained weights have more outliers than the normal distribution that those are for.  What
 * that does to logits depends on the model; under a quarter, it is still recognisably it. */
static void test_requantised_demo(void)
{
    static const struct {
        enum tensor_type type;
        double nmse;
    } stated[] = {{TENSOR_F32, 0},     {TENSOR_F16, 1e-7},  {TENSOR_BF16, 5e-6},
                  {TENSOR_Q8_0, 4e-5}, {TENSOR_Q6_K, 4e-4}, {TENSOR_Q4_K, 6e-3},
                  {TENSOR_Q4_0, 8e-3}};
    const char *to = scratch_path("demo.gguf");
    for (size_t i = 0; i < sizeof stated / sizeof stated[0]; i++) {
        double nmse = convert(DEMO_MODEL, to, stated[i].type, 2);
        struct difference d = compare_models(DEMO_MODEL, to);
        if (nmse > 2 * stated[i].nmse || d.nmse > 0.25)
            fprintf(stderr, "%s: weights %g, logits %g\n", tensor_type_any_name(stated[i].type),
                    nmse, d.nmse);
        CU_ASSERT_TRUE(nmse <= 2 * stated[i].nmse);
        CU_ASSERT_TRUE(d.nmse < 0.25);
        CU_ASSERT_TRUE(stated[i].nmse > 0 || d.same_bits);
    }
}

static void test_types(void)
{
    struct status st = {0};
    struct gguf *file = NULL;
    const char *to = scratch_path("types.gguf");
    convert(DEMO_MODEL, to, TENSOR_Q4_K, 1);
    ASSERT_OK(gguf_open(&file, to, &st));
    int64_t file_type = 0;
    ASSERT_OK(gguf_get_int(file, "general.file_type", 0, 100, &file_type, &st));
    CU_ASSERT_EQUAL(file_type, 14);
    /* The embedding is also the output here. */
    CU_ASSERT_EQUAL(gguf_tensor(file, "token_embd.weight")->type, TENSOR_Q6_K);
    CU_ASSERT_EQUAL(gguf_tensor(file, "blk.0.ffn_up.weight")->type, TENSOR_Q4_K);
    CU_ASSERT_EQUAL(gguf_tensor(file, "blk.0.attn_norm.weight")->type, TENSOR_F32);
    gguf_free(file);
}

static void test_vocabulary_is_kept(void)
{
    struct status st = {0};
    struct tokenizer *a = NULL, *b = NULL;
    const char *to = scratch_path("vocabulary.gguf");
    convert(DEMO_MODEL, to, TENSOR_Q4_0, 2);
    ASSERT_OK(tokenizer_load(&a, DEMO_MODEL, &st));
    ASSERT_OK(tokenizer_load(&b, to, &st));
    CU_ASSERT_STRING_EQUAL(tokenizer_get_info(a)->sha256, tokenizer_get_info(b)->sha256);
    tokenizer_free(a);
    tokenizer_free(b);
}

static void test_threads_do_not_matter(void)
{
    struct status st = {0};
    char one[SHA256_HEX_SIZE], four[SHA256_HEX_SIZE];
    const char *to = scratch_path("threads.gguf");
    convert(DEMO_MODEL, to, TENSOR_Q4_K, 1);
    ASSERT_OK(sha256_file(to, one, &st));
    convert(DEMO_MODEL, to, TENSOR_Q4_K, 4);
    ASSERT_OK(sha256_file(to, four, &st));
    CU_ASSERT_STRING_EQUAL(one, four);
}

/* Directories of every family; llama's rows change places, so that sums run in another order, and
 * a scalar that GGUF has no key for is multiplied into the weights. */
static void test_reference_directories(void)
{
    static const struct {
        const char *name;
        enum tensor_type own;
        bool exact;
    } models[] = {
        {"gemma1-tiny", TENSOR_BF16, true},         {"gemma2-tiny", TENSOR_F32, false},
        {"gemma3-tiny", TENSOR_BF16, true},         {"gemma3-tiny-linear-rope", TENSOR_F32, false},
        {"llama-tiny", TENSOR_F32, false},          {"mistral-tiny-sharded", TENSOR_F32, false},
        {"mistral-tiny-window", TENSOR_F32, false}, {"phi2-tiny", TENSOR_F32, true}};
    if (!shared_path("reference/logits")) return;
    const char *to = scratch_path("reference.gguf");
    for (size_t i = 0; i < sizeof models / sizeof models[0]; i++) {
        char from[128];
        snprintf(from, sizeof from, REFERENCE "%s", models[i].name);
        convert(from, to, models[i].own, 2);
        struct difference d = compare_models(from, to);
        if (d.worst > 1e-4) fprintf(stderr, "%s: differs by %g\n", from, d.worst);
        CU_ASSERT_TRUE(d.worst <= 1e-4);
        CU_ASSERT_TRUE(d.same_bits || !models[i].exact);
        convert(from, to, TENSOR_Q8_0, 2);
        d = compare_models(from, to);
        CU_ASSERT_TRUE(d.nmse > 0 && d.nmse < 1e-2);
    }
}

/* Shapes of our own, of every family that GGUF has a name for. */
static void test_shapes(void)
{
    const char *to = scratch_path("shape.gguf");
    scratch_path("config.json");
    scratch_path("model.safetensors");
    for (size_t i = 0; i < reference_shape_count; i++) {
        if (!reference_shapes[i].architecture) continue;
        reference_write_safetensors(&reference_shapes[i], scratch);
        convert(scratch, to, TENSOR_F32, 2);
        double worst = compare_models(scratch, to).worst;
        if (worst > 1e-4)
            fprintf(stderr, "%s: differs by %g\n", reference_shapes[i].model_type, worst);
        CU_ASSERT_TRUE(worst <= 1e-4);
    }
}

/* Llama 3's frequencies are a field in one format and a tensor in the other. */
static void test_llama3_frequencies(void)
{
    struct status st = {0};
    struct strbuf weights, config;
    char from[160];
    const char *path = shared_path("reference/logits/llama-tiny/model.safetensors");
    if (!path) return;
    strbuf_init(&weights, 1 << 24);
    strbuf_init(&config, 1 << 16);
    ASSERT_OK(strbuf_read_file(&weights, path, &st));
    ASSERT_OK(strbuf_read_file(&config, REFERENCE "llama-tiny/config.json", &st));
    strbuf_truncate(&config, (size_t)(strrchr(config.data, '}') - config.data));
    strbuf_append_str(&config, ", \"rope_scaling\": {\"rope_type\": \"llama3\", \"factor\": 8, "
                               "\"low_freq_factor\": 1, \"high_freq_factor\": 4, "
                               "\"original_max_position_embeddings\": 16}}");
    put("llama3/model.safetensors", weights.data, weights.length);
    put("llama3/config.json", config.data, config.length);
    snprintf(from, sizeof from, "%s/llama3", scratch);
    const char *to = scratch_path("llama3.gguf");
    convert(from, to, TENSOR_F32, 1);
    CU_ASSERT_TRUE(compare_models(from, to).worst <= 1e-4);
    CU_ASSERT_TRUE(compare_models(REFERENCE "llama-tiny", to).worst > 1e-2);
    strbuf_release(&weights);
    strbuf_release(&config);
}

/* ---- what is refused ---- */

#define CONFIG(model_type, vocab)                                                                  \
    "{\"model_type\": \"" model_type "\", \"hidden_size\": 32, \"num_hidden_layers\": 1, "         \
    "\"num_attention_heads\": 1, \"num_key_value_heads\": 1, \"head_dim\": 32, "                   \
    "\"intermediate_size\": 32, \"vocab_size\": " vocab ", \"max_position_embeddings\": 64, "      \
    "\"hidden_act\": \"gelu_pytorch_tanh\"}"

/* A Gemma of one layer whose norm of the feed-forward block holds `special`. */
static const char *put_model(float special)
{
    static const struct {
        const char *name;
        int rows;
    } tensors[] = {{"model.embed_tokens.weight", 32},
                   {"model.norm.weight", 0},
                   {"model.layers.0.input_layernorm.weight", 0},
                   {"model.layers.0.self_attn.q_proj.weight", 32},
                   {"model.layers.0.self_attn.k_proj.weight", 32},
                   {"model.layers.0.self_attn.v_proj.weight", 32},
                   {"model.layers.0.self_attn.o_proj.weight", 32},
                   {"model.layers.0.post_attention_layernorm.weight", 0},
                   {"model.layers.0.mlp.gate_proj.weight", 32},
                   {"model.layers.0.mlp.up_proj.weight", 32},
                   {"model.layers.0.mlp.down_proj.weight", 32}};
    enum { N = sizeof tensors / sizeof tensors[0] };
    static char folder[160];
    struct safetensors_writer w;
    struct strbuf file;
    const uint64_t matrix[2] = {32, 32};
    safetensors_writer_init(&w);
    strbuf_init(&file, 1 << 20);
    for (int i = 0; i < N; i++)
        safetensors_writer_tensor(&w, tensors[i].name, "F32", tensors[i].rows ? 4096 : 128,
                                  tensors[i].rows ? 2 : 1, matrix);
    safetensors_writer_header(&w, &file);
    for (int i = 0; i < N; i++)
        for (int v = 0; v < (tensors[i].rows ? 1024 : 32); v++) {
            float value = (float)((v * 37 + i) % 64 - 32) / 64.0f;
            if (i == 8 && v == 40) value = special;
            strbuf_append(&file, (const char *)&value, sizeof value);
        }
    put("model/model.safetensors", file.data, file.length);
    PUT("model/config.json", CONFIG("gemma", "32"));
    strbuf_release(&file);
    safetensors_writer_release(&w);
    snprintf(folder, sizeof folder, "%s/model", scratch);
    return folder;
}

static status_code try_convert(const char *from, const char *to, enum tensor_type type,
                               struct status *st)
{
    struct convert_result result;
    struct convert_options options = {.from = from, .to = to, .type = type, .n_threads = 1};
    *st = (struct status){0};
    return model_convert(&options, &result, st);
}

static void test_values_that_do_not_fit(void)
{
    struct status st = {0};
    const char *to = scratch_path("fit.gguf");
    char before[SHA256_HEX_SIZE], after[SHA256_HEX_SIZE];
    ASSERT_OK(try_convert(put_model(0.5f), to, TENSOR_Q8_0, &st));
    ASSERT_OK(sha256_file(to, before, &st));
    ASSERT_FAILS(try_convert(put_model(NAN), to, TENSOR_Q8_0, &st), STATUS_BAD_INPUT,
                 "mlp.gate_proj.weight\" has a value in row 1 that Q8_0 cannot hold");
    ASSERT_FAILS(try_convert(put_model(1e6f), to, TENSOR_F16, &st), STATUS_BAD_INPUT,
                 "F16 cannot hold");
    ASSERT_OK(try_convert(put_model(1e6f), scratch_path("bf16.gguf"), TENSOR_BF16, &st));
    /* What was there is still there, and nothing else is. */
    ASSERT_OK(sha256_file(to, after, &st));
    CU_ASSERT_STRING_EQUAL(before, after);
    CU_ASSERT_TRUE(access(scratch_path("fit.gguf.part"), F_OK) != 0);
}

static void test_refusals(void)
{
    struct status st = {0};
    const char *to = scratch_path("refused.gguf");
    const char *from = put_model(0.5f);
    ASSERT_FAILS(try_convert(from, scratch, TENSOR_F16, &st), STATUS_USAGE, "not a regular file");
    ASSERT_FAILS(try_convert(from, "/nonexistent/x.gguf", TENSOR_F16, &st), STATUS_IO,
                 "/nonexistent/x.gguf");
    ASSERT_FAILS(try_convert("/nonexistent", to, TENSOR_F16, &st), STATUS_NOT_FOUND,
                 "/nonexistent");
    PUT("model/config.json", CONFIG("nosuch", "32"));
    ASSERT_FAILS(try_convert(from, to, TENSOR_F16, &st), STATUS_UNSUPPORTED, "nosuch");
    PUT("model/config.json", CONFIG("gemma", "33"));
    ASSERT_FAILS(try_convert(from, to, TENSOR_F16, &st), STATUS_BAD_INPUT, "embed_tokens");
    PUT("model/config.json", CONFIG("gemma", "32"));
    PUT("model/tokenizer.json", "{");
    ASSERT_FAILS(try_convert(from, to, TENSOR_F16, &st), STATUS_BAD_INPUT, "tokenizer.json");
    unlink(scratch_path("model/tokenizer.json"));
    ASSERT_FAILS(try_convert(PUT("short.gguf", "GGUF\3"), to, TENSOR_F16, &st), STATUS_BAD_INPUT,
                 "short.gguf: ends inside");
    CU_ASSERT_TRUE(access(to, F_OK) != 0);
    CU_ASSERT_TRUE(access(scratch_path("refused.gguf.part"), F_OK) != 0);
}

static const struct test_case tests[] = {
    {"the demo model in every type stays inside its error", test_requantised_demo},
    {"types follow the rules", test_types},
    {"the vocabulary is kept", test_vocabulary_is_kept},
    {"bytes do not depend on threads", test_threads_do_not_matter},
    {"directories of every family give their source's logits", test_reference_directories},
    {"other shapes give their source's logits", test_shapes},
    {"Llama 3's scaled frequencies are kept", test_llama3_frequencies},
    {"what a type cannot hold is refused, and the old file kept", test_values_that_do_not_fit},
    {"bad sources and targets are refused by name", test_refusals},
};
SUITE("convert", tests)
