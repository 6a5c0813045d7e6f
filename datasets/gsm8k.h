/* gsm8k.h - the word problems of GSM8K (Cobbe et al., 2021, github.com/openai/grade-school-math).
 *
 *   gsm8k/{train,test}.jsonl -> gsm8k_load() -> problems
 *
 * A line is an object with "question" and "answer"; the answer is the worked solution, whose last
 * line is "#### " and the number.  Other members are ignored.
 */
#ifndef ASSAY_GSM8K_H
#define ASSAY_GSM8K_H

#include "datasets/dataset.h"

struct gsm8k_problem {
    struct text question;
    struct text answer;
};

/* Reads a split.  The problems are the dataset's.  Errors name the file, the line and the field. */
status_code gsm8k_load(struct dataset *dataset, const char *split, const struct gsm8k_problem **out,
                       size_t *count, struct status *st) MUST_CHECK;

#endif
