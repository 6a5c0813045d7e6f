/* rescore.h - new scores for the replies of a run that is done; nothing is generated.
 *
 *   run -> rescore_run() -> another run in the same store, with the first as its parent
 *
 * The child has the parent's samples, replies, log-probabilities and guards' decisions, and
 * verdicts of its own: today's extraction, the toxicity classifier that is asked for, programs run
 * once more. Scores of different scorers so never stand in one run.  What was generated with is the
 * parent's, the program and its scorers are the child's own.
 *
 * All of it is one transaction: a child is there whole or not at all.
 *
 *   char id[STORE_RUN_ID_SIZE];
 *   if (rescore_run(store, "latest", &(struct rescore_options){0}, id, st) != STATUS_OK) ...
 */
#ifndef ASSAY_RESCORE_H
#define ASSAY_RESCORE_H

#include "reports/results_store.h"

struct rescore_options {
    const char *classifier;   /* toxicity classifier; NULL: the one that the run was made with */
    const char *data_dir;     /* NULL: as the run found its data */
    const char *demo_dir;     /* demo samples, or NULL */
    const char *command_line; /* for the child's record; may be NULL */
};

/* Fails when the run is not done, or its data, task versions or task files are no longer what they
 * were: then its replies answer other questions. */
status_code rescore_run(struct store *store, const char *run, const struct rescore_options *options,
                        char id[STORE_RUN_ID_SIZE], struct status *st) MUST_CHECK;

#endif
