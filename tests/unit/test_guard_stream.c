/* Replies that are cut while they grow, with tokens that end anywhere: inside a word, inside a
 * character.  What a listener hears and what is shown has itself passed, and no part of what was
 * stopped is in it. */
#include "engine/base/rng.h"
#include "engine/base/utf8.h"
#include "tests/unit/guard_fixture.h"
#include "tests/unit/scratch.h"

static const char *const harmless[] = {"river",
                                       "caf\xc3\xa9",
                                       "assume",
                                       "scunthorpe",
                                       "\xd0\xb4\xd0\xbe\xd0\xbc",
                                       "\xf0\x9f\x8e\xb6",
                                       "classic",
                                       "the",
                                       "\xe6\x97\xa5\xe6\x9c\xac",
                                       "x,y",
                                       "\n",
                                       "\xc3"};
static const char *const harmful[] = {"motherfucker", "f\303\274cking",
                                      "\xd1\x95h\xd1\x96tty bitch", "kill yourself",
                                      "piece of shit"};
#define N_HARMLESS (sizeof harmless / sizeof harmless[0])
#define N_HARMFUL  (sizeof harmful / sizeof harmful[0])

/* A reply of up to 40 words, of which one or a phrase is harmful, or none; *bad is where the last
 * word of that starts, the first that makes it harmful. */
static void random_reply(struct rng *rng, char *out, size_t size, const char **bad)
{
    size_t length = 0;
    int n = 1 + (int)(rng_next(rng) % 40), place = (int)(rng_next(rng) % 50);
    *bad = NULL;
    out[0] = '\0';
    for (int i = 0; i < n; i++) {
        const char *word =
            i == place ? harmful[rng_next(rng) % N_HARMFUL] : harmless[rng_next(rng) % N_HARMLESS];
        const char *last = strrchr(word, ' ');
        if (i == place) *bad = out + length + (last ? last + 1 - word : 0);
        length += (size_t)snprintf(out + length, size - length, "%s ", word);
    }
    if (rng_next(rng) % 2) out[length - 1] = '\0';
}

struct listener {
    const struct pipeline *pipeline;
    size_t heard; /* bytes, of the last call */
    bool was_unsafe, broke_character, went_back;
};

static bool fires(const struct pipeline *pipeline, struct text text)
{
    struct status st = {0};
    struct guard_record record;
    ASSERT_OK(pipeline_check_reply(pipeline, text_of("fine"), text, &record, &st));
    bool result = record.events[0].fires;
    guard_record_release(&record);
    return result;
}

static bool listen(void *user, struct text reply)
{
    struct listener *l = user;
    if (fires(l->pipeline, reply)) l->was_unsafe = true;
    if (utf8_complete_length(reply) != reply.length) l->broke_character = true;
    if (reply.length < l->heard) l->went_back = true;
    l->heard = reply.length;
    return true;
}

struct tally {
    int stopped, passed;
};

/* One reply, one policy; `is_exact`: the classifier objects to what is harmful and nothing else. */
static void check_one(struct rng *rng, const char *classifier, const char *rules, bool is_exact,
                      struct tally *tally)
{
    static const char *const actions[] = {"\"stop\"", "\"refuse\"",
                                          "\"regenerate\",\"attempts\":2"};
    struct status st = {0};
    struct policy *policy;
    struct pipeline *pipeline;
    struct generate_outcome outcome;
    char json[512], reply[1024];
    const char *bad;
    int action = (int)(rng_next(rng) % 3), every = 1 + (int)(rng_next(rng) % 24);
    struct fake_backend backend = {.base.vtable = &fake_backend_table,
                                   .max_piece = 1 + rng_next(rng) % 9};
    snprintf(json, sizeof json,
             "{\"name\":\"p\",\"version\":1,\"classifiers\":[\"%s\"],\"output\":{\"thresholds\":%s,"
             "\"action\":%s,\"check_every_tokens\":%d},\"refusal\":\"No.\"}",
             classifier, rules, actions[action], every);
    random_reply(rng, reply, sizeof reply, &bad);
    ASSERT_OK(policy_parse(&policy, text_of(json), "p", &st));
    ASSERT_OK(pipeline_create(&pipeline, policy, GUARD_ENFORCE, &st));
    struct listener heard = {.pipeline = pipeline};
    const struct generate_item item = {
        {.prompt = text_of(reply), .max_tokens = 2000, .on_text = listen, .user = &heard},
        text_of("fine")};
    ASSERT_OK(pipeline_generate(pipeline, &backend.base, &item, 1, &outcome, &st));
    struct text shown = outcome.delivered;
    bool refused = text_equal(shown, text_of("No."));
    CU_ASSERT_FALSE(heard.was_unsafe || heard.broke_character || heard.went_back);
    CU_ASSERT_FALSE(!refused && fires(pipeline, shown));
    bool fired = outcome.record.events[0].fires;
    if (fired && action == 0) CU_ASSERT_EQUAL(refused ? 0 : shown.length, heard.heard);
    if (!fired) CU_ASSERT_TRUE(text_equal(shown, text_of(reply)));
    if (is_exact) {
        CU_ASSERT_EQUAL(fired, bad != NULL);
        /* Not even its first letters, since a word is judged once white space ends it. */
        size_t safe = bad ? (size_t)(bad - reply) : sizeof reply;
        CU_ASSERT_TRUE(heard.heard <= safe && (refused || shown.length <= safe));
    }
    *(fired ? &tally->stopped : &tally->passed) += 1;
    outcome_release(&outcome);
    pipeline_free(pipeline);
    policy_free(policy);
}

static void check_many(const char *classifier, const char *rules, bool is_exact, int rounds)
{
    struct rng rng;
    struct tally tally = {0};
    rng_seed(&rng, 31);
    for (int round = 0; round < rounds; round++)
        check_one(&rng, classifier, rules, is_exact, &tally);
    CU_ASSERT_TRUE(tally.stopped > rounds / 8 && tally.passed > rounds / 8);
}

static void test_builtin(void)
{
    check_many("builtin", "{\"toxicity\":0.62}", false, 300);
}

/* A word list that knows the harmful words, whatever stands around them. */
static void test_lexicon(void)
{
    char spec[256], list[1024] = "{\"name\":\"l\",\"version\":1,\"licence\":\"-\",\"entries\":[";
    for (size_t i = 0; i < N_HARMFUL; i++)
        snprintf(list + strlen(list), sizeof list - strlen(list),
                 "%s{\"phrase\":\"%s\",\"category\":\"toxicity\",\"strength\":0.9}", i ? "," : "",
                 harmful[i]);
    strcat(list, "]}");
    snprintf(spec, sizeof spec, "lexicon:%s", put("list.json", list, strlen(list)));
    check_many(spec, "{\"toxicity\":0.5}", true, 600);
}

/* A check that comes too late is closed too: nothing since the last one is shown. */
static void test_delay(void)
{
    struct rng rng;
    rng_seed(&rng, 33);
    for (int round = 0; round < 40; round++) {
        struct setting s;
        char policy[512], reply[512];
        int before = (int)(rng_next(&rng) % 12);
        size_t length = 0;
        for (int i = 0; i < before; i++)
            length += (size_t)snprintf(reply + length, sizeof reply - length, "caf\xc3\xa9 ");
        snprintf(reply + length, sizeof reply - length, "SLOW and so on and so on");
        snprintf(policy, sizeof policy,
                 "{\"name\":\"p\",\"version\":1,\"classifiers\":[\"first\",\"second\"],"
                 "\"output\":{\"thresholds\":{\"violence\":0.5},\"action\":\"stop\",\"budget_ms\":"
                 "10,\"check_every_tokens\":%d},\"refusal\":\"No.\"}",
                 1 + (int)(rng_next(&rng) % 8));
        set_up(&s, policy, GUARD_ENFORCE);
        s.backend.max_piece = 1 + rng_next(&rng) % 6;
        add_item(&s, "fine", reply);
        generate(&s);
        const struct guard_event *e = &s.outcomes[0].record.events[0];
        bool refused = text_equal(s.outcomes[0].delivered, text_of("No."));
        CU_ASSERT_TRUE(e->timed_out && e->fires);
        CU_ASSERT_TRUE(refused || s.outcomes[0].delivered.length <= length);
        tear_down(&s);
    }
}

/* Replies that end before the first check are judged whole. */
static void test_short_replies(void)
{
    static const struct {
        const char *reply, *shown;
    } cases[] = {{"", ""}, {"v=0.9", "No."}, {"v=0.1", "v=0.1"}, {"a v=0.9", "No."}};
    static const char policy[] =
        "{\"name\":\"p\",\"version\":1,\"classifiers\":[\"first\",\"second\"],\"output\":{"
        "\"thresholds\":{\"violence\":0.5},\"action\":\"stop\",\"check_every_tokens\":50},"
        "\"refusal\":\"No.\"}";
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct setting s;
        set_up(&s, policy, GUARD_ENFORCE);
        s.backend.max_piece = 2;
        add_item(&s, "fine", cases[i].reply);
        generate(&s);
        assert_reply(&s.outcomes[0], cases[i].reply, cases[i].shown);
        CU_ASSERT_EQUAL(s.outcomes[0].record.events[0].n_checks, 1);
        tear_down(&s);
    }
}

/* ---- every interval, every cut of the text, every action ---- */

#define UNSAFE_PHRASE "b\xc3\xb6ses \xe6\x82\xaa\xe8\xaa\x9e"

struct ears {
    bool heard_it, broke_character;
    size_t n;
};

static bool contains(struct text text, const char *phrase)
{
    size_t n = strlen(phrase);
    for (size_t i = 0; i + n <= text.length; i++)
        if (memcmp(text.data + i, phrase, n) == 0) return true;
    return false;
}

static bool keep_watch(void *user, struct text reply)
{
    struct ears *ears = user;
    ears->heard_it = ears->heard_it || contains(reply, UNSAFE_PHRASE);
    ears->broke_character = ears->broke_character || utf8_complete_length(reply) != reply.length;
    ears->n = reply.length;
    return true;
}

/* The phrase stands where `shift` puts it; tokens have up to `piece` bytes and end inside
 * characters.
 */
static void watch_one(const char *spec, int action, int every, size_t piece, int shift)
{
    static const char *const actions[] = {"\"stop\"", "\"refuse\"", "\"redact\"",
                                          "\"regenerate\",\"attempts\":2"};
    struct status st = {0};
    struct policy *policy;
    struct pipeline *pipeline;
    struct generate_outcome outcome;
    struct ears ears = {0};
    char json[512], reply[256];
    struct fake_backend backend = {.base.vtable = &fake_backend_table, .max_piece = piece};
    snprintf(json, sizeof json,
             "{\"name\":\"p\",\"version\":1,\"classifiers\":[\"%s\"],\"output\":{\"thresholds\":"
             "{\"toxicity\":0.5},\"action\":%s,\"check_every_tokens\":%d},\"refusal\":\"No.\"}",
             spec, actions[action], every);
    snprintf(reply, sizeof reply,
             "caf\xc3\xa9 %.*s " UNSAFE_PHRASE " und \xf0\x9f\x98\x80 mehr davon", shift,
             "na\xc3\xafve W\xc3\xb6rter");
    ASSERT_OK(policy_parse(&policy, text_of(json), "p", &st));
    ASSERT_OK(pipeline_create(&pipeline, policy, GUARD_ENFORCE, &st));
    const struct generate_item item = {{.prompt = text_of(reply),
                                        .max_tokens = 1000,
                                        .sampling.temperature = 1,
                                        .on_text = keep_watch,
                                        .user = &ears},
                                       text_of("fine")};
    ASSERT_OK(pipeline_generate(pipeline, &backend.base, &item, 1, &outcome, &st));
    struct text shown = outcome.delivered;
    bool good = outcome.record.events[0].fires && !ears.heard_it && !ears.broke_character &&
                !contains(shown, UNSAFE_PHRASE) && utf8_complete_length(shown) == shown.length;
    if (action == 0) good = good && (text_equal(shown, text_of("No.")) || shown.length == ears.n);
    if (action == 2) good = good && contains(shown, "[redacted]") && contains(shown, "mehr davon");
    if (!good)
        fprintf(stderr, "  %s every %d, pieces of %zu, shift %d: \"%.*s\"\n", actions[action],
                every, piece, shift, TEXT_ARGS(shown));
    CU_ASSERT_TRUE(good);
    outcome_release(&outcome);
    pipeline_free(pipeline);
    policy_free(policy);
}

static void test_every_interval(void)
{
    static const char list[] =
        "{\"name\":\"l\",\"version\":1,\"licence\":\"-\",\"entries\":[{\"phrase\":\"" UNSAFE_PHRASE
        "\",\"category\":\"toxicity\",\"strength\":0.9}]}";
    char spec[256];
    snprintf(spec, sizeof spec, "lexicon:%s", put("phrase.json", list, strlen(list)));
    for (int action = 0; action < 4; action++)
        for (int every = 1; every <= 40; every++)
            for (size_t piece = 1; piece <= 7; piece++)
                watch_one(spec, action, every, piece, (every + (int)piece) % 6);
}

static const struct test_case tests[] = {
    {"the classifier inside the program", test_builtin},
    {"a word list", test_lexicon},
    {"every interval, cut and action", test_every_interval},
    {"a check that takes too long", test_delay},
    {"replies that end before the first check", test_short_replies},
};
SUITE("guard_stream", tests)
