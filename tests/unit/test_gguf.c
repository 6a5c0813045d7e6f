#include <dirent.h>
#include <math.h>
#include <sys/stat.h>

#include "engine/base/rng.h"
#include "engine/gguf/gguf.h"
#include "engine/gguf/gguf_writer.h"
#include "tests/support/model_writer.h"
#include "tests/unit/suite.h"

#define NAME "model.gguf"

struct folder {
    char path[64];
    char file[96];
};

static void folder_make(struct folder *folder)
{
    strcpy(folder->path, "/tmp/test_gguf.XXXXXX");
    CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(folder->path));
    snprintf(folder->file, sizeof folder->file, "%s/%s", folder->path, NAME);
}

static void folder_remove(const struct folder *folder)
{
    unlink(folder->file);
    CU_ASSERT_EQUAL(rmdir(folder->path), 0);
}

static void write_sample(const struct folder *folder, enum gguf_fault fault)
{
    struct strbuf sb;
    strbuf_init(&sb, 1 << 20);
    write_gguf(&sb, fault);
    CU_ASSERT_TRUE_FATAL(sb.state == STATUS_OK);
    CU_ASSERT_TRUE_FATAL(write_file(folder->path, NAME, sb.data, sb.length));
    strbuf_release(&sb);
}

static bool is_one_line(const struct status *st, const char *path)
{
    return strncmp(st->message, path, strlen(path)) == 0 && !strchr(st->message, '\n') &&
           strlen(st->message) + 1 < sizeof st->message;
}

static void check_values(const struct gguf *file)
{
    static const struct {
        const char *key;
        int64_t value;
    } integers[] = {{"u8", 200},         {"i8", -100},         {"u16", 60000},    {"i16", -30000},
                    {"u32", 4000000000}, {"i32", -2000000000}, {"i64", INT64_MIN}};
    struct status st = {0};
    for (size_t i = 0; i < sizeof integers / sizeof integers[0]; i++) {
        int64_t value = 0;
        ASSERT_OK(gguf_get_int(file, integers[i].key, INT64_MIN, INT64_MAX, &value, &st));
        CU_ASSERT_EQUAL(value, integers[i].value);
    }
    double number = 0;
    ASSERT_OK(gguf_get_double(file, "f32", &number, &st));
    CU_ASSERT_EQUAL(number, (double)1e-6f);
    ASSERT_OK(gguf_get_double(file, "f64", &number, &st));
    CU_ASSERT_EQUAL(number, 0.1);
    bool flag = false;
    ASSERT_OK(gguf_get_bool(file, "bool", &flag, &st));
    CU_ASSERT_TRUE(flag);
    struct text text;
    ASSERT_OK(gguf_get_text(file, "general.architecture", &text, &st));
    CU_ASSERT_TRUE(text_equal(text, text_of("test")));
    CU_ASSERT_TRUE(gguf_has(file, "u8"));
    CU_ASSERT_FALSE(gguf_has(file, "u9"));
    CU_ASSERT_FALSE(gguf_has(file, ""));
    CU_ASSERT_EQUAL(st.code, STATUS_OK);
}

static void check_arrays(const struct gguf *file)
{
    struct status st = {0};
    struct gguf_array array;
    ASSERT_OK(gguf_get_array(file, "texts", GGUF_STRING, &array, &st));
    CU_ASSERT_EQUAL_FATAL(array.count, 3);
    CU_ASSERT_TRUE(text_equal(array.texts[0], text_of("one")));
    CU_ASSERT_EQUAL(array.texts[1].length, 0);
    CU_ASSERT_TRUE(text_equal(array.texts[2], (struct text){"t\0o", 3}));
    ASSERT_OK(gguf_get_array(file, "floats", GGUF_F32, &array, &st));
    CU_ASSERT_EQUAL_FATAL(array.count, 2);
    CU_ASSERT_EQUAL(gguf_array_f32(&array, 1), -2.0f);
    ASSERT_OK(gguf_get_array(file, "ints", GGUF_I32, &array, &st));
    CU_ASSERT_EQUAL_FATAL(array.count, 2);
    CU_ASSERT_EQUAL(gguf_array_i32(&array, 1), -8);
    ASSERT_OK(gguf_get_array(file, "none", GGUF_STRING, &array, &st));
    CU_ASSERT_EQUAL(array.count, 0);
}

static void check_tensors(const struct gguf *file)
{
    CU_ASSERT_EQUAL_FATAL(gguf_tensor_count(file), 3);
    const struct tensor_view *f32 = gguf_tensor(file, "f32"), *half = gguf_tensor(file, "half");
    CU_ASSERT_PTR_EQUAL_FATAL(f32, gguf_tensor_at(file, 0));
    CU_ASSERT_PTR_EQUAL_FATAL(half, gguf_tensor_at(file, 2));
    CU_ASSERT_EQUAL(f32->type, TENSOR_F32);
    CU_ASSERT_EQUAL(f32->n_dims, 2);
    CU_ASSERT_TRUE(f32->shape[0] == 3 && f32->shape[1] == 6);
    CU_ASSERT_EQUAL(f32->bytes, 72);
    CU_ASSERT_EQUAL(half->n_dims, 3);
    CU_ASSERT_TRUE(half->shape[0] == 1 && half->shape[1] == 2 && half->shape[2] == 3);
    CU_ASSERT_EQUAL(half->bytes, 12);
    /* The sample's data counts upwards from 0. */
    CU_ASSERT_EQUAL(((const unsigned char *)f32->data)[5], 5);
    CU_ASSERT_EQUAL(((const unsigned char *)half->data)[0], 192);
    CU_ASSERT_STRING_EQUAL(gguf_tensor_at(file, 1)->name, "q8_0");
    CU_ASSERT_EQUAL(gguf_tensor_at(file, 1)->bytes, 2 * sizeof(struct block_q8_0));
    CU_ASSERT_PTR_NULL(gguf_tensor(file, "hal"));
}

static void test_valid_file(void)
{
    struct status st = {0};
    struct folder folder;
    struct gguf *file;
    folder_make(&folder);
    write_sample(&folder, GGUF_VALID);
    ASSERT_OK(gguf_open(&file, folder.file, &st));
    CU_ASSERT_STRING_EQUAL(gguf_path(file), folder.file);
    check_values(file);
    check_arrays(file);
    check_tensors(file);
    gguf_free(file);
    gguf_free(NULL);
    folder_remove(&folder);
}

/* Layouts of versions 2 and 3 are the same. */
static void test_version_2(void)
{
    struct status st = {0};
    struct folder folder;
    struct gguf *file;
    struct strbuf sb;
    folder_make(&folder);
    strbuf_init(&sb, 1 << 20);
    write_gguf(&sb, GGUF_VALID);
    sb.data[4] = 2;
    CU_ASSERT_TRUE(write_file(folder.path, NAME, sb.data, sb.length));
    ASSERT_OK(gguf_open(&file, folder.file, &st));
    check_tensors(file);
    gguf_free(file);
    strbuf_release(&sb);
    folder_remove(&folder);
}

static void test_wrong_questions(void)
{
    struct status st = {0};
    struct folder folder;
    struct gguf *f;
    folder_make(&folder);
    write_sample(&folder, GGUF_VALID);
    ASSERT_OK(gguf_open(&f, folder.file, &st));
    int64_t n;
    double d;
    bool b;
    struct text t;
    struct gguf_array a;
    ASSERT_FAILS(gguf_get_int(f, "x", 0, 1, &n, &st), STATUS_BAD_INPUT, "key \"x\" is missing");
    ASSERT_FAILS(gguf_get_int(f, "u8", 0, 199, &n, &st), STATUS_BAD_INPUT,
                 "key \"u8\" is 200, expected a number from 0 to 199");
    ASSERT_FAILS(gguf_get_int(f, "i8", -99, 0, &n, &st), STATUS_BAD_INPUT, "is -100, expected");
    ASSERT_FAILS(gguf_get_int(f, "u64", 0, INT64_MAX, &n, &st), STATUS_BAD_INPUT,
                 "is 18446744073709551615, expected");
    ASSERT_FAILS(gguf_get_int(f, "f32", 0, 1, &n, &st), STATUS_BAD_INPUT,
                 "is of type f32, expected an integer");
    ASSERT_FAILS(gguf_get_int(f, "bool", 0, 1, &n, &st), STATUS_BAD_INPUT, "is of type bool");
    ASSERT_FAILS(gguf_get_int(f, "none", 0, 1, &n, &st), STATUS_BAD_INPUT, "is of type array");
    ASSERT_FAILS(gguf_get_int(f, "general.architecture", 0, 1, &n, &st), STATUS_BAD_INPUT,
                 "is of type string");
    ASSERT_FAILS(gguf_get_double(f, "u8", &d, &st), STATUS_BAD_INPUT, "expected f32 or f64");
    ASSERT_FAILS(gguf_get_double(f, "floats", &d, &st), STATUS_BAD_INPUT, "is of type array");
    ASSERT_FAILS(gguf_get_double(f, "nan", &d, &st), STATUS_BAD_INPUT, "not a finite number");
    ASSERT_FAILS(gguf_get_bool(f, "u8", &b, &st), STATUS_BAD_INPUT, "expected bool");
    ASSERT_FAILS(gguf_get_text(f, "u8", &t, &st), STATUS_BAD_INPUT, "expected string");
    ASSERT_FAILS(gguf_get_text(f, "texts", &t, &st), STATUS_BAD_INPUT, "is of type array");
    ASSERT_FAILS(gguf_get_array(f, "u8", GGUF_U8, &a, &st), STATUS_BAD_INPUT, "expected array");
    ASSERT_FAILS(gguf_get_array(f, "ints", GGUF_F32, &a, &st), STATUS_BAD_INPUT,
                 "key \"ints\" is an array of i32, expected f32");
    CU_ASSERT_TRUE(is_one_line(&st, folder.file));
    gguf_free(f);
    folder_remove(&folder);
}

static const struct {
    status_code code;
    const char *text;
} faults[GGUF_FAULT_COUNT] = {
    [GGUF_EMPTY] = {STATUS_BAD_INPUT, "is not a GGUF file"},
    [GGUF_BAD_MAGIC] = {STATUS_BAD_INPUT, "is not a GGUF file: it does not start with \"GGUF\""},
    [GGUF_BIG_ENDIAN] = {STATUS_UNSUPPORTED, "is a big-endian GGUF file: convert"},
    [GGUF_VERSION_1] = {STATUS_UNSUPPORTED, "is GGUF version 1, this build reads versions 2 and 3"},
    [GGUF_VERSION_4] = {STATUS_UNSUPPORTED, "is GGUF version 4, this build reads versions 2 and 3"},
    [GGUF_HEADER_TRUNCATED] = {STATUS_BAD_INPUT, "ends inside the header: the file is incomplete"},
    [GGUF_PAIRS_TRUNCATED] = {STATUS_BAD_INPUT, "fetch or convert it again"},
    [GGUF_TENSOR_COUNT_OVER_LIMIT] = {STATUS_LIMIT, "1099511627776 tensors, more than 100000"},
    [GGUF_TENSOR_COUNT_LIES] = {STATUS_BAD_INPUT, "claims 1000 tensors and has"},
    [GGUF_PAIR_COUNT_OVER_LIMIT] = {STATUS_LIMIT, "metadata pairs, more than 100000"},
    [GGUF_PAIR_COUNT_LIES] = {STATUS_BAD_INPUT, "claims 1000 metadata pairs and has"},
    [KV_KEY_LENGTH_LIES] = {STATUS_BAD_INPUT, "metadata pair 17: the key claims 18446744073709551"},
    [KV_KEY_TOO_LONG] = {STATUS_LIMIT, "metadata pair 17: the key has 65536 bytes, more than"},
    [KV_KEY_EMPTY] = {STATUS_BAD_INPUT, "metadata pair 17: the key is empty"},
    [KV_KEY_HOLDS_NUL] = {STATUS_BAD_INPUT, "metadata pair 17: the key is not text"},
    [KV_KEY_NOT_UTF8] = {STATUS_BAD_INPUT, "metadata pair 17: the key is not text"},
    [KV_DUPLICATE_KEY] = {STATUS_BAD_INPUT, "key \"u64\" is given twice"},
    [KV_UNKNOWN_TYPE] = {STATUS_BAD_INPUT, "key \"bad\" has value type 13"},
    [KV_BOOL_2] = {STATUS_BAD_INPUT, "key \"bad\": a bool is 2, expected 0 or 1"},
    [KV_STRING_LENGTH_LIES] = {STATUS_BAD_INPUT, "key \"bad\": the string claims"},
    [KV_ARRAY_OF_ARRAYS] = {STATUS_UNSUPPORTED, "key \"bad\" is an array of arrays"},
    [KV_ARRAY_UNKNOWN_TYPE] = {STATUS_BAD_INPUT, "key \"bad\" has value type 77"},
    [KV_ARRAY_COUNT_OVER_LIMIT] = {STATUS_LIMIT, "elements, more than 16777216"},
    [KV_ARRAY_COUNT_LIES] = {STATUS_BAD_INPUT, "ends inside key \"bad\""},
    [KV_STRINGS_COUNT_LIES] = {STATUS_BAD_INPUT, "key \"bad\" claims 1000000 strings"},
    [KV_STRINGS_LENGTH_LIES] = {STATUS_BAD_INPUT, "key \"bad\": the string claims"},
    [KV_ALIGNMENT_24] = {STATUS_BAD_INPUT, "alignment\" is 24, expected a power of two"},
    [KV_ALIGNMENT_0] = {STATUS_BAD_INPUT, "alignment\" is 0, expected a number from 1"},
    [KV_ALIGNMENT_NOT_INTEGER] = {STATUS_BAD_INPUT, "alignment\" is of type string"},
    [TENSOR_NAME_TOO_LONG] = {STATUS_LIMIT, "tensor 3: the name has 260 bytes, more than 256"},
    [TENSOR_NAME_EMPTY] = {STATUS_BAD_INPUT, "tensor 3: the name is empty"},
    [TENSOR_NAME_NOT_UTF8] = {STATUS_BAD_INPUT, "tensor 3: the name is not text"},
    [TENSOR_DUPLICATE_NAME] = {STATUS_BAD_INPUT, "tensor \"half\" is given twice"},
    [TENSOR_NO_DIMENSION] = {STATUS_BAD_INPUT, "tensor \"bad\" has 0 dimensions, expected 1 to 4"},
    [TENSOR_FIVE_DIMENSIONS] = {STATUS_BAD_INPUT, "tensor \"bad\" has 5 dimensions"},
    [TENSOR_ZERO_DIMENSION] = {STATUS_BAD_INPUT, "tensor \"bad\" has a dimension of 0"},
    [TENSOR_COUNT_OVERFLOWS] = {STATUS_BAD_INPUT, "tensor \"bad\" has more elements than 64 bits"},
    [TENSOR_BYTES_OVERFLOW] = {STATUS_BAD_INPUT, "tensor \"bad\" has more bytes than 64 bits"},
    [TENSOR_TYPE_UNREADABLE] =
        {STATUS_UNSUPPORTED, "tensor \"bad\" has type IQ2_XXS (16), which this build cannot read"},
    [TENSOR_TYPE_UNKNOWN] = {STATUS_UNSUPPORTED, "tensor \"bad\" has type unknown (9999)"},
    [TENSOR_ROW_NOT_WHOLE_BLOCKS] = {STATUS_BAD_INPUT, "tensor \"bad\" has rows of 33 values"},
    [TENSOR_OFFSET_UNALIGNED] = {STATUS_BAD_INPUT, "offset 228, expected a multiple of 32"},
    [TENSOR_OFFSET_PAST_END] = {STATUS_BAD_INPUT, "does not end inside the file"},
    [TENSOR_OFFSET_HUGE] = {STATUS_BAD_INPUT, "does not end inside the file"},
    [TENSOR_DATA_TRUNCATED] = {STATUS_BAD_INPUT, "tensor \"q8_0\" (offset 96, 68 bytes) does not"},
    [TENSOR_DATA_MISSING] = {STATUS_BAD_INPUT, "has 0 bytes of data: it is incomplete"},
    [TENSORS_OVERLAP] = {STATUS_BAD_INPUT, "tensors \"f32\" and \"bad\" overlap"},
};

static void test_every_fault(void)
{
    struct folder folder;
    folder_make(&folder);
    for (enum gguf_fault fault = GGUF_VALID + 1; fault < GGUF_FAULT_COUNT; fault++) {
        struct status st = {0};
        struct gguf *file = NULL;
        CU_ASSERT_PTR_NOT_NULL_FATAL(faults[fault].text);
        write_sample(&folder, fault);
        ASSERT_FAILS(gguf_open(&file, folder.file, &st), faults[fault].code, faults[fault].text);
        CU_ASSERT_TRUE(is_one_line(&st, folder.file));
        CU_ASSERT_PTR_NULL(file);
    }
    folder_remove(&folder);
}

/* Every prefix of a valid header fails; no prefix of a file is taken for a whole one. */
static void test_every_truncation(void)
{
    struct folder folder;
    struct strbuf sb;
    folder_make(&folder);
    strbuf_init(&sb, 1 << 20);
    write_gguf(&sb, GGUF_VALID);
    size_t needed = sb.length - 32 - 20; /* the spare bytes, and padding behind "half" */
    for (size_t n = 0; n < needed; n++) {
        struct status st = {0};
        struct gguf *file = NULL;
        CU_ASSERT_TRUE_FATAL(write_file(folder.path, NAME, sb.data, n));
        CU_ASSERT_EQUAL_FATAL(gguf_open(&file, folder.file, &st), STATUS_BAD_INPUT);
    }
    strbuf_release(&sb);
    folder_remove(&folder);
}

static void test_not_a_file(void)
{
    struct status st = {0};
    struct folder folder;
    struct gguf *file;
    folder_make(&folder);
    ASSERT_FAILS(gguf_open(&file, folder.path, &st), STATUS_BAD_INPUT, "is a directory");
    ASSERT_FAILS(gguf_open(&file, folder.file, &st), STATUS_NOT_FOUND, "No such file");
    CU_ASSERT_EQUAL_FATAL(mkfifo(folder.file, 0600), 0);
    ASSERT_FAILS(gguf_open(&file, folder.file, &st), STATUS_BAD_INPUT, "is not a regular file");
    CU_ASSERT_TRUE(is_one_line(&st, folder.file));
    folder_remove(&folder);
}

/* Reads whatever a file that opened offers; under a sanitizer, a view that lies is a crash. */
static unsigned touch(const struct gguf *file)
{
    struct status st = {0};
    unsigned sum = 0;
    for (size_t i = 0; i < gguf_tensor_count(file); i++) {
        const struct tensor_view *view = gguf_tensor_at(file, i);
        const unsigned char *bytes = view->data;
        for (size_t k = 0; k < view->bytes; k++) sum += bytes[k];
        CU_ASSERT_PTR_EQUAL(gguf_tensor(file, view->name), view);
    }
    struct gguf_array array;
    if (gguf_get_array(file, "texts", GGUF_STRING, &array, &st) == STATUS_OK)
        for (size_t i = 0; i < array.count; i++)
            for (size_t k = 0; k < array.texts[i].length; k++)
                sum += (unsigned char)array.texts[i].data[k];
    return sum;
}

static void mutate(struct rng *rng, char *bytes, size_t *n)
{
    static const uint64_t values[] = {0, 1, 0x7fffffff, 0xffffffff, INT64_MAX, UINT64_MAX};
    for (uint64_t edits = 1 + rng_next(rng) % 4; edits; edits--) {
        size_t at = (size_t)(rng_next(rng) % *n);
        uint64_t kind = rng_next(rng) % 16;
        if (kind == 0)
            *n = at + 1;
        else if (kind < 6 && *n - at >= sizeof values[0])
            memcpy(bytes + at, &values[rng_next(rng) % 6], sizeof values[0]);
        else
            bytes[at] = (char)(bytes[at] ^ (1 << rng_next(rng) % 8));
    }
}

static void test_mutations(void)
{
    struct folder folder;
    struct strbuf sb;
    struct rng rng;
    int n_opened = 0, n_refused = 0;
    folder_make(&folder);
    strbuf_init(&sb, 1 << 20);
    rng_seed(&rng, 20240229);
    for (int i = 0; i < 8000; i++) {
        struct status st = {0};
        struct gguf *file = NULL;
        strbuf_clear(&sb);
        write_gguf(&sb, GGUF_VALID);
        size_t n = sb.length;
        mutate(&rng, sb.data, &n);
        CU_ASSERT_TRUE_FATAL(write_file(folder.path, NAME, sb.data, n));
        if (gguf_open(&file, folder.file, &st) == STATUS_OK) {
            n_opened += touch(file) < UINT32_MAX;
            gguf_free(file);
        } else {
            n_refused += is_one_line(&st, folder.file);
        }
    }
    CU_ASSERT_EQUAL(n_opened + n_refused, 8000);
    CU_ASSERT_TRUE(n_opened > 500 && n_refused > 500);
    strbuf_release(&sb);
    folder_remove(&folder);
}

static bool open_reference(const char *relative)
{
    struct status st = {0};
    struct gguf *file = NULL;
    const char *path = shared_path(relative);
    if (!path) return false;
    status_code code = gguf_open(&file, path, &st);
    if (code == STATUS_OK) {
        CU_ASSERT_TRUE(touch(file) > 0 || gguf_tensor_count(file) == 0);
    } else {
        ASSERT_FAILS(code, STATUS_UNSUPPORTED, "which this build cannot read");
    }
    gguf_free(file);
    return code == STATUS_OK;
}

/* Of the reference models, those in a type of the table open and the others say their type. */
static void test_reference_models(void)
{
    int n_opened = 0, n_files = 0;
    const char *root = shared_path("reference/logits");
    DIR *directory = root ? opendir(root) : NULL;
    for (struct dirent *d; directory && (d = readdir(directory));) {
        char relative[512];
        snprintf(relative, sizeof relative, "reference/logits/%s/" NAME, d->d_name);
        if (strncmp(d->d_name, "gguf-", 5) != 0 && strncmp(d->d_name, "quant-", 6) != 0) continue;
        n_opened += open_reference(relative);
        n_files++;
    }
    if (directory) {
        closedir(directory);
        fprintf(stderr, "  reference models: %d, readable: %d\n", n_files, n_opened);
        CU_ASSERT_TRUE(n_files >= 20 && n_opened >= 9);
    }
    if (root) CU_ASSERT_TRUE(open_reference("reference/logits/quant-q80/" NAME));
    open_reference("reference/tokenizers/llama2/ggml-vocab-llama-spm.gguf");
    open_reference("reference/tokenizers/gpt2/ggml-vocab-gpt-2.gguf");
    open_reference("reference/tokenizers/bert/ggml-vocab-bert-bge.gguf");
}

/* As llama-gguf-split leaves them: a part is a whole GGUF file and no whole model. */
static void test_parts(void)
{
    for (uint32_t count = 0; count <= 3; count++) {
        struct folder folder;
        struct status st = {0};
        struct gguf *file = NULL;
        struct gguf_writer w;
        struct strbuf sb;
        folder_make(&folder);
        gguf_writer_init(&w);
        strbuf_init(&sb, 1 << 16);
        gguf_writer_text(&w, "general.architecture", "llama");
        if (count) gguf_writer_u32(&w, "split.no", count - 1);
        if (count) gguf_writer_u32(&w, "split.count", count);
        gguf_writer_header(&w, &sb);
        CU_ASSERT_TRUE_FATAL(write_file(folder.path, NAME, sb.data, sb.length));
        ASSERT_OK(gguf_open(&file, folder.file, &st));
        if (count < 2)
            ASSERT_OK(gguf_check_whole(file, &st));
        else
            ASSERT_FAILS(gguf_check_whole(file, &st), STATUS_UNSUPPORTED,
                         count == 2 ? "is part 2 of 2" : "is part 3 of 3");
        gguf_free(file);
        gguf_writer_release(&w);
        strbuf_release(&sb);
        folder_remove(&folder);
    }
}

static const struct test_case tests[] = {
    {"a valid file gives its values and tensors", test_valid_file},
    {"version 2 is read like version 3", test_version_2},
    {"a question of the wrong kind is answered with a message", test_wrong_questions},
    {"every fault has its message", test_every_fault},
    {"no beginning of a file opens", test_every_truncation},
    {"directories, pipes and missing files are refused", test_not_a_file},
    {"8000 mutated files open or are refused", test_mutations},
    {"a part of a model says so", test_parts},
    {"reference models open or say which type they have", test_reference_models},
};
SUITE("gguf", tests)
