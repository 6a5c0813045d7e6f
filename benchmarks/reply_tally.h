/* reply_tally.h - scored replies, document by document, to metrics with errors.
 *
 *   score of each reply -> reply_tally_add() -> reply_tallies_summarise() -> {"metrics": {...}}
 *
 * A `reply_tally` keeps the values of the replies to one task.  Documents are the unit: one with
 * several replies counts once, with their mean or with what the metric makes of them.  A value that
 * is unknown is left out and lowers the count; it is never 0.  The tally borrows the task.
 *
 *   struct reply_tally *tally;
 *   if (reply_tally_create(&tally, instance, st) != STATUS_OK) ...
 *   if (reply_tally_add(tally, doc_id, &score, &repeat, st) != STATUS_OK) ...
 *   if (reply_tallies_summarise(&tally, 1, text_of(""), &json, st) != STATUS_OK) ...
 *   reply_tally_free(tally);
 */
#ifndef ASSAY_REPLY_TALLY_H
#define ASSAY_REPLY_TALLY_H

#include "benchmarks/task.h"

struct reply_tally; /* opaque */

status_code reply_tally_create(struct reply_tally **out, const struct task_instance *instance,
                               struct status *st) MUST_CHECK;
void reply_tally_free(struct reply_tally *tally);

const struct task_instance *reply_tally_task(const struct reply_tally *tally);

/* Keeps the score of the next reply to a document; *repeat is its number, from 0. */
status_code reply_tally_add(struct reply_tally *tally, int64_t doc_id, const struct score *score,
                            int *repeat, struct status *st) MUST_CHECK;

/* Appends {"metrics": {"metric,extraction": {value, stderr, n, n_missing}}}: value is the mean over
 * the n documents that have one, n_missing counts the others.  Over several tasks the mean is over
 * all their documents and stderr is pooled as lm-eval pools a group's; it is null below two
 * documents.  "outcomes" counts the replies by how they ended, and where a metric has several
 * extractions "judged_otherwise" those that another values otherwise.  A metric that is the best of
 * all replies is also given for every smaller number k, as "metric@k,extraction".  Metrics of
 * toxicity have an "interval" besides: 95 %, by resampling documents. */
/* `scorers` is what else the object says, members with a comma in front of each, or "". */
status_code reply_tallies_summarise(struct reply_tally *const *tallies, int n, struct text scorers,
                                    struct strbuf *out, struct status *st) MUST_CHECK;

#endif
