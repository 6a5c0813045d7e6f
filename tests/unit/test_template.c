/* The template language: what Jinja2 makes of the same sources, what is refused, and noise. */
#include "tests/unit/suite.h"

#include "benchmarks/template.h"
#include "datasets/file_reader.h"
#include "datasets/jsonl_reader.h"
#include "engine/base/limits.h"
#include "engine/base/rng.h"

#define VECTORS "tests/vectors/task_files/templates.jsonl"

/* Compiles and evaluates into `out`, as text. */
static status_code render(struct text source, const struct json_value *row, struct strbuf *out,
                          struct status *st)
{
    struct template *t;
    struct template_value value;
    struct arena arena;
    strbuf_clear(out);
    status_code code = template_compile(&t, source, st);
    if (code != STATUS_OK) return code;
    arena_init(&arena, 1 << 20);
    code = template_evaluate(t, row, &arena, &value, st);
    if (code == STATUS_OK) code = template_append_value(out, &value, st);
    if (code == STATUS_OK) code = strbuf_check(out, "text", st);
    arena_release(&arena);
    template_free(t);
    return code;
}

static void test_vectors(void)
{
    struct status st = {0};
    struct strbuf bytes, out;
    struct file_digests digests;
    struct json_value *first, *line;
    struct text source, text;
    int n = 0;
    strbuf_init(&bytes, 1 << 20);
    strbuf_init(&out, 1 << 16);
    ASSERT_OK(file_read(&bytes, &digests, VECTORS, &st));
    struct jsonl_reader reader =
        jsonl_reader_start(VECTORS, (struct text){bytes.data, bytes.length});
    ASSERT_OK(jsonl_reader_next(&reader, &first, &st));
    while (jsonl_reader_next(&reader, &line, &st) == STATUS_OK && line) {
        ASSERT_OK(json_get_text(line, "template", &source, &st));
        ASSERT_OK(json_get_text(line, "text", &text, &st));
        ASSERT_OK(render(source, json_member(first, "row"), &out, &st));
        if (!text_equal((struct text){out.data, out.length}, text))
            fprintf(stderr, "  %.*s: \"%.*s\", expected \"%.*s\"\n", TEXT_ARGS(source),
                    (int)out.length, out.data, TEXT_ARGS(text));
        CU_ASSERT_TRUE(text_equal((struct text){out.data, out.length}, text));
        json_free(line);
        n++;
    }
    CU_ASSERT_TRUE(n > 70);
    json_free(first);
    strbuf_release(&bytes);
    strbuf_release(&out);
}

static struct json_value *parse(const char *json)
{
    struct status st = {0};
    struct json_value *root;
    ASSERT_OK(json_parse(&root, text_of(json), &st));
    return root;
}

/* A source that is one expression, or the name of a field, keeps its value. */
static void test_values(void)
{
    static const struct {
        const char *source;
        enum template_kind kind;
        size_t count;
    } cases[] = {
        {"{{list}}", TEMPLATE_LIST, 3}, {"list", TEMPLATE_LIST, 3},
        {"{{n}}", TEMPLATE_NUMBER, 0},  {"n", TEMPLATE_NUMBER, 0},
        {" n", TEMPLATE_TEXT, 0},       {"{{n}} ", TEMPLATE_TEXT, 0},
        {"{{yes}}", TEMPLATE_BOOL, 0},  {"{{none}}", TEMPLATE_NONE, 0},
        {"{{sub}}", TEMPLATE_MAP, 0},   {"{{[n, list, 'x']}}", TEMPLATE_LIST, 3},
        {"{{[]}}", TEMPLATE_LIST, 0},   {"{{list[1:]}}", TEMPLATE_LIST, 2},
        {"missing", TEMPLATE_TEXT, 0},
    };
    struct json_value *row =
        parse("{\"list\": [1, \"b\", null], \"n\": 3, \"yes\": true, \"sub\": {}}");
    struct status st = {0};
    struct arena arena;
    arena_init(&arena, 1 << 16);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct template *t;
        struct template_value value;
        ASSERT_OK(template_compile(&t, text_of(cases[i].source), &st));
        ASSERT_OK(template_evaluate(t, row, &arena, &value, &st));
        CU_ASSERT_EQUAL(value.kind, cases[i].kind);
        if (value.kind == TEMPLATE_LIST) CU_ASSERT_EQUAL(template_count(&value), cases[i].count);
        template_free(t);
    }
    arena_release(&arena);
    json_free(row);
}

static void test_refused(void)
{
    static const struct {
        const char *source, *says;
    } cases[] = {
        {"{% if x %}", "at character 1: statements"},
        {"a {# note #}", "at character 3: statements"},
        {"{{", "at character 3: expected a field"},
        {"{{x", "expected \"}}\""},
        {"{{x}", "expected \"}}\""},
        {"{{x y}}", "expected \"}}\""},
        {"{{x.}}", "expected a name behind the dot"},
        {"{{x[}}", "expected a field"},
        {"{{x[1}}", "expected \"]\""},
        {"{{(x}}", "expected \")\""},
        {"{{[x}}", "expected a comma"},
        {"{{'x}}", "a quote is never closed"},
        {"{{'\\d'}}", "unknown escape"},
        {"{{1.5}}", "expected a whole number"},
        {"{{12345678901}}", "expected a whole number"},
        {"{{x.title()}}", "there is no method \"title\""},
        {"{{x|tojson}}", "there is no filter \"tojson\""},
        {"{{x|strip}}", "there is no filter \"strip\""},
        {"{{x.replace('a')}}", "replace takes 2 to 2 arguments, not 1"},
        {"{{x.strip('a', 'b')}}", "strip takes 0 to 1 arguments, not 2"},
        {"{{x if y else z}}", "expected \"}}\""},
        {"{{x == 1}}", "expected \"}}\""},
        {"{{- x -}}", "expected a whole number"},
    };
    struct status st = {0};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct template *t = NULL;
        ASSERT_FAILS(template_compile(&t, text_of(cases[i].source), &st), STATUS_BAD_INPUT,
                     cases[i].says);
    }
    struct strbuf deep;
    struct template *t = NULL;
    strbuf_init(&deep, 1 << 16);
    strbuf_append_str(&deep, "{{");
    for (int i = 0; i < 10000; i++) strbuf_append_char(&deep, '(');
    ASSERT_FAILS(template_compile(&t, (struct text){deep.data, deep.length}, &st), STATUS_BAD_INPUT,
                 "too deep");
    strbuf_clear(&deep);
    strbuf_append_str(&deep, "{{x");
    for (int i = 0; i < 10000; i++) strbuf_append_str(&deep, ".y");
    ASSERT_FAILS(template_compile(&t, (struct text){deep.data, deep.length}, &st), STATUS_BAD_INPUT,
                 "too long");
    strbuf_release(&deep);
}

static void test_what_rows_lack(void)
{
    static const struct {
        const char *source, *says;
    } cases[] = {
        {"{{nothere}}", "field \"nothere\" is missing"},
        {"{{sub.nothere}}", "field \"nothere\" is missing"},
        {"{{sub['nothere']}}", "field \"nothere\" is missing"},
        {"{{list.x}}", "field \"x\" is asked of a list"},
        {"{{list[3]}}", "a list of 2 has no element 3"},
        {"{{list[-3]}}", "a list of 2 has no element -3"},
        {"{{text[0]}}", "a text has no element at a number"},
        {"{{list['x']}}", "a list has no element at a text"},
        {"{{list}}x", "a list is no text"},
        {"{{sub}}x", "an object is no text"},
        {"{{n.strip()}}", "strip: is applied to a number, expected a text"},
        {"{{text.replace('', 'x')}}", "replace: argument 1 is an empty text"},
        {"{{text.replace(n, 'x')}}", "replace: argument 1 is a number, expected a text"},
        {"{{text.split('')}}", "split: argument 1 is an empty text"},
        {"{{list.index('z')}}", "index: does not find \"z\""},
        {"{{text.index('zz')}}", "index: does not find \"zz\""},
        {"{{n.index(1)}}", "index: is applied to a number"},
        {"{{text|join}}", "join: is applied to a text, expected a list"},
        {"{{[]|first}}", "first: is applied to an empty list"},
        {"{{text|int}}", "int: is applied to \"tea\""},
        {"{{text + n}}", "a text + a number"},
        {"{{n[1:2]}}", "a slice is taken of a number"},
        {"{{text['a':]}}", "a slice ends at a text"},
    };
    struct json_value *row =
        parse("{\"list\": [\"a\", \"b\"], \"n\": 3, \"text\": \"tea\", \"sub\": {\"x\": 1}}");
    struct status st = {0};
    struct strbuf out;
    strbuf_init(&out, 1 << 10);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        ASSERT_FAILS(render(text_of(cases[i].source), row, &out, &st), STATUS_BAD_INPUT,
                     cases[i].says);
    /* What doubles again and again ends at the arena's bound. */
    struct strbuf twice;
    strbuf_init(&twice, 1 << 16);
    strbuf_append_str(&twice, "{{text");
    for (int i = 0; i < 40; i++)
        strbuf_append_str(&twice, ".replace('t', 'tt').replace('a', 'aa')");
    strbuf_append_str(&twice, "}}");
    CU_ASSERT_NOT_EQUAL(render((struct text){twice.data, twice.length}, row, &out, &st), STATUS_OK);
    strbuf_release(&twice);
    strbuf_release(&out);
    json_free(row);
}

/* Sources out of the language's own pieces, in any order: each is refused or evaluated. */
static void test_noise(void)
{
    static const char *const pieces[] = {"{{",     "}}",         "q",
                                         "list",   ".",          "[",
                                         "]",      "(",          ")",
                                         "|",      "'",          "\"",
                                         "x",      "0",          "-1",
                                         ":",      ",",          "+",
                                         "~",      "strip()",    "{",
                                         "}",      " ",          "join",
                                         "index(", "split('a')", "sub.x",
                                         "\\",     "é",          "\xff",
                                         "{%",     "upper",      "capitalize()",
                                         "[1:]",   "n",          "none"};
    const size_t n_pieces = sizeof pieces / sizeof pieces[0];
    struct json_value *row =
        parse("{\"q\": \"Aa \", \"list\": [\"a\", \"b\"], \"n\": 3, \"sub\": {\"x\": \"y\"}}");
    struct strbuf source, out;
    struct mt19937 mt;
    int evaluated = 0;
    strbuf_init(&source, 1 << 12);
    strbuf_init(&out, 1 << 16);
    mt19937_seed(&mt, 7);
    for (int i = 0; i < 60000; i++) {
        struct status st = {0};
        strbuf_clear(&source);
        if (i % 2) strbuf_append_str(&source, "{{");
        for (uint32_t k = mt19937_below(&mt, 12); k; k--)
            strbuf_append_str(&source, pieces[mt19937_below(&mt, (uint32_t)n_pieces)]);
        if (i % 2) strbuf_append_str(&source, "}}");
        evaluated += render((struct text){source.data, source.length}, row, &out, &st) == STATUS_OK;
        CU_ASSERT_TRUE_FATAL(st.code == STATUS_OK || st.message[0]);
    }
    CU_ASSERT_TRUE(evaluated > 1000 && evaluated < 59000);
    strbuf_release(&source);
    strbuf_release(&out);
    json_free(row);
}

static const struct test_case tests[] = {
    {"what Jinja2 makes of it", test_vectors},
    {"values that are no texts", test_values},
    {"what is not part of the language", test_refused},
    {"what a row lacks", test_what_rows_lack},
    {"noise", test_noise},
};

SUITE("template", tests)
