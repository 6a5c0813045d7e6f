/* spelling.h - misspelt words to the words that they are misspellings of.
 *
 *   normalized words -> speller_add() many times, speller_end() -> normalized words
 *
 * A `spelling` is a vocabulary: words of the letters a to z, the most frequent first.  The first
 * n_sure stay as they are.  The first n_targets are what a misspelling may be repaired to, where
 * they have 4 letters or more; the first n_common, where they have 3 or more, may be the parts of
 * words run together.  A word that is not sure becomes
 *   - with the word before or after it: the target that the two spell together ("wom en");
 *   - else the most frequent target with the same first letter of which it lacks a letter ("wmen";
 *     it has 4 letters, or 3 without a vowel), has one too many ("womeen"; 5 or more) or has two
 *     neighbours swapped ("wmoen"; 4 or more);
 *   - else the two common words that it is made of ("hatewomen"; 6 or more): of several ways the
 *     one whose rarer part is the most frequent;
 *   - else itself.
 * Words of the vocabulary that are not sure are rare words, many of which are one letter away from
 * a frequent one ("shifts"), and misspellings that are often made: of those that stand alone only
 * swapped neighbours are repaired, which hardly ever make another word.
 * Words with any other character, numbers and pictures pass as they are.
 *
 * What is looked up are polynomial hashes, of which those of all edits follow from that of the word
 * in a step each; targets with a letter less are in a table (as in Garbe's SymSpell).  What is
 * found is compared letter by letter, so that a hash cannot repair wrongly; a word whose hash is
 * that of one of the vocabulary is taken to be that.
 *
 * A spelling is immutable and may be shared.  A `speller` borrows it, lives in its owner's struct,
 * allocates nothing and may be copied; it holds back one word, so what it gives does not depend on
 * how a text is cut.
 *
 *   struct speller speller;
 *   speller_init(&speller, spelling);
 *   speller_add(&speller, &word, on_word, user);      for each word
 *   speller_end(&speller, on_word, user);
 */
#ifndef ASSAY_SPELLING_H
#define ASSAY_SPELLING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "classifiers/text_normalizer.h"
#include "engine/base/strbuf.h"

#define SPELLING_MAX_WORDS 65535
#define SPELLING_MAX_BYTES ((size_t)SPELLING_MAX_WORDS * (NORMALIZED_WORD_MAX + 1))

struct spelling; /* opaque */

/* Which of the words, in order of falling frequency, are what. */
struct spelling_size {
    size_t n_words, n_sure, n_targets, n_common; /* each is no more than the one before */
};

/* `words` has a line for each word, which ends in '\n'; it is copied.  The errors count words from
 * 0. */
status_code spelling_parse(struct spelling **out, struct text words,
                           const struct spelling_size *size, struct status *st) MUST_CHECK;
void spelling_free(struct spelling *spelling);

/* The words as spelling_parse() takes them. */
struct text spelling_words(const struct spelling *spelling);
const struct spelling_size *spelling_size(const struct spelling *spelling);

/* Fields are private. */
struct speller {
    const struct spelling *spelling;
    uint32_t letters[NORMALIZED_WORD_MAX]; /* of the word that is held back */
    size_t n, start, end;                  /* n 0: none is */
    uint64_t hash;
    bool is_plain; /* a to z alone */
};

/* Without a spelling (NULL) words pass as they come. */
void speller_init(struct speller *speller, const struct spelling *spelling);
void speller_add(struct speller *speller, const struct normalized_word *word,
                 on_normalized_word *on_word, void *user);

/* Hands over what was held back.  The speller may not be used afterwards. */
void speller_end(struct speller *speller, on_normalized_word *on_word, void *user);

#endif
