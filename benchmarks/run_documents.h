/* run_documents.h - the rows of the datasets that a run was asked about, which its store does not
 * keep.
 *
 *   store, run, data directory -> run_documents_open() -> task, document -> its JSON
 *
 * The JSON is what a document's hash in the store is of, so whoever asks can see whether the data
 * is what it was.  One task is in memory at a time.
 */
#ifndef ASSAY_RUN_DOCUMENTS_H
#define ASSAY_RUN_DOCUMENTS_H

#include "datasets/dataset.h"
#include "reports/results_store.h"

struct run_documents; /* opaque */

status_code run_documents_open(struct run_documents **out, struct store *store, const char *run,
                               const struct dataset_lookup *lookup, struct status *st) MUST_CHECK;
void run_documents_free(struct run_documents *documents);

/* Appends the document's JSON; nothing where the data has no such document. */
status_code run_documents_append(struct run_documents *documents, const char *task, int64_t doc_id,
                                 struct strbuf *json, struct status *st) MUST_CHECK;

#endif
