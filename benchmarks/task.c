#include "benchmarks/task_internal.h"

#include <stdlib.h>
#include <string.h>

#include "benchmarks/task_file.h"
#include "engine/base/limits.h"
#include "engine/base/rng.h"

const char *output_type_name(enum output_type type)
{
    static const char *const names[] = {"multiple_choice", "generate_until", "loglikelihood"};
    return names[type];
}

status_code task_list_documents(struct dataset *dataset, const void *array, size_t n,
                                size_t item_size, struct document_list *out, struct status *st)
{
    struct document *items = arena_array(dataset_arena(dataset), n, sizeof *items);
    if (!items) return status_no_memory(st, "documents");
    for (size_t i = 0; i < n; i++) items[i].fields = (const char *)array + i * item_size;
    *out = (struct document_list){items, n};
    return STATUS_OK;
}

status_code task_check_file(const struct task *task, const char *subset, struct dataset *dataset,
                            const char *file, struct status *st)
{
    const char *path = file ? dataset_path(dataset, file) : NULL;
    if (!path) return status_no_memory(st, "a path");
    if (dataset_has(dataset, file)) return STATUS_OK;
    return status_set(st, STATUS_NOT_FOUND, "task %s_%s: %s is missing", task->name, subset, path);
}

/* ---- loading ---- */

/* Whether a document to be evaluated and one of the few-shot split are the same row. */
static status_code same_document(const struct task *task, const struct document *a,
                                 const struct document *b, bool *same, struct status *st)
{
    struct strbuf one, two;
    strbuf_init(&one, LIMIT_PROMPT_BYTES);
    strbuf_init(&two, LIMIT_PROMPT_BYTES);
    task->doc_to_json(task, a, &one);
    task->doc_to_json(task, b, &two);
    *same = one.length == two.length && memcmp(one.data, two.data, one.length) == 0;
    status_code code = strbuf_check(&one, "document", st);
    if (code == STATUS_OK) code = strbuf_check(&two, "document", st);
    strbuf_release(&one);
    strbuf_release(&two);
    return code;
}

/* Drops the document itself from the shots + 1 that were drawn, and moves the first that are left
 * to the front (lm-eval api/samplers.py and ConfigurableTask.fewshot_context). */
static status_code drop_itself(const struct task_instance *instance, size_t doc, uint32_t *drawn,
                               size_t shots, struct status *st)
{
    size_t kept = 0;
    for (size_t i = 0; i <= shots && kept < shots; i++) {
        bool same = false;
        status_code code = same_document(instance->ref.task, &instance->test.items[doc],
                                         &instance->pool.items[drawn[i]], &same, st);
        if (code != STATUS_OK) return code;
        if (!same) drawn[kept++] = drawn[i];
    }
    if (kept == shots) return STATUS_OK;
    return status_set(st, STATUS_BAD_INPUT, "document %zu is in the few-shot split twice", doc);
}

/* One generator serves all documents in order, whatever part of them is evaluated: a document's
 * shots then do not depend on --offset, --limit or an interruption (lm-eval api/samplers.py). */
static status_code draw_shots(struct task_instance *instance, struct status *st)
{
    size_t shots = (size_t)instance->info.num_fewshot, n = instance->test.count;
    bool others = instance->ref.task->fewshot_sampler == FEWSHOT_RANDOM_OTHERS;
    size_t total;
    if (__builtin_mul_overflow(shots, n, &total) || total > LIMIT_FEWSHOT_DRAWS)
        return status_set(st, STATUS_LIMIT, "more than %u shots in all documents together",
                          LIMIT_FEWSHOT_DRAWS);
    /* One behind the last document's shots, for the one that is drawn in excess. */
    instance->draws = calloc(total + 1, sizeof *instance->draws);
    if (!instance->draws) return status_no_memory(st, "few-shot draws");
    struct mt19937 mt;
    mt19937_seed(&mt, instance->info.fewshot_seed);
    for (size_t doc = 0; doc < n; doc++) {
        uint32_t *drawn = instance->draws + doc * shots;
        status_code code = mt19937_sample(&mt, (uint32_t)instance->pool.count,
                                          (uint32_t)(shots + others), drawn, st);
        if (code == STATUS_OK && others) code = drop_itself(instance, doc, drawn, shots, st);
        if (code != STATUS_OK) return code;
    }
    return STATUS_OK;
}

static status_code load_shots(struct task_instance *instance, struct status *st)
{
    const struct task *task = instance->ref.task;
    int shots = instance->info.num_fewshot;
    if (!shots) return STATUS_OK;
    if (!task->fewshot_split)
        return status_set(st, STATUS_USAGE, "--num-fewshot %d: the task has no examples to show",
                          shots);
    status_code code = task->load(task, instance->ref.subset, task->fewshot_split,
                                  instance->dataset, &instance->pool, st);
    if (code != STATUS_OK) return code;
    if ((size_t)shots > instance->pool.count)
        return status_set(st, STATUS_USAGE, "--num-fewshot %d: the %s split has only %zu documents",
                          shots, task->fewshot_split, instance->pool.count);
    return task->fewshot_sampler == FEWSHOT_FIRST_N ? STATUS_OK : draw_shots(instance, st);
}

static status_code load_documents(struct task_instance *instance,
                                  const struct task_options *options, struct status *st)
{
    const struct task *task = instance->ref.task;
    struct task_info *info = &instance->info;
    if (options->num_fewshot < TASK_DEFAULT_FEWSHOT)
        return status_set(st, STATUS_USAGE, "--num-fewshot %d: expected 0 or more",
                          options->num_fewshot);
    info->ref = &instance->ref;
    info->num_fewshot =
        options->num_fewshot == TASK_DEFAULT_FEWSHOT ? task->num_fewshot : options->num_fewshot;
    info->fewshot_seed = options->fewshot_seed ? options->fewshot_seed : TASK_FEWSHOT_SEED;
    struct dataset_lookup lookup = options->lookup;
    if (task->data_dir) lookup.data_dir = task->data_dir;
    status_code code = dataset_open(&instance->dataset, &lookup, task->dataset, st);
    if (code != STATUS_OK) return code;
    code = task->load(task, instance->ref.subset, task->test_split, instance->dataset,
                      &instance->test, st);
    if (code != STATUS_OK) return code;
    info->n_documents = (int64_t)instance->test.count;
    code = load_shots(instance, st);
    if (code != STATUS_OK) return code;
    info->data_dir = dataset_directory(instance->dataset);
    info->origin = dataset_origin(instance->dataset);
    info->matches_manifest = dataset_matches_manifest(instance->dataset);
    return dataset_sha256(instance->dataset, info->dataset_sha256, st);
}

static int count_extractions(const struct task *task)
{
    int n = 0;
    while (n < TASK_MAX_EXTRACTIONS && task->extractions[n].name) n++;
    return n;
}

status_code task_instance_load(struct task_instance **out, const struct task_ref *ref,
                               const struct task_options *options, struct status *st)
{
    struct task_instance *instance = calloc(1, sizeof *instance);
    if (!instance) return status_no_memory(st, "a task");
    instance->ref = *ref;
    if (ref->task->file) instance->file = task_file_retain(ref->task->file);
    bool draws = options->draw_shots && ref->task->fewshot_sampler == FEWSHOT_FIRST_N;
    if (ref->task->specialise || draws) {
        instance->row = *ref->task;
        if (ref->task->specialise) ref->task->specialise(&instance->row, ref->subset);
        if (draws) instance->row.fewshot_sampler = FEWSHOT_RANDOM;
        instance->ref.task = &instance->row;
    }
    const struct task *task = instance->ref.task;
    status_code code = load_documents(instance, options, st);
    if (code == STATUS_OK)
        code = answer_checker_create(&instance->checker, task->extractions, count_extractions(task),
                                     &task->exact_match, st);
    if (code != STATUS_OK) {
        task_instance_free(instance);
        return status_prefix(st, "task %s", ref->name);
    }
    *out = instance;
    return STATUS_OK;
}

void task_instance_free(struct task_instance *instance)
{
    if (!instance) return;
    answer_checker_free(instance->checker);
    dataset_free(instance->dataset);
    free(instance->draws);
    task_file_release(instance->file);
    free(instance);
}

const struct task_info *task_instance_info(const struct task_instance *instance)
{
    return &instance->info;
}

const struct document *task_instance_document(const struct task_instance *instance, int64_t doc_id)
{
    BUG_IF(doc_id < 0 || doc_id >= instance->info.n_documents);
    return &instance->test.items[doc_id];
}

const struct answer_checker *task_instance_checker(const struct task_instance *instance)
{
    return instance->checker;
}

status_code task_check_document(const struct task_instance *instance, int64_t doc_id,
                                struct status *st)
{
    if (doc_id >= 0 && doc_id < instance->info.n_documents) return STATUS_OK;
    return status_set(st, STATUS_USAGE, "%s has no document %lld: there are %lld, from 0",
                      instance->ref.name, (long long)doc_id, (long long)instance->info.n_documents);
}

/* ---- repeats and metrics ---- */

int task_repeats(const struct task *task)
{
    return task->repeats ? task->repeats : 1;
}

struct sampling_options task_sampling(const struct task *task)
{
    struct sampling_options sampling = task->sampling;
    if (sampling.top_p <= 0) sampling.top_p = 1;
    return sampling;
}

void task_append_metric_key(const struct task *task, const char *metric, const char *extraction,
                            struct strbuf *out)
{
    strbuf_appendf(out, "\"%s", metric);
    if (!task->plain_metric_names) strbuf_appendf(out, ",%s", extraction);
    strbuf_append_char(out, '"');
}

int task_list_metrics(const struct task *task, int repeats, struct task_metric out[TASK_MAX_VALUES])
{
    int n = 0;
    for (int m = 0; m < TASK_MAX_METRICS && task->metrics[m].name; m++) {
        const struct metric *metric = &task->metrics[m];
        if (metric->best_of > repeats || metric->min_repeats > repeats) continue;
        int best_of = metric->best_of == TASK_BEST_OF_ALL ? repeats : metric->best_of;
        int e = 0;
        do
            out[n++] = (struct task_metric){
                .metric = metric,
                .extraction = task->extractions[e].name ? task->extractions[e].name : "none",
                .best_of = best_of > 1 ? best_of : 1,
            };
        while (++e < TASK_MAX_EXTRACTIONS && task->extractions[e].name);
    }
    return n;
}

/* ---- scoring ---- */

status_code task_instance_score_reply(const struct task_instance *instance, int64_t doc_id,
                                      const struct reply *reply, struct arena *arena,
                                      struct score *out, struct status *st)
{
    status_code code = task_check_document(instance, doc_id, st);
    if (code != STATUS_OK) return code;
    if (!instance->ref.task->score_reply)
        return status_set(st, STATUS_UNSUPPORTED, "%s is not scored from replies",
                          instance->ref.name);
    code = instance->ref.task->score_reply(instance, doc_id, reply, arena, out, st);
    if (code != STATUS_OK)
        status_prefix(st, "%s: document %lld", instance->ref.name, (long long)doc_id);
    return code;
}

static status_code make_job(const struct task_instance *instance, int64_t doc_id, struct text reply,
                            struct arena *arena, struct sandbox_job *out, struct status *st)
{
    const struct task *task = instance->ref.task;
    status_code code = task_check_document(instance, doc_id, st);
    if (code != STATUS_OK) return code;
    return task->reply_to_job(task, task_instance_document(instance, doc_id), reply, arena, out,
                              st);
}

status_code task_instance_run_replies(const struct task_instance *instance,
                                      const struct sandbox *sandbox, const int64_t *doc_ids,
                                      const struct text *replies, size_t n,
                                      struct sandbox_result *results, struct status *st)
{
    struct arena arena;
    if (!n) return STATUS_OK;
    arena_init(&arena, n * 4 * (size_t)LIMIT_PROMPT_BYTES);
    struct sandbox_job *jobs = arena_array(&arena, n, sizeof *jobs);
    status_code code = jobs ? STATUS_OK : status_no_memory(st, "programs");
    for (size_t i = 0; i < n && code == STATUS_OK; i++)
        code = make_job(instance, doc_ids[i], replies[i], &arena, &jobs[i], st);
    if (code == STATUS_OK) code = sandbox_run(sandbox, jobs, n, results, st);
    arena_release(&arena);
    return code == STATUS_OK ? code : status_prefix(st, "%s", instance->ref.name);
}

status_code task_instance_score_choices(const struct task_instance *instance, int64_t doc_id,
                                        const double *logprobs, int n, struct score *out,
                                        struct status *st)
{
    status_code code = task_check_document(instance, doc_id, st);
    if (code != STATUS_OK) return code;
    if (!instance->ref.task->score_choices)
        return status_set(st, STATUS_UNSUPPORTED, "%s is not scored from log-probabilities",
                          instance->ref.name);
    code = instance->ref.task->score_choices(instance, doc_id, logprobs, n, out, st);
    if (code != STATUS_OK)
        status_prefix(st, "%s: document %lld", instance->ref.name, (long long)doc_id);
    return code;
}

status_code task_instance_score_loglikelihood(const struct task_instance *instance, int64_t doc_id,
                                              double logprob, bool is_greedy, struct score *out,
                                              struct status *st)
{
    status_code code = task_check_document(instance, doc_id, st);
    if (code == STATUS_OK) code = score_loglikelihood(instance, logprob, is_greedy, out, st);
    if (code != STATUS_OK)
        status_prefix(st, "%s: document %lld", instance->ref.name, (long long)doc_id);
    return code;
}

status_code task_instance_score_repeats(const struct task_instance *instance, int64_t doc_id,
                                        struct score *scores, int n, struct arena *arena,
                                        struct status *st)
{
    status_code code = task_check_document(instance, doc_id, st);
    if (code != STATUS_OK || !instance->ref.task->score_repeats) return code;
    code = instance->ref.task->score_repeats(instance, doc_id, scores, n, arena, st);
    if (code != STATUS_OK)
        status_prefix(st, "%s: document %lld", instance->ref.name, (long long)doc_id);
    return code;
}
