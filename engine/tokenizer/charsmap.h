/* charsmap.h - SentencePiece's compiled character map: some strings to what they become.  Internal.
 *
 *   charsmap_init() over the file's bytes -> charsmap_longest(), charsmap_shortest()
 *
 * Layout, little-endian (sentencepiece/src/normalizer.cc): u32 bytes of the trie, the trie, then
 * the replacements, each ended by a NUL.  The trie is a double array of darts-clone: u32 units
 * whose fields are read in charsmap.c; a leaf's value is the place of its replacement.  The bytes
 * belong to the caller; {0} maps nothing.
 */
#ifndef ASSAY_CHARSMAP_H
#define ASSAY_CHARSMAP_H

#include "engine/base/status.h"
#include "engine/base/text.h"

struct charsmap {
    const unsigned char *units; /* [n_units] of 4 bytes, unaligned */
    size_t n_units;
    struct text replacements; /* ends with a NUL */
};

/* STATUS_BAD_INPUT where the parts do not fit.  Places inside the trie are checked when it is
 * walked. */
status_code charsmap_init(struct charsmap *map, struct text bytes, struct status *st) MUST_CHECK;

/* The bytes of the longest key that `text` starts with, or 0; *to is what it becomes. */
size_t charsmap_longest(const struct charsmap *map, struct text text, struct text *to);

/* The same for the shortest one. */
size_t charsmap_shortest(const struct charsmap *map, struct text text, struct text *to);

#endif
