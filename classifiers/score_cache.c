#include "classifiers/score_cache.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/json.h"
#include "engine/base/limits.h"

#define VALUE_BYTES 65536

/* A key that a thread is asking the service about. */
struct pending {
    const char *key;
    struct pending *next;
};

/* The cache belongs to one thread at a time, and threads that want to know the same wait for the
 * one that asks. */
struct turn {
    pthread_mutex_t mutex;
    pthread_cond_t answered;
    struct pending *pending;
};

struct cached_classifier {
    struct classifier base;
    struct classifier *inner;
    const struct score_cache *cache;
    struct turn *turn; /* owned; the classifier itself does not change */
};

/* Lengths stand before the texts, so that no two pairs run together. */
static status_code make_key(const struct classifier *c, struct text prompt, struct text text,
                            char key[SHA256_HEX_SIZE], struct status *st)
{
    struct strbuf bytes;
    strbuf_init(&bytes, 2 * (size_t)LIMIT_PROMPT_BYTES + 1024);
    strbuf_appendf(&bytes, "%s %s %zu %zu ", c->sha256, c->id, prompt.length, text.length);
    strbuf_append(&bytes, prompt.data, prompt.length);
    strbuf_append(&bytes, text.data, text.length);
    status_code code = strbuf_check(&bytes, "a text to classify", st);
    if (code == STATUS_OK) sha256_text((struct text){bytes.data, bytes.length}, key);
    strbuf_release(&bytes);
    return code;
}

/* ---- the value: {"toxicity": [logit, probability], ...} ---- */

static void append_scores(struct strbuf *out, const struct hazard_scores *scores)
{
    strbuf_append_char(out, '{');
    for (int c = 0, n = 0; c < HAZARD_COUNT; c++) {
        const struct hazard_score *score = &scores->of[c];
        if (!score->scored) continue;
        strbuf_appendf(out, "%s\"%s\": [", n++ ? ", " : "",
                       hazard_get((enum hazard_category)c)->name);
        json_append_number(out, score->logit);
        strbuf_append_str(out, ", ");
        json_append_number(out, score->probability);
        strbuf_append_char(out, ']');
    }
    strbuf_append_char(out, '}');
}

static status_code read_score(const struct json_value *pair, struct hazard_scores *out,
                              struct status *st)
{
    enum hazard_category category;
    const struct json_value *logit = json_first(pair),
                            *probability = logit ? json_next(logit) : NULL;
    if (!hazard_find(text_of(json_key(pair)), &category) || json_count(pair) != 2 ||
        json_kind(logit) != JSON_NUMBER || json_kind(probability) != JSON_NUMBER)
        return status_set(st, STATUS_BAD_INPUT, "a kept score of \"%.64s\" is broken",
                          json_key(pair));
    out->of[category] = (struct hazard_score){true, json_number(logit), json_number(probability)};
    return STATUS_OK;
}

static status_code read_scores(struct text value, struct hazard_scores *out, struct status *st)
{
    struct json_value *root;
    status_code code = json_parse(&root, value, st);
    if (code != STATUS_OK) return code;
    if (json_kind(root) != JSON_OBJECT)
        code =
            status_set(st, STATUS_BAD_INPUT, "kept scores are %s", json_kind_name(json_kind(root)));
    for (const struct json_value *m = json_first(root); m && code == STATUS_OK; m = json_next(m))
        code = read_score(m, out, st);
    json_free(root);
    return code;
}

/* ---- scoring ---- */

static status_code find(const struct cached_classifier *c, const char *key,
                        struct hazard_scores *out, bool *found, struct status *st)
{
    struct strbuf value;
    strbuf_init(&value, VALUE_BYTES);
    status_code code = c->cache->find(c->cache->user, key, &value, found, st);
    if (code == STATUS_OK && *found)
        code = read_scores((struct text){value.data, value.length}, out, st);
    strbuf_release(&value);
    return code;
}

static status_code keep(const struct cached_classifier *c, const char *key,
                        const struct hazard_scores *scores, struct status *st)
{
    struct strbuf value;
    strbuf_init(&value, VALUE_BYTES);
    append_scores(&value, scores);
    status_code code = strbuf_check(&value, "scores", st);
    if (code == STATUS_OK)
        code = c->cache->keep(c->cache->user, key, c->base.id,
                              (struct text){value.data, value.length}, st);
    strbuf_release(&value);
    return code;
}

static bool is_pending(const struct turn *turn, const char *key)
{
    for (const struct pending *p = turn->pending; p; p = p->next)
        if (strcmp(p->key, key) == 0) return true;
    return false;
}

static void remove_pending(struct turn *turn, const struct pending *own)
{
    struct pending **at = &turn->pending;
    while (*at != own) at = &(*at)->next;
    *at = own->next;
    pthread_cond_broadcast(&turn->answered);
}

/* With the turn's mutex, which is given up while the service is asked. */
static status_code ask(const struct cached_classifier *c, const char *key, struct text prompt,
                       struct text text, double seconds, struct hazard_scores *out,
                       struct status *st)
{
    struct pending own = {key, c->turn->pending};
    c->turn->pending = &own;
    pthread_mutex_unlock(&c->turn->mutex);
    status_code code = classifier_score_within(c->inner, prompt, text, seconds, out, st);
    pthread_mutex_lock(&c->turn->mutex);
    if (code == STATUS_OK) code = keep(c, key, out, st);
    remove_pending(c->turn, &own);
    return code;
}

static status_code cached_score_within(const struct classifier *classifier, struct text prompt,
                                       struct text text, double seconds, struct hazard_scores *out,
                                       struct status *st)
{
    const struct cached_classifier *c = (const struct cached_classifier *)classifier;
    char key[SHA256_HEX_SIZE];
    bool found = false;
    status_code code = make_key(&c->base, prompt, text, key, st);
    if (code != STATUS_OK) return code;
    pthread_mutex_lock(&c->turn->mutex);
    while (is_pending(c->turn, key)) pthread_cond_wait(&c->turn->answered, &c->turn->mutex);
    code = find(c, key, out, &found, st);
    if (code == STATUS_OK && !found) code = ask(c, key, prompt, text, seconds, out, st);
    pthread_mutex_unlock(&c->turn->mutex);
    return code;
}

static status_code cached_score(const struct classifier *classifier, struct text prompt,
                                struct text text, struct hazard_scores *out, struct status *st)
{
    return cached_score_within(classifier, prompt, text, 0, out, st);
}

/* ---- many texts ---- */

/* One text of many: where its answer comes from. */
struct lookup {
    char key[SHA256_HEX_SIZE];
    bool asks;   /* the service is asked about it */
    size_t same; /* an earlier text with the same key that is asked about, or its own index */
};

static void look_up(const struct cached_classifier *c, struct classifier_item *item,
                    struct lookup *lookup)
{
    struct status *st = &item->status;
    bool found = false;
    st->code = make_key(&c->base, item->prompt, item->text, lookup->key, st);
    if (st->code == STATUS_OK) st->code = find(c, lookup->key, &item->scores, &found, st);
    lookup->asks = st->code == STATUS_OK && !found;
}

/* Asks once for what several texts want to know, and keeps the answers in the order of the texts.
 */
static void ask_all(const struct cached_classifier *c, struct classifier_item *items,
                    struct lookup *lookups, struct classifier_item *questions, size_t n)
{
    size_t n_questions = 0, q = 0;
    for (size_t i = 0; i < n; i++) {
        lookups[i].same = i;
        if (items[i].status.code != STATUS_OK) continue;
        for (size_t k = 0; k < i && lookups[i].same == i; k++)
            if (lookups[k].asks && strcmp(lookups[k].key, lookups[i].key) == 0) lookups[i].same = k;
        if (lookups[i].asks && lookups[i].same == i) questions[n_questions++] = items[i];
        lookups[i].asks = lookups[i].asks && lookups[i].same == i;
    }
    classifier_score_all(c->inner, questions, n_questions);
    for (size_t i = 0; i < n; i++) {
        if (lookups[i].asks) {
            items[i] = questions[q++];
            struct status *st = &items[i].status;
            if (st->code == STATUS_OK) st->code = keep(c, lookups[i].key, &items[i].scores, st);
        } else if (lookups[i].same != i) {
            items[i].scores = items[lookups[i].same].scores;
            items[i].status = items[lookups[i].same].status;
        }
    }
}

static void cached_score_all(const struct classifier *classifier, struct classifier_item *items,
                             size_t n)
{
    const struct cached_classifier *c = (const struct cached_classifier *)classifier;
    struct lookup *lookups = calloc(n ? n : 1, sizeof *lookups);
    struct classifier_item *questions = calloc(n ? n : 1, sizeof *questions);
    for (size_t i = 0; i < n; i++) {
        if (items[i].status.code != STATUS_OK) continue;
        if (lookups && questions)
            look_up(c, &items[i], &lookups[i]);
        else
            status_no_memory(&items[i].status, "a classifier's cache");
    }
    if (lookups && questions) ask_all(c, items, lookups, questions, n);
    free(lookups);
    free(questions);
}

static void cached_free(struct classifier *classifier)
{
    struct cached_classifier *c = (struct cached_classifier *)classifier;
    classifier_free(c->inner);
    pthread_mutex_destroy(&c->turn->mutex);
    pthread_cond_destroy(&c->turn->answered);
    free(c->turn);
    free(c);
}

static const struct classifier_vtable table = {
    .score = cached_score,
    .score_within = cached_score_within,
    .score_all = cached_score_all,
    .free = cached_free,
};

status_code cached_classifier_create(struct classifier **out, struct classifier *inner,
                                     const struct score_cache *cache, struct status *st)
{
    struct cached_classifier *c = calloc(1, sizeof *c);
    struct turn *turn = calloc(1, sizeof *turn);
    if (!c || !turn) {
        free(c);
        free(turn);
        classifier_free(inner);
        return status_no_memory(st, "a classifier's cache");
    }
    pthread_mutex_init(&turn->mutex, NULL);
    pthread_cond_init(&turn->answered, NULL);
    c->base = *inner;
    c->base.vtable = &table;
    c->inner = inner;
    c->cache = cache;
    c->turn = turn;
    *out = &c->base;
    return STATUS_OK;
}
