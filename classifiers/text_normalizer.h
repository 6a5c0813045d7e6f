/* text_normalizer.h - a text, in pieces of any size, to words as an n-gram classifier wants them.
 *
 *   text_normalizer_init() -> text_normalizer_add() many times -> text_normalizer_end()
 *
 * Each word goes to a callback as code points, with the stretch of the text that it came from. What
 * people do to hide a word is undone on the way:
 *   - case, compatibility forms (full width, mathematical, ligatures), accents;
 *   - letters of other scripts that look Latin, small capitals, letters with a stroke, pictures of
 *     letters;
 *   - characters that take no room, inside a word;
 *   - digits and signs for letters between letters ("sh1t", "a$$"), at the ends of a word that has
 *     some inside ("b1tch3$"), and in front of one ("$hit", "5hit");
 *   - a letter three times or more becomes one ("fuuuck"), and so do two of those that English
 *     hardly doubles ("fuuck");
 *   - three or more single letters in a row ("f u c k", "f.u.c.k", "f*u*c*k") are the word they
 *     spell;
 *   - stars in words that are often written so are their letters ("f**k", "motherf***er").
 * A number becomes "0", and one behind a word ("name123") is left out; a picture is a word of its
 * own; other stars inside a word or at its end stay.  Stars around a stretch ("**note**") are no
 * part of it, and a tag with capitals ("#NotMyName") is the words it is made of.
 * The letter of a mark ("<b>") is left out.  Scripts without
 * spaces give a word for each run.
 *
 * A normalizer lives in its owner's struct, allocates nothing and may be copied.  Text may be cut
 * anywhere, inside a character too: the words do not depend on it.  To look at a text that still
 * grows, copy the normalizer and end the copy.
 */
#ifndef ASSAY_TEXT_NORMALIZER_H
#define ASSAY_TEXT_NORMALIZER_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/base/text.h"

#define NORMALIZED_WORD_MAX 48 /* code points; a longer word comes in parts */
#define SPACED_WORD_MAX     24 /* single letters in a row that are put together */

struct normalized_word {
    const uint32_t *letters; /* (n), valid during the call */
    size_t n;
    size_t start, end; /* bytes of the whole text */
};

typedef void on_normalized_word(void *user, const struct normalized_word *word);

/* Fields are private. */
struct text_normalizer {
    size_t position; /* bytes read so far */
    char partial[4]; /* the start of a character */
    size_t n_partial;
    uint32_t word[NORMALIZED_WORD_MAX];
    size_t n_word, word_start, word_end;
    struct spaced_letter {
        uint32_t letter;
        size_t start, end;
    } spaced[SPACED_WORD_MAX]; /* words of one letter, which may spell one */
    size_t n_spaced;
    size_t open_stars; /* of a stretch that is marked up ("**note** this"); 0: none is open */
    bool in_tag, after_lower; /* "#NotMyName": since a '#'; since a lower-case letter */
    bool after_angle;         /* "<b>", "</b>": a word that begins here is a mark */
};

void text_normalizer_init(struct text_normalizer *normalizer);
void text_normalizer_add(struct text_normalizer *normalizer, struct text piece,
                         on_normalized_word *on_word, void *user);

/* Hands over what was held back.  The normalizer may not be used afterwards. */
void text_normalizer_end(struct text_normalizer *normalizer, on_normalized_word *on_word,
                         void *user);

#endif
