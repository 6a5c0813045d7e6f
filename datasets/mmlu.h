/* mmlu.h - the questions of MMLU (Hendrycks et al., 2021, github.com/hendrycks/test).
 *
 *   mmlu/{dev,test}/SUBJECT_{dev,test}.csv -> mmlu_load() -> questions
 *
 * The files have no header; a row is question, four choices, and the letter of the right one.
 * Texts are kept as they are: a protocol strips what it wants stripped.
 */
#ifndef ASSAY_MMLU_H
#define ASSAY_MMLU_H

#include "datasets/dataset.h"

#define MMLU_CHOICES 4

struct mmlu_question {
    struct text question;
    struct text choices[MMLU_CHOICES];
    int answer; /* index into choices */
};

/* The file of one subject below the dataset's folder, in its arena; NULL: out of memory. */
const char *mmlu_file(struct dataset *dataset, const char *subject, const char *split);

/* Reads one subject's split.  The questions are the dataset's.  Errors name file, line, field. */
status_code mmlu_load(struct dataset *dataset, const char *subject, const char *split,
                      const struct mmlu_question **out, size_t *count,
                      struct status *st) MUST_CHECK;

#endif
