/* The rows that a run has before its first answer: what it will do, and with what. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "benchmarks/machine.h"
#include "benchmarks/runner_internal.h"
#include "benchmarks/task_file.h"
#include "benchmarks/version.h"
#include "engine/base/json.h"
#include "engine/base/limits.h"

#define MAX_GROUPS      64
#define KERNEL_SET_SIZE 64
#define TASK_FILE_ROLE  "task"

/* ---- provenance ---- */

static int64_t file_bytes(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISREG(info.st_mode) ? (int64_t)info.st_size : STORE_UNKNOWN;
}

static const char *text_or_null(const char *text)
{
    return text[0] ? text : NULL;
}

/* Results depend on the kernel set and on what it computes in: "avx512", "avx512 int8". */
static void kernel_set_name(const struct engine_info *engine, char out[KERNEL_SET_SIZE])
{
    bool exact = strcmp(engine->compute, "f32") == 0;
    snprintf(out, KERNEL_SET_SIZE, "%s%s%s", engine->kernels, exact ? "" : " ",
             exact ? "" : engine->compute);
}

/* The texts that a store_run points to while it is written. */
struct run_texts {
    char cpu[256], kernel_set[KERNEL_SET_SIZE];
    char weights_sha256[SHA256_HEX_SIZE];
    struct strbuf options, policy, template;
};

/* How replies are drawn, where all tasks draw them alike; else what cannot be said is unknown. */
static void describe_sampling(const struct runner *r, struct store_run *run)
{
    const struct sampling_options first = runner_sampling(r, 0);
    run->temperature = first.temperature;
    run->top_k = first.top_k;
    run->top_p = first.top_p;
    for (int i = 1; i < r->selection.count; i++) {
        const struct sampling_options other = runner_sampling(r, i);
        if (fabs(other.temperature - first.temperature) > 0) run->temperature = (double)NAN;
        if (other.top_k != first.top_k) run->top_k = STORE_UNKNOWN;
        if (fabs(other.top_p - first.top_p) > 0) run->top_p = (double)NAN;
    }
}

static struct store_chat describe_chat(const struct runner *r, struct run_texts *texts)
{
    if (!r->chat) return (struct store_chat){0};
    const struct chat_info *info = chat_get_info(r->chat);
    strbuf_append(&texts->template, info->source.data, info->source.length);
    return (struct store_chat){
        .format = info->format,
        .template_sha256 = info->sha256,
        .system = info->options->system,
        .system_as = chat_system_as_name(info->options->system_as),
        .fewshot_as = info->options->fewshot_in_one_turn ? "one turn" : "turns",
    };
}

static status_code describe_run(struct runner *r, const char *command_line, struct run_texts *texts,
                                struct store_run *run, struct status *st)
{
    const struct engine_info *engine = engine_get_info(r->engine);
    const struct tokenizer_info *tokenizer = tokenizer_get_info(engine_get_tokenizer(r->engine));
    const struct run_config *c = &r->config;
    status_code code = engine_weights_sha256(r->engine, texts->weights_sha256, st);
    if (code != STATUS_OK) return code;
    machine_cpu_name(texts->cpu, sizeof texts->cpu);
    kernel_set_name(engine, texts->kernel_set);
    run_config_to_json(c, &texts->options);
    if (r->policy) {
        struct text canonical = policy_get_info(r->policy)->canonical;
        strbuf_append(&texts->policy, canonical.data, canonical.length);
    }
    *run = (struct store_run){
        .program_version = ASSAY_VERSION,
        .program_commit = version_commit(),
        .compiler = version_compiler(),
        .build_flags = version_build_flags(),
        .cpu = text_or_null(texts->cpu),
        .kernel_set = texts->kernel_set,
        .threads = engine->n_threads,
        .backend = "native",
        .model_path = engine->path,
        .architecture = engine->architecture,
        .quantisation = engine->quantisation,
        .weights_sha256 = texts->weights_sha256,
        .weights_bytes = file_bytes(engine->path),
        .tokenizer_sha256 = tokenizer->sha256,
        .tokenizer_kind = tokenizer->kind,
        .chat = describe_chat(r, texts),
        .bos_policy = tokenizer->add_bos ? "one in front" : "none",
        .max_tokens = c->max_gen_toks > 0 ? c->max_gen_toks : STORE_UNKNOWN,
        .seed = c->seed,
        .guard_mode = c->guard_mode,
        .guard_policy_json = r->policy ? texts->policy.data : NULL,
        .guard_policy_sha256 = r->policy ? policy_get_info(r->policy)->sha256 : NULL,
        .command_line = command_line,
        .options_json = texts->options.data,
    };
    if (texts->template.length) run->chat_template = texts->template.data;
    describe_sampling(r, run);
    if (strbuf_check(&texts->template, "the chat template", st) != STATUS_OK) return st->code;
    return strbuf_check(&texts->options, "the run's options", st);
}

/* ---- tasks and groups ---- */

int64_t run_record_n_documents(const struct runner *r, int task)
{
    int64_t n = task_instance_info(r->tasks[task])->n_documents;
    return r->config.limit > 0 && r->config.limit < n ? r->config.limit : n;
}

size_t run_record_metrics(const struct task *task, int repeats,
                          struct store_metric out[TASK_MAX_VALUES])
{
    struct task_metric metrics[TASK_MAX_VALUES];
    int n = task_list_metrics(task, repeats, metrics);
    for (int i = 0; i < n; i++)
        out[i] = (struct store_metric){
            .metric = metrics[i].metric->name,
            .extraction = metrics[i].extraction,
            .higher_is_better = metrics[i].metric->higher_is_better,
            .no_direction = metrics[i].metric->no_direction,
            .blocked_value = metrics[i].metric->blocked_value,
            .source = metrics[i].metric->source,
            .best_of = metrics[i].best_of,
            .stratum = metrics[i].metric->stratum,
        };
    return (size_t)n;
}

static status_code add_samples(struct runner *r, int i, struct status *st)
{
    const struct run_config *c = &r->config;
    int64_t all = run_record_n_documents(r, i), step = c->n_shards ? c->n_shards : 1;
    int64_t *doc_ids = calloc(all ? (size_t)all : 1, sizeof *doc_ids);
    if (!doc_ids) return status_no_memory(st, "the list of documents");
    size_t n = 0;
    for (int64_t d = c->n_shards ? c->shard - 1 : 0; d < all; d += step) doc_ids[n++] = d;
    status_code code =
        store_add_samples(r->store, r->run_id, r->selection.refs[i].name, doc_ids, n, st);
    free(doc_ids);
    return code;
}

static status_code add_task(struct runner *r, int i, struct status *st)
{
    const struct task_info *info = task_instance_info(r->tasks[i]);
    const struct task *task = info->ref->task;
    struct store_metric metrics[TASK_MAX_VALUES];
    size_t n_metrics = run_record_metrics(task, runner_repeats(r, i), metrics);
    bool drawn = task->fewshot_sampler != FEWSHOT_FIRST_N && info->num_fewshot > 0;
    const struct store_task row = {
        .task = info->ref->name,
        .position = i,
        .version = task->version,
        .profile = task->profile,
        .output_type = output_type_name(task->output_type),
        .num_fewshot = info->num_fewshot,
        .fewshot_seed = drawn ? (int64_t)info->fewshot_seed : STORE_UNKNOWN,
        .limit = r->config.limit > 0 ? r->config.limit : STORE_UNKNOWN,
        .repeats = runner_repeats(r, i),
        .base = info->ref->base,
        .dataset_name = task->dataset,
        .dataset_path = info->data_dir,
        .dataset_sha256 = info->dataset_sha256,
        .dataset_bytes = STORE_UNKNOWN,
        .n_docs_total = info->n_documents,
        .metrics = metrics,
        .n_metrics = n_metrics,
    };
    status_code code = store_add_task(r->store, r->run_id, &row, st);
    return code == STATUS_OK ? add_samples(r, i, st) : code;
}

/* Groups in order of first use, each with the group above it. */
struct groups {
    const char *name[MAX_GROUPS];
    const char *parent[MAX_GROUPS];
    int n;
};

/* A group's score means all of its tasks: one that is only partly selected is not reported. */
static status_code is_whole(const struct runner *r, const char *group, bool *whole,
                            struct status *st)
{
    struct dataset_lookup lookup = {r->config.data_dir, r->environment.demo_dir};
    struct task_selection all = {0};
    status_code code = task_registry_select(&all, group, r->config.profile, &lookup, st);
    if (code != STATUS_OK) return code;
    int selected = 0;
    for (int i = 0; i < r->selection.count; i++) {
        const struct task_ref *ref = &r->selection.refs[i];
        bool in = (ref->group && strcmp(ref->group, group) == 0) ||
                  (ref->subgroup && strcmp(ref->subgroup, group) == 0);
        selected += in;
    }
    *whole = selected == all.count;
    task_selection_release(&all);
    return STATUS_OK;
}

status_code run_record_base(struct runner *r, int task, const char **base, struct status *st)
{
    const struct task_ref *ref = &r->selection.refs[task];
    const char *const groups[] = {ref->group, ref->subgroup};
    *base = ref->name;
    for (size_t i = 0; i < sizeof groups / sizeof groups[0]; i++) {
        bool whole = false;
        status_code code = groups[i] ? is_whole(r, groups[i], &whole, st) : STATUS_OK;
        if (code != STATUS_OK || !whole) continue;
        *base = groups[i];
        break;
    }
    return st->code;
}

static bool has_group(const struct groups *g, const char *name)
{
    for (int i = 0; name && i < g->n; i++)
        if (strcmp(g->name[i], name) == 0) return true;
    return false;
}

static status_code note_group(struct runner *r, struct groups *g, const char *name,
                              const char *parent, struct status *st)
{
    bool whole;
    if (!name || has_group(g, name) || g->n == MAX_GROUPS) return STATUS_OK;
    status_code code = is_whole(r, name, &whole, st);
    if (code != STATUS_OK || !whole) return code;
    g->name[g->n] = name;
    g->parent[g->n] = has_group(g, parent) ? parent : NULL;
    g->n++;
    return store_add_group(r->store, r->run_id, name, g->parent[g->n - 1], NULL, g->n, st);
}

static status_code add_groups(struct runner *r, struct status *st)
{
    struct groups g = {0};
    status_code code = STATUS_OK;
    for (int i = 0; i < r->selection.count && code == STATUS_OK; i++) {
        const struct task_ref *ref = &r->selection.refs[i];
        code = note_group(r, &g, ref->group, NULL, st);
        if (code == STATUS_OK) code = note_group(r, &g, ref->subgroup, ref->group, st);
        const char *direct = has_group(&g, ref->subgroup) ? ref->subgroup
                             : has_group(&g, ref->group)  ? ref->group
                                                          : NULL;
        if (code == STATUS_OK && direct)
            code = store_add_group_member(r->store, r->run_id, direct, ref->name, st);
    }
    return code;
}

static status_code add_classifier(struct runner *r, const char *role, const struct classifier *c,
                                  struct status *st)
{
    const struct store_artifact artifact = {
        .sha256 = classifier_sha256(c),
        .kind = "classifier",
        .name = classifier_id(c),
        .bytes = STORE_UNKNOWN,
    };
    return store_add_artifact(r->store, r->run_id, role, &artifact, st);
}

static status_code add_classifiers(struct runner *r, struct status *st)
{
    status_code code = STATUS_OK;
    for (int i = 0; i < pipeline_n_classifiers(r->pipeline) && code == STATUS_OK; i++)
        code = add_classifier(r, "guard", pipeline_classifier(r->pipeline, i), st);
    return code;
}

static status_code add_adapter(struct runner *r, struct status *st)
{
    char sha256[SHA256_HEX_SIZE];
    const struct adapter_info *info = engine_get_info(r->engine)->adapter;
    struct strbuf meta;
    if (!info) return STATUS_OK;
    status_code code = engine_adapter_sha256(r->engine, sha256, st);
    if (code != STATUS_OK) return code;
    strbuf_init(&meta, LIMIT_CONFIG_BYTES);
    strbuf_appendf(&meta, "{\"format\": \"%s\", \"rank\": %d, \"alpha\": ", info->format,
                   info->rank);
    json_append_number(&meta, info->alpha);
    strbuf_appendf(&meta, ", \"rank_stabilised\": %s, \"modules\": ",
                   info->rank_stabilised ? "true" : "false");
    json_append_str(&meta, info->modules);
    strbuf_append_str(&meta, "}");
    const struct store_artifact artifact = {
        .sha256 = sha256,
        .kind = "adapter",
        .name = info->path,
        .bytes = (int64_t)info->bytes,
        .meta_json = meta.data,
    };
    code = strbuf_check(&meta, "the adapter", st);
    if (code == STATUS_OK) code = store_add_artifact(r->store, r->run_id, "adapter", &artifact, st);
    strbuf_release(&meta);
    return code;
}

/* The Python that ran the model's programs: another may judge them otherwise. */
static status_code add_interpreter(struct runner *r, struct status *st)
{
    if (!r->sandbox) return STATUS_OK;
    const struct sandbox_info *info = sandbox_get_info(r->sandbox);
    struct strbuf meta;
    strbuf_init(&meta, LIMIT_LINE_BYTES);
    strbuf_append_str(&meta, "{\"version\": ");
    json_append_str(&meta, info->version);
    strbuf_appendf(&meta, ", \"isolation\": \"bubblewrap\", \"seccomp\": %s}",
                   info->seccomp ? "true" : "false");
    const struct store_artifact artifact = {
        .sha256 = info->interpreter_sha256,
        .kind = "interpreter",
        .name = info->interpreter,
        .bytes = file_bytes(info->interpreter),
        .meta_json = meta.data,
    };
    status_code code = strbuf_check(&meta, "the interpreter", st);
    if (code == STATUS_OK)
        code = store_add_artifact(r->store, r->run_id, "interpreter", &artifact, st);
    strbuf_release(&meta);
    return code;
}

/* A task file's version is its author's word; its bytes are what was run. */
static status_code add_task_file(struct runner *r, int i, struct status *st)
{
    const struct task *task = r->selection.refs[i].task;
    if (!task->file) return STATUS_OK;
    const struct task_file_info *info = task_file_get_info(task->file);
    const struct store_artifact artifact = {
        .sha256 = info->sha256,
        .kind = "task_file",
        .name = info->path,
        .bytes = info->bytes,
    };
    return store_add_artifact(r->store, r->run_id, TASK_FILE_ROLE, &artifact, st);
}

status_code run_record_scorers(struct runner *r, struct status *st)
{
    status_code code = STATUS_OK;
    for (int i = 0; i < r->selection.count && code == STATUS_OK; i++)
        code = add_task_file(r, i, st);
    if (code == STATUS_OK && r->toxicity) code = add_classifier(r, "toxicity", r->toxicity, st);
    return code == STATUS_OK ? add_interpreter(r, st) : code;
}

static status_code write_rows(struct runner *r, const struct store_run *run, struct status *st)
{
    status_code code = store_create_run(r->store, run, r->run_id, st);
    for (int i = 0; i < r->selection.count && code == STATUS_OK; i++) code = add_task(r, i, st);
    if (code == STATUS_OK) code = add_groups(r, st);
    if (code == STATUS_OK) code = add_classifiers(r, st);
    if (code == STATUS_OK) code = run_record_scorers(r, st);
    if (code == STATUS_OK) code = add_adapter(r, st);
    return code;
}

status_code run_record_create(struct runner *r, const char *command_line, struct status *st)
{
    struct run_texts texts;
    struct store_run run;
    strbuf_init(&texts.options, LIMIT_POLICY_BYTES);
    strbuf_init(&texts.policy, LIMIT_POLICY_BYTES);
    strbuf_init(&texts.template, LIMIT_CONFIG_BYTES);
    status_code code = describe_run(r, command_line, &texts, &run, st);
    if (code == STATUS_OK) code = store_begin(r->store, st);
    if (code == STATUS_OK) {
        code = write_rows(r, &run, st);
        if (code == STATUS_OK)
            code = store_commit(r->store, st);
        else
            store_rollback(r->store);
    }
    strbuf_release(&texts.options);
    strbuf_release(&texts.policy);
    strbuf_release(&texts.template);
    return code;
}

/* ---- taking a run up again ---- */

static status_code same(const char *what, const char *then, const char *now, struct status *st)
{
    if ((!then && !now) || (then && now && strcmp(then, now) == 0)) return STATUS_OK;
    return status_set(st, STATUS_BAD_INPUT,
                      "the run cannot be continued: its %s was %.80s and is now %.80s", what,
                      then ? then : "none", now ? now : "none");
}

static status_code check_model(struct runner *r, const struct store_run *run, struct status *st)
{
    char weights[SHA256_HEX_SIZE], kernel_set[KERNEL_SET_SIZE];
    const struct engine_info *engine = engine_get_info(r->engine);
    kernel_set_name(engine, kernel_set);
    status_code code = engine_weights_sha256(r->engine, weights, st);
    if (code != STATUS_OK) return code;
    if ((code = same("weights (SHA-256)", run->weights_sha256, weights, st)) ||
        (code = same("tokenizer (SHA-256)", run->tokenizer_sha256,
                     tokenizer_get_info(engine_get_tokenizer(r->engine))->sha256, st)) ||
        (code = same("kernel set", run->kernel_set, kernel_set, st)) ||
        (code = same("program version", run->program_version, ASSAY_VERSION, st)))
        return code;
    return same("guard policy (SHA-256)", run->guard_policy_sha256,
                r->policy ? policy_get_info(r->policy)->sha256 : NULL, st);
}

static status_code check_chat(struct runner *r, const struct store_chat *then, struct status *st)
{
    const struct chat_info *now = r->chat ? chat_get_info(r->chat) : NULL;
    status_code code = same("chat format", then->format, now ? now->format : NULL, st);
    if (code != STATUS_OK || !now) return code;
    const struct chat_options *o = now->options;
    if ((code = same("chat template (SHA-256)", then->template_sha256, now->sha256, st)) ||
        (code = same("system message", then->system, o->system, st)) ||
        (code = same("--system-as", then->system_as, chat_system_as_name(o->system_as), st)))
        return code;
    return same("few-shot form", then->fewshot_as, o->fewshot_in_one_turn ? "one turn" : "turns",
                st);
}

static status_code check_task(struct runner *r, int i, const struct store_task *then,
                              struct status *st)
{
    const struct task_info *info = task_instance_info(r->tasks[i]);
    const struct task *task = info->ref->task;
    status_code code;
    if ((code = same("task", then->task, info->ref->name, st)) ||
        (code = same("profile", then->profile, task->profile, st)) ||
        (code = same("task version", then->version, task->version, st)))
        return code;
    code = same("data (SHA-256)", then->dataset_sha256, info->dataset_sha256, st);
    return code == STATUS_OK ? code : status_prefix(st, "%s", then->task);
}

static status_code check_task_file(struct runner *r, int i, struct status *st)
{
    bool same_one = true;
    const struct task *task = r->selection.refs[i].task;
    if (!task->file) return STATUS_OK;
    const struct task_file_info *info = task_file_get_info(task->file);
    status_code code =
        store_has_artifact(r->store, r->run_id, TASK_FILE_ROLE, info->sha256, &same_one, st);
    if (code != STATUS_OK || same_one) return code;
    return status_set(st, STATUS_BAD_INPUT,
                      "the task file %s is not what it was when the run began", info->path);
}

static status_code check_toxicity(struct runner *r, struct status *st)
{
    bool same_one = true;
    if (!r->toxicity) return STATUS_OK;
    status_code code = store_has_artifact(r->store, r->run_id, "toxicity",
                                          classifier_sha256(r->toxicity), &same_one, st);
    if (code != STATUS_OK || same_one) return code;
    return status_set(st, STATUS_BAD_INPUT,
                      "the run cannot be continued: its toxicity classifier is now another, %s",
                      classifier_id(r->toxicity));
}

static status_code check_adapter(struct runner *r, struct status *st)
{
    char sha256[SHA256_HEX_SIZE];
    bool same_one = true;
    const struct adapter_info *info = engine_get_info(r->engine)->adapter;
    if (!info) return STATUS_OK;
    status_code code = engine_adapter_sha256(r->engine, sha256, st);
    if (code == STATUS_OK)
        code = store_has_artifact(r->store, r->run_id, "adapter", sha256, &same_one, st);
    if (code != STATUS_OK || same_one) return code;
    return status_set(st, STATUS_BAD_INPUT,
                      "the run cannot be continued: its adapter %s is no longer what it was",
                      info->path);
}

static status_code check_interpreter(struct runner *r, struct status *st)
{
    bool same_one = true;
    if (!r->sandbox) return STATUS_OK;
    const struct sandbox_info *info = sandbox_get_info(r->sandbox);
    status_code code = store_has_artifact(r->store, r->run_id, "interpreter",
                                          info->interpreter_sha256, &same_one, st);
    if (code != STATUS_OK || same_one) return code;
    return status_set(st, STATUS_BAD_INPUT,
                      "the run cannot be continued: its Python interpreter is now another, %s %s",
                      info->interpreter, info->version);
}

status_code run_record_check_files(struct runner *r, struct status *st)
{
    status_code code = STATUS_OK;
    for (int i = 0; i < r->selection.count && code == STATUS_OK; i++)
        code = check_task_file(r, i, st);
    return code;
}

status_code run_record_check(struct runner *r, struct status *st)
{
    struct arena arena;
    struct store_run run;
    struct store_task *tasks;
    size_t n;
    arena_init(&arena, LIMIT_POLICY_BYTES * 4);
    status_code code = store_load_run(r->store, r->run_id, &arena, &run, st);
    if (code == STATUS_OK) code = check_model(r, &run, st);
    if (code == STATUS_OK) code = check_chat(r, &run.chat, st);
    if (code == STATUS_OK) code = store_load_tasks(r->store, r->run_id, &arena, &tasks, &n, st);
    if (code == STATUS_OK && n != (size_t)r->selection.count)
        code = status_set(st, STATUS_BAD_INPUT,
                          "the run cannot be continued: it has %zu tasks, the data now gives %d", n,
                          r->selection.count);
    for (int i = 0; code == STATUS_OK && i < r->selection.count; i++)
        code = check_task(r, i, &tasks[i], st);
    if (code == STATUS_OK) code = run_record_check_files(r, st);
    if (code == STATUS_OK) code = check_toxicity(r, st);
    if (code == STATUS_OK) code = check_interpreter(r, st);
    if (code == STATUS_OK) code = check_adapter(r, st);
    arena_release(&arena);
    return code;
}
