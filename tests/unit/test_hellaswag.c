/* hellaswag: prompts byte for byte, shots as lm-eval draws them, three ways to be likeliest. */
#include "tests/unit/scratch.h"
#include "tests/unit/suite.h"
#include "tests/unit/task_fixture.h"

#include <math.h>

#include "engine/base/limits.h"
#include "engine/base/sha256.h"
#include "engine/base/utf8.h"

#define ENDINGS "\"endings\": [\"e0\", \"e1\", \"e2\", \"e3\"]"

static struct dataset_lookup data_dir(void)
{
    static char dir[128];
    snprintf(dir, sizeof dir, "%s/data", scratch);
    return (struct dataset_lookup){.data_dir = dir};
}

static void render(const char *name, int shots, int64_t doc, struct arena *arena,
                   struct task_request *out)
{
    struct status st = {0};
    const struct dataset_lookup lookup = data_dir();
    struct task_instance *task = load(name, shots, &lookup);
    ASSERT_OK(task_instance_render(task, doc, arena, out, &st));
    task_instance_free(task);
}

/* ---- prompts ---- */

/* Expected texts are what preprocess() and str.capitalize() of CPython 3.11 make of the row. */
static void test_official_rows(void)
{
    PUT("data/hellaswag/hellaswag_val.jsonl",
        "{\"ind\": 24, \"activity_label\": \" Roof shingle removal\", \"ctx_a\": \"A man sits.\", "
        "\"ctx_b\": \"he IS NASA\", \"ctx\": \"A man sits. he IS NASA\", \"split\": \"val\", "
        "\"split_type\": \"indomain\", \"label\": 3, \"endings\": [\"one [title] two\", \" [x]  y "
        "\","
        " \"a   b\", \"caf\\u00e9\"], \"source_id\": \"activitynet~v_1\"}\n"
        "{\"ind\": 25, \"activity_label\": \"Personal Care and Style\", \"ctx_a\": \"[header] How "
        "to "
        "dye hair [title] Buy dye. [step] Go to   store. \", \"ctx_b\": \"\", \"ctx\": \"\", "
        "\"split\": \"val\", \"split_type\": \"zeroshot\", \"label\": \"0\", \"endings\": "
        "[\"[a\\nb] c\", "
        "\"[[d] e]\", \"[unclosed [f] g\", \"h ]\"], \"source_id\": \"wikihow~2\"}\n");
    struct arena arena;
    struct task_request r;
    arena_init(&arena, 1 << 20);
    render("hellaswag", TASK_DEFAULT_FEWSHOT, 0, &arena, &r);
    CU_ASSERT_STRING_EQUAL(r.context.data, "Roof shingle removal: A man sits. He is nasa");
    CU_ASSERT_EQUAL_FATAL(r.n_continuations, 4);
    CU_ASSERT_STRING_EQUAL(r.continuations[0].data, " one. two");
    CU_ASSERT_STRING_EQUAL(r.continuations[1].data, "  y");
    CU_ASSERT_STRING_EQUAL(r.continuations[2].data, " a  b");
    CU_ASSERT_STRING_EQUAL(r.continuations[3].data, " caf\xc3\xa9");
    CU_ASSERT_EQUAL(r.gold, 3);
    CU_ASSERT_STRING_EQUAL(r.target.data, "caf\xc3\xa9");
    /* sha256(json.dumps(doc, indent=2, ensure_ascii=False)): Hugging Face's columns in their order,
     * then query, choices and gold. */
    CU_ASSERT_STRING_EQUAL(r.doc_hash,
                           "65ea93b58a3fd1ce3e28a62deb3d1c8c05d5ea93f5212ea7d238d3f1a6439da4");
    render("hellaswag", TASK_DEFAULT_FEWSHOT, 1, &arena, &r);
    CU_ASSERT_STRING_EQUAL(r.context.data,
                           "Personal Care and Style: How to dye hair. Buy dye. Go to  store.");
    CU_ASSERT_STRING_EQUAL(r.continuations[0].data, " [a\nb] c");
    CU_ASSERT_STRING_EQUAL(r.continuations[1].data, "  e]");
    CU_ASSERT_STRING_EQUAL(r.continuations[2].data, "  g");
    CU_ASSERT_STRING_EQUAL(r.continuations[3].data, " h ]");
    CU_ASSERT_EQUAL(r.gold, 0);
    arena_release(&arena);
}

static void test_capitalize(void)
{
    static const char *const cases[][2] = {
        {"", ""},
        {"he IS NASA", "He is nasa"},
        {"\xc3\xa9T\xc3\x89", "\xc3\x89t\xc3\xa9"},
        {"1A", "1a"},
        {"\xc7\x86X", "\xc7\x85x"}, /* a digraph has a title case of its own */
        {"\xffZ", "\xffz"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct strbuf sb;
        strbuf_init(&sb, 100);
        utf8_append_capitalized(&sb, text_of(cases[i][0]));
        CU_ASSERT_STRING_EQUAL(sb.data, cases[i][1]);
        strbuf_release(&sb);
    }
}

/* ---- shots ---- */

static void write_split(const char *name, const char *word, int n)
{
    struct strbuf sb;
    strbuf_init(&sb, 32u << 20);
    for (int i = 0; i < n; i++)
        strbuf_appendf(&sb,
                       "{\"ind\": %d, \"activity_label\": \"L\", \"ctx_a\": \"%s%d.\", \"ctx_b\": "
                       "\"\", \"label\": 1, " ENDINGS "}\n",
                       i, word, i);
    put(name, sb.data, sb.length);
    strbuf_release(&sb);
}

/* Random(1234).sample(range(39905), 11) and the next one, of which ten are kept. */
static void test_drawn_shots(void)
{
    static const int expected[2][10] = {
        {28883, 7657, 490, 5940, 38156, 2288, 5500, 6450, 23241, 15519},
        {2019, 1038, 22681, 31735, 30379, 9735, 5982, 11999, 7498, 958},
    };
    write_split("data/hellaswag/hellaswag_train.jsonl", "t", 39905);
    write_split("data/hellaswag/hellaswag_val.jsonl", "v", 2);
    struct arena arena;
    arena_init(&arena, 1 << 20);
    for (int doc = 0; doc < 2; doc++) {
        struct strbuf prompt;
        struct task_request r;
        strbuf_init(&prompt, 1 << 20);
        for (int i = 0; i < 10; i++) strbuf_appendf(&prompt, "L: t%d. e1\n\n", expected[doc][i]);
        strbuf_appendf(&prompt, "L: v%d.", doc);
        render("hellaswag", 10, doc, &arena, &r);
        CU_ASSERT_STRING_EQUAL(r.context.data, prompt.data);
        strbuf_release(&prompt);
    }
    arena_release(&arena);
}

/* Where a document is in the few-shot split too, it is no shot of its own. */
static void test_not_its_own_shot(void)
{
    enum { N = 8, SHOTS = 5 };
    struct status st = {0};
    write_split("data/hellaswag/hellaswag_train.jsonl", "same", N);
    write_split("data/hellaswag/hellaswag_val.jsonl", "same", N);
    struct dataset_lookup lookup = data_dir();
    struct task_instance *task = load("hellaswag", SHOTS, &lookup);
    struct arena arena;
    arena_init(&arena, 1 << 20);
    for (int doc = 0; doc < N; doc++) {
        struct task_request r;
        char own[32];
        int shots = 0;
        ASSERT_OK(task_instance_render(task, doc, &arena, &r, &st));
        snprintf(own, sizeof own, "same%d. e1", doc);
        CU_ASSERT_PTR_NULL(strstr(r.context.data, own));
        for (const char *p = r.context.data; (p = strstr(p, "e1\n\n")) != NULL; p++) shots++;
        CU_ASSERT_EQUAL(shots, SHOTS);
    }
    task_instance_free(task);
    struct task_selection selection;
    ASSERT_OK(task_registry_select(&selection, "hellaswag", NULL, &lookup, &st));
    const struct task_options all = {.num_fewshot = N, .lookup = lookup};
    CU_ASSERT_EQUAL(task_instance_load(&task, &selection.refs[0], &all, &st), STATUS_USAGE);
    task_selection_release(&selection);
    arena_release(&arena);
}

/* ---- scores ---- */

static void test_three_accuracies(void)
{
    /* Lengths: 1 code point; 4; 2 code points in 8 bytes; 10. */
    PUT("data/hellaswag/hellaswag_val.jsonl",
        "{\"ind\": 0, \"activity_label\": \"L\", \"ctx\": \"c\", \"label\": 2, \"endings\": "
        "[\"a\", "
        "\"bbbb\", \"\\ud83d\\ude00\\ud83d\\ude00\", \"dddddddddd\"]}\n");
    struct status st = {0};
    struct dataset_lookup lookup = data_dir();
    struct task_instance *task = load("hellaswag", 0, &lookup);
    struct score score;
    static const struct {
        double logprobs[4];
        double acc_norm, acc, acc_bytes;
    } cases[] = {
        {{-3, -8, -4, -30}, 0, 0, 1}, /* -3 -2 -2 -3 by code points, ties go to the first */
        {{-3, -8, -3.9, -30}, 1, 0, 1}, {{-3, -8, -2, -30}, 1, 1, 1},
        {{-9, -1, -3, -90}, 0, 0, 0},   {{-9, -9, -8, -1}, 0, 0, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        ASSERT_OK(task_instance_score_choices(task, 0, cases[i].logprobs, 4, &score, &st));
        CU_ASSERT_EQUAL_FATAL(score.n_values, 3);
        CU_ASSERT_STRING_EQUAL(score.values[0].metric, "acc_norm");
        CU_ASSERT_STRING_EQUAL(score.values[1].metric, "acc");
        CU_ASSERT_STRING_EQUAL(score.values[2].metric, "acc_bytes");
        CU_ASSERT_EQUAL(score.values[0].value, cases[i].acc_norm);
        CU_ASSERT_EQUAL(score.values[1].value, cases[i].acc);
        CU_ASSERT_EQUAL(score.values[2].value, cases[i].acc_bytes);
        CU_ASSERT_EQUAL(score.outcome, cases[i].acc_norm > 0 ? OUTCOME_CORRECT : OUTCOME_WRONG);
    }
    const double bad[4] = {-1, (double)NAN, -2, -3};
    ASSERT_FAILS(task_instance_score_choices(task, 0, bad, 4, &score, &st), STATUS_BAD_INPUT,
                 "choice 1 is not a number");
    task_instance_free(task);
}

/* ---- bad rows and real ones ---- */

static void test_bad_rows(void)
{
    static const struct {
        const char *row, *says;
    } cases[] = {
        {"{}", "line 1: field \"ind\""},
        {"{\"ind\": 0}", "field \"activity_label\""},
        {"{\"ind\": 0, \"activity_label\": \"L\", \"label\": 4, \"ctx\": \"\", " ENDINGS "}",
         "field \"label\""},
        {"{\"ind\": 0, \"activity_label\": \"L\", \"label\": \"x\", \"ctx\": \"\", " ENDINGS "}",
         "field \"label\" is \"x\""},
        {"{\"ind\": 0, \"activity_label\": \"L\", \"label\": 1, \"ctx\": \"\", \"endings\": "
         "[\"a\"]}",
         "field \"endings\" has 1 texts, expected 4"},
        {"{\"ind\": 0, \"activity_label\": \"L\", \"label\": 1, \"ctx\": \"\", \"endings\": "
         "[1, 2, 3, 4]}",
         "field \"endings\": text 0 is a number"},
        {"{\"ind\": 0, \"activity_label\": \"L\", \"label\": 1, " ENDINGS "}", "field \"ctx\""},
        {"{\"ind\": 0, \"activity_label\": \"L\", \"label\": 1, \"ctx_a\": \"\", " ENDINGS "}",
         "field \"ctx_b\""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct status st = {0};
        struct task_selection selection;
        struct task_instance *task;
        put("data/hellaswag/hellaswag_val.jsonl", cases[i].row, strlen(cases[i].row));
        const struct task_options options = {.lookup = data_dir()};
        ASSERT_OK(task_registry_select(&selection, "hellaswag", NULL, &options.lookup, &st));
        ASSERT_FAILS(task_instance_load(&task, &selection.refs[0], &options, &st), STATUS_BAD_INPUT,
                     cases[i].says);
        task_selection_release(&selection);
    }
}

/* The digest over every prompt and continuation, each with a NUL behind it, that an independent
 * program of re.sub() and str.replace() calls gives for the preprocessed validation split. */
static void test_all_prompts(void)
{
    if (!shared_path("data/hellaswag/hellaswag_val_preprocessed.jsonl")) return;
    struct status st = {0};
    const struct dataset_lookup lookup = {.data_dir = "../shared/data"};
    struct task_instance *task = load("hellaswag", 0, &lookup);
    struct sha256 *hash;
    struct arena arena;
    char hex[SHA256_HEX_SIZE];
    arena_init(&arena, 1 << 20);
    ASSERT_OK(sha256_create(&hash, &st));
    const struct task_info *info = task_instance_info(task);
    CU_ASSERT_EQUAL(info->n_documents, 10042);
    CU_ASSERT_EQUAL(info->matches_manifest, MANIFEST_SAME);
    for (int64_t doc = 0; doc < info->n_documents; doc++) {
        struct task_request r;
        ASSERT_OK(task_instance_render(task, doc, &arena, &r, &st));
        sha256_add(hash, r.context.data, r.context.length + 1);
        for (int i = 0; i < r.n_continuations; i++)
            sha256_add(hash, r.continuations[i].data, r.continuations[i].length + 1);
        arena_reset(&arena);
    }
    sha256_finish(hash, hex);
    CU_ASSERT_STRING_EQUAL(hex, "591375e61ec74de96337db6c11e9fe8668cac413688c57ea64f2c4a652fe5228");
    sha256_free(hash);
    arena_release(&arena);
    task_instance_free(task);
}

static const struct test_case tests[] = {
    {"official rows", test_official_rows},
    {"str.capitalize()", test_capitalize},
    {"bad rows name line and field", test_bad_rows},
    {"ten shots of 39,905", test_drawn_shots},
    {"a document is no shot of its own", test_not_its_own_shot},
    {"acc, acc_norm and acc_bytes", test_three_accuracies},
    {"all 10,042 prompts", test_all_prompts},
};
SUITE("hellaswag", tests)
