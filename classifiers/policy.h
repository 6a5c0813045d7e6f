/* policy.h - a guard's rules, read from JSON: which classifiers, which thresholds, what to do.
 *
 *   "balanced" or a path -> policy_load() -> a policy, immutable and shared -> policy_free()
 *
 * A stage (`input` looks at the prompt, `output` at the reply) asks its steps in order.  A step is
 * one classifier with a band for each category: a probability of at least `high` calls for the
 * stage's action, one below `low` clears the category, and in between the next step that names the
 * category is asked.  In a cascade the steps are as the policy lists them, cheap before expensive;
 * plain thresholds are one step for each classifier, all of which are asked, with low = high.
 *
 * A policy is strict about its own text: a field or category that is not known, a threshold outside
 * [0, 1], or a cascade that could end undecided is an error, since a rule that is silently dropped
 * guards nothing.
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
#define POLICY_MAX_ATTEMPTS    16

struct policy; /* opaque */
struct allow_list;

/* What a stage does with a text that its classifiers object to.  Prompts are logged or refused. */
enum guard_action {
    GUARD_ACTION_LOG,       /* nothing: the event is the action */
    GUARD_ACTION_REDACT,    /* the stretches that did it are replaced in the reply */
    GUARD_ACTION_REFUSE,    /* the refusal is delivered in place of a reply */
    GUARD_ACTION_STOP,      /* the reply ends with what had passed */
    GUARD_ACTION_REGENERATE /* the model is asked again, up to `attempts` times */
};
const char *guard_action_name(enum guard_action action); /* "log", "redact", "refuse", ... */

struct hazard_band {
    double low, high; /* 0 <= low <= high <= 1 */
};

struct policy_step {
    int classifier;        /* index into the policy's classifiers */
    hazard_set categories; /* those with a band */
    struct hazard_band band[HAZARD_COUNT];
};

struct policy_stage {
    bool present; /* false: this stage is not guarded; the rest is 0 */
    bool is_cascade;
    struct policy_step steps[POLICY_MAX_CLASSIFIERS];
    int n_steps;
    hazard_set categories; /* of all steps */
    enum guard_action action;
    int attempts;           /* regenerate only: replies made after the first */
    int check_every_tokens; /* output only: a reply is classified as often as it grew by these */
    double budget_ms;       /* a check that took longer timed out; 0: there is no budget */
    size_t window_bytes;    /* longer texts are judged in windows; 0: as each classifier needs */
    size_t window_overlap_bytes; /* what two windows in a row share; with window_bytes */
};

struct policy_info {
    const char *name;
    int version;
    const char *const *classifiers; /* specs for classifier_open() */
    int n_classifiers;
    struct policy_stage stage[GUARD_STAGES];
    bool blocks_on_error;           /* a classifier that failed calls for the action, too */
    bool blocks_on_timeout;         /* and so does a check that took too long */
    struct text refusal;            /* what is shown in place of a blocked reply */
    struct text redaction;          /* what is shown in place of a redacted stretch */
    const struct allow_list *allow; /* what passes in spite of its scores; NULL: nothing */
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
