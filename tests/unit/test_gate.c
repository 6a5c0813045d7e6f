#include "tests/unit/suite.h"

#include "engine/base/json.h"
#include "engine/base/limits.h"
#include "reports/report.h"
#include "tests/unit/scratch.h"
#include "tests/unit/store_fixture.h"

#define DOCS 50

static struct store *memory_store(void)
{
    struct status st = {0};
    struct store *store;
    ASSERT_OK(store_open(&store, ":memory:", STORE_WRITE, &st));
    return store;
}

/* Fills n values: the first `right` are 1. */
static void set_right(double *values, int n, int right)
{
    for (int i = 0; i < n; i++) values[i] = i < right;
}

static void add_run(struct store *store, const char *id, const double *values, int n)
{
    struct status st = {0};
    ASSERT_OK(fixture_full_run(store, id, "quiz", values, n, &st));
}

static struct comparison *compare(struct store *a, const char *run_a, struct store *b,
                                  const char *run_b)
{
    struct status st = {0};
    struct comparison *c;
    struct comparison_options options = {.column = COMPARE_OFF};
    ASSERT_OK(comparison_create(&c, a, run_a, b, run_b, &options, &st));
    return c;
}

static bool holds(const struct strbuf *sb, const char *needle)
{
    bool found = strstr(sb->data, needle) != NULL;
    if (!found) fprintf(stderr, "  no \"%s\" in:\n%.3000s\n", needle, sb->data);
    return found;
}

/* ---- Comparison ---- */

static void test_pairs(void)
{
    struct store *a = memory_store(), *b = memory_store();
    double values[DOCS];
    set_right(values, DOCS, 40);
    add_run(a, "r1", values, DOCS);
    values[0] = values[1] = values[2] = 0;
    values[49] = 1;
    add_run(b, "r2", values, DOCS); /* two store files */
    struct comparison *c = compare(a, "r1", b, "r2");
    CU_ASSERT_EQUAL_FATAL(c->n_rows, 2);
    const struct comparison_row *row = &c->rows[0];
    CU_ASSERT_PTR_NULL(row->refusal);
    CU_ASSERT_TRUE(row->is_binary);
    CU_ASSERT_EQUAL(row->n_pairs, 50);
    CU_ASSERT_EQUAL(row->both, 37);
    CU_ASSERT_EQUAL(row->a_only, 3);
    CU_ASSERT_EQUAL(row->b_only, 1);
    CU_ASSERT_EQUAL(row->neither, 9);
    CU_ASSERT_EQUAL(row->n_changed, 4);
    CU_ASSERT_TRUE(fabs(row->p - 0.625) < 1e-12);
    CU_ASSERT_TRUE(fabs(row->difference.mean + 0.04) < 1e-12);
    CU_ASSERT_TRUE(row->difference.interval.low < -0.04 && row->difference.interval.high > 0);
    CU_ASSERT_EQUAL(row->coverage_a, 1);
    struct strbuf out;
    strbuf_init(&out, LIMIT_REPORT_BYTES);
    report_comparison_text(c, &out);
    CU_ASSERT_TRUE(holds(&out, "37 / 3 / 1 / 9"));
    CU_ASSERT_TRUE(holds(&out, "-0.0400"));
    strbuf_clear(&out);
    report_comparison_markdown(c, &out);
    CU_ASSERT_TRUE(holds(&out, "| 37 / 3 / 1 / 9 |"));
    strbuf_clear(&out);
    report_comparison_json(c, &out);
    struct json_value *root;
    struct status st = {0};
    ASSERT_OK(json_parse(&root, (struct text){out.data, out.length}, &st));
    json_free(root);
    strbuf_release(&out);
    comparison_free(c);
    store_free(a);
    store_free(b);
}

/* A run of one task whose settings or hashes `change` alters. */
static struct store *changed_store(void (*change)(struct store_task *), const char *doc_hash,
                                   const char *prompt_hash)
{
    struct status st = {0};
    struct store *store = memory_store();
    struct store_run run = fixture_run("r2", GUARD_OFF);
    struct store_task task = fixture_task("quiz", 0);
    if (change) change(&task);
    ASSERT_OK(fixture_add_run(store, &run, &task, 2, &st));
    ASSERT_OK(store_begin(store, &st));
    for (int64_t i = 0; i < 2; i++) {
        struct store_key key = {"r2", task.task, i, 0};
        struct store_sample sample = {
            .state = SAMPLE_DONE, .doc_hash = doc_hash, .prompt_hash = prompt_hash};
        struct store_verdict verdict = {
            .metric = "exact_match", .extraction = "strict-match", .value = 1};
        ASSERT_OK(store_put_prompt(store, prompt_hash, text_of("prompt"), &st));
        ASSERT_OK(store_put_sample(store, &key, &sample, &st));
        ASSERT_OK(store_put_verdict(store, &key, &verdict, &st));
    }
    ASSERT_OK(store_commit(store, &st));
    return store;
}

static void change_version(struct store_task *task)
{
    task->version = "2";
}
static void change_profile(struct store_task *task)
{
    task->profile = "helm";
}
static void change_shots(struct store_task *task)
{
    task->num_fewshot = 0;
}
static void change_repeats(struct store_task *task)
{
    task->repeats = 2;
}
static void change_dataset(struct store_task *task)
{
    task->dataset_sha256 = HASH_A;
}
static void change_name(struct store_task *task)
{
    task->task = "other";
}

static void test_refusals(void)
{
    static const struct {
        void (*change)(struct store_task *);
        const char *doc_hash, *prompt_hash, *reason;
    } cases[] = {
        {change_version, HASH_C, HASH_C, "task version 1 in A, 2 in B"},
        {change_profile, HASH_C, HASH_C, "profile lm-eval in A, helm in B"},
        {change_shots, HASH_C, HASH_C, "5 shots in A, 0 in B"},
        {change_repeats, HASH_C, HASH_C, "1 replies per document in A, 2 in B"},
        {change_dataset, HASH_C, HASH_C, "dataset bbbbbbbbbbbb in A, aaaaaaaaaaaa in B"},
        {change_name, HASH_C, HASH_C, "run A has no such task"},
        {NULL, HASH_A, HASH_C, "document 0 is not the same"},
        {NULL, HASH_C, HASH_A, "the prompts differ, first at document 0"},
        {NULL, HASH_C, HASH_C, NULL},
    };
    struct store *a = memory_store();
    double values[] = {1, 1};
    add_run(a, "r1", values, 2);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct store *b = changed_store(cases[i].change, cases[i].doc_hash, cases[i].prompt_hash);
        struct comparison *c = compare(a, "r1", b, "r2");
        const char *refusal = c->rows[0].refusal;
        if (cases[i].reason) {
            CU_ASSERT_PTR_NOT_NULL_FATAL(refusal);
            CU_ASSERT_PTR_NOT_NULL(strstr(refusal, cases[i].reason));
            CU_ASSERT_EQUAL(c->rows[0].n_pairs, 0);
        } else {
            CU_ASSERT_PTR_NULL(refusal);
        }
        comparison_free(c);
        store_free(b);
    }
    store_free(a);
}

/* ---- The gate ---- */

static struct gate_policy *policy_of(const char *json)
{
    struct status st = {0};
    struct gate_policy *policy;
    ASSERT_OK(gate_policy_parse(&policy, text_of(json), &st));
    return policy;
}

static struct gate_result *gate(const char *json, struct store *store, const char *a, const char *b)
{
    struct status st = {0};
    struct gate_result *result;
    struct gate_policy *policy = policy_of(json);
    ASSERT_OK(gate_run(&result, policy, store, a, store, b, &st));
    gate_policy_free(policy);
    return result;
}

static void check_gate(const char *json, struct store *store, const char *a, const char *b,
                       enum gate_verdict verdict)
{
    struct gate_result *result = gate(json, store, a, b);
    if (result->verdict != verdict)
        fprintf(stderr, "  %s: %s\n", gate_verdict_name(result->verdict),
                result->n_tests ? result->tests[0].reason : "no tests");
    CU_ASSERT_EQUAL(result->verdict, verdict);
    gate_result_free(result);
}

static void test_gate_verdicts(void)
{
    struct store *store = memory_store();
    double base[DOCS], values[DOCS];
    set_right(base, DOCS, DOCS);
    add_run(store, "base", base, DOCS);
    set_right(values, DOCS, DOCS - 5); /* a tenth of the right answers flipped */
    add_run(store, "worse", values, DOCS);
    set_right(values, DOCS, DOCS - 4);
    add_run(store, "unclear", values, DOCS);
    check_gate("{}", store, "base", "base", GATE_PASS);
    check_gate("{}", store, "base", "worse", GATE_REGRESSION);
    check_gate("{}", store, "base", "unclear", GATE_INCONCLUSIVE);
    check_gate("{}", store, "worse", "base", GATE_PASS); /* better is fine */
    check_gate("{\"margin\": 0.3}", store, "base", "worse", GATE_PASS);
    check_gate("{\"margin\": 0.12}", store, "base", "worse", GATE_INCONCLUSIVE);
    check_gate("{\"alpha\": 0.01}", store, "base", "worse", GATE_INCONCLUSIVE);
    check_gate("{\"tasks\": {\"quiz\": {\"margin\": 0.3}}}", store, "base", "worse", GATE_PASS);
    check_gate("{\"tasks\": {\"quiz\": {\"extraction\": \"flexible-extract\"}}}", store, "base",
               "worse", GATE_REGRESSION);
    check_gate("{\"tasks\": {\"quizz\": {}}}", store, "base", "base", GATE_INCOMPLETE);
    check_gate("{\"tasks\": {\"quiz\": {\"metric\": \"acc\"}}}", store, "base", "base",
               GATE_INCOMPLETE);
    struct gate_result *result = gate("{}", store, "unclear", "base");
    CU_ASSERT_FALSE(result->tests[0].alert); /* 0.08 higher: no great surprise */
    gate_result_free(result);
    set_right(values, DOCS, DOCS / 2);
    add_run(store, "half", values, DOCS);
    result = gate("{}", store, "half", "base");
    CU_ASSERT_EQUAL(result->verdict, GATE_PASS);
    CU_ASSERT_TRUE(result->tests[0].alert);
    gate_result_free(result);
    store_free(store);
}

/* Enough documents show that a drop stays within the margin, though some answers changed. */
static void test_gate_non_inferior(void)
{
    struct store *store = memory_store();
    static double base[2000], values[2000];
    set_right(base, 2000, 1000);
    set_right(values, 2000, 1000);
    add_run(store, "base", base, 2000);
    for (int i = 0; i < 6; i++) {
        values[i] = 0;
        values[1999 - i] = i < 5;
    }
    add_run(store, "close", values, 2000); /* 6 worse, 5 better */
    check_gate("{}", store, "base", "close", GATE_PASS);
    check_gate("{\"margin\": 0.002}", store, "base", "close", GATE_INCONCLUSIVE);
    store_free(store);
}

static void test_gate_coverage(void)
{
    struct status st = {0};
    struct store *store = memory_store();
    double values[DOCS];
    set_right(values, DOCS, DOCS);
    add_run(store, "base", values, DOCS);
    struct store_run run = fixture_run("part", GUARD_OFF);
    struct store_task task = fixture_task("quiz", 0);
    ASSERT_OK(fixture_add_run(store, &run, &task, DOCS, &st));
    ASSERT_OK(store_begin(store, &st));
    for (int64_t i = 0; i < 40; i++) ASSERT_OK(fixture_answer(store, "part", "quiz", i, 1, &st));
    ASSERT_OK(store_commit(store, &st));
    check_gate("{}", store, "base", "part", GATE_INCOMPLETE);
    check_gate("{\"coverage_floor\": 0.8}", store, "base", "part", GATE_PASS);
    store_free(store);
}

/* Adds a run of three tasks, each with `wrong` of 50 answers wrong. */
static void add_three_tasks(struct store *store, const char *id, int wrong)
{
    static const char *const names[] = {"one", "two", "three"};
    struct status st = {0};
    struct store_run run = fixture_run(id, GUARD_OFF);
    char run_id[STORE_RUN_ID_SIZE];
    ASSERT_OK(store_begin(store, &st));
    ASSERT_OK(store_create_run(store, &run, run_id, &st));
    for (int t = 0; t < 3; t++) {
        struct store_task task = fixture_task(names[t], t);
        ASSERT_OK(store_add_task(store, id, &task, &st));
        ASSERT_OK(fixture_add_samples(store, id, names[t], DOCS, &st));
        for (int64_t i = 0; i < DOCS; i++)
            ASSERT_OK(fixture_answer(store, id, names[t], i, i >= wrong, &st));
    }
    ASSERT_OK(store_commit(store, &st));
}

/* Drops too small to be shown one by one are shown together; Holm keeps the singles honest. */
static void test_gate_many_tasks(void)
{
    struct store *store = memory_store();
    add_three_tasks(store, "base", 0);
    add_three_tasks(store, "worse", 5);
    add_three_tasks(store, "slight", 1);
    check_gate("{}", store, "base", "base", GATE_PASS);
    check_gate("{}", store, "base", "slight", GATE_INCONCLUSIVE);
    struct gate_result *result = gate("{}", store, "base", "worse");
    CU_ASSERT_EQUAL(result->verdict, GATE_REGRESSION);
    CU_ASSERT_EQUAL(result->n_tests, 3);
    CU_ASSERT_TRUE(result->has_overall);
    CU_ASSERT_EQUAL(result->overall.verdict, GATE_REGRESSION);
    CU_ASSERT_EQUAL(result->tests[0].verdict, GATE_INCONCLUSIVE);
    CU_ASSERT_TRUE(fabs(result->tests[0].p_adjusted - 3 * 0.03125) < 1e-9);
    gate_result_free(result);
    result = gate("{}", store, "base", "base");
    CU_ASSERT_FALSE(result->has_overall);
    gate_result_free(result);
    store_free(store);
}

/* Numbers between 0 and 1, where lower is better. */
static void test_gate_means(void)
{
    struct status st = {0};
    struct store *store = memory_store();
    static const char *const ids[] = {"base", "worse"};
    for (int r = 0; r < 2; r++) {
        struct store_run run = fixture_run(ids[r], GUARD_OFF);
        struct store_task task = fixture_task("tox", 0);
        const struct store_metric metrics[] = {
            {.metric = "toxicity", .higher_is_better = false},
            {.metric = "share", .no_direction = true},
        };
        task.metrics = metrics;
        task.n_metrics = 2;
        ASSERT_OK(fixture_add_run(store, &run, &task, DOCS, &st));
        ASSERT_OK(store_begin(store, &st));
        for (int64_t i = 0; i < DOCS; i++) {
            struct store_key key = {ids[r], "tox", i, 0};
            struct store_sample sample = {.state = SAMPLE_DONE, .doc_hash = HASH_C};
            struct store_verdict verdict = {.metric = "toxicity", .outcome = OUTCOME_CORRECT};
            verdict.value = 0.01 * (double)(i % 7) + (r ? 0.05 + 0.001 * (double)(i % 3) : 0);
            ASSERT_OK(store_put_sample(store, &key, &sample, &st));
            ASSERT_OK(store_put_verdict(store, &key, &verdict, &st));
            verdict.metric = "share";
            ASSERT_OK(store_put_verdict(store, &key, &verdict, &st));
        }
        ASSERT_OK(store_commit(store, &st));
    }
    check_gate("{}", store, "base", "base", GATE_PASS);
    check_gate("{}", store, "base", "worse", GATE_REGRESSION);
    check_gate("{}", store, "worse", "base", GATE_PASS);
    check_gate("{\"margin\": 0.1}", store, "base", "worse", GATE_PASS);
    /* What is neither better nor worse cannot be tested, and a policy that asks for it is told. */
    check_gate("{\"tasks\": {\"tox\": {\"metric\": \"share\"}}}", store, "base", "worse",
               GATE_INCOMPLETE);
    store_free(store);
}

static void test_junit(void)
{
    struct store *store = memory_store();
    struct strbuf out;
    double values[DOCS];
    strbuf_init(&out, LIMIT_REPORT_BYTES);
    set_right(values, DOCS, DOCS);
    add_run(store, "base", values, DOCS);
    set_right(values, DOCS, DOCS - 5);
    add_run(store, "worse", values, DOCS);
    struct gate_result *result =
        gate("{\"tasks\": {\"<&\\\"\\u0001\": {}}}", store, "base", "worse");
    report_gate_junit(result, &out);
    CU_ASSERT_TRUE(holds(&out, "tests=\"2\" failures=\"1\" errors=\"1\" skipped=\"0\""));
    CU_ASSERT_TRUE(holds(&out, "name=\"quiz exact_match,strict-match\""));
    CU_ASSERT_TRUE(holds(&out, "<failure type=\"regression\" message=\"dropped by 0.1000 (5 worse, "
                               "0 better of 50)"));
    CU_ASSERT_TRUE(holds(&out, "name=\"&lt;&amp;&quot;\u2401\""));
    CU_ASSERT_TRUE(holds(&out, "<error type=\"incomplete\""));
    strbuf_clear(&out);
    report_gate_text(result, &out);
    CU_ASSERT_TRUE(holds(&out, "regression"));
    strbuf_clear(&out);
    report_gate_markdown(result, &out);
    CU_ASSERT_TRUE(holds(&out, "| regression | quiz |"));
    strbuf_clear(&out);
    report_gate_json(result, &out);
    struct json_value *root;
    struct status st = {0};
    ASSERT_OK(json_parse(&root, (struct text){out.data, out.length}, &st));
    CU_ASSERT_TRUE(text_equal(json_text(json_member(root, "verdict")), text_of("regression")));
    json_free(root);
    strbuf_release(&out);
    gate_result_free(result);
    store_free(store);
}

static void test_policy_errors(void)
{
    static const struct {
        const char *json, *message;
    } cases[] = {
        {"[]", "expected an object"},
        {"{\"margn\": 1}", "unknown field \"margn\""},
        {"{\"margin\": \"1\"}", "margin"},
        {"{\"margin\": -1}", "\"margin\" is -1; it must be at least 0"},
        {"{\"alpha\": 0}", "\"alpha\" is 0; it must be above 0"},
        {"{\"alpha\": 0.5}", "\"alpha\" is 0.5"},
        {"{\"coverage_floor\": 1.1}", "coverage_floor"},
        {"{\"column\": \"on\"}", "\"column\" is \"on\""},
        {"{\"tasks\": []}", "tasks"},
        {"{\"tasks\": {\"gsm8k\": 1}}", "\"tasks\": \"gsm8k\": expected an object"},
        {"{\"tasks\": {\"gsm8k\": {\"shots\": 1}}}", "\"gsm8k\": unknown field \"shots\""},
        {"{\"margin\": 0.1, \"margin\": 0.2}", "margin"},
        {"{\"margin\": 0.1", "line 1"},
    };
    struct status st = {0};
    struct gate_policy *policy;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        status_code code = gate_policy_parse(&policy, text_of(cases[i].json), &st);
        if (code == STATUS_OK || !strstr(st.message, cases[i].message))
            fprintf(stderr, "  %s: %s\n", cases[i].json, st.message);
        CU_ASSERT_NOT_EQUAL(code, STATUS_OK);
        CU_ASSERT_PTR_NOT_NULL(strstr(st.message, cases[i].message));
        CU_ASSERT_PTR_NULL(policy);
    }
    const char *path = PUT("gate.json", "{\"alpha\": 2}");
    ASSERT_FAILS(gate_policy_load(&policy, path, &st), STATUS_BAD_INPUT, "gate.json: \"alpha\"");
    ASSERT_OK(gate_policy_load(&policy, NULL, &st));
    gate_policy_free(policy);
    ASSERT_OK(gate_policy_parse(
        &policy,
        text_of(
            "{\"margin\": 0.01, \"alpha\": 0.05, \"coverage_floor\": 1, \"column\": \"enforce\","
            "\"alert_improvement\": 0.2, \"tasks\": {\"gsm8k\": {\"margin\": 0.02,"
            "\"metric\": \"exact_match\", \"extraction\": \"strict-match\"}}}"),
        &st));
    gate_policy_free(policy);
    gate_policy_free(NULL);
}

static const struct test_case tests[] = {
    {"pairs are counted", test_pairs},
    {"different questions are refused", test_refusals},
    {"pass, regression, inconclusive", test_gate_verdicts},
    {"a drop within the margin", test_gate_non_inferior},
    {"too little coverage", test_gate_coverage},
    {"many tasks", test_gate_many_tasks},
    {"means, lower is better", test_gate_means},
    {"JUnit and the other formats", test_junit},
    {"policy errors", test_policy_errors},
};
SUITE("gate", tests)
