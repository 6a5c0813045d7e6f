/* options.h - option tables: the same rows parse argv and print help.
 *
 *   rows + argv -> options_parse() -> the variables that the rows point to, and positional words
 *
 * A row names an option, says what it takes and where the value goes; the variable holds the
 * default beforehand.  "--name value" and "--name=value" are the same.  A word that is no option is
 * positional.  Strings point into argv.
 */
#ifndef ASSAY_CLI_OPTIONS_H
#define ASSAY_CLI_OPTIONS_H

#include <stdint.h>
#include <stdio.h>

#include "engine/base/status.h"

enum option_kind {
    OPTION_FLAG,      /* bool *: true when given */
    OPTION_TEXT,      /* const char ** */
    OPTION_INT,       /* int64_t *, between min and max */
    OPTION_MAYBE_INT, /* int64_t *, between min and max; min when no number follows */
    OPTION_NUMBER,    /* double * */
    OPTION_SEED,      /* uint64_t * */
    OPTION_LIST       /* struct option_list *: may be given several times */
};

#define OPTION_LIST_MAX 256
struct option_list {
    const char *values[OPTION_LIST_MAX];
    int count;
};

struct option_row {
    const char *name; /* without the dashes */
    enum option_kind kind;
    void *value;
    const char *takes; /* what help shows for the value: "DIR"; NULL for a flag */
    const char *help;
    int64_t min, max; /* OPTION_INT and OPTION_MAYBE_INT only */
};

struct command_line {
    const char *const *positional; /* the words that are no options, in order */
    int n_positional;
    bool help; /* -h or --help was given; nothing else was checked */
};

/* Reads argv[1..argc-1], moving the positional words to its front.  STATUS_USAGE names the option
 * and what it takes. */
status_code options_parse(const struct option_row *rows, int n_rows, int argc, const char **argv,
                          struct command_line *out, struct status *st) MUST_CHECK;

/* Prints one line for each row. */
void options_print(const struct option_row *rows, int n_rows, FILE *out);

#endif
