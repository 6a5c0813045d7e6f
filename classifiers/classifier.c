#include "classifiers/classifier_host.h"
#include "classifiers/remote_classifier.h"
#include "classifiers/score_cache.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/clock.h"
#include "engine/base/limits.h"

static const struct classifier_kind kinds[] = {
    {"builtin", NULL, "toxicity and its kinds on the scale of Perspective in 2020; in the program",
     builtin_classifier_open, false, false},
    {"linear", "FILE", "a classifier that `assay train` made", linear_classifier_open, false,
     false},
    {"lexicon", "FILE.json", "words and phrases of a list, each with a category and a strength",
     lexicon_classifier_open, false, false},
    {"encoder", "MODEL", "BERT, RoBERTa or DistilBERT with labels that name categories",
     encoder_classifier_open, true, false},
    {"guard", "DEFINITION=MODEL",
     "a guard model: shieldgemma, llama-guard-3, wildguard, ... (list guards), or a file",
     guard_model_classifier_open, true, false},
    {"probe", "FILE=MODEL", "a probe that `assay train --probe` made, on its model's hidden states",
     probe_classifier_open, true, false},
    {"perspective", "URL", "Perspective's API, or a service with the same schema",
     perspective_classifier_open, false, true},
    {"moderation", "URL#MODEL", "OpenAI's moderation endpoint, or one with the same schema",
     moderation_classifier_open, false, true},
};

const struct classifier_kind *classifier_kinds(size_t *n)
{
    *n = sizeof kinds / sizeof kinds[0];
    return kinds;
}

status_code classifier_open(struct classifier **out, const char *spec, struct status *st)
{
    return classifier_open_cached(out, spec, NULL, st);
}

/* Opens one kind and puts around it what the kind needs. */
static status_code open_kind(struct classifier **out, const struct classifier_kind *kind,
                             const char *argument, const struct score_cache *cache,
                             struct status *st)
{
    status_code code = kind->open(out, argument, st);
    if (code == STATUS_OK && kind->runs_model) code = classifier_host_create(out, *out, st);
    if (code == STATUS_OK && kind->is_remote && cache)
        code = cached_classifier_create(out, *out, cache, st);
    return code;
}

status_code classifier_open_cached(struct classifier **out, const char *spec,
                                   const struct score_cache *cache, struct status *st)
{
    const char *colon = strchr(spec, ':');
    size_t length = colon ? (size_t)(colon - spec) : strlen(spec);
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (!text_equal((struct text){spec, length}, text_of(kinds[i].name))) continue;
        if (colon && !colon[1])
            return status_set(st, STATUS_USAGE, "classifier \"%s\": nothing follows the colon",
                              spec);
        return open_kind(out, &kinds[i], colon ? colon + 1 : NULL, cache, st);
    }
    return status_set(st, STATUS_USAGE,
                      "classifier \"%.100s\": no such kind; `assay list classifiers` prints them",
                      spec);
}

void classifier_free(struct classifier *classifier)
{
    if (classifier) classifier->vtable->free(classifier);
}

const char *classifier_id(const struct classifier *classifier)
{
    return classifier->id;
}

const char *classifier_sha256(const struct classifier *classifier)
{
    return classifier->sha256;
}

bool classifier_trained_on(const struct classifier *classifier, const char *sha256)
{
    return classifier->vtable->trained_on && classifier->vtable->trained_on(classifier, sha256);
}

hazard_set classifier_categories(const struct classifier *classifier)
{
    return classifier->categories;
}

size_t classifier_window_bytes(const struct classifier *classifier)
{
    return classifier->window_bytes;
}

bool classifier_can_explain(const struct classifier *classifier)
{
    return classifier->vtable->explain != NULL;
}

/* A number that is not a probability is a failure of the classifier, not a low score. */
static status_code check_scores(const struct classifier *classifier,
                                const struct hazard_scores *scores, struct status *st)
{
    for (int c = 0; c < HAZARD_COUNT; c++) {
        const struct hazard_score *score = &scores->of[c];
        BUG_IF(score->scored && !(classifier->categories & HAZARD_BIT(c)));
        if (!score->scored) continue;
        if (!(score->probability >= 0 && score->probability <= 1) || !isfinite(score->logit))
            return status_set(st, STATUS_BAD_INPUT,
                              "classifier %s gave %s the probability %g and the logit %g",
                              classifier->id, hazard_get((enum hazard_category)c)->name,
                              score->probability, score->logit);
    }
    return STATUS_OK;
}

static status_code check_lengths(const struct classifier *classifier, struct text prompt,
                                 struct text text, struct status *st)
{
    if (prompt.length <= LIMIT_PROMPT_BYTES && text.length <= LIMIT_PROMPT_BYTES) return STATUS_OK;
    return status_set(st, STATUS_LIMIT, "classifier %s: the text is longer than %u bytes",
                      classifier->id, LIMIT_PROMPT_BYTES);
}

status_code classifier_score(const struct classifier *classifier, struct text prompt,
                             struct text text, struct hazard_scores *out, struct status *st)
{
    return classifier_score_within(classifier, prompt, text, 0, out, st);
}

status_code classifier_score_within(const struct classifier *classifier, struct text prompt,
                                    struct text text, double seconds, struct hazard_scores *out,
                                    struct status *st)
{
    const struct classifier_vtable *table = classifier->vtable;
    memset(out, 0, sizeof *out);
    status_code code = check_lengths(classifier, prompt, text, st);
    if (code == STATUS_OK)
        code = seconds > 0 && table->score_within
                   ? table->score_within(classifier, prompt, text, seconds, out, st)
                   : table->score(classifier, prompt, text, out, st);
    if (code == STATUS_OK) code = check_scores(classifier, out, st);
    if (code != STATUS_OK) memset(out, 0, sizeof *out);
    return code;
}

/* A length, or a score, that will not do. */
static void check_item(const struct classifier *classifier, struct classifier_item *item)
{
    if (item->status.code == STATUS_OK)
        item->status.code = check_scores(classifier, &item->scores, &item->status);
    if (item->status.code != STATUS_OK) memset(&item->scores, 0, sizeof item->scores);
}

int classifier_parallel(const struct classifier *classifier)
{
    return classifier->parallel > 1 ? classifier->parallel : 1;
}

void classifier_score_all(const struct classifier *classifier, struct classifier_item *items,
                          size_t n)
{
    if (!classifier->vtable->score_all) {
        for (size_t i = 0; i < n; i++) {
            double start = clock_seconds();
            items[i].status = (struct status){0};
            items[i].status.code = classifier_score(classifier, items[i].prompt, items[i].text,
                                                    &items[i].scores, &items[i].status);
            items[i].seconds = clock_seconds() - start;
        }
        return;
    }
    for (size_t i = 0; i < n; i++) {
        memset(&items[i].scores, 0, sizeof items[i].scores);
        items[i].seconds = 0;
        items[i].status = (struct status){0};
        items[i].status.code =
            check_lengths(classifier, items[i].prompt, items[i].text, &items[i].status);
    }
    classifier->vtable->score_all(classifier, items, n);
    for (size_t i = 0; i < n; i++) check_item(classifier, &items[i]);
}

status_code classifier_growth_create(struct classifier_growth **out,
                                     const struct classifier *classifier, struct status *st)
{
    *out = NULL;
    if (!classifier->vtable->growth_create) return STATUS_OK;
    return classifier->vtable->growth_create(out, classifier, st);
}

status_code classifier_growth_score(struct classifier_growth *growth, struct text text,
                                    struct hazard_scores *out, struct status *st)
{
    const struct classifier *classifier = growth->classifier;
    memset(out, 0, sizeof *out);
    status_code code = check_lengths(classifier, text_of(""), text, st);
    if (code != STATUS_OK) return code;
    classifier->vtable->growth_score(growth, text, out);
    code = check_scores(classifier, out, st);
    if (code != STATUS_OK) memset(out, 0, sizeof *out);
    return code;
}

void classifier_growth_free(struct classifier_growth *growth)
{
    free(growth);
}

status_code classifier_explain(const struct classifier *classifier, struct text prompt,
                               struct text text,
                               void (*on_span)(void *user, const struct hazard_span *span),
                               void *user, struct status *st)
{
    if (!classifier->vtable->explain)
        return status_set(st, STATUS_UNSUPPORTED, "classifier %s cannot say which words it means",
                          classifier->id);
    status_code code = check_lengths(classifier, prompt, text, st);
    if (code != STATUS_OK) return code;
    return classifier->vtable->explain(classifier, prompt, text, on_span, user, st);
}
