/* tokenizer_fixtures.h - small vocabularies that the tokenizer's tests build for themselves.
 *
 * A `fixture` is a folder that is removed with what was written into it.  A `json_parts` names the
 * fields of a tokenizer.json that a test wants different; NULL leaves Gemma's conventions.
 */
#ifndef ASSAY_TESTS_TOKENIZER_FIXTURES_H
#define ASSAY_TESTS_TOKENIZER_FIXTURES_H

#include "engine/base/json.h"
#include "engine/base/limits.h"
#include "engine/tokenizer/tokenizer.h"
#include "tests/unit/suite.h"

struct fixture {
    char folder[64];
    char path[128]; /* of the file written last */
};

static inline void fixture_init(struct fixture *f)
{
    snprintf(f->folder, sizeof f->folder, "/tmp/assay-test-XXXXXX");
    CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(f->folder));
}

static inline void fixture_write(struct fixture *f, const char *name, struct text bytes)
{
    snprintf(f->path, sizeof f->path, "%s/%s", f->folder, name);
    FILE *file = fopen(f->path, "wb");
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    CU_ASSERT_EQUAL_FATAL(fwrite(bytes.data, 1, bytes.length, file), bytes.length);
    CU_ASSERT_EQUAL_FATAL(fclose(file), 0);
}

static inline void fixture_release(struct fixture *f)
{
    static const char *const names[] = {
        "tokenizer.json",      "tokenizer.model",    "model.gguf",        "tokenizer_config.json",
        "vocab.json",          "merges.txt",         "added_tokens.json", "special_tokens_map.json",
        "chat_template.jinja", "chat_template.json", "config.json",       "generation_config.json"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        snprintf(f->path, sizeof f->path, "%s/%s", f->folder, names[i]);
        unlink(f->path);
    }
    CU_ASSERT_EQUAL(rmdir(f->folder), 0);
}

static inline struct text text_in(const struct strbuf *sb)
{
    return (struct text){sb->data, sb->length};
}

/* ---- tokenizer.json ---- */

struct json_parts {
    const char *added, *normalizer, *pre_tokenizer, *post_processor, *decoder;
    const char *model;  /* fields of model in front of vocab */
    const char *vocab;  /* entries behind the 4 special and 256 byte pieces */
    const char *merges; /* elements */
};

#define ADDED(id, content, fields) "{\"id\": " #id ", \"content\": \"" content "\", " fields "}"
#define ADDED_GEMMA                                                                                \
    ADDED(0, "<pad>", "\"special\": true")                                                         \
    ", " ADDED(1, "<eos>", "\"special\": true") ", " ADDED(                                        \
        2, "<bos>", "\"special\": true") ", " ADDED(3, "<unk>", "\"special\": true")
#define REPLACE_SPACE                                                                              \
    "{\"type\": \"Replace\", \"pattern\": {\"String\": \" \"}, \"content\": \"\u2581\"}"
#define DECODER_PARTS                                                                              \
    "{\"type\": \"Replace\", \"pattern\": {\"String\": \"\u2581\"}, \"content\": \" \"}, "         \
    "{\"type\": \"ByteFallback\"}, {\"type\": \"Fuse\"}"
#define VOCAB_LETTERS                                                                              \
    "\"a\": 260, \"b\": 261, \"c\": 262, \"\u2581\": 263, \"aa\": 264, \"ab\": 265, "              \
    "\"abc\": 266, \"\u2581a\": 267, \"\\n\": 268, \"\\n\\n\": 269, \"<end_of_turn>\": 270"
#define MERGES_LETTERS "\"a b\", \"ab c\", \"a a\", \"\u2581 a\", \"\\n \\n\""

static inline const char *part(const char *given, const char *otherwise)
{
    return given ? given : otherwise;
}

static inline void build_json(struct strbuf *out, struct json_parts p)
{
    strbuf_init(out, 1 << 20);
    strbuf_appendf(out, "{\"added_tokens\": [%s], \"normalizer\": %s, \"pre_tokenizer\": %s, ",
                   part(p.added, ADDED_GEMMA), part(p.normalizer, REPLACE_SPACE),
                   part(p.pre_tokenizer, "null"));
    strbuf_appendf(out, "\"post_processor\": %s, \"decoder\": %s, \"model\": {%s, \"vocab\": {",
                   part(p.post_processor, "null"),
                   part(p.decoder, "{\"type\": \"Sequence\", \"decoders\": [" DECODER_PARTS "]}"),
                   part(p.model, "\"type\": \"BPE\", \"unk_token\": \"<unk>\", "
                                 "\"fuse_unk\": true, \"byte_fallback\": true"));
    strbuf_append_str(out, "\"<pad>\": 0, \"<eos>\": 1, \"<bos>\": 2, \"<unk>\": 3, ");
    for (int byte = 0; byte < 256; byte++)
        strbuf_appendf(out, "\"<0x%02X>\": %d, ", (unsigned)byte, 4 + byte);
    strbuf_appendf(out, "%s}, \"merges\": [%s]}}", part(p.vocab, VOCAB_LETTERS),
                   part(p.merges, MERGES_LETTERS));
    CU_ASSERT_EQUAL_FATAL(out->state, STATUS_OK);
}

static inline status_code load_json(struct fixture *f, struct tokenizer **out, struct json_parts p,
                                    struct status *st)
{
    struct strbuf json;
    build_json(&json, p);
    fixture_write(f, "tokenizer.json", text_in(&json));
    strbuf_release(&json);
    return tokenizer_load(out, f->path, st);
}

/* ---- tokenizer.model ---- */

enum { NORMAL = 1, UNKNOWN, CONTROL, USER, UNUSED, BYTE };

struct spm_piece {
    const char *piece;
    float score;
    int type;
};

static inline void append_varint(struct strbuf *sb, uint64_t value)
{
    for (; value > 127; value >>= 7) strbuf_append_char(sb, (char)(unsigned char)(value | 128));
    strbuf_append_char(sb, (char)value);
}

static inline void append_int(struct strbuf *sb, unsigned number, uint64_t value)
{
    append_varint(sb, number << 3);
    append_varint(sb, value);
}

static inline void append_bytes(struct strbuf *sb, unsigned number, struct text bytes)
{
    append_varint(sb, number << 3 | 2);
    append_varint(sb, bytes.length);
    strbuf_append(sb, bytes.data, bytes.length);
}

static inline void append_piece(struct strbuf *sb, const char *piece, float score, int type)
{
    struct strbuf message;
    strbuf_init(&message, 1 << 16);
    append_bytes(&message, 1, text_of(piece));
    append_varint(&message, 2 << 3 | 5);
    unsigned char bytes[4];
    memcpy(bytes, &score, 4);
    strbuf_append(&message, (const char *)bytes, 4);
    append_int(&message, 3, (uint64_t)type);
    append_bytes(sb, 1, text_in(&message));
    strbuf_release(&message);
}

static inline void append_byte_pieces(struct strbuf *sb)
{
    for (int byte = 0; byte < 256; byte++) {
        char piece[8];
        snprintf(piece, sizeof piece, "<0x%02X>", (unsigned)byte);
        append_piece(sb, piece, 0, BYTE);
    }
}

/* Pieces 0 to 2 are <unk>, <s>, </s>; with `bytes`, 3 to 258 are the bytes; then the given ones. */
static inline void build_spm(struct strbuf *out, const struct spm_piece *pieces, size_t n,
                             bool bytes, bool dummy_prefix, bool remove_spaces)
{
    strbuf_init(out, 1 << 20);
    append_piece(out, "<unk>", 0, UNKNOWN);
    append_piece(out, "<s>", 0, CONTROL);
    append_piece(out, "</s>", 0, CONTROL);
    if (bytes) append_byte_pieces(out);
    for (size_t i = 0; i < n; i++)
        append_piece(out, pieces[i].piece, pieces[i].score, pieces[i].type);
    struct strbuf spec;
    strbuf_init(&spec, 1 << 16);
    append_int(&spec, 3, 2);
    append_int(&spec, 35, bytes);
    append_bytes(out, 2, text_in(&spec));
    strbuf_clear(&spec);
    append_bytes(&spec, 1, text_of("identity"));
    append_int(&spec, 3, dummy_prefix);
    append_int(&spec, 4, remove_spaces);
    append_bytes(out, 3, text_in(&spec));
    strbuf_release(&spec);
    CU_ASSERT_EQUAL_FATAL(out->state, STATUS_OK);
}

static inline status_code load_bytes(struct fixture *f, struct tokenizer **out, const char *name,
                                     struct strbuf *bytes, struct status *st)
{
    fixture_write(f, name, text_in(bytes));
    strbuf_release(bytes);
    return tokenizer_load(out, f->path, st);
}

/* ---- comparing ---- */

/* Whether the text has these ids, written as "1 2 3"; says so where it has not. */
static inline bool has_ids(const struct tokenizer *tokenizer, struct text text,
                           enum tokenize_flags flags, const char *expected)
{
    struct status st = {0};
    struct token_list ids = {0};
    ASSERT_OK(tokenizer_encode(tokenizer, text, flags, &ids, &st));
    struct strbuf found;
    strbuf_init(&found, LIMIT_LINE_BYTES);
    for (size_t i = 0; i < ids.count; i++) strbuf_appendf(&found, i ? " %d" : "%d", ids.ids[i]);
    bool same = strcmp(found.data, expected) == 0;
    if (!same)
        fprintf(stderr, "  \"%.*s\": ids %s, expected %s\n", TEXT_ARGS(text), found.data, expected);
    strbuf_release(&found);
    token_list_release(&ids);
    return same;
}

#define ASSERT_IDS(tokenizer, string, flags, expected)                                             \
    CU_ASSERT_TRUE(has_ids((tokenizer), text_of(string), (flags), (expected)))

/* Whether decoding the ids of a text gives the text. */
static inline bool comes_back(const struct tokenizer *tokenizer, struct text text)
{
    struct status st = {0};
    struct token_list ids = {0};
    ASSERT_OK(tokenizer_encode(tokenizer, text, TOKENIZE_PLAIN, &ids, &st));
    struct strbuf decoded;
    strbuf_init(&decoded, LIMIT_PROMPT_BYTES);
    tokenizer_decode(tokenizer, ids.ids, ids.count, &decoded);
    bool same = text_equal(text_in(&decoded), text);
    if (!same) fprintf(stderr, "  \"%.*s\" came back as \"%s\"\n", TEXT_ARGS(text), decoded.data);
    strbuf_release(&decoded);
    token_list_release(&ids);
    return same;
}

#endif
