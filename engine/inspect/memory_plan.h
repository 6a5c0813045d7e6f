/* memory_plan.h - what running a model will take, and whether it is there, before it is loaded.
 *
 *   memory_plan_make() -> what each part will take at most -> memory_plan_check()
 *
 * Only headers and the tokenizer are read.  A plan that does not fit is refused in one line that
 * names the option which would make it fit.
 */
#ifndef ASSAY_MEMORY_PLAN_H
#define ASSAY_MEMORY_PLAN_H

#include <stdint.h>

#include "engine/base/status.h"

struct memory_request {
    const char *model_path;
    int n_context;        /* 0 = what the model was trained for */
    int n_threads;        /* 0 = one per processor */
    int max_sequences;    /* 0 = as many as a scheduler runs by default */
    uint64_t cache_bytes; /* as of scheduler_options */
    uint64_t max_bytes;   /* that the plan may take; 0 = what the machine has left */
    /* Of the command, what makes contexts shorter where there is no --max-context; or NULL. */
    const char *context_option;
};

struct memory_plan {
    uint64_t weights; /* mapped from their files, or in packed copies of them */
    uint64_t cache;   /* keys and values */
    uint64_t other;   /* activations, tokenizer, samplers */
    uint64_t total;
    uint64_t limit; /* UINT64_MAX when nobody knows */
    /* For an advice: the cache of one sequence of the whole context, and the longest context of
     * which one fits; 0 when none does. */
    uint64_t one_sequence;
    int longest_context;
    const char *context_option; /* the request's */
};

/* A model that is not there or cannot run has a plan of zeros: opening it says why. */
status_code memory_plan_make(struct memory_plan *out, const struct memory_request *request,
                             struct status *st) MUST_CHECK;

/* STATUS_LIMIT when the plan is over its limit. */
status_code memory_plan_check(const struct memory_plan *plan, struct status *st) MUST_CHECK;

/* Bytes that programs can still get: of the machine, and of the control group that this one runs
 * in.  UINT64_MAX when the system does not say. */
uint64_t memory_available(void);

#endif
