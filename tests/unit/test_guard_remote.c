/* Guards and others who ask a service several things at a time: the same answers as one by one, no
 * more requests under way than agreed, and nothing asked twice. */
#define _DEFAULT_SOURCE /* MAP_ANONYMOUS */
#include <pthread.h>

#include "benchmarks/store_cache.h"
#include "classifiers/safety_pipeline.h"
#include "tests/unit/http_fixture.h"

/* ---- many texts at once ---- */

#define N_ITEMS 20

/* Twenty texts: two that fail, two that are the same as another. */
static void make_items(struct classifier_item items[N_ITEMS], char (*texts)[32])
{
    for (int i = 0; i < N_ITEMS; i++) {
        if (i % 10 == 7)
            snprintf(texts[i], 32, "FAIL %d", i);
        else
            snprintf(texts[i], 32, "v=0.%02d", i == 12 || i == 15 ? 3 : i);
        items[i] = (struct classifier_item){.prompt = text_of(""), .text = text_of(texts[i])};
    }
}

static void check_items(const struct classifier_item items[N_ITEMS])
{
    for (int i = 0; i < N_ITEMS; i++) {
        const struct hazard_score *violence = &items[i].scores.of[HAZARD_VIOLENCE];
        bool fails = i % 10 == 7;
        CU_ASSERT_EQUAL(items[i].status.code, fails ? STATUS_IO : STATUS_OK);
        CU_ASSERT_EQUAL(violence->scored, !fails);
        CU_ASSERT_EQUAL(violence->probability, fails ? 0 : strtod(items[i].text.data + 2, NULL));
        if (fails) CU_ASSERT_PTR_NOT_NULL(strstr(items[i].status.message, "HTTP 400"));
    }
}

/* Several requests are under way, and no more than that; every text gets its own answer. */
static void test_parallel(void)
{
    static const int parallel[] = {1, 4};
    for (int p = 0; p < 2; p++) {
        struct echo_setting s;
        struct classifier_item items[N_ITEMS];
        char texts[N_ITEMS][32];
        echo_start(&s);
        make_items(items, texts);
        struct classifier *c = echo_open(&s, parallel[p]);
        CU_ASSERT_EQUAL(classifier_parallel(c), parallel[p]);
        classifier_score_all(c, items, N_ITEMS);
        check_items(items);
        CU_ASSERT_EQUAL(s.counts->asked, N_ITEMS);
        CU_ASSERT_TRUE(s.counts->most <= parallel[p]);
        CU_ASSERT_EQUAL(s.counts->most > 1, parallel[p] > 1);
        classifier_score_all(c, items, 0);
        classifier_free(c);
        echo_stop(&s);
    }
}

/* With a cache each question is asked once, also of texts that come together. */
static void test_parallel_cache(void)
{
    struct status st = {0};
    struct store *store = NULL;
    struct score_cache cache = store_cache(&store);
    struct hazard_scores scores;
    struct echo_setting s;
    struct classifier_item items[N_ITEMS];
    char texts[N_ITEMS][32];
    echo_start(&s);
    make_items(items, texts);
    struct classifier *c = echo_open(&s, 4);
    ASSERT_OK(store_open(&store, ":memory:", STORE_WRITE, &st));
    ASSERT_OK(cached_classifier_create(&c, c, &cache, &st));
    classifier_score_all(c, items, N_ITEMS);
    check_items(items);
    CU_ASSERT_EQUAL(s.counts->asked, N_ITEMS - 2);
    classifier_score_all(c, items, N_ITEMS);
    check_items(items);
    CU_ASSERT_EQUAL(s.counts->asked, N_ITEMS); /* the two failures, again */
    ASSERT_OK(classifier_score(c, text_of(""), text_of("v=0.03"), &scores, &st));
    CU_ASSERT_EQUAL(s.counts->asked, N_ITEMS);
    classifier_free(c);
    echo_stop(&s);
    store_free(store);
}

/* ---- threads that share a cache ---- */

static void *score_alike(void *classifier)
{
    struct status st = {0};
    struct hazard_scores scores;
    char text[32];
    for (int i = 0; i < 6; i++) {
        snprintf(text, sizeof text, "v=0.%02d", 10 + i / 2);
        ASSERT_OK(classifier_score(classifier, text_of(""), text_of(text), &scores, &st));
        CU_ASSERT_EQUAL(scores.of[HAZARD_VIOLENCE].probability, strtod(text + 2, NULL));
    }
    return NULL;
}

static void test_threads_with_cache(void)
{
    struct status st = {0};
    struct store *store = NULL;
    struct score_cache cache = store_cache(&store);
    struct echo_setting s;
    pthread_t threads[4];
    echo_start(&s);
    struct classifier *c = echo_open(&s, 4);
    ASSERT_OK(store_open(&store, ":memory:", STORE_WRITE, &st));
    ASSERT_OK(cached_classifier_create(&c, c, &cache, &st));
    for (int i = 0; i < 4; i++)
        CU_ASSERT_EQUAL_FATAL(pthread_create(&threads[i], NULL, score_alike, c), 0);
    for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
    CU_ASSERT_EQUAL(s.counts->asked, 3);
    classifier_free(c);
    echo_stop(&s);
    store_free(store);
}

/* ---- a guard ---- */

#define N_GUARDED 12

/* Texts that pass and that do not, one that fails, and, in windows of 64 bytes, all of them. */
static void make_guarded(struct guard_item items[N_GUARDED], char (*texts)[160])
{
    for (int i = 0; i < N_GUARDED; i++) {
        if (i % 6 == 4)
            snprintf(texts[i], 160, "FAIL %d", i);
        else
            snprintf(texts[i], 160, "v=0.01 %0*d and no harm is in this text, v=0.%02d %s", 70, 0,
                     5 * i, i % 2 ? "kill you" : "");
        items[i] = (struct guard_item){.guard_text = text_of(texts[i])};
    }
}

static void assert_same_record(const struct guard_record *a, const struct guard_record *b)
{
    CU_ASSERT_EQUAL_FATAL(a->n_events, b->n_events);
    CU_ASSERT_EQUAL_FATAL(a->n_scores, b->n_scores);
    CU_ASSERT_EQUAL(a->blocked_input, b->blocked_input);
    for (int i = 0; i < a->n_events; i++) {
        const struct guard_event *x = &a->events[i], *y = &b->events[i];
        CU_ASSERT_EQUAL(x->verdict, y->verdict);
        CU_ASSERT_EQUAL(x->response, y->response);
        CU_ASSERT_EQUAL(x->classifier, y->classifier);
        CU_ASSERT_EQUAL(x->probability, y->probability);
        CU_ASSERT_STRING_EQUAL(x->error, y->error);
    }
    for (int i = 0; i < a->n_scores; i++) {
        CU_ASSERT_EQUAL(a->scores[i].category, b->scores[i].category);
        CU_ASSERT_EQUAL(a->scores[i].scored, b->scores[i].scored);
        CU_ASSERT_EQUAL(a->scores[i].logit, b->scores[i].logit);
        CU_ASSERT_STRING_EQUAL(a->scores[i].error, b->scores[i].error);
    }
}

/* A cascade: the word list decides about some texts, and the service is asked about the others. */
#define CASCADE                                                                                    \
    "\"input\": {\"cascade\": [{\"classifier\": \"lexicon\", \"bands\": {\"violence\": [0.0, "     \
    "0.5]}},"                                                                                      \
    " {\"classifier\": \"service\", \"thresholds\": {\"violence\": 0.3}}], \"action\": \"refuse\""
#define PLAIN                                                                                      \
    "\"input\": {\"thresholds\": {\"violence\": 0.3}, \"action\": \"refuse\", \"window_bytes\": "  \
    "64"

static void check_all(const char *stage, int parallel, struct guard_item items[N_GUARDED],
                      struct echo_setting *s)
{
    struct status st = {0};
    struct policy *policy = NULL;
    struct pipeline *pipeline = NULL;
    char json[1024];
    struct classifier *classifiers[2];
    ASSERT_OK(classifier_open(&classifiers[0], "lexicon", &st));
    classifiers[1] = echo_open(s, parallel);
    snprintf(json, sizeof json,
             "{\"name\": \"p\", \"version\": 1, \"classifiers\": [\"lexicon\", \"service\"],"
             " \"refusal\": \"No.\", %s}}",
             stage);
    ASSERT_OK(policy_parse(&policy, text_of(json), "test", &st));
    ASSERT_OK(pipeline_create_with(&pipeline, policy, GUARD_ENFORCE, classifiers, 2, &st));
    s->counts->most = s->counts->asked = 0;
    ASSERT_OK(pipeline_check_all(pipeline, GUARD_INPUT, items, N_GUARDED, &st));
    pipeline_free(pipeline);
    policy_free(policy);
    classifier_free(classifiers[0]);
    classifier_free(classifiers[1]);
}

static void test_guard(void)
{
    static const char *const stages[] = {PLAIN, CASCADE, PLAIN ", \"budget_ms\": 60000"};
    static char texts[N_GUARDED][160];
    struct echo_setting s;
    echo_start(&s);
    for (int i = 0; i < 3; i++) {
        struct guard_item one[N_GUARDED], several[N_GUARDED];
        make_guarded(one, texts);
        make_guarded(several, texts);
        check_all(stages[i], 1, one, &s);
        CU_ASSERT_EQUAL(s.counts->most, 1);
        check_all(stages[i], 4, several, &s);
        CU_ASSERT_TRUE(s.counts->most <= 4);
        CU_ASSERT_EQUAL(s.counts->most > 1, i < 2); /* with a budget, one by one */
        int n_blocked = 0, n_errors = 0;
        for (int k = 0; k < N_GUARDED; k++) {
            assert_same_record(&one[k].record, &several[k].record);
            n_blocked += several[k].record.events[0].verdict == GUARD_BLOCK;
            n_errors += several[k].record.events[0].verdict == GUARD_ERROR;
            guard_record_release(&one[k].record);
            guard_record_release(&several[k].record);
        }
        CU_ASSERT_TRUE(n_blocked > 2 && n_blocked < N_GUARDED - 2);
        CU_ASSERT_EQUAL(n_errors, 2);
    }
    echo_stop(&s);
}

static const struct test_case tests[] = {
    {"many texts, several at a time", test_parallel},
    {"many texts with a cache", test_parallel_cache},
    {"threads that want to know the same", test_threads_with_cache},
    {"a guard's checks", test_guard},
};
SUITE("guard_remote", tests)
