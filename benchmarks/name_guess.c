#include "benchmarks/name_guess.h"

#include <stdio.h>

#define LONGEST 64 /* bytes; longer words are like nothing */

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Edits from one word to the other, a swap of neighbours being one (optimal string alignment:
 * Damerau, CACM 7(3), 1964). */
static size_t distance(struct text a, struct text b)
{
    size_t rows[3][LONGEST + 1]; /* the last two rows of the table and this one, in turn */
    for (size_t j = 0; j <= b.length; j++) rows[0][j] = j;
    for (size_t i = 1; i <= a.length; i++) {
        const size_t *before = rows[(i + 1) % 3], *above = rows[(i + 2) % 3];
        size_t *row = rows[i % 3];
        row[0] = i;
        for (size_t j = 1; j <= b.length; j++) {
            size_t change = above[j - 1] + (a.data[i - 1] != b.data[j - 1]);
            row[j] = least(change, least(above[j], row[j - 1]) + 1);
            if (i > 1 && j > 1 && a.data[i - 1] == b.data[j - 2] && a.data[i - 2] == b.data[j - 1])
                row[j] = least(row[j], before[j - 2] + 1);
        }
    }
    return rows[a.length % 3][b.length];
}

void name_guess_init(struct name_guess *guess, struct text word)
{
    *guess = (struct name_guess){.word = word, .distance = least(2, word.length / 3) + 1};
}

void name_guess_consider(struct name_guess *guess, const char *candidate)
{
    struct text other = text_of(candidate);
    if (guess->word.length > LONGEST || other.length > LONGEST) return;
    size_t found = distance(guess->word, other);
    if (found >= guess->distance) return;
    guess->distance = found;
    guess->nearest = candidate;
}

const char *name_guess_hint(const struct name_guess *guess, const char *before,
                            char out[NAME_GUESS_HINT_SIZE])
{
    out[0] = '\0';
    if (guess->nearest)
        snprintf(out, NAME_GUESS_HINT_SIZE, " (did you mean %s%s?)", before, guess->nearest);
    return out;
}
