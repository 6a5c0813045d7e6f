/* assay export: what runs hold, in the formats of other programs. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "benchmarks/cli/cli.h"
#include "benchmarks/cli/run_place.h"
#include "benchmarks/run_documents.h"
#include "engine/base/fetched_file.h"
#include "reports/report.h"

/* ---- lines on standard output ---- */

static int export_lines(const char *path, const struct command_line *words, bool csv)
{
    struct status st = {0};
    struct store *store = NULL;
    struct named_runs runs;
    bool good = named_runs_open(&runs, &store, path, words, &st) == STATUS_OK;
    if (good && csv) good = report_csv_header(cli_write_line, NULL, &st) == STATUS_OK;
    for (size_t i = 0; good && i < runs.n; i++)
        good = (csv ? report_csv : report_jsonl)(store, runs.list[i], cli_write_line, NULL, &st) ==
               STATUS_OK;
    if (good) good = cli_flush(&st) == STATUS_OK;
    store_free(store);
    return good ? EXIT_DONE : cli_fail(&st);
}

static int export_side_by_side(const char *path, const struct command_line *words)
{
    const char *const *names = words->positional;
    struct status st = {0};
    struct store *store = NULL;
    struct run_place a = {0}, b = {0};
    bool good = run_place_open_common(&store, path, names[0], names[1], &st) == STATUS_OK &&
                run_place_open(&a, store, names[0], &st) == STATUS_OK &&
                run_place_open(&b, store, names[1], &st) == STATUS_OK &&
                report_llm_comparator(a.store, a.id, b.store, b.id, cli_write_line, NULL, &st) ==
                    STATUS_OK &&
                cli_flush(&st) == STATUS_OK;
    run_place_close(&a);
    run_place_close(&b);
    store_free(store);
    return good ? EXIT_DONE : cli_fail(&st);
}

/* ---- files in a folder ---- */

/* The file at hand is written beside its name and renamed when it is whole. */
struct folder_writer {
    const char *folder;
    FILE *file; /* NULL between files */
    char path[PATH_MAX], part[PATH_MAX + 8];
    int n_files;
};

static status_code begin_file(void *user, const char *name, struct status *st)
{
    struct folder_writer *w = user;
    int n = snprintf(w->path, sizeof w->path, "%s/%s", w->folder, name);
    if (n < 0 || (size_t)n >= sizeof w->path)
        return status_set(st, STATUS_USAGE, "%s: the path is too long", w->folder);
    if (fetch_make_folders(w->path, st) != STATUS_OK) return st->code;
    snprintf(w->part, sizeof w->part, "%s.part", w->path);
    w->file = fopen(w->part, "wb");
    if (w->file) return STATUS_OK;
    return status_set(st, STATUS_IO, "%s: %s", w->part, strerror(errno));
}

static status_code write_to_file(void *user, struct text line, struct status *st)
{
    struct folder_writer *w = user;
    if (fwrite(line.data, 1, line.length, w->file) == line.length) return STATUS_OK;
    return status_set(st, STATUS_IO, "%s: %s", w->part, strerror(errno));
}

static status_code end_file(void *user, struct status *st)
{
    struct folder_writer *w = user;
    bool good = fclose(w->file) == 0 && rename(w->part, w->path) == 0;
    w->file = NULL;
    if (!good) {
        status_set(st, STATUS_IO, "%s: %s", w->path, strerror(errno));
        remove(w->part);
        return st->code;
    }
    w->n_files++;
    return STATUS_OK;
}

static status_code find_document(void *user, const char *task, int64_t doc_id, struct strbuf *json,
                                 struct status *st)
{
    return run_documents_append(user, task, doc_id, json, st);
}

static status_code export_run(struct store *store, const char *run, const char *data_dir,
                              const struct report_files *files, struct status *st)
{
    if (!data_dir) return report_lm_eval(store, run, NULL, files, st);
    struct run_documents *documents;
    const struct dataset_lookup lookup = cli_lookup(data_dir);
    status_code code = run_documents_open(&documents, store, run, &lookup, st);
    if (code != STATUS_OK) return code;
    const struct report_documents source = {find_document, documents};
    code = report_lm_eval(store, run, &source, files, st);
    run_documents_free(documents);
    return code;
}

static int export_folder(const char *path, const struct command_line *words, const char *folder,
                         const char *data_dir)
{
    struct status st = {0};
    struct store *store = NULL;
    struct named_runs runs;
    struct folder_writer writer = {.folder = folder};
    const struct report_files files = {begin_file, write_to_file, end_file, &writer};
    bool good = named_runs_open(&runs, &store, path, words, &st) == STATUS_OK;
    for (size_t i = 0; good && i < runs.n; i++)
        good = export_run(store, runs.list[i], data_dir, &files, &st) == STATUS_OK;
    if (writer.file) {
        fclose(writer.file);
        remove(writer.part);
    }
    store_free(store);
    if (!good) return cli_fail(&st);
    fprintf(stderr, "assay: %d files below %s\n", writer.n_files, folder);
    return EXIT_DONE;
}

int cmd_export(const struct command *self, int argc, const char **argv)
{
    const char *path = CLI_DEFAULT_STORE, *format = "jsonl", *folder = NULL;
    const char *data_dir = NULL;
    const struct option_row rows[] = {
        {"format", OPTION_TEXT, &format, "F",
         "jsonl (an object per reply), csv (a row per verdict), lm-eval (its results and samples "
         "files), llm-comparator (two runs side by side)",
         0, 0},
        {"out", OPTION_TEXT, &folder, "DIR", "where lm-eval's files go", 0, 0},
        {"data", OPTION_TEXT, &data_dir, "DIR",
         "lm-eval: folder of the run's datasets, for each document's row", 0, 0},
        {"store", OPTION_TEXT, &path, "FILE",
         "results (" CLI_DEFAULT_STORE "); for llm-comparator FILE:RUN names a run elsewhere", 0,
         0},
    };
    struct command_line words;
    int code;
    if (!cli_parse(self, rows, sizeof rows / sizeof rows[0], argc, argv, &words, &code))
        return code;
    bool lm_eval = strcmp(format, "lm-eval") == 0;
    if (lm_eval != (folder != NULL))
        return cli_usage_error(self, lm_eval ? "--format lm-eval needs --out DIR"
                                             : "--out goes with --format lm-eval; other formats "
                                               "go to standard output");
    if (data_dir && !lm_eval) return cli_usage_error(self, "--data goes with --format lm-eval");
    if (lm_eval) return export_folder(path, &words, folder, data_dir);
    if (strcmp(format, "jsonl") == 0) return export_lines(path, &words, false);
    if (strcmp(format, "csv") == 0) return export_lines(path, &words, true);
    if (strcmp(format, "llm-comparator") != 0)
        return cli_usage_error(self, "--format \"%s\": jsonl, csv, lm-eval or llm-comparator",
                               format);
    if (words.n_positional != 2) return cli_usage_error(self, "two runs are needed");
    return export_side_by_side(path, &words);
}
