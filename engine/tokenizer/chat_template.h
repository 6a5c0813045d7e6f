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
};

/* The format with this name, or for NULL the one that the model's own template is.  Fails with
 * STATUS_USAGE on an unknown name and with STATUS_UNSUPPORTED where the model has no template or
 * one that is not recognised. */
status_code chat_template_find(struct chat_template *out, const struct tokenizer *tokenizer,
                               const char *name, struct status *st) MUST_CHECK;

/* Appends the prompt, up to where the model's reply begins, to `ids` and to `shown`; either may be
 * NULL.  A system message comes first or not at all; then user and assistant take turns, and the
 * user has the last word: STATUS_USAGE says which message breaks that.  STATUS_UNSUPPORTED names a
 * piece that the vocabulary lacks. */
status_code chat_template_render(const struct chat_template *template,
                                 const struct tokenizer *tokenizer,
                                 const struct chat_message *messages, int n,
                                 enum chat_system_as system_as, struct token_list *ids,
                                 struct strbuf *shown, struct status *st) MUST_CHECK;

/* "error", "drop", "prepend-user"; false when it is none of them. */
bool chat_system_as_find(const char *name, enum chat_system_as *out);

/* Appends the names of all formats, with commas between. */
void chat_template_append_names(struct strbuf *out);

#endif
