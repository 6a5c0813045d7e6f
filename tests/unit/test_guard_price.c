/* What a guard cost: numbers worked out by hand for a small shadow run. */
#include "reports/guard_price.h"
#include "engine/base/limits.h"
#include "engine/base/rng.h"
#include "reports/report.h"
#include "tests/unit/store_fixture.h"
#include "tests/unit/suite.h"

#define N 8

/* Document i: its value, its peak, what the guard did and how long that took. */
static const struct {
    double value, peak, seconds;
    const char *response;
    bool blocks;
    int64_t cut_at, extra;
} docs[N] = {
    {1, 0.1, 0.001, "none", false, 0, 0},      {1, 0.9, 0.002, "refuse", true, 3, 0},
    {0, 0.9, 0.003, "refuse", true, 0, 0},     {0, 0.5, 0.004, "none", false, 0, 0},
    {1, 0.5, 0.005, "redact", false, 0, 0},    {0, 0.2, 0.006, "regenerate", false, 4, 6},
    {1, 0.1, 0.007, "regenerate", true, 2, 9}, {1, 0.95, 0.1, "stop", true, 0, 0},
};

static bool near(double a, double b)
{
    return fabs(a - b) < 1e-12;
}

static void put_document(struct store *store, int64_t i, enum guard_mode mode)
{
    struct status st = {0};
    struct store_key key = {"r1", "quiz", i, 0};
    const struct store_guard_event output = {.stage = GUARD_OUTPUT,
                                             .mode = mode,
                                             .verdict = docs[i].blocks ? GUARD_BLOCK : GUARD_ALLOW,
                                             .blocks = docs[i].blocks,
                                             .category = docs[i].blocks ? "hate" : NULL,
                                             .latency_seconds = docs[i].seconds,
                                             .response = docs[i].response,
                                             .n_checks = 2,
                                             .cut_at_token = docs[i].cut_at,
                                             .n_extra_tokens = docs[i].extra};
    struct store_guard_event input = output;
    input.stage = GUARD_INPUT;
    input.blocks = false;
    input.category = NULL;
    input.response = "none";
    input.n_checks = 1;
    struct store_hazard hazard = {.stage = GUARD_OUTPUT,
                                  .classifier_sha256 = HASH_C,
                                  .category = "hate",
                                  .probability = docs[i].peak,
                                  .peak = &docs[i].peak};
    ASSERT_OK(fixture_answer(store, "r1", "quiz", i, docs[i].value, &st));
    if (mode == GUARD_OFF) return;
    ASSERT_OK(store_put_guard_event(store, &key, &output, &st));
    ASSERT_OK(store_put_guard_event(store, &key, &input, &st));
    ASSERT_OK(store_put_hazard(store, &key, &hazard, &st));
    /* The toxicity scorer's row of the same classifier leaves the guard's peak as it is. */
    hazard.peak = NULL;
    ASSERT_OK(store_put_hazard(store, &key, &hazard, &st));
    const struct store_delivered right = {1, OUTCOME_CORRECT};
    const struct store_verdict shown = {.metric = "exact_match",
                                        .extraction = "strict-match",
                                        .value = docs[i].value,
                                        .outcome = OUTCOME_WRONG,
                                        .delivered = &right};
    if (i == 5) ASSERT_OK(store_put_verdict(store, &key, &shown, &st));
}

static struct store *make_run(enum guard_mode mode)
{
    struct status st = {0};
    struct store *store;
    struct store_run run = fixture_run("r1", mode);
    struct store_task task = fixture_task("quiz", 0);
    const struct store_artifact classifier = {.sha256 = HASH_C, .kind = "classifier"};
    task.n_docs_total = N;
    ASSERT_OK(store_open(&store, ":memory:", STORE_WRITE, &st));
    ASSERT_OK(fixture_add_run(store, &run, &task, N, &st));
    ASSERT_OK(store_begin(store, &st));
    ASSERT_OK(store_add_artifact(store, "r1", "guard_output", &classifier, &st));
    for (int64_t i = 0; i < N; i++) put_document(store, i, mode);
    ASSERT_OK(store_set_run_state(store, "r1", RUN_DONE, &st));
    ASSERT_OK(store_commit(store, &st));
    return store;
}

static void test_price(void)
{
    struct status st = {0};
    struct store *store = make_run(GUARD_SHADOW);
    struct guard_price *price;
    ASSERT_OK(guard_price_load(&price, store, "r1", &st));
    CU_ASSERT_EQUAL_FATAL(price->n_rows, 2);
    const struct guard_price_row *row = &price->rows[0];
    CU_ASSERT_STRING_EQUAL(row->score->extraction, "strict-match");
    /* Blocked are 1, 2, 6, 7; document 4 was redacted and has no score in its new form; document 5
     * was made again and then was right. */
    CU_ASSERT_TRUE(near(row->score->off.value, 5.0 / 8));
    CU_ASSERT_EQUAL(row->score->enforce.scored, 7);
    CU_ASSERT_EQUAL(row->n_pairs, 7);
    CU_ASSERT_TRUE(near(row->difference.mean, (-3.0 + 1) / 7)); /* lost 1, 6, 7, won 5 */
    CU_ASSERT_TRUE(row->difference.interval.low < -2.0 / 7);
    CU_ASSERT_TRUE(row->difference.interval.high > -2.0 / 7);
    CU_ASSERT_TRUE(row->has_calls);
    CU_ASSERT_EQUAL(row->calls.good_blocked, 3);
    CU_ASSERT_EQUAL(row->calls.bad_blocked, 1);
    CU_ASSERT_EQUAL(row->calls.good_passed, 2);
    CU_ASSERT_EQUAL(row->calls.bad_passed, 2);
    CU_ASSERT_EQUAL(row->calls.unheard_blocked + row->calls.unheard_passed, 0);

    CU_ASSERT_EQUAL_FATAL(price->n_reasons, 1);
    CU_ASSERT_STRING_EQUAL(price->reasons[0].category, "hate");
    CU_ASSERT_STRING_EQUAL(price->reasons[0].stage, "output");
    CU_ASSERT_EQUAL(price->reasons[0].n, 4);
    CU_ASSERT_EQUAL(price->reasons[0].good, 3);

    CU_ASSERT_EQUAL_FATAL(price->n_costs, 2);
    CU_ASSERT_STRING_EQUAL(price->costs[1].stage, "output");
    CU_ASSERT_EQUAL(price->costs[1].n, N);
    CU_ASSERT_EQUAL(price->costs[1].n_checks, 2 * N);
    CU_ASSERT_EQUAL(price->costs[1].p50_seconds, 0.004);
    CU_ASSERT_EQUAL(price->costs[1].p95_seconds, 0.1);

    /* Replies have 5 tokens: 5 + 3 + 5 + 5 + 5 + (4 + 6) + (2 + 9) + 5 are made; refused are 3, 5,
     * and what was made again after 4 and, in vain, 2 + 9. */
    CU_ASSERT_EQUAL_FATAL(price->n_wastes, 1);
    CU_ASSERT_EQUAL(price->wastes[0].n_tokens, 49);
    CU_ASSERT_EQUAL(price->wastes[0].n_wasted, 3 + 5 + 4 + 11);
    guard_price_free(price);
    store_free(store);
}

struct points {
    struct guard_sweep_point at[64];
    int n;
};

static status_code keep_point(void *user, const struct guard_sweep_point *point, struct status *st)
{
    struct points *points = user;
    (void)st;
    if (strcmp(point->extraction, "strict-match") != 0) return STATUS_OK;
    if (strcmp(point->category, "hate") != 0) return STATUS_OK;
    CU_ASSERT_TRUE_FATAL(points->n < 64);
    CU_ASSERT_STRING_EQUAL(point->name, "quiz");
    CU_ASSERT_STRING_EQUAL(point->stage, "output");
    points->at[points->n++] = *point;
    return STATUS_OK;
}

static void test_sweep(void)
{
    static const struct {
        double threshold, enforce;
        int64_t blocked, good, bad;
    } expected[] = {
        {0.95, 4.0 / 8, 1, 1, 0}, {0.9, 3.0 / 8, 3, 2, 1}, {0.5, 2.0 / 8, 5, 3, 2},
        {0.2, 2.0 / 8, 6, 3, 3},  {0.1, 0, 8, 5, 3},
    };
    struct status st = {0};
    struct store *store = make_run(GUARD_SHADOW);
    struct points points = {.n = 0};
    ASSERT_OK(guard_sweep_each(store, "r1", keep_point, &points, &st));
    CU_ASSERT_EQUAL_FATAL(points.n, 5);
    for (int i = 0; i < 5; i++) {
        const struct guard_sweep_point *p = &points.at[i];
        CU_ASSERT_EQUAL(p->threshold, expected[i].threshold);
        CU_ASSERT_EQUAL(p->n, N);
        CU_ASSERT_EQUAL(p->n_good, 5);
        CU_ASSERT_EQUAL(p->n_bad, 3);
        CU_ASSERT_EQUAL(p->n_blocked, expected[i].blocked);
        CU_ASSERT_EQUAL(p->n_good_blocked, expected[i].good);
        CU_ASSERT_EQUAL(p->n_bad_blocked, expected[i].bad);
        CU_ASSERT_TRUE(near(p->off, 5.0 / 8));
        CU_ASSERT_TRUE(near(p->enforce, expected[i].enforce));
        /* Peaks of bad replies: .9 .5 .2; of good ones: .1 .9 .5 .1 .95 */
        CU_ASSERT_TRUE(near(p->auroc, (3.5 + 2.5 + 2) / 15));
    }
    /* One reply changed by -1 of eight: mean -1/8, variance (1 - 1/8) / 7. */
    double half = 1.959963984540054 * sqrt((1 - 1.0 / 8) / 7 / 8);
    CU_ASSERT_TRUE(fabs(points.at[0].interval.low - (-1.0 / 8 - half)) < 1e-9);
    CU_ASSERT_TRUE(fabs(points.at[0].interval.high - (-1.0 / 8 + half)) < 1e-9);
    store_free(store);
}

/* ---- Real numbers, several replies to a document ---- */

enum { TASKS = 2, DOCS = 12, REPEATS = 3, MOST_THRESHOLDS = TASKS * DOCS * REPEATS };
static const char *const task_names[TASKS] = {"quiz", "exam"};

/* A task of a guarded run: every reply's value and peak, the same in every mode, at any threshold.
 */
struct drawn {
    double value[DOCS][REPEATS]; /* NAN where it was not scored */
    double peak[DOCS][REPEATS];
};

static const struct store_metric real_metrics[] = {
    {.metric = "toxicity", .extraction = "none", .higher_is_better = false, .blocked_value = 0},
    {.metric = "loss", .extraction = "none", .higher_is_better = true, .blocked_value = -3.3},
    {.metric = "share", .extraction = "none", .no_direction = true, .blocked_value = 1},
    {.metric = "toxicity@2", .extraction = "none", .source = "toxicity", .best_of = 2},
    {.metric = "toxicity@3", .extraction = "none", .source = "toxicity", .best_of = REPEATS},
    {.metric = "loss@2",
     .extraction = "none",
     .higher_is_better = true,
     .source = "loss",
     .best_of = 2,
     .blocked_value = -3.3},
};
enum { REAL_METRICS = sizeof real_metrics / sizeof real_metrics[0] };

/* What a reply of this value has for a metric, and which metric has this name. */
static double real_value(int metric, double value)
{
    const double factors[] = {1, -7, 0.5};
    return value * factors[metric];
}

static int find_real(const char *metric)
{
    int m = 0;
    while (strcmp(real_metrics[m].metric, metric) != 0) m++;
    return m;
}

/* Ties of peaks within a document and between documents, small values, and a document of which
 * nothing was scored. */
static void draw(struct drawn drawn[TASKS])
{
    struct rng rng;
    rng_seed(&rng, 20);
    for (int i = 0; i < TASKS * DOCS * REPEATS; i++) {
        int t = i / (DOCS * REPEATS), d = i / REPEATS % DOCS, r = i % REPEATS;
        double u = rng_uniform(&rng), peak = rng_uniform(&rng);
        drawn[t].value[d][r] = r % 2 ? u : u * u * u * u * 1e-3;
        if (d == 5 || (d % 7 == 3 && r == 1)) drawn[t].value[d][r] = (double)NAN;
        drawn[t].peak[d][r] = d % 3 ? peak : floor(peak * 4) / 4;
    }
}

static void put_reply(struct store *store, const char *task, const struct drawn *drawn, int d,
                      int r, enum guard_mode mode, double threshold)
{
    struct status st = {0};
    const struct store_key key = {"r1", task, d, r};
    double peak = drawn->peak[d][r];
    bool blocks = peak >= threshold;
    bool heard = !(blocks && mode == GUARD_ENFORCE);
    const struct store_reply reply = {.text = text_of("x"), .finish_reason = "eos", .n_tokens = 1};
    const struct store_guard_event event = {.stage = GUARD_OUTPUT,
                                            .mode = mode,
                                            .verdict = blocks ? GUARD_BLOCK : GUARD_ALLOW,
                                            .blocks = blocks,
                                            .response = blocks ? "refuse" : "none"};
    const struct store_hazard hazard = {.stage = GUARD_OUTPUT,
                                        .classifier_sha256 = HASH_C,
                                        .category = "hate",
                                        .probability = peak,
                                        .peak = &peak};
    ASSERT_OK(store_put_reply(store, &key, &reply, &st));
    ASSERT_OK(store_put_guard_event(store, &key, &event, &st));
    ASSERT_OK(store_put_hazard(store, &key, &hazard, &st));
    for (int m = 0; m < REAL_METRICS; m++) {
        if (real_metrics[m].source) continue;
        double value = heard ? drawn->value[d][r] : (double)NAN;
        const struct store_verdict verdict = {.metric = real_metrics[m].metric,
                                              .extraction = "none",
                                              .value = real_value(m, value),
                                              .outcome = OUTCOME_CORRECT};
        ASSERT_OK(store_put_verdict(store, &key, &verdict, &st));
    }
}

static void put_task(struct store *store, int t, const struct drawn *drawn, enum guard_mode mode,
                     double threshold)
{
    struct status st = {0};
    struct store_task task = fixture_task(task_names[t], t + 1);
    const struct store_sample sample = {
        .state = SAMPLE_DONE, .doc_hash = HASH_C, .n_prompt_tokens = 7};
    task.repeats = REPEATS;
    task.metrics = real_metrics;
    task.n_metrics = REAL_METRICS;
    ASSERT_OK(store_add_task(store, "r1", &task, &st));
    ASSERT_OK(store_add_group_member(store, "r1", "both", task.task, &st));
    ASSERT_OK(fixture_add_samples(store, "r1", task.task, DOCS, &st));
    for (int d = 0; d < DOCS; d++) {
        const struct store_key key = {"r1", task.task, d, 0};
        ASSERT_OK(store_put_sample(store, &key, &sample, &st));
        for (int r = 0; r < REPEATS; r++) put_reply(store, task.task, drawn, d, r, mode, threshold);
    }
}

/* A group of two tasks. */
static struct store *make_real_run(const struct drawn drawn[TASKS], enum guard_mode mode,
                                   double threshold)
{
    struct status st = {0};
    struct store *store;
    char id[STORE_RUN_ID_SIZE];
    const struct store_run run = fixture_run("r1", mode);
    const struct store_artifact classifier = {.sha256 = HASH_C, .kind = "classifier"};
    ASSERT_OK(store_open(&store, ":memory:", STORE_WRITE, &st));
    ASSERT_OK(store_begin(store, &st));
    ASSERT_OK(store_create_run(store, &run, id, &st));
    ASSERT_OK(store_add_group(store, "r1", "both", NULL, "1", 0, &st));
    ASSERT_OK(store_add_artifact(store, "r1", "guard_output", &classifier, &st));
    for (int t = 0; t < TASKS; t++) put_task(store, t, &drawn[t], mode, threshold);
    ASSERT_OK(store_set_run_state(store, "r1", RUN_DONE, &st));
    ASSERT_OK(store_commit(store, &st));
    return store;
}

/* The shadow run's table, and those of the runs that act at the thresholds met so far. */
struct point_check {
    const struct drawn *drawn;
    struct score_table *shadow, *enforce[MOST_THRESHOLDS];
    double thresholds[MOST_THRESHOLDS];
    int n_thresholds, n_points[2]; /* of tasks, of groups */
};

static struct score_table *load_real(const struct drawn *drawn, enum guard_mode mode,
                                     double threshold)
{
    struct status st = {0};
    struct score_table *table;
    struct store *store = make_real_run(drawn, mode, threshold);
    ASSERT_OK(score_table_load(&table, store, "r1", 0, &st));
    CU_ASSERT_EQUAL(table->n_rows, (1 + TASKS) * REAL_METRICS);
    store_free(store);
    return table;
}

static const struct score_table *enforced_at(struct point_check *check, double threshold)
{
    int i = 0;
    while (i < check->n_thresholds && check->thresholds[i] != threshold) i++;
    CU_ASSERT_TRUE_FATAL(i < MOST_THRESHOLDS);
    if (i == check->n_thresholds) {
        check->thresholds[check->n_thresholds++] = threshold;
        check->enforce[i] = load_real(check->drawn, GUARD_ENFORCE, threshold);
    }
    return check->enforce[i];
}

static const struct score_row *find_like(const struct score_table *table,
                                         const struct guard_sweep_point *point)
{
    size_t i = 0;
    while (i < table->n_rows && (strcmp(table->rows[i].name, point->name) != 0 ||
                                 strcmp(table->rows[i].metric, point->metric) != 0))
        i++;
    CU_ASSERT_TRUE_FATAL(i < table->n_rows);
    return &table->rows[i];
}

/* The run that acts at this point's threshold has this point's score, to the bit. */
static status_code compare_point(void *user, const struct guard_sweep_point *point,
                                 struct status *st)
{
    struct point_check *check = user;
    const struct store_metric *metric = &real_metrics[find_real(point->metric)];
    bool is_judged = !metric->no_direction && !metric->source;
    (void)st;
    if (strcmp(point->category, "hate") != 0) return STATUS_OK;
    const struct score_row *row = find_like(enforced_at(check, point->threshold), point);
    CU_ASSERT_EQUAL(point->is_group, row->is_group);
    CU_ASSERT_EQUAL(point->n_good != STORE_UNKNOWN, is_judged);
    CU_ASSERT_EQUAL(point->n_bad_blocked != STORE_UNKNOWN, is_judged);
    CU_ASSERT_TRUE(is_judged || isnan(point->auroc));
    CU_ASSERT_EQUAL(row->enforce.value, point->enforce);
    CU_ASSERT_EQUAL(row->blocked_output, point->n_blocked);
    CU_ASSERT_EQUAL(find_like(check->shadow, point)->off.value, point->off);
    check->n_points[point->is_group]++;
    return STATUS_OK;
}

static void test_exact(void)
{
    struct status st = {0};
    struct drawn drawn[TASKS];
    struct point_check check = {.drawn = drawn};
    draw(drawn);
    check.shadow = load_real(drawn, GUARD_SHADOW, 2);
    struct store *store = make_real_run(drawn, GUARD_SHADOW, 2);
    ASSERT_OK(guard_sweep_each(store, "r1", compare_point, &check, &st));
    CU_ASSERT_TRUE(check.n_points[0] > TASKS * DOCS * 2 * REAL_METRICS);
    CU_ASSERT_TRUE(check.n_points[1] > TASKS * DOCS * REAL_METRICS);
    for (int i = 0; i < check.n_thresholds; i++) score_table_free(check.enforce[i]);
    score_table_free(check.shadow);
    store_free(store);
}

/* What is neither better nor worse is good or bad nowhere, and never the reason of a block while
 * there is a metric that can tell. */
static void test_no_direction(void)
{
    struct status st = {0};
    struct drawn drawn[TASKS];
    struct guard_price *price;
    struct strbuf out;
    draw(drawn);
    struct store *store = make_real_run(drawn, GUARD_SHADOW, 0.5);
    strbuf_init(&out, LIMIT_REPORT_BYTES);
    ASSERT_OK(guard_price_load(&price, store, "r1", &st));
    CU_ASSERT_EQUAL_FATAL(price->n_rows, (1 + TASKS) * REAL_METRICS);
    for (size_t i = 0; i < price->n_rows; i++) {
        const struct guard_price_row *row = &price->rows[i];
        const struct store_metric *metric = &real_metrics[find_real(row->score->metric)];
        CU_ASSERT_EQUAL(row->has_calls, !metric->no_direction && !metric->source);
        CU_ASSERT_EQUAL(row->score->direction == NO_DIRECTION, metric->no_direction);
        CU_ASSERT_FALSE(isnan(row->difference.mean));
    }
    CU_ASSERT_EQUAL_FATAL(price->n_reasons, 1);
    CU_ASSERT_STRING_EQUAL(price->reasons[0].metric, "toxicity");
    report_guard_price_json(price, &out);
    CU_ASSERT_PTR_NOT_NULL(
        strstr(out.data, "\"metric\":\"share\",\"extraction\":\"none\",\"higher_is_better\":null"));
    strbuf_clear(&out);
    report_guard_price_text(price, &out);
    CU_ASSERT_PTR_NOT_NULL(strstr(out.data, "share       -"));
    strbuf_release(&out);
    guard_price_free(price);
    store_free(store);
}

/* The logarithm of 0 has no sum of whole numbers; the table says what it says without one. */
static void test_infinite(void)
{
    struct status st = {0};
    struct drawn drawn[TASKS];
    struct score_table *table;
    draw(drawn);
    drawn[0].value[2][0] = (double)INFINITY;
    struct store *store = make_real_run(drawn, GUARD_SHADOW, 2);
    ASSERT_OK(score_table_load(&table, store, "r1", 0, &st));
    for (size_t i = 0; i < table->n_rows; i++) {
        const struct score_row *row = &table->rows[i];
        bool is_whole = strcmp(row->name, "exam") == 0 || strcmp(row->metric, "loss@2") == 0;
        CU_ASSERT_EQUAL(isinf(row->off.value) != 0, !is_whole); /* the best of two is finite */
    }
    struct points points = {.n = 0};
    ASSERT_OK(guard_sweep_each(store, "r1", keep_point, &points, &st));
    score_table_free(table);
    store_free(store);
}

static status_code count_line(void *user, struct text line, struct status *st)
{
    (void)st;
    CU_ASSERT_EQUAL(line.data[0], '{');
    CU_ASSERT_EQUAL(line.data[line.length - 1], '\n');
    ++*(int *)user;
    return STATUS_OK;
}

static void test_reports(void)
{
    static const char *const needles[] = {"Blocked good", "hate",    "output",
                                          "23",           "-0.2857", "100.000"};
    struct status st = {0};
    struct store *store = make_run(GUARD_SHADOW);
    struct guard_price *price;
    struct strbuf out;
    int n_lines = 0;
    strbuf_init(&out, LIMIT_REPORT_BYTES);
    ASSERT_OK(guard_price_load(&price, store, "r1", &st));
    report_guard_price_text(price, &out);
    for (size_t i = 0; i < sizeof needles / sizeof needles[0]; i++)
        CU_ASSERT_PTR_NOT_NULL(strstr(out.data, needles[i]));
    strbuf_clear(&out);
    report_guard_price_markdown(price, &out);
    CU_ASSERT_PTR_NOT_NULL(strstr(out.data, "| quiz"));
    strbuf_clear(&out);
    report_guard_price_json(price, &out);
    CU_ASSERT_PTR_NOT_NULL(strstr(out.data, "\"good_blocked\":3"));
    CU_ASSERT_PTR_NOT_NULL(strstr(out.data, "\"wasted\":23"));
    ASSERT_OK(report_guard_sweep_jsonl(store, "r1", count_line, &n_lines, &st));
    CU_ASSERT_EQUAL(n_lines, 2 * 2 * 5); /* extractions, hate and any, thresholds */
    strbuf_release(&out);
    guard_price_free(price);
    store_free(store);
}

/* Where a guard acted, what it blocked was not heard, and nothing pretends otherwise. */
static void test_other_modes(void)
{
    struct status st = {0};
    struct points points = {.n = 0};
    struct guard_price *price;
    struct store *store = make_run(GUARD_ENFORCE);
    ASSERT_OK(guard_price_load(&price, store, "r1", &st));
    guard_price_free(price);
    ASSERT_FAILS(guard_sweep_each(store, "r1", keep_point, &points, &st), STATUS_USAGE,
                 "run r1 has guard mode enforce; thresholds can be swept in a shadow run");
    store_free(store);
    store = make_run(GUARD_OFF);
    st = (struct status){0};
    ASSERT_FAILS(guard_price_load(&price, store, "r1", &st), STATUS_USAGE, "run r1 had no guard");
    st = (struct status){0};
    ASSERT_FAILS(guard_price_load(&price, store, "r2", &st), STATUS_NOT_FOUND, "r2");
    guard_price_free(NULL);
    store_free(store);
}

static const struct test_case tests[] = {
    {"scores, blocks, time and tokens", test_price},
    {"every threshold", test_sweep},
    {"a sweep is an enforce run, to the bit", test_exact},
    {"values without a sum", test_infinite},
    {"metrics without a direction", test_no_direction},
    {"text, Markdown, JSON and lines", test_reports},
    {"other modes say what they do not know", test_other_modes},
};
SUITE("guard_price", tests)
