/* What a folder adds to its tokenizer.model, as transformers' LlamaTokenizer reads it
 * (tokenization_utils_base.py, tokenization_llama.py): ids by hand from its rules. */
#include "engine/base/rng.h"
#include "tests/unit/tokenizer_fixtures.h"

#define CONFIG   "tokenizer_config.json"
#define ADDED_AS "added_tokens.json"
#define SPECIALS "special_tokens_map.json"

static const struct spm_piece letters[] = {
    {"a", -2, NORMAL},       {"b", -3, NORMAL}, {"\u2581", -4, NORMAL},
    {"\u2581a", -1, NORMAL}, {"<u>", 0, USER},
};
#define N_LETTERS (sizeof letters / sizeof letters[0])

/* a 259, b 260, space 261, space and a 262, <u> 263; added tokens from 264 on. */
static void write_model(struct fixture *f)
{
    struct strbuf bytes;
    fixture_init(f);
    build_spm(&bytes, letters, N_LETTERS, true, true, false);
    fixture_write(f, "tokenizer.model", text_in(&bytes));
    strbuf_release(&bytes);
}

static void write_text(struct fixture *f, const char *name, const char *json)
{
    fixture_write(f, name, text_of(json));
}

static struct tokenizer *load(const struct fixture *f)
{
    struct status st = {0};
    struct tokenizer *tok = NULL;
    ASSERT_OK(tokenizer_load(&tok, f->folder, &st));
    return tok;
}

#define SPECIAL TOKENIZE_PARSE_SPECIAL

static void test_added_file(void)
{
    struct fixture f;
    write_model(&f);
    write_text(&f, ADDED_AS, "{\"<y>b\": 265, \"<y>\": 264, \"<end>\": 266}");
    write_text(&f, SPECIALS, "{\"eos_token\": \"<end>\", \"pad_token\": {\"content\": \"<unk>\"}}");
    struct tokenizer *tok = load(&f);
    const struct tokenizer_info *info = tokenizer_get_info(tok);
    CU_ASSERT_EQUAL(info->n_vocab, 267);
    CU_ASSERT_EQUAL(info->bos, 1);
    CU_ASSERT_EQUAL(info->eos, 266);
    CU_ASSERT_EQUAL(info->pad, 0);
    CU_ASSERT_TRUE(tokenizer_is_end(tok, 266));
    CU_ASSERT_TRUE(tokenizer_is_control(tok, 266));
    CU_ASSERT_FALSE(tokenizer_is_control(tok, 264));
    ASSERT_IDS(tok, "a<y>a", 0, "262 264 262"); /* each stretch gets its space */
    ASSERT_IDS(tok, "a<y>b<y>", 0, "262 265 264");
    ASSERT_IDS(tok, "a<y> a", 0, "262 264 261 262"); /* nothing is stripped */
    ASSERT_IDS(tok, "<end>", 0, "261 63 104 113 103 65");
    ASSERT_IDS(tok, "a<end>a", SPECIAL, "262 266 262");
    ASSERT_IDS(tok, "a</s>", SPECIAL, "262 2");
    CU_ASSERT_TRUE(comes_back(tok, text_of("a <y>")));
    tokenizer_free(tok);
    /* the config's list goes before both files */
    write_text(&f, CONFIG, "{\"added_tokens_decoder\": {\"264\": {\"content\": \"<z>\"}}}");
    tok = load(&f);
    CU_ASSERT_EQUAL(tokenizer_get_info(tok)->n_vocab, 265);
    CU_ASSERT_EQUAL(tokenizer_get_info(tok)->eos, 2);
    ASSERT_IDS(tok, "<z><y>", 0, "264 261 63 124 65");
    tokenizer_free(tok);
    fixture_release(&f);
}

static void test_decoder(void)
{
    struct fixture f;
    write_model(&f);
    write_text(&f, CONFIG,
               "{\"bos_token\": \"<s>\", \"eos_token\": {\"content\": \"<e>\"}, "
               "\"additional_special_tokens\": [\"<n>\"], \"added_tokens_decoder\": {"
               "\"1\": {\"content\": \"<s>\", \"special\": true, \"rstrip\": true}, "
               "\"265\": {\"content\": \"<l>\", \"lstrip\": true, \"rstrip\": true}, "
               "\"264\": {\"content\": \"<e>\", \"special\": true}, "
               "\"266\": {\"content\": \"w\", \"single_word\": true}, "
               "\"267\": {\"content\": \"<n>\"}}}");
    struct tokenizer *tok = load(&f);
    CU_ASSERT_EQUAL(tokenizer_get_info(tok)->n_vocab, 268);
    CU_ASSERT_EQUAL(tokenizer_get_info(tok)->eos, 264);
    ASSERT_IDS(tok, "b \n<l>  b", 0, "261 260 265 261 260");
    ASSERT_IDS(tok, "<s>  a", SPECIAL, "1 262");
    ASSERT_IDS(tok, "w aw", 0, "266 261 262 122"); /* "w" is a byte where it is of a word */
    ASSERT_IDS(tok, "<n>", SPECIAL, "267");
    CU_ASSERT_TRUE(tokenizer_is_control(tok, 267)); /* it is named as special */
    tokenizer_free(tok);
    fixture_release(&f);
}

/* Tokens that are named and have no id get those behind all others, in transformers' order. */
static void test_named_only(void)
{
    struct fixture f;
    write_model(&f);
    write_text(&f, CONFIG,
               "{\"pad_token\": \"[PAD]\", \"mask_token\": \"\", \"cls_token\": null, "
               "\"additional_special_tokens\": [\"<m>\", \"<u>\"]}");
    write_text(&f, SPECIALS,
               "{\"additional_special_tokens\": [{\"content\": \"<n>\", \"lstrip\": true}, "
               "\"<m>\"], \"unk_token\": \"<unk>\", \"sep_token\": \"a\"}");
    struct tokenizer *tok = load(&f);
    CU_ASSERT_EQUAL(tokenizer_get_info(tok)->n_vocab, 267);
    CU_ASSERT_EQUAL(tokenizer_get_info(tok)->pad, 264);
    CU_ASSERT_EQUAL(tokenizer_find(tok, "<m>"), 265);
    CU_ASSERT_EQUAL(tokenizer_find(tok, "<n>"), 266);
    ASSERT_IDS(tok, "b <n>b[PAD]", SPECIAL, "261 260 266 261 260 264");
    ASSERT_IDS(tok, "<u>", SPECIAL, "263");
    ASSERT_IDS(tok, "b<u>", 0, "261 260 63 120 65"); /* special now: text does not become it */
    tokenizer_free(tok);
    fixture_release(&f);
}

static void test_legacy(void)
{
    struct fixture f;
    write_model(&f);
    write_text(&f, ADDED_AS, "{\"<y>\": 264}");
    write_text(&f, CONFIG, "{\"legacy\": false}");
    struct tokenizer *tok = load(&f);
    ASSERT_IDS(tok, "a<y>a<y> a", 0, "262 264 259 264 262");
    ASSERT_IDS(tok, "<s>a", SPECIAL, "1 259");
    ASSERT_IDS(tok, "\u2581", 0, "261 261");
    ASSERT_IDS(tok, "a", TOKENIZE_CONTINUED, "259");
    tokenizer_free(tok);
    write_text(&f, CONFIG, "{\"legacy\": null}");
    tok = load(&f);
    ASSERT_IDS(tok, "a<y>a<y> a", 0, "262 264 262 264 261 262");
    ASSERT_IDS(tok, "<s>a", SPECIAL, "1 262");
    tokenizer_free(tok);
    fixture_release(&f);
}

/* The digest is the file's own until something is added, and then says what was. */
static void test_digest(void)
{
    static const char *const added[] = {"{}", "{\"<unk>\": 0}", "{\"<y>\": 264}", "{\"<z>\": 264}"};
    char digests[4][SHA256_HEX_SIZE], file[SHA256_HEX_SIZE];
    struct status st = {0};
    struct fixture f;
    write_model(&f);
    ASSERT_OK(sha256_file(f.path, file, &st));
    for (size_t i = 0; i < 4; i++) {
        write_text(&f, ADDED_AS, added[i]);
        struct tokenizer *tok = load(&f);
        memcpy(digests[i], tokenizer_get_info(tok)->sha256, SHA256_HEX_SIZE);
        tokenizer_free(tok);
    }
    CU_ASSERT_STRING_EQUAL(digests[0], file);
    CU_ASSERT_STRING_EQUAL(digests[1], file);
    CU_ASSERT_STRING_NOT_EQUAL(digests[2], file);
    CU_ASSERT_STRING_NOT_EQUAL(digests[3], digests[2]);
    fixture_release(&f);
}

static void test_refused(void)
{
    static const struct {
        const char *file, *json;
        status_code code;
        const char *says;
    } bad[] = {
        {ADDED_AS, "[]", STATUS_BAD_INPUT, "added_tokens.json: is no object"},
        {ADDED_AS, "{\"<y>\": -1}", STATUS_BAD_INPUT, "added_tokens.json: field \"<y>\""},
        {ADDED_AS, "{\"<y>\": 1048576}", STATUS_BAD_INPUT, "added_tokens.json: field \"<y>\""},
        {ADDED_AS, "{\"<y>\": \"264\"}", STATUS_BAD_INPUT, "added_tokens.json: field \"<y>\""},
        {ADDED_AS, "{\"<y>\": 265}", STATUS_BAD_INPUT, "no piece has id 264"},
        {ADDED_AS, "{\"<y>\": 259}", STATUS_BAD_INPUT,
         "added_tokens.json: id 259 belongs to two pieces, \"a\" and \"<y>\""},
        {ADDED_AS, "{\"a\": 264}", STATUS_BAD_INPUT, "token \"a\" has id 264, and also 259"},
        {ADDED_AS, "{\"<y>\": 264, \"<z>\": 264}", STATUS_BAD_INPUT, "belongs to two pieces"},
        {ADDED_AS, "{\"<y>\": 264, ", STATUS_BAD_INPUT, "added_tokens.json: "},
        {SPECIALS, "{\"eos_token\": 2}", STATUS_BAD_INPUT, "special_tokens_map.json: field \"eos"},
        {SPECIALS, "{\"eos_token\": {\"content\": 2}}", STATUS_BAD_INPUT, "\"content\""},
        {SPECIALS, "{\"additional_special_tokens\": \"<y>\"}", STATUS_BAD_INPUT,
         "special_tokens_map.json: field \"additional_special_tokens\""},
        {CONFIG, "{\"added_tokens_decoder\": []}", STATUS_BAD_INPUT,
         "tokenizer_config.json: field"},
        {CONFIG, "{\"added_tokens_decoder\": {\"x\": {\"content\": \"<y>\"}}}", STATUS_BAD_INPUT,
         "\"x\" is no id from 0 to 1048575"},
        {CONFIG, "{\"added_tokens_decoder\": {\"264\": {}}}", STATUS_BAD_INPUT, "\"content\""},
        {CONFIG, "{\"added_tokens_decoder\": {\"264\": {\"content\": \"<y>\", \"lstrip\": 1}}}",
         STATUS_BAD_INPUT, "tokenizer_config.json: added_tokens_decoder: field \"lstrip\""},
        {CONFIG, "{\"legacy\": \"no\"}", STATUS_BAD_INPUT,
         "tokenizer_config.json: field \"legacy\""},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct status st = {0};
        struct tokenizer *tok;
        struct fixture f;
        write_model(&f);
        write_text(&f, bad[i].file, bad[i].json);
        ASSERT_FAILS(tokenizer_load(&tok, f.folder, &st), bad[i].code, bad[i].says);
        fixture_release(&f);
    }
}

/* Bytes of the three files changed at random: loaded or refused, never a crash. */
static void test_damaged(void)
{
    static const char *const files[][2] = {
        {ADDED_AS, "{\"<y>\": 264, \"<z>\": 265, \"<w>\": 266}"},
        {SPECIALS, "{\"eos_token\": {\"content\": \"<z>\", \"lstrip\": true}, "
                   "\"additional_special_tokens\": [\"<y>\", \"<v>\"]}"},
        {CONFIG, "{\"pad_token\": \"[P]\", \"added_tokens_decoder\": {\"264\": {\"content\": "
                 "\"<y>\", \"rstrip\": true}, \"265\": {\"content\": \"<z>\"}}}"},
    };
    static const char bytes[] = "0123456789\"{}[]:,<> \\u\xe2\x96\x81\x80";
    struct rng rng;
    size_t n_loaded = 0, n_refused = 0;
    rng_seed(&rng, 11);
    struct fixture f;
    write_model(&f);
    for (int round = 0; round < 1200; round++) {
        const char *const *file = files[round % 3];
        char json[256];
        size_t n = strlen(file[1]);
        memcpy(json, file[1], n + 1);
        for (uint64_t i = 0; i <= rng_next(&rng) % 3; i++)
            json[rng_next(&rng) % n] = bytes[rng_next(&rng) % (sizeof bytes - 1)];
        write_text(&f, file[0], json);
        struct status st = {0};
        struct tokenizer *tok;
        if (tokenizer_load(&tok, f.folder, &st) == STATUS_OK) {
            struct token_list ids = {0};
            CU_ASSERT_EQUAL(tokenizer_encode(tok, text_of("a<y> <z>b[P]"), SPECIAL, &ids, &st),
                            STATUS_OK);
            token_list_release(&ids);
            tokenizer_free(tok);
            n_loaded++;
        } else {
            CU_ASSERT_NOT_EQUAL(st.message[0], '\0');
            n_refused++;
        }
        write_text(&f, file[0], "{}");
    }
    CU_ASSERT_TRUE(n_loaded > 50 && n_refused > 50);
    fixture_release(&f);
}

static const struct test_case tests[] = {
    {"added_tokens.json and special_tokens_map.json", test_added_file},
    {"added_tokens_decoder of tokenizer_config.json", test_decoder},
    {"special tokens that are only named", test_named_only},
    {"\"legacy\" says what gets a space in front", test_legacy},
    {"the digest names what was added", test_digest},
    {"what is refused", test_refused},
    {"the three files with random damage", test_damaged},
};

SUITE("added_tokens", tests)
