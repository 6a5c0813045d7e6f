/* policy_stage.h - one stage of a policy, between JSON and struct policy_stage.
 *
 *   {"thresholds" or "cascade", "action", ...} -> policy_stage_read() -> struct policy_stage
 *                                                 policy_stage_append() -> canonical JSON
 *
 * Used by policy.c only.
 */
#ifndef ASSAY_POLICY_STAGE_H
#define ASSAY_POLICY_STAGE_H

#include "classifiers/policy.h"
#include "engine/base/json.h"

/* `which` decides which actions and fields there are.  Errors name the field, not the stage. */
status_code policy_stage_read(const struct json_value *object, enum guard_stage which,
                              const struct policy_info *info, struct policy_stage *out,
                              struct status *st) MUST_CHECK;

/* Appends the stage as one object: every field that bears on it, in a fixed order. */
void policy_stage_append(const struct policy_stage *stage, enum guard_stage which,
                         const struct policy_info *info, struct strbuf *out);

#endif
