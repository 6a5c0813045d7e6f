/* text_normalizer.h - a text, in pieces of any size, to words as an n-gram classifier wants them.
 *
 *   text_normalizer_init() -> text_normalizer_add() many times -> text_normalizer_end()
 *
 * Each word goes to a callback as code points, with the stretch of the text that it came from. What
 * people do to hide a word is undone on the way:
 *   - case, compatibility forms (full width, mathematical, ligatures), accents;
 *   - letters of other scripts that look Latin;
 *   - characters that take no room, inside a word;
 *   - digits and signs for letters between letters ("sh1t", "a$$");
 *   - a letter three times or more becomes one ("fuuuck");
 *   - single letters in a row ("f u c k", "f.u.c.k") come as single letters, and then once more as
 *     the word they spell.
 * A number becomes "0", a picture is a word of its own, a star inside a word stays ("f**k").
 * Scripts without spaces give a word for each run.
 *
 * A normalizer lives in its owner's struct, allocates nothing and may be copied.  Text may be cut
 * anywhere, inside a character too: the words do not depend on it.  To look at a text that still
 * grows, copy the normalizer and end the copy.
 */
#ifndef ASSAY_TEXT_NORMALIZER_H
#define ASSAY_TEXT_NORMALIZER_H

#include <stdint.h>

#include "engine/base/text.h"

#define NORMALIZED_WORD_MAX 48 /* code points; a longer word comes in parts */
#define SPACED_WORD_MAX     24 /* single letters in a row that are put together */

struct normalized_word {
    const uint32_t *letters; /* (n), valid during the call */
    size_t n;
    size_t start, end; /* bytes of the whole text */
    bool is_joined;    /* put together from single letters that came before as words */
};

typedef void on_normalized_word(void *user, const struct normalized_word *word);

/* Fields are private. */
struct text_normalizer {
    size_t position; /* bytes read so far */
    char partial[4]; /* the start of a character */
    size_t n_partial;
    uint32_t word[NORMALIZED_WORD_MAX];
    size_t n_word, word_start, word_end;
    uint32_t spaced[SPACED_WORD_MAX];
    size_t n_spaced, spaced_start, spaced_end;
};

void text_normalizer_init(struct text_normalizer *normalizer);
void text_normalizer_add(struct text_normalizer *normalizer, struct text piece,
                         on_normalized_word *on_word, void *user);

/* Hands over what was held back.  The normalizer may not be used afterwards. */
void text_normalizer_end(struct text_normalizer *normalizer, on_normalized_word *on_word,
                         void *user);

#endif
