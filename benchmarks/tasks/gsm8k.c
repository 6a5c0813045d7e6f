/* gsm8k as lm-evaluation-harness runs it (tasks/gsm8k: gsm8k 3.0, gsm8k_cot 3.0, gsm8k_cot_zeroshot
 * 3.0, gsm8k_cot_self_consistency 2.0), and as Google's notebook for Gemma did
 * (google-deepmind/gemma, colabs/gsm8k_eval.ipynb, 2024).
 *
 * The chain-of-thought prompts show the eight questions that Wei et al. published (2022,
 * arXiv 2201.11903, table 20).  Their worked solutions here are our own wording, one or two steps
 * that end with "The answer is N."; prompts therefore differ from others' in these sentences alone.
 */
#include "benchmarks/tasks/tasks.h"

#include <stdlib.h>

#include "datasets/gsm8k.h"
#include "engine/base/json.h"
#include "engine/base/limits.h"
#include "engine/base/regex.h"
#include "engine/base/utf8.h"

#define EXEMPLARS "exemplars" /* the split of the questions below */

static const struct {
    const char *question, *solution;
} exemplars[] = {
    {"There are 15 trees in the grove. Grove workers will plant trees in the grove today. After "
     "they are done, there will be 21 trees. How many trees did the grove workers plant today?",
     "The grove goes from 15 trees to 21 trees, so the workers add 21 - 15 = 6 trees. The answer "
     "is 6."},
    {"If there are 3 cars in the parking lot and 2 more cars arrive, how many cars are in the "
     "parking lot?",
     "3 cars are parked and 2 drive in, which makes 3 + 2 = 5 cars. The answer is 5."},
    {"Leah had 32 chocolates and her sister had 42. If they ate 35, how many pieces do they have "
     "left in total?",
     "The two of them own 32 + 42 = 74 chocolates. Once 35 are gone, 74 - 35 = 39 pieces remain. "
     "The answer is 39."},
    {"Jason had 20 lollipops. He gave Denny some lollipops. Now Jason has 12 lollipops. How many "
     "lollipops did Jason give to Denny?",
     "Of his 20 lollipops Jason keeps 12, so Denny receives 20 - 12 = 8. The answer is 8."},
    {"Shawn has five toys. For Christmas, he got two toys each from his mom and dad. How many "
     "toys does he have now?",
     "His mom and his dad bring two toys each, so 2 * 2 = 4 toys are new. With his own five that "
     "is 5 + 4 = 9 toys. The answer is 9."},
    {"There were nine computers in the server room. Five more computers were installed each day, "
     "from monday to thursday. How many computers are now in the server room?",
     "On 4 days, monday to thursday, 5 computers come in, so 4 * 5 = 20 are installed. Counting "
     "the first nine, the room holds 9 + 20 = 29 computers. The answer is 29."},
    {"Michael had 58 golf balls. On tuesday, he lost 23 golf balls. On wednesday, he lost 2 more. "
     "How many golf balls did he have at the end of wednesday?",
     "When tuesday is over Michael has 58 - 23 = 35 golf balls. Wednesday costs him 2 of these, "
     "and 35 - 2 = 33 are left. The answer is 33."},
    {"Olivia has $23. She bought five bagels for $3 each. How much money does she have left?",
     "Five bagels at $3 each cost 5 * 3 = 15 dollars. Out of $23 that leaves 23 - 15 = 8 dollars. "
     "The answer is 8."},
};
#define N_EXEMPLARS (sizeof exemplars / sizeof exemplars[0])

static status_code load_exemplars(struct dataset *dataset, const struct gsm8k_problem **out,
                                  size_t *count, struct status *st)
{
    struct gsm8k_problem *problems =
        arena_array(dataset_arena(dataset), N_EXEMPLARS, sizeof *problems);
    if (!problems) return status_no_memory(st, "documents");
    for (size_t i = 0; i < N_EXEMPLARS; i++)
        problems[i] =
            (struct gsm8k_problem){text_of(exemplars[i].question), text_of(exemplars[i].solution)};
    *out = problems;
    *count = N_EXEMPLARS;
    return STATUS_OK;
}

static status_code load(const struct task *task, const char *subset, const char *split,
                        struct dataset *dataset, struct document_list *out, struct status *st)
{
    (void)task;
    (void)subset;
    const struct gsm8k_problem *problems;
    size_t n;
    status_code code = strcmp(split, EXEMPLARS) == 0
                           ? load_exemplars(dataset, &problems, &n, st)
                           : gsm8k_load(dataset, split, &problems, &n, st);
    if (code != STATUS_OK) return code;
    return task_list_documents(dataset, problems, n, sizeof *problems, out, st);
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

/* ---- chain of thought ---- */

static void cot_text(const struct task *task, const struct document *doc, struct strbuf *out)
{
    (void)task;
    const struct gsm8k_problem *problem = doc->fields;
    strbuf_append_str(out, "Q: ");
    strbuf_append(out, problem->question.data, problem->question.length);
    strbuf_append_str(out, "\nA:");
}

static void zeroshot_text(const struct task *task, const struct document *doc, struct strbuf *out)
{
    cot_text(task, doc, out);
    strbuf_append_str(out, " Let's think step by step.");
}

/* The number behind the last "####", or the whole of what has none. */
static void number_target(const struct task *task, const struct document *doc, struct strbuf *out)
{
    (void)task;
    const struct gsm8k_problem *problem = doc->fields;
    struct text number = problem->answer;
    for (size_t i = 0; i + 4 <= problem->answer.length; i++)
        if (memcmp(problem->answer.data + i, "####", 4) == 0)
            number = (struct text){problem->answer.data + i + 4, problem->answer.length - i - 4};
    number = utf8_strip(number);
    strbuf_append(out, number.data, number.length);
}

/* ---- a majority of replies ---- */

static status_code add_majorities(const struct task_instance *instance, int64_t doc_id,
                                  struct score *scores, int n, struct arena *arena,
                                  struct status *st)
{
    (void)doc_id;
    (void)arena;
    (void)st;
    const struct task *task = task_instance_info(instance)->ref->task;
    int own = scores[0].n_values;
    for (int m = 0; m < TASK_MAX_METRICS && task->metrics[m].name; m++) {
        const struct metric *metric = &task->metrics[m];
        if (!metric->min_repeats || metric->min_repeats > n) continue;
        for (int v = 0; v < own; v++) {
            struct metric_value vote =
                scores[score_majority(scores, metric->min_repeats, v)].values[v];
            vote.metric = metric->name;
            for (int i = 0; i < n; i++) {
                BUG_IF(scores[i].n_values == SCORE_MAX_VALUES);
                scores[i].values[scores[i].n_values++] = vote;
            }
        }
    }
    return STATUS_OK;
}

/* ---- the Gemma notebook ---- */

static void notebook_preamble(const struct task *task, const char *subset, struct strbuf *out)
{
    (void)task;
    (void)subset;
    strbuf_append_str(out, "As an expert problem solver solve step by step the following "
                           "mathematical questions.\n\n");
}

static struct text after_last(struct text text, const char *delimiter)
{
    struct text after = {0};
    size_t n = strlen(delimiter);
    for (size_t i = 0; i + n <= text.length; i++)
        if (memcmp(text.data + i, delimiter, n) == 0)
            after = (struct text){text.data + i + n, text.length - i - n};
    return after;
}

/* The first number of a text, or the last; *out has no data when there is none. */
static status_code find_number(const struct regex *pattern, struct text text, bool first,
                               struct text *out, struct status *st)
{
    struct regex_scan scan = regex_scan_start(pattern, text);
    struct regex_match match;
    status_code code;
    while ((code = regex_scan_next(&scan, &match, st)) == STATUS_OK && match.found) {
        *out = match.group[0];
        if (first) break;
    }
    return code;
}

/* The first number behind the last "The answer is"; without one, the last number of all. */
static status_code notebook_number(const struct regex *pattern, struct text text, struct text *out,
                                   struct status *st)
{
    struct text tail = after_last(text, "The answer is");
    status_code code = STATUS_OK;
    *out = (struct text){0};
    if (tail.data) code = find_number(pattern, tail, true, out, st);
    if (code == STATUS_OK && !out->data) code = find_number(pattern, text, false, out, st);
    return code;
}

/* False when the text is too long for a number. */
static bool to_double(struct text text, double *out)
{
    char digits[64];
    size_t n = 0;
    for (size_t i = 0; i < text.length; i++) {
        if (text.data[i] == ',') continue;
        if (n + 1 == sizeof digits) return false;
        digits[n++] = text.data[i];
    }
    digits[n] = '\0';
    *out = strtod(digits, NULL);
    return n > 0;
}

/* `text` is the reply as valid UTF-8. */
static status_code compare_numbers(const struct regex *pattern, struct text target,
                                   struct text text, const struct reply *reply,
                                   struct metric_value *out, struct status *st)
{
    struct text wanted, given;
    double right = 0, answer = 0;
    status_code code = notebook_number(pattern, target, &wanted, st);
    if (code == STATUS_OK) code = notebook_number(pattern, text, &given, st);
    if (code != STATUS_OK) return code;
    bool equal = wanted.data && given.data && to_double(wanted, &right) &&
                 to_double(given, &answer) && !(right < answer) && !(right > answer);
    *out = (struct metric_value){
        .metric = "exact_match",
        .extraction = "none",
        .value = equal ? 1 : 0,
        .outcome = score_outcome(equal, given.data != NULL, reply),
        .extracted = given.data ? given : text_of(EXTRACTION_INVALID),
    };
    return STATUS_OK;
}

static status_code score_notebook(const struct task_instance *instance, int64_t doc_id,
                                  const struct reply *reply, struct arena *arena, struct score *out,
                                  struct status *st)
{
    const struct gsm8k_problem *problem = task_instance_document(instance, doc_id)->fields;
    struct regex *pattern;
    struct strbuf valid;
    status_code code = regex_compile(&pattern, "-?[\\d,]*\\.?\\d+", st);
    if (code != STATUS_OK) return code;
    *out = (struct score){.n_values = 1};
    strbuf_init(&valid, 3 * (size_t)LIMIT_REPLY_BYTES);
    utf8_append_valid(&valid, reply->text);
    code = strbuf_check(&valid, "reply", st);
    if (code == STATUS_OK)
        code = compare_numbers(pattern, problem->answer, (struct text){valid.data, valid.length},
                               reply, &out->values[0], st);
    if (code == STATUS_OK) {
        struct text *extracted = &out->values[0].extracted;
        out->outcome = out->values[0].outcome;
        extracted->data = arena_strndup(arena, extracted->data, extracted->length);
        if (!extracted->data) code = status_no_memory(st, "an extracted answer");
    }
    strbuf_release(&valid);
    regex_free(pattern);
    return code;
}

/* ---- rows ---- */

#define FLEXIBLE                                                                                   \
    {                                                                                              \
        .name = "flexible-extract", .pattern = "(-?[$0-9.,]{2,})|(-?[0-9]+)", .group_select = -1   \
    }
#define COMMON_ROW                                                                                 \
    .dataset = "gsm8k", .test_split = "test", .output_type = OUTPUT_GENERATE_UNTIL,                \
    .target_delimiter = " ", .fewshot_delimiter = "\n\n",                                          \
    .exact_match = {.regexes_to_ignore = {",", "\\$", "(?s).*#### ", "\\.$"},                      \
                    .ignore_case = true},                                                          \
    .load = load, .doc_to_json = doc_to_json
#define EXACT_MATCH .name = "exact_match", .aggregation = "mean", .higher_is_better = true

const struct task task_gsm8k = {
    COMMON_ROW,
    .name = "gsm8k",
    .profile = "lm-eval",
    .version = "3.0",
    .summary = "grade school word problems, answered with the steps",
    .fewshot_split = "train",
    .fewshot_sampler = FEWSHOT_RANDOM,
    .num_fewshot = 5,
    .until = {"Question:", "</s>", "<|im_end|>"},
    .max_gen_toks = 256,
    .metrics = {{EXACT_MATCH}},
    .extractions = {{.name = "strict-match", .pattern = "#### (\\-?[0-9\\.\\,]+)"}, FLEXIBLE},
    .doc_to_text = doc_to_text,
    .doc_to_target = doc_to_target,
    .score_reply = score_exact_match,
};

/* Its shots end with the words that its rule looks for, and a reply's numbers are compared as
 * numbers.  The notebook stops after 1024 tokens, prompt and reply together. */
const struct task task_gsm8k_notebook = {
    COMMON_ROW,
    .name = "gsm8k",
    .profile = "gemma-notebook",
    .version = "1.0",
    .summary = "the same after Google's notebook for Gemma, 8 worked examples",
    .fewshot_split = EXEMPLARS,
    .fewshot_sampler = FEWSHOT_FIRST_N,
    .num_fewshot = 8,
    .until = {"\nQ:"},
    .max_gen_toks = 1024,
    .metrics = {{EXACT_MATCH}},
    .description = notebook_preamble,
    .doc_to_text = cot_text,
    .doc_to_target = number_target,
    .score_reply = score_notebook,
};

/* The last character of the rule is a full stop that stands for any character: an answer at the
 * very end of a reply loses its last digit.  That is lm-eval's rule, and part of its scores. */
#define COT_RULE "The answer is (\\-?[0-9\\.\\,]+)."

const struct task task_gsm8k_cot = {
    COMMON_ROW,
    .name = "gsm8k_cot",
    .profile = "lm-eval",
    .version = "3.0",
    .summary = "grade school word problems after 8 worked examples",
    .fewshot_split = EXEMPLARS,
    .fewshot_sampler = FEWSHOT_FIRST_N,
    .num_fewshot = 8,
    .until = {"Q:", "</s>", "<|im_end|>"},
    .max_gen_toks = 256,
    .metrics = {{EXACT_MATCH}},
    .extractions = {{.name = "strict-match", .pattern = COT_RULE}, FLEXIBLE},
    .doc_to_text = cot_text,
    .doc_to_target = number_target,
    .score_reply = score_exact_match,
};

const struct task task_gsm8k_cot_zeroshot = {
    COMMON_ROW,
    .name = "gsm8k_cot_zeroshot",
    .profile = "lm-eval",
    .version = "3.0",
    .summary = "grade school word problems, asked to think step by step",
    .fewshot_split = "train",
    .fewshot_sampler = FEWSHOT_RANDOM,
    .num_fewshot = 0,
    .until = {"Q:", "</s>", "<|im_end|>"},
    .max_gen_toks = 256,
    .metrics = {{EXACT_MATCH}},
    .extractions = {{.name = "strict-match", .pattern = COT_RULE}, FLEXIBLE},
    .doc_to_text = zeroshot_text,
    .doc_to_target = doc_to_target,
    .score_reply = score_exact_match,
};

/* Wang et al. (2022).  exact_match is the mean over all replies, where lm-eval's score-first takes
 * the first reply alone; its maj@8 and maj@64 are reported as they are. */
const struct task task_gsm8k_cot_self_consistency = {
    COMMON_ROW,
    .name = "gsm8k_cot_self_consistency",
    .profile = "lm-eval",
    .version = "2.0",
    .summary = "gsm8k_cot with 64 replies to each problem, and what most of them say",
    .fewshot_split = EXEMPLARS,
    .fewshot_sampler = FEWSHOT_FIRST_N,
    .num_fewshot = 8,
    .until = {"Q:", "\n\n"},
    .max_gen_toks = 256,
    .repeats = 64,
    .sampling = {.temperature = 0.2},
    .metrics =
        {{EXACT_MATCH},
         {.name = "maj@8", .aggregation = "mean", .higher_is_better = true, .min_repeats = 8},
         {.name = "maj@64", .aggregation = "mean", .higher_is_better = true, .min_repeats = 64}},
    .extractions = {{.name = "score", .pattern = "The answer is (\\-?[0-9\\.\\,]*[0-9]+)"}},
    .doc_to_text = cot_text,
    .doc_to_target = number_target,
    .score_reply = score_exact_match,
    .score_repeats = add_majorities,
};
