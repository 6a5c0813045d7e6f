#include "classifiers/linear_model.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "classifiers/portable_math.h"
#include "classifiers/strict_json.h"
#include "engine/base/json.h"
#include "engine/base/limits.h"

#define MAGIC           "ASSAYLIN"
#define MAGIC_BYTES     8
#define FORMAT          2 /* of a file without a spelling */
#define FORMAT_SPELLING 3
#define KNOT_SPAN       8.0 /* the calibration table covers calibrated logits of -8 to 8 */

/* The pool counts in octaves: exp(x) is 2^(x / ln 2), kept between 2^-16 and 2^22. */
#define LOG2_E      1.44269504088896340736
#define OCTAVES_MIN (-16)
#define OCTAVES_MAX 22
#define POOL_ONE    65536.0
#define POOL_FULL   ((uint64_t)1 << 62) /* no text that is worth reading comes near */

static size_t n_buckets(const struct linear_model *model)
{
    return (size_t)1 << model->bits;
}

status_code linear_model_create(struct linear_model **out, int bits, int n_heads, struct status *st)
{
    BUG_IF(bits < LINEAR_MIN_BITS || bits > LINEAR_MAX_BITS);
    BUG_IF(n_heads < 1 || n_heads > LINEAR_MAX_HEADS);
    struct linear_model *model = calloc(1, sizeof *model);
    int8_t *weights = calloc((size_t)1 << bits, LINEAR_COLUMNS);
    *out = NULL;
    if (!model || !weights) {
        free(model);
        free(weights);
        return status_no_memory(st, "a linear model");
    }
    model->bits = bits;
    model->n_heads = n_heads;
    model->weights = weights;
    model->sharpness = 1;
    for (int i = 0; i < LINEAR_POWERS; i++)
        model->powers[i] = (uint32_t)lrint(ldexp(portable_exp(i / (LINEAR_POWERS * LOG2_E)), 30));
    for (int h = 0; h < n_heads; h++) linear_head_calibrate(&model->heads[h], 1, 0);
    *out = model;
    return STATUS_OK;
}

void linear_model_free(struct linear_model *model)
{
    if (!model) return;
    window_network_free(model->window);
    spelling_free(model->spelling);
    free(model->weights);
    free(model->sources);
    free(model);
}

void linear_head_calibrate(struct linear_head *head, double a, double b)
{
    for (int k = 0; k < LINEAR_KNOTS; k++) {
        double z = -KNOT_SPAN + 2 * KNOT_SPAN * k / (LINEAR_KNOTS - 1);
        head->knot_logit[k] = (z - b) / a;
        head->knot_probability[k] = portable_logistic(z);
    }
}

/* ---- the file ---- */

static void append_numbers(struct strbuf *out, const char *key, const double *values, int n)
{
    strbuf_appendf(out, ", \"%s\": [", key);
    for (int i = 0; i < n; i++) {
        if (i) strbuf_append_str(out, ", ");
        json_append_number(out, values[i]);
    }
    strbuf_append_str(out, "]");
}

static void append_header(struct strbuf *out, const struct linear_model *model,
                          struct text training)
{
    strbuf_append_str(out, "{\"name\": ");
    json_append_str(out, model->name);
    strbuf_appendf(out, ", \"version\": %d, \"format\": %d, \"features\": %d, \"bits\": %d",
                   model->version, model->spelling ? FORMAT_SPELLING : FORMAT,
                   NGRAM_FEATURES_VERSION, model->bits);
    append_numbers(out, "damping", &model->damping, 1);
    append_numbers(out, "word_damping", &model->word_damping, 1);
    append_numbers(out, "sharpness", &model->sharpness, 1);
    if (model->window) {
        strbuf_appendf(out, ", \"window\": {\"words\": %zu, \"units\": %d", model->window->n_words,
                       model->window->n_units);
        append_numbers(out, "share", &model->window_share, 1);
        strbuf_append_str(out, "}");
    }
    if (model->spelling) {
        const struct spelling_size *size = spelling_size(model->spelling);
        strbuf_appendf(out,
                       ", \"spelling\": {\"words\": %zu, \"sure\": %zu, \"targets\": %zu, "
                       "\"common\": %zu, \"bytes\": %zu}",
                       size->n_words, size->n_sure, size->n_targets, size->n_common,
                       spelling_words(model->spelling).length);
    }
    strbuf_append_str(out, ", \"heads\": [");
    for (int h = 0; h < model->n_heads; h++) {
        const struct linear_head *head = &model->heads[h];
        strbuf_appendf(out, "%s{\"category\": \"%s\"", h ? ", " : "",
                       hazard_get(head->category)->name);
        append_numbers(out, "bias", &head->bias, 1);
        append_numbers(out, "scale", &head->scale, 1);
        append_numbers(out, "pool_scale", &head->pool_scale, 1);
        append_numbers(out, "knot_logit", head->knot_logit, LINEAR_KNOTS);
        append_numbers(out, "knot_probability", head->knot_probability, LINEAR_KNOTS);
        strbuf_append_str(out, "}");
    }
    strbuf_append_str(out, "], \"training\": ");
    strbuf_append(out, training.data, training.length);
    strbuf_append_str(out, "}");
}

void linear_model_append(struct strbuf *out, const struct linear_model *model, struct text training)
{
    struct strbuf header;
    strbuf_init(&header, LIMIT_CONFIG_BYTES);
    append_header(&header, model, training);
    strbuf_append(out, MAGIC, MAGIC_BYTES);
    for (int i = 0; i < 4; i++) strbuf_append_char(out, (char)(header.length >> 8 * i & 0xff));
    strbuf_append(out, header.data, header.length);
    if (header.state != STATUS_OK) out->state = header.state;
    strbuf_release(&header);
    for (size_t row = 0; row < 2 * n_buckets(model); row++)
        strbuf_append(out, (const char *)model->weights + row * LINEAR_MAX_HEADS,
                      (size_t)model->n_heads);
    if (model->window) window_network_append(out, model->window);
    if (!model->spelling) return;
    struct text words = spelling_words(model->spelling);
    strbuf_append(out, words.data, words.length);
}

/* An array of n finite numbers. */
static status_code read_numbers(const struct json_value *object, const char *key, double *out,
                                int n, struct status *st)
{
    const struct json_value *array;
    status_code code = json_get_array(object, key, &array, st);
    if (code != STATUS_OK) return code;
    if (json_count(array) != (size_t)n)
        return status_set(st, STATUS_BAD_INPUT, "field \"%s\" has %zu values, expected %d", key,
                          json_count(array), n);
    int i = 0;
    for (const struct json_value *v = json_first(array); v; v = json_next(v), i++) {
        if (json_kind(v) != JSON_NUMBER || !isfinite(json_number(v)))
            return status_set(st, STATUS_BAD_INPUT,
                              "field \"%s\" holds something that is no number", key);
        out[i] = json_number(v);
    }
    return STATUS_OK;
}

static status_code check_knots(const struct linear_head *head, struct status *st)
{
    for (int k = 0; k < LINEAR_KNOTS; k++) {
        double p = head->knot_probability[k];
        bool rises = !k || (head->knot_logit[k] > head->knot_logit[k - 1] &&
                            p >= head->knot_probability[k - 1]);
        if (!rises || !(p >= 0 && p <= 1))
            return status_set(st, STATUS_BAD_INPUT,
                              "the calibration does not rise from 0 to 1 at knot %d", k);
    }
    return STATUS_OK;
}

static status_code read_head(const struct json_value *value, struct linear_head *head,
                             hazard_set *seen, struct status *st)
{
    static const char *const fields[] = {"category",   "bias",       "scale",
                                         "pool_scale", "knot_logit", "knot_probability"};
    struct text category;
    status_code code = strict_json_fields(value, fields, 6, st);
    if (code == STATUS_OK) code = json_get_text(value, "category", &category, st);
    if (code == STATUS_OK) code = read_numbers(value, "bias", &head->bias, 1, st);
    if (code == STATUS_OK) code = read_numbers(value, "scale", &head->scale, 1, st);
    if (code == STATUS_OK) code = read_numbers(value, "pool_scale", &head->pool_scale, 1, st);
    if (code == STATUS_OK)
        code = read_numbers(value, "knot_logit", head->knot_logit, LINEAR_KNOTS, st);
    if (code == STATUS_OK)
        code = read_numbers(value, "knot_probability", head->knot_probability, LINEAR_KNOTS, st);
    if (code == STATUS_OK) code = check_knots(head, st);
    if (code != STATUS_OK) return code;
    if (!hazard_find(category, &head->category) || *seen & HAZARD_BIT(head->category))
        return status_set(st, STATUS_BAD_INPUT, "category \"%.*s\" is unknown or there twice",
                          (int)(category.length > 64 ? 64 : category.length), category.data);
    *seen |= HAZARD_BIT(head->category);
    return STATUS_OK;
}

static status_code read_heads(const struct json_value *heads, struct linear_model *model,
                              struct status *st)
{
    hazard_set seen = 0;
    int h = 0;
    for (const struct json_value *v = json_first(heads); v; v = json_next(v), h++) {
        status_code code = read_head(v, &model->heads[h], &seen, st);
        if (code != STATUS_OK) return status_prefix(st, "head %d", h);
    }
    return STATUS_OK;
}

/* A number that is above 0 and no larger than `most`. */
static status_code read_positive(const struct json_value *object, const char *key, double most,
                                 double *out, struct status *st)
{
    status_code code = read_numbers(object, key, out, 1, st);
    if (code == STATUS_OK && !(*out > 0 && *out <= most))
        code = status_set(st, STATUS_BAD_INPUT, "field \"%s\" is not above 0 and at most %g", key,
                          most);
    return code;
}

/* What a header says of a window network; no words: there is none. */
struct window_size {
    int64_t words, units;
    double share;
};

static status_code read_window_size(const struct json_value *root, struct window_size *size,
                                    struct status *st)
{
    static const char *const fields[] = {"words", "units", "share"};
    const struct json_value *value;
    *size = (struct window_size){0};
    if (!json_has(root, "window")) return STATUS_OK;
    status_code code = json_get_object(root, "window", &value, st);
    if (code == STATUS_OK) code = strict_json_fields(value, fields, 3, st);
    if (code == STATUS_OK)
        code = json_get_int(value, "words", 1, WINDOW_MAX_WORDS, &size->words, st);
    if (code == STATUS_OK)
        code = json_get_int(value, "units", 1, WINDOW_MAX_UNITS, &size->units, st);
    if (code == STATUS_OK) code = read_positive(value, "share", 1, &size->share, st);
    return code == STATUS_OK ? code : status_prefix(st, "window");
}

/* What a header says of a spelling; no bytes: there is none. */
struct spelling_block {
    struct spelling_size size;
    int64_t bytes;
};

static status_code read_spelling_block(const struct json_value *root, struct spelling_block *block,
                                       struct status *st)
{
    static const char *const fields[] = {"words", "sure", "targets", "common", "bytes"};
    const int64_t most = SPELLING_MAX_WORDS;
    const struct json_value *value;
    int64_t words, sure, targets, common;
    *block = (struct spelling_block){0};
    if (!json_has(root, "spelling")) return STATUS_OK;
    status_code code = json_get_object(root, "spelling", &value, st);
    if (code == STATUS_OK) code = strict_json_fields(value, fields, 5, st);
    if (code == STATUS_OK) code = json_get_int(value, "words", 1, most, &words, st);
    if (code == STATUS_OK) code = json_get_int(value, "sure", 0, most, &sure, st);
    if (code == STATUS_OK) code = json_get_int(value, "targets", 0, most, &targets, st);
    if (code == STATUS_OK) code = json_get_int(value, "common", 0, most, &common, st);
    if (code == STATUS_OK)
        code = json_get_int(value, "bytes", 1, SPELLING_MAX_BYTES, &block->bytes, st);
    if (code != STATUS_OK) return status_prefix(st, "spelling");
    block->size =
        (struct spelling_size){(size_t)words, (size_t)sure, (size_t)targets, (size_t)common};
    return STATUS_OK;
}

static status_code read_format(const struct json_value *root, struct status *st)
{
    int64_t format;
    status_code code = json_get_int(root, "format", FORMAT, FORMAT_SPELLING, &format, st);
    if (code != STATUS_OK || (format == FORMAT_SPELLING) == json_has(root, "spelling")) return code;
    return status_set(st, STATUS_BAD_INPUT, "format %lld with%s a field \"spelling\"",
                      (long long)format, json_has(root, "spelling") ? "" : "out");
}

/* The digests of the files that a model learned from, as far as its header names them. */
static status_code read_sources(const struct json_value *training, struct linear_model *model,
                                struct status *st)
{
    const struct json_value *sources;
    struct text digest;
    if (!json_has(training, "sources")) return STATUS_OK;
    status_code code = json_get_array(training, "sources", &sources, st);
    if (code != STATUS_OK) return status_prefix(st, "training");
    model->sources = calloc(json_count(sources) + 1, sizeof *model->sources);
    if (!model->sources) return status_no_memory(st, "a linear model");
    for (const struct json_value *v = json_first(sources); v; v = json_next(v)) {
        code = json_get_text(v, "sha256", &digest, st);
        if (code != STATUS_OK) return status_prefix(st, "training: sources");
        if (digest.length != SHA256_HEX_SIZE - 1) continue;
        memcpy(model->sources[model->n_sources++], digest.data, digest.length);
    }
    return STATUS_OK;
}

/* What follows the weights. */
struct file_parts {
    struct window_size window;
    struct spelling_block spelling;
};

static status_code read_header(const struct json_value *root, struct linear_model **out,
                               struct file_parts *parts, struct status *st)
{
    static const char *const fields[] = {"name",   "version",  "format",       "features",
                                         "bits",   "damping",  "word_damping", "sharpness",
                                         "window", "spelling", "heads",        "training"};
    struct text name;
    int64_t version, features, bits;
    const struct json_value *heads, *training;
    status_code code = strict_json_fields(root, fields, 12, st);
    if (code == STATUS_OK) code = read_format(root, st);
    if (code == STATUS_OK)
        code = json_get_int(root, "features", NGRAM_FEATURES_VERSION, NGRAM_FEATURES_VERSION,
                            &features, st);
    if (code == STATUS_OK) code = strict_json_name(root, "name", &name, st);
    if (code == STATUS_OK) code = json_get_int(root, "version", 1, 1000000, &version, st);
    if (code == STATUS_OK)
        code = json_get_int(root, "bits", LINEAR_MIN_BITS, LINEAR_MAX_BITS, &bits, st);
    if (code == STATUS_OK) code = read_window_size(root, &parts->window, st);
    if (code == STATUS_OK) code = read_spelling_block(root, &parts->spelling, st);
    if (code == STATUS_OK) code = json_get_object(root, "training", &training, st);
    if (code == STATUS_OK) code = json_get_array(root, "heads", &heads, st);
    if (code != STATUS_OK) return code;
    size_t n_heads = json_count(heads);
    if (!n_heads || n_heads > LINEAR_MAX_HEADS)
        return status_set(st, STATUS_BAD_INPUT, "field \"heads\" has %zu values, expected 1 to %d",
                          n_heads, LINEAR_MAX_HEADS);
    code = linear_model_create(out, (int)bits, (int)n_heads, st);
    if (code != STATUS_OK) return code;
    memcpy((*out)->name, name.data, name.length);
    (*out)->version = (int)version;
    code = read_positive(root, "damping", 1e9, &(*out)->damping, st);
    if (code == STATUS_OK)
        code = read_positive(root, "word_damping", 1e9, &(*out)->word_damping, st);
    if (code == STATUS_OK) code = read_positive(root, "sharpness", 100, &(*out)->sharpness, st);
    if (code == STATUS_OK) code = read_sources(training, *out, st);
    return code == STATUS_OK ? read_heads(heads, *out, st) : code;
}

/* Finds the header, and what follows it. */
static status_code split_file(struct text bytes, struct text *header, struct text *rest,
                              struct status *st)
{
    const unsigned char *p = (const unsigned char *)bytes.data;
    size_t start = MAGIC_BYTES + 4;
    if (bytes.length < start || memcmp(bytes.data, MAGIC, MAGIC_BYTES) != 0)
        return status_set(st, STATUS_BAD_INPUT, "not a linear model (it does not begin with %s)",
                          MAGIC);
    size_t length = (size_t)p[8] | (size_t)p[9] << 8 | (size_t)p[10] << 16 | (size_t)p[11] << 24;
    if (length > LIMIT_CONFIG_BYTES || length > bytes.length - start)
        return status_set(st, STATUS_BAD_INPUT, "the header is %zu bytes long, the file %zu",
                          length, bytes.length);
    *header = (struct text){bytes.data + start, length};
    *rest = (struct text){bytes.data + start + length, bytes.length - start - length};
    return STATUS_OK;
}

static status_code read_weights(struct linear_model *model, const struct file_parts *parts,
                                struct text bytes, struct status *st)
{
    const struct window_size *window = &parts->window;
    size_t stride = (size_t)model->n_heads, n_rows = 2 * n_buckets(model), window_bytes = 0;
    size_t spelling_bytes = (size_t)parts->spelling.bytes;
    if (window->words)
        window_bytes =
            window_network_bytes((int)window->units, model->n_heads, (size_t)window->words);
    size_t expected = n_rows * stride + window_bytes + spelling_bytes;
    if (bytes.length != expected)
        return status_set(st, STATUS_BAD_INPUT, "%zu bytes of weights, expected %zu", bytes.length,
                          expected);
    for (size_t row = 0; row < n_rows; row++)
        memcpy(model->weights + row * LINEAR_MAX_HEADS, bytes.data + row * stride, stride);
    model->window_share = window->share;
    struct text rest = {bytes.data + n_rows * stride, window_bytes};
    status_code code = STATUS_OK;
    if (window_bytes)
        code = window_network_parse(&model->window, (int)window->units, model->n_heads,
                                    (size_t)window->words, rest, st);
    rest = (struct text){rest.data + window_bytes, spelling_bytes};
    if (code == STATUS_OK && spelling_bytes)
        code = spelling_parse(&model->spelling, rest, &parts->spelling.size, st);
    return code;
}

static status_code parse_model(struct linear_model **out, struct text bytes, struct status *st)
{
    struct text header = {0}, rest = {0};
    struct file_parts parts;
    struct json_value *root;
    status_code code = split_file(bytes, &header, &rest, st);
    if (code != STATUS_OK) return code;
    code = json_parse(&root, header, st);
    if (code != STATUS_OK) return status_prefix(st, "header");
    code = read_header(root, out, &parts, st);
    json_free(root);
    return code == STATUS_OK ? read_weights(*out, &parts, rest, st) : code;
}

status_code linear_model_parse(struct linear_model **out, struct text bytes, const char *source,
                               struct status *st)
{
    *out = NULL;
    status_code code = parse_model(out, bytes, st);
    if (code == STATUS_OK) return code;
    linear_model_free(*out);
    *out = NULL;
    return status_prefix(st, "%s", source);
}

/* ---- scores ---- */

/* Sums of 16 bits: two vector registers hold those of all heads. */
_Static_assert(NGRAM_BATCH_MAX * 128 <= INT16_MAX, "the weights of a batch sum in 16 bits");

/* What a batch adds: to each head's total, then to the word's pool. */
static void sum_batch(const struct linear_model *model, const struct feature_batch *batch,
                      int32_t totals[LINEAR_COLUMNS])
{
    unsigned shift = 32 - (unsigned)model->bits;
    int16_t sums[LINEAR_COLUMNS] = {0};
    for (size_t i = 0; i < batch->n; i++) {
        const int8_t *w = model->weights + (size_t)(batch->hashes[i] >> shift) * LINEAR_COLUMNS;
        for (int c = 0; c < LINEAR_COLUMNS; c++) sums[c] = (int16_t)(sums[c] + w[c]);
    }
    for (int c = 0; c < LINEAR_COLUMNS; c++) totals[c] = sums[c] * batch->value;
}

/* The exps of the word at hand, one for each head, in 1/65536. */
static void word_exps(const struct linear_sum *sum, uint64_t exps[LINEAR_MAX_HEADS])
{
    const struct linear_model *model = sum->model;
    double steps = model->sharpness * LOG2_E * LINEAR_POWERS /
                   sqrt((double)sum->word_squares + model->word_damping);
    const double low = OCTAVES_MIN * LINEAR_POWERS, high = OCTAVES_MAX * LINEAR_POWERS;
    for (int h = 0; h < model->n_heads; h++) {
        double x = sum->word[h] * model->heads[h].pool_scale * steps;
        x = x < low ? low : x > high ? high : x;
        unsigned step = (unsigned)((int)lrint(x) - OCTAVES_MIN * LINEAR_POWERS);
        uint64_t power = model->powers[step % LINEAR_POWERS];
        exps[h] = power << 8 >> (OCTAVES_MAX - OCTAVES_MIN - (int)(step / LINEAR_POWERS));
    }
}

static void end_word(struct linear_sum *sum)
{
    uint64_t exps[LINEAR_MAX_HEADS];
    word_exps(sum, exps);
    sum->n_words++;
    for (int h = 0; h < sum->model->n_heads; h++)
        if (sum->pool[h] < POOL_FULL) sum->pool[h] += exps[h];
    memset(sum->word, 0, sizeof sum->word);
    sum->word_squares = 0;
}

/* Adds a batch to the word at hand alone. */
static void add_to_word(struct linear_sum *sum, const struct feature_batch *batch,
                        const int32_t totals[LINEAR_COLUMNS])
{
    for (int h = 0; h < LINEAR_MAX_HEADS; h++) sum->word[h] += totals[LINEAR_MAX_HEADS + h];
    sum->word_squares += (int32_t)batch->n * batch->value * batch->value;
}

static void add_batch(void *user, const struct feature_batch *batch)
{
    struct linear_sum *sum = user;
    int32_t totals[LINEAR_COLUMNS];
    sum_batch(sum->model, batch, totals);
    for (int h = 0; h < LINEAR_MAX_HEADS; h++) sum->totals[h] += totals[h];
    sum->squares += (int64_t)batch->n * batch->value * batch->value;
    add_to_word(sum, batch, totals);
    if (sum->model->window && batch->value == WORD_VALUE)
        window_sum_add(&sum->window, batch->hashes[0]);
    if (batch->ends_word) end_word(sum);
}

void linear_sum_init(struct linear_sum *sum, const struct linear_model *model)
{
    *sum = (struct linear_sum){.model = model};
    ngram_features_init(&sum->features, model->spelling);
    if (model->window) window_sum_init(&sum->window, model->window);
}

void linear_sum_add(struct linear_sum *sum, struct text piece)
{
    ngram_features_add(&sum->features, piece, add_batch, sum);
}

static double calibrated(const struct linear_head *head, double logit)
{
    const double *x = head->knot_logit, *y = head->knot_probability;
    if (logit <= x[0]) return y[0];
    if (logit >= x[LINEAR_KNOTS - 1]) return y[LINEAR_KNOTS - 1];
    int k = 1;
    while (logit > x[k]) k++;
    return y[k - 1] + (y[k] - y[k - 1]) * ((logit - x[k - 1]) / (x[k] - x[k - 1]));
}

/* The pool of a sum of exps. */
static double pooled(const struct linear_model *model, double exps)
{
    return portable_log(1 + exps) / model->sharpness;
}

void linear_sum_scores(const struct linear_sum *sum, double *logits, double *probabilities)
{
    struct linear_sum whole = *sum; /* what is held back counts, and more may still come */
    ngram_features_end(&whole.features, add_batch, &whole);
    const struct linear_model *model = whole.model;
    double norm = sqrt((double)whole.squares + model->damping), of_windows[LINEAR_MAX_HEADS];
    if (model->window) {
        window_sum_end(&whole.window);
        window_sum_logits(&whole.window, of_windows);
    }
    for (int h = 0; h < model->n_heads; h++) {
        const struct linear_head *head = &model->heads[h];
        double logit = head->bias + head->scale * (double)whole.totals[h] / norm +
                       pooled(model, (double)whole.pool[h] / POOL_ONE);
        if (model->window)
            logit = (1 - model->window_share) * logit + model->window_share * of_windows[h];
        if (logits) logits[h] = logit;
        if (probabilities) probabilities[h] = calibrated(head, logit);
    }
}

/* ---- explanations ---- */

struct explanation {
    struct linear_sum word; /* only its word at hand is used, and its window */
    size_t start;           /* of that word */
    double norm;
    double slope[LINEAR_MAX_HEADS];   /* of the pool, in a word's exp */
    const struct window_sum *windows; /* of the whole text */
    bool taken[WINDOW_MAX_UNITS];
    size_t starts[2], last_end; /* of the two words before; of the last one */
    void (*on_term)(void *user, size_t start, size_t end, const double *terms);
    void *user;
};

/* Hands over the terms, of which the linear part has its share. */
static void give_linear(struct explanation *why, size_t start, size_t end, double *terms)
{
    const struct linear_model *model = why->word.model;
    for (int h = 0; model->window && h < model->n_heads; h++) terms[h] *= 1 - model->window_share;
    why->on_term(why->user, start, end, terms);
}

/* Hands over the window that was closed last, which ends at `end`. */
static void give_window(struct explanation *why, size_t end)
{
    const struct linear_model *model = why->word.model;
    double terms[LINEAR_MAX_HEADS];
    window_sum_terms(why->windows, &why->word.window, why->taken, terms);
    for (int h = 0; h < model->n_heads; h++) terms[h] *= model->window_share;
    why->on_term(why->user, why->starts[0], end, terms);
}

static void explain_word(struct explanation *why, size_t end)
{
    uint64_t exps[LINEAR_MAX_HEADS];
    double terms[LINEAR_MAX_HEADS];
    word_exps(&why->word, exps);
    for (int h = 0; h < why->word.model->n_heads; h++)
        terms[h] = why->slope[h] * ((double)exps[h] / POOL_ONE - 1);
    give_linear(why, why->start, end, terms);
    end_word(&why->word);
}

/* The word's own window is still open: what closes is that of the word before. */
static void explain_window(struct explanation *why, const struct feature_batch *batch)
{
    if (window_sum_add(&why->word.window, batch->hashes[0])) {
        give_window(why, batch->end);
        why->starts[0] = why->starts[1];
    } else {
        why->starts[0] = batch->start;
    }
    why->starts[1] = batch->start;
    why->last_end = batch->end;
}

static void explain_batch(void *user, const struct feature_batch *batch)
{
    struct explanation *why = user;
    const struct linear_model *model = why->word.model;
    int32_t totals[LINEAR_COLUMNS];
    double terms[LINEAR_MAX_HEADS];
    sum_batch(model, batch, totals);
    for (int h = 0; h < model->n_heads; h++)
        terms[h] = model->heads[h].scale * totals[h] / why->norm;
    give_linear(why, batch->start, batch->end, terms);
    if (model->window && batch->value == WORD_VALUE) explain_window(why, batch);
    if (!why->word.word_squares) why->start = batch->start;
    add_to_word(&why->word, batch, totals);
    if (batch->ends_word) explain_word(why, batch->end);
}

/* The constant, and the slopes of the pool. */
static void explain_constant(struct explanation *why, const struct linear_sum *sum)
{
    const struct linear_model *model = sum->model;
    double constants[LINEAR_MAX_HEADS], n = (double)sum->n_words, share = model->window_share;
    for (int h = 0; h < model->n_heads; h++) {
        double exps = (double)sum->pool[h] / POOL_ONE, unknown = pooled(model, n);
        constants[h] = model->heads[h].bias + unknown;
        if (model->window)
            constants[h] = (1 - share) * constants[h] + share * (double)model->window->head_bias[h];
        why->slope[h] = exps != n ? (pooled(model, exps) - unknown) / (exps - n)
                                  : 1 / (model->sharpness * (1 + n));
    }
    why->on_term(why->user, 0, 0, constants);
}

void linear_model_explain(const struct linear_model *model, struct text text,
                          void (*on_term)(void *user, size_t start, size_t end,
                                          const double *terms),
                          void *user)
{
    struct linear_sum sum;
    linear_sum_init(&sum, model);
    linear_sum_add(&sum, text);
    ngram_features_end(&sum.features, add_batch, &sum);
    if (model->window) window_sum_end(&sum.window);
    struct explanation why = {.norm = sqrt((double)sum.squares + model->damping),
                              .windows = &sum.window,
                              .on_term = on_term,
                              .user = user};
    linear_sum_init(&why.word, model);
    explain_constant(&why, &sum);
    struct ngram_features features;
    ngram_features_init(&features, model->spelling);
    ngram_features_add(&features, text, explain_batch, &why);
    ngram_features_end(&features, explain_batch, &why);
    if (model->window && window_sum_end(&why.word.window)) give_window(&why, why.last_end);
}
