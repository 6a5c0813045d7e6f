/* Readers and datasets: what a file becomes, and the one line that says why it cannot. */
#include "tests/unit/scratch.h"
#include "tests/unit/suite.h"

#include "datasets/dataset.h"
#include "datasets/file_reader.h"
#include "datasets/gsm8k.h"
#include "datasets/jsonl_reader.h"
#include "datasets/mmlu.h"
#include "datasets/table_reader.h"
#include "engine/base/limits.h"

/* ---- tables ---- */

/* Reads a whole table and prints it as [field|field] rows. */
static status_code print_table(enum table_kind kind, const char *bytes, size_t n,
                               struct strbuf *out, struct status *st)
{
    struct table_reader *reader;
    struct table_row row;
    strbuf_clear(out);
    status_code code = table_reader_create(&reader, kind, "t.csv", (struct text){bytes, n}, st);
    if (code != STATUS_OK) return code;
    while ((code = table_reader_next(reader, &row, st)) == STATUS_OK && row.n_fields) {
        for (size_t i = 0; i < row.n_fields; i++) {
            strbuf_append_str(out, i ? "|" : "[");
            strbuf_append(out, row.fields[i].data, row.fields[i].length);
        }
        strbuf_append_str(out, "]");
    }
    table_reader_free(reader);
    return code;
}

static void test_csv(void)
{
    /* What csv.reader() of CPython 3.11 makes of each (empty rows left out). */
    static const struct {
        const char *csv, *rows;
    } cases[] = {
        {"a,b\nc,d\n", "[a|b][c|d]"},
        {"a,b\r\nc,d", "[a|b][c|d]"},
        {"a,b\rc,d\r", "[a|b][c|d]"},
        {"\"a,b\",\"c\nd\",\"e\r\nf\"\n", "[a,b|c\nd|e\r\nf]"},
        {"\"say \"\"hi\"\"\",x\n", "[say \"hi\"|x]"},
        {"ab\"c,\"d\"e\"f\n", "[ab\"c|de\"f]"},
        {"a,,\n,,\n", "[a||][||]"},
        {"\n\na\n\n\"\"\n", "[a][]"},
        {" \"a\", b \n", "[ \"a\"| b ]"},
        {"\xef\xbb\xbfx,y", "[x|y]"},
        {"\"\"\"\"\n", "[\"]"},
        {"a,\"b\"", "[a|b]"},
        {"a,", "[a|]"},
        {"", ""},
    };
    struct status st = {0};
    struct strbuf out;
    strbuf_init(&out, 1000);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ASSERT_OK(print_table(TABLE_CSV, cases[i].csv, strlen(cases[i].csv), &out, &st));
        CU_ASSERT_STRING_EQUAL(out.data, cases[i].rows);
    }
    strbuf_release(&out);
}

static void test_tsv(void)
{
    struct status st = {0};
    struct strbuf out;
    strbuf_init(&out, 1000);
    static const char tsv[] = "How many \"a, b\"?\t18\n\"\t\r\nlast\t1";
    ASSERT_OK(print_table(TABLE_TSV, tsv, strlen(tsv), &out, &st));
    CU_ASSERT_STRING_EQUAL(out.data, "[How many \"a, b\"?|18][\"|][last|1]");
    strbuf_release(&out);
}

static void test_bad_tables(void)
{
    struct status st = {0};
    struct strbuf out;
    strbuf_init(&out, 1000);
#define BAD(bytes, code, says)                                                                     \
    ASSERT_FAILS(print_table(TABLE_CSV, bytes, sizeof(bytes) - 1, &out, &st), code, says)
    BAD("a,b\nc,\"d\ne\n", STATUS_BAD_INPUT, "t.csv: line 2: field 2: a quote is never closed");
    BAD("\"", STATUS_BAD_INPUT, "t.csv: line 1: field 1: a quote is never closed");
    BAD("a\n\"x\ny\",\xff\n", STATUS_BAD_INPUT, "t.csv: line 2: field 2 is not valid UTF-8");
    BAD("a,b\0c\n", STATUS_BAD_INPUT, "t.csv: line 1: field 2 holds a NUL byte");
    CU_ASSERT_PTR_NULL(strchr(st.message, '\n'));

    char *wide = calloc(LIMIT_CSV_FIELDS + 1, 1);
    memset(wide, ',', LIMIT_CSV_FIELDS);
    ASSERT_FAILS(print_table(TABLE_CSV, wide, LIMIT_CSV_FIELDS, &out, &st), STATUS_LIMIT,
                 "t.csv: line 1: more than 4096 fields");
    free(wide);
    char *longest = malloc(LIMIT_LINE_BYTES + 1);
    memset(longest, 'x', LIMIT_LINE_BYTES + 1);
    ASSERT_FAILS(print_table(TABLE_CSV, longest, LIMIT_LINE_BYTES + 1, &out, &st), STATUS_LIMIT,
                 "t.csv: line 1: row is longer than");
    free(longest);
    strbuf_release(&out);
}

/* ---- JSON Lines ---- */

/* Counts the objects and sums their "n". */
static status_code read_jsonl(const char *bytes, size_t n, int64_t *sum, struct status *st)
{
    struct jsonl_reader reader = jsonl_reader_start("t.jsonl", (struct text){bytes, n});
    struct json_value *object;
    status_code code;
    *sum = 0;
    while ((code = jsonl_reader_next(&reader, &object, st)) == STATUS_OK && object) {
        int64_t value;
        code = json_get_int(object, "n", 0, 100, &value, st);
        json_free(object);
        if (code != STATUS_OK) return jsonl_reader_prefix(&reader, st);
        *sum += value;
    }
    return code;
}

static void test_jsonl(void)
{
    struct status st = {0};
    int64_t sum;
    static const char good[] =
        "\xef\xbb\xbf{\"n\": 1}\r\n\n  \n{\"n\": 2, \"m\": [\"\\u2019\"]}\n{\"n\": 4}";
    ASSERT_OK(read_jsonl(good, strlen(good), &sum, &st));
    CU_ASSERT_EQUAL(sum, 7);
#define BAD_JSONL(bytes, code, says)                                                               \
    ASSERT_FAILS(read_jsonl(bytes, sizeof(bytes) - 1, &sum, &st), code, says)
    BAD_JSONL("{\"n\": 1}\n{\"n\": }\n", STATUS_BAD_INPUT,
              "t.jsonl: line 2: not valid JSON at column");
    BAD_JSONL("{\"n\": 1}\n\n[1]\n", STATUS_BAD_INPUT, "t.jsonl: line 3: is an array");
    BAD_JSONL("{\"m\": 1}", STATUS_BAD_INPUT, "t.jsonl: line 1: field \"n\" is missing");
    BAD_JSONL("{\"n\": \"1\"}", STATUS_BAD_INPUT, "t.jsonl: line 1: field \"n\" is a string");
    BAD_JSONL("{\"n\": \"\xff\"}", STATUS_BAD_INPUT, "t.jsonl: line 1: not valid UTF-8");
    BAD_JSONL("{\"n\"\0: 1}", STATUS_BAD_INPUT, "t.jsonl: line 1: holds a NUL byte");
    char *longest = malloc(LIMIT_LINE_BYTES + 1);
    memset(longest, '[', LIMIT_LINE_BYTES + 1);
    ASSERT_FAILS(read_jsonl(longest, LIMIT_LINE_BYTES + 1, &sum, &st), STATUS_LIMIT,
                 "t.jsonl: line 1: longer than");
    free(longest);
}

/* ---- files ---- */

/* `printf hello | gzip -n`, twice the same member in one file. */
#define GZIP_HELLO                                                                                 \
    "\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\xcb\x48\xcd\xc9\xc9\x07\x00\x86\xa6\x10\x36\x05\x00" \
    "\x00\x00"

static void test_gzip(void)
{
    struct status st = {0};
    struct strbuf content;
    struct file_digests digests;
    strbuf_init(&content, 100);
    ASSERT_OK(file_read(&content, &digests, PUT("two.gz", GZIP_HELLO GZIP_HELLO), &st));
    CU_ASSERT_STRING_EQUAL(content.data, "hellohello");
    CU_ASSERT_STRING_NOT_EQUAL(digests.stored, digests.content);
    strbuf_clear(&content);
    ASSERT_OK(file_read(&content, &digests, PUT("hello.txt", "hello"), &st));
    CU_ASSERT_STRING_EQUAL(digests.stored,
                           "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824");
    CU_ASSERT_STRING_EQUAL(digests.stored, digests.content);

    const char *cut = put("cut.gz", GZIP_HELLO, 20);
    ASSERT_FAILS(file_read(&content, &digests, cut, &st), STATUS_BAD_INPUT,
                 "gzip data is cut short");
    const char *bad = PUT("bad.gz", "\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\xff\xff\xff\xff");
    ASSERT_FAILS(file_read(&content, &digests, bad, &st), STATUS_BAD_INPUT, "gzip data is damaged");
    const char *more = PUT("more.gz", GZIP_HELLO "tail");
    ASSERT_FAILS(file_read(&content, &digests, more, &st), STATUS_BAD_INPUT, "bytes follow");
    ASSERT_FAILS(file_read(&content, &digests, "/nowhere/x", &st), STATUS_NOT_FOUND, "/nowhere/x");
    strbuf_release(&content);
    strbuf_init(&content, 30); /* room for the packed bytes, not for what they hold */
    const char *bomb = PUT("bomb.gz", GZIP_HELLO);
    strbuf_append_str(&content, "something that is here already");
    ASSERT_FAILS(file_read(&content, &digests, bomb, &st), STATUS_LIMIT, "longer than 30 bytes");
    strbuf_release(&content);
}

/* ---- datasets ---- */

static status_code load_mmlu(const char *csv, size_t n, struct status *st)
{
    struct dataset *data = NULL;
    const struct mmlu_question *questions;
    size_t count;
    put("bad/mmlu/test/anatomy_test.csv", csv, n);
    char dir[128];
    snprintf(dir, sizeof dir, "%s/bad", scratch);
    status_code code = dataset_open(&data, &(struct dataset_lookup){.data_dir = dir}, "mmlu", st);
    if (code == STATUS_OK) code = mmlu_load(data, "anatomy", "test", &questions, &count, st);
    dataset_free(data);
    return code;
}

static status_code load_gsm8k(const char *jsonl, size_t n, struct status *st)
{
    struct dataset *data = NULL;
    const struct gsm8k_problem *problems;
    size_t count;
    put("bad/gsm8k/test.jsonl", jsonl, n);
    char dir[128];
    snprintf(dir, sizeof dir, "%s/bad", scratch);
    status_code code = dataset_open(&data, &(struct dataset_lookup){.data_dir = dir}, "gsm8k", st);
    if (code == STATUS_OK) code = gsm8k_load(data, "test", &problems, &count, st);
    dataset_free(data);
    return code;
}

static void test_bad_samples(void)
{
    struct status st = {0};
#define BAD_MMLU(csv, says)                                                                        \
    ASSERT_FAILS(load_mmlu(csv, sizeof(csv) - 1, &st), STATUS_BAD_INPUT, says)
    BAD_MMLU("q,1,2,3,4,A\nq,1,2,3,4,E\n",
             "anatomy_test.csv: line 2: field 6 (the answer) is \"E\", expected A, B, C or D");
    BAD_MMLU("q,1,2,3,4,\n", "line 1: field 6");
    BAD_MMLU("q,1,2,3,4,AB\n", "line 1: field 6");
    BAD_MMLU("q,1,2,3,A\n", "anatomy_test.csv: line 1: has 5 fields, expected 6");
    BAD_MMLU("q,1,2,3,4,A,\n", "line 1: has 7 fields, expected 6");
    BAD_MMLU("q,1,2,3,4,A\n\"q,1,2,3,4,A\n", "line 2: field 1: a quote is never closed");
    BAD_MMLU("", "the file is empty");
    BAD_MMLU("\n\n", "the file has no rows");
#define BAD_GSM8K(jsonl, says)                                                                     \
    ASSERT_FAILS(load_gsm8k(jsonl, sizeof(jsonl) - 1, &st), STATUS_BAD_INPUT, says)
    BAD_GSM8K("{\"question\": \"q\", \"answer\": \"a\"}\n{\"question\": \"q\"}\n",
              "test.jsonl: line 2: field \"answer\" is missing");
    BAD_GSM8K("{\"question\": 5, \"answer\": \"a\"}", "line 1: field \"question\" is a number");
    BAD_GSM8K("", "the file is empty");
    BAD_GSM8K("\n", "the file has no rows");
}

static void test_lookup(void)
{
    struct status st = {0};
    struct dataset *data;
    make_scratch();
    PUT("named/gsm8k/test.jsonl", "{\"question\": \"named\", \"answer\": \"#### 1\"}");
    PUT("cache/assay/datasets/gsm8k/test.jsonl", "{}");
    PUT("demo/mmlu/test/anatomy_test.csv", "q,1,2,3,4,A");
    PUT("demo/manifest.json", "{\"mmlu_subjects\": [\"anatomy\"]}");
    char named[128], cache[128], demo[128];
    snprintf(named, sizeof named, "%s/named", scratch);
    snprintf(cache, sizeof cache, "%s/cache", scratch);
    snprintf(demo, sizeof demo, "%s/demo", scratch);
    setenv("XDG_CACHE_HOME", cache, 1);
    unsetenv("ASSAY_DATA");
    struct dataset_lookup lookup = {.demo_dir = demo};

    ASSERT_OK(dataset_open(&data, &lookup, "gsm8k", &st));
    CU_ASSERT_EQUAL(dataset_origin(data), DATASET_CACHE);
    dataset_free(data);
    ASSERT_OK(dataset_open(&data, &lookup, "mmlu", &st));
    CU_ASSERT_EQUAL(dataset_origin(data), DATASET_DEMO);
    const char *const *subjects;
    ASSERT_OK(dataset_listed(data, "mmlu_subjects", &subjects, &st));
    CU_ASSERT_STRING_EQUAL(subjects[0], "anatomy");
    CU_ASSERT_PTR_NULL(subjects[1]);
    ASSERT_OK(dataset_listed(data, "no_such_key", &subjects, &st));
    CU_ASSERT_PTR_NULL(subjects);
    dataset_free(data);

    setenv("ASSAY_DATA", named, 1);
    ASSERT_OK(dataset_open(&data, &lookup, "gsm8k", &st));
    CU_ASSERT_EQUAL(dataset_origin(data), DATASET_ENVIRONMENT);
    dataset_free(data);
    ASSERT_FAILS(dataset_open(&data, &lookup, "mmlu", &st), STATUS_NOT_FOUND, "$ASSAY_DATA");
    lookup.data_dir = demo;
    ASSERT_OK(dataset_open(&data, &lookup, "mmlu", &st));
    CU_ASSERT_EQUAL(dataset_origin(data), DATASET_NAMED);
    dataset_free(data);
    ASSERT_FAILS(dataset_open(&data, &lookup, "gsm8k", &st), STATUS_NOT_FOUND,
                 "has no folder gsm8k");
    unsetenv("ASSAY_DATA");
    lookup = (struct dataset_lookup){0};
    ASSERT_FAILS(dataset_open(&data, &lookup, "mmlu", &st), STATUS_NOT_FOUND, "--data");
}

static void test_digests(void)
{
    struct status st = {0};
    struct dataset *data;
    const struct gsm8k_problem *problems;
    size_t n;
    char dir[128], hex[SHA256_HEX_SIZE];
    PUT("packed/gsm8k/test.jsonl.gz", GZIP_HELLO);
    PUT("plain/gsm8k/test.jsonl", "{\"question\": \"q\", \"answer\": \"a\"}\n");
    PUT("plain/gsm8k/train.jsonl", "{\"question\": \"r\", \"answer\": \"b\"}\n");
    snprintf(dir, sizeof dir, "%s/plain", scratch);
    struct dataset_lookup lookup = {.data_dir = dir};
    ASSERT_OK(dataset_open(&data, &lookup, "gsm8k", &st));
    CU_ASSERT_EQUAL(dataset_matches_manifest(data), MANIFEST_UNKNOWN);
    ASSERT_OK(gsm8k_load(data, "train", &problems, &n, &st));
    ASSERT_OK(gsm8k_load(data, "test", &problems, &n, &st));
    CU_ASSERT_EQUAL(dataset_matches_manifest(data), MANIFEST_DIFFERENT);
    ASSERT_OK(dataset_sha256(data, hex, &st));
    /* printf '...' for both files, then: sha256sum gsm8k/test.jsonl gsm8k/train.jsonl | sha256sum
     */
    CU_ASSERT_STRING_EQUAL(hex, "ebdfd5a71e6f44f446388d1962d69fa36418cb8424a1006fe2fb7c4d5915a5bd");
    dataset_free(data);

    snprintf(dir, sizeof dir, "%s/packed", scratch);
    ASSERT_OK(dataset_open(&data, &lookup, "gsm8k", &st));
    CU_ASSERT_TRUE(dataset_has(data, "test.jsonl"));
    CU_ASSERT_FALSE(dataset_has(data, "train.jsonl"));
    struct strbuf bytes;
    ASSERT_OK(dataset_read(data, "test.jsonl", &bytes, &st));
    CU_ASSERT_STRING_EQUAL(bytes.data, "hello");
    strbuf_release(&bytes);
    ASSERT_FAILS(dataset_read(data, "train.jsonl", &bytes, &st), STATUS_NOT_FOUND,
                 "packed/gsm8k/train.jsonl");
    strbuf_release(&bytes);
    dataset_free(data);
}

static void test_grow(void)
{
    struct status st = {0};
    struct dataset *data;
    char dir[128];
    PUT("plain/gsm8k/test.jsonl", "{\"question\": \"q\", \"answer\": \"a\"}\n");
    snprintf(dir, sizeof dir, "%s/plain", scratch);
    ASSERT_OK(dataset_open(&data, &(struct dataset_lookup){.data_dir = dir}, "gsm8k", &st));
    int *numbers = NULL;
    for (int i = 0; i < 1000; i++) {
        numbers = dataset_grow(data, numbers, (size_t)i, sizeof *numbers);
        CU_ASSERT_PTR_NOT_NULL_FATAL(numbers);
        numbers[i] = i;
    }
    bool kept = true;
    for (int i = 0; i < 1000; i++) kept = kept && numbers[i] == i;
    CU_ASSERT_TRUE(kept);
    dataset_free(data);
}

static bool text_starts_with(struct text text, const char *start)
{
    size_t n = strlen(start);
    return text.length >= n && memcmp(text.data, start, n) == 0;
}

static void test_manifests(void)
{
    struct status st = {0};
    struct manifest *manifest;
    for (size_t i = 0; manifest_name_at(i); i++) {
        ASSERT_OK(manifest_open(&manifest, manifest_name_at(i), &st));
        struct text licence;
        ASSERT_OK(json_get_text(manifest_json(manifest), "licence", &licence, &st));
        CU_ASSERT_TRUE(text_starts_with(licence, "MIT") || text_starts_with(licence, "CC-BY") ||
                       text_starts_with(licence, "Apache-2.0") ||
                       text_starts_with(licence, "AFL-3.0"));
        CU_ASSERT_TRUE(json_has(manifest_json(manifest), "known_bad"));
        CU_ASSERT_EQUAL(manifest_compare(manifest, "no/such/file", ""), MANIFEST_UNKNOWN);
        manifest_free(manifest);
    }
    ASSERT_OK(manifest_open(&manifest, "no_such_dataset", &st));
    CU_ASSERT_PTR_NULL(manifest);
}

static void test_shared_data(void)
{
    struct status st = {0};
    struct dataset *data;
    const struct gsm8k_problem *problems;
    const struct mmlu_question *questions;
    size_t n;
    if (!shared_path("data/gsm8k/test.jsonl")) return;
    struct dataset_lookup lookup = {.data_dir = "../shared/data"};
    ASSERT_OK(dataset_open(&data, &lookup, "gsm8k", &st));
    ASSERT_OK(gsm8k_load(data, "test", &problems, &n, &st));
    CU_ASSERT_EQUAL(n, 1319);
    ASSERT_OK(gsm8k_load(data, "train", &problems, &n, &st));
    CU_ASSERT_EQUAL(n, 7473);
    CU_ASSERT_EQUAL(dataset_matches_manifest(data), MANIFEST_SAME);
    dataset_free(data);
    ASSERT_OK(dataset_open(&data, &lookup, "mmlu", &st));
    ASSERT_OK(mmlu_load(data, "abstract_algebra", "test", &questions, &n, &st));
    CU_ASSERT_EQUAL(n, 100);
    CU_ASSERT_EQUAL(questions[0].answer, 1);
    CU_ASSERT_EQUAL(dataset_matches_manifest(data), MANIFEST_SAME);
    dataset_free(data);
}

static const struct test_case tests[] = {
    {"CSV is read as Python reads it", test_csv},
    {"TSV has no quoting", test_tsv},
    {"bad tables are named by file, line and field", test_bad_tables},
    {"JSON Lines, good and bad", test_jsonl},
    {"gzip: members, damage, bounds", test_gzip},
    {"bad samples are named by file, line and field", test_bad_samples},
    {"the data directory is looked up in order", test_lookup},
    {"files are pinned by their digests", test_digests},
    {"items grow in the arena", test_grow},
    {"manifests are inside the program", test_manifests},
    {"the public files are the official ones", test_shared_data},
};
SUITE("datasets", tests)
