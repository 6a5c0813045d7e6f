/* Every family against other implementations and against a plain computation in double at shapes of
 * our own choosing; configs that cannot be honoured; the same bits however a timeline is cut. */
#include <math.h>

#include "engine/backend_native.h"
#include "engine/base/json.h"
#include "engine/base/limits.h"
#include "engine/engine.h"
#include "tests/support/model_writer.h"
#include "tests/support/reference_decoder.h"
#include "tests/support/reference_shapes.h"
#include "tests/unit/count_allocations.h"
#include "tests/unit/scratch.h"

#define MAX_DIFFERENCE 2e-4
#define REFERENCES     "../shared/reference/logits"

/* ---- helpers ---- */

struct captured {
    float *logits; /* (n, n_vocab) */
    int n_vocab, count;
};

static void capture(void *user, int position, const float *logits)
{
    struct captured *c = user;
    memcpy(c->logits + (size_t)position * (size_t)c->n_vocab, logits,
           (size_t)c->n_vocab * sizeof *logits);
    c->count++;
}

static struct engine *open_model(const char *path, const char *kernels, int n_threads)
{
    struct status st = {0};
    struct engine *engine = NULL;
    struct engine_options options = {
        .model_path = path, .kernels = kernels, .compute = COMPUTE_F32, .n_threads = n_threads};
    ASSERT_OK(engine_open(&engine, &options, &st));
    return engine;
}

/* The first n logits rows; `step` tokens are added at a time. */
static float *decoder_logits(const struct engine *engine, const int32_t *tokens, int n, int step)
{
    struct status st = {0};
    struct session *session = NULL;
    int n_vocab = engine_get_info(engine)->n_vocab;
    struct captured c = {calloc((size_t)n * (size_t)n_vocab, sizeof(float)), n_vocab, 0};
    ASSERT_OK(session_create(&session, engine, n, &st));
    for (int done = 0; done < n; done += step) {
        int end = done + step < n ? done + step : n;
        ASSERT_OK(session_eval(session, tokens, end, done, capture, &c, &st));
    }
    CU_ASSERT_EQUAL(c.count, n);
    session_free(session);
    return c.logits;
}

static float *encoder_logits(const struct engine *engine, const int32_t *tokens, int n)
{
    struct status st = {0};
    struct session *session = NULL;
    float *logits = calloc((size_t)engine_get_info(engine)->n_labels, sizeof *logits);
    ASSERT_OK(session_create(&session, engine, 0, &st));
    ASSERT_OK(session_classify(session, tokens, n, logits, &st));
    session_free(session);
    return logits;
}

static int read_tokens(const char *path, int32_t *tokens, int max)
{
    struct status st = {0};
    struct json_value *root = NULL;
    int n = 0;
    ASSERT_OK(json_parse_file(&root, path, LIMIT_JSON_BYTES, &st));
    for (const struct json_value *v = json_first(root); v && n < max; v = json_next(v))
        tokens[n++] = (int32_t)json_number(v);
    json_free(root);
    return n;
}

static int argmax(const double *x, int n)
{
    int best = 0;
    for (int i = 1; i < n; i++)
        if (x[i] > x[best]) best = i;
    return best;
}

/* Rows of equal argmax and no number further off than MAX_DIFFERENCE. */
static void compare(const char *name, const float *ours, const double *expected, int rows, int n)
{
    double worst = 0, *wide = malloc((size_t)n * sizeof *wide);
    int moved = 0;
    for (int t = 0; t < rows; t++) {
        for (int i = 0; i < n; i++) {
            wide[i] = (double)ours[t * n + i];
            double difference = fabs(wide[i] - expected[t * n + i]);
            worst = difference <= worst ? worst : difference; /* NaN is worse than anything */
        }
        moved += argmax(wide, n) != argmax(expected + t * n, n);
    }
    if (!(worst <= MAX_DIFFERENCE) || moved)
        fprintf(stderr, "  %s: differs by %g, argmax at %d rows\n", name, worst, moved);
    CU_ASSERT_TRUE(worst <= MAX_DIFFERENCE);
    CU_ASSERT_EQUAL(moved, 0);
    free(wide);
}

/* ---- against others ---- */

static const struct {
    const char *name;
    bool gguf;
} decoders[] = {
    {"gemma1-tiny", false},
    {"gemma2-tiny", false},
    {"gemma3-tiny", false},
    {"gemma3-tiny-linear-rope", false},
    {"llama-tiny", false},
    {"mistral-tiny-sharded", false},
    {"mistral-tiny-window", false},
    {"phi2-tiny", false},
    {"gguf-gemma", true},
    {"gguf-gemma2", true},
    {"gguf-gemma3", true},
    {"gguf-llama", true},
    {"gguf-mistral", true},
    {"gguf-phi2", true},
    {"quant-f16", true},
    {"quant-bf16", true},
    {"quant-q80", true},
};
#define DECODER_COUNT (sizeof decoders / sizeof *decoders)

static const char *const encoders[] = {"bert-tiny", "roberta-tiny", "distilbert-tiny"};

static double *read_reference(const char *name, int rows, int n)
{
    char path[256];
    struct status st = {0};
    struct strbuf bytes;
    strbuf_init(&bytes, 1 << 26);
    snprintf(path, sizeof path, REFERENCES "/%s/logits.f32", name);
    ASSERT_OK(strbuf_read_file(&bytes, path, &st));
    size_t count = (size_t)rows * (size_t)n;
    CU_ASSERT_EQUAL_FATAL(bytes.length, count * sizeof(float));
    double *values = malloc(count * sizeof *values);
    for (size_t i = 0; i < count; i++) {
        float value;
        memcpy(&value, bytes.data + i * sizeof value, sizeof value);
        values[i] = (double)value;
    }
    strbuf_release(&bytes);
    return values;
}

static void compare_with_reference(const char *name, bool gguf, const char *kernels)
{
    char path[256];
    int32_t tokens[512];
    snprintf(path, sizeof path, REFERENCES "/%s/tokens.json", name);
    int n = read_tokens(path, tokens, 512);
    snprintf(path, sizeof path, REFERENCES "/%s%s", name, gguf ? "/model.gguf" : "");
    struct engine *engine = open_model(path, kernels, 2);
    const struct engine_info *info = engine_get_info(engine);
    int rows = info->is_encoder ? 1 : n;
    int columns = info->is_encoder ? info->n_labels : info->n_vocab;
    float *ours =
        info->is_encoder ? encoder_logits(engine, tokens, n) : decoder_logits(engine, tokens, n, n);
    double *expected = read_reference(name, rows, columns);
    compare(name, ours, expected, rows, columns);
    free(ours);
    free(expected);
    engine_free(engine);
}

static void test_reference_logits(void)
{
    if (!shared_path("reference/logits")) return;
    for (int k = 0; k < 2; k++) {
        const char *kernels = k ? "auto" : "generic";
        for (size_t i = 0; i < DECODER_COUNT; i++)
            compare_with_reference(decoders[i].name, decoders[i].gguf, kernels);
        for (size_t i = 0; i < sizeof encoders / sizeof *encoders; i++)
            compare_with_reference(encoders[i], false, kernels);
    }
}

/* ---- against the plain computation, at other shapes ---- */

#define N_TOKENS 70 /* over two blocks of the cache, and over every window below */

static void make_tokens(int32_t *tokens, int n, int n_vocab)
{
    for (int i = 0; i < n; i++) tokens[i] = (i * 17 + i / 7) % n_vocab;
}

/* A file of the scratch folder, which is removed at the end. */
static const char *in_scratch(const char *name)
{
    static char path[128];
    make_scratch();
    snprintf(path, sizeof path, "%s/%s", scratch, name);
    remember(path);
    return path;
}

static const char *write_folder(const struct reference_decoder *r)
{
    in_scratch("config.json");
    in_scratch("model.safetensors");
    reference_write_safetensors(r, scratch);
    return scratch;
}

static void compare_with_plain(const char *path, const struct reference_decoder *r)
{
    int32_t tokens[N_TOKENS];
    make_tokens(tokens, N_TOKENS, r->vocab);
    double *expected = reference_logits(r, tokens, N_TOKENS);
    for (int k = 0; k < 2; k++) {
        struct engine *engine = open_model(path, k ? "auto" : "generic", 2);
        float *ours = decoder_logits(engine, tokens, N_TOKENS, N_TOKENS);
        compare(r->model_type, ours, expected, N_TOKENS, r->vocab);
        free(ours);
        engine_free(engine);
    }
    free(expected);
}

static void test_other_shapes(void)
{
    for (size_t i = 0; i < reference_shape_count; i++) {
        compare_with_plain(write_folder(&reference_shapes[i]), &reference_shapes[i]);
        if (!reference_shapes[i].architecture) continue;
        const char *path = in_scratch("model.gguf");
        reference_write_gguf(&reference_shapes[i], scratch, "model.gguf");
        compare_with_plain(path, &reference_shapes[i]);
    }
}

#define RANDOM_SHAPES 24

/* Shapes that nobody chose. */
static void test_random_shapes(void)
{
    for (uint64_t seed = 0; seed < RANDOM_SHAPES; seed++) {
        struct reference_random random;
        reference_random_shape(&random, seed);
        compare_with_plain(write_folder(&random.decoder), &random.decoder);
        if (!random.decoder.architecture) continue;
        const char *path = in_scratch("model.gguf");
        reference_write_gguf(&random.decoder, scratch, "model.gguf");
        compare_with_plain(path, &random.decoder);
    }
}

/* Weights in each type that is written, computed in f32: what the plain computation makes of the
 * values that they stand for. */
static void test_typed_shapes(void)
{
    static const enum tensor_type types[] = {TENSOR_BF16, TENSOR_Q8_0, TENSOR_Q4_K,
                                             TENSOR_F16,  TENSOR_Q4_0, TENSOR_Q6_K};
    for (size_t i = 0; i < reference_shape_count; i++) {
        struct reference_decoder r;
        if (!reference_typed_shape(&r, i, types[i % 6])) continue;
        const char *path = in_scratch("model.gguf");
        reference_write_gguf(&r, scratch, "model.gguf");
        compare_with_plain(path, &r);
    }
}

/* Early GGUF files of Phi-2 keep Q, K and V in one matrix. */
static void test_fused(void)
{
    struct reference_decoder r = *reference_shape("phi");
    const char *path = in_scratch("model.gguf");
    r.fused_in_gguf = true;
    reference_write_gguf(&r, scratch, "model.gguf");
    compare_with_plain(path, &r);
}

/* A Granite file without its factors is a Llama. */
static void test_granite_without_factors(void)
{
    struct reference_decoder r = *reference_shape("granite");
    const char *path = in_scratch("model.gguf");
    r.embedding_scale = 1;
    r.attention_scale = 0.5; /* of heads of 4 */
    r.residual_scale = r.logit_divisor = 0;
    reference_write_gguf(&r, scratch, "model.gguf");
    compare_with_plain(path, &r);
}

/* The text part of a multimodal checkpoint, under both generations of names. */
static void test_multimodal(void)
{
    static const char *const prefixes[] = {"language_model.model.", "model.language_model."};
    for (int i = 0; i < 2; i++) {
        struct reference_decoder r = *reference_shape("gemma3_text");
        struct status st = {0};
        struct strbuf inner, outer;
        r.prefix = prefixes[i];
        write_folder(&r);
        strbuf_init(&inner, 1 << 16);
        strbuf_init(&outer, 1 << 16);
        ASSERT_OK(strbuf_read_file(&inner, in_scratch("config.json"), &st));
        strbuf_appendf(&outer,
                       "{\"model_type\": \"gemma3\", \"vision_config\": {\"hidden_size\": 7}, "
                       "\"text_config\": %s}",
                       inner.data);
        CU_ASSERT_TRUE(write_file(scratch, "config.json", outer.data, outer.length));
        compare_with_plain(scratch, &r);
        strbuf_release(&inner);
        strbuf_release(&outer);
    }
}

/* ---- against itself ---- */

static void test_cuts(void)
{
    static const int steps[] = {1, 3, 64, N_TOKENS};
    int32_t tokens[N_TOKENS];
    for (size_t i = 0; i < reference_shape_count; i++) {
        make_tokens(tokens, N_TOKENS, reference_shapes[i].vocab);
        size_t bytes = N_TOKENS * (size_t)reference_shapes[i].vocab * sizeof(float);
        struct engine *one = open_model(write_folder(&reference_shapes[i]), "auto", 1);
        struct engine *three = open_model(scratch, "auto", 3);
        float *expected = decoder_logits(one, tokens, N_TOKENS, N_TOKENS);
        for (size_t k = 0; k < sizeof steps / sizeof *steps; k++) {
            float *logits = decoder_logits(k % 2 ? one : three, tokens, N_TOKENS, steps[k]);
            CU_ASSERT_EQUAL(memcmp(expected, logits, bytes), 0);
            free(logits);
        }
        free(expected);
        engine_free(one);
        engine_free(three);
    }
}

/* The same of the products that are not f32: from BF16 of every width, and from types of blocks. */
static void check_typed_cuts(const char *path, const struct reference_decoder *r)
{
    static const struct {
        const char *kernels;
        int n_threads, step;
    } runs[] = {{"auto", 1, 1}, {"auto", 3, 33}, {"generic", 2, 1}};
    int32_t tokens[N_TOKENS];
    float *expected[2] = {NULL, NULL}; /* of "auto" and "generic", which may round differently */
    make_tokens(tokens, N_TOKENS, r->vocab);
    for (size_t k = 0; k < sizeof runs / sizeof *runs; k++) {
        struct status st = {0};
        struct engine *engine = NULL;
        struct engine_options options = {.model_path = path,
                                         .kernels = runs[k].kernels,
                                         .compute = COMPUTE_AUTO,
                                         .n_threads = runs[k].n_threads};
        ASSERT_OK(engine_open(&engine, &options, &st));
        float **whole = &expected[*runs[k].kernels == 'g'];
        if (!*whole) *whole = decoder_logits(engine, tokens, N_TOKENS, N_TOKENS);
        float *logits = decoder_logits(engine, tokens, N_TOKENS, runs[k].step);
        CU_ASSERT_EQUAL(memcmp(*whole, logits, (size_t)(N_TOKENS * r->vocab) * sizeof(float)), 0);
        if (*runs[k].kernels == 'g')
            CU_ASSERT_STRING_NOT_EQUAL(engine_get_info(engine)->compute, "f32");
        free(logits);
        engine_free(engine);
    }
    free(expected[0]), free(expected[1]);
}

/* BF16 and Q8_0 in every shape, the other types in turn. */
static void test_typed_cuts(void)
{
    static const enum tensor_type others[] = {TENSOR_Q4_0, TENSOR_Q4_K, TENSOR_Q6_K};
    for (size_t i = 0; i < reference_shape_count; i++) {
        struct reference_decoder r = reference_shapes[i];
        const enum tensor_type types[] = {TENSOR_Q8_0, others[i % 3]};
        r.type = TENSOR_BF16;
        check_typed_cuts(write_folder(&r), &r);
        for (size_t k = 0; k < 2; k++) {
            if (!reference_typed_shape(&r, i, types[k])) continue;
            const char *path = in_scratch("model.gguf");
            reference_write_gguf(&r, scratch, "model.gguf");
            check_typed_cuts(path, &r);
        }
    }
}

static void test_no_allocation(void)
{
    int32_t tokens[N_TOKENS];
    struct status st = {0};
    for (size_t i = 0; i < reference_shape_count; i++) {
        struct session *session = NULL;
        struct engine *engine = open_model(write_folder(&reference_shapes[i]), "auto", 1);
        make_tokens(tokens, N_TOKENS, reference_shapes[i].vocab);
        ASSERT_OK(session_create(&session, engine, N_TOKENS, &st));
        ASSERT_OK(session_eval(session, tokens, 1, 1, NULL, NULL, &st));
        size_t before = allocations;
        ASSERT_OK(session_eval(session, tokens, N_TOKENS - 9, N_TOKENS, NULL, NULL, &st));
        for (int n = N_TOKENS - 8; n <= N_TOKENS; n++)
            ASSERT_OK(session_eval(session, tokens, n, n, NULL, NULL, &st));
        CU_ASSERT_EQUAL(allocations, before);
        session_free(session);
        engine_free(engine);
    }
}

/* A window that nothing reaches past is none; a shorter one shows from its first excluded key on.
 */
static void test_window(void)
{
    static const char *const windows[] = {"\"sliding_window\": null, ", "\"sliding_window\": 70, ",
                                          "\"sliding_window\": 69, "};
    struct reference_decoder r = *reference_shape("mistral");
    int32_t tokens[N_TOKENS];
    float *logits[3];
    make_tokens(tokens, N_TOKENS, r.vocab);
    for (int i = 0; i < 3; i++) {
        r.extra = windows[i];
        struct engine *engine = open_model(write_folder(&r), "auto", 1);
        logits[i] = decoder_logits(engine, tokens, N_TOKENS, N_TOKENS);
        engine_free(engine);
    }
    size_t row = (size_t)r.vocab * sizeof(float), last = (N_TOKENS - 1) * (size_t)r.vocab;
    CU_ASSERT_EQUAL(memcmp(logits[0], logits[1], N_TOKENS * row), 0);
    CU_ASSERT_EQUAL(memcmp(logits[0], logits[2], (N_TOKENS - 1) * row), 0);
    CU_ASSERT_NOT_EQUAL(memcmp(logits[0] + last, logits[2] + last, row), 0);
    for (int i = 0; i < 3; i++) free(logits[i]);
}

/* ---- what cannot run ---- */

static void test_configs(void)
{
    static const struct {
        const char *model_type, *extra;
        status_code code;
        const char *says;
    } cases[] = {
        {"gemma", "\"hidden_activation\": \"relu\", ", STATUS_UNSUPPORTED, "hidden_activation"},
        {"gemma", "\"attention_bias\": true, ", STATUS_UNSUPPORTED, "attention_bias"},
        {"gemma2", "\"use_bidirectional_attention\": true, ", STATUS_UNSUPPORTED,
         "use_bidirectional_attention"},
        {"gemma2", "\"query_pre_attn_scalar\": 0, ", STATUS_BAD_INPUT, "attention scale"},
        {"gemma2", "\"attn_logit_softcapping\": -1, ", STATUS_BAD_INPUT, "attn_logit_softcapping"},
        {"gemma3_text", "\"layer_types\": [\"full_attention\"], ", STATUS_BAD_INPUT, "layer_types"},
        {"mistral", "\"layer_types\": [\"full_attention\", \"chunked_attention\"], ",
         STATUS_UNSUPPORTED, "chunked_attention"},
        {"mistral", "\"sliding_window\": -4, ", STATUS_BAD_INPUT, "sliding_window"},
        {"llama", "\"hidden_act\": \"gelu\", ", STATUS_UNSUPPORTED, "hidden_act"},
        {"llama", "\"attention_bias\": true, ", STATUS_UNSUPPORTED, "attention_bias"},
        {"llama", "\"mlp_bias\": true, ", STATUS_UNSUPPORTED, "mlp_bias"},
        {"llama", "\"num_local_experts\": 8, ", STATUS_UNSUPPORTED, "num_local_experts"},
        {"llama", "\"rope_scaling\": {\"rope_type\": \"yarn\", \"factor\": 4}, ",
         STATUS_UNSUPPORTED, "\"rope_scaling\": \"rope_type\" is \"yarn\""},
        {"llama", "\"rope_scaling\": {\"type\": \"linear\"}, ", STATUS_BAD_INPUT, "factor"},
        {"llama", "\"rope_scaling\": {\"type\": \"linear\", \"factor\": 0}, ", STATUS_BAD_INPUT,
         "factor"},
        {"llama", "\"rope_theta\": 0, ", STATUS_BAD_INPUT, "RoPE base"},
        {"llama", "\"num_key_value_heads\": 2, ", STATUS_BAD_INPUT, "evenly"},
        {"llama", "\"head_dim\": 5, ", STATUS_BAD_INPUT, "odd"},
        {"llama", "\"quantization_config\": {\"bits\": 4}, ", STATUS_UNSUPPORTED,
         "quantization_config"},
        {"phi", "\"qk_layernorm\": true, ", STATUS_UNSUPPORTED, "qk_layernorm"},
        {"phi", "\"hidden_act\": \"relu\", ", STATUS_UNSUPPORTED, "hidden_act"},
        {"phi", "\"partial_rotary_factor\": 1.5, ", STATUS_BAD_INPUT, "partial_rotary_factor"},
        {"phi", "\"partial_rotary_factor\": 0.55, ", STATUS_BAD_INPUT, "odd"},
        {"qwen3", "\"attention_bias\": true, ", STATUS_UNSUPPORTED, "attention_bias"},
        {"granite", "\"mlp_bias\": true, ", STATUS_UNSUPPORTED, "mlp_bias"},
        {"granite", "\"residual_multiplier\": 0, ", STATUS_BAD_INPUT, "residual scale"},
        {"granite", "\"logits_scaling\": -8, ", STATUS_BAD_INPUT, "logit scale"},
        {"granite", "\"attention_multiplier\": 1e300, ", STATUS_BAD_INPUT, "attention scale"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct reference_decoder r = *reference_shape(cases[i].model_type);
        struct status st = {0};
        struct engine *engine;
        r.extra = cases[i].extra;
        struct engine_options options = {.model_path = write_folder(&r)};
        ASSERT_FAILS(engine_open(&engine, &options, &st), cases[i].code, cases[i].says);
        CU_ASSERT_PTR_NOT_NULL(strstr(st.message, "config.json"));
    }
}

/* Weights that are missing, and weights that the family would leave out. */
static void test_weights(void)
{
    struct status st = {0};
    struct engine *engine;
    struct reference_decoder r = *reference_shape("qwen3");
    char config[1024];
    r.model_type = "mixtral";
    struct engine_options options = {.model_path = write_folder(&r)};
    ASSERT_FAILS(engine_open(&engine, &options, &st), STATUS_UNSUPPORTED, "\"mixtral\"; can run");
    r.model_type = "llama";
    write_folder(&r);
    ASSERT_FAILS(engine_open(&engine, &options, &st), STATUS_UNSUPPORTED, "k_norm.weight\" is no");
    r = *reference_shape("llama");
    write_folder(&r);
    int n = snprintf(config, sizeof config,
                     "{\"model_type\": \"llama\", \"hidden_size\": %d, \"num_hidden_layers\": %d, "
                     "\"num_attention_heads\": %d, \"intermediate_size\": %d, \"vocab_size\": %d}",
                     r.d_model, r.layers, r.heads, r.d_ff, r.vocab);
    /* Llama's head is its own unless the config says otherwise. */
    CU_ASSERT_TRUE(write_file(scratch, "config.json", config, (size_t)n));
    ASSERT_FAILS(engine_open(&engine, &options, &st), STATUS_BAD_INPUT,
                 "\"lm_head.weight\" is missing");
    r.llama3[0] = (double)INFINITY;
    options.model_path = in_scratch("model.gguf");
    reference_write_gguf(&r, scratch, "model.gguf");
    ASSERT_FAILS(engine_open(&engine, &options, &st), STATUS_BAD_INPUT, "rope_freqs.weight");
}

/* ---- encoders ---- */

static void test_encoder_api(void)
{
    if (!shared_path("reference/logits")) return;
    struct status st = {0};
    struct session *session;
    struct backend *backend;
    int32_t tokens[100] = {0};
    float logits[64];
    struct engine *bert = open_model(REFERENCES "/bert-tiny", "auto", 1);
    const struct engine_info *info = engine_get_info(bert);
    CU_ASSERT_TRUE(info->is_encoder && info->is_multilabel);
    CU_ASSERT_EQUAL(info->n_labels, 6);
    CU_ASSERT_STRING_EQUAL(engine_label(bert, 4), "insult");
    ASSERT_FAILS(session_create(&session, bert, 65, &st), STATUS_LIMIT, "64 positions");
    ASSERT_OK(session_create(&session, bert, 0, &st));
    ASSERT_FAILS(session_classify(session, tokens, 65, logits, &st), STATUS_LIMIT, "65 tokens");
    ASSERT_FAILS(session_classify(session, tokens, 0, logits, &st), STATUS_BAD_INPUT, "no tokens");
    ASSERT_FAILS(session_eval(session, tokens, 3, 0, NULL, NULL, &st), STATUS_UNSUPPORTED,
                 "no next token");
    tokens[1] = 300;
    ASSERT_FAILS(session_classify(session, tokens, 3, logits, &st), STATUS_BAD_INPUT, "id 300");
    struct backend_native_options options = {0};
    ASSERT_FAILS(backend_native_open(&backend, bert, &options, &st), STATUS_UNSUPPORTED,
                 "writes no replies");
    session_free(session);
    engine_free(bert);
    struct engine *roberta = open_model(REFERENCES "/roberta-tiny", "auto", 1);
    CU_ASSERT_FALSE(engine_get_info(roberta)->is_multilabel);
    CU_ASSERT_EQUAL(engine_get_info(roberta)->n_context, 64); /* of 66, from 2 on */
    engine_free(roberta);
    struct engine *llama = open_model(REFERENCES "/llama-tiny", "auto", 1);
    ASSERT_OK(session_create(&session, llama, 8, &st));
    ASSERT_FAILS(session_classify(session, tokens, 3, logits, &st), STATUS_UNSUPPORTED,
                 "no classification head");
    session_free(session);
    engine_free(llama);
}

/* One tensor of a DistilBERT of width 8 whose positions are all zero. */
struct distilbert_file {
    struct safetensors_writer writer;
    struct strbuf data;
    uint32_t state;
};

static void put_tensor(struct distilbert_file *f, const char *name, int rows, int cols)
{
    const uint64_t shape[2] = {(uint64_t)rows, (uint64_t)cols};
    int n = rows * (cols ? cols : 1);
    safetensors_writer_tensor(&f->writer, name, "F32", (uint64_t)n * sizeof(float), cols ? 2 : 1,
                              shape);
    for (int i = 0; i < n; i++) {
        f->state = f->state * 1664525u + 1013904223u;
        float value = strstr(name, "position") ? 0 : (float)(f->state >> 8) / (1 << 23) - 1;
        strbuf_append(&f->data, (const char *)&value, sizeof value);
    }
}

static void put_distilbert(struct distilbert_file *f)
{
    static const struct {
        const char *name;
        int rows, cols;
    } tensors[] = {
        {"distilbert.embeddings.word_embeddings", 30, 8},
        {"distilbert.embeddings.position_embeddings", 200, 8},
        {"distilbert.embeddings.LayerNorm", 8, 0},
        {"distilbert.transformer.layer.0.attention.q_lin", 8, 8},
        {"distilbert.transformer.layer.0.attention.k_lin", 8, 8},
        {"distilbert.transformer.layer.0.attention.v_lin", 8, 8},
        {"distilbert.transformer.layer.0.attention.out_lin", 8, 8},
        {"distilbert.transformer.layer.0.sa_layer_norm", 8, 0},
        {"distilbert.transformer.layer.0.ffn.lin1", 12, 8},
        {"distilbert.transformer.layer.0.ffn.lin2", 8, 12},
        {"distilbert.transformer.layer.0.output_layer_norm", 8, 0},
        {"distilbert.transformer.layer.1.attention.q_lin", 8, 8},
        {"distilbert.transformer.layer.1.attention.k_lin", 8, 8},
        {"distilbert.transformer.layer.1.attention.v_lin", 8, 8},
        {"distilbert.transformer.layer.1.attention.out_lin", 8, 8},
        {"distilbert.transformer.layer.1.sa_layer_norm", 8, 0},
        {"distilbert.transformer.layer.1.ffn.lin1", 12, 8},
        {"distilbert.transformer.layer.1.ffn.lin2", 8, 12},
        {"distilbert.transformer.layer.1.output_layer_norm", 8, 0},
        {"pre_classifier", 8, 8},
        {"classifier", 3, 8},
    };
    for (size_t i = 0; i < sizeof tensors / sizeof *tensors; i++) {
        char name[128];
        snprintf(name, sizeof name, "%s.weight", tensors[i].name);
        put_tensor(f, name, tensors[i].rows, tensors[i].cols);
        snprintf(name, sizeof name, "%s.bias", tensors[i].name);
        if (!strstr(name, "_embeddings.bias")) put_tensor(f, name, tensors[i].rows, 0);
    }
}

/* Where positions say nothing, a text written twice is the same text: every average over it stays.
 * The longer one takes several passes of the feed-forward block. */
static void test_long_text(void)
{
    static const char config[] =
        "{\"model_type\": \"distilbert\", \"dim\": 8, \"n_layers\": 2, \"n_heads\": 2, "
        "\"hidden_dim\": 12, \"vocab_size\": 30, \"max_position_embeddings\": 200, "
        "\"num_labels\": 3}";
    struct distilbert_file f = {.state = 5};
    struct strbuf bytes;
    int32_t tokens[160];
    in_scratch("config.json");
    in_scratch("model.safetensors");
    strbuf_init(&f.data, 1 << 20);
    strbuf_init(&bytes, 1 << 20);
    safetensors_writer_init(&f.writer);
    put_distilbert(&f);
    safetensors_writer_header(&f.writer, &bytes);
    strbuf_append(&bytes, f.data.data, f.data.length);
    CU_ASSERT_TRUE(write_file(scratch, "config.json", config, sizeof config - 1));
    CU_ASSERT_TRUE(write_file(scratch, "model.safetensors", bytes.data, bytes.length));
    struct engine *engine = open_model(scratch, "auto", 2);
    CU_ASSERT_STRING_EQUAL(engine_label(engine, 2), "LABEL_2");
    make_tokens(tokens, 80, 30);
    memcpy(tokens + 80, tokens, 80 * sizeof *tokens);
    float *once = encoder_logits(engine, tokens, 80), *twice = encoder_logits(engine, tokens, 160);
    for (int i = 0; i < 3; i++) CU_ASSERT_DOUBLE_EQUAL((double)once[i], (double)twice[i], 1e-5);
    CU_ASSERT_NOT_EQUAL(once[0], once[1]);
    free(once), free(twice);
    engine_free(engine);
    safetensors_writer_release(&f.writer);
    strbuf_release(&f.data);
    strbuf_release(&bytes);
}

static const struct test_case tests[] = {
    {"logits equal those of other implementations", test_reference_logits},
    {"logits at other shapes equal a plain computation", test_other_shapes},
    {"logits at shapes drawn at random too", test_random_shapes},
    {"logits of every type of weights too", test_typed_shapes},
    {"fused Q, K and V", test_fused},
    {"Granite in GGUF without its factors", test_granite_without_factors},
    {"the text part of multimodal checkpoints", test_multimodal},
    {"cuts and threads do not change a bit", test_cuts},
    {"nor of products from BF16 and from quantised weights", test_typed_cuts},
    {"a forward pass allocates nothing", test_no_allocation},
    {"windows exclude what they should", test_window},
    {"configs that cannot run name the field", test_configs},
    {"weights that are missing or left over", test_weights},
    {"encoders: labels and refusals", test_encoder_api},
    {"encoders: texts longer than a pass", test_long_text},
};
SUITE("families", tests)
