#include "benchmarks/speed.h"

#include <omp.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "engine/base/clock.h"
#include "engine/base/rng.h"
#include "engine/kernels/kernels.h"

#define PEAK_SECONDS    0.1 /* long enough that starting threads does not count */
#define PEAK_T          32  /* a tile that stays in the first-level cache */
#define PEAK_R          6
#define PEAK_K          256
#define BANDWIDTH_BYTES ((size_t)256 << 20) /* larger than any cache */
#define BANDWIDTH_K     4096

const char *speed_kind_name(enum speed_kind kind)
{
    return kind == SPEED_PREFILL ? "prefill" : "decode";
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static double median(double *values, int n)
{
    qsort(values, (size_t)n, sizeof *values, compare_doubles);
    return n % 2 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

/* ---- the machine ---- */

static double thread_flops(const struct kernel_set *kernels)
{
    float x[PEAK_T * PEAK_K], w[PEAK_R * PEAK_K], out[PEAK_T * PEAK_R];
    for (size_t i = 0; i < PEAK_T * PEAK_K; i++) x[i] = 0.5f;
    for (size_t i = 0; i < PEAK_R * PEAK_K; i++) w[i] = 0.25f;
    double start = clock_seconds(), now = start, tiles = 0;
    while (now - start < PEAK_SECONDS) {
        for (int i = 0; i < 64; i++)
            kernels->dot_tile(out, PEAK_R, x, PEAK_K, w, PEAK_K, PEAK_T, PEAK_R, PEAK_K);
        tiles += 64;
        now = clock_seconds();
    }
    return 2.0 * PEAK_T * PEAK_R * PEAK_K * tiles / (now - start);
}

static double measure_peak(const struct kernel_set *kernels, int n_threads)
{
    double total = 0; /* of speeds, which are not results: their order does not matter */
#pragma omp parallel num_threads(n_threads) reduction(+ : total)
    total += thread_flops(kernels);
    return total;
}

static status_code measure_bandwidth(const struct kernel_set *kernels, int n_threads, double *out,
                                     struct status *st)
{
    const int rows = (int)(BANDWIDTH_BYTES / sizeof(float) / BANDWIDTH_K);
    float *data = malloc(BANDWIDTH_BYTES);
    static const float ones[BANDWIDTH_K] = {1};
    if (!data) return status_no_memory(st, "measuring the bandwidth");
#pragma omp parallel for schedule(static) num_threads(n_threads)
    for (int r = 0; r < rows; r++)
        for (size_t k = 0; k < BANDWIDTH_K; k++) data[(size_t)r * BANDWIDTH_K + k] = 1;
    double start = clock_seconds();
#pragma omp parallel for schedule(static) num_threads(n_threads)
    for (int r = 0; r < rows; r++) {
        float sum;
        kernels->dot_tile(&sum, 1, ones, BANDWIDTH_K, data + (size_t)r * BANDWIDTH_K, BANDWIDTH_K,
                          1, 1, BANDWIDTH_K);
    }
    *out = (double)BANDWIDTH_BYTES / (clock_seconds() - start);
    free(data);
    return STATUS_OK;
}

/* ---- the model ---- */

struct timing {
    struct session *session;
    int32_t *tokens; /* random ids: what is computed does not depend on them */
};

static void ignore_logits(void *user, int position, const float *logits)
{
    (void)user, (void)position, (void)logits;
}

/* Seconds of one prefill.  The session first holds another first token, so that nothing is kept. */
static status_code time_prefill(struct timing *t, int n, double *seconds, struct status *st)
{
    const int32_t other = t->tokens[0] == 0;
    status_code code = session_eval(t->session, &other, 1, 1, NULL, NULL, st);
    double start = clock_seconds();
    if (code == STATUS_OK)
        code = session_eval(t->session, t->tokens, n, n - 1, ignore_logits, NULL, st);
    *seconds = clock_seconds() - start;
    return code;
}

static status_code time_decode(struct timing *t, int context, int n, double *seconds,
                               struct status *st)
{
    status_code code = session_eval(t->session, t->tokens, context, context, NULL, NULL, st);
    double start = clock_seconds();
    for (int i = 1; i <= n && code == STATUS_OK; i++)
        code = session_eval(t->session, t->tokens, context + i, context + i - 1, ignore_logits,
                            NULL, st);
    *seconds = clock_seconds() - start;
    return code;
}

static status_code measure_row(struct timing *t, struct speed_row *row, int repetitions,
                               struct status *st)
{
    double rates[SPEED_MAX_REPETITIONS];
    for (int i = -1; i < repetitions; i++) { /* -1 warms caches and page tables */
        double seconds;
        status_code code = row->kind == SPEED_PREFILL
                               ? time_prefill(t, row->n_tokens, &seconds, st)
                               : time_decode(t, row->n_context, row->n_tokens, &seconds, st);
        if (code != STATUS_OK) return code;
        if (i >= 0) rates[i] = row->n_tokens / seconds;
    }
    row->tokens_per_second = median(rates, repetitions);
    row->slowest = rates[0];
    row->fastest = rates[repetitions - 1];
    return STATUS_OK;
}

static void list_rows(const struct speed_options *options, struct speed_result *out)
{
    for (int i = 0; i < options->n_prefill; i++)
        out->rows[out->n_rows++] =
            (struct speed_row){.kind = SPEED_PREFILL, .n_tokens = options->prefill[i]};
    if (options->decode_tokens > 0)
        out->rows[out->n_rows++] = (struct speed_row){.kind = SPEED_DECODE,
                                                      .n_tokens = options->decode_tokens,
                                                      .n_context = options->decode_context};
}

static status_code measure_rows(const struct engine *engine, const struct speed_options *options,
                                struct speed_result *out, struct status *st)
{
    int longest = 1;
    for (int i = 0; i < out->n_rows; i++) {
        int n = out->rows[i].n_tokens + out->rows[i].n_context;
        if (n > longest) longest = n;
    }
    if (longest > engine_get_info(engine)->n_context)
        return status_set(st, STATUS_LIMIT, "%d tokens do not fit the model's context of %d", longest,
                          engine_get_info(engine)->n_context);
    struct timing t = {.tokens = calloc((size_t)longest, sizeof *t.tokens)};
    if (!t.tokens) return status_no_memory(st, "measuring the speed");
    struct rng rng;
    rng_seed(&rng, 1);
    uint64_t n_vocab = (uint64_t)engine_get_info(engine)->n_vocab;
    for (int i = 0; i < longest; i++) t.tokens[i] = (int32_t)(rng_next(&rng) % n_vocab);
    status_code code = session_create(&t.session, engine, longest, st);
    for (int i = 0; i < out->n_rows && code == STATUS_OK; i++)
        code = measure_row(&t, &out->rows[i], options->repetitions, st);
    session_free(t.session);
    free(t.tokens);
    return code;
}

static int64_t peak_resident_bytes(void)
{
    struct rusage usage;
    return getrusage(RUSAGE_SELF, &usage) == 0 ? (int64_t)usage.ru_maxrss * 1024 : 0;
}

status_code speed_measure(const struct engine *engine, const struct speed_options *options,
                          struct speed_result *out, struct status *st)
{
    const struct engine_info *info = engine_get_info(engine);
    const struct kernel_set *kernels;
    *out = (struct speed_result){.flops_per_token = 2.0 * (double)info->layer_parameters,
                                 .bytes_per_token = (double)info->matrix_bytes};
    if (options->n_prefill >= SPEED_MAX_ROWS || options->repetitions > SPEED_MAX_REPETITIONS)
        return status_set(st, STATUS_USAGE, "at most %d prompt lengths and %d repetitions",
                          SPEED_MAX_ROWS - 1, SPEED_MAX_REPETITIONS);
    status_code code = kernel_set_select(&kernels, info->kernels, st);
    if (code != STATUS_OK) return code;
    list_rows(options, out);
    if ((code = measure_rows(engine, options, out, st)) != STATUS_OK) return code;
    out->peak_resident_bytes = peak_resident_bytes();
    out->peak_flops = measure_peak(kernels, info->n_threads);
    code = measure_bandwidth(kernels, info->n_threads, &out->read_bandwidth, st);
    for (int i = 0; i < out->n_rows; i++) {
        struct speed_row *row = &out->rows[i];
        row->fraction = row->kind == SPEED_PREFILL
                            ? row->tokens_per_second * out->flops_per_token / out->peak_flops
                            : row->tokens_per_second * out->bytes_per_token / out->read_bandwidth;
    }
    return code;
}
