/* score_cache.h - answers of a remote classifier, kept by somebody above this module.
 *
 *   text -> key -> find() -> scores, without asking
 *                  else the service is asked, and keep() gets what it said
 *
 * Only answers are kept, never failures.  The key is the SHA-256 of the classifier's digest and id,
 * the prompt and the text, so that runs may share what was scored; the value is a line of JSON that
 * only this module reads.  Threads may share such a classifier: it calls both functions from one
 * thread at a time, and what several want to know at once is asked once.
 */
#ifndef ASSAY_SCORE_CACHE_H
#define ASSAY_SCORE_CACHE_H

#include "classifiers/classifier_vtable.h"
#include "engine/base/strbuf.h"

struct score_cache {
    void *user;
    /* Appends the value; *found says whether there is one. */
    status_code (*find)(void *user, const char key[SHA256_HEX_SIZE], struct strbuf *value,
                        bool *found, struct status *st);
    status_code (*keep)(void *user, const char key[SHA256_HEX_SIZE], const char *classifier,
                        struct text value, struct status *st);
};

/* A classifier that asks `inner` only for what the cache lacks.  Takes `inner` over, whatever it
 * returns; borrows the cache. */
status_code cached_classifier_create(struct classifier **out, struct classifier *inner,
                                     const struct score_cache *cache, struct status *st) MUST_CHECK;

#endif
