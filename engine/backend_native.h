/* backend_native.h - requests answered by this program's own engine.
 *
 * The backend borrows the engine, which must have a tokenizer, and owns a scheduler: requests of
 * one call are computed together, and what they begin with is kept for the next.  It follows
 * lm-evaluation-harness where the two could differ (its TemplateLM and HFLM): trailing whitespace
 * of a context moves into the continuation; context and continuation are encoded together and split
 * by position; a timeline that is too long loses its first tokens.
 */
#ifndef ASSAY_BACKEND_NATIVE_H
#define ASSAY_BACKEND_NATIVE_H

#include "engine/backend.h"
#include "engine/engine.h"
#include "engine/scheduler/scheduler.h"

struct backend_native_options {
    int n_context;      /* 0 = what the model was trained for */
    size_t cache_bytes; /* for keys and values; 0 = a default, see scheduler.h */
    int max_sequences;  /* answered together; 0 = SCHEDULER_SEQUENCES */
};

status_code backend_native_open(struct backend **out, const struct engine *engine,
                                const struct backend_native_options *options,
                                struct status *st) MUST_CHECK;

/* What requests needed and what was computed for them.  `backend` is one that backend_native_open()
 * made. */
struct scheduler_counts backend_native_counts(const struct backend *backend);

#endif
