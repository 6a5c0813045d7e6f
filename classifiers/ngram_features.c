#include "classifiers/ngram_features.h"

#define HASH_START 0x811c9dc5u
#define HASH_PRIME 0x01000193u /* FNV-1a, over code points */
#define WORD_SEED  0x5bd1e995u
#define PAIR_SEED  0x2545f491u

enum { WORD_START = 2, WORD_END = 3 }; /* marks that no text can spell */

/* Spreads a hash over all its bits (the finaliser of MurmurHash3). */
static uint32_t spread(uint32_t h)
{
    h ^= h >> 16;
    h *= 0x85ebca6bu;
    h ^= h >> 13;
    h *= 0xc2b2ae35u;
    return h ^ h >> 16;
}

struct sink {
    struct ngram_features *features;
    on_feature_batch *on_batch;
    void *user;
};

static void emit(const struct sink *sink, const uint32_t *hashes, size_t n, int value, size_t start,
                 size_t end, bool ends_word)
{
    struct feature_batch batch = {hashes, n, value, start, end, ends_word};
    sink->on_batch(sink->user, &batch);
}

static void add_word(void *user, const struct normalized_word *word)
{
    const struct sink *sink = user;
    struct ngram_features *features = sink->features;
    uint32_t marked[NORMALIZED_WORD_MAX + 2], hashes[NGRAM_BATCH_MAX];
    size_t length = 0, n = 0;
    uint32_t whole = HASH_START;
    marked[length++] = WORD_START;
    for (size_t i = 0; i < word->n; i++) {
        marked[length++] = word->letters[i];
        whole = (whole ^ word->letters[i]) * HASH_PRIME;
    }
    marked[length++] = WORD_END;
    for (size_t i = 0; i + NGRAM_MIN <= length; i++) {
        uint32_t hash = HASH_START;
        size_t stop = i + NGRAM_MAX < length ? i + NGRAM_MAX : length;
        for (size_t k = i; k < stop; k++) {
            hash = (hash ^ marked[k]) * HASH_PRIME;
            if (k + 1 - i >= NGRAM_MIN) hashes[n++] = hash + (uint32_t)(k - i);
        }
    }
    for (size_t i = 0; i < n; i++) hashes[i] = spread(hashes[i]); /* several at a time */
    emit(sink, hashes, n, NGRAM_VALUE, word->start, word->end, false);
    uint32_t hash = spread(whole ^ WORD_SEED);
    emit(sink, &hash, 1, WORD_VALUE, word->start, word->end, false);
    hash = spread((features->previous * HASH_PRIME ^ whole) + PAIR_SEED);
    emit(sink, &hash, 1, PAIR_VALUE, features->previous_start, word->end, true);
    features->previous = whole;
    features->previous_start = word->start;
}

static void spell_word(void *user, const struct normalized_word *word)
{
    const struct sink *sink = user;
    speller_add(&sink->features->speller, word, add_word, user);
}

void ngram_features_init(struct ngram_features *features, const struct spelling *spelling)
{
    *features = (struct ngram_features){.previous = 0};
    text_normalizer_init(&features->normalizer);
    speller_init(&features->speller, spelling);
}

void ngram_features_add(struct ngram_features *features, struct text piece,
                        on_feature_batch *on_batch, void *user)
{
    struct sink sink = {features, on_batch, user};
    text_normalizer_add(&features->normalizer, piece, spell_word, &sink);
}

void ngram_features_end(struct ngram_features *features, on_feature_batch *on_batch, void *user)
{
    struct sink sink = {features, on_batch, user};
    text_normalizer_end(&features->normalizer, spell_word, &sink);
    speller_end(&features->speller, add_word, &sink);
}
