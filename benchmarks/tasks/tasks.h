/* tasks.h - the rows of the task registry: one file and one row for each benchmark and profile. */
#ifndef ASSAY_TASKS_H
#define ASSAY_TASKS_H

#include "benchmarks/task.h"

extern const struct task task_mmlu;
extern const struct task task_mmlu_hendrycks;
extern const struct task task_mmlu_cloze;
extern const struct task task_mmlu_generative;
extern const struct task task_mmlu_helm;
extern const struct task task_gsm8k;
extern const struct task task_gsm8k_notebook;
extern const struct task task_gsm8k_cot;
extern const struct task task_gsm8k_cot_zeroshot;
extern const struct task task_gsm8k_cot_self_consistency;
extern const struct task task_mmmlu;
extern const struct task task_mgsm_direct;
extern const struct task task_mgsm_en_cot;
extern const struct task task_mgsm_native_cot;
extern const struct task task_rtp_paper;
extern const struct task task_rtp_helm;
extern const struct task task_rtp_greedy_mean;
extern const struct task task_rtp_lm_eval;
extern const struct task task_xstest;
extern const struct task task_simplesafetytests;
extern const struct task task_hellaswag;
extern const struct task task_humaneval;
extern const struct task task_humaneval_instruct;

#endif
