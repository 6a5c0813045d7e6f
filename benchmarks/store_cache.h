/* store_cache.h - the results store as the place where remote classifiers' answers are kept.
 *
 *   struct store *store = NULL;                                opened now or later
 *   struct score_cache cache = store_cache(&store);
 *   classifier_open_cached(&classifier, spec, &cache, st)
 *
 * While the store is NULL nothing is found and nothing is kept.
 */
#ifndef ASSAY_STORE_CACHE_H
#define ASSAY_STORE_CACHE_H

#include "classifiers/score_cache.h"
#include "reports/results_store.h"

/* Borrows the pointer, which must outlive whoever uses the cache. */
struct score_cache store_cache(struct store **store);

#endif
