/* mmmlu.h - the questions of MMLU as people translated them into fourteen languages (OpenAI, 2024,
 * huggingface.co/datasets/openai/MMMLU).
 *
 *   mmmlu/mmlu_LOCALE.csv -> mmmlu_load() -> questions
 *
 * The files have a header: a nameless number, Question, A, B, C, D, Answer, Subject.  Columns are
 * found by their names; a byte order mark in front is skipped.  Texts are kept as they are.
 */
#ifndef ASSAY_MMMLU_H
#define ASSAY_MMMLU_H

#include "datasets/mmlu.h"

struct mmmlu_question {
    struct mmlu_question question;
    struct text subject; /* "abstract_algebra" */
};

/* The file of a locale ("AR-XY") below the dataset's folder, in its arena; NULL: out of memory. */
const char *mmmlu_file(struct dataset *dataset, const char *locale);

/* The questions are the dataset's.  Errors name the file, the line and the field. */
status_code mmmlu_load(struct dataset *dataset, const char *locale,
                       const struct mmmlu_question **out, size_t *count,
                       struct status *st) MUST_CHECK;

#endif
