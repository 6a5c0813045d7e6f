/* Byte-level BPE, WordPiece and Unigram: their parts, and whole vocabularies against the library
 * that defines them. */
#include "engine/base/rng.h"
#include "engine/base/utf8.h"
#include "engine/gguf/gguf_writer.h"
#include "engine/tokenizer/tokenizer_core.h"
#include "tests/unit/tokenizer_fixtures.h"

#define VECTORS "tests/vectors/tokenizers/"
#define LLAMA3                                                                                     \
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}"                       \
    "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"

/* ---- the alphabet of bytes ---- */

static void test_alphabet(void)
{
    bool used[0x200] = {false};
    for (int byte = 0; byte < 256; byte++) {
        uint32_t character = byte_character((unsigned char)byte);
        CU_ASSERT_TRUE_FATAL(character >= '!' && character < 0x144);
        CU_ASSERT_FALSE(used[character]);
        used[character] = true;
    }
    CU_ASSERT_EQUAL(byte_character('!'), '!');
    CU_ASSERT_EQUAL(byte_character(0), 0x100);
    CU_ASSERT_EQUAL(byte_character(' '), 0x120);
    CU_ASSERT_EQUAL(byte_character('\n'), 0x10a);
    CU_ASSERT_EQUAL(byte_character(0x7f), 0x121);
    CU_ASSERT_EQUAL(byte_character(0xad), 0x143);
    CU_ASSERT_EQUAL(byte_character(0xff), 0xff);
}

/* ---- words ---- */

static status_code append_word(void *user, struct text word, struct status *st)
{
    struct strbuf *out = user;
    if (out->length) strbuf_append_char(out, '|');
    strbuf_append(out, word.data, word.length);
    return strbuf_check(out, "words", st);
}

/* Whether a text falls into these words, written with | between. */
static bool has_words(const struct pre_tokenizer *pre, struct text text, const char *expected)
{
    struct status st = {0};
    struct pre_tokenizer_scratch scratch;
    struct strbuf words;
    strbuf_init(&words, 1 << 20);
    pre_tokenizer_scratch_init(&scratch, 1 << 20);
    ASSERT_OK(pre_tokenizer_run(pre, text, true, &scratch, append_word, &words, &st));
    bool same = strcmp(words.data, expected) == 0;
    if (!same) fprintf(stderr, "  words %s, expected %s\n", words.data, expected);
    pre_tokenizer_scratch_release(&scratch);
    strbuf_release(&words);
    return same;
}

#define ASSERT_WORDS(pre, string, expected)                                                        \
    CU_ASSERT_TRUE(has_words((pre), text_of(string), (expected)))

static void split_by(struct pre_tokenizer *pre, const char *pattern, enum split_behaviour behaviour,
                     bool invert)
{
    struct status st = {0};
    *pre = (struct pre_tokenizer){0};
    ASSERT_OK(pre_tokenizer_add_split(pre, text_of(pattern), behaviour, invert, &st));
}

static void test_model_patterns(void)
{
    struct pre_tokenizer pre;
    split_by(&pre, GPT2_PATTERN, SPLIT_ISOLATED, false);
    ASSERT_WORDS(&pre, "Hello  world's 12ab\n\n x", "Hello| | world|'s| 12|ab|\n\n| x");
    ASSERT_WORDS(&pre, "I'LL we'll ...!? ", "I|'|LL| we|'ll| ...!?| ");
    ASSERT_WORDS(&pre, "a\u180eb\u00a0c", "a|\u180e|b|\u00a0|c"); /* U+180E is no white space */
    CU_ASSERT_TRUE(has_words(&pre, (struct text){"a \xff\xc3 b", 6}, "a| |\xff|\xc3| b"));
    pre_tokenizer_release(&pre);
    split_by(&pre, LLAMA3, SPLIT_ISOLATED, false);
    ASSERT_WORDS(&pre, "Hello  world'S 12345ab\n\n x", "Hello| | world|'S| |123|45|ab|\n\n| x");
    ASSERT_WORDS(&pre, "(you) ok?\r\n\t\tz", "(you|)| ok|?\r\n|\t|\tz");
    ASSERT_WORDS(&pre, "\u4f60\u597d  \n \u00e9t\u00e9", "\u4f60\u597d|  \n| \u00e9t\u00e9");
    pre_tokenizer_release(&pre);
}

/* A GGUF vocabulary of the 256 bytes and nothing else, cut as `pre` says. */
static void write_bytes_vocabulary(struct fixture *f, const char *pre)
{
    struct gguf_writer w;
    struct strbuf file;
    int32_t normal = 1;
    char spelled[4];
    gguf_writer_init(&w);
    strbuf_init(&file, 1 << 20);
    gguf_writer_text(&w, "tokenizer.ggml.model", "gpt2");
    gguf_writer_text(&w, "tokenizer.ggml.pre", pre);
    gguf_writer_array(&w, "tokenizer.ggml.tokens", GGUF_STRING, 256);
    for (int byte = 0; byte < 256; byte++) {
        size_t n = utf8_encode(byte_character((unsigned char)byte), spelled);
        gguf_writer_put_text(&w, (struct text){spelled, n});
    }
    gguf_writer_array(&w, "tokenizer.ggml.token_type", GGUF_I32, 256);
    for (int byte = 0; byte < 256; byte++) gguf_writer_put(&w, &normal, sizeof normal);
    gguf_writer_array(&w, "tokenizer.ggml.merges", GGUF_STRING, 0);
    gguf_writer_u32(&w, "tokenizer.ggml.bos_token_id", 0);
    gguf_writer_header(&w, &file);
    fixture_write(f, "model.gguf", text_in(&file));
    strbuf_release(&file);
    gguf_writer_release(&w);
}

/* The words of Perl's regular expressions for each pattern. */
static void test_gguf_patterns(void)
{
    static const struct {
        const char *pre, *text, *words;
    } cases[] = {
        {"gpt-2", "I'll 2024ab  x", "I|'ll| 2024|ab| | x"},
        {"phi-2", "I'll 2024ab  x", "I|'ll| 2024|ab| | x"},
        {"refact", "I'll 2024ab 5\u00b2  x", "I|'ll| |2|0|2|4|ab| |5|\u00b2| | x"},
        {"llama-bpe", "I'LL 2024ab  x", "I|'LL| |202|4|ab| | x"},
        {"qwen2", "I'LL 2024ab  x", "I|'LL| |2|0|2|4|ab| | x"},
        {"tekken", "Hello  helloWorld don't GPTNeo 2024ab//\n\n x",
         "Hello| | hello|World| don|'t| GPTNeo| |2|0|2|4|ab|//\n\n| x"},
        {"tekken", "\u4f60\u597dABCd  \n \u00e9T\u00e9e\u0301Z",
         "\u4f60\u597dABCd|  \n| \u00e9|T\u00e9e\u0301|Z"},
        {"tekken", "I'LL (we) .../\r\n\tz", "I|'LL| (|we|)| .../\r\n|\tz"},
    };
    struct fixture f;
    fixture_init(&f);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct status st = {0};
        struct tokenizer *tok;
        write_bytes_vocabulary(&f, cases[i].pre);
        ASSERT_OK(tokenizer_load(&tok, f.path, &st));
        ASSERT_WORDS(&tok->pre_tokenizer, cases[i].text, cases[i].words);
        CU_ASSERT_TRUE(comes_back(tok, text_of(cases[i].text)));
        bool has_bos = strcmp(cases[i].pre, "llama-bpe") == 0 || *cases[i].pre == 't';
        CU_ASSERT_EQUAL(tokenizer_get_info(tok)->add_bos, has_bos);
        tokenizer_free(tok);
    }
    struct status st = {0};
    struct tokenizer *tok;
    write_bytes_vocabulary(&f, "gpt-4o");
    ASSERT_FAILS(tokenizer_load(&tok, f.path, &st), STATUS_UNSUPPORTED,
                 "tokenizer.ggml.pre is \"gpt-4o\", only gpt-2, phi-2, ");
    fixture_release(&f);
}

static void test_behaviours(void)
{
    struct pre_tokenizer pre;
    split_by(&pre, "-", SPLIT_ISOLATED, false);
    ASSERT_WORDS(&pre, "-a--b-", "-|a|-|-|b|-");
    pre_tokenizer_release(&pre);
    split_by(&pre, "-", SPLIT_REMOVED, false);
    ASSERT_WORDS(&pre, "-a--b-", "a|b");
    pre_tokenizer_release(&pre);
    split_by(&pre, "-", SPLIT_CONTIGUOUS, false);
    ASSERT_WORDS(&pre, "-a--b-", "-|a|--|b|-");
    pre_tokenizer_release(&pre);
    split_by(&pre, "-", SPLIT_MERGED_WITH_PREVIOUS, false);
    ASSERT_WORDS(&pre, "-a--b-", "-|a-|-|b-");
    pre_tokenizer_release(&pre);
    split_by(&pre, "-", SPLIT_MERGED_WITH_NEXT, false);
    ASSERT_WORDS(&pre, "-a--b-", "-a|-|-b|-");
    pre_tokenizer_release(&pre);
    split_by(&pre, "[a-z]+", SPLIT_REMOVED, true);
    ASSERT_WORDS(&pre, "-a--b-", "a|b");
    pre_tokenizer_release(&pre);
}

static void test_refused_patterns(void)
{
    static const char *const patterns[] = {"^a", "a$", "[a&&b]", "[\\S]", "\\h", "[a[b]]"};
    for (size_t i = 0; i < sizeof patterns / sizeof patterns[0]; i++) {
        struct status st = {0};
        struct pre_tokenizer pre = {0};
        ASSERT_FAILS(
            pre_tokenizer_add_split(&pre, text_of(patterns[i]), SPLIT_ISOLATED, false, &st),
            STATUS_UNSUPPORTED, "is not supported");
        CU_ASSERT_EQUAL(pre.n_steps, 0);
    }
}

/* ---- character maps ---- */

/* A double array by hand: "A" becomes "a", "AB" becomes "x y". */
static void build_map(unsigned char units[0x200 * 4], struct strbuf *out)
{
    const uint32_t at[][2] = {
        {0, 1u << 10},                          /* the root, offset 1 */
        {1 ^ 'A', 'A' | 1u << 8 | 0x80u << 10}, /* a leaf at 0x40 ^ 0x80, children there too */
        {0xc0, 0x80000000u},                    /* "a" is at 0 */
        {0xc0 ^ 'B', 'B' | 1u << 8 | 0x100u << 10},
        {0x182, 0x80000002u}, /* "x y" is at 2 */
    };
    memset(units, 0, 0x200 * 4);
    for (size_t i = 0; i < sizeof at / sizeof at[0]; i++)
        for (int byte = 0; byte < 4; byte++)
            units[4 * at[i][0] + (uint32_t)byte] = (unsigned char)(at[i][1] >> (8 * byte));
    strbuf_append(out, "\x00\x08\x00\x00", 4);
    strbuf_append(out, (const char *)units, 0x200 * 4);
    strbuf_append(out, "a\0x y\0", 6);
}

static void test_charsmap(void)
{
    struct status st = {0};
    unsigned char units[0x200 * 4];
    struct strbuf bytes;
    struct charsmap map;
    struct text to;
    strbuf_init(&bytes, 1 << 16);
    build_map(units, &bytes);
    ASSERT_OK(charsmap_init(&map, text_in(&bytes), &st));
    CU_ASSERT_EQUAL(charsmap_longest(&map, text_of("ABC"), &to), 2);
    CU_ASSERT_TRUE(text_equal(to, text_of("x y")));
    CU_ASSERT_EQUAL(charsmap_shortest(&map, text_of("ABC"), &to), 1);
    CU_ASSERT_TRUE(text_equal(to, text_of("a")));
    CU_ASSERT_EQUAL(charsmap_longest(&map, text_of("B"), &to), 0);
    CU_ASSERT_EQUAL(charsmap_longest(&map, (struct text){"", 0}, &to), 0);
    ASSERT_FAILS(charsmap_init(&map, (struct text){bytes.data, 100}, &st), STATUS_BAD_INPUT,
                 "does not hold a trie of 2048");
    ASSERT_FAILS(charsmap_init(&map, (struct text){bytes.data, bytes.length - 1}, &st),
                 STATUS_BAD_INPUT, "does not end with a NUL");
    strbuf_release(&bytes);
}

/* Wrong places inside the trie end a walk, wherever they point. */
static void test_charsmap_mutations(void)
{
    struct status st = {0};
    struct rng rng;
    unsigned char units[0x200 * 4];
    rng_seed(&rng, 5);
    size_t matched = 0;
    for (int round = 0; round < 2000; round++) {
        struct strbuf bytes;
        struct charsmap map;
        struct text to;
        char key[8];
        strbuf_init(&bytes, 1 << 16);
        build_map(units, &bytes);
        for (int i = 0; i < 200; i++)
            bytes.data[4 + rng_next(&rng) % sizeof units] = (char)rng_next(&rng);
        ASSERT_OK(charsmap_init(&map, text_in(&bytes), &st));
        for (int i = 0; i < 8; i++) key[i] = (char)rng_next(&rng);
        memcpy(key, "AB", 2);
        size_t used = charsmap_longest(&map, (struct text){key, 8}, &to);
        CU_ASSERT_TRUE(used <= 8);
        if (used) CU_ASSERT_EQUAL(strlen(to.data), to.length);
        matched += used > 0;
        strbuf_release(&bytes);
    }
    CU_ASSERT_TRUE(matched > 0 && matched < 2000);
}

/* ---- whole vocabularies ---- */

static void check_vectors(const char *name)
{
    struct status st = {0};
    struct tokenizer *tok;
    struct strbuf texts, ids;
    char path[256];
    strbuf_init(&texts, LIMIT_LINE_BYTES);
    strbuf_init(&ids, LIMIT_LINE_BYTES);
    snprintf(path, sizeof path, VECTORS "%s.json", name);
    ASSERT_OK(tokenizer_load(&tok, path, &st));
    snprintf(path, sizeof path, VECTORS "%s.ids.jsonl", name);
    ASSERT_OK(strbuf_read_file(&ids, path, &st));
    ASSERT_OK(strbuf_read_file(&texts, VECTORS "texts.jsonl", &st));
    int lines = 0;
    char *line = texts.data, *expected = ids.data, *end;
    for (; (end = strchr(line, '\n')) != NULL; line = end + 1, lines++) {
        struct json_value *row;
        struct text text;
        ASSERT_OK(json_parse(&row, (struct text){line, (size_t)(end - line)}, &st));
        ASSERT_OK(json_get_text(row, "text", &text, &st));
        char *expected_end = strchr(expected, '\n');
        CU_ASSERT_PTR_NOT_NULL_FATAL(expected_end);
        expected_end[-1] = '\0'; /* "[1,2]" to "1 2" */
        for (char *p = ++expected; *p; p++)
            if (*p == ',') *p = ' ';
        CU_ASSERT_TRUE(has_ids(tok, text, TOKENIZE_PARSE_SPECIAL, expected));
        expected = expected_end + 1;
        json_free(row);
    }
    CU_ASSERT_EQUAL(lines, 280);
    tokenizer_free(tok);
    strbuf_release(&texts);
    strbuf_release(&ids);
}

static void test_byte_level(void)
{
    struct status st = {0};
    struct tokenizer *tok;
    check_vectors("byte_level");
    ASSERT_OK(tokenizer_load(&tok, VECTORS "byte_level.json", &st));
    CU_ASSERT_STRING_EQUAL(tokenizer_get_info(tok)->kind, "byte-bpe");
    CU_ASSERT_EQUAL(tokenizer_get_info(tok)->unknown, -1);
    int32_t whole = tokenizer_find(tok, "\u0120whole");
    CU_ASSERT_TRUE(text_equal(tokenizer_piece(tok, whole), text_of(" whole")));
    CU_ASSERT_TRUE(comes_back(tok, text_of("  \u2581 \u0120 \x80\xff \U0001f680\n")));
    CU_ASSERT_TRUE(comes_back(tok, (struct text){"\0a\0", 3}));
    CU_ASSERT_TRUE(comes_back(tok, text_of("<|end|>")));
    struct token_list ids = {0};
    ASSERT_OK(tokenizer_encode(tok, text_of("<|end|>"), TOKENIZE_PARSE_SPECIAL, &ids, &st));
    CU_ASSERT_EQUAL(ids.count, 1);
    CU_ASSERT_TRUE(tokenizer_is_control(tok, ids.ids[0]) && tokenizer_is_end(tok, ids.ids[0]));
    token_list_release(&ids);
    tokenizer_free(tok);
}

/* RoBERTa's pieces, the bytes, "ab" and " ab". */
static void write_pair(struct fixture *f, const char *merges)
{
    struct strbuf vocab;
    strbuf_init(&vocab, 1 << 16);
    strbuf_append_str(&vocab, "{\"<s>\": 0, \"<pad>\": 1, \"</s>\": 2, \"<unk>\": 3");
    for (int byte = 0; byte < 256; byte++) {
        char spelled[4];
        size_t n = utf8_encode(byte_character((unsigned char)byte), spelled);
        strbuf_append_str(&vocab, ", ");
        json_append_text(&vocab, (struct text){spelled, n});
        strbuf_appendf(&vocab, ": %d", 4 + byte);
    }
    strbuf_append_str(&vocab, ", \"ab\": 260, \"\u0120ab\": 261, \"<mask>\": 262}");
    fixture_write(f, "vocab.json", text_in(&vocab));
    fixture_write(f, "merges.txt", text_of(merges));
    strbuf_release(&vocab);
}

static void test_pair(void)
{
    struct status st = {0};
    struct fixture f;
    struct tokenizer *tok;
    fixture_init(&f);
    fixture_write(&f, "added_tokens.json", text_of("{\"xyz\": 263}"));
    write_pair(&f, "#version: 0.2\na b\r\n\u0120 ab\n\n");
    ASSERT_OK(tokenizer_load(&tok, f.folder, &st));
    CU_ASSERT_STRING_EQUAL(tokenizer_get_info(tok)->kind, "byte-bpe");
    ASSERT_IDS(tok, "ab ab", 0, "260 261");
    ASSERT_IDS(tok, "ab <mask>xyz", TOKENIZE_PARSE_SPECIAL, "260 262 263");
    ASSERT_IDS(tok, "<s>", 0, "64 119 66");
    ASSERT_IDS(tok, " ab", TOKENIZE_ADD_BOS | TOKENIZE_ADD_EOS, "0 261 2");
    CU_ASSERT_TRUE(tokenizer_get_info(tok)->add_bos && tokenizer_get_info(tok)->add_eos);
    tokenizer_free(tok);
    fixture_write(&f, "tokenizer_config.json", text_of("{\"add_prefix_space\": true}"));
    ASSERT_OK(tokenizer_load(&tok, f.folder, &st));
    ASSERT_IDS(tok, "ab", 0, "261");
    tokenizer_free(tok);
    write_pair(&f, "ab");
    ASSERT_FAILS(tokenizer_load(&tok, f.folder, &st), STATUS_BAD_INPUT, "model.merges");
    fixture_write(&f, "vocab.json", text_of("[]"));
    ASSERT_FAILS(tokenizer_load(&tok, f.folder, &st), STATUS_BAD_INPUT, "vocab.json: is no object");
    fixture_write(&f, "vocab.json", text_of("{}"));
    fixture_write(&f, "added_tokens.json", text_of("[1]"));
    ASSERT_FAILS(tokenizer_load(&tok, f.folder, &st), STATUS_BAD_INPUT, "added_tokens.json");
    fixture_release(&f);
}

/* Gives back any text that NFC leaves alone: here, any without characters above U+02FF. */
static void test_byte_level_round_trips(void)
{
    struct status st = {0};
    struct tokenizer *tok;
    struct rng rng;
    struct strbuf text;
    ASSERT_OK(tokenizer_load(&tok, VECTORS "byte_level.json", &st));
    rng_seed(&rng, 77);
    strbuf_init(&text, 1 << 16);
    for (int round = 0; round < 3000; round++) {
        strbuf_clear(&text);
        for (uint64_t n = rng_next(&rng) % 50; n; n--) {
            char bytes[4];
            uint32_t cp = (uint32_t)(rng_next(&rng) % (rng_next(&rng) % 3 ? 0x80 : 0x300));
            strbuf_append(&text, bytes, utf8_encode(cp, bytes));
            if (rng_next(&rng) % 20 == 0) strbuf_append_char(&text, (char)(rng_next(&rng) | 0x80));
        }
        CU_ASSERT_TRUE(comes_back(tok, text_in(&text)));
    }
    strbuf_release(&text);
    tokenizer_free(tok);
}

static void test_wordpiece(void)
{
    check_vectors("wordpiece");
}

/* The vocabulary as vocab.txt, with the options that tokenizer_config.json has for it. */
static void test_vocab_txt(void)
{
    static const char vocabulary[] =
        "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nab\n##c\nA\ne\n.\r\n\u4f60\n";
    struct status st = {0};
    struct fixture f;
    struct tokenizer *tok;
    fixture_init(&f);
    fixture_write(&f, "vocab.txt", text_of(vocabulary));
    ASSERT_OK(tokenizer_load(&tok, f.folder, &st));
    const struct tokenizer_info *info = tokenizer_get_info(tok);
    CU_ASSERT_STRING_EQUAL(info->kind, "wordpiece");
    CU_ASSERT_TRUE(info->bos == 2 && info->eos == 3 && info->unknown == 1 && info->pad == 0);
    CU_ASSERT_TRUE(info->add_bos && info->add_eos);
    ASSERT_IDS(tok, "ABCC abd", 0, "5 6 6 1");
    ASSERT_IDS(tok, "\u00c9.\u4f60ab", 0, "8 9 10 5");
    ASSERT_IDS(tok, "ab", TOKENIZE_ADD_BOS | TOKENIZE_ADD_EOS, "2 5 3");
    ASSERT_IDS(tok, "[SEP]", 0, "1 1 1");
    ASSERT_IDS(tok, "ab[SEP]", TOKENIZE_PARSE_SPECIAL, "5 3");
    ASSERT_IDS(tok, "a\u0301b\u200bc", 0, "5 6"); /* accents and what has no shape go */
    struct strbuf decoded;
    strbuf_init(&decoded, 100);
    tokenizer_decode(tok, (const int32_t[]){2, 5, 6, 8, 3}, 5, &decoded);
    CU_ASSERT_STRING_EQUAL(decoded.data, "abc e");
    strbuf_release(&decoded);
    tokenizer_free(tok);
    fixture_write(&f, "tokenizer_config.json",
                  text_of("{\"do_lower_case\": false, \"tokenize_chinese_chars\": false}"));
    ASSERT_OK(tokenizer_load(&tok, f.folder, &st));
    ASSERT_IDS(tok, "A a \u00c9 \u4f60\u4f60", 0, "7 1 1 1");
    tokenizer_free(tok);
    fixture_write(&f, "vocab.txt", text_of("a\nb\na\n"));
    ASSERT_FAILS(tokenizer_load(&tok, f.folder, &st), STATUS_BAD_INPUT, "\"a\" is there twice");
    fixture_write(&f, "vocab.txt", text_of("a\nb\n"));
    ASSERT_FAILS(tokenizer_load(&tok, f.folder, &st), STATUS_UNSUPPORTED, "neither an unknown");
    snprintf(f.path, sizeof f.path, "%s/vocab.txt", f.folder);
    unlink(f.path);
    fixture_release(&f);
}

static void test_unigram(void)
{
    check_vectors("unigram");
}

static void append_model_type(struct strbuf *out, uint64_t type)
{
    struct strbuf spec;
    strbuf_init(&spec, 100);
    append_int(&spec, 3, type);
    append_bytes(out, 2, text_in(&spec));
    strbuf_release(&spec);
}

static void test_unigram_spm(void)
{
    static const struct spm_piece pieces[] = {
        {"a", -1, NORMAL},   {"b", -1, NORMAL}, {"ab", -2, NORMAL},     {"ba", -1.5f, NORMAL},
        {"abb", -1, UNUSED}, {"<u>", 0, USER},  {"\u2581", -3, NORMAL},
    };
    struct status st = {0};
    struct fixture f;
    struct tokenizer *tok;
    struct strbuf bytes;
    fixture_init(&f);
    build_spm(&bytes, pieces, 7, false, false, false);
    append_model_type(&bytes, 1);
    ASSERT_OK(load_bytes(&f, &tok, "tokenizer.model", &bytes, &st));
    CU_ASSERT_STRING_EQUAL(tokenizer_get_info(tok)->kind, "unigram");
    ASSERT_IDS(tok, "ab", 0, "5"); /* equal sums: the longer piece, which is found first */
    ASSERT_IDS(tok, "aba", 0, "3 6");
    ASSERT_IDS(tok, "abb", 0, "5 4");
    ASSERT_IDS(tok, "xya\xff", 0, "0 3 0"); /* unknown neighbours are one */
    ASSERT_IDS(tok, "a<u>b", 0, "3 8 4");
    ASSERT_IDS(tok, "<s>", 0, "0");
    tokenizer_free(tok);
    build_spm(&bytes, pieces, 7, true, true, true);
    append_model_type(&bytes, 1);
    ASSERT_OK(load_bytes(&f, &tok, "tokenizer.model", &bytes, &st));
    ASSERT_IDS(tok, " a  \u00e9 ", 0, "265 259 265 198 172");
    CU_ASSERT_TRUE(comes_back(tok, text_of("ab \u00e9")));
    tokenizer_free(tok);
    fixture_release(&f);
}

/* ---- what users write ---- */

static void test_user_text(void)
{
    static const struct spm_piece pieces[] = {
        {"<start_of_turn>", 0, USER}, {"<", -1, NORMAL}, {"\n", 0, USER}};
    struct status st = {0};
    struct fixture f;
    struct tokenizer *tok;
    struct strbuf bytes;
    struct token_list ids = {0};
    fixture_init(&f);
    build_spm(&bytes, pieces, 3, true, false, false);
    ASSERT_OK(load_bytes(&f, &tok, "tokenizer.model", &bytes, &st));
    ASSERT_IDS(tok, "<start_of_turn>\n", 0, "259 261");
    int flags = TOKENIZE_USER_TEXT | TOKENIZE_PARSE_SPECIAL;
    ASSERT_OK(tokenizer_encode(tok, text_of("<start_of_turn>\n<s>"), (enum tokenize_flags)flags,
                               &ids, &st));
    CU_ASSERT_EQUAL(ids.count, 15 + 1 + 3);
    CU_ASSERT_EQUAL(ids.ids[0], 260);
    for (size_t i = 0; i < ids.count; i++) CU_ASSERT_TRUE(ids.ids[i] != 259 && ids.ids[i] != 1);
    token_list_release(&ids);
    tokenizer_free(tok);
    fixture_release(&f);
}

static const struct test_case tests[] = {
    {"each byte has its character", test_alphabet},
    {"the patterns of GPT-2 and Llama 3 cut as Oniguruma does", test_model_patterns},
    {"each of GGUF's names for a pattern cuts as Perl does", test_gguf_patterns},
    {"five things can become of a match", test_behaviours},
    {"patterns that mean something else here are refused", test_refused_patterns},
    {"character maps: the longest and the shortest key", test_charsmap},
    {"character maps: tries that lie", test_charsmap_mutations},
    {"byte-level BPE as the tokenizers library splits", test_byte_level},
    {"byte-level BPE gives every text back", test_byte_level_round_trips},
    {"vocab.json and merges.txt", test_pair},
    {"WordPiece as the tokenizers library splits", test_wordpiece},
    {"vocab.txt and its options", test_vocab_txt},
    {"Unigram as the tokenizers library splits", test_unigram},
    {"tokenizer.model: the best path", test_unigram_spm},
    {"what divides turns is text where a user wrote it", test_user_text},
};

SUITE("tokenizer_kinds", tests)
