#define _GNU_SOURCE /* memmem */
/* Labelled text by row and column, and recipes for training: what they mean, and what is refused.
 */
#include <math.h>

#include "benchmarks/labelled_text.h"
#include "benchmarks/training_recipe.h"
#include "tests/unit/scratch.h"
#include "tests/unit/suite.h"

static struct labelled_text *open_rows(const char *path, bool has_header)
{
    struct status st = {0};
    struct labelled_text *rows = NULL;
    ASSERT_OK(labelled_text_open(&rows, path, has_header, &st));
    return rows;
}

static bool next(struct labelled_text *rows)
{
    struct status st = {0};
    bool more = false;
    ASSERT_OK(labelled_text_next(rows, &more, &st));
    return more;
}

static struct labelled_cell cell_of(const struct labelled_text *rows, const char *column)
{
    struct status st = {0};
    struct labelled_cell cell = {0};
    ASSERT_OK(labelled_text_cell(rows, column, &cell, &st));
    return cell;
}

static void test_cells(void)
{
    struct labelled_text *rows =
        open_rows(PUT("a.csv", "text,n\n\"a, \"\"b\"\"\nc\",1.5\n,\nx,no\n"), true);
    CU_ASSERT_TRUE_FATAL(next(rows));
    CU_ASSERT_TRUE(text_equal(cell_of(rows, "text").text, text_of("a, \"b\"\nc")));
    CU_ASSERT_TRUE(cell_of(rows, "n").is_number);
    CU_ASSERT_EQUAL(cell_of(rows, "n").number, 1.5);
    CU_ASSERT_TRUE_FATAL(next(rows));
    CU_ASSERT_EQUAL(cell_of(rows, "n").kind, CELL_ABSENT);
    CU_ASSERT_TRUE_FATAL(next(rows));
    CU_ASSERT_FALSE(cell_of(rows, "n").is_number);
    struct status st = {0};
    struct labelled_cell cell;
    ASSERT_FAILS(labelled_text_cell(rows, "m", &cell, &st), STATUS_BAD_INPUT, "m");
    CU_ASSERT_FALSE(next(rows));
    labelled_text_free(rows);

    rows = open_rows(PUT("a.tsv", "one\t2\n"), false);
    CU_ASSERT_TRUE_FATAL(next(rows));
    CU_ASSERT_TRUE(text_equal(cell_of(rows, "0").text, text_of("one")));
    CU_ASSERT_EQUAL(cell_of(rows, "1").number, 2);
    labelled_text_free(rows);

    rows = open_rows(PUT("a.jsonl", "{\"a\": {\"b\": 0.25}, \"t\": true, \"n\": null}\n"), true);
    CU_ASSERT_TRUE_FATAL(next(rows));
    CU_ASSERT_EQUAL(cell_of(rows, "a.b").kind, CELL_NUMBER);
    CU_ASSERT_EQUAL(cell_of(rows, "a.b").number, 0.25);
    CU_ASSERT_EQUAL(cell_of(rows, "n").kind, CELL_ABSENT);
    CU_ASSERT_EQUAL(cell_of(rows, "a.c").kind, CELL_ABSENT);
    labelled_text_free(rows);
    ASSERT_FAILS(labelled_text_open(&rows, "/nonexistent.csv", true, &st), STATUS_NOT_FOUND,
                 "/nonexistent.csv");
    CU_ASSERT_NOT_EQUAL(labelled_text_open(&rows, PUT("a.png", "x"), true, &st), STATUS_OK);
}

/* ---- recipes ---- */

static const char data[] = "text,kind,score\n"
                           "you fool,bad,0.9\nhello there,good,0.1\nyou fool,bad,0.9\n"
                           "go away fool,bad,0.8\nnice day,good,0\nfine,good,0.2\nfool me,bad,1\n"
                           "tea time,good,0.3\nhate you,bad,0.7\nsunny,good,\n";

static const char recipe[] =
    "{\"name\": \"r\", \"version\": 1, \"seed\": 1, \"bits\": 10, \"epochs\": 1, \"held_out\": 0.3,"
    " \"categories\": [\"insult\", \"toxicity\"], \"sources\": [{\"domain\": \"d\", \"file\": "
    "\"t.csv\", \"text\": \"text\", \"labels\": {\"insult\": {\"column\": \"kind\", \"values\": "
    "{\"bad\": 1, \"good\": 0}}, \"toxicity\": {\"column\": \"score\"}}}]}";

static void test_recipe(void)
{
    struct status st = {0};
    struct training_set *set = NULL;
    size_t n;
    PUT("t.csv", data);
    ASSERT_OK(training_set_load(&set, text_of(recipe), "r.json", scratch, 0, &st));
    const struct training_example *e = training_set_examples(set, &n);
    CU_ASSERT_EQUAL_FATAL(n, 9); /* the text that occurs twice counts once */
    CU_ASSERT_EQUAL(training_set_n_domains(set), 1);
    CU_ASSERT_STRING_EQUAL(training_set_domain(set, 0), "d");
    CU_ASSERT_EQUAL(training_set_options(set)->n_heads, 2);
    size_t n_held = 0;
    for (size_t i = 0; i < n; i++) {
        bool fool = memmem(e[i].text.data, e[i].text.length, "fool", 4) != NULL;
        if (fool) CU_ASSERT_EQUAL(e[i].label[0], 1);
        if (text_equal(e[i].text, text_of("sunny"))) CU_ASSERT_TRUE(isnan(e[i].label[1]));
        n_held += e[i].held_out;
    }
    CU_ASSERT_TRUE(n_held > 0 && n_held < n);
    training_set_free(set);
}

static void test_bad_recipes(void)
{
    static const struct {
        const char *from, *to, *says;
    } edits[] = {
        {"\"insult\", \"tox", "\"insults\", \"tox", "no hazard category"},
        {"t.csv", "none.csv", "none.csv"},
        {"\"column\": \"kind\"", "\"column\": \"sort\"", "sort"},
        {"\"good\": 0", "\"good\": 2", "line 3: the label 2"},
        {"\"bits\": 10", "\"bits\": 99", "bits"},
        {"\"sources\": [", "\"sources\": 5, \"x\": [", "unknown field \"x\""},
        {"\"held_out\"", "\"heldout\"", "r.json: unknown field \"heldout\""},
        {"\"epochs\": 1", "\"epochs\": 1, \"seed\": 2", "field \"seed\" is there twice"},
        {"\"domain\": \"d\"", "\"domain\": \"d\", \"wieght\": 2",
         "source 0: unknown field \"wieght\""},
        {"\"column\": \"score\"", "\"column\": \"score\", \"scale\": 2",
         "label toxicity: unknown field \"scale\""},
        {"\"column\": \"score\"", "\"join\": {\"file\": \"t.csv\", \"by\": \"text\"}",
         "label toxicity: unknown field \"by\""},
        {"\"bad\": 1", "\"bad\": \"1\"",
         "label insult: field \"values\": field \"bad\" is a string"},
        {"\"toxicity\": {", "\"insult\": {", "field \"insult\" is there twice"},
        {"\"sources\": [", "\"variants\": {\"max_byte\": 1}, \"sources\": [",
         "variants: unknown field \"max_byte\""},
    };
    PUT("t.csv", data);
    for (size_t i = 0; i < sizeof edits / sizeof edits[0]; i++) {
        struct status st = {0};
        struct training_set *set = NULL;
        char edited[2048];
        const char *at = strstr(recipe, edits[i].from);
        CU_ASSERT_PTR_NOT_NULL_FATAL(at);
        snprintf(edited, sizeof edited, "%.*s%s%s", (int)(at - recipe), recipe, edits[i].to,
                 at + strlen(edits[i].from));
        status_code code = training_set_load(&set, text_of(edited), "r.json", scratch, 0, &st);
        CU_ASSERT_NOT_EQUAL(code, STATUS_OK);
        if (!strstr(st.message, edits[i].says)) fprintf(stderr, "says: %s\n", st.message);
        CU_ASSERT_PTR_NOT_NULL(strstr(st.message, edits[i].says));
        CU_ASSERT_PTR_NULL(set);
    }
}

/* Recipes and their data with bytes changed and cut: a set or one error. */
static void test_mutations(void)
{
    uint64_t state = 5;
    int n_good = 0, n_bad = 0;
    for (int round = 0; round < 1200; round++) {
        char bytes[1024];
        bool in_data = round & 1;
        const char *original = in_data ? data : recipe;
        size_t n = strlen(original);
        memcpy(bytes, original, n);
        for (int k = 0; k <= round % 3; k++) {
            state = state * 6364136223846793005u + 1442695040888963407u;
            size_t at = (size_t)(state >> 33) % n;
            if (state >> 60 == 3) n = at + 1;
            bytes[at] = state >> 61 & 1 ? "\",\n{}[]:09"[state >> 20 & 7] : (char)(state >> 20);
        }
        struct status st = {0};
        struct training_set *set = NULL;
        put("t.csv", in_data ? bytes : data, in_data ? n : sizeof data - 1);
        struct text text = in_data ? text_of(recipe) : (struct text){bytes, n};
        if (training_set_load(&set, text, "r.json", scratch, 0, &st) == STATUS_OK)
            n_good++;
        else
            n_bad++;
        CU_ASSERT_EQUAL(set == NULL, st.message[0] != '\0');
        training_set_free(set);
    }
    CU_ASSERT_TRUE(n_good > 50 && n_bad > 50);
}

static const struct test_case tests[] = {
    {"cells by row and column", test_cells},
    {"a recipe's examples", test_recipe},
    {"bad recipes", test_bad_recipes},
    {"recipes and data broken at random", test_mutations},
};
SUITE("labelled_text", tests)
