#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "engine/base/rng.h"
#include "engine/safetensors/safetensors.h"
#include "tests/support/model_writer.h"
#include "tests/unit/suite.h"

#define NAME  "model.safetensors"
#define INDEX "model.safetensors.index.json"

struct folder {
    char path[64];
    char file[96];
};

static void folder_make(struct folder *folder)
{
    strcpy(folder->path, "/tmp/test_safetensors.XXXXXX");
    CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(folder->path));
    snprintf(folder->file, sizeof folder->file, "%s/%s", folder->path, NAME);
}

static void folder_remove(const struct folder *folder)
{
    DIR *directory = opendir(folder->path);
    for (struct dirent *d; directory && (d = readdir(directory));) {
        char path[512];
        snprintf(path, sizeof path, "%s/%s", folder->path, d->d_name);
        if (d->d_name[0] != '.') unlink(path);
    }
    if (directory) closedir(directory);
    CU_ASSERT_EQUAL(rmdir(folder->path), 0);
}

static void write_text(const struct folder *folder, const char *name, const char *text)
{
    CU_ASSERT_TRUE_FATAL(write_file(folder->path, name, text, strlen(text)));
}

static void write_sample(const struct folder *folder, enum safetensors_fault fault)
{
    struct strbuf sb;
    strbuf_init(&sb, 1 << 20);
    write_safetensors(&sb, fault);
    CU_ASSERT_TRUE_FATAL(sb.state == STATUS_OK);
    CU_ASSERT_TRUE_FATAL(write_file(folder->path, NAME, sb.data, sb.length));
    strbuf_release(&sb);
}

/* A shard with one or two F32 tensors of one value each, which tells its place. */
static void write_shard(const struct folder *folder, const char *name, const char *first,
                        const char *second)
{
    const uint64_t one[1] = {1};
    const float values[2] = {1.0f, 2.0f};
    size_t n = second ? 2 : 1;
    struct safetensors_writer w;
    struct strbuf sb;
    strbuf_init(&sb, 1 << 20);
    safetensors_writer_init(&w);
    safetensors_writer_tensor(&w, first, "F32", 4, 1, one);
    if (second) safetensors_writer_tensor(&w, second, "F32", 4, 1, one);
    safetensors_writer_header(&w, &sb);
    strbuf_append(&sb, (const char *)values, n * sizeof values[0]);
    CU_ASSERT_TRUE_FATAL(write_file(folder->path, name, sb.data, sb.length));
    safetensors_writer_release(&w);
    strbuf_release(&sb);
}

static bool is_one_line(const struct status *st, const char *path)
{
    return strncmp(st->message, path, strlen(path)) == 0 && !strchr(st->message, '\n') &&
           strlen(st->message) + 1 < sizeof st->message;
}

static void check_sample(const struct safetensors *files)
{
    CU_ASSERT_EQUAL_FATAL(safetensors_tensor_count(files), 4);
    const struct tensor_view *a = safetensors_tensor(files, "a");
    const struct tensor_view *b = safetensors_tensor(files, "b");
    CU_ASSERT_TRUE_FATAL(a && b && safetensors_tensor_at(files, 0) == a);
    CU_ASSERT_PTR_EQUAL(safetensors_tensor_at(files, 1), b);
    CU_ASSERT_EQUAL(a->type, TENSOR_F32);
    CU_ASSERT_TRUE(a->n_dims == 2 && a->shape[0] == 2 && a->shape[1] == 3 && a->bytes == 24);
    CU_ASSERT_EQUAL(b->type, TENSOR_BF16);
    CU_ASSERT_TRUE(b->n_dims == 1 && b->shape[0] == 4 && b->bytes == 8);
    /* The sample's data counts upwards from 0. */
    CU_ASSERT_EQUAL(*(const unsigned char *)b->data, 24);
    const struct tensor_view *empty = safetensors_tensor(files, "empty");
    const struct tensor_view *scalar = safetensors_tensor(files, "scalar");
    CU_ASSERT_TRUE_FATAL(empty && scalar);
    CU_ASSERT_TRUE(empty->n_dims == 2 && empty->shape[0] == 0 && empty->bytes == 0);
    CU_ASSERT_TRUE(scalar->n_dims == 1 && scalar->shape[0] == 1 && scalar->bytes == 4);
    CU_ASSERT_PTR_NULL(safetensors_tensor(files, "ids"));
    CU_ASSERT_STRING_EQUAL(safetensors_unreadable(files, "ids"), "dtype I64");
    CU_ASSERT_PTR_NULL(safetensors_unreadable(files, "a"));
    CU_ASSERT_PTR_NULL(safetensors_unreadable(files, "c"));
    CU_ASSERT_PTR_NULL(safetensors_tensor(files, "c"));
}

static void test_valid_file(void)
{
    struct status st = {0};
    struct folder folder;
    struct safetensors *files;
    folder_make(&folder);
    write_sample(&folder, SAFETENSORS_VALID);
    const char *paths[] = {folder.file, folder.path};
    for (int i = 0; i < 2; i++) {
        ASSERT_OK(safetensors_open(&files, paths[i], &st));
        check_sample(files);
        CU_ASSERT_EQUAL_FATAL(safetensors_file_count(files), 1);
        CU_ASSERT_STRING_EQUAL(safetensors_file_path(files, 0), folder.file);
        safetensors_free(files);
    }
    safetensors_free(NULL);
    folder_remove(&folder);
}

static void test_no_tensors(void)
{
    struct status st = {0};
    struct folder folder;
    struct safetensors *files;
    folder_make(&folder);
    CU_ASSERT_TRUE(write_file(folder.path, NAME, "\2\0\0\0\0\0\0\0{}", 10));
    ASSERT_OK(safetensors_open(&files, folder.file, &st));
    CU_ASSERT_EQUAL(safetensors_tensor_count(files), 0);
    CU_ASSERT_PTR_NULL(safetensors_tensor(files, "a"));
    safetensors_free(files);
    folder_remove(&folder);
}

/* Five dimensions fit no view; the tensor is still checked and the file still opens. */
static void test_many_dimensions(void)
{
    struct status st = {0};
    struct folder folder;
    struct safetensors *files;
    struct safetensors_writer w;
    struct strbuf sb;
    folder_make(&folder);
    strbuf_init(&sb, 1 << 20);
    safetensors_writer_init(&w);
    safetensors_writer_tensor(&w, "deep", "F32", 8, 5, (const uint64_t[]){1, 1, 2, 1, 1});
    safetensors_writer_header(&w, &sb);
    strbuf_append(&sb, "12345678", 8);
    CU_ASSERT_TRUE(write_file(folder.path, NAME, sb.data, sb.length));
    ASSERT_OK(safetensors_open(&files, folder.file, &st));
    CU_ASSERT_STRING_EQUAL(safetensors_unreadable(files, "deep"), "5 dimensions");
    safetensors_free(files);
    safetensors_writer_release(&w);
    strbuf_release(&sb);
    folder_remove(&folder);
}

static const struct {
    status_code code;
    const char *text;
} faults[SAFETENSORS_FAULT_COUNT] = {
    [SAFETENSORS_EMPTY] = {STATUS_BAD_INPUT, "is not a safetensors file: it has 0 bytes"},
    [SAFETENSORS_SEVEN_BYTES] = {STATUS_BAD_INPUT, "is not a safetensors file: it has 7 bytes"},
    [SAFETENSORS_TRUNCATED] = {STATUS_BAD_INPUT, "tensor \"ids\" ends at byte 44 of the data and"},
    [SAFETENSORS_TRAILING_BYTES] = {STATUS_BAD_INPUT, "1 bytes behind the last tensor belong to"},
    [HEADER_LENGTH_PAST_END] = {STATUS_BAD_INPUT, "claims a header of 1125899906842624 bytes"},
    [HEADER_LENGTH_ZERO] = {STATUS_BAD_INPUT, "a header that does not start with '{'"},
    [HEADER_IS_ARRAY] = {STATUS_BAD_INPUT, "a header that does not start with '{'"},
    [HEADER_STARTS_WITH_SPACE] = {STATUS_BAD_INPUT, "a header that does not start with '{'"},
    [HEADER_NOT_JSON] = {STATUS_BAD_INPUT, "header: not valid JSON at line 1 column"},
    [HEADER_NOT_UTF8] = {STATUS_BAD_INPUT, "header: JSON is not valid UTF-8"},
    [METADATA_NOT_OBJECT] = {STATUS_BAD_INPUT, "\"__metadata__\" is not an object of strings"},
    [METADATA_NOT_STRINGS] = {STATUS_BAD_INPUT, "\"__metadata__\" is not an object of strings"},
    [MEMBER_NOT_OBJECT] = {STATUS_BAD_INPUT, "tensor \"bad\": expected an object"},
    [MEMBER_NAME_TOO_LONG] = {STATUS_LIMIT, "is longer than 256 bytes"},
    [MEMBER_NAME_HOLDS_NUL] = {STATUS_BAD_INPUT, "a tensor name holds a NUL"},
    [MEMBER_DUPLICATE_NAME] = {STATUS_BAD_INPUT, "tensor \"a\" is given twice"},
    [DTYPE_MISSING] = {STATUS_BAD_INPUT, "tensor \"bad\": field \"dtype\" is missing"},
    [DTYPE_NOT_TEXT] = {STATUS_BAD_INPUT, "field \"dtype\" is a number, expected a string"},
    [DTYPE_UNKNOWN] = {STATUS_UNSUPPORTED, "tensor \"bad\" has dtype \"F31\", which"},
    [SHAPE_MISSING] = {STATUS_BAD_INPUT, "tensor \"bad\": field \"shape\" is missing"},
    [SHAPE_NOT_ARRAY] = {STATUS_BAD_INPUT, "field \"shape\" is a number, expected an array"},
    [SHAPE_NEGATIVE] = {STATUS_BAD_INPUT, "tensor \"bad\": \"shape\" holds something that is not"},
    [SHAPE_FRACTION] = {STATUS_BAD_INPUT, "tensor \"bad\": \"shape\" holds something that is not"},
    [SHAPE_OVERFLOWS] = {STATUS_BAD_INPUT, "tensor \"bad\" has more elements than 64 bits"},
    [SHAPE_BITS_OVERFLOW] = {STATUS_BAD_INPUT, "tensor \"bad\" has more bits than 64 bits"},
    [SHAPE_DISAGREES] = {STATUS_BAD_INPUT,
                         "tensor \"bad\" has 8 bytes, its shape and dtype need 12"},
    [SHAPE_HALF_A_BYTE] = {STATUS_BAD_INPUT,
                           "15 values of 4 bits, which are no whole number of bytes"},
    [OFFSETS_MISSING] = {STATUS_BAD_INPUT, "tensor \"bad\": field \"data_offsets\" is missing"},
    [OFFSETS_ONE] = {STATUS_BAD_INPUT, "\"data_offsets\" is not a pair of byte offsets"},
    [OFFSETS_THREE] = {STATUS_BAD_INPUT, "\"data_offsets\" is not a pair of byte offsets"},
    [OFFSETS_NEGATIVE] = {STATUS_BAD_INPUT, "\"data_offsets\" is not a pair of byte offsets"},
    [OFFSETS_BACKWARDS] = {STATUS_BAD_INPUT, "tensor \"bad\" ends at byte 44, before its start"},
    [OFFSETS_PAST_END] = {STATUS_BAD_INPUT, "tensor \"bad\" ends at byte 56 of the data and"},
    [OFFSETS_OVERLAP] = {STATUS_BAD_INPUT, "tensors \"ids\" and \"bad\" overlap"},
    [OFFSETS_LEAVE_HOLE] = {STATUS_BAD_INPUT, "4 bytes before tensor \"bad\" belong to none"},
};

static void test_every_fault(void)
{
    struct folder folder;
    folder_make(&folder);
    for (enum safetensors_fault f = SAFETENSORS_VALID + 1; f < SAFETENSORS_FAULT_COUNT; f++) {
        struct status st = {0};
        struct safetensors *files = NULL;
        CU_ASSERT_PTR_NOT_NULL_FATAL(faults[f].text);
        write_sample(&folder, f);
        ASSERT_FAILS(safetensors_open(&files, folder.file, &st), faults[f].code, faults[f].text);
        CU_ASSERT_TRUE(is_one_line(&st, folder.file));
        CU_ASSERT_PTR_NULL(files);
    }
    folder_remove(&folder);
}

/* The bound is checked before the header is read: the file is a hole of the right size. */
static void test_huge_header(void)
{
    struct status st = {0};
    struct folder folder;
    struct safetensors *files;
    const uint64_t length = LIMIT_SAFETENSORS_HEADER + 1;
    folder_make(&folder);
    CU_ASSERT_TRUE(write_file(folder.path, NAME, &length, sizeof length));
    CU_ASSERT_EQUAL_FATAL(truncate(folder.file, LIMIT_SAFETENSORS_HEADER + 100), 0);
    ASSERT_FAILS(safetensors_open(&files, folder.file, &st), STATUS_LIMIT,
                 "has a header of 104857601 bytes, more than 104857600");
    folder_remove(&folder);
}

static void test_not_a_file(void)
{
    struct status st = {0};
    struct folder folder;
    struct safetensors *files;
    folder_make(&folder);
    ASSERT_FAILS(safetensors_open(&files, folder.path, &st), STATUS_NOT_FOUND,
                 "holds neither model.safetensors nor model.safetensors.index.json");
    char pickle[sizeof folder.path + 32];
    snprintf(pickle, sizeof pickle, "%s/pytorch_model.bin", folder.path);
    CU_ASSERT_TRUE(write_file(folder.path, "pytorch_model.bin", "", 0));
    ASSERT_FAILS(safetensors_open(&files, folder.path, &st), STATUS_UNSUPPORTED,
                 "pickles are programs");
    unlink(pickle);
    ASSERT_FAILS(safetensors_open(&files, folder.file, &st), STATUS_NOT_FOUND, "No such file");
    CU_ASSERT_EQUAL_FATAL(mkfifo(folder.file, 0600), 0);
    ASSERT_FAILS(safetensors_open(&files, folder.path, &st), STATUS_BAD_INPUT,
                 "not a regular file");
    CU_ASSERT_TRUE(is_one_line(&st, folder.file));
    folder_remove(&folder);
}

static void test_shards(void)
{
    struct status st = {0};
    struct folder folder;
    struct safetensors *files;
    folder_make(&folder);
    write_shard(&folder, "two.safetensors", "c", "a");
    write_shard(&folder, "one.safetensors", "b", NULL);
    write_text(&folder, INDEX,
               "{\"metadata\":{},\"weight_map\":{\"c\":\"two.safetensors\","
               "\"b\":\"one.safetensors\",\"a\":\"two.safetensors\"}}");
    ASSERT_OK(safetensors_open(&files, folder.path, &st));
    CU_ASSERT_EQUAL_FATAL(safetensors_file_count(files), 2);
    CU_ASSERT_PTR_NOT_NULL(strstr(safetensors_file_path(files, 0), "/one.safetensors"));
    CU_ASSERT_EQUAL_FATAL(safetensors_tensor_count(files), 3);
    CU_ASSERT_STRING_EQUAL(safetensors_tensor_at(files, 2)->name, "c");
    float value;
    memcpy(&value, safetensors_tensor(files, "a")->data, sizeof value);
    CU_ASSERT_EQUAL(value, 2.0f);
    memcpy(&value, safetensors_tensor(files, "b")->data, sizeof value);
    CU_ASSERT_EQUAL(value, 1.0f);
    safetensors_free(files);
    /* A single file beside them goes before the index, whatever that says. */
    write_shard(&folder, NAME, "d", NULL);
    ASSERT_OK(safetensors_open(&files, folder.path, &st));
    CU_ASSERT_EQUAL(safetensors_file_count(files), 1);
    CU_ASSERT_PTR_NOT_NULL(safetensors_tensor(files, "d"));
    CU_ASSERT_PTR_NULL(safetensors_tensor(files, "a"));
    safetensors_free(files);
    write_text(&folder, NAME, "no safetensors file");
    ASSERT_FAILS(safetensors_open(&files, folder.path, &st), STATUS_BAD_INPUT, "/" NAME);
    folder_remove(&folder);
}

static void test_wrong_indices(void)
{
    static const struct {
        const char *json;
        status_code code;
        const char *text;
    } cases[] = {
        {"", STATUS_BAD_INPUT, "not valid JSON"},
        {"{}", STATUS_BAD_INPUT, "field \"weight_map\" is missing"},
        {"{\"weight_map\":[]}", STATUS_BAD_INPUT, "\"weight_map\" is an array, expected an object"},
        {"{\"weight_map\":{}}", STATUS_BAD_INPUT, "\"weight_map\" is empty"},
        {"{\"weight_map\":{\"a\":1}}", STATUS_BAD_INPUT,
         "of tensor \"a\" is not a plain file name"},
        {"{\"weight_map\":{\"a\":\"../x\"}}", STATUS_BAD_INPUT, "is not a plain file name"},
        {"{\"weight_map\":{\"a\":\"/etc/passwd\"}}", STATUS_BAD_INPUT, "is not a plain file name"},
        {"{\"weight_map\":{\"a\":\"..\"}}", STATUS_BAD_INPUT, "is not a plain file name"},
        {"{\"weight_map\":{\"a\":\"one\\u0000\"}}", STATUS_BAD_INPUT, "is not a plain file name"},
        {"{\"weight_map\":{\"a\":\"\"}}", STATUS_BAD_INPUT, "is not a plain file name"},
        {"{\"weight_map\":{\"a\":\"one\",\"a\":\"one\"}}", STATUS_BAD_INPUT,
         "tensor \"a\" is given twice"},
        {"{\"weight_map\":{\"a\":\"one\",\"b\":\"three\"}}", STATUS_NOT_FOUND,
         "/three is not there: fetch it too"},
        {"{\"weight_map\":{\"a\":\"one\",\"z\":\"one\"}}", STATUS_BAD_INPUT,
         "tensor \"z\" is not in its shard one"},
        {"{\"weight_map\":{\"a\":\"two\",\"b\":\"one\"}}", STATUS_BAD_INPUT,
         "tensor \"a\" is not in its shard two"},
    };
    struct folder folder;
    folder_make(&folder);
    write_shard(&folder, "one", "a", NULL);
    write_shard(&folder, "two", "b", NULL);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct status st = {0};
        struct safetensors *files = NULL;
        write_text(&folder, INDEX, cases[i].json);
        ASSERT_FAILS(safetensors_open(&files, folder.path, &st), cases[i].code, cases[i].text);
        CU_ASSERT_PTR_NOT_NULL(strstr(st.message, "/" INDEX ": "));
        CU_ASSERT_TRUE(is_one_line(&st, folder.path));
    }
    folder_remove(&folder);
}

static void test_name_in_two_shards(void)
{
    struct status st = {0};
    struct folder folder;
    struct safetensors *files;
    folder_make(&folder);
    write_shard(&folder, "one", "a", NULL);
    write_shard(&folder, "two", "b", "a");
    write_text(&folder, INDEX, "{\"weight_map\":{\"a\":\"one\",\"b\":\"two\"}}");
    ASSERT_FAILS(safetensors_open(&files, folder.path, &st), STATUS_BAD_INPUT,
                 "/two: tensor \"a\" is also in ");
    CU_ASSERT_PTR_NOT_NULL(strstr(st.message, "/one"));
    folder_remove(&folder);
}

/* Reads whatever a file that opened offers; under a sanitizer, a view that lies is a crash. */
static unsigned touch(const struct safetensors *files)
{
    unsigned sum = 0;
    for (size_t i = 0; i < safetensors_tensor_count(files); i++) {
        const struct tensor_view *view = safetensors_tensor_at(files, i);
        const unsigned char *bytes = view->data;
        for (size_t k = 0; k < view->bytes; k++) sum += bytes[k];
        CU_ASSERT_PTR_EQUAL(safetensors_tensor(files, view->name), view);
    }
    return sum;
}

static void mutate(struct rng *rng, char *bytes, size_t *n)
{
    static const char likely[] = "0123456789[]{},:\"-e. \\";
    for (uint64_t edits = 1 + rng_next(rng) % 3; edits; edits--) {
        size_t at = (size_t)(rng_next(rng) % *n);
        uint64_t kind = rng_next(rng) % 16;
        if (kind == 0)
            *n = at + 1;
        else if (kind < 10)
            bytes[at] = likely[rng_next(rng) % (sizeof likely - 1)];
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
        struct safetensors *files = NULL;
        strbuf_clear(&sb);
        write_safetensors(&sb, SAFETENSORS_VALID);
        size_t n = sb.length;
        mutate(&rng, sb.data, &n);
        CU_ASSERT_TRUE_FATAL(write_file(folder.path, NAME, sb.data, n));
        if (safetensors_open(&files, folder.file, &st) == STATUS_OK) {
            n_opened += touch(files) < UINT32_MAX;
            safetensors_free(files);
        } else {
            n_refused += is_one_line(&st, folder.file);
        }
    }
    CU_ASSERT_EQUAL(n_opened + n_refused, 8000);
    CU_ASSERT_TRUE(n_opened > 500 && n_refused > 500);
    strbuf_release(&sb);
    folder_remove(&folder);
}

static void test_reference_models(void)
{
    int n_opened = 0;
    const char *root = shared_path("reference/logits");
    DIR *directory = root ? opendir(root) : NULL;
    for (struct dirent *d; directory && (d = readdir(directory));) {
        struct status st = {0};
        struct safetensors *files;
        char path[512];
        snprintf(path, sizeof path, "../shared/reference/logits/%s/config.json", d->d_name);
        if (access(path, R_OK) != 0) continue; /* a GGUF model */
        *strrchr(path, '/') = '\0';
        ASSERT_OK(safetensors_open(&files, path, &st));
        CU_ASSERT_TRUE(safetensors_tensor_count(files) > 10 && touch(files) > 0);
        safetensors_free(files);
        n_opened++;
    }
    if (!directory) return;
    closedir(directory);
    fprintf(stderr, "  reference models: %d\n", n_opened);
    CU_ASSERT_TRUE(n_opened >= 11);
}

static const struct test_case tests[] = {
    {"a valid file gives its tensors, from a directory too", test_valid_file},
    {"a file may hold no tensors", test_no_tensors},
    {"a tensor of five dimensions is there and unreadable", test_many_dimensions},
    {"every fault has its message", test_every_fault},
    {"a header over the limit is not read", test_huge_header},
    {"directories without a model, pipes and missing files are refused", test_not_a_file},
    {"shards make one model", test_shards},
    {"every wrong index has its message", test_wrong_indices},
    {"a name may be in one shard only", test_name_in_two_shards},
    {"8000 mutated files open or are refused", test_mutations},
    {"reference models open", test_reference_models},
};
SUITE("safetensors", tests)
