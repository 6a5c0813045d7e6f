/* assay run, assay resume: evaluate a model into the store and print the table. */
#include <inttypes.h>
#include <string.h>

#include "benchmarks/cli/cli.h"
#include "benchmarks/cli/progress.h"
#include "benchmarks/runner.h"
#include "benchmarks/task_registry.h"
#include "engine/base/limits.h"
#include "engine/engine.h"

static struct runner_environment environment_for(const struct run_config *config)
{
    return (struct runner_environment){
        .model_path = cli_model_path(config->model),
        .demo_dir = cli_demo_dir(),
        .log = &cli_logger,
    };
}

struct run_request {
    struct run_config config;
    const char *store, *command_line;
    enum table_format format;
};

/* One run to its end.  `base` is the model, already open, or NULL. */
static int start_run(const struct run_request *request, const struct engine *base)
{
    struct status st = {0};
    struct store *store = NULL;
    struct runner *runner = NULL;
    struct runner_environment environment = environment_for(&request->config);
    int code;
    environment.base = base;
    if (runner_open(&runner, &request->config, &environment, &st) == STATUS_OK &&
        store_open(&store, request->store, STORE_WRITE, &st) == STATUS_OK &&
        runner_start(runner, store, request->command_line, &st) == STATUS_OK) {
        const char *adapter = request->config.adapter;
        fprintf(stderr, "assay: run %s in %s%s%s\n", runner_run_id(runner), request->store,
                adapter ? ", adapter " : "", adapter ? adapter : "");
        code = progress_work(runner, store, request->format);
    } else {
        code = cli_fail(&st);
    }
    runner_free(runner);
    store_free(store);
    return code;
}

static int show_prompts(const struct run_config *config, int64_t doc_id, bool json)
{
    static const struct line_sink to_stdout = {.write = cli_write_line};
    struct status st = {0};
    struct runner *runner = NULL;
    struct runner_environment environment = environment_for(config);
    bool good = runner_open(&runner, config, &environment, &st) == STATUS_OK &&
                runner_show_prompts(runner, doc_id, json, &to_stdout, &st) == STATUS_OK &&
                cli_flush(&st) == STATUS_OK;
    runner_free(runner);
    return good ? EXIT_DONE : cli_fail(&st);
}

static status_code settle_chat(struct run_config *config, struct cli_chat *chat, struct status *st)
{
    status_code code = cli_settle_chat(chat, st);
    config->chat = chat->on;
    config->chat_template = chat->options.template;
    config->chat_system = chat->options.system;
    config->chat_system_as = chat->system_as;
    config->chat_fewshot_in_one_turn = chat->options.fewshot_in_one_turn;
    return code;
}

/* ---- several adapters ---- */

/* The words of the options, each of which may hold several with commas between. */
static status_code split_adapters(const struct option_list *words, struct arena *arena,
                                  struct option_list *out, struct status *st)
{
    for (int i = 0; i < words->count; i++)
        for (const char *word = words->values[i]; word;) {
            size_t n = strcspn(word, ",");
            if (!n)
                return status_set(st, STATUS_USAGE, "--adapter \"%s\": an adapter has no name",
                                  words->values[i]);
            if (out->count == OPTION_LIST_MAX)
                return status_set(st, STATUS_USAGE, "--adapter: at most %d", OPTION_LIST_MAX);
            char *name = arena_strndup(arena, word, n);
            if (!name) return status_no_memory(st, "the adapters");
            out->values[out->count++] = strcmp(name, "none") == 0 ? NULL : name;
            word = word[n] ? word + n + 1 : NULL;
        }
    return STATUS_OK;
}

/* Every adapter is looked at before the first run begins. */
static status_code open_base(struct engine **base, const struct run_config *config,
                             const struct option_list *adapters, struct status *st)
{
    struct engine_options options;
    struct runner_environment environment = environment_for(config);
    status_code code = runner_engine_options(&options, config, &environment, st);
    if (code == STATUS_OK) code = engine_open(base, &options, st);
    for (int i = 0; i < adapters->count && code == STATUS_OK; i++) {
        struct engine *adapted = NULL;
        if (!adapters->values[i]) continue;
        code = engine_adapt(&adapted, *base, adapters->values[i], st);
        engine_free(adapted);
    }
    return code;
}

/* A run for each, one after the other, on weights that are opened once.  A run that is interrupted
 * or cannot go on ends the row of them; the exit code is that of the first that was not all well.
 */
static int run_each(struct run_request *request, const struct option_list *adapters)
{
    struct status st = {0};
    struct engine *base = NULL;
    int code = EXIT_DONE;
    if (open_base(&base, &request->config, adapters, &st) != STATUS_OK) {
        engine_free(base);
        return cli_fail(&st);
    }
    for (int i = 0; i < adapters->count; i++) {
        request->config.adapter = adapters->values[i];
        int own = start_run(request, base);
        if (code == EXIT_DONE) code = own;
        if (own == EXIT_DONE || own == EXIT_INCOMPLETE) continue;
        if (i + 1 < adapters->count)
            fprintf(stderr, "assay: %d adapters were not begun, from %s on\n",
                    adapters->count - i - 1,
                    adapters->values[i + 1] ? adapters->values[i + 1] : "none");
        code = own;
        break;
    }
    engine_free(base);
    return code;
}

static int run_with_adapters(const struct command *self, struct run_request *request,
                             const struct option_list *words)
{
    struct status st = {0};
    struct arena arena;
    struct option_list adapters = {.count = 0};
    int code;
    arena_init(&arena, LIMIT_LINE_BYTES);
    if (split_adapters(words, &arena, &adapters, &st) != STATUS_OK)
        code = cli_usage_error(self, "%s", st.message);
    else if (adapters.count > 1)
        code = run_each(request, &adapters);
    else {
        request->config.adapter = adapters.count ? adapters.values[0] : NULL;
        code = start_run(request, NULL);
    }
    arena_release(&arena);
    return code;
}

/* Names that are files of a folder become their paths, which is what resume will find. */
static status_code settle_tasks(struct run_config *c, const char *task_dir, struct strbuf *names,
                                struct status *st)
{
    status_code code = task_registry_resolve(names, c->tasks, task_dir, st);
    if (code == STATUS_OK) c->tasks = names->data;
    return code;
}

/* "2/8": the second of eight shards. */
static status_code settle_shard(struct run_config *c, const char *words, struct status *st)
{
    int end = 0;
    if (!words) return STATUS_OK;
    if (sscanf(words, "%5" SCNd64 "/%5" SCNd64 "%n", &c->shard, &c->n_shards, &end) == 2 &&
        !words[end] && c->n_shards >= 2 && c->shard >= 1 && c->shard <= c->n_shards)
        return STATUS_OK;
    return status_set(st, STATUS_USAGE, "--shard \"%s\": I/N, from 1/2 to 99999/99999", words);
}

/* What was said and is no part of the config as it stands. */
struct run_words {
    const char *mode, *store, *scale, *task_dir, *shard;
    struct cli_chat chat;
    struct option_list adapters;
    int64_t show; /* a document whose prompts are shown, or -1 */
    bool json;
};

static status_code settle(struct run_config *c, struct run_words *w, struct status *st)
{
    enum compute_type compute;
    c->round_embedding_scale = strcmp(w->scale, "weights") == 0;
    if (!c->round_embedding_scale && strcmp(w->scale, "f32") != 0)
        return status_set(st, STATUS_USAGE, "--embedding-scale \"%s\": f32 or weights", w->scale);
    if (!compute_type_find(c->type, &compute))
        return status_set(st, STATUS_USAGE, "--type \"%s\": auto or f32", c->type);
    status_code code = cli_settle_guard(&c->guard, w->mode, &c->guard_mode, st);
    if (code == STATUS_OK) code = settle_chat(c, &w->chat, st);
    return code == STATUS_OK ? settle_shard(c, w->shard, st) : code;
}

static int settle_and_run(const struct command *self, struct run_config *c, struct run_words *w,
                          const char *line)
{
    struct status st = {0};
    struct strbuf tasks;
    int code;
    if (!c->model || !c->tasks) return cli_usage_error(self, "--model and --tasks are needed");
    if (settle(c, w, &st) != STATUS_OK) return cli_usage_error(self, "%s", st.message);
    strbuf_init(&tasks, LIMIT_LINE_BYTES);
    if (settle_tasks(c, w->task_dir, &tasks, &st) != STATUS_OK)
        code = cli_fail(&st);
    else if (w->show >= 0)
        code = show_prompts(c, w->show, w->json);
    else
        code = run_with_adapters(
            self, &(struct run_request){*c, w->store, line, w->json ? TABLE_JSON : TABLE_TEXT},
            &w->adapters);
    strbuf_release(&tasks);
    return code;
}

int cmd_run(const struct command *self, int argc, const char **argv)
{
    struct run_config c = run_config_default();
    struct run_words w = {.store = CLI_DEFAULT_STORE, .scale = "f32", .show = -1};
    struct strbuf line;
    strbuf_init(&line, LIMIT_LINE_BYTES);
    cli_append_command_line(&line, argc, argv);
    const struct option_row rows[] = {
        {"model", OPTION_TEXT, &c.model, "M",
         "GGUF file, Hugging Face folder, cached name, or demo", 0, 0},
        {"adapter", OPTION_LIST, &w.adapters, "LORA,...",
         "LoRA adapters for it (PEFT folders, GGUF files): a run each; none is the base alone", 0,
         0},
        {"tasks", OPTION_TEXT, &c.tasks, "T,...",
         "names of `assay list tasks`, or paths of task files", 0, 0},
        {"task-dir", OPTION_TEXT, &w.task_dir, "DIR", CLI_TASK_DIR_HELP, 0, 0},
        {"profile", OPTION_TEXT, &c.profile, "P", "protocol to follow (lm-eval)", 0, 0},
        {"data", OPTION_TEXT, &c.data_dir, "DIR",
         "folder of datasets; default $ASSAY_DATA, the cache, the demo samples", 0, 0},
        {"store", OPTION_TEXT, &w.store, "FILE", "results (" CLI_DEFAULT_STORE ")", 0, 0},
        {"num-fewshot", OPTION_INT, &c.num_fewshot, "N",
         "examples before each question; default: the task's own", 0, 1000},
        {"limit", OPTION_INT, &c.limit, "N", "first N documents of each task only", 1, INT32_MAX},
        {"shard", OPTION_TEXT, &w.shard, "I/N",
         "each Nth document, from the Ith: `assay merge` joins the stores of all N", 0, 0},
        {"guard", OPTION_TEXT, &c.guard, "POLICY",
         "strict, balanced, audit (these judge toxic words, not intent) or a policy file", 0, 0},
        {"guard-mode", OPTION_TEXT, &w.mode, "MODE", "off, shadow (record only) or enforce", 0, 0},
        {"seed", OPTION_SEED, &c.seed, "S", "of every draw (1234)", 0, 0},
        {"threads", OPTION_INT, &c.threads, "N",
         "default: one per processor; results do not depend on it", 1, 1024},
        {"repeats", OPTION_INT, &c.repeats, "N",
         "replies to each document; default: the task's own", 1, LIMIT_REPEATS},
        {"shot-seeds", OPTION_INT, &c.shot_seeds, "N",
         "draw the examples with N seeds, and tell their spread", 2, 100},
        {"temperature", OPTION_NUMBER, &c.temperature, "X",
         "0 is greedy; default: the task's own, as of the next two", 0, 0},
        {"top-k", OPTION_INT, &c.top_k, "N", "sample among the N likeliest tokens; 0 is off", 0,
         INT32_MAX},
        {"top-p", OPTION_NUMBER, &c.top_p, "X", "sample within this probability mass; 1 is off", 0,
         0},
        {"toxicity-classifier", OPTION_TEXT, &c.toxicity_classifier, "C",
         "scores replies for tasks about toxicity; see `assay list classifiers`", 0, 0},
        {"max-gen-toks", OPTION_INT, &c.max_gen_toks, "N", "longest reply; default: the task's own",
         1, INT32_MAX},
        {"max-context", OPTION_INT, &c.max_context, "N",
         "positions; default: what the model was trained for", 1, LIMIT_CONTEXT},
        CLI_MEMORY_ROWS(c.cache_memory, c.max_memory),
        {"kernels", OPTION_TEXT, &c.kernels, "NAME", "auto, avx512, avx2, neon or generic (auto)",
         0, 0},
        {"type", OPTION_TEXT, &c.type, "auto|f32",
         "compute in the fastest type for the weights, or in f32 throughout (auto)", 0, 0},
        {"embedding-scale", OPTION_TEXT, &w.scale, "f32|weights",
         "round Gemma's embedding scale to the weights' type", 0, 0},
        CLI_CHAT_ROWS(w.chat),
        {"show-prompt", OPTION_MAYBE_INT, &w.show, "[DOC]",
         "print the token ids of one document of each task (0), and run nothing", 0, INT32_MAX},
        {"json", OPTION_FLAG, &w.json, NULL, "print the table as JSON", 0, 0},
    };
    struct command_line words;
    int code;
    if (cli_parse(self, rows, sizeof rows / sizeof rows[0], argc, argv, &words, &code))
        code = words.n_positional
                   ? cli_usage_error(self, "\"%s\" is not an option", words.positional[0])
                   : settle_and_run(self, &c, &w, line.data);
    strbuf_release(&line);
    return code;
}

/* ---- resume ---- */

/* The run to continue: the named one, or the newest that is not done.  *found is false when there
 * is nothing left to do, so that resuming twice is as good as once. */
static status_code find_unfinished(struct store *store, const char *name,
                                   char id[STORE_RUN_ID_SIZE], bool *found, struct status *st)
{
    status_code code = store_find_run(store, name, id, st);
    *found = true;
    if (code != STATUS_OK || name) return code;
    struct status none = {0};
    *found = store_newest_unfinished_run(store, id, &none) == STATUS_OK;
    if (*found || none.code == STATUS_NOT_FOUND) return STATUS_OK;
    *st = none;
    return none.code;
}

static int continue_run(struct store *store, const char *id, const struct run_config *config,
                        enum table_format format)
{
    struct status st = {0};
    struct runner *runner = NULL;
    struct runner_environment environment = environment_for(config);
    int code;
    if (runner_open(&runner, config, &environment, &st) == STATUS_OK &&
        runner_continue(runner, store, id, &st) == STATUS_OK) {
        fprintf(stderr, "assay: continuing run %s\n", id);
        code = progress_work(runner, store, format);
    } else {
        code = cli_fail(&st);
    }
    runner_free(runner);
    return code;
}

static status_code load_config(struct store *store, const char *id, struct arena *arena,
                               struct run_config *config, struct status *st)
{
    struct store_run run;
    status_code code = store_load_run(store, id, arena, &run, st);
    if (code != STATUS_OK) return code;
    if (!run.options_json)
        return status_set(st, STATUS_UNSUPPORTED, "run %s was not made by `assay run`", id);
    code = run_config_from_json(config, text_of(run.options_json), arena, st);
    return code == STATUS_OK ? code : status_prefix(st, "run %s: options", id);
}

static status_code retry_failed(struct store *store, const char *id, int64_t *n, struct status *st)
{
    status_code code = store_begin(store, st);
    if (code == STATUS_OK) code = store_retry_failed(store, id, n, st);
    return code == STATUS_OK ? store_commit(store, st) : code;
}

struct resume_request {
    const char *store, *run;
    int64_t threads; /* 0: as the run began */
    bool retry_failed;
    enum table_format format;
};

static int resume_in(struct store *store, const struct resume_request *request)
{
    struct status st = {0};
    struct arena arena;
    struct run_config config;
    char id[STORE_RUN_ID_SIZE];
    int64_t n_retried;
    bool found;
    if (find_unfinished(store, request->run, id, &found, &st) != STATUS_OK) return cli_fail(&st);
    if (request->retry_failed && retry_failed(store, id, &n_retried, &st) != STATUS_OK)
        return cli_fail(&st);
    if (!found && !(request->retry_failed && n_retried)) {
        fprintf(stderr, "assay: nothing to resume: every run in %s is done\n", store_path(store));
        return EXIT_DONE;
    }
    int code;
    arena_init(&arena, 4 * LIMIT_POLICY_BYTES);
    if (load_config(store, id, &arena, &config, &st) == STATUS_OK) {
        if (request->threads) config.threads = request->threads;
        code = continue_run(store, id, &config, request->format);
    } else {
        code = cli_fail(&st);
    }
    arena_release(&arena);
    return code;
}

int cmd_resume(const struct command *self, int argc, const char **argv)
{
    struct resume_request r = {.store = CLI_DEFAULT_STORE};
    bool json = false;
    const struct option_row rows[] = {
        {"store", OPTION_TEXT, &r.store, "FILE", "results (" CLI_DEFAULT_STORE ")", 0, 0},
        {"threads", OPTION_INT, &r.threads, "N", "default: as the run began", 1, 1024},
        {"retry-failed", OPTION_FLAG, &r.retry_failed, NULL,
         "also answer the documents that failed", 0, 0},
        {"json", OPTION_FLAG, &json, NULL, "print the table as JSON", 0, 0},
    };
    struct command_line words;
    int code;
    if (!cli_parse(self, rows, 4, argc, argv, &words, &code)) return code;
    if (words.n_positional > 1) return cli_usage_error(self, "one run at a time");
    r.run = words.n_positional ? words.positional[0] : NULL;
    r.format = json ? TABLE_JSON : TABLE_TEXT;
    struct status st = {0};
    struct store *store = NULL;
    if (store_open(&store, r.store, STORE_CHANGE, &st) != STATUS_OK) return cli_fail(&st);
    code = resume_in(store, &r);
    store_free(store);
    return code;
}
