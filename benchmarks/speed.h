/* speed.h - how fast a model runs here, beside what this machine can do at all.
 *
 *   engine -> speed_measure() -> tokens per second of prefill and decode, peak and bandwidth
 *
 * Every figure is the median of its repetitions, with the fastest and the slowest beside it; the
 * machine's own figures are taken in the same minute, so that fractions hold on a machine that
 * others use too.  Inside the timed window is session_eval() alone: no tokenizing, no sampling.
 */
#ifndef ASSAY_SPEED_H
#define ASSAY_SPEED_H

#include "engine/engine.h"

#define SPEED_MAX_ROWS        16
#define SPEED_MAX_REPETITIONS 100

struct speed_options {
    const int *prefill; /* prompt lengths, each a row */
    int n_prefill;
    int decode_tokens;  /* tokens made one by one; 0: no decode row */
    int decode_context; /* tokens that stand before them */
    int repetitions;
};

enum speed_kind { SPEED_PREFILL, SPEED_DECODE };
const char *speed_kind_name(enum speed_kind kind); /* "prefill", "decode" */

/* One measurement.  A batch of one sequence. */
struct speed_row {
    enum speed_kind kind;
    int n_tokens;  /* computed in the timed window */
    int n_context; /* that stood before them */
    double tokens_per_second, slowest, fastest;
    double fraction; /* of the machine: of peak for prefill, of bandwidth for decode */
};

struct speed_result {
    struct speed_row rows[SPEED_MAX_ROWS];
    int n_rows;
    double peak_flops;      /* multiply-adds count as two; the kernels on data in the cache */
    double read_bandwidth;  /* bytes per second from memory, all threads */
    double flops_per_token; /* of a prefill token; the output head is not part of it */
    double bytes_per_token; /* of weights that one decoded token reads */
    int64_t peak_resident_bytes;
};

/* Fails when a length does not fit the model's context. */
status_code speed_measure(const struct engine *engine, const struct speed_options *options,
                          struct speed_result *out, struct status *st) MUST_CHECK;

#endif
