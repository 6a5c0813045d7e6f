/* probe.h - logistic regression on a language model's hidden states: a classifier from few texts.
 *
 *   text -> hidden state of a model -> one sum for each head -> logit -> probability
 *
 * A `probe` is a small file that belongs to one model: it names the digest of the weights whose
 * hidden states it was made from, after the last norm, of the last token or the mean over all.
 * The idea is that of "agile classifiers" (Mozes et al. 2023, "Towards Agile Text
 * Classifiers for Everyone"); nothing of the model itself is changed.
 *
 *   probe_read_text(session, tokenizer, text, POOL_LAST, hidden, st)      for each text
 *   probe_train(&probe, &data, st) -> probe_append() -> the file
 *   probe_parse(&probe, bytes, path, st) -> probe_logits(probe, hidden, logits)
 *
 * The same data give the same probe, byte for byte, whatever the number of threads.
 */
#ifndef ASSAY_PROBE_H
#define ASSAY_PROBE_H

#include "classifiers/linear_model.h"
#include "engine/engine.h"

enum probe_pool { POOL_LAST, POOL_MEAN };

struct probe {
    char name[LINEAR_NAME_SIZE];
    char weights_sha256[SHA256_HEX_SIZE]; /* of the model */
    enum probe_pool pool;
    int d_model, n_heads;
    enum hazard_category category[LINEAR_MAX_HEADS];
    double bias[LINEAR_MAX_HEADS], l2[LINEAR_MAX_HEADS];
    float *weights; /* (n_heads, d_model), owned */
};

const char *probe_pool_name(enum probe_pool pool); /* "last", "mean" */
bool probe_pool_find(const char *name, enum probe_pool *out);

/* Writes hidden[d_model] of a text, BOS before it where the vocabulary has one. */
status_code probe_read_text(struct session *session, const struct engine *engine, struct text text,
                            enum probe_pool pool, float *hidden, struct status *st) MUST_CHECK;

/* What a probe is trained on. */
struct probe_data {
    const char *name, *weights_sha256;
    enum probe_pool pool;
    int d_model, n_heads;
    const enum hazard_category *category;
    size_t n;
    const float *hidden;  /* (n, d_model) */
    const float *labels;  /* (n, n_heads) in [0, 1]; NAN: no label */
    const bool *held_out; /* (n): not learned from */
};

/* Minimises cross entropy with an L2 term, whose strength each head finds by cross-validation.
 * STATUS_BAD_INPUT when a head has no positive or no negative to learn from. */
status_code probe_train(struct probe **out, const struct probe_data *data,
                        struct status *st) MUST_CHECK;

/* Reads a probe; `source` stands for the file in errors. */
status_code probe_parse(struct probe **out, struct text bytes, const char *source,
                        struct status *st) MUST_CHECK;

/* Appends the file (JSON).  `training` is a JSON object that says where it comes from. */
void probe_append(struct strbuf *out, const struct probe *probe, struct text training);
void probe_free(struct probe *probe);

/* logits[n_heads] of one hidden state. */
void probe_logits(const struct probe *probe, const float *hidden, double *logits);

#endif
