/* report_lm_eval.h - what the two halves of report_lm_eval() share; nothing outside includes it.
 *
 * Names and shapes are those of lm-evaluation-harness: result_schema.py for what is in the files,
 * loggers/evaluation_tracker.py for what they are called (commit 4e7e0d4).
 */
#ifndef ASSAY_REPORT_LM_EVAL_H
#define ASSAY_REPORT_LM_EVAL_H

#include "reports/scores.h"

struct lm_eval_run {
    struct store *store;
    struct score_table *table; /* with the run's provenance */
    struct store_task *tasks;
    size_t n_tasks;
    char (*hashes)[SHA256_HEX_SIZE]; /* (n_tasks) of all samples of a task; "" where not known */
    const char *model_name;
    const char *folder; /* the model's name as part of a path */
    char date[40];      /* when the run began, as part of a file's name */
    struct arena arena; /* holds the texts above */
};

/* A name as it may stand in a path: what systems forbid there becomes "__". */
const char *lm_eval_file_name(struct arena *arena, const char *name);

/* A number as Python writes a float, 1.0 for 1, for what reads types off it; NAN is null. */
void lm_eval_append_float(struct strbuf *out, double number);

/* The whole results file. */
status_code lm_eval_append_results(const struct lm_eval_run *run, struct strbuf *out,
                                   struct status *st) MUST_CHECK;

#endif
