/* task_render.c - a document to what a model is asked: contexts, choices, the turns of a chat. */
#include <limits.h>
#include <string.h>

#include "benchmarks/task_internal.h"
#include "engine/base/limits.h"
#include "engine/base/utf8.h"

static const struct document *shot(const struct task_instance *instance, int64_t doc_id, int i)
{
    size_t index = (size_t)i;
    if (instance->draws)
        index = instance->draws[(size_t)doc_id * (size_t)instance->info.num_fewshot + index];
    return &instance->pool.items[index];
}

/* Whether neither side has white space at the seam. */
static bool needs_delimiter(struct text before, struct text after)
{
    return before.length && after.length && utf8_rstrip(before).length == before.length &&
           utf8_lstrip(after).length == after.length;
}

/* The shots with their targets, without the description. */
static void append_shots(const struct task_instance *instance, int64_t doc_id, int n_shots,
                         struct strbuf *out)
{
    const struct task *task = instance->ref.task;
    for (int i = 0; i < n_shots; i++) {
        const struct document *example = shot(instance, doc_id, i);
        task->doc_to_text(task, example, out);
        strbuf_append_str(out, task->target_delimiter);
        task->doc_to_target(task, example, out);
        strbuf_append_str(out, task->fewshot_delimiter);
    }
}

/* Shots with their targets, and the document's own text: what is one message in a chat without
 * turns for shots. */
static void append_questions(const struct task_instance *instance, int64_t doc_id, int n_shots,
                             struct strbuf *out)
{
    append_shots(instance, doc_id, n_shots, out);
    instance->ref.task->doc_to_text(instance->ref.task, task_instance_document(instance, doc_id),
                                    out);
}

/* Appends how the reply begins, where the task says so: with the delimiter where none of the two
 * has white space at the seam (lm-eval's build_qa_turn). */
static void append_prefix(const struct task_instance *instance, int64_t doc_id, struct strbuf *out)
{
    const struct task *task = instance->ref.task;
    if (!task->doc_to_prefix) return;
    struct strbuf prefix;
    strbuf_init(&prefix, LIMIT_PROMPT_BYTES);
    task->doc_to_prefix(task, task_instance_document(instance, doc_id), &prefix);
    if (needs_delimiter((struct text){out->data, out->length},
                        (struct text){prefix.data, prefix.length}))
        strbuf_append_str(out, task->target_delimiter);
    strbuf_append(out, prefix.data, prefix.length);
    strbuf_release(&prefix);
}

/* lm-eval's fewshot_context(): description, shots with their targets, the document's own text. */
static void append_context(const struct task_instance *instance, int64_t doc_id, int n_shots,
                           struct strbuf *out)
{
    const struct task *task = instance->ref.task;
    if (task->description) task->description(task, instance->ref.subset, out);
    append_questions(instance, doc_id, n_shots, out);
    append_prefix(instance, doc_id, out);
}

/* Moves what `sb` holds into the arena and empties it. */
static status_code keep(struct strbuf *sb, struct arena *arena, const char *what, struct text *out,
                        struct status *st)
{
    status_code code = strbuf_check(sb, what, st);
    if (code != STATUS_OK) return code;
    *out = (struct text){arena_strndup(arena, sb->data, sb->length), sb->length};
    strbuf_clear(sb);
    return out->data ? STATUS_OK : status_no_memory(st, what);
}

static bool choices_are_contexts(const struct task *task, const struct document *doc)
{
    return task->choices_are_contexts && task->choices_are_contexts(task, doc);
}

static status_code render_choices(const struct task_instance *instance, const char *delimiter,
                                  struct arena *arena, struct strbuf *sb, struct task_request *out,
                                  struct status *st)
{
    const struct task *task = instance->ref.task;
    const struct document *doc = task_instance_document(instance, out->doc_id);
    struct text choices[TASK_MAX_CHOICES];
    bool scores_target = out->contexts || task->output_type == OUTPUT_LOGLIKELIHOOD;
    out->gold = task->output_type == OUTPUT_LOGLIKELIHOOD ? 0 : -1;
    out->n_continuations = task->output_type == OUTPUT_LOGLIKELIHOOD ? 1
                           : task->doc_to_choice
                               ? task->doc_to_choice(task, doc, choices, &out->gold)
                               : 0;
    status_code code = STATUS_OK;
    for (int i = 0; i < out->n_continuations && code == STATUS_OK; i++) {
        struct text continuation = scores_target ? out->target : choices[i];
        if (task->output_type != OUTPUT_LOGLIKELIHOOD) strbuf_append_str(sb, delimiter);
        strbuf_append(sb, continuation.data, continuation.length);
        code = keep(sb, arena, "continuation", &out->continuations[i], st);
    }
    return code;
}

/* What guards see: the document's own text, or all of its contexts. */
static void append_guard_text(const struct task_instance *instance, int64_t doc_id,
                              struct strbuf *out)
{
    const struct task *task = instance->ref.task;
    const struct document *doc = task_instance_document(instance, doc_id);
    struct text choices[TASK_MAX_CHOICES];
    int gold;
    if (!choices_are_contexts(task, doc)) {
        task->doc_to_text(task, doc, out);
        append_prefix(instance, doc_id, out);
        return;
    }
    int n = task->doc_to_choice(task, doc, choices, &gold);
    for (int i = 0; i < n; i++) {
        if (i) strbuf_append_char(out, '\n');
        strbuf_append(out, choices[i].data, choices[i].length);
    }
}

/* What does not depend on how the prompt is put together. */
static status_code render_document(const struct task_instance *instance, struct strbuf *sb,
                                   struct arena *arena, struct task_request *out, struct status *st)
{
    const struct task *task = instance->ref.task;
    const struct document *doc = task_instance_document(instance, out->doc_id);
    append_guard_text(instance, out->doc_id, sb);
    status_code code = keep(sb, arena, "document", &out->guard_text, st);
    if (code != STATUS_OK) return code;
    task->doc_to_target(task, doc, sb);
    code = keep(sb, arena, "target", &out->target, st);
    if (code != STATUS_OK) return code;
    struct text json;
    task->doc_to_json(task, doc, sb);
    code = keep(sb, arena, "document", &json, st);
    if (code != STATUS_OK) return code;
    sha256_text(json, out->doc_hash);
    return STATUS_OK;
}

/* A context for each choice: the first is the request's own. */
static status_code render_contexts(const struct task_instance *instance, struct strbuf *sb,
                                   struct arena *arena, struct task_request *out, struct status *st)
{
    const struct task *task = instance->ref.task;
    struct text choices[TASK_MAX_CHOICES];
    int gold, n = task->doc_to_choice(task, task_instance_document(instance, out->doc_id), choices,
                                      &gold);
    struct text *contexts = arena_array(arena, (size_t)n, sizeof *contexts);
    status_code code = contexts ? STATUS_OK : status_no_memory(st, "prompts");
    for (int i = 0; i < n && code == STATUS_OK; i++) {
        if (task->description) task->description(task, instance->ref.subset, sb);
        append_shots(instance, out->doc_id, out->n_shots, sb);
        strbuf_append(sb, choices[i].data, choices[i].length);
        code = keep(sb, arena, "prompt", &contexts[i], st);
    }
    if (code != STATUS_OK) return code;
    out->contexts = contexts;
    out->context = contexts[0];
    return STATUS_OK;
}

static status_code render_context(const struct task_instance *instance, struct strbuf *sb,
                                  struct arena *arena, struct task_request *out, struct status *st)
{
    const struct document *doc = task_instance_document(instance, out->doc_id);
    if (choices_are_contexts(instance->ref.task, doc))
        return render_contexts(instance, sb, arena, out, st);
    append_context(instance, out->doc_id, out->n_shots, sb);
    return keep(sb, arena, "prompt", &out->context, st);
}

static status_code render_texts(const struct task_instance *instance, struct strbuf *sb,
                                struct arena *arena, struct task_request *out, struct status *st)
{
    status_code code = render_context(instance, sb, arena, out, st);
    if (code != STATUS_OK) return code;
    sha256_text(out->context, out->prompt_hash);
    return render_choices(instance, instance->ref.task->target_delimiter, arena, sb, out, st);
}

status_code task_instance_render(const struct task_instance *instance, int64_t doc_id,
                                 struct arena *arena, struct task_request *out, struct status *st)
{
    return task_instance_render_shots(instance, doc_id, INT_MAX, arena, out, st);
}

/* What a request of this document is before its texts. */
static status_code begin_request(const struct task_instance *instance, int64_t doc_id,
                                 int max_shots, struct task_request *out, struct status *st)
{
    status_code code = task_check_document(instance, doc_id, st);
    if (code != STATUS_OK) return code;
    const struct task *task = instance->ref.task;
    const struct document *doc = task_instance_document(instance, doc_id);
    *out = (struct task_request){
        .doc_id = doc_id,
        .output_type = task->output_type,
        .n_shots = max_shots < instance->info.num_fewshot ? max_shots : instance->info.num_fewshot,
        .stratum = task->doc_to_stratum ? task->doc_to_stratum(task, doc) : NULL,
        .max_gen_toks = task->max_gen_toks,
    };
    for (int i = 0; i < TASK_MAX_UNTIL && task->until[i]; i++)
        out->until[out->n_until++] = text_of(task->until[i]);
    return STATUS_OK;
}

static status_code name_document(const struct task_instance *instance, int64_t doc_id,
                                 status_code code, struct status *st)
{
    if (code == STATUS_OK) return code;
    return status_prefix(st, "%s: document %lld", instance->ref.name, (long long)doc_id);
}

status_code task_instance_render_shots(const struct task_instance *instance, int64_t doc_id,
                                       int max_shots, struct arena *arena, struct task_request *out,
                                       struct status *st)
{
    status_code code = begin_request(instance, doc_id, max_shots, out, st);
    if (code != STATUS_OK) return code;
    struct strbuf sb;
    strbuf_init(&sb, LIMIT_PROMPT_BYTES);
    code = render_document(instance, &sb, arena, out, st);
    if (code == STATUS_OK) code = render_texts(instance, &sb, arena, out, st);
    strbuf_release(&sb);
    return name_document(instance, doc_id, code, st);
}

/* ---- a document as a chat ---- */

/* Messages that grow. */
struct talk {
    struct arena *arena;
    struct strbuf *sb; /* the next message's text */
    struct chat_message *messages;
    int n;
};

static status_code say(struct talk *talk, enum chat_role role, struct status *st)
{
    struct chat_message *message = &talk->messages[talk->n++];
    message->role = role;
    return keep(talk->sb, talk->arena, "a chat message", &message->content, st);
}

/* lm-eval's maybe_delimit(system, description, fewshot_delimiter). */
static void append_system(const struct task_instance *instance, const char *system,
                          struct strbuf *out)
{
    const struct task *task = instance->ref.task;
    struct strbuf description;
    strbuf_init(&description, LIMIT_PROMPT_BYTES);
    if (task->description) task->description(task, instance->ref.subset, &description);
    const struct text own = {description.data, description.length};
    if (system) strbuf_append_str(out, system);
    if (system && needs_delimiter(text_of(system), own))
        strbuf_append_str(out, task->fewshot_delimiter);
    strbuf_append(out, own.data, own.length);
    strbuf_release(&description);
}

static status_code say_shots(const struct task_instance *instance, const struct task_request *out,
                             struct talk *talk, struct status *st)
{
    const struct task *task = instance->ref.task;
    status_code code = STATUS_OK;
    for (int i = 0; i < out->n_shots && code == STATUS_OK; i++) {
        const struct document *example = shot(instance, out->doc_id, i);
        task->doc_to_text(task, example, talk->sb);
        code = say(talk, CHAT_USER, st);
        if (code != STATUS_OK) return code;
        task->doc_to_target(task, example, talk->sb);
        code = say(talk, CHAT_ASSISTANT, st);
    }
    return code;
}

static status_code say_all(const struct task_instance *instance, const struct task_chat *chat,
                           const struct task_request *out, struct talk *talk, struct status *st)
{
    const struct task *task = instance->ref.task;
    bool as_turns = !chat->fewshot_in_one_turn;
    append_system(instance, chat->system, talk->sb);
    status_code code = talk->sb->length ? say(talk, CHAT_SYSTEM, st) : STATUS_OK;
    if (code == STATUS_OK && as_turns) code = say_shots(instance, out, talk, st);
    if (code != STATUS_OK) return code;
    append_questions(instance, out->doc_id, as_turns ? 0 : out->n_shots, talk->sb);
    code = say(talk, CHAT_USER, st);
    if (code != STATUS_OK || !task->doc_to_prefix) return code;
    task->doc_to_prefix(task, task_instance_document(instance, out->doc_id), talk->sb);
    return say(talk, CHAT_ASSISTANT, st);
}

static status_code render_messages(const struct task_instance *instance,
                                   const struct task_chat *chat, struct strbuf *sb,
                                   struct arena *arena, struct task_request *out, struct status *st)
{
    const struct task *task = instance->ref.task;
    /* A system message, two for each shot, the question, and the reply's beginning. */
    size_t most = 2 * (size_t)out->n_shots + 3;
    struct talk talk = {.arena = arena, .sb = sb};
    talk.messages = arena_array(arena, most, sizeof *talk.messages);
    if (!talk.messages) return status_no_memory(st, "a chat");
    status_code code = say_all(instance, chat, out, &talk, st);
    if (code != STATUS_OK) return code;
    out->messages = talk.messages;
    out->n_messages = talk.n;
    const struct chat_message *last = &talk.messages[talk.n - 1];
    bool apart =
        last->role == CHAT_ASSISTANT && utf8_rstrip(last->content).length == last->content.length;
    return render_choices(instance, apart ? task->target_delimiter : "", arena, sb, out, st);
}

status_code task_instance_render_chat(const struct task_instance *instance, int64_t doc_id,
                                      int max_shots, const struct task_chat *chat,
                                      struct arena *arena, struct task_request *out,
                                      struct status *st)
{
    status_code code = begin_request(instance, doc_id, max_shots, out, st);
    if (code != STATUS_OK) return code;
    struct strbuf sb;
    strbuf_init(&sb, LIMIT_PROMPT_BYTES);
    code = render_document(instance, &sb, arena, out, st);
    if (code == STATUS_OK &&
        choices_are_contexts(instance->ref.task, task_instance_document(instance, doc_id)))
        code = status_set(st, STATUS_UNSUPPORTED,
                          "the choices are contexts, which a chat has no form for");
    if (code == STATUS_OK) code = render_messages(instance, chat, &sb, arena, out, st);
    strbuf_release(&sb);
    return name_document(instance, doc_id, code, st);
}
