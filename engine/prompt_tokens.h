/* prompt_tokens.h - a request's text to the token ids that the model is given.
 *
 *   context + continuation -> prompt_tokens_pair()    -> ids, and where the continuation starts
 *   prompt                 -> prompt_tokens_prompt()  -> ids
 *
 * It follows lm-evaluation-harness (api/model.py, _encode_pair): white space at a context's end
 * belongs to the continuation, the two are encoded together, and they are split by position.  BOS
 * comes in front where the model's own files ask for it.
 *
 *   struct prompt_tokens pair = {0};
 *   if (prompt_tokens_pair(tokenizer, context, continuation, &pair, st) != STATUS_OK) ...
 *   token_list_release(&pair.ids);
 */
#ifndef ASSAY_PROMPT_TOKENS_H
#define ASSAY_PROMPT_TOKENS_H

#include "engine/tokenizer/tokenizer.h"

struct prompt_tokens {
    struct token_list ids; /* the caller's, also when a call failed */
    size_t n_context;      /* the first so many are the context; a prompt is all context */
};

/* Fails with STATUS_BAD_INPUT when the continuation adds no token. */
status_code prompt_tokens_pair(const struct tokenizer *tokenizer, struct text context,
                               struct text continuation, struct prompt_tokens *out,
                               struct status *st) MUST_CHECK;

status_code prompt_tokens_prompt(const struct tokenizer *tokenizer, struct text prompt,
                                 struct prompt_tokens *out, struct status *st) MUST_CHECK;

#endif
