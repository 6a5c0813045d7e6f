/* backend_native.h - requests answered by this program's own engine.
 *
 * The backend borrows the engine, which must have a tokenizer, and owns one session.  It follows
 * lm-evaluation-harness where the two could differ (BENCHMARKS.md, "Tokenisation and scoring"):
 * trailing whitespace of a context moves into the continuation; context and continuation are
 * encoded together and split by position; a timeline that is too long loses its first tokens.
 */
#ifndef ASSAY_BACKEND_NATIVE_H
#define ASSAY_BACKEND_NATIVE_H

#include "engine/backend.h"
#include "engine/engine.h"

struct backend_native_options {
    int n_context; /* 0 = what the model was trained for */
};

status_code backend_native_open(struct backend **out, const struct engine *engine,
                                const struct backend_native_options *options,
                                struct status *st) MUST_CHECK;

/* Tokens that requests needed and tokens that were computed: the difference is what sharing of
 * prefixes saved.  `backend` is one that backend_native_open() made. */
void backend_native_token_counts(const struct backend *backend, uint64_t *asked,
                                 uint64_t *computed);

#endif
