/* scorer.h - one answered request to numbers and one outcome.
 *
 *   reply             -> score_exact_match() -> a value for each extraction, and an outcome
 *   log-probabilities -> score_accuracy()    -> a value, and an outcome
 *
 * A `score` is what one reply, or one set of scored choices, is worth: `metric_value`s under
 * lm-eval's keys ("exact_match,strict-match", "acc,none") and an `outcome`, the shared word for
 * why. The functions here are what task rows point to; callers go through task.h.  Extracted texts
 * are the arena's.
 *
 * The outcome of a value is the first that holds:
 *   correct            the value is 1, also when the reply was cut off
 *   empty              the reply is nothing but whitespace
 *   truncated          the reply ended because it reached its token limit
 *   extraction_failed  no answer could be taken from the reply
 *   wrong              an answer was taken and is not the target
 */
#ifndef ASSAY_SCORER_H
#define ASSAY_SCORER_H

#include <stdint.h>

#include "benchmarks/answer_extraction.h"
#include "benchmarks/sandbox.h"
#include "engine/base/arena.h"
#include "engine/base/status.h"
#include "engine/base/strbuf.h"
#include "engine/base/text.h"
#include "engine/base/words.h"

#define SCORE_MAX_VALUES 8

struct metric_value {
    const char *metric;     /* "acc" */
    const char *extraction; /* "strict-match"; "none" where nothing is extracted */
    double value;
    enum outcome outcome;
    struct text extracted; /* data is NULL where nothing is extracted */
};

struct score {
    enum outcome outcome; /* of values[0] */
    int n_values;
    struct metric_value values[SCORE_MAX_VALUES];
};

struct reply {
    struct text text;       /* after stop strings; may hold invalid UTF-8 */
    bool truncated;         /* it ended at its token limit */
    const double *toxicity; /* from 0 to 1; NULL where it was not scored, which is not 0 */
    const struct sandbox_result *execution; /* of a reply that is a program; NULL where not run */
};

struct task_instance; /* benchmarks/task.h */

/* Generation: every extraction of the task against the document's target. */
status_code score_exact_match(const struct task_instance *instance, int64_t doc_id,
                              const struct reply *reply, struct arena *arena, struct score *out,
                              struct status *st) MUST_CHECK;

/* Which of the first k scores has the answer, of value `value`, that most of them have: the
 * earliest of equally frequent ones.  Replies without an answer vote too, as in lm-eval. */
int score_majority(const struct score *scores, int k, int value);

/* The n replies to a document under extractions with votes: each gets the value of the majority's
 * answer, or an unknown one where there are fewer replies than vote. */
status_code score_votes(const struct task_instance *instance, int64_t doc_id, struct score *scores,
                        int n, struct arena *arena, struct status *st) MUST_CHECK;

/* A program: 1 when it passed its tests.  Tests that found a value wrong make it wrong; a program
 * that is none, raised, ran out of memory or was stopped is execution_failed, or execution_timeout.
 * The detail is what was extracted. */
status_code score_execution(const struct task_instance *instance, int64_t doc_id,
                            const struct reply *reply, struct arena *arena, struct score *out,
                            struct status *st) MUST_CHECK;

/* Multiple choice: 1 when the likeliest choice is the right one; on a tie the first one counts. The
 * task's metrics say what is compared: the log-probability ("acc"), or the same divided by the
 * choice's code points ("acc_norm") or bytes ("acc_bytes"), without its delimiter.  "mc2" is the
 * true choices' share of the probability of all, and correct above a half (Lin et al. 2022,
 * TruthfulQA, section 3.2). */
status_code score_accuracy(const struct task_instance *instance, int64_t doc_id,
                           const double *logprobs, int n, struct score *out,
                           struct status *st) MUST_CHECK;

/* A target's log-probability: "acc" is 1 when each token was the likeliest, "loglikelihood" the
 * log-probability itself, whose mean's exponential is the reciprocal of the perplexity. */
status_code score_loglikelihood(const struct task_instance *instance, double logprob,
                                bool is_greedy, struct score *out, struct status *st) MUST_CHECK;

/* Multiple choice answered in words: the reply's first character names the choice. */
status_code score_choice_letter(const struct task_instance *instance, int64_t doc_id,
                                const struct reply *reply, struct arena *arena, struct score *out,
                                struct status *st) MUST_CHECK;

/* The outcome of a reply, as above. */
enum outcome score_outcome(bool correct, bool extracted, const struct reply *reply);

/* The part of a reply before any of the stop strings, cut for one string after the other. */
struct text apply_stops(struct text reply, const struct text *until, int n_until);

#endif
