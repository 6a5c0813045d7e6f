#include "engine/model/model_path.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/base/utf8.h"

#define MAX_PATH_BYTES 4096

static const char *variable(const char *name)
{
    const char *value = getenv(name);
    return value && *value ? value : NULL;
}

static void append_user_cache(struct strbuf *out, const char *below)
{
    const char *cache = variable("XDG_CACHE_HOME"), *home = variable("HOME");
    if (cache)
        strbuf_appendf(out, "%s/%s", cache, below);
    else
        strbuf_appendf(out, "%s/.cache/%s", home ? home : "", below);
}

void model_path_own_cache(struct strbuf *out)
{
    append_user_cache(out, "assay/models");
}

void model_path_hub_cache(struct strbuf *out)
{
    const char *whole = variable("HF_HUB_CACHE"), *home = variable("HF_HOME");
    if (!whole) whole = variable("HUGGINGFACE_HUB_CACHE");
    if (whole)
        strbuf_append_str(out, whole);
    else if (home)
        strbuf_appendf(out, "%s/hub", home);
    else
        append_user_cache(out, "huggingface/hub");
}

static bool is_hub_name(const char *name)
{
    const char *slash = strchr(name, '/');
    return slash && slash != name && slash[1] && !strchr(slash + 1, '/') && name[0] != '.';
}

static bool exists(const struct strbuf *path)
{
    return path->state == STATUS_OK && access(path->data, F_OK) == 0;
}

/* models--org--name/snapshots/<commit that refs/main holds>; false where that names none. */
static bool append_snapshot(struct strbuf *out, const char *name)
{
    model_path_hub_cache(out);
    strbuf_append_str(out, "/models--");
    for (const char *p = name; *p; p++)
        strbuf_append_str(out, *p == '/' ? "--" : (char[]){*p, '\0'});
    struct strbuf reference, commit;
    struct status ignored = {0}; /* a missing reference only means that nothing is cached */
    strbuf_init(&reference, MAX_PATH_BYTES);
    strbuf_init(&commit, MAX_PATH_BYTES);
    strbuf_appendf(&reference, "%s/refs/main", out->data);
    bool found = strbuf_read_file(&commit, reference.data, &ignored) == STATUS_OK;
    struct text id = utf8_strip((struct text){commit.data, commit.length});
    strbuf_appendf(out, "/snapshots/%.*s", TEXT_ARGS(id));
    strbuf_release(&reference);
    strbuf_release(&commit);
    return found && exists(out);
}

status_code model_path_resolve(struct strbuf *out, const char *name, struct status *st)
{
    if (access(name, F_OK) == 0) {
        strbuf_append_str(out, name);
        return strbuf_check(out, "model path", st);
    }
    if (strncmp(name, "http://", 7) == 0 || strncmp(name, "https://", 8) == 0)
        return status_set(st, STATUS_UNSUPPORTED,
                          "%s: models behind an address are not run here; score replies made there "
                          "with assay score",
                          name);
    if (!is_hub_name(name))
        return status_set(st, STATUS_NOT_FOUND, "%s: no such model file or directory", name);
    struct strbuf path;
    strbuf_init(&path, MAX_PATH_BYTES);
    model_path_own_cache(&path);
    strbuf_appendf(&path, "/%s", name);
    bool found = exists(&path);
    if (!found) {
        strbuf_clear(&path);
        found = append_snapshot(&path, name);
    }
    if (found) strbuf_append(out, path.data, path.length);
    strbuf_release(&path);
    if (found) return strbuf_check(out, "model path", st);
    return status_set(st, STATUS_NOT_FOUND,
                      "%s: no such file or directory, and the name is neither in assay's cache nor "
                      "in the local Hugging Face cache",
                      name);
}
