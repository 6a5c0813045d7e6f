/* task_file_internal.h - what the files of task_file share; nobody else includes it. */
#ifndef ASSAY_TASK_FILE_INTERNAL_H
#define ASSAY_TASK_FILE_INTERNAL_H

#include "benchmarks/task_file.h"
#include "benchmarks/template.h"

#define TASK_FILE_MAX_SPLITS 8

/* A split of the data, and the file it is in. */
struct task_file_split {
    const char *name, *file; /* below the dataset's folder */
};

struct task_file {
    int holders;
    struct arena arena; /* everything below */
    struct task_file_info info;
    struct task row;
    struct task_file_split splits[TASK_FILE_MAX_SPLITS]; /* those that files are named for */
    int n_splits;
    const char *subfolder;    /* dataset_name: where files that are not named are; or NULL */
    const char *description;  /* or NULL */
    struct template *text;    /* doc_to_text */
    struct template *target;  /* doc_to_target; NULL: gold_index */
    int gold_index;           /* where doc_to_target is a number */
    struct template *choices; /* doc_to_choice; NULL: the fixed ones, or none */
    struct text fixed_choices[TASK_MAX_CHOICES];
    int n_fixed_choices;
    struct template *labels; /* which choices are true, for mc2; or NULL */
};

/* The functions of the row: reads a split, and answers for its documents. */
status_code task_file_load(const struct task *task, const char *subset, const char *split,
                           struct dataset *dataset, struct document_list *out, struct status *st);
void task_file_set_functions(struct task_file *file);

#endif
