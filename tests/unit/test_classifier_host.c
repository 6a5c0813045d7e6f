/* A classifier in a process of its own: one that crashes, hangs or says NaN is a closed verdict
 * with a reason, and the next text is judged as if nothing had been. */
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>

#include "classifiers/classifier_host.h"
#include "engine/base/clock.h"
#include "engine/base/worker_process.h"
#include "tests/unit/guard_fixture.h"

/* ---- a classifier that does what the text says ---- */

static status_code stub_score(const struct classifier *classifier, struct text prompt,
                              struct text text, struct hazard_scores *out, struct status *st)
{
    (void)classifier;
    volatile double sum = 0;
    if (find_last(text, "CRASH").data) raise(SIGSEGV);
    if (find_last(text, "ABORT").data) abort();
    while (find_last(text, "HANG").data) sum = sum + 1;
    if (find_last(text, "LEAVE").data) _exit(7);
    if (find_last(text, "ERROR").data) return status_set(st, STATUS_LIMIT, "told to fail");
    /* The team of threads has to work after the fork. */
    double squares = 0;
#pragma omp parallel for reduction(+ : squares)
    for (int i = 0; i < 1000; i++) squares += i;
    double v = read_score(text, "v=");
    if (find_last(text, "NAN").data) v = (double)NAN;
    out->of[HAZARD_VIOLENCE] = (struct hazard_score){true, squares + (double)prompt.length, v};
    return STATUS_OK;
}

static void stub_free(struct classifier *classifier)
{
    free(classifier);
}

static const struct classifier_vtable stub_table = {.score = stub_score, .free = stub_free};

static struct classifier *host_a_stub(void)
{
    struct status st = {0};
    struct classifier *stub = calloc(1, sizeof *stub), *host = NULL;
    CU_ASSERT_PTR_NOT_NULL_FATAL(stub);
    *stub = (struct classifier){.vtable = &stub_table,
                                .id = "stub/1",
                                .sha256 = "5",
                                .categories = HAZARD_BIT(HAZARD_VIOLENCE)};
    ASSERT_OK(classifier_host_create(&host, stub, &st));
    return host;
}

static void test_scores(void)
{
    struct status st = {0};
    struct hazard_scores scores;
    double before = 0; /* the caller has a team of threads of its own when the process starts */
#pragma omp parallel for reduction(+ : before)
    for (int i = 0; i < 1000; i++) before += i;
    CU_ASSERT_EQUAL(before, 499500);
    struct classifier *host = host_a_stub();
    CU_ASSERT_STRING_EQUAL(classifier_id(host), "stub/1");
    static char longest[3 << 20];
    memset(longest, 'x', sizeof longest - 1);
    memcpy(longest + sizeof longest - 8, " v=0.25", 7);
    for (int i = 0; i < 3; i++) {
        ASSERT_OK(classifier_score(host, text_of("four"), text_of(longest), &scores, &st));
        CU_ASSERT_EQUAL(scores.of[HAZARD_VIOLENCE].logit, 499504);
        CU_ASSERT_EQUAL(scores.of[HAZARD_VIOLENCE].probability, 0.25);
        ASSERT_OK(classifier_score(host, (struct text){0}, (struct text){0}, &scores, &st));
        CU_ASSERT_EQUAL(scores.of[HAZARD_VIOLENCE].logit, 499500);
    }
    ASSERT_FAILS(classifier_score(host, (struct text){0}, text_of("ERROR"), &scores, &st),
                 STATUS_LIMIT, "told to fail");
    classifier_free(host);
}

static void test_faults(void)
{
    static const struct {
        const char *text;
        status_code code;
        const char *says;
    } faults[] = {
        {"ABORT", STATUS_IO, "stub/1: its process died of signal 6"},
        {"CRASH", STATUS_IO, "stub/1: its process died of signal 11"},
        {"LEAVE", STATUS_IO, "stub/1: its process ended with code 7"},
        {"HANG", STATUS_TIMEOUT, "stub/1: no answer in 0.2 s"},
        {"NAN", STATUS_BAD_INPUT, "probability"},
    };
    struct classifier *host = host_a_stub();
    for (size_t i = 0; i < 2 * sizeof faults / sizeof faults[0]; i++) {
        struct status st = {0};
        struct hazard_scores scores;
        size_t f = i % (sizeof faults / sizeof faults[0]);
        double start = clock_seconds(), limit = strcmp(faults[f].text, "HANG") ? 60 : 0.2;
        ASSERT_FAILS(classifier_score_within(host, (struct text){0}, text_of(faults[f].text), limit,
                                             &scores, &st),
                     faults[f].code, faults[f].says);
        CU_ASSERT_TRUE(clock_seconds() - start < 30);
        CU_ASSERT_FALSE(scores.of[HAZARD_VIOLENCE].scored);
        ASSERT_OK(classifier_score(host, (struct text){0}, text_of("v=0.5"), &scores, &st));
        CU_ASSERT_EQUAL(scores.of[HAZARD_VIOLENCE].probability, 0.5);
    }
    classifier_free(host);
}

/* Through the pipeline: the run goes on, each fault is an event with a reason, and the guard closes
 * as the policy says. */
static void test_closed_verdicts(void)
{
    static const char *const faults[] = {"CRASH", "HANG", "NAN", "fine v=0.1"};
    for (int closed = 0; closed < 2; closed++) {
        struct status st = {0};
        struct setting s = {.backend.base.vtable = &fake_backend_table};
        struct classifier *host = host_a_stub();
        char policy[512];
        snprintf(policy, sizeof policy,
                 "{\"name\":\"p\",\"version\":1,\"classifiers\":[\"first\"],\"input\":{"
                 "\"thresholds\":{\"violence\":0.5},\"action\":\"refuse\",\"budget_ms\":300},"
                 "\"on_error\":\"%s\",\"on_timeout\":\"%s\",\"refusal\":\"No.\"}",
                 closed ? "block" : "allow", closed ? "block" : "allow");
        ASSERT_OK(policy_parse(&s.policy, text_of(policy), "test", &st));
        ASSERT_OK(pipeline_create_with(&s.pipeline, s.policy, GUARD_ENFORCE, &host, 1, &st));
        for (int i = 0; i < 4; i++) add_item(&s, faults[i], "a reply");
        generate(&s);
        for (int i = 0; i < 4; i++) {
            const struct guard_event *e = &s.outcomes[i].record.events[0];
            CU_ASSERT_EQUAL(s.outcomes[i].record.n_events, 1);
            CU_ASSERT_EQUAL(e->verdict, i < 3 ? GUARD_ERROR : GUARD_ALLOW);
            CU_ASSERT_EQUAL(e->timed_out, i == 1);
            CU_ASSERT_EQUAL(e->error[0] != '\0', i < 3);
            assert_text(s.outcomes[i].delivered, i < 3 && closed ? "No." : "a reply");
            CU_ASSERT_EQUAL(s.outcomes[i].record.scores[0].scored, i == 3);
        }
        CU_ASSERT_TRUE(s.outcomes[1].record.events[0].seconds < 20);
        tear_down(&s);
        classifier_free(host);
    }
}

/* ---- the process ---- */

static void echo(void *user, struct text request, struct strbuf *answer)
{
    (void)user;
    strbuf_append(answer, request.data, request.length);
    strbuf_append_char(answer, '!');
}

static void *ask_often(void *argument)
{
    bool good = true;
    for (int i = 0; i < 50 && good; i++) {
        struct status st = {0};
        struct strbuf answer;
        char request[32];
        int n = snprintf(request, sizeof request, "%p %d", argument, i);
        strbuf_init(&answer, 100);
        good = worker_process_ask(argument, (struct text){request, (size_t)n}, 60, &answer, &st) ==
                   STATUS_OK &&
               answer.length == (size_t)n + 1 && memcmp(answer.data, request, (size_t)n) == 0;
        strbuf_release(&answer);
    }
    return good ? argument : NULL;
}

static void test_threads(void)
{
    struct status st = {0};
    struct worker_process *worker = NULL;
    pthread_t threads[4];
    ASSERT_OK(worker_process_create(&worker, echo, NULL, &st));
    for (int i = 0; i < 4; i++)
        CU_ASSERT_EQUAL_FATAL(pthread_create(&threads[i], NULL, ask_often, worker), 0);
    for (int i = 0; i < 4; i++) {
        void *result = NULL;
        pthread_join(threads[i], &result);
        CU_ASSERT_PTR_EQUAL(result, worker);
    }
    /* An answer over its bound is a failure, and the next one is whole. */
    struct strbuf small, enough;
    strbuf_init(&small, 4);
    strbuf_init(&enough, 100);
    ASSERT_FAILS(worker_process_ask(worker, text_of("longer"), 60, &small, &st), STATUS_LIMIT, "");
    ASSERT_OK(worker_process_ask(worker, text_of("longer"), 60, &enough, &st));
    CU_ASSERT_STRING_EQUAL(enough.data, "longer!");
    strbuf_release(&small);
    strbuf_release(&enough);
    worker_process_free(worker);
}

static const struct test_case tests[] = {
    {"the scores of the classifier inside", test_scores},
    {"crash, hang, NaN: a reason, and the next text is judged", test_faults},
    {"in a pipeline they are closed verdicts", test_closed_verdicts},
    {"threads share a worker", test_threads},
};
SUITE("classifier_host", tests)
