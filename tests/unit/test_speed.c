/* Made-up models and the measuring of speed. */
#include "benchmarks/speed.h"
#include "benchmarks/speed_report.h"
#include "benchmarks/synthetic_model.h"
#include "engine/base/json.h"
#include "engine/base/limits.h"
#include "tests/unit/suite.h"

static struct engine *open_synthetic(struct synthetic_model **made,
                                     const struct synthetic_options *options)
{
    struct status st = {0};
    struct engine *engine;
    ASSERT_OK(synthetic_model_create(made, options, &st));
    const struct engine_options engine_options = {.model_path = synthetic_model_path(*made),
                                                  .n_threads = 2};
    ASSERT_OK(engine_open(&engine, &engine_options, &st));
    return engine;
}

static void keep_sum(void *user, int position, const float *logits)
{
    double *sum = user;
    (void)position;
    for (int i = 0; i < 1024; i++)
        sum[0] += (double)logits[i], sum[1] += (double)logits[i] * (double)logits[i];
}

/* Activations neither vanish nor grow, and the same options make the same model. */
static void test_values(void)
{
    static const char *const types[] = {"f32", "bf16", "Q8_0", "q4_0", "q4_k", "q6_k"};
    static const int32_t tokens[] = {5, 900, 17, 3, 3, 1023};
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        double sums[2][2] = {{0}};
        for (int k = 0; k < 2; k++) {
            struct status st = {0};
            struct synthetic_model *made;
            struct session *session;
            struct engine *engine = open_synthetic(
                &made, &(struct synthetic_options){.shape = "tiny", .weights = types[i]});
            CU_ASSERT_EQUAL(engine_get_info(engine)->n_layers, 2);
            CU_ASSERT_EQUAL(engine_get_info(engine)->n_vocab, 1024);
            ASSERT_OK(session_create(&session, engine, 16, &st));
            ASSERT_OK(session_eval(session, tokens, 6, 5, keep_sum, sums[k], &st));
            session_free(session);
            engine_free(engine);
            synthetic_model_free(made);
        }
        CU_ASSERT_EQUAL(sums[0][0], sums[1][0]);
        CU_ASSERT_TRUE(sums[0][1] > 1024 * 0.01 && sums[0][1] < 1024 * 100.0);
    }
}

static void test_shapes(void)
{
    static const struct {
        const char *shape, *architecture;
        uint64_t layer_parameters; /* of one layer */
    } rows[] = {
        {"mistral-7b", "llama", 218103808},
        {"phi-2", "phi2", 78643200},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct synthetic_model *made;
        struct engine *engine = open_synthetic(
            &made,
            &(struct synthetic_options){.shape = rows[i].shape, .weights = "q4_0", .n_layers = 1});
        const struct engine_info *info = engine_get_info(engine);
        CU_ASSERT_STRING_EQUAL(info->architecture, rows[i].architecture);
        CU_ASSERT_EQUAL(info->layer_parameters, rows[i].layer_parameters);
        engine_free(engine);
        synthetic_model_free(made);
    }
}

static void test_measure(void)
{
    struct status st = {0};
    struct synthetic_model *made;
    struct speed_result result;
    const struct speed_options options = {.prefill = {2, {24, 8}},
                                          .decode_tokens = 3,
                                          .batches = {2, {1, 5}},
                                          .contexts = {1, {9}},
                                          .repetitions = 2};
    struct engine *engine =
        open_synthetic(&made, &(struct synthetic_options){.shape = "tiny", .weights = "q8_0"});
    ASSERT_OK(speed_measure(engine, &options, &result, &st));
    CU_ASSERT_EQUAL_FATAL(result.n_rows, 4);
    for (int i = 0; i < result.n_rows; i++) {
        const struct speed_row *row = &result.rows[i];
        CU_ASSERT_TRUE(row->slowest > 0 && row->slowest <= row->tokens_per_second &&
                       row->tokens_per_second <= row->fastest);
        CU_ASSERT_TRUE(row->fraction > 0);
    }
    CU_ASSERT_EQUAL(result.rows[2].bound, SPEED_BY_BANDWIDTH);
    CU_ASSERT_EQUAL(result.rows[3].bound, SPEED_BY_ARITHMETIC);
    CU_ASSERT_EQUAL(result.rows[3].batch, 5);
    struct strbuf out;
    struct json_value *root;
    strbuf_init(&out, LIMIT_REPORT_BYTES);
    const struct speed_subject subject = {engine_get_info(engine), synthetic_model_title(made)};
    speed_append_json(&out, &subject, &result, NULL);
    ASSERT_OK(json_parse(&root, (struct text){out.data, out.length}, &st));
    CU_ASSERT_EQUAL(json_count(json_member(root, "rows")), 4);
    CU_ASSERT_EQUAL(json_number(json_member(root, "prefill_tokens_per_second")),
                    result.rows[0].tokens_per_second);
    json_free(root);
    strbuf_release(&out);
    const struct speed_options too_long = {.prefill = {1, {8193}}, .repetitions = 1};
    ASSERT_FAILS(speed_measure(engine, &too_long, &result, &st), STATUS_LIMIT, "8193");
    engine_free(engine);
    synthetic_model_free(made);
}

static void check_workload(const struct engine *engine, enum workload_kind kind, int requests)
{
    struct status st = {0};
    struct workload *workload;
    struct workload_result r;
    const struct engine_info *info = engine_get_info(engine);
    const struct workload_options options = {
        .kind = kind, .n_documents = 3, .n_vocab = info->n_vocab, .n_context = info->n_context};
    ASSERT_OK(workload_create(&workload, &options, &st));
    ASSERT_OK(workload_run(workload, engine, &r, &st));
    CU_ASSERT_FALSE(r.is_real);
    CU_ASSERT_EQUAL(r.n_documents, 3);
    CU_ASSERT_EQUAL(r.n_requests, 3 * requests);
    CU_ASSERT_TRUE(r.unique <= r.computed && r.computed < r.asked);
    CU_ASSERT_TRUE(r.documents_per_second > 0 && r.one_by_one > 0);
    if (kind == WORKLOAD_MMLU) {
        CU_ASSERT_EQUAL(r.asked, 3 * 4 * 704);
        CU_ASSERT_EQUAL(r.unique, 600 + 3 * 104);
    } else {
        CU_ASSERT_EQUAL(r.asked, 3 * 25 * (14 + 19));
    }
    workload_free(workload);
}

static void test_workloads(void)
{
    struct synthetic_model *made;
    enum workload_kind kind;
    struct engine *engine = open_synthetic(
        &made, &(struct synthetic_options){.shape = "tiny", .weights = "f32", .n_layers = 1});
    check_workload(engine, WORKLOAD_MMLU, 4);
    check_workload(engine, WORKLOAD_RTP, 25);
    CU_ASSERT_TRUE(workload_kind_find("rtp", &kind) && kind == WORKLOAD_RTP);
    CU_ASSERT_FALSE(workload_kind_find("gsm8k", &kind));
    engine_free(engine);
    synthetic_model_free(made);
}

static const struct test_case tests[] = {
    {"made-up weights are sane and repeatable", test_values},
    {"made-up models have the shapes of their names", test_shapes},
    {"speeds have an order and a fraction", test_measure},
    {"what an evaluation brings, and what has to be computed of it", test_workloads},
};

SUITE("speed", tests)
