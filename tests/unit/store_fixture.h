/* store_fixture.h - small runs for the tests of the store and its reports. */
#ifndef ASSAY_TESTS_STORE_FIXTURE_H
#define ASSAY_TESTS_STORE_FIXTURE_H

#include <math.h>

#include "reports/results_store.h"

#define HASH_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define HASH_B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define HASH_C "cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc"

static inline struct store_run fixture_run(const char *id, enum guard_mode mode)
{
    return (struct store_run){.id = id,
                              .program_version = "0.1",
                              .threads = 2,
                              .backend = "native",
                              .kernel_set = "generic",
                              .model_path = "models/demo.gguf",
                              .architecture = "gemma",
                              .weights_sha256 = HASH_A,
                              .weights_bytes = 1000,
                              .top_k = STORE_UNKNOWN,
                              .top_p = 1,
                              .max_tokens = STORE_UNKNOWN,
                              .seed = 1234,
                              .guard_mode = mode,
                              .options_json = "{\"tasks\":[\"quiz\"]}"};
}

static const struct store_metric fixture_metrics[] = {
    {.metric = "exact_match",
     .extraction = "strict-match",
     .higher_is_better = true,
     .blocked_value = 0},
    {.metric = "exact_match",
     .extraction = "flexible-extract",
     .higher_is_better = true,
     .blocked_value = 0},
};

static inline struct store_task fixture_task(const char *name, int position)
{
    return (struct store_task){.task = name,
                               .position = position,
                               .version = "1",
                               .profile = "lm-eval",
                               .output_type = "generate_until",
                               .num_fewshot = 5,
                               .fewshot_seed = 1234,
                               .limit = STORE_UNKNOWN,
                               .repeats = 1,
                               .dataset_name = "quiz",
                               .dataset_path = "quiz.jsonl",
                               .dataset_sha256 = HASH_B,
                               .dataset_bytes = 10,
                               .n_docs_total = 100,
                               .metrics = fixture_metrics,
                               .n_metrics = 2};
}

/* Adds documents 0 to n - 1 as pending. */
static inline status_code fixture_add_samples(struct store *store, const char *run,
                                              const char *task, int64_t n, struct status *st)
{
    status_code code = STATUS_OK;
    for (int64_t i = 0; i < n && code == STATUS_OK; i++)
        code = store_add_samples(store, run, task, &i, 1, st);
    return code;
}

static inline status_code fixture_add_run(struct store *store, const struct store_run *run,
                                          const struct store_task *task, int64_t n,
                                          struct status *st)
{
    char id[STORE_RUN_ID_SIZE];
    if (store_begin(store, st) != STATUS_OK || store_create_run(store, run, id, st) != STATUS_OK ||
        store_add_task(store, run->id, task, st) != STATUS_OK ||
        fixture_add_samples(store, run->id, task->task, n, st) != STATUS_OK)
        return st->code;
    return store_commit(store, st);
}

/* Finishes one document with a reply and the same value for each fixture metric.  Needs an open
 * batch. */
static inline status_code fixture_answer(struct store *store, const char *run, const char *task,
                                         int64_t doc_id, double value, struct status *st)
{
    struct store_key key = {run, task, doc_id, 0};
    struct store_sample sample = {.state = SAMPLE_DONE,
                                  .doc_hash = HASH_C,
                                  .prompt_hash = HASH_C,
                                  .target = "42",
                                  .n_prompt_tokens = 7};
    struct store_reply reply = {.text = text_of("The answer is 42"),
                                .finish_reason = "eos",
                                .n_tokens = 5,
                                .seed = 99,
                                .prefill_seconds = (double)NAN,
                                .decode_seconds = (double)NAN};
    if (store_put_prompt(store, HASH_C, text_of("Question: ?\nAnswer:"), st) != STATUS_OK ||
        store_put_sample(store, &key, &sample, st) != STATUS_OK ||
        store_put_reply(store, &key, &reply, st) != STATUS_OK)
        return st->code;
    for (size_t i = 0; i < 2; i++) {
        struct store_verdict verdict = {.metric = fixture_metrics[i].metric,
                                        .extraction = fixture_metrics[i].extraction,
                                        .extracted = text_of("42"),
                                        .value = value,
                                        .outcome = value > 0 ? OUTCOME_CORRECT : OUTCOME_WRONG};
        if (store_put_verdict(store, &key, &verdict, st) != STATUS_OK) return st->code;
    }
    return STATUS_OK;
}

/* A finished run of one task whose documents have the given values. */
static inline status_code fixture_full_run(struct store *store, const char *id, const char *task,
                                           const double *values, int64_t n, struct status *st)
{
    struct store_run run = fixture_run(id, GUARD_OFF);
    struct store_task t = fixture_task(task, 0);
    if (fixture_add_run(store, &run, &t, n, st) != STATUS_OK || store_begin(store, st) != STATUS_OK)
        return st->code;
    for (int64_t i = 0; i < n; i++)
        if (fixture_answer(store, id, task, i, values[i], st) != STATUS_OK) return st->code;
    if (store_set_run_state(store, id, RUN_DONE, st) != STATUS_OK) return st->code;
    return store_commit(store, st);
}

#endif
