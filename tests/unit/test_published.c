/* Published figures: every row has its source, a few against the documents, bad files. */
#include "reports/published.h"
#include "tests/unit/suite.h"

static struct published *load(const char *name)
{
    struct status st = {0};
    struct published *p = NULL;
    ASSERT_OK(published_load(&p, name, &st));
    return p;
}

static double value_of(const struct published *p, const char *model, const char *set,
                       const char *metric)
{
    for (size_t i = 0; i < published_count(p); i++) {
        const struct published_row *row = published_at(p, i);
        if (!strcmp(row->model, model) && !strcmp(row->set, set) && !strcmp(row->metric, metric))
            return row->value;
    }
    return -1;
}

static void test_figures(void)
{
    struct published *p = load("guards");
    CU_ASSERT_TRUE(published_count(p) > 80);
    for (size_t i = 0; i < published_count(p); i++) {
        CU_ASSERT_TRUE(strlen(published_at(p, i)->source) > 10);
        CU_ASSERT_TRUE(published_at(p, i)->value > 0 && published_at(p, i)->value < 1);
    }
    CU_ASSERT_PTR_NULL(published_at(p, published_count(p)));
    CU_ASSERT_EQUAL(value_of(p, "ShieldGemma 9B", "OpenAI Moderation", "AU-PRC"), 0.907);
    CU_ASSERT_EQUAL(value_of(p, "Llama Guard 2 8B", "XSTest", "FPR at 0.5"), 0.084);
    CU_ASSERT_EQUAL(value_of(p, "MDJudge", "BeaverTails-30k", "F1 at 0.5"), 0.849);
    CU_ASSERT_EQUAL(value_of(p, "detoxify multilingual", "Jigsaw 2020 test, Italian", "AUROC"),
                    0.8918);
    published_free(p);
    p = load("benchmarks");
    CU_ASSERT_EQUAL(value_of(p, "Gemma 7B", "hellaswag", "acc_norm"), 0.822);
    CU_ASSERT_EQUAL(value_of(p, "GPT-2 small", "realtoxicityprompts", "toxicity probability"),
                    0.8701);
    struct strbuf out;
    strbuf_init(&out, 1 << 20);
    const char *const sets[] = {"humaneval"};
    published_append_table(p, sets, 1, &out);
    CU_ASSERT_PTR_NOT_NULL(strstr(out.data, "Gemma 2B"));
    CU_ASSERT_PTR_NOT_NULL(strstr(out.data, "[2] Gemma report"));
    CU_ASSERT_PTR_NULL(strstr(out.data, "mmlu"));
    strbuf_clear(&out);
    published_append_json(p, sets, 1, &out);
    CU_ASSERT_PTR_NOT_NULL(strstr(out.data, "\"value\": 0.22, \"source\": \"Gemma 1.1 model card"));
    strbuf_release(&out);
    published_free(p);
}

static void test_bad_files(void)
{
    static const struct {
        const char *json, *says;
    } bad[] = {
        {"[]", "f.json"},
        {"{\"note\": \"\", \"sources\": {}, \"rows\": [{\"model\": \"m\"}]}", "\"rows\"[0]"},
        {"{\"note\": \"\", \"sources\": {}, \"rows\": [{\"model\": \"m\", \"set\": \"s\", "
         "\"metric\": \"x\", \"value\": 1, \"source\": \"k\"}]}",
         "\"k\" is not in sources"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct status st = {0};
        struct published *p = NULL;
        ASSERT_FAILS(published_parse(&p, text_of(bad[i].json), "f.json", &st), STATUS_BAD_INPUT,
                     bad[i].says);
    }
    struct status st = {0};
    struct published *p = NULL;
    ASSERT_FAILS(published_load(&p, "rumours", &st), STATUS_USAGE, "rumours");
}

static const struct test_case tests[] = {
    {"figures with their sources", test_figures},
    {"bad files", test_bad_files},
};
SUITE("published", tests)
