/* Packed weights: fast products against the portable twin and against exact arithmetic, over odd
 * sizes, and against themselves: a token's result may not depend on its neighbours. */
#include <math.h>
#include <stdlib.h>

#include "engine/base/large_memory.h"
#include "engine/base/rng.h"
#include "engine/kernels/kernels.h"
#include "tests/unit/suite.h"

/* An emulated processor takes a hundred times as long: fewer tokens, and one size in SIZE_STEP. */
#ifdef EMULATED
#define MAX_T     14
#define SIZE_STEP 3
#else
#define MAX_T     40
#define SIZE_STEP 1
#endif
#define MAX_ROWS 200
#define MAX_COLS 1100

static const enum tensor_type types[] = {TENSOR_BF16, TENSOR_Q8_0, TENSOR_Q4_0, TENSOR_Q4_K,
                                         TENSOR_Q6_K};
#define N_TYPES (sizeof types / sizeof types[0])

/* A matrix in its stored type and packed, activations, and room for results. */
struct bench {
    const struct tensor_type_info *type;
    size_t rows, cols, T;
    float *x;     /* (T, cols) */
    float *exact; /* (rows, cols) the weights */
    float *bias;  /* (rows) */
    float *out;   /* (T, rows) */
    unsigned char *stored;
    struct packed_matrix packed;
    unsigned char *memory; /* of the packed matrix, then of what products need */
    size_t bytes;
};

static void fill_normal(struct rng *rng, float *x, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        double u = 1 - rng_uniform(rng), v = rng_uniform(rng);
        x[i] = (float)(sqrt(-2 * log(u)) * cos(2 * 3.14159265358979323846 * v));
    }
}

static void bench_init(struct bench *b, enum tensor_type type, size_t rows, size_t cols, size_t T)
{
    struct rng rng;
    rng_seed(&rng, rows * 1000 + cols);
    *b = (struct bench){.type = tensor_type_find(type), .rows = rows, .cols = cols, .T = T};
    size_t row_bytes = tensor_type_bytes(type, cols);
    b->x = calloc(T * cols, sizeof(float));
    b->exact = calloc(rows * cols, sizeof(float));
    b->bias = calloc(rows, sizeof(float));
    b->out = calloc(T * rows, sizeof(float));
    b->stored = malloc(rows * row_bytes);
    fill_normal(&rng, b->x, T * cols);
    fill_normal(&rng, b->bias, rows);
    fill_normal(&rng, b->exact, rows * cols);
    b->type->from_f32(b->stored, b->exact, rows * cols);
    b->type->to_f32(b->exact, b->stored, rows * cols);
    enum packed_form form = packed_form_of(type);
    size_t panel_bytes = packed_panel_bytes(form, cols), n = packed_panels(rows);
    CU_ASSERT_EQUAL(panel_bytes % 64, 0);
    b->bytes = n * panel_bytes + PACKED_INPUT_BYTES(T, cols) + PACKED_SCRATCH_BYTES(T);
    b->memory = large_alloc(b->bytes);
    CU_ASSERT_PTR_NOT_NULL_FATAL(b->memory);
    b->packed = (struct packed_matrix){form, rows, cols, panel_bytes, b->memory};
    for (size_t panel = 0; panel < n; panel++)
        packed_fill(&b->packed, b->memory + panel * panel_bytes, panel, b->stored, row_bytes);
}

static void bench_release(struct bench *b)
{
    free(b->x), free(b->exact), free(b->bias), free(b->out), free(b->stored);
    large_free(b->memory, b->bytes);
}

/* out (T, rows) of tokens first..first+T-1, in two calls where there are panels for two. */
static void multiply(const struct kernel_set *set, struct bench *b, float *out, size_t first,
                     size_t T)
{
    size_t n = packed_panels(b->rows), half = n / 2;
    unsigned char *prepared = b->memory + n * b->packed.panel_bytes;
    unsigned char *scratch = prepared + PACKED_INPUT_BYTES(b->T, b->cols);
    const struct packed_product product = {&b->packed, prepared, T, out, b->rows, b->bias};
    const float *x = b->x + first * b->cols;
    set->prepare(prepared, x, T, b->cols, b->packed.form, 0, T / 2);
    set->prepare(prepared, x, T, b->cols, b->packed.form, T / 2, T - T / 2);
    set->multiply(&product, half, n - half, scratch);
    set->multiply(&product, 0, half, scratch);
}

static double nmse(const float *expected, const float *actual, size_t n)
{
    double error = 0, power = 0;
    for (size_t i = 0; i < n; i++) {
        double d = (double)expected[i] - (double)actual[i];
        error += d * d;
        power += (double)expected[i] * (double)expected[i];
    }
    return power > 0 ? error / power : error;
}

/* Against the twin: int8 to the bit, BF16 but for the order in which two products are added. */
static void compare_with_twin(const struct kernel_set *set, struct bench *b)
{
    float *expected = calloc(b->T * b->rows, sizeof *expected);
    multiply(&kernels_generic, b, expected, 0, b->T);
    multiply(set, b, b->out, 0, b->T);
    bool same = memcmp(expected, b->out, b->T * b->rows * sizeof *expected) == 0;
    bool near = nmse(expected, b->out, b->T * b->rows) < 1e-10;
    CU_ASSERT_TRUE(b->packed.form == PACKED_BF16 ? near : same);
    free(expected);
}

/* How far products may be from exact ones of the same weights, for normally distributed numbers:
 * what rounding activations to BF16 and to int8 costs. */
static void compare_with_exact(struct bench *b)
{
    float *expected = calloc(b->T * b->rows, sizeof *expected);
    for (size_t t = 0; t < b->T; t++)
        for (size_t r = 0; r < b->rows; r++) {
            double sum = (double)b->bias[r];
            for (size_t k = 0; k < b->cols; k++)
                sum += (double)b->x[t * b->cols + k] * (double)b->exact[r * b->cols + k];
            expected[t * b->rows + r] = (float)sum;
        }
    double error = nmse(expected, b->out, b->T * b->rows);
    double bound = b->packed.form == PACKED_BF16 ? 5e-6 : 8e-5;
    CU_ASSERT_TRUE(error < bound);
    if (error >= bound) fprintf(stderr, "%s: nmse %g\n", b->type->name, error);
    free(expected);
}

static void each_set(void (*check)(const struct kernel_set *set))
{
    const struct kernel_set *set;
    for (size_t i = 0; (set = kernel_set_at(i)) != NULL; i++)
        if (set->supported()) check(set);
}

static const size_t row_counts[] = {1, 31, 32, 33, 48, 65, 130, 200};
static const size_t column_counts[] = {1, 2, 31, 32, 64, 127, 129, 256, 288, 512, 544, 1024, 1099};

static void check_sizes(const struct kernel_set *set)
{
    for (size_t i = 0; i < N_TYPES; i++)
        for (size_t r = 0; r < sizeof row_counts / sizeof row_counts[0]; r += SIZE_STEP)
            for (size_t c = 0; c < sizeof column_counts / sizeof column_counts[0]; c += SIZE_STEP) {
                struct bench b;
                size_t rows = row_counts[r], cols = column_counts[c], T = 1 + (7 * r + 3 * c) % 15;
                if (!set->multiplies(packed_form_of(types[i])) ||
                    cols % tensor_type_find(types[i])->block_values != 0)
                    continue;
                bench_init(&b, types[i], rows, cols, T);
                compare_with_twin(set, &b);
                if (rows * T > 100) compare_with_exact(&b);
                bench_release(&b);
            }
}

static void test_sizes(void)
{
    each_set(check_sizes);
}

/* Every number of tokens: the same bits as each token alone. */
static void check_tokens(const struct kernel_set *set)
{
    static float alone[MAX_T * MAX_ROWS];
    for (size_t i = 0; i < N_TYPES; i++) {
        struct bench b;
        if (!set->multiplies(packed_form_of(types[i]))) continue;
        bench_init(&b, types[i], 130, 512, MAX_T);
        for (size_t t = 0; t < MAX_T; t++) multiply(set, &b, alone + t * b.rows, t, 1);
        for (size_t T = 2; T <= MAX_T; T++) {
            multiply(set, &b, b.out, 0, T);
            CU_ASSERT_EQUAL(memcmp(alone, b.out, T * b.rows * sizeof *alone), 0);
        }
        bench_release(&b);
    }
}

static void test_tokens(void)
{
    each_set(check_tokens);
}

static bool all_of(const float *x, size_t n, bool (*is)(float))
{
    for (size_t i = 0; i < n; i++)
        if (!is(x[i])) return false;
    return true;
}

static bool is_nan(float x)
{
    return isnan(x);
}

static bool is_finite(float x)
{
    return isfinite(x);
}

/* A broken model must not look healthy, and must not make its neighbours look broken. */
static void check_odd_numbers(const struct kernel_set *set)
{
    for (size_t i = 0; i < N_TYPES; i++) {
        struct bench b;
        if (!set->multiplies(packed_form_of(types[i]))) continue;
        bench_init(&b, types[i], 40, 512, 6);
        size_t cols = b.cols, rows = b.rows;
        b.x[1 * cols + 300] = NAN;
        for (size_t k = 0; k < cols; k++) b.x[2 * cols + k] = 0;
        for (size_t k = 0; k < cols; k++) b.x[3 * cols + k] = 1e-42f; /* subnormal */
        b.x[4 * cols + 3] = INFINITY;
        multiply(set, &b, b.out, 0, 6);
        CU_ASSERT_TRUE(all_of(b.out, rows, is_finite));
        CU_ASSERT_TRUE(all_of(b.out + rows, rows, is_nan));
        CU_ASSERT_EQUAL(memcmp(b.out + 2 * rows, b.bias, rows * sizeof *b.bias), 0);
        CU_ASSERT_EQUAL(memcmp(b.out + 3 * rows, b.bias, rows * sizeof *b.bias), 0);
        for (size_t r = 0; r < rows; r++) CU_ASSERT_FALSE(isfinite(b.out[4 * rows + r]));
        CU_ASSERT_TRUE(all_of(b.out + 5 * rows, rows, is_finite));
        bench_release(&b);
    }
}

static void test_odd_numbers(void)
{
    each_set(check_odd_numbers);
}

/* One huge number takes nothing away from the precision of other groups of columns. */
static void check_outliers(const struct kernel_set *set)
{
    struct bench b;
    if (!set->multiplies(PACKED_Q8_0)) return;
    bench_init(&b, TENSOR_Q8_0, 64, 1024, 2);
    memcpy(b.x + b.cols, b.x, b.cols * sizeof *b.x);
    for (size_t k = 0; k < 256; k++) b.x[k] = b.x[b.cols + k] = 0;
    b.x[b.cols + 5] = 1000;
    multiply(set, &b, b.out, 0, 2);
    for (size_t r = 0; r < b.rows; r++) {
        double difference = (double)b.out[b.rows + r] - (double)b.out[r];
        CU_ASSERT_DOUBLE_EQUAL(difference, 1000 * (double)b.exact[r * b.cols + 5], 0.01);
    }
    bench_release(&b);
}

static void test_outliers(void)
{
    each_set(check_outliers);
}

static void test_large_memory(void)
{
    unsigned char *p = large_alloc(5000000);
    CU_ASSERT_PTR_NOT_NULL_FATAL(p);
    CU_ASSERT_EQUAL((uintptr_t)p % (2 << 20), 0);
    CU_ASSERT_EQUAL(p[0] | p[4999999], 0);
    p[0] = p[4999999] = 1;
    large_free(p, 5000000);
    large_free(NULL, 0);
    CU_ASSERT_PTR_NULL(large_alloc(0));
    CU_ASSERT_PTR_NULL(large_alloc(SIZE_MAX - 5));
}

static void check_peaks(const struct kernel_set *set)
{
    for (int i = 0; i < KERNEL_MAX_PEAKS && set->peaks[i].name; i++) {
        CU_ASSERT_TRUE(set->peaks[i].operations > 0);
        set->peaks[i].run(100);
    }
}

static void test_peaks(void)
{
    each_set(check_peaks);
}

static const struct test_case tests[] = {
    {"products agree with the twin and with exact ones", test_sizes},
    {"a token's result does not depend on the others", test_tokens},
    {"NaN, infinity and nothing at all", test_odd_numbers},
    {"outliers cost their own columns alone", test_outliers},
    {"large memory is aligned and zero", test_large_memory},
    {"peaks run", test_peaks},
};
SUITE("packed weights", tests)
