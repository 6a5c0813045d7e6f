#include "classifiers/training.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/limits.h"
#include "engine/base/rng.h"

/* Letters: H = LINEAR_MAX_HEADS, B = buckets, D = domains. */
#define H LINEAR_MAX_HEADS

#define DAMPING         80.0  /* keeps a word or two from having the full force of their weights */
#define ADAGRAD_START   0.1f  /* so that the first steps of a weight are not the largest */
#define BIAS_START      -1.5f /* most texts are harmless */
#define CALIBRATION_MIN 100   /* held-out labels of a head, below which it is not calibrated */

/* Weights and their sums of squared gradients. */
struct table {
    float *weights, *squares; /* (B, H) */
};

struct trainer {
    const struct training_options *options;
    struct table shared;
    struct table own[TRAINING_MAX_DOMAINS]; /* of domains that have examples, but not domain 0 */
    float bias[TRAINING_MAX_DOMAINS][H], bias_squares[TRAINING_MAX_DOMAINS][H];
    struct feature { /* of the text at hand */
        uint32_t bucket;
        float value;
    } * features;
    size_t n_features, room;
    double squares; /* of their values */
    bool no_memory;
};

static status_code table_init(struct table *table, int bits, struct status *st)
{
    size_t n = ((size_t)1 << bits) * H;
    table->weights = calloc(n, sizeof *table->weights);
    table->squares = malloc(n * sizeof *table->squares);
    if (!table->weights || !table->squares) return status_no_memory(st, "a table of weights");
    for (size_t i = 0; i < n; i++) table->squares[i] = ADAGRAD_START;
    return STATUS_OK;
}

static void trainer_release(struct trainer *trainer)
{
    const struct training_options *options = trainer->options;
    free(trainer->shared.weights);
    free(trainer->shared.squares);
    for (int d = 0; d < TRAINING_MAX_DOMAINS; d++) {
        free(trainer->own[d].weights);
        free(trainer->own[d].squares);
    }
    free(trainer->features);
    *trainer = (struct trainer){.options = options};
}

/* ---- features ---- */

static void keep_batch(void *user, const struct feature_batch *batch)
{
    struct trainer *trainer = user;
    unsigned shift = 32 - (unsigned)trainer->options->bits;
    if (trainer->n_features + batch->n > trainer->room) {
        size_t room = (trainer->room + batch->n) * 2;
        struct feature *features = realloc(trainer->features, room * sizeof *features);
        if (!features) trainer->no_memory = true;
        if (trainer->no_memory) return;
        trainer->features = features;
        trainer->room = room;
    }
    for (size_t i = 0; i < batch->n; i++)
        trainer->features[trainer->n_features++] =
            (struct feature){batch->hashes[i] >> shift, (float)batch->value};
    trainer->squares += (double)batch->n * batch->value * batch->value;
}

/* Finds the features of a text and the factor they count with. */
static status_code find_features(struct trainer *trainer, struct text text, float *factor,
                                 struct status *st)
{
    struct ngram_features features;
    trainer->n_features = 0;
    trainer->squares = 0;
    ngram_features_init(&features);
    ngram_features_add(&features, text, keep_batch, trainer);
    ngram_features_end(&features, keep_batch, trainer);
    if (trainer->no_memory) return status_no_memory(st, "the features of a text");
    *factor = (float)(1 / sqrt(trainer->squares + DAMPING));
    return STATUS_OK;
}

/* ---- one step ---- */

static void add_weights(const struct trainer *trainer, const struct table *table, float out[H])
{
    for (size_t i = 0; i < trainer->n_features; i++) {
        const float *w = table->weights + (size_t)trainer->features[i].bucket * H;
        for (int h = 0; h < H; h++) out[h] += trainer->features[i].value * w[h];
    }
}

static void step_table(const struct trainer *trainer, struct table *table, const float gradient[H],
                       float rate)
{
    float l2 = (float)trainer->options->l2;
    for (size_t i = 0; i < trainer->n_features; i++) {
        float *w = table->weights + (size_t)trainer->features[i].bucket * H;
        float *squares = table->squares + (size_t)trainer->features[i].bucket * H;
        for (int h = 0; h < H; h++) {
            float g = gradient[h] * trainer->features[i].value + l2 * w[h];
            squares[h] += g * g;
            w[h] -= rate * g / sqrtf(squares[h]);
        }
    }
}

static status_code step(struct trainer *trainer, const struct training_example *example, float rate,
                        struct status *st)
{
    int d = example->domain;
    float factor = 0, sums[H] = {0}, gradient[H] = {0};
    status_code code = find_features(trainer, example->text, &factor, st);
    if (code != STATUS_OK) return code;
    add_weights(trainer, &trainer->shared, sums);
    if (d) add_weights(trainer, &trainer->own[d], sums);
    for (int h = 0; h < trainer->options->n_heads; h++) {
        if (isnan(example->label[h])) continue;
        float logit = sums[h] * factor + trainer->bias[d][h];
        float g = example->weight * (1 / (1 + expf(-logit)) - example->label[h]);
        trainer->bias_squares[d][h] += g * g;
        trainer->bias[d][h] -= rate * g / sqrtf(trainer->bias_squares[d][h]);
        gradient[h] = g * factor;
    }
    step_table(trainer, &trainer->shared, gradient, rate);
    if (d)
        step_table(trainer, &trainer->own[d], gradient,
                   rate * (float)trainer->options->domain_rate);
    return STATUS_OK;
}

/* ---- all steps ---- */

static void shuffle(struct rng *rng, uint32_t *order, size_t n)
{
    for (size_t i = n; i > 1; i--) {
        size_t k = (size_t)(rng_uniform(rng) * (double)i);
        uint32_t kept = order[i - 1];
        order[i - 1] = order[k];
        order[k] = kept;
    }
}

static status_code run_epochs(struct trainer *trainer, const struct training_example *examples,
                              uint32_t *order, size_t n, struct status *st)
{
    const struct training_options *options = trainer->options;
    double total = (double)options->epochs * (double)n, done = 0;
    struct rng rng;
    rng_seed(&rng, options->seed);
    for (int epoch = 0; epoch < options->epochs; epoch++) {
        shuffle(&rng, order, n);
        for (size_t i = 0; i < n; i++, done++) {
            float rate = (float)(options->learning_rate * (1 - done / total));
            status_code code = step(trainer, &examples[order[i]], rate, st);
            if (code != STATUS_OK) return code;
        }
        log_info(options->log, "epoch %d of %d: %zu texts", epoch + 1, options->epochs, n);
    }
    return STATUS_OK;
}

/* Rounds a head's weights to 8 bits of a common scale. */
static void quantise_head(const struct trainer *trainer, int h, struct linear_model *model)
{
    size_t n = (size_t)1 << model->bits;
    const float *w = trainer->shared.weights + h;
    float largest = 0;
    for (size_t b = 0; b < n; b++) largest = fmaxf(largest, fabsf(w[b * H]));
    double scale = largest > 0 ? (double)largest / 127 : 1;
    model->heads[h].scale = scale;
    model->heads[h].bias = (double)trainer->bias[0][h];
    for (size_t b = 0; b < n; b++)
        model->weights[b * H + (size_t)h] = (int8_t)lrint((double)w[b * H] / scale);
}

/* ---- calibration ---- */

/* Fits y = 1/(1+exp(-(a z + b))) to soft labels by Newton's method (Platt 1999, with the labels
 * themselves as targets).  False when there is nothing to fit. */
static bool fit_platt(const double *z, const double *y, size_t n, double *a, double *b)
{
    *a = 1;
    *b = 0;
    for (int round = 0; round < 50; round++) {
        double ga = 0, gb = 0, aa = 1e-6, ab = 0, bb = 1e-6;
        for (size_t i = 0; i < n; i++) {
            double p = 1 / (1 + exp(-(*a * z[i] + *b))), w = p * (1 - p);
            ga += (p - y[i]) * z[i];
            gb += p - y[i];
            aa += w * z[i] * z[i];
            ab += w * z[i];
            bb += w;
        }
        double det = aa * bb - ab * ab;
        if (!(det > 0)) return false;
        double da = (bb * ga - ab * gb) / det, db = (aa * gb - ab * ga) / det;
        *a -= da;
        *b -= db;
        if (fabs(da) + fabs(db) < 1e-9) break;
    }
    return isfinite(*a) && isfinite(*b) && *a > 0.05 && *a < 20;
}

static status_code calibrate(struct linear_model *model, const struct training_example *examples,
                             size_t n, struct status *st)
{
    double *logits = calloc(n, LINEAR_MAX_HEADS * sizeof *logits);
    double *z = calloc(n, sizeof *z), *y = calloc(n, sizeof *y);
    bool good = logits && z && y;
    for (size_t i = 0; i < n && good; i++) {
        struct linear_sum sum;
        if (!examples[i].held_out || examples[i].domain) continue;
        linear_sum_init(&sum, model);
        linear_sum_add(&sum, examples[i].text);
        linear_sum_scores(&sum, logits + i * H, NULL);
    }
    for (int h = 0; h < model->n_heads && good; h++) {
        size_t count = 0;
        double a, b;
        for (size_t i = 0; i < n; i++) {
            const struct training_example *e = &examples[i];
            if (!e->held_out || e->domain || isnan(e->label[h])) continue;
            z[count] = logits[i * H + (size_t)h];
            y[count++] = (double)e->label[h];
        }
        if (count >= CALIBRATION_MIN && fit_platt(z, y, count, &a, &b))
            linear_head_calibrate(&model->heads[h], a, b);
    }
    free(logits);
    free(z);
    free(y);
    return good ? STATUS_OK : status_no_memory(st, "the calibration");
}

/* ---- the whole ---- */

static status_code check_examples(const struct training_options *options,
                                  const struct training_example *examples, const uint32_t *order,
                                  size_t n, struct status *st)
{
    for (int h = 0; h < options->n_heads; h++) {
        bool low = false, high = false;
        for (size_t i = 0; i < n; i++) {
            const struct training_example *e = &examples[order[i]];
            low = low || e->label[h] < 0.5f;
            high = high || e->label[h] >= 0.5f;
        }
        if (!low || !high)
            return status_set(st, STATUS_BAD_INPUT, "%s: no example to learn from is %s",
                              hazard_get(options->category[h])->name,
                              low ? "positive" : "negative");
    }
    return STATUS_OK;
}

static status_code trainer_init(struct trainer *trainer, const struct training_options *options,
                                const struct training_example *examples, const uint32_t *order,
                                size_t n, struct status *st)
{
    *trainer = (struct trainer){.options = options};
    for (int d = 0; d < TRAINING_MAX_DOMAINS; d++)
        for (int h = 0; h < H; h++) {
            trainer->bias[d][h] = BIAS_START;
            trainer->bias_squares[d][h] = ADAGRAD_START;
        }
    status_code code = table_init(&trainer->shared, options->bits, st);
    for (size_t i = 0; i < n && code == STATUS_OK; i++) {
        int d = examples[order[i]].domain;
        if (d && !trainer->own[d].weights) code = table_init(&trainer->own[d], options->bits, st);
    }
    return code;
}

/* Replaces what the other domains' labels say by what the trainer's model makes of their texts. */
static status_code relabel(struct trainer *trainer, struct training_example *examples, size_t n,
                           struct status *st)
{
    float share = (float)trainer->options->distill;
    for (size_t i = 0; i < n; i++) {
        struct training_example *e = &examples[i];
        float factor = 0, sums[H] = {0};
        if (!e->domain) continue;
        status_code code = find_features(trainer, e->text, &factor, st);
        if (code != STATUS_OK) return code;
        add_weights(trainer, &trainer->shared, sums);
        e->domain = 0;
        for (int h = 0; h < trainer->options->n_heads; h++) {
            float p = 1 / (1 + expf(-(sums[h] * factor + trainer->bias[0][h])));
            e->label[h] = isnan(e->label[h]) ? p : share * p + (1 - share) * e->label[h];
        }
    }
    return STATUS_OK;
}

/* Trains a second time, on labels that the first model had a part in. */
static status_code distill(struct trainer *trainer, const struct training_example *examples,
                           size_t n, uint32_t *order, size_t n_learned, struct status *st)
{
    struct training_example *relabelled = malloc(n * sizeof *relabelled);
    if (!relabelled) return status_no_memory(st, "relabelled examples");
    memcpy(relabelled, examples, n * sizeof *relabelled);
    status_code code = relabel(trainer, relabelled, n, st);
    trainer_release(trainer);
    if (code == STATUS_OK)
        code = trainer_init(trainer, trainer->options, relabelled, order, n_learned, st);
    if (code == STATUS_OK) code = run_epochs(trainer, relabelled, order, n_learned, st);
    free(relabelled);
    return code;
}

static status_code train(struct linear_model **out, const struct training_options *options,
                         const struct training_example *examples, size_t n, uint32_t *order,
                         struct status *st)
{
    size_t n_learned = 0;
    struct trainer trainer;
    for (size_t i = 0; i < n; i++)
        if (!examples[i].held_out) order[n_learned++] = (uint32_t)i;
    status_code code = check_examples(options, examples, order, n_learned, st);
    if (code != STATUS_OK) return code;
    code = trainer_init(&trainer, options, examples, order, n_learned, st);
    if (code == STATUS_OK) code = run_epochs(&trainer, examples, order, n_learned, st);
    if (code == STATUS_OK && options->distill > 0)
        code = distill(&trainer, examples, n, order, n_learned, st);
    if (code == STATUS_OK) code = linear_model_create(out, options->bits, options->n_heads, st);
    for (int h = 0; h < options->n_heads && code == STATUS_OK; h++) {
        (*out)->heads[h].category = options->category[h];
        quantise_head(&trainer, h, *out);
    }
    trainer_release(&trainer);
    if (code != STATUS_OK) return code;
    memcpy((*out)->name, options->name, strlen(options->name));
    (*out)->version = options->version;
    (*out)->damping = DAMPING;
    return calibrate(*out, examples, n, st);
}

status_code training_run(struct linear_model **out, const struct training_options *options,
                         const struct training_example *examples, size_t n, struct status *st)
{
    *out = NULL;
    BUG_IF(strlen(options->name) >= LINEAR_NAME_SIZE);
    if (!n || n > LIMIT_DATASET_ROWS)
        return status_set(st, STATUS_BAD_INPUT, "%zu examples, expected 1 to %u", n,
                          LIMIT_DATASET_ROWS);
    uint32_t *order = calloc(n, sizeof *order);
    if (!order) return status_no_memory(st, "the order of the examples");
    status_code code = train(out, options, examples, n, order, st);
    free(order);
    if (code == STATUS_OK) return code;
    linear_model_free(*out);
    *out = NULL;
    return code;
}

#undef H
