/* ngram_features.h - a text, in pieces of any size, to the hashed n-grams that linear classifiers
 * weigh.
 *
 *   ngram_features_init() -> ngram_features_add() many times -> ngram_features_end()
 *
 * Features of a normalized word (text_normalizer.h), repaired if the model has a spelling
 * (spelling.h), between two marks for its ends: its character
 * n-grams of NGRAM_MIN to NGRAM_MAX, the word itself, and the word with the one before it.  A
 * feature is a 32-bit hash; a model takes as many of its upper bits as its table has.  Features
 * come in batches of one kind: a word's n-grams, the word, the pair, which ends the word's.  A kind
 * has a value, how much of a feature it is; what is learned of whole words then weighs more, of
 * rare pairs less.
 *
 * Lives in its owner's struct, allocates nothing and may be copied, as text_normalizer does.
 */
#ifndef ASSAY_NGRAM_FEATURES_H
#define ASSAY_NGRAM_FEATURES_H

#include "classifiers/spelling.h"
#include "classifiers/text_normalizer.h"

/* What the hashes mean; models trained with another number are refused. */
#define NGRAM_FEATURES_VERSION 2

#define NGRAM_MIN       2
#define NGRAM_MAX       5
#define NGRAM_BATCH_MAX ((NGRAM_MAX - NGRAM_MIN + 1) * (NORMALIZED_WORD_MAX + 2))

/* Values. */
#define NGRAM_VALUE 2
#define WORD_VALUE  4
#define PAIR_VALUE  1

struct feature_batch {
    const uint32_t *hashes; /* (n), valid during the call */
    size_t n;
    int value;         /* of each */
    size_t start, end; /* bytes of the whole text that they come from */
    bool ends_word;    /* the last batch of its word */
};

typedef void on_feature_batch(void *user, const struct feature_batch *batch);

/* Fields are private. */
struct ngram_features {
    struct text_normalizer normalizer;
    struct speller speller;
    uint32_t previous; /* hash of the word before, 0 at the start */
    size_t previous_start;
};

/* `spelling` is borrowed; NULL: words stay as they are. */
void ngram_features_init(struct ngram_features *features, const struct spelling *spelling);
void ngram_features_add(struct ngram_features *features, struct text piece,
                        on_feature_batch *on_batch, void *user);

/* Hands over what was held back.  May not be used afterwards. */
void ngram_features_end(struct ngram_features *features, on_feature_batch *on_batch, void *user);

#endif
