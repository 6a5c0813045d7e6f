/* runner_internal.h - what runner.c, run_record.c, run_batch.c, run_verdicts.c and rescore.c share;
 * nobody else includes it. */
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
    struct task_ref *unexpanded;  /* the selection before each task stood once for each shot seed */
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

/* What the drawings of a leaf's shots are averaged into: its group, where all of that is selected,
 * or the leaf. */
status_code run_record_base(struct runner *runner, int task, const char **base,
                            struct status *st) MUST_CHECK;

/* Whether the run's task files have the bytes that are on record. */
status_code run_record_check_files(struct runner *runner, struct status *st) MUST_CHECK;

/* How many documents of a task the run asks for. */
int64_t run_record_n_documents(const struct runner *runner, int task);

/* How many replies the run asks for to each document of a task, and how they are drawn. */
int runner_repeats(const struct runner *runner, int task);
struct sampling_options runner_sampling(const struct runner *runner, int task);

/* What turns the run's documents into prompts. */
struct prompt_maker runner_prompt_maker(const struct runner *runner);

/* The metrics of a task's row with so many replies to a document, as the store keeps them. */
size_t run_record_metrics(const struct task *task, int repeats,
                          struct store_metric out[TASK_MAX_VALUES]);

/* What scores the run: the toxicity classifier, the interpreter, the task files.  In a batch. */
status_code run_record_scorers(struct runner *runner, struct status *st) MUST_CHECK;

/* runner.c: the parts of opening that scoring needs: tasks, toxicity classifier, sandbox. */
status_code runner_load_scoring(struct runner *runner, struct status *st) MUST_CHECK;

/* run_verdicts.c: what a reply is worth, as rows of the open batch. */

/* `delivered` is NULL where the reply is shown as it is, or not at all. */
status_code run_put_score(struct runner *runner, const struct store_key *key,
                          const struct score *score, const struct score *delivered,
                          struct status *st) MUST_CHECK;

/* `judged` is what toxicity_score_all() said of the reply.  *known is false when that is nothing,
 * and the rows say why. */
status_code run_put_toxicity(struct runner *runner, const struct store_key *key,
                             const struct classifier_item *judged, double *toxicity, bool *known,
                             struct status *st) MUST_CHECK;

/* Of a reply that a guard cut while it grew: what the model would have scored is not known. */
void run_forget_values(struct score *score);

/* run_batch.c: answers documents of one task and writes their rows in one transaction.  The engine
 * computes a batch together: enough replies that reading the weights is shared by many, while a few
 * questions fill its passes, and what they begin with it keeps from batch to batch. */
#define RUN_BATCH_DOCUMENTS 64 /* replies, at most; one document may have more */
#define RUN_BATCH_QUESTIONS 16
int run_batch_documents(const struct runner *runner, int task); /* in one batch: 1 or more */
status_code run_batch(struct runner *runner, int task, const int64_t *doc_ids, size_t n,
                      struct status *st) MUST_CHECK;

#endif
