#include "benchmarks/store_cache.h"

static status_code find(void *user, const char key[SHA256_HEX_SIZE], struct strbuf *value,
                        bool *found, struct status *st)
{
    struct store *const *store = user;
    *found = false;
    return *store ? store_find_remote_score(*store, key, value, found, st) : STATUS_OK;
}

static status_code keep(void *user, const char key[SHA256_HEX_SIZE], const char *classifier,
                        struct text value, struct status *st)
{
    struct store *const *store = user;
    return *store ? store_keep_remote_score(*store, key, classifier, value, st) : STATUS_OK;
}

struct score_cache store_cache(struct store **store)
{
    return (struct score_cache){.user = store, .find = find, .keep = keep};
}
