/* mmlu as lm-evaluation-harness runs it (tasks/mmlu/default/_default_template_yaml, version 1.0).
 *
 * Groups are lm-eval's: anatomy counts as stem there, and as "other" in Hendrycks' own code. */
#include "benchmarks/tasks/tasks.h"

#include "datasets/mmlu.h"
#include "engine/base/json.h"
#include "engine/base/utf8.h"

/* A question, and its subject, which the document's hash covers. */
struct mmlu_document {
    const struct mmlu_question *question;
    const char *subject;
};

static const struct task_subset subjects[] = {
    {"abstract_algebra", "mmlu_stem"},
    {"anatomy", "mmlu_stem"},
    {"astronomy", "mmlu_stem"},
    {"business_ethics", "mmlu_other"},
    {"clinical_knowledge", "mmlu_other"},
    {"college_biology", "mmlu_stem"},
    {"college_chemistry", "mmlu_stem"},
    {"college_computer_science", "mmlu_stem"},
    {"college_mathematics", "mmlu_stem"},
    {"college_medicine", "mmlu_other"},
    {"college_physics", "mmlu_stem"},
    {"computer_security", "mmlu_stem"},
    {"conceptual_physics", "mmlu_stem"},
    {"econometrics", "mmlu_social_sciences"},
    {"electrical_engineering", "mmlu_stem"},
    {"elementary_mathematics", "mmlu_stem"},
    {"formal_logic", "mmlu_humanities"},
    {"global_facts", "mmlu_other"},
    {"high_school_biology", "mmlu_stem"},
    {"high_school_chemistry", "mmlu_stem"},
    {"high_school_computer_science", "mmlu_stem"},
    {"high_school_european_history", "mmlu_humanities"},
    {"high_school_geography", "mmlu_social_sciences"},
    {"high_school_government_and_politics", "mmlu_social_sciences"},
    {"high_school_macroeconomics", "mmlu_social_sciences"},
    {"high_school_mathematics", "mmlu_stem"},
    {"high_school_microeconomics", "mmlu_social_sciences"},
    {"high_school_physics", "mmlu_stem"},
    {"high_school_psychology", "mmlu_social_sciences"},
    {"high_school_statistics", "mmlu_stem"},
    {"high_school_us_history", "mmlu_humanities"},
    {"high_school_world_history", "mmlu_humanities"},
    {"human_aging", "mmlu_other"},
    {"human_sexuality", "mmlu_social_sciences"},
    {"international_law", "mmlu_humanities"},
    {"jurisprudence", "mmlu_humanities"},
    {"logical_fallacies", "mmlu_humanities"},
    {"machine_learning", "mmlu_stem"},
    {"management", "mmlu_other"},
    {"marketing", "mmlu_other"},
    {"medical_genetics", "mmlu_other"},
    {"miscellaneous", "mmlu_other"},
    {"moral_disputes", "mmlu_humanities"},
    {"moral_scenarios", "mmlu_humanities"},
    {"nutrition", "mmlu_other"},
    {"philosophy", "mmlu_humanities"},
    {"prehistory", "mmlu_humanities"},
    {"professional_accounting", "mmlu_other"},
    {"professional_law", "mmlu_humanities"},
    {"professional_medicine", "mmlu_other"},
    {"professional_psychology", "mmlu_social_sciences"},
    {"public_relations", "mmlu_social_sciences"},
    {"security_studies", "mmlu_social_sciences"},
    {"sociology", "mmlu_social_sciences"},
    {"us_foreign_policy", "mmlu_social_sciences"},
    {"virology", "mmlu_other"},
    {"world_religions", "mmlu_humanities"},
    {NULL, NULL},
};

static const char *const letters[MMLU_CHOICES] = {"A", "B", "C", "D"};

static status_code check_files(const struct task *task, const char *subset, struct dataset *dataset,
                               struct status *st)
{
    const char *file = mmlu_file(dataset, subset, task->test_split);
    const char *path = file ? dataset_path(dataset, file) : NULL;
    if (!path) return status_no_memory(st, "a path");
    if (dataset_has(dataset, file)) return STATUS_OK;
    return status_set(st, STATUS_NOT_FOUND, "task mmlu_%s: %s is missing", subset, path);
}

static status_code load(const struct task *task, const char *subset, const char *split,
                        struct dataset *dataset, struct document_list *out, struct status *st)
{
    (void)task;
    const struct mmlu_question *questions;
    size_t n;
    status_code code = mmlu_load(dataset, subset, split, &questions, &n, st);
    if (code != STATUS_OK) return code;
    struct arena *arena = dataset_arena(dataset);
    struct mmlu_document *fields = arena_array(arena, n, sizeof *fields);
    struct document *items = arena_array(arena, n, sizeof *items);
    const char *subject = arena_strdup(arena, subset);
    if (!fields || !items || !subject) return status_no_memory(st, "documents");
    for (size_t i = 0; i < n; i++) {
        fields[i] = (struct mmlu_document){&questions[i], subject};
        items[i].fields = &fields[i];
    }
    *out = (struct document_list){items, n};
    return STATUS_OK;
}

static void description(const struct task *task, const char *subset, struct strbuf *out)
{
    (void)task;
    strbuf_append_str(out, "The following are multiple choice questions (with answers) about ");
    for (const char *p = subset; *p; p++) strbuf_append_char(out, *p == '_' ? ' ' : *p);
    strbuf_append_str(out, ".\n\n");
}

/* The question is stripped, the choices are not. */
static void doc_to_text(const struct task *task, const struct document *doc, struct strbuf *out)
{
    (void)task;
    const struct mmlu_document *fields = doc->fields;
    struct text question = utf8_strip(fields->question->question);
    strbuf_append(out, question.data, question.length);
    for (int i = 0; i < MMLU_CHOICES; i++) {
        strbuf_appendf(out, "\n%s. ", letters[i]);
        strbuf_append(out, fields->question->choices[i].data, fields->question->choices[i].length);
    }
    strbuf_append_str(out, "\nAnswer:");
}

static void doc_to_target(const struct task *task, const struct document *doc, struct strbuf *out)
{
    (void)task;
    const struct mmlu_document *fields = doc->fields;
    strbuf_append_str(out, letters[fields->question->answer]);
}

static int doc_to_choice(const struct task *task, const struct document *doc,
                         struct text choices[TASK_MAX_CHOICES], int *gold)
{
    (void)task;
    const struct mmlu_document *fields = doc->fields;
    for (int i = 0; i < MMLU_CHOICES; i++) choices[i] = text_of(letters[i]);
    *gold = fields->question->answer;
    return MMLU_CHOICES;
}

/* The columns of cais/mmlu, in its order. */
static void doc_to_json(const struct task *task, const struct document *doc, struct strbuf *out)
{
    (void)task;
    const struct mmlu_document *fields = doc->fields;
    strbuf_append_str(out, "{\n  \"question\": ");
    json_append_text(out, fields->question->question);
    strbuf_append_str(out, ",\n  \"subject\": ");
    json_append_str(out, fields->subject);
    strbuf_append_str(out, ",\n  \"choices\": [");
    for (int i = 0; i < MMLU_CHOICES; i++) {
        strbuf_append_str(out, i ? ",\n    " : "\n    ");
        json_append_text(out, fields->question->choices[i]);
    }
    strbuf_appendf(out, "\n  ],\n  \"answer\": %d\n}", fields->question->answer);
}

const struct task task_mmlu = {
    .name = "mmlu",
    .profile = "lm-eval",
    .version = "1.0",
    .summary = "57 subjects from school to profession, four choices a question",
    .dataset = "mmlu",
    .subsets = subjects,
    .subsets_key = "mmlu_subjects",
    .test_split = "test",
    .fewshot_split = "dev",
    .fewshot_sampler = FEWSHOT_FIRST_N,
    .num_fewshot = 5,
    .output_type = OUTPUT_MULTIPLE_CHOICE,
    .target_delimiter = " ",
    .fewshot_delimiter = "\n\n",
    .metrics = {{"acc", "mean", true}},
    .check_files = check_files,
    .load = load,
    .description = description,
    .doc_to_text = doc_to_text,
    .doc_to_target = doc_to_target,
    .doc_to_choice = doc_to_choice,
    .doc_to_json = doc_to_json,
    .score_reply = score_choice_letter,
    .score_choices = score_accuracy,
};
