/* speed_store.h - measured speeds as rows of the store.
 *
 *   store_begin() -> store_add_speed(), then its rows and workloads -> store_commit()
 *
 * The columns are schema.sql's, which says what each means.
 */
#ifndef ASSAY_SPEED_STORE_H
#define ASSAY_SPEED_STORE_H

#include "reports/results_store.h"

struct store_speed {
    const char *program_version, *program_commit, *compiler, *build_flags, *cpu;
    const char *kernel_set, *compute;
    int threads;
    const char *model, *weights_sha256, *architecture, *quantisation;
    uint64_t n_parameters, matrix_bytes;
    int n_layers;
    const char *peak_compute;
    double peak_operations, read_bandwidth;
    int64_t peak_resident_bytes;
    const char *command_line;
};

struct store_speed_row {
    const char *kind;
    int batch, n_tokens, n_context, repetitions;
    double tokens_per_second, slowest, fastest;
    const char *bound;
    double fraction;
};

struct store_speed_workload {
    const char *kind;
    bool real_texts;
    int n_documents, n_requests;
    double seconds, documents_per_second, one_by_one;
    uint64_t asked, unique, computed;
};

/* Makes the id. */
status_code store_add_speed(struct store *store, const struct store_speed *speed,
                            char id[STORE_RUN_ID_SIZE], struct status *st) MUST_CHECK;
status_code store_add_speed_row(struct store *store, const char *id, int position,
                                const struct store_speed_row *row, struct status *st) MUST_CHECK;
status_code store_add_speed_workload(struct store *store, const char *id,
                                     const struct store_speed_workload *workload,
                                     struct status *st) MUST_CHECK;

#endif
