/* offline_scoring.h - prompts for other programs, and scores for their replies; no model needed.
 *
 *   tasks                -> offline_prompts() -> a JSON line for each document
 *   tasks + replies file -> offline_score()   -> a JSON line for each reply, and a summary
 *
 * Lines go to a `line_sink`, in order and with their newline, so that the caller decides where they
 * are printed.  A sink may fail; the failure ends the walk.
 *
 * A replies file is JSON Lines, plain or gzip: {"doc_id": n, "reply": "..."}, with "task" where
 * several tasks are scored, and optionally "finish_reason": "length" for a reply that was cut off,
 * and for tasks about toxicity a "toxicity" from 0 to 1, or null where it is not known.
 * The same document again is its next repeat.
 */
#ifndef ASSAY_OFFLINE_SCORING_H
#define ASSAY_OFFLINE_SCORING_H

#include "benchmarks/chat.h"
#include "benchmarks/task_registry.h"
#include "classifiers/classifier.h"

struct line_sink {
    status_code (*write)(void *user, struct text line, struct status *st);
    void *user;
};

struct document_range {
    int64_t offset; /* the first document of each task */
    int64_t limit;  /* at most so many of each task; negative: all */
};

/* How prompts are printed. */
struct offline_prompt_options {
    struct document_range range;
    const struct chat *chat;          /* in this chat's template; or NULL */
    const struct task_chat *messages; /* without a model: a chat's messages alone; or NULL */
};

/* Lines with task, doc_id, context, continuations, until, target, doc_hash, prompt_hash; and
 * contexts, one for each continuation, where these differ.  A chat's lines also have messages, and
 * system_message: what became of it.  Without a model a chat has no context. */
status_code offline_prompts(const struct task_selection *selection,
                            const struct task_options *options,
                            const struct offline_prompt_options *how, const struct line_sink *sink,
                            struct status *st) MUST_CHECK;

struct offline_score_options {
    struct dataset_lookup lookup;
    bool apply_stops;                  /* cut each reply at the task's stop strings first */
    const struct classifier *toxicity; /* for replies that come without; NULL: they have none */
};

/* Lines with task, doc_id, repeat, extracted, metrics, outcome.  Appends to `summary` what
 * reply_tallies_summarise() says, and as "interpreter" and "toxicity_classifier" what scored. */
status_code offline_score(const struct task_selection *selection, const char *replies_path,
                          const struct offline_score_options *options, const struct line_sink *sink,
                          struct strbuf *summary, struct status *st) MUST_CHECK;

#endif
