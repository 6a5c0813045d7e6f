/* Store files that are damaged in ways nobody thought of: with fixed seeds, each is either read or
 * refused in one line, by every report and by what writes. */
#include "engine/base/limits.h"
#include "engine/base/rng.h"
#include "reports/report.h"
#include "tests/unit/scratch.h"
#include "tests/unit/store_fixture.h"

#define ROUNDS 120
#define N_DOCS 12
#define NAME   "damaged.sqlite"

static const char *in_scratch(const char *name)
{
    static char path[160];
    make_scratch();
    snprintf(path, sizeof path, "%s/%s", scratch, name);
    remember(path);
    return path;
}

/* Two finished runs, as they lie on the disk. */
static void read_whole_store(struct strbuf *out)
{
    static const double one[N_DOCS] = {1, 0, 1, 1}, other[N_DOCS] = {1, 1, 0, 1, 1};
    struct status st = {0};
    struct store *store;
    const char *path = in_scratch("whole.sqlite");
    ASSERT_OK(store_open(&store, path, STORE_WRITE, &st));
    ASSERT_OK(fixture_full_run(store, "a", "quiz", one, N_DOCS, &st));
    ASSERT_OK(fixture_full_run(store, "b", "quiz", other, N_DOCS, &st));
    store_free(store);
    ASSERT_OK(strbuf_read_file(out, path, &st));
}

static status_code drop(void *user, struct text line, struct status *st)
{
    (void)user, (void)line, (void)st;
    return STATUS_OK;
}

static status_code print_table(struct store *store, struct strbuf *out, struct status *st)
{
    struct score_table *table;
    status_code code = score_table_load(&table, store, "a", SCORE_COVERAGE_FLOOR, st);
    if (code != STATUS_OK) return code;
    report_table_text(table, out);
    report_table_json(table, out);
    score_table_free(table);
    return STATUS_OK;
}

static status_code print_comparison(struct store *store, struct strbuf *out, struct status *st)
{
    const struct comparison_options options = {.column = COMPARE_OFF};
    struct comparison *comparison;
    status_code code = comparison_create(&comparison, store, "a", store, "b", &options, st);
    if (code != STATUS_OK) return code;
    report_comparison_json(comparison, out);
    comparison_free(comparison);
    return STATUS_OK;
}

static status_code print_page(struct store *store, struct strbuf *out, struct status *st)
{
    static const char *const runs[] = {"a", "b"};
    const struct html_options options = {.coverage_floor = SCORE_COVERAGE_FLOOR};
    return report_html(store, runs, 2, &options, out, st);
}

static status_code print_lines(struct store *store, struct strbuf *out, struct status *st)
{
    (void)out;
    return report_jsonl(store, "b", drop, NULL, st);
}

static status_code write_more(struct store *store, struct strbuf *out, struct status *st)
{
    struct store_run run = fixture_run("c", GUARD_OFF);
    struct store_task task = fixture_task("quiz", 0);
    (void)out;
    status_code code = fixture_add_run(store, &run, &task, 2, st);
    if (code == STATUS_OK) code = store_begin(store, st);
    if (code == STATUS_OK) code = fixture_answer(store, "c", "quiz", 0, 1, st);
    return code == STATUS_OK ? store_commit(store, st) : code;
}

typedef status_code use_fn(struct store *store, struct strbuf *out, struct status *st);

/* Whether it could be done; else that the message is one line. */
static bool use(use_fn *what, enum store_access access)
{
    struct status st = {0};
    struct store *store = NULL;
    struct strbuf out;
    strbuf_init(&out, 1 << 24);
    status_code code = store_open(&store, in_scratch(NAME), access, &st);
    if (code == STATUS_OK) code = what(store, &out, &st);
    store_free(store);
    strbuf_release(&out);
    bool one_line = st.message[0] && !strchr(st.message, '\n');
    CU_ASSERT_TRUE(code == STATUS_OK || one_line);
    return code == STATUS_OK;
}

/* One to thirty edits of a few bytes, half of them near the start, where the schema is; or the end
 * is missing. */
static void damage(struct rng *rng, const struct strbuf *from, struct strbuf *out)
{
    strbuf_clear(out);
    strbuf_append(out, from->data, from->length);
    if (rng_next(rng) % 8 == 0) strbuf_truncate(out, (size_t)(rng_next(rng) % from->length));
    for (uint64_t edits = 1 + rng_next(rng) % 30; edits && out->length; edits--) {
        size_t most = rng_next(rng) % 2 && out->length > 8192 ? 8192 : out->length;
        size_t at = (size_t)(rng_next(rng) % most), n = 1 + (size_t)(rng_next(rng) % 8);
        for (size_t i = at; i < at + n && i < out->length; i++)
            out->data[i] = (char)(rng_next(rng) % 256);
    }
}

static void test_damaged_files(void)
{
    static use_fn *const readers[] = {print_table, print_comparison, print_page, print_lines};
    enum { N_READERS = sizeof readers / sizeof readers[0] };
    struct strbuf whole, bytes;
    struct rng rng;
    int n_read = 0, n_written = 0;
    strbuf_init(&whole, 1 << 24);
    strbuf_init(&bytes, 1 << 24);
    read_whole_store(&whole);
    put(NAME, whole.data, whole.length);
    for (size_t i = 0; i < N_READERS; i++) CU_ASSERT_TRUE(use(readers[i], STORE_READ));
    CU_ASSERT_TRUE(use(write_more, STORE_CHANGE));
    rng_seed(&rng, 5);
    for (int round = 0; round < ROUNDS; round++) {
        damage(&rng, &whole, &bytes);
        remove(in_scratch(NAME "-wal"));
        remove(in_scratch(NAME "-shm"));
        put(NAME, bytes.data, bytes.length);
        for (size_t i = 0; i < N_READERS; i++) n_read += use(readers[i], STORE_READ);
        n_written += use(write_more, STORE_CHANGE);
    }
    CU_ASSERT_TRUE(n_read > 0 && n_read < ROUNDS * N_READERS);
    CU_ASSERT_TRUE(n_written > 0 && n_written < ROUNDS);
    strbuf_release(&whole);
    strbuf_release(&bytes);
}

static const struct test_case tests[] = {
    {"damaged files are read or refused", test_damaged_files},
};

SUITE("store_mutations", tests)
