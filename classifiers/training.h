/* training.h - labelled texts to a linear model.
 *
 *   examples + options -> training_run() -> a linear_model, to be written with
 * linear_model_append()
 *
 * Labels are probabilities in [0, 1], one for each head, or NAN where an example says nothing of
 * it.  Examples come from numbered domains: domain 0 is the one that the model's scores are meant
 * for, and the model is calibrated on it.  The others help as far as they agree with it: each has a
 * bias and a table of weights of its own beside the shared average, which take up what is peculiar
 * to it and are thrown away at the end (Daume 2007, "Frustratingly Easy Domain Adaptation").
 *
 * The loss is cross entropy on soft labels; it is minimised by AdaGrad (Duchi et al. 2011) over
 * shuffled examples, one at a time, with a step that falls to 0.  The same examples in the same
 * order with the same options give the same model, byte for byte: there is one thread.
 */
#ifndef ASSAY_TRAINING_H
#define ASSAY_TRAINING_H

#include <stdint.h>

#include "classifiers/linear_model.h"
#include "engine/base/log.h"

#define TRAINING_MAX_DOMAINS 16

struct training_example {
    struct text text;
    float label[LINEAR_MAX_HEADS];
    float weight; /* of the example in the loss, above 0 */
    int domain;
    bool held_out; /* not learned from; used for the calibration if of domain 0 */
    float distill; /* share of what a first model says in the labels of the second training */
    /* A text that was made from another one: not used for calibration.  `original` is the example
     * whose labels it takes over in the second training, TRAINING_NONE for none. */
    bool is_variant;
    uint32_t original;
};
#define TRAINING_NONE UINT32_MAX

struct training_options {
    const char *name; /* letters, digits, '.', '_', '-' */
    int version;
    int n_heads;
    enum hazard_category category[LINEAR_MAX_HEADS];
    int bits, epochs;
    double learning_rate; /* 1 is a good start */
    double l2;            /* pulls weights to 0 each time they are used; 5e-4 is a good start */
    /* Train twice.  What the first model says of the other domains' texts becomes a share of their
     * labels (the example's), and all of those that they lack, and they join domain 0
     * (self-distillation). */
    bool distill;
    double domain_rate; /* step of a domain's own weights, as a share of the shared ones' */
    uint64_t seed;      /* of the shuffles */
    /* A window network beside the n-grams (window_training.h); epochs 0: none. */
    struct window_options {
        int size;          /* of a word's vector */
        int64_t min_count; /* a word that is rarer has none */
        int epochs;
        double share; /* of the network's logits in the whole */
    } window;
    /* Of the words that a spelling knows (spelling_training.h); 0: no spelling. */
    int64_t spelling_min_count;
    const struct logger *log;
};

/* Trains and calibrates.  A head whose held-out examples are too few to calibrate on keeps its
 * raw curve.  Fails with STATUS_BAD_INPUT when a head has no example to learn from. */
status_code training_run(struct linear_model **out, const struct training_options *options,
                         const struct training_example *examples, size_t n,
                         struct status *st) MUST_CHECK;

#endif
