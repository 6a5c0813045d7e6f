/* sample_reader.h - finished samples with everything known of them, one at a time.
 *
 *   sample_reader_create() -> sample_reader_next() until record->task is NULL ->
 * sample_reader_free()
 *
 * A record and its texts are valid until the next one.  Samples come in table order, and documents
 * in order within a task.  For the renderers here, and for scoring a run again.
 */
#ifndef ASSAY_SAMPLE_READER_H
#define ASSAY_SAMPLE_READER_H

#include "reports/results_store.h"

struct verdict_record {
    int64_t repeat;
    struct text metric, extraction;
    struct text extracted;       /* data NULL: nothing was extracted */
    double value;                /* of the raw reply; NAN: unknown */
    double enforce_value;        /* NAN without a guard */
    struct text outcome;         /* of what was delivered */
    struct verdict_record *next; /* by repeat, then in the order of the task's metrics */
};

struct reply_record {
    int64_t repeat;
    struct text text, delivered, finish_reason;
    int64_t n_tokens;
    struct reply_record *next;
};

struct choice_record {
    int64_t index;
    struct text text;
    double logprob;
    int64_t n_tokens, is_greedy;
    struct choice_record *next;
};

struct event_record {
    int64_t repeat;
    struct text stage, mode, verdict, action, category, rule, response;
    struct event_record *next;
};

struct sample_record {
    const char *task; /* NULL: there are no more */
    int64_t doc_id;
    struct text state, doc_hash, prompt_hash, target, error_code, error_text;
    int64_t n_prompt_tokens, n_truncated; /* tokens of the prompt, and cut from its left */
    struct text prompt; /* data NULL unless prompts were asked for and it was rendered */
    struct verdict_record *verdicts;
    struct reply_record *replies;
    struct choice_record *choices;
    struct event_record *events;
};

struct sample_reader; /* opaque */

/* At most `max_per_task` samples of each task; negative is all. */
status_code sample_reader_create(struct sample_reader **out, struct store *store, const char *run,
                                 int64_t max_per_task, bool with_prompts,
                                 struct status *st) MUST_CHECK;

/* Before the first sample: only those of this task. */
void sample_reader_only(struct sample_reader *reader, const char *task);

status_code sample_reader_next(struct sample_reader *reader, struct sample_record *record,
                               struct status *st) MUST_CHECK;
void sample_reader_free(struct sample_reader *reader);

/* Every finished sample of a run, or of one of its tasks, in turn; anything but STATUS_OK ends it.
 */
typedef status_code sample_visit(void *user, const struct sample_record *record, struct status *st);
status_code sample_reader_each(struct store *store, const char *run, const char *task,
                               bool with_prompts, sample_visit *visit, void *user,
                               struct status *st) MUST_CHECK;

#endif
