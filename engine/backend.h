/* backend.h - what can answer a request: the native engine, later a server.
 *
 *   requests -> backend_loglikelihood() -> log-probability of each continuation
 *   requests -> backend_generate()      -> a reply and why it ended
 *
 * Requests come in arrays so that a backend may share work between them; results do not depend on
 * which requests came together.  Request texts belong to the caller; results own their buffers and
 * are released by the caller.  A backend is used by one thread at a time.
 *
 * One request that cannot be answered is marked in its own result (`status`); the call itself fails
 * only when nothing more can be answered.
 */
#ifndef ASSAY_BACKEND_H
#define ASSAY_BACKEND_H

#include <stdint.h>

#include "engine/base/strbuf.h"
#include "engine/base/text.h"

#define MAX_CONTINUATIONS 32

struct backend; /* opaque */

/* Context and continuation as one list of ids, of which the first n_context are the context. */
struct token_pair {
    const int32_t *ids;
    size_t n, n_context;
};

struct loglikelihood_request {
    struct text context;
    struct text continuation[MAX_CONTINUATIONS];
    int n_continuations;
    /* In place of `context`, one for each continuation; or NULL. */
    const struct text *contexts;
    /* The same as ids, one for each continuation, or NULL: as `tokens` of a generate_request. */
    const struct token_pair *pairs;
};

struct loglikelihood_result {
    struct status status;
    double logprob[MAX_CONTINUATIONS]; /* natural log, summed over the continuation's tokens */
    int n_tokens[MAX_CONTINUATIONS];
    bool is_greedy[MAX_CONTINUATIONS]; /* every token was the most likely one */
    int n_context_tokens;              /* with BOS, before truncation */
    int n_truncated;                   /* tokens cut from the left to fit the context */
};

/* Temperature 0 is greedy.  top_k 0 and top_p 1 switch their rule off. */
struct sampling_options {
    double temperature;
    int top_k;
    double top_p;
};

enum finish_reason {
    FINISH_EOS,         /* the model ended its reply */
    FINISH_STOP_STRING, /* a string of `until` was generated; the reply ends before it */
    FINISH_LENGTH,      /* max_tokens reached, or the context is full */
    FINISH_GUARD        /* on_text asked to stop */
};
const char *finish_reason_name(enum finish_reason reason);

struct generate_request {
    struct text prompt;
    /* The same prompt as token ids, or NULL: a chat's turns are divided by pieces that no text can
     * spell.  A backend that takes ids takes these as they are, BOS included. */
    const int32_t *tokens;
    size_t n_tokens;
    const struct text *until;
    int n_until;
    int max_tokens;
    struct sampling_options sampling;
    uint64_t seed; /* of this reply alone: rng_derive_seed() */
    /* Called with the whole reply so far after each token; false stops.  May be NULL.  Always on
     * the caller's thread, between those of the call's other requests. */
    bool (*on_text)(void *user, struct text reply);
    void *user;
};

struct generate_result {
    struct status status;
    struct strbuf reply;
    enum finish_reason finish_reason;
    int n_prompt_tokens; /* with BOS, before truncation */
    int n_truncated;
    int n_generated;
    /* Time of computing.  Where replies are computed together, each has its tokens' part of it:
     * over all replies they add up to the time that passed, and a prompt that another reply of the
     * call had too counts for one of them. */
    double prefill_seconds, decode_seconds;
};

status_code backend_loglikelihood(struct backend *backend,
                                  const struct loglikelihood_request *requests, int n,
                                  struct loglikelihood_result *results,
                                  struct status *st) MUST_CHECK;

/* Fills results[n], each with an initialised `reply`. */
status_code backend_generate(struct backend *backend, const struct generate_request *requests,
                             int n, struct generate_result *results, struct status *st) MUST_CHECK;
void generate_result_release(struct generate_result *result);

void backend_free(struct backend *backend);

#endif
