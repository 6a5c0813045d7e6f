/* chat_template.h - a conversation to the prompt that a model was trained to continue.
 *
 *   the model's own template, or a name -> chat_template_find() -> a template
 *   template + messages -> chat_template_render() -> token ids, and the same as text to look at
 *
 * Models publish their template as a program in Jinja.  It is not run: it is recognised as one of a
 * few formats, which are tables here, and one that is not recognised is an error that lists them.
 * Ids are made directly: what divides turns becomes its id, and what people wrote is encoded as
 * plain text, so that no message can end its own turn or start another.
 *
 *   struct chat_template template;
 *   struct chat_message ask = {CHAT_USER, text_of("Why is the sky blue?")};
 *   struct token_list ids = {0};
 *   if (chat_template_find(&template, tokenizer, NULL, st) != STATUS_OK) ...
 *   if (chat_template_render(&template, tokenizer, &ask, 1, CHAT_SYSTEM_ERROR, &ids, NULL, st) ...
 *   token_list_release(&ids);
 *
 * A `chat_template` is a plain value; it points into the tokenizer, which must outlive it.
 */
#ifndef ASSAY_CHAT_TEMPLATE_H
#define ASSAY_CHAT_TEMPLATE_H

#include "engine/base/sha256.h"
#include "engine/tokenizer/tokenizer.h"

struct chat_format; /* opaque; a row of the table */

enum chat_role { CHAT_SYSTEM, CHAT_USER, CHAT_ASSISTANT };

struct chat_message {
    enum chat_role role;
    struct text content;
};

/* What becomes of a system message that the format has no place for. */
enum chat_system_as {
    CHAT_SYSTEM_ERROR,
    CHAT_SYSTEM_DROP,
    CHAT_SYSTEM_PREPEND_USER /* in front of the first user message, an empty line between */
};

struct chat_template {
    const struct chat_format *format;
    const char *name;             /* "gemma", "llama3", ... */
    char sha256[SHA256_HEX_SIZE]; /* of the model's own template; "" when it was chosen by name */
    struct text default_system;   /* what the model's own template says without a system message */
    const char
        *stop; /* a string that ends a reply where turns are divided by plain text; NULL: none
                */
};

/* The format with this name, or for NULL the one that the model's own template is.  Fails with
 * STATUS_USAGE on an unknown name and with STATUS_UNSUPPORTED where the model has no template or
 * one that is not recognised. */
status_code chat_template_find(struct chat_template *out, const struct tokenizer *tokenizer,
                               const char *name, struct status *st) MUST_CHECK;

/* The format of a template that did not come with the model.  `source` must outlive `out`. */
status_code chat_template_recognise(struct chat_template *out, const struct tokenizer *tokenizer,
                                    struct text source, struct status *st) MUST_CHECK;

/* Appends the prompt, up to where the model goes on, to `ids` and to `shown`; either may be NULL. A
 * system message comes first or not at all; then user and assistant take turns: STATUS_USAGE says
 * which message breaks that.  Where the assistant's is the last, it is how the reply begins, and
 * its turn stays open.  STATUS_UNSUPPORTED names a piece that the vocabulary lacks. */
status_code chat_template_render(const struct chat_template *template,
                                 const struct tokenizer *tokenizer,
                                 const struct chat_message *messages, int n,
                                 enum chat_system_as system_as, struct token_list *ids,
                                 struct strbuf *shown, struct status *st) MUST_CHECK;

/* The same prompt followed by each of n replies: ids[i] are prompt and reply i together, of which
 * the first n_context are the prompt.  White space at the prompt's end is counted to the reply, as
 * in lm-eval's _encode_pair. */
struct chat_replies {
    const struct text *texts;
    int n;
    struct token_list *ids; /* (n); appended to */
    size_t n_context;
};
status_code chat_template_render_replies(const struct chat_template *template,
                                         const struct tokenizer *tokenizer,
                                         const struct chat_message *messages, int n,
                                         enum chat_system_as system_as,
                                         struct chat_replies *replies,
                                         struct status *st) MUST_CHECK;

/* Where a system message ends up: "turn" of its own, "user" (in the first user turn) or "dropped".
 * With CHAT_SYSTEM_ERROR and no place for it, NULL. */
const char *chat_template_system_place(const struct chat_template *template,
                                       enum chat_system_as system_as);

/* "error", "drop", "prepend-user"; false when it is none of them. */
bool chat_system_as_find(const char *name, enum chat_system_as *out);
const char *chat_system_as_name(enum chat_system_as system_as);

/* Appends the names of all formats, with commas between. */
void chat_template_append_names(struct strbuf *out);

#endif
