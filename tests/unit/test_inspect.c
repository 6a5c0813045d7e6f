/* What `assay inspect` says, also of files that cannot run; and its memory against what is really
 * allocated, which the Makefile lets this test count. */
#include <math.h>
#include <stdatomic.h>

#include "engine/base/rng.h"
#include "engine/engine.h"
#include "engine/gguf/gguf_writer.h"
#include "engine/inspect/inspect.h"
#include "tests/unit/scratch.h"

#define DEMO_MODEL "datasets/demo/model.gguf"

/* ---- counting bytes: the Makefile links this test with --wrap ---- */

static atomic_size_t allocated;

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t size);

void *__wrap_malloc(size_t size)
{
    allocated += size;
    return __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
    allocated += n * size;
    return __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t size)
{
    allocated += size;
    return __real_realloc(p, size);
}

/* ---- memory ---- */

static void inspect(struct inspection *in, const char *path, int n_context, int n_threads)
{
    struct status st = {0};
    struct inspect_options options = {path, n_context, n_threads};
    ASSERT_OK(inspect_path(in, &options, &st));
}

/* What a session allocates, and nothing else: its engine is open already. */
static size_t session_bytes(const char *path, int n_context, int n_threads)
{
    struct status st = {0};
    struct engine *engine = NULL;
    struct session *session = NULL;
    struct engine_options options = {.model_path = path, .n_threads = n_threads};
    ASSERT_OK(engine_open(&engine, &options, &st));
    size_t before = allocated;
    ASSERT_OK(session_create(&session, engine, n_context, &st));
    size_t bytes = allocated - before;
    session_free(session);
    engine_free(engine);
    return bytes;
}

static void check_prediction(const char *path, int n_context, int n_threads)
{
    struct inspection in;
    inspect(&in, path, n_context, n_threads);
    CU_ASSERT_EQUAL(in.memory.n_context, n_context ? n_context : in.config.n_context);
    double predicted = (double)(in.memory.cache + in.memory.activations);
    double actual = (double)session_bytes(path, in.memory.n_context, n_threads);
    if (fabs(predicted - actual) > 0.1 * actual)
        fprintf(stderr, "%s: %.0f bytes predicted, %.0f allocated\n", path, predicted, actual);
    CU_ASSERT_TRUE(fabs(predicted - actual) <= 0.1 * actual);
    CU_ASSERT_EQUAL(in.memory.total, in.memory.weights + in.memory.vectors + in.memory.cache +
                                         in.memory.activations + in.memory.tokenizer);
    inspection_release(&in);
}

static void test_memory(void)
{
    static const char *const names[] = {"gemma3-tiny", "llama-tiny", "phi2-tiny", "bert-tiny",
                                        "mistral-tiny-sharded"};
    static const int contexts[] = {0, 1, 100, 8192};
    for (size_t i = 0; i < sizeof contexts / sizeof contexts[0]; i++) {
        check_prediction(DEMO_MODEL, contexts[i], 1);
        check_prediction(DEMO_MODEL, contexts[i], 5);
    }
    if (!shared_path("reference/logits")) return;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char path[128];
        snprintf(path, sizeof path, "../shared/reference/logits/%s", names[i]);
        check_prediction(path, 0, 2);
    }
}

/* ---- descriptions ---- */

static void test_demo(void)
{
    struct inspection in;
    inspect(&in, DEMO_MODEL, 0, 1);
    CU_ASSERT_STRING_EQUAL(in.format, "gguf");
    CU_ASSERT_STRING_EQUAL(in.architecture, "gemma");
    CU_ASSERT_TRUE(in.can_run && in.has_config && in.has_tokenizer);
    CU_ASSERT_PTR_NULL(in.problem);
    uint64_t n_tensors = 0, n_values = 0, bytes = 0;
    for (int r = 0; r < in.n_rows; r++) {
        n_tensors += in.rows[r].n_tensors;
        n_values += in.rows[r].n_values;
        bytes += in.rows[r].bytes;
    }
    CU_ASSERT_TRUE(in.n_rows > 2 && n_tensors == in.n_tensors && n_values == in.n_parameters);
    CU_ASSERT_EQUAL(bytes, in.weight_bytes);
    inspection_release(&in);
}

/* A family and a tensor type that nothing here knows, and a vocabulary with one piece missing. */
static void put_unknown(const char *architecture, uint32_t type)
{
    struct gguf_writer w;
    struct strbuf file;
    const uint64_t shape[2] = {4, 256};
    gguf_writer_init(&w);
    strbuf_init(&file, 1 << 20);
    gguf_writer_text(&w, "general.architecture", architecture);
    gguf_writer_text(&w, "tokenizer.ggml.model", "martian");
    gguf_writer_array(&w, "tokenizer.ggml.tokens", GGUF_STRING, 1);
    gguf_writer_put_text(&w, text_of("a"));
    gguf_writer_tensor(&w, "blk.0.attn_q.weight", TENSOR_F32, 2, shape);
    gguf_writer_header(&w, &file);
    /* The type is the u32 in front of the offset that ends the tensor's entry. */
    memcpy(w.tensors.data + w.tensors.length - 12, &type, sizeof type);
    strbuf_clear(&file);
    gguf_writer_header(&w, &file);
    for (int i = 0; i < 4096; i++) strbuf_append_char(&file, '\0');
    put("unknown.gguf", file.data, file.length);
    strbuf_release(&file);
    gguf_writer_release(&w);
}

static void test_unknown(void)
{
    struct inspection in;
    char path[128];
    put_unknown("martian", 16);
    snprintf(path, sizeof path, "%s/unknown.gguf", scratch);
    inspect(&in, path, 0, 1);
    CU_ASSERT_STRING_EQUAL(in.architecture, "martian");
    CU_ASSERT_TRUE(!in.can_run && !in.has_config && !in.has_tokenizer);
    CU_ASSERT_PTR_NOT_NULL(strstr(in.problem, "\"martian\" cannot run here"));
    CU_ASSERT_PTR_NOT_NULL(strstr(in.tokenizer_problem, "martian"));
    CU_ASSERT_EQUAL(in.n_unreadable, 1);
    CU_ASSERT_STRING_EQUAL(in.first_unreadable, "tensor \"blk.0.attn_q.weight\" has type IQ2_XXS");
    CU_ASSERT_EQUAL(in.n_parameters, 1024);
    CU_ASSERT_EQUAL(in.memory.total, 0);
    inspection_release(&in);
    /* The engine itself refuses it. */
    struct status st = {0};
    struct gguf *file = NULL;
    ASSERT_FAILS(gguf_open(&file, path, &st), STATUS_UNSUPPORTED, "IQ2_XXS");
    put_unknown("gemma", 9999);
    inspect(&in, path, 0, 1);
    CU_ASSERT_TRUE(!in.can_run && in.problem && in.n_unreadable == 1);
    inspection_release(&in);
}

static void test_folders(void)
{
    struct inspection in;
    char path[160];
    if (!shared_path("reference/logits")) return;
    inspect(&in, "../shared/reference/logits/mistral-tiny-window", 0, 1);
    CU_ASSERT_STRING_EQUAL(in.format, "safetensors");
    CU_ASSERT_STRING_EQUAL(in.architecture, "mistral");
    CU_ASSERT_TRUE(in.can_run && !in.has_tokenizer && !in.tokenizer_problem);
    CU_ASSERT_EQUAL(in.config.window, 16);
    inspection_release(&in);
    inspect(&in, "../shared/reference/logits/llama-tiny/model.safetensors", 0, 1);
    CU_ASSERT_TRUE(!in.can_run && in.n_tensors > 0 && !in.has_config);
    CU_ASSERT_PTR_NOT_NULL(strstr(in.problem, "single file of weights"));
    inspection_release(&in);
    inspect(&in, "../shared/reference/tokenizers/llama2", 0, 1);
    CU_ASSERT_STRING_EQUAL(in.format, "tokenizer");
    CU_ASSERT_TRUE(in.has_tokenizer && in.tokenizer.n_vocab == 32000 && !in.can_run);
    inspection_release(&in);
    snprintf(path, sizeof path, "../shared/reference/tokenizers/llama2/tokenizer.model");
    inspect(&in, path, 0, 1);
    CU_ASSERT_TRUE(in.has_tokenizer);
    inspection_release(&in);
}

/* ---- what is no file of a model ---- */

static status_code try_inspect(const char *path, struct status *st)
{
    struct inspection in;
    struct inspect_options options = {.path = path};
    *st = (struct status){0};
    status_code code = inspect_path(&in, &options, st);
    if (code == STATUS_OK) inspection_release(&in);
    return code;
}

static void test_refusals(void)
{
    struct status st = {0};
    char folder[160];
    make_scratch();
    snprintf(folder, sizeof folder, "%s/empty", scratch);
    ASSERT_FAILS(try_inspect("/nonexistent", &st), STATUS_NOT_FOUND, "/nonexistent");
    ASSERT_FAILS(try_inspect("/dev/null", &st), STATUS_BAD_INPUT, "not a regular file");
    ASSERT_FAILS(try_inspect(PUT("short.gguf", "GGUF\3"), &st), STATUS_BAD_INPUT, "ends inside");
    ASSERT_FAILS(try_inspect(PUT("wrong.gguf", "GGML1234"), &st), STATUS_BAD_INPUT,
                 "is not a GGUF file");
    ASSERT_FAILS(try_inspect(PUT("x.safetensors", "\x40\0\0\0\0\0\0\0{"), &st), STATUS_BAD_INPUT,
                 "x.safetensors");
    PUT("empty/notes.txt", "nothing");
    ASSERT_FAILS(try_inspect(folder, &st), STATUS_NOT_FOUND, "no model and no tokenizer");
    PUT("empty/config.json", "{\"model_type\": ");
    ASSERT_FAILS(try_inspect(folder, &st), STATUS_BAD_INPUT, "config.json");
    PUT("empty/config.json", "{\"model_type\": \"gemma\"}");
    ASSERT_FAILS(try_inspect(folder, &st), STATUS_NOT_FOUND, "neither model.safetensors nor");
    PUT("empty/model.safetensors.index.json", "{\"weight_map\": {\"a\": \"gone.safetensors\"}}");
    ASSERT_FAILS(try_inspect(folder, &st), STATUS_NOT_FOUND, "gone.safetensors is not there");
}

/* Bytes of a header changed at random: described or refused, never anything else. */
static void test_mutations(void)
{
    struct status st = {0};
    struct strbuf file;
    struct rng rng;
    int n_refused = 0, n_described = 0;
    const char *path = shared_path("reference/logits/quant-q2k/model.gguf");
    if (!path) return;
    strbuf_init(&file, 1 << 24);
    ASSERT_OK(strbuf_read_file(&file, path, &st));
    rng_seed(&rng, 7);
    for (int i = 0; i < 400; i++) {
        size_t at = (size_t)(rng_next(&rng) % 6000);
        char kept = file.data[at];
        file.data[at] = (char)(unsigned char)(rng_next(&rng) >> 56);
        if (try_inspect(put("mutated.gguf", file.data, file.length), &st) == STATUS_OK)
            n_described++;
        else
            n_refused += st.message[0] != '\0';
        file.data[at] = kept;
    }
    CU_ASSERT_EQUAL(n_refused + n_described, 400);
    CU_ASSERT_TRUE(n_refused > 20 && n_described > 20);
    strbuf_release(&file);
}

static const struct test_case tests[] = {
    {"the demo model is described, and its rows add up", test_demo},
    {"predicted memory is within a tenth of what is allocated", test_memory},
    {"unknown families, types and vocabularies are described", test_unknown},
    {"folders, single files and tokenizers are described", test_folders},
    {"broken and missing files are refused by name", test_refusals},
    {"changed headers are described or refused", test_mutations},
};
SUITE("inspect", tests)
