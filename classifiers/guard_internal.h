/* guard_internal.h - what the files of the safety pipeline share; nobody else includes it.
 *
 *   text -> guard_check_run() -> an event and the scores behind it          (guard_check.c)
 *   growing reply -> guard_stream_on_text() -> go on or stop                (guard_stream.c)
 *   event that fires -> guard_respond() -> what is shown instead            (guard_response.c)
 */
#ifndef ASSAY_GUARD_INTERNAL_H
#define ASSAY_GUARD_INTERNAL_H

#include "classifiers/safety_pipeline.h"

struct pipeline {
    const struct policy_info *rules; /* NULL when off */
    const struct policy *policy;
    enum guard_mode mode;
    struct classifier *classifiers[POLICY_MAX_CLASSIFIERS];
    int n_classifiers;
    bool owns_classifiers;
};

/* ---- one check of one text ---- */

/* What a check found: the event, and each classifier's scores or why it has none. */
struct guard_check {
    struct guard_event event;
    bool asked[POLICY_MAX_CLASSIFIERS]; /* a cascade that was settled asked no further */
    struct hazard_scores scores[POLICY_MAX_CLASSIFIERS];
    struct status status[POLICY_MAX_CLASSIFIERS];
    hazard_set fired[POLICY_MAX_CLASSIFIERS]; /* categories at or above their threshold */
};

/* What a check is of.  The caller sets what stands first; the check is the caller's storage. */
struct guard_subject {
    struct text prompt, text;
    struct classifier_growth **growth; /* (POLICY_MAX_CLASSIFIERS), or NULL; see below */
    struct guard_check *check;
    double start;    /* when its budget began */
    hazard_set open; /* what a cascade has not cleared */
};

/* Fills all but the event's response. */
void guard_check_run(const struct pipeline *pipeline, enum guard_stage stage, struct text prompt,
                     struct text text, struct guard_check *check);

/* The same of a reply that grows: `growth` (POLICY_MAX_CLASSIFIERS), NULLs at first, is what the
 * classifiers keep of it from one check to the next. */
void guard_check_growing(const struct pipeline *pipeline, struct text prompt, struct text reply,
                         struct classifier_growth **growth, struct guard_check *check);

/* The same checks, of n texts.  Where the stage asks a service it asks several things at a time,
 * step by step, unless the stage has a budget; verdicts and scores are those of one check after
 * another. */
status_code guard_check_run_all(const struct pipeline *pipeline, enum guard_stage stage,
                                struct guard_subject *subjects, int n,
                                struct status *st) MUST_CHECK;

/* A walk over the windows of a text: one window, the text, where no limit makes it shorter. */
struct guard_windows {
    struct text text;
    size_t bytes, overlap; /* of a window; bytes 0: no limit */
    size_t next;           /* where the next one starts */
    bool done;
};
struct guard_windows guard_windows_start(const struct pipeline *pipeline, enum guard_stage stage,
                                         int classifier, struct text text);
bool guard_windows_next(struct guard_windows *windows, struct text *window);

/* ---- a reply while it grows ---- */

/* What stands between the backend and one item's on_text where replies are guarded.  It counts that
 * item's tokens alone, so that where a reply is cut does not depend on what else is in the batch.
 */
struct stream_guard {
    const struct pipeline *pipeline;
    const struct generate_item *item;
    int n_tokens, n_checks;
    double seconds;
    size_t n_passed; /* bytes of the reply that passed the last check before one fired */
    bool has_fired;
    struct guard_event fired;                          /* of the first check that did */
    double peak[POLICY_MAX_CLASSIFIERS][HAZARD_COUNT]; /* over all checks; -1: never scored */
    struct classifier_growth *growth[POLICY_MAX_CLASSIFIERS]; /* owned */
};

void guard_stream_init(struct stream_guard *stream, const struct pipeline *pipeline,
                       const struct generate_item *item);
void guard_stream_release(struct stream_guard *stream);

/* backend.h's on_text; `user` is the stream. */
bool guard_stream_on_text(void *user, struct text reply);

/* The check that a finished reply needs, into *check; when it has run, guard_stream_finish() makes
 * it the stream's: a check that cut the reply as it grew keeps its verdict. */
struct guard_subject guard_stream_subject(struct stream_guard *stream, struct text reply,
                                          struct guard_check *check);
void guard_stream_finish(struct stream_guard *stream, struct guard_check *check);

/* ---- what is done about it ---- */

/* What an event that fires makes of a reply.  Appends to *altered where something else is shown,
 * unless that is the refusal.  REGENERATE is left to the caller, who can ask the model. */
status_code guard_respond(const struct stream_guard *stream, struct text reply,
                          struct guard_check *check, struct strbuf *altered,
                          struct status *st) MUST_CHECK;

#endif
