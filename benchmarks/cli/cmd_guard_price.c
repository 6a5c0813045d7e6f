/* assay guard-price: what a guard cost and what it kept out, from the rows of a guarded run. */
#include "benchmarks/cli/cli.h"
#include "engine/base/limits.h"
#include "reports/report.h"

static status_code print_price(struct store *store, const char *run, bool json, bool markdown,
                               struct status *st)
{
    struct guard_price *price = NULL;
    struct strbuf out;
    strbuf_init(&out, LIMIT_REPORT_BYTES);
    status_code code = guard_price_load(&price, store, run, st);
    if (code == STATUS_OK) {
        if (json)
            report_guard_price_json(price, &out);
        else if (markdown)
            report_guard_price_markdown(price, &out);
        else
            report_guard_price_text(price, &out);
        code = strbuf_check(&out, "the price of the guard", st);
    }
    if (code == STATUS_OK) code = cli_write(&out, st);
    guard_price_free(price);
    strbuf_release(&out);
    return code;
}

static status_code print_sweep(struct store *store, const char *run, struct status *st)
{
    status_code code = report_guard_sweep_jsonl(store, run, cli_write_line, NULL, st);
    return code == STATUS_OK ? cli_flush(st) : code;
}

int cmd_guard_price(const struct command *self, int argc, const char **argv)
{
    const char *path = CLI_DEFAULT_STORE;
    bool json = false, markdown = false, sweep = false;
    const struct option_row rows[] = {
        {"store", OPTION_TEXT, &path, "FILE", "results (" CLI_DEFAULT_STORE ")", 0, 0},
        {"sweep", OPTION_FLAG, &sweep, NULL,
         "JSON lines: what every other threshold would have done (shadow runs)", 0, 0},
        {"json", OPTION_FLAG, &json, NULL, "as JSON", 0, 0},
        {"markdown", OPTION_FLAG, &markdown, NULL, "as Markdown", 0, 0},
    };
    struct command_line words;
    int exit_code;
    if (!cli_parse(self, rows, 4, argc, argv, &words, &exit_code)) return exit_code;
    if (words.n_positional > 1) return cli_usage_error(self, "one run at a time");
    struct status st = {0};
    struct store *store = NULL;
    char run[STORE_RUN_ID_SIZE];
    const char *name = words.n_positional ? words.positional[0] : NULL;
    status_code code = store_open(&store, path, STORE_READ, &st);
    if (code == STATUS_OK) code = store_find_run(store, name, run, &st);
    if (code == STATUS_OK)
        code = sweep ? print_sweep(store, run, &st) : print_price(store, run, json, markdown, &st);
    store_free(store);
    return code == STATUS_OK ? EXIT_DONE : cli_fail(&st);
}
