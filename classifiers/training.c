#include "classifiers/training.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "classifiers/portable_math.h"
#include "classifiers/spelling_training.h"
#include "classifiers/window_training.h"
#include "engine/base/limits.h"
#include "engine/base/rng.h"

/* Letters: H = LINEAR_MAX_HEADS, B = buckets, D = domains. */
#define H LINEAR_MAX_HEADS

#define DAMPING         80.0  /* keeps a word or two from having the full force of their weights */
#define WORD_DAMPING    5.0   /* likewise, for the score of one word */
#define SHARPNESS       2.0   /* of the pool: how far the worst word outweighs the others */
#define POOL_MAX        15.0f /* an exponent that the pool can still count with */
#define AVERAGE_RATE    0.5f  /* steps, as shares of the learning rate: of the weights */
#define POOL_RATE       2.0f  /* and of the pool weights */
#define POOL_L2         0.2f  /* l2 of the pool weights, as a share */
#define ADAGRAD_START   0.1f  /* so that the first steps of a weight are not the largest */
#define BIAS_START      -1.5f /* most texts are harmless */
#define CALIBRATION_MIN 100   /* held-out labels of a head, below which it is not calibrated */

/* Weights and their sums of squared gradients; a bucket's are one line of the cache. */
struct table {
    float *rows; /* (B, 2, H) */
};
#define ROW (2 * H)

struct trainer {
    const struct training_options *options;
    const struct spelling *spelling; /* NULL: none */
    struct table shared, pool;
    struct table own[TRAINING_MAX_DOMAINS]; /* of domains that have examples, but not domain 0 */
    float bias[TRAINING_MAX_DOMAINS][H], bias_squares[TRAINING_MAX_DOMAINS][H];
    struct feature { /* of the text at hand */
        uint32_t bucket;
        float value;
    } * features;
    size_t n_features, room;
    struct word {      /* of the text at hand */
        size_t end;    /* in features; it begins where the one before ends */
        float squares; /* of the features' values, then the factor that they count with */
        float exps[H], gradient[H];
    } * words;
    size_t n_words, words_room;
    double squares; /* of all values */
    float factor;   /* that all features count with */
    bool no_memory;
};

static status_code table_init(struct table *table, int bits, struct status *st)
{
    size_t n = (size_t)1 << bits;
    table->rows = aligned_alloc(64, n * ROW * sizeof *table->rows);
    if (!table->rows) return status_no_memory(st, "a table of weights");
    for (size_t b = 0; b < n; b++)
        for (size_t h = 0; h < H; h++) {
            table->rows[b * ROW + h] = 0;
            table->rows[b * ROW + H + h] = ADAGRAD_START;
        }
    return STATUS_OK;
}

/* Leaves a trainer that trainer_init() may begin anew. */
static void trainer_release(struct trainer *trainer)
{
    free(trainer->shared.rows);
    free(trainer->pool.rows);
    for (int d = 0; d < TRAINING_MAX_DOMAINS; d++) free(trainer->own[d].rows);
    free(trainer->features);
    free(trainer->words);
    *trainer = (struct trainer){.options = trainer->options, .spelling = trainer->spelling};
}

/* ---- features ---- */

/* Makes room for one more word and n more features; false without memory. */
static bool make_room(struct trainer *trainer, size_t n)
{
    if (trainer->n_features + n > trainer->room) {
        size_t room = (trainer->room + n) * 2;
        struct feature *features = realloc(trainer->features, room * sizeof *features);
        if (!features) return false;
        trainer->features = features;
        trainer->room = room;
    }
    if (trainer->n_words == trainer->words_room) {
        size_t room = (trainer->words_room + 32) * 2;
        struct word *words = realloc(trainer->words, room * sizeof *words);
        if (!words) return false;
        trainer->words = words;
        trainer->words_room = room;
    }
    return true;
}

static void keep_batch(void *user, const struct feature_batch *batch)
{
    struct trainer *trainer = user;
    unsigned shift = 32 - (unsigned)trainer->options->bits;
    if (trainer->no_memory || !make_room(trainer, batch->n)) {
        trainer->no_memory = true;
        return;
    }
    for (size_t i = 0; i < batch->n; i++)
        trainer->features[trainer->n_features++] =
            (struct feature){batch->hashes[i] >> shift, (float)batch->value};
    struct word *word = &trainer->words[trainer->n_words];
    float squares = (float)batch->n * (float)(batch->value * batch->value);
    word->squares += squares;
    trainer->squares += (double)squares;
    if (!batch->ends_word) return;
    word->end = trainer->n_features;
    word->squares = 1 / sqrtf(word->squares + (float)WORD_DAMPING);
    trainer->n_words++;
    if (make_room(trainer, 0))
        trainer->words[trainer->n_words].squares = 0;
    else
        trainer->no_memory = true;
}

/* Finds the words and features of a text and the factors they count with. */
static status_code find_features(struct trainer *trainer, struct text text, struct status *st)
{
    struct ngram_features features;
    trainer->n_features = trainer->n_words = 0;
    trainer->squares = 0;
    if (!make_room(trainer, 0)) return status_no_memory(st, "the features of a text");
    trainer->words[0].squares = 0;
    ngram_features_init(&features, trainer->spelling);
    ngram_features_add(&features, text, keep_batch, trainer);
    ngram_features_end(&features, keep_batch, trainer);
    if (trainer->no_memory) return status_no_memory(st, "the features of a text");
    trainer->factor = (float)(1 / sqrt(trainer->squares + DAMPING));
    return STATUS_OK;
}

/* ---- one step ---- */

static void add_weights(const struct trainer *trainer, const struct table *table, size_t first,
                        size_t end, float out[H])
{
    const struct feature *features = trainer->features;
    float sums[H] = {0};
    for (size_t i = first; i < end; i++) {
        const float *w = table->rows + (size_t)features[i].bucket * ROW, value = features[i].value;
        for (int h = 0; h < H; h++) sums[h] += value * w[h];
    }
    for (int h = 0; h < H; h++) out[h] += sums[h];
}

/* Each word's exps, and 1 and their sum for each head. */
static void add_exps(struct trainer *trainer, double total[H])
{
    for (int h = 0; h < H; h++) total[h] = 1;
    for (size_t i = 0; i < trainer->n_words; i++) {
        struct word *word = &trainer->words[i];
        float sums[H] = {0};
        add_weights(trainer, &trainer->pool, i ? word[-1].end : 0, word->end, sums);
        for (int h = 0; h < trainer->options->n_heads; h++) {
            float x = (float)SHARPNESS * sums[h] * word->squares;
            word->exps[h] = (float)portable_exp((double)(x < POOL_MAX ? x : POOL_MAX));
            total[h] += (double)word->exps[h];
        }
    }
}

/* The logits of the text at hand, for a domain; `total` as add_exps() leaves it. */
static void find_logits(struct trainer *trainer, int d, float logits[H], double total[H])
{
    float sums[H] = {0};
    add_weights(trainer, &trainer->shared, 0, trainer->n_features, sums);
    if (d) add_weights(trainer, &trainer->own[d], 0, trainer->n_features, sums);
    add_exps(trainer, total);
    for (int h = 0; h < trainer->options->n_heads; h++)
        logits[h] = sums[h] * trainer->factor + trainer->bias[d][h] +
                    (float)(portable_log(total[h]) / SHARPNESS);
}

/* One step of AdaGrad for a bucket's weights. */
static void step_bucket(float *restrict w, float *restrict squares, const float *restrict gradient,
                        float value, float rate, float l2)
{
    float g[H], sum[H];
    for (int h = 0; h < H; h++) g[h] = gradient[h] * value + l2 * w[h];
    for (int h = 0; h < H; h++) sum[h] = squares[h] + g[h] * g[h];
    for (int h = 0; h < H; h++) squares[h] = sum[h];
    for (int h = 0; h < H; h++) w[h] -= rate * g[h] / sqrtf(sum[h]);
}

static void step_table(const struct trainer *trainer, struct table *table, size_t first, size_t end,
                       const float gradient[H], float rate, float l2)
{
    const struct feature *features = trainer->features;
    for (size_t i = first; i < end; i++) {
        float *row = table->rows + (size_t)features[i].bucket * ROW;
        step_bucket(row, row + H, gradient, features[i].value, rate, l2);
    }
}

/* The pool's slope in a word's score is the word's share of the exps. */
static void step_pool(struct trainer *trainer, const float gradient[H], const double total[H],
                      float rate)
{
    float l2 = POOL_L2 * (float)trainer->options->l2;
    for (size_t i = 0; i < trainer->n_words; i++) {
        struct word *word = &trainer->words[i];
        float of_word[H] = {0};
        for (int h = 0; h < trainer->options->n_heads; h++)
            of_word[h] = gradient[h] * (word->exps[h] / (float)total[h]) * word->squares;
        step_table(trainer, &trainer->pool, i ? word[-1].end : 0, word->end, of_word, rate, l2);
    }
}

static status_code step(struct trainer *trainer, const struct training_example *example, float rate,
                        struct status *st)
{
    int d = example->domain;
    float logits[H], gradient[H] = {0}, of_average[H];
    double total[H];
    status_code code = find_features(trainer, example->text, st);
    if (code != STATUS_OK) return code;
    find_logits(trainer, d, logits, total);
    for (int h = 0; h < trainer->options->n_heads; h++) {
        if (isnan(example->label[h])) continue;
        float p = (float)portable_logistic((double)logits[h]);
        float g = example->weight * (p - example->label[h]);
        trainer->bias_squares[d][h] += g * g;
        trainer->bias[d][h] -= rate * g / sqrtf(trainer->bias_squares[d][h]);
        gradient[h] = g;
    }
    for (int h = 0; h < H; h++) of_average[h] = gradient[h] * trainer->factor;
    float l2 = (float)trainer->options->l2, slow = rate * AVERAGE_RATE;
    step_table(trainer, &trainer->shared, 0, trainer->n_features, of_average, slow, l2);
    if (d)
        step_table(trainer, &trainer->own[d], 0, trainer->n_features, of_average,
                   rate * (float)trainer->options->domain_rate, l2);
    step_pool(trainer, gradient, total, rate * POOL_RATE);
    return STATUS_OK;
}

/* ---- all steps ---- */

static status_code run_epochs(struct trainer *trainer, const struct training_example *examples,
                              uint32_t *order, size_t n, struct status *st)
{
    const struct training_options *options = trainer->options;
    double total = (double)options->epochs * (double)n, done = 0;
    struct rng rng;
    rng_seed(&rng, options->seed);
    for (int epoch = 0; epoch < options->epochs; epoch++) {
        rng_shuffle(&rng, order, n);
        for (size_t i = 0; i < n; i++, done++) {
            float rate = (float)(options->learning_rate * (1 - done / total));
            status_code code = step(trainer, &examples[order[i]], rate, st);
            if (code != STATUS_OK) return code;
        }
        log_info(options->log, "epoch %d of %d: %zu texts", epoch + 1, options->epochs, n);
    }
    return STATUS_OK;
}

/* Rounds a head's column of a table to 8 bits of a common scale, which it returns.  `out` is the
 * column in the model. */
static double quantise(const struct table *table, size_t n, int h, int8_t *out)
{
    const float *w = table->rows + h;
    float largest = 0;
    for (size_t b = 0; b < n; b++) largest = fmaxf(largest, fabsf(w[b * ROW]));
    double scale = largest > 0 ? (double)largest / 127 : 1;
    for (size_t b = 0; b < n; b++)
        out[b * LINEAR_COLUMNS] = (int8_t)lrint((double)w[b * ROW] / scale);
    return scale;
}

static void quantise_head(const struct trainer *trainer, int h, struct linear_model *model)
{
    size_t n = (size_t)1 << model->bits;
    struct linear_head *head = &model->heads[h];
    head->bias = (double)trainer->bias[0][h];
    head->scale = quantise(&trainer->shared, n, h, model->weights + h);
    head->pool_scale = quantise(&trainer->pool, n, h, model->weights + H + h);
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
            double p = portable_logistic(*a * z[i] + *b), w = p * (1 - p);
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

static bool calibrates(const struct training_example *e)
{
    return e->held_out && !e->domain && !e->is_variant;
}

static status_code calibrate(struct linear_model *model, const struct training_example *examples,
                             size_t n, struct status *st)
{
    double *logits = calloc(n, LINEAR_MAX_HEADS * sizeof *logits);
    double *z = calloc(n, sizeof *z), *y = calloc(n, sizeof *y);
    bool good = logits && z && y;
    for (size_t i = 0; i < n && good; i++) {
        struct linear_sum sum;
        if (!calibrates(&examples[i])) continue;
        linear_sum_init(&sum, model);
        linear_sum_add(&sum, examples[i].text);
        linear_sum_scores(&sum, logits + i * H, NULL);
    }
    for (int h = 0; h < model->n_heads && good; h++) {
        size_t count = 0;
        double a, b;
        for (size_t i = 0; i < n; i++) {
            const struct training_example *e = &examples[i];
            if (!calibrates(e) || isnan(e->label[h])) continue;
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

/* The trainer has its options and spelling, and nothing else. */
static status_code trainer_init(struct trainer *trainer, const struct training_example *examples,
                                const uint32_t *order, size_t n, struct status *st)
{
    int bits = trainer->options->bits;
    for (int d = 0; d < TRAINING_MAX_DOMAINS; d++)
        for (int h = 0; h < H; h++) {
            trainer->bias[d][h] = BIAS_START;
            trainer->bias_squares[d][h] = ADAGRAD_START;
        }
    status_code code = table_init(&trainer->shared, bits, st);
    if (code == STATUS_OK) code = table_init(&trainer->pool, bits, st);
    for (size_t i = 0; i < n && code == STATUS_OK; i++) {
        int d = examples[order[i]].domain;
        if (d && !trainer->own[d].rows) code = table_init(&trainer->own[d], bits, st);
    }
    return code;
}

/* Replaces what the other domains' labels say by what the trainer's model makes of their texts. */
static status_code relabel(struct trainer *trainer, struct training_example *examples, size_t n,
                           struct status *st)
{
    for (size_t i = 0; i < n; i++) {
        struct training_example *e = &examples[i];
        float logits[H], share = e->distill;
        double total[H];
        if (!e->domain || e->original != TRAINING_NONE) continue;
        status_code code = find_features(trainer, e->text, st);
        if (code != STATUS_OK) return code;
        find_logits(trainer, 0, logits, total);
        e->domain = 0;
        for (int h = 0; h < trainer->options->n_heads; h++) {
            float p = (float)portable_logistic((double)logits[h]);
            e->label[h] = isnan(e->label[h]) ? p : share * p + (1 - share) * e->label[h];
        }
    }
    for (size_t i = 0; i < n; i++) {
        struct training_example *e = &examples[i];
        if (e->original == TRAINING_NONE) continue;
        memcpy(e->label, examples[e->original].label, sizeof e->label);
        e->domain = 0;
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
    if (code == STATUS_OK) code = trainer_init(trainer, relabelled, order, n_learned, st);
    if (code == STATUS_OK) code = run_epochs(trainer, relabelled, order, n_learned, st);
    free(relabelled);
    return code;
}

static status_code train(struct linear_model **out, const struct training_options *options,
                         const struct training_example *examples, size_t n, uint32_t *order,
                         struct status *st)
{
    size_t n_learned = 0;
    struct spelling *spelling = NULL;
    for (size_t i = 0; i < n; i++)
        if (!examples[i].held_out) order[n_learned++] = (uint32_t)i;
    status_code code = check_examples(options, examples, order, n_learned, st);
    if (code != STATUS_OK) return code;
    if (options->spelling_min_count)
        code = spelling_learn(&spelling, examples, n, options->spelling_min_count, st);
    if (code != STATUS_OK) return code;
    struct trainer trainer = {.options = options, .spelling = spelling};
    code = trainer_init(&trainer, examples, order, n_learned, st);
    if (code == STATUS_OK) code = run_epochs(&trainer, examples, order, n_learned, st);
    if (code == STATUS_OK && options->distill)
        code = distill(&trainer, examples, n, order, n_learned, st);
    if (code == STATUS_OK) code = linear_model_create(out, options->bits, options->n_heads, st);
    for (int h = 0; h < options->n_heads && code == STATUS_OK; h++) {
        (*out)->heads[h].category = options->category[h];
        quantise_head(&trainer, h, *out);
    }
    trainer_release(&trainer);
    if (code != STATUS_OK) {
        spelling_free(spelling);
        return code;
    }
    (*out)->spelling = spelling;
    memcpy((*out)->name, options->name, strlen(options->name));
    (*out)->version = options->version;
    (*out)->damping = DAMPING;
    (*out)->word_damping = WORD_DAMPING;
    (*out)->sharpness = SHARPNESS;
    if (options->window.epochs) {
        (*out)->window_share = options->window.share;
        code = window_network_train(&(*out)->window, options, spelling, examples, n, st);
    }
    return code != STATUS_OK ? code : calibrate(*out, examples, n, st);
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
