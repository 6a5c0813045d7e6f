#include "benchmarks/task.h"

#include <stdlib.h>
#include <string.h>

#include "engine/base/limits.h"
#include "engine/base/rng.h"

struct task_instance {
    struct task_ref ref;
    struct task_info info;
    struct dataset *dataset;
    struct document_list test, pool; /* pool: the few-shot split */
    uint32_t *draws; /* (n_documents, num_fewshot) into pool; NULL: the first ones */
    struct answer_checker *checker;
};

const char *output_type_name(enum output_type type)
{
    static const char *const names[] = {"multiple_choice", "generate_until"};
    return names[type];
}

/* ---- loading ---- */

/* One generator serves all documents in order, whatever part of them is evaluated: a document's
 * shots then do not depend on --offset, --limit or an interruption (lm-eval api/samplers.py). */
static status_code draw_shots(struct task_instance *instance, struct status *st)
{
    size_t shots = (size_t)instance->info.num_fewshot, n = instance->test.count;
    size_t total;
    if (__builtin_mul_overflow(shots, n, &total) || total > LIMIT_FEWSHOT_DRAWS)
        return status_set(st, STATUS_LIMIT, "more than %u shots in all documents together",
                          LIMIT_FEWSHOT_DRAWS);
    instance->draws = calloc(total, sizeof *instance->draws);
    if (!instance->draws) return status_no_memory(st, "few-shot draws");
    struct mt19937 mt;
    mt19937_seed(&mt, instance->info.fewshot_seed);
    for (size_t doc = 0; doc < n; doc++) {
        status_code code = mt19937_sample(&mt, (uint32_t)instance->pool.count, (uint32_t)shots,
                                          instance->draws + doc * shots, st);
        if (code != STATUS_OK) return code;
    }
    return STATUS_OK;
}

static status_code load_shots(struct task_instance *instance, struct status *st)
{
    const struct task *task = instance->ref.task;
    int shots = instance->info.num_fewshot;
    if (!shots) return STATUS_OK;
    status_code code = task->load(task, instance->ref.subset, task->fewshot_split,
                                  instance->dataset, &instance->pool, st);
    if (code != STATUS_OK) return code;
    if ((size_t)shots > instance->pool.count)
        return status_set(st, STATUS_USAGE, "--num-fewshot %d: the %s split has only %zu documents",
                          shots, task->fewshot_split, instance->pool.count);
    return task->fewshot_sampler == FEWSHOT_RANDOM ? draw_shots(instance, st) : STATUS_OK;
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
    status_code code = dataset_open(&instance->dataset, &options->lookup, task->dataset, st);
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
    const struct task *task = ref->task;
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

/* ---- rendering ---- */

static const struct document *shot(const struct task_instance *instance, int64_t doc_id, int i)
{
    size_t index = (size_t)i;
    if (instance->draws)
        index = instance->draws[(size_t)doc_id * (size_t)instance->info.num_fewshot + index];
    return &instance->pool.items[index];
}

/* lm-eval's fewshot_context(): description, shots with their targets, the document's own text. */
static void append_context(const struct task_instance *instance, int64_t doc_id, struct strbuf *out)
{
    const struct task *task = instance->ref.task;
    if (task->description) task->description(task, instance->ref.subset, out);
    for (int i = 0; i < instance->info.num_fewshot; i++) {
        const struct document *example = shot(instance, doc_id, i);
        task->doc_to_text(task, example, out);
        strbuf_append_str(out, task->target_delimiter);
        task->doc_to_target(task, example, out);
        strbuf_append_str(out, task->fewshot_delimiter);
    }
    task->doc_to_text(task, task_instance_document(instance, doc_id), out);
}

/* Moves what `sb` holds into the arena and empties it. */
static status_code keep(struct strbuf *sb, struct arena *arena, const char *what, struct text *out,
                        struct status *st)
{
    status_code code = strbuf_check(sb, what, st);
    if (code != STATUS_OK) return code;
    *out = (struct text){arena_strndup(arena, sb->data, sb->length), sb->length};
    strbuf_clear(sb);
    return out->data ? STATUS_OK : status_no_memory(st, what);
}

static status_code render_choices(const struct task_instance *instance, const struct document *doc,
                                  struct arena *arena, struct strbuf *sb, struct task_request *out,
                                  struct status *st)
{
    const struct task *task = instance->ref.task;
    struct text choices[TASK_MAX_CHOICES];
    out->gold = -1;
    out->n_continuations =
        task->doc_to_choice ? task->doc_to_choice(task, doc, choices, &out->gold) : 0;
    status_code code = STATUS_OK;
    for (int i = 0; i < out->n_continuations && code == STATUS_OK; i++) {
        strbuf_append_str(sb, task->target_delimiter);
        strbuf_append(sb, choices[i].data, choices[i].length);
        code = keep(sb, arena, "continuation", &out->continuations[i], st);
    }
    return code;
}

static status_code render_texts(const struct task_instance *instance, struct strbuf *sb,
                                struct arena *arena, struct task_request *out, struct status *st)
{
    const struct task *task = instance->ref.task;
    const struct document *doc = task_instance_document(instance, out->doc_id);
    append_context(instance, out->doc_id, sb);
    status_code code = keep(sb, arena, "prompt", &out->context, st);
    if (code != STATUS_OK) return code;
    task->doc_to_text(task, doc, sb);
    code = keep(sb, arena, "document", &out->guard_text, st);
    if (code != STATUS_OK) return code;
    task->doc_to_target(task, doc, sb);
    code = keep(sb, arena, "target", &out->target, st);
    if (code != STATUS_OK) return code;
    struct text json;
    task->doc_to_json(task, doc, sb);
    code = keep(sb, arena, "document", &json, st);
    if (code != STATUS_OK) return code;
    sha256_text(json, out->doc_hash);
    sha256_text(out->context, out->prompt_hash);
    return render_choices(instance, doc, arena, sb, out, st);
}

static status_code check_document(const struct task_instance *instance, int64_t doc_id,
                                  struct status *st)
{
    if (doc_id >= 0 && doc_id < instance->info.n_documents) return STATUS_OK;
    return status_set(st, STATUS_USAGE, "%s has no document %lld: there are %lld, from 0",
                      instance->ref.name, (long long)doc_id, (long long)instance->info.n_documents);
}

status_code task_instance_render(const struct task_instance *instance, int64_t doc_id,
                                 struct arena *arena, struct task_request *out, struct status *st)
{
    status_code code = check_document(instance, doc_id, st);
    if (code != STATUS_OK) return code;
    const struct task *task = instance->ref.task;
    *out = (struct task_request){.doc_id = doc_id, .output_type = task->output_type};
    struct strbuf sb;
    strbuf_init(&sb, LIMIT_PROMPT_BYTES);
    code = render_texts(instance, &sb, arena, out, st);
    strbuf_release(&sb);
    if (code != STATUS_OK)
        return status_prefix(st, "%s: document %lld", instance->ref.name, (long long)doc_id);
    for (int i = 0; i < TASK_MAX_UNTIL && task->until[i]; i++)
        out->until[out->n_until++] = text_of(task->until[i]);
    out->max_gen_toks = task->max_gen_toks;
    return STATUS_OK;
}

/* ---- scoring ---- */

status_code task_instance_score_reply(const struct task_instance *instance, int64_t doc_id,
                                      const struct reply *reply, struct arena *arena,
                                      struct score *out, struct status *st)
{
    status_code code = check_document(instance, doc_id, st);
    if (code != STATUS_OK) return code;
    if (!instance->ref.task->score_reply)
        return status_set(st, STATUS_UNSUPPORTED, "%s is not scored from replies",
                          instance->ref.name);
    code = instance->ref.task->score_reply(instance, doc_id, reply, arena, out, st);
    if (code != STATUS_OK)
        status_prefix(st, "%s: document %lld", instance->ref.name, (long long)doc_id);
    return code;
}

status_code task_instance_score_choices(const struct task_instance *instance, int64_t doc_id,
                                        const double *logprobs, int n, struct score *out,
                                        struct status *st)
{
    status_code code = check_document(instance, doc_id, st);
    if (code != STATUS_OK) return code;
    if (!instance->ref.task->score_choices)
        return status_set(st, STATUS_UNSUPPORTED, "%s is not scored from log-probabilities",
                          instance->ref.name);
    code = instance->ref.task->score_choices(instance, doc_id, logprobs, n, out, st);
    if (code != STATUS_OK)
        status_prefix(st, "%s: document %lld", instance->ref.name, (long long)doc_id);
    return code;
}
