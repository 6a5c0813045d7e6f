#include "engine/sampling/sampler.h"

#include <math.h>
#include <stdlib.h>

struct candidate {
    double weight; /* exp((logit - max) / temperature), not normalised */
    int32_t id;
};

struct sampler {
    int n_vocab;
    struct candidate *candidates; /* [n_vocab] */
};

status_code sampler_create(struct sampler **out, int n_vocab, struct status *st)
{
    struct sampler *s = calloc(1, sizeof *s);
    if (s) s->candidates = calloc((size_t)n_vocab, sizeof *s->candidates);
    if (!s || !s->candidates) {
        sampler_free(s);
        return status_no_memory(st, "the sampler");
    }
    s->n_vocab = n_vocab;
    *out = s;
    return STATUS_OK;
}

void sampler_free(struct sampler *s)
{
    if (!s) return;
    free(s->candidates);
    free(s);
}

status_code sampling_options_check(const struct sampling_options *o, struct status *st)
{
    if (!(o->temperature >= 0) || !isfinite(o->temperature))
        return status_set(st, STATUS_USAGE, "temperature %g is not 0 or more", o->temperature);
    if (o->top_k < 0) return status_set(st, STATUS_USAGE, "top-k %d is negative", o->top_k);
    if (!(o->top_p > 0 && o->top_p <= 1))
        return status_set(st, STATUS_USAGE, "top-p %g is not in (0, 1]", o->top_p);
    return STATUS_OK;
}

int32_t logits_argmax(const float *logits, int n_vocab)
{
    int32_t best = 0;
    for (int32_t i = 1; i < n_vocab; i++)
        if (logits[i] > logits[best] || isnan(logits[best])) best = i;
    return best;
}

double logits_logprob(const float *logits, int n_vocab, int32_t id)
{
    double max = (double)logits[logits_argmax(logits, n_vocab)], sum = 0;
    for (int i = 0; i < n_vocab; i++) sum += exp((double)logits[i] - max);
    return (double)logits[id] - max - log(sum);
}

/* Most likely first, lowest id first on a tie: a total order, so the result cannot depend on the
 * sort's own habits. */
static int compare_candidates(const void *a, const void *b)
{
    const struct candidate *x = a, *y = b;
    if (x->weight != y->weight) return x->weight > y->weight ? -1 : 1;
    return x->id < y->id ? -1 : x->id > y->id;
}

/* How many of the sorted candidates top-k and then top-p keep; at least one. */
static int keep_count(const struct sampler *s, const struct sampling_options *o)
{
    int n = o->top_k > 0 && o->top_k < s->n_vocab ? o->top_k : s->n_vocab;
    if (o->top_p >= 1) return n;
    double total = 0, mass = 0;
    for (int i = 0; i < n; i++) total += s->candidates[i].weight;
    for (int i = 0; i < n; i++) {
        mass += s->candidates[i].weight;
        if (mass >= o->top_p * total) return i + 1;
    }
    return n;
}

int32_t sampler_next(struct sampler *s, const struct sampling_options *o, const float *logits,
                     struct rng *rng)
{
    int32_t best = logits_argmax(logits, s->n_vocab);
    if (o->temperature <= 0) return best;
    double max = (double)logits[best];
    for (int32_t i = 0; i < s->n_vocab; i++) {
        double weight = exp(((double)logits[i] - max) / o->temperature);
        s->candidates[i] = (struct candidate){isnan(weight) ? 0 : weight, i};
    }
    int n = s->n_vocab;
    if (o->top_k > 0 || o->top_p < 1) {
        qsort(s->candidates, (size_t)n, sizeof *s->candidates, compare_candidates);
        n = keep_count(s, o);
    }
    double total = 0;
    for (int i = 0; i < n; i++) total += s->candidates[i].weight;
    double left = rng_uniform(rng) * total;
    for (int i = 0; i < n; i++) {
        left -= s->candidates[i].weight;
        if (left < 0) return s->candidates[i].id;
    }
    return best; /* rounding kept the last step from going below zero */
}
