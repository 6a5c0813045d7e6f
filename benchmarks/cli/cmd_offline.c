/* assay prompts, assay score: what needs tasks and no model. */
#include <stdio.h>
#include <string.h>

#include "benchmarks/cli/cli.h"
#include "benchmarks/offline_scoring.h"
#include "benchmarks/prompt_view.h"
#include "benchmarks/toxicity.h"
#include "engine/base/limits.h"

static const struct line_sink to_stdout = {.write = cli_write_line};

/* What `prompts` was asked for. */
struct prompts_request {
    const char *task, *task_dir, *profile, *data, *model;
    int64_t num_fewshot, show, max_context;
    struct document_range range;
    struct cli_chat chat;
    bool json;
};

/* Shows one document of each task, id by id. */
static status_code show_prompts(const struct prompts_request *r,
                                const struct task_selection *selection,
                                const struct task_options *options, const struct tokenizer *tok,
                                const struct chat *chat, struct status *st)
{
    const struct prompt_maker maker = {
        .tokenizer = tok, .chat = chat, .n_positions = r->max_context};
    status_code code = STATUS_OK;
    for (int i = 0; i < selection->count && code == STATUS_OK; i++) {
        struct task_instance *instance;
        code = task_instance_load(&instance, &selection->refs[i], options, st);
        if (code != STATUS_OK) break;
        code = prompt_view(&maker, instance, r->show, r->json, &to_stdout, st);
        task_instance_free(instance);
    }
    return code;
}

static status_code print_prompts(const struct prompts_request *r, struct status *st)
{
    struct task_selection selection = {0};
    struct tokenizer *tokenizer = NULL;
    struct chat *chat = NULL;
    const struct task_options options = {.num_fewshot = (int)r->num_fewshot,
                                         .lookup = cli_lookup(r->data)};
    const struct task_chat talk = {r->chat.options.system, r->chat.options.fewshot_in_one_turn};
    struct strbuf names;
    strbuf_init(&names, LIMIT_LINE_BYTES);
    status_code code = task_registry_resolve(&names, r->task, r->task_dir, st);
    if (code == STATUS_OK)
        code = task_registry_select(&selection, names.data, r->profile, &options.lookup, st);
    if (code == STATUS_OK && r->model)
        code = tokenizer_load(&tokenizer, cli_model_path(r->model), st);
    if (code == STATUS_OK && r->model && r->chat.on)
        code = chat_open(&chat, tokenizer, &r->chat.options, st);
    const struct offline_prompt_options how = {
        .range = r->range, .chat = chat, .messages = r->chat.on ? &talk : NULL};
    if (code == STATUS_OK)
        code = r->show >= 0 ? show_prompts(r, &selection, &options, tokenizer, chat, st)
                            : offline_prompts(&selection, &options, &how, &to_stdout, st);
    if (code == STATUS_OK) code = cli_flush(st);
    chat_free(chat);
    tokenizer_free(tokenizer);
    task_selection_release(&selection);
    strbuf_release(&names);
    return code;
}

int cmd_prompts(const struct command *self, int argc, const char **argv)
{
    struct prompts_request r = {
        .num_fewshot = TASK_DEFAULT_FEWSHOT, .show = -1, .range = {.limit = -1}};
    const struct option_row rows[] = {
        {"task", OPTION_TEXT, &r.task, "T", "a task, group or task file, or several with commas", 0,
         0},
        {"task-dir", OPTION_TEXT, &r.task_dir, "DIR", CLI_TASK_DIR_HELP, 0, 0},
        {"num-fewshot", OPTION_INT, &r.num_fewshot, "N", "default: the task's own", 0, 1000},
        {"profile", OPTION_TEXT, &r.profile, "P", "protocol to follow (lm-eval)", 0, 0},
        {"data", OPTION_TEXT, &r.data, "DIR", "folder of datasets", 0, 0},
        {"limit", OPTION_INT, &r.range.limit, "N", "so many documents of each task", 0, INT32_MAX},
        {"offset", OPTION_INT, &r.range.offset, "N", "first document of each task (0)", 0,
         INT32_MAX},
        CLI_CHAT_ROWS(r.chat),
        {"model", OPTION_TEXT, &r.model, "M",
         "whose tokenizer and chat template; without one a chat is its messages", 0, 0},
        {"show-prompt", OPTION_MAYBE_INT, &r.show, "[DOC]",
         "the token ids of one document of each task (0); needs --model", 0, INT32_MAX},
        {"max-context", OPTION_INT, &r.max_context, "N",
         "with --show-prompt: positions, to see what is cut", 1, LIMIT_CONTEXT},
        {"json", OPTION_FLAG, &r.json, NULL, "--show-prompt as JSON", 0, 0},
    };
    struct command_line words;
    struct status st = {0};
    int code;
    if (!cli_parse(self, rows, sizeof rows / sizeof rows[0], argc, argv, &words, &code))
        return code;
    if (!r.task) return cli_usage_error(self, "--task is missing");
    if (r.show >= 0 && !r.model) return cli_usage_error(self, "--show-prompt needs --model");
    if (cli_settle_chat(&r.chat, &st) != STATUS_OK) return cli_usage_error(self, "%s", st.message);
    return print_prompts(&r, &st) == STATUS_OK ? EXIT_DONE : cli_fail(&st);
}

/* A classifier where a task needs one; else *out stays NULL. */
static status_code open_toxicity(struct classifier **out, const struct task_selection *selection,
                                 const char *spec, struct status *st)
{
    for (int i = 0; i < selection->count; i++)
        if (selection->refs[i].task->judges_toxicity)
            return toxicity_open(out, spec ? spec : toxicity_own_classifier(), NULL, st);
    return STATUS_OK;
}

int cmd_score(const struct command *self, int argc, const char **argv)
{
    const char *task = NULL, *replies = NULL, *profile = NULL, *data = NULL, *summary_path = NULL;
    const char *toxicity = NULL, *task_dir = NULL;
    struct classifier *classifier = NULL;
    bool apply_stops = false;
    const struct option_row rows[] = {
        {"task", OPTION_TEXT, &task, "T", "a task, group or task file", 0, 0},
        {"task-dir", OPTION_TEXT, &task_dir, "DIR", CLI_TASK_DIR_HELP, 0, 0},
        {"replies", OPTION_TEXT, &replies, "FILE", "JSON lines {\"doc_id\": n, \"reply\": \"...\"}",
         0, 0},
        {"profile", OPTION_TEXT, &profile, "P", "protocol to follow (lm-eval)", 0, 0},
        {"data", OPTION_TEXT, &data, "DIR", "folder of datasets", 0, 0},
        {"apply-stops", OPTION_FLAG, &apply_stops, NULL,
         "cut replies at the task's stop strings first", 0, 0},
        {"summary", OPTION_TEXT, &summary_path, "FILE", "where the metrics go, as JSON", 0, 0},
        {"toxicity-classifier", OPTION_TEXT, &toxicity, "C",
         "scores replies that come without a \"toxicity\", for tasks about it", 0, 0},
    };
    struct command_line words;
    int code;
    if (!cli_parse(self, rows, 8, argc, argv, &words, &code)) return code;
    if (!task || !replies) return cli_usage_error(self, "--task and --replies are needed");
    struct status st = {0};
    struct task_selection selection = {0};
    struct offline_score_options options = {.lookup = cli_lookup(data), .apply_stops = apply_stops};
    struct strbuf summary, names;
    strbuf_init(&summary, LIMIT_REPORT_BYTES);
    strbuf_init(&names, LIMIT_LINE_BYTES);
    bool good =
        task_registry_resolve(&names, task, task_dir, &st) == STATUS_OK &&
        task_registry_select(&selection, names.data, profile, &options.lookup, &st) == STATUS_OK &&
        open_toxicity(&classifier, &selection, toxicity, &st) == STATUS_OK;
    options.toxicity = classifier;
    good = good &&
           offline_score(&selection, replies, &options, &to_stdout, &summary, &st) == STATUS_OK &&
           cli_flush(&st) == STATUS_OK;
    strbuf_append_char(&summary, '\n');
    if (good && summary_path) good = cli_write_file(summary_path, &summary, &st) == STATUS_OK;
    classifier_free(classifier);
    task_selection_release(&selection);
    strbuf_release(&summary);
    strbuf_release(&names);
    return good ? EXIT_DONE : cli_fail(&st);
}
