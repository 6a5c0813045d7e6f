/* speed.h - how fast a model runs here, beside what this machine can do at all.
 *
 *   engine -> speed_measure() -> tokens per second of prefill and decode, peak and bandwidth
 *
 * Each figure is the median of its repetitions, with the fastest and the slowest beside it.  The
 * repetitions of all rows and samples of the machine's own bounds take turns; a fraction sets the
 * fastest repetition beside the best sample, so that what else the machine does meanwhile cancels.
 * Inside the timed window is scheduler_run() alone, with jobs of made-up tokens: no tokenizing.
 */
#ifndef ASSAY_SPEED_H
#define ASSAY_SPEED_H

#include "engine/engine.h"

#define SPEED_MAX_LIST        8
#define SPEED_MAX_ROWS        (SPEED_MAX_LIST + SPEED_MAX_LIST * SPEED_MAX_LIST)
#define SPEED_MAX_REPETITIONS 100
#define SPEED_MAX_BATCH       1024

struct speed_list {
    int n;
    int values[SPEED_MAX_LIST];
};

struct speed_options {
    struct speed_list prefill; /* prompt lengths, each a row */
    int decode_tokens; /* that each sequence makes, one after the other; 0: no decode rows */
    struct speed_list batches;  /* sequences that decode together */
    struct speed_list contexts; /* tokens that stand before what is decoded */
    int repetitions;
};

enum speed_kind { SPEED_PREFILL, SPEED_DECODE };
const char *speed_kind_name(enum speed_kind kind); /* "prefill", "decode" */

/* What a row's speed is set beside: arithmetic, or for one sequence that decodes, bandwidth. */
enum speed_bound { SPEED_BY_ARITHMETIC, SPEED_BY_BANDWIDTH };
const char *speed_bound_name(enum speed_bound bound); /* "arithmetic", "bandwidth" */

struct speed_row {
    enum speed_kind kind;
    int batch;     /* sequences */
    int n_tokens;  /* computed in the timed window, for each sequence */
    int n_context; /* that stood before them */
    double tokens_per_second, slowest, fastest; /* of all sequences together */
    enum speed_bound bound;
    double fraction; /* of the bound */
};

struct speed_result {
    struct speed_row rows[SPEED_MAX_ROWS];
    int n_rows;
    const char *peak_compute; /* the products that peak_operations counts: "int8" */
    double peak_operations;   /* per second; a multiply-add counts as two */
    double read_bandwidth;    /* bytes per second from memory, all threads */
    double layer_operations;  /* of one token in the layers: a token of a prefill */
    double head_operations;   /* of one token in the output head: decoding needs both */
    double bytes_per_token;   /* of weights that a pass reads */
    int64_t peak_resident_bytes;
};

/* Fails when a length does not fit the model's context. */
status_code speed_measure(const struct engine *engine, const struct speed_options *options,
                          struct speed_result *out, struct status *st) MUST_CHECK;

#endif
