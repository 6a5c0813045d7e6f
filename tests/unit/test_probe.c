/* Probes: hidden states that do not depend on how they were asked for, a minimum that is one, files
 * that say what they belong to. */
#include <math.h>

#include "classifiers/classifier.h"
#include "classifiers/probe.h"
#include "tests/unit/scratch.h"
#include "tests/unit/suite.h"

#define DEMO_MODEL "datasets/demo/model.gguf"

/* ---- hidden states ---- */

struct states {
    float rows[64][512];
    size_t d;
    int n, first;
};

static void keep_state(void *user, int position, const float *hidden)
{
    struct states *s = user;
    CU_ASSERT_EQUAL(position, s->first + s->n);
    memcpy(s->rows[s->n++], hidden, s->d * sizeof *hidden);
}

static void ignore_logits(void *user, int position, const float *logits)
{
    (void)position;
    (void)logits;
    ++*(int *)user;
}

static struct engine *open_demo(void)
{
    struct status st = {0};
    struct engine *engine = NULL;
    const struct engine_options options = {.model_path = DEMO_MODEL};
    ASSERT_OK(engine_open(&engine, &options, &st));
    return engine;
}

static void test_hidden(void)
{
    struct status st = {0};
    struct engine *engine = open_demo();
    struct session *session = NULL, *fresh = NULL;
    struct token_list ids = {0};
    static struct states all, last;
    int n_logits = 0;
    all.d = last.d = (size_t)engine_get_info(engine)->d_model;
    CU_ASSERT_TRUE_FATAL(all.d <= 512);
    ASSERT_OK(session_create(&session, engine, 0, &st));
    ASSERT_OK(session_create(&fresh, engine, 0, &st));
    ASSERT_OK(tokenizer_encode(engine_get_tokenizer(engine), text_of("How many are 3 and 4?"),
                               TOKENIZE_ADD_BOS, &ids, &st));
    int n = (int)ids.count;
    ASSERT_OK(session_hidden(session, ids.ids, n, 0, keep_state, &all, &st));
    CU_ASSERT_EQUAL(all.n, n);
    /* The last one alone, from a warm session after logits, is the same to the bit. */
    ASSERT_OK(session_eval(fresh, ids.ids, n - 2, 0, ignore_logits, &n_logits, &st));
    CU_ASSERT_EQUAL(n_logits, n - 2);
    last.first = n - 1;
    ASSERT_OK(session_hidden(fresh, ids.ids, n, n - 1, keep_state, &last, &st));
    CU_ASSERT_EQUAL(last.n, 1);
    CU_ASSERT_EQUAL(memcmp(all.rows[n - 1], last.rows[0], all.d * sizeof(float)), 0);
    double norm = 0;
    for (size_t i = 0; i < all.d; i++) norm += (double)fabsf(all.rows[n - 1][i]);
    CU_ASSERT_TRUE(norm > 0 && isfinite(norm));
    /* Pools. */
    static float pooled[512];
    ASSERT_OK(
        probe_read_text(session, engine, text_of("How many are 3 and 4?"), POOL_LAST, pooled, &st));
    CU_ASSERT_EQUAL(memcmp(pooled, last.rows[0], all.d * sizeof(float)), 0);
    ASSERT_OK(
        probe_read_text(session, engine, text_of("How many are 3 and 4?"), POOL_MEAN, pooled, &st));
    for (size_t i = 0; i < all.d; i++) {
        double mean = 0;
        for (int t = 0; t < n; t++) mean += (double)all.rows[t][i];
        CU_ASSERT_DOUBLE_EQUAL((double)pooled[i], mean / n, 1e-4);
    }
    static char longest[40000];
    memset(longest, 'x', sizeof longest - 1);
    ASSERT_FAILS(probe_read_text(session, engine, text_of(longest), POOL_LAST, pooled, &st),
                 STATUS_LIMIT, "context");
    session_free(session);
    session_free(fresh);
    token_list_release(&ids);
    engine_free(engine);
}

/* ---- training ---- */

#define SHA "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
static const enum hazard_category categories[] = {HAZARD_THREAT, HAZARD_INSULT};

/* One feature with values -1 and 1: the minimum is where the derivative of the loss is 0. */
static void test_minimum(void)
{
    struct status st = {0};
    struct probe *probe = NULL;
    float x[400], y[400];
    bool held_out[400] = {false};
    for (int i = 0; i < 400; i++) {
        x[i] = i & 1 ? 3.0f : 5.0f; /* standardised: -1 and 1 */
        y[i] = i & 1 ? 0.3f : 0.9f;
    }
    const struct probe_data data = {.name = "t",
                                    .weights_sha256 = SHA,
                                    .d_model = 1,
                                    .n_heads = 1,
                                    .category = categories,
                                    .n = 400,
                                    .hidden = x,
                                    .labels = y,
                                    .held_out = held_out};
    ASSERT_OK(probe_train(&probe, &data, &st));
    double logit[2];
    const float low = 3, high = 5;
    probe_logits(probe, &low, &logit[0]);
    probe_logits(probe, &high, &logit[1]);
    double w = (logit[1] - logit[0]) / 2;
    double p0 = 1 / (1 + exp(-logit[0])), p1 = 1 / (1 + exp(-logit[1]));
    CU_ASSERT_DOUBLE_EQUAL((p1 - 0.9 - (p0 - 0.3)) / 2 + probe->l2[0] * w, 0, 1e-5);
    CU_ASSERT_DOUBLE_EQUAL(p0 + p1, 0.3 + 0.9, 1e-5);
    CU_ASSERT_EQUAL(probe->l2[0], 0.003); /* the labels follow the feature: little is held back */
    probe_free(probe);
}

/* 40 features, of which two matter to one head each; the others are noise, one is constant. */
static struct probe *train_on_noise(double *auroc)
{
    enum { N = 300, D = 40 };
    static float x[N * D], y[N * 2];
    static bool held_out[N];
    struct status st = {0};
    struct probe *probe = NULL;
    uint64_t state = 3;
    for (int i = 0; i < N * D; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        x[i] = i % D == 7 ? 2.0f : (float)(state >> 40) / (float)(1 << 24) - 0.5f;
    }
    for (int i = 0; i < N; i++) {
        held_out[i] = i % 3 == 0;
        y[2 * i] = x[i * D] > 0.1f;
        y[2 * i + 1] = i % 5 == 0 ? NAN : (float)(x[i * D + 1] < 0);
    }
    const struct probe_data data = {.name = "noise",
                                    .weights_sha256 = SHA,
                                    .pool = POOL_MEAN,
                                    .d_model = D,
                                    .n_heads = 2,
                                    .category = categories,
                                    .n = N,
                                    .hidden = x,
                                    .labels = y,
                                    .held_out = held_out};
    ASSERT_OK(probe_train(&probe, &data, &st));
    int right = 0, pairs = 0;
    for (int i = 0; i < N; i += 3)
        for (int j = 0; j < N; j += 3) {
            double a[2], b[2];
            if (y[2 * i] < 0.5f || y[2 * j] >= 0.5f) continue;
            probe_logits(probe, x + i * D, a);
            probe_logits(probe, x + j * D, b);
            right += a[0] > b[0];
            pairs++;
        }
    *auroc = (double)right / pairs;
    return probe;
}

static void test_file(void)
{
    struct status st = {0};
    double auroc;
    struct probe *probe = train_on_noise(&auroc), *again = train_on_noise(&auroc), *read = NULL;
    CU_ASSERT_TRUE(auroc > 0.97);
    struct strbuf a, b;
    strbuf_init(&a, 1 << 20);
    strbuf_init(&b, 1 << 20);
    probe_append(&a, probe, text_of("{}"));
    probe_append(&b, again, text_of("{}"));
    CU_ASSERT_STRING_EQUAL(a.data, b.data); /* the same data, the same bytes */
    ASSERT_OK(probe_parse(&read, (struct text){a.data, a.length}, "p.json", &st));
    CU_ASSERT_EQUAL(memcmp(read->weights, probe->weights, 80 * sizeof(float)), 0);
    CU_ASSERT_EQUAL(read->bias[1], probe->bias[1]);
    CU_ASSERT_EQUAL(read->pool, POOL_MEAN);
    CU_ASSERT_STRING_EQUAL(read->weights_sha256, SHA);
    CU_ASSERT_EQUAL(read->category[1], HAZARD_INSULT);
    probe_free(read);
    probe_free(again);
    /* Changed and cut files are read or refused, never more. */
    uint64_t state = 9;
    int n_good = 0;
    for (int round = 0; round < 1500; round++) {
        memcpy(b.data, a.data, a.length);
        size_t n = a.length;
        for (int k = 0; k <= round % 3; k++) {
            state = state * 6364136223846793005u + 1442695040888963407u;
            size_t at = (size_t)(state >> 33) % (round & 1 ? 300 : n);
            if (state >> 60 == 5) n = at + 1;
            b.data[at] = (char)(state >> 20);
        }
        struct status own = {0};
        struct probe *p = NULL;
        if (probe_parse(&p, (struct text){b.data, n}, "p.json", &own) == STATUS_OK)
            n_good++;
        else
            CU_ASSERT_PTR_NOT_NULL(strstr(own.message, "p.json"));
        probe_free(p);
    }
    CU_ASSERT_TRUE(n_good > 0 && n_good < 1500);
    strbuf_release(&a);
    strbuf_release(&b);
    probe_free(probe);
}

static void test_one_class(void)
{
    struct status st = {0};
    struct probe *probe = NULL;
    const float x[6] = {1, 2, 3, 4, 5, 6}, y[6] = {1, 1, 1, 1, 1, 0};
    const bool held_out[6] = {false, false, false, false, false, true};
    const struct probe_data data = {"t", SHA, POOL_LAST, 1, 1, categories, 6, x, y, held_out};
    ASSERT_FAILS(probe_train(&probe, &data, &st), STATUS_BAD_INPUT,
                 "threat: no text to learn from is negative");
}

/* ---- as a classifier ---- */

static void test_classifier(void)
{
    struct status st = {0};
    struct engine *engine = open_demo();
    struct session *session = NULL;
    struct classifier *c = NULL;
    struct hazard_scores scores;
    char weights[SHA256_HEX_SIZE], spec[256];
    int d = engine_get_info(engine)->d_model;
    ASSERT_OK(engine_weights_sha256(engine, weights, &st));
    struct probe probe = {
        .name = "mine", .d_model = d, .n_heads = 1, .category = {HAZARD_THREAT}, .bias = {0.25}};
    probe.weights = calloc((size_t)d, sizeof(float));
    for (int i = 0; i < d; i++) probe.weights[i] = (float)(i % 5 - 2) / 8;
    struct strbuf file;
    strbuf_init(&file, 1 << 20);
    for (int right = 0; right < 2; right++) {
        memcpy(probe.weights_sha256, right ? weights : SHA, SHA256_HEX_SIZE);
        strbuf_clear(&file);
        probe_append(&file, &probe, text_of("{}"));
        snprintf(spec, sizeof spec, "probe:%s=%s", put("probe.json", file.data, file.length),
                 DEMO_MODEL);
        if (!right)
            ASSERT_FAILS(classifier_open(&c, spec, &st), STATUS_BAD_INPUT,
                         "the probe belongs to weights 0123456789ab");
        else
            ASSERT_OK(classifier_open(&c, spec, &st));
    }
    float *hidden = calloc((size_t)d, sizeof *hidden);
    double logit;
    ASSERT_OK(session_create(&session, engine, 0, &st));
    ASSERT_OK(probe_read_text(session, engine, text_of("2 and 3"), POOL_LAST, hidden, &st));
    probe_logits(&probe, hidden, &logit);
    ASSERT_OK(classifier_score(c, (struct text){0}, text_of("2 and 3"), &scores, &st));
    CU_ASSERT_EQUAL(scores.of[HAZARD_THREAT].logit, logit);
    CU_ASSERT_EQUAL(classifier_categories(c), HAZARD_BIT(HAZARD_THREAT));
    CU_ASSERT_PTR_NOT_NULL(strstr(classifier_id(c), "probe/mine@"));
    classifier_free(c);
    ASSERT_FAILS(classifier_open(&c, "probe:x", &st), STATUS_USAGE, "probe:FILE=MODEL");
    free(hidden);
    free(probe.weights);
    strbuf_release(&file);
    session_free(session);
    engine_free(engine);
}

static const struct test_case tests[] = {
    {"hidden states, and their pools", test_hidden},
    {"the minimum of the loss", test_minimum},
    {"files", test_file},
    {"one class alone", test_one_class},
    {"a probe with its model", test_classifier},
};
SUITE("probe", tests)
