#include "engine/sampling/sampler.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Candidates are put into bins by the upper bits of their weight, so that only those that may be
 * drawn need sorting: 8 bits of the mantissa, and exponents down to 2^-64; the last bin has the
 * rest. */
#define MANTISSA_BITS 8
#define EXPONENTS     64
#define N_BINS        ((EXPONENTS << MANTISSA_BITS) + 2)

struct candidate {
    double weight; /* exp((logit - max) / temperature), not normalised */
    int32_t id;
};

struct sampler {
    int n_vocab;
    double *weights;              /* [n_vocab] */
    struct candidate *candidates; /* [n_vocab] */
    int *counts;                  /* [N_BINS] */
    double *sums;                 /* [N_BINS] */
};

size_t sampler_bytes(int n_vocab)
{
    return (size_t)n_vocab * (sizeof(double) + sizeof(struct candidate)) +
           N_BINS * (sizeof(int) + sizeof(double));
}

status_code sampler_create(struct sampler **out, int n_vocab, struct status *st)
{
    struct sampler *s = calloc(1, sizeof *s);
    if (s) {
        s->n_vocab = n_vocab;
        s->weights = calloc((size_t)n_vocab, sizeof *s->weights);
        s->candidates = calloc((size_t)n_vocab, sizeof *s->candidates);
        s->counts = calloc(N_BINS, sizeof *s->counts);
        s->sums = calloc(N_BINS, sizeof *s->sums);
    }
    if (!s || !s->weights || !s->candidates || !s->counts || !s->sums) {
        sampler_free(s);
        return status_no_memory(st, "the sampler");
    }
    *out = s;
    return STATUS_OK;
}

void sampler_free(struct sampler *s)
{
    if (!s) return;
    free(s->weights);
    free(s->candidates);
    free(s->counts);
    free(s->sums);
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
    while (best < n_vocab - 1 && isnan(logits[best])) best++;
    float most = logits[best];
    if (isnan(most)) return 0;
    for (int32_t i = best + 1; i < n_vocab; i++)
        if (logits[i] > most) most = logits[best = i];
    return best;
}

struct logits_summary logits_summarize(const float *logits, int n_vocab)
{
    struct logits_summary out = {.best = logits_argmax(logits, n_vocab)};
    double sum = 0;
    out.max = (double)logits[out.best];
    for (int i = 0; i < n_vocab; i++) sum += exp((double)logits[i] - out.max);
    out.log_sum = log(sum);
    return out;
}

double logits_logprob(const struct logits_summary *summary, const float *logits, int32_t id)
{
    return (double)logits[id] - summary->max - summary->log_sum;
}

/* Most likely first, lowest id first on a tie: a total order, so the result cannot depend on the
 * sort's own habits. */
static bool comes_before(const struct candidate *x, const struct candidate *y)
{
    return x->weight != y->weight ? x->weight > y->weight : x->id < y->id;
}

/* Shell's sort: bins are short, and qsort() would ask for memory. */
static void sort_candidates(struct candidate *c, int n)
{
    int gap = 1;
    while (gap < n / 3) gap = 3 * gap + 1;
    for (; gap > 0; gap /= 3)
        for (int i = gap; i < n; i++) {
            struct candidate held = c[i];
            int k = i;
            for (; k >= gap && comes_before(&held, &c[k - gap]); k -= gap) c[k] = c[k - gap];
            c[k] = held;
        }
}

/* The weights of all tokens in s->weights; returns their sum. */
static double weigh(struct sampler *s, double temperature, const float *logits, double max)
{
    double total = 0;
    for (int i = 0; i < s->n_vocab; i++) {
        double weight = exp(((double)logits[i] - max) / temperature);
        total += s->weights[i] = isnan(weight) ? 0 : weight;
    }
    return total;
}

/* Bins of larger weights come first; 1 is the largest there is. */
static int bin_of(double weight)
{
    uint64_t bits, one;
    const double largest = 1;
    memcpy(&bits, &weight, sizeof bits);
    memcpy(&one, &largest, sizeof one);
    uint64_t bin = (one >> (52 - MANTISSA_BITS)) - (bits >> (52 - MANTISSA_BITS));
    return bin < N_BINS - 1 ? (int)bin : N_BINS - 1;
}

/* The bins that hold the first n candidates and at least this mass, counted from the largest; in
 * *kept how many candidates they have. */
static int count_bins(struct sampler *s, int n, double mass, int *kept)
{
    memset(s->counts, 0, N_BINS * sizeof *s->counts);
    memset(s->sums, 0, N_BINS * sizeof *s->sums);
    for (int i = 0; i < s->n_vocab; i++) {
        int bin = bin_of(s->weights[i]);
        s->counts[bin]++;
        s->sums[bin] += s->weights[i];
    }
    int bins = 0;
    double sum = 0;
    for (*kept = 0; bins < N_BINS && (*kept < n || !(sum >= mass)); bins++) {
        *kept += s->counts[bins];
        sum += s->sums[bins];
    }
    return bins;
}

/* The candidates of the first bins, sorted. */
static void sort_bins(struct sampler *s, int bins)
{
    int *next = s->counts; /* where the bin's next candidate goes */
    for (int b = 0, at = 0; b < bins; b++) {
        int count = s->counts[b];
        next[b] = at;
        at += count;
    }
    for (int32_t i = 0; i < s->n_vocab; i++) {
        int bin = bin_of(s->weights[i]);
        if (bin < bins) s->candidates[next[bin]++] = (struct candidate){s->weights[i], i};
    }
    for (int b = 0, from = 0; b < bins; from = next[b++])
        sort_candidates(s->candidates + from, next[b] - from);
}

/* How many of the n most likely candidates, sorted, have the mass; at least one. */
static int reach(const struct sampler *s, int n, double wanted)
{
    double mass = 0;
    for (int i = 0; i < n; i++) {
        mass += s->candidates[i].weight;
        if (mass >= wanted) return i + 1;
    }
    return n;
}

/* Leaves the candidates that top-k and then top-p keep, the most likely first. */
static int keep(struct sampler *s, const struct sampling_options *o, double total)
{
    int n = o->top_k > 0 && o->top_k < s->n_vocab ? o->top_k : s->n_vocab, kept;
    bool all = n == s->n_vocab;
    /* Sums of bins round differently from the sum over candidates: a little more than enough. */
    double mass = all ? o->top_p * total * (1 + 1e-9) : 0;
    sort_bins(s, count_bins(s, all ? 1 : n, mass, &kept));
    if (kept < n) n = kept;
    if (!all) {
        total = 0;
        for (int i = 0; i < n; i++) total += s->candidates[i].weight;
    }
    return o->top_p < 1 ? reach(s, n, o->top_p * total) : n;
}

int32_t sampler_next(struct sampler *s, const struct sampling_options *o, const float *logits,
                     struct rng *rng)
{
    int32_t best = logits_argmax(logits, s->n_vocab);
    if (o->temperature <= 0) return best;
    double total = weigh(s, o->temperature, logits, (double)logits[best]);
    if (o->top_k <= 0 && o->top_p >= 1) {
        double left = rng_uniform(rng) * total;
        for (int32_t i = 0; i < s->n_vocab; i++)
            if ((left -= s->weights[i]) < 0) return i;
        return best;
    }
    int n = keep(s, o, total);
    double mass = 0;
    for (int i = 0; i < n; i++) mass += s->candidates[i].weight;
    double left = rng_uniform(rng) * mass;
    for (int i = 0; i < n; i++)
        if ((left -= s->candidates[i].weight) < 0) return s->candidates[i].id;
    return best; /* rounding kept the last step from going below zero */
}
