#include "benchmarks/name_guess.h"
#include "tests/unit/suite.h"

static const char *meant(const char *word)
{
    static const char *const words[] = {"table", "tables", "run", "num-fewshot", "gate", "a"};
    struct name_guess guess;
    name_guess_init(&guess, text_of(word));
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        name_guess_consider(&guess, words[i]);
    return guess.nearest ? guess.nearest : "";
}

static void test_near(void)
{
    CU_ASSERT_STRING_EQUAL(meant("tabel"), "table");              /* swapped */
    CU_ASSERT_STRING_EQUAL(meant("tble"), "table");               /* left out */
    CU_ASSERT_STRING_EQUAL(meant("gaate"), "gate");               /* put in */
    CU_ASSERT_STRING_EQUAL(meant("rin"), "run");                  /* changed */
    CU_ASSERT_STRING_EQUAL(meant("num_fewshots"), "num-fewshot"); /* two of twelve */
    CU_ASSERT_STRING_EQUAL(meant("tables"), "tables");
}

static void test_far(void)
{
    CU_ASSERT_STRING_EQUAL(meant(""), "");
    CU_ASSERT_STRING_EQUAL(meant("b"), ""); /* all of it would change */
    CU_ASSERT_STRING_EQUAL(meant("rn"), "");
    CU_ASSERT_STRING_EQUAL(meant("tbael"), "");         /* two of five */
    CU_ASSERT_STRING_EQUAL(meant("num_few_shots"), ""); /* three */
    char endless[4096];
    memset(endless, 'a', sizeof endless - 1);
    endless[sizeof endless - 1] = '\0';
    CU_ASSERT_STRING_EQUAL(meant(endless), "");
}

static void test_hint(void)
{
    char hint[NAME_GUESS_HINT_SIZE];
    struct name_guess guess;
    name_guess_init(&guess, text_of("modle"));
    CU_ASSERT_STRING_EQUAL(name_guess_hint(&guess, "--", hint), "");
    name_guess_consider(&guess, "model");
    CU_ASSERT_STRING_EQUAL(name_guess_hint(&guess, "--", hint), " (did you mean --model?)");
}

static const struct test_case tests[] = {
    {"near words", test_near},
    {"far words", test_far},
    {"as a message says it", test_hint},
};

SUITE("name_guess", tests)
