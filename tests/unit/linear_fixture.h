/* linear_fixture.h - what the tests of linear models share. */
#ifndef ASSAY_TESTS_LINEAR_FIXTURE_H
#define ASSAY_TESTS_LINEAR_FIXTURE_H

#include <string.h>

#include "classifiers/linear_model.h"
#include "classifiers/training.h"
#include "engine/base/rng.h"
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

/* Fewer than `limit` of the parts, chosen at random, one behind the other; returns their bytes. */
static inline size_t join_at_random(struct rng *rng, const char *const *parts, size_t n_parts,
                                    size_t limit, char *out, size_t room)
{
    size_t length = 0, n = rng_next(rng) % limit;
    for (size_t i = 0; i < n; i++) {
        const char *part = parts[rng_next(rng) % n_parts];
        size_t bytes = strlen(part);
        if (length + bytes > room) break;
        memcpy(out + length, part, bytes);
        length += bytes;
    }
    return length;
}

/* Trains twice, to the same bytes; the caller frees the model. */
static inline struct linear_model *train_twice(const struct training_options *options,
                                               const struct training_example *examples, size_t n)
{
    struct status st = {0};
    struct linear_model *a, *b;
    ASSERT_OK(training_run(&a, options, examples, n, &st));
    ASSERT_OK(training_run(&b, options, examples, n, &st));
    struct strbuf one = model_file(a), two = model_file(b);
    CU_ASSERT_EQUAL(one.length, two.length);
    CU_ASSERT_EQUAL(memcmp(one.data, two.data, one.length), 0);
    strbuf_release(&one);
    strbuf_release(&two);
    linear_model_free(b);
    return a;
}

/* Holds that the model's file is refused with the message when the first `from` in it, which has to
 * be there, is written over by `to`. */
static inline void refuses_changed(const struct linear_model *model, const char *from,
                                   const char *to, const char *message)
{
    struct status st = {0};
    struct linear_model *out;
    struct strbuf file = model_file(model);
    size_t at = 0, n = strlen(from);
    while (at + n <= file.length && memcmp(file.data + at, from, n) != 0) at++;
    CU_ASSERT_FATAL(at + n <= file.length);
    memcpy(file.data + at, to, strlen(to));
    ASSERT_FAILS(linear_model_parse(&out, (struct text){file.data, file.length}, "m.bin", &st),
                 STATUS_BAD_INPUT, message);
    CU_ASSERT_PTR_NULL(out);
    strbuf_release(&file);
}

#endif
