/* Policies, and what the pipeline does with them in front of and behind a backend that says what it
 * is told to say.  What the actions do is in test_guard_actions.c. */
#include "engine/base/rng.h"
#include "tests/unit/guard_fixture.h"

/* ---- modes ---- */

static void test_off(void)
{
    struct setting s;
    struct status st = {0};
    set_up(&s, POLICY(BOTH, "block"), GUARD_SHADOW);
    pipeline_free(s.pipeline);
    ASSERT_OK(pipeline_create(&s.pipeline, NULL, GUARD_OFF, &st));
    CU_ASSERT_EQUAL(pipeline_n_classifiers(s.pipeline), 0);
    CU_ASSERT_PTR_NULL(pipeline_policy(s.pipeline));
    add_item(&s, "v=1", "v=1 v=1 v=1 v=1");
    generate(&s);
    assert_reply(&s.outcomes[0], "v=1 v=1 v=1 v=1", "v=1 v=1 v=1 v=1");
    CU_ASSERT_TRUE(s.outcomes[0].ran);
    CU_ASSERT_EQUAL(s.outcomes[0].record.n_events, 0);
    CU_ASSERT_EQUAL(s.outcomes[0].record.n_scores, 0);
    CU_ASSERT_FALSE(s.outcomes[0].record.blocked_input || s.outcomes[0].record.blocked_output);
    tear_down(&s);
}

static void test_shadow(void)
{
    struct setting s;
    set_up(&s, POLICY(BOTH, "block"), GUARD_SHADOW);
    add_item(&s, "v=0.9", "fine");
    add_item(&s, "fine", "a b v=0.8 c d e f g");
    add_item(&s, "fine", "fine");
    add_item(&s, "fine", "v=0.9 b c d e f v=0 h i"); /* blocked only while it grows */
    generate(&s);
    CU_ASSERT_EQUAL(s.backend.n_calls, 1);
    CU_ASSERT_EQUAL(s.backend.n_requests, 4);
    assert_reply(&s.outcomes[0], "fine", "fine");
    assert_reply(&s.outcomes[1], "a b v=0.8 c d e f g", "a b v=0.8 c d e f g");
    assert_reply(&s.outcomes[3], "v=0.9 b c d e f v=0 h i", "v=0.9 b c d e f v=0 h i");
    CU_ASSERT_EQUAL(s.outcomes[1].result.finish_reason, FINISH_EOS);
    CU_ASSERT_TRUE(s.outcomes[0].record.blocked_input);
    CU_ASSERT_FALSE(s.outcomes[0].record.blocked_output);
    CU_ASSERT_TRUE(s.outcomes[1].record.blocked_output);
    CU_ASSERT_FALSE(s.outcomes[2].record.blocked_input || s.outcomes[2].record.blocked_output);
    const struct guard_event *event = &s.outcomes[3].record.events[1];
    CU_ASSERT_TRUE(s.outcomes[3].record.blocked_output);
    CU_ASSERT_EQUAL(event->cut_at_token, 3);
    CU_ASSERT_EQUAL(event->mode, GUARD_SHADOW);
    CU_ASSERT_EQUAL(event->probability, 0.9);
    /* The scores are of the whole reply all the same. */
    for (int i = 0; i < s.outcomes[3].record.n_scores; i++)
        CU_ASSERT_EQUAL(s.outcomes[3].record.scores[i].probability, 0);
    tear_down(&s);
}

static void test_enforce(void)
{
    struct setting s;
    set_up(&s, POLICY(BOTH, "block"), GUARD_ENFORCE);
    add_item(&s, "v=0.9", "never said");
    add_item(&s, "fine", "a b c d v=0.8 e f g h i");
    add_item(&s, "fine", "fine");
    add_item(&s, "fine", "a v=0.8");
    generate(&s);
    CU_ASSERT_EQUAL(s.backend.n_calls, 1);
    CU_ASSERT_EQUAL(s.backend.n_requests, 3);

    CU_ASSERT_FALSE(s.outcomes[0].ran);
    assert_reply(&s.outcomes[0], "", "No.");
    CU_ASSERT_TRUE(s.outcomes[0].record.blocked_input);
    CU_ASSERT_EQUAL(s.outcomes[0].record.n_events, 1);

    CU_ASSERT_TRUE(s.outcomes[1].ran);
    CU_ASSERT_EQUAL(s.outcomes[1].result.finish_reason, FINISH_GUARD);
    assert_reply(&s.outcomes[1], "a b c d v=0.8 e", "No.");
    CU_ASSERT_EQUAL(s.outcomes[1].record.events[1].cut_at_token, 6);
    CU_ASSERT_EQUAL(s.outcomes[1].record.events[1].n_checks, 3);

    assert_reply(&s.outcomes[2], "fine", "fine");
    CU_ASSERT_EQUAL(s.outcomes[2].record.n_events, 2);

    assert_reply(&s.outcomes[3], "a v=0.8", "No.");
    CU_ASSERT_EQUAL(s.outcomes[3].result.finish_reason, FINISH_EOS);
    CU_ASSERT_EQUAL(s.outcomes[3].record.events[1].cut_at_token, 0);
    tear_down(&s);
}

static void test_all_blocked(void)
{
    struct setting s;
    set_up(&s, POLICY(BOTH, "block"), GUARD_ENFORCE);
    add_item(&s, "v=1", "x");
    add_item(&s, "s=1", "x");
    generate(&s);
    CU_ASSERT_EQUAL(s.backend.n_requests, 0);
    assert_text(s.outcomes[1].delivered, "No.");
    CU_ASSERT_EQUAL(s.outcomes[1].record.events[0].category, HAZARD_SELF_HARM);
    tear_down(&s);
}

/* Enforce does to an item what shadow said it would, alone or beside others. */
static void test_modes_agree(void)
{
    static const char *const replies[] = {"a b c v=0.6 d e",
                                          "v=0.5",
                                          "",
                                          "a",
                                          "x ERROR y z v=0 u w",
                                          "a b BLANK c d e f",
                                          "v=0.49 b",
                                          "v=0.9 v=0 v=0 v=0"};
    struct setting shadow, enforce;
    set_up(&shadow, POLICY(BOTH, "block"), GUARD_SHADOW);
    set_up(&enforce, POLICY(BOTH, "block"), GUARD_ENFORCE);
    for (int i = 0; i < 8; i++) {
        add_item(&shadow, "fine", replies[i]);
        add_item(&enforce, "fine", replies[i]);
    }
    generate(&shadow);
    generate(&enforce);
    for (int i = 0; i < 8; i++) {
        struct setting alone;
        set_up(&alone, POLICY(BOTH, "block"), GUARD_ENFORCE);
        add_item(&alone, "fine", replies[i]);
        generate(&alone);
        const struct guard_event *a = &shadow.outcomes[i].record.events[1];
        const struct guard_event *b = &enforce.outcomes[i].record.events[1];
        assert_text((struct text){shadow.outcomes[i].result.reply.data,
                                  shadow.outcomes[i].result.reply.length},
                    replies[i]);
        CU_ASSERT_EQUAL(a->verdict, b->verdict);
        CU_ASSERT_EQUAL(a->cut_at_token, b->cut_at_token);
        CU_ASSERT_EQUAL(a->n_checks, b->n_checks);
        CU_ASSERT_EQUAL(shadow.outcomes[i].record.blocked_output,
                        enforce.outcomes[i].record.blocked_output);
        assert_reply(&alone.outcomes[0], enforce.outcomes[i].result.reply.data,
                     enforce.outcomes[i].record.blocked_output ? "No." : replies[i]);
        tear_down(&alone);
    }
    tear_down(&shadow);
    tear_down(&enforce);
}

/* ---- verdicts ---- */

static void test_thresholds(void)
{
    static const struct {
        const char *text;
        bool blocks;
        enum hazard_category category;
        double probability, threshold;
    } cases[] = {
        {"v=0.5", true, HAZARD_VIOLENCE, 0.5, 0.5}, /* at the threshold */
        {"v=0.4999999999", false, HAZARD_TOXICITY, 0, 0},
        {"s=0.75", true, HAZARD_SELF_HARM, 0.75, 0.75},
        {"s=0.7499", false, HAZARD_TOXICITY, 0, 0},
        {"v=0.6 s=0.8", true, HAZARD_VIOLENCE, 0.6, 0.5}, /* highest above its threshold */
        {"v=0.6 s=0.99", true, HAZARD_SELF_HARM, 0.99, 0.75},
        {"v=1", true, HAZARD_VIOLENCE, 1, 0.5},
        {"", false, HAZARD_TOXICITY, 0, 0},
    };
    struct setting s;
    struct status st = {0};
    set_up(&s, POLICY(BOTH, "block"), GUARD_ENFORCE);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct guard_record record;
        ASSERT_OK(pipeline_check_input(s.pipeline, text_of(cases[i].text), &record, &st));
        CU_ASSERT_EQUAL_FATAL(record.n_events, 1);
        const struct guard_event *event = &record.events[0];
        CU_ASSERT_EQUAL(record.blocked_input, cases[i].blocks);
        CU_ASSERT_EQUAL(event->verdict, cases[i].blocks ? GUARD_BLOCK : GUARD_ALLOW);
        CU_ASSERT_EQUAL(event->classifier, !cases[i].blocks                        ? -1
                                           : cases[i].category == HAZARD_SELF_HARM ? 1
                                                                                   : 0);
        CU_ASSERT_EQUAL(event->category, cases[i].category);
        CU_ASSERT_EQUAL(event->probability, cases[i].probability);
        CU_ASSERT_EQUAL(event->threshold, cases[i].threshold);
        guard_record_release(&record);
    }
    tear_down(&s);
}

static void test_record_is_complete(void)
{
    struct setting s;
    set_up(&s, POLICY(BOTH, "block"), GUARD_SHADOW);
    add_item(&s, "v=0.25 s=0.8", "v=0.125 s=1");
    generate(&s);
    const struct guard_record *record = &s.outcomes[0].record;
    CU_ASSERT_EQUAL_FATAL(record->n_events, 2);
    CU_ASSERT_EQUAL(record->events[0].stage, GUARD_INPUT);
    CU_ASSERT_EQUAL(record->events[0].verdict, GUARD_BLOCK);
    CU_ASSERT_EQUAL(record->events[0].mode, GUARD_SHADOW);
    CU_ASSERT_EQUAL(record->events[0].action, GUARD_ACTION_REFUSE);
    CU_ASSERT_EQUAL(record->events[0].n_checks, 1);
    CU_ASSERT_EQUAL(record->events[1].stage, GUARD_OUTPUT);
    CU_ASSERT_EQUAL(record->events[1].verdict, GUARD_ALLOW); /* self_harm has no threshold there */
    for (int i = 0; i < 2; i++)
        CU_ASSERT_TRUE(record->events[i].seconds >= 0 && record->events[i].seconds < 10);
    /* Both stages, for each: violence by the first; by the second both, in taxonomy order. */
    CU_ASSERT_EQUAL_FATAL(record->n_scores, 6);
    static const struct guard_score expected[] = {
        {GUARD_INPUT, 0, HAZARD_VIOLENCE, true, 2.5, 0.25, 0.25, ""},
        {GUARD_INPUT, 1, HAZARD_SELF_HARM, true, 8, 0.8, 0.8, ""},
        {GUARD_INPUT, 1, HAZARD_VIOLENCE, true, 2.5, 0.25, 0.25, ""},
        {GUARD_OUTPUT, 0, HAZARD_VIOLENCE, true, 1.25, 0.125, 0.125, ""},
        {GUARD_OUTPUT, 1, HAZARD_SELF_HARM, true, 10, 1, 1, ""},
        {GUARD_OUTPUT, 1, HAZARD_VIOLENCE, true, 1.25, 0.125, 0.125, ""},
    };
    for (int i = 0; i < 6; i++) {
        const struct guard_score *score = &record->scores[i];
        CU_ASSERT_EQUAL(score->stage, expected[i].stage);
        CU_ASSERT_EQUAL(score->classifier, expected[i].classifier);
        CU_ASSERT_EQUAL(score->category, expected[i].category);
        CU_ASSERT_TRUE(score->scored);
        CU_ASSERT_EQUAL(score->logit, expected[i].logit);
        CU_ASSERT_EQUAL(score->probability, expected[i].probability);
        CU_ASSERT_STRING_EQUAL(score->error, "");
    }
    tear_down(&s);
}

static void test_fails_closed(void)
{
    struct setting s;
    set_up(&s, POLICY(BOTH, "block"), GUARD_ENFORCE);
    add_item(&s, "ERROR", "never said");
    add_item(&s, "fine", "a ERROR c d e f");
    add_item(&s, "BLANK", "never said");
    add_item(&s, "fine", "fine");
    generate(&s);
    CU_ASSERT_EQUAL(s.backend.n_requests, 2);
    for (int i = 0; i < 3; i++) assert_text(s.outcomes[i].delivered, "No.");
    assert_text(s.outcomes[3].delivered, "fine");
    const struct guard_event *event = &s.outcomes[0].record.events[0];
    CU_ASSERT_EQUAL(event->verdict, GUARD_ERROR);
    CU_ASSERT_TRUE(event->blocks);
    CU_ASSERT_EQUAL(event->classifier, -1);
    CU_ASSERT_STRING_EQUAL(event->error, "fake/v: the fake was told to fail");
    const struct guard_score *score = &s.outcomes[0].record.scores[0];
    CU_ASSERT_FALSE(score->scored);
    CU_ASSERT_STRING_EQUAL(score->error, "the fake was told to fail");
    CU_ASSERT_STRING_EQUAL(s.outcomes[1].result.reply.data, "a ERROR c");
    CU_ASSERT_EQUAL(s.outcomes[1].record.events[1].verdict, GUARD_ERROR);
    CU_ASSERT_STRING_EQUAL(s.outcomes[2].record.events[0].error, "fake/v: violence was not scored");
    CU_ASSERT_STRING_EQUAL(s.outcomes[2].record.scores[0].error, "not scored");
    tear_down(&s);
}

static void test_fails_open_when_told(void)
{
    struct setting s;
    set_up(&s, POLICY(BOTH, "allow"), GUARD_ENFORCE);
    add_item(&s, "ERROR", "a ERROR c d e f");
    add_item(&s, "BLANK s=0.9", "x"); /* one category unscored, the other over its threshold */
    generate(&s);
    assert_reply(&s.outcomes[0], "a ERROR c d e f", "a ERROR c d e f");
    CU_ASSERT_EQUAL(s.outcomes[0].record.events[0].verdict, GUARD_ERROR);
    CU_ASSERT_EQUAL(s.outcomes[0].record.events[1].verdict, GUARD_ERROR);
    CU_ASSERT_FALSE(s.outcomes[0].record.events[0].blocks);
    CU_ASSERT_FALSE(s.outcomes[0].record.blocked_input || s.outcomes[0].record.blocked_output);
    assert_text(s.outcomes[1].delivered, "No.");
    CU_ASSERT_EQUAL(s.outcomes[1].record.events[0].verdict, GUARD_BLOCK);
    CU_ASSERT_STRING_EQUAL(s.outcomes[1].record.events[0].error, "");
    tear_down(&s);
}

static void test_one_stage(void)
{
    struct setting s;
    set_up(&s, POLICY(OUTPUT, "block"), GUARD_ENFORCE);
    add_item(&s, "v=1", "fine");
    generate(&s);
    assert_text(s.outcomes[0].delivered, "fine");
    CU_ASSERT_EQUAL(s.outcomes[0].record.n_events, 1);
    tear_down(&s);
    set_up(&s, POLICY(INPUT, "block"), GUARD_ENFORCE);
    add_item(&s, "fine", "v=1 v=1 v=1 v=1 v=1");
    generate(&s);
    assert_reply(&s.outcomes[0], "v=1 v=1 v=1 v=1 v=1", "v=1 v=1 v=1 v=1 v=1");
    CU_ASSERT_EQUAL(s.outcomes[0].record.n_events, 1);
    tear_down(&s);
}

/* ---- streams ---- */

struct listener {
    int n_calls, stop_at;
    struct strbuf last;
};

static bool listen(void *user, struct text reply)
{
    struct listener *listener = user;
    strbuf_clear(&listener->last);
    strbuf_append(&listener->last, reply.data, reply.length);
    return ++listener->n_calls != listener->stop_at;
}

/* Runs one reply under a listener and says what it heard. */
static void listen_to(enum guard_mode mode, const char *reply, int stop_at, int n_calls,
                      const char *last, const char *raw)
{
    struct setting s;
    struct listener listener = {.stop_at = stop_at};
    strbuf_init(&listener.last, 1 << 16);
    set_up(&s, POLICY(BOTH, "block"), mode);
    add_item(&s, "fine", reply);
    s.items[0].request.on_text = listen;
    s.items[0].request.user = &listener;
    generate(&s);
    CU_ASSERT_EQUAL(listener.n_calls, n_calls);
    CU_ASSERT_STRING_EQUAL(listener.last.data, last);
    CU_ASSERT_STRING_EQUAL(s.outcomes[0].result.reply.data, raw);
    tear_down(&s);
    strbuf_release(&listener.last);
}

static void test_streams(void)
{
    /* Shadow: after each token, whatever the verdict.  Enforce: what passed a check, no more. */
    listen_to(GUARD_SHADOW, "a v=0.9 c d e", 0, 5, "a v=0.9 c d e", "a v=0.9 c d e");
    listen_to(GUARD_SHADOW, "a v=0.9 c d e", 4, 4, "a v=0.9 c d", "a v=0.9 c d");
    listen_to(GUARD_ENFORCE, "a b c d e f g", 0, 2, "a b c d e ", "a b c d e f g");
    listen_to(GUARD_ENFORCE, "a b c d e f g", 1, 1, "a b ", "a b c");
    listen_to(GUARD_ENFORCE, "a b c d v=0.9 f g", 0, 1, "a b ", "a b c d v=0.9 f");
    /* The last word of a growing reply may go on, so it waits for the next check. */
    listen_to(GUARD_ENFORCE, "a b v=0.9", 0, 1, "a b ", "a b v=0.9");
}

static void test_cut_between_words(void)
{
    struct status st = {0};
    struct policy *policy;
    struct pipeline *pipeline;
    struct generate_outcome outcomes[2];
    struct fake_backend backend = {.base.vtable = &fake_backend_table};
    const struct generate_item items[2] = {
        {{.prompt = text_of("you piece of shitake"), .max_tokens = 100}, text_of("fine")},
        {{.prompt = text_of("you piece of shit and more of it to come"), .max_tokens = 100},
         text_of("fine")}};
    ASSERT_OK(
        policy_parse(&policy,
                     text_of("{\"name\":\"words\",\"version\":1,\"classifiers\":[\"lexicon\"],"
                             "\"output\":{\"thresholds\":{\"toxicity\":0.5,\"obscene\":0.5,"
                             "\"insult\":0.5,\"harassment\":0.5},\"action\":\"refuse\","
                             "\"check_every_tokens\":8},\"refusal\":\"No.\"}"),
                     "words", &st));
    ASSERT_OK(pipeline_create(&pipeline, policy, GUARD_ENFORCE, &st));
    CU_ASSERT_STRING_EQUAL(classifier_id(pipeline_classifier(pipeline, 0)), "lexicon/demo-1");
    CU_ASSERT_EQUAL(pipeline_mode(pipeline), GUARD_ENFORCE);
    CU_ASSERT_PTR_EQUAL(pipeline_policy(pipeline), policy);
    ASSERT_OK(pipeline_generate(pipeline, &backend.base, items, 2, outcomes, &st));
    assert_text(outcomes[0].delivered, "you piece of shitake");
    CU_ASSERT_TRUE(outcomes[1].record.blocked_output);
    CU_ASSERT_EQUAL(outcomes[1].result.finish_reason, FINISH_GUARD);
    CU_ASSERT_STRING_EQUAL(outcomes[1].result.reply.data, "you piece of shit and more of it");
    for (int i = 0; i < 2; i++) outcome_release(&outcomes[i]);
    pipeline_free(pipeline);
    policy_free(policy);
}

/* ---- failures of the backend ---- */

static void test_failed_request(void)
{
    struct setting s;
    set_up(&s, POLICY(BOTH, "block"), GUARD_ENFORCE);
    add_item(&s, "fine", "fail");
    add_item(&s, "fine", "fine");
    generate(&s);
    CU_ASSERT_EQUAL(s.outcomes[0].result.status.code, STATUS_LIMIT);
    CU_ASSERT_TRUE(s.outcomes[0].ran);
    CU_ASSERT_EQUAL(s.outcomes[0].record.n_events, 1);
    assert_text(s.outcomes[0].delivered, "");
    assert_text(s.outcomes[1].delivered, "fine");
    tear_down(&s);
}

static void test_failed_backend(void)
{
    struct setting s;
    struct status st = {0};
    set_up(&s, POLICY(BOTH, "block"), GUARD_ENFORCE);
    s.backend.fails = true;
    add_item(&s, "fine", "fine");
    add_item(&s, "v=1", "fine");
    ASSERT_FAILS(pipeline_generate(s.pipeline, &s.backend.base, s.items, s.n, s.outcomes, &st),
                 STATUS_IO, "the fake backend is gone");
    for (int i = 0; i < 2; i++) {
        CU_ASSERT_FALSE(s.outcomes[i].ran);
        assert_reply(&s.outcomes[i], "", "");
    }
    tear_down(&s);
}

/* ---- multiple choice ---- */

static void test_loglikelihood(void)
{
    static const enum guard_mode modes[] = {GUARD_OFF, GUARD_SHADOW, GUARD_ENFORCE};
    for (int m = 0; m < 3; m++) {
        struct setting s;
        struct status st = {0};
        struct loglikelihood_outcome outcomes[3];
        const struct loglikelihood_item items[3] = {
            {{.context = text_of("1"), .n_continuations = 1}, text_of("fine")},
            {{.context = text_of("22"), .n_continuations = 1}, text_of("v=0.5")},
            {{.context = text_of("333"), .n_continuations = 1}, text_of("fine")}};
        set_up(&s, POLICY(BOTH, "block"), modes[m]);
        ASSERT_OK(pipeline_loglikelihood(s.pipeline, &s.backend.base, items, 3, outcomes, &st));
        CU_ASSERT_EQUAL(s.backend.n_calls, 1);
        CU_ASSERT_EQUAL(s.backend.n_requests, modes[m] == GUARD_ENFORCE ? 2 : 3);
        for (int i = 0; i < 3; i++) {
            bool ran = i != 1 || modes[m] != GUARD_ENFORCE;
            CU_ASSERT_EQUAL(outcomes[i].ran, ran);
            CU_ASSERT_EQUAL(outcomes[i].result.logprob[0], ran ? -(i + 1) : 0);
            CU_ASSERT_EQUAL(outcomes[i].record.n_events, modes[m] != GUARD_OFF);
            CU_ASSERT_EQUAL(outcomes[i].record.blocked_input, i == 1 && modes[m] != GUARD_OFF);
            loglikelihood_outcome_release(&outcomes[i]);
        }
        s.backend.fails = true;
        ASSERT_FAILS(pipeline_loglikelihood(s.pipeline, &s.backend.base, items, 3, outcomes, &st),
                     STATUS_IO, "gone");
        for (int i = 0; i < 3; i++) {
            CU_ASSERT_FALSE(outcomes[i].ran);
            loglikelihood_outcome_release(&outcomes[i]);
        }
        tear_down(&s);
    }
}

/* ---- policies ---- */

static void test_names(void)
{
    enum guard_mode mode;
    CU_ASSERT_TRUE(guard_mode_find("shadow", &mode) && mode == GUARD_SHADOW);
    CU_ASSERT_FALSE(guard_mode_find("on", &mode));
    CU_ASSERT_STRING_EQUAL(guard_mode_name(GUARD_ENFORCE), "enforce");
    CU_ASSERT_STRING_EQUAL(guard_verdict_name(GUARD_ERROR), "error");
    CU_ASSERT_STRING_EQUAL(guard_stage_name(GUARD_OUTPUT), "output");
    CU_ASSERT_STRING_EQUAL(guard_action_name(GUARD_ACTION_REFUSE), "refuse");
}

static void test_presets(void)
{
    struct status st = {0};
    size_t n;
    const char *const *names = policy_presets(&n);
    CU_ASSERT_EQUAL(n, 3);
    for (size_t i = 0; i < n; i++) {
        struct policy *policy;
        struct pipeline *pipeline;
        ASSERT_OK(policy_load(&policy, names[i], &st));
        CU_ASSERT_STRING_EQUAL(policy_get_info(policy)->name, names[i]);
        ASSERT_OK(pipeline_create(&pipeline, policy, GUARD_SHADOW, &st));
        CU_ASSERT_EQUAL(policy_get_info(policy)->blocks_on_error, strcmp(names[i], "audit") != 0);
        pipeline_free(pipeline);
        policy_free(policy);
    }
    struct policy *policy;
    ASSERT_FAILS(policy_load(&policy, "lenient", &st), STATUS_NOT_FOUND,
                 "\"lenient\" is neither a preset (strict, balanced, audit) nor a file");
    ASSERT_OK(policy_load(&policy, "classifiers/policies/strict.json", &st));
    policy_free(policy);
    policy_free(NULL);
    pipeline_free(NULL);
}

static void test_canonical(void)
{
    struct status st = {0};
    struct policy *a, *b;
    ASSERT_OK(policy_parse(
        &a,
        text_of(
            "{\"refusal\":\"No.\", \"output\": {\"action\":\"refuse\", \"thresholds\":{\"hate\":1,"
            "\"threat\":0.50}},\n\"classifiers\":[\"lexicon\"],\"version\":2,\"name\":\"p\"}"),
        "a", &st));
    ASSERT_OK(policy_parse(&b, policy_get_info(a)->canonical, "b", &st));
    assert_text(policy_get_info(a)->canonical,
                "{\"name\":\"p\",\"version\":2,\"classifiers\":[\"lexicon\"],\"output\":"
                "{\"thresholds\":{\"threat\":0.5,\"hate\":1},\"action\":\"refuse\","
                "\"check_every_tokens\":16},\"on_error\":\"block\",\"on_timeout\":\"block\","
                "\"refusal\":\"No.\",\"redaction\":\"[redacted]\"}");
    CU_ASSERT_STRING_EQUAL(policy_get_info(a)->sha256, policy_get_info(b)->sha256);
    CU_ASSERT_FALSE(policy_get_info(a)->stage[GUARD_INPUT].present);
    policy_free(b);
    ASSERT_OK(policy_parse(&b, text_of(POLICY(BOTH, "block")), "b", &st));
    CU_ASSERT_STRING_NOT_EQUAL(policy_get_info(a)->sha256, policy_get_info(b)->sha256);
    policy_free(a);
    policy_free(b);
}

#define START "{\"name\":\"p\",\"version\":1,\"classifiers\":[\"lexicon\"],"
#define END   ",\"refusal\":\"No.\"}"

static void test_bad_policies(void)
{
    static const struct {
        const char *json, *message;
    } cases[] = {
        {"", "f.json: "},
        {"7", "f.json: is a number, expected an object"},
        {START INPUT ",\"mode\":\"x\"" END, "unknown field \"mode\""},
        {START INPUT "," INPUT END, "field \"input\" is there twice"},
        {START "\"on_error\":\"block\"" END, "f.json: has neither \"input\" nor \"output\""},
        {START INPUT, "f.json: "},
        {START INPUT "}", "field \"refusal\" is missing"},
        {START INPUT ",\"refusal\":\"\"}", "field \"refusal\": is empty"},
        {START INPUT ",\"refusal\":7}", "field \"refusal\": is a number, expected a string"},
        {START INPUT ",\"on_error\":\"ignore\"" END,
         "field \"on_error\" is \"ignore\", expected \"block\" or \"allow\""},
        {START "\"input\":[]" END, "f.json: field \"input\": is an array, expected an object"},
        {START "\"input\":null" END, "field \"input\": is null"},
        {START "\"input\":{\"action\":\"refuse\"}" END, "field \"input\": field \"thresholds\""},
        {START "\"input\":{\"action\":\"refuse\",\"thresholds\":{}}" END,
         "field \"input\": field \"thresholds\" names no category"},
        {START "\"input\":{\"action\":\"refuse\",\"thresholds\":{\"rude\":0.5}}" END,
         "field \"input\": field \"thresholds\": unknown category \"rude\""},
        {START "\"output\":{\"action\":\"refuse\",\"thresholds\":{\"hate\":1.01}}" END,
         "field \"output\": field \"thresholds\": \"hate\" is 1.01, expected a number from 0 to 1"},
        {START "\"output\":{\"action\":\"refuse\",\"thresholds\":{\"hate\":-0.01}}" END,
         "\"hate\" is -0.01"},
        {START "\"output\":{\"action\":\"refuse\",\"thresholds\":{\"hate\":\"1\"}}" END,
         "\"hate\" is a string, expected a number"},
        {START "\"output\":{\"action\":\"refuse\",\"thresholds\":{\"hate\":1,\"hate\":0}}" END,
         "\"hate\" is there twice"},
        {START "\"input\":{\"thresholds\":{\"hate\":1}}" END, "field \"input\": field \"action\""},
        {START "\"input\":{\"action\":\"warn\",\"thresholds\":{\"hate\":1}}" END,
         "field \"action\" is \"warn\", expected \"log\", \"redact\""},
        {START "\"input\":{\"action\":\"refuse\",\"check_every_tokens\":1,"
               "\"thresholds\":{\"hate\":1}}" END,
         "field \"input\": unknown field \"check_every_tokens\""},
        {START "\"output\":{\"action\":\"refuse\",\"check_every_tokens\":0,"
               "\"thresholds\":{\"hate\":1}}" END,
         "field \"output\": field \"check_every_tokens\" is 0"},
        {"{\"name\":\"p\",\"version\":1,\"classifiers\":[]," INPUT END,
         "field \"classifiers\" has 0"},
        {"{\"name\":\"p\",\"version\":1,\"classifiers\":[\"a\",1]," INPUT END,
         "field \"classifiers\"[1]: is a number, expected a string"},
        {"{\"name\":\"p\",\"version\":1,\"classifiers\":[\"a\",\"a\"]," INPUT END,
         "field \"classifiers\"[1]: \"a\" is there twice"},
        {"{\"name\":\"p q\",\"version\":1,\"classifiers\":[\"a\"]," INPUT END,
         "field \"name\" must be"},
        {"{\"name\":\"p\",\"version\":0,\"classifiers\":[\"a\"]," INPUT END,
         "field \"version\" is 0"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct status st = {0};
        struct policy *policy;
        ASSERT_FAILS(policy_parse(&policy, text_of(cases[i].json), "f.json", &st), STATUS_BAD_INPUT,
                     cases[i].message);
    }
}

static void test_bad_pipelines(void)
{
    struct setting s;
    struct status st = {0};
    struct pipeline *pipeline;
    set_up(&s, POLICY(BOTH, "block"), GUARD_SHADOW);
    ASSERT_FAILS(pipeline_create(&pipeline, s.policy, GUARD_SHADOW, &st), STATUS_USAGE,
                 "guard policy p: field \"classifiers\"[0]: classifier \"first\": no such kind");
    s.classifiers[1].categories = HAZARD_BIT(HAZARD_VIOLENCE);
    struct classifier *const classifiers[] = {&s.classifiers[0], &s.classifiers[1]};
    ASSERT_FAILS(pipeline_create_with(&pipeline, s.policy, GUARD_SHADOW, classifiers, 2, &st),
                 STATUS_BAD_INPUT,
                 "guard policy p: field \"input\": none of its classifiers judges the category "
                 "\"self_harm\"");
    tear_down(&s);
}

/* A damaged policy either is a policy still, with a canonical text that reads back as itself, or
 * fails with a message. */
static void test_damaged_policies(void)
{
    static const char good[] = POLICY(BOTH, "allow");
    struct rng rng;
    char text[sizeof good];
    rng_seed(&rng, 4);
    for (int round = 0; round < 5000; round++) {
        struct status st = {0};
        struct policy *policy, *again;
        memcpy(text, good, sizeof good);
        size_t n = sizeof good - 1;
        for (uint64_t edits = 1 + rng_next(&rng) % 3; edits; edits--)
            text[rng_next(&rng) % n] = "\"{}[],:0-.e\\\0a\xff"[rng_next(&rng) % 15];
        if (rng_next(&rng) % 8 == 0) n = rng_next(&rng) % n;
        if (policy_parse(&policy, (struct text){text, n}, "f.json", &st) != STATUS_OK) {
            if (strncmp(st.message, "f.json: ", 8) != 0) CU_FAIL(st.message);
            continue;
        }
        ASSERT_OK(policy_parse(&again, policy_get_info(policy)->canonical, "again", &st));
        CU_ASSERT_STRING_EQUAL(policy_get_info(policy)->sha256, policy_get_info(again)->sha256);
        policy_free(policy);
        policy_free(again);
    }
}

static const struct test_case tests[] = {
    {"off classifies nothing", test_off},
    {"shadow records and changes nothing", test_shadow},
    {"enforce blocks, cuts and delivers the refusal", test_enforce},
    {"a batch of blocked prompts runs nothing", test_all_blocked},
    {"enforce does what shadow said, alone or in a batch", test_modes_agree},
    {"a score at its threshold blocks; the clearest decides", test_thresholds},
    {"events and scores are complete", test_record_is_complete},
    {"a classifier that fails blocks", test_fails_closed},
    {"a policy may let failures pass, not blocks", test_fails_open_when_told},
    {"each stage may be guarded alone", test_one_stage},
    {"a listener hears what passed", test_streams},
    {"a growing reply is judged by whole words", test_cut_between_words},
    {"a request that failed is not delivered", test_failed_request},
    {"a backend that failed leaves empty outcomes", test_failed_backend},
    {"multiple choice is guarded in front", test_loglikelihood},
    {"modes, verdicts, stages and actions have names", test_names},
    {"presets load and run", test_presets},
    {"layout does not change a policy's hash", test_canonical},
    {"bad policies name file and field", test_bad_policies},
    {"bad pipelines name policy and field", test_bad_pipelines},
    {"damaged policies fail cleanly", test_damaged_policies},
};
SUITE("safety_pipeline", tests)
