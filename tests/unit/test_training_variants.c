#include "suite.h"

#include <math.h>

#include "benchmarks/training_variants.h"
#include "engine/base/json.h"
#include "engine/base/limits.h"

static const char recipe[] =
    "{\"max_bytes\": 60, \"swap\": [[\"red foxes\", \"foxes\", \"owls\"], [\"red\", \"blue\"]],"
    " \"quote\": {\"of\": \"insult\", \"from\": 0.7, \"labels\": {\"insult\": 0.25},"
    " \"sentences\": [\"Do not write {text} again\"]}}";

static const struct training_options heads = {.n_heads = 2,
                                              .category = {HAZARD_TOXICITY, HAZARD_INSULT}};

static struct json_value *read_recipe(struct training_variants *variants, const char *text)
{
    struct status st = {0};
    struct json_value *root;
    ASSERT_OK(json_parse(&root, text_of(text), &st));
    ASSERT_OK(training_variants_read(variants, root, &heads, &st));
    return root;
}

/* Which of the texts `shift` gives. */
static void check_swap(const char *text, uint64_t shift, const char *expected)
{
    struct training_variants variants;
    struct json_value *root = read_recipe(&variants, recipe);
    struct strbuf out;
    strbuf_init(&out, LIMIT_CONFIG_BYTES);
    bool found = training_variants_swap(&variants, text_of(text), shift, &out);
    CU_ASSERT_EQUAL(found, expected != NULL);
    if (expected) CU_ASSERT_STRING_EQUAL(out.data, expected);
    strbuf_release(&out);
    json_free(root);
}

static void test_swap(void)
{
    check_swap("Foxes eat owls.", 0, "owls eat red foxes.");
    check_swap("Foxes eat owls.", 1, "red foxes eat foxes.");
    check_swap("I saw red foxes", 0, "I saw foxes"); /* the longest word counts */
    check_swap("a red owl", 5, "a blue owl");        /* the second list */
    check_swap("Firefoxes and foxes", 0, "Firefoxes and owls");
    check_swap("foxesque", 0, NULL);
    check_swap("nothing here", 0, NULL);
    check_swap("foxes and so much more that the text is too long to have any copy at all", 0, NULL);
}

static void test_quote(void)
{
    struct training_variants variants;
    struct json_value *root = read_recipe(&variants, recipe);
    struct training_example example = {.text = text_of("you fool"), .label = {0.9f, 0.8f}};
    struct strbuf out;
    strbuf_init(&out, LIMIT_CONFIG_BYTES);
    CU_ASSERT_TRUE(training_variants_quote(&variants, &example, 3, &out));
    CU_ASSERT_STRING_EQUAL(out.data, "Do not write you fool again");
    CU_ASSERT_TRUE(isnan(example.label[0]));
    CU_ASSERT_EQUAL(example.label[1], 0.25f);
    CU_ASSERT_FALSE(training_variants_quote(&variants, &example, 3, &out)); /* 0.25 is too low */
    example.label[1] = NAN;
    CU_ASSERT_FALSE(training_variants_quote(&variants, &example, 3, &out));
    strbuf_release(&out);
    json_free(root);
}

static void check_refused(const char *text, const char *message)
{
    struct training_variants variants;
    struct status st = {0};
    struct json_value *root;
    ASSERT_OK(json_parse(&root, text_of(text), &st));
    ASSERT_FAILS(training_variants_read(&variants, root, &heads, &st), STATUS_BAD_INPUT, message);
    json_free(root);
}

static void test_refused(void)
{
    check_refused("{\"max_bytes\": 0}", "max_bytes");
    check_refused("{\"max_bytes\": 9, \"swap\": [[\"one\"]]}", "swap: list 0: a single word");
    check_refused("{\"max_bytes\": 9, \"swap\": [[\"one\", 2]]}", "swap: list 0: entry 1");
    check_refused("{\"max_bytes\": 9, \"swap\": [], \"quote\": {\"sentences\": [\"no hole\"],"
                  " \"of\": \"insult\", \"from\": 1, \"labels\": {}}}",
                  "quote: sentence 0 has no {text}");
    check_refused("{\"max_bytes\": 9, \"swap\": [], \"quote\": {\"sentences\": [\"{text}\"],"
                  " \"of\": \"threat\", \"from\": 1, \"labels\": {}}}",
                  "quote: field \"of\"");
    check_refused("{\"max_bytes\": 9, \"swap\": [], \"quote\": {\"sentences\": [\"{text}\"],"
                  " \"of\": \"insult\", \"from\": 1, \"labels\": {\"insult\": 2}}}",
                  "quote: field \"labels\": \"insult\"");
}

static const struct test_case tests[] = {
    {"groups stand for each other", test_swap},
    {"a text that attacks is quoted", test_quote},
    {"bad variants are refused", test_refused},
};
SUITE("training_variants", tests)
