#include "engine/tokenizer/seams.h"

#include <string.h>

#include "engine/base/utf8.h"

#define CLASS_SPACE 128
#define CLASS_OTHER 129

static bool is_continuation(char c)
{
    return ((unsigned char)c & 0xc0) == 0x80;
}

/* The class of what starts at `at`; *used is how far it goes, continuation bytes left out. */
static int class_at(struct text text, size_t at, size_t *used)
{
    unsigned char c = (unsigned char)text.data[at];
    *used = 1;
    if (c < 0x80) return c;
    if (text.length - at < SPACE_SYMBOL_BYTES ||
        memcmp(text.data + at, SPACE_SYMBOL, SPACE_SYMBOL_BYTES) != 0)
        return CLASS_OTHER;
    *used = SPACE_SYMBOL_BYTES;
    return CLASS_SPACE;
}

static void join_neighbours(struct seams *seams, struct text piece)
{
    size_t used;
    int left = -1;
    for (size_t at = 0; at < piece.length; at += used) {
        int right = class_at(piece, at, &used);
        if (left >= 0 && !is_continuation(piece.data[at])) seams->joined[left][right] = 1;
        left = right;
    }
}

void seams_init(struct seams *seams, const struct vocabulary *vocab)
{
    memset(seams, 0, sizeof *seams);
    for (int id = 0; id < vocab->n; id++) {
        const struct piece *piece = &vocab->pieces[id];
        if (piece->type == PIECE_USER_DEFINED && !utf8_valid(piece->stored)) {
            memset(seams, 1, sizeof *seams); /* it may end inside of a character of the text */
            return;
        }
        join_neighbours(seams, piece->stored);
    }
}

size_t seams_next(const struct seams *seams, struct text text, size_t from)
{
    size_t used;
    int left = class_at(text, from, &used);
    for (size_t at = from + used; at < text.length; at += used) {
        int right = class_at(text, at, &used);
        if (!is_continuation(text.data[at]) && !seams->joined[left][right]) return at;
        left = right;
    }
    return text.length;
}
