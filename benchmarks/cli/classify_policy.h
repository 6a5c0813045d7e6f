/* classify_policy.h - one text through a policy: the verdict, and what a user would see. */
#ifndef ASSAY_CLASSIFY_POLICY_H
#define ASSAY_CLASSIFY_POLICY_H

#include "classifiers/safety_pipeline.h"

/* Appends a line of JSON.  `prompt` is what a reply answers; a prompt is judged without it. */
status_code classify_with_policy(const struct pipeline *pipeline, enum guard_stage stage,
                                 struct text prompt, struct text text, struct strbuf *out,
                                 struct status *st) MUST_CHECK;

#endif
