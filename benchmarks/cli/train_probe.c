/* assay train --probe: a classifier from few texts, on the hidden states of a model. */
#include <math.h>
#include <stdlib.h>

#include "benchmarks/cli/cli.h"
#include "benchmarks/cli/train.h"
#include "engine/base/clock.h"
#include "engine/base/limits.h"

struct probe_job {
    struct engine *engine;
    struct session *session;
    char weights[SHA256_HEX_SIZE];
    size_t n, d;
    float *hidden, *labels; /* (n, d), (n, n_heads) */
    bool *held_out;
    double *probabilities; /* (n, LINEAR_MAX_HEADS) */
};

static void release(struct probe_job *job)
{
    session_free(job->session);
    engine_free(job->engine);
    free(job->hidden);
    free(job->labels);
    free(job->held_out);
    free(job->probabilities);
}

static status_code open_model(struct probe_job *job, const char *path, struct status *st)
{
    const struct engine_options options = {.model_path = cli_model_path(path)};
    status_code code = engine_open(&job->engine, &options, st);
    if (code == STATUS_OK) code = engine_weights_sha256(job->engine, job->weights, st);
    if (code == STATUS_OK && !engine_get_tokenizer(job->engine))
        return status_set(st, STATUS_NOT_FOUND, "%s: the model has no tokenizer", path);
    if (code == STATUS_OK && engine_get_info(job->engine)->is_encoder)
        return status_set(st, STATUS_UNSUPPORTED, "%s: a probe needs a decoder", path);
    return code == STATUS_OK ? session_create(&job->session, job->engine, 0, st) : code;
}

static status_code make_room(struct probe_job *job, int n_heads, struct status *st)
{
    size_t bytes;
    if (__builtin_mul_overflow(job->n * sizeof(float), job->d, &bytes) || bytes > LIMIT_PROBE_BYTES)
        return status_set(st, STATUS_LIMIT,
                          "%zu texts with %zu numbers each are more than a probe is for; train a "
                          "linear classifier without --probe",
                          job->n, job->d);
    job->hidden = calloc(job->n * job->d, sizeof *job->hidden);
    job->labels = calloc(job->n * (size_t)n_heads, sizeof *job->labels);
    job->held_out = calloc(job->n, sizeof *job->held_out);
    job->probabilities = calloc(job->n * LINEAR_MAX_HEADS, sizeof *job->probabilities);
    if (job->hidden && job->labels && job->held_out && job->probabilities) return STATUS_OK;
    return status_no_memory(st, "hidden states");
}

static status_code read_states(struct probe_job *job, struct training_set *set,
                               enum probe_pool pool, struct status *st)
{
    const struct training_example *examples = training_set_examples(set, &job->n);
    int n_heads = training_set_options(set)->n_heads;
    job->d = (size_t)engine_get_info(job->engine)->d_model;
    status_code code = make_room(job, n_heads, st);
    double start = clock_seconds();
    for (size_t i = 0; i < job->n && code == STATUS_OK; i++) {
        code = probe_read_text(job->session, job->engine, examples[i].text, pool,
                               job->hidden + i * job->d, st);
        if (code != STATUS_OK) return status_prefix(st, "text %zu", i + 1);
        job->held_out[i] = examples[i].held_out;
        for (int h = 0; h < n_heads; h++)
            job->labels[i * (size_t)n_heads + (size_t)h] = examples[i].label[h];
    }
    if (code == STATUS_OK)
        log_info(&cli_logger, "hidden states of %zu texts in %.1f s", job->n,
                 clock_seconds() - start);
    return code;
}

static void score_texts(struct probe_job *job, const struct probe *probe)
{
    for (size_t i = 0; i < job->n; i++) {
        double logits[LINEAR_MAX_HEADS];
        probe_logits(probe, job->hidden + i * job->d, logits);
        for (int h = 0; h < probe->n_heads; h++)
            job->probabilities[i * LINEAR_MAX_HEADS + (size_t)h] = 1 / (1 + exp(-logits[h]));
    }
}

static status_code write_probe(struct training_set *set, const struct probe *probe,
                               const struct probe_order *order, struct status *st)
{
    struct strbuf file, origin;
    strbuf_init(&file, LIMIT_LINEAR_MODEL_BYTES);
    strbuf_init(&origin, LIMIT_CONFIG_BYTES);
    training_set_append_origin(set, &origin);
    probe_append(&file, probe, (struct text){origin.data, origin.length});
    status_code code = strbuf_check(&origin, "the origin of a probe", st);
    if (code == STATUS_OK) code = strbuf_check(&file, "a probe", st);
    if (code == STATUS_OK) code = cli_write_file(order->out, &file, st);
    if (code == STATUS_OK)
        log_info(&cli_logger, "wrote %s, %zu bytes; use it as --classifier probe:%s=%s", order->out,
                 file.length, order->out, order->model);
    strbuf_release(&file);
    strbuf_release(&origin);
    return code;
}

static status_code train(struct probe_job *job, struct training_set *set,
                         const struct probe_order *order, struct status *st)
{
    const struct training_options *options = training_set_options(set);
    struct probe *probe = NULL;
    status_code code = open_model(job, order->model, st);
    if (code == STATUS_OK) code = read_states(job, set, order->pool, st);
    if (code != STATUS_OK) return code;
    const struct probe_data data = {.name = options->name,
                                    .weights_sha256 = job->weights,
                                    .pool = order->pool,
                                    .d_model = (int)job->d,
                                    .n_heads = options->n_heads,
                                    .category = options->category,
                                    .n = job->n,
                                    .hidden = job->hidden,
                                    .labels = job->labels,
                                    .held_out = job->held_out};
    code = probe_train(&probe, &data, st);
    if (code != STATUS_OK) return code;
    score_texts(job, probe);
    code = train_print_figures(set, job->probabilities, order->json, st);
    if (code == STATUS_OK) code = write_probe(set, probe, order, st);
    probe_free(probe);
    return code;
}

status_code train_probe(struct training_set *set, const struct probe_order *order,
                        struct status *st)
{
    struct probe_job job = {0};
    double start = clock_seconds();
    status_code code = train(&job, set, order, st);
    release(&job);
    if (code == STATUS_OK) train_say_cost(start);
    return code;
}
