#include <math.h>

#include "engine/base/rng.h"
#include "engine/gguf/gguf.h"
#include "engine/quants/quants.h"
#include "tests/unit/suite.h"

static uint32_t bits_of(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static float float_of(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* IEEE 754 written down: sign, exponent, fraction.  Infinite for the topmost exponent. */
static double half_by_definition(uint32_t half)
{
    int exponent = (int)(half >> 10 & 31), fraction = (int)(half & 1023);
    double magnitude = exponent == 0    ? ldexp(fraction, -24)
                       : exponent == 31 ? (double)INFINITY
                                        : ldexp(1024 + fraction, exponent - 25);
    return half & 0x8000 ? -magnitude : magnitude;
}

static void test_half_exhaustive(void)
{
    int n_wrong = 0;
    for (uint32_t h = 0; h <= 0xffff; h++) {
        float value = half_to_float((uint16_t)h);
        if ((h & 0x7fff) > 0x7c00) {
            n_wrong += !isnan(value) || float_to_half(value) != (h | 0x200);
            n_wrong += bits_of(value) >> 31 != h >> 15;
            continue;
        }
        n_wrong += (double)value != half_by_definition(h) || bits_of(value) >> 31 != h >> 15;
        n_wrong += float_to_half(value) != h;
    }
    CU_ASSERT_EQUAL(n_wrong, 0);
}

/* Between two neighbours: below the middle goes down, above it up, the middle to the even one. */
static void test_half_rounding(void)
{
    int n_wrong = 0;
    for (uint32_t h = 0; h < 0x7bff; h++) {
        double middle = (half_by_definition(h) + half_by_definition(h + 1)) / 2;
        float tie = (float)middle;
        uint32_t even = h & 1 ? h + 1 : h;
        n_wrong += (double)tie != middle || float_to_half(tie) != even;
        n_wrong += float_to_half(-tie) != (even | 0x8000);
        n_wrong += float_to_half(nextafterf(tie, 0.0f)) != h;
        n_wrong += float_to_half(nextafterf(tie, INFINITY)) != h + 1;
    }
    CU_ASSERT_EQUAL(n_wrong, 0);
    CU_ASSERT_EQUAL(float_to_half(nextafterf(65520.0f, 0.0f)), 0x7bff);
    CU_ASSERT_EQUAL(float_to_half(65520.0f), 0x7c00);
    CU_ASSERT_EQUAL(float_to_half(65536.0f), 0x7c00);
    CU_ASSERT_EQUAL(float_to_half(-3e38f), 0xfc00);
    CU_ASSERT_EQUAL(float_to_half(INFINITY), 0x7c00);
    CU_ASSERT_EQUAL(float_to_half(1e-45f), 0);
    CU_ASSERT_EQUAL(float_to_half(-0.0f), 0x8000);
    /* A NaN whose payload sits in bits that half does not have. */
    CU_ASSERT_EQUAL(float_to_half(float_of(0x7f800001)), 0x7e00);
}

static void test_bfloat16_exhaustive(void)
{
    int n_wrong = 0;
    for (uint32_t b = 0; b <= 0xffff; b++) {
        float value = bfloat16_to_float((uint16_t)b);
        bool is_nan = (b & 0x7fff) > 0x7f80;
        n_wrong += bits_of(value) != b << 16;
        n_wrong += float_to_bfloat16(value) != (is_nan ? b | 0x40 : b);
        if ((b & 0x7fff) >= 0x7f80) continue;
        uint32_t even = b & 1 ? b + 1 : b;
        n_wrong += float_to_bfloat16(float_of(b << 16 | 0x7fff)) != b;
        n_wrong += float_to_bfloat16(float_of(b << 16 | 0x8000)) != even;
        n_wrong += float_to_bfloat16(float_of(b << 16 | 0x8001)) != b + 1;
    }
    CU_ASSERT_EQUAL(n_wrong, 0);
    CU_ASSERT_EQUAL(float_to_bfloat16(float_of(0x7f800001)), 0x7fc0);
    CU_ASSERT_EQUAL(float_to_bfloat16(3.4e38f), 0x7f80);
}

static void test_known_values(void)
{
    CU_ASSERT_EQUAL(half_to_float(0x3c00), 1.0f);
    CU_ASSERT_EQUAL(half_to_float(0xc000), -2.0f);
    CU_ASSERT_EQUAL(half_to_float(0x3555), 0.333251953125f);
    CU_ASSERT_EQUAL(half_to_float(0x0001), 0x1p-24f);
    CU_ASSERT_EQUAL(half_to_float(0x7bff), 65504.0f);
    CU_ASSERT_EQUAL(float_to_half(0.1f), 0x2e66);
    CU_ASSERT_EQUAL(float_to_bfloat16(0.1f), 0x3dcd);
    CU_ASSERT_EQUAL(bfloat16_to_float(0x4049), 3.140625f);
}

/* A block whose largest magnitude is 127 has scale 1, so that q is the rounded value itself. */
static void test_q8_0_vector(void)
{
    float values[Q8_0_VALUES] = {127.0f, -127.0f, 0.5f, -0.5f, 1.5f, 2.5f, -2.5f, 0.49f, 99.4f};
    const int8_t expected[9] = {127, -127, 1, -1, 2, 3, -3, 0, 99};
    struct block_q8_0 block;
    const struct tensor_type_info *type = tensor_type_find(TENSOR_Q8_0);
    type->from_f32(&block, values, Q8_0_VALUES);
    CU_ASSERT_EQUAL(block.scale, 0x3c00);
    CU_ASSERT_EQUAL(memcmp(block.q, expected, sizeof expected), 0);
    CU_ASSERT_EQUAL(block.q[31], 0);
    block = (struct block_q8_0){.scale = 0x3800, .q = {3, -128}};
    type->to_f32(values, &block, Q8_0_VALUES);
    CU_ASSERT_EQUAL(values[0], 1.5f);
    CU_ASSERT_EQUAL(values[1], -64.0f);
}

static void test_q8_0_extremes(void)
{
    const struct tensor_type_info *type = tensor_type_find(TENSOR_Q8_0);
    const float hostile[] = {NAN, INFINITY, -INFINITY, 0.0f, 1e-45f, 1e-40f, 3e38f, -3e38f};
    struct block_q8_0 block;
    for (size_t h = 0; h < sizeof hostile / sizeof hostile[0]; h++) {
        float values[Q8_0_VALUES] = {1e-45f, hostile[h]};
        type->from_f32(&block, values, Q8_0_VALUES);
        type->to_f32(values, &block, Q8_0_VALUES);
        if (!isfinite(hostile[h]))
            CU_ASSERT_TRUE(isnan(values[0]) && isnan(values[1]) && isnan(values[31]));
        if (fabsf(hostile[h]) < 1e-20f) CU_ASSERT_TRUE(values[0] == 0.0f && values[1] == 0.0f);
    }
}

/* Sums of uniforms stand in for normal weights. */
static void fill_normal(float *values, size_t n, uint64_t seed)
{
    struct rng rng;
    rng_seed(&rng, seed);
    for (size_t i = 0; i < n; i++) {
        double sum = -6.0;
        for (int k = 0; k < 12; k++) sum += rng_uniform(&rng);
        values[i] = (float)sum;
    }
}

static void test_round_trips(void)
{
    enum { N = 4096 };
    static const struct {
        enum tensor_type type;
        double nmse; /* the step's variance over the values': Q8_0 (2.2/127)^2/12 = 2.5e-5 */
    } cases[] = {{TENSOR_F32, 0.0}, {TENSOR_F16, 1e-7}, {TENSOR_BF16, 5e-6}, {TENSOR_Q8_0, 5e-5}};
    static float values[N], back[N];
    static unsigned char bytes[4 * N + 1];
    fill_normal(values, N, 1);
    for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++) {
        const struct tensor_type_info *type = tensor_type_find(cases[c].type);
        type->from_f32(bytes + 1, values, N); /* unaligned on purpose */
        type->to_f32(back, bytes + 1, N);
        double error = 0, power = 0;
        for (size_t i = 0; i < N; i++) {
            error += pow((double)back[i] - (double)values[i], 2);
            power += pow((double)values[i], 2);
        }
        CU_ASSERT_TRUE(error / power <= cases[c].nmse);
        if (cases[c].type != TENSOR_F32) CU_ASSERT_TRUE(error > 0);
        /* Quantising what was read back changes nothing, aligned or not. */
        memmove(bytes, bytes + 1, tensor_type_bytes(cases[c].type, N));
        type->to_f32(values, bytes, N);
        CU_ASSERT_EQUAL(memcmp(values, back, sizeof values), 0);
        fill_normal(values, N, 1);
    }
}

static void test_row_lengths(void)
{
    const enum tensor_type types[] = {TENSOR_F32, TENSOR_F16, TENSOR_BF16, TENSOR_Q8_0};
    for (size_t t = 0; t < sizeof types / sizeof types[0]; t++) {
        const struct tensor_type_info *type = tensor_type_find(types[t]);
        for (size_t n = 0; n <= 70 * type->block_values; n += type->block_values) {
            float values[70 * Q8_0_VALUES + 1], back[70 * Q8_0_VALUES + 1];
            unsigned char bytes[4 * sizeof values + 1];
            fill_normal(values, n, n);
            size_t n_bytes = tensor_type_bytes(types[t], n);
            bytes[n_bytes] = 0xa5;
            back[n] = 42.0f;
            type->from_f32(bytes, values, n);
            type->to_f32(back, bytes, n);
            int n_wrong = bytes[n_bytes] != 0xa5 || back[n] != 42.0f;
            for (size_t i = 0; i < n; i++) n_wrong += fabsf(back[i] - values[i]) > 0.03f;
            CU_ASSERT_EQUAL(n_wrong, 0);
        }
    }
}

static void test_types(void)
{
    CU_ASSERT_EQUAL(tensor_type_bytes(TENSOR_Q8_0, 64), 68);
    CU_ASSERT_EQUAL(tensor_type_bytes(TENSOR_BF16, 3), 6);
    CU_ASSERT_PTR_NULL(tensor_type_find(9));
    CU_ASSERT_PTR_NULL(tensor_type_find(UINT32_MAX));
    static const struct {
        uint32_t type;
        const char *name;
    } names[] = {{0, "F32"},
                 {1, "F16"},
                 {2, "Q4_0"},
                 {3, "Q4_1"},
                 {6, "Q5_0"},
                 {7, "Q5_1"},
                 {8, "Q8_0"},
                 {9, "Q8_1"},
                 {10, "Q2_K"},
                 {11, "Q3_K"},
                 {12, "Q4_K"},
                 {13, "Q5_K"},
                 {14, "Q6_K"},
                 {15, "Q8_K"},
                 {16, "IQ2_XXS"},
                 {17, "IQ2_XS"},
                 {18, "IQ3_XXS"},
                 {19, "IQ1_S"},
                 {20, "IQ4_NL"},
                 {21, "IQ3_S"},
                 {22, "IQ2_S"},
                 {23, "IQ4_XS"},
                 {24, "I8"},
                 {25, "I16"},
                 {26, "I32"},
                 {27, "I64"},
                 {28, "F64"},
                 {29, "IQ1_M"},
                 {30, "BF16"},
                 {34, "TQ1_0"},
                 {35, "TQ2_0"},
                 {39, "MXFP4"},
                 {40, "NVFP4"},
                 {41, "Q1_0"},
                 {42, "Q2_0"},
                 {43, "unknown"},
                 {UINT32_MAX, "unknown"}};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        CU_ASSERT_STRING_EQUAL(tensor_type_any_name(names[i].type), names[i].name);
        const struct tensor_type_info *info = tensor_type_find(names[i].type);
        if (info) CU_ASSERT_STRING_EQUAL(info->name, names[i].name);
    }
}

/* Counts the values of a tensor whose q is the one in the file; false when one is off by more than
 * the rounding to F16 can move it. */
static bool compare_blocks(const struct tensor_view *from, const struct tensor_view *want,
                           size_t *n_values, size_t *n_same)
{
    const unsigned char *source = from->data, *expected = want->data;
    for (size_t b = 0; b < want->bytes / sizeof(struct block_q8_0); b++) {
        float values[Q8_0_VALUES];
        struct block_q8_0 block, file;
        memcpy(&file, expected + b * sizeof file, sizeof file);
        tensor_type_find(from->type)
            ->to_f32(values, source + tensor_type_bytes(from->type, b * Q8_0_VALUES), Q8_0_VALUES);
        tensor_type_find(TENSOR_Q8_0)->from_f32(&block, values, Q8_0_VALUES);
        if (abs(block.scale - file.scale) > 1) return false;
        for (size_t i = 0; i < Q8_0_VALUES; i++) {
            if (abs(block.q[i] - file.q[i]) > 1) return false;
            *n_same += block.q[i] == file.q[i];
            *n_values += 1;
        }
    }
    return true;
}

/* One f32 model that llama-quantize wrote as F16 and as Q8_0.  Quantising the F16 values can differ
 * from the file only where the first rounding crossed a boundary of the second. */
static void test_against_published_files(void)
{
    struct status st = {0};
    struct gguf *f16, *q8_0;
    const char *path = shared_path("reference/logits/quant-f16/model.gguf");
    if (!path) return;
    ASSERT_OK(gguf_open(&f16, path, &st));
    path = shared_path("reference/logits/quant-q80/model.gguf");
    CU_ASSERT_PTR_NOT_NULL_FATAL(path);
    ASSERT_OK(gguf_open(&q8_0, path, &st));
    size_t n_values = 0, n_same = 0;
    for (size_t i = 0; i < gguf_tensor_count(q8_0); i++) {
        const struct tensor_view *want = gguf_tensor_at(q8_0, i);
        const struct tensor_view *from = gguf_tensor(f16, want->name);
        CU_ASSERT_PTR_NOT_NULL_FATAL(from);
        if (want->type == TENSOR_Q8_0)
            CU_ASSERT_TRUE(compare_blocks(from, want, &n_values, &n_same));
    }
    CU_ASSERT_TRUE(n_values > 100000 && (double)n_same > 0.97 * (double)n_values);
    gguf_free(f16);
    gguf_free(q8_0);
}

static const struct test_case tests[] = {
    {"every half is read exactly and written back", test_half_exhaustive},
    {"f32 rounds to the nearest half, ties to even", test_half_rounding},
    {"every bfloat16 is read exactly, ties round to even", test_bfloat16_exhaustive},
    {"known values", test_known_values},
    {"Q8_0 rounds halves away from zero", test_q8_0_vector},
    {"Q8_0 keeps NaN, and tiny and huge values do no harm", test_q8_0_extremes},
    {"round trips stay inside their error, unaligned too", test_round_trips},
    {"rows of every length touch nothing behind them", test_row_lengths},
    {"types have ggml's names and sizes", test_types},
    {"Q8_0 blocks agree with those of llama-quantize", test_against_published_files},
};
SUITE("quants", tests)
