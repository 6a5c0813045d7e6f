/* Merging part by part, few symbols or many, remembered or not: all of it gives what the plain rule
 * gives, "merge the best pair of the whole text, the leftmost of equals, until none is left". */
#include "engine/base/rng.h"
#include "engine/base/utf8.h"
#include "engine/tokenizer/tokenizer_core.h"
#include "tests/unit/tokenizer_fixtures.h"

#define N_TEXTS        400
#define MAX_CHARACTERS 300

/* ---- the plain rule ---- */

struct plain {
    struct text part[MAX_CHARACTERS];
    int32_t id[MAX_CHARACTERS]; /* -1: no piece */
    int n;
};

static bool is_text_piece(const struct tokenizer *tok, int32_t id)
{
    if (id < 0) return false;
    enum piece_type type = tok->vocab.pieces[id].type;
    return type != PIECE_CONTROL && type != PIECE_UNKNOWN;
}

/* The order of merging two neighbours, or UINT32_MAX. */
static uint32_t order_of(const struct tokenizer *tok, const struct plain *p, int i, int32_t *merged)
{
    struct text both = {p->part[i].data, p->part[i].length + p->part[i + 1].length};
    if (tok->kind == TOKENIZER_SPM) {
        *merged = vocabulary_find(&tok->vocab, both);
        bool merges = is_text_piece(tok, *merged) && tok->vocab.pieces[*merged].type != PIECE_BYTE;
        return merges ? tok->vocab.pieces[*merged].order : UINT32_MAX;
    }
    if (p->id[i] < 0 || p->id[i + 1] < 0) return UINT32_MAX;
    const struct merge_rule *rule = merge_table_find(&tok->merges, p->id[i], p->id[i + 1]);
    if (!rule || !is_text_piece(tok, rule->merged)) return UINT32_MAX;
    *merged = rule->merged;
    return rule->rank;
}

static void merge_plainly(const struct tokenizer *tok, struct plain *p)
{
    for (;;) {
        uint32_t best = UINT32_MAX;
        int at = -1;
        int32_t id = -1, merged = -1;
        for (int i = 0; i + 1 < p->n; i++) {
            uint32_t order = order_of(tok, p, i, &merged);
            if (order < best) best = order, at = i, id = merged;
        }
        if (at < 0) return;
        p->part[at].length += p->part[at + 1].length;
        p->id[at] = id;
        p->n--;
        for (int i = at + 1; i < p->n; i++) p->part[i] = p->part[i + 1], p->id[i] = p->id[i + 1];
    }
}

/* Of normalized text: spaces are U+2581 already. */
static void encode_plainly(const struct tokenizer *tok, struct text text, struct token_list *out)
{
    struct status st = {0};
    struct plain p = {.n = 0};
    for (size_t at = 0, used; at < text.length; at += used) {
        uint32_t cp;
        used = utf8_decode(text.data + at, text.length - at, &cp);
        struct text one = {text.data + at, used};
        int32_t id = vocabulary_find(&tok->vocab, one);
        CU_ASSERT_TRUE_FATAL(used && p.n < MAX_CHARACTERS);
        p.part[p.n] = one;
        p.id[p.n++] = is_text_piece(tok, id) ? id : -1;
    }
    merge_plainly(tok, &p);
    for (int i = 0; i < p.n; i++) {
        if (p.id[i] >= 0) ASSERT_OK(token_list_append(out, p.id[i], &st));
        for (size_t b = 0; p.id[i] < 0 && b < p.part[i].length; b++)
            ASSERT_OK(
                token_list_append(out, tok->vocab.byte_ids[(unsigned char)p.part[i].data[b]], &st));
    }
}

/* ---- texts ---- */

static bool is_plain_piece(const struct tokenizer *tok, struct rng *rng, struct text *out)
{
    const struct piece *piece = &tok->vocab.pieces[rng_next(rng) % (uint64_t)tok->vocab.n];
    *out = piece->stored;
    return piece->type == PIECE_NORMAL && utf8_valid(piece->stored);
}

static void make_text(const struct tokenizer *tok, struct rng *rng, struct strbuf *out)
{
    static const char *const bits[] = {
        SPACE_SYMBOL, SPACE_SYMBOL SPACE_SYMBOL, "\n", "e", "th", "\u00e9", "\u4e2d", "1", ".",
        "ing"};
    size_t parts = 1 + (size_t)(rng_next(rng) % (rng_next(rng) % 20 ? 8 : 60));
    strbuf_clear(out);
    while (parts--) {
        struct text piece;
        bool fits = is_plain_piece(tok, rng, &piece) && out->length + piece.length < MAX_CHARACTERS;
        if (rng_next(rng) % 3 && fits)
            strbuf_append(out, piece.data, piece.length);
        else if (out->length + 8 < MAX_CHARACTERS)
            strbuf_append_str(out, bits[rng_next(rng) % (sizeof bits / sizeof bits[0])]);
    }
}

/* Twice over the same texts: the second time, what was learned of pieces is used. */
static void compare(struct tokenizer *tok)
{
    struct status st = {0};
    struct strbuf text;
    struct token_list expected = {0}, got = {0};
    int n_wrong = 0, n_parts = 0;
    tok->normalizer.n_steps = 0; /* the texts are normalized */
    strbuf_init(&text, 4 * MAX_CHARACTERS);
    for (int pass = 0; pass < 2; pass++) {
        struct rng rng;
        rng_seed(&rng, 7);
        for (int i = 0; i < N_TEXTS; i++) {
            make_text(tok, &rng, &text);
            expected.count = got.count = 0;
            encode_plainly(tok, text_in(&text), &expected);
            ASSERT_OK(tokenizer_encode(tok, text_in(&text), TOKENIZE_PLAIN, &got, &st));
            n_wrong += got.count != expected.count ||
                       (got.count && memcmp(got.ids, expected.ids, 4 * got.count) != 0);
            n_parts += text.length && seams_next(&tok->seams, text_in(&text), 0) < text.length;
        }
    }
    CU_ASSERT_EQUAL(n_wrong, 0);
    CU_ASSERT_TRUE(n_parts > N_TEXTS); /* most texts fall apart somewhere */
    strbuf_release(&text);
    token_list_release(&expected);
    token_list_release(&got);
    tokenizer_free(tok);
}

static void compare_file(const char *path)
{
    struct status st = {0};
    struct tokenizer *tok;
    ASSERT_OK(tokenizer_load(&tok, path, &st));
    compare(tok);
}

static void test_small(void)
{
    struct status st = {0};
    struct fixture f;
    struct tokenizer *tok;
    fixture_init(&f);
    ASSERT_OK(load_json(&f, &tok, (struct json_parts){0}, &st));
    compare(tok);
    fixture_release(&f);
    compare_file("tests/vectors/demo/tokenizer.model");
}

static void test_shared(void)
{
    if (!shared_path("reference/tokenizers/llama2/tokenizer.model")) return;
    compare_file(shared_path("reference/tokenizers/llama2/tokenizer.model"));
    compare_file(shared_path("reference/tokenizers/mistral/tokenizer.model"));
    compare_file(shared_path("reference/tokenizers/gemma/tokenizer.json"));
}

/* ---- seams ---- */

static void test_seams(void)
{
    struct status st = {0};
    struct fixture f;
    struct tokenizer *tok;
    fixture_init(&f);
    ASSERT_OK(load_json(&f, &tok, (struct json_parts){0}, &st));
    struct text text = text_of("ab" SPACE_SYMBOL "a\u00e9\u4e2d" SPACE_SYMBOL SPACE_SYMBOL "c");
    static const size_t ends[] = {2, 6, 8, 11, 14, 17, 18};
    size_t at = 0;
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        at = seams_next(&tok->seams, text, at);
        CU_ASSERT_EQUAL(at, ends[i]);
    }
    CU_ASSERT_EQUAL(seams_next(&tok->seams, text_of("abc\xff\x80"), 0), 3);
    tokenizer_free(tok);
    fixture_release(&f);
}

static const struct test_case tests[] = {
    {"small vocabularies merge by the plain rule", test_small},
    {"published vocabularies merge by the plain rule", test_shared},
    {"no piece lies across a seam", test_seams},
};

SUITE("merging", tests)
