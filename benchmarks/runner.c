#include "benchmarks/runner.h"

#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "benchmarks/runner_internal.h"
#include "benchmarks/toxicity.h"
#include "engine/backend_native.h"
#include "engine/base/clock.h"
#include "engine/inspect/memory_plan.h"
#include "engine/base/limits.h"
#include "engine/sampling/sampler.h"

static struct task_options task_options(const struct runner *r)
{
    return (struct task_options){
        .num_fewshot =
            r->config.num_fewshot < 0 ? TASK_DEFAULT_FEWSHOT : (int)r->config.num_fewshot,
        .lookup = {.data_dir = r->config.data_dir, .demo_dir = r->environment.demo_dir},
    };
}

static bool warned_before(const struct runner *r, int task)
{
    for (int i = 0; i < task; i++)
        if (r->selection.refs[i].task == r->selection.refs[task].task) return true;
    return false;
}

/* Said once everything is loaded, so that a run that cannot begin says only why. */
static void say_what_data(const struct runner *r)
{
    for (int i = 0; i < r->selection.count; i++) {
        const struct task_info *info = task_instance_info(r->tasks[i]);
        if (info->matches_manifest == MANIFEST_DIFFERENT && !warned_before(r, i))
            log_warning(r->environment.log, "%s: the files in %s are not the published ones",
                        info->ref->task->name, info->data_dir);
    }
    if (task_instance_info(r->tasks[0])->origin == DATASET_DEMO)
        log_info(r->environment.log,
                 "using the demo samples; name real data with --data or $ASSAY_DATA");
}

static int shots_of(const struct runner *r, const struct task *task)
{
    return r->config.num_fewshot < 0 ? task->num_fewshot : (int)r->config.num_fewshot;
}

/* Takes the place of a selection in which each leaf that shows shots stands once for each of the
 * seeds, in the order of the seeds. */
static status_code expand_shot_seeds(struct runner *r, struct status *st)
{
    int n_seeds = (int)r->config.shot_seeds, n = 0;
    struct task_selection *s = &r->selection;
    struct task_ref *refs = calloc((size_t)s->count * (size_t)n_seeds, sizeof *refs);
    if (!refs) return status_no_memory(st, "the tasks");
    bool any = false;
    status_code code = STATUS_OK;
    for (int i = 0; i < s->count && code == STATUS_OK; i++) {
        bool shows = shots_of(r, s->refs[i].task) > 0;
        const char *base = NULL;
        any |= shows;
        if (shows) code = run_record_base(r, i, &base, st);
        for (int k = 0; k < (shows ? n_seeds : 1) && code == STATUS_OK; k++) {
            struct task_ref *ref = &refs[n++];
            *ref = s->refs[i];
            if (!shows) continue;
            ref->base = base;
            ref->shot_seed = TASK_FEWSHOT_SEED + (uint64_t)k;
            ref->group = ref->subgroup = NULL;
            int length = snprintf(ref->name, sizeof ref->name, "%s#%d", s->refs[i].name,
                                  TASK_FEWSHOT_SEED + k);
            if (length >= (int)sizeof ref->name)
                code = status_set(st, STATUS_LIMIT, "task name %s is too long", s->refs[i].name);
        }
    }
    if (code == STATUS_OK && !any)
        code = status_set(st, STATUS_USAGE, "--shot-seeds: none of the tasks shows examples");
    if (code != STATUS_OK) {
        free(refs);
        return code;
    }
    free(r->unexpanded);
    r->unexpanded = s->refs; /* bases point into it */
    s->refs = refs;
    s->count = n;
    return STATUS_OK;
}

static status_code load_tasks(struct runner *r, struct status *st)
{
    struct task_options options = task_options(r);
    status_code code = task_registry_select(&r->selection, r->config.tasks, r->config.profile,
                                            &options.lookup, st);
    if (code == STATUS_OK && r->config.shot_seeds > 1) code = expand_shot_seeds(r, st);
    if (code != STATUS_OK) return code;
    r->tasks = calloc((size_t)r->selection.count, sizeof(struct task_instance *));
    if (!r->tasks) return status_no_memory(st, "the tasks");
    for (int i = 0; i < r->selection.count && code == STATUS_OK; i++) {
        options.fewshot_seed = r->selection.refs[i].shot_seed;
        options.draw_shots = r->selection.refs[i].base != NULL;
        code = task_instance_load(&r->tasks[i], &r->selection.refs[i], &options, st);
    }
    return code;
}

int runner_repeats(const struct runner *r, int task)
{
    const struct task *row = r->selection.refs[task].task;
    if (row->output_type != OUTPUT_GENERATE_UNTIL) return 1;
    return r->config.repeats > 0 ? (int)r->config.repeats : task_repeats(row);
}

struct sampling_options runner_sampling(const struct runner *r, int task)
{
    struct sampling_options sampling = task_sampling(r->selection.refs[task].task);
    if (!isnan(r->config.temperature)) sampling.temperature = r->config.temperature;
    if (r->config.top_k >= 0) sampling.top_k = (int)r->config.top_k;
    if (!isnan(r->config.top_p)) sampling.top_p = r->config.top_p;
    return sampling;
}

static status_code check_sampling(const struct runner *r, struct status *st)
{
    status_code code = STATUS_OK;
    for (int i = 0; i < r->selection.count && code == STATUS_OK; i++) {
        struct sampling_options sampling = runner_sampling(r, i);
        code = sampling_options_check(&sampling, st);
    }
    return code;
}

static status_code load_toxicity(struct runner *r, struct status *st)
{
    int i = 0;
    while (i < r->selection.count && !r->selection.refs[i].task->judges_toxicity) i++;
    if (i == r->selection.count) return STATUS_OK;
    if (!r->config.toxicity_classifier) r->config.toxicity_classifier = toxicity_own_classifier();
    return toxicity_open(&r->toxicity, r->config.toxicity_classifier, &r->cache, st);
}

/* Before the model: a machine that cannot isolate code says so at once. */
static status_code load_sandbox(struct runner *r, struct status *st)
{
    int i = 0;
    while (i < r->selection.count && !r->selection.refs[i].task->reply_to_job) i++;
    if (i == r->selection.count) return STATUS_OK;
    status_code code = sandbox_open(&r->sandbox, &(struct sandbox_options){0}, st);
    return code == STATUS_OK ? code : status_prefix(st, "task %s", r->selection.refs[i].name);
}

static status_code load_guard(struct runner *r, struct status *st)
{
    bool guarded = r->config.guard_mode != GUARD_OFF;
    if (guarded != (r->config.guard != NULL))
        return status_set(st, STATUS_USAGE,
                          guarded ? "a guard mode needs a guard policy: --guard"
                                  : "a guard policy needs a mode that uses it");
    status_code code = guarded ? policy_load(&r->policy, r->config.guard, st) : STATUS_OK;
    if (code != STATUS_OK) return code;
    return pipeline_create_cached(&r->pipeline, r->policy, r->config.guard_mode, &r->cache, st);
}

status_code runner_engine_options(struct engine_options *out, const struct run_config *config,
                                  const struct runner_environment *environment, struct status *st)
{
    *out = (struct engine_options){
        .model_path = environment->model_path,
        .adapter_path = config->adapter,
        .kernels = config->kernels,
        .n_threads = (int)config->threads,
        .round_embedding_scale = config->round_embedding_scale,
    };
    if (compute_type_find(config->type, &out->compute)) return STATUS_OK;
    return status_set(st, STATUS_USAGE, "type \"%s\": auto or f32", config->type);
}

/* Before anything large is touched: a plan that does not fit says which option would make it. */
static status_code check_memory(const struct runner *r, struct status *st)
{
    struct memory_plan plan;
    const struct memory_request request = {
        .model_path = r->environment.model_path,
        .n_context = (int)r->config.max_context,
        .n_threads = (int)r->config.threads,
        .cache_bytes = (uint64_t)r->config.cache_memory << 20,
        .max_bytes = (uint64_t)r->config.max_memory << 20,
    };
    if (r->environment.base) return STATUS_OK; /* it is there already */
    status_code code = memory_plan_make(&plan, &request, st);
    return code == STATUS_OK ? memory_plan_check(&plan, st) : code;
}

static status_code load_model(struct runner *r, struct status *st)
{
    struct engine_options options;
    const struct backend_native_options backend = {
        .n_context = (int)r->config.max_context,
        .cache_bytes = (size_t)r->config.cache_memory << 20,
    };
    const struct engine *base = r->environment.base;
    status_code code = runner_engine_options(&options, &r->config, &r->environment, st);
    if (code == STATUS_OK) code = check_memory(r, st);
    if (code != STATUS_OK) return code;
    if (!base)
        code = engine_open(&r->own_engine, &options, st);
    else if (r->config.adapter)
        code = engine_adapt(&r->own_engine, base, r->config.adapter, st);
    if (code != STATUS_OK) return code;
    r->engine = r->own_engine ? r->own_engine : base;
    return backend_native_open(&r->backend, r->engine, &backend, st);
}

/* Renders the first document of each task, so that a system message without a place, or a piece
 * that the vocabulary lacks, is found before the run begins. */
static status_code try_chat(const struct runner *r, struct status *st)
{
    struct arena arena;
    struct task_request request;
    struct chat_prompt prompt;
    status_code code = STATUS_OK;
    arena_init(&arena, 8 * (size_t)LIMIT_PROMPT_BYTES);
    for (int i = 0; i < r->selection.count && code == STATUS_OK; i++) {
        if (!task_instance_info(r->tasks[i])->n_documents) continue;
        code = chat_render(r->chat, r->tasks[i], 0, INT_MAX, &arena, &request, &prompt, st);
        chat_prompt_release(&prompt);
        arena_reset(&arena);
    }
    arena_release(&arena);
    return code;
}

static status_code load_chat(struct runner *r, struct status *st)
{
    const struct run_config *c = &r->config;
    if (!c->chat) return STATUS_OK;
    struct chat_options options = {
        .template = c->chat_template,
        .system = c->chat_system,
        .fewshot_in_one_turn = c->chat_fewshot_in_one_turn,
    };
    if (c->chat_system_as && !chat_system_as_find(c->chat_system_as, &options.system_as))
        return status_set(st, STATUS_USAGE, "--system-as \"%s\": drop, prepend-user or error",
                          c->chat_system_as);
    status_code code = chat_open(&r->chat, engine_get_tokenizer(r->engine), &options, st);
    return code == STATUS_OK ? try_chat(r, st) : code;
}

status_code runner_load_scoring(struct runner *r, struct status *st)
{
    status_code code = load_tasks(r, st);
    if (code == STATUS_OK) code = load_toxicity(r, st);
    return code == STATUS_OK ? load_sandbox(r, st) : code;
}

status_code runner_open(struct runner **out, const struct run_config *config,
                        const struct runner_environment *environment, struct status *st)
{
    struct runner *r = calloc(1, sizeof *r);
    if (!r) return status_no_memory(st, "the runner");
    r->config = *config;
    r->environment = *environment;
    r->cache = store_cache(&r->store);
    status_code code;
    if ((code = runner_load_scoring(r, st)) != STATUS_OK ||
        (code = check_sampling(r, st)) != STATUS_OK || (code = load_guard(r, st)) != STATUS_OK ||
        (code = load_model(r, st)) != STATUS_OK || (code = load_chat(r, st)) != STATUS_OK) {
        runner_free(r);
        return code;
    }
    say_what_data(r);
    *out = r;
    return STATUS_OK;
}

void runner_free(struct runner *r)
{
    if (!r) return;
    for (int i = 0; r->tasks && i < r->selection.count; i++) task_instance_free(r->tasks[i]);
    free(r->tasks);
    task_selection_release(&r->selection);
    free(r->unexpanded);
    pipeline_free(r->pipeline);
    policy_free(r->policy);
    classifier_free(r->toxicity);
    sandbox_free(r->sandbox);
    chat_free(r->chat);
    backend_free(r->backend);
    engine_free(r->own_engine);
    free(r);
}

struct prompt_maker runner_prompt_maker(const struct runner *r)
{
    return (struct prompt_maker){
        .tokenizer = engine_get_tokenizer(r->engine),
        .chat = r->chat,
        .n_positions = r->config.max_context > 0 ? r->config.max_context
                                                 : engine_get_info(r->engine)->n_context,
        .max_gen_toks = r->config.max_gen_toks > 0 ? r->config.max_gen_toks : 0,
    };
}

status_code runner_show_prompts(const struct runner *r, int64_t doc_id, bool json,
                                const struct line_sink *sink, struct status *st)
{
    const struct prompt_maker maker = runner_prompt_maker(r);
    status_code code = STATUS_OK;
    bool any = false;
    for (int i = 0; i < r->selection.count && code == STATUS_OK; i++) {
        if (doc_id >= task_instance_info(r->tasks[i])->n_documents) continue;
        any = true;
        code = prompt_view(&maker, r->tasks[i], doc_id, json, sink, st);
    }
    if (code != STATUS_OK || any) return code;
    return status_set(st, STATUS_USAGE, "no task has a document %lld", (long long)doc_id);
}

const char *runner_run_id(const struct runner *r)
{
    return r->run_id;
}

status_code runner_start(struct runner *r, struct store *store, const char *command_line,
                         struct status *st)
{
    r->store = store;
    return run_record_create(r, command_line, st);
}

status_code runner_continue(struct runner *r, struct store *store, const char *run_id,
                            struct status *st)
{
    r->store = store;
    snprintf(r->run_id, sizeof r->run_id, "%s", run_id);
    status_code code = run_record_check(r, st);
    if (code == STATUS_OK) code = store_set_run_state(store, r->run_id, RUN_RUNNING, st);
    return code;
}

/* ---- the loop ---- */

struct work {
    struct runner *runner;
    const struct runner_hooks *hooks;
    struct runner_progress progress;
    double start;
};

static status_code count_documents(struct work *w, struct status *st)
{
    int64_t counts[SAMPLE_STATES];
    struct runner *r = w->runner;
    status_code code = store_count_samples(r->store, r->run_id, NULL, counts, st);
    if (code != STATUS_OK) return code;
    for (int i = 0; i < SAMPLE_STATES; i++) w->progress.total += counts[i];
    w->progress.done = w->progress.total - counts[SAMPLE_PENDING];
    return STATUS_OK;
}

static void report_progress(struct work *w, size_t n)
{
    w->progress.done += (int64_t)n;
    w->progress.done_this_time += (int64_t)n;
    w->progress.seconds = clock_seconds() - w->start;
    if (w->hooks->progress) w->hooks->progress(w->hooks->user, &w->progress);
}

static status_code work_on_task(struct work *w, int task, struct status *st)
{
    struct runner *r = w->runner;
    const char *name = r->selection.refs[task].name;
    int64_t doc_ids[RUN_BATCH_DOCUMENTS], from = 0;
    size_t together = (size_t)run_batch_documents(r, task);
    w->progress.task = name;
    for (;;) {
        size_t n;
        status_code code =
            store_find_pending(r->store, r->run_id, name, from, doc_ids, together, &n, st);
        if (code != STATUS_OK || n == 0) return code;
        if (w->hooks->should_stop && w->hooks->should_stop(w->hooks->user))
            return status_set(st, STATUS_INTERRUPTED, "interrupted");
        if ((code = run_batch(r, task, doc_ids, n, st)) != STATUS_OK) return code;
        from = doc_ids[n - 1] + 1;
        report_progress(w, n);
    }
}

/* The state that the run is left in says why it ended; the first failure is the one reported. */
static status_code finish(struct runner *r, status_code code, struct status *st)
{
    enum run_state state = code == STATUS_OK            ? RUN_DONE
                           : code == STATUS_INTERRUPTED ? RUN_INTERRUPTED
                                                        : RUN_FAILED;
    struct status own = {0};
    status_code written = store_set_run_state(r->store, r->run_id, state, &own);
    if (code != STATUS_OK || written == STATUS_OK) return code;
    *st = own;
    return written;
}

status_code runner_work(struct runner *r, const struct runner_hooks *hooks, struct status *st)
{
    struct work w = {.runner = r, .hooks = hooks, .start = clock_seconds()};
    status_code code = count_documents(&w, st);
    for (int i = 0; i < r->selection.count && code == STATUS_OK; i++)
        code = work_on_task(&w, i, st);
    return finish(r, code, st);
}

status_code runner_count_failed(struct runner *r, int64_t *n, struct status *st)
{
    int64_t counts[SAMPLE_STATES];
    status_code code = store_count_samples(r->store, r->run_id, NULL, counts, st);
    if (code == STATUS_OK) *n = counts[SAMPLE_FAILED];
    return code;
}
