/* results_store.c - the file itself: opening, migrating, batches, and the only calls to SQLite. */
#include "reports/results_store.h"

#include <errno.h>
#include <math.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/strbuf.h"
#include "engine/base/utf8.h"
#include "reports/results_query.h"

#define APPLICATION_ID  0x61737379 /* "assy", in the header of every store */
#define DEVELOPMENT_ID  0x61736179 /* "asay", of those before the first release */
#define BUSY_TIMEOUT_MS 10000
#define MAX_CACHED      64

extern const struct text embedded_reports_schema_sql, embedded_reports_schema_2_sql,
    embedded_reports_schema_views_sql;
static const struct schema_step steps[] = {{1, &embedded_reports_schema_sql},
                                           {2, &embedded_reports_schema_2_sql},
                                           {2, &embedded_reports_schema_views_sql}};
static const struct schema current_schema = {steps, sizeof steps / sizeof steps[0]};

static int newest_version(const struct schema *schema)
{
    return schema->steps[schema->n - 1].version;
}

struct query {
    sqlite3_stmt *statement;
    struct store *store;
    int next; /* parameter to bind next, less one */
    int bind_result;
};

struct store {
    sqlite3 *db;
    char *path;
    const struct schema *schema; /* while it is opened */
    int n_cached;
    const char *cached_sql[MAX_CACHED]; /* literals: compared by address */
    struct query cached[MAX_CACHED];
};

/* Records SQLite's last failure and leaves no batch half open. */
static status_code store_fail(struct store *store, struct status *st)
{
    int code = sqlite3_errcode(store->db) & 0xff;
    if (code == SQLITE_BUSY)
        status_set(st, STATUS_STORE,
                   "%s: another process is writing to this store; wait for it or give --store "
                   "another file",
                   store->path);
    else if (code == SQLITE_FULL)
        status_set(st, STATUS_STORE, "%s: the disk is full", store->path);
    else if (code == SQLITE_NOMEM)
        status_no_memory(st, store->path);
    else
        status_set(st, STATUS_STORE, "%s: %s", store->path, sqlite3_errmsg(store->db));
    if (!sqlite3_get_autocommit(store->db)) sqlite3_exec(store->db, "ROLLBACK", NULL, NULL, NULL);
    return st->code;
}

/* ---- Queries ---- */

static status_code prepare(struct store *store, const char *sql, unsigned flags,
                           struct query *query, struct status *st)
{
    *query = (struct query){.store = store};
    if (sqlite3_prepare_v3(store->db, sql, -1, flags, &query->statement, NULL) != SQLITE_OK)
        return store_fail(store, st);
    return STATUS_OK;
}

struct query *query_cached(struct store *store, const char *sql, struct status *st)
{
    for (int i = 0; i < store->n_cached; i++) {
        if (store->cached_sql[i] != sql) continue;
        query_reset(&store->cached[i]);
        return &store->cached[i];
    }
    BUG_IF(store->n_cached == MAX_CACHED);
    struct query *query = &store->cached[store->n_cached];
    if (prepare(store, sql, SQLITE_PREPARE_PERSISTENT, query, st) != STATUS_OK) return NULL;
    store->cached_sql[store->n_cached++] = sql;
    return query;
}

struct query *query_create(struct store *store, const char *sql, struct status *st)
{
    struct query *query = malloc(sizeof *query);
    if (!query) {
        status_no_memory(st, "a query");
        return NULL;
    }
    if (prepare(store, sql, 0, query, st) == STATUS_OK) return query;
    free(query);
    return NULL;
}

void query_free(struct query *query)
{
    if (!query) return;
    sqlite3_finalize(query->statement);
    free(query);
}

void query_reset(struct query *query)
{
    sqlite3_reset(query->statement);
    sqlite3_clear_bindings(query->statement);
    query->next = 0;
    query->bind_result = SQLITE_OK;
}

static void note_bind(struct query *query, int result)
{
    if (result != SQLITE_OK && query->bind_result == SQLITE_OK) query->bind_result = result;
}

void query_bind_text(struct query *query, struct text text)
{
    int at = ++query->next;
    if (!text.data) {
        note_bind(query, sqlite3_bind_null(query->statement, at));
        return;
    }
    bool plain = !memchr(text.data, '\0', text.length) && utf8_valid(text);
    /* SQLite only defines text that is UTF-8 and free of NULs; other bytes keep as a BLOB. */
    note_bind(query, plain ? sqlite3_bind_text64(query->statement, at, text.data, text.length,
                                                 SQLITE_TRANSIENT, SQLITE_UTF8)
                           : sqlite3_bind_blob64(query->statement, at, text.data, text.length,
                                                 SQLITE_TRANSIENT));
}

void query_bind_str(struct query *query, const char *string)
{
    query_bind_text(query, string ? text_of(string) : (struct text){0});
}

void query_bind_int(struct query *query, int64_t value)
{
    int at = ++query->next;
    note_bind(query, value == STORE_UNKNOWN ? sqlite3_bind_null(query->statement, at)
                                            : sqlite3_bind_int64(query->statement, at, value));
}

void query_bind_double(struct query *query, double value)
{
    int at = ++query->next;
    note_bind(query, isnan(value) ? sqlite3_bind_null(query->statement, at)
                                  : sqlite3_bind_double(query->statement, at, value));
}

void query_bind_bits(struct query *query, uint64_t value)
{
    int64_t bits;
    memcpy(&bits, &value, sizeof bits);
    note_bind(query, sqlite3_bind_int64(query->statement, ++query->next, bits));
}

status_code query_row(struct query *query, bool *row, struct status *st)
{
    *row = false;
    struct store *store = query->store;
    if (query->bind_result != SQLITE_OK) {
        status_set(st, query->bind_result == SQLITE_NOMEM ? STATUS_NO_MEMORY : STATUS_STORE,
                   "%s: cannot bind a value: %s", store->path, sqlite3_errstr(query->bind_result));
        store_rollback(store);
        query_reset(query);
        return st->code;
    }
    int result = sqlite3_step(query->statement);
    *row = result == SQLITE_ROW;
    if (*row) return STATUS_OK;
    if (result != SQLITE_DONE) store_fail(store, st);
    query_reset(query);
    return result == SQLITE_DONE ? STATUS_OK : st->code;
}

status_code query_run(struct query *query, struct status *st)
{
    bool row = false;
    if (query_row(query, &row, st) != STATUS_OK) return st->code;
    BUG_IF(row);
    return STATUS_OK;
}

status_code query_only_row(struct query *query, const char *what, struct status *st)
{
    bool row = false;
    if (query_row(query, &row, st) != STATUS_OK) return st->code;
    if (!row)
        return status_set(st, STATUS_NOT_FOUND, "%s: %s is not in the store", query->store->path,
                          what);
    return STATUS_OK;
}

struct text query_text(struct query *query, int column)
{
    if (sqlite3_column_type(query->statement, column) == SQLITE_NULL) return (struct text){0};
    const char *data = sqlite3_column_blob(query->statement, column);
    size_t n = (size_t)sqlite3_column_bytes(query->statement, column);
    return data ? (struct text){data, n} : (struct text){"", 0}; /* SQLite gives NULL for "" */
}

int64_t query_int(struct query *query, int column)
{
    if (sqlite3_column_type(query->statement, column) == SQLITE_NULL) return STORE_UNKNOWN;
    return sqlite3_column_int64(query->statement, column);
}

double query_double(struct query *query, int column)
{
    if (sqlite3_column_type(query->statement, column) == SQLITE_NULL) return (double)NAN;
    return sqlite3_column_double(query->statement, column);
}

uint64_t query_bits(struct query *query, int column)
{
    return (uint64_t)sqlite3_column_int64(query->statement, column);
}

status_code query_copy_str(struct query *query, int column, struct arena *arena, const char **out,
                           struct status *st)
{
    struct text text = query_text(query, column);
    *out = text.data ? arena_strndup(arena, text.data, text.length) : NULL;
    return text.data && !*out ? status_no_memory(st, "what the store holds") : STATUS_OK;
}

int64_t query_changes(struct store *store)
{
    return sqlite3_changes64(store->db);
}

/* ---- Batches ---- */

bool store_in_batch(const struct store *store)
{
    return !sqlite3_get_autocommit(store->db);
}

status_code store_need_batch(struct store *store, struct status *st)
{
    if (store_in_batch(store)) return STATUS_OK;
    return status_set(st, STATUS_STORE, "%s: a row was written outside a batch", store->path);
}

status_code store_begin(struct store *store, struct status *st)
{
    BUG_IF(store_in_batch(store));
    /* IMMEDIATE: another writer is waited for here, never in the middle of the batch. */
    struct query *query = query_cached(store, "BEGIN IMMEDIATE", st);
    return query ? query_run(query, st) : st->code;
}

status_code store_commit(struct store *store, struct status *st)
{
    if (store_need_batch(store, st) != STATUS_OK) return st->code;
    struct query *query = query_cached(store, "COMMIT", st);
    return query ? query_run(query, st) : st->code;
}

void store_rollback(struct store *store)
{
    if (store_in_batch(store)) sqlite3_exec(store->db, "ROLLBACK", NULL, NULL, NULL);
}

/* ---- Opening ---- */

static status_code execute(struct store *store, const char *sql, struct status *st)
{
    if (sqlite3_exec(store->db, sql, NULL, NULL, NULL) != SQLITE_OK) return store_fail(store, st);
    return STATUS_OK;
}

/* Reads whose file it is, without changing it.  *version is -1 for a file with nothing in it. */
static status_code identify(struct store *store, int *version, struct status *st)
{
    /* One statement, so that all three come from one moment of a file that others may be making. */
    static const char sql[] = "SELECT (SELECT application_id FROM pragma_application_id),"
                              " (SELECT user_version FROM pragma_user_version),"
                              " (SELECT count(*) FROM sqlite_master)";
    struct query query;
    status_code code = prepare(store, sql, 0, &query, st);
    if (code == STATUS_OK) code = query_only_row(&query, "the schema", st);
    if (code != STATUS_OK) {
        bool alien = (sqlite3_errcode(store->db) & 0xff) == SQLITE_NOTADB;
        sqlite3_finalize(query.statement);
        return alien ? status_set(st, STATUS_BAD_INPUT,
                                  "%s: not a results store: not an SQLite file", store->path)
                     : code;
    }
    int64_t application = query_int(&query, 0), user_version = query_int(&query, 1);
    int64_t objects = query_int(&query, 2);
    sqlite3_finalize(query.statement);
    if (application == 0 && user_version == 0 && objects == 0) {
        *version = -1;
        return STATUS_OK;
    }
    if (application == DEVELOPMENT_ID)
        return status_set(st, STATUS_UNSUPPORTED,
                          "%s: made by a development version of assay before the first release "
                          "(schema %lld), which this one does not read: export it with the program "
                          "that made it, or run again",
                          store->path, (long long)user_version);
    if (application != APPLICATION_ID)
        return status_set(st, STATUS_BAD_INPUT,
                          "%s: not a results store: an SQLite file of another program",
                          store->path);
    if (user_version > newest_version(store->schema))
        return status_set(st, STATUS_UNSUPPORTED,
                          "%s: the store has schema version %lld and this program knows up to %d; "
                          "use a newer assay",
                          store->path, (long long)user_version, newest_version(store->schema));
    if (user_version < 1)
        return status_set(st, STATUS_BAD_INPUT, "%s: the store has schema version %lld, below 1",
                          store->path, (long long)user_version);
    *version = (int)user_version;
    return STATUS_OK;
}

static status_code run_steps(struct store *store, struct status *st)
{
    int version = 0;
    char pragma[64];
    /* Asked again inside the transaction: another process may have been first. */
    if (execute(store, "BEGIN IMMEDIATE", st) != STATUS_OK) return st->code;
    if (identify(store, &version, st) != STATUS_OK) {
        store_rollback(store);
        return st->code;
    }
    const struct schema *schema = store->schema;
    for (size_t i = 0; i < schema->n; i++)
        if (schema->steps[i].version > version &&
            execute(store, schema->steps[i].sql->data, st) != STATUS_OK)
            return st->code;
    snprintf(pragma, sizeof pragma, "PRAGMA application_id = %d", APPLICATION_ID);
    if (execute(store, pragma, st) != STATUS_OK) return st->code;
    snprintf(pragma, sizeof pragma, "PRAGMA user_version = %d", newest_version(schema));
    if (execute(store, pragma, st) != STATUS_OK) return st->code;
    return execute(store, "COMMIT", st);
}

/* A step may replace a table that others refer to, so references are not followed meanwhile; SQLite
 * lets that be said outside of a transaction only. */
static status_code migrate(struct store *store, struct status *st)
{
    sqlite3_db_config(store->db, SQLITE_DBCONFIG_ENABLE_FKEY, 0, NULL);
    status_code code = run_steps(store, st);
    sqlite3_db_config(store->db, SQLITE_DBCONFIG_ENABLE_FKEY, 1, NULL);
    return code;
}

static status_code open_for_reading(struct store *store, struct status *st)
{
    int version = 0;
    if (identify(store, &version, st) != STATUS_OK) return st->code;
    if (version < 0) return status_set(st, STATUS_NOT_FOUND, "%s: the store is empty", store->path);
    if (version < newest_version(store->schema))
        return status_set(st, STATUS_UNSUPPORTED,
                          "%s: the store has schema version %d and this program reads %d; any "
                          "command that writes to it, such as resume, brings it up to date",
                          store->path, version, newest_version(store->schema));
    return execute(store, "PRAGMA query_only = ON", st);
}

/* Changing the journal needs the file alone, and SQLite does not wait for that by itself. */
static status_code use_wal(struct store *store, struct status *st)
{
    int result = SQLITE_BUSY;
    for (int waited = 0; result == SQLITE_BUSY && waited < BUSY_TIMEOUT_MS; waited += 20) {
        if (waited) sqlite3_sleep(20);
        result = sqlite3_exec(store->db, "PRAGMA journal_mode = WAL", NULL, NULL, NULL) & 0xff;
    }
    return result == SQLITE_OK ? STATUS_OK : store_fail(store, st);
}

static status_code open_for_writing(struct store *store, struct status *st)
{
    int version = 0;
    if (identify(store, &version, st) != STATUS_OK || use_wal(store, st) != STATUS_OK)
        return st->code;
    /* FULL: a committed batch also survives a power cut, for one fsync per batch. */
    if (execute(store, "PRAGMA synchronous = FULL", st) != STATUS_OK) return st->code;
    return version < newest_version(store->schema) ? migrate(store, st) : STATUS_OK;
}

/* A store on a read-only medium has no place for WAL's shared memory.  Where no log lies beside it
 * nothing is being written, and SQLite may be told so. */
static int open_immutable(struct store *store)
{
    struct strbuf uri;
    strbuf_init(&uri, 8192);
    strbuf_appendf(&uri, "%s-wal", store->path);
    FILE *log = fopen(uri.data, "rb");
    if (log) fclose(log);
    int result = SQLITE_CANTOPEN;
    strbuf_clear(&uri);
    strbuf_append_str(&uri, "file:");
    for (const unsigned char *p = (const unsigned char *)store->path; *p; p++)
        strbuf_appendf(&uri, "%%%02X", *p);
    strbuf_append_str(&uri, "?immutable=1");
    if (!log && uri.state == STATUS_OK) {
        sqlite3_close_v2(store->db);
        store->db = NULL;
        result =
            sqlite3_open_v2(uri.data, &store->db, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI, NULL);
    }
    strbuf_release(&uri);
    return result;
}

/* False where only the place of the file keeps SQLite from reading it. */
static bool can_read(struct store *store)
{
    int result = sqlite3_exec(store->db, "SELECT 1 FROM sqlite_master", NULL, NULL, NULL) & 0xff;
    return result != SQLITE_CANTOPEN && result != SQLITE_READONLY;
}

static void harden(struct store *store)
{
    sqlite3_busy_timeout(store->db, BUSY_TIMEOUT_MS);
    sqlite3_extended_result_codes(store->db, 1);
    /* The file may come from anyone: its schema may not call functions or reach its own pages. */
    sqlite3_db_config(store->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    sqlite3_db_config(store->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    sqlite3_db_config(store->db, SQLITE_DBCONFIG_ENABLE_FKEY, 1, NULL);
}

static status_code check_there(const struct store *store, struct status *st)
{
    if (strcmp(store->path, ":memory:") == 0) return STATUS_OK;
    FILE *file = fopen(store->path, "rb");
    if (!file && errno == ENOENT)
        return status_set(st, STATUS_NOT_FOUND, "%s: there is no store here", store->path);
    if (!file) return status_set(st, STATUS_IO, "%s: %s", store->path, strerror(errno));
    fclose(file);
    return STATUS_OK;
}

static status_code open_file(struct store *store, enum store_access access, struct status *st)
{
    static const int flags[] = {
        [STORE_WRITE] = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE,
        [STORE_CHANGE] = SQLITE_OPEN_READWRITE,
        [STORE_READ] = SQLITE_OPEN_READONLY,
    };
    if (access != STORE_WRITE && check_there(store, st) != STATUS_OK) return st->code;
    int result =
        sqlite3_open_v2(store->path, &store->db, flags[access] | SQLITE_OPEN_NOMUTEX, NULL);
    if (!store->db) return status_no_memory(st, store->path);
    if (result == SQLITE_OK && access == STORE_READ && !can_read(store))
        result = open_immutable(store);
    if (result != SQLITE_OK)
        return status_set(st, STATUS_IO, "%s: %s", store->path,
                          store->db ? sqlite3_errmsg(store->db) : sqlite3_errstr(result));
    harden(store);
    return access == STORE_READ ? open_for_reading(store, st) : open_for_writing(store, st);
}

status_code store_open_as(struct store **out, const char *path, enum store_access access,
                          const struct schema *schema, struct status *st)
{
    *out = NULL;
    if (!path || !*path) return status_set(st, STATUS_USAGE, "the store needs a file name");
    struct store *store = calloc(1, sizeof *store);
    if (!store) return status_no_memory(st, "the store");
    store->schema = schema;
    store->path = malloc(strlen(path) + 1);
    if (!store->path) {
        free(store);
        return status_no_memory(st, "the store");
    }
    memcpy(store->path, path, strlen(path) + 1);
    if (open_file(store, access, st) != STATUS_OK) {
        store_free(store);
        return st->code;
    }
    *out = store;
    return STATUS_OK;
}

status_code store_open(struct store **out, const char *path, enum store_access access,
                       struct status *st)
{
    return store_open_as(out, path, access, &current_schema, st);
}

void store_free(struct store *store)
{
    if (!store) return;
    for (int i = 0; i < store->n_cached; i++) sqlite3_finalize(store->cached[i].statement);
    sqlite3_close_v2(store->db); /* rolls back a batch that is still open */
    free(store->path);
    free(store);
}

const char *store_path(const struct store *store)
{
    return store->path;
}
