/* runner_internal.h - what runner.c, run_record.c and run_batch.c share; nobody else includes it.
 */
#ifndef ASSAY_RUNNER_INTERNAL_H
#define ASSAY_RUNNER_INTERNAL_H

#include "benchmarks/prompt_view.h"
#include "benchmarks/runner.h"
#include "benchmarks/store_cache.h"
#include "benchmarks/task_registry.h"
#include "engine/engine.h"

struct runner {
    struct run_config config;
    struct runner_environment environment;
    struct task_selection selection;
    struct task_instance **tasks; /* [selection.count] */
    struct policy *policy;        /* NULL without a guard */
    struct pipeline *pipeline;
    const struct engine *engine;
    struct engine *own_engine; /* the same, unless it is the environment's */
    struct backend *backend;
    struct chat *chat;           /* NULL unless prompts go into a chat template */
    struct classifier *toxicity; /* NULL unless a task judges toxicity */
    struct sandbox *sandbox;     /* NULL unless replies of a task are programs */
    struct score_cache cache;    /* what remote classifiers said, in the store */
    struct store *store;         /* borrowed from runner_start() or runner_continue() */
    char run_id[STORE_RUN_ID_SIZE];
};

/* run_record.c: the run's own rows. */

/* Writes run, tasks, groups, artifacts and pending samples in one transaction. */
status_code run_record_create(struct runner *runner, const char *command_line,
                              struct status *st) MUST_CHECK;

/* Compares the run in the store with what was loaded now. */
status_code run_record_check(struct runner *runner, struct status *st) MUST_CHECK;

/* How many documents of a task the run asks for. */
int64_t run_record_n_documents(const struct runner *runner, int task);

/* How many replies the run asks for to each document of a task, and how they are drawn. */
int runner_repeats(const struct runner *runner, int task);
struct sampling_options runner_sampling(const struct runner *runner, int task);

/* What turns the run's documents into prompts. */
struct prompt_maker runner_prompt_maker(const struct runner *runner);

/* run_batch.c: answers documents of one task and writes their rows in one transaction. */
#define RUN_BATCH_DOCUMENTS 8
int run_batch_documents(const struct runner *runner, int task); /* in one batch: 1 or more */
status_code run_batch(struct runner *runner, int task, const int64_t *doc_ids, size_t n,
                      struct status *st) MUST_CHECK;

#endif
