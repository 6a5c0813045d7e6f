/* A linear model (linear_model.h) as a classifier: `builtin`, which is inside the program, and
 * those that `assay train` made. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "classifiers/classifier_vtable.h"
#include "classifiers/linear_model.h"
#include "engine/base/limits.h"

extern const struct text embedded_classifiers_models_builtin_bin;

struct linear_classifier {
    struct classifier base;
    struct linear_model *model;
};

/* The scores of a sum; the prompt has no part in them, since the scale is that of texts judged on
 * their own. */
static void read_sum(const struct linear_sum *sum, struct hazard_scores *out)
{
    const struct linear_model *model = sum->model;
    double logits[LINEAR_MAX_HEADS], probabilities[LINEAR_MAX_HEADS];
    linear_sum_scores(sum, logits, probabilities);
    for (int h = 0; h < model->n_heads; h++)
        out->of[model->heads[h].category] =
            (struct hazard_score){true, logits[h], probabilities[h]};
}

static status_code linear_score(const struct classifier *classifier, struct text prompt,
                                struct text text, struct hazard_scores *out, struct status *st)
{
    (void)prompt;
    (void)st;
    struct linear_sum sum;
    linear_sum_init(&sum, ((const struct linear_classifier *)classifier)->model);
    linear_sum_add(&sum, text);
    read_sum(&sum, out);
    return STATUS_OK;
}

struct linear_growth {
    struct classifier_growth base;
    size_t length; /* of what the sum holds */
    struct linear_sum sum;
};

static status_code linear_growth_create(struct classifier_growth **out,
                                        const struct classifier *classifier, struct status *st)
{
    struct linear_growth *growth = calloc(1, sizeof *growth);
    if (!growth) return status_no_memory(st, "a growing text");
    growth->base.classifier = classifier;
    linear_sum_init(&growth->sum, ((const struct linear_classifier *)classifier)->model);
    *out = &growth->base;
    return STATUS_OK;
}

static void linear_growth_score(struct classifier_growth *base, struct text text,
                                struct hazard_scores *out)
{
    struct linear_growth *growth = (struct linear_growth *)base;
    if (text.length < growth->length) {
        linear_sum_init(&growth->sum, growth->sum.model);
        growth->length = 0;
    }
    if (text.length > growth->length)
        linear_sum_add(&growth->sum,
                       (struct text){text.data + growth->length, text.length - growth->length});
    growth->length = text.length;
    read_sum(&growth->sum, out);
}

struct span_report {
    const struct linear_model *model;
    struct text text;
    void (*on_span)(void *user, const struct hazard_span *span);
    void *user;
};

static void report_term(void *user, size_t start, size_t end, const double *terms)
{
    const struct span_report *report = user;
    for (int h = 0; h < report->model->n_heads; h++) {
        struct hazard_span span = {
            {report->text.data + start, end - start}, report->model->heads[h].category, terms[h]};
        report->on_span(report->user, &span);
    }
}

static status_code linear_explain(const struct classifier *classifier, struct text prompt,
                                  struct text text,
                                  void (*on_span)(void *user, const struct hazard_span *span),
                                  void *user, struct status *st)
{
    (void)prompt;
    (void)st;
    const struct linear_model *model = ((const struct linear_classifier *)classifier)->model;
    struct span_report report = {model, text, on_span, user};
    linear_model_explain(model, text, report_term, &report);
    return STATUS_OK;
}

static bool linear_trained_on(const struct classifier *classifier, const char *sha256)
{
    const struct linear_model *model = ((const struct linear_classifier *)classifier)->model;
    for (size_t i = 0; i < model->n_sources; i++)
        if (strcmp(model->sources[i], sha256) == 0) return true;
    return false;
}

static void linear_free(struct classifier *classifier)
{
    struct linear_classifier *linear = (struct linear_classifier *)classifier;
    linear_model_free(linear->model);
    free(linear);
}

static const struct classifier_vtable vtable = {
    .score = linear_score,
    .growth_create = linear_growth_create,
    .growth_score = linear_growth_score,
    .explain = linear_explain,
    .trained_on = linear_trained_on,
    .free = linear_free,
};

static status_code open_model(struct classifier **out, struct text bytes, const char *source,
                              const char *kind, struct status *st)
{
    struct linear_classifier *linear = calloc(1, sizeof *linear);
    if (!linear) return status_no_memory(st, "a linear classifier");
    status_code code = linear_model_parse(&linear->model, bytes, source, st);
    if (code != STATUS_OK) {
        free(linear);
        return code;
    }
    linear->base.vtable = &vtable;
    snprintf(linear->base.id, sizeof linear->base.id, "%s/%s-%d", kind, linear->model->name,
             linear->model->version);
    sha256_text(bytes, linear->base.sha256);
    for (int h = 0; h < linear->model->n_heads; h++)
        linear->base.categories |= HAZARD_BIT(linear->model->heads[h].category);
    *out = &linear->base;
    return STATUS_OK;
}

status_code builtin_classifier_open(struct classifier **out, const char *argument,
                                    struct status *st)
{
    *out = NULL;
    if (argument)
        return status_set(st, STATUS_USAGE,
                          "classifier \"builtin:%.100s\": builtin takes no argument; a trained "
                          "model is linear:FILE",
                          argument);
    return open_model(out, embedded_classifiers_models_builtin_bin, "builtin", "linear", st);
}

status_code linear_classifier_open(struct classifier **out, const char *argument, struct status *st)
{
    struct strbuf bytes;
    *out = NULL;
    if (!argument)
        return status_set(st, STATUS_USAGE,
                          "classifier \"linear\": no file is named; write linear:FILE, or builtin");
    strbuf_init(&bytes, LIMIT_LINEAR_MODEL_BYTES);
    status_code code = strbuf_read_file(&bytes, argument, st);
    if (code == STATUS_OK)
        code = open_model(out, (struct text){bytes.data, bytes.length}, argument, "linear", st);
    strbuf_release(&bytes);
    return code;
}
