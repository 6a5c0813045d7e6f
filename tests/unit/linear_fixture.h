/* linear_fixture.h - what the tests of linear models share: a model's file, and a text's score. */
#ifndef ASSAY_TESTS_LINEAR_FIXTURE_H
#define ASSAY_TESTS_LINEAR_FIXTURE_H

#include "classifiers/linear_model.h"
#include "tests/unit/suite.h"

/* The caller releases it. */
static inline struct strbuf model_file(const struct linear_model *model)
{
    struct strbuf file;
    struct status st = {0};
    strbuf_init(&file, 1 << 24);
    linear_model_append(&file, model, text_of("{\"seed\": 1}"));
    ASSERT_OK(strbuf_check(&file, "a model", &st));
    return file;
}

/* Of the first head. */
static inline double probability(const struct linear_model *model, const char *text)
{
    struct linear_sum sum;
    double p[LINEAR_MAX_HEADS];
    linear_sum_init(&sum, model);
    linear_sum_add(&sum, text_of(text));
    linear_sum_scores(&sum, NULL, p);
    return p[0];
}

#endif
