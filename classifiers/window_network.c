#include "classifiers/window_network.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define U WINDOW_MAX_UNITS
#define H WINDOW_MAX_HEADS

#define ROW_BYTES ((size_t)WINDOW_PLACES * U) /* of a word */

status_code window_network_create(struct window_network **out, int n_units, int n_heads,
                                  size_t n_words, struct status *st)
{
    BUG_IF(n_units < 1 || n_units > U || n_heads < 1 || n_heads > H);
    BUG_IF(!n_words || n_words > WINDOW_MAX_WORDS);
    struct window_network *network = calloc(1, sizeof *network);
    *out = network;
    if (!network) return status_no_memory(st, "a window network");
    network->n_units = n_units;
    network->n_heads = n_heads;
    network->n_words = n_words;
    network->n_slots = 16;
    while (network->n_slots < 2 * n_words) network->n_slots *= 2;
    network->hashes = calloc(n_words, sizeof *network->hashes);
    network->rows = calloc(n_words, ROW_BYTES);
    network->slots = calloc(network->n_slots, sizeof *network->slots);
    if (network->hashes && network->rows && network->slots) return STATUS_OK;
    window_network_free(network);
    *out = NULL;
    return status_no_memory(st, "a window network");
}

void window_network_free(struct window_network *network)
{
    if (!network) return;
    free(network->hashes);
    free(network->rows);
    free(network->slots);
    free(network);
}

status_code window_network_index(struct window_network *network, struct status *st)
{
    size_t mask = network->n_slots - 1;
    for (size_t i = 0; i < network->n_words; i++) {
        size_t slot = network->hashes[i] & mask;
        if (i && network->hashes[i] <= network->hashes[i - 1])
            return status_set(st, STATUS_BAD_INPUT,
                              "window word %zu does not follow the one before", i);
        while (network->slots[slot]) slot = (slot + 1) & mask;
        network->slots[slot] = (uint32_t)i + 1;
    }
    return STATUS_OK;
}

/* The rows of a word; NULL: it has none. */
static const int8_t *find_rows(const struct window_network *network, uint32_t word)
{
    size_t mask = network->n_slots - 1;
    for (size_t slot = word & mask; network->slots[slot]; slot = (slot + 1) & mask) {
        size_t i = network->slots[slot] - 1;
        if (network->hashes[i] == word) return network->rows + i * ROW_BYTES;
    }
    return NULL;
}

/* ---- the file ---- */

size_t window_network_bytes(int n_units, int n_heads, size_t n_words)
{
    size_t units = (size_t)n_units, heads = (size_t)n_heads;
    return n_words * (4 + WINDOW_PLACES * units) + 2 * units + 4 * heads + 2 * 4 * units * heads;
}

static void append_u32(struct strbuf *out, uint32_t value)
{
    for (int i = 0; i < 4; i++) strbuf_append_char(out, (char)(value >> 8 * i & 0xff));
}

static void append_float(struct strbuf *out, float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    append_u32(out, bits);
}

void window_network_append(struct strbuf *out, const struct window_network *network)
{
    for (size_t i = 0; i < network->n_words; i++) append_u32(out, network->hashes[i]);
    for (size_t row = 0; row < network->n_words * WINDOW_PLACES; row++)
        strbuf_append(out, (const char *)network->rows + row * U, (size_t)network->n_units);
    for (int u = 0; u < network->n_units; u++) {
        strbuf_append_char(out, (char)(network->bias[u] & 0xff));
        strbuf_append_char(out, (char)(network->bias[u] >> 8 & 0xff));
    }
    for (int h = 0; h < network->n_heads; h++) append_float(out, network->head_bias[h]);
    for (int u = 0; u < network->n_units; u++)
        for (int h = 0; h < network->n_heads; h++) append_float(out, network->of_max[u][h]);
    for (int u = 0; u < network->n_units; u++)
        for (int h = 0; h < network->n_heads; h++) append_float(out, network->of_mean[u][h]);
}

static uint32_t read_u32(const unsigned char **p)
{
    const unsigned char *b = *p;
    *p += 4;
    return (uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
}

static float read_float(const unsigned char **p, bool *good)
{
    uint32_t bits = read_u32(p);
    float value;
    memcpy(&value, &bits, sizeof value);
    if (!isfinite(value)) *good = false;
    return value;
}

static status_code read_arrays(struct window_network *network, const unsigned char *p,
                               struct status *st)
{
    bool good = true;
    for (size_t i = 0; i < network->n_words; i++) network->hashes[i] = read_u32(&p);
    for (size_t row = 0; row < network->n_words * WINDOW_PLACES; row++, p += network->n_units)
        memcpy(network->rows + row * U, p, (size_t)network->n_units);
    for (int u = 0; u < network->n_units; u++, p += 2) {
        int bias = (int16_t)(uint16_t)(p[0] | p[1] << 8);
        if (bias < -WINDOW_BIAS_MAX || bias > WINDOW_BIAS_MAX)
            return status_set(st, STATUS_BAD_INPUT, "window unit %d: bias %d is beyond %d", u, bias,
                              WINDOW_BIAS_MAX);
        network->bias[u] = (int16_t)bias;
    }
    for (int h = 0; h < network->n_heads; h++) network->head_bias[h] = read_float(&p, &good);
    for (int u = 0; u < network->n_units; u++)
        for (int h = 0; h < network->n_heads; h++) network->of_max[u][h] = read_float(&p, &good);
    for (int u = 0; u < network->n_units; u++)
        for (int h = 0; h < network->n_heads; h++) network->of_mean[u][h] = read_float(&p, &good);
    if (!good)
        return status_set(st, STATUS_BAD_INPUT, "a weight of the window network is no number");
    return window_network_index(network, st);
}

status_code window_network_parse(struct window_network **out, int n_units, int n_heads,
                                 size_t n_words, struct text bytes, struct status *st)
{
    BUG_IF(bytes.length != window_network_bytes(n_units, n_heads, n_words));
    status_code code = window_network_create(out, n_units, n_heads, n_words, st);
    if (code != STATUS_OK) return code;
    code = read_arrays(*out, (const unsigned char *)bytes.data, st);
    if (code == STATUS_OK) return code;
    window_network_free(*out);
    *out = NULL;
    return code;
}

/* ---- sums ---- */

/* All loops run over the full width: units that are not there stay 0. */

void window_sum_init(struct window_sum *sum, const struct window_network *network)
{
    *sum = (struct window_sum){.network = network};
}

/* `after`: what the word after the last one gives, or NULL. */
static void close_window(struct window_sum *sum, const int8_t *after)
{
    for (int u = 0; u < U && after; u++) sum->open[u] = (int16_t)(sum->open[u] + after[u]);
    for (int u = 0; u < U; u++) {
        sum->closed[u] = sum->open[u] > 0 ? sum->open[u] : 0;
        sum->largest[u] = sum->closed[u] > sum->largest[u] ? sum->closed[u] : sum->largest[u];
    }
    for (int u = 0; u < U; u++) sum->recent[u] += sum->closed[u];
    if (sum->n_words % WINDOW_RECENT) return;
    for (int u = 0; u < U; u++) sum->total[u] += sum->recent[u];
    memset(sum->recent, 0, sizeof sum->recent);
}

bool window_sum_add(struct window_sum *sum, uint32_t word)
{
    const int16_t *bias = sum->network->bias;
    const int8_t *rows = find_rows(sum->network, word);
    bool closes = sum->n_words > 0;
    if (closes) close_window(sum, rows ? rows + WINDOW_AFTER * U : NULL);
    sum->n_words++;
    for (int u = 0; u < U; u++) sum->open[u] = (int16_t)(bias[u] + sum->before[u]);
    if (!rows) {
        memset(sum->before, 0, sizeof sum->before);
        return closes;
    }
    for (int u = 0; u < U; u++) {
        sum->open[u] = (int16_t)(sum->open[u] + rows[WINDOW_AT * U + u]);
        sum->before[u] = rows[WINDOW_BEFORE * U + u];
    }
    return closes;
}

bool window_sum_end(struct window_sum *sum)
{
    if (!sum->n_words) return false;
    close_window(sum, NULL);
    return true;
}

/* ---- logits ---- */

/* What the mean of a unit counts with. */
static double mean_factor(const struct window_sum *sum)
{
    return 1 / sqrt((double)sum->n_words + 4);
}

void window_sum_logits(const struct window_sum *sum, double *logits)
{
    const struct window_network *network = sum->network;
    double factor = mean_factor(sum), sums[H];
    for (int h = 0; h < H; h++) sums[h] = (double)network->head_bias[h];
    for (int u = 0; u < network->n_units; u++) {
        double largest = sum->largest[u], mean = (double)(sum->total[u] + sum->recent[u]) * factor;
        for (int h = 0; h < H; h++)
            sums[h] +=
                (double)network->of_max[u][h] * largest + (double)network->of_mean[u][h] * mean;
    }
    memcpy(logits, sums, (size_t)network->n_heads * sizeof *logits);
}

void window_sum_terms(const struct window_sum *whole, const struct window_sum *part, bool *taken,
                      double *terms)
{
    const struct window_network *network = whole->network;
    double factor = mean_factor(whole), sums[H] = {0};
    for (int u = 0; u < network->n_units; u++) {
        double unit = part->closed[u];
        bool is_largest = unit > 0 && part->closed[u] == whole->largest[u] && !taken[u];
        if (is_largest) taken[u] = true;
        for (int h = 0; h < H; h++)
            sums[h] += ((double)network->of_mean[u][h] * factor +
                        (is_largest ? (double)network->of_max[u][h] : 0)) *
                       unit;
    }
    memcpy(terms, sums, (size_t)network->n_heads * sizeof *terms);
}
