/* Tasks: names, prompts byte for byte, scores, and the two commands that need no model. */
#include "tests/unit/scratch.h"
#include "tests/unit/suite.h"
#include "tests/unit/task_fixture.h"

#include <math.h>

#include "benchmarks/offline_scoring.h"
#include "benchmarks/task_registry.h"
#include "engine/base/json.h"
#include "engine/base/utf8.h"

/* ---- a data directory of our own ---- */

#define MMLU_DEV                                                                                   \
    "\" Dev one? \",a1,b1,c1,d1,B\nDev two?,a2,b2,c2,d2,D\nDev 3?,a,b,c,d,A\nDev 4?,a,b,c,d,C\n"   \
    "Dev 5?,a,b,c,d,B\n"

static struct dataset_lookup small_data(void)
{
    static char dir[128];
    PUT("data/mmlu/dev/us_foreign_policy_dev.csv", MMLU_DEV);
    PUT("data/mmlu/test/us_foreign_policy_test.csv",
        "\"\xc2\xa0 Say \"\"x\"\"\nwhat?\t\", one ,\"t,wo\",three,\xc3\xa9,C\nB?,1,2,3,4,A\n");
    PUT("data/gsm8k/train.jsonl", "{\"question\": \"t0\", \"answer\": \"r0\\n#### 0\"}\n"
                                  "{\"question\": \"t1\", \"answer\": \"r1\\n#### 1\"}\n"
                                  "{\"question\": \"t2\", \"answer\": \"r2\\n#### 2\"}\n"
                                  "{\"question\": \"t3\", \"answer\": \"r3\\n#### 3\"}\n"
                                  "{\"question\": \"t4\", \"answer\": \"r4\\n#### 4\"}\n");
    PUT("data/gsm8k/test.jsonl", "{\"question\": \"q0\", \"answer\": \"a0\\n#### 18\"}\n"
                                 "{\"question\": \"q1\", \"answer\": \"a1\\n#### 1,000\"}\n"
                                 "{\"question\": \"q2\", \"answer\": \"a2\\n#### -5\"}\n");
    snprintf(dir, sizeof dir, "%s/data", scratch);
    return (struct dataset_lookup){.data_dir = dir};
}

/* ---- prompts ---- */

static void test_mmlu_prompt(void)
{
    struct status st = {0};
    struct dataset_lookup lookup = small_data();
    struct task_instance *task = load("mmlu_us_foreign_policy", 2, &lookup);
    struct task_request request;
    struct arena arena;
    arena_init(&arena, 1 << 20);
    ASSERT_OK(task_instance_render(task, 0, &arena, &request, &st));
    CU_ASSERT_STRING_EQUAL(
        request.context.data,
        "The following are multiple choice questions (with answers) about us foreign policy.\n\n"
        "Dev one?\nA. a1\nB. b1\nC. c1\nD. d1\nAnswer: B\n\n"
        "Dev two?\nA. a2\nB. b2\nC. c2\nD. d2\nAnswer: D\n\n"
        "Say \"x\"\nwhat?\nA.  one \nB. t,wo\nC. three\nD. \xc3\xa9\nAnswer:");
    CU_ASSERT_STRING_EQUAL(request.guard_text.data,
                           "Say \"x\"\nwhat?\nA.  one \nB. t,wo\nC. three\nD. \xc3\xa9\nAnswer:");
    CU_ASSERT_STRING_EQUAL(request.target.data, "C");
    CU_ASSERT_EQUAL(request.gold, 2);
    CU_ASSERT_EQUAL(request.n_continuations, 4);
    CU_ASSERT_STRING_EQUAL(request.continuations[0].data, " A");
    CU_ASSERT_STRING_EQUAL(request.continuations[3].data, " D");
    CU_ASSERT_EQUAL(request.n_until, 0);
    /* hashlib.sha256(json.dumps(doc, indent=2, ensure_ascii=False).encode()) of the whole row */
    CU_ASSERT_STRING_EQUAL(request.doc_hash,
                           "4abb2737cb634d3167e71fb85f32a115b6310fa71a46488a8739aedddcedbd74");
    arena_reset(&arena);
    task_instance_free(task);

    task = load("mmlu_us_foreign_policy", 0, &lookup);
    ASSERT_OK(task_instance_render(task, 1, &arena, &request, &st));
    CU_ASSERT_STRING_EQUAL(
        request.context.data,
        "The following are multiple choice questions (with answers) about us foreign policy.\n\n"
        "B?\nA. 1\nB. 2\nC. 3\nD. 4\nAnswer:");
    ASSERT_FAILS(task_instance_render(task, 2, &arena, &request, &st), STATUS_USAGE,
                 "mmlu_us_foreign_policy has no document 2: there are 2, from 0");
    CU_ASSERT_NOT_EQUAL(task_instance_render(task, -1, &arena, &request, &st), STATUS_OK);
    arena_release(&arena);
    task_instance_free(task);
}

static void test_gsm8k_prompt(void)
{
    struct status st = {0};
    struct dataset_lookup lookup = small_data();
    struct task_instance *task = load("gsm8k", 3, &lookup);
    struct task_request request;
    struct arena arena;
    arena_init(&arena, 1 << 20);
    ASSERT_OK(task_instance_render(task, 0, &arena, &request, &st));
    /* Random(1234).sample(range(5), 3) is 3, 0, 4. */
    CU_ASSERT_STRING_EQUAL(request.context.data, "Question: t3\nAnswer: r3\n#### 3\n\n"
                                                 "Question: t0\nAnswer: r0\n#### 0\n\n"
                                                 "Question: t4\nAnswer: r4\n#### 4\n\n"
                                                 "Question: q0\nAnswer:");
    CU_ASSERT_STRING_EQUAL(request.guard_text.data, "Question: q0\nAnswer:");
    CU_ASSERT_STRING_EQUAL(request.target.data, "a0\n#### 18");
    CU_ASSERT_EQUAL(request.n_continuations, 0);
    CU_ASSERT_EQUAL(request.gold, -1);
    CU_ASSERT_EQUAL_FATAL(request.n_until, 3);
    CU_ASSERT_STRING_EQUAL(request.until[0].data, "Question:");
    CU_ASSERT_STRING_EQUAL(request.until[1].data, "</s>");
    CU_ASSERT_STRING_EQUAL(request.until[2].data, "<|im_end|>");
    CU_ASSERT_EQUAL(request.max_gen_toks, 256);
    const struct task_info *info = task_instance_info(task);
    CU_ASSERT_EQUAL(info->n_documents, 3);
    CU_ASSERT_EQUAL(info->fewshot_seed, 1234);
    CU_ASSERT_EQUAL(info->matches_manifest, MANIFEST_DIFFERENT);
    task_instance_free(task);
    task = load("gsm8k", TASK_DEFAULT_FEWSHOT, &lookup);
    CU_ASSERT_EQUAL(task_instance_info(task)->num_fewshot, 5);
    task_instance_free(task);
    arena_release(&arena);

    struct task_selection selection;
    ASSERT_OK(task_registry_select(&selection, "gsm8k", "lm-eval", &lookup, &st));
    struct task_options options = {.num_fewshot = 6, .lookup = lookup};
    ASSERT_FAILS(task_instance_load(&task, &selection.refs[0], &options, &st), STATUS_USAGE,
                 "task gsm8k: --num-fewshot 6: the train split has only 5 documents");
    options.num_fewshot = -2;
    ASSERT_FAILS(task_instance_load(&task, &selection.refs[0], &options, &st), STATUS_USAGE,
                 "expected 0 or more");
    task_selection_release(&selection);
}

/* SHA-256 over every prompt of a selection, each followed by a NUL, and over every document hash,
 * each followed by a newline. */
static void hash_prompts(const char *names, int num_fewshot, char contexts[SHA256_HEX_SIZE],
                         char documents[SHA256_HEX_SIZE], int64_t *count)
{
    struct status st = {0};
    struct dataset_lookup lookup = {.data_dir = "../shared/data"};
    struct task_selection selection;
    struct sha256 *context_hash, *document_hash;
    struct arena arena;
    arena_init(&arena, 1 << 24);
    *count = 0;
    ASSERT_OK(sha256_create(&context_hash, &st));
    ASSERT_OK(sha256_create(&document_hash, &st));
    ASSERT_OK(task_registry_select(&selection, names, NULL, &lookup, &st));
    for (int i = 0; i < selection.count; i++) {
        struct task_instance *task;
        const struct task_options options = {.num_fewshot = num_fewshot, .lookup = lookup};
        ASSERT_OK(task_instance_load(&task, &selection.refs[i], &options, &st));
        CU_ASSERT_EQUAL(task_instance_info(task)->matches_manifest, MANIFEST_SAME);
        for (int64_t doc = 0; doc < task_instance_info(task)->n_documents; doc++, ++*count) {
            struct task_request request;
            ASSERT_OK(task_instance_render(task, doc, &arena, &request, &st));
            sha256_add(context_hash, request.context.data, request.context.length + 1);
            sha256_add(document_hash, request.doc_hash, SHA256_HEX_SIZE - 1);
            sha256_add(document_hash, "\n", 1);
            arena_reset(&arena);
        }
        task_instance_free(task);
    }
    sha256_finish(context_hash, contexts);
    sha256_finish(document_hash, documents);
    sha256_free(context_hash);
    sha256_free(document_hash);
    task_selection_release(&selection);
    arena_release(&arena);
}

/* The expected digests are of prompts that a Python script made from lm-eval's rules alone, with
 * csv.reader, random.Random(1234).sample and json.dumps: for every document in order,
 * h.update(context.encode() + b"\0"), and h.update(doc_hash.encode() + b"\n"). */
static void test_all_prompts(void)
{
    char contexts[SHA256_HEX_SIZE], documents[SHA256_HEX_SIZE];
    int64_t count;
    if (!shared_path("data/mmlu/test/anatomy_test.csv")) return;
    hash_prompts("mmlu", 5, contexts, documents, &count);
    CU_ASSERT_EQUAL(count, 14042);
    CU_ASSERT_STRING_EQUAL(contexts,
                           "e615053d5ed037dcf108fb4fa85df27e5fa45928938a6c4b8f51e9fce3141fb9");
    CU_ASSERT_STRING_EQUAL(documents,
                           "601d318a0b7d316ee3d87268a64bb4749d53255a31aebe0fc9b90743139e2d81");
    hash_prompts("gsm8k", 5, contexts, documents, &count);
    CU_ASSERT_EQUAL(count, 1319);
    CU_ASSERT_STRING_EQUAL(contexts,
                           "90c166d5c3e3026061cfa63a694800e2cc31cdc12da84ff0fea81cccf9c93092");
    hash_prompts("gsm8k", 0, contexts, documents, &count);
    CU_ASSERT_STRING_EQUAL(contexts,
                           "68a1fcd692d8a9c995a551609459fb3691ff233a64652fec18ff4c1b26845516");
    hash_prompts("gsm8k", 8, contexts, documents, &count);
    CU_ASSERT_STRING_EQUAL(contexts,
                           "6198bdf26814a1717eb49dd74f2637ad5957ae032e304dc61cf6080665f96381");
}

/* The published hashes of the first two prompts; the second is rendered without the first. */
static void test_golden_prompts(void)
{
    struct status st = {0};
    if (!shared_path("data/gsm8k/test.jsonl")) return;
    struct dataset_lookup lookup = {.data_dir = "../shared/data"};
    struct task_instance *task = load("gsm8k", 5, &lookup);
    struct task_request request;
    struct arena arena;
    arena_init(&arena, 1 << 20);
    ASSERT_OK(task_instance_render(task, 1, &arena, &request, &st));
    CU_ASSERT_STRING_EQUAL(request.prompt_hash,
                           "e6b9a0195411932e5323ed20ad05e965b08b979103bbb26594a5bdf123d27990");
    CU_ASSERT_EQUAL(utf8_count(request.context), 3320);
    ASSERT_OK(task_instance_render(task, 0, &arena, &request, &st));
    CU_ASSERT_STRING_EQUAL(request.prompt_hash,
                           "32680f263ba83280e98a8a24ceefed10a722a4cdcd9f4d78e93c45d43143ca66");
    CU_ASSERT_EQUAL(utf8_count(request.context), 3187);
    CU_ASSERT_STRING_EQUAL(task_instance_info(task)->dataset_sha256,
                           "8b626f138b9c847c9080580c6291f98ed1056458b3ea02cdfd6a13836aaece2e");
    arena_release(&arena);
    task_instance_free(task);
}

/* ---- names ---- */

static void test_registry(void)
{
    struct status st = {0};
    struct dataset_lookup lookup = small_data();
    struct task_selection selection;
    ASSERT_FAILS(task_registry_select(&selection, "mmlu", NULL, &lookup, &st), STATUS_NOT_FOUND,
                 "data/mmlu/test/abstract_algebra_test.csv is missing");
    ASSERT_FAILS(task_registry_select(&selection, "mmlu_other", NULL, &lookup, &st),
                 STATUS_NOT_FOUND, "business_ethics_test.csv is missing");
    ASSERT_FAILS(task_registry_select(&selection, "mmlu_alchemy", NULL, &lookup, &st), STATUS_USAGE,
                 "unknown task \"mmlu_alchemy\"");
    ASSERT_FAILS(task_registry_select(&selection, "gsm8k,", NULL, &lookup, &st), STATUS_USAGE,
                 "a name is empty");
    ASSERT_FAILS(task_registry_select(&selection, "gsm8k", "helm", &lookup, &st), STATUS_USAGE,
                 "task gsm8k has no profile \"helm\"");
    ASSERT_OK(
        task_registry_select(&selection, "gsm8k,mmlu_us_foreign_policy,gsm8k", NULL, &lookup, &st));
    CU_ASSERT_EQUAL_FATAL(selection.count, 2);
    CU_ASSERT_STRING_EQUAL(selection.refs[0].name, "gsm8k");
    CU_ASSERT_PTR_NULL(selection.refs[0].group);
    CU_ASSERT_STRING_EQUAL(selection.refs[1].name, "mmlu_us_foreign_policy");
    CU_ASSERT_STRING_EQUAL(selection.refs[1].group, "mmlu");
    CU_ASSERT_STRING_EQUAL(selection.refs[1].subgroup, "mmlu_social_sciences");
    task_selection_release(&selection);

    PUT("data/manifest.json", "{\"mmlu_subjects\": [\"us_foreign_policy\"]}");
    ASSERT_OK(task_registry_select(&selection, "mmlu", NULL, &lookup, &st));
    CU_ASSERT_EQUAL(selection.count, 1);
    task_selection_release(&selection);
    ASSERT_FAILS(task_registry_select(&selection, "mmlu_stem", NULL, &lookup, &st),
                 STATUS_NOT_FOUND, "has nothing for task mmlu_stem");
    PUT("data/manifest.json", "{\"mmlu_subjects\": [\"alchemy\"]}");
    ASSERT_FAILS(task_registry_select(&selection, "mmlu", NULL, &lookup, &st), STATUS_BAD_INPUT,
                 "mmlu has no \"alchemy\"");
    remove(PUT("data/manifest.json", "{}"));
}

static void test_groups(void)
{
    struct status st = {0};
    CU_ASSERT_STRING_EQUAL(task_group_at(task_registry_at(0), 0), "mmlu_stem");
    CU_ASSERT_PTR_NULL(task_group_at(task_registry_at(0), 4));
    for (size_t i = 0; i < task_registry_count(); i++)
        if (!strcmp(task_registry_at(i)->name, "gsm8k"))
            CU_ASSERT_PTR_NULL(task_group_at(task_registry_at(i), 0));
    CU_ASSERT_PTR_NULL(task_registry_at(task_registry_count()));
    if (!shared_path("data/mmlu/test/anatomy_test.csv")) return;
    struct dataset_lookup lookup = {.data_dir = "../shared/data"};
    static const struct {
        const char *name;
        int leaves;
    } groups[] = {{"mmlu", 57},
                  {"mmlu_stem", 19},
                  {"mmlu_humanities", 13},
                  {"mmlu_social_sciences", 12},
                  {"mmlu_other", 13},
                  {"mmlu_stem,mmlu", 57}};
    for (size_t i = 0; i < sizeof groups / sizeof *groups; i++) {
        struct task_selection selection;
        ASSERT_OK(task_registry_select(&selection, groups[i].name, NULL, &lookup, &st));
        CU_ASSERT_EQUAL(selection.count, groups[i].leaves);
        for (int k = 1; k < selection.count && i < 5; k++)
            CU_ASSERT_TRUE(strcmp(selection.refs[k - 1].name, selection.refs[k].name) < 0);
        task_selection_release(&selection);
    }
}

/* ---- scores ---- */

static void test_choice_scores(void)
{
    struct status st = {0};
    struct dataset_lookup lookup = small_data();
    struct task_instance *task = load("mmlu_us_foreign_policy", 0, &lookup);
    struct score score;
    const double right[] = {-3, -2, -1, -4}, tie[] = {-1, -2, -1, -4};
    const double nan_inside[] = {-1, -2, (double)NAN, -4};
    const double impossible[] = {(double)-INFINITY, (double)-INFINITY, -700, (double)-INFINITY};
    ASSERT_OK(task_instance_score_choices(task, 0, right, 4, &score, &st));
    CU_ASSERT_EQUAL(score.n_values, 1);
    CU_ASSERT_EQUAL(score.values[0].value, 1);
    CU_ASSERT_STRING_EQUAL(score.values[0].metric, "acc");
    CU_ASSERT_STRING_EQUAL(score.values[0].extraction, "none");
    CU_ASSERT_EQUAL(score.outcome, OUTCOME_CORRECT);
    ASSERT_OK(task_instance_score_choices(task, 0, tie, 4, &score, &st));
    CU_ASSERT_EQUAL(score.values[0].value, 0);
    CU_ASSERT_EQUAL(score.outcome, OUTCOME_WRONG);
    ASSERT_OK(task_instance_score_choices(task, 0, impossible, 4, &score, &st));
    CU_ASSERT_EQUAL(score.outcome, OUTCOME_CORRECT);
    ASSERT_FAILS(task_instance_score_choices(task, 0, nan_inside, 4, &score, &st), STATUS_BAD_INPUT,
                 "choice 2 is not a number");
    ASSERT_FAILS(task_instance_score_choices(task, 0, right, 3, &score, &st), STATUS_BAD_INPUT,
                 "mmlu_us_foreign_policy: document 0: 3 log-probabilities for 4 choices");
    task_instance_free(task);
}

static enum outcome outcome_of(const struct task_instance *task, int64_t doc, const char *text,
                               bool truncated)
{
    struct status st = {0};
    struct score score = {0};
    struct arena arena;
    arena_init(&arena, 1 << 20);
    const struct reply reply = {.text = text_of(text), .truncated = truncated};
    ASSERT_OK(task_instance_score_reply(task, doc, &reply, &arena, &score, &st));
    arena_release(&arena);
    return score.outcome;
}

static void test_outcomes(void)
{
    struct dataset_lookup lookup = small_data();
    struct task_instance *task = load("gsm8k", 0, &lookup);
    CU_ASSERT_EQUAL(outcome_of(task, 0, " so\n#### 18", false), OUTCOME_CORRECT);
    CU_ASSERT_EQUAL(outcome_of(task, 0, " so\n#### 18 and then", true), OUTCOME_CORRECT);
    CU_ASSERT_EQUAL(outcome_of(task, 1, "#### $1000", false), OUTCOME_EXTRACTION_FAILED);
    CU_ASSERT_EQUAL(outcome_of(task, 1, "#### 1000.", false), OUTCOME_CORRECT);
    CU_ASSERT_EQUAL(outcome_of(task, 2, "#### 5", false), OUTCOME_WRONG);
    CU_ASSERT_EQUAL(outcome_of(task, 2, "#### 5", true), OUTCOME_TRUNCATED);
    CU_ASSERT_EQUAL(outcome_of(task, 2, "it is -5", true), OUTCOME_TRUNCATED);
    CU_ASSERT_EQUAL(outcome_of(task, 2, "it is -5", false), OUTCOME_EXTRACTION_FAILED);
    CU_ASSERT_EQUAL(outcome_of(task, 2, "", false), OUTCOME_EMPTY);
    CU_ASSERT_EQUAL(outcome_of(task, 2, " \n\xe2\x80\x83", true), OUTCOME_EMPTY);
    task_instance_free(task);

    task = load("mmlu_us_foreign_policy", 0, &lookup);
    CU_ASSERT_EQUAL(outcome_of(task, 0, " C", false), OUTCOME_CORRECT);
    CU_ASSERT_EQUAL(outcome_of(task, 0, "C. three", true), OUTCOME_CORRECT);
    CU_ASSERT_EQUAL(outcome_of(task, 0, "\nA\n", false), OUTCOME_WRONG);
    CU_ASSERT_EQUAL(outcome_of(task, 0, "Clearly C", false), OUTCOME_EXTRACTION_FAILED);
    CU_ASSERT_EQUAL(outcome_of(task, 0, "E", false), OUTCOME_EXTRACTION_FAILED);
    CU_ASSERT_EQUAL(outcome_of(task, 0, " ", false), OUTCOME_EMPTY);
    task_instance_free(task);
}

/* ---- prompts and score ---- */

static void test_prompt_lines(void)
{
    struct status st = {0};
    struct dataset_lookup lookup = small_data();
    struct task_selection selection;
    struct strbuf lines;
    strbuf_init(&lines, 1 << 20);
    const struct line_sink sink = {collect, &lines};
    const struct task_options options = {.num_fewshot = 0, .lookup = lookup};
    ASSERT_OK(task_registry_select(&selection, "mmlu_us_foreign_policy,gsm8k", NULL, &lookup, &st));
    struct offline_prompt_options range = {.range = {1, 1}};
    ASSERT_OK(offline_prompts(&selection, &options, &range, &sink, &st));
    CU_ASSERT_STRING_EQUAL(
        lines.data,
        "{\"task\": \"mmlu_us_foreign_policy\", \"doc_id\": 1, \"context\": \"The following are "
        "multiple choice questions (with answers) about us foreign policy.\\n\\nB?\\nA. 1\\nB. "
        "2\\nC. 3\\nD. 4\\nAnswer:\", \"continuations\": [\" A\", \" B\", \" C\", \" D\"], "
        "\"until\": null, \"target\": \"A\", \"doc_hash\": "
        "\"cf6ffba8e64fcaf8afe6274d91e761e8e6a09e9bdfbe315d2437b494d82dabdc\", \"prompt_hash\": "
        "\"240e446a619e3979495f0c830f2984b8ce637795bae10d50638c6124dde3f560\"}\n"
        "{\"task\": \"gsm8k\", \"doc_id\": 1, \"context\": \"Question: q1\\nAnswer:\", "
        "\"continuations\": null, \"until\": [\"Question:\", \"</s>\", \"<|im_end|>\"], "
        "\"target\": \"a1\\n#### 1,000\", \"doc_hash\": "
        "\"b684b4a7f0d3fe1311b072e7d71b7e2d76b5b754abca5da62d7d351a542128ed\", \"prompt_hash\": "
        "\"00a9504096e56656026275b4ba568a2f7e7f12d5ccd1c1db4cf425c60bb43574\"}\n");
    strbuf_clear(&lines);
    range.range = (struct document_range){9, 2};
    ASSERT_OK(offline_prompts(&selection, &options, &range, &sink, &st));
    range.range = (struct document_range){0, 0};
    ASSERT_OK(offline_prompts(&selection, &options, &range, &sink, &st));
    CU_ASSERT_EQUAL(lines.length, 0);
    range.range.offset = -1;
    ASSERT_FAILS(offline_prompts(&selection, &options, &range, &sink, &st), STATUS_USAGE,
                 "--offset");
    task_selection_release(&selection);
    strbuf_release(&lines);
}

#define STRICT   "exact_match,strict-match"
#define FLEXIBLE "exact_match,flexible-extract"

static void test_score_lines(void)
{
    struct status st = {0};
    struct dataset_lookup lookup = small_data();
    struct strbuf lines, summary;
    strbuf_init(&lines, 1 << 20);
    strbuf_init(&summary, 1 << 20);
    const char *path =
        PUT("replies.jsonl", "{\"doc_id\": 2, \"reply\": \"is -5\"}\n"
                             "{\"doc_id\": 0, \"reply\": \"#### 18\\n\\nQuestion: 7\"}\n"
                             "{\"doc_id\": 2, \"reply\": \"#### -5\", \"task\": \"gsm8k\"}\n"
                             "{\"doc_id\": 2, \"reply\": \"\", \"finish_reason\": \"length\"}\n");
    ASSERT_OK(score_file("gsm8k", path, false, &lookup, &lines, &summary, &st));
    CU_ASSERT_STRING_EQUAL(
        lines.data,
        "{\"task\": \"gsm8k\", \"doc_id\": 2, \"repeat\": 0, \"extracted\": {\"strict-match\": "
        "\"[invalid]\", \"flexible-extract\": \"-5\"}, \"metrics\": {\"" STRICT "\": 0, \"" FLEXIBLE
        "\": 1}, \"outcome\": \"extraction_failed\"}\n"
        "{\"task\": \"gsm8k\", \"doc_id\": 0, \"repeat\": 0, \"extracted\": {\"strict-match\": "
        "\"18\", \"flexible-extract\": \"7\"}, \"metrics\": {\"" STRICT "\": 1, \"" FLEXIBLE
        "\": 0}, \"outcome\": \"correct\"}\n"
        "{\"task\": \"gsm8k\", \"doc_id\": 2, \"repeat\": 1, \"extracted\": {\"strict-match\": "
        "\"-5\", \"flexible-extract\": \"-5\"}, \"metrics\": {\"" STRICT "\": 1, \"" FLEXIBLE
        "\": 1}, \"outcome\": \"correct\"}\n"
        "{\"task\": \"gsm8k\", \"doc_id\": 2, \"repeat\": 2, \"extracted\": {\"strict-match\": "
        "\"[invalid]\", \"flexible-extract\": \"[invalid]\"}, \"metrics\": {\"" STRICT
        "\": 0, \"" FLEXIBLE "\": 0}, \"outcome\": \"empty\"}\n");
    CU_ASSERT_EQUAL(summary_number(&summary, STRICT, "judged_otherwise"), 2);
    CU_ASSERT_EQUAL(summary_number(&summary, FLEXIBLE, "judged_otherwise"), 2);
    /* Documents 0 and 2: strict 1 and 1/3, flexible 0 and 2/3. */
    CU_ASSERT_DOUBLE_EQUAL(summary_number(&summary, STRICT, "value"), 2.0 / 3, 1e-15);
    CU_ASSERT_DOUBLE_EQUAL(summary_number(&summary, FLEXIBLE, "value"), 1.0 / 3, 1e-15);
    CU_ASSERT_DOUBLE_EQUAL(summary_number(&summary, STRICT, "stderr"), 1.0 / 3, 1e-15);
    CU_ASSERT_EQUAL(summary_number(&summary, STRICT, "n"), 2);
    CU_ASSERT_EQUAL(summary_number(&summary, STRICT, "n_missing"), 1);

    path = PUT("replies.jsonl", "{\"doc_id\": 0, \"reply\": \"#### 18\\n\\nQuestion: 7\"}\n");
    ASSERT_OK(score_file("gsm8k", path, true, &lookup, &lines, &summary, &st));
    CU_ASSERT_EQUAL(summary_number(&summary, FLEXIBLE, "value"), 1);
    CU_ASSERT_EQUAL(summary_number(&summary, FLEXIBLE, "stderr"), -1);

    path = PUT("replies.jsonl", "");
    ASSERT_OK(score_file("gsm8k", path, false, &lookup, &lines, &summary, &st));
    CU_ASSERT_STRING_EQUAL(summary.data,
                           "{\"metrics\": {\"" STRICT "\": {\"value\": null, \"stderr\": null, "
                           "\"n\": 0, \"n_missing\": 3}, \"" FLEXIBLE
                           "\": {\"value\": null, \"stderr\": null, \"n\": 0, "
                           "\"n_missing\": 3}}}\n");

    path = PUT("replies.jsonl", "{\"task\": \"mmlu_us_foreign_policy\", \"doc_id\": 0, "
                                "\"reply\": \" C\"}\n"
                                "{\"task\": \"gsm8k\", \"doc_id\": 0, \"reply\": \"18\"}\n");
    ASSERT_OK(
        score_file("mmlu_us_foreign_policy,gsm8k", path, false, &lookup, &lines, &summary, &st));
    CU_ASSERT_PTR_NOT_NULL(strstr(lines.data, "\"extracted\": {\"none\": \"C\"}, \"metrics\": "
                                              "{\"acc,none\": 1}, \"outcome\": \"correct\""));
    CU_ASSERT_EQUAL(summary_number(&summary, "acc,none", "value"), 1);
    CU_ASSERT_EQUAL(summary_number(&summary, "acc,none", "n_missing"), 1);
    CU_ASSERT_EQUAL(summary_number(&summary, STRICT, "n_missing"), 2);
    strbuf_release(&lines);
    strbuf_release(&summary);
}

static void test_bad_replies(void)
{
    struct status st = {0};
    struct dataset_lookup lookup = small_data();
    struct strbuf lines, summary;
    strbuf_init(&lines, 1 << 20);
    strbuf_init(&summary, 1 << 20);
    static const struct {
        const char *tasks, *jsonl, *says;
    } cases[] = {
        {"gsm8k", "{\"doc_id\": 0, \"reply\": \"\"}\n{\"doc_id\": 3, \"reply\": \"\"}\n",
         "bad.jsonl: line 2: field \"doc_id\" is 3, expected a whole number from 0 to 2"},
        {"gsm8k", "{\"doc_id\": -1, \"reply\": \"\"}", "field \"doc_id\" is -1"},
        {"gsm8k", "{\"doc_id\": 0.5, \"reply\": \"\"}", "field \"doc_id\" is 0.5"},
        {"gsm8k", "{\"doc_id\": 0}", "bad.jsonl: line 1: field \"reply\" is missing"},
        {"gsm8k", "{\"doc_id\": 0, \"reply\": null}", "field \"reply\" is null"},
        {"gsm8k", "{\"doc_id\": 0, \"reply\": \"x\"", "bad.jsonl: line 1: not valid JSON"},
        {"gsm8k", "{\"doc_id\": 0, \"reply\": \"\", \"task\": \"mmlu\"}",
         "field \"task\" is \"mmlu\", which is not being scored"},
        {"gsm8k,mmlu_us_foreign_policy", "{\"doc_id\": 0, \"reply\": \"\"}",
         "field \"task\" is missing"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *path = put("bad.jsonl", cases[i].jsonl, strlen(cases[i].jsonl));
        ASSERT_FAILS(score_file(cases[i].tasks, path, false, &lookup, &lines, &summary, &st),
                     STATUS_BAD_INPUT, cases[i].says);
        CU_ASSERT_EQUAL(summary.length, 0);
    }
    ASSERT_FAILS(score_file("gsm8k", "/nowhere.jsonl", false, &lookup, &lines, &summary, &st),
                 STATUS_NOT_FOUND, "/nowhere.jsonl");
    strbuf_release(&lines);
    strbuf_release(&summary);
}

/* The data's own answers are right under both extractions. */
static void test_gold_answers(void)
{
    struct status st = {0};
    if (!shared_path("data/gsm8k/test.jsonl")) return;
    struct dataset_lookup lookup = {.data_dir = "../shared/data"};
    struct task_instance *task = load("gsm8k", 0, &lookup);
    struct arena arena;
    int right[2] = {0};
    arena_init(&arena, 1 << 20);
    int64_t n = task_instance_info(task)->n_documents;
    for (int64_t doc = 0; doc < n; doc++) {
        struct task_request request;
        struct score score;
        ASSERT_OK(task_instance_render(task, doc, &arena, &request, &st));
        const struct reply reply = {.text = request.target};
        ASSERT_OK(task_instance_score_reply(task, doc, &reply, &arena, &score, &st));
        for (int i = 0; i < 2; i++) right[i] += score.values[i].value == 1;
        arena_reset(&arena);
    }
    CU_ASSERT_EQUAL(n, 1319);
    CU_ASSERT_EQUAL(right[0], 1319);
    CU_ASSERT_EQUAL(right[1], 1319);
    arena_release(&arena);
    task_instance_free(task);
}

static const struct test_case tests[] = {
    {"an mmlu prompt, byte for byte", test_mmlu_prompt},
    {"a gsm8k prompt, and its shots", test_gsm8k_prompt},
    {"the published prompt hashes", test_golden_prompts},
    {"every prompt of mmlu and gsm8k", test_all_prompts},
    {"names, and what they cannot mean", test_registry},
    {"groups and their order", test_groups},
    {"multiple choice: argmax, ties, bad numbers", test_choice_scores},
    {"outcomes and their precedence", test_outcomes},
    {"the lines of `prompts`", test_prompt_lines},
    {"the lines and the summary of `score`", test_score_lines},
    {"bad replies are named by file and line", test_bad_replies},
    {"gold answers score 1319 of 1319", test_gold_answers},
};
SUITE("tasks", tests)
