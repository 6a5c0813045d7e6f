#include "benchmarks/chat.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/base/limits.h"

struct chat {
    struct chat_options options;
    const struct tokenizer *tokenizer;
    struct chat_template template;
    struct strbuf file; /* a template that did not come with the model */
    struct chat_info info;
};

/* A name that is also a file's is the format's. */
static status_code find_template(struct chat *chat, struct status *st)
{
    const char *name = chat->options.template;
    struct status unknown = {0};
    if (!name) {
        chat->info.source = tokenizer_get_info(chat->tokenizer)->chat_template;
        return chat_template_find(&chat->template, chat->tokenizer, NULL, st);
    }
    if (chat_template_find(&chat->template, chat->tokenizer, name, &unknown) == STATUS_OK)
        return STATUS_OK;
    if (access(name, R_OK) != 0) {
        *st = unknown;
        return unknown.code;
    }
    status_code code = strbuf_read_file(&chat->file, name, st);
    if (code != STATUS_OK) return code;
    chat->info.source = (struct text){chat->file.data, chat->file.length};
    code = chat_template_recognise(&chat->template, chat->tokenizer, chat->info.source, st);
    return code == STATUS_OK ? code : status_prefix(st, "%s", name);
}

status_code chat_open(struct chat **out, const struct tokenizer *tokenizer,
                      const struct chat_options *options, struct status *st)
{
    struct chat *chat = calloc(1, sizeof *chat);
    if (!chat) return status_no_memory(st, "a chat");
    chat->options = *options;
    chat->tokenizer = tokenizer;
    strbuf_init(&chat->file, LIMIT_CONFIG_BYTES);
    status_code code = find_template(chat, st);
    if (code != STATUS_OK) {
        chat_free(chat);
        return code;
    }
    chat->info.format = chat->template.name;
    chat->info.sha256 = chat->template.sha256[0] ? chat->template.sha256 : NULL;
    chat->info.options = &chat->options;
    chat->info.template = &chat->template;
    *out = chat;
    return STATUS_OK;
}

void chat_free(struct chat *chat)
{
    if (!chat) return;
    strbuf_release(&chat->file);
    free(chat);
}

const struct chat_info *chat_get_info(const struct chat *chat)
{
    return &chat->info;
}

void chat_prompt_release(struct chat_prompt *prompt)
{
    for (int i = 0; i < TASK_MAX_CHOICES; i++) token_list_release(&prompt->ids[i]);
}

static status_code encode_choices(const struct chat *chat, const struct task_request *request,
                                  struct chat_prompt *prompt, struct status *st)
{
    struct chat_replies replies = {
        .texts = request->continuations, .n = request->n_continuations, .ids = prompt->ids};
    status_code code =
        chat_template_render_replies(&chat->template, chat->tokenizer, request->messages,
                                     request->n_messages, chat->options.system_as, &replies, st);
    prompt->n = replies.n;
    prompt->n_context = replies.n_context;
    return code;
}

static status_code render(const struct chat *chat, struct arena *arena,
                          struct task_request *request, struct chat_prompt *prompt,
                          struct status *st)
{
    struct strbuf shown;
    strbuf_init(&shown, LIMIT_PROMPT_BYTES);
    bool chooses = request->n_continuations > 0;
    status_code code = chat_template_render(&chat->template, chat->tokenizer, request->messages,
                                            request->n_messages, chat->options.system_as,
                                            chooses ? NULL : &prompt->ids[0], &shown, st);
    if (code == STATUS_OK) code = strbuf_check(&shown, "prompt", st);
    if (code == STATUS_OK) {
        request->context =
            (struct text){arena_strndup(arena, shown.data, shown.length), shown.length};
        if (!request->context.data) code = status_no_memory(st, "a prompt");
    }
    strbuf_release(&shown);
    if (code != STATUS_OK) return code;
    sha256_text(request->context, request->prompt_hash);
    if (chooses) return encode_choices(chat, request, prompt, st);
    prompt->n = 1;
    prompt->n_context = prompt->ids[0].count;
    return STATUS_OK;
}

status_code chat_render(const struct chat *chat, const struct task_instance *instance,
                        int64_t doc_id, int max_shots, struct arena *arena,
                        struct task_request *request, struct chat_prompt *prompt, struct status *st)
{
    const struct task_chat how = {chat->options.system, chat->options.fewshot_in_one_turn};
    *prompt = (struct chat_prompt){0};
    status_code code =
        task_instance_render_chat(instance, doc_id, max_shots, &how, arena, request, st);
    if (code != STATUS_OK) return code;
    if (request->messages[0].role == CHAT_SYSTEM)
        prompt->system_place = chat_template_system_place(&chat->template, chat->options.system_as);
    if (chat->template.stop && request->n_until < TASK_MAX_UNTIL)
        request->until[request->n_until++] = text_of(chat->template.stop);
    code = render(chat, arena, request, prompt, st);
    if (code == STATUS_OK) return code;
    return status_prefix(st, "%s: document %lld", task_instance_info(instance)->ref->name,
                         (long long)doc_id);
}
