#include "classifiers/spelling.h"

#include <stdlib.h>
#include <string.h>

/* The hash of letters a, b, c is a P^2 + b P + c; what is looked up is the hash with its bits
 * mixed. */
#define P   0x9e3779b97f4a7c15u
#define MIX 0xd6e8feb86659fd93u

enum {
    TARGET_MIN = 4,   /* letters of a target */
    COMMON_MIN = 3,   /* letters of a part of words run together */
    LACKS_MIN = 4,    /* letters of a word that may lack one; one less without a vowel */
    TOO_MANY_MIN = 5, /* of one that may have one too many */
    SWAPPED_MIN = 4,  /* of one that may have two swapped */
    TOGETHER_MIN = 6, /* of words that are run together */
    SLOTS_BITS = 10,  /* of the smallest table */
    BITMAP_BITS = 16, /* for each hash that is marked; as many or up to twice as many */
};

#define NO_WORD SIZE_MAX /* as the place of a word: behind all */

/* Words by hash: open addressing, at most half full.  Equal hashes stand in the order in which they
 * were added, so that the most frequent word comes first.  The bitmap says which hashes are
 * surely not among those that are marked in it. */
struct table {
    struct slot {
        uint16_t tag, word; /* of its mixed hash; its place + 1, 0: empty */
    } * slots;
    uint64_t *bitmap;
    unsigned bits, bitmap_bits; /* of a hash: for a slot, for a place in the bitmap */
};

struct spelling {
    struct spelling_size size;
    char *lines;                              /* the words, as they stand in a file */
    size_t length;                            /* of the lines */
    uint32_t *starts;                         /* (n_words + 1), in lines */
    struct table words, lacking;              /* lacking: targets without one of their letters */
    uint64_t powers[NORMALIZED_WORD_MAX + 1]; /* of P */
};

static uint64_t mixed(uint64_t hash)
{
    return (hash ^ hash >> 32) * MIX;
}

static uint64_t add_letter(uint64_t hash, uint32_t letter)
{
    return hash * P + (letter - 'a' + 1);
}

static const char *word_at(const struct spelling *spelling, size_t i, size_t *n)
{
    *n = spelling->starts[i + 1] - spelling->starts[i] - 1;
    return spelling->lines + spelling->starts[i];
}

_Static_assert(SPELLING_MAX_WORDS <= UINT16_MAX, "a place + 1 has 16 bits");

/* ---- tables ---- */

static status_code table_create(struct table *table, size_t n, size_t n_marked, struct status *st)
{
    table->bits = table->bitmap_bits = SLOTS_BITS;
    while ((size_t)1 << table->bits < 2 * n) table->bits++;
    while ((size_t)1 << table->bitmap_bits < BITMAP_BITS * n_marked) table->bitmap_bits++;
    table->slots = calloc((size_t)1 << table->bits, sizeof *table->slots);
    table->bitmap = calloc((size_t)1 << (table->bitmap_bits - 6), sizeof(uint64_t));
    if (table->slots && table->bitmap) return STATUS_OK;
    return status_no_memory(st, "a spelling");
}

static void table_release(struct table *table)
{
    free(table->slots);
    free(table->bitmap);
}

static bool table_may_have(const struct table *table, uint64_t hash)
{
    uint64_t bit = mixed(hash) >> (64 - table->bitmap_bits);
    return table->bitmap[bit >> 6] >> (bit & 63) & 1;
}

/* Bits of a mixed hash that have little to do with those for the slot. */
static uint16_t tag_of(uint64_t mix)
{
    return (uint16_t)(mix >> 16);
}

static void table_add(struct table *table, uint64_t hash, size_t word, bool is_marked)
{
    uint64_t mix = mixed(hash), bit = mix >> (64 - table->bitmap_bits);
    size_t mask = ((size_t)1 << table->bits) - 1, at = (size_t)(mix >> (64 - table->bits));
    while (table->slots[at].word) at = (at + 1) & mask;
    table->slots[at] = (struct slot){tag_of(mix), (uint16_t)(word + 1)};
    if (is_marked) table->bitmap[bit >> 6] |= (uint64_t)1 << (bit & 63);
}

/* The next word of this hash at `*at` or behind, NO_WORD at the end.  `*at` begins as
 * table_start(). */
static size_t table_next(const struct table *table, uint64_t hash, size_t *at)
{
    size_t mask = ((size_t)1 << table->bits) - 1;
    uint16_t tag = tag_of(mixed(hash));
    for (; table->slots[*at].word; *at = (*at + 1) & mask) {
        if (table->slots[*at].tag != tag) continue;
        size_t word = table->slots[*at].word - 1u;
        *at = (*at + 1) & mask;
        return word;
    }
    return NO_WORD;
}

static size_t table_start(const struct table *table, uint64_t hash)
{
    return (size_t)(mixed(hash) >> (64 - table->bits));
}

/* ---- the vocabulary ---- */

/* Adds a word, unless it is there. */
static status_code index_word(struct spelling *spelling, size_t i, struct status *st)
{
    size_t n, other_n;
    const char *word = word_at(spelling, i, &n);
    uint64_t hash = 0;
    for (size_t k = 0; k < n; k++) hash = add_letter(hash, (unsigned char)word[k]);
    size_t at = table_start(&spelling->words, hash), found;
    while ((found = table_next(&spelling->words, hash, &at)) != NO_WORD) {
        const char *other = word_at(spelling, found, &other_n);
        if (other_n == n && memcmp(other, word, n) == 0)
            return status_set(st, STATUS_BAD_INPUT, "word %zu is there twice", i);
    }
    table_add(&spelling->words, hash, i, i < spelling->size.n_targets);
    return STATUS_OK;
}

/* Adds what a target becomes without one of its letters but the first; of equal ones in a row each
 * leaves the same. */
static void index_lacking(struct spelling *spelling, size_t i)
{
    size_t n;
    const char *word = word_at(spelling, i, &n);
    if (n < TARGET_MIN) return;
    for (size_t skipped = 1; skipped < n; skipped++) {
        uint64_t hash = 0;
        if (skipped > 1 && word[skipped] == word[skipped - 1]) continue;
        for (size_t k = 0; k < n; k++)
            if (k != skipped) hash = add_letter(hash, (unsigned char)word[k]);
        table_add(&spelling->lacking, hash, i, true);
    }
}

static status_code index_words(struct spelling *spelling, struct status *st)
{
    const struct spelling_size *size = &spelling->size;
    spelling->powers[0] = 1;
    for (int i = 0; i < NORMALIZED_WORD_MAX; i++) spelling->powers[i + 1] = spelling->powers[i] * P;
    status_code code = table_create(&spelling->words, size->n_words, size->n_targets, st);
    size_t n_lacking = spelling->starts[size->n_targets];
    if (code == STATUS_OK) code = table_create(&spelling->lacking, n_lacking, n_lacking, st);
    for (size_t i = 0; i < size->n_words && code == STATUS_OK; i++)
        code = index_word(spelling, i, st);
    for (size_t i = 0; i < size->n_targets && code == STATUS_OK; i++) index_lacking(spelling, i);
    return code;
}

/* Finds where the words start. */
static status_code split_lines(struct spelling *spelling, struct status *st)
{
    size_t n_words = 0, start = 0;
    for (size_t i = 0; i < spelling->length; i++) {
        char c = spelling->lines[i];
        bool ends = c == '\n';
        if (!ends && !(c >= 'a' && c <= 'z'))
            return status_set(st, STATUS_BAD_INPUT, "word %zu has more than letters from a to z",
                              n_words);
        if (i - start > NORMALIZED_WORD_MAX || (ends && i == start))
            return status_set(st, STATUS_BAD_INPUT, "word %zu does not have 1 to %d letters",
                              n_words, NORMALIZED_WORD_MAX);
        if (!ends) continue;
        if (n_words == spelling->size.n_words)
            return status_set(st, STATUS_BAD_INPUT, "there are more than %zu words", n_words);
        start = i + 1;
        spelling->starts[++n_words] = (uint32_t)start;
    }
    if (n_words != spelling->size.n_words || start != spelling->length)
        return status_set(st, STATUS_BAD_INPUT, "the words end after %zu of %zu", n_words,
                          spelling->size.n_words);
    return STATUS_OK;
}

static status_code check_size(const struct spelling_size *size, size_t length, struct status *st)
{
    if (!size->n_words || size->n_words > SPELLING_MAX_WORDS || length > SPELLING_MAX_BYTES)
        return status_set(st, STATUS_BAD_INPUT, "%zu words of %zu bytes, expected 1 to %d words",
                          size->n_words, length, SPELLING_MAX_WORDS);
    if (size->n_common > size->n_targets || size->n_targets > size->n_sure ||
        size->n_sure > size->n_words)
        return status_set(st, STATUS_BAD_INPUT,
                          "%zu common words among %zu targets among %zu sure ones among %zu words: "
                          "each may be no more than the next",
                          size->n_common, size->n_targets, size->n_sure, size->n_words);
    return STATUS_OK;
}

status_code spelling_parse(struct spelling **out, struct text words,
                           const struct spelling_size *size, struct status *st)
{
    *out = NULL;
    status_code code = check_size(size, words.length, st);
    if (code != STATUS_OK) return status_prefix(st, "spelling");
    struct spelling *spelling = calloc(1, sizeof *spelling);
    if (!spelling) return status_no_memory(st, "a spelling");
    spelling->size = *size;
    spelling->length = words.length;
    spelling->lines = malloc(words.length + 1);
    spelling->starts = calloc(size->n_words + 1, sizeof *spelling->starts);
    if (!spelling->lines || !spelling->starts) {
        code = status_no_memory(st, "a spelling");
    } else {
        memcpy(spelling->lines, words.data, words.length);
        code = split_lines(spelling, st);
    }
    if (code == STATUS_OK) code = index_words(spelling, st);
    if (code == STATUS_OK) {
        *out = spelling;
        return STATUS_OK;
    }
    spelling_free(spelling);
    return status_prefix(st, "spelling");
}

void spelling_free(struct spelling *spelling)
{
    if (!spelling) return;
    table_release(&spelling->words);
    table_release(&spelling->lacking);
    free(spelling->lines);
    free(spelling->starts);
    free(spelling);
}

struct text spelling_words(const struct spelling *spelling)
{
    return (struct text){spelling->lines, spelling->length};
}

const struct spelling_size *spelling_size(const struct spelling *spelling)
{
    return &spelling->size;
}

/* ---- repairs ---- */

/* A word's place among the first n_words, NO_WORD if it is none of them.  `hash` is that of the
 * letters. */
static size_t find_word(const struct spelling *spelling, uint64_t hash, const uint32_t *letters,
                        size_t n, size_t n_words)
{
    size_t at = table_start(&spelling->words, hash), i;
    if (!table_may_have(&spelling->words, hash)) return NO_WORD;
    while ((i = table_next(&spelling->words, hash, &at)) != NO_WORD) {
        size_t length, k = 0;
        const char *word = word_at(spelling, i, &length);
        if (length != n || i >= n_words) continue;
        while (k < n && (unsigned char)word[k] == letters[k]) k++;
        if (k == n) return i;
    }
    return NO_WORD;
}

static size_t find_target(const struct spelling *spelling, uint64_t hash, const uint32_t *letters,
                          size_t n)
{
    return n < TARGET_MIN ? NO_WORD
                          : find_word(spelling, hash, letters, n, spelling->size.n_targets);
}

/* True when the letters are the word without one of its own, which is not the first. */
static bool lacks_one(const uint32_t *letters, size_t n, const char *word, size_t length)
{
    size_t k = 0;
    if (length != n + 1) return false;
    while (k < n && (unsigned char)word[k] == letters[k]) k++;
    if (!k) return false;
    while (k < n && (unsigned char)word[k + 1] == letters[k]) k++;
    return k == n;
}

/* The word at hand: its letters, and hash[i], that of the first i of them. */
struct unknown {
    const uint32_t *letters;
    size_t n;
    uint64_t hash[NORMALIZED_WORD_MAX + 1];
};

static size_t find_lacking(const struct spelling *spelling, const struct unknown *w)
{
    uint64_t hash = w->hash[w->n];
    bool has_vowel = false;
    for (size_t i = 0; i < w->n; i++) has_vowel = has_vowel || strchr("aeiou", (int)w->letters[i]);
    if (w->n + !has_vowel < LACKS_MIN || !table_may_have(&spelling->lacking, hash)) return NO_WORD;
    size_t at = table_start(&spelling->lacking, hash), i;
    while ((i = table_next(&spelling->lacking, hash, &at)) != NO_WORD) {
        size_t length;
        const char *word = word_at(spelling, i, &length);
        if (lacks_one(w->letters, w->n, word, length)) return i;
    }
    return NO_WORD;
}

static size_t find_too_many(const struct spelling *spelling, const struct unknown *w)
{
    size_t best = NO_WORD, n = w->n;
    uint32_t letters[NORMALIZED_WORD_MAX];
    if (n < TOO_MANY_MIN) return NO_WORD;
    for (size_t i = 1; i < n; i++) {
        uint64_t hash = w->hash[n] + (w->hash[i] - w->hash[i + 1]) * spelling->powers[n - 1 - i];
        if (!table_may_have(&spelling->words, hash)) continue;
        memcpy(letters, w->letters, i * sizeof *letters);
        memcpy(letters + i, w->letters + i + 1, (n - 1 - i) * sizeof *letters);
        size_t found = find_target(spelling, hash, letters, n - 1);
        best = found < best ? found : best;
    }
    return best;
}

static size_t find_swapped(const struct spelling *spelling, const struct unknown *w)
{
    size_t best = NO_WORD, n = w->n;
    uint32_t letters[NORMALIZED_WORD_MAX];
    const uint64_t *powers = spelling->powers;
    if (n < SWAPPED_MIN) return NO_WORD;
    for (size_t i = 1; i + 1 < n; i++) {
        uint64_t rise = (uint64_t)w->letters[i + 1] - w->letters[i];
        uint64_t hash = w->hash[n] + rise * (powers[n - 1 - i] - powers[n - 2 - i]);
        if (!table_may_have(&spelling->words, hash)) continue;
        memcpy(letters, w->letters, n * sizeof *letters);
        letters[i] = w->letters[i + 1];
        letters[i + 1] = w->letters[i];
        size_t found = find_target(spelling, hash, letters, n);
        best = found < best ? found : best;
    }
    return best;
}

/* Where the two common words meet of which the word is made; 0: it is not. */
static size_t find_parts(const struct spelling *spelling, const struct unknown *w, size_t parts[2])
{
    size_t best = NO_WORD, where = 0, n = w->n, n_common = spelling->size.n_common;
    if (n < TOGETHER_MIN) return 0;
    for (size_t i = COMMON_MIN; i + COMMON_MIN <= n; i++) {
        uint64_t first = w->hash[i], second = w->hash[n] - first * spelling->powers[n - i];
        if (!table_may_have(&spelling->words, first) || !table_may_have(&spelling->words, second))
            continue;
        size_t a = find_word(spelling, first, w->letters, i, n_common);
        size_t b = find_word(spelling, second, w->letters + i, n - i, n_common);
        size_t rarer = a > b ? a : b;
        if (rarer >= best) continue;
        best = rarer;
        where = i;
        parts[0] = a;
        parts[1] = b;
    }
    return where;
}

/* ---- words, one after the other ---- */

/* Hands over a word of the vocabulary for a stretch of the text. */
static void give_word(const struct spelling *spelling, size_t i, size_t start, size_t end,
                      on_normalized_word *on_word, void *user)
{
    uint32_t letters[NORMALIZED_WORD_MAX];
    size_t n;
    const char *word = word_at(spelling, i, &n);
    for (size_t k = 0; k < n; k++) letters[k] = (unsigned char)word[k];
    on_word(user, &(struct normalized_word){letters, n, start, end});
}

static void repair(const struct speller *speller, bool is_rare, on_normalized_word *on_word,
                   void *user)
{
    const struct spelling *spelling = speller->spelling;
    size_t start = speller->start, end = speller->end, parts[2];
    struct unknown w = {.letters = speller->letters, .n = speller->n};
    w.hash[0] = 0;
    for (size_t i = 0; i < w.n; i++) w.hash[i + 1] = add_letter(w.hash[i], w.letters[i]);
    size_t best = find_swapped(spelling, &w), found = NO_WORD;
    if (!is_rare) {
        found = find_lacking(spelling, &w);
        best = found < best ? found : best;
        found = find_too_many(spelling, &w);
        best = found < best ? found : best;
    }
    if (best != NO_WORD) {
        give_word(spelling, best, start, end, on_word, user);
    } else if (!is_rare && find_parts(spelling, &w, parts)) {
        give_word(spelling, parts[0], start, end, on_word, user);
        give_word(spelling, parts[1], start, end, on_word, user);
    } else {
        on_word(user, &(struct normalized_word){w.letters, w.n, start, end});
    }
}

/* The place of the first word of this hash, NO_WORD if there is none. */
static size_t find_hash(const struct spelling *spelling, uint64_t hash)
{
    size_t at = table_start(&spelling->words, hash);
    return table_next(&spelling->words, hash, &at);
}

/* Hands over the word that is held back, if any. */
static void give_held(const struct speller *speller, on_normalized_word *on_word, void *user)
{
    if (!speller->n) return;
    size_t place = speller->is_plain ? find_hash(speller->spelling, speller->hash) : 0;
    if (place >= speller->spelling->size.n_sure)
        repair(speller, place != NO_WORD, on_word, user);
    else
        on_word(user, &(struct normalized_word){speller->letters, speller->n, speller->start,
                                                speller->end});
}

/* The target that the word that is held back and another one spell, or NO_WORD. */
static size_t find_joined(const struct speller *speller, const struct normalized_word *word,
                          uint64_t hash)
{
    const struct spelling *spelling = speller->spelling;
    size_t n = speller->n + word->n;
    uint32_t letters[NORMALIZED_WORD_MAX];
    if (n > NORMALIZED_WORD_MAX) return NO_WORD;
    uint64_t joined = speller->hash * spelling->powers[word->n] + hash;
    if (!table_may_have(&spelling->words, joined)) return NO_WORD;
    size_t n_sure = spelling->size.n_sure;
    if (find_hash(spelling, speller->hash) < n_sure && find_hash(spelling, hash) < n_sure)
        return NO_WORD;
    memcpy(letters, speller->letters, speller->n * sizeof *letters);
    memcpy(letters + speller->n, word->letters, word->n * sizeof *letters);
    return find_target(spelling, joined, letters, n);
}

void speller_init(struct speller *speller, const struct spelling *spelling)
{
    speller->spelling = spelling;
    speller->n = 0;
}

/* Whether a word is known is asked only when the next one has come, so that its slot, which is far
 * from the processor most of the time, has arrived by then. */
void speller_add(struct speller *speller, const struct normalized_word *word,
                 on_normalized_word *on_word, void *user)
{
    const struct spelling *spelling = speller->spelling;
    if (!spelling) {
        on_word(user, word);
        return;
    }
    uint64_t hash = 0;
    bool is_plain = true;
    for (size_t i = 0; i < word->n; i++) {
        is_plain &= word->letters[i] - 'a' < 26;
        hash = add_letter(hash, word->letters[i]);
    }
    __builtin_prefetch(spelling->words.slots + table_start(&spelling->words, hash));
    if (speller->n && is_plain && speller->is_plain) {
        size_t joined = find_joined(speller, word, hash);
        if (joined != NO_WORD) {
            give_word(spelling, joined, speller->start, word->end, on_word, user);
            speller->n = 0;
            return;
        }
    }
    give_held(speller, on_word, user);
    memcpy(speller->letters, word->letters, word->n * sizeof *word->letters);
    speller->n = word->n;
    speller->start = word->start;
    speller->end = word->end;
    speller->hash = hash;
    speller->is_plain = is_plain;
}

void speller_end(struct speller *speller, on_normalized_word *on_word, void *user)
{
    if (speller->spelling) give_held(speller, on_word, user);
}
