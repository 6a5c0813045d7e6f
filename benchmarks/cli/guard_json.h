/* guard_json.h - what a guard said, as members of a JSON object. */
#ifndef ASSAY_GUARD_JSON_H
#define ASSAY_GUARD_JSON_H

#include "classifiers/safety_pipeline.h"

/* "verdict", "response", and what there is of "category", "probability", "threshold", "classifier",
 * "exempted", "attempts" and "why": appended without braces, the first without a comma. */
void guard_json_append_event(struct strbuf *out, const struct pipeline *pipeline,
                             const struct guard_event *event);

/* Puts one text through a policy: a line with the event, what a user would see of it, and the
 * scores.  `prompt` is what a reply answers; a prompt is judged without it. */
status_code guard_json_append_verdict(struct strbuf *out, const struct pipeline *pipeline,
                                      enum guard_stage stage, struct text prompt, struct text text,
                                      struct status *st) MUST_CHECK;

#endif
