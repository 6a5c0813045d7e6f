/* cli.h - what the commands share: exit codes, messages, the terminal.
 *
 * This folder is the only one that prints or exits.  Results go to stdout, everything for people to
 * stderr.  A command is a row of the table in main.c and a function here.
 */
#ifndef ASSAY_CLI_H
#define ASSAY_CLI_H

#include <stdio.h>

#include "benchmarks/chat.h"
#include "benchmarks/cli/options.h"
#include "classifiers/safety_pipeline.h"
#include "classifiers/score_cache.h"
#include "datasets/dataset.h"
#include "engine/base/log.h"
#include "engine/base/strbuf.h"
#include "engine/base/words.h"

enum exit_code {
    EXIT_DONE = 0,
    EXIT_REGRESSION = 1, /* gate failed */
    EXIT_USAGE = 2,
    EXIT_CANNOT_RUN = 3,   /* bad file, missing model, refused sandbox, network */
    EXIT_INCOMPLETE = 4,   /* finished, but samples failed or coverage is under the floor */
    EXIT_INCONCLUSIVE = 5, /* gate could not tell */
    EXIT_INTERRUPTED = 130
};

struct command {
    const char *name;
    const char *usage;   /* what follows the name */
    const char *summary; /* one line, as `assay -h` prints it */
    int (*run)(const struct command *self, int argc, const char **argv);
    bool computes; /* with several threads */
};

/* Option rows of the commands that load a model to run it. */
#define CLI_MEMORY_ROWS(cache, most)                                                               \
    {"cache-memory",                                                                               \
     OPTION_INT,                                                                                   \
     &(cache),                                                                                     \
     "MIB",                                                                                        \
     "for keys and values; default: one sequence of the whole context, or several shorter",        \
     1,                                                                                            \
     INT32_MAX},                                                                                   \
    {                                                                                              \
        "max-memory", OPTION_INT, &(most), "MIB",                                                  \
            "refuse to load a model that may take more; default: what the machine has left", 1,    \
            INT32_MAX                                                                              \
    }

/* Parses argv.  Returns true when the command goes on; else *exit_code is what it returns: help was
 * printed, or a usage error was. */
bool cli_parse(const struct command *self, const struct option_row *rows, int n_rows, int argc,
               const char **argv, struct command_line *words, int *exit_code);

/* Prints "assay: message" and returns the exit code that stands for the status. */
int cli_fail(const struct status *st);

/* Prints a usage error for a command and returns EXIT_USAGE. */
int cli_usage_error(const struct command *self, const char *format, ...) PRINTF_LIKE(2, 3);

/* Writes to stdout, and fails when that cannot be written (a full disk, a closed pipe).  Lines are
 * buffered until cli_flush(); cli_write() flushes by itself. */
status_code cli_write(const struct strbuf *text, struct status *st) MUST_CHECK;
status_code cli_write_line(void *unused, struct text line, struct status *st) MUST_CHECK;
status_code cli_flush(struct status *st) MUST_CHECK;

/* Writes a file whole: to a temporary name beside it, then renamed.  What is there and no regular
 * file, such as /dev/stdout, is written through. */
status_code cli_write_file(const char *path, const struct strbuf *text,
                           struct status *st) MUST_CHECK;

/* Standard input, line by line.  Zero is the beginning. */
struct cli_input {
    char bytes[1 << 16];
    size_t next, end; /* what of it was read and is no part of a line yet */
};

/* Reads the next line into `line`, without its newline; *more is false at the end of input.  What
 * was written to standard output is sent off before the program might wait, so that whoever gives
 * one line at a time gets its answer. */
status_code cli_read_line(struct cli_input *in, struct strbuf *line, bool *more,
                          struct status *st) MUST_CHECK;

/* A word as the shell reads it back; and argv as one such line, for a run's record. */
void cli_append_word(struct strbuf *out, const char *word);
void cli_append_command_line(struct strbuf *out, int argc, const char **argv);

/* A logger that prints to stderr. */
extern const struct logger cli_logger;

/* The folder of the demo model and samples: beside the build, or under ../share/assay/demo of the
 * installed program.  NULL when neither is there. */
const char *cli_demo_dir(void);

/* `--data DIR` with the demo samples behind it. */
struct dataset_lookup cli_lookup(const char *data_dir);

/* "demo" is the model that comes with the program; anything else is itself. */
const char *cli_model_path(const char *name);

/* What `--guard POLICY --guard-mode MODE` mean together, either NULL where it was not given: a
 * guard without a mode enforces, and *policy becomes NULL when the mode is off.  STATUS_USAGE. */
status_code cli_settle_guard(const char **policy, const char *mode_name, enum guard_mode *mode,
                             struct status *st) MUST_CHECK;

/* What the options about a chat say.  Any of them asks for one. */
struct cli_chat {
    bool on;
    struct chat_options options;
    const char *system_as, *multiturn;
};
#define CLI_CHAT_ROWS(chat)                                                                        \
    {"chat",                                                                                       \
     OPTION_FLAG,                                                                                  \
     &(chat).on,                                                                                   \
     NULL,                                                                                         \
     "put prompts into the model's chat template, shots as turns",                                 \
     0,                                                                                            \
     0},                                                                                           \
        {"system",                                                                                 \
         OPTION_TEXT,                                                                              \
         &(chat).options.system,                                                                   \
         "TEXT",                                                                                   \
         "system message, in front of a task's own; implies --chat",                               \
         0,                                                                                        \
         0},                                                                                       \
        {"system-as",                                                                              \
         OPTION_TEXT,                                                                              \
         &(chat).system_as,                                                                        \
         "HOW",                                                                                    \
         "for formats without a place for it: drop, prepend-user or error (error)",                \
         0,                                                                                        \
         0},                                                                                       \
        {"chat-template",                                                                          \
         OPTION_TEXT,                                                                              \
         &(chat).options.template,                                                                 \
         "NAME|FILE",                                                                              \
         "in place of the model's own; implies --chat",                                            \
         0,                                                                                        \
         0},                                                                                       \
    {                                                                                              \
        "fewshot-as-multiturn", OPTION_TEXT, &(chat).multiturn, "true|false",                      \
            "false: shots and question in one turn of the user's (true)", 0, 0                     \
    }

/* Reads the words among them.  STATUS_USAGE. */
status_code cli_settle_chat(struct cli_chat *chat, struct status *st) MUST_CHECK;

/* What `--task-dir DIR` does, wherever there are tasks to name. */
#define CLI_TASK_DIR_HELP "folder of task files: T may be DIR/T.json"

/* The store that commands use when none is named. */
#define CLI_DEFAULT_STORE "assay.sqlite"

int cmd_classify(const struct command *self, int argc, const char **argv);
int cmd_compare(const struct command *self, int argc, const char **argv);
int cmd_convert(const struct command *self, int argc, const char **argv);
int cmd_export(const struct command *self, int argc, const char **argv);
int cmd_fetch(const struct command *self, int argc, const char **argv);
int cmd_gate(const struct command *self, int argc, const char **argv);
int cmd_generate(const struct command *self, int argc, const char **argv);
int cmd_guard_eval(const struct command *self, int argc, const char **argv);
int cmd_inspect(const struct command *self, int argc, const char **argv);
int cmd_guard_price(const struct command *self, int argc, const char **argv);
int cmd_list(const struct command *self, int argc, const char **argv);
int cmd_logits(const struct command *self, int argc, const char **argv);
int cmd_prompts(const struct command *self, int argc, const char **argv);
int cmd_report(const struct command *self, int argc, const char **argv);
int cmd_merge(const struct command *self, int argc, const char **argv);
int cmd_rescore(const struct command *self, int argc, const char **argv);
int cmd_resume(const struct command *self, int argc, const char **argv);
int cmd_run(const struct command *self, int argc, const char **argv);
int cmd_score(const struct command *self, int argc, const char **argv);
int cmd_speed(const struct command *self, int argc, const char **argv);
int cmd_status(const struct command *self, int argc, const char **argv);
int cmd_submit(const struct command *self, int argc, const char **argv);
int cmd_table(const struct command *self, int argc, const char **argv);
int cmd_tokenize(const struct command *self, int argc, const char **argv);
int cmd_train(const struct command *self, int argc, const char **argv);

/* A policy and the pipeline of it, which the caller frees in the other order; a policy without
 * `stage` is refused. */
status_code cli_pipeline_open(struct pipeline **pipeline, struct policy **policy, const char *name,
                              enum guard_stage stage, enum guard_mode mode,
                              const struct score_cache *cache, struct status *st) MUST_CHECK;

/* Opens a command's classifier: its spec, or "KIND:ENDPOINT" where an endpoint is given.  The cache
 * is for a remote one. */
status_code cli_classifier_open(struct classifier **out, const char *spec, const char *endpoint,
                                const struct score_cache *cache, struct status *st) MUST_CHECK;

#endif
