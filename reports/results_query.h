/* results_query.h - SQL for the files of this folder; outside only a test includes it.
 *
 *   query_cached() or query_create() -> query_bind_...() in order -> query_run()
 *                                                                 -> query_row() until no row
 *
 * A `query` is a prepared statement.  A cached one is made once per store, belongs to the store and
 * comes back reset; one that was created is freed by its owner, and is the kind to walk rows with
 * while other queries run.  Binds fill the parameters from the first to the last; a bind that fails
 * is reported by the next run or row.  SQL is always a literal: values are bound, never printed.
 *
 * A failure rolls back the open batch.
 */
#ifndef ASSAY_RESULTS_QUERY_H
#define ASSAY_RESULTS_QUERY_H

#include "engine/base/arena.h"
#include "reports/results_store.h"

struct query; /* opaque */

/* The statement for this literal, which must not be in use further up the stack.  Both return NULL
 * and set the status when SQLite refuses. */
struct query *query_cached(struct store *store, const char *sql, struct status *st);
struct query *query_create(struct store *store, const char *sql, struct status *st);
void query_free(struct query *query);

void query_bind_str(struct query *query, const char *string); /* NULL is NULL */
void query_bind_text(struct query *query, struct text text);  /* data NULL is NULL */
void query_bind_int(struct query *query, int64_t value);      /* STORE_UNKNOWN is NULL */
void query_bind_double(struct query *query, double value);    /* NAN is NULL */
void query_bind_bits(struct query *query, uint64_t value);    /* all 64 bits as they are */

/* Runs a statement that yields no rows, and resets it. */
status_code query_run(struct query *query, struct status *st) MUST_CHECK;

/* Steps to the next row; *row is false after the last, when the query has been reset. */
status_code query_row(struct query *query, bool *row, struct status *st) MUST_CHECK;

/* Runs a query for its only row; STATUS_NOT_FOUND with the message "`what` is not in the store"
 * when there is none.  The columns may be read until query_reset(). */
status_code query_only_row(struct query *query, const char *what, struct status *st) MUST_CHECK;
void query_reset(struct query *query);

/* Columns of the current row, from 0.  A text is valid until the next step. */
struct text query_text(struct query *query, int column); /* NULL has data NULL */
int64_t query_int(struct query *query, int column);      /* NULL is STORE_UNKNOWN */
double query_double(struct query *query, int column);    /* NULL is NAN */
uint64_t query_bits(struct query *query, int column);

/* query_text() copied into the arena with a NUL behind it; *out is NULL for NULL. */
status_code query_copy_str(struct query *query, int column, struct arena *arena, const char **out,
                           struct status *st) MUST_CHECK;

/* Rows that the last statement changed. */
int64_t query_changes(struct store *store);

/* What a store is made of: the steps of its versions, in order, each of which turns the version
 * before it into its own.  An older store is brought up to the newest in one transaction. */
struct schema_step {
    int version;
    const struct text *sql;
};
struct schema {
    const struct schema_step *steps;
    size_t n;
};

/* store_open() with other versions than this program's: for the test of their succession. */
status_code store_open_as(struct store **out, const char *path, enum store_access access,
                          const struct schema *schema, struct status *st) MUST_CHECK;

/* The time in UTC, ISO 8601; and an id for what begins now: ids sort by time. */
void store_now(char out[32]);
void store_make_id(char id[STORE_RUN_ID_SIZE]);

/* STATUS_OK while a batch is open. */
status_code store_need_batch(struct store *store, struct status *st) MUST_CHECK;
bool store_in_batch(const struct store *store);

#endif
