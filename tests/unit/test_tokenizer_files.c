/* Files that lie, break off, or ask for what is not supported; and thousands of random ones. */
#include "engine/base/rng.h"
#include "engine/tokenizer/tokenizer_core.h"
#include "tests/unit/tokenizer_fixtures.h"

/* ---- finding the file ---- */

static void test_nothing_there(void)
{
    struct status st = {0};
    struct fixture f;
    struct tokenizer *tok;
    fixture_init(&f);
    ASSERT_FAILS(tokenizer_load(&tok, "/nonexistent/model", &st), STATUS_NOT_FOUND,
                 "/nonexistent/model");
    ASSERT_FAILS(tokenizer_load(&tok, f.folder, &st), STATUS_NOT_FOUND,
                 "has no tokenizer.json, tokenizer.model, vocab.txt, or vocab.json and");
    fixture_write(&f, "tokenizer.json", text_of(""));
    ASSERT_FAILS(tokenizer_load(&tok, f.folder, &st), STATUS_BAD_INPUT, "neither a tokenizer.json");
    fixture_write(&f, "tokenizer.json", text_of("PK\x03\x04"));
    ASSERT_FAILS(tokenizer_load(&tok, f.path, &st), STATUS_BAD_INPUT, f.path);
    fixture_release(&f);
}

static void test_directory_order(void)
{
    static const struct spm_piece pieces[] = {{"a", 0, NORMAL}};
    struct status st = {0};
    struct fixture f;
    struct tokenizer *tok;
    struct strbuf bytes;
    fixture_init(&f);
    build_spm(&bytes, pieces, 1, true, false, false);
    fixture_write(&f, "tokenizer.model", text_in(&bytes));
    strbuf_release(&bytes);
    fixture_write(&f, "tokenizer_config.json", text_of("{\"add_bos_token\": false}"));
    ASSERT_OK(tokenizer_load(&tok, f.folder, &st));
    CU_ASSERT_STRING_EQUAL(tokenizer_get_info(tok)->kind, "spm");
    CU_ASSERT_FALSE(tokenizer_get_info(tok)->add_bos);
    tokenizer_free(tok);
    build_json(&bytes, (struct json_parts){0});
    fixture_write(&f, "tokenizer.json", text_in(&bytes));
    strbuf_release(&bytes);
    ASSERT_OK(tokenizer_load(&tok, f.folder, &st));
    CU_ASSERT_STRING_EQUAL(tokenizer_get_info(tok)->kind, "bpe");
    tokenizer_free(tok);
    fixture_write(&f, "tokenizer_config.json", text_of("{\"bos_token\": \"<none>\"}"));
    ASSERT_FAILS(tokenizer_load(&tok, f.folder, &st), STATUS_BAD_INPUT,
                 "\"bos_token\" is \"<none>\"");
    fixture_write(&f, "tokenizer_config.json", text_of("{\"add_bos_token\": 1}"));
    ASSERT_FAILS(tokenizer_load(&tok, f.folder, &st), STATUS_BAD_INPUT, "tokenizer_config.json");
    fixture_write(&f, "tokenizer_config.json", text_of("{\"remove_space\": true}"));
    ASSERT_FAILS(tokenizer_load(&tok, f.folder, &st), STATUS_UNSUPPORTED, "remove_space");
    fixture_write(&f, "tokenizer_config.json", text_of("{"));
    ASSERT_FAILS(tokenizer_load(&tok, f.folder, &st), STATUS_BAD_INPUT, "tokenizer_config.json");
    fixture_release(&f);
}

/* ---- tokenizer.json ---- */

struct bad_json {
    struct json_parts parts;
    status_code code;
    const char *says;
};

#define BPE "\"type\": \"BPE\", \"unk_token\": \"<unk>\", \"byte_fallback\": true"

static const struct bad_json bad_jsons[] = {
    /* well formed and not for us */
    {{.model = "\"type\": \"WordLevel\""}, STATUS_UNSUPPORTED, "model.type is \"WordLevel\""},
    {{.model = "\"type\": \"WordPiece\""}, STATUS_UNSUPPORTED, "other than WordPiece"},
    {{.model = BPE ", \"dropout\": 0.1"}, STATUS_UNSUPPORTED, "dropout"},
    {{.model = BPE ", \"end_of_word_suffix\": \"</w>\""}, STATUS_UNSUPPORTED, "end_of_word_suffix"},
    {{.model = "\"type\": \"BPE\""}, STATUS_UNSUPPORTED, "neither an unknown piece nor byte"},
    {{.normalizer = "{\"type\": \"Nmt\"}"}, STATUS_UNSUPPORTED, "normalizer of type \"Nmt\""},
    {{.normalizer = "{\"type\": \"Replace\", \"pattern\": {\"Regex\": \"^a\"}, \"content\": \"\"}"},
     STATUS_UNSUPPORTED,
     "an anchor is not supported"},
    {{.pre_tokenizer = "{\"type\": \"ByteLevel\"}"}, STATUS_UNSUPPORTED, "other than ByteLevel"},
    {{.pre_tokenizer = "{\"type\": \"Sequence\", \"pretokenizers\": [{\"type\": \"ByteLevel\"}, "
                       "{\"type\": \"Digits\"}]}"},
     STATUS_UNSUPPORTED,
     "\"Digits\" is not supported behind ByteLevel"},
    {{.pre_tokenizer = "{\"type\": \"Punctuation\"}"}, STATUS_UNSUPPORTED, "\"Punctuation\""},
    {{.pre_tokenizer = "{\"type\": \"Metaspace\", \"replacement\": \"_\", \"prepend_scheme\": "
                       "\"last\"}"},
     STATUS_UNSUPPORTED,
     "\"Metaspace\""},
    {{.decoder = "{\"type\": \"ByteLevel\"}"}, STATUS_UNSUPPORTED, "does not turn U+2581"},
    {{.decoder = "{\"type\": \"CTC\"}"}, STATUS_UNSUPPORTED, "decoder of type \"CTC\""},
    {{.decoder = "null"}, STATUS_UNSUPPORTED, "decoder"},
    {{.added = ADDED(0, "<pad>", "\"single_word\": 1")}, STATUS_BAD_INPUT, "single_word"},
    /* fields of the wrong kind */
    {{.model = "\"type\": 5"}, STATUS_BAD_INPUT, "model: field \"type\" is a number"},
    {{.model = "\"type\": \"Unigram\""}, STATUS_BAD_INPUT, "field \"vocab\" is an object"},
    {{.normalizer = "{\"type\": \"Replace\", \"pattern\": {\"Regex\": \"a(\"}, \"content\": \"\"}"},
     STATUS_BAD_INPUT,
     "pattern \"a(\""},
    {{.normalizer = "{\"type\": \"Precompiled\", \"precompiled_charsmap\": \"?\"}"},
     STATUS_BAD_INPUT,
     "not base64"},
    {{.normalizer = "{\"type\": \"Precompiled\", \"precompiled_charsmap\": \"//8AAAAA\"}"},
     STATUS_BAD_INPUT,
     "does not hold a trie of"},
    {{.pre_tokenizer = "{\"type\": \"Split\", \"pattern\": {\"String\": \"a\"}}"},
     STATUS_BAD_INPUT,
     "field \"behavior\" is missing"},
    {{.pre_tokenizer =
          "{\"type\": \"Split\", \"pattern\": {\"String\": \"a\"}, \"behavior\": \"x\"}"},
     STATUS_BAD_INPUT,
     "behavior \"x\" is not known"},
    {{.model = BPE ", \"fuse_unk\": \"yes\""}, STATUS_BAD_INPUT, "fuse_unk"},
    {{.normalizer = "{\"type\": \"Replace\"}"}, STATUS_BAD_INPUT, "normalizer: field \"pattern\""},
    {{.normalizer = "{\"type\": \"Replace\", \"pattern\": {\"String\": \"\"}, \"content\": \"\"}"},
     STATUS_BAD_INPUT,
     "the pattern is empty"},
    {{.normalizer = "[]"}, STATUS_BAD_INPUT, "normalizer: expected an object"},
    {{.added = "7"}, STATUS_BAD_INPUT, "added_tokens: expected an object"},
    {{.vocab = "\"a\": \"b\""}, STATUS_BAD_INPUT, "piece \"a\" has no id"},
    /* vocabularies that lie */
    {{.vocab = "\"a\": -1"}, STATUS_BAD_INPUT, "piece \"a\" has no id"},
    {{.vocab = "\"a\": 1.5"}, STATUS_BAD_INPUT, "piece \"a\" has no id"},
    {{.vocab = "\"a\": 1048576"}, STATUS_BAD_INPUT, "piece \"a\" has no id from 0 to 1048575"},
    {{.vocab = "\"a\": 261"}, STATUS_BAD_INPUT, "no piece has id 260"},
    {{.vocab = "\"a\": 3"}, STATUS_BAD_INPUT, "id 3 belongs to two pieces, \"<unk>\" and \"a\""},
    {{.vocab = "\"a\": 260, \"a\": 261"}, STATUS_BAD_INPUT, "\"a\" is there twice, as 260 and 261"},
    {{.vocab = "\"a\": 260", .merges = "", .added = ADDED(5, "<x>", "\"special\": true")},
     STATUS_BAD_INPUT,
     "id 5 belongs to two pieces"},
    {{.model = "\"type\": \"BPE\", \"unk_token\": \"[UNK]\""},
     STATUS_BAD_INPUT,
     "unk_token is \"[UNK]\""},
    /* merges that lie */
    {{.merges = "\"a b\", \"a x\""}, STATUS_BAD_INPUT, "merge 1, of \"a\" and \"x\": \"x\" is not"},
    {{.merges = "\"b a\""}, STATUS_BAD_INPUT, "\"ba\" is not in the vocabulary"},
    {{.merges = "\"ab\""}, STATUS_BAD_INPUT, "merge 0 is neither"},
    {{.merges = "\"a a b\""}, STATUS_BAD_INPUT, "merge 0 is neither"},
    {{.merges = "[\"a\"]"}, STATUS_BAD_INPUT, "merge 0 is neither"},
    {{.merges = "[\"a\", \"a\", \"a\"]"}, STATUS_BAD_INPUT, "merge 0 is neither"},
    {{.merges = "7"}, STATUS_BAD_INPUT, "merge 0 is neither"},
    {{.merges = "\" \""}, STATUS_BAD_INPUT, "\"\" is not in the vocabulary"},
};

static void test_bad_json(void)
{
    struct fixture f;
    fixture_init(&f);
    for (size_t i = 0; i < sizeof bad_jsons / sizeof bad_jsons[0]; i++) {
        struct status st = {0};
        struct tokenizer *tok;
        ASSERT_FAILS(load_json(&f, &tok, bad_jsons[i].parts, &st), bad_jsons[i].code,
                     bad_jsons[i].says);
        CU_ASSERT_PTR_EQUAL(strstr(st.message, f.path), st.message);
    }
    fixture_release(&f);
}

static void test_json_odd_pieces(void)
{
    struct status st = {0};
    struct fixture f;
    struct tokenizer *tok;
    fixture_init(&f);
    /* rules that chase each other, an empty piece, and a piece that is a NUL */
    struct json_parts odd = {
        .vocab = "\"a\": 260, \"aa\": 261, \"aaaa\": 262, \"\": 263, \"\\u0000\": 264",
        .merges = "\"aa aa\", \"a a\", [\"\", \"a\"], [\"a\", \"\"]",
    };
    ASSERT_OK(load_json(&f, &tok, odd, &st));
    ASSERT_IDS(tok, "aaaaaaa", 0, "262 261 260");
    CU_ASSERT_TRUE(has_ids(tok, (struct text){"a\0a", 3}, 0, "260 264 260"));
    CU_ASSERT_TRUE(comes_back(tok, (struct text){"\0a\0", 3}));
    tokenizer_free(tok);
    /* a piece that is too long to be one */
    struct strbuf vocab;
    strbuf_init(&vocab, 1 << 16);
    strbuf_append_str(&vocab, "\"");
    for (int i = 0; i <= LIMIT_PIECE_BYTES; i++) strbuf_append_char(&vocab, 'a');
    strbuf_append_str(&vocab, "\": 260");
    ASSERT_FAILS(load_json(&f, &tok, (struct json_parts){.vocab = vocab.data, .merges = ""}, &st),
                 STATUS_LIMIT, "longer than 4096 bytes");
    strbuf_release(&vocab);
    fixture_release(&f);
}

/* ---- tokenizer.model ---- */

static const struct spm_piece letters[] = {
    {"a", -1, NORMAL}, {"b", -2, NORMAL},    {"ab", -1, NORMAL},
    {"\n\n", 0, USER}, {"abab", -3, UNUSED},
};
#define N_LETTERS (sizeof letters / sizeof letters[0])

enum spm_fault {
    PIECE_TWICE,
    PIECE_EMPTY,
    PIECE_TYPE_7,
    PIECE_SCORE_NAN,
    PIECE_UNKNOWN_TWICE,
    PIECE_BYTE_MISSPELLED,
    PIECE_WRONG_WIRE_TYPE,
    BYTES_WITHOUT_FALLBACK,
    FALLBACK_WITHOUT_BYTES,
    MODEL_WORD,
    CHARSMAP,
    SUFFIX_SPACES,
    UNESCAPED_SPACES,
    FIELD_NUMBER_0,
    GROUP,
    VARINT_TOO_LONG,
    LENGTH_PAST_END,
    SPEC_TRUNCATED
};

struct bad_spm {
    enum spm_fault fault;
    status_code code;
    const char *says;
};

static const struct bad_spm bad_spms[] = {
    {PIECE_TWICE, STATUS_BAD_INPUT, "piece \"a\" is there twice"},
    {PIECE_EMPTY, STATUS_BAD_INPUT, "piece 264: field \"piece\" is empty"},
    {PIECE_TYPE_7, STATUS_BAD_INPUT, "piece 264: field \"type\" is 7"},
    {PIECE_SCORE_NAN, STATUS_BAD_INPUT, "piece 264: field \"score\" is not a number"},
    {PIECE_UNKNOWN_TWICE, STATUS_BAD_INPUT, "pieces 0 and 264 both have type unknown"},
    {PIECE_BYTE_MISSPELLED, STATUS_BAD_INPUT, "\"<0xZZ>\" has type byte"},
    {PIECE_WRONG_WIRE_TYPE, STATUS_BAD_INPUT, "wire type 0, expected 2"},
    {BYTES_WITHOUT_FALLBACK, STATUS_BAD_INPUT, "although trainer_spec.byte_fallback is false"},
    {FALLBACK_WITHOUT_BYTES, STATUS_BAD_INPUT, "piece <0x00> is missing"},
    {MODEL_WORD, STATUS_UNSUPPORTED, "trainer_spec.model_type is 3"},
    {CHARSMAP, STATUS_BAD_INPUT, "precompiled_charsmap: the character map of 1 bytes"},
    {SUFFIX_SPACES, STATUS_UNSUPPORTED, "treat_whitespace_as_suffix"},
    {UNESCAPED_SPACES, STATUS_UNSUPPORTED, "escape_whitespaces"},
    {FIELD_NUMBER_0, STATUS_BAD_INPUT, "has number 0"},
    {GROUP, STATUS_BAD_INPUT, "has wire type 3"},
    {VARINT_TOO_LONG, STATUS_BAD_INPUT, "does not fit in 64 bits"},
    {LENGTH_PAST_END, STATUS_BAD_INPUT, "ends inside a field"},
    {SPEC_TRUNCATED, STATUS_BAD_INPUT, "trainer_spec: the message ends inside a field"},
};

static void append_spec(struct strbuf *out, unsigned message, unsigned number, uint64_t value)
{
    struct strbuf spec;
    strbuf_init(&spec, 100);
    append_int(&spec, number, value);
    append_bytes(out, message, text_in(&spec));
    strbuf_release(&spec);
}

static void break_spm(struct strbuf *out, enum spm_fault fault)
{
    float nan;
    memcpy(&nan, "\0\0\xc0\x7f", 4);
    switch (fault) {
    case PIECE_TWICE:
        append_piece(out, "a", 0, USER);
        break;
    case PIECE_EMPTY:
        append_piece(out, "", 0, NORMAL);
        break;
    case PIECE_TYPE_7:
        append_piece(out, "c", 0, 7);
        break;
    case PIECE_SCORE_NAN:
        append_piece(out, "c", nan, NORMAL);
        break;
    case PIECE_UNKNOWN_TWICE:
        append_piece(out, "c", 0, UNKNOWN);
        break;
    case PIECE_BYTE_MISSPELLED:
        append_piece(out, "<0xZZ>", 0, BYTE);
        break;
    case PIECE_WRONG_WIRE_TYPE:
        append_int(out, 1, 5);
        break;
    case BYTES_WITHOUT_FALLBACK:
        append_spec(out, 2, 35, 0);
        break;
    case FALLBACK_WITHOUT_BYTES:
        append_spec(out, 2, 35, 1);
        break;
    case MODEL_WORD:
        append_spec(out, 2, 3, 3);
        break;
    case CHARSMAP:
        strbuf_append(out, "\x1a\x03\x12\x01x", 5);
        break;
    case SUFFIX_SPACES:
        append_spec(out, 2, 24, 1);
        break;
    case UNESCAPED_SPACES:
        append_spec(out, 3, 5, 0);
        break;
    case FIELD_NUMBER_0:
        strbuf_append(out, "\0\0", 2);
        break;
    case GROUP:
        strbuf_append_char(out, 9 << 3 | 3);
        break;
    case VARINT_TOO_LONG:
        strbuf_append_str(out, "\x48\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f");
        break;
    case LENGTH_PAST_END:
        strbuf_append_str(out, "\x4a\x7fxx");
        break;
    case SPEC_TRUNCATED:
        strbuf_append_str(out, "\x12\x02\x18\x80");
        break;
    }
}

static void test_bad_spm(void)
{
    struct fixture f;
    fixture_init(&f);
    for (size_t i = 0; i < sizeof bad_spms / sizeof bad_spms[0]; i++) {
        struct status st = {0};
        struct tokenizer *tok;
        struct strbuf bytes;
        build_spm(&bytes, letters, N_LETTERS, bad_spms[i].fault != FALLBACK_WITHOUT_BYTES, false,
                  false);
        break_spm(&bytes, bad_spms[i].fault);
        ASSERT_FAILS(load_bytes(&f, &tok, "tokenizer.model", &bytes, &st), bad_spms[i].code,
                     bad_spms[i].says);
        CU_ASSERT_PTR_EQUAL(strstr(st.message, f.path), st.message);
    }
    fixture_release(&f);
}

/* One cut leaves a whole model: the one in front of the last field. */
static void test_every_truncation(void)
{
    struct strbuf bytes;
    int whole = 0;
    build_spm(&bytes, letters, N_LETTERS, true, false, false);
    for (size_t n = 0; n < bytes.length; n++) {
        struct status st = {0};
        struct tokenizer *tok = NULL;
        struct text head = {bytes.data, n};
        whole += tokenizer_read_spm(&tok, head, "/nonexistent", &st) == STATUS_OK;
        tokenizer_free(tok);
    }
    CU_ASSERT_EQUAL(whole, 1);
    strbuf_release(&bytes);
}

/* ---- GGUF ---- */

static void append_u64(struct strbuf *sb, uint64_t value, int bytes)
{
    for (int i = 0; i < bytes; i++) strbuf_append_char(sb, (char)(unsigned char)(value >> (8 * i)));
}

static void append_string(struct strbuf *sb, const char *string)
{
    append_u64(sb, strlen(string), 8);
    strbuf_append_str(sb, string);
}

static void append_key(struct strbuf *sb, const char *key, uint32_t type)
{
    append_string(sb, key);
    append_u64(sb, type, 4);
}

static void append_array(struct strbuf *sb, const char *key, uint32_t element, size_t n)
{
    append_key(sb, key, 9);
    append_u64(sb, element, 4);
    append_u64(sb, n, 8);
}

/* `n_scores` and the key `bos` are free to lie. */
static void build_gguf(struct strbuf *out, const char *model, const struct spm_piece *pieces,
                       size_t n, size_t n_scores, uint32_t bos)
{
    strbuf_init(out, 1 << 20);
    strbuf_append_str(out, "GGUF");
    append_u64(out, 3, 4);
    append_u64(out, 0, 8);
    append_u64(out, 6, 8);
    append_key(out, "tokenizer.ggml.model", 8);
    append_string(out, model);
    append_array(out, "tokenizer.ggml.tokens", 8, n);
    for (size_t i = 0; i < n; i++) append_string(out, pieces[i].piece);
    append_array(out, "tokenizer.ggml.scores", 6, n_scores);
    for (size_t i = 0; i < n_scores; i++) {
        uint32_t bits;
        memcpy(&bits, &pieces[i].score, 4);
        append_u64(out, bits, 4);
    }
    append_array(out, "tokenizer.ggml.token_type", 5, n);
    for (size_t i = 0; i < n; i++) append_u64(out, (uint64_t)pieces[i].type, 4);
    append_key(out, "tokenizer.ggml.bos_token_id", 4);
    append_u64(out, bos, 4);
    append_key(out, "tokenizer.ggml.add_space_prefix", 7);
    append_u64(out, 0, 1);
    while (out->length % 32) strbuf_append_char(out, '\0');
}

static const struct spm_piece gguf_pieces[] = {
    {"<unk>", 0, UNKNOWN}, {"<s>", 0, CONTROL},           {"</s>", 0, CONTROL},
    {"a", -3, NORMAL},     {"\u2581", -4, NORMAL},        {"aa", -1, NORMAL},
    {"  ", -1000, USER},   {"<end_of_turn>", 0, CONTROL},
};
#define N_GGUF (sizeof gguf_pieces / sizeof gguf_pieces[0])

static void test_gguf(void)
{
    struct status st = {0};
    struct fixture f;
    struct tokenizer *tok;
    struct strbuf bytes;
    fixture_init(&f);
    build_gguf(&bytes, "llama", gguf_pieces, N_GGUF, N_GGUF, 1);
    ASSERT_OK(load_bytes(&f, &tok, "model.gguf", &bytes, &st));
    ASSERT_IDS(tok, "aaa   a", 0, "5 3 6 4 3"); /* plain spaces in a user-defined piece */
    ASSERT_IDS(tok, "a<s>", TOKENIZE_PARSE_SPECIAL | TOKENIZE_ADD_BOS, "1 3 1");
    CU_ASSERT_TRUE(tokenizer_get_info(tok)->add_bos && tokenizer_get_info(tok)->eos == 2);
    CU_ASSERT_TRUE(tokenizer_is_end(tok, 7));
    char digest[SHA256_HEX_SIZE];
    memcpy(digest, tokenizer_get_info(tok)->sha256, sizeof digest);
    tokenizer_free(tok);
    build_gguf(&bytes, "llama", gguf_pieces, N_GGUF - 1, N_GGUF - 1, UINT32_MAX);
    ASSERT_OK(load_bytes(&f, &tok, "model.gguf", &bytes, &st));
    CU_ASSERT_EQUAL(tokenizer_get_info(tok)->bos, -1);
    CU_ASSERT_FALSE(tokenizer_get_info(tok)->add_bos);
    CU_ASSERT_STRING_NOT_EQUAL(tokenizer_get_info(tok)->sha256, digest);
    tokenizer_free(tok);
    fixture_release(&f);
}

static void test_bad_gguf(void)
{
    struct status st = {0};
    struct fixture f;
    struct tokenizer *tok;
    struct strbuf bytes;
    struct spm_piece pieces[N_GGUF];
    fixture_init(&f);
    build_gguf(&bytes, "rwkv", gguf_pieces, N_GGUF, N_GGUF, 1);
    ASSERT_FAILS(load_bytes(&f, &tok, "model.gguf", &bytes, &st), STATUS_UNSUPPORTED,
                 "is \"rwkv\"");
    CU_ASSERT_PTR_EQUAL(strstr(st.message, f.path), st.message);
    build_gguf(&bytes, "gpt2", gguf_pieces, N_GGUF, N_GGUF, 1);
    ASSERT_FAILS(load_bytes(&f, &tok, "model.gguf", &bytes, &st), STATUS_UNSUPPORTED,
                 "tokenizer.ggml.pre is \"\", only gpt-2");
    build_gguf(&bytes, "llama", gguf_pieces, N_GGUF, N_GGUF - 1, 1);
    ASSERT_FAILS(load_bytes(&f, &tok, "model.gguf", &bytes, &st), STATUS_BAD_INPUT,
                 "8 tokens have 7 scores and 8 token types");
    build_gguf(&bytes, "llama", gguf_pieces, N_GGUF, N_GGUF, 8);
    ASSERT_FAILS(load_bytes(&f, &tok, "model.gguf", &bytes, &st), STATUS_BAD_INPUT,
                 "bos_token_id is 8, expected an id below 8");
    build_gguf(&bytes, "llama", gguf_pieces, 0, 0, 1);
    ASSERT_FAILS(load_bytes(&f, &tok, "model.gguf", &bytes, &st), STATUS_BAD_INPUT, "is empty");
    memcpy(pieces, gguf_pieces, sizeof pieces);
    pieces[3].type = 9;
    build_gguf(&bytes, "llama", pieces, N_GGUF, N_GGUF, 1);
    ASSERT_FAILS(load_bytes(&f, &tok, "model.gguf", &bytes, &st), STATUS_BAD_INPUT,
                 "element 3 is 9, expected 1 to 6");
    pieces[3] = pieces[5];
    build_gguf(&bytes, "llama", pieces, N_GGUF, N_GGUF, 1);
    ASSERT_FAILS(load_bytes(&f, &tok, "model.gguf", &bytes, &st), STATUS_BAD_INPUT,
                 "piece \"aa\" is there twice, as 3 and 5");
    fixture_release(&f);
}

/* ---- random damage ---- */

static void mutate(struct rng *rng, char *bytes, size_t n)
{
    for (uint64_t edits = 1 + rng_next(rng) % 4; edits; edits--) {
        size_t at = (size_t)(rng_next(rng) % n);
        switch (rng_next(rng) % 4) {
        case 0:
            bytes[at] = (char)rng_next(rng);
            break;
        case 1:
            bytes[at] = (char)(bytes[at] ^ 1 << rng_next(rng) % 8);
            break;
        case 2:
            bytes[at] = bytes[rng_next(rng) % n];
            break;
        default:
            memmove(bytes + at, bytes + at + 1, n - at - 1);
            break;
        }
    }
}

/* A damaged file is refused with a message, or gives a tokenizer that works. */
static void check_outcome(struct tokenizer *tok, status_code code, struct status *st)
{
    if (code != STATUS_OK) {
        CU_ASSERT_TRUE(st->code == code && st->message[0] != '\0');
        return;
    }
    struct token_list ids = {0};
    struct text text = text_of("abab  a\n\n<bos><s>\xff \u00e9");
    if (tokenizer_encode(tok, text, TOKENIZE_ADD_BOS | TOKENIZE_PARSE_SPECIAL, &ids, st) ==
        STATUS_OK) {
        struct strbuf decoded;
        strbuf_init(&decoded, LIMIT_PROMPT_BYTES);
        tokenizer_decode(tok, ids.ids, ids.count, &decoded);
        strbuf_release(&decoded);
    }
    for (size_t i = 0; i < ids.count; i++)
        CU_ASSERT_TRUE(ids.ids[i] >= 0 && ids.ids[i] < tokenizer_get_info(tok)->n_vocab);
    token_list_release(&ids);
    tokenizer_free(tok);
}

typedef status_code (*reader)(struct tokenizer **out, struct text bytes, const char *directory,
                              struct status *st);

/* Damages a file n times over.  Where there is no reader for bytes, through the file system. */
static void damage(reader read, const struct strbuf *good, int n)
{
    struct fixture f;
    struct rng rng;
    fixture_init(&f);
    rng_seed(&rng, 7);
    char *bytes = malloc(good->length);
    CU_ASSERT_PTR_NOT_NULL_FATAL(bytes);
    for (int i = 0; i < n; i++) {
        struct status st = {0};
        struct tokenizer *tok = NULL;
        struct text damaged = {bytes, good->length};
        memcpy(bytes, good->data, good->length);
        mutate(&rng, bytes, good->length);
        if (!read) fixture_write(&f, "model.gguf", damaged);
        status_code code =
            read ? read(&tok, damaged, f.folder, &st) : tokenizer_load(&tok, f.path, &st);
        check_outcome(tok, code, &st);
    }
    free(bytes);
    fixture_release(&f);
}

static void test_damaged_json(void)
{
    struct strbuf json;
    build_json(&json,
               (struct json_parts){
                   .added = ADDED_GEMMA ", " ADDED(271, "<x>", "\"lstrip\": true") ", " ADDED(
                       265, "ab", "\"normalized\": true, \"rstrip\": true"),
                   .model = BPE ", \"fuse_unk\": true",
               });
    damage(tokenizer_read_json, &json, 4000);
    strbuf_release(&json);
}

static void test_damaged_kinds(void)
{
    static const char *const names[] = {"byte_level", "wordpiece", "unigram"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct status st = {0};
        struct strbuf json;
        char path[256];
        snprintf(path, sizeof path, "tests/vectors/tokenizers/%s.json", names[i]);
        strbuf_init(&json, LIMIT_TOKENIZER_BYTES);
        ASSERT_OK(strbuf_read_file(&json, path, &st));
        damage(tokenizer_read_json, &json, 500);
        /* The rules alone, which are short: each byte of them matters. */
        char *vocabulary = strstr(json.data, "\"vocab\":");
        CU_ASSERT_PTR_NOT_NULL_FATAL(vocabulary);
        bool is_array = vocabulary[8] == '[';
        strbuf_truncate(&json, (size_t)(vocabulary - json.data));
        strbuf_append_str(&json, is_array ? "\"vocab\":[[\"<unk>\",0],[\"a\",-1],[\"b\",-2]]}}"
                                          : "\"vocab\":{\"[UNK]\":0,\"a\":1,\"b\":2,\"##b\":3},"
                                            "\"merges\":[]}}");
        damage(tokenizer_read_json, &json, 4000);
        strbuf_release(&json);
    }
}

static void test_damaged_spm(void)
{
    struct strbuf bytes;
    build_spm(&bytes, letters, N_LETTERS, true, true, true);
    damage(tokenizer_read_spm, &bytes, 2000);
    strbuf_release(&bytes);
    build_spm(&bytes, letters, N_LETTERS, false, true, true); /* few bytes: each one matters */
    damage(tokenizer_read_spm, &bytes, 10000);
    strbuf_release(&bytes);
}

static void test_damaged_gguf(void)
{
    static const char *const models[] = {"llama", "bert", "t5"};
    for (size_t i = 0; i < sizeof models / sizeof models[0]; i++) {
        struct strbuf bytes;
        build_gguf(&bytes, models[i], gguf_pieces, N_GGUF, N_GGUF, 1);
        damage(NULL, &bytes, 300);
        strbuf_release(&bytes);
    }
}

/* The other kinds, whole. */
static void test_gguf_kinds(void)
{
    struct status st = {0};
    struct fixture f;
    struct tokenizer *tok;
    struct strbuf bytes;
    fixture_init(&f);
    build_gguf(&bytes, "bert", gguf_pieces, N_GGUF, N_GGUF, 1);
    ASSERT_OK(load_bytes(&f, &tok, "model.gguf", &bytes, &st));
    CU_ASSERT_STRING_EQUAL(tokenizer_get_info(tok)->kind, "wordpiece");
    ASSERT_IDS(tok, "b", 0, "0");
    tokenizer_free(tok);
    build_gguf(&bytes, "t5", gguf_pieces, N_GGUF, N_GGUF, 1);
    ASSERT_OK(load_bytes(&f, &tok, "model.gguf", &bytes, &st));
    CU_ASSERT_STRING_EQUAL(tokenizer_get_info(tok)->kind, "unigram");
    ASSERT_IDS(tok, "aaa", 0, "3 5"); /* equal sums: what was found first */
    tokenizer_free(tok);
    fixture_release(&f);
}

static const struct test_case tests[] = {
    {"a missing file is named", test_nothing_there},
    {"a directory's files and their order", test_directory_order},
    {"tokenizer.json: what is refused", test_bad_json},
    {"tokenizer.json: odd pieces that are legal", test_json_odd_pieces},
    {"tokenizer.model: what is refused", test_bad_spm},
    {"tokenizer.model: cut anywhere", test_every_truncation},
    {"GGUF vocabulary", test_gguf},
    {"GGUF vocabulary: other kinds", test_gguf_kinds},
    {"GGUF vocabulary: what is refused", test_bad_gguf},
    {"tokenizer.json with random damage", test_damaged_json},
    {"byte-level, WordPiece and Unigram with random damage", test_damaged_kinds},
    {"tokenizer.model with random damage", test_damaged_spm},
    {"GGUF vocabulary with random damage", test_damaged_gguf},
};

SUITE("tokenizer_files", tests)
