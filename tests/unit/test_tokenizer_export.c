/* A tokenizer that is written to GGUF keys and read back splits every text as before. */
#include "engine/tokenizer/tokenizer_export.h"
#include "tests/support/model_writer.h"
#include "tests/unit/scratch.h"
#include "tests/unit/tokenizer_fixtures.h"

/* Writes the tokenizer alone and reads it back; NULL where it cannot be written. */
static struct tokenizer *through_gguf(const struct tokenizer *from, const struct tokenizer *added,
                                      int n_vocab, struct status *st)
{
    struct gguf_writer w;
    struct strbuf header;
    struct gguf *file = NULL;
    struct tokenizer *back = NULL;
    struct tokenizer_export export = {from, added, n_vocab};
    gguf_writer_init(&w);
    strbuf_init(&header, (size_t)1 << 30);
    if (tokenizer_to_gguf(&export, &w, st) == STATUS_OK) {
        gguf_writer_header(&w, &header);
        const char *path = put("tokenizer.gguf", header.data, header.length);
        if (gguf_open(&file, path, st) == STATUS_OK &&
            tokenizer_load_gguf(&back, file, st) != STATUS_OK)
            back = NULL;
    }
    gguf_free(file);
    gguf_writer_release(&w);
    strbuf_release(&header);
    return back;
}

static bool same_ids(const struct tokenizer *a, const struct tokenizer *b, struct text text)
{
    struct status st = {0};
    struct token_list left = {0}, right = {0};
    ASSERT_OK(tokenizer_encode(a, text, TOKENIZE_PLAIN, &left, &st));
    ASSERT_OK(tokenizer_encode(b, text, TOKENIZE_PLAIN, &right, &st));
    bool same = left.count == right.count &&
                (!left.count || !memcmp(left.ids, right.ids, left.count * sizeof *left.ids));
    token_list_release(&left);
    token_list_release(&right);
    return same;
}

static void compare_on_cases(const char *path, const struct tokenizer *a, const struct tokenizer *b)
{
    struct status st = {0};
    struct strbuf file;
    int n_cases = 0, n_other = 0;
    strbuf_init(&file, 1 << 26);
    ASSERT_OK(strbuf_read_file(&file, path, &st));
    for (char *line = file.data, *end; (end = strchr(line, '\n')) != NULL; line = end + 1) {
        struct json_value *root = NULL;
        struct text text;
        ASSERT_OK(json_parse(&root, (struct text){line, (size_t)(end - line)}, &st));
        ASSERT_OK(json_get_text(root, "text", &text, &st));
        n_other += !same_ids(a, b, text);
        n_cases++;
        json_free(root);
    }
    CU_ASSERT_TRUE(n_cases > 100);
    CU_ASSERT_EQUAL(n_other, 0);
    strbuf_release(&file);
}

static void compare_published(const char *name, const char *file)
{
    char path[256];
    struct status st = {0};
    struct tokenizer *from = NULL;
    snprintf(path, sizeof path, "../shared/reference/tokenizers/%s/%s", name, file);
    ASSERT_OK(tokenizer_load(&from, path, &st));
    int n_vocab = tokenizer_get_info(from)->n_vocab + 3;
    struct tokenizer *back = through_gguf(from, NULL, n_vocab, &st);
    if (!back) fprintf(stderr, "%s: %s\n", path, st.message);
    CU_ASSERT_PTR_NOT_NULL_FATAL(back);
    const struct tokenizer_info *a = tokenizer_get_info(from), *b = tokenizer_get_info(back);
    CU_ASSERT_EQUAL(b->n_vocab, n_vocab);
    CU_ASSERT_TRUE(a->bos == b->bos && a->eos == b->eos && a->unknown == b->unknown);
    CU_ASSERT_EQUAL(a->add_bos, b->add_bos);
    snprintf(path, sizeof path, "../shared/reference/tokenizers/%s/cases.jsonl", name);
    compare_on_cases(path, from, back);
    tokenizer_free(from);
    tokenizer_free(back);
}

static void test_published(void)
{
    if (!shared_path("reference/tokenizers")) return;
    compare_published("gemma", "tokenizer.json");
    compare_published("llama2", "tokenizer.model");
    compare_published("mistral", "tokenizer.model");
}

/* Merge rules and the pattern's name survive: what is written again is what was read. */
static void test_byte_level(void)
{
    struct status st = {0};
    struct tokenizer *from = NULL;
    const char *path = shared_path("reference/tokenizers/gpt2/ggml-vocab-gpt-2.gguf");
    if (!path) return;
    ASSERT_OK(tokenizer_load(&from, path, &st));
    struct tokenizer *back = through_gguf(from, NULL, tokenizer_get_info(from)->n_vocab, &st);
    if (!back) fprintf(stderr, "%s\n", st.message);
    CU_ASSERT_PTR_NOT_NULL_FATAL(back);
    CU_ASSERT_STRING_EQUAL(tokenizer_get_info(from)->sha256, tokenizer_get_info(back)->sha256);
    CU_ASSERT_STRING_EQUAL(tokenizer_get_info(back)->kind, "byte-bpe");
    CU_ASSERT_TRUE(same_ids(from, back, text_of("Hello  world's\n\n 1234 \xc3\xa9t\xc3\xa9")));
    tokenizer_free(from);
    tokenizer_free(back);
}

/* ---- small vocabularies ---- */

static struct tokenizer *small(struct json_parts parts)
{
    struct status st = {0};
    struct fixture f;
    struct tokenizer *tokenizer = NULL;
    fixture_init(&f);
    ASSERT_OK(load_json(&f, &tokenizer, parts, &st));
    fixture_release(&f);
    return tokenizer;
}

static void refuse_small(struct json_parts parts, const char *expected)
{
    struct status st = {0};
    struct tokenizer *from = small(parts);
    struct tokenizer *back = through_gguf(from, NULL, 400, &st);
    CU_ASSERT_PTR_NULL(back);
    ASSERT_FAILS(st.code, STATUS_UNSUPPORTED, expected);
    tokenizer_free(from);
    tokenizer_free(back);
}

static void test_small(void)
{
    struct status st = {0};
    struct tokenizer *from = small((struct json_parts){0});
    /* "\u2581a" + nothing else: every cut of every piece has its rule. */
    struct tokenizer *back = through_gguf(from, NULL, 400, &st);
    if (!back) fprintf(stderr, "%s\n", st.message);
    CU_ASSERT_PTR_NOT_NULL_FATAL(back);
    CU_ASSERT_EQUAL(tokenizer_get_info(back)->n_vocab, 400);
    CU_ASSERT_TRUE(same_ids(from, back, text_of("abc aab\n\n\xc3\xa9")));
    tokenizer_free(back);
    CU_ASSERT_PTR_NULL(through_gguf(from, NULL, 10, &st));
    CU_ASSERT_PTR_NOT_NULL(strstr(st.message, "the embedding only 10 rows"));
    tokenizer_free(from);
}

static void test_refusals(void)
{
    /* By scores "a" and "b" would merge too. */
    refuse_small((struct json_parts){.merges = "\"a a\", \"\\u2581 a\", \"\\n \\n\""},
                 "\"ab\" can be cut into two pieces that no rule merges");
    /* Other ranks lie between the two rules that make "aaa". */
    refuse_small((struct json_parts){.vocab = "\"a\": 260, \"b\": 261, \"aa\": 262, \"ab\": 263, "
                                              "\"aaa\": 264, \"\\u2581\": 265",
                                     .merges = "\"a a\", \"aa a\", \"a b\", \"a aa\""},
                 "\"aaa\" has rules of very different ranks");
    refuse_small((struct json_parts){.normalizer = "{\"type\": \"Replace\", \"pattern\": "
                                                   "{\"String\": \"x\"}, \"content\": \"y\"}"},
                 "rewrites text in a way that SentencePiece does not");
}

static const struct test_case tests[] = {
    {"published tokenizers split as before", test_published},
    {"a byte-level vocabulary is written as it was read", test_byte_level},
    {"a small vocabulary, padded to the embedding", test_small},
    {"rules that scores cannot stand for are refused", test_refusals},
};
SUITE("tokenizer export", tests)
