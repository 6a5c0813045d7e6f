/* assay prompts, assay score: what needs tasks and no model. */
#include <stdio.h>
#include <string.h>

#include "benchmarks/cli/cli.h"
#include "benchmarks/offline_scoring.h"
#include "benchmarks/toxicity.h"
#include "engine/base/limits.h"

static const struct line_sink to_stdout = {.write = cli_write_line};

int cmd_prompts(const struct command *self, int argc, const char **argv)
{
    const char *task = NULL, *profile = NULL, *data = NULL;
    int64_t num_fewshot = TASK_DEFAULT_FEWSHOT;
    struct document_range range = {.limit = -1};
    const struct option_row rows[] = {
        {"task", OPTION_TEXT, &task, "T", "a task or group, or several with commas", 0, 0},
        {"num-fewshot", OPTION_INT, &num_fewshot, "N", "default: the task's own", 0, 1000},
        {"profile", OPTION_TEXT, &profile, "P", "protocol to follow (lm-eval)", 0, 0},
        {"data", OPTION_TEXT, &data, "DIR", "folder of datasets", 0, 0},
        {"limit", OPTION_INT, &range.limit, "N", "so many documents of each task", 0, INT32_MAX},
        {"offset", OPTION_INT, &range.offset, "N", "first document of each task (0)", 0, INT32_MAX},
    };
    struct command_line words;
    int code;
    if (!cli_parse(self, rows, 6, argc, argv, &words, &code)) return code;
    if (!task) return cli_usage_error(self, "--task is missing");
    struct status st = {0};
    struct task_selection selection = {0};
    struct task_options options = {.num_fewshot = (int)num_fewshot, .lookup = cli_lookup(data)};
    bool good =
        task_registry_select(&selection, task, profile, &options.lookup, &st) == STATUS_OK &&
        offline_prompts(&selection, &options, &range, &to_stdout, &st) == STATUS_OK &&
        cli_flush(&st) == STATUS_OK;
    task_selection_release(&selection);
    return good ? EXIT_DONE : cli_fail(&st);
}

/* A classifier where a task needs one; else *out stays NULL. */
static status_code open_toxicity(struct classifier **out, const struct task_selection *selection,
                                 const char *spec, struct status *st)
{
    for (int i = 0; i < selection->count; i++)
        if (selection->refs[i].task->judges_toxicity)
            return toxicity_open(out, spec ? spec : toxicity_own_classifier(), st);
    return STATUS_OK;
}

int cmd_score(const struct command *self, int argc, const char **argv)
{
    const char *task = NULL, *replies = NULL, *profile = NULL, *data = NULL, *summary_path = NULL;
    const char *toxicity = NULL;
    struct classifier *classifier = NULL;
    bool apply_stops = false;
    const struct option_row rows[] = {
        {"task", OPTION_TEXT, &task, "T", "a task or group", 0, 0},
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
    if (!cli_parse(self, rows, 7, argc, argv, &words, &code)) return code;
    if (!task || !replies) return cli_usage_error(self, "--task and --replies are needed");
    struct status st = {0};
    struct task_selection selection = {0};
    struct offline_score_options options = {.lookup = cli_lookup(data), .apply_stops = apply_stops};
    struct strbuf summary;
    strbuf_init(&summary, LIMIT_REPORT_BYTES);
    bool good =
        task_registry_select(&selection, task, profile, &options.lookup, &st) == STATUS_OK &&
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
    return good ? EXIT_DONE : cli_fail(&st);
}
