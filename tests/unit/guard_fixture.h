/* guard_fixture.h - a backend and classifiers that say what they are told to say, for the tests of
 * the safety pipeline.
 *
 * The fake backend answers a prompt with the prompt itself, a word (with the space in front) for a
 * token (or, with `max_piece`, so many bytes or fewer, cut anywhere), up to max_tokens; "fail" as
 * first word makes the request fail.  Where '|' divides the prompt, its n-th call answers with the
 * n-th part, or the last.  All requests of a call grow side by side, as in a real batch.  The fake
 * classifier reads its scores from the text: "v=0.5" is the probability of violence, "s=0.5" of
 * self_harm (0 where absent), the last one counts; "ERROR" makes it fail, "BLANK" leaves violence
 * unscored, "NAN" makes it say what is no number and "SLOW" takes it 20 ms.  It explains a score by
 * every word that holds "v=" or "s=".
 */
#ifndef ASSAY_TESTS_GUARD_FIXTURE_H
#define ASSAY_TESTS_GUARD_FIXTURE_H

#include <math.h>
#include <stdlib.h>
#include <time.h>

#include "classifiers/classifier_vtable.h"
#include "classifiers/safety_pipeline.h"
#include "engine/backend_vtable.h"
#include "tests/unit/suite.h"

static inline struct text find_last(struct text text, const char *what)
{
    size_t n = strlen(what);
    for (size_t i = text.length; i >= n && n; i--)
        if (memcmp(text.data + i - n, what, n) == 0)
            return (struct text){text.data + i, text.length - i};
    return (struct text){0};
}

static inline double read_score(struct text text, const char *key)
{
    char number[16] = {0};
    struct text at = find_last(text, key);
    if (at.data) memcpy(number, at.data, at.length < 15 ? at.length : 15);
    return strtod(number, NULL);
}

static inline status_code fake_score(const struct classifier *classifier, struct text prompt,
                                     struct text text, struct hazard_scores *out, struct status *st)
{
    (void)prompt;
    if (find_last(text, "ERROR").data)
        return status_set(st, STATUS_IO, "the fake was told to fail");
    const struct timespec pause = {.tv_nsec = 20000000};
    if (find_last(text, "SLOW").data) nanosleep(&pause, NULL);
    double v = read_score(text, "v="), s = read_score(text, "s=");
    if (classifier->categories & HAZARD_BIT(HAZARD_VIOLENCE))
        out->of[HAZARD_VIOLENCE] = (struct hazard_score){!find_last(text, "BLANK").data, 10 * v, v};
    if (classifier->categories & HAZARD_BIT(HAZARD_SELF_HARM))
        out->of[HAZARD_SELF_HARM] = (struct hazard_score){true, 10 * s, s};
    if (find_last(text, "NAN").data) out->of[HAZARD_VIOLENCE].probability = (double)NAN;
    return STATUS_OK;
}

/* Words that hold a score of a category, whatever it is. */
static inline status_code fake_explain(const struct classifier *classifier, struct text prompt,
                                       struct text text,
                                       void (*on_span)(void *user, const struct hazard_span *span),
                                       void *user, struct status *st)
{
    (void)prompt;
    (void)classifier;
    (void)st;
    for (size_t i = 0, end; i < text.length; i = end + 1) {
        for (end = i; end < text.length && text.data[end] != ' ';) end++;
        struct hazard_span span = {{text.data + i, end - i}, HAZARD_VIOLENCE, 1};
        if (find_last(span.text, "v=").data) on_span(user, &span);
        span.category = HAZARD_SELF_HARM;
        if (find_last(span.text, "s=").data) on_span(user, &span);
    }
    return STATUS_OK;
}

static const struct classifier_vtable fake_table = {.score = fake_score, .explain = fake_explain};
static const struct classifier_vtable mute_table = {.score = fake_score};

struct fake_backend {
    struct backend base;
    int n_calls, n_requests;
    bool fails;
    size_t max_piece;  /* 0: words */
    uint64_t seeds[8]; /* of the first request of each call */
};

/* What the n-th call answers to a prompt. */
static inline struct text part_of(struct text prompt, int n)
{
    const char *bar;
    while ((bar = memchr(prompt.data, '|', prompt.length)) && n-- > 1) {
        prompt.length -= (size_t)(bar + 1 - prompt.data);
        prompt.data = bar + 1;
    }
    if (bar) prompt.length = (size_t)(bar - prompt.data);
    return prompt;
}

/* Where the token ends that starts at `start`. */
static inline size_t token_end(const struct fake_backend *fake, struct text prompt, size_t start)
{
    size_t end = start;
    if (fake->max_piece) {
        end += 1 + (start * 2654435761u >> 7) % fake->max_piece;
        return end < prompt.length ? end : prompt.length;
    }
    do end++;
    while (end < prompt.length && prompt.data[end] != ' ');
    return end;
}

/* Grows one reply by one token; true when it has ended. */
static inline bool grow(const struct fake_backend *fake, const struct generate_request *request,
                        struct generate_result *result)
{
    size_t start = result->reply.length;
    struct text prompt = part_of(request->prompt, fake->n_calls);
    result->finish_reason = FINISH_EOS;
    if (start == prompt.length) return true;
    size_t end = token_end(fake, prompt, start);
    strbuf_append(&result->reply, prompt.data + start, end - start);
    result->n_generated++;
    struct text reply = {result->reply.data, result->reply.length};
    result->finish_reason = FINISH_GUARD;
    if (request->on_text && !request->on_text(request->user, reply)) return true;
    result->finish_reason = FINISH_LENGTH;
    return result->n_generated >= request->max_tokens;
}

static inline status_code fake_generate(struct backend *backend,
                                        const struct generate_request *requests, int n,
                                        struct generate_result *results, struct status *st)
{
    struct fake_backend *fake = (struct fake_backend *)backend;
    bool done[16] = {false};
    if (fake->n_calls < 8 && n) fake->seeds[fake->n_calls] = requests[0].seed;
    fake->n_calls++;
    fake->n_requests += n;
    for (int i = 0; i < n; i++) {
        results[i] = (struct generate_result){0};
        strbuf_init(&results[i].reply, 1 << 16);
        strbuf_append_str(&results[i].reply, "");
        if (strncmp(requests[i].prompt.data, "fail", 4) != 0) continue;
        status_set(&results[i].status, STATUS_LIMIT, "the fake was told to fail");
        done[i] = true;
    }
    for (int left = n; left;) {
        left = 0;
        for (int i = 0; i < n; i++) {
            done[i] = done[i] || grow(fake, &requests[i], &results[i]);
            left += !done[i];
        }
    }
    if (fake->fails) return status_set(st, STATUS_IO, "the fake backend is gone");
    return STATUS_OK;
}

static inline status_code fake_loglikelihood(struct backend *backend,
                                             const struct loglikelihood_request *requests, int n,
                                             struct loglikelihood_result *results,
                                             struct status *st)
{
    struct fake_backend *fake = (struct fake_backend *)backend;
    fake->n_calls++;
    fake->n_requests += n;
    for (int i = 0; i < n; i++) {
        results[i] = (struct loglikelihood_result){0};
        results[i].logprob[0] = -(double)requests[i].context.length;
    }
    return fake->fails ? status_set(st, STATUS_IO, "the fake backend is gone") : STATUS_OK;
}

static inline void fake_free(struct backend *backend)
{
    (void)backend;
}

static const struct backend_vtable fake_backend_table = {fake_loglikelihood, fake_generate,
                                                         fake_free};

/* A pipeline over two fake classifiers, the backend, and up to 8 items with their outcomes. */
struct setting {
    struct policy *policy;
    struct classifier classifiers[2];
    struct pipeline *pipeline;
    struct fake_backend backend;
    struct generate_item items[8];
    struct generate_outcome outcomes[8];
    int n;
};

#define POLICY(stages, on_error)                                                                   \
    "{\"name\":\"p\",\"version\":1,\"classifiers\":[\"first\",\"second\"]," stages                 \
    ",\"on_error\":\"" on_error "\",\"refusal\":\"No.\"}"
#define INPUT                                                                                      \
    "\"input\":{\"thresholds\":{\"violence\":0.5,\"self_harm\":0.75},\"action\":\"refuse\"}"
#define OUTPUT                                                                                     \
    "\"output\":{\"thresholds\":{\"violence\":0.5},\"action\":\"refuse\","                         \
    "\"check_every_tokens\":3}"
#define BOTH INPUT "," OUTPUT

static inline void set_up(struct setting *s, const char *policy, enum guard_mode mode)
{
    struct status st = {0};
    *s = (struct setting){
        .classifiers = {{.vtable = &fake_table,
                         .id = "fake/v",
                         .sha256 = "1",
                         .categories = HAZARD_BIT(HAZARD_VIOLENCE)},
                        {.vtable = &fake_table,
                         .id = "fake/vs",
                         .sha256 = "2",
                         .categories = HAZARD_BIT(HAZARD_VIOLENCE) | HAZARD_BIT(HAZARD_SELF_HARM)}},
        .backend.base.vtable = &fake_backend_table,
    };
    struct classifier *const classifiers[] = {&s->classifiers[0], &s->classifiers[1]};
    ASSERT_OK(policy_parse(&s->policy, text_of(policy), "test", &st));
    ASSERT_OK(pipeline_create_with(&s->pipeline, s->policy, mode, classifiers, 2, &st));
}

/* The guard sees guard_text, the model answers with `reply`. */
static inline void add_item(struct setting *s, const char *guard_text, const char *reply)
{
    s->items[s->n++] = (struct generate_item){
        .request = {.prompt = text_of(reply), .max_tokens = 100},
        .guard_text = text_of(guard_text),
    };
}

static inline void generate(struct setting *s)
{
    struct status st = {0};
    ASSERT_OK(pipeline_generate(s->pipeline, &s->backend.base, s->items, s->n, s->outcomes, &st));
}

static inline void tear_down(struct setting *s)
{
    for (int i = 0; i < s->n; i++) outcome_release(&s->outcomes[i]);
    pipeline_free(s->pipeline);
    policy_free(s->policy);
}

static inline void assert_text(struct text text, const char *expected)
{
    bool same = text_equal(text, text_of(expected));
    if (!same) fprintf(stderr, "  \"%.*s\", expected \"%s\"\n", TEXT_ARGS(text), expected);
    CU_ASSERT_TRUE(same);
}

static inline void assert_reply(const struct generate_outcome *outcome, const char *raw,
                                const char *delivered)
{
    CU_ASSERT_STRING_EQUAL(outcome->result.reply.data, raw);
    assert_text(outcome->delivered, delivered);
}

#endif
