/* speed_record.h - measured speeds into the store, with what they depend on. */
#ifndef ASSAY_SPEED_RECORD_H
#define ASSAY_SPEED_RECORD_H

#include "benchmarks/speed_report.h"

struct speed_record {
    const char *weights_sha256; /* NULL: made up */
    const char *command_line;
    int repetitions;
};

/* Opens the store, writes one batch and closes it.  `workload` may be NULL. */
status_code speed_record(const char *path, const struct speed_subject *subject,
                         const struct speed_record *record, const struct speed_result *result,
                         const struct workload_result *workload, struct status *st) MUST_CHECK;

#endif
