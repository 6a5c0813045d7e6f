/* seams.h - places in a text that no piece lies across.  Internal to the tokenizer.
 *
 *   seams_init() over a finished vocabulary -> seams_next() from part to part
 *
 * Where a vocabulary merges whole texts, nearly every word still stands alone: no piece has the
 * last character of one word and the first of the next side by side, so no merge can cross that
 * place, and the parts can be merged one after the other with the same result.  Characters are
 * told apart as far as it helps: each of ASCII, U+2581, and all others together.
 */
#ifndef ASSAY_SEAMS_H
#define ASSAY_SEAMS_H

#include "engine/tokenizer/vocabulary.h"

#define SEAM_CLASSES 130 /* ASCII, U+2581, all others */

struct seams {
    uint8_t joined[SEAM_CLASSES][SEAM_CLASSES]; /* [left][right]: some piece has them so */
};

/* Looks at every piece.  A vocabulary whose user-defined pieces are not all UTF-8 gets no seams. */
void seams_init(struct seams *seams, const struct vocabulary *vocab);

/* Where the part that starts at `from` ends: the next seam, or the end of the text. */
size_t seams_next(const struct seams *seams, struct text text, size_t from);

#endif
