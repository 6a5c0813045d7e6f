#include "classifiers/word_vectors.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "classifiers/portable_math.h"
#include "engine/base/rng.h"

/* Letters: V = words with a vector, C = columns, K = vectors of the subspace. */

#define ROUNDS       5    /* of the subspace iteration */
#define SPARE        10   /* vectors that the iteration has beyond those that are wanted */
#define CONTEXT_ROOT 0.75 /* frequent columns count for less than they occur */
#define JACOBI_MAX   60   /* sweeps; a dozen are enough */

enum { REACH = 4 };
static const unsigned reach_weight[REACH + 1] = {0, 12, 6, 4, 3}; /* in twelfths */

/* Counts of words beside words, as information: rows of (column, value). */
struct matrix {
    size_t n_rows, n_columns;
    size_t *ends; /* (n_rows) */
    uint32_t *columns;
    float *values;
};

static void matrix_release(struct matrix *m)
{
    free(m->ends);
    free(m->columns);
    free(m->values);
}

/* ---- which words ---- */

struct counted {
    uint32_t hash, rank; /* rank: its place among the words by count, 0 for the most frequent */
    int64_t count;
};

static int compare_u32(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static int by_count(const void *a, const void *b)
{
    const struct counted *x = a, *y = b;
    if (x->count != y->count) return x->count > y->count ? -1 : 1;
    return (x->hash > y->hash) - (x->hash < y->hash);
}

static int by_hash(const void *a, const void *b)
{
    const struct counted *x = a, *y = b;
    return (x->hash > y->hash) - (x->hash < y->hash);
}

/* The words that are frequent enough, by hash. */
static status_code count_words(const uint32_t *words, size_t n, int64_t min_count,
                               struct counted **out, size_t *n_out, struct status *st)
{
    uint32_t *sorted = malloc((n + 1) * sizeof *sorted);
    struct counted *found = malloc((n + 1) * sizeof *found);
    size_t n_found = 0;
    *out = found;
    if (!sorted || !found) {
        free(sorted);
        return status_no_memory(st, "the words of texts");
    }
    memcpy(sorted, words, n * sizeof *sorted);
    qsort(sorted, n, sizeof *sorted, compare_u32);
    for (size_t i = 0, k; i < n; i = k) {
        for (k = i + 1; k < n && sorted[k] == sorted[i];) k++;
        if ((int64_t)(k - i) >= min_count)
            found[n_found++] = (struct counted){sorted[i], 0, (int64_t)(k - i)};
    }
    free(sorted);
    qsort(found, n_found, sizeof *found, by_count);
    if (n_found > WORD_VECTORS_MAX) n_found = WORD_VECTORS_MAX;
    for (size_t i = 0; i < n_found; i++) found[i].rank = (uint32_t)i;
    qsort(found, n_found, sizeof *found, by_hash);
    *n_out = n_found;
    return STATUS_OK;
}

static const struct counted *find_counted(const struct counted *all, size_t n, uint32_t hash)
{
    struct counted key = {.hash = hash};
    return bsearch(&key, all, n, sizeof *all, by_hash);
}

/* ---- counts of pairs ---- */

/* A pair is one number: row, column, weight; sorted, what belongs together stands together. */
#define PAIR(row, column, weight)                                                                  \
    ((uint64_t)(row) << 24 | (uint64_t)(column) << 4 | (uint64_t)(weight))
#define PAIR_KEY(pair)    ((pair) >> 4)
#define PAIR_ROW(pair)    ((size_t)((pair) >> 24))
#define PAIR_COLUMN(pair) ((uint32_t)((pair) >> 4 & 0xfffff))
#define PAIR_WEIGHT(pair) ((uint32_t)((pair)&15))
_Static_assert(3 * WORD_CONTEXTS < 1 << 20, "a column fits into a pair");

static int compare_pairs(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* Pairs of a text's words, given as places among the words by hash or SIZE_MAX. */
static size_t add_pairs(const struct counted *all, const size_t *places, size_t n, uint64_t *out)
{
    size_t made = 0;
    for (size_t i = 0; i < n; i++) {
        if (places[i] == SIZE_MAX) continue;
        uint32_t rank = all[places[i]].rank;
        for (size_t o = 1; o <= REACH && i + o < n; o++) {
            size_t other = places[i + o];
            if (other == SIZE_MAX) continue;
            uint32_t column = all[other].rank;
            if (column < WORD_CONTEXTS)
                out[made++] =
                    PAIR(places[i], column + (o == 1 ? WORD_CONTEXTS : 0), reach_weight[o]);
            if (rank < WORD_CONTEXTS)
                out[made++] = PAIR(other, rank + (o == 1 ? 2 * WORD_CONTEXTS : 0), reach_weight[o]);
        }
    }
    return made;
}

static status_code list_pairs(const uint32_t *words, const size_t *ends, size_t n_texts,
                              const struct counted *all, size_t n_all, uint64_t **out, size_t *n,
                              struct status *st)
{
    size_t n_words = n_texts ? ends[n_texts - 1] : 0;
    uint64_t *pairs = malloc((n_words * 2 * REACH + 1) * sizeof *pairs);
    size_t *places = malloc((n_words + 1) * sizeof *places);
    *out = pairs;
    *n = 0;
    if (!pairs || !places) {
        free(places);
        return status_no_memory(st, "the pairs of words");
    }
    for (size_t i = 0; i < n_words; i++) {
        const struct counted *found = find_counted(all, n_all, words[i]);
        places[i] = found ? (size_t)(found - all) : SIZE_MAX;
    }
    for (size_t t = 0, start = 0; t < n_texts; start = ends[t++])
        *n += add_pairs(all, places + start, ends[t] - start, pairs + *n);
    free(places);
    qsort(pairs, *n, sizeof *pairs, compare_pairs);
    return STATUS_OK;
}

/* ---- information ---- */

static status_code matrix_create(struct matrix *m, size_t n_rows, const uint64_t *pairs, size_t n,
                                 struct status *st)
{
    size_t n_cells = 0;
    for (size_t i = 0; i < n; i++)
        if (!i || PAIR_KEY(pairs[i]) != PAIR_KEY(pairs[i - 1])) n_cells++;
    *m = (struct matrix){.n_rows = n_rows, .n_columns = 3 * WORD_CONTEXTS};
    m->ends = calloc(n_rows + 1, sizeof *m->ends);
    m->columns = malloc((n_cells + 1) * sizeof *m->columns);
    m->values = malloc((n_cells + 1) * sizeof *m->values);
    if (m->ends && m->columns && m->values) return STATUS_OK;
    return status_no_memory(st, "counts of words beside words");
}

/* Fills in what is positive.  `rows` and `columns` are sums of weights. */
static void fill_information(struct matrix *m, const uint64_t *pairs, size_t n, const double *rows,
                             const double *columns)
{
    size_t cell = 0, row = 0;
    for (size_t i = 0, k; i < n; i = k) {
        uint32_t column = PAIR_COLUMN(pairs[i]);
        double weight = 0;
        for (k = i; k < n && PAIR_KEY(pairs[k]) == PAIR_KEY(pairs[i]); k++)
            weight += PAIR_WEIGHT(pairs[k]);
        for (; row < PAIR_ROW(pairs[i]); row++) m->ends[row] = cell;
        double information = portable_log(weight / (rows[row] * columns[column]));
        if (information <= 0) continue;
        m->columns[cell] = column;
        m->values[cell++] = (float)information;
    }
    for (; row < m->n_rows; row++) m->ends[row] = cell;
}

/* Pairs to positive pointwise mutual information. */
static status_code find_information(struct matrix *m, size_t n_rows, const uint64_t *pairs,
                                    size_t n, struct status *st)
{
    status_code code = matrix_create(m, n_rows, pairs, n, st);
    double *rows = calloc(n_rows + 1, sizeof *rows), total = 0;
    double *columns = calloc(m->n_columns, sizeof *columns);
    if (code == STATUS_OK && (!rows || !columns))
        code = status_no_memory(st, "counts of words beside words");
    if (code == STATUS_OK) {
        for (size_t i = 0; i < n; i++) {
            rows[PAIR_ROW(pairs[i])] += PAIR_WEIGHT(pairs[i]);
            columns[PAIR_COLUMN(pairs[i])] += PAIR_WEIGHT(pairs[i]);
        }
        for (size_t c = 0; c < m->n_columns; c++) {
            if (columns[c] > 0) columns[c] = portable_exp(CONTEXT_ROOT * portable_log(columns[c]));
            total += columns[c];
        }
        for (size_t c = 0; c < m->n_columns; c++) columns[c] /= total;
        fill_information(m, pairs, n, rows, columns);
    }
    free(rows);
    free(columns);
    return code;
}

/* ---- decomposition ---- */

/* Dense matrices are (rows, K), float; sums of many terms are double. */

/* out = M x, or M transposed x. */
static void multiply(const struct matrix *m, const float *x, size_t k, bool transposed, float *out)
{
    memset(out, 0, (transposed ? m->n_columns : m->n_rows) * k * sizeof *out);
    for (size_t r = 0, cell = 0; r < m->n_rows; r++)
        for (; cell < m->ends[r]; cell++) {
            float value = m->values[cell];
            const float *from = x + (transposed ? r : m->columns[cell]) * k;
            float *to = out + (transposed ? m->columns[cell] : r) * k;
            for (size_t i = 0; i < k; i++) to[i] += value * from[i];
        }
}

/* Makes the columns of q (n, k) orthonormal: Gram-Schmidt, each column twice. */
static void orthonormalise(float *q, size_t n, size_t k)
{
    for (size_t j = 0; j < k; j++) {
        double dots[WORD_VECTOR_MAX_SIZE + SPARE], square = 0;
        for (int twice = 0; twice < 2; twice++) {
            memset(dots, 0, sizeof dots);
            for (size_t r = 0; r < n; r++)
                for (size_t i = 0; i < j; i++)
                    dots[i] += (double)q[r * k + i] * (double)q[r * k + j];
            for (size_t r = 0; r < n; r++) {
                double sum = (double)q[r * k + j];
                for (size_t i = 0; i < j; i++) sum -= dots[i] * (double)q[r * k + i];
                q[r * k + j] = (float)sum;
            }
        }
        for (size_t r = 0; r < n; r++) square += (double)q[r * k + j] * (double)q[r * k + j];
        double factor = square > 0 ? 1 / sqrt(square) : 0;
        for (size_t r = 0; r < n; r++) q[r * k + j] = (float)((double)q[r * k + j] * factor);
    }
}

/* One rotation that makes a[p][q] 0 (Jacobi 1846, in the form of Golub and Van Loan 8.5). */
static void rotate(double *a, double *v, size_t k, size_t p, size_t q)
{
    if (fabs(a[p * k + q]) < 1e-300) return;
    double theta = (a[q * k + q] - a[p * k + p]) / (2 * a[p * k + q]);
    double t = (theta >= 0 ? 1 : -1) / (fabs(theta) + sqrt(theta * theta + 1));
    double c = 1 / sqrt(t * t + 1), s = t * c;
    for (size_t i = 0; i < k; i++) {
        double x = a[i * k + p], y = a[i * k + q];
        a[i * k + p] = c * x - s * y;
        a[i * k + q] = s * x + c * y;
    }
    for (size_t i = 0; i < k; i++) {
        double x = a[p * k + i], y = a[q * k + i];
        a[p * k + i] = c * x - s * y;
        a[q * k + i] = s * x + c * y;
        x = v[i * k + p];
        y = v[i * k + q];
        v[i * k + p] = c * x - s * y;
        v[i * k + q] = s * x + c * y;
    }
}

/* Eigenvalues of the symmetric a (k, k) onto its diagonal, eigenvectors into the columns of v. */
static void diagonalise(double *a, double *v, size_t k)
{
    for (size_t i = 0; i < k * k; i++) v[i] = i % (k + 1) == 0;
    for (int sweep = 0; sweep < JACOBI_MAX; sweep++) {
        double off = 0, on = 0;
        for (size_t i = 0; i < k * k; i++) *(i % (k + 1) ? &off : &on) += a[i] * a[i];
        if (off <= 1e-24 * on) break;
        for (size_t p = 0; p < k; p++)
            for (size_t q = p + 1; q < k; q++) rotate(a, v, k, p, q);
    }
}

/* Turns the basis q (V, K) of the row space into U times the square root of the singular values,
 * the `size` largest, each row 1 long. `other` is M transposed q (C, K). */
static status_code scale_rows(const float *q, const float *other, size_t n_columns, size_t k,
                              struct word_vectors *out, struct status *st)
{
    double *a = calloc(k * k, sizeof *a), *v = calloc(k * k, sizeof *v);
    bool *taken = calloc(k, sizeof *taken);
    if (!a || !v || !taken) {
        free(a);
        free(v);
        free(taken);
        return status_no_memory(st, "a decomposition");
    }
    for (size_t c = 0; c < n_columns; c++)
        for (size_t i = 0; i < k; i++)
            for (size_t j = 0; j < k; j++)
                a[i * k + j] += (double)other[c * k + i] * (double)other[c * k + j];
    diagonalise(a, v, k);
    size_t size = (size_t)out->size;
    for (size_t s = 0; s < size; s++) {
        size_t best = k;
        for (size_t i = 0; i < k; i++)
            if (!taken[i] && (best == k || a[i * k + i] > a[best * k + best])) best = i;
        taken[best] = true;
        double value = a[best * k + best], root = value > 0 ? sqrt(sqrt(value)) : 0;
        for (size_t r = 0; r < out->n_words; r++) {
            double sum = 0;
            for (size_t i = 0; i < k; i++) sum += (double)q[r * k + i] * v[i * k + best];
            out->rows[r * size + s] = (float)(sum * root);
        }
    }
    for (size_t r = 0; r < out->n_words; r++) {
        double square = 0;
        for (size_t s = 0; s < size; s++)
            square += (double)out->rows[r * size + s] * (double)out->rows[r * size + s];
        float factor = square > 0 ? (float)(1 / sqrt(square)) : 0;
        for (size_t s = 0; s < size; s++) out->rows[r * size + s] *= factor;
    }
    free(a);
    free(v);
    free(taken);
    return STATUS_OK;
}

static status_code decompose(const struct matrix *m, uint64_t seed, struct word_vectors *out,
                             struct status *st)
{
    size_t k = (size_t)out->size + SPARE;
    float *q = malloc(m->n_rows * k * sizeof *q);
    float *other = malloc(m->n_columns * k * sizeof *other);
    struct rng rng;
    status_code code = q && other ? STATUS_OK : status_no_memory(st, "a decomposition");
    if (code == STATUS_OK) {
        rng_seed(&rng, seed);
        for (size_t i = 0; i < m->n_columns * k; i++)
            other[i] = rng_next(&rng) >> 63 ? 1.0f : -1.0f;
        for (int round = 0; round < ROUNDS; round++) {
            multiply(m, other, k, false, q);
            orthonormalise(q, m->n_rows, k);
            multiply(m, q, k, true, other);
        }
        code = scale_rows(q, other, m->n_columns, k, out, st);
    }
    free(q);
    free(other);
    return code;
}

/* ---- the whole ---- */

static status_code learn(struct word_vectors *out, const uint32_t *words, const size_t *ends,
                         size_t n_texts, const struct counted *all, size_t n_all, uint64_t seed,
                         struct status *st)
{
    struct matrix m = {0};
    uint64_t *pairs;
    size_t n_pairs;
    out->n_words = n_all;
    out->hashes = malloc(n_all * sizeof *out->hashes);
    out->rows = malloc(n_all * (size_t)out->size * sizeof *out->rows);
    if (!out->hashes || !out->rows) return status_no_memory(st, "word vectors");
    for (size_t i = 0; i < n_all; i++) out->hashes[i] = all[i].hash;
    status_code code = list_pairs(words, ends, n_texts, all, n_all, &pairs, &n_pairs, st);
    if (code == STATUS_OK) code = find_information(&m, n_all, pairs, n_pairs, st);
    free(pairs);
    if (code == STATUS_OK) code = decompose(&m, seed, out, st);
    matrix_release(&m);
    return code;
}

status_code word_vectors_learn(struct word_vectors *out, const uint32_t *words, const size_t *ends,
                               size_t n_texts, int size, int64_t min_count, uint64_t seed,
                               struct status *st)
{
    struct counted *all;
    size_t n_all = 0;
    BUG_IF(size < 1 || size > WORD_VECTOR_MAX_SIZE);
    *out = (struct word_vectors){.size = size};
    while (n_texts && ends[n_texts - 1] > WORD_MAX_COUNTED) n_texts--;
    status_code code =
        count_words(words, n_texts ? ends[n_texts - 1] : 0, min_count, &all, &n_all, st);
    if (code == STATUS_OK && n_all < 2 * (size_t)size)
        code = status_set(st, STATUS_BAD_INPUT,
                          "%zu words are there %lld times or more: too few for vectors of %d",
                          n_all, (long long)min_count, size);
    if (code == STATUS_OK) code = learn(out, words, ends, n_texts, all, n_all, seed, st);
    free(all);
    if (code != STATUS_OK) word_vectors_release(out);
    return code;
}

void word_vectors_release(struct word_vectors *vectors)
{
    free(vectors->hashes);
    free(vectors->rows);
    *vectors = (struct word_vectors){0};
}

const float *word_vectors_find(const struct word_vectors *vectors, uint32_t word)
{
    const uint32_t *found = vectors->n_words ? bsearch(&word, vectors->hashes, vectors->n_words,
                                                       sizeof word, compare_u32)
                                             : NULL;
    return found ? vectors->rows + (size_t)(found - vectors->hashes) * (size_t)vectors->size : NULL;
}
