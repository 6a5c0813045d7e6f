/* run_place.h - runs that words name: of the common store, or of another one as FILE:RUN.
 *
 *   run_place_open_common() -> run_place_open() for each word -> run_place_close()
 *   named_runs_open() -> the ids of runs of one store
 *
 * A run's id holds no colon.  The common store belongs to the caller, another one to its place.
 */
#ifndef ASSAY_RUN_PLACE_H
#define ASSAY_RUN_PLACE_H

#include "benchmarks/cli/options.h"
#include "reports/results_store.h"

struct run_place {
    struct store *store;
    bool owns_store;
    char id[STORE_RUN_ID_SIZE];
};

/* The store that both words refer to; *out stays NULL where each names its own. */
status_code run_place_open_common(struct store **out, const char *path, const char *a,
                                  const char *b, struct status *st) MUST_CHECK;

status_code run_place_open(struct run_place *out, struct store *common, const char *name,
                           struct status *st) MUST_CHECK;

/* Legal on {0}. */
void run_place_close(struct run_place *place);

#define MAX_NAMED_RUNS 64

/* The runs that the words name, or the newest one. */
struct named_runs {
    char id[MAX_NAMED_RUNS][STORE_RUN_ID_SIZE];
    const char *list[MAX_NAMED_RUNS];
    size_t n;
};

/* Opens the store for reading, which the caller frees, and finds the runs. */
status_code named_runs_open(struct named_runs *out, struct store **store, const char *path,
                            const struct command_line *words, struct status *st) MUST_CHECK;

#endif
