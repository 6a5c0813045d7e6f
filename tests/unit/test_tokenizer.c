#include "engine/base/rng.h"
#include "engine/base/utf8.h"
#include "engine/gguf/gguf.h"
#include "tests/unit/tokenizer_fixtures.h"

#define VECTORS "tests/vectors/demo/"

/* ---- tokenizer.json ---- */

static void test_json_merges(void)
{
    struct status st = {0};
    struct fixture f;
    struct tokenizer *tok;
    fixture_init(&f);
    ASSERT_OK(load_json(&f, &tok, (struct json_parts){0}, &st));
    ASSERT_IDS(tok, "", 0, "");
    ASSERT_IDS(tok, "a", 0, "260");
    ASSERT_IDS(tok, "aaa", 0, "264 260");  /* equal ranks: leftmost first */
    ASSERT_IDS(tok, "aab", 0, "260 265");  /* "a b" outranks "a a" on its left */
    ASSERT_IDS(tok, "aabc", 0, "260 266"); /* and its result merges on */
    ASSERT_IDS(tok, " ab a", 0, "263 265 267");
    ASSERT_IDS(tok, "\n\n\n", 0, "269 268");
    ASSERT_IDS(tok, "<end_of_turn>", 0,
               "64 105 114 104 99 115 106 99 120 121 118 114 66"); /* no rule leads to it */
    tokenizer_free(tok);
    ASSERT_OK(load_json(&f, &tok,
                        (struct json_parts){.merges = "[\"a\", \"a\"], [\"a\", \"b\"], "
                                                      "[\"ab\", \"c\"], [\"\\n\", \"\\n\"]"},
                        &st));
    ASSERT_IDS(tok, "aab", 0, "264 261");
    ASSERT_IDS(tok, "cabc\n\n", 0, "262 266 269");
    tokenizer_free(tok);
    fixture_release(&f);
}

static void test_json_unknown_characters(void)
{
    struct status st = {0};
    struct fixture f;
    struct tokenizer *tok;
    fixture_init(&f);
    ASSERT_OK(load_json(&f, &tok, (struct json_parts){0}, &st));
    ASSERT_IDS(tok, "a\u00e9b", 0, "260 199 173 261");
    ASSERT_IDS(tok,
               "\x80"
               "a\xc3"
               "b\xf0\x9f\x98",
               0, "132 260 199 261 244 163 156");
    CU_ASSERT_TRUE(has_ids(tok, (struct text){"a\0b", 3}, 0, "260 4 261"));
    tokenizer_free(tok);
    const char *fused = "\"type\": \"BPE\", \"unk_token\": \"<unk>\", \"fuse_unk\": true";
    ASSERT_OK(load_json(&f, &tok, (struct json_parts){.model = fused}, &st));
    ASSERT_IDS(tok, "xyaz\xff", 0, "3 260 3");
    tokenizer_free(tok);
    const char *apart = "\"type\": \"BPE\", \"unk_token\": \"<unk>\"";
    ASSERT_OK(load_json(&f, &tok, (struct json_parts){.model = apart}, &st));
    ASSERT_IDS(tok, "xyaz\xff", 0, "3 3 260 3 3");
    tokenizer_free(tok);
    fixture_release(&f);
}

/* clang-format off */
#define MORE(id, content, fields) ", " ADDED(id, content, fields)

static const char many_added[] =
    ADDED_GEMMA
    MORE(271, "<x>", "\"normalized\": false")
    MORE(272, "<x>y", "\"normalized\": false")
    MORE(269, "\\n\\n", "\"normalized\": false")
    MORE(273, "<l>", "\"normalized\": false, \"lstrip\": true")
    MORE(274, "<r>", "\"special\": true, \"rstrip\": true")
    MORE(275, "c a", "\"normalized\": true");
/* clang-format on */

static void test_json_added_tokens(void)
{
    struct status st = {0};
    struct fixture f;
    struct tokenizer *tok;
    fixture_init(&f);
    ASSERT_OK(load_json(&f, &tok, (struct json_parts){.added = many_added}, &st));
    CU_ASSERT_EQUAL(tokenizer_get_info(tok)->n_vocab, 276);
    ASSERT_IDS(tok, "a<x>a<x>y", 0, "260 271 260 272");
    ASSERT_IDS(tok, "a  <l> a", 0, "260 273 267");
    ASSERT_IDS(tok, "a\u3000\xc2\x85<l>", 0, "260 273");     /* White_Space */
    ASSERT_IDS(tok, "a\ufeff<l>", 0, "260 243 191 195 273"); /* which this is not */
    ASSERT_IDS(tok, "cc ab", 0, "262 275 261");
    ASSERT_IDS(tok, "<bos>", 0, "64 261 115 119 66");
    ASSERT_IDS(tok, "a<r>", 0, "260 64 118 66");
    ASSERT_IDS(tok, "a<r> \n a", TOKENIZE_PARSE_SPECIAL, "260 274 260");
    ASSERT_IDS(tok, "<bos>a<eos>", TOKENIZE_PARSE_SPECIAL, "2 260 1");
    ASSERT_IDS(tok, "<bos>a", TOKENIZE_ADD_BOS | TOKENIZE_PARSE_SPECIAL, "2 260");
    ASSERT_IDS(tok, "<bos><bos>a", TOKENIZE_ADD_BOS | TOKENIZE_PARSE_SPECIAL, "2 2 260");
    ASSERT_IDS(tok, "a<bos>", TOKENIZE_ADD_BOS | TOKENIZE_PARSE_SPECIAL, "2 260 2");
    ASSERT_IDS(tok, "", TOKENIZE_ADD_BOS, "2");
    tokenizer_free(tok);
    ASSERT_OK(load_json(&f, &tok,
                        (struct json_parts){.added = ADDED(265, "ab", "\"special\": true")}, &st));
    ASSERT_IDS(tok, "ab", 0, "260 261"); /* no rule makes a control piece */
    ASSERT_IDS(tok, "ab", TOKENIZE_PARSE_SPECIAL, "265");
    tokenizer_free(tok);
    fixture_release(&f);
}

/* What `single_word` means in added_vocabulary.rs of the tokenizers library: neither neighbour is
 * of a word; in one that is not taken, no other is looked for. */
static void test_json_single_words(void)
{
    struct status st = {0};
    struct fixture f;
    struct tokenizer *tok;
    fixture_init(&f);
    /* clang-format off */
    static const char words[] =
        ADDED_GEMMA
        MORE(271, "xy", "\"normalized\": false, \"single_word\": true")
        MORE(272, "y", "\"normalized\": false, \"single_word\": true")
        MORE(273, "z", "\"normalized\": false, \"single_word\": true, \"lstrip\": true");
    /* clang-format on */
    ASSERT_OK(load_json(&f, &tok, (struct json_parts){.added = words}, &st));
    ASSERT_IDS(tok, "xy", 0, "271");
    ASSERT_IDS(tok, "xy xy\n", 0, "271 263 271 268");
    ASSERT_IDS(tok, "-xy-xy", 0, "49 271 49 271");
    ASSERT_IDS(tok, "axya", 0, "260 124 125 260");     /* no other is looked for in "xy" */
    ASSERT_IDS(tok, "_xy", 0, "99 124 125");           /* a connector is of a word */
    ASSERT_IDS(tok, "xy\u0301", 0, "124 125 208 133"); /* and so is a mark */
    ASSERT_IDS(tok, "xy\u2019", 0, "271 230 132 157");
    ASSERT_IDS(tok, "a  z", 0, "260 273");
    ASSERT_IDS(tok, "a  zz", 0, "260 263 263 126 126");
    tokenizer_free(tok);
    fixture_release(&f);
}

static void test_json_prefixes(void)
{
    struct status st = {0};
    struct fixture f;
    struct tokenizer *tok;
    fixture_init(&f);
    struct json_parts llama = {
        .normalizer = "{\"type\": \"Sequence\", \"normalizers\": [{\"type\": \"Prepend\", "
                      "\"prepend\": \"\u2581\"}, " REPLACE_SPACE "]}",
        .decoder = "{\"type\": \"Sequence\", \"decoders\": [" DECODER_PARTS
                   ", {\"type\": \"Strip\", \"content\": \" \", \"start\": 1, \"stop\": 0}]}",
    };
    ASSERT_OK(load_json(&f, &tok, llama, &st));
    ASSERT_IDS(tok, "", 0, "");
    ASSERT_IDS(tok, "a", 0, "267");
    ASSERT_IDS(tok, " a<eos>a", TOKENIZE_PARSE_SPECIAL, "263 267 1 267");
    CU_ASSERT_TRUE(comes_back(tok, text_of(" ab  c")));
    const int32_t unknown_first[] = {3, 267, 267}; /* its space is still the vocabulary's */
    struct strbuf decoded;
    strbuf_init(&decoded, 100);
    tokenizer_decode(tok, unknown_first, 3, &decoded);
    CU_ASSERT_STRING_EQUAL(decoded.data, "a a");
    strbuf_release(&decoded);
    tokenizer_free(tok);
    struct json_parts metaspace = {
        .normalizer = "null",
        .pre_tokenizer = "{\"type\": \"Metaspace\", \"replacement\": \"\u2581\", "
                         "\"prepend_scheme\": \"first\", \"split\": false}",
        .decoder = llama.decoder,
    };
    ASSERT_OK(load_json(&f, &tok, metaspace, &st));
    ASSERT_IDS(tok, "a", 0, "267");
    ASSERT_IDS(tok, " a<eos>a", TOKENIZE_PARSE_SPECIAL, "267 1 260");
    tokenizer_free(tok);
    struct json_parts split = {.pre_tokenizer = "{\"type\": \"Split\", \"pattern\": "
                                                "{\"String\": \" \"}, \"behavior\": "
                                                "\"MergedWithPrevious\", \"invert\": false}"};
    ASSERT_OK(load_json(&f, &tok, split, &st));
    ASSERT_IDS(tok, "a a", 0, "260 267");
    tokenizer_free(tok);
    fixture_release(&f);
}

static void test_json_policy(void)
{
    struct status st = {0};
    struct fixture f;
    struct tokenizer *tok;
    fixture_init(&f);
    const char *template_bos = "{\"type\": \"TemplateProcessing\", \"single\": [{\"SpecialToken\": "
                               "{\"id\": \"<bos>\", \"type_id\": 0}}, {\"Sequence\": {}}]}";
    ASSERT_OK(load_json(&f, &tok, (struct json_parts){0}, &st));
    const struct tokenizer_info *info = tokenizer_get_info(tok);
    CU_ASSERT_STRING_EQUAL(info->kind, "bpe");
    CU_ASSERT_EQUAL(strlen(info->sha256), 64);
    CU_ASSERT_TRUE(info->bos == 2 && info->eos == 1 && info->unknown == 3 && info->pad == 0);
    CU_ASSERT_FALSE(info->add_bos);
    CU_ASSERT_TRUE(tokenizer_is_end(tok, 1) && tokenizer_is_end(tok, 270));
    CU_ASSERT_FALSE(tokenizer_is_end(tok, 2) || tokenizer_is_end(tok, -1) ||
                    tokenizer_is_end(tok, 271));
    CU_ASSERT_TRUE(tokenizer_is_control(tok, 2) && !tokenizer_is_control(tok, 260));
    CU_ASSERT_EQUAL(tokenizer_find(tok, "\u2581a"), 267);
    CU_ASSERT_EQUAL(tokenizer_find(tok, "nothing"), -1);
    CU_ASSERT_TRUE(text_equal(tokenizer_piece(tok, 267), text_of(" a")));
    CU_ASSERT_TRUE(text_equal(tokenizer_piece(tok, 4 + 0xe9), text_of("\xe9")));
    CU_ASSERT_TRUE(tokenizer_piece(tok, 2).length == 0 && tokenizer_piece(tok, 999).length == 0);
    tokenizer_free(tok);
    ASSERT_OK(load_json(&f, &tok, (struct json_parts){.post_processor = template_bos}, &st));
    CU_ASSERT_TRUE(tokenizer_get_info(tok)->add_bos);
    tokenizer_free(tok);
    fixture_write(
        &f, "tokenizer_config.json",
        text_of("{\"add_bos_token\": false, \"eos_token\": {\"content\": \"<end_of_turn>\"}, "
                "\"pad_token\": null, \"bos_token\": \"<bos>\"}"));
    ASSERT_OK(tokenizer_load(&tok, f.folder, &st));
    CU_ASSERT_FALSE(tokenizer_get_info(tok)->add_bos);
    CU_ASSERT_EQUAL(tokenizer_get_info(tok)->eos, 270);
    tokenizer_free(tok);
    fixture_release(&f);
}

/* What stands in other files of the folder: the ends of a reply, and chat templates in the order in
 * which transformers looks for them. */
static void test_json_folder(void)
{
    struct status st = {0};
    struct fixture f;
    struct tokenizer *tok;
    fixture_init(&f);
    fixture_write(&f, "config.json", text_of("{\"eos_token_id\": 268}"));
    fixture_write(&f, "chat_template.json", text_of("{\"chat_template\": \"third\"}"));
    ASSERT_OK(load_json(&f, &tok, (struct json_parts){0}, &st));
    CU_ASSERT_TRUE(tokenizer_is_end(tok, 1) && tokenizer_is_end(tok, 268));
    CU_ASSERT_FALSE(tokenizer_is_end(tok, 267));
    CU_ASSERT_TRUE(text_equal(tokenizer_get_info(tok)->chat_template, text_of("third")));
    tokenizer_free(tok);
    fixture_write(&f, "generation_config.json", text_of("{\"eos_token_id\": [266, 267, 4000]}"));
    fixture_write(&f, "tokenizer_config.json", text_of("{\"chat_template\": \"second\"}"));
    ASSERT_OK(tokenizer_load(&tok, f.folder, &st));
    CU_ASSERT_TRUE(tokenizer_is_end(tok, 266) && tokenizer_is_end(tok, 267));
    CU_ASSERT_FALSE(tokenizer_is_end(tok, 268));
    CU_ASSERT_TRUE(text_equal(tokenizer_get_info(tok)->chat_template, text_of("second")));
    tokenizer_free(tok);
    fixture_write(&f, "chat_template.jinja", text_of("first"));
    ASSERT_OK(tokenizer_load(&tok, f.folder, &st));
    CU_ASSERT_TRUE(text_equal(tokenizer_get_info(tok)->chat_template, text_of("first")));
    tokenizer_free(tok);
    fixture_write(&f, "generation_config.json", text_of("{"));
    ASSERT_FAILS(tokenizer_load(&tok, f.folder, &st), STATUS_BAD_INPUT, "generation_config.json");
    fixture_release(&f);
}

/* ---- tokenizer.model ---- */

static const struct spm_piece letters[] = {
    {"\u2581", -10, NORMAL}, {"a", -11, NORMAL}, {"b", -12, NORMAL},      {"ab", -1, NORMAL},
    {"aa", -1, NORMAL},      {"bb", -2, NORMAL}, {"\u2581a", -3, NORMAL}, {"\n", 0, USER},
    {"\n\n", 0, USER},       {"<x>", 0, USER},   {"abb", -4, UNUSED},     {"\u2581\u2581", 0, USER},
};
#define N_LETTERS (sizeof letters / sizeof letters[0])

static void test_spm_merges(void)
{
    struct status st = {0};
    struct fixture f;
    struct tokenizer *tok;
    struct strbuf bytes;
    fixture_init(&f);
    build_spm(&bytes, letters, N_LETTERS, true, false, false);
    ASSERT_OK(load_bytes(&f, &tok, "tokenizer.model", &bytes, &st));
    CU_ASSERT_STRING_EQUAL(tokenizer_get_info(tok)->kind, "spm");
    ASSERT_IDS(tok, "", 0, "");
    ASSERT_IDS(tok, "aab", 0, "263 261"); /* equal scores: leftmost first */
    ASSERT_IDS(tok, "bbab", 0, "264 262");
    ASSERT_IDS(tok, "abb", 0, "262 261"); /* the unused piece is taken apart again */
    ASSERT_IDS(tok, " a b", 0, "265 259 261");
    ASSERT_IDS(tok, "a  a", 0, "260 270 260"); /* user-defined pieces come first */
    ASSERT_IDS(tok, "\n\n\na<x>b", 0, "267 266 260 268 261");
    ASSERT_IDS(tok, "<s>\u00e9", 0, "63 118 65 198 172");
    ASSERT_IDS(tok, "a</s>", TOKENIZE_PARSE_SPECIAL | TOKENIZE_ADD_BOS, "1 260 2");
    CU_ASSERT_TRUE(tokenizer_get_info(tok)->add_bos && tokenizer_is_end(tok, 2));
    tokenizer_free(tok);
    fixture_release(&f);
}

static void test_spm_normalizer(void)
{
    struct status st = {0};
    struct fixture f;
    struct tokenizer *tok;
    struct strbuf bytes;
    fixture_init(&f);
    build_spm(&bytes, letters, N_LETTERS - 1, true, true, false);
    ASSERT_OK(load_bytes(&f, &tok, "tokenizer.model", &bytes, &st));
    ASSERT_IDS(tok, "", 0, "");
    ASSERT_IDS(tok, "a", 0, "265");
    ASSERT_IDS(tok, "  a", 0, "259 259 265");
    CU_ASSERT_TRUE(comes_back(tok, text_of("  a b ")) && comes_back(tok, text_of("\n a")));
    int32_t ids[] = {1, 265, 265};
    struct strbuf decoded;
    strbuf_init(&decoded, 100);
    tokenizer_decode(tok, ids, 3, &decoded);
    CU_ASSERT_STRING_EQUAL(decoded.data, "a a");
    strbuf_release(&decoded);
    tokenizer_free(tok);
    build_spm(&bytes, letters, N_LETTERS - 1, false, true, true);
    ASSERT_OK(load_bytes(&f, &tok, "tokenizer.model", &bytes, &st));
    ASSERT_IDS(tok, "   ", 0, "");
    ASSERT_IDS(tok, "  a   a b  ", 0, "9 9 3 5");
    ASSERT_IDS(tok,
               "axyz\xff"
               "b",
               0, "9 0 5"); /* no byte pieces: one unknown for the run */
    tokenizer_free(tok);
    fixture_release(&f);
}

/* ---- properties ---- */

/* Random code points, mostly small; never U+2581, which decodes to a space. */
static struct text random_text(struct rng *rng, struct strbuf *out)
{
    static const uint32_t tops[] = {0x80, 0x80, 0x800, 0x10000, 0x110000};
    strbuf_clear(out);
    for (uint64_t n = rng_next(rng) % 60; n; n--) {
        uint32_t cp = (uint32_t)(rng_next(rng) % tops[rng_next(rng) % 5]);
        if (rng_next(rng) % 4 == 0) cp = (uint32_t) "ab \nc"[rng_next(rng) % 5];
        if ((cp >= 0xd800 && cp < 0xe000) || cp == 0x2581) continue;
        char bytes[4];
        strbuf_append(out, bytes, utf8_encode(cp, bytes));
        if (rng_next(rng) % 50 == 0) strbuf_append_char(out, (char)(rng_next(rng) | 0x80));
    }
    return text_in(out);
}

static void check_round_trips(const struct tokenizer *tok, int n)
{
    struct rng rng;
    struct strbuf text;
    rng_seed(&rng, 20240601);
    strbuf_init(&text, 1 << 16);
    bool all = true;
    for (int i = 0; i < n && all; i++) all = comes_back(tok, random_text(&rng, &text));
    CU_ASSERT_TRUE(all);
    strbuf_release(&text);
}

static void test_round_trips(void)
{
    struct status st = {0};
    struct fixture f;
    struct tokenizer *tok;
    struct strbuf bytes;
    fixture_init(&f);
    ASSERT_OK(load_json(&f, &tok, (struct json_parts){0}, &st));
    check_round_trips(tok, 2000);
    tokenizer_free(tok);
    build_spm(&bytes, letters, N_LETTERS, true, false, false);
    ASSERT_OK(load_bytes(&f, &tok, "tokenizer.model", &bytes, &st));
    check_round_trips(tok, 2000);
    tokenizer_free(tok);
    build_spm(&bytes, letters, N_LETTERS - 1, true, true, false);
    ASSERT_OK(load_bytes(&f, &tok, "tokenizer.model", &bytes, &st));
    check_round_trips(tok, 2000);
    tokenizer_free(tok);
    fixture_release(&f);
}

/* A quadratic algorithm would take minutes. */
static void test_long_text(void)
{
    struct status st = {0};
    struct fixture f;
    struct tokenizer *tok;
    fixture_init(&f);
    ASSERT_OK(load_json(&f, &tok, (struct json_parts){0}, &st));
    struct strbuf text;
    strbuf_init(&text, LIMIT_PROMPT_BYTES + 1);
    for (int i = 0; i < 400000; i++) strbuf_append_str(&text, i % 3 ? "a" : "b ");
    CU_ASSERT_TRUE(comes_back(tok, text_in(&text)));
    while (text.length <= LIMIT_PROMPT_BYTES) strbuf_append_char(&text, 'a');
    struct token_list ids = {0};
    ASSERT_FAILS(tokenizer_encode(tok, text_in(&text), 0, &ids, &st), STATUS_LIMIT, "longer than");
    CU_ASSERT_EQUAL(ids.count, 0);
    token_list_release(&ids);
    strbuf_release(&text);
    tokenizer_free(tok);
    fixture_release(&f);
}

/* ---- against the official implementations ---- */

/* Lines {"text", "ids"}, and "kind" of the shared ones. */
static void check_cases(const char *cases_path, const struct tokenizer *tok, int expected_lines)
{
    struct status st = {0};
    struct strbuf file, expected;
    strbuf_init(&file, LIMIT_DATASET_BYTES);
    strbuf_init(&expected, LIMIT_LINE_BYTES);
    ASSERT_OK(strbuf_read_file(&file, cases_path, &st));
    int lines = 0, good = 0;
    for (char *line = file.data, *end; (end = strchr(line, '\n')) != NULL;
         line = end + 1, lines++) {
        struct json_value *row;
        const struct json_value *ids;
        struct text text, kind = text_of("");
        ASSERT_OK(json_parse(&row, (struct text){line, (size_t)(end - line)}, &st));
        ASSERT_OK(json_get_text(row, "text", &text, &st));
        ASSERT_OK(json_get_array(row, "ids", &ids, &st));
        if (json_has(row, "kind")) ASSERT_OK(json_get_text(row, "kind", &kind, &st));
        bool special = text_equal(kind, text_of("parse-special"));
        strbuf_clear(&expected);
        for (const struct json_value *v = json_first(ids); v; v = json_next(v))
            strbuf_appendf(&expected, v == json_first(ids) ? "%.0f" : " %.0f", json_number(v));
        good += has_ids(tok, text, special ? TOKENIZE_PARSE_SPECIAL : 0, expected.data);
        json_free(row);
    }
    CU_ASSERT_EQUAL(good, lines);
    CU_ASSERT_TRUE(lines >= expected_lines);
    strbuf_release(&expected);
    strbuf_release(&file);
}

static void check_shared(const char *folder, int expected_lines, bool round_trips)
{
    struct status st = {0};
    struct tokenizer *tok;
    char relative[256];
    snprintf(relative, sizeof relative, "reference/tokenizers/%s/cases.jsonl", folder);
    const char *path = shared_path(relative);
    if (!path) return;
    char cases[1024], directory[1024];
    snprintf(cases, sizeof cases, "%s", path);
    snprintf(directory, sizeof directory, "../shared/reference/tokenizers/%s", folder);
    ASSERT_OK(tokenizer_load(&tok, directory, &st));
    CU_ASSERT_TRUE(tokenizer_get_info(tok)->add_bos);
    check_cases(cases, tok, expected_lines);
    if (round_trips) check_round_trips(tok, 2000);
    tokenizer_free(tok);
}

static void test_gemma(void)
{
    check_shared("gemma", 391, true);
}

static void test_llama2(void)
{
    check_shared("llama2", 391, true);
}

static void test_mistral(void)
{
    check_shared("mistral", 391, true);
}

static void test_demo_vocabulary(void)
{
    struct status st = {0};
    struct tokenizer *model, *gguf;
    if (access(VECTORS "tokenizer.model", R_OK) != 0) {
        fprintf(stderr, "  skipped: " VECTORS " is not here\n");
        return;
    }
    ASSERT_OK(tokenizer_load(&model, VECTORS "tokenizer.model", &st));
    check_cases(VECTORS "tokenizer_cases.jsonl", model, 1);
    check_round_trips(model, 2000);
    if (access("datasets/demo/model.gguf", R_OK) == 0) {
        ASSERT_OK(tokenizer_load(&gguf, "datasets/demo/model.gguf", &st));
        check_cases(VECTORS "tokenizer_cases.jsonl", gguf, 1);
        const struct tokenizer_info *a = tokenizer_get_info(model), *b = tokenizer_get_info(gguf);
        CU_ASSERT_TRUE(a->bos == b->bos && a->eos == b->eos && a->n_vocab == b->n_vocab);
        tokenizer_free(gguf);
    }
    tokenizer_free(model);
}

/* llama.cpp's format: texts between separator lines, ids per line, in step. */
static void check_gguf(const char *relative, bool round_trips)
{
    static const char separator[] = "\n__ggml_vocab_test__\n";
    struct status st = {0};
    struct tokenizer *tok;
    const char *path = shared_path(relative);
    if (!path) return;
    struct strbuf texts, ids, name;
    strbuf_init(&name, 1024);
    strbuf_init(&texts, LIMIT_LINE_BYTES);
    strbuf_init(&ids, LIMIT_LINE_BYTES);
    strbuf_append_str(&name, path);
    ASSERT_OK(tokenizer_load(&tok, name.data, &st));
    strbuf_append_str(&name, ".inp");
    ASSERT_OK(strbuf_read_file(&texts, name.data, &st));
    strbuf_truncate(&name, name.length - 4);
    strbuf_append_str(&name, ".out");
    ASSERT_OK(strbuf_read_file(&ids, name.data, &st));
    int n = 0;
    char *text = texts.data, *line = ids.data;
    while (text && line) {
        char *text_end = strstr(text, separator), *line_end = strchr(line, '\n');
        size_t length = text_end ? (size_t)(text_end - text) : strlen(text);
        if (line_end) *line_end = '\0';
        while (*line == ' ') line++;
        CU_ASSERT_TRUE(has_ids(tok, (struct text){text, length}, 0, line));
        text = text_end ? text_end + strlen(separator) : NULL;
        line = line_end ? line_end + 1 : NULL;
        n++;
    }
    CU_ASSERT_TRUE(n >= 40);
    if (round_trips) check_round_trips(tok, 2000);
    tokenizer_free(tok);
    strbuf_release(&texts);
    strbuf_release(&ids);
    strbuf_release(&name);
}

static void test_gguf_llama(void)
{
    check_gguf("reference/tokenizers/llama2/ggml-vocab-llama-spm.gguf", true);
}

static void test_gguf_gpt2(void)
{
    check_gguf("reference/tokenizers/gpt2/ggml-vocab-gpt-2.gguf", true);
}

static void test_gguf_bert(void)
{
    check_gguf("reference/tokenizers/bert/ggml-vocab-bert-bge.gguf", false);
}

static const struct test_case tests[] = {
    {"tokenizer.json: pairs merge by rank", test_json_merges},
    {"tokenizer.json: what no piece spells becomes bytes or unknown", test_json_unknown_characters},
    {"tokenizer.json: added tokens", test_json_added_tokens},
    {"added tokens that must be words of their own", test_json_single_words},
    {"tokenizer.json: prefixes in front of text", test_json_prefixes},
    {"tokenizer.json: special pieces and BOS policy", test_json_policy},
    {"tokenizer.json: the files beside it", test_json_folder},
    {"tokenizer.model: neighbours merge by score", test_spm_merges},
    {"tokenizer.model: dummy prefix and extra spaces", test_spm_normalizer},
    {"decoding the ids of a text gives the text", test_round_trips},
    {"long texts are split in a moment", test_long_text},
    {"Gemma as @huggingface/tokenizers splits it", test_gemma},
    {"Llama 2 as SentencePiece splits it", test_llama2},
    {"Mistral as SentencePiece splits it", test_mistral},
    {"the demo vocabulary as SentencePiece splits it", test_demo_vocabulary},
    {"Llama 2 in GGUF as llama.cpp splits it", test_gguf_llama},
    {"GPT-2 in GGUF as llama.cpp splits it", test_gguf_gpt2},
    {"BERT in GGUF as llama.cpp splits it", test_gguf_bert},
};

SUITE("tokenizer", tests)
