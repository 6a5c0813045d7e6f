/* guard_eval.h - how good a classifier or a policy is on labelled text.
 *
 *   file of labelled text + classifier -> guard_eval_run() -> scores of every row -> figures
 *
 * The rows are read and scored once; figures are derived from them.  A row that could not be scored
 * is counted and left out, never taken for a low score.  A part of the rows, chosen by their text
 * alone, is the dev split: thresholds are fixed there and judged on the rest.
 *
 *   struct guard_eval *eval;
 *   if (guard_eval_run(&eval, &request, st) != STATUS_OK) ...
 *   for (int i = 0; i < guard_eval_n_labels(eval); i++) {
 *       struct guard_figures f;
 *       guard_eval_figures(eval, i, &f);
 *   }
 *   guard_eval_free(eval);
 */
#ifndef ASSAY_GUARD_EVAL_H
#define ASSAY_GUARD_EVAL_H

#include "classifiers/classifier.h"
#include "classifiers/safety_pipeline.h"
#include "reports/ranking.h"

#define GUARD_EVAL_MAX_LABELS 16
#define GUARD_EVAL_MAX_WORDS  256
#define GUARD_EVAL_MAX_OTHERS 4

struct guard_eval; /* opaque; owns the scores */

struct guard_eval_request {
    const struct classifier *classifier; /* or NULL with a pipeline */
    const struct pipeline *pipeline;     /* a policy: its call for an action scores 1, else 0 */
    enum guard_stage stage;              /* of the policy */
    /* Classifiers whose scores the first one's are held against; none fails the evaluation. */
    const struct classifier *others[GUARD_EVAL_MAX_OTHERS];
    int n_others;
    const char *data; /* CSV, TSV or JSON lines */
    const char *text_column;
    const char *prompt_column; /* what the text answers; NULL: nothing */
    /* "CATEGORY=COLUMN,...".  The category "any" is the highest score of all categories, and the
     * only one with a pipeline.  NULL: the columns that are named as hazard categories are. */
    const char *labels;
    const char *positive; /* cells with this text are positive, others negative; NULL: numbers */
    const char *group_column; /* NULL: no groups by column */
    const char *group_words;  /* "gay,muslim,...": texts with the word; NULL: none */
    double dev_share;
};

struct guard_figures {
    const char *label; /* "toxicity", "any" */
    size_t n, n_positive;
    double auroc, auprc;
    double threshold;               /* best F1 on the dev split */
    struct rank_rates at_threshold; /* on the rest */
    double best_f1;                 /* on the rest, at the threshold that is best there */
    struct rank_rates at_half;      /* on all, at 0.5 */
    double fpr_at_80, fpr_at_95;    /* false positive rate at true positive rates of 0.8, 0.95 */
    double ece;
    struct rank_bin bins[RANK_BINS];
    double pearson, spearman; /* with the labels as numbers */
};

/* Of the rows of a group against the rest (Borkan et al. 2019): within the group; the group's
 * negatives with others' positives; the group's positives with others' negatives. */
struct guard_group {
    const char *name;
    size_t n, n_positive;
    double auroc, bpsn_auroc, bnsp_auroc;
    double false_positive_rate, true_positive_rate; /* at 0.5 */
};

/* How far two classifiers say the same of the texts that both scored. */
struct guard_agreement {
    const char *label;
    int first, second; /* 0 is the one under evaluation, 1 and up the others in their order */
    size_t n;
    double pearson, spearman;
    double auroc; /* of the first's scores, where the second's of 0.5 and above are the positives */
    double same;  /* share of texts on whose side of 0.5 they agree */
};

status_code guard_eval_run(struct guard_eval **out, const struct guard_eval_request *request,
                           struct status *st) MUST_CHECK;
void guard_eval_free(struct guard_eval *eval);

size_t guard_eval_n_rows(const struct guard_eval *eval);
size_t guard_eval_n_failed(const struct guard_eval *eval);
const char *guard_eval_failure(const struct guard_eval *eval); /* the first, or "" */
const char *guard_eval_sha256(const struct guard_eval *eval);  /* of the data file */

/* Seconds for one text, at a share of all texts. */
double guard_eval_latency(const struct guard_eval *eval, double share);

int guard_eval_n_labels(const struct guard_eval *eval);
status_code guard_eval_figures(const struct guard_eval *eval, int label, struct guard_figures *out,
                               struct status *st) MUST_CHECK;

/* Each pair of classifiers for each label; 0 where there are no others. */
int guard_eval_n_agreements(const struct guard_eval *eval);
status_code guard_eval_agreement(const struct guard_eval *eval, int index,
                                 struct guard_agreement *out, struct status *st) MUST_CHECK;

int guard_eval_n_groups(const struct guard_eval *eval);
status_code guard_eval_group(const struct guard_eval *eval, int label, int group,
                             struct guard_group *out, struct status *st) MUST_CHECK;

#endif
