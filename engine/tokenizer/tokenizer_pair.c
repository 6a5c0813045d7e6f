/* vocab.json and merges.txt, the pair of files in which the first byte-level vocabularies came
 * (GPT-2, RoBERTa), to the tokenizer.json that transformers makes of them
 * (convert_slow_tokenizer.py: GPT2Converter, RobertaConverter). */
#include <string.h>

#include "engine/base/json.h"
#include "engine/base/limits.h"
#include "engine/tokenizer/tokenizer_core.h"

#define BYTE_LEVEL "\"ByteLevel\",\"trim_offsets\":true,\"use_regex\":true,\"add_prefix_space\":"

/* ---- added tokens ---- */

static void append_added(struct strbuf *out, const char **separator, struct text content,
                         const char *id, const char *fields)
{
    strbuf_appendf(out, "%s{\"id\":%s,\"content\":", *separator, id);
    json_append_text(out, content);
    strbuf_appendf(out, ",\"single_word\":false,\"rstrip\":false,\"normalized\":false,%s}", fields);
    *separator = ",";
}

static void append_id(struct strbuf *out, const struct json_value *id)
{
    strbuf_clear(out);
    json_append_value(out, id);
}

/* The special pieces among the vocabulary, and what added_tokens.json lists. */
static void append_all_added(struct strbuf *out, const struct json_value *vocab,
                             const struct json_value *added)
{
    static const char *const specials[] = {"<s>", "<pad>", "</s>", "<unk>", "<|endoftext|>"};
    static const char special[] = "\"lstrip\":false,\"special\":true";
    const char *separator = "";
    struct strbuf id;
    strbuf_init(&id, LIMIT_PIECE_BYTES);
    strbuf_append_str(out, "\"added_tokens\":[");
    for (size_t i = 0; i < sizeof specials / sizeof specials[0]; i++) {
        const struct json_value *value = json_member(vocab, specials[i]);
        if (!value) continue;
        append_id(&id, value);
        append_added(out, &separator, text_of(specials[i]), id.data, special);
    }
    const struct json_value *mask = json_member(vocab, "<mask>");
    if (mask) {
        append_id(&id, mask);
        append_added(out, &separator, text_of("<mask>"), id.data,
                     "\"lstrip\":true,\"special\":true");
    }
    for (const struct json_value *v = added ? json_first(added) : NULL; v; v = json_next(v)) {
        if (json_member(vocab, json_key(v))) continue;
        append_id(&id, v);
        append_added(out, &separator, text_of(json_key(v)), id.data,
                     "\"lstrip\":false,\"special\":false");
    }
    strbuf_append_str(out, "],");
    strbuf_release(&id);
}

/* ---- the rest ---- */

/* RoBERTa puts its texts between two pieces. */
static void append_frame(struct strbuf *out, const struct json_value *vocab)
{
    const struct json_value *first = json_member(vocab, "<s>"), *last = json_member(vocab, "</s>");
    if (!first || !last || !json_member(vocab, "<mask>")) return;
    strbuf_append_str(out, "\"post_processor\":{\"type\":\"RobertaProcessing\",\"cls\":[\"<s>\",");
    json_append_value(out, first);
    strbuf_append_str(out, "],\"sep\":[\"</s>\",");
    json_append_value(out, last);
    strbuf_append_str(out, "]},");
}

static void append_merges(struct strbuf *out, struct text merges)
{
    const char *separator = "";
    strbuf_append_str(out, "\"merges\":[");
    while (merges.length) {
        const char *end = memchr(merges.data, '\n', merges.length);
        struct text line = {merges.data, end ? (size_t)(end - merges.data) : merges.length};
        size_t used = line.length + (end != NULL);
        if (line.length && line.data[line.length - 1] == '\r') line.length--;
        if (line.length && !(line.length >= 8 && memcmp(line.data, "#version", 8) == 0)) {
            strbuf_append_str(out, separator);
            json_append_text(out, line);
            separator = ",";
        }
        merges.data += used;
        merges.length -= used;
    }
    strbuf_append_str(out, "]");
}

static void append_json(struct strbuf *out, struct text vocab_bytes, const struct json_value *vocab,
                        struct text merges, const struct json_value *added, bool prefix)
{
    const char *flag = prefix ? "true" : "false";
    strbuf_append_str(out, "{");
    append_all_added(out, vocab, added);
    append_frame(out, vocab);
    strbuf_appendf(out,
                   "\"pre_tokenizer\":{\"type\":" BYTE_LEVEL "%s},\"decoder\":{\"type\":" BYTE_LEVEL
                   "true},\"model\":{\"type\":\"BPE\",\"vocab\":",
                   flag);
    strbuf_append(out, vocab_bytes.data, vocab_bytes.length);
    strbuf_append_str(out, ",");
    append_merges(out, merges);
    strbuf_append_str(out, "}}");
}

/* added_tokens.json, or NULL where there is none. */
static status_code parse_added(struct json_value **out, const char *directory, struct status *st)
{
    status_code code = tokenizer_config_parse(out, directory, "added_tokens.json", st);
    if (code != STATUS_OK || !*out || json_kind(*out) == JSON_OBJECT) return code;
    return status_set(st, STATUS_BAD_INPUT, "added_tokens.json: is no object");
}

status_code tokenizer_spell_pair(struct strbuf *out, struct text vocab, struct text merges,
                                 const char *directory, struct status *st)
{
    struct json_value *root = NULL, *added = NULL;
    struct tokenizer_config config = {0};
    bool prefix = false;
    status_code code = json_parse(&root, vocab, st);
    if (code == STATUS_OK && json_kind(root) != JSON_OBJECT)
        code = status_set(st, STATUS_BAD_INPUT, "is no object of pieces and ids");
    if (code != STATUS_OK) status_prefix(st, "vocab.json");
    if (code == STATUS_OK) code = parse_added(&added, directory, st);
    if (code == STATUS_OK) code = tokenizer_config_open(&config, directory, st);
    if (code == STATUS_OK) code = tokenizer_config_flag(&config, "add_prefix_space", &prefix, st);
    if (code == STATUS_OK) append_json(out, vocab, root, merges, added, prefix);
    if (code == STATUS_OK) code = strbuf_check(out, "vocab.json and merges.txt", st);
    tokenizer_config_close(&config);
    json_free(root);
    json_free(added);
    return code;
}
