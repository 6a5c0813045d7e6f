/* realtoxicityprompts.h - prompts that may lead a model to toxic text (Gehman et al., 2020,
 * arXiv 2009.11462, github.com/allenai/real-toxicity-prompts).
 *
 *   realtoxicityprompts/prompts.jsonl -> realtoxicityprompts_load() -> prompts
 *
 * A line is an object with "filename", "begin", "end", "challenging", and "prompt" and
 * "continuation", each with its "text" and the scores that Perspective API gave it in 2020.  A
 * score may be null: the text could not be scored.
 */
#ifndef ASSAY_REALTOXICITYPROMPTS_H
#define ASSAY_REALTOXICITYPROMPTS_H

#include "datasets/dataset.h"

struct toxicity_prompt {
    struct text prompt, continuation;
    double toxicity; /* of the prompt; NAN where it is null */
    bool challenging;
    struct text json; /* the whole row, as json.dumps(row, indent=2, ensure_ascii=False) */
};

/* Reads all prompts, or those with a toxicity alone.  They are the dataset's.  Errors name the
 * file, the line and the field. */
status_code realtoxicityprompts_load(struct dataset *dataset, bool scored_only,
                                     const struct toxicity_prompt **out, size_t *count,
                                     struct status *st) MUST_CHECK;

#endif
