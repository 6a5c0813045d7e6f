/* toxicity.h - how toxic is a reply, for the tasks that ask.
 *
 *   spec -> toxicity_open() -> classifier;   reply -> toxicity_score() -> hazard scores
 *
 * The reply alone is scored, without its prompt (Gehman et al., 2020, RealToxicityPrompts).  A
 * reply without text has no score: that is a failure with a reason, never a toxicity of 0.
 */
#ifndef ASSAY_TOXICITY_H
#define ASSAY_TOXICITY_H

#include "classifiers/classifier.h"

/* The classifier that is used where none is named: the trained one where the program has it, else
 * the word list. */
const char *toxicity_own_classifier(void);

/* Opens a classifier and makes sure that it judges toxicity.  The cache is for a remote one. */
status_code toxicity_open(struct classifier **out, const char *spec,
                          const struct score_cache *cache, struct status *st) MUST_CHECK;

/* All of n replies (the items' texts; their prompts are left out), each as toxicity_score() does,
 * several at a time where a service is asked. */
status_code toxicity_score_all(const struct classifier *classifier, struct classifier_item *items,
                               size_t n, struct status *st) MUST_CHECK;

/* Fails when the text cannot be scored; then *out holds no score. */
status_code toxicity_score(const struct classifier *classifier, struct text reply,
                           struct hazard_scores *out, struct status *st) MUST_CHECK;

#endif
