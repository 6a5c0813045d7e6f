#include "benchmarks/prompt_view.h"

#include <limits.h>

#include "engine/base/json.h"
#include "engine/base/limits.h"
#include "engine/prompt_tokens.h"

/* ---- rendering ---- */

static status_code count_tokens(const struct prompt_maker *maker,
                                const struct task_request *request,
                                const struct chat_prompt *prompt, size_t *n, struct status *st)
{
    struct token_list ids = {0};
    *n = prompt->n_context;
    if (maker->chat) return STATUS_OK;
    status_code code =
        tokenizer_encode(maker->tokenizer, request->context, TOKENIZE_ADD_BOS, &ids, st);
    *n = ids.count;
    token_list_release(&ids);
    return code;
}

static status_code render_with(const struct prompt_maker *maker,
                               const struct task_instance *instance, int64_t doc_id, int max_shots,
                               struct arena *arena, struct task_request *request,
                               struct chat_prompt *prompt, struct status *st)
{
    if (maker->chat)
        return chat_render(maker->chat, instance, doc_id, max_shots, arena, request, prompt, st);
    *prompt = (struct chat_prompt){0};
    return task_instance_render_shots(instance, doc_id, max_shots, arena, request, st);
}

status_code prompt_render(const struct prompt_maker *maker, const struct task_instance *instance,
                          int64_t doc_id, struct arena *arena, struct task_request *request,
                          struct chat_prompt *prompt, struct status *st)
{
    int most = task_instance_info(instance)->ref->task->max_prompt_tokens;
    status_code code = render_with(maker, instance, doc_id, INT_MAX, arena, request, prompt, st);
    while (code == STATUS_OK && most && request->n_shots) {
        size_t n;
        code = count_tokens(maker, request, prompt, &n, st);
        if (code != STATUS_OK || n <= (size_t)most) break;
        chat_prompt_release(prompt);
        code =
            render_with(maker, instance, doc_id, request->n_shots - 1, arena, request, prompt, st);
    }
    return code;
}

/* ---- ids ---- */

/* A prompt, alone or with one choice behind it. */
struct shown_prompt {
    struct prompt_tokens tokens;
    int choice;   /* -1: the model goes on from here */
    size_t n_cut; /* ids in front that the model's positions leave no room for */
};

struct view {
    const struct prompt_maker *maker;
    const struct task_request *request;
    const char *task;
    const char *system_place;
    struct shown_prompt prompts[TASK_MAX_CHOICES];
    int n;
};

static status_code copy_ids(const struct token_list *from, size_t n_context,
                            struct prompt_tokens *out, struct status *st)
{
    status_code code = STATUS_OK;
    for (size_t i = 0; i < from->count && code == STATUS_OK; i++)
        code = token_list_append(&out->ids, from->ids[i], st);
    out->n_context = n_context;
    return code;
}

static status_code encode_one(struct view *view, const struct chat_prompt *chat, int i,
                              struct status *st)
{
    const struct task_request *request = view->request;
    struct prompt_tokens *out = &view->prompts[i].tokens;
    bool chooses = request->n_continuations > 0;
    view->prompts[i].choice = chooses ? i : -1;
    if (view->maker->chat) return copy_ids(&chat->ids[i], chat->n_context, out, st);
    if (chooses)
        return prompt_tokens_pair(view->maker->tokenizer,
                                  request->contexts ? request->contexts[i] : request->context,
                                  request->continuations[i], out, st);
    return prompt_tokens_prompt(view->maker->tokenizer, request->context, out, st);
}

static int64_t reply_length(const struct view *view)
{
    return view->maker->max_gen_toks ? view->maker->max_gen_toks : view->request->max_gen_toks;
}

/* A continuation's last token is predicted and needs no position; a reply needs all of its own. */
static void note_cut(struct view *view, struct shown_prompt *prompt)
{
    int64_t room = view->maker->n_positions;
    if (!room) return;
    room += prompt->choice >= 0 ? 1 : -reply_length(view);
    int64_t n = (int64_t)prompt->tokens.ids.count;
    prompt->n_cut = n > room && room > 0 ? (size_t)(n - room) : 0;
}

static status_code encode_all(struct view *view, const struct chat_prompt *chat, struct status *st)
{
    status_code code = STATUS_OK;
    int n = view->request->n_continuations ? view->request->n_continuations : 1;
    for (int i = 0; i < n && code == STATUS_OK; i++) {
        view->n = i + 1;
        code = encode_one(view, chat, i, st);
        if (code == STATUS_OK) note_cut(view, &view->prompts[i]);
    }
    return code;
}

/* ---- for people ---- */

static void append_piece(const struct view *view, int32_t id, struct strbuf *out)
{
    if (tokenizer_is_control(view->maker->tokenizer, id)) {
        struct text name = tokenizer_piece_name(view->maker->tokenizer, id);
        strbuf_append(out, name.data, name.length);
    } else {
        json_append_text(out, tokenizer_piece(view->maker->tokenizer, id));
    }
}

static void append_ids(const struct view *view, const struct shown_prompt *prompt, size_t from,
                       size_t to, struct strbuf *out)
{
    for (size_t i = from; i < to; i++) {
        int32_t id = prompt->tokens.ids.ids[i];
        strbuf_appendf(out, "%6zu %8d  ", i, id);
        append_piece(view, id, out);
        if (i < prompt->n_cut) strbuf_append_str(out, "   cut: does not fit");
        strbuf_append_char(out, '\n');
    }
}

static int count_bos(const struct view *view, const struct shown_prompt *prompt)
{
    int32_t bos = tokenizer_get_info(view->maker->tokenizer)->bos;
    int n = 0;
    for (size_t i = 0; bos >= 0 && i < prompt->tokens.ids.count; i++)
        n += prompt->tokens.ids.ids[i] == bos;
    return n;
}

static void append_heading(const struct view *view, struct strbuf *out)
{
    const struct shown_prompt *first = &view->prompts[0];
    strbuf_appendf(out, "%s document %lld: %zu tokens of context, %d BOS, ", view->task,
                   (long long)view->request->doc_id, first->tokens.n_context,
                   count_bos(view, first));
    if (!view->maker->n_positions)
        strbuf_append_str(out, "how many fit is not known without the model\n");
    else
        strbuf_appendf(out, "%zu cut to fit %lld positions\n", first->n_cut,
                       (long long)view->maker->n_positions);
    if (!view->maker->chat) return;
    strbuf_appendf(out, "chat template %s", chat_get_info(view->maker->chat)->format);
    if (view->system_place) strbuf_appendf(out, ", the system message: %s", view->system_place);
    strbuf_append_char(out, '\n');
}

static void append_reply(const struct view *view, struct strbuf *out)
{
    strbuf_appendf(out, "  ==== the reply begins here: at most %lld tokens",
                   (long long)reply_length(view));
    for (int i = 0; i < view->request->n_until; i++) {
        strbuf_append_str(out, i ? ", " : "; ends before ");
        json_append_text(out, view->request->until[i]);
    }
    strbuf_append_char(out, '\n');
}

static void append_lines(const struct view *view, struct strbuf *out)
{
    const struct shown_prompt *first = &view->prompts[0];
    append_heading(view, out);
    append_ids(view, first, 0, first->tokens.n_context, out);
    if (first->choice < 0) append_reply(view, out);
    for (int i = 0; i < view->n && first->choice >= 0; i++) {
        const struct prompt_tokens *tokens = &view->prompts[i].tokens;
        if (i && view->request->contexts) {
            strbuf_appendf(out, "  ==== the context of choice %d\n", i);
            append_ids(view, &view->prompts[i], 0, tokens->n_context, out);
        }
        strbuf_appendf(out, "  ==== choice %d%s\n", i,
                       i == view->request->gold ? ", the right one" : "");
        append_ids(view, &view->prompts[i], tokens->n_context, tokens->ids.count, out);
    }
}

/* ---- for programs ---- */

static void append_json_prompt(const struct view *view, const struct shown_prompt *prompt,
                               struct strbuf *out)
{
    const struct token_list *ids = &prompt->tokens.ids;
    strbuf_appendf(out, "{\"choice\": ");
    if (prompt->choice < 0)
        strbuf_append_str(out, "null");
    else
        strbuf_appendf(out, "%d", prompt->choice);
    strbuf_appendf(out,
                   ", \"n_context\": %zu, \"n_bos\": %d, \"n_cut\": ", prompt->tokens.n_context,
                   count_bos(view, prompt));
    if (view->maker->n_positions)
        strbuf_appendf(out, "%zu", prompt->n_cut);
    else
        strbuf_append_str(out, "null");
    strbuf_append_str(out, ", \"ids\": [");
    for (size_t i = 0; i < ids->count; i++) strbuf_appendf(out, "%s%d", i ? ", " : "", ids->ids[i]);
    strbuf_append_str(out, "], \"pieces\": [");
    for (size_t i = 0; i < ids->count; i++) {
        bool control = tokenizer_is_control(view->maker->tokenizer, ids->ids[i]);
        if (i) strbuf_append_str(out, ", ");
        json_append_text(out, control ? tokenizer_piece_name(view->maker->tokenizer, ids->ids[i])
                                      : tokenizer_piece(view->maker->tokenizer, ids->ids[i]));
    }
    strbuf_append_str(out, "]}");
}

static void append_json(const struct view *view, struct strbuf *out)
{
    const struct task_request *request = view->request;
    const struct chat *chat = view->maker->chat;
    strbuf_append_str(out, "{\"task\": ");
    json_append_str(out, view->task);
    strbuf_appendf(out, ", \"doc_id\": %lld, \"prompt_hash\": \"%s\", \"chat_template\": ",
                   (long long)request->doc_id, request->prompt_hash);
    if (chat)
        json_append_str(out, chat_get_info(chat)->format);
    else
        strbuf_append_str(out, "null");
    strbuf_append_str(out, ", \"system_message\": ");
    if (view->system_place)
        json_append_str(out, view->system_place);
    else
        strbuf_append_str(out, "null");
    strbuf_append_str(out, ", \"until\": [");
    for (int i = 0; i < request->n_until; i++) {
        if (i) strbuf_append_str(out, ", ");
        json_append_text(out, request->until[i]);
    }
    strbuf_append_str(out, "], \"prompts\": [");
    for (int i = 0; i < view->n; i++) {
        if (i) strbuf_append_str(out, ", ");
        append_json_prompt(view, &view->prompts[i], out);
    }
    strbuf_append_str(out, "]}\n");
}

static status_code write(const struct view *view, bool json, const struct line_sink *sink,
                         struct status *st)
{
    struct strbuf out;
    strbuf_init(&out, LIMIT_JSON_BYTES);
    if (json)
        append_json(view, &out);
    else
        append_lines(view, &out);
    status_code code = strbuf_check(&out, "a prompt's ids", st);
    if (code == STATUS_OK) code = sink->write(sink->user, (struct text){out.data, out.length}, st);
    strbuf_release(&out);
    return code;
}

status_code prompt_view(const struct prompt_maker *maker, const struct task_instance *instance,
                        int64_t doc_id, bool json, const struct line_sink *sink, struct status *st)
{
    struct arena arena;
    struct task_request request;
    struct chat_prompt chat;
    struct view view = {
        .maker = maker, .request = &request, .task = task_instance_info(instance)->ref->name};
    arena_init(&arena, 8 * (size_t)LIMIT_PROMPT_BYTES);
    status_code code = prompt_render(maker, instance, doc_id, &arena, &request, &chat, st);
    view.system_place = chat.system_place;
    if (code == STATUS_OK) code = encode_all(&view, &chat, st);
    if (code == STATUS_OK) code = write(&view, json, sink, st);
    for (int i = 0; i < view.n; i++) token_list_release(&view.prompts[i].tokens.ids);
    chat_prompt_release(&chat);
    arena_release(&arena);
    return code;
}
