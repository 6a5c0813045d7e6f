#include "benchmarks/task_file.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "benchmarks/task_file_reader.h"
#include "classifiers/strict_json.h"
#include "engine/base/limits.h"
#include "engine/sampling/sampler.h"

/* Made from benchmarks/tasks/NAME.json when the program is built (Makefile). */
extern const struct text embedded_benchmarks_tasks_arc_challenge_json;
extern const struct text embedded_benchmarks_tasks_arc_easy_json;
extern const struct text embedded_benchmarks_tasks_boolq_json;
extern const struct text embedded_benchmarks_tasks_piqa_json;
extern const struct text embedded_benchmarks_tasks_truthfulqa_mc1_json;
extern const struct text embedded_benchmarks_tasks_truthfulqa_mc2_json;
extern const struct text embedded_benchmarks_tasks_winogrande_json;

static const struct {
    const char *name;
    const struct text *json;
} shipped[] = {
    {"arc_challenge", &embedded_benchmarks_tasks_arc_challenge_json},
    {"arc_easy", &embedded_benchmarks_tasks_arc_easy_json},
    {"boolq", &embedded_benchmarks_tasks_boolq_json},
    {"piqa", &embedded_benchmarks_tasks_piqa_json},
    {"truthfulqa_mc1", &embedded_benchmarks_tasks_truthfulqa_mc1_json},
    {"truthfulqa_mc2", &embedded_benchmarks_tasks_truthfulqa_mc2_json},
    {"winogrande", &embedded_benchmarks_tasks_winogrande_json},
};
#define N_SHIPPED (sizeof shipped / sizeof shipped[0])

/* ---- the data ---- */

static bool is_builder(const char *path)
{
    return strcmp(path, "json") == 0 || strcmp(path, "csv") == 0;
}

/* A path that stays below its folder; of files beside the task file also one that leaves it. */
static bool is_good_path(const char *path, bool may_leave)
{
    if (!*path || *path == '/') return false;
    for (const char *part = path; part && !may_leave; part = strchr(part, '/')) {
        part += *part == '/';
        if (strncmp(part, "..", 2) == 0 && (part[2] == '/' || !part[2])) return false;
    }
    return true;
}

static status_code read_data_files(const struct reader *r, const struct json_value *files,
                                   bool may_leave)
{
    struct task_file *f = r->file;
    for (const struct json_value *m = json_first(files); m; m = json_next(m)) {
        if (f->n_splits == TASK_FILE_MAX_SPLITS)
            return status_set(r->st, STATUS_LIMIT, "more than %d splits", TASK_FILE_MAX_SPLITS);
        struct task_file_split *split = &f->splits[f->n_splits++];
        split->name = arena_strdup(&f->arena, json_key(m));
        if (!split->name) return status_no_memory(r->st, "a task file");
        status_code code = read_text(r, files, json_key(m), &split->file);
        if (code != STATUS_OK) return code;
        if (!split->file || !is_good_path(split->file, may_leave))
            return bad_field(r, split->name, "is no path below the folder of the data");
    }
    return STATUS_OK;
}

static status_code read_dataset_kwargs(const struct reader *r, bool may_leave)
{
    static const char *const names[] = {"data_files"};
    const struct json_value *kwargs, *files;
    if (!json_has(r->root, "dataset_kwargs")) return STATUS_OK;
    status_code code = json_get_object(r->root, "dataset_kwargs", &kwargs, r->st);
    if (code != STATUS_OK) return code;
    code = strict_json_fields(kwargs, names, COUNT(names), r->st);
    if (code == STATUS_OK) code = json_get_object(kwargs, "data_files", &files, r->st);
    if (code == STATUS_OK) code = in_field(r, "data_files", read_data_files(r, files, may_leave));
    return in_field(r, "dataset_kwargs", code);
}

/* The folder of the task file, which holds its data. */
static const char *folder_of(struct task_file *f)
{
    const char *slash = strrchr(f->info.path, '/');
    if (!slash) return ".";
    return slash == f->info.path
               ? "/"
               : arena_strndup(&f->arena, f->info.path, (size_t)(slash - f->info.path));
}

/* "allenai/ai2_arc" is the folder ai2_arc of the data directory, dataset_name a folder in it, and
 * a split the file SPLIT.jsonl there.  "json" and "csv", the Hugging Face builders for files, mean
 * those that data_files names beside the task file. */
static status_code read_dataset(const struct reader *r)
{
    struct task_file *f = r->file;
    const char *path = NULL;
    status_code code = read_text(r, r->root, "dataset_path", &path);
    if (code == STATUS_OK) code = read_text(r, r->root, "dataset_name", &f->subfolder);
    if (code != STATUS_OK) return code;
    if (!path) return bad_field(r, "dataset_path", "is missing");
    if (is_builder(path)) {
        if (f->subfolder) return bad_field(r, "dataset_name", "has no meaning for local files");
        f->row.dataset = ".";
        f->row.data_dir = folder_of(f);
        if (!f->row.data_dir) return status_no_memory(r->st, "a task file");
        if (!json_has(r->root, "dataset_kwargs"))
            return bad_field(r, "dataset_kwargs", "is missing: it names the files of \"json\"");
        return read_dataset_kwargs(r, true);
    }
    const char *slash = strrchr(path, '/');
    f->row.dataset = slash ? slash + 1 : path;
    if (!is_good_path(path, false) || !*f->row.dataset)
        return bad_field(r, "dataset_path", "is no name of a dataset");
    if (f->subfolder && !is_good_path(f->subfolder, false))
        return bad_field(r, "dataset_name", "is no name of a folder");
    return read_dataset_kwargs(r, false);
}

/* lm-eval evaluates the test split, or the validation split; shots come from fewshot_split, or else
 * the first there is of training, validation and test.  Where neither the few-shot nor the test
 * split is named, or both are the same, a document is no shot of its own
 * (ConfigurableTask.fewshot_context). */
static status_code read_splits(const struct reader *r)
{
    struct task *row = &r->file->row;
    const char *training = NULL, *validation = NULL, *test = NULL, *fewshot = NULL;
    status_code code;
    if ((code = read_text(r, r->root, "training_split", &training)) != STATUS_OK ||
        (code = read_text(r, r->root, "validation_split", &validation)) != STATUS_OK ||
        (code = read_text(r, r->root, "test_split", &test)) != STATUS_OK ||
        (code = read_text(r, r->root, "fewshot_split", &fewshot)) != STATUS_OK ||
        (code = read_int(r, r->root, "num_fewshot", 0, 1000, &row->num_fewshot)) != STATUS_OK)
        return code;
    row->test_split = test ? test : validation;
    if (!row->test_split) return bad_field(r, "test_split", "is missing, and validation_split too");
    bool none = json_has(r->root, "num_fewshot") && !row->num_fewshot;
    row->fewshot_split = fewshot      ? fewshot
                         : none       ? NULL
                         : training   ? training
                         : validation ? validation
                                      : test;
    bool same = (!fewshot && !test) || (fewshot && test && strcmp(fewshot, test) == 0);
    row->fewshot_sampler = same ? FEWSHOT_RANDOM_OTHERS : FEWSHOT_RANDOM;
    return STATUS_OK;
}

static status_code read_fewshot_config(const struct reader *r)
{
    static const char *const names[] = {"sampler"};
    const struct json_value *config;
    struct text sampler;
    if (!json_has(r->root, "fewshot_config")) return STATUS_OK;
    status_code code = json_get_object(r->root, "fewshot_config", &config, r->st);
    if (code != STATUS_OK) return code;
    code = strict_json_fields(config, names, COUNT(names), r->st);
    if (code == STATUS_OK) code = json_get_text(config, "sampler", &sampler, r->st);
    if (code == STATUS_OK && text_equal(sampler, text_of("first_n"))) {
        if (r->file->row.fewshot_sampler == FEWSHOT_RANDOM_OTHERS)
            code = bad_field(r, "sampler", "is first_n, which needs a split of its own");
        r->file->row.fewshot_sampler = FEWSHOT_FIRST_N;
    } else if (code == STATUS_OK && !text_equal(sampler, text_of("default"))) {
        code = bad_field(r, "sampler", "is neither \"default\" nor \"first_n\"");
    }
    return in_field(r, "fewshot_config", code);
}

/* ---- prompts ---- */

static status_code read_output_type(const struct reader *r)
{
    static const enum output_type types[] = {OUTPUT_MULTIPLE_CHOICE, OUTPUT_GENERATE_UNTIL,
                                             OUTPUT_LOGLIKELIHOOD};
    struct text name;
    status_code code = json_get_text(r->root, "output_type", &name, r->st);
    if (code != STATUS_OK) return code;
    for (size_t i = 0; i < COUNT(types); i++)
        if (text_equal(name, text_of(output_type_name(types[i])))) {
            r->file->row.output_type = types[i];
            return STATUS_OK;
        }
    return bad_field(r, "output_type", "is none of multiple_choice, loglikelihood, generate_until");
}

static status_code read_target(const struct reader *r)
{
    const struct json_value *target = json_member(r->root, "doc_to_target");
    if (target && json_kind(target) == JSON_NUMBER)
        return read_int(r, r->root, "doc_to_target", 0, TASK_MAX_CHOICES - 1, &r->file->gold_index);
    status_code code = read_template(r, r->root, "doc_to_target", &r->file->target);
    if (code == STATUS_OK && !r->file->target) code = bad_field(r, "doc_to_target", "is missing");
    return code;
}

/* A list of choices is taken as it is; a text is a template. */
static status_code read_choices(const struct reader *r)
{
    struct task_file *f = r->file;
    const struct json_value *list = json_member(r->root, "doc_to_choice");
    if (!list || json_kind(list) != JSON_ARRAY)
        return read_template(r, r->root, "doc_to_choice", &f->choices);
    size_t n = json_count(list);
    if (!n || n > TASK_MAX_CHOICES)
        return status_set(r->st, STATUS_BAD_INPUT,
                          "field \"doc_to_choice\" has %zu choices, expected 1 to %d", n,
                          TASK_MAX_CHOICES);
    for (const struct json_value *c = json_first(list); c; c = json_next(c)) {
        const char *text = NULL;
        if (json_kind(c) != JSON_STRING)
            return bad_field(r, "doc_to_choice", "holds what is no text");
        status_code code = in_field(r, "doc_to_choice", keep_text(r, json_text(c), &text));
        if (code != STATUS_OK) return code;
        f->fixed_choices[f->n_fixed_choices++] = text_of(text);
    }
    return STATUS_OK;
}

static status_code read_prompts(const struct reader *r)
{
    struct task_file *f = r->file;
    status_code code;
    f->row.target_delimiter = " ";
    f->row.fewshot_delimiter = "\n\n";
    if ((code = read_output_type(r)) != STATUS_OK ||
        (code = read_template(r, r->root, "doc_to_text", &f->text)) != STATUS_OK ||
        (code = read_target(r)) != STATUS_OK || (code = read_choices(r)) != STATUS_OK ||
        (code = read_text(r, r->root, "description", &f->description)) != STATUS_OK ||
        (code = read_text(r, r->root, "target_delimiter", &f->row.target_delimiter)) != STATUS_OK ||
        (code = read_text(r, r->root, "fewshot_delimiter", &f->row.fewshot_delimiter)) != STATUS_OK)
        return code;
    if (!f->text) return bad_field(r, "doc_to_text", "is missing");
    if (f->description && strstr(f->description, "{{"))
        return bad_field(r, "description", "is no template: it is the same for all documents");
    bool chooses = f->choices || f->n_fixed_choices;
    if (f->row.output_type == OUTPUT_MULTIPLE_CHOICE && !chooses)
        return bad_field(r, "doc_to_choice", "is missing");
    if (f->row.output_type == OUTPUT_LOGLIKELIHOOD && chooses)
        return bad_field(r, "doc_to_choice", "has no meaning for loglikelihood");
    return STATUS_OK;
}

/* ---- generation ---- */

static status_code add_stop(const struct reader *r, struct text text, int *n)
{
    struct task *row = &r->file->row;
    if (*n == TASK_MAX_UNTIL)
        return status_set(r->st, STATUS_LIMIT, "field \"until\" has more than %d texts",
                          TASK_MAX_UNTIL);
    if (!text.length) return bad_field(r, "until", "holds an empty text");
    return in_field(r, "until", keep_text(r, text, &row->until[(*n)++]));
}

static status_code read_until(const struct reader *r, const struct json_value *kwargs)
{
    const struct json_value *until = kwargs ? json_member(kwargs, "until") : NULL;
    int n = 0;
    status_code code = STATUS_OK;
    if (!until || json_kind(until) == JSON_NULL)
        return add_stop(r, text_of(r->file->row.fewshot_delimiter), &n);
    if (json_kind(until) == JSON_STRING) return add_stop(r, json_text(until), &n);
    if (json_kind(until) != JSON_ARRAY) return bad_field(r, "until", "is neither text nor list");
    for (const struct json_value *u = json_first(until); u && code == STATUS_OK; u = json_next(u)) {
        if (json_kind(u) != JSON_STRING) return bad_field(r, "until", "holds what is no text");
        code = add_stop(r, json_text(u), &n);
    }
    return code;
}

/* do_sample without a temperature samples at 1, as transformers does; a temperature without
 * do_sample would mean one thing to one backend and another to the next. */
static status_code read_sampling(const struct reader *r, const struct json_value *kwargs)
{
    struct sampling_options *sampling = &r->file->row.sampling;
    bool samples = false;
    double temperature = (double)NAN;
    status_code code = read_flag(r, kwargs, "do_sample", &samples);
    if (code == STATUS_OK && json_has(kwargs, "temperature"))
        code = json_get_double(kwargs, "temperature", &temperature, r->st);
    if (code == STATUS_OK && json_has(kwargs, "top_p"))
        code = json_get_double(kwargs, "top_p", &sampling->top_p, r->st);
    if (code == STATUS_OK) code = read_int(r, kwargs, "top_k", 0, INT32_MAX, &sampling->top_k);
    if (code != STATUS_OK) return code;
    if (temperature < 0) return bad_field(r, "temperature", "is below 0");
    if (!samples && temperature > 0)
        return bad_field(r, "temperature", "is above 0, which needs \"do_sample\": true");
    if (samples) sampling->temperature = isnan(temperature) ? 1 : temperature;
    const struct sampling_options drawn = task_sampling(&r->file->row);
    struct status own = {0};
    if (sampling_options_check(&drawn, &own) == STATUS_OK) return STATUS_OK;
    return status_set(r->st, STATUS_BAD_INPUT, "%s", own.message);
}

static status_code read_generation(const struct reader *r)
{
    static const char *const names[] = {"until",       "max_gen_toks", "do_sample",
                                        "temperature", "top_p",        "top_k"};
    struct task *row = &r->file->row;
    const struct json_value *kwargs = NULL;
    bool generates = row->output_type == OUTPUT_GENERATE_UNTIL;
    static const char *const keys[] = {"generation_kwargs", "filter_list", "repeats"};
    for (size_t i = 0; !generates && i < COUNT(keys); i++)
        if (json_has(r->root, keys[i]))
            return bad_field(r, keys[i], "has meaning for generate_until alone");
    if (!generates) return STATUS_OK;
    row->max_gen_toks = 256;
    status_code code = read_int(r, r->root, "repeats", 1, LIMIT_REPEATS, &row->repeats);
    if (code == STATUS_OK && json_has(r->root, "generation_kwargs"))
        code = json_get_object(r->root, "generation_kwargs", &kwargs, r->st);
    if (code != STATUS_OK) return code;
    if (kwargs) {
        code = strict_json_fields(kwargs, names, COUNT(names), r->st);
        if (code == STATUS_OK)
            code = read_int(r, kwargs, "max_gen_toks", 1, INT32_MAX, &row->max_gen_toks);
        if (code == STATUS_OK) code = read_sampling(r, kwargs);
    }
    if (code == STATUS_OK) code = read_until(r, kwargs);
    return in_field(r, "generation_kwargs", code);
}

/* ---- the whole ---- */

static status_code read_metadata(const struct reader *r)
{
    static const char *const names[] = {"version", "profile", "description"};
    struct task *row = &r->file->row;
    const struct json_value *metadata;
    row->profile = "file";
    row->summary = "";
    status_code code = json_get_object(r->root, "metadata", &metadata, r->st);
    if (code != STATUS_OK) return code;
    const struct json_value *version = json_member(metadata, "version");
    code = strict_json_fields(metadata, names, COUNT(names), r->st);
    if (code == STATUS_OK && version && json_kind(version) == JSON_NUMBER) {
        struct strbuf sb;
        strbuf_init(&sb, 64);
        json_append_number(&sb, json_number(version));
        code = keep_text(r, (struct text){sb.data, sb.length}, &row->version);
        strbuf_release(&sb);
    } else if (code == STATUS_OK) {
        code = read_text(r, metadata, "version", &row->version);
    }
    if (code == STATUS_OK) code = read_text(r, metadata, "profile", &row->profile);
    if (code == STATUS_OK) code = read_text(r, metadata, "description", &row->summary);
    if (code == STATUS_OK && !row->version) code = bad_field(r, "version", "is missing");
    return in_field(r, "metadata", code);
}

/* Fields of lm-evaluation-harness that people bring, and what they can do. */
static status_code refuse_code(const struct reader *r)
{
    static const struct {
        const char *field, *remedy;
    } refused[] = {
        {"process_docs", "is Python: bring data that it has been applied to"},
        {"process_results", "is Python: metric_list says what is measured"},
        {"custom_dataset", "is Python: bring its rows as a file"},
        {"include", "is not followed: put that file's fields into this one"},
        {"group", "names a group: name its tasks on the command line"},
        {"gen_prefix", "is not part of task files: end doc_to_text with it"},
    };
    for (size_t i = 0; i < COUNT(refused); i++)
        if (json_member(r->root, refused[i].field))
            return bad_field(r, refused[i].field, refused[i].remedy);
    return STATUS_OK;
}

static status_code read_fields(const struct reader *r)
{
    static const char *const names[] = {"task",
                                        "dataset_path",
                                        "dataset_name",
                                        "dataset_kwargs",
                                        "training_split",
                                        "validation_split",
                                        "test_split",
                                        "fewshot_split",
                                        "fewshot_config",
                                        "num_fewshot",
                                        "output_type",
                                        "doc_to_text",
                                        "doc_to_target",
                                        "doc_to_choice",
                                        "description",
                                        "target_delimiter",
                                        "fewshot_delimiter",
                                        "generation_kwargs",
                                        "repeats",
                                        "filter_list",
                                        "metric_list",
                                        "metadata"};
    struct text name;
    status_code code = refuse_code(r);
    if (code == STATUS_OK) code = strict_json_fields(r->root, names, COUNT(names), r->st);
    if (code == STATUS_OK) code = strict_json_name(r->root, "task", &name, r->st);
    if (code == STATUS_OK) code = keep_text(r, name, &r->file->row.name);
    if (code != STATUS_OK || (code = read_dataset(r)) != STATUS_OK ||
        (code = read_splits(r)) != STATUS_OK || (code = read_fewshot_config(r)) != STATUS_OK ||
        (code = read_prompts(r)) != STATUS_OK || (code = read_generation(r)) != STATUS_OK ||
        (code = task_file_read_filters(r)) != STATUS_OK ||
        (code = task_file_read_metrics(r)) != STATUS_OK)
        return code;
    return read_metadata(r);
}

static status_code open_text(struct task_file **out, const char *path, struct text json,
                             struct status *st)
{
    struct json_value *root = NULL;
    struct task_file *f = calloc(1, sizeof *f);
    if (!f) return status_no_memory(st, "a task file");
    f->holders = 1;
    arena_init(&f->arena, 4 * (size_t)LIMIT_CONFIG_BYTES);
    f->info.path = arena_strdup(&f->arena, path);
    f->info.bytes = (int64_t)json.length;
    sha256_text(json, f->info.sha256);
    status_code code = f->info.path ? STATUS_OK : status_no_memory(st, "a task file");
    if (code == STATUS_OK) code = json_parse(&root, json, st);
    if (code == STATUS_OK) code = read_fields(&(struct reader){f, root, st});
    json_free(root);
    if (code != STATUS_OK) {
        task_file_release(f);
        return status_prefix(st, "%s", path);
    }
    task_file_set_functions(f);
    *out = f;
    return STATUS_OK;
}

status_code task_file_open(struct task_file **out, const char *path, struct status *st)
{
    struct strbuf bytes;
    strbuf_init(&bytes, LIMIT_CONFIG_BYTES);
    status_code code = strbuf_read_file(&bytes, path, st);
    if (code == STATUS_OK) code = open_text(out, path, (struct text){bytes.data, bytes.length}, st);
    strbuf_release(&bytes);
    return code;
}

const char *task_file_shipped_at(size_t index)
{
    return index < N_SHIPPED ? shipped[index].name : NULL;
}

status_code task_file_open_shipped(struct task_file **out, struct text name, struct status *st)
{
    char path[128];
    *out = NULL;
    for (size_t i = 0; i < N_SHIPPED; i++) {
        if (!text_equal(name, text_of(shipped[i].name))) continue;
        snprintf(path, sizeof path, "%s.json", shipped[i].name);
        return open_text(out, path, *shipped[i].json, st);
    }
    return STATUS_OK;
}

struct task_file *task_file_retain(struct task_file *file)
{
    file->holders++;
    return file;
}

void task_file_release(struct task_file *file)
{
    if (!file || --file->holders) return;
    template_free(file->text);
    template_free(file->target);
    template_free(file->choices);
    template_free(file->labels);
    arena_release(&file->arena);
    free(file);
}

const struct task *task_file_row(const struct task_file *file)
{
    return &file->row;
}

const struct task_file_info *task_file_get_info(const struct task_file *file)
{
    return &file->info;
}
