#include "engine/sampling/sampler.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Tokens are put into bins by the upper bits of their weight: 8 bits of the mantissa, and exponents
 * down to 2^-64; the last bin has the rest.  Only the bin that the draw falls into is sorted, and
 * those in which top-k and top-p end: a flat distribution keeps most of the vocabulary. */
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
    uint16_t *bins;               /* [n_vocab] */
    int *counts;                  /* [N_BINS] */
    double *sums;                 /* [N_BINS] of weights, in the order of ids */
    struct candidate *candidates; /* [n_vocab] of one bin, the most likely first */
};

size_t sampler_bytes(int n_vocab)
{
    return (size_t)n_vocab * (sizeof(double) + sizeof(uint16_t) + sizeof(struct candidate)) +
           N_BINS * (sizeof(int) + sizeof(double));
}

status_code sampler_create(struct sampler **out, int n_vocab, struct status *st)
{
    struct sampler *s = calloc(1, sizeof *s);
    if (s) {
        s->n_vocab = n_vocab;
        s->weights = calloc((size_t)n_vocab, sizeof *s->weights);
        s->bins = calloc((size_t)n_vocab, sizeof *s->bins);
        s->candidates = calloc((size_t)n_vocab, sizeof *s->candidates);
        s->counts = calloc(N_BINS, sizeof *s->counts);
        s->sums = calloc(N_BINS, sizeof *s->sums);
    }
    if (!s || !s->weights || !s->bins || !s->candidates || !s->counts || !s->sums) {
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
    free(s->bins);
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
static uint16_t bin_of(double weight)
{
    uint64_t bits, one;
    const double largest = 1;
    memcpy(&bits, &weight, sizeof bits);
    memcpy(&one, &largest, sizeof one);
    uint64_t bin = (one >> (52 - MANTISSA_BITS)) - (bits >> (52 - MANTISSA_BITS));
    return bin < N_BINS - 1 ? (uint16_t)bin : N_BINS - 1;
}

static void fill_bins(struct sampler *s)
{
    memset(s->counts, 0, N_BINS * sizeof *s->counts);
    memset(s->sums, 0, N_BINS * sizeof *s->sums);
    for (int i = 0; i < s->n_vocab; i++) {
        uint16_t bin = s->bins[i] = bin_of(s->weights[i]);
        s->counts[bin]++;
        s->sums[bin] += s->weights[i];
    }
}

/* The candidates of one bin, sorted. */
static void sort_bin(struct sampler *s, int bin)
{
    int n = 0;
    for (int32_t i = 0; n < s->counts[bin]; i++)
        if (s->bins[i] == bin) s->candidates[n++] = (struct candidate){s->weights[i], i};
    sort_candidates(s->candidates, n);
}

/* Tokens that may be drawn: those of whole bins, and the first `part` of the bin behind them. */
struct kept {
    int bins, part;
    double mass;
};

static double mass_of_first(const struct sampler *s, int n)
{
    double mass = 0;
    for (int i = 0; i < n; i++) mass += s->candidates[i].weight;
    return mass;
}

/* The k most likely tokens. */
static struct kept keep_first(struct sampler *s, int k)
{
    struct kept kept = {0};
    int n = 0;
    for (; kept.bins < N_BINS && n + s->counts[kept.bins] <= k; kept.bins++) {
        n += s->counts[kept.bins];
        kept.mass += s->sums[kept.bins];
    }
    if (kept.bins == N_BINS || n == k) return kept;
    sort_bin(s, kept.bins);
    kept.part = k - n;
    kept.mass += mass_of_first(s, kept.part);
    return kept;
}

/* Of these, the most likely until their mass is `wanted`; one at least. */
static struct kept keep_mass(struct sampler *s, const struct kept *from, double wanted)
{
    struct kept kept = {0};
    while (kept.bins < from->bins && kept.mass + s->sums[kept.bins] < wanted)
        kept.mass += s->sums[kept.bins++];
    int most = kept.bins < from->bins ? s->counts[kept.bins] : from->part;
    if (most) sort_bin(s, kept.bins);
    while (kept.part < most && (kept.mass < wanted || kept.part + kept.bins == 0))
        kept.mass += s->candidates[kept.part++].weight;
    return kept;
}

/* The token at which the weights of those kept, the most likely first, come to more than `left`;
 * `best` where rounding keeps them below. */
static int32_t draw(struct sampler *s, const struct kept *kept, double left, int32_t best)
{
    int bin = 0;
    while (bin < kept->bins && !(left < s->sums[bin])) left -= s->sums[bin++];
    int n = bin < kept->bins ? s->counts[bin] : kept->part;
    if (!n) return best;
    sort_bin(s, bin);
    for (int i = 0; i < n; i++)
        if ((left -= s->candidates[i].weight) < 0) return s->candidates[i].id;
    return best;
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
    fill_bins(s);
    struct kept kept = {.bins = N_BINS, .mass = total};
    if (o->top_k > 0 && o->top_k < s->n_vocab) kept = keep_first(s, o->top_k);
    if (o->top_p < 1) kept = keep_mass(s, &kept, o->top_p * kept.mass);
    return draw(s, &kept, rng_uniform(rng) * kept.mass, best);
}
