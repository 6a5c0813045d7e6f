/* train.h - what `assay train` (cmd_train.c) and its probes (train_probe.c) share. */
#ifndef ASSAY_CLI_TRAIN_H
#define ASSAY_CLI_TRAIN_H

#include "benchmarks/training_recipe.h"
#include "classifiers/probe.h"

/* Prints the figures on the held-out texts.  `probabilities` is (n, LINEAR_MAX_HEADS). */
status_code train_print_figures(struct training_set *set, const double *probabilities, bool json,
                                struct status *st) MUST_CHECK;

/* Says how long it took since `start`, and the most memory that the program has held. */
void train_say_cost(double start);

/* Trains a probe on the hidden states of a model and writes it. */
struct probe_order {
    const char *model, *out;
    enum probe_pool pool;
    bool json;
};
status_code train_probe(struct training_set *set, const struct probe_order *order,
                        struct status *st) MUST_CHECK;

#endif
