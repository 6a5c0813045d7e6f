/* scores.h - the benchmark table of one run, ready to be printed in any format.
 *
 *   store, run id -> score_table_load() -> rows: groups, then what is in them, indented
 *
 * A `score_table` owns everything it points to and stays valid after the store is closed.  A row is
 * one metric of one task or group, with three columns: `off` (the raw replies), shadow (`off`
 * beside the number of samples the guard would have blocked) and `enforce` (blocked samples count
 * as the task says, wrong as a rule).  A column that is not SCORE_KNOWN has no value to print.
 */
#ifndef ASSAY_SCORES_H
#define ASSAY_SCORES_H

#include "reports/results_store.h"
#include "reports/shot_seeds.h"

#define SCORE_COVERAGE_FLOOR 0.95 /* where nothing else is asked for */

/* Which way a metric points.  One without a direction is never better or worse. */
enum metric_direction { LOWER_IS_BETTER, HIGHER_IS_BETTER, NO_DIRECTION };

enum score_state {
    SCORE_KNOWN,
    SCORE_WITHHELD, /* coverage is under the floor */
    SCORE_UNHEARD,  /* a guard kept replies from being made, so the raw score cannot be known */
    SCORE_NO_GUARD  /* shadow and enforce, where no guard was on */
};

struct score_column {
    enum score_state state;
    double value;    /* mean over documents; groups weigh their tasks by size; NAN unless known */
    double macro;    /* groups: the plain mean of the tasks */
    double stderror; /* NAN where there are too few documents */
    int64_t scored;  /* replies with a value, of n_total */
    double coverage; /* scored / n_total; 0 where there is nothing */
};

struct score_row {
    const char *name; /* of the task or group */
    bool is_group;
    int depth;                     /* groups above it */
    const char *version, *profile; /* NULL where a group's tasks differ */
    int64_t num_fewshot;           /* STORE_UNKNOWN where a group's tasks differ */
    const char *metric, *extraction;
    bool is_headline; /* the first metric of its task */
    enum metric_direction direction;
    int64_t n_tasks, n_docs;
    int64_t n_total; /* replies expected: documents times repeats */
    struct score_column off, enforce;
    int64_t blocked_input, blocked_output; /* STORE_UNKNOWN where no guard was on */
    int64_t outcomes[OUTCOMES];
    int64_t disputed;    /* replies that another extraction of the metric judges otherwise;
                            STORE_UNKNOWN for groups */
    int64_t cut_prompts; /* that lost tokens on the left to fit the context; STORE_UNKNOWN for
                            groups */
};

struct score_table {
    struct store_run run;
    double coverage_floor;
    int64_t samples[SAMPLE_STATES];
    struct score_row *rows;
    size_t n_rows;
    struct shot_seeds_row *seeds; /* of tasks whose shots were drawn several times */
    size_t n_seeds;
    struct arena arena; /* holds the above */
};

/* `coverage_floor` is from 0 to 1; pass SCORE_COVERAGE_FLOOR where the user asked for nothing. */
status_code score_table_load(struct score_table **out, struct store *store, const char *run,
                             double coverage_floor, struct status *st) MUST_CHECK;
void score_table_free(struct score_table *table);

/* Whether every sample is finished and no task that has documents is withheld: otherwise the run is
 * incomplete. */
bool score_table_complete(const struct score_table *table);

/* "known", "withheld", "unheard", "no_guard" */
const char *score_state_name(enum score_state state);

#endif
