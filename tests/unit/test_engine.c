/* The engine against itself: any way of cutting a timeline into evaluations, and any number of
 * threads, gives the same bits; and the demo model against its vectors.  test_families.c holds the
 * families against other implementations. */
#include <math.h>
#include <stdint.h>

#include "engine/backend_native.h"
#include "engine/engine.h"
#include "tests/unit/count_allocations.h"
#include "tests/unit/suite.h"

#define DEMO_MODEL "datasets/demo/model.gguf"

/* ---- helpers ---- */

struct captured {
    float *logits; /* (n, n_vocab) from first */
    int n_vocab, first, count;
};

static void capture(void *user, int position, const float *logits)
{
    struct captured *c = user;
    memcpy(c->logits + (size_t)(position - c->first) * (size_t)c->n_vocab, logits,
           (size_t)c->n_vocab * sizeof *logits);
    c->count++;
}

static struct engine *open_computing(enum compute_type compute, const char *kernels, int n_threads)
{
    struct status st = {0};
    struct engine *engine = NULL;
    struct engine_options options = {
        .model_path = DEMO_MODEL, .kernels = kernels, .compute = compute, .n_threads = n_threads};
    ASSERT_OK(engine_open(&engine, &options, &st));
    return engine;
}

static struct engine *open_model(const char *path, const char *kernels, int n_threads)
{
    struct status st = {0};
    struct engine *engine = NULL;
    struct engine_options options = {
        .model_path = path, .kernels = kernels, .compute = COMPUTE_F32, .n_threads = n_threads};
    ASSERT_OK(engine_open(&engine, &options, &st));
    return engine;
}

static float *all_logits(const struct engine *engine, const int32_t *tokens, int n)
{
    struct status st = {0};
    struct session *session = NULL;
    int n_vocab = engine_get_info(engine)->n_vocab;
    struct captured c = {calloc((size_t)n * (size_t)n_vocab, sizeof(float)), n_vocab, 0, 0};
    ASSERT_OK(session_create(&session, engine, n, &st));
    ASSERT_OK(session_eval(session, tokens, n, 0, capture, &c, &st));
    CU_ASSERT_EQUAL(c.count, n);
    session_free(session);
    return c.logits;
}

static int argmax(const float *x, int n)
{
    int best = 0;
    for (int i = 1; i < n; i++)
        if (x[i] > x[best]) best = i;
    return best;
}

/* ---- against the demo model's vectors (tests/vectors/demo/README.md) ---- */

#define N_VECTOR_TOKENS 24
#define N_VECTOR_LOGITS 4 /* rows, after the last ids */

static void test_demo_vectors(void)
{
    static const int32_t tokens[N_VECTOR_TOKENS] = {2,    349,  4015, 1171, 354,  3982, 4002, 4001,
                                                    774,  3999, 552,  717,  3982, 4010, 495,  341,
                                                    1192, 3982, 4013, 3999, 376,  360,  774,  438};
    struct status st = {0};
    struct strbuf file;
    strbuf_init(&file, 1 << 20);
    ASSERT_OK(strbuf_read_file(&file, "tests/vectors/demo/logits_last.f32", &st));
    static const char *const sets[] = {"generic", "auto"};
    for (int k = 0; k < 2; k++) {
        struct engine *engine = open_model(DEMO_MODEL, sets[k], 2);
        int n_vocab = engine_get_info(engine)->n_vocab;
        size_t n = N_VECTOR_LOGITS * (size_t)n_vocab;
        CU_ASSERT_EQUAL_FATAL(file.length, n * sizeof(float));
        float *ours = all_logits(engine, tokens, N_VECTOR_TOKENS);
        const float *last = ours + (size_t)(N_VECTOR_TOKENS - N_VECTOR_LOGITS) * (size_t)n_vocab;
        double worst = 0;
        for (size_t i = 0; i < n; i++) {
            float expected;
            memcpy(&expected, file.data + i * sizeof expected, sizeof expected);
            worst = fmax(worst, fabs((double)last[i] - (double)expected));
        }
        CU_ASSERT_TRUE(worst <= 2e-4);
        free(ours);
        engine_free(engine);
    }
    strbuf_release(&file);
}

/* ---- against itself ---- */

#define N_TOKENS 150 /* over two passes of the batch, with a tail */

static void make_tokens(int32_t tokens[N_TOKENS])
{
    for (int i = 0; i < N_TOKENS; i++) tokens[i] = i ? 10 + i * 37 % 3000 : 2;
}

static void check_threads_and_batches(enum compute_type compute)
{
    int32_t tokens[N_TOKENS];
    make_tokens(tokens);
    struct engine *one = open_computing(compute, "auto", 1);
    int n_vocab = engine_get_info(one)->n_vocab;
    size_t bytes = (size_t)N_TOKENS * (size_t)n_vocab * sizeof(float);
    float *expected = all_logits(one, tokens, N_TOKENS);
    for (int n_threads = 2; n_threads <= 5; n_threads++) {
        struct engine *many = open_computing(compute, "auto", n_threads);
        float *logits = all_logits(many, tokens, N_TOKENS);
        CU_ASSERT_EQUAL(memcmp(expected, logits, bytes), 0);
        free(logits);
        engine_free(many);
    }
    /* Token by token, the cache filled one position at a time. */
    struct status st = {0};
    struct session *session = NULL;
    struct captured c = {calloc(1, bytes), n_vocab, 0, 0};
    ASSERT_OK(session_create(&session, one, N_TOKENS, &st));
    for (int n = 1; n <= N_TOKENS; n++)
        ASSERT_OK(session_eval(session, tokens, n, n - 1, capture, &c, &st));
    CU_ASSERT_EQUAL(memcmp(expected, c.logits, bytes), 0);
    free(c.logits);
    free(expected);
    session_free(session);
    engine_free(one);
}

static void test_threads_and_batches(void)
{
    check_threads_and_batches(COMPUTE_F32);
    check_threads_and_batches(COMPUTE_AUTO);
}

/* The demo model's weights are Q8_0.  Its logits with int8 products are those of f32 but for what
 * rounding activations costs, and the sets agree on them. */
static void test_fast_products(void)
{
    int32_t tokens[N_TOKENS];
    make_tokens(tokens);
    struct engine *exact = open_model(DEMO_MODEL, "auto", 2);
    int n_vocab = engine_get_info(exact)->n_vocab;
    CU_ASSERT_STRING_EQUAL(engine_get_info(exact)->compute, "f32");
    float *expected = all_logits(exact, tokens, N_TOKENS);
    static const char *const sets[] = {"generic", "auto"};
    for (int k = 0; k < 2; k++) {
        struct engine *fast = open_computing(COMPUTE_AUTO, sets[k], 2);
        if (k == 0) CU_ASSERT_STRING_EQUAL(engine_get_info(fast)->compute, "int8");
        float *logits = all_logits(fast, tokens, N_TOKENS);
        double error = 0, power = 0;
        int same = 0;
        for (int t = 0; t < N_TOKENS; t++) {
            const float *a = expected + (size_t)t * (size_t)n_vocab;
            const float *b = logits + (size_t)t * (size_t)n_vocab;
            same += argmax(a, n_vocab) == argmax(b, n_vocab);
            for (int i = 0; i < n_vocab; i++) {
                error += ((double)a[i] - (double)b[i]) * ((double)a[i] - (double)b[i]);
                power += (double)a[i] * (double)a[i];
            }
        }
        CU_ASSERT_TRUE(error / power < 1e-3);
        CU_ASSERT_TRUE(same >= N_TOKENS * 95 / 100);
        free(logits);
        engine_free(fast);
    }
    free(expected);
    engine_free(exact);
}

/* A session that held another timeline computes only the difference, and the same bits. */
static void test_prefix_reuse(void)
{
    int32_t tokens[N_TOKENS], other[N_TOKENS];
    make_tokens(tokens);
    memcpy(other, tokens, sizeof tokens);
    other[100] = 7;
    struct status st = {0};
    struct engine *engine = open_model(DEMO_MODEL, "auto", 2);
    int n_vocab = engine_get_info(engine)->n_vocab;
    float *expected = all_logits(engine, tokens, N_TOKENS);
    struct session *session = NULL;
    ASSERT_OK(session_create(&session, engine, N_TOKENS, &st));
    ASSERT_OK(session_eval(session, other, N_TOKENS, N_TOKENS, NULL, NULL, &st));
    struct captured c = {calloc((size_t)n_vocab, sizeof(float)), n_vocab, N_TOKENS - 1, 0};
    ASSERT_OK(session_eval(session, tokens, N_TOKENS, N_TOKENS - 1, capture, &c, &st));
    CU_ASSERT_EQUAL(memcmp(expected + (size_t)(N_TOKENS - 1) * (size_t)n_vocab, c.logits,
                           (size_t)n_vocab * sizeof(float)),
                    0);
    uint64_t asked, computed;
    session_token_counts(session, &asked, &computed);
    CU_ASSERT_EQUAL(asked, 2 * N_TOKENS);
    CU_ASSERT_EQUAL(computed, N_TOKENS + 50);
    free(c.logits);
    free(expected);
    session_free(session);
    engine_free(engine);
}

static void test_no_allocation_in_forward(void)
{
    int32_t tokens[N_TOKENS];
    make_tokens(tokens);
    struct status st = {0};
    struct engine *engine = open_model(DEMO_MODEL, "auto", 1);
    struct session *session = NULL;
    ASSERT_OK(session_create(&session, engine, N_TOKENS, &st));
    ASSERT_OK(session_eval(session, tokens, 50, 50, NULL, NULL, &st));
    size_t before = allocations;
    for (int n = 51; n <= N_TOKENS; n++)
        ASSERT_OK(session_eval(session, tokens, n, n, NULL, NULL, &st));
    CU_ASSERT_EQUAL(allocations, before);
    session_free(session);
    engine_free(engine);
}

static void test_bad_requests(void)
{
    struct status st = {0};
    struct engine *engine = NULL;
    struct session *session = NULL;
    const int32_t tokens[] = {2, -1, 1 << 30};
    struct engine_options missing = {.model_path = "no-such-model.gguf"};
    ASSERT_FAILS(engine_open(&engine, &missing, &st), STATUS_NOT_FOUND, "no-such-model.gguf");
    struct engine_options not_a_model = {.model_path = "Makefile"};
    ASSERT_FAILS(engine_open(&engine, &not_a_model, &st), STATUS_BAD_INPUT, "Makefile");
    engine = open_model(DEMO_MODEL, "auto", 1);
    ASSERT_OK(session_create(&session, engine, 2, &st));
    ASSERT_FAILS(session_eval(session, tokens, 3, 0, NULL, NULL, &st), STATUS_LIMIT,
                 "context of 2");
    ASSERT_FAILS(session_eval(session, tokens, 2, 0, NULL, NULL, &st), STATUS_BAD_INPUT, "id -1");
    session_free(session);
    engine_free(engine);
}

/* ---- the backend ---- */

static struct backend *open_backend(const struct engine *engine, int n_context)
{
    struct status st = {0};
    struct backend *backend = NULL;
    struct backend_native_options options = {.n_context = n_context};
    ASSERT_OK(backend_native_open(&backend, engine, &options, &st));
    return backend;
}

/* What backend_loglikelihood() says, worked out the long way from all logits. */
static double sum_of_logprobs(const struct engine *engine, const int32_t *tokens, int n,
                              int n_context)
{
    int n_vocab = engine_get_info(engine)->n_vocab;
    float *logits = all_logits(engine, tokens, n);
    double sum = 0;
    for (int t = n_context; t < n; t++) {
        const float *row = logits + (size_t)(t - 1) * (size_t)n_vocab;
        double total = 0, max = (double)row[argmax(row, n_vocab)];
        for (int i = 0; i < n_vocab; i++) total += exp((double)row[i] - max);
        sum += (double)row[tokens[t]] - max - log(total);
    }
    free(logits);
    return sum;
}

static void test_loglikelihood(void)
{
    struct status st = {0};
    struct engine *engine = open_model(DEMO_MODEL, "auto", 2);
    struct backend *backend = open_backend(engine, 0);
    const char *context = "Question: How many apples are left? ";
    const char *choices[] = {"Seven apples", "8", " 12 pears and a plum"};
    struct loglikelihood_request request = {.context = text_of(context), .n_continuations = 3};
    for (int i = 0; i < 3; i++) request.continuation[i] = text_of(choices[i]);
    struct loglikelihood_result result;
    ASSERT_OK(backend_loglikelihood(backend, &request, 1, &result, &st));
    CU_ASSERT_EQUAL(result.status.code, STATUS_OK);
    const struct tokenizer *tokenizer = engine_get_tokenizer(engine);
    for (int i = 0; i < 3; i++) {
        char whole[256];
        struct token_list ids = {0}, before = {0};
        snprintf(whole, sizeof whole, "%s%s", context, choices[i]);
        ASSERT_OK(tokenizer_encode(tokenizer, text_of(whole), TOKENIZE_ADD_BOS, &ids, &st));
        whole[strlen(context) - 1] = '\0'; /* without its trailing space */
        ASSERT_OK(tokenizer_encode(tokenizer, text_of(whole), TOKENIZE_ADD_BOS, &before, &st));
        CU_ASSERT_EQUAL(ids.ids[0], tokenizer_get_info(tokenizer)->bos);
        CU_ASSERT_NOT_EQUAL(ids.ids[1], tokenizer_get_info(tokenizer)->bos);
        CU_ASSERT_EQUAL(result.n_tokens[i], (int)(ids.count - before.count));
        double expected = sum_of_logprobs(engine, ids.ids, (int)ids.count, (int)before.count);
        CU_ASSERT_DOUBLE_EQUAL(result.logprob[i], expected, 1e-9);
        token_list_release(&ids);
        token_list_release(&before);
    }
    backend_free(backend);
    engine_free(engine);
}

static bool stop_at_ten_bytes(void *user, struct text reply)
{
    (void)user;
    return reply.length < 10;
}

static struct generate_result reply_to(struct backend *backend, struct generate_request request)
{
    struct status st = {0};
    struct generate_result result;
    ASSERT_OK(backend_generate(backend, &request, 1, &result, &st));
    return result;
}

static void test_generate(void)
{
    struct engine *engine = open_model(DEMO_MODEL, "auto", 2);
    struct backend *backend = open_backend(engine, 512);
    struct generate_request request = {
        .prompt = text_of("Question: Tom has 3 pens and buys 4 more. How many pens?\nAnswer:"),
        .max_tokens = 40,
        .sampling = {.temperature = 0, .top_p = 1},
    };
    struct generate_result greedy = reply_to(backend, request);
    CU_ASSERT_EQUAL(greedy.status.code, STATUS_OK);
    CU_ASSERT_TRUE(greedy.reply.length > 0);
    /* A stop string taken from the reply ends it there. */
    char stop[8] = {0};
    CU_ASSERT_TRUE_FATAL(greedy.reply.length > 12);
    memcpy(stop, greedy.reply.data + 5, 4);
    struct text until = text_of(stop);
    request.until = &until, request.n_until = 1;
    struct generate_result stopped = reply_to(backend, request);
    CU_ASSERT_EQUAL(stopped.finish_reason, FINISH_STOP_STRING);
    CU_ASSERT_PTR_NULL(strstr(stopped.reply.data, stop));
    CU_ASSERT_EQUAL(strncmp(stopped.reply.data, greedy.reply.data, stopped.reply.length), 0);
    request.n_until = 0;
    /* A guard that says stop. */
    request.on_text = stop_at_ten_bytes;
    struct generate_result guarded = reply_to(backend, request);
    CU_ASSERT_EQUAL(guarded.finish_reason, FINISH_GUARD);
    request.on_text = NULL;
    /* The seed decides a sampled reply; what ran before does not. */
    request.sampling = (struct sampling_options){.temperature = 1, .top_k = 50, .top_p = 0.9};
    request.seed = 11;
    struct generate_result a = reply_to(backend, request);
    request.seed = 12;
    struct generate_result b = reply_to(backend, request);
    request.seed = 11;
    struct generate_result again = reply_to(backend, request);
    CU_ASSERT_STRING_EQUAL(a.reply.data, again.reply.data);
    CU_ASSERT_STRING_NOT_EQUAL(a.reply.data, b.reply.data);
    struct generate_result *results[] = {&greedy, &stopped, &guarded, &a, &b, &again};
    for (int i = 0; i < 6; i++) generate_result_release(results[i]);
    backend_free(backend);
    engine_free(engine);
}

/* A prompt that comes as ids is taken as it is, whatever its text says. */
static void test_encoded_prompt(void)
{
    struct status st = {0};
    struct token_list ids = {0};
    struct engine *engine = open_model(DEMO_MODEL, "auto", 2);
    struct backend *backend = open_backend(engine, 512);
    struct generate_request request = {
        .prompt = text_of("Question: Tom has 3 pens. How many?\nAnswer:"),
        .max_tokens = 20,
        .sampling = {.top_p = 1},
    };
    struct generate_result from_text = reply_to(backend, request);
    ASSERT_OK(tokenizer_encode(engine_get_tokenizer(engine), request.prompt, TOKENIZE_ADD_BOS, &ids,
                               &st));
    request.prompt = text_of("something else");
    request.tokens = ids.ids;
    request.n_tokens = ids.count;
    struct generate_result from_ids = reply_to(backend, request);
    CU_ASSERT_STRING_EQUAL(from_ids.reply.data, from_text.reply.data);
    CU_ASSERT_EQUAL(from_ids.n_prompt_tokens, (int)ids.count);
    ids.ids[0] = INT32_MAX;
    struct generate_result wrong = reply_to(backend, request);
    CU_ASSERT_EQUAL(wrong.status.code, STATUS_BAD_INPUT);
    generate_result_release(&from_text);
    generate_result_release(&from_ids);
    generate_result_release(&wrong);
    token_list_release(&ids);
    backend_free(backend);
    engine_free(engine);
}

/* A prompt that is too long loses its first tokens, and says how many. */
static void test_truncation(void)
{
    struct engine *engine = open_model(DEMO_MODEL, "auto", 2);
    struct backend *backend = open_backend(engine, 32);
    struct generate_request request = {
        .prompt = text_of("one two three four five six seven eight nine ten eleven twelve thirteen "
                          "fourteen fifteen sixteen seventeen eighteen nineteen twenty"),
        .max_tokens = 8,
        .sampling = {.top_p = 1},
    };
    struct generate_result result = reply_to(backend, request);
    CU_ASSERT_EQUAL(result.status.code, STATUS_OK);
    CU_ASSERT_TRUE(result.n_truncated > 0);
    CU_ASSERT_EQUAL(result.n_prompt_tokens - result.n_truncated, 32 - 8);
    generate_result_release(&result);
    request.max_tokens = 32; /* leaves no room for a prompt */
    result = reply_to(backend, request);
    CU_ASSERT_EQUAL(result.status.code, STATUS_LIMIT);
    generate_result_release(&result);
    backend_free(backend);
    engine_free(engine);
}

static const struct test_case tests[] = {
    {"the demo model gives its vectors", test_demo_vectors},
    {"threads and batches do not change a bit", test_threads_and_batches},
    {"fast products are near exact ones", test_fast_products},
    {"a shared prefix is computed once", test_prefix_reuse},
    {"a forward pass allocates nothing", test_no_allocation_in_forward},
    {"bad requests are refused", test_bad_requests},
    {"log-likelihood of continuations", test_loglikelihood},
    {"generation: greedy, stops, guard, seeds", test_generate},
    {"a prompt as ids is taken as it is", test_encoded_prompt},
    {"prompts that are too long", test_truncation},
};
SUITE("engine", tests)
