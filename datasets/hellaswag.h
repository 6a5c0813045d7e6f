/* hellaswag.h - the sentence endings of HellaSwag (Zellers et al., 2019, rowanz/hellaswag).
 *
 *   hellaswag/hellaswag_{train,val}.jsonl -> hellaswag_load() -> items
 *
 * An official line has "ind", "activity_label", "ctx_a", "ctx_b", "ctx", "split", "split_type",
 * "label", "endings" and "source_id".  The file hellaswag_val_preprocessed.jsonl, read where the
 * official one is not there, has "ind", "activity_label", "ctx", "label" and "endings": ctx_a and
 * ctx_b joined with a space, and bracketed markup removed.
 */
#ifndef ASSAY_HELLASWAG_H
#define ASSAY_HELLASWAG_H

#include "datasets/dataset.h"

#define HELLASWAG_ENDINGS 4

struct hellaswag_item {
    int64_t ind;
    struct text activity_label;
    struct text ctx_a, ctx_b; /* data is NULL in a preprocessed row */
    struct text ctx;
    struct text split, split_type, source_id; /* empty in a preprocessed row */
    struct text endings[HELLASWAG_ENDINGS];
    int label; /* index into endings */
};

/* Reads a split: "train" or "validation".  The items are the dataset's.  Errors name the file, the
 * line and the field. */
status_code hellaswag_load(struct dataset *dataset, const char *split,
                           const struct hellaswag_item **out, size_t *count,
                           struct status *st) MUST_CHECK;

#endif
