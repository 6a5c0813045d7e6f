/* linear_model.h - tables of weights over hashed n-grams: what `assay train` makes and `builtin`
 * is.
 *
 *   text -> words, repaired -> hashed n-grams -> two sums of small integers for each head -> logit
 * -> probability
 *
 *   average     = sum of values * weights / sqrt(sum of squared values + damping), of all n-grams
 *   word's score = sum of values * pool weights / sqrt(sum of squared values + word damping), of
 *                 the n-grams of one word and of its pair with the word before
 *   pool        = log(1 + sum over the words of exp(sharpness * word's score)) / sharpness
 *   logit       = bias + scale * average + pool
 *               = (1 - share) * (the above) + share * window network's logit, when there is one
 *   probability = the logit's place on a table of straight lines (the calibration)
 *
 * A `head` judges one hazard category.  The average says what the whole text is like; the pool, a
 * soft maximum, says how bad the worst words are, however many harmless ones stand beside them; the
 * window network (window_network.h) knows which words are used alike.
 *
 * Weights are integers of 8 bits and all sums are sums of integers: a word's exp is a power of two
 * in steps of 1/64, in fixed point.  What follows uses only +, *, / and square roots, so a score
 * has the same bits on any machine, whether a text comes whole or in pieces.
 *
 *   struct linear_model *model;
 *   if (linear_model_parse(&model, bytes, path, st) != STATUS_OK) ...
 *   struct linear_sum sum;
 *   linear_sum_init(&sum, model);
 *   linear_sum_add(&sum, piece);                      as often as there are pieces
 *   linear_sum_scores(&sum, logits, probabilities);   of the text so far; more may be added
 *   linear_model_free(model);
 *
 * A model is immutable after parsing and may be shared; a sum lives on its owner's stack, borrows
 * the model, and may be copied.
 *
 * The file: the 8 bytes "ASSAYLIN", the length of the header (u32, little-endian), the header
 * (JSON), then int8 [buckets][2][heads]: for each bucket the weights, then the pool weights; then,
 * if the header has a "window", the arrays of the window network; then, if it has a "spelling", its
 * words, one a line.
 */
#ifndef ASSAY_LINEAR_MODEL_H
#define ASSAY_LINEAR_MODEL_H

#include "classifiers/ngram_features.h"
#include "classifiers/taxonomy.h"
#include "classifiers/window_network.h"
#include "engine/base/sha256.h"
#include "engine/base/strbuf.h"

#define LINEAR_MAX_HEADS 8
#define LINEAR_COLUMNS   (2 * LINEAR_MAX_HEADS) /* of the weights in memory */
#define LINEAR_KNOTS     33
#define LINEAR_MIN_BITS  10
#define LINEAR_MAX_BITS  20
#define LINEAR_NAME_SIZE 65
#define LINEAR_POWERS    64 /* steps of the pool between two powers of two */

struct linear_head {
    enum hazard_category category;
    double bias, scale, pool_scale;  /* the scales are those of the integers */
    double knot_logit[LINEAR_KNOTS]; /* ascending */
    double knot_probability[LINEAR_KNOTS];
};

struct linear_model {
    char name[LINEAR_NAME_SIZE];
    int version;
    int n_heads;
    int bits; /* the table has 2^bits buckets */
    double damping, word_damping, sharpness;
    struct linear_head heads[LINEAR_MAX_HEADS];
    int8_t *weights; /* (buckets, 2, LINEAR_MAX_HEADS), owned; heads that are not there are 0 */
    uint32_t powers[LINEAR_POWERS];   /* 2^(30 + i/64) */
    struct window_network *window;    /* owned; NULL: none */
    double window_share;              /* of its logits, between 0 and 1 */
    char (*sources)[SHA256_HEX_SIZE]; /* (n_sources): digests of the files it learned from; owned */
    size_t n_sources;
    struct spelling *spelling; /* owned; NULL: words stay as they are */
};

/* A model with zeroed weights and an identity calibration, to be filled by training. */
status_code linear_model_create(struct linear_model **out, int bits, int n_heads,
                                struct status *st) MUST_CHECK;

/* Reads a model; `source` stands for the file in errors.  The bytes are copied. */
status_code linear_model_parse(struct linear_model **out, struct text bytes, const char *source,
                               struct status *st) MUST_CHECK;

/* Appends the file.  `training` is a JSON object that says where the model comes from. */
void linear_model_append(struct strbuf *out, const struct linear_model *model,
                         struct text training);
void linear_model_free(struct linear_model *model);

/* Sets a head's calibration to that of a logistic curve: probability = 1/(1+exp(-(a*logit+b))). */
void linear_head_calibrate(struct linear_head *head, double a, double b);

struct linear_sum {
    const struct linear_model *model;
    struct ngram_features features;
    int64_t totals[LINEAR_MAX_HEADS];
    int64_t squares;                /* of the features' values */
    int32_t word[LINEAR_MAX_HEADS]; /* of the word at hand: its total of pool weights */
    int32_t word_squares;
    uint64_t pool[LINEAR_MAX_HEADS]; /* the words' exps, in 1/65536 */
    uint64_t n_words;
    struct window_sum window; /* unused without a network */
};

void linear_sum_init(struct linear_sum *sum, const struct linear_model *model);
void linear_sum_add(struct linear_sum *sum, struct text piece);

/* Either result may be NULL; both are (n_heads). */
void linear_sum_scores(const struct linear_sum *sum, double *logits, double *probabilities);

/* Calls on_term for every kind of feature of every stretch of a whole text, in the order in which
 * its words end, and for every window of three words: what the stretch adds to each head's logit
 * (n_heads).  The first term is the constant, an empty stretch: the logit of as many words that the
 * model knows nothing of.  All
 * terms sum to the logit.  What the pool departs from its constant is shared among the words in
 * proportion to how far each one's exp is from 1, that of an unknown word. */
void linear_model_explain(const struct linear_model *model, struct text text,
                          void (*on_term)(void *user, size_t start, size_t end,
                                          const double *terms),
                          void *user);

#endif
