#include "engine/tokenizer/chat_template.h"

#include <stdio.h>
#include <string.h>

#include "engine/base/limits.h"
#include "engine/base/utf8.h"
#include "engine/tokenizer/tokenizer_core.h"

/* What Jinja's trim, Python's str.strip(), is applied to. */
enum trim_rule {
    TRIM_NOTHING,
    TRIM_CONTENT, /* each message */
    TRIM_ASSISTANT,
    TRIM_WHOLE /* each message with the system message that is put in front of it */
};

/* In the strings "%s" is the message, "{bos}" and "{eos}" are the vocabulary's own, and what is
 * among the markers is that piece; all else is text. */
struct chat_format {
    const char *name;
    const char *has[2], *lacks[4]; /* what recognises a model's template; has[0] NULL: nothing */
    const char *markers[4];        /* pieces */
    const char *start;             /* of the prompt */
    const char *system;            /* a turn of its own, or NULL */
    const char *system_prefix;     /* in front of the first user message, or NULL */
    bool system_in_last;           /* in front of the last instead */
    const char *user, *assistant;  /* turns */
    const char *generation;        /* where the reply begins */
    const char *stop;              /* how the next turn would begin, where that is plain text */
    const char *needs;             /* recognised only with this piece in the vocabulary */
    enum trim_rule trim;
    bool space_is_vocabularys; /* a space behind a piece is the one that some vocabularies add */
    bool always_system;        /* the system turn is there even without a message */
};

/* Guard models dress a format up as a questionnaire: those are not chats. */
#define GUARD_WORDS "UNSAFE CONTENT", "policy expert"

/* The templates are those in tokenizer_config.json of google/gemma-2b-it, google/gemma-3-1b-it,
 * meta-llama/Llama-2-7b-chat-hf, Meta-Llama-3-8B-Instruct and Llama-3.1-8B-Instruct,
 * mistralai/Mistral-7B-Instruct-v0.1 to v0.3 as first published ("mistral", "mistral-v3-early") and
 * as of September 2024 ("-v1", "-v3"), mistralai/Mistral-Nemo-Instruct-2407,
 * Qwen/Qwen2.5-7B-Instruct and Qwen3, ibm-granite/granite-3.0-8b-instruct; Phi-2's format is that
 * of its model card.  The first row that fits is taken. */
static const struct chat_format formats[] = {
    {
        .name = "gemma3",
        .has = {"<start_of_turn>", "first_user_prefix"},
        .lacks = {GUARD_WORDS},
        .markers = {"<start_of_turn>", "<end_of_turn>"},
        .start = "{bos}",
        .system_prefix = "%s\n\n",
        .user = "<start_of_turn>user\n%s<end_of_turn>\n",
        .assistant = "<start_of_turn>model\n%s<end_of_turn>\n",
        .generation = "<start_of_turn>model\n",
        .trim = TRIM_CONTENT,
    },
    {
        .name = "gemma",
        .has = {"<start_of_turn>"},
        .lacks = {GUARD_WORDS},
        .markers = {"<start_of_turn>", "<end_of_turn>"},
        .start = "{bos}",
        .user = "<start_of_turn>user\n%s<end_of_turn>\n",
        .assistant = "<start_of_turn>model\n%s<end_of_turn>\n",
        .generation = "<start_of_turn>model\n",
        .trim = TRIM_CONTENT,
    },
    {
        .name = "llama2",
        .has = {"[INST]", "<<SYS>>"},
        .start = "",
        .system_prefix = "<<SYS>>\n%s\n<</SYS>>\n\n",
        .user = "{bos}[INST] %s [/INST]",
        .assistant = " %s {eos}",
        .generation = "",
        .trim = TRIM_WHOLE,
    },
    {
        /* The date is the template's own where the program that runs it gives none. */
        .name = "llama3.1",
        .has = {"<|start_header_id|>", "Cutting Knowledge Date"},
        .lacks = {GUARD_WORDS},
        .markers = {"<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"},
        .start = "{bos}",
        .system = "<|start_header_id|>system<|end_header_id|>\n\nCutting Knowledge Date: December "
                  "2023\nToday Date: 26 Jul 2024\n\n%s<|eot_id|>",
        .user = "<|start_header_id|>user<|end_header_id|>\n\n%s<|eot_id|>",
        .assistant = "<|start_header_id|>assistant<|end_header_id|>\n\n%s<|eot_id|>",
        .generation = "<|start_header_id|>assistant<|end_header_id|>\n\n",
        .trim = TRIM_CONTENT,
        .always_system = true,
    },
    {
        .name = "llama3",
        .has = {"<|start_header_id|>"},
        .lacks = {GUARD_WORDS},
        .markers = {"<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"},
        .start = "{bos}",
        .system = "<|start_header_id|>system<|end_header_id|>\n\n%s<|eot_id|>",
        .user = "<|start_header_id|>user<|end_header_id|>\n\n%s<|eot_id|>",
        .assistant = "<|start_header_id|>assistant<|end_header_id|>\n\n%s<|eot_id|>",
        .generation = "<|start_header_id|>assistant<|end_header_id|>\n\n",
        .trim = TRIM_CONTENT,
    },
    {
        .name = "mistral-tekken",
        .has = {"\"[INST]\"", "[AVAILABLE_TOOLS]"},
        .lacks = {"<<SYS>>", "[SYSTEM_PROMPT]"},
        .markers = {"[INST]", "[/INST]"},
        .start = "{bos}",
        .system_prefix = "%s\n\n",
        .system_in_last = true,
        .user = "[INST]%s[/INST]",
        .assistant = "%s{eos}",
        .generation = "",
        .needs = "[INST]",
    },
    {
        .name = "mistral-v3",
        .has = {"[INST]", "[AVAILABLE_TOOLS]"},
        .lacks = {"<<SYS>>", "[SYSTEM_PROMPT]"},
        .markers = {"[INST]", "[/INST]"},
        .start = "{bos}",
        .system_prefix = "%s\n\n",
        .system_in_last = true,
        .user = "[INST] %s[/INST]",
        .assistant = " %s{eos}",
        .generation = "",
        .space_is_vocabularys = true,
        .needs = "[INST]",
        .trim = TRIM_ASSISTANT,
    },
    {
        .name = "mistral-v3-early",
        .has = {"[INST]"},
        .lacks = {"<<SYS>>", "<|user|>", "[AVAILABLE_TOOLS]", "[SYSTEM_PROMPT]"},
        .markers = {"[INST]", "[/INST]"},
        .start = "{bos}",
        .user = "[INST] %s[/INST]",
        .assistant = " %s{eos}",
        .generation = "",
        .space_is_vocabularys = true,
        .needs = "[INST]",
    },
    {
        .name = "mistral-v1",
        .has = {" [INST] ", "system_message"},
        .lacks = {"<<SYS>>", "<|user|>", "[AVAILABLE_TOOLS]", "[SYSTEM_PROMPT]"},
        .start = "{bos}",
        .system_prefix = "%s\n\n",
        .user = " [INST] %s [/INST]",
        .assistant = " %s{eos}",
        .generation = "",
        .space_is_vocabularys = true,
    },
    {
        .name = "mistral",
        .has = {"[INST]"},
        .lacks = {"<<SYS>>", "<|user|>", "[AVAILABLE_TOOLS]", "[SYSTEM_PROMPT]"},
        .start = "{bos}",
        .user = "[INST] %s [/INST]",
        .assistant = "%s{eos}",
        .generation = "",
    },
    {
        .name = "chatml",
        .has = {"<|im_start|>", "<|im_end|>"},
        .lacks = {"UNSAFE CONTENT", "<|im_sep|>"},
        .markers = {"<|im_start|>", "<|im_end|>"},
        .start = "",
        .system = "<|im_start|>system\n%s<|im_end|>\n",
        .user = "<|im_start|>user\n%s<|im_end|>\n",
        .assistant = "<|im_start|>assistant\n%s<|im_end|>\n",
        .generation = "<|im_start|>assistant\n",
    },
    {
        /* Later versions begin with a system message of their own, most with today's date. */
        .name = "granite",
        .has = {"<|start_of_role|>"},
        .lacks = {"safety agent", "Knowledge Cutoff Date", "default_system_message"},
        .markers = {"<|start_of_role|>", "<|end_of_role|>", "<|end_of_text|>"},
        .start = "",
        .system = "<|start_of_role|>system<|end_of_role|>%s<|end_of_text|>\n",
        .user = "<|start_of_role|>user<|end_of_role|>%s<|end_of_text|>\n",
        .assistant = "<|start_of_role|>assistant<|end_of_role|>%s<|end_of_text|>\n",
        .generation = "<|start_of_role|>assistant<|end_of_role|>",
    },
    {
        .name = "phi",
        .has = {"Instruct:", "Output:"},
        .start = "",
        .user = "Instruct: %s\n",
        .assistant = "Output: %s\n",
        .generation = "Output:",
        .stop = "\nInstruct:",
    },
};

#define N_FORMATS (sizeof formats / sizeof formats[0])
#define N_MARKERS (sizeof formats[0].markers / sizeof formats[0].markers[0])
#define PREPENDED "%s\n\n" /* CHAT_SYSTEM_PREPEND_USER */

static const char *const system_as_names[] = {
    [CHAT_SYSTEM_ERROR] = "error",
    [CHAT_SYSTEM_DROP] = "drop",
    [CHAT_SYSTEM_PREPEND_USER] = "prepend-user",
};

const char *chat_system_as_name(enum chat_system_as system_as)
{
    return system_as_names[system_as];
}

bool chat_system_as_find(const char *name, enum chat_system_as *out)
{
    for (size_t i = 0; i < sizeof system_as_names / sizeof system_as_names[0]; i++)
        if (strcmp(name, system_as_names[i]) == 0) {
            *out = (enum chat_system_as)i;
            return true;
        }
    return false;
}

void chat_template_append_names(struct strbuf *out)
{
    for (size_t i = 0; i < N_FORMATS; i++)
        strbuf_appendf(out, "%s%s", i ? ", " : "", formats[i].name);
}

/* ---- recognising ---- */

/* Where `part` starts in the text, or the text's length. */
static size_t find(struct text text, const char *part)
{
    size_t n = strlen(part);
    for (size_t i = 0; i + n <= text.length; i++)
        if (memcmp(text.data + i, part, n) == 0) return i;
    return text.length;
}

static bool contains(struct text text, const char *part)
{
    return find(text, part) < text.length;
}

static bool fits(const struct chat_format *format, const struct tokenizer *tokenizer,
                 struct text source)
{
    for (int i = 0; i < 2 && format->has[i]; i++)
        if (!contains(source, format->has[i])) return false;
    for (int i = 0; i < 4 && format->lacks[i]; i++)
        if (contains(source, format->lacks[i])) return false;
    return !format->needs || tokenizer_find(tokenizer, format->needs) >= 0;
}

/* ChatML's templates differ in what they say when there is no system message: the text that stands
 * whole between "<|im_start|>system\n" and "<|im_end|>". */
static status_code find_default_system(struct chat_template *template, struct text source,
                                       struct status *st)
{
    static const char opening[] = "<|im_start|>system";
    for (;;) {
        size_t at = find(source, opening);
        if (at == source.length) return STATUS_OK;
        at += strlen(opening);
        source = (struct text){source.data + at, source.length - at};
        size_t newline = source.length && source.data[0] == '\n'                   ? 1
                         : source.length > 1 && memcmp(source.data, "\\n", 2) == 0 ? 2
                                                                                   : 0;
        struct text said = {source.data + newline, find(source, "<|im_end|>") - newline};
        if (!newline || newline + said.length >= source.length || !said.length) continue;
        if (memchr(said.data, '\'', said.length) || memchr(said.data, '"', said.length) ||
            memchr(said.data, '{', said.length))
            continue;
        if (memchr(said.data, '\\', said.length))
            return status_set(st, STATUS_UNSUPPORTED,
                              "the chat template's own system message has an escape; name the "
                              "format with --chat-template and the message with --system");
        template->default_system = said;
        return STATUS_OK;
    }
}

static status_code unknown(const char *why, status_code code, struct status *st)
{
    struct strbuf names;
    strbuf_init(&names, LIMIT_LINE_BYTES);
    chat_template_append_names(&names);
    status_set(st, code, "%s; formats to choose from with --chat-template: %s", why, names.data);
    strbuf_release(&names);
    return code;
}

static void choose(struct chat_template *out, const struct chat_format *format)
{
    *out = (struct chat_template){.format = format, .name = format->name, .stop = format->stop};
    if (format->always_system) out->default_system = (struct text){"", 0};
}

static status_code find_by_name(struct chat_template *out, const char *name, struct status *st)
{
    for (size_t i = 0; i < N_FORMATS; i++)
        if (strcmp(name, formats[i].name) == 0) {
            choose(out, &formats[i]);
            return STATUS_OK;
        }
    char why[200];
    snprintf(why, sizeof why, "there is no chat format \"%s\"", name);
    return unknown(why, STATUS_USAGE, st);
}

status_code chat_template_recognise(struct chat_template *out, const struct tokenizer *tokenizer,
                                    struct text source, struct status *st)
{
    for (size_t i = 0; i < N_FORMATS; i++) {
        if (!fits(&formats[i], tokenizer, source)) continue;
        choose(out, &formats[i]);
        sha256_text(source, out->sha256);
        return find_default_system(out, source, st);
    }
    return unknown("the chat template is not one of the known formats", STATUS_UNSUPPORTED, st);
}

status_code chat_template_find(struct chat_template *out, const struct tokenizer *tokenizer,
                               const char *name, struct status *st)
{
    struct text source = tokenizer_get_info(tokenizer)->chat_template;
    if (name) return find_by_name(out, name, st);
    if (!source.length)
        return unknown("the model's files hold no chat template", STATUS_UNSUPPORTED, st);
    return chat_template_recognise(out, tokenizer, source, st);
}

const char *chat_template_system_place(const struct chat_template *template,
                                       enum chat_system_as system_as)
{
    if (template->format->system) return "turn";
    if (template->format->system_prefix || system_as == CHAT_SYSTEM_PREPEND_USER) return "user";
    return system_as == CHAT_SYSTEM_DROP ? "dropped" : NULL;
}

/* ---- rendering ---- */

struct renderer {
    const struct chat_format *format;
    const struct tokenizer *tokenizer;
    struct token_list *ids; /* may be NULL */
    struct strbuf *shown;   /* may be NULL */
    struct strbuf run;      /* text since the last control piece */
    bool after_marker;      /* a space that comes now may be the vocabulary's */
    bool started;           /* something came before the run */
};

/* Whether the vocabulary itself puts a space in front of each run of text: then the one that the
 * format writes behind a marker is that one. */
static bool adds_space(const struct tokenizer *tokenizer)
{
    for (int i = 0; i < tokenizer->normalizer.n_steps; i++)
        if (tokenizer->normalizer.steps[i].kind == NORMALIZE_PREPEND) return true;
    return false;
}

/* All text between two control pieces is encoded as one: pieces may reach across its parts. */
static status_code flush(struct renderer *r, struct status *st)
{
    struct text run = {r->run.data, r->run.length};
    status_code code = strbuf_check(&r->run, "a chat prompt", st);
    if (code != STATUS_OK || !run.length) return code;
    if (r->shown) strbuf_append(r->shown, run.data, run.length);
    if (r->after_marker && run.data[0] == ' ' && adds_space(r->tokenizer)) run.data++, run.length--;
    int flags = TOKENIZE_USER_TEXT | (r->started ? TOKENIZE_CONTINUED : 0);
    if (r->ids) code = tokenizer_encode(r->tokenizer, run, (enum tokenize_flags)flags, r->ids, st);
    strbuf_clear(&r->run);
    r->started = true;
    r->after_marker = false;
    return code;
}

static status_code put_control(struct renderer *r, int32_t id, const char *name, struct status *st)
{
    status_code code = flush(r, st);
    if (code != STATUS_OK) return code;
    if (id < 0)
        return status_set(st, STATUS_UNSUPPORTED,
                          "the vocabulary has no %s, which chat format %s needs", name,
                          r->format->name);
    struct text stored = r->tokenizer->vocab.pieces[id].stored;
    if (r->shown) strbuf_append(r->shown, stored.data, stored.length);
    r->started = true;
    r->after_marker = r->format->space_is_vocabularys;
    return r->ids ? token_list_append(r->ids, id, st) : STATUS_OK;
}

static bool starts_with(const char *string, const char *prefix)
{
    return strncmp(string, prefix, strlen(prefix)) == 0;
}

/* The marker that starts here, or NULL. */
static const char *marker_at(const struct chat_format *format, const char *p)
{
    for (size_t i = 0; i < N_MARKERS && format->markers[i]; i++)
        if (starts_with(p, format->markers[i])) return format->markers[i];
    return NULL;
}

static status_code put(struct renderer *r, const char *p, struct text content, struct status *st)
{
    const struct tokenizer_info *info = tokenizer_get_info(r->tokenizer);
    status_code code = STATUS_OK;
    while (*p && code == STATUS_OK) {
        const char *marker = marker_at(r->format, p);
        if (marker) {
            code = put_control(r, tokenizer_find(r->tokenizer, marker), marker, st);
            p += strlen(marker);
        } else if (starts_with(p, "{bos}")) {
            code = put_control(r, info->bos, "BOS", st);
            p += 5;
        } else if (starts_with(p, "{eos}")) {
            code = put_control(r, info->eos, "EOS", st);
            p += 5;
        } else if (starts_with(p, "%s")) {
            strbuf_append(&r->run, content.data, content.length);
            p += 2;
        } else {
            strbuf_append_char(&r->run, *p++);
        }
    }
    return code;
}

static void append_filled(struct strbuf *out, const char *pattern, struct text content)
{
    const char *place = strstr(pattern, "%s");
    strbuf_append(out, pattern, (size_t)(place - pattern));
    strbuf_append(out, content.data, content.length);
    strbuf_append_str(out, place + 2);
}

/* One user or assistant turn; `prefix` is what a system message became, or NULL. */
static status_code put_turn(struct renderer *r, const struct chat_message *message,
                            const char *prefix, struct text system, struct status *st)
{
    const char *turn = message->role == CHAT_USER ? r->format->user : r->format->assistant;
    struct text content = message->content;
    struct strbuf whole;
    strbuf_init(&whole, LIMIT_PROMPT_BYTES);
    if (r->format->trim == TRIM_CONTENT ||
        (r->format->trim == TRIM_ASSISTANT && message->role == CHAT_ASSISTANT))
        content = utf8_strip(content);
    if (prefix) append_filled(&whole, prefix, system);
    strbuf_append(&whole, content.data, content.length);
    status_code code = strbuf_check(&whole, "a chat message", st);
    content = (struct text){whole.data, whole.length};
    if (r->format->trim == TRIM_WHOLE) content = utf8_strip(content);
    if (code == STATUS_OK) code = put(r, turn, content, st);
    strbuf_release(&whole);
    return code;
}

static status_code check_order(const struct chat_message *messages, int n, struct status *st)
{
    int first = n > 0 && messages[0].role == CHAT_SYSTEM;
    for (int i = first; i < n; i++) {
        enum chat_role expected = (i - first) % 2 ? CHAT_ASSISTANT : CHAT_USER;
        if (messages[i].role != expected)
            return status_set(st, STATUS_USAGE,
                              "message %d of the chat is not the %s's, whose turn it is", i + 1,
                              expected == CHAT_USER ? "user" : "assistant");
    }
    if (n <= first) return status_set(st, STATUS_USAGE, "a chat has no message of the user");
    return STATUS_OK;
}

/* Where the system message goes: a turn that is put now, or *prefix for the first user turn. */
static status_code place_system(struct renderer *r, const struct chat_template *template,
                                bool given, struct text *system, enum chat_system_as system_as,
                                const char **prefix, struct status *st)
{
    const struct chat_format *format = r->format;
    *prefix = NULL;
    if (!given) *system = template->default_system;
    if (!system->data) return STATUS_OK;
    if (format->system) {
        struct text content = format->trim == TRIM_CONTENT ? utf8_strip(*system) : *system;
        return put(r, format->system, content, st);
    }
    *prefix = format->system_prefix;
    if (*prefix || system_as == CHAT_SYSTEM_DROP) return STATUS_OK;
    if (system_as == CHAT_SYSTEM_ERROR)
        return status_set(st, STATUS_USAGE,
                          "chat format %s has no place for a system message; --system-as drop or "
                          "prepend-user says what becomes of it",
                          format->name);
    *prefix = PREPENDED;
    *system = utf8_strip(*system);
    return STATUS_OK;
}

/* Where the model goes on: behind what opens its turn, or behind how its reply begins. */
static status_code open_reply(struct renderer *r, const struct chat_message *last,
                              struct status *st)
{
    const struct chat_format *format = r->format;
    if (last->role == CHAT_USER) return put(r, format->generation, (struct text){0}, st);
    struct text content = last->content;
    if (format->trim != TRIM_NOTHING) content = utf8_strip(content);
    char opening[64];
    const char *place = strstr(format->assistant, "%s");
    BUG_IF(!place || place - format->assistant >= (ptrdiff_t)sizeof opening);
    snprintf(opening, sizeof opening, "%.*s", (int)(place - format->assistant), format->assistant);
    status_code code = put(r, opening, content, st);
    strbuf_append(&r->run, content.data, content.length);
    return code;
}

/* All but the text behind the last control piece, which stays in r->run. */
static status_code render(struct renderer *r, const struct chat_template *template,
                          const struct chat_message *messages, int n, enum chat_system_as system_as,
                          struct status *st)
{
    status_code code = check_order(messages, n, st);
    if (code != STATUS_OK) return code;
    bool given = messages[0].role == CHAT_SYSTEM;
    struct text system = given ? messages[0].content : (struct text){0};
    const struct chat_message *last = &messages[n - 1];
    int n_whole = n - (last->role == CHAT_ASSISTANT);
    const char *prefix = NULL;
    code = put(r, r->format->start, system, st);
    if (code == STATUS_OK) code = place_system(r, template, given, &system, system_as, &prefix, st);
    int carrier = r->format->system_in_last ? n_whole - 1 : given;
    for (int i = given; i < n_whole && code == STATUS_OK; i++)
        code = put_turn(r, &messages[i], i == carrier ? prefix : NULL, system, st);
    return code == STATUS_OK ? open_reply(r, last, st) : code;
}

static void renderer_init(struct renderer *r, const struct chat_template *template,
                          const struct tokenizer *tokenizer)
{
    *r = (struct renderer){.format = template->format, .tokenizer = tokenizer};
    strbuf_init(&r->run, LIMIT_PROMPT_BYTES);
}

status_code chat_template_render(const struct chat_template *template,
                                 const struct tokenizer *tokenizer,
                                 const struct chat_message *messages, int n,
                                 enum chat_system_as system_as, struct token_list *ids,
                                 struct strbuf *shown, struct status *st)
{
    struct renderer r;
    size_t count_before = ids ? ids->count : 0;
    renderer_init(&r, template, tokenizer);
    r.ids = ids;
    r.shown = shown;
    status_code code = render(&r, template, messages, n, system_as, st);
    if (code == STATUS_OK) code = flush(&r, st);
    if (code != STATUS_OK && ids) ids->count = count_before;
    strbuf_release(&r.run);
    return code;
}

/* What r->run holds, with a reply behind it, after the ids that came before it. */
static status_code finish_with(const struct renderer *r, struct text run, struct text reply,
                               struct token_list *out, struct status *st)
{
    struct renderer own = *r;
    own.ids = out;
    strbuf_init(&own.run, 2 * (size_t)LIMIT_PROMPT_BYTES);
    strbuf_append(&own.run, run.data, run.length);
    strbuf_append(&own.run, reply.data, reply.length);
    status_code code = STATUS_OK;
    for (size_t i = 0; i < r->ids->count && code == STATUS_OK; i++)
        code = token_list_append(out, r->ids->ids[i], st);
    if (code == STATUS_OK) code = flush(&own, st);
    strbuf_release(&own.run);
    return code;
}

status_code chat_template_render_replies(const struct chat_template *template,
                                         const struct tokenizer *tokenizer,
                                         const struct chat_message *messages, int n,
                                         enum chat_system_as system_as,
                                         struct chat_replies *replies, struct status *st)
{
    struct renderer r;
    struct token_list before = {0}, context = {0};
    renderer_init(&r, template, tokenizer);
    r.ids = &before;
    status_code code = render(&r, template, messages, n, system_as, st);
    struct text run = {r.run.data, r.run.length};
    if (code == STATUS_OK) code = strbuf_check(&r.run, "a chat prompt", st);
    if (code == STATUS_OK) code = finish_with(&r, utf8_rstrip(run), (struct text){0}, &context, st);
    replies->n_context = context.count;
    for (int i = 0; i < replies->n && code == STATUS_OK; i++)
        code = finish_with(&r, run, replies->texts[i], &replies->ids[i], st);
    token_list_release(&before);
    token_list_release(&context);
    strbuf_release(&r.run);
    return code;
}
