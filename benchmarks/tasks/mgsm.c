/* mgsm as lm-evaluation-harness runs it (tasks/mgsm: direct 4.0, en_cot 3.0, native_cot 4.0; commit
 * 4e7e0d47): GSM8K's problems in eleven languages, answered with a number at once, with steps in
 * English, or with steps in the language itself.
 *
 * Some of its templates are not what one would expect, and are followed to the letter: the answer
 * is called "Answer:" in most languages, Russian has "Пошаговоерешение:" as one word, Japanese and
 * Chinese end the word for "question" with a full-width colon.  Its examples are not part of the
 * data files, so that there are none to show: 0-shot, as its default is. */
#include "benchmarks/tasks/tasks.h"

#include <string.h>

#include "datasets/mgsm.h"
#include "engine/base/json.h"

struct language {
    const char *code;
    const char *question;    /* in front of a question; also where a reply is cut */
    const char *answer;      /* behind it when the number is asked for at once */
    const char *steps;       /* behind it when steps are asked for */
    const char *native_rule; /* how a reply in the language gives its answer */
};

static const struct language languages[] = {
    {"bn", "প্রশ্ন:", "Answer:", "ধাপে ধাপে উত্তর:", "The answer is (\\-?[0-9\\.\\,]+)"},
    {"de",
     "Frage:", "Antwort:", "Schritt-für-Schritt-Antwort:", "Die Antwort lautet (\\-?[0-9\\.\\,]+)"},
    {"en", "Question:", "Answer:", "Step-by-Step Answer:", "The answer is (\\-?[0-9\\.\\,]+)"},
    {"es",
     "Pregunta:", "Respuesta:", "Respuesta paso a paso:", "La respuesta es (\\-?[0-9\\.\\,]+)"},
    {"fr",
     "Question :", "Réponse :", "Réponse étape par étape :", "La réponse est (\\-?[0-9\\.\\,]+)"},
    {"ja", "問題：", "Answer:", "ステップごとの答え:", "答えは(\\-?[0-9\\.\\,]+)です。"},
    {"ru", "Задача:", "Answer:", "Пошаговоерешение:", "Ответ — (\\-?[0-9\\.\\,]+)"},
    {"sw", "Swali:", "Answer:", "Jibu la Hatua kwa Hatua:", "Jibu ni (\\-?[0-9\\.\\,]+)"},
    {"te", "ప్రశ్న:", "Answer:", "దశలవారీగా సమాధానం:", "సమాధానం (\\-?[0-9\\.\\,]+)"},
    {"th", "โจทย์:", "Answer:", "คำตอบทีละขั้นตอน:", "คำตอบคือ (\\-?[0-9\\.\\,]+)"},
    {"zh", "问题：", "Answer:", "逐步解答:", "答案是 (\\-?[0-9\\.\\,]+)。"},
};
#define N_LANGUAGES (sizeof languages / sizeof languages[0])

/* A leaf's own row points to its language. */
static const struct language *language_of(const struct task *task)
{
    return task->settings;
}

static void set_language(struct task *row, const char *subset)
{
    size_t i = 0;
    while (i + 1 < N_LANGUAGES && strcmp(languages[i].code, subset) != 0) i++;
    row->settings = &languages[i];
    row->until[0] = languages[i].question;
}

static void set_native(struct task *row, const char *subset)
{
    set_language(row, subset);
    row->extractions[0].pattern = language_of(row)->native_rule;
}

static status_code check_files(const struct task *task, const char *subset, struct dataset *dataset,
                               struct status *st)
{
    return task_check_file(task, subset, dataset, mgsm_file(dataset, subset), st);
}

static status_code load(const struct task *task, const char *subset, const char *split,
                        struct dataset *dataset, struct document_list *out, struct status *st)
{
    (void)task;
    (void)split;
    const struct mgsm_problem *problems;
    size_t n;
    status_code code = mgsm_load(dataset, subset, &problems, &n, st);
    if (code != STATUS_OK) return code;
    return task_list_documents(dataset, problems, n, sizeof *problems, out, st);
}

static void append_prompt(const struct task *task, const struct document *doc, const char *answer,
                          struct strbuf *out)
{
    const struct mgsm_problem *problem = doc->fields;
    strbuf_appendf(out, "%s ", language_of(task)->question);
    strbuf_append(out, problem->question.data, problem->question.length);
    strbuf_appendf(out, "\n%s", answer);
}

static void direct_text(const struct task *task, const struct document *doc, struct strbuf *out)
{
    append_prompt(task, doc, language_of(task)->answer, out);
}

static void english_text(const struct task *task, const struct document *doc, struct strbuf *out)
{
    append_prompt(task, doc, "Step-by-Step Answer:", out);
}

static void native_text(const struct task *task, const struct document *doc, struct strbuf *out)
{
    append_prompt(task, doc, language_of(task)->steps, out);
}

static void doc_to_target(const struct task *task, const struct document *doc, struct strbuf *out)
{
    (void)task;
    const struct mgsm_problem *problem = doc->fields;
    strbuf_append(out, problem->answer.data, problem->answer.length);
}

/* The columns of juletxara/mgsm; test problems have no worked answer. */
static void doc_to_json(const struct task *task, const struct document *doc, struct strbuf *out)
{
    (void)task;
    const struct mgsm_problem *problem = doc->fields;
    strbuf_append_str(out, "{\n  \"question\": ");
    json_append_text(out, problem->question);
    strbuf_append_str(out, ",\n  \"answer\": null,\n  \"answer_number\": ");
    strbuf_append(out, problem->answer.data, problem->answer.length);
    strbuf_append_str(out, ",\n  \"equation_solution\": null\n}");
}

#define SUBSETS(group)                                                                             \
    {                                                                                              \
        {"bn", group}, {"de", group}, {"en", group}, {"es", group}, {"fr", group}, {"ja", group},  \
            {"ru", group}, {"sw", group}, {"te", group}, {"th", group}, {"zh", group},             \
        {                                                                                          \
            NULL, NULL                                                                             \
        }                                                                                          \
    }
static const struct task_subset direct_subsets[] = SUBSETS("mgsm_direct");
static const struct task_subset english_subsets[] = SUBSETS("mgsm_en_cot");
static const struct task_subset native_subsets[] = SUBSETS("mgsm_native_cot");

#define FLEXIBLE                                                                                   \
    {                                                                                              \
        .name = "flexible-extract", .pattern = "(-?[$0-9.,]{2,})|(-?[0-9]+)", .group_select = -1   \
    }
#define COMMON_ROW                                                                                 \
    .profile = "lm-eval", .dataset = "mgsm", .subsets_key = "mgsm_languages",                      \
    .test_split = "test", .output_type = OUTPUT_GENERATE_UNTIL, .fewshot_delimiter = "\n\n",       \
    .until = {"", "</s>", "<|im_end|>"}, .max_gen_toks = 256,                                      \
    .metrics = {{.name = "exact_match", .aggregation = "mean", .higher_is_better = true}},         \
    .exact_match = {.ignore_case = true, .ignore_punctuation = true}, .check_files = check_files,  \
    .load = load, .doc_to_target = doc_to_target, .doc_to_json = doc_to_json,                      \
    .score_reply = score_exact_match

const struct task task_mgsm_direct = {
    COMMON_ROW,
    .name = "mgsm_direct",
    .version = "4.0",
    .summary = "word problems in eleven languages, answered with a number",
    .subsets = direct_subsets,
    .target_delimiter = "",
    .extractions = {{.name = "remove_whitespace"}, FLEXIBLE},
    .specialise = set_language,
    .doc_to_text = direct_text,
};

const struct task task_mgsm_en_cot = {
    COMMON_ROW,
    .name = "mgsm_en_cot",
    .version = "3.0",
    .summary = "word problems in eleven languages, answered with steps in English",
    .subsets = english_subsets,
    .target_delimiter = " ",
    .extractions = {{.name = "strict-match", .pattern = "The answer is (\\-?[0-9\\.\\,]+)"},
                    FLEXIBLE},
    .specialise = set_language,
    .doc_to_text = english_text,
};

const struct task task_mgsm_native_cot = {
    COMMON_ROW,
    .name = "mgsm_native_cot",
    .version = "4.0",
    .summary = "word problems in eleven languages, answered with steps in the language",
    .subsets = native_subsets,
    .target_delimiter = " ",
    .extractions = {{.name = "strict-match", .pattern = ""}, FLEXIBLE},
    .specialise = set_native,
    .doc_to_text = native_text,
};
