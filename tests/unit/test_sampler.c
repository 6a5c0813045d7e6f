/* The sampler against the plain way: sort everything, cut, draw. */
#include <math.h>

#include "engine/sampling/sampler.h"
#include "tests/unit/count_allocations.h"
#include "tests/unit/suite.h"

#define MAX_VOCAB 20000

struct ranked {
    double weight;
    int32_t id;
};

static int by_rank(const void *a, const void *b)
{
    const struct ranked *x = a, *y = b;
    if (x->weight != y->weight) return x->weight > y->weight ? -1 : 1;
    return x->id < y->id ? -1 : 1;
}

static int32_t plain_next(const struct sampling_options *o, const float *logits, int n_vocab,
                          struct rng *rng)
{
    static struct ranked all[MAX_VOCAB];
    double max = (double)logits[logits_argmax(logits, n_vocab)], total = 0, mass = 0;
    for (int32_t i = 0; i < n_vocab; i++)
        all[i] = (struct ranked){exp(((double)logits[i] - max) / o->temperature), i};
    qsort(all, (size_t)n_vocab, sizeof *all, by_rank);
    int n = o->top_k > 0 && o->top_k < n_vocab ? o->top_k : n_vocab, kept = n;
    for (int i = 0; i < n; i++) total += all[i].weight;
    for (int i = 0; i < n && o->top_p < 1; i++) {
        mass += all[i].weight;
        if (mass < o->top_p * total) continue;
        kept = i + 1;
        break;
    }
    total = 0;
    for (int i = 0; i < kept; i++) total += all[i].weight;
    double left = rng_uniform(rng) * total;
    for (int i = 0; i < kept; i++)
        if ((left -= all[i].weight) < 0) return all[i].id;
    return all[0].id;
}

static void check_draws(const float *logits, int n_vocab, const struct sampling_options *o)
{
    struct status st = {0};
    struct sampler *sampler = NULL;
    struct rng a, b;
    int different = 0;
    ASSERT_OK(sampler_create(&sampler, n_vocab, &st));
    rng_seed(&a, 1);
    rng_seed(&b, 1);
    size_t before = allocations;
    for (int i = 0; i < 20; i++)
        different += sampler_next(sampler, o, logits, &a) != plain_next(o, logits, n_vocab, &b);
    CU_ASSERT_TRUE(allocations <= before + 20); /* the plain way's */
    if (different)
        fprintf(stderr, "vocabulary %d, temperature %g, k %d, p %g: %d of 20 draws differ\n",
                n_vocab, o->temperature, o->top_k, o->top_p, different);
    CU_ASSERT_EQUAL(different, 0);
    sampler_free(sampler);
}

static void test_draws(void)
{
    static float logits[MAX_VOCAB];
    static const int sizes[] = {1, 2, 3, 17, 300, 5000, MAX_VOCAB};
    static const double spreads[] = {0, 0.01, 1, 5, 40, 2000};
    static const struct sampling_options options[] = {
        {1, 0, 0.9}, {1, 0, 0.001},  {1, 0, 0.999999}, {0.7, 40, 0.95}, {2, 5, 1},
        {1, 1, 1},   {0.01, 0, 0.5}, {1e6, 0, 0.9},    {1, 1 << 20, 1}, {1, 1 << 20, 0.8}};
    struct rng rng;
    rng_seed(&rng, 2);
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
        for (size_t k = 0; k < sizeof spreads / sizeof *spreads; k++) {
            for (int i = 0; i < sizes[s]; i++) {
                double x = (rng_uniform(&rng) + rng_uniform(&rng) - 1) * spreads[k];
                logits[i] = (float)(i % 7 == 3 ? floor(x) : x); /* ties too */
            }
            for (size_t o = 0; o < sizeof options / sizeof *options; o++)
                check_draws(logits, sizes[s], &options[o]);
        }
}

/* NaN is never drawn, nor what a model rules out. */
static void test_odd_logits(void)
{
    struct status st = {0};
    struct sampler *sampler = NULL;
    float logits[] = {NAN, -INFINITY, 1, NAN, 2, -INFINITY};
    const float nothing[] = {NAN, NAN, NAN, NAN, NAN, NAN};
    const struct sampling_options options[] = {{1, 0, 0.9}, {1, 3, 1}, {1, 0, 1}, {0, 0, 1}};
    struct rng rng;
    rng_seed(&rng, 3);
    ASSERT_OK(sampler_create(&sampler, 6, &st));
    CU_ASSERT_EQUAL(logits_argmax(logits, 6), 4);
    CU_ASSERT_EQUAL(logits_argmax(nothing, 6), 0);
    for (size_t o = 0; o < 4; o++)
        for (int i = 0; i < 50; i++) {
            int32_t id = sampler_next(sampler, &options[o], logits, &rng);
            CU_ASSERT_TRUE(id == 2 || id == 4);
            CU_ASSERT_EQUAL(sampler_next(sampler, &options[o], nothing, &rng), 0);
        }
    sampler_free(sampler);
}

static void test_logprobs(void)
{
    const float logits[] = {1, 3, 3, -2};
    struct logits_summary summary = logits_summarize(logits, 4);
    CU_ASSERT_EQUAL(summary.best, 1);
    double sum = 0;
    for (int i = 0; i < 4; i++) sum += exp(logits_logprob(&summary, logits, i));
    CU_ASSERT_DOUBLE_EQUAL(sum, 1, 1e-12);
    CU_ASSERT_DOUBLE_EQUAL(logits_logprob(&summary, logits, 0), -log(1 + 2 * exp(2) + exp(-3)),
                           1e-12);
}

static const struct test_case tests[] = {
    {"draws are those of sorting everything", test_draws},
    {"NaN and minus infinity", test_odd_logits},
    {"log-probabilities", test_logprobs},
};
SUITE("sampler", tests)
