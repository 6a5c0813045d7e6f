/* Answer extraction and exact match, against what lm-eval's filters and Python's re give. */
#include "tests/unit/suite.h"

#include "benchmarks/answer_extraction.h"
#include "benchmarks/scorer.h"
#include "benchmarks/tasks/tasks.h"
#include "engine/base/json.h"

/* What `rules[0]` takes from a reply. */
static const char *extract(const struct answer_extraction *rule, struct text reply, bool *found)
{
    static struct strbuf out;
    struct status st = {0};
    struct answer_checker *checker;
    const struct exact_match_options plain = {0};
    strbuf_release(&out);
    strbuf_init(&out, 1000);
    ASSERT_OK(answer_checker_create(&checker, rule, 1, &plain, &st));
    ASSERT_OK(answer_checker_extract(checker, 0, reply, &out, found, &st));
    answer_checker_free(checker);
    static char kept[1001];
    memcpy(kept, out.data, out.length + 1);
    strbuf_release(&out);
    return kept;
}

static void check_extract(const char *pattern, int group_select, const char *reply,
                          const char *expected)
{
    bool found;
    const struct answer_extraction rule = {
        .name = "x", .pattern = pattern, .group_select = group_select};
    const char *taken = extract(&rule, text_of(reply), &found);
    if (strcmp(taken, expected) != 0)
        fprintf(stderr, "  %s on \"%s\": \"%s\", expected \"%s\"\n", pattern, reply, taken,
                expected);
    CU_ASSERT_STRING_EQUAL(taken, expected);
}

static void test_findall(void)
{
    /* No group: the whole match.  One: the group.  More: the first that is not empty. */
    check_extract("[a-c]+", 0, "xab cd", "ab");
    check_extract("x([a-c]*)y", 0, "1 xaby xcy", "ab");
    check_extract("x([a-c]*)y", -1, "1 xaby xcy", "c");
    check_extract("x([a-c]*)y", 0, "xy", "");
    check_extract("(a)|(b)|(c)", -1, "abc", "c");
    check_extract("(a)|(b)|(c)", 1, "abc", "b");
    check_extract("(a?)(b?)", 0, "zb", "[invalid]");
    check_extract("(a?)(b?)", 1, "zb", "b");
    /* Out of range counts as nothing found. */
    check_extract("[0-9]", 2, "1 2", "[invalid]");
    check_extract("[0-9]", -3, "1 2", "[invalid]");
    check_extract("[0-9]", -2, "1 2", "1");
    /* str.strip() takes all Unicode space. */
    check_extract("answer:(.*)", 0, "answer:\xc2\xa0 42\xe3\x80\x80 ", "42");
    check_extract("x", 0, "", "[invalid]");
}

static void test_gsm8k_vectors(void)
{
    static const struct {
        const char *reply, *strict, *flexible;
        int strict_value, flexible_value;
    } vectors[] = {
        {"16-3-4=9. 9*2=18\n#### 18", "18", "18", 1, 1},
        {"The answer is 18.", "[invalid]", "18.", 0, 1},
        {"So she makes $18 per day.", "[invalid]", "$18", 0, 1},
        {"The answer is $18.00", "[invalid]", "$18.00", 0, 0},
        {"#### 18 dollars. Hope that helps...", "18", "...", 1, 0},
        {"18\n\nQ: next 5", "[invalid]", "5", 0, 0},
        {"#### 18\n#### 20", "18", "20", 1, 0},
        {"eighteen", "[invalid]", "[invalid]", 0, 0},
        {"#### 1,8", "1,8", "1,8", 1, 1},
        {"#### 18.", "18.", "18.", 1, 1},
        {"#### -18", "-18", "-18", 0, 0},
        {"\xd9\xa1\xd9\xa8", "[invalid]", "[invalid]", 0, 0}, /* Arabic digits: [0-9] is ASCII */
        {"", "[invalid]", "[invalid]", 0, 0},
    };
    struct status st = {0};
    struct answer_checker *checker;
    ASSERT_OK(
        answer_checker_create(&checker, task_gsm8k.extractions, 2, &task_gsm8k.exact_match, &st));
    const struct text target = text_of("She makes 9 * 2 = $<<9*2=18>>18 a day.\n#### 18");
    for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) {
        const char *expected[] = {vectors[i].strict, vectors[i].flexible};
        int values[] = {vectors[i].strict_value, vectors[i].flexible_value};
        for (int e = 0; e < 2; e++) {
            struct strbuf out;
            bool found, equal;
            strbuf_init(&out, 1000);
            ASSERT_OK(
                answer_checker_extract(checker, e, text_of(vectors[i].reply), &out, &found, &st));
            CU_ASSERT_STRING_EQUAL(out.data, expected[e]);
            CU_ASSERT_EQUAL(found, strcmp(expected[e], "[invalid]") != 0);
            ASSERT_OK(answer_checker_matches(checker, (struct text){out.data, out.length}, target,
                                             &equal, &st));
            CU_ASSERT_EQUAL(equal, values[e] == 1);
            strbuf_release(&out);
        }
    }
    answer_checker_free(checker);
}

/* gsm8k_cot's strict pattern ends in an unescaped dot, which eats a character. */
static void test_gsm8k_cot_vectors(void)
{
    const char *strict = "The answer is (\\-?[0-9\\.\\,]+).";
    check_extract(strict, 0, "The answer is 18.", "18");
    check_extract(strict, 0, "The answer is 18", "1");
    check_extract(strict, 0, "The answer is 18\n\n", "1");
    check_extract(strict, 0, "The answer is 5", "[invalid]");
    check_extract(strict, 0, "The answer is $18.", "[invalid]");
    check_extract(strict, 0, "The answer is 1,800.", "1,800");
}

static void test_exact_match(void)
{
    struct status st = {0};
    struct answer_checker *checker;
    const struct exact_match_options options = {.regexes_to_ignore = {",", "\\$"},
                                                .ignore_case = true};
    bool equal;
    ASSERT_OK(answer_checker_create(&checker, NULL, 0, &options, &st));
    CU_ASSERT_EQUAL(answer_checker_count(checker), 0);
    ASSERT_OK(answer_checker_matches(checker, text_of("$1,000 \xc3\x89T\xc3\x89"),
                                     text_of("1000 \xc3\xa9t\xc3\xa9"), &equal, &st));
    CU_ASSERT_TRUE(equal);
    ASSERT_OK(answer_checker_matches(checker, text_of("1000 "), text_of("1000"), &equal, &st));
    CU_ASSERT_FALSE(equal);
    ASSERT_OK(answer_checker_matches(checker, text_of(""), text_of("$,"), &equal, &st));
    CU_ASSERT_TRUE(equal);
    answer_checker_free(checker);
    const struct answer_extraction bad = {.name = "broken", .pattern = "("};
    ASSERT_FAILS(answer_checker_create(&checker, &bad, 1, &options, &st), STATUS_BAD_INPUT,
                 "extraction broken");
}

static void test_hostile_text(void)
{
    bool found;
    const struct answer_extraction digits = {.name = "digits", .pattern = "[^0-9]([0-9]+)"};
    const struct answer_extraction any = {.name = "any", .pattern = "^(.*)$"};
    CU_ASSERT_STRING_EQUAL(extract(&digits, text_of("\xff\xfe\x31\x38 \xc3"), &found), "18");
    CU_ASSERT_TRUE(found);
    CU_ASSERT_STRING_EQUAL(extract(&any, text_of("a\x80z"), &found), "a\xef\xbf\xbdz");
    CU_ASSERT_STRING_EQUAL(extract(&digits, (struct text){"a\0#77", 5}, &found), "77");
    char *long_reply = malloc(1 << 20);
    memset(long_reply, '#', 1 << 20);
    const struct answer_extraction *strict = &task_gsm8k.extractions[0];
    CU_ASSERT_STRING_EQUAL(extract(strict, (struct text){long_reply, 1 << 20}, &found),
                           "[invalid]");
    memset(long_reply, '7', 1 << 20);
    long_reply[0] = '-';
    long_reply[5] = ' ';
    const struct answer_extraction first = {.name = "first",
                                            .pattern = task_gsm8k.extractions[1].pattern};
    CU_ASSERT_STRING_EQUAL(extract(&first, (struct text){long_reply, 1 << 20}, &found), "-7777");
    free(long_reply);
}

static void test_apply_stops(void)
{
    const struct text until[] = {text_of("Question:"), text_of("</s>"), text_of("")};
    struct text cut = apply_stops(text_of("18</s> so\nQuestion: next Question:"), until, 3);
    CU_ASSERT_TRUE(text_equal(cut, text_of("18")));
    cut = apply_stops(text_of("no stop: Questio"), until, 3);
    CU_ASSERT_TRUE(text_equal(cut, text_of("no stop: Questio")));
    cut = apply_stops(text_of("Question:"), until, 3);
    CU_ASSERT_EQUAL(cut.length, 0);
    cut = apply_stops(text_of("QQuestion:QuestionQuestion:"), until, 1);
    CU_ASSERT_TRUE(text_equal(cut, text_of("Q")));
}

static const struct test_case tests[] = {
    {"findall, group_select and strip", test_findall},
    {"gsm8k golden vectors", test_gsm8k_vectors},
    {"gsm8k_cot golden vectors", test_gsm8k_cot_vectors},
    {"exact match deletes, lowers, compares", test_exact_match},
    {"invalid UTF-8, NULs and long replies", test_hostile_text},
    {"replies are cut at stop strings", test_apply_stops},
};
SUITE("answer_extraction", tests)
