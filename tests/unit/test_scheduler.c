/* The scheduler against itself: jobs computed together, with shared beginnings, in caches of any
 * size and on any number of threads, see the bits that each sees alone; and no token is computed
 * twice. */
#include <math.h>
#include <stdint.h>

#include "engine/base/rng.h"
#include "engine/engine_internal.h"
#include "engine/sampling/sampler.h"
#include "engine/model/run_state.h"
#include "engine/scheduler/scheduler.h"
#include "engine/scheduler/scheduler_plan.h"
#include "tests/support/reference_shapes.h"
#include "tests/unit/count_allocations.h"
#include "tests/unit/made_model.h"

#define DEMO_MODEL "datasets/demo/model.gguf"
#define MAX_JOBS   48
#define MAX_LENGTH 700

/* ---- jobs that leave a trace ---- */

/* What a job saw: every logits row in order, and the tokens that it chose. */
struct trace {
    uint64_t hash;
    int n_rows, n_chosen, n_heard, next_position;
    int32_t chosen[64];
};

/* How a job behaves: made of a seed, so that it does the same wherever it runs. */
struct script {
    int32_t tokens[MAX_LENGTH];
    int n, first_logits, grows, ends_after; /* rows; 0 = it does not end by itself */
    uint64_t seed;
    int n_vocab;
    struct trace trace;
};

static uint64_t hash_bytes(uint64_t hash, const void *data, size_t n)
{
    const unsigned char *p = data;
    for (size_t i = 0; i < n; i++) hash = (hash ^ p[i]) * 1099511628211u;
    return hash;
}

static int32_t on_logits(void *user, int position, const float *logits)
{
    struct script *s = user;
    struct trace *t = &s->trace;
    CU_ASSERT_EQUAL(position, t->next_position);
    t->next_position++;
    t->n_rows++;
    t->hash = hash_bytes(t->hash, &position, sizeof position);
    t->hash = hash_bytes(t->hash, logits, (size_t)s->n_vocab * sizeof *logits);
    if (s->ends_after && t->n_rows >= s->ends_after) return SCHEDULER_END;
    if (position < s->n - 1 || t->n_chosen >= s->grows) return SCHEDULER_CONTINUE;
    /* Mostly what all others choose too, now and then something of its own. */
    int32_t token = logits_argmax(logits, s->n_vocab);
    uint64_t draw = hash_bytes(s->seed, &position, sizeof position);
    if (draw % 5 == 0) token = (int32_t)(draw / 5 % (uint64_t)s->n_vocab);
    t->chosen[t->n_chosen++] = token;
    return token;
}

static bool on_token(void *user, int32_t token)
{
    struct script *s = user;
    CU_ASSERT_EQUAL(token, s->trace.chosen[s->trace.n_chosen - 1]);
    s->trace.n_heard++;
    return true;
}

static struct scheduler_job job_of(struct script *s)
{
    s->trace = (struct trace){.hash = 14695981039346656037u,
                              .next_position = s->first_logits < 0 ? 0 : s->first_logits};
    return (struct scheduler_job){.tokens = s->tokens,
                                  .n_tokens = s->n,
                                  .first_logits = s->first_logits,
                                  .max_tokens = s->n + s->grows,
                                  .on_logits = on_logits,
                                  .on_token = on_token,
                                  .user = s};
}

/* Scripts that begin alike, part anywhere, repeat each other and end early. */
static void make_scripts(struct script *scripts, int n, int longest, int n_vocab, uint64_t seed)
{
    struct rng rng;
    rng_seed(&rng, seed);
    for (int i = 0; i < n; i++) {
        struct script *s = &scripts[i];
        *s = (struct script){.n_vocab = n_vocab, .seed = rng_next(&rng)};
        s->n = 1 + (int)(rng_next(&rng) % (uint64_t)longest);
        int same = 0;
        if (i) { /* as another, up to some place */
            const struct script *other = &scripts[rng_next(&rng) % (uint64_t)i];
            same = (int)(rng_next(&rng) % (uint64_t)(other->n + 1));
            if (rng_next(&rng) % 3 == 0) same = other->n;
            if (rng_next(&rng) % 4 == 0) s->n = same ? same : s->n;
            if (same > s->n) same = s->n;
            memcpy(s->tokens, other->tokens, (size_t)same * sizeof *s->tokens);
        }
        for (int k = same; k < s->n; k++)
            s->tokens[k] = (int32_t)(rng_next(&rng) % (uint64_t)n_vocab);
        switch (rng_next(&rng) % 4) {
        case 0: /* all of it from a place on */
            s->first_logits = (int)(rng_next(&rng) % (uint64_t)(s->n + 1));
            break;
        case 1: /* ends in the middle */
            s->first_logits = s->n / 2;
            s->ends_after = 1 + (int)(rng_next(&rng) % 8);
            break;
        default:
            s->first_logits = s->n - 1;
            s->grows = (int)(rng_next(&rng) % (uint64_t)(longest / 4 + 1));
        }
    }
}

static struct engine *open_model(const char *path, enum compute_type compute, int n_threads)
{
    struct status st = {0};
    struct engine *engine = NULL;
    struct engine_options options = {
        .model_path = path, .compute = compute, .n_threads = n_threads};
    ASSERT_OK(engine_open(&engine, &options, &st));
    return engine;
}

static struct scheduler *open_scheduler(const struct engine *engine, int n_context, size_t cache,
                                        int max_sequences)
{
    struct status st = {0};
    struct scheduler *scheduler = NULL;
    struct scheduler_options options = {
        .n_context = n_context, .cache_bytes = cache, .max_sequences = max_sequences};
    ASSERT_OK(scheduler_create(&scheduler, engine, &options, &st));
    return scheduler;
}

static void run_together(struct scheduler *scheduler, struct script *scripts, int n)
{
    struct status st = {0};
    struct scheduler_job jobs[MAX_JOBS];
    for (int i = 0; i < n; i++) jobs[i] = job_of(&scripts[i]);
    ASSERT_OK(scheduler_run(scheduler, jobs, n, &st));
    for (int i = 0; i < n; i++) {
        if (jobs[i].status.code != STATUS_OK) fprintf(stderr, "%s\n", jobs[i].status.message);
        CU_ASSERT_EQUAL(jobs[i].status.code, STATUS_OK);
    }
}

/* Each in a scheduler of its own. */
static void run_alone(const struct engine *engine, int n_context, struct script *scripts, int n)
{
    for (int i = 0; i < n; i++) {
        struct scheduler *scheduler = open_scheduler(engine, n_context, 0, 1);
        run_together(scheduler, &scripts[i], 1);
        scheduler_free(scheduler);
    }
}

static void check_same(const struct script *expected, const struct script *actual, int n,
                       const char *what)
{
    int different = 0;
    for (int i = 0; i < n; i++) {
        const struct trace *a = &expected[i].trace, *b = &actual[i].trace;
        bool same = a->hash == b->hash && a->n_rows == b->n_rows && a->n_chosen == b->n_chosen &&
                    a->n_heard == b->n_heard && memcmp(a->chosen, b->chosen, sizeof a->chosen) == 0;
        different += !same;
    }
    if (different) fprintf(stderr, "%s: %d of %d jobs differ\n", what, different, n);
    CU_ASSERT_EQUAL(different, 0);
}

/* ---- the same bits ---- */

/* Bytes of a cache that holds one sequence of the whole context and nothing else. */
static size_t tight_cache(const struct engine *engine, int n_context)
{
    struct status st = {0};
    struct scheduler_plan plan;
    const struct model_config *config = &engine_model(engine)->config;
    const struct run_sizes run = {.n_context = n_context, .n_sequences = 1, .n_threads = 1};
    ASSERT_OK(scheduler_plan_make(&plan, config, &run, 0, &st));
    return (size_t)plan.cache.n_blocks * kv_cache_far_bytes(config, n_context) +
           (size_t)plan.cache.n_near * kv_cache_near_bytes(config, n_context);
}

static void check_model(const char *path, enum compute_type compute, int n_jobs, int longest,
                        int n_context)
{
    static struct script expected[MAX_JOBS], actual[MAX_JOBS];
    struct engine *one = open_model(path, compute, 1), *two = open_model(path, compute, 2);
    int n_vocab = engine_get_info(one)->n_vocab;
    make_scripts(expected, n_jobs, longest, n_vocab, 7);
    run_alone(one, n_context, expected, n_jobs);
    memcpy(actual, expected, sizeof expected);
    const struct {
        const struct engine *engine;
        size_t cache;
        int sequences;
    } runs[] = {{one, 0, 1},
                {one, 0, 3},
                {two, 0, 64},
                {one, tight_cache(one, n_context), 64},
                {two, 3 * tight_cache(one, n_context), 5}};
    for (size_t k = 0; k < sizeof runs / sizeof *runs; k++) {
        struct scheduler *scheduler =
            open_scheduler(runs[k].engine, n_context, runs[k].cache, runs[k].sequences);
        run_together(scheduler, actual, n_jobs);
        check_same(expected, actual, n_jobs, path);
        run_together(scheduler, actual, n_jobs); /* what there was room for is there already */
        check_same(expected, actual, n_jobs, path);
        struct scheduler_counts counts = scheduler_get_counts(scheduler);
        CU_ASSERT_TRUE(counts.unique <= counts.computed && counts.computed <= counts.asked);
        scheduler_free(scheduler);
    }
    engine_free(one);
    engine_free(two);
}

static const char *write_shape(const struct reference_decoder *r)
{
    static const char *const files[] = {"config.json", "model.safetensors"};
    char path[128];
    make_scratch();
    for (int i = 0; i < 2; i++) {
        snprintf(path, sizeof path, "%s/%s", scratch, files[i]);
        remember(path);
    }
    reference_write_safetensors(r, scratch);
    return scratch;
}

static void test_families(void)
{
    for (size_t i = 0; i < reference_shape_count; i++)
        check_model(write_shape(&reference_shapes[i]), COMPUTE_F32, 20, 100, 144);
}

/* As they are computed when nobody asks for f32. */
static void test_types(void)
{
    for (size_t i = 0; i < reference_shape_count; i++) {
        struct reference_decoder r = reference_shapes[i];
        r.type = TENSOR_BF16;
        check_model(write_shape(&r), COMPUTE_AUTO, 6, 100, 144);
        if (!reference_typed_shape(&r, i, i % 2 ? TENSOR_Q8_0 : TENSOR_Q4_K)) continue;
        char path[128];
        snprintf(path, sizeof path, "%s/typed.gguf", scratch);
        remember(path);
        reference_write_gguf(&r, scratch, "typed.gguf");
        check_model(path, COMPUTE_AUTO, 6, 100, 144);
        if (r.window) check_model(path, COMPUTE_AUTO, 3, 500, 560);
    }
}

/* Timelines many times longer than a window and than a pass, in which blocks go out of sight. */
static void test_windows(void)
{
    for (size_t i = 0; i < reference_shape_count; i++)
        if (reference_shapes[i].window)
            check_model(write_shape(&reference_shapes[i]), COMPUTE_F32, 8, 500, 560);
}

static void test_demo(void)
{
    check_model(DEMO_MODEL, COMPUTE_AUTO, 10, 80, 100);
}

/* Gemma 2B's widths, as they are computed when nobody asks for f32. */
static void test_true_width(void)
{
#define TWO_LAYERS "--shape gemma-2b --layers 2 --vocab 384 --seed 1 "
    check_model(made_model("wide.gguf", TWO_LAYERS "--type bf16"), COMPUTE_AUTO, 4, 40, 60);
    check_model(made_model("wide.gguf", TWO_LAYERS "--type q8_0"), COMPUTE_AUTO, 4, 40, 60);
}

/* ---- no token twice ---- */

/* Tokens of the tree of prefixes of all jobs, counted one job against the others. */
static uint64_t count_unique(const struct script *scripts, int n)
{
    uint64_t total = 0;
    for (int i = 0; i < n; i++) {
        int known = 0;
        for (int j = 0; j < i; j++) {
            int same = 0;
            while (same < scripts[i].n && same < scripts[j].n &&
                   scripts[i].tokens[same] == scripts[j].tokens[same])
                same++;
            if (same > known) known = same;
        }
        total += (uint64_t)(scripts[i].n - known);
    }
    return total;
}

/* Five shots, a question, choices that are read from its last position. */
static void make_questions(struct script *scripts, int n, int n_vocab)
{
    for (int i = 0; i < n; i++) {
        struct script *s = &scripts[i];
        *s = (struct script){.n_vocab = n_vocab, .n = 600 + 40 + i % 7};
        for (int k = 0; k < s->n; k++) s->tokens[k] = (k * 31 + (k < 600 ? 0 : i * k)) % n_vocab;
        s->first_logits = s->n - 1;
    }
}

static void test_questions(void)
{
    static struct script scripts[MAX_JOBS];
    struct engine *engine = open_model(DEMO_MODEL, COMPUTE_AUTO, 2);
    make_questions(scripts, 40, engine_get_info(engine)->n_vocab);
    uint64_t unique = count_unique(scripts, 40);
    struct scheduler *scheduler = open_scheduler(engine, 1024, 0, 16);
    run_together(scheduler, scripts, 40);
    struct scheduler_counts counts = scheduler_get_counts(scheduler);
    CU_ASSERT_EQUAL(counts.unique, unique);
    CU_ASSERT_EQUAL(counts.computed, unique);
    /* Again, in another call: what is left is each question's last token, whose logits are wanted.
     */
    run_together(scheduler, scripts, 40);
    CU_ASSERT_EQUAL(scheduler_get_counts(scheduler).computed, unique + 40);
    scheduler_free(scheduler);
    engine_free(engine);
}

/* Many replies to one prompt: the prompt once, and what replies have in common once. */
static void test_repeats(void)
{
    static struct script scripts[MAX_JOBS];
    struct engine *engine = open_model(DEMO_MODEL, COMPUTE_AUTO, 2);
    int n_vocab = engine_get_info(engine)->n_vocab, n = 25;
    for (int i = 0; i < n; i++) {
        scripts[i] = (struct script){.n = 50, .first_logits = 49, .grows = 20, .n_vocab = n_vocab};
        for (int k = 0; k < 50; k++) scripts[i].tokens[k] = 3 + k * 17 % 900;
        scripts[i].seed = (uint64_t)i % 5; /* five different replies */
    }
    struct scheduler *scheduler = open_scheduler(engine, 128, 0, 64);
    run_together(scheduler, scripts, n);
    struct scheduler_counts counts = scheduler_get_counts(scheduler);
    for (int i = 0; i < n; i++) { /* what was chosen last was never computed */
        memcpy(scripts[i].tokens + 50, scripts[i].trace.chosen, 20 * sizeof(int32_t));
        scripts[i].n += scripts[i].trace.n_chosen;
    }
    CU_ASSERT_EQUAL(counts.asked, 25 * 70);
    CU_ASSERT_EQUAL(counts.computed, count_unique(scripts, n));
    CU_ASSERT_TRUE(counts.computed <= 50 + 5 * 20);
    scheduler_free(scheduler);
    engine_free(engine);
}

/* Equal jobs of one call are computed once, logits and all. */
static void test_equal_jobs(void)
{
    static struct script scripts[MAX_JOBS];
    struct engine *engine = open_model(DEMO_MODEL, COMPUTE_AUTO, 1);
    make_scripts(scripts, 1, 90, engine_get_info(engine)->n_vocab, 3);
    scripts[0].n = 90;
    scripts[0].first_logits = 5;
    scripts[0].grows = scripts[0].ends_after = 0;
    for (int i = 1; i < 10; i++) scripts[i] = scripts[0];
    struct scheduler *scheduler = open_scheduler(engine, 128, 0, 64);
    run_together(scheduler, scripts, 10);
    CU_ASSERT_EQUAL(scheduler_get_counts(scheduler).computed, 90);
    for (int i = 1; i < 10; i++) CU_ASSERT_EQUAL(scripts[i].trace.hash, scripts[0].trace.hash);
    scheduler_free(scheduler);
    engine_free(engine);
}

/* ---- bounds ---- */

static void test_no_allocation(void)
{
    static struct script scripts[MAX_JOBS];
    struct engine *engine = open_model(DEMO_MODEL, COMPUTE_AUTO, 1);
    make_scripts(scripts, 20, 100, engine_get_info(engine)->n_vocab, 5);
    struct scheduler *scheduler = open_scheduler(engine, 160, tight_cache(engine, 160), 8);
    run_together(scheduler, scripts, 20); /* the list of jobs grows to the longest call's */
    size_t before = allocations;
    run_together(scheduler, scripts, 20);
    CU_ASSERT_EQUAL(allocations, before);
    scheduler_free(scheduler);
    engine_free(engine);
}

/* What cannot run says so and leaves the others alone. */
static void test_refusals(void)
{
    static struct script good[2];
    struct status st = {0};
    struct engine *engine = open_model(DEMO_MODEL, COMPUTE_AUTO, 1);
    int n_vocab = engine_get_info(engine)->n_vocab;
    make_scripts(good, 2, 60, n_vocab, 9);
    int32_t bad_id[] = {1, 2, n_vocab};
    size_t half = tight_cache(engine, 256) / 2;
    struct scheduler *scheduler = open_scheduler(engine, 256, half, 4);
    static struct script huge;
    make_scripts(&huge, 1, 2, n_vocab, 1);
    huge.n = 250;
    huge.first_logits = 249;
    struct scheduler_job jobs[] = {job_of(&good[0]),
                                   {.tokens = bad_id, .n_tokens = 3, .first_logits = 3},
                                   {.tokens = huge.tokens, .n_tokens = 300, .first_logits = 300},
                                   job_of(&huge),
                                   {.tokens = bad_id, .n_tokens = 0},
                                   job_of(&good[1])};
    ASSERT_OK(scheduler_run(scheduler, jobs, 6, &st));
    CU_ASSERT_EQUAL(jobs[0].status.code, STATUS_OK);
    CU_ASSERT_EQUAL(jobs[1].status.code, STATUS_BAD_INPUT);
    CU_ASSERT_EQUAL(jobs[2].status.code, STATUS_LIMIT);
    CU_ASSERT_EQUAL(jobs[3].status.code, STATUS_LIMIT);
    CU_ASSERT_PTR_NOT_NULL(strstr(jobs[3].status.message, "--cache-memory"));
    CU_ASSERT_EQUAL(jobs[4].status.code, STATUS_OK);
    CU_ASSERT_EQUAL(jobs[5].status.code, STATUS_OK);
    CU_ASSERT_TRUE(good[1].trace.n_rows > 0);
    scheduler_free(scheduler);
    struct scheduler_options tiny = {.n_context = 256, .cache_bytes = 1};
    ASSERT_FAILS(scheduler_create(&scheduler, engine, &tiny, &st), STATUS_LIMIT, "a cache of 1");
    engine_free(engine);
}

/* Windowed layers hold what a query can see, not the context. */
static void test_window_memory(void)
{
    struct status st = {0};
    struct engine *engine = open_model(write_shape(reference_shape("gemma3_text")), COMPUTE_F32, 1);
    const struct model_config *config = &engine_model(engine)->config;
    struct run_sizes run = {.n_context = 8192, .n_sequences = 1, .n_threads = 1};
    struct scheduler_plan plan;
    ASSERT_OK(scheduler_plan_make(&plan, config, &run, 0, &st));
    CU_ASSERT_EQUAL(plan.cache.n_blocks, 8192 / KV_BLOCK + 1);
    CU_ASSERT_TRUE(plan.cache.n_near <= (RUN_MAX_TOKENS + 7) / KV_BLOCK + 4);
    /* Six of seven layers have a window of 7. */
    size_t all = (size_t)plan.cache.n_blocks *
                 (kv_cache_far_bytes(config, 8192) + kv_cache_near_bytes(config, 8192));
    CU_ASSERT_TRUE(plan.cache_bytes < all / 4);
    engine_free(engine);
}

static const struct test_case tests[] = {
    {"families: together, in any cache, on any threads, the bits of each alone", test_families},
    {"the same of BF16 and quantised weights", test_types},
    {"the same with timelines much longer than the window", test_windows},
    {"the same on the demo model, as it is computed by default", test_demo},
    {"the same at true widths", test_true_width},
    {"questions after five shots: each token of the tree once", test_questions},
    {"replies to one prompt: each token of the tree once", test_repeats},
    {"equal jobs are computed once", test_equal_jobs},
    {"passes allocate nothing", test_no_allocation},
    {"what cannot run says so", test_refusals},
    {"windowed layers hold what can be seen", test_window_memory},
};
SUITE("scheduler", tests)
