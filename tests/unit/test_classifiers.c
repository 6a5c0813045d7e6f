/* taxonomy, words, the lexicon classifier and what a bad word list is told. */
#include <math.h>
#include <time.h>

#include "classifiers/classifier_vtable.h"
#include "classifiers/word_reader.h"
#include "engine/base/rng.h"
#include "engine/base/strbuf.h"
#include "tests/unit/suite.h"

static char folder[] = "/tmp/assay-classifiers-XXXXXX";
static char path[sizeof folder + 32];

static void write_file(struct text text)
{
    if (!path[0]) {
        CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(folder));
        snprintf(path, sizeof path, "%s/list.json", folder);
    }
    FILE *file = fopen(path, "wb");
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    CU_ASSERT_EQUAL_FATAL(fwrite(text.data, 1, text.length, file), text.length);
    fclose(file);
}

static status_code open_list(struct classifier **out, struct text json, struct status *st)
{
    char spec[sizeof path + 8];
    write_file(json);
    snprintf(spec, sizeof spec, "lexicon:%s", path);
    return classifier_open(out, spec, st);
}

static struct classifier *open_entries(const char *entries)
{
    struct status st = {0};
    struct classifier *classifier = NULL;
    struct strbuf json;
    strbuf_init(&json, 1 << 20);
    strbuf_appendf(&json, "{\"name\":\"t\",\"version\":3,\"licence\":\"MIT\",\"entries\":[%s]}",
                   entries);
    ASSERT_OK(open_list(&classifier, (struct text){json.data, json.length}, &st));
    strbuf_release(&json);
    return classifier;
}

static double probability(const struct classifier *classifier, enum hazard_category category,
                          const char *text)
{
    struct status st = {0};
    struct hazard_scores scores;
    ASSERT_OK(classifier_score(classifier, text_of(""), text_of(text), &scores, &st));
    CU_ASSERT_TRUE(scores.of[category].scored);
    return scores.of[category].probability;
}

/* ---- taxonomy and words ---- */

static void test_taxonomy(void)
{
    enum hazard_category category;
    for (int c = 0; c < HAZARD_COUNT; c++) {
        const struct hazard_info *info = hazard_get((enum hazard_category)c);
        CU_ASSERT_TRUE_FATAL(info->name && info->description);
        CU_ASSERT_TRUE(hazard_find(text_of(info->name), &category));
        CU_ASSERT_EQUAL((int)category, c);
    }
    CU_ASSERT_FALSE(hazard_find(text_of("Toxicity"), &category));
    CU_ASSERT_FALSE(hazard_find(text_of("toxic"), &category));
    CU_ASSERT_FALSE(hazard_find(text_of(""), &category));
}

/* The text's words with a '|' after each. */
static void assert_words(struct text text, const char *expected)
{
    struct status st = {0};
    struct word_reader reader;
    struct strbuf joined;
    strbuf_init(&joined, 1 << 16);
    word_reader_init(&reader, text);
    while (word_reader_next(&reader)) {
        CU_ASSERT_TRUE(reader.start < reader.end && reader.end <= text.length);
        strbuf_append(&joined, reader.word.data, reader.word.length);
        strbuf_append_char(&joined, '|');
    }
    ASSERT_OK(word_reader_check(&reader, &st));
    CU_ASSERT_STRING_EQUAL(joined.data, expected);
    word_reader_release(&reader);
    strbuf_release(&joined);
}

static void test_words(void)
{
    static const struct {
        const char *text, *words;
    } cases[] = {
        {"", ""},
        {" \t\n.,!", ""},
        {"One, TWO-three_4", "one|two|three|4|"},
        {"don't", "don|t|"},
        {"CAF\xc3\x89 \xd0\x9c\xd0\x98\xd0\xa0", "caf\xc3\xa9|\xd0\xbc\xd0\xb8\xd1\x80|"},
        {"\xe2\x80\x9cquoted\xe2\x80\x9d\xe2\x80\x94"
         "dash",
         "quoted|dash|"},
        {"ki\xc2\xadll k\xe2\x80\x8bill", "kill|kill|"}, /* soft hyphen, zero width */
        {"\xe5\xad\x97\xe3\x80\x82\xe5\xad\x97",
         "\xe5\xad\x97|\xe5\xad\x97|"}, /* ideographic stop */
        {"a\xff"
         "b \xe2\x82",
         "a|b|"},                                    /* invalid bytes separate */
        {"\xf0\x9f\x98\x80x\xf0\x9f\x98\x80", "x|"}, /* emoji */
        {"\xc8\xba", "\xe2\xb1\xa5|"},               /* longer in lower case */
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_words(text_of(cases[i].text), cases[i].words);
    assert_words((struct text){"a\0b", 3}, "a|b|");
}

static void test_word_too_long(void)
{
    char text[3 * WORD_MAX_BYTES];
    struct word_reader reader;
    memset(text, 'w', sizeof text);
    word_reader_init(&reader, (struct text){text, sizeof text});
    CU_ASSERT_TRUE(word_reader_next(&reader));
    CU_ASSERT_TRUE(reader.is_cut);
    CU_ASSERT_EQUAL(reader.end, sizeof text);
    CU_ASSERT_EQUAL(reader.word.length, WORD_MAX_BYTES);
    CU_ASSERT_FALSE(word_reader_next(&reader));
    word_reader_release(&reader);
    word_reader_init(&reader, (struct text){text, WORD_MAX_BYTES});
    CU_ASSERT_TRUE(word_reader_next(&reader));
    CU_ASSERT_FALSE(reader.is_cut);
    word_reader_release(&reader);
}

/* ---- scores ---- */

static void test_rule(void)
{
    struct status st = {0};
    struct hazard_scores scores;
    struct classifier *c =
        open_entries("{\"phrase\":\"kill\",\"category\":\"violence\",\"strength\":0.5},"
                     "{\"phrase\":\"bomb\",\"category\":\"violence\",\"strength\":0.8},"
                     "{\"phrase\":\"sure thing\",\"category\":\"insult\",\"strength\":1}");
    CU_ASSERT_STRING_EQUAL(classifier_id(c), "lexicon/t-3");
    CU_ASSERT_EQUAL(classifier_categories(c),
                    HAZARD_BIT(HAZARD_VIOLENCE) | HAZARD_BIT(HAZARD_INSULT));
    char digest[SHA256_HEX_SIZE];
    ASSERT_OK(sha256_file(path, digest, &st));
    CU_ASSERT_STRING_EQUAL(classifier_sha256(c), digest);

    CU_ASSERT_EQUAL(probability(c, HAZARD_VIOLENCE, "kill"), 0.5);
    CU_ASSERT_EQUAL(probability(c, HAZARD_VIOLENCE, "kill, kill and kill"), 0.5);
    CU_ASSERT_DOUBLE_EQUAL(probability(c, HAZARD_VIOLENCE, "kill with a bomb"), 0.9, 1e-12);
    CU_ASSERT_EQUAL(probability(c, HAZARD_VIOLENCE, "sure thing"), 0);

    ASSERT_OK(classifier_score(c, text_of("kill"), text_of("kill"), &scores, &st));
    CU_ASSERT_EQUAL(scores.of[HAZARD_VIOLENCE].logit, 0);
    CU_ASSERT_EQUAL(scores.of[HAZARD_INSULT].logit, -20);
    CU_ASSERT_FALSE(scores.of[HAZARD_THREAT].scored);
    ASSERT_OK(classifier_score(c, text_of("kill"), text_of("Sure thing"), &scores, &st));
    CU_ASSERT_EQUAL(scores.of[HAZARD_INSULT].logit, 20);
    CU_ASSERT_EQUAL(scores.of[HAZARD_INSULT].probability, 1);
    CU_ASSERT_EQUAL(scores.of[HAZARD_VIOLENCE].probability, 0);
    ASSERT_OK(classifier_score(c, text_of(""), text_of("a bomb to kill"), &scores, &st));
    CU_ASSERT_DOUBLE_EQUAL(scores.of[HAZARD_VIOLENCE].logit, log(9), 1e-12);
    classifier_free(c);
}

static void test_boundaries(void)
{
    static const struct {
        const char *text;
        double violence, self_harm, insult;
    } cases[] = {
        {"", 0, 0, 0},
        {"He has great skill.", 0, 0, 0},
        {"killer", 0, 0, 0},
        {"KILL!", 0.5, 0, 0},
        {"\xe2\x80\x9ckill\xe2\x80\x9d", 0.5, 0, 0},
        {"k\xc2\xadill", 0.5, 0, 0},
        {"kill yourself", 0.5, 0.75, 0},
        {"Kill\n\n  YOURSELF", 0.5, 0.75, 0},
        {"kill all yourself", 0.5, 0, 0},
        {"yourself kill", 0.5, 0, 0},
        {"kill yourselves", 0.5, 0, 0},
        {"kill kill yourself", 0.5, 0.75, 0},
        {"self harm, self-harm", 0, 0.25, 0},
        {"self  har m", 0, 0, 0},
        {"\xd0\x94\xd0\xa3\xd0\xa0\xd0\x90\xd0\x9a", 0, 0, 0.5},       /* capital Cyrillic */
        {"\xd0\xb4\xd1\x83\xd1\x80\xd0\xb0\xd0\xba\xd0\xb8", 0, 0, 0}, /* another ending */
        {"wa wb wc wd we wf wg wh wi wj wk wl wm wn wo wp", 0, 0, 0.25},
        {"wb wc wd we wf wg wh wi wj wk wl wm wn wo wp", 0, 0, 0},
        {"x wa wb wc wd we wf wg wh wi wj wk wl wm wn wo wp x", 0, 0, 0.25},
        {"bad\xff"
         "kill\xfe",
         0.5, 0, 0},
    };
    struct classifier *c = open_entries(
        "{\"phrase\":\"kill\",\"category\":\"violence\",\"strength\":0.5},"
        "{\"phrase\":\"kill yourself\",\"category\":\"self_harm\",\"strength\":0.75},"
        "{\"phrase\":\"Self-Harm\",\"category\":\"self_harm\",\"strength\":0.25},"
        "{\"phrase\":\"\xd0\xb4\xd1\x83\xd1\x80\xd0\xb0\xd0\xba\",\"category\":\"insult\","
        "\"strength\":0.5},"
        "{\"phrase\":\"wa wb wc wd we wf wg wh wi wj wk wl wm wn wo wp\",\"category\":\"insult\","
        "\"strength\":0.25}");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        CU_ASSERT_EQUAL(probability(c, HAZARD_VIOLENCE, cases[i].text), cases[i].violence);
        CU_ASSERT_EQUAL(probability(c, HAZARD_SELF_HARM, cases[i].text), cases[i].self_harm);
        CU_ASSERT_EQUAL(probability(c, HAZARD_INSULT, cases[i].text), cases[i].insult);
    }
    classifier_free(c);
}

static void note_span(void *user, const struct hazard_span *span)
{
    strbuf_appendf(user, "[%.*s %s %g]", TEXT_ARGS(span->text), hazard_get(span->category)->name,
                   span->weight);
}

static void test_explain(void)
{
    struct status st = {0};
    struct strbuf spans;
    struct classifier *c =
        open_entries("{\"phrase\":\"kill\",\"category\":\"violence\",\"strength\":0.5},"
                     "{\"phrase\":\"kill\",\"category\":\"threat\",\"strength\":0.25},"
                     "{\"phrase\":\"kill you\",\"category\":\"threat\",\"strength\":0.75}");
    strbuf_init(&spans, 1 << 16);
    ASSERT_OK(classifier_explain(c, text_of(""), text_of("I KILL \xe2\x80\x94 you. Kill"),
                                 note_span, &spans, &st));
    CU_ASSERT_STRING_EQUAL(spans.data, "[KILL violence 0.5][KILL threat 0.25]"
                                       "[KILL \xe2\x80\x94 you threat 0.75]"
                                       "[Kill violence 0.5][Kill threat 0.25]");
    strbuf_release(&spans);
    classifier_free(c);
}

static void test_built_in(void)
{
    struct status st = {0};
    struct classifier *c;
    struct hazard_scores scores;
    ASSERT_OK(classifier_open(&c, "lexicon", &st));
    CU_ASSERT_STRING_EQUAL(classifier_id(c), "lexicon/demo-1");
    CU_ASSERT_EQUAL(strlen(classifier_sha256(c)), 64);
    CU_ASSERT_EQUAL(classifier_categories(c), HAZARD_BIT(HAZARD_UNSAFE) - 1);
    ASSERT_OK(
        classifier_score(c, text_of(""), text_of("Water boils at 100 degrees."), &scores, &st));
    for (int i = 0; i < HAZARD_COUNT; i++) {
        CU_ASSERT_EQUAL(scores.of[i].scored, i != HAZARD_UNSAFE && i != HAZARD_REFUSAL); /* that one is for guard models */
        CU_ASSERT_EQUAL(scores.of[i].probability, 0);
    }
    /* Crude on purpose: a harmless question about a drug is not told from a threat. */
    CU_ASSERT_TRUE(probability(c, HAZARD_VIOLENCE, "Which drug will kill the bacteria?") >= 0.5);
    CU_ASSERT_TRUE(probability(c, HAZARD_INSULT, "You idiot, shut up") >= 0.9);
    CU_ASSERT_TRUE(probability(c, HAZARD_SELF_HARM, "the suicide rate in 1999") >= 0.5);
    char digest[SHA256_HEX_SIZE];
    ASSERT_OK(sha256_file("classifiers/lexicons/demo.json", digest, &st));
    CU_ASSERT_STRING_EQUAL(classifier_sha256(c), digest);
    classifier_free(c);
}

/* 16 MB of words that all begin a phrase: linear work takes well under a second. */
static void test_long_text(void)
{
    struct status st = {0};
    struct hazard_scores scores;
    size_t n = 16u << 20;
    char *text = malloc(n + 1);
    CU_ASSERT_PTR_NOT_NULL_FATAL(text);
    for (size_t i = 0; i < n + 1; i++) text[i] = i % 2 ? ' ' : 'a';
    struct classifier *c =
        open_entries("{\"phrase\":\"a a a a a a a a a a a a a a a b\",\"category\":\"threat\","
                     "\"strength\":0.5},"
                     "{\"phrase\":\"a a a a a a a a b\",\"category\":\"threat\",\"strength\":0.5},"
                     "{\"phrase\":\"a a\",\"category\":\"insult\",\"strength\":0.5}");
    clock_t start = clock();
    ASSERT_OK(classifier_score(c, text_of(""), (struct text){text, n}, &scores, &st));
    CU_ASSERT_TRUE((double)(clock() - start) / CLOCKS_PER_SEC < 20);
    CU_ASSERT_EQUAL(scores.of[HAZARD_INSULT].probability, 0.5);
    CU_ASSERT_EQUAL(scores.of[HAZARD_THREAT].probability, 0);
    ASSERT_FAILS(classifier_score(c, text_of(""), (struct text){text, n + 1}, &scores, &st),
                 STATUS_LIMIT, "lexicon/t-3: the text is longer than");
    CU_ASSERT_FALSE(scores.of[HAZARD_INSULT].scored);
    classifier_free(c);
    free(text);
}

/* ---- a classifier that misbehaves ---- */

static status_code nan_score(const struct classifier *classifier, struct text prompt,
                             struct text text, struct hazard_scores *out, struct status *st)
{
    (void)classifier, (void)prompt, (void)text, (void)st;
    out->of[HAZARD_HATE] = (struct hazard_score){true, 0, (double)NAN};
    return STATUS_OK;
}

static void test_not_a_probability(void)
{
    static const struct classifier_vtable table = {.score = nan_score};
    struct classifier c = {
        .vtable = &table, .id = "test/nan-1", .categories = HAZARD_BIT(HAZARD_HATE)};
    struct status st = {0};
    struct hazard_scores scores;
    ASSERT_FAILS(classifier_score(&c, text_of(""), text_of("x"), &scores, &st), STATUS_BAD_INPUT,
                 "test/nan-1 gave hate the probability nan");
    CU_ASSERT_FALSE(scores.of[HAZARD_HATE].scored);
    ASSERT_FAILS(classifier_explain(&c, text_of(""), text_of("x"), note_span, NULL, &st),
                 STATUS_UNSUPPORTED, "cannot say which words");
}

/* ---- bad specs and bad lists ---- */

static void test_bad_specs(void)
{
    struct status st = {0};
    struct classifier *c;
    ASSERT_FAILS(classifier_open(&c, "magic", &st), STATUS_USAGE, "\"magic\": no such kind");
    ASSERT_FAILS(classifier_open(&c, "", &st), STATUS_USAGE, "no such kind");
    ASSERT_FAILS(classifier_open(&c, "lexicon:", &st), STATUS_USAGE, "nothing follows the colon");
    ASSERT_FAILS(classifier_open(&c, "lexicon:/no/such.json", &st), STATUS_NOT_FOUND,
                 "/no/such.json");
    size_t n;
    CU_ASSERT_STRING_EQUAL(classifier_kinds(&n)[0].name, "builtin");
    CU_ASSERT_TRUE(n >= 1);
    classifier_free(NULL);
}

#define HEAD  "{\"name\":\"t\",\"version\":1,\"licence\":\"MIT\",\"entries\":"
#define ENTRY "{\"phrase\":\"bad\",\"category\":\"insult\",\"strength\":0.5}"

static void test_bad_lists(void)
{
    static const struct {
        const char *json, *message;
    } cases[] = {
        {"", "list.json: "},
        {"[]", "is an array, expected an object"},
        {"{\"version\":1,\"licence\":\"MIT\",\"entries\":[" ENTRY "]}", "\"name\""},
        {"{\"name\":\"a b\",\"version\":1,\"licence\":\"MIT\",\"entries\":[" ENTRY "]}",
         "field \"name\" must be 1 to 64 letters"},
        {"{\"name\":\"\",\"version\":1,\"licence\":\"MIT\",\"entries\":[" ENTRY "]}",
         "field \"name\" must be"},
        {"{\"name\":\"t\",\"version\":1.5,\"licence\":\"MIT\",\"entries\":[" ENTRY "]}",
         "field \"version\" is 1.5"},
        {"{\"name\":\"t\",\"version\":1,\"entries\":[" ENTRY "]}", "\"licence\""},
        {"{\"name\":\"t\",\"version\":1,\"license\":\"MIT\",\"entries\":[" ENTRY "]}",
         "unknown field \"license\""},
        {"{\"name\":\"t\",\"name\":\"t\",\"version\":1,\"licence\":\"MIT\",\"entries\":[" ENTRY
         "]}",
         "field \"name\" is there twice"},
        {HEAD "{}}", "\"entries\""},
        {HEAD "[]}", "field \"entries\" has 0"},
        {HEAD "[" ENTRY ",7]}", "list.json: entries[1]: is a number, expected an object"},
        {HEAD "[" ENTRY "," ENTRY "]}",
         "entries[1]: field \"phrase\": entry 0 has these words and this category already"},
        {HEAD "[" ENTRY ",{\"phrase\":\" BAD!\",\"category\":\"insult\",\"strength\":1}]}",
         "entries[1]: field \"phrase\": entry 0 has these words"},
        {HEAD "[{\"phrase\":\"x\",\"category\":\"rudeness\",\"strength\":0.5}]}",
         "entries[0]: field \"category\": unknown category \"rudeness\""},
        {HEAD "[{\"phrase\":\"x\",\"category\":\"insult\",\"strength\":1.5}]}",
         "entries[0]: field \"strength\" is 1.5"},
        {HEAD "[{\"phrase\":\"x\",\"category\":\"insult\",\"strength\":0}]}",
         "entries[0]: field \"strength\" is 0"},
        {HEAD "[{\"phrase\":\"x\",\"category\":\"insult\",\"strength\":\"1\"}]}", "\"strength\""},
        {HEAD "[{\"phrase\":\"x\",\"category\":\"insult\"}]}", "entries[0]: field \"strength\""},
        {HEAD "[{\"phrase\":\"x\",\"category\":\"insult\",\"strength\":1,\"weight\":1}]}",
         "entries[0]: unknown field \"weight\""},
        {HEAD "[{\"phrase\":\" - \",\"category\":\"insult\",\"strength\":1}]}",
         "entries[0]: field \"phrase\" has 0 words"},
        {HEAD "[{\"phrase\":\"a a a a a a a a a a a a a a a a a\",\"category\":\"insult\","
              "\"strength\":1}]}",
         "entries[0]: field \"phrase\" has 17 words"},
        {HEAD "[" ENTRY "]} x", "list.json"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct status st = {0};
        struct classifier *c = NULL;
        ASSERT_FAILS(open_list(&c, text_of(cases[i].json), &st), STATUS_BAD_INPUT,
                     cases[i].message);
        CU_ASSERT_PTR_NULL(c);
    }
}

static void test_word_of_phrase_too_long(void)
{
    struct status st = {0};
    struct classifier *c;
    struct strbuf json;
    strbuf_init(&json, 1 << 16);
    strbuf_append_str(&json, HEAD "[{\"category\":\"insult\",\"strength\":1,\"phrase\":\"");
    for (int i = 0; i <= WORD_MAX_BYTES; i++) strbuf_append_char(&json, 'w');
    strbuf_append_str(&json, "\"}]}");
    ASSERT_FAILS(open_list(&c, (struct text){json.data, json.length}, &st), STATUS_BAD_INPUT,
                 "entries[0]: field \"phrase\" has a word of over 128 bytes");
    strbuf_release(&json);
}

/* A damaged list either opens and scores, or fails with a message. */
static void test_damaged_lists(void)
{
    static const char good[] =
        HEAD "[" ENTRY ",{\"phrase\":\"k\xc3\xa9y \\u00fc\",\"category\":\"hate\","
             "\"strength\":0.75}]}";
    struct rng rng;
    char text[sizeof good];
    rng_seed(&rng, 20);
    for (int round = 0; round < 1000; round++) {
        struct status st = {0};
        struct classifier *c;
        struct hazard_scores scores;
        memcpy(text, good, sizeof good);
        size_t n = sizeof good - 1;
        for (uint64_t edits = 1 + rng_next(&rng) % 3; edits; edits--)
            text[rng_next(&rng) % n] = "\"{}[],:0-.e\\\0a\xff"[rng_next(&rng) % 15];
        if (rng_next(&rng) % 4 == 0) n = rng_next(&rng) % n;
        if (open_list(&c, (struct text){text, n}, &st) != STATUS_OK) {
            if (!strstr(st.message, "list.json: ")) CU_FAIL(st.message);
            continue;
        }
        ASSERT_OK(classifier_score(c, text_of(""), text_of("bad key"), &scores, &st));
        classifier_free(c);
    }
}

static void test_clean_up(void)
{
    CU_ASSERT_EQUAL(remove(path), 0);
    CU_ASSERT_EQUAL(rmdir(folder), 0);
}

static const struct test_case tests[] = {
    {"every category is found by its name", test_taxonomy},
    {"a text falls into lower-case words", test_words},
    {"a long word comes cut and marked", test_word_too_long},
    {"strengths combine as documented", test_rule},
    {"phrases match whole words only", test_boundaries},
    {"spans say which words raised a score", test_explain},
    {"the built-in list is the file, and is crude", test_built_in},
    {"16 MB are scored in linear time, more is refused", test_long_text},
    {"a score that is no probability is a failure", test_not_a_probability},
    {"bad specs are named", test_bad_specs},
    {"bad lists name file, entry and field", test_bad_lists},
    {"a phrase's word is bounded", test_word_of_phrase_too_long},
    {"damaged lists fail cleanly", test_damaged_lists},
    {"the scratch folder is removed", test_clean_up},
};
SUITE("classifiers", tests)
