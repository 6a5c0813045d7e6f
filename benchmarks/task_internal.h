/* task_internal.h - what task.c and task_render.c share; nobody else includes it. */
#ifndef ASSAY_TASK_INTERNAL_H
#define ASSAY_TASK_INTERNAL_H

#include "benchmarks/task.h"

struct task_instance {
    struct task_ref ref;
    struct task row; /* what ref.task points to where the leaf has a row of its own */
    struct task_info info;
    struct dataset *dataset;
    struct document_list test, pool; /* pool: the few-shot split */
    uint32_t *draws; /* (n_documents, num_fewshot) into pool; NULL: the first ones */
    struct answer_checker *checker;
    struct task_file *file; /* held; NULL where the task is compiled */
};

/* Fails with STATUS_USAGE when there is no document `doc_id`. */
status_code task_check_document(const struct task_instance *instance, int64_t doc_id,
                                struct status *st) MUST_CHECK;

#endif
