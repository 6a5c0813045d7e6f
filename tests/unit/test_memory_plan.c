/* What is planned against what is used: the process stays under its plan while every part of it is
 * in use, and a plan that does not fit names the way out. */
#include <stdint.h>
#include <sys/resource.h>

#include "engine/backend_native.h"
#include "engine/inspect/memory_plan.h"
#include "engine/model/architecture.h"
#include "engine/sampling/sampler.h"
#include "engine/scheduler/scheduler_plan.h"
#include "tests/unit/made_model.h"

#define DEMO_MODEL "datasets/demo/model.gguf"
#define MIB        ((uint64_t)1 << 20)

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define WITH_SHADOW true
#endif
#endif
#ifdef __SANITIZE_THREAD__
#define WITH_SHADOW true
#endif
#ifndef WITH_SHADOW
#define WITH_SHADOW false
#endif

/* ThreadSanitizer keeps several bytes for each that is touched: what is resident then is its own.
 */
static bool is_measurable(void)
{
    if (WITH_SHADOW) fprintf(stderr, "  skipped: ThreadSanitizer's own memory counts too\n");
    return !WITH_SHADOW;
}

static uint64_t peak_resident(void)
{
    struct rusage usage;
    CU_ASSERT_EQUAL_FATAL(getrusage(RUSAGE_SELF, &usage), 0);
    return (uint64_t)usage.ru_maxrss * 1024;
}

/* Prompts that differ from their first word on and fill the cache several times over. */
static void fill_everything(struct backend *backend, int n)
{
    enum { N = 24 };
    struct status st = {0};
    static char prompts[N][1200];
    struct generate_request requests[N] = {0};
    struct generate_result results[N];
    for (int i = 0; i < n; i++) {
        int at = snprintf(prompts[i], sizeof prompts[i], "%d apples:", i * 7919);
        for (int k = 0; at < 1000; k++)
            at += snprintf(prompts[i] + at, sizeof prompts[i] - (size_t)at, " %d", i * k % 977);
        requests[i].prompt = text_of(prompts[i]);
        requests[i].max_tokens = 8;
        requests[i].sampling = (struct sampling_options){.temperature = 1, .top_p = 0.9};
        requests[i].seed = (uint64_t)i;
    }
    ASSERT_OK(backend_generate(backend, requests, n, results, &st));
    for (int i = 0; i < n; i++) {
        CU_ASSERT_EQUAL(results[i].status.code, STATUS_OK);
        generate_result_release(&results[i]);
    }
}

static void check_peak(const char *path, int n_context, int n_requests)
{
    struct status st = {0};
    struct engine *engine = NULL;
    struct backend *backend = NULL;
    struct memory_plan plan;
    const struct memory_request request = {
        .model_path = path, .n_context = n_context, .n_threads = 2};
    const struct engine_options options = {.model_path = path, .n_threads = 2};
    const struct backend_native_options native = {.n_context = n_context};
    ASSERT_OK(memory_plan_make(&plan, &request, &st));
    ASSERT_OK(memory_plan_check(&plan, &st));
    CU_ASSERT_EQUAL(plan.total, plan.weights + plan.cache + plan.other);
    uint64_t before = peak_resident();
    ASSERT_OK(engine_open(&engine, &options, &st));
    ASSERT_OK(backend_native_open(&backend, engine, &native, &st));
    fill_everything(backend, n_requests);
    uint64_t used = peak_resident() - before;
    /* Requests and replies themselves, and the threads' stacks. */
    bool fits = !is_measurable() || used <= plan.total + 4 * MIB;
    if (!fits)
        fprintf(stderr, "%s: %llu MiB used, %llu planned\n", path, (unsigned long long)(used / MIB),
                (unsigned long long)(plan.total / MIB));
    CU_ASSERT_TRUE(fits);
    backend_free(backend);
    engine_free(engine);
}

static void test_peak(void)
{
    check_peak(DEMO_MODEL, 256, 20);
    check_peak(DEMO_MODEL, 4096, 2);
}

/* Pages of files that are resident. */
static uint64_t file_pages(void)
{
    char line[256];
    uint64_t kib = 0;
    FILE *file = fopen("/proc/self/status", "r");
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    while (fgets(line, sizeof line, file))
        if (strncmp(line, "RssFile:", 8) == 0) kib = strtoull(line + 8, NULL, 10);
    fclose(file);
    return kib * 1024;
}

/* Rows from everywhere in the embedding. */
static void check_lookups(const char *path)
{
    enum { N = 512 };
    struct status st = {0};
    struct engine *engine = NULL;
    struct session *session = NULL;
    int32_t tokens[N];
    const struct engine_options options = {.model_path = path, .n_threads = 2};
    ASSERT_OK(engine_open(&engine, &options, &st));
    ASSERT_OK(session_create(&session, engine, N, &st));
    for (int i = 0; i < N; i++) tokens[i] = i * 7919 % engine_get_info(engine)->n_vocab;
    uint64_t before = file_pages();
    ASSERT_OK(session_eval(session, tokens, N, N, NULL, NULL, &st));
    CU_ASSERT_TRUE(file_pages() <= before + 8 * MIB);
    session_free(session);
    engine_free(engine);
}

/* The output is the largest matrix, and the embedding as well: neither its file's pages nor the
 * rows that are looked up may stay beside its copy. */
static void test_large_output(void)
{
#define LARGE_OUTPUT "--shape gemma-2b --layers 1 --ffn 256 --vocab 60000 --seed 1 "
    const char *path = made_model("large.gguf", LARGE_OUTPUT "--type bf16");
    check_peak(path, 1280, 1);
    check_lookups(path);
}

static void make_plan(struct memory_plan *plan, int n_context, uint64_t cache, uint64_t most)
{
    struct status st = {0};
    const struct memory_request request = {.model_path = DEMO_MODEL,
                                           .n_context = n_context,
                                           .n_threads = 2,
                                           .cache_bytes = cache,
                                           .max_bytes = most};
    ASSERT_OK(memory_plan_make(plan, &request, &st));
}

/* What the advice says is taken, and then fits. */
static void test_advice(void)
{
    struct status st = {0};
    struct memory_plan plan;
    make_plan(&plan, 2048, 0, 26 * MIB);
    ASSERT_FAILS(memory_plan_check(&plan, &st), STATUS_LIMIT, "--cache-memory ");
    int mib = atoi(strstr(st.message, "--cache-memory ") + strlen("--cache-memory "));
    make_plan(&plan, 2048, (uint64_t)mib * MIB, 26 * MIB);
    ASSERT_OK(memory_plan_check(&plan, &st));
    make_plan(&plan, 65536, 0, 40 * MIB);
    ASSERT_FAILS(memory_plan_check(&plan, &st), STATUS_LIMIT, "--max-context ");
    make_plan(&plan, 2048, 0, 4 * MIB);
    ASSERT_FAILS(memory_plan_check(&plan, &st), STATUS_LIMIT, "no context fits");
    CU_ASSERT_TRUE(memory_available() > 64 * MIB);
    const struct memory_request missing = {.model_path = "no-such-model.gguf"};
    ASSERT_OK(memory_plan_make(&plan, &missing, &st));
    CU_ASSERT_EQUAL(plan.total, 0);
    ASSERT_OK(memory_plan_check(&plan, &st));
}

/* Gemma 2B at 8,192 positions: weights and 600 MB. */
static void test_gemma_2b(void)
{
    struct status st = {0};
    const struct architecture *gemma = architecture_for_gguf(text_of("gemma"));
    const struct model_config config = {.architecture = gemma,
                                        .n_layers = 18,
                                        .d_model = 2048,
                                        .n_heads = 8,
                                        .n_kv_heads = 1,
                                        .head_dim = 256,
                                        .d_ff = 16384,
                                        .n_vocab = 256000,
                                        .rope_dim = 256};
    const struct run_sizes run = {.n_context = 8192, .n_sequences = 64, .n_threads = 2};
    struct scheduler_plan plan;
    ASSERT_OK(scheduler_plan_make(&plan, &config, &run, 0, &st));
    CU_ASSERT_TRUE(plan.cache_bytes >= (size_t)8192 * 18 * 2 * 256 * sizeof(float));
    CU_ASSERT_TRUE(plan.cache_bytes + plan.other_bytes + 2 * sampler_bytes(256000) < 600000000);
}

static const struct test_case tests[] = {
    {"a process stays under its plan", test_peak},
    {"also where one matrix is most of the model", test_large_output},
    {"what the advice says fits", test_advice},
    {"Gemma 2B at 8,192 positions takes less than 600 MB beside its weights", test_gemma_2b},
};
SUITE("memory plan", tests)
