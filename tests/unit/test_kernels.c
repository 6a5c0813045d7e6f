/* Every kernel set against the portable twin, over sizes with odd tails, and against itself over
 * batch shapes: a token's result may not depend on its neighbours. */
#include <math.h>

#include "engine/base/rng.h"
#include "engine/kernels/kernels.h"
#include "tests/unit/suite.h"

#define MAX_K 300
#define MAX_T 9
#define MAX_R 11

static float random_float(struct rng *rng)
{
    return (float)(rng_uniform(rng) * 2 - 1);
}

static void fill(struct rng *rng, float *x, size_t n)
{
    for (size_t i = 0; i < n; i++) x[i] = random_float(rng);
}

/* Normalised mean square error: what a set may differ from the twin by is stated per kernel. */
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

static void each_set(void (*check)(const struct kernel_set *set))
{
    const struct kernel_set *set;
    for (size_t i = 0; (set = kernel_set_at(i)) != NULL; i++)
        if (set->supported()) check(set);
}

static const size_t sizes[] = {1, 2, 7, 8, 9, 15, 16, 17, 31, 64, 65, 127, 256, 299};
#define N_SIZES (sizeof sizes / sizeof sizes[0])

static void check_dot_tile(const struct kernel_set *set)
{
    static float x[MAX_T * MAX_K], w[MAX_R * MAX_K], expected[MAX_T * MAX_R], out[MAX_T * MAX_R];
    struct rng rng;
    rng_seed(&rng, 1);
    fill(&rng, x, MAX_T * MAX_K);
    fill(&rng, w, MAX_R * MAX_K);
    for (size_t s = 0; s < N_SIZES; s++) {
        size_t K = sizes[s];
        kernels_generic.dot_tile(expected, MAX_R, x, MAX_K, w, MAX_K, MAX_T, MAX_R, K);
        set->dot_tile(out, MAX_R, x, MAX_K, w, MAX_K, MAX_T, MAX_R, K);
        CU_ASSERT_TRUE(nmse(expected, out, MAX_T * MAX_R) < 1e-12);
        /* Alone, in other company, and elsewhere in the tile: the same bits. */
        for (size_t t = 0; t < MAX_T; t++)
            for (size_t r = 0; r < MAX_R; r++) {
                float alone;
                set->dot_tile(&alone, 1, x + t * MAX_K, MAX_K, w + r * MAX_K, MAX_K, 1, 1, K);
                CU_ASSERT_EQUAL(memcmp(&alone, &out[t * MAX_R + r], sizeof alone), 0);
            }
    }
}

static void check_vectors(const struct kernel_set *set)
{
    float x[MAX_K], y[MAX_K], w[MAX_K], expected[MAX_K], out[MAX_K];
    struct rng rng;
    rng_seed(&rng, 2);
    for (size_t s = 0; s < N_SIZES; s++) {
        size_t n = sizes[s];
        fill(&rng, x, n), fill(&rng, y, n), fill(&rng, w, n);
        kernels_generic.rms_norm(expected, x, w, n, 1e-6f);
        set->rms_norm(out, x, w, n, 1e-6f);
        CU_ASSERT_TRUE(nmse(expected, out, n) < 1e-12);
        memcpy(expected, x, sizeof x), memcpy(out, x, sizeof x);
        kernels_generic.gelu_tanh_mul(expected, y, n);
        set->gelu_tanh_mul(out, y, n);
        CU_ASSERT_TRUE(nmse(expected, out, n) < 1e-12);
        memcpy(expected, x, sizeof x), memcpy(out, x, sizeof x);
        kernels_generic.silu_mul(expected, y, n);
        set->silu_mul(out, y, n);
        CU_ASSERT_TRUE(nmse(expected, out, n) < 1e-12);
        memcpy(expected, x, sizeof x), memcpy(out, x, sizeof x);
        kernels_generic.softmax(expected, n);
        set->softmax(out, n);
        CU_ASSERT_TRUE(nmse(expected, out, n) < 1e-12);
    }
}

/* Unpacking is exact, so sets may not differ at all; sources lie at odd addresses. */
static void check_unpack(const struct kernel_set *set)
{
    static const enum tensor_type types[] = {TENSOR_F32, TENSOR_F16, TENSOR_BF16, TENSOR_Q8_0};
    float x[MAX_K], expected[MAX_K], out[MAX_K];
    unsigned char packed[1 + MAX_K * sizeof(float)];
    struct rng rng;
    rng_seed(&rng, 3);
    fill(&rng, x, MAX_K);
    x[0] = 1e-7f, x[1] = -65504, x[2] = 0; /* subnormal and largest as half */
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        for (size_t s = 0; s < N_SIZES; s++) {
            const struct tensor_type_info *type = tensor_type_find(types[i]);
            size_t n = sizes[s] / type->block_values * type->block_values;
            type->from_f32(packed + 1, x, n);
            type->to_f32(expected, packed + 1, n);
            set->unpack(out, packed + 1, type, n);
            CU_ASSERT_EQUAL(memcmp(expected, out, n * sizeof *out), 0);
        }
}

static void test_unpack(void)
{
    each_set(check_unpack);
}

static void test_dot_tile(void)
{
    each_set(check_dot_tile);
}

/* Sums go on from what is there: any cut of rows, tokens and columns gives the same bits. */
static void check_mix_rows(const struct kernel_set *set)
{
    enum { T = 6, A = MAX_R + 3 };
    static float x[MAX_R * MAX_K], a[T * A], expected[T * MAX_K], out[T * MAX_K];
    struct rng rng;
    rng_seed(&rng, 4);
    fill(&rng, x, MAX_R * MAX_K);
    fill(&rng, a, T * A);
    for (size_t s = 0; s < N_SIZES; s++) {
        memset(expected, 0, sizeof expected);
        memset(out, 0, sizeof out);
        kernels_generic.mix_rows(expected, MAX_K, a, A, x, MAX_K, T, MAX_R, sizes[s]);
        set->mix_rows(out, MAX_K, a, A, x, MAX_K, T, MAX_R, sizes[s]);
        CU_ASSERT_TRUE(nmse(expected, out, T * MAX_K) < 1e-12);
        for (size_t k = 0; k < T * sizes[s]; k++) {
            size_t t = k / sizes[s], column = k % sizes[s];
            float alone = 0;
            set->mix_rows(&alone, 1, a + t * A, 1, x + column, MAX_K, 1, 2, 1);
            set->mix_rows(&alone, 1, a + t * A + 2, 1, x + 2 * MAX_K + column, MAX_K, 1, MAX_R - 2,
                          1);
            CU_ASSERT_EQUAL(memcmp(&alone, &out[t * MAX_K + column], sizeof alone), 0);
        }
    }
}

static void test_mix_rows(void)
{
    each_set(check_mix_rows);
}

/* The ends of exp: what is far below the maximum is 0, and the largest finite inputs stay finite.
 */
static void check_softmax_ends(const struct kernel_set *set)
{
    float x[9] = {0, -1e30f, -100, -87, -3.4e38f, 0, -1, -INFINITY, 0};
    set->softmax(x, 9);
    CU_ASSERT_EQUAL(x[1], 0);
    CU_ASSERT_EQUAL(x[4], 0);
    CU_ASSERT_EQUAL(x[7], 0);
    CU_ASSERT_TRUE(x[3] > 0 && x[3] < 1e-37f);
    CU_ASSERT_DOUBLE_EQUAL((double)x[0], 1 / (3 + exp(-1)), 1e-6);
    float gate[3] = {-1e20f, 1e10f, -50}, up[3] = {1, 1, 1};
    set->gelu_tanh_mul(gate, up, 3);
    CU_ASSERT_EQUAL(gate[0], 0);
    CU_ASSERT_EQUAL(gate[1], 1e10f);
    CU_ASSERT_EQUAL(gate[2], 0);
}

static void test_softmax_ends(void)
{
    each_set(check_softmax_ends);
}

static void test_vectors(void)
{
    each_set(check_vectors);
}

/* Values from the formulas in double, so that the twin itself is held to something. */
static void test_twin_against_formulas(void)
{
    float x[5] = {-2, -0.5f, 0, 1, 3}, up[5] = {1, 1, 1, 1, 2}, gate[5], w[5] = {1, 2, 1, 1, 1},
          y[5];
    memcpy(gate, x, sizeof x);
    kernels_generic.gelu_tanh_mul(gate, up, 5);
    for (int i = 0; i < 5; i++) {
        double v = (double)x[i];
        double gelu =
            0.5 * v * (1 + tanh(sqrt(2 / 3.14159265358979323846) * (v + 0.044715 * v * v * v)));
        CU_ASSERT_DOUBLE_EQUAL((double)gate[i], gelu * (double)up[i], 1e-6);
    }
    kernels_generic.rms_norm(y, x, w, 5, 0.5f);
    CU_ASSERT_DOUBLE_EQUAL((double)y[1], -0.5 / sqrt((4 + 0.25 + 1 + 9) / 5 + 0.5) * 2, 1e-6);
    kernels_generic.softmax(x, 5);
    double sum = exp(-5) + exp(-3.5) + exp(-3) + exp(-2) + 1;
    CU_ASSERT_DOUBLE_EQUAL((double)x[0], exp(-5) / sum, 1e-7);
    CU_ASSERT_DOUBLE_EQUAL((double)x[4], 1 / sum, 1e-6);
}

/* A broken model must not look healthy: NaN goes in, NaN comes out. */
static void check_nan(const struct kernel_set *set)
{
    float x[20] = {0}, w[20] = {0}, out;
    x[19] = NAN;
    set->dot_tile(&out, 1, x, 20, w, 20, 1, 1, 20);
    CU_ASSERT_TRUE(isnan(out));
    set->softmax(x, 20);
    CU_ASSERT_TRUE(isnan(x[0]) && isnan(x[19]));
    float gate[9] = {NAN, 0, 0, 0, 0, 0, 0, 0, NAN}, up[9] = {0};
    set->gelu_tanh_mul(gate, up, 9);
    CU_ASSERT_TRUE(isnan(gate[0]) && isnan(gate[8]));
    gate[0] = NAN, gate[1] = -1e30f, gate[2] = 100, up[2] = 1;
    set->silu_mul(gate, up, 3);
    CU_ASSERT_TRUE(isnan(gate[0]));
    CU_ASSERT_EQUAL(gate[1], 0);
    CU_ASSERT_EQUAL(gate[2], 100);
}

static void test_nan(void)
{
    each_set(check_nan);
}

static void test_select(void)
{
    struct status st = {0};
    const struct kernel_set *set = NULL;
    ASSERT_OK(kernel_set_select(&set, "generic", &st));
    CU_ASSERT_STRING_EQUAL(set->name, "generic");
    ASSERT_OK(kernel_set_select(&set, NULL, &st));
    ASSERT_OK(kernel_set_select(&set, "auto", &st));
    ASSERT_FAILS(kernel_set_select(&set, "mmx", &st), STATUS_USAGE, "no kernels \"mmx\"");
    /* Those of the table by name; tests/cli/other_machines.sh reads which were tested. */
    const struct kernel_set *built;
    for (size_t i = 0; (built = kernel_set_at(i)) != NULL; i++) {
        bool runs = built->supported();
        CU_ASSERT_EQUAL(kernel_set_select(&set, built->name, &st),
                        runs ? STATUS_OK : STATUS_UNSUPPORTED);
        if (runs) CU_ASSERT_TRUE(set == built);
        if (runs) printf("\nset %s\n", built->name);
    }
}

static const struct test_case tests[] = {
    {"unpacking is exact", test_unpack},
    {"dot_tile agrees with the twin and with itself", test_dot_tile},
    {"mix_rows agrees with the twin and with itself", test_mix_rows},
    {"softmax and gelu at the ends of their range", test_softmax_ends},
    {"vector kernels agree with the twin", test_vectors},
    {"the twin agrees with the formulas", test_twin_against_formulas},
    {"NaN survives", test_nan},
    {"sets are chosen by name", test_select},
};
SUITE("kernels", tests)
