/* runner.h - a config to a finished run in the store.
 *
 *   runner_open() -> runner_start() or runner_continue() -> runner_work() -> rows
 *
 * A `runner` owns what a run needs: the loaded tasks, the engine, the guard.  It borrows the store.
 * Everything that can be checked is checked before the first document: an opened runner fails later
 * only for the disk, the memory or a document's own sake.
 *
 * Documents are answered in batches; each batch is one transaction, so a process that dies loses at
 * most the batch in flight, and a run that was interrupted and continued has the rows of one that
 * was not.
 *
 *   struct runner *runner;
 *   if (runner_open(&runner, &config, &environment, st) != STATUS_OK) ...
 *   if (runner_start(runner, store, command_line, st) != STATUS_OK) ...
 *   if (runner_work(runner, &hooks, st) != STATUS_OK) ...     STATUS_INTERRUPTED: to be continued
 *   runner_free(runner);
 */
#ifndef ASSAY_RUNNER_H
#define ASSAY_RUNNER_H

#include "benchmarks/offline_scoring.h"
#include "benchmarks/run_config.h"
#include "engine/base/log.h"
#include "engine/engine.h"
#include "reports/results_store.h"

struct runner; /* opaque */

/* What the run's surroundings provide. */
struct runner_environment {
    const char *model_path; /* what config.model means here */
    /* The model, already open, for several runs with an adapter each; it must live longer than the
     * runner.  NULL: the runner opens it. */
    const struct engine *base;
    const char *demo_dir; /* demo samples, or NULL */
    const struct logger *log;
};

struct runner_progress {
    const char *task;       /* the one being worked on */
    int64_t done, total;    /* documents of the run */
    int64_t done_this_time; /* since runner_work() began */
    double seconds;         /* since runner_work() began */
};

struct runner_hooks {
    void (*progress)(void *user, const struct runner_progress *progress); /* after each batch */
    bool (*should_stop)(void *user); /* asked before each batch */
    void *user;
};

/* How a run's model is opened, adapter included.  STATUS_USAGE names the option. */
status_code runner_engine_options(struct engine_options *out, const struct run_config *config,
                                  const struct runner_environment *environment,
                                  struct status *st) MUST_CHECK;

/* Loads tasks, guard and model.  Errors name the file and the field. */
status_code runner_open(struct runner **out, const struct run_config *config,
                        const struct runner_environment *environment, struct status *st) MUST_CHECK;
void runner_free(struct runner *runner);

/* Adds a new run with all its documents pending. */
status_code runner_start(struct runner *runner, struct store *store, const char *command_line,
                         struct status *st) MUST_CHECK;

/* Takes up a run that is in the store.  Fails when anything that its numbers depend on is no longer
 * what it was: weights, tokenizer, data, task versions, policy. */
status_code runner_continue(struct runner *runner, struct store *store, const char *run_id,
                            struct status *st) MUST_CHECK;

const char *runner_run_id(const struct runner *runner);

/* Answers every pending document.  STATUS_INTERRUPTED when should_stop() said so; the run is then
 * marked interrupted. */
status_code runner_work(struct runner *runner, const struct runner_hooks *hooks,
                        struct status *st) MUST_CHECK;

/* Writes what the model would be given for one document of each task: several lines for people, or
 * a JSON line.  A task with fewer documents is left out; STATUS_USAGE when that is true of all. */
status_code runner_show_prompts(const struct runner *runner, int64_t doc_id, bool json,
                                const struct line_sink *sink, struct status *st) MUST_CHECK;

/* Documents that failed, over the whole run. */
status_code runner_count_failed(struct runner *runner, int64_t *n, struct status *st) MUST_CHECK;

#endif
