/* safety_prompts.h - prompts that a model should answer, or should refuse to answer.
 *
 *   xstest/xstest_prompts.csv        -> xstest_load()            -> prompts, safe and unsafe
 *   safety/simplesafetytests.csv     -> simplesafetytests_load() -> prompts, all unsafe
 *
 * XSTest (Roettger et al., 2023, github.com/paul-rottger/exaggerated-safety) has the columns id,
 * prompt, type, label, focus, note; SimpleSafetyTests (Vidgen et al., 2023,
 * github.com/bertiev/SimpleSafetyTests) id, harm_area, counter, category, prompts_final.  Columns
 * are found by their names; others are ignored.
 */
#ifndef ASSAY_SAFETY_PROMPTS_H
#define ASSAY_SAFETY_PROMPTS_H

#include "datasets/dataset.h"

struct safety_prompt {
    struct text id, prompt;
    struct text type; /* XSTest's type, or the harm area */
    bool safe;        /* it should be answered */
};

/* The prompts are the dataset's.  Errors name the file, the line and the field. */
status_code xstest_load(struct dataset *dataset, const struct safety_prompt **out, size_t *count,
                        struct status *st) MUST_CHECK;
status_code simplesafetytests_load(struct dataset *dataset, const struct safety_prompt **out,
                                   size_t *count, struct status *st) MUST_CHECK;

#endif
