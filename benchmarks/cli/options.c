#include "benchmarks/cli/options.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "benchmarks/name_guess.h"

static status_code read_int(const struct option_row *row, const char *word, struct status *st)
{
    char *end;
    errno = 0;
    long long value = strtoll(word, &end, 10);
    if (errno || end == word || *end || value < row->min || value > row->max)
        return status_set(st, STATUS_USAGE,
                          "--%s \"%s\": expected a whole number from %lld to %lld", row->name, word,
                          (long long)row->min, (long long)row->max);
    *(int64_t *)row->value = value;
    return STATUS_OK;
}

static status_code read_number(const struct option_row *row, const char *word, struct status *st)
{
    char *end;
    double value = strtod(word, &end);
    if (end == word || *end || !isfinite(value))
        return status_set(st, STATUS_USAGE, "--%s \"%s\": expected a number", row->name, word);
    *(double *)row->value = value;
    return STATUS_OK;
}

static status_code read_seed(const struct option_row *row, const char *word, struct status *st)
{
    char *end;
    errno = 0;
    unsigned long long value = strtoull(word, &end, 10);
    if (errno || end == word || *end || word[0] == '-')
        return status_set(st, STATUS_USAGE, "--%s \"%s\": expected a whole number, 0 or more",
                          row->name, word);
    *(uint64_t *)row->value = value;
    return STATUS_OK;
}

static status_code add_to_list(const struct option_row *row, const char *word, struct status *st)
{
    struct option_list *list = row->value;
    if (list->count == OPTION_LIST_MAX)
        return status_set(st, STATUS_USAGE, "--%s: at most %d", row->name, OPTION_LIST_MAX);
    list->values[list->count++] = word;
    return STATUS_OK;
}

static status_code read_value(const struct option_row *row, const char *word, struct status *st)
{
    switch (row->kind) {
    case OPTION_TEXT:
        *(const char **)row->value = word;
        return STATUS_OK;
    case OPTION_INT:
    case OPTION_MAYBE_INT:
        return read_int(row, word, st);
    case OPTION_NUMBER:
        return read_number(row, word, st);
    case OPTION_SEED:
        return read_seed(row, word, st);
    case OPTION_LIST:
        return add_to_list(row, word, st);
    case OPTION_FLAG:
        break;
    }
    *(bool *)row->value = true;
    return STATUS_OK;
}

/* The row whose name is word[2..], up to an equals sign. */
static const struct option_row *find_row(const struct option_row *rows, int n_rows,
                                         const char *word)
{
    size_t length = strcspn(word + 2, "=");
    for (int i = 0; i < n_rows; i++)
        if (strlen(rows[i].name) == length && memcmp(rows[i].name, word + 2, length) == 0)
            return &rows[i];
    return NULL;
}

static status_code unknown_option(const struct option_row *rows, int n_rows, const char *word,
                                  struct status *st)
{
    struct name_guess meant;
    char hint[NAME_GUESS_HINT_SIZE];
    const char *name = word + strspn(word, "-");
    name_guess_init(&meant, (struct text){name, strcspn(name, "=")});
    for (int i = 0; i < n_rows; i++) name_guess_consider(&meant, rows[i].name);
    return status_set(st, STATUS_USAGE, "unknown option %s%s; -h lists them", word,
                      name_guess_hint(&meant, "--", hint));
}

/* Reads the option at argv[*i] and, where its value is the next word, moves *i to that. */
static status_code read_option(const struct option_row *rows, int n_rows, int argc,
                               const char **argv, int *i, struct status *st)
{
    const char *word = argv[*i];
    const struct option_row *row = word[1] == '-' ? find_row(rows, n_rows, word) : NULL;
    if (!row) return unknown_option(rows, n_rows, word, st);
    const char *equals = strchr(word, '=');
    if (row->kind == OPTION_FLAG) {
        if (equals) return status_set(st, STATUS_USAGE, "--%s takes no value", row->name);
        return read_value(row, NULL, st);
    }
    if (equals) return read_value(row, equals + 1, st);
    if (row->kind == OPTION_MAYBE_INT) {
        bool follows = *i + 1 < argc && argv[*i + 1][0] >= '0' && argv[*i + 1][0] <= '9';
        if (follows) return read_value(row, argv[++*i], st);
        *(int64_t *)row->value = row->min;
        return STATUS_OK;
    }
    if (*i + 1 >= argc)
        return status_set(st, STATUS_USAGE, "--%s needs a value: %s", row->name, row->takes);
    return read_value(row, argv[++*i], st);
}

status_code options_parse(const struct option_row *rows, int n_rows, int argc, const char **argv,
                          struct command_line *out, struct status *st)
{
    int n_positional = 0;
    bool only_words = false; /* after "--" */
    *out = (struct command_line){0};
    for (int i = 1; i < argc; i++) {
        const char *word = argv[i];
        if (!only_words && (strcmp(word, "-h") == 0 || strcmp(word, "--help") == 0)) {
            out->help = true;
            return STATUS_OK;
        }
        if (!only_words && strcmp(word, "--") == 0) {
            only_words = true;
        } else if (only_words || word[0] != '-' || !word[1]) {
            argv[n_positional++] = word;
        } else {
            status_code code = read_option(rows, n_rows, argc, argv, &i, st);
            if (code != STATUS_OK) return code;
        }
    }
    out->positional = argv;
    out->n_positional = n_positional;
    return STATUS_OK;
}

void options_print(const struct option_row *rows, int n_rows, FILE *out)
{
    for (int i = 0; i < n_rows; i++) {
        char left[64];
        snprintf(left, sizeof left, "--%s%s%s", rows[i].name, rows[i].takes ? " " : "",
                 rows[i].takes ? rows[i].takes : "");
        fprintf(out, "  %-24s %s\n", left, rows[i].help);
    }
}
