/* spelling_training.h - texts to a spelling (spelling.h): which words there are, and which are
 * frequent enough to be what a misspelling stands for.
 *
 * Words are counted in the examples that are learned from, as they were found: neither made-up
 * variants nor held-out texts have a part in it.  A word that is there `min_count` times is of the
 * vocabulary; a sure one is there 3 times as often, a target 10 times, a common word 25 times.  Of
 * equally frequent words the first by their letters comes first, so the same examples give the same
 * bytes.  A vocabulary of more than SPELLING_MAX_WORDS words keeps the most frequent.
 */
#ifndef ASSAY_SPELLING_TRAINING_H
#define ASSAY_SPELLING_TRAINING_H

#include "classifiers/spelling.h"
#include "classifiers/training.h"

/* Fails with STATUS_BAD_INPUT when no word is there often enough. */
status_code spelling_learn(struct spelling **out, const struct training_example *examples, size_t n,
                           int64_t min_count, struct status *st) MUST_CHECK;

#endif
