#include "benchmarks/cli/run_place.h"

#include <string.h>

#include "engine/base/limits.h"

status_code run_place_open(struct run_place *out, struct store *common, const char *name,
                           struct status *st)
{
    const char *colon = strrchr(name, ':');
    *out = (struct run_place){.store = common};
    if (!colon) return store_find_run(common, name, out->id, st);
    struct strbuf path;
    strbuf_init(&path, LIMIT_LINE_BYTES);
    strbuf_append(&path, name, (size_t)(colon - name));
    status_code code = store_open(&out->store, path.data, STORE_READ, st);
    strbuf_release(&path);
    if (code != STATUS_OK) return code;
    out->owns_store = true;
    return store_find_run(out->store, colon[1] ? colon + 1 : NULL, out->id, st);
}

void run_place_close(struct run_place *place)
{
    if (place->owns_store) store_free(place->store);
}

status_code run_place_open_common(struct store **out, const char *path, const char *a,
                                  const char *b, struct status *st)
{
    if (strchr(a, ':') && strchr(b, ':')) return STATUS_OK;
    return store_open(out, path, STORE_READ, st);
}

status_code named_runs_open(struct named_runs *out, struct store **store, const char *path,
                            const struct command_line *words, struct status *st)
{
    status_code code = store_open(store, path, STORE_READ, st);
    out->n = words->n_positional ? (size_t)words->n_positional : 1;
    if (code == STATUS_OK && out->n > MAX_NAMED_RUNS)
        code = status_set(st, STATUS_USAGE, "at most %d runs at a time", MAX_NAMED_RUNS);
    for (size_t i = 0; i < out->n && code == STATUS_OK; i++) {
        const char *name = words->n_positional ? words->positional[i] : NULL;
        code = store_find_run(*store, name, out->id[i], st);
        out->list[i] = out->id[i];
    }
    return code;
}
