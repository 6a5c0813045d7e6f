/* tasks.h - the rows of the task registry: one file and one row for each benchmark and profile. */
#ifndef ASSAY_TASKS_H
#define ASSAY_TASKS_H

#include "benchmarks/task.h"

extern const struct task task_mmlu;
extern const struct task task_gsm8k;

#endif
