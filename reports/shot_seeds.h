/* shot_seeds.h - what drawing a task's examples with several seeds says: mean, error, spread.
 *
 *   store, run id -> shot_seeds_load() -> rows, one for each metric of each task or group
 *
 * Documents are the unit, as everywhere: one counts with its values under all seeds, and only where
 * it has one under each.  Inside the reports folder only.
 */
#ifndef ASSAY_SHOT_SEEDS_H
#define ASSAY_SHOT_SEEDS_H

#include "reports/results_store.h"
#include "reports/statistics.h"

struct shot_seeds_row {
    const char *name, *metric, *extraction; /* of the task or group; the arena's */
    int64_t n_seeds, n_docs;
    struct drawings score;
};

/* Rows by name, metric and extraction; none where no shots were drawn several times. */
status_code shot_seeds_load(struct store *store, const char *run, struct arena *arena,
                            struct shot_seeds_row **out, size_t *n, struct status *st) MUST_CHECK;

#endif
