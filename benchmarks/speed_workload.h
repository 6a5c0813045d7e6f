/* speed_workload.h - work that an evaluation brings, and how fast it gets done.
 *
 *   which benchmark -> workload_create() -> its sequences of tokens -> workload_run() -> documents
 *                                                                      per second, tokens saved
 *
 * MMLU with 5 shots: what the documents of a subject share, a question behind it, and four choices
 * of one token, which are read from one position.  RealToxicityPrompts: 25 replies of 20 tokens to
 * each prompt, sampled.  The texts are those of the datasets where a tokenizer and the data are at
 * hand; else tokens are made up at usual lengths (600 shared and 104 own; 14).
 *
 * All documents go through one scheduler; beside that stands a session that computes every request
 * from its first token, as programs do that keep nothing: one document's worth, from one request.
 */
#ifndef ASSAY_SPEED_WORKLOAD_H
#define ASSAY_SPEED_WORKLOAD_H

#include "benchmarks/task.h"
#include "engine/engine.h"

enum workload_kind { WORKLOAD_MMLU, WORKLOAD_RTP };

/* "mmlu", "rtp"; false for any other name. */
bool workload_kind_find(const char *name, enum workload_kind *out);
const char *workload_kind_name(enum workload_kind kind);

struct workload; /* opaque */

struct workload_options {
    enum workload_kind kind;
    int n_documents;
    int n_vocab, n_context;
    const struct tokenizer *tokenizer; /* NULL: tokens are made up */
    struct dataset_lookup lookup;
};

/* Datasets that are not there are no failure: `is_real` of the result says so. */
status_code workload_create(struct workload **out, const struct workload_options *options,
                            struct status *st) MUST_CHECK;
void workload_free(struct workload *workload);

struct workload_result {
    enum workload_kind kind;
    bool is_real;                /* texts of the dataset, not of the demo samples, not made up */
    int n_documents, n_requests; /* requests: choices, or replies */
    uint64_t asked;              /* tokens that the requests take one by one */
    uint64_t unique;   /* nodes of the tree of all that was run: what has to be computed */
    uint64_t computed; /* by the scheduler */
    double seconds, documents_per_second;
    double one_by_one; /* documents per second */
};

status_code workload_run(const struct workload *workload, const struct engine *engine,
                         struct workload_result *out, struct status *st) MUST_CHECK;

#endif
