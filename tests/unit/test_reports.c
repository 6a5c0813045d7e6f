#include "tests/unit/suite.h"

#include "engine/base/json.h"
#include "engine/base/limits.h"
#include "reports/report.h"
#include "reports/report_escape.h"
#include "reports/report_grid.h"
#include "tests/unit/store_fixture.h"

static struct store *memory_store(void)
{
    struct status st = {0};
    struct store *store;
    ASSERT_OK(store_open(&store, ":memory:", STORE_WRITE, &st));
    return store;
}

static bool near(double a, double b)
{
    return fabs(a - b) < 1e-9;
}

static bool holds(const struct strbuf *sb, const char *needle)
{
    bool found = strstr(sb->data, needle) != NULL;
    if (!found) fprintf(stderr, "  no \"%s\" in:\n%.3000s\n", needle, sb->data);
    return found;
}

static const struct score_row *row_of(const struct score_table *table, const char *name,
                                      const char *extraction)
{
    for (size_t i = 0; i < table->n_rows; i++)
        if (!strcmp(table->rows[i].name, name) && !strcmp(table->rows[i].extraction, extraction))
            return &table->rows[i];
    CU_FAIL_FATAL("the table has no such row");
    return NULL;
}

static struct score_table *load(struct store *store, const char *run)
{
    struct status st = {0};
    struct score_table *table;
    ASSERT_OK(score_table_load(&table, store, run, SCORE_COVERAGE_FLOOR, &st));
    return table;
}

/* ---- Scores ---- */

/* Two tasks with 64 of 100 and 100 of 135 right, in a group inside a group. */
static void add_grouped_run(struct store *store, const char *id)
{
    struct status st = {0};
    struct store_run run = fixture_run(id, GUARD_OFF);
    struct store_task a = fixture_task("quiz_a", 2), b = fixture_task("quiz_b", 3);
    char made[STORE_RUN_ID_SIZE];
    ASSERT_OK(store_begin(store, &st));
    ASSERT_OK(store_create_run(store, &run, made, &st));
    ASSERT_OK(store_add_group(store, id, "quiz", NULL, "2", 0, &st));
    ASSERT_OK(store_add_group(store, id, "quiz_part", "quiz", "2", 1, &st));
    ASSERT_OK(store_add_task(store, id, &a, &st));
    ASSERT_OK(store_add_task(store, id, &b, &st));
    ASSERT_OK(store_add_group_member(store, id, "quiz_part", "quiz_a", &st));
    ASSERT_OK(store_add_group_member(store, id, "quiz", "quiz_b", &st));
    ASSERT_OK(fixture_add_samples(store, id, "quiz_a", 100, &st));
    ASSERT_OK(fixture_add_samples(store, id, "quiz_b", 135, &st));
    for (int64_t i = 0; i < 100; i++)
        ASSERT_OK(fixture_answer(store, id, "quiz_a", i, i < 64, &st));
    for (int64_t i = 0; i < 135; i++)
        ASSERT_OK(fixture_answer(store, id, "quiz_b", i, i < 100, &st));
    ASSERT_OK(store_set_run_state(store, id, RUN_DONE, &st));
    ASSERT_OK(store_commit(store, &st));
}

static void test_group_scores(void)
{
    struct store *store = memory_store();
    add_grouped_run(store, "r1");
    struct score_table *table = load(store, "r1");
    static const char *const order[] = {"quiz", "quiz_part", "quiz_a", "quiz_b"};
    static const int depth[] = {0, 1, 2, 1};
    CU_ASSERT_EQUAL_FATAL(table->n_rows, 8);
    for (int i = 0; i < 8; i++) {
        CU_ASSERT_STRING_EQUAL(table->rows[i].name, order[i / 2]);
        CU_ASSERT_EQUAL(table->rows[i].depth, depth[i / 2]);
        CU_ASSERT_EQUAL(table->rows[i].is_headline, i % 2 == 0);
    }
    const struct score_row *a = row_of(table, "quiz_a", "strict-match");
    CU_ASSERT_TRUE(near(a->off.value, 0.64));
    CU_ASSERT_TRUE(near(a->off.stderror, 0.04824181513244218));
    CU_ASSERT_EQUAL(a->outcomes[OUTCOME_CORRECT], 64);
    CU_ASSERT_EQUAL(a->enforce.state, SCORE_NO_GUARD);
    CU_ASSERT_EQUAL(a->blocked_input, STORE_UNKNOWN);
    const struct score_row *group = row_of(table, "quiz", "strict-match");
    CU_ASSERT_TRUE(group->is_group);
    CU_ASSERT_EQUAL(group->n_tasks, 2);
    CU_ASSERT_EQUAL(group->n_docs, 235);
    CU_ASSERT_EQUAL(group->num_fewshot, 5);
    CU_ASSERT_TRUE(near(group->off.value, 164.0 / 235));
    CU_ASSERT_TRUE(near(group->off.macro, (0.64 + 100.0 / 135) / 2));
    CU_ASSERT_TRUE(near(group->off.stderror, 0.02990440005504686));
    CU_ASSERT_EQUAL(group->outcomes[OUTCOME_WRONG], 71);
    CU_ASSERT_TRUE(score_table_complete(table));
    score_table_free(table);
    store_free(store);
}

static void test_coverage(void)
{
    struct status st = {0};
    struct store *store = memory_store();
    struct store_run run = fixture_run("r1", GUARD_OFF);
    struct store_task task = fixture_task("quiz", 0);
    ASSERT_OK(fixture_add_run(store, &run, &task, 20, &st));
    ASSERT_OK(store_begin(store, &st));
    for (int64_t i = 0; i < 18; i++) ASSERT_OK(fixture_answer(store, "r1", "quiz", i, 1, &st));
    ASSERT_OK(store_commit(store, &st));
    struct score_table *table = load(store, "r1");
    const struct score_row *row = row_of(table, "quiz", "strict-match");
    CU_ASSERT_EQUAL(row->off.state, SCORE_WITHHELD);
    CU_ASSERT_TRUE(isnan(row->off.value));
    CU_ASSERT_TRUE(near(row->off.coverage, 0.9));
    CU_ASSERT_FALSE(score_table_complete(table));
    struct strbuf out;
    strbuf_init(&out, LIMIT_REPORT_BYTES);
    report_table_text(table, &out);
    CU_ASSERT_TRUE(holds(&out, "withheld"));
    CU_ASSERT_TRUE(holds(&out, "2 pending"));
    strbuf_release(&out);
    score_table_free(table);
    ASSERT_OK(score_table_load(&table, store, "r1", 0.5, &st));
    CU_ASSERT_EQUAL(table->rows[0].off.value, 1);
    score_table_free(table);
    ASSERT_FAILS(score_table_load(&table, store, "r1", 1.5, &st), STATUS_USAGE, "0 to 1");
    ASSERT_FAILS(score_table_load(&table, store, "r2", 1, &st), STATUS_NOT_FOUND, "r2");
    store_free(store);
}

static status_code add_event(struct store *store, const char *run, int64_t doc,
                             enum guard_stage stage, enum guard_mode mode, struct status *st)
{
    struct store_key key = {run, "quiz", doc, 0};
    struct store_guard_event event = {.stage = stage,
                                      .mode = mode,
                                      .verdict = GUARD_BLOCK,
                                      .blocks = true,
                                      .category = "hate",
                                      .latency_seconds = (double)NAN};
    return store_put_guard_event(store, &key, &event, st);
}

/* 20 documents, all answered right: input guard blocks 0, output guard blocks 1 and 2. */
static void add_guarded_run(struct store *store, const char *id, enum guard_mode mode)
{
    struct status st = {0};
    struct store_run run = fixture_run(id, mode);
    struct store_task task = fixture_task("quiz", 0);
    struct store_key key = {id, "quiz", 0, 0};
    struct store_sample blocked = {.state = SAMPLE_BLOCKED, .doc_hash = HASH_C};
    ASSERT_OK(fixture_add_run(store, &run, &task, 20, &st));
    ASSERT_OK(store_begin(store, &st));
    for (int64_t i = 0; i < 20; i++) ASSERT_OK(fixture_answer(store, id, "quiz", i, 1, &st));
    if (mode == GUARD_ENFORCE) ASSERT_OK(store_put_sample(store, &key, &blocked, &st));
    if (mode != GUARD_OFF) {
        ASSERT_OK(add_event(store, id, 0, GUARD_INPUT, mode, &st));
        ASSERT_OK(add_event(store, id, 1, GUARD_OUTPUT, mode, &st));
        ASSERT_OK(add_event(store, id, 2, GUARD_OUTPUT, mode, &st));
    }
    ASSERT_OK(store_set_run_state(store, id, RUN_DONE, &st));
    ASSERT_OK(store_commit(store, &st));
}

static void test_guard_columns(void)
{
    struct store *store = memory_store();
    add_guarded_run(store, "shadow", GUARD_SHADOW);
    add_guarded_run(store, "enforce", GUARD_ENFORCE);
    struct score_table *table = load(store, "shadow");
    const struct score_row *row = &table->rows[0];
    CU_ASSERT_EQUAL(row->off.state, SCORE_KNOWN);
    CU_ASSERT_EQUAL(row->off.value, 1);
    CU_ASSERT_TRUE(near(row->enforce.value, 17.0 / 20));
    CU_ASSERT_EQUAL(row->blocked_input, 1);
    CU_ASSERT_EQUAL(row->blocked_output, 2);
    CU_ASSERT_EQUAL(row->outcomes[OUTCOME_CORRECT], 20); /* nothing was carried out */
    struct strbuf out;
    strbuf_init(&out, LIMIT_REPORT_BYTES);
    report_table_text(table, &out);
    CU_ASSERT_TRUE(holds(&out, "1.0000 (3)"));
    CU_ASSERT_TRUE(holds(&out, "1 / 2"));
    score_table_free(table);

    table = load(store, "enforce");
    row = &table->rows[0];
    CU_ASSERT_EQUAL(row->off.state, SCORE_UNHEARD);
    CU_ASSERT_TRUE(isnan(row->off.value));
    CU_ASSERT_TRUE(near(row->enforce.value, 17.0 / 20));
    CU_ASSERT_EQUAL(row->enforce.scored, 20);
    CU_ASSERT_EQUAL(row->outcomes[OUTCOME_BLOCKED_INPUT], 1);
    CU_ASSERT_EQUAL(row->outcomes[OUTCOME_BLOCKED_OUTPUT], 2);
    CU_ASSERT_EQUAL(row->outcomes[OUTCOME_CORRECT], 17);
    CU_ASSERT_TRUE(score_table_complete(table));
    strbuf_clear(&out);
    report_table_json(table, &out);
    CU_ASSERT_TRUE(holds(&out, "\"off\":{\"state\":\"unheard\",\"value\":null"));
    strbuf_release(&out);
    score_table_free(table);
    store_free(store);
}

/* Documents are the unit: with three replies each, n is the number of documents. */
static void test_repeats(void)
{
    struct status st = {0};
    struct store *store = memory_store();
    struct store_run run = fixture_run("r1", GUARD_OFF);
    struct store_task task = fixture_task("quiz", 0);
    task.repeats = 3;
    task.n_metrics = 1;
    ASSERT_OK(fixture_add_run(store, &run, &task, 2, &st));
    ASSERT_OK(store_begin(store, &st));
    for (int64_t doc = 0; doc < 2; doc++) {
        struct store_key key = {"r1", "quiz", doc, 0};
        struct store_sample sample = {.state = SAMPLE_DONE};
        ASSERT_OK(store_put_sample(store, &key, &sample, &st));
        for (key.repeat = 0; key.repeat < 3; key.repeat++) {
            struct store_verdict verdict = {.metric = "exact_match",
                                            .extraction = "strict-match",
                                            .value = doc == 0 && key.repeat == 0,
                                            .outcome = OUTCOME_WRONG};
            ASSERT_OK(store_put_verdict(store, &key, &verdict, &st));
        }
    }
    ASSERT_OK(store_commit(store, &st));
    struct score_table *table = load(store, "r1");
    const struct score_row *row = &table->rows[0];
    CU_ASSERT_EQUAL(row->n_docs, 2);
    CU_ASSERT_EQUAL(row->n_total, 6);
    CU_ASSERT_EQUAL(row->off.scored, 6);
    CU_ASSERT_TRUE(near(row->off.value, 1.0 / 6));
    CU_ASSERT_TRUE(near(row->off.stderror, 1.0 / 6)); /* sd of {1/3, 0} over sqrt(2) */
    score_table_free(table);
    store_free(store);
}

/* ---- Escaping ---- */

static void check_escape(void (*escape)(struct strbuf *, struct text), struct text in,
                         const char *expected)
{
    struct strbuf out;
    strbuf_init(&out, 1000);
    escape(&out, in);
    CU_ASSERT_STRING_EQUAL(out.data, expected);
    CU_ASSERT_EQUAL(out.length, strlen(expected));
    strbuf_release(&out);
}

static void test_escaping(void)
{
    check_escape(escape_html, text_of("<script>alert(\"&'\")</script>\n"),
                 "&lt;script&gt;alert(&quot;&amp;&#39;&quot;)&lt;/script&gt;\n");
    check_escape(escape_html, text_of("\" onmouseover='x'"), "&quot; onmouseover=&#39;x&#39;");
    check_escape(escape_html, (struct text){"a\0b\r\x1b[2J\x7f", 9},
                 "a\u2400b\u240d\u241b[2J\u2421");
    check_escape(escape_html, text_of("\xff\xc3(\xc2\x9b\xed\xa0\x80"),
                 "\ufffd\ufffd(\ufffd\ufffd\ufffd\ufffd");
    check_escape(escape_xml, text_of("]]>\n\t\x01\xef\xbf\xbf"), "]]&gt;&#10;&#9;\u2401\ufffd");
    check_escape(escape_markdown, text_of("a|b`c`\n<b>*x*\\[y](z)"),
                 "a\\|b\\`c\\` &lt;b&gt;\\*x\\*\\\\\\[y\\](z)");
    check_escape(escape_line, text_of("one\ntwo\x1b]0;title\x07 <&>"),
                 "one two\u241b]0;title\u2407 <&>");
    check_escape(escape_html, text_of("\u00e9\u4e2d\U0001f600"), "\u00e9\u4e2d\U0001f600");
}

static void test_grid(void)
{
    static const char *const headings[] = {"Name", ">n", "Empty"};
    struct report_grid grid;
    struct strbuf out;
    strbuf_init(&out, 4096);
    report_grid_init(&grid, headings, 3);
    report_grid_cell(&grid, "%s", "caf\u00e9");
    report_grid_cell(&grid, "%d", 7);
    report_grid_cell(&grid, "%s", "");
    report_grid_cell(&grid, "%s", "  a|b");
    report_grid_cell(&grid, "%d", 1000);
    report_grid_cell(&grid, "%s", "");
    report_grid_text(&grid, &out);
    CU_ASSERT_STRING_EQUAL(out.data, "Name      n\ncaf\u00e9      7\n  a|b  1000\n");
    strbuf_clear(&out);
    report_grid_markdown(&grid, &out);
    CU_ASSERT_STRING_EQUAL(out.data, "| Name | n |\n|---|---:|\n| caf\u00e9 | 7 |\n"
                                     "| &nbsp;&nbsp;a\\|b | 1000 |\n");
    report_grid_release(&grid);
    strbuf_release(&out);
}

/* ---- Pages and lines ---- */

/* A run whose every text tries to break out of its format. */
static void add_hostile_run(struct store *store)
{
    struct status st = {0};
    struct store_run run = fixture_run("r1", GUARD_SHADOW);
    struct store_task task = fixture_task("<img src=x>", 0);
    struct store_metric metric = {.metric = "acc", .higher_is_better = true};
    struct store_key key = {"r1", "<img src=x>", 0, 0};
    struct store_sample sample = {
        .state = SAMPLE_DONE, .prompt_hash = HASH_A, .target = "</pre><b>", .doc_hash = HASH_B};
    struct store_reply reply = {
        .text = {"</pre><script>x</script>\0\xff", 26}, .finish_reason = "length", .n_tokens = 3};
    struct store_verdict verdict = {
        .metric = "acc", .extracted = text_of("\"><i>"), .value = 1, .outcome = OUTCOME_TRUNCATED};
    run.model_path = "models/<evil>.gguf";
    task.metrics = &metric;
    task.n_metrics = 1;
    ASSERT_OK(fixture_add_run(store, &run, &task, 1, &st));
    ASSERT_OK(store_begin(store, &st));
    ASSERT_OK(store_put_prompt(store, HASH_A, text_of("<textarea>"), &st));
    ASSERT_OK(store_put_sample(store, &key, &sample, &st));
    ASSERT_OK(store_put_reply(store, &key, &reply, &st));
    ASSERT_OK(store_put_verdict(store, &key, &verdict, &st));
    ASSERT_OK(store_commit(store, &st));
}

static void test_html(void)
{
    struct status st = {0};
    struct store *store = memory_store();
    struct html_options options = {.coverage_floor = 0.95};
    const char *runs[] = {"r1"};
    struct strbuf out;
    strbuf_init(&out, LIMIT_REPORT_BYTES);
    add_hostile_run(store);
    ASSERT_OK(report_html(store, runs, 1, &options, &out, &st));
    CU_ASSERT_EQUAL(strlen(out.data), out.length);
    static const char *const forbidden[] = {"<script", "<img", "<textarea", "<i>", "<evil"};
    for (size_t i = 0; i < 5; i++) CU_ASSERT_PTR_NULL(strstr(out.data, forbidden[i]));
    CU_ASSERT_PTR_NULL(strstr(out.data, "http://"));
    CU_ASSERT_PTR_NULL(strstr(out.data, "https://"));
    CU_ASSERT_TRUE(holds(&out, "&lt;/pre&gt;&lt;script&gt;x&lt;/script&gt;\u2400\ufffd"));
    CU_ASSERT_TRUE(holds(&out, "<details class=\"s truncated\">"));
    CU_ASSERT_TRUE(holds(&out, "&lt;textarea&gt;"));
    CU_ASSERT_TRUE(holds(&out, "color-scheme:light dark"));
    strbuf_release(&out);
    store_free(store);
}

static void test_html_limit(void)
{
    struct status st = {0};
    struct store *store = memory_store();
    double values[30] = {0};
    const char *runs[] = {"r1"};
    struct strbuf out;
    strbuf_init(&out, LIMIT_REPORT_BYTES);
    ASSERT_OK(fixture_full_run(store, "r1", "quiz", values, 30, &st));
    struct html_options options = {.coverage_floor = 0.95, .max_samples = 4};
    ASSERT_OK(report_html(store, runs, 1, &options, &out, &st));
    CU_ASSERT_TRUE(holds(&out, "The first 4 of 30 samples"));
    size_t shown = 0;
    for (const char *p = out.data; (p = strstr(p, "<details class=\"s ")) != NULL; p++) shown++;
    CU_ASSERT_EQUAL(shown, 4);
    strbuf_clear(&out);
    options.max_samples = -1;
    ASSERT_OK(report_html(store, runs, 1, &options, &out, &st));
    CU_ASSERT_PTR_NULL(strstr(out.data, "The first"));
    strbuf_release(&out);
    store_free(store);
}

static status_code collect(void *user, struct text line, struct status *st)
{
    struct strbuf *out = user;
    struct json_value *root;
    if (json_parse(&root, line, st) != STATUS_OK) return st->code;
    json_free(root);
    strbuf_append(out, line.data, line.length);
    return STATUS_OK;
}

static void test_jsonl(void)
{
    struct status st = {0};
    struct store *store = memory_store();
    struct store_key key = {"r1", "<img src=x>", 0, 0};
    struct store_choice choices[] = {{0, {" A", 2}, -0.5, 1, true},
                                     {1, {" B", 2}, -1.25, 1, false}};
    struct strbuf out;
    strbuf_init(&out, LIMIT_REPORT_BYTES);
    add_hostile_run(store);
    ASSERT_OK(report_jsonl(store, "r1", collect, &out, &st));
    CU_ASSERT_TRUE(holds(&out, "\"reply\":\"</pre><script>x</script>\\u0000\ufffd\""));
    CU_ASSERT_TRUE(holds(&out, "\"choices\":null,\"extracted\":{\"none\":\"\\\"><i>\"},"
                               "\"metrics\":{\"acc\":1},\"outcome\":\"truncated\""));
    CU_ASSERT_TRUE(holds(&out, "\"prompt_hash\":\"" HASH_A "\""));

    struct store_sample sample = {.state = SAMPLE_DONE};
    strbuf_clear(&out);
    ASSERT_OK(store_begin(store, &st));
    ASSERT_OK(store_put_sample(store, &key, &sample, &st));
    for (int i = 0; i < 2; i++) ASSERT_OK(store_put_choice(store, &key, &choices[i], &st));
    ASSERT_OK(store_commit(store, &st));
    ASSERT_OK(report_jsonl(store, "r1", collect, &out, &st));
    CU_ASSERT_TRUE(holds(&out, "\"reply\":null"));
    CU_ASSERT_TRUE(holds(&out, "\"choices\":[{\"text\":\" A\",\"logprob\":-0.5,\"n_tokens\":1,"
                               "\"is_greedy\":true},{\"text\":\" B\""));

    strbuf_clear(&out);
    store_free(store);
    store = memory_store();
    double values[] = {1, 0};
    ASSERT_OK(fixture_full_run(store, "r1", "quiz", values, 2, &st));
    ASSERT_OK(report_jsonl(store, "r1", collect, &out, &st));
    CU_ASSERT_TRUE(holds(&out, "\"extracted\":{\"strict-match\":\"42\",\"flexible-extract\":"
                               "\"42\"},\"metrics\":{\"exact_match,strict-match\":1,"
                               "\"exact_match,flexible-extract\":1},\"outcome\":\"correct\""));
    strbuf_release(&out);
    store_free(store);
}

static void test_table_formats(void)
{
    struct status st = {0};
    struct store *store = memory_store();
    struct json_value *root;
    struct strbuf out;
    strbuf_init(&out, LIMIT_REPORT_BYTES);
    add_grouped_run(store, "r1");
    struct score_table *table = load(store, "r1");
    report_table_text(table, &out);
    CU_ASSERT_TRUE(holds(&out, "weights aaaaaaaaaaaa"));
    CU_ASSERT_TRUE(holds(&out, "    quiz_a"));
    CU_ASSERT_TRUE(holds(&out, "0.6400 \u00b1 0.0482"));
    CU_ASSERT_PTR_NULL(strstr(out.data, "Enforce"));
    strbuf_clear(&out);
    report_table_markdown(table, &out);
    CU_ASSERT_TRUE(holds(&out, "| 0.6979 \u00b1 0.0299 |"));
    strbuf_clear(&out);
    report_table_json(table, &out);
    ASSERT_OK(json_parse(&root, (struct text){out.data, out.length}, &st));
    CU_ASSERT_EQUAL(json_count(json_member(root, "rows")), 8);
    const struct json_value *off = json_member(json_first(json_member(root, "rows")), "off");
    CU_ASSERT_TRUE(near(json_number(json_member(off, "value")), 164.0 / 235));
    json_free(root);
    score_table_free(table);
    strbuf_release(&out);
    store_free(store);
}

static const struct test_case tests[] = {
    {"group scores", test_group_scores},
    {"coverage and withholding", test_coverage},
    {"off, shadow, enforce", test_guard_columns},
    {"repeats", test_repeats},
    {"escaping", test_escaping},
    {"grids", test_grid},
    {"the page is inert", test_html},
    {"the page is limited", test_html_limit},
    {"JSON lines", test_jsonl},
    {"table formats", test_table_formats},
};
SUITE("reports", tests)
