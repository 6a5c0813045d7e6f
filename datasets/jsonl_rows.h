/* jsonl_rows.h - one JSON Lines file of a dataset to an array of structs.
 *
 *   file + function that reads one row -> jsonl_rows_load() -> rows, in the dataset's arena
 *
 * No row is skipped: a bad one fails with the file, the line and the field.
 */
#ifndef ASSAY_JSONL_ROWS_H
#define ASSAY_JSONL_ROWS_H

#include "datasets/dataset.h"

struct jsonl_row_kind {
    size_t size; /* of the struct */
    /* Fills a zeroed struct; texts that stay go into the arena (jsonl_row_text). */
    status_code (*read)(struct arena *arena, const struct json_value *object, void *row,
                        struct status *st);
};

status_code jsonl_rows_load(struct dataset *dataset, const char *relative,
                            const struct jsonl_row_kind *kind, const void **rows, size_t *count,
                            struct status *st) MUST_CHECK;

/* A text that stays as long as the arena. */
status_code jsonl_row_keep(struct arena *arena, struct text text, struct text *out,
                           struct status *st) MUST_CHECK;

/* json_get_text() into the arena. */
status_code jsonl_row_text(struct arena *arena, const struct json_value *object, const char *key,
                           struct text *out, struct status *st) MUST_CHECK;

#endif
