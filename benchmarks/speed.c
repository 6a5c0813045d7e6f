#include "benchmarks/speed.h"

#include <stdlib.h>
#include <sys/resource.h>

#include "benchmarks/machine.h"
#include "engine/base/clock.h"
#include "engine/base/limits.h"
#include "engine/base/rng.h"
#include "engine/scheduler/scheduler.h"

const char *speed_kind_name(enum speed_kind kind)
{
    return kind == SPEED_PREFILL ? "prefill" : "decode";
}

const char *speed_bound_name(enum speed_bound bound)
{
    return bound == SPEED_BY_ARITHMETIC ? "arithmetic" : "bandwidth";
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

/* ---- jobs of made-up tokens ---- */

struct timing {
    struct scheduler *scheduler;
    struct machine machine;
    struct rng rng; /* what is computed does not depend on the tokens */
    int n_vocab;
    int32_t *tokens; /* [n_jobs][longest] */
    struct scheduler_job *jobs;
    int longest;
};

/* Never a token that ends anything: jobs end by their length. */
static int32_t draw_token(struct timing *t)
{
    return (int32_t)(rng_next(&t->rng) % (uint64_t)t->n_vocab);
}

/* The next token follows from the last position alone: no state that threads would share. */
static int32_t choose_token(void *user, int position, const float *logits)
{
    const struct timing *t = user;
    (void)logits;
    return (int32_t)((uint32_t)position * 2654435761u % (uint32_t)t->n_vocab);
}

static int32_t end_job(void *user, int position, const float *logits)
{
    (void)user, (void)position, (void)logits;
    return SCHEDULER_END;
}

/* Runs the first n jobs; *computed is what their tokens came to, *seconds how long it took. */
static status_code run_jobs(struct timing *t, int n, uint64_t *computed, double *seconds,
                            struct status *st)
{
    uint64_t before = scheduler_get_counts(t->scheduler).computed;
    double start = clock_seconds();
    status_code code = scheduler_run(t->scheduler, t->jobs, n, st);
    *seconds = clock_seconds() - start;
    *computed = scheduler_get_counts(t->scheduler).computed - before;
    for (int i = 0; i < n && code == STATUS_OK; i++)
        if (t->jobs[i].status.code != STATUS_OK)
            code = status_set(st, t->jobs[i].status.code, "%s", t->jobs[i].status.message);
    return code;
}

/* One prefill of tokens that nothing kept begins with. */
static status_code time_prefill(struct timing *t, const struct speed_row *row, double *rate,
                                struct status *st)
{
    uint64_t computed;
    double seconds;
    for (int i = 0; i < row->n_tokens; i++) t->tokens[i] = draw_token(t);
    t->jobs[0] = (struct scheduler_job){.tokens = t->tokens,
                                        .n_tokens = row->n_tokens,
                                        .first_logits = row->n_tokens - 1,
                                        .max_tokens = row->n_tokens,
                                        .on_logits = end_job,
                                        .user = t};
    status_code code = run_jobs(t, 1, &computed, &seconds, st);
    *rate = (double)computed / seconds;
    return code;
}

/* The contexts are computed first, outside of the timed window; then each sequence gets one more
 * token, which no sequence had before, and makes others behind it. */
static status_code time_decode(struct timing *t, const struct speed_row *row, double *rate,
                               struct status *st)
{
    uint64_t computed;
    double seconds;
    for (int i = 0; i < row->batch; i++) {
        int32_t *tokens = t->tokens + (size_t)i * (size_t)t->longest;
        for (int k = 0; k < row->n_context; k++) tokens[k] = draw_token(t);
        t->jobs[i] = (struct scheduler_job){.tokens = tokens,
                                            .n_tokens = row->n_context,
                                            .first_logits = row->n_context,
                                            .max_tokens = row->n_context};
    }
    status_code code = run_jobs(t, row->batch, &computed, &seconds, st);
    if (code != STATUS_OK) return code;
    for (int i = 0; i < row->batch; i++) {
        struct scheduler_job *job = &t->jobs[i];
        t->tokens[(size_t)i * (size_t)t->longest + (size_t)row->n_context] = draw_token(t);
        job->n_tokens = row->n_context + 1;
        job->max_tokens = row->n_context + row->n_tokens;
        job->on_logits = choose_token;
        job->user = t;
    }
    code = run_jobs(t, row->batch, &computed, &seconds, st);
    *rate = (double)computed / seconds;
    return code;
}

/* ---- rows ---- */

static void list_rows(const struct speed_options *options, struct speed_result *out)
{
    for (int i = 0; i < options->prefill.n; i++)
        out->rows[out->n_rows++] = (struct speed_row){.kind = SPEED_PREFILL,
                                                      .batch = 1,
                                                      .n_tokens = options->prefill.values[i],
                                                      .bound = SPEED_BY_ARITHMETIC};
    for (int i = 0; i < options->batches.n && options->decode_tokens; i++)
        for (int k = 0; k < options->contexts.n; k++) {
            int batch = options->batches.values[i];
            out->rows[out->n_rows++] =
                (struct speed_row){.kind = SPEED_DECODE,
                                   .batch = batch,
                                   .n_tokens = options->decode_tokens,
                                   .n_context = options->contexts.values[k],
                                   .bound = batch > 1 ? SPEED_BY_ARITHMETIC : SPEED_BY_BANDWIDTH};
        }
}

/* The scheduler keeps as many tokens as all sequences of a row have together. */
static status_code make_room(struct timing *t, const struct engine *engine,
                             const struct speed_result *out, struct status *st)
{
    int64_t together = 1;
    int batch = 1;
    t->longest = 1;
    for (int i = 0; i < out->n_rows; i++) {
        const struct speed_row *row = &out->rows[i];
        int n = row->n_tokens + row->n_context;
        if (n > t->longest) t->longest = n;
        if (row->batch > batch) batch = row->batch;
        if ((int64_t)n * row->batch > together) together = (int64_t)n * row->batch;
    }
    const struct engine_info *info = engine_get_info(engine);
    if (t->longest > info->n_context || together > LIMIT_CONTEXT)
        return status_set(st, STATUS_LIMIT,
                          "%d tokens do not fit the model's context of %d, or %lld together are "
                          "more than %d",
                          t->longest, info->n_context, (long long)together, LIMIT_CONTEXT);
    struct scheduler_options options = {
        .n_context = (int)(together > info->n_context ? together : info->n_context),
        .max_sequences = batch};
    t->n_vocab = info->n_vocab;
    t->tokens = calloc((size_t)batch * (size_t)t->longest, sizeof *t->tokens);
    t->jobs = calloc((size_t)batch, sizeof *t->jobs);
    if (!t->tokens || !t->jobs) return status_no_memory(st, "measuring the speed");
    return scheduler_create(&t->scheduler, engine, &options, st);
}

static status_code measure_rows(struct timing *t, const struct speed_options *options,
                                struct speed_result *out, struct status *st)
{
    double *rates = calloc((size_t)out->n_rows + 1, SPEED_MAX_REPETITIONS * sizeof *rates);
    status_code code = rates ? STATUS_OK : status_no_memory(st, "measuring the speed");
    for (int i = -1; i < options->repetitions; i++) { /* -1 warms caches and page tables */
        for (int k = 0; k < out->n_rows && code == STATUS_OK; k++) {
            double rate;
            machine_sample(&t->machine);
            code = out->rows[k].kind == SPEED_PREFILL ? time_prefill(t, &out->rows[k], &rate, st)
                                                      : time_decode(t, &out->rows[k], &rate, st);
            if (i >= 0 && code == STATUS_OK) rates[k * SPEED_MAX_REPETITIONS + i] = rate;
        }
    }
    for (int k = 0; k < out->n_rows && code == STATUS_OK; k++) {
        double *own = rates + k * SPEED_MAX_REPETITIONS;
        out->rows[k].tokens_per_second = median(own, options->repetitions);
        out->rows[k].slowest = own[0];
        out->rows[k].fastest = own[options->repetitions - 1];
    }
    free(rates);
    return code;
}

/* Without the memory whose reading is timed. */
static int64_t peak_resident_bytes(const struct machine *machine)
{
    struct rusage usage;
    if (getrusage(RUSAGE_SELF, &usage) != 0) return 0;
    return (int64_t)usage.ru_maxrss * 1024 - (machine->own ? (int64_t)machine->n_bytes : 0);
}

static void set_beside_the_machine(struct speed_result *out)
{
    for (int i = 0; i < out->n_rows; i++) {
        struct speed_row *row = &out->rows[i];
        double operations = out->layer_operations;
        if (row->kind == SPEED_DECODE) operations += out->head_operations;
        row->fraction = row->bound == SPEED_BY_BANDWIDTH
                            ? row->fastest * out->bytes_per_token / out->read_bandwidth
                            : row->fastest * operations / out->peak_operations;
    }
}

status_code speed_measure(const struct engine *engine, const struct speed_options *options,
                          struct speed_result *out, struct status *st)
{
    const struct engine_info *info = engine_get_info(engine);
    const struct kernel_set *kernels;
    struct timing t = {0};
    *out = (struct speed_result){.layer_operations = 2.0 * (double)info->layer_parameters,
                                 .head_operations =
                                     2.0 * (double)info->n_vocab * (double)info->d_model,
                                 .bytes_per_token = (double)info->matrix_bytes};
    if (info->is_encoder)
        return status_set(st, STATUS_UNSUPPORTED,
                          "%s has no next token: its speed is that of "
                          "`assay classify`",
                          info->path);
    list_rows(options, out);
    rng_seed(&t.rng, 1);
    status_code code = kernel_set_select(&kernels, info->kernels, st);
    if (code == STATUS_OK) {
        struct machine_options machine = {
            .kernels = kernels, .compute = info->compute, .n_threads = info->n_threads};
        machine.memory = engine_packed_weights(engine, &machine.n_bytes);
        code = machine_init(&t.machine, &machine, st);
    }
    if (code == STATUS_OK) machine_sample(&t.machine);
    if (code == STATUS_OK) code = make_room(&t, engine, out, st);
    if (code == STATUS_OK) code = measure_rows(&t, options, out, st);
    out->peak_compute = t.machine.compute;
    out->peak_operations = t.machine.operations;
    out->read_bandwidth = t.machine.read_bandwidth;
    out->peak_resident_bytes = peak_resident_bytes(&t.machine);
    if (code == STATUS_OK) set_beside_the_machine(out);
    scheduler_free(t.scheduler);
    machine_release(&t.machine);
    free(t.tokens);
    free(t.jobs);
    return code;
}
