/* The base library: what everything else stands on. */
#include <errno.h>
#include <math.h>
#include <time.h>

#include "engine/base/arena.h"
#include "engine/base/json.h"
#include "engine/base/mapped_file.h"
#include "engine/base/regex.h"
#include "engine/base/rng.h"
#include "engine/base/sha256.h"
#include "engine/base/utf8.h"
#include "engine/base/words.h"
#include "tests/unit/suite.h"

static void test_status(void)
{
    struct status st = {0};
    CU_ASSERT_EQUAL(status_set(&st, STATUS_BAD_INPUT, "line %d", 7), STATUS_BAD_INPUT);
    status_prefix(&st, "a\nb\x1b.txt");
    CU_ASSERT_STRING_EQUAL(st.message, "a?b?.txt: line 7");
    char longer[2000];
    memset(longer, 'x', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    status_set(&st, STATUS_IO, "%s", longer);
    CU_ASSERT_EQUAL(strlen(st.message), sizeof st.message - 1);
    status_prefix(&st, "%s", longer);
    CU_ASSERT_EQUAL(strlen(st.message), sizeof st.message - 1);
}

static void test_arena(void)
{
    struct arena a;
    arena_init(&a, 1000000);
    for (int i = 0; i < 1000; i++) {
        unsigned char *p = arena_alloc(&a, (size_t)i % 97);
        CU_ASSERT_PTR_NOT_NULL_FATAL(p);
        CU_ASSERT_EQUAL((uintptr_t)p % 64, 0);
        for (int k = 0; k < i % 97; k++) CU_ASSERT_EQUAL(p[k], 0);
        memset(p, 0xff, (size_t)i % 97);
    }
    CU_ASSERT_PTR_NULL(arena_alloc(&a, 1000000));
    CU_ASSERT_PTR_NULL(arena_array(&a, SIZE_MAX / 2, 4));
    CU_ASSERT_PTR_NULL(arena_alloc(&a, SIZE_MAX));
    arena_reset(&a);
    CU_ASSERT_STRING_EQUAL(arena_strndup(&a, "hello", 4), "hell");
    CU_ASSERT_PTR_NOT_NULL(arena_alloc(&a, 900000));
    arena_release(&a);
}

static void test_strbuf(void)
{
    struct status st = {0};
    struct strbuf sb;
    strbuf_init(&sb, 10);
    CU_ASSERT_STRING_EQUAL(sb.data, "");
    strbuf_append(&sb, "ab\0c", 4);
    strbuf_appendf(&sb, "%d", 123456);
    CU_ASSERT_EQUAL(sb.length, 10);
    ASSERT_OK(strbuf_check(&sb, "text", &st));
    strbuf_append_char(&sb, '!');
    strbuf_append_str(&sb, ""); /* nothing is fine, but the mark stays */
    ASSERT_FAILS(strbuf_check(&sb, "text", &st), STATUS_LIMIT, "text is longer than 10 bytes");
    CU_ASSERT_EQUAL(sb.length, 10);
    strbuf_clear(&sb);
    ASSERT_OK(strbuf_check(&sb, "text", &st));
    ASSERT_FAILS(strbuf_read_file(&sb, "/nonexistent/file", &st), STATUS_NOT_FOUND,
                 "/nonexistent/file");
    ASSERT_FAILS(strbuf_read_file(&sb, "/dev/zero", &st), STATUS_LIMIT, "/dev/zero");
    strbuf_release(&sb);
}

/* Values of CPython 3.11: random.Random(seed). */
static void test_cpython_random(void)
{
    struct status st = {0};
    struct mt19937 mt;
    uint32_t out[10];
    mt19937_seed(&mt, 1234);
    const uint32_t bits[] = {4150886329u, 3342196574u, 1892932127u, 501869158u, 32175636u};
    for (int i = 0; i < 5; i++) CU_ASSERT_EQUAL(mt19937_next(&mt), bits[i]);
    mt19937_seed(&mt, 1234);
    CU_ASSERT_EQUAL(mt19937_random(&mt), 0.9664535356921388);
    CU_ASSERT_EQUAL(mt19937_random(&mt), 0.4407325991753527);
    CU_ASSERT_EQUAL(mt19937_random(&mt), 0.007491470058587191);
    mt19937_seed(&mt, 1234);
    const uint32_t shots[][5] = {
        {6374, 3610, 957, 61, 742}, {7462, 6610, 4769, 286, 5501}, {5677, 687, 806, 6279, 2905}};
    for (int doc = 0; doc < 3; doc++) {
        ASSERT_OK(mt19937_sample(&mt, 7473, 5, out, &st));
        CU_ASSERT_EQUAL(memcmp(out, shots[doc], sizeof shots[doc]), 0);
    }
    mt19937_seed(&mt, 42);
    const uint32_t shots_42[] = {5238, 912, 204, 6074, 2253};
    ASSERT_OK(mt19937_sample(&mt, 7473, 5, out, &st));
    CU_ASSERT_EQUAL(memcmp(out, shots_42, sizeof shots_42), 0);
    mt19937_seed(&mt, 1234);
    const uint32_t pool[] = {3, 0, 4};
    ASSERT_OK(mt19937_sample(&mt, 5, 3, out, &st));
    CU_ASSERT_EQUAL(memcmp(out, pool, sizeof pool), 0);
    mt19937_seed(&mt, 0);
    const uint32_t choices[] = {8, 7, 4, 2, 5};
    mt19937_choices(&mt, 10, 5, out);
    CU_ASSERT_EQUAL(memcmp(out, choices, sizeof choices), 0);
    mt19937_seed(&mt, 0);
    const uint32_t shuffled[] = {7, 8, 1, 5, 3, 4, 2, 0, 9, 6};
    for (uint32_t i = 0; i < 10; i++) out[i] = i;
    mt19937_shuffle(&mt, out, 10);
    CU_ASSERT_EQUAL(memcmp(out, shuffled, sizeof shuffled), 0);
    ASSERT_FAILS(mt19937_sample(&mt, 3, 4, out, &st), STATUS_USAGE, "4 examples from 3");
}

static void test_own_random(void)
{
    struct rng rng;
    rng_seed(&rng, 7);
    double sum = 0;
    for (int i = 0; i < 100000; i++) {
        double u = rng_uniform(&rng);
        CU_ASSERT_TRUE(u >= 0 && u < 1);
        sum += u;
    }
    CU_ASSERT_DOUBLE_EQUAL(sum / 100000, 0.5, 0.005);
    uint64_t a = rng_derive_seed(1, "gsm8k", 5, 0);
    CU_ASSERT_EQUAL(a, rng_derive_seed(1, "gsm8k", 5, 0));
    CU_ASSERT_NOT_EQUAL(a, rng_derive_seed(2, "gsm8k", 5, 0));
    CU_ASSERT_NOT_EQUAL(a, rng_derive_seed(1, "mmlu", 5, 0));
    CU_ASSERT_NOT_EQUAL(a, rng_derive_seed(1, "gsm8k", 6, 0));
    CU_ASSERT_NOT_EQUAL(a, rng_derive_seed(1, "gsm8k", 5, 1));
}

/* FIPS 180-2, appendix B. */
static void test_sha256(void)
{
    char hex[SHA256_HEX_SIZE];
    sha256_text(text_of("abc"), hex);
    CU_ASSERT_STRING_EQUAL(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    sha256_text((struct text){0}, hex);
    CU_ASSERT_STRING_EQUAL(hex, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    struct status st = {0};
    ASSERT_FAILS(sha256_file("/nonexistent/nothing", hex, &st), STATUS_NOT_FOUND,
                 "/nonexistent/nothing");
}

static void test_utf8(void)
{
    static const char *const bad[] = {"\xc0\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\x80",
                                      "\xe2\x82"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        CU_ASSERT_FALSE(utf8_valid(text_of(bad[i])));
    CU_ASSERT_TRUE(utf8_valid(text_of("a\xc3\xa9\xe2\x82\xac\xf0\x9f\x99\x82")));
    CU_ASSERT_EQUAL(utf8_count(text_of("a\xc3\xa9\xe2\x82\xac\xf0\x9f\x99\x82")), 4);
    CU_ASSERT_EQUAL(utf8_count(text_of("a\xff\xfe")), 3);
    /* str.strip() takes Unicode space: NBSP, ideographic space, U+001C, U+0085. */
    struct text t = utf8_strip(text_of("\xc2\xa0\x1c \xe3\x80\x80x y\xc2\x85\n"));
    CU_ASSERT_TRUE(text_equal(t, text_of("x y")));
    CU_ASSERT_EQUAL(utf8_strip(text_of(" \n\t ")).length, 0);
    CU_ASSERT_TRUE(text_equal(utf8_rstrip(text_of("\xe2\x80\x8b")), text_of("\xe2\x80\x8b")));
    CU_ASSERT_EQUAL(utf8_complete_length(text_of("a\xe2\x82")), 1);
    CU_ASSERT_EQUAL(utf8_complete_length(text_of("a\xe2\x82\xac")), 4);
    struct strbuf sb;
    strbuf_init(&sb, 100);
    utf8_append_valid(&sb, text_of("a\xff"
                                   "b"));
    utf8_append_lower(&sb, text_of("\xc3\x89"
                                   "A"));
    CU_ASSERT_STRING_EQUAL(sb.data, "a\xef\xbf\xbd"
                                    "b\xc3\xa9"
                                    "a");
    strbuf_release(&sb);
}

static struct json_value *parse(const char *text)
{
    struct status st = {0};
    struct json_value *root = NULL;
    ASSERT_OK(json_parse(&root, text_of(text), &st));
    return root;
}

static bool has_form(const char *text, enum utf8_form form, const char *expected)
{
    struct status st = {0};
    struct strbuf sb;
    strbuf_init(&sb, 100);
    ASSERT_OK(utf8_append_form(&sb, text_of(text), form, &st));
    bool same = strcmp(sb.data, expected) == 0;
    if (!same) fprintf(stderr, "  \"%s\" became \"%s\"\n", text, sb.data);
    strbuf_release(&sb);
    return same;
}

/* Examples of UAX #15 and UAX #29. */
static void test_unicode(void)
{
    CU_ASSERT_TRUE(has_form("e\u0301", UTF8_NFC, "\u00e9"));
    CU_ASSERT_TRUE(has_form("\u00e9", UTF8_NFD, "e\u0301"));
    CU_ASSERT_TRUE(has_form("\u212b\ufb01", UTF8_NFC, "\u00c5\ufb01"));
    CU_ASSERT_TRUE(has_form("\u212b\ufb01", UTF8_NFKC, "\u00c5fi"));
    CU_ASSERT_TRUE(has_form("\u1e9b\u0323", UTF8_NFKD, "s\u0323\u0307"));
    CU_ASSERT_TRUE(has_form("\uac01", UTF8_NFD, "\u1100\u1161\u11a8"));
    CU_ASSERT_TRUE(has_form("a\xff"
                            "e\u0301\xc3",
                            UTF8_NFC, "a\xff\u00e9\xc3"));
    CU_ASSERT_TRUE(has_form("", UTF8_NFC, ""));
    CU_ASSERT_TRUE(utf8_is_white_space(0x85) && utf8_is_white_space(0x3000));
    CU_ASSERT_FALSE(utf8_is_white_space(0x1c) || utf8_is_white_space(0x200b));
    CU_ASSERT_TRUE(utf8_is_punctuation('!') && utf8_is_punctuation(0x3002));
    CU_ASSERT_FALSE(utf8_is_punctuation('$') || utf8_is_punctuation('a'));
    CU_ASSERT_TRUE(utf8_is_formless(0) && utf8_is_formless(0x200d) && utf8_is_formless(0xe000));
    CU_ASSERT_FALSE(utf8_is_formless('a') || utf8_is_formless(' '));
    CU_ASSERT_TRUE(utf8_is_nonspacing_mark(0x301) && utf8_is_mark(0x93e));
    CU_ASSERT_FALSE(utf8_is_nonspacing_mark(0x93e) || utf8_is_mark('a'));
    CU_ASSERT_EQUAL(utf8_grapheme_length(text_of("e\u0301x")), 3);
    CU_ASSERT_EQUAL(utf8_grapheme_length(text_of("\r\nx")), 2);
    CU_ASSERT_EQUAL(utf8_grapheme_length(text_of("\U0001f468\u200d\U0001f469 ")), 11);
    CU_ASSERT_EQUAL(utf8_grapheme_length(text_of("\xff"
                                                 "a")),
                    1);
    CU_ASSERT_EQUAL(utf8_grapheme_length(text_of("")), 0);
}

static void test_json(void)
{
    struct status st = {0};
    struct json_value *root =
        parse(" {\"a\": [1, -2.5e3, true, null], \"s\": \"x\\u0000\\\\u0000\\n\"} ");
    struct text s;
    ASSERT_OK(json_get_text(root, "s", &s, &st));
    CU_ASSERT_TRUE(text_equal(s, (struct text){"x\0\\u0000\n", 9}));
    const struct json_value *a = NULL;
    ASSERT_OK(json_get_array(root, "a", &a, &st));
    CU_ASSERT_EQUAL(json_count(a), 4);
    struct strbuf sb;
    strbuf_init(&sb, 1000);
    json_append_value(&sb, root);
    CU_ASSERT_STRING_EQUAL(sb.data, "{\"a\":[1,-2500,true,null],\"s\":\"x\\u0000\\\\u0000\\n\"}");
    strbuf_clear(&sb);
    json_append_number(&sb, 0.1), strbuf_append_char(&sb, ' ');
    json_append_number(&sb, 1.0 / 3), strbuf_append_char(&sb, ' ');
    json_append_number(&sb, (double)NAN), strbuf_append_char(&sb, ' ');
    json_append_text(&sb, text_of("\xff\"\x01"));
    CU_ASSERT_STRING_EQUAL(sb.data, "0.1 0.3333333333333333 null \"\xef\xbf\xbd\\\"\\u0001\"");
    strbuf_release(&sb);
    int64_t n;
    bool b;
    ASSERT_FAILS(json_get_int(root, "a", 0, 9, &n, &st), STATUS_BAD_INPUT,
                 "field \"a\" is an array, expected a number");
    ASSERT_FAILS(json_get_bool(root, "z", &b, &st), STATUS_BAD_INPUT, "field \"z\" is missing");
    json_free(root);
    root = parse("{\"n\": 2.5, \"big\": 1e30}");
    ASSERT_FAILS(json_get_int(root, "n", 0, 9, &n, &st), STATUS_BAD_INPUT, "whole number");
    ASSERT_FAILS(json_get_int(root, "big", 0, INT64_MAX, &n, &st), STATUS_BAD_INPUT,
                 "whole number");
    json_free(root);
}

/* The fewest digits that come back as the number, of numbers of every size and length. */
static void test_json_numbers(void)
{
    struct rng rng;
    struct strbuf sb;
    rng_seed(&rng, 31);
    strbuf_init(&sb, 64);
    for (int i = 0; i < 20000; i++) {
        char shortest[40];
        double number;
        uint64_t bits = rng_next(&rng);
        memcpy(&number, &bits, sizeof number);
        if (i % 4 == 1) number = floor(rng_uniform(&rng) * 1e6) / pow(10, i % 23);
        if (i % 4 == 2) number = rng_uniform(&rng);
        if (i % 4 == 3) number = ldexp(floor(rng_uniform(&rng) * 64) + 1, -1074 + i % 60);
        if (!isfinite(number) || (number == floor(number) && fabs(number) < 1e15)) continue;
        for (int p = 1; p <= 17; p++) {
            snprintf(shortest, sizeof shortest, "%.*g", p, number);
            if (strtod(shortest, NULL) == number) break;
        }
        strbuf_clear(&sb);
        json_append_number(&sb, number);
        CU_ASSERT_STRING_EQUAL(sb.data, shortest);
    }
    strbuf_release(&sb);
}

static void test_json_errors(void)
{
    static const char *const bad[] = {
        "",         "{",           "[1,]", "{\"a\" 1}",         "[1] x",
        "\"\xff\"", "\"\\ud800\"", "nul",  "{\"a\": \"\\u00\"}"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct status st = {0};
        struct json_value *root;
        CU_ASSERT_EQUAL(json_parse(&root, text_of(bad[i]), &st), STATUS_BAD_INPUT);
    }
    struct status st = {0};
    struct json_value *root;
    ASSERT_FAILS(json_parse(&root, text_of("{\n\"a\": x}"), &st), STATUS_BAD_INPUT,
                 "line 2 column 6");
    char deep[20000];
    memset(deep, '[', sizeof deep - 1);
    deep[sizeof deep - 1] = '\0';
    ASSERT_FAILS(json_parse(&root, text_of(deep), &st), STATUS_BAD_INPUT, "not valid JSON");
}

/* re.findall() joined with "|". */
static void find_all(const char *pattern, const char *text, struct strbuf *out)
{
    struct status st = {0};
    struct regex *regex = NULL;
    struct regex_match match;
    ASSERT_OK(regex_compile(&regex, pattern, &st));
    struct regex_scan scan = regex_scan_start(regex, text_of(text));
    strbuf_clear(out);
    for (;;) {
        ASSERT_OK(regex_scan_next(&scan, &match, &st));
        if (!match.found) break;
        strbuf_append(out, match.group[0].data, match.group[0].length);
        strbuf_append_char(out, '|');
    }
    regex_free(regex);
}

static void test_regex(void)
{
    struct status st = {0};
    struct strbuf out;
    strbuf_init(&out, 1000);
    find_all("(-?[$0-9.,]{2,})|(-?[0-9]+)", "5 apples, $18.00 and -3", &out);
    CU_ASSERT_STRING_EQUAL(out.data, "5|$18.00|-3|");
    find_all("x*", "axb", &out); /* Python 3.7: '', 'x', '', '' */
    CU_ASSERT_STRING_EQUAL(out.data, "|x|||");
    find_all("^(.*?)(?=\\n|$)", "one\ntwo", &out);
    CU_ASSERT_STRING_EQUAL(out.data, "one|");
    find_all("a$", "a\n", &out);
    CU_ASSERT_STRING_EQUAL(out.data, "a|");
    find_all("\\d+", "\xd9\xa3\xd9\xa4 12", &out);
    CU_ASSERT_STRING_EQUAL(out.data, "\xd9\xa3\xd9\xa4|12|");
    find_all("a.b", "a\rb a\nb", &out);
    CU_ASSERT_STRING_EQUAL(out.data, "a\rb|");
    find_all("z", "", &out);
    CU_ASSERT_STRING_EQUAL(out.data, "");
    struct regex *regex = NULL;
    ASSERT_FAILS(regex_compile(&regex, "(", &st), STATUS_BAD_INPUT, "pattern \"(\"");
    ASSERT_OK(regex_compile(&regex, "(?s).*#### ", &st));
    strbuf_clear(&out);
    ASSERT_OK(regex_replace(regex, text_of("so\n#### 18"), "", &out, &st));
    CU_ASSERT_STRING_EQUAL(out.data, "18");
    regex_free(regex);
    ASSERT_OK(regex_compile(&regex, "(a+)+$", &st));
    char many[64];
    memset(many, 'a', sizeof many - 2);
    many[sizeof many - 2] = 'b', many[sizeof many - 1] = '\0';
    struct regex_scan scan = regex_scan_start(regex, text_of(many));
    struct regex_match match;
    ASSERT_FAILS(regex_scan_next(&scan, &match, &st), STATUS_LIMIT, "stopped");
    regex_free(regex);
    strbuf_release(&out);
}

static status_code count_match(void *user, struct text match, struct status *st)
{
    size_t *n = user;
    *n += 1;
    return match.length < 4 ? STATUS_OK : status_set(st, STATUS_LIMIT, "a long match");
}

/* As a scan; and a long text takes a moment, since its bytes are checked once. */
static void test_regex_each(void)
{
    struct status st = {0};
    struct regex *regex;
    size_t n = 0;
    ASSERT_OK(regex_compile(&regex, "[a-z]+|$", &st));
    ASSERT_OK(regex_each(regex, text_of("ab c d"), count_match, &n, &st));
    CU_ASSERT_EQUAL(n, 4);
    ASSERT_FAILS(regex_each(regex, text_of("a long d"), count_match, &n, &st), STATUS_LIMIT,
                 "a long match");
    CU_ASSERT_EQUAL(n, 6);
    st = (struct status){0};
    struct strbuf text;
    struct regex_match match;
    strbuf_init(&text, 1 << 20);
    for (int i = 0; i < 100000; i++) strbuf_append_str(&text, "a\u00e9 ");
    struct regex_scan scan = regex_scan_start(regex, (struct text){text.data, text.length});
    size_t scanned = 0;
    do {
        ASSERT_OK(regex_scan_next(&scan, &match, &st));
        scanned += match.found;
    } while (match.found);
    n = 0;
    ASSERT_OK(regex_each(regex, (struct text){text.data, text.length}, count_match, &n, &st));
    CU_ASSERT_EQUAL(n, scanned);
    regex_speed_up(regex);
    n = 0;
    ASSERT_OK(regex_each(regex, (struct text){text.data, text.length}, count_match, &n, &st));
    CU_ASSERT_EQUAL(n, scanned);
    strbuf_release(&text);
    regex_free(regex);
}

static void test_words(void)
{
    enum guard_mode mode = GUARD_OFF;
    CU_ASSERT_TRUE(guard_mode_find("enforce", &mode) && mode == GUARD_ENFORCE);
    CU_ASSERT_FALSE(guard_mode_find("on", &mode));
    for (int i = 0; i < OUTCOMES; i++) CU_ASSERT_PTR_NOT_NULL(outcome_name((enum outcome)i));
}

/* Writes over the file in place, as `cp` does. */
static void write_over(const char *path, const char *text, bool cut)
{
    FILE *file = fopen(path, cut ? "wb" : "r+b");
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    CU_ASSERT_EQUAL(fwrite(text, 1, strlen(text), file), strlen(text));
    fclose(file);
}

static void test_mapped_file(void)
{
    struct status st = {0};
    struct mapped_file map, again = {0};
    char path[] = "/tmp/test_base.XXXXXX", other[64];
    int fd = mkstemp(path);
    CU_ASSERT_FATAL(fd >= 0);
    close(fd);
    ASSERT_OK(mapped_file_init(&map, path, &st)); /* empty */
    ASSERT_OK(mapped_file_check(&map, path, &st));
    mapped_file_release(&map);
    mapped_file_release(&map);
    mapped_file_release(&again);
    write_over(path, "four and twenty", true);
    ASSERT_OK(mapped_file_init(&map, path, &st));
    CU_ASSERT_EQUAL(map.size, 15);
    ASSERT_OK(mapped_file_check(&map, path, &st));
    /* Another file in its place, or none: what is mapped stays. */
    snprintf(other, sizeof other, "%s.other", path);
    write_over(other, "x", true);
    CU_ASSERT_EQUAL(rename(other, path), 0);
    ASSERT_OK(mapped_file_check(&map, path, &st));
    CU_ASSERT_EQUAL(memcmp(map.data, "four and twenty", 15), 0);
    ASSERT_OK(mapped_file_init(&again, path, &st));
    nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL); /* file systems count in ticks */
    write_over(path, "y", false);
    ASSERT_FAILS(mapped_file_check(&again, path, &st), STATUS_IO, "was written to while it was in");
    mapped_file_release(&again);
    ASSERT_OK(mapped_file_init(&again, path, &st));
    write_over(path, "", true);
    ASSERT_FAILS(mapped_file_check(&again, path, &st), STATUS_IO,
                 "was cut short while it was in use, from 1 bytes to 0");
    CU_ASSERT_EQUAL(strncmp(st.message, path, strlen(path)), 0);
    mapped_file_release(&again);
    unlink(path);
    ASSERT_OK(mapped_file_check(&map, path, &st));
    mapped_file_release(&map);
    ASSERT_FAILS(mapped_file_init(&map, path, &st), STATUS_NOT_FOUND, path);
}

static const struct test_case tests[] = {
    {"status: one line, bounded", test_status},
    {"arena: aligned, zeroed, bounded", test_arena},
    {"strbuf: bounded, marks what it could not keep", test_strbuf},
    {"mt19937 is CPython's", test_cpython_random},
    {"rng and derived seeds", test_own_random},
    {"sha256", test_sha256},
    {"utf8 and Python's strip", test_utf8},
    {"Unicode: forms, categories, grapheme clusters", test_unicode},
    {"json: values, NULs, numbers", test_json},
    {"numbers in the fewest digits", test_json_numbers},
    {"json: errors say where", test_json_errors},
    {"regex: Python's meaning, bounded", test_regex},
    {"regex: every match in one walk", test_regex_each},
    {"words", test_words},
    {"mapped files that change", test_mapped_file},
};
SUITE("base", tests)
