/* scheduler.h - many sequences through one model, computed together and no token twice.
 *
 *   jobs -> scheduler_run() -> each job's on_logits(), position by position
 *
 * A `job` is a sequence of tokens whose logits somebody wants, and which may grow: on_logits may
 * answer the last position with the next token.  The scheduler puts tokens of many jobs into each
 * pass, lets jobs join and leave between passes, and keeps keys and values in a tree of prefixes,
 * so that what several jobs begin with is computed once, also across calls.  What a job sees
 * depends on its own tokens alone, to the bit: not on the other jobs, on sharing or on the number
 * of threads.
 *
 * A scheduler borrows its engine, belongs to one thread at a time, and allocates its cache and
 * scratch when it is created.
 *
 *   struct scheduler *s;
 *   struct scheduler_options options = {.max_sequences = 32};
 *   struct scheduler_job jobs[2] = {{.tokens = a, .n_tokens = n, .first_logits = n - 1,
 *                                    .max_tokens = n + 20, .on_logits = choose, .user = &x}, ...};
 *   if (scheduler_create(&s, engine, &options, st) != STATUS_OK) ...
 *   if (scheduler_run(s, jobs, 2, st) != STATUS_OK) ...
 */
#ifndef ASSAY_SCHEDULER_H
#define ASSAY_SCHEDULER_H

#include "engine/engine.h"

struct scheduler; /* opaque */

#define SCHEDULER_CONTINUE  (-1) /* nothing to append: go on with the tokens that are there */
#define SCHEDULER_END       (-2) /* the job wants no more */
#define SCHEDULER_SEQUENCES 64   /* computed at the same time, unless options say otherwise */

/* Receives logits[n_vocab] after the token at `position`, valid during the call, and answers with
 * SCHEDULER_CONTINUE, SCHEDULER_END or, at the last position, a token to append.  Called in the
 * order of positions for each job, but for different jobs from several of the engine's threads at
 * the same time: it may write only what its own job's `user` points at. */
typedef int32_t scheduler_logits_fn(void *user, int position, const float *logits);

struct scheduler_job {
    const int32_t *tokens; /* what the job begins with; the caller's until the run ends */
    int n_tokens;
    int first_logits; /* positions from here on are answered; n_tokens or more: none */
    int max_tokens;   /* it may grow to; a token past it ends the job */
    scheduler_logits_fn *on_logits;
    /* The same positions' hidden states after the last norm, [d_model], before their logits; NULL
     * or with on_logits NULL for them alone.  Called as on_logits is. */
    session_hidden_fn *on_hidden;
    /* Hears each token that on_logits chose, before it joins the sequence; false ends the job.
     * Called on the caller's thread, one job at a time.  NULL takes every token. */
    bool (*on_token)(void *user, int32_t token);
    void *user;

    /* Results.  A job that cannot run says why; the others are not affected. */
    struct status status;
    /* Time of the passes that this job's tokens were computed in, shared evenly by all the tokens
     * of a pass: over all jobs they add up to the time of the run.  A token that was computed for
     * several jobs counts for one of them. */
    double prefill_seconds, decode_seconds;
};

struct scheduler_options {
    int n_context;      /* the most tokens of a sequence; 0 = what the model was trained for */
    size_t cache_bytes; /* for keys and values; 0 = a default that holds at least one sequence */
    int max_sequences;  /* computed at the same time; 0 = SCHEDULER_SEQUENCES */
};

/* Fails with STATUS_LIMIT on a context that is over the limit, with STATUS_UNSUPPORTED on an
 * encoder, with STATUS_NO_MEMORY. */
status_code scheduler_create(struct scheduler **out, const struct engine *engine,
                             const struct scheduler_options *options, struct status *st) MUST_CHECK;
void scheduler_free(struct scheduler *scheduler);

/* Runs all jobs to their end.  A job's own failure (ids outside the vocabulary, more tokens than
 * the context or the cache holds) is in its `status`. */
status_code scheduler_run(struct scheduler *scheduler, struct scheduler_job *jobs, int n,
                          struct status *st) MUST_CHECK;

/* The most tokens a sequence may have. */
int scheduler_context(const struct scheduler *scheduler);

/* Since the scheduler was created. */
struct scheduler_counts {
    uint64_t asked;    /* tokens that the jobs would take one by one */
    uint64_t unique;   /* positions computed that the cache did not hold */
    uint64_t computed; /* tokens computed; asked - computed is what sharing saved */
    uint64_t passes;
};
struct scheduler_counts scheduler_get_counts(const struct scheduler *scheduler);

#endif
