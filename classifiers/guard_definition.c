#include "classifiers/guard_definition.h"

#include <stdlib.h>
#include <string.h>

#include "classifiers/strict_json.h"
#include "engine/base/limits.h"

extern const struct text embedded_classifiers_guards_granite_guardian_3_0_json;
extern const struct text embedded_classifiers_guards_granite_guardian_3_1_json;
extern const struct text embedded_classifiers_guards_granite_guardian_3_2_json;
extern const struct text embedded_classifiers_guards_granite_guardian_3_3_json;
extern const struct text embedded_classifiers_guards_granite_guardian_4_1_json;
extern const struct text embedded_classifiers_guards_llama_guard_1_json;
extern const struct text embedded_classifiers_guards_llama_guard_2_json;
extern const struct text embedded_classifiers_guards_llama_guard_3_json;
extern const struct text embedded_classifiers_guards_qwen3guard_json;
extern const struct text embedded_classifiers_guards_qwen3guard_loose_json;
extern const struct text embedded_classifiers_guards_shieldgemma_json;
extern const struct text embedded_classifiers_guards_shieldgemma_colab_json;
extern const struct text embedded_classifiers_guards_wildguard_json;

static const struct {
    const char *name;
    const struct text *json;
} built_in[] = {
    {"shieldgemma", &embedded_classifiers_guards_shieldgemma_json},
    {"shieldgemma-colab", &embedded_classifiers_guards_shieldgemma_colab_json},
    {"llama-guard-1", &embedded_classifiers_guards_llama_guard_1_json},
    {"llama-guard-2", &embedded_classifiers_guards_llama_guard_2_json},
    {"llama-guard-3", &embedded_classifiers_guards_llama_guard_3_json},
    {"wildguard", &embedded_classifiers_guards_wildguard_json},
    {"granite-guardian-3.0", &embedded_classifiers_guards_granite_guardian_3_0_json},
    {"granite-guardian-3.1", &embedded_classifiers_guards_granite_guardian_3_1_json},
    {"granite-guardian-3.2", &embedded_classifiers_guards_granite_guardian_3_2_json},
    {"granite-guardian-3.3", &embedded_classifiers_guards_granite_guardian_3_3_json},
    {"granite-guardian-4.1", &embedded_classifiers_guards_granite_guardian_4_1_json},
    {"qwen3guard", &embedded_classifiers_guards_qwen3guard_json},
    {"qwen3guard-loose", &embedded_classifiers_guards_qwen3guard_loose_json},
};
#define N_BUILT_IN (sizeof built_in / sizeof built_in[0])

const char *guard_definition_name(size_t index)
{
    return index < N_BUILT_IN ? built_in[index].name : NULL;
}

/* ---- reading ---- */

static status_code keep_text(struct guard_definition *d, struct text text, const char **out,
                             struct status *st)
{
    *out = arena_strndup(&d->arena, text.data, text.length);
    return *out ? STATUS_OK : status_no_memory(st, "a guard definition");
}

static status_code read_slot(struct text name, struct guard_part *out, struct status *st)
{
    static const struct {
        const char *name;
        enum guard_part_kind kind;
    } slots[] = {{"prompt", PART_PROMPT}, {"response", PART_RESPONSE}, {"policy", PART_POLICY}};
    for (size_t i = 0; i < sizeof slots / sizeof slots[0]; i++)
        if (text_equal(name, text_of(slots[i].name))) {
            out->kind = slots[i].kind;
            return STATUS_OK;
        }
    return status_set(st, STATUS_BAD_INPUT, "slot \"%.40s\": prompt, response or policy",
                      name.data);
}

static status_code read_part(struct guard_definition *d, const struct json_value *json,
                             struct guard_part *out, struct status *st)
{
    static const char *const names[] = {"text", "token", "token_if_any", "bos", "slot", "trim"};
    struct text text;
    bool bos;
    status_code code = strict_json_fields(json, names, sizeof names / sizeof names[0], st);
    if (code != STATUS_OK) return code;
    bool has_trim = json_has(json, "trim");
    if (has_trim && (code = json_get_bool(json, "trim", &out->trims, st)) != STATUS_OK) return code;
    if (json_count(json) != (has_trim ? 2 : 1) || (has_trim && !json_has(json, "slot")))
        return status_set(st, STATUS_BAD_INPUT,
                          "has %zu fields, expected one of text, token, token_if_any, bos, or slot "
                          "with or without trim",
                          json_count(json));
    const char *key = json_has(json, "slot") ? "slot" : json_key(json_first(json));
    if (strcmp(key, "bos") == 0) {
        out->kind = PART_BOS;
        return json_get_bool(json, key, &bos, st);
    }
    if ((code = json_get_text(json, key, &text, st)) != STATUS_OK) return code;
    if (strcmp(key, "slot") == 0) return read_slot(text, out, st);
    out->kind = strcmp(key, "text") == 0    ? PART_TEXT
                : strcmp(key, "token") == 0 ? PART_TOKEN
                                            : PART_TOKEN_IF_ANY;
    out->length = text.length;
    return keep_text(d, text, &out->text, st);
}

static status_code read_template(struct guard_definition *d, const struct json_value *root,
                                 const char *key, struct guard_template *out, struct status *st)
{
    const struct json_value *parts;
    if (!json_has(root, key)) return STATUS_OK;
    status_code code = json_get_array(root, key, &parts, st);
    if (code != STATUS_OK) return code;
    for (const struct json_value *v = json_first(parts); v; v = json_next(v)) {
        if (out->n_parts == GUARD_MAX_PARTS)
            return status_set(st, STATUS_LIMIT, "field \"%s\" has more than %d parts", key,
                              GUARD_MAX_PARTS);
        if (read_part(d, v, &out->parts[out->n_parts], st) != STATUS_OK)
            return status_prefix(st, "field \"%s\"[%d]", key, out->n_parts);
        out->n_parts++;
    }
    return STATUS_OK;
}

static status_code read_policy_text(struct guard_definition *d, const struct json_value *json,
                                    const char *key, struct text *out, struct status *st)
{
    struct text text;
    if (!json_has(json, key)) return STATUS_OK;
    status_code code = json_get_text(json, key, &text, st);
    if (code != STATUS_OK) return code;
    out->length = text.length;
    return keep_text(d, text, &out->data, st);
}

static status_code read_policy(struct guard_definition *d, const struct json_value *json,
                               struct guard_policy_text *out, struct status *st)
{
    static const char *const names[] = {"category", "prompt", "response"};
    struct text category;
    status_code code;
    if ((code = strict_json_fields(json, names, 3, st)) != STATUS_OK ||
        (code = json_get_text(json, "category", &category, st)) != STATUS_OK)
        return code;
    if (!hazard_find(category, &out->category))
        return status_set(st, STATUS_BAD_INPUT, "field \"category\": unknown category \"%.64s\"",
                          category.data);
    for (int i = 0; i < d->n_policies; i++)
        if (d->policies[i].category == out->category)
            return status_set(st, STATUS_BAD_INPUT, "field \"category\": \"%.64s\" is there twice",
                              category.data);
    if ((code = read_policy_text(d, json, "prompt", &out->prompt, st)) != STATUS_OK) return code;
    return read_policy_text(d, json, "response", &out->response, st);
}

static status_code read_policies(struct guard_definition *d, const struct json_value *root,
                                 struct status *st)
{
    const struct json_value *policies;
    status_code code = json_get_array(root, "policies", &policies, st);
    if (code != STATUS_OK) return code;
    for (const struct json_value *v = json_first(policies); v; v = json_next(v)) {
        if (d->n_policies == GUARD_MAX_POLICIES)
            return status_set(st, STATUS_LIMIT, "field \"policies\" has more than %d entries",
                              GUARD_MAX_POLICIES);
        if (read_policy(d, v, &d->policies[d->n_policies], st) != STATUS_OK)
            return status_prefix(st, "field \"policies\"[%d]", d->n_policies);
        d->n_policies++;
    }
    if (!d->n_policies) return status_set(st, STATUS_BAD_INPUT, "field \"policies\" is empty");
    return STATUS_OK;
}

/* ---- reading: what is read from an answer ---- */

static status_code read_spellings(struct guard_definition *d, const struct json_value *object,
                                  const char *key, const char **out, int *n, struct status *st)
{
    const struct json_value *list;
    status_code code = json_get_array(object, key, &list, st);
    if (code != STATUS_OK) return code;
    for (const struct json_value *v = json_first(list); v; v = json_next(v)) {
        if (json_kind(v) != JSON_STRING || !json_text(v).length)
            return status_set(st, STATUS_BAD_INPUT, "field \"%s\" must hold texts", key);
        if (*n == GUARD_MAX_LABELS)
            return status_set(st, STATUS_LIMIT, "field \"%s\" has more than %d spellings", key,
                              GUARD_MAX_LABELS);
        if (keep_text(d, json_text(v), &out[(*n)++], st) != STATUS_OK) return st->code;
    }
    if (!*n) return status_set(st, STATUS_BAD_INPUT, "field \"%s\" is empty", key);
    return STATUS_OK;
}

static status_code read_labels(struct guard_definition *d, const struct json_value *object,
                               struct guard_labels *out, struct status *st)
{
    status_code code = read_spellings(d, object, "unsafe", out->unsafe, &out->n_unsafe, st);
    return code == STATUS_OK ? read_spellings(d, object, "safe", out->safe, &out->n_safe, st)
                             : code;
}

/* {"S1": "violence", "S5": null}: every name that may be in the list, and its category if any. */
static status_code read_names(struct guard_definition *d, const struct json_value *object,
                              struct guard_answer *out, struct status *st)
{
    const struct json_value *names;
    status_code code = json_get_object(object, "names", &names, st);
    if (code != STATUS_OK) return code;
    for (const struct json_value *m = json_first(names); m; m = json_next(m)) {
        if (out->n_names == GUARD_MAX_NAMES)
            return status_set(st, STATUS_LIMIT, "field \"names\" has more than %d names",
                              GUARD_MAX_NAMES);
        enum hazard_category category = HAZARD_UNSAFE;
        bool has = json_kind(m) == JSON_STRING;
        if (has ? !hazard_find(json_text(m), &category) : json_kind(m) != JSON_NULL)
            return status_set(st, STATUS_BAD_INPUT,
                              "field \"names\": field \"%.64s\" is neither a category nor null",
                              json_key(m));
        out->names[out->n_names].has_category = has;
        out->names[out->n_names].category = category;
        code = keep_text(d, text_of(json_key(m)), &out->names[out->n_names++].name, st);
        if (code != STATUS_OK) return code;
    }
    if (!out->n_names) return status_set(st, STATUS_BAD_INPUT, "field \"names\" is empty");
    return STATUS_OK;
}

static status_code read_verdict(struct guard_definition *d, const struct json_value *json,
                                struct guard_answer *out, struct status *st)
{
    static const char *const names[] = {"for", "after", "category", "unsafe", "safe"};
    struct text category;
    status_code code = strict_json_fields(json, names, sizeof names / sizeof names[0], st);
    if (code == STATUS_OK) code = json_get_text(json, "category", &category, st);
    if (code != STATUS_OK) return code;
    if (!hazard_find(category, &out->category))
        return status_set(st, STATUS_BAD_INPUT, "field \"category\": unknown category \"%.64s\"",
                          category.data);
    return read_labels(d, json, &out->labels, st);
}

static status_code read_answer(struct guard_definition *d, const struct json_value *json,
                               struct guard_answer *out, struct status *st)
{
    static const char *const names[] = {"for", "after", "only_if_unsafe", "names"};
    struct text where, after = {"", 0};
    status_code code = STATUS_OK;
    out->is_names = json_has(json, "names");
    if (!out->is_names)
        code = read_verdict(d, json, out, st);
    else if ((code = strict_json_fields(json, names, sizeof names / sizeof names[0], st)) ==
             STATUS_OK)
        code = read_names(d, json, out, st);
    if (code == STATUS_OK && json_has(json, "only_if_unsafe"))
        code = json_get_bool(json, "only_if_unsafe", &out->only_if_unsafe, st);
    if (code == STATUS_OK && json_has(json, "after"))
        code = json_get_text(json, "after", &after, st);
    if (code == STATUS_OK) code = keep_text(d, after, &out->after, st);
    out->for_prompt = out->for_response = true;
    if (code != STATUS_OK || !json_has(json, "for")) return code;
    if ((code = json_get_text(json, "for", &where, st)) != STATUS_OK) return code;
    out->for_response = !text_equal(where, text_of("prompt"));
    out->for_prompt = !text_equal(where, text_of("response"));
    if (out->for_prompt && out->for_response)
        return status_set(st, STATUS_BAD_INPUT, "field \"for\" must be prompt or response");
    return STATUS_OK;
}

/* A list of names says of what its verdict found, so one must stand before it. */
static status_code check_answers(const struct guard_definition *d, struct status *st)
{
    bool prompt = false, response = false;
    for (int i = 0; i < d->n_answers; i++) {
        const struct guard_answer *a = &d->answers[i];
        if (a->is_names && ((a->for_prompt && !prompt) || (a->for_response && !response)))
            return status_set(st, STATUS_BAD_INPUT,
                              "field \"answers\"[%d]: names stand before any verdict", i);
        prompt = prompt || a->for_prompt;
        response = response || a->for_response;
    }
    if ((d->prompt.n_parts && !prompt) || (d->response.n_parts && !response))
        return status_set(st, STATUS_BAD_INPUT, "field \"answers\": a template has no verdict");
    return STATUS_OK;
}

static status_code read_answers(struct guard_definition *d, const struct json_value *root,
                                struct status *st)
{
    const struct json_value *answers;
    int64_t max;
    status_code code = json_get_array(root, "answers", &answers, st);
    if (code == STATUS_OK)
        code = json_get_int(root, "max_answer_tokens", 1, GUARD_MAX_ANSWER_TOKENS, &max, st);
    if (code != STATUS_OK) return code;
    d->max_answer_tokens = (int)max;
    for (const struct json_value *v = json_first(answers); v; v = json_next(v)) {
        if (d->n_answers == GUARD_MAX_ANSWERS)
            return status_set(st, STATUS_LIMIT, "field \"answers\" has more than %d entries",
                              GUARD_MAX_ANSWERS);
        if (read_answer(d, v, &d->answers[d->n_answers], st) != STATUS_OK)
            return status_prefix(st, "field \"answers\"[%d]", d->n_answers);
        d->n_answers++;
    }
    return check_answers(d, st);
}

/* ---- reading: the whole ---- */

static status_code read_definition(struct guard_definition *d, const struct json_value *root,
                                   struct status *st)
{
    static const char *const names[] = {"name",     "version",  "licence",          "source",
                                        "prompt",   "response", "unsafe",           "safe",
                                        "policies", "answers",  "max_answer_tokens"};
    struct text name, licence, source;
    int64_t version;
    status_code code;
    if ((code = strict_json_fields(root, names, sizeof names / sizeof names[0], st)) ||
        (code = strict_json_name(root, "name", &name, st)) ||
        (code = json_get_int(root, "version", 1, INT32_MAX, &version, st)) ||
        (code = json_get_text(root, "licence", &licence, st)) ||
        (code = json_get_text(root, "source", &source, st)) ||
        (code = keep_text(d, name, &d->name, st)) ||
        (code = keep_text(d, licence, &d->licence, st)) ||
        (code = read_template(d, root, "prompt", &d->prompt, st)) ||
        (code = read_template(d, root, "response", &d->response, st)))
        return code;
    if (json_has(root, "answers")) {
        if (json_has(root, "policies") || json_has(root, "unsafe") || json_has(root, "safe"))
            return status_set(st, STATUS_BAD_INPUT,
                              "has \"answers\" beside \"policies\", \"unsafe\" or \"safe\"");
        code = read_answers(d, root, st);
    } else if ((code = read_labels(d, root, &d->labels, st)) == STATUS_OK) {
        code = read_policies(d, root, st);
    }
    if (code != STATUS_OK) return code;
    d->version = (int)version;
    if (!d->prompt.n_parts && !d->response.n_parts)
        return status_set(st, STATUS_BAD_INPUT, "has neither a \"prompt\" nor a \"response\"");
    return STATUS_OK;
}

status_code guard_definition_parse(struct guard_definition **out, struct text json,
                                   const char *source, struct status *st)
{
    struct json_value *root = NULL;
    struct guard_definition *d = calloc(1, sizeof *d);
    if (!d) return status_no_memory(st, "a guard definition");
    arena_init(&d->arena, LIMIT_POLICY_BYTES);
    sha256_text(json, d->sha256);
    status_code code = json_parse(&root, json, st);
    if (code == STATUS_OK) {
        code = read_definition(d, root, st);
        json_free(root);
    }
    if (code != STATUS_OK) {
        guard_definition_free(d);
        return status_prefix(st, "%s", source);
    }
    *out = d;
    return STATUS_OK;
}

status_code guard_definition_load(struct guard_definition **out, const char *name_or_path,
                                  struct status *st)
{
    for (size_t i = 0; i < N_BUILT_IN; i++)
        if (strcmp(name_or_path, built_in[i].name) == 0)
            return guard_definition_parse(out, *built_in[i].json, name_or_path, st);
    struct strbuf json;
    strbuf_init(&json, LIMIT_POLICY_BYTES);
    status_code code = strbuf_read_file(&json, name_or_path, st);
    if (code == STATUS_OK)
        code = guard_definition_parse(out, (struct text){json.data, json.length}, name_or_path, st);
    else if (code == STATUS_NOT_FOUND)
        code = status_set(st, STATUS_NOT_FOUND,
                          "guard definition \"%.200s\" is neither in the program (`assay list "
                          "classifiers` prints those) nor a file",
                          name_or_path);
    strbuf_release(&json);
    return code;
}

void guard_definition_free(struct guard_definition *d)
{
    if (!d) return;
    arena_release(&d->arena);
    free(d);
}

/* ---- filling ---- */

static struct text filling(const struct guard_part *part, struct text text)
{
    static const char white[] = " \t\n\v\f\r";
    if (!part->trims) return text;
    while (text.length && memchr(white, text.data[0], sizeof white - 1)) text.data++, text.length--;
    while (text.length && memchr(white, text.data[text.length - 1], sizeof white - 1))
        text.length--;
    return text;
}

/* The text of a part that is text, whatever it comes from. */
static struct text part_text(const struct guard_part *part, const struct guard_texts *texts)
{
    switch (part->kind) {
    case PART_TEXT:
    case PART_TOKEN_IF_ANY:
        return (struct text){part->text, part->length};
    case PART_PROMPT:
        return filling(part, texts->prompt);
    case PART_RESPONSE:
        return filling(part, texts->response);
    case PART_POLICY:
        return filling(part, texts->policy);
    case PART_BOS:
    case PART_TOKEN:
        break;
    }
    return (struct text){0};
}

/* Encodes the text collected since the last control token, as one stretch. */
static status_code flush(struct strbuf *stretch, const struct tokenizer *tokenizer,
                         struct token_list *out, struct status *st)
{
    status_code code = strbuf_check(stretch, "a guard prompt", st);
    if (code == STATUS_OK && stretch->length)
        code = tokenizer_encode(tokenizer, (struct text){stretch->data, stretch->length},
                                TOKENIZE_USER_TEXT, out, st);
    strbuf_clear(stretch);
    return code;
}

static status_code append_control(const struct guard_part *part, const struct tokenizer *tokenizer,
                                  struct token_list *out, struct status *st)
{
    int32_t id = part->kind == PART_BOS ? tokenizer_get_info(tokenizer)->bos
                                        : tokenizer_find(tokenizer, part->text);
    if (id < 0)
        return status_set(st, STATUS_BAD_INPUT, "the model's vocabulary has no token \"%s\"",
                          part->kind == PART_BOS ? "BOS" : part->text);
    return token_list_append(out, id, st);
}

status_code guard_definition_encode(const struct guard_template *parts,
                                    const struct guard_texts *texts,
                                    const struct tokenizer *tokenizer, struct token_list *out,
                                    struct status *st)
{
    struct strbuf stretch;
    strbuf_init(&stretch, 2 * (size_t)LIMIT_PROMPT_BYTES + LIMIT_POLICY_BYTES);
    status_code code = STATUS_OK;
    for (int i = 0; i < parts->n_parts && code == STATUS_OK; i++) {
        const struct guard_part *part = &parts->parts[i];
        bool is_token =
            part->kind == PART_BOS || part->kind == PART_TOKEN ||
            (part->kind == PART_TOKEN_IF_ANY && tokenizer_find(tokenizer, part->text) >= 0);
        if (is_token) {
            code = flush(&stretch, tokenizer, out, st);
            if (code == STATUS_OK) code = append_control(part, tokenizer, out, st);
        } else {
            struct text text = part_text(part, texts);
            strbuf_append(&stretch, text.data, text.length);
        }
    }
    if (code == STATUS_OK) code = flush(&stretch, tokenizer, out, st);
    strbuf_release(&stretch);
    return code;
}

void guard_definition_render(const struct guard_template *parts, const struct guard_texts *texts,
                             const char *bos, struct strbuf *out)
{
    for (int i = 0; i < parts->n_parts; i++) {
        const struct guard_part *part = &parts->parts[i];
        struct text text = part_text(part, texts);
        if (part->kind == PART_BOS)
            strbuf_append_str(out, bos);
        else if (part->kind == PART_TOKEN)
            strbuf_append_str(out, part->text);
        else
            strbuf_append(out, text.data, text.length);
    }
}

status_code guard_definition_template_sha256(const struct guard_template *parts,
                                             char hex[SHA256_HEX_SIZE], struct status *st)
{
    const struct guard_texts slots = {text_of("{prompt}"), text_of("{response}"),
                                      text_of("{policy}")};
    struct strbuf text;
    strbuf_init(&text, LIMIT_POLICY_BYTES);
    guard_definition_render(parts, &slots, "{bos}", &text);
    status_code code = strbuf_check(&text, "a guard's template", st);
    if (code == STATUS_OK) sha256_text((struct text){text.data, text.length}, hex);
    strbuf_release(&text);
    return code;
}
