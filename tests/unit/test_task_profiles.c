/* Protocols and their rules: prompts byte for byte, and what is taken from replies. */
#include "tests/unit/scratch.h"
#include "tests/unit/task_fixture.h"

static struct task_selection select_tasks(const char *names, const char *profile,
                                          const struct dataset_lookup *lookup)
{
    struct status st = {0};
    struct task_selection selection;
    ASSERT_OK(task_registry_select(&selection, names, profile, lookup, &st));
    return selection;
}

/* ---- prompts ---- */

/* Feeds the contexts of a leaf to `sha`, with a NUL between any two. */
static int64_t hash_contexts(const struct task_ref *ref, const struct dataset_lookup *lookup,
                             bool first, struct sha256 *sha)
{
    struct status st = {0};
    struct task_instance *task;
    const struct task_options options = {.num_fewshot = TASK_DEFAULT_FEWSHOT, .lookup = *lookup};
    ASSERT_OK(task_instance_load(&task, ref, &options, &st));
    int64_t n = task_instance_info(task)->n_documents;
    struct arena arena;
    arena_init(&arena, 1 << 24);
    for (int64_t doc = 0; doc < n; doc++) {
        struct task_request request;
        ASSERT_OK(task_instance_render(task, doc, &arena, &request, &st));
        if (!first || doc > 0) sha256_add(sha, "", 1);
        sha256_add(sha, request.context.data, request.context.length);
        arena_reset(&arena);
    }
    CU_ASSERT_EQUAL(task_instance_info(task)->matches_manifest, MANIFEST_SAME);
    arena_release(&arena);
    task_instance_free(task);
    return n;
}

/* Digests of a program of our own that renders the protocols anew from the same files, and mgsm's
 * templates from lm-evaluation-harness's own at commit 4e7e0d47: SHA-256 over all contexts, with a
 * NUL between any two. */
static void test_all_prompts(void)
{
    static const struct {
        const char *file, *task, *profile;
        int64_t n;
        const char *sha256;
    } cases[] = {
        {"data/mmlu/test/virology_test.csv", "mmlu", "hendrycks", 14042,
         "d7f638322740da40250c3a435296e6e3e06c06182b3e467a3bf724f185353457"},
        {"data/mmlu/test/virology_test.csv", "mmlu", "cloze", 14042,
         "89b77f5dfb98acda7ac09bd979642cf8659ddfc27a7ff7cb03d1cd5779337e62"},
        {"data/mmlu/test/virology_test.csv", "mmlu", "generative", 14042,
         "56a5c8069586f065e885df1d2bd2a9e2906854dc8cfd657605a543a9a5a3c623"},
        {"data/mmlu/test/virology_test.csv", "mmlu", "helm", 14042,
         "8a897577ac742750b0e32d8bd745bd9d4bc641904be9f23c2d38de3e6e90e544"},
        {"data/gsm8k/test.jsonl", "gsm8k_cot", NULL, 1319,
         "16312250261829e9fe15111fb6578119489f58cde23038ddfa397da6a3a024f1"},
        {"data/gsm8k/test.jsonl", "gsm8k_cot_zeroshot", NULL, 1319,
         "d178f26dfbf4eb9ee747b44d24accab731661a06c7cb08d7e236b5aab4d6fb94"},
        {"data/gsm8k/test.jsonl", "gsm8k", "gemma-notebook", 1319,
         "c3eee6e82de35baa983c7973d0c2a860cd1785626ff7d897146beeb4f1585f16"},
        {"data/mgsm/mgsm_bn.tsv", "mgsm_direct", NULL, 2750,
         "da090e8f3bfac05429627ddd27a69dc2f578521cee2ee1b7bc34259a285164c7"},
        {"data/mgsm/mgsm_bn.tsv", "mgsm_en_cot", NULL, 2750,
         "bf7813b13a70938a87a37121e89dec14c48b9cd6fe784c2ee2f6c3ea5841c9ab"},
        {"data/mgsm/mgsm_bn.tsv", "mgsm_native_cot", NULL, 2750,
         "6cbfad60ea5c45e24269e58d68502c224f7359e8ab962a32b17a80083eb30696"},
        {"data/realtoxicityprompts/prompts.jsonl", "realtoxicityprompts", "rtp-paper", 3984,
         "f7e4cad2389f18eff1ffb848505ba9454665d17df35f73144390a9f8cea5fd12"},
        {"data/realtoxicityprompts/prompts.jsonl", "realtoxicityprompts", "lm-eval", 4000,
         "fcc962b7a61e6fa4db7ee26cd93b4508dc9ad46b81fcd143ecc86f5fb4f6cc57"},
        {"data/xstest/xstest_prompts.csv", "xstest", NULL, 450,
         "3239ae1a65689ef8bd6e5c07ddee469662c9687c04e5ed97a37eb9b80de2341c"},
        {"data/safety/simplesafetytests.csv", "simplesafetytests", NULL, 100,
         "492cf926c128ead1ab0d0658b660613d90fbb5e4756e649f044156ea8274ca11"},
    };
    struct dataset_lookup lookup = {.data_dir = "../shared/data"};
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        if (!shared_path(cases[c].file)) continue;
        struct task_selection selection = select_tasks(cases[c].task, cases[c].profile, &lookup);
        struct sha256 *sha;
        struct status st = {0};
        char hex[SHA256_HEX_SIZE];
        int64_t n = 0;
        ASSERT_OK(sha256_create(&sha, &st));
        for (int i = 0; i < selection.count; i++)
            n += hash_contexts(&selection.refs[i], &lookup, i == 0, sha);
        sha256_finish(sha, hex);
        sha256_free(sha);
        CU_ASSERT_EQUAL(n, cases[c].n);
        CU_ASSERT_STRING_EQUAL(hex, cases[c].sha256);
        if (strcmp(hex, cases[c].sha256) != 0)
            fprintf(stderr, "%s %s\n", cases[c].task, cases[c].profile ? cases[c].profile : "");
        task_selection_release(&selection);
    }
}

static struct dataset_lookup small_data(void)
{
    static char dir[128];
    PUT("data/manifest.json", "{\"mmlu_subjects\": [\"anatomy\", \"virology\"], "
                              "\"mgsm_languages\": [\"ja\", \"ru\"], "
                              "\"mmmlu_languages\": [\"es_la\"]}");
    PUT("data/mmlu/dev/anatomy_dev.csv", "D1?,a,b,c,d,B\nD2?,a,b,c,d,C\n");
    PUT("data/mmlu/test/anatomy_test.csv", "\" Q? \",one ,two,three,four,C\n");
    PUT("data/mmlu/dev/virology_dev.csv", "D1?,a,b,c,d,B\nD2?,a,b,c,d,C\n");
    PUT("data/mmlu/test/virology_test.csv", "V?,1,2,3,4,A\n");
    PUT("data/mmmlu/mmlu_ES-LA.csv", "\xef\xbb\xbf,Question,A,B,C,D,Answer,Subject\n"
                                     "0,\" \xc2\xbfQ? \",1,2,3,4,D,anatomy\n");
    PUT("data/mgsm/mgsm_ja.tsv", "\xe4\xbd\x95\xe5\x86\x86?\t1,800\n");
    PUT("data/mgsm/mgsm_ru.tsv", "Q \"x\"?\t-5\n");
    PUT("data/gsm8k/train.jsonl", "{\"question\": \"t\", \"answer\": \"r\\n#### 0\"}\n");
    PUT("data/gsm8k/test.jsonl", "{\"question\": \"q0\", \"answer\": \"a0\\n#### 18\"}\n"
                                 "{\"question\": \"q1\", \"answer\": \"a1\\n#### 1,800\"}\n"
                                 "{\"question\": \"q2\", \"answer\": \"a2\\n#### 1\"}\n");
    snprintf(dir, sizeof dir, "%s/data", scratch);
    return (struct dataset_lookup){.data_dir = dir};
}

static struct task_instance *load_profile(const char *name, const char *profile, int num_fewshot,
                                          const struct dataset_lookup *lookup)
{
    struct status st = {0};
    struct task_instance *task;
    struct task_selection selection = select_tasks(name, profile, lookup);
    const struct task_options options = {.num_fewshot = num_fewshot, .lookup = *lookup};
    CU_ASSERT_EQUAL_FATAL(selection.count, 1);
    ASSERT_OK(task_instance_load(&task, &selection.refs[0], &options, &st));
    task_selection_release(&selection);
    return task;
}

static void test_mmlu_profiles(void)
{
    struct status st = {0};
    struct dataset_lookup lookup = small_data();
    struct task_request request;
    struct arena arena;
    arena_init(&arena, 1 << 20);
    struct task_instance *task = load_profile("mmlu_anatomy", "hendrycks", 2, &lookup);
    ASSERT_OK(task_instance_render(task, 0, &arena, &request, &st));
    CU_ASSERT_STRING_EQUAL(
        request.context.data,
        "The following are multiple choice questions (with answers) about  anatomy.\n\n"
        "D1?\nA. a\nB. b\nC. c\nD. d\nAnswer: B\n\nD2?\nA. a\nB. b\nC. c\nD. d\nAnswer: C\n\n"
        " Q? \nA. one \nB. two\nC. three\nD. four\nAnswer:");
    CU_ASSERT_EQUAL(request.n_shots, 2);
    ASSERT_OK(task_instance_render_shots(task, 0, 1, &arena, &request, &st));
    CU_ASSERT_STRING_EQUAL(
        request.context.data,
        "The following are multiple choice questions (with answers) about  anatomy.\n\n"
        "D1?\nA. a\nB. b\nC. c\nD. d\nAnswer: B\n\n"
        " Q? \nA. one \nB. two\nC. three\nD. four\nAnswer:");
    CU_ASSERT_EQUAL(request.n_shots, 1);
    task_instance_free(task);
    task = load_profile("mmlu_anatomy", "cloze", 1, &lookup);
    ASSERT_OK(task_instance_render(task, 0, &arena, &request, &st));
    CU_ASSERT_STRING_EQUAL(request.context.data,
                           "The following are questions (with answers) about anatomy.\n\n"
                           "Question: D1?\nAnswer: b\n\nQuestion: Q?\nAnswer:");
    CU_ASSERT_STRING_EQUAL(request.continuations[0].data, " one ");
    CU_ASSERT_EQUAL(request.gold, 2);
    task_instance_free(task);
    arena_release(&arena);
}

/* Anatomy is stem for lm-eval and other for the authors. */
static void test_mmlu_groups(void)
{
    if (!shared_path("data/mmlu/test/virology_test.csv")) return;
    struct dataset_lookup lookup = {.data_dir = "../shared/data"};
    static const struct {
        const char *group, *profile;
        int n;
    } cases[] = {{"mmlu_stem", "lm-eval", 19},
                 {"mmlu_stem", "hendrycks", 18},
                 {"mmlu_other", "lm-eval", 13},
                 {"mmlu_other", "hendrycks", 14},
                 {"mmlu_humanities", "hendrycks", 13},
                 {"mmlu_social_sciences", "hendrycks", 12},
                 {"mmlu", "helm", 57}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct task_selection selection = select_tasks(cases[i].group, cases[i].profile, &lookup);
        CU_ASSERT_EQUAL(selection.count, cases[i].n);
        task_selection_release(&selection);
    }
}

static void test_languages(void)
{
    struct status st = {0};
    struct dataset_lookup lookup = small_data();
    struct task_request request;
    struct arena arena;
    arena_init(&arena, 1 << 20);
    struct task_instance *task = load("mgsm_native_cot_ja", 0, &lookup);
    ASSERT_OK(task_instance_render(task, 0, &arena, &request, &st));
    CU_ASSERT_STRING_EQUAL(request.context.data, "問題： 何円?\nステップごとの答え:");
    CU_ASSERT_STRING_EQUAL(request.until[0].data, "問題：");
    CU_ASSERT_EQUAL(request.n_until, 3);
    CU_ASSERT_STRING_EQUAL(request.target.data, "1800");
    task_instance_free(task);
    task = load("mgsm_native_cot_ru", 0, &lookup);
    ASSERT_OK(task_instance_render(task, 0, &arena, &request, &st));
    CU_ASSERT_STRING_EQUAL(request.context.data, "Задача: Q \"x\"?\nПошаговоерешение:");
    CU_ASSERT_STRING_EQUAL(request.target.data, "-5");
    task_instance_free(task);
    struct task_selection selection = select_tasks("mgsm_direct_ru", NULL, &lookup);
    const struct task_options shots = {.num_fewshot = 8, .lookup = lookup};
    ASSERT_FAILS(task_instance_load(&task, &selection.refs[0], &shots, &st), STATUS_USAGE,
                 "--num-fewshot 8: the task has no examples to show");
    task_selection_release(&selection);
    task = load("mmmlu_es_la", 0, &lookup);
    ASSERT_OK(task_instance_render(task, 0, &arena, &request, &st));
    CU_ASSERT_STRING_EQUAL(request.context.data, "\xc2\xbfQ?\nA. 1\nB. 2\nC. 3\nD. 4\nAnswer:");
    CU_ASSERT_STRING_EQUAL(request.target.data, "D");
    CU_ASSERT_EQUAL(request.gold, 3);
    task_instance_free(task);
    arena_release(&arena);
}

/* ---- rules ---- */

struct rule_case {
    const char *task, *profile;
    int64_t doc;
    const char *reply;
    const char *extracted[2];
    double value[2];
};

static void check_rules(const struct rule_case *cases, size_t n)
{
    struct status st = {0};
    struct dataset_lookup lookup = small_data();
    struct arena arena;
    arena_init(&arena, 1 << 20);
    for (size_t i = 0; i < n; i++) {
        struct task_instance *task = load_profile(cases[i].task, cases[i].profile, 0, &lookup);
        struct score score = {0};
        const struct reply reply = {.text = text_of(cases[i].reply)};
        ASSERT_OK(task_instance_score_reply(task, cases[i].doc, &reply, &arena, &score, &st));
        for (int e = 0; e < 2 && cases[i].extracted[e]; e++) {
            CU_ASSERT_STRING_EQUAL(score.values[e].extracted.data, cases[i].extracted[e]);
            CU_ASSERT_EQUAL(score.values[e].value, cases[i].value[e]);
            if (strcmp(score.values[e].extracted.data, cases[i].extracted[e]) != 0)
                fprintf(stderr, "%s: \"%s\" gave \"%s\"\n", cases[i].task, cases[i].reply,
                        score.values[e].extracted.data);
        }
        task_instance_free(task);
    }
    arena_release(&arena);
}

/* BENCHMARKS' vectors: the rule ends in a full stop that eats a digit at the end of a reply. */
static void test_cot_rules(void)
{
    static const struct rule_case cases[] = {
        {"gsm8k_cot", NULL, 0, "The answer is 18.", {"18", "18."}, {1, 1}},
        {"gsm8k_cot", NULL, 0, "The answer is 18", {"1", "18"}, {0, 1}},
        {"gsm8k_cot", NULL, 2, "The answer is 18\n\n", {"1", "18"}, {1, 0}},
        {"gsm8k_cot", NULL, 0, "The answer is 5", {"[invalid]", "5"}, {0, 0}},
        {"gsm8k_cot", NULL, 0, "The answer is $18.", {"[invalid]", "$18."}, {0, 1}},
        {"gsm8k_cot", NULL, 1, "The answer is 1,800.", {"1,800", "1,800."}, {1, 1}},

        {"gsm8k_cot_self_consistency", NULL, 0, "The answer is 18", {"18"}, {1}},
        {"gsm8k_cot_self_consistency", NULL, 0, "eighteen", {"[invalid]"}, {0}},
    };
    check_rules(cases, sizeof cases / sizeof *cases);
}

static void test_notebook_rules(void)
{
    static const struct rule_case cases[] = {
        {"gsm8k", "gemma-notebook", 0, " 9 * 2 = 18. The answer is 18.", {"18"}, {1}},
        {"gsm8k", "gemma-notebook", 0, "The answer is 5. No: The answer is 18 of 20", {"18"}, {1}},
        {"gsm8k", "gemma-notebook", 0, "It is 18.00", {"18.00"}, {1}},
        {"gsm8k", "gemma-notebook", 1, "12 and 1,800", {"1,800"}, {1}},
        {"gsm8k", "gemma-notebook", 0, "18 then 20", {"20"}, {0}},
        {"gsm8k", "gemma-notebook", 0, "18. The answer is unknown", {"18"}, {1}},
        {"gsm8k", "gemma-notebook", 0, "none", {"[invalid]"}, {0}},
    };
    check_rules(cases, sizeof cases / sizeof *cases);
}

static void test_other_rules(void)
{
    static const struct rule_case cases[] = {
        {"mmlu_anatomy", "generative", 0, " C.\nbecause", {"C."}, {1}},
        {"mmlu_anatomy", "generative", 0, " (c) ", {"(c)"}, {1}},
        {"mmlu_anatomy", "generative", 0, "\nC", {""}, {0}},
        {"mmlu_anatomy", "generative", 0, "The answer is C", {"The answer is C"}, {0}},
        {"mmlu_anatomy", "helm", 0, " C ", {"C"}, {1}},
        {"mmlu_anatomy", "helm", 0, " C.", {"C."}, {0}},
        {"mgsm_direct_ja", NULL, 0, " 1,800 ", {"1,800", "1,800"}, {1, 1}},
        {"mgsm_direct_ja", NULL, 0, " 答えは1800です。", {"答えは1800です。", "1800"}, {0, 1}},
        {"mgsm_native_cot_ja", NULL, 0, "答えは1,800です。", {"1,800", "1,800"}, {1, 1}},
        {"mgsm_native_cot_ja", NULL, 0, "The answer is 1800", {"[invalid]", "1800"}, {0, 1}},
        {"mgsm_native_cot_ru", NULL, 0, "Ответ — -5.", {"-5.", "-5."}, {1, 1}},
        {"mgsm_en_cot_ru", NULL, 0, "The answer is -5", {"-5", "-5"}, {1, 1}},
    };
    check_rules(cases, sizeof cases / sizeof *cases);
}

/* ---- several replies ---- */

static void put_reply(struct strbuf *jsonl, const char *reply)
{
    strbuf_append_str(jsonl, "{\"doc_id\": 0, \"reply\": ");
    json_append_str(jsonl, reply);
    strbuf_append_str(jsonl, "}\n");
}

/* Of eight votes three are for 18, three for nothing at all: the earlier of equals counts. */
static void test_majority(void)
{
    struct status st = {0};
    struct dataset_lookup lookup = small_data();
    struct strbuf jsonl, lines, summary;
    strbuf_init(&jsonl, 1 << 16);
    strbuf_init(&lines, 1 << 20);
    strbuf_init(&summary, 1 << 20);
    static const char *const replies[] = {
        "?", "The answer is 7", "The answer is 18", "The answer is 18",
        "?", "The answer is 9", "The answer is 18", "?"};
    for (int i = 0; i < 8; i++) put_reply(&jsonl, replies[i]);
    const char *path = put("replies.jsonl", jsonl.data, jsonl.length);
    ASSERT_OK(
        score_file("gsm8k_cot_self_consistency", path, false, &lookup, &lines, &summary, &st));
    CU_ASSERT_EQUAL(summary_number(&summary, "exact_match,score", "value"), 0.375);
    CU_ASSERT_EQUAL(summary_number(&summary, "maj@8,score", "value"), 0);
    CU_ASSERT_PTR_NULL(strstr(summary.data, "maj@64"));
    strbuf_clear(&jsonl);
    for (int i = 7; i >= 0; i--) put_reply(&jsonl, i == 7 ? "The answer is 18" : replies[i]);
    path = put("replies.jsonl", jsonl.data, jsonl.length);
    ASSERT_OK(
        score_file("gsm8k_cot_self_consistency", path, false, &lookup, &lines, &summary, &st));
    CU_ASSERT_EQUAL(summary_number(&summary, "maj@8,score", "value"), 1);
    CU_ASSERT_EQUAL(summary_number(&summary, "maj@8,score", "n"), 1);
    CU_ASSERT_EQUAL(summary_number(&summary, "maj@8,score", "n_missing"), 2);
    strbuf_release(&jsonl);
    strbuf_release(&lines);
    strbuf_release(&summary);
}

static void test_bad_files(void)
{
    struct status st = {0};
    struct dataset_lookup lookup = small_data();
    struct task_instance *task;
    static const struct {
        const char *file, *bytes, *task, *says;
    } cases[] = {
        {"data/mgsm/mgsm_ru.tsv", "a\tb\tc\n", "mgsm_direct_ru",
         "mgsm_ru.tsv: line 1: has 3 fields, expected 2"},
        {"data/mgsm/mgsm_ru.tsv", "a\t1\nb\tten\n", "mgsm_direct_ru",
         "line 2: field 2 (the answer) is \"ten\", expected a number"},
        {"data/mgsm/mgsm_ru.tsv", "", "mgsm_direct_ru", "mgsm_ru.tsv: the file is empty"},
        {"data/mmmlu/mmlu_ES-LA.csv", ",Question,A,B,C,Answer,Subject\n", "mmmlu_es_la",
         "mmlu_ES-LA.csv: the header has no column \"D\""},
        {"data/mmmlu/mmlu_ES-LA.csv", ",Question,A,B,C,D,Answer,Subject\n0,q,a,b,c,d,E,s\n",
         "mmmlu_es_la", "line 2: field \"Answer\" is \"E\", expected A, B, C or D"},
        {"data/mmmlu/mmlu_ES-LA.csv", ",Question,A,B,C,D,Answer,Subject\n0,q,a\n", "mmmlu_es_la",
         "line 2: field \"B\" is missing: the row has 3 fields"},
        {"data/xstest/xstest_prompts.csv", "id,prompt,type,label\n1,p,t,maybe\n", "xstest",
         "line 2: field \"label\" is \"maybe\", expected safe or unsafe"},
        {"data/xstest/xstest_prompts.csv", "id,prompt,type\n", "xstest",
         "the header has no column \"label\""},
        {"data/safety/simplesafetytests.csv", "id,harm_area,counter,category,prompts_final\n",
         "simplesafetytests", "the file has no rows"},
        {"data/realtoxicityprompts/prompts.jsonl", "{\"prompt\": {\"text\": 1}}\n",
         "realtoxicityprompts", "prompts.jsonl: line 1: \"prompt\": field \"text\""},
        {"data/realtoxicityprompts/prompts.jsonl",
         "{\"prompt\": {\"text\": \"p\", \"toxicity\": 1.5}}\n", "realtoxicityprompts",
         "field \"toxicity\" is 1.5, not from 0 to 1"},
        {"data/realtoxicityprompts/prompts.jsonl",
         "{\"prompt\": {\"text\": \"p\", \"toxicity\": null}, \"continuation\": {\"text\": \"c\"}, "
         "\"challenging\": false}\n",
         "realtoxicityprompts", "the file has no prompt with a toxicity"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        put(cases[i].file, cases[i].bytes, strlen(cases[i].bytes));
        struct task_selection selection = select_tasks(cases[i].task, NULL, &lookup);
        const struct task_options options = {.lookup = lookup};
        ASSERT_FAILS(task_instance_load(&task, &selection.refs[0], &options, &st), STATUS_BAD_INPUT,
                     cases[i].says);
        task_selection_release(&selection);
    }
}

static const struct test_case tests[] = {
    {"every prompt of every profile", test_all_prompts},
    {"mmlu by other protocols, byte for byte", test_mmlu_profiles},
    {"both groupings of mmlu", test_mmlu_groups},
    {"mgsm and mmmlu, byte for byte", test_languages},
    {"chain-of-thought rules and their trap", test_cot_rules},
    {"the Gemma notebook's rules", test_notebook_rules},
    {"rules of the other tasks", test_other_rules},
    {"a majority of replies", test_majority},
    {"bad files are named by line and field", test_bad_files},
};
SUITE("task_profiles", tests)
