/* sampler.h - logits to the next token.
 *
 *   logits[n_vocab] + sampling options + rng -> sampler_next() -> a token id
 *
 * Temperature 0 takes the most likely token, the lowest id on a tie.  Otherwise, in the order that
 * Hugging Face applies them: logits / temperature, top-k, softmax, top-p (nucleus sampling:
 * Holtzman et al., 2020: the smallest set of most likely tokens whose mass reaches p), then one
 * draw.  A `sampler` owns its scratch and belongs to one thread; the generator is the caller's.
 */
#ifndef ASSAY_SAMPLER_H
#define ASSAY_SAMPLER_H

#include "engine/backend.h"
#include "engine/base/rng.h"

struct sampler; /* opaque */

status_code sampler_create(struct sampler **out, int n_vocab, struct status *st) MUST_CHECK;
void sampler_free(struct sampler *sampler);

/* What sampler_create() allocates. */
size_t sampler_bytes(int n_vocab);

/* STATUS_USAGE on a negative temperature or top_k, or a top_p outside (0, 1]. */
status_code sampling_options_check(const struct sampling_options *options,
                                   struct status *st) MUST_CHECK;

int32_t sampler_next(struct sampler *sampler, const struct sampling_options *options,
                     const float *logits, struct rng *rng);

/* The most likely token, the lowest id on a tie.  NaN is never the most likely. */
int32_t logits_argmax(const float *logits, int n_vocab);

/* What log-probabilities at one position have in common: logs of the softmax's parts, whose sum
 * runs in double. */
struct logits_summary {
    int32_t best; /* logits_argmax() */
    double max, log_sum;
};
struct logits_summary logits_summarize(const float *logits, int n_vocab);

/* The natural log of softmax(logits)[id]. */
double logits_logprob(const struct logits_summary *summary, const float *logits, int32_t id);

#endif
