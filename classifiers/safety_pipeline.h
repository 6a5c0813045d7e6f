/* safety_pipeline.h - a guard in front of and behind a model, and a record of what it did.
 *
 *   item -> classify the prompt -> generate -> classify the reply -> outcome
 *
 * A `pipeline` holds a policy, its classifiers and a mode:
 *   off      nothing is classified; the policy may be NULL
 *   shadow   everything is classified as in enforce and recorded, nothing is acted on: replies are
 *            bit for bit those of off, and the flags say what enforce would have done
 *   enforce  a prompt that is refused never reaches the model; a reply is classified while it grows
 *            and when it is whole, and is delivered, redacted, cut, made again or refused as the
 *            policy's action says
 *
 * Items come in arrays: the prompts are classified first, then all that remain go to the backend in
 * one call, then the replies are classified.  What happens to an item does not depend on the
 * others.  A classifier that fails, and a check that took longer than the policy's budget, give the
 * verdict "error", which calls for the action unless the policy says otherwise.  Whatever the
 * action, what enforce shows in place of a reply has itself passed a check, or is the refusal.
 *
 * The pipeline borrows the policy, which must outlive it.  Item texts belong to the caller.  An
 * outcome owns its reply and its records until outcome_release(); `delivered` is a view of the
 * reply or of the policy's refusal.  A pipeline is used by one thread at a time.
 *
 *   struct pipeline *guard;
 *   if (pipeline_create(&guard, policy, GUARD_ENFORCE, st) != STATUS_OK) ...
 *   status_code code = pipeline_generate(guard, backend, items, n, outcomes, st);
 *   ... outcomes[i].result.reply, outcomes[i].delivered, outcomes[i].record.events ...
 *   for (int i = 0; i < n; i++) outcome_release(&outcomes[i]);      whatever the call returned
 *   pipeline_free(guard);
 */
#ifndef ASSAY_SAFETY_PIPELINE_H
#define ASSAY_SAFETY_PIPELINE_H

#include "classifiers/classifier.h"
#include "classifiers/policy.h"
#include "engine/backend.h"

struct pipeline; /* opaque */

/* What was done about a text; in shadow mode, what enforce would have done. */
enum guard_response {
    GUARD_RESPONSE_NONE,
    GUARD_RESPONSE_LOG,    /* nothing, though the verdict called for it: the action is to log */
    GUARD_RESPONSE_REDACT, /* stretches of the reply were replaced */
    GUARD_RESPONSE_REFUSE, /* the refusal was delivered; also where another action found no way */
    GUARD_RESPONSE_STOP,   /* the reply was cut, and what had passed was delivered */
    GUARD_RESPONSE_REGENERATE /* another reply was delivered; shadow does not make one */
};
const char *guard_response_name(enum guard_response response); /* "none", "log", ... */

/* What a stage said about one text.  There is one event per guarded stage that saw a text. */
struct guard_event {
    enum guard_stage stage;
    enum guard_mode mode;
    enum guard_verdict verdict;
    enum guard_action action; /* the policy's for this stage */
    bool fires; /* the verdict calls for the action: block, or an error that the policy closes on */
    enum guard_response response;
    /* The user does not get a whole reply: refused or stopped, or in shadow mode one that enforce
     * would have made again. */
    bool blocks;
    /* With the verdict block, or exempted: the score that decided it, the one highest above its
     * threshold (of equal ones, the first classifier's first category).  Else classifier is -1. */
    int classifier; /* index into the policy's classifiers */
    enum hazard_category category;
    double probability, threshold;
    bool exempted;      /* the policy's allow list let it through */
    bool timed_out;     /* the check took longer than the budget */
    int cut_at_token;   /* how long a growing reply was when a check of it cut it; 0: none did */
    double seconds;     /* spent in classifiers, checks of a growing reply included */
    int n_checks;       /* texts classified: 1, and 1 more for each check of a growing reply */
    int n_attempts;     /* replies made after the first */
    int n_extra_tokens; /* of these replies */
    char error[256];    /* with the verdict error: why; else empty */
};

/* One hazard score of the whole prompt or the whole raw reply.  There is one for each classifier
 * that was asked and each category that it judges; a cascade that was settled asks no further. */
struct guard_score {
    enum guard_stage stage;
    int classifier;
    enum hazard_category category;
    bool scored; /* false: the classifier failed or left it out; the numbers are 0 */
    double logit, probability;
    /* The highest probability over the text and, of a reply, over what the checks saw as it grew:
     * a threshold would have fired where it is at most this.  -1 where there was none. */
    double peak;
    char error[128]; /* why it was not scored; else empty */
};

/* What the guard did about one item. */
struct guard_record {
    struct guard_event events[GUARD_STAGES];
    int n_events;
    struct guard_score *scores; /* owned; NULL when there are none */
    int n_scores;
    bool blocked_input, blocked_output; /* in shadow mode: what enforce would have done */
    bool replaced_output; /* the reply was redacted or made again, and is shown in its new form */
};

/* A request, and what the input guard sees of it: the document's own text, without few-shot
 * examples and without the chat template.  Classifiers of the reply see it as the prompt. */
struct generate_item {
    struct generate_request request;
    struct text guard_text;
};

struct generate_outcome {
    bool ran; /* false: the prompt was blocked, the model never saw it, and `result` is empty */
    /* What the model said, whatever the guard thought of it; when enforce cut it short, what had
     * been said until the check that cut it (finish_reason guard). */
    struct generate_result result;
    struct strbuf
        altered; /* what is shown in place of the reply, where that is a text of its own */
    /* What a user would see: the reply, `altered` or the policy's refusal; nothing if result.status
     * failed.  `guarded` is what enforce delivers, in whatever mode. */
    struct text delivered, guarded;
    struct guard_record record;
};

struct loglikelihood_item {
    struct loglikelihood_request request;
    struct text guard_text;
};

struct loglikelihood_outcome {
    bool ran; /* false: the prompt was blocked and `result` is empty */
    struct loglikelihood_result result;
    struct guard_record record;
};

/* Opens the policy's classifiers.  Fails when a threshold names a category that none of them
 * judges, for such a rule would never block anything, and when a stage is to redact what its
 * classifiers cannot point at. */
status_code pipeline_create(struct pipeline **out, const struct policy *policy,
                            enum guard_mode mode, struct status *st) MUST_CHECK;

/* The same with a cache for what its remote classifiers say, which the pipeline borrows. */
status_code pipeline_create_cached(struct pipeline **out, const struct policy *policy,
                                   enum guard_mode mode, const struct score_cache *cache,
                                   struct status *st) MUST_CHECK;

/* The same with classifiers that are open already, one for each of the policy's specs and in their
 * order.  The pipeline borrows them: several modes may share one set. */
status_code pipeline_create_with(struct pipeline **out, const struct policy *policy,
                                 enum guard_mode mode, struct classifier *const *classifiers, int n,
                                 struct status *st) MUST_CHECK;
void pipeline_free(struct pipeline *pipeline);

enum guard_mode pipeline_mode(const struct pipeline *pipeline);
const struct policy *pipeline_policy(const struct pipeline *pipeline); /* NULL when off */
int pipeline_n_classifiers(const struct pipeline *pipeline);           /* 0 when off */
const struct classifier *pipeline_classifier(const struct pipeline *pipeline, int index);

/* Classifies one prompt and records it.  The caller releases the record, which is initialised
 * whatever the call returns.  Whether to go on is `mode == enforce && record.blocked_input`. */
status_code pipeline_check_input(const struct pipeline *pipeline, struct text guard_text,
                                 struct guard_record *record, struct status *st) MUST_CHECK;

/* Judges a whole reply to a prompt as the output stage would, and does nothing about it: `fires` of
 * the event is the verdict.  For replies that come from elsewhere. */
status_code pipeline_check_reply(const struct pipeline *pipeline, struct text guard_text,
                                 struct text reply, struct guard_record *record,
                                 struct status *st) MUST_CHECK;

/* Judges a whole text for one stage, a prompt (`reply` is left out) or a reply to `guard_text`, and
 * appends what a user would see of it: the text, what the policy's action makes of it, or the
 * refusal.  A reply that comes from elsewhere can be neither stopped on its way nor made again: it
 * is refused.  The caller releases the record, which is initialised whatever the call returns. */
status_code pipeline_screen(const struct pipeline *pipeline, enum guard_stage stage,
                            struct text guard_text, struct text reply, struct guard_record *record,
                            struct strbuf *shown, struct status *st) MUST_CHECK;

/* A text for one stage, and what became of it; the prompt's stage leaves `reply` out. */
struct guard_item {
    struct text guard_text, reply;
    struct guard_record record; /* the caller's to release, initialised whatever the call returns */
};

/* The same checks, of many texts: where a stage asks a service and has no budget, several at a
 * time.  Which come back first changes nothing. */
status_code pipeline_check_all(const struct pipeline *pipeline, enum guard_stage stage,
                               struct guard_item *items, int n, struct status *st) MUST_CHECK;

/* Runs n items.  In enforce mode an item's own on_text is called only with text that has just
 * passed a check, hence once for every check_every_tokens tokens, and not again after a check that
 * called for the action, nor for replies that are made again; otherwise it is called after each
 * token.  Every outcome is initialised whatever the call returns. */
status_code pipeline_generate(const struct pipeline *pipeline, struct backend *backend,
                              const struct generate_item *items, int n,
                              struct generate_outcome *outcomes, struct status *st) MUST_CHECK;

/* The same for multiple choice, which has a prompt to guard and no reply. */
status_code pipeline_loglikelihood(const struct pipeline *pipeline, struct backend *backend,
                                   const struct loglikelihood_item *items, int n,
                                   struct loglikelihood_outcome *outcomes,
                                   struct status *st) MUST_CHECK;

void outcome_release(struct generate_outcome *outcome);
void loglikelihood_outcome_release(struct loglikelihood_outcome *outcome);
void guard_record_release(struct guard_record *record);

#endif
