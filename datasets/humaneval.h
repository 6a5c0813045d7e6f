/* humaneval.h - the programming problems of HumanEval (Chen et al., 2021, openai/human-eval).
 *
 *   humaneval/HumanEval.jsonl -> humaneval_load() -> problems
 *
 * A line is an object with "task_id", "prompt", "entry_point", "canonical_solution" and "test";
 * prompt + solution is a program that defines the entry point, and test defines check(candidate).
 * There is one split, which the protocols call test.
 */
#ifndef ASSAY_HUMANEVAL_H
#define ASSAY_HUMANEVAL_H

#include "datasets/dataset.h"

struct humaneval_problem {
    struct text task_id; /* "HumanEval/0" */
    struct text prompt;
    struct text entry_point;
    struct text canonical_solution;
    struct text test;
};

/* Reads the file.  The problems are the dataset's.  Errors name the file, the line and the field.
 */
status_code humaneval_load(struct dataset *dataset, const struct humaneval_problem **out,
                           size_t *count, struct status *st) MUST_CHECK;

#endif
