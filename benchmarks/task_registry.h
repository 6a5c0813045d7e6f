/* task_registry.h - the names that --tasks understands.
 *
 *   "mmlu_stem,gsm8k" -> task_registry_select() -> task_refs, one for each leaf
 *
 * A name is a leaf ("gsm8k", "mmlu_anatomy"), a task with subsets ("mmlu": all of them) or one of
 * its groups ("mmlu_stem").  Leaves come in the order of the names given, and within a task in
 * alphabetical order of subset; a leaf that two names mean comes once.  A name with a slash or that
 * ends in .json is the path of a task file (benchmarks/task_file.h); some of these come with the
 * program, under plain names.
 *
 *   struct task_selection selection;
 *   if (task_registry_select(&selection, "mmlu", NULL, &lookup, st) != STATUS_OK) ...
 *   for (int i = 0; i < selection.count; i++) ... selection.refs[i] ...
 *   task_selection_release(&selection);
 *
 * Which subsets a task has depends on the data: a data directory with a manifest.json that lists
 * "mmlu_subjects" (the demo samples) has only these; any other must have all 57.
 */
#ifndef ASSAY_TASK_REGISTRY_H
#define ASSAY_TASK_REGISTRY_H

#include "benchmarks/task.h"

struct task_selection {
    struct task_ref *refs; /* owned */
    int count;
    struct task_file **files; /* held: what some of the refs point into */
    int n_files;
};

/* Appends the names with each that FOLDER/NAME.json is there for replaced by that path: what
 * `--task-dir FOLDER` means.  `folder` NULL changes nothing. */
status_code task_registry_resolve(struct strbuf *out, const char *names, const char *folder,
                                  struct status *st) MUST_CHECK;

/* `names` is a comma-separated list.  `profile` NULL means each task's first profile.  An unknown
 * name fails with STATUS_USAGE and names the nearest remedy. */
status_code task_registry_select(struct task_selection *out, const char *names, const char *profile,
                                 const struct dataset_lookup *lookup, struct status *st) MUST_CHECK;
void task_selection_release(struct task_selection *selection);

/* The compiled rows, for `list tasks`: one for each task and profile. */
size_t task_registry_count(void);
const struct task *task_registry_at(size_t index);

/* The distinct groups of a task's subsets, in order of first use, from index 0; NULL after the
 * last. */
const char *task_group_at(const struct task *task, size_t index);

#endif
