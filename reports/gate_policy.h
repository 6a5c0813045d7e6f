/* gate_policy.h - a policy file, read; only the gate looks inside. */
#ifndef ASSAY_GATE_POLICY_H
#define ASSAY_GATE_POLICY_H

#include "reports/gate.h"

/* What the policy says about one task or group. */
struct gate_rule {
    const char *name;
    double margin;
    const char *metric, *extraction; /* NULL: the headline; any */
};

struct gate_policy {
    double margin, alpha, coverage_floor;
    double alert_improvement; /* a gain of this much is reported as suspicious */
    enum score_choice column;
    struct gate_rule *rules;
    size_t n_rules;
    struct arena arena; /* holds the above */
};

#endif
