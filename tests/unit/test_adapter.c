/* LoRA adapters: against the merged weights computed in double, for every family and both kinds of
 * files over both kinds of bases; over a quantised base; several on one base; what is refused. */
#include <math.h>

#include "engine/convert/convert.h"
#include "engine/engine.h"
#include "tests/support/model_writer.h"
#include "tests/support/reference_shapes.h"
#include "tests/unit/scratch.h"

#define MAX_DIFFERENCE 2e-4
#define N_TOKENS       70 /* over one pass */

/* ---- helpers ---- */

/* A file of the scratch folder; the path is good for some calls more. */
static const char *in_scratch(const char *name)
{
    static char paths[16][128];
    static int next;
    char *path = paths[next++ % 16];
    make_scratch();
    snprintf(path, sizeof paths[0], "%s/%s", scratch, name);
    remember(path);
    return path;
}

/* The folder of a PEFT adapter. */
static const char *peft_folder(void)
{
    const char *path = in_scratch("peft");
    mkdir(path, 0700);
    in_scratch("peft/adapter_config.json");
    in_scratch("peft/adapter_model.safetensors");
    return path;
}

static const char *write_base(const struct reference_decoder *r)
{
    in_scratch("config.json");
    in_scratch("model.safetensors");
    reference_write_safetensors(r, scratch);
    return scratch;
}

static struct engine *open_adapted(const char *path, const char *adapter, int n_threads)
{
    struct status st = {0};
    struct engine *engine = NULL;
    const struct engine_options options = {.model_path = path,
                                           .adapter_path = adapter,
                                           .compute = COMPUTE_F32,
                                           .n_threads = n_threads};
    ASSERT_OK(engine_open(&engine, &options, &st));
    return engine;
}

struct captured {
    float *logits; /* (N_TOKENS, n_vocab) */
    int n_vocab;
};

static void capture(void *user, int position, const float *logits)
{
    struct captured *c = user;
    memcpy(c->logits + (size_t)position * (size_t)c->n_vocab, logits,
           (size_t)c->n_vocab * sizeof *logits);
}

/* Logits (N_TOKENS, n_vocab), `step` tokens at a time. */
static float *logits_of(const struct engine *engine, int step)
{
    struct status st = {0};
    struct session *session = NULL;
    int32_t tokens[N_TOKENS];
    int n_vocab = engine_get_info(engine)->n_vocab;
    struct captured c = {calloc(N_TOKENS * (size_t)n_vocab, sizeof(float)), n_vocab};
    for (int i = 0; i < N_TOKENS; i++) tokens[i] = (i * 17 + i / 7) % n_vocab;
    ASSERT_OK(session_create(&session, engine, N_TOKENS, &st));
    for (int done = 0; done < N_TOKENS; done += step) {
        int end = done + step < N_TOKENS ? done + step : N_TOKENS;
        ASSERT_OK(session_eval(session, tokens, end, done, capture, &c, &st));
    }
    session_free(session);
    return c.logits;
}

static double *expected_logits(const struct reference_decoder *r)
{
    int32_t tokens[N_TOKENS];
    for (int i = 0; i < N_TOKENS; i++) tokens[i] = (i * 17 + i / 7) % r->vocab;
    return reference_logits(r, tokens, N_TOKENS);
}

static double worst_of(const float *ours, const double *expected, int n)
{
    double worst = 0;
    for (int i = 0; i < n; i++) {
        double difference = fabs((double)ours[i] - expected[i]);
        worst = difference <= worst ? worst : difference; /* NaN is worse than anything */
    }
    return worst;
}

static void compare(const char *base, const char *adapter, const struct reference_decoder *r,
                    const double *expected)
{
    struct engine *engine = open_adapted(base, adapter, 2);
    float *ours = logits_of(engine, N_TOKENS);
    double worst = worst_of(ours, expected, N_TOKENS * r->vocab);
    if (!(worst <= MAX_DIFFERENCE))
        fprintf(stderr, "  %s, %s over %s: differs by %g\n", r->model_type, adapter, base, worst);
    CU_ASSERT_TRUE(worst <= MAX_DIFFERENCE);
    free(ours);
    engine_free(engine);
}

static struct reference_decoder adapted_shape(const char *model_type)
{
    struct reference_decoder r = *reference_shape(model_type);
    r.lora_rank = 5;
    r.lora_scale = 0.4;
    return r;
}

/* ---- what it computes ---- */

/* The same merged, from either kind of base; GGUF cannot hold every window. */
static void compare_merged(const char *base, const char *adapter, const struct reference_decoder *r,
                           const double *expected)
{
    struct status st = {0};
    struct convert_result result;
    const char *merged = in_scratch("merged.gguf");
    const struct convert_options options = {
        .from = base, .to = merged, .adapter = adapter, .type = TENSOR_F32, .n_threads = 2};
    status_code code = model_convert(&options, &result, &st);
    if (code == STATUS_UNSUPPORTED && strstr(st.message, "windows")) return;
    ASSERT_OK(code);
    compare(merged, NULL, r, expected);
}

static void compare_shape(const struct reference_decoder *shape)
{
    struct reference_decoder r = *shape, plain = *shape;
    r.lora_rank = 5;
    r.lora_scale = 0.4;
    double *expected = expected_logits(&r), *base = expected_logits(&plain);
    double moved = 0;
    for (int i = 0; i < N_TOKENS * r.vocab; i++) moved = fmax(moved, fabs(expected[i] - base[i]));
    CU_ASSERT_TRUE(moved > 0.05);
    const char *peft = peft_folder(), *folder = write_base(&r);
    reference_write_peft(&r, peft);
    compare(folder, peft, &r, expected);
    if (r.architecture) {
        const char *adapter = in_scratch("lora.gguf"), *file = in_scratch("base.gguf");
        reference_write_gguf_adapter(&r, scratch, "lora.gguf");
        reference_write_gguf(&r, scratch, "base.gguf");
        compare(folder, adapter, &r, expected);
        compare(file, peft, &r, expected);
        compare(file, adapter, &r, expected);
        compare_merged(folder, adapter, &r, expected);
        compare_merged(file, peft, &r, expected);
    }
    free(expected);
    free(base);
}

static void test_families(void)
{
    for (size_t i = 0; i < reference_shape_count; i++) compare_shape(&reference_shapes[i]);
    for (uint64_t seed = 100; seed < 107; seed++) {
        struct reference_random random;
        reference_random_shape(&random, seed);
        compare_shape(&random.decoder);
    }
}

static void test_fused_base(void)
{
    struct reference_decoder r = adapted_shape("phi");
    const char *peft = peft_folder(), *file = in_scratch("base.gguf");
    double *expected = expected_logits(&r);
    r.fused_in_gguf = true;
    reference_write_peft(&r, peft);
    reference_write_gguf(&r, scratch, "base.gguf");
    compare(file, peft, &r, expected);
    free(expected);
}

/* A text model inside a multimodal one. */
static void test_prefixed_base(void)
{
    struct reference_decoder r = adapted_shape("gemma3_text");
    double *expected = expected_logits(&r);
    const char *peft = peft_folder();
    reference_write_peft(&r, peft);
    r.prefix = "language_model.model.";
    compare(write_base(&r), peft, &r, expected);
    free(expected);
}

/* What is no tensor of its own cannot be merged. */
static void test_not_merged(void)
{
    struct status st = {0};
    struct convert_result result;
    struct reference_decoder r = adapted_shape("phi");
    const char *peft = peft_folder(), *file = in_scratch("base.gguf");
    r.fused_in_gguf = true;
    reference_write_peft(&r, peft);
    reference_write_gguf(&r, scratch, "base.gguf");
    const struct convert_options options = {
        .from = file, .to = in_scratch("not_merged.gguf"), .adapter = peft, .type = TENSOR_F32};
    ASSERT_FAILS(model_convert(&options, &result, &st), STATUS_UNSUPPORTED,
                 "adapts 9 matrices that are no tensors of their own");
    CU_ASSERT_NOT_EQUAL(access(options.to, F_OK), 0);
}

static void convert_to(const char *from, const char *to, enum tensor_type type)
{
    struct status st = {0};
    struct convert_result result;
    const struct convert_options options = {.from = from, .to = to, .type = type, .n_threads = 1};
    ASSERT_OK(model_convert(&options, &result, &st));
}

/* Queries scaled by what GGUF has no key for: the file's Q is multiplied, and the adapter with it.
 */
static void test_scaled_queries(void)
{
    struct reference_decoder r = adapted_shape("gemma2");
    r.extra = "\"head_dim\": 8, \"query_pre_attn_scalar\": 20, \"sliding_window\": 5, "
              "\"attn_logit_softcapping\": 1.5, \"final_logit_softcapping\": 2, ";
    r.attention_scale = 1 / sqrt(20);
    double *expected = expected_logits(&r);
    const char *peft = peft_folder(), *folder = write_base(&r);
    const char *file = in_scratch("scaled.gguf"), *adapter = in_scratch("lora.gguf");
    reference_write_peft(&r, peft);
    reference_write_gguf_adapter(&r, scratch, "lora.gguf");
    convert_to(folder, file, TENSOR_F32);
    compare(folder, peft, &r, expected);
    compare(file, peft, &r, expected);
    compare(file, adapter, &r, expected);
    compare_merged(folder, peft, &r, expected);
    compare_merged(file, peft, &r, expected);
    free(expected);
}

/* The adapter adds to a quantised base what it adds to the numbers that the base stands for. */
static void test_quantised_base(void)
{
    struct reference_decoder r = adapted_shape("llama");
    const char *plain = in_scratch("base.gguf"), *quantised = in_scratch("quantised.gguf");
    const char *widened = in_scratch("widened.gguf"), *peft = peft_folder();
    r.d_model = 64;
    r.heads = r.kv_heads = 4;
    r.head_dim = 16;
    r.rope_dim = 16;
    r.d_ff = 96;
    reference_write_gguf(&r, scratch, "base.gguf");
    reference_write_peft(&r, peft);
    convert_to(plain, quantised, TENSOR_Q8_0);
    convert_to(quantised, widened, TENSOR_F32);
    struct engine *a = open_adapted(quantised, peft, 1), *b = open_adapted(widened, peft, 1);
    struct engine *base = open_adapted(quantised, NULL, 1);
    CU_ASSERT_STRING_EQUAL(engine_get_info(a)->quantisation, "Q8_0");
    float *one = logits_of(a, N_TOKENS), *two = logits_of(b, N_TOKENS);
    float *without = logits_of(base, N_TOKENS);
    double worst = 0, moved = 0;
    for (int i = 0; i < N_TOKENS * r.vocab; i++) {
        worst = fmax(worst, fabs((double)one[i] - (double)two[i]));
        moved = fmax(moved, fabs((double)one[i] - (double)without[i]));
    }
    CU_ASSERT_TRUE(worst <= MAX_DIFFERENCE);
    CU_ASSERT_TRUE(moved > 0.05);
    free(one), free(two), free(without);
    engine_free(a), engine_free(b), engine_free(base);
}

static void test_same_bits(void)
{
    static const int steps[] = {1, 3, 64, N_TOKENS};
    struct reference_decoder r = adapted_shape("llama");
    const char *peft = peft_folder();
    reference_write_peft(&r, peft);
    struct engine *one = open_adapted(write_base(&r), peft, 1);
    struct engine *three = open_adapted(scratch, peft, 3);
    size_t bytes = N_TOKENS * (size_t)r.vocab * sizeof(float);
    float *expected = logits_of(one, N_TOKENS);
    for (size_t k = 0; k < sizeof steps / sizeof *steps; k++) {
        float *logits = logits_of(k % 2 ? one : three, steps[k]);
        CU_ASSERT_EQUAL(memcmp(expected, logits, bytes), 0);
        free(logits);
    }
    free(expected);
    engine_free(one);
    engine_free(three);
}

/* Two adapters on one base: each as if it were alone, and the base as if there were none. */
static void test_several(void)
{
    struct status st = {0};
    struct reference_decoder r = adapted_shape("mistral"), other = r;
    const char *peft = peft_folder();
    struct engine *base = open_adapted(write_base(&r), NULL, 2), *first = NULL, *second = NULL;
    size_t bytes = N_TOKENS * (size_t)r.vocab * sizeof(float);
    float *before = logits_of(base, N_TOKENS);
    reference_write_peft(&r, peft);
    ASSERT_OK(engine_adapt(&first, base, peft, &st));
    other.lora_rank = 2;
    other.lora_seed = 9;
    reference_write_peft(&other, peft);
    ASSERT_OK(engine_adapt(&second, base, peft, &st));
    CU_ASSERT_EQUAL(engine_get_info(first)->adapter->rank, 5);
    CU_ASSERT_EQUAL(engine_get_info(second)->adapter->rank, 2);
    CU_ASSERT_PTR_NULL(engine_get_info(base)->adapter);
    ASSERT_FAILS(engine_adapt(&first, second, peft, &st), STATUS_USAGE, "one at a time");
    double *one = expected_logits(&r), *two = expected_logits(&other);
    float *a = logits_of(first, N_TOKENS), *b = logits_of(second, N_TOKENS);
    float *after = logits_of(base, N_TOKENS);
    CU_ASSERT_TRUE(worst_of(a, one, N_TOKENS * r.vocab) <= MAX_DIFFERENCE);
    CU_ASSERT_TRUE(worst_of(b, two, N_TOKENS * r.vocab) <= MAX_DIFFERENCE);
    CU_ASSERT_TRUE(worst_of(b, one, N_TOKENS * r.vocab) > 0.05);
    CU_ASSERT_EQUAL(memcmp(before, after, bytes), 0);
    free(before), free(after), free(a), free(b), free(one), free(two);
    engine_free(first);
    engine_free(second);
    engine_free(base);
}

/* ---- scales ---- */

static float *logits_with_config(const char *config)
{
    CU_ASSERT_TRUE(write_file(in_scratch("peft"), "adapter_config.json", config, strlen(config)));
    struct engine *engine = open_adapted(scratch, in_scratch("peft"), 1);
    float *logits = logits_of(engine, N_TOKENS);
    engine_free(engine);
    return logits;
}

static void test_scales(void)
{
    static const struct {
        const char *config;
        bool same; /* as r 4, alpha 8 */
    } cases[] = {
        {"{\"r\": 4, \"lora_alpha\": 8}", true},
        {"{\"r\": 4}", true}, /* peft's default alpha */
        {"{\"r\": 4, \"lora_alpha\": 4, \"use_rslora\": true, \"fan_in_fan_out\": true}", true},
        {"{\"r\": 4, \"lora_alpha\": 1, \"alpha_pattern\": {\".*\": 8}}", true},
        {"{\"r\": 1, \"rank_pattern\": {\".*_proj\": 4, \"lm_head\": 4}}", true},
        {"{\"r\": 4, \"alpha_pattern\": {\"proj\": 1, \"j\": 1, \"layers.0\": 1}}", true},
        {"{\"r\": 4, \"alpha_pattern\": {\"self_attn.q_proj\": 8, \"q_proj\": 1}}", true},
        {"{\"r\": 4, \"alpha_pattern\": {\"q_proj\": 1, \"self_attn.q_proj\": 8}}", false},
        {"{\"r\": 4, \"lora_alpha\": 9}", false},
        {"{\"r\": 4, \"lora_alpha\": 8, \"use_rslora\": true}", false},
        {"{\"r\": 4, \"alpha_pattern\": {\"layers.1.mlp.(up|down)_proj\": 3}}", false},
    };
    struct reference_decoder r = adapted_shape("mistral");
    r.lora_rank = 4;
    reference_write_peft(&r, peft_folder());
    write_base(&r);
    size_t bytes = N_TOKENS * (size_t)r.vocab * sizeof(float);
    float *expected = logits_with_config(cases[0].config);
    for (size_t i = 1; i < sizeof cases / sizeof *cases; i++) {
        float *logits = logits_with_config(cases[i].config);
        bool same = memcmp(expected, logits, bytes) == 0;
        if (same != cases[i].same) fprintf(stderr, "  %s\n", cases[i].config);
        CU_ASSERT_EQUAL(same, cases[i].same);
        free(logits);
    }
    free(expected);
}

static void test_info(void)
{
    struct status st = {0};
    struct adapter *adapter = NULL;
    char folder[SHA256_HEX_SIZE], again[SHA256_HEX_SIZE], file[SHA256_HEX_SIZE];
    struct reference_decoder r = adapted_shape("llama");
    const char *peft = peft_folder(), *gguf = in_scratch("lora.gguf");
    reference_write_peft(&r, peft);
    reference_write_gguf_adapter(&r, scratch, "lora.gguf");
    CU_ASSERT_TRUE(adapter_is_at(peft));
    CU_ASSERT_TRUE(adapter_is_at(gguf));
    CU_ASSERT_FALSE(adapter_is_at(write_base(&r)));
    ASSERT_OK(adapter_open(&adapter, peft, &st));
    const struct adapter_info *info = adapter_get_info(adapter);
    CU_ASSERT_STRING_EQUAL(info->format, "peft");
    CU_ASSERT_STRING_EQUAL(info->base, "some/base");
    CU_ASSERT_STRING_EQUAL(info->modules,
                           "down_proj, gate_proj, k_proj, o_proj, q_proj, up_proj, v_proj");
    CU_ASSERT_EQUAL(info->rank, 5);
    CU_ASSERT_EQUAL(info->n_pairs, 7 * (size_t)r.layers);
    CU_ASSERT_EQUAL(info->bytes, 4 * info->n_parameters);
    ASSERT_OK(adapter_sha256(adapter, folder, &st));
    adapter_free(adapter);
    r.lora_scale = 0.5;
    reference_write_peft(&r, peft);
    ASSERT_OK(adapter_open(&adapter, peft, &st));
    ASSERT_OK(adapter_sha256(adapter, again, &st)); /* the config is part of it */
    CU_ASSERT_STRING_NOT_EQUAL(folder, again);
    adapter_free(adapter);
    ASSERT_OK(adapter_open(&adapter, gguf, &st));
    CU_ASSERT_STRING_EQUAL(adapter_get_info(adapter)->architecture, "llama");
    CU_ASSERT_EQUAL(adapter_get_info(adapter)->n_pairs, 7 * (size_t)r.layers);
    ASSERT_OK(adapter_sha256(adapter, file, &st));
    adapter_free(adapter);
}

/* ---- what is refused ---- */

#define Q0 "base_model.model.model.layers.0.self_attn.q_proj"

struct half {
    const char *name, *dtype;
    uint64_t rows, cols;
    float value;
};

static void put_peft(const char *config, const struct half *halves, int n)
{
    struct safetensors_writer w;
    struct strbuf file, data;
    safetensors_writer_init(&w);
    strbuf_init(&file, 1 << 20);
    strbuf_init(&data, 1 << 20);
    for (int i = 0; i < n; i++) {
        const uint64_t shape[2] = {halves[i].rows, halves[i].cols};
        size_t count = (size_t)(shape[0] * shape[1]);
        safetensors_writer_tensor(&w, halves[i].name, halves[i].dtype, count * sizeof(float), 2,
                                  shape);
        for (size_t k = 0; k < count; k++)
            strbuf_append(&data, (const char *)&halves[i].value, sizeof halves[i].value);
    }
    safetensors_writer_header(&w, &file);
    strbuf_append(&file, data.data, data.length);
    const char *peft = peft_folder();
    CU_ASSERT_TRUE(write_file(peft, "adapter_config.json", config, strlen(config)));
    CU_ASSERT_TRUE(write_file(peft, "adapter_model.safetensors", file.data, file.length));
    safetensors_writer_release(&w);
    strbuf_release(&file);
    strbuf_release(&data);
}

static void refuse(const struct engine *base, status_code code, const char *says)
{
    struct status st = {0};
    struct engine *engine = NULL;
    ASSERT_FAILS(engine_adapt(&engine, base, in_scratch("peft"), &st), code, says);
    CU_ASSERT_PTR_NOT_NULL(strstr(st.message, scratch));
    CU_ASSERT_PTR_NULL(strchr(st.message, '\n'));
}

static void test_peft_configs(void)
{
    static const struct {
        const char *config;
        status_code code;
        const char *says;
    } cases[] = {
        {"{", STATUS_BAD_INPUT, "adapter_config.json"},
        {"{}", STATUS_BAD_INPUT, "\"r\""},
        {"{\"r\": 0}", STATUS_BAD_INPUT, "\"r\""},
        {"{\"r\": 1000000}", STATUS_BAD_INPUT, "\"r\""},
        {"{\"r\": 2, \"lora_alpha\": \"x\"}", STATUS_BAD_INPUT, "\"lora_alpha\""},
        {"{\"r\": 3}", STATUS_BAD_INPUT, "has rank 2, adapter_config.json says 3"},
        {"{\"r\": 2, \"peft_type\": \"IA3\"}", STATUS_UNSUPPORTED, "\"peft_type\" is \"IA3\""},
        {"{\"r\": 2, \"bias\": \"all\"}", STATUS_UNSUPPORTED, "\"bias\" is \"all\""},
        {"{\"r\": 2, \"use_dora\": true}", STATUS_UNSUPPORTED, "\"use_dora\""},
        {"{\"r\": 2, \"modules_to_save\": [\"lm_head\"]}", STATUS_UNSUPPORTED,
         "\"modules_to_save\""},
        {"{\"r\": 2, \"lora_bias\": true}", STATUS_UNSUPPORTED, "\"lora_bias\""},
        {"{\"r\": 2, \"trainable_token_indices\": [1]}", STATUS_UNSUPPORTED,
         "\"trainable_token_indices\""},
        {"{\"r\": 2, \"layer_replication\": [[0, 2]]}", STATUS_UNSUPPORTED, "layer_replication"},
        {"{\"r\": 2, \"init_lora_weights\": \"pissa_niter_16\"}", STATUS_UNSUPPORTED,
         "\"init_lora_weights\" is \"pissa_niter_16\""},
        {"{\"r\": 2, \"rank_pattern\": {\"(\": 2}}", STATUS_BAD_INPUT, "adapter_config.json"},
        {"{\"r\": 2, \"alpha_pattern\": {\"q_proj\": []}}", STATUS_BAD_INPUT, "q_proj"},
    };
    struct reference_decoder r = *reference_shape("mistral");
    struct engine *base = open_adapted(write_base(&r), NULL, 1);
    const struct half good[] = {{Q0 ".lora_A.weight", "F32", 2, (uint64_t)r.d_model, 0.5f},
                                {Q0 ".lora_B.weight", "F32", 30, 2, 0.5f}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        put_peft(cases[i].config, good, 2);
        refuse(base, cases[i].code, cases[i].says);
    }
    struct status st = {0};
    struct engine *engine = NULL;
    put_peft("{\"r\": 2, \"bias\": \"none\", \"use_dora\": false, \"modules_to_save\": null, "
             "\"init_lora_weights\": \"gaussian\", \"rank_pattern\": {}, \"lora_dropout\": 0.1}",
             good, 2);
    ASSERT_OK(engine_adapt(&engine, base, in_scratch("peft"), &st));
    engine_free(engine);
    remove(in_scratch("peft/adapter_model.safetensors"));
    ASSERT_FAILS(engine_adapt(&engine, base, in_scratch("peft"), &st), STATUS_NOT_FOUND,
                 "adapter_model.safetensors");
    engine_free(base);
}

static void test_peft_tensors(void)
{
    static const struct {
        struct half halves[4];
        int n;
        status_code code;
        const char *says;
    } cases[] = {
        {{{0}}, 0, STATUS_BAD_INPUT, "no pair"},
        {{{Q0 ".lora_A.weight", "F32", 2, 30, 1}}, 1, STATUS_BAD_INPUT, "only half A"},
        {{{Q0 ".lora_B.weight", "F32", 30, 2, 1}}, 1, STATUS_BAD_INPUT, "only half B"},
        {{{Q0 ".lora_A.weight", "F32", 2, 31, 1}, {Q0 ".lora_B.weight", "F32", 30, 2, 1}},
         2,
         STATUS_BAD_INPUT,
         "is (2, 31) and the base's matrix (30, 30): it was made for another base"},
        {{{Q0 ".lora_A.weight", "F32", 2, 30, 1}, {Q0 ".lora_B.weight", "F32", 29, 2, 1}},
         2,
         STATUS_BAD_INPUT,
         "is (29, 2) and the base's matrix (30, 30): it was made for another base"},
        {{{Q0 ".lora_A.weight", "F32", 30, 2, 1}, {Q0 ".lora_B.weight", "F32", 30, 2, 1}},
         2,
         STATUS_BAD_INPUT,
         "has rank 30"},
        {{{Q0 ".lora_A.weight", "F32", 2, 30, 1}, {Q0 ".lora_B.weight", "F32", 30, 3, 1}},
         2,
         STATUS_BAD_INPUT,
         "do not have one rank"},
        {{{Q0 ".lora_A.weight", "F32", 2, 30, 1}, {Q0 ".lora_B.weight", "F32", 30, 2, NAN}},
         2,
         STATUS_BAD_INPUT,
         "q_proj.lora_B.weight\" holds a number that is not finite"},
        {{{"base_model.model.model.layers.7.self_attn.q_proj.lora_A.weight", "F32", 2, 30, 1},
          {"base_model.model.model.layers.7.self_attn.q_proj.lora_B.weight", "F32", 30, 2, 1}},
         2,
         STATUS_BAD_INPUT,
         "is no matrix of this mistral model of 2 layers"},
        {{{"base_model.model.transformer.h.0.attn.c_attn.lora_A.weight", "F32", 2, 30, 1},
          {"base_model.model.transformer.h.0.attn.c_attn.lora_B.weight", "F32", 30, 2, 1}},
         2,
         STATUS_BAD_INPUT,
         "c_attn\" is no matrix"},
        {{{"base_model.model.model.embed_tokens.lora_A.weight", "F32", 2, 30, 1},
          {"base_model.model.model.embed_tokens.lora_B.weight", "F32", 45, 2, 1}},
         2,
         STATUS_BAD_INPUT,
         "embed_tokens\" is no matrix"},
        {{{"base_model.model.model.layers.0.input_layernorm.lora_A.weight", "F32", 2, 30, 1},
          {"base_model.model.model.layers.0.input_layernorm.lora_B.weight", "F32", 30, 2, 1}},
         2,
         STATUS_BAD_INPUT,
         "input_layernorm\" is no matrix"},
        {{{"base_model.model.model.embed_tokens.lora_embedding_A", "F32", 2, 45, 1}},
         1,
         STATUS_UNSUPPORTED,
         "is not half of a LoRA pair"},
        {{{Q0 ".lora_magnitude_vector.weight", "F32", 2, 45, 1}},
         1,
         STATUS_UNSUPPORTED,
         "is not half of a LoRA pair"},
        {{{Q0 ".lora_A.weight", "I32", 2, 30, 1}}, 1, STATUS_UNSUPPORTED, "has dtype I32"},
        {{{Q0 ".lora_A.weight", "F32", 2, 30, 1},
          {Q0 ".lora_B.weight", "F32", 30, 2, 1},
          {"base_model.model.language_model.model.layers.0.self_attn.q_proj.lora_A.weight", "F32",
           2, 30, 1}},
         3,
         STATUS_BAD_INPUT,
         "only half A"},
        {{{Q0 ".lora_A.weight", "F32", 2, 30, 1},
          {Q0 ".lora_B.weight", "F32", 30, 2, 1},
          {"base_model.model.language_model.model.layers.0.self_attn.q_proj.lora_A.weight", "F32",
           2, 30, 1},
          {"base_model.model.language_model.model.layers.0.self_attn.q_proj.lora_B.weight", "F32",
           30, 2, 1}},
         4,
         STATUS_BAD_INPUT,
         "is a matrix that another pair adapts"},
    };
    struct reference_decoder r = *reference_shape("mistral");
    struct engine *base = open_adapted(write_base(&r), NULL, 1);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        put_peft("{\"r\": 2}", cases[i].halves, cases[i].n);
        refuse(base, cases[i].code, cases[i].says);
    }
    engine_free(base);
}

static void put_gguf(const char *type, const char *kind, const char *architecture,
                     const char *tensor)
{
    struct gguf_writer w;
    struct strbuf file;
    const uint64_t shape[2] = {2, 32};
    strbuf_init(&file, 1 << 16);
    gguf_writer_init(&w);
    gguf_writer_text(&w, "general.architecture", architecture);
    gguf_writer_text(&w, "general.type", type);
    gguf_writer_text(&w, "adapter.type", kind);
    gguf_writer_f32(&w, "adapter.lora.alpha", 4);
    gguf_writer_tensor(&w, tensor, TENSOR_F32, 2, shape);
    gguf_writer_header(&w, &file);
    for (int i = 0; i < 2 * 32 * 4; i++) strbuf_append_char(&file, 0);
    in_scratch("bad.gguf");
    CU_ASSERT_TRUE(write_file(scratch, "bad.gguf", file.data, file.length));
    gguf_writer_release(&w);
    strbuf_release(&file);
}

static void test_gguf_refusals(void)
{
    static const struct {
        const char *type, *kind, *architecture, *tensor, *says;
        status_code code;
    } cases[] = {
        {"model", "lora", "llama", "blk.0.attn_q.weight.lora_a",
         "\"general.type\" is \"model\", expected \"adapter\"", STATUS_UNSUPPORTED},
        {"adapter", "control_vector", "llama", "blk.0.attn_q.weight.lora_a",
         "\"adapter.type\" is \"control_vector\"", STATUS_UNSUPPORTED},
        {"adapter", "lora", "llama", "blk.0.attn_q.weight.lora_c", "is not half of a LoRA pair",
         STATUS_UNSUPPORTED},
        {"adapter", "lora", "llama", "blk.0.attn_q.weight.lora_a", "only half A", STATUS_BAD_INPUT},
    };
    struct status st = {0};
    struct engine *base, *engine = NULL;
    struct reference_decoder r = adapted_shape("llama");
    base = open_adapted(write_base(&r), NULL, 1);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        put_gguf(cases[i].type, cases[i].kind, cases[i].architecture, cases[i].tensor);
        ASSERT_FAILS(engine_adapt(&engine, base, in_scratch("bad.gguf"), &st), cases[i].code,
                     cases[i].says);
        CU_ASSERT_PTR_NOT_NULL(strstr(st.message, "bad.gguf"));
    }
    engine_free(base);
    /* Another family's adapter says so before its shapes are looked at. */
    reference_write_gguf_adapter(&r, scratch, "lora.gguf");
    r = *reference_shape("gemma");
    base = open_adapted(write_base(&r), NULL, 1);
    ASSERT_FAILS(engine_adapt(&engine, base, in_scratch("lora.gguf"), &st), STATUS_BAD_INPUT,
                 "\"general.architecture\" is \"llama\", the base is gemma");
    ASSERT_FAILS(engine_adapt(&engine, base, in_scratch("nothing"), &st), STATUS_NOT_FOUND,
                 "nothing");
    engine_free(base);
}

static const struct test_case tests[] = {
    {"every family, as if merged, from both files over both", test_families},
    {"a base with Q, K and V in one matrix", test_fused_base},
    {"the text part of a multimodal base", test_prefixed_base},
    {"what cannot be merged", test_not_merged},
    {"a base whose queries were multiplied", test_scaled_queries},
    {"a quantised base", test_quantised_base},
    {"the same bits at any batch and thread count", test_same_bits},
    {"several adapters on one base", test_several},
    {"alpha, rank-stabilised scales, patterns", test_scales},
    {"what the files say", test_info},
    {"PEFT configs that cannot be honoured", test_peft_configs},
    {"PEFT tensors that do not fit", test_peft_tensors},
    {"GGUF adapters that do not fit", test_gguf_refusals},
};

SUITE("adapter", tests)
