/* assay rescore: new scores for the replies of a run, without making them again. */
#include "benchmarks/cli/cli.h"
#include "benchmarks/cli/print_table.h"
#include "benchmarks/rescore.h"
#include "engine/base/limits.h"

struct rescore_request {
    const char *store, *run;
    struct rescore_options options;
    enum table_format format;
};

static status_code rescore_in(struct store *store, const struct rescore_request *r, bool *complete,
                              struct status *st)
{
    char id[STORE_RUN_ID_SIZE];
    status_code code = rescore_run(store, r->run, &r->options, id, st);
    if (code != STATUS_OK) return code;
    fprintf(stderr, "assay: run %s in %s\n", id, r->store);
    return print_table(store, &(const char *){id}, 1, r->format, complete, st);
}

int cmd_rescore(const struct command *self, int argc, const char **argv)
{
    struct rescore_request r = {.store = CLI_DEFAULT_STORE,
                                .options = {.demo_dir = cli_demo_dir()}};
    bool json = false, complete = true;
    struct strbuf line;
    strbuf_init(&line, LIMIT_LINE_BYTES);
    cli_append_command_line(&line, argc, argv);
    r.options.command_line = line.data;
    const struct option_row rows[] = {
        {"classifier", OPTION_TEXT, &r.options.classifier, "C",
         "toxicity classifier; default: the run's. See `assay list classifiers`", 0, 0},
        {"data", OPTION_TEXT, &r.options.data_dir, "DIR",
         "folder of datasets; default: where the run found them", 0, 0},
        {"store", OPTION_TEXT, &r.store, "FILE", "results (" CLI_DEFAULT_STORE ")", 0, 0},
        {"json", OPTION_FLAG, &json, NULL, "print the table as JSON", 0, 0},
    };
    struct command_line words;
    struct status st = {0};
    struct store *store = NULL;
    int code;
    if (cli_parse(self, rows, sizeof rows / sizeof rows[0], argc, argv, &words, &code)) {
        r.run = words.n_positional ? words.positional[0] : NULL;
        r.format = json ? TABLE_JSON : TABLE_TEXT;
        if (words.n_positional > 1)
            code = cli_usage_error(self, "one run at a time");
        else if (store_open(&store, r.store, STORE_CHANGE, &st) == STATUS_OK &&
                 rescore_in(store, &r, &complete, &st) == STATUS_OK)
            code = complete ? EXIT_DONE : EXIT_INCOMPLETE;
        else
            code = cli_fail(&st);
    }
    store_free(store);
    strbuf_release(&line);
    return code;
}
