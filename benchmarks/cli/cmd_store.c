/* assay status, table, report: what a store holds, in words, tables and pages. */
#include <inttypes.h>
#include <string.h>

#include "benchmarks/cli/cli.h"
#include "benchmarks/cli/print_table.h"
#include "benchmarks/cli/run_place.h"
#include "engine/base/json.h"
#include "engine/base/limits.h"
#include "reports/published.h"
#include "reports/report.h"

/* ---- table ---- */

/* Whether a run has this task, or a task that is a part of it ("mmlu_anatomy" of "mmlu"). */
static bool has_task(const struct store_task *tasks, size_t n, const char *name)
{
    size_t length = strlen(name);
    for (size_t i = 0; i < n; i++)
        if (strncmp(tasks[i].task, name, length) == 0 &&
            (tasks[i].task[length] == '\0' || tasks[i].task[length] == '_'))
            return true;
    return false;
}

/* The names of published sets that the runs' tasks are of. */
static status_code find_sets(struct store *store, const struct named_runs *runs,
                             const struct published *figures, struct arena *arena,
                             const char ***sets, size_t *n_sets, struct status *st)
{
    *sets = arena_array(arena, published_count(figures) + 1, sizeof **sets);
    if (!*sets) return status_no_memory(st, "published figures");
    for (size_t r = 0; r < runs->n; r++) {
        struct store_task *tasks;
        size_t n;
        status_code code = store_load_tasks(store, runs->list[r], arena, &tasks, &n, st);
        if (code != STATUS_OK) return code;
        for (size_t i = 0; i < published_count(figures); i++) {
            const char *set = published_at(figures, i)->set;
            bool known = false;
            for (size_t k = 0; k < *n_sets; k++) known = known || strcmp((*sets)[k], set) == 0;
            if (!known && has_task(tasks, n, set)) (*sets)[(*n_sets)++] = set;
        }
    }
    return STATUS_OK;
}

static status_code print_published(struct store *store, const struct named_runs *runs, bool json,
                                   struct status *st)
{
    struct published *figures = NULL;
    struct arena arena;
    struct strbuf out;
    const char **sets = NULL;
    size_t n_sets = 0;
    arena_init(&arena, LIMIT_REPORT_BYTES);
    strbuf_init(&out, LIMIT_REPORT_BYTES);
    status_code code = published_load(&figures, "benchmarks", st);
    if (code == STATUS_OK) code = find_sets(store, runs, figures, &arena, &sets, &n_sets, st);
    if (code == STATUS_OK && json) {
        strbuf_append_str(&out, "{\"published\": ");
        if (n_sets)
            published_append_json(figures, sets, n_sets, &out);
        else
            strbuf_append_str(&out, "[]");
        strbuf_append_str(&out, "}\n");
    } else if (code == STATUS_OK && n_sets) {
        strbuf_append_char(&out, '\n');
        published_append_table(figures, sets, n_sets, &out);
    }
    if (code == STATUS_OK) code = strbuf_check(&out, "published figures", st);
    if (code == STATUS_OK) code = cli_write(&out, st);
    published_free(figures);
    arena_release(&arena);
    strbuf_release(&out);
    return code;
}

int cmd_table(const struct command *self, int argc, const char **argv)
{
    const char *path = CLI_DEFAULT_STORE;
    bool json = false, markdown = false, published = false, complete;
    const struct option_row rows[] = {
        {"store", OPTION_TEXT, &path, "FILE", "results (" CLI_DEFAULT_STORE ")", 0, 0},
        {"json", OPTION_FLAG, &json, NULL, "as JSON", 0, 0},
        {"markdown", OPTION_FLAG, &markdown, NULL, "as Markdown", 0, 0},
        {"published", OPTION_FLAG, &published, NULL,
         "and what others report for the same tasks, with sources", 0, 0},
    };
    struct command_line words;
    int code;
    if (!cli_parse(self, rows, sizeof rows / sizeof rows[0], argc, argv, &words, &code))
        return code;
    struct status st = {0};
    struct store *store = NULL;
    struct named_runs runs;
    enum table_format format = json ? TABLE_JSON : markdown ? TABLE_MARKDOWN : TABLE_TEXT;
    bool good = named_runs_open(&runs, &store, path, &words, &st) == STATUS_OK &&
                print_table(store, runs.list, runs.n, format, &complete, &st) == STATUS_OK &&
                (!published || print_published(store, &runs, json, &st) == STATUS_OK);
    store_free(store);
    return good ? EXIT_DONE : cli_fail(&st);
}

/* ---- status ---- */

struct run_progress {
    struct store_run run;
    struct store_task *tasks;
    size_t n_tasks;
    int64_t (*counts)[SAMPLE_STATES]; /* [n_tasks] */
    int64_t whole[SAMPLE_STATES];
};

static status_code load_progress(struct store *store, const char *id, struct arena *arena,
                                 struct run_progress *p, struct status *st)
{
    status_code code;
    if ((code = store_load_run(store, id, arena, &p->run, st)) != STATUS_OK ||
        (code = store_load_tasks(store, id, arena, &p->tasks, &p->n_tasks, st)) != STATUS_OK ||
        (code = store_count_samples(store, id, NULL, p->whole, st)) != STATUS_OK)
        return code;
    p->counts = arena_array(arena, p->n_tasks, sizeof *p->counts);
    if (!p->counts) return status_no_memory(st, "the state of a run");
    for (size_t i = 0; i < p->n_tasks && code == STATUS_OK; i++)
        code = store_count_samples(store, id, p->tasks[i].task, p->counts[i], st);
    return code;
}

static int64_t sum(const int64_t counts[SAMPLE_STATES])
{
    int64_t total = 0;
    for (int i = 0; i < SAMPLE_STATES; i++) total += counts[i];
    return total;
}

static void append_counts(struct strbuf *out, const int64_t counts[SAMPLE_STATES])
{
    int64_t finished = counts[SAMPLE_DONE] + counts[SAMPLE_FAILED] + counts[SAMPLE_BLOCKED];
    strbuf_appendf(out, "%" PRId64 "/%" PRId64 " documents", finished, sum(counts));
    if (counts[SAMPLE_FAILED]) strbuf_appendf(out, ", %" PRId64 " failed", counts[SAMPLE_FAILED]);
    if (counts[SAMPLE_BLOCKED])
        strbuf_appendf(out, ", %" PRId64 " blocked", counts[SAMPLE_BLOCKED]);
}

static void append_status_text(const struct run_progress *p, struct strbuf *out)
{
    strbuf_appendf(out, "run %s: %s, started %s", p->run.id, run_state_name(p->run.state),
                   p->run.started_at);
    if (p->run.finished_at) strbuf_appendf(out, ", ended %s", p->run.finished_at);
    strbuf_append_str(out, ", ");
    append_counts(out, p->whole);
    strbuf_append_char(out, '\n');
    for (size_t i = 0; i < p->n_tasks; i++) {
        strbuf_appendf(out, "  %-40s ", p->tasks[i].task);
        append_counts(out, p->counts[i]);
        strbuf_append_char(out, '\n');
    }
}

static void append_states_json(struct strbuf *out, const int64_t counts[SAMPLE_STATES])
{
    strbuf_append_char(out, '{');
    for (int i = 0; i < SAMPLE_STATES; i++)
        strbuf_appendf(out, "%s\"%s\": %" PRId64, i ? ", " : "",
                       sample_state_name((enum sample_state)i), counts[i]);
    strbuf_append_char(out, '}');
}

static void append_status_json(const struct run_progress *p, struct strbuf *out)
{
    strbuf_append_str(out, "{\"run\": ");
    json_append_str(out, p->run.id);
    strbuf_appendf(out, ", \"state\": \"%s\", \"started_at\": \"%s\", \"samples\": ",
                   run_state_name(p->run.state), p->run.started_at);
    append_states_json(out, p->whole);
    strbuf_append_str(out, ", \"tasks\": {");
    for (size_t i = 0; i < p->n_tasks; i++) {
        if (i) strbuf_append_str(out, ", ");
        json_append_str(out, p->tasks[i].task);
        strbuf_append_str(out, ": ");
        append_states_json(out, p->counts[i]);
    }
    strbuf_append_str(out, "}}\n");
}

int cmd_status(const struct command *self, int argc, const char **argv)
{
    const char *path = CLI_DEFAULT_STORE;
    bool json = false;
    const struct option_row rows[] = {
        {"store", OPTION_TEXT, &path, "FILE", "results (" CLI_DEFAULT_STORE ")", 0, 0},
        {"json", OPTION_FLAG, &json, NULL, "as JSON lines", 0, 0},
    };
    struct command_line words;
    int exit_code;
    if (!cli_parse(self, rows, 2, argc, argv, &words, &exit_code)) return exit_code;
    struct status st = {0};
    struct store *store = NULL;
    struct named_runs runs;
    struct arena arena;
    struct strbuf out;
    arena_init(&arena, LIMIT_REPORT_BYTES);
    strbuf_init(&out, LIMIT_REPORT_BYTES);
    status_code code = named_runs_open(&runs, &store, path, &words, &st);
    for (size_t i = 0; code == STATUS_OK && i < runs.n; i++) {
        struct run_progress p;
        code = load_progress(store, runs.list[i], &arena, &p, &st);
        if (code == STATUS_OK) (json ? append_status_json : append_status_text)(&p, &out);
    }
    if (code == STATUS_OK) code = strbuf_check(&out, "the state of the runs", &st);
    if (code == STATUS_OK) code = cli_write(&out, &st);
    strbuf_release(&out);
    arena_release(&arena);
    store_free(store);
    return code == STATUS_OK ? EXIT_DONE : cli_fail(&st);
}

/* ---- report ---- */

int cmd_report(const struct command *self, int argc, const char **argv)
{
    const char *path = CLI_DEFAULT_STORE, *out_path = NULL;
    bool all = false;
    struct html_options options = {.coverage_floor = SCORE_COVERAGE_FLOOR};
    const struct option_row rows[] = {
        {"out", OPTION_TEXT, &out_path, "F.html", "the page to write", 0, 0},
        {"store", OPTION_TEXT, &path, "FILE", "results (" CLI_DEFAULT_STORE ")", 0, 0},
        {"max-samples", OPTION_INT, &options.max_samples, "N", "samples shown per task (500)", 1,
         INT32_MAX},
        {"all-samples", OPTION_FLAG, &all, NULL, "show every sample", 0, 0},
    };
    struct command_line words;
    int code;
    if (!cli_parse(self, rows, 4, argc, argv, &words, &code)) return code;
    if (!out_path) return cli_usage_error(self, "--out is missing");
    if (all) options.max_samples = -1;
    struct status st = {0};
    struct store *store = NULL;
    struct named_runs runs;
    struct strbuf page;
    strbuf_init(&page, LIMIT_REPORT_BYTES);
    bool good = named_runs_open(&runs, &store, path, &words, &st) == STATUS_OK &&
                report_html(store, runs.list, runs.n, &options, &page, &st) == STATUS_OK &&
                cli_write_file(out_path, &page, &st) == STATUS_OK;
    strbuf_release(&page);
    store_free(store);
    return good ? EXIT_DONE : cli_fail(&st);
}
