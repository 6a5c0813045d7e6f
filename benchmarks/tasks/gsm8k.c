/* gsm8k as lm-evaluation-harness runs it (tasks/gsm8k/gsm8k.yaml, version 3.0). */
#include "benchmarks/tasks/tasks.h"

#include "datasets/gsm8k.h"
#include "engine/base/json.h"

static status_code load(const struct task *task, const char *subset, const char *split,
                        struct dataset *dataset, struct document_list *out, struct status *st)
{
    (void)task;
    (void)subset;
    const struct gsm8k_problem *problems;
    size_t n;
    status_code code = gsm8k_load(dataset, split, &problems, &n, st);
    if (code != STATUS_OK) return code;
    struct document *items = arena_array(dataset_arena(dataset), n, sizeof *items);
    if (!items) return status_no_memory(st, "documents");
    for (size_t i = 0; i < n; i++) items[i].fields = &problems[i];
    *out = (struct document_list){items, n};
    return STATUS_OK;
}

static void doc_to_text(const struct task *task, const struct document *doc, struct strbuf *out)
{
    (void)task;
    const struct gsm8k_problem *problem = doc->fields;
    strbuf_append_str(out, "Question: ");
    strbuf_append(out, problem->question.data, problem->question.length);
    strbuf_append_str(out, "\nAnswer:");
}

/* The whole worked solution, with its <<...>> annotations. */
static void doc_to_target(const struct task *task, const struct document *doc, struct strbuf *out)
{
    (void)task;
    const struct gsm8k_problem *problem = doc->fields;
    strbuf_append(out, problem->answer.data, problem->answer.length);
}

static void doc_to_json(const struct task *task, const struct document *doc, struct strbuf *out)
{
    (void)task;
    const struct gsm8k_problem *problem = doc->fields;
    strbuf_append_str(out, "{\n  \"question\": ");
    json_append_text(out, problem->question);
    strbuf_append_str(out, ",\n  \"answer\": ");
    json_append_text(out, problem->answer);
    strbuf_append_str(out, "\n}");
}

const struct task task_gsm8k = {
    .name = "gsm8k",
    .profile = "lm-eval",
    .version = "3.0",
    .summary = "grade school word problems, answered with the steps",
    .dataset = "gsm8k",
    .test_split = "test",
    .fewshot_split = "train",
    .fewshot_sampler = FEWSHOT_RANDOM,
    .num_fewshot = 5,
    .output_type = OUTPUT_GENERATE_UNTIL,
    .target_delimiter = " ",
    .fewshot_delimiter = "\n\n",
    .until = {"Question:", "</s>", "<|im_end|>"},
    .max_gen_toks = 256,
    .metrics = {{"exact_match", "mean", true}},
    .extractions = {{"strict-match", "#### (\\-?[0-9\\.\\,]+)", 0},
                    {"flexible-extract", "(-?[$0-9.,]{2,})|(-?[0-9]+)", -1}},
    .exact_match = {.regexes_to_ignore = {",", "\\$", "(?s).*#### ", "\\.$"}, .ignore_case = true},
    .load = load,
    .doc_to_text = doc_to_text,
    .doc_to_target = doc_to_target,
    .doc_to_json = doc_to_json,
    .score_reply = score_exact_match,
};
