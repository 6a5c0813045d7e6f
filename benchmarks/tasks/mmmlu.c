/* mmmlu as lm-evaluation-harness runs it (tasks/openai-mmmlu, version 1.0): MMLU's questions in
 * fourteen languages, without a description and without examples.  A leaf is a language with all
 * subjects, where lm-eval has one for each of both; the mean over the questions is the same. */
#include "benchmarks/tasks/tasks.h"

#include <string.h>

#include "datasets/mmmlu.h"
#include "engine/base/json.h"
#include "engine/base/utf8.h"

static const struct task_subset languages[] = {
    {"ar_xy", "mmmlu"}, {"bn_bd", "mmmlu"}, {"de_de", "mmmlu"}, {"es_la", "mmmlu"},
    {"fr_fr", "mmmlu"}, {"hi_in", "mmmlu"}, {"id_id", "mmmlu"}, {"it_it", "mmmlu"},
    {"ja_jp", "mmmlu"}, {"ko_kr", "mmmlu"}, {"pt_br", "mmmlu"}, {"sw_ke", "mmmlu"},
    {"yo_ng", "mmmlu"}, {"zh_cn", "mmmlu"}, {NULL, NULL},
};

static const char *const letters[MMLU_CHOICES] = {"A", "B", "C", "D"};

#define LOCALE_SIZE 16

/* "ar_xy" is the locale AR-XY. */
static void locale_of(const char *subset, char out[LOCALE_SIZE])
{
    size_t n = 0;
    for (; subset[n] && n + 1 < LOCALE_SIZE; n++)
        out[n] = subset[n] == '_' ? '-' : (char)(subset[n] - 'a' + 'A');
    out[n] = '\0';
}

static status_code check_files(const struct task *task, const char *subset, struct dataset *dataset,
                               struct status *st)
{
    char locale[LOCALE_SIZE];
    locale_of(subset, locale);
    return task_check_file(task, subset, dataset, mmmlu_file(dataset, locale), st);
}

static status_code load(const struct task *task, const char *subset, const char *split,
                        struct dataset *dataset, struct document_list *out, struct status *st)
{
    (void)task;
    (void)split;
    char locale[LOCALE_SIZE];
    const struct mmmlu_question *questions;
    size_t n;
    locale_of(subset, locale);
    status_code code = mmmlu_load(dataset, locale, &questions, &n, st);
    if (code != STATUS_OK) return code;
    return task_list_documents(dataset, questions, n, sizeof *questions, out, st);
}

static const struct mmlu_question *question_of(const struct document *doc)
{
    const struct mmmlu_question *fields = doc->fields;
    return &fields->question;
}

static void doc_to_text(const struct task *task, const struct document *doc, struct strbuf *out)
{
    (void)task;
    const struct mmlu_question *fields = question_of(doc);
    struct text question = utf8_strip(fields->question);
    strbuf_append(out, question.data, question.length);
    for (int i = 0; i < MMLU_CHOICES; i++) {
        strbuf_appendf(out, "\n%s. ", letters[i]);
        strbuf_append(out, fields->choices[i].data, fields->choices[i].length);
    }
    strbuf_append_str(out, "\nAnswer:");
}

static void doc_to_target(const struct task *task, const struct document *doc, struct strbuf *out)
{
    (void)task;
    strbuf_append_str(out, letters[question_of(doc)->answer]);
}

static int doc_to_choice(const struct task *task, const struct document *doc,
                         struct text choices[TASK_MAX_CHOICES], int *gold)
{
    (void)task;
    for (int i = 0; i < MMLU_CHOICES; i++) choices[i] = text_of(letters[i]);
    *gold = question_of(doc)->answer;
    return MMLU_CHOICES;
}

/* The named columns of openai/MMMLU, in its order. */
static void doc_to_json(const struct task *task, const struct document *doc, struct strbuf *out)
{
    (void)task;
    const struct mmmlu_question *fields = doc->fields;
    strbuf_append_str(out, "{\n  \"Question\": ");
    json_append_text(out, fields->question.question);
    for (int i = 0; i < MMLU_CHOICES; i++) {
        strbuf_appendf(out, ",\n  \"%s\": ", letters[i]);
        json_append_text(out, fields->question.choices[i]);
    }
    strbuf_appendf(out,
                   ",\n  \"Answer\": \"%s\",\n  \"Subject\": ", letters[fields->question.answer]);
    json_append_text(out, fields->subject);
    strbuf_append_str(out, "\n}");
}

const struct task task_mmmlu = {
    .name = "mmmlu",
    .profile = "lm-eval",
    .version = "1.0",
    .summary = "MMLU's questions in fourteen languages",
    .dataset = "mmmlu",
    .subsets = languages,
    .subsets_key = "mmmlu_languages",
    .test_split = "test",
    .output_type = OUTPUT_MULTIPLE_CHOICE,
    .target_delimiter = " ",
    .fewshot_delimiter = "\n\n",
    .metrics = {{.name = "acc", .aggregation = "mean", .higher_is_better = true},
                {.name = "acc_norm", .aggregation = "mean", .higher_is_better = true}},
    .check_files = check_files,
    .load = load,
    .doc_to_text = doc_to_text,
    .doc_to_target = doc_to_target,
    .doc_to_choice = doc_to_choice,
    .doc_to_json = doc_to_json,
    .score_reply = score_choice_letter,
    .score_choices = score_accuracy,
};
