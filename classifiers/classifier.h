/* classifier.h - is this text harmful, and in which way?
 *
 *   text (and the prompt it answers) -> classifier_score() -> a hazard score for each category
 *
 * A `classifier` is opened from a spec, "KIND" or "KIND:ARGUMENT".  It is immutable afterwards and
 * may be shared by threads.  A hazard score is a probability and the logit it came from; a category
 * that the classifier does not judge is not scored, which is not the same as 0.  A classifier that
 * cannot decide (text too long, no memory, a model that failed) returns a status: it never answers
 * "safe" for want of an answer.  One that runs a model does so in a process of its own, so that a
 * crash is a failure of one text (classifier_host.h).
 *
 *   struct classifier *c;
 *   struct hazard_scores scores;
 *   if (classifier_open(&c, "lexicon", st) != STATUS_OK) ...
 *   if (classifier_score(c, prompt, text, &scores, st) != STATUS_OK) ...
 *   if (scores.of[HAZARD_THREAT].scored) ... scores.of[HAZARD_THREAT].probability
 *   classifier_free(c);
 *
 * Specs:
 *   builtin            the linear model inside the program (classifiers/models/builtin.md)
 *   linear:FILE        a linear model that `assay train` wrote
 *   lexicon            the small English word list inside the program
 *   lexicon:FILE.json  a word list of that format (classifiers/README.md)
 *   encoder:MODEL      an encoder with a classification head; MODEL#LABEL_1=toxicity where its
 *                      labels have no names
 *   guard:NAME=MODEL    a guard model that runs here (classifiers/guards/README.md)
 *   probe:FILE=MODEL   a probe that `assay train --probe` wrote, and its model
 *   perspective:URL    a service with Perspective's schema (classifiers/remote_classifier.h)
 *   moderation:URL     a service with the schema of OpenAI's moderation endpoint
 */
#ifndef ASSAY_CLASSIFIER_H
#define ASSAY_CLASSIFIER_H

#include "classifiers/taxonomy.h"
#include "engine/base/sha256.h"
#include "engine/base/status.h"
#include "engine/base/text.h"

#define CLASSIFIER_ID_SIZE 160 /* "kind/name-version" and the NUL */

struct classifier; /* opaque */

struct hazard_score {
    bool scored;        /* false: the classifier does not judge this category; the rest is 0 */
    double logit;       /* before calibration; finite */
    double probability; /* in [0, 1] */
};

struct hazard_scores {
    struct hazard_score of[HAZARD_COUNT]; /* by hazard_category */
};

/* One stretch of a text that moved a category's score. */
struct hazard_span {
    struct text text; /* inside the text that was explained */
    enum hazard_category category;
    /* The classifier's own measure.  A lexicon gives the entry's strength; a linear model what the
     * stretch adds to the logit, the constant included as an empty stretch, so that the weights of
     * a category sum to its logit. */
    double weight;
};

/* Opens a classifier.  Errors name the spec or the file and the field. */
status_code classifier_open(struct classifier **out, const char *spec,
                            struct status *st) MUST_CHECK;

/* The same; a remote one asks its service only for what the cache lacks (score_cache.h).  Borrows
 * the cache; NULL is none. */
struct score_cache;
status_code classifier_open_cached(struct classifier **out, const char *spec,
                                   const struct score_cache *cache, struct status *st) MUST_CHECK;
void classifier_free(struct classifier *classifier);

/* Which classifier this is, such as "lexicon/demo-1"; lives as long as the classifier. */
const char *classifier_id(const struct classifier *classifier);

/* The digest of the bytes that decide its scores: of the word list's or the weights' file. */
const char *classifier_sha256(const struct classifier *classifier);

/* True when the classifier says of itself that it learned from the file with this digest: figures
 * measured on that file then flatter it.  False also when it does not know. */
bool classifier_trained_on(const struct classifier *classifier, const char *sha256);

/* The categories that it judges. */
hazard_set classifier_categories(const struct classifier *classifier);

/* The most bytes of a text that it can judge at once, 64 or more; 0: any that the limits allow. */
size_t classifier_window_bytes(const struct classifier *classifier);

/* Whether classifier_explain() can say anything. */
bool classifier_can_explain(const struct classifier *classifier);

/* Scores a text.  `prompt` is what the text answers, empty when there is none or when the text is
 * itself a prompt.  On failure *out holds no score. */
status_code classifier_score(const struct classifier *classifier, struct text prompt,
                             struct text text, struct hazard_scores *out,
                             struct status *st) MUST_CHECK;

/* The same, given up with STATUS_TIMEOUT after so many seconds; 0 leaves it to the classifier's own
 * ceiling.  Classifiers that run a model or ask a service keep to it; the others take microseconds
 * and do not look at it. */
status_code classifier_score_within(const struct classifier *classifier, struct text prompt,
                                    struct text text, double seconds, struct hazard_scores *out,
                                    struct status *st) MUST_CHECK;

/* One of many texts, and what became of it: *scores hold after status OK alone. */
struct classifier_item {
    struct text prompt, text;
    struct hazard_scores scores;
    struct status status;
    double seconds; /* that this text took, whatever was done at the same time */
};

/* How many texts are worth scoring at a time, by threads or by classifier_score_all(): more than 1
 * where a service is asked. */
int classifier_parallel(const struct classifier *classifier);

/* Scores each of n texts as classifier_score() would.  One that asks a service asks several things
 * at a time; which come back first changes nothing. */
void classifier_score_all(const struct classifier *classifier, struct classifier_item *items,
                          size_t n);

/* A text that grows and is scored again and again, such as a reply while it is written.  What was
 * read once is not read again, and every score is, to the bit, that of the text scored anew.
 * Borrows the classifier.  *out is NULL where a classifier has nothing to gain by it. */
struct classifier_growth; /* opaque */
status_code classifier_growth_create(struct classifier_growth **out,
                                     const struct classifier *classifier,
                                     struct status *st) MUST_CHECK;

/* Scores a text that begins with the text of the call before, or is a shorter one. */
status_code classifier_growth_score(struct classifier_growth *growth, struct text text,
                                    struct hazard_scores *out, struct status *st) MUST_CHECK;
void classifier_growth_free(struct classifier_growth *growth);

/* Calls on_span for every stretch that moved a score, in text order of their ends.
 * STATUS_UNSUPPORTED for a classifier that cannot say. */
status_code classifier_explain(const struct classifier *classifier, struct text prompt,
                               struct text text,
                               void (*on_span)(void *user, const struct hazard_span *span),
                               void *user, struct status *st) MUST_CHECK;

/* The kinds of classifier there are: what `assay list classifiers` prints. */
struct classifier_kind {
    const char *name;     /* the spec up to the colon */
    const char *argument; /* what follows the colon, for people */
    const char *description;
    status_code (*open)(struct classifier **out, const char *argument, struct status *st);
    bool runs_model; /* it may crash or hang, and is given a process of its own */
    bool is_remote;  /* what it said may be kept in a cache */
};
const struct classifier_kind *classifier_kinds(size_t *n);

#endif
