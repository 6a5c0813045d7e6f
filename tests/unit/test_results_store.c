#include "tests/unit/suite.h"

#include <signal.h>
#include <sqlite3.h>
#include <sys/wait.h>

#include "engine/base/limits.h"
#include "engine/base/strbuf.h"
#include "reports/results_query.h"
#include "reports/scores.h"
#include "tests/unit/scratch.h"
#include "tests/unit/store_fixture.h"

static const char *store_at(const char *name)
{
    static char path[160];
    make_scratch();
    snprintf(path, sizeof path, "%s/%s", scratch, name);
    remember(path);
    return path;
}

static struct store *open_store(const char *name)
{
    struct status st = {0};
    struct store *store;
    ASSERT_OK(store_open(&store, store_at(name), STORE_WRITE, &st));
    return store;
}

/* The first column of the first row of a query, asked of the file itself. */
static const char *ask(const char *path, const char *sql)
{
    static char answer[256];
    sqlite3 *db = NULL;
    sqlite3_stmt *statement = NULL;
    snprintf(answer, sizeof answer, "no answer");
    if (sqlite3_open(path, &db) == SQLITE_OK &&
        sqlite3_prepare_v2(db, sql, -1, &statement, NULL) == SQLITE_OK &&
        sqlite3_step(statement) == SQLITE_ROW)
        snprintf(answer, sizeof answer, "%s",
                 sqlite3_column_type(statement, 0) == SQLITE_NULL
                     ? "NULL"
                     : (const char *)sqlite3_column_text(statement, 0));
    sqlite3_finalize(statement);
    sqlite3_close(db);
    return answer;
}

static void tell(const char *path, const char *sql)
{
    sqlite3 *db = NULL;
    CU_ASSERT_EQUAL_FATAL(sqlite3_open(path, &db), SQLITE_OK);
    CU_ASSERT_EQUAL_FATAL(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

/* Every row of every table, but for columns of time. */
static void dump(const char *path, struct strbuf *out)
{
    static const char *const tables[] = {
        "artifact",          "run",    "run_artifact", "task_run", "task_metric",    "task_group",
        "task_group_member", "prompt", "sample",       "reply",    "choice_logprob", "hazard_score",
        "guard_event",       "verdict"};
    sqlite3 *db = NULL;
    CU_ASSERT_EQUAL_FATAL(sqlite3_open(path, &db), SQLITE_OK);
    for (size_t t = 0; t < sizeof tables / sizeof tables[0]; t++) {
        char sql[64];
        sqlite3_stmt *rows = NULL;
        snprintf(sql, sizeof sql, "SELECT * FROM %s", tables[t]);
        CU_ASSERT_EQUAL_FATAL(sqlite3_prepare_v2(db, sql, -1, &rows, NULL), SQLITE_OK);
        while (sqlite3_step(rows) == SQLITE_ROW) {
            strbuf_appendf(out, "%s", tables[t]);
            for (int c = 0; c < sqlite3_column_count(rows); c++) {
                const char *name = sqlite3_column_name(rows, c);
                size_t n = strlen(name);
                bool timing = (n > 3 && !strcmp(name + n - 3, "_at")) ||
                              (n > 8 && !strcmp(name + n - 8, "_seconds"));
                const unsigned char *text = sqlite3_column_text(rows, c);
                if (!timing) strbuf_appendf(out, "|%s", text ? (const char *)text : "NULL");
            }
            strbuf_append_char(out, '\n');
        }
        sqlite3_finalize(rows);
    }
    sqlite3_close(db);
}

/* ---- The file ---- */

static void test_new_store(void)
{
    const char *path = store_at("new.sqlite");
    store_free(open_store("new.sqlite"));
    CU_ASSERT_STRING_EQUAL(ask(path, "PRAGMA user_version"), "2");
    CU_ASSERT_STRING_EQUAL(ask(path, "PRAGMA application_id"), "1634956153");
    CU_ASSERT_STRING_EQUAL(ask(path, "PRAGMA journal_mode"), "wal");
    CU_ASSERT_STRING_EQUAL(ask(path, "PRAGMA integrity_check"), "ok");
    store_free(open_store("new.sqlite"));
    store_free(NULL);
}

static void test_refused_files(void)
{
    struct status st = {0};
    struct store *store;
    const char *path = PUT("notes.txt", "this is not a database, and it is long enough to show so");
    ASSERT_FAILS(store_open(&store, path, STORE_WRITE, &st), STATUS_BAD_INPUT,
                 "not an SQLite file");
    CU_ASSERT_PTR_NULL(store);
    ASSERT_FAILS(store_open(&store, path, STORE_READ, &st), STATUS_BAD_INPUT, "not an SQLite file");
    struct strbuf kept;
    strbuf_init(&kept, 1000);
    ASSERT_OK(strbuf_read_file(&kept, path, &st));
    CU_ASSERT_EQUAL(kept.length, 56);
    strbuf_release(&kept);

    path = store_at("other.sqlite");
    tell(path, "CREATE TABLE bookmark (url TEXT)");
    ASSERT_FAILS(store_open(&store, path, STORE_WRITE, &st), STATUS_BAD_INPUT, "another program");
    CU_ASSERT_STRING_EQUAL(ask(path, "PRAGMA journal_mode"), "delete");
    CU_ASSERT_STRING_EQUAL(ask(path, "SELECT count(*) FROM sqlite_master"), "1");

    store_free(open_store("newer.sqlite"));
    path = store_at("newer.sqlite");
    tell(path, "PRAGMA user_version = 99");
    ASSERT_FAILS(store_open(&store, path, STORE_WRITE, &st), STATUS_UNSUPPORTED,
                 "schema version 99");
    ASSERT_FAILS(store_open(&store, path, STORE_READ, &st), STATUS_UNSUPPORTED, "newer assay");
    CU_ASSERT_STRING_EQUAL(ask(path, "PRAGMA user_version"), "99");

    path = store_at("absent.sqlite");
    ASSERT_FAILS(store_open(&store, path, STORE_READ, &st), STATUS_NOT_FOUND, "no store");
    CU_ASSERT_NOT_EQUAL(access(path, F_OK), 0);
    path = PUT("empty.sqlite", "");
    ASSERT_FAILS(store_open(&store, path, STORE_READ, &st), STATUS_NOT_FOUND, "empty");
    ASSERT_FAILS(store_open(&store, "", STORE_WRITE, &st), STATUS_USAGE, "file name");
    ASSERT_FAILS(store_open(&store, scratch, STORE_WRITE, &st), STATUS_IO, scratch);
}

static void test_reader_beside_writer(void)
{
    struct status st = {0};
    struct store *writer = open_store("shared.sqlite"), *reader;
    struct store_run run = fixture_run("r1", GUARD_OFF);
    struct store_task task = fixture_task("quiz", 0);
    int64_t counts[SAMPLE_STATES];
    ASSERT_OK(fixture_add_run(writer, &run, &task, 3, &st));
    ASSERT_OK(store_open(&reader, store_path(writer), STORE_READ, &st));
    ASSERT_OK(store_begin(writer, &st));
    ASSERT_OK(fixture_answer(writer, "r1", "quiz", 0, 1, &st));
    ASSERT_OK(store_count_samples(reader, "r1", NULL, counts, &st));
    CU_ASSERT_EQUAL(counts[SAMPLE_PENDING], 3);
    ASSERT_OK(store_commit(writer, &st));
    ASSERT_OK(store_count_samples(reader, "r1", "quiz", counts, &st));
    CU_ASSERT_EQUAL(counts[SAMPLE_PENDING], 2);
    CU_ASSERT_EQUAL(counts[SAMPLE_DONE], 1);
    ASSERT_FAILS(store_set_run_state(reader, "r1", RUN_DONE, &st), STATUS_STORE, "readonly");
    store_free(reader);
    store_free(writer);
}

static void test_made_by_many_at_once(void)
{
    const char *path = store_at("many.sqlite");
    fflush(NULL);
    for (int i = 0; i < 4; i++)
        if (fork() == 0) {
            struct status st = {0};
            struct store *store;
            status_code code = store_open(&store, path, STORE_WRITE, &st);
            if (code != STATUS_OK) fprintf(stderr, "  %s\n", st.message);
            _exit((int)code);
        }
    for (int i = 0; i < 4; i++) {
        int status = 1;
        CU_ASSERT_TRUE(wait(&status) > 0);
        CU_ASSERT_EQUAL(status, 0);
    }
    CU_ASSERT_STRING_EQUAL(ask(path, "PRAGMA user_version"), "2");
}

/* ---- Runs ---- */

static void test_provenance(void)
{
    struct status st = {0};
    struct store *store = open_store("runs.sqlite");
    struct arena arena;
    struct store_run run = fixture_run("r1", GUARD_SHADOW), loaded;
    struct store_task task = fixture_task("quiz", 0), *tasks;
    size_t n = 0;
    char id[STORE_RUN_ID_SIZE];
    arena_init(&arena, 1 << 20);
    run.seed = UINT64_MAX;
    run.temperature = 0.25;
    run.guard_policy_json = "{}";
    run.guard_policy_sha256 = HASH_B;
    ASSERT_OK(fixture_add_run(store, &run, &task, 1, &st));
    ASSERT_OK(store_load_run(store, "r1", &arena, &loaded, &st));
    CU_ASSERT_STRING_EQUAL(loaded.model_path, "models/demo.gguf");
    CU_ASSERT_STRING_EQUAL(loaded.weights_sha256, HASH_A);
    CU_ASSERT_STRING_EQUAL(loaded.options_json, "{\"tasks\":[\"quiz\"]}");
    CU_ASSERT_EQUAL(loaded.weights_bytes, 1000);
    CU_ASSERT_EQUAL(loaded.seed, UINT64_MAX);
    CU_ASSERT_EQUAL(loaded.temperature, 0.25);
    CU_ASSERT_EQUAL(loaded.top_k, STORE_UNKNOWN);
    CU_ASSERT_EQUAL(loaded.threads, 2);
    CU_ASSERT_EQUAL(loaded.guard_mode, GUARD_SHADOW);
    CU_ASSERT_EQUAL(loaded.state, RUN_RUNNING);
    CU_ASSERT_PTR_NULL(loaded.chat_template);
    CU_ASSERT_PTR_NULL(loaded.finished_at);
    ASSERT_OK(store_load_tasks(store, "r1", &arena, &tasks, &n, &st));
    CU_ASSERT_EQUAL_FATAL(n, 1);
    CU_ASSERT_STRING_EQUAL(tasks[0].profile, "lm-eval");
    CU_ASSERT_EQUAL(tasks[0].limit, STORE_UNKNOWN);
    CU_ASSERT_EQUAL(tasks[0].dataset_bytes, 10);
    ASSERT_OK(store_set_run_state(store, "r1", RUN_INTERRUPTED, &st));
    ASSERT_OK(store_newest_unfinished_run(store, id, &st));
    CU_ASSERT_STRING_EQUAL(id, "r1");
    ASSERT_OK(store_set_run_state(store, "r1", RUN_DONE, &st));
    ASSERT_FAILS(store_newest_unfinished_run(store, id, &st), STATUS_NOT_FOUND, "unfinished");
    ASSERT_FAILS(store_set_run_state(store, "r9", RUN_DONE, &st), STATUS_NOT_FOUND, "r9");
    ASSERT_FAILS(store_load_run(store, "r9", &arena, &loaded, &st), STATUS_NOT_FOUND, "r9");
    arena_release(&arena);
    store_free(store);
}

static void test_finding_runs(void)
{
    struct status st = {0};
    struct store *store = open_store("find.sqlite");
    struct store_run run = fixture_run(NULL, GUARD_OFF);
    struct arena arena;
    const char *const *ids;
    size_t n;
    char first[STORE_RUN_ID_SIZE], second[STORE_RUN_ID_SIZE], found[STORE_RUN_ID_SIZE];
    arena_init(&arena, 1 << 20);
    ASSERT_FAILS(store_find_run(store, NULL, found, &st), STATUS_NOT_FOUND, "a run");
    ASSERT_OK(store_begin(store, &st));
    ASSERT_OK(store_create_run(store, &run, first, &st));
    ASSERT_OK(store_create_run(store, &run, second, &st));
    ASSERT_OK(store_commit(store, &st));
    CU_ASSERT_TRUE(strcmp(first, second) < 0);
    ASSERT_OK(store_find_run(store, "latest", found, &st));
    CU_ASSERT_STRING_EQUAL(found, second);
    ASSERT_OK(store_find_run(store, first, found, &st));
    CU_ASSERT_STRING_EQUAL(found, first);
    ASSERT_FAILS(store_find_run(store, "20", found, &st), STATUS_USAGE, "more than one");
    ASSERT_FAILS(store_find_run(store, "%", found, &st), STATUS_NOT_FOUND, "no run %");
    ASSERT_OK(store_list_runs(store, &arena, &ids, &n, &st));
    CU_ASSERT_EQUAL_FATAL(n, 2);
    CU_ASSERT_STRING_EQUAL(ids[0], first);
    run.id = first;
    ASSERT_OK(store_begin(store, &st));
    ASSERT_FAILS(store_create_run(store, &run, found, &st), STATUS_USAGE, "already");
    run.id = "../x";
    ASSERT_OK(store_begin(store, &st));
    ASSERT_FAILS(store_create_run(store, &run, found, &st), STATUS_USAGE, "run id");
    store_rollback(store);
    arena_release(&arena);
    store_free(store);
}

/* ---- Batches ---- */

static void test_batches(void)
{
    struct status st = {0};
    struct store *store = open_store("batch.sqlite");
    struct store_run run = fixture_run("r1", GUARD_OFF);
    struct store_task task = fixture_task("quiz", 0);
    struct store_key key = {"r1", "quiz", 0, 0};
    struct store_verdict verdict = {
        .metric = "exact_match", .extraction = "strict-match", .value = 1};
    int64_t docs[8], counts[SAMPLE_STATES];
    size_t n;
    ASSERT_OK(fixture_add_run(store, &run, &task, 4, &st));
    ASSERT_FAILS(store_put_verdict(store, &key, &verdict, &st), STATUS_STORE, "outside a batch");
    ASSERT_OK(store_begin(store, &st));
    ASSERT_OK(fixture_answer(store, "r1", "quiz", 0, 1, &st));
    store_rollback(store);
    ASSERT_OK(store_find_pending(store, "r1", "quiz", 0, docs, 8, &n, &st));
    CU_ASSERT_EQUAL(n, 4);

    /* A failing row takes its batch with it, and what follows is refused until a new one. */
    ASSERT_OK(store_begin(store, &st));
    ASSERT_OK(fixture_answer(store, "r1", "quiz", 0, 1, &st));
    verdict.metric = "no such metric";
    ASSERT_FAILS(store_put_verdict(store, &key, &verdict, &st), STATUS_STORE, "FOREIGN KEY");
    ASSERT_FAILS(fixture_answer(store, "r1", "quiz", 1, 1, &st), STATUS_STORE, "outside a batch");
    ASSERT_OK(store_begin(store, &st));
    ASSERT_FAILS(fixture_answer(store, "r1", "quiz", 77, 1, &st), STATUS_NOT_FOUND, "document 77");
    ASSERT_OK(store_count_samples(store, "r1", NULL, counts, &st));
    CU_ASSERT_EQUAL(counts[SAMPLE_PENDING], 4);

    ASSERT_OK(store_begin(store, &st));
    ASSERT_OK(fixture_answer(store, "r1", "quiz", 0, 1, &st));
    ASSERT_OK(store_commit(store, &st));
    ASSERT_OK(store_find_pending(store, "r1", "quiz", 2, docs, 8, &n, &st));
    CU_ASSERT_EQUAL_FATAL(n, 2);
    CU_ASSERT_EQUAL(docs[0], 2);
    CU_ASSERT_EQUAL(docs[1], 3);
    ASSERT_OK(store_find_pending(store, "r1", "quiz", 0, docs, 1, &n, &st));
    CU_ASSERT_EQUAL_FATAL(n, 1);
    CU_ASSERT_EQUAL(docs[0], 1);
    store_free(store);
}

static void test_bad_outcome_is_refused(void)
{
    struct status st = {0};
    struct store *store = open_store("check.sqlite");
    struct store_run run = fixture_run("r1", GUARD_OFF);
    struct store_task task = fixture_task("quiz", 0);
    ASSERT_OK(fixture_add_run(store, &run, &task, 1, &st));
    store_free(store);
    sqlite3 *db;
    CU_ASSERT_EQUAL_FATAL(sqlite3_open(store_at("check.sqlite"), &db), SQLITE_OK);
    for (int o = 0; o < OUTCOMES; o++) {
        char sql[200];
        snprintf(sql, sizeof sql,
                 "INSERT INTO verdict (run, task, doc_id, repeat, metric, extraction, outcome) "
                 "VALUES ('r1', 'quiz', 0, %d, 'exact_match', 'strict-match', '%s')",
                 o, outcome_name((enum outcome)o));
        CU_ASSERT_EQUAL(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    }
    CU_ASSERT_EQUAL(sqlite3_exec(db,
                                 "INSERT INTO verdict (run, task, doc_id, repeat, metric,"
                                 " extraction, outcome) VALUES ('r1', 'quiz', 0, 50,"
                                 " 'exact_match', 'strict-match', 'fine')",
                                 NULL, NULL, NULL),
                    SQLITE_CONSTRAINT);
    sqlite3_close(db);
}

/* ---- Killed and resumed ---- */

/* Finishes what is pending in batches of two; dies inside batch `die_in` with its rows written and
 * not committed. */
static void evaluate(struct store *store, int die_in)
{
    struct status st = {0};
    for (int batch = 0;; batch++) {
        int64_t docs[2];
        size_t n;
        ASSERT_OK(store_find_pending(store, "r1", "quiz", 0, docs, 2, &n, &st));
        if (!n) break;
        ASSERT_OK(store_begin(store, &st));
        for (size_t i = 0; i < n; i++)
            ASSERT_OK(fixture_answer(store, "r1", "quiz", docs[i], docs[i] % 3 == 0, &st));
        if (batch == die_in) raise(SIGKILL);
        ASSERT_OK(store_commit(store, &st));
    }
    ASSERT_OK(store_set_run_state(store, "r1", RUN_DONE, &st));
}

static void start_evaluation(const char *name)
{
    struct status st = {0};
    struct store *store = open_store(name);
    struct store_run run = fixture_run("r1", GUARD_OFF);
    struct store_task task = fixture_task("quiz", 0);
    ASSERT_OK(fixture_add_run(store, &run, &task, 9, &st));
    store_free(store);
}

static void test_killed_and_resumed(void)
{
    struct strbuf whole, resumed;
    strbuf_init(&whole, 1 << 20);
    strbuf_init(&resumed, 1 << 20);
    start_evaluation("whole.sqlite");
    struct store *store = open_store("whole.sqlite");
    evaluate(store, -1);
    store_free(store);
    start_evaluation("killed.sqlite");
    for (int die_in = 0; die_in < 3; die_in++) {
        int status = 0;
        fflush(NULL);
        pid_t child = fork();
        if (child == 0) {
            store = open_store("killed.sqlite");
            evaluate(store, die_in);
            _exit(0);
        }
        CU_ASSERT_EQUAL_FATAL(waitpid(child, &status, 0), child);
        CU_ASSERT_TRUE(WIFSIGNALED(status));
        CU_ASSERT_STRING_EQUAL(ask(store_at("killed.sqlite"), "PRAGMA integrity_check"), "ok");
    }
    CU_ASSERT_STRING_EQUAL(
        ask(store_at("killed.sqlite"), "SELECT count(*) FROM sample WHERE state = 'done'"), "6");
    store = open_store("killed.sqlite");
    evaluate(store, -1);
    store_free(store);
    dump(store_at("whole.sqlite"), &whole);
    dump(store_at("killed.sqlite"), &resumed);
    CU_ASSERT_TRUE(whole.length > 1000);
    CU_ASSERT_STRING_EQUAL(whole.data, resumed.data);
    strbuf_release(&whole);
    strbuf_release(&resumed);
}

static void test_failed_sample_is_retried(void)
{
    struct status st = {0};
    struct store *store = open_store("retry.sqlite");
    const char *path = store_path(store);
    struct store_run run = fixture_run("r1", GUARD_OFF);
    struct store_task task = fixture_task("quiz", 0);
    struct store_key key = {"r1", "quiz", 0, 0};
    struct store_sample failed = {.state = SAMPLE_FAILED,
                                  .n_prompt_tokens = STORE_UNKNOWN,
                                  .n_truncated = STORE_UNKNOWN,
                                  .error_code = "limit",
                                  .error_text = "the prompt is too long"};
    int64_t n = 0;
    task.repeats = 3;
    ASSERT_OK(fixture_add_run(store, &run, &task, 1, &st));
    ASSERT_OK(store_begin(store, &st));
    ASSERT_OK(fixture_answer(store, "r1", "quiz", 0, 1, &st));
    ASSERT_OK(store_put_sample(store, &key, &failed, &st));
    ASSERT_OK(store_commit(store, &st));
    CU_ASSERT_STRING_EQUAL(ask(path, "SELECT count(*) FROM reply"), "0");
    CU_ASSERT_STRING_EQUAL(ask(path, "SELECT count(*) FROM verdict WHERE value IS NULL AND "
                                     "outcome = 'infrastructure_error'"),
                           "6");
    ASSERT_OK(store_begin(store, &st));
    ASSERT_OK(store_retry_failed(store, "r1", &n, &st));
    CU_ASSERT_EQUAL(n, 1);
    ASSERT_OK(fixture_answer(store, "r1", "quiz", 0, 1, &st));
    ASSERT_OK(store_commit(store, &st));
    CU_ASSERT_STRING_EQUAL(ask(path, "SELECT count(*) FROM verdict"), "2");
    CU_ASSERT_STRING_EQUAL(ask(path, "SELECT error_code FROM sample"), "NULL");
    store_free(store);
}

/* ---- Bytes ---- */

static void test_any_bytes(void)
{
    struct status st = {0};
    struct store *store = open_store("bytes.sqlite");
    const char *path = store_path(store);
    struct store_run run = fixture_run("r1", GUARD_OFF);
    struct store_task task = fixture_task("quiz", 0);
    struct store_key key = {"r1", "quiz", 0, 0};
    struct store_sample sample = {.state = SAMPLE_DONE};
    struct store_choice choice = {.index = 1, .text = {"a\0b", 3}, .logprob = -1.5, .n_tokens = 1};
    struct store_reply reply = {.text = {"caf\xff", 4}, .delivered = {"", 0}, .seed = UINT64_MAX};
    ASSERT_OK(fixture_add_run(store, &run, &task, 1, &st));
    ASSERT_OK(store_begin(store, &st));
    ASSERT_OK(store_put_sample(store, &key, &sample, &st));
    ASSERT_OK(store_put_choice(store, &key, &choice, &st));
    ASSERT_OK(store_put_reply(store, &key, &reply, &st));
    ASSERT_OK(store_put_reply(store, &key, &reply, &st));
    ASSERT_OK(store_commit(store, &st));
    CU_ASSERT_STRING_EQUAL(ask(path, "SELECT hex(text) FROM choice_logprob"), "610062");
    CU_ASSERT_STRING_EQUAL(ask(path, "SELECT hex(text) || typeof(text) FROM reply"),
                           "636166FFblob");
    CU_ASSERT_STRING_EQUAL(ask(path, "SELECT typeof(delivered) || length(delivered) FROM reply"),
                           "text0");
    CU_ASSERT_STRING_EQUAL(ask(path, "SELECT count(*) FROM reply"), "1");
    store_free(store);
}

/* ---- Guards ---- */

static void test_hazards_and_events(void)
{
    struct status st = {0};
    struct store *store = open_store("guard.sqlite");
    const char *path = store_path(store);
    struct store_run run = fixture_run("r1", GUARD_ENFORCE);
    struct store_task task = fixture_task("quiz", 0);
    struct store_key key = {"r1", "quiz", 0, 0};
    struct store_artifact classifier = {
        .sha256 = HASH_C, .kind = "classifier", .name = "lexicon", .bytes = STORE_UNKNOWN};
    struct store_sample sample = {.state = SAMPLE_BLOCKED};
    struct store_hazard scored = {.stage = GUARD_INPUT,
                                  .classifier_sha256 = HASH_C,
                                  .category = "hate",
                                  .logit = 2,
                                  .probability = 0.88};
    struct store_hazard unscored = {.stage = GUARD_INPUT,
                                    .classifier_sha256 = HASH_C,
                                    .category = "*",
                                    .logit = (double)NAN,
                                    .probability = (double)NAN,
                                    .error = "too long"};
    struct store_guard_event event = {.stage = GUARD_INPUT,
                                      .mode = GUARD_ENFORCE,
                                      .verdict = GUARD_BLOCK,
                                      .blocks = true,
                                      .category = "hate",
                                      .rule = "hate >= 0.5"};
    ASSERT_OK(fixture_add_run(store, &run, &task, 1, &st));
    ASSERT_OK(store_begin(store, &st));
    ASSERT_OK(store_add_artifact(store, "r1", "guard_input", &classifier, &st));
    ASSERT_OK(store_put_sample(store, &key, &sample, &st));
    ASSERT_OK(store_put_hazard(store, &key, &scored, &st));
    ASSERT_OK(store_put_hazard(store, &key, &unscored, &st));
    ASSERT_OK(store_put_guard_event(store, &key, &event, &st));
    ASSERT_OK(store_commit(store, &st));
    CU_ASSERT_STRING_EQUAL(ask(path, "SELECT count(*) FROM hazard_score WHERE probability IS NULL"),
                           "1");
    CU_ASSERT_STRING_EQUAL(ask(path, "SELECT outcome FROM guarded_verdict"), "blocked_input");
    unscored.error = NULL; /* neither a score nor a reason */
    ASSERT_OK(store_begin(store, &st));
    ASSERT_FAILS(store_put_hazard(store, &key, &unscored, &st), STATUS_STORE, "CHECK");
    event.stage = GUARD_INPUT;
    key.repeat = 1;
    ASSERT_OK(store_begin(store, &st));
    ASSERT_FAILS(store_put_guard_event(store, &key, &event, &st), STATUS_STORE, "CHECK");
    store_free(store);
}

/* ---- Older files ---- */

extern const struct text embedded_reports_schema_sql, embedded_reports_schema_2_sql,
    embedded_reports_schema_views_sql;

/* What a later program may do to the schema: here, a step after this program's. */
static status_code open_later(struct store **out, const char *path, enum store_access access,
                              const char *step, struct status *st)
{
    const struct text later = text_of(step);
    const struct schema_step steps[] = {{1, &embedded_reports_schema_sql},
                                        {2, &embedded_reports_schema_2_sql},
                                        {2, &embedded_reports_schema_views_sql},
                                        {3, &later}};
    const struct schema schema = {steps, 4};
    return store_open_as(out, path, access, &schema, st);
}

static void test_older_stores(void)
{
    static const char step[] =
        "ALTER TABLE run ADD COLUMN note TEXT; DROP VIEW sample_count;"
        "CREATE VIEW sample_count AS SELECT run, count(*) AS n FROM sample GROUP BY run;";
    struct status st = {0};
    struct store *store = open_store("older.sqlite");
    const char *path = store_at("older.sqlite");
    struct store_run run = fixture_run("r1", GUARD_OFF);
    struct store_task task = fixture_task("quiz", 0);
    ASSERT_OK(fixture_add_run(store, &run, &task, 3, &st));
    store_free(store);
    ASSERT_FAILS(open_later(&store, path, STORE_READ, step, &st), STATUS_UNSUPPORTED,
                 "schema version 2 and this program reads 3; any command that writes to it");
    /* A step that fails leaves the file as it was. */
    ASSERT_FAILS(open_later(&store, path, STORE_WRITE,
                            "ALTER TABLE run ADD COLUMN note TEXT; CREATE TABLE run (x);", &st),
                 STATUS_STORE, "already exists");
    CU_ASSERT_STRING_EQUAL(ask(path, "PRAGMA user_version"), "2");
    CU_ASSERT_STRING_EQUAL(
        ask(path, "SELECT count(*) FROM pragma_table_info('run') WHERE name = 'note'"), "0");
    store_free(open_store("older.sqlite"));
    ASSERT_OK(open_later(&store, path, STORE_WRITE, step, &st));
    store_free(store);
    CU_ASSERT_STRING_EQUAL(ask(path, "PRAGMA user_version"), "3");
    CU_ASSERT_STRING_EQUAL(ask(path, "SELECT n FROM sample_count"), "3");
    CU_ASSERT_STRING_EQUAL(ask(path, "SELECT note FROM run"), "NULL");
    CU_ASSERT_STRING_EQUAL(ask(path, "PRAGMA integrity_check"), "ok");
    ASSERT_OK(open_later(&store, path, STORE_READ, step, &st));
    store_free(store);
    /* For this program it is of a newer one now; and one made anew has all steps at once. */
    ASSERT_FAILS(store_open(&store, path, STORE_WRITE, &st), STATUS_UNSUPPORTED, "newer assay");
    path = store_at("later.sqlite");
    ASSERT_OK(open_later(&store, path, STORE_WRITE, step, &st));
    store_free(store);
    CU_ASSERT_STRING_EQUAL(ask(path, "PRAGMA user_version"), "3");
}

/* A store of version 1, with a run in it and a view that somebody else made. */
static const char *first_version(const char *name)
{
    struct status st = {0};
    struct store *store;
    const char *path = store_at(name);
    const struct schema_step steps[] = {{1, &embedded_reports_schema_sql},
                                        {1, &embedded_reports_schema_views_sql}};
    const struct schema schema = {steps, 2};
    struct store_run run = fixture_run("r1", GUARD_OFF);
    struct store_task task = fixture_task("quiz", 0);
    ASSERT_OK(store_open_as(&store, path, STORE_WRITE, &schema, &st));
    ASSERT_OK(fixture_add_run(store, &run, &task, 3, &st));
    store_free(store);
    tell(path, "DROP VIEW group_sweep; CREATE VIEW mine AS SELECT metric FROM score");
    return path;
}

static void test_first_version(void)
{
    struct status st = {0};
    struct store *store;
    char path[160];
    snprintf(path, sizeof path, "%s", first_version("first.sqlite"));
    static const char direction[] = "SELECT \"notnull\" FROM pragma_table_info('task_metric')"
                                    " WHERE name = 'higher_is_better'";
    CU_ASSERT_STRING_EQUAL(ask(path, direction), "1");
    CU_ASSERT_STRING_EQUAL(ask(path, "PRAGMA user_version"), "1");
    ASSERT_FAILS(store_open(&store, path, STORE_READ, &st), STATUS_UNSUPPORTED,
                 "schema version 1 and this program reads 2");
    ASSERT_OK(store_open(&store, path, STORE_WRITE, &st));
    /* References are followed again. */
    struct store_key key = {"r1", "nothing", 0, 0};
    struct store_verdict verdict = {.metric = "acc", .extraction = "none", .value = 1};
    ASSERT_OK(store_begin(store, &st));
    ASSERT_FAILS(store_put_verdict(store, &key, &verdict, &st), STATUS_STORE, "FOREIGN KEY");
    store_free(store);
    CU_ASSERT_STRING_EQUAL(ask(path, "PRAGMA user_version"), "2");
    CU_ASSERT_STRING_EQUAL(ask(path, direction), "0");
    CU_ASSERT_STRING_EQUAL(ask(path, "SELECT count(*) FROM task_metric"), "2");
    CU_ASSERT_STRING_EQUAL(ask(path, "SELECT count(*) FROM mine"), "2");
    CU_ASSERT_STRING_EQUAL(ask(path, "SELECT count(*) FROM pragma_foreign_key_check"), "0");
    CU_ASSERT_STRING_EQUAL(ask(path, "PRAGMA integrity_check"), "ok");
    CU_ASSERT_STRING_EQUAL(
        ask(path, "SELECT count(*) FROM sqlite_master WHERE sql LIKE '%task_metric_2%'"), "0");
    /* It has the schema of a store made anew, but for what somebody else made. */
    tell(path, "DROP VIEW mine");
    store_free(open_store("anew.sqlite"));
    char attach[512];
    snprintf(attach, sizeof attach,
             "ATTACH '%s' AS other; CREATE TABLE differing AS SELECT count(*) AS n FROM"
             " (SELECT name, sql FROM main.sqlite_master WHERE name <> 'differing' EXCEPT"
             " SELECT name, sql FROM other.sqlite_master)",
             store_at("anew.sqlite"));
    tell(path, attach);
    CU_ASSERT_STRING_EQUAL(ask(path, "SELECT n FROM differing"), "0");
}

/* Stores from before the first release are told apart by their application_id. */
static void test_development_stores(void)
{
    struct status st = {0};
    struct store *store;
    store_free(open_store("development.sqlite"));
    const char *path = store_at("development.sqlite");
    tell(path, "PRAGMA application_id = 1634951545; PRAGMA user_version = 7");
    ASSERT_FAILS(store_open(&store, path, STORE_READ, &st), STATUS_UNSUPPORTED,
                 "a development version of assay before the first release (schema 7)");
    ASSERT_FAILS(store_open(&store, path, STORE_WRITE, &st), STATUS_UNSUPPORTED, "or run again");
    CU_ASSERT_STRING_EQUAL(ask(path, "PRAGMA user_version"), "7");
}

static const struct test_case tests[] = {
    {"a new store", test_new_store},
    {"older stores are brought up to date", test_older_stores},
    {"a store of version 1", test_first_version},
    {"stores from before the first release", test_development_stores},
    {"files that are refused and kept", test_refused_files},
    {"a reader beside a writer", test_reader_beside_writer},
    {"a store made by many at once", test_made_by_many_at_once},
    {"provenance comes back", test_provenance},
    {"runs are found", test_finding_runs},
    {"batches are kept whole or not at all", test_batches},
    {"outcomes are checked", test_bad_outcome_is_refused},
    {"killed and resumed ends in the same rows", test_killed_and_resumed},
    {"a failed sample is retried", test_failed_sample_is_retried},
    {"any bytes are kept", test_any_bytes},
    {"hazard scores and guard events", test_hazards_and_events},
};
SUITE("results_store", tests)
