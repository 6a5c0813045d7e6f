#include "benchmarks/speed_record.h"

#include "benchmarks/machine.h"
#include "benchmarks/version.h"
#include "reports/speed_store.h"

static status_code add_run(struct store *store, const struct speed_subject *subject,
                           const struct speed_record *record, const struct speed_result *r,
                           char id[STORE_RUN_ID_SIZE], struct status *st)
{
    const struct engine_info *info = subject->engine;
    char cpu[256];
    machine_cpu_name(cpu, sizeof cpu);
    const struct store_speed speed = {.program_version = ASSAY_VERSION,
                                      .program_commit = version_commit(),
                                      .compiler = version_compiler(),
                                      .build_flags = version_build_flags(),
                                      .cpu = cpu[0] ? cpu : NULL,
                                      .kernel_set = info->kernels,
                                      .compute = info->compute,
                                      .threads = info->n_threads,
                                      .model = subject->title,
                                      .weights_sha256 = record->weights_sha256,
                                      .architecture = info->architecture,
                                      .quantisation = info->quantisation,
                                      .n_parameters = info->n_parameters,
                                      .matrix_bytes = info->matrix_bytes,
                                      .n_layers = info->n_layers,
                                      .peak_compute = r->peak_compute,
                                      .peak_operations = r->peak_operations,
                                      .read_bandwidth = r->read_bandwidth,
                                      .peak_resident_bytes = r->peak_resident_bytes,
                                      .command_line = record->command_line};
    return store_add_speed(store, &speed, id, st);
}

static status_code add_rows(struct store *store, const char *id, int repetitions,
                            const struct speed_result *r, struct status *st)
{
    status_code code = STATUS_OK;
    for (int i = 0; i < r->n_rows && code == STATUS_OK; i++) {
        const struct speed_row *from = &r->rows[i];
        const struct store_speed_row row = {.kind = speed_kind_name(from->kind),
                                            .batch = from->batch,
                                            .n_tokens = from->n_tokens,
                                            .n_context = from->n_context,
                                            .repetitions = repetitions,
                                            .tokens_per_second = from->tokens_per_second,
                                            .slowest = from->slowest,
                                            .fastest = from->fastest,
                                            .bound = speed_bound_name(from->bound),
                                            .fraction = from->fraction};
        code = store_add_speed_row(store, id, i, &row, st);
    }
    return code;
}

static status_code add_workload(struct store *store, const char *id,
                                const struct workload_result *w, struct status *st)
{
    const struct store_speed_workload row = {.kind = workload_kind_name(w->kind),
                                             .real_texts = w->is_real,
                                             .n_documents = w->n_documents,
                                             .n_requests = w->n_requests,
                                             .seconds = w->seconds,
                                             .documents_per_second = w->documents_per_second,
                                             .one_by_one = w->one_by_one,
                                             .asked = w->asked,
                                             .unique = w->unique,
                                             .computed = w->computed};
    return store_add_speed_workload(store, id, &row, st);
}

status_code speed_record(const char *path, const struct speed_subject *subject,
                         const struct speed_record *record, const struct speed_result *result,
                         const struct workload_result *workload, struct status *st)
{
    struct store *store;
    char id[STORE_RUN_ID_SIZE];
    status_code code = store_open(&store, path, STORE_WRITE, st);
    if (code != STATUS_OK) return code;
    code = store_begin(store, st);
    if (code == STATUS_OK) code = add_run(store, subject, record, result, id, st);
    if (code == STATUS_OK) code = add_rows(store, id, record->repetitions, result, st);
    if (code == STATUS_OK && workload) code = add_workload(store, id, workload, st);
    if (code == STATUS_OK) code = store_commit(store, st);
    store_free(store);
    return code;
}
