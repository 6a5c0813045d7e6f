#include "benchmarks/run_documents.h"

#include <stdlib.h>
#include <string.h>

#include "benchmarks/run_config.h"
#include "benchmarks/task_registry.h"
#include "engine/base/limits.h"

struct run_documents {
    struct arena arena;
    struct run_config config;
    struct dataset_lookup lookup;
    struct task_selection selection;
    struct task_instance *instance; /* of the task that was asked for last; or NULL */
};

static status_code open_selection(struct run_documents *d, struct store *store, const char *run,
                                  struct status *st)
{
    struct store_run row;
    status_code code = store_load_run(store, run, &d->arena, &row, st);
    if (code != STATUS_OK) return code;
    if (!row.options_json)
        return status_set(st, STATUS_UNSUPPORTED, "run %s was not made by `assay run`", run);
    code = run_config_from_json(&d->config, text_of(row.options_json), &d->arena, st);
    if (code != STATUS_OK) return status_prefix(st, "run %s: options", run);
    return task_registry_select(&d->selection, d->config.tasks, d->config.profile, &d->lookup, st);
}

status_code run_documents_open(struct run_documents **out, struct store *store, const char *run,
                               const struct dataset_lookup *lookup, struct status *st)
{
    *out = NULL;
    struct run_documents *d = calloc(1, sizeof *d);
    if (!d) return status_no_memory(st, "documents");
    arena_init(&d->arena, 4 * (size_t)LIMIT_POLICY_BYTES);
    d->lookup = *lookup;
    if (open_selection(d, store, run, st) != STATUS_OK) {
        run_documents_free(d);
        return st->code;
    }
    *out = d;
    return STATUS_OK;
}

void run_documents_free(struct run_documents *d)
{
    if (!d) return;
    task_instance_free(d->instance);
    task_selection_release(&d->selection);
    arena_release(&d->arena);
    free(d);
}

/* A drawing of shots among several, "gsm8k#1234", has the documents of its task. */
static bool is_named(const struct task_ref *ref, const char *task)
{
    size_t n = strcspn(task, "#");
    return strlen(ref->name) == n && memcmp(ref->name, task, n) == 0;
}

static status_code load(struct run_documents *d, const char *task, struct status *st)
{
    const struct task_options options = {.num_fewshot = 0, .lookup = d->lookup};
    if (d->instance && is_named(task_instance_info(d->instance)->ref, task)) return STATUS_OK;
    task_instance_free(d->instance);
    d->instance = NULL;
    for (int i = 0; i < d->selection.count; i++)
        if (is_named(&d->selection.refs[i], task))
            return task_instance_load(&d->instance, &d->selection.refs[i], &options, st);
    return STATUS_OK;
}

status_code run_documents_append(struct run_documents *d, const char *task, int64_t doc_id,
                                 struct strbuf *json, struct status *st)
{
    if (load(d, task, st) != STATUS_OK) return st->code;
    if (!d->instance) return STATUS_OK;
    const struct task_info *info = task_instance_info(d->instance);
    if (doc_id < 0 || doc_id >= info->n_documents) return STATUS_OK;
    const struct task *row = info->ref->task;
    row->doc_to_json(row, task_instance_document(d->instance, doc_id), json);
    return strbuf_check(json, "a document", st);
}
