/* window_training.h - labelled texts to a window network (window_network.h).
 *
 * First the words of the texts get vectors from the company that they keep (word_vectors.h); then
 * the network is trained on those vectors, which stay as they are, and on the labels.  Each domain
 * has heads of its own over the same units; the network keeps those of domain 0.  Where the model
 * is distilled, examples whose labels are not (a share of 0) count as domain 0's.
 *
 * The loss is cross entropy on soft labels, minimised by Adam with decoupled weight decay
 * (Loshchilov and Hutter 2019) over shuffled batches; words and units are left out at random
 * (dropout).  Words are repaired by `spelling`, if there is one (NULL: none).  Held-out examples
 * have no part in either step, made-up variants none in the vectors. One thread: the same examples,
 * options and seed give the same bytes.
 */
#ifndef ASSAY_WINDOW_TRAINING_H
#define ASSAY_WINDOW_TRAINING_H

#include "classifiers/training.h"

status_code window_network_train(struct window_network **out,
                                 const struct training_options *options,
                                 const struct spelling *spelling,
                                 const struct training_example *examples, size_t n,
                                 struct status *st) MUST_CHECK;

#endif
