/* Hugging Face tokenizer.json: fields normalizer, pre_tokenizer and decoder. */
#include "engine/base/json.h"
#include "engine/tokenizer/tokenizer_core.h"

#define MAX_NESTING 4 /* of Sequence in Sequence */

/* A node's kind: "" for null or a missing node. */
static status_code get_type(const struct json_value *node, const char *field, struct text *type,
                            struct status *st)
{
    *type = text_of("");
    if (!node || json_kind(node) == JSON_NULL) return STATUS_OK;
    status_code code = json_get_text(node, "type", type, st);
    return code == STATUS_OK ? code : status_prefix(st, "%s", field);
}

static bool is(struct text type, const char *name)
{
    return text_equal(type, text_of(name));
}

static status_code refuse(const char *field, struct text type, const char *why, struct status *st)
{
    return status_set(st, STATUS_UNSUPPORTED, "%s of type \"%.*s\" is not supported%s", field,
                      TEXT_ARGS(piece_for_message(type)), why);
}

static status_code copy_text(struct tokenizer *tokenizer, struct text from, struct text *to,
                             struct status *st)
{
    char *copy = arena_strndup(&tokenizer->arena, from.data, from.length);
    if (!copy) return status_no_memory(st, "a tokenizer");
    *to = (struct text){copy, from.length};
    return STATUS_OK;
}

/* The literal string of a pattern; regular expressions are refused. */
static status_code get_pattern(const struct json_value *node, const char *field, struct text *out,
                               struct status *st)
{
    const struct json_value *pattern;
    status_code code = json_get_object(node, "pattern", &pattern, st);
    if (code != STATUS_OK) return status_prefix(st, "%s", field);
    if (!json_has(pattern, "String"))
        return status_set(st, STATUS_UNSUPPORTED,
                          "%s: only a pattern of kind \"String\" is supported", field);
    code = json_get_text(pattern, "String", out, st);
    if (code == STATUS_OK && !out->length)
        code = status_set(st, STATUS_BAD_INPUT, "the pattern is empty");
    return code == STATUS_OK ? code : status_prefix(st, "%s", field);
}

/* ---- normalizer ---- */

static status_code add_replace(struct tokenizer *tokenizer, const struct json_value *node,
                               struct status *st)
{
    struct text from, to;
    status_code code = get_pattern(node, "normalizer", &from, st);
    if (code != STATUS_OK) return code;
    code = json_get_text(node, "content", &to, st);
    if (code != STATUS_OK) return status_prefix(st, "normalizer");
    struct normalizer_step step = {.kind = NORMALIZE_REPLACE};
    code = copy_text(tokenizer, from, &step.from, st);
    if (code == STATUS_OK) code = copy_text(tokenizer, to, &step.to, st);
    return code == STATUS_OK ? normalizer_add(&tokenizer->normalizer, step, st) : code;
}

static status_code add_prepend(struct tokenizer *tokenizer, const struct json_value *node,
                               struct status *st)
{
    struct text to;
    struct normalizer_step step = {.kind = NORMALIZE_PREPEND};
    status_code code = json_get_text(node, "prepend", &to, st);
    if (code != STATUS_OK) return status_prefix(st, "normalizer");
    code = copy_text(tokenizer, to, &step.to, st);
    return code == STATUS_OK ? normalizer_add(&tokenizer->normalizer, step, st) : code;
}

static status_code read_normalizer(struct tokenizer *tokenizer, const struct json_value *node,
                                   int depth, struct status *st)
{
    struct text type;
    status_code code = get_type(node, "normalizer", &type, st);
    if (code != STATUS_OK || is(type, "")) return code;
    if (is(type, "Replace")) return add_replace(tokenizer, node, st);
    if (is(type, "Prepend")) return add_prepend(tokenizer, node, st);
    if (!is(type, "Sequence") || depth == MAX_NESTING) return refuse("normalizer", type, "", st);
    const struct json_value *list;
    code = json_get_array(node, "normalizers", &list, st);
    if (code != STATUS_OK) return status_prefix(st, "normalizer");
    for (const struct json_value *v = json_first(list); v && code == STATUS_OK; v = json_next(v))
        code = read_normalizer(tokenizer, v, depth + 1, st);
    return code;
}

/* ---- pre_tokenizer ---- */

static bool contains(struct text text, struct text part)
{
    for (size_t i = 0; i + part.length <= text.length; i++)
        if (text_equal((struct text){text.data + i, part.length}, part)) return true;
    return false;
}

/* Whether normalized text can hold this string no more: Gemma's files split at a space after every
 * space has become something else. */
static bool is_replaced(const struct normalizer *normalizer, struct text pattern)
{
    bool replaced = false;
    for (int i = 0; i < normalizer->n_steps; i++) {
        const struct normalizer_step *step = &normalizer->steps[i];
        if (step->kind == NORMALIZE_REPLACE && text_equal(step->from, pattern)) replaced = true;
        if (contains(step->to, pattern)) replaced = false;
    }
    return replaced && pattern.length == 1;
}

static status_code read_split(struct tokenizer *tokenizer, const struct json_value *node,
                              struct status *st)
{
    struct text pattern;
    status_code code = get_pattern(node, "pre_tokenizer", &pattern, st);
    if (code != STATUS_OK || is_replaced(&tokenizer->normalizer, pattern)) return code;
    return refuse("pre_tokenizer", text_of("Split"),
                  ", except on a character that the normalizer replaced", st);
}

static status_code read_metaspace(struct tokenizer *tokenizer, const struct json_value *node,
                                  struct status *st)
{
    struct text replacement, scheme;
    bool split = true;
    status_code code = json_get_text(node, "replacement", &replacement, st);
    if (code == STATUS_OK) code = json_get_text(node, "prepend_scheme", &scheme, st);
    if (code == STATUS_OK && json_has(node, "split"))
        code = json_get_bool(node, "split", &split, st);
    if (code != STATUS_OK) return status_prefix(st, "pre_tokenizer");
    bool always = is(scheme, "always"), first = is(scheme, "first");
    if (split || json_has(node, "str_rep") || (!always && !first && !is(scheme, "never")))
        return refuse("pre_tokenizer", text_of("Metaspace"),
                      ", except with split false and prepend_scheme always, first or never", st);
    struct normalizer_step escape = {.kind = NORMALIZE_REPLACE};
    code = copy_text(tokenizer, text_of(" "), &escape.from, st);
    if (code == STATUS_OK) code = copy_text(tokenizer, replacement, &escape.to, st);
    if (code == STATUS_OK) code = normalizer_add(&tokenizer->pre_tokenizer, escape, st);
    if (code != STATUS_OK || (!always && !first)) return code;
    struct normalizer_step prefix = {
        .kind = always ? NORMALIZE_PREPEND_MISSING : NORMALIZE_PREPEND_FIRST,
        .to = escape.to,
    };
    return normalizer_add(&tokenizer->pre_tokenizer, prefix, st);
}

static status_code read_pre_tokenizer(struct tokenizer *tokenizer, const struct json_value *node,
                                      struct status *st)
{
    struct text type;
    status_code code = get_type(node, "pre_tokenizer", &type, st);
    if (code != STATUS_OK || is(type, "")) return code;
    if (is(type, "Split")) return read_split(tokenizer, node, st);
    if (is(type, "Metaspace")) return read_metaspace(tokenizer, node, st);
    return refuse("pre_tokenizer", type, "", st);
}

/* ---- decoder ---- */

struct decoder_parts {
    bool spaces, bytes, fuse, strip;
};

static status_code read_decoder_replace(struct decoder_parts *parts, const struct json_value *node,
                                        struct status *st)
{
    struct text from, to;
    status_code code = get_pattern(node, "decoder", &from, st);
    if (code != STATUS_OK) return code;
    code = json_get_text(node, "content", &to, st);
    if (code != STATUS_OK) return status_prefix(st, "decoder");
    if (!is(from, SPACE_SYMBOL) || !is(to, " "))
        return refuse("decoder", text_of("Replace"), ", except of U+2581 by a space", st);
    parts->spaces = true;
    return STATUS_OK;
}

static status_code read_decoder_strip(struct decoder_parts *parts, const struct json_value *node,
                                      struct status *st)
{
    struct text content;
    int64_t start, stop;
    status_code code = json_get_text(node, "content", &content, st);
    if (code == STATUS_OK) code = json_get_int(node, "start", 0, INT32_MAX, &start, st);
    if (code == STATUS_OK) code = json_get_int(node, "stop", 0, INT32_MAX, &stop, st);
    if (code != STATUS_OK) return status_prefix(st, "decoder");
    if (!parts->fuse || !is(content, " ") || start > 1 || stop)
        return refuse("decoder", text_of("Strip"), ", except of one leading space after Fuse", st);
    parts->strip = start == 1;
    return STATUS_OK;
}

static status_code read_decoder_metaspace(struct decoder_parts *parts,
                                          const struct json_value *node, struct status *st)
{
    struct text replacement, scheme = text_of("always");
    status_code code = json_get_text(node, "replacement", &replacement, st);
    if (code == STATUS_OK && json_has(node, "prepend_scheme"))
        code = json_get_text(node, "prepend_scheme", &scheme, st);
    if (code != STATUS_OK) return status_prefix(st, "decoder");
    if (!is(replacement, SPACE_SYMBOL))
        return refuse("decoder", text_of("Metaspace"), ", except with replacement U+2581", st);
    parts->spaces = true;
    parts->strip = !is(scheme, "never");
    return STATUS_OK;
}

static status_code read_decoder(struct decoder_parts *parts, const struct json_value *node,
                                int depth, struct status *st)
{
    struct text type;
    status_code code = get_type(node, "decoder", &type, st);
    if (code != STATUS_OK || is(type, "")) return code;
    if (is(type, "Replace")) return read_decoder_replace(parts, node, st);
    if (is(type, "Strip")) return read_decoder_strip(parts, node, st);
    if (is(type, "Metaspace")) return read_decoder_metaspace(parts, node, st);
    if (is(type, "ByteFallback") || is(type, "Fuse")) {
        *(is(type, "Fuse") ? &parts->fuse : &parts->bytes) = true;
        return STATUS_OK;
    }
    if (!is(type, "Sequence") || depth == MAX_NESTING) return refuse("decoder", type, "", st);
    const struct json_value *list;
    code = json_get_array(node, "decoders", &list, st);
    if (code != STATUS_OK) return status_prefix(st, "decoder");
    for (const struct json_value *v = json_first(list); v && code == STATUS_OK; v = json_next(v))
        code = read_decoder(parts, v, depth + 1, st);
    return code;
}

status_code tokenizer_read_json_rules(struct tokenizer *tokenizer, const struct json_value *root,
                                      struct status *st)
{
    struct decoder_parts parts = {0};
    status_code code = read_normalizer(tokenizer, json_member(root, "normalizer"), 0, st);
    if (code == STATUS_OK)
        code = read_pre_tokenizer(tokenizer, json_member(root, "pre_tokenizer"), st);
    if (code == STATUS_OK) code = read_decoder(&parts, json_member(root, "decoder"), 0, st);
    if (code != STATUS_OK) return code;
    if (!parts.spaces)
        return status_set(st, STATUS_UNSUPPORTED,
                          "a decoder that does not turn U+2581 into a space is not supported");
    if (tokenizer->byte_fallback && !parts.bytes)
        return status_set(st, STATUS_UNSUPPORTED,
                          "model.byte_fallback without a ByteFallback decoder is not supported");
    tokenizer->strip_first_space = parts.strip;
    return STATUS_OK;
}
