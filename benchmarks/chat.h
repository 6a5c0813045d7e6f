/* chat.h - a document of a task to the token ids of a chat with the model.
 *
 *   options + tokenizer -> chat_open() -> chat
 *   document -> chat_render() -> a request with messages, and the ids that the model is given
 *
 * What becomes of a system message is the user's choice and is told for each document; nothing is
 * dropped in silence.  What a dataset says is encoded as plain text, so that no document can end
 * its turn.  A chat borrows the tokenizer; it is immutable after opening.
 *
 *   struct chat *chat;
 *   if (chat_open(&chat, tokenizer, &options, st) != STATUS_OK) ...
 *   if (chat_render(chat, task, doc_id, INT_MAX, &arena, &request, &prompt, st) != STATUS_OK) ...
 *   chat_prompt_release(&prompt);
 *   chat_free(chat);
 */
#ifndef ASSAY_CHAT_H
#define ASSAY_CHAT_H

#include "benchmarks/task.h"

struct chat; /* opaque */

struct chat_options {
    const char *template; /* a format's name, or a file with a template; NULL: the model's own */
    const char *system;   /* in front of each task's description; NULL: nothing */
    enum chat_system_as system_as;
    bool fewshot_in_one_turn;
};

struct chat_info {
    const char *format; /* "gemma", ... */
    const char *sha256; /* of the template; NULL where the format was chosen by name */
    struct text source; /* the template; no data where the format was chosen by name */
    const struct chat_options *options;
    const struct chat_template *template;
};

/* Keeps the strings of `options`, which must outlive it.  STATUS_UNSUPPORTED lists the formats when
 * the template is not one of them, or when there is none. */
status_code chat_open(struct chat **out, const struct tokenizer *tokenizer,
                      const struct chat_options *options, struct status *st) MUST_CHECK;
void chat_free(struct chat *chat);

const struct chat_info *chat_get_info(const struct chat *chat);

/* A document as ids.  To generate, ids[0] is the prompt; for multiple choice ids[i] is the prompt
 * with choice i behind it, of which the first n_context are the prompt. */
struct chat_prompt {
    struct token_list ids[TASK_MAX_CHOICES];
    int n;
    size_t n_context;
    const char *system_place; /* of its system message: "turn", "user" or "dropped"; NULL: none */
};

/* Fills the request as task_instance_render_chat() does, its context with the rendered prompt and
 * its prompt_hash with that text's.  *prompt is initialised whatever the call returns. */
status_code chat_render(const struct chat *chat, const struct task_instance *instance,
                        int64_t doc_id, int max_shots, struct arena *arena,
                        struct task_request *request, struct chat_prompt *prompt,
                        struct status *st) MUST_CHECK;
void chat_prompt_release(struct chat_prompt *prompt);

#endif
