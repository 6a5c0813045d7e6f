/* Every type that is read, against a dequantisation written value by value from the description of
 * the formats, and against logits that another program computed; every type that is written,
 * against stated bounds of its error and against what llama-quantize makes of the same model. */
#include <math.h>

#include "engine/base/json.h"
#include "engine/base/limits.h"
#include "engine/base/rng.h"
#include "engine/engine.h"
#include "engine/gguf/gguf.h"
#include "engine/quants/quants.h"
#include "tests/unit/suite.h"

#define MAX_DIFFERENCE 2e-4
#define LOGITS         "reference/logits/"

/* ---- one value at a time, from raw bytes ---- */

/* The half at a byte offset, written down as IEEE 754 defines it. */
static float half_at(const uint8_t *b, int offset)
{
    int bits = b[offset] + 256 * b[offset + 1];
    int exponent = bits / 1024 % 32, fraction = bits % 1024;
    double magnitude = exponent ? ldexp(1024 + fraction, exponent - 25) : ldexp(fraction, -24);
    return (float)(bits >= 32768 ? -magnitude : magnitude);
}

/* `width` bits that start `bit` bits into the bytes at an offset, lowest bit of a byte first. */
static int bits_at(const uint8_t *b, int offset, int bit, int width)
{
    int value = 0;
    for (int k = 0; k < width; k++, bit++) value += (b[offset + bit / 8] >> bit % 8 & 1) << k;
    return value;
}

/* The nibble of value i where byte i holds values i and i + 16. */
static int nibble_of_32(const uint8_t *b, int offset, int i)
{
    return bits_at(b, offset + i % 16, i < 16 ? 0 : 4, 4);
}

/* The nibble of value i where runs of 64 lie in 32 bytes, the first 32 values in the low nibbles.
 */
static int nibble_of_64(const uint8_t *b, int offset, int i)
{
    return bits_at(b, offset + i / 64 * 32 + i % 32, i % 64 < 32 ? 0 : 4, 4);
}

/* Two bits of value i where runs of 128 lie in 32 bytes, four values to a byte. */
static int pair_of_128(const uint8_t *b, int offset, int i)
{
    return bits_at(b, offset + i / 128 * 32 + i % 32, i % 128 / 32 * 2, 2);
}

static float q4_0(const uint8_t *b, int i)
{
    return (float)(nibble_of_32(b, 2, i) - 8) * half_at(b, 0);
}

static float q4_1(const uint8_t *b, int i)
{
    return (float)nibble_of_32(b, 4, i) * half_at(b, 0) + half_at(b, 2);
}

static float q5_0(const uint8_t *b, int i)
{
    return (float)(nibble_of_32(b, 6, i) + 16 * bits_at(b, 2, i, 1) - 16) * half_at(b, 0);
}

static float q5_1(const uint8_t *b, int i)
{
    return (float)(nibble_of_32(b, 8, i) + 16 * bits_at(b, 4, i, 1)) * half_at(b, 0) +
           half_at(b, 2);
}

static float q8_0(const uint8_t *b, int i)
{
    return (float)(b[2 + i] < 128 ? b[2 + i] : b[2 + i] - 256) * half_at(b, 0);
}

static float q2_k(const uint8_t *b, int i)
{
    float scale = half_at(b, 80) * (float)(b[i / 16] % 16);
    float min = half_at(b, 82) * (float)(b[i / 16] / 16);
    return scale * (float)pair_of_128(b, 16, i) - min;
}

static float q3_k(const uint8_t *b, int i)
{
    int sub = i / 16;
    int scale = bits_at(b, 96 + sub % 8, sub < 8 ? 0 : 4, 4) +
                16 * bits_at(b, 104 + sub % 4, sub / 4 * 2, 2) - 32;
    int q = pair_of_128(b, 32, i) + 4 * bits_at(b, i % 32, i / 32, 1) - 4;
    return half_at(b, 108) * (float)scale * (float)q;
}

/* The six-bit scale (which = 0) or min (which = 1) of sub-block s of Q4_K and Q5_K: whole in byte
 * s or 4 + s for the first four, else a nibble of byte 4 + s and the spare bits of byte s - 4. */
static int six_bits(const uint8_t *b, int s, int which)
{
    if (s < 4) return b[4 + s + 4 * which] % 64;
    return bits_at(b, 4 + 4 + s, 4 * which, 4) + 16 * bits_at(b, 4 + s - 4 + 4 * which, 6, 2);
}

static float q4_k(const uint8_t *b, int i)
{
    float scale = half_at(b, 0) * (float)six_bits(b, i / 32, 0);
    float min = half_at(b, 2) * (float)six_bits(b, i / 32, 1);
    return scale * (float)nibble_of_64(b, 16, i) - min;
}

static float q5_k(const uint8_t *b, int i)
{
    float scale = half_at(b, 0) * (float)six_bits(b, i / 32, 0);
    float min = half_at(b, 2) * (float)six_bits(b, i / 32, 1);
    int q = nibble_of_64(b, 48, i) + 16 * bits_at(b, 16 + i % 32, i / 32, 1);
    return scale * (float)q - min;
}

static float q6_k(const uint8_t *b, int i)
{
    int low = bits_at(b, i / 128 * 64 + i % 64, i % 128 < 64 ? 0 : 4, 4);
    int scale = b[192 + i / 16] < 128 ? b[192 + i / 16] : b[192 + i / 16] - 256;
    return half_at(b, 208) * (float)scale * (float)(low + 16 * pair_of_128(b, 128, i) - 32);
}

static const int levels[] = {-127, -104, -83, -65, -49, -35, -22, -10,
                             1,    13,   25,  38,  53,  69,  89,  113};

static float iq4_nl(const uint8_t *b, int i)
{
    return half_at(b, 0) * (float)levels[nibble_of_32(b, 2, i)];
}

static float iq4_xs(const uint8_t *b, int i)
{
    int sub = i / 32;
    int scale = bits_at(b, 4, 4 * sub, 4) + 16 * bits_at(b, 2, 2 * sub, 2) - 32;
    return half_at(b, 0) * (float)scale * (float)levels[nibble_of_32(b, 8 + 16 * sub, i % 32)];
}

static const struct {
    enum tensor_type type;
    size_t values, bytes;
    float (*value)(const uint8_t *block, int i);
    int halves[2]; /* where the block's halves are; -1 for none */
} formats[] = {
    {TENSOR_Q4_0, 32, 18, q4_0, {0, -1}},     {TENSOR_Q4_1, 32, 20, q4_1, {0, 2}},
    {TENSOR_Q5_0, 32, 22, q5_0, {0, -1}},     {TENSOR_Q5_1, 32, 24, q5_1, {0, 2}},
    {TENSOR_Q8_0, 32, 34, q8_0, {0, -1}},     {TENSOR_Q2_K, 256, 84, q2_k, {80, 82}},
    {TENSOR_Q3_K, 256, 110, q3_k, {108, -1}}, {TENSOR_Q4_K, 256, 144, q4_k, {0, 2}},
    {TENSOR_Q5_K, 256, 176, q5_k, {0, 2}},    {TENSOR_Q6_K, 256, 210, q6_k, {208, -1}},
    {TENSOR_IQ4_NL, 32, 18, iq4_nl, {0, -1}}, {TENSOR_IQ4_XS, 256, 136, iq4_xs, {0, -1}},
};
#define N_FORMATS (sizeof formats / sizeof formats[0])

/* Any bytes are a block; its halves are made finite by clearing the top bit of the exponent. */
static void draw_blocks(uint8_t *bytes, size_t n_blocks, size_t format, struct rng *rng)
{
    size_t size = formats[format].bytes;
    for (size_t i = 0; i < n_blocks * size; i++) bytes[i] = (uint8_t)(rng_next(rng) >> 56);
    for (size_t b = 0; b < n_blocks; b++)
        for (int h = 0; h < 2; h++)
            if (formats[format].halves[h] >= 0)
                bytes[b * size + (size_t)formats[format].halves[h] + 1] &= 0xbf;
}

static void test_independent_dequantisation(void)
{
    enum { BLOCKS = 64 };
    static uint8_t bytes[BLOCKS * 210 + 1];
    static float got[BLOCKS * 256];
    struct rng rng;
    rng_seed(&rng, 20);
    for (size_t f = 0; f < N_FORMATS; f++) {
        const struct tensor_type_info *info = tensor_type_find(formats[f].type);
        CU_ASSERT_PTR_NOT_NULL_FATAL(info);
        CU_ASSERT_EQUAL(info->block_values, formats[f].values);
        CU_ASSERT_EQUAL(info->block_bytes, formats[f].bytes);
        draw_blocks(bytes + 1, BLOCKS, f, &rng);
        info->to_f32(got, bytes + 1, BLOCKS * info->block_values); /* unaligned on purpose */
        int n_wrong = 0;
        for (size_t i = 0; i < BLOCKS * info->block_values; i++) {
            const uint8_t *block = bytes + 1 + i / info->block_values * info->block_bytes;
            float want = formats[f].value(block, (int)(i % info->block_values));
            n_wrong += memcmp(&want, &got[i], sizeof want) != 0;
        }
        if (n_wrong) fprintf(stderr, "%s: %d values differ\n", info->name, n_wrong);
        CU_ASSERT_EQUAL(n_wrong, 0);
    }
}

static void test_table(void)
{
    static const enum tensor_type written[] = {TENSOR_F32,  TENSOR_F16,  TENSOR_BF16, TENSOR_Q8_0,
                                               TENSOR_Q4_0, TENSOR_Q4_K, TENSOR_Q6_K};
    size_t n = 0, n_written = 0;
    for (const struct tensor_type_info *info; (info = tensor_type_at(n)) != NULL; n++) {
        CU_ASSERT_PTR_EQUAL(tensor_type_find(info->type), info);
        CU_ASSERT_STRING_EQUAL(tensor_type_any_name(info->type), info->name);
        n_written += info->from_f32 != NULL;
    }
    CU_ASSERT_EQUAL(n, 3 + N_FORMATS);
    CU_ASSERT_EQUAL(n_written, sizeof written / sizeof written[0]);
    for (size_t i = 0; i < n_written; i++)
        CU_ASSERT_PTR_NOT_NULL(tensor_type_find(written[i])->from_f32);
}

/* ---- logits of another program ---- */

struct comparison {
    const float *expected; /* (n, n_vocab) */
    int n_vocab, n_seen, n_other_argmax;
    double worst, error, power;
};

static int argmax(const float *x, int n)
{
    int best = 0;
    for (int i = 1; i < n; i++)
        if (x[i] > x[best]) best = i;
    return best;
}

static void compare(void *user, int position, const float *logits)
{
    struct comparison *c = user;
    const float *want = c->expected + (size_t)position * (size_t)c->n_vocab;
    c->n_seen++;
    c->n_other_argmax += argmax(logits, c->n_vocab) != argmax(want, c->n_vocab);
    for (int i = 0; i < c->n_vocab; i++) {
        double difference = (double)logits[i] - (double)want[i];
        c->worst = fmax(c->worst, fabs(difference));
        c->error += difference * difference;
        c->power += (double)want[i] * (double)want[i];
    }
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

static struct comparison compare_logits(const char *name, const char *kernels,
                                        enum compute_type compute)
{
    char path[256];
    struct status st = {0};
    struct engine *engine = NULL;
    struct session *session = NULL;
    struct strbuf file;
    int32_t tokens[512];
    strbuf_init(&file, 1 << 26);
    snprintf(path, sizeof path, "../shared/" LOGITS "%s/tokens.json", name);
    int n = read_tokens(path, tokens, 512);
    snprintf(path, sizeof path, "../shared/" LOGITS "%s/logits.f32", name);
    ASSERT_OK(strbuf_read_file(&file, path, &st));
    snprintf(path, sizeof path, "../shared/" LOGITS "%s/model.gguf", name);
    struct engine_options options = {
        .model_path = path, .kernels = kernels, .compute = compute, .n_threads = 1};
    ASSERT_OK(engine_open(&engine, &options, &st));
    ASSERT_OK(session_create(&session, engine, n, &st));
    struct comparison c = {.n_vocab = engine_get_info(engine)->n_vocab};
    CU_ASSERT_EQUAL_FATAL(file.length, (size_t)n * (size_t)c.n_vocab * sizeof(float));
    float *expected = malloc(file.length);
    CU_ASSERT_PTR_NOT_NULL_FATAL(expected);
    memcpy(expected, file.data, file.length);
    c.expected = expected;
    ASSERT_OK(session_eval(session, tokens, n, 0, compare, &c, &st));
    CU_ASSERT_EQUAL(c.n_seen, n);
    free(expected);
    session_free(session);
    engine_free(engine);
    strbuf_release(&file);
    return c;
}

static void compare_exactly(const char *name, const char *kernels)
{
    struct comparison c = compare_logits(name, kernels, COMPUTE_F32);
    if (c.n_other_argmax || c.worst > MAX_DIFFERENCE)
        fprintf(stderr, "%s (%s): %d argmax differ, logits by %g\n", name, kernels,
                c.n_other_argmax, c.worst);
    CU_ASSERT_EQUAL(c.n_other_argmax, 0);
    CU_ASSERT_TRUE(c.worst <= MAX_DIFFERENCE);
}

static void test_reference_logits(void)
{
    static const char *const names[] = {"f16", "bf16", "q80",  "q40",  "q41", "q50",   "q51",
                                        "q2k", "q3km", "q4km", "q5km", "q6k", "iq4nl", "iq4xs"};
    if (!shared_path(LOGITS)) return;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char name[64];
        snprintf(name, sizeof name, "quant-%s", names[i]);
        compare_exactly(name, "auto");
        compare_exactly(name, "generic");
    }
}

/* What products that are not f32 cost: the bounds that README.md of engine/quants states. */
static void test_fast_logits(void)
{
    static const struct {
        const char *name;
        double nmse;
    } cases[] = {{"quant-bf16", 1e-4}, {"quant-q80", 1e-3},  {"quant-q40", 1e-3},
                 {"quant-q4km", 1e-3}, {"quant-q6k", 1e-3},  {"quant-f16", 1e-10},
                 {"quant-q2k", 1e-10}, {"quant-q50", 1e-10}, {"quant-iq4xs", 1e-10}};
    static const char *const sets[] = {"auto", "generic"};
    if (!shared_path(LOGITS)) return;
    for (size_t i = 0; i < 2 * sizeof cases / sizeof cases[0]; i++) {
        struct comparison c = compare_logits(cases[i / 2].name, sets[i % 2], COMPUTE_AUTO);
        double nmse = c.error / c.power;
        if (!(nmse <= cases[i / 2].nmse))
            fprintf(stderr, "%s (%s): nmse %g\n", cases[i / 2].name, sets[i % 2], nmse);
        CU_ASSERT_TRUE(nmse <= cases[i / 2].nmse);
    }
}

/* ---- writing ---- */

/* Error power over signal power of to_f32(from_f32(x)). */
static double round_trip_nmse(enum tensor_type type, const float *x, size_t n)
{
    const struct tensor_type_info *info = tensor_type_find(type);
    unsigned char *bytes = malloc(tensor_type_bytes(type, n));
    float *back = malloc(n * sizeof *back);
    CU_ASSERT_TRUE_FATAL(bytes && back);
    info->from_f32(bytes, x, n);
    info->to_f32(back, bytes, n);
    double error = 0, power = 0;
    for (size_t i = 0; i < n; i++) {
        error += pow((double)back[i] - (double)x[i], 2);
        power += pow((double)x[i], 2);
    }
    free(bytes);
    free(back);
    return power > 0 ? error / power : error;
}

/* Sums of uniforms stand in for normal weights. */
static void fill_normal(float *values, size_t n, uint64_t seed)
{
    struct rng rng;
    rng_seed(&rng, seed);
    for (size_t i = 0; i < n; i++) {
        double sum = -6.0;
        for (int k = 0; k < 12; k++) sum += rng_uniform(&rng);
        values[i] = (float)(0.02 * sum);
    }
}

/* The bounds that README.md of engine/quants states. */
static const struct {
    enum tensor_type type;
    double nmse;
    const char *published; /* the same model, quantised by llama-quantize; NULL for none */
} bounds[] = {
    {TENSOR_F32, 0, NULL},      {TENSOR_F16, 1e-7, NULL},   {TENSOR_BF16, 5e-6, NULL},
    {TENSOR_Q8_0, 4e-5, "q80"}, {TENSOR_Q6_K, 4e-4, "q6k"}, {TENSOR_Q4_K, 6e-3, "q4km"},
    {TENSOR_Q4_0, 8e-3, "q40"},
};
#define N_BOUNDS (sizeof bounds / sizeof bounds[0])

static void test_error_bounds(void)
{
    enum { N = 256 * 256 };
    static float values[N];
    for (size_t b = 0; b < N_BOUNDS; b++) {
        fill_normal(values, N, 3);
        CU_ASSERT_TRUE(round_trip_nmse(bounds[b].type, values, N) <= bounds[b].nmse);
        /* Rows that are a ramp, positive throughout, and one that a single number dominates. */
        for (size_t i = 0; i < N; i++) values[i] = 1.0f + (float)(i % 256) / 256.0f;
        CU_ASSERT_TRUE(round_trip_nmse(bounds[b].type, values, N) <= bounds[b].nmse);
        for (size_t i = 0; i < N; i++) values[i] = i % 256 == 77 ? -3.0f : 0.0f;
        CU_ASSERT_TRUE(round_trip_nmse(bounds[b].type, values, N) <= bounds[b].nmse);
    }
}

/* Of the model's f16 values, our file and theirs: ours may not be worse. */
static void compare_with_published(size_t b, const struct gguf *f16)
{
    char path[128];
    struct status st = {0};
    struct gguf *file = NULL;
    double ours = 0, theirs = 0;
    snprintf(path, sizeof path, "../shared/" LOGITS "quant-%s/model.gguf", bounds[b].published);
    ASSERT_OK(gguf_open(&file, path, &st));
    for (size_t t = 0; t < gguf_tensor_count(file); t++) {
        const struct tensor_view *view = gguf_tensor_at(file, t);
        const struct tensor_view *from = gguf_tensor(f16, view->name);
        if (view->type != bounds[b].type || !from || from->type != TENSOR_F16) continue;
        size_t n = from->bytes / 2;
        float *want = malloc(n * sizeof *want), *got = malloc(n * sizeof *got);
        CU_ASSERT_TRUE_FATAL(want && got);
        tensor_type_find(TENSOR_F16)->to_f32(want, from->data, n);
        tensor_type_find(view->type)->to_f32(got, view->data, n);
        double error = 0, power = 0;
        for (size_t i = 0; i < n; i++) {
            error += pow((double)got[i] - (double)want[i], 2);
            power += pow((double)want[i], 2);
        }
        theirs += error / power;
        ours += round_trip_nmse(view->type, want, n);
        free(want);
        free(got);
    }
    CU_ASSERT_TRUE(ours > 0 && ours <= theirs);
    gguf_free(file);
}

static void test_against_published_files(void)
{
    struct status st = {0};
    struct gguf *f16 = NULL;
    const char *path = shared_path(LOGITS "quant-f16/model.gguf");
    if (!path) return;
    ASSERT_OK(gguf_open(&f16, path, &st));
    for (size_t b = 0; b < N_BOUNDS; b++)
        if (bounds[b].published) compare_with_published(b, f16);
    gguf_free(f16);
}

static void test_extremes(void)
{
    static const float hostile[] = {NAN, INFINITY, -INFINITY};
    static const float harmless[] = {0.0f, -0.0f, 1e-45f, 1e-40f, -1e-38f, 1e-7f, 60000.0f};
    float values[K_VALUES], back[K_VALUES];
    unsigned char bytes[K_VALUES * sizeof(float)];
    for (size_t b = 0; b < N_BOUNDS; b++) {
        const struct tensor_type_info *info = tensor_type_find(bounds[b].type);
        for (size_t h = 0; h < sizeof hostile / sizeof hostile[0]; h++) {
            memset(values, 0, sizeof values);
            values[9] = hostile[h];
            info->from_f32(bytes, values, K_VALUES);
            info->to_f32(back, bytes, K_VALUES);
            CU_ASSERT_TRUE(!isfinite(back[9]));
        }
        for (size_t h = 0; h < sizeof harmless / sizeof harmless[0]; h++) {
            memset(values, 0, sizeof values);
            values[9] = harmless[h];
            info->from_f32(bytes, values, K_VALUES);
            info->to_f32(back, bytes, K_VALUES);
            for (int i = 0; i < K_VALUES; i++)
                CU_ASSERT_TRUE(fabsf(back[i] - values[i]) <= 0.01f * fabsf(harmless[h]) + 1e-6f);
        }
        for (int i = 0; i < K_VALUES; i++) values[i] = 0.25f; /* all alike */
        CU_ASSERT_TRUE(round_trip_nmse(bounds[b].type, values, K_VALUES) < 1e-3);
    }
}

static const struct test_case tests[] = {
    {"every type that is read agrees with its description, bit for bit",
     test_independent_dequantisation},
    {"the table", test_table},
    {"logits of 14 types agree with another program's", test_reference_logits},
    {"logits of fast products stay inside their error", test_fast_logits},
    {"what is written stays inside its error", test_error_bounds},
    {"what is written is as near as llama-quantize's", test_against_published_files},
    {"NaN is kept, and tiny, huge and equal numbers do no harm", test_extremes},
};
SUITE("quant types", tests)
