/* speed_report.h - measured speeds as a table for people, and as JSON. */
#ifndef ASSAY_SPEED_REPORT_H
#define ASSAY_SPEED_REPORT_H

#include "benchmarks/speed.h"
#include "benchmarks/speed_workload.h"
#include "engine/base/strbuf.h"

/* What was measured, and how: beside the engine's own words. */
struct speed_subject {
    const struct engine_info *engine;
    const char *title; /* the model's path, or what was made up */
};

/* `workload` may be NULL. */
void speed_append_text(struct strbuf *out, const struct speed_subject *subject,
                       const struct speed_result *result, const struct workload_result *workload);

/* One object on one line. */
void speed_append_json(struct strbuf *out, const struct speed_subject *subject,
                       const struct speed_result *result, const struct workload_result *workload);

#endif
