#include "reports/speed_store.h"

#include "reports/results_query.h"

static struct query *begin_row(struct store *store, const char *sql, const char *id,
                               struct status *st)
{
    if (store_need_batch(store, st) != STATUS_OK) return NULL;
    struct query *query = query_cached(store, sql, st);
    if (query) query_bind_str(query, id);
    return query;
}

status_code store_add_speed(struct store *store, const struct store_speed *speed,
                            char id[STORE_RUN_ID_SIZE], struct status *st)
{
    static const char sql[] =
        "INSERT INTO speed_run (speed_run, started_at, program_version, program_commit, compiler,"
        " build_flags, cpu, kernel_set, compute, threads, model, weights_sha256, architecture,"
        " quantisation, n_parameters, n_layers, matrix_bytes, peak_compute, peak_operations,"
        " read_bandwidth, peak_resident_bytes, command_line) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
    char now[32];
    store_make_id(id);
    store_now(now);
    struct query *query = begin_row(store, sql, id, st);
    if (!query) return st->code;
    query_bind_str(query, now);
    query_bind_str(query, speed->program_version);
    query_bind_str(query, speed->program_commit);
    query_bind_str(query, speed->compiler);
    query_bind_str(query, speed->build_flags);
    query_bind_str(query, speed->cpu);
    query_bind_str(query, speed->kernel_set);
    query_bind_str(query, speed->compute);
    query_bind_int(query, speed->threads);
    query_bind_str(query, speed->model);
    query_bind_str(query, speed->weights_sha256);
    query_bind_str(query, speed->architecture);
    query_bind_str(query, speed->quantisation);
    query_bind_bits(query, speed->n_parameters);
    query_bind_int(query, speed->n_layers);
    query_bind_bits(query, speed->matrix_bytes);
    query_bind_str(query, speed->peak_compute);
    query_bind_double(query, speed->peak_operations);
    query_bind_double(query, speed->read_bandwidth);
    query_bind_int(query, speed->peak_resident_bytes);
    query_bind_str(query, speed->command_line);
    return query_run(query, st);
}

status_code store_add_speed_row(struct store *store, const char *id, int position,
                                const struct store_speed_row *row, struct status *st)
{
    static const char sql[] =
        "INSERT INTO speed_row (speed_run, position, kind, batch, n_tokens, n_context, repetitions,"
        " tokens_per_second, slowest, fastest, bound, fraction) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
    struct query *query = begin_row(store, sql, id, st);
    if (!query) return st->code;
    query_bind_int(query, position);
    query_bind_str(query, row->kind);
    query_bind_int(query, row->batch);
    query_bind_int(query, row->n_tokens);
    query_bind_int(query, row->n_context);
    query_bind_int(query, row->repetitions);
    query_bind_double(query, row->tokens_per_second);
    query_bind_double(query, row->slowest);
    query_bind_double(query, row->fastest);
    query_bind_str(query, row->bound);
    query_bind_double(query, row->fraction);
    return query_run(query, st);
}

status_code store_add_speed_workload(struct store *store, const char *id,
                                     const struct store_speed_workload *workload, struct status *st)
{
    static const char sql[] =
        "INSERT INTO speed_workload (speed_run, kind, real_texts, n_documents, n_requests, seconds,"
        " documents_per_second, one_by_one, tokens_asked, tokens_unique, tokens_computed) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
    struct query *query = begin_row(store, sql, id, st);
    if (!query) return st->code;
    query_bind_str(query, workload->kind);
    query_bind_int(query, workload->real_texts);
    query_bind_int(query, workload->n_documents);
    query_bind_int(query, workload->n_requests);
    query_bind_double(query, workload->seconds);
    query_bind_double(query, workload->documents_per_second);
    query_bind_double(query, workload->one_by_one);
    query_bind_bits(query, workload->asked);
    query_bind_bits(query, workload->unique);
    query_bind_bits(query, workload->computed);
    return query_run(query, st);
}
