/* What a guard does with a text that its classifiers object to: actions, cascades, windows, allow
 * lists, failures, and that nothing unsafe is ever shown. */
#include "engine/base/rng.h"
#include "engine/base/utf8.h"
#include "tests/unit/guard_fixture.h"

#define HEAD  "{\"name\":\"p\",\"version\":1,\"classifiers\":[\"first\",\"second\"],"
#define TAIL  ",\"refusal\":\"No.\"}"
#define RULES "\"thresholds\":{\"violence\":0.5,\"self_harm\":0.75}"
#define OUT(action, every)                                                                         \
    "\"output\":{" RULES ",\"action\":" action ",\"check_every_tokens\":" every "}"

/* One reply under a policy; the caller tears down. */
static struct generate_outcome *run_one(struct setting *s, const char *policy, enum guard_mode mode,
                                        const char *reply)
{
    set_up(s, policy, mode);
    add_item(s, "fine", reply);
    s->items[0].request.sampling.temperature = 1;
    s->items[0].request.seed = 7;
    generate(s);
    return &s->outcomes[0];
}

static const struct guard_event *output_event(const struct generate_outcome *outcome)
{
    const struct guard_record *record = &outcome->record;
    CU_ASSERT_TRUE_FATAL(record->n_events > 0);
    return &record->events[record->n_events - 1];
}

/* ---- every action in every mode ---- */

static void test_actions(void)
{
    static const struct {
        const char *policy, *reply;
        enum guard_response response;
        bool blocks;     /* as enforce says */
        const char *raw; /* under enforce */
        const char *shown;
    } cases[] = {
        {HEAD OUT("\"log\"", "2") TAIL, "a b v=0.9 d e", GUARD_RESPONSE_LOG, false, "a b v=0.9 d e",
         "a b v=0.9 d e"},
        {HEAD OUT("\"refuse\"", "2") TAIL, "a b v=0.9 d e", GUARD_RESPONSE_REFUSE, true,
         "a b v=0.9 d", "No."},
        {HEAD OUT("\"stop\"", "2") TAIL, "a b v=0.9 d e", GUARD_RESPONSE_STOP, true, "a b v=0.9 d",
         "a "},
        {HEAD OUT("\"stop\"", "2") TAIL, "a b c v=0.9", GUARD_RESPONSE_STOP, true, "a b c v=0.9",
         "a b c "},
        {HEAD OUT("\"stop\"", "2") TAIL, "v=0.9 b c", GUARD_RESPONSE_REFUSE, true, "v=0.9 b",
         "No."},
        {HEAD OUT("\"redact\"", "2") TAIL, "a v=0.9 b s=0.8 c", GUARD_RESPONSE_REDACT, false,
         "a v=0.9 b s=0.8 c", "a [redacted] b [redacted] c"},
        {HEAD OUT("\"redact\"", "2") TAIL, "v=0.9 v=0.8", GUARD_RESPONSE_REDACT, false,
         "v=0.9 v=0.8", "[redacted]"},
        {HEAD OUT("\"redact\"", "2") TAIL, "v=0.9 b c v=0 e", GUARD_RESPONSE_NONE, false,
         "v=0.9 b c v=0 e", "v=0.9 b c v=0 e"},
        {HEAD OUT("\"regenerate\",\"attempts\":2", "2") TAIL, "a v=0.9 b c|x v=0.6|good",
         GUARD_RESPONSE_REGENERATE, false, "a v=0.9 b c", "good"},
        {HEAD OUT("\"regenerate\",\"attempts\":1", "2") TAIL, "a v=0.9 b c|x v=0.6|good",
         GUARD_RESPONSE_REFUSE, true, "a v=0.9 b c", "No."},
        {HEAD OUT("\"refuse\"", "2") TAIL, "a b c", GUARD_RESPONSE_NONE, false, "a b c", "a b c"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct setting s;
        struct generate_outcome *o = run_one(&s, cases[i].policy, GUARD_ENFORCE, cases[i].reply);
        const struct guard_event *e = output_event(o);
        assert_reply(o, cases[i].raw, cases[i].shown);
        assert_text(o->guarded, cases[i].shown);
        CU_ASSERT_EQUAL(e->response, cases[i].response);
        CU_ASSERT_EQUAL(e->blocks, cases[i].blocks);
        CU_ASSERT_EQUAL(o->record.blocked_output, cases[i].blocks);
        CU_ASSERT_EQUAL(e->fires, cases[i].response != GUARD_RESPONSE_NONE);
        CU_ASSERT_EQUAL(o->record.replaced_output, e->response == GUARD_RESPONSE_REDACT ||
                                                       e->response == GUARD_RESPONSE_REGENERATE);
        tear_down(&s);
    }
}

/* Shadow shows the model's own words, and says what enforce would have shown, short of asking the
 * model again. */
static void test_actions_in_shadow(void)
{
    static const struct {
        const char *action, *reply;
        enum guard_response response;
        bool blocks;
        const char *guarded;
    } cases[] = {
        {"\"log\"", "a b v=0.9 d e", GUARD_RESPONSE_LOG, false, "a b v=0.9 d e"},
        {"\"refuse\"", "a b v=0.9 d e", GUARD_RESPONSE_REFUSE, true, "No."},
        {"\"stop\"", "a b v=0.9 d e", GUARD_RESPONSE_STOP, true, "a "},
        {"\"redact\"", "a v=0.9 b", GUARD_RESPONSE_REDACT, false, "a [redacted] b"},
        {"\"regenerate\",\"attempts\":3", "a v=0.9 b", GUARD_RESPONSE_REGENERATE, true, "No."},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct setting s;
        char policy[512];
        snprintf(policy, sizeof policy, HEAD OUT("%s", "2") TAIL, cases[i].action);
        struct generate_outcome *o = run_one(&s, policy, GUARD_SHADOW, cases[i].reply);
        assert_reply(o, cases[i].reply, cases[i].reply);
        CU_ASSERT_EQUAL(o->result.finish_reason, FINISH_EOS);
        assert_text(o->guarded, cases[i].guarded);
        CU_ASSERT_EQUAL(output_event(o)->response, cases[i].response);
        CU_ASSERT_EQUAL(o->record.blocked_output, cases[i].blocks);
        CU_ASSERT_EQUAL(s.backend.n_calls, 1);
        tear_down(&s);
    }
}

static void test_input_actions(void)
{
    static const char *const actions[] = {"log", "refuse"};
    for (int refuses = 0; refuses < 2; refuses++) {
        struct setting s;
        char policy[512];
        snprintf(policy, sizeof policy, HEAD "\"input\":{" RULES ",\"action\":\"%s\"}" TAIL,
                 actions[refuses]);
        set_up(&s, policy, GUARD_ENFORCE);
        add_item(&s, "v=0.9", "said");
        generate(&s);
        const struct guard_event *e = &s.outcomes[0].record.events[0];
        CU_ASSERT_TRUE(e->fires && e->verdict == GUARD_BLOCK);
        CU_ASSERT_EQUAL(e->blocks, refuses);
        CU_ASSERT_EQUAL(e->response, refuses ? GUARD_RESPONSE_REFUSE : GUARD_RESPONSE_LOG);
        CU_ASSERT_EQUAL(s.outcomes[0].ran, !refuses);
        assert_text(s.outcomes[0].delivered, refuses ? "No." : "said");
        tear_down(&s);
    }
}

/* ---- regenerate ---- */

static void test_regenerate(void)
{
    struct setting s;
    struct generate_outcome *o =
        run_one(&s, HEAD OUT("\"regenerate\",\"attempts\":4", "100") TAIL, GUARD_ENFORCE,
                "v=0.9 b|fail|v=0.8 y z|fine at last|never");
    const struct guard_event *e = output_event(o);
    assert_reply(o, "v=0.9 b", "fail"); /* a part that is called fail is a reply like another */
    CU_ASSERT_EQUAL(e->n_attempts, 1);
    CU_ASSERT_EQUAL(e->n_extra_tokens, 1);
    CU_ASSERT_EQUAL(e->verdict, GUARD_BLOCK);
    CU_ASSERT_EQUAL(e->probability, 0.9);
    CU_ASSERT_EQUAL(e->n_checks, 2);
    CU_ASSERT_EQUAL(s.backend.n_calls, 2);
    CU_ASSERT_EQUAL(s.backend.seeds[0], 7);
    CU_ASSERT_EQUAL(s.backend.seeds[1], rng_derive_seed(7, "regenerate", 0, 1));
    tear_down(&s);

    /* Greedy: the same would be said again. */
    set_up(&s, HEAD OUT("\"regenerate\",\"attempts\":4", "100") TAIL, GUARD_ENFORCE);
    add_item(&s, "fine", "v=0.9|good");
    generate(&s);
    CU_ASSERT_EQUAL(s.backend.n_calls, 1);
    CU_ASSERT_EQUAL(output_event(&s.outcomes[0])->response, GUARD_RESPONSE_REFUSE);
    assert_text(s.outcomes[0].delivered, "No.");
    tear_down(&s);

    /* Only those that need it are asked again, and each gets its own. */
    set_up(&s, HEAD OUT("\"regenerate\",\"attempts\":2", "100") TAIL, GUARD_ENFORCE);
    add_item(&s, "fine", "good|bad");
    add_item(&s, "fine", "v=0.9|v=0.8|third");
    add_item(&s, "fine", "v=0.9|second|bad");
    for (int i = 0; i < 3; i++) s.items[i].request.sampling.temperature = 1;
    generate(&s);
    CU_ASSERT_EQUAL(s.backend.n_requests, 3 + 2 + 1);
    assert_text(s.outcomes[0].delivered, "good");
    assert_text(s.outcomes[1].delivered, "third");
    assert_text(s.outcomes[2].delivered, "second");
    CU_ASSERT_EQUAL(output_event(&s.outcomes[1])->n_attempts, 2);
    tear_down(&s);
}

/* ---- failures are closed ---- */

static void test_failures_are_closed(void)
{
    static const char *const faults[] = {"ERROR", "NAN", "BLANK", "SLOW"};
    static const char *const actions[] = {"\"redact\"", "\"refuse\"", "\"stop\"",
                                          "\"regenerate\",\"attempts\":1"};
    for (size_t f = 0; f < 4; f++)
        for (size_t a = 0; a < 4; a++)
            for (int closed = 0; closed < 2; closed++) {
                struct setting s;
                char policy[512], reply[64];
                const char *word = closed ? "block" : "allow";
                bool slow = strcmp(faults[f], "SLOW") == 0;
                snprintf(policy, sizeof policy,
                         HEAD "\"on_error\":\"%s\",\"on_timeout\":\"%s\"," OUT(
                             "%s", "100,\"budget_ms\":5") TAIL,
                         slow ? "allow" : word, slow ? word : "allow", actions[a]);
                snprintf(reply, sizeof reply, "a %s b", faults[f]);
                struct generate_outcome *o = run_one(&s, policy, GUARD_ENFORCE, reply);
                const struct guard_event *e = output_event(o);
                CU_ASSERT_EQUAL(e->verdict, GUARD_ERROR);
                CU_ASSERT_EQUAL(e->timed_out, slow);
                CU_ASSERT_EQUAL(e->fires, closed);
                CU_ASSERT_TRUE(e->error[0] != '\0');
                if (slow)
                    CU_ASSERT_STRING_EQUAL(e->error, "fake/v: timeout: took longer than 5 ms");
                assert_text(o->delivered, closed ? "No." : reply);
                CU_ASSERT_EQUAL(o->record.blocked_output, closed);
                tear_down(&s);
            }
}

/* A score over its threshold blocks however late it comes, and a time budget is kept by not asking
 * further. */
static void test_timeouts(void)
{
    struct setting s;
    struct generate_outcome *o =
        run_one(&s, HEAD "\"on_timeout\":\"allow\"," OUT("\"refuse\"", "100,\"budget_ms\":5") TAIL,
                GUARD_ENFORCE, "SLOW v=0.9");
    CU_ASSERT_EQUAL(output_event(o)->verdict, GUARD_BLOCK);
    CU_ASSERT_TRUE(output_event(o)->timed_out);
    CU_ASSERT_STRING_EQUAL(output_event(o)->error, "");
    assert_text(o->delivered, "No.");
    CU_ASSERT_EQUAL(o->record.n_scores, 1); /* the second was not asked */
    tear_down(&s);
    o = run_one(&s, HEAD OUT("\"refuse\"", "100,\"budget_ms\":60000") TAIL, GUARD_ENFORCE, "fine");
    CU_ASSERT_FALSE(output_event(o)->timed_out);
    assert_text(o->delivered, "fine");
    tear_down(&s);
}

/* ---- cascades ---- */

#define CASCADE                                                                                    \
    "\"input\":{\"cascade\":[{\"classifier\":\"first\",\"bands\":{\"violence\":[0.2,0.8]}},"       \
    "{\"classifier\":\"second\",\"thresholds\":{\"violence\":0.5,\"self_harm\":0.5}}],"            \
    "\"action\":\"refuse\"}"

/* In a cascade the two classifiers must be told apart: the first reads "f=", the second "v=". */
static status_code first_score(const struct classifier *classifier, struct text prompt,
                               struct text text, struct hazard_scores *out, struct status *st)
{
    (void)classifier;
    (void)prompt;
    if (find_last(text, "BREAK").data) return status_set(st, STATUS_IO, "broken");
    double v = read_score(text, "f=");
    out->of[HAZARD_VIOLENCE] = (struct hazard_score){true, v, v};
    return STATUS_OK;
}
static const struct classifier_vtable first_table = {.score = first_score};

static void test_cascade(void)
{
    static const struct {
        const char *policy, *text;
        bool blocks, asks_second;
        int classifier;
        enum guard_verdict verdict;
    } cases[] = {
        /* one category in both steps: the first settles it outside its band */
        {"violence", "f=0.8 v=0", true, false, 0, GUARD_BLOCK},
        {"violence", "f=1 v=0", true, false, 0, GUARD_BLOCK},
        {"violence", "f=0.1999 v=1", false, false, -1, GUARD_ALLOW},
        {"violence", "f=0.2 v=0.4", false, true, -1, GUARD_ALLOW},
        {"violence", "f=0.2 v=0.5", true, true, 1, GUARD_BLOCK},
        {"violence", "f=0.7999 v=0.4999", false, true, -1, GUARD_ALLOW},
        {"violence", "BREAK v=0.4", false, true, -1, GUARD_ERROR},
        {"violence", "BREAK v=0.6", true, true, 1, GUARD_BLOCK},
        {"violence", "f=0.5 ERROR", false, true, -1, GUARD_ERROR},
        {"violence", "f=0.1 ERROR", false, false, -1, GUARD_ALLOW},
        /* another category only in the second: it is always asked, but not about what is cleared */
        {"both", "f=0.1 v=1 s=0", false, true, -1, GUARD_ALLOW},
        {"both", "f=0.1 v=1 s=0.5", true, true, 1, GUARD_BLOCK},
        {"both", "f=0.9 s=0", true, false, 0, GUARD_BLOCK},
        {"both", "f=0.3 v=0.9 s=0", true, true, 1, GUARD_BLOCK},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct setting s;
        struct status st = {0};
        struct guard_record record;
        bool both = strcmp(cases[i].policy, "both") == 0;
        set_up(&s,
               both ? HEAD CASCADE TAIL
                    : HEAD "\"input\":{\"cascade\":[{\"classifier\":\"first\",\"bands\":"
                           "{\"violence\":[0.2,0.8]}},{\"classifier\":\"second\","
                           "\"thresholds\":{\"violence\":0.5}}],\"action\":\"refuse\"}" TAIL,
               GUARD_ENFORCE);
        s.classifiers[0].vtable = &first_table;
        ASSERT_OK(pipeline_check_input(s.pipeline, text_of(cases[i].text), &record, &st));
        const struct guard_event *e = &record.events[0];
        bool asked = false;
        for (int k = 0; k < record.n_scores; k++) asked |= record.scores[k].classifier == 1;
        if (e->verdict != cases[i].verdict || asked != cases[i].asks_second) CU_FAIL(cases[i].text);
        CU_ASSERT_EQUAL(e->verdict, cases[i].verdict);
        CU_ASSERT_EQUAL(e->classifier, cases[i].classifier);
        CU_ASSERT_EQUAL(asked, cases[i].asks_second);
        CU_ASSERT_EQUAL(e->blocks, cases[i].blocks || cases[i].verdict == GUARD_ERROR);
        guard_record_release(&record);
        tear_down(&s);
    }
}

/* ---- windows ---- */

/* Counts and remembers what it is given; scores as the fake does. */
struct window_log {
    struct classifier base;
    size_t lengths[64];
    int n;
    bool broke_character;
};

static struct window_log window_log;

static status_code log_score(const struct classifier *classifier, struct text prompt,
                             struct text text, struct hazard_scores *out, struct status *st)
{
    window_log.broke_character |= !utf8_valid(text);
    if (window_log.n < 64) window_log.lengths[window_log.n++] = text.length;
    return fake_score(classifier, prompt, text, out, st);
}
static const struct classifier_vtable log_table = {.score = log_score, .explain = fake_explain};

static void check_windows(const char *text, const char *policy, size_t limit,
                          struct guard_record *record, struct setting *s)
{
    struct status st = {0};
    set_up(s, policy, GUARD_ENFORCE);
    s->classifiers[0].vtable = &log_table;
    s->classifiers[0].window_bytes = limit;
    window_log = (struct window_log){0};
    ASSERT_OK(pipeline_check_input(s->pipeline, text_of(text), record, &st));
}

static void test_windows(void)
{
    static const char plain[] = HEAD "\"input\":{" RULES ",\"action\":\"refuse\"}" TAIL;
    static const char narrow[] =
        HEAD "\"input\":{" RULES ",\"action\":\"refuse\",\"window_bytes\":64,"
             "\"window_overlap_bytes\":0}" TAIL;
    static const struct {
        int length;
        size_t limit;
        const char *policy;
        int n;
        size_t last;
    } cases[] = {
        {63, 64, plain, 1, 63},   {64, 64, plain, 1, 64},  {65, 64, plain, 2, 17},
        {112, 64, plain, 2, 64},  {113, 64, plain, 3, 17}, {500, 0, plain, 1, 500},
        {128, 0, narrow, 2, 64},  {129, 0, narrow, 3, 1},  {128, 100, narrow, 2, 64},
        {128, 64, narrow, 2, 64}, {0, 64, plain, 1, 0},    {200, 200, narrow, 4, 8},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct setting s;
        struct guard_record record;
        char text[512];
        memset(text, 'x', sizeof text);
        text[cases[i].length] = '\0';
        check_windows(text, cases[i].policy, cases[i].limit, &record, &s);
        CU_ASSERT_EQUAL(window_log.n, cases[i].n);
        CU_ASSERT_EQUAL(window_log.lengths[window_log.n - 1], cases[i].last);
        guard_record_release(&record);
        tear_down(&s);
    }
}

/* The highest window decides, wherever it is, and characters stay whole. */
static void test_windows_decide(void)
{
    static const char plain[] = HEAD "\"input\":{" RULES ",\"action\":\"refuse\"}" TAIL;
    for (size_t at = 0; at < 200; at += 7) {
        struct setting s;
        struct guard_record record;
        char text[512] = "";
        while (strlen(text) < at) strcat(text, "\xe2\x82\xac");
        strcat(text, " v=0.75 ");
        while (strlen(text) < 300) strcat(text, "\xe2\x82\xac");
        check_windows(text, plain, 64, &record, &s);
        CU_ASSERT_TRUE(window_log.n > 4);
        CU_ASSERT_FALSE(window_log.broke_character);
        CU_ASSERT_EQUAL(record.events[0].probability, 0.75);
        CU_ASSERT_EQUAL(record.events[0].classifier, 0);
        CU_ASSERT_EQUAL(record.scores[0].probability, 0.75);
        guard_record_release(&record);
        tear_down(&s);
    }
    /* Bytes that are no text are cut somewhere all the same. */
    struct setting s;
    struct guard_record record;
    char noise[300];
    memset(noise, '\x80', sizeof noise - 1);
    noise[sizeof noise - 1] = '\0';
    check_windows(noise, plain, 64, &record, &s);
    CU_ASSERT_TRUE(window_log.n >= 5 && window_log.n < 12);
    guard_record_release(&record);
    tear_down(&s);
}

/* ---- allow lists ---- */

#define ALLOW(list) HEAD "\"allow\":{" list "}," OUT("\"refuse\"", "100") TAIL

static void test_allow(void)
{
    static const struct {
        const char *policy, *reply;
        bool exempt;
    } cases[] = {
        {ALLOW("\"phrases\":[\"score v 0 9\"]"), "the SCORE v=0.9 again", true},
        {ALLOW("\"phrases\":[\"score v 0 9\"]"), "the scores v=0.9 again", false},
        {ALLOW("\"phrases\":[\"v 0 9\"]"), "v=0.95", false},          /* words are whole */
        {ALLOW("\"phrases\":[\"v 0 9\"]"), "v=0.6 and v=0.9", false}, /* the rest is judged */
        {ALLOW("\"matches\":[\"v=0\\\\.[89]\"]"), "a v=0.9 b", true},
        {ALLOW("\"matches\":[\"v=0\\\\.[89]\"]"), "a v=0.7 b", false},
        {ALLOW("\"matches\":[\"v=0\\\\.[89]\"]"), "a v=0.9 \xff b", false}, /* not UTF-8 */
        {ALLOW("\"texts\":[\"a v=0.9\"]"), "a v=0.9", true},
        {ALLOW("\"texts\":[\"a v=0.9\"]"), "a v=0.9 b", false},
        {ALLOW("\"texts\":[\"a v=0.9\"]"), "a v=0.9\n", false}, /* all of it, to the last byte */
        {ALLOW("\"texts\":[\"x|a v=0.9\"]"), "a v=0.9", true},
        {ALLOW("\"texts\":[\"x|a\"]"), "x v=0.9 a", false},
        {ALLOW("\"texts\":[\"(a|a v=0.9)\"]"), "a v=0.9", true},
        {ALLOW("\"texts\":[\"(a+)+v=0.9\"]"),
         "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa v=0.9", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct setting s;
        struct generate_outcome *o = run_one(&s, cases[i].policy, GUARD_ENFORCE, cases[i].reply);
        const struct guard_event *e = output_event(o);
        CU_ASSERT_EQUAL(e->exempted, cases[i].exempt);
        CU_ASSERT_EQUAL(e->verdict == GUARD_ALLOW, cases[i].exempt);
        CU_ASSERT_TRUE(e->classifier >= 0); /* what it objected to stays on record */
        assert_text(o->delivered, cases[i].exempt ? cases[i].reply : "No.");
        tear_down(&s);
    }
}

/* ---- policies ---- */

#define STEP(c, rules)    "{\"classifier\":\"" c "\"," rules "}"
#define CASCADE_OF(steps) HEAD "\"input\":{\"cascade\":[" steps "],\"action\":\"refuse\"}" TAIL
#define INPUT_OF(fields)  HEAD "\"input\":{\"thresholds\":{\"hate\":1}," fields "}" TAIL
#define OUTPUT_OF(fields) HEAD "\"output\":{\"thresholds\":{\"hate\":1}," fields "}" TAIL

static void test_bad_policies(void)
{
    static const struct {
        const char *json, *message;
    } cases[] = {
        {CASCADE_OF(""), "field \"cascade\" has 0 steps"},
        {CASCADE_OF("7"), "field \"input\": field \"cascade\"[0]: is a number"},
        {CASCADE_OF(STEP("third", "\"thresholds\":{\"hate\":1}")),
         "field \"cascade\"[0]: field \"classifier\": \"third\" is not in"},
        {CASCADE_OF(STEP("first", "\"bands\":{\"hate\":[0.1,0.2]}")),
         "field \"cascade\"[0]: no step after it decides \"hate\" between 0.1 and 0.2"},
        {CASCADE_OF(STEP("first", "\"bands\":{\"hate\":[0.1,0.2],\"threat\":[0,1]}") "," STEP(
             "second", "\"thresholds\":{\"hate\":1}")),
         "decides \"threat\" between 0 and 1"},
        {CASCADE_OF(STEP("first", "\"bands\":{\"hate\":[0.3,0.2]}")),
         "field \"bands\": \"hate\" is not a band"},
        {CASCADE_OF(STEP("first", "\"bands\":{\"hate\":[0.3]}")), "is not a band"},
        {CASCADE_OF(STEP("first", "\"bands\":{\"hate\":[0,1,1]}")), "is not a band"},
        {CASCADE_OF(STEP("first", "\"bands\":{\"hate\":[0,1.5]}")), "is not a band"},
        {CASCADE_OF(STEP("first", "\"bands\":{\"hate\":0.5}")), "is not a band"},
        {CASCADE_OF(STEP("first", "\"bands\":{\"rude\":[0,1]}")), "unknown category \"rude\""},
        {CASCADE_OF(STEP("first", "\"thresholds\":{\"hate\":1}") "," STEP(
             "first", "\"thresholds\":{\"hate\":1}")),
         "field \"cascade\"[1]: asks the classifier of step 0 again"},
        {CASCADE_OF("{\"classifier\":\"first\"}"), "has neither of \"bands\" and \"thresholds\""},
        {CASCADE_OF(STEP("first", "\"bands\":{\"hate\":[1,1]},\"thresholds\":{\"hate\":1}")),
         "has both of \"bands\""},
        {INPUT_OF("\"cascade\":[],\"action\":\"refuse\""),
         "has both \"thresholds\" and \"cascade\""},
        {INPUT_OF("\"action\":\"redact\""), "field \"action\" is \"redact\", which is for replies"},
        {INPUT_OF("\"action\":\"stop\""), "a prompt has \"log\" or \"refuse\""},
        {INPUT_OF("\"action\":\"regenerate\",\"attempts\":1"), "unknown field \"attempts\""},
        {OUTPUT_OF("\"action\":\"regenerate\""), "field \"attempts\" is missing"},
        {OUTPUT_OF("\"action\":\"regenerate\",\"attempts\":0"), "field \"attempts\" is 0"},
        {OUTPUT_OF("\"action\":\"stop\",\"attempts\":1"), "is for the action \"regenerate\""},
        {OUTPUT_OF("\"action\":\"block\""), "field \"action\" is \"block\", expected \"log\""},
        {OUTPUT_OF("\"action\":\"log\",\"budget_ms\":0"), "field \"budget_ms\" is 0"},
        {OUTPUT_OF("\"action\":\"log\",\"budget_ms\":1e9"), "field \"budget_ms\" is 1e+09"},
        {OUTPUT_OF("\"action\":\"log\",\"window_bytes\":63"), "field \"window_bytes\" is 63"},
        {OUTPUT_OF("\"action\":\"log\",\"window_bytes\":64,\"window_overlap_bytes\":33"),
         "field \"window_overlap_bytes\" is 33"},
        {OUTPUT_OF("\"action\":\"log\",\"window_overlap_bytes\":3"), "needs \"window_bytes\""},
        {HEAD "\"on_timeout\":\"maybe\"," OUT("\"log\"", "1") TAIL,
         "field \"on_timeout\" is \"maybe\""},
        {HEAD "\"redaction\":\"\"," OUT("\"log\"", "1") TAIL, "field \"redaction\": is empty"},
        {ALLOW(""), "field \"allow\": allows nothing"},
        {ALLOW("\"words\":[\"a\"]"), "field \"allow\": unknown field \"words\""},
        {ALLOW("\"phrases\":[]"), "field \"allow\": field \"phrases\" has 0"},
        {ALLOW("\"phrases\":[\"!\"]"), "field \"allow\": field \"phrases\"[0]: has no word"},
        {ALLOW("\"phrases\":[7]"), "field \"phrases\"[0]: is a number, expected a string"},
        {ALLOW("\"matches\":[\"a\",\"(\"]"), "field \"matches\"[1]: "},
        {ALLOW("\"matches\":[\"a*\"]"), "field \"matches\"[0]: matches the empty text"},
        {ALLOW("\"texts\":[\"|a\"]"), "field \"texts\"[0]: matches the empty text"},
        {ALLOW("\"texts\":[\"a)|(b\"]"), "field \"texts\"[0]: "},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct status st = {0};
        struct policy *policy;
        ASSERT_FAILS(policy_parse(&policy, text_of(cases[i].json), "f.json", &st), STATUS_BAD_INPUT,
                     cases[i].message);
        CU_ASSERT_NSTRING_EQUAL(st.message, "f.json: ", 8);
    }
}

static void test_bad_pipelines(void)
{
    struct setting s;
    struct status st = {0};
    struct pipeline *pipeline;
    set_up(&s, HEAD OUT("\"redact\"", "1") TAIL, GUARD_SHADOW);
    struct classifier *const classifiers[] = {&s.classifiers[0], &s.classifiers[1]};
    s.classifiers[1].vtable = &mute_table;
    ASSERT_FAILS(pipeline_create_with(&pipeline, s.policy, GUARD_SHADOW, classifiers, 2, &st),
                 STATUS_BAD_INPUT,
                 "guard policy p: field \"output\": field \"action\" is \"redact\", but fake/vs "
                 "cannot say which words it means");
    tear_down(&s);
    set_up(&s, HEAD CASCADE TAIL, GUARD_SHADOW);
    struct classifier *const swapped[] = {&s.classifiers[1], &s.classifiers[0]};
    st = (struct status){0};
    ASSERT_FAILS(pipeline_create_with(&pipeline, s.policy, GUARD_SHADOW, swapped, 2, &st),
                 STATUS_BAD_INPUT,
                 "field \"input\": field \"cascade\"[1]: fake/v does not judge the category "
                 "\"self_harm\"");
    tear_down(&s);
}

/* ---- damaged policies ---- */

static const char full_policy[] = HEAD
    "\"input\":{\"cascade\":[{\"classifier\":\"second\",\"bands\":{\"violence\":[0.2,0.8],"
    "\"self_harm\":[0.5,0.5]}},{\"classifier\":\"first\",\"thresholds\":{\"violence\":0.5}}],"
    "\"action\":\"log\",\"budget_ms\":2.5,\"window_bytes\":100},"
    "\"output\":{\"thresholds\":{\"hate\":0.25},\"action\":\"regenerate\",\"attempts\":3,"
    "\"window_bytes\":64,\"window_overlap_bytes\":7,\"check_every_tokens\":4},"
    "\"on_error\":\"allow\",\"on_timeout\":\"block\",\"redaction\":\"###\","
    "\"allow\":{\"phrases\":[\"kill a process\"],\"matches\":[\"a+b\"],\"texts\":[\"x.y\"]}" TAIL;

/* A damaged policy either is a policy still, with a canonical text that reads back as itself, or
 * fails with a message. */
static void test_damaged_policies(void)
{
    struct rng rng;
    char text[sizeof full_policy];
    int n_good = 0;
    rng_seed(&rng, 11);
    for (int round = 0; round < 8000; round++) {
        struct status st = {0};
        struct policy *policy, *again;
        memcpy(text, full_policy, sizeof text);
        size_t n = sizeof text - 1;
        for (uint64_t edits = rng_next(&rng) % 4; edits; edits--)
            text[rng_next(&rng) % n] = "\"{}[],:0-.e\\\0a\xff()*"[rng_next(&rng) % 18];
        if (rng_next(&rng) % 16 == 0) n = rng_next(&rng) % n;
        if (policy_parse(&policy, (struct text){text, n}, "f.json", &st) != STATUS_OK) {
            if (strncmp(st.message, "f.json: ", 8) != 0) CU_FAIL(st.message);
            continue;
        }
        n_good++;
        ASSERT_OK(policy_parse(&again, policy_get_info(policy)->canonical, "again", &st));
        CU_ASSERT_STRING_EQUAL(policy_get_info(policy)->sha256, policy_get_info(again)->sha256);
        policy_free(policy);
        policy_free(again);
    }
    CU_ASSERT_TRUE(n_good > 1000);
}

/* ---- nothing unsafe is shown ---- */

struct listener {
    double threshold;
    int n_calls;
    bool heard_unsafe;
    bool is_guarded;
    struct strbuf all; /* what was heard, call by call */
};

/* Whether the fake would object to a text: the other way to the same answer. */
static bool is_unsafe(struct text text, double threshold)
{
    return read_score(text, "v=") >= threshold || find_last(text, "ERROR").data;
}

static bool listen(void *user, struct text reply)
{
    struct listener *l = user;
    l->n_calls++;
    if (l->is_guarded && is_unsafe(reply, l->threshold)) l->heard_unsafe = true;
    strbuf_append(&l->all, reply.data, reply.length);
    strbuf_append_char(&l->all, '|');
    return true;
}

static void random_reply(struct rng *rng, char *out, size_t size)
{
    static const char *const words[] = {
        "a",     "bb",  "\xc3\xa9t\xc3\xa9", "v=0.1", "v=0.3", "v=0.5", "v=0.7", "v=0.9", "v=0",
        "ERROR", "x,y", "long-word"};
    size_t n = 0;
    int count = (int)(rng_next(rng) % 14);
    for (int i = 0; i < count && n + 16 < size; i++) {
        uint64_t pick = rng_next(rng) % 40;
        n += (size_t)snprintf(out + n, size - n, "%s%s", i ? " " : "",
                              words[pick < 12 ? pick : pick % 3]);
    }
    out[n] = '\0';
}

/* One random reply under one random policy: what is heard and shown, against the fake itself. */
static void check_one_reply(struct rng *rng)
{
    static const char *const actions[] = {"\"redact\"", "\"refuse\"", "\"stop\"",
                                          "\"regenerate\",\"attempts\":2"};
    char policy[512], reply[512], part[160];
    double threshold = 0.2 * (double)(1 + rng_next(rng) % 4);
    int every = 1 + (int)(rng_next(rng) % 5), action = (int)(rng_next(rng) % 4);
    reply[0] = '\0';
    for (int i = 0; i < 3; i++) {
        random_reply(rng, part, sizeof part);
        strcat(strcat(reply, i ? "|" : ""), part);
    }
    snprintf(policy, sizeof policy,
             HEAD "\"output\":{\"thresholds\":{\"violence\":%g},\"action\":%s,"
                  "\"check_every_tokens\":%d}" TAIL,
             threshold, actions[action], every);
    threshold = strtod(strstr(policy, "violence\":") + 10, NULL);
    struct generate_outcome *shadow, *enforce;
    struct setting s[2];
    struct listener heard[2] = {{.threshold = threshold}, {.threshold = threshold}};
    for (int mode = 0; mode < 2; mode++) {
        strbuf_init(&heard[mode].all, 1 << 20);
        heard[mode].is_guarded = mode == 1;
        set_up(&s[mode], policy, mode ? GUARD_ENFORCE : GUARD_SHADOW);
        add_item(&s[mode], "fine", reply);
        s[mode].items[0].request.sampling.temperature = 1;
        s[mode].items[0].request.on_text = listen;
        s[mode].items[0].request.user = &heard[mode];
        generate(&s[mode]);
    }
    shadow = &s[0].outcomes[0];
    enforce = &s[1].outcomes[0];
    bool refused = text_equal(enforce->delivered, text_of("No."));
    struct text whole = part_of(text_of(reply), 1);
    if (heard[1].heard_unsafe) CU_FAIL("an unsafe text was heard");
    if (!refused && is_unsafe(enforce->delivered, threshold)) CU_FAIL("an unsafe text was shown");
    if (!text_equal(shadow->delivered, whole)) CU_FAIL("shadow changed a reply");
    const struct guard_event *a = output_event(shadow), *b = output_event(enforce);
    CU_ASSERT_EQUAL(a->verdict, b->verdict);
    CU_ASSERT_EQUAL(a->fires, b->fires);
    CU_ASSERT_EQUAL(a->cut_at_token, b->cut_at_token);
    if (action < 3) { /* the model is not asked again */
        CU_ASSERT_EQUAL(a->response, b->response);
        CU_ASSERT_EQUAL(a->blocks, b->blocks);
        CU_ASSERT_EQUAL(a->n_checks, b->n_checks);
        CU_ASSERT_TRUE(text_equal(shadow->guarded, enforce->delivered));
    }
    /* A refusing guard fires where its threshold is at most the peak, or something failed. */
    if (action == 1 && !find_last(whole, "ERROR").data)
        CU_ASSERT_EQUAL(shadow->record.scores[0].peak >= threshold, b->fires);
    for (int mode = 0; mode < 2; mode++) {
        strbuf_release(&heard[mode].all);
        tear_down(&s[mode]);
    }
}

static void test_nothing_unsafe_is_shown(void)
{
    struct rng rng;
    rng_seed(&rng, 2027);
    for (int round = 0; round < 4000; round++) check_one_reply(&rng);
}

/* The same over the real word list, where a phrase ends anywhere among the tokens. */
static void test_word_list_stream(void)
{
    static const char *const actions[] = {"redact", "refuse", "stop"};
    static const char text[] = "well you piece of shit I will kill you and go fuck yourself today";
    for (int action = 0; action < 3; action++)
        for (int every = 1; every < 8; every++) {
            struct status st = {0};
            struct policy *policy;
            struct pipeline *pipeline;
            struct generate_outcome outcome;
            struct guard_record record;
            struct fake_backend backend = {.base.vtable = &fake_backend_table};
            char json[512];
            snprintf(json, sizeof json,
                     "{\"name\":\"p\",\"version\":1,\"classifiers\":[\"lexicon\"],\"input\":{"
                     "\"thresholds\":{\"obscene\":0.5,\"threat\":0.5,\"insult\":0.5},\"action\":"
                     "\"refuse\"},\"output\":{\"thresholds\":{\"obscene\":0.5,\"threat\":0.5,"
                     "\"insult\":0.5},\"action\":\"%s\",\"check_every_tokens\":%d}" TAIL,
                     actions[action], every);
            const struct generate_item item = {{.prompt = text_of(text), .max_tokens = 100},
                                               text_of("fine")};
            ASSERT_OK(policy_parse(&policy, text_of(json), "p", &st));
            ASSERT_OK(pipeline_create(&pipeline, policy, GUARD_ENFORCE, &st));
            ASSERT_OK(pipeline_generate(pipeline, &backend.base, &item, 1, &outcome, &st));
            ASSERT_OK(pipeline_check_input(pipeline, outcome.delivered, &record, &st));
            CU_ASSERT_FALSE(record.blocked_input);
            CU_ASSERT_TRUE(output_event(&outcome)->fires);
            if (action == 0) CU_ASSERT_PTR_NOT_NULL(strstr(outcome.delivered.data, "today"));
            guard_record_release(&record);
            outcome_release(&outcome);
            pipeline_free(pipeline);
            policy_free(policy);
        }
}

static void test_names(void)
{
    CU_ASSERT_STRING_EQUAL(guard_action_name(GUARD_ACTION_REGENERATE), "regenerate");
    CU_ASSERT_STRING_EQUAL(guard_response_name(GUARD_RESPONSE_NONE), "none");
    CU_ASSERT_STRING_EQUAL(guard_response_name(GUARD_RESPONSE_STOP), "stop");
}

static const struct test_case tests[] = {
    {"every action in enforce", test_actions},
    {"every action in shadow", test_actions_in_shadow},
    {"prompts are logged or refused", test_input_actions},
    {"replies are made again until one passes", test_regenerate},
    {"every failure is closed under every action", test_failures_are_closed},
    {"a late score blocks, a spent budget asks no further", test_timeouts},
    {"a cascade asks whom it must", test_cascade},
    {"long texts come in windows", test_windows},
    {"the highest window decides", test_windows_decide},
    {"what is allowed excuses only itself", test_allow},
    {"bad policies name the field", test_bad_policies},
    {"policies that cannot work do not load", test_bad_pipelines},
    {"damaged policies fail cleanly", test_damaged_policies},
    {"nothing unsafe is heard or shown", test_nothing_unsafe_is_shown},
    {"nor by the word list", test_word_list_stream},
    {"names", test_names},
};
SUITE("guard_actions", tests)
