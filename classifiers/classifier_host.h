/* classifier_host.h - a classifier in a process of its own (engine/base/worker_process.h).
 *
 *   classifier + a process -> the same classifier, whose crash or hang is a failure of one text
 *
 * For classifiers that run a model.  It has the id, the digest and the categories of the one inside
 * and gives the same scores; a text on which the process dies or does not answer in time is not
 * scored, and the next text finds a new process.  Used inside classifiers/ only.
 */
#ifndef ASSAY_CLASSIFIER_HOST_H
#define ASSAY_CLASSIFIER_HOST_H

#include "classifiers/classifier_vtable.h"

/* Takes `inner` over, whatever it returns. */
status_code classifier_host_create(struct classifier **out, struct classifier *inner,
                                   struct status *st) MUST_CHECK;

#endif
