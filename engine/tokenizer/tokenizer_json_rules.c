/* Hugging Face tokenizer.json: fields normalizer, pre_tokenizer and decoder. */
#include <stdlib.h>

#include "engine/base/json.h"
#include "engine/base/limits.h"
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

/* A pattern: a literal string, or a regular expression. */
struct pattern {
    struct text string;
    bool is_regex;
};

static status_code get_pattern(const struct json_value *node, const char *field,
                               struct pattern *out, struct status *st)
{
    const struct json_value *pattern;
    status_code code = json_get_object(node, "pattern", &pattern, st);
    if (code != STATUS_OK) return status_prefix(st, "%s", field);
    out->is_regex = json_has(pattern, "Regex");
    code = json_get_text(pattern, out->is_regex ? "Regex" : "String", &out->string, st);
    if (code == STATUS_OK && !out->string.length)
        code = status_set(st, STATUS_BAD_INPUT, "the pattern is empty");
    return code == STATUS_OK ? code : status_prefix(st, "%s", field);
}

/* A pattern that must be a string. */
static status_code get_string(const struct json_value *node, const char *field, struct text *out,
                              struct status *st)
{
    struct pattern pattern = {.string = {"", 0}};
    status_code code = get_pattern(node, field, &pattern, st);
    *out = pattern.string;
    if (code != STATUS_OK || !pattern.is_regex) return code;
    return status_set(st, STATUS_UNSUPPORTED, "%s: only a pattern of kind \"String\" is supported",
                      field);
}

static status_code get_flag(const struct json_value *node, const char *key, bool *flag,
                            struct status *st)
{
    return json_has(node, key) ? json_get_bool(node, key, flag, st) : STATUS_OK;
}

/* ---- normalizer ---- */

static status_code add_replace(struct tokenizer *tokenizer, const struct json_value *node,
                               struct status *st)
{
    struct pattern from;
    struct text to;
    struct normalizer_step step = {.kind = NORMALIZE_REPLACE};
    status_code code = get_pattern(node, "normalizer", &from, st);
    if (code != STATUS_OK) return code;
    code = json_get_text(node, "content", &to, st);
    if (code != STATUS_OK) return status_prefix(st, "normalizer");
    code = copy_text(tokenizer, from.string, &step.from, st);
    if (code == STATUS_OK) code = copy_text(tokenizer, to, &step.to, st);
    if (code == STATUS_OK && from.is_regex) {
        step.kind = NORMALIZE_REPLACE_PATTERN;
        code = pre_tokenizer_compile(&step.pattern, from.string, st);
    }
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

static status_code add_strip(struct tokenizer *tokenizer, const struct json_value *node,
                             struct status *st)
{
    struct normalizer_step step = {.kind = NORMALIZE_STRIP};
    status_code code = json_get_bool(node, "strip_left", &step.left, st);
    if (code == STATUS_OK) code = json_get_bool(node, "strip_right", &step.right, st);
    if (code != STATUS_OK) return status_prefix(st, "normalizer");
    return normalizer_add(&tokenizer->normalizer, step, st);
}

/* Without a word on accents, they go when letters become small. */
static status_code add_bert(struct tokenizer *tokenizer, const struct json_value *node,
                            struct status *st)
{
    struct bert_rules rules = {.clean = true, .chinese = true, .lower = true};
    status_code code = get_flag(node, "clean_text", &rules.clean, st);
    if (code == STATUS_OK) code = get_flag(node, "handle_chinese_chars", &rules.chinese, st);
    if (code == STATUS_OK) code = get_flag(node, "lowercase", &rules.lower, st);
    rules.strip_accents = rules.lower;
    if (code == STATUS_OK) code = get_flag(node, "strip_accents", &rules.strip_accents, st);
    if (code != STATUS_OK) return status_prefix(st, "normalizer");
    return tokenizer_use_bert_normalizer(tokenizer, rules, st);
}

static int base64_value(char c)
{
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= 'a' && c <= 'z') return c - 'a' + 26;
    if (c >= '0' && c <= '9') return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* RFC 4648, into a buffer of 3/4 of the text; false on a foreign character. */
static bool decode_base64(struct text text, char *out, size_t *n)
{
    uint32_t bits = 0;
    int held = 0;
    *n = 0;
    while (text.length && text.data[text.length - 1] == '=') text.length--;
    for (size_t i = 0; i < text.length; i++) {
        int value = base64_value(text.data[i]);
        if (value < 0) return false;
        bits = bits << 6 | (uint32_t)value;
        held += 6;
        if (held < 8) continue;
        held -= 8;
        out[(*n)++] = (char)(unsigned char)(bits >> held);
    }
    return true;
}

static status_code add_precompiled(struct tokenizer *tokenizer, const struct json_value *node,
                                   struct status *st)
{
    struct text encoded;
    size_t n;
    if (!json_has(node, "precompiled_charsmap")) return STATUS_OK;
    status_code code = json_get_text(node, "precompiled_charsmap", &encoded, st);
    if (code != STATUS_OK) return status_prefix(st, "normalizer");
    if (!encoded.length) return STATUS_OK;
    char *bytes = malloc(encoded.length);
    if (!bytes) return status_no_memory(st, "a tokenizer");
    if (decode_base64(encoded, bytes, &n))
        code =
            tokenizer_add_charsmap(tokenizer, (struct text){bytes, n}, NORMALIZE_CHARSMAP_HF, st);
    else
        code = status_set(st, STATUS_BAD_INPUT, "precompiled_charsmap is not base64");
    free(bytes);
    return code == STATUS_OK ? code : status_prefix(st, "normalizer");
}

/* The steps that have no fields. */
static const struct plain_step {
    const char *type;
    struct normalizer_step step;
} plain_steps[] = {
    {"NFC", {.kind = NORMALIZE_FORM, .form = UTF8_NFC}},
    {"NFD", {.kind = NORMALIZE_FORM, .form = UTF8_NFD}},
    {"NFKC", {.kind = NORMALIZE_FORM, .form = UTF8_NFKC}},
    {"NFKD", {.kind = NORMALIZE_FORM, .form = UTF8_NFKD}},
    {"Lowercase", {.kind = NORMALIZE_LOWER}},
    {"StripAccents", {.kind = NORMALIZE_STRIP_MARKS}},
};

static status_code read_normalizer(struct tokenizer *tokenizer, const struct json_value *node,
                                   int depth, struct status *st)
{
    struct text type;
    status_code code = get_type(node, "normalizer", &type, st);
    if (code != STATUS_OK || is(type, "")) return code;
    for (size_t i = 0; i < sizeof plain_steps / sizeof plain_steps[0]; i++)
        if (is(type, plain_steps[i].type))
            return normalizer_add(&tokenizer->normalizer, plain_steps[i].step, st);
    if (is(type, "Replace")) return add_replace(tokenizer, node, st);
    if (is(type, "Prepend")) return add_prepend(tokenizer, node, st);
    if (is(type, "Strip")) return add_strip(tokenizer, node, st);
    if (is(type, "BertNormalizer")) return add_bert(tokenizer, node, st);
    if (is(type, "Precompiled")) return add_precompiled(tokenizer, node, st);
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

static status_code get_behaviour(const struct json_value *node, enum split_behaviour *behaviour,
                                 struct status *st)
{
    static const char *const names[] = {"Isolated", "Removed", "Contiguous", "MergedWithPrevious",
                                        "MergedWithNext"};
    struct text name;
    status_code code = json_get_text(node, "behavior", &name, st);
    if (code != STATUS_OK) return code;
    for (int i = 0; i < 5; i++)
        if (is(name, names[i])) {
            *behaviour = (enum split_behaviour)i;
            return STATUS_OK;
        }
    return status_set(st, STATUS_BAD_INPUT, "behavior \"%.*s\" is not known",
                      TEXT_ARGS(piece_for_message(name)));
}

/* A string as a pattern that matches it alone. */
static void quote(struct strbuf *out, struct text string)
{
    for (size_t i = 0; i < string.length; i++) {
        if (string.data[i] && strchr("\\^$.|?*+()[]{}&", string.data[i]))
            strbuf_append_char(out, '\\');
        strbuf_append_char(out, string.data[i]);
    }
}

static status_code read_split(struct tokenizer *tokenizer, const struct json_value *node,
                              struct status *st)
{
    struct pattern pattern;
    enum split_behaviour behaviour = SPLIT_ISOLATED;
    bool invert = false;
    struct strbuf quoted;
    status_code code = get_pattern(node, "pre_tokenizer", &pattern, st);
    if (code != STATUS_OK) return code;
    code = get_behaviour(node, &behaviour, st);
    if (code == STATUS_OK) code = get_flag(node, "invert", &invert, st);
    if (code != STATUS_OK) return status_prefix(st, "pre_tokenizer");
    if (!pattern.is_regex && is_replaced(&tokenizer->normalizer, pattern.string)) return STATUS_OK;
    strbuf_init(&quoted, LIMIT_PATTERN_BYTES);
    if (!pattern.is_regex) {
        quote(&quoted, pattern.string);
        pattern.string = (struct text){quoted.data, quoted.length};
    }
    code = strbuf_check(&quoted, "a pattern", st);
    if (code == STATUS_OK)
        code = pre_tokenizer_add_split(&tokenizer->pre_tokenizer, pattern.string, behaviour, invert,
                                       st);
    strbuf_release(&quoted);
    return code == STATUS_OK ? code : status_prefix(st, "pre_tokenizer");
}

/* What is put in front of a word: `always` that lacks it, at the `first` one only, `never`. */
static status_code add_prefix(struct tokenizer *tokenizer, struct normalizer *rewrite,
                              struct text prefix, bool first_only, struct status *st)
{
    struct normalizer_step step = {.kind = first_only ? NORMALIZE_PREPEND_FIRST
                                                      : NORMALIZE_PREPEND_MISSING};
    status_code code = copy_text(tokenizer, prefix, &step.to, st);
    return code == STATUS_OK ? normalizer_add(rewrite, step, st) : code;
}

/* Files of older versions say add_prefix_space in place of prepend_scheme. */
static status_code get_scheme(const struct json_value *node, struct text *scheme, struct status *st)
{
    bool prefix = true;
    if (json_has(node, "prepend_scheme")) return json_get_text(node, "prepend_scheme", scheme, st);
    status_code code = get_flag(node, "add_prefix_space", &prefix, st);
    *scheme = text_of(prefix ? "always" : "never");
    return code;
}

static status_code read_metaspace(struct tokenizer *tokenizer, const struct json_value *node,
                                  struct status *st)
{
    struct text replacement, scheme;
    bool split = true;
    struct normalizer *rewrite = NULL;
    struct pre_tokenizer *pre = &tokenizer->pre_tokenizer;
    status_code code = json_get_text(node, "replacement", &replacement, st);
    if (code == STATUS_OK) code = get_scheme(node, &scheme, st);
    if (code == STATUS_OK) code = get_flag(node, "split", &split, st);
    if (code != STATUS_OK) return status_prefix(st, "pre_tokenizer");
    bool always = is(scheme, "always"), first = is(scheme, "first");
    if (!replacement.length || (!always && !first && !is(scheme, "never")))
        return refuse("pre_tokenizer", text_of("Metaspace"),
                      ", except with a replacement and prepend_scheme always, first or never", st);
    code = pre_tokenizer_add_rewrite(pre, &rewrite, st);
    struct normalizer_step escape = {.kind = NORMALIZE_REPLACE};
    if (code == STATUS_OK) code = copy_text(tokenizer, text_of(" "), &escape.from, st);
    if (code == STATUS_OK) code = copy_text(tokenizer, replacement, &escape.to, st);
    if (code == STATUS_OK) code = normalizer_add(rewrite, escape, st);
    if (code == STATUS_OK && (always || first))
        code = add_prefix(tokenizer, rewrite, replacement, first, st);
    if (code == STATUS_OK && split)
        code = pre_tokenizer_add_split(pre, escape.to, SPLIT_MERGED_WITH_NEXT, false, st);
    return code;
}

static status_code read_byte_level(struct tokenizer *tokenizer, const struct json_value *node,
                                   struct status *st)
{
    bool prefix = true, use_regex = true;
    struct normalizer *rewrite = NULL;
    struct pre_tokenizer *pre = &tokenizer->pre_tokenizer;
    status_code code = get_flag(node, "add_prefix_space", &prefix, st);
    if (code == STATUS_OK) code = get_flag(node, "use_regex", &use_regex, st);
    if (code != STATUS_OK) return status_prefix(st, "pre_tokenizer");
    if (prefix) {
        code = pre_tokenizer_add_rewrite(pre, &rewrite, st);
        if (code == STATUS_OK) code = add_prefix(tokenizer, rewrite, text_of(" "), false, st);
    }
    if (code == STATUS_OK && use_regex)
        code = pre_tokenizer_add_split(pre, text_of(GPT2_PATTERN), SPLIT_ISOLATED, false, st);
    tokenizer->byte_level = true;
    return code;
}

static status_code read_digits(struct tokenizer *tokenizer, const struct json_value *node,
                               struct status *st)
{
    bool individual = false;
    status_code code = get_flag(node, "individual_digits", &individual, st);
    if (code != STATUS_OK) return status_prefix(st, "pre_tokenizer");
    return pre_tokenizer_add_split(&tokenizer->pre_tokenizer, text_of("\\p{N}"),
                                   individual ? SPLIT_ISOLATED : SPLIT_CONTIGUOUS, false, st);
}

static status_code read_pre_tokenizer(struct tokenizer *tokenizer, const struct json_value *node,
                                      int depth, struct status *st)
{
    struct text type;
    status_code code = get_type(node, "pre_tokenizer", &type, st);
    if (code != STATUS_OK || is(type, "")) return code;
    if (tokenizer->byte_level) /* the bytes are characters of the alphabet from there on */
        return refuse("pre_tokenizer", type, " behind ByteLevel", st);
    if (is(type, "Split")) return read_split(tokenizer, node, st);
    if (is(type, "Metaspace")) return read_metaspace(tokenizer, node, st);
    if (is(type, "ByteLevel")) return read_byte_level(tokenizer, node, st);
    if (is(type, "Digits")) return read_digits(tokenizer, node, st);
    if (is(type, "BertPreTokenizer")) return tokenizer_use_bert_pre_tokenizer(tokenizer, st);
    if (is(type, "WhitespaceSplit"))
        return pre_tokenizer_add_split(&tokenizer->pre_tokenizer, text_of("\\s"), SPLIT_REMOVED,
                                       false, st);
    if (!is(type, "Sequence") || depth == MAX_NESTING) return refuse("pre_tokenizer", type, "", st);
    const struct json_value *list;
    code = json_get_array(node, "pretokenizers", &list, st);
    if (code != STATUS_OK) return status_prefix(st, "pre_tokenizer");
    for (const struct json_value *v = json_first(list); v && code == STATUS_OK; v = json_next(v))
        code = read_pre_tokenizer(tokenizer, v, depth + 1, st);
    return code;
}

/* ---- decoder ---- */

struct decoder_parts {
    bool any, spaces, bytes, fuse, strip, alphabet, word_parts;
};

static status_code read_decoder_replace(struct decoder_parts *parts, const struct json_value *node,
                                        struct status *st)
{
    struct text from, to;
    status_code code = get_string(node, "decoder", &from, st);
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
    struct text replacement, scheme;
    status_code code = json_get_text(node, "replacement", &replacement, st);
    if (code == STATUS_OK) code = get_scheme(node, &scheme, st);
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
    parts->any = true;
    if (is(type, "ByteLevel") || is(type, "WordPiece")) {
        *(is(type, "ByteLevel") ? &parts->alphabet : &parts->word_parts) = true;
        return STATUS_OK;
    }
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

/* Pieces are turned into text in one way for each kind of vocabulary: the file must mean that one,
 * or nothing. */
static status_code check_decoder(struct tokenizer *tokenizer, const struct decoder_parts *parts,
                                 struct status *st)
{
    if (tokenizer->kind == TOKENIZER_WORDPIECE || tokenizer->byte_level) {
        bool as_expected = tokenizer->byte_level ? parts->alphabet : parts->word_parts;
        if (!parts->any || as_expected) return STATUS_OK;
        return status_set(st, STATUS_UNSUPPORTED, "a decoder other than %s is not supported",
                          tokenizer->byte_level ? "ByteLevel" : "WordPiece");
    }
    if (!parts->spaces && (parts->any || tokenizer->kind == TOKENIZER_BPE))
        return status_set(st, STATUS_UNSUPPORTED,
                          "a decoder that does not turn U+2581 into a space is not supported");
    if (tokenizer->byte_fallback && !parts->bytes && parts->any)
        return status_set(st, STATUS_UNSUPPORTED,
                          "model.byte_fallback without a ByteFallback decoder is not supported");
    return STATUS_OK;
}

status_code tokenizer_read_json_rules(struct tokenizer *tokenizer, const struct json_value *root,
                                      struct status *st)
{
    struct decoder_parts parts = {0};
    status_code code = read_normalizer(tokenizer, json_member(root, "normalizer"), 0, st);
    if (code == STATUS_OK)
        code = read_pre_tokenizer(tokenizer, json_member(root, "pre_tokenizer"), 0, st);
    if (code == STATUS_OK && tokenizer->byte_level && tokenizer->kind != TOKENIZER_BPE)
        code = refuse("pre_tokenizer", text_of("ByteLevel"), ", except with a BPE", st);
    if (code == STATUS_OK) code = read_decoder(&parts, json_member(root, "decoder"), 0, st);
    if (code == STATUS_OK) code = check_decoder(tokenizer, &parts, st);
    if (code != STATUS_OK) return code;
    tokenizer->strip_first_space = parts.strip || tokenizer->kind == TOKENIZER_WORDPIECE;
    return STATUS_OK;
}
