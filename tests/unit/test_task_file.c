/* Task files: the shipped ones byte for byte, all three kinds of output, bad files, noise. */
#include "tests/unit/scratch.h"
#include "tests/unit/suite.h"
#include "tests/unit/task_fixture.h"

#include <math.h>

#include "benchmarks/task_file.h"
#include "datasets/file_reader.h"
#include "datasets/jsonl_reader.h"
#include "engine/base/limits.h"
#include "engine/base/rng.h"

#define VECTORS "tests/vectors/task_files/prompts.jsonl"

static struct dataset_lookup data_dir(void)
{
    static char path[160];
    make_scratch();
    snprintf(path, sizeof path, "%s/data", scratch);
    return (struct dataset_lookup){.data_dir = path};
}

static const char *put_text(const char *relative, const char *text)
{
    return put(relative, text, strlen(text));
}

/* Writes a task file and returns its path, which the next call overwrites. */
static const char *put_task(const char *text)
{
    static char path[160];
    snprintf(path, sizeof path, "%s", put_text("tasks/t.json", text));
    return path;
}

/* ---- the shipped files ---- */

static void put_rows(const struct json_value *rows, const char *folder, const char *split)
{
    struct strbuf sb;
    char path[128];
    strbuf_init(&sb, 1 << 20);
    for (const struct json_value *row = json_first(rows); row; row = json_next(row)) {
        json_append_value(&sb, row);
        strbuf_append_char(&sb, '\n');
    }
    snprintf(path, sizeof path, "data/%s/%s.jsonl", folder, split);
    put(path, sb.data, sb.length);
    strbuf_release(&sb);
}

static void put_data(const char *task, const struct json_value *line)
{
    static const struct {
        const char *task, *folder, *split;
    } places[] = {
        {"arc_easy", "ai2_arc/ARC-Easy", "test"},
        {"arc_challenge", "ai2_arc/ARC-Challenge", "test"},
        {"winogrande", "winogrande/winogrande_xl", "validation"},
        {"piqa", "piqa", "validation"},
        {"boolq", "super_glue/boolq", "validation"},
        {"truthfulqa_mc1", "truthful_qa/multiple_choice", "validation"},
        {"truthfulqa_mc2", "truthful_qa/multiple_choice", "validation"},
    };
    size_t i = 0;
    while (strcmp(places[i].task, task) != 0) i++;
    put_rows(json_member(line, "rows"), places[i].folder, places[i].split);
    put_rows(json_member(line, "pool"), places[i].folder, "train");
}

static struct text text_at(const struct json_value *object, const char *key)
{
    struct status st = {0};
    struct text text;
    ASSERT_OK(json_get_text(object, key, &text, &st));
    return text;
}

static int64_t int_at(const struct json_value *object, const char *key)
{
    struct status st = {0};
    int64_t number;
    ASSERT_OK(json_get_int(object, key, 0, 1000, &number, &st));
    return number;
}

static void check_texts(const struct json_value *expected, const struct text *actual, int n)
{
    CU_ASSERT_EQUAL(json_count(expected), (size_t)n);
    int i = 0;
    for (const struct json_value *e = json_first(expected); e && i < n; e = json_next(e), i++) {
        if (!text_equal(json_text(e), actual[i]))
            fprintf(stderr, "  \"%.*s\", expected \"%.*s\"\n", TEXT_ARGS(actual[i]),
                    TEXT_ARGS(json_text(e)));
        CU_ASSERT_TRUE(text_equal(json_text(e), actual[i]));
    }
}

static void check_prompt(const struct json_value *line)
{
    struct status st = {0};
    struct dataset_lookup lookup = data_dir();
    char name[64];
    struct arena arena;
    struct task_request r;
    snprintf(name, sizeof name, "%.*s", TEXT_ARGS(text_at(line, "task")));
    struct task_instance *task = load(name, (int)int_at(line, "shots"), &lookup);
    arena_init(&arena, 1 << 20);
    ASSERT_OK(task_instance_render(task, int_at(line, "doc_id"), &arena, &r, &st));
    check_texts(json_member(line, "contexts"), r.contexts ? r.contexts : &r.context,
                r.contexts ? r.n_continuations : 1);
    check_texts(json_member(line, "continuations"), r.continuations, r.n_continuations);
    CU_ASSERT_EQUAL(r.gold, int_at(line, "gold"));
    CU_ASSERT_TRUE(text_equal(text_of(r.doc_hash), text_at(line, "doc_hash")));
    arena_release(&arena);
    task_instance_free(task);
}

static void test_shipped_prompts(void)
{
    struct status st = {0};
    struct strbuf bytes;
    struct file_digests digests;
    struct json_value *line;
    int n = 0;
    strbuf_init(&bytes, 1 << 20);
    ASSERT_OK(file_read(&bytes, &digests, VECTORS, &st));
    struct jsonl_reader reader =
        jsonl_reader_start(VECTORS, (struct text){bytes.data, bytes.length});
    while (jsonl_reader_next(&reader, &line, &st) == STATUS_OK && line) {
        char task[64];
        snprintf(task, sizeof task, "%.*s", TEXT_ARGS(text_at(line, "task")));
        if (json_has(line, "rows")) {
            put_data(task, line);
        } else {
            check_prompt(line);
            n++;
        }
        json_free(line);
    }
    CU_ASSERT_EQUAL(n, 36);
    strbuf_release(&bytes);
}

static void test_shipped_files(void)
{
    struct status st = {0};
    const char *name;
    size_t n = 0;
    for (; (name = task_file_shipped_at(n)) != NULL; n++) {
        struct task_file *file;
        ASSERT_OK(task_file_open_shipped(&file, text_of(name), &st));
        CU_ASSERT_STRING_EQUAL(task_file_row(file)->name, name);
        CU_ASSERT_STRING_EQUAL(task_file_row(file)->profile, "lm-eval");
        CU_ASSERT_EQUAL(strlen(task_file_get_info(file)->sha256), 64);
        task_file_release(file);
    }
    CU_ASSERT_EQUAL(n, 7);
}

/* ---- scores of choices ---- */

static void test_accuracies(void)
{
    struct status st = {0};
    struct score score;
    put_text("data/piqa/validation.jsonl",
             "{\"goal\": \"g\", \"sol1\": \"\\u00e9\\u00e9\\u00e9\\u00e9\", \"sol2\": \"abcdefg\", "
             "\"label\": 1}\n");
    struct dataset_lookup lookup = data_dir();
    struct task_instance *task = load("piqa", 0, &lookup);
    const double logprobs[2] = {-4, -6.5}; /* by code points -1 and -0.93 */
    ASSERT_OK(task_instance_score_choices(task, 0, logprobs, 2, &score, &st));
    CU_ASSERT_EQUAL_FATAL(score.n_values, 2);
    CU_ASSERT_STRING_EQUAL(score.values[0].metric, "acc");
    CU_ASSERT_EQUAL(score.values[0].value, 0);
    CU_ASSERT_STRING_EQUAL(score.values[1].metric, "acc_norm");
    CU_ASSERT_EQUAL(score.values[1].value, 1);
    task_instance_free(task);
}

/* exp(ll) of the true choices over that of all; of log-probabilities far below what exp() can say
 * too. */
static void test_mc2(void)
{
    struct status st = {0};
    struct score score;
    put_text("data/truthful_qa/multiple_choice/validation.jsonl",
             "{\"question\": \"q\", \"mc2_targets\": {\"choices\": [\"a\", \"b\", \"c\"], "
             "\"labels\": [1, 0, 1]}}\n");
    struct dataset_lookup lookup = data_dir();
    struct task_instance *task = load("truthfulqa_mc2", 0, &lookup);
    for (int shift = 0; shift <= 2000; shift += 1000) {
        const double logprobs[3] = {log(0.2) - shift, log(0.5) - shift, log(0.1) - shift};
        ASSERT_OK(task_instance_score_choices(task, 0, logprobs, 3, &score, &st));
        CU_ASSERT_EQUAL_FATAL(score.n_values, 1);
        CU_ASSERT_STRING_EQUAL(score.values[0].metric, "mc2");
        CU_ASSERT_DOUBLE_EQUAL(score.values[0].value, 0.3 / 0.8, 1e-12);
        CU_ASSERT_EQUAL(score.outcome, OUTCOME_WRONG);
    }
    const double better[3] = {log(0.2), log(0.1), log(0.1)};
    ASSERT_OK(task_instance_score_choices(task, 0, better, 3, &score, &st));
    CU_ASSERT_DOUBLE_EQUAL(score.values[0].value, 0.75, 1e-12);
    CU_ASSERT_EQUAL(score.outcome, OUTCOME_CORRECT);
    task_instance_free(task);
}

/* ---- other kinds of output ---- */

static const char lambada[] =
    "{\"task\": \"cloze\", \"dataset_path\": \"json\", "
    "\"dataset_kwargs\": {\"data_files\": {\"test\": \"cloze.tsv\"}}, \"test_split\": \"test\", "
    "\"output_type\": \"loglikelihood\", \"doc_to_text\": \"{{text.split(' ')[:-1]|join(' ')}}\", "
    "\"doc_to_target\": \"{{' ' + text.split(' ')[-1]}}\", \"metric_list\": [{\"metric\": "
    "\"acc\"}, "
    "{\"metric\": \"loglikelihood\"}], \"metadata\": {\"version\": 1}}";

static void test_loglikelihood(void)
{
    struct status st = {0};
    struct arena arena;
    struct task_request r;
    struct score score;
    struct dataset_lookup lookup = data_dir();
    put_text("tasks/cloze.tsv", "id\ttext\n1\tthe cat sat\n");
    struct task_instance *task = load(put_task(lambada), 0, &lookup);
    arena_init(&arena, 1 << 16);
    ASSERT_OK(task_instance_render(task, 0, &arena, &r, &st));
    CU_ASSERT_STRING_EQUAL(r.context.data, "the cat");
    CU_ASSERT_EQUAL_FATAL(r.n_continuations, 1);
    CU_ASSERT_STRING_EQUAL(r.continuations[0].data, " sat");
    CU_ASSERT_EQUAL(r.gold, 0);
    ASSERT_OK(task_instance_score_loglikelihood(task, 0, -2.5, true, &score, &st));
    CU_ASSERT_EQUAL_FATAL(score.n_values, 2);
    CU_ASSERT_EQUAL(score.values[0].value, 1);
    CU_ASSERT_EQUAL(score.values[1].value, -2.5);
    CU_ASSERT_EQUAL(score.outcome, OUTCOME_CORRECT);
    ASSERT_OK(task_instance_score_loglikelihood(task, 0, -3, false, &score, &st));
    CU_ASSERT_EQUAL(score.values[0].value, 0);
    ASSERT_FAILS(task_instance_score_loglikelihood(task, 0, (double)NAN, false, &score, &st),
                 STATUS_BAD_INPUT, "not a number");
    arena_release(&arena);
    task_instance_free(task);
}

static const char capitals[] =
    "{\"task\": \"capitals\", \"dataset_path\": \"csv\", \"dataset_kwargs\": {\"data_files\": "
    "{\"train\": \"train.csv\", \"test\": \"test.csv\"}}, \"training_split\": \"train\", "
    "\"test_split\": \"test\", \"num_fewshot\": 1, \"fewshot_config\": {\"sampler\": \"first_n\"}, "
    "\"output_type\": \"generate_until\", \"description\": \"Capitals.\\n\", "
    "\"doc_to_text\": \"{{country|upper}}:\", \"doc_to_target\": \"{{city}}\", "
    "\"target_delimiter\": \" -> \", \"fewshot_delimiter\": \"\\n\", "
    "\"generation_kwargs\": {\"until\": [\"\\n\", \";\"], \"max_gen_toks\": 7, \"do_sample\": "
    "true, "
    "\"temperature\": 0.5}, \"repeats\": 2, "
    "\"filter_list\": [{\"name\": \"first-word\", \"filter\": [{\"function\": "
    "\"remove_whitespace\"},"
    " {\"function\": \"regex\", \"regex_pattern\": \"^(\\\\w+)\", \"fallback\": \"?\"}, "
    "{\"function\": \"lowercase\"}, {\"function\": \"take_first\"}]}, "
    "{\"name\": \"whole\", \"filter\": [{\"function\": \"take_first\"}]}], "
    "\"metric_list\": [{\"metric\": \"exact_match\", \"ignore_case\": true, "
    "\"ignore_punctuation\": "
    "true, \"ignore_numbers\": true, \"regexes_to_ignore\": [\"the \"]}], "
    "\"metadata\": {\"version\": \"2.1\", \"profile\": \"mine\", \"description\": \"d\"}}";

static void check_reply(const struct task_instance *task, const char *text, double first,
                        double whole, const char *extracted)
{
    struct status st = {0};
    struct arena arena;
    struct score score;
    arena_init(&arena, 1 << 16);
    const struct reply reply = {.text = text_of(text)};
    ASSERT_OK(task_instance_score_reply(task, 0, &reply, &arena, &score, &st));
    CU_ASSERT_EQUAL_FATAL(score.n_values, 2);
    CU_ASSERT_STRING_EQUAL(score.values[0].extraction, "first-word");
    CU_ASSERT_STRING_EQUAL(score.values[1].extraction, "whole");
    CU_ASSERT_EQUAL(score.values[0].value, first);
    CU_ASSERT_EQUAL(score.values[1].value, whole);
    CU_ASSERT_STRING_EQUAL(score.values[0].extracted.data, extracted);
    CU_ASSERT_STRING_EQUAL(score.values[1].extracted.data, text);
    arena_release(&arena);
}

static void test_generation(void)
{
    struct status st = {0};
    struct arena arena;
    struct task_request r;
    struct dataset_lookup lookup = data_dir();
    put_text("tasks/train.csv", "country,city\nSpain,Madrid\n");
    put_text("tasks/test.csv", "city,country\nParis,\"France, the\"\n");
    struct task_instance *task = load(put_task(capitals), TASK_DEFAULT_FEWSHOT, &lookup);
    const struct task *row = task_instance_info(task)->ref->task;
    CU_ASSERT_STRING_EQUAL(row->version, "2.1");
    CU_ASSERT_STRING_EQUAL(row->profile, "mine");
    CU_ASSERT_EQUAL(task_repeats(row), 2);
    CU_ASSERT_DOUBLE_EQUAL(task_sampling(row).temperature, 0.5, 0);
    arena_init(&arena, 1 << 16);
    ASSERT_OK(task_instance_render(task, 0, &arena, &r, &st));
    CU_ASSERT_STRING_EQUAL(r.context.data, "Capitals.\nSPAIN: -> Madrid\nFRANCE, THE:");
    CU_ASSERT_STRING_EQUAL(r.target.data, "Paris");
    CU_ASSERT_EQUAL_FATAL(r.n_until, 2);
    CU_ASSERT_STRING_EQUAL(r.until[1].data, ";");
    CU_ASSERT_EQUAL(r.max_gen_toks, 7);
    check_reply(task, " Paris, of course", 1, 0, "paris");
    check_reply(task, "the PARIS.", 0, 1, "the");
    check_reply(task, "pa1ris", 1, 1, "pa1ris");
    check_reply(task, "--", 0, 0, "?");
    arena_release(&arena);
    task_instance_free(task);
}

/* ---- where tasks are named ---- */

static void test_names(void)
{
    struct status st = {0};
    struct task_selection selection;
    struct dataset_lookup lookup = data_dir();
    char names[512], folder[160];
    struct strbuf resolved;
    strbuf_init(&resolved, 1 << 12);
    put_text("tasks/cloze.tsv", "id\ttext\n1\tthe cat sat\n");
    const char *path = put_task(lambada);
    snprintf(names, sizeof names, "%s,boolq", path);
    ASSERT_OK(task_registry_select(&selection, names, NULL, &lookup, &st));
    CU_ASSERT_EQUAL_FATAL(selection.count, 2);
    CU_ASSERT_STRING_EQUAL(selection.refs[0].name, "cloze");
    CU_ASSERT_STRING_EQUAL(selection.refs[1].name, "boolq");
    task_selection_release(&selection);
    ASSERT_FAILS(task_registry_select(&selection, "boolq", "helm", &lookup, &st), STATUS_USAGE,
                 "no profile \"helm\"");
    ASSERT_FAILS(task_registry_select(&selection, "nothere.json", NULL, &lookup, &st),
                 STATUS_NOT_FOUND, "nothere.json");
    put_task(
        "{\"task\": \"gsm8k\", \"dataset_path\": \"d\", \"test_split\": \"test\", "
        "\"output_type\": \"generate_until\", \"doc_to_text\": \"q\", \"doc_to_target\": \"a\", "
        "\"metric_list\": [{\"metric\": \"exact_match\"}], \"metadata\": {\"version\": 1}}");
    ASSERT_FAILS(task_registry_select(&selection, path, NULL, &lookup, &st), STATUS_BAD_INPUT,
                 "field \"task\" is \"gsm8k\"");
    snprintf(folder, sizeof folder, "%s/tasks", scratch);
    ASSERT_OK(task_registry_resolve(&resolved, "mmlu,t,x.json", folder, &st));
    snprintf(names, sizeof names, "mmlu,%s/t.json,x.json", folder);
    CU_ASSERT_STRING_EQUAL(resolved.data, names);
    ASSERT_FAILS(task_registry_resolve(&resolved, "mmlu", "/no/such/folder", &st), STATUS_NOT_FOUND,
                 "/no/such/folder");
    strbuf_release(&resolved);
}

/* ---- bad files ---- */

#define GOOD                                                                                       \
    "{\"task\": \"t\", \"dataset_path\": \"d\", \"test_split\": \"test\", \"output_type\": "       \
    "\"multiple_choice\", \"doc_to_text\": \"{{q}}\", \"doc_to_target\": \"a\", "                  \
    "\"doc_to_choice\": [\"x\", \"y\"], \"metric_list\": [{\"metric\": \"acc\"}], \"metadata\": "  \
    "{\"version\": \"1\"}}"
#define GENERATES                                                                                  \
    "{\"task\": \"t\", \"dataset_path\": \"d\", \"test_split\": \"test\", \"output_type\": "       \
    "\"generate_until\", \"doc_to_text\": \"{{q}}\", \"doc_to_target\": \"a\", \"metric_list\": "  \
    "[{\"metric\": \"exact_match\"}], \"metadata\": {\"version\": \"1\"}}"

/* `text` with the first `from` replaced by `to`. */
static void replace(struct strbuf *out, const char *text, const char *from, const char *to)
{
    const char *at = strstr(text, from);
    CU_ASSERT_PTR_NOT_NULL_FATAL(at);
    strbuf_clear(out);
    strbuf_append(out, text, (size_t)(at - text));
    strbuf_append_str(out, to);
    strbuf_append_str(out, at + strlen(from));
}

static const struct {
    const char *whole, *from, *to, *says;
} bad_files[] = {
    {GOOD, GOOD, "", "not valid JSON"},
    {GOOD, GOOD, "[]", "is an array, expected an object"},
    {GOOD, "\"task\": \"t\", ", "", "field \"task\" is missing"},
    {GOOD, "\"t\"", "\"a b\"", "field \"task\" must be"},
    {GOOD, "\"t\"", "\"t\", \"tag\": \"x\"", "unknown field \"tag\""},
    {GOOD, "\"t\"", "\"t\", \"should_decontaminate\": true",
     "unknown field \"should_decontaminate\""},
    {GOOD, "\"t\"", "\"t\", \"task\": \"u\"", "field \"task\" is there twice"},
    {GOOD, "\"dataset_path\": \"d\"", "\"dataset_path\": 1", "field \"dataset_path\" is a number"},
    {GOOD, "\"dataset_path\": \"d\", ", "", "field \"dataset_path\" is missing"},
    {GOOD, "\"d\"", "\"../d\"", "field \"dataset_path\" is no name"},
    {GOOD, "\"d\"", "\"/etc\"", "field \"dataset_path\" is no name"},
    {GOOD, "\"d\"", "\"a/\"", "field \"dataset_path\" is no name"},
    {GOOD, "\"d\"", "\"d\", \"dataset_name\": \"a/../../b\"", "field \"dataset_name\" is no name"},
    {GOOD, "\"d\"", "\"json\"", "field \"dataset_kwargs\" is missing"},
    {GOOD, "\"d\"", "\"json\", \"dataset_name\": \"x\"", "field \"dataset_name\" has no meaning"},
    {GOOD, "\"d\"", "\"d\", \"dataset_kwargs\": {}", "field \"data_files\" is missing"},
    {GOOD, "\"d\"", "\"d\", \"dataset_kwargs\": {\"trust\": 1}", "unknown field \"trust\""},
    {GOOD, "\"d\"", "\"d\", \"dataset_kwargs\": {\"data_files\": {\"test\": \"../x\"}}",
     "field \"test\" is no path"},
    {GOOD, "\"d\"", "\"d\", \"dataset_kwargs\": {\"data_files\": {\"test\": 1}}",
     "field \"data_files\": field \"test\" is a number"},
    {GOOD, "\"test_split\": \"test\", ", "", "field \"test_split\" is missing"},
    {GOOD, "\"test_split\"", "\"num_fewshot\": -1, \"test_split\"", "field \"num_fewshot\" is -1"},
    {GOOD, "\"test_split\"", "\"fewshot_config\": {\"sampler\": \"balanced\"}, \"test_split\"",
     "field \"fewshot_config\": field \"sampler\""},
    {GOOD, "\"test_split\"",
     "\"fewshot_split\": \"test\", \"fewshot_config\": {\"sampler\": \"first_n\"}, \"test_split\"",
     "needs a split of its own"},
    {GOOD, "multiple_choice", "loglikelihood_rolling", "field \"output_type\" is none of"},
    {GOOD, "\"doc_to_text\": \"{{q}}\", ", "", "field \"doc_to_text\" is missing"},
    {GOOD, "{{q}}", "{{q", "field \"doc_to_text\": at character 4"},
    {GOOD, "{{q}}", "{{q|title}}", "there is no filter \"title\""},
    {GOOD, "\"doc_to_target\": \"a\", ", "", "field \"doc_to_target\" is missing"},
    {GOOD, "\"doc_to_target\": \"a\"", "\"doc_to_target\": 99", "field \"doc_to_target\" is 99"},
    {GOOD, "\"doc_to_target\": \"a\"", "\"doc_to_target\": [1]", "\"doc_to_target\" is an array"},
    {GOOD, "\"doc_to_choice\": [\"x\", \"y\"], ", "", "field \"doc_to_choice\" is missing"},
    {GOOD, "[\"x\", \"y\"]", "[]", "field \"doc_to_choice\" has 0 choices"},
    {GOOD, "[\"x\", \"y\"]", "[1]", "field \"doc_to_choice\" holds what is no text"},
    {GOOD, "[\"x\", \"y\"]", "{\"a\": 1}", "field \"doc_to_choice\" is an object"},
    {GOOD, "multiple_choice", "loglikelihood", "field \"doc_to_choice\" has no meaning"},
    {GOOD, "\"metric_list\"", "\"description\": \"{{q}}\", \"metric_list\"",
     "field \"description\" is no template"},
    {GOOD, "\"metric_list\"", "\"repeats\": 2, \"metric_list\"",
     "field \"repeats\" has meaning for"},
    {GOOD, "\"metric_list\"", "\"generation_kwargs\": {}, \"metric_list\"",
     "field \"generation_kwargs\" has meaning for"},
    {GOOD, "\"acc\"", "\"exact_match\"", "field \"metric\" is \"exact_match\""},
    {GOOD, "\"acc\"", "\"mc2\"", "field \"labels\" is missing"},
    {GOOD, "\"acc\"", "\"acc\", \"labels\": \"l\"", "field \"labels\" has meaning for mc2 alone"},
    {GOOD, "\"acc\"", "\"acc\", \"aggregation\": \"median\"", "field \"aggregation\" is not"},
    {GOOD, "\"acc\"", "\"acc\", \"higher_is_better\": 1", "field \"higher_is_better\" is a number"},
    {GOOD, "[{\"metric\": \"acc\"}]", "[]", "field \"metric_list\" has 0 entries"},
    {GOOD, "[{\"metric\": \"acc\"}]", "[{\"metric\": \"acc\"}, {\"metric\": \"acc\"}]",
     "field \"metric\" is there twice"},
    {GOOD, "[{\"metric\": \"acc\"}]", "[\"acc\"]", "field \"metric_list\": is a string"},
    {GOOD, "\"version\": \"1\"", "", "field \"metadata\": field \"version\" is missing"},
    {GOOD, "\"version\": \"1\"", "\"version\": \"1\", \"x\": 1", "unknown field \"x\""},
    {GENERATES, "\"metric_list\"", "\"repeats\": 0, \"metric_list\"", "field \"repeats\" is 0"},
    {GENERATES, "\"metric_list\"", "\"generation_kwargs\": {\"top\": 1}, \"metric_list\"",
     "field \"generation_kwargs\": unknown field \"top\""},
    {GENERATES, "\"metric_list\"", "\"generation_kwargs\": {\"temperature\": 1}, \"metric_list\"",
     "field \"temperature\" is above 0"},
    {GENERATES, "\"metric_list\"",
     "\"generation_kwargs\": {\"do_sample\": true, \"top_p\": 3}, \"metric_list\"", "top-p 3"},
    {GENERATES, "\"metric_list\"", "\"generation_kwargs\": {\"until\": [\"\"]}, \"metric_list\"",
     "field \"until\" holds an empty text"},
    {GENERATES, "\"metric_list\"", "\"generation_kwargs\": {\"until\": 3}, \"metric_list\"",
     "field \"until\" is neither"},
    {GENERATES, "\"metric_list\"", "\"generation_kwargs\": {\"max_gen_toks\": 0}, \"metric_list\"",
     "field \"max_gen_toks\" is 0"},
    {GENERATES, "\"metric_list\"", "\"filter_list\": [], \"metric_list\"",
     "field \"filter_list\" has 0 entries"},
    {GENERATES, "\"metric_list\"", "\"filter_list\": [{\"name\": \"x\"}], \"metric_list\"",
     "field \"filter\" is missing"},
    {GENERATES, "\"metric_list\"",
     "\"filter_list\": [{\"name\": \"x\", \"filter\": [{\"function\": \"custom\"}]}], "
     "\"metric_list\"",
     "field \"function\" is \"custom\""},
    {GENERATES, "\"metric_list\"",
     "\"filter_list\": [{\"name\": \"x\", \"filter\": [{\"function\": \"take_first_k\"}]}], "
     "\"metric_list\"",
     "field \"k\" is missing"},
    {GENERATES, "\"metric_list\"",
     "\"filter_list\": [{\"name\": \"x\", \"filter\": [{\"function\": \"take_first_k\", \"k\": "
     "3}]}], "
     "\"metric_list\"",
     "take_first_k has meaning before majority_vote alone"},
    {GENERATES, "\"metric_list\"",
     "\"filter_list\": [{\"name\": \"x\", \"filter\": [{\"function\": \"majority_vote\"}, "
     "{\"function\": \"lowercase\"}]}], \"metric_list\"",
     "field \"function\" changes an answer after the vote"},
    {GENERATES, "\"metric_list\"",
     "\"filter_list\": [{\"name\": \"maj 8\", \"filter\": []}], \"metric_list\"",
     "field \"name\" must be"},
    {GENERATES, "\"metric_list\"", "\"generation_kwargs\": {\"temperature\": -1}, \"metric_list\"",
     "field \"temperature\" is below 0"},
    {GOOD, "\"t\"", "\"t\", \"process_docs\": \"!function utils.f\"",
     "field \"process_docs\" is Python"},
    {GOOD, "\"t\"", "\"t\", \"include\": \"u.yaml\"", "field \"include\" is not followed"},
    {GENERATES, "\"metric_list\"",
     "\"filter_list\": [{\"name\": \"x\", \"filter\": [{\"function\": \"regex\"}]}], "
     "\"metric_list\"",
     "field \"regex_pattern\" is missing"},
    {GENERATES, "\"metric_list\"",
     "\"filter_list\": [{\"name\": \"x\", \"filter\": [{\"function\": \"lowercase\", \"fallback\": "
     "\"x\"}]}], \"metric_list\"",
     "field \"fallback\" has meaning for regex alone"},
    {GENERATES, "\"metric_list\"",
     "\"filter_list\": [{\"name\": \"x\", \"filter\": [{\"function\": \"regex\", "
     "\"regex_pattern\": \"(\"}]}], \"metric_list\"",
     "field \"filter_list\": field \"filter\": field \"regex_pattern\": pattern \"(\""},
    {GENERATES, "\"metric_list\"",
     "\"filter_list\": [{\"name\": \"x\", \"filter\": []}, {\"name\": \"x\", \"filter\": []}], "
     "\"metric_list\"",
     "field \"name\" is there twice"},
    {GENERATES, "\"exact_match\"", "\"exact_match\", \"regexes_to_ignore\": [1]",
     "field \"regexes_to_ignore\" holds what is no text"},
};
#define N_BAD_FILES (sizeof bad_files / sizeof bad_files[0])

static void test_bad_files(void)
{
    struct strbuf text;
    struct status st = {0};
    struct task_file *file;
    strbuf_init(&text, 1 << 12);
    ASSERT_OK(task_file_open(&file, put_task(GOOD), &st));
    task_file_release(file);
    ASSERT_OK(task_file_open(&file, put_task(GENERATES), &st));
    task_file_release(file);
    for (size_t i = 0; i < N_BAD_FILES; i++) {
        replace(&text, bad_files[i].whole, bad_files[i].from, bad_files[i].to);
        const char *path = put("tasks/t.json", text.data ? text.data : "", text.length);
        memset(&st, 0, sizeof st);
        ASSERT_FAILS(task_file_open(&file, path, &st), STATUS_BAD_INPUT, bad_files[i].says);
        CU_ASSERT_PTR_NOT_NULL(strstr(st.message, "t.json"));
    }
    strbuf_release(&text);
}

/* Rows that a good file cannot make documents of. */
static void test_bad_rows(void)
{
    static const struct {
        const char *rows, *says;
    } cases[] = {
        {"{\"q\": \"x\"}", "line 1: doc_to_target: no choice is \"a\""},
        {"{\"a\": 0}", "line 1: doc_to_text: field \"q\" is missing"},
        {"{\"q\": \"x\", \"a\": 0}\n{\"q\": \"x\", \"a\": 2}",
         "line 2: doc_to_target: there is no choice 2 of 2"},
        {"{\"q\": \"x\", \"a\": -1}", "there is no choice -1 of 2"},
        {"{\"q\": \"x\", \"a\": 0.5}", "there is no choice 0.5 of 2"},
        {"{\"q\": \"x\", \"a\": null}", "there is no choice -1 of 2"},
        {"{\"q\": [], \"a\": 0}", "doc_to_text: a list is no text"},
        {"[]", "line 1"},
        {"\n", "has no rows"},
    };
    struct dataset_lookup lookup = data_dir();
    struct task_selection selection;
    struct task_instance *task;
    struct status st = {0};
    const char *path = put_task(GOOD);
    const struct task_options options = {.lookup = lookup};
    ASSERT_OK(task_registry_select(&selection, path, NULL, &lookup, &st));
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        put_text("data/d/test.jsonl", cases[i].rows);
        memset(&st, 0, sizeof st);
        status_code code = task_instance_load(&task, &selection.refs[0], &options, &st);
        if (code == STATUS_OK) task_instance_free(task);
        CU_ASSERT_NOT_EQUAL(code, STATUS_OK);
        if (!strstr(st.message, cases[i].says))
            fprintf(stderr, "  \"%s\", expected \"%s\"\n", st.message, cases[i].says);
        CU_ASSERT_PTR_NOT_NULL(strstr(st.message, cases[i].says));
    }
    task_selection_release(&selection);
}

/* ---- noise ---- */

/* A good file with bytes changed, cut or repeated is refused or is a file that loads; nothing else
 * happens. */
static void test_mutations(void)
{
    static const char *const seeds[] = {GOOD, GENERATES, capitals, lambada};
    static const char letters[] = "{}[]\",:0129.-|()' \n\\aetfx";
    struct mt19937 mt;
    int opened = 0;
    mt19937_seed(&mt, 99);
    for (int i = 0; i < 4000; i++) {
        struct status st = {0};
        struct task_file *file = NULL;
        char text[2048];
        size_t n = strlen(seeds[i % 4]);
        memcpy(text, seeds[i % 4], n);
        for (uint32_t k = 1 + mt19937_below(&mt, 3); k; k--) {
            uint32_t at = mt19937_below(&mt, (uint32_t)n);
            uint32_t kind = mt19937_below(&mt, 3);
            if (kind == 0) text[at] = letters[mt19937_below(&mt, sizeof letters - 1)];
            if (kind == 1) text[at] = (char)mt19937_below(&mt, 256);
            if (kind == 2 && n > 1) memmove(text + at, text + at + 1, --n - at);
        }
        const char *path = put("tasks/t.json", text, n);
        if (task_file_open(&file, path, &st) == STATUS_OK) opened++;
        CU_ASSERT_TRUE_FATAL(file || st.message[0]);
        task_file_release(file);
    }
    CU_ASSERT_TRUE(opened > 100 && opened < 3900);
}

static const struct test_case tests[] = {
    {"the shipped files are read", test_shipped_files},
    {"their prompts, byte for byte", test_shipped_prompts},
    {"acc and acc_norm", test_accuracies},
    {"mc2", test_mc2},
    {"loglikelihood, from TSV", test_loglikelihood},
    {"generation, filters and exact match, from CSV", test_generation},
    {"names and paths", test_names},
    {"bad files name the field", test_bad_files},
    {"bad rows name the line and the field", test_bad_rows},
    {"mutations", test_mutations},
};

SUITE("task_file", tests)
