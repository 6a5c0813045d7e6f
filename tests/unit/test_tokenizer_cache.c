/* Compiled tokenizers: the same ids as from the source, whatever happened to the file. */
#include <sys/stat.h>

#include "engine/base/rng.h"
#include "engine/tokenizer/tokenizer_cache.h"
#include "engine/tokenizer/tokenizer_compiled.h"
#include "tests/unit/tokenizer_fixtures.h"

#define HEADER_BYTES 256 /* of tokenizer_compiled.c: size at 8, digest at 16, key behind it */
#define N_MUTATIONS  600
#define PADDING      (600 << 10) /* makes a file large enough to be kept */

static const char *const sources[] = {
    "tests/vectors/tokenizers/byte_level.json", "tests/vectors/tokenizers/unigram.json",
    "tests/vectors/tokenizers/wordpiece.json", "tests/vectors/demo/tokenizer.model"};

static const char key[SHA256_HEX_SIZE] =
    "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

static const char *const texts[] = {"The quick brown fox's 12 jumps,  over\n\nthe lazy dog.",
                                    "caf\u00e9 \u4e2d\u6587 \U0001f600",
                                    "<bos>a<|end|> [MASK] </s>",
                                    "\xff\x80 x\xc3",
                                    " leading and trailing  ",
                                    ""};
#define N_TEXTS (sizeof texts / sizeof texts[0])

static bool same_ids(const struct tokenizer *a, const struct tokenizer *b)
{
    struct token_list ids[2] = {{0}};
    bool same = true;
    for (size_t i = 0; i < N_TEXTS; i++)
        for (int flags = 0; flags < 32; flags++) {
            struct status st[2] = {{0}};
            ids[0].count = ids[1].count = 0;
            enum tokenize_flags as = (enum tokenize_flags)flags;
            same &= tokenizer_encode(a, text_of(texts[i]), as, &ids[0], &st[0]) ==
                    tokenizer_encode(b, text_of(texts[i]), as, &ids[1], &st[1]);
            same &= ids[0].count == ids[1].count;
            for (size_t k = 0; same && k < ids[0].count; k++)
                same = ids[0].ids[k] == ids[1].ids[k] &&
                       text_equal(tokenizer_piece(a, ids[0].ids[k]),
                                  tokenizer_piece(b, ids[1].ids[k])) &&
                       tokenizer_is_end(a, ids[0].ids[k]) == tokenizer_is_end(b, ids[1].ids[k]);
        }
    token_list_release(&ids[0]);
    token_list_release(&ids[1]);
    return same;
}

/* NULL where the bytes are refused. */
static struct tokenizer *from_bytes(struct fixture *f, struct text bytes)
{
    struct status st = {0};
    struct mapped_file file;
    struct tokenizer *tok;
    fixture_write(f, "model.gguf", bytes);
    ASSERT_OK(mapped_file_init(&file, f->path, &st));
    if (tokenizer_from_compiled(&tok, &file, key, &st) == STATUS_OK) return tok;
    mapped_file_release(&file);
    return NULL;
}

static void test_round_trip(void)
{
    struct fixture f;
    fixture_init(&f);
    for (size_t i = 0; i < sizeof sources / sizeof sources[0]; i++) {
        struct status st = {0};
        struct tokenizer *tok;
        struct strbuf bytes;
        strbuf_init(&bytes, LIMIT_TOKENIZER_MEMORY);
        ASSERT_OK(tokenizer_load(&tok, sources[i], &st));
        ASSERT_OK(tokenizer_compile(tok, key, &bytes, &st));
        struct tokenizer *back = from_bytes(&f, text_in(&bytes));
        CU_ASSERT_PTR_NOT_NULL_FATAL(back);
        const struct tokenizer_info *a = tokenizer_get_info(tok), *b = tokenizer_get_info(back);
        CU_ASSERT_TRUE(same_ids(tok, back));
        CU_ASSERT_STRING_EQUAL(a->kind, b->kind);
        CU_ASSERT_STRING_EQUAL(a->sha256, b->sha256);
        CU_ASSERT_TRUE(a->n_vocab == b->n_vocab && a->bos == b->bos && a->eos == b->eos &&
                       a->unknown == b->unknown && a->pad == b->pad && a->add_bos == b->add_bos &&
                       a->add_eos == b->add_eos);
        CU_ASSERT_TRUE(text_equal(a->chat_template, b->chat_template));
        tokenizer_free(back);
        tokenizer_free(tok);
        strbuf_release(&bytes);
    }
    fixture_release(&f);
}

/* ---- damage ---- */

/* Makes the checksum fit again, as somebody who forges a file would. */
static void seal(struct strbuf *bytes)
{
    struct text payload = {bytes->data + HEADER_BYTES, bytes->length - HEADER_BYTES};
    char digest[SHA256_HEX_SIZE];
    sha256_text(payload, digest);
    memcpy(bytes->data + 16, digest, sizeof digest);
    uint64_t size = payload.length;
    memcpy(bytes->data + 8, &size, sizeof size);
}

/* A change of any byte is found; a forged file is refused, or harmless. */
static void mutate(struct fixture *f, const char *source)
{
    struct status st = {0};
    struct tokenizer *tok;
    struct strbuf good, bad;
    struct rng rng;
    int n_refused = 0;
    rng_seed(&rng, 3);
    strbuf_init(&good, LIMIT_TOKENIZER_MEMORY);
    strbuf_init(&bad, LIMIT_TOKENIZER_MEMORY);
    ASSERT_OK(tokenizer_load(&tok, source, &st));
    ASSERT_OK(tokenizer_compile(tok, key, &good, &st));
    for (int i = 0; i < N_MUTATIONS; i++) {
        strbuf_clear(&bad);
        strbuf_append(&bad, good.data, good.length);
        bool forged = i % 4 != 0;
        size_t span = i % 2 ? good.length : 40000; /* the numbers and spans come first */
        if (span > good.length) span = good.length;
        for (int n = 0; n < 1 + i % 3; n++) {
            size_t at = HEADER_BYTES * (size_t)forged + rng_next(&rng) % (span - HEADER_BYTES);
            unsigned char was = (unsigned char)bad.data[at], to = (unsigned char)rng_next(&rng);
            bad.data[at] = (char)(to == was ? ~was : to);
        }
        if (i % 8 == 7) strbuf_truncate(&bad, good.length - rng_next(&rng) % 100 - 1);
        if (forged) seal(&bad);
        struct tokenizer *back = from_bytes(f, text_in(&bad));
        if (!forged) CU_ASSERT_PTR_NULL(back);
        n_refused += !back;
        if (back) same_ids(back, tok);
        tokenizer_free(back);
    }
    CU_ASSERT_TRUE(n_refused >= N_MUTATIONS / 4);
    tokenizer_free(tok);
    strbuf_release(&good);
    strbuf_release(&bad);
}

static void test_damage(void)
{
    struct fixture f;
    fixture_init(&f);
    for (size_t i = 0; i < sizeof sources / sizeof sources[0]; i++) mutate(&f, sources[i]);
    CU_ASSERT_PTR_NULL(from_bytes(&f, text_of("")));
    CU_ASSERT_PTR_NULL(from_bytes(&f, text_of("assaytk1")));
    fixture_release(&f);
}

/* ---- files ---- */

struct cache_fixture {
    struct fixture source;
    char cache[64], file[4096];
    char *before; /* XDG_CACHE_HOME */
};

static void start_cache(struct cache_fixture *c)
{
    struct strbuf json;
    const char *before = getenv("XDG_CACHE_HOME");
    c->before = before ? strdup(before) : NULL;
    fixture_init(&c->source);
    snprintf(c->cache, sizeof c->cache, "/tmp/assay-test-XXXXXX");
    CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(c->cache));
    setenv("XDG_CACHE_HOME", c->cache, 1);
    strbuf_init(&json, 1 << 20);
    build_json(&json, (struct json_parts){0});
    for (int i = 0; i < PADDING; i++) strbuf_append_char(&json, ' ');
    fixture_write(&c->source, "tokenizer.json", text_in(&json));
    struct tokenizer_cache_key where;
    tokenizer_cache_key(&where, text_in(&json), c->source.folder);
    snprintf(c->file, sizeof c->file, "%s", where.path);
    strbuf_release(&json);
}

static void end_cache(struct cache_fixture *c)
{
    char path[128];
    unlink(c->file);
    snprintf(path, sizeof path, "%s/assay/tokenizers", c->cache);
    rmdir(path);
    snprintf(path, sizeof path, "%s/assay", c->cache);
    rmdir(path);
    CU_ASSERT_EQUAL(rmdir(c->cache), 0); /* nothing else was left there */
    fixture_release(&c->source);
    if (c->before)
        setenv("XDG_CACHE_HOME", c->before, 1);
    else
        unsetenv("XDG_CACHE_HOME");
    free(c->before);
}

/* Whether the tokenizer came from the cache; its ids are right in any case. */
static bool loads_compiled(struct cache_fixture *c)
{
    struct status st = {0};
    struct tokenizer *tok;
    ASSERT_OK(tokenizer_load(&tok, c->source.folder, &st));
    bool compiled = tok->compiled.size > 0;
    ASSERT_IDS(tok, " aabc\n\n", 0, "267 266 269");
    tokenizer_free(tok);
    return compiled;
}

static void damage(const struct cache_fixture *c, long at, bool truncate_it)
{
    if (truncate_it) {
        CU_ASSERT_EQUAL(truncate(c->file, at), 0);
        return;
    }
    FILE *file = fopen(c->file, "r+b");
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    fseek(file, at, SEEK_SET);
    int byte = fgetc(file);
    fseek(file, at, SEEK_SET);
    fputc(~byte & 0xff, file);
    CU_ASSERT_EQUAL(fclose(file), 0);
}

static void test_files(void)
{
    struct cache_fixture c;
    start_cache(&c);
    CU_ASSERT_FALSE(loads_compiled(&c));
    CU_ASSERT_TRUE(loads_compiled(&c));
    static const long places[] = {0, 9, 20, 100, 300, 5000, 20000};
    for (size_t i = 0; i < 2 * sizeof places / sizeof places[0]; i++) {
        damage(&c, places[i / 2], i % 2);
        CU_ASSERT_FALSE(loads_compiled(&c)); /* passed over, and written anew */
        CU_ASSERT_TRUE(loads_compiled(&c));
    }
    CU_ASSERT_EQUAL(chmod(c.file, 0666), 0); /* anybody may have written it */
    CU_ASSERT_FALSE(loads_compiled(&c));
    CU_ASSERT_TRUE(loads_compiled(&c));
    end_cache(&c);
}

/* What stands beside the source is part of what is kept. */
static void test_other_config(void)
{
    struct cache_fixture c;
    struct status st = {0};
    struct tokenizer *tok;
    char first[sizeof c.file];
    start_cache(&c);
    CU_ASSERT_FALSE(loads_compiled(&c));
    memcpy(first, c.file, sizeof first);
    fixture_write(&c.source, "tokenizer_config.json", text_of("{\"add_bos_token\": true}"));
    ASSERT_OK(tokenizer_load(&tok, c.source.folder, &st));
    CU_ASSERT_EQUAL(tok->compiled.size, 0);
    CU_ASSERT_TRUE(tokenizer_get_info(tok)->add_bos);
    tokenizer_free(tok);
    char command[5000];
    snprintf(command, sizeof command, "rm -r '%s/assay'", c.cache);
    CU_ASSERT_EQUAL(system(command), 0);
    fixture_write(&c.source, "tokenizer_config.json", text_of("{"));
    ASSERT_FAILS(tokenizer_load(&tok, c.source.folder, &st), STATUS_BAD_INPUT, "not valid JSON");
    end_cache(&c);
}

static void test_nowhere(void)
{
    struct cache_fixture c;
    char blocked[128];
    start_cache(&c);
    snprintf(blocked, sizeof blocked, "%s/tokenizer.json", c.source.folder); /* not a folder */
    setenv("XDG_CACHE_HOME", blocked, 1);
    CU_ASSERT_FALSE(loads_compiled(&c));
    CU_ASSERT_FALSE(loads_compiled(&c));
    end_cache(&c);
}

static const struct test_case tests[] = {
    {"every kind of tokenizer comes back as it was", test_round_trip},
    {"damage is found, and a forged file does no harm", test_damage},
    {"a file is written once, and anew where it is not what was written", test_files},
    {"what stands beside a source counts", test_other_config},
    {"without a place to keep files all works", test_nowhere},
};

SUITE("tokenizer cache", tests)
