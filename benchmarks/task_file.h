/* task_file.h - a JSON file in lm-evaluation-harness's words to a row of the task registry.
 *
 *   file -> task_file_open() -> task_file_row() -> a `struct task` like any compiled one
 *
 * benchmarks/README.md says which fields there are.  The file is read strictly: a field that is not
 * known, or that makes no sense where it stands, is an error that names it, before any data is
 * read.  What a template asks of a row that the row does not have is an error that names the file
 * of the data, the line and the field, when the task is loaded and before a model is.
 *
 * A `task_file` is shared by whoever holds it; its row lives as long as it does.  Some come inside
 * the program (benchmarks/tasks/NAME.json).
 *
 *   struct task_file *file;
 *   if (task_file_open(&file, "my_task.json", st) != STATUS_OK) ...
 *   const struct task *row = task_file_row(file);
 *   task_file_release(file);
 *
 * Holding and releasing is for one thread at a time.
 */
#ifndef ASSAY_TASK_FILE_H
#define ASSAY_TASK_FILE_H

#include "benchmarks/task.h"

struct task_file; /* opaque */

/* Errors name the file and the field. */
status_code task_file_open(struct task_file **out, const char *path, struct status *st) MUST_CHECK;

/* One that comes with the program; *out is NULL when there is none of that name. */
status_code task_file_open_shipped(struct task_file **out, struct text name,
                                   struct status *st) MUST_CHECK;

/* Their names, from index 0; NULL after the last. */
const char *task_file_shipped_at(size_t index);

struct task_file *task_file_retain(struct task_file *file);
void task_file_release(struct task_file *file); /* NULL is legal */

const struct task *task_file_row(const struct task_file *file);

/* What the provenance of a run says about it. */
struct task_file_info {
    const char *path; /* or the shipped name with ".json" */
    char sha256[SHA256_HEX_SIZE];
    int64_t bytes;
};
const struct task_file_info *task_file_get_info(const struct task_file *file);

#endif
