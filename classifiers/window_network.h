/* window_network.h - a small network that looks at three words at a time.
 *
 *   words (hashes) -> for each word the units of its window -> largest and mean of each unit ->
 *   logit of each head
 *
 *   unit(t) = max(0, bias + before[word t-1] + at[word t] + after[word t+1])
 *   logit   = bias + sum over units of (of_max * largest unit + of_mean * sum of units /
 *             sqrt(words + 4))
 *
 * A linear model knows words and pairs that it has seen; this one was trained on vectors that say
 * which words are used alike (word_vectors.h), so that it also has an opinion of pairs it has not.
 * What a word's vector gives to a unit is worked out at training: here a word is three rows of
 * 8-bit integers, and a window is their sum.  A word that is not in the table adds nothing.
 *
 * Units are integers; logits use only +, *, / and square roots in a fixed order, so they have the
 * same bits on any machine.
 *
 *   window_network_parse() or _create() -> window_sum_init(), _add() for each word, _logits()
 *
 * A network is immutable after parsing and may be shared.  A sum lives in its owner's struct,
 * borrows the network, and may be copied.
 */
#ifndef ASSAY_WINDOW_NETWORK_H
#define ASSAY_WINDOW_NETWORK_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/base/strbuf.h"
#include "engine/base/text.h"

#define WINDOW_MAX_HEADS 8
#define WINDOW_MAX_UNITS 48
#define WINDOW_MAX_WORDS 65535
#define WINDOW_BIAS_MAX  32000 /* with three weights it still has 16 bits */
#define WINDOW_RECENT    32768 /* units whose sum has 32 bits */

enum window_place { WINDOW_BEFORE, WINDOW_AT, WINDOW_AFTER, WINDOW_PLACES };

struct window_network {
    int n_units, n_heads;
    size_t n_words;
    uint32_t *hashes; /* (n_words), ascending, owned */
    int8_t *rows;     /* (n_words, WINDOW_PLACES, WINDOW_MAX_UNITS), owned; the file has n_units */
    int16_t bias[WINDOW_MAX_UNITS];
    float head_bias[WINDOW_MAX_HEADS];
    float of_max[WINDOW_MAX_UNITS][WINDOW_MAX_HEADS]; /* heads that are not there are 0 */
    float of_mean[WINDOW_MAX_UNITS][WINDOW_MAX_HEADS];
    uint32_t *slots; /* (n_slots): a word's index + 1, at its hash or behind; owned */
    size_t n_slots;  /* a power of two */
};

/* A network whose arrays are zeroed, to be filled; window_network_index() makes it usable. */
status_code window_network_create(struct window_network **out, int n_units, int n_heads,
                                  size_t n_words, struct status *st) MUST_CHECK;
status_code window_network_index(struct window_network *network, struct status *st) MUST_CHECK;
void window_network_free(struct window_network *network);

/* The arrays as they stand in a file: hashes, rows, biases of units, biases of heads, of_max and
 * of_mean, numbers little-endian. */
size_t window_network_bytes(int n_units, int n_heads, size_t n_words);
void window_network_append(struct strbuf *out, const struct window_network *network);

/* `bytes` is exactly window_network_bytes() long. */
status_code window_network_parse(struct window_network **out, int n_units, int n_heads,
                                 size_t n_words, struct text bytes, struct status *st) MUST_CHECK;

struct window_sum {
    const struct window_network *network;
    size_t n_words;
    int16_t before[WINDOW_MAX_UNITS]; /* what the last word gives to the next one's window */
    int16_t open[WINDOW_MAX_UNITS];   /* of the last word's window, which lacks the word after it */
    int16_t closed[WINDOW_MAX_UNITS]; /* units of the window that was closed last */
    int16_t largest[WINDOW_MAX_UNITS];
    int32_t recent[WINDOW_MAX_UNITS]; /* sums of the last units, not yet in `total` */
    int64_t total[WINDOW_MAX_UNITS];
};

void window_sum_init(struct window_sum *sum, const struct window_network *network);

/* Adds a word, which closes the window of the word before; false for the first, which has none. */
bool window_sum_add(struct window_sum *sum, uint32_t word);

/* Closes the last word's window; false without a word.  No further word may be added. */
bool window_sum_end(struct window_sum *sum);

/* Of a sum that has ended; (n_heads). */
void window_sum_logits(const struct window_sum *sum, double *logits);

/* What the window that `part` closed last has in the logits of `whole`, the ended sum of the same
 * text; (n_heads).  Of equal largest units the first counts: `taken` (n_units), all false at the
 * start, keeps which were counted.  The terms of all windows and the heads' biases sum to the
 * logits. */
void window_sum_terms(const struct window_sum *whole, const struct window_sum *part, bool *taken,
                      double *terms);

#endif
