/* scheduler_plan.h - how much of everything a scheduler makes room for, before it makes any.
 *
 * The same figures size the scheduler and predict its memory, so that a run can be refused before a
 * model is loaded.
 */
#ifndef ASSAY_SCHEDULER_PLAN_H
#define ASSAY_SCHEDULER_PLAN_H

#include "engine/model/kv_cache.h"
#include "engine/model/run_state.h"

struct scheduler_plan {
    struct run_sizes run;
    int pass_tokens;
    struct kv_sizes cache;
    size_t cache_bytes; /* of keys and values, at most: pages that no token fills stay untouched */
    size_t other_bytes; /* activations, logits, the tree */
};

/* n_context and n_threads are at least 1, max_sequences too.  cache_bytes 0 = as much as one
 * sequence of the whole context needs, and where that is little, as much as several shorter ones
 * do.  Fails with STATUS_LIMIT on a cache that holds next to nothing. */
status_code scheduler_plan_make(struct scheduler_plan *out, const struct model_config *config,
                                const struct run_sizes *run, size_t cache_bytes,
                                struct status *st) MUST_CHECK;

#endif
