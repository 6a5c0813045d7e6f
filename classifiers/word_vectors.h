/* word_vectors.h - texts to a vector for each word that is frequent in them: words that are used
 * alike have vectors that point the same way.
 *
 *   texts (hashes of words) -> counts of words beside words -> positive pointwise mutual
 * information
 *   -> truncated singular value decomposition -> unit vectors
 *
 * No labels have a part in it.  Columns of the counts are the WORD_CONTEXTS most frequent words,
 * three times: as the next word, as the word before, and as a word up to four away, which counts
 * the less the farther it is.  The information is log(p(word, column) / (p(word) q(column))), where
 * q is p to the power of 0.75, and nothing where that is negative; a vector is the word's row of U
 * times the square root of the singular values, made 1 long (Levy, Goldberg and Dagan 2015).  The
 * decomposition is a subspace iteration from random signs.
 *
 * The same texts and seed give the same bits on any machine.
 */
#ifndef ASSAY_WORD_VECTORS_H
#define ASSAY_WORD_VECTORS_H

#include <stddef.h>
#include <stdint.h>

#include "engine/base/status.h"

#define WORD_CONTEXTS        12000
#define WORD_VECTORS_MAX     60000
#define WORD_VECTOR_MAX_SIZE 256
#define WORD_MAX_COUNTED     (4u << 20) /* words of the texts that are counted; more change little */

struct word_vectors {
    size_t n_words;
    int size;         /* of a vector */
    uint32_t *hashes; /* (n_words), ascending, owned */
    float *rows;      /* (n_words, size), owned */
};

/* Text i has the words from ends[i - 1] (0 for the first) to ends[i].  Words that are there at
 * least `min_count` times get a vector.  Fails with STATUS_BAD_INPUT when they are fewer than twice
 * `size`. */
status_code word_vectors_learn(struct word_vectors *out, const uint32_t *words, const size_t *ends,
                               size_t n_texts, int size, int64_t min_count, uint64_t seed,
                               struct status *st) MUST_CHECK;
void word_vectors_release(struct word_vectors *vectors);

/* A word's vector (size), or NULL. */
const float *word_vectors_find(const struct word_vectors *vectors, uint32_t word);

#endif
