/* A probe (probe.h) as a classifier, with the model that it belongs to. */
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "classifiers/classifier_vtable.h"
#include "classifiers/probe.h"
#include "engine/base/limits.h"

struct probe_classifier {
    struct classifier base;
    struct probe *probe;
    struct engine *engine;
    struct session *session; /* under the mutex, with `hidden` */
    pthread_mutex_t *mutex;
    float *hidden; /* [d_model] */
};

static status_code probe_score(const struct classifier *classifier, struct text prompt,
                               struct text text, struct hazard_scores *out, struct status *st)
{
    (void)prompt; /* a probe is trained on texts by themselves */
    const struct probe_classifier *c = (const struct probe_classifier *)classifier;
    double logits[LINEAR_MAX_HEADS];
    pthread_mutex_lock(c->mutex);
    status_code code = probe_read_text(c->session, c->engine, text, c->probe->pool, c->hidden, st);
    if (code == STATUS_OK) probe_logits(c->probe, c->hidden, logits);
    pthread_mutex_unlock(c->mutex);
    if (code != STATUS_OK) return status_prefix(st, "%s", c->base.id);
    for (int h = 0; h < c->probe->n_heads; h++)
        out->of[c->probe->category[h]] =
            (struct hazard_score){true, logits[h], 1 / (1 + exp(-logits[h]))};
    return STATUS_OK;
}

static void probe_classifier_free(struct classifier *classifier)
{
    struct probe_classifier *c = (struct probe_classifier *)classifier;
    session_free(c->session);
    engine_free(c->engine);
    probe_free(c->probe);
    if (c->mutex) pthread_mutex_destroy(c->mutex);
    free(c->mutex);
    free(c->hidden);
    free(c);
}

static const struct classifier_vtable table = {.score = probe_score, .free = probe_classifier_free};

/* ---- opening ---- */

static status_code load_probe(struct probe_classifier *c, const char *path, struct status *st)
{
    struct strbuf bytes;
    strbuf_init(&bytes, LIMIT_LINEAR_MODEL_BYTES);
    status_code code = strbuf_read_file(&bytes, path, st);
    if (code == STATUS_OK)
        code = probe_parse(&c->probe, (struct text){bytes.data, bytes.length}, path, st);
    if (code == STATUS_OK) sha256_text((struct text){bytes.data, bytes.length}, c->base.sha256);
    strbuf_release(&bytes);
    return code;
}

static status_code open_model(struct probe_classifier *c, const char *path, const char *model,
                              struct status *st)
{
    const struct engine_options options = {.model_path = model};
    char weights[SHA256_HEX_SIZE], both[2 * SHA256_HEX_SIZE];
    status_code code = engine_open(&c->engine, &options, st);
    if (code != STATUS_OK || (code = engine_weights_sha256(c->engine, weights, st)) != STATUS_OK)
        return code;
    if (strcmp(weights, c->probe->weights_sha256) != 0 ||
        engine_get_info(c->engine)->d_model != c->probe->d_model)
        return status_set(st, STATUS_BAD_INPUT,
                          "%s: the probe belongs to weights %.12s; %s has %.12s", path,
                          c->probe->weights_sha256, model, weights);
    if (!engine_get_tokenizer(c->engine))
        return status_set(st, STATUS_NOT_FOUND, "%s: the model has no tokenizer", model);
    snprintf(both, sizeof both, "%s %s", c->base.sha256, weights);
    sha256_text(text_of(both), c->base.sha256);
    snprintf(c->base.id, sizeof c->base.id, "probe/%s@%.12s", c->probe->name, weights);
    for (int h = 0; h < c->probe->n_heads; h++)
        c->base.categories |= HAZARD_BIT(c->probe->category[h]);
    return session_create(&c->session, c->engine, 0, st);
}

static status_code make_scratch(struct probe_classifier *c, struct status *st)
{
    /* A token is at least one byte, so a window of as many bytes always fits behind a BOS. */
    c->base.window_bytes = (size_t)session_context(c->session) - 1;
    c->hidden = calloc((size_t)c->probe->d_model, sizeof *c->hidden);
    c->mutex = malloc(sizeof *c->mutex);
    if (c->hidden && c->mutex && pthread_mutex_init(c->mutex, NULL) == 0) return STATUS_OK;
    free(c->mutex);
    c->mutex = NULL;
    return status_no_memory(st, "a probe");
}

status_code probe_classifier_open(struct classifier **out, const char *argument, struct status *st)
{
    const char *equals = argument ? strrchr(argument, '=') : NULL;
    char path[4096];
    if (!equals || equals == argument || !equals[1] || (size_t)(equals - argument) >= sizeof path)
        return status_set(st, STATUS_USAGE,
                          "classifier probe needs a file and a model: "
                          "probe:FILE=MODEL");
    snprintf(path, sizeof path, "%.*s", (int)(equals - argument), argument);
    struct probe_classifier *c = calloc(1, sizeof *c);
    if (!c) return status_no_memory(st, "a probe");
    c->base.vtable = &table;
    status_code code = load_probe(c, path, st);
    if (code == STATUS_OK) code = open_model(c, path, equals + 1, st);
    if (code == STATUS_OK) code = make_scratch(c, st);
    if (code != STATUS_OK) {
        probe_classifier_free(&c->base);
        return code;
    }
    *out = &c->base;
    return STATUS_OK;
}
