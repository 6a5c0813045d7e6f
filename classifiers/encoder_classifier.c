/* An encoder with a classification head: BERT, RoBERTa or DistilBERT trained on toxicity.
 *
 * A label is a hazard category by its name, or by what follows '#' in the argument, for models
 * whose labels have no names: MODEL#LABEL_1=toxicity.  Labels that are none (identities, "neutral")
 * take part in a softmax and are otherwise left out. */
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "classifiers/classifier_vtable.h"
#include "engine/base/limits.h"
#include "engine/base/utf8.h"
#include "engine/engine.h"

#define SPECIAL_TOKENS 2 /* [CLS] and [SEP], or their like */
#define MAX_PATH_BYTES 4096

/* What public models call the categories, in lower case. */
static const struct {
    const char *label;
    enum hazard_category category;
} label_names[] = {
    {"toxicity", HAZARD_TOXICITY},
    {"toxic", HAZARD_TOXICITY},
    {"severe_toxicity", HAZARD_SEVERE_TOXICITY},
    {"severe_toxic", HAZARD_SEVERE_TOXICITY},
    {"obscene", HAZARD_OBSCENE},
    {"threat", HAZARD_THREAT},
    {"insult", HAZARD_INSULT},
    {"identity_attack", HAZARD_IDENTITY_ATTACK},
    {"identity_hate", HAZARD_IDENTITY_ATTACK},
    {"sexual_explicit", HAZARD_SEXUAL_EXPLICIT},
    {"sexually_explicit", HAZARD_SEXUAL_EXPLICIT},
    {"profanity", HAZARD_OBSCENE},
    {"hate", HAZARD_HATE},
};

struct encoder_classifier {
    struct classifier base;
    struct engine *engine;
    struct session *session; /* under the mutex */
    pthread_mutex_t *mutex;
    int label_of[HAZARD_COUNT]; /* -1: the model has no such label */
    bool is_multilabel;
};

/* Log-odds of one label against all others of a softmax. */
static double softmax_logit(const float *logits, int n, int label)
{
    double max = (double)-INFINITY, sum = 0;
    for (int i = 0; i < n; i++)
        if (i != label) max = fmax(max, (double)logits[i]);
    for (int i = 0; i < n; i++)
        if (i != label) sum += exp((double)logits[i] - max);
    return (double)logits[label] - max - log(sum);
}

static status_code classify(const struct encoder_classifier *c, struct text text, float *logits,
                            struct status *st)
{
    struct token_list ids = {0};
    const enum tokenize_flags flags = TOKENIZE_ADD_BOS | TOKENIZE_ADD_EOS;
    status_code code = tokenizer_encode(engine_get_tokenizer(c->engine), text, flags, &ids, st);
    if (code == STATUS_OK) {
        pthread_mutex_lock(c->mutex);
        code = session_classify(c->session, ids.ids, (int)ids.count, logits, st);
        pthread_mutex_unlock(c->mutex);
        if (code == STATUS_OK) code = engine_check_files(c->engine, st);
    }
    token_list_release(&ids);
    return code == STATUS_OK ? code : status_prefix(st, "%s", c->base.id);
}

static status_code encoder_score(const struct classifier *classifier, struct text prompt,
                                 struct text text, struct hazard_scores *out, struct status *st)
{
    (void)prompt; /* these models judge a text by itself */
    const struct encoder_classifier *c = (const struct encoder_classifier *)classifier;
    const struct engine_info *info = engine_get_info(c->engine);
    float logits[LIMIT_LABELS];
    status_code code = classify(c, text, logits, st);
    if (code != STATUS_OK) return code;
    for (int h = 0; h < HAZARD_COUNT; h++) {
        int label = c->label_of[h];
        if (label < 0) continue;
        double logit =
            c->is_multilabel ? (double)logits[label] : softmax_logit(logits, info->n_labels, label);
        out->of[h] = (struct hazard_score){true, logit, 1 / (1 + exp(-logit))};
    }
    return STATUS_OK;
}

static void encoder_free(struct classifier *classifier)
{
    struct encoder_classifier *c = (struct encoder_classifier *)classifier;
    session_free(c->session);
    engine_free(c->engine);
    if (c->mutex) pthread_mutex_destroy(c->mutex);
    free(c->mutex);
    free(c);
}

static const struct classifier_vtable table = {.score = encoder_score, .free = encoder_free};

/* ---- opening ---- */

static void set_label(struct encoder_classifier *c, int label, enum hazard_category category)
{
    c->label_of[category] = label;
    c->base.categories |= HAZARD_BIT(category);
}

static void find_labels(struct encoder_classifier *c)
{
    int n = engine_get_info(c->engine)->n_labels;
    for (int i = 0; i < n; i++) {
        struct strbuf lower;
        strbuf_init(&lower, 4096);
        utf8_append_lower(&lower, text_of(engine_label(c->engine, i)));
        for (size_t k = 0; k < sizeof label_names / sizeof label_names[0]; k++)
            if (strcmp(lower.data, label_names[k].label) == 0)
                set_label(c, i, label_names[k].category);
        strbuf_release(&lower);
    }
}

/* "LABEL_1=toxicity,LABEL_2=threat". */
static status_code read_labels(struct encoder_classifier *c, const char *labels, struct status *st)
{
    int n = engine_get_info(c->engine)->n_labels;
    for (const char *p = labels; *p;) {
        size_t length = strcspn(p, ",");
        const char *equals = memchr(p, '=', length);
        size_t name = equals ? (size_t)(equals - p) : length;
        enum hazard_category category;
        int i = 0;
        while (i < n && !text_equal((struct text){p, name}, text_of(engine_label(c->engine, i))))
            i++;
        if (i == n)
            return status_set(st, STATUS_USAGE, "the model has no label \"%.*s\"",
                              (int)(name < 64 ? name : 64), p);
        if (!equals || !hazard_find((struct text){equals + 1, length - name - 1}, &category))
            return status_set(st, STATUS_USAGE,
                              "\"%.*s\" is not LABEL=CATEGORY with a hazard category",
                              (int)(length < 64 ? length : 64), p);
        set_label(c, i, category);
        p += length + (p[length] == ',');
    }
    return STATUS_OK;
}

/* Models of the toxicity data are trained on each label by itself, also where their config does not
 * say so; labels that exclude each other ("hate", "nothate") name one category among them. */
static bool judges_each_label(const struct encoder_classifier *c)
{
    int n = 0;
    for (int h = 0; h < HAZARD_COUNT; h++) n += c->label_of[h] >= 0;
    return engine_get_info(c->engine)->is_multilabel || n >= 3;
}

static status_code check_model(const struct encoder_classifier *c, const char *path,
                               struct status *st)
{
    const struct engine_info *info = engine_get_info(c->engine);
    if (!info->is_encoder)
        return status_set(st, STATUS_UNSUPPORTED,
                          "%s: %s has no classification head; guard models are guard:NAME=MODEL",
                          path, info->architecture);
    if (!engine_get_tokenizer(c->engine))
        return status_set(st, STATUS_NOT_FOUND, "%s: the model has no tokenizer", path);
    if (!c->base.categories)
        return status_set(
            st, STATUS_UNSUPPORTED,
            "%s: config.json: none of the %d labels (\"%.60s\", ...) is the name of a "
            "hazard category; say what they mean: encoder:MODEL#LABEL=CATEGORY",
            path, info->n_labels, engine_label(c->engine, 0));
    return STATUS_OK;
}

static status_code prepare(struct encoder_classifier *c, const char *path, const char *labels,
                           struct status *st)
{
    const struct engine_options options = {.model_path = path};
    status_code code = engine_open(&c->engine, &options, st);
    if (code != STATUS_OK) return code;
    for (int h = 0; h < HAZARD_COUNT; h++) c->label_of[h] = -1;
    if (labels && read_labels(c, labels, st) != STATUS_OK) return status_prefix(st, "%s", path);
    if (!labels) find_labels(c);
    c->is_multilabel = judges_each_label(c);
    if ((code = check_model(c, path, st)) != STATUS_OK ||
        (code = engine_weights_sha256(c->engine, c->base.sha256, st)) != STATUS_OK)
        return code;
    const struct engine_info *info = engine_get_info(c->engine);
    snprintf(c->base.id, sizeof c->base.id, "encoder/%s@%.12s%s%.100s", info->architecture,
             c->base.sha256, labels ? "#" : "", labels ? labels : "");
    if (labels) { /* the weights and what their labels are taken for */
        char both[SHA256_HEX_SIZE + MAX_PATH_BYTES];
        snprintf(both, sizeof both, "%s %s", c->base.sha256, labels);
        sha256_text(text_of(both), c->base.sha256);
    }
    /* A token is at least one byte, so a window of as many bytes always fits. */
    if (info->n_context > SPECIAL_TOKENS)
        c->base.window_bytes = (size_t)info->n_context - SPECIAL_TOKENS;
    c->mutex = malloc(sizeof *c->mutex);
    if (!c->mutex || pthread_mutex_init(c->mutex, NULL) != 0) {
        free(c->mutex);
        c->mutex = NULL;
        return status_no_memory(st, "an encoder");
    }
    return session_create(&c->session, c->engine, 0, st);
}

status_code encoder_classifier_open(struct classifier **out, const char *argument,
                                    struct status *st)
{
    const char *hash = argument ? strrchr(argument, '#') : NULL;
    char path[MAX_PATH_BYTES];
    int length = hash ? (int)(hash - argument) : argument ? (int)strnlen(argument, sizeof path) : 0;
    if (length == 0 || (size_t)length >= sizeof path)
        return status_set(st, STATUS_USAGE, "classifier encoder needs a model: encoder:MODEL");
    snprintf(path, sizeof path, "%.*s", length, argument);
    struct encoder_classifier *c = calloc(1, sizeof *c);
    if (!c) return status_no_memory(st, "an encoder");
    c->base.vtable = &table;
    status_code code = prepare(c, path, hash ? hash + 1 : NULL, st);
    if (code != STATUS_OK) {
        encoder_free(&c->base);
        return code;
    }
    *out = &c->base;
    return STATUS_OK;
}
