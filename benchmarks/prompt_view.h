/* prompt_view.h - what a model is given for a document, id by id, for people to check.
 *
 *   document -> prompt_render() -> a request and the ids of it
 *            -> prompt_view()   -> pieces, where the context ends, BOS, what is cut, as lines
 *
 * The ids are those of a run: made by the same functions, with as many shots as a protocol lets
 * stand.
 */
#ifndef ASSAY_PROMPT_VIEW_H
#define ASSAY_PROMPT_VIEW_H

#include "benchmarks/chat.h"
#include "benchmarks/offline_scoring.h"

/* What turns documents into prompts. */
struct prompt_maker {
    const struct tokenizer *tokenizer;
    const struct chat *chat; /* NULL: plain prompts */
    int64_t n_positions;     /* that the model has; 0: not known */
    int64_t max_gen_toks;    /* 0: the task's own */
};

/* Renders a document with as many shots as fit where the protocol leaves out those that do not.
 * `prompt` is initialised whatever the call returns; in a chat it holds the ids, else nothing: a
 * backend makes them of the request's texts. */
status_code prompt_render(const struct prompt_maker *maker, const struct task_instance *instance,
                          int64_t doc_id, struct arena *arena, struct task_request *request,
                          struct chat_prompt *prompt, struct status *st) MUST_CHECK;

/* Writes a document's prompt: several lines for people, or one JSON line. */
status_code prompt_view(const struct prompt_maker *maker, const struct task_instance *instance,
                        int64_t doc_id, bool json, const struct line_sink *sink,
                        struct status *st) MUST_CHECK;

#endif
