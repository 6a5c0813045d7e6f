/* policy.h - a guard's rules, read from JSON: which classifiers, which thresholds, what to do.
 *
 *   "balanced" or a path -> policy_load() -> a policy, immutable and shared -> policy_free()
 *
 * A stage (`input` looks at the prompt, `output` at the reply) blocks a text when any classifier
 * gives any category of its thresholds a probability of at least that category's threshold.  A
 * policy is strict about its own text: a field or category that is not known, or a threshold
 * outside [0, 1], is an error, since a rule that is silently dropped guards nothing.
 *
 *   struct policy *policy;
 *   if (policy_load(&policy, "balanced", st) != STATUS_OK) ...
 *   const struct policy_info *rules = policy_get_info(policy);
 *   if (rules->stage[GUARD_INPUT].present) ...
 *   policy_free(policy);
 *
 * The format, and what the presets are for, is in classifiers/README.md.
 */
#ifndef ASSAY_POLICY_H
#define ASSAY_POLICY_H

#include "classifiers/taxonomy.h"
#include "engine/base/sha256.h"
#include "engine/base/status.h"
#include "engine/base/text.h"
#include "engine/base/words.h"

#define POLICY_MAX_CLASSIFIERS 16

struct policy; /* opaque */

enum guard_action { GUARD_ACTION_BLOCK }; /* the refusal is delivered in place of a reply */

const char *guard_action_name(enum guard_action action); /* "block" */

struct policy_stage {
    bool present;          /* false: this stage is not guarded; the rest is 0 */
    hazard_set categories; /* those with a threshold */
    double threshold[HAZARD_COUNT];
    enum guard_action action;
    int check_every_tokens; /* output only: a reply is classified each time it grew by as many */
};

struct policy_info {
    const char *name;
    int version;
    const char *const *classifiers; /* specs for classifier_open() */
    int n_classifiers;
    struct policy_stage stage[GUARD_STAGES];
    bool blocks_on_error; /* a classifier that failed counts as a block, not as a pass */
    struct text refusal;  /* what is shown in place of a blocked reply */
    /* The policy as one line of JSON: every field, defaults too, in a fixed order.  Two files that
     * differ only in layout have the same canonical text. */
    struct text canonical;
    char sha256[SHA256_HEX_SIZE]; /* of the canonical text */
};

/* A preset by its name (policy_presets()), else a file.  Errors name the file and the field. */
status_code policy_load(struct policy **out, const char *name_or_path,
                        struct status *st) MUST_CHECK;

/* The same from text at hand; `source` takes the place of the file's name in errors. */
status_code policy_parse(struct policy **out, struct text json, const char *source,
                         struct status *st) MUST_CHECK;
void policy_free(struct policy *policy);

/* What the policy says; lives as long as the policy. */
const struct policy_info *policy_get_info(const struct policy *policy);

/* The names of the policies inside the program. */
const char *const *policy_presets(size_t *n);

#endif
