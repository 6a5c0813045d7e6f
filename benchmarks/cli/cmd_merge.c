/* assay merge: the stores of shards to one store with the whole run. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "benchmarks/cli/cli.h"
#include "benchmarks/cli/print_table.h"
#include "engine/base/limits.h"

static int merge_into(const char *part, const char *out, const char *const *in, size_t n,
                      enum table_format format)
{
    struct status st = {0};
    struct store *store = NULL;
    char id[STORE_RUN_ID_SIZE];
    bool complete = true;
    status_code code = store_open(&store, part, STORE_WRITE, &st);
    if (code == STATUS_OK) code = store_merge_shards(store, in, n, id, &st);
    if (code == STATUS_OK)
        code = print_table(store, &(const char *){id}, 1, format, &complete, &st);
    store_free(store);
    if (code == STATUS_OK && rename(part, out) != 0)
        code = status_set(&st, STATUS_IO, "%s: %s", out, strerror(errno));
    if (code != STATUS_OK) {
        unlink(part);
        return cli_fail(&st);
    }
    fprintf(stderr, "assay: run %s in %s\n", id, out);
    return complete ? EXIT_DONE : EXIT_INCOMPLETE;
}

int cmd_merge(const struct command *self, int argc, const char **argv)
{
    bool json = false;
    const struct option_row rows[] = {
        {"json", OPTION_FLAG, &json, NULL, "print the table as JSON", 0, 0},
    };
    struct command_line words;
    char part[4096];
    int code;
    if (!cli_parse(self, rows, sizeof rows / sizeof rows[0], argc, argv, &words, &code))
        return code;
    if (words.n_positional < 3)
        return cli_usage_error(self, "the new store and at least two shards are needed");
    const char *out = words.positional[0];
    if (access(out, F_OK) == 0)
        return cli_usage_error(self, "%s is there already: a merge makes a new store", out);
    if (snprintf(part, sizeof part, "%s.part", out) >= (int)sizeof part)
        return cli_usage_error(self, "the path of the new store is too long");
    unlink(part); /* of a merge that was killed */
    return merge_into(part, out, words.positional + 1, (size_t)words.n_positional - 1,
                      json ? TABLE_JSON : TABLE_TEXT);
}
