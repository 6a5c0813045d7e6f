#include "engine/prompt_tokens.h"

#include "engine/base/limits.h"
#include "engine/base/utf8.h"

static enum tokenize_flags bos_policy(const struct tokenizer *tokenizer)
{
    return tokenizer_get_info(tokenizer)->add_bos ? TOKENIZE_ADD_BOS : TOKENIZE_PLAIN;
}

status_code prompt_tokens_prompt(const struct tokenizer *tokenizer, struct text prompt,
                                 struct prompt_tokens *out, struct status *st)
{
    status_code code = tokenizer_encode(tokenizer, prompt, bos_policy(tokenizer), &out->ids, st);
    if (code == STATUS_OK && !out->ids.count)
        code = status_set(st, STATUS_BAD_INPUT, "the prompt is empty and the model has no BOS");
    out->n_context = out->ids.count;
    return code;
}

/* Trailing whitespace of the context belongs to the continuation, where the model saw it in
 * training: lm-eval's _encode_pair. */
static void move_whitespace(struct strbuf *continuation, struct text *context, struct text text)
{
    struct text stripped = utf8_rstrip(*context);
    strbuf_append(continuation, context->data + stripped.length, context->length - stripped.length);
    strbuf_append(continuation, text.data, text.length);
    *context = stripped;
}

/* Without a context the continuation follows BOS alone, or EOS where there is no BOS. */
static status_code encode_bare(const struct tokenizer *tokenizer, struct text text,
                               struct prompt_tokens *out, struct status *st)
{
    const struct tokenizer_info *info = tokenizer_get_info(tokenizer);
    int32_t prefix = info->bos >= 0 ? info->bos : info->eos;
    status_code code = token_list_append(&out->ids, prefix, st);
    if (code == STATUS_OK) code = tokenizer_encode(tokenizer, text, TOKENIZE_PLAIN, &out->ids, st);
    out->n_context = 1;
    return code;
}

static status_code encode_pair(const struct tokenizer *tokenizer, struct text context,
                               struct text text, struct prompt_tokens *out, struct status *st)
{
    if (!context.length) return encode_bare(tokenizer, text, out, st);
    struct strbuf joined, continuation;
    struct token_list context_ids = {0};
    enum tokenize_flags flags = bos_policy(tokenizer);
    strbuf_init(&joined, LIMIT_PROMPT_BYTES);
    strbuf_init(&continuation, LIMIT_PROMPT_BYTES);
    move_whitespace(&continuation, &context, text);
    strbuf_append(&joined, context.data, context.length);
    strbuf_append(&joined, continuation.data, continuation.length);
    status_code code = strbuf_check(&joined, "prompt", st);
    if (code == STATUS_OK)
        code = tokenizer_encode(tokenizer, (struct text){joined.data, joined.length}, flags,
                                &out->ids, st);
    if (code == STATUS_OK) code = tokenizer_encode(tokenizer, context, flags, &context_ids, st);
    out->n_context = context_ids.count;
    token_list_release(&context_ids);
    strbuf_release(&joined);
    strbuf_release(&continuation);
    return code;
}

status_code prompt_tokens_pair(const struct tokenizer *tokenizer, struct text context,
                               struct text continuation, struct prompt_tokens *out,
                               struct status *st)
{
    status_code code = encode_pair(tokenizer, context, continuation, out, st);
    if (code == STATUS_OK && out->ids.count <= out->n_context)
        code = status_set(st, STATUS_BAD_INPUT, "a continuation adds no token to its context");
    return code;
}
