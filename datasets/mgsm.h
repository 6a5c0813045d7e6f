/* mgsm.h - 250 word problems of GSM8K in eleven languages (Shi et al., 2022,
 * github.com/google-research/url-nlp/tree/main/mgsm).
 *
 *   mgsm/mgsm_LANGUAGE.tsv -> mgsm_load() -> problems
 *
 * The files have no header; a row is a question, a tab and a number, which may have commas between
 * its thousands.
 */
#ifndef ASSAY_MGSM_H
#define ASSAY_MGSM_H

#include "datasets/dataset.h"

struct mgsm_problem {
    struct text question;
    struct text answer; /* a whole number, without commas */
};

/* The file of a language below the dataset's folder, in its arena; NULL: out of memory. */
const char *mgsm_file(struct dataset *dataset, const char *language);

/* The problems are the dataset's.  Errors name the file, the line and the field. */
status_code mgsm_load(struct dataset *dataset, const char *language,
                      const struct mgsm_problem **out, size_t *count, struct status *st) MUST_CHECK;

#endif
