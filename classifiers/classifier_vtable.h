/* classifier_vtable.h - for those who implement a classifier; those who use one read classifier.h.
 *
 * An implementation puts `struct classifier` first in its own struct, fills it in its open function
 * and adds a row to the table of kinds in classifier.c.  Nothing may change after opening, so that
 * threads may share it; an implementation that needs scratch per call takes it per call.
 */
#ifndef ASSAY_CLASSIFIER_VTABLE_H
#define ASSAY_CLASSIFIER_VTABLE_H

#include "classifiers/classifier.h"

struct classifier_vtable {
    /* Scores every category of `categories`; *out comes cleared.  Fails rather than guess. */
    status_code (*score)(const struct classifier *classifier, struct text prompt, struct text text,
                         struct hazard_scores *out, struct status *st);
    /* The same, given up with STATUS_TIMEOUT after so many seconds (over 0).  NULL where scoring
     * takes microseconds and cannot hang. */
    status_code (*score_within)(const struct classifier *classifier, struct text prompt,
                                struct text text, double seconds, struct hazard_scores *out,
                                struct status *st);
    /* All of many texts whose status is OK, each as `score` does; NULL where one after the other is
     * as good. */
    void (*score_all)(const struct classifier *classifier, struct classifier_item *items, size_t n);
    /* A text that grows; both NULL where scoring it again is scoring it anew.  A growth begins with
     * `struct classifier_growth`, owns nothing and is freed by free(). */
    status_code (*growth_create)(struct classifier_growth **out,
                                 const struct classifier *classifier, struct status *st);
    void (*growth_score)(struct classifier_growth *growth, struct text text,
                         struct hazard_scores *out);
    /* NULL when the classifier cannot say which words did it. */
    status_code (*explain)(const struct classifier *classifier, struct text prompt,
                           struct text text,
                           void (*on_span)(void *user, const struct hazard_span *span), void *user,
                           struct status *st);
    /* True when it learned from the file with this digest; NULL: it does not know. */
    bool (*trained_on)(const struct classifier *classifier, const char *sha256);
    void (*free)(struct classifier *classifier);
};

struct classifier_growth {
    const struct classifier *classifier;
};

struct classifier {
    const struct classifier_vtable *vtable;
    char id[CLASSIFIER_ID_SIZE];
    char sha256[SHA256_HEX_SIZE];
    hazard_set categories;
    size_t window_bytes; /* longer texts come in windows; 0: it takes any length */
    int parallel;        /* texts worth scoring at a time; 0 is 1 */
};

/* lexicon_classifier.c; `argument` is a path, or NULL for the built-in word list. */
status_code lexicon_classifier_open(struct classifier **out, const char *argument,
                                    struct status *st) MUST_CHECK;

/* guard_model_classifier.c; `argument` is DEFINITION=MODEL. */
status_code guard_model_classifier_open(struct classifier **out, const char *argument,
                                        struct status *st) MUST_CHECK;

/* encoder_classifier.c; `argument` is a model with a classification head. */
status_code encoder_classifier_open(struct classifier **out, const char *argument,
                                    struct status *st) MUST_CHECK;

/* probe_classifier.c; `argument` is FILE=MODEL. */
status_code probe_classifier_open(struct classifier **out, const char *argument,
                                  struct status *st) MUST_CHECK;

/* linear_classifier.c: the model inside the program, which takes no argument; a model's file. */
status_code builtin_classifier_open(struct classifier **out, const char *argument,
                                    struct status *st) MUST_CHECK;
status_code linear_classifier_open(struct classifier **out, const char *argument,
                                   struct status *st) MUST_CHECK;

#endif
