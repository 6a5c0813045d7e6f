/* name_guess.h - the word that was probably meant.
 *
 *   name_guess_init() -> name_guess_consider() for each word that there is -> `nearest`
 *
 * Near is: one letter in three left out, put in, changed or swapped with its neighbour, and at most
 * two.  Nothing is copied; of equally near words the first is kept.
 *
 *   struct name_guess meant;
 *   name_guess_init(&meant, text_of("tabel"));
 *   for (...) name_guess_consider(&meant, commands[i].name);
 *   if (meant.nearest) ...                                  "table"
 */
#ifndef ASSAY_NAME_GUESS_H
#define ASSAY_NAME_GUESS_H

#include <stddef.h>

#include "engine/base/text.h"

struct name_guess {
    struct text word;
    const char *nearest; /* NULL where no word is near */
    size_t distance;
};

void name_guess_init(struct name_guess *guess, struct text word);
void name_guess_consider(struct name_guess *guess, const char *candidate);

/* For a message: " (did you mean X?)" with `before` in front of X, or "". */
#define NAME_GUESS_HINT_SIZE 128
const char *name_guess_hint(const struct name_guess *guess, const char *before,
                            char out[NAME_GUESS_HINT_SIZE]);

#endif
