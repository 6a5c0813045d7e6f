/* mmlu by several protocols:
 *
 *   lm-eval    lm-evaluation-harness (tasks/mmlu/default, version 1.0): the likeliest letter
 *   hendrycks  Hendrycks' own evaluate.py: two spaces before the subject, questions as they are,
 *              and fewer shots where the prompt has more than 2048 tokens.  It looks the letters up
 *              among the 100 likeliest next tokens; here they are always found
 *   cloze      lm-evaluation-harness's mmlu_continuation (1.0): the likeliest answer text
 *   generative its mmlu_generative (3.0): the first line that the model writes
 *   helm       HELM's wording, 5 tokens, the stripped reply must be the letter.  HELM draws the
 *              order of its five examples by their answers; here it is the file's
 *
 * Groups are lm-eval's, where anatomy counts as stem; hendrycks has its own, where it is other. */
#include "benchmarks/tasks/tasks.h"

#include "datasets/mmlu.h"
#include "engine/base/json.h"
#include "engine/base/utf8.h"

/* A question, and its subject, which the document's hash covers. */
struct mmlu_document {
    const struct mmlu_question *question;
    const char *subject;
};

#define SUBJECTS(anatomy_group)                                                                    \
    {                                                                                              \
        {"abstract_algebra", "mmlu_stem"}, {"anatomy", anatomy_group}, {"astronomy", "mmlu_stem"}, \
            {"business_ethics", "mmlu_other"}, {"clinical_knowledge", "mmlu_other"},               \
            {"college_biology", "mmlu_stem"}, {"college_chemistry", "mmlu_stem"},                  \
            {"college_computer_science", "mmlu_stem"}, {"college_mathematics", "mmlu_stem"},       \
            {"college_medicine", "mmlu_other"}, {"college_physics", "mmlu_stem"},                  \
            {"computer_security", "mmlu_stem"}, {"conceptual_physics", "mmlu_stem"},               \
            {"econometrics", "mmlu_social_sciences"}, {"electrical_engineering", "mmlu_stem"},     \
            {"elementary_mathematics", "mmlu_stem"}, {"formal_logic", "mmlu_humanities"},          \
            {"global_facts", "mmlu_other"}, {"high_school_biology", "mmlu_stem"},                  \
            {"high_school_chemistry", "mmlu_stem"}, {"high_school_computer_science", "mmlu_stem"}, \
            {"high_school_european_history", "mmlu_humanities"},                                   \
            {"high_school_geography", "mmlu_social_sciences"},                                     \
            {"high_school_government_and_politics", "mmlu_social_sciences"},                       \
            {"high_school_macroeconomics", "mmlu_social_sciences"},                                \
            {"high_school_mathematics", "mmlu_stem"},                                              \
            {"high_school_microeconomics", "mmlu_social_sciences"},                                \
            {"high_school_physics", "mmlu_stem"},                                                  \
            {"high_school_psychology", "mmlu_social_sciences"},                                    \
            {"high_school_statistics", "mmlu_stem"},                                               \
            {"high_school_us_history", "mmlu_humanities"},                                         \
            {"high_school_world_history", "mmlu_humanities"}, {"human_aging", "mmlu_other"},       \
            {"human_sexuality", "mmlu_social_sciences"}, {"international_law", "mmlu_humanities"}, \
            {"jurisprudence", "mmlu_humanities"}, {"logical_fallacies", "mmlu_humanities"},        \
            {"machine_learning", "mmlu_stem"}, {"management", "mmlu_other"},                       \
            {"marketing", "mmlu_other"}, {"medical_genetics", "mmlu_other"},                       \
            {"miscellaneous", "mmlu_other"}, {"moral_disputes", "mmlu_humanities"},                \
            {"moral_scenarios", "mmlu_humanities"}, {"nutrition", "mmlu_other"},                   \
            {"philosophy", "mmlu_humanities"}, {"prehistory", "mmlu_humanities"},                  \
            {"professional_accounting", "mmlu_other"}, {"professional_law", "mmlu_humanities"},    \
            {"professional_medicine", "mmlu_other"},                                               \
            {"professional_psychology", "mmlu_social_sciences"},                                   \
            {"public_relations", "mmlu_social_sciences"},                                          \
            {"security_studies", "mmlu_social_sciences"}, {"sociology", "mmlu_social_sciences"},   \
            {"us_foreign_policy", "mmlu_social_sciences"}, {"virology", "mmlu_other"},             \
            {"world_religions", "mmlu_humanities"},                                                \
        {                                                                                          \
            NULL, NULL                                                                             \
        }                                                                                          \
    }
static const struct task_subset subjects[] = SUBJECTS("mmlu_stem");
static const struct task_subset original_subjects[] = SUBJECTS("mmlu_other");

static const char *const letters[MMLU_CHOICES] = {"A", "B", "C", "D"};

static status_code check_files(const struct task *task, const char *subset, struct dataset *dataset,
                               struct status *st)
{
    return task_check_file(task, subset, dataset, mmlu_file(dataset, subset, task->test_split), st);
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

static void append_subject(const char *subset, struct strbuf *out)
{
    for (const char *p = subset; *p; p++) strbuf_append_char(out, *p == '_' ? ' ' : *p);
    strbuf_append_str(out, ".\n\n");
}

static void description(const struct task *task, const char *subset, struct strbuf *out)
{
    (void)task;
    strbuf_append_str(out, "The following are multiple choice questions (with answers) about ");
    append_subject(subset, out);
}

/* Its format_subject() begins with a space of its own. */
static void hendrycks_description(const struct task *task, const char *subset, struct strbuf *out)
{
    (void)task;
    strbuf_append_str(out, "The following are multiple choice questions (with answers) about  ");
    append_subject(subset, out);
}

static void cloze_description(const struct task *task, const char *subset, struct strbuf *out)
{
    (void)task;
    strbuf_append_str(out, "The following are questions (with answers) about ");
    append_subject(subset, out);
}

static void append_question(const struct mmlu_document *fields, struct text question,
                            struct strbuf *out)
{
    strbuf_append(out, question.data, question.length);
    for (int i = 0; i < MMLU_CHOICES; i++) {
        strbuf_appendf(out, "\n%s. ", letters[i]);
        strbuf_append(out, fields->question->choices[i].data, fields->question->choices[i].length);
    }
    strbuf_append_str(out, "\nAnswer:");
}

/* The question is stripped, the choices are not. */
static void doc_to_text(const struct task *task, const struct document *doc, struct strbuf *out)
{
    (void)task;
    const struct mmlu_document *fields = doc->fields;
    append_question(fields, utf8_strip(fields->question->question), out);
}

static void hendrycks_text(const struct task *task, const struct document *doc, struct strbuf *out)
{
    (void)task;
    const struct mmlu_document *fields = doc->fields;
    append_question(fields, fields->question->question, out);
}

static void helm_text(const struct task *task, const struct document *doc, struct strbuf *out)
{
    strbuf_append_str(out, "Question: ");
    hendrycks_text(task, doc, out);
}

static void cloze_text(const struct task *task, const struct document *doc, struct strbuf *out)
{
    (void)task;
    const struct mmlu_document *fields = doc->fields;
    struct text question = utf8_strip(fields->question->question);
    strbuf_append_str(out, "Question: ");
    strbuf_append(out, question.data, question.length);
    strbuf_append_str(out, "\nAnswer:");
}

static void doc_to_target(const struct task *task, const struct document *doc, struct strbuf *out)
{
    (void)task;
    const struct mmlu_document *fields = doc->fields;
    strbuf_append_str(out, letters[fields->question->answer]);
}

static void cloze_target(const struct task *task, const struct document *doc, struct strbuf *out)
{
    (void)task;
    const struct mmlu_document *fields = doc->fields;
    struct text choice = fields->question->choices[fields->question->answer];
    strbuf_append(out, choice.data, choice.length);
}

static int cloze_choice(const struct task *task, const struct document *doc,
                        struct text choices[TASK_MAX_CHOICES], int *gold)
{
    (void)task;
    const struct mmlu_document *fields = doc->fields;
    for (int i = 0; i < MMLU_CHOICES; i++) choices[i] = fields->question->choices[i];
    *gold = fields->question->answer;
    return MMLU_CHOICES;
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

#define COMMON_ROW                                                                                 \
    .name = "mmlu", .dataset = "mmlu", .subsets_key = "mmlu_subjects", .test_split = "test",       \
    .fewshot_split = "dev", .fewshot_sampler = FEWSHOT_FIRST_N, .num_fewshot = 5,                  \
    .target_delimiter = " ", .fewshot_delimiter = "\n\n", .check_files = check_files,              \
    .load = load, .doc_to_json = doc_to_json
#define MEAN(metric) .name = metric, .aggregation = "mean", .higher_is_better = true

const struct task task_mmlu = {
    COMMON_ROW,
    .profile = "lm-eval",
    .version = "1.0",
    .summary = "57 subjects from school to profession, four choices a question",
    .subsets = subjects,
    .output_type = OUTPUT_MULTIPLE_CHOICE,
    .metrics = {{MEAN("acc")}},
    .description = description,
    .doc_to_text = doc_to_text,
    .doc_to_target = doc_to_target,
    .doc_to_choice = doc_to_choice,
    .score_reply = score_choice_letter,
    .score_choices = score_accuracy,
};

const struct task task_mmlu_hendrycks = {
    COMMON_ROW,
    .profile = "hendrycks",
    .version = "1.0",
    .summary = "the same as its authors' code asks it",
    .subsets = original_subjects,
    .output_type = OUTPUT_MULTIPLE_CHOICE,
    .max_prompt_tokens = 2048,
    .metrics = {{MEAN("acc")}},
    .description = hendrycks_description,
    .doc_to_text = hendrycks_text,
    .doc_to_target = doc_to_target,
    .doc_to_choice = doc_to_choice,
    .score_reply = score_choice_letter,
    .score_choices = score_accuracy,
};

const struct task task_mmlu_cloze = {
    COMMON_ROW,
    .profile = "cloze",
    .version = "1.0",
    .summary = "the same, the likeliest answer text without seeing the choices",
    .subsets = subjects,
    .output_type = OUTPUT_MULTIPLE_CHOICE,
    .metrics = {{MEAN("acc")}, {MEAN("acc_norm")}},
    .description = cloze_description,
    .doc_to_text = cloze_text,
    .doc_to_target = cloze_target,
    .doc_to_choice = cloze_choice,
    .score_choices = score_accuracy,
};

const struct task task_mmlu_generative = {
    COMMON_ROW,
    .profile = "generative",
    .version = "3.0",
    .summary = "the same, the letter is written",
    .subsets = subjects,
    .output_type = OUTPUT_GENERATE_UNTIL,
    .until = {"</s>", "\n"},
    .max_gen_toks = 256,
    .metrics = {{MEAN("exact_match")}},
    .extractions = {{.name = "get_response", .pattern = "^(.*?)(?=\\n|$)"}},
    .exact_match = {.ignore_case = true, .ignore_punctuation = true},
    .description = description,
    .doc_to_text = doc_to_text,
    .doc_to_target = doc_to_target,
    .score_reply = score_exact_match,
};

const struct task task_mmlu_helm = {
    COMMON_ROW,
    .profile = "helm",
    .version = "1.0",
    .summary = "the same in HELM's words, the letter is written",
    .subsets = subjects,
    .output_type = OUTPUT_GENERATE_UNTIL,
    .until = {"\n"},
    .max_gen_toks = 5,
    .max_prompt_tokens = 2048,
    .metrics = {{MEAN("exact_match")}},
    .extractions = {{.name = "stripped"}},
    .description = description,
    .doc_to_text = helm_text,
    .doc_to_target = doc_to_target,
    .score_reply = score_exact_match,
};
