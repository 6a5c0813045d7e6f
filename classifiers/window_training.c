#include "classifiers/window_training.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "classifiers/portable_math.h"
#include "classifiers/word_vectors.h"
#include "engine/base/rng.h"

/* Letters: U = units, W = their weights for a word, H = heads, S = size of a vector. */
#define U WINDOW_MAX_UNITS
#define W (WINDOW_PLACES * U)
#define H LINEAR_MAX_HEADS

#define WORDS_MAX     400   /* of a text, that are learned from */
#define VECTOR_LENGTH 3.0f  /* so that units begin with values of about 1 */
#define MEAN_SCALE    0.5f  /* so that means begin about as large as maxima */
#define BATCH         64    /* texts to a step */
#define RATE          3e-3f /* of the first step; the last is all but 0 */
#define RATE_MIN      0.02f /* as a share */
#define DECAY         0.01f
#define MOMENTUM      0.9f
#define SQUARES       0.999f
#define WORD_DROPOUT  0.1
#define UNIT_DROPOUT  0.3
#define HEAD_START    0.08f
#define BIAS_START    -1.5f /* most texts are harmless */

/* All that is learned, one after the other in one array, so that a step is one loop. */
struct layout {
    size_t weights;   /* (S, W) */
    size_t bias;      /* (U) */
    size_t heads;     /* (domains, 2 * U, H): of maxima, then of means */
    size_t head_bias; /* (domains, H) */
    size_t n;
};

struct learner {
    const struct training_options *options;
    const struct spelling *spelling;          /* NULL: none */
    const struct training_example **examples; /* that are learned from; those as found come first */
    size_t n_examples;
    uint32_t *words; /* of all their texts: hashes, later a vector's index + 1 or 0 */
    size_t *ends;    /* (n_examples), in words */
    size_t n_words, room;
    struct word_vectors vectors;
    struct layout at;
    float *values, *gradients, *momentum, *squares; /* (at.n) */
    double momentum_left, squares_left;             /* powers of MOMENTUM and SQUARES */
    struct rng rng;
    /* Of the text at hand. */
    size_t n;
    const float *vector[WORDS_MAX]; /* NULL: unknown, or left out */
    float (*given)[W];   /* (WORDS_MAX, W): what each word gives to the windows it is in */
    float (*units)[U];   /* (WORDS_MAX, U) */
    float (*slopes)[U];  /* (WORDS_MAX, U): of the loss in each unit */
    float pooled[2 * U]; /* maxima, then means; those that were left out are 0 */
    float kept[2 * U];   /* 0, or what a pooled unit counts with */
    int largest[U];      /* the word whose window has the maximum */
    bool no_memory;
};

static void learner_release(struct learner *learner)
{
    free(learner->examples);
    free(learner->words);
    free(learner->ends);
    word_vectors_release(&learner->vectors);
    free(learner->values);
    free(learner->gradients);
    free(learner->momentum);
    free(learner->squares);
    free(learner->given);
    free(learner->units);
    free(learner->slopes);
}

/* ---- words ---- */

static void keep_word(void *user, const struct feature_batch *batch)
{
    struct learner *learner = user;
    if (batch->value != WORD_VALUE || learner->n == WORDS_MAX || learner->no_memory) return;
    if (learner->n_words == learner->room) {
        size_t room = learner->room * 2 + 4096;
        uint32_t *words = realloc(learner->words, room * sizeof *words);
        if (!words) {
            learner->no_memory = true;
            return;
        }
        learner->words = words;
        learner->room = room;
    }
    learner->words[learner->n_words++] = batch->hashes[0];
    learner->n++;
}

/* Takes the examples that are as found, or the variants. */
static void take_examples(struct learner *learner, const struct training_example *examples,
                          size_t n, bool variants)
{
    for (size_t i = 0; i < n && !learner->no_memory; i++) {
        struct ngram_features features;
        if (examples[i].held_out || examples[i].is_variant != variants) continue;
        learner->n = 0;
        ngram_features_init(&features, learner->spelling);
        ngram_features_add(&features, examples[i].text, keep_word, learner);
        ngram_features_end(&features, keep_word, learner);
        learner->examples[learner->n_examples] = &examples[i];
        learner->ends[learner->n_examples++] = learner->n_words;
    }
}

static status_code read_words(struct learner *learner, const struct training_example *examples,
                              size_t n, struct status *st)
{
    const struct training_options *options = learner->options;
    learner->examples = calloc(n, sizeof(*learner->examples));
    learner->ends = calloc(n, sizeof *learner->ends);
    if (!learner->examples || !learner->ends) return status_no_memory(st, "the words of texts");
    take_examples(learner, examples, n, false);
    size_t n_found = learner->n_examples;
    take_examples(learner, examples, n, true);
    if (learner->no_memory) return status_no_memory(st, "the words of texts");
    status_code code =
        word_vectors_learn(&learner->vectors, learner->words, learner->ends, n_found,
                           options->window.size, options->window.min_count, options->seed, st);
    if (code != STATUS_OK) return code;
    size_t size = (size_t)options->window.size;
    for (size_t i = 0; i < learner->n_words; i++) {
        const float *row = word_vectors_find(&learner->vectors, learner->words[i]);
        learner->words[i] = row ? (uint32_t)((size_t)(row - learner->vectors.rows) / size) + 1 : 0;
    }
    for (size_t i = 0; i < learner->vectors.n_words * size; i++)
        learner->vectors.rows[i] *= VECTOR_LENGTH;
    log_info(options->log, "%zu words have vectors", learner->vectors.n_words);
    return STATUS_OK;
}

/* ---- beginning ---- */

static void start_values(struct learner *learner, int n_domains)
{
    const struct layout *at = &learner->at;
    float most = (float)(1 / sqrt((double)(WINDOW_PLACES * learner->options->window.size)));
    for (size_t i = 0; i < at->heads; i++)
        learner->values[i] = (float)(2 * rng_uniform(&learner->rng) - 1) * most;
    for (size_t i = at->heads; i < at->head_bias; i++)
        learner->values[i] = (float)(2 * rng_uniform(&learner->rng) - 1) * HEAD_START;
    for (int i = 0; i < n_domains * H; i++) learner->values[at->head_bias + (size_t)i] = BIAS_START;
}

static status_code start(struct learner *learner, struct status *st)
{
    int n_domains = 1;
    for (size_t i = 0; i < learner->n_examples; i++)
        if (learner->examples[i]->domain >= n_domains) n_domains = learner->examples[i]->domain + 1;
    struct layout *at = &learner->at;
    at->weights = 0;
    at->bias = at->weights + (size_t)learner->options->window.size * W;
    at->heads = at->bias + U;
    at->head_bias = at->heads + (size_t)n_domains * 2 * U * H;
    at->n = at->head_bias + (size_t)n_domains * H;
    learner->values = calloc(at->n, sizeof(float));
    learner->gradients = calloc(at->n, sizeof(float));
    learner->momentum = calloc(at->n, sizeof(float));
    learner->squares = calloc(at->n, sizeof(float));
    learner->given = calloc(WORDS_MAX, sizeof *learner->given);
    learner->units = calloc(WORDS_MAX, sizeof *learner->units);
    learner->slopes = calloc(WORDS_MAX, sizeof *learner->slopes);
    if (!learner->values || !learner->gradients || !learner->momentum || !learner->squares ||
        !learner->given || !learner->units || !learner->slopes)
        return status_no_memory(st, "a window network");
    learner->momentum_left = learner->squares_left = 1;
    start_values(learner, n_domains);
    return STATUS_OK;
}

/* ---- one text ---- */

/* What a word's vector gives to the units of the windows that it is in. */
static void give(const struct learner *learner, const float *vector, float out[W])
{
    const float *weights = learner->values + learner->at.weights;
    memset(out, 0, W * sizeof *out);
    for (int s = 0; s < learner->options->window.size; s++, weights += W) {
        float x = vector[s];
        for (int w = 0; w < W; w++) out[w] += x * weights[w];
    }
}

static void find_units(struct learner *learner)
{
    const float *bias = learner->values + learner->at.bias;
    for (size_t t = 0; t < learner->n; t++) {
        float *units = learner->units[t];
        memcpy(units, bias, U * sizeof *units);
        for (int place = 0; place < WINDOW_PLACES; place++) {
            size_t from = t + (size_t)place - 1; /* of the first word, it wraps: far beyond n */
            if (from >= learner->n || !learner->vector[from]) continue;
            const float *given = learner->given[from] + place * U;
            for (int u = 0; u < U; u++) units[u] += given[u];
        }
        for (int u = 0; u < U; u++) units[u] = units[u] > 0 ? units[u] : 0;
    }
}

static void pool_units(struct learner *learner)
{
    float factor = MEAN_SCALE / sqrtf((float)learner->n + 4);
    for (int u = 0; u < U; u++) {
        float most = 0, sum = 0;
        learner->largest[u] = 0;
        for (size_t t = 0; t < learner->n; t++) {
            float unit = learner->units[t][u];
            sum += unit;
            if (unit <= most) continue;
            most = unit;
            learner->largest[u] = (int)t;
        }
        learner->pooled[u] = most * learner->kept[u];
        learner->pooled[U + u] = sum * factor * learner->kept[U + u];
    }
}

static void read_text(struct learner *learner, size_t i)
{
    size_t first = i ? learner->ends[i - 1] : 0, size = (size_t)learner->options->window.size;
    learner->n = learner->ends[i] - first;
    for (size_t t = 0; t < learner->n; t++) {
        uint32_t word = learner->words[first + t];
        bool is_left_out = rng_uniform(&learner->rng) < WORD_DROPOUT;
        learner->vector[t] =
            word && !is_left_out ? learner->vectors.rows + (word - 1) * size : NULL;
        if (learner->vector[t]) give(learner, learner->vector[t], learner->given[t]);
    }
    for (int p = 0; p < 2 * U; p++)
        learner->kept[p] =
            rng_uniform(&learner->rng) < UNIT_DROPOUT ? 0 : 1 / (1 - (float)UNIT_DROPOUT);
    find_units(learner);
    pool_units(learner);
}

/* Slopes of the loss in the pooled units, from those in the logits of a domain; adds to the
 * gradients of its heads. */
static void learn_heads(struct learner *learner, int domain, const float gradient[H],
                        float of_pooled[2 * U])
{
    size_t heads = learner->at.heads + (size_t)domain * 2 * U * H;
    for (int p = 0; p < 2 * U; p++) {
        const float *w = learner->values + heads + (size_t)p * H;
        float *g = learner->gradients + heads + (size_t)p * H, sum = 0;
        for (int h = 0; h < H; h++) {
            g[h] += gradient[h] * learner->pooled[p];
            sum += gradient[h] * w[h];
        }
        of_pooled[p] = sum * learner->kept[p];
    }
    float *bias = learner->gradients + learner->at.head_bias + (size_t)domain * H;
    for (int h = 0; h < H; h++) bias[h] += gradient[h];
}

static void learn_units(struct learner *learner, const float of_pooled[2 * U])
{
    float factor = MEAN_SCALE / sqrtf((float)learner->n + 4);
    float *bias = learner->gradients + learner->at.bias;
    for (size_t t = 0; t < learner->n; t++)
        for (int u = 0; u < U; u++) {
            float slope = of_pooled[U + u] * factor;
            if (learner->largest[u] == (int)t) slope += of_pooled[u];
            learner->slopes[t][u] = learner->units[t][u] > 0 ? slope : 0;
            bias[u] += learner->slopes[t][u];
        }
}

static void learn_weights(struct learner *learner)
{
    for (size_t t = 0; t < learner->n; t++) {
        float slopes[W] = {0}, *gradients = learner->gradients + learner->at.weights;
        const float *vector = learner->vector[t];
        if (!vector) continue;
        for (int place = 0; place < WINDOW_PLACES; place++) {
            size_t to = t + 1 - (size_t)place; /* the window in which the word has this place */
            if (to < learner->n)
                memcpy(slopes + place * U, learner->slopes[to], U * sizeof *slopes);
        }
        for (int s = 0; s < learner->options->window.size; s++, gradients += W)
            for (int w = 0; w < W; w++) gradients[w] += vector[s] * slopes[w];
    }
}

/* The domain whose heads an example is learned by: labels that are not to be distilled are as good
 * as those of domain 0. */
static int domain_of(const struct learner *learner, const struct training_example *example)
{
    return learner->options->distill && !(example->distill > 0) ? 0 : example->domain;
}

/* Adds a text to the gradients; returns its loss. */
static double learn_text(struct learner *learner, size_t i)
{
    const struct training_example *example = learner->examples[i];
    int domain = domain_of(learner, example);
    const float *bias = learner->values + learner->at.head_bias + (size_t)domain * H;
    const float *heads = learner->values + learner->at.heads + (size_t)domain * 2 * U * H;
    float logits[H], gradient[H] = {0}, of_pooled[2 * U];
    double loss = 0;
    read_text(learner, i);
    memcpy(logits, bias, sizeof logits);
    for (int p = 0; p < 2 * U; p++)
        for (int h = 0; h < H; h++) logits[h] += learner->pooled[p] * heads[p * H + h];
    for (int h = 0; h < learner->options->n_heads; h++) {
        double y = (double)example->label[h], p = portable_logistic((double)logits[h]);
        if (isnan(y)) continue;
        gradient[h] = example->weight * (float)(p - y) / BATCH;
        loss -= (double)example->weight *
                (y * portable_log(p + 1e-12) + (1 - y) * portable_log(1 - p + 1e-12));
    }
    learn_heads(learner, domain, gradient, of_pooled);
    learn_units(learner, of_pooled);
    learn_weights(learner);
    return loss;
}

/* ---- all texts ---- */

/* One step of Adam down the gradients, which it clears. */
static void step(struct learner *learner, float rate)
{
    learner->momentum_left *= (double)MOMENTUM;
    learner->squares_left *= (double)SQUARES;
    float scale = rate / (float)(1 - learner->momentum_left);
    float square_scale = 1 / (float)(1 - learner->squares_left);
    float *values = learner->values, *momentum = learner->momentum, *squares = learner->squares;
    for (size_t i = 0; i < learner->at.n; i++) {
        float g = learner->gradients[i];
        momentum[i] = MOMENTUM * momentum[i] + (1 - MOMENTUM) * g;
        squares[i] = SQUARES * squares[i] + (1 - SQUARES) * g * g;
        values[i] -= rate * DECAY * values[i] +
                     scale * momentum[i] / (sqrtf(squares[i] * square_scale) + 1e-8f);
    }
    memset(learner->gradients, 0, learner->at.n * sizeof(float));
}

static status_code run_epochs(struct learner *learner, struct status *st)
{
    const struct training_options *options = learner->options;
    size_t n = learner->n_examples;
    uint32_t *order = calloc(n + 1, sizeof *order);
    if (!order) return status_no_memory(st, "the order of the examples");
    for (size_t i = 0; i < n; i++) order[i] = (uint32_t)i;
    for (int epoch = 0; epoch < options->window.epochs; epoch++) {
        double loss = 0;
        rng_shuffle(&learner->rng, order, n);
        for (size_t i = 0; i < n; i++) {
            loss += learn_text(learner, order[i]);
            if ((i + 1) % BATCH && i + 1 < n) continue;
            float done = ((float)epoch + (float)i / (float)n) / (float)options->window.epochs;
            step(learner, RATE * fmaxf(1 - done, RATE_MIN));
        }
        log_info(options->log, "windows, epoch %d of %d: loss %.4f", epoch + 1,
                 options->window.epochs, loss / (double)n);
    }
    free(order);
    return STATUS_OK;
}

/* ---- the network ---- */

/* Each unit's scale: what one step of its words' 8-bit weights is worth. */
static void find_scales(const struct learner *learner, float scales[U])
{
    float given[W], most[U] = {0};
    for (size_t i = 0; i < learner->vectors.n_words; i++) {
        give(learner, learner->vectors.rows + i * (size_t)learner->vectors.size, given);
        for (int w = 0; w < W; w++) most[w % U] = fmaxf(most[w % U], fabsf(given[w]));
    }
    for (int u = 0; u < U; u++) scales[u] = most[u] > 0 ? most[u] / 127 : 1;
}

static void quantise(const struct learner *learner, struct window_network *network)
{
    float scales[U], given[W];
    const struct layout *at = &learner->at;
    find_scales(learner, scales);
    for (size_t i = 0; i < network->n_words; i++) {
        network->hashes[i] = learner->vectors.hashes[i];
        give(learner, learner->vectors.rows + i * (size_t)learner->vectors.size, given);
        for (int w = 0; w < W; w++)
            network->rows[i * W + (size_t)w] = (int8_t)lrintf(given[w] / scales[w % U]);
    }
    for (int u = 0; u < U; u++) {
        float bias = learner->values[at->bias + (size_t)u] / scales[u];
        bias = fminf(fmaxf(bias, -WINDOW_BIAS_MAX), WINDOW_BIAS_MAX);
        network->bias[u] = (int16_t)lrintf(bias);
        for (int h = 0; h < network->n_heads; h++) {
            size_t head = at->heads + (size_t)u * H + (size_t)h;
            network->of_max[u][h] = learner->values[head] * scales[u];
            network->of_mean[u][h] = learner->values[head + U * H] * MEAN_SCALE * scales[u];
        }
    }
    for (int h = 0; h < network->n_heads; h++)
        network->head_bias[h] = learner->values[at->head_bias + (size_t)h];
}

status_code window_network_train(struct window_network **out,
                                 const struct training_options *options,
                                 const struct spelling *spelling,
                                 const struct training_example *examples, size_t n,
                                 struct status *st)
{
    struct learner learner = {.options = options, .spelling = spelling};
    *out = NULL;
    rng_seed(&learner.rng, options->seed);
    status_code code = read_words(&learner, examples, n, st);
    if (code == STATUS_OK) code = start(&learner, st);
    if (code == STATUS_OK) code = run_epochs(&learner, st);
    if (code == STATUS_OK)
        code = window_network_create(out, U, options->n_heads, learner.vectors.n_words, st);
    if (code == STATUS_OK) {
        quantise(&learner, *out);
        code = window_network_index(*out, st);
    }
    learner_release(&learner);
    if (code == STATUS_OK) return code;
    window_network_free(*out);
    *out = NULL;
    return status_prefix(st, "window network");
}
